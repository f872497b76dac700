/* SPDX-License-Identifier: Apache-2.0 */
/* tests/drivers/test_dimse_connect.c -- how the DIMSE driver comes to an association,
 * or says why not (tests/servers/dimse_server.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "dimse_fault.h"

#include <netinet/in.h>
#include <sys/socket.h>

/* Signs nothing that anybody shows. */
static const char certificate[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBdTCCARugAwIBAgIUUzBNRPYqx6vyCWbx7VzQrHbkUEEwCgYIKoZIzj0EAwIw\n"
    "DzENMAsGA1UEAwwEdGVzdDAgFw0yNjExMjMwMzE3NTBaGA8yMTI2MTAzMDAzMTc1\n"
    "MFowDzENMAsGA1UEAwwEdGVzdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABAKT\n"
    "v3Atn43pYfLGjF3rPUOuW4c7fMrZhJD1YgJUHoZMylK2x7tTg76o1qg84gfBhUrl\n"
    "auUHWMNChXNqS+cT4pGjUzBRMB0GA1UdDgQWBBTRvC7djTOd/WF9SO8KsaXdrYM6\n"
    "MjAfBgNVHSMEGDAWgBTRvC7djTOd/WF9SO8KsaXdrYM6MjAPBgNVHRMBAf8EBTAD\n"
    "AQH/MAoGCCqGSM49BAMCA0gAMEUCIQD93PqVFmPDYOUjb9p1zZIytA0Vfe//9yg1\n"
    "rjVIO6a+NgIgbpeFe+5jKuKj01gZtqHFEBgc/y8PJvT6/27TkpyKWys=\n"
    "-----END CERTIFICATE-----\n";

/* Listens to nobody, or not at all; a connection is refused, or never answered. */
static int open_port(bool listens, char url[300])
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    if (listens)
        assert_int_equal(listen(fd, 0), 0);
    /* Of a queue for one, the next ones hear nothing. */
    for (int i = 0; listens && i < 4; i++) {
        int other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert_true(other >= 0); /* left open until the end of the test */
        connect(other, (struct sockaddr *)&at, sizeof at);
    }
    snprintf(url, 300, "dimse://127.0.0.1:%u/X", ntohs(at.sin_port));
    return fd;
}

static void check(const char *url, int64_t timeout_ms, int errnum, const char *word)
{
    struct vivo_archive *a = open_source(url, timeout_ms);
    struct vivo_op op;
    vivo_op_init(&op, 0);
    int rc = vivo_archive_probe(a, &op);
    if (rc != -errnum || !strstr(op.err.text, word))
        print_message("%s: %d %s\n", url, rc, op.err.text);
    assert_int_equal(rc, -errnum);
    assert_non_null(strstr(op.err.text, word));
    vivo_archive_close(a);
}

static void check_title(const char *title, int errnum, const char *word)
{
    char url[300];
    snprintf(url, sizeof url, "dimse://VIVOFS@%s/%s", server.line, title);
    check(url, strcmp(title, "SILENTA") == 0 ? 300 : 1000, errnum, word);
}

static void test_refusal_of_an_association_says_why(void **state)
{
    (void)state;
    check_title("WHOLE", 0, "");
    check_title("NOTITLE", EACCES, "does not know the AE title");
    check_title("NOTUS", EACCES, "does not know our AE title");
    check_title("BUSY", EIO, "as many as it takes");
    check_title("ABORTA", EIO, "aborted the association at once");
    check_title("CLOSEA", EIO, "the association at once");
    check_title("GARBAGE", EIO, "no DICOM");
    check_title("SILENTA", ETIMEDOUT, "no answer to the request");
}

static void test_no_connection_says_why(void **state)
{
    char url[300];
    (void)state;
    int fd = open_port(false, url);
    check(url, 1000, EIO, "connection refused");
    close(fd);
    check("dimse://a..b:104/X", 1000, EIO, "no such host");
    fd = open_port(true, url);
    check(url, 500, ETIMEDOUT, "no answer");
    close(fd);
}

static void *cancel_soon(void *arg)
{
    struct vivo_op *op = arg;
    usleep(100 * 1000);
    atomic_store(&op->cancelled, true);
    return NULL;
}

static void test_connecting_is_interrupted(void **state)
{
    struct vivo_op op;
    pthread_t thread;
    char url[300];
    (void)state;
    int fd = open_port(true, url);
    struct vivo_archive *a = open_source(url, 60000);
    vivo_op_init(&op, 0);
    assert_int_equal(pthread_create(&thread, NULL, cancel_soon, &op), 0);
    assert_int_equal(vivo_archive_probe(a, &op), -EINTR);
    pthread_join(thread, NULL);
    vivo_op_init(&op, 100); /* the op's own deadline */
    assert_int_equal(vivo_archive_probe(a, &op), -ETIMEDOUT);
    vivo_archive_close(a);
    close(fd);
}

/* Who speaks no TLS waits for what is no DIMSE. */
static void test_handshake_is_interrupted(void **state)
{
    struct vivo_archive *a = NULL;
    struct vivo_err err = {0};
    struct vivo_op op;
    pthread_t thread;
    char url[300];
    (void)state;
    char cafile[] = "/tmp/vivo-cafile-XXXXXX";
    int fd = mkstemp(cafile);
    assert_true(fd >= 0);
    assert_int_equal(vivo_pwrite_full(fd, certificate, sizeof certificate - 1, 0, &err),
                     0);
    close(fd);
    snprintf(url, sizeof url, "dimses://VIVOFS@%s/WHOLE", server.line);
    const struct vivo_archive_config cfg = {
        .source = url, .timeout_ms = 60000, .rate = 1000, .cafile = cafile};
    assert_int_equal(vivo_archive_open(&cfg, &a, &err), 0);
    vivo_op_init(&op, 0);
    assert_int_equal(pthread_create(&thread, NULL, cancel_soon, &op), 0);
    assert_int_equal(vivo_archive_probe(a, &op), -EINTR);
    pthread_join(thread, NULL);
    vivo_archive_close(a);
    unlink(cafile);
}

static void test_ipv6_is_as_good(void **state)
{
    static const char *const argv[] = {SERVER, "--ipv6", NULL};
    struct child six;
    char url[300];
    (void)state;
    assert_int_equal(child_start(&six, argv), 0);
    snprintf(url, sizeof url, "dimse://VIVOFS@%s/WHOLE", six.line);
    assert_non_null(strstr(url, "@[::1]:"));
    check(url, 1000, 0, "");
    child_stop(&six);
}

static void test_address_that_is_none_is_refused(void **state)
{
    static const char *const bad[] = {
        "dimse://[::1]/X",       "dimse://[::1:104/X",    "dimse://[]:104/X",
        "dimse://[::1]104/X",    "dimse://::1:104/X",     "dimse://[::1]:/X",
        "dimse://[::1]:99999/X", "dimse://h:104/X?name=y"};
    (void)state;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(bad); i++) {
        const struct vivo_archive_config cfg = {.source = bad[i], .timeout_ms = 1000};
        struct vivo_archive *a = NULL;
        struct vivo_err err = {0};
        if (vivo_archive_open(&cfg, &a, &err) != -EINVAL)
            print_message("%s\n", bad[i]);
        assert_int_equal(err.errnum, EINVAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusal_of_an_association_says_why),
        cmocka_unit_test(test_no_connection_says_why),
        cmocka_unit_test(test_connecting_is_interrupted),
        cmocka_unit_test(test_handshake_is_interrupted),
        cmocka_unit_test(test_ipv6_is_as_good),
        cmocka_unit_test(test_address_that_is_none_is_refused),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
