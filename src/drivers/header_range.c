/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/header_range.c -- see header_range.h. */
#include "header_range.h"

#include <errno.h>
#include <string.h>

#define BODY_MAX (UINT64_C(1) << 40)

struct asking {
    struct vivo_sink sink; /* first member */
    struct vivo_ranged_header *out;
    struct vivo_net_reply reply;
    struct vivo_beginning got;
    uint64_t start; /* of what the request under way brings */
    uint64_t asked; /* it may bring; UINT64_MAX: everything */
    bool taking;    /* the reply under way has been looked at */
    bool ended;     /* we ended it ourselves */
};

static struct asking *asking_of(struct vivo_sink *s)
{
    return (struct asking *)s; /* first member */
}

/* ---- receiving ----------------------------------------------------------------- */

/* Before the first byte of a reply is taken. */
static int look_at_reply(struct asking *k, struct vivo_err *err)
{
    const struct vivo_net_reply *first = &k->out->reply;
    k->taking = true;
    if (k->reply.encoded)
        return vivo_fail(err, EIO, "the server sends it compressed, unasked");
    if (k->start > 0 && (strcmp(first->etag, k->reply.etag) != 0 ||
                         strcmp(first->modified, k->reply.modified) != 0 ||
                         first->total != k->reply.total))
        return vivo_fail(err, EIO, "the object changed while its header was read");
    if (k->reply.status == 206)
        return 0;
    k->start = 0;
    k->asked = UINT64_MAX;
    k->got.next =
        VIVO_MAX((uint64_t)VIVO_BEGINNING_FIRST, k->got.len * VIVO_BEGINNING_GROWTH);
    vivo_beginning_cut(&k->got, 0);
    return 0;
}

static int take(struct vivo_sink *self, const void *data, size_t len,
                struct vivo_err *err)
{
    struct asking *k = asking_of(self);
    int rc = k->taking ? 0 : look_at_reply(k, err);
    if (rc)
        return rc;
    if (k->got.len - k->start + len > k->asked)
        return vivo_fail(err, EIO, "the server sent more than the range asked for");
    if (k->asked != UINT64_MAX)
        return vivo_beginning_keep(&k->got, data, len, err);
    rc = vivo_beginning_stream(&k->got, data, len, err);
    if (rc <= 0)
        return rc;
    k->ended = true;
    return vivo_fail(err, EINTR, "the rest is not wanted");
}

static int restart(struct vivo_sink *self, struct vivo_err *err)
{
    struct asking *k = asking_of(self);
    (void)err;
    vivo_beginning_cut(&k->got, k->start);
    k->taking = false;
    return 0;
}

/* ---- asking -------------------------------------------------------------------- */

/* One range; *whole: the object ends with what there is now. */
static int ask(struct vivo_archive *a, struct asking *k,
               const struct vivo_net_request *rq, uint64_t upto, bool *whole,
               struct vivo_op *op)
{
    struct vivo_net_request ranged = *rq;
    k->start = k->got.len;
    k->asked = upto - k->got.len;
    k->taking = k->ended = false;
    ranged.range_first = k->start;
    ranged.range_len = k->asked;
    ranged.max_bytes = BODY_MAX;
    atomic_fetch_add(&a->requests, 1);
    int rc = vivo_net_fetch(a->net, &ranged, &k->sink, &k->reply, op);
    atomic_fetch_add(&a->bytes, k->reply.received);
    if (k->start == 0)
        k->out->reply = k->reply;
    *whole = true;
    if (rc && k->ended) {
        vivo_err_clear(&op->err);
        return 0;
    }
    /* Nothing satisfies a range of an empty file. */
    if (rc && k->reply.status == 416 && k->start == 0) {
        vivo_err_clear(&op->err);
        return 0;
    }
    if (rc || k->asked == UINT64_MAX)
        return rc;
    *whole = k->reply.total >= 0 ? k->got.len >= (uint64_t)k->reply.total
                                 : k->got.len < upto;
    if (!*whole && k->got.len == k->start)
        return vivo_fail(&op->err, EIO, "an empty range of an object");
    return 0;
}

static int read_beginning(struct vivo_archive *a, struct asking *k,
                          const struct vivo_net_request *rq, struct vivo_op *op)
{
    uint64_t upto = VIVO_BEGINNING_FIRST;
    while (k->got.is == VIVO_BEGINNING_MORE) {
        bool whole = false;
        int rc = ask(a, k, rq, upto, &whole, op);
        if (rc == 0 && !k->ended)
            rc = vivo_beginning_try(&k->got, whole, &op->err);
        if (rc)
            return rc;
        upto = VIVO_MIN(VIVO_MAX(upto, k->got.len) * VIVO_BEGINNING_GROWTH,
                        VIVO_BEGINNING_MAX);
    }
    return 0;
}

int vivo_header_range(struct vivo_archive *a, const struct vivo_net_request *rq,
                      struct vivo_ranged_header *out, struct vivo_op *op)
{
    struct asking k = {.sink = {.write = take, .restart = restart}, .out = out};
    *out = (struct vivo_ranged_header){0};
    vivo_beginning_init(&k.got);
    int rc = read_beginning(a, &k, rq, op);
    out->object = rc == 0 && k.got.is == VIVO_BEGINNING_OBJECT;
    out->foreign = rc == 0 && k.got.foreign;
    out->why = k.got.why;
    out->attrs = k.got.attrs;
    k.got.attrs = (struct vivo_buf){0};
    if (rc == 0 && out->reply.total > 0)
        out->size = (uint64_t)out->reply.total;
    vivo_beginning_free(&k.got);
    return rc;
}

void vivo_ranged_header_free(struct vivo_ranged_header *h)
{
    vivo_buf_free(&h->attrs);
}
