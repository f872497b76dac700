/* SPDX-License-Identifier: Apache-2.0 */
/* tests/drivers/test_dimse_bundle.c -- a series by one C-GET, against a PACS that sends
 * less, more or something else than it was asked for (tests/servers/dimse_server.py).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "dimse_fault.h"

#define SERIES "1.2.1/1.2.1.1"
#define OBJECT SERIES "/1.2.1.1.1/1.2.840.10008.5.1.4.1.1.2"
#define OBJECTS_MAX 4
#define LOCATOR_MAX 300

/* ---- what a bundle brings ----------------------------------------------------------
 */

struct parcel {
    struct vivo_bundle base;
    struct vivo_op *op;
    char locators[OBJECTS_MAX][LOCATOR_MAX];
    size_t sizes[OBJECTS_MAX];
    size_t n, size;
    int refuse;  /* what the sink answers */
    bool cancel; /* at the first byte */
};

static int take_bytes(struct vivo_sink *self, const void *data, size_t len,
                      struct vivo_err *err)
{
    struct parcel *p = (struct parcel *)self; /* first of its first member */
    (void)data;
    p->size += len;
    if (p->cancel)
        atomic_store(&p->op->cancelled, true);
    return p->refuse ? vivo_fail(err, p->refuse, "no room") : 0;
}

static int take_whole(struct vivo_bundle *self, const char *locator,
                      struct vivo_err *err)
{
    struct parcel *p = (struct parcel *)self; /* first member */
    (void)err;
    assert_true(p->n < OBJECTS_MAX);
    snprintf(p->locators[p->n], sizeof p->locators[0], "%s", locator);
    p->sizes[p->n++] = p->size;
    p->size = 0;
    return 0;
}

static void stay_alive(struct vivo_bundle *self, uint64_t bytes)
{
    (void)self;
    (void)bytes;
}

static int bundle(const char *title, struct parcel *p, struct vivo_op *op)
{
    struct vivo_archive *a = open_title(title);
    p->base = (struct vivo_bundle){{take_bytes, NULL}, take_whole, stay_alive, NULL};
    p->op = op;
    vivo_op_init(op, 0);
    int rc = vivo_archive_bundle(a, SERIES, &p->base, op);
    if (rc)
        print_message("%s: %d %s\n", title, rc, op->err.text);
    vivo_archive_close(a);
    return rc;
}

static void check_failure(const char *title, int errnum, const char *word, size_t came)
{
    struct parcel p = {.n = 0};
    struct vivo_op op;
    assert_int_equal(bundle(title, &p, &op), -errnum);
    assert_non_null(strstr(op.err.text, word));
    assert_int_equal(p.n, came);
}

static void test_series_comes_by_one_request(void **state)
{
    struct parcel p = {.n = 0};
    struct receipt r;
    struct vivo_op op;
    (void)state;
    assert_int_equal(bundle("WHOLE", &p, &op), 0);
    assert_int_equal(p.n, 2);
    assert_string_equal(p.locators[0], OBJECT);
    assert_int_equal(requests("WHOLE C-GET SERIES"), 1);
    assert_int_equal(requests("WHOLE C-GET IMAGE"), 0);
    struct vivo_archive *a = open_title("WHOLE");
    vivo_op_init(&op, 0);
    receipt_init(&r, false, &op);
    assert_int_equal(vivo_archive_fetch(a, OBJECT, &r.base, &op), 0);
    assert_int_equal(r.bytes.len, p.sizes[0]);
    receipt_free(&r);
    vivo_archive_close(a);
}

static void test_what_was_not_asked_for_is_left_out(void **state)
{
    struct parcel p = {.n = 0};
    struct vivo_op op;
    (void)state;
    assert_int_equal(bundle("EXTRA", &p, &op), 0);
    assert_int_equal(p.n, 2);
    assert_int_equal(p.sizes[0], p.sizes[1]);
}

static void test_series_that_is_short_fails_after_what_came(void **state)
{
    (void)state;
    check_failure("PARTIAL", EIO, "1 of 2 objects", 1);
    check_failure("LIAR", EIO, "1 of 2 objects", 1);
    check_failure("FAILED", EIO, "0 of 2 objects", 0);
    check_failure("OTHER", EIO, "0 of 2 objects", 0);
}

static void test_object_that_is_another_ends_the_bundle(void **state)
{
    (void)state;
    check_failure("SWAP", EIO, "another object", 0);
    check_failure("ABORT", EIO, "aborted", 0);
    check_failure("SILENT", ETIMEDOUT, "silent", 0);
}

static void test_receiver_that_refuses_ends_it(void **state)
{
    struct parcel p = {.refuse = ENOSPC};
    struct vivo_op op;
    (void)state;
    assert_int_equal(bundle("WHOLE", &p, &op), -ENOSPC);
    assert_int_equal(p.n, 0);
}

static void test_reader_who_leaves_cancels_it_at_the_server(void **state)
{
    struct parcel p = {.cancel = true};
    struct vivo_op op;
    (void)state;
    assert_int_equal(bundle("EXTRA", &p, &op), -EINTR);
    assert_true(p.n <= 1);
    for (int i = 0; i < 200 && !requests("EXTRA C-CANCEL"); i++)
        usleep(10000);
    assert_int_equal(requests("EXTRA C-CANCEL"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_series_comes_by_one_request),
        cmocka_unit_test(test_what_was_not_asked_for_is_left_out),
        cmocka_unit_test(test_series_that_is_short_fails_after_what_came),
        cmocka_unit_test(test_object_that_is_another_ends_the_bundle),
        cmocka_unit_test(test_receiver_that_refuses_ends_it),
        cmocka_unit_test(test_reader_who_leaves_cancels_it_at_the_server),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
