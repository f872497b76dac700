/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/dimse_headers.c -- headers of a series. DIMSE has no way to ask for a
 * header without its pixels, so each object comes whole. */
#include "dimse.h"
#include "whole_header.h"

#include <errno.h>
#include <string.h>

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
    struct dimse_members m = {.n = 0};
    int rc = vivo_dimse_members(self, series, in, &m, op);
    for (size_t i = 0; rc == 0 && i < m.n; i++) {
        rc = vivo_op_check(op);
        if (rc == 0)
            rc = emit_header(d, m.all[i].locator, in, op);
        if (rc == 0 && in->alive)
            in->alive(in);
    }
    vivo_dimse_members_free(&m);
    return rc;
}
