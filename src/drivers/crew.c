/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/crew.c -- see crew.h. */
#include "crew.h"

#include "vivofs/pool.h"

#include <errno.h>
#include <string.h>

#define THREADS_MAX 64u
#define WATCH_MS 50 /* how soon a cancelled listing is noticed */

struct worker {
    pthread_t thread;
    struct vivo_crew *crew;
    struct vivo_op op;
};

struct task {
    struct task *next;
    char text[];
};

struct vivo_crew {
    vivo_crew_fn *fn;
    void *ctx;
    size_t max_bytes;
    int64_t deadline_ms;
    pthread_mutex_t record_mutex; /* around in->record */

    pthread_mutex_t mutex;
    pthread_cond_t more, ended; /* a task has come or none will; a worker has left */
    struct task *tasks;         /* guarded by mutex, and all below */
    size_t bytes;               /* of tasks */
    unsigned busy, working, nworkers;
    int rc; /* of the first that failed */
    struct vivo_err err;
    struct worker workers[THREADS_MAX];
};

/* ---- the threads --------------------------------------------------------------- */

static void end_locked(struct vivo_crew *c, int rc, const struct vivo_err *err)
{
    if (c->rc == 0) {
        c->rc = rc;
        c->err = *err;
    }
    for (unsigned i = 0; i < c->nworkers; i++)
        atomic_store(&c->workers[i].op.cancelled, true);
    pthread_cond_broadcast(&c->more);
}

/* NULL: there will be no more. */
static struct task *next_task(struct vivo_crew *c)
{
    struct task *t = NULL;
    pthread_mutex_lock(&c->mutex);
    while (!c->tasks && c->busy > 0 && c->rc == 0)
        pthread_cond_wait(&c->more, &c->mutex);
    if (c->tasks && c->rc == 0) {
        t = c->tasks;
        c->tasks = t->next;
        c->bytes -= strlen(t->text) + 1 + sizeof *t;
        c->busy++;
    }
    pthread_mutex_unlock(&c->mutex);
    return t;
}

static void task_done(struct worker *w, int rc)
{
    struct vivo_crew *c = w->crew;
    pthread_mutex_lock(&c->mutex);
    c->busy--;
    if (rc)
        end_locked(c, rc, &w->op.err);
    else if (c->busy == 0 && !c->tasks)
        pthread_cond_broadcast(&c->more);
    pthread_mutex_unlock(&c->mutex);
}

static void *work(void *ctx)
{
    struct worker *w = ctx;
    struct vivo_crew *c = w->crew;
    struct task *t;
    pthread_setname_np(pthread_self(), "vivofs-crew");
    while ((t = next_task(c))) {
        int rc = vivo_op_check(&w->op);
        if (rc == 0)
            rc = c->fn(c, c->ctx, t->text, &w->op);
        free(t);
        task_done(w, rc);
    }
    pthread_mutex_lock(&c->mutex);
    c->working--;
    pthread_cond_broadcast(&c->ended);
    pthread_mutex_unlock(&c->mutex);
    return NULL;
}

static void start_locked(struct vivo_crew *c, unsigned threads)
{
    for (unsigned i = 0; i < VIVO_MIN(threads, THREADS_MAX); i++) {
        struct worker *w = &c->workers[i];
        w->crew = c;
        vivo_op_init(&w->op, 0);
        w->op.deadline_ms = c->deadline_ms;
        if (pthread_create(&w->thread, NULL, work, w) != 0)
            return;
        c->nworkers++;
        c->working++;
    }
}

/* ---- for callers --------------------------------------------------------------- */

int vivo_crew_add(struct vivo_crew *crew, const char *task, struct vivo_err *err)
{
    size_t len = strlen(task) + 1;
    struct task *t = malloc(sizeof *t + len);
    if (!t)
        return vivo_fail(err, ENOMEM, "listing: out of memory");
    memcpy(t->text, task, len);
    pthread_mutex_lock(&crew->mutex);
    bool fits = crew->bytes + len + sizeof *t <= crew->max_bytes;
    if (fits) {
        t->next = crew->tasks;
        crew->tasks = t;
        crew->bytes += len + sizeof *t;
        pthread_cond_signal(&crew->more);
    }
    pthread_mutex_unlock(&crew->mutex);
    if (fits)
        return 0;
    free(t);
    return vivo_fail(err, EIO, "more than %zu MiB of names wait to be looked at",
                     crew->max_bytes >> 20);
}

int vivo_crew_record(struct vivo_crew *crew, struct vivo_intake *in,
                     const struct vivo_record *rec, struct vivo_err *err)
{
    pthread_mutex_lock(&crew->record_mutex);
    pthread_mutex_lock(&crew->mutex);
    bool over = crew->rc != 0;
    pthread_mutex_unlock(&crew->mutex);
    int rc = over ? vivo_fail(err, EINTR, "the listing was ended")
                  : in->record(in, rec, err);
    if (rc && !over) {
        pthread_mutex_lock(&crew->mutex);
        end_locked(crew, rc, err);
        pthread_mutex_unlock(&crew->mutex);
    }
    pthread_mutex_unlock(&crew->record_mutex);
    return rc;
}

/* Waits for the workers, watching the op of the listing. */
static void wait_for_workers(struct vivo_crew *c, struct vivo_op *op)
{
    pthread_mutex_lock(&c->mutex);
    while (c->working > 0) {
        vivo_wait_ms(&c->ended, &c->mutex, WATCH_MS);
        if (c->rc)
            continue;
        int rc = vivo_op_check(op);
        if (rc)
            end_locked(c, rc, &op->err);
    }
    pthread_mutex_unlock(&c->mutex);
    for (unsigned i = 0; i < c->nworkers; i++)
        pthread_join(c->workers[i].thread, NULL);
}

static void free_crew(struct vivo_crew *c)
{
    for (struct task *t = c->tasks; t;) {
        struct task *next = t->next;
        free(t);
        t = next;
    }
    pthread_cond_destroy(&c->more);
    pthread_cond_destroy(&c->ended);
    pthread_mutex_destroy(&c->mutex);
    pthread_mutex_destroy(&c->record_mutex);
    free(c);
}

int vivo_crew_run(unsigned threads, size_t max_bytes, vivo_crew_fn *fn, void *ctx,
                  const char *first, struct vivo_op *op)
{
    struct vivo_crew *c = calloc(1, sizeof *c);
    if (!c)
        return vivo_fail(&op->err, ENOMEM, "listing: out of memory");
    c->fn = fn;
    c->ctx = ctx;
    c->max_bytes = max_bytes;
    c->deadline_ms = op->deadline_ms;
    pthread_mutex_init(&c->record_mutex, NULL);
    pthread_mutex_init(&c->mutex, NULL);
    pthread_cond_init(&c->more, NULL);
    pthread_cond_init(&c->ended, NULL);
    int rc = vivo_crew_add(c, first, &op->err);
    if (rc == 0) {
        pthread_mutex_lock(&c->mutex);
        start_locked(c, threads);
        pthread_mutex_unlock(&c->mutex);
        if (c->nworkers == 0)
            rc = vivo_fail(&op->err, ENOMEM, "listing: cannot start a thread");
    }
    if (rc == 0) {
        wait_for_workers(c, op);
        rc = c->rc;
        op->err = c->err;
    }
    free_crew(c);
    return rc;
}

/* ---- members of a series ------------------------------------------------------- */

static int add_member(struct vivo_intake *self, const struct vivo_record *rec,
                      struct vivo_err *err)
{
    struct vivo_crew_members *m = (struct vivo_crew_members *)self; /* first member */
    return vivo_crew_add(m->crew, rec->locator, err);
}

static void skip_other(struct vivo_intake *self, const char *locator,
                       const char *version)
{
    (void)self;
    (void)locator;
    (void)version;
}

static bool known_to_none(struct vivo_intake *self, const char *locator,
                          const char *version)
{
    (void)self;
    (void)locator;
    (void)version;
    return false;
}

void vivo_crew_members_init(struct vivo_crew_members *m, struct vivo_crew *crew)
{
    *m = (struct vivo_crew_members){
        .base = {.record = add_member, .other = skip_other, .known = known_to_none},
        .crew = crew};
}
