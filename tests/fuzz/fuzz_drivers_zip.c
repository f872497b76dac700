/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_drivers_zip.c -- the zip reader of streams: the members and their
 * bytes are the same in two pieces; nothing ends that did not begin. */
#include "drivers/zip_stream.h"
#include "in_two.h"

#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int begin(void *ctx, const char *name, struct vivo_err *err)
{
    struct seen *s = ctx;
    if (s->open)
        __builtin_trap();
    s->open = true;
    return vivo_buf_puts(&s->bytes, name) ? vivo_fail(err, ENOSPC, "full") : 0;
}

static int take(void *ctx, const void *data, size_t len, struct vivo_err *err)
{
    struct seen *s = ctx;
    if (!s->open || len == 0)
        __builtin_trap();
    return vivo_buf_add(&s->bytes, data, len) ? vivo_fail(err, ENOSPC, "full") : 0;
}

static int end(void *ctx, struct vivo_err *err)
{
    struct seen *s = ctx;
    (void)err;
    if (!s->open)
        __builtin_trap();
    s->open = false;
    return 0;
}

static int parse(const uint8_t *data, size_t size, size_t split, struct seen *s)
{
    struct vivo_zip_stream *z = NULL;
    struct vivo_err err = {0};
    const struct vivo_zip_to to = {begin, take, end, s};
    vivo_buf_init(&s->bytes, 1 << 22);
    int rc = vivo_zip_stream_new(&to, 1 << 20, &z, &err);
    if (rc == 0)
        rc = vivo_zip_stream_push(z, data, split, &err);
    if (rc == 0)
        rc = vivo_zip_stream_push(z, data + split, size - split, &err);
    if (rc == 0)
        rc = vivo_zip_stream_finish(z, &err);
    if (err.errnum != -rc)
        __builtin_trap();
    vivo_zip_stream_free(z);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    feed_in_two(parse, data, size);
    return 0;
}
