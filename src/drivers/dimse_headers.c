/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/dimse_headers.c -- headers of a series. DIMSE has no way to ask for a
 * header without its pixels, so each object comes whole, into a file without a name,
 * and what was read of it is all that is kept. */
#include "dimse.h"

#include "vivofs/dcm.h"
#include "vivofs/file.h"

#include <errno.h>
#include <string.h>

#define SERIES_MAX 100000u

struct spool {
    struct vivo_delivery base;
    int fd;
    uint64_t len;
};

static int spool_write(struct vivo_sink *self, const void *data, size_t len,
                       struct vivo_err *err)
{
    struct spool *s = (struct spool *)self; /* first member of the first */
    int rc = vivo_pwrite_full(s->fd, data, len, s->len, err);
    s->len += len;
    return rc;
}

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
    struct spool s = {.base.sink.write = spool_write};
    struct vivo_fd_reader r;
    s.fd = vivo_file_nameless(NULL, &op->err);
    if (s.fd < 0)
        return s.fd;
    vivo_buf_init(&attrs, VIVO_ATTRS_MAX);
    int rc = vivo_dimse_fetch(&d->base, locator, &s.base, op);
    vivo_fd_reader_init(&r, s.fd, s.len);
    if (rc == 0)
        rc = vivo_dcm_attrs(&r.base, NULL, 0, &attrs, &op->err);
    const struct vivo_record rec = {.level = VIVO_LEVEL_INSTANCE,
                                    .locator = locator,
                                    .size = s.len,
                                    .attrs = {attrs.data, attrs.len},
                                    .headers = true};
    if (rc == 0)
        rc = in->record(in, &rec, &op->err);
    close(s.fd);
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
