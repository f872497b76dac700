/* SPDX-License-Identifier: Apache-2.0 */
/* src/catalog/listing.c -- a listing from its beginning to its end.
 *
 * What was put or known is marked in a bitmap over row numbers; at a complete end
 * what this parent had before and is not marked goes. All of that, with the flags
 * that show the result, is one transaction. */
#include "catalog/column.h"
#include "catalog/extra.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define PAGE_BITS 65536 /* rows per page of the bitmap */

struct vivo_listing {
    struct vivo_catalog *c;
    enum vivo_level level;
    vivo_row row;
    uint64_t rollbacks;
    bool fresh;            /* nothing at all was known when it began */
    bool moved;            /* extras may be elsewhere now */
    pthread_mutex_t mutex; /* guards what follows */
    uint8_t **pages;
    size_t npages;
    bool failed; /* a mark was lost: nothing may be removed */
};

/* ---- marks
 * --------------------------------------------------------------------------- */

static bool grow(struct vivo_listing *l, size_t page)
{
    size_t n = VIVO_MAX(page + 1, 2 * l->npages);
    uint8_t **p = realloc(l->pages, n * sizeof *p);

    if (!p)
        return false;
    memset(p + l->npages, 0, (n - l->npages) * sizeof *p);
    l->pages = p;
    l->npages = n;
    return true;
}

static void mark(struct vivo_listing *l, vivo_row row)
{
    size_t page = (size_t)(row / PAGE_BITS), bit = (size_t)(row % PAGE_BITS);

    pthread_mutex_lock(&l->mutex);
    if (page >= l->npages && !grow(l, page))
        l->failed = true;
    else if (!l->pages[page] && !(l->pages[page] = calloc(1, PAGE_BITS / 8)))
        l->failed = true;
    else
        l->pages[page][bit / 8] |= (uint8_t)(1u << bit % 8);
    pthread_mutex_unlock(&l->mutex);
}

static bool marked(const struct vivo_listing *l, vivo_row row)
{
    size_t page = (size_t)(row / PAGE_BITS), bit = (size_t)(row % PAGE_BITS);

    return page < l->npages && l->pages[page] &&
           (l->pages[page][bit / 8] >> bit % 8 & 1);
}

/* ---- begin, known, put
 * ------------------------------------------------------------------ */

static int row_there(struct vivo_catalog *c, enum vivo_level level, vivo_row row,
                     struct vivo_err *err)
{
    struct vivo_catdb *d;
    struct vivo_lineage lineage;
    int rc;

    if (level == VIVO_LEVEL_NONE)
        return 0;
    if (level >= VIVO_LEVEL_INSTANCE)
        return vivo_fail(err, EINVAL, "catalog: an instance has no children");
    d = vivo_catalog_reader(c, err);
    if (!d)
        return -EIO;
    rc = vivo_catalog_lineage(d, level, row, &lineage, err);
    vivo_catalog_reader_done(c, d);
    return rc;
}

static bool nothing_known(struct vivo_catalog *c)
{
    struct vivo_catdb *d = vivo_catalog_reader(c, NULL);
    sqlite3_stmt *st;
    int64_t found = 1;

    if (!d)
        return false;
    st = vivo_catdb_stmt(d, "SELECT 1 FROM source LIMIT 1", NULL);
    if (!st || vivo_catdb_number(d, st, 0, &found, NULL) < 0)
        found = 1;
    vivo_catalog_reader_done(c, d);
    return found == 0;
}

int vivo_catalog_list_begin(struct vivo_catalog *c, enum vivo_level level, vivo_row row,
                            struct vivo_listing **out, struct vivo_err *err)
{
    struct vivo_listing *l;
    int rc = row_there(c, level, row, err);

    if (rc == 0)
        rc = vivo_catalog_start_ticker(c, err);
    if (rc < 0)
        return rc;
    l = calloc(1, sizeof *l);
    if (!l)
        return vivo_fail(err, ENOMEM, "catalog: out of memory");
    l->c = c;
    l->level = level;
    l->row = level == VIVO_LEVEL_NONE ? 0 : row;
    l->fresh = nothing_known(c);
    pthread_mutex_init(&l->mutex, NULL);
    pthread_mutex_lock(&c->w.mutex);
    l->rollbacks = c->w.rollbacks;
    pthread_mutex_unlock(&c->w.mutex);
    *out = l;
    return 0;
}

bool vivo_listing_known(struct vivo_listing *l, const char *locator,
                        const char *version)
{
    struct vivo_digests digests;
    struct vivo_catdb *d;
    sqlite3_stmt *st;
    int64_t id = 0;

    /* The first listing of all need not ask for each file: one that came meanwhile
     * from elsewhere is put again, which finds it. */
    if (l->fresh)
        return false;
    d = vivo_catalog_reader(l->c, NULL);
    if (!d)
        return false;
    st = vivo_catdb_stmt(d, "SELECT id FROM source WHERE lookup = ?1 AND stamp = ?2",
                         NULL);
    if (st) {
        vivo_catalog_digests(l->c, locator, version, &digests);
        vivo_catdb_blob(st, 1, digests.lookup, sizeof digests.lookup);
        vivo_catdb_blob(st, 2, digests.stamp, sizeof digests.stamp);
        if (vivo_catdb_number(d, st, 0, &id, NULL) < 0)
            id = 0;
    }
    vivo_catalog_reader_done(l->c, d);
    if (id == 0)
        return false;
    mark(l, id);
    return true;
}

/* Locks the writer for one put. A batch that was rolled back took puts of this listing
 * with it. */
static int put_begin(struct vivo_listing *l, struct vivo_err *err)
{
    int rc = vivo_catalog_write_begin(l->c, err);

    if (rc < 0 || l->rollbacks == l->c->w.rollbacks)
        return rc;
    vivo_catalog_write_end(l->c, 0, false, NULL);
    return vivo_fail(err, EIO, "catalog: a batch of this listing was lost");
}

int vivo_listing_put(struct vivo_listing *l, const struct vivo_put *put, vivo_row *row,
                     struct vivo_err *err)
{
    struct vivo_source_ids ids = {0, 0};
    int verdict, rc = put_begin(l, err);

    if (rc < 0)
        return rc;
    if (put->level == VIVO_LEVEL_INSTANCE) {
        rc = vivo_catalog_put_instance(l->c, l->level, l->row, put, &ids, err);
    } else {
        rc = vivo_catalog_put_node(l->c, l->level, l->row, put, &ids.instance, err);
        ids.source = ids.instance;
    }
    /* Neither of these has written anything that must be undone. */
    verdict = rc == -EEXIST || rc == -ENOENT ? rc : 0;
    rc = vivo_catalog_write_end(l->c, verdict ? 0 : rc, false, verdict ? NULL : err);
    if (rc < 0)
        return rc;
    *row = ids.instance;
    if (verdict)
        return verdict;
    l->moved = true;
    mark(l, ids.source);
    return 0;
}

static int put_other(struct vivo_listing *l, const char *locator, const char *version,
                     int64_t *id, struct vivo_err *err)
{
    struct vivo_writer *w = &l->c->w;
    struct vivo_digests digests;
    sqlite3_stmt *st;
    int64_t instance = 0;
    int rc;

    vivo_catalog_digests(l->c, locator, version, &digests);
    st = vivo_catdb_stmt(&w->db, "SELECT id, instance FROM source WHERE lookup = ?1",
                         err);
    if (!st)
        return -EIO;
    vivo_catdb_blob(st, 1, digests.lookup, sizeof digests.lookup);
    rc = vivo_catdb_step(&w->db, st, err);
    if (rc < 0)
        return rc;
    if (rc == 1) { /* it may have been an object until now */
        *id = sqlite3_column_int64(st, 0);
        instance = sqlite3_column_int64(st, 1);
        sqlite3_reset(st);
        rc = vivo_catalog_flush(w, err);
        if (rc == 0)
            rc = vivo_catalog_remove_source(l->c, *id, instance, err);
        vivo_catalog_forget(w);
        if (rc < 0)
            return rc;
    }
    *id = vivo_catalog_next_id(w);
    st = vivo_catdb_stmt(&w->db,
                         "INSERT INTO source(id, lookup, instance, via, owner, stamp)"
                         " VALUES(?1, ?2, 0, ?3, ?4, ?5)",
                         err);
    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, *id);
    vivo_catdb_blob(st, 2, digests.lookup, sizeof digests.lookup);
    vivo_catdb_int(st, 3, l->level);
    vivo_catdb_int(st, 4, l->row);
    vivo_catdb_blob(st, 5, digests.stamp, sizeof digests.stamp);
    return vivo_catdb_run(&w->db, st, err);
}

int vivo_listing_other(struct vivo_listing *l, const char *locator, const char *version,
                       struct vivo_err *err)
{
    int64_t id = 0;
    int rc = put_begin(l, err);

    if (rc < 0)
        return rc;
    rc = put_other(l, locator, version, &id, err);
    rc = vivo_catalog_write_end(l->c, rc, false, err);
    if (rc == 0)
        mark(l, id);
    return rc;
}

int vivo_listing_extra(struct vivo_listing *l, const struct vivo_extra_put *put,
                       struct vivo_err *err)
{
    int64_t id = 0;
    int rc = put_begin(l, err);

    if (rc < 0)
        return rc;
    rc = vivo_catalog_put_extra(l->c, l->level, l->row, put, &id, err);
    rc = vivo_catalog_write_end(l->c, rc, false, err);
    if (rc < 0)
        return rc;
    l->moved = true;
    mark(l, id);
    return 0;
}

/* ---- the end
 * ---------------------------------------------------------------------------- */

struct gone { /* sources that go, with their instances */
    struct vivo_rowset sources;
    int64_t *instances;
    size_t cap;
};

static int add_gone(struct gone *g, int64_t source, int64_t instance)
{
    int64_t *p =
        vivo_array_grow(g->instances, g->sources.n, &g->cap, sizeof *p, VIVO_ARRAY_MAX);
    if (!p)
        return -ENOMEM;
    g->instances = p;
    g->instances[g->sources.n] = instance;
    return vivo_catalog_rowset_add(&g->sources, source);
}

static int unseen_sources(struct vivo_listing *l, const char *sql, int64_t a,
                          int64_t via, struct gone *g, struct vivo_err *err)
{
    struct vivo_catdb *d = &l->c->w.db;
    sqlite3_stmt *st = vivo_catdb_stmt(d, sql, err);
    int rc;

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, a);
    vivo_catdb_int(st, 2, via);
    while ((rc = vivo_catdb_step(d, st, err)) == 1) {
        int64_t id = sqlite3_column_int64(st, 0);
        if (marked(l, id) || add_gone(g, id, sqlite3_column_int64(st, 1)) == 0)
            continue;
        sqlite3_reset(st);
        return vivo_fail(err, ENOMEM, "catalog: out of memory");
    }
    return rc;
}

#define UNSEEN_NODES(t)                                                                \
    "SELECT 1 FROM " t " WHERE id = ?1 AND via = ?2 AND lookup IS NOT NULL"
#define SHOW_NODE(t)                                                                   \
    "UPDATE " t " SET listed = 1, kept = 1"                                            \
    " WHERE id = ?1 AND via = ?2 AND lookup IS NULL AND listed = 0"
#define SHOW_ALL(t)                                                                    \
    "UPDATE " t " SET listed = 1, kept = 1"                                            \
    " WHERE ?1 = 0 AND via = ?2 AND lookup IS NULL AND listed = 0"
#define SHOW_PARENT(t)                                                                 \
    "UPDATE " t " SET listed = 1 WHERE id = ?1 AND ?2 >= 0 AND listed = 0"
#define STAMP(t) "UPDATE " t " SET listed = ?2 WHERE id = ?1"
#define BY_LEVEL(sql)                                                                  \
    {                                                                                  \
        [VIVO_LEVEL_COLLECTION] = sql("collection"),                                   \
        [VIVO_LEVEL_PATIENT] = sql("patient"), [VIVO_LEVEL_STUDY] = sql("study"),      \
        [VIVO_LEVEL_SERIES] = sql("series"),                                           \
    }

/* Does the node have a record that this parent's listing brought and now did not? */
static int unseen_node(struct vivo_listing *l, enum vivo_level level, vivo_row row,
                       struct vivo_err *err)
{
    static const char *const sql[] = BY_LEVEL(UNSEEN_NODES);
    sqlite3_stmt *st;
    int64_t found = 0;
    int rc;

    if (marked(l, row))
        return 0;
    st = vivo_catdb_stmt(&l->c->w.db, sql[level], err);
    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, row);
    vivo_catdb_int(st, 2, l->level);
    rc = vivo_catdb_number(&l->c->w.db, st, 0, &found, err);
    return rc < 0 ? rc : found != 0;
}

static int show(struct vivo_listing *l, const char *sql, vivo_row row,
                struct vivo_err *err)
{
    struct vivo_writer *w = &l->c->w;
    sqlite3_stmt *st = vivo_catdb_stmt(&w->db, sql, err);
    int rc;

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, row);
    vivo_catdb_int(st, 2, l->level);
    rc = vivo_catdb_run(&w->db, st, err);
    if (rc == 0 && sqlite3_changes(w->db.db) > 0)
        w->dirty = true;
    return rc;
}

/* One level further down: what is unseen goes at once, the rest is shown and collected
 * in `next`. */
static int descend(struct vivo_listing *l, enum vivo_level level,
                   const struct vivo_rowset *parents, struct vivo_rowset *next,
                   struct vivo_err *err)
{
    static const char *const show_sql[] = BY_LEVEL(SHOW_NODE);
    struct vivo_rowset rows = {NULL, 0, 0};
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < parents->n; i++)
        rc = vivo_catalog_child_rows(&l->c->w.db, level, parents->rows[i], &rows, err);
    for (size_t i = 0; rc == 0 && i < rows.n; i++) {
        rc = unseen_node(l, level, rows.rows[i], err);
        if (rc == 1) {
            rc = vivo_catalog_remove_node(&l->c->w, level, rows.rows[i], err);
            continue;
        }
        if (rc == 0 && l->level != VIVO_LEVEL_NONE)
            rc = show(l, show_sql[level], rows.rows[i], err);
        if (rc == 0 && vivo_catalog_rowset_add(next, rows.rows[i]) < 0)
            rc = vivo_fail(err, ENOMEM, "catalog: out of memory");
    }
    free(rows.rows);
    return rc;
}

static int collect_sources(struct vivo_listing *l, const struct vivo_rowset *series,
                           struct gone *g, struct vivo_err *err)
{
    int rc = unseen_sources(
        l, "SELECT id, 0 FROM source WHERE instance = 0 AND owner = ?1 AND via = ?2",
        l->row, l->level, g, err);

    if (rc == 0 && l->level == VIVO_LEVEL_NONE)
        return unseen_sources(
            l, "SELECT id, instance FROM source WHERE via = ?2 AND instance > ?1", 0,
            l->level, g, err);
    if (rc == 0)
        rc = unseen_sources(l,
                            "SELECT s.id, s.instance FROM extra e JOIN source s"
                            " ON s.instance = e.id WHERE e.owner = ?1 AND e.via = ?2"
                            " AND e.kind = 0",
                            l->row, l->level, g, err);
    for (size_t i = 0; rc == 0 && i < series->n; i++)
        rc = unseen_sources(l,
                            "SELECT s.id, s.instance FROM instance i JOIN source s"
                            " ON s.instance = i.id WHERE i.parent = ?1 AND s.via = ?2",
                            series->rows[i], l->level, g, err);
    return rc;
}

static int remove_sources(struct vivo_listing *l, const struct vivo_rowset *series,
                          struct vivo_err *err)
{
    struct gone g = {{NULL, 0, 0}, NULL, 0};
    int rc = collect_sources(l, series, &g, err);

    for (size_t i = 0; rc == 0 && i < g.sources.n; i++)
        rc = vivo_catalog_remove_source(l->c, g.sources.rows[i], g.instances[i], err);
    free(g.sources.rows);
    free(g.instances);
    return rc;
}

/* Everything below: unseen records, then unseen sources, then what is empty now. */
static int remove_unseen(struct vivo_listing *l, struct vivo_err *err)
{
    struct vivo_rowset rows = {NULL, 0, 0}, next = {NULL, 0, 0};
    int rc = 0;

    if (vivo_catalog_rowset_add(&rows, l->row) < 0)
        rc = vivo_fail(err, ENOMEM, "catalog: out of memory");
    for (int level = (int)l->level + 1; rc == 0 && level <= VIVO_LEVEL_SERIES;
         level++) {
        rc = descend(l, (enum vivo_level)level, &rows, &next, err);
        free(rows.rows);
        rows = next;
        next = (struct vivo_rowset){NULL, 0, 0};
    }
    /* Where no source was known at the beginning none can be unseen. */
    if (rc == 0 && !l->fresh)
        rc = remove_sources(l, &rows, err);
    free(rows.rows);
    free(next.rows);
    return rc;
}

/* Where extras are shown hangs on what else there is. */
static int place(struct vivo_listing *l, struct vivo_err *err)
{
    int rc = l->moved || l->c->w.emptied
                 ? 1
                 : vivo_catalog_unplaced(&l->c->w, l->level, l->row, err);

    return rc > 0 ? vivo_catalog_place(l->c, l->level, l->row, err) : rc;
}

/* When it was: no change of what is shown. */
static int stamp(struct vivo_listing *l, struct vivo_err *err)
{
    static const char *const sql[] = {
        [VIVO_LEVEL_NONE] = "UPDATE meta SET value = ?2 WHERE id = 3 AND ?1 = 0",
        [VIVO_LEVEL_COLLECTION] = STAMP("collection"),
        [VIVO_LEVEL_PATIENT] = STAMP("patient"),
        [VIVO_LEVEL_STUDY] = STAMP("study"),
        [VIVO_LEVEL_SERIES] = STAMP("series"),
    };
    struct vivo_writer *w = &l->c->w;
    sqlite3_stmt *st = vivo_catdb_stmt(&w->db, sql[l->level], err);
    struct timespec now;

    if (!st)
        return -EIO;
    clock_gettime(CLOCK_REALTIME, &now);
    vivo_catdb_int(st, 1, l->row);
    vivo_catdb_int(st, 2,
                   VIVO_MAX((int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000, 2));
    return vivo_catdb_run(&w->db, st, err);
}

static int show_all(struct vivo_listing *l, struct vivo_err *err)
{
    static const char *const all_sql[] = BY_LEVEL(SHOW_ALL);
    static const char *const parent_sql[] = BY_LEVEL(SHOW_PARENT);
    int rc = 0;

    if (l->level != VIVO_LEVEL_NONE)
        return show(l, parent_sql[l->level], l->row, err);
    for (int level = VIVO_LEVEL_COLLECTION; rc == 0 && level <= VIVO_LEVEL_SERIES;
         level++)
        rc = show(l, all_sql[level], 0, err);
    if (rc == 0)
        rc = show(l, "UPDATE meta SET value = 1 WHERE id = 3 AND value = 0 AND ?1 = ?2",
                  0, err);
    return rc;
}

static int finish(struct vivo_listing *l, bool complete, struct vivo_err *err)
{
    struct vivo_writer *w = &l->c->w;
    int rc = vivo_catalog_flush(w, err);

    if (rc == 0 && complete)
        rc = remove_unseen(l, err);
    if (rc == 0 && complete)
        rc = place(l, err);
    /* Of the whole archive always: a crash may have left an empty node behind. */
    if (rc == 0 && (w->emptied || (complete && l->level == VIVO_LEVEL_NONE)))
        rc = vivo_catalog_prune(w, err);
    if (rc == 0 && complete)
        rc = vivo_catalog_number(w, l->level, l->row, err);
    if (rc == 0 && complete)
        rc = show_all(l, err);
    if (rc == 0 && complete)
        rc = stamp(l, err);
    vivo_catalog_forget(w);
    return rc;
}

static void free_listing(struct vivo_listing *l)
{
    for (size_t i = 0; i < l->npages; i++)
        free(l->pages[i]);
    free(l->pages);
    pthread_mutex_destroy(&l->mutex);
    free(l);
}

int vivo_listing_end(struct vivo_listing *l, bool complete, struct vivo_err *err)
{
    int rc = put_begin(l, err);

    if (rc == 0) {
        if (complete && l->failed)
            rc = vivo_fail(err, ENOMEM, "catalog: out of memory");
        if (rc == 0)
            rc = finish(l, complete, err);
        rc = vivo_catalog_write_end(l->c, rc, true, err);
    }
    free_listing(l);
    return rc;
}
