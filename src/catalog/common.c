/* SPDX-License-Identifier: Apache-2.0 */
/* src/catalog/common.c -- what the members of a series share, as the evaluator takes
 * it: the hot set from the series' row where that is enough, else its base. */
#include "catalog/column.h"

#include <errno.h>
#include <string.h>

void vivo_catalog_common_init(struct vivo_common *c, struct vivo_place *place)
{
    memset(c, 0, sizeof *c);
    vivo_buf_init(&c->base, VIVO_ATTRS_MAX);
    c->src.level = vivo_catalog_level_truth;
    c->src.computed = vivo_catalog_computed;
    c->src.ctx = place;
}

void vivo_catalog_common_free(struct vivo_common *c)
{
    vivo_buf_free(&c->base);
    free(c->varying);
}

static int make_room(struct vivo_common *c, size_t n, struct vivo_err *err)
{
    uint32_t *p;

    if (n <= c->cap)
        return 0;
    p = realloc(c->varying, n * sizeof *p);
    if (!p)
        return vivo_fail(err, ENOMEM, "catalog: out of memory");
    c->varying = p;
    c->cap = n;
    return 0;
}

static int load_hot(struct vivo_common *c, sqlite3_stmt *row, struct vivo_err *err)
{
    uint64_t mask = (uint64_t)sqlite3_column_int64(row, COL_VARIES);
    int rc = make_room(c, VIVO_CATALOG_HOT_MAX, err);

    for (unsigned bit = 0; rc == 0 && bit < 63 && mask >> bit; bit++)
        if (mask >> bit & 1)
            c->varying[c->src.nvarying++] = vivo_catalog_hot_tag(bit);
    c->src.attrs = vivo_catdb_column_attrs(row, COL_HOT);
    return rc;
}

static int load_base(struct vivo_common *c, struct vivo_catdb *d, vivo_row series,
                     struct vivo_err *err)
{
    sqlite3_stmt *st =
        vivo_catdb_stmt(d, "SELECT varying, attrs FROM base WHERE id = ?1", err);
    struct vivo_attrs a;
    int rc;

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, series);
    rc = vivo_catdb_step(d, st, err);
    if (rc <= 0)
        return rc;
    a = vivo_catdb_column_attrs(st, 0);
    rc = make_room(c, a.len / 4, err);
    for (size_t i = 0; rc == 0 && i < a.len / 4; i++)
        c->varying[c->src.nvarying++] = vivo_le32(a.data + 4 * i);
    a = vivo_catdb_column_attrs(st, 1);
    if (rc == 0 && a.len && vivo_buf_add(&c->base, a.data, a.len) < 0)
        rc = vivo_fail(err, ENOMEM, "catalog: out of memory");
    c->src.attrs = (struct vivo_attrs){c->base.data, c->base.len};
    sqlite3_reset(st);
    return rc;
}

int vivo_catalog_common_load(struct vivo_common *c, struct vivo_catdb *d,
                             sqlite3_stmt *row, bool hot_only, struct vivo_err *err)
{
    uint64_t mask = (uint64_t)sqlite3_column_int64(row, COL_VARIES);
    int rc;

    c->members = (size_t)sqlite3_column_int64(row, COL_MEMBERS);
    c->packed = sqlite3_column_int(row, COL_PACKED);
    c->listed = !sqlite3_column_int(row, COL_DIRECT) ||
                sqlite3_column_int64(row, COL_LISTED) != 0;
    c->src.headers = c->listed && c->members > 0 &&
                     (size_t)sqlite3_column_int64(row, COL_KNOWN) == c->members;
    c->src.attrs = (struct vivo_attrs){NULL, 0};
    c->src.nvarying = 0;
    vivo_buf_clear(&c->base);
    if (hot_only && !(mask & VIVO_CATALOG_HOT_GROUPS))
        rc = load_hot(c, row, err);
    else
        rc = load_base(c, d, sqlite3_column_int64(row, COL_ID), err);
    c->src.varying = c->varying;
    return rc;
}

int vivo_catalog_common_truths(struct vivo_common *c, struct vivo_vector *v,
                               struct vivo_catdb *d, vivo_row series,
                               const uint8_t **truths, struct vivo_err *err)
{
    struct vivo_vector_series s = {series, c->members, &c->src};

    if (!v || !c->listed || !vivo_catalog_columns_true(c->packed))
        return 0;
    return vivo_catalog_vector_run(v, d, &s, truths, err);
}
