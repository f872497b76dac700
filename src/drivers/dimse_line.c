/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/dimse_line.c -- few associations and a slow pace: a PACS is a production
 * system. An association that somebody waits for is handed on; one that nobody waits
 * for is released at once, so that an idle mount holds none. */
#include "dimse.h"

#include "vivofs/pool.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define STEP_MS 200

static const char *const identifiers[] = {"1.2.840.10008.1.2.1", "1.2.840.10008.1.2"};

static void offer_services(bool patient, struct dimse_offers *o)
{
    static const char *const study[] = {DIMSE_STUDY_FIND, DIMSE_STUDY_GET,
                                        DIMSE_STUDY_MOVE, DIMSE_VERIFICATION};
    static const char *const other[] = {DIMSE_PATIENT_FIND, DIMSE_PATIENT_GET,
                                        DIMSE_PATIENT_MOVE, DIMSE_VERIFICATION};
    const char *const *services = patient ? other : study;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(study); i++)
        o->offer[o->n++] = (struct vivo_dimse_offer){
            services[i], identifiers, VIVO_ARRAY_LEN(identifiers), false};
}

static int connect_by(struct dimse *d, const struct dimse_kind *kind, bool patient,
                      struct vivo_dimse **out, struct vivo_op *op)
{
    struct dimse_offers offers = {.n = 0};
    offer_services(patient, &offers);
    if (kind)
        vivo_dimse_kinds_offer(kind, &offers);
    const struct vivo_dimse_config cfg = {.host = d->host,
                                          .port = d->port,
                                          .calling = d->calling,
                                          .called = d->called,
                                          .tls = d->tls,
                                          .cafile = d->cafile,
                                          .certname = d->certname,
                                          .timeout_ms = d->timeout_ms};
    return vivo_dimse_open(&cfg, offers.offer, offers.n, out, op);
}

/* The study root, unless this server is known to have the patient root only: found out
 * once, by a second association. */
static int connect_line(struct dimse *d, const struct dimse_kind *kind,
                        struct vivo_dimse **out, struct vivo_op *op)
{
    int root = atomic_load(&d->root);
    int rc = connect_by(d, kind, root == DIMSE_ROOT_PATIENT, out, op);
    if (rc || root != DIMSE_ROOT_UNKNOWN)
        return rc;
    if (vivo_dimse_accepts(*out, DIMSE_STUDY_FIND)) {
        atomic_store(&d->root, DIMSE_ROOT_STUDY);
        return 0;
    }
    vivo_dimse_close(VIVO_STEAL(*out));
    rc = connect_by(d, kind, true, out, op);
    if (rc == 0 && vivo_dimse_accepts(*out, DIMSE_PATIENT_FIND))
        atomic_store(&d->root, DIMSE_ROOT_PATIENT);
    return rc;
}

int vivo_dimse_root(struct dimse *d, enum dimse_root *out, struct vivo_op *op)
{
    struct vivo_dimse *line = NULL;
    bool used = false;
    int rc = 0;
    if (atomic_load(&d->root) == DIMSE_ROOT_UNKNOWN)
        rc = vivo_dimse_line_get(d, NULL, &line, &used, op);
    if (rc)
        return rc;
    if (line)
        vivo_dimse_line_put(d, line, NULL);
    *out = (enum dimse_root)atomic_load(&d->root);
    return 0;
}

/* Requests are spread evenly: the next one has its place in time. */
static int64_t take_time_locked(struct dimse *d)
{
    int64_t now = vivo_now_ms();
    int64_t at = VIVO_MAX(now, d->next_ms);
    d->next_ms = at + 1000 / (int64_t)d->rate;
    return at;
}

static int wait_until(int64_t at, struct vivo_op *op)
{
    int rc = vivo_op_check(op);
    for (int64_t left; rc == 0 && (left = at - vivo_now_ms()) > 0;) {
        struct timespec ts = {0, VIVO_MIN(left, (int64_t)STEP_MS) * 1000000};
        nanosleep(&ts, NULL);
        rc = vivo_op_check(op);
    }
    return rc;
}

static bool suits(const struct dimse *d, const struct dimse_kind *kind)
{
    return !kind || (strcmp(d->spare_kind.name, kind->name) == 0 &&
                     d->spare_kind.part == kind->part);
}

static int take_turn(struct dimse *d, int64_t *at, struct vivo_op *op)
{
    int rc = vivo_op_check(op);
    pthread_mutex_lock(&d->mutex);
    d->waiting++;
    while (rc == 0 && d->busy >= d->associations) {
        vivo_wait_ms(&d->changed, &d->mutex, STEP_MS);
        pthread_mutex_unlock(&d->mutex);
        rc = vivo_op_check(op);
        pthread_mutex_lock(&d->mutex);
    }
    d->waiting--;
    if (rc == 0) {
        d->busy++;
        *at = take_time_locked(d);
    }
    pthread_mutex_unlock(&d->mutex);
    return rc;
}

static void give_turn(struct dimse *d)
{
    pthread_mutex_lock(&d->mutex);
    d->busy--;
    /* Who was to have it may have been cancelled. */
    struct vivo_dimse *left = d->waiting ? NULL : VIVO_STEAL(d->spare);
    pthread_cond_broadcast(&d->changed);
    pthread_mutex_unlock(&d->mutex);
    vivo_dimse_close(left);
}

int vivo_dimse_line_get(struct dimse *d, const struct dimse_kind *kind,
                        struct vivo_dimse **out, bool *used, struct vivo_op *op)
{
    int64_t at = 0;
    int rc = take_turn(d, &at, op);
    if (rc)
        return rc;
    pthread_mutex_lock(&d->mutex);
    bool right = d->spare && suits(d, kind);
    struct vivo_dimse *spare = VIVO_STEAL(d->spare);
    pthread_mutex_unlock(&d->mutex);
    if (!right) {
        vivo_dimse_close(spare);
        spare = NULL;
    }
    *used = spare != NULL;
    *out = spare;
    rc = wait_until(at, op);
    if (rc == 0 && !spare)
        rc = connect_line(d, kind, out, op);
    if (rc) {
        vivo_dimse_close(spare);
        give_turn(d);
        return rc;
    }
    atomic_fetch_add(&d->base.requests, 1);
    return 0;
}

void vivo_dimse_line_put(struct dimse *d, struct vivo_dimse *line,
                         const struct dimse_kind *kind)
{
    struct vivo_dimse *old = line;
    bool alive = vivo_dimse_alive(line);
    pthread_mutex_lock(&d->mutex);
    if (alive && d->waiting > 0 && !d->spare) {
        d->spare = line;
        d->spare_kind = kind ? *kind : (struct dimse_kind){.part = UINT32_MAX};
        old = NULL;
    }
    pthread_mutex_unlock(&d->mutex);
    vivo_dimse_close(old);
    give_turn(d);
}
