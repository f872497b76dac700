/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_base_array.c -- arrays that grow up to a maximum. */
#include "vivofs/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_array_keeps_its_members_and_stops_at_its_maximum(void **state)
{
    (void)state;
    size_t n = 0, cap = 0;
    VIVO_AUTO(vivo_free_p) uint64_t *a = NULL;
    for (;;) {
        uint64_t *p = vivo_array_grow(a, n, &cap, sizeof *p, 1000);
        if (!p)
            break;
        a = p;
        assert_true(cap > n && cap <= 1000);
        a[n] = n * 3;
        n++;
    }
    assert_int_equal(n, 1000);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(a[i], i * 3);
}

static void test_array_too_large_for_memory_is_left_as_it_was(void **state)
{
    (void)state;
    size_t cap = 0;
    char *a = vivo_array_grow(NULL, 0, &cap, 1, 8);
    assert_non_null(a);
    size_t was = cap;
    assert_null(vivo_array_grow(a, cap, &cap, SIZE_MAX / 4, VIVO_ARRAY_MAX));
    assert_int_equal(cap, was);
    free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_array_keeps_its_members_and_stops_at_its_maximum),
        cmocka_unit_test(test_array_too_large_for_memory_is_left_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
