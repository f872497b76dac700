/* SPDX-License-Identifier: Apache-2.0 */
/* src/render/picture_frame.c -- the samples of the middle frame. Native ones are read
 * where they are; compressed ones go through vivofs-pixels, because codecs on bytes
 * that nobody vouches for do not run in this process. */
#include "picture.h"

#include "vivofs/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ITEMS_MAX (1u << 20)

static uint64_t decoded_bytes(const struct vivo_frame_source *s)
{
    uint64_t bits = (uint64_t)s->rows * s->columns * s->samples * s->allocated;
    return (bits + 7) / 8;
}

static int too_large(struct vivo_err *err)
{
    return vivo_fail(err, EBADMSG, "a frame of it is too large to be shown");
}

/* ---- native ------------------------------------------------------------------------
 */

/* Y1 Y2 CB CR for two pixels (PS3.3 C.7.6.3.1.2) become Y CB CR for each. */
static uint8_t *spread_422(const uint8_t *in, uint64_t pixels)
{
    uint8_t *out = malloc((size_t)pixels * 3);
    for (uint64_t i = 0; out && i < pixels; i++) {
        const uint8_t *p = in + i / 2 * 4;
        out[3 * i] = p[i % 2];
        out[3 * i + 1] = p[2];
        out[3 * i + 2] = p[3];
    }
    return out;
}

static uint8_t *interleave(const struct vivo_frame_source *s, const uint8_t *in)
{
    const size_t cell = s->allocated / 8, pixels = (size_t)s->rows * s->columns;
    uint8_t *out = malloc(pixels * 3 * cell);
    for (size_t c = 0; out && c < 3; c++)
        for (size_t i = 0; i < pixels; i++)
            memcpy(out + (i * 3 + c) * cell, in + (c * pixels + i) * cell, cell);
    return out;
}

static void swap_cells(uint8_t *p, uint64_t len, uint32_t cell)
{
    for (uint64_t i = 0; i + cell <= len; i += cell)
        for (uint32_t k = 0; k < cell / 2; k++) {
            uint8_t b = p[i + k];
            p[i + k] = p[i + cell - 1 - k];
            p[i + cell - 1 - k] = b;
        }
}

/* Frames of single bits follow each other without padding (PS3.5 section 8.1.1). */
static int read_bits(struct vivo_reader *r, const struct vivo_frame_source *s,
                     uint8_t **out, struct vivo_err *err)
{
    uint64_t n = (uint64_t)s->rows * s->columns, from = n * (s->frames / 2);
    uint64_t first = from / 8, bytes = (from + n + 7) / 8 - first;
    if (from + n > s->length * 8)
        return vivo_fail(err, EBADMSG, "its pixel data are cut");
    VIVO_AUTO(vivo_free_p) uint8_t *in = malloc((size_t)bytes);
    uint8_t *cells = calloc(1, (size_t)((n + 7) / 8));
    int rc = in && cells ? r->read(r, in, (size_t)bytes, s->at + first, err)
                         : vivo_fail(err, ENOMEM, "no memory for a frame");
    if (rc) {
        free(cells);
        return rc;
    }
    for (uint64_t i = 0; i < n; i++) {
        uint64_t bit = from % 8 + i;
        if (in[bit / 8] >> (bit % 8) & 1)
            cells[i / 8] = (uint8_t)(cells[i / 8] | 1u << (i % 8));
    }
    *out = cells;
    return 0;
}

static int read_native(struct vivo_reader *r, struct vivo_frame_source *s,
                       uint8_t **out, struct vivo_err *err)
{
    bool halves = s->photometric == VIVO_PHOTOMETRIC_YBR_FULL_422;
    uint64_t pixels = (uint64_t)s->rows * s->columns;
    uint64_t len = halves ? (pixels + 1) / 2 * 4 : decoded_bytes(s);
    if (s->allocated == 1)
        return read_bits(r, s, out, err);
    if (halves && s->allocated != 8)
        return vivo_fail(err, EBADMSG, "its pixels are of an unknown kind");
    if (len * (s->frames / 2 + 1) > s->length)
        return vivo_fail(err, EBADMSG, "its pixel data are cut");
    uint8_t *in = malloc((size_t)len), *made = NULL;
    int rc = in ? r->read(r, in, (size_t)len, s->at + len * (s->frames / 2), err)
                : vivo_fail(err, ENOMEM, "no memory for a frame");
    if (!rc && s->syntax && s->syntax->big_endian)
        swap_cells(in, len, s->allocated / 8);
    if (!rc && halves)
        made = spread_422(in, pixels);
    else if (!rc && s->samples == 3 && s->planar)
        made = interleave(s, in);
    else if (!rc)
        made = VIVO_STEAL(in);
    free(in);
    if (!rc && !made)
        rc = vivo_fail(err, ENOMEM, "no memory for a frame");
    if (rc) {
        free(made);
        return rc;
    }
    if (halves)
        s->photometric = VIVO_PHOTOMETRIC_YBR_FULL;
    *out = made;
    return 0;
}

/* ---- compressed --------------------------------------------------------------------
 */

struct items { /* of encapsulated pixel data, the offset table first */
    struct item {
        uint64_t at;
        uint32_t len;
    } * p;
    size_t n, cap;
};

static int add_item(struct items *items, uint64_t at, uint32_t len,
                    struct vivo_err *err)
{
    struct item *p =
        vivo_array_grow(items->p, items->n, &items->cap, sizeof *p, ITEMS_MAX);
    if (!p)
        return vivo_fail(err, items->n >= ITEMS_MAX ? EBADMSG : ENOMEM,
                         "pixels: too many fragments");
    items->p = p;
    items->p[items->n++] = (struct item){at, len};
    return 0;
}

static int find_items(struct vivo_reader *r, const struct vivo_frame_source *s,
                      struct items *items, struct vivo_err *err)
{
    uint64_t at = s->at, end = s->at + s->length;
    uint8_t head[8];
    int rc = 0;
    while (!rc && at + sizeof head <= end) {
        rc = r->read(r, head, sizeof head, at, err);
        if (rc || vivo_le32(head) != 0xE000FFFEu)
            break;
        uint32_t len = vivo_le32(head + 4);
        if (len > end - at - 8)
            return vivo_fail(err, EBADMSG, "its pixel data are cut");
        rc = add_item(items, at + 8, len, err);
        at += 8 + (uint64_t)len;
    }
    if (!rc && items->n < 2)
        return vivo_fail(err, EBADMSG, "it holds no picture");
    return rc;
}

/* The fragments of one frame by the offset table (PS3.5 section A.4). */
static int by_table(struct vivo_reader *r, const struct items *items, uint32_t frame,
                    size_t *first, size_t *end, struct vivo_err *err)
{
    uint64_t entries = items->p[0].len / 4, base = items->p[1].at;
    uint8_t two[8] = {0};
    bool last = frame + 1 == entries;
    if (frame >= entries)
        return vivo_fail(err, EBADMSG, "its frames cannot be told apart");
    int rc = r->read(r, two, last ? 4 : 8, items->p[0].at + 4 * (uint64_t)frame, err);
    uint64_t from = base + vivo_le32(two), to = base + vivo_le32(two + 4);
    *first = *end = 1;
    while (*first < items->n && items->p[*first].at < from)
        ++*first;
    *end = *first;
    while (*end < items->n && (last || items->p[*end].at < to))
        ++*end;
    if (!rc && (*first == *end || items->p[*first].at != from))
        return vivo_fail(err, EBADMSG, "its offset table is wrong");
    return rc;
}

static int choose(struct vivo_reader *r, const struct vivo_frame_source *s,
                  const struct items *items, size_t *first, size_t *end,
                  struct vivo_err *err)
{
    uint32_t frame = s->frames / 2;
    if (s->frames == 1) {
        *first = 1;
        *end = items->n;
        return 0;
    }
    if (items->n - 1 != s->frames)
        return by_table(r, items, frame, first, end, err);
    *first = 1 + frame;
    *end = *first + 1;
    return 0;
}

/* The fragments, one behind the other, in a file without a name: its descriptor. */
static int gather(struct vivo_reader *r, const struct item *p, size_t n, uint64_t *len,
                  struct vivo_err *err)
{
    enum { CHUNK = 1 << 18 };
    VIVO_AUTO(vivo_free_p) uint8_t *chunk = malloc(CHUNK);
    VIVO_AUTO(vivo_close_p) int fd = vivo_file_nameless(NULL, err);
    int rc = fd < 0 ? fd : chunk ? 0 : vivo_fail(err, ENOMEM, "no memory for a frame");
    *len = 0;
    for (size_t i = 0; !rc && i < n; i++)
        for (uint32_t done = 0; !rc && done < p[i].len;) {
            uint32_t some = VIVO_MIN(p[i].len - done, (uint32_t)CHUNK);
            rc = r->read(r, chunk, some, p[i].at + done, err);
            if (!rc)
                rc = vivo_pwrite_full(fd, chunk, some, *len, err);
            done += some;
            *len += some;
            if (*len > FRAME_BYTES_MAX)
                return too_large(err);
        }
    int out = rc ? rc : fd;
    fd = rc ? fd : -1;
    return out;
}

/* What GDCM's codecs give, as in de-identification: JPEG's colours as they are, those
 * of JPEG 2000 transformed back. */
static uint32_t target_of(uint32_t photometric)
{
    if (photometric == VIVO_PHOTOMETRIC_YBR_FULL_422)
        return VIVO_PHOTOMETRIC_YBR_FULL;
    bool transformed = photometric == VIVO_PHOTOMETRIC_YBR_RCT ||
                       photometric == VIVO_PHOTOMETRIC_YBR_ICT;
    return transformed ? VIVO_PHOTOMETRIC_RGB : photometric;
}

static int decode(struct vivo_frame_source *s, int source, uint64_t len, uint8_t *out,
                  struct vivo_err *err)
{
    struct vivo_pixels_job job = {
        .magic = VIVO_PIXELS_MAGIC,
        .frames = 1,
        .rows = s->rows,
        .columns = s->columns,
        .samples = s->samples,
        .allocated = s->allocated,
        .stored = s->stored,
        .is_signed = s->is_signed,
        .planar = s->samples > 1 ? s->planar : 0,
        .photometric = s->photometric,
        .target = target_of(s->photometric),
        .keep = UINT32_MAX,
        .pieces = 1,
    };
    const struct vivo_pixels_piece piece = {0, (uint32_t)len, 0};
    size_t n = strlen(s->syntax->uid);
    if (n >= sizeof job.syntax)
        return vivo_fail(err, EBADMSG, "its transfer syntax is not known");
    memcpy(job.syntax, s->syntax->uid, n);
    VIVO_AUTO(vivo_close_p) int fd = vivo_file_nameless(NULL, err);
    int rc = fd < 0 ? fd : vivo_pixels_run(&job, NULL, &piece, source, fd, err);
    if (!rc)
        rc = vivo_pread_full(fd, out, (size_t)vivo_pixels_frame(&job), 0, err);
    s->photometric = job.target;
    return rc;
}

static int read_compressed(struct vivo_reader *r, struct vivo_frame_source *s,
                           uint8_t **out, struct vivo_err *err)
{
    struct items items = {0};
    size_t first = 0, end = 0;
    uint64_t len = 0;
    if (s->allocated != 8 && s->allocated != 16)
        return vivo_fail(err, EBADMSG, "its pixels are of an unknown kind");
    int rc = find_items(r, s, &items, err);
    if (!rc)
        rc = choose(r, s, &items, &first, &end, err);
    VIVO_AUTO(vivo_close_p)
    int fd = rc ? rc : gather(r, items.p + first, end - first, &len, err);
    free(items.p);
    if (fd < 0)
        return fd;
    *out = malloc((size_t)decoded_bytes(s));
    if (!*out)
        return vivo_fail(err, ENOMEM, "no memory for a frame");
    rc = decode(s, fd, len, *out, err);
    if (rc) {
        free(*out);
        *out = NULL;
    }
    return rc;
}

int vivo_frame_read(struct vivo_reader *bytes, struct vivo_frame_source *src,
                    uint8_t **out, struct vivo_err *err)
{
    *out = NULL;
    if (decoded_bytes(src) > FRAME_BYTES_MAX)
        return too_large(err);
    return src->encapsulated ? read_compressed(bytes, src, out, err)
                             : read_native(bytes, src, out, err);
}
