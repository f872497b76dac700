/* SPDX-License-Identifier: Apache-2.0 */
/* include/vivofs/pixels.h -- frames decoded and blanked by a program of its own.
 *
 * Codecs on untrusted bytes run in `vivofs-pixels`, a small program without file system
 * and network (src/pixels/helper): one that crashes, hangs or allocates without end
 * costs the caller an error. Both sides share the structures below. */
#ifndef VIVOFS_PIXELS_H
#define VIVOFS_PIXELS_H

#include "vivofs/error.h"

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VIVO_PIXELS_MAGIC 0x32505856u /* "VXP2" */
#define VIVO_PIXELS_RECTS_MAX 256
#define VIVO_PIXELS_PIECES_MAX (1u << 22)

enum vivo_photometric { /* PS3.3 C.7.6.3.1.2 */
                        VIVO_PHOTOMETRIC_NONE,
                        VIVO_PHOTOMETRIC_MONOCHROME1,
                        VIVO_PHOTOMETRIC_MONOCHROME2,
                        VIVO_PHOTOMETRIC_PALETTE,
                        VIVO_PHOTOMETRIC_RGB,
                        VIVO_PHOTOMETRIC_YBR_FULL,
                        VIVO_PHOTOMETRIC_YBR_FULL_422,
                        VIVO_PHOTOMETRIC_YBR_RCT,
                        VIVO_PHOTOMETRIC_YBR_ICT,
};

struct vivo_pixels_rect { /* [x0, x1) times [y0, y1), inside the image */
    uint32_t x0, y0, x1, y1;
};

/* Bytes of a frame: fragments in order of the stream; native: the whole frame. */
struct vivo_pixels_piece {
    uint64_t off;
    uint32_t len, frame;
};

/* What the helper reads, followed by rects and pieces. */
struct vivo_pixels_job {
    uint32_t magic;
    uint32_t frames, rows, columns;
    uint32_t samples, allocated, stored, is_signed; /* allocated: 8 or 16 */
    uint32_t planar;      /* of native sources; the output is colour-by-pixel */
    uint32_t photometric; /* enum vivo_photometric, of the source */
    uint32_t target;      /* the same, of the output */
    uint32_t keep;        /* bits of a cell that stay; UINT32_MAX = all */
    uint8_t black[8];     /* of a pixel, sample by sample, little endian */
    uint32_t rects, pieces;
    char syntax[72]; /* UID; explicit little endian = native */
};

/* Writes all frames, decoded, blanked, little endian, to `out` from offset 0. source:
 * read at the pieces' offsets. Both stay the caller's. May take as long as decoding
 * takes, never longer than a deadline that grows with the result. -EBADMSG: the
 * frames cannot be decoded, or the decoder broke; -EIO: no helper, or no room. */
int vivo_pixels_run(const struct vivo_pixels_job *job,
                    const struct vivo_pixels_rect *rects,
                    const struct vivo_pixels_piece *pieces, int source, int out,
                    struct vivo_err *err);
/* Bytes of one frame of the output. */
uint64_t vivo_pixels_frame(const struct vivo_pixels_job *job);

#ifdef __cplusplus
}
#endif
#endif
