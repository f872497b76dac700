/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/dimse_headers.c -- headers of a series. DIMSE has no way to ask for a
 * header without its pixels, so each object comes whole. */
#include "dimse.h"
#include "whole_header.h"

#include <errno.h>
#include <string.h>

#define SERIES_MAX 100000u

/* What list() gives of the series: its locators. */
struct members {
    struct vivo_intake base;
    struct vivo_intake *in;
    struct vivo_buf locators; /* each with its NUL */
    size_t n;
};

static int add_member(struct vivo_intake *self, const struct vivo_record *rec,
                      struct vivo_err *err)
{
    struct members *m = (struct members *)self; /* first member */
    m->n++;
    return vivo_buf_add(&m->locators, rec->locator, strlen(rec->locator) + 1)
               ? vivo_fail(err, EIO, "more than %u objects in a series", SERIES_MAX)
               : 0;
}

static void pass_other(struct vivo_intake *self, const char *locator,
                       const char *version)
{
    struct members *m = (struct members *)self; /* first member */
    m->in->other(m->in, locator, version);
}

static int emit_header(struct dimse *d, const char *locator, struct vivo_intake *in,
                       struct vivo_op *op)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf attrs = {0};
    uint64_t size = 0;
    vivo_buf_init(&attrs, VIVO_ATTRS_MAX);
    int rc = vivo_whole_header(&d->base, locator, &attrs, &size, op);
    const struct vivo_record rec = {.level = VIVO_LEVEL_INSTANCE,
                                    .locator = locator,
                                    .size = size,
                                    .attrs = {attrs.data, attrs.len},
                                    .headers = true};
    if (rc == 0)
        rc = in->record(in, &rec, &op->err);
    return rc;
}

int vivo_dimse_headers(struct vivo_archive *self, const char *series,
                       struct vivo_intake *in, struct vivo_op *op)
{
    struct dimse *d = dimse_of(self);
    struct members m = {.base = {.record = add_member, .other = pass_other}, .in = in};
    vivo_buf_init(&m.locators, (size_t)SERIES_MAX * DIMSE_LOCATOR_MAX);
    int rc = vivo_dimse_list(self, VIVO_LEVEL_SERIES, series, &m.base, op);
    size_t at = 0;
    for (size_t i = 0; rc == 0 && i < m.n; i++) {
        const char *locator = (const char *)m.locators.data + at;
        rc = vivo_op_check(op);
        if (rc == 0)
            rc = emit_header(d, locator, in, op);
        if (rc == 0 && in->alive)
            in->alive(in);
        at += strlen(locator) + 1;
    }
    vivo_buf_free(&m.locators);
    return rc;
}
