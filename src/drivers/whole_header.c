/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/whole_header.c -- see whole_header.h. */
#include "whole_header.h"

#include "vivofs/dcm.h"
#include "vivofs/file.h"

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
