/* SPDX-License-Identifier: Apache-2.0 */
/* src/catalog/extra.c -- files that are no objects: taken in, changed, removed. */
#include "catalog/extra.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SIZE_GUESS 65536

/* ---- taking in ---------------------------------------------------------------------
 */

int64_t vivo_catalog_folder(enum vivo_level level, vivo_row row, const char *path)
{
    const char *slash = strrchr(path, '/');
    uint64_t h = UINT64_C(14695981039346656037); /* FNV-1a */

    for (unsigned i = 0; i < 64; i += 8)
        h = (h ^ ((uint64_t)row >> i & 0xff)) * UINT64_C(1099511628211);
    h = (h ^ (uint64_t)level) * UINT64_C(1099511628211);
    for (const char *s = path; slash && s < slash; s++)
        h = (h ^ (uint8_t)*s) * UINT64_C(1099511628211);
    return (int64_t)(h ^ h >> 32);
}

/* The path without what names nothing: empty parts and ".". */
static size_t clean_path(const char *path, char out[VIVO_PATH_MAX])
{
    size_t n = 0;

    while (*path) {
        size_t len = strcspn(path, "/");
        bool nothing = len == 0 || (len == 1 && path[0] == '.');
        if (!nothing && n + len + 2 > VIVO_PATH_MAX)
            return 0;
        if (!nothing && n)
            out[n++] = '/';
        if (!nothing)
            memcpy(out + n, path, len);
        n += nothing ? 0 : len;
        path += len;
        path += *path == '/';
    }
    out[n] = 0;
    return n;
}

struct was { /* what had the locator until now */
    int64_t source, instance;
    bool same, extra;
};

static int find_source(struct vivo_writer *w, const struct vivo_digests *id,
                       struct was *was, struct vivo_err *err)
{
    sqlite3_stmt *st = vivo_catdb_stmt(
        &w->db,
        "SELECT s.id, s.instance, s.stamp = ?2, e.id IS NOT NULL FROM source s"
        " LEFT JOIN extra e ON e.id = s.instance WHERE s.lookup = ?1",
        err);
    int rc;

    if (!st)
        return -EIO;
    vivo_catdb_blob(st, 1, id->lookup, sizeof id->lookup);
    vivo_catdb_blob(st, 2, id->stamp, sizeof id->stamp);
    rc = vivo_catdb_step(&w->db, st, err);
    if (rc <= 0)
        return rc;
    was->source = sqlite3_column_int64(st, 0);
    was->instance = sqlite3_column_int64(st, 1);
    was->same = sqlite3_column_int(st, 2) != 0;
    was->extra = sqlite3_column_int(st, 3) != 0;
    sqlite3_reset(st);
    return 0;
}

static uint64_t size_of(const struct vivo_extra_put *put)
{
    return put->size || put->size_exact ? put->size : SIZE_GUESS;
}

/* Other bytes of the same locator. */
static int renew(struct vivo_catalog *c, vivo_row row, const struct vivo_extra_put *put,
                 struct vivo_err *err)
{
    struct vivo_writer *w = &c->w;
    sqlite3_stmt *st = vivo_catdb_stmt(&w->db,
                                       "UPDATE extra SET size = ?2, exact = ?3,"
                                       " version = version + 1 WHERE id = ?1",
                                       err);
    int rc;

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, row);
    vivo_catdb_int(st, 2, (int64_t)size_of(put));
    vivo_catdb_int(st, 3, put->size_exact);
    rc = vivo_catdb_run(&w->db, st, err);
    if (rc < 0)
        return rc;
    if (sqlite3_changes(w->db.db) == 0)
        return vivo_fail(err, ENOENT, "catalog: row #%lld is gone", (long long)row);
    w->dirty = true;
    return vivo_catalog_restamp(c, put->locator, put->version, err);
}

struct place { /* of what is new */
    enum vivo_level level;
    vivo_row row, base;
    const char *path;
    size_t len;
};

static int insert_extra(struct vivo_writer *w, const struct place *at,
                        const struct vivo_extra_put *put, const struct vivo_digests *id,
                        int64_t extra, struct vivo_err *err)
{
    sqlite3_stmt *st = vivo_catdb_stmt(
        &w->db,
        "INSERT INTO extra(id, parent, name, kind, owner, via, base, path, key, folder,"
        " size, exact) VALUES(?1, -?1, '', 0, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        err);

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, extra);
    vivo_catdb_int(st, 2, at->row);
    vivo_catdb_int(st, 3, at->level);
    vivo_catdb_int(st, 4, at->base);
    vivo_catdb_blob(st, 5, at->path, at->len);
    vivo_catdb_blob(st, 6, id->lookup, sizeof id->lookup);
    vivo_catdb_int(st, 7, vivo_catalog_folder(at->level, at->row, put->path));
    vivo_catdb_int(st, 8, (int64_t)size_of(put));
    vivo_catdb_int(st, 9, put->size_exact);
    return vivo_catdb_run(&w->db, st, err);
}

static int insert(struct vivo_catalog *c, enum vivo_level level, vivo_row row,
                  const struct vivo_extra_put *put, const struct vivo_digests *id,
                  int64_t *source, struct vivo_err *err)
{
    struct vivo_writer *w = &c->w;
    char path[VIVO_PATH_MAX];
    struct place at = {level, row, row, path, clean_path(put->path, path)};
    bool was_free;
    int rc = 0;

    if (at.len == 0)
        return vivo_fail(err, EINVAL, "catalog: an extra without a name");
    if (level == VIVO_LEVEL_NONE)
        rc = vivo_catalog_collection_for(c, put->collection, &at.base, err);
    *source = vivo_catalog_next_id(w);
    const struct vivo_new_source src = {.id = *source,
                                        .instance = vivo_catalog_next_id(w),
                                        .via = level,
                                        .owner = row,
                                        .locator = put->locator,
                                        .version = put->version,
                                        .digests = id};
    if (rc == 0)
        rc = vivo_catalog_insert_source(c, &src, &was_free, err);
    if (rc == 0)
        rc = insert_extra(w, &at, put, id, src.instance, err);
    w->dirty = true;
    return rc;
}

int vivo_catalog_put_extra(struct vivo_catalog *c, enum vivo_level level, vivo_row row,
                           const struct vivo_extra_put *put, int64_t *source,
                           struct vivo_err *err)
{
    struct vivo_writer *w = &c->w;
    struct vivo_digests id;
    struct was was = {0};
    int rc;

    if (!put->locator || !put->path)
        return vivo_fail(err, EINVAL, "catalog: an extra without locator or path");
    vivo_catalog_digests(c, put->locator, put->version, &id);
    rc = find_source(w, &id, &was, err);
    if (rc < 0)
        return rc;
    if (was.source && was.extra) {
        *source = was.source;
        return was.same ? 0 : renew(c, was.instance, put, err);
    }
    if (was.source) { /* an object until now, or counted only */
        rc = vivo_catalog_flush(w, err);
        if (rc == 0)
            rc = vivo_catalog_remove_source(c, was.source, was.instance, err);
        vivo_catalog_forget(w);
    }
    return rc < 0 ? rc : insert(c, level, row, put, &id, source, err);
}

int vivo_catalog_remove_extras(struct vivo_writer *w, vivo_row owner,
                               struct vivo_err *err)
{
    static const char *const sql[] = {
        ("DELETE FROM source WHERE instance IN (SELECT id FROM extra WHERE owner = ?1"
         " AND kind = 0)"),
        "DELETE FROM extra WHERE owner = ?1",
    };
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < VIVO_ARRAY_LEN(sql); i++) {
        sqlite3_stmt *st = vivo_catdb_stmt(&w->db, sql[i], err);
        if (!st)
            return -EIO;
        vivo_catdb_int(st, 1, owner);
        rc = vivo_catdb_run(&w->db, st, err);
    }
    return rc;
}

/* ---- what is learned later ---------------------------------------------------------
 */

static int end(struct vivo_catalog *c, int rc, struct vivo_err *err)
{
    bool gone = rc == -ENOENT;
    int ended = vivo_catalog_write_end(c, gone ? 0 : rc, true, gone ? NULL : err);

    return gone ? rc : ended;
}

int vivo_catalog_extra_replace(struct vivo_catalog *c, vivo_row row,
                               const struct vivo_extra_put *put, struct vivo_err *err)
{
    int rc = vivo_catalog_write_begin(c, err);

    return rc < 0 ? rc : end(c, renew(c, row, put, err), err);
}

static int set_size(struct vivo_writer *w, vivo_row row, uint64_t size,
                    struct vivo_err *err)
{
    sqlite3_stmt *st = vivo_catdb_stmt(
        &w->db, "UPDATE extra SET size = ?2, exact = 1 WHERE id = ?1 AND kind = 0",
        err);
    int rc;

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, row);
    vivo_catdb_int(st, 2, (int64_t)size);
    rc = vivo_catdb_run(&w->db, st, err);
    if (rc == 0 && sqlite3_changes(w->db.db) == 0)
        return vivo_fail(err, ENOENT, "catalog: row #%lld is gone", (long long)row);
    return rc;
}

static int note_size(void *ctx, const struct vivo_extra_entry *e)
{
    *(uint64_t *)ctx = e->size_exact ? e->size : UINT64_MAX;
    return 0;
}

int vivo_catalog_extra_set_size(struct vivo_catalog *c, vivo_row row, uint64_t size,
                                struct vivo_err *err)
{
    uint64_t known = UINT64_MAX;
    int rc = vivo_catalog_extra_get(c, row, note_size, &known, err);

    if (rc < 0 || known == size)
        return rc;
    rc = vivo_catalog_write_begin(c, err);
    return rc < 0 ? rc : end(c, set_size(&c->w, row, size, err), err);
}
