/* SPDX-License-Identifier: Apache-2.0 */
/* src/dcm/write.c -- the writer: headers and values go into one bounded buffer,
 * bulk values stay ranges of the source; lengths of open sequences and items are
 * patched when they end.
 *
 * Source: PS3.5 sections 6.2, 7.1, 7.5, A.4; PS3.10 section 7.1. */
#include "walk.h"

#include <errno.h>
#include <string.h>

/* PS3.10 section 7.1: identifies the implementation; a UUID-derived UID (PS3.5
 * section B.2) made once for vivofs. */
static const char implementation_uid[] = "2.25.175617557357178366865518747997602145369";
static const char implementation_name[] = "VIVOFS_0_1";

#define USUAL_HEADER 4000

struct piece { /* memory: a span of w->bytes, which may still move */
    uint64_t off, len;
    bool memory;
};

struct open {       /* a sequence or item that has not ended */
    uint64_t start; /* bytes written when its inside began */
    size_t patch;   /* where in w->bytes its length is */
    bool undefined;
};

struct vivo_dcm_writer {
    struct vivo_syntax syntax; /* a copy: the walker's may be gone before us */
    size_t max_bytes;
    struct vivo_buf bytes;
    struct vivo_buf pieces;   /* of struct piece; memory not yet listed follows */
    struct vivo_buf resolved; /* of struct vivo_dcm_piece */
    size_t listed;            /* bytes of w->bytes that are in pieces */
    uint64_t total;           /* bytes written, ranges included */
    unsigned depth;           /* open ones; odd = inside a sequence */
    struct open open[2 * VIVO_DCM_DEPTH_MAX];
};

int vivo_dcm_writer_new(const struct vivo_syntax *syntax, size_t max_bytes,
                        struct vivo_dcm_writer **out, struct vivo_err *err)
{
    struct vivo_dcm_writer *w = malloc(sizeof *w);

    if (!w)
        return vivo_fail(err, ENOMEM, "DICOM writer: out of memory");
    /* What is open is set when it opens. */
    memset(w, 0, offsetof(struct vivo_dcm_writer, open));
    w->syntax = *syntax;
    w->max_bytes = max_bytes;
    vivo_buf_init(&w->bytes, max_bytes);
    (void)vivo_buf_reserve(&w->bytes, USUAL_HEADER); /* else it grows step by step */
    vivo_buf_init(&w->pieces, max_bytes);
    vivo_buf_init(&w->resolved, SIZE_MAX / 4);
    *out = w;
    return 0;
}

void vivo_dcm_writer_free(struct vivo_dcm_writer *w)
{
    if (!w)
        return;
    vivo_buf_free(&w->bytes);
    vivo_buf_free(&w->pieces);
    vivo_buf_free(&w->resolved);
    free(w);
}

/* Ranges cost memory too: together they stay below the maximum. */
static int add(struct vivo_dcm_writer *w, struct vivo_buf *b, const void *data,
               size_t len, struct vivo_err *err)
{
    size_t used = w->bytes.len + w->pieces.len;
    int rc = len > w->max_bytes - used ? -ENOSPC : vivo_buf_add(b, data, len);

    if (rc == -ENOSPC)
        return vivo_fail(err, ENOSPC, "DICOM writer: header above %zu bytes",
                         w->max_bytes);
    return rc ? vivo_fail(err, -rc, "DICOM writer: out of memory") : 0;
}

static int put(struct vivo_dcm_writer *w, const void *data, size_t len,
               struct vivo_err *err)
{
    int rc = add(w, &w->bytes, data, len, err);

    if (rc == 0)
        w->total += len;
    return rc;
}

static int put_range(struct vivo_dcm_writer *w, uint64_t off, uint64_t len,
                     struct vivo_err *err)
{
    struct piece two[2] = {
        {.off = w->listed, .len = w->bytes.len - w->listed, .memory = true},
        {.off = off, .len = len},
    };
    int rc = add(w, &w->pieces, two, sizeof two, err);

    if (rc)
        return rc;
    w->listed = w->bytes.len;
    w->total += len;
    return 0;
}

/* ---- headers ---------------------------------------------------------------- */

static void put16(const struct vivo_syntax *s, uint8_t *p, uint32_t v)
{
    if (s->big_endian)
        vivo_put_be16(p, (uint16_t)v);
    else
        vivo_put_le16(p, (uint16_t)v);
}

static void put32(const struct vivo_syntax *s, uint8_t *p, uint32_t v)
{
    if (s->big_endian)
        vivo_put_be32(p, v);
    else
        vivo_put_le32(p, v);
}

/* Header of an element into p; returns its size, 8 or 12. The length is in its last
 * bytes. */
static size_t make_header(const struct vivo_syntax *s, uint8_t p[12], uint32_t tag,
                          const char vr[2], uint32_t len)
{
    enum vr_form form = vivo_dcm_vr_form(vr);

    put16(s, p, tag >> 16);
    put16(s, p + 2, tag & 0xFFFF);
    if (s->implicit || tag >> 16 == 0xFFFE) {
        put32(s, p + 4, len);
        return 8;
    }
    memcpy(p + 4, vr, 2);
    if (form == VR_SHORT && len < 0xFFFF) {
        put16(s, p + 6, len);
        return 8;
    }
    /* PS3.5 section 6.2.2: what is too long for its VR becomes UN. */
    if (form == VR_SHORT)
        memcpy(p + 4, "UN", 2);
    p[6] = p[7] = 0;
    put32(s, p + 8, len);
    return 12;
}

static int put_header(struct vivo_dcm_writer *w, uint32_t tag, const char vr[2],
                      uint64_t len, struct vivo_err *err)
{
    uint8_t p[12];

    if (w->depth % 2)
        return vivo_fail(err, EINVAL, "(%04x,%04x): an element directly in a sequence",
                         tag >> 16, tag & 0xFFFF);
    if (!w->syntax.implicit && vivo_dcm_vr_form(vr) == VR_NOT)
        return vivo_fail(err, EINVAL, "(%04x,%04x): no value representation", tag >> 16,
                         tag & 0xFFFF);
    if (len > VIVO_DCM_UNDEFINED)
        return vivo_fail(err, EINVAL, "(%04x,%04x): longer than any value can be",
                         tag >> 16, tag & 0xFFFF);
    return put(w, p, make_header(&w->syntax, p, tag, vr, (uint32_t)len), err);
}

int vivo_dcm_write(struct vivo_dcm_writer *w, uint32_t tag, const char vr[2],
                   const void *value, size_t len, struct vivo_err *err)
{
    const uint8_t pad = vivo_dcm_vr_padding(vr);
    uint64_t even = (uint64_t)len + (len & 1);
    int rc;

    if (even >= VIVO_DCM_UNDEFINED)
        even = UINT64_MAX; /* refused below */
    rc = put_header(w, tag, vr, even, err);
    if (rc == 0 && len > 0)
        rc = put(w, value, len, err);
    if (rc == 0 && (len & 1))
        rc = put(w, &pad, 1, err);
    return rc;
}

int vivo_dcm_write_range(struct vivo_dcm_writer *w, uint32_t tag, const char vr[2],
                         uint64_t off, uint64_t len, struct vivo_err *err)
{
    uint64_t even = len >= VIVO_DCM_UNDEFINED ? UINT64_MAX : len + (len & 1);
    int rc =
        put_header(w, tag, vr, even == VIVO_DCM_UNDEFINED ? UINT64_MAX : even, err);

    if (rc == 0 && len > 0)
        rc = put_range(w, off, len, err);
    if (rc == 0 && (len & 1))
        rc = put(w, &(const uint8_t){0}, 1, err);
    return rc;
}

int vivo_dcm_write_fragments(struct vivo_dcm_writer *w, uint32_t tag, const char vr[2],
                             uint64_t off, uint64_t len, struct vivo_err *err)
{
    int rc;

    /* Only a VR with a 32-bit length can be of undefined length. */
    if (!w->syntax.implicit && vivo_dcm_vr_form(vr) == VR_SHORT)
        return vivo_fail(err, EINVAL, "(%04x,%04x): fragments cannot have this VR",
                         tag >> 16, tag & 0xFFFF);
    rc = put_header(w, tag, vr, VIVO_DCM_UNDEFINED, err);
    return rc ? rc : put_range(w, off, len, err);
}

/* ---- sequences -------------------------------------------------------------- */

static void push_open(struct vivo_dcm_writer *w, bool undefined)
{
    w->open[w->depth++] = (struct open){
        .start = w->total,
        .patch = w->bytes.len - 4,
        .undefined = undefined,
    };
}

int vivo_dcm_write_sequence(struct vivo_dcm_writer *w, uint32_t tag,
                            bool undefined_length, struct vivo_err *err)
{
    int rc;

    if (w->depth >= VIVO_ARRAY_LEN(w->open))
        return vivo_fail(err, EINVAL, "(%04x,%04x): sequences nested too deep",
                         tag >> 16, tag & 0xFFFF);
    rc = put_header(w, tag, "SQ", undefined_length ? VIVO_DCM_UNDEFINED : 0, err);
    if (rc == 0)
        push_open(w, undefined_length);
    return rc;
}

/* An item or delimiter: a tag of group FFFE with its length. */
static int put_mark(struct vivo_dcm_writer *w, uint32_t tag, uint32_t len,
                    struct vivo_err *err)
{
    uint8_t p[12];

    return put(w, p, make_header(&w->syntax, p, tag, "UN", len), err);
}

int vivo_dcm_write_item(struct vivo_dcm_writer *w, bool undefined_length,
                        struct vivo_err *err)
{
    int rc;

    if (w->depth % 2 == 0)
        return vivo_fail(err, EINVAL, "DICOM writer: an item outside a sequence");
    rc = put_mark(w, TAG_ITEM, undefined_length ? VIVO_DCM_UNDEFINED : 0, err);
    if (rc == 0)
        push_open(w, undefined_length);
    return rc;
}

static int end_open(struct vivo_dcm_writer *w, uint32_t delimiter, struct vivo_err *err)
{
    const struct open *o = &w->open[w->depth - 1];
    uint64_t len = w->total - o->start;
    int rc = 0;

    if (o->undefined)
        rc = put_mark(w, delimiter, 0, err);
    else if (len >= VIVO_DCM_UNDEFINED)
        rc = vivo_fail(err, EINVAL, "DICOM writer: a sequence above 4 GiB");
    else
        put32(&w->syntax, w->bytes.data + o->patch, (uint32_t)len);
    if (rc == 0)
        w->depth--;
    return rc;
}

int vivo_dcm_write_item_end(struct vivo_dcm_writer *w, struct vivo_err *err)
{
    if (w->depth == 0 || w->depth % 2)
        return vivo_fail(err, EINVAL, "DICOM writer: the end of no item");
    return end_open(w, TAG_ITEM_END, err);
}

int vivo_dcm_write_sequence_end(struct vivo_dcm_writer *w, struct vivo_err *err)
{
    if (w->depth % 2 == 0)
        return vivo_fail(err, EINVAL, "DICOM writer: the end of no sequence");
    return end_open(w, TAG_SEQUENCE_END, err);
}

/* ---- file meta information -------------------------------------------------- */

static int put_meta(struct vivo_dcm_writer *w, uint32_t tag, const char vr[2],
                    const void *value, size_t len, struct vivo_err *err)
{
    const uint8_t pad = vivo_dcm_vr_padding(vr);
    uint8_t p[12];
    size_t even = len + (len & 1);
    int rc;

    if (len > 0xFFF0)
        return vivo_fail(err, EINVAL, "(%04x,%04x): too long", tag >> 16, tag & 0xFFFF);
    rc = put(w, p, make_header(&vivo_dcm_syntax_ele, p, tag, vr, (uint32_t)even), err);
    if (rc == 0)
        rc = put(w, value, len, err);
    if (rc == 0 && (len & 1))
        rc = put(w, &pad, 1, err);
    return rc;
}

int vivo_dcm_write_meta(struct vivo_dcm_writer *w, const char *sop_class,
                        const char *sop_instance, const char *syntax_uid,
                        struct vivo_err *err)
{
    static const uint8_t preamble[132] = {[128] = 'D', 'I', 'C', 'M'};
    static const uint8_t zero[4], version[2] = {0, 1};
    const struct {
        uint32_t tag;
        char vr[3];
        const char *text;
    } row[] = {
        {0x00020002, "UI", sop_class},           {0x00020003, "UI", sop_instance},
        {TAG_TRANSFER_SYNTAX, "UI", syntax_uid}, {0x00020012, "UI", implementation_uid},
        {0x00020013, "SH", implementation_name},
    };
    size_t start;
    int rc;

    if (w->total > 0)
        return vivo_fail(err, EINVAL, "DICOM writer: the meta comes first");
    rc = put(w, preamble, sizeof preamble, err);
    if (rc == 0)
        rc = put_meta(w, 0x00020000, "UL", zero, sizeof zero, err);
    start = w->bytes.len;
    if (rc == 0)
        rc = put_meta(w, 0x00020001, "OB", version, sizeof version, err);
    for (size_t i = 0; i < VIVO_ARRAY_LEN(row) && rc == 0; i++)
        rc = put_meta(w, row[i].tag, row[i].vr, row[i].text, strlen(row[i].text), err);
    if (rc == 0)
        vivo_put_le32(w->bytes.data + start - 4, (uint32_t)(w->bytes.len - start));
    return rc;
}

/* ---- the result ------------------------------------------------------------- */

static int resolve(struct vivo_dcm_writer *w)
{
    const struct piece last = {
        .off = w->listed, .len = w->bytes.len - w->listed, .memory = true};
    size_t n = w->pieces.len / sizeof(struct piece);
    int rc = 0;

    vivo_buf_clear(&w->resolved);
    for (size_t i = 0; i <= n && rc == 0; i++) {
        struct piece p = last;
        if (i < n)
            memcpy(&p, w->pieces.data + i * sizeof p, sizeof p);
        if (p.len == 0)
            continue;
        struct vivo_dcm_piece out = {.off = p.off, .len = p.len};
        if (p.memory)
            out = (struct vivo_dcm_piece){.data = w->bytes.data + p.off, .len = p.len};
        rc = vivo_buf_add(&w->resolved, &out, sizeof out);
    }
    return rc;
}

const struct vivo_dcm_piece *vivo_dcm_writer_pieces(struct vivo_dcm_writer *w,
                                                    size_t *n)
{
    *n = 0;
    if (w->depth > 0 || resolve(w))
        return NULL;
    *n = w->resolved.len / sizeof(struct vivo_dcm_piece);
    return (const void *)w->resolved.data;
}

uint64_t vivo_dcm_writer_size(const struct vivo_dcm_writer *w)
{
    return w->total;
}
