/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_deid_threads.c -- one engine, many threads, the same bytes. Meant for
 * ThreadSanitizer; without it, it still compares every result. */
#include "deid_run.h"

#include <pthread.h>

#define THREADS 4
#define ROUNDS 50

struct work {
    const struct vivo_deid *d;
    const struct make *m;
    const struct run *first;
    int wrong;
};

static void *clean_many(void *arg)
{
    struct work *w = arg;
    for (int i = 0; i < ROUNDS; i++) {
        struct vivo_err err = {0};
        struct vivo_view *v = NULL;
        struct vivo_buf attrs;
        int fd = vivo_file_nameless(NULL, &err);
        vivo_buf_init(&attrs, VIVO_ATTRS_MAX);
        if (fd < 0 || vivo_pwrite_full(fd, w->m->b, w->m->n, 0, &err) ||
            vivo_deid_object(w->d, fd, NULL, w->m->n, &v, &attrs, NULL, &err)) {
            w->wrong++;
            continue;
        }
        uint8_t *b = malloc(w->first->n);
        ssize_t n = b ? vivo_view_pread(v, b, w->first->n, 0, &err) : -1;
        if (n != (ssize_t)w->first->n || memcmp(b, w->first->b, w->first->n) ||
            attrs.len != w->first->attrs.len)
            w->wrong++;
        free(b);
        vivo_buf_free(&attrs);
        vivo_view_unref(v);
    }
    return NULL;
}

static void test_threads_give_the_same_bytes(void **state)
{
    struct make m;
    struct run first;
    struct work work[THREADS];
    pthread_t threads[THREADS];
    (void)state;
    make_ct(&m, MAKE_ELE);
    make_patient(&m);
    make_study(&m);
    make_pixels(&m);
    run_profile(&first, "basic", &m);
    assert_int_equal(first.rc, 0);
    struct vivo_key *k = test_key('k');
    struct vivo_deid *d = test_profile("basic", VIVO_BURNED_IN_REFUSE, k);
    for (int i = 0; i < THREADS; i++) {
        work[i] = (struct work){d, &m, &first, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, clean_many, &work[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(work[i].wrong, 0);
    }
    vivo_deid_free(d);
    vivo_key_free(k);
    finish(&first, &m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads_give_the_same_bytes),
    };
    return cmocka_run_group_tests(tests, deid_setup, NULL);
}
