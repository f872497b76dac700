/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/xnat_fetch.c -- the bytes of one file, and headers of the files of a
 * scan.
 *
 * XNAT answers no ranges, and its sizes and digests are those of a catalogue that may
 * be behind the files: what counts is the length of the reply. Of a scan that is read
 * in order there is the zip (xnat_bundle.c). */
#include "header_range.h"
#include "http_object.h"
#include "xnat.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void file_path(const struct xnat_place *p, char out[XNAT_URL_MAX])
{
    char session[3 * XNAT_ID_MAX + 1], scan[12 * XNAT_ID_MAX + 1];
    char resource[3 * XNAT_ID_MAX + 1], file[3 * XNAT_FILE_MAX + 4];
    vivo_xnat_encode(p->session, false, session, sizeof session);
    vivo_xnat_encode_scan(p->scan, scan, sizeof scan);
    vivo_xnat_encode(p->resource, false, resource, sizeof resource);
    vivo_xnat_encode(p->file, true, file, sizeof file);
    snprintf(out, XNAT_URL_MAX, "/data/experiments/%.*s/scans/%.*s%s%s/files/%s",
             3 * XNAT_ID_MAX, session, 3 * XNAT_ID_MAX, scan,
             p->resource[0] ? "/resources/" : "", resource, file);
}

/* ---- fetch ------------------------------------------------------------------------
 */

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
    file_path(&p, path);
    rc = vivo_xnat_ask(f.x, path, ask_object, &f, &reply, op);
    vivo_http_object_free(&f.o);
    return rc ? vivo_fail_in(&op->err, "a file of a scan") : 0;
}

/* ---- headers ----------------------------------------------------------------------
 */

struct looking {
    struct xnat *x;
    struct vivo_intake *in;
    struct vivo_ranged_header header;
};

static int ask_header(void *ctx, const struct vivo_net_request *rq,
                      struct vivo_net_reply *reply, struct vivo_op *op)
{
    struct looking *l = ctx;
    vivo_ranged_header_free(&l->header);
    l->header = (struct vivo_ranged_header){0};
    int rc = vivo_header_range(&l->x->base, rq, &l->header, op);
    *reply = l->header.reply;
    return rc;
}

static int look_at(void *ctx, const struct xnat_file *f, struct vivo_op *op)
{
    struct looking *l = ctx;
    struct vivo_net_reply reply;
    char path[XNAT_URL_MAX];
    char locator[XNAT_LOCATOR_MAX];
    vivo_xnat_place_write(&f->place, VIVO_LEVEL_INSTANCE, locator);
    if (!f->dicom) /* else it were gone */
        return vivo_xnat_extra(l->in, f, locator, &op->err);
    l->in->alive(l->in);
    file_path(&f->place, path);
    int rc = vivo_xnat_ask(l->x, path, ask_header, l, &reply, op);
    if (rc)
        return vivo_fail_in(&op->err, "the header of a file of a scan");
    if (!l->header.object) {
        l->in->other(l->in, locator, f->version);
        return 0;
    }
    const struct vivo_record rec = {
        .level = VIVO_LEVEL_INSTANCE,
        .locator = locator,
        .key = f->key,
        .label = vivo_xnat_file_label(f),
        .version = f->version[0] ? f->version : NULL,
        .size = l->header.size ? l->header.size : f->size,
        .size_about = true,
        .attrs = {l->header.attrs.data, l->header.attrs.len},
        .headers = true};
    return l->in->record(l->in, &rec, &op->err);
}

int vivo_xnat_headers(struct vivo_archive *self, const char *series,
                      struct vivo_intake *in, struct vivo_op *op)
{
    struct looking l = {.x = xnat_of(self), .in = in};
    struct xnat_place scan;
    int rc = vivo_xnat_place_read(series, VIVO_LEVEL_SERIES, &scan, &op->err);
    if (rc == 0)
        rc = vivo_xnat_files(l.x, &scan, look_at, &l, op);
    vivo_ranged_header_free(&l.header);
    return rc;
}
