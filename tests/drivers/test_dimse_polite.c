/* SPDX-License-Identifier: Apache-2.0 */
/* tests/drivers/test_dimse_polite.c -- a PACS is a production system: few associations,
 * a slow pace (tests/servers/dimse_server.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "dimse_fault.h"

#define READERS 6
#define OBJECT "1.2.1/1.2.1.1/1.2.1.1.1/1.2.840.10008.5.1.4.1.1.2"

static void *read_object(void *arg)
{
    struct vivo_archive *a = arg;
    struct receipt r;
    struct vivo_op op;
    size_t n = 0;
    for (int i = 0; i < 3; i++) {
        vivo_op_init(&op, 0);
        receipt_init(&r, false, &op);
        n += vivo_archive_fetch(a, OBJECT, &r.base, &op) == 0 && r.bytes.len > 40000;
        receipt_free(&r);
    }
    return n == 3 ? arg : NULL;
}

static void read_together(const char *title)
{
    struct vivo_archive *a = open_title(title);
    pthread_t readers[READERS];
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, read_object, a), 0);
    for (int i = 0; i < READERS; i++) {
        void *read = NULL;
        pthread_join(readers[i], &read);
        assert_ptr_equal(read, a);
    }
    vivo_archive_close(a);
}

static void test_readers_share_one_association(void **state)
{
    (void)state;
    read_together("WHOLE");
    assert_int_equal(requests("WHOLE C-GET IMAGE"), 3 * READERS);
    assert_true(requests("WHOLE associations 1") >= 1);
    assert_int_equal(requests("WHOLE associations 2"), 0);
}

static void test_associations_are_as_many_as_allowed(void **state)
{
    (void)state;
    read_together("PARTIAL?associations=2");
    assert_int_equal(requests("PARTIAL C-GET IMAGE"), 3 * READERS);
    assert_int_equal(requests("PARTIAL associations 3"), 0);
}

static void test_five_requests_a_second_are_the_most(void **state)
{
    struct vivo_archive_config cfg = {.timeout_ms = 1000};
    struct vivo_archive *a = NULL;
    struct vivo_op op;
    struct vivo_err err = {0};
    char url[300];
    (void)state;
    snprintf(url, sizeof url, "dimse://VIVOFS@%s/WHOLE", server.line);
    cfg.source = url;
    assert_int_equal(vivo_archive_open(&cfg, &a, &err), 0);
    int64_t began = vivo_now_ms();
    for (int i = 0; i < 4; i++) {
        vivo_op_init(&op, 0);
        assert_int_equal(vivo_archive_probe(a, &op), 0);
    }
    assert_true(vivo_now_ms() - began >= 600);
    vivo_archive_close(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_readers_share_one_association),
        cmocka_unit_test(test_associations_are_as_many_as_allowed),
        cmocka_unit_test(test_five_requests_a_second_are_the_most),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
