/* SPDX-License-Identifier: Apache-2.0 */
/* src/catalog/put.c -- an instance comes in.
 *
 * The common case, a new object, is three INSERTs and no SELECT: what the unique
 * indexes refuse (a locator that is known, a SOP Instance UID that another object of
 * the series has) is looked at afterwards. */
#include "catalog/extra.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SIZE_GUESS 528384 /* a 512 x 512 slice of 16 bits, and a header */
#define HEADER_GUESS 4096

void vivo_catalog_put_uid(const struct vivo_catalog *c, const struct vivo_put *put,
                          char *out, size_t cap)
{
    struct vivo_digests d;
    char hex[2 * VIVO_CATALOG_KEY_LEN + 1];

    char frozen[VIVO_NAME_MAX + 1];

    if (put->key) {
        snprintf(out, cap, "%s", put->key);
        return;
    }
    vivo_attrs_text(put->attrs, VIVO_TAG_SOPInstanceUID, out, cap);
    /* One of several that have a UID, or named by the archive's own id. */
    if (vivo_catalog_frozen_name(put, VIVO_LEVEL_INSTANCE, frozen) &&
        !vivo_catalog_named_after(frozen, out))
        snprintf(out, cap, "\x1f%s", frozen);
    if (out[0])
        return;
    if (put->uid && put->uid[0]) {
        snprintf(out, cap, "%s", put->uid);
        return;
    }
    vivo_catalog_digests(c, put->locator ? put->locator : "", NULL, &d);
    vivo_hex(d.plain, sizeof d.plain, hex);
    snprintf(out, cap, "%s", hex);
}

static uint64_t number_of(struct vivo_attrs a, uint32_t tag, uint64_t none)
{
    char text[32], *end;
    long long v;

    if (!vivo_attrs_text(a, tag, text, sizeof text))
        return none;
    errno = 0;
    v = strtoll(text, &end, 10);
    return errno || *end || v <= 0 || v > 1 << 20 ? none : (uint64_t)v;
}

/* Never 0: GNU tar does not open empty files (DESIGN A2). */
static uint64_t estimate(const struct vivo_put *put)
{
    uint64_t rows, columns, bits, frames;

    if (put->size)
        return put->size;
    rows = number_of(put->attrs, VIVO_TAG_Rows, 0);
    columns = number_of(put->attrs, VIVO_TAG_Columns, 0);
    bits = number_of(put->attrs, VIVO_TAG_BitsAllocated, 16);
    frames = number_of(put->attrs, VIVO_TAG_NumberOfFrames, 1);
    if (!rows || !columns || bits > 64 || rows > 65535 || columns > 65535)
        return SIZE_GUESS;
    return rows * columns * frames * VIVO_MAX(bits / 8, (uint64_t)1) + HEADER_GUESS;
}

int vivo_catalog_insert_instance(struct vivo_writer *w, struct vivo_sstate *ss,
                                 const struct vivo_new_instance *n, bool *was_free,
                                 struct vivo_err *err)
{
    sqlite3_stmt *st = vivo_catdb_stmt(
        &w->db,
        "INSERT OR IGNORE INTO instance(id, parent, name, u, uid, size, exact,"
        " version, refusal, risk, headers) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, 1,"
        " ?8, ?9, ?10)",
        err);
    const struct vivo_put *put = n->put;
    int rc;

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, n->id);
    vivo_catdb_int(st, 2, ss->id);
    vivo_catdb_text(st, 3, n->name);
    vivo_catdb_text(st, 4, n->u);
    vivo_catdb_text(st, 5, n->uid);
    vivo_catdb_int(st, 6, (int64_t)n->size);
    vivo_catdb_int(st, 7, put->size && put->size_exact);
    vivo_catdb_int(st, 8, put->refusal);
    vivo_catdb_int(st, 9, put->at_risk);
    vivo_catdb_int(st, 10, put->headers);
    rc = vivo_catdb_run(&w->db, st, err);
    *was_free = rc == 0 && sqlite3_changes(w->db.db) > 0;
    return rc;
}

static int insert_diff(struct vivo_writer *w, vivo_row id, struct vivo_err *err)
{
    sqlite3_stmt *st;

    if (w->scratch.len == 0)
        return 0;
    st = vivo_catdb_stmt(&w->db, "INSERT INTO diff(id, attrs) VALUES(?1, ?2)", err);
    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, id);
    vivo_catdb_blob(st, 2, w->scratch.data, w->scratch.len);
    return vivo_catdb_run(&w->db, st, err);
}

static void count(struct vivo_sstate *ss, int64_t sign, uint64_t size, int refusal,
                  bool risk, bool headers)
{
    ss->members += sign;
    ss->known += headers ? sign : 0;
    ss->dirty = ss->altered = true;
    if (refusal)
        return;
    ss->open += sign;
    ss->bytes += sign * (int64_t)size;
    ss->risk += risk ? sign : 0;
}

/* ---- the locator is known
 * ---------------------------------------------------------------- */

struct known {
    int64_t source, instance, parent, copies;
    bool unchanged, same_uid;
};

static int find_known(struct vivo_writer *w, const struct vivo_digests *id,
                      const char *uid, struct known *k, struct vivo_err *err)
{
    sqlite3_stmt *st = vivo_catdb_stmt(
        &w->db,
        "SELECT s.id, s.instance, coalesce(i.parent, 0), s.stamp = ?2, i.uid = ?3,"
        " (SELECT count(*) FROM source c WHERE c.instance = s.instance)"
        " FROM source s LEFT JOIN instance i ON i.id = s.instance WHERE s.lookup = ?1",
        err);
    int rc;

    if (!st)
        return -EIO;
    vivo_catdb_blob(st, 1, id->lookup, VIVO_CATALOG_KEY_LEN);
    vivo_catdb_blob(st, 2, id->stamp, VIVO_CATALOG_KEY_LEN);
    vivo_catdb_text(st, 3, uid);
    rc = vivo_catdb_step(&w->db, st, err);
    if (rc <= 0)
        return rc < 0 ? rc : vivo_fail(err, EIO, "catalog: a source is missing");
    k->source = sqlite3_column_int64(st, 0);
    k->instance = sqlite3_column_int64(st, 1);
    k->parent = sqlite3_column_int64(st, 2);
    k->unchanged = sqlite3_column_int(st, 3) != 0;
    k->same_uid = sqlite3_column_int(st, 4) != 0;
    k->copies = sqlite3_column_int64(st, 5);
    sqlite3_reset(st);
    return 0;
}

static int restamp(struct vivo_catalog *c, int64_t source, const struct vivo_put *put,
                   const struct vivo_digests *id, struct vivo_err *err)
{
    struct vivo_writer *w = &c->w;
    sqlite3_stmt *st;
    int rc = vivo_catalog_seal(c, put->locator, put->version, &w->scratch, err);

    if (rc < 0)
        return rc;
    st = vivo_catdb_stmt(
        &w->db, "UPDATE source SET stamp = ?2, sealed = ?3 WHERE id = ?1", err);
    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, source);
    vivo_catdb_blob(st, 2, id->stamp, VIVO_CATALOG_KEY_LEN);
    vivo_catdb_blob(st, 3, w->scratch.data, w->scratch.len);
    return vivo_catdb_run(&w->db, st, err);
}

/* 1: it stays where it is and is up to date; 0: its old self is gone, put it anew. */
static int put_known(struct vivo_catalog *c, struct vivo_sstate *ss,
                     const struct vivo_put *put, const struct vivo_digests *id,
                     struct vivo_source_ids *out, struct vivo_err *err)
{
    struct vivo_writer *w = &c->w;
    char uid[2 * VIVO_UID_MAX];
    struct known k = {0};
    int rc;

    vivo_catalog_put_uid(c, put, uid, sizeof uid);
    rc = find_known(w, id, uid, &k, err);
    if (rc < 0)
        return rc;
    if (k.instance && k.parent == ss->id && k.same_uid &&
        (k.unchanged || k.copies == 1)) {
        rc = vivo_catalog_update_instance(c, ss, k.instance, put, !k.unchanged, err);
        if (rc == 0 && !k.unchanged)
            rc = restamp(c, k.source, put, id, err);
        out->source = k.source;
        out->instance = k.instance;
        return rc < 0 ? rc : 1;
    }
    rc = vivo_catalog_flush(w, err);
    if (rc == 0)
        rc = vivo_catalog_remove_source(c, k.source, k.instance, err);
    vivo_catalog_forget(w);
    return rc;
}

/* ---- a new object
 * -------------------------------------------------------------------------- */

int vivo_catalog_insert_source(struct vivo_catalog *c, const struct vivo_new_source *n,
                               bool *was_free, struct vivo_err *err)
{
    struct vivo_writer *w = &c->w;
    sqlite3_stmt *st;
    int rc = vivo_catalog_seal(c, n->locator, n->version, &w->scratch, err);

    if (rc < 0)
        return rc;
    st = vivo_catdb_stmt(&w->db,
                         "INSERT OR IGNORE INTO source(id, lookup, instance, via,"
                         " owner, stamp, sealed, folder)"
                         " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                         err);
    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, n->id);
    vivo_catdb_blob(st, 2, n->digests->lookup, sizeof n->digests->lookup);
    vivo_catdb_int(st, 3, n->instance);
    vivo_catdb_int(st, 4, n->via);
    vivo_catdb_int(st, 5, n->owner);
    vivo_catdb_blob(st, 6, n->digests->stamp, sizeof n->digests->stamp);
    vivo_catdb_blob(st, 7, w->scratch.data, w->scratch.len);
    if (n->folder)
        vivo_catdb_int(st, 8, n->folder);
    rc = vivo_catdb_run(&w->db, st, err);
    *was_free = rc == 0 && sqlite3_changes(w->db.db) > 0;
    return rc;
}

static int redirect_source(struct vivo_writer *w, int64_t source, vivo_row instance,
                           struct vivo_err *err)
{
    sqlite3_stmt *st =
        vivo_catdb_stmt(&w->db,
                        instance ? "UPDATE source SET instance = ?2 WHERE id = ?1"
                                 : "DELETE FROM source WHERE id = ?1 AND ?2 = 0",
                        err);

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, source);
    vivo_catdb_int(st, 2, instance);
    return vivo_catdb_run(&w->db, st, err);
}

static int put_new(struct vivo_catalog *c, struct vivo_sstate *ss,
                   const struct vivo_put *put, struct vivo_source_ids *ids,
                   struct vivo_err *err)
{
    struct vivo_writer *w = &c->w;
    char uid[2 * VIVO_UID_MAX], name[VIVO_NAME_MAX + 1], u[7];
    struct vivo_new_instance n = {ids->instance, name, u, uid, put, estimate(put)};
    vivo_row row = n.id;
    bool was_free;
    int rc;

    /* A key names whatever the header says, which may be learned later or never. */
    struct vivo_attrs named = put->attrs;

    if (put->key || put->unnumbered)
        named = (struct vivo_attrs){NULL, 0};
    vivo_catalog_put_uid(c, put, uid, sizeof uid);
    if (!vivo_catalog_frozen_name(put, VIVO_LEVEL_INSTANCE, name) &&
        !vivo_name_layout(w->names, VIVO_LEVEL_INSTANCE,
                          put->key ? (struct vivo_attrs){NULL, 0} : put->attrs, true,
                          put->label, name))
        vivo_name_instance(named, uid, NULL, name);
    vivo_short_name(uid, strlen(uid), u, 6);
    rc = vivo_catalog_insert_instance(w, ss, &n, &was_free, err);
    if (rc == 0 && !was_free)
        rc = vivo_catalog_copy(c, ss, &n, &row, err);
    if (rc == -EEXIST) {
        ids->instance = row;
        rc = redirect_source(w, ids->source, 0, NULL);
        return rc < 0 ? rc : -EEXIST;
    }
    if (rc == 0 && row != n.id) { /* an exact copy */
        ids->instance = row;
        return redirect_source(w, ids->source, row, err);
    }
    if (rc == 0)
        rc = vivo_catalog_series_diff(w, ss, put->attrs, put->headers, err);
    if (rc == 0)
        rc = insert_diff(w, n.id, err);
    if (rc == 0)
        rc = vivo_catalog_rename_for(c, ss, uid, put->attrs, err);
    count(ss, 1, n.size, put->refusal, put->at_risk, put->headers);
    w->dirty = true;
    return rc;
}

int vivo_catalog_put_instance(struct vivo_catalog *c, enum vivo_level level,
                              vivo_row row, const struct vivo_put *put,
                              struct vivo_source_ids *out, struct vivo_err *err)
{
    struct vivo_writer *w = &c->w;
    struct vivo_digests id;
    struct vivo_sstate *ss;
    bool was_free = false;
    int rc;

    if (!put->locator)
        return vivo_fail(err, EINVAL, "catalog: an instance without a locator");
    vivo_catalog_digests(c, put->locator, put->version, &id);
    struct vivo_new_source src = {
        .via = level,
        .locator = put->locator,
        .version = put->version,
        .digests = &id,
        .folder = put->where ? vivo_catalog_folder(level, row, put->where) : 0};
    for (int tries = 0; tries < 2; tries++) {
        rc = vivo_catalog_series_for(c, level, row, put, &ss, err);
        if (rc < 0)
            return rc;
        out->source = vivo_catalog_next_id(w);
        out->instance = vivo_catalog_next_id(w);
        src.id = out->source;
        src.instance = out->instance;
        rc = vivo_catalog_insert_source(c, &src, &was_free, err);
        if (rc < 0)
            return rc;
        if (was_free)
            return put_new(c, ss, put, out, err);
        rc = put_known(c, ss, put, &id, out, err);
        if (rc != 0)
            return rc < 0 ? rc : 0;
    }
    return vivo_fail(err, EIO, "catalog: a source cannot be replaced");
}

/* ---- new contents
 * --------------------------------------------------------------------------- */

struct now {
    uint64_t size;
    int64_t version;
    int refusal;
    bool exact, risk, headers;
};

static int read_now(struct vivo_writer *w, vivo_row id, struct now *n,
                    struct vivo_err *err)
{
    sqlite3_stmt *st = vivo_catdb_stmt(
        &w->db,
        "SELECT size, exact, refusal, risk, headers, version FROM instance"
        " WHERE id = ?1",
        err);
    int rc;

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, id);
    rc = vivo_catdb_step(&w->db, st, err);
    if (rc <= 0)
        return rc < 0 ? rc : vivo_fail(err, ENOENT, "catalog: an instance is gone");
    n->size = (uint64_t)sqlite3_column_int64(st, 0);
    n->exact = sqlite3_column_int(st, 1) != 0;
    n->refusal = sqlite3_column_int(st, 2);
    n->risk = sqlite3_column_int(st, 3) != 0;
    n->headers = sqlite3_column_int(st, 4) != 0;
    n->version = sqlite3_column_int64(st, 5);
    sqlite3_reset(st);
    return 0;
}

static int write_now(struct vivo_writer *w, vivo_row id, const struct now *n,
                     struct vivo_err *err)
{
    sqlite3_stmt *st = vivo_catdb_stmt(
        &w->db,
        "UPDATE instance SET size = ?2, exact = ?3, refusal = ?4, risk = ?5,"
        " headers = ?6, version = ?7 WHERE id = ?1",
        err);

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, id);
    vivo_catdb_int(st, 2, (int64_t)n->size);
    vivo_catdb_int(st, 3, n->exact);
    vivo_catdb_int(st, 4, n->refusal);
    vivo_catdb_int(st, 5, n->risk);
    vivo_catdb_int(st, 6, n->headers);
    vivo_catdb_int(st, 7, n->version);
    return vivo_catdb_run(&w->db, st, err);
}

static int renew_diff(struct vivo_writer *w, struct vivo_sstate *ss, vivo_row id,
                      const struct vivo_put *put, struct vivo_err *err)
{
    struct vivo_attrs old, made;
    sqlite3_stmt *st;
    bool same;
    int rc = vivo_catalog_series_diff(w, ss, put->attrs, put->headers, err);

    if (rc < 0)
        return rc;
    st = vivo_catdb_stmt(&w->db, "SELECT attrs FROM diff WHERE id = ?1", err);
    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, id);
    rc = vivo_catdb_step(&w->db, st, err);
    if (rc < 0)
        return rc;
    old = rc ? vivo_catdb_column_attrs(st, 0) : (struct vivo_attrs){NULL, 0};
    made = (struct vivo_attrs){w->scratch.data, w->scratch.len};
    same = old.len == made.len &&
           (old.len == 0 || memcmp(old.data, made.data, old.len) == 0);
    sqlite3_reset(st);
    if (same)
        return 0;
    w->dirty = ss->dirty = ss->altered = true;
    return vivo_catalog_write_diff(w, id, made, err);
}

int vivo_catalog_update_instance(struct vivo_catalog *c, struct vivo_sstate *ss,
                                 vivo_row instance, const struct vivo_put *put,
                                 bool changed, struct vivo_err *err)
{
    struct vivo_writer *w = &c->w;
    struct now old = {0}, n;
    int rc = read_now(w, instance, &old, err);

    if (rc < 0)
        return rc;
    n = old;
    if (put->size && (put->size_exact || !old.exact || changed)) {
        n.size = put->size;
        n.exact = put->size_exact;
    } else if (changed) {
        n.size = estimate(put);
        n.exact = false;
    }
    if (changed || put->headers) {
        n.refusal = put->refusal;
        n.risk = put->at_risk;
    }
    n.headers = put->headers || (old.headers && !changed);
    n.version = old.version + changed;
    if (changed || put->headers || !old.headers)
        rc = renew_diff(w, ss, instance, put, err);
    if (rc < 0 ||
        (n.size == old.size && n.exact == old.exact && !changed &&
         n.refusal == old.refusal && n.risk == old.risk && n.headers == old.headers))
        return rc;
    w->dirty = true;
    count(ss, -1, old.size, old.refusal, old.risk, old.headers);
    count(ss, 1, n.size, n.refusal, n.risk, n.headers);
    return write_now(w, instance, &n, err);
}
