/* SPDX-License-Identifier: Apache-2.0 */
/* src/catalog/copy.c -- objects of one series that share a SOP Instance UID.
 *
 * DESIGN A1: an exact copy shows once; of different bytes all show, the first by
 * locator under its plain name, the others with '+' and four characters of the digest
 * of their locator. Which is plain does not depend on the order of arrival. The
 * column u tells them apart: "abcdef" plain, "abcdef+…" another object of that UID,
 * "abcdef=…" another UID with the same short name. */
#include "catalog/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct other {
    vivo_row id;
    char name[VIVO_NAME_MAX + 1], u[64];
};

static int take_other(sqlite3_stmt *st, struct other *o)
{
    o->id = sqlite3_column_int64(st, 0);
    snprintf(o->name, sizeof o->name, "%s", vivo_catdb_column_text(st, 1));
    snprintf(o->u, sizeof o->u, "%s", vivo_catdb_column_text(st, 2));
    sqlite3_reset(st);
    return 1;
}

/* The one to compare with: of the same size if there is one. plain: the one that has
 * the plain name. */
static int find_other(struct vivo_writer *w, struct vivo_sstate *ss,
                      const struct vivo_new_instance *n, bool plain, struct other *o,
                      struct vivo_err *err)
{
    sqlite3_stmt *st = vivo_catdb_stmt(
        &w->db,
        "SELECT id, name, u FROM instance WHERE parent = ?1 AND u >= ?2"
        " AND u < ?2 || '~' AND uid = ?3 AND (?5 = 0 OR instr(u, '+') = 0)"
        " ORDER BY size <> ?4, id LIMIT 1",
        err);
    int rc;

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, ss->id);
    vivo_catdb_text(st, 2, n->u);
    vivo_catdb_text(st, 3, n->uid);
    vivo_catdb_int(st, 4, (int64_t)n->size);
    vivo_catdb_int(st, 5, plain);
    rc = vivo_catdb_step(&w->db, st, err);
    return rc == 1 ? take_other(st, o) : rc;
}

/* The one that the caller has compared it with. */
static int find_same(struct vivo_writer *w, struct vivo_sstate *ss,
                     const struct vivo_new_instance *n, struct other *o,
                     struct vivo_err *err)
{
    sqlite3_stmt *st = vivo_catdb_stmt(
        &w->db,
        "SELECT id, name, u FROM instance WHERE id = ?1 AND parent = ?2 AND uid = ?3",
        err);
    int rc;

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, n->put->same_as);
    vivo_catdb_int(st, 2, ss->id);
    vivo_catdb_text(st, 3, n->uid);
    rc = vivo_catdb_step(&w->db, st, err);
    return rc == 1 ? take_other(st, o) : rc;
}

/* The smallest locator of an instance's copies. */
static int first_locator(struct vivo_catalog *c, vivo_row instance,
                         struct vivo_buf *out, struct vivo_err *err)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf one = {0};
    sqlite3_stmt *st =
        vivo_catdb_stmt(&c->w.db, "SELECT sealed FROM source WHERE instance = ?1", err);
    int rc;

    vivo_buf_init(&one, VIVO_CATALOG_LOCATOR_MAX);
    vivo_buf_clear(out);
    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, instance);
    while ((rc = vivo_catdb_step(&c->w.db, st, err)) == 1) {
        rc = vivo_catalog_unseal(c, vivo_catdb_column_attrs(st, 0), &one, NULL, err);
        if (rc == 0 && (out->len == 0 ||
                        strcmp((const char *)one.data, (const char *)out->data) < 0)) {
            vivo_buf_clear(out);
            rc = vivo_buf_add(out, one.data, one.len);
        }
        if (rc < 0) {
            sqlite3_reset(st);
            return rc;
        }
    }
    return rc;
}

/* "00001_abcdef.dcm" -> "00001_abcdef+wxyz.dcm", and its u. */
static int duplicate_name(struct vivo_catalog *c, const char *plain, const char *u6,
                          const char *locator, size_t chars,
                          char name[VIVO_NAME_MAX + 1], char u[64])
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf shown = {0};
    size_t stem = strlen(plain);
    char mark[13];

    vivo_buf_init(&shown, VIVO_CATALOG_LOCATOR_MAX);
    if (vivo_catalog_shown(c, locator, &shown) < 0)
        return -ENOMEM;
    if (stem > 4 && strcmp(plain + stem - 4, ".dcm") == 0)
        stem -= 4;
    vivo_short_name((const char *)shown.data, shown.len, mark, 12);
    snprintf(u, 64, "%.6s+%s", u6, mark);
    snprintf(name, VIVO_NAME_MAX + 1, "%.*s+%.*s.dcm", (int)stem, plain, (int)chars,
             mark);
    return 0;
}

static int insert_duplicate(struct vivo_catalog *c, struct vivo_sstate *ss,
                            const struct vivo_new_instance *n, struct vivo_err *err)
{
    char name[VIVO_NAME_MAX + 1], u[64];
    struct vivo_new_instance dup = *n;
    bool was_free = false;
    int rc = 0;

    dup.name = name;
    dup.u = u;
    for (size_t chars = 4; rc == 0 && !was_free && chars <= 12; chars += 8) {
        rc = duplicate_name(c, n->name, n->u, n->put->locator, chars, name, u);
        if (rc < 0)
            return vivo_fail(err, ENOMEM, "catalog: out of memory");
        rc = vivo_catalog_insert_instance(&c->w, ss, &dup, &was_free, err);
    }
    if (rc < 0 || was_free)
        return rc;
    return vivo_fail(err, EIO, "catalog: no free name for a duplicate");
}

/* The new one comes first by locator: the one so far loses its plain name. */
static int take_plain_name(struct vivo_catalog *c, const struct other *o,
                           const char *locator, struct vivo_err *err)
{
    char name[VIVO_NAME_MAX + 1], u[64];

    for (size_t chars = 4; chars <= 12; chars += 8) {
        sqlite3_stmt *st = vivo_catdb_stmt(
            &c->w.db, "UPDATE OR IGNORE instance SET name = ?2, u = ?3 WHERE id = ?1",
            err);
        int rc;
        if (!st)
            return -EIO;
        if (duplicate_name(c, o->name, o->u, locator, chars, name, u) < 0)
            return vivo_fail(err, ENOMEM, "catalog: out of memory");
        vivo_catdb_int(st, 1, o->id);
        vivo_catdb_text(st, 2, name);
        vivo_catdb_text(st, 3, u);
        rc = vivo_catdb_run(&c->w.db, st, err);
        if (rc < 0 || sqlite3_changes(c->w.db.db) > 0)
            return rc;
    }
    return vivo_fail(err, EIO, "catalog: no free name for a duplicate");
}

static int rename_instance(struct vivo_writer *w, vivo_row id, const char *name,
                           const char *u, struct vivo_err *err)
{
    sqlite3_stmt *st = vivo_catdb_stmt(
        &w->db, "UPDATE OR IGNORE instance SET name = ?2, u = ?3 WHERE id = ?1", err);

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, id);
    vivo_catdb_text(st, 2, name);
    vivo_catdb_text(st, 3, u);
    w->dirty = true;
    return vivo_catdb_run(&w->db, st, err);
}

/* Another source of `o` that sorts before those it had: its mark follows its first
 * locator, and it may come before the plain one now. */
static int add_copy(struct vivo_catalog *c, struct vivo_sstate *ss,
                    const struct vivo_new_instance *n, const struct other *o,
                    struct vivo_err *err)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf locator;
    char name[VIVO_NAME_MAX + 1], u[64];
    struct other plain;
    int rc = 1;

    vivo_buf_init(&locator, VIVO_CATALOG_LOCATOR_MAX);
    if (strchr(o->u, '+'))
        rc = first_locator(c, o->id, &locator, err);
    if (rc != 0 || strcmp(n->put->locator, (const char *)locator.data) >= 0)
        return rc < 0 ? rc : 0;
    rc = find_other(&c->w, ss, n, true, &plain, err);
    if (rc == 1)
        rc = first_locator(c, plain.id, &locator, err);
    if (rc == 0 && strcmp(n->put->locator, (const char *)locator.data) < 0) {
        rc = take_plain_name(c, &plain, (const char *)locator.data, err);
        return rc < 0 ? rc : rename_instance(&c->w, o->id, n->name, n->u, err);
    }
    if (rc < 0)
        return rc;
    if (duplicate_name(c, n->name, n->u, n->put->locator, 4, name, u) < 0)
        return vivo_fail(err, ENOMEM, "catalog: out of memory");
    return rename_instance(&c->w, o->id, name, u, err);
}

static int put_different(struct vivo_catalog *c, struct vivo_sstate *ss,
                         const struct vivo_new_instance *n, struct vivo_err *err)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf locator = {0};
    struct other plain;
    bool was_free;
    int rc = find_other(&c->w, ss, n, true, &plain, err);

    vivo_buf_init(&locator, VIVO_CATALOG_LOCATOR_MAX);
    if (rc <= 0)
        return rc < 0 ? rc : insert_duplicate(c, ss, n, err);
    rc = first_locator(c, plain.id, &locator, err);
    if (rc < 0)
        return rc;
    if (locator.len == 0 || strcmp(n->put->locator, (const char *)locator.data) >= 0)
        return insert_duplicate(c, ss, n, err);
    rc = take_plain_name(c, &plain, (const char *)locator.data, err);
    if (rc == 0)
        rc = vivo_catalog_insert_instance(&c->w, ss, n, &was_free, err);
    if (rc < 0 || was_free)
        return rc;
    return insert_duplicate(c, ss, n, err);
}

/* Another UID whose short form, or whose name, is the same. */
static int put_collision(struct vivo_catalog *c, struct vivo_sstate *ss,
                         const struct vivo_new_instance *n, struct vivo_err *err)
{
    char name[VIVO_NAME_MAX + 1], mark[25], u[64];
    struct vivo_new_instance other = *n;
    bool was_free = false;
    int rc;

    vivo_short_name(n->uid, strlen(n->uid), mark, 24);
    snprintf(u, sizeof u, "%.6s=%s", n->u, mark);
    other.u = u;
    rc = vivo_catalog_insert_instance(&c->w, ss, &other, &was_free, err);
    if (rc < 0 || was_free)
        return rc;
    snprintf(name, sizeof name, "%.24s.dcm", mark);
    other.name = name;
    rc = vivo_catalog_insert_instance(&c->w, ss, &other, &was_free, err);
    if (rc < 0 || was_free)
        return rc;
    return vivo_fail(err, EIO, "catalog: no free name");
}

int vivo_catalog_copy(struct vivo_catalog *c, struct vivo_sstate *ss,
                      struct vivo_new_instance *n, vivo_row *row, struct vivo_err *err)
{
    struct other o;
    int rc = 0;

    if (n->put->copy == VIVO_COPY_SAME && n->put->same_as)
        rc = find_same(&c->w, ss, n, &o, err);
    if (rc == 0)
        rc = find_other(&c->w, ss, n, false, &o, err);
    if (rc < 0)
        return rc;
    if (rc == 0)
        return put_collision(c, ss, n, err);
    if (n->put->copy == VIVO_COPY_DIFFERENT)
        return put_different(c, ss, n, err);
    *row = n->put->copy == VIVO_COPY_SAME && n->put->same_as ? n->put->same_as : o.id;
    if (n->put->copy == VIVO_COPY_SAME)
        return add_copy(c, ss, n, &o, err);
    return vivo_fail(err, EEXIST, "catalog: another object has this SOP Instance UID");
}

/* ---- the plain one has gone -------------------------------------------------------
 */

/* Of the objects that still have the UID, the one that comes first by locator. */
static int find_heir(struct vivo_catalog *c, vivo_row parent, const char *uid,
                     vivo_row *heir, struct vivo_err *err)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf best = {0}, one = {0};
    struct vivo_rowset rows = {NULL, 0, 0};
    sqlite3_stmt *st = vivo_catdb_stmt(
        &c->w.db, "SELECT id FROM instance WHERE parent = ?1 AND uid = ?2", err);
    int rc;

    vivo_buf_init(&best, VIVO_CATALOG_LOCATOR_MAX);
    vivo_buf_init(&one, VIVO_CATALOG_LOCATOR_MAX);
    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, parent);
    vivo_catdb_text(st, 2, uid);
    while ((rc = vivo_catdb_step(&c->w.db, st, err)) == 1)
        if (vivo_catalog_rowset_add(&rows, sqlite3_column_int64(st, 0)) < 0)
            break;
    sqlite3_reset(st);
    for (size_t i = 0; rc == 0 && i < rows.n; i++) {
        rc = first_locator(c, rows.rows[i], &one, err);
        if (rc < 0 || one.len == 0 ||
            (*heir && strcmp((const char *)one.data, (const char *)best.data) >= 0))
            continue;
        *heir = rows.rows[i];
        vivo_buf_clear(&best);
        rc = vivo_buf_add(&best, one.data, one.len);
    }
    free(rows.rows);
    return rc == 1 ? vivo_fail(err, ENOMEM, "catalog: out of memory") : rc;
}

int vivo_catalog_inherit(struct vivo_catalog *c, vivo_row parent, const char *uid,
                         const char *u, const char *name, struct vivo_err *err)
{
    vivo_row heir = 0;
    sqlite3_stmt *st;
    int rc = find_heir(c, parent, uid, &heir, err);

    if (rc < 0 || heir == 0)
        return rc;
    st = vivo_catdb_stmt(
        &c->w.db, "UPDATE OR IGNORE instance SET name = ?2, u = ?3 WHERE id = ?1", err);
    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, heir);
    vivo_catdb_text(st, 2, name);
    vivo_catdb_text(st, 3, u);
    return vivo_catdb_run(&c->w.db, st, err);
}
