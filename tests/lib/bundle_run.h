/* SPDX-License-Identifier: Apache-2.0 */
/* tests/lib/bundle_run.h -- what a driver's bundle() hands on, whatever the server
 * does: each object once and as it is, and none that is not whole. For one translation
 * unit a test; include after the header that runs the server. */
#ifndef VIVOFS_TESTS_BUNDLE_RUN_H
#define VIVOFS_TESTS_BUNDLE_RUN_H

#include "collect.h"

#define BUNDLE_OBJECTS 12 /* of each series: SHAPE is "1,1,2,12" */
/* STALL_AFTER_THREE: the knob for it, by the includer. */

struct bundle_case {
    const char *knobs;
    int rc;
    size_t least, most; /* objects of the series handed on */
    const char *words;  /* in the error */
};

struct cargo {
    struct vivo_bundle base;
    const struct gathering *all;
    const char *series; /* UID */
    struct vivo_buf bytes;
    size_t whole, foreign, again;
    size_t
        flaws; /* bytes that are not those of the object; nothing fails in a callback */
    uint64_t alive;
    bool came[4 * BUNDLE_OBJECTS];
    struct vivo_op *cancel; /* after the first object; or NULL */
};

static int cargo_bytes(struct vivo_sink *self, const void *data, size_t len,
                       struct vivo_err *err)
{
    struct cargo *c = (struct cargo *)self; /* first of its first member */
    (void)err;
    c->flaws += len == 0 || vivo_buf_add(&c->bytes, data, len) != 0;
    return 0;
}

static int cargo_forget(struct vivo_sink *self, struct vivo_err *err)
{
    (void)err;
    vivo_buf_clear(&((struct cargo *)self)->bytes);
    return 0;
}

static int cargo_whole(struct vivo_bundle *self, const char *locator,
                       struct vivo_err *err)
{
    struct cargo *c = (struct cargo *)self; /* first member */
    struct vivo_buf want;
    size_t i = 0;
    (void)err;
    while (i < c->all->n_objects && strcmp(c->all->objects[i].locator, locator) != 0)
        i++;
    if (i == c->all->n_objects) {
        c->foreign++;
    } else {
        bool same = expect_file(NULL, NULL, c->all->objects[i].uid, &want) == 0 &&
                    c->bytes.len == want.len &&
                    memcmp(c->bytes.data, want.data, want.len) == 0;
        c->flaws += !same;
        vivo_buf_free(&want);
        c->again += c->came[i];
        c->whole += !c->came[i];
        c->came[i] = true;
    }
    if (c->cancel)
        atomic_store(&c->cancel->cancelled, true);
    vivo_buf_clear(&c->bytes);
    return 0;
}

static void cargo_alive(struct vivo_bundle *self, uint64_t bytes)
{
    ((struct cargo *)self)->alive += bytes;
}

static void cargo_init(struct cargo *c, const struct gathering *all)
{
    *c = (struct cargo){
        .base = {{cargo_bytes, cargo_forget}, cargo_whole, cargo_alive, NULL},
        .all = all};
    vivo_buf_init(&c->bytes, OBJECT_MAX);
}

/* The locator of the first series or, where series have none, of an object. */
static const char *first_series(const struct gathering *g)
{
    for (size_t i = 0; i < g->n_containers; i++)
        if (g->containers[i].level == VIVO_LEVEL_SERIES)
            return g->containers[i].locator;
    assert_true(g->n_objects > 0 && g->objects[0].locator);
    return g->objects[0].locator;
}

static int bundle_with(const char *knobs, bool cancel, struct cargo *c,
                       struct vivo_op *op)
{
    struct gathering g;
    struct vivo_archive *a = open_for(cancel ? "" : knobs, source, NULL);
    control("/__reset");
    assert_int_equal(list_all(a, &g, op), 0);
    assert_int_equal(g.n_objects, 2 * BUNDLE_OBJECTS);
    set(knobs);
    vivo_op_init(op, 0);
    cargo_init(c, &g);
    c->cancel = cancel ? op : NULL;
    int rc = vivo_archive_bundle(a, first_series(&g), &c->base, op);
    assert_int_equal(op->err.errnum, -rc);
    assert_int_equal(c->flaws, 0);
    vivo_buf_free(&c->bytes);
    gathering_free(&g);
    vivo_archive_close(a);
    control("/__reset");
    return rc;
}

static void run_bundle_cases(const struct bundle_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct cargo c;
        struct vivo_op op;
        int rc = bundle_with(cases[i].knobs, false, &c, &op);
        if (rc != cases[i].rc || c.whole < cases[i].least || c.whole > cases[i].most ||
            !strstr(op.err.text, cases[i].words))
            fail_msg("%s: %d, %zu objects: %s", cases[i].knobs, rc, c.whole,
                     op.err.text);
    }
}

static void test_series_comes_however_the_reply_is_framed(void **state)
{
    static const struct bundle_case cases[] = {
        {"", 0, BUNDLE_OBJECTS, BUNDLE_OBJECTS, ""},
        {"chunked=1", 0, BUNDLE_OBJECTS, BUNDLE_OBJECTS, ""},
        {"close=1", 0, BUNDLE_OBJECTS, BUNDLE_OBJECTS, ""},
    };
    (void)state;
    run_bundle_cases(cases, VIVO_ARRAY_LEN(cases));
}

/* The server stalls after three objects, and nobody waits any more. */
static void test_cancelled_bundle_is_eintr(void **state)
{
    struct cargo c;
    struct vivo_op op;
    (void)state;
    assert_int_equal(bundle_with(STALL_AFTER_THREE, true, &c, &op), -EINTR);
    assert_true(c.whole >= 1 && c.whole <= 3);
    assert_true(c.alive > 0);
}

#endif
