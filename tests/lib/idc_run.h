/* SPDX-License-Identifier: Apache-2.0 */
/* tests/lib/idc_run.h -- the IDC test server, its API and its buckets, and archives
 * opened on it, for the tests of idc and s3. For one translation unit a test; include
 * after cmocka.h. */
#ifndef VIVOFS_TESTS_IDC_RUN_H
#define VIVOFS_TESTS_IDC_RUN_H

#include "child.h"
#include "collect.h"
#include "conformance.h"

#include "vivofs/dcm.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SERVER VIVO_TEST_SOURCE_DIR "/tests/servers/idc_server.py"
#define SHAPE "2,2,2,3" /* patients, studies, series, instances of each */
#define OBJECTS 24

static struct child server;
static struct vivo_net *net;

static int ask(const char *path, struct vivo_buf *out)
{
    char url[1200];
    struct vivo_op op;
    struct vivo_net_reply reply;
    struct vivo_buf_sink sink;
    snprintf(url, sizeof url, "%s%s", server.line, path);
    const struct vivo_net_request rq = {.url = url, .max_bytes = OBJECT_MAX};
    vivo_op_init(&op, 0);
    vivo_buf_init(out, OBJECT_MAX);
    vivo_buf_sink_init(&sink, out);
    return vivo_net_fetch(net, &rq, &sink.base, &reply, &op);
}

static void control(const char *path)
{
    struct vivo_buf b;
    assert_int_equal(ask(path, &b), 0);
    vivo_buf_free(&b);
}

static void set(const char *knobs)
{
    char path[1024];
    snprintf(path, sizeof path, "/__set?%s", knobs);
    control(path);
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

/* How often a text stands in the log of requests. */
static size_t count_asked(const char *what)
{
    struct vivo_buf b;
    size_t n = 0;
    assert_int_equal(ask("/__log", &b), 0);
    for (const char *p = (const char *)b.data; (p = strstr(p, what)); p++)
        n++;
    vivo_buf_free(&b);
    return n;
}

static struct vivo_archive *open_source(const char *url, const char *endpoint)
{
    const struct vivo_archive_config cfg = {
        .source = url, .net = net, .endpoint = endpoint, .timeout_ms = 5000};
    struct vivo_archive *a = NULL;
    struct vivo_err err = {0};
    if (vivo_archive_open(&cfg, &a, &err))
        fail_msg("%s: %s", url, err.text);
    return a;
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
    return rc;
}

static int start_all(void **state)
{
    (void)state;
    static const char *const argv[] = {SERVER, "--make", SHAPE, NULL};
    const struct vivo_net_config cfg = {
        .timeout_ms = 1500, .retries = 1, .backoff_ms = 10};
    struct vivo_err err = {0};
    /* Keys of whoever runs the tests are nobody's business here. */
    static const char *const names[] = {"AWS_ACCESS_KEY_ID",  "AWS_SECRET_ACCESS_KEY",
                                        "AWS_SESSION_TOKEN",  "AWS_REGION",
                                        "AWS_DEFAULT_REGION", "AWS_PROFILE"};
    for (size_t i = 0; i < VIVO_ARRAY_LEN(names); i++)
        unsetenv(names[i]);
    setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent", 1);
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
