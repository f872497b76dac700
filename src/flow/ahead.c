/* SPDX-License-Identifier: Apache-2.0 */
/* src/flow/ahead.c -- read-ahead across files (DESIGN C8): the third object of a series
 * that is opened in order fetches those that follow, a window at a time. Of local ones,
 * the third that is read in order has the headers of those that follow cleaned. */
#include "flow/internal.h"

#include <string.h>

enum { SERIES_MAX = 8, RUN = 3, NEAR = 24 };
enum { BUNDLE_NEAR = 8, BUNDLE_LEAST = 4 }; /* worth a bundle: so many left */

struct walk { /* somebody going through a series */
    vivo_row series;
    vivo_row *rows; /* its instances in order of name; owned */
    size_t n, last; /* last: where he is */
    size_t ahead;   /* before this one all are fetched or being so */
    unsigned run;   /* how many opens in order */
    unsigned near;  /* how many close to each other, by several readers perhaps */
    uint64_t used;
};

struct ahead {
    pthread_mutex_t mutex;
    struct walk walks[SERIES_MAX]; /* guarded by mutex */
    uint64_t clock;                /* guarded by mutex */
};

struct ahead *ahead_new(void)
{
    struct ahead *a = calloc(1, sizeof *a);
    if (a)
        pthread_mutex_init(&a->mutex, NULL);
    return a;
}

void ahead_free(struct ahead *a)
{
    if (!a)
        return;
    for (size_t i = 0; i < SERIES_MAX; i++)
        free(a->walks[i].rows);
    pthread_mutex_destroy(&a->mutex);
    free(a);
}

struct rows {
    vivo_row *rows;
    size_t n, cap;
};

static int add_row(void *ctx, const struct vivo_entry *e)
{
    struct rows *r = ctx;
    vivo_row *p = vivo_array_grow(r->rows, r->n, &r->cap, sizeof *p, VIVO_ARRAY_MAX);
    if (!p)
        return -1;
    r->rows = p;
    if (!e->refusal)
        r->rows[r->n++] = e->row;
    return 0;
}

static struct walk *find_locked(struct ahead *a, vivo_row series)
{
    for (size_t i = 0; i < SERIES_MAX; i++)
        if (a->walks[i].series == series)
            return &a->walks[i];
    return NULL;
}

/* A series not walked before: its instances take the place of the least used. */
static void learn_series(struct vivo_flow *f, vivo_row series)
{
    struct ahead *a = f->ahead;
    struct rows r = {0};
    if (vivo_catalog_children(f->catalog, VIVO_LEVEL_SERIES, series, NULL, add_row, &r,
                              NULL)) {
        free(r.rows);
        return;
    }
    pthread_mutex_lock(&a->mutex);
    struct walk *oldest = &a->walks[0];
    for (size_t i = 1; i < SERIES_MAX; i++)
        if (a->walks[i].used < oldest->used)
            oldest = &a->walks[i];
    vivo_row *gone = r.rows;
    if (!find_locked(a, series)) {
        gone = oldest->rows;
        *oldest =
            (struct walk){.series = series, .rows = r.rows, .n = r.n, .last = SIZE_MAX};
    }
    pthread_mutex_unlock(&a->mutex);
    free(gone);
}

static size_t position(const struct walk *w, vivo_row row)
{
    size_t next = w->last + 1; /* SIZE_MAX + 1 = 0: the first */
    if (next < w->n && w->rows[next] == row)
        return next;
    size_t i = 0;
    while (i < w->n && w->rows[i] != row)
        i++;
    return i;
}

/* A few that lie close together are read in order, by one or by several at a time. */
static bool bundle_due_locked(struct walk *w, vivo_row row)
{
    size_t at = position(w, row);
    if (at == w->n || at == w->last)
        return false;
    size_t far = w->last == SIZE_MAX ? SIZE_MAX
                 : at > w->last      ? at - w->last
                                     : w->last - at;
    w->near = far <= BUNDLE_NEAR ? w->near + 1 : 1;
    return w->near >= RUN && w->n >= w->near + BUNDLE_LEAST && w->ahead < w->n;
}

/* Steps the walk to the row; those of the next `window` rows that are to be had now go
 * to `out`. */
static size_t step_locked(struct ahead *a, struct walk *w, vivo_row row, size_t window,
                          vivo_row out[AHEAD_WINDOW])
{
    size_t at = position(w, row);
    size_t n = 0;
    w->used = ++a->clock;
    if (at == w->n || at == w->last)
        return 0;
    /* Of local objects only what was not prepared makes itself heard. */
    bool in_order = at == w->last + 1 || (w->ahead && at == w->ahead);
    w->run = in_order ? w->run + 1 : 1;
    w->last = at;
    if (w->run < RUN)
        return 0;
    size_t from = VIVO_MAX(w->ahead, at + 1);
    size_t to = VIVO_MIN(w->n, at + 1 + window);
    for (size_t i = from; i < to; i++)
        out[n++] = w->rows[i];
    w->ahead = VIVO_MAX(from, to);
    return n;
}

static size_t step(struct vivo_flow *f, vivo_row series, vivo_row row, size_t window,
                   vivo_row out[AHEAD_WINDOW], bool *due)
{
    struct ahead *a = f->ahead;
    pthread_mutex_lock(&a->mutex);
    bool known = find_locked(a, series) != NULL;
    pthread_mutex_unlock(&a->mutex);
    if (!known)
        learn_series(f, series);
    pthread_mutex_lock(&a->mutex);
    struct walk *w = find_locked(a, series);
    *due = w && f->bundles && bundle_due_locked(w, row);
    size_t n = w ? step_locked(a, w, row, window, out) : 0;
    pthread_mutex_unlock(&a->mutex);
    return n;
}

/* All of the series is on its way, or nothing. */
static void set_ahead(struct ahead *a, vivo_row series, bool all)
{
    pthread_mutex_lock(&a->mutex);
    struct walk *w = find_locked(a, series);
    if (w)
        w->ahead = all ? w->n : 0;
    pthread_mutex_unlock(&a->mutex);
}

void ahead_again(struct vivo_flow *f, vivo_row series)
{
    if (f->ahead)
        set_ahead(f->ahead, series, false);
}

void ahead_opening(struct vivo_flow *f, vivo_row series, vivo_row row,
                   struct ahead_rows *out)
{
    bool due;
    out->n = step(f, series, row, AHEAD_WINDOW, out->rows, &due);
    if (due && bundle_begin(f, series)) {
        set_ahead(f->ahead, series, true);
        out->n = 0;
    }
}

void ahead_fetch(struct vivo_flow *f, const struct ahead_rows *next)
{
    for (size_t i = 0; i < next->n; i++)
        fetch_in_background(f, next->rows[i], false);
}

struct preparing { /* of one job */
    struct vivo_flow *flow;
    struct ahead_rows next;
};

static void prepare(void *ctx)
{
    struct preparing *p = ctx;
    for (size_t i = 0; i < p->next.n; i++)
        prepare_local(p->flow, p->next.rows[i]);
    free(p);
}

void ahead_read(struct vivo_flow *f, vivo_row series, vivo_row row)
{
    struct preparing *p = malloc(sizeof *p);
    if (!p)
        return;
    p->flow = f;
    bool due;
    p->next.n = step(f, series, row, NEAR, p->next.rows, &due);
    if (!p->next.n || vivo_pool_run(f->pool, prepare, p))
        free(p);
}
