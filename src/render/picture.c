/* SPDX-License-Identifier: Apache-2.0 */
/* src/render/picture.c -- samples of a frame become colours that a screen shows, scaled
 * down by averaging to what is asked for.
 *
 * Grey: modality (C.11.1), then the window (PS3.3 C.11.2.1.2), or where there is none
 * what lies between the first and the last hundredth of all values. */
#include "picture.h"

#include "vivofs/file.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BINS 4096

struct painting {
    const struct vivo_frame_source *src;
    const uint8_t *cells;
    bool windowed; /* by the object's window */
    double lo, hi; /* else: what is black and what is white */
};

/* ---- samples -----------------------------------------------------------------------
 */

static int64_t sample(const struct painting *p, uint64_t i)
{
    const struct vivo_frame_source *s = p->src;
    uint32_t raw = s->allocated == 1    ? p->cells[i / 8] >> (i % 8) & 1u
                   : s->allocated == 8  ? p->cells[i]
                   : s->allocated == 16 ? vivo_le16(p->cells + 2 * i)
                                        : vivo_le32(p->cells + 4 * i);
    uint64_t range = UINT64_C(1) << s->stored;
    int64_t v = (int64_t)((raw >> (s->high + 1 - s->stored)) & (range - 1));
    return s->is_signed && v >= (int64_t)(range / 2) ? v - (int64_t)range : v;
}

static uint8_t to_byte(double v)
{
    if (!(v > 0))
        return 0;
    return v >= 255 ? 255 : (uint8_t)lrint(v);
}

/* ---- grey --------------------------------------------------------------------------
 */

static bool has_window(const struct vivo_frame_source *s)
{
    const struct vivo_window *w = &s->window;
    bool exact = w->function[0] && strcmp(w->function, "LINEAR") != 0;
    return w->has_center && w->has_width && (exact ? w->width > 0 : w->width >= 1);
}

static double windowed(const struct vivo_window *w, double x)
{
    if (!strcmp(w->function, "SIGMOID"))
        return 255 / (1 + exp(-4 * (x - w->center) / w->width));
    if (!strcmp(w->function, "LINEAR_EXACT"))
        return ((x - w->center) / w->width + 0.5) * 255;
    /* A width of 1 is a step. */
    if (w->width <= 1)
        return x <= w->center - 0.5 ? 0 : 255;
    return ((x - (w->center - 0.5)) / (w->width - 1) + 0.5) * 255;
}

static double grey(const struct painting *p, uint64_t i)
{
    const struct vivo_frame_source *s = p->src;
    double v = (double)sample(p, i) * s->slope + s->intercept;
    if (p->windowed)
        v = windowed(&s->window, v);
    else
        v = (v - p->lo) / (p->hi - p->lo) * 255;
    v = to_byte(v);
    return s->photometric == VIVO_PHOTOMETRIC_MONOCHROME1 ? 255 - v : v;
}

/* The value below which that part of all lies. */
static double quantile(const uint64_t *bins, uint64_t n, double part)
{
    uint64_t want = (uint64_t)(part * (double)n), seen = 0;
    for (unsigned i = 0; i < BINS; i++) {
        seen += bins[i];
        if (seen > want)
            return i;
    }
    return BINS - 1;
}

static int find_range(struct painting *p, struct vivo_err *err)
{
    const struct vivo_frame_source *s = p->src;
    const uint64_t n = (uint64_t)s->rows * s->columns;
    VIVO_AUTO(vivo_free_p) uint64_t *bins = calloc(BINS, sizeof *bins);
    int64_t min = INT64_MAX, max = INT64_MIN;
    if (!bins)
        return vivo_fail(err, ENOMEM, "no memory for a picture");
    for (uint64_t i = 0; i < n; i++) {
        int64_t v = sample(p, i);
        min = VIVO_MIN(min, v);
        max = VIVO_MAX(max, v);
    }
    double step = max > min ? (double)(max - min) / (BINS - 1) : 1;
    for (uint64_t i = 0; i < n; i++)
        bins[(unsigned)((double)(sample(p, i) - min) / step)]++;
    double lo = quantile(bins, n, 0.01), hi = quantile(bins, n, 0.99);
    if (hi <= lo) { /* nearly all are one value: the others shall be seen, too */
        lo = 0;
        hi = BINS - 1;
    }
    p->lo = ((double)min + lo * step) * s->slope + s->intercept;
    p->hi = ((double)min + hi * step) * s->slope + s->intercept;
    /* A window in which nothing is to be seen is not used. */
    p->windowed = has_window(s) && to_byte(windowed(&s->window, p->lo)) !=
                                       to_byte(windowed(&s->window, p->hi));
    return 0;
}

/* ---- colours -----------------------------------------------------------------------
 */

/* Entries of 8 bits are bytes, or words with a byte in each. */
static uint8_t palette_entry(const struct vivo_palette *l, int64_t v)
{
    int64_t i = v - l->first;
    size_t at = i < 0 ? 0 : i >= (int64_t)l->n ? l->n - 1 : (size_t)i;
    bool bytes = l->bits <= 8 && l->data.len < 2 * (size_t)l->n;
    if (bytes)
        return at < l->data.len ? l->data.data[at] : 0;
    if (2 * at + 2 > l->data.len)
        return 0;
    uint32_t e = vivo_le16(l->data.data + 2 * at);
    return (uint8_t)(l->bits > 8 ? e >> 8 : e);
}

static int check_palette(const struct vivo_frame_source *s, struct vivo_err *err)
{
    for (unsigned c = 0; c < 3; c++) {
        const struct vivo_palette *l = &s->palette[c];
        if (!l->n || l->data.len < l->n || l->bits > 16)
            return vivo_fail(err, EBADMSG, "its palette is not whole");
    }
    return 0;
}

/* PS3.3 C.7.6.3.1.2: YBR_FULL. */
static void from_ybr(double *rgb)
{
    double y = rgb[0], b = rgb[1] - 128, r = rgb[2] - 128;
    rgb[0] = to_byte(y + 1.402 * r);
    rgb[1] = to_byte(y - 0.344136 * b - 0.714136 * r);
    rgb[2] = to_byte(y + 1.772 * b);
}

static void colour(const struct painting *p, uint64_t i, double *rgb)
{
    const struct vivo_frame_source *s = p->src;
    if (s->photometric == VIVO_PHOTOMETRIC_PALETTE) {
        int64_t v = sample(p, i);
        for (unsigned c = 0; c < 3; c++)
            rgb[c] = palette_entry(&s->palette[c], v);
        return;
    }
    if (s->samples == 1) {
        rgb[0] = rgb[1] = rgb[2] = grey(p, i);
        return;
    }
    uint64_t most = (UINT64_C(1) << s->stored) - 1;
    for (unsigned c = 0; c < 3; c++)
        rgb[c] = (double)((uint64_t)sample(p, 3 * i + c) & most) * 255 / (double)most;
    if (s->photometric != VIVO_PHOTOMETRIC_RGB)
        from_ybr(rgb);
}

/* ---- the picture -------------------------------------------------------------------
 */

int vivo_picture_new(uint32_t width, uint32_t height, struct vivo_picture *out)
{
    *out = (struct vivo_picture){width, height, NULL};
    out->rgb = calloc((size_t)width * height, 3);
    return out->rgb ? 0 : -ENOMEM;
}

void vivo_picture_free(struct vivo_picture *p)
{
    free(p->rgb);
    p->rgb = NULL;
}

static uint32_t scaled(uint32_t n, uint32_t longest, uint32_t side)
{
    if (longest <= side)
        return n;
    uint32_t v = (uint32_t)((uint64_t)n * side / longest);
    return v ? v : 1;
}

/* The mean of the pixels that one of the picture stands for. */
static void paint(const struct painting *p, const struct vivo_picture *out, uint32_t x,
                  uint32_t y)
{
    const uint64_t rows = p->src->rows, columns = p->src->columns;
    uint64_t x0 = x * columns / out->width, x1 = (x + 1) * columns / out->width;
    uint64_t y0 = y * rows / out->height, y1 = (y + 1) * rows / out->height;
    double sum[3] = {0}, rgb[3] = {0};
    for (uint64_t j = y0; j < y1; j++)
        for (uint64_t i = x0; i < x1; i++) {
            colour(p, j * columns + i, rgb);
            for (unsigned c = 0; c < 3; c++)
                sum[c] += rgb[c];
        }
    uint8_t *to = out->rgb + 3 * ((size_t)y * out->width + x);
    for (unsigned c = 0; c < 3; c++)
        to[c] = to_byte(sum[c] / (double)((x1 - x0) * (y1 - y0)));
}

static int paint_all(struct painting *p, uint32_t side, struct vivo_picture *out,
                     struct vivo_err *err)
{
    const struct vivo_frame_source *s = p->src;
    uint32_t longest = VIVO_MAX(s->rows, s->columns);
    int rc = 0;
    if (s->photometric == VIVO_PHOTOMETRIC_PALETTE)
        rc = check_palette(s, err);
    else if (s->samples == 1)
        rc = find_range(p, err);
    if (rc)
        return rc;
    if (vivo_picture_new(scaled(s->columns, longest, side),
                         scaled(s->rows, longest, side), out))
        return vivo_fail(err, ENOMEM, "no memory for a picture");
    for (uint32_t y = 0; y < out->height; y++)
        for (uint32_t x = 0; x < out->width; x++)
            paint(p, out, x, y);
    return 0;
}

int vivo_render_picture(struct vivo_reader *object, uint32_t side,
                        struct vivo_picture *out, struct vivo_err *err)
{
    struct vivo_frame_source src = {0};
    struct vivo_fd_reader inflated;
    struct vivo_reader *bytes = object;
    VIVO_AUTO(vivo_free_p) uint8_t *cells = NULL;
    VIVO_AUTO(vivo_close_p) int fd = vivo_file_nameless(NULL, err);
    int rc = fd < 0 ? fd : vivo_frame_find(object, fd, &src, err);
    if (!rc && src.syntax && src.syntax->deflated) {
        vivo_fd_reader_init(&inflated, fd, UINT64_MAX);
        bytes = &inflated.base;
    }
    if (!rc)
        rc = vivo_frame_read(bytes, &src, &cells, err);
    struct painting p = {.src = &src, .cells = cells};
    if (!rc)
        rc = paint_all(&p, side, out, err);
    vivo_frame_source_free(&src);
    return rc;
}
