/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_base_pool.c -- jobs that queue jobs, also while the pool ends. */
#include "vivofs/pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jobs_queued_while_it_ends_are_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
