/* SPDX-License-Identifier: Apache-2.0 */
/* tests/drivers/test_nbia_bundle.c -- series by one zip, split as it comes, from a
 * server that hides its failures in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define SHAPE "1,1,2,12"
#include "nbia_run.h"

#define STALL_AFTER_THREE "zip_stall=3"
#include "bundle_run.h"

#define ALL BUNDLE_OBJECTS

static void test_series_comes_whatever_the_reply_has(void **state)
{
    (void)state;
    static const struct bundle_case cases[] = {
        {"zip_stored=1", 0, ALL, ALL, ""},
        {"drop=FileSize", 0, ALL, ALL, ""},
        {"match=getImage&fail=503&fail_times=1&retry_after=1", 0, ALL, ALL, ""},
    };
    run_bundle_cases(cases, VIVO_ARRAY_LEN(cases));
}

static void test_only_whole_images_are_handed_on(void **state)
{
    (void)state;
    static const struct bundle_case cases[] = {
        {"zip_short=4", -EIO, ALL - 4, ALL - 4, "holds 8 of the 12"},
        {"zip_short=12", -EIO, 0, 0, "holds 0 of the 12"},
        {"zip_cut=100", -EIO, ALL - 1, ALL - 1, "holds 11 of the 12"},
        /* To the end of an element, so that nothing but the sum of bytes tells. */
        {"zip_headless=1", -EIO, ALL - 1, ALL - 1, "shorter than the series"},
        {"zip_break=1", -EIO, 3, 8, "getImage"},
        {"zip_html=1", -EIO, 0, 0, "words"},
        {"zip_text=oops", -EIO, 0, 0, "no zip"},
        {"zip_bomb=1", -EIO, ALL, ALL, "more than"},
        {"match=getImage&cut=4000", -EIO, 1, ALL - 1, ""},
        {"match=getImage&cut=4000&close=1", -EIO, 1, ALL - 1, "cut after"},
        {"match=getImage&cut=4000&chunked=1", -EIO, 1, ALL - 1, ""},
        {"match=getImage&length=7", -EIO, 0, ALL, ""},
        {"zip_stall=3", -ETIMEDOUT, 3, 3, ""},
        {"match=getImage&fail=503", -EIO, 0, 0, "503"},
        {"match=getImage&fail=404", -EIO, 0, 0, "404"},
        {"match=getImage&fail=401", -EACCES, 0, 0, "401"},
    };
    run_bundle_cases(cases, VIVO_ARRAY_LEN(cases));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_series_comes_however_the_reply_is_framed),
        cmocka_unit_test(test_series_comes_whatever_the_reply_has),
        cmocka_unit_test(test_only_whole_images_are_handed_on),
        cmocka_unit_test(test_cancelled_bundle_is_eintr),
    };
    return cmocka_run_group_tests(tests, start_all, stop_all);
}
