/* SPDX-License-Identifier: Apache-2.0 */
/* src/catalog/remove.c -- what the archive no longer has goes. */
#include "catalog/column.h"
#include "catalog/extra.h"

#include <errno.h>
#include <stdio.h>

static int run1(struct vivo_catdb *d, const char *sql, int64_t row,
                struct vivo_err *err)
{
    sqlite3_stmt *st = vivo_catdb_stmt(d, sql, err);

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, row);
    return vivo_catdb_run(d, st, err);
}

static int remove_instance(struct vivo_writer *w, int64_t instance,
                           struct vivo_err *err)
{
    int rc = run1(&w->db,
                  "UPDATE series SET packed = 0, members = series.members - 1,"
                  " known = series.known - i.headers,"
                  " open = series.open - (i.refusal = 0), bytes = series.bytes -"
                  " CASE i.refusal WHEN 0 THEN i.size ELSE 0 END,"
                  " risk = series.risk - (i.refusal = 0 AND i.risk)"
                  " FROM instance i WHERE i.id = ?1 AND series.id = i.parent",
                  instance, err);

    if (rc == 0)
        rc = run1(&w->db, "DELETE FROM diff WHERE id = ?1", instance, err);
    if (rc == 0)
        rc = run1(&w->db, "DELETE FROM instance WHERE id = ?1", instance, err);
    return rc;
}

struct departed { /* an instance that had the plain name of its UID */
    vivo_row parent;
    char uid[VIVO_NAME_MAX + 1], u[64], name[VIVO_NAME_MAX + 1];
};

/* 1 when it has the plain name, 0 when not. */
static int find_plain(struct vivo_writer *w, int64_t instance, struct departed *d,
                      struct vivo_err *err)
{
    sqlite3_stmt *st = vivo_catdb_stmt(
        &w->db,
        "SELECT parent, uid, u, name FROM instance WHERE id = ?1 AND uid IS NOT NULL"
        " AND instr(u, '+') = 0 AND instr(u, '=') = 0",
        err);
    int rc;

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, instance);
    rc = vivo_catdb_step(&w->db, st, err);
    if (rc <= 0)
        return rc;
    d->parent = sqlite3_column_int64(st, 0);
    snprintf(d->uid, sizeof d->uid, "%s", vivo_catdb_column_text(st, 1));
    snprintf(d->u, sizeof d->u, "%s", vivo_catdb_column_text(st, 2));
    snprintf(d->name, sizeof d->name, "%s", vivo_catdb_column_text(st, 3));
    sqlite3_reset(st);
    return 1;
}

int vivo_catalog_remove_source(struct vivo_catalog *c, int64_t source, int64_t instance,
                               struct vivo_err *err)
{
    struct vivo_writer *w = &c->w;
    struct departed gone;
    sqlite3_stmt *st;
    int64_t left = 0;
    int rc = run1(&w->db, "DELETE FROM source WHERE id = ?1", source, err);

    w->dirty = true;
    if (rc < 0 || instance == 0)
        return rc;
    st = vivo_catdb_stmt(&w->db, "SELECT 1 FROM source WHERE instance = ?1 LIMIT 1",
                         err);
    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, instance);
    rc = vivo_catdb_number(&w->db, st, 0, &left, err);
    if (rc < 0 || left)
        return rc;
    w->emptied = true;
    rc = run1(&w->db, "DELETE FROM extra WHERE id = ?1", instance, err);
    if (rc < 0 || sqlite3_changes(w->db.db) > 0)
        return rc;
    rc = find_plain(w, instance, &gone, err);
    if (rc < 0)
        return rc;
    bool plain = rc == 1;
    rc = remove_instance(w, instance, err);
    if (rc < 0 || !plain)
        return rc;
    return vivo_catalog_inherit(c, gone.parent, gone.uid, gone.u, gone.name, err);
}

int vivo_catalog_child_rows(struct vivo_catdb *d, enum vivo_level child,
                            vivo_row parent, struct vivo_rowset *out,
                            struct vivo_err *err)
{
    static const char *const sql[] = {
        [VIVO_LEVEL_COLLECTION] = "SELECT id FROM collection WHERE parent = ?1",
        [VIVO_LEVEL_PATIENT] = "SELECT id FROM patient WHERE parent = ?1",
        [VIVO_LEVEL_STUDY] = "SELECT id FROM study WHERE parent = ?1",
        [VIVO_LEVEL_SERIES] = "SELECT id FROM series WHERE parent = ?1",
    };
    sqlite3_stmt *st = vivo_catdb_stmt(d, sql[child], err);
    int rc;

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, parent);
    while ((rc = vivo_catdb_step(d, st, err)) == 1) {
        if (vivo_catalog_rowset_add(out, sqlite3_column_int64(st, 0)) == 0)
            continue;
        sqlite3_reset(st);
        return vivo_fail(err, ENOMEM, "catalog: out of memory");
    }
    return rc;
}

static int remove_series(struct vivo_writer *w, vivo_row row, struct vivo_err *err)
{
    static const char *const sql[] = {
        ("DELETE FROM source WHERE instance IN (SELECT id FROM instance"
         " WHERE parent = ?1)"),
        "DELETE FROM diff WHERE id IN (SELECT id FROM instance WHERE parent = ?1)",
        "DELETE FROM instance WHERE parent = ?1",
        "DELETE FROM base WHERE id = ?1",
        "DELETE FROM series WHERE id = ?1",
    };
    int rc = vivo_catalog_unpack(w, row, err);

    for (size_t i = 0; rc == 0 && i < VIVO_ARRAY_LEN(sql); i++)
        rc = run1(&w->db, sql[i], row, err);
    return rc;
}

int vivo_catalog_remove_node(struct vivo_writer *w, enum vivo_level level, vivo_row row,
                             struct vivo_err *err)
{
    static const char *const sql[] = {
        [VIVO_LEVEL_COLLECTION] = "DELETE FROM collection WHERE id = ?1",
        [VIVO_LEVEL_PATIENT] = "DELETE FROM patient WHERE id = ?1",
        [VIVO_LEVEL_STUDY] = "DELETE FROM study WHERE id = ?1",
    };
    struct vivo_rowset children = {NULL, 0, 0};
    int rc;

    w->dirty = w->emptied = true;
    rc = vivo_catalog_remove_extras(w, row, err);
    if (rc < 0)
        return rc;
    if (level == VIVO_LEVEL_SERIES)
        return remove_series(w, row, err);
    rc = vivo_catalog_child_rows(&w->db, level + 1, row, &children, err);
    for (size_t i = 0; rc == 0 && i < children.n; i++)
        rc = vivo_catalog_remove_node(w, level + 1, children.rows[i], err);
    free(children.rows);
    return rc < 0 ? rc : run1(&w->db, sql[level], row, err);
}

/* Columns of series that are about to be pruned. */
static int unpack_empty(struct vivo_writer *w, struct vivo_err *err)
{
    sqlite3_stmt *st = vivo_catdb_stmt(
        &w->db, "SELECT id FROM series WHERE lookup IS NULL AND members = 0", err);
    struct vivo_rowset rows = {NULL, 0, 0};
    int rc;

    if (!st)
        return -EIO;
    while ((rc = vivo_catdb_step(&w->db, st, err)) == 1) {
        if (vivo_catalog_rowset_add(&rows, sqlite3_column_int64(st, 0)) == 0)
            continue;
        sqlite3_reset(st);
        rc = vivo_fail(err, ENOMEM, "catalog: out of memory");
        break;
    }
    for (size_t i = 0; rc == 0 && i < rows.n; i++)
        rc = vivo_catalog_unpack(w, rows.rows[i], err);
    free(rows.rows);
    return rc;
}

int vivo_catalog_prune(struct vivo_writer *w, struct vivo_err *err)
{
    static const char *const sql[] = {
        "DELETE FROM base WHERE id IN (SELECT id FROM series WHERE lookup IS NULL"
        " AND members = 0)",
        "DELETE FROM series WHERE lookup IS NULL AND members = 0",
        "DELETE FROM study WHERE lookup IS NULL"
        " AND NOT EXISTS (SELECT 1 FROM series s WHERE s.parent = study.id)",
        "DELETE FROM patient WHERE lookup IS NULL"
        " AND NOT EXISTS (SELECT 1 FROM study s WHERE s.parent = patient.id)",
        "DELETE FROM collection WHERE lookup IS NULL"
        " AND NOT EXISTS (SELECT 1 FROM patient p WHERE p.parent = collection.id)"
        " AND NOT EXISTS (SELECT 1 FROM extra e WHERE e.owner = 0 AND e.via = 0"
        " AND e.kind = 0 AND e.base = collection.id)",
    };
    int rc = unpack_empty(w, err);

    for (size_t i = 0; rc == 0 && i < VIVO_ARRAY_LEN(sql); i++)
        rc = vivo_catdb_do(&w->db, sql[i], err);
    if (rc == 0)
        w->emptied = false;
    return rc;
}
