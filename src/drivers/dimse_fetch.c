/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/dimse_fetch.c -- one object by C-GET, or by C-MOVE where that is refused.
 * What comes is a bare data set; a file meta of our own goes in front (PS3.10 section
 * 7.1), with the transfer syntax of its presentation context, and the rest is as sent.
 */
#include "dimse.h"
#include "gate.h"

#include "vivofs/dcm.h"
#include "vivofs/pool.h"

#include <errno.h>
#include <string.h>

#define OBJECT_BYTES (UINT64_C(16) << 30)
#define META_BYTES 4096
#define STEP_MS 200

struct getting {
    struct vivo_dimse_taker base;
    const struct dimse_place *place;
    struct vivo_delivery *to;
    struct vivo_gate gate;
    bool begun, ended;
    bool move; /* not by C-GET */
    uint64_t bytes;
    int verdict; /* what the receiver returned, which may be anything but 0 */
};

static int push_meta(struct getting *g, const char *sop_class, const char *syntax,
                     struct vivo_err *err)
{
    struct vivo_dcm_writer *w = NULL;
    size_t n = 0;
    int rc = vivo_dcm_writer_new(vivo_dcm_syntax("1.2.840.10008.1.2.1", 19), META_BYTES,
                                 &w, err);
    if (rc == 0)
        rc = vivo_dcm_write_meta(w, sop_class, g->place->instance, syntax, err);
    const struct vivo_dcm_piece *pieces =
        rc == 0 ? vivo_dcm_writer_pieces(w, &n) : NULL;
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = vivo_gate_push(&g->gate, pieces[i].data, (size_t)pieces[i].len, err);
    vivo_dcm_writer_free(w);
    return rc;
}

static int begin(struct vivo_dimse_taker *self, const char *sop_class,
                 const char *sop_instance, const char *syntax, struct vivo_err *err)
{
    struct getting *g = (struct getting *)self; /* first member */
    if (g->begun)
        return vivo_fail(err, EIO, "the server sent more than one object");
    if (strcmp(sop_instance, g->place->instance) != 0)
        return vivo_fail(err, EIO, "the server sent another object than asked for");
    if (!vivo_dicomweb_uid_ok(sop_class) || !vivo_dicomweb_uid_ok(syntax))
        return vivo_fail(err, EBADMSG, "the server sent an object of no valid class");
    g->begun = true;
    int rc = vivo_gate_begin(&g->gate, g->place->instance, g->to, err);
    return rc ? rc : push_meta(g, sop_class, syntax, err);
}

static int take_bytes(struct vivo_dimse_taker *self, const void *data, size_t len,
                      struct vivo_err *err)
{
    struct getting *g = (struct getting *)self; /* first member */
    g->bytes += len;
    if (g->bytes > OBJECT_BYTES)
        return vivo_fail(err, EIO, "an object is longer than 16 GiB");
    g->verdict = vivo_gate_push(&g->gate, data, len, err);
    return g->verdict ? -EINTR : 0;
}

static int end(struct vivo_dimse_taker *self, struct vivo_err *err)
{
    struct getting *g = (struct getting *)self; /* first member */
    g->ended = true;
    return g->gate.right ? 0 : vivo_fail(err, EBADMSG, "an object without content");
}

/* ---- one try --------------------------------------------------------------------- */

static int write_keys(const struct dimse_place *p, struct vivo_buf *out,
                      struct vivo_err *err)
{
    struct dimse_keys k = {.level = "IMAGE"};
    vivo_dimse_keys_add(&k, VIVO_TAG_StudyInstanceUID, p->study);
    vivo_dimse_keys_add(&k, VIVO_TAG_SeriesInstanceUID, p->series);
    vivo_dimse_keys_add(&k, VIVO_TAG_SOPInstanceUID, p->instance);
    return vivo_dimse_keys_write(&k, out, err);
}

/* There is one port for all associations. */
static int take_port(struct dimse *d, struct vivo_op *op)
{
    int rc = vivo_op_check(op);
    pthread_mutex_lock(&d->mutex);
    while (rc == 0 && d->moving) {
        vivo_wait_ms(&d->changed, &d->mutex, STEP_MS);
        pthread_mutex_unlock(&d->mutex);
        rc = vivo_op_check(op);
        pthread_mutex_lock(&d->mutex);
    }
    if (rc == 0)
        d->moving = true;
    pthread_mutex_unlock(&d->mutex);
    return rc;
}

static void give_port(struct dimse *d)
{
    pthread_mutex_lock(&d->mutex);
    d->moving = false;
    pthread_cond_broadcast(&d->changed);
    pthread_mutex_unlock(&d->mutex);
}

static int move(struct dimse *d, struct vivo_dimse *line, const struct vivo_buf *keys,
                struct getting *g, struct vivo_dimse_result *result, struct vivo_op *op)
{
    if (!d->move_port)
        return vivo_fail(
            &op->err, EIO,
            "the server does not offer C-GET; for C-MOVE give the port that "
            "it knows of this machine: ?move=PORT behind the URL");
    const struct vivo_dimse_door door = {.port = d->move_port,
                                         .destination = d->calling};
    int rc = take_port(d, op);
    if (rc)
        return rc;
    rc = vivo_dimse_move(line, &door, DIMSE_STUDY_MOVE, keys->data, keys->len, &g->base,
                         result, op);
    give_port(d);
    return rc;
}

static int try_once(struct dimse *d, const struct dimse_kind *kind, struct getting *g,
                    struct vivo_dimse_result *result, bool *used, struct vivo_op *op)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf keys = {0};
    struct vivo_dimse *line = NULL;
    vivo_buf_init(&keys, META_BYTES);
    int rc = write_keys(g->place, &keys, &op->err);
    if (rc == 0)
        rc = vivo_dimse_line_get(d, kind, &line, used, op);
    if (rc)
        return rc;
    if (!g->move && vivo_dimse_accepts(line, DIMSE_STUDY_GET))
        rc = vivo_dimse_get(line, DIMSE_STUDY_GET, keys.data, keys.len, &g->base,
                            result, op);
    else
        rc = move(d, line, &keys, g, result, op);
    vivo_dimse_line_put(d, line, kind);
    atomic_fetch_add(&d->base.bytes, result->bytes);
    return rc;
}

/* ---- fetch ----------------------------------------------------------------------- */

/* 0 = it came; 1 = it may be of a kind that was not offered. */
static int judge(const struct getting *g, const struct vivo_dimse_result *result,
                 struct vivo_err *err)
{
    if (g->ended)
        return 0;
    if (result->status == 0 && result->failed == 0)
        return vivo_fail(err, ENOENT, "the server does not have this object any more");
    if (result->failed > 0 || (result->status & 0xF000) == 0xB000 ||
        result->status == 0xA702)
        return 1;
    return vivo_dimse_status_fail(result->status, "C-GET", err);
}

static int fetch_kind(struct dimse *d, const struct dimse_kind *kind, struct getting *g,
                      struct vivo_op *op)
{
    struct vivo_dimse_result result = {0};
    bool used = false;
    int rc = try_once(d, kind, g, &result, &used, op);
    if (rc == -EIO && used && !g->begun) {
        /* The server had given up the association that was handed on. */
        vivo_err_clear(&op->err);
        rc = try_once(d, kind, g, &result, &used, op);
    }
    return rc ? rc : judge(g, &result, &op->err);
}

/* Some servers take the context for C-GET and then refuse the request, or abort. */
static int fetch_either(struct dimse *d, const struct dimse_kind *kind,
                        struct getting *g, struct vivo_op *op)
{
    g->move = d->move_port && atomic_load(&d->no_get);
    int rc = fetch_kind(d, kind, g, op);
    if (rc != -EIO || g->begun || g->move || !d->move_port)
        return rc;
    struct vivo_err first = op->err;
    vivo_err_clear(&op->err);
    g->move = true;
    rc = fetch_kind(d, kind, g, op);
    if (rc == 0)
        atomic_store(&d->no_get, true);
    if (rc == -EIO && !g->begun)
        op->err = first;
    return rc;
}

int vivo_dimse_fetch(struct vivo_archive *self, const char *locator,
                     struct vivo_delivery *to, struct vivo_op *op)
{
    struct dimse *d = dimse_of(self);
    struct vivo_dimse_offer offers[1];
    struct dimse_place place;
    struct dimse_kind kind = {.part = 0};
    struct getting g = {.base = {.begin = begin, .bytes = take_bytes, .end = end},
                        .place = &place,
                        .to = to};
    int rc = vivo_dimse_place_read(locator, VIVO_LEVEL_INSTANCE, &place, &op->err);
    if (rc)
        return rc;
    memcpy(kind.name, place.kind, sizeof kind.name);
    do {
        rc = fetch_either(d, &kind, &g, op);
        kind.part++;
    } while (rc == 1 && vivo_dimse_kinds_offer(&kind, offers, VIVO_ARRAY_LEN(offers)));
    vivo_gate_free(&g.gate);
    if (g.verdict)
        return g.verdict;
    if (rc == 1)
        rc =
            vivo_fail(&op->err, EIO,
                      "the server could not send the object, in any form that is known "
                      "here");
    return rc;
}
