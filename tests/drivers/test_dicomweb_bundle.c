/* SPDX-License-Identifier: Apache-2.0 */
/* tests/drivers/test_dicomweb_bundle.c -- series by one WADO-RS request, from servers
 * that send more, less, something else, or not to the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define SHAPE "1,1,2,12"
#include "dicomweb_run.h"

#define STALL_AFTER_THREE "part_stall=3"
#include "bundle_run.h"

#define ALL BUNDLE_OBJECTS

static void test_series_comes_whatever_the_reply_has(void **state)
{
    (void)state;
    static const struct bundle_case cases[] = {
        {"part_length=0&quoted=0&preamble=x&close=1", 0, ALL, ALL, ""},
        {"part_type=text/plain", 0, ALL, ALL, ""},
        {"series_words=2", 0, ALL, ALL, ""},
        {"series_twice=3", 0, ALL, ALL, ""},
        {"match=series&fail=503&fail_times=1&retry_after=1", 0, ALL, ALL, ""},
        {"latency=50", 0, ALL, ALL, ""},
    };
    run_bundle_cases(cases, VIVO_ARRAY_LEN(cases));
}

static void test_only_whole_objects_are_handed_on(void **state)
{
    (void)state;
    static const struct bundle_case cases[] = {
        {"series_short=4", 0, ALL - 4, ALL - 4, ""}, /* counted by who asked */
        {"part_cut=100", 0, ALL - 1, ALL - 1, ""},
        {"status=206&series_short=2", -EIO, ALL - 2, ALL - 2, "only some"},
        {"cut=9000", -EIO, 1, ALL - 1, ""},
        {"cut=9000&close=1", -EIO, 1, ALL - 1, "closing boundary"},
        {"cut=9000&chunked=1", -EIO, 1, ALL - 1, ""},
        {"cut=0", -EIO, 0, 0, ""},
        {"last_boundary=0&close=1", -EIO, ALL - 1, ALL - 1, "closing boundary"},
        {"last_boundary=0", -EIO, ALL - 1, ALL - 1, "closing boundary"},
        {"length=7", -EIO, ALL, ALL, ""},
        {"part_length_add=1", -EIO, 0, 0, "announced"},
        {"part_stall=3", -ETIMEDOUT, 3, 3, ""},
        {"match=series&fail=503", -EIO, 0, 0, "503"},
        {"match=series&fail=401", -EACCES, 0, 0, "401"},
        {"no_series=404", -ENOENT, 0, 0, "404"},
        {"no_series=406", -EIO, 0, 0, "406"},
    };
    run_bundle_cases(cases, VIVO_ARRAY_LEN(cases));
}

static void test_foreign_objects_have_no_locator_of_the_listing(void **state)
{
    (void)state;
    struct cargo c;
    struct vivo_op op;
    /* Those of the other series: under a locator that none of them has. */
    assert_int_equal(bundle_with("series_foreign=3", false, &c, &op), 0);
    assert_int_equal(c.whole, ALL);
    assert_int_equal(c.foreign, 3);
    assert_true(c.alive > 0);
}

static void test_server_that_refuses_series_is_not_asked_again(void **state)
{
    (void)state;
    static const char *const knobs[] = {"no_series=406", "no_series=400",
                                        "no_series=501", "no_series=405"};
    for (size_t i = 0; i < VIVO_ARRAY_LEN(knobs); i++) {
        struct vivo_archive *a = open_source(source, NULL);
        struct gathering g;
        struct cargo c;
        struct vivo_op op;
        control("/__reset");
        assert_int_equal(list_all(a, &g, &op), 0);
        set(knobs[i]);
        cargo_init(&c, &g);
        assert_true(vivo_archive_bundle(a, first_series(&g), &c.base, &op) < 0);
        vivo_op_init(&op, 0);
        uint64_t before = atomic_load(&a->requests);
        assert_int_equal(vivo_archive_bundle(a, first_series(&g), &c.base, &op), -EIO);
        assert_non_null(strstr(op.err.text, "one by one"));
        assert_int_equal(atomic_load(&a->requests), before);
        gathering_free(&g);
        vivo_archive_close(a);
    }
    control("/__reset");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_series_comes_however_the_reply_is_framed),
        cmocka_unit_test(test_series_comes_whatever_the_reply_has),
        cmocka_unit_test(test_only_whole_objects_are_handed_on),
        cmocka_unit_test(test_foreign_objects_have_no_locator_of_the_listing),
        cmocka_unit_test(test_cancelled_bundle_is_eintr),
        cmocka_unit_test(test_server_that_refuses_series_is_not_asked_again),
    };
    return cmocka_run_group_tests(tests, start_all, stop_all);
}
