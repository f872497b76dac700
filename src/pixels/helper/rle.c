/* SPDX-License-Identifier: Apache-2.0 */
/* src/pixels/helper/rle.c -- RLE frames (PS3.5 Annex G): a header of segment offsets,
 * then a PackBits segment for each byte of each sample, the highest first. */
#include "helper.h"

#include "vivofs/base.h"

#define HEADER 64
#define SEGMENTS_MAX 15

/* One segment into every step-th byte of out, n of them. */
static int unpack(const uint8_t *in, size_t len, uint8_t *out, size_t n, size_t step)
{
    size_t at = 0, done = 0;
    while (done < n) {
        if (at >= len)
            return -1;
        uint8_t c = in[at++];
        size_t count = c < 128 ? c + 1u : 257u - c;
        if (c == 128)
            continue;
        if (at + (c < 128 ? count : 1) > len)
            return -1;
        for (size_t i = 0; i < count && done < n; i++, done++)
            out[done * step] = in[c < 128 ? at + i : at];
        at += c < 128 ? count : 1;
    }
    return 0;
}

int helper_decode_rle(const struct vivo_pixels_job *job, const uint8_t *frame,
                      size_t len, uint8_t *out)
{
    const size_t cell = job->allocated / 8, pixel = cell * job->samples;
    const size_t n = (size_t)job->rows * job->columns;
    if (len < HEADER || vivo_le32(frame) != pixel || pixel > SEGMENTS_MAX)
        return -1;
    for (size_t i = 0; i < pixel; i++) {
        size_t from = vivo_le32(frame + 4 + 4 * i);
        size_t to = i + 1 < pixel ? vivo_le32(frame + 8 + 4 * i) : len;
        size_t byte = i / cell * cell + (cell - 1 - i % cell);
        if (from < HEADER || to > len || from > to ||
            unpack(frame + from, to - from, out + byte, n, pixel))
            return -1;
    }
    return 0;
}
