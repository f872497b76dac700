/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/nbia_zip.c -- the zip of a series (getImage), split while it comes.
 *
 * Its members do not say which image they are, so their headers are read. A failure of
 * the server ends in a zip that looks whole, with its last image cut: an image is
 * handed on when its pixel data are complete, or when something follows it, and in the
 * end number and bytes must be those of the series. */
#include "dicomjson.h"
#include "multipart.h"
#include "nbia.h"
#include "zip_stream.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SERIES_BYTES (UINT64_C(16) << 30) /* of a series that does not say */
#define IMAGES_MAX 1000000u

struct arrival {
    struct vivo_sink sink; /* first: what net writes to */
    struct vivo_zip_stream *zip;
    struct vivo_parcel *parcel;
    struct vivo_bundle *to; /* who wants to hear of it; or NULL */
    struct vivo_net_reply reply;
};

/* ---- as it comes ------------------------------------------------------------ */

static int begin_member(void *ctx, const char *name, struct vivo_err *err)
{
    struct arrival *a = ctx;
    (void)name; /* a counter; none of the image's */
    if (vivo_parcel_objects(a->parcel) > IMAGES_MAX)
        return vivo_fail(err, EIO, "the zip holds more than any series");
    return vivo_parcel_begin(a->parcel, err);
}

static int member_bytes(void *ctx, const void *data, size_t len, struct vivo_err *err)
{
    struct arrival *a = ctx;
    return vivo_parcel_push(a->parcel, data, len, err);
}

static int end_member(void *ctx, struct vivo_err *err)
{
    struct arrival *a = ctx;
    return vivo_parcel_end(a->parcel, err);
}

static int write_zip(struct vivo_sink *self, const void *data, size_t len,
                     struct vivo_err *err)
{
    struct arrival *a = (struct arrival *)self; /* first member */
    const char *type = a->reply.content_type;
    if (vivo_media_type_is(type, "text/html") ||
        vivo_media_type_is(type, "application/json"))
        return vivo_fail(err, EIO, "the server answers words, not a zip");
    if (a->to)
        a->to->alive(a->to, len);
    return vivo_zip_stream_push(a->zip, data, len, err);
}

static int get_zip(struct nbia *n, const struct nbia_place *p, uint64_t most,
                   struct arrival *a, struct vivo_op *op)
{
    enum nbia_version v = (enum nbia_version)atomic_load(&n->version);
    char url[NBIA_URL_MAX];
    if (snprintf(url, sizeof url, "%s/services/%s/getImage?SeriesInstanceUID=%s",
                 n->url, vivo_nbia_version_name(v), p->series) >= NBIA_URL_MAX)
        return vivo_fail(&op->err, EINVAL, "nbia: URL longer than %d", NBIA_URL_MAX);
    const struct vivo_net_request rq = {
        .url = url,
        .bearer = v == NBIA_V1 ? NULL : n->bearer,
        .max_bytes = most,
        .close_ends = true, /* a zip has its directory at its end */
        .on_caller = true,
    };
    atomic_fetch_add(&n->base.requests, 1);
    int rc = vivo_net_fetch(n->base.net, &rq, &a->sink, &a->reply, op);
    atomic_fetch_add(&n->base.bytes, a->reply.received);
    if (rc == -ENOENT) { /* a request that the server does not have is nothing gone */
        op->err.errnum = EIO;
        rc = -EIO;
    }
    return rc ? rc : vivo_zip_stream_finish(a->zip, &op->err);
}

static int check_whole(const struct vivo_parcel *parcel, const struct nbia_place *p,
                       struct vivo_err *err)
{
    size_t n = vivo_parcel_objects(parcel);
    if (n < p->count || n == 0)
        return vivo_fail(err, EIO, "the zip holds %zu of the %" PRIu64 " images", n,
                         p->count);
    if (vivo_parcel_bytes(parcel) < p->bytes)
        return vivo_fail(err, EIO, "the images of the zip are shorter than the series");
    return 0;
}

/* ---- one series ------------------------------------------------------------- */

int vivo_nbia_series_ask(struct nbia *n, const char *series, struct nbia_place *out,
                         struct vivo_op *op)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf body = {0};
    struct vivo_dicomjson_rows rows;
    const char *object;
    size_t len;
    char query[128];
    vivo_buf_init(&body, NBIA_INSTANCES_BYTES);
    snprintf(query, sizeof query, "getSeries?SeriesInstanceUID=%s", series);
    int rc = vivo_nbia_ask(n, query, body.max, &body, op);
    if (rc)
        return rc;
    vivo_dicomjson_rows_init(&rows, body.data,
                             vivo_nbia_is_empty(&body) ? 0 : body.len);
    while ((rc = vivo_dicomjson_next(&rows, &object, &len, &op->err)) > 0) {
        rc = vivo_nbia_series(object, len, out, &op->err);
        if (rc || strcmp(out->series, series) == 0)
            return rc;
    }
    return rc ? rc
              : vivo_fail(&op->err, ENOENT, "the archive does not list the series");
}

int vivo_nbia_zip(struct nbia *n, const struct nbia_place *p,
                  struct vivo_parcel *parcel, struct vivo_bundle *to,
                  struct vivo_op *op)
{
    struct arrival a = {.sink.write = write_zip, .parcel = parcel, .to = to};
    const struct vivo_zip_to members = {begin_member, member_bytes, end_member, &a};
    uint64_t most = p->bytes ? p->bytes + p->bytes / 8 + (64u << 20) : SERIES_BYTES;
    parcel->wary = true;
    int rc = vivo_zip_stream_new(&members, most, &a.zip, &op->err);
    if (rc == 0)
        rc = get_zip(n, p, most, &a, op);
    if (rc == 0)
        rc = check_whole(parcel, p, &op->err);
    if (rc == 0)
        rc = vivo_parcel_finish(parcel, &op->err);
    vivo_zip_stream_free(a.zip);
    vivo_parcel_free(parcel);
    return rc ? vivo_fail_in(&op->err, "getImage") : 0;
}
