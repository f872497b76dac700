/* SPDX-License-Identifier: Apache-2.0 */
/* src/base/pool.c -- job threads; see include/vivofs/pool.h. */
#include "vivofs/pool.h"

#include "vivofs/base.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

void vivo_wait_ms(pthread_cond_t *cond, pthread_mutex_t *mutex, long ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += ms % 1000 * 1000000L;
    until.tv_sec += ms / 1000 + until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    pthread_cond_clockwait(cond, mutex, CLOCK_MONOTONIC, &until);
}

struct job {
    struct job *next;
    vivo_job_fn *fn;
    void *ctx;
};

struct queue {
    struct job *first, **last;
};

struct vivo_pool {
    char name[16];
    size_t max;
    pthread_mutex_t mutex;
    pthread_cond_t work;
    struct queue urgent, others; /* guarded by mutex */
    size_t started, idle;        /* guarded by mutex */
    size_t queued;               /* guarded by mutex */
    bool ending;                 /* guarded by mutex */
    pthread_t threads[];         /* guarded by mutex */
};

static void push(struct queue *q, struct job *job)
{
    *q->last = job;
    q->last = &job->next;
}

static struct job *pop(struct queue *q)
{
    struct job *job = q->first;
    if (!job)
        return NULL;
    q->first = job->next;
    if (!q->first)
        q->last = &q->first;
    return job;
}

static struct job *next_locked(struct vivo_pool *p)
{
    struct job *job = pop(&p->urgent);
    if (!job)
        job = pop(&p->others);
    if (job)
        p->queued--;
    return job;
}

static void *work(void *arg)
{
    struct vivo_pool *p = arg;
    pthread_setname_np(pthread_self(), p->name);
    pthread_mutex_lock(&p->mutex);
    for (;;) {
        while (!p->queued && !p->ending) {
            p->idle++;
            pthread_cond_wait(&p->work, &p->mutex);
            p->idle--;
        }
        struct job *job = next_locked(p);
        if (!job)
            break;
        pthread_mutex_unlock(&p->mutex);
        job->fn(job->ctx);
        free(job);
        pthread_mutex_lock(&p->mutex);
    }
    pthread_mutex_unlock(&p->mutex);
    return NULL;
}

int vivo_pool_new(const char *name, size_t nthreads, struct vivo_pool **out,
                  struct vivo_err *err)
{
    struct vivo_pool *p = calloc(1, sizeof *p + nthreads * sizeof p->threads[0]);
    if (!p)
        return vivo_fail(err, ENOMEM, "out of memory");
    memcpy(p->name, name, strnlen(name, sizeof p->name - 1));
    p->max = nthreads;
    p->urgent.last = &p->urgent.first;
    p->others.last = &p->others.first;
    pthread_mutex_init(&p->mutex, NULL);
    pthread_cond_init(&p->work, NULL);
    *out = p;
    return 0;
}

/* Signals are for the main thread: a job must not be the one that takes SIGTERM. */
static void start_thread_locked(struct vivo_pool *p)
{
    sigset_t all;
    sigset_t old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    if (!pthread_create(&p->threads[p->started], NULL, work, p))
        p->started++;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static int enqueue(struct vivo_pool *p, struct queue *q, vivo_job_fn *fn, void *ctx)
{
    struct job *job = calloc(1, sizeof *job);
    if (!job)
        return -ENOMEM;
    job->fn = fn;
    job->ctx = ctx;
    pthread_mutex_lock(&p->mutex);
    /* At the end those that run take what is queued: nobody counts new ones any more.
     */
    if (p->idle <= p->queued && p->started < p->max && !p->ending)
        start_thread_locked(p);
    if (!p->started) {
        pthread_mutex_unlock(&p->mutex);
        free(job);
        return -ENOMEM;
    }
    push(q, job);
    p->queued++;
    pthread_cond_signal(&p->work);
    pthread_mutex_unlock(&p->mutex);
    return 0;
}

int vivo_pool_run(struct vivo_pool *p, vivo_job_fn *fn, void *ctx)
{
    return enqueue(p, &p->others, fn, ctx);
}

int vivo_pool_run_first(struct vivo_pool *p, vivo_job_fn *fn, void *ctx)
{
    return enqueue(p, &p->urgent, fn, ctx);
}

void vivo_pool_free(struct vivo_pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->mutex);
    p->ending = true;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->mutex);
    for (size_t i = 0; i < p->started; i++)
        pthread_join(p->threads[i], NULL);
    pthread_cond_destroy(&p->work);
    pthread_mutex_destroy(&p->mutex);
    free(p);
}
