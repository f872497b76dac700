/* SPDX-License-Identifier: Apache-2.0 */
/* src/dcm/walk_data.c -- the walker in the data set: elements, sequences, items,
 * delimiters, encapsulated pixel data. No recursion: open sequences and items
 * stand on w->frame[], and every length is checked against the nearest enclosing
 * end before it is believed.
 *
 * Source: PS3.5 sections 7.1 (elements), 7.5 (sequences), A.4 (fragments),
 * 6.2.2 (UN), and CP-246. */
#include "walk.h"

#include <errno.h>
#include <string.h>

static struct walk_frame *top_of(struct vivo_dcm_walk *w)
{
    return &w->frame[w->frames - 1];
}

/* Index 1, 3, … are sequences, 0, 2, … what holds elements. */
static bool in_sequence(const struct vivo_dcm_walk *w)
{
    return w->frames % 2 == 0;
}

static int fail_at(const struct vivo_dcm_walk *w, uint32_t tag, struct vivo_err *err,
                   const char *fault)
{
    return vivo_fail(err, EBADMSG, "(%04x,%04x) at offset %" PRIu64 ": %s", tag >> 16,
                     tag & 0xFFFF, w->pos, fault);
}

static uint32_t tag_at(const uint8_t *p, bool big)
{
    return big ? (uint32_t)vivo_be16(p) << 16 | vivo_be16(p + 2)
               : (uint32_t)vivo_le16(p) << 16 | vivo_le16(p + 2);
}

static uint32_t u32_at(const uint8_t *p, bool big)
{
    return big ? vivo_be32(p) : vivo_le32(p);
}

int vivo_dcm_walk_emit(struct vivo_dcm_walk *w, enum vivo_dcm_event event,
                       const struct vivo_dcm_elem *e, struct vivo_err *err)
{
    int rc;

    if (w->muted)
        return 0;
    rc = w->fn(w->ctx, event, e, err);
    if (rc <= 0 || rc == VIVO_DCM_SKIP)
        return rc;
    w->state = WALK_STOPPED;
    return VIVO_DCM_STOP;
}

/* ---- frames ----------------------------------------------------------------- */

/* Opens e (a SEQUENCE or an ITEM whose header was read); w->pos is at its inside. */
static void open_frame(struct vivo_dcm_walk *w, const struct vivo_dcm_elem *e,
                       uint32_t number, const struct vivo_syntax *syntax)
{
    uint64_t limit = top_of(w)->limit;
    struct walk_frame *f = &w->frame[w->frames++];

    *f = (struct walk_frame){
        .offset = e->offset,
        .value = e->value_offset,
        .end = e->length_undefined ? UINT64_MAX : e->value_offset + e->length,
        .syntax = syntax,
        .tag = e->tag,
        .number = number,
        .fresh = e->tag == TAG_ITEM,
    };
    f->limit = e->length_undefined ? limit : f->end;
    memcpy(f->vr, e->vr, sizeof f->vr);
}

/* The top frame ends; `end` = the offset of its delimiter, or w->pos. */
static int close_frame(struct vivo_dcm_walk *w, uint64_t end, struct vivo_err *err)
{
    const struct walk_frame *f = top_of(w);
    bool item = !in_sequence(w);
    unsigned index = --w->frames;
    struct vivo_dcm_elem e = {
        .tag = f->tag,
        .vr = {f->vr[0], f->vr[1]},
        .depth = (uint8_t)(index / 2),
        .length_undefined = f->end == UINT64_MAX,
        .item = item ? f->number : 0,
        .length = end - f->value,
        .offset = f->offset,
        .value_offset = f->value,
        .syntax = f->syntax,
    };
    int rc;

    if (w->muted == index + 1) {
        w->muted = 0;
        return 0;
    }
    rc = vivo_dcm_walk_emit(w, item ? VIVO_DCM_ITEM_END : VIVO_DCM_SEQUENCE_END, &e,
                            err);
    return rc == VIVO_DCM_SKIP ? 0 : rc;
}

/* Closes what ends here by its length. */
static int close_due(struct vivo_dcm_walk *w, struct vivo_err *err)
{
    int rc = 0;

    while (rc == 0 && w->frames > 1 && top_of(w)->end == w->pos)
        rc = close_frame(w, w->pos, err);
    return rc;
}

/* Reports a sequence or item whose header ends at w->pos, and goes inside; or
 * past it when the callee does not want it. */
static int enter(struct vivo_dcm_walk *w, enum vivo_dcm_event event,
                 const struct vivo_dcm_elem *e, const struct vivo_syntax *inside,
                 struct vivo_err *err)
{
    int rc = vivo_dcm_walk_emit(w, event, e, err);

    if (rc && rc != VIVO_DCM_SKIP)
        return rc;
    if ((rc == VIVO_DCM_SKIP || w->muted) && !e->length_undefined) {
        w->pos += e->length;
        return close_due(w, err);
    }
    open_frame(w, e, e->item, inside);
    if (rc == VIVO_DCM_SKIP)
        w->muted = w->frames;
    return close_due(w, err);
}

/* ---- headers ---------------------------------------------------------------- */

struct header {
    struct vivo_dcm_elem e;
    uint32_t length; /* as in the stream */
    unsigned size;   /* bytes of the header */
};

/* Does the stream's VR contradict the standard's? */
static bool doubt(uint32_t tag, const char vr[2])
{
    const struct vivo_dict *d;

    if (tag >> 16 & 1)
        return false;
    d = vivo_dcm_dict(tag);
    if (!d || memcmp(d->vr, vr, 2) == 0)
        return false;
    /* "US or SS", "OB or OW", "US or OW" …: the choice depends on other elements. */
    return !d->either || !strstr("US SS OB OW", (const char[]){vr[0], vr[1], 0});
}

static int explicit_header(struct vivo_dcm_walk *w, const uint8_t *p, size_t n,
                           bool big, struct header *h, struct vivo_err *err)
{
    struct vivo_dcm_elem *e = &h->e;
    enum vr_form form;

    e->vr[0] = (char)p[4];
    e->vr[1] = (char)p[5];
    form = vivo_dcm_vr_form(e->vr);
    if (form == VR_NOT)
        return fail_at(w, e->tag, err, "no value representation where one must be");
    e->vr_doubt = form == VR_UNKNOWN || doubt(e->tag, e->vr);
    if (form == VR_SHORT) {
        h->size = 8;
        h->length = big ? vivo_be16(p + 6) : vivo_le16(p + 6);
        return 0;
    }
    /* PS3.5 section 7.1.2: VRs to come have the long form, whose two reserved
     * bytes are zero; else this may be anything and is not guessed at. */
    if (form == VR_UNKNOWN && (p[6] || p[7]))
        return fail_at(w, e->tag, err, "unknown value representation");
    if (n < 12)
        return walk_more(w, 12);
    h->size = 12;
    h->length = u32_at(p + 8, big);
    return 0;
}

static int read_header(struct vivo_dcm_walk *w, const uint8_t *p, size_t n,
                       struct header *h, struct vivo_err *err)
{
    struct walk_frame *f = top_of(w);
    bool big = f->syntax->big_endian;
    struct vivo_dcm_elem *e = &h->e;

    e->tag = tag_at(p, big);
    if (e->tag >> 16 == 0xFFFE) {
        h->size = 8;
        h->length = u32_at(p + 4, big);
        return 0;
    }
    if (f->fresh) {
        const char vr[2] = {(char)p[4], (char)p[5]};
        /* CP-246: items that are implicit inside an explicit data set; and the
         * other way round: UN holding explicit items, if the dictionary agrees. */
        if (!f->syntax->implicit && vivo_dcm_vr_form(vr) == VR_NOT)
            f->syntax = &vivo_dcm_syntax_ile;
        else if (f->syntax->implicit && !w->syntax->implicit)
            f->syntax = vivo_dcm_settle(f->syntax, p, n);
        f->fresh = false;
        big = f->syntax->big_endian;
        e->tag = tag_at(p, big);
    }
    e->syntax = f->syntax;
    if (!f->syntax->implicit)
        return explicit_header(w, p, n, big, h, err);
    memcpy(e->vr, vivo_dcm_vr_of(e->tag), 2);
    h->size = 8;
    h->length = vivo_le32(p + 4);
    return 0;
}

/* ---- items and delimiters --------------------------------------------------- */

static int open_item(struct vivo_dcm_walk *w, struct header *h, struct vivo_err *err)
{
    struct walk_frame *f = top_of(w);
    struct vivo_dcm_elem *e = &h->e;

    e->item = f->number++;
    w->pos += 8;
    return enter(w, VIVO_DCM_ITEM, e, f->syntax, err);
}

/* A tag of group FFFE: it opens or closes, or has no business here. */
static int structure(struct vivo_dcm_walk *w, struct header *h, struct vivo_err *err)
{
    struct walk_frame *f = top_of(w);
    struct vivo_dcm_elem *e = &h->e;
    uint64_t at = w->pos;

    e->syntax = f->syntax;
    e->value_offset = at + 8;
    e->length_undefined = h->length == VIVO_DCM_UNDEFINED;
    e->length = e->length_undefined ? 0 : h->length;
    if (e->tag == TAG_ITEM && in_sequence(w)) {
        if (e->length > f->limit - at - 8)
            return fail_at(w, e->tag, err, "item longer than what it is in");
        return open_item(w, h, err);
    }
    if ((e->tag == TAG_ITEM_END && !in_sequence(w) && w->frames > 1 &&
         f->end == UINT64_MAX) ||
        (e->tag == TAG_SEQUENCE_END && in_sequence(w) && f->end == UINT64_MAX)) {
        int rc;
        w->pos += 8;
        rc = close_frame(w, at, err);
        return rc ? rc : close_due(w, err);
    }
    return fail_at(w, e->tag, err, "item or delimiter out of place");
}

/* ---- elements --------------------------------------------------------------- */

static bool is_vr(const struct vivo_dcm_elem *e, const char vr[2])
{
    return e->vr[0] == vr[0] && e->vr[1] == vr[1];
}

static int open_sequence(struct vivo_dcm_walk *w, struct header *h,
                         struct vivo_err *err)
{
    struct vivo_dcm_elem *e = &h->e;
    /* PS3.5 section 6.2.2: what UN holds is implicit little endian. */
    const struct vivo_syntax *inside =
        is_vr(e, "UN") ? &vivo_dcm_syntax_ile : e->syntax;

    if (e->depth >= VIVO_DCM_DEPTH_MAX)
        return fail_at(w, e->tag, err, "depth of nested sequences is above the limit");
    w->pos += h->size;
    return enter(w, VIVO_DCM_SEQUENCE, e, inside, err);
}

static int open_fragments(struct vivo_dcm_walk *w, const struct header *h)
{
    w->pending = h->e;
    w->pos += h->size;
    w->state = WALK_FRAGMENTS;
    return 0;
}

static int skip_bulk(struct vivo_dcm_walk *w, const struct header *h)
{
    w->pending = h->e;
    w->pos += (uint64_t)h->size + h->length;
    w->state = WALK_BULK;
    return 0;
}

/* An element of defined length that is no sequence. */
static int value(struct vivo_dcm_walk *w, const uint8_t *p, size_t n, struct header *h,
                 struct vivo_err *err)
{
    size_t whole = (size_t)h->size + h->length;
    int rc;

    if (w->muted || walk_is_pixels(h->e.tag) || h->length > w->value_max)
        return skip_bulk(w, h);
    if (n < whole && w->eof)
        return fail_at(w, h->e.tag, err, "the stream ends inside its value");
    if (n < whole)
        return walk_more(w, whole);
    h->e.value = p + h->size;
    rc = vivo_dcm_walk_emit(w, VIVO_DCM_ELEMENT, &h->e, err);
    w->pos += whole;
    if (rc && rc != VIVO_DCM_SKIP)
        return rc;
    return close_due(w, err);
}

static int element(struct vivo_dcm_walk *w, const uint8_t *p, size_t n,
                   struct header *h, struct vivo_err *err)
{
    struct vivo_dcm_elem *e = &h->e;
    uint64_t room = top_of(w)->limit - w->pos;

    e->depth = (uint8_t)(w->frames / 2);
    e->value_offset = w->pos + h->size;
    e->length_undefined = h->length == VIVO_DCM_UNDEFINED;
    e->length = e->length_undefined ? 0 : h->length;
    if (room < h->size || e->length > room - h->size)
        return fail_at(w, e->tag, err, "longer than what it is in");
    if (!e->length_undefined) {
        if (is_vr(e, "SQ") && !walk_is_pixels(e->tag))
            return open_sequence(w, h, err);
        return value(w, p, n, h, err);
    }
    if (e->tag == TAG_PIXELS)
        return open_fragments(w, h);
    if (is_vr(e, "SQ") || is_vr(e, "UN"))
        return open_sequence(w, h, err);
    return fail_at(w, e->tag, err, "undefined length, but neither sequence nor pixels");
}

/* The stream has ended with less than a header at w->pos. */
static int rest(struct vivo_dcm_walk *w, const uint8_t *p, size_t n,
                struct vivo_err *err)
{
    if (w->frames > 1)
        return vivo_fail(err, EBADMSG,
                         "offset %" PRIu64 ": the stream ends inside a sequence",
                         w->pos);
    for (size_t i = 0; i < n; i++)
        if (p[i])
            return vivo_fail(err, EBADMSG,
                             "offset %" PRIu64 ": the stream ends inside an element",
                             w->pos);
    return vivo_dcm_walk_end(w, err);
}

int vivo_dcm_walk_data(struct vivo_dcm_walk *w, const uint8_t *p, size_t n,
                       struct vivo_err *err)
{
    static const uint8_t zeros[8];
    struct header h;
    int rc;

    if (n < 8)
        return w->eof ? rest(w, p, n, err) : walk_more(w, 8);
    if (top_of(w)->limit - w->pos < 8)
        return fail_at(w, top_of(w)->tag, err, "ends inside an element's header");
    if (w->frames == 1 && memcmp(p, zeros, 8) == 0) {
        w->state = WALK_PADDING;
        w->pending.offset = w->pos;
        return 0;
    }
    memset(&h, 0, sizeof h);
    h.e.offset = w->pos;
    rc = read_header(w, p, n, &h, err);
    if (rc == STEP_MORE && w->eof)
        return fail_at(w, h.e.tag, err, "the stream ends inside its header");
    if (rc)
        return rc;
    if (h.e.tag >> 16 == 0xFFFE) {
        h.e.depth = (uint8_t)(w->frames / 2);
        return structure(w, &h, err);
    }
    if (in_sequence(w))
        return fail_at(w, h.e.tag, err, "not an item, in a sequence");
    return element(w, p, n, &h, err);
}

/* ---- what comes at the end of something ------------------------------------- */

int vivo_dcm_walk_fragments(struct vivo_dcm_walk *w, const uint8_t *p, size_t n,
                            struct vivo_err *err)
{
    bool big = top_of(w)->syntax->big_endian;
    uint64_t room = top_of(w)->limit - w->pos;
    uint32_t tag, length;

    if (n < 8)
        return walk_more(w, 8);
    tag = tag_at(p, big);
    length = u32_at(p + 4, big);
    if (room < 8)
        return fail_at(w, tag, err, "pixel data longer than what it is in");
    if (tag == TAG_SEQUENCE_END) {
        w->pos += 8;
        return vivo_dcm_walk_pending(w, err);
    }
    /* PS3.5 section A.4: fragments are items of explicit length, nothing else. */
    if (tag != TAG_ITEM || length == VIVO_DCM_UNDEFINED || length > room - 8)
        return fail_at(w, tag, err, "not a fragment, in encapsulated pixel data");
    w->pos += 8 + (uint64_t)length;
    return 0;
}

int vivo_dcm_walk_pending(struct vivo_dcm_walk *w, struct vivo_err *err)
{
    struct vivo_dcm_elem *e = &w->pending;
    bool fragments = w->state == WALK_FRAGMENTS;
    int rc;

    w->state = WALK_DATA;
    if (fragments)
        e->length = w->pos - e->value_offset;
    rc = vivo_dcm_walk_emit(w, fragments ? VIVO_DCM_FRAGMENTS : VIVO_DCM_BULK, e, err);
    if (rc && rc != VIVO_DCM_SKIP)
        return rc;
    return close_due(w, err);
}

int vivo_dcm_walk_end(struct vivo_dcm_walk *w, struct vivo_err *err)
{
    struct vivo_dcm_elem e = {.offset = w->pos, .syntax = w->syntax};
    int rc;

    if (w->state == WALK_PADDING)
        e.offset = w->pending.offset;
    w->state = WALK_ENDED;
    rc = vivo_dcm_walk_emit(w, VIVO_DCM_END, &e, err);
    return rc == VIVO_DCM_SKIP ? 0 : rc;
}

int vivo_dcm_walk_padding(struct vivo_dcm_walk *w, const uint8_t *p, size_t n,
                          struct vivo_err *err)
{
    if (n == 0)
        return w->eof ? vivo_dcm_walk_end(w, err) : walk_more(w, 1);
    for (size_t i = 0; i < n; i++)
        if (p[i])
            return vivo_fail(err, EBADMSG,
                             "offset %" PRIu64 ": something follows the data set",
                             w->pos + i);
    w->pos += n;
    return 0;
}
