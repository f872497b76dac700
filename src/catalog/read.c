/* SPDX-License-Identifier: Apache-2.0 */
/* src/catalog/read.c -- entries: by name, by row, and all children in order.
 *
 * Children are read in chunks, each starting behind the last name of the one before:
 * no connection and no read transaction is held while the caller's function runs,
 * and what is there all the time is seen exactly once. */
#include "catalog/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Columns of every entry statement. */
enum {
    E_ID,
    E_PARENT,
    E_NAME,
    E_MTIME,
    E_LISTED,
    E_HEADERS,
    E_SIZE,
    E_EXACT,
    E_VERSION,
    E_REFUSAL,
    E_DIFF
};

#define NODE(t) "SELECT id, parent, name, mtime, listed, 0, 0, 1, 0, 0, NULL FROM " t
#define SERIES                                                                         \
    "SELECT s.id, s.parent, s.name, (SELECT t.mtime FROM study t WHERE t.id ="         \
    " s.parent), s.listed, s.members > 0 AND s.known = s.members, 0, 1, 0, 0, NULL"    \
    " FROM series s"
#define INSTANCE_OF(series, diff)                                                      \
    "SELECT i.id, i.parent, i.name, (SELECT t.mtime FROM series s JOIN study t ON"     \
    " t.id = s.parent WHERE s.id = " series "), 1, i.headers, i.size, i.exact,"        \
    " i.version, i.refusal, " diff " FROM instance i"
#define CHUNK " WHERE parent = ?1 AND name > ?2 ORDER BY name LIMIT ?3"
#define BY_NAME " WHERE parent = ?1 AND name = ?2"
#define BY_U " WHERE parent = ?1 AND u >= ?2 AND u < ?2 || '~' ORDER BY name"
#define BY_ID " WHERE id = ?1"
#define ALL_LEVELS(rest)                                                               \
    {                                                                                  \
        [VIVO_LEVEL_COLLECTION] = NODE("collection") rest,                             \
        [VIVO_LEVEL_PATIENT] = NODE("patient") rest,                                   \
        [VIVO_LEVEL_STUDY] = NODE("study") rest, [VIVO_LEVEL_SERIES] = SERIES rest,    \
        [VIVO_LEVEL_INSTANCE] = INSTANCE_OF("i.parent", "NULL") rest,                  \
    }

static const char *const by_name_sql[] = ALL_LEVELS(BY_NAME);
static const char *const by_u_sql[] = ALL_LEVELS(BY_U);
static const char *const by_id_sql[] = ALL_LEVELS(BY_ID);
static const char *const chunk_sql[] = {
    [VIVO_LEVEL_COLLECTION] = NODE("collection") CHUNK,
    [VIVO_LEVEL_PATIENT] = NODE("patient") CHUNK,
    [VIVO_LEVEL_STUDY] = NODE("study") CHUNK,
    [VIVO_LEVEL_SERIES] = SERIES CHUNK,
    [VIVO_LEVEL_INSTANCE] = INSTANCE_OF("?1", "NULL") CHUNK,
};
static const char chunk_diff_sql[] =
    INSTANCE_OF("?1", "(SELECT d.attrs FROM diff d WHERE d.id = i.id)") CHUNK;

struct slot {
    struct vivo_entry e;
    char name[VIVO_NAME_MAX + 1];
};

static void read_entry(sqlite3_stmt *st, enum vivo_level level, struct slot *s)
{
    s->e = (struct vivo_entry){
        .row = sqlite3_column_int64(st, E_ID),
        .parent = sqlite3_column_int64(st, E_PARENT),
        .level = level,
        .size = (uint64_t)sqlite3_column_int64(st, E_SIZE),
        .size_exact = sqlite3_column_int(st, E_EXACT) != 0,
        .version = (uint32_t)sqlite3_column_int64(st, E_VERSION),
        .refusal = sqlite3_column_int(st, E_REFUSAL),
        .mtime = sqlite3_column_int64(st, E_MTIME),
        .listed = sqlite3_column_int64(st, E_LISTED) != 0,
        .listed_ms = sqlite3_column_int64(st, E_LISTED),
        .headers = sqlite3_column_int(st, E_HEADERS) != 0,
    };
    snprintf(s->name, sizeof s->name, "%s", vivo_catdb_column_text(st, E_NAME));
}

static int emit(struct slot *s, vivo_entry_fn *fn, void *ctx)
{
    s->e.name = s->name;
    return fn(ctx, &s->e);
}

/* ---- lineage
 * ---------------------------------------------------------------------------- */

int vivo_catalog_lineage(struct vivo_catdb *d, enum vivo_level level, vivo_row row,
                         struct vivo_lineage *out, struct vivo_err *err)
{
    static const char *const sql[] = {
        [VIVO_LEVEL_COLLECTION] = "SELECT parent FROM collection WHERE id = ?1",
        [VIVO_LEVEL_PATIENT] = "SELECT parent FROM patient WHERE id = ?1",
        [VIVO_LEVEL_STUDY] = "SELECT parent FROM study WHERE id = ?1",
        [VIVO_LEVEL_SERIES] = "SELECT parent FROM series WHERE id = ?1",
        [VIVO_LEVEL_INSTANCE] = "SELECT parent FROM instance WHERE id = ?1",
    };

    memset(out, 0, sizeof *out);
    for (int l = (int)level; l > VIVO_LEVEL_NONE; l--) {
        sqlite3_stmt *st = vivo_catdb_stmt(d, sql[l], err);
        int64_t parent;
        int rc;
        if (!st)
            return -EIO;
        vivo_catdb_int(st, 1, row);
        rc = vivo_catdb_number(d, st, -1, &parent, err);
        if (rc < 0)
            return rc;
        if (parent < 0)
            return vivo_fail(err, ENOENT, "catalog: row #%lld is gone", (long long)row);
        out->rows[l] = row;
        row = parent;
    }
    return 0;
}

sqlite3_stmt *vivo_catalog_series_below(struct vivo_catdb *d, enum vivo_level level,
                                        vivo_row row, struct vivo_err *err)
{
/* CROSS JOIN keeps SQLite's planner from starting at the wrong end. */
#define COLUMNS                                                                        \
    "SELECT s.id, s.parent, t.parent, p.parent, s.members, s.known, s.open, s.bytes,"  \
    " s.risk, s.listed, s.varies, s.hot, s.lookup IS NOT NULL, s.packed FROM "
#define DOWN                                                                           \
    "patient p CROSS JOIN study t ON t.parent = p.id CROSS JOIN series s"              \
    " ON s.parent = t.id WHERE "
#define UP                                                                             \
    "series s CROSS JOIN study t ON t.id = s.parent CROSS JOIN patient p"              \
    " ON p.id = t.parent WHERE "
    static const char *const sql[] = {
        [VIVO_LEVEL_NONE] = COLUMNS UP "?1 >= 0",
        [VIVO_LEVEL_COLLECTION] = COLUMNS DOWN "p.parent = ?1",
        [VIVO_LEVEL_PATIENT] = COLUMNS DOWN "p.id = ?1",
        [VIVO_LEVEL_STUDY] = COLUMNS UP "s.parent = ?1",
        [VIVO_LEVEL_SERIES] = COLUMNS UP "s.id = ?1",
    };
    sqlite3_stmt *st;

    if (level >= VIVO_LEVEL_INSTANCE) {
        vivo_fail(err, EINVAL, "catalog: nothing is below an instance");
        return NULL;
    }
    st = vivo_catdb_stmt(d, sql[level], err);
    if (st)
        vivo_catdb_int(st, 1, level == VIVO_LEVEL_NONE ? 0 : row);
    return st;
}

/* ---- one entry
 * ----------------------------------------------------------------------------- */

static int selected(struct vivo_catdb *d, const struct vivo_selection *sel,
                    const struct vivo_entry *e, struct vivo_err *err)
{
    struct vivo_lineage l;
    struct vivo_matcher m;
    sqlite3_stmt *st;
    int rc;

    if (!sel || sel->all)
        return 1;
    if (e->level < VIVO_LEVEL_INSTANCE &&
        vivo_catalog_rowset_has(&sel->f.some[e->level], e->row))
        return 1;
    rc = vivo_catalog_lineage(d, e->level, e->row, &l, err);
    if (rc < 0)
        return rc;
    if (vivo_selection_whole(sel, &l))
        return 1;
    if (e->level < VIVO_LEVEL_INSTANCE ||
        !vivo_catalog_rowset_has(&sel->f.some[VIVO_LEVEL_SERIES], e->parent))
        return 0;
    rc = vivo_catalog_matcher_init(&m, d, sel, e->parent, err);
    st =
        rc < 0 ? NULL : vivo_catdb_stmt(d, "SELECT attrs FROM diff WHERE id = ?1", err);
    if (st) {
        vivo_catdb_int(st, 1, e->row);
        rc = vivo_catdb_step(d, st, err);
        if (rc >= 0)
            rc = vivo_catalog_matcher_test(&m, e->row,
                                           rc ? vivo_catdb_column_attrs(st, 0)
                                              : (struct vivo_attrs){NULL, 0},
                                           e->headers, err);
        sqlite3_reset(st);
    }
    vivo_catalog_matcher_free(&m);
    return st ? rc : -EIO;
}

/* 1 = s is filled. */
static int find_one(struct vivo_catdb *d, enum vivo_level level, vivo_row parent,
                    const char *name, struct slot *s, struct vivo_err *err)
{
    sqlite3_stmt *st = vivo_catdb_stmt(d, by_name_sql[level], err);
    char u[7];
    int rc;

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, parent);
    vivo_catdb_text(st, 2, name);
    rc = vivo_catdb_step(d, st, err);
    if (rc == 1)
        read_entry(st, level, s);
    sqlite3_reset(st);
    vivo_catalog_name_u(name, u);
    if (rc != 0 || !u[0])
        return rc;
    st = vivo_catdb_stmt(d, by_u_sql[level], err);
    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, parent);
    vivo_catdb_text(st, 2, u);
    while ((rc = vivo_catdb_step(d, st, err)) == 1)
        if (vivo_name_same_u(name, vivo_catdb_column_text(st, E_NAME)))
            break;
    if (rc == 1)
        read_entry(st, level, s);
    sqlite3_reset(st);
    return rc;
}

int vivo_catalog_find(struct vivo_catalog *c, enum vivo_level level, vivo_row parent,
                      const struct vivo_selection *sel, const char *name,
                      vivo_entry_fn *fn, void *ctx, struct vivo_err *err)
{
    struct vivo_catdb *d;
    struct slot s;
    int rc;

    if (level >= VIVO_LEVEL_INSTANCE)
        return vivo_fail(err, ENOENT, "catalog: an instance has no children");
    d = vivo_catalog_reader(c, err);
    if (!d)
        return -EIO;
    rc = find_one(d, level + 1, level == VIVO_LEVEL_NONE ? 0 : parent, name, &s, err);
    if (rc == 1)
        rc = selected(d, sel, &s.e, err);
    vivo_catalog_reader_done(c, d);
    if (rc == 0)
        return vivo_fail(err, ENOENT, "catalog: no such name");
    return rc < 0 ? rc : emit(&s, fn, ctx);
}

/* 1 = s is filled. */
static int read_one(struct vivo_catalog *c, enum vivo_level level, vivo_row row,
                    struct slot *s, struct vivo_err *err)
{
    struct vivo_catdb *d = vivo_catalog_reader(c, err);
    sqlite3_stmt *st;
    int rc;

    if (!d)
        return -EIO;
    st = vivo_catdb_stmt(d,
                         level == VIVO_LEVEL_NONE
                             ? "SELECT value FROM meta WHERE id = 3 AND ?1 = ?1"
                             : by_id_sql[level],
                         err);
    if (st)
        vivo_catdb_int(st, 1, row);
    rc = st ? vivo_catdb_step(d, st, err) : -EIO;
    if (rc == 1 && level == VIVO_LEVEL_NONE) {
        s->e.listed_ms = sqlite3_column_int64(st, 0);
        s->e.listed = s->e.listed_ms != 0;
    }
    if (rc == 1 && level != VIVO_LEVEL_NONE)
        read_entry(st, level, s);
    if (st)
        sqlite3_reset(st);
    vivo_catalog_reader_done(c, d);
    return rc;
}

int vivo_catalog_get(struct vivo_catalog *c, enum vivo_level level, vivo_row row,
                     vivo_entry_fn *fn, void *ctx, struct vivo_err *err)
{
    struct slot s = {.e = {.level = level, .mtime = VIVO_CATALOG_MTIME}, .name = ""};
    bool kept = level == VIVO_LEVEL_INSTANCE;
    struct vivo_catalog_mark mark =
        kept ? vivo_lately_mark(c) : (struct vivo_catalog_mark){0};
    int rc;

    if (kept && vivo_lately_entry(c->lately, row, &mark, &s.e, s.name))
        return emit(&s, fn, ctx);
    rc = read_one(c, level, row, &s, err);
    if (rc == 1 && kept)
        vivo_lately_keep(c->lately, &mark, &s.e, s.name);
    if (rc == 0)
        return vivo_fail(err, ENOENT, "catalog: row #%lld is gone", (long long)row);
    return rc < 0 ? rc : emit(&s, fn, ctx);
}

/* ---- children
 * --------------------------------------------------------------------------------- */

struct children {
    enum vivo_level level; /* of the children */
    vivo_row parent;
    const struct vivo_selection *sel; /* NULL when all children pass */
    char after[VIVO_NAME_MAX + 1];
    bool more;
    size_t n;
    struct slot slots[VIVO_CATALOG_CHUNK];
};

static int passes(struct children *ch, struct vivo_matcher *m, sqlite3_stmt *st,
                  struct vivo_err *err)
{
    if (!ch->sel)
        return 1;
    if (ch->level < VIVO_LEVEL_INSTANCE)
        return vivo_catalog_rowset_has(&ch->sel->f.some[ch->level],
                                       sqlite3_column_int64(st, E_ID));
    return vivo_catalog_matcher_test(m, sqlite3_column_int64(st, E_ID),
                                     vivo_catdb_column_attrs(st, E_DIFF),
                                     sqlite3_column_int(st, E_HEADERS) != 0, err);
}

static int read_rows(struct children *ch, struct vivo_catdb *d, struct vivo_matcher *m,
                     struct vivo_err *err)
{
    bool match = ch->sel && ch->level == VIVO_LEVEL_INSTANCE;
    sqlite3_stmt *st =
        vivo_catdb_stmt(d, match ? chunk_diff_sql : chunk_sql[ch->level], err);
    size_t seen = 0;
    int rc;

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, ch->parent);
    vivo_catdb_text(st, 2, ch->after);
    vivo_catdb_int(st, 3, VIVO_CATALOG_CHUNK);
    ch->n = 0;
    while ((rc = vivo_catdb_step(d, st, err)) == 1) {
        struct slot *s = &ch->slots[ch->n];
        seen++;
        read_entry(st, ch->level, s);
        rc = passes(ch, m, st, err);
        if (rc < 0)
            break;
        if (rc)
            ch->n++;
        else if (seen == VIVO_CATALOG_CHUNK)
            snprintf(ch->after, sizeof ch->after, "%s", s->name);
        if (seen == VIVO_CATALOG_CHUNK && ch->n && s == &ch->slots[ch->n - 1])
            snprintf(ch->after, sizeof ch->after, "%s", s->name);
    }
    ch->more = seen == VIVO_CATALOG_CHUNK;
    return rc;
}

static int read_chunk(struct vivo_catalog *c, struct children *ch, struct vivo_err *err)
{
    struct vivo_catdb *d = vivo_catalog_reader(c, err);
    struct vivo_matcher m = {0};
    int rc = 0;

    if (!d)
        return -EIO;
    if (ch->sel && ch->level == VIVO_LEVEL_INSTANCE)
        rc = vivo_catalog_matcher_init(&m, d, ch->sel, ch->parent, err);
    if (rc == 0)
        rc = read_rows(ch, d, &m, err);
    vivo_catalog_matcher_free(&m);
    vivo_catalog_reader_done(c, d);
    return rc;
}

/* Does the selection take all children of the parent (1), some (0)? */
static int takes_all(struct vivo_catalog *c, const struct vivo_selection *sel,
                     enum vivo_level level, vivo_row parent, struct vivo_err *err)
{
    struct vivo_catdb *d;
    struct vivo_lineage l;
    int rc;

    if (!sel || sel->all)
        return 1;
    d = vivo_catalog_reader(c, err);
    if (!d)
        return -EIO;
    rc = vivo_catalog_lineage(d, level, parent, &l, err);
    vivo_catalog_reader_done(c, d);
    return rc < 0 ? rc : vivo_selection_whole(sel, &l);
}

int vivo_catalog_children(struct vivo_catalog *c, enum vivo_level level,
                          vivo_row parent, const struct vivo_selection *sel,
                          vivo_entry_fn *fn, void *ctx, struct vivo_err *err)
{
    struct children *ch;
    int rc;

    if (level >= VIVO_LEVEL_INSTANCE)
        return vivo_fail(err, EINVAL, "catalog: an instance has no children");
    rc = takes_all(c, sel, level, parent, err);
    if (rc < 0)
        return rc;
    if (rc == 0 && level == VIVO_LEVEL_SERIES &&
        !vivo_catalog_rowset_has(&sel->f.some[level], parent))
        return 0;
    ch = malloc(sizeof *ch);
    if (!ch)
        return vivo_fail(err, ENOMEM, "catalog: out of memory");
    ch->level = level + 1;
    ch->parent = level == VIVO_LEVEL_NONE ? 0 : parent;
    ch->sel = rc ? NULL : sel;
    ch->after[0] = 0;
    do {
        rc = read_chunk(c, ch, err);
        for (size_t i = 0; rc == 0 && i < ch->n; i++)
            rc = emit(&ch->slots[i], fn, ctx);
    } while (rc == 0 && ch->more);
    free(ch);
    return rc;
}
