/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_model_later.c -- views that are made when their bytes are wanted:
 * once, with what was promised, of the source that was opened, or not at all. */
#include "vivofs/view.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SIZE 3000

static uint8_t content[SIZE];
static atomic_uint made;

enum outcome { WELL, FAILS, WRONG_SIZE };

struct plan {
    enum outcome outcome;
};

/* "head" in front of the source. */
static int make(void *ctx, int fd, const struct vivo_identity *id,
                struct vivo_view **out, struct vivo_err *err)
{
    struct plan *p = ctx;
    struct vivo_view *v = NULL;
    atomic_fetch_add(&made, 1);
    if (p->outcome == FAILS) {
        p->outcome = WELL; /* the next time */
        return vivo_fail(err, EBADMSG, "cannot be cleaned");
    }
    assert_int_equal(vivo_view_new(fd, id, &v, err), 0);
    vivo_view_add_memory(v, "headline", p->outcome == WRONG_SIZE ? 5 : 4);
    vivo_view_add_range(v, 0, SIZE);
    *out = v;
    return 0;
}

static struct vivo_view *later(enum outcome outcome, int *fd)
{
    char path[] = "later-XXXXXX";
    struct vivo_err err = {0};
    struct vivo_identity id;
    struct vivo_view *v = NULL;
    struct plan *p = malloc(sizeof *p);
    *fd = mkstemp(path);
    assert_true(*fd >= 0);
    unlink(path);
    for (size_t i = 0; i < SIZE; i++)
        content[i] = (uint8_t)(i * 11 + i / 256);
    assert_int_equal(pwrite(*fd, content, SIZE, 0), SIZE);
    assert_int_equal(vivo_identity_of(*fd, &id, &err), 0);
    p->outcome = outcome;
    atomic_store(&made, 0);
    assert_int_equal(vivo_view_new_later(*fd, &id, SIZE + 4, make, p, &v, &err), 0);
    return v;
}

static bool reads_well(const struct vivo_view *v)
{
    struct vivo_err err = {0};
    uint8_t buf[SIZE + 100];
    return vivo_view_pread(v, buf, sizeof buf, 0, &err) == SIZE + 4 &&
           !memcmp(buf, "head", 4) && !memcmp(buf + 4, content, SIZE);
}

static void test_nothing_is_made_before_bytes_are_wanted(void **state)
{
    (void)state;
    int fd;
    struct vivo_err err = {0};
    struct vivo_view *v = later(WELL, &fd);
    uint8_t byte;
    assert_int_equal(vivo_view_size(v), SIZE + 4);
    assert_int_equal(vivo_view_memory(v), 0);
    assert_int_equal(vivo_view_check(v, &err), 0);
    assert_int_equal(vivo_view_pread(v, &byte, 1, SIZE + 4, &err), 0);
    assert_int_equal(atomic_load(&made), 0);
    assert_true(reads_well(v));
    assert_true(reads_well(v));
    assert_int_equal(vivo_view_prepare(v, &err), 0);
    assert_int_equal(atomic_load(&made), 1);
    assert_int_equal(vivo_view_memory(v), 4);
    vivo_view_unref(v);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void test_never_made_closes_its_descriptor(void **state)
{
    (void)state;
    int fd;
    vivo_view_unref(later(WELL, &fd));
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    assert_int_equal(atomic_load(&made), 0);
}

static void test_failure_gives_no_bytes_and_is_tried_again(void **state)
{
    (void)state;
    int fd;
    struct vivo_err err = {0};
    struct vivo_view *v = later(FAILS, &fd);
    uint8_t buf[16] = {0}, zero[16] = {0};
    assert_int_equal(vivo_view_pread(v, buf, sizeof buf, 0, &err), -EBADMSG);
    assert_string_equal(err.text, "cannot be cleaned");
    assert_memory_equal(buf, zero, sizeof buf);
    assert_true(reads_well(v));
    assert_int_equal(atomic_load(&made), 2);
    vivo_view_unref(v);
}

static void test_another_size_is_eio_for_good(void **state)
{
    (void)state;
    int fd;
    struct vivo_err err = {0};
    struct vivo_view *v = later(WRONG_SIZE, &fd);
    uint8_t buf[16];
    assert_int_equal(vivo_view_pread(v, buf, sizeof buf, 0, &err), -EIO);
    assert_int_equal(vivo_view_pread(v, buf, sizeof buf, 0, NULL), -EIO);
    assert_int_equal(vivo_view_check(v, NULL), -EIO);
    assert_int_equal(vivo_view_prepare(v, NULL), -EIO);
    assert_int_equal(atomic_load(&made), 1);
    vivo_view_unref(v);
}

static void test_source_changed_before_or_after_is_eio(void **state)
{
    (void)state;
    for (int before = 0; before < 2; before++) {
        int fd;
        struct vivo_view *v = later(WELL, &fd);
        uint8_t buf[16];
        if (!before)
            assert_true(reads_well(v));
        assert_int_equal(ftruncate(fd, SIZE + 1), 0);
        assert_int_equal(vivo_view_check(v, NULL), -EIO);
        assert_int_equal(vivo_view_pread(v, buf, sizeof buf, 0, NULL), -EIO);
        vivo_view_unref(v);
    }
}

static void *read_often(void *arg)
{
    struct vivo_view *v = arg;
    bool well = true;
    for (int i = 0; i < 50; i++)
        well = well && reads_well(v) && !vivo_view_check(v, NULL);
    vivo_view_unref(v);
    return well ? NULL : arg;
}

static void test_threads_make_it_once(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        int fd;
        struct vivo_view *v = later(WELL, &fd);
        pthread_t threads[4];
        for (size_t i = 0; i < 4; i++)
            assert_int_equal(
                pthread_create(&threads[i], NULL, read_often, vivo_view_ref(v)), 0);
        vivo_view_unref(v);
        for (size_t i = 0; i < 4; i++) {
            void *failed = NULL;
            pthread_join(threads[i], &failed);
            assert_null(failed);
        }
        assert_int_equal(atomic_load(&made), 1);
    }
}

/* Made to a view that is itself made later. */
static int make_later(void *ctx, int fd, const struct vivo_identity *id,
                      struct vivo_view **out, struct vivo_err *err)
{
    struct plan *inner = malloc(sizeof *inner);
    assert_non_null(inner);
    *inner = *(struct plan *)ctx;
    return vivo_view_new_later(fd, id, SIZE + 4, make, inner, out, err);
}

static void test_one_made_later_may_be_made_to_another(void **state)
{
    (void)state;
    static const enum outcome outcomes[] = {WELL, FAILS, WRONG_SIZE};
    for (size_t i = 0; i < 3; i++) {
        int fd;
        uint8_t buf[SIZE + 4];
        struct vivo_err err = {0};
        struct vivo_identity id;
        struct vivo_view *v = NULL;
        struct plan *p = malloc(sizeof *p);
        vivo_view_unref(later(WELL, &fd)); /* for the content */
        char path[] = "later-XXXXXX";
        fd = mkstemp(path);
        unlink(path);
        assert_int_equal(pwrite(fd, content, SIZE, 0), SIZE);
        assert_int_equal(vivo_identity_of(fd, &id, &err), 0);
        p->outcome = outcomes[i];
        assert_int_equal(
            vivo_view_new_later(fd, &id, SIZE + 4, make_later, p, &v, &err), 0);
        ssize_t n = vivo_view_pread(v, buf, sizeof buf, 0, &err);
        if (outcomes[i] == WELL) {
            assert_int_equal(n, SIZE + 4);
            assert_memory_equal(buf, "head", 4);
            assert_memory_equal(buf + 4, content, SIZE);
        } else {
            assert_int_equal(n, outcomes[i] == FAILS ? -EBADMSG : -EIO);
            memset(&err, 0, sizeof err);
            assert_int_equal(vivo_view_pread(v, buf, 1, 0, &err), -EIO);
        }
        vivo_view_unref(v);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_made_before_bytes_are_wanted),
        cmocka_unit_test(test_never_made_closes_its_descriptor),
        cmocka_unit_test(test_failure_gives_no_bytes_and_is_tried_again),
        cmocka_unit_test(test_another_size_is_eio_for_good),
        cmocka_unit_test(test_source_changed_before_or_after_is_eio),
        cmocka_unit_test(test_threads_make_it_once),
        cmocka_unit_test(test_one_made_later_may_be_made_to_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
