/* SPDX-License-Identifier: Apache-2.0 */
/* tests/lib/dcm_events.h -- for tests of the walker: builds DICOM bytes by hand,
 * and writes a walk down as text, one line an event, so that walks compare. */
#ifndef VIVO_TEST_DCM_EVENTS_H
#define VIVO_TEST_DCM_EVENTS_H

#include "vivofs/dcm.h"
#include "vivofs/hash.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- bytes, explicit little endian unless said otherwise --------------------- */

struct bytes {
    struct vivo_buf b;
};

static inline void bytes_init(struct bytes *x)
{
    vivo_buf_init(&x->b, (size_t)64 << 20);
}

static inline void put_bytes(struct bytes *x, const void *p, size_t n)
{
    if (vivo_buf_add(&x->b, p, n))
        abort();
}

static inline void put_tag(struct bytes *x, uint32_t tag)
{
    uint8_t p[4];
    vivo_put_le16(p, (uint16_t)(tag >> 16));
    vivo_put_le16(p + 2, (uint16_t)tag);
    put_bytes(x, p, 4);
}

static inline void put_u16(struct bytes *x, uint16_t v)
{
    uint8_t p[2];
    vivo_put_le16(p, v);
    put_bytes(x, p, 2);
}

static inline void put_u32(struct bytes *x, uint32_t v)
{
    uint8_t p[4];
    vivo_put_le32(p, v);
    put_bytes(x, p, 4);
}

/* Header of an element with a 16-bit length. */
static inline void put_short(struct bytes *x, uint32_t tag, const char *vr,
                             uint16_t len)
{
    put_tag(x, tag);
    put_bytes(x, vr, 2);
    put_u16(x, len);
}

/* Header of an element with a 32-bit length. */
static inline void put_long(struct bytes *x, uint32_t tag, const char *vr, uint32_t len)
{
    put_tag(x, tag);
    put_bytes(x, vr, 2);
    put_u16(x, 0);
    put_u32(x, len);
}

static inline void put_text(struct bytes *x, uint32_t tag, const char *vr,
                            const char *text)
{
    put_short(x, tag, vr, (uint16_t)strlen(text));
    put_bytes(x, text, strlen(text));
}

/* Item, delimiter, or implicit element: tag and 32-bit length. */
static inline void put_mark(struct bytes *x, uint32_t tag, uint32_t len)
{
    put_tag(x, tag);
    put_u32(x, len);
}

static inline void put_implicit(struct bytes *x, uint32_t tag, const char *text)
{
    put_mark(x, tag, (uint32_t)strlen(text));
    put_bytes(x, text, strlen(text));
}

#define ITEM 0xFFFEE000u
#define ITEM_DELIMITER 0xFFFEE00Du
#define SEQUENCE_DELIMITER 0xFFFEE0DDu
#define UNDEFINED 0xFFFFFFFFu

/* Preamble, DICM and a meta that names the syntax (a UID of odd length or even). */
static inline void put_meta(struct bytes *x, const char *syntax)
{
    static const uint8_t preamble[128];
    uint16_t len = (uint16_t)(strlen(syntax) + strlen(syntax) % 2);
    put_bytes(x, preamble, 128);
    put_bytes(x, "DICM", 4);
    put_short(x, 0x00020000, "UL", 4);
    put_u32(x, 8u + len);
    put_short(x, 0x00020010, "UI", len);
    put_bytes(x, syntax, strlen(syntax) + 1);
    x->b.len -= strlen(syntax) % 2 ? 0 : 1;
}

/* ---- a walk as text ----------------------------------------------------------- */

static inline const char *event_name(enum vivo_dcm_event event)
{
    static const char *const names[] = {
        "NONE", "META",     "DATASET",      "ELEMENT",   "BULK", "SEQUENCE",
        "ITEM", "ITEM_END", "SEQUENCE_END", "FRAGMENTS", "END"};
    return names[event];
}

static inline int note_event(void *ctx, enum vivo_dcm_event event,
                             const struct vivo_dcm_elem *e,
                             struct vivo_err *err VIVO_UNUSED)
{
    struct vivo_buf *out = ctx;
    uint8_t digest[VIVO_DIGEST_LEN] = {0};

    if (e->value)
        vivo_sha256(e->value, (size_t)e->length, digest);
    return vivo_buf_printf(
        out,
        "%u %s %04x,%04x %s %" PRIu64 " @%" PRIu64 " @%" PRIu64
        " #%u%s%s%s %s %02x%02x%02x%02x\n",
        e->depth, event_name(event), e->tag >> 16, e->tag & 0xFFFF, e->vr, e->length,
        e->offset, e->value_offset, e->item, e->cut ? " cut" : "",
        e->vr_doubt ? " doubt" : "", e->length_undefined ? " undefined" : "",
        e->syntax ? e->syntax->uid : "-", digest[0], digest[1], digest[2], digest[3]);
}

/* Walks bytes pushed in pieces of `piece` (0 = all at once); each piece lies in
 * memory of its own size, so that a sanitizer sees a read outside. Leaps over what
 * the walker does not want. */
static inline int walk_pieces(const void *data, size_t len, size_t piece, int inflated,
                              const struct vivo_syntax *syntax, unsigned flags,
                              vivo_dcm_event_fn *fn, void *ctx, struct vivo_err *err)
{
    struct vivo_dcm_walk *w = NULL;
    int rc = vivo_dcm_walk_new(syntax, flags, 0, inflated, fn, ctx, &w, err);
    size_t at = 0;

    while (rc == 0 && at < len) {
        size_t n = piece && piece < len - at ? piece : len - at;
        uint8_t *own = malloc(n);
        if (!own)
            abort();
        memcpy(own, (const uint8_t *)data + at, n);
        rc = vivo_dcm_walk_push(w, at, own, n, err);
        free(own);
        at += n;
    }
    if (rc == 0)
        rc = vivo_dcm_walk_finish(w, len, err);
    vivo_dcm_walk_free(w);
    return rc;
}

/* The walk as text; on failure its last line is "= errno". Caller frees out. */
static inline int walk_text(const void *data, size_t len, size_t piece,
                            struct vivo_buf *out, struct vivo_err *err)
{
    int rc;

    vivo_buf_init(out, (size_t)64 << 20);
    rc = walk_pieces(data, len, piece, -1, NULL, 0, note_event, out, err);
    if (vivo_buf_printf(out, "= %d\n", rc))
        abort();
    return rc;
}

#endif
