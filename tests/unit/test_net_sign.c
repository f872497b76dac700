/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_net_sign.c -- who signs a request, and how many are begun a second.
 */
#include "vivofs/net.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "scripted_server.h"

#include <sys/stat.h>

#define PROVIDER "aws:amz:eu-west-1:s3"

/* Asks once, signed so, with a netrc file of this text (or NULL); the head sent. */
static void sign(const struct vivo_net_signer *signer, bool no_netrc,
                 const char *netrc_text, char head[2048])
{
    struct server s = {.answers = {OK_BODY}, .nanswers = 1};
    char path[] = "/tmp/vivo-netrc-XXXXXX";
    char url[64];
    struct result r;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    if (netrc_text)
        assert_int_equal(write(fd, netrc_text, strlen(netrc_text)),
                         (ssize_t)strlen(netrc_text));
    close(fd);
    const struct vivo_net_config cfg = {.timeout_ms = 5000,
                                        .netrc = netrc_text ? path : NULL};
    start(&s);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/a?b=c", s.port);
    fetch(&cfg, (struct vivo_net_request){.signer = signer, .no_netrc = no_netrc}, url,
          0, &r);
    stop(&s);
    unlink(path);
    assert_int_equal(r.rc, 0);
    snprintf(head, 2048, "%s", s.asked[0]);
    vivo_buf_free(&r.body);
}

static void test_keys_sign_and_stay_here(void **state)
{
    (void)state;
    const struct vivo_net_signer signer = {PROVIDER, "IDENT", "sEcReT", "temporary"};
    char head[2048];
    sign(&signer, false, NULL, head);
    assert_non_null(strstr(head, "Authorization: AWS4-HMAC-SHA256 Credential=IDENT/"));
    assert_non_null(strstr(head, "/eu-west-1/s3/aws4_request"));
    assert_non_null(strstr(head, "x-amz-security-token: temporary"));
    assert_null(strstr(head, "sEcReT"));
    assert_null(strstr(head, "Expect"));
}

static void test_netrc_keys_sign_for_their_host_only(void **state)
{
    (void)state;
    const struct vivo_net_signer signer = {.provider = PROVIDER};
    char head[2048];
    sign(&signer, false, "machine 127.0.0.1 login IDENT password sEcReT\n", head);
    assert_non_null(strstr(head, "Authorization: AWS4-HMAC-SHA256 Credential=IDENT/"));
    assert_null(strstr(head, "sEcReT"));
    assert_null(strstr(head, "Basic"));
    sign(&signer, false, "machine other.example login IDENT password sEcReT\n", head);
    assert_null(strstr(head, "Authorization"));
    sign(&signer, false, NULL, head);
    assert_null(strstr(head, "Authorization"));
    sign(NULL, true, "machine 127.0.0.1 login IDENT password sEcReT\n", head);
    assert_null(strstr(head, "Authorization"));
}

static void test_rate_holds_requests_back(void **state)
{
    (void)state;
    enum { ASKED = 6, RATE = 10 };
    struct server s = {.answers = {OK_BODY}, .nanswers = 1};
    const struct vivo_net_config cfg = {.timeout_ms = 5000, .rate = RATE};
    struct vivo_net *net = NULL;
    struct vivo_err err = {0};
    char url[64];
    start(&s);
    assert_int_equal(vivo_net_new(&cfg, &net, &err), 0);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/a", s.port);
    int64_t before = vivo_now_ms();
    for (int i = 0; i < ASKED; i++) {
        const struct vivo_net_request rq = {.url = url};
        struct vivo_net_reply reply;
        struct vivo_op op;
        vivo_op_init(&op, 0);
        assert_int_equal(vivo_net_fetch(net, &rq, NULL, &reply, &op), 0);
    }
    /* One at once, and one for what a wake-up may have missed. */
    assert_true(vivo_now_ms() - before >= (ASKED - 2) * 1000 / RATE);
    vivo_net_free(net);
    stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_sign_and_stay_here),
        cmocka_unit_test(test_netrc_keys_sign_for_their_host_only),
        cmocka_unit_test(test_rate_holds_requests_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
