/* SPDX-License-Identifier: Apache-2.0 */
/* src/catalog/selection.c -- the answer to a query, and single objects against it.
 *
 * A selection holds row numbers only. Series of which a part matches are evaluated
 * again, member by member, where they are shown: a million matching instances cost
 * no memory. */
#include "catalog/internal.h"

#include <errno.h>
#include <string.h>

void vivo_catalog_found_free(struct vivo_found *f)
{
    for (size_t i = 0; i < VIVO_ARRAY_LEN(f->some); i++) {
        free(f->some[i].rows);
        free(f->whole[i].rows);
    }
    free(f->pending);
    memset(f, 0, sizeof *f);
}

struct vivo_selection *vivo_selection_ref(struct vivo_selection *s)
{
    atomic_fetch_add(&s->refs, 1);
    return s;
}

void vivo_selection_unref(struct vivo_selection *s)
{
    if (!s || atomic_fetch_sub(&s->refs, 1) != 1)
        return;
    for (size_t i = 0; i < s->ninner; i++) {
        vivo_catalog_found_free(&s->inner[i].found);
        free(s->inner[i].pending_at);
        free(s->inner[i].maybe.rows);
        free(s->inner[i].wanted.rows);
    }
    free(s->inner);
    vivo_catalog_found_free(&s->f);
    vivo_catalog_facts_free(s->facts);
    vivo_query_unref(s->query);
    free(s);
}

const struct vivo_pending *vivo_selection_pending(const struct vivo_selection *s,
                                                  size_t *n)
{
    *n = s->f.npending;
    return s->f.pending;
}

uint64_t vivo_selection_generation(const struct vivo_selection *s)
{
    return s->generation;
}

bool vivo_selection_listed(const struct vivo_selection *s)
{
    return !s->unlisted;
}

bool vivo_selection_whole(const struct vivo_selection *s, const struct vivo_lineage *l)
{
    if (s->all)
        return true;
    for (int i = VIVO_LEVEL_COLLECTION; i < VIVO_LEVEL_INSTANCE; i++)
        if (s->f.whole[i].n && vivo_catalog_rowset_has(&s->f.whole[i], l->rows[i]))
            return true;
    return false;
}

int vivo_catalog_whole(struct vivo_catalog *c, enum vivo_level level, vivo_row row,
                       const struct vivo_selection *sel, bool *whole,
                       struct vivo_err *err)
{
    struct vivo_lineage l;
    struct vivo_catdb *d;
    int rc;

    *whole = !sel || sel->all;
    if (*whole || level == VIVO_LEVEL_NONE)
        return 0;
    d = vivo_catalog_reader(c, err);
    if (!d)
        return -EIO;
    rc = vivo_catalog_lineage(d, level, row, &l, err);
    vivo_catalog_reader_done(c, d);
    *whole = rc == 0 && vivo_selection_whole(sel, &l);
    return rc;
}

/* ---- evaluation
 * ----------------------------------------------------------------------- */

static enum vivo_truth inner_truth(const struct vivo_inner *in,
                                   const struct vivo_place *p)
{
    enum vivo_level level = in->node->level;
    vivo_row row = p->rows[level];

    for (int i = VIVO_LEVEL_COLLECTION; i <= (int)level; i++)
        if (in->found.whole[i].n &&
            vivo_catalog_rowset_has(&in->found.whole[i], p->rows[i]))
            return VIVO_TRUE;
    if (row == 0) /* an unlisted study, asked for its series */
        return VIVO_UNKNOWN;
    if (vivo_catalog_rowset_has(&in->found.some[level], row))
        return VIVO_TRUE;
    if (in->all_maybe || vivo_catalog_rowset_has(&in->maybe, row))
        return VIVO_UNKNOWN;
    return VIVO_FALSE;
}

enum vivo_truth vivo_catalog_level_truth(void *ctx, const struct vivo_query_node *node)
{
    struct vivo_place *p = ctx;

    for (size_t i = 0; i < p->sel->ninner; i++) {
        enum vivo_truth t;
        if (p->sel->inner[i].node != node)
            continue;
        t = inner_truth(&p->sel->inner[i], p);
        /* Without a row it is the node itself that has to be listed. */
        if (t == VIVO_UNKNOWN && p->rows[node->level] &&
            p->nwants < VIVO_CATALOG_WANTS) {
            p->wants[p->nwants].inner = i;
            p->wants[p->nwants++].row = p->rows[node->level];
        }
        return t;
    }
    return VIVO_UNKNOWN;
}

enum vivo_truth vivo_catalog_eval_instance(const struct vivo_query_node *n,
                                           struct vivo_attrs base,
                                           struct vivo_attrs diff, bool headers,
                                           struct vivo_place *place,
                                           struct vivo_buf *scratch)
{
    struct vivo_query_source src = {
        .attrs = base,
        .over = diff,
        .headers = headers,
        .level = vivo_catalog_level_truth,
        .computed = vivo_catalog_computed,
        .ctx = place,
    };

    place->nwants = place->nneeds = 0;
    place->failed = 0;
    if (!headers && diff.len) {
        /* Tombstones say here that the base is not to be believed; what is left
         * after merging is known, the rest unknown. */
        vivo_buf_clear(scratch);
        if (vivo_attrs_merge(base, diff, scratch) < 0)
            return VIVO_UNKNOWN;
        src.attrs = (struct vivo_attrs){scratch->data, scratch->len};
        src.over = (struct vivo_attrs){NULL, 0};
    }
    return vivo_query_eval(n, &src);
}

int vivo_catalog_nowhere(struct vivo_err *err)
{
    return vivo_fail(err, EIO, "catalog: it cannot be told where an object is");
}

/* ---- members of a series
 * ---------------------------------------------------------------- */

int vivo_catalog_matcher_init(struct vivo_matcher *m, struct vivo_catdb *d,
                              const struct vivo_selection *sel, vivo_row series,
                              struct vivo_err *err)
{
    struct vivo_lineage l;
    struct vivo_attrs a;
    sqlite3_stmt *st;
    int rc;

    memset(m, 0, sizeof *m);
    vivo_buf_init(&m->base, VIVO_ATTRS_MAX);
    vivo_buf_init(&m->scratch, 2 * VIVO_ATTRS_MAX);
    m->sel = sel;
    m->whole = !sel || sel->all;
    if (m->whole)
        return 0;
    rc = vivo_catalog_lineage(d, VIVO_LEVEL_SERIES, series, &l, err);
    if (rc < 0)
        return rc;
    m->place.sel = sel;
    m->place.d = d;
    memcpy(m->place.rows, l.rows, sizeof l.rows);
    m->whole = vivo_selection_whole(sel, &l);
    if (m->whole)
        return 0;
    st = vivo_catdb_stmt(d, "SELECT attrs FROM base WHERE id = ?1", err);
    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, series);
    rc = vivo_catdb_step(d, st, err);
    if (rc <= 0)
        return rc;
    a = vivo_catdb_column_attrs(st, 0);
    rc = a.len ? vivo_buf_add(&m->base, a.data, a.len) : 0;
    sqlite3_reset(st);
    return rc < 0 ? vivo_fail(err, ENOMEM, "catalog: out of memory") : 0;
}

int vivo_catalog_matcher_test(struct vivo_matcher *m, vivo_row instance,
                              struct vivo_attrs diff, bool headers,
                              struct vivo_err *err)
{
    enum vivo_truth t;

    if (m->whole)
        return 1;
    m->place.rows[VIVO_LEVEL_INSTANCE] = instance;
    t = vivo_catalog_eval_instance(vivo_query_root(m->sel->query),
                                   (struct vivo_attrs){m->base.data, m->base.len}, diff,
                                   headers, &m->place, &m->scratch);
    if (m->place.failed && t == VIVO_UNKNOWN)
        return vivo_catalog_nowhere(err);
    return t == VIVO_TRUE;
}

void vivo_catalog_matcher_free(struct vivo_matcher *m)
{
    vivo_buf_free(&m->base);
    vivo_buf_free(&m->scratch);
}
