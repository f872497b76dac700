/* SPDX-License-Identifier: Apache-2.0 */
/* src/query/groups.c -- functional groups of enhanced objects (PS3.3 C.7.6.16), in
 * which an attribute is looked for that the root lacks (DESIGN A5). */
#include "internal.h"

#include <string.h>

#define EFFECTIVE_ECHO_TIME 0x00189082u

static int each_macro(struct vivo_attrs item, vivo_query_set_fn *fn, void *ctx)
{
    struct vivo_attr macro;
    int rc = fn(ctx, item);
    while (!rc && vivo_attrs_next(&item, &macro)) {
        struct vivo_attrs it = {macro.value, macro.len};
        struct vivo_attrs inner;
        if (memcmp(macro.vr, "SQ", 2) != 0)
            continue;
        while (!rc && vivo_attrs_next_item(&it, &inner))
            rc = fn(ctx, inner);
    }
    return rc;
}

int vivo_query_each_group(const struct vivo_attr *groups, vivo_query_set_fn *fn,
                          void *ctx)
{
    struct vivo_attrs it = {groups->value, groups->len};
    struct vivo_attrs item;
    int rc = 0;
    if (memcmp(groups->vr, "SQ", 2) != 0)
        return 0;
    while (!rc && vivo_attrs_next_item(&it, &item))
        rc = each_macro(item, fn, ctx);
    return rc;
}

bool vivo_query_find_in_group(struct vivo_attrs set, uint32_t tag, bool other,
                              struct vivo_attr *out)
{
    /* Enhanced MR calls it so (PS3.3 C.8.13.5.4). */
    if (other && tag != VIVO_TAG_EchoTime)
        return false;
    return vivo_attrs_find(set, other ? EFFECTIVE_ECHO_TIME : tag, out);
}
