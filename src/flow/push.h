/* SPDX-License-Identifier: Apache-2.0 */
/* src/flow/push.h -- searches of the archive: which to make, and what they tell of
 * nodes that were never listed (push.c). */
#ifndef VIVOFS_FLOW_PUSH_H
#define VIVOFS_FLOW_PUSH_H

#include "flow/internal.h"
#include "flow/plan.h"

/* The plan of a query of this archive; NULL: nothing can be pushed down, or ENOMEM. */
struct plan *push_plan(struct vivo_flow *f, enum vivo_level level,
                       const struct vivo_query *q);
/* What the searches made so far tell; rows are in `covers`. Free it afterwards. */
struct push_scope {
    struct vivo_scope scope;
    struct vivo_cover covers[PLAN_PASSES_MAX];
};
int push_scope_make(struct vivo_flow *f, const struct plan *plan, unsigned members,
                    struct push_scope *out, struct vivo_err *err);
void push_scope_free(struct push_scope *s);
/* The searches that are worth making before what is pending is listed, at most cap. */
size_t push_todo(struct vivo_flow *f, const struct plan *plan,
                 const struct vivo_selection *sel, const struct plan_search **todo,
                 size_t cap);
/* Makes one, as vivo_flow_list makes a listing. */
int push_search(struct vivo_flow *f, const struct plan_search *s, struct vivo_op *op);

#endif
