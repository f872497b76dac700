/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/nbia_bundle.c -- the zip of a series (getImage), taken apart.
 *
 * For series that are read in order, and for those whose images the server fails to
 * list or to give one by one. Its entries do not say which image they are, so their
 * headers are read. A failure in the middle ends in a zip that looks whole: number and
 * bytes must be those of the series.
 */
#include "dicomjson.h"
#include "multipart.h"
#include "nbia.h"
#include "pack_members.h"
#include "pack_reader.h"

#include "vivofs/dcm.h"
#include "vivofs/file.h"
#include "vivofs/pool.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define KEPT 2
#define URL_MAX 4096
#define CHUNK (256u << 10)
#define HEAD_MAX (4u << 20)               /* where the SOP Instance UID must be */
#define BUNDLE_BYTES (UINT64_C(16) << 30) /* of a series */
#define UNSAID_BYTES (UINT64_C(1) << 30)  /* of a series that does not say */
#define IMAGES_MAX 1000000u

struct image {
    char uid[VIVO_UID_MAX + 1];
    uint64_t off, len;
};

struct nbia_bundle {
    char series[VIVO_UID_MAX + 1];
    int fd; /* nameless: the images, one after the other */
    struct image *images;
    size_t n, cap;
    size_t entries; /* that are images */
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

/* ---- getting the zip -------------------------------------------------------- */

struct file_sink {
    struct vivo_sink base;
    struct vivo_bundle *to; /* who wants to hear of it; or NULL */
    int fd;
    uint64_t len;
};

static int write_file(struct vivo_sink *self, const void *data, size_t len,
                      struct vivo_err *err)
{
    struct file_sink *s = (struct file_sink *)self; /* first member */
    int rc = vivo_pwrite_full(s->fd, data, len, s->len, err);
    s->len += len;
    if (s->to)
        s->to->alive(s->to, len);
    return rc;
}

static int restart_file(struct vivo_sink *self, struct vivo_err *err)
{
    struct file_sink *s = (struct file_sink *)self; /* first member */
    s->len = 0;
    return ftruncate(s->fd, 0) ? vivo_fail(err, EIO, "a temporary file cannot be cut")
                               : 0;
}

static int get_zip(struct nbia *n, const struct nbia_place *p, int fd, uint64_t *len,
                   struct vivo_bundle *to, struct vivo_op *op)
{
    enum nbia_version v = (enum nbia_version)atomic_load(&n->version);
    struct vivo_net_reply reply = {0};
    struct file_sink sink = {.base = {write_file, restart_file}, .to = to, .fd = fd};
    char url[URL_MAX];
    if (snprintf(url, sizeof url, "%s/services/%s/getImage?SeriesInstanceUID=%s",
                 n->url, vivo_nbia_version_name(v), p->series) >= URL_MAX)
        return vivo_fail(&op->err, EINVAL, "nbia: URL longer than %d", URL_MAX);
    uint64_t most = p->bytes ? p->bytes : UNSAID_BYTES;
    const struct vivo_net_request rq = {
        .url = url,
        .bearer = v == NBIA_V1 ? NULL : n->bearer,
        .max_bytes = most + most / 8 + (64u << 20),
        .close_ends = true, /* a zip has its directory at its end */
    };
    atomic_fetch_add(&n->base.requests, 1);
    int rc = vivo_net_fetch(n->base.net, &rq, &sink.base, &reply, op);
    atomic_fetch_add(&n->base.bytes, reply.received);
    *len = sink.len;
    if (rc == -ENOENT) { /* a request that the server does not have is nothing gone */
        op->err.errnum = EIO;
        rc = -EIO;
    }
    if (rc == 0 && (vivo_media_type_is(reply.content_type, "text/html") ||
                    vivo_media_type_is(reply.content_type, "application/json")))
        rc = vivo_fail(&op->err, EIO, "the server answers words, not a zip");
    return rc;
}

/* ---- taking it apart -------------------------------------------------------- */

static int on_element(void *ctx, enum vivo_dcm_event event,
                      const struct vivo_dcm_elem *e, struct vivo_err *err)
{
    char *uid = ctx;
    (void)err;
    if (e->depth > 0 || event == VIVO_DCM_META || event == VIVO_DCM_DATASET)
        return 0;
    if (event == VIVO_DCM_SEQUENCE)
        return VIVO_DCM_SKIP;
    if (e->tag < VIVO_TAG_SOPInstanceUID && event != VIVO_DCM_END)
        return 0;
    if (e->tag == VIVO_TAG_SOPInstanceUID && event == VIVO_DCM_ELEMENT &&
        e->length <= VIVO_UID_MAX) {
        size_t len = (size_t)e->length;
        while (len > 0 && (e->value[len - 1] == '\0' || e->value[len - 1] == ' '))
            len--;
        memcpy(uid, e->value, len);
        uid[len] = '\0';
    }
    return VIVO_DCM_STOP;
}

/* "" when the object has none that is usable. */
static int read_uid(int fd, const struct image *at, char uid[VIVO_UID_MAX + 1],
                    struct vivo_err *err)
{
    uint8_t block[4096];
    struct vivo_dcm_walk *w = NULL;
    uid[0] = '\0';
    int rc = vivo_dcm_walk_new(NULL, 0, 0, -1, on_element, uid, &w, err);
    while (rc == 0) {
        uint64_t off = vivo_dcm_walk_wants(w);
        if (off >= at->len || off > HEAD_MAX)
            break;
        size_t len = (size_t)VIVO_MIN(at->len - off, (uint64_t)sizeof block);
        rc = vivo_pread_full(fd, block, len, at->off + off, err);
        if (rc == 0)
            rc = vivo_dcm_walk_push(w, off, block, len, err);
    }
    vivo_dcm_walk_free(w);
    if (!vivo_nbia_uid_ok(uid))
        uid[0] = '\0';
    return rc < 0 ? rc : 0;
}

static int add_image(struct nbia_bundle *b, const struct image *image,
                     struct vivo_err *err)
{
    struct image *images =
        vivo_array_grow(b->images, b->n, &b->cap, sizeof *images, VIVO_ARRAY_MAX);
    if (!images)
        return vivo_fail(err, ENOMEM, "nbia: out of memory");
    b->images = images;
    b->images[b->n++] = *image;
    return 0;
}

static int take_entry(struct nbia_bundle *b, struct pack_reader *r,
                      const struct pack_entry *e, struct vivo_op *op)
{
    const uint8_t *head;
    size_t len;
    struct image image = {.off = b->bytes};
    if (e->folder)
        return 0;
    int rc = e->readable ? pack_reader_head(r, &head, &len, op) : PACK_BAD_MEMBER;
    if (rc == 0 && !vivo_dcm_probe(head, len, VIVO_MAX(e->size, (uint64_t)len)))
        return 0; /* LICENSE, md5hashes.csv */
    if (rc == 0)
        rc = pack_reader_copy(r, b->fd, image.off, &image.len, op);
    if (rc == PACK_BAD_MEMBER)
        return vivo_fail(&op->err, EIO, "an image of the zip cannot be decoded");
    if (rc)
        return rc;
    b->entries++;
    b->bytes += image.len;
    if (b->bytes > BUNDLE_BYTES || b->entries > IMAGES_MAX)
        return vivo_fail(&op->err, EIO, "the zip holds more than any series");
    rc = read_uid(b->fd, &image, image.uid, &op->err);
    return rc || !image.uid[0] ? rc : add_image(b, &image, &op->err);
}

static int compare_images(const void *a, const void *b)
{
    const struct image *x = a;
    const struct image *y = b;
    return strcmp(x->uid, y->uid);
}

static int unpack(struct nbia_bundle *b, int zip, uint64_t len, struct vivo_op *op)
{
    struct pack_reader *r = NULL;
    struct pack_entry e;
    int rc = pack_reader_new(zip, len, &r, &op->err);
    while (rc == 0 && (rc = pack_reader_next(r, &e, op)) == 1) {
        rc = vivo_op_check(op);
        if (rc == 0)
            rc = take_entry(b, r, &e, op);
    }
    pack_reader_free(r);
    if (rc == -EINVAL || rc == -EBADMSG)
        op->err.errnum = EIO; /* what came is no zip: the object itself may be fine */
    if (rc)
        return -op->err.errnum;
    if (b->n)
        qsort(b->images, b->n, sizeof *b->images, compare_images);
    return 0;
}

static int check_whole(const struct nbia_bundle *b, const struct nbia_place *p,
                       struct vivo_err *err)
{
    if (b->entries < p->count || b->entries == 0)
        return vivo_fail(err, EIO, "the zip holds %zu of the %" PRIu64 " images",
                         b->entries, p->count);
    if (b->bytes < p->bytes)
        return vivo_fail(err, EIO, "the images of the zip are shorter than the series");
    return 0;
}

/* ---- one series ------------------------------------------------------------- */

/* What the archive says of the series; -ENOENT: nothing. */
static int ask_series(struct nbia *n, const char *series, struct nbia_place *out,
                      struct vivo_op *op)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf body = {0};
    struct vivo_dicomjson_rows rows;
    const char *object;
    size_t len;
    char query[128];
    vivo_buf_init(&body, NBIA_INSTANCES_BYTES);
    snprintf(query, sizeof query, "getSeries?SeriesInstanceUID=%s", series);
    int rc = vivo_nbia_ask(n, query, body.max, &body, op);
    if (rc)
        return rc;
    vivo_dicomjson_rows_init(&rows, body.data,
                             vivo_nbia_is_empty(&body) ? 0 : body.len);
    while ((rc = vivo_dicomjson_next(&rows, &object, &len, &op->err)) > 0) {
        rc = vivo_nbia_series(object, len, out, &op->err);
        if (rc || strcmp(out->series, series) == 0)
            return rc;
    }
    return rc ? rc
              : vivo_fail(&op->err, ENOENT, "the archive does not list the series");
}

static int load(struct nbia *n, struct nbia_bundle *b, struct vivo_bundle *to,
                struct vivo_op *op)
{
    struct nbia_place p;
    uint64_t len = 0;
    int rc = ask_series(n, b->series, &p, op);
    if (rc)
        return rc;
    if (p.bytes > BUNDLE_BYTES)
        return vivo_fail(&op->err, EIO, "the series is too large for a zip");
    uint64_t room = p.bytes ? p.bytes : UNSAID_BYTES;
    VIVO_AUTO(vivo_close_p) int zip = pack_temporary(room, &op->err);
    if (zip < 0)
        return zip;
    b->fd = pack_temporary(room, &op->err);
    if (b->fd < 0)
        return b->fd;
    rc = get_zip(n, &p, zip, &len, to, op);
    if (rc == 0)
        rc = unpack(b, zip, len, op);
    if (rc == 0)
        rc = check_whole(b, &p, &op->err);
    return rc ? vivo_fail_in(&op->err, "getImage") : 0;
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

static int get_or_load(struct nbia *n, const char *series, struct vivo_bundle *to,
                       struct nbia_bundle **out, struct vivo_op *op)
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
        rc = load(n, b, to, op);
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

int vivo_nbia_bundle_get(struct nbia *n, const char *series, struct nbia_bundle **out,
                         struct vivo_op *op)
{
    return get_or_load(n, series, NULL, out, op);
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

int vivo_nbia_bundle(struct vivo_archive *self, const char *series,
                     struct vivo_bundle *to, struct vivo_op *op)
{
    struct nbia *n = nbia_of(self);
    struct nbia_bundle *b = NULL;
    struct nbia_place p;
    char locator[NBIA_LOCATOR_MAX];
    int rc = vivo_nbia_place_read(series, VIVO_LEVEL_SERIES, &p, &op->err);
    if (rc == 0 && !atomic_load(&n->version))
        rc = vivo_nbia_settle(n, op);
    if (rc == 0)
        rc = get_or_load(n, p.series, to, &b, op);
    if (rc)
        return rc;
    for (size_t i = 0; rc == 0 && i < b->n; i++) {
        memcpy(p.instance, b->images[i].uid, sizeof p.instance);
        vivo_nbia_place_write(&p, VIVO_LEVEL_INSTANCE, locator);
        rc = vivo_nbia_bundle_send(b, p.instance, &to->sink, op);
        if (rc == 0)
            rc = to->whole(to, locator, &op->err);
    }
    vivo_nbia_bundle_put(n, b);
    return rc;
}
