/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_model_view.c -- views: any read equals the slice of the whole; a
 * source that changes gives an error, never bytes. */
#include "vivofs/view.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#define SIZE 5000

static uint8_t content[SIZE];

/* A file of known bytes; the path is written into `path`. */
static int make_file(char path[32])
{
    snprintf(path, 32, "view-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    for (size_t i = 0; i < SIZE; i++)
        content[i] = (uint8_t)(i * 7 + i / 256);
    assert_int_equal(pwrite(fd, content, SIZE, 0), SIZE);
    return fd;
}

static struct vivo_view *view_of(int fd)
{
    struct vivo_err err = {0};
    struct vivo_identity id;
    struct vivo_view *v = NULL;
    assert_int_equal(vivo_identity_of(fd, &id, &err), 0);
    assert_int_equal(vivo_view_new(fd, &id, &v, &err), 0);
    return v;
}

static void expect_eio(const struct vivo_view *v, uint64_t off)
{
    struct vivo_err err = {0};
    uint8_t buf[64];
    assert_int_equal(vivo_view_pread(v, buf, sizeof buf, off, &err), -EIO);
    assert_int_equal(err.errnum, EIO);
    assert_true(err.text[0] != '\0');
}

static void test_pread_at_any_offset_is_the_slice_of_the_whole(void **state)
{
    (void)state;
    uint32_t seed = 11;
    for (int round = 0; round < 60; round++) {
        char path[32];
        struct vivo_view *v = view_of(make_file(path));
        uint8_t whole[20000];
        size_t size = 0;
        size_t in_memory = 0;
        for (int i = 0; i < round % 9; i++) {
            seed = seed * 1664525u + 1013904223u;
            size_t off = (seed >> 8) % SIZE;
            size_t len = (seed >> 20) % (SIZE - off > 2000 ? 2000 : SIZE - off);
            bool memory = seed & 0x80;
            assert_int_equal(memory ? vivo_view_add_memory(v, content + off, len)
                                    : vivo_view_add_range(v, off, len),
                             0);
            memcpy(whole + size, content + off, len);
            size += len;
            in_memory += memory ? len : 0;
        }
        assert_int_equal(vivo_view_size(v), size);
        assert_int_equal(vivo_view_memory(v), in_memory);
        for (int i = 0; i < 200; i++) {
            struct vivo_err err = {0};
            uint8_t buf[4000];
            seed = seed * 1664525u + 1013904223u;
            size_t off = (seed >> 4) % (size + 100);
            size_t len = (seed >> 18) % sizeof buf;
            size_t want = off >= size ? 0 : (size - off < len ? size - off : len);
            assert_int_equal(vivo_view_pread(v, buf, len, off, &err), want);
            assert_memory_equal(buf, whole + (want ? off : 0), want);
        }
        vivo_view_unref(v);
        unlink(path);
    }
}

static void test_adjacent_ranges_are_joined_into_a_plain_view(void **state)
{
    (void)state;
    char path[32];
    int fd = make_file(path);
    int plain = -1;
    struct vivo_view *v = view_of(fd);
    assert_false(vivo_view_is_plain(v, &plain));
    assert_int_equal(vivo_view_add_range(v, 0, 1000), 0);
    assert_int_equal(vivo_view_add_range(v, 1000, 0), 0);
    assert_int_equal(vivo_view_add_range(v, 1000, 4000), 0);
    assert_true(vivo_view_is_plain(v, &plain));
    assert_int_equal(plain, fd);
    assert_int_equal(vivo_view_add_memory(v, "x", 1), 0);
    assert_false(vivo_view_is_plain(v, &plain));
    vivo_view_unref(v);
    unlink(path);
}

static void test_source_rewritten_in_place_is_eio(void **state)
{
    (void)state;
    char path[32];
    int fd = make_file(path);
    struct vivo_view *v = view_of(fd);
    struct vivo_err err = {0};
    vivo_view_add_memory(v, "head", 4);
    vivo_view_add_range(v, 100, 1000);
    assert_int_equal(vivo_view_check(v, &err), 0);
    /* Same size; the mtime is put back, which ctime tells. */
    struct timespec times[2] = {{0, UTIME_OMIT}, {0, UTIME_OMIT}};
    struct vivo_identity before;
    assert_int_equal(vivo_identity_of(fd, &before, &err), 0);
    usleep(20000); /* more than the granularity of the file system's clock */
    assert_int_equal(pwrite(fd, "other", 5, 200), 5);
    times[1] =
        (struct timespec){before.mtime_ns / 1000000000, before.mtime_ns % 1000000000};
    assert_int_equal(futimens(fd, times), 0);
    expect_eio(v, 100);
    expect_eio(v, 0); /* the header is of the old version as well */
    assert_int_equal(vivo_view_check(v, &err), -EIO);
    vivo_view_unref(v);
    unlink(path);
}

static void test_source_truncated_is_eio(void **state)
{
    (void)state;
    char path[32];
    int fd = make_file(path);
    struct vivo_view *v = view_of(fd);
    vivo_view_add_range(v, 0, SIZE);
    assert_int_equal(ftruncate(fd, 50), 0);
    expect_eio(v, 0);
    expect_eio(v, 4000);
    vivo_view_unref(v);
    unlink(path);
}

static void test_source_without_identity_cut_is_eio(void **state)
{
    (void)state;
    char path[32];
    int fd = make_file(path);
    struct vivo_err err = {0};
    struct vivo_view *v = NULL;
    assert_int_equal(vivo_view_new(fd, NULL, &v, &err), 0);
    vivo_view_add_range(v, 0, SIZE);
    assert_int_equal(pwrite(fd, "x", 1, 0), 1);
    uint8_t byte;
    assert_int_equal(vivo_view_pread(v, &byte, 1, 0, &err), 1);
    assert_int_equal(byte, 'x');
    assert_int_equal(ftruncate(fd, 50), 0);
    expect_eio(v, 20); /* half of it would still be there */
    vivo_view_unref(v);
    unlink(path);
}

static void test_source_replaced_keeps_the_old_bytes(void **state)
{
    (void)state;
    char path[32];
    char other[32];
    int fd = make_file(path);
    struct vivo_view *v = view_of(fd);
    vivo_view_add_range(v, 0, SIZE);
    int second = make_file(other);
    assert_int_equal(pwrite(second, "new bytes", 9, 0), 9);
    close(second);
    usleep(20000);
    assert_int_equal(rename(other, path), 0);
    /* The old inode lost its name, which its ctime tells: no bytes of it either. */
    expect_eio(v, 0);
    vivo_view_unref(v);
    unlink(path);
}

static void test_view_of_memory_needs_no_descriptor(void **state)
{
    (void)state;
    struct vivo_err err = {0};
    struct vivo_view *v = NULL;
    char buf[8] = "";
    int fd;
    assert_int_equal(vivo_view_new(-1, NULL, &v, &err), 0);
    assert_int_equal(vivo_view_add_memory(v, "abc", 3), 0);
    assert_int_equal(vivo_view_add_memory(v, "def", 3), 0);
    assert_int_equal(vivo_view_add_range(v, 0, 1), -EINVAL);
    assert_int_equal(vivo_view_pread(v, buf, sizeof buf, 0, &err), 6);
    assert_string_equal(buf, "abcdef");
    assert_int_equal(vivo_view_pread(v, buf, 2, UINT64_MAX, &err), 0);
    assert_false(vivo_view_is_plain(v, &fd));
    vivo_view_unref(vivo_view_ref(v));
    vivo_view_unref(v);
    vivo_view_unref(NULL);
}

static void test_patterns_repeat_without_their_memory(void **state)
{
    (void)state;
    struct vivo_err err = {0};
    struct vivo_view *v = NULL;
    char buf[32] = "";
    assert_int_equal(vivo_view_new(-1, NULL, &v, &err), 0);
    assert_int_equal(vivo_view_add_memory(v, "xy", 2), 0);
    assert_int_equal(vivo_view_add_repeat(v, "abc", 3, 7), 0);
    assert_int_equal(vivo_view_add_repeat(v, "abc", 3, 4), 0); /* begins anew */
    assert_int_equal(vivo_view_add_memory(v, "z", 1), 0);
    assert_int_equal(vivo_view_add_repeat(v, "-", 1, 2), 0);
    assert_int_equal(vivo_view_add_repeat(v, "", 0, 2), -EINVAL);
    assert_int_equal(vivo_view_add_repeat(v, "abc", VIVO_VIEW_PERIOD_MAX + 1, 2),
                     -EINVAL);
    static const char want[] = "xyabcabcaabcaz--";
    assert_int_equal(vivo_view_size(v), sizeof want - 1);
    for (size_t off = 0; off < sizeof want - 1; off++)
        for (size_t n = 1; n <= sizeof want - 1 - off; n++) {
            assert_int_equal(vivo_view_pread(v, buf, n, off, &err), n);
            assert_memory_equal(buf, want + off, n);
        }
    assert_int_equal(vivo_view_add_repeat(v, "\0", 1, UINT64_C(1) << 40), 0);
    assert_true(vivo_view_memory(v) < 64);
    assert_int_equal(vivo_view_pread(v, buf, 4, UINT64_C(1) << 39, &err), 4);
    assert_memory_equal(buf, "\0\0\0\0", 4);
    vivo_view_unref(v);
}

static void test_ranges_that_overflow_are_einval(void **state)
{
    (void)state;
    char path[32];
    struct vivo_view *v = view_of(make_file(path));
    assert_int_equal(vivo_view_add_range(v, UINT64_MAX, 1), -EINVAL);
    assert_int_equal(vivo_view_add_range(v, 1, UINT64_MAX), -EINVAL);
    assert_int_equal(vivo_view_add_range(v, 0, INT64_MAX), 0);
    assert_int_equal(vivo_view_add_range(v, 0, INT64_MAX), -EINVAL);
    assert_int_equal(vivo_view_size(v), INT64_MAX);
    vivo_view_unref(v);
    unlink(path);
}

static void *read_all(void *arg)
{
    struct vivo_view *v = arg;
    for (int i = 0; i < 200; i++) {
        struct vivo_err err = {0};
        uint8_t buf[SIZE + 4];
        if (vivo_view_pread(v, buf, sizeof buf, 0, &err) != SIZE + 4 ||
            memcmp(buf + 4, content, SIZE) != 0)
            return v;
        vivo_view_unref(vivo_view_ref(v));
    }
    vivo_view_unref(v);
    return NULL;
}

static void test_a_copy_is_the_whole_or_an_error(void **state)
{
    char path[32], to[32];
    uint8_t whole[2 * SIZE], got[2 * SIZE];
    struct vivo_err err = {0};
    volatile sig_atomic_t stop = 0;
    (void)state;
    int source = make_file(path), out = make_file(to);
    assert_int_equal(ftruncate(out, 0), 0);
    struct vivo_view *v = view_of(source);
    assert_int_equal(vivo_view_add_memory(v, "head", 4), 0);
    assert_int_equal(vivo_view_add_range(v, 100, 4000), 0);
    assert_int_equal(vivo_view_add_repeat(v, "ab", 2, 9), 0);
    assert_int_equal(vivo_view_add_range(v, 7, 1), 0);
    assert_int_equal(vivo_view_copy(v, out, &stop, &err), 0);
    ssize_t n = vivo_view_pread(v, whole, sizeof whole, 0, &err);
    assert_int_equal(n, 4 + 4000 + 9 + 1);
    assert_int_equal(pread(out, got, sizeof got, 0), n);
    assert_memory_equal(got, whole, (size_t)n);
    stop = 1;
    assert_int_equal(vivo_view_copy(v, out, &stop, &err), -EINTR);
    err = (struct vivo_err){0};
    assert_int_equal(pwrite(source, "changed", 7, 0), 7);
    assert_int_equal(vivo_view_copy(v, out, NULL, &err), -EIO);
    vivo_view_unref(v);
    close(out);
    unlink(path);
    unlink(to);
}

static void test_threads_read_one_view(void **state)
{
    (void)state;
    char path[32];
    struct vivo_view *v = view_of(make_file(path));
    pthread_t threads[4];
    vivo_view_add_memory(v, "head", 4);
    vivo_view_add_range(v, 0, SIZE);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_all, vivo_view_ref(v)),
                         0);
    for (size_t i = 0; i < 4; i++) {
        void *failed = NULL;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    vivo_view_unref(v);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pread_at_any_offset_is_the_slice_of_the_whole),
        cmocka_unit_test(test_adjacent_ranges_are_joined_into_a_plain_view),
        cmocka_unit_test(test_source_rewritten_in_place_is_eio),
        cmocka_unit_test(test_source_truncated_is_eio),
        cmocka_unit_test(test_source_without_identity_cut_is_eio),
        cmocka_unit_test(test_source_replaced_keeps_the_old_bytes),
        cmocka_unit_test(test_view_of_memory_needs_no_descriptor),
        cmocka_unit_test(test_patterns_repeat_without_their_memory),
        cmocka_unit_test(test_ranges_that_overflow_are_einval),
        cmocka_unit_test(test_a_copy_is_the_whole_or_an_error),
        cmocka_unit_test(test_threads_read_one_view),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
