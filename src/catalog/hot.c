/* SPDX-License-Identifier: Apache-2.0 */
/* src/catalog/hot.c -- the common attributes that stand in the series' own row.
 *
 * Those of attributes.def with column = 1, in attrs form, a few hundred bytes: a query
 * that names no others is decided by the same evaluator as always, without touching
 * the base (some KiB each) of one series. */
#include "catalog/internal.h"

#include <string.h>

struct row {
    uint32_t tag;
    enum vivo_level level;
    int column;
};

static const struct row rows[] = {
#define VIVO_ATTR(keyword, tag, vr, level, column) {(tag), VIVO_LEVEL_##level, column},
#include "vivofs/attributes.def"
#undef VIVO_ATTR
};

#define HOT_NUMBERS 63 /* bits of the mask, the last one has another meaning */

static const struct row *find_row(uint32_t tag)
{
    size_t lo = 0, hi = VIVO_ARRAY_LEN(rows);

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (rows[mid].tag < tag)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < VIVO_ARRAY_LEN(rows) && rows[lo].tag == tag ? &rows[lo] : NULL;
}

/* The number is the place in the table: ascending by tag, as the table is. */
int vivo_catalog_hot(uint32_t tag)
{
    const struct row *r = find_row(tag);

    if (!r || !r->column || r - rows >= HOT_NUMBERS)
        return -1;
    return (int)(r - rows);
}

uint32_t vivo_catalog_hot_tag(unsigned n)
{
    return n < VIVO_ARRAY_LEN(rows) && n < HOT_NUMBERS ? rows[n].tag : 0;
}

enum vivo_level vivo_catalog_tag_level(uint32_t tag)
{
    const struct row *r = find_row(tag);

    return r ? r->level : VIVO_LEVEL_NONE;
}

bool vivo_catalog_tags_have(const uint32_t *tags, size_t n, uint32_t tag)
{
    size_t lo = 0, hi = n;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (tags[mid] < tag)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < n && tags[lo] == tag;
}

static bool is_groups(uint32_t tag)
{
    /* Shared and Per-frame Functional Groups Sequence, PS3.3 C.7.6.16 */
    return tag == 0x52009229 || tag == 0x52009230;
}

int vivo_catalog_hot_make(struct vivo_attrs a, const uint32_t *varying, size_t n,
                          struct vivo_buf *out, uint64_t *mask)
{
    struct vivo_attr e;
    int rc = 0;

    vivo_buf_clear(out);
    *mask = 0;
    for (size_t i = 0; i < n; i++) {
        int hot = vivo_catalog_hot(varying[i]);
        if (hot >= 0)
            *mask |= (uint64_t)1 << hot;
        if (is_groups(varying[i]))
            *mask |= VIVO_CATALOG_HOT_GROUPS;
    }
    while (rc == 0 && vivo_attrs_next(&a, &e)) {
        if (is_groups(e.tag))
            *mask |= VIVO_CATALOG_HOT_GROUPS;
        if (vivo_catalog_hot(e.tag) >= 0)
            rc = vivo_attrs_put(out, e.tag, e.vr, e.value, e.len);
    }
    return rc;
}
