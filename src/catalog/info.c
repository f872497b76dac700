/* SPDX-License-Identifier: Apache-2.0 */
/* src/catalog/info.c -- what is known of one thing: locator, attributes, path, and
 * the refused instances below it. */
#include "catalog/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const sealed_sql[] = {
    [VIVO_LEVEL_COLLECTION] = "SELECT sealed FROM collection WHERE id = ?1",
    [VIVO_LEVEL_PATIENT] = "SELECT sealed FROM patient WHERE id = ?1",
    [VIVO_LEVEL_STUDY] = "SELECT sealed FROM study WHERE id = ?1",
    [VIVO_LEVEL_SERIES] = "SELECT sealed FROM series WHERE id = ?1",
    [VIVO_LEVEL_INSTANCE] =
        "SELECT sealed FROM source WHERE instance = ?1 AND ?1 > 0 ORDER BY id LIMIT 1",
};

int vivo_catalog_locator_in(const struct vivo_catalog *c, struct vivo_catdb *d,
                            enum vivo_level level, vivo_row row,
                            struct vivo_buf *locator, struct vivo_buf *version,
                            struct vivo_err *err)
{
    sqlite3_stmt *st = vivo_catdb_stmt(d, sealed_sql[level], err);
    int rc;

    if (st)
        vivo_catdb_int(st, 1, row);
    rc = st ? vivo_catdb_step(d, st, err) : -EIO;
    if (rc == 0 || (rc == 1 && sqlite3_column_type(st, 0) == SQLITE_NULL))
        rc =
            vivo_fail(err, ENOENT, "catalog: row #%lld has no locator", (long long)row);
    if (rc == 1)
        rc = vivo_catalog_unseal(c, vivo_catdb_column_attrs(st, 0), locator, version,
                                 err);
    if (st)
        sqlite3_reset(st);
    return rc;
}

int vivo_catalog_locator(struct vivo_catalog *c, enum vivo_level level, vivo_row row,
                         struct vivo_buf *locator, struct vivo_buf *version,
                         struct vivo_err *err)
{
    struct vivo_catalog_mark mark = {0};
    struct vivo_catdb *d;
    int rc;

    if (level == VIVO_LEVEL_NONE)
        return vivo_fail(err, ENOENT, "catalog: the archive itself has no locator");
    if (level == VIVO_LEVEL_INSTANCE) {
        mark = vivo_lately_mark(c);
        if (vivo_lately_locator(c->lately, row, &mark, locator, version))
            return 0;
    }
    d = vivo_catalog_reader(c, err);
    if (!d)
        return -EIO;
    rc = vivo_catalog_locator_in(c, d, level, row, locator, version, err);
    vivo_catalog_reader_done(c, d);
    if (rc == 0 && level == VIVO_LEVEL_INSTANCE && version)
        vivo_lately_keep_locator(c->lately, row, &mark, locator, version);
    return rc;
}

/* ---- attributes
 * ----------------------------------------------------------------------- */

/* Of a series' base, what describes the thing at `level`: of a series all that does not
 * vary or belongs to it by PS3.3 section 7, of the wider ones what belongs to them. */
static int filter(struct vivo_attrs base, struct vivo_attrs varying,
                  enum vivo_level level, struct vivo_buf *out)
{
    struct vivo_attr e;
    size_t at = 0;
    int rc = 0;

    while (rc == 0 && vivo_attrs_next(&base, &e)) {
        enum vivo_level of = vivo_catalog_tag_level(e.tag);
        bool varies;
        while (at + 4 <= varying.len && vivo_le32(varying.data + at) < e.tag)
            at += 4;
        varies = at + 4 <= varying.len && vivo_le32(varying.data + at) == e.tag;
        if (of == VIVO_LEVEL_INSTANCE)
            continue;
        if (of == VIVO_LEVEL_NONE ? level < VIVO_LEVEL_SERIES || varies : of > level)
            continue;
        rc = vivo_attrs_put(out, e.tag, e.vr, e.value, e.len);
    }
    return rc;
}

static int instance_attrs(struct vivo_catdb *d, vivo_row row, struct vivo_buf *out,
                          struct vivo_err *err)
{
    sqlite3_stmt *st = vivo_catdb_stmt(
        d,
        "SELECT b.attrs, d.attrs FROM instance i LEFT JOIN base b ON b.id = i.parent"
        " LEFT JOIN diff d ON d.id = i.id WHERE i.id = ?1",
        err);
    int rc;

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, row);
    rc = vivo_catdb_step(d, st, err);
    if (rc == 0)
        return vivo_fail(err, ENOENT, "catalog: row #%lld is gone", (long long)row);
    if (rc == 1 && vivo_attrs_merge(vivo_catdb_column_attrs(st, 0),
                                    vivo_catdb_column_attrs(st, 1), out) < 0)
        rc = vivo_fail(err, ENOMEM, "catalog: attributes too long");
    sqlite3_reset(st);
    return rc < 0 ? rc : 0;
}

/* The archive's own record, if it gave one. 1 = out is filled. */
static int own_attrs(struct vivo_catdb *d, enum vivo_level level, vivo_row row,
                     struct vivo_buf *out, struct vivo_err *err)
{
    static const char *const sql[] = {
        [VIVO_LEVEL_COLLECTION] = "SELECT attrs FROM collection WHERE id = ?1",
        [VIVO_LEVEL_PATIENT] = "SELECT attrs FROM patient WHERE id = ?1",
        [VIVO_LEVEL_STUDY] = "SELECT attrs FROM study WHERE id = ?1",
        [VIVO_LEVEL_SERIES] = "SELECT NULL FROM series WHERE id = ?1",
    };
    sqlite3_stmt *st = vivo_catdb_stmt(d, sql[level], err);
    struct vivo_attrs a;
    int rc;

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, row);
    rc = vivo_catdb_step(d, st, err);
    if (rc == 0)
        return vivo_fail(err, ENOENT, "catalog: row #%lld is gone", (long long)row);
    if (rc < 0)
        return rc;
    a = vivo_catdb_column_attrs(st, 0);
    rc = a.len > 0;
    if (a.len && vivo_buf_add(out, a.data, a.len) < 0)
        rc = vivo_fail(err, ENOMEM, "catalog: attributes too long");
    sqlite3_reset(st);
    return rc;
}

static int base_attrs(struct vivo_catdb *d, enum vivo_level level, vivo_row row,
                      struct vivo_buf *out, struct vivo_err *err)
{
    static const char *const sql[] = {
        [VIVO_LEVEL_PATIENT] =
            "SELECT b.attrs, b.varying FROM study t CROSS JOIN series s ON s.parent ="
            " t.id CROSS JOIN base b ON b.id = s.id WHERE t.parent = ?1 LIMIT 1",
        [VIVO_LEVEL_STUDY] =
            "SELECT b.attrs, b.varying FROM series s CROSS JOIN base b ON b.id = s.id"
            " WHERE s.parent = ?1 ORDER BY s.name LIMIT 1",
        [VIVO_LEVEL_SERIES] = "SELECT attrs, varying FROM base WHERE id = ?1",
    };
    sqlite3_stmt *st = vivo_catdb_stmt(d, sql[level], err);
    int rc;

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, row);
    rc = vivo_catdb_step(d, st, err);
    if (rc <= 0)
        return rc;
    rc = filter(vivo_catdb_column_attrs(st, 0), vivo_catdb_column_attrs(st, 1), level,
                out);
    if (rc < 0)
        rc = vivo_fail(err, ENOMEM, "catalog: attributes too long");
    sqlite3_reset(st);
    return rc;
}

int vivo_catalog_attrs(struct vivo_catalog *c, enum vivo_level level, vivo_row row,
                       struct vivo_buf *out, struct vivo_err *err)
{
    struct vivo_catdb *d;
    int rc;

    if (level == VIVO_LEVEL_NONE)
        return 0;
    d = vivo_catalog_reader(c, err);
    if (!d)
        return -EIO;
    if (level == VIVO_LEVEL_INSTANCE)
        rc = instance_attrs(d, row, out, err);
    else
        rc = own_attrs(d, level, row, out, err);
    if (rc == 0 && level != VIVO_LEVEL_INSTANCE && level != VIVO_LEVEL_COLLECTION)
        rc = base_attrs(d, level, row, out, err);
    vivo_catalog_reader_done(c, d);
    return rc < 0 ? rc : 0;
}

/* ---- path
 * ------------------------------------------------------------------------------- */

int vivo_catalog_path(struct vivo_catalog *c, enum vivo_level level, vivo_row row,
                      struct vivo_buf *out, struct vivo_err *err)
{
    static const char *const sql[] = {
        [VIVO_LEVEL_COLLECTION] = "SELECT name FROM collection WHERE id = ?1",
        [VIVO_LEVEL_PATIENT] = "SELECT name FROM patient WHERE id = ?1",
        [VIVO_LEVEL_STUDY] = "SELECT name FROM study WHERE id = ?1",
        [VIVO_LEVEL_SERIES] = "SELECT name FROM series WHERE id = ?1",
        [VIVO_LEVEL_INSTANCE] = "SELECT name FROM instance WHERE id = ?1",
    };
    struct vivo_catdb *d = vivo_catalog_reader(c, err);
    struct vivo_lineage l;
    int rc = d ? vivo_catalog_lineage(d, level, row, &l, err) : -EIO;

    for (int i = VIVO_LEVEL_COLLECTION; rc == 0 && i <= (int)level; i++) {
        sqlite3_stmt *st = vivo_catdb_stmt(d, sql[i], err);
        if (st)
            vivo_catdb_int(st, 1, l.rows[i]);
        rc = st ? vivo_catdb_step(d, st, err) : -EIO;
        if (rc == 0)
            rc = vivo_fail(err, ENOENT, "catalog: row #%lld is gone",
                           (long long)l.rows[i]);
        if (rc == 1)
            rc = vivo_buf_printf(out, "%s%s", i > VIVO_LEVEL_COLLECTION ? "/" : "",
                                 vivo_catdb_column_text(st, 0));
        if (st)
            sqlite3_reset(st);
    }
    if (d)
        vivo_catalog_reader_done(c, d);
    return rc;
}

/* ---- refused
 * ------------------------------------------------------------------------------ */

static int series_with_refused(struct vivo_catalog *c, enum vivo_level level,
                               vivo_row row, struct vivo_rowset *out,
                               struct vivo_err *err)
{
    struct vivo_catdb *d = vivo_catalog_reader(c, err);
    sqlite3_stmt *st = d ? vivo_catalog_series_below(d, level, row, err) : NULL;
    int rc = st ? 0 : -EIO;

    while (st && (rc = vivo_catdb_step(d, st, err)) == 1) {
        if (sqlite3_column_int64(st, COL_MEMBERS) == sqlite3_column_int64(st, COL_OPEN))
            continue;
        if (vivo_catalog_rowset_add(out, sqlite3_column_int64(st, COL_ID)) == 0)
            continue;
        sqlite3_reset(st);
        rc = vivo_fail(err, ENOMEM, "catalog: out of memory");
        break;
    }
    if (d)
        vivo_catalog_reader_done(c, d);
    return rc;
}

struct refused {
    vivo_entry_fn *fn;
    void *ctx;
};

static int only_refused(void *ctx, const struct vivo_entry *e)
{
    struct refused *r = ctx;

    return e->refusal ? r->fn(r->ctx, e) : 0;
}

int vivo_catalog_refused(struct vivo_catalog *c, enum vivo_level level, vivo_row row,
                         vivo_entry_fn *fn, void *ctx, struct vivo_err *err)
{
    struct vivo_rowset series = {NULL, 0, 0};
    struct refused r = {fn, ctx};
    int rc = series_with_refused(c, level, row, &series, err);

    for (size_t i = 0; rc == 0 && i < series.n; i++)
        rc = vivo_catalog_children(c, VIVO_LEVEL_SERIES, series.rows[i], NULL,
                                   only_refused, &r, err);
    free(series.rows);
    return rc;
}
