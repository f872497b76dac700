/* SPDX-License-Identifier: Apache-2.0 */
/* tests/lib/shelf_run.h -- what the tests of archives that know their files by ids have
 * in common. For one translation unit a test; include after cmocka.h. */
#ifndef VIVOFS_TESTS_SHELF_RUN_H
#define VIVOFS_TESTS_SHELF_RUN_H

#include "archive_run.h"

#ifndef SHAPE
#define SHAPE "2,2,2,3" /* patients, studies, series, instances of each */
#endif

static const char *server_program, *server_prefix; /* set by main() */
static const char *login; /* of who asks when a test does not say; or NULL */

static int expect_object(void *ctx, const char *locator, const char *uid,
                         struct vivo_buf *out)
{
    char path[1000];
    (void)ctx;
    (void)uid;
    snprintf(path, sizeof path, "/__object/%s", locator);
    return ask(path, out);
}

static struct vivo_archive *open_with(const char *knobs, const char *bearer)
{
    return open_for(knobs, source, bearer ? bearer : login);
}

static struct vivo_archive *open_as(const char *bearer)
{
    return open_with("", bearer);
}

VIVO_UNUSED static int open_error(const char *url, const char *bearer)
{
    const struct vivo_archive_config cfg = {
        .source = url, .net = net, .bearer = bearer, .timeout_ms = 5000};
    struct vivo_archive *a = NULL;
    struct vivo_err err = {0};
    int rc = vivo_archive_open(&cfg, &a, &err);
    assert_null(a);
    return rc;
}

static int list_as(const char *knobs, const char *bearer, struct gathering *g,
                   struct vivo_op *op)
{
    set_only(knobs);
    struct vivo_archive *a = open_with(knobs, bearer);
    int rc = list_all(a, g, op);
    vivo_archive_close(a);
    return rc;
}

static int fetch_one(struct vivo_archive *a, const char *locator, struct vivo_op *op)
{
    struct receipt r;
    struct vivo_buf want;
    vivo_op_init(op, 0);
    receipt_init(&r, false, op);
    int rc = vivo_archive_fetch(a, locator, &r.base, op);
    if (rc == 0) {
        assert_int_equal(expect_object(NULL, locator, "", &want), 0);
        assert_int_equal(want.len, r.bytes.len);
        assert_memory_equal(want.data, r.bytes.data, want.len);
        vivo_buf_free(&want);
    }
    receipt_free(&r);
    return rc;
}

static int fetch_all(struct vivo_archive *a, const struct gathering *g,
                     struct vivo_op *op)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < g->n_objects; i++)
        rc = fetch_one(a, g->objects[i].locator, op);
    return rc;
}

struct failing { /* what comes of a fault, and words of the error */
    const char *knobs;
    int rc;
    const char *words;
};

struct holding {
    size_t objects, containers, others;
};

/* Each of the knobs leaves the listing whole. */
VIVO_UNUSED static void check_listings(const char *const *knobs, size_t n,
                                       struct holding all)
{
    for (size_t i = 0; i < n; i++) {
        struct gathering g;
        struct vivo_op op;
        int rc = list_as(knobs[i], NULL, &g, &op);
        if (rc != 0 || g.n_objects != all.objects || g.n_containers != all.containers ||
            g.others != all.others)
            fail_msg("%s: %d, %zu objects, %zu containers, %zu others: %s", knobs[i],
                     rc, g.n_objects, g.n_containers, g.others, op.err.text);
        gathering_free(&g);
    }
    control("/__reset");
}

/* A login that is wrong is told, and not shown. */
VIVO_UNUSED static void check_wrong_login(const char *bearer, const char *secret)
{
    struct gathering g;
    struct vivo_op op;
    assert_int_equal(list_as("latency=0", bearer, &g, &op), -EACCES);
    assert_non_null(strstr(op.err.text, "login"));
    assert_null(strstr(op.err.text, secret));
    gathering_free(&g);
}

VIVO_UNUSED static void check_failures(const struct failing *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct gathering g;
        struct vivo_op op;
        int rc = list_as(cases[i].knobs, NULL, &g, &op);
        if (rc != cases[i].rc || !strstr(op.err.text, cases[i].words))
            fail_msg("%s: %d: %s", cases[i].knobs, rc, op.err.text);
        gathering_free(&g);
    }
    control("/__reset");
}

/* Both archives have their sessions and lists before anything goes wrong. */
VIVO_UNUSED static void check_fetches(const struct failing *cases, size_t n)
{
    struct gathering g, same;
    struct vivo_op op;
    control("/__reset");
    struct vivo_archive *a = open_as(NULL);
    struct vivo_archive *hasty = open_with("stall=", NULL);
    assert_int_equal(list_all(a, &g, &op), 0);
    assert_int_equal(list_all(hasty, &same, &op), 0);
    for (size_t i = 0; i < n; i++) {
        bool stalls = strstr(cases[i].knobs, "stall=") != NULL;
        set(cases[i].knobs);
        int rc = fetch_one(stalls ? hasty : a, g.objects[0].locator, &op);
        if (rc != cases[i].rc || !strstr(op.err.text, cases[i].words))
            fail_msg("%s: %d: %s", cases[i].knobs, rc, op.err.text);
        control("/__reset");
    }
    assert_int_equal(fetch_all(a, &g, &op), 0);
    gathering_free(&g);
    gathering_free(&same);
    vivo_archive_close(a);
    vivo_archive_close(hasty);
}

static int start_all(void **state)
{
    (void)state;
    return archive_run_start(&(struct archive_run){.program = server_program,
                                                   .shape = SHAPE,
                                                   .prefix = server_prefix,
                                                   .silence_ms = 700});
}

#endif
