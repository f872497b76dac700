/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/dimse_fetch.c -- one object, offered as what it may be until it comes. */
#include "dimse.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct getting {
    struct vivo_dimse_taker base;
    const struct dimse_place *place;
    struct vivo_delivery *to;
    struct dimse_object object;
    bool begun, ended;
};

static int begin(struct vivo_dimse_taker *self, const char *sop_class,
                 const char *sop_instance, const char *syntax, struct vivo_err *err)
{
    struct getting *g = (struct getting *)self; /* first member */
    if (g->begun)
        return vivo_fail(err, EIO, "the server sent more than one object");
    if (strcmp(sop_instance, g->place->instance) != 0)
        return vivo_fail(err, EIO, "the server sent another object than asked for");
    g->begun = true;
    return vivo_dimse_object_begin(&g->object, g->place->instance, g->to, sop_class,
                                   syntax, err);
}

static int take_bytes(struct vivo_dimse_taker *self, const void *data, size_t len,
                      struct vivo_err *err)
{
    struct getting *g = (struct getting *)self; /* first member */
    return vivo_dimse_object_bytes(&g->object, data, len, err);
}

static int end(struct vivo_dimse_taker *self, struct vivo_err *err)
{
    struct getting *g = (struct getting *)self; /* first member */
    g->ended = true;
    return vivo_dimse_object_end(&g->object, err);
}

/* 0 = it came; 1 = it may be of a kind that was not offered. */
static int judge(const struct getting *g, const struct vivo_dimse_result *result,
                 struct vivo_err *err)
{
    if (g->ended)
        return 0;
    if (result->status == 0 && result->failed == 0)
        return vivo_fail(err, ENOENT, "the server does not have this object any more");
    return vivo_dimse_not_offered(result)
               ? 1
               : vivo_dimse_status_fail(result->status, "C-GET", err);
}

int vivo_dimse_fetch(struct vivo_archive *self, const char *locator,
                     struct vivo_delivery *to, struct vivo_op *op)
{
    struct dimse *d = dimse_of(self);
    struct dimse_place place;
    struct vivo_dimse_result result;
    struct getting g = {.base = {.begin = begin, .bytes = take_bytes, .end = end},
                        .place = &place,
                        .to = to};
    struct dimse_request rq = {.place = &place, .to = &g.base, .begun = &g.begun};
    int rc = vivo_dimse_place_read(locator, VIVO_LEVEL_INSTANCE, &place, &op->err);
    if (rc)
        return rc;
    snprintf(rq.kind.name, sizeof rq.kind.name, "%s", place.kind);
    do {
        rc = vivo_dimse_bring(d, &rq, &result, op);
        if (rc == 0)
            rc = judge(&g, &result, &op->err);
        rq.kind.part++;
    } while (rc == 1 && vivo_dimse_kinds_has(&rq.kind));
    vivo_gate_free(&g.object.gate);
    if (g.object.verdict)
        return g.object.verdict;
    if (rc == 1)
        rc =
            vivo_fail(&op->err, EIO,
                      "the server could not send the object, in any form that is known "
                      "here");
    return rc;
}
