/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/dimse_bring.c -- one request for an object or a series: C-GET, or C-MOVE
 * where that is refused (PS3.4 annex C.4.2, C.4.3). */
#include "dimse.h"

#include "vivofs/pool.h"

#include <errno.h>
#include <string.h>

#define KEYS_BYTES 4096
#define STEP_MS 200

static int write_keys(const struct dimse_place *p, struct vivo_buf *out,
                      struct vivo_err *err)
{
    struct dimse_keys k = {.level = p->instance[0] ? "IMAGE" : "SERIES"};
    vivo_dimse_keys_place(&k, p);
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

static int move_here(struct dimse *d, struct vivo_dimse *line,
                     const struct vivo_buf *keys, struct vivo_dimse_taker *to,
                     struct vivo_dimse_result *result, struct vivo_op *op)
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
    bool patient = atomic_load(&d->root) == DIMSE_ROOT_PATIENT;
    rc = vivo_dimse_move(line, &door, patient ? DIMSE_PATIENT_MOVE : DIMSE_STUDY_MOVE,
                         keys->data, keys->len, to, result, op);
    give_port(d);
    return rc;
}

static int try_once(struct dimse *d, const struct dimse_request *rq, bool move,
                    struct vivo_dimse_result *result, bool *used, struct vivo_op *op)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf keys = {0};
    struct vivo_dimse *line = NULL;
    vivo_buf_init(&keys, KEYS_BYTES);
    int rc = write_keys(rq->place, &keys, &op->err);
    if (rc == 0)
        rc = vivo_dimse_line_get(d, &rq->kind, &line, used, op);
    if (rc)
        return rc;
    bool patient = atomic_load(&d->root) == DIMSE_ROOT_PATIENT;
    const char *get = patient ? DIMSE_PATIENT_GET : DIMSE_STUDY_GET;
    if (!move && vivo_dimse_accepts(line, get))
        rc = vivo_dimse_get(line, get, keys.data, keys.len, rq->to, result, op);
    else
        rc = move_here(d, line, &keys, rq->to, result, op);
    vivo_dimse_line_put(d, line, &rq->kind);
    atomic_fetch_add(&d->base.bytes, result->bytes);
    return rc;
}

static int retrieve(struct dimse *d, const struct dimse_request *rq, bool move,
                    struct vivo_dimse_result *result, struct vivo_op *op)
{
    bool used = false;
    *result = (struct vivo_dimse_result){0};
    int rc = try_once(d, rq, move, result, &used, op);
    if (rc != -EIO || !used || *rq->begun)
        return rc;
    /* The server had given up the association that was handed on. */
    vivo_err_clear(&op->err);
    return try_once(d, rq, move, result, &used, op);
}

bool vivo_dimse_not_offered(const struct vivo_dimse_result *result)
{
    return result->failed > 0 || (result->status & 0xF000) == 0xB000 ||
           result->status == 0xA702;
}

static bool is_refused(int rc, const struct vivo_dimse_result *result)
{
    return rc == -EIO ||
           (rc == 0 && result->status != 0 && !vivo_dimse_not_offered(result));
}

/* Some servers take the context for C-GET and then refuse the request, or abort. */
int vivo_dimse_bring(struct dimse *d, const struct dimse_request *rq,
                     struct vivo_dimse_result *result, struct vivo_op *op)
{
    struct vivo_dimse_result moved;
    bool move = d->move_port && atomic_load(&d->no_get);
    int rc = retrieve(d, rq, move, result, op);
    if (move || !d->move_port || *rq->begun || !is_refused(rc, result))
        return rc;
    struct vivo_err first = op->err;
    vivo_err_clear(&op->err);
    int again = retrieve(d, rq, true, &moved, op);
    if (*rq->begun && again == 0)
        atomic_store(&d->no_get, true);
    if (!*rq->begun && is_refused(again, &moved)) {
        op->err = first;
        return rc;
    }
    *result = moved;
    return again;
}
