/* SPDX-License-Identifier: Apache-2.0 */
/* src/flow/bundle.c -- a series in one request, for who reads it in order (DESIGN C4).
 *
 * A bundle is a flight of its own in the background. While it is in the air, flights of
 * its objects ride with it: they are aloft without a thread and land one by one as
 * their bytes come. What nobody asked for goes into the store. Riders whose object did
 * not come are run again and fetch it by itself. */
#include "flow/internal.h"

#include "vivofs/file.h"
#include "vivofs/log.h"

#include <errno.h>
#include <string.h>

enum { FAILED_MAX = 32 };

struct rider {
    struct rider *next;
    struct vivo_flight *flight;
};

struct bundle { /* in the air */
    struct bundle *next;
    vivo_row series;
    struct rider *riders;
};

struct bundles {
    pthread_mutex_t mutex;
    struct bundle *list;         /* guarded by mutex, as all below */
    vivo_row failed[FAILED_MAX]; /* series that do not come in one go */
    size_t nfailed;
};

struct bundles *bundles_new(void)
{
    struct bundles *b = calloc(1, sizeof *b);
    if (b)
        pthread_mutex_init(&b->mutex, NULL);
    return b;
}

void bundles_free(struct bundles *b)
{
    if (!b)
        return;
    pthread_mutex_destroy(&b->mutex);
    free(b);
}

static struct bundle **find_locked(struct bundles *all, vivo_row series)
{
    struct bundle **at = &all->list;
    while (*at && (*at)->series != series)
        at = &(*at)->next;
    return at;
}

/* ---- riding ------------------------------------------------------------------------
 */

bool bundle_ride(struct vivo_flow *f, struct vivo_flight *flight)
{
    struct bundles *all = f->bundles;
    struct vivo_entry e = {0};
    if (!all)
        return false;
    pthread_mutex_lock(&all->mutex);
    bool any = all->list != NULL;
    pthread_mutex_unlock(&all->mutex);
    if (!any || vivo_catalog_get(f->catalog, VIVO_LEVEL_INSTANCE, flight->key.row,
                                 flow_copy_entry, &e, NULL))
        return false;
    struct rider *r = malloc(sizeof *r);
    if (!r)
        return false;
    r->flight = flight;
    atomic_store(&flight->rides, true);
    pthread_mutex_lock(&all->mutex);
    struct bundle *b = *find_locked(all, e.parent);
    if (b) {
        r->next = b->riders;
        b->riders = r;
    }
    pthread_mutex_unlock(&all->mutex);
    if (b)
        return true; /* the flight may have landed already */
    atomic_store(&flight->rides, false);
    free(r);
    return false;
}

/* The rider that waits for this object, who is then the caller's to land. */
static struct vivo_flight *take_rider(struct bundles *all, vivo_row series,
                                      vivo_row row)
{
    struct vivo_flight *flight = NULL;
    struct rider *found = NULL;
    pthread_mutex_lock(&all->mutex);
    struct bundle *b = *find_locked(all, series);
    for (struct rider **at = b ? &b->riders : NULL; at && *at && !found;) {
        if ((*at)->flight->key.row == row) {
            found = *at;
            *at = found->next;
        } else {
            at = &(*at)->next;
        }
    }
    pthread_mutex_unlock(&all->mutex);
    if (found)
        flight = found->flight;
    free(found);
    return flight;
}

/* Nobody rides any more; who is left flies alone. */
static void end_bundle(struct vivo_flow *f, vivo_row series, bool failed)
{
    struct bundles *all = f->bundles;
    pthread_mutex_lock(&all->mutex);
    struct bundle **at = find_locked(all, series);
    struct bundle *b = *at;
    if (b)
        *at = b->next;
    if (failed)
        all->failed[all->nfailed++ % FAILED_MAX] = series;
    pthread_mutex_unlock(&all->mutex);
    for (struct rider *r = b ? b->riders : NULL; r;) {
        struct rider *next = r->next;
        atomic_store(&r->flight->progress_ms, vivo_now_ms()); /* it begins now */
        atomic_store(&r->flight->rides, false);
        flight_again(r->flight);
        free(r);
        r = next;
    }
    free(b);
}

/* ---- taking in ---------------------------------------------------------------------
 */

struct member {
    char *locator;
    vivo_row row;
    bool came;
};

struct loading {
    struct vivo_bundle to; /* first: what the driver sees */
    struct vivo_flight *flight;
    struct member *members; /* in order of locator */
    size_t n, cap;
    size_t came;
    int fd; /* bytes of the object under way; -1 = none yet */
    uint64_t size;
    bool nomem;
};

static int add_member(void *ctx, const struct vivo_entry *e)
{
    struct loading *l = ctx;
    struct member *m =
        vivo_array_grow(l->members, l->n, &l->cap, sizeof *m, VIVO_ARRAY_MAX);
    l->nomem = !m;
    if (!m)
        return 1;
    l->members = m;
    if (!e->refusal)
        l->members[l->n++] = (struct member){.row = e->row};
    return 0;
}

static int compare_members(const void *a, const void *b)
{
    const struct member *x = a;
    const struct member *y = b;
    return strcmp(x->locator, y->locator);
}

/* Which row each locator is. */
static int find_members(struct loading *l, struct vivo_err *err)
{
    struct vivo_flow *f = l->flight->flow;
    int rc = vivo_catalog_children(f->catalog, VIVO_LEVEL_SERIES, l->flight->key.row,
                                   NULL, add_member, l, err);
    for (size_t i = 0; !rc && i < l->n; i++) {
        VIVO_AUTO(vivo_buf_free_p) struct vivo_buf locator = {0};
        vivo_buf_init(&locator, FLOW_LOCATOR_MAX);
        rc = vivo_catalog_locator(f->catalog, VIVO_LEVEL_INSTANCE, l->members[i].row,
                                  &locator, NULL, err);
        if (!rc && !(l->members[i].locator = strdup((char *)locator.data)))
            l->nomem = true;
        if (l->nomem)
            break;
    }
    if (l->nomem)
        return vivo_fail(err, ENOMEM, "out of memory");
    if (!rc && l->n)
        qsort(l->members, l->n, sizeof *l->members, compare_members);
    return rc;
}

static struct member *member_of(const struct loading *l, const char *locator)
{
    size_t lo = 0, hi = l->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = strcmp(l->members[mid].locator, locator);
        if (!c)
            return &l->members[mid];
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

static void drop_raw(struct loading *l)
{
    if (l->fd >= 0)
        close(l->fd);
    l->fd = -1;
    l->size = 0;
}

static int write_raw(struct vivo_sink *self, const void *data, size_t len,
                     struct vivo_err *err)
{
    struct loading *l = (struct loading *)self; /* first of its first member */
    const char *dir = vivo_store_dir(l->flight->flow->store);
    int rc = 0;
    if (l->fd < 0)
        l->fd = vivo_file_nameless(NULL, err);
    if (l->fd < 0)
        return l->fd;
    if (dir && l->size <= RAW_SMALL_MAX && l->size + len > RAW_SMALL_MAX)
        rc = raw_move(&l->fd, dir, l->size, err);
    if (!rc)
        rc = vivo_pwrite_full(l->fd, data, len, l->size, err);
    l->size += rc ? 0 : len;
    flight_progress(l->flight, 0);
    return rc;
}

/* What came of it is not the object. */
static int forget_raw(struct vivo_sink *self, struct vivo_err *err)
{
    (void)err;
    drop_raw((struct loading *)self); /* first of its first member */
    return 0;
}

/* The object of a row came; what is wrong with it concerns only who wants it. */
static void keep_object(struct loading *l, vivo_row row)
{
    struct vivo_flow *f = l->flight->flow;
    struct vivo_flight *rider = take_rider(f->bundles, l->flight->key.row, row);
    bool pin = rider && atomic_load(&rider->pin), pinned;
    struct vivo_err err = {0};
    struct vivo_store_key key;
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf locator = {0};
    vivo_buf_init(&locator, FLOW_LOCATOR_MAX);
    int rc = flow_store_key(f, row, &key, &locator, &err);
    bool here = !rc && !rider && !vivo_store_has(f->store, &key, &pinned);
    if (!rc && !here) {
        pthread_mutex_lock(&f->mutex);
        f->status.fetches++;
        pthread_mutex_unlock(&f->mutex);
        rc = fetch_keep(f, row, &l->fd, l->size, &key, pin, &err);
    }
    if (rc)
        vivo_fail_in(&err, "%s #%lld", f->name, (long long)row);
    if (rider)
        flight_land(rider, &err);
}

static int take_whole(struct vivo_bundle *self, const char *locator,
                      struct vivo_err *err)
{
    struct loading *l = (struct loading *)self; /* first member */
    struct member *m = member_of(l, locator);
    (void)err;
    if (m && !m->came && l->fd >= 0) { /* of two with one locator the first counts */
        keep_object(l, m->row);
        m->came = true;
        l->came++;
    }
    atomic_fetch_add_explicit(&l->flight->things, 1, memory_order_relaxed);
    drop_raw(l);
    return 0;
}

static bool wants(struct vivo_bundle *self, const char *locator)
{
    return member_of((struct loading *)self, locator) != NULL; /* first member */
}

static void stay_alive(struct vivo_bundle *self, uint64_t bytes)
{
    struct loading *l = (struct loading *)self; /* first member */
    flight_progress(l->flight, bytes);
}

/* ---- the flight --------------------------------------------------------------------
 */

static int load(struct loading *l)
{
    struct vivo_flow *f = l->flight->flow;
    struct vivo_op *op = &l->flight->op;
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf locator = {0};
    vivo_buf_init(&locator, FLOW_LOCATOR_MAX);
    int rc = find_members(l, &op->err);
    if (!rc)
        rc = flow_locator(f, VIVO_LEVEL_SERIES, l->flight->key.row, true, &locator,
                          &op->err);
    atomic_store(&l->flight->seen, l->n);
    if (!rc)
        rc = vivo_archive_bundle(f->archive, (char *)locator.data, &l->to, op);
    if (!rc && l->came < l->n)
        rc = vivo_fail(&op->err, EIO, "%zu of %zu objects came", l->came, l->n);
    return rc;
}

static int run_bundle(struct vivo_flight *flight)
{
    struct vivo_flow *f = flight->flow;
    struct loading l = {
        .to = {.sink = {write_raw, forget_raw},
               .whole = take_whole,
               .alive = stay_alive,
               .wants = wants},
        .flight = flight,
        .fd = -1,
    };
    int rc = load(&l);
    if (rc && rc != -EINTR)
        vivo_log(VIVO_LOG_INFO, "flow.bundle", "%s #%lld: not in one go: %s", f->name,
                 (long long)flight->key.row, flight->op.err.text);
    else if (!rc)
        flow_recovered(f);
    drop_raw(&l);
    for (size_t i = 0; i < l.n; i++)
        free(l.members[i].locator);
    free(l.members);
    return rc;
}

/* Whatever became of it, also when it never ran. */
static void drop_bundle(struct vivo_flight *flight)
{
    struct vivo_flow *f = flight->flow;
    bool failed = flight->op.err.errnum && flight->op.err.errnum != EINTR;
    if (!f)
        return; /* a plan that came to nothing */
    end_bundle(f, flight->key.row, failed);
    if (failed)
        ahead_again(f, flight->key.row);
}

bool bundle_begin(struct vivo_flow *f, vivo_row series)
{
    struct bundles *all = f->bundles;
    struct bundle *fresh = all ? calloc(1, sizeof *fresh) : NULL;
    bool failed = false;
    if (!fresh)
        return false;
    fresh->series = series;
    pthread_mutex_lock(&all->mutex);
    for (size_t i = 0; i < FAILED_MAX; i++)
        failed = failed || all->failed[i] == series;
    bool there = *find_locked(all, series) != NULL;
    if (!failed && !there) {
        fresh->next = all->list;
        all->list = fresh;
    }
    pthread_mutex_unlock(&all->mutex);
    if (failed || there) {
        free(fresh);
        return there;
    }
    struct flight_plan plan = {
        .key = {.kind = FLIGHT_BUNDLE, .level = VIVO_LEVEL_SERIES, .row = series},
        .run = run_bundle,
        .drop = drop_bundle,
        .keep = true,
        .urgent = true,
    };
    if (flight_join(f, &plan, NULL) == -EAGAIN)
        return true;
    end_bundle(f, series, false);
    return false;
}
