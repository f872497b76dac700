/* SPDX-License-Identifier: Apache-2.0 */
/* src/net/dimse/op.h -- what the C++ of DIMSE needs of an op, which only C can read. */
#ifndef VIVOFS_NET_DIMSE_OP_H
#define VIVOFS_NET_DIMSE_OP_H

#include "vivofs/error.h"

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vivo_op;

int vivo_dimse_op_check(struct vivo_op *op); /* vivo_op_check */
struct vivo_err *vivo_dimse_op_err(struct vivo_op *op);
int64_t vivo_dimse_now_ms(void);

#ifdef __cplusplus
}
#endif
#endif
