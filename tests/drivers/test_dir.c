/* SPDX-License-Identifier: Apache-2.0 */
/* tests/drivers/test_dir.c -- the folder driver. */
#include "vivofs/driver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>

static void test_open_missing_folder_is_enoent(void **state)
{
    (void)state;
    struct vivo_archive_config cfg = {.source = "/no/such/folder/here"};
    struct vivo_archive *a = NULL;
    struct vivo_err err = {0};

    assert_int_equal(vivo_archive_open(&cfg, &a, &err), -ENOENT);
    assert_int_equal(err.errnum, ENOENT);
    assert_null(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open_missing_folder_is_enoent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
