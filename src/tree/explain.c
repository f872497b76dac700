/* SPDX-License-Identifier: Apache-2.0 */
/* src/tree/explain.c -- .explain of a query directory: what the catalog answers by
 * itself, what would have to be asked of the archive, and hints. Asks nothing. */
#include "tree/internal.h"

#include <stdio.h>
#include <string.h>

/* Two plain conditions that no single-valued attribute can meet together. */
static bool same_path(const struct vivo_query_path *a, const struct vivo_query_path *b)
{
    return a->nsteps == 1 && b->nsteps == 1 && !a->any_depth && !b->any_depth &&
           a->steps[0].tag == b->steps[0].tag && a->steps[0].tag &&
           !a->steps[0].index && !b->steps[0].index;
}

static bool single_valued(uint32_t tag)
{
    const struct vivo_dict *d = vivo_dcm_dict(tag);

    return d && !strcmp(d->vm, "1");
}

/* Looks in the and-chain `n` for an `attr = other value` beside `eq`. */
static const struct vivo_query_node *rival(const struct vivo_query_node *n,
                                           const struct vivo_query_node *eq)
{
    const struct vivo_query_node *r;

    if (n->kind == VIVO_QUERY_AND) {
        r = rival(n->a, eq);
        return r ? r : rival(n->b, eq);
    }
    if (n == eq || n->kind != VIVO_QUERY_CMP || n->cmp != VIVO_CMP_EQ)
        return NULL;
    if (!same_path(&n->path, &eq->path) || n->column <= eq->column)
        return NULL;
    if (strpbrk(n->values[0].text, "*?") || strpbrk(eq->values[0].text, "*?"))
        return NULL;
    return strcmp(n->values[0].text, eq->values[0].text) ? n : NULL;
}

static int warn(const struct vivo_query_node *chain, const struct vivo_query_node *n,
                struct vivo_buf *out)
{
    const char *keyword;
    int rc;

    if (n->kind == VIVO_QUERY_AND) {
        rc = warn(chain, n->a, out);
        return rc ? rc : warn(chain, n->b, out);
    }
    if (n->kind == VIVO_QUERY_OR) {
        rc = warn(n->a, n->a, out);
        return rc ? rc : warn(n->b, n->b, out);
    }
    if (n->kind != VIVO_QUERY_CMP || n->cmp != VIVO_CMP_EQ || n->path.nsteps != 1)
        return 0;
    if (!single_valued(n->path.steps[0].tag) || !rival(chain, n))
        return 0;
    keyword = n->path.steps[0].keyword;
    return vivo_buf_printf(out,
                           "warning: %s cannot have two values in one object; ask for "
                           "what lies in the same study: %s=… and study(%s=…)\n",
                           keyword, keyword, keyword);
}

static int explain_pending(const struct vivo_selection *sel, const char *archive,
                           struct vivo_buf *out)
{
    size_t n;
    const struct vivo_pending *p = vivo_selection_pending(sel, &n);
    size_t headers = 0;

    for (size_t i = 0; i < n; i++)
        headers += p[i].headers;
    if (n == 0)
        return vivo_buf_printf(out, "%s: the catalog answers all of it; requests: 0\n",
                               archive);
    return vivo_buf_printf(
        out,
        "%s: the catalog narrows; to be listed by the archive: %zu; series whose "
        "headers are needed: %zu; requests, at least: %zu\n",
        archive, n - headers, headers, n);
}

static int explain_archive(struct vivo_tree *t, const struct node *n,
                           struct vivo_buf *out, struct vivo_err *err)
{
    VIVO_AUTO(selection_unref_p) struct vivo_selection *sel = NULL;
    const char *name = vivo_flow_name(node_flow(t, n));
    int rc = vivo_catalog_select(node_catalog(t, n), n->base_level, n->base_row,
                                 n->query, &sel, err);

    if (rc)
        return rc;
    if (explain_pending(sel, name, out))
        return vivo_fail(err, ENOMEM, "no memory for .explain");
    return 0;
}

static int explain_everywhere(struct vivo_tree *t, const struct node *dir,
                              struct vivo_buf *out, struct vivo_err *err)
{
    const char *text = vivo_query_text(dir->query);
    int rc = 0;

    for (uint32_t i = 0; i < t->cfg.nflows && !rc; i++) {
        VIVO_AUTO(query_unref_p) struct vivo_query *q = NULL;
        struct vivo_query_error qe = {0};
        struct node n = {.room = &room_level, .archive = i};

        if (query_parse(t, &n, text, &q, &qe)) {
            rc = vivo_buf_printf(out, "%s: %s\n", vivo_flow_name(t->flows[i]), qe.text);
            continue;
        }
        n.query = q;
        rc = explain_archive(t, &n, out, err);
    }
    if (rc && !err->errnum)
        vivo_fail(err, ENOMEM, "no memory for .explain");
    return rc;
}

int render_explain(struct vivo_tree *t, const struct node *dir,
                   struct vivo_tree_spool *out, struct vivo_op *op)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf text = {0};
    const struct vivo_query_node *root = vivo_query_root(dir->query);
    int rc;

    vivo_buf_init(&text, 65536);
    rc = vivo_buf_printf(&text, "query: %s\n", vivo_query_text(dir->query));
    if (!rc)
        rc = warn(root, root, &text);
    if (rc)
        return vivo_fail(&op->err, ENOMEM, "no memory for .explain");
    if (dir->archive == NO_ARCHIVE)
        rc = explain_everywhere(t, dir, &text, &op->err);
    else
        rc = explain_archive(t, dir, &text, &op->err);
    return rc ? rc : vivo_tree_spool_add(out, text.data, text.len, &op->err);
}
