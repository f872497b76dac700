/* SPDX-License-Identifier: Apache-2.0 */
/* src/deid/options.c -- writes what the options of PS3.15 E.3 do not remove but
 * change: shifted dates, cleaned text, persons, private values. */
#include "options.h"

#include "charset.h"

#include <errno.h>
#include <string.h>

/* With clean-graphics regions of interest stay. Graphics (type G) are where consoles
 * write names, and nobody can read a bitmap here (PS3.3 C.9.2, PS3.15 E.3.3). */
bool vivo_overlay_stays(const struct vivo_header *h, uint32_t group)
{
    char type[32];
    if (!(h->d->options & VIVO_DEID_CLEAN_GRAPHICS))
        return false;
    vivo_header_text(h, group << 16 | 0x0040, type, sizeof type);
    return strcmp(type, "R") == 0;
}

static void settle_overlays(struct vivo_header *h)
{
    for (uint32_t i = 0; i < h->n; i++) {
        struct vivo_node *n = &h->nodes[i];
        if (n->tag >> 24 != 0x60 || n->scripted)
            continue;
        if (n->depth || !vivo_overlay_stays(h, n->tag >> 16))
            n->act = VIVO_ACT_X;
    }
}

int vivo_header_settle(struct vivo_header *h, struct vivo_err *err)
{
    settle_overlays(h);
    vivo_content_settle(h);
    return vivo_private_settle(h, err);
}

const char *vivo_options_charset(const struct vivo_header *h, uint32_t first,
                                 uint32_t end, const char *outer, char *buf, size_t cap)
{
    if (h->utf8)
        return "ISO_IR 192";
    if (vivo_nodes_text(h, first, end, VIVO_TAG_SpecificCharacterSet, buf, cap))
        return buf;
    return outer;
}

static int no_memory(struct vivo_err *err)
{
    return vivo_fail(err, ENOMEM, "no memory for a header");
}

static int put_scratch(struct vivo_rewrite *r, const struct vivo_node *node, bool *done,
                       struct vivo_err *err)
{
    *done = true;
    return vivo_dcm_write(r->w, node->tag, node->vr, r->scratch.data, r->scratch.len,
                          err);
}

/* One lookup for all texts of the object. */
static int learn(struct vivo_rewrite *r, struct vivo_err *err)
{
    return r->known ? 0 : vivo_known_new(r->h, &r->known, err);
}

static int put_shifted(struct vivo_rewrite *r, const struct vivo_node *node,
                       const uint8_t *v, bool *done, struct vivo_err *err)
{
    if (r->no_offset || !r->patient[0])
        return 0;
    if (!r->offset)
        r->offset = vivo_date_offset(r->d->key, r->patient);
    vivo_buf_clear(&r->scratch);
    if (vivo_date_shift(node->vr, v, (size_t)node->length, r->offset, &r->scratch))
        return no_memory(err);
    return r->scratch.len ? put_scratch(r, node, done, err) : 0;
}

static int put_cleaned(struct vivo_rewrite *r, const struct vivo_node *node,
                       const char *charset, const uint8_t *v, bool *done,
                       struct vivo_err *err)
{
    /* What a listing's row says of others is not all that the object says. */
    if (r->partial || !vivo_deid_valid(node->vr, v, (size_t)node->length))
        return 0;
    int rc = learn(r, err);
    if (rc)
        return rc;
    vivo_buf_clear(&r->scratch);
    if (vivo_clean_text(r->known, charset, node->vr, v, (size_t)node->length,
                        &r->scratch))
        return no_memory(err);
    return r->scratch.len ? put_scratch(r, node, done, err) : 0;
}

static int put_person(struct vivo_rewrite *r, const struct vivo_node *node,
                      const char *charset, const uint8_t *v, bool *done,
                      struct vivo_err *err)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf name = {0};
    char out[22];
    vivo_buf_init(&name, 16 * (size_t)node->length + 64);
    if (vivo_dcm_text(charset, "PN", v, (size_t)node->length, &name))
        return no_memory(err);
    while (name.len && (name.data[name.len - 1] == ' ' || !name.data[name.len - 1]))
        name.len--;
    if (!name.len)
        return 0;
    vivo_pseudo_person(r->d->key, name.data, name.len, out);
    vivo_buf_clear(&r->scratch);
    if (vivo_buf_puts(&r->scratch, out))
        return no_memory(err);
    return put_scratch(r, node, done, err);
}

static int check_private(struct vivo_rewrite *r, const struct vivo_node *node,
                         const char *charset, const uint8_t *v, bool *done,
                         struct vivo_err *err)
{
    int rc = learn(r, err);
    if (!rc)
        *done = !vivo_private_stays(r->known, charset, node, v);
    return rc;
}

int vivo_options_put(struct vivo_rewrite *r, const struct vivo_node *node,
                     const char *charset, bool *done, struct vivo_err *err)
{
    const uint8_t *v = r->h->values.data + node->at;
    *done = false;
    if (node->kind != VIVO_NODE_ELEMENT || !node->length)
        return 0;
    if (node->act == VIVO_ACT_SHIFT)
        return put_shifted(r, node, v, done, err);
    if (node->act == VIVO_ACT_CLEAN)
        return put_cleaned(r, node, charset, v, done, err);
    if (node->act == VIVO_ACT_PERSON)
        return put_person(r, node, charset, v, done, err);
    return check_private(r, node, charset, v, done, err);
}
