/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_store_memory.c -- the store of cache=memory, and threads on both. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "store_fixture.h"

#include <pthread.h>
#include <sys/resource.h>

#define SIZE 5000

static void test_memory_put_then_get(void **state)
{
    (void)state;
    struct vivo_store *s = open_store(NULL, 0);
    int fd;
    struct vivo_view *v = NULL;
    struct vivo_store_key key = key_of(1);

    assert_null(vivo_store_dir(s));
    assert_int_equal(get_object(s, 1, SIZE), -ENOENT);
    assert_int_equal(put_object(s, 1, SIZE), 0);
    assert_int_equal(put_object(s, 2, 0), 0);
    assert_int_equal(put_object(s, 3, 3u << 20), 0);
    assert_int_equal(get_object(s, 1, SIZE), 0);
    assert_int_equal(get_object(s, 2, 0), 0);
    assert_int_equal(get_object(s, 3, 3u << 20), 0);
    assert_int_equal(vivo_store_get(s, &key, &v, NULL), 0);
    assert_true(vivo_view_is_plain(v, &fd));
    vivo_view_unref(v);
    struct vivo_store_stats st = stats_of(s);
    uint8_t digest[VIVO_DIGEST_LEN], want[VIVO_DIGEST_LEN];
    assert_int_equal(vivo_store_digest(s, &key, digest), -ENOENT);
    assert_int_equal(st.entries, 3);
    assert_int_equal(st.bytes, SIZE + (3u << 20));
    assert_int_equal(st.hits, 4);
    assert_int_equal(st.misses, 1);
    struct vivo_view *in = memory_view(1, SIZE);
    uint8_t *bytes = content_of(1, SIZE);
    vivo_sha256(bytes, SIZE, want);
    free(bytes);
    assert_int_equal(vivo_store_put(s, &key, in, true, &v, NULL), 0);
    vivo_view_unref(in);
    vivo_view_unref(v);
    assert_int_equal(vivo_store_digest(s, &key, digest), 0);
    assert_memory_equal(digest, want, sizeof want);
    vivo_store_close(s);
}

static void test_memory_evicts_least_recently_used(void **state)
{
    (void)state;
    struct vivo_store *s = open_store(NULL, 3 * SIZE);
    struct vivo_store_key zero = key_of(0);
    struct vivo_view *v = NULL;

    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(put_object(s, i, SIZE), 0);
    assert_int_equal(vivo_store_get(s, &zero, &v, NULL), 0);
    assert_int_equal(put_object(s, 3, SIZE), 0); /* 1 is the oldest now */
    assert_int_equal(get_object(s, 1, SIZE), -ENOENT);
    assert_int_equal(get_object(s, 0, SIZE), 0);
    for (unsigned i = 10; i < 20; i++)
        assert_int_equal(put_object(s, i, SIZE), 0);
    assert_int_equal(get_object(s, 0, SIZE), -ENOENT);
    assert_content(v, 0, SIZE); /* its reader keeps it */
    assert_true(stats_of(s).bytes <= 3 * SIZE);
    assert_int_equal(stats_of(s).evicted, 11);
    assert_int_equal(put_object(s, 5, 3 * SIZE + 1), -ENOSPC);
    vivo_store_close(s);
    assert_content(v, 0, SIZE);
    vivo_view_unref(v);
}

static void test_memory_pin_and_forget(void **state)
{
    (void)state;
    struct vivo_store *s = open_store(NULL, 2 * SIZE);
    struct vivo_store_key one = key_of(1), two = key_of(2);

    assert_int_equal(put_object(s, 1, SIZE), 0);
    assert_int_equal(put_object(s, 2, SIZE), 0);
    assert_int_equal(vivo_store_pin(s, &one, true), 0);
    assert_int_equal(put_object(s, 3, SIZE), 0);
    assert_int_equal(get_object(s, 1, SIZE), 0);
    assert_int_equal(get_object(s, 2, SIZE), -ENOENT);
    assert_int_equal(vivo_store_pin(s, &two, true), -ENOENT);
    assert_int_equal(vivo_store_forget(s, &one), 0);
    assert_int_equal(vivo_store_forget(s, &one), -ENOENT);
    assert_int_equal(get_object(s, 1, SIZE), -ENOENT);
    assert_int_equal(stats_of(s).entries, 1);
    vivo_store_close(s);
}

static void test_memory_replacing_counts_once(void **state)
{
    (void)state;
    struct vivo_store *s = open_store(NULL, 0);

    assert_int_equal(put_object(s, 1, SIZE), 0);
    assert_int_equal(put_object(s, 1, SIZE), 0);
    assert_int_equal(stats_of(s).entries, 1);
    assert_int_equal(stats_of(s).bytes, SIZE);
    vivo_store_close(s);
}

/* Each entry needs a descriptor; the limit of open files is a limit of entries. */
static void test_memory_leaves_descriptors_to_others(void **state)
{
    (void)state;
    struct rlimit before, few;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    few.rlim_cur = 100;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    struct vivo_store *s = open_store(NULL, 0);
    for (unsigned i = 0; i < 300; i++)
        assert_int_equal(put_object(s, i, 10), 0);
    assert_int_equal(stats_of(s).entries, 50);
    assert_int_equal(get_object(s, 299, 10), 0);
    vivo_store_close(s);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

/* ---- threads --------------------------------------------------------------------- */

struct crowd {
    struct vivo_store *store;
    unsigned id;
    unsigned wrong;
};

static bool right(const struct vivo_view *v, unsigned n)
{
    uint8_t *want = content_of(n, SIZE);
    uint8_t got[SIZE];
    bool same =
        vivo_view_pread(v, got, SIZE, 0, NULL) == SIZE && memcmp(got, want, SIZE) == 0;

    free(want);
    return same;
}

static void *put_and_get(void *ctx)
{
    struct crowd *c = ctx;

    for (unsigned i = 0; i < 200; i++) {
        unsigned n = (i * 7 + c->id) % 40;
        struct vivo_store_key key = key_of(n);
        struct vivo_view *v = NULL;
        int rc = vivo_store_get(c->store, &key, &v, NULL);
        if (rc == -ENOENT) {
            struct vivo_view *in = memory_view(n, SIZE);
            rc = vivo_store_put(c->store, &key, in, false, &v, NULL);
            vivo_view_unref(in);
        }
        /* With all room reserved by the others a put may give up; never lie. */
        if (rc == 0 ? !right(v, n) : rc != -ENOSPC)
            c->wrong++;
        vivo_view_unref(v);
        if (i % 50 == 0)
            vivo_store_forget(c->store, &key);
    }
    return NULL;
}

static void crowd_on(struct vivo_store *s)
{
    pthread_t threads[4];
    struct crowd c[4];

    for (unsigned i = 0; i < 4; i++) {
        c[i] = (struct crowd){.store = s, .id = i};
        assert_int_equal(pthread_create(&threads[i], NULL, put_and_get, &c[i]), 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(c[i].wrong, 0);
    }
}

static void test_threads_on_memory(void **state)
{
    (void)state;
    struct vivo_store *s = open_store(NULL, 25 * SIZE);

    crowd_on(s);
    assert_true(stats_of(s).bytes <= 25 * SIZE);
    vivo_store_close(s);
}

static void test_threads_on_directory(void **state)
{
    (void)state;
    char *dir = temp_dir();
    struct vivo_store *s = open_store(dir, 25 * SIZE);

    crowd_on(s);
    assert_true(stats_of(s).bytes <= 25 * SIZE);
    assert_int_equal(stats_of(s).quarantined, 0);
    vivo_store_close(s);
    remove_dir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_put_then_get),
        cmocka_unit_test(test_memory_evicts_least_recently_used),
        cmocka_unit_test(test_memory_pin_and_forget),
        cmocka_unit_test(test_memory_replacing_counts_once),
        cmocka_unit_test(test_memory_leaves_descriptors_to_others),
        cmocka_unit_test(test_threads_on_memory),
        cmocka_unit_test(test_threads_on_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
