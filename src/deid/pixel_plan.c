/* SPDX-License-Identifier: Apache-2.0 */
/* src/deid/pixel_plan.c -- what an object's pixel data need: nothing, patches where
 * they lie, or to be made anew.
 *
 * From the header alone, so that the size of the result is known before a frame is
 * looked at. */
#include "pixels.h"

#include <errno.h>
#include <string.h>

#define EXPLICIT_LE "1.2.840.10008.1.2.1"
#define FRAMES_MAX 1000000u
#define NATIVE_MAX 0xFFFFFFFEu /* PS3.5 section 7.1.1: the longest defined length */

void vivo_pixels_plan_free(struct vivo_pixel_plan *p)
{
    free(p->rects);
    p->rects = NULL;
}

static uint32_t us(const struct vivo_header *h, uint32_t tag, uint32_t otherwise)
{
    uint32_t v = otherwise;
    for (uint32_t i = 0; i < h->n; i = h->nodes[i].end) {
        const struct vivo_node *node = &h->nodes[i];
        if (h->ordered && node->tag > tag)
            break;
        if (node->tag != tag || node->kind != VIVO_NODE_ELEMENT || node->length < 2)
            continue;
        const uint8_t *p = h->values.data + node->at;
        v = h->syntax.big_endian ? vivo_be16(p) : vivo_le16(p);
    }
    return v;
}

static uint32_t frames_of(const struct vivo_header *h)
{
    char text[32];
    uint32_t n = 0;
    if (!vivo_header_text(h, VIVO_TAG_NumberOfFrames, text, sizeof text))
        return 1;
    for (const char *p = text; *p >= '0' && *p <= '9' && n <= FRAMES_MAX; p++)
        n = n * 10 + (uint32_t)(*p - '0');
    return n ? n : 1;
}

static uint32_t photometric_of(const struct vivo_header *h)
{
    static const struct {
        const char *word;
        enum vivo_photometric value;
    } words[] = {
        {"MONOCHROME1", VIVO_PHOTOMETRIC_MONOCHROME1},
        {"MONOCHROME2", VIVO_PHOTOMETRIC_MONOCHROME2},
        {"PALETTE COLOR", VIVO_PHOTOMETRIC_PALETTE},
        {"RGB", VIVO_PHOTOMETRIC_RGB},
        {"YBR_FULL", VIVO_PHOTOMETRIC_YBR_FULL},
        {"YBR_FULL_422", VIVO_PHOTOMETRIC_YBR_FULL_422},
        {"YBR_RCT", VIVO_PHOTOMETRIC_YBR_RCT},
        {"YBR_ICT", VIVO_PHOTOMETRIC_YBR_ICT},
    };
    char text[32];
    vivo_header_text(h, 0x00280004, text, sizeof text);
    for (size_t i = 0; i < VIVO_ARRAY_LEN(words); i++)
        if (!strcmp(text, words[i].word))
            return words[i].value;
    return VIVO_PHOTOMETRIC_NONE;
}

/* What GDCM's codecs give: JPEG is decoded without a change of colours, the transforms
 * of JPEG 2000 are undone. */
static uint32_t target_of(uint32_t photometric)
{
    if (photometric == VIVO_PHOTOMETRIC_YBR_FULL_422)
        return VIVO_PHOTOMETRIC_YBR_FULL;
    if (photometric == VIVO_PHOTOMETRIC_YBR_RCT ||
        photometric == VIVO_PHOTOMETRIC_YBR_ICT)
        return VIVO_PHOTOMETRIC_RGB;
    return photometric;
}

static bool is_lossy(const char *syntax)
{
    static const char *const lossy[] = {
        "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.81",
        "1.2.840.10008.1.2.4.91"};
    for (size_t i = 0; i < VIVO_ARRAY_LEN(lossy); i++)
        if (!strcmp(syntax, lossy[i]))
            return true;
    return false;
}

/* The bytes of one black pixel: MONOCHROME1 is the other way round, and YBR has its
 * zero of colour in the middle (PS3.3 C.7.6.3.1.2). */
static void set_black(struct vivo_pixels_job *j)
{
    uint32_t first = 0, others = 0;
    if (j->target == VIVO_PHOTOMETRIC_MONOCHROME1)
        first = (1u << (j->stored - j->is_signed)) - 1;
    if (j->target == VIVO_PHOTOMETRIC_YBR_FULL)
        others = 1u << (j->stored - 1);
    for (uint32_t s = 0; s < j->samples && s < 3; s++) {
        uint32_t v = s ? others : first;
        if (j->allocated == 8)
            j->black[s] = (uint8_t)v;
        else
            vivo_put_le16(j->black + 2 * s, (uint16_t)v);
    }
}

static void describe(const struct vivo_header *h, struct vivo_pixels_job *j)
{
    j->magic = VIVO_PIXELS_MAGIC;
    j->frames = frames_of(h);
    j->rows = us(h, VIVO_TAG_Rows, 0);
    j->columns = us(h, VIVO_TAG_Columns, 0);
    j->samples = us(h, 0x00280002, 1);
    j->allocated = us(h, VIVO_TAG_BitsAllocated, 0);
    j->stored = us(h, 0x00280101, j->allocated);
    j->is_signed = us(h, 0x00280103, 0);
    j->planar = j->samples > 1 ? us(h, 0x00280006, 0) : 0;
    j->photometric = photometric_of(h);
    j->target = target_of(j->photometric);
    j->keep = UINT32_MAX;
}

static bool can_describe(const struct vivo_pixels_job *j)
{
    return j->frames <= FRAMES_MAX && j->rows && j->columns &&
           (j->samples == 1 || j->samples == 3) &&
           (j->allocated == 8 || j->allocated == 16) && j->stored &&
           j->stored <= j->allocated && j->is_signed <= 1 && j->planar <= 1 &&
           j->photometric != VIVO_PHOTOMETRIC_NONE;
}

/* ---- rectangles
 * ------------------------------------------------------------------------ */

static uint32_t clip(int64_t v, uint32_t max)
{
    if (v < 0)
        return 0;
    return v > max ? max : (uint32_t)v;
}

/* As CTP: negative places count from the other side, and one row more is blanked than
 * the height says. */
static int set_rects(struct vivo_pixel_plan *p, const struct vivo_pixel_rule *rule,
                     struct vivo_err *err)
{
    const struct vivo_pixels_job *j = &p->job;
    p->rects = calloc(rule->n, sizeof *p->rects);
    if (!p->rects)
        return vivo_fail(err, ENOMEM, "no memory for a rule");
    for (uint32_t i = 0; i < rule->n; i++) {
        const struct vivo_pixel_area *a = &rule->areas[i];
        int64_t x = a->x < 0 ? (int64_t)j->columns + a->x : a->x;
        int64_t y = a->y < 0 ? (int64_t)j->rows + a->y : a->y;
        struct vivo_pixels_rect r = {clip(x, j->columns), clip(y, j->rows),
                                     clip(x + a->w, j->columns),
                                     clip(y + a->h + 1, j->rows)};
        if (r.x0 < r.x1 && r.y0 < r.y1)
            p->rects[p->job.rects++] = r;
    }
    return 0;
}

/* ---- overlays in unused bits
 * -------------------------------------------------------------
 */

static bool has_overlays(const struct vivo_header *h)
{
    for (uint32_t i = 0; i < h->n; i = h->nodes[i].end)
        if (h->nodes[i].tag >> 24 == 0x60)
            return true;
    return false;
}

/* Bits of a cell that an overlay plane of the header lies in: a plane without data of
 * its own whose place is not 0 (PS3.3-2004 C.9.2, retired). */
static uint32_t overlay_bits(const struct vivo_header *h)
{
    uint32_t bits = 0;
    if (!has_overlays(h))
        return 0;
    for (uint32_t g = 0x6000; g <= 0x601E; g += 2) {
        uint32_t at = us(h, g << 16 | 0x0102, 0);
        if (at && at < 16 && !vivo_overlay_stays(h, g))
            bits |= 1u << at;
    }
    return bits;
}

/* Above the highest bit of the samples only: a plane that claims a sample's own bit
 * would take the picture away. */
static uint32_t keep_of(const struct vivo_header *h, const struct vivo_pixels_job *j)
{
    uint32_t high = us(h, 0x00280102, j->stored - 1);
    uint32_t low = high + 1 >= j->stored ? high + 1 - j->stored : 0;
    uint32_t bits = overlay_bits(h);
    for (uint32_t b = low; b <= high && b < 32; b++)
        bits &= ~(1u << b);
    if (j->allocated < 16)
        bits &= 0xFF;
    return bits ? ~bits & 0xFFFF : UINT32_MAX;
}

/* ---- the plan
 * ---------------------------------------------------------------------------- */

static const struct vivo_node *pixels_of(const struct vivo_header *h, unsigned *count)
{
    const struct vivo_node *found = NULL;
    *count = 0;
    for (uint32_t i = 0; i < h->n; i = h->nodes[i].end) {
        const struct vivo_node *node = &h->nodes[i];
        if (node->tag >> 16 != 0x7FE0 ||
            (node->kind != VIVO_NODE_BULK && node->kind != VIVO_NODE_FRAGMENTS))
            continue;
        bool pixels = node->tag == VIVO_TAG_PixelData || node->tag == 0x7FE00008 ||
                      node->tag == 0x7FE00009;
        if (pixels)
            found = node;
        *count += pixels;
    }
    return found;
}

static int cannot(struct vivo_err *err)
{
    return vivo_fail(err, EBADMSG, "pixels: not of a kind that can be blanked");
}

/* Native cells stay where they are, but for bits to be taken out of all of them. */
static int choose_way(struct vivo_pixel_plan *p, const struct vivo_node *node,
                      struct vivo_err *err)
{
    struct vivo_pixels_job *j = &p->job;
    bool mask = j->keep != UINT32_MAX;
    if (!p->blanks && !mask)
        return 0;
    if (node->tag != VIVO_TAG_PixelData || !can_describe(j))
        return cannot(err);
    uint64_t size = vivo_pixels_frame(j) * j->frames;
    if (!p->encapsulated &&
        (j->photometric == VIVO_PHOTOMETRIC_YBR_FULL_422 || node->length + 1 < size))
        return cannot(err);
    set_black(j);
    if (!p->encapsulated && !mask) {
        p->way = VIVO_PIXELS_PATCH;
        return 0;
    }
    if (p->big_endian || size > NATIVE_MAX)
        return cannot(err);
    p->way = VIVO_PIXELS_DECODE;
    p->size = size;
    return 0;
}

int vivo_pixels_plan(const struct vivo_header *h, struct vivo_pixel_plan *p,
                     struct vivo_err *err)
{
    const struct vivo_pixel_rule *rule = NULL;
    unsigned count = 0;
    memset(p, 0, sizeof *p);
    const struct vivo_node *node = pixels_of(h, &count);
    int rc = vivo_pixel_rules_match(h->d->pixels, h, &rule, err);
    if (rc || !node)
        return rc;
    p->at = node->at;
    p->length = node->length;
    p->encapsulated = node->kind == VIVO_NODE_FRAGMENTS;
    p->big_endian = h->syntax.big_endian;
    p->frames = frames_of(h);
    p->ruled = rule != NULL;
    p->blanks = rule && rule->n;
    p->way = p->encapsulated ? VIVO_PIXELS_PATCH : VIVO_PIXELS_LEFT;
    describe(h, &p->job);
    if (can_describe(&p->job))
        p->job.keep = keep_of(h, &p->job);
    if (p->blanks && count > 1)
        return cannot(err);
    if (p->blanks)
        rc = set_rects(p, rule, err);
    const char *syntax = p->encapsulated ? h->meta_syntax : EXPLICIT_LE;
    memcpy(p->job.syntax, syntax, strlen(syntax) + 1);
    p->lossy = p->encapsulated && is_lossy(h->meta_syntax);
    return rc ? rc : choose_way(p, node, err);
}

/* ---- patches over native pixels
 * ------------------------------------------------------------
 */

/* One row of one plane: what rectangles cover of it, from left to right. */
struct row {
    const struct vivo_pixel_plan *p;
    uint64_t off;  /* of its first cell in the source */
    uint32_t cell; /* bytes from one to the next */
    const uint8_t *black;
};

static int patch_row(const struct row *row, uint32_t y, struct vivo_patches *out,
                     struct vivo_err *err)
{
    const struct vivo_pixels_job *j = &row->p->job;
    for (uint32_t x = 0; x < j->columns;) {
        uint32_t from = j->columns, to = x;
        for (uint32_t i = 0; i < j->rects; i++) {
            const struct vivo_pixels_rect *r = &row->p->rects[i];
            if (y < r->y0 || y >= r->y1 || r->x1 <= x)
                continue;
            uint32_t x0 = VIVO_MAX(r->x0, x);
            if (x0 < from) {
                from = x0;
                to = r->x1;
            } else if (x0 == from) {
                to = VIVO_MAX(to, r->x1);
            }
        }
        if (from >= j->columns)
            return 0;
        int rc = vivo_patches_add(out, row->off + (uint64_t)from * row->cell,
                                  (uint64_t)(to - from) * row->cell, row->black,
                                  row->cell, err);
        if (rc)
            return rc;
        x = to;
    }
    return 0;
}

static int patch_native(const struct vivo_pixel_plan *p, struct vivo_patches *out,
                        struct vivo_err *err)
{
    const struct vivo_pixels_job *j = &p->job;
    uint32_t cell = j->allocated / 8, planes = j->planar ? j->samples : 1;
    uint32_t pixel = j->planar ? cell : cell * j->samples;
    uint8_t black[8];
    memcpy(black, j->black, sizeof black);
    for (uint32_t i = 0; p->big_endian && cell == 2 && i + 1 < sizeof black; i += 2) {
        black[i] = j->black[i + 1];
        black[i + 1] = j->black[i];
    }
    uint64_t off = p->at;
    for (uint32_t f = 0; f < j->frames; f++)
        for (uint32_t plane = 0; plane < planes; plane++)
            for (uint32_t y = 0; y < j->rows; y++) {
                struct row row = {p, off, pixel, black + plane * cell};
                int rc = patch_row(&row, y, out, err);
                if (rc)
                    return rc;
                off += (uint64_t)j->columns * pixel;
            }
    /* Frames that the header does not speak of would be shown as they are. */
    static const uint8_t zero[1];
    uint64_t rest = p->length - VIVO_MIN(p->length, off - p->at);
    return vivo_patches_add(out, off, rest, zero, 1, err);
}

int vivo_pixels_patches(const struct vivo_pixel_plan *p, const struct vivo_header *h,
                        struct vivo_reader *r, struct vivo_patches *out,
                        struct vivo_err *err)
{
    struct vivo_frames f;
    if (!p->encapsulated)
        return patch_native(p, out, err);
    int rc = vivo_frames_find(&f, r, p->at, p->length, p->frames, err);
    if (!rc)
        rc = vivo_frames_clean(&f, r, h->meta_syntax, out, err);
    vivo_frames_free(&f);
    return rc;
}

/* ---- making them anew
 * ------------------------------------------------------------------------
 */

static int native_pieces(const struct vivo_pixel_plan *p, struct vivo_frames *f,
                         struct vivo_err *err)
{
    uint64_t frame = vivo_pixels_frame(&p->job);
    f->pieces = calloc(p->job.frames, sizeof *f->pieces);
    if (!f->pieces)
        return vivo_fail(err, ENOMEM, "no memory for frames");
    f->n = f->frames = p->job.frames;
    for (uint32_t i = 0; i < f->n; i++)
        f->pieces[i] =
            (struct vivo_pixels_piece){p->at + i * frame, (uint32_t)frame, i};
    return 0;
}

int vivo_pixels_decode(const struct vivo_pixel_plan *p, struct vivo_reader *r, int fd,
                       int out, struct vivo_err *err)
{
    struct vivo_frames f = {0};
    struct vivo_pixels_job job = p->job;
    int rc = p->encapsulated ? vivo_frames_find(&f, r, p->at, p->length, p->frames, err)
                             : native_pieces(p, &f, err);
    if (!rc && f.frames != job.frames)
        rc = vivo_fail(err, EBADMSG, "pixels: not as many frames as the header says");
    job.pieces = f.n;
    if (!rc)
        rc = vivo_pixels_run(&job, p->rects, f.pieces, fd, out, err);
    vivo_frames_free(&f);
    return rc;
}
