/* SPDX-License-Identifier: Apache-2.0 */
/* tests/lib/scripted_server.h -- an HTTP server made of sockets in this process. Each
 * test scripts what the next connections get, byte by byte, and looks at what was
 * asked. For one translation unit a test; include after cmocka.h. */
#ifndef VIVO_TEST_SCRIPTED_SERVER_H
#define VIVO_TEST_SCRIPTED_SERVER_H

#include "vivofs/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define STEPS 8
#define HANG "HANG" /* at the end of an answer: keep the connection, say nothing */

/* One connection a step: read a request head (and a body with Content-Length), send
 * the answer, close. */
struct server {
    int listener;
    unsigned port;
    const char *answers[STEPS]; /* the last one is repeated */
    size_t nanswers;
    pthread_t thread;
    pthread_mutex_t mutex;
    char asked[STEPS][2048]; /* guarded by mutex */
    size_t nasked;           /* guarded by mutex */
    atomic_bool stop;
};

static void send_all(int fd, const char *s, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, s, len, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        s += n;
        len -= (size_t)n;
    }
}

static bool head_is_whole(const char *buf)
{
    const char *end = strstr(buf, "\r\n\r\n");
    const char *length = strcasestr(buf, "Content-Length: ");
    if (!end)
        return false;
    if (!length)
        return true;
    return strlen(end + 4) >= (size_t)strtoll(length + 16, NULL, 10);
}

static void hang(struct server *s, int fd)
{
    while (!atomic_load(&s->stop)) {
        struct pollfd p = {fd, POLLIN, 0};
        char rest;
        if (poll(&p, 1, 20) > 0 && recv(fd, &rest, 1, 0) <= 0)
            return;
    }
}

static void serve_one(struct server *s, int fd)
{
    char buf[2048] = "";
    size_t len = 0;
    while (!head_is_whole(buf) && len < sizeof buf - 1) {
        ssize_t n = recv(fd, buf + len, sizeof buf - 1 - len, 0);
        if (n <= 0)
            return;
        len += (size_t)n;
        buf[len] = '\0';
    }
    pthread_mutex_lock(&s->mutex);
    size_t step = s->nasked++;
    if (step < STEPS)
        memcpy(s->asked[step], buf, sizeof buf);
    pthread_mutex_unlock(&s->mutex);
    const char *answer = s->answers[step < s->nanswers ? step : s->nanswers - 1];
    size_t n = strlen(answer);
    bool hangs = n >= 4 && strcmp(answer + n - 4, HANG) == 0;
    send_all(fd, answer, hangs ? n - 4 : n);
    if (hangs)
        hang(s, fd);
}

static void *serve(void *ctx)
{
    struct server *s = ctx;
    while (!atomic_load(&s->stop)) {
        struct pollfd p = {s->listener, POLLIN, 0};
        if (poll(&p, 1, 20) <= 0)
            continue;
        int fd = accept(s->listener, NULL, NULL);
        if (fd < 0)
            continue;
        serve_one(s, fd);
        close(fd);
    }
    return NULL;
}

static void start(struct server *s)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t len = sizeof a;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->listener, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(s->listener, 16), 0);
    assert_int_equal(getsockname(s->listener, (struct sockaddr *)&a, &len), 0);
    s->port = ntohs(a.sin_port);
    pthread_mutex_init(&s->mutex, NULL);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void stop(struct server *s)
{
    atomic_store(&s->stop, true);
    pthread_join(s->thread, NULL);
    close(s->listener);
    pthread_mutex_destroy(&s->mutex);
}

/* ---- one fetch -------------------------------------------------------------- */

struct result {
    int rc;
    struct vivo_net_reply reply;
    struct vivo_buf body;
    struct vivo_op op;
};

static void fetch(const struct vivo_net_config *cfg, struct vivo_net_request rq,
                  const char *url, int64_t deadline, struct result *r)
{
    struct vivo_net *net = NULL;
    struct vivo_err err = {0};
    struct vivo_buf_sink sink;
    assert_int_equal(vivo_net_new(cfg, &net, &err), 0);
    vivo_buf_init(&r->body, 1 << 20);
    vivo_buf_sink_init(&sink, &r->body);
    vivo_op_init(&r->op, deadline);
    rq.url = url;
    r->rc = vivo_net_fetch(net, &rq, &sink.base, &r->reply, &r->op);
    assert_int_equal(r->op.err.errnum, -r->rc);
    vivo_net_free(net);
}

/* The usual: one server, default request, the answers given. */
VIVO_UNUSED static void fetch_answers(const struct vivo_net_config *cfg,
                                      struct server *s, struct result *r)
{
    char url[64];
    start(s);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/a", s->port);
    fetch(cfg, (struct vivo_net_request){0}, url, 0, r);
    stop(s);
}

VIVO_UNUSED static const struct vivo_net_config plain = {.timeout_ms = 5000};
VIVO_UNUSED static const struct vivo_net_config patient = {.timeout_ms = 5000,
                                                           .retries = 3};

#define OK_BODY "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

#endif
