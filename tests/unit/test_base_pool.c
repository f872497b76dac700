/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_base_pool.c -- jobs that queue jobs, also while the pool ends; and
 * the order in which they begin. */
#include "vivofs/pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#define CHAIN 200

struct chain {
    struct vivo_pool *pool;
    atomic_int left, refused;
};

static void link_job(void *ctx)
{
    struct chain *c = ctx;
    if (atomic_fetch_sub(&c->left, 1) > 1 && vivo_pool_run(c->pool, link_job, c))
        atomic_fetch_add(&c->refused, 1);
}

static void test_jobs_queued_while_it_ends_are_run(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        struct vivo_err err = {0};
        struct chain c = {.pool = NULL};
        atomic_init(&c.left, CHAIN);
        assert_int_equal(vivo_pool_new("test", 8, &c.pool, &err), 0);
        assert_int_equal(vivo_pool_run(c.pool, link_job, &c), 0);
        vivo_pool_free(c.pool);
        assert_int_equal(atomic_load(&c.left), 0);
        assert_int_equal(atomic_load(&c.refused), 0);
    }
}

struct order {
    atomic_bool go;
    char began[8]; /* of the only thread */
    size_t n;
};

struct letter {
    struct order *order;
    char name;
};

static void wait_job(void *ctx)
{
    struct order *o = ctx;
    while (!atomic_load(&o->go))
        usleep(1000);
}

static void letter_job(void *ctx)
{
    const struct letter *l = ctx;
    l->order->began[l->order->n++] = l->name;
}

static void test_what_is_urgent_goes_before_all_that_has_not_begun(void **state)
{
    (void)state;
    struct vivo_err err = {0};
    struct vivo_pool *pool;
    struct order o = {0};
    struct letter a = {&o, 'a'}, b = {&o, 'b'}, c = {&o, 'c'}, d = {&o, 'd'};
    assert_int_equal(vivo_pool_new("test", 1, &pool, &err), 0);
    assert_int_equal(vivo_pool_run(pool, wait_job, &o), 0);
    assert_int_equal(vivo_pool_run(pool, letter_job, &a), 0);
    assert_int_equal(vivo_pool_run(pool, letter_job, &b), 0);
    assert_int_equal(vivo_pool_run_first(pool, letter_job, &c), 0);
    assert_int_equal(vivo_pool_run_first(pool, letter_job, &d), 0);
    atomic_store(&o.go, true);
    vivo_pool_free(pool);
    assert_string_equal(o.began, "cdab");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jobs_queued_while_it_ends_are_run),
        cmocka_unit_test(test_what_is_urgent_goes_before_all_that_has_not_begun),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
