/* SPDX-License-Identifier: Apache-2.0 */
/* src/catalog/values_column.c -- the values of an attribute from columns.
 *
 * Members whose values have numbers are counted by these, and the values are taken in
 * once, at the end. */
#include "catalog/codes.h"
#include "catalog/values.h"

#include <errno.h>
#include <string.h>

static int no_memory(struct gather *g)
{
    return vivo_fail(g->err, ENOMEM, "catalog: too many different values");
}

/* ---- one value
 * ---------------------------------------------------------------------- */

/* Where a value that was taken in before may be; NULL: it is not remembered. */
static struct seen *seen_slot(struct gather *g, const struct vivo_cell *cell)
{
    if (cell->len > SEEN_VALUE)
        return NULL;
    return &g->seen[vivo_catalog_hash_bytes(cell->value, cell->len) % SEEN_SLOTS];
}

static int add_value(struct gather *g, const char *vr, const uint8_t *value, size_t len,
                     uint64_t instances)
{
    struct vivo_attr a = {.tag = g->tag, .value = value, .len = (uint32_t)len};

    memcpy(a.vr, vr, 2);
    return vivo_catalog_gather_attr(g, &a, instances);
}

static int add_cell(struct gather *g, const char *vr, const struct vivo_cell *cell)
{
    struct seen *s = vivo_catalog_gather_text(vr) ? seen_slot(g, cell) : NULL;
    int rc;

    if (s && s->v && s->len == cell->len && s->vr[0] == vr[0] && s->vr[1] == vr[1] &&
        !memcmp(s->text, cell->value, cell->len)) {
        s->v->instances++;
        return 0;
    }
    g->last = NULL;
    rc = add_value(g, vr, cell->value, cell->len, 1);
    if (rc < 0 || !s || !g->last || memchr(cell->value, '\\', cell->len))
        return rc;
    s->v = g->last;
    s->len = (uint8_t)cell->len;
    memcpy(s->vr, vr, 2);
    memcpy(s->text, cell->value, cell->len);
    return 0;
}

/* ---- members of a series
 * ---------------------------------------------------------------- */

/* Which members are shown: NULL = all. Refused ones are not. */
static int shown(struct gather *g, vivo_row series, bool refused,
                 const uint8_t **truths)
{
    size_t n = g->common.members;
    struct vivo_member_sizes sizes;
    struct vivo_member_size m;
    uint8_t *p;
    int rc;

    if (!refused)
        return 1;
    rc = vivo_catalog_sizes_open(g->d, &g->sizes, series, &sizes, g->err);
    if (rc != 1)
        return rc;
    vivo_buf_clear(&g->shown);
    p = vivo_buf_reserve(&g->shown, n);
    for (size_t i = 0; p && i < n; i++) {
        if (!vivo_catalog_sizes_next(&sizes, &m)) {
            rc = vivo_fail(g->err, EIO, "catalog: a column is too short");
            break;
        }
        p[i] = !m.refused && (!*truths || (*truths)[i]);
    }
    *truths = p;
    return p ? rc : no_memory(g);
}

static int add_codes(struct gather *g, const uint8_t *truths)
{
    const uint8_t *codes = g->column.codes;

    if (!g->by_code && !(g->by_code = calloc(VIVO_CODES, sizeof *g->by_code)))
        return no_memory(g);
    for (size_t i = 0; i < g->common.members; i++) {
        uint16_t code;
        memcpy(&code, codes + 2 * i, sizeof code);
        g->by_code[code] += truths ? truths[i] : 1;
    }
    return 0;
}

static int add_cells(struct gather *g, const uint8_t *truths, uint64_t *shared)
{
    struct vivo_cell cell;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < g->common.members; i++) {
        vivo_catalog_column_next(&g->column, &cell);
        if (cell.kind == VIVO_CELL_END)
            return vivo_fail(g->err, EIO, "catalog: a column is too short");
        if (truths && !truths[i])
            continue;
        if (cell.kind == VIVO_CELL_BASE)
            ++*shared;
        else if (cell.kind == VIVO_CELL_ABSENT)
            rc = vivo_catalog_gather_attr(g, NULL, 1);
        else
            rc = add_cell(g, g->column.vr, &cell);
    }
    return rc;
}

static uint64_t how_many(const uint8_t *truths, size_t n)
{
    uint64_t sum = 0;

    for (size_t i = 0; truths && i < n; i++)
        sum += truths[i];
    return truths ? sum : n;
}

/* `shared`: of how many what all members have is the value. */
static int add_shared(struct gather *g, uint64_t shared)
{
    struct vivo_attrs common = g->common.src.attrs;
    struct vivo_attr e;

    if (shared == 0)
        return 0;
    return vivo_catalog_gather_attr(g, vivo_attrs_find(common, g->tag, &e) ? &e : NULL,
                                    shared);
}

static int add_column(struct gather *g, vivo_row series, const uint8_t *truths)
{
    uint64_t shared = 0;
    int rc =
        vivo_catalog_column_open(g->d, &g->scan, series, g->tag, &g->column, g->err);

    if (rc != 1)
        return rc;
    if (g->column.members != g->common.members)
        rc = vivo_fail(g->err, EIO, "catalog: a column is of another series");
    else if (g->column.codes)
        rc = add_codes(g, truths);
    else
        rc = add_cells(g, truths, &shared);
    if (rc == 0)
        rc = add_shared(g, shared);
    return rc < 0 ? rc : 1;
}

/* All members, where the column tells without the base. */
static int add_whole(struct gather *g, sqlite3_stmt *row, vivo_row series)
{
    int rc =
        vivo_catalog_column_open(g->d, &g->scan, series, g->tag, &g->column, g->err);

    g->common.members = (size_t)sqlite3_column_int64(row, COL_MEMBERS);
    if (rc != 1 || !g->column.codes || g->column.members != g->common.members)
        return VIVO_MIN(rc, 0);
    rc = add_codes(g, NULL);
    return rc < 0 ? rc : 1;
}

int vivo_catalog_gather_columns(struct gather *g, sqlite3_stmt *row, vivo_row series,
                                bool whole)
{
    bool refused =
        sqlite3_column_int64(row, COL_OPEN) != sqlite3_column_int64(row, COL_MEMBERS);
    struct vivo_common *k = &g->common;
    const uint8_t *truths = NULL;
    int rc;

    if (!vivo_catalog_columns_true(sqlite3_column_int(row, COL_PACKED)))
        return 0;
    if (whole && !refused) {
        rc = add_whole(g, row, series);
        if (rc != 0)
            return rc;
    }
    rc = vivo_catalog_common_load(k, g->d, row, g->hot_only, g->err);
    if (rc == 0)
        rc = whole ? 1
                   : vivo_catalog_common_truths(k, g->vector, g->d, series, &truths,
                                                g->err);
    if (rc == 1)
        rc = shown(g, series, refused, &truths);
    if (rc != 1)
        return rc;
    if (vivo_catalog_tags_have(k->src.varying, k->src.nvarying, g->tag))
        return add_column(g, series, truths);
    rc = add_shared(g, how_many(truths, k->members));
    return rc < 0 ? rc : 1;
}

/* ---- at the end
 * --------------------------------------------------------------------- */

static int add_block(struct gather *g, uint16_t code)
{
    struct vivo_code_block b;
    struct vivo_attr a;
    uint16_t at = 0;
    int rc = vivo_catalog_code_block(g->d, g->tag, code, &b, &at, g->err);

    if (rc < 0)
        return rc;
    for (; rc == 1 && at != 0 && vivo_catalog_code_next(&b, &a); at++) {
        if (g->by_code[at])
            rc = add_value(g, a.vr, a.value, a.len, g->by_code[at]) < 0 ? -ENOMEM : 1;
        g->by_code[at] = 0;
    }
    if (at)
        vivo_catalog_code_close(&b);
    if (rc < 0 || !g->by_code[code])
        return VIVO_MIN(rc, 0);
    return vivo_fail(g->err, EIO, "catalog: a number has no value");
}

int vivo_catalog_gather_codes(struct gather *g)
{
    uint64_t missing;
    int rc = 0;

    if (!g->by_code)
        return 0;
    missing = g->by_code[VIVO_CODES_ABSENT];
    if (missing)
        rc = vivo_catalog_gather_attr(g, NULL, missing);
    for (size_t i = 1; rc == 0 && i < VIVO_CODES; i++)
        if (g->by_code[i])
            rc = add_block(g, (uint16_t)i);
    return rc;
}
