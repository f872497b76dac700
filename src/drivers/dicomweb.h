/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/dicomweb.h -- what the parts of the DICOMweb driver share.
 *
 * Locators: study "S", series "S/R", instance "S/R/I" or, on Orthanc, "S/R/I/ID":
 * UIDs and Orthanc's id of the instance. Only digits, dots and lower-case
 * hexadecimal, so a locator can be put into a URL as it is. */
#ifndef VIVOFS_DRIVERS_DICOMWEB_H
#define VIVOFS_DRIVERS_DICOMWEB_H

#include "vivofs/driver.h"

#include <pthread.h>

#define DICOMWEB_JSON "application/dicom+json"
/* As the object is stored: without the star the server may transcode. */
#define DICOMWEB_MULTIPART                                                             \
    "multipart/related; type=\"application/dicom\"; transfer-syntax=*"
#define DICOMWEB_PAGE 500    /* rows asked for at once (dcm4chee caps at 1000) */
#define DICOMWEB_PAGE_MIN 20 /* 413 halves the page down to this */
#define DICOMWEB_PAGE_BYTES (64u << 20)
#define DICOMWEB_METADATA_BYTES (256u << 20)
#define DICOMWEB_OBJECT_BYTES (UINT64_C(64) << 30)

#define ORTHANC_ID_LEN 44 /* five groups of eight hexadecimal digits */

enum dicomweb_orthanc { /* is there Orthanc's own interface beside it? */
                        DICOMWEB_ORTHANC_UNKNOWN,
                        DICOMWEB_ORTHANC_NO,
                        DICOMWEB_ORTHANC_YES,
};

enum dicomweb_metadata { /* does it answer /metadata? */
                         DICOMWEB_METADATA_UNKNOWN,
                         DICOMWEB_METADATA_YES,
                         DICOMWEB_METADATA_REFUSED,
};

#define DICOMWEB_KEYS 6 /* that a search asks by; dicomweb_search.c */

struct dicomweb {
    struct vivo_archive base;
    /* Is it proven that text is compared without case, and that * is understood? By
     * key: 0 = not tried, 1 = no, 2 = yes. */
    atomic_int folds[DICOMWEB_KEYS], wild[DICOMWEB_KEYS];
    char *url;             /* base without a slash at the end: "https://h/dicom-web" */
    char *root;            /* url without "/dicom-web", NULL when it does not end so */
    char *bearer;          /* or NULL */
    atomic_int orthanc;    /* enum dicomweb_orthanc */
    atomic_uint page;      /* rows a page; shrinks on 413 */
    atomic_bool no_fields; /* refuses includefield with 400 */
    atomic_bool no_offset; /* gives the same page whatever the offset */
    atomic_bool single_part; /* refuses multipart, gives single parts */
    atomic_bool no_bundle;   /* refuses whole series */
    atomic_int metadata;     /* enum dicomweb_metadata: of a series */
    atomic_int one_metadata; /* … of an instance */
    struct dicomweb_memory *memory;
};

static inline struct dicomweb *dicomweb_of(struct vivo_archive *a)
{
    return (struct dicomweb *)a;
}

/* ---- locators (dicomweb_locator.c) ------------------------------------------ */

struct dicomweb_place {
    char study[VIVO_UID_MAX + 1], series[VIVO_UID_MAX + 1], instance[VIVO_UID_MAX + 1];
    char orthanc[ORTHANC_ID_LEN + 1]; /* or "" */
};
#define DICOMWEB_LOCATOR_MAX (3 * VIVO_UID_MAX + ORTHANC_ID_LEN + 8)
/* The locator of the lowest level that is not "". */
void vivo_dicomweb_place_write(const struct dicomweb_place *p,
                               char out[DICOMWEB_LOCATOR_MAX]);
/* Digits and dots, 1 to 64 of them: PS3.5 section 9.1, leading zeros tolerated. */
bool vivo_dicomweb_uid_ok(const char *uid);
bool vivo_dicomweb_orthanc_id_ok(const char *id);
/* -ENOENT when it is not a locator of this level. */
int vivo_dicomweb_place_read(const char *locator, enum vivo_level level,
                             struct dicomweb_place *out, struct vivo_err *err);

/* ---- requests (dicomweb_http.c) --------------------------------------------- */

/* GET base + path (or root + path) and the whole reply in `body`. POST when `post`. */
struct dicomweb_ask {
    const char *base, *path, *accept, *post;
    size_t max_bytes;
};
int vivo_dicomweb_ask(struct dicomweb *d, const struct dicomweb_ask *ask,
                      struct vivo_buf *body, struct vivo_net_reply *reply,
                      struct vivo_op *op);
/* The reply must be JSON (or empty): -EIO "answers text/html, not DICOM JSON …". */
int vivo_dicomweb_check_json(const struct vivo_net_reply *reply, struct vivo_err *err);
/* Does this status say that there is no such request, today and tomorrow? */
bool vivo_dicomweb_is_refusal(int status);

/* ---- Orthanc (dicomweb_orthanc.c)
 * ---------------------------------------------------- */

struct dicomweb_native { /* what Orthanc says about one instance */
    char uid[VIVO_UID_MAX + 1];
    char id[ORTHANC_ID_LEN + 1];
    char parent[ORTHANC_ID_LEN + 1]; /* Orthanc's series */
    char version[64];                /* of the file: changes when it is overwritten */
    uint64_t size;                   /* bytes */
    char number[16];                 /* InstanceNumber, or "" */
    char frames[16];                 /* NumberOfFrames, or "" */
};
struct dicomweb_natives { /* ascending by parent, then uid */
    struct dicomweb_native *items;
    size_t n;
    bool several;  /* of more than one series of Orthanc: patients share the UIDs */
    bool complete; /* nothing was left out */
};
/* Finds out, once, whether it is an Orthanc: 1, 0 or an error. */
int vivo_dicomweb_is_orthanc(struct dicomweb *d, struct vivo_op *op);
/* Sizes and ids of the instances of a series, in one request. */
int vivo_dicomweb_natives_get(struct dicomweb *d, const struct dicomweb_place *series,
                              struct dicomweb_natives *out, struct vivo_op *op);
/* PatientID that the instance is kept under, "" without one. */
int vivo_dicomweb_native_patient(struct dicomweb *d, const struct dicomweb_native *n,
                                 char *out, size_t cap, struct vivo_op *op);
void vivo_dicomweb_natives_free(struct dicomweb_natives *n);
const struct dicomweb_native *
vivo_dicomweb_natives_find(const struct dicomweb_natives *n, const char *uid);

/* ---- rows (dicomweb_rows.c)
 * ----------------------------------------------------------- */

/* Gets each row once, in attrs form; uid: its own at the level asked. */
typedef int dicomweb_row_fn(void *ctx, const char *uid, struct vivo_attrs attrs,
                            struct vivo_err *err);
struct dicomweb_cut {
    bool is;       /* the server has more, and no page with it */
    uint64_t more; /* so many, if it said so, else 0 */
};
struct dicomweb_query {
    const char *path;       /* "/studies", "/studies/S/series" … */
    const char *filter;     /* "StudyInstanceUID=…&" or "" */
    const uint32_t *fields; /* 0-terminated: asked for by name */
    uint32_t uid_tag;       /* the row's own UID */
    bool one;               /* the first page is enough */
    int *status;            /* NULL, or of a search: gets the status of the last reply;
                               a refusal is then no reason to ask with fewer fields */
    struct dicomweb_cut *cut; /* NULL, or gets why it was -EIO */
    dicomweb_row_fn *fn;
    void (*bad)(void *ctx, const char *uid); /* a row that cannot be addressed */
    void *ctx;
};
/* Every row, page after page; complete or an error. */
int vivo_dicomweb_rows(struct dicomweb *d, const struct dicomweb_query *q,
                       struct vivo_op *op);
/* The same of /studies without a filter, in parts by date where pages do not work. */
int vivo_dicomweb_studies(struct dicomweb *d, const struct dicomweb_query *q,
                          struct vivo_op *op);

/* ---- what was listed lately (dicomweb_memory.c)
 * ---------------------------------------- */

/* Attributes of studies and series, so that listing below them need not ask again. A
 * fixed number of entries, for a few minutes. Thread-safe. */
struct dicomweb_memory *vivo_dicomweb_memory_new(void);
void vivo_dicomweb_memory_free(struct dicomweb_memory *m);
void vivo_dicomweb_memory_put(struct dicomweb_memory *m, const char *locator,
                              struct vivo_attrs attrs);
bool vivo_dicomweb_memory_get(struct dicomweb_memory *m, const char *locator,
                              struct vivo_buf *out);

/* ---- what a search brings (dicomweb_list.c)
 * ------------------------------------------------- */

extern const uint32_t vivo_dicomweb_study_fields[], vivo_dicomweb_series_fields[];
/* Counts what has no UID that could stand in a URL. */
void vivo_dicomweb_emit_bad(struct vivo_intake *in, const char *uid);
/* A record as list() would have emitted it. */
int vivo_dicomweb_emit_study(struct dicomweb *d, struct vivo_intake *in,
                             const char *uid, struct vivo_attrs row,
                             struct vivo_err *err);
int vivo_dicomweb_emit_series(struct dicomweb *d, struct vivo_intake *in,
                              const char *study, struct vivo_attrs study_row,
                              const char *uid, struct vivo_attrs row,
                              struct vivo_err *err);
/* The row of one study, lately listed or asked for; empty when there is none. */
int vivo_dicomweb_study_row(struct dicomweb *d, const char *uid, struct vivo_buf *out,
                            struct vivo_op *op);

/* ---- the callbacks
 * -------------------------------------------------------------------- */

int vivo_dicomweb_list(struct vivo_archive *self, enum vivo_level level,
                       const char *parent, struct vivo_intake *in, struct vivo_op *op);
extern const uint32_t vivo_dicomweb_searches[];
int vivo_dicomweb_search(struct vivo_archive *self, const struct vivo_match *matches,
                         size_t n, uint64_t *answered, struct vivo_intake *in,
                         struct vivo_op *op);
int vivo_dicomweb_headers(struct vivo_archive *self, const char *series,
                          struct vivo_intake *in, struct vivo_op *op);
int vivo_dicomweb_bundle(struct vivo_archive *self, const char *series,
                         struct vivo_bundle *to, struct vivo_op *op);
/* The URL of an object, bare, where the server gives it so: an object of Orthanc, or
 * of a server that gives single parts. *accept: what to ask for. false: it does not. */
bool vivo_dicomweb_bare_url(const struct dicomweb *d, const struct dicomweb_place *p,
                            char *url, size_t cap, const char **accept);
int vivo_dicomweb_fetch(struct vivo_archive *self, const char *locator,
                        struct vivo_delivery *to, struct vivo_op *op);

#endif
