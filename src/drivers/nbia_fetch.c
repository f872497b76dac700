/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/nbia_fetch.c -- the bytes of one image, by getSingleImage.
 *
 * getImage, the zip of a series, brings more objects than one fetch can deliver: it is
 * for who reads in order (nbia_bundle.c), and here the last resort, for a series whose
 * images the server does not give one by one. getSingleImage says 500 for an image that
 * is not there; what the server lists tells that from a server in trouble. */
#include "dicomjson.h"
#include "http_object.h"
#include "nbia.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum nbia_version vivo_nbia_image_version(struct nbia *n)
{
    enum nbia_version v = (enum nbia_version)atomic_load(&n->version);
    if (v == NBIA_V4 && atomic_load(&n->old_image))
        return vivo_nbia_old_version(n);
    return v;
}

int vivo_nbia_image_url(const struct nbia *n, enum nbia_version v,
                        const struct nbia_place *p, char out[NBIA_URL_MAX],
                        struct vivo_err *err)
{
    if (snprintf(out, NBIA_URL_MAX,
                 "%s/services/%s/getSingleImage?SeriesInstanceUID=%s&SOPInstanceUID=%s",
                 n->url, vivo_nbia_version_name(v), p->series,
                 p->instance) >= NBIA_URL_MAX)
        return vivo_fail(err, EINVAL, "nbia: URL longer than %d", NBIA_URL_MAX);
    return 0;
}

static int get_image(struct nbia *n, enum nbia_version v, const struct nbia_place *p,
                     struct vivo_delivery *to, int *status, struct vivo_op *op)
{
    char url[NBIA_URL_MAX];
    struct vivo_http_object o;
    int rc = vivo_nbia_image_url(n, v, p, url, &op->err);
    *status = 0;
    if (rc)
        return rc;
    const struct vivo_net_request rq = {.url = url,
                                        .bearer = v == NBIA_V1 ? NULL : n->bearer,
                                        .max_bytes = NBIA_OBJECT_BYTES};
    rc = vivo_http_object_begin(&o, p->instance, to, &op->err);
    if (rc == 0) {
        atomic_fetch_add(&n->base.requests, 1);
        rc = vivo_net_fetch(n->base.net, &rq, &o.sink, &o.reply, op);
        atomic_fetch_add(&n->base.bytes, o.reply.received);
    }
    *status = o.reply.status;
    if (rc == 0)
        rc = vivo_http_object_finish(&o, &op->err);
    vivo_http_object_free(&o);
    if (rc == -EACCES)
        return vivo_fail_in(&op->err, "getSingleImage: needs a token (bearer=FILE)");
    return rc;
}

/* ---- is it there? ----------------------------------------------------------- */

static int has_row(const struct vivo_buf *body, const char *column, const char *uid,
                   bool *any, bool *found, struct vivo_op *op)
{
    struct vivo_dicomjson_rows rows;
    const char *object;
    size_t len;
    int rc;
    *any = *found = false;
    if (vivo_nbia_is_empty(body))
        return 0;
    vivo_dicomjson_rows_init(&rows, body->data, body->len);
    while ((rc = vivo_dicomjson_next(&rows, &object, &len, &op->err)) > 0) {
        char text[VIVO_UID_MAX + 1];
        rc = vivo_op_check(op);
        if (rc)
            return rc;
        vivo_nbia_text(object, len, column, text, sizeof text);
        *any = *any || text[0];
        *found = *found || strcmp(text, uid) == 0;
    }
    return rc;
}

/* 1 = the archive lists this image, 0 = it does not, or an error. */
static int is_listed(struct nbia *n, const struct nbia_place *p, struct vivo_op *op)
{
    char query[128];
    bool any, found;
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf body = {0};
    vivo_buf_init(&body, NBIA_INSTANCES_BYTES);
    snprintf(query, sizeof query, "getSOPInstanceUIDs?SeriesInstanceUID=%s", p->series);
    int rc = vivo_nbia_ask(n, query, body.max, &body, op);
    if (rc == 0)
        rc = has_row(&body, "SOPInstanceUID", p->instance, &any, &found, op);
    if (rc || any)
        return rc ? rc : found;
    /* That list is known to be empty for series that exist. */
    snprintf(query, sizeof query, "getSeries?SeriesInstanceUID=%s", p->series);
    rc = vivo_nbia_ask(n, query, body.max, &body, op);
    if (rc == 0)
        rc = has_row(&body, "SeriesInstanceUID", p->series, &any, &found, op);
    return rc ? rc : found;
}

/* ---- fetch ------------------------------------------------------------------ */

/* Refusals that say nothing about a network or a token. */
static bool is_refusal(int rc, int status)
{
    return (rc == -EIO || rc == -ENOENT) && status >= 400 && status != 429 &&
           status != 502 && status != 503 && status != 504;
}

/* The failure of a request for an image, explained. */
static int explain(struct nbia *n, const struct nbia_place *p, bool *listed,
                   struct vivo_op *op)
{
    struct vivo_err why = op->err;
    vivo_err_clear(&op->err);
    int rc = is_listed(n, p, op);
    *listed = rc == 1;
    if (rc == 0)
        return vivo_fail(&op->err, ENOENT, "the archive does not list this image");
    if (rc < 0)
        return rc;
    return vivo_fail(&op->err, EIO, "an image that the archive lists cannot be had: %s",
                     why.text);
}

/* Out of the zip of its series. */
static int fetch_bundled(struct nbia *n, const struct nbia_place *p,
                         struct vivo_delivery *to, struct vivo_op *op)
{
    struct nbia_bundle *b = NULL;
    int rc = vivo_nbia_bundle_get(n, p->series, &b, op);
    if (rc)
        return rc;
    rc = vivo_nbia_bundle_send(b, p->instance, &to->sink, op);
    vivo_nbia_bundle_put(n, b);
    return rc;
}

/* By another version, else out of the zip; `first` says why not if both fail. */
static int fetch_otherwise(struct nbia *n, enum nbia_version v,
                           const struct nbia_place *p, struct vivo_delivery *to,
                           struct vivo_op *op)
{
    struct vivo_err first = op->err;
    enum nbia_version old = vivo_nbia_old_version(n);
    int status = 0;
    int rc = -first.errnum;
    vivo_err_clear(&op->err);
    if (v != old) {
        rc = get_image(n, old, p, to, &status, op);
        if (rc == 0)
            atomic_store(&n->old_image, true);
        if (!is_refusal(rc, status))
            return rc;
        vivo_err_clear(&op->err);
    }
    rc = fetch_bundled(n, p, to, op);
    if (rc != -EIO)
        return rc;
    op->err = first;
    return -first.errnum;
}

int vivo_nbia_fetch(struct vivo_archive *self, const char *locator,
                    struct vivo_delivery *to, struct vivo_op *op)
{
    struct nbia *n = nbia_of(self);
    struct nbia_place p;
    int status = 0;
    bool listed = false;
    int rc = vivo_nbia_place_read(locator, VIVO_LEVEL_INSTANCE, &p, &op->err);
    if (rc == 0 && !atomic_load(&n->version))
        rc = vivo_nbia_settle(n, op);
    if (rc)
        return rc;
    struct nbia_bundle *kept = vivo_nbia_bundle_kept(n, p.series);
    if (kept) {
        rc = vivo_nbia_bundle_send(kept, p.instance, &to->sink, op);
        vivo_nbia_bundle_put(n, kept);
        if (rc != -ENOENT)
            return rc;
        vivo_err_clear(&op->err);
    }
    enum nbia_version v = vivo_nbia_image_version(n);
    rc = get_image(n, v, &p, to, &status, op);
    if (!is_refusal(rc, status))
        return rc;
    rc = explain(n, &p, &listed, op);
    return listed ? fetch_otherwise(n, v, &p, to, op) : rc;
}
