/* SPDX-License-Identifier: Apache-2.0 */
/* src/catalog/select.c -- a query over everything below a node.
 *
 * One pass over the series, each decided by vivo_query_eval on what its members have in
 * common: on the hot attributes in the series' row when the query names no others, else
 * on its base. Only where the answer is unknown are members looked at. Nodes that were
 * never listed are decided by their own record, or become pending. patient(E), study(E)
 * and series(E) are answered first, each by a pass of its own. One read transaction
 * gives all passes the same state. */
#include "catalog/column.h"

#include <errno.h>
#include <string.h>

struct run {
    struct vivo_catdb *d;
    struct vivo_selection *sel;
    const struct vivo_query_node *node;
    struct vivo_found *found;
    bool hot_only;
    const struct vivo_scope *scope; /* or NULL */
    const struct vivo_cover *cover; /* of this pass, or NULL */
    struct vivo_place place;
    struct vivo_rowset needs[VIVO_LEVEL_INSTANCE]; /* to be listed, by level */
    struct vivo_buf scratch;
    struct vivo_common common;
    struct vivo_vector *vector; /* of node; NULL when there is no memory for it */
    struct vivo_err *err;
};

/* ---- results ---- */

static int no_memory(struct run *r)
{
    return vivo_fail(r->err, ENOMEM, "catalog: out of memory");
}

static int add_pending(struct run *r, struct vivo_found *f, struct vivo_pending p)
{
    struct vivo_pending *q = vivo_array_grow(f->pending, f->npending, &f->cap_pending,
                                             sizeof *q, VIVO_ARRAY_MAX);
    if (!q)
        return no_memory(r);
    f->pending = q;
    f->pending[f->npending++] = p;
    return 0;
}

/* The node at `level` of the present place is selected, and so are its ancestors. */
static int add_found(struct run *r, enum vivo_level level, bool whole)
{
    for (int l = VIVO_LEVEL_COLLECTION; l <= (int)level; l++)
        if (vivo_catalog_rowset_add(&r->found->some[l], r->place.rows[l]) < 0)
            return no_memory(r);
    if (whole &&
        vivo_catalog_rowset_add(&r->found->whole[level], r->place.rows[level]) < 0)
        return no_memory(r);
    return 0;
}

/* An unknown answer: either a level(E) could not be told, then that has to be learned
 * first, or this node has. */
static int add_unknown(struct run *r, enum vivo_level level, bool headers)
{
    struct vivo_pending p = {level, r->place.rows[level], headers};

    for (size_t i = 0; i < r->place.nneeds; i++) {
        struct vivo_rowset *s = &r->needs[r->place.needs[i].level];
        vivo_row row = r->place.needs[i].row;
        if ((!s->n || s->rows[s->n - 1] != row) && vivo_catalog_rowset_add(s, row) < 0)
            return no_memory(r);
    }
    for (size_t i = 0; i < r->place.nwants; i++) {
        struct vivo_inner *in = &r->sel->inner[r->place.wants[i].inner];
        if (vivo_catalog_rowset_add(&in->wanted, r->place.wants[i].row) < 0)
            return no_memory(r);
    }
    if (r->place.nwants || r->place.nneeds)
        return 0;
    if (r->found->npending) { /* several members of one series */
        struct vivo_pending *last = &r->found->pending[r->found->npending - 1];
        if (last->level == p.level && last->row == p.row)
            return 0;
    }
    return add_pending(r, r->found, p);
}

/* A selected node whose children will be counted. */
static int add_members(struct run *r, enum vivo_level level)
{
    struct vivo_pending p = {level, r->place.rows[level], false};

    if (r->found != &r->sel->f)
        return 0;
    r->sel->unlisted = true;
    if (!r->scope || !(r->scope->members & 1u << level))
        return 0;
    return add_pending(r, r->found, p);
}

/* ---- what the archive told ---- */

/* whole: not the E of a LEVEL node that is the root. */
static void enter_pass(struct run *r, const struct vivo_query_node *of, bool whole)
{
    r->cover = NULL;
    for (size_t i = 0; r->scope && i < r->scope->ncovers; i++)
        if (r->scope->covers[i].of == of && r->scope->covers[i].whole == whole)
            r->cover = &r->scope->covers[i];
}

static bool is_among(const vivo_row *rows, size_t n, vivo_row row)
{
    size_t lo = 0, hi = n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (rows[mid] == row)
            return true;
        if (rows[mid] < row)
            lo = mid + 1;
        else
            hi = mid;
    }
    return false;
}

/* Nothing below the node can match: it was there when the archive was asked, and what
 * it gave is elsewhere, or is below the node and known by itself. */
static bool is_excluded(const struct run *r, enum vivo_level of)
{
    const struct vivo_cover *c = r->cover;

    if (!c || (r->place.rows[of] > c->upto &&
               !is_among(c->seen, c->nseen, r->place.rows[of])))
        return false;
    for (int l = VIVO_LEVEL_COLLECTION; l <= (int)of; l++)
        if (r->place.rows[l] && is_among(c->rows, c->n, r->place.rows[l]))
            return false;
    return true;
}

static void sort_found(struct vivo_found *f)
{
    for (size_t i = 0; i < VIVO_ARRAY_LEN(f->some); i++) {
        vivo_catalog_rowset_sort(&f->some[i]);
        vivo_catalog_rowset_sort(&f->whole[i]);
    }
}

/* ---- series ---- */

static enum vivo_truth eval(struct run *r, struct vivo_attrs a, const uint32_t *varying,
                            size_t n, bool headers)
{
    struct vivo_query_source src = {
        .attrs = a,
        .varying = varying,
        .nvarying = n,
        .headers = headers,
        .level = vivo_catalog_level_truth,
        .computed = vivo_catalog_computed,
        .ctx = &r->place,
    };

    r->place.nwants = r->place.nneeds = 0;
    return vivo_query_eval(r->node, &src);
}

/* The base of a series, into r's own memory. */
static int member_base(struct run *r, vivo_row series, struct vivo_buf *out)
{
    sqlite3_stmt *st =
        vivo_catdb_stmt(r->d, "SELECT attrs FROM base WHERE id = ?1", r->err);
    struct vivo_attrs a;
    int rc;

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, series);
    rc = vivo_catdb_step(r->d, st, r->err);
    if (rc <= 0)
        return rc;
    a = vivo_catdb_column_attrs(st, 0);
    rc = a.len && vivo_buf_add(out, a.data, a.len) < 0 ? no_memory(r) : 0;
    sqlite3_reset(st);
    return rc;
}

/* Some member matches: the series is selected. As long as an answer may be unknown all
 * members are looked at, for what is shown must be complete. */
static int eval_members(struct run *r, vivo_row series, bool headers)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf base = {0};
    bool found = false;
    sqlite3_stmt *st;
    int rc;

    vivo_buf_init(&base, VIVO_ATTRS_MAX);
    rc = member_base(r, series, &base);
    st = rc < 0 ? NULL
                : vivo_catdb_stmt(r->d,
                                  "SELECT i.headers, (SELECT d.attrs FROM diff d"
                                  " WHERE d.id = i.id), i.id FROM instance i"
                                  " WHERE i.parent = ?1 ORDER BY i.name",
                                  r->err);
    if (!st)
        return rc < 0 ? rc : -EIO;
    vivo_catdb_int(st, 1, series);
    while ((rc = vivo_catdb_step(r->d, st, r->err)) == 1) {
        bool known = sqlite3_column_int(st, 0) != 0;
        r->place.rows[VIVO_LEVEL_INSTANCE] = sqlite3_column_int64(st, 2);
        enum vivo_truth t = vivo_catalog_eval_instance(
            r->node, (struct vivo_attrs){base.data, base.len},
            vivo_catdb_column_attrs(st, 1), known, &r->place, &r->scratch);
        if (t == VIVO_UNKNOWN && r->place.failed) {
            rc = vivo_catalog_nowhere(r->err);
            break;
        }
        found = found || t == VIVO_TRUE;
        if (t == VIVO_UNKNOWN && (!known || r->place.nwants || r->place.nneeds))
            rc = add_unknown(r, VIVO_LEVEL_SERIES, true);
        if (rc < 0 || (found && headers && r->sel->ninner == 0))
            break;
    }
    sqlite3_reset(st);
    r->place.rows[VIVO_LEVEL_INSTANCE] = 0;
    if (rc >= 0 && found)
        rc = add_found(r, VIVO_LEVEL_SERIES, false);
    return rc < 0 ? rc : 0;
}

/* The same from columns: 1 = done, 0 = they do not tell. */
static int eval_columns(struct run *r, vivo_row series)
{
    const uint8_t *truths;
    int rc = vivo_catalog_common_truths(&r->common, r->vector, r->d, series, &truths,
                                        r->err);

    if (rc == 1 && memchr(truths, VIVO_TRUE, r->common.members) &&
        add_found(r, VIVO_LEVEL_SERIES, false) < 0)
        return -ENOMEM;
    return rc;
}

/* What all members have in common: first of it the hot set, which often tells; what is
 * not in it is then not known. */
static int eval_common(struct run *r, sqlite3_stmt *st, enum vivo_truth *t)
{
    uint64_t mask = (uint64_t)sqlite3_column_int64(st, COL_VARIES);
    struct vivo_common *c = &r->common;
    int rc = 0;

    *t = VIVO_UNKNOWN;
    if (!r->hot_only && !(mask & VIVO_CATALOG_HOT_GROUPS)) {
        rc = vivo_catalog_common_load(c, r->d, st, true, r->err);
        c->src.headers = false;
        r->place.nwants = r->place.nneeds = 0;
        *t = rc < 0 ? VIVO_UNKNOWN : vivo_query_eval(r->node, &c->src);
    }
    if (rc < 0 || *t != VIVO_UNKNOWN)
        return rc;
    rc = vivo_catalog_common_load(c, r->d, st, r->hot_only, r->err);
    r->place.nwants = r->place.nneeds = 0;
    if (rc == 0)
        *t = vivo_query_eval(r->node, &c->src);
    return rc;
}

static int select_series(struct run *r, sqlite3_stmt *st)
{
    struct vivo_common *c = &r->common;
    vivo_row id = sqlite3_column_int64(st, COL_ID);
    enum vivo_truth t;
    int rc;

    r->place.rows[VIVO_LEVEL_SERIES] = id;
    r->place.rows[VIVO_LEVEL_STUDY] = sqlite3_column_int64(st, COL_STUDY);
    r->place.rows[VIVO_LEVEL_PATIENT] = sqlite3_column_int64(st, COL_PATIENT);
    r->place.rows[VIVO_LEVEL_COLLECTION] = sqlite3_column_int64(st, COL_COLLECTION);
    rc = eval_common(r, st, &t);
    if (rc < 0 || (c->listed && c->members == 0))
        return rc;
    if (t == VIVO_TRUE) {
        rc = c->listed ? 0 : add_members(r, VIVO_LEVEL_SERIES);
        return rc < 0 ? rc : add_found(r, VIVO_LEVEL_SERIES, true);
    }
    if (t == VIVO_FALSE || is_excluded(r, VIVO_LEVEL_SERIES))
        return 0;
    if (!c->listed) /* where objects are is known when they are listed */
        return add_unknown(r, VIVO_LEVEL_SERIES, !r->sel->asks_here);
    rc = eval_columns(r, id);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    return eval_members(r, id, c->src.headers);
}

/* ---- what was never listed
 * ---------------------------------------------------------------------- */

#define SCOPE(collection, patient, study)                                              \
    " AND CASE ?2 WHEN 0 THEN 1 WHEN 1 THEN " collection " = ?1 WHEN 2 THEN " patient  \
    " = ?1 WHEN 3 THEN " study " = ?1 ELSE 0 END"

static int select_unlisted(struct run *r, enum vivo_level of, enum vivo_level level,
                           vivo_row row)
{
    static const char *const sql[] = {
        [VIVO_LEVEL_COLLECTION] =
            "SELECT c.id, 0, 0, c.attrs FROM collection c WHERE c.listed = 0"
            " AND c.lookup IS NOT NULL" SCOPE("c.id", "0", "0"),
        [VIVO_LEVEL_PATIENT] =
            "SELECT p.parent, p.id, 0, p.attrs FROM patient p WHERE p.listed = 0"
            " AND p.lookup IS NOT NULL" SCOPE("p.parent", "p.id", "0"),
        [VIVO_LEVEL_STUDY] =
            "SELECT p.parent, p.id, t.id, t.attrs FROM study t CROSS JOIN patient p"
            " ON p.id = t.parent WHERE t.listed = 0"
            " AND t.lookup IS NOT NULL" SCOPE("p.parent", "p.id", "t.id"),
    };
    sqlite3_stmt *st = vivo_catdb_stmt(r->d, sql[of], r->err);
    int rc;

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, row);
    vivo_catdb_int(st, 2, level);
    memset(r->place.rows, 0, sizeof r->place.rows);
    while ((rc = vivo_catdb_step(r->d, st, r->err)) == 1) {
        enum vivo_truth t;
        for (int l = VIVO_LEVEL_COLLECTION; l <= VIVO_LEVEL_STUDY; l++)
            r->place.rows[l] = sqlite3_column_int64(st, l - VIVO_LEVEL_COLLECTION);
        t = eval(r, vivo_catdb_column_attrs(st, 3), NULL, 0, false);
        rc = 0;
        if (t == VIVO_TRUE)
            rc = add_members(r, of);
        if (t == VIVO_TRUE && rc == 0)
            rc = add_found(r, of, true);
        else if (t == VIVO_UNKNOWN && !is_excluded(r, of))
            rc = add_unknown(r, of, false);
        if (rc < 0)
            break;
    }
    sqlite3_reset(st);
    return rc < 0 ? rc : 0;
}

static int archive_listed(struct run *r, enum vivo_level level, vivo_row row,
                          bool *listed)
{
    static const char *const sql[] = {
        [VIVO_LEVEL_NONE] = "SELECT value FROM meta WHERE id = 3 AND ?1 = ?1",
        [VIVO_LEVEL_COLLECTION] = "SELECT listed OR (SELECT value FROM meta WHERE"
                                  " id = 3) FROM collection WHERE id = ?1",
        [VIVO_LEVEL_PATIENT] = "SELECT listed OR (SELECT value FROM meta WHERE id = 3)"
                               " FROM patient WHERE id = ?1",
        [VIVO_LEVEL_STUDY] = "SELECT listed OR (SELECT value FROM meta WHERE id = 3)"
                             " FROM study WHERE id = ?1",
        [VIVO_LEVEL_SERIES] = "SELECT listed OR (SELECT value FROM meta WHERE id = 3)"
                              " FROM series WHERE id = ?1",
    };
    sqlite3_stmt *st = vivo_catdb_stmt(r->d, sql[level], r->err);
    int64_t v;
    int rc;

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, row);
    rc = vivo_catdb_number(r->d, st, 1, &v, r->err);
    *listed = v != 0;
    return rc;
}

static int run(struct run *r, enum vivo_level level, vivo_row row)
{
    sqlite3_stmt *st;
    bool listed;
    int rc = archive_listed(r, level, row, &listed);

    if (rc == 0 && !listed && !r->cover)
        rc = add_pending(r, r->found, (struct vivo_pending){VIVO_LEVEL_NONE, 0, false});
    for (int l = VIVO_LEVEL_COLLECTION; rc == 0 && l <= VIVO_LEVEL_STUDY; l++)
        rc = select_unlisted(r, (enum vivo_level)l, level, row);
    st = rc < 0 ? NULL : vivo_catalog_series_below(r->d, level, row, r->err);
    if (!st)
        return rc < 0 ? rc : -EIO;
    r->vector = vivo_catalog_vector_new(r->node);
    while ((rc = vivo_catdb_step(r->d, st, r->err)) == 1) {
        rc = select_series(r, st);
        if (rc < 0)
            break;
    }
    sqlite3_reset(st);
    vivo_catalog_vector_free(r->vector);
    r->vector = NULL;
    sort_found(r->found);
    return rc;
}

/* ---- level(E)
 * --------------------------------------------------------------------------------------
 */

static int place_pending(struct run *r, struct vivo_inner *in)
{
    size_t n = in->found.npending;

    if (n == 0)
        return 0;
    in->pending_at = calloc(n, sizeof *in->pending_at);
    if (!in->pending_at)
        return no_memory(r);
    for (size_t i = 0; i < n; i++) {
        const struct vivo_pending *p = &in->found.pending[i];
        struct vivo_lineage l;
        int rc;
        in->all_maybe = in->all_maybe || p->level == VIVO_LEVEL_NONE;
        if (p->level < in->node->level)
            continue;
        rc = vivo_catalog_lineage(r->d, p->level, p->row, &l, r->err);
        if (rc < 0)
            return rc;
        in->pending_at[i] = l.rows[in->node->level];
        if (vivo_catalog_rowset_add(&in->maybe, in->pending_at[i]) < 0)
            return no_memory(r);
    }
    vivo_catalog_rowset_sort(&in->maybe);
    return 0;
}

static int answer_levels(struct run *r, enum vivo_level level, vivo_row row)
{
    const struct vivo_query_node *nodes[VIVO_CATALOG_INNER], *root = r->node;
    size_t n = 0;
    int rc = 0;

    if (vivo_catalog_levels(root, nodes, &n) < 0)
        return vivo_fail(r->err, EINVAL, "more than %d level conditions",
                         VIVO_CATALOG_INNER);
    if (n == 0)
        return 0;
    r->sel->inner = calloc(n, sizeof *r->sel->inner);
    if (!r->sel->inner)
        return no_memory(r);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        struct vivo_inner *in = &r->sel->inner[i];
        in->node = nodes[i];
        r->node = nodes[i]->a;
        r->hot_only = vivo_catalog_is_hot(r->node);
        r->found = &in->found;
        enter_pass(r, nodes[i], false);
        rc = run(r, level, row);
        if (rc == 0)
            rc = place_pending(r, in);
        r->sel->ninner = i + 1;
    }
    r->node = root;
    r->found = &r->sel->f;
    return rc;
}

/* What level(E) need to learn for the rows that depended on them; outer ones first, as
 * they make inner ones wanted. */
static int pass_on_pending(struct run *r)
{
    for (size_t i = r->sel->ninner; i-- > 0;) {
        struct vivo_inner *in = &r->sel->inner[i];
        vivo_catalog_rowset_sort(&in->wanted);
        for (size_t k = 0; k < in->found.npending; k++) {
            const struct vivo_pending *p = &in->found.pending[k];
            int rc;
            if (in->wanted.n == 0 ||
                (p->level != VIVO_LEVEL_NONE &&
                 !vivo_catalog_rowset_has(&in->wanted, in->pending_at[k])))
                continue;
            rc = add_pending(r, &r->sel->f, *p);
            if (rc < 0)
                return rc;
        }
    }
    return 0;
}

/* What virtual attributes need to have listed, in whichever pass they were asked. */
static int pass_on_needs(struct run *r)
{
    vivo_catalog_rowset_sort(&r->needs[VIVO_NEED_SERIES_OF]);
    if (vivo_catalog_facts_unlisted(r->sel->facts, &r->needs[VIVO_NEED_SERIES_OF],
                                    &r->needs[VIVO_LEVEL_SERIES]) < 0)
        return no_memory(r);
    for (int l = VIVO_LEVEL_COLLECTION; l < VIVO_LEVEL_INSTANCE; l++) {
        vivo_catalog_rowset_sort(&r->needs[l]);
        for (size_t i = 0; i < r->needs[l].n; i++) {
            int rc = add_pending(
                r, &r->sel->f,
                (struct vivo_pending){(enum vivo_level)l, r->needs[l].rows[i], false});
            if (rc < 0)
                return rc;
        }
    }
    return 0;
}

/* patient(E) and narrower ask within one patient. */
static int inner_scope(struct run *r, enum vivo_level *level, vivo_row *row)
{
    struct vivo_lineage l;
    int rc;

    if (*level <= VIVO_LEVEL_PATIENT)
        return 0;
    rc = vivo_catalog_lineage(r->d, *level, *row, &l, r->err);
    *level = VIVO_LEVEL_PATIENT;
    *row = l.rows[VIVO_LEVEL_PATIENT];
    return rc;
}

static int select_in(struct run *r, enum vivo_level level, vivo_row row)
{
    enum vivo_level inner_level = level;
    vivo_row inner_row = row;
    int64_t generation = 0;
    sqlite3_stmt *st =
        vivo_catdb_stmt(r->d, "SELECT value FROM meta WHERE id = 1", r->err);
    int rc;

    if (!st)
        return -EIO;
    rc = vivo_catdb_number(r->d, st, 0, &generation, r->err);
    r->sel->generation = (uint64_t)generation;
    if (rc < 0 || r->sel->all)
        return rc;
    rc = vivo_catalog_facts_make(r->d, r->node, &r->sel->facts, r->err);
    if (rc == 0)
        rc = inner_scope(r, &inner_level, &inner_row);
    if (rc == 0)
        rc = answer_levels(r, inner_level, inner_row);
    r->hot_only = vivo_catalog_is_hot(r->node);
    enter_pass(r, r->node, true);
    if (rc == 0)
        rc = run(r, level, row);
    if (rc == 0)
        rc = pass_on_needs(r);
    return rc < 0 ? rc : pass_on_pending(r);
}

int vivo_catalog_select(struct vivo_catalog *c, enum vivo_level level, vivo_row row,
                        const struct vivo_query *q, const struct vivo_scope *scope,
                        struct vivo_selection **out, struct vivo_err *err)
{
    struct vivo_selection *sel;
    struct run r = {.err = err, .scope = scope};
    int rc;

    if (level >= VIVO_LEVEL_INSTANCE)
        return vivo_fail(err, EINVAL, "catalog: nothing is below an instance");
    sel = calloc(1, sizeof *sel);
    if (!sel)
        return vivo_fail(err, ENOMEM, "catalog: out of memory");
    atomic_init(&sel->refs, 1);
    sel->all = q == NULL;
    /* The count in a query is its own business; taking a reference changes nothing
     * that const promises. */
    sel->query = q ? vivo_query_ref((struct vivo_query *)(uintptr_t)q) : NULL;
    sel->catalog = c;
    sel->asks_here = q && vivo_query_names(q, VIVO_VIRTUAL_FETCH_STATE);
    if (scope)
        sel->here = scope->here;
    r.sel = sel;
    r.place.sel = sel;
    r.found = &sel->f;
    r.node = q ? vivo_query_root(q) : NULL;
    vivo_buf_init(&r.scratch, 2 * VIVO_ATTRS_MAX);
    vivo_catalog_common_init(&r.common, &r.place);
    r.d = vivo_catalog_reader(c, err);
    r.place.d = r.d;
    rc = r.d ? vivo_catdb_do(r.d, "BEGIN", err) : -EIO;
    if (rc == 0) {
        rc = select_in(&r, level, level == VIVO_LEVEL_NONE ? 0 : row);
        vivo_catdb_do(r.d, "COMMIT", NULL);
    }
    if (r.d)
        vivo_catalog_reader_done(c, r.d);
    vivo_buf_free(&r.scratch);
    vivo_catalog_common_free(&r.common);
    for (size_t i = 0; i < VIVO_ARRAY_LEN(r.needs); i++)
        free(r.needs[i].rows);
    if (rc < 0) {
        vivo_selection_unref(sel);
        return rc;
    }
    *out = sel;
    return 0;
}
