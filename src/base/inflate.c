/* SPDX-License-Identifier: Apache-2.0 */
/* src/base/inflate.c -- raw deflate over zlib; see include/vivofs/inflate.h. */
#include "vivofs/inflate.h"

#include <errno.h>
#include <string.h>
#include <zlib.h>

enum { OUT = 64 * 1024 };

struct vivo_inflate {
    z_stream z;
    bool ended;
    uint8_t out[OUT];
};

int vivo_inflate_new(struct vivo_inflate **out)
{
    struct vivo_inflate *z = calloc(1, sizeof *z);
    if (!z)
        return -ENOMEM;
    if (inflateInit2(&z->z, -MAX_WBITS) != Z_OK) {
        free(z);
        return -ENOMEM;
    }
    *out = z;
    return 0;
}

int vivo_inflate_push(struct vivo_inflate *z, const void *in, size_t len,
                      int (*sink)(void *ctx, const void *data, size_t len), void *ctx,
                      bool *end)
{
    /* zlib's interface predates const; it does not write to its input. */
    union {
        const void *c;
        Bytef *v;
    } input = {.c = in};
    z->z.next_in = input.v;
    z->z.avail_in = (uInt)len;
    while (!z->ended) {
        z->z.next_out = z->out;
        z->z.avail_out = OUT;
        int rc = inflate(&z->z, Z_NO_FLUSH);
        if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
            return rc == Z_MEM_ERROR ? -ENOMEM : -EBADMSG;
        size_t got = OUT - z->z.avail_out;
        z->ended = rc == Z_STREAM_END;
        int stop = got ? sink(ctx, z->out, got) : 0;
        if (stop)
            return stop;
        if (z->z.avail_out)
            break;
    }
    *end = z->ended;
    return 0;
}

uint64_t vivo_inflate_used(const struct vivo_inflate *z)
{
    return z->z.total_in;
}

uint32_t vivo_crc32(uint32_t crc, const void *data, size_t len)
{
    return (uint32_t)crc32_z(crc, data, len);
}

void vivo_inflate_free(struct vivo_inflate *z)
{
    if (!z)
        return;
    inflateEnd(&z->z);
    free(z);
}
