/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/dicomweb_fetch.c -- the bytes of one object.
 *
 * From Orthanc the stored file; from others WADO-RS (PS3.18 section 10.4) as a
 * multipart reply of exactly one part, or as a single part where that is all there is.
 * `transfer-syntax=*` asks for the object as it is stored: without it the standard
 * lets the server transcode. What comes is looked into as it comes, and no byte is
 * passed on before its SOP Instance UID is the one that was asked for. */
#include "dicomweb.h"
#include "http_object.h"
#include "multipart.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SINGLE "application/dicom; transfer-syntax=*"

struct arrival {
    struct vivo_sink sink; /* what net writes to */
    struct vivo_gate gate;
    const struct vivo_net_reply *reply; /* head is known before the first byte */
    bool started;                       /* the kind of reply is known */
    bool single;                        /* bare object, not multipart */
    unsigned parts;
    struct vivo_multipart multipart;
};

static struct arrival *arrival_of(struct vivo_sink *s)
{
    return (struct arrival *)s;
}

static int object_bytes(void *ctx, const void *data, size_t len, struct vivo_err *err)
{
    struct arrival *a = ctx;
    return vivo_gate_push(&a->gate, data, len, err);
}

/* ---- parts ------------------------------------------------------------------ */

static int begin_part(void *ctx, const char *type, struct vivo_err *err)
{
    struct arrival *a = ctx;
    if (++a->parts > 1)
        return vivo_fail(err, EIO, "the server sent more than one object");
    if (type[0] && !vivo_media_type_is(type, "application/dicom"))
        return vivo_fail(err, EIO, "the server sent a part that is not a DICOM object");
    a->gate.to->total =
        a->multipart.announced > 0 ? (uint64_t)a->multipart.announced : 0;
    return 0;
}

static int end_part(void *ctx, struct vivo_err *err)
{
    (void)ctx;
    (void)err;
    return 0;
}

static int start_arrival(struct arrival *a, struct vivo_err *err)
{
    const struct vivo_multipart_to to = {begin_part, object_bytes, end_part, a};
    const char *type = a->reply->content_type;
    a->started = true;
    if (vivo_media_type_is(type, "application/dicom")) {
        a->single = true;
        a->parts = 1;
        a->gate.to->total = vivo_reply_total(a->reply);
        return a->reply->by_close
                   ? vivo_fail(err, EIO,
                               "object without a length: its end is not certain")
                   : 0;
    }
    return vivo_multipart_init(&a->multipart, type, &to, err);
}

static int write_arrival(struct vivo_sink *self, const void *data, size_t len,
                         struct vivo_err *err)
{
    struct arrival *a = arrival_of(self);
    int rc = a->started ? 0 : start_arrival(a, err);
    if (rc)
        return rc;
    return a->single ? object_bytes(a, data, len, err)
                     : vivo_multipart_push(&a->multipart, data, len, err);
}

static int reset(struct arrival *a, struct vivo_err *err)
{
    vivo_multipart_free(&a->multipart);
    a->multipart = (struct vivo_multipart){0};
    a->started = a->single = false;
    a->parts = 0;
    return vivo_gate_begin(&a->gate, a->gate.uid, a->gate.to, err);
}

static int restart_arrival(struct vivo_sink *self, struct vivo_err *err)
{
    struct arrival *a = arrival_of(self);
    struct vivo_sink *to = &a->gate.to->sink;
    bool gave = a->gate.right;
    int rc = reset(a, err);
    return rc == 0 && gave ? to->restart(to, err) : rc;
}

static int finish_arrival(struct arrival *a, struct vivo_err *err)
{
    if (a->reply->status == 206)
        return vivo_fail(err, EIO, "the server sent only a part of what was asked for");
    if (!a->started)
        return vivo_fail(err, EIO, "the server sent nothing");
    int rc = a->single ? 0 : vivo_multipart_finish(&a->multipart, err);
    if (rc == 0 && a->parts != 1)
        rc = vivo_fail(err, EIO, "the server sent no object");
    if (rc == 0 && !a->gate.right)
        rc = vivo_fail(err, EBADMSG, "the object ends before its SOP Instance UID");
    return rc;
}

/* ---- requests --------------------------------------------------------------- */

static int get(struct dicomweb *d, const char *url, const char *accept, bool close_ends,
               struct vivo_sink *sink, struct vivo_net_reply *reply, struct vivo_op *op)
{
    const struct vivo_net_request rq = {.url = url,
                                        .accept = accept,
                                        .bearer = d->bearer,
                                        .max_bytes = DICOMWEB_OBJECT_BYTES,
                                        .close_ends = close_ends};
    atomic_fetch_add(&d->base.requests, 1);
    int rc = vivo_net_fetch(d->base.net, &rq, sink, reply, op);
    atomic_fetch_add(&d->base.bytes, reply->received);
    if (rc == -EACCES)
        return vivo_fail_in(&op->err,
                            "needs credentials (`vivofs login`, or netrc=FILE)");
    return rc;
}

bool vivo_dicomweb_bare_url(const struct dicomweb *d, const struct dicomweb_place *p,
                            char *url, size_t cap, const char **accept)
{
    bool native = p->orthanc[0] && d->root;
    *accept = native ? NULL : SINGLE;
    int n = native ? snprintf(url, cap, "%s/instances/%s/file", d->root, p->orthanc)
                   : snprintf(url, cap, "%s/studies/%s/series/%s/instances/%s", d->url,
                              p->study, p->series, p->instance);
    return n < (int)cap && (native || atomic_load(&d->single_part));
}

/* Orthanc's file, byte for byte; its id was computed from the object's UIDs. */
static int fetch_native(struct dicomweb *d, const struct dicomweb_place *p,
                        struct vivo_delivery *to, struct vivo_op *op)
{
    char url[2048];
    const char *accept;
    struct vivo_http_object o;
    if (!vivo_dicomweb_bare_url(d, p, url, sizeof url, &accept))
        return vivo_fail(&op->err, EINVAL, "dicomweb: URL too long");
    int rc = vivo_http_object_begin(&o, p->instance, to, &op->err);
    if (rc == 0)
        rc = get(d, url, accept, false, &o.sink, &o.reply, op);
    if (rc == 0)
        rc = vivo_http_object_finish(&o, &op->err);
    vivo_http_object_free(&o);
    return rc;
}

enum outcome { AS_IT_IS, REFUSED, CUT };

/* One WADO-RS request with this Accept. REFUSED: the server does not serve it so. CUT:
 * the connection ended before the closing boundary, which only the parser can tell, and
 * it may be asked for once more. */
static int fetch_as(struct dicomweb *d, const char *url, const char *accept,
                    const char *uid, struct vivo_delivery *to, enum outcome *how,
                    struct vivo_op *op)
{
    struct vivo_net_reply reply = {0};
    struct arrival a = {.reply = &reply, .gate = {.to = to, .uid = uid}};
    a.sink.write = write_arrival;
    a.sink.restart = to->sink.restart ? restart_arrival : NULL;
    *how = AS_IT_IS;
    int rc = reset(&a, &op->err);
    if (rc == 0)
        rc = get(d, url, accept, true, &a.sink, &reply, op);
    if (rc < 0 && (reply.status == 400 || reply.status == 406))
        *how = REFUSED;
    if (rc == 0) {
        rc = finish_arrival(&a, &op->err);
        bool open_end = reply.by_close && reply.status == 200 &&
                        a.multipart.state != VIVO_MULTIPART_EPILOGUE;
        if (rc == -EIO && open_end && (!a.gate.right || to->sink.restart))
            *how = CUT;
    }
    if (*how == CUT) {
        vivo_err_clear(&op->err);
        rc = restart_arrival(&a.sink, &op->err);
    }
    vivo_multipart_free(&a.multipart);
    vivo_gate_free(&a.gate);
    return rc;
}

static int fetch_again(struct dicomweb *d, const char *url, const char *accept,
                       const char *uid, struct vivo_delivery *to, enum outcome *how,
                       struct vivo_op *op)
{
    int rc = fetch_as(d, url, accept, uid, to, how, op);
    if (rc == 0 && *how == CUT)
        rc = fetch_as(d, url, accept, uid, to, how, op);
    if (rc == 0 && *how == CUT)
        rc = vivo_fail(&op->err, EIO, "reply cut before its closing boundary, twice");
    return rc;
}

static int fetch_wado(struct dicomweb *d, const struct dicomweb_place *p,
                      struct vivo_delivery *to, struct vivo_op *op)
{
    char url[2048];
    enum outcome how;
    if (snprintf(url, sizeof url, "%s/studies/%s/series/%s/instances/%s", d->url,
                 p->study, p->series, p->instance) >= (int)sizeof url)
        return vivo_fail(&op->err, EINVAL, "dicomweb: URL too long");
    bool single = atomic_load(&d->single_part);
    int rc = fetch_again(d, url, single ? SINGLE : DICOMWEB_MULTIPART, p->instance, to,
                         &how, op);
    if (how != REFUSED || single)
        return rc;
    vivo_err_clear(&op->err);
    rc = fetch_again(d, url, SINGLE, p->instance, to, &how, op);
    if (rc == 0)
        atomic_store(&d->single_part, true);
    return rc;
}

int vivo_dicomweb_fetch(struct vivo_archive *self, const char *locator,
                        struct vivo_delivery *to, struct vivo_op *op)
{
    struct dicomweb *d = dicomweb_of(self);
    struct dicomweb_place p;
    int rc = vivo_dicomweb_place_read(locator, VIVO_LEVEL_INSTANCE, &p, &op->err);
    if (rc)
        return rc;
    if (p.orthanc[0] && d->root)
        return fetch_native(d, &p, to, op);
    return fetch_wado(d, &p, to, op);
}
