/* SPDX-License-Identifier: Apache-2.0 */
/* src/flow/flight.c -- single flights, parked ops, interrupts, deadlines.
 *
 * One process-wide mutex guards the lists of all flights and the `flight` and `next`
 * fields of parked ops: it is held for a few instructions only, never across I/O
 * or a callback, so it cannot take part in a deadlock. */
#include "flow/coming.h"

#include "vivofs/log.h"

#include <errno.h>
#include <string.h>
#include <time.h>

static pthread_mutex_t parking = PTHREAD_MUTEX_INITIALIZER;

static bool same_key(const struct flight_key *a, const struct flight_key *b)
{
    return a->kind == b->kind && a->level == b->level && a->row == b->row &&
           a->extra == b->extra;
}

static struct vivo_flight *find_locked(struct vivo_flow *f,
                                       const struct flight_key *key)
{
    struct vivo_flight *fl = f->flights;
    while (fl && !same_key(&fl->key, key))
        fl = fl->next;
    return fl;
}

/* A flight off the list cannot be joined any more. */
static bool unlist_locked(struct vivo_flight *flight)
{
    for (struct vivo_flight **at = &flight->flow->flights; *at; at = &(*at)->next) {
        if (*at != flight)
            continue;
        *at = flight->next;
        flight->next = NULL;
        return true;
    }
    return false;
}

static void unref(struct vivo_flight *flight)
{
    pthread_mutex_lock(&parking);
    bool last = --flight->refs == 0;
    pthread_mutex_unlock(&parking);
    if (!last)
        return;
    if (flight->drop)
        flight->drop(flight);
    free(flight);
}

static void park_locked(struct vivo_flight *flight, struct vivo_op *op)
{
    op->flight = flight;
    op->next = flight->waiters;
    flight->waiters = op;
    if (op->wants && op->wants < atomic_load(&flight->wanted))
        atomic_store(&flight->wanted, op->wants);
}

static bool unpark_locked(struct vivo_flight *flight, struct vivo_op *op)
{
    for (struct vivo_op **at = &flight->waiters; *at; at = &(*at)->next) {
        if (*at != op)
            continue;
        *at = op->next;
        op->next = NULL;
        op->flight = NULL;
        return true;
    }
    return false;
}

/* Nobody waits any more: the job is told, and later callers begin anew. */
static bool abandon_locked(struct vivo_flight *flight)
{
    if (flight->keep || flight->waiters || flight->riders ||
        atomic_load(&flight->op.cancelled))
        return false;
    atomic_store(&flight->op.cancelled, true);
    unlist_locked(flight);
    flight->refs++;
    return true;
}

static void finish_abandoning(struct vivo_flight *flight, bool abandoned)
{
    if (!abandoned)
        return;
    if (flight->cancel)
        flight->cancel(flight);
    unref(flight);
}

void flight_land(struct vivo_flight *flight, const struct vivo_err *why)
{
    struct vivo_err err = *why;
    flow_name_error(flight->flow, &err);
    pthread_mutex_lock(&parking);
    unlist_locked(flight);
    struct vivo_op *waiters = flight->waiters;
    flight->waiters = NULL;
    for (struct vivo_op *op = waiters; op; op = op->next)
        op->flight = NULL;
    pthread_mutex_unlock(&parking);
    while (waiters) {
        struct vivo_op *op = waiters;
        waiters = op->next; /* before landed(), which may free or park it again */
        op->next = NULL;
        op->err = err;
        op->landed(op);
    }
    unref(flight);
}

/* ---- while it is coming ------------------------------------------------------- */

void flight_set_coming(struct vivo_flight *flight, struct coming *c)
{
    pthread_mutex_lock(&parking);
    if (flight->coming)
        flight->coming->flight = NULL;
    flight->coming = c;
    flight->riders = 0;
    pthread_mutex_unlock(&parking);
}

struct coming *flight_coming(struct vivo_flow *f, vivo_row row)
{
    const struct flight_key key = {FLIGHT_OBJECT, VIVO_LEVEL_INSTANCE, row, 0};
    pthread_mutex_lock(&parking);
    struct vivo_flight *flight = find_locked(f, &key);
    struct coming *c = flight ? flight->coming : NULL;
    if (c)
        atomic_fetch_add(&c->refs, 1);
    pthread_mutex_unlock(&parking);
    return c;
}

void flight_unpin(struct vivo_flow *f, vivo_row row)
{
    pthread_mutex_lock(&parking);
    for (struct vivo_flight *fl = f->flights; fl; fl = fl->next)
        if (fl->key.kind == FLIGHT_OBJECT && fl->key.row == row)
            atomic_store(&fl->pin, false);
    pthread_mutex_unlock(&parking);
}

void flight_keep(struct vivo_flight *flight)
{
    pthread_mutex_lock(&parking);
    flight->keep = true;
    pthread_mutex_unlock(&parking);
}

static bool is_there(const struct coming *c, uint64_t wants)
{
    return c && wants &&
           (wants <= atomic_load(&c->high) || atomic_load(&c->state) == COMING_WHOLE);
}

/* After whoever brings it has said how much there is: one of the two sees the other. */
void flight_wake(struct vivo_flight *flight, uint64_t there)
{
    struct vivo_op *woken = NULL;
    uint64_t least = UINT64_MAX;
    if (there < atomic_load(&flight->wanted))
        return;
    pthread_mutex_lock(&parking);
    for (struct vivo_op **at = &flight->waiters; *at;) {
        struct vivo_op *op = *at;
        if (!op->wants || op->wants > there) {
            least = op->wants ? VIVO_MIN(least, op->wants) : least;
            at = &op->next;
            continue;
        }
        *at = op->next;
        op->flight = NULL;
        op->next = woken;
        woken = op;
    }
    atomic_store(&flight->wanted, least);
    pthread_mutex_unlock(&parking);
    while (woken) {
        struct vivo_op *op = woken;
        woken = op->next;
        op->next = NULL;
        op->landed(op);
    }
}

int flight_await(struct coming *c, uint64_t wants, struct vivo_op *op)
{
    pthread_mutex_lock(&parking);
    struct vivo_flight *flight = c->flight;
    op->wants = wants;
    if (flight)
        park_locked(flight, op);
    bool ready = !flight || (is_there(c, wants) && unpark_locked(flight, op));
    pthread_mutex_unlock(&parking);
    return ready ? 0 : -EAGAIN;
}

bool flight_ride(struct coming *c)
{
    pthread_mutex_lock(&parking);
    struct vivo_flight *flight = c->flight;
    if (flight)
        flight->riders++;
    pthread_mutex_unlock(&parking);
    return flight != NULL;
}

void flight_leave(struct coming *c)
{
    pthread_mutex_lock(&parking);
    struct vivo_flight *flight = c->flight;
    bool last = flight && --flight->riders == 0;
    bool abandoned = last && abandon_locked(flight);
    pthread_mutex_unlock(&parking);
    if (abandoned)
        finish_abandoning(flight, true);
}

static void fly(struct vivo_flight *flight)
{
    int rc = vivo_op_check(&flight->op);
    if (!rc)
        rc = flight->run(flight);
    if (rc == FLIGHT_ALOFT)
        return;
    if (!rc)
        vivo_err_clear(&flight->op.err);
    flight_land(flight, &flight->op.err);
}

/* A flight may have two jobs; whichever comes first runs it. */
static void run_job(void *ctx)
{
    struct vivo_flight *flight = ctx;
    pthread_mutex_lock(&parking);
    bool mine = !flight->begun;
    flight->begun = true;
    pthread_mutex_unlock(&parking);
    if (mine)
        fly(flight);
    unref(flight);
}

static struct vivo_flight *make(struct vivo_flow *f, const struct flight_plan *plan)
{
    struct vivo_flight *flight = calloc(1, sizeof *flight);
    if (!flight)
        return NULL;
    flight->flow = f;
    flight->key = plan->key;
    flight->keep = plan->keep;
    atomic_init(&flight->pin, plan->pin);
    atomic_init(&flight->rides, false);
    atomic_init(&flight->heard, false);
    atomic_init(&flight->wanted, UINT64_MAX);
    flight->run = plan->run;
    flight->cancel = plan->cancel;
    flight->drop = plan->drop;
    flight->ctx = plan->ctx;
    flight->refs = 1;
    vivo_op_init(&flight->op, 0);
    flight->began_ms = vivo_now_ms();
    atomic_store(&flight->progress_ms, flight->began_ms);
    return flight;
}

static void discard_plan(const struct flight_plan *plan)
{
    struct vivo_flight none = {.ctx = plan->ctx};
    if (plan->drop)
        plan->drop(&none);
}

/* Puts op on the flight of this key, making it when there is none. *start: it must
 * be given to the pool, for the first time or because now somebody waits for it. */
static int board(struct vivo_flow *f, const struct flight_plan *plan,
                 struct vivo_op *op, struct vivo_flight **start)
{
    struct vivo_flight *fresh = make(f, plan);
    if (!fresh)
        return -ENOMEM;
    pthread_mutex_lock(&parking);
    struct vivo_flight *flight = find_locked(f, &plan->key);
    if (flight) {
        flight->keep = flight->keep || plan->keep;
        if (plan->pin)
            atomic_store(&flight->pin, true);
    } else {
        flight = fresh;
        fresh = NULL;
        flight->next = f->flights;
        f->flights = flight;
        *start = flight;
    }
    if (op && !flight->begun && !flight->urgent)
        *start = flight;
    if (*start) {
        flight->refs++;
        flight->urgent = op || plan->urgent;
    }
    if (op)
        park_locked(flight, op);
    bool ready = op && is_there(flight->coming, op->wants) && unpark_locked(flight, op);
    pthread_mutex_unlock(&parking);
    if (ready)
        op->landed(op);
    if (fresh) {
        discard_plan(plan);
        free(fresh);
    }
    return 0;
}

struct rendezvous { /* a blocking caller */
    struct vivo_op op;
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    bool landed; /* guarded by mutex */
};

static void meet(struct vivo_op *op)
{
    struct rendezvous *r = (struct rendezvous *)op; /* first member */
    pthread_mutex_lock(&r->mutex);
    r->landed = true;
    pthread_cond_signal(&r->cond);
    pthread_mutex_unlock(&r->mutex);
}

static bool wait_landed(struct rendezvous *r, int ms)
{
    pthread_mutex_lock(&r->mutex);
    if (!r->landed)
        vivo_wait_ms(&r->cond, &r->mutex, ms);
    bool landed = r->landed;
    pthread_mutex_unlock(&r->mutex);
    return landed;
}

/* With a reference, which becomes the job's. What somebody waits for goes before what
 * is fetched in the background. */
static void give_to_pool(struct vivo_flight *flight, bool urgent)
{
    int (*give)(struct vivo_pool *, vivo_job_fn *, void *) =
        urgent ? vivo_pool_run_first : vivo_pool_run;
    if (!flight || !give(flight->flow->pool, run_job, flight))
        return;
    pthread_mutex_lock(&parking);
    bool mine = !flight->begun;
    flight->begun = true;
    pthread_mutex_unlock(&parking);
    if (mine) {
        vivo_fail(&flight->op.err, ENOMEM, "no thread can be started");
        flight_land(flight, &flight->op.err);
    }
    unref(flight);
}

void flight_again(struct vivo_flight *flight)
{
    pthread_mutex_lock(&parking);
    flight->begun = false;
    flight->refs++;
    bool urgent = flight->urgent = flight->waiters != NULL;
    pthread_mutex_unlock(&parking);
    give_to_pool(flight, urgent);
}

static int join_blocking(struct vivo_flow *f, const struct flight_plan *plan,
                         struct vivo_op *op)
{
    struct rendezvous r;
    vivo_op_init(&r.op, 0);
    r.op.landed = meet;
    r.landed = false;
    pthread_mutex_init(&r.mutex, NULL);
    pthread_cond_init(&r.cond, NULL);
    struct vivo_flight *start = NULL;
    if (board(f, plan, &r.op, &start))
        return vivo_fail(&op->err, ENOMEM, "out of memory");
    give_to_pool(start, true);
    bool told = false;
    while (!wait_landed(&r, 100)) {
        if (told || !vivo_op_check(op))
            continue;
        told = true;
        vivo_flow_interrupt(&r.op);
    }
    pthread_cond_destroy(&r.cond);
    pthread_mutex_destroy(&r.mutex);
    if (!told)
        op->err = r.op.err;
    return -op->err.errnum;
}

int flight_join(struct vivo_flow *f, const struct flight_plan *plan, struct vivo_op *op)
{
    if (op && !op->landed)
        return join_blocking(f, plan, op);
    struct vivo_flight *start = NULL;
    if (board(f, plan, op, &start))
        return op ? vivo_fail(&op->err, ENOMEM, "out of memory") : -ENOMEM;
    give_to_pool(start, op || plan->urgent);
    return -EAGAIN;
}

/* Takes op off its flight, whatever the reason, and lands it by itself. */
static void take_off(struct vivo_op *op, struct vivo_flight *only, int errnum,
                     const char *why)
{
    pthread_mutex_lock(&parking);
    struct vivo_flight *flight = op->flight;
    bool mine = flight && (!only || flight == only) && unpark_locked(flight, op);
    bool abandoned = mine && abandon_locked(flight);
    pthread_mutex_unlock(&parking);
    if (!mine)
        return;
    finish_abandoning(flight, abandoned);
    vivo_fail(&op->err, errnum, "%s", why);
    op->landed(op);
}

void vivo_flow_interrupt(struct vivo_op *op)
{
    take_off(op, NULL, EINTR, "cancelled");
}

void flight_progress(struct vivo_flight *flight, uint64_t bytes)
{
    int64_t now = vivo_now_ms();
    atomic_store_explicit(&flight->progress_ms, now, memory_order_relaxed);
    atomic_store_explicit(&flight->flow->heard_ms, now, memory_order_relaxed);
    atomic_store_explicit(&flight->heard, true, memory_order_relaxed);
    atomic_fetch_add_explicit(&flight->bytes, bytes, memory_order_relaxed);
}

/* An archive of ten million instances is not silent while they are being counted. */
static int64_t heard_locked(const struct vivo_flight *fl, int64_t now)
{
    return atomic_load(&fl->ours) ? now : atomic_load(&fl->progress_ms);
}

static int64_t latest_locked(const struct vivo_flow *f, int64_t now)
{
    int64_t latest = 0;
    for (const struct vivo_flight *fl = f->flights; fl; fl = fl->next)
        latest = VIVO_MAX(latest, heard_locked(fl, now));
    return latest;
}

/* When the archive was last heard of by who waits for this flight. */
static int64_t heard_of(struct vivo_flow *f, const struct vivo_flight *fl, int64_t now,
                        int64_t latest)
{
    int64_t own = heard_locked(fl, now);
    /* Queries, and who rides with a bundle, hear of it through other flights. When the
     * bundle is what fell silent, its driver ends it, and riders then go alone. */
    if (atomic_load(&fl->rides))
        return latest + f->timeout_ms;
    if (fl->key.kind == FLIGHT_SELECT)
        return latest;
    /* So does who may still be waiting for his turn, for a thread or for a connection:
     * a request that is not answered is for the driver to end. */
    if (!f->local && !atomic_load(&fl->heard))
        return VIVO_MAX(own, atomic_load(&f->heard_ms));
    return own;
}

/* The first waiter that is late is taken off its list; the caller goes on until there
 * is none. */
static struct vivo_op *late_locked(struct vivo_flow *f, int64_t now,
                                   struct vivo_flight **flight, bool *abandoned)
{
    int64_t latest = latest_locked(f, now);
    for (struct vivo_flight *fl = f->flights; fl; fl = fl->next) {
        int64_t heard = heard_of(f, fl, now, latest);
        bool silent = fl->key.kind != FLIGHT_WORK && now > heard + f->timeout_ms;
        for (struct vivo_op *op = fl->waiters; op; op = op->next) {
            if (!silent && !(op->deadline_ms && now > op->deadline_ms))
                continue;
            *flight = fl;
            unpark_locked(fl, op);
            *abandoned = abandon_locked(fl);
            return op;
        }
    }
    return NULL;
}

void flight_tick(struct vivo_flow *f)
{
    for (;;) {
        struct vivo_flight *flight = NULL;
        bool abandoned = false;
        pthread_mutex_lock(&parking);
        struct vivo_op *op = late_locked(f, vivo_now_ms(), &flight, &abandoned);
        pthread_mutex_unlock(&parking);
        if (!op)
            return;
        finish_abandoning(flight, abandoned);
        vivo_fail(&op->err, ETIMEDOUT, "%s: the archive has been silent for %lld s",
                  f->name, (long long)(f->timeout_ms / 1000));
        flow_failed(f, &op->err);
        op->landed(op);
    }
}

void flight_cancel_all(struct vivo_flow *f)
{
    pthread_mutex_lock(&parking);
    for (struct vivo_flight *fl = f->flights; fl; fl = fl->next)
        atomic_store(&fl->op.cancelled, true);
    pthread_mutex_unlock(&parking);
}

void flight_status(struct vivo_flow *f, struct vivo_flow_status *out)
{
    pthread_mutex_lock(&parking);
    for (struct vivo_flight *fl = f->flights; fl; fl = fl->next) {
        out->flights++;
        if (fl->key.kind == FLIGHT_LIST && fl->key.level == VIVO_LEVEL_NONE) {
            out->scan_seen = atomic_load(&fl->seen);
            out->scan_read = atomic_load(&fl->things);
        }
    }
    pthread_mutex_unlock(&parking);
}

static const char *kind_word(enum flight_kind kind)
{
    static const char *const words[] = {
        [FLIGHT_NONE] = "",           [FLIGHT_LIST] = "list",
        [FLIGHT_HEADERS] = "headers", [FLIGHT_OBJECT] = "fetch",
        [FLIGHT_SEARCH] = "search",   [FLIGHT_DESCRIBE] = "describe",
        [FLIGHT_PREPARE] = "list",    [FLIGHT_BUNDLE] = "bundle",
        [FLIGHT_WORK] = "work",       [FLIGHT_SELECT] = "query"};
    return words[kind];
}

int vivo_flow_flights_json(struct vivo_flow *f, struct vivo_buf *out)
{
    int rc = 0;
    int64_t now = vivo_now_ms();
    bool first = true;
    pthread_mutex_lock(&parking);
    for (struct vivo_flight *fl = f->flights; fl && !rc; fl = fl->next) {
        rc = vivo_buf_printf(
            out,
            "%s{\"archive\":\"%s\",\"kind\":\"%s\",\"level\":\"%s\",\"row\":%lld,"
            "\"ms\":%lld,\"bytes\":%llu,\"things\":%llu,\"of\":%llu}",
            first ? "" : ",", f->name, kind_word(fl->key.kind),
            vivo_level_name(fl->key.level), (long long)fl->key.row,
            (long long)(now - fl->began_ms),
            (unsigned long long)atomic_load(&fl->bytes),
            (unsigned long long)atomic_load(&fl->things),
            (unsigned long long)atomic_load(&fl->seen));
        first = false;
    }
    pthread_mutex_unlock(&parking);
    return rc;
}
