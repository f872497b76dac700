/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_model_gate.c -- views of bytes that are still coming: what is there
 * is read, what is not says so, and the end waits until all is certain. */
#include "vivofs/view.h"

#include "vivofs/file.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define SIZE 3000

static struct {
    uint64_t there;
    bool certain;
    int failed, dropped;
} tap;

static int open_gate(void *ctx, uint64_t there, struct vivo_err *err)
{
    assert_ptr_equal(ctx, &tap);
    if (tap.failed)
        return vivo_fail(err, tap.failed, "it was cut");
    return tap.certain || there <= tap.there ? 0 : -EAGAIN;
}

static void drop(void *ctx)
{
    assert_ptr_equal(ctx, &tap);
    tap.dropped++;
}

static const struct vivo_view_gate gate = {.open = open_gate, .drop = drop};

/* "head", bytes 100 to 3000 of the file, "tail". */
static struct vivo_view *make(uint8_t whole[SIZE])
{
    struct vivo_err err = {0};
    struct vivo_view *over = NULL, *v = NULL;
    uint8_t content[SIZE];
    int fd = vivo_file_nameless(NULL, &err);
    assert_true(fd >= 0);
    for (size_t i = 0; i < SIZE; i++)
        content[i] = (uint8_t)(i * 7 + i / 256);
    assert_int_equal(vivo_pwrite_full(fd, content, SIZE, 0, &err), 0);
    memcpy(whole, "head", 4);
    memcpy(whole + 4, content + 100, SIZE - 100);
    memcpy(whole + SIZE - 96, "tail", 4);
    memset(&tap, 0, sizeof tap);
    assert_int_equal(vivo_view_new(fd, NULL, &over, &err), 0);
    assert_int_equal(vivo_view_add_memory(over, "head", 4), 0);
    assert_int_equal(vivo_view_add_range(over, 100, SIZE - 100), 0);
    assert_int_equal(vivo_view_add_memory(over, "tail", 4), 0);
    assert_int_equal(vivo_view_new_gated(over, &gate, &tap, &v, &err), 0);
    vivo_view_unref(over);
    assert_int_equal(vivo_view_size(v), SIZE - 92);
    return v;
}

static void test_what_is_there_is_read_and_what_is_not_says_so(void **state)
{
    uint8_t whole[SIZE], got[SIZE];
    struct vivo_view *v = make(whole);
    const uint64_t size = SIZE - 92;
    (void)state;
    for (tap.there = 0; tap.there <= SIZE; tap.there += 61) {
        for (uint64_t off = 0; off <= size; off += 37) {
            for (size_t len = 1; len < 900; len += 211) {
                struct vivo_err err = {0};
                uint64_t end = off + len;
                /* The end is never there: not all is certain. */
                bool can =
                    off == size || (end < size && (end <= 4 || end + 96 <= tap.there));
                if (end < size && end > 4 && end > SIZE - 96)
                    can = tap.there == SIZE;
                ssize_t n = vivo_view_pread(v, got, len, off, &err);
                assert_int_equal(err.errnum, 0);
                if (off < size)
                    assert_int_equal(can, vivo_view_needs(v, off, len) <= tap.there);
                assert_int_equal(n, !can ? -EAGAIN : off == size ? 0 : (ssize_t)len);
                if (n > 0)
                    assert_memory_equal(got, whole + off, len);
            }
        }
    }
    assert_int_equal(vivo_view_needs(v, size - 1, 1), VIVO_VIEW_ALL);
    vivo_view_unref(v);
    assert_int_equal(tap.dropped, 1);
}

static void test_all_of_it_is_read_once_it_is_certain(void **state)
{
    uint8_t whole[SIZE], got[SIZE];
    struct vivo_err err = {0};
    struct vivo_view *v = make(whole);
    int fd = -1;
    (void)state;
    tap.there = SIZE;
    assert_int_equal(vivo_view_pread(v, got, SIZE, 0, &err), -EAGAIN);
    assert_false(vivo_view_is_plain(v, &fd));
    int out = vivo_file_nameless(NULL, &err);
    assert_int_equal(vivo_view_copy(v, out, NULL, &err), -EIO);
    vivo_err_clear(&err);
    tap.certain = true;
    assert_int_equal(vivo_view_pread(v, got, SIZE, 0, &err), SIZE - 92);
    assert_memory_equal(got, whole, SIZE - 92);
    assert_int_equal(vivo_view_copy(v, out, NULL, &err), 0);
    assert_int_equal(vivo_pread_full(out, got, SIZE - 92, 0, &err), 0);
    assert_memory_equal(got, whole, SIZE - 92);
    close(out);
    vivo_view_unref(v);
}

static void test_a_failure_is_told_to_who_reads_on(void **state)
{
    uint8_t whole[SIZE], got[16];
    struct vivo_err err = {0};
    struct vivo_view *v = make(whole);
    (void)state;
    tap.failed = EIO;
    assert_int_equal(vivo_view_pread(v, got, 16, 1000, &err), -EIO);
    assert_string_equal(err.text, "it was cut");
    vivo_view_unref(v);
}

static void test_another_gate_has_no_say(void **state)
{
    static const struct vivo_view_gate other = {.open = open_gate, .drop = drop};
    uint8_t whole[SIZE];
    struct vivo_view *v = make(whole);
    (void)state;
    assert_ptr_equal(vivo_view_gate_ctx(v, &gate), &tap);
    assert_null(vivo_view_gate_ctx(v, &other));
    vivo_view_unref(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_there_is_read_and_what_is_not_says_so),
        cmocka_unit_test(test_all_of_it_is_read_once_it_is_certain),
        cmocka_unit_test(test_a_failure_is_told_to_who_reads_on),
        cmocka_unit_test(test_another_gate_has_no_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
