/* SPDX-License-Identifier: Apache-2.0 */
/* src/deid/table.c -- lookup in PS3.15 Table E.1-1 and in the decisions about what it
 * does not list.
 *
 * The data are table_e1_1.def and table_gaps.def, made by scripts/gen-deid-tables.py
 * and sorted by tag. */
#include "engine.h"

#include <stdlib.h>

#define ACT(a) VIVO_ACT_##a

static const struct vivo_deid_row rows[] = {
#define VIVO_E1_1(tag, keyword, vr, basic, options)                                    \
    {tag, ACT(basic), keyword, vr, options},
#include "table_e1_1.def"
#undef VIVO_E1_1
};

static const struct vivo_deid_gap gaps[] = {
#define VIVO_GAP(tag, keyword, vr, action) {tag, VIVO_GAP_##action, keyword, vr},
#include "table_gaps.def"
#undef VIVO_GAP
};

#define VIVO_E1_1(tag, keyword, vr, basic, options)
#define VIVO_E1_1_SOURCE(edition, digest, n)                                           \
    const char *const vivo_deid_edition = edition;                                     \
    const char *const vivo_deid_table_sha256 = digest;                                 \
    _Static_assert(VIVO_ARRAY_LEN(rows) == (n), "rows of Table E.1-1");
#include "table_e1_1.def"
#undef VIVO_E1_1
#undef VIVO_E1_1_SOURCE

#define VIVO_GAP(tag, keyword, vr, action)
#define VIVO_GAP_SOURCE(digest, n)                                                     \
    const char *const vivo_deid_gaps_sha256 = digest;                                  \
    _Static_assert(VIVO_ARRAY_LEN(gaps) == (n), "rows of the gaps");
#include "table_gaps.def"
#undef VIVO_GAP
#undef VIVO_GAP_SOURCE

const struct vivo_deid_row *vivo_deid_rows(size_t *n)
{
    *n = VIVO_ARRAY_LEN(rows);
    return rows;
}

const struct vivo_deid_gap *vivo_deid_gaps(size_t *n)
{
    *n = VIVO_ARRAY_LEN(gaps);
    return gaps;
}

static int compare(uint32_t a, uint32_t b)
{
    return (a > b) - (a < b);
}

static int compare_row(const void *key, const void *row)
{
    return compare(*(const uint32_t *)key, ((const struct vivo_deid_row *)row)->tag);
}

static int compare_gap(const void *key, const void *gap)
{
    return compare(*(const uint32_t *)key, ((const struct vivo_deid_gap *)gap)->tag);
}

/* The wildcard rows 50xx,xxxx and 60xx,eeee stand with zeros in the table. */
static uint32_t fold(uint32_t tag)
{
    uint32_t group = tag >> 24;
    if (group == 0x50)
        return 0x50000000;
    if (group == 0x60)
        return 0x60000000 | (tag & 0xFFFF);
    return tag;
}

const struct vivo_deid_row *vivo_deid_row_find(uint32_t tag)
{
    uint32_t key = fold(tag);
    return bsearch(&key, rows, VIVO_ARRAY_LEN(rows), sizeof *rows, compare_row);
}

const struct vivo_deid_gap *vivo_deid_gap_find(uint32_t tag)
{
    return bsearch(&tag, gaps, VIVO_ARRAY_LEN(gaps), sizeof *gaps, compare_gap);
}
