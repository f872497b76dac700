/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/nda.h -- what the parts of the NDA driver share.
 *
 * Locators: collection "p"; study "s/DIGEST" of subject, visit and date; series
 * "a/ID/SIZE" of a file that is a zip or tar, "l/DIGEST" of a folder of DICOM files;
 * instance "f/ID/SIZE" of a file, "m/ID/SIZE/PATH" of a member of a zip or tar. Ids are
 * decimal numbers, digests 26 characters. */
#ifndef VIVOFS_DRIVERS_NDA_H
#define VIVOFS_DRIVERS_NDA_H

#include "header_range.h"
#include "pack_members.h"

#include "vivofs/driver.h"

#include <jansson.h>
#include <pthread.h>

#define NDA_ID_MAX 18 /* digits */
#define NDA_DIGEST_LEN 26
#define NDA_URL_MAX 2304
#define NDA_SIGNED_MAX 8192 /* bytes of a presigned URL */
#define NDA_BATCH 50        /* ids of which URLs are asked for at once */
#define NDA_PACKS 4         /* zips and tars that are kept at hand */
#define NDA_SIGNED 512      /* URLs that are */
#define NDA_TEXT_MAX 256    /* bytes of a label of image03 */

struct nda_signed {
    char id[NDA_ID_MAX + 1];
    char *url;
    int64_t until_ms;
};

struct nda_pack { /* a zip or tar, fetched whole */
    char id[NDA_ID_MAX + 1];
    struct pack_members *members; /* NULL: being fetched, or free */
    bool busy;
    uint64_t used; /* when, by a count */
};

struct nda_table;

struct nda {
    struct vivo_archive base;
    char *url;                    /* "https://host/api/package/ID" */
    char package[NDA_ID_MAX + 1]; /* ID */
    char *login;                  /* "user:password", or NULL */
    pthread_mutex_t mutex;
    pthread_cond_t landed;
    struct nda_signed urls[NDA_SIGNED]; /* guarded by mutex, and all below */
    struct nda_pack packs[NDA_PACKS];
    uint64_t uses;
    struct nda_table *table; /* of the last listing, or NULL */
    bool loading;
};

static inline struct nda *nda_of(struct vivo_archive *a)
{
    return (struct nda *)(void *)a;
}

/* ---- the service (nda_api.c) ------------------------------------------------------
 */

typedef int nda_row_fn(void *ctx, const json_t *row, struct vivo_err *err);
/* Each row of the list of files; complete or an error. */
int vivo_nda_files(struct nda *n, nda_row_fn *fn, void *ctx, struct vivo_intake *in,
                   struct vivo_op *op);
/* Is the package there, for this account? */
int vivo_nda_package(struct nda *n, uint64_t *files, struct vivo_op *op);
/* Asks for URLs of all of these, those at hand aside. */
int vivo_nda_sign(struct nda *n, const char *const *ids, size_t count,
                  struct vivo_op *op);
/* Asks for the bytes of a file: `ask` completes and sends *rq, and is called once more,
 * with another URL, when that one has expired. */
typedef int nda_ask_fn(void *ctx, const struct vivo_net_request *rq,
                       struct vivo_net_reply *reply, struct vivo_op *op);
int vivo_nda_ask(struct nda *n, const char *id, nda_ask_fn *ask, void *ctx,
                 struct vivo_op *op);
void vivo_nda_forget_all(struct nda *n);
bool vivo_nda_id_ok(const char *id, size_t len);

/* ---- what the package holds (nda_table.c) ------------------------------------------
 */

struct nda_file { /* one that is DICOM, or a zip or tar; texts in the arena, "" = none
                   */
    const char *id, *alias;
    const char *subject, *visit, *date; /* date: YYYYMMDD */
    const char *modality, *text;
    const char *s3; /* where it lies, as image03 tells it */
    char study[NDA_DIGEST_LEN + 1], series[NDA_DIGEST_LEN + 1];
    uint64_t size;
    bool pack;
};

struct nda_table {
    atomic_uint refs;
    struct vivo_arena *arena;
    struct nda_file *files; /* by study, series, id */
    size_t n, cap;
};
/* The table, read anew if `fresh` or there is none. in: hears of it, and when it is
 * `fresh` of what is no DICOM. */
int vivo_nda_table(struct nda *n, bool fresh, struct vivo_intake *in,
                   struct nda_table **out, struct vivo_op *op);
void vivo_nda_table_unref(struct nda_table *t); /* NULL is fine */
int vivo_nda_table_add(struct nda_table *t, const struct nda_file *f,
                       struct vivo_err *err);

/* ---- image03 (nda_images.c) --------------------------------------------------- */

/* Reads the text of an image03 structure and tells the files whose they are. */
int vivo_nda_images(struct nda_table *t, char *text, size_t len, struct vivo_err *err);
/* What the path of a file tells of its subject, when image03 does not. */
bool vivo_nda_guid(const char *alias, char out[NDA_TEXT_MAX + 1]);

/* ---- zips and tars (nda_pack.c) ----------------------------------------------- */

/* all: also what is known. */
int vivo_nda_list_pack(struct nda *n, const char *locator, bool all,
                       struct vivo_intake *in, struct vivo_op *op);
int vivo_nda_fetch_member(struct nda *n, const char *locator, struct vivo_delivery *to,
                          struct vivo_op *op);
/* "X/ID/SIZE" with X = kind; *rest: what stands behind. */
int vivo_nda_read_locator(const char *locator, char kind, char id[NDA_ID_MAX + 1],
                          uint64_t *size, const char **rest, struct vivo_err *err);

#endif
