/* SPDX-License-Identifier: Apache-2.0 */
/* src/catalog/nodes.c -- collections, patients, studies and series as rows.
 *
 * A node is told from its siblings by its key: the collection's label, the patient's
 * issuer and ID, the UIDs of study and series, all as shown and without shortening:
 * names may collide, keys may not (DESIGN D10). Records bring their ancestors with
 * them; those are made when they are first named. */
#include "catalog/keys.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define BY_LEVEL(sql)                                                                  \
    {                                                                                  \
        [VIVO_LEVEL_COLLECTION] = sql("collection"),                                   \
        [VIVO_LEVEL_PATIENT] = sql("patient"), [VIVO_LEVEL_STUDY] = sql("study"),      \
        [VIVO_LEVEL_SERIES] = sql("series"),                                           \
    }

#define FIND_KEY(t) "SELECT id FROM " t " WHERE parent = ?1 AND key = ?2"
#define FIND_LOOKUP(t) "SELECT id, parent, key FROM " t " WHERE lookup = ?1"
#define INSERT(t)                                                                      \
    "INSERT OR IGNORE INTO " t "(id, parent, name, u, key, mtime, namer, via)"         \
    " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
#define RENAME(t)                                                                      \
    "UPDATE OR IGNORE " t " SET name = ?2, u = ?3, mtime = ?4, namer = ?5 WHERE id = " \
    "?1"
#define RECORD(t)                                                                      \
    "UPDATE " t " SET lookup = ?2, sealed = ?3, attrs = ?4, via = ?5, kept = 1"        \
    " WHERE id = ?1"
#define KEEP(t) "UPDATE " t " SET kept = 1 WHERE id = ?1"
#define EXISTS(t) "SELECT 1 FROM " t " WHERE id = ?1"
#define OLD_ATTRS(t) "SELECT attrs FROM " t " WHERE id = ?1"

static const char *const find_key_sql[] = BY_LEVEL(FIND_KEY);
static const char *const find_lookup_sql[] = BY_LEVEL(FIND_LOOKUP);
static const char *const insert_sql[] = BY_LEVEL(INSERT);
static const char *const rename_sql[] = BY_LEVEL(RENAME);
static const char *const record_sql[] = BY_LEVEL(RECORD);
static const char *const old_attrs_sql[] = BY_LEVEL(OLD_ATTRS);
int64_t vivo_catalog_next_id(struct vivo_writer *w)
{
    return w->next_id++;
}

/* ---- rows
 * ---------------------------------------------------------------------------- */

static int find_key(struct vivo_writer *w, enum vivo_level level, vivo_row parent,
                    const char *key, vivo_row *out, struct vivo_err *err)
{
    sqlite3_stmt *st = vivo_catdb_stmt(&w->db, find_key_sql[level], err);

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, parent);
    vivo_catdb_text(st, 2, key);
    return vivo_catdb_number(&w->db, st, 0, out, err);
}

/* The level whose listing brings such a node: the one under way, or, of a search, the
 * lowest above it that the driver lists. */
static enum vivo_level via_of(const struct vivo_put *put, enum vivo_level listing,
                              enum vivo_level level)
{
    int l = (int)level - 1;

    if (!put->lists)
        return listing;
    while (l > VIVO_LEVEL_NONE && !(put->lists & 1u << l))
        l--;
    return (enum vivo_level)l;
}

/* A node that a search implies keeps the name that the record gave it, as one that a
 * listing implies does once that is complete. */
static int keep_name(struct vivo_writer *w, enum vivo_level level, vivo_row row,
                     struct vivo_err *err)
{
    static const char *const sql[] = BY_LEVEL(KEEP);
    sqlite3_stmt *st = vivo_catdb_stmt(&w->db, sql[level], err);

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, row);
    return vivo_catdb_run(&w->db, st, err);
}

static int insert(struct vivo_writer *w, enum vivo_level via, enum vivo_level level,
                  vivo_row parent, const char *key, const struct vivo_put *put,
                  vivo_row *out, struct vivo_err *err)
{
    sqlite3_stmt *st = vivo_catdb_stmt(&w->db, insert_sql[level], err);
    char name[VIVO_NAME_MAX + 1], uid[VIVO_UID_MAX + 1] = "";
    int64_t id = vivo_catalog_next_id(w);
    int rc;

    if (!st)
        return -EIO;
    vivo_catalog_make_name(w, level, put, key, name);
    if (put->level == VIVO_LEVEL_INSTANCE)
        vivo_attrs_text(put->attrs, VIVO_TAG_SOPInstanceUID, uid, sizeof uid);
    vivo_catdb_int(st, 1, id);
    vivo_catdb_int(st, 2, parent);
    vivo_catdb_text(st, 5, key);
    vivo_catdb_int(st, 6,
                   level == VIVO_LEVEL_STUDY ? vivo_name_mtime(put->attrs)
                                             : VIVO_CATALOG_MTIME);
    vivo_catdb_text(st, 7, uid);
    vivo_catdb_int(st, 8, via);
    rc = vivo_catalog_with_free_name(w, &(struct vivo_sibling){level, id, parent, key},
                                     st, 3, name, err);
    w->dirty = true;
    if (rc == 0 && (put->lists || put->path))
        rc = keep_name(w, level, id, err);
    if (rc == 0 && level == VIVO_LEVEL_SERIES && put->level == VIVO_LEVEL_INSTANCE &&
        (put->license || put->citation))
        rc = vivo_catalog_write_words(w, put, level, id, err);
    *out = id;
    return rc;
}

/* -ENOENT, before anything is written: another listing has removed the parent. */
static int parent_there(struct vivo_writer *w, enum vivo_level level, vivo_row row,
                        struct vivo_err *err)
{
    static const char *const sql[] = BY_LEVEL(EXISTS);
    sqlite3_stmt *st;
    int64_t there = 0;
    int rc;

    if (level == VIVO_LEVEL_NONE)
        return 0;
    st = vivo_catdb_stmt(&w->db, sql[level], err);
    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, row);
    rc = vivo_catdb_number(&w->db, st, 0, &there, err);
    if (rc < 0 || there)
        return rc;
    return vivo_fail(err, ENOENT, "catalog: row #%lld is gone", (long long)row);
}

/* The node of `upto` that a record below (level, row) belongs to. */
static int resolve(struct vivo_writer *w, enum vivo_level level, vivo_row row,
                   enum vivo_level upto, const struct vivo_keys *keys,
                   const struct vivo_put *put, vivo_row *out, struct vivo_err *err)
{
    vivo_row parent = row;
    int rc = parent_there(w, level, row, err);

    for (int l = (int)level + 1; rc == 0 && l <= (int)upto; l++) {
        vivo_row id = 0;
        rc = find_key(w, (enum vivo_level)l, parent, keys->of[l], &id, err);
        if (rc == 0 && id == 0)
            rc = insert(w, via_of(put, level, (enum vivo_level)l), (enum vivo_level)l,
                        parent, keys->of[l], put, &id, err);
        parent = id;
    }
    *out = parent;
    return rc;
}

static uint32_t path_hash(const char *s)
{
    uint32_t h = 2166136261u; /* FNV-1a */

    for (; *s; s++)
        h = (h ^ (uint8_t)*s) * 16777619u;
    return h ^ h >> 15;
}

int vivo_catalog_series_for(struct vivo_catalog *c, enum vivo_level level, vivo_row row,
                            const struct vivo_put *put, struct vivo_sstate **out,
                            struct vivo_err *err)
{
    struct vivo_writer *w = &c->w;
    char path[4 * (2 * VIVO_CATALOG_KEY_MAX + 10) + 32];
    struct vivo_pstate *p;
    struct vivo_keys keys;
    int rc;

    vivo_catalog_keys_make(put, &keys);
    snprintf(path, sizeof path, "%d %lld\x1e%s\x1e%s\x1e%s\x1e%s", (int)level,
             (long long)row, keys.of[VIVO_LEVEL_COLLECTION],
             keys.of[VIVO_LEVEL_PATIENT], keys.of[VIVO_LEVEL_STUDY],
             keys.of[VIVO_LEVEL_SERIES]);
    p = &w->paths[path_hash(path) % VIVO_CATALOG_SLOTS];
    if (p->path && strcmp(p->path, path) == 0)
        return vivo_catalog_series_get(w, p->series, out, err);
    free(p->path);
    p->path = NULL;
    rc = resolve(w, level, row, VIVO_LEVEL_SERIES, &keys, put, &p->series, err);
    if (rc < 0)
        return rc;
    p->path = strdup(path); /* without memory it is looked up again next time */
    return vivo_catalog_series_get(w, p->series, out, err);
}

int vivo_catalog_collection_for(struct vivo_catalog *c, const char *collection,
                                vivo_row *out, struct vivo_err *err)
{
    struct vivo_put put = {.level = VIVO_LEVEL_INSTANCE, .collection = collection};
    struct vivo_keys keys;

    vivo_catalog_keys_make(&put, &keys);
    return resolve(&c->w, VIVO_LEVEL_NONE, 0, VIVO_LEVEL_COLLECTION, &keys, &put, out,
                   err);
}

/* ---- records of their own
 * -------------------------------------------------------------- */

/* The node that has this locator, unless it has become another one: then it goes. */
static int find_lookup(struct vivo_writer *w, const struct vivo_put *put,
                       const uint8_t *lookup, vivo_row parent, const char *key,
                       vivo_row *out, struct vivo_err *err)
{
    sqlite3_stmt *st = vivo_catdb_stmt(&w->db, find_lookup_sql[put->level], err);
    bool same;
    int rc;

    *out = 0;
    if (!st)
        return -EIO;
    vivo_catdb_blob(st, 1, lookup, VIVO_CATALOG_KEY_LEN);
    rc = vivo_catdb_step(&w->db, st, err);
    if (rc <= 0)
        return rc;
    *out = sqlite3_column_int64(st, 0);
    same = sqlite3_column_int64(st, 1) == parent &&
           strcmp(vivo_catdb_column_text(st, 2), key) == 0;
    sqlite3_reset(st);
    if (same)
        return 0;
    rc = vivo_catalog_flush(w, err);
    if (rc == 0)
        rc = vivo_catalog_remove_node(w, put->level, *out, err);
    vivo_catalog_forget(w);
    *out = 0;
    return rc;
}

int vivo_catalog_base_from_record(struct vivo_writer *w, vivo_row id, vivo_row study,
                                  struct vivo_attrs attrs, struct vivo_err *err)
{
    sqlite3_stmt *st;
    struct vivo_sstate *ss;
    int rc = vivo_catalog_series_get(w, id, &ss, err);

    if (rc < 0 || ss->origin > ORIGIN_RECORD)
        return rc;
    st = vivo_catdb_stmt(&w->db, old_attrs_sql[VIVO_LEVEL_STUDY], err);
    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, study);
    rc = vivo_catdb_step(&w->db, st, err);
    if (rc < 0)
        return rc;
    w->remembered -= ss->base.len;
    vivo_buf_clear(&ss->base);
    if (vivo_attrs_merge(vivo_catdb_column_attrs(st, 0), attrs, &ss->base) < 0)
        rc = vivo_fail(err, ENOMEM, "catalog: out of memory");
    w->remembered += ss->base.len;
    sqlite3_reset(st);
    ss->origin = ORIGIN_RECORD;
    ss->kept = true;
    ss->dirty = ss->dirty_base = ss->altered = true;
    return rc < 0 ? rc : 0;
}

static int write_record(struct vivo_catalog *c, const struct vivo_put *put,
                        enum vivo_level via, const uint8_t *lookup, vivo_row id,
                        struct vivo_err *err)
{
    struct vivo_writer *w = &c->w;
    sqlite3_stmt *st = vivo_catdb_stmt(&w->db, old_attrs_sql[put->level], err);
    struct vivo_attrs old;
    int rc;

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, id);
    rc = vivo_catdb_step(&w->db, st, err);
    if (rc < 0)
        return rc;
    old = vivo_catdb_column_attrs(st, 0);
    if (old.len != put->attrs.len ||
        (old.len && memcmp(old.data, put->attrs.data, old.len) != 0))
        w->dirty = true;
    sqlite3_reset(st);
    st = vivo_catdb_stmt(&w->db, record_sql[put->level], err);
    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, id);
    if (lookup) {
        rc = vivo_catalog_seal(c, put->locator, put->version, &w->scratch, err);
        if (rc < 0)
            return rc;
        vivo_catdb_blob(st, 2, lookup, VIVO_CATALOG_KEY_LEN);
        vivo_catdb_blob(st, 3, w->scratch.data, w->scratch.len);
    }
    vivo_catdb_blob(st, 4, put->attrs.data, put->attrs.len);
    vivo_catdb_int(st, 5, via);
    if (put->level == VIVO_LEVEL_STUDY) /* is kept from now on */
        w->studies[(uint64_t)id % VIVO_CATALOG_SLOTS].id = 0;
    return vivo_catdb_run(&w->db, st, err);
}

int vivo_catalog_put_node(struct vivo_catalog *c, enum vivo_level level, vivo_row row,
                          const struct vivo_put *put, vivo_row *out,
                          struct vivo_err *err)
{
    struct vivo_writer *w = &c->w;
    struct vivo_digests digests;
    struct vivo_keys keys;
    enum vivo_level via = via_of(put, level, put->level);
    vivo_row parent, id = 0;
    int rc;

    if (put->level <= level)
        return vivo_fail(err, EINVAL, "catalog: a %s cannot be below a %s",
                         vivo_level_name(put->level), vivo_level_name(level));
    vivo_catalog_keys_make(put, &keys);
    rc = resolve(w, level, row, put->level - 1, &keys, put, &parent, err);
    if (rc == 0 && put->locator) {
        vivo_catalog_digests(c, put->locator, put->version, &digests);
        rc = find_lookup(w, put, digests.lookup, parent, keys.of[put->level], &id, err);
    }
    if (rc == 0 && id == 0)
        rc = find_key(w, put->level, parent, keys.of[put->level], &id, err);
    if (rc == 0 && id == 0)
        rc = insert(w, via, put->level, parent, keys.of[put->level], put, &id, err);
    if (rc == 0)
        rc = write_record(c, put, via, put->locator ? digests.lookup : NULL, id, err);
    if (rc == 0 &&
        (put->level == VIVO_LEVEL_SERIES || put->level == VIVO_LEVEL_COLLECTION))
        rc = vivo_catalog_write_words(w, put, put->level, id, err);
    if (rc == 0 && put->level == VIVO_LEVEL_SERIES)
        rc = vivo_catalog_base_from_record(w, id, parent, put->attrs, err);
    *out = id;
    return rc;
}

/* ---- who names
 * ------------------------------------------------------------------------- */

static int study_state(struct vivo_writer *w, vivo_row id, struct vivo_tstate **out,
                       struct vivo_err *err)
{
    struct vivo_tstate *t = &w->studies[(uint64_t)id % VIVO_CATALOG_SLOTS];
    sqlite3_stmt *st;
    int rc;

    *out = t;
    if (t->id == id)
        return 0;
    t->id = 0;
    st = vivo_catdb_stmt(&w->db, "SELECT kept, namer FROM study WHERE id = ?1", err);
    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, id);
    rc = vivo_catdb_step(&w->db, st, err);
    if (rc <= 0)
        return rc < 0 ? rc : vivo_fail(err, EIO, "catalog: a study is missing");
    t->kept = sqlite3_column_int(st, 0) != 0;
    snprintf(t->namer, sizeof t->namer, "%s", vivo_catdb_column_text(st, 1));
    sqlite3_reset(st);
    t->id = id;
    return 0;
}

static int rename_node(struct vivo_writer *w, enum vivo_level level, vivo_row id,
                       uint32_t key_tag, const char *uid, struct vivo_attrs a,
                       struct vivo_err *err)
{
    sqlite3_stmt *st = vivo_catdb_stmt(&w->db, rename_sql[level], err);
    struct vivo_put put = {.level = level, .attrs = a};
    char name[VIVO_NAME_MAX + 1], key[VIVO_CATALOG_KEY_MAX + 1];

    if (!st)
        return -EIO;
    vivo_catalog_key_attr(a, key_tag, key);
    vivo_catalog_make_name(w, level, &put, key, name);
    vivo_catdb_int(st, 1, id);
    vivo_catdb_int(st, 4,
                   level == VIVO_LEVEL_STUDY ? vivo_name_mtime(a) : VIVO_CATALOG_MTIME);
    vivo_catdb_text(st, 5, uid);
    w->dirty = true;
    return vivo_catalog_with_free_name(w, &(struct vivo_sibling){level, id, 0, key}, st,
                                       2, name, err);
}

int vivo_catalog_rename_for(struct vivo_catalog *c, struct vivo_sstate *ss,
                            const char *uid, struct vivo_attrs a, struct vivo_err *err)
{
    struct vivo_writer *w = &c->w;
    struct vivo_tstate *t = NULL;
    int rc = 0;

    if (strlen(uid) > VIVO_UID_MAX)
        return 0;
    if (!ss->kept && (!ss->namer[0] || strcmp(uid, ss->namer) < 0)) {
        rc = rename_node(w, VIVO_LEVEL_SERIES, ss->id, VIVO_TAG_SeriesInstanceUID, uid,
                         a, err);
        snprintf(ss->namer, sizeof ss->namer, "%s", uid);
    }
    if (rc == 0)
        rc = study_state(w, ss->study, &t, err);
    if (rc < 0 || t->kept || (t->namer[0] && strcmp(uid, t->namer) >= 0))
        return rc;
    snprintf(t->namer, sizeof t->namer, "%s", uid);
    return rename_node(w, VIVO_LEVEL_STUDY, ss->study, VIVO_TAG_StudyInstanceUID, uid,
                       a, err);
}
