/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/header_range.h -- the header of a remote object without its pixels.
 *
 * Asks for the beginning by ranges that grow until the pixel data begins: one request
 * of 16 KiB for most objects. Where ranges are ignored the reply is ended as soon as
 * the header is whole. */
#ifndef VIVOFS_DRIVERS_HEADER_RANGE_H
#define VIVOFS_DRIVERS_HEADER_RANGE_H

#include "beginning.h"

struct vivo_ranged_header {
    bool object;           /* false: something else than an instance; attrs is empty */
    bool foreign;          /* … and no DICOM at all */
    struct vivo_buf attrs; /* attrs form; a cut of a pixel value's first 16 bytes */
    uint64_t size;         /* bytes of the object; 0 = empty or not told */
    struct vivo_net_reply reply; /* the first one: etag, modified, status */
    struct vivo_err why;         /* not an object: why not */
};

/* rq: everything but range_*, max_bytes. Requests and bytes are counted in `a`. 0, or
 * what vivo_net_fetch says, out->reply filled as far as known; -EIO also when the
 * object changed between two ranges. Free *out in every case. */
int vivo_header_range(struct vivo_archive *a, const struct vivo_net_request *rq,
                      struct vivo_ranged_header *out, struct vivo_op *op);
void vivo_ranged_header_free(struct vivo_ranged_header *h);

#endif
