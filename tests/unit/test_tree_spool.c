/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_tree_spool.c -- bytes of any length become a view, unchanged. */
#include "vivofs/tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

/* Byte i of everything that was added. */
static uint8_t byte_at(uint64_t i)
{
    return (uint8_t)(i * 131 + (i >> 8) * 7 + (i >> 16));
}

static void check(const size_t *pieces, size_t n)
{
    struct vivo_tree_spool s;
    struct vivo_view *view;
    struct vivo_err err = {0};
    uint64_t total = 0;
    uint8_t *buf;

    vivo_tree_spool_init(&s);
    for (size_t p = 0; p < n; p++) {
        buf = malloc(pieces[p] + 1);
        for (size_t i = 0; i < pieces[p]; i++)
            buf[i] = byte_at(total + i);
        assert_int_equal(vivo_tree_spool_add(&s, buf, pieces[p], &err), 0);
        total += pieces[p];
        free(buf);
    }
    assert_int_equal(vivo_tree_spool_view(&s, &view, &err), 0);
    vivo_tree_spool_free(&s);
    assert_true(vivo_view_size(view) == total);
    buf = malloc(total + 1);
    assert_true(vivo_view_pread(view, buf, total + 1, 0, &err) == (ssize_t)total);
    for (uint64_t i = 0; i < total; i++)
        assert_int_equal(buf[i], byte_at(i));
    free(buf);
    vivo_view_unref(view);
}

static void test_nothing_is_an_empty_view(void **state)
{
    (void)state;
    check(NULL, 0);
}

static void test_small_pieces_stay_in_order(void **state)
{
    (void)state;
    check((size_t[]){1, 0, 7, 4096, 3}, 5);
}

static void test_more_than_memory_takes_spills_in_order(void **state)
{
    (void)state;
    check((size_t[]){3u << 20, 2u << 20, 5, 4u << 20, 1}, 5);
}

static void test_one_piece_larger_than_memory_takes_is_kept(void **state)
{
    (void)state;
    check((size_t[]){10, 9u << 20, 10}, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_an_empty_view),
        cmocka_unit_test(test_small_pieces_stay_in_order),
        cmocka_unit_test(test_more_than_memory_takes_spills_in_order),
        cmocka_unit_test(test_one_piece_larger_than_memory_takes_is_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
