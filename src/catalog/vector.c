/* SPDX-License-Identifier: Apache-2.0 */
/* src/catalog/vector.c -- a query over all members of a series at once, from columns.
 *
 * The tree is walked once a series, each condition giving one truth a member (leaf.c).
 */
#include "catalog/vector.h"

#include <errno.h>
#include <string.h>

static size_t count_leaves(const struct vivo_query_node *n)
{
    if (n->kind == VIVO_QUERY_AND || n->kind == VIVO_QUERY_OR)
        return count_leaves(n->a) + count_leaves(n->b);
    return n->kind == VIVO_QUERY_NOT ? count_leaves(n->a) : 1;
}

static void collect_leaves(struct vivo_vector *v, const struct vivo_query_node *n)
{
    if (n->kind == VIVO_QUERY_AND || n->kind == VIVO_QUERY_OR) {
        collect_leaves(v, n->a);
        collect_leaves(v, n->b);
    } else if (n->kind == VIVO_QUERY_NOT) {
        collect_leaves(v, n->a);
    } else {
        v->leaves[v->nleaves++].node = n;
    }
}

struct vivo_vector *vivo_catalog_vector_new(const struct vivo_query_node *root)
{
    struct vivo_vector *v = calloc(1, sizeof *v);

    if (!v)
        return NULL;
    v->root = root;
    vivo_buf_init(&v->one, VIVO_ATTRS_MAX);
    v->leaves = calloc(count_leaves(root), sizeof *v->leaves);
    if (!v->leaves) {
        free(v);
        return NULL;
    }
    collect_leaves(v, root);
    for (size_t i = 0; i < v->nleaves; i++)
        v->leaves[i].scan.slot =
            i < VIVO_SCAN_LEAVES ? (unsigned)i : (unsigned)VIVO_SCAN_OTHERS;
    return v;
}

void vivo_catalog_vector_free(struct vivo_vector *v)
{
    if (!v)
        return;
    for (size_t i = 0; i < v->nleaves; i++)
        vivo_catalog_leaf_clear(&v->leaves[i]);
    free(v->leaves);
    for (size_t i = 0; i < VIVO_ARRAY_LEN(v->truths); i++)
        free(v->truths[i]);
    vivo_buf_free(&v->one);
    free(v);
}

static struct vivo_leaf *find_leaf(struct vivo_vector *v,
                                   const struct vivo_query_node *n)
{
    for (size_t i = 0; i < v->nleaves; i++)
        if (v->leaves[i].node == n)
            return &v->leaves[i];
    return NULL;
}

/* ---- the tree
 * ---------------------------------------------------------------------- */

static int run_node(struct vivo_vector_step *k, const struct vivo_query_node *n,
                    size_t depth);

static int run_pair(struct vivo_vector_step *k, const struct vivo_query_node *n,
                    size_t depth)
{
    bool both = n->kind == VIVO_QUERY_AND;
    uint8_t settled = both ? VIVO_FALSE : VIVO_TRUE;
    uint8_t *a = k->v->truths[depth];
    const uint8_t *b = k->v->truths[depth + 1];
    int rc = run_node(k, n->a, depth);

    if (rc != 1)
        return rc;
    if (memchr(a, settled ^ 1, k->s->members) == NULL)
        return 1; /* nothing is left to be decided */
    rc = run_node(k, n->b, depth + 1);
    for (size_t i = 0; rc == 1 && i < k->s->members; i++)
        a[i] = both ? a[i] & b[i] : a[i] | b[i];
    return rc;
}

static int run_node(struct vivo_vector_step *k, const struct vivo_query_node *n,
                    size_t depth)
{
    uint8_t *out = k->v->truths[depth];
    struct vivo_leaf *leaf;
    int rc;

    if (depth == VIVO_VECTOR_DEPTH)
        return 0;
    if (n->kind == VIVO_QUERY_AND || n->kind == VIVO_QUERY_OR)
        return run_pair(k, n, depth);
    if (n->kind != VIVO_QUERY_NOT) {
        leaf = find_leaf(k->v, n);
        return leaf ? vivo_catalog_leaf_run(k, leaf, out) : 0;
    }
    rc = run_node(k, n->a, depth);
    for (size_t i = 0; rc == 1 && i < k->s->members; i++)
        out[i] ^= 1;
    return rc;
}

static int make_room(struct vivo_vector_step *k)
{
    size_t cap = k->s->members;

    if (cap <= k->v->cap)
        return 0;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(k->v->truths); i++) {
        uint8_t *p = realloc(k->v->truths[i], cap);
        if (!p)
            return vivo_fail(k->err, ENOMEM, "catalog: out of memory");
        k->v->truths[i] = p;
    }
    k->v->cap = cap;
    return 0;
}

int vivo_catalog_vector_run(struct vivo_vector *v, struct vivo_catdb *d,
                            const struct vivo_vector_series *s, const uint8_t **truths,
                            struct vivo_err *err)
{
    struct vivo_vector_step k = {v, d, s, err};
    int rc = 0;

    if (s->members == 0 || s->members > (size_t)VIVO_COLUMN_MEMBERS)
        return 0;
    rc = make_room(&k);
    if (rc == 0)
        rc = run_node(&k, v->root, 0);
    if (rc == 1)
        *truths = v->truths[0];
    return rc;
}

_Static_assert(VIVO_FALSE == 0 && VIVO_TRUE == 1, "truths are combined by bits");
