/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/dimse_headers.c -- headers of a series. DIMSE has no way to ask for a
 * header without its pixels, so the objects come whole: by one request, and those that
 * do not come so by one each. */
#include "dimse.h"
#include "whole_header.h"

#include "vivofs/dcm.h"
#include "vivofs/file.h"

#include <errno.h>
#include <string.h>

struct heading { /* a bundle of which the headers are kept */
    struct vivo_bundle base;
    struct vivo_intake *in;
    int fd; /* nameless: the object under way */
    uint64_t len;
    int verdict; /* of in->record, which may be anything but 0 */
};

static int emit(struct vivo_intake *in, const char *locator,
                const struct vivo_buf *attrs, uint64_t size, struct vivo_err *err)
{
    const struct vivo_record rec = {.level = VIVO_LEVEL_INSTANCE,
                                    .locator = locator,
                                    .size = size,
                                    .attrs = {attrs->data, attrs->len},
                                    .headers = true};
    return in->record(in, &rec, err);
}

static int write_bytes(struct vivo_sink *self, const void *data, size_t len,
                       struct vivo_err *err)
{
    struct heading *h = (struct heading *)self; /* first of its first member */
    int rc = vivo_pwrite_full(h->fd, data, len, h->len, err);
    h->len += len;
    return rc;
}

static int take_whole(struct vivo_bundle *self, const char *locator,
                      struct vivo_err *err)
{
    struct heading *h = (struct heading *)self; /* first member */
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf attrs = {0};
    struct vivo_fd_reader r;
    vivo_buf_init(&attrs, VIVO_ATTRS_MAX);
    vivo_fd_reader_init(&r, h->fd, h->len);
    int rc = vivo_dcm_attrs(&r.base, NULL, 0, &attrs, err);
    if (rc == 0)
        rc = h->verdict = emit(h->in, locator, &attrs, h->len, err);
    h->len = 0;
    return rc;
}

static void stay_alive(struct vivo_bundle *self, uint64_t bytes)
{
    struct heading *h = (struct heading *)self; /* first member */
    if (bytes && h->in->alive)
        h->in->alive(h->in);
}

/* Those that did not come with the others. */
static int fetch_rest(struct vivo_archive *self, const struct dimse_members *m,
                      struct vivo_intake *in, struct vivo_op *op)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < m->n; i++) {
        VIVO_AUTO(vivo_buf_free_p) struct vivo_buf attrs = {0};
        uint64_t size = 0;
        if (m->all[i].came)
            continue;
        vivo_buf_init(&attrs, VIVO_ATTRS_MAX);
        rc = vivo_op_check(op);
        if (rc == 0)
            rc = vivo_whole_header(self, m->all[i].locator, &attrs, &size, op);
        if (rc == 0)
            rc = emit(in, m->all[i].locator, &attrs, size, &op->err);
        if (rc == 0 && in->alive)
            in->alive(in);
    }
    return rc;
}

int vivo_dimse_headers(struct vivo_archive *self, const char *series,
                       struct vivo_intake *in, struct vivo_op *op)
{
    struct dimse_members m = {.n = 0};
    struct heading h = {
        .base = {.sink.write = write_bytes, .whole = take_whole, .alive = stay_alive},
        .in = in,
    };
    int rc = vivo_dimse_members(self, series, in, &m, op);
    VIVO_AUTO(vivo_close_p) int fd = rc ? -1 : vivo_file_nameless(NULL, &op->err);
    h.fd = fd;
    if (rc == 0 && fd < 0)
        rc = fd;
    if (rc == 0)
        rc = vivo_dimse_bring_all(dimse_of(self), series, &m, &h.base, op);
    if (rc == -EIO && !h.verdict) {
        vivo_err_clear(&op->err);
        rc = fetch_rest(self, &m, in, op);
    }
    vivo_dimse_members_free(&m);
    return rc;
}
