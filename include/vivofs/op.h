/* SPDX-License-Identifier: Apache-2.0 */
/* include/vivofs/op.h -- one request on its way down the house.
 *
 * Rule of the house: a function that takes a struct vivo_op may have to wait for
 * the network; a function that takes only a struct vivo_err never does.
 *
 * Two ways to wait. With `landed` NULL the caller is a command or a job thread,
 * and the function blocks until done, cancelled or late. With `landed` set the
 * caller is a FUSE thread, which must never wait: the function parks the op on a
 * flight and returns -EAGAIN (err stays clear); when the flight lands, landed(op)
 * is called exactly once on another thread with op->err holding the verdict (0 =
 * call the same function again, it can answer now). */
#ifndef VIVOFS_OP_H
#define VIVOFS_OP_H

#include "vivofs/error.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct vivo_flight; /* flow.h */

struct vivo_op {
    uint64_t id;           /* printed in log lines of this request; 0 = none */
    atomic_bool cancelled; /* set from any thread; never cleared */
    int64_t deadline_ms;   /* CLOCK_MONOTONIC; 0 = none */
    struct vivo_err err;   /* why the call failed */
    void (*landed)(struct vivo_op *op); /* NULL = block instead of parking */
    struct vivo_flight *flight;         /* where it is parked; owned by flow */
    struct vivo_op *next;               /* list of the flight; owned by flow */
    /* Who sets it, and `landed`, is given views of what is still coming, and calls
     * vivo_flow_await() where reading one says -EAGAIN. */
    bool early;
    uint64_t wants; /* owned by flow: lands when so much has come; 0 = all */
};

/* A blocking op with a deadline in timeout_ms from now (0 = none). */
void vivo_op_init(struct vivo_op *op, int64_t timeout_ms);

/* 0, or -EINTR / -ETIMEDOUT with op->err set. Long loops call it. */
int vivo_op_check(struct vivo_op *op);

/* CLOCK_MONOTONIC now, in ms. */
int64_t vivo_now_ms(void);

#endif
