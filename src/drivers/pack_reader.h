/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/pack_reader.h -- one pass over the members of a zip or tar. The only file
 * that knows libarchive. Not thread-safe: one thread at a time. */
#ifndef VIVOFS_DRIVERS_PACK_READER_H
#define VIVOFS_DRIVERS_PACK_READER_H

#include "vivofs/buf.h"
#include "vivofs/op.h"

#include <stdbool.h>

#define PACK_MEMBER_MAX (UINT64_C(64) << 30) /* longer ones cannot be decoded */
#define PACK_HEAD_MAX 4096                   /* what vivo_dcm_probe looks at */

struct pack_reader;

struct pack_entry {
    const char *path; /* any bytes, never "", until the next call; NULL = has none */
    bool folder;
    bool readable;  /* a regular file that is not encrypted */
    bool encrypted; /* a regular file that needs a password */
    uint64_t size;  /* as the archive says; 0 = it does not say */
};

/* fd is borrowed and read by offset only. -EINVAL: it is no zip or tar; -EBADMSG: it
 * begins like one and is damaged; err says so without a name. */
int pack_reader_new(int fd, uint64_t size, struct pack_reader **out,
                    struct vivo_err *err);
void pack_reader_free(struct pack_reader *r);

/* Passing a member costs its decoding, because the whole archive is one compressed
 * stream. */
bool pack_reader_is_stream(const struct pack_reader *r);

/* 1 = a member, 0 = the end, which is complete; -EBADMSG = damaged or truncated. */
int pack_reader_next(struct pack_reader *r, struct pack_entry *e, struct vivo_op *op);

/* A member that cannot be decoded, while the others can (PACK_BAD_MEMBER). */
enum { PACK_BAD_MEMBER = 1 };

/* The first bytes of the member, up to PACK_HEAD_MAX: 0, PACK_BAD_MEMBER or a negative
 * errno. They stay until the next call of pack_reader_next. */
int pack_reader_head(struct pack_reader *r, const uint8_t **data, size_t *len,
                     struct vivo_op *op);

/* After pack_reader_head: where the whole member stands as it is in the archive file.
 */
bool pack_reader_range(struct pack_reader *r, uint64_t *off, uint64_t *len);

/* After pack_reader_head: writes the whole member to fd from off on. Results as of
 * pack_reader_head, and -ENOSPC. */
int pack_reader_copy(struct pack_reader *r, int fd, uint64_t off, uint64_t *len,
                     struct vivo_op *op);

#endif
