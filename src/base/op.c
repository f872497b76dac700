/* SPDX-License-Identifier: Apache-2.0 */
/* src/base/op.c -- cancellation and deadlines; see include/vivofs/op.h. */
#include "vivofs/op.h"

#include <errno.h>
#include <string.h>
#include <time.h>

int64_t vivo_now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void vivo_op_init(struct vivo_op *op, int64_t timeout_ms)
{
    memset(op, 0, sizeof *op);
    atomic_init(&op->cancelled, false);
    if (timeout_ms > 0)
        op->deadline_ms = vivo_now_ms() + timeout_ms;
}

int vivo_op_check(struct vivo_op *op)
{
    if (atomic_load_explicit(&op->cancelled, memory_order_relaxed))
        return vivo_fail(&op->err, EINTR, "cancelled");
    if (op->deadline_ms && vivo_now_ms() >= op->deadline_ms)
        return vivo_fail(&op->err, ETIMEDOUT, "the deadline passed");
    return 0;
}
