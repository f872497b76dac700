/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/dicomweb_bundle.c -- all objects of a series by one request.
 *
 * WADO-RS, PS3.18 section 10.4: a multipart reply, split as it comes. Parts do not say
 * which object they are, and come in any order; each is looked into. Only an object
 * that its boundary follows is handed on, so that a cut reply has all its whole ones.
 */
#include "dicomweb.h"
#include "multipart.h"
#include "parcel.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct arrival {
    struct vivo_sink sink; /* first: what net writes to */
    struct vivo_net_reply reply;
    bool started;
    struct vivo_multipart multipart;
    struct vivo_parcel parcel;
    struct dicomweb_place series;
    struct dicomweb_natives natives; /* on Orthanc: parts of its locators */
    struct vivo_bundle *to;
};

/* ---- as it comes ------------------------------------------------------------ */

static int begin_part(void *ctx, const char *type, struct vivo_err *err)
{
    struct arrival *a = ctx;
    (void)type;
    return vivo_parcel_begin(&a->parcel, err);
}

static int part_bytes(void *ctx, const void *data, size_t len, struct vivo_err *err)
{
    struct arrival *a = ctx;
    return vivo_parcel_push(&a->parcel, data, len, err);
}

static int end_part(void *ctx, struct vivo_err *err)
{
    struct arrival *a = ctx;
    return vivo_parcel_end(&a->parcel, err);
}

static int hand_on(void *ctx, const char *uid, struct vivo_err *err)
{
    struct arrival *a = ctx;
    char locator[DICOMWEB_LOCATOR_MAX];
    const struct dicomweb_native *native =
        a->natives.n ? vivo_dicomweb_natives_find(&a->natives, uid) : NULL;
    if (!vivo_dicomweb_uid_ok(uid) || (a->natives.n && !native)) /* of no locator */
        return a->to->sink.restart(&a->to->sink, err);
    struct dicomweb_place p = a->series;
    snprintf(p.instance, sizeof p.instance, "%s", uid);
    if (native)
        snprintf(p.orthanc, sizeof p.orthanc, "%s", native->id);
    vivo_dicomweb_place_write(&p, locator);
    return a->to->whole(a->to, locator, err);
}

static int write_arrival(struct vivo_sink *self, const void *data, size_t len,
                         struct vivo_err *err)
{
    struct arrival *a = (struct arrival *)self; /* first member */
    const struct vivo_multipart_to to = {begin_part, part_bytes, end_part, a};
    int rc = a->started
                 ? 0
                 : vivo_multipart_init(&a->multipart, a->reply.content_type, &to, err);
    a->started = true;
    a->to->alive(a->to, len);
    return rc ? rc : vivo_multipart_push(&a->multipart, data, len, err);
}

static int finish_arrival(const struct arrival *a, struct vivo_err *err)
{
    if (!a->started)
        return vivo_fail(err, EIO, "the server sent nothing");
    int rc = vivo_multipart_finish(&a->multipart, err);
    if (rc == 0 && a->reply.status == 206)
        rc = vivo_fail(err, EIO, "the server sent only some of the objects");
    return rc;
}

/* ---- the request ------------------------------------------------------------ */

static int get_series(struct dicomweb *d, struct arrival *a, struct vivo_op *op)
{
    char url[2048];
    if (snprintf(url, sizeof url, "%s/studies/%s/series/%s", d->url, a->series.study,
                 a->series.series) >= (int)sizeof url)
        return vivo_fail(&op->err, EINVAL, "dicomweb: URL too long");
    const struct vivo_net_request rq = {.url = url,
                                        .accept = DICOMWEB_MULTIPART,
                                        .bearer = d->bearer,
                                        .max_bytes = DICOMWEB_OBJECT_BYTES,
                                        .close_ends = true,
                                        .on_caller = true};
    atomic_fetch_add(&d->base.requests, 1);
    int rc = vivo_net_fetch(d->base.net, &rq, &a->sink, &a->reply, op);
    atomic_fetch_add(&d->base.bytes, a->reply.received);
    if (rc && vivo_dicomweb_is_refusal(a->reply.status))
        atomic_store(&d->no_bundle, true);
    return rc ? rc : finish_arrival(a, &op->err);
}

int vivo_dicomweb_bundle(struct vivo_archive *self, const char *series,
                         struct vivo_bundle *to, struct vivo_op *op)
{
    struct dicomweb *d = dicomweb_of(self);
    struct arrival a = {.sink.write = write_arrival, .to = to};
    a.parcel = (struct vivo_parcel){.to = &to->sink, .done = hand_on, .ctx = &a};
    int rc = vivo_dicomweb_place_read(series, VIVO_LEVEL_SERIES, &a.series, &op->err);
    if (rc)
        return rc;
    if (atomic_load(&d->no_bundle) || atomic_load(&d->single_part))
        return vivo_fail(&op->err, EIO, "the server gives objects one by one");
    rc = vivo_dicomweb_is_orthanc(d, op);
    if (rc > 0)
        rc = vivo_dicomweb_natives_get(d, &a.series, &a.natives, op);
    if (rc == 0 && a.natives.several)
        rc = vivo_fail(&op->err, EIO,
                       "patients share the UIDs of this series: its objects cannot be "
                       "told apart");
    if (rc == 0)
        rc = get_series(d, &a, op);
    vivo_multipart_free(&a.multipart);
    vivo_parcel_free(&a.parcel);
    vivo_dicomweb_natives_free(&a.natives);
    return rc;
}
