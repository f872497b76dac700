/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/file_object.c -- see file_object.h. */
#include "file_object.h"
#include "http_object.h"

#include "gate.h"

#include "vivofs/dcm.h"

#include <errno.h>

#define PROBE_BYTES 4096u
#define OBJECT_BYTES (UINT64_C(1) << 40)

struct arrival {
    struct vivo_sink sink; /* first member */
    struct vivo_net_reply reply;
    struct vivo_delivery *to;
    uint8_t held[PROBE_BYTES]; /* the beginning, until it is looked at */
    size_t nheld;
    bool begun, passed, ftp; /* ftp: sizes are those of a listing */
};

static struct arrival *arrival_of(struct vivo_sink *s)
{
    return (struct arrival *)s; /* first member */
}

static int check_head(const struct arrival *a, struct vivo_err *err)
{
    if (a->reply.status == 206)
        return vivo_fail(err, EIO, "the server sent only a part of what was asked for");
    if (a->reply.encoded)
        return vivo_fail(err, EIO, "the server sends it compressed, unasked");
    if (a->to->extra && vivo_gate_is_page(a->to, a->reply.content_type))
        return vivo_fail(err, EIO, "the server answers a page for people, not a file");
    return 0;
}

static int pass_held(struct arrival *a, struct vivo_err *err)
{
    if (!a->to->extra &&
        (a->nheld == 0 || !vivo_dcm_probe(a->held, a->nheld, UINT64_MAX)))
        return vivo_fail(err, EBADMSG, "what came is not a DICOM object");
    a->passed = true;
    if (a->nheld == 0)
        return 0;
    return a->to->sink.write(&a->to->sink, a->held, a->nheld, err);
}

static int take(struct vivo_sink *self, const void *data, size_t len,
                struct vivo_err *err)
{
    struct arrival *a = arrival_of(self);
    const uint8_t *p = data;
    int rc = a->begun ? 0 : check_head(a, err);
    a->begun = true;
    a->to->total = a->ftp ? 0 : vivo_reply_total(&a->reply);
    if (rc == 0 && !a->passed) {
        size_t n = VIVO_MIN(len, PROBE_BYTES - a->nheld);
        memcpy(a->held + a->nheld, p, n);
        a->nheld += n;
        p += n;
        len -= n;
        if (a->nheld == PROBE_BYTES)
            rc = pass_held(a, err);
    }
    return rc == 0 && len > 0 ? a->to->sink.write(&a->to->sink, p, len, err) : rc;
}

static int restart(struct vivo_sink *self, struct vivo_err *err)
{
    struct arrival *a = arrival_of(self);
    bool gave = a->passed;
    a->nheld = 0;
    a->begun = a->passed = false;
    return gave ? a->to->sink.restart(&a->to->sink, err) : 0;
}

int vivo_file_object(struct vivo_archive *a, const struct vivo_net_request *rq,
                     struct vivo_delivery *to, struct vivo_net_reply *reply,
                     struct vivo_op *op)
{
    struct arrival arrival = {
        .sink = {.write = take, .restart = to->sink.restart ? restart : NULL},
        .to = to,
        .ftp = rq->ftp};
    struct vivo_net_request all = *rq;
    all.max_bytes = OBJECT_BYTES;
    atomic_fetch_add(&a->requests, 1);
    int rc = vivo_net_fetch(a->net, &all, &arrival.sink, &arrival.reply, op);
    atomic_fetch_add(&a->bytes, arrival.reply.received);
    if (reply)
        *reply = arrival.reply;
    /* A file shorter than the probe is looked at when it has ended. */
    return rc == 0 && !arrival.passed ? pass_held(&arrival, &op->err) : rc;
}
