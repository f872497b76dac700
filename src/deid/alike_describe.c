/* SPDX-License-Identifier: Apache-2.0 */
/* src/deid/alike_describe.c -- what is shown of an object that is like a model.
 *
 * What it has otherwise is cleaned by the same capture and rewrite as a whole header,
 * and stands in for the model's. Attributes and sizes alone are made like this; the
 * bytes that somebody reads never are. Builds with assertions make each description
 * both ways (object.c). */
#include "alike.h"

#include <errno.h>
#include <string.h>

/* ---- being like it ----------------------------------------------------------------
 */

struct change { /* a part that the source has otherwise */
    struct vivo_part *part;
    const uint8_t *bytes; /* with its header */
    uint32_t len;
};

struct changes {
    size_t n;
    struct change c[VIVO_ALIKE_CHANGES_MAX];
    const uint8_t *pixels; /* their first bytes */
};

/* Bytes of the element at b, which begins as the model's part does; 0 = it does not. */
static uint32_t like_part(const struct vivo_model *m, const struct vivo_part *p,
                          const uint8_t *b, size_t room)
{
    bool implicit = m->syntax.implicit && p->tag >> 16 != 0x0002;
    size_t same = implicit ? 4 : p->head == 12 ? 8 : 6;
    if (room < p->head || memcmp(b, m->lead + p->at, same))
        return 0;
    uint32_t n = implicit        ? vivo_le32(b + 4)
                 : p->head == 12 ? vivo_le32(b + 8)
                                 : vivo_le16(b + 6);
    return n <= room - p->head ? n + p->head : 0;
}

static bool compare(const struct vivo_deid *d, struct vivo_model *m,
                    const uint8_t *lead, size_t len, uint64_t size, struct changes *out)
{
    size_t at = VIVO_ALIKE_PREAMBLE;
    uint32_t elements = m->n - m->pixels;
    out->n = 0;
    for (uint32_t i = 0; i < elements; i++) {
        struct vivo_part *p = &m->parts[i];
        if (p->len <= len - at && !memcmp(lead + at, m->lead + p->at, p->len)) {
            at += p->len;
            continue;
        }
        uint32_t n = like_part(m, p, lead + at, len - at);
        if (!n || out->n == VIVO_ALIKE_CHANGES_MAX || !vivo_alike_alone(m, p, d))
            return false;
        out->c[out->n++] = (struct change){p, lead + at, n};
        at += n;
    }
    out->pixels = NULL;
    if (!m->pixels)
        return at == size;
    const struct vivo_part *p = &m->parts[elements];
    out->pixels = lead + at + p->head;
    return len - at >= p->head + (size_t)VIVO_ALIKE_BULK_SHOWN &&
           !memcmp(lead + at, m->lead + p->at, p->head) && size - at == p->len;
}

/* ---- cleaning what differs ----------------------------------------------------------
 */

struct cleaning {
    struct vivo_header h;
    struct vivo_rewrite r;
    const uint8_t *bytes; /* the result, without file meta information */
    size_t len;
};

static void end_cleaning(struct cleaning *c)
{
    vivo_dcm_writer_free(c->r.w);
    vivo_buf_free(&c->r.scratch);
    vivo_header_free(&c->h);
}

static int capture_part(struct vivo_model *m, struct cleaning *c,
                        const struct change *change, struct vivo_err *err)
{
    const struct vivo_part *p = change->part;
    bool meta = p->tag >> 16 == 0x0002;
    const struct vivo_dcm_elem e = {
        .tag = p->tag,
        .vr = {vivo_alike_vr(m, p)[0], vivo_alike_vr(m, p)[1]},
        .value = change->bytes + p->head,
        .length = change->len - p->head,
        .value_offset = p->head,
        .syntax = &m->syntax,
    };
    return vivo_header_event(&c->h, meta ? VIVO_DCM_META : VIVO_DCM_ELEMENT, &e, err);
}

/* Parts on their own, by capture and rewrite. Ended by the caller, whatever comes. */
static int clean_parts(const struct vivo_deid *d, struct vivo_model *m,
                       const struct change *changes, size_t n, struct cleaning *c,
                       struct vivo_err *err)
{
    size_t pieces = 0;
    int rc = 0;
    vivo_header_init(&c->h, d);
    c->r = (struct vivo_rewrite){.d = d, .h = &c->h};
    c->bytes = NULL;
    c->len = 0;
    vivo_buf_init(&c->r.scratch, VIVO_ALIKE_ATTRS_KEPT);
    memcpy(c->r.sop_class, m->sop_class, sizeof m->sop_class);
    for (size_t i = 0; i < n && !rc; i++)
        rc = capture_part(m, c, &changes[i], err);
    vivo_header_order(&c->h);
    if (!rc)
        rc = vivo_dcm_writer_new(&m->out, VIVO_ALIKE_ATTRS_KEPT, &c->r.w, err);
    if (!rc)
        rc = vivo_rewrite_set(&c->r, err);
    if (rc)
        return rc;
    c->len = (size_t)vivo_dcm_writer_size(c->r.w);
    const struct vivo_dcm_piece *p = vivo_dcm_writer_pieces(c->r.w, &pieces);
    if (c->len && (!p || pieces != 1 || !p->data || p->len != c->len))
        return vivo_fail(err, EIO, "values on their own are no values");
    c->bytes = c->len ? p->data : NULL;
    return 0;
}

/* Bytes in the result that the model's own part has become. */
static int part_out(const struct vivo_deid *d, struct vivo_model *m,
                    struct vivo_part *p, struct vivo_err *err)
{
    struct cleaning c;
    const struct change own = {p, m->lead + p->at, p->len};
    if (p->out != VIVO_ALIKE_OUT_UNKNOWN)
        return 0;
    int rc = clean_parts(d, m, &own, 1, &c, err);
    if (!rc)
        p->out = (uint32_t)c.len;
    end_cleaning(&c);
    return rc;
}

/* ---- putting it together ----------------------------------------------------------
 */

/* The bytes of the next element of `made`, if that is its tag. */
static struct vivo_attrs take(struct vivo_attrs *made, uint32_t tag)
{
    struct vivo_attrs rest = *made;
    struct vivo_attrs none = {NULL, 0};
    struct vivo_attr a;
    if (!vivo_attrs_next(&rest, &a) || a.tag != tag)
        return none;
    struct vivo_attrs taken = {made->data, made->len - rest.len};
    *made = rest;
    return taken;
}

/* The model's attributes, with those of the changed parts instead. */
static int merge(const struct vivo_model *m, const struct changes *changes,
                 struct vivo_attrs made, struct vivo_buf *out)
{
    const struct vivo_buf *all = &m->attrs;
    size_t at = 0;
    int rc = 0;
    for (size_t i = 0; i < changes->n && !rc; i++) {
        const struct vivo_part *p = changes->c[i].part;
        struct vivo_attrs new = take(&made, p->tag);
        rc = vivo_buf_add(out, all->data + at, p->shown - at);
        if (!rc)
            rc = vivo_buf_add(out, new.data, new.len);
        at = p->shown + p->shown_len;
    }
    if (!rc)
        rc = vivo_buf_add(out, all->data + at, all->len - at);
    if (!rc && made.len) /* something that none of them is */
        rc = -EBADMSG;
    if (!rc && changes->pixels)
        memcpy(out->data + out->len - VIVO_ALIKE_BULK_SHOWN, changes->pixels,
               VIVO_ALIKE_BULK_SHOWN);
    return rc;
}

static int attrs_of(const struct vivo_model *m, const struct cleaning *c,
                    struct vivo_buf *out, struct vivo_err *err)
{
    struct vivo_mem_reader r;
    vivo_buf_init(out, VIVO_ALIKE_ATTRS_KEPT);
    vivo_mem_reader_init(&r, c->bytes, c->len);
    return c->len ? vivo_dcm_attrs(&r.base, &m->out, VIVO_DCM_WALK_BARE, out, err) : 0;
}

/* What the SOP Instance UID takes in the file meta information. False: it has none. */
static bool instance_of(const struct vivo_model *m, const struct changes *changes,
                        const struct cleaning *c, uint32_t *out)
{
    char uid[VIVO_UID_MAX + 1];
    *out = m->instance;
    for (size_t i = 0; i < changes->n; i++) {
        if (changes->c[i].part->tag != VIVO_TAG_SOPInstanceUID)
            continue;
        if (!vivo_header_text(&c->h, VIVO_TAG_SOPInstanceUID, uid, sizeof uid))
            return false;
        vivo_rewrite_instance(&c->r, uid);
        *out = vivo_alike_even(uid);
    }
    return true;
}

static int describe(const struct vivo_deid *d, struct vivo_model *m,
                    const struct changes *changes, struct vivo_buf *attrs,
                    uint64_t *size, struct vivo_err *err)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf made = {0};
    struct cleaning c;
    uint32_t instance = 0;
    *size = m->shown_size;
    for (size_t i = 0; i < changes->n; i++) {
        int rc = part_out(d, m, changes->c[i].part, err);
        if (rc)
            return rc;
        *size -= changes->c[i].part->out;
    }
    int rc = clean_parts(d, m, changes->c, changes->n, &c, err);
    if (!rc && !instance_of(m, changes, &c, &instance))
        rc = vivo_fail(err, EBADMSG, "no SOP Instance UID");
    if (!rc)
        rc = attrs_of(m, &c, &made, err);
    if (!rc)
        rc = merge(m, changes, (struct vivo_attrs){made.data, made.len}, attrs);
    *size += c.len;
    *size += instance;
    *size -= m->instance;
    end_cleaning(&c);
    return rc;
}

bool vivo_alike_describe(const struct vivo_deid *d, const uint8_t *lead, size_t len,
                         uint64_t size, struct vivo_buf *attrs,
                         struct vivo_deid_report *report)
{
    struct vivo_models *all = d->none ? NULL : vivo_alike_models(false);
    const size_t before = attrs->len;
    struct vivo_err ignored = {0};
    struct changes changes;
    if (!all || len < VIVO_ALIKE_PREAMBLE ||
        memcmp(lead + VIVO_ALIKE_PREAMBLE - 4, "DICM", 4))
        return false;
    for (size_t i = 0; i < VIVO_ALIKE_MODELS; i++) {
        struct vivo_model *m = all->m[i];
        if (!m || !m->ready || memcmp(m->digest, d->digest, sizeof m->digest) ||
            !compare(d, m, lead, len, size, &changes) || !vivo_alike_place(m))
            continue;
        m->used = ++all->clock;
        if (!describe(d, m, &changes, attrs, &report->size, &ignored)) {
            report->at_risk = m->at_risk;
            return true;
        }
        attrs->len = before;
        return false;
    }
    return false;
}
