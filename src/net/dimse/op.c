/* SPDX-License-Identifier: Apache-2.0 */
/* src/net/dimse/op.c -- see op.h: C11 atomics are no C++. */
#include "op.h"

#include "vivofs/op.h"

int vivo_dimse_op_check(struct vivo_op *op)
{
    return vivo_op_check(op);
}

struct vivo_err *vivo_dimse_op_err(struct vivo_op *op)
{
    return &op->err;
}

int64_t vivo_dimse_now_ms(void)
{
    return vivo_now_ms();
}
