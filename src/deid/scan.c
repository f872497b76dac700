/* SPDX-License-Identifier: Apache-2.0 */
/* src/deid/scan.c -- a frame, whose bytes may lie in several fragments, as one stream
 * that is read in parts and covered in parts. */
#include "pixels.h"

#include <errno.h>
#include <string.h>

#define LITTLE 4096 /* most headers of frames are shorter */

/* Reads [pos, pos+n) of the frame from its fragments. */
static int read_frame(struct vivo_scan *s, uint64_t pos, uint8_t *to, size_t n)
{
    for (uint32_t i = 0; n && i < s->n; i++) {
        const struct vivo_pixels_piece *p = &s->pieces[i];
        if (pos >= p->len) {
            pos -= p->len;
            continue;
        }
        size_t part = (size_t)VIVO_MIN((uint64_t)n, p->len - pos);
        int rc = s->reader->read(s->reader, to, part, p->off + pos, s->err);
        if (rc)
            return rc;
        to += part;
        n -= part;
        pos = 0;
    }
    return 0;
}

const uint8_t *vivo_scan_at(struct vivo_scan *s, uint64_t pos, size_t n, bool whole,
                            size_t *have, int *rc)
{
    *rc = 0;
    if (pos > s->len || n > s->len - pos)
        return NULL;
    bool held = pos >= s->at && pos - s->at <= s->have && n <= s->have - (pos - s->at);
    if (!held) {
        size_t want = (size_t)VIVO_MIN(s->len - pos,
                                       (uint64_t)(whole ? VIVO_SCAN_CHUNK : LITTLE));
        s->have = 0;
        *rc = read_frame(s, pos, s->buf, want);
        if (*rc)
            return NULL;
        s->at = pos;
        s->have = want;
    }
    *have = s->have - (size_t)(pos - s->at);
    return s->buf + (pos - s->at);
}

/* Covers [pos, pos+len), fragment by fragment; the pattern is one byte repeated, or as
 * long as the range. */
static int cover(struct vivo_scan *s, uint64_t pos, uint64_t len, const uint8_t *bytes,
                 bool zero)
{
    static const uint8_t nothing[1];
    for (uint32_t i = 0; len && i < s->n; i++) {
        const struct vivo_pixels_piece *p = &s->pieces[i];
        if (pos >= p->len) {
            pos -= p->len;
            continue;
        }
        uint64_t part = VIVO_MIN(len, p->len - pos);
        int rc =
            vivo_patches_add(s->patches, p->off + pos, part, zero ? nothing : bytes,
                             zero ? 1 : (uint32_t)part, s->err);
        if (rc)
            return rc;
        bytes += zero ? 0 : part;
        len -= part;
        pos = 0;
    }
    return 0;
}

/* Zeros are not covered with zeros: a frame that hides nothing stays one range. */
static int is_zero(struct vivo_scan *s, uint64_t pos, uint64_t len, bool *zero)
{
    *zero = true;
    while (len && *zero) {
        size_t have = 0;
        int rc = 0;
        const uint8_t *p = vivo_scan_at(s, pos, 1, false, &have, &rc);
        if (!p)
            return rc;
        size_t n = (size_t)VIVO_MIN((uint64_t)have, len);
        for (size_t i = 0; i < n && *zero; i++)
            *zero = !p[i];
        pos += n;
        len -= n;
    }
    return 0;
}

int vivo_scan_zero(struct vivo_scan *s, uint64_t pos, uint64_t len)
{
    static const uint8_t nothing[1];
    bool zero = false;
    if (pos >= s->len)
        return 0;
    len = VIVO_MIN(len, s->len - pos);
    int rc = is_zero(s, pos, len, &zero);
    return rc || zero ? rc : cover(s, pos, len, nothing, true);
}

int vivo_scan_put(struct vivo_scan *s, uint64_t pos, const void *bytes, uint32_t len)
{
    return cover(s, pos, len, bytes, false);
}
