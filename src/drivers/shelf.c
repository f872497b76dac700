/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/shelf.c -- see shelf.h.
 *
 * Tasks of the crew: "KIND ID\nPATH" = a folder or an item, "/SIZE/VERSION\nLOCATOR\n
 * PATH" = the header of a file. A path is that of names, each without slashes. */
#include "shelf.h"

#include "crawl.h"
#include "crew.h"
#include "file_object.h"

#include "vivofs/hash.h"
#include "vivofs/log.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define THREADS 8u
#define TASKS_BYTES (256u << 20)
#define PATH_BYTES (VIVO_PATH_MAX + 16u) /* longer ones are cut, and not shown */
#define TASK_BYTES (64u << 10)
#define NODES_MAX (UINT64_C(1) << 23)

/* Digests of what was seen, in an open table. */
struct seen {
    pthread_mutex_t mutex;
    uint64_t *slots; /* 0 = free */
    uint64_t n, cap;
};

struct run {
    struct vivo_shelf *shelf;
    struct vivo_intake *in;
    struct seen seen;
    atomic_uint_least64_t odd, again, dead;
};

struct vivo_shelf_node {
    struct run *run;
    struct vivo_crew *crew;
    char kind;
    const char *path; /* "" = the top */
};

/* ---- what was seen ------------------------------------------------------------ */

static bool put_digest(uint64_t *slots, uint64_t cap, uint64_t digest)
{
    uint64_t i = digest & (cap - 1);
    while (slots[i] && slots[i] != digest)
        i = (i + 1) & (cap - 1);
    bool fresh = slots[i] == 0;
    slots[i] = digest;
    return fresh;
}

static int grow(struct seen *s, struct vivo_err *err)
{
    uint64_t cap = s->cap ? 2 * s->cap : 1024;
    if (cap > 2 * NODES_MAX)
        return vivo_fail(err, EIO, "more than %" PRIu64 " things in one collection",
                         NODES_MAX);
    uint64_t *slots = calloc(cap, sizeof *slots);
    if (!slots)
        return vivo_fail(err, ENOMEM, "listing: out of memory");
    for (uint64_t i = 0; i < s->cap; i++)
        if (s->slots[i])
            put_digest(slots, cap, s->slots[i]);
    free(s->slots);
    s->slots = slots;
    s->cap = cap;
    return 0;
}

/* 1: it was not seen before. */
static int see(struct seen *s, const char *text, struct vivo_err *err)
{
    uint8_t sum[VIVO_DIGEST_LEN];
    uint64_t digest;
    int rc = 0;
    vivo_sha256(text, strlen(text), sum);
    memcpy(&digest, sum, sizeof digest);
    digest += digest == 0;
    pthread_mutex_lock(&s->mutex);
    if (2 * s->n >= s->cap)
        rc = grow(s, err);
    if (rc == 0 && put_digest(s->slots, s->cap, digest)) {
        s->n++;
        rc = 1;
    }
    pthread_mutex_unlock(&s->mutex);
    return rc;
}

/* ---- what a node holds ------------------------------------------------------------
 */

/* Appends the name below the node's path. A slash within it becomes U+2215. */
static int add_path(struct vivo_buf *b, const struct vivo_shelf_node *at,
                    const char *name)
{
    const char *last = strrchr(at->path, '/');
    size_t start = b->len;
    bool same = at->kind == 'i' && strcmp(last ? last + 1 : at->path, name) == 0;
    int rc = vivo_buf_puts(b, at->path);
    if (rc || same)
        return rc;
    if (at->path[0])
        rc = vivo_buf_puts(b, "/");
    if (rc == 0 && (!*name || strcmp(name, ".") == 0))
        rc = vivo_buf_puts(b, "_");
    for (size_t n; rc == 0 && *name; name += n + (name[n] == '/')) {
        n = strcspn(name, "/");
        rc = vivo_buf_add(b, name, n);
        if (rc == 0 && name[n])
            rc = vivo_buf_puts(b, "\xE2\x88\x95");
    }
    if (rc == 0 && b->len - start > PATH_BYTES) {
        b->len = start + PATH_BYTES;
        b->data[b->len] = 0;
    }
    return rc;
}

int vivo_shelf_child(struct vivo_shelf_node *into, char kind, const char *id,
                     const char *name, struct vivo_err *err)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf task = {0};
    char thing[VIVO_SHELF_ID_MAX + 3];
    if (snprintf(thing, sizeof thing, "%c %s", kind, id) >= (int)sizeof thing) {
        vivo_shelf_odd(into);
        return 0;
    }
    int rc = see(&into->run->seen, thing, err);
    if (rc == 0)
        atomic_fetch_add(&into->run->again, 1);
    if (rc <= 0)
        return rc;
    vivo_buf_init(&task, TASK_BYTES);
    if (vivo_buf_printf(&task, "%s\n", thing) || add_path(&task, into, name))
        return vivo_fail(err, ENOMEM, "listing: out of memory");
    return vivo_crew_add(into->crew, (const char *)task.data, err);
}

bool vivo_shelf_extras(const struct vivo_shelf_node *into)
{
    return into->run->in->extras;
}

void vivo_shelf_odd(struct vivo_shelf_node *into)
{
    atomic_fetch_add(&into->run->odd, 1);
}

static int put_extra(struct vivo_intake *in, const char *locator, const char *path,
                     const char *version, uint64_t size, struct vivo_err *err)
{
    const struct vivo_extra x = {.locator = locator,
                                 .path = path,
                                 .version = version[0] ? version : NULL,
                                 .size = size};
    return in->extra(in, &x, err);
}

int vivo_shelf_file(struct vivo_shelf_node *into, const char *locator, const char *name,
                    const char *version, uint64_t size, struct vivo_err *err)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf task = {0};
    struct vivo_intake *in = into->run->in;
    int rc = see(&into->run->seen, locator, err);
    if (rc <= 0) {
        atomic_fetch_add(&into->run->again, rc == 0);
        return rc;
    }
    if (in->known(in, locator, version))
        return 0;
    vivo_buf_init(&task, TASK_BYTES);
    rc = vivo_buf_printf(&task, "/%" PRIu64 "/%s\n%s\n", size == UINT64_MAX ? 0 : size,
                         version, locator);
    size_t path = task.len;
    if (rc || add_path(&task, into, name))
        return vivo_fail(err, ENOMEM, "listing: out of memory");
    if (size == 0 || vivo_crawl_is_surely_other(name))
        return put_extra(in, locator, (const char *)task.data + path, version, size,
                         err);
    return vivo_crew_add(into->crew, (const char *)task.data, err);
}

/* ---- files ------------------------------------------------------------------------
 */

static int do_file(struct vivo_crew *crew, struct run *run, const char *task,
                   struct vivo_op *op)
{
    struct vivo_ranged_header h;
    char version[VIVO_SHELF_VERSION_MAX], locator[VIVO_SHELF_LOCATOR_MAX + 1];
    char *end;
    uint64_t size = strtoull(task + 1, &end, 10);
    const char *line = strchr(end, '\n') + 1;
    const char *path = strchr(line, '\n') + 1;
    snprintf(version, sizeof version, "%.*s", (int)(line - end - 2), end + 1);
    snprintf(locator, sizeof locator, "%.*s", (int)(path - line - 1), line);
    int rc = run->shelf->header(run->shelf, locator, &h, op);
    if (rc == 0 && h.object) {
        const struct vivo_record rec = {.level = VIVO_LEVEL_INSTANCE,
                                        .locator = locator,
                                        .where = path,
                                        .version = version[0] ? version : NULL,
                                        .size = size ? size : h.size,
                                        .attrs = {h.attrs.data, h.attrs.len},
                                        .headers = true};
        rc = vivo_crew_record(crew, run->in, &rec, &op->err);
    } else if (rc == 0 && h.foreign) {
        if (!size)
            size = h.reply.total >= 0 ? (uint64_t)h.reply.total : VIVO_SIZE_UNKNOWN;
        rc = put_extra(run->in, locator, path, version, size, &op->err);
    } else if (rc == 0) {
        run->in->other(run->in, locator, version);
    } else if (rc == -ENOENT || (rc == -EACCES && h.reply.status == 403)) {
        /* Deleted since it was listed, or not for this account. */
        vivo_err_clear(&op->err);
        atomic_fetch_add(&run->dead, 1);
        run->in->other(run->in, locator, version);
        rc = 0;
    }
    vivo_ranged_header_free(&h);
    return rc;
}

/* ---- all of it --------------------------------------------------------------------
 */

static int do_task(struct vivo_crew *crew, void *ctx, const char *task,
                   struct vivo_op *op)
{
    struct run *run = ctx;
    char id[VIVO_SHELF_ID_MAX + 1];
    run->in->alive(run->in);
    if (task[0] == '/')
        return do_file(crew, run, task, op);
    const char *path = strchr(task, '\n') + 1;
    struct vivo_shelf_node node = {run, crew, task[0], path};
    snprintf(id, sizeof id, "%.*s", (int)(path - task - 3), task + 2);
    return run->shelf->node(run->shelf, task[0], id, &node, op);
}

static void log_left_out(struct run *run)
{
    uint64_t odd = atomic_load(&run->odd), again = atomic_load(&run->again);
    uint64_t dead = atomic_load(&run->dead);
    if (odd + again + dead == 0)
        return;
    vivo_log(VIVO_LOG_WARN, "drivers.shelf",
             "%s: left out: %" PRIu64 " things that cannot be asked for, %" PRIu64
             " that are told twice, %" PRIu64 " files that cannot be read",
             run->shelf->name, odd, again, dead);
}

int vivo_shelf_run(struct vivo_shelf *s, char kind, const char *id,
                   struct vivo_intake *in, struct vivo_op *op)
{
    struct run run = {.shelf = s, .in = in};
    char first[VIVO_SHELF_ID_MAX + 4];
    snprintf(first, sizeof first, "%c %s", kind, id);
    pthread_mutex_init(&run.seen.mutex, NULL);
    int rc = see(&run.seen, first, &op->err);
    snprintf(first, sizeof first, "%c %s\n", kind, id);
    if (rc > 0)
        rc = vivo_crew_run(s->threads ? s->threads : THREADS, TASKS_BYTES, do_task,
                           &run, first, op);
    if (rc == 0)
        log_left_out(&run);
    pthread_mutex_destroy(&run.seen.mutex);
    free(run.seen.slots);
    return rc;
}

/* ---- fetch ------------------------------------------------------------------------
 */

struct counted {
    struct vivo_delivery base; /* first member */
    struct vivo_delivery *to;
    uint64_t size, came;
};

static struct counted *counted_of(struct vivo_sink *s)
{
    return (struct counted *)s; /* first member of the first member */
}

static int count(struct vivo_sink *self, const void *data, size_t len,
                 struct vivo_err *err)
{
    struct counted *c = counted_of(self);
    c->came += len;
    if (c->size && c->came > c->size)
        return vivo_fail(err, EIO, "the file has grown since it was listed");
    return c->to->sink.write(&c->to->sink, data, len, err);
}

static int count_anew(struct vivo_sink *self, struct vivo_err *err)
{
    struct counted *c = counted_of(self);
    c->came = 0;
    return c->to->sink.restart(&c->to->sink, err);
}

int vivo_shelf_fetch(struct vivo_archive *a, const struct vivo_net_request *rq,
                     uint64_t size, struct vivo_delivery *to,
                     struct vivo_net_reply *reply, struct vivo_op *op)
{
    struct counted c = {
        .base = {.sink = {.write = count,
                          .restart = to->sink.restart ? count_anew : NULL},
                 .extra = to->extra},
        .to = to,
        .size = size};
    int rc = vivo_file_object(a, rq, &c.base, reply, op);
    if (rc == 0 && size && c.came != size)
        return vivo_fail(&op->err, EIO,
                         "the file has %" PRIu64 " bytes, its listing says %" PRIu64,
                         c.came, size);
    return rc;
}
