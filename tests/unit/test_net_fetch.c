/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_net_fetch.c -- what a reply means, and that no cut one passes. */
#include "vivofs/net.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "scripted_server.h"

/* ---- status ----------------------------------------------------------------- */

static void test_whole_reply_is_delivered(void **state)
{
    (void)state;
    struct server s = {
        .answers = {"HTTP/1.1 200 OK\r\nContent-Type: text/x-y\r\nETag: \"e1\"\r\n"
                    "Warning: 299 h \"more\"\r\nContent-Length: 5\r\n\r\nhello"},
        .nanswers = 1};
    struct result r;
    fetch_answers(&plain, &s, &r);
    assert_int_equal(r.rc, 0);
    assert_int_equal(r.reply.status, 200);
    assert_string_equal(r.reply.content_type, "text/x-y");
    assert_string_equal(r.reply.etag, "\"e1\"");
    assert_string_equal(r.reply.warning, "299 h \"more\"");
    assert_int_equal(r.reply.content_length, 5);
    assert_int_equal(r.reply.received, 5);
    assert_memory_equal(r.body.data, "hello", 5);
    assert_non_null(strstr(s.asked[0], "GET /a HTTP/1.1\r\n"));
    assert_non_null(strstr(s.asked[0], "User-Agent: vivofs/"));
    vivo_buf_free(&r.body);
}

static void test_statuses_map_to_errnos(void **state)
{
    (void)state;
    static const struct {
        const char *answer;
        int rc;
        const char *text;
    } cases[] = {
        {"HTTP/1.1 401 No\r\nContent-Length: 3\r\n\r\nbad", -EACCES, "HTTP 401"},
        {"HTTP/1.1 403 No\r\nContent-Length: 3\r\n\r\nbad", -EACCES, "HTTP 403"},
        {"HTTP/1.1 404 No\r\nContent-Length: 3\r\n\r\nbad", -ENOENT, "HTTP 404"},
        {"HTTP/1.1 410 No\r\nContent-Length: 3\r\n\r\nbad", -ENOENT, "HTTP 410"},
        {"HTTP/1.1 400 No\r\nContent-Length: 3\r\n\r\nbad", -EIO, "HTTP 400"},
        {"HTTP/1.1 503 No\r\nContent-Length: 3\r\n\r\nbad", -EIO, "HTTP 503"},
        {"HTTP/1.1 204 No\r\n\r\n", 0, NULL},
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(cases); i++) {
        struct server s = {.answers = {cases[i].answer}, .nanswers = 1};
        struct result r;
        fetch_answers(&plain, &s, &r);
        assert_int_equal(r.rc, cases[i].rc);
        assert_int_equal(r.body.len, 0);
        if (cases[i].text) {
            char want[80];
            snprintf(want, sizeof want, "127.0.0.1:%u: GET /a: %s", s.port,
                     cases[i].text);
            assert_string_equal(r.op.err.text, want);
        }
        assert_int_equal(s.nasked, 1);
        vivo_buf_free(&r.body);
    }
}

/* ---- bodies that are not whole
 * -------------------------------------------------------- */

static void test_bodies_not_provably_whole_are_eio(void **state)
{
    (void)state;
    static const char *const answers[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-",
        "garbage",
        "",
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(answers); i++) {
        struct server s = {.answers = {answers[i]}, .nanswers = 1};
        struct result r;
        fetch_answers(&plain, &s, &r);
        assert_int_equal(r.rc, -EIO);
        vivo_buf_free(&r.body);
    }
}

static void test_chunked_whole_is_delivered(void **state)
{
    (void)state;
    struct server s = {
        .answers = {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"},
        .nanswers = 1};
    struct result r;
    fetch_answers(&plain, &s, &r);
    assert_int_equal(r.rc, 0);
    assert_int_equal(r.reply.content_length, -1);
    assert_false(r.reply.by_close);
    assert_int_equal(r.body.len, 5);
    vivo_buf_free(&r.body);
}

static void test_close_ends_is_the_callers_choice(void **state)
{
    (void)state;
    struct server s = {.answers = {"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello"},
                       .nanswers = 1};
    struct result r;
    char url[64];
    start(&s);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/a", s.port);
    fetch(&plain, (struct vivo_net_request){.close_ends = true}, url, 0, &r);
    stop(&s);
    assert_int_equal(r.rc, 0);
    assert_true(r.reply.by_close);
    assert_int_equal(r.body.len, 5);
    vivo_buf_free(&r.body);
}

static void test_reply_beyond_max_bytes_is_eio(void **state)
{
    (void)state;
    static const char *const answers[] = {
        OK_BODY, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                 "5\r\nhello\r\n0\r\n\r\n"};
    for (size_t i = 0; i < VIVO_ARRAY_LEN(answers); i++) {
        for (uint64_t max = 4; max <= 5; max++) {
            struct server s = {.answers = {answers[i]}, .nanswers = 1};
            struct result r;
            char url[64];
            start(&s);
            snprintf(url, sizeof url, "http://127.0.0.1:%u/a", s.port);
            fetch(&plain, (struct vivo_net_request){.max_bytes = max}, url, 0, &r);
            stop(&s);
            assert_int_equal(r.rc, max == 5 ? 0 : -EIO);
            vivo_buf_free(&r.body);
        }
    }
}

/* ---- requests --------------------------------------------------------------- */

static void test_bad_requests_are_einval(void **state)
{
    (void)state;
    static const char *const broken[] = {"X: a\r\nEvil: 1", NULL};
    static const char *const urls[] = {"http://u:p@127.0.0.1:1/", "file:///etc/passwd",
                                       "ftp://127.0.0.1/", "127.0.0.1/x", ""};
    struct result r;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(urls); i++) {
        fetch(&plain, (struct vivo_net_request){0}, urls[i], 0, &r);
        assert_int_equal(r.rc, -EINVAL);
        assert_null(strstr(r.op.err.text, "u:p"));
        vivo_buf_free(&r.body);
    }
    fetch(&plain, (struct vivo_net_request){.headers = broken}, "http://127.0.0.1:1/",
          0, &r);
    assert_int_equal(r.rc, -EINVAL);
    vivo_buf_free(&r.body);
}

static void test_post_sends_its_body(void **state)
{
    (void)state;
    struct server s = {.answers = {OK_BODY}, .nanswers = 1};
    struct result r;
    char url[64];
    start(&s);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/a", s.port);
    fetch(
        &plain,
        (struct vivo_net_request){.method = "POST", .body = "{\"a\":1}", .body_len = 7},
        url, 0, &r);
    stop(&s);
    assert_int_equal(r.rc, 0);
    assert_non_null(strstr(s.asked[0], "POST /a "));
    assert_non_null(strstr(s.asked[0], "\r\n\r\n{\"a\":1}"));
    vivo_buf_free(&r.body);
}

static void test_ranges_must_be_the_one_asked(void **state)
{
    (void)state;
    static const struct {
        const char *answer;
        int rc;
    } cases[] = {
        {"HTTP/1.1 206 x\r\nContent-Range: bytes 10-14/99\r\nContent-Length: "
         "5\r\n\r\nhello",
         0},
        {"HTTP/1.1 206 x\r\nContent-Range: bytes 0-4/99\r\nContent-Length: "
         "5\r\n\r\nhello",
         -EIO},
        {"HTTP/1.1 206 x\r\nContent-Length: 5\r\n\r\nhello", -EIO},
        {OK_BODY, 0},
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(cases); i++) {
        struct server s = {.answers = {cases[i].answer}, .nanswers = 1};
        struct result r;
        char url[64];
        start(&s);
        snprintf(url, sizeof url, "http://127.0.0.1:%u/a", s.port);
        fetch(&plain, (struct vivo_net_request){.range_first = 10, .range_len = 5}, url,
              0, &r);
        stop(&s);
        assert_int_equal(r.rc, cases[i].rc);
        assert_non_null(strstr(s.asked[0], "Range: bytes=10-14\r\n"));
        vivo_buf_free(&r.body);
    }
}

static void test_redacted_urls_say_little(void **state)
{
    (void)state;
    static const struct {
        const char *url, *want;
    } cases[] = {
        {"https://u:p@h.example:8042/dicom-web/studies/1.2.840.1/series?PatientID=X",
         "https://h.example:8042/dicom-web/studies/…/series"},
        {"http://h/instances/0123456789abcdef0123456789abcdef/file",
         "http://h/instances/…/file"},
        {"http://h/a/Doe%5EJane/b", "http://h/a/…/b"},
        {"http://h/a/12345678/b", "http://h/a/…/b"},
        {"http://h", "http://h"},
        {"http://h?x=1", "http://h"},
    };
    char out[200];
    for (size_t i = 0; i < VIVO_ARRAY_LEN(cases); i++) {
        vivo_url_redact(cases[i].url, out, sizeof out);
        assert_string_equal(out, cases[i].want);
    }
    for (size_t cap = 0; cap < 60; cap++) {
        memset(out, 'x', sizeof out);
        vivo_url_redact(cases[0].url, out, cap);
        assert_int_equal(out[cap], 'x');
        if (cap > 0)
            assert_non_null(memchr(out, '\0', cap));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_reply_is_delivered),
        cmocka_unit_test(test_statuses_map_to_errnos),
        cmocka_unit_test(test_bodies_not_provably_whole_are_eio),
        cmocka_unit_test(test_chunked_whole_is_delivered),
        cmocka_unit_test(test_close_ends_is_the_callers_choice),
        cmocka_unit_test(test_reply_beyond_max_bytes_is_eio),
        cmocka_unit_test(test_bad_requests_are_einval),
        cmocka_unit_test(test_post_sends_its_body),
        cmocka_unit_test(test_ranges_must_be_the_one_asked),
        cmocka_unit_test(test_redacted_urls_say_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
