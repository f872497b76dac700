/* SPDX-License-Identifier: Apache-2.0 */
/* src/deid/rewrite.c -- nodes become the de-identified data set.
 *
 * One data set at a time, in ascending order of tags (PS3.5 section 7.1), every
 * attribute by the decision that capture.c noted. Nothing is copied that was not
 * checked against its VR. */
#include "audit.h"
#include "ctp.h"
#include "options.h"
#include "pixels.h"

#include <errno.h>
#include <string.h>

#define TEXT_MAX 512

struct scope { /* one data set: the root, or an item */
    uint32_t first, end;
    unsigned depth;
};

static int put_scope(struct vivo_rewrite *r, const struct scope *s,
                     struct vivo_err *err);

static const uint8_t *value_of(const struct vivo_rewrite *r,
                               const struct vivo_node *node)
{
    return node->length ? r->h->values.data + node->at : (const uint8_t *)"";
}

static int no_memory(struct vivo_err *err)
{
    return vivo_fail(err, ENOMEM, "no memory for a header");
}

static int put_text(struct vivo_rewrite *r, const struct vivo_node *node,
                    const char *text, struct vivo_err *err)
{
    return vivo_dcm_write(r->w, node->tag, node->vr, text, strlen(text), err);
}

/* X, Z or D, decided. */
static int put_gone(struct vivo_rewrite *r, const struct vivo_node *node,
                    enum vivo_act act, struct vivo_err *err)
{
    r->did = VIVO_DID_REMOVE;
    if (act == VIVO_ACT_Z) {
        r->did = VIVO_DID_EMPTY;
        return vivo_deid_put_empty(r->w, node->tag, node->vr, err);
    }
    if (act == VIVO_ACT_D) {
        r->did = VIVO_DID_DUMMY;
        return vivo_deid_put_dummy(r->w, r->d->key, node->tag, node->vr, err);
    }
    return 0;
}

/* A listing's row without a class has no form to keep: what may be removed is. */
static char type_of(const struct vivo_rewrite *r, const struct vivo_node *node)
{
    if (!r->method && !r->sop_class[0])
        return '3';
    return node->depth ? 0 : vivo_dcm_class_type(r->types, node->tag);
}

/* A kept attribute whose value is not what it should be. */
static int put_rejected(struct vivo_rewrite *r, const struct vivo_node *node,
                        struct vivo_err *err)
{
    return put_gone(r, node, vivo_deid_resolve(VIVO_ACT_AWAY, type_of(r, node)), err);
}

/* Is what is about to be written what stood there, but for padding? */
static bool is_unchanged(const struct vivo_rewrite *r, const struct vivo_node *node)
{
    const uint8_t *v = value_of(r, node);
    size_t n = (size_t)node->length;
    while (n && (v[n - 1] == 0 || v[n - 1] == ' '))
        n--;
    return n == r->scratch.len && (!n || memcmp(v, r->scratch.data, n) == 0);
}

static int put_uids(struct vivo_rewrite *r, const struct vivo_node *node,
                    struct vivo_err *err)
{
    vivo_buf_clear(&r->scratch);
    if (vivo_pseudo_uids(r->d->key, value_of(r, node), (size_t)node->length,
                         node->registry, &r->scratch))
        return no_memory(err);
    r->did = is_unchanged(r, node) ? VIVO_DID_KEEP : VIVO_DID_UID;
    return vivo_dcm_write(r->w, node->tag, node->vr, r->scratch.data, r->scratch.len,
                          err);
}

static int put_ages(struct vivo_rewrite *r, const struct vivo_node *node,
                    struct vivo_err *err)
{
    vivo_buf_clear(&r->scratch);
    if (vivo_deid_cap_age(value_of(r, node), (size_t)node->length, &r->scratch))
        return no_memory(err);
    r->did = is_unchanged(r, node) ? VIVO_DID_KEEP : VIVO_DID_CLEAN;
    return vivo_dcm_write(r->w, node->tag, node->vr, r->scratch.data, r->scratch.len,
                          err);
}

/* Values that are no code string are emptied, so that the others keep their places
 * (ImageType); *any tells whether one is left. */
static int filter_codes(struct vivo_rewrite *r, const uint8_t *v, size_t len, bool *any)
{
    size_t start = 0;
    *any = false;
    vivo_buf_clear(&r->scratch);
    for (size_t i = 0; i <= len; i++) {
        if (i < len && v[i] != '\\')
            continue;
        int rc = start ? vivo_buf_add(&r->scratch, "\\", 1) : 0;
        if (!rc && vivo_deid_valid("CS", v + start, i - start)) {
            *any = *any || i > start;
            rc = vivo_buf_add(&r->scratch, v + start, i - start);
        }
        if (rc)
            return rc;
        start = i + 1;
    }
    return 0;
}

static int put_invalid(struct vivo_rewrite *r, const struct vivo_node *node,
                       struct vivo_err *err)
{
    bool any = false;
    if (memcmp(node->vr, "CS", 2))
        return put_rejected(r, node, err);
    if (filter_codes(r, value_of(r, node), (size_t)node->length, &any))
        return no_memory(err);
    if (!any)
        return put_rejected(r, node, err);
    r->did = VIVO_DID_CLEAN;
    return vivo_dcm_write(r->w, node->tag, node->vr, r->scratch.data, r->scratch.len,
                          err);
}

static bool is_bytes(const struct vivo_node *node)
{
    return !memcmp(node->vr, "OB", 2) || vivo_deid_vr_is_text(node->vr);
}

static int put_kept_element(struct vivo_rewrite *r, const struct vivo_node *node,
                            struct vivo_err *err)
{
    const uint8_t *v = value_of(r, node);
    size_t len = (size_t)node->length;
    r->did = VIVO_DID_KEEP;
    if (!len)
        return vivo_deid_put_empty(r->w, node->tag, node->vr, err);
    bool valid = vivo_deid_valid(node->vr, v, len);
    if (!memcmp(node->vr, "UI", 2) && !(node->act == VIVO_ACT_K && valid))
        return put_uids(r, node, err);
    if (!valid)
        return put_invalid(r, node, err);
    /* Items of UN sequences are little endian, whatever is around them. */
    if (node->swapped && !is_bytes(node))
        return put_rejected(r, node, err);
    if (!memcmp(node->vr, "AS", 2))
        return put_ages(r, node, err);
    return vivo_dcm_write(r->w, node->tag, node->vr, v, len, err);
}

/* What decoding changes in the description of the pixels (PS3.3 C.7.6.3); *done tells
 * whether it is one of those. Offset tables go with what they point into. */
static int put_decoded(struct vivo_rewrite *r, const struct vivo_node *node, bool *done,
                       struct vivo_err *err)
{
    const struct vivo_pixel_plan *p = r->plan;
    static const uint8_t by_pixel[2] = {0, 0};
    *done = p && p->way == VIVO_PIXELS_DECODE && !node->depth;
    if (!*done)
        return 0;
    r->did = VIVO_DID_BLANK;
    switch (node->tag) {
    case VIVO_TAG_PixelData:
        return vivo_dcm_write_range(r->w, node->tag, p->job.allocated > 8 ? "OW" : "OB",
                                    p->at, p->size, err);
    case 0x00280004: /* PhotometricInterpretation */
        if (p->job.target == p->job.photometric)
            break;
        return put_text(
            r, node, p->job.target == VIVO_PHOTOMETRIC_RGB ? "RGB" : "YBR_FULL", err);
    case 0x00280006: /* PlanarConfiguration */
        return vivo_dcm_write(r->w, node->tag, "US", by_pixel, 2, err);
    case 0x7FE00001:
    case 0x7FE00002:
    case 0x7FE00003: /* the extended offset table and the total length */
        return 0;
    default:
        break;
    }
    *done = false;
    return 0;
}

/* A value left in the source. Text is never left: it could not be checked. Pixel
 * data have one place, the root (icons are in Table E.1-1). */
static int put_bulk(struct vivo_rewrite *r, const struct vivo_node *node,
                    struct vivo_err *err)
{
    bool pixels = node->tag >> 16 == 0x7FE0;
    if (vivo_deid_vr_is_text(node->vr) || !memcmp(node->vr, "UN", 2) ||
        (pixels && node->depth) || (node->swapped && !is_bytes(node)))
        return put_rejected(r, node, err);
    bool blanked = node->tag == VIVO_TAG_PixelData && r->plan && r->plan->blanks;
    r->did = blanked ? VIVO_DID_BLANK : VIVO_DID_KEEP;
    if (node->kind == VIVO_NODE_BULK)
        return vivo_dcm_write_range(r->w, node->tag, node->vr, node->at, node->length,
                                    err);
    if (node->tag != VIVO_TAG_PixelData)
        return put_rejected(r, node, err);
    return vivo_dcm_write_fragments(r->w, node->tag, "OB", node->at, node->length, err);
}

static int put_items(struct vivo_rewrite *r, const struct vivo_node *node,
                     struct vivo_err *err)
{
    uint32_t at = (uint32_t)(node - r->h->nodes);
    for (uint32_t i = at + 1; i < node->end; i = r->h->nodes[i].end) {
        const struct vivo_node *item = &r->h->nodes[i];
        struct scope inner = {i + 1, item->end, node->depth + 1u};
        if (item->act == VIVO_ACT_X) {
            vivo_audit_note(r->audit, item->tag, VIVO_DID_REMOVE);
            continue;
        }
        int rc = vivo_dcm_write_item(r->w, item->undefined, err);
        if (!rc)
            rc = put_scope(r, &inner, err);
        if (!rc)
            rc = vivo_dcm_write_item_end(r->w, err);
        if (rc)
            return rc;
    }
    return 0;
}

/* Of a Content Sequence whose items all were taken out nothing is left. */
static bool is_hollow(const struct vivo_rewrite *r, const struct vivo_node *node)
{
    uint32_t at = (uint32_t)(node - r->h->nodes);
    if (node->tag != 0x0040A730 || node->end == at + 1)
        return false;
    for (uint32_t i = at + 1; i < node->end; i = r->h->nodes[i].end)
        if (r->h->nodes[i].act != VIVO_ACT_X)
            return false;
    return true;
}

static int put_sequence(struct vivo_rewrite *r, const struct vivo_node *node,
                        struct vivo_err *err)
{
    r->did = VIVO_DID_REMOVE;
    if (is_hollow(r, node))
        return 0;
    int rc = vivo_dcm_write_sequence(r->w, node->tag, node->undefined, err);
    if (!rc)
        rc = put_items(r, node, err);
    r->did = VIVO_DID_KEEP;
    return rc ? rc : vivo_dcm_write_sequence_end(r->w, err);
}

static int put_kept(struct vivo_rewrite *r, const struct vivo_node *node,
                    struct vivo_err *err)
{
    switch (node->kind) {
    case VIVO_NODE_ELEMENT:
        return put_kept_element(r, node, err);
    case VIVO_NODE_BULK:
    case VIVO_NODE_FRAGMENTS:
        return put_bulk(r, node, err);
    case VIVO_NODE_SEQUENCE:
        return put_sequence(r, node, err);
    default:
        return put_rejected(r, node, err);
    }
}

/* CodeMeaning and its kin stay in items of public schemes; the code of another
 * becomes a pseudonym, so that equal codes stay equal (PS3.3 section 8). */
static int put_code(struct vivo_rewrite *r, const struct vivo_node *node,
                    const struct scope *s, struct vivo_err *err)
{
    char scheme[TEXT_MAX], code[17];
    r->did = VIVO_DID_REMOVE;
    if (!s->depth || node->kind != VIVO_NODE_ELEMENT)
        return 0;
    vivo_nodes_text(r->h, s->first, s->end, 0x00080102, scheme, sizeof scheme);
    bool public = vivo_code_scheme_public(scheme);
    bool names = public && node->tag == 0x00080104 && vivo_code_names_patient(r, node);
    if (!node->length || (public && !names))
        return put_kept_element(r, node, err);
    r->did = VIVO_DID_CODE;
    switch (node->tag) {
    case 0x00080100: /* CodeValue */
    case 0x00080119: /* LongCodeValue */
        vivo_pseudo_code(r->d->key, scheme, value_of(r, node), (size_t)node->length,
                         code);
        return put_text(r, node, code, err);
    case 0x00080102: /* CodingSchemeDesignator */
        return put_text(r, node, VIVO_CODE_SCHEME_DUMMY, err);
    case 0x00080104: /* CodeMeaning */
        return put_text(r, node, VIVO_DUMMY_TEXT, err);
    default:
        r->did = VIVO_DID_REMOVE;
        return 0;
    }
}

/* PatientID and PatientName below the root are those of the item's own patient. */
static int put_patient(struct vivo_rewrite *r, const struct vivo_node *node,
                       const struct scope *s, struct vivo_err *err)
{
    char pseudonym[22];
    char shown[65];
    const char *text = r->patient_id[0] ? r->patient_id : r->patient;
    r->did = VIVO_DID_PSEUDONYM;
    if (s->depth) {
        int rc = vivo_rewrite_patient(r, s->first, s->end, pseudonym, err);
        if (!rc)
            rc = vivo_rewrite_identifier(r, s->first, s->end, shown, NULL);
        if (rc && rc != -EPERM)
            return rc;
        text = shown[0] ? shown : pseudonym;
    }
    return put_text(r, node, text, err);
}

/* Is there something for options.c to do? */
static bool is_optional(const struct vivo_node *node)
{
    if (node->act == VIVO_ACT_SHIFT || node->act == VIVO_ACT_CLEAN ||
        node->act == VIVO_ACT_PERSON)
        return true;
    return node->tag >> 16 & 1 && node->act != VIVO_ACT_X;
}

/* What options.c did, when it did something. */
static enum vivo_did did_option(const struct vivo_rewrite *r,
                                const struct vivo_node *node)
{
    switch (node->act) {
    case VIVO_ACT_SHIFT:
        return VIVO_DID_SHIFT;
    case VIVO_ACT_CLEAN:
        return is_unchanged(r, node) ? VIVO_DID_KEEP : VIVO_DID_CLEAN;
    case VIVO_ACT_PERSON:
        return VIVO_DID_PSEUDONYM;
    default: /* a private value that was looked at and goes */
        return VIVO_DID_REMOVE;
    }
}

static int put_decided(struct vivo_rewrite *r, const struct vivo_node *node,
                       const struct scope *s, struct vivo_err *err)
{
    enum vivo_act act = (enum vivo_act)node->act;
    bool done = false;
    int rc = put_decoded(r, node, &done, err);
    if (!rc && !done && node->scripted) {
        rc = vivo_ctp_put(r, node, s->first, s->end, &done, err);
        r->did = VIVO_DID_SCRIPT;
    }
    if (rc || done)
        return rc;
    if (is_optional(node)) {
        rc = vivo_options_put(r, node, r->charset, &done, err);
        if (!rc && done)
            r->did = did_option(r, node);
        if (rc || done)
            return rc;
        if (act == VIVO_ACT_SHIFT || act == VIVO_ACT_CLEAN || act == VIVO_ACT_PERSON)
            act = (enum vivo_act)node->basic;
    }
    act = vivo_deid_resolve(act, vivo_deid_asks_type(act) ? type_of(r, node) : 0);
    bool uid = node->kind == VIVO_NODE_ELEMENT && !memcmp(node->vr, "UI", 2);
    if (act == VIVO_ACT_K || act == VIVO_ACT_KEEP)
        return put_kept(r, node, err);
    if (act == VIVO_ACT_CODE)
        return put_code(r, node, s, err);
    if (act == VIVO_ACT_PSEUDO)
        return put_patient(r, node, s, err);
    /* The dummy of a UID is its replacement, so that links hold. */
    if (uid && (act == VIVO_ACT_U || (act == VIVO_ACT_D && node->length)))
        return put_uids(r, node, err);
    return put_gone(r, node, act == VIVO_ACT_U ? VIVO_ACT_D : act, err);
}

static int put_node(struct vivo_rewrite *r, const struct vivo_node *node,
                    const struct scope *s, struct vivo_err *err)
{
    vivo_audit_enter(r->audit, node->tag);
    int rc = put_decided(r, node, s, err);
    vivo_audit_leave(r->audit);
    vivo_audit_note(r->audit, node->tag, r->did);
    return rc;
}

/* The engine's own attributes with tags below `until`, and *next moves on. */
static int put_methods(struct vivo_rewrite *r, size_t *next, uint32_t until,
                       struct vivo_err *err)
{
    for (; *next < VIVO_METHOD_COUNT && vivo_method_tags[*next] < until; (*next)++) {
        uint32_t tag = vivo_method_tags[*next];
        if (!vivo_method_wants(r, tag))
            continue;
        int rc = vivo_ctp_put_missing(r, &r->missing, tag, err);
        if (!rc)
            rc = vivo_method_put(r, tag, err);
        if (rc)
            return rc;
        vivo_audit_note(r->audit, tag, VIVO_DID_ADD);
    }
    return vivo_ctp_put_missing(r, &r->missing, until, err);
}

/* (0012,0064) that was there already: its items stay, ours come behind them (PS3.15
 * E.1.1: the history is not wiped). */
static int put_history(struct vivo_rewrite *r, const struct vivo_node *node,
                       struct vivo_err *err)
{
    int rc = vivo_dcm_write_sequence(r->w, node->tag, node->undefined, err);
    vivo_audit_enter(r->audit, node->tag);
    if (!rc && node->kind == VIVO_NODE_SEQUENCE)
        rc = put_items(r, node, err);
    vivo_audit_leave(r->audit);
    if (!rc)
        rc = vivo_method_code_items(r, err);
    return rc ? rc : vivo_dcm_write_sequence_end(r->w, err);
}

/* One top-level node, with the engine's attributes in front of or instead of it. */
static int put_root_node(struct vivo_rewrite *r, const struct vivo_node *node,
                         const struct scope *s, size_t *next, struct vivo_err *err)
{
    int rc = put_methods(r, next, node->tag, err);
    if (rc)
        return rc;
    if (*next == VIVO_METHOD_COUNT || vivo_method_tags[*next] != node->tag)
        return put_node(r, node, s, err);
    (*next)++;
    if ((node->tag == VIVO_TAG_PatientName && node->scripted) ||
        !vivo_method_wants(r, node->tag))
        return put_node(r, node, s, err);
    vivo_audit_note(r->audit, node->tag,
                    node->tag >> 16 == 0x0010 ? VIVO_DID_PSEUDONYM : VIVO_DID_ADD);
    if (node->tag == 0x00120064)
        return put_history(r, node, err);
    return vivo_method_put(r, node->tag, err);
}

/* A sorter's key: tags ascending, then as they came. */
struct place {
    uint32_t tag, index;
};

static int compare_places(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    if (x->tag != y->tag)
        return x->tag < y->tag ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static bool has_value(const struct vivo_node *node)
{
    if (node->kind == VIVO_NODE_ELEMENT)
        return node->length > 0;
    return node->kind != VIVO_NODE_BAD;
}

static bool is_ordered(const struct vivo_header *h, const struct scope *s,
                       uint32_t *count)
{
    bool ordered = true;
    uint32_t last = 0, n = 0;
    for (uint32_t i = s->first; i < s->end; i = h->nodes[i].end, n++) {
        ordered = ordered && (!n || h->nodes[i].tag > last);
        last = h->nodes[i].tag;
    }
    *count = n;
    return ordered;
}

/* Nodes of a data set whose tags are out of order or stand twice, sorted; of several
 * with one tag the last that has a value is written. */
static int put_sorted(struct vivo_rewrite *r, const struct scope *s, uint32_t count,
                      size_t *next, struct vivo_err *err)
{
    const struct vivo_node *nodes = r->h->nodes;
    VIVO_AUTO(vivo_free_p) struct place *places = calloc(count, sizeof *places);
    uint32_t n = 0;
    if (!places)
        return no_memory(err);
    for (uint32_t i = s->first; i < s->end; i = nodes[i].end)
        places[n++] = (struct place){nodes[i].tag, i};
    qsort(places, n, sizeof *places, compare_places);
    for (uint32_t i = 0; i < n;) {
        const struct vivo_node *best = &nodes[places[i].index];
        uint32_t j = i + 1;
        for (; j < n && places[j].tag == places[i].tag; j++)
            if (has_value(&nodes[places[j].index]) || !has_value(best))
                best = &nodes[places[j].index];
        for (uint32_t twice = i + 1; twice < j; twice++)
            vivo_audit_note(r->audit, best->tag, VIVO_DID_REMOVE);
        int rc =
            next ? put_root_node(r, best, s, next, err) : put_node(r, best, s, err);
        if (rc)
            return rc;
        i = j;
    }
    return 0;
}

static int put_each(struct vivo_rewrite *r, const struct scope *s, size_t *next,
                    struct vivo_err *err)
{
    uint32_t count = 0;
    if (!is_ordered(r->h, s, &count))
        return put_sorted(r, s, count, next, err);
    for (uint32_t i = s->first; i < s->end; i = r->h->nodes[i].end) {
        const struct vivo_node *node = &r->h->nodes[i];
        int rc =
            next ? put_root_node(r, node, s, next, err) : put_node(r, node, s, err);
        if (rc)
            return rc;
    }
    return 0;
}

static int put_nodes(struct vivo_rewrite *r, const struct scope *s, size_t *next,
                     struct vivo_err *err)
{
    char buf[TEXT_MAX];
    const char *outer = r->charset ? r->charset : "";
    if (!r->h->collects)
        return put_each(r, s, next, err);
    r->charset = vivo_options_charset(r->h, s->first, s->end, outer, buf, sizeof buf);
    int rc = put_each(r, s, next, err);
    r->charset = outer;
    return rc;
}

static int put_scope(struct vivo_rewrite *r, const struct scope *s,
                     struct vivo_err *err)
{
    return put_nodes(r, s, NULL, err);
}

int vivo_rewrite_set(struct vivo_rewrite *r, struct vivo_err *err)
{
    struct scope root = {0, r->h->n, 0};
    size_t next = 0;
    r->types = vivo_dcm_class(r->sop_class);
    if (!r->method)
        return put_scope(r, &root, err);
    int rc = put_nodes(r, &root, &next, err);
    return rc ? rc : put_methods(r, &next, UINT32_MAX, err);
}
