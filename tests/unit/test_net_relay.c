/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_net_relay.c -- bodies that the calling thread takes in: all of their
 * bytes, at its own pace, without holding up anybody but the server. */
#include "vivofs/net.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "scripted_server.h"

#define BODY_BYTES (6u << 20) /* more than any buffer between the two */

struct taker {
    struct vivo_sink base;
    struct vivo_net *net;
    const char *other; /* URL that is asked for from within the first write */
    pthread_t thread;  /* whose the sink is */
    uint64_t bytes, restarts;
    uint64_t fail_at; /* 0 = never */
    struct vivo_op *cancel;
    bool wrong; /* another byte than in the body, or another thread */
};

static char byte_at(uint64_t i)
{
    return (char)('a' + i % 23);
}

static int take(struct vivo_sink *self, const void *data, size_t len,
                struct vivo_err *err)
{
    struct taker *t = (struct taker *)self;
    const char *p = data;
    t->wrong = t->wrong || !pthread_equal(t->thread, pthread_self());
    for (size_t i = 0; i < len; i++)
        t->wrong = t->wrong || p[i] != byte_at(t->bytes + i);
    t->bytes += len;
    if (t->other && t->bytes == len) { /* on the same net thread */
        struct vivo_op op;
        struct vivo_net_reply reply;
        const struct vivo_net_request rq = {.url = t->other};
        vivo_op_init(&op, 0);
        assert_int_equal(vivo_net_fetch(t->net, &rq, NULL, &reply, &op), 0);
    }
    if (t->cancel)
        atomic_store(&t->cancel->cancelled, true);
    if (t->fail_at && t->bytes >= t->fail_at)
        return vivo_fail(err, ENOSPC, "told to");
    return 0;
}

static int restart(struct vivo_sink *self, struct vivo_err *err)
{
    struct taker *t = (struct taker *)self;
    (void)err;
    t->bytes = 0;
    t->restarts++;
    return 0;
}

/* "HTTP/1.1 200 OK", a head and `bytes` of body. */
static char *answer(const char *head, size_t bytes)
{
    char *s = NULL;
    int n = asprintf(&s, "HTTP/1.1 200 OK\r\n%s\r\n\r\n", head);
    assert_true(n > 0);
    s = realloc(s, (size_t)n + bytes + 1);
    assert_non_null(s);
    for (size_t i = 0; i < bytes; i++)
        s[(size_t)n + i] = byte_at(i);
    s[(size_t)n + bytes] = '\0';
    return s;
}

static int run(struct server *s, struct taker *t, struct vivo_net_request rq,
               unsigned retries, struct vivo_op *op)
{
    const struct vivo_net_config cfg = {.timeout_ms = 5000, .retries = retries};
    struct vivo_net_reply reply;
    struct vivo_err err = {0};
    char url[64];
    start(s);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/a", s->port);
    assert_int_equal(vivo_net_new(&cfg, &t->net, &err), 0);
    t->base.write = take;
    t->thread = pthread_self();
    vivo_op_init(op, 0);
    rq.url = url;
    rq.on_caller = true;
    rq.max_bytes = 64u << 20;
    int rc = vivo_net_fetch(t->net, &rq, &t->base, &reply, op);
    assert_int_equal(op->err.errnum, -rc);
    vivo_net_free(t->net);
    stop(s);
    assert_false(t->wrong);
    return rc;
}

static void test_all_bytes_come_on_the_calling_thread(void **state)
{
    (void)state;
    char length[64];
    snprintf(length, sizeof length, "Content-Length: %u", BODY_BYTES);
    const struct {
        const char *head;
        bool close_ends;
    } cases[] = {{length, false}, {"Connection: close", true}};
    for (size_t i = 0; i < VIVO_ARRAY_LEN(cases); i++) {
        char *whole = answer(cases[i].head, BODY_BYTES);
        struct server s = {.answers = {whole}, .nanswers = 1};
        struct taker t = {0};
        struct vivo_op op;
        const struct vivo_net_request rq = {.close_ends = cases[i].close_ends};
        assert_int_equal(run(&s, &t, rq, 0, &op), 0);
        assert_int_equal(t.bytes, BODY_BYTES);
        free(whole);
    }
}

/* The body waits, with more to come than fits; what else is asked for does not. */
static void test_slow_taker_holds_up_nobody_else(void **state)
{
    (void)state;
    char length[64], url[64];
    snprintf(length, sizeof length, "Content-Length: %u", BODY_BYTES);
    char *whole = answer(length, BODY_BYTES);
    struct server s = {.answers = {whole}, .nanswers = 1};
    struct server quick = {.answers = {OK_BODY}, .nanswers = 1};
    struct taker t = {.other = url};
    struct vivo_op op;
    start(&quick);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/b", quick.port);
    assert_int_equal(run(&s, &t, (struct vivo_net_request){0}, 0, &op), 0);
    assert_int_equal(t.bytes, BODY_BYTES);
    assert_int_equal(quick.nasked, 1);
    stop(&quick);
    free(whole);
}

static void test_cut_body_gives_what_came_and_eio(void **state)
{
    (void)state;
    char *cut = answer("Content-Length: 9000000", 100000);
    struct server s = {.answers = {cut}, .nanswers = 1};
    struct taker t = {0};
    struct vivo_op op;
    assert_int_equal(run(&s, &t, (struct vivo_net_request){0}, 2, &op), -EIO);
    assert_int_equal(t.bytes, 100000);
    assert_int_equal(s.nasked, 1);
    free(cut);
}

static void test_cut_body_is_asked_for_again_where_the_sink_can(void **state)
{
    (void)state;
    char *cut = answer("Content-Length: 200000", 100000);
    char *whole = answer("Content-Length: 200000", 200000);
    struct server s = {.answers = {cut, whole}, .nanswers = 2};
    struct taker t = {.base.restart = restart};
    struct vivo_op op;
    assert_int_equal(run(&s, &t, (struct vivo_net_request){0}, 2, &op), 0);
    assert_int_equal(t.bytes, 200000);
    assert_int_equal(t.restarts, 1);
    free(cut);
    free(whole);
}

static void test_errors_of_the_sink_end_the_transfer(void **state)
{
    (void)state;
    char length[64];
    snprintf(length, sizeof length, "Content-Length: %u", BODY_BYTES);
    char *whole = answer(length, BODY_BYTES);
    static const uint64_t where[] = {1, BODY_BYTES / 2, BODY_BYTES};
    for (size_t i = 0; i < VIVO_ARRAY_LEN(where); i++) {
        struct server s = {.answers = {whole}, .nanswers = 1};
        struct taker t = {.fail_at = where[i]};
        struct vivo_op op;
        assert_int_equal(run(&s, &t, (struct vivo_net_request){0}, 2, &op), -ENOSPC);
        assert_non_null(strstr(op.err.text, "told to"));
        assert_int_equal(s.nasked, 1);
    }
    free(whole);
}

static void test_cancelled_is_eintr(void **state)
{
    (void)state;
    char *part = answer("Content-Length: 9000000", 100000);
    char *hangs = NULL;
    assert_true(asprintf(&hangs, "%s" HANG, part) > 0);
    struct server s = {.answers = {hangs}, .nanswers = 1};
    struct vivo_op op;
    struct taker t = {.cancel = &op};
    assert_int_equal(run(&s, &t, (struct vivo_net_request){0}, 2, &op), -EINTR);
    free(part);
    free(hangs);
}

static void test_error_pages_go_nowhere(void **state)
{
    (void)state;
    struct server s = {.answers = {"HTTP/1.1 500 No\r\nContent-Length: 3\r\n\r\nbad"},
                       .nanswers = 1};
    struct taker t = {0};
    struct vivo_op op;
    assert_int_equal(run(&s, &t, (struct vivo_net_request){0}, 0, &op), -EIO);
    assert_int_equal(t.bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_bytes_come_on_the_calling_thread),
        cmocka_unit_test(test_slow_taker_holds_up_nobody_else),
        cmocka_unit_test(test_cut_body_gives_what_came_and_eio),
        cmocka_unit_test(test_cut_body_is_asked_for_again_where_the_sink_can),
        cmocka_unit_test(test_errors_of_the_sink_end_the_transfer),
        cmocka_unit_test(test_cancelled_is_eintr),
        cmocka_unit_test(test_error_pages_go_nowhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
