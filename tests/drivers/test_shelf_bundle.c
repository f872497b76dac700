/* SPDX-License-Identifier: Apache-2.0 */
/* tests/drivers/test_shelf_bundle.c -- the files of an item by one zip, of Girder and
 * of MIDAS, split as it comes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define SHAPE "1,1,2,12"
#include "shelf_run.h"

#define STALL_AFTER_THREE "zip_stall=3"
#include "bundle_run.h"

#define ALL BUNDLE_OBJECTS

static const struct bundle_case of_both[] = {
    {"zip_short=4", 0, ALL - 4, ALL - 4, ""},
    /* To the end of an element or not: another length than the list tells. */
    {"zip_cut=100", 0, ALL - 1, ALL - 1, ""},
    {"zip_cut=1", 0, ALL - 1, ALL - 1, ""},
    {"zip_stall=3", -ETIMEDOUT, 1, 3, "zip of an item"},
    {"no_zip=404", -ENOENT, 0, 0, "404"},
    {"no_zip=503", -EIO, 0, 0, "503"},
    {"no_zip=403", -EACCES, 0, 0, "login"},
    {"links=1", -EIO, 0, 0, "one by one"},
};

static void test_of_girder_only_whole_files_are_handed_on(void **state)
{
    (void)state;
    static const struct bundle_case cases[] = {
        {"match=item/.*/download&fail=503&fail_times=1", 0, ALL, ALL, ""},
        {"match=item/.*/download&cut=5000", -EIO, 1, ALL - 1, ""},
        {"match=item/.*/download&cut=5000&close=1", -EIO, 1, ALL - 1, ""},
        {"zip_root=another", 0, 0, 0, ""},
        {"no_zip=200", -EIO, 0, 0, "no zip"},
        {"mixed=1000", 0, ALL, ALL, ""},
        {"mixed=1000000000", -EIO, 0, 0, "more of other files"},
        {"match=item/.*/files&json=[{}]", -EBADMSG, 0, 0, "files of an item"},
        {"match=item/.{24}$&json={}", -EIO, 0, 0, "without a name"},
        {"match=file/.{24}$&json={}", -EBADMSG, 0, 0, "without an item"},
        {"match=file/.{24}$&fail=500", -EIO, 0, 0, "a file"},
    };
    run_bundle_cases(of_both, VIVO_ARRAY_LEN(of_both));
    run_bundle_cases(cases, VIVO_ARRAY_LEN(cases));
}

static void test_of_midas_only_whole_files_are_handed_on(void **state)
{
    (void)state;
    static const struct bundle_case cases[] = {
        {"match=download&fail=503&fail_times=1", 0, ALL, ALL, ""},
        {"match=download&cut=4000", -EIO, 1, ALL - 1, ""},
        {"no_zip=200", -EACCES, 0, 0, "page for people"},
        {"method=bitstream.get&code=-151", -EACCES, 0, 0, "a file"},
        {"method=bitstream.get&json={}", -EBADMSG, 0, 0, "a file"},
        {"method=item.get&json={}", -EIO, 0, 0, "one by one"},
        {"all_revisions=1", 0, ALL, ALL, ""},
    };
    run_bundle_cases(of_both, VIVO_ARRAY_LEN(of_both));
    run_bundle_cases(cases, VIVO_ARRAY_LEN(cases));
}

/* What is said to be wanted is what counts. */
static bool wants_none(struct vivo_bundle *self, const char *locator)
{
    (void)self;
    (void)locator;
    return false;
}

static void test_what_nobody_wants_is_not_fetched(void **state)
{
    (void)state;
    struct gathering g;
    struct vivo_op op;
    struct cargo c;
    control("/__reset");
    struct vivo_archive *a = open_as(NULL);
    assert_int_equal(list_all(a, &g, &op), 0);
    uint64_t before = count_retrieved(NULL);
    vivo_op_init(&op, 0);
    cargo_init(&c, &g);
    c.base.wants = wants_none;
    assert_int_equal(vivo_archive_bundle(a, g.objects[0].locator, &c.base, &op), -EIO);
    assert_int_equal(count_retrieved(NULL), before);
    vivo_buf_free(&c.bytes);
    gathering_free(&g);
    vivo_archive_close(a);
}

int main(void)
{
    const struct CMUnitTest girder[] = {
        cmocka_unit_test(test_of_girder_only_whole_files_are_handed_on),
        cmocka_unit_test(test_series_comes_however_the_reply_is_framed),
        cmocka_unit_test(test_what_nobody_wants_is_not_fetched),
        cmocka_unit_test(test_cancelled_bundle_is_eintr),
    };
    const struct CMUnitTest midas[] = {
        cmocka_unit_test(test_of_midas_only_whole_files_are_handed_on),
        cmocka_unit_test(test_series_comes_however_the_reply_is_framed),
        cmocka_unit_test(test_what_nobody_wants_is_not_fetched),
        cmocka_unit_test(test_cancelled_bundle_is_eintr),
    };
    server_program = VIVO_TEST_SOURCE_DIR "/tests/servers/girder_server.py";
    server_prefix = "girder+";
    int failed = cmocka_run_group_tests(girder, start_all, stop_all);
    server_program = VIVO_TEST_SOURCE_DIR "/tests/servers/midas_server.py";
    server_prefix = "midas+";
    return failed + cmocka_run_group_tests(midas, start_all, stop_all);
}
