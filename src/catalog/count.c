/* SPDX-License-Identifier: Apache-2.0 */
/* src/catalog/count.c -- how much is below a node, of what opens.
 *
 * Series carry the counts of their members, so that only series of which a part is
 * selected are looked into. */
#include "catalog/column.h"

#include <errno.h>
#include <string.h>

struct counting {
    struct vivo_catdb *d;
    const struct vivo_selection *sel;
    struct vivo_counts *out;
    struct vivo_rowset nodes[VIVO_LEVEL_SERIES]; /* collections to studies seen */
    struct vivo_place place;
    struct vivo_common common;
    struct vivo_vector *vector;
    struct vivo_column_scan sizes;
    bool hot_only;
    struct vivo_err *err;
};

static int no_memory(struct counting *k)
{
    return vivo_fail(k->err, ENOMEM, "catalog: out of memory");
}

/* Members that match, one by one. */
static int count_members(struct counting *k, vivo_row series, uint64_t *open)
{
    struct vivo_matcher m;
    sqlite3_stmt *st;
    int rc = vivo_catalog_matcher_init(&m, k->d, k->sel, series, k->err);

    *open = 0;
    st = rc < 0 ? NULL
                : vivo_catdb_stmt(k->d,
                                  "SELECT i.headers, i.refusal, i.size, i.risk,"
                                  " (SELECT d.attrs FROM diff d WHERE d.id = i.id),"
                                  " i.id FROM instance i WHERE i.parent = ?1",
                                  k->err);
    if (st)
        vivo_catdb_int(st, 1, series);
    while (st && (rc = vivo_catdb_step(k->d, st, k->err)) == 1) {
        rc = vivo_catalog_matcher_test(&m, sqlite3_column_int64(st, 5),
                                       vivo_catdb_column_attrs(st, 4),
                                       sqlite3_column_int(st, 0) != 0, k->err);
        if (rc < 0)
            break;
        if (rc == 0)
            continue;
        if (sqlite3_column_int(st, 1) != 0) {
            k->out->refused++;
            continue;
        }
        ++*open;
        k->out->bytes += (uint64_t)sqlite3_column_int64(st, 2);
        k->out->at_risk += sqlite3_column_int(st, 3) != 0;
    }
    if (st)
        sqlite3_reset(st);
    vivo_catalog_matcher_free(&m);
    return st ? rc : -EIO;
}

/* Members that match, of a series of which all are alike and open. */
static void count_alike(struct counting *k, sqlite3_stmt *row, const uint8_t *truths,
                        uint64_t *open)
{
    uint64_t members = k->common.members, n = 0;

    for (size_t i = 0; i < members; i++)
        n += truths[i];
    *open = n;
    k->out->bytes += n * ((uint64_t)sqlite3_column_int64(row, COL_BYTES) / members);
    k->out->at_risk += n * ((uint64_t)sqlite3_column_int64(row, COL_RISK) / members);
}

static int count_sizes(struct counting *k, vivo_row series, const uint8_t *truths,
                       uint64_t *open)
{
    struct vivo_member_sizes sizes;
    struct vivo_member_size m;
    int rc = vivo_catalog_sizes_open(k->d, &k->sizes, series, &sizes, k->err);

    if (rc != 1)
        return rc;
    *open = 0;
    for (size_t i = 0; i < k->common.members; i++) {
        if (!vivo_catalog_sizes_next(&sizes, &m))
            return vivo_fail(k->err, EIO, "catalog: a column is too short");
        bool counts = truths[i] && !m.refused;
        k->out->refused += truths[i] && m.refused;
        *open += counts;
        k->out->bytes += counts ? m.size : 0;
        k->out->at_risk += counts && m.risk;
    }
    return 1;
}

/* The same from columns: 1 = done, 0 = they do not tell. */
static int count_columns(struct counting *k, sqlite3_stmt *row,
                         const struct vivo_lineage *l, uint64_t *open)
{
    vivo_row series = l->rows[VIVO_LEVEL_SERIES];
    int packed = sqlite3_column_int(row, COL_PACKED), rc;
    const uint8_t *truths;

    if ((packed != PACKED && packed != PACKED_ALIKE) || !k->vector)
        return 0;
    memcpy(k->place.rows, l->rows, sizeof l->rows);
    rc = vivo_catalog_common_load(&k->common, k->d, row, k->hot_only, k->err);
    if (rc == 0)
        rc = vivo_catalog_common_truths(&k->common, k->vector, k->d, series, &truths,
                                        k->err);
    if (rc != 1 || packed == PACKED)
        return rc == 1 ? count_sizes(k, series, truths, open) : rc;
    count_alike(k, row, truths, open);
    return 1;
}

static int add_nodes(struct counting *k, const struct vivo_lineage *l)
{
    for (int i = VIVO_LEVEL_COLLECTION; i < VIVO_LEVEL_SERIES; i++)
        if (l->rows[i] && vivo_catalog_rowset_add(&k->nodes[i], l->rows[i]) < 0)
            return no_memory(k);
    return 0;
}

static int count_one(struct counting *k, sqlite3_stmt *st)
{
    struct vivo_lineage l = {{0}};
    uint64_t members = (uint64_t)sqlite3_column_int64(st, COL_MEMBERS);
    uint64_t open = (uint64_t)sqlite3_column_int64(st, COL_OPEN);
    bool whole = true;
    int rc = 0;

    l.rows[VIVO_LEVEL_COLLECTION] = sqlite3_column_int64(st, COL_COLLECTION);
    l.rows[VIVO_LEVEL_PATIENT] = sqlite3_column_int64(st, COL_PATIENT);
    l.rows[VIVO_LEVEL_STUDY] = sqlite3_column_int64(st, COL_STUDY);
    l.rows[VIVO_LEVEL_SERIES] = sqlite3_column_int64(st, COL_ID);
    if (k->sel && !k->sel->all) {
        whole = vivo_selection_whole(k->sel, &l);
        if (!whole && !vivo_catalog_rowset_has(&k->sel->f.some[VIVO_LEVEL_SERIES],
                                               l.rows[VIVO_LEVEL_SERIES]))
            return 0;
    }
    if (whole) {
        k->out->refused += members - open;
        k->out->bytes += (uint64_t)sqlite3_column_int64(st, COL_BYTES);
        k->out->at_risk += (uint64_t)sqlite3_column_int64(st, COL_RISK);
    } else {
        rc = count_columns(k, st, &l, &open);
        if (rc == 0)
            rc = count_members(k, l.rows[VIVO_LEVEL_SERIES], &open);
        rc = VIVO_MIN(rc, 0);
    }
    k->out->instances += open;
    /* A series without members has not been listed yet; one of which nothing opens
     * does not count. */
    if (rc < 0 || (open == 0 && members > 0))
        return rc;
    k->out->series++;
    return add_nodes(k, &l);
}

/* Studies that have never been listed have no series that would bring them in. */
static int count_unlisted(struct counting *k, enum vivo_level level, vivo_row row)
{
    sqlite3_stmt *st = vivo_catdb_stmt(
        k->d,
        "SELECT p.parent, p.id, t.id FROM study t CROSS JOIN patient p"
        " ON p.id = t.parent WHERE t.listed = 0 AND t.lookup IS NOT NULL"
        " AND CASE ?2 WHEN 0 THEN 1 WHEN 1 THEN p.parent = ?1 WHEN 2 THEN p.id = ?1"
        " WHEN 3 THEN t.id = ?1 ELSE 0 END",
        k->err);
    int rc;

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, row);
    vivo_catdb_int(st, 2, level);
    while ((rc = vivo_catdb_step(k->d, st, k->err)) == 1) {
        struct vivo_lineage l = {{0}};
        for (int i = VIVO_LEVEL_COLLECTION; i <= VIVO_LEVEL_STUDY; i++)
            l.rows[i] = sqlite3_column_int64(st, i - VIVO_LEVEL_COLLECTION);
        if (k->sel && !vivo_selection_whole(k->sel, &l))
            continue;
        rc = add_nodes(k, &l);
        if (rc < 0)
            break;
    }
    sqlite3_reset(st);
    return rc;
}

static int count_others(struct counting *k, enum vivo_level level, vivo_row row)
{
    sqlite3_stmt *st = vivo_catdb_stmt(
        k->d,
        level == VIVO_LEVEL_NONE
            ? "SELECT count(*) FROM source WHERE instance = 0 AND ?1 = ?1 AND ?2 = 0"
            : "SELECT count(*) FROM source WHERE instance = 0 AND owner = ?1"
              " AND via = ?2",
        k->err);
    int64_t n = 0;
    int rc;

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, row);
    vivo_catdb_int(st, 2, level);
    rc = vivo_catdb_number(k->d, st, 0, &n, k->err);
    k->out->others = (uint64_t)n;
    if (rc < 0 || level != VIVO_LEVEL_NONE)
        return rc;
    st = vivo_catdb_stmt(k->d, "SELECT count(*) FROM extra WHERE kind = 0", k->err);
    if (!st)
        return -EIO;
    rc = vivo_catdb_number(k->d, st, 0, &n, k->err);
    k->out->extras = (uint64_t)n;
    return rc;
}

static int count_all(struct counting *k, enum vivo_level level, vivo_row row)
{
    sqlite3_stmt *st = vivo_catalog_series_below(k->d, level, row, k->err);
    int rc = st ? 0 : -EIO;

    while (st && (rc = vivo_catdb_step(k->d, st, k->err)) == 1) {
        rc = count_one(k, st);
        if (rc < 0)
            break;
    }
    if (st)
        sqlite3_reset(st);
    if (rc == 0)
        rc = count_unlisted(k, level, row);
    if (rc == 0 && (!k->sel || k->sel->all))
        rc = count_others(k, level, row);
    for (int i = VIVO_LEVEL_COLLECTION; i < VIVO_LEVEL_SERIES; i++)
        vivo_catalog_rowset_sort(&k->nodes[i]);
    k->out->collections = k->nodes[VIVO_LEVEL_COLLECTION].n;
    k->out->patients = k->nodes[VIVO_LEVEL_PATIENT].n;
    k->out->studies = k->nodes[VIVO_LEVEL_STUDY].n;
    return rc;
}

int vivo_catalog_count(struct vivo_catalog *c, enum vivo_level level, vivo_row row,
                       const struct vivo_selection *sel, struct vivo_counts *out,
                       struct vivo_err *err)
{
    struct vivo_counts counts = {0};
    struct counting k = {.sel = sel,
                         .out = &counts,
                         .err = err,
                         .place.sel = sel,
                         .sizes.slot = VIVO_SCAN_SIZES};
    int rc;

    if (level >= VIVO_LEVEL_INSTANCE)
        return vivo_fail(err, EINVAL, "catalog: nothing is below an instance");
    vivo_catalog_common_init(&k.common, &k.place);
    if (sel && !sel->all) {
        k.vector = vivo_catalog_vector_new(vivo_query_root(sel->query));
        k.hot_only = vivo_catalog_is_hot(vivo_query_root(sel->query));
    }
    k.d = vivo_catalog_reader(c, err);
    rc = k.d ? vivo_catdb_do(k.d, "BEGIN", err) : -EIO;
    if (rc == 0) {
        rc = count_all(&k, level, level == VIVO_LEVEL_NONE ? 0 : row);
        vivo_catalog_vector_free(k.vector);
        k.vector = NULL;
        vivo_catalog_column_scan_end(&k.sizes);
        vivo_catdb_do(k.d, "COMMIT", NULL);
    }
    if (k.d)
        vivo_catalog_reader_done(c, k.d);
    vivo_catalog_common_free(&k.common);
    vivo_catalog_vector_free(k.vector);
    for (size_t i = 0; i < VIVO_ARRAY_LEN(k.nodes); i++)
        free(k.nodes[i].rows);
    if (rc == 0)
        *out = counts;
    return rc;
}
