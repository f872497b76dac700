/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/xnat_fetch.c -- the bytes of one file.
 *
 * XNAT answers no ranges, and its sizes and digests are those of a catalogue that may
 * be behind the files: what counts is the length of the reply. Of a scan that is read
 * in order there is the zip (xnat_bundle.c). */
#include "http_object.h"
#include "xnat.h"

struct fetching {
    struct xnat *x;
    struct vivo_delivery *to;
    struct vivo_http_object o;
};

static int ask_object(void *ctx, const struct vivo_net_request *rq,
                      struct vivo_net_reply *reply, struct vivo_op *op)
{
    struct fetching *f = ctx;
    struct vivo_net_request full = *rq;
    full.max_bytes = XNAT_OBJECT_BYTES;
    vivo_http_object_free(&f->o);
    int rc = vivo_http_object_begin(&f->o, NULL, f->to, &op->err);
    if (rc)
        return rc;
    atomic_fetch_add(&f->x->base.requests, 1);
    rc = vivo_net_fetch(f->x->base.net, &full, &f->o.sink, &f->o.reply, op);
    atomic_fetch_add(&f->x->base.bytes, f->o.reply.received);
    *reply = f->o.reply;
    return rc ? rc : vivo_http_object_finish(&f->o, &op->err);
}

int vivo_xnat_fetch(struct vivo_archive *self, const char *locator,
                    struct vivo_delivery *to, struct vivo_op *op)
{
    struct fetching f = {.x = xnat_of(self), .to = to};
    struct vivo_net_reply reply;
    struct xnat_place p;
    char path[XNAT_URL_MAX];
    int rc = vivo_xnat_place_read(locator, VIVO_LEVEL_INSTANCE, &p, &op->err);
    if (rc)
        return rc;
    vivo_xnat_file_path(&p, path);
    rc = vivo_xnat_ask(f.x, path, ask_object, &f, &reply, op);
    vivo_http_object_free(&f.o);
    return rc ? vivo_fail_in(&op->err, "a file") : 0;
}
