/* SPDX-License-Identifier: Apache-2.0 */
/* src/fuse/park.c -- requests that wait without a thread.
 *
 * A request whose run() says -EAGAIN is on a flight. Two things may come for it, in
 * any order and at once: landed() from a job thread, and an interrupt from the
 * kernel, which libfuse delivers under the lock of its request. Neither touches the
 * request beyond setting a flag: it is taken up again by threads of our own, which
 * first unregister the interrupt (that waits for a handler under way). */
#include "fuse/internal.h"

#include <stdlib.h>
#include <string.h>

struct vivo_session *session_of(fuse_req_t req)
{
    return fuse_req_userdata(req);
}

static void landed(struct vivo_op *op);

struct request *request_new(fuse_req_t req, int (*run)(struct request *), vivo_ino ino,
                            const char *name, const struct fuse_file_info *fi)
{
    const struct fuse_ctx *ctx = fuse_req_ctx(req);
    size_t len = name ? strlen(name) + 1 : 0;
    struct request *r;

    if (!session_admits(req)) {
        reply_code(req, EACCES);
        return NULL;
    }
    r = calloc(1, sizeof *r + len);
    if (!r) {
        reply_code(req, ENOMEM);
        return NULL;
    }
    vivo_op_init(&r->op, 0);
    r->op.landed = landed;
    r->s = session_of(req);
    tune_read_ahead(r->s);
    r->req = req;
    r->run = run;
    r->ino = ino;
    r->uid = ctx->uid;
    r->pid = ctx->pid;
    if (fi)
        r->fi = *fi;
    if (name) {
        r->name = (char *)(r + 1);
        memcpy(r->name, name, len);
    }
    return r;
}

static void enqueue_locked(struct park *p, struct request *r)
{
    r->queued = NULL;
    *p->last = r;
    p->last = &r->queued;
    pthread_cond_signal(&p->work);
}

static void landed(struct vivo_op *op)
{
    struct request *r = (struct request *)op; /* first member */
    struct park *p = &r->s->park;

    pthread_mutex_lock(&p->mutex);
    r->landed = true;
    if (r->settled)
        enqueue_locked(p, r);
    pthread_mutex_unlock(&p->mutex);
}

/* From libfuse, with the lock of `req` held. */
static void interrupted(fuse_req_t req, void *data)
{
    struct request *r = data;

    (void)req;
    atomic_store(&r->op.cancelled, true);
    vivo_flow_interrupt(&r->op);
}

/* Nobody takes the request up before it is settled, so it is still ours here even
 * when it has landed already. */
static void settle(struct request *r)
{
    struct park *p = &r->s->park;

    pthread_mutex_lock(&p->mutex);
    p->live++;
    r->next = p->parked;
    r->prev = NULL;
    if (r->next)
        r->next->prev = r;
    p->parked = r;
    pthread_mutex_unlock(&p->mutex);
    fuse_req_interrupt_func(r->req, interrupted, r);
    pthread_mutex_lock(&p->mutex);
    r->settled = true;
    if (r->landed)
        enqueue_locked(p, r);
    else if (p->ending)
        pthread_cond_broadcast(&p->change);
    pthread_mutex_unlock(&p->mutex);
}

void request_start(struct request *r)
{
    int rc = r->run(r);

    if (rc == -EAGAIN) {
        settle(r);
        return;
    }
    if (rc)
        reply_error(r, rc);
    vivo_view_unref(r->view);
    free(r);
}

static void unlist_locked(struct park *p, struct request *r)
{
    if (r->prev)
        r->prev->next = r->next;
    else
        p->parked = r->next;
    if (r->next)
        r->next->prev = r->prev;
    r->prev = r->next = NULL;
}

/* Off the park and with no handler under way: the request is this thread's alone. */
static void take_up(struct park *p, struct request *r)
{
    fuse_req_interrupt_func(r->req, NULL, NULL);
    pthread_mutex_lock(&p->mutex);
    while (r->pins)
        pthread_cond_wait(&p->change, &p->mutex);
    unlist_locked(p, r);
    r->settled = r->landed = r->asked = false;
    pthread_mutex_unlock(&p->mutex);
    if (!r->op.err.errnum) {
        request_start(r);
        return;
    }
    vivo_tree_failed(r->s->tree, r->ino, r->name, &r->op.err);
    reply_error(r, -r->op.err.errnum);
    vivo_view_unref(r->view);
    free(r);
}

static void *work(void *arg)
{
    struct park *p = arg;

    pthread_mutex_lock(&p->mutex);
    for (;;) {
        struct request *r;

        while (!p->first && !p->ending)
            pthread_cond_wait(&p->work, &p->mutex);
        r = p->first;
        if (!r && p->live == 0)
            break;
        if (!r) {
            pthread_cond_wait(&p->work, &p->mutex);
            continue;
        }
        p->first = r->queued;
        if (!p->first)
            p->last = &p->first;
        pthread_mutex_unlock(&p->mutex);
        take_up(p, r);
        pthread_mutex_lock(&p->mutex);
        if (--p->live == 0) {
            pthread_cond_broadcast(&p->change);
            pthread_cond_broadcast(&p->work);
        }
    }
    pthread_mutex_unlock(&p->mutex);
    return NULL;
}

int park_open(struct park *p, struct vivo_err *err)
{
    p->last = &p->first;
    p->ending = false;
    pthread_mutex_init(&p->mutex, NULL);
    pthread_cond_init(&p->work, NULL);
    pthread_cond_init(&p->change, NULL);
    for (p->nthreads = 0; p->nthreads < VIVO_ARRAY_LEN(p->threads); p->nthreads++) {
        if (pthread_create(&p->threads[p->nthreads], NULL, work, p))
            break;
        pthread_setname_np(p->threads[p->nthreads], "vivofs-resume");
    }
    if (p->nthreads == 0)
        return vivo_fail(err, EIO, "no thread can be started");
    return 0;
}

/* A parked request that was not yet told to give up. */
static struct request *not_asked_locked(struct park *p)
{
    struct request *r = p->parked;

    while (r && (r->asked || !r->settled))
        r = r->next;
    return r;
}

static void interrupt_all_locked(struct park *p)
{
    struct request *r;

    while ((r = not_asked_locked(p))) {
        r->asked = true;
        r->pins++;
        pthread_mutex_unlock(&p->mutex);
        atomic_store(&r->op.cancelled, true);
        vivo_flow_interrupt(&r->op);
        pthread_mutex_lock(&p->mutex);
        r->pins--;
        pthread_cond_broadcast(&p->change);
    }
}

void park_close(struct park *p)
{
    pthread_mutex_lock(&p->mutex);
    p->ending = true;
    pthread_cond_broadcast(&p->work);
    while (p->live) {
        interrupt_all_locked(p);
        if (p->live)
            pthread_cond_wait(&p->change, &p->mutex);
    }
    pthread_mutex_unlock(&p->mutex);
    for (size_t i = 0; i < p->nthreads; i++)
        pthread_join(p->threads[i], NULL);
    pthread_cond_destroy(&p->work);
    pthread_cond_destroy(&p->change);
    pthread_mutex_destroy(&p->mutex);
}
