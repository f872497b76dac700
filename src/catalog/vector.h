/* SPDX-License-Identifier: Apache-2.0 */
/* src/catalog/vector.h -- between vector.c, which walks the tree of a query, and
 * leaf.c, which decides one condition for all members of a series. */
#ifndef VIVOFS_CATALOG_VECTOR_H
#define VIVOFS_CATALOG_VECTOR_H

#include "catalog/column.h"

#define VIVO_VECTOR_DEPTH 64 /* conditions within each other; deeper: the slow way */

struct memo; /* answers to values seen before */

struct vivo_leaf {
    const struct vivo_query_node *node;
    struct memo *memo; /* both made when first needed */
    uint8_t *by_code;  /* a truth for each number of a value (codes.h) */
    struct vivo_column_scan scan;
};

struct vivo_vector {
    const struct vivo_query_node *root;
    struct vivo_leaf *leaves;
    size_t nleaves;
    uint8_t *truths[VIVO_VECTOR_DEPTH + 1]; /* of each depth, cap bytes */
    size_t cap;
    struct vivo_buf one; /* a data set of one attribute */
};

struct vivo_vector_step {
    struct vivo_vector *v;
    struct vivo_catdb *d;
    const struct vivo_vector_series *s;
    struct vivo_err *err;
};

/* 1: `out` has FALSE or TRUE for each member; 0: it cannot be told from its column. */
int vivo_catalog_leaf_run(struct vivo_vector_step *k, struct vivo_leaf *leaf,
                          uint8_t *out);
void vivo_catalog_leaf_clear(struct vivo_leaf *leaf);

#endif
