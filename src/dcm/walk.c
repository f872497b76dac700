/* SPDX-License-Identifier: Apache-2.0 */
/* src/dcm/walk.c -- the walker's intake: bytes come in by push, are skipped, are
 * handed to the step of the current state in place, or are carried over when they
 * are too few for it; deflated streams pass through the inflater first.
 *
 * Invariant between calls: either the carry is empty, or it holds [pos, in). */
#include "walk.h"

#include "vivofs/file.h"

#include <errno.h>
#include <string.h>

/* DESIGN D7: against bombs. The ratio is judged once there is something to judge:
 * small blank images really are 1000 times smaller. */
static const uint64_t inflate_max = 4ull << 30;
static const uint64_t ratio_max = 1000;
static const uint64_t ratio_from = 16u << 20;

int vivo_dcm_walk_new(const struct vivo_syntax *syntax, unsigned flags,
                      uint32_t value_max, int inflated, vivo_dcm_event_fn *fn,
                      void *ctx, struct vivo_dcm_walk **out, struct vivo_err *err)
{
    struct vivo_dcm_walk *w = malloc(sizeof *w);

    if (!w)
        return vivo_fail(err, ENOMEM, "walker: out of memory");
    /* The frames, which are most of it, are set when they open. */
    memset(w, 0, offsetof(struct vivo_dcm_walk, frame));
    w->frame[0] = (struct walk_frame){0};
    w->fn = fn;
    w->ctx = ctx;
    w->flags = flags;
    w->value_max = value_max ? value_max : VIVO_DCM_VALUE_MAX;
    w->inflated = inflated;
    w->state = WALK_START;
    w->declared = syntax;
    w->frames = 1;
    w->frame[0].end = w->frame[0].limit = UINT64_MAX;
    /* One value with its header, or the look-ahead at the start. */
    vivo_buf_init(&w->carry, VIVO_MAX(w->value_max, VIVO_DCM_VALUE_MAX) + (size_t)256);
    vivo_buf_init(&w->head, 4 * (size_t)VIVO_DCM_VALUE_MAX);
    *out = w;
    return 0;
}

void vivo_dcm_walk_free(struct vivo_dcm_walk *w)
{
    if (!w)
        return;
    vivo_inflate_free(w->inflate);
    vivo_buf_free(&w->carry);
    vivo_buf_free(&w->head);
    free(w);
}

static int step(struct vivo_dcm_walk *w, const uint8_t *p, size_t n,
                struct vivo_err *err)
{
    switch (w->state) {
    case WALK_DATA:
        return vivo_dcm_walk_data(w, p, n, err);
    case WALK_BULK:
        return vivo_dcm_walk_pending(w, err);
    case WALK_FRAGMENTS:
        return vivo_dcm_walk_fragments(w, p, n, err);
    case WALK_START:
        return vivo_dcm_walk_start(w, p, n, err);
    case WALK_META:
        return vivo_dcm_walk_meta(w, p, n, err);
    case WALK_SETTLE:
        return vivo_dcm_walk_settle(w, p, n, err);
    case WALK_PADDING:
        return vivo_dcm_walk_padding(w, p, n, err);
    case WALK_NONE:
    case WALK_DEFLATED:
    case WALK_ENDED:
    case WALK_STOPPED:
    case WALK_FAILED:
        break;
    }
    return vivo_fail(err, EINVAL, "walker: bytes after its end");
}

static bool is_over(const struct vivo_dcm_walk *w)
{
    return w->state >= WALK_ENDED;
}

/* Nothing more can be done with the bytes at hand in this state. */
static bool must_return(const struct vivo_dcm_walk *w)
{
    return is_over(w) || (w->state == WALK_DEFLATED && !w->inflate);
}

/* Steps over [p, p+n), which is at w->pos, as far as it goes. *used = bytes that
 * are done with (more than n if a value is skipped that reaches further). */
static int run(struct vivo_dcm_walk *w, const uint8_t *p, size_t n, uint64_t *used,
               struct vivo_err *err)
{
    const uint64_t from = w->pos;
    int rc = 0;

    while (!must_return(w)) {
        uint64_t done = w->pos - from;
        if (done > n)
            break;
        rc = step(w, p + done, n - (size_t)done, err);
        if (rc)
            break;
    }
    *used = w->pos - from;
    return rc;
}

static int carry_add(struct vivo_dcm_walk *w, const uint8_t *p, size_t n,
                     struct vivo_err *err)
{
    int rc = vivo_buf_add(&w->carry, p, n);

    if (rc)
        return vivo_fail(err, -rc, "walker: no memory for a value");
    w->in += n;
    return 0;
}

static void carry_drop(struct vivo_dcm_walk *w, uint64_t n)
{
    struct vivo_buf *c = &w->carry;

    if (n >= c->len) {
        vivo_buf_clear(c);
        return;
    }
    memmove(c->data, c->data + n, c->len - (size_t)n);
    c->len -= (size_t)n;
}

/* Tops the carry up to what the step asked for and steps over it. */
static int feed_carry(struct vivo_dcm_walk *w, const uint8_t **p, size_t *n,
                      struct vivo_err *err)
{
    size_t want = w->need > w->carry.len ? w->need - w->carry.len : 0;
    size_t take = VIVO_MIN(want, *n);
    uint64_t used;
    int rc = carry_add(w, *p, take, err);

    if (rc)
        return rc;
    *p += take;
    *n -= take;
    if (take < want)
        return 0;
    rc = run(w, w->carry.data, w->carry.len, &used, err);
    carry_drop(w, used);
    return rc == STEP_MORE ? 0 : rc;
}

/* Bytes at w->in, of the stream as it is walked. Returns with *left > 0 only when
 * the walk is over or the rest is to be inflated. */
static int feed(struct vivo_dcm_walk *w, const uint8_t *p, size_t n, size_t *left,
                struct vivo_err *err)
{
    int rc = 0;

    while (n > 0 && rc == 0 && !must_return(w)) {
        uint64_t used;
        if (w->carry.len > 0) {
            rc = feed_carry(w, &p, &n, err);
            continue;
        }
        if (w->in < w->pos) {
            size_t skip = (size_t)VIVO_MIN((uint64_t)n, w->pos - w->in);
            p += skip;
            n -= skip;
            w->in += skip;
            continue;
        }
        rc = run(w, p, n, &used, err);
        used = VIVO_MIN(used, (uint64_t)n);
        p += used;
        n -= (size_t)used;
        w->in += used;
        if (rc == STEP_MORE) {
            rc = carry_add(w, p, n, err);
            n = 0;
        }
    }
    /* A value that was skipped ends just here: it is due without another byte. */
    if (rc == 0 && n == 0 && w->state == WALK_BULK && w->in == w->pos)
        rc = vivo_dcm_walk_pending(w, err);
    *left = n;
    return rc;
}

/* ---- deflated (PS3.5 section A.5) ------------------------------------------- */

struct sink {
    struct vivo_dcm_walk *w;
    struct vivo_err *err;
    int rc;
};

static int take_inflated(void *ctx, const void *data, size_t len)
{
    struct sink *s = ctx;
    struct vivo_dcm_walk *w = s->w;
    uint64_t total = w->in - w->inflate_from + len;
    size_t left;

    if (total > inflate_max ||
        (total > ratio_from && total / ratio_max > w->inflate_in))
        s->rc =
            vivo_fail(s->err, EBADMSG, "deflated data set: grows beyond every measure");
    if (s->rc == 0 && w->inflated >= 0)
        s->rc = vivo_pwrite_full(w->inflated, data, len, w->in, s->err);
    if (s->rc == 0)
        s->rc = feed(w, data, len, &left, s->err);
    return s->rc ? -EIO : 0;
}

static int inflate_more(struct vivo_dcm_walk *w, const uint8_t *p, size_t n,
                        struct vivo_err *err)
{
    struct sink s = {.w = w, .err = err};
    int rc;

    w->outer += n;
    if (w->inflate_end || n == 0)
        return 0;
    w->inflate_in += n;
    rc = vivo_inflate_push(w->inflate, p, n, take_inflated, &s, &w->inflate_end);
    if (s.rc)
        return s.rc;
    if (rc)
        return vivo_fail(err, -rc, "deflated data set: cannot be inflated");
    return 0;
}

/* The meta is over at w->pos: from here on bytes go through the inflater. What is
 * in the carry belongs to it already. */
static int begin_inflating(struct vivo_dcm_walk *w, struct vivo_err *err)
{
    struct vivo_buf carried = w->carry;
    int rc = vivo_inflate_new(&w->inflate);

    if (rc)
        return vivo_fail(err, -rc, "walker: out of memory");
    vivo_buf_init(&w->carry, carried.max);
    w->outer = w->in = w->inflate_from = w->pos;
    w->state = WALK_SETTLE;
    if (w->inflated >= 0 && w->head.len > 0)
        rc = vivo_pwrite_full(w->inflated, w->head.data, w->head.len, 0, err);
    if (rc == 0)
        rc = inflate_more(w, carried.data, carried.len, err);
    vivo_buf_free(&carried);
    return rc;
}

/* ---- intake ----------------------------------------------------------------- */

static uint64_t wants(const struct vivo_dcm_walk *w)
{
    return w->inflate ? w->outer : VIVO_MAX(w->in, w->pos);
}

uint64_t vivo_dcm_walk_wants(const struct vivo_dcm_walk *w)
{
    return wants(w);
}

/* Keeps the verdict, so that no later call can walk on after a failure. */
static int settle(struct vivo_dcm_walk *w, int rc)
{
    if (rc < 0) {
        w->state = WALK_FAILED;
        w->verdict = rc;
    }
    return rc;
}

static int take(struct vivo_dcm_walk *w, const uint8_t *p, size_t n,
                struct vivo_err *err)
{
    size_t left = n;
    int rc;

    if (w->inflate)
        return inflate_more(w, p, n, err);
    w->in = wants(w);
    rc = feed(w, p, n, &left, err);
    if (rc || w->state != WALK_DEFLATED)
        return rc;
    rc = begin_inflating(w, err);
    return rc ? rc : inflate_more(w, p + (n - left), left, err);
}

int vivo_dcm_walk_push(struct vivo_dcm_walk *w, uint64_t offset, const void *data,
                       size_t len, struct vivo_err *err)
{
    const uint8_t *p = data;
    uint64_t known = wants(w);
    struct vivo_err own = {0};

    if (w->state == WALK_STOPPED)
        return VIVO_DCM_STOP;
    if (w->state == WALK_FAILED)
        return vivo_fail(err, -w->verdict, "the walk has failed before");
    if (offset > known || w->state == WALK_ENDED)
        return vivo_fail(err, EINVAL, "walker: a gap in the bytes pushed, or its end");
    if (known - offset >= len)
        return 0;
    p += known - offset;
    len -= (size_t)(known - offset);
    return settle(w, take(w, p, len, err ? err : &own));
}

/* May what is pending end with the stream? Only pixel data at the top level: what
 * came after it would be lost elsewhere without notice. */
static bool may_be_cut(const struct vivo_dcm_walk *w)
{
    if (w->frames > 1)
        return false;
    return w->state == WALK_FRAGMENTS ||
           (w->state == WALK_BULK && walk_is_pixels(w->pending.tag));
}

/* The stream ends before w->pos, or before the last fragment did. */
static int cut(struct vivo_dcm_walk *w, uint64_t size, struct vivo_err *err)
{
    struct vivo_dcm_elem *e = &w->pending;

    if (!may_be_cut(w))
        return vivo_fail(
            err, EBADMSG,
            "the stream ends at offset %" PRIu64 ", inside a value or sequence", size);
    e->cut = true;
    if (w->state == WALK_BULK)
        e->length = size - e->value_offset;
    vivo_buf_clear(&w->carry);
    w->pos = size;
    return vivo_dcm_walk_pending(w, err);
}

/* Lets the states that look ahead go on with what there is. */
static int run_carry(struct vivo_dcm_walk *w, struct vivo_err *err)
{
    static const uint8_t nothing[1];
    const uint8_t *p = w->carry.len ? w->carry.data : nothing;
    uint64_t used;
    int rc = run(w, p, w->carry.len, &used, err);

    carry_drop(w, used);
    return rc == STEP_MORE ? 0 : rc;
}

static int finish(struct vivo_dcm_walk *w, uint64_t size, struct vivo_err *err)
{
    int rc = 0;

    w->eof = true;
    if (w->state == WALK_START || w->state == WALK_META)
        rc = run_carry(w, err);
    if (rc == 0 && w->state == WALK_DEFLATED)
        rc = begin_inflating(w, err);
    if (rc || is_over(w))
        return rc;
    if (w->inflate)
        size = w->in;
    if (w->pos > size || w->state == WALK_FRAGMENTS)
        rc = cut(w, size, err);
    else if (w->inflate && !w->inflate_end)
        rc = vivo_fail(err, EBADMSG, "deflated data set: the stream is cut");
    if (rc == 0)
        rc = run_carry(w, err);
    if (rc == 0 && !is_over(w))
        rc = vivo_fail(err, EBADMSG, "the stream ends at offset %" PRIu64 ", too early",
                       size);
    return rc;
}

int vivo_dcm_walk_finish(struct vivo_dcm_walk *w, uint64_t size, struct vivo_err *err)
{
    struct vivo_err own = {0};
    int rc;

    if (w->state == WALK_STOPPED || w->state == WALK_ENDED)
        return 0;
    if (w->state == WALK_FAILED)
        return vivo_fail(err, -w->verdict, "the walk has failed before");
    if (size > wants(w) || size < (w->inflate ? w->outer : w->in))
        return vivo_fail(err, EINVAL, "walker: the end is not where the bytes end");
    if (!err)
        err = &own;
    rc = settle(w, finish(w, size, err));
    return rc == VIVO_DCM_STOP ? 0 : rc;
}
