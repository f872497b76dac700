/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/nda_pack.c -- zips and tars of a package: fetched whole into a nameless
 * file, listed and read by the pieces of the pack driver.
 *
 * A few are kept at hand, so that those who list a series and then read it, or read it
 * together, fetch it once. */
#include "nda.h"

#include "vivofs/dcm.h"
#include "vivofs/file.h"
#include "vivofs/pool.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define WATCH_MS 100
#define PACK_BYTES (UINT64_C(64) << 30)
#define PATH_BYTES 32000 /* of a member, in a locator */

int vivo_nda_read_locator(const char *locator, char kind, char id[NDA_ID_MAX + 1],
                          uint64_t *size, const char **rest, struct vivo_err *err)
{
    const char *s = locator[0] == kind && locator[1] == '/' ? locator + 2 : "";
    size_t n = strspn(s, "0123456789");
    const char *told = s + n + (s[n] == '/');
    size_t digits = strspn(told, "0123456789");
    if (!vivo_nda_id_ok(s, n) || s[n] != '/' || !vivo_nda_id_ok(told, digits) ||
        (rest ? told[digits] != '/' || !told[digits + 1] : told[digits] != '\0'))
        return vivo_fail(err, ENOENT, "not a locator of this kind");
    snprintf(id, NDA_ID_MAX + 1, "%.*s", (int)n, s);
    *size = strtoull(told, NULL, 10);
    if (rest)
        *rest = told + digits + 1;
    return 0;
}

/* ---- fetching one ------------------------------------------------------------- */

/* Who waits while something comes that is not for him yet: he is told that the archive
 * is alive. One of them is NULL. */
struct waiter {
    struct vivo_intake *in;
    struct vivo_delivery *to;
};

static int tell_alive(const struct waiter *w, struct vivo_err *err)
{
    if (w->in)
        w->in->alive(w->in);
    return w->to ? w->to->sink.write(&w->to->sink, "", 0, err) : 0;
}

struct download {
    struct vivo_sink sink; /* first member */
    struct nda *n;
    const struct waiter *waiter;
    int fd;
    uint64_t size, came;
};

static int take(struct vivo_sink *self, const void *data, size_t len,
                struct vivo_err *err)
{
    struct download *d = (struct download *)self; /* first member */
    if (d->came + len > d->size)
        return vivo_fail(err, EIO, "the file is longer than its listing says");
    int rc = vivo_pwrite_full(d->fd, data, len, d->came, err);
    d->came += len;
    return rc ? rc : tell_alive(d->waiter, err);
}

static int take_anew(struct vivo_sink *self, struct vivo_err *err)
{
    (void)err;
    ((struct download *)self)->came = 0; /* first member */
    return 0;
}

static int ask_pack(void *ctx, const struct vivo_net_request *rq,
                    struct vivo_net_reply *reply, struct vivo_op *op)
{
    struct download *d = ctx;
    struct vivo_net_request full = *rq;
    full.max_bytes = PACK_BYTES;
    d->came = 0;
    atomic_fetch_add(&d->n->base.requests, 1);
    int rc = vivo_net_fetch(d->n->base.net, &full, &d->sink, reply, op);
    atomic_fetch_add(&d->n->base.bytes, reply->received);
    if (rc == 0 && d->came != d->size)
        return vivo_fail(&op->err, EIO,
                         "the file has %" PRIu64 " bytes, its listing says %" PRIu64,
                         d->came, d->size);
    return rc;
}

static int fetch_pack(struct nda *n, const char *id, uint64_t size,
                      const struct waiter *waiter, struct pack_members **out,
                      struct vivo_op *op)
{
    struct download d = {.sink = {.write = take, .restart = take_anew},
                         .n = n,
                         .waiter = waiter,
                         .size = size};
    if (size > PACK_BYTES)
        return vivo_fail(&op->err, EIO, "a file of the package is too long");
    d.fd = pack_temporary(size, &op->err);
    if (d.fd < 0)
        return d.fd;
    int rc = vivo_nda_ask(n, id, ask_pack, &d, op);
    if (rc) {
        close(d.fd);
        return rc;
    }
    rc = pack_members_open_fd(d.fd, "a file of the package", out, &op->err);
    if (rc == -EINVAL) {
        op->err.errnum = EBADMSG;
        rc = -EBADMSG;
    }
    return rc;
}

/* ---- keeping a few ------------------------------------------------------------ */

/* The one of this file, or the free or least used one; NULL = all are being fetched. */
static struct nda_pack *slot_locked(struct nda *n, const char *id)
{
    struct nda_pack *best = NULL;
    for (size_t i = 0; i < NDA_PACKS; i++) {
        struct nda_pack *p = &n->packs[i];
        if (strcmp(p->id, id) == 0)
            return p;
        if (!p->busy && (!best || p->used < best->used))
            best = p;
    }
    return best;
}

/* *out, or the turn to fetch it into *slot (1). */
static int take_turn(struct nda *n, const char *id, const struct waiter *waiter,
                     struct pack_members **out, struct nda_pack **slot,
                     struct vivo_op *op)
{
    struct pack_members *old = NULL;
    int rc = vivo_op_check(op);
    pthread_mutex_lock(&n->mutex);
    struct nda_pack *p = slot_locked(n, id);
    while (rc == 0 && (!p || p->busy)) {
        vivo_wait_ms(&n->landed, &n->mutex, WATCH_MS);
        pthread_mutex_unlock(&n->mutex);
        rc = vivo_op_check(op);
        if (rc == 0)
            rc = tell_alive(waiter, &op->err);
        pthread_mutex_lock(&n->mutex);
        p = slot_locked(n, id);
    }
    if (rc == 0) {
        p->used = ++n->uses;
        if (strcmp(p->id, id) == 0 && p->members) {
            *out = pack_members_ref(p->members);
        } else {
            old = p->members;
            *p = (struct nda_pack){.busy = true, .used = p->used};
            snprintf(p->id, sizeof p->id, "%s", id);
            *slot = p;
            rc = 1;
        }
    }
    pthread_mutex_unlock(&n->mutex);
    pack_members_unref(old);
    return rc;
}

static int take_pack(struct nda *n, const char *id, uint64_t size,
                     const struct waiter *waiter, struct pack_members **out,
                     struct vivo_op *op)
{
    struct nda_pack *slot = NULL;
    int rc = take_turn(n, id, waiter, out, &slot, op);
    if (rc != 1 || !slot)
        return rc;
    rc = fetch_pack(n, id, size, waiter, out, op);
    pthread_mutex_lock(&n->mutex);
    slot->busy = false;
    if (rc == 0)
        slot->members = pack_members_ref(*out);
    else
        slot->id[0] = '\0';
    pthread_cond_broadcast(&n->landed);
    pthread_mutex_unlock(&n->mutex);
    return rc;
}

/* ---- members ------------------------------------------------------------------ */

struct place_reader {
    struct vivo_reader base; /* first member */
    struct pack_place at;
};

static int read_place(struct vivo_reader *self, void *buf, size_t len, uint64_t off,
                      struct vivo_err *err)
{
    const struct place_reader *r = (const struct place_reader *)self;
    return vivo_pread_full(r->at.fd, buf, len, r->at.off + off, err);
}

struct emitting {
    struct pack_members *members;
    struct vivo_intake *in;
    struct vivo_op *op;
    struct vivo_buf attrs;
    char *locator;
    size_t room;
    char version[24];
    bool all; /* also what is known */
};

static int emit_member(struct emitting *e, const struct pack_member *m, const char *id,
                       uint64_t size)
{
    struct place_reader r = {.base = {.read = read_place}};
    struct vivo_err flaw = {0};
    struct vivo_op *op = e->op;
    int n = snprintf(e->locator, e->room, "m/%s/%" PRIu64 "/%s", id, size, m->locator);
    if (n < 0 || (size_t)n >= e->room) {
        e->in->other(e->in, "m/too long", e->version);
        return 0;
    }
    if (!e->all && e->in->known(e->in, e->locator, e->version))
        return 0;
    if (!m->dicom && m->regular) {
        const struct vivo_extra x = {.locator = e->locator,
                                     .path = m->locator,
                                     .version = e->version,
                                     .size = m->sized ? m->size : VIVO_SIZE_UNKNOWN};
        return e->in->extra(e->in, &x, &op->err);
    }
    int rc = m->dicom ? pack_members_find(e->members, m->locator, false, &r.at, op) : 0;
    if (rc)
        return rc;
    r.base.size = r.at.len;
    vivo_buf_clear(&e->attrs);
    if (m->dicom)
        rc = vivo_dcm_attrs(&r.base, NULL, 0, &e->attrs, &flaw);
    if (rc < 0 && rc != -EBADMSG)
        return vivo_fail(&op->err, -rc, "%s", flaw.text);
    const struct vivo_attrs a = {e->attrs.data, e->attrs.len};
    if (!m->dicom || rc < 0 || a.len == 0 || vivo_header_is_directory(a)) {
        e->in->other(e->in, e->locator, e->version);
        return 0;
    }
    const struct vivo_record rec = {.level = VIVO_LEVEL_INSTANCE,
                                    .locator = e->locator,
                                    .version = e->version,
                                    .size = r.at.len,
                                    .attrs = a,
                                    .headers = true};
    return e->in->record(e->in, &rec, &op->err);
}

static int emit_all(struct emitting *e, const char *id, uint64_t size)
{
    int rc = pack_members_complete(e->members, NULL, NULL, e->op);
    size_t n = rc == 0 ? pack_members_count(e->members) : 0;
    for (size_t i = 0; rc == 0 && i < n; i++) {
        struct pack_member m;
        pack_members_get(e->members, i, &m);
        rc = vivo_op_check(e->op);
        if (rc == 0 && !m.folder && !m.superseded)
            rc = emit_member(e, &m, id, size);
    }
    return rc;
}

int vivo_nda_list_pack(struct nda *n, const char *locator, bool all,
                       struct vivo_intake *in, struct vivo_op *op)
{
    struct emitting e = {.in = in, .op = op, .all = all, .room = PATH_BYTES};
    char id[NDA_ID_MAX + 1];
    uint64_t size;
    int rc = vivo_nda_read_locator(locator, 'a', id, &size, NULL, &op->err);
    if (rc)
        return rc;
    rc = take_pack(n, id, size, &(struct waiter){.in = in}, &e.members, op);
    if (rc == -ENOENT) {
        op->err.errnum = EIO;
        rc = -EIO;
    }
    if (rc)
        return vivo_fail_in(&op->err, "a zip or tar of the package");
    vivo_buf_init(&e.attrs, VIVO_ATTRS_MAX);
    snprintf(e.version, sizeof e.version, "%" PRIu64, size);
    e.locator = malloc(e.room);
    rc = e.locator ? emit_all(&e, id, size)
                   : vivo_fail(&op->err, ENOMEM, "nda: out of memory");
    free(e.locator);
    vivo_buf_free(&e.attrs);
    pack_members_unref(e.members);
    return rc;
}

int vivo_nda_fetch_member(struct nda *n, const char *locator, struct vivo_delivery *to,
                          struct vivo_op *op)
{
    struct pack_members *members = NULL;
    struct pack_place at;
    char id[NDA_ID_MAX + 1];
    const char *path;
    uint64_t size;
    int rc = vivo_nda_read_locator(locator, 'm', id, &size, &path, &op->err);
    if (rc == 0)
        rc = take_pack(n, id, size, &(struct waiter){.to = to}, &members, op);
    if (rc == 0)
        rc = pack_members_find(members, path, to->extra, &at, op);
    if (rc == 0)
        rc = pack_place_send(&at, &to->sink, op);
    pack_members_unref(members);
    return rc;
}
