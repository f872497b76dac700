/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_drivers_multipart.c -- the multipart parser: the parts and their
 * bytes are the same in two pieces. */
#include "drivers/multipart.h"
#include "in_two.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int begin(void *ctx, const char *type, struct vivo_err *err)
{
    (void)err;
    ((struct seen *)ctx)->parts += 1 + (unsigned)strlen(type);
    return 0;
}

static int take(void *ctx, const void *data, size_t len, struct vivo_err *err)
{
    (void)err;
    return vivo_buf_add(&((struct seen *)ctx)->bytes, data, len)
               ? vivo_fail(err, 5, "x")
               : 0;
}

static int end(void *ctx, struct vivo_err *err)
{
    (void)ctx;
    (void)err;
    return 0;
}

static int parse(const uint8_t *data, size_t size, size_t split, struct seen *s)
{
    struct vivo_multipart m;
    struct vivo_err err = {0};
    const struct vivo_multipart_to to = {begin, take, end, s};
    vivo_buf_init(&s->bytes, 1 << 20);
    int rc = vivo_multipart_init(&m, "multipart/related; boundary=b", &to, &err);
    if (rc == 0)
        rc = vivo_multipart_push(&m, data, split, &err);
    if (rc == 0)
        rc = vivo_multipart_push(&m, data + split, size - split, &err);
    if (rc == 0)
        rc = vivo_multipart_finish(&m, &err);
    vivo_multipart_free(&m);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    feed_in_two(parse, data, size);
    return 0;
}
