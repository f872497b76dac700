/* SPDX-License-Identifier: Apache-2.0 */
/* src/tree/explain.c -- .explain of a query directory: what the catalog answers by
 * itself, what would have to be asked of the archive, and hints. Asks nothing. */
#include "tree/internal.h"

#include <stdio.h>
#include <string.h>

enum { WARN_MAX = 64 }; /* equalities of one and-chain that are compared */

/* Two plain conditions that no single-valued attribute can meet together. */
static bool same_path(const struct vivo_query_path *a, const struct vivo_query_path *b)
{
    return a->steps[0].tag == b->steps[0].tag && !a->steps[0].index &&
           !b->steps[0].index && a->computed == b->computed;
}

static bool single_valued(const struct vivo_query_path *p)
{
    const struct vivo_dict *d = vivo_dcm_dict(p->steps[0].tag);

    if (p->nsteps != 1 || p->any_depth || p->steps[0].creator)
        return false;
    if (p->computed)
        return p->computed != VIVO_VIRTUAL_STUDY_RANK &&
               p->computed != VIVO_VIRTUAL_REFERS_TO &&
               p->computed != VIVO_VIRTUAL_MODALITIES_IN_STUDY;
    return d && !strcmp(d->vm, "1");
}

/* No value is equal to both: other text, or dates that do not meet. */
static bool apart(const struct vivo_query_node *x, const struct vivo_query_node *y)
{
    const struct vivo_query_value *a = x->values;
    const struct vivo_query_value *b = y->values;

    if (a->pattern || b->pattern)
        return false;
    switch (x->path.cls) {
    case VIVO_CLASS_NUMBER:
    case VIVO_CLASS_DATE:
    case VIVO_CLASS_TIME:
    case VIVO_CLASS_AGE:
        return a->hi < b->lo || b->hi < a->lo;
    case VIVO_CLASS_TEXT:
    case VIVO_CLASS_UID:
        return strcmp(a->folded, b->folded) != 0;
    case VIVO_CLASS_NAME: /* component groups are several values */
    case VIVO_CLASS_DATETIME:
    case VIVO_CLASS_UNKNOWN:
    case VIVO_CLASS_NONE:
        break;
    }
    return false;
}

struct equalities {
    const struct vivo_query_node *of[WARN_MAX];
    size_t n;
};

/* The plain `attr = value` of an and-chain. */
static void collect(const struct vivo_query_node *n, struct equalities *out)
{
    if (n->kind == VIVO_QUERY_AND) {
        collect(n->a, out);
        collect(n->b, out);
    } else if (n->kind == VIVO_QUERY_CMP && n->cmp == VIVO_CMP_EQ &&
               single_valued(&n->path) && out->n < WARN_MAX) {
        out->of[out->n++] = n;
    }
}

static bool has_rival(const struct equalities *e, size_t i)
{
    for (size_t k = 0; k < e->n; k++)
        if (k != i && same_path(&e->of[i]->path, &e->of[k]->path) &&
            apart(e->of[i], e->of[k]))
            return true;
    return false;
}

static bool warned(const struct equalities *e, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (same_path(&e->of[i]->path, &e->of[k]->path))
            return true;
    return false;
}

static int warn_chain(const struct vivo_query_node *n, struct vivo_buf *out)
{
    struct equalities e = {.n = 0};
    int rc = 0;

    collect(n, &e);
    for (size_t i = 0; i < e.n && !rc; i++) {
        const char *keyword = e.of[i]->path.steps[0].keyword;
        if (warned(&e, i) || !has_rival(&e, i))
            continue;
        rc = vivo_buf_printf(out,
                             "warning: %s cannot have two values in one object; ask "
                             "for what lies in the "
                             "same study: %s=… and study(%s=…)\n",
                             keyword, keyword, keyword);
    }
    return rc;
}

/* Every and-chain there is, also below or, not and study( ). */
static int warn(const struct vivo_query_node *n, bool chained, struct vivo_buf *out)
{
    bool chain = n->kind == VIVO_QUERY_AND;
    int rc = chain && !chained ? warn_chain(n, out) : 0;

    if (!rc && n->a)
        rc = warn(n->a, chain, out);
    if (!rc && n->b)
        rc = warn(n->b, chain, out);
    return rc;
}

static int explain_archive(struct vivo_tree *t, const struct node *n,
                           struct vivo_buf *out, struct vivo_err *err)
{
    return vivo_flow_explain(node_flow(t, n), n->base_level, n->base_row, n->query, out,
                             err);
}

static int explain_everywhere(struct vivo_tree *t, const struct node *dir,
                              struct vivo_buf *out, struct vivo_err *err)
{
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
        rc = warn(root, false, &text);
    if (rc)
        return vivo_fail(&op->err, ENOMEM, "no memory for .explain");
    if (dir->archive == NO_ARCHIVE)
        rc = explain_everywhere(t, dir, &text, &op->err);
    else
        rc = explain_archive(t, dir, &text, &op->err);
    return rc ? rc : vivo_tree_spool_add(out, text.data, text.len, &op->err);
}
