/* SPDX-License-Identifier: Apache-2.0 */
/* src/net/dimse/connect.c -- see connect.h. Names are looked up by a thread of their
 * own, which is left behind when nobody waits for it any more: getaddrinfo() cannot be
 * interrupted. */
#include "connect.h"

#include "vivofs/base.h"
#include "vivofs/op.h"
#include "vivofs/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define STEP_MS 200
#define BACKLOG 8

struct target {
    const char *host;
    unsigned port;
    int64_t until_ms;
    struct vivo_op *op;
};

static int fail(const struct target *t, int errnum, const char *why)
{
    return vivo_fail(&t->op->err, errnum, "%.100s port %u: %s", t->host, t->port, why);
}

/* ---- the address ------------------------------------------------------------------
 */

struct lookup {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    char *host;
    char port[8];
    unsigned refs; /* guarded by mutex, as all below */
    bool done;
    int verdict; /* of getaddrinfo */
    struct addrinfo *found;
};

static int look_up(const char *host, const char *port, int flags, struct addrinfo **out)
{
    const struct addrinfo hints = {.ai_flags = flags | AI_NUMERICSERV,
                                   .ai_socktype = SOCK_STREAM};
    return getaddrinfo(host, port, &hints, out);
}

static void put_lookup(struct lookup *l)
{
    pthread_mutex_lock(&l->mutex);
    bool last = --l->refs == 0;
    pthread_mutex_unlock(&l->mutex);
    if (!last)
        return;
    if (l->found)
        freeaddrinfo(l->found);
    pthread_cond_destroy(&l->changed);
    pthread_mutex_destroy(&l->mutex);
    free(l->host);
    free(l);
}

static void *run_lookup(void *arg)
{
    struct lookup *l = arg;
    struct addrinfo *found = NULL;
    int verdict = look_up(l->host, l->port, AI_ADDRCONFIG, &found);
    pthread_mutex_lock(&l->mutex);
    l->verdict = verdict;
    l->found = verdict ? NULL : found;
    l->done = true;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->mutex);
    put_lookup(l);
    return NULL;
}

static struct lookup *begin_lookup(const char *host, const char *port)
{
    struct lookup *l = calloc(1, sizeof *l);
    pthread_t thread;
    if (!l)
        return NULL;
    pthread_mutex_init(&l->mutex, NULL);
    pthread_cond_init(&l->changed, NULL);
    snprintf(l->port, sizeof l->port, "%s", port);
    l->host = strdup(host);
    l->refs = 2;
    if (l->host && pthread_create(&thread, NULL, run_lookup, l) == 0) {
        pthread_detach(thread);
        return l;
    }
    l->refs = 1;
    put_lookup(l);
    return NULL;
}

static int wait_for_lookup(const struct target *t, struct lookup *l,
                           struct addrinfo **out)
{
    int rc = 0;
    bool done = false;
    while (rc == 0 && !done) {
        rc = vivo_op_check(t->op);
        pthread_mutex_lock(&l->mutex);
        if (rc == 0 && !l->done)
            vivo_wait_ms(&l->changed, &l->mutex, STEP_MS);
        done = l->done;
        if (rc == 0 && done && l->verdict == 0)
            *out = VIVO_STEAL(l->found);
        int verdict = l->verdict;
        pthread_mutex_unlock(&l->mutex);
        if (rc == 0 && done && verdict)
            rc = fail(t, EIO, "no such host");
        else if (rc == 0 && !done && vivo_now_ms() > t->until_ms)
            rc = fail(t, ETIMEDOUT, "no answer to the question for its address");
    }
    return rc;
}

static int resolve(const struct target *t, struct addrinfo **out)
{
    char port[8];
    snprintf(port, sizeof port, "%u", t->port);
    if (look_up(t->host, port, AI_NUMERICHOST, out) == 0)
        return 0;
    struct lookup *l = begin_lookup(t->host, port);
    if (!l)
        return vivo_fail(&t->op->err, ENOMEM, "dimse: out of memory");
    int rc = wait_for_lookup(t, l, out);
    put_lookup(l);
    return rc;
}

/* ---- the connection ---------------------------------------------------------------
 */

/* 0, or an errno of its own, or -errno with the sentence. */
static int wait_connected(const struct target *t, int fd, int64_t until_ms)
{
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLOUT};
        int rc = vivo_op_check(t->op);
        if (rc)
            return rc;
        int64_t left = until_ms - vivo_now_ms();
        if (left <= 0)
            return ETIMEDOUT;
        if (poll(&p, 1, (int)VIVO_MIN(left, (int64_t)STEP_MS)) > 0)
            break;
    }
    int why = 0;
    socklen_t len = sizeof why;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &why, &len) < 0 ? errno : why;
}

static int try_address(const struct target *t, const struct addrinfo *a,
                       int64_t until_ms, int *out)
{
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    int rc = connect(fd, a->ai_addr, a->ai_addrlen) < 0 ? errno : 0;
    if (rc == EINPROGRESS)
        rc = wait_connected(t, fd, until_ms);
    if (rc == 0 && fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK) < 0)
        rc = errno;
    if (rc)
        close(fd);
    else
        *out = fd;
    return rc;
}

static const char *reason(int errnum)
{
    switch (errnum) {
    case ECONNREFUSED:
        return "connection refused";
    case ETIMEDOUT:
        return "no answer";
    case ENETUNREACH:
    case EHOSTUNREACH:
        return "no way there";
    default:
        return "no connection";
    }
}

int vivo_dimse_connect(const char *host, unsigned port, int64_t limit_ms,
                       struct vivo_op *op)
{
    const struct target t = {host, port, vivo_now_ms() + limit_ms, op};
    struct addrinfo *found = NULL;
    int fd = -1;
    int left = 0;
    int rc = resolve(&t, &found);
    if (rc)
        return rc;
    for (const struct addrinfo *a = found; a; a = a->ai_next)
        left++;
    rc = ENOENT;
    for (const struct addrinfo *a = found; a && rc > 0; a = a->ai_next) {
        int64_t now = vivo_now_ms();
        rc = try_address(&t, a, now + (t.until_ms - now) / left--, &fd);
    }
    freeaddrinfo(found);
    if (rc > 0)
        rc = fail(&t, rc == ETIMEDOUT ? ETIMEDOUT : EIO, reason(rc));
    return rc ? rc : fd;
}

/* ---- the door ---------------------------------------------------------------------
 */

static int listen_at(int family, const void *address, socklen_t len)
{
    int on = 1;
    int off = 0;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if ((family == AF_INET6 &&
         setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) < 0) ||
        bind(fd, address, len) < 0 || listen(fd, BACKLOG) < 0) {
        int errnum = errno;
        close(fd);
        return -errnum;
    }
    return fd;
}

int vivo_dimse_listen(unsigned port)
{
    const struct sockaddr_in6 six = {.sin6_family = AF_INET6,
                                     .sin6_addr = IN6ADDR_ANY_INIT,
                                     .sin6_port = htons((uint16_t)port)};
    const struct sockaddr_in four = {.sin_family = AF_INET,
                                     .sin_addr.s_addr = htonl(INADDR_ANY),
                                     .sin_port = htons((uint16_t)port)};
    int fd = listen_at(AF_INET6, &six, sizeof six);
    if (fd >= 0 || fd == -EADDRINUSE || fd == -EACCES)
        return fd;
    return listen_at(AF_INET, &four, sizeof four); /* a machine without IPv6 */
}
