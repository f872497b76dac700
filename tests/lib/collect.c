/* SPDX-License-Identifier: Apache-2.0 */
/* tests/lib/collect.c -- see collect.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "collect.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void flaw(struct gathering *g, const char *fmt, ...) VIVO_PRINTF(2, 3);

static void flaw(struct gathering *g, const char *fmt, ...)
{
    va_list ap;

    g->flaws++;
    fputs("conformance: ", stderr);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
}

static char *copy_text(const char *text)
{
    char *p = text ? strdup(text) : NULL;

    if (text && !p)
        abort();
    return p;
}

static void *grow(void *array, size_t n, size_t size)
{
    void *p = realloc(array, (n + 1) * size);

    if (!p)
        abort();
    return p;
}

/* ---- gathering ------------------------------------------------------------------- */

static void check_attrs(struct gathering *g, struct vivo_attrs attrs)
{
    struct vivo_attr a;
    uint32_t last = 0;
    bool first = true;

    while (vivo_attrs_next(&attrs, &a)) {
        if (!first && a.tag <= last)
            flaw(g, "list: attributes are not in ascending order at (%04x,%04x)",
                 a.tag >> 16, a.tag & 0xffff);
        last = a.tag;
        first = false;
    }
    if (attrs.len != 0)
        flaw(g, "list: %zu bytes at the end of a record are no attributes", attrs.len);
}

static void keep_record(struct gathering *g, const struct vivo_record *r)
{
    if (r->level == VIVO_LEVEL_INSTANCE) {
        g->objects = grow(g->objects, g->n_objects, sizeof *g->objects);
        struct object *o = &g->objects[g->n_objects++];
        *o = (struct object){.locator = copy_text(r->locator),
                             .version = copy_text(r->version),
                             .size = r->size,
                             .bare = r->attrs.len == 0};
        vivo_attrs_text(r->attrs, (uint32_t)VIVO_TAG_SOPInstanceUID, o->uid,
                        sizeof o->uid);
        return;
    }
    if (g->containers_of & 1u << r->level) {
        g->containers = grow(g->containers, g->n_containers, sizeof *g->containers);
        g->containers[g->n_containers++] =
            (struct container){r->level, copy_text(r->locator)};
    }
}

static int gather_record(struct vivo_intake *self, const struct vivo_record *r,
                         struct vivo_err *err)
{
    struct gathering *g = (struct gathering *)(void *)self;

    pthread_mutex_lock(&g->mutex);
    check_attrs(g, r->attrs);
    keep_record(g, r);
    if (g->cancel_after > 0 && --g->cancel_after == 0)
        atomic_store(&g->op->cancelled, true);
    pthread_mutex_unlock(&g->mutex);
    if (g->stop_with < 0)
        return vivo_fail(err, -g->stop_with, "the test stops here");
    return g->stop_with;
}

static bool gather_known(struct vivo_intake *self, const char *locator,
                         const char *version)
{
    struct gathering *g = (struct gathering *)(void *)self;

    pthread_mutex_lock(&g->mutex);
    if (!locator || !version)
        flaw(g, "list: known() asked without a locator or version");
    g->asked++;
    pthread_mutex_unlock(&g->mutex);
    return g->everything_known;
}

static int gather_extra(struct vivo_intake *self, const struct vivo_extra *x,
                        struct vivo_err *err VIVO_UNUSED)
{
    struct gathering *g = (struct gathering *)(void *)self;
    const char *slash = strrchr(x->path, '/');

    pthread_mutex_lock(&g->mutex);
    g->extras = grow(g->extras, g->n_extras, sizeof *g->extras);
    g->extras[g->n_extras++] =
        (struct extra){copy_text(x->locator), copy_text(slash ? slash + 1 : x->path),
                       x->size_about ? VIVO_SIZE_UNKNOWN : x->size};
    pthread_mutex_unlock(&g->mutex);
    return 0;
}

static void gather_other(struct vivo_intake *self, const char *locator VIVO_UNUSED,
                         const char *version VIVO_UNUSED)
{
    struct gathering *g = (struct gathering *)(void *)self;

    pthread_mutex_lock(&g->mutex);
    g->others++;
    pthread_mutex_unlock(&g->mutex);
}

void gathering_init(struct gathering *g, unsigned lists)
{
    memset(g, 0, sizeof *g);
    g->base = (struct vivo_intake){.record = gather_record,
                                   .known = gather_known,
                                   .other = gather_other,
                                   .extra = gather_extra};
    g->containers_of = lists;
    pthread_mutex_init(&g->mutex, NULL);
}

void gathering_free(struct gathering *g)
{
    for (size_t i = 0; i < g->n_objects; i++) {
        free(g->objects[i].locator);
        free(g->objects[i].version);
    }
    for (size_t i = 0; i < g->n_containers; i++)
        free(g->containers[i].locator);
    for (size_t i = 0; i < g->n_extras; i++) {
        free(g->extras[i].locator);
        free(g->extras[i].name);
    }
    free(g->extras);
    free(g->objects);
    free(g->containers);
    pthread_mutex_destroy(&g->mutex);
}

static int by_locator(const void *a, const void *b)
{
    return strcmp(((const struct object *)a)->locator,
                  ((const struct object *)b)->locator);
}

void gathering_sort(struct gathering *g)
{
    if (g->n_objects > 0)
        qsort(g->objects, g->n_objects, sizeof *g->objects, by_locator);
}

/* ---- receiving ------------------------------------------------------------------- */

static int receive(struct vivo_sink *self, const void *data, size_t len,
                   struct vivo_err *err)
{
    struct receipt *r = (struct receipt *)(void *)self;

    if (r->fail_with)
        return vivo_fail(err, r->fail_with, "the test takes no bytes");
    if (vivo_buf_add(&r->bytes, data, len) < 0)
        return vivo_fail(err, EIO, "object longer than the test allows");
    if (r->bytes.len > r->cancel_at)
        atomic_store(&r->op->cancelled, true);
    return 0;
}

static int receive_again(struct vivo_sink *self, struct vivo_err *err VIVO_UNUSED)
{
    struct receipt *r = (struct receipt *)(void *)self;

    vivo_buf_clear(&r->bytes);
    return 0;
}

static int receive_descriptor(struct vivo_delivery *self, int fd, struct vivo_err *err)
{
    struct receipt *r = (struct receipt *)(void *)self;

    if (r->fail_with)
        return vivo_fail(err, r->fail_with, "the test takes no descriptor");
    r->fd = fd;
    return 0;
}

int list_all(struct vivo_archive *a, struct gathering *g, struct vivo_op *op)
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

void receipt_init(struct receipt *r, bool descriptors, struct vivo_op *op)
{
    memset(r, 0, sizeof *r);
    r->base.sink.write = receive;
    r->base.sink.restart = receive_again;
    r->base.descriptor = descriptors ? receive_descriptor : NULL;
    vivo_buf_init(&r->bytes, OBJECT_MAX);
    r->fd = -1;
    r->cancel_at = SIZE_MAX;
    r->op = op;
}

void receipt_free(struct receipt *r)
{
    vivo_buf_free(&r->bytes);
    if (r->fd >= 0)
        close(r->fd);
}

/* Bytes of a descriptor that was given away, as a reader of any offset sees them. */
void receipt_read(struct receipt *r)
{
    ssize_t n = 1;

    while (r->fd >= 0 && n > 0) {
        uint8_t *p = vivo_buf_reserve(&r->bytes, 65536);
        n = p ? pread(r->fd, p, 65536, (off_t)r->bytes.len) : -1;
        if (n > 0)
            r->bytes.len += (size_t)n;
    }
}
