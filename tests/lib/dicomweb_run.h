/* SPDX-License-Identifier: Apache-2.0 */
/* tests/lib/dicomweb_run.h -- the DICOMweb test server and archives opened on it, for
 * the tests of that driver. For one translation unit a test; include after cmocka.h. */
#ifndef VIVOFS_TESTS_DICOMWEB_RUN_H
#define VIVOFS_TESTS_DICOMWEB_RUN_H

#include "child.h"
#include "collect.h"
#include "conformance.h"

#include "vivofs/dcm.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* How long the server may be silent. A scripted one stalls on purpose. */
#ifndef NET_SILENCE_MS
#define NET_SILENCE_MS 1500
#endif
#define SERVER VIVO_TEST_SOURCE_DIR "/tests/servers/dicomweb_server.py"
#ifndef SHAPE
#define SHAPE "2,2,2,3" /* patients, studies, series, instances of each */
#endif
#define STUDIES 4
#define SERIES 8
#define OBJECTS 24

static struct child server;
static struct vivo_net *net;
static char source[300];

VIVO_UNUSED static const char *const bad_locators[] = {
    "1.2/3.4/5.6/..",
    "1.2/3.4/5.6/../../system",
    "1.2/3.4",
    "1.2/3.4/5.6/7.8",
    "1.2/3.4/5.6?x=1",
    "1.2/3.4/5.6 HTTP/1.1",
    "1..2/3.4/5.6",
    "12345678901234567890123456789012345678901234567890123456789012345/1/1",
    NULL};

/* ---- talking to the server -------------------------------------------------- */

/* GET of a path beside /dicom-web, whole. */
VIVO_UNUSED static int ask(const char *path, struct vivo_buf *out)
{
    char url[600];
    struct vivo_op op;
    struct vivo_net_reply reply;
    struct vivo_buf_sink sink;
    int root = (int)(strstr(server.line, "/dicom-web") - server.line);
    snprintf(url, sizeof url, "%.*s%s", root, server.line, path);
    const struct vivo_net_request rq = {.url = url, .max_bytes = OBJECT_MAX};
    vivo_op_init(&op, 0);
    vivo_buf_init(out, OBJECT_MAX);
    vivo_buf_sink_init(&sink, out);
    return vivo_net_fetch(net, &rq, &sink.base, &reply, &op);
}

VIVO_UNUSED static void control(const char *path)
{
    struct vivo_buf b;
    assert_int_equal(ask(path, &b), 0);
    vivo_buf_free(&b);
}

VIVO_UNUSED static int expect_file(void *ctx, const char *locator, const char *uid,
                                   struct vivo_buf *out)
{
    char path[100];
    (void)ctx;
    (void)locator;
    snprintf(path, sizeof path, "/__file/%s", uid);
    return ask(path, out);
}

VIVO_UNUSED static uint64_t count_retrieved(void *ctx)
{
    struct vivo_buf b;
    (void)ctx;
    assert_int_equal(ask("/__count", &b), 0);
    uint64_t n = strtoull((const char *)b.data, NULL, 10);
    vivo_buf_free(&b);
    return n;
}

VIVO_UNUSED static struct vivo_archive *open_source(const char *url, const char *bearer)
{
    const struct vivo_archive_config cfg = {
        .source = url, .net = net, .bearer = bearer, .timeout_ms = 5000};
    struct vivo_archive *a = NULL;
    struct vivo_err err = {0};
    assert_int_equal(vivo_archive_open(&cfg, &a, &err), 0);
    return a;
}

/* Everything, level by level; the first error. */
VIVO_UNUSED static int list_all(struct vivo_archive *a, struct gathering *g,
                                struct vivo_op *op)
{
    vivo_op_init(op, 0);
    gathering_init(g, a->driver->lists);
    int rc = vivo_archive_list(a, VIVO_LEVEL_NONE, NULL, &g->base, op);
    for (size_t i = 0; rc == 0 && i < g->n_containers; i++)
        rc = vivo_archive_list(a, g->containers[i].level, g->containers[i].locator,
                               &g->base, op);
    assert_int_equal(g->flaws, 0);
    return rc;
}

VIVO_UNUSED static int start_all(void **state)
{
    (void)state;
    static const char *const argv[] = {SERVER, "--make", SHAPE, NULL};
    const struct vivo_net_config cfg = {
        .timeout_ms = NET_SILENCE_MS, .retries = 1, .backoff_ms = 10};
    struct vivo_err err = {0};
    if (vivo_dcm_global_init(&err) < 0 || vivo_net_new(&cfg, &net, &err) < 0)
        return -1;
    if (child_start(&server, argv) < 0)
        return -1;
    snprintf(source, sizeof source, "dicomweb+%s", server.line);
    return 0;
}

VIVO_UNUSED static int stop_all(void **state)
{
    (void)state;
    vivo_net_free(net);
    child_stop(&server);
    return 0;
}

#endif
