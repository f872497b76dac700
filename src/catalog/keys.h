/* SPDX-License-Identifier: Apache-2.0 */
/* src/catalog/keys.h -- the keys of the nodes that a record belongs to, by level. */
#ifndef VIVOFS_CATALOG_KEYS_H
#define VIVOFS_CATALOG_KEYS_H

#include "catalog/internal.h"

#define VIVO_CATALOG_KEY_MAX 200 /* longer values stand as their digest */
#define VIVO_CATALOG_KEY_CAP (2 * VIVO_CATALOG_KEY_MAX + 8)

struct vivo_keys {
    char of[VIVO_LEVEL_SERIES + 1][VIVO_CATALOG_KEY_CAP];
};
void vivo_catalog_keys_make(const struct vivo_put *put, struct vivo_keys *k);
void vivo_catalog_key_attr(struct vivo_attrs a, uint32_t tag,
                           char out[VIVO_CATALOG_KEY_MAX + 1]);

/* ---- naming.c ---- */

struct vivo_sibling { /* a node that wants a name */
    enum vivo_level level;
    vivo_row row;
    vivo_row parent; /* 0: that of the row */
    const char *key;
};

void vivo_catalog_make_name(const struct vivo_writer *w, enum vivo_level level,
                            const struct vivo_put *put, const char *key,
                            char out[VIVO_NAME_MAX + 1]);
/* Runs a statement that binds a name at ?at and its u behind it, with a longer and
 * longer u until the name is free. */
int vivo_catalog_with_free_name(struct vivo_writer *w, const struct vivo_sibling *b,
                                sqlite3_stmt *st, int at, const char *name,
                                struct vivo_err *err);

#endif
