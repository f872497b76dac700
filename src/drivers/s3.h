/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/s3.h -- a store that speaks Amazon's S3, for every driver whose objects
 * lie in one: listing keys, getting objects and parts of them. Quirks: s3.md. */
#ifndef VIVOFS_DRIVERS_S3_H
#define VIVOFS_DRIVERS_S3_H

#include "drivers/header_range.h"

#define VIVO_S3_KEY_MAX 1024   /* bytes; Amazon's own limit */
#define VIVO_S3_BUCKET_MAX 255 /* before 2018 names were that long in one region */
#define VIVO_S3_TAG_MAX 100
#define VIVO_S3_OBJECT_BYTES (UINT64_C(64) << 30)

struct vivo_s3; /* thread-safe once made */

struct vivo_s3_config {
    /* "https://HOST[:PORT][/path]", buckets being the first part of the path, or with
     * "{bucket}" in the host: buckets being part of its name. NULL = Amazon's. */
    const char *endpoint;
    bool sign; /* with the user's keys, if there are any; else never */
};
/* Reads the keys: AWS_ACCESS_KEY_ID …, else the profile in ~/.aws/credentials (readable
 * by others: -EPERM), else what the netrc file has for the host, else goes unsigned.
 * owner: its net is used and its requests are counted, so it outlives *out. */
int vivo_s3_new(const struct vivo_s3_config *cfg, struct vivo_archive *owner,
                struct vivo_s3 **out, struct vivo_err *err);
void vivo_s3_free(struct vivo_s3 *s); /* wipes the keys; NULL is fine */

/* Usable in a URL? Letters, digits, '.', '-', '_'. */
bool vivo_s3_bucket_ok(const char *bucket, size_t len);
/* Neither empty nor too long, without parts "." and "..", which servers and proxies
 * resolve: what such a key names cannot be asked for with certainty. */
bool vivo_s3_key_ok(const char *key);

/* One key of a listing; borrowed for the call. tag: what changes with the bytes, "" if
 * the store says nothing ('e' and its ETag, or 't' and a time). */
struct vivo_s3_entry {
    const char *key, *tag;
    uint64_t size;
};
typedef int vivo_s3_entry_fn(void *ctx, const struct vivo_s3_entry *e,
                             struct vivo_err *err);
/* Every key that begins with prefix, in order: complete or an error (-ENOENT: no such
 * bucket). Keys that are not ok come, too. Non-zero of fn ends it and is returned. */
int vivo_s3_list(struct vivo_s3 *s, const char *bucket, const char *prefix,
                 vivo_s3_entry_fn *fn, void *ctx, struct vivo_op *op);

/* The same by pages, for who cannot have them one after the other. */
#define VIVO_S3_TOKEN_MAX 4096
struct vivo_s3_pages { /* zeroed, but for the first two, before the first page */
    const char *bucket, *prefix;
    char token[VIVO_S3_TOKEN_MAX]; /* of the next page */
    char last[3 * VIVO_S3_KEY_MAX + 1];
    bool any, over; /* over: there is no next page */
    unsigned empty;
};
int vivo_s3_next_page(struct vivo_s3 *s, struct vivo_s3_pages *p, vivo_s3_entry_fn *fn,
                      void *ctx, struct vivo_op *op);

/* tag and size, of the listing, are checked: the object is the one that was listed, or
 * -EIO. tag "" and size 0 = not known. */
struct vivo_s3_object {
    const char *bucket, *key, *tag;
    uint64_t size;
};
/* The whole object. */
int vivo_s3_get(struct vivo_s3 *s, const struct vivo_s3_object *o,
                struct vivo_delivery *to, struct vivo_op *op);
/* Its header, from its first bytes. Free *out in every case. */
int vivo_s3_header(struct vivo_s3 *s, const struct vivo_s3_object *o,
                   struct vivo_ranged_header *out, struct vivo_op *op);

/* ---- between the files of s3_*.c ---------------------------------------------- */

struct vivo_s3_keys { /* owned; "" = not there */
    char id[160], secret[256], session[4096], region[64];
};
int vivo_s3_keys_read(struct vivo_s3_keys *out, struct vivo_err *err);

/* GETs a URL of the bucket: key encoded, query ("" = none) in order and encoded. */
struct vivo_s3_ask {
    const char *bucket, *key, *query;
    uint64_t max_bytes;
};
int vivo_s3_ask(struct vivo_s3 *s, const struct vivo_s3_ask *ask,
                struct vivo_sink *sink, struct vivo_net_reply *reply,
                struct vivo_op *op);
/* RFC 3986 section 2.1, of all but unreserved characters; slash: '/' stays. */
int vivo_s3_encode(const char *text, bool slash, struct vivo_buf *out);

/* ---- s3_page.c ------------------------------------------------------------------ */

struct vivo_s3_page {
    bool truncated;
    char next[VIVO_S3_TOKEN_MAX]; /* token of the next page */
    size_t keys;
};
/* One page: each of its keys goes to fn. -EBADMSG: it is not the XML of a listing. */
int vivo_s3_page_read(const struct vivo_buf *body, vivo_s3_entry_fn *fn, void *ctx,
                      struct vivo_s3_page *out, struct vivo_err *err);
#define VIVO_S3_PAGE_BYTES                                                             \
    (16u << 20) /* 1000 keys of 1 KiB, each byte encoded, and the rest */

#endif
