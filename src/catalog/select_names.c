/* SPDX-License-Identifier: Apache-2.0 */
/* src/catalog/select_names.c -- what a query names: only hot attributes? which
 * level(E)?
 *
 * Walks of the AST that need no database; select.c goes by them. */
#include "catalog/column.h"

#include <errno.h>

static bool path_is_hot(const struct vivo_query_path *p)
{
    if (p->computed) /* of the object itself, or from the facts */
        return p->computed != VIVO_VIRTUAL_PLANE &&
               p->computed != VIVO_VIRTUAL_REFERS_TO;
    return p->nsteps == 1 && !p->any_depth && !p->steps[0].creator &&
           vivo_catalog_hot(p->steps[0].tag) >= 0;
}

bool vivo_catalog_is_hot(const struct vivo_query_node *n)
{
    switch (n->kind) {
    case VIVO_QUERY_AND:
    case VIVO_QUERY_OR:
        return vivo_catalog_is_hot(n->a) && vivo_catalog_is_hot(n->b);
    case VIVO_QUERY_NOT:
        return vivo_catalog_is_hot(n->a);
    case VIVO_QUERY_LEVEL: /* answered from its own pass */
    case VIVO_QUERY_ANY:   /* its seven attributes are all hot */
        return true;
    case VIVO_QUERY_CMP:
    case VIVO_QUERY_IN:
    case VIVO_QUERY_RANGE:
    case VIVO_QUERY_HAS:
        return path_is_hot(&n->path);
    case VIVO_QUERY_NONE:
    default:
        return false;
    }
}

int vivo_catalog_levels(const struct vivo_query_node *n,
                        const struct vivo_query_node **out, size_t *count)
{
    int rc = 0;

    if (n->kind == VIVO_QUERY_AND || n->kind == VIVO_QUERY_OR) {
        rc = vivo_catalog_levels(n->a, out, count);
        return rc < 0 ? rc : vivo_catalog_levels(n->b, out, count);
    }
    if (n->kind != VIVO_QUERY_NOT && n->kind != VIVO_QUERY_LEVEL)
        return 0;
    rc = vivo_catalog_levels(n->a, out, count);
    if (rc < 0 || n->kind == VIVO_QUERY_NOT)
        return rc;
    if (*count == VIVO_CATALOG_INNER)
        return -EINVAL;
    out[(*count)++] = n;
    return 0;
}
