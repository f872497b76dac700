/* SPDX-License-Identifier: Apache-2.0 */
/* src/pixels/helper/geometry.c -- what a compressed frame says of itself must be what
 * the header says: a rectangle that is blanked in another geometry misses the text.
 *
 * ITU-T T.81 B.2.2 and T.87 C.2.2 (frame headers), T.800 A.5.1 (SIZ). */
#include "helper.h"

#include "vivofs/base.h"

#include <stdbool.h>

struct geometry {
    uint32_t rows, columns, samples, bits;
};

static bool is_frame_header(uint8_t m)
{
    return m == 0xF7 || (m >= 0xC0 && m <= 0xCF && m != 0xC4 && m != 0xC8 && m != 0xCC);
}

static bool of_jpeg(const uint8_t *p, size_t len, struct geometry *g)
{
    for (size_t at = 2; at + 4 <= len && p[at] == 0xFF;) {
        uint8_t m = p[at + 1];
        if (m == 0xFF || m == 0x01 || (m >= 0xD0 && m <= 0xD7)) {
            at += m == 0xFF ? 1 : 2;
            continue;
        }
        if (is_frame_header(m) && at + 10 <= len) {
            *g = (struct geometry){vivo_be16(p + at + 5), vivo_be16(p + at + 7),
                                   p[at + 9], p[at + 4]};
            return true;
        }
        if (m == 0xDA || m == 0xD9)
            return false;
        at += 2u + vivo_be16(p + at + 2);
    }
    return false;
}

/* All components alike and as large as the picture. */
static bool of_codestream(const uint8_t *p, size_t len, struct geometry *g)
{
    if (len < 45 || p[2] != 0xFF || p[3] != 0x51)
        return false;
    uint32_t x1 = vivo_be32(p + 8), y1 = vivo_be32(p + 12), x0 = vivo_be32(p + 16),
             y0 = vivo_be32(p + 20), n = vivo_be16(p + 40);
    if (x0 >= x1 || y0 >= y1 || !n || len < 42u + 3 * (size_t)n)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        const uint8_t *c = p + 42 + 3 * (size_t)i;
        if (c[0] != p[42] || c[1] != 1 || c[2] != 1)
            return false;
    }
    *g = (struct geometry){y1 - y0, x1 - x0, n, (p[42] & 0x7Fu) + 1};
    return true;
}

static bool geometry_of(const uint8_t *p, size_t len, struct geometry *g)
{
    if (len > 2 && p[0] == 0xFF && p[1] == 0xD8)
        return of_jpeg(p, len, g);
    /* A codestream, bare or in a box. */
    const uint8_t *start = memmem(p, len, "\xFF\x4F\xFF\x51", 4);
    return start && of_codestream(start, len - (size_t)(start - p), g);
}

int helper_check(const struct vivo_pixels_job *job, const uint8_t *frame, size_t len)
{
    struct geometry g;
    if (!geometry_of(frame, len, &g) || g.rows != job->rows ||
        g.columns != job->columns || g.samples != job->samples)
        return -1;
    return (g.bits + 7) / 8 * 8 == job->allocated ? 0 : -1;
}
