/* SPDX-License-Identifier: Apache-2.0 */
/* src/deid/scan_jp2.c -- JPEG 2000 codestreams without comments, and boxes without
 * text (ITU-T T.800 Annexes A and I; T.814 writes the same headers; JPEG XL has the
 * same boxes, ISO/IEC 18181-2).
 *
 * Lengths stay; content becomes zeros, and a box of text becomes a free one. */
#include "pixels.h"

#include <errno.h>
#include <string.h>

enum { SOT = 0x90, SOD = 0x93, EOC = 0xD9, COM = 0x64 };

struct stream {
    struct vivo_scan *s;
    uint64_t pos, end; /* of the codestream in the frame */
    bool ended;
};

/* Segments of main and tile-part headers that make the picture; SOT has its own way. */
static bool is_picture(uint8_t m)
{
    return (m >= 0x50 && m <= 0x63) || (m >= 0x74 && m <= 0x79);
}

/* Reads a marker and its length; ended when there is none. */
static int marker(struct stream *t, uint8_t *m, uint32_t *len)
{
    size_t have = 0;
    int rc = 0;
    *len = 0;
    const uint8_t *p =
        t->end - t->pos >= 2 ? vivo_scan_at(t->s, t->pos, 2, false, &have, &rc) : NULL;
    t->ended = !p;
    if (!p)
        return rc;
    if (p[0] != 0xFF || p[1] < 0x4F)
        return 1; /* no marker */
    *m = p[1];
    if (*m == SOD || *m == EOC)
        return 0;
    p = t->end - t->pos >= 4 ? vivo_scan_at(t->s, t->pos, 4, false, &have, &rc) : NULL;
    t->ended = !p;
    if (p)
        *len = vivo_be16(p + 2);
    if (p && *len < 2)
        return vivo_fail(t->s->err, EBADMSG, "a JPEG 2000 segment without a length");
    return rc;
}

/* What stands between a tile-part and the end and is no marker: nobody reads it. */
static int garbage(struct stream *t)
{
    size_t have = 0;
    int rc = 0;
    uint64_t end = t->end, from = t->pos;
    t->ended = true;
    for (uint64_t n = 2; n <= 3 && end - from > n; n++) {
        const uint8_t *p = vivo_scan_at(t->s, end - n, 2, false, &have, &rc);
        if (!p)
            return rc;
        if (p[0] == 0xFF && p[1] == EOC)
            return vivo_scan_zero(t->s, from, end - n - from);
    }
    return vivo_scan_zero(t->s, from, end - from);
}

/* Segments up to SOT, SOD or EOC; t->pos stays before it. */
static int header(struct stream *t, uint8_t *stop)
{
    for (;;) {
        uint32_t len = 0;
        int rc = marker(t, stop, &len);
        if (rc > 0)
            return garbage(t);
        if (rc || t->ended || *stop == SOT || *stop == SOD || *stop == EOC)
            return rc;
        uint64_t from = t->pos + 4, n = len - 2;
        t->pos += 2 + (uint64_t)len;
        /* COM: what kind of text it was stays. */
        uint64_t keep = *stop == COM ? 2 : 0;
        if (!is_picture(*stop) && n > keep)
            rc = vivo_scan_zero(t->s, from + keep, VIVO_MIN(n, t->end - from) - keep);
        if (rc || t->pos >= t->end) {
            t->ended = true;
            return rc;
        }
    }
}

/* A tile-part: its header, then data to jump over. Psot 0 = up to the end. */
static int tile_part(struct stream *t)
{
    size_t have = 0;
    int rc = 0;
    uint8_t stop = 0;
    const uint64_t from = t->pos;
    const uint8_t *p = t->end - t->pos >= 12
                           ? vivo_scan_at(t->s, t->pos, 12, false, &have, &rc)
                           : NULL;
    t->ended = !p;
    if (!p)
        return rc;
    uint64_t len = vivo_be32(p + 6);
    if (vivo_be16(p + 2) != 10 || (len && len < 14))
        return vivo_fail(t->s->err, EBADMSG, "a JPEG 2000 tile without a length");
    t->pos += 12;
    rc = header(t, &stop);
    if (rc || t->ended)
        return rc;
    if (stop != SOD)
        return vivo_fail(t->s->err, EBADMSG, "a JPEG 2000 tile without data");
    if (!len || len >= t->end - from || from + len < t->pos) {
        t->ended = true; /* the last one, or cut */
        return 0;
    }
    t->pos = from + len;
    return 0;
}

int vivo_scan_codestream(struct vivo_scan *s, uint64_t pos, uint64_t end)
{
    struct stream t = {.s = s, .pos = pos + 2, .end = end};
    uint8_t stop = 0;
    if (end < t.pos)
        return 0;
    int rc = header(&t, &stop);
    while (!rc && !t.ended && stop == SOT) {
        uint32_t len = 0;
        rc = tile_part(&t);
        if (rc || t.ended)
            return rc;
        rc = marker(&t, &stop, &len);
        if (rc > 0 || (!rc && !t.ended && stop != SOT && stop != EOC))
            return garbage(&t);
    }
    if (rc || t.ended || stop != EOC)
        return rc;
    return vivo_scan_zero(s, t.pos + 2, end - t.pos - 2);
}

/* ---- boxes
 * --------------------------------------------------------------------------- */

struct box {
    uint64_t from, inside, end;
    char type[5];
};

static int read_box(struct vivo_scan *s, uint64_t pos, uint64_t end, struct box *b,
                    bool *found)
{
    size_t have = 0;
    int rc = 0;
    const uint8_t *p =
        end - pos >= 8 ? vivo_scan_at(s, pos, 8, false, &have, &rc) : NULL;
    *found = p != NULL;
    if (!p)
        return rc;
    uint64_t len = vivo_be32(p), head = 8;
    memcpy(b->type, p + 4, 4);
    b->type[4] = '\0';
    if (len == 1) {
        p = end - pos >= 16 ? vivo_scan_at(s, pos, 16, false, &have, &rc) : NULL;
        *found = p != NULL;
        if (!p)
            return rc;
        len = (uint64_t)vivo_be32(p + 8) << 32 | vivo_be32(p + 12);
        head = 16;
    }
    if (!len)
        len = end - pos;
    if (len < head)
        return vivo_fail(s->err, EBADMSG, "a box without a length");
    b->from = pos;
    b->inside = pos + head;
    b->end = pos + VIVO_MIN(len, end - pos);
    return 0;
}

static bool among(const char *type, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(type, list[i]))
            return true;
    return false;
}

/* The rest of the box becomes zeros and the box a free one, which readers skip. */
static int clear_box(struct vivo_scan *s, const struct box *b)
{
    int rc = strcmp(b->type, "free") ? vivo_scan_put(s, b->from + 4, "free", 4) : 0;
    return rc || b->end <= b->inside ? rc
                                     : vivo_scan_zero(s, b->inside, b->end - b->inside);
}

/* The header superbox: numbers stay. A colour profile is text in part: only
 * enumerated colours stay. */
static int header_box(struct vivo_scan *s, const struct box *outer)
{
    static const char *const numbers[] = {"ihdr", "bpcc", "pclr",
                                          "cmap", "cdef", "res "};
    for (uint64_t pos = outer->inside; pos < outer->end;) {
        struct box b;
        bool found = false;
        size_t have = 0;
        int rc = read_box(s, pos, outer->end, &b, &found);
        if (rc || !found)
            return rc;
        const uint8_t *p =
            b.end > b.inside ? vivo_scan_at(s, b.inside, 1, false, &have, &rc) : NULL;
        bool plain = !strcmp(b.type, "colr") && p && *p == 1 && b.end - b.inside == 7;
        if (!rc && !plain && !among(b.type, numbers, VIVO_ARRAY_LEN(numbers)))
            rc = clear_box(s, &b);
        if (rc)
            return rc;
        pos = b.end;
    }
    return 0;
}

int vivo_scan_boxes(struct vivo_scan *s)
{
    static const char *const picture[] = {"jP  ", "ftyp", "JXL ",
                                          "jxlc", "jxlp", "jxll"};
    for (uint64_t pos = 0; pos < s->len;) {
        struct box b;
        bool found = false;
        int rc = read_box(s, pos, s->len, &b, &found);
        if (rc)
            return rc;
        if (!found || !b.type[0]) /* no box: padding */
            return vivo_scan_zero(s, pos, s->len - pos);
        if (!strcmp(b.type, "jp2h"))
            rc = header_box(s, &b);
        else if (!strcmp(b.type, "jp2c"))
            rc = vivo_scan_codestream(s, b.inside, b.end);
        else if (!among(b.type, picture, VIVO_ARRAY_LEN(picture)))
            rc = clear_box(s, &b);
        if (rc)
            return rc;
        pos = b.end;
    }
    return 0;
}
