/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_net_redirect.c -- who gets credentials. */
#include "vivofs/net.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "scripted_server.h"

#include <sys/stat.h>

/* ---- redirects and credentials ---------------------------------------------- */

static void redirect_to(char *out, size_t cap, const char *host, unsigned port)
{
    snprintf(out, cap,
             "HTTP/1.1 302 x\r\nLocation: http://%s:%u/b\r\nContent-Length: 0\r\n\r\n",
             host, port);
}

static const char *const api_key[] = {"X-Api-Key: k1", NULL};

static void test_redirect_elsewhere_drops_credentials(void **state)
{
    (void)state;
    struct server other = {.answers = {OK_BODY}, .nanswers = 1};
    char answer[256];
    char url[64];
    start(&other);
    redirect_to(answer, sizeof answer, "127.0.0.1", other.port);
    struct server s = {.answers = {answer}, .nanswers = 1};
    struct result r;
    start(&s);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/a", s.port);
    fetch(&plain, (struct vivo_net_request){.bearer = "tok1", .headers = api_key}, url,
          0, &r);
    stop(&s);
    stop(&other);
    assert_int_equal(r.rc, 0);
    assert_non_null(strstr(s.asked[0], "Authorization: Bearer tok1\r\n"));
    assert_non_null(strstr(s.asked[0], "X-Api-Key: k1\r\n"));
    assert_non_null(strstr(other.asked[0], "GET /b "));
    assert_null(strcasestr(other.asked[0], "authorization"));
    assert_null(strcasestr(other.asked[0], "X-Api-Key"));
    vivo_buf_free(&r.body);
}

static void test_redirect_at_home_keeps_credentials(void **state)
{
    (void)state;
    struct server s = {.answers = {"HTTP/1.1 307 x\r\nLocation: /b\r\n"
                                   "Content-Length: 0\r\n\r\n",
                                   OK_BODY},
                       .nanswers = 2};
    struct result r;
    char url[64];
    start(&s);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/a", s.port);
    fetch(&plain, (struct vivo_net_request){.bearer = "tok1"}, url, 0, &r);
    stop(&s);
    assert_int_equal(r.rc, 0);
    assert_non_null(strstr(s.asked[1], "GET /b "));
    assert_non_null(strstr(s.asked[1], "Authorization: Bearer tok1\r\n"));
    vivo_buf_free(&r.body);
}

static void test_redirects_to_other_schemes_and_loops_fail(void **state)
{
    (void)state;
    static const char *const places[] = {"file:///etc/passwd", "gopher://h/", "/a",
                                         "http://u:p@127.0.0.1/"};
    for (size_t i = 0; i < VIVO_ARRAY_LEN(places); i++) {
        char answer[256];
        snprintf(answer, sizeof answer,
                 "HTTP/1.1 302 x\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n",
                 places[i]);
        struct server s = {.answers = {answer}, .nanswers = 1};
        struct result r;
        fetch_answers(&plain, &s, &r);
        assert_int_equal(r.rc, -EIO);
        assert_int_equal(r.body.len, 0);
        assert_null(strstr(r.op.err.text, "passwd"));
        vivo_buf_free(&r.body);
    }
}

static void write_netrc(char path[32], mode_t mode)
{
    static const char text[] = "machine 127.0.0.1 login u1 password p1\n";
    memcpy(path, "/tmp/vivo-netrc-XXXXXX", sizeof "/tmp/vivo-netrc-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, sizeof text - 1), (ssize_t)(sizeof text - 1));
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static void test_netrc_password_is_sent(void **state)
{
    (void)state;
    char path[32];
    write_netrc(path, 0600);
    struct server s = {.answers = {OK_BODY}, .nanswers = 1};
    struct result r;
    const struct vivo_net_config cfg = {.timeout_ms = 5000, .netrc = path};
    fetch_answers(&cfg, &s, &r);
    unlink(path);
    assert_int_equal(r.rc, 0);
    assert_non_null(strstr(s.asked[0], "Authorization: Basic dTE6cDE=\r\n"));
    vivo_buf_free(&r.body);
}

static void test_relative_redirect_keeps_netrc_and_goes_on(void **state)
{
    (void)state;
    char path[32];
    write_netrc(path, 0600);
    struct server s = {
        .answers = {"HTTP/1.1 302 x\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n",
                    OK_BODY},
        .nanswers = 2};
    struct result r;
    const struct vivo_net_config cfg = {.timeout_ms = 5000, .netrc = path};
    fetch_answers(&cfg, &s, &r);
    unlink(path);
    assert_int_equal(r.rc, 0);
    assert_non_null(strstr(s.asked[1], "GET /b "));
    assert_non_null(strstr(s.asked[1], "Authorization: Basic dTE6cDE=\r\n"));
    vivo_buf_free(&r.body);
}

static void test_netrc_readable_by_others_is_eperm(void **state)
{
    (void)state;
    static const mode_t modes[] = {0640, 0604, 0620, 0666};
    for (size_t i = 0; i < VIVO_ARRAY_LEN(modes); i++) {
        char path[32];
        struct vivo_net *net = NULL;
        struct vivo_err err = {0};
        write_netrc(path, modes[i]);
        const struct vivo_net_config cfg = {.netrc = path};
        assert_int_equal(vivo_net_new(&cfg, &net, &err), -EPERM);
        assert_non_null(strstr(err.text, path));
        assert_null(net);
        unlink(path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_redirect_elsewhere_drops_credentials),
        cmocka_unit_test(test_redirect_at_home_keeps_credentials),
        cmocka_unit_test(test_redirects_to_other_schemes_and_loops_fail),
        cmocka_unit_test(test_netrc_password_is_sent),
        cmocka_unit_test(test_relative_redirect_keeps_netrc_and_goes_on),
        cmocka_unit_test(test_netrc_readable_by_others_is_eperm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
