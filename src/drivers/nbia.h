/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/nbia.h -- what the parts of the NBIA driver share.
 *
 * Locators: collection "C", series "C/P/S/R/COUNT/STAMP", instance "C/P/S/R/I". C and P
 * are collection and PatientID, percent-encoded but for letters, digits, '_' and '-';
 * S, R and I are UIDs; COUNT and STAMP say how many images the series has and from
 * when it is. P, S, COUNT and STAMP may be empty. */
#ifndef VIVOFS_DRIVERS_NBIA_H
#define VIVOFS_DRIVERS_NBIA_H

#include "parcel.h"
#include "vivofs/driver.h"

#define NBIA_COLLECTIONS_BYTES (16u << 20)
#define NBIA_SERIES_BYTES                                                              \
    (512u << 20) /* a collection is one reply: there are no pages */
#define NBIA_INSTANCES_BYTES (64u << 20)
#define NBIA_TABLE_BYTES (16u << 20) /* of a thousand series */
#define NBIA_OBJECT_BYTES (UINT64_C(64) << 30)
#define NBIA_TEXT_MAX 256 /* bytes of a collection's name or a PatientID */
#define NBIA_STAMP_MAX 64 /* of digits and dots */
#define NBIA_LICENSE_MAX 1024
#define NBIA_LOCATOR_MAX 2048
#define NBIA_URL_MAX 4096

enum nbia_version { /* of the API, as in its URLs */
                    NBIA_UNKNOWN,
                    NBIA_V1, /* guests */
                    NBIA_V2, /* the same with a token */
                    NBIA_V4, /* both */
};

struct nbia {
    struct vivo_archive base;
    char *url;             /* "https://host/nbia-api" */
    char *bearer;          /* or NULL */
    atomic_int version;    /* enum nbia_version: the one that answers */
    atomic_bool old_image; /* single images come from v1 or v2 only */
    atomic_bool no_table;  /* getSeriesMetadata is not there */
    atomic_bool folds;     /* PatientID is proven to be compared without case */
    struct nbia_bundles *bundles;
};

static inline struct nbia *nbia_of(struct vivo_archive *a)
{
    return (struct nbia *)a;
}

/* ---- locators (nbia_locator.c) ------------------------------------------------ */

struct nbia_place {
    char collection[NBIA_TEXT_MAX + 1], patient[NBIA_TEXT_MAX + 1];
    char study[VIVO_UID_MAX + 1], series[VIVO_UID_MAX + 1], instance[VIVO_UID_MAX + 1];
    char stamp[NBIA_STAMP_MAX + 1];
    uint64_t count; /* images of the series; 0 = not said */
    uint64_t bytes; /* of them all; 0 = not said; not in locators */
};
/* Digits and dots, at most 64: PS3.5 section 9.1, leading zeros tolerated. */
bool vivo_nbia_uid_ok(const char *uid);
/* -ENOENT when it is not a locator of this level. */
int vivo_nbia_place_read(const char *locator, enum vivo_level level,
                         struct nbia_place *out, struct vivo_err *err);
void vivo_nbia_place_write(const struct nbia_place *p, enum vivo_level level,
                           char out[NBIA_LOCATOR_MAX]);
/* RFC 3986 section 2.1, of everything but letters, digits, '_' and '-'. */
void vivo_nbia_encode(const char *text, char out[3 * NBIA_TEXT_MAX + 1]);

/* ---- requests (nbia_http.c) --------------------------------------------------- */

/* Finds out which version of the API answers, once; asks for the collections. */
int vivo_nbia_settle(struct nbia *n, struct vivo_op *op);
/* A list request ("getSeries?Collection=X") and its whole reply: a JSON array, or
 * nothing, which is how NBIA says that nothing matches. */
int vivo_nbia_ask(struct nbia *n, const char *query, size_t max_bytes,
                  struct vivo_buf *body, struct vivo_op *op);
/* A table in CSV for many series (form: the body of a POST); empty: it has none.
 * -ENOENT: the server does not have the call. */
int vivo_nbia_post(struct nbia *n, const char *call, const struct vivo_buf *form,
                   struct vivo_buf *body, struct vivo_op *op);
bool vivo_nbia_is_empty(const struct vivo_buf *body);
const char *vivo_nbia_version_name(enum nbia_version v);       /* "v4" */
enum nbia_version vivo_nbia_old_version(const struct nbia *n); /* v1, with token v2 */

/* ---- rows (nbia_rows.c) ------------------------------------------------------- */

/* The text of a column of a row, "" when it is absent, no text, or too long. False:
 * the row is no JSON object. */
bool vivo_nbia_text(const char *row, size_t len, const char *column, char *out,
                    size_t cap);

/* Who a row of getSeries is; what it does not say, or not usably, is "".
 * -EBADMSG: not a JSON object. */
int vivo_nbia_series(const char *row, size_t len, struct nbia_place *out,
                     struct vivo_err *err);
/* Tables of series, each with the columns of those before it. */
enum nbia_table {
    NBIA_OLD_SERIES, /* getSeries of v1 and v2 */
    NBIA_SERIES,     /* of v4 */
    NBIA_METADATA,   /* getSeriesMetadata of v4 */
};
/* The columns as attributes. What is null there is empty here: known to be nothing.
 * table: decides which columns there are. */
int vivo_nbia_attrs(const char *row, size_t len, enum nbia_table table,
                    struct vivo_buf *out, struct vivo_err *err);
/* Name and address of the licence, parted by a backslash, or "". */
void vivo_nbia_license(const char *row, size_t len, char *out, size_t cap);
/* The page of the collection, a DOI. */
void vivo_nbia_citation(const char *row, size_t len, char *out, size_t cap);
/* "MM-DD-YYYY" (v4), "YYYY-MM-DD hh:mm:ss.0" (v1), YYYYMMDD → YYYYMMDD, or "". */
void vivo_nbia_date(const char *text, char out[9]);

/* ---- zips of series (nbia_zip.c) ----------------------------------------------- */

/* What the archive says of a series; -ENOENT: nothing. */
int vivo_nbia_series_ask(struct nbia *n, const char *series, struct nbia_place *out,
                         struct vivo_op *op);
/* Objects of the zip of a series to the parcel, as they come; to: NULL, or told that
 * something does. 0 = all of them. The parcel is freed. */
int vivo_nbia_zip(struct nbia *n, const struct nbia_place *series,
                  struct vivo_parcel *parcel, struct vivo_bundle *to,
                  struct vivo_op *op);

/* ---- images out of them (nbia_bundle.c) -------------------------------------------
 */

/* The images of a series out of its zip, in a nameless file; for series whose images
 * the server neither lists nor gives one by one. The last two are kept. */
struct nbia_bundle;
struct nbia_bundles *vivo_nbia_bundles_new(void);
void vivo_nbia_bundles_free(struct nbia_bundles *b); /* NULL is fine */
/* The one that is kept, or NULL. */
struct nbia_bundle *vivo_nbia_bundle_kept(struct nbia *n, const char *series);
/* That, or a new one: whole by number and size, or an error. */
int vivo_nbia_bundle_get(struct nbia *n, const char *series, struct nbia_bundle **out,
                         struct vivo_op *op);
void vivo_nbia_bundle_put(struct nbia *n, struct nbia_bundle *b);
size_t vivo_nbia_bundle_count(const struct nbia_bundle *b);
const char *vivo_nbia_bundle_uid(const struct nbia_bundle *b, size_t i, uint64_t *size);
/* -ENOENT: it is not among them. */
int vivo_nbia_bundle_send(const struct nbia_bundle *b, const char *uid,
                          struct vivo_sink *to, struct vivo_op *op);

/* ---- the callbacks ------------------------------------------------------------ */

int vivo_nbia_list(struct vivo_archive *self, enum vivo_level level, const char *parent,
                   struct vivo_intake *in, struct vivo_op *op);
/* The record of a row of getSeries; attrs: room for its attributes. */
int vivo_nbia_emit_series(struct nbia *n, struct vivo_intake *in,
                          const char *collection, const char *row, size_t len,
                          struct vivo_buf *attrs, struct vivo_err *err);
extern const uint32_t vivo_nbia_searches[];
int vivo_nbia_search(struct vivo_archive *self, const struct vivo_match *matches,
                     size_t n, uint64_t *answered, struct vivo_intake *in,
                     struct vivo_op *op);
extern const uint32_t vivo_nbia_describes[];
int vivo_nbia_describe(struct vivo_archive *self, const char *const *series, size_t n,
                       struct vivo_intake *in, struct vivo_op *op);
int vivo_nbia_fetch(struct vivo_archive *self, const char *locator,
                    struct vivo_delivery *to, struct vivo_op *op);
/* All images of a series, out of its zip (nbia_bundle.c). */
int vivo_nbia_bundle(struct vivo_archive *self, const char *series,
                     struct vivo_bundle *to, struct vivo_op *op);
int vivo_nbia_headers(struct vivo_archive *self, const char *series,
                      struct vivo_intake *in, struct vivo_op *op);

/* Of getSingleImage (nbia_fetch.c): which version is to be asked, and where. */
enum nbia_version vivo_nbia_image_version(struct nbia *n);
int vivo_nbia_image_url(const struct nbia *n, enum nbia_version v,
                        const struct nbia_place *p, char out[NBIA_URL_MAX],
                        struct vivo_err *err);

#endif
