/* SPDX-License-Identifier: Apache-2.0 */
/* src/catalog/extra_read.c -- files that are no objects, and their folders: by name,
 * by row, all of a directory, and where they are. */
#include "catalog/extra.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ENTRY                                                                          \
    "SELECT e.id, e.parent, e.name, e.kind, e.size, e.exact, e.version,"               \
    " CASE e.hlevel WHEN 4 THEN (SELECT t.mtime FROM series s JOIN study t"            \
    " ON t.id = s.parent WHERE s.id = e.home)"                                         \
    " WHEN 3 THEN (SELECT t.mtime FROM study t WHERE t.id = e.home) END FROM extra e"

struct slot {
    struct vivo_extra_entry e;
    char name[VIVO_NAME_MAX + 1];
};

static void read_slot(sqlite3_stmt *st, struct slot *s)
{
    bool undated = sqlite3_column_type(st, 7) == SQLITE_NULL;

    s->e = (struct vivo_extra_entry){
        .row = sqlite3_column_int64(st, 0),
        .parent = sqlite3_column_int64(st, 1),
        .name = s->name,
        .folder = sqlite3_column_int(st, 3) == EXTRA_FOLDER,
        .size = (uint64_t)sqlite3_column_int64(st, 4),
        .size_exact = sqlite3_column_int(st, 5) != 0,
        .version = (uint32_t)sqlite3_column_int64(st, 6),
        .mtime = undated ? VIVO_CATALOG_MTIME : sqlite3_column_int64(st, 7),
    };
    snprintf(s->name, sizeof s->name, "%s", vivo_catdb_column_text(st, 2));
}

/* One row, by what ?1 and ?2 are bound to. */
static int read_one(struct vivo_catalog *c, const char *sql, vivo_row row,
                    const char *name, vivo_extra_fn *fn, void *ctx,
                    struct vivo_err *err)
{
    struct vivo_catdb *d = vivo_catalog_reader(c, err);
    sqlite3_stmt *st;
    struct slot s;
    int rc;

    if (!d)
        return -EIO;
    st = vivo_catdb_stmt(d, sql, err);
    if (st)
        vivo_catdb_int(st, 1, row);
    if (st && name)
        vivo_catdb_text(st, 2, name);
    rc = st ? vivo_catdb_step(d, st, err) : -EIO;
    if (rc == 1) {
        read_slot(st, &s);
        sqlite3_reset(st);
    }
    vivo_catalog_reader_done(c, d);
    if (rc == 0)
        return vivo_fail(err, ENOENT, "catalog: no such extra");
    return rc < 0 ? rc : fn(ctx, &s.e);
}

int vivo_catalog_extra_find(struct vivo_catalog *c, vivo_row parent, const char *name,
                            vivo_extra_fn *fn, void *ctx, struct vivo_err *err)
{
    return read_one(c, ENTRY " WHERE e.parent = ?1 AND e.name = ?2", parent, name, fn,
                    ctx, err);
}

int vivo_catalog_extra_get(struct vivo_catalog *c, vivo_row row, vivo_extra_fn *fn,
                           void *ctx, struct vivo_err *err)
{
    return read_one(c, ENTRY " WHERE e.id = ?1", row, NULL, fn, ctx, err);
}

struct chunk {
    char after[VIVO_NAME_MAX + 1];
    size_t n;
    struct slot slots[VIVO_CATALOG_CHUNK];
};

static int read_chunk(struct vivo_catalog *c, vivo_row parent, struct chunk *ch,
                      struct vivo_err *err)
{
    struct vivo_catdb *d = vivo_catalog_reader(c, err);
    sqlite3_stmt *st;
    int rc = -EIO;

    ch->n = 0;
    if (!d)
        return rc;
    st = vivo_catdb_stmt(
        d, ENTRY " WHERE e.parent = ?1 AND e.name > ?2 ORDER BY e.name LIMIT ?3", err);
    if (st) {
        vivo_catdb_int(st, 1, parent);
        vivo_catdb_text(st, 2, ch->after);
        vivo_catdb_int(st, 3, VIVO_CATALOG_CHUNK);
        while ((rc = vivo_catdb_step(d, st, err)) == 1)
            read_slot(st, &ch->slots[ch->n++]);
    }
    vivo_catalog_reader_done(c, d);
    if (ch->n)
        memcpy(ch->after, ch->slots[ch->n - 1].name, sizeof ch->after);
    return rc;
}

int vivo_catalog_extras(struct vivo_catalog *c, vivo_row parent, vivo_extra_fn *fn,
                        void *ctx, struct vivo_err *err)
{
    struct chunk *ch = malloc(sizeof *ch);
    int rc;

    if (!ch)
        return vivo_fail(err, ENOMEM, "catalog: out of memory");
    ch->after[0] = 0;
    do {
        rc = read_chunk(c, parent, ch, err);
        for (size_t i = 0; rc == 0 && i < ch->n; i++)
            rc = fn(ctx, &ch->slots[i].e);
    } while (rc == 0 && ch->n == VIVO_CATALOG_CHUNK);
    free(ch);
    return rc;
}

/* Home of the extra, and the names from below that to it. */
static int read_names(struct vivo_catdb *d, vivo_row row, struct vivo_buf *names,
                      enum vivo_level *level, vivo_row *home, struct vivo_err *err)
{
    sqlite3_stmt *st = vivo_catdb_stmt(
        d,
        "WITH RECURSIVE up(parent, name, home, hlevel, n) AS (SELECT parent, name,"
        " home, hlevel, 0 FROM extra WHERE id = ?1 UNION ALL SELECT e.parent, e.name,"
        " e.home, e.hlevel, n + 1 FROM up JOIN extra e ON e.id = up.parent)"
        " SELECT name, home, hlevel FROM up ORDER BY n DESC",
        err);
    bool any = false;
    int rc;

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, row);
    while ((rc = vivo_catdb_step(d, st, err)) == 1) {
        *home = sqlite3_column_int64(st, 1);
        *level = (enum vivo_level)sqlite3_column_int(st, 2);
        any = true;
        if (vivo_buf_printf(names, "/%s", vivo_catdb_column_text(st, 0)) == 0)
            continue;
        sqlite3_reset(st);
        return vivo_fail(err, ENOMEM, "catalog: a path is too long");
    }
    return rc < 0 || any ? rc : vivo_fail(err, ENOENT, "catalog: no such extra");
}

int vivo_catalog_extra_path(struct vivo_catalog *c, vivo_row row, struct vivo_buf *out,
                            struct vivo_err *err)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf names = {0};
    struct vivo_catdb *d = vivo_catalog_reader(c, err);
    enum vivo_level level = VIVO_LEVEL_NONE;
    vivo_row home = 0;
    int rc;

    if (!d)
        return -EIO;
    vivo_buf_init(&names, 2 * VIVO_PATH_MAX);
    rc = read_names(d, row, &names, &level, &home, err);
    vivo_catalog_reader_done(c, d);
    if (rc == 0)
        rc = vivo_catalog_path(c, level, home, out, err);
    if (rc == 0 && vivo_buf_add(out, names.data, names.len) < 0)
        rc = vivo_fail(err, ENOMEM, "catalog: a path is too long");
    return rc;
}
