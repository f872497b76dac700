/* SPDX-License-Identifier: Apache-2.0 */
/* src/flow/learn.c -- what a query needs to know before its answer is complete.
 *
 * The catalog says which listings and which headers are missing (vivo_pending). They
 * are ordinary flights, shared with everybody else who wants them; a gathering is
 * a flight without a job that waits, parked, on a window of them, and looks again
 * when all have landed. So no pool thread ever waits for another flight. */
#include "flow/internal.h"

#include <errno.h>
#include <string.h>

enum { WINDOW = 16, ROUNDS_MAX = 64 };

struct gather;

struct slot {
    struct vivo_op op; /* first: landed() gets back here */
    struct gather *g;
    bool busy; /* guarded by g->mutex */
};

struct gather {
    struct vivo_flight *flight;
    enum vivo_level level;
    vivo_row row;
    struct vivo_query *query;
    pthread_mutex_t mutex;
    struct vivo_selection *sel; /* guarded by mutex; holds what is pending */
    size_t next;                /* guarded by mutex: first pending not begun */
    size_t active;              /* guarded by mutex */
    unsigned round;             /* guarded by mutex */
    bool starting, again;       /* guarded by mutex: one thread at a time starts */
    struct vivo_err err;        /* guarded by mutex: the first failure */
    struct slot slots[WINDOW];
};

static int begin_learning(struct vivo_flow *f, const struct vivo_pending *p,
                          struct vivo_op *op)
{
    if (!p->headers)
        return vivo_flow_list(f, p->level, p->row, op);
    if (!(f->archive->driver->caps & VIVO_CAP_HEADERS))
        return vivo_fail(&op->err, EIO, "%s: gives no headers", f->name);
    struct flight_plan plan = {
        .key = {.kind = FLIGHT_HEADERS, .level = VIVO_LEVEL_SERIES, .row = p->row},
        .run = scan_run_headers,
    };
    return flight_join(f, &plan, op);
}

static void go_on_locked(struct gather *g);

/* What could not be learned makes the whole answer fail, and never look like "nothing
 * there" (DESIGN A5): an archive that misses a series it has listed is EIO. */
static int verdict_of(int errnum)
{
    bool told = errnum == EINTR || errnum == ETIMEDOUT || errnum == EACCES;
    return told ? errnum : EIO;
}

/* One of the window has its verdict. */
static void settle_locked(struct slot *slot)
{
    struct gather *g = slot->g;
    if (slot->op.err.errnum && !g->err.errnum) {
        g->err = slot->op.err;
        g->err.errnum = verdict_of(g->err.errnum);
    }
    slot->busy = false;
    g->active--;
}

static void child_landed(struct vivo_op *op)
{
    struct slot *slot = (struct slot *)op; /* first member */
    struct gather *g = slot->g;
    pthread_mutex_lock(&g->mutex);
    settle_locked(slot);
    go_on_locked(g);
}

static struct slot *free_slot_locked(struct gather *g)
{
    for (size_t i = 0; i < WINDOW; i++)
        if (!g->slots[i].busy)
            return &g->slots[i];
    return NULL;
}

/* The next thing to learn and a slot for it, or false: nothing to begin now. */
static bool next_locked(struct gather *g, struct slot **slot, struct vivo_pending *what)
{
    size_t n;
    const struct vivo_pending *pending = vivo_selection_pending(g->sel, &n);
    *slot = free_slot_locked(g);
    if (!*slot || g->err.errnum || g->next >= n ||
        atomic_load(&g->flight->op.cancelled))
        return false;
    *what = pending[g->next++];
    vivo_op_init(&(*slot)->op, 0);
    (*slot)->op.landed = child_landed;
    (*slot)->g = g;
    (*slot)->busy = true;
    g->active++;
    return true;
}

/* All of a round has landed: is anything still missing? *err says why not, if so. */
static bool next_round_locked(struct gather *g, struct vivo_err *err)
{
    struct vivo_flow *f = g->flight->flow;
    size_t n = 0;
    if (g->err.errnum)
        *err = g->err;
    else if (atomic_load(&g->flight->op.cancelled))
        vivo_fail(err, EINTR, "cancelled");
    else if (g->round++ >= ROUNDS_MAX)
        vivo_fail(err, EIO, "%s: what it lists keeps changing", f->name);
    if (err->errnum)
        return false;
    vivo_selection_unref(g->sel);
    g->sel = NULL;
    if (vivo_catalog_select(f->catalog, g->level, g->row, g->query, &g->sel, err))
        return false;
    g->next = 0;
    vivo_selection_pending(g->sel, &n);
    return n > 0;
}

/* Begins what can be begun; ends the gathering when nothing is left. Called with the
 * mutex, which it gives back, whenever a child has landed; the `starting` flag makes a
 * loop of what would recurse. */
static void go_on_locked(struct gather *g)
{
    struct vivo_err err = {0};
    bool done = false;
    g->again = true;
    bool mine = !g->starting;
    g->starting = true;
    while (mine && g->again) {
        struct slot *slot;
        struct vivo_pending what;
        g->again = false;
        while (next_locked(g, &slot, &what)) {
            pthread_mutex_unlock(&g->mutex);
            int rc = begin_learning(g->flight->flow, &what, &slot->op);
            pthread_mutex_lock(&g->mutex);
            if (rc != -EAGAIN)
                settle_locked(slot);
        }
        if (g->active)
            continue;
        g->again = next_round_locked(g, &err);
        done = !g->again;
    }
    if (mine)
        g->starting = false;
    pthread_mutex_unlock(&g->mutex);
    if (done)
        flight_land(g->flight, &err);
}

static int run_gather(struct vivo_flight *flight)
{
    struct gather *g = flight->ctx;
    g->flight = flight;
    int rc = vivo_catalog_select(flight->flow->catalog, g->level, g->row, g->query,
                                 &g->sel, &flight->op.err);
    if (rc)
        return rc;
    pthread_mutex_lock(&g->mutex);
    go_on_locked(g);
    return FLIGHT_ALOFT;
}

/* The last waiter is gone: children that fly for nobody else are cancelled too. */
static void cancel_gather(struct vivo_flight *flight)
{
    struct gather *g = flight->ctx;
    bool busy[WINDOW];
    pthread_mutex_lock(&g->mutex);
    for (size_t i = 0; i < WINDOW; i++)
        busy[i] = g->slots[i].busy;
    pthread_mutex_unlock(&g->mutex);
    for (size_t i = 0; i < WINDOW; i++)
        if (busy[i])
            vivo_flow_interrupt(&g->slots[i].op);
}

static void drop_gather(struct vivo_flight *flight)
{
    struct gather *g = flight->ctx;
    vivo_selection_unref(g->sel);
    vivo_query_unref(g->query);
    pthread_mutex_destroy(&g->mutex);
    free(g);
}

static struct gather *new_gather(enum vivo_level level, vivo_row row,
                                 struct vivo_query *q)
{
    struct gather *g = calloc(1, sizeof *g);
    if (!g)
        return NULL;
    g->level = level;
    g->row = row;
    g->query = vivo_query_ref(q);
    pthread_mutex_init(&g->mutex, NULL);
    return g;
}

static uint64_t digest_of(const struct vivo_query *q)
{
    uint8_t digest[VIVO_DIGEST_LEN];
    uint64_t out;
    const char *text = vivo_query_text(q);
    vivo_sha256(text, strlen(text), digest);
    memcpy(&out, digest, sizeof out);
    return out;
}

int vivo_flow_select(struct vivo_flow *f, enum vivo_level level, vivo_row row,
                     struct vivo_query *q, struct vivo_selection **out,
                     struct vivo_op *op)
{
    int rc = vivo_flow_list(f, VIVO_LEVEL_NONE, 0, op);
    if (rc)
        return rc;
    struct vivo_selection *sel = NULL;
    rc = vivo_catalog_select(f->catalog, level, row, q, &sel, &op->err);
    if (rc)
        return rc;
    size_t n;
    vivo_selection_pending(sel, &n);
    if (!n) {
        *out = sel;
        return 0;
    }
    vivo_selection_unref(sel);
    if (f->offline)
        return vivo_fail(&op->err, EIO, "%s: %zu things are not known, and offline",
                         f->name, n);
    struct gather *g = new_gather(level, row, q);
    if (!g)
        return vivo_fail(&op->err, ENOMEM, "out of memory");
    struct flight_plan plan = {
        .key = {FLIGHT_SELECT, level, row, digest_of(q)},
        .run = run_gather,
        .ctx = g,
        .cancel = cancel_gather,
        .drop = drop_gather,
    };
    rc = flight_join(f, &plan, op);
    if (rc)
        return rc;
    /* A blocking caller comes here when all has been learned. */
    return vivo_catalog_select(f->catalog, level, row, q, out, &op->err);
}
