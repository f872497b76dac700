/* SPDX-License-Identifier: Apache-2.0 */
/* tests/lib/web_run.h -- the test server of web folders and archives opened on it, for
 * the tests of that driver. For one translation unit a test; include after cmocka.h. */
#ifndef VIVOFS_TESTS_WEB_RUN_H
#define VIVOFS_TESTS_WEB_RUN_H

#include "child.h"
#include "collect.h"
#include "conformance.h"

#include "vivofs/dcm.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SERVER VIVO_TEST_SOURCE_DIR "/tests/servers/web_server.py"
#define SHAPE "1,2,2,3" /* patients, studies, series, instances of each */
#define OBJECTS 13      /* one more, with a long header */
#define OTHERS 4        /* files beside them that are no DICOM */

static struct child server;
static struct vivo_net *net;

/* GET of a path of the test server itself. */
static int ask(const char *path, struct vivo_buf *out)
{
    char url[900];
    struct vivo_op op;
    struct vivo_net_reply reply;
    struct vivo_buf_sink sink;
    snprintf(url, sizeof url, "%.*s%s", (int)(strlen(server.line) - strlen("/data/")),
             server.line, path);
    const struct vivo_net_request rq = {.url = url, .max_bytes = OBJECT_MAX};
    vivo_op_init(&op, 0);
    vivo_buf_init(out, OBJECT_MAX);
    vivo_buf_sink_init(&sink, out);
    return vivo_net_fetch(net, &rq, &sink.base, &reply, &op);
}

static void control(const char *call, const char *knobs)
{
    char path[800];
    struct vivo_buf b;
    snprintf(path, sizeof path, "%s%s", call, knobs);
    assert_int_equal(ask(path, &b), 0);
    vivo_buf_free(&b);
}

static void set(const char *knobs)
{
    control("/__reset", "");
    control("/__set?", knobs);
}

/* How often the log of requests has this text. */
static size_t count_asked(const char *what)
{
    struct vivo_buf b;
    size_t n = 0;
    assert_int_equal(ask("/__log", &b), 0);
    for (const char *s = (const char *)b.data; (s = strstr(s, what)); s++)
        n++;
    vivo_buf_free(&b);
    return n;
}

static int expect_file(void *ctx, const char *locator, const char *uid,
                       struct vivo_buf *out)
{
    char path[100];
    (void)ctx;
    (void)locator;
    snprintf(path, sizeof path, "/__file/%s", uid);
    return ask(path, out);
}

static uint64_t count_whole(void *ctx)
{
    struct vivo_buf b;
    (void)ctx;
    assert_int_equal(ask("/__count", &b), 0);
    uint64_t n = strtoull((const char *)b.data, NULL, 10);
    vivo_buf_free(&b);
    return n;
}

static struct vivo_archive *open_source(const char *url, const char *bearer)
{
    const struct vivo_archive_config cfg = {
        .source = url, .net = net, .bearer = bearer, .timeout_ms = 5000, .jobs = 4};
    struct vivo_archive *a = NULL;
    struct vivo_err err = {0};
    assert_int_equal(vivo_archive_open(&cfg, &a, &err), 0);
    return a;
}

static int list_all(struct vivo_archive *a, struct gathering *g, struct vivo_op *op)
{
    vivo_op_init(op, 0);
    gathering_init(g, a->driver->lists);
    int rc = vivo_archive_list(a, VIVO_LEVEL_NONE, NULL, &g->base, op);
    assert_int_equal(g->flaws, 0);
    assert_int_equal(op->err.errnum, -rc);
    gathering_sort(g);
    return rc;
}

static int list_with(const char *knobs, struct gathering *g, struct vivo_op *op)
{
    struct vivo_archive *a = open_source(server.line, NULL);
    set(knobs);
    int rc = list_all(a, g, op);
    vivo_archive_close(a);
    return rc;
}

static int start_all(void **state)
{
    (void)state;
    static const char *const argv[] = {SERVER, "--make", SHAPE, NULL};
    const struct vivo_net_config cfg = {
        .timeout_ms = 600, .retries = 1, .backoff_ms = 10};
    struct vivo_err err = {0};
    if (vivo_dcm_global_init(&err) < 0 || vivo_net_new(&cfg, &net, &err) < 0)
        return -1;
    return child_start(&server, argv);
}

static int stop_all(void **state)
{
    (void)state;
    vivo_net_free(net);
    child_stop(&server);
    return 0;
}

#endif
