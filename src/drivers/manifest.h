/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/manifest.h -- between the files of the manifest driver.
 *
 * Locators. Object: "U", then URL, SOP Instance UID, size, SHA-256 and group, which is
 * the Series Instance UID and, where names are given, a hash of the directory's, parted
 * by tabs; the last three may be empty. What another archive lists: "N", its source, a
 * tab, its own locator. What the archive does not know: "X" and the manifest's word for
 * it. */
#ifndef VIVOFS_DRIVERS_MANIFEST_H
#define VIVOFS_DRIVERS_MANIFEST_H

#include "drivers/manifest_text.h"
#include "vivofs/driver.h"

#include <pthread.h>

#define MANIFEST_URL_MAX 8192
#define MANIFEST_LOCATOR_MAX (MANIFEST_URL_MAX + 256)
#define MANIFEST_GROUP_MAX 80
#define MANIFEST_SUBS 16 /* archives open at a time */

struct manifest {
    struct vivo_archive base;
    char *path, *endpoint;
    enum manifest_kind kind;
    int64_t timeout_ms;
    pthread_mutex_t mutex; /* guards what follows */
    struct vivo_archive *subs[MANIFEST_SUBS];
    char *sub_sources[MANIFEST_SUBS];
    size_t nsubs;
    struct manifest_spans *spans; /* where the rows of each series are; or NULL */
};

static inline struct manifest *manifest_of(struct vivo_archive *a)
{
    return (struct manifest *)(void *)a;
}

/* Digits and dots, at most 64 (PS3.5 section 9.1). */
bool vivo_manifest_uid_ok(const char *uid);

/* The archive of a source, opened when first asked for and kept. No credentials go to
 * it: who wrote the manifest chose the host. */
int vivo_manifest_open(struct manifest *m, const char *source,
                       struct vivo_archive **out, struct vivo_err *err);
int vivo_manifest_sub(struct manifest *m, const char *source, struct vivo_archive **out,
                      struct vivo_err *err);

/* ---- manifest_rows.c: a row an object ---- */

int vivo_manifest_list_rows(struct manifest *m, struct manifest_text *t,
                            struct vivo_intake *in, struct vivo_op *op);

/* Whole headers of the rows that are in the series of this one. */
int vivo_manifest_headers(struct vivo_archive *self, const char *locator,
                          struct vivo_intake *in, struct vivo_op *op);

/* manifest_spans.c: rows by series, a few bytes for each run of them. Thread-safe only
 * once complete. */
struct manifest_spans *vivo_manifest_spans_new(void);
void vivo_manifest_spans_free(struct manifest_spans *s);
int vivo_manifest_spans_add(struct manifest_spans *s, const char *series, off_t first,
                            off_t end);
void vivo_manifest_spans_complete(struct manifest_spans *s);
/* The i-th run of rows of a series; false: there are no more. */
bool vivo_manifest_spans_get(const struct manifest_spans *s, const char *series,
                             size_t i, off_t *first, off_t *end);

/* ---- manifest_series.c: a UID a series ---- */

int vivo_manifest_list_uids(struct manifest *m, struct manifest_text *t,
                            struct vivo_intake *in, struct vivo_op *op);
int vivo_manifest_list_series(struct manifest *m, const char *locator,
                              struct vivo_intake *in, struct vivo_op *op);

/* Something the archive does not have: shown as an object that does not open. */
int vivo_manifest_unknown(struct vivo_intake *in, const char *series, const char *word,
                          struct vivo_op *op);
/* Lists all of `source`, an archive for this once, as if it were ours; its objects are
 * fetched from `home`, which takes the same locators. */
int vivo_manifest_pass_on(struct manifest *m, const char *source, const char *home,
                          struct vivo_intake *in, struct vivo_op *op);

/* ---- manifest_urls.c: a URL an object, or a prefix of a bucket ---- */

int vivo_manifest_list_urls(struct manifest *m, struct manifest_text *t,
                            struct vivo_intake *in, struct vivo_op *op);

/* The store that an s5cmd manifest names for its buckets; "" = Amazon's. */
int vivo_manifest_endpoint(const char *path, char out[MANIFEST_URL_MAX],
                           struct vivo_err *err);

/* ---- manifest_fetch.c ---- */

/* Where an https or http request for it goes: itself, or the bucket's endpoint.
 * False: it is not to be had over HTTP. */
bool vivo_manifest_http_url(const struct manifest *m, const char *url,
                            char out[MANIFEST_URL_MAX]);
int vivo_manifest_locator(const char *url, const char *uid, const char *size,
                          const char *sha256, const char *group,
                          char out[MANIFEST_LOCATOR_MAX], struct vivo_err *err);
/* Its whole header, without pixels. */
int vivo_manifest_header(struct manifest *m, const char *locator, struct vivo_buf *out,
                         struct vivo_op *op);
/* The Series Instance UID of an object's locator, or "". */
const char *vivo_manifest_group_of(const char *locator);
bool vivo_manifest_sha256(const char *locator, char hex[65]);
int vivo_manifest_fetch(struct vivo_archive *self, const char *locator,
                        struct vivo_delivery *to, struct vivo_op *op);

#endif
