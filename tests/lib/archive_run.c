/* SPDX-License-Identifier: Apache-2.0 */
/* tests/lib/archive_run.c -- see archive_run.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "archive_run.h"

#include <stdlib.h>

#define PATIENCE_MS 30000

struct child server;
struct vivo_net *net;
static struct vivo_net *hasty;
char source[300];

int archive_run_start(const struct archive_run *r)
{
    const char *const argv[] = {r->program, "--make", r->shape, NULL};
    struct vivo_net_config cfg = {
        .timeout_ms = PATIENCE_MS, .retries = 1, .backoff_ms = 10};
    struct vivo_err err = {0};
    if (vivo_dcm_global_init(&err) < 0 || vivo_net_new(&cfg, &net, &err) < 0)
        return -1;
    cfg.timeout_ms = r->silence_ms;
    if (vivo_net_new(&cfg, &hasty, &err) < 0)
        return -1;
    if (child_start(&server, argv) < 0)
        return -1;
    snprintf(source, sizeof source, "%s%s%s", r->prefix ? r->prefix : "", server.line,
             r->after ? r->after : "");
    return 0;
}

int stop_all(void **state)
{
    (void)state;
    vivo_net_free(hasty);
    vivo_net_free(net);
    child_stop(&server);
    return 0;
}

int root_length(const char *url)
{
    size_t scheme = strlen("http://");
    return (int)(scheme + strcspn(url + scheme, "/"));
}

int ask(const char *path, struct vivo_buf *out)
{
    char url[1500];
    struct vivo_op op;
    struct vivo_net_reply reply;
    struct vivo_buf_sink sink;
    snprintf(url, sizeof url, "%.*s%s", root_length(server.line), server.line, path);
    const struct vivo_net_request rq = {.url = url, .max_bytes = OBJECT_MAX};
    vivo_op_init(&op, 0);
    vivo_buf_init(out, OBJECT_MAX);
    vivo_buf_sink_init(&sink, out);
    int rc = vivo_net_fetch(net, &rq, &sink.base, &reply, &op);
    if (rc)
        print_error("%s: %s\n", path, op.err.text);
    return rc;
}

void control(const char *path)
{
    struct vivo_buf b;
    assert_int_equal(ask(path, &b), 0);
    vivo_buf_free(&b);
}

void set(const char *knobs)
{
    char path[1200];
    int n = snprintf(path, sizeof path, "/__set?%s", knobs);
    assert_in_range(n, 1, sizeof path - 1);
    control(path);
}

void set_only(const char *knobs)
{
    control("/__reset");
    set(knobs);
}

size_t count_asked(const char *what)
{
    struct vivo_buf b;
    size_t n = 0;
    assert_int_equal(ask("/__log", &b), 0);
    for (const char *p = (const char *)b.data; (p = strstr(p, what)); p++)
        n++;
    vivo_buf_free(&b);
    return n;
}

uint64_t count_retrieved(void *ctx)
{
    struct vivo_buf b;
    (void)ctx;
    assert_int_equal(ask("/__count", &b), 0);
    uint64_t n = strtoull((const char *)b.data, NULL, 10);
    vivo_buf_free(&b);
    return n;
}

int expect_file(void *ctx, const char *locator, const char *uid, struct vivo_buf *out)
{
    char path[100];
    (void)ctx;
    (void)locator;
    snprintf(path, sizeof path, "/__file/%s", uid);
    return ask(path, out);
}

struct vivo_archive *open_source(const char *url, const char *bearer)
{
    return open_for("", url, bearer);
}

struct vivo_archive *open_for(const char *knobs, const char *url, const char *bearer)
{
    const struct vivo_archive_config cfg = {.source = url,
                                            .net =
                                                strstr(knobs, "stall=") ? hasty : net,
                                            .bearer = bearer,
                                            .timeout_ms = 5000,
                                            .jobs = 4};
    struct vivo_archive *a = NULL;
    struct vivo_err err = {0};
    if (vivo_archive_open(&cfg, &a, &err))
        fail_msg("%s: %s", url, err.text);
    return a;
}

int list_with(const char *knobs, struct gathering *g, struct vivo_op *op)
{
    struct vivo_archive *a = open_for(knobs, source, NULL);
    set_only(knobs);
    int rc = list_all(a, g, op);
    vivo_archive_close(a);
    return rc;
}

int fetch_with(const char *knobs, struct vivo_op *op)
{
    struct vivo_archive *a = open_for(knobs, source, NULL);
    struct gathering g;
    struct receipt r;
    struct vivo_buf want;
    control("/__reset");
    assert_int_equal(list_all(a, &g, op), 0);
    set(knobs);
    receipt_init(&r, false, op);
    int rc = vivo_archive_fetch(a, g.objects[0].locator, &r.base, op);
    if (rc == 0) {
        assert_int_equal(expect_file(NULL, NULL, g.objects[0].uid, &want), 0);
        assert_int_equal(r.bytes.len, want.len);
        assert_memory_equal(r.bytes.data, want.data, want.len);
        vivo_buf_free(&want);
    }
    assert_int_equal(op->err.errnum, -rc);
    receipt_free(&r);
    gathering_free(&g);
    vivo_archive_close(a);
    return rc;
}
