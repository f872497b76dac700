/* SPDX-License-Identifier: Apache-2.0 */
/* src/flow/work.c -- work that takes its time without the archive: a flight like any
 * other, so that those who want the same wait together and no FUSE thread does. */
#include "flow/internal.h"

#include <errno.h>

struct work {
    vivo_work_fn *fn;
    void (*drop)(void *ctx);
    void *ctx;
};

static int run_work(struct vivo_flight *flight)
{
    const struct work *w = flight->ctx;
    return w->fn(w->ctx, &flight->op.err);
}

static void drop_work(struct vivo_flight *flight)
{
    struct work *w = flight->ctx;
    w->drop(w->ctx);
    free(w);
}

int vivo_flow_work(struct vivo_flow *f, uint64_t id, vivo_work_fn *fn,
                   void (*drop)(void *ctx), void *ctx, struct vivo_op *op)
{
    struct work *w = malloc(sizeof *w);
    if (!w) {
        drop(ctx);
        return vivo_fail(&op->err, ENOMEM, "out of memory");
    }
    *w = (struct work){fn, drop, ctx};
    struct flight_plan plan = {
        .key = {.kind = FLIGHT_WORK, .extra = id},
        .run = run_work,
        .ctx = w,
        .drop = drop_work,
    };
    return flight_join(f, &plan, op);
}
