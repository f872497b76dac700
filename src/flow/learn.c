/* SPDX-License-Identifier: Apache-2.0 */
/* src/flow/learn.c -- what a query needs to know before its answer is complete.
 *
 * The catalog says which listings and which headers are missing (vivo_pending). They
 * are ordinary flights, shared with everybody else who wants them; a gathering is
 * a flight without a job that waits, parked, on a window of them, and looks again
 * when all have landed. So no pool thread ever waits for another flight. */
#include "flow/internal.h"
#include "flow/push.h"

#include <errno.h>
#include <string.h>

enum { WINDOW = 16, ROUNDS_MAX = 64, PENDING_MAX = 2 * PLAN_SEARCHES_MAX };

struct gather;

/* What archives are asked for many at once, before anything is asked for alone: what
 * listings need (prepare.c), columns of series (describe.c). */
enum wave_kind { WAVE_PREPARE, WAVE_DESCRIBE, WAVES };
struct wave {
    vivo_row *rows; /* asked for, each once; the first `before` in earlier rounds */
    size_t n, before;
};
static const size_t wave_max[WAVES] = {
    [WAVE_PREPARE] = VIVO_PREPARE_MAX,
    [WAVE_DESCRIBE] = VIVO_DESCRIBE_MAX,
};

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
    unsigned members;         /* as in vivo_scope */
    struct plan *plan;        /* NULL = nothing can be searched for */
    uint64_t requests, bytes; /* of the archive, when it began */
    pthread_mutex_t mutex;
    const struct plan_search **todo; /* guarded by mutex: searches of this round */
    size_t ntodo;                    /* guarded by mutex; they come before pending */
    struct vivo_selection *sel;      /* guarded by mutex; holds what is pending */
    size_t next;                     /* guarded by mutex: first pending not begun */
    size_t active;                   /* guarded by mutex */
    bool describes;                  /* columns in a table would help */
    bool dear;                       /* guarded by mutex: headers were priced */
    struct wave waves[WAVES];        /* guarded by mutex */
    unsigned round;                  /* guarded by mutex */
    bool starting, again;            /* guarded by mutex: one thread at a time starts */
    struct vivo_err err;             /* guarded by mutex: the first failure */
    struct slot slots[WINDOW];
};

struct task {                         /* one thing to learn */
    const struct plan_search *search; /* or NULL: what is pending */
    const vivo_row *rows;             /* or NULL: of a wave */
    size_t nrows;
    enum wave_kind wave;
    struct vivo_pending pending;
};

static int join_headers(struct vivo_flow *f, vivo_row series, struct vivo_op *op)
{
    struct flight_plan plan = {
        .key = {.kind = FLIGHT_HEADERS, .level = VIVO_LEVEL_SERIES, .row = series},
        .run = scan_run_headers,
    };
    return flight_join(f, &plan, op);
}

int vivo_flow_headers(struct vivo_flow *f, vivo_row series, struct vivo_op *op)
{
    struct vivo_entry e = {0};
    int rc = vivo_catalog_get(f->catalog, VIVO_LEVEL_SERIES, series, flow_copy_entry,
                              &e, &op->err);
    if (rc || e.headers || !(f->archive->driver->caps & VIVO_CAP_HEADERS))
        return rc;
    if (f->offline)
        return vivo_fail(&op->err, EIO, "%s: headers are not known, and offline",
                         f->name);
    return join_headers(f, series, op);
}

static int begin_learning(struct vivo_flow *f, const struct task *task,
                          struct vivo_op *op)
{
    const struct vivo_pending *p = &task->pending;
    if (task->search)
        return push_search(f, task->search, op);
    if (task->rows && task->wave == WAVE_PREPARE)
        return prepare_listings(f, f->archive->driver->prepares, task->rows,
                                task->nrows, op);
    if (task->rows)
        return describe_series(f, task->rows, task->nrows, op);
    if (!p->headers)
        return vivo_flow_list(f, p->level, p->row, op);
    if (!(f->archive->driver->caps & VIVO_CAP_HEADERS))
        return vivo_fail(&op->err, EIO, "%s: gives no headers", f->name);
    return join_headers(f, p->row, op);
}

static void go_on_locked(struct gather *g);

uint64_t query_digest(const struct vivo_query *q)
{
    uint8_t digest[VIVO_DIGEST_LEN];
    uint64_t out;
    const char *text = vivo_query_text(q);
    vivo_sha256(text, strlen(text), digest);
    memcpy(&out, digest, sizeof out);
    return out;
}

/* What the query came to, for .explain. Others may have asked at the same time. */
static void remember_cost(const struct gather *g)
{
    struct vivo_flow *f = g->flight->flow;
    struct query_cost cost = {
        .digest = query_digest(g->query),
        .requests = atomic_load(&f->archive->requests) - g->requests,
        .bytes = atomic_load(&f->archive->bytes) - g->bytes,
        .ms = vivo_now_ms() - g->flight->began_ms,
        .known = true,
    };
    pthread_mutex_lock(&f->mutex);
    f->costs[cost.digest % COSTS] = cost;
    f->asked += cost.requests;
    f->brought += cost.bytes;
    pthread_mutex_unlock(&f->mutex);
}

/* What could not be learned makes the whole answer fail, and never look like "nothing
 * there" (DESIGN A5): an archive that misses a series it has listed is EIO. */
static int verdict_of(int errnum)
{
    bool told =
        errnum == EINTR || errnum == ETIMEDOUT || errnum == EACCES || errnum == EPERM;
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
    /* The archive had not been asked for any yet when the round was planned. */
    if (!g->dear && !g->err.errnum && headers_are_dear(g->flight->flow)) {
        g->dear = true;
        check_headers_cost(g->flight->flow, g->sel, &g->err);
    }
    slot->busy = false;
    g->active--;
    atomic_fetch_add_explicit(&g->flight->things, 1, memory_order_relaxed);
    flight_progress(g->flight, 0);
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

/* The wave of this round; WAVES: there is none. */
static enum wave_kind wave_locked(const struct gather *g)
{
    enum wave_kind w = WAVE_PREPARE;
    while (w < WAVES && g->waves[w].n == g->waves[w].before)
        w++;
    return w;
}

/* How many things this round has: searches, or requests of a wave, or else what is
 * pending. */
static size_t count_locked(const struct gather *g)
{
    enum wave_kind w = wave_locked(g);
    size_t n;
    if (g->ntodo)
        return g->ntodo;
    if (w < WAVES)
        return (g->waves[w].n - g->waves[w].before + wave_max[w] - 1) / wave_max[w];
    vivo_selection_pending(g->sel, &n);
    return n;
}

/* The next thing to learn and a slot for it, or false: nothing to begin now. */
static bool next_locked(struct gather *g, struct slot **slot, struct task *what)
{
    size_t n;
    const struct vivo_pending *pending = vivo_selection_pending(g->sel, &n);
    enum wave_kind w = wave_locked(g);
    *slot = free_slot_locked(g);
    if (!*slot || g->err.errnum || g->next >= count_locked(g) ||
        atomic_load(&g->flight->op.cancelled))
        return false;
    *what = (struct task){0};
    if (g->ntodo) {
        what->search = g->todo[g->next++];
    } else if (w < WAVES) {
        size_t from = g->waves[w].before + g->next++ * wave_max[w];
        what->wave = w;
        what->rows = g->waves[w].rows + from;
        what->nrows = VIVO_MIN(g->waves[w].n - from, wave_max[w]);
    } else {
        what->pending = pending[g->next++];
    }
    vivo_op_init(&(*slot)->op, 0);
    (*slot)->op.landed = child_landed;
    (*slot)->g = g;
    (*slot)->busy = true;
    g->active++;
    return true;
}

static int select_now(struct vivo_flow *f, struct gather *g, struct vivo_err *err)
{
    struct push_scope known = {0};
    int rc = push_scope_make(f, g->plan, g->members, &known, err);
    if (rc)
        return rc;
    vivo_selection_unref(g->sel);
    g->sel = NULL;
    rc = vivo_catalog_select(f->catalog, g->level, g->row, g->query, &known.scope,
                             &g->sel, err);
    push_scope_free(&known);
    return rc;
}

static int compare_rows(const void *a, const void *b)
{
    vivo_row x = *(const vivo_row *)a;
    vivo_row y = *(const vivo_row *)b;
    return (x > y) - (x < y);
}

/* Is it asked for by this wave first? */
static bool joins(const struct gather *g, enum wave_kind w,
                  const struct vivo_pending *p)
{
    if (w == WAVE_DESCRIBE)
        return g->describes && p->headers;
    return !p->headers && prepare_helps(g->flight->flow, p->level);
}

/* Of what is pending each is asked for so once; a few listings are as cheap alone. */
static void plan_wave_locked(struct gather *g, enum wave_kind w)
{
    size_t n;
    const struct vivo_pending *p = vivo_selection_pending(g->sel, &n);
    struct wave *v = &g->waves[w];
    if (v->n)
        qsort(v->rows, v->n, sizeof *v->rows, compare_rows);
    vivo_row *rows = realloc(v->rows, (v->n + n + 1) * sizeof *rows);
    if (!rows) /* listings and headers tell the same */
        return;
    v->rows = rows;
    for (size_t i = 0; i < n; i++)
        if (joins(g, w, &p[i]) && !(v->before && bsearch(&p[i].row, rows, v->before,
                                                         sizeof *rows, compare_rows)))
            rows[v->n++] = p[i].row;
    if (w == WAVE_PREPARE && v->n - v->before < PREPARE_WORTH)
        v->n = v->before;
}

static void plan_waves_locked(struct gather *g)
{
    for (enum wave_kind w = WAVE_PREPARE; w < WAVES; w++)
        g->waves[w].before = g->waves[w].n;
    for (enum wave_kind w = WAVE_PREPARE; w < WAVES && !g->ntodo; w++) {
        plan_wave_locked(g, w);
        if (wave_locked(g) < WAVES)
            return;
    }
}

/* What of a new round is to be learned. Searches are made once: what they do not tell
 * is listed. */
static bool plan_round_locked(struct gather *g, struct vivo_err *err)
{
    g->next = 0;
    g->dear = headers_are_dear(g->flight->flow);
    g->ntodo = g->round ? 0
                        : push_todo(g->flight->flow, g->plan, g->sel, g->todo,
                                    g->todo ? PENDING_MAX : 0);
    plan_waves_locked(g);
    /* What is asked for now are headers, and all that were needed before are known. */
    if (!g->ntodo && wave_locked(g) == WAVES &&
        check_headers_cost(g->flight->flow, g->sel, err))
        return false;
    size_t n = count_locked(g);
    atomic_fetch_add_explicit(&g->flight->seen, n, memory_order_relaxed);
    return n > 0;
}

/* All of a round has landed: is anything still missing? *err says why not, if so. */
static bool next_round_locked(struct gather *g, struct vivo_err *err)
{
    struct vivo_flow *f = g->flight->flow;
    if (g->err.errnum)
        *err = g->err;
    else if (atomic_load(&g->flight->op.cancelled))
        vivo_fail(err, EINTR, "cancelled");
    else if (g->round++ >= ROUNDS_MAX)
        vivo_fail(err, EIO, "%s: what it lists keeps changing", f->name);
    if (err->errnum || select_now(f, g, err))
        return false;
    return plan_round_locked(g, err);
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
        struct task what;
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
    if (!done)
        return;
    if (!err.errnum)
        remember_cost(g);
    flight_land(g->flight, &err);
}

static int run_gather(struct vivo_flight *flight)
{
    struct gather *g = flight->ctx;
    struct vivo_flow *f = flight->flow;
    g->flight = flight;
    g->requests = atomic_load(&f->archive->requests);
    g->bytes = atomic_load(&f->archive->bytes);
    int rc = select_now(f, g, &flight->op.err);
    if (rc)
        return rc;
    pthread_mutex_lock(&g->mutex);
    bool dear = !plan_round_locked(g, &flight->op.err) && flight->op.err.errnum;
    if (dear) {
        pthread_mutex_unlock(&g->mutex);
        return -flight->op.err.errnum;
    }
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
    plan_free(g->plan);
    free(g->todo);
    for (enum wave_kind w = WAVE_PREPARE; w < WAVES; w++)
        free(g->waves[w].rows);
    pthread_mutex_destroy(&g->mutex);
    free(g);
}

/* Takes the plan over. */
static struct gather *new_gather(const struct vivo_flow *f, enum vivo_level level,
                                 vivo_row row, struct vivo_query *q, unsigned members,
                                 struct plan *plan)
{
    struct gather *g = calloc(1, sizeof *g);
    if (!g)
        return NULL;
    g->level = level;
    g->row = row;
    g->query = vivo_query_ref(q);
    g->describes = describe_helps(f, q);
    g->members = members;
    g->plan = plan;
    /* Without memory for it nothing is searched, and all is listed. */
    g->todo = plan ? calloc(PENDING_MAX, sizeof(struct plan_search *)) : NULL;
    pthread_mutex_init(&g->mutex, NULL);
    return g;
}

static bool is_narrow(const struct plan_search *s)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->matches[i].tag == VIVO_TAG_StudyDate ||
            s->matches[i].tag == VIVO_TAG_PatientID ||
            s->matches[i].tag == VIVO_TAG_AccessionNumber)
            return true;
    return false;
}

/* With browse=no every way to an object of the answer goes through a condition that a
 * production system answers from an index. */
static int check_narrow(const struct vivo_flow *f, const struct plan *plan,
                        struct vivo_err *err)
{
    bool narrow = plan != NULL;
    for (size_t i = 0; narrow && i < plan->npasses; i++) {
        narrow = plan->passes[i].covered;
        const struct plan_search *s = plan->passes[i].first;
        for (; narrow && s; s = s->next)
            narrow = is_narrow(s);
    }
    if (narrow)
        return 0;
    return vivo_fail(err, EPERM,
                     "%s: browse=no: a query needs StudyDate, PatientID or "
                     "AccessionNumber, of those that the de-identification shows as "
                     "they are",
                     f->name);
}

/* The top is listed before anything is asked of it, unless the archive can be asked
 * for what matches. A list of collections is short, and what is in one can be listed
 * only when it is known. */
static int list_top(struct vivo_flow *f, const struct plan *plan, struct vivo_op *op)
{
    struct vivo_entry e = {0};
    bool short_top = f->archive->driver->lists & 1u << VIVO_LEVEL_COLLECTION;
    if (f->closed)
        return 0;
    if (plan && !short_top &&
        !vivo_catalog_get(f->catalog, VIVO_LEVEL_NONE, 0, flow_copy_entry, &e, NULL) &&
        !e.listed)
        return 0;
    return vivo_flow_list(f, VIVO_LEVEL_NONE, 0, op);
}

static int select_known(struct vivo_flow *f, enum vivo_level level, vivo_row row,
                        struct vivo_query *q, unsigned members, const struct plan *plan,
                        struct vivo_selection **out, struct vivo_err *err)
{
    struct push_scope known = {0};
    int rc = push_scope_make(f, plan, members, &known, err);
    if (!rc)
        rc = vivo_catalog_select(f->catalog, level, row, q, &known.scope, out, err);
    push_scope_free(&known);
    return rc;
}

/* Joins the gathering that learns what is pending. Takes the plan over. */
static int gather(struct vivo_flow *f, enum vivo_level level, vivo_row row,
                  struct vivo_query *q, unsigned members, struct plan *plan,
                  struct vivo_op *op)
{
    struct gather *g = new_gather(f, level, row, q, members, plan);
    if (!g) {
        plan_free(plan);
        return vivo_fail(&op->err, ENOMEM, "out of memory");
    }
    struct flight_plan fp = {
        .key = {FLIGHT_SELECT, level, row, query_digest(q) + (members != 0)},
        .run = run_gather,
        .ctx = g,
        .cancel = cancel_gather,
        .drop = drop_gather,
    };
    return flight_join(f, &fp, op);
}

static int select_learning(struct vivo_flow *f, enum vivo_level level, vivo_row row,
                           struct vivo_query *q, unsigned members,
                           struct vivo_selection **out, struct vivo_op *op)
{
    struct vivo_selection *sel = NULL;
    struct plan *plan = push_plan(f, level, q);
    int rc = f->closed && level <= VIVO_LEVEL_COLLECTION
                 ? check_narrow(f, plan, &op->err)
                 : 0;
    if (!rc)
        rc = list_top(f, plan, op);
    if (!rc)
        rc = select_known(f, level, row, q, members, plan, &sel, &op->err);
    if (rc) {
        plan_free(plan);
        return rc;
    }
    size_t n;
    vivo_selection_pending(sel, &n);
    if (!n) {
        plan_free(plan);
        *out = sel;
        return 0;
    }
    vivo_selection_unref(sel);
    if (f->offline) {
        plan_free(plan);
        return vivo_fail(&op->err, EIO, "%s: %zu things are not known, and offline",
                         f->name, n);
    }
    rc = gather(f, level, row, q, members, plan, op);
    if (rc)
        return rc;
    /* A blocking caller comes here when all has been learned. */
    plan = push_plan(f, level, q);
    rc = select_known(f, level, row, q, members, plan, &sel, &op->err);
    plan_free(plan);
    if (rc)
        return rc;
    vivo_selection_pending(sel, &n);
    if (n) {
        vivo_selection_unref(sel);
        return vivo_fail(&op->err, EIO, "%s: what it lists keeps changing", f->name);
    }
    *out = sel;
    return 0;
}

int vivo_flow_select(struct vivo_flow *f, enum vivo_level level, vivo_row row,
                     struct vivo_query *q, struct vivo_selection **out,
                     struct vivo_op *op)
{
    return select_learning(f, level, row, q, 0, out, op);
}

int vivo_flow_select_members(struct vivo_flow *f, enum vivo_level level, vivo_row row,
                             struct vivo_query *q, struct vivo_selection **out,
                             struct vivo_op *op)
{
    return select_learning(f, level, row, q, f->archive->driver->lists, out, op);
}
