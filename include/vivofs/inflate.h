/* SPDX-License-Identifier: Apache-2.0 */
/* include/vivofs/inflate.h -- raw deflate (RFC 1951) in pieces, over zlib, whose
 * only user is src/base/inflate.c. Memory is bounded (about 110 KiB). */
#ifndef VIVOFS_INFLATE_H
#define VIVOFS_INFLATE_H

#include "vivofs/base.h"

#include <stdbool.h>

struct vivo_inflate;

int vivo_inflate_new(struct vivo_inflate **out); /* 0 or -ENOMEM */
/* Gives what comes out to sink in pieces of at most 64 KiB; its non-zero result ends
 * the call and is returned. *end: the stream ended inside this input. -EBADMSG: not
 * deflate. Input after the end is ignored. */
int vivo_inflate_push(struct vivo_inflate *z, const void *in, size_t len,
                      int (*sink)(void *ctx, const void *data, size_t len), void *ctx,
                      bool *end);
/* How much of all input belongs to the stream. */
uint64_t vivo_inflate_used(const struct vivo_inflate *z);
void vivo_inflate_free(struct vivo_inflate *z);

/* CRC-32 of zip and gzip (RFC 1952 section 8) of more bytes; crc: of those before, 0
 * for none. */
uint32_t vivo_crc32(uint32_t crc, const void *data, size_t len);

#endif
