/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/nbia_bundle.c -- the images of a series out of its zip (nbia_zip.c).
 *
 * Of series that are read in order they are handed on one by one. For series whose
 * images the server fails to list or to give one by one, all of them are kept in a
 * file. */
#include "nbia.h"
#include "pack_members.h"

#include "vivofs/file.h"
#include "vivofs/pool.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define KEPT 2
#define CHUNK (256u << 10)
#define BUNDLE_BYTES (UINT64_C(16) << 30) /* of a series */
#define UNSAID_BYTES (UINT64_C(1) << 30)  /* of a series that does not say */

struct image {
    char uid[VIVO_UID_MAX + 1];
    uint64_t off, len;
};

struct nbia_bundle {
    char series[VIVO_UID_MAX + 1];
    int fd; /* nameless: the images, one after the other */
    struct image *images;
    size_t n, cap;
    uint64_t bytes;
    unsigned refs; /* guarded by the mutex of the bundles, as is used */
    uint64_t used;
};

struct nbia_bundles {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct nbia_bundle *kept[KEPT]; /* guarded by mutex, as all below */
    uint64_t clock;
    bool loading; /* one at a time: it is large for both sides */
};

/* ---- keeping ---------------------------------------------------------------- */

static void free_bundle(struct nbia_bundle *b)
{
    if (b->fd >= 0)
        close(b->fd);
    free(b->images);
    free(b);
}

struct nbia_bundles *vivo_nbia_bundles_new(void)
{
    struct nbia_bundles *b = calloc(1, sizeof *b);
    if (!b)
        return NULL;
    pthread_mutex_init(&b->mutex, NULL);
    pthread_cond_init(&b->changed, NULL);
    return b;
}

void vivo_nbia_bundles_free(struct nbia_bundles *b)
{
    if (!b)
        return;
    for (size_t i = 0; i < KEPT; i++)
        if (b->kept[i])
            free_bundle(b->kept[i]);
    pthread_cond_destroy(&b->changed);
    pthread_mutex_destroy(&b->mutex);
    free(b);
}

static void unref_locked(struct nbia_bundle *b)
{
    if (b && --b->refs == 0)
        free_bundle(b);
}

static struct nbia_bundle *find_locked(struct nbia_bundles *all, const char *series)
{
    for (size_t i = 0; i < KEPT; i++) {
        struct nbia_bundle *b = all->kept[i];
        if (!b || strcmp(b->series, series) != 0)
            continue;
        b->refs++;
        b->used = ++all->clock;
        return b;
    }
    return NULL;
}

/* In place of the one used longest ago. */
static void keep_locked(struct nbia_bundles *all, struct nbia_bundle *b)
{
    size_t at = 0;
    for (size_t i = 0; i < KEPT && all->kept[at]; i++)
        if (!all->kept[i] || all->kept[i]->used < all->kept[at]->used)
            at = i;
    unref_locked(all->kept[at]);
    all->kept[at] = b;
    b->refs++;
    b->used = ++all->clock;
}

struct nbia_bundle *vivo_nbia_bundle_kept(struct nbia *n, const char *series)
{
    pthread_mutex_lock(&n->bundles->mutex);
    struct nbia_bundle *b = find_locked(n->bundles, series);
    pthread_mutex_unlock(&n->bundles->mutex);
    return b;
}

void vivo_nbia_bundle_put(struct nbia *n, struct nbia_bundle *b)
{
    pthread_mutex_lock(&n->bundles->mutex);
    unref_locked(b);
    pthread_mutex_unlock(&n->bundles->mutex);
}

/* ---- filling ---------------------------------------------------------------- */

struct filling {           /* the images of a zip go into the file of the bundle */
    struct vivo_sink sink; /* first */
    struct nbia_bundle *b;
    uint64_t len; /* of the image under way */
};

static int write_image(struct vivo_sink *self, const void *data, size_t len,
                       struct vivo_err *err)
{
    struct filling *f = (struct filling *)self; /* first member */
    if (f->b->bytes + f->len + len > BUNDLE_BYTES)
        return vivo_fail(err, EIO, "the series is too large for a zip");
    int rc = vivo_pwrite_full(f->b->fd, data, len, f->b->bytes + f->len, err);
    f->len += rc ? 0 : len;
    return rc;
}

static int forget_image(struct vivo_sink *self, struct vivo_err *err)
{
    (void)err;
    ((struct filling *)self)->len = 0;
    return 0;
}

static int add_image(void *ctx, const char *uid, struct vivo_err *err)
{
    struct filling *f = ctx;
    struct nbia_bundle *b = f->b;
    struct image image = {.off = b->bytes, .len = f->len};
    struct image *images =
        vivo_array_grow(b->images, b->n, &b->cap, sizeof *images, VIVO_ARRAY_MAX);
    if (!images)
        return vivo_fail(err, ENOMEM, "nbia: out of memory");
    b->images = images;
    b->bytes += f->len;
    f->len = 0;
    snprintf(image.uid, sizeof image.uid, "%s", uid);
    if (vivo_nbia_uid_ok(uid))
        b->images[b->n++] = image;
    return 0;
}

static int compare_images(const void *a, const void *b)
{
    const struct image *x = a;
    const struct image *y = b;
    return strcmp(x->uid, y->uid);
}

static int load(struct nbia *n, struct nbia_bundle *b, struct vivo_op *op)
{
    struct filling f = {.sink = {write_image, forget_image}, .b = b};
    struct vivo_parcel parcel = {.to = &f.sink, .done = add_image, .ctx = &f};
    struct nbia_place p;
    int rc = vivo_nbia_series_ask(n, b->series, &p, op);
    if (rc)
        return rc;
    b->fd = pack_temporary(p.bytes ? p.bytes : UNSAID_BYTES, &op->err);
    rc = b->fd < 0 ? b->fd : vivo_nbia_zip(n, &p, &parcel, NULL, op);
    if (rc == 0 && b->n)
        qsort(b->images, b->n, sizeof *b->images, compare_images);
    return rc;
}

/* Waits a little for what another thread loads. */
static void wait_locked(struct nbia_bundles *all)
{
    vivo_wait_ms(&all->changed, &all->mutex, 300);
}

/* The bundle if it is kept, else the right to load it; or an error. */
static int find_or_begin(struct nbia_bundles *all, const char *series,
                         struct nbia_bundle **out, struct vivo_op *op)
{
    int rc = 0;
    pthread_mutex_lock(&all->mutex);
    while (!(*out = find_locked(all, series)) && all->loading && rc == 0) {
        wait_locked(all);
        rc = vivo_op_check(op);
    }
    if (!*out && rc == 0)
        all->loading = true;
    pthread_mutex_unlock(&all->mutex);
    return rc;
}

int vivo_nbia_bundle_get(struct nbia *n, const char *series, struct nbia_bundle **out,
                         struct vivo_op *op)
{
    struct nbia_bundles *all = n->bundles;
    int rc = find_or_begin(all, series, out, op);
    if (rc || *out)
        return rc;
    struct nbia_bundle *b = calloc(1, sizeof *b);
    if (b) {
        b->fd = -1;
        b->refs = 1;
        snprintf(b->series, sizeof b->series, "%s", series);
        rc = load(n, b, op);
    } else {
        rc = vivo_fail(&op->err, ENOMEM, "nbia: out of memory");
    }
    pthread_mutex_lock(&all->mutex);
    all->loading = false;
    if (rc == 0)
        keep_locked(all, b);
    else
        unref_locked(b);
    pthread_cond_broadcast(&all->changed);
    pthread_mutex_unlock(&all->mutex);
    *out = rc ? NULL : b;
    return rc;
}

size_t vivo_nbia_bundle_count(const struct nbia_bundle *b)
{
    return b->n;
}

const char *vivo_nbia_bundle_uid(const struct nbia_bundle *b, size_t i, uint64_t *size)
{
    *size = b->images[i].len;
    return b->images[i].uid;
}

int vivo_nbia_bundle_send(const struct nbia_bundle *b, const char *uid,
                          struct vivo_sink *to, struct vivo_op *op)
{
    struct image key;
    snprintf(key.uid, sizeof key.uid, "%s", uid);
    const struct image *at =
        b->n ? bsearch(&key, b->images, b->n, sizeof key, compare_images) : NULL;
    if (!at)
        return vivo_fail(&op->err, ENOENT, "the archive does not have this image");
    VIVO_AUTO(vivo_free_p) uint8_t *block = malloc(CHUNK);
    int rc = block ? 0 : vivo_fail(&op->err, ENOMEM, "nbia: out of memory");
    for (uint64_t off = 0; rc == 0 && off < at->len;) {
        size_t len = (size_t)VIVO_MIN(at->len - off, (uint64_t)CHUNK);
        rc = vivo_op_check(op);
        if (rc == 0)
            rc = vivo_pread_full(b->fd, block, len, at->off + off, &op->err);
        if (rc == 0)
            rc = to->write(to, block, len, &op->err);
        off += len;
    }
    return rc;
}

/* ---- a series that somebody reads in order ------------------------------------ */

struct passing { /* images go on to whom they are for */
    struct vivo_bundle *to;
    struct nbia_place place;
};

static int pass_image(void *ctx, const char *uid, struct vivo_err *err)
{
    struct passing *p = ctx;
    char locator[NBIA_LOCATOR_MAX];
    if (!vivo_nbia_uid_ok(uid)) /* of no locator */
        return p->to->sink.restart(&p->to->sink, err);
    snprintf(p->place.instance, sizeof p->place.instance, "%s", uid);
    vivo_nbia_place_write(&p->place, VIVO_LEVEL_INSTANCE, locator);
    return p->to->whole(p->to, locator, err);
}

static int pass_kept(const struct nbia_bundle *b, struct passing *p, struct vivo_op *op)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < b->n; i++) {
        rc = vivo_nbia_bundle_send(b, b->images[i].uid, &p->to->sink, op);
        if (rc == 0)
            rc = pass_image(p, b->images[i].uid, &op->err);
    }
    return rc;
}

int vivo_nbia_bundle(struct vivo_archive *self, const char *series,
                     struct vivo_bundle *to, struct vivo_op *op)
{
    struct nbia *n = nbia_of(self);
    struct passing p = {.to = to};
    struct vivo_parcel parcel = {.to = &to->sink, .done = pass_image, .ctx = &p};
    int rc = vivo_nbia_place_read(series, VIVO_LEVEL_SERIES, &p.place, &op->err);
    if (rc == 0 && !atomic_load(&n->version))
        rc = vivo_nbia_settle(n, op);
    if (rc)
        return rc;
    struct nbia_bundle *kept = vivo_nbia_bundle_kept(n, p.place.series);
    if (kept) {
        rc = pass_kept(kept, &p, op);
        vivo_nbia_bundle_put(n, kept);
        return rc;
    }
    struct nbia_place said;
    rc = vivo_nbia_series_ask(n, p.place.series, &said, op);
    return rc ? rc : vivo_nbia_zip(n, &said, &parcel, to, op);
}
