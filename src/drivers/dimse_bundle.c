/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/dimse_bundle.c -- all objects of a series by one C-GET, or one C-MOVE,
 * each passed on as it comes.
 *
 * The listing says which objects there are, and as what each would be fetched by
 * itself: in the same presentation contexts it comes with the same bytes. What the
 * server cannot send so is left to fetch(), which offers other kinds. */
#include "dimse.h"

#include <errno.h>
#include <string.h>

struct passing { /* an object's bytes into the bundle */
    struct vivo_delivery base;
    struct vivo_bundle *to;
};

struct asking { /* for the members */
    struct vivo_intake base;
    struct vivo_bundle *to;
};

struct loading {
    struct vivo_dimse_taker base;
    struct passing passing;
    struct vivo_bundle *to;
    struct dimse_members *members;
    struct dimse_member *now; /* being received; NULL = of no use */
    struct dimse_object object;
    bool begun;
    size_t came;
    int verdict; /* of to->whole, which may be anything but 0 */
};

static struct loading *loading_of(struct vivo_dimse_taker *self)
{
    return (struct loading *)self; /* first member */
}

static int pass_bytes(struct vivo_sink *self, const void *data, size_t len,
                      struct vivo_err *err)
{
    struct vivo_bundle *to = ((struct passing *)self)->to; /* first of its first */
    return to->sink.write(&to->sink, data, len, err);
}

static void stay_alive(struct vivo_intake *self)
{
    struct vivo_bundle *to = ((struct asking *)self)->to; /* first member */
    to->alive(to, 0);
}

/* ---- what comes -------------------------------------------------------------------
 */

static int begin(struct vivo_dimse_taker *self, const char *sop_class,
                 const char *sop_instance, const char *syntax, struct vivo_err *err)
{
    struct loading *l = loading_of(self);
    l->begun = true;
    l->now = vivo_dimse_member(l->members, sop_instance);
    if (l->now && l->now->came)
        l->now = NULL;
    /* One that was stored since the listing is nobody's yet. */
    return l->now ? vivo_dimse_object_begin(&l->object, l->now->uid, &l->passing.base,
                                            sop_class, syntax, err)
                  : 0;
}

static int take_bytes(struct vivo_dimse_taker *self, const void *data, size_t len,
                      struct vivo_err *err)
{
    struct loading *l = loading_of(self);
    l->to->alive(l->to, len);
    return l->now ? vivo_dimse_object_bytes(&l->object, data, len, err) : 0;
}

static int end(struct vivo_dimse_taker *self, struct vivo_err *err)
{
    struct loading *l = loading_of(self);
    if (!l->now)
        return 0;
    int rc = vivo_dimse_object_end(&l->object, err);
    if (rc)
        return rc;
    l->now->came = true;
    l->came++;
    l->verdict = l->to->whole(l->to, l->now->locator, err);
    return l->verdict ? -EINTR : 0;
}

/* ---- the request --------------------------------------------------------------------
 */

/* The counters are the server's view; what came is ours, and counts. */
static int judge(const struct loading *l, const struct vivo_dimse_result *r,
                 struct vivo_err *err)
{
    if (l->came == l->members->n)
        return 0;
    return vivo_fail(err, EIO,
                     "%zu of %zu objects of the series came (status %04X; by the "
                     "server's count %u sent, %u failed, %u with warnings)",
                     l->came, l->members->n, r->status, r->completed, r->failed,
                     r->warning);
}

int vivo_dimse_bring_all(struct dimse *d, const char *series,
                         struct dimse_members *members, struct vivo_bundle *to,
                         struct vivo_op *op)
{
    struct loading l = {.base = {.begin = begin, .bytes = take_bytes, .end = end},
                        .passing = {{.sink.write = pass_bytes}, to},
                        .to = to,
                        .members = members};
    struct vivo_dimse_result result;
    struct dimse_place place;
    struct dimse_request rq = {
        .place = &place, .kind = members->kind, .to = &l.base, .begun = &l.begun};
    int rc = vivo_dimse_place_read(series, VIVO_LEVEL_SERIES, &place, &op->err);
    if (rc == 0)
        rc = vivo_dimse_bring(d, &rq, &result, op);
    vivo_gate_free(&l.object.gate);
    if (l.verdict || l.object.verdict)
        return l.verdict ? l.verdict : l.object.verdict;
    return rc ? rc : judge(&l, &result, &op->err);
}

int vivo_dimse_bundle(struct vivo_archive *self, const char *series,
                      struct vivo_bundle *to, struct vivo_op *op)
{
    struct dimse_members members = {.n = 0};
    struct asking asking = {{.alive = stay_alive}, to};
    int rc = vivo_dimse_members(self, series, &asking.base, &members, op);
    if (rc == 0)
        rc = vivo_dimse_bring_all(dimse_of(self), series, &members, to, op);
    vivo_dimse_members_free(&members);
    return rc;
}
