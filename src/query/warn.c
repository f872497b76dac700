/* SPDX-License-Identifier: Apache-2.0 */
/* src/query/warn.c -- hints at queries that are well formed and cannot mean what they
 * say: two values of what has one. */
#include "query/internal.h"

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

int vivo_query_warn(const struct vivo_query *q, struct vivo_buf *out)
{
    return warn(vivo_query_root(q), false, out);
}
