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

#endif
