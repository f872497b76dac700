/* SPDX-License-Identifier: Apache-2.0 */
/* src/catalog/series.c -- what the members of a series have in common.
 *
 * Invariant: a tag that is not in `varying` has in every member the value that it has
 * in the base (ORIGIN_HEADER: or is absent from both). Each member's difference holds
 * every tag in which it differs. So the base decides most queries for all members at
 * once. With ORIGIN_RECORD differences have no tombstones: what an instance's record
 * lacks may well be as the archive says of the series. */
#include "catalog/codes.h"
#include "catalog/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void sstate_clear(struct vivo_sstate *ss)
{
    vivo_buf_free(&ss->base);
    free(ss->varying);
    memset(ss, 0, sizeof *ss);
}

/* ---- loading and flushing
 * ------------------------------------------------------------- */

static int unpack_tags(struct vivo_sstate *ss, struct vivo_attrs packed,
                       struct vivo_err *err)
{
    size_t n = packed.len / 4;

    ss->nvarying = 0;
    if (n == 0)
        return 0;
    ss->varying = malloc(n * sizeof *ss->varying);
    if (!ss->varying)
        return vivo_fail(err, ENOMEM, "catalog: out of memory");
    for (size_t i = 0; i < n; i++)
        ss->varying[i] = vivo_le32(packed.data + 4 * i);
    ss->nvarying = ss->cap_varying = n;
    return 0;
}

static int load_base(struct vivo_writer *w, struct vivo_sstate *ss,
                     struct vivo_err *err)
{
    sqlite3_stmt *st =
        vivo_catdb_stmt(&w->db, "SELECT attrs, varying FROM base WHERE id = ?1", err);
    struct vivo_attrs a;
    int rc;

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, ss->id);
    rc = vivo_catdb_step(&w->db, st, err);
    if (rc <= 0)
        return rc;
    a = vivo_catdb_column_attrs(st, 0);
    rc = 0;
    if (a.len && vivo_buf_add(&ss->base, a.data, a.len) < 0)
        rc = vivo_fail(err, ENOMEM, "catalog: out of memory");
    if (rc == 0)
        rc = unpack_tags(ss, vivo_catdb_column_attrs(st, 1), err);
    sqlite3_reset(st);
    return rc;
}

static int load(struct vivo_writer *w, struct vivo_sstate *ss, vivo_row id,
                struct vivo_err *err)
{
    sqlite3_stmt *st = vivo_catdb_stmt(
        &w->db,
        "SELECT parent, origin, kept, namer, members, known, open, bytes, risk"
        " FROM series WHERE id = ?1",
        err);
    int rc;

    memset(ss, 0, sizeof *ss);
    vivo_buf_init(&ss->base, VIVO_ATTRS_MAX);
    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, id);
    rc = vivo_catdb_step(&w->db, st, err);
    if (rc <= 0)
        return rc < 0 ? rc : vivo_fail(err, ENOENT, "catalog: a series is gone");
    ss->id = id;
    ss->study = sqlite3_column_int64(st, 0);
    ss->origin = sqlite3_column_int(st, 1);
    ss->kept = sqlite3_column_int(st, 2) != 0;
    snprintf(ss->namer, sizeof ss->namer, "%s", vivo_catdb_column_text(st, 3));
    ss->members = sqlite3_column_int64(st, 4);
    ss->known = sqlite3_column_int64(st, 5);
    ss->open = sqlite3_column_int64(st, 6);
    ss->bytes = sqlite3_column_int64(st, 7);
    ss->risk = sqlite3_column_int64(st, 8);
    sqlite3_reset(st);
    return ss->origin == ORIGIN_NONE ? 0 : load_base(w, ss, err);
}

static int flush_base(struct vivo_writer *w, struct vivo_sstate *ss,
                      struct vivo_err *err)
{
    sqlite3_stmt *st = vivo_catdb_stmt(
        &w->db, "INSERT OR REPLACE INTO base(id, attrs, varying) VALUES(?1, ?2, ?3)",
        err);
    struct vivo_attrs base = {ss->base.data, ss->base.len};
    uint64_t mask;
    int rc;

    if (!st)
        return -EIO;
    vivo_buf_clear(&w->scratch2);
    for (size_t i = 0; i < ss->nvarying; i++) {
        uint8_t packed[4];
        vivo_put_le32(packed, ss->varying[i]);
        if (vivo_buf_add(&w->scratch2, packed, sizeof packed) < 0)
            return vivo_fail(err, ENOMEM, "catalog: out of memory");
    }
    vivo_catdb_int(st, 1, ss->id);
    vivo_catdb_blob(st, 2, base.data, base.len);
    vivo_catdb_blob(st, 3, w->scratch2.data, w->scratch2.len);
    rc = vivo_catdb_run(&w->db, st, err);
    if (rc < 0)
        return rc;
    if (vivo_catalog_hot_make(base, ss->varying, ss->nvarying, &w->scratch2, &mask) < 0)
        return vivo_fail(err, ENOMEM, "catalog: out of memory");
    st = vivo_catdb_stmt(&w->db,
                         "UPDATE series SET varies = ?2, hot = ?3, origin = ?4,"
                         " packed = 0 WHERE id = ?1",
                         err);
    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, ss->id);
    vivo_catdb_int(st, 2, (int64_t)mask);
    vivo_catdb_blob(st, 3, w->scratch2.data, w->scratch2.len);
    vivo_catdb_int(st, 4, ss->origin);
    return vivo_catdb_run(&w->db, st, err);
}

static int flush_one(struct vivo_writer *w, struct vivo_sstate *ss,
                     struct vivo_err *err)
{
    sqlite3_stmt *st;
    int rc = 0;

    if (ss->id && ss->dirty_base)
        rc = flush_base(w, ss, err);
    ss->dirty_base = false;
    if (rc < 0 || !ss->id || !ss->dirty)
        return rc;
    ss->dirty = false;
    st = vivo_catdb_stmt(&w->db,
                         "UPDATE series SET members = ?2, known = ?3, open = ?4,"
                         " bytes = ?5, risk = ?6, packed = CASE WHEN ?7 THEN 0"
                         " WHEN packed IN (1, 5) THEN 2 ELSE packed END WHERE id = ?1",
                         err);
    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, ss->id);
    vivo_catdb_int(st, 2, ss->members);
    vivo_catdb_int(st, 3, ss->known);
    vivo_catdb_int(st, 4, ss->open);
    vivo_catdb_int(st, 5, ss->bytes);
    vivo_catdb_int(st, 6, ss->risk);
    vivo_catdb_int(st, 7, ss->altered);
    ss->altered = false;
    return vivo_catdb_run(&w->db, st, err);
}

int vivo_catalog_series_get(struct vivo_writer *w, vivo_row id,
                            struct vivo_sstate **out, struct vivo_err *err)
{
    struct vivo_sstate *ss = &w->series[(uint64_t)id % VIVO_CATALOG_SLOTS];
    int rc;

    *out = ss;
    if (ss->id == id)
        return 0;
    rc = flush_one(w, ss, err);
    w->remembered -= ss->base.len;
    sstate_clear(ss);
    if (rc == 0)
        rc = load(w, ss, id, err);
    if (rc < 0)
        sstate_clear(ss);
    w->remembered += ss->base.len;
    return rc;
}

int vivo_catalog_flush(struct vivo_writer *w, struct vivo_err *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < VIVO_CATALOG_SLOTS; i++)
        if (w->series[i].dirty || w->series[i].dirty_base)
            rc = flush_one(w, &w->series[i], err);
    return rc;
}

void vivo_catalog_forget(struct vivo_writer *w)
{
    for (size_t i = 0; i < VIVO_CATALOG_SLOTS; i++) {
        if (w->series[i].id)
            sstate_clear(&w->series[i]);
        free(w->paths[i].path);
        w->paths[i].path = NULL;
        w->studies[i].id = 0;
    }
    w->remembered = 0;
    vivo_catalog_codes_forget(w);
}

/* ---- base, varying tags, differences
 * --------------------------------------------------- */

static int insert_tag(struct vivo_sstate *ss, uint32_t tag)
{
    size_t at = ss->nvarying;

    uint32_t *p = vivo_array_grow(ss->varying, ss->nvarying, &ss->cap_varying,
                                  sizeof *p, VIVO_ARRAY_MAX);
    if (!p)
        return -ENOMEM;
    ss->varying = p;
    while (at > 0 && ss->varying[at - 1] > tag) {
        ss->varying[at] = ss->varying[at - 1];
        at--;
    }
    ss->varying[at] = tag;
    ss->nvarying++;
    ss->dirty = ss->dirty_base = ss->altered = true;
    return 0;
}

static int add_varying(struct vivo_sstate *ss, struct vivo_attrs diff)
{
    struct vivo_attr e;
    size_t at = 0;

    /* Both ascend, so one pass does; most of the time nothing is new. */
    while (vivo_attrs_next(&diff, &e)) {
        while (at < ss->nvarying && ss->varying[at] < e.tag)
            at++;
        if (at < ss->nvarying && ss->varying[at] == e.tag)
            continue;
        if (insert_tag(ss, e.tag) < 0)
            return -ENOMEM;
    }
    return 0;
}

static int without_tombstones(struct vivo_buf *b, struct vivo_buf *tmp)
{
    struct vivo_attrs it = {b->data, b->len};
    struct vivo_attr e;
    int rc = 0;

    vivo_buf_clear(tmp);
    while (rc == 0 && vivo_attrs_next(&it, &e))
        if (e.vr[0] != '-')
            rc = vivo_attrs_put(tmp, e.tag, e.vr, e.value, e.len);
    vivo_buf_clear(b);
    return rc == 0 && tmp->len ? vivo_buf_add(b, tmp->data, tmp->len) : rc;
}

int vivo_catalog_write_diff(struct vivo_writer *w, vivo_row instance,
                            struct vivo_attrs diff, struct vivo_err *err)
{
    sqlite3_stmt *st = vivo_catdb_stmt(
        &w->db, "INSERT OR REPLACE INTO diff(id, attrs) VALUES(?1, ?2)", err);

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, instance);
    vivo_catdb_blob(st, 2, diff.data, diff.len);
    return vivo_catdb_run(&w->db, st, err);
}

/* The rows of the members, ascending; *out is the caller's to free. */
static int member_rows(struct vivo_writer *w, struct vivo_sstate *ss,
                       struct vivo_rowset *out, struct vivo_err *err)
{
    sqlite3_stmt *st =
        vivo_catdb_stmt(&w->db, "SELECT id FROM instance WHERE parent = ?1", err);
    int rc;

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, ss->id);
    while ((rc = vivo_catdb_step(&w->db, st, err)) == 1) {
        if (vivo_catalog_rowset_add(out, sqlite3_column_int64(st, 0)) == 0)
            continue;
        sqlite3_reset(st);
        return vivo_fail(err, ENOMEM, "catalog: out of memory");
    }
    return rc;
}

/* One member's difference, made again against the base `a`; tmp: two buffers. */
static int rebase_member(struct vivo_writer *w, struct vivo_sstate *ss, vivo_row id,
                         struct vivo_attrs a, struct vivo_buf tmp[2],
                         struct vivo_err *err)
{
    sqlite3_stmt *st =
        vivo_catdb_stmt(&w->db, "SELECT attrs FROM diff WHERE id = ?1", err);
    struct vivo_attrs base = {ss->base.data, ss->base.len}, diff = {NULL, 0};
    int rc;

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, id);
    rc = vivo_catdb_step(&w->db, st, err);
    if (rc < 0)
        return rc;
    vivo_buf_clear(&tmp[0]);
    vivo_buf_clear(&tmp[1]);
    if (rc == 1)
        diff = vivo_catdb_column_attrs(st, 0);
    rc = vivo_attrs_merge(base, diff, &tmp[0]);
    sqlite3_reset(st);
    if (rc == 0)
        rc = vivo_attrs_diff(a, (struct vivo_attrs){tmp[0].data, tmp[0].len}, &tmp[1]);
    diff = (struct vivo_attrs){tmp[1].data, tmp[1].len};
    if (rc == 0)
        rc = add_varying(ss, diff);
    if (rc < 0)
        return vivo_fail(err, ENOMEM, "catalog: out of memory");
    return vivo_catalog_write_diff(w, id, diff, err);
}

/* A whole header takes the place of a base made from less: the differences of the
 * members so far are made again against it. */
static int rebase(struct vivo_writer *w, struct vivo_sstate *ss, struct vivo_attrs a,
                  struct vivo_err *err)
{
    struct vivo_rowset rows = {NULL, 0, 0};
    struct vivo_buf tmp[2];
    int rc = member_rows(w, ss, &rows, err);

    vivo_buf_init(&tmp[0], VIVO_ATTRS_MAX);
    vivo_buf_init(&tmp[1], VIVO_ATTRS_MAX);
    ss->nvarying = 0;
    for (size_t i = 0; rc == 0 && i < rows.n; i++)
        rc = rebase_member(w, ss, rows.rows[i], a, tmp, err);
    vivo_buf_free(&tmp[0]);
    vivo_buf_free(&tmp[1]);
    free(rows.rows);
    return rc;
}

static int set_base(struct vivo_writer *w, struct vivo_sstate *ss, struct vivo_attrs a,
                    int origin, struct vivo_err *err)
{
    w->remembered -= ss->base.len;
    vivo_buf_clear(&ss->base);
    if (a.len && vivo_buf_add(&ss->base, a.data, a.len) < 0)
        return vivo_fail(err, ENOMEM, "catalog: out of memory");
    w->remembered += ss->base.len;
    ss->origin = origin;
    ss->dirty = ss->dirty_base = ss->altered = true;
    return 0;
}

int vivo_catalog_series_diff(struct vivo_writer *w, struct vivo_sstate *ss,
                             struct vivo_attrs a, bool headers, struct vivo_err *err)
{
    struct vivo_attrs base;
    int rc = 0;

    vivo_buf_clear(&w->scratch);
    if (headers && ss->origin != ORIGIN_HEADER) {
        if (ss->members)
            rc = rebase(w, ss, a, err);
        else
            ss->nvarying = 0;
        if (rc == 0)
            rc = set_base(w, ss, a, ORIGIN_HEADER, err);
    } else if (ss->origin == ORIGIN_NONE ||
               (ss->members == 0 && ss->origin > ORIGIN_RECORD)) {
        ss->nvarying = 0;
        rc = set_base(w, ss, a, headers ? ORIGIN_HEADER : ORIGIN_INSTANCE, err);
    }
    if (rc < 0)
        return rc;
    base = (struct vivo_attrs){ss->base.data, ss->base.len};
    rc = vivo_attrs_diff(base, a, &w->scratch);
    if (rc == 0 && ss->origin == ORIGIN_RECORD)
        rc = without_tombstones(&w->scratch, &w->scratch2);
    if (rc == 0)
        rc = add_varying(ss, (struct vivo_attrs){w->scratch.data, w->scratch.len});
    return rc < 0 ? vivo_fail(err, ENOMEM, "catalog: out of memory") : 0;
}
