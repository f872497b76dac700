/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_net_retry.c -- asking again, waiting, being interrupted. */
#include "vivofs/net.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "scripted_server.h"

#include <time.h>

/* ---- retries ---------------------------------------------------------------- */

static void test_busy_server_is_asked_again(void **state)
{
    (void)state;
    struct server s = {.answers = {"HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n",
                                   "HTTP/1.1 429 x\r\nContent-Length: 0\r\n\r\n",
                                   OK_BODY},
                       .nanswers = 3};
    struct result r;
    fetch_answers(&patient, &s, &r);
    assert_int_equal(r.rc, 0);
    assert_int_equal(s.nasked, 3);
    assert_int_equal(r.body.len, 5);
    vivo_buf_free(&r.body);
}

static void test_retries_are_bounded(void **state)
{
    (void)state;
    struct server s = {.answers = {"HTTP/1.1 502 x\r\nContent-Length: 0\r\n\r\n"},
                       .nanswers = 1};
    struct result r;
    const struct vivo_net_config two = {.timeout_ms = 5000, .retries = 2};
    fetch_answers(&two, &s, &r);
    assert_int_equal(r.rc, -EIO);
    assert_int_equal(r.reply.status, 502);
    assert_int_equal(s.nasked, 3);
    vivo_buf_free(&r.body);
}

static void test_refusals_are_not_retried(void **state)
{
    (void)state;
    struct server s = {.answers = {"HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n"},
                       .nanswers = 1};
    struct result r;
    fetch_answers(&patient, &s, &r);
    assert_int_equal(r.rc, -ENOENT);
    assert_int_equal(s.nasked, 1);
    vivo_buf_free(&r.body);
}

static void test_cut_body_is_started_over(void **state)
{
    (void)state;
    struct server s = {
        .answers = {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", OK_BODY},
        .nanswers = 2};
    struct result r;
    fetch_answers(&patient, &s, &r);
    assert_int_equal(r.rc, 0);
    assert_int_equal(r.body.len, 5);
    assert_memory_equal(r.body.data, "hello", 5);
    vivo_buf_free(&r.body);
}

/* A sink that cannot forget: what it got must not be followed by a second start. */
static size_t once_got;
static int once_write(struct vivo_sink *self, const void *data, size_t len,
                      struct vivo_err *err)
{
    (void)self;
    (void)data;
    (void)err;
    once_got += len;
    return 0;
}

static void test_sink_without_restart_is_not_retried(void **state)
{
    (void)state;
    struct server s = {
        .answers = {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", OK_BODY},
        .nanswers = 2};
    struct vivo_sink sink = {once_write, NULL};
    struct vivo_net *net = NULL;
    struct vivo_err err = {0};
    struct vivo_op op;
    struct vivo_net_reply reply;
    char url[64];
    once_got = 0;
    start(&s);
    assert_int_equal(vivo_net_new(&patient, &net, &err), 0);
    vivo_op_init(&op, 0);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/a", s.port);
    const struct vivo_net_request rq = {.url = url};
    assert_int_equal(vivo_net_fetch(net, &rq, &sink, &reply, &op), -EIO);
    vivo_net_free(net);
    stop(&s);
    assert_int_equal(once_got, 3);
    assert_int_equal(s.nasked, 1);
}

static void test_retry_after_is_obeyed(void **state)
{
    (void)state;
    struct server s = {
        .answers = {"HTTP/1.1 429 x\r\nRetry-After: 2\r\nContent-Length: 0\r\n\r\n",
                    OK_BODY},
        .nanswers = 2};
    struct result r;
    int64_t before = vivo_now_ms();
    fetch_answers(&patient, &s, &r);
    assert_int_equal(r.rc, 0);
    assert_true(vivo_now_ms() - before >= 2000);
    vivo_buf_free(&r.body);
}

static void test_retry_after_beyond_deadline_gives_up(void **state)
{
    (void)state;
    struct server s = {
        .answers = {"HTTP/1.1 503 x\r\nRetry-After: 60\r\nContent-Length: 0\r\n\r\n",
                    OK_BODY},
        .nanswers = 2};
    struct result r;
    char url[64];
    start(&s);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/a", s.port);
    fetch(&patient, (struct vivo_net_request){0}, url, 20000, &r);
    stop(&s);
    assert_int_equal(r.rc, -EIO);
    assert_int_equal(s.nasked, 1);
    assert_non_null(strstr(r.op.err.text, "HTTP 503"));
    vivo_buf_free(&r.body);
}

static void test_dead_port_is_eio_after_retries(void **state)
{
    (void)state;
    struct server s = {.answers = {OK_BODY}, .nanswers = 1};
    struct result r;
    char url[64];
    start(&s);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/a", s.port);
    stop(&s);
    const struct vivo_net_config once = {.timeout_ms = 5000, .retries = 1};
    fetch(&once, (struct vivo_net_request){0}, url, 0, &r);
    assert_int_equal(r.rc, -EIO);
    assert_int_equal(r.reply.status, 0);
    vivo_buf_free(&r.body);
}

/* ---- waiting ---------------------------------------------------------------- */

static void test_silence_is_etimedout(void **state)
{
    (void)state;
    static const char *const answers[] = {
        HANG, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhel" HANG};
    for (size_t i = 0; i < VIVO_ARRAY_LEN(answers); i++) {
        struct server s = {.answers = {answers[i]}, .nanswers = 1};
        struct result r;
        const struct vivo_net_config quick = {.timeout_ms = 300};
        fetch_answers(&quick, &s, &r);
        assert_int_equal(r.rc, -ETIMEDOUT);
        vivo_buf_free(&r.body);
    }
}

static void test_deadline_is_etimedout(void **state)
{
    (void)state;
    struct server s = {.answers = {HANG}, .nanswers = 1};
    struct result r;
    char url[64];
    start(&s);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/a", s.port);
    fetch(&plain, (struct vivo_net_request){0}, url, 300, &r);
    stop(&s);
    assert_int_equal(r.rc, -ETIMEDOUT);
    vivo_buf_free(&r.body);
}

static void *cancel_soon(void *ctx)
{
    struct vivo_op *op = ctx;
    struct timespec nap = {0, 200000000};
    nanosleep(&nap, NULL);
    atomic_store(&op->cancelled, true);
    return NULL;
}

/* Ends although server and time limit would let it hang for ever. */
static void test_cancel_ends_a_hanging_fetch(void **state)
{
    (void)state;
    struct server s = {.answers = {HANG}, .nanswers = 1};
    const struct vivo_net_config slow = {.timeout_ms = 3600000};
    struct vivo_net *net = NULL;
    struct vivo_err err = {0};
    struct vivo_net_reply reply;
    struct vivo_op op;
    pthread_t thread;
    char url[64];
    start(&s);
    assert_int_equal(vivo_net_new(&slow, &net, &err), 0);
    vivo_op_init(&op, 0);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/a", s.port);
    const struct vivo_net_request rq = {.url = url};
    pthread_create(&thread, NULL, cancel_soon, &op);
    assert_int_equal(vivo_net_fetch(net, &rq, NULL, &reply, &op), -EINTR);
    pthread_join(thread, NULL);
    vivo_net_free(net);
    stop(&s);
}

struct hanging {
    struct vivo_net *net;
    const char *url;
    int rc;
};

static void *fetch_hanging(void *ctx)
{
    struct hanging *h = ctx;
    struct vivo_net_reply reply;
    struct vivo_op op;
    vivo_op_init(&op, 0);
    const struct vivo_net_request rq = {.url = h->url};
    h->rc = vivo_net_fetch(h->net, &rq, NULL, &reply, &op);
    return NULL;
}

/* More of them than the host may have connections, so that some are only queued. */
static void test_free_ends_what_is_under_way(void **state)
{
    (void)state;
    struct server s = {.answers = {HANG}, .nanswers = 1};
    const struct vivo_net_config slow = {.timeout_ms = 3600000, .per_host = 1};
    struct vivo_net *net = NULL;
    struct vivo_err err = {0};
    struct hanging h[3];
    pthread_t threads[3];
    char url[64];
    start(&s);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/a", s.port);
    assert_int_equal(vivo_net_new(&slow, &net, &err), 0);
    for (size_t i = 0; i < 3; i++) {
        h[i] = (struct hanging){net, url, 0};
        pthread_create(&threads[i], NULL, fetch_hanging, &h[i]);
    }
    struct vivo_net_counters c = {0};
    while (c.requests < 3)
        vivo_net_count(net, &c);
    vivo_net_free(net);
    for (size_t i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(h[i].rc, -EINTR);
    }
    stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_busy_server_is_asked_again),
        cmocka_unit_test(test_retries_are_bounded),
        cmocka_unit_test(test_refusals_are_not_retried),
        cmocka_unit_test(test_cut_body_is_started_over),
        cmocka_unit_test(test_sink_without_restart_is_not_retried),
        cmocka_unit_test(test_retry_after_is_obeyed),
        cmocka_unit_test(test_retry_after_beyond_deadline_gives_up),
        cmocka_unit_test(test_dead_port_is_eio_after_retries),
        cmocka_unit_test(test_silence_is_etimedout),
        cmocka_unit_test(test_deadline_is_etimedout),
        cmocka_unit_test(test_cancel_ends_a_hanging_fetch),
        cmocka_unit_test(test_free_ends_what_is_under_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
