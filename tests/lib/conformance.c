/* SPDX-License-Identifier: Apache-2.0 */
/* tests/lib/conformance.c -- see conformance.h. Lists everything once, then asks of
 * each promise of driver.h whether it is kept. Knows no driver by name. */
#include "conformance.h"
#include "collect.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* How much may still come after a cancel: what was in the same reply or block. */
#define SOON_RECORDS 64
#define SOON_BYTES (1u << 20)

#define RATE 1000 /* a server of a test may be asked as fast as it goes */

struct suite {
    const struct vivo_conformance *c;
    struct vivo_archive *a;
    struct gathering all;
    atomic_uint failures;
};

static void failed(struct suite *s, const char *fmt, ...) VIVO_PRINTF(2, 3);

static void failed(struct suite *s, const char *fmt, ...)
{
    va_list ap;

    atomic_fetch_add(&s->failures, 1);
    fputs("conformance: ", stderr);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
}

static int list_level(struct suite *s, enum vivo_level level, const char *parent,
                      struct gathering *g, struct vivo_op *op)
{
    g->op = op;
    return vivo_archive_list(s->a, level, parent, &g->base, op);
}

/* Everything, level by level. */
static int gather_all(struct suite *s, struct gathering *g)
{
    struct vivo_op op;

    vivo_op_init(&op, 0);
    int rc = list_level(s, VIVO_LEVEL_NONE, NULL, g, &op);
    for (size_t i = 0; rc == 0 && i < g->n_containers; i++)
        rc = list_level(s, g->containers[i].level, g->containers[i].locator, g, &op);
    if (rc != 0)
        failed(s, "list: %d, %s", rc, op.err.text);
    if (g->flaws > 0)
        failed(s, "list: %u flaws, named above", g->flaws);
    return rc;
}

static void check_object(struct suite *s, const struct object *o, bool descriptors)
{
    struct vivo_op op;
    struct receipt r;
    struct vivo_buf want;

    vivo_op_init(&op, 0);
    receipt_init(&r, descriptors, &op);
    vivo_buf_init(&want, OBJECT_MAX);
    int rc = vivo_archive_fetch(s->a, o->locator, &r.base, &op);
    receipt_read(&r);
    if (rc != 0)
        failed(s, "fetch of %s: %d, %s", o->locator, rc, op.err.text);
    else if (s->c->expect(s->c->ctx, o->locator, o->uid, &want) != 0)
        failed(s, "fetch of %s: the source has no such object", o->locator);
    else if (want.len != r.bytes.len || memcmp(want.data, r.bytes.data, want.len) != 0)
        failed(s, "fetch of %s: %zu bytes differ from the source's %zu", o->locator,
               r.bytes.len, want.len);
    else if (o->size != 0 && o->size != want.len)
        failed(s, "list: %s has %zu bytes, its record says %llu", o->locator, want.len,
               (unsigned long long)o->size);
    vivo_buf_free(&want);
    receipt_free(&r);
}

/* ---- the checks ------------------------------------------------------------------ */

static void check_driver(struct suite *s)
{
    const struct vivo_driver *d = s->a->driver;

    if (!d->name || !*d->name || !d->summary || !*d->summary || !d->schemes)
        failed(s, "driver: name, summary or schemes are missing");
    if (d->summary && strchr(d->summary, '\n'))
        failed(s, "driver: the summary has more than one line");
    if (!(d->lists & 1u << VIVO_LEVEL_NONE))
        failed(s, "driver: the top cannot be listed");
    if (!(d->caps & VIVO_CAP_HEADERS) != !d->headers)
        failed(s, "driver: VIVO_CAP_HEADERS and headers do not agree");
    if (!(d->caps & VIVO_CAP_WATCH) != !d->watch)
        failed(s, "driver: VIVO_CAP_WATCH and watch do not agree");
}

static void check_missing_source(struct suite *s)
{
    struct vivo_archive_config cfg = {.source = s->c->missing,
                                      .net = s->c->net,
                                      .rate = RATE,
                                      .timeout_ms =
                                          s->c->timeout_ms ? s->c->timeout_ms : 10000};
    struct vivo_archive *a = NULL;
    struct vivo_err err = {0};
    int rc = vivo_archive_open(&cfg, &a, &err);

    if (rc == 0 && !(a->driver->caps & VIVO_CAP_LOCAL)) {
        struct gathering g;
        struct vivo_op op;
        gathering_init(&g, s->a->driver->lists);
        vivo_op_init(&op, 0);
        rc = vivo_archive_list(a, VIVO_LEVEL_NONE, NULL, &g.base, &op);
        err = op.err;
        gathering_free(&g);
    }
    if (rc != -s->c->missing_errno || err.errnum != s->c->missing_errno)
        failed(s, "a missing source gave %d (%s) instead of %d", rc, err.text,
               -s->c->missing_errno);
    vivo_archive_close(a);
}

static void check_listing(struct suite *s)
{
    struct gathering *all = &s->all;
    struct gathering again;
    uint64_t before = s->c->content_requests ? s->c->content_requests(s->c->ctx) : 0;

    gather_all(s, all);
    if (s->c->content_requests && s->c->content_requests(s->c->ctx) != before)
        failed(s, "list: asks for content");
    if (all->n_objects != s->c->objects)
        failed(s, "list: %zu objects instead of %zu", all->n_objects, s->c->objects);
    gathering_sort(all);
    for (size_t i = 1; i < all->n_objects; i++)
        if (strcmp(all->objects[i - 1].locator, all->objects[i].locator) == 0)
            failed(s, "list: locator %s twice", all->objects[i].locator);

    gathering_init(&again, s->a->driver->lists);
    gather_all(s, &again);
    gathering_sort(&again);
    bool same = again.n_objects == all->n_objects;
    for (size_t i = 0; same && i < again.n_objects; i++) {
        const struct object *a = &all->objects[i], *b = &again.objects[i];
        same = strcmp(a->locator, b->locator) == 0 && !a->version == !b->version &&
               (!a->version || strcmp(a->version, b->version) == 0);
    }
    if (!same)
        failed(s, "list: a second listing differs from the first");
    gathering_free(&again);
}

/* What is known is not emitted, and before a bare record with a version is emitted
 * known() was asked: reading a header is what it saves. */
static void check_known(struct suite *s)
{
    struct gathering g;

    gathering_init(&g, s->a->driver->lists);
    g.everything_known = true;
    gather_all(s, &g);
    if (g.asked > 0 && g.n_objects > 0)
        failed(s, "list: %zu objects emitted although known", g.n_objects);
    for (size_t i = 0; i < g.n_objects; i++)
        if (g.objects[i].bare && g.objects[i].version)
            failed(s, "list: %s emitted without asking known()", g.objects[i].locator);
    gathering_free(&g);
}

static void check_listing_stops(struct suite *s)
{
    static const int words[] = {-ENOSPC, 7};

    for (size_t i = 0; i < VIVO_ARRAY_LEN(words); i++) {
        struct gathering g;
        struct vivo_op op;
        gathering_init(&g, s->a->driver->lists);
        vivo_op_init(&op, 0);
        g.stop_with = words[i];
        int rc = list_level(s, VIVO_LEVEL_NONE, NULL, &g, &op);
        if (rc != words[i] || g.n_objects + g.n_containers > 1)
            failed(s, "list: the intake said %d, list returned %d after %zu records",
                   words[i], rc, g.n_objects + g.n_containers);
        gathering_free(&g);
    }
}

static void check_fetch_stops(struct suite *s, bool descriptors)
{
    struct vivo_op op;
    struct receipt r;

    vivo_op_init(&op, 0);
    receipt_init(&r, descriptors, &op);
    r.fail_with = ENOSPC;
    int rc = vivo_archive_fetch(s->a, s->all.objects[0].locator, &r.base, &op);
    if (rc != -ENOSPC)
        failed(s, "fetch: the receiver said %d, fetch returned %d", -ENOSPC, rc);
    receipt_free(&r);
}

static void check_all_objects(struct suite *s, bool backwards)
{
    bool local = s->a->driver->caps & VIVO_CAP_LOCAL;

    for (size_t i = 0; i < s->all.n_objects; i++) {
        size_t k = backwards ? s->all.n_objects - 1 - i : i;
        check_object(s, &s->all.objects[k], false);
        if (local)
            check_object(s, &s->all.objects[k], true);
    }
}

/* What is no object comes whole when it is asked for as such. What a listing says is
 * empty is not asked for. */
static void check_extras(struct suite *s)
{
    for (size_t i = 0; i < s->all.n_extras; i++) {
        const struct extra *x = &s->all.extras[i];
        struct vivo_op op;
        struct receipt r;
        if (x->size == 0)
            continue;
        vivo_op_init(&op, 0);
        receipt_init(&r, i % 2 && s->a->driver->caps & VIVO_CAP_LOCAL, &op);
        r.base.extra = x->name;
        int rc = vivo_archive_fetch(s->a, x->locator, &r.base, &op);
        receipt_read(&r);
        if (rc != 0)
            failed(s, "fetch of the extra %s: %d, %s", x->locator, rc, op.err.text);
        else if (x->size != VIVO_SIZE_UNKNOWN && x->size != r.bytes.len)
            failed(s, "extra %s: %zu bytes, not %llu", x->locator, r.bytes.len,
                   (unsigned long long)x->size);
        receipt_free(&r);
    }
}

static void *fetch_backwards(void *ctx)
{
    check_all_objects(ctx, true);
    return NULL;
}

static void check_two_threads(struct suite *s)
{
    struct gathering g;
    pthread_t other;

    if (pthread_create(&other, NULL, fetch_backwards, s) != 0) {
        failed(s, "threads: cannot start one");
        return;
    }
    gathering_init(&g, s->a->driver->lists);
    gather_all(s, &g);
    check_all_objects(s, false);
    pthread_join(other, NULL);
    if (g.n_objects != s->all.n_objects)
        failed(s, "threads: a listing beside fetches found %zu objects", g.n_objects);
    gathering_free(&g);
}

static void check_refused(struct suite *s, const char *locator, int want)
{
    for (int descriptors = 0; descriptors < 2; descriptors++) {
        struct vivo_op op;
        struct receipt r;
        vivo_op_init(&op, 0);
        receipt_init(&r, descriptors, &op);
        int rc = vivo_archive_fetch(s->a, locator, &r.base, &op);
        if (rc >= 0)
            failed(s, "fetch of '%s' returned %d", locator, rc);
        else if (want && rc != want)
            failed(s, "fetch of '%s' returned %d instead of %d", locator, rc, want);
        if (r.bytes.len > 0 || r.fd >= 0)
            failed(s, "fetch of '%s' delivered something", locator);
        if (op.err.text[0] == '\0' || strstr(op.err.text, "did not say why"))
            failed(s, "fetch of '%s' failed without a reason", locator);
        if (locator[0] && strlen(locator) > 3 && strstr(op.err.text, locator))
            failed(s, "an error text holds the locator: %s", op.err.text);
        receipt_free(&r);
    }
}

static void check_refusals(struct suite *s)
{
    static const char *const escapes[] = {"..",
                                          "../",
                                          "../../../../../../etc/passwd",
                                          "/etc/passwd",
                                          "a/../../b",
                                          "./../../../../etc/hostname",
                                          "",
                                          ".",
                                          "/",
                                          "..\\..\\x",
                                          "%2e%2e/etc",
                                          "file:///etc/passwd"};

    check_refused(s, s->c->unknown, -ENOENT);
    for (size_t i = 0; i < VIVO_ARRAY_LEN(escapes); i++)
        check_refused(s, escapes[i], 0);
    for (const char *const *p = s->c->escapes; p && *p; p++)
        check_refused(s, *p, 0);
}

/* Cancelled, or too late, before it began: nothing is done. Cancelled on the way: the
 * call ends so, or was done already. */
static void check_cancelled(struct suite *s)
{
    for (int late = 0; late < 2; late++) {
        struct gathering g;
        struct vivo_op op;
        struct receipt r;
        int want = late ? -ETIMEDOUT : -EINTR;

        vivo_op_init(&op, 0);
        if (late)
            op.deadline_ms = 1;
        else
            atomic_store(&op.cancelled, true);
        gathering_init(&g, s->a->driver->lists);
        int rc = list_level(s, VIVO_LEVEL_NONE, NULL, &g, &op);
        if (rc != want || g.n_objects + g.n_containers > 0)
            failed(s, "list: %d instead of %d", rc, want);
        gathering_free(&g);
        vivo_err_clear(&op.err);
        receipt_init(&r, true, &op);
        rc = vivo_archive_fetch(s->a, s->all.objects[0].locator, &r.base, &op);
        if (rc != want || r.bytes.len > 0 || r.fd >= 0)
            failed(s, "fetch: %d instead of %d", rc, want);
        receipt_free(&r);
    }
}

static void check_cancelled_on_the_way(struct suite *s)
{
    struct gathering g;
    struct vivo_op op;
    struct receipt r;

    gathering_init(&g, s->a->driver->lists);
    vivo_op_init(&op, 0);
    g.cancel_after = 1;
    int rc = list_level(s, VIVO_LEVEL_NONE, NULL, &g, &op);
    size_t records = g.n_objects + g.n_containers;
    if (rc != -EINTR && !(rc == 0 && records <= SOON_RECORDS))
        failed(s, "list: cancelled after one record, returned %d after %zu", rc,
               records);
    gathering_free(&g);
    for (size_t i = 0; i < s->all.n_objects; i++) {
        struct vivo_buf want;
        vivo_op_init(&op, 0);
        receipt_init(&r, false, &op);
        r.cancel_at = 0;
        vivo_buf_init(&want, OBJECT_MAX);
        rc = vivo_archive_fetch(s->a, s->all.objects[i].locator, &r.base, &op);
        s->c->expect(s->c->ctx, s->all.objects[i].locator, s->all.objects[i].uid,
                     &want);
        if (rc != -EINTR &&
            !(rc == 0 && r.bytes.len == want.len && want.len <= SOON_BYTES))
            failed(s, "fetch: cancelled on the way, returned %d after %zu bytes", rc,
                   r.bytes.len);
        vivo_buf_free(&want);
        receipt_free(&r);
    }
}

/* ---- headers, watch -------------------------------------------------------------- */

/* By its UID or, where a listing carries none, by its locator. */
static bool has_object(const struct gathering *g, const struct object *o)
{
    for (size_t i = 0; i < g->n_objects; i++)
        if (o->uid[0] ? strcmp(g->objects[i].uid, o->uid) == 0
                      : strcmp(g->objects[i].locator, o->locator) == 0)
            return true;
    return false;
}

static void ask_headers(struct suite *s, struct gathering *g, const char *locator)
{
    struct vivo_op op;
    vivo_op_init(&op, 0);
    int rc = vivo_archive_headers(s->a, locator, &g->base, &op);
    if (rc != 0)
        failed(s, "headers: %d, %s", rc, op.err.text);
}

static void check_headers(struct suite *s)
{
    struct gathering g;

    gathering_init(&g, s->a->driver->lists);
    for (size_t i = 0; i < s->all.n_containers; i++) {
        if (s->all.containers[i].level != VIVO_LEVEL_SERIES)
            continue;
        ask_headers(s, &g, s->all.containers[i].locator);
    }
    /* Series without records of their own are asked for by their objects. */
    for (size_t i = 0; i < s->all.n_objects; i++)
        if (!has_object(&g, &s->all.objects[i]))
            ask_headers(s, &g, s->all.objects[i].locator);
    if (g.n_objects != s->all.n_objects)
        failed(s, "headers: of %zu objects instead of %zu", g.n_objects,
               s->all.n_objects);
    for (size_t i = 0; i < s->all.n_objects; i++)
        if (!has_object(&g, &s->all.objects[i]))
            failed(s, "headers: none of the object listed as %s",
                   s->all.objects[i].uid);
    gathering_free(&g);
}

struct watcher {
    struct suite *suite;
    struct vivo_op op;
    int rc;
};

static void *watch_source(void *ctx)
{
    struct watcher *w = ctx;

    w->rc = vivo_archive_watch(w->suite->a, &w->op);
    return NULL;
}

static void check_watch(struct suite *s)
{
    struct watcher w = {.suite = s};
    pthread_t thread;

    vivo_op_init(&w.op, 0);
    if (pthread_create(&thread, NULL, watch_source, &w) != 0) {
        failed(s, "watch: cannot start a thread");
        return;
    }
    usleep(50000); /* most runs cancel while it waits; either order must work */
    atomic_store(&w.op.cancelled, true);
    pthread_join(thread, NULL);
    if (w.rc != -EINTR)
        failed(s, "watch: cancelled, returned %d", w.rc);
}

/* ---- bundles --------------------------------------------------------------------- */

struct parcel { /* what a bundle brings, compared one by one */
    struct vivo_bundle base;
    struct suite *s;
    struct vivo_buf bytes;
    bool *came; /* of each object */
    size_t n;
};

static int parcel_bytes(struct vivo_sink *self, const void *data, size_t len,
                        struct vivo_err *err)
{
    struct parcel *p = (struct parcel *)self; /* first of its first member */

    return vivo_buf_add(&p->bytes, data, len) ? vivo_fail(err, ENOSPC, "too long") : 0;
}

static int parcel_forget(struct vivo_sink *self, struct vivo_err *err)
{
    (void)err;
    vivo_buf_clear(&((struct parcel *)self)->bytes);
    return 0;
}

static int parcel_whole(struct vivo_bundle *self, const char *locator,
                        struct vivo_err *err)
{
    struct parcel *p = (struct parcel *)self; /* first member */
    struct suite *s = p->s;
    struct vivo_buf want;
    size_t i = 0;

    (void)err;
    while (i < s->all.n_objects && strcmp(s->all.objects[i].locator, locator) != 0)
        i++;
    if (i == s->all.n_objects || p->came[i]) {
        failed(s, "bundle: an object that is not listed, or twice");
        return 0;
    }
    vivo_buf_init(&want, OBJECT_MAX);
    s->c->expect(s->c->ctx, locator, s->all.objects[i].uid, &want);
    if (want.len != p->bytes.len || memcmp(want.data, p->bytes.data, want.len) != 0)
        failed(s, "bundle: an object is not what fetch gives");
    vivo_buf_free(&want);
    vivo_buf_clear(&p->bytes);
    p->came[i] = true;
    p->n++;
    return 0;
}

static void parcel_alive(struct vivo_bundle *self, uint64_t bytes)
{
    (void)self;
    (void)bytes;
}

static void ask_bundle(struct suite *s, struct parcel *p, const char *locator)
{
    struct vivo_op op;
    vivo_op_init(&op, 0);
    int rc = vivo_archive_bundle(s->a, locator, &p->base, &op);
    if (rc != 0)
        failed(s, "bundle: %d, %s", rc, op.err.text);
}

static void check_bundles(struct suite *s)
{
    struct parcel p = {.base = {.sink = {parcel_bytes, parcel_forget},
                                .whole = parcel_whole,
                                .alive = parcel_alive},
                       .s = s,
                       .came = calloc(s->all.n_objects, sizeof(bool))};
    bool series = false;

    vivo_buf_init(&p.bytes, OBJECT_MAX);
    for (size_t i = 0; p.came && i < s->all.n_containers; i++) {
        if (s->all.containers[i].level != VIVO_LEVEL_SERIES)
            continue;
        series = true;
        ask_bundle(s, &p, s->all.containers[i].locator);
    }
    /* Series without records of their own are asked for by their objects. */
    for (size_t i = 0; p.came && !series && i < s->all.n_objects; i++)
        if (!p.came[i])
            ask_bundle(s, &p, s->all.objects[i].locator);
    if (p.n + s->c->alone != s->all.n_objects)
        failed(s, "bundle: of %zu objects instead of %zu", p.n,
               s->all.n_objects - s->c->alone);
    vivo_buf_free(&p.bytes);
    free(p.came);
}

static void check_everything(struct suite *s)
{
    check_driver(s);
    struct vivo_op op;
    vivo_op_init(&op, 0);
    if (vivo_archive_probe(s->a, &op) != 0)
        failed(s, "probe: %s", op.err.text);
    if (s->c->missing)
        check_missing_source(s);
    check_listing(s);
    if (s->all.n_objects < 2)
        return; /* said already; the rest would say it again */
    check_known(s);
    check_listing_stops(s);
    check_fetch_stops(s, false);
    if (s->a->driver->caps & VIVO_CAP_LOCAL)
        check_fetch_stops(s, true);
    check_all_objects(s, false);
    check_extras(s);
    check_two_threads(s);
    check_refusals(s);
    check_cancelled(s);
    check_cancelled_on_the_way(s);
    if (s->a->driver->headers)
        check_headers(s);
    if (s->a->driver->bundle && s->c->alone < s->c->objects)
        check_bundles(s);
    if (s->a->driver->watch)
        check_watch(s);
}

unsigned vivo_conformance(const struct vivo_conformance *c)
{
    struct suite s = {.c = c};
    struct vivo_err err = {0};
    struct vivo_archive_config cfg = {.source = c->source,
                                      .net = c->net,
                                      .rate = RATE,
                                      .bearer = c->bearer,
                                      .timeout_ms =
                                          c->timeout_ms ? c->timeout_ms : 10000};

    atomic_init(&s.failures, 0);
    if (vivo_archive_open(&cfg, &s.a, &err) != 0) {
        failed(&s, "open: %s", err.text);
        return atomic_load(&s.failures);
    }
    gathering_init(&s.all, s.a->driver->lists);
    s.all.base.extras = true;
    check_everything(&s);
    gathering_free(&s.all);
    vivo_archive_close(s.a);
    return atomic_load(&s.failures);
}
