/* SPDX-License-Identifier: Apache-2.0 */
/* src/render/picture.h -- one frame on its way to a picture: picture_find.c says where
 * it is and how it is meant, picture_frame.c brings its samples, picture.c makes
 * colours of them. */
#ifndef VIVO_RENDER_PICTURE_H
#define VIVO_RENDER_PICTURE_H

#include "vivofs/pixels.h"
#include "vivofs/render.h"

#define FRAME_BYTES_MAX (256u << 20) /* of one frame, decoded or not */

struct vivo_palette { /* PS3.3 C.7.6.3.1.5, C.7.6.3.1.6 */
    uint32_t n, bits;
    int32_t first;
    struct vivo_buf data;
};

struct vivo_window { /* PS3.3 C.11.2.1 */
    double center, width;
    char function[20]; /* LINEAR, LINEAR_EXACT, SIGMOID; "" = LINEAR */
    bool has_center, has_width;
};

struct vivo_frame_source {
    uint32_t rows, columns, samples, allocated, stored, high, is_signed, planar, frames;
    uint32_t photometric; /* enum vivo_photometric */
    double slope, intercept;
    bool has_slope, has_intercept;
    struct vivo_window window;
    struct vivo_palette palette[3];
    bool segmented; /* it has palettes that are not read here */
    const struct vivo_syntax *syntax;
    uint64_t at, length; /* the pixel data; 0 = none */
    bool encapsulated, cut, floats;
};

/* Where and how; deflated: a descriptor that gets the inflated stream, which offsets
 * then are of. Caller frees. -EBADMSG: not valid, or no picture. */
int vivo_frame_find(struct vivo_reader *object, int deflated,
                    struct vivo_frame_source *out, struct vivo_err *err);
void vivo_frame_source_free(struct vivo_frame_source *s);

/* The samples of the middle frame: cells of `allocated` bits, little endian, colours by
 * pixel; malloc'd. src->photometric and planar are those of the result. */
int vivo_frame_read(struct vivo_reader *bytes, struct vivo_frame_source *src,
                    uint8_t **out, struct vivo_err *err);

#endif
