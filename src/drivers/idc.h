/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/idc.h -- what the parts of the driver of Imaging Data Commons share.
 *
 * Locators: collection "C", series "C/B/U/N/S/R", instance "B/U/I/SIZE/TAG":
 * collection, bucket, uuid of the series, number of its instances, Study and Series
 * Instance UID, uuid of the instance, and what the bucket says of it. Every part is
 * checked against the letters that it may have, so that nothing needs encoding. */
#ifndef VIVOFS_DRIVERS_IDC_H
#define VIVOFS_DRIVERS_IDC_H

#include "drivers/s3.h"

#include <jansson.h>

#define IDC_COLLECTION_MAX 128
#define IDC_UUID_LEN 36
#define IDC_LOCATOR_MAX 640
#define IDC_REPLY_BYTES (64u << 20)
#define IDC_PAGE_ROWS 5000 /* the API's own page of a manifest; a few megabytes */

#define IDC_TABLES 3

struct idc {
    struct vivo_archive base;
    char *api;                        /* "https://host/v3" */
    atomic_bool no_sql;               /* this one has manifests of cohorts only */
    atomic_bool no_table[IDC_TABLES]; /* of columns of series: this one lacks it */
    struct vivo_s3 *store;
};

static inline struct idc *idc_of(struct vivo_archive *a)
{
    return (struct idc *)a;
}

struct idc_place {
    char collection[IDC_COLLECTION_MAX + 1];
    char bucket[VIVO_S3_BUCKET_MAX + 1];
    char uuid[IDC_UUID_LEN + 1];     /* of the series: the prefix of its keys */
    char instance[IDC_UUID_LEN + 1]; /* of the instance */
    char study[VIVO_UID_MAX + 1], series[VIVO_UID_MAX + 1];
    char tag[VIVO_S3_TAG_MAX + 1];
    uint64_t count, size;
};
/* -ENOENT: not a locator of this level. */
int vivo_idc_place_read(const char *locator, enum vivo_level level,
                        struct idc_place *out, struct vivo_err *err);
void vivo_idc_place_write(const struct idc_place *p, enum vivo_level level,
                          char out[IDC_LOCATOR_MAX]);
bool vivo_idc_collection_ok(const char *s);
bool vivo_idc_uuid_ok(const char *s);
bool vivo_idc_uid_ok(const char *s);

/* ---- requests and tables (idc_api.c) -------------------------------------------- */

/* GET, or POST with a body, of a path below the API: a JSON text. Free with
 * json_decref. status: of HTTP, also of a refusal; may be NULL. */
int vivo_idc_ask(struct idc *c, const char *path, const char *body, json_t **out,
                 int *status, struct vivo_op *op);
/* Rows of series that meet `where` (SQL), all of them, in order, page by page.
 * -EOPNOTSUPP: the server does not answer SQL, or not this. */
typedef int idc_row_fn(void *ctx, const json_t *row, struct vivo_err *err);
int vivo_idc_series(struct idc *c, const char *where, idc_row_fn *fn, void *ctx,
                    struct vivo_op *op);
/* The text of a column, "" when it is null, no text, or too long. */
void vivo_idc_text(const json_t *row, const char *column, char *out, size_t cap);
/* A row of a reply as an object; NULL: it is none. Free with json_decref. */
json_t *vivo_idc_row(json_t *row, const json_t *names);
/* Who a row is; false: nothing can be asked for with it. */
bool vivo_idc_row_place(const json_t *row, struct idc_place *out);
/* Its columns as attributes. */
int vivo_idc_row_attrs(const json_t *row, struct vivo_buf *out, struct vivo_err *err);

/* ---- without SQL (idc_cohort.c) ---------------------------------------------------
 */

/* Rows of series that meet the filters of a cohort, all of them. They have fewer
 * columns. */
int vivo_idc_cohort(struct idc *c, json_t *filters, idc_row_fn *fn, void *ctx,
                    struct vivo_op *op);
/* The conditions that a cohort can be asked by, as filters; their bits in *answered.
 * *out: free with json_decref. */
int vivo_idc_filters(struct idc *c, const struct vivo_match *matches, size_t n,
                     uint64_t *answered, json_t **out, struct vivo_op *op);

/* ---- columns of series (idc_describe.c) ------------------------------------------
 */

extern const uint32_t vivo_idc_describes[];
int vivo_idc_describe(struct vivo_archive *self, const char *const *series, size_t n,
                      struct vivo_intake *in, struct vivo_op *op);

/* ---- search (idc_search.c) --------------------------------------------------------
 */

extern const uint32_t vivo_idc_searches[];
/* The column that a cohort's terms know an attribute by, or NULL. */
const char *vivo_idc_term(uint32_t tag);
/* The conditions that the index can answer, as SQL; their bits in *answered. */
int vivo_idc_where(const struct vivo_match *matches, size_t n, uint64_t *answered,
                   struct vivo_buf *out);

#endif
