/* SPDX-License-Identifier: Apache-2.0 */
/* src/catalog/naming.c -- the names of collections, patients, studies and series, each
 * the only one of its name below its parent (DESIGN A1, D10).
 *
 * Which of two siblings has the shorter name hangs on their keys, not on which came
 * first, as long as nobody has seen them. */
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

/* Who has a name below a parent that nobody has seen yet, which `above` tells. What a
 * search has brought may have been seen. */
#define HOLDER(t, above)                                                               \
    "SELECT id, key FROM " t                                                           \
    " WHERE parent = ?1 AND name = ?2 AND (kept = 0 OR lookup"                         \
    " IS NOT NULL) AND NOT EXISTS (" above ")"
#define GIVE_UP(t) "UPDATE OR IGNORE " t " SET name = ?2, u = ?3 WHERE id = ?1"
#define PARENT(t) "SELECT parent FROM " t " WHERE id = ?1"

static const char *const give_up_sql[] = BY_LEVEL(GIVE_UP);
static const char *const holder_sql[] = {
    [VIVO_LEVEL_COLLECTION] =
        HOLDER("collection", "SELECT 1 FROM meta WHERE id = 3 AND value > 0"),
    [VIVO_LEVEL_PATIENT] =
        HOLDER("patient", "SELECT 1 FROM collection WHERE id = ?1 AND listed > 0"),
    [VIVO_LEVEL_STUDY] =
        HOLDER("study", "SELECT 1 FROM patient WHERE id = ?1 AND listed > 0"),
    [VIVO_LEVEL_SERIES] =
        HOLDER("series", "SELECT 1 FROM study WHERE id = ?1 AND listed > 0"),
};

/* ---- names
 * --------------------------------------------------------------------------- */

void vivo_catalog_name_u(const char *name, char out[7])
{
    const char *p = strrchr(name, '_');
    size_t n;

    out[0] = 0;
    p = p ? p + 1 : name;
    n = strspn(p, "abcdefghijklmnopqrstuvwxyz234567");
    if (n < 6 || (p[n] != 0 && p[n] != '.' && p[n] != '+'))
        return;
    memcpy(out, p, 6);
    out[6] = 0;
}

/* What the names of a level are made of: the attributes, but for what a label or a key
 * of the archive stands for. `with` keeps the bytes. */
static struct vivo_attrs named_by(enum vivo_level level, const struct vivo_put *put,
                                  struct vivo_buf *with)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf id = {0};
    const char *text = level == put->level ? put->key : NULL;
    int tag = level == VIVO_LEVEL_STUDY ? VIVO_TAG_StudyInstanceUID
                                        : VIVO_TAG_SeriesInstanceUID;

    if (level == VIVO_LEVEL_PATIENT) {
        text = put->patient;
        tag = VIVO_TAG_PatientID;
    }
    if (!text)
        return put->attrs;
    vivo_buf_init(&id, VIVO_ATTRS_MAX);
    vivo_buf_init(with, VIVO_ATTRS_MAX);
    /* A patient's label stands alone, without an issuer. */
    if (vivo_attrs_put(&id, (uint32_t)tag, level == VIVO_LEVEL_PATIENT ? "LO" : "UI",
                       text, strlen(text)) < 0 ||
        vivo_attrs_merge(level == VIVO_LEVEL_PATIENT ? (struct vivo_attrs){NULL, 0}
                                                     : put->attrs,
                         (struct vivo_attrs){id.data, id.len}, with) < 0)
        vivo_buf_clear(with);
    return (struct vivo_attrs){with->data, with->len};
}

/* What the layout's names are made of besides attributes. */
static const char *label_of(enum vivo_level level, const struct vivo_put *put)
{
    if (level == VIVO_LEVEL_COLLECTION)
        return put->collection;
    return level == put->level ? put->label : NULL;
}

void vivo_catalog_make_name(const struct vivo_writer *w, enum vivo_level level,
                            const struct vivo_put *put, const char *key,
                            char out[VIVO_NAME_MAX + 1])
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf with = {0};
    struct vivo_attrs a = named_by(level, put, &with);
    bool plain = w->plain_names;

    if (vivo_catalog_frozen_name(put, level, out))
        return;
    if (key[0] &&
        vivo_name_layout(w->names, level, a, plain, label_of(level, put), out))
        return;
    if (level == VIVO_LEVEL_COLLECTION && key[0])
        vivo_name_collection(put->collection, out);
    else if (level == VIVO_LEVEL_COLLECTION)
        snprintf(out, VIVO_NAME_MAX + 1, "all");
    else if (level == VIVO_LEVEL_PATIENT)
        vivo_name_patient(a, out);
    else if (level == VIVO_LEVEL_STUDY && key[0])
        (plain ? vivo_name_study_plain : vivo_name_study)(a, out);
    else if (level == VIVO_LEVEL_SERIES && key[0])
        (plain ? vivo_name_series_plain : vivo_name_series)(a, out);
    else
        snprintf(out, VIVO_NAME_MAX + 1, "%s",
                 level == VIVO_LEVEL_STUDY ? "no-study" : "no-series");
}

/* When two siblings would share a name, the u of one is made longer. */
static void lengthen(const char *name, const char *key, size_t chars,
                     char out[VIVO_NAME_MAX + 1])
{
    char u6[7], u[33];
    size_t len = strlen(name);

    vivo_short_name(key, strlen(key), u6, 6);
    vivo_short_name(key, strlen(key), u, chars);
    if (len > 7 && name[len - 7] == '_' && strcmp(name + len - 6, u6) == 0)
        len -= 7;
    len = VIVO_MIN(len, (size_t)VIVO_NAME_MAX - chars - 1);
    snprintf(out, VIVO_NAME_MAX + 1, "%.*s_%s", (int)len, name, u);
}

static int parent_of(struct vivo_writer *w, enum vivo_level level, vivo_row id,
                     vivo_row *out, struct vivo_err *err)
{
    static const char *const sql[] = BY_LEVEL(PARENT);
    sqlite3_stmt *st = vivo_catdb_stmt(&w->db, sql[level], err);

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, id);
    return vivo_catdb_number(&w->db, st, 0, out, err);
}

static int holder_of(struct vivo_writer *w, const struct vivo_sibling *b,
                     const char *name, vivo_row *out, char key[VIVO_CATALOG_KEY_CAP],
                     struct vivo_err *err)
{
    vivo_row parent = b->parent;
    int rc = parent ? 0 : parent_of(w, b->level, b->row, &parent, err);
    sqlite3_stmt *st;

    *out = 0;
    if (rc < 0)
        return rc;
    st = vivo_catdb_stmt(&w->db, holder_sql[b->level], err);
    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, parent);
    vivo_catdb_text(st, 2, name);
    rc = vivo_catdb_step(&w->db, st, err);
    if (rc <= 0)
        return rc;
    *out = sqlite3_column_int64(st, 0);
    snprintf(key, VIVO_CATALOG_KEY_CAP, "%s", vivo_catdb_column_text(st, 1));
    sqlite3_reset(st);
    return 0;
}

/* Of siblings that nobody has seen yet the one with the smallest key has the name, so
 * that names do not hang on the order in which files come. 1: the name is free now. */
static int take_from(struct vivo_writer *w, const struct vivo_sibling *b,
                     const char *name, struct vivo_err *err)
{
    char key[VIVO_CATALOG_KEY_CAP], longer[VIVO_NAME_MAX + 1], u[7];
    sqlite3_stmt *st;
    vivo_row holder;
    int rc = holder_of(w, b, name, &holder, key, err);

    if (rc < 0 || holder == 0 || strcmp(b->key, key) >= 0)
        return rc;
    st = vivo_catdb_stmt(&w->db, give_up_sql[b->level], err);
    if (!st)
        return -EIO;
    lengthen(name, key, 12, longer);
    vivo_catalog_name_u(longer, u);
    vivo_catdb_int(st, 1, holder);
    vivo_catdb_text(st, 2, longer);
    vivo_catdb_text(st, 3, u);
    rc = vivo_catdb_run(&w->db, st, err);
    return rc < 0 ? rc : sqlite3_changes(w->db.db) > 0;
}

/* 1: the statement, which binds a name at ?at and its u behind it, changed a row. */
static int run_named(struct vivo_writer *w, sqlite3_stmt *st, int at, const char *name,
                     struct vivo_err *err)
{
    char u[7];
    int rc;

    vivo_catalog_name_u(name, u);
    vivo_catdb_text(st, at, name);
    vivo_catdb_text(st, at + 1, u);
    rc = vivo_catdb_run(&w->db, st, err);
    return rc < 0 ? rc : sqlite3_changes(w->db.db) > 0;
}

int vivo_catalog_with_free_name(struct vivo_writer *w, const struct vivo_sibling *b,
                                sqlite3_stmt *st, int at, const char *name,
                                struct vivo_err *err)
{
    static const size_t chars[] = {12, 24};
    char tried[VIVO_NAME_MAX + 1];
    int rc = run_named(w, st, at, name, err);

    if (rc == 0) {
        rc = take_from(w, b, name, err);
        if (rc == 1)
            rc = run_named(w, st, at, name, err);
    }
    for (size_t i = 0; rc == 0 && i < VIVO_ARRAY_LEN(chars); i++) {
        lengthen(name, b->key, chars[i], tried);
        rc = run_named(w, st, at, tried, err);
    }
    if (rc)
        return VIVO_MIN(rc, 0);
    return vivo_fail(err, EIO, "catalog: no free name");
}
