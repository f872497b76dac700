/* SPDX-License-Identifier: Apache-2.0 */
/* Flights: one listing for many callers, interrupts, deadlines, verdicts. The archive
 * is a scripted driver, because no real server can be made to hang on command. */
#include "catalog/internal.h"
#include "flow/internal.h"
#include "vivofs/flow.h"
#include "vivofs/log.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

struct scripted {
    struct vivo_archive base;
    atomic_int lists, fetches;
    atomic_bool hang, seen_cancel;
    bool nothing; /* it lists nothing */
    int fail;     /* errno of list and fetch; 0 = well */
};

static struct scripted *scripted_of(struct vivo_archive *a)
{
    return (struct scripted *)a; /* first member */
}

static int hang_if_told(struct scripted *s, struct vivo_op *op)
{
    while (atomic_load(&s->hang)) {
        if (vivo_op_check(op)) {
            atomic_store(&s->seen_cancel, true);
            return -op->err.errnum;
        }
        usleep(5000);
    }
    return s->fail ? vivo_fail(&op->err, s->fail, "as scripted") : 0;
}

static void put_study(struct vivo_buf *b)
{
    vivo_buf_init(b, 4096);
    assert_int_equal(vivo_attrs_put(b, VIVO_TAG_StudyDate, "DA", "20200102", 8), 0);
    assert_int_equal(vivo_attrs_put(b, VIVO_TAG_PatientID, "LO", "P1", 2), 0);
    assert_int_equal(vivo_attrs_put(b, VIVO_TAG_StudyInstanceUID, "UI", "1.2.3", 5), 0);
}

static int list(struct vivo_archive *a, enum vivo_level level, const char *parent,
                struct vivo_intake *in, struct vivo_op *op)
{
    (void)level;
    (void)parent;
    struct scripted *s = scripted_of(a);
    atomic_fetch_add(&s->lists, 1);
    int rc = hang_if_told(s, op);
    if (rc || s->nothing)
        return rc;
    struct vivo_buf attrs;
    put_study(&attrs);
    struct vivo_record rec = {
        .level = VIVO_LEVEL_STUDY,
        .locator = "1.2.3",
        .attrs = {attrs.data, attrs.len},
    };
    rc = in->record(in, &rec, &op->err);
    vivo_buf_free(&attrs);
    return rc;
}

static int fetch(struct vivo_archive *a, const char *locator, struct vivo_delivery *to,
                 struct vivo_op *op)
{
    (void)locator;
    (void)to;
    struct scripted *s = scripted_of(a);
    atomic_fetch_add(&s->fetches, 1);
    return hang_if_told(s, op);
}

static void close_scripted(struct vivo_archive *a)
{
    (void)a;
}

static const struct vivo_driver driver = {
    .name = "scripted",
    .summary = "for tests",
    .schemes = "scripted",
    .lists = 1u << VIVO_LEVEL_NONE | 1u << VIVO_LEVEL_STUDY,
    .close = close_scripted,
    .list = list,
    .fetch = fetch,
};

struct fixture {
    struct scripted archive;
    struct vivo_deid *deid;
    struct vivo_flow *flow;
};

static void open_flow(struct fixture *fx, int64_t timeout_ms)
{
    struct vivo_err err = {0};
    memset(fx, 0, sizeof *fx);
    fx->archive.base.driver = &driver;
    assert_int_equal(vivo_deid_new("none", VIVO_BURNED_IN_ALLOW, NULL, &fx->deid, &err),
                     0);
    struct vivo_flow_config cfg = {
        .name = "test",
        .archive = &fx->archive.base,
        .deid = fx->deid,
        .timeout_ms = timeout_ms,
    };
    assert_int_equal(vivo_flow_open(&cfg, &fx->flow, &err), 0);
}

static void close_flow(struct fixture *fx)
{
    vivo_flow_close(fx->flow);
    vivo_deid_free(fx->deid);
}

static void *list_top(void *arg)
{
    struct fixture *fx = arg;
    struct vivo_op op;
    vivo_op_init(&op, 20000);
    int rc = vivo_flow_list(fx->flow, VIVO_LEVEL_NONE, 0, &op);
    return rc ? arg : NULL;
}

static void test_many_callers_share_one_listing(void **state)
{
    (void)state;
    struct fixture fx;
    pthread_t threads[8];
    open_flow(&fx, 20000);
    atomic_store(&fx.archive.hang, true);
    for (size_t i = 0; i < 8; i++)
        pthread_create(&threads[i], NULL, list_top, &fx);
    while (!atomic_load(&fx.archive.lists))
        usleep(1000);
    usleep(50000); /* let the others arrive; more would only make the test easier */
    atomic_store(&fx.archive.hang, false);
    for (size_t i = 0; i < 8; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    assert_int_equal(atomic_load(&fx.archive.lists), 1);
    close_flow(&fx);
}

struct parked {
    struct vivo_op op; /* first */
    atomic_int landed;
};

static void landed(struct vivo_op *op)
{
    atomic_fetch_add(&((struct parked *)op)->landed, 1);
}

static void park(struct fixture *fx, struct parked *p)
{
    memset(p, 0, sizeof *p);
    vivo_op_init(&p->op, 0);
    p->op.landed = landed;
    assert_int_equal(vivo_flow_list(fx->flow, VIVO_LEVEL_NONE, 0, &p->op), -EAGAIN);
    /* From here on the op is the flight's. */
}

static void await(atomic_int *what)
{
    while (!atomic_load(what))
        usleep(1000);
}

static void test_interrupt_lands_once_with_eintr_and_cancels(void **state)
{
    (void)state;
    struct fixture fx;
    struct parked p;
    open_flow(&fx, 20000);
    atomic_store(&fx.archive.hang, true);
    park(&fx, &p);
    await(&fx.archive.lists);
    vivo_flow_interrupt(&p.op);
    assert_int_equal(atomic_load(&p.landed), 1);
    assert_int_equal(p.op.err.errnum, EINTR);
    while (!atomic_load(&fx.archive.seen_cancel))
        usleep(1000);
    vivo_flow_interrupt(&p.op); /* too late: nothing happens */
    assert_int_equal(atomic_load(&p.landed), 1);
    close_flow(&fx);
}

static void test_one_interrupt_leaves_the_others_waiting(void **state)
{
    (void)state;
    struct fixture fx;
    struct parked a;
    struct parked b;
    open_flow(&fx, 20000);
    atomic_store(&fx.archive.hang, true);
    park(&fx, &a);
    park(&fx, &b);
    await(&fx.archive.lists);
    vivo_flow_interrupt(&a.op);
    assert_int_equal(a.op.err.errnum, EINTR);
    assert_int_equal(atomic_load(&b.landed), 0);
    atomic_store(&fx.archive.hang, false);
    await(&b.landed);
    assert_int_equal(b.op.err.errnum, 0);
    assert_int_equal(vivo_flow_list(fx.flow, VIVO_LEVEL_NONE, 0, &b.op), 0);
    close_flow(&fx);
}

static void test_a_failure_reaches_every_waiter(void **state)
{
    (void)state;
    struct fixture fx;
    struct parked a;
    struct parked b;
    open_flow(&fx, 20000);
    fx.archive.fail = EIO;
    atomic_store(&fx.archive.hang, true);
    park(&fx, &a);
    park(&fx, &b);
    await(&fx.archive.lists);
    atomic_store(&fx.archive.hang, false);
    await(&a.landed);
    await(&b.landed);
    assert_int_equal(a.op.err.errnum, EIO);
    assert_int_equal(b.op.err.errnum, EIO);
    assert_non_null(strstr(a.op.err.text, "as scripted"));
    struct vivo_flow_status st;
    vivo_flow_status(fx.flow, &st);
    assert_int_equal(st.health, VIVO_HEALTH_FAILING);
    close_flow(&fx);
}

static void test_silence_is_etimedout(void **state)
{
    (void)state;
    struct fixture fx;
    struct parked p;
    struct vivo_err err = {0};
    open_flow(&fx, 300);
    atomic_store(&fx.archive.hang, true);
    assert_int_equal(vivo_flow_start(fx.flow, &err), 0);
    await(&fx.archive.lists);
    park(&fx, &p);
    await(&p.landed);
    assert_int_equal(p.op.err.errnum, ETIMEDOUT);
    close_flow(&fx);
}

/* The catalog is held up for longer than the archive may be silent. */
static void test_own_work_is_no_silence(void **state)
{
    (void)state;
    struct fixture fx;
    struct parked p;
    struct vivo_err err = {0};
    open_flow(&fx, 300);
    pthread_mutex_t *writing = &fx.flow->catalog->w.mutex;
    atomic_store(&fx.archive.hang, true);
    fx.archive.nothing = true;
    assert_int_equal(vivo_flow_start(fx.flow, &err), 0);
    await(&fx.archive.lists);
    park(&fx, &p);
    pthread_mutex_lock(writing);
    atomic_store(&fx.archive.hang, false);
    usleep(1500000);
    assert_int_equal(atomic_load(&p.landed), 0);
    pthread_mutex_unlock(writing);
    await(&p.landed);
    assert_int_equal(p.op.err.errnum, 0);
    close_flow(&fx);
}

static void test_closing_ends_what_is_parked(void **state)
{
    (void)state;
    struct fixture fx;
    struct parked p;
    open_flow(&fx, 20000);
    atomic_store(&fx.archive.hang, true);
    park(&fx, &p);
    close_flow(&fx);
    assert_int_equal(atomic_load(&p.landed), 1);
    assert_int_equal(p.op.err.errnum, EINTR);
}

static void test_what_is_listed_needs_no_archive(void **state)
{
    (void)state;
    struct fixture fx;
    struct vivo_op op;
    open_flow(&fx, 20000);
    vivo_op_init(&op, 20000);
    assert_int_equal(vivo_flow_list(fx.flow, VIVO_LEVEL_NONE, 0, &op), 0);
    assert_int_equal(vivo_flow_list(fx.flow, VIVO_LEVEL_NONE, 0, &op), 0);
    assert_int_equal(atomic_load(&fx.archive.lists), 1);
    close_flow(&fx);
}

int main(void)
{
    struct vivo_err err = {0};
    if (vivo_dcm_global_init(&err))
        return 1;
    vivo_log_setup(VIVO_LOG_TO_NONE, VIVO_LOG_DEBUG);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_callers_share_one_listing),
        cmocka_unit_test(test_interrupt_lands_once_with_eintr_and_cancels),
        cmocka_unit_test(test_one_interrupt_leaves_the_others_waiting),
        cmocka_unit_test(test_a_failure_reaches_every_waiter),
        cmocka_unit_test(test_silence_is_etimedout),
        cmocka_unit_test(test_own_work_is_no_silence),
        cmocka_unit_test(test_closing_ends_what_is_parked),
        cmocka_unit_test(test_what_is_listed_needs_no_archive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
