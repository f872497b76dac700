/* SPDX-License-Identifier: Apache-2.0 */
/* src/deid/scan_jpeg.c -- JPEG and JPEG-LS frames without comments and application data
 * (ITU-T T.81 Annex B, T.87 Annex C).
 *
 * Segments keep their lengths, their content becomes zeros. What decoders need of them
 * stays: JFIF's density, Adobe's and HP's colour transforms. */
#include "pixels.h"

#include <errno.h>
#include <string.h>

#define TAIL (66u << 10) /* longer than any segment */

enum { SOI = 0xD8, EOI = 0xD9, SOS = 0xDA, COM = 0xFE, APP0 = 0xE0, APP15 = 0xEF };

struct jpeg {
    struct vivo_scan *s;
    uint64_t pos;
    uint8_t process;    /* SOFn */
    uint8_t components; /* of the frame */
    bool ended;
};

/* Bytes of an APPn segment's content that stay. */
static uint64_t app_stays(uint8_t marker, const uint8_t *p, size_t have)
{
    if (marker == APP0 && have >= 14 && !memcmp(p, "JFIF", 5))
        return 14;
    if (marker == 0xEE && have >= 12 && !memcmp(p, "Adobe", 5))
        return 12;
    if (marker == 0xE8 && have >= 5 && !memcmp(p, "mrfx", 4))
        return 5;
    return 0;
}

/* Markers whose segments make the picture; all else is text or not known. */
static bool is_picture(uint8_t m)
{
    if (m >= 0xC0 && m <= 0xCF)
        return true; /* SOFn, DHT, DAC */
    return (m >= 0xDA && m <= 0xDF) || m == 0xF7 || m == 0xF8;
}

static bool stands_alone(uint8_t m)
{
    return m == 0x01 || (m >= 0xD0 && m <= 0xD8);
}

static bool is_frame_header(uint8_t m)
{
    return m == 0xF7 || (m >= 0xC0 && m <= 0xCF && m != 0xC4 && m != 0xC8 && m != 0xCC);
}

/* One segment whose length is at j->pos; moves behind it. */
static int segment(struct jpeg *j, uint8_t marker)
{
    size_t have = 0;
    int rc = 0;
    const uint8_t *p = vivo_scan_at(j->s, j->pos, 2, false, &have, &rc);
    if (!p) {
        j->ended = true;
        return rc;
    }
    uint64_t len = vivo_be16(p), stays = 0;
    if (len < 2)
        return vivo_fail(j->s->err, EBADMSG, "a JPEG segment without a length");
    uint64_t from = j->pos + 2;
    j->pos += len;
    if (len >= 8 && is_frame_header(marker)) {
        p = vivo_scan_at(j->s, from, 6, false, &have, &rc);
        if (p) {
            j->process = marker;
            j->components = p[5];
        }
    }
    if (rc || is_picture(marker))
        return rc;
    p = vivo_scan_at(j->s, from, VIVO_MIN(len - 2, 16), false, &have, &rc);
    if (p)
        stays = app_stays(marker, p, VIVO_MIN(have, (size_t)len - 2));
    return rc ? rc : vivo_scan_zero(j->s, from + stays, len - 2 - stays);
}

/* To the next marker behind entropy-coded data: 0xFF and no stuffing (T.81 B.1.1.5:
 * 00; T.87: below 80), restart or fill byte. */
static int next_marker(struct jpeg *j, bool *found)
{
    bool ls = j->process == 0xF7;
    *found = false;
    for (;;) {
        size_t have = 0;
        int rc = 0;
        const uint8_t *p = vivo_scan_at(j->s, j->pos, 2, true, &have, &rc);
        if (!p)
            return rc;
        const uint8_t *ff = memchr(p, 0xFF, have - 1);
        if (!ff) {
            j->pos += have - 1;
            continue;
        }
        uint8_t m = ff[1];
        j->pos += (uint64_t)(ff - p);
        *found = !(m == 0 || m == 0xFF || (m >= 0xD0 && m <= 0xD7) || (ls && m < 0x80));
        if (*found)
            return 0;
        j->pos += m == 0xFF ? 1 : 2;
    }
}

/* Can a second scan follow the first one? Then its tables and comments may stand
 * between. */
static bool one_scan(const struct jpeg *j, uint8_t in_scan)
{
    bool plain = j->process == 0xC0 || j->process == 0xC1 || j->process == 0xC3 ||
                 j->process == 0xF7;
    return plain && j->components && in_scan == j->components;
}

/* Behind the head of a scan. A long frame that can have but one is not read whole
 * where the object has many of them: its end is enough, when nothing stands there but
 * the end. */
static int scan_data(struct jpeg *j, bool one)
{
    const uint64_t from = j->pos, rest = j->s->len - j->pos;
    bool found = false;
    if (one && rest > TAIL && rest > j->s->spare) {
        size_t have = 0;
        int rc = 0;
        j->pos = j->s->len - TAIL;
        rc = next_marker(j, &found);
        const uint8_t *p =
            found ? vivo_scan_at(j->s, j->pos, 2, false, &have, &rc) : NULL;
        if (rc || (p && p[1] == EOI))
            return rc;
        j->pos = from;
    }
    j->s->spare -= VIVO_MIN(j->s->spare, rest);
    int rc = next_marker(j, &found);
    j->ended = !found;
    return rc;
}

static int scan_header(struct jpeg *j)
{
    size_t have = 0;
    int rc = 0;
    const uint8_t *p = vivo_scan_at(j->s, j->pos, 3, false, &have, &rc);
    if (!p) {
        j->ended = true;
        return rc;
    }
    uint16_t len = vivo_be16(p);
    bool one = one_scan(j, p[2]);
    if (len < 3)
        return vivo_fail(j->s->err, EBADMSG, "a JPEG segment without a length");
    j->pos += len;
    if (j->pos > j->s->len) {
        j->ended = true;
        return 0;
    }
    return scan_data(j, one);
}

int vivo_scan_jpeg(struct vivo_scan *s)
{
    struct jpeg j = {.s = s, .pos = 2};
    while (!j.ended) {
        size_t have = 0;
        int rc = 0;
        const uint8_t *p = vivo_scan_at(s, j.pos, 2, false, &have, &rc);
        if (!p)
            return rc;
        uint8_t m = p[1];
        if (p[0] != 0xFF)
            return vivo_fail(s->err, EBADMSG, "a JPEG frame without a marker");
        j.pos += m == 0xFF ? 1 : 2;
        if (m == EOI)
            return vivo_scan_zero(s, j.pos, s->len - j.pos);
        if (m == SOS)
            rc = scan_header(&j);
        else if (m != 0xFF && !stands_alone(m))
            rc = segment(&j, m);
        if (rc)
            return rc;
    }
    return 0;
}
