/* SPDX-License-Identifier: Apache-2.0 */
/* tests/lib/shelf_run.h -- a test server of an archive that knows its files by ids, and
 * archives opened on it, for the tests of those drivers. For one translation unit a
 * test; include after cmocka.h. */
#ifndef VIVOFS_TESTS_SHELF_RUN_H
#define VIVOFS_TESTS_SHELF_RUN_H

#include "child.h"
#include "collect.h"
#include "conformance.h"

#include "vivofs/dcm.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SHAPE "2,2,2,3" /* patients, studies, series, instances of each */

static const char *server_program, *server_prefix; /* set by main() */
static const char *login; /* of who asks when a test does not say; or NULL */
static struct child server;
static struct vivo_net *net;
static char source[300];

/* GET of a path of the test server itself. */
static int ask(const char *path, struct vivo_buf *out)
{
    char url[1200];
    struct vivo_op op;
    struct vivo_net_reply reply;
    struct vivo_buf_sink sink;
    int root = (int)strcspn(server.line + strlen("http://"), "/");
    snprintf(url, sizeof url, "%.*s%s", root + (int)strlen("http://"), server.line,
             path);
    const struct vivo_net_request rq = {.url = url, .max_bytes = OBJECT_MAX};
    vivo_op_init(&op, 0);
    vivo_buf_init(out, OBJECT_MAX);
    vivo_buf_sink_init(&sink, out);
    int rc = vivo_net_fetch(net, &rq, &sink.base, &reply, &op);
    if (rc)
        print_error("%s: %s\n", path, op.err.text);
    return rc;
}

static void control(const char *path)
{
    struct vivo_buf b;
    assert_int_equal(ask(path, &b), 0);
    vivo_buf_free(&b);
}

static void set(const char *knobs)
{
    char path[512];
    snprintf(path, sizeof path, "/__set?%s", knobs);
    control(path);
}

/* How often the log of requests has this text. */
static size_t asked(const char *what)
{
    struct vivo_buf b;
    size_t n = 0;
    assert_int_equal(ask("/__log", &b), 0);
    for (const char *p = (const char *)b.data; (p = strstr(p, what)); p++)
        n++;
    vivo_buf_free(&b);
    return n;
}

static int expect_file(void *ctx, const char *locator, const char *uid,
                       struct vivo_buf *out)
{
    char path[1000];
    (void)ctx;
    (void)uid;
    snprintf(path, sizeof path, "/__object/%s", locator);
    return ask(path, out);
}

static uint64_t count_retrieved(void *ctx)
{
    struct vivo_buf b;
    (void)ctx;
    assert_int_equal(ask("/__count", &b), 0);
    uint64_t n = strtoull((const char *)b.data, NULL, 10);
    vivo_buf_free(&b);
    return n;
}

static struct vivo_archive *open_with(const char *bearer)
{
    const struct vivo_archive_config cfg = {.source = source,
                                            .net = net,
                                            .bearer = bearer ? bearer : login,
                                            .timeout_ms = 5000,
                                            .jobs = 4};
    struct vivo_archive *a = NULL;
    struct vivo_err err = {0};
    assert_int_equal(vivo_archive_open(&cfg, &a, &err), 0);
    return a;
}

static int open_error(const char *url, const char *bearer)
{
    const struct vivo_archive_config cfg = {
        .source = url, .net = net, .bearer = bearer, .timeout_ms = 5000};
    struct vivo_archive *a = NULL;
    struct vivo_err err = {0};
    int rc = vivo_archive_open(&cfg, &a, &err);
    assert_null(a);
    return rc;
}

/* Everything, level by level; the first error. */
static int list_all(struct vivo_archive *a, struct gathering *g, struct vivo_op *op)
{
    vivo_op_init(op, 0);
    gathering_init(g, a->driver->lists);
    int rc = vivo_archive_list(a, VIVO_LEVEL_NONE, NULL, &g->base, op);
    for (size_t i = 0; rc == 0 && i < g->n_containers; i++)
        rc = vivo_archive_list(a, g->containers[i].level, g->containers[i].locator,
                               &g->base, op);
    assert_int_equal(g->flaws, 0);
    assert_int_equal(op->err.errnum, -rc);
    gathering_sort(g);
    return rc;
}

static int list_with(const char *knobs, const char *bearer, struct gathering *g,
                     struct vivo_op *op)
{
    control("/__reset");
    set(knobs);
    struct vivo_archive *a = open_with(bearer);
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
        assert_int_equal(expect_file(NULL, locator, "", &want), 0);
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
static void check_listings(const char *const *knobs, size_t n, struct holding all)
{
    for (size_t i = 0; i < n; i++) {
        struct gathering g;
        struct vivo_op op;
        int rc = list_with(knobs[i], NULL, &g, &op);
        if (rc != 0 || g.n_objects != all.objects || g.n_containers != all.containers ||
            g.others != all.others)
            fail_msg("%s: %d, %zu objects, %zu containers, %zu others: %s", knobs[i],
                     rc, g.n_objects, g.n_containers, g.others, op.err.text);
        gathering_free(&g);
    }
    control("/__reset");
}

/* A login that is wrong is told, and not shown. */
static void check_wrong_login(const char *bearer, const char *secret)
{
    struct gathering g;
    struct vivo_op op;
    assert_int_equal(list_with("latency=0", bearer, &g, &op), -EACCES);
    assert_non_null(strstr(op.err.text, "login"));
    assert_null(strstr(op.err.text, secret));
    gathering_free(&g);
}

static void check_failures(const struct failing *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct gathering g;
        struct vivo_op op;
        int rc = list_with(cases[i].knobs, NULL, &g, &op);
        if (rc != cases[i].rc || !strstr(op.err.text, cases[i].words))
            fail_msg("%s: %d: %s", cases[i].knobs, rc, op.err.text);
        gathering_free(&g);
    }
    control("/__reset");
}

static void check_fetches(const struct failing *cases, size_t n)
{
    struct gathering g;
    struct vivo_op op;
    control("/__reset");
    struct vivo_archive *a = open_with(NULL);
    assert_int_equal(list_all(a, &g, &op), 0);
    for (size_t i = 0; i < n; i++) {
        set(cases[i].knobs);
        int rc = fetch_one(a, g.objects[0].locator, &op);
        if (rc != cases[i].rc || !strstr(op.err.text, cases[i].words))
            fail_msg("%s: %d: %s", cases[i].knobs, rc, op.err.text);
        control("/__reset");
    }
    assert_int_equal(fetch_all(a, &g, &op), 0);
    gathering_free(&g);
    vivo_archive_close(a);
}

static int start_all(void **state)
{
    (void)state;
    const char *const argv[] = {server_program, "--make", SHAPE, NULL};
    const struct vivo_net_config cfg = {
        .timeout_ms = 700, .retries = 1, .backoff_ms = 10};
    struct vivo_err err = {0};
    if (vivo_dcm_global_init(&err) < 0 || vivo_net_new(&cfg, &net, &err) < 0)
        return -1;
    if (child_start(&server, argv) < 0)
        return -1;
    snprintf(source, sizeof source, "%s%s", server_prefix, server.line);
    return 0;
}

static int stop_all(void **state)
{
    (void)state;
    vivo_net_free(net);
    child_stop(&server);
    return 0;
}

#endif
