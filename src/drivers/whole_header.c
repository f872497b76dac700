/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/whole_header.c -- see whole_header.h. */
#include "whole_header.h"

#include "beginning.h"

#include "vivofs/dcm.h"
#include "vivofs/file.h"

#include <errno.h>

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

int vivo_whole_header(struct vivo_archive *a, const char *locator,
                      struct vivo_buf *attrs, uint64_t *size, struct vivo_op *op)
{
    struct spool s = {.base.sink.write = spool_write};
    struct vivo_fd_reader r;
    s.fd = vivo_file_nameless(NULL, &op->err);
    if (s.fd < 0)
        return s.fd;
    int rc = a->driver->fetch(a, locator, &s.base, op);
    vivo_fd_reader_init(&r, s.fd, s.len);
    if (rc == 0)
        rc = vivo_dcm_attrs(&r.base, NULL, 0, attrs, &op->err);
    *size = s.len;
    vivo_close_p(&s.fd);
    return rc;
}

/* ---- ended early -------------------------------------------------------------- */

struct glance {
    struct vivo_delivery base;
    struct vivo_beginning got;
    bool ended; /* by us */
};

static int glance_write(struct vivo_sink *self, const void *data, size_t len,
                        struct vivo_err *err)
{
    struct glance *g = (struct glance *)self; /* first member of the first */
    int rc = vivo_beginning_stream(&g->got, data, len, err);
    if (rc <= 0)
        return rc;
    g->ended = true;
    return vivo_fail(err, EINTR, "the rest is not wanted");
}

static int glance_restart(struct vivo_sink *self, struct vivo_err *err)
{
    struct glance *g = (struct glance *)self; /* first member of the first */
    (void)err;
    vivo_beginning_cut(&g->got, 0);
    g->got.next = VIVO_BEGINNING_FIRST;
    return 0;
}

int vivo_early_header(struct vivo_archive *a, const char *locator,
                      struct vivo_buf *attrs, uint64_t *size, struct vivo_op *op)
{
    struct glance g = {.base.sink = {.write = glance_write, .restart = glance_restart}};
    vivo_beginning_init(&g.got);
    int rc = a->driver->fetch(a, locator, &g.base, op);
    *size = rc == 0 ? g.got.len : g.base.total;
    if (rc && g.ended) {
        vivo_err_clear(&op->err);
        rc = 0;
    } else if (rc == 0) {
        rc = vivo_beginning_try(&g.got, true, &op->err);
    }
    if (rc == 0 && g.got.is != VIVO_BEGINNING_OBJECT)
        rc = vivo_fail(&op->err, EBADMSG, "%s", g.got.why.text);
    if (rc == 0 && vivo_buf_add(attrs, g.got.attrs.data, g.got.attrs.len))
        rc = vivo_fail(&op->err, ENOSPC, "attributes too large");
    vivo_beginning_free(&g.got);
    return rc;
}
