/* SPDX-License-Identifier: Apache-2.0 */
/* src/net/sink.c -- a sink into memory. */
#include "vivofs/net.h"

#include <errno.h>

static int buf_write(struct vivo_sink *self, const void *data, size_t len,
                     struct vivo_err *err)
{
    struct vivo_buf *b = ((struct vivo_buf_sink *)self)->buf;
    int rc = vivo_buf_add(b, data, len);
    if (rc == -ENOSPC)
        return vivo_fail(err, EIO, "reply longer than %zu bytes", b->max);
    return rc ? vivo_fail(err, ENOMEM, "reply: out of memory") : 0;
}

static int buf_restart(struct vivo_sink *self, struct vivo_err *err)
{
    (void)err;
    vivo_buf_clear(((struct vivo_buf_sink *)self)->buf);
    return 0;
}

void vivo_buf_sink_init(struct vivo_buf_sink *s, struct vivo_buf *buf)
{
    s->base.write = buf_write;
    s->base.restart = buf_restart;
    s->buf = buf;
}
