/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/xnat.h -- what the parts of the XNAT driver share.
 *
 * Locators: collection "P", study "E", series "E/S", instance "E/S/R/F…": project,
 * accession of the session, scan, resource (label or number) and the path of the file
 * in it, each part percent-encoded but for letters, digits, '_' and '-'. R is "-" where
 * the archive names no resource; a resource of that name is "%2D". Of a session that
 * another project shares with project P, "P:" stands before E: it is in both. */
#ifndef VIVOFS_DRIVERS_XNAT_H
#define VIVOFS_DRIVERS_XNAT_H

#include "vivofs/driver.h"

#include <jansson.h>
#include <pthread.h>

#define XNAT_TABLE_BYTES (256u << 20)
#define XNAT_OBJECT_BYTES (UINT64_C(64) << 30)
#define XNAT_SESSION_MAX 128
#define XNAT_ID_MAX 256    /* bytes of a project, session, scan or resource */
#define XNAT_FILE_MAX 1024 /* bytes of a path in a resource */
#define XNAT_LOCATOR_MAX (3 * (4 * XNAT_ID_MAX + XNAT_FILE_MAX) + 8)
#define XNAT_URL_MAX 8192

/* Does it tell the scans of many sessions at once, and as each session's table? */
enum xnat_joins {
    XNAT_JOINS_UNKNOWN,
    XNAT_JOINS_ASKING,
    XNAT_JOINS_WELL,
    XNAT_JOINS_NOT
};
struct xnat_joined;

struct xnat {
    struct vivo_archive base;
    char *url;             /* "https://host/context" */
    char *login;           /* "user:password" of bearer=FILE, or NULL */
    atomic_bool defaults;  /* the server refuses columns: its own will have to do */
    atomic_bool no_labels; /* ... those of resources only */
    atomic_bool
        no_bundle;      /* zips of scans are refused, or their members called oddly */
    atomic_bool fickle; /* every reply begins another session: that says nothing */
    pthread_mutex_t mutex;
    pthread_cond_t landed;
    char session[XNAT_SESSION_MAX + 1]; /* guarded by mutex; "" = none */
    bool logging_in;                    /* guarded by mutex: one thread at a time */
    enum xnat_joins joins;              /* guarded by mutex */
    struct xnat_joined *joined;         /* guarded by mutex; oldest first */
    size_t joined_bytes;                /* guarded by mutex */
};

static inline struct xnat *xnat_of(struct vivo_archive *a)
{
    return (struct xnat *)(void *)a;
}

/* ---- locators and addresses (xnat_locator.c) ---------------------------------- */

enum xnat_owner { /* whose file it is */
                  XNAT_SCAN,
                  XNAT_SESSION,
                  XNAT_ASSESSOR, /* its id stands in `scan` */
                  XNAT_PROJECT,
                  XNAT_SUBJECT /* its id stands in `session` */
};
enum { XNAT_HAS_RESOURCES = 1, XNAT_HAS_ASSESSORS = 2 }; /* or it is not told */
struct xnat_place { /* project: of a session, only one that shares it */
    char project[XNAT_ID_MAX + 1], session[XNAT_ID_MAX + 1], scan[XNAT_ID_MAX + 1];
    char resource[XNAT_ID_MAX + 1], file[XNAT_FILE_MAX + 1];
    enum xnat_owner owner; /* of an INSTANCE */
    unsigned has;          /* of a STUDY */
};
/* -ENOENT when it is not a locator of this level. */
int vivo_xnat_place_read(const char *locator, enum vivo_level level,
                         struct xnat_place *out, struct vivo_err *err);
void vivo_xnat_place_write(const struct xnat_place *p, enum vivo_level level,
                           char out[XNAT_LOCATOR_MAX]);
/* Can it be asked for by its id? Not when that means several ("ALL", "*"). */
bool vivo_xnat_scan_ok(const char *id);
/* "" or ".." within a path of a file, control characters: no path of ours. */
bool vivo_xnat_file_ok(const char *path);
/* Percent-encodes into a URL; slashes: '/' is kept. */
void vivo_xnat_encode(const char *text, bool slashes, char *out, size_t cap);
/* The same of a scan's id, with XNAT's own words for '/' and ','. */
void vivo_xnat_encode_scan(const char *id, char *out, size_t cap);
/* Where the server keeps what is of this place's owner. */
void vivo_xnat_home(const struct xnat_place *p, char out[XNAT_URL_MAX]);
/* The address of the file. */
void vivo_xnat_file_path(const struct xnat_place *p, char out[XNAT_URL_MAX]);
enum xnat_uri { XNAT_URI_BAD, XNAT_URI_FOREIGN, XNAT_URI_FILE };
/* Resource and path out of the URI that a row of files tells; FOREIGN: of another
 * owner. name: its Name column, which tells how the URI is written. */
enum xnat_uri vivo_xnat_file_uri(const char *uri, const char *name,
                                 struct xnat_place *p);

/* ---- sessions and requests (xnat_http.c) --------------------------------------- */

/* A session, begun if there is none. */
int vivo_xnat_session(struct xnat *x, char out[XNAT_SESSION_MAX + 1],
                      struct vivo_op *op);
void vivo_xnat_session_end(struct xnat *x); /* tells the server, at close */
/* Asks for base + path within the session: `ask` completes and sends *rq (a GET with
 * its URL and cookie), and is called once more, with another session, when that one has
 * run out; what came of the first try it forgets then. */
typedef int xnat_ask_fn(void *ctx, const struct vivo_net_request *rq,
                        struct vivo_net_reply *reply, struct vivo_op *op);
int vivo_xnat_ask(struct xnat *x, const char *path, xnat_ask_fn *ask, void *ctx,
                  struct vivo_net_reply *reply, struct vivo_op *op);

/* ---- tables (xnat_table.c) ------------------------------------------------------- */

typedef int xnat_row_fn(void *ctx, json_t *row, struct vivo_err *err);
/* GET path, which answers a table: fn for each row; complete or an error. *status: of
 * the reply, for who asks in another way then. */
int vivo_xnat_table(struct xnat *x, const char *what, const char *path, xnat_row_fn *fn,
                    void *ctx, int *status, struct vivo_op *op);
/* The rows of a reply: -EBADMSG no whole table, -EIO fewer than it says. */
int vivo_xnat_rows(const struct vivo_buf *body, xnat_row_fn *fn, void *ctx,
                   struct vivo_op *op);
/* The text of the first of these columns ("UID|xnat:imageScanData/UID") that the row
 * has with a value, without regard to case; "" = none, or longer than fits. */
void vivo_xnat_text(const json_t *row, const char *columns, char *out, size_t cap);
/* Does the row have the column, with a value or without? */
bool vivo_xnat_has(const json_t *row, const char *column);
/* "YYYY-MM-DD…" → YYYYMMDD or "". */
void vivo_xnat_date(const char *text, char out[9]);

/* ---- the callbacks --------------------------------------------------------------- */

int vivo_xnat_list(struct vivo_archive *self, enum vivo_level level, const char *parent,
                   struct vivo_intake *in, struct vivo_op *op);
int vivo_xnat_prepare(struct vivo_archive *self, const char *const *nodes, size_t n,
                      struct vivo_op *op);
extern const uint32_t vivo_xnat_describes[];
int vivo_xnat_describe(struct vivo_archive *self, const char *const *series, size_t n,
                       struct vivo_intake *in, struct vivo_op *op);
void vivo_xnat_joined_free(struct xnat *x);
int vivo_xnat_headers(struct vivo_archive *self, const char *series,
                      struct vivo_intake *in, struct vivo_op *op);
int vivo_xnat_bundle(struct vivo_archive *self, const char *series,
                     struct vivo_bundle *to, struct vivo_op *op);
int vivo_xnat_fetch(struct vivo_archive *self, const char *locator,
                    struct vivo_delivery *to, struct vivo_op *op);

/* One file of a scan, or of another owner (xnat_files.c). */
struct xnat_file {
    struct xnat_place place;
    char key[3 * XNAT_ID_MAX + XNAT_FILE_MAX + 4];
    char version[64];
    uint64_t size; /* as the catalogue of the archive has it; 0 = not told */
    bool dicom;
};
/* Emits one that is no DICOM, below its resource's label. */
int vivo_xnat_extra(struct vivo_intake *in, const struct xnat_file *f,
                    const char *locator, struct vivo_err *err);
/* Its name without the folders of the resource; borrowed from f. */
const char *vivo_xnat_file_label(const struct xnat_file *f);
typedef int xnat_file_fn(void *ctx, const struct xnat_file *f, struct vivo_op *op);
/* Each file of the owner once, in the order of their keys. folder: what keys begin with
 * where the owner is no scan. *status: as of vivo_xnat_table; or NULL. */
int vivo_xnat_files(struct xnat *x, const struct xnat_place *owner, const char *folder,
                    xnat_file_fn *fn, void *ctx, int *status, struct vivo_op *op);

/* Records of files, by their headers (xnat_headers.c). */
struct xnat_looking {
    struct xnat *x;
    struct vivo_intake *in;
    enum xnat_owner owner;
    const char *patient;   /* as in vivo_record; or NULL */
    bool where;            /* keys tell where the files lie */
    struct vivo_buf tasks; /* one for each file, each with its NUL */
};
void vivo_xnat_looking_init(struct xnat_looking *l, struct xnat *x,
                            struct vivo_intake *in);
/* One more to be looked at. */
int vivo_xnat_look(struct xnat_looking *l, const struct xnat_file *f,
                   struct vivo_err *err);
/* Looks at them, several at once. */
int vivo_xnat_look_all(struct xnat_looking *l, struct vivo_op *op);

#endif
