/* SPDX-License-Identifier: Apache-2.0 */
/* src/deid/frames.c -- the fragments of encapsulated pixel data, and whose they are.
 *
 * PS3.5 section A.4: an offset table, then fragments. Which of them make up a frame is
 * told by their number, by the table, or by how compressed frames begin. */
#include "pixels.h"

#include <errno.h>
#include <string.h>

#define PIECES_MAX VIVO_PIXELS_PIECES_MAX
#define SPARE (8u << 20) /* bytes of an object that are looked at whole */

void vivo_frames_free(struct vivo_frames *f)
{
    free(f->pieces);
    f->pieces = NULL;
}

static int add_piece(struct vivo_frames *f, uint64_t off, uint32_t len,
                     struct vivo_err *err)
{
    struct vivo_pixels_piece *grown =
        vivo_array_grow(f->pieces, f->n, &f->cap, sizeof *grown, PIECES_MAX);
    if (!grown)
        return vivo_fail(err, f->n >= PIECES_MAX ? EBADMSG : ENOMEM,
                         "pixels: too many fragments");
    f->pieces = grown;
    f->pieces[f->n++] = (struct vivo_pixels_piece){off, len, 0};
    return 0;
}

/* The walker has seen that these are items; a source may be cut in the last. */
static int read_items(struct vivo_frames *f, struct vivo_reader *r, uint64_t off,
                      uint64_t end, struct vivo_err *err)
{
    uint8_t head[8];
    bool table = true;
    end = VIVO_MIN(end, r->size);
    while (off + 8 <= end) {
        int rc = r->read(r, head, sizeof head, off, err);
        if (rc)
            return rc;
        if (vivo_le32(head) != 0xE000FFFEu)
            break;
        uint64_t len = VIVO_MIN((uint64_t)vivo_le32(head + 4), end - off - 8);
        off += 8;
        if (table) {
            f->table = off;
            f->table_len = len;
        } else {
            rc = add_piece(f, off, (uint32_t)len, err);
        }
        if (rc)
            return rc;
        table = false;
        off += len;
    }
    return 0;
}

static const char jp2_start[] = "\0\0\0\14jP  ", jxl_start[] = "\0\0\0\14JXL ";

/* How frames of the codecs begin: SOI, SOC and SIZ, the signature box, JPEG XL. */
static bool begins(const uint8_t *p)
{
    return (p[0] == 0xFF && p[1] == 0xD8 && p[2] == 0xFF) ||
           !memcmp(p, "\xFF\x4F\xFF\x51", 4) || !memcmp(p, jp2_start, 8) ||
           !memcmp(p, jxl_start, 8) || (p[0] == 0xFF && p[1] == 0x0A);
}

static int by_beginnings(struct vivo_frames *f, struct vivo_reader *r,
                         struct vivo_err *err)
{
    uint32_t frame = 0;
    for (uint32_t i = 0; i < f->n; i++) {
        uint8_t head[8] = {0};
        if (f->pieces[i].len >= sizeof head) {
            int rc = r->read(r, head, sizeof head, f->pieces[i].off, err);
            if (rc)
                return rc;
        }
        frame += i && begins(head);
        f->pieces[i].frame = frame;
    }
    f->frames = f->n ? frame + 1 : 0;
    return 0;
}

int vivo_frames_find(struct vivo_frames *f, struct vivo_reader *r, uint64_t off,
                     uint64_t len, uint32_t wanted, struct vivo_err *err)
{
    memset(f, 0, sizeof *f);
    int rc = read_items(f, r, off, off + len, err);
    if (rc || wanted == 1) {
        f->frames = f->n ? 1 : 0;
        return rc;
    }
    if (f->n != wanted)
        return by_beginnings(f, r, err);
    for (uint32_t i = 0; i < f->n; i++)
        f->pieces[i].frame = i;
    f->frames = f->n;
    return 0;
}

/* ---- the offset table
 * ---------------------------------------------------------------- */

/* The n-th entry as it should be: of the frame's first fragment. */
static int check_table(const struct vivo_frames *f, struct vivo_reader *r,
                       struct vivo_patches *out, struct vivo_err *err)
{
    static const uint8_t zeros[4];
    uint64_t entries = f->table_len / 4, first = f->n ? f->pieces[0].off : 0;
    uint32_t piece = 0;
    uint8_t entry[4], right[4];
    for (uint64_t i = 0; i < entries; i++) {
        while (piece < f->n && f->pieces[piece].frame < i)
            piece++;
        bool known = piece < f->n && f->pieces[piece].frame == i;
        int rc = r->read(r, entry, 4, f->table + 4 * i, err);
        if (rc)
            return rc;
        vivo_put_le32(right, known ? (uint32_t)(f->pieces[piece].off - first) : 0);
        if (memcmp(entry, right, 4) != 0)
            rc = vivo_patches_add(out, f->table + 4 * i, 4, right, 4, err);
        if (rc)
            return rc;
    }
    return vivo_patches_add(out, f->table + 4 * entries, f->table_len % 4, zeros, 1,
                            err);
}

/* ---- what is in a frame
 * --------------------------------------------------------------- */

/* A frame that is none of the codecs' is not shown: nobody knows what it says. RLE
 * begins with the number of its segments, at most 15, and the first one's offset
 * (PS3.5 Annex G). */
static int clean_frame(struct vivo_scan *s, const char *syntax)
{
    size_t have = 0;
    int rc = 0;
    const uint8_t *p = vivo_scan_at(s, 0, 12, false, &have, &rc);
    if (!p)
        return rc; /* a source that is cut here */
    if (p[0] == 0xFF && p[1] == 0xD8)
        return vivo_scan_jpeg(s);
    if (p[0] == 0xFF && p[1] == 0x4F)
        return vivo_scan_codestream(s, 0, s->len);
    if (!memcmp(p, jp2_start, 8) || !memcmp(p, jxl_start, 8))
        return vivo_scan_boxes(s);
    bool rle = !strcmp(syntax, "1.2.840.10008.1.2.5");
    bool xl = !strncmp(syntax, "1.2.840.10008.1.2.4.11", 22) && p[0] == 0xFF;
    /* Deflated frames and video have no form that is known here. */
    bool other = !strncmp(syntax, "1.2.840.10008.1.2.8.", 20) ||
                 !strncmp(syntax, "1.2.840.10008.1.2.4.10", 22) ||
                 !strncmp(syntax, "1.2.840.10008.1.2.7.", 20);
    if (xl || other || (rle && vivo_le32(p) <= 15 && vivo_le32(p + 4) == 64))
        return 0;
    return vivo_fail(s->err, EBADMSG, "a frame is not of its transfer syntax");
}

int vivo_frames_clean(const struct vivo_frames *f, struct vivo_reader *r,
                      const char *syntax, struct vivo_patches *out,
                      struct vivo_err *err)
{
    int rc = check_table(f, r, out, err);
    VIVO_AUTO(vivo_free_p) struct vivo_scan *s = rc ? NULL : malloc(sizeof *s);
    if (!s)
        return rc ? rc : vivo_fail(err, ENOMEM, "no memory for a frame");
    s->reader = r;
    s->patches = out;
    s->err = err;
    s->spare = SPARE;
    for (uint32_t i = 0; !rc && i < f->n;) {
        uint32_t first = i;
        s->len = 0;
        for (; i < f->n && f->pieces[i].frame == f->pieces[first].frame; i++)
            s->len += f->pieces[i].len;
        s->pieces = f->pieces + first;
        s->n = i - first;
        s->at = 0;
        s->have = 0;
        rc = clean_frame(s, syntax);
    }
    return rc;
}
