/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/xnat_http.c -- sessions, and requests within one.
 *
 * Logging in at every request is slow and begins a session each time, of which XNAT
 * keeps a limited number; so one is begun, sent as a cookie, and begun anew when it has
 * run out. A server that lets guests in does not refuse a session that has run out: it
 * answers as to a guest, with fewer projects, and begins another one; that cookie is
 * the only sign. */
#include "multipart.h"
#include "xnat.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define LOGIN_BYTES 65536
#define LOGOUT_MS 2000
#define WORDS_OF_LOGIN "needs a login (netrc=FILE, or bearer=FILE with ALIAS:SECRET)"

/* ---- sessions ------------------------------------------------------------------- */

/* The body is the id, behind which "; XNAT_CSRF=…" may stand. */
static int read_id(const struct vivo_buf *body, const struct vivo_net_reply *reply,
                   char out[XNAT_SESSION_MAX + 1], struct vivo_err *err)
{
    const char *s = body->data ? (const char *)body->data : "";
    s += strspn(s, " \t\r\n");
    size_t n = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                         "0123456789.!_~-");
    if (*s == '<' || vivo_media_type_is(reply->content_type, "text/html"))
        return vivo_fail(err, EACCES,
                         "the server answers a page for people: it " WORDS_OF_LOGIN
                         ", or is no XNAT");
    size_t behind = n + strspn(s + n, " \t\r\n");
    if (n == 0 || n > XNAT_SESSION_MAX || (s[behind] && s[behind] != ';'))
        return vivo_fail(err, EBADMSG, "the server gives no session");
    memcpy(out, s, n);
    out[n] = '\0';
    return 0;
}

/* Sent to where a request of ours is not allowed to go: to a page for logging in. */
static bool is_elsewhere(const struct vivo_net_reply *reply)
{
    return reply->status >= 301 && reply->status <= 303;
}

static int begin_session(struct xnat *x, char out[XNAT_SESSION_MAX + 1],
                         struct vivo_op *op)
{
    char url[XNAT_URL_MAX];
    struct vivo_buf_sink sink;
    struct vivo_net_reply reply = {0};
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf body = {0};
    vivo_buf_init(&body, LOGIN_BYTES);
    vivo_buf_sink_init(&sink, &body);
    if (snprintf(url, sizeof url, "%s/data/JSESSION", x->url) >= XNAT_URL_MAX)
        return vivo_fail(&op->err, EINVAL, "xnat: URL too long");
    const struct vivo_net_request rq = {
        .url = url, .basic = x->login, .max_bytes = LOGIN_BYTES, .close_ends = true};
    atomic_fetch_add(&x->base.requests, 1);
    int rc = vivo_net_fetch(x->base.net, &rq, &sink.base, &reply, op);
    atomic_fetch_add(&x->base.bytes, reply.received);
    if (rc == 0)
        rc = read_id(&body, &reply, out, &op->err);
    if (rc == -ENOENT)
        op->err.errnum = EIO; /* no XNAT, or another context path */
    if (rc == -EIO && is_elsewhere(&reply)) {
        op->err.errnum = EACCES;
        rc = -EACCES;
    }
    if (rc == -EACCES && reply.status != 200)
        return vivo_fail_in(&op->err, "JSESSION: " WORDS_OF_LOGIN);
    return rc ? vivo_fail_in(&op->err, "JSESSION") : 0;
}

/* Waits for whoever logs in now, a moment. */
static void wait_locked(struct xnat *x)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 200000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&x->landed, &x->mutex, &until);
}

/* Takes the session that is there, or the turn to begin one (1). */
static int take_turn(struct xnat *x, char out[XNAT_SESSION_MAX + 1], struct vivo_op *op)
{
    int rc = 0;
    pthread_mutex_lock(&x->mutex);
    while (!x->session[0] && x->logging_in && rc == 0) {
        wait_locked(x);
        rc = vivo_op_check(op);
    }
    if (rc == 0 && x->session[0]) {
        memcpy(out, x->session, sizeof x->session);
    } else if (rc == 0) {
        x->logging_in = true;
        rc = 1;
    }
    pthread_mutex_unlock(&x->mutex);
    return rc;
}

int vivo_xnat_session(struct xnat *x, char out[XNAT_SESSION_MAX + 1],
                      struct vivo_op *op)
{
    int rc = take_turn(x, out, op);
    if (rc <= 0)
        return rc;
    rc = begin_session(x, out, op);
    pthread_mutex_lock(&x->mutex);
    x->logging_in = false;
    if (rc == 0)
        memcpy(x->session, out, sizeof x->session);
    pthread_cond_broadcast(&x->landed);
    pthread_mutex_unlock(&x->mutex);
    return rc;
}

/* Unless another thread has begun a new one already. */
static void forget(struct xnat *x, const char *session)
{
    pthread_mutex_lock(&x->mutex);
    if (strcmp(x->session, session) == 0)
        x->session[0] = '\0';
    pthread_mutex_unlock(&x->mutex);
}

/* It is not worth waiting for, and nobody looks at what becomes of it. */
void vivo_xnat_session_end(struct xnat *x)
{
    char url[XNAT_URL_MAX];
    char cookie[XNAT_SESSION_MAX + 32];
    struct vivo_op op;
    struct vivo_net_reply reply;
    const char *headers[] = {cookie, NULL};
    if (!x->session[0])
        return;
    vivo_op_init(&op, LOGOUT_MS);
    snprintf(url, sizeof url, "%s/data/JSESSION", x->url);
    snprintf(cookie, sizeof cookie, "Cookie: JSESSIONID=%s", x->session);
    const struct vivo_net_request rq = {.method = "DELETE",
                                        .url = url,
                                        .headers = headers,
                                        .no_netrc = true,
                                        .max_bytes = LOGIN_BYTES,
                                        .close_ends = true};
    vivo_net_fetch(x->base.net, &rq, NULL, &reply, &op);
    explicit_bzero(cookie, sizeof cookie);
}

/* ---- requests -------------------------------------------------------------------- */

/* Does the reply begin another session than the one that was sent? */
static bool is_other_session(const struct vivo_net_reply *reply, const char *session)
{
    static const char name[] = "JSESSIONID=";
    const char *at = strstr(reply->cookies, name);
    if (!at)
        return false;
    at += sizeof name - 1;
    size_t n = strcspn(at, "; \t\r\n");
    return n > 0 && (n != strlen(session) || strncmp(at, session, n) != 0);
}

static bool is_page(const struct vivo_net_reply *reply)
{
    return vivo_media_type_is(reply->content_type, "text/html");
}

static int ask_once(struct xnat *x, const char *path, xnat_ask_fn *ask, void *ctx,
                    const char *session, struct vivo_net_reply *reply,
                    struct vivo_op *op)
{
    char url[XNAT_URL_MAX];
    char cookie[XNAT_SESSION_MAX + 32];
    const char *headers[] = {cookie, NULL};
    if (snprintf(url, sizeof url, "%s%s", x->url, path) >= XNAT_URL_MAX)
        return vivo_fail(&op->err, EINVAL, "xnat: URL longer than %d", XNAT_URL_MAX);
    snprintf(cookie, sizeof cookie, "Cookie: JSESSIONID=%s", session);
    const struct vivo_net_request rq = {
        .url = url, .what = "an answer", .headers = headers, .no_netrc = true};
    *reply = (struct vivo_net_reply){.content_length = -1};
    int rc = ask(ctx, &rq, reply, op);
    explicit_bzero(cookie, sizeof cookie);
    return rc;
}

/* A page for people in answer to a program means: log in first. */
static int explain(int rc, const struct vivo_net_reply *reply, struct vivo_op *op)
{
    if (reply->status >= 200 && reply->status < 300 && is_page(reply)) {
        vivo_err_clear(&op->err);
        return vivo_fail(&op->err, EACCES,
                         "the server answers a page for people: it " WORDS_OF_LOGIN);
    }
    if (rc == -EIO && is_elsewhere(reply)) {
        op->err.errnum = EACCES;
        rc = -EACCES;
    }
    return rc == -EACCES ? vivo_fail_in(&op->err, WORDS_OF_LOGIN) : rc;
}

int vivo_xnat_ask(struct xnat *x, const char *path, xnat_ask_fn *ask, void *ctx,
                  struct vivo_net_reply *reply, struct vivo_op *op)
{
    char session[XNAT_SESSION_MAX + 1];
    for (int tries = 0;; tries++) {
        int rc = vivo_xnat_session(x, session, op);
        if (rc)
            return rc;
        rc = ask_once(x, path, ask, ctx, session, reply, op);
        bool other = !atomic_load(&x->fickle) && is_other_session(reply, session);
        bool page = reply->status >= 200 && reply->status < 300 && is_page(reply);
        bool over = reply->status == 401 || is_elsewhere(reply) || other || page;
        if (!over || tries > 0 || rc == -EINTR || rc == -ETIMEDOUT) {
            if (other)
                atomic_store(&x->fickle, true);
            return explain(rc, reply, op);
        }
        forget(x, session);
        vivo_err_clear(&op->err);
    }
}
