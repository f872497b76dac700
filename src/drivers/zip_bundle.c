/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/zip_bundle.c -- see zip_bundle.h. */
#include "zip_bundle.h"

#include <errno.h>
#include <string.h>

#define FILES_MAX 1000000u

struct vivo_zip_member {
    char *path, *locator;
    uint64_t size;
    bool twice; /* another one is called so */
    bool done;
};

/* ---- which file is which ------------------------------------------------------- */

int vivo_zip_bundle_add(struct vivo_zip_bundle *b, const char *path,
                        const char *locator, uint64_t size, struct vivo_err *err)
{
    struct vivo_zip_member *members =
        vivo_array_grow(b->members, b->n, &b->cap, sizeof *members, FILES_MAX);
    if (!members)
        return vivo_fail(err, ENOMEM, "zip: out of memory");
    b->members = members;
    struct vivo_zip_member *m = &members[b->n++];
    *m = (struct vivo_zip_member){.path = strdup(path), .size = size};
    m->locator = locator ? strdup(locator) : NULL;
    if (!m->path || (locator && !m->locator))
        return vivo_fail(err, ENOMEM, "zip: out of memory");
    b->bytes += size;
    if (locator && (!b->to->wants || b->to->wants(b->to, locator))) {
        b->wanted += size;
        b->objects++;
    }
    return 0;
}

int vivo_zip_bundle_worth(const struct vivo_zip_bundle *b, struct vivo_err *err)
{
    if (b->objects < 2)
        return vivo_fail(err, EIO, "a series whose files lie one by one");
    if (b->wanted >= b->bytes / 2)
        return 0;
    return vivo_fail(err, EIO, "the zip would hold more of other files than of these");
}

static int compare(const void *x, const void *y)
{
    const struct vivo_zip_member *a = x, *b = y;
    return strcmp(a->path, b->path);
}

static void sort_members(struct vivo_zip_bundle *b)
{
    if (b->n)
        qsort(b->members, b->n, sizeof *b->members, compare);
    for (size_t i = 1; i < b->n; i++)
        if (compare(&b->members[i], &b->members[i - 1]) == 0)
            b->members[i].twice = b->members[i - 1].twice = true;
}

static struct vivo_zip_member *find(const struct vivo_zip_bundle *b, const char *name)
{
    const char *path = b->path(b->ctx, name);
    if (!path || b->n == 0)
        return NULL;
    struct vivo_zip_member key = {.path = strdup(path)};
    struct vivo_zip_member *m =
        key.path ? bsearch(&key, b->members, b->n, sizeof key, compare) : NULL;
    free(key.path);
    return m && m->locator && !m->twice && !m->done ? m : NULL;
}

/* ---- as it comes --------------------------------------------------------------- */

static int begin_member(void *ctx, const char *name, struct vivo_err *err)
{
    struct vivo_zip_bundle *b = ctx;
    b->current = find(b, name);
    b->came = 0;
    b->named += b->current != NULL;
    return b->current ? vivo_parcel_begin(&b->parcel, err) : 0;
}

static int member_bytes(void *ctx, const void *data, size_t len, struct vivo_err *err)
{
    struct vivo_zip_bundle *b = ctx;
    b->came += len;
    return b->current ? vivo_parcel_push(&b->parcel, data, len, err) : 0;
}

static int end_member(void *ctx, struct vivo_err *err)
{
    struct vivo_zip_bundle *b = ctx;
    int rc = b->current ? vivo_parcel_end(&b->parcel, err) : 0;
    if (b->current && b->parcel.waiting[0])
        b->waiting = b->current;
    return rc;
}

/* The one that waited is handed on before anything else comes. What may wait has no
 * length that was told: it could not be shorter then. */
static int hand_on(void *ctx, const char *uid, struct vivo_err *err)
{
    struct vivo_zip_bundle *b = ctx;
    struct vivo_zip_member *m = b->waiting ? b->waiting : b->current;
    bool other = !b->waiting && m->size && b->came != m->size;
    (void)uid;
    b->waiting = NULL;
    if (other)
        return b->to->sink.restart(&b->to->sink, err);
    m->done = true;
    return b->to->whole(b->to, m->locator, err);
}

static int write_arrival(struct vivo_sink *self, const void *data, size_t len,
                         struct vivo_err *err)
{
    struct vivo_zip_bundle *b = (struct vivo_zip_bundle *)self; /* first member */
    b->to->alive(b->to, len);
    return vivo_zip_stream_push(b->zip, data, len, err);
}

static int begin(struct vivo_zip_bundle *b, struct vivo_err *err)
{
    const struct vivo_zip_to to = {begin_member, member_bytes, end_member, b};
    sort_members(b);
    vivo_zip_stream_free(b->zip);
    b->zip = NULL;
    vivo_parcel_free(&b->parcel);
    b->parcel = (struct vivo_parcel){
        .to = &b->to->sink, .done = hand_on, .ctx = b, .wary = b->wary};
    b->waiting = NULL;
    b->sink.write = write_arrival;
    int rc = b->to->sink.restart(&b->to->sink, err);
    return rc ? rc : vivo_zip_stream_new(&to, b->max_bytes, &b->zip, err);
}

int vivo_zip_bundle_get(struct vivo_zip_bundle *b, struct vivo_archive *a,
                        const struct vivo_net_request *rq, struct vivo_net_reply *reply,
                        struct vivo_op *op)
{
    struct vivo_net_request full = *rq;
    full.max_bytes = b->max_bytes;
    full.close_ends = true; /* a zip has its directory at its end */
    full.on_caller = true;
    int rc = begin(b, &op->err);
    if (rc)
        return rc;
    atomic_fetch_add(&a->requests, 1);
    rc = vivo_net_fetch(a->net, &full, &b->sink, reply, op);
    atomic_fetch_add(&a->bytes, reply->received);
    return rc ? rc : vivo_zip_stream_finish(b->zip, &op->err);
}

int vivo_zip_bundle_finish(struct vivo_zip_bundle *b, struct vivo_err *err)
{
    return vivo_parcel_finish(&b->parcel, err);
}

void vivo_zip_bundle_free(struct vivo_zip_bundle *b)
{
    vivo_zip_stream_free(b->zip);
    vivo_parcel_free(&b->parcel);
    for (size_t i = 0; i < b->n; i++) {
        free(b->members[i].path);
        free(b->members[i].locator);
    }
    free(b->members);
}
