/* SPDX-License-Identifier: Apache-2.0 */
/* src/tree/explain.c -- .explain of a query directory: what the catalog answers by
 * itself, what would have to be asked of the archive, and hints. Asks nothing. */
#include "tree/internal.h"

static int explain_archive(struct vivo_tree *t, const struct node *n,
                           struct vivo_buf *out, struct vivo_flow_cost *sum,
                           struct vivo_err *err)
{
    return vivo_flow_explain(node_flow(t, n), n->base_level, n->base_row, n->query, out,
                             sum, err);
}

static int explain_everywhere(struct vivo_tree *t, const struct node *dir,
                              struct vivo_buf *out, struct vivo_err *err)
{
    struct vivo_flow_cost sum = {0};
    int rc = 0;

    for (uint32_t i = 0; i < t->cfg.nflows && !rc; i++) {
        VIVO_AUTO(query_unref_p) struct vivo_query *q = NULL;
        struct vivo_query_error qe = {0};
        struct node n = {.room = &room_level, .archive = i};

        if (query_again(t, &n, dir->query, &q, &qe)) {
            rc = vivo_buf_printf(out, "%s: %s\n", vivo_flow_name(t->flows[i]), qe.text);
            continue;
        }
        n.query = q;
        if (t->cfg.nflows > 1)
            rc = vivo_buf_printf(out, "in %s:\n", vivo_flow_name(t->flows[i]));
        if (!rc)
            rc = explain_archive(t, &n, out, &sum, err);
    }
    if (!rc && t->cfg.nflows > 1)
        rc = vivo_flow_cost_text(&sum, out);
    if (rc && !err->errnum)
        vivo_fail(err, ENOMEM, "no memory for .explain");
    return rc;
}

int render_explain(struct vivo_tree *t, const struct node *dir,
                   struct vivo_tree_spool *out, struct vivo_op *op)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf text = {0};
    int rc;

    vivo_buf_init(&text, 1 << 20);
    rc = vivo_buf_printf(&text, "query: %s\n", vivo_query_text(dir->query));
    if (!rc)
        rc = vivo_query_warn(dir->query, &text);
    if (rc)
        return vivo_fail(&op->err, ENOMEM, "no memory for .explain");
    if (dir->archive == NO_ARCHIVE)
        rc = explain_everywhere(t, dir, &text, &op->err);
    else
        rc = explain_archive(t, dir, &text, NULL, &op->err);
    return rc ? rc : vivo_tree_spool_add(out, text.data, text.len, &op->err);
}
