/* SPDX-License-Identifier: Apache-2.0 */
/* src/net/http/fetch.c -- one request from the caller's point of view: redirects, then
 * retries with back-off, until an answer, the deadline or the caller's patience. */
#include "../url.h"
#include "net_thread.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define REDIRECTS_MAX 5
#define BACKOFF_MAX_MS 10000
#define RETRY_AFTER_MAX_S 300 /* told to wait longer: give up at once */

struct attempt {
    bool again; /* may be tried again */
    bool delivered;
    int64_t retry_after; /* seconds */
};

/* ---- redirects -------------------------------------------------------------- */

static bool is_redirect(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 ||
           status == 308;
}

/* Where the next exchange goes. Credentials stay with the origin that they were
 * meant for, and nothing that was asked over TLS goes on without it. */
static int check_redirect(const struct transfer *t, const char *first,
                          struct exchange *x, struct vivo_err *err)
{
    char origin[ORIGIN_MAX];
    struct vivo_err why = {0};
    if (!t->redirect)
        return vivo_fail(err, EIO, "HTTP %d without a place to go", t->reply->status);
    if (strcmp(x->method, "GET") != 0 && strcmp(x->method, "HEAD") != 0)
        return vivo_fail(err, EIO, "HTTP %d in answer to a %s", t->reply->status,
                         x->method);
    if (vivo_url_origin(t->redirect, false, origin, &why) < 0)
        return vivo_fail(err, EIO, "HTTP %d to a place that is not allowed",
                         t->reply->status);
    if (strncmp(t->origin, "https:", 6) == 0 && strncmp(origin, "https:", 6) != 0)
        return vivo_fail(err, EIO, "HTTP %d from https down to http is refused",
                         t->reply->status);
    /* Once elsewhere, coming back does not bring the credentials back either. */
    x->same_origin = x->same_origin && strcmp(origin, first) == 0;
    return 0;
}

/* One exchange; *next gets the URL of a redirect (owned) or NULL. */
static int exchange_once(struct vivo_net *n, struct exchange *x, const char *first,
                         struct vivo_sink *body, struct vivo_net_reply *out,
                         struct attempt *a, char **next, struct vivo_op *op)
{
    struct transfer t;
    struct vivo_err err = {0};
    *next = NULL;
    int rc = vivo_transfer_init(&t, &n->settings, x, body, out, &err);
    if (rc == 0) {
        atomic_fetch_add(&n->requests, 1);
        rc = vivo_net_run(n, &t, op);
        atomic_fetch_add(&n->bytes, out->received);
        a->delivered |= t.delivered;
        a->retry_after = t.retry_after;
    }
    if (rc == 0 && is_redirect(out->status)) {
        rc = check_redirect(&t, first, x, &err);
        *next = rc == 0 ? VIVO_STEAL(t.redirect) : NULL;
    } else if (rc == 0) {
        rc = vivo_transfer_verdict(&t, &a->again, &err);
    }
    vivo_transfer_fini(&t);
    if (err.errnum)
        op->err = err;
    return rc;
}

static void note_landing(const struct vivo_net_request *rq, const char *url)
{
    if (rq->landed)
        snprintf(rq->landed, rq->landed_cap, "%s",
                 strlen(url) < rq->landed_cap ? url : "");
}

static int attempt_once(struct vivo_net *n, const struct vivo_net_request *rq,
                        struct vivo_sink *body, struct vivo_net_reply *out,
                        struct attempt *a, struct vivo_op *op)
{
    struct exchange x = {rq, rq->url, rq->method ? rq->method : "GET", true};
    VIVO_AUTO(vivo_free_p) char *url = NULL;
    char first[ORIGIN_MAX];
    int rc = vivo_url_origin(rq->url, rq->ftp, first, &op->err);
    note_landing(rq, "");
    for (int hops = 0; rc == 0; hops++) {
        char *next = NULL;
        rc = exchange_once(n, &x, first, body, out, a, &next, op);
        free(url);
        url = next;
        x.url = next;
        if (rc || !next)
            return rc;
        note_landing(rq, next);
        if (hops == REDIRECTS_MAX)
            return vivo_fail(&op->err, EIO, "more than %d redirects", REDIRECTS_MAX);
    }
    return rc;
}

/* ---- retries ---------------------------------------------------------------- */

/* Jitter needs no strength, only that clients do not march in step: the low bits of
 * the clock, mixed (splitmix64). */
static uint64_t jitter(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t z = (uint64_t)now.tv_nsec * UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    return z ^ (z >> 31);
}

/* How long to wait before the next attempt, ms; -1 = it is not worth waiting. */
static int64_t pause_ms(const struct vivo_net *n, unsigned attempt,
                        const struct attempt *a, const struct vivo_op *op)
{
    int64_t ms = (int64_t)n->backoff_ms << VIVO_MIN(attempt, 6u);
    ms = VIVO_MIN(ms, BACKOFF_MAX_MS);
    ms = ms / 2 + (int64_t)(jitter() % (uint64_t)(ms / 2 + 1));
    if (a->retry_after > RETRY_AFTER_MAX_S)
        return -1;
    ms = VIVO_MAX(ms, a->retry_after * 1000);
    if (op->deadline_ms > 0 && vivo_now_ms() + ms >= op->deadline_ms)
        return -1;
    return ms;
}

static int sleep_ms(struct vivo_net *n, int64_t ms, struct vivo_op *op)
{
    int64_t until = vivo_now_ms() + ms;
    for (;;) {
        int rc = vivo_op_check(op);
        int64_t left = until - vivo_now_ms();
        if (rc || left <= 0)
            return rc;
        if (vivo_net_is_stopping(n))
            return vivo_fail(&op->err, EINTR, "ended: the mount is going away");
        struct timespec nap = {0, (long)VIVO_MIN(left, 100) * 1000000L};
        nanosleep(&nap, NULL);
    }
}

/* Makes ready for another attempt; false = there will be none. */
static bool may_retry(struct vivo_net *n, unsigned attempt, const struct attempt *a,
                      const struct vivo_sink *body)
{
    if (!a->again || attempt >= n->retries)
        return false;
    return !a->delivered || !body || body->restart;
}

static int fetch(struct vivo_net *n, const struct vivo_net_request *rq,
                 struct vivo_sink *body, struct vivo_net_reply *out, struct vivo_op *op)
{
    int rc = vivo_op_check(op);
    for (unsigned attempt = 0; rc == 0; attempt++) {
        struct attempt a = {0};
        rc = attempt_once(n, rq, body, out, &a, op);
        if (rc == 0 || !may_retry(n, attempt, &a, body))
            return rc;
        int64_t ms = pause_ms(n, attempt, &a, op);
        if (ms < 0)
            return rc;
        vivo_err_clear(&op->err);
        atomic_fetch_add(&n->retried, 1);
        rc = sleep_ms(n, ms, op);
        if (rc == 0 && a.delivered && body)
            rc = body->restart(body, &op->err);
    }
    return rc;
}

int vivo_net_fetch(struct vivo_net *n, const struct vivo_net_request *rq,
                   struct vivo_sink *body, struct vivo_net_reply *out,
                   struct vivo_op *op)
{
    *out = (struct vivo_net_reply){.content_length = -1, .total = -1};
    if (!vivo_net_enter(n))
        return vivo_fail(&op->err, EINTR, "ended: the mount is going away");
    int rc = fetch(n, rq, body, out, op);
    atomic_fetch_add(&n->failures, rc != 0);
    vivo_net_leave(n); /* n may be gone now */
    if (rc == 0)
        return 0;
    char label[160];
    vivo_url_label(rq->method ? rq->method : "GET", rq->url, rq->what, label,
                   sizeof label);
    return vivo_fail_in(&op->err, "%s", label);
}
