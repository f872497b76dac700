/* SPDX-License-Identifier: Apache-2.0 */
/* src/deid/capture.c -- the walker's events become a list of nodes.
 *
 * The whole header is known before a byte is written: the pseudonym of PatientName
 * needs the PatientID behind it, compound codes need the SOP class, and an item's
 * codes its scheme. What is removed whatever the object is not kept at all. */
#include "options.h"

#include <errno.h>
#include <string.h>

#define NODES_MAX (4u << 20)
#define VALUES_MAX (256u << 20)
#define USUAL_VALUES 2000
#define UN_DEPTH_MAX 32
#define TAG_ISSUER 0x00100021u
#define TAG_DIRECTORY_RECORDS 0x00041220u
#define TAG_ANY_SEQUENCE 0x00081140u /* whose items are walked in all profiles */

void vivo_header_init(struct vivo_header *h, const struct vivo_deid *d)
{
    memset(h, 0, sizeof *h);
    h->d = d;
    h->inflated = -1;
    h->collects = d->options & VIVO_DEID_COLLECTS || d->ctp || d->pixels;
    vivo_buf_init(&h->values, VALUES_MAX);
    (void)vivo_buf_reserve(&h->values, USUAL_VALUES); /* else it grows step by step */
}

void vivo_header_free(struct vivo_header *h)
{
    free(h->nodes);
    h->nodes = NULL;
    vivo_buf_free(&h->values);
}

static int too_large(struct vivo_err *err)
{
    return vivo_fail(err, EBADMSG, "the header is too large to be cleaned");
}

static int add_node(struct vivo_header *h, const struct vivo_node *node,
                    struct vivo_err *err)
{
    if (h->n == h->cap) {
        uint32_t cap = h->cap ? 2 * h->cap : 256;
        if (cap > NODES_MAX)
            return too_large(err);
        struct vivo_node *nodes = realloc(h->nodes, cap * sizeof *nodes);
        if (!nodes)
            return vivo_fail(err, ENOMEM, "no memory for a header");
        h->nodes = nodes;
        h->cap = cap;
    }
    h->nodes[h->n] = *node;
    h->nodes[h->n].end = h->n + 1;
    h->n++;
    return 0;
}

static bool is_vr(const char *vr, const char *want)
{
    return !memcmp(vr, want, 2);
}

/* The stream's VR counts only where the standard leaves a choice. */
static const char *choose_vr(const struct vivo_decision *dec, const char *stream)
{
    bool bytes = is_vr(dec->vr, "OB") || is_vr(dec->vr, "OW");
    bool words = is_vr(dec->vr, "US") || is_vr(dec->vr, "SS") || is_vr(dec->vr, "OW");
    if (!dec->either)
        return dec->vr;
    if (bytes && (is_vr(stream, "OB") || is_vr(stream, "OW")))
        return stream;
    if (words && (is_vr(stream, "US") || is_vr(stream, "SS") || is_vr(stream, "OW")))
        return stream;
    return dec->vr;
}

static void fill(struct vivo_header *h, struct vivo_node *node,
                 const struct vivo_dcm_elem *e, const struct vivo_decision *dec)
{
    memset(node, 0, sizeof *node);
    node->tag = e->tag;
    node->depth = (uint8_t)(h->base_depth + e->depth);
    node->act = (uint8_t)dec->act;
    node->registry = dec->registry;
    node->scripted = dec->scripted;
    node->undefined = e->length_undefined;
    node->at = h->base_offset + e->value_offset;
    node->length = e->length;
    if (e->syntax)
        node->swapped = e->syntax->big_endian != h->syntax.big_endian;
    node->basic = (uint8_t)dec->basic;
    memcpy(node->vr, dec->act == VIVO_ACT_PRIVATE ? e->vr : choose_vr(dec, e->vr), 3);
}

/* Event function over the bytes of one UN value: only what is below it counts. */
static int inner_event(void *header, enum vivo_dcm_event event,
                       const struct vivo_dcm_elem *e, struct vivo_err *err)
{
    if (event == VIVO_DCM_DATASET || event == VIVO_DCM_META)
        return 0;
    return vivo_header_event(header, event, e, err);
}

/* UN of defined length may hold a sequence in implicit VR little endian (PS3.5
 * section 6.2.2, note 2): it is walked as one. Returns 1 when it was, 0 when it is no
 * valid sequence and nothing was added. */
static int add_un_sequence(struct vivo_header *h, const struct vivo_dcm_elem *e)
{
    static const char implicit_le[] = "1.2.840.10008.1.2";
    const uint32_t n = h->n, depth = h->depth;
    const size_t values = h->values.len;
    const uint8_t base_depth = h->base_depth;
    const uint64_t base_offset = h->base_offset;
    const bool private = e->tag >> 16 & 1;
    struct vivo_err ignored = {0};
    struct vivo_mem_reader r;
    if (e->length < 8 || vivo_le32(e->value) != 0xE000FFFEu ||
        h->base_depth + e->depth + 1 >= UN_DEPTH_MAX)
        return 0;
    uint8_t *bytes = malloc((size_t)e->length + 8);
    if (!bytes)
        return 0;
    /* Without a VR a private sequence would not be taken for one. */
    uint32_t tag = private ? TAG_ANY_SEQUENCE : e->tag;
    vivo_put_le16(bytes, (uint16_t)(tag >> 16));
    vivo_put_le16(bytes + 2, (uint16_t)tag);
    vivo_put_le32(bytes + 4, (uint32_t)e->length);
    memcpy(bytes + 8, e->value, (size_t)e->length);
    vivo_mem_reader_init(&r, bytes, (size_t)e->length + 8);
    h->base_depth = (uint8_t)(base_depth + e->depth);
    h->base_offset = base_offset + e->value_offset - 8;
    int rc = vivo_dcm_walk_reader(&r.base,
                                  vivo_dcm_syntax(implicit_le, sizeof implicit_le - 1),
                                  VIVO_DCM_WALK_BARE, -1, inner_event, h, &ignored);
    free(bytes);
    h->base_depth = base_depth;
    h->base_offset = base_offset;
    if (!rc && h->depth == depth && h->n > n) {
        if (private) {
            h->nodes[n].tag = e->tag;
            h->nodes[n].act = VIVO_ACT_PRIVATE;
        }
        return 1;
    }
    h->n = n;
    h->depth = depth;
    h->values.len = values;
    return 0;
}

/* What a script does not name goes at the top level; in items it stays as the profile
 * says, because what is in a sequence that stays is meant to be there. */
static void decide(const struct vivo_header *h, const struct vivo_dcm_elem *e,
                   struct vivo_decision *out)
{
    vivo_deid_decide(h->d, e->tag, out);
    if (out->unlisted && !h->base_depth && !e->depth) {
        out->act = VIVO_ACT_X;
        out->scripted = true;
    }
}

bool vivo_header_asks(uint32_t tag)
{
    return tag == TAG_ISSUER || (tag & 0xFF00FFFFu) == 0x60000102u;
}

static int add_element(struct vivo_header *h, const struct vivo_dcm_elem *e,
                       struct vivo_err *err)
{
    struct vivo_decision dec;
    struct vivo_node node;
    decide(h, e, &dec);
    if (dec.act == VIVO_ACT_X && !vivo_header_asks(e->tag) && !h->collects)
        return 0;
    bool nests = is_vr(dec.vr, "SQ") || dec.act == VIVO_ACT_PRIVATE;
    if (nests && is_vr(e->vr, "UN") && add_un_sequence(h, e))
        return 0;
    fill(h, &node, e, &dec);
    node.kind = is_vr(dec.vr, "SQ") && e->length ? VIVO_NODE_BAD : VIVO_NODE_ELEMENT;
    if (node.kind == VIVO_NODE_ELEMENT) {
        node.at = h->values.len;
        if (e->length && vivo_buf_add(&h->values, e->value, (size_t)e->length))
            return too_large(err);
    }
    return add_node(h, &node, err);
}

static int add_bulk(struct vivo_header *h, enum vivo_dcm_event event,
                    const struct vivo_dcm_elem *e, struct vivo_err *err)
{
    struct vivo_decision dec;
    struct vivo_node node;
    decide(h, e, &dec);
    if (dec.act == VIVO_ACT_X)
        return 0;
    fill(h, &node, e, &dec);
    node.kind = event == VIVO_DCM_BULK ? VIVO_NODE_BULK : VIVO_NODE_FRAGMENTS;
    if (is_vr(dec.vr, "SQ"))
        node.kind = VIVO_NODE_BAD;
    return add_node(h, &node, err);
}

/* Of a sequence that does not stay, nothing inside is ever looked at, but for what
 * its values are called, so that they are found in text. */
static int add_sequence(struct vivo_header *h, const struct vivo_dcm_elem *e,
                        struct vivo_err *err)
{
    struct vivo_decision dec;
    struct vivo_node node;
    if (e->tag == TAG_DIRECTORY_RECORDS && !h->base_depth && !e->depth)
        h->dicomdir = true;
    decide(h, e, &dec);
    if (dec.act == VIVO_ACT_X && !h->collects)
        return VIVO_DCM_SKIP;
    fill(h, &node, e, &dec);
    bool nests = is_vr(dec.vr, "SQ") || dec.act == VIVO_ACT_PRIVATE;
    bool stays = dec.act == VIVO_ACT_K || dec.act == VIVO_ACT_KEEP ||
                 dec.act == VIVO_ACT_XZU || h->collects;
    node.kind = nests ? VIVO_NODE_SEQUENCE : VIVO_NODE_BAD;
    int rc = add_node(h, &node, err);
    if (rc)
        return rc;
    if (!stays || (node.kind == VIVO_NODE_BAD && !h->collects))
        return VIVO_DCM_SKIP;
    if (h->depth == VIVO_ARRAY_LEN(h->open))
        return vivo_fail(err, EBADMSG, "sequences nested too deep");
    h->open[h->depth++] = h->n - 1;
    return 0;
}

static int add_item(struct vivo_header *h, const struct vivo_dcm_elem *e,
                    struct vivo_err *err)
{
    struct vivo_node node = {.tag = 0xFFFEE000u,
                             .kind = VIVO_NODE_ITEM,
                             .depth = (uint8_t)(h->base_depth + e->depth),
                             .undefined = e->length_undefined};
    int rc = add_node(h, &node, err);
    if (rc)
        return rc;
    if (h->depth == VIVO_ARRAY_LEN(h->open))
        return vivo_fail(err, EBADMSG, "sequences nested too deep");
    h->open[h->depth++] = h->n - 1;
    return 0;
}

static void end_group(struct vivo_header *h)
{
    if (h->depth)
        h->nodes[h->open[--h->depth]].end = h->n;
}

static void copy_uid(char out[VIVO_UID_MAX + 1], const struct vivo_dcm_elem *e)
{
    size_t n = (size_t)VIVO_MIN(e->length, (uint64_t)VIVO_UID_MAX);
    if (n)
        memcpy(out, e->value, n);
    while (n && (out[n - 1] == ' ' || out[n - 1] == '\0'))
        n--;
    out[n] = '\0';
}

static void take_meta(struct vivo_header *h, const struct vivo_dcm_elem *e)
{
    if (e->tag == 0x00020002)
        copy_uid(h->meta_class, e);
    else if (e->tag == 0x00020003)
        copy_uid(h->meta_instance, e);
    else if (e->tag == 0x00020010)
        copy_uid(h->meta_syntax, e);
}

int vivo_header_event(void *header, enum vivo_dcm_event event,
                      const struct vivo_dcm_elem *e, struct vivo_err *err)
{
    struct vivo_header *h = header;
    if (!h->syntax.uid && event != VIVO_DCM_META && e->syntax)
        h->syntax = *e->syntax;
    switch (event) {
    case VIVO_DCM_META:
        take_meta(h, e);
        return 0;
    case VIVO_DCM_DATASET:
        h->want_inflate = h->syntax.deflated && h->inflated < 0;
        return h->want_inflate ? VIVO_DCM_STOP : 0;
    case VIVO_DCM_ELEMENT:
        return add_element(h, e, err);
    case VIVO_DCM_BULK:
    case VIVO_DCM_FRAGMENTS:
        return add_bulk(h, event, e, err);
    case VIVO_DCM_SEQUENCE:
        return add_sequence(h, e, err);
    case VIVO_DCM_ITEM:
        return add_item(h, e, err);
    case VIVO_DCM_ITEM_END:
    case VIVO_DCM_SEQUENCE_END:
        end_group(h);
        return 0;
    case VIVO_DCM_NONE:
    case VIVO_DCM_END:
        break;
    }
    return 0;
}

void vivo_header_order(struct vivo_header *h)
{
    uint32_t last = 0;
    h->ordered = true;
    for (uint32_t i = 0; i < h->n && h->ordered; i = h->nodes[i].end) {
        h->ordered = !i || h->nodes[i].tag > last;
        last = h->nodes[i].tag;
    }
}

bool vivo_nodes_text(const struct vivo_header *h, uint32_t first, uint32_t end,
                     uint32_t tag, char *out, size_t cap)
{
    bool ordered = h->ordered && first == 0;
    *out = '\0';
    for (uint32_t i = first; i < end; i = h->nodes[i].end) {
        const struct vivo_node *node = &h->nodes[i];
        if (ordered && node->tag > tag)
            break;
        if (node->tag != tag || node->kind != VIVO_NODE_ELEMENT)
            continue;
        size_t n = (size_t)node->length;
        const char *v = n ? (const char *)h->values.data + node->at : "";
        while (n && (v[n - 1] == ' ' || v[n - 1] == '\0'))
            n--;
        while (n && *v == ' ')
            v++, n--;
        if (!n)
            continue;
        n = VIVO_MIN(n, cap - 1);
        memcpy(out, v, n);
        out[n] = '\0';
    }
    return *out != '\0';
}

bool vivo_header_text(const struct vivo_header *h, uint32_t tag, char *out, size_t cap)
{
    return vivo_nodes_text(h, 0, h->n, tag, out, cap);
}
