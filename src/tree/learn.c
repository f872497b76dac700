/* SPDX-License-Identifier: Apache-2.0 */
/* src/tree/learn.c -- listing the series that a query selects, before they are counted
 * or written down: a query often decides whole series without one instance known. */
#include "tree/internal.h"

#define AHEAD 16 /* listings under way at a time for one file */

struct unlisted { /* series, in order of path */
    vivo_row rows[AHEAD];
    size_t n;
};

static int gather(void *ctx, const struct walk_item *item)
{
    struct unlisted *u = ctx;

    if (item->e.listed)
        return 0;
    u->rows[u->n++] = item->e.row;
    return u->n == AHEAD ? 1 : 0;
}

static void landed_ahead(struct vivo_op *op)
{
    free(op);
}

/* Begins a listing that somebody will ask for next; what becomes of it is learned
 * then. */
static void list_ahead(struct vivo_flow *f, vivo_row row)
{
    struct vivo_op *op = malloc(sizeof *op);

    if (!op)
        return;
    vivo_op_init(op, 0);
    op->landed = landed_ahead;
    if (vivo_flow_list(f, VIVO_LEVEL_SERIES, row, op) != -EAGAIN)
        free(op);
}

/* The next few. 1: there may be more. *last is the first of the round before: an
 * archive that lists only at its top has nothing to add to a series. */
static int learn_some(struct vivo_tree *t, const struct node *n,
                      const struct vivo_selection *sel, vivo_row *last,
                      struct vivo_op *op)
{
    struct unlisted u = {.n = 0};
    int rc = walk_level(t, n, sel, VIVO_LEVEL_SERIES, gather, &u, &op->err);

    if (rc < 0 || u.n == 0 || u.rows[0] == *last)
        return VIVO_MIN(rc, 0);
    *last = u.rows[0];
    for (size_t i = 1; i < u.n && op->landed; i++)
        list_ahead(node_flow(t, n), u.rows[i]);
    for (size_t i = 0; i < u.n; i++) {
        rc = vivo_flow_list(node_flow(t, n), VIVO_LEVEL_SERIES, u.rows[i], op);
        if (rc)
            return rc;
    }
    return u.n == AHEAD;
}

int learn_series(struct vivo_tree *t, const struct node *n,
                 const struct vivo_selection *sel, struct vivo_op *op)
{
    vivo_row last = 0;
    int rc;

    do
        rc = learn_some(t, n, sel, &last, op);
    while (rc == 1);
    return rc;
}
