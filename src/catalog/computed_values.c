/* SPDX-License-Identifier: Apache-2.0 */
/* src/catalog/computed_values.c -- the values of a virtual attribute, for facets.
 *
 * They belong to series, studies, patients or collections, so one pass over the series
 * and one over what was never listed asks for them all, of what the selection made its
 * facts from (facts.c). Values that differ in case alone are one. */
#include "catalog/internal.h"

#include "vivofs/text.h"

#include <errno.h>
#include <search.h>
#include <string.h>

#define VALUES_MAX (48u << 20) /* bytes of all values */

struct word {
    const char *text, *key; /* key: what two that are one have in common */
};

struct words {
    enum vivo_query_virtual which;
    struct vivo_place place;
    struct vivo_arena *arena;
    struct vivo_buf key;
    void *tree;
    bool has_missing;
    vivo_value_fn *fn;
    void *ctx;
    int rc;
    struct vivo_err *err;
};

static int no_memory(struct words *w)
{
    return vivo_fail(w->err, ENOMEM, "catalog: too many different values");
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const struct word *)a)->key, ((const struct word *)b)->key);
}

/* The smaller spelling in byte order stands for all. */
static int add_word(struct words *w, const char *text, size_t len)
{
    struct word probe, *made, **at;

    while (len && *text == ' ') {
        text++;
        len--;
    }
    while (len && text[len - 1] == ' ')
        len--;
    if (!len)
        return 0;
    vivo_buf_clear(&w->key);
    if (vivo_text_fold(text, len, &w->key) || vivo_buf_add(&w->key, "", 1))
        return no_memory(w);
    probe.key = (const char *)w->key.data;
    at = tfind(&probe, &w->tree, by_key);
    if (at && (strncmp(text, (*at)->text, len) > 0 ||
               (!strncmp(text, (*at)->text, len) && strlen((*at)->text) <= len)))
        return 0;
    made = at ? *at : vivo_arena_alloc(w->arena, sizeof *made);
    if (!made)
        return no_memory(w);
    made->text = vivo_arena_strndup(w->arena, text, len);
    if (!at)
        made->key = vivo_arena_strndup(w->arena, probe.key, w->key.len - 1);
    if (!made->text || !made->key || (!at && !tsearch(made, &w->tree, by_key)))
        return no_memory(w);
    return 0;
}

/* Of several that stand for one thing the first is its name, the others ask for it: the
 * label of a collection, the long name of a licence, a rank from the last study. */
static bool is_alias(enum vivo_query_virtual which)
{
    return which == VIVO_VIRTUAL_COLLECTION || which == VIVO_VIRTUAL_LICENSE ||
           which == VIVO_VIRTUAL_STUDY_RANK;
}

static int add_place(struct words *w)
{
    char text[VIVO_QUERY_COMPUTED_MAX] = "";
    enum vivo_truth t;
    int rc = 0;

    w->place.nwants = w->place.nneeds = 0;
    t = vivo_catalog_computed(&w->place, w->which, text);
    if (t == VIVO_FALSE)
        w->has_missing = true;
    for (const char *p = text; t == VIVO_TRUE && rc == 0; p++) {
        size_t len = strcspn(p, "\\");
        rc = add_word(w, p, len);
        p += len;
        if (!*p || is_alias(w->which))
            break;
    }
    return rc;
}

static bool is_selected(const struct words *w, enum vivo_level level)
{
    const struct vivo_selection *s = w->place.sel;
    struct vivo_lineage l;

    memcpy(l.rows, w->place.rows, sizeof l.rows);
    return vivo_selection_whole(s, &l) ||
           (level == VIVO_LEVEL_SERIES &&
            vivo_catalog_rowset_has(&s->f.some[level], l.rows[level]));
}

static int add_series(struct words *w, sqlite3_stmt *st)
{
    bool refused = sqlite3_column_int64(st, COL_MEMBERS) > 0 &&
                   sqlite3_column_int64(st, COL_OPEN) == 0;

    w->place.rows[VIVO_LEVEL_COLLECTION] = sqlite3_column_int64(st, COL_COLLECTION);
    w->place.rows[VIVO_LEVEL_PATIENT] = sqlite3_column_int64(st, COL_PATIENT);
    w->place.rows[VIVO_LEVEL_STUDY] = sqlite3_column_int64(st, COL_STUDY);
    w->place.rows[VIVO_LEVEL_SERIES] = sqlite3_column_int64(st, COL_ID);
    return refused || !is_selected(w, VIVO_LEVEL_SERIES) ? 0 : add_place(w);
}

static int add_all_series(struct words *w, enum vivo_level level, vivo_row row)
{
    sqlite3_stmt *st = vivo_catalog_series_below(w->place.d, level, row, w->err);
    int rc = st ? 0 : -EIO;

    while (st && (rc = vivo_catdb_step(w->place.d, st, w->err)) == 1) {
        rc = add_series(w, st);
        if (rc < 0)
            break;
    }
    if (st)
        sqlite3_reset(st);
    return VIVO_MIN(rc, 0);
}

/* What has no series yet, because nobody looked. */
#define IN(collection, patient, study)                                                 \
    " AND CASE ?2 WHEN 0 THEN 1 WHEN 1 THEN " collection " = ?1 WHEN 2 THEN " patient  \
    " = ?1 WHEN 3 THEN " study " = ?1 ELSE 0 END"

static int add_unlisted(struct words *w, enum vivo_level level, vivo_row row)
{
    sqlite3_stmt *st = vivo_catdb_stmt(
        w->place.d,
        "SELECT c.id, 0, 0 FROM collection c WHERE c.listed = 0"
        " AND c.lookup IS NOT NULL" IN(
            "c.id", "0",
            "0") " UNION ALL SELECT p.parent, p.id, 0 FROM patient p WHERE p.listed = 0"
                 " AND p.lookup IS NOT NULL" IN(
                     "p.parent", "p.id",
                     "0") " UNION ALL SELECT p.parent, p.id, t.id FROM study t CROSS "
                          "JOIN patient p"
                          " ON p.id = t.parent WHERE t.listed = 0 AND t.lookup IS NOT "
                          "NULL" IN("p.parent", "p.id", "t.id"),
        w->err);
    int rc;

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, row);
    vivo_catdb_int(st, 2, level);
    memset(w->place.rows, 0, sizeof w->place.rows);
    while ((rc = vivo_catdb_step(w->place.d, st, w->err)) == 1) {
        for (int l = VIVO_LEVEL_COLLECTION; l <= VIVO_LEVEL_STUDY; l++)
            w->place.rows[l] = sqlite3_column_int64(st, l - VIVO_LEVEL_COLLECTION);
        rc = is_selected(w, VIVO_LEVEL_STUDY) ? add_place(w) : 0;
        if (rc < 0)
            break;
    }
    sqlite3_reset(st);
    return VIVO_MIN(rc, 0);
}

static int gather(struct words *w, struct vivo_catalog *c, enum vivo_level level,
                  vivo_row row)
{
    int rc;

    w->place.d = vivo_catalog_reader(c, w->err);
    if (!w->place.d)
        return -EIO;
    rc = vivo_catdb_do(w->place.d, "BEGIN", w->err);
    if (rc == 0) {
        rc = add_all_series(w, level, row);
        if (rc == 0)
            rc = add_unlisted(w, level, row);
        vivo_catdb_do(w->place.d, "COMMIT", NULL);
    }
    vivo_catalog_reader_done(c, w->place.d);
    return rc;
}

static void emit_word(const void *node, VISIT visit, void *ctx)
{
    struct words *w = ctx;
    const struct word *const *word = node;

    if ((visit == postorder || visit == leaf) && w->rc == 0)
        w->rc = w->fn(w->ctx, (*word)->text, 0);
}

static void keep_word(void *word)
{
    (void)word; /* the arena's */
}

int vivo_catalog_computed_values(struct vivo_catalog *c, enum vivo_level level,
                                 vivo_row row, const struct vivo_selection *sel,
                                 enum vivo_query_virtual which, vivo_value_fn *fn,
                                 void *ctx, struct vivo_err *err)
{
    struct words w = {.which = which, .fn = fn, .ctx = ctx, .err = err};

    if (level >= VIVO_LEVEL_INSTANCE)
        return vivo_fail(err, EINVAL, "catalog: nothing is below an instance");
    w.place.sel = sel;
    w.arena = vivo_arena_new(VALUES_MAX);
    if (!w.arena)
        return no_memory(&w);
    vivo_buf_init(&w.key, 8 * VIVO_QUERY_COMPUTED_MAX);
    w.rc = gather(&w, c, level, level == VIVO_LEVEL_NONE ? 0 : row);
    if (w.rc == 0)
        twalk_r(w.tree, emit_word, &w);
    if (w.rc == 0 && w.has_missing)
        w.rc = fn(ctx, NULL, 0);
    tdestroy(w.tree, keep_word);
    vivo_buf_free(&w.key);
    vivo_arena_free(w.arena);
    return w.rc;
}
