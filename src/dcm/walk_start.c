/* SPDX-License-Identifier: Apache-2.0 */
/* src/dcm/walk_start.c -- the walker up to the first element of the data set:
 * preamble, file meta information, and which syntax the bytes are in.
 *
 * Source: PS3.10 section 7.1. Files of the field leave out the preamble, the meta,
 * its group length or its transfer syntax, or lie about the last two. */
#include "walk.h"

#include <errno.h>
#include <string.h>

enum { PREAMBLE = 128, MAGIC = 4 };

static int keep_head(struct vivo_dcm_walk *w, const uint8_t *p, size_t n,
                     struct vivo_err *err)
{
    int rc;

    if (w->inflated < 0)
        return 0;
    rc = vivo_buf_add(&w->head, p, n);
    if (rc == -ENOSPC)
        return vivo_fail(err, EBADMSG, "file meta information is longer than %zu bytes",
                         w->head.max);
    return rc ? vivo_fail(err, -rc, "file meta information: out of memory") : 0;
}

/* Is this an element of group 0002? It is little endian in every file. */
static bool is_meta(const uint8_t *p, size_t n)
{
    return n >= 8 && vivo_le16(p) == 0x0002;
}

static void leave_meta(struct vivo_dcm_walk *w)
{
    w->state = w->declared && w->declared->deflated ? WALK_DEFLATED : WALK_SETTLE;
}

int vivo_dcm_walk_start(struct vivo_dcm_walk *w, const uint8_t *p, size_t n,
                        struct vivo_err *err)
{
    size_t skip = 0;

    if (w->flags & VIVO_DCM_WALK_BARE) {
        leave_meta(w);
        return 0;
    }
    if (n < PREAMBLE + MAGIC && !w->eof)
        return walk_more(w, PREAMBLE + MAGIC);
    if (n >= PREAMBLE + MAGIC && memcmp(p + PREAMBLE, "DICM", MAGIC) == 0)
        skip = PREAMBLE + MAGIC;
    else if (n >= MAGIC && memcmp(p, "DICM", MAGIC) == 0)
        skip = MAGIC;
    if (skip == 0 && !is_meta(p, n)) {
        if (n < 8)
            return vivo_fail(err, EBADMSG, "not DICOM: %zu bytes in all", n);
        leave_meta(w);
        return 0;
    }
    w->meta_seen = true;
    w->state = WALK_META;
    w->pos += skip;
    return keep_head(w, p, skip, err);
}

/* Header of a meta element at p (n >= 8 bytes). Sets e and the header's size, or
 * asks for more. Some old writers made the meta implicit. */
static int meta_header(struct vivo_dcm_walk *w, const uint8_t *p, size_t n,
                       struct vivo_dcm_elem *e, size_t *size)
{
    enum vr_form form = vivo_dcm_vr_form((const char[]){(char)p[4], (char)p[5]});

    e->tag = (uint32_t)vivo_le16(p) << 16 | vivo_le16(p + 2);
    *size = 8;
    if (form == VR_NOT) {
        memcpy(e->vr, vivo_dcm_vr_of(e->tag), 2);
        e->length = vivo_le32(p + 4);
        e->vr_doubt = true;
        return 0;
    }
    e->vr[0] = (char)p[4];
    e->vr[1] = (char)p[5];
    e->vr_doubt = form == VR_UNKNOWN;
    e->length = vivo_le16(p + 6);
    if (form == VR_SHORT)
        return 0;
    *size = 12;
    if (n < 12)
        return walk_more(w, 12);
    e->length = vivo_le32(p + 8);
    return 0;
}

static void learn_meta(struct vivo_dcm_walk *w, const struct vivo_dcm_elem *e)
{
    if (e->tag == 0x00020000 && e->length == 4)
        w->meta_end = e->value_offset + 4 + vivo_le32(e->value);
    if (e->tag == TAG_TRANSFER_SYNTAX) {
        const struct vivo_syntax *s =
            vivo_dcm_syntax((const char *)e->value, (size_t)e->length);
        if (s)
            w->declared = s;
    }
}

int vivo_dcm_walk_meta(struct vivo_dcm_walk *w, const uint8_t *p, size_t n,
                       struct vivo_err *err)
{
    struct vivo_dcm_elem e = {.offset = w->pos, .syntax = &vivo_dcm_syntax_ele};
    bool deflated = w->declared && w->declared->deflated;
    size_t size, need;
    int rc;

    /* Compressed bytes may look like anything, so here the length counts. */
    if (deflated && w->pos == w->meta_end) {
        leave_meta(w);
        return 0;
    }
    if (n < 8 && !w->eof)
        return walk_more(w, 8);
    if (!is_meta(p, n)) {
        leave_meta(w);
        return 0;
    }
    rc = meta_header(w, p, n, &e, &size);
    if (rc == 0 && e.length > VIVO_DCM_VALUE_MAX)
        return vivo_fail(err, EBADMSG,
                         "(%04x,%04x) at offset %" PRIu64
                         ": longer than file meta information can be",
                         e.tag >> 16, e.tag & 0xFFFF, w->pos);
    need = rc ? w->need : size + (size_t)e.length;
    if (n < need && w->eof)
        return vivo_fail(err, EBADMSG,
                         "(%04x,%04x) at offset %" PRIu64 ": the file ends inside it",
                         e.tag >> 16, e.tag & 0xFFFF, w->pos);
    if (n < need)
        return walk_more(w, need);
    e.value = p + size;
    e.value_offset = w->pos + size;
    learn_meta(w, &e);
    rc = keep_head(w, p, need, err);
    if (rc == 0)
        rc = vivo_dcm_walk_emit(w, VIVO_DCM_META, &e, err);
    w->pos += need;
    return rc == VIVO_DCM_SKIP ? 0 : rc;
}

/* What was declared, in the form that was found. The constants stand for the
 * native syntaxes; what is deflated or encapsulated keeps its own UID. */
static const struct vivo_syntax *merge(struct vivo_dcm_walk *w,
                                       const struct vivo_syntax *found)
{
    const struct vivo_syntax *d = w->declared;

    if (!d || (!d->deflated && !d->encapsulated))
        return found;
    if (found == d)
        return d;
    w->actual = *d;
    w->actual.implicit = found->implicit;
    w->actual.big_endian = found->big_endian;
    return &w->actual;
}

int vivo_dcm_walk_settle(struct vivo_dcm_walk *w, const uint8_t *p, size_t n,
                         struct vivo_err *err)
{
    struct vivo_dcm_elem e = {.offset = w->pos};
    const struct vivo_syntax *found;
    int rc;

    if (n < 8 && !w->eof)
        return walk_more(w, 8);
    if (n < 8 && !w->declared)
        return vivo_fail(err, EBADMSG, "not DICOM: it ends before any data element");
    found = vivo_dcm_settle(w->declared, p, n);
    if (!found) {
        /* Without any meta the first element must be convincing; after one, or
         * told that this is a data set, PS3.5 section 10.1 names the default. */
        if (!w->meta_seen && !(w->flags & VIVO_DCM_WALK_BARE))
            return vivo_fail(err, EBADMSG,
                             "not DICOM: neither preamble nor a known first element");
        found = vivo_dcm_vr_form((const char[]){(char)p[4], (char)p[5]}) == VR_NOT
                    ? &vivo_dcm_syntax_ile
                    : &vivo_dcm_syntax_ele;
    }
    w->syntax = merge(w, found);
    w->frame[0].syntax = w->syntax;
    w->state = WALK_DATA;
    e.syntax = w->syntax;
    rc = vivo_dcm_walk_emit(w, VIVO_DCM_DATASET, &e, err);
    return rc == VIVO_DCM_SKIP ? 0 : rc;
}
