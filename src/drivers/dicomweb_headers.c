/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/dicomweb_headers.c -- whole headers of a series: its /metadata (PS3.18
 * section 10.4.1.1.2), in one request.
 *
 * A server that has no such request is asked for the metadata of each instance, and
 * where it has none of these either, for each object, up to its pixels. What may pass
 * (5xx, silence) is an error, and no reason to read objects. */
#include "crew.h"
#include "dicomjson.h"
#include "dicomweb.h"
#include "header_range.h"
#include "whole_header.h"

#include "vivofs/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define HEADER_THREADS 4
#define TASKS_BYTES (64u << 20)
#define OBJECT_PATH_MAX 320

struct heading {
    struct dicomweb *d;
    struct vivo_intake *in;
    const char *series;          /* locator */
    struct dicomweb_place place; /* of the series */
    struct dicomweb_natives natives;
    atomic_size_t objects; /* whose headers came one by one */
};

/* The record of a header. locator: room for its own, which must be the one that list()
 * gave. */
static struct vivo_record record_of(const struct heading *h, const char *uid,
                                    struct vivo_attrs attrs,
                                    char locator[DICOMWEB_LOCATOR_MAX])
{
    struct dicomweb_place p = h->place;
    const struct dicomweb_native *native =
        h->natives.complete ? vivo_dicomweb_natives_find(&h->natives, uid) : NULL;
    struct vivo_record rec = {.level = VIVO_LEVEL_INSTANCE,
                              .locator = locator,
                              .attrs = attrs,
                              .headers = true};
    snprintf(p.instance, sizeof p.instance, "%s", uid);
    if (native) {
        snprintf(p.orthanc, sizeof p.orthanc, "%s", native->id);
        rec.size = native->size;
        rec.version = native->version[0] ? native->version : NULL;
    }
    vivo_dicomweb_place_write(&p, locator);
    return rec;
}

/* ---- metadata ------------------------------------------------------------------- */

/* Asks for the metadata of a series or an instance. *lacks: the server has no such
 * request, or (-ENOENT) not for this. */
static int ask_metadata(struct dicomweb *d, const char *path, atomic_int *state,
                        struct vivo_buf *body, bool *lacks, struct vivo_op *op)
{
    struct vivo_net_reply reply;
    const struct dicomweb_ask ask = {d->url, path, DICOMWEB_JSON, NULL,
                                     DICOMWEB_METADATA_BYTES};
    *lacks = atomic_load(state) == DICOMWEB_METADATA_REFUSED;
    if (*lacks)
        return vivo_fail(&op->err, EIO, "the server gives no metadata");
    vivo_buf_init(body, DICOMWEB_METADATA_BYTES);
    int rc = vivo_dicomweb_ask(d, &ask, body, &reply, op);
    if (rc == 0)
        rc = vivo_dicomweb_check_json(&reply, &op->err);
    else if (vivo_dicomweb_is_refusal(reply.status))
        atomic_store(state, DICOMWEB_METADATA_REFUSED);
    if (rc == 0 && reply.status == 206)
        rc =
            vivo_fail(&op->err, EIO, "the server gives headers of some instances only");
    if (rc == 0)
        atomic_store(state, DICOMWEB_METADATA_YES);
    *lacks = rc == -ENOENT || (rc && vivo_dicomweb_is_refusal(reply.status));
    return rc;
}

/* It said 404 of what it then turned out to have: not if others came. */
static void conclude(atomic_int *state)
{
    int unknown = DICOMWEB_METADATA_UNKNOWN;
    atomic_compare_exchange_strong(state, &unknown, DICOMWEB_METADATA_REFUSED);
}

static int emit_row(struct heading *h, const char *object, size_t len,
                    struct vivo_buf *attrs, struct vivo_err *err)
{
    char uid[VIVO_UID_MAX + 2];
    char locator[DICOMWEB_LOCATOR_MAX];
    vivo_buf_clear(attrs);
    int rc = vivo_dicomjson_attrs(object, len, 0, attrs, err);
    if (rc)
        return rc;
    struct vivo_attrs a = {attrs->data, attrs->len};
    if (!vivo_attrs_text(a, VIVO_TAG_SOPInstanceUID, uid, sizeof uid) ||
        !vivo_dicomweb_uid_ok(uid)) {
        vivo_dicomweb_emit_bad(h->in, uid);
        return 0;
    }
    struct vivo_record rec = record_of(h, uid, a, locator);
    return h->in->record(h->in, &rec, err);
}

static int emit_rows(struct heading *h, const struct vivo_buf *body, struct vivo_op *op)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf attrs = {0};
    struct vivo_dicomjson_rows rows;
    const char *object;
    size_t len;
    int rc;
    vivo_buf_init(&attrs, VIVO_ATTRS_MAX);
    vivo_dicomjson_rows_init(&rows, body->data, body->len);
    while ((rc = vivo_dicomjson_next(&rows, &object, &len, &op->err)) > 0) {
        rc = vivo_op_check(op);
        if (rc == 0)
            rc = emit_row(h, object, len, &attrs, &op->err);
        if (rc)
            return rc;
    }
    return rc;
}

/* All of the series by one request. *lacks: as above, and nothing was emitted. */
static int read_together(struct heading *h, bool *lacks, struct vivo_op *op)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf body = {0};
    char path[OBJECT_PATH_MAX];
    snprintf(path, sizeof path, "/studies/%s/series/%s/metadata", h->place.study,
             h->place.series);
    int rc = ask_metadata(h->d, path, &h->d->metadata, &body, lacks, op);
    return rc ? rc : emit_rows(h, &body, op);
}

/* ---- one by one ----------------------------------------------------------------- */

static int check_uid(struct vivo_attrs a, const char *want, struct vivo_err *err)
{
    char uid[VIVO_UID_MAX + 2];
    vivo_attrs_text(a, VIVO_TAG_SOPInstanceUID, uid, sizeof uid);
    return strcmp(uid, want) == 0
               ? 0
               : vivo_fail(err, EIO, "the server sent another object than asked for");
}

/* *lacks: the server has no metadata of instances. */
static int read_metadata(struct dicomweb *d, const struct dicomweb_place *p,
                         struct vivo_buf *attrs, bool *lacks, struct vivo_op *op)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf body = {0};
    struct vivo_dicomjson_rows rows;
    const char *object;
    size_t len;
    char path[OBJECT_PATH_MAX];
    snprintf(path, sizeof path, "/studies/%s/series/%s/instances/%s/metadata", p->study,
             p->series, p->instance);
    int rc = ask_metadata(d, path, &d->one_metadata, &body, lacks, op);
    if (rc)
        return rc;
    vivo_dicomjson_rows_init(&rows, body.data, body.len);
    rc = vivo_dicomjson_next(&rows, &object, &len, &op->err);
    if (rc == 0)
        rc = vivo_fail(&op->err, EIO, "the server gives an instance no metadata");
    if (rc > 0)
        rc = vivo_dicomjson_attrs(object, len, 0, attrs, &op->err);
    return rc ? rc
              : check_uid((struct vivo_attrs){attrs->data, attrs->len}, p->instance,
                          &op->err);
}

/* By ranges, of a reply that is the object and nothing else. */
static int read_range(struct dicomweb *d, const struct vivo_net_request *rq,
                      const char *uid, struct vivo_buf *attrs, uint64_t *size,
                      struct vivo_op *op)
{
    struct vivo_ranged_header r;
    int rc = vivo_header_range(&d->base, rq, &r, op);
    struct vivo_attrs a = {r.attrs.data, r.attrs.len};
    if (rc == 0 && !r.object)
        rc = vivo_fail(&op->err, EIO, "the server sent something else than an object");
    if (rc == 0)
        rc = check_uid(a, uid, &op->err);
    if (rc == 0 && vivo_buf_add(attrs, a.data, a.len))
        rc = vivo_fail(&op->err, ENOSPC, "dicomweb: attributes too large");
    *size = r.size;
    vivo_ranged_header_free(&r);
    return rc;
}

/* The beginning of the object: by ranges where it comes bare, else ended early. */
static int read_beginning(struct dicomweb *d, const char *locator,
                          const struct dicomweb_place *p, struct vivo_buf *attrs,
                          uint64_t *size, struct vivo_op *op)
{
    char url[2048];
    const char *accept;
    if (vivo_dicomweb_bare_url(d, p, url, sizeof url, &accept)) {
        const struct vivo_net_request rq = {
            .url = url, .accept = accept, .bearer = d->bearer};
        int rc = read_range(d, &rq, p->instance, attrs, size, op);
        if (rc != -EIO)
            return rc;
        vivo_err_clear(&op->err);
        vivo_buf_clear(attrs);
    }
    return vivo_early_header(&d->base, locator, attrs, size, op);
}

static int read_one(struct dicomweb *d, const char *locator,
                    const struct dicomweb_place *p, struct vivo_buf *attrs,
                    uint64_t *size, struct vivo_op *op)
{
    bool lacks = false;
    int rc = read_metadata(d, p, attrs, &lacks, op);
    if (!lacks)
        return rc;
    vivo_err_clear(&op->err);
    rc = read_beginning(d, locator, p, attrs, size, op);
    if (rc == 0)
        conclude(&d->one_metadata);
    return rc;
}

static int do_task(struct vivo_crew *crew, void *ctx, const char *task,
                   struct vivo_op *op)
{
    struct heading *h = ctx;
    struct vivo_crew_members members;
    struct dicomweb_place p;
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf attrs = {0};
    char locator[DICOMWEB_LOCATOR_MAX];
    uint64_t size = 0;
    vivo_crew_members_init(&members, crew);
    if (!*task)
        return vivo_dicomweb_list(&h->d->base, VIVO_LEVEL_SERIES, h->series,
                                  &members.base, op);
    vivo_buf_init(&attrs, VIVO_ATTRS_MAX);
    int rc = vivo_dicomweb_place_read(task, VIVO_LEVEL_INSTANCE, &p, &op->err);
    if (rc == 0)
        rc = read_one(h->d, task, &p, &attrs, &size, op);
    if (rc)
        return rc;
    struct vivo_record rec =
        record_of(h, p.instance, (struct vivo_attrs){attrs.data, attrs.len}, locator);
    rec.size = rec.size ? rec.size : size;
    atomic_fetch_add(&h->objects, 1);
    return vivo_crew_record(crew, h->in, &rec, &op->err);
}

/* op->err: why not together. */
static int read_each(struct heading *h, struct vivo_op *op)
{
    struct dicomweb *d = h->d;
    struct vivo_err first = op->err;
    vivo_err_clear(&op->err);
    int rc = vivo_crew_run(HEADER_THREADS, TASKS_BYTES, do_task, h, "", op);
    if (rc)
        return rc;
    if (atomic_load(&h->objects) == 0 && first.errnum == ENOENT) {
        op->err = first;
        return -ENOENT;
    }
    conclude(&d->metadata);
    if (atomic_load(&d->metadata) == DICOMWEB_METADATA_REFUSED &&
        !atomic_exchange(&d->base.dear_headers, true))
        vivo_log(VIVO_LOG_WARN, "dicomweb",
                 "the server gives no metadata of series: headers are read one by one");
    return 0;
}

int vivo_dicomweb_headers(struct vivo_archive *self, const char *series,
                          struct vivo_intake *in, struct vivo_op *op)
{
    struct heading h = {.d = dicomweb_of(self), .in = in, .series = series};
    bool lacks = false;
    int rc = vivo_dicomweb_place_read(series, VIVO_LEVEL_SERIES, &h.place, &op->err);
    if (rc == 0)
        rc = vivo_dicomweb_is_orthanc(h.d, op);
    if (rc > 0)
        rc = vivo_dicomweb_natives_get(h.d, &h.place, &h.natives, op);
    if (rc == 0 && h.natives.several)
        rc =
            vivo_fail(&op->err, EIO,
                      "patients share the UIDs of this series: their headers cannot be "
                      "told apart");
    if (rc == 0)
        rc = read_together(&h, &lacks, op);
    if (lacks)
        rc = read_each(&h, op);
    vivo_dicomweb_natives_free(&h.natives);
    return rc;
}
