/* SPDX-License-Identifier: Apache-2.0 */
/* src/deid/private.c -- retain-safe-private: PS3.15 Table E.3.10-1.
 *
 * A private element stays only if one creator in its own data set reserves its block
 * (PS3.5 section 7.8.1), creator and element are in the table, and its value is what
 * the table says. A data set whose tags are not ascending says nothing about blocks. */
#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#define CREATOR_MAX 64
#define BLOCKS 256

static const struct vivo_safe_row safe_rows[] = {
#define VIVO_SAFE(tag, creator, vr, vm, care) {tag, creator, vr, vm, care},
#include "table_safe_private.def"
#undef VIVO_SAFE
};

#define VIVO_SAFE(tag, creator, vr, vm, care)
#define VIVO_SAFE_SOURCE(digest, n)                                                    \
    const char *const vivo_safe_sha256 = digest;                                       \
    _Static_assert(VIVO_ARRAY_LEN(safe_rows) == (n), "rows of Table E.3.10-1");
#include "table_safe_private.def"
#undef VIVO_SAFE
#undef VIVO_SAFE_SOURCE

static int compare_rows(uint32_t tag, const char *creator,
                        const struct vivo_safe_row *r)
{
    if (tag != r->tag)
        return tag < r->tag ? -1 : 1;
    return strcmp(creator, r->creator);
}

const struct vivo_safe_row *vivo_safe_find(uint32_t tag, const char *creator)
{
    size_t low = 0, high = VIVO_ARRAY_LEN(safe_rows);
    tag &= 0xFFFF00FFu;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int c = compare_rows(tag, creator, &safe_rows[middle]);
        if (!c)
            return &safe_rows[middle];
        if (c < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

struct blocks { /* of one group in one data set */
    uint32_t group;
    uint32_t creator[BLOCKS]; /* index + 1 of the node, 0 = none */
};

static bool is_private(const struct vivo_node *node)
{
    return node->act == VIVO_ACT_PRIVATE;
}

static bool is_creator(const struct vivo_node *node)
{
    return is_private(node) && (node->tag & 0xFFFF) < 0x1000;
}

/* Trimmed, in exact case. */
static bool creator_name(const struct vivo_header *h, const struct vivo_node *node,
                         char out[CREATOR_MAX + 1])
{
    const char *v = (const char *)h->values.data + node->at;
    size_t n = (size_t)node->length;
    if (node->kind != VIVO_NODE_ELEMENT || !n)
        return false;
    while (n && (v[n - 1] == ' ' || v[n - 1] == '\0'))
        n--;
    while (n && *v == ' ')
        v++, n--;
    if (!n || n > CREATOR_MAX || memchr(v, '\0', n))
        return false;
    memcpy(out, v, n);
    out[n] = '\0';
    return true;
}

/* Does another block of the group have the same creator? */
static bool is_repeated(const struct vivo_header *h, const struct blocks *b,
                        unsigned block, const char *name)
{
    char other[CREATOR_MAX + 1];
    for (unsigned i = 0; i < BLOCKS; i++)
        if (i != block && b->creator[i] &&
            creator_name(h, &h->nodes[b->creator[i] - 1], other) &&
            !strcmp(other, name))
            return true;
    return false;
}

/* ---- values ---------------------------------------------------------------------- */

static unsigned unit_of(const char *vr)
{
    static const struct {
        char vr[3];
        uint8_t unit;
    } units[] = {{"AT", 4}, {"FD", 8}, {"FL", 4}, {"SL", 4},
                 {"SS", 2}, {"UL", 4}, {"US", 2}};
    for (size_t i = 0; i < VIVO_ARRAY_LEN(units); i++)
        if (!memcmp(units[i].vr, vr, 2))
            return units[i].unit;
    return 0;
}

/* "1", "3-4", "1-n", "2-2n". */
static bool has_multiplicity(const char *vm, size_t n)
{
    unsigned long least = 0, most = 0;
    const char *p = vm;
    for (; isdigit((unsigned char)*p); p++)
        least = least * 10 + (unsigned long)(*p - '0');
    if (*p != '-')
        return n == least;
    p++;
    for (; isdigit((unsigned char)*p); p++)
        most = most * 10 + (unsigned long)(*p - '0');
    return n >= least && (*p == 'n' || n <= most);
}

static size_t count_values(const struct vivo_safe_row *row, const uint8_t *v,
                           size_t len)
{
    unsigned unit = unit_of(row->vr);
    size_t n = 1;
    if (unit)
        return len / unit;
    if (strstr("LT ST UT", row->vr))
        return 1;
    for (size_t i = 0; i < len; i++)
        n += v[i] == '\\';
    return n;
}

static bool is_bytes_vr(const char *vr)
{
    return !memcmp(vr, "OB", 2) || !memcmp(vr, "OW", 2) || !memcmp(vr, "UN", 2);
}

/* Bulk that is nearly all printable is text, whatever its VR says. */
static bool looks_like_text(const uint8_t *v, size_t len)
{
    size_t printable = 0, i = 0;
    for (; i < len; i++)
        printable += (v[i] >= 32 && v[i] < 127) || v[i] == '\n' || v[i] == '\r';
    return len && printable * 10 >= len * 9;
}

/* Text in a binary element says so by its VR in the stream, where there is one. */
static bool value_fits(const struct vivo_node *node, const struct vivo_safe_row *row,
                       const uint8_t *v)
{
    size_t len = (size_t)node->length;
    unsigned unit = unit_of(row->vr);
    bool unknown = !memcmp(node->vr, "UN", 2);
    if (row->care == 'p')
        return is_bytes_vr(node->vr) && !looks_like_text(v, len);
    if (unit && !unknown && unit_of(node->vr) != unit)
        return false;
    if (!unit && !unknown && !vivo_deid_vr_is_text(node->vr))
        return false;
    return vivo_deid_valid(row->vr, v, len) &&
           has_multiplicity(row->vm, count_values(row, v, len));
}

static enum vivo_act act_of(const struct vivo_header *h,
                            const struct vivo_safe_row *row)
{
    switch (row->care) {
    case 't':
        return VIVO_ACT_CLEAN;
    case 'u':
        return h->d->options & VIVO_DEID_RETAIN_UIDS ? VIVO_ACT_K : VIVO_ACT_U;
    default:
        return VIVO_ACT_KEEP;
    }
}

static void set(struct vivo_node *node, enum vivo_act act, const char *vr)
{
    node->act = (uint8_t)act;
    node->basic = VIVO_ACT_X;
    memcpy(node->vr, vr, 2);
    node->vr[2] = '\0';
}

/* The VR that bulk is written with; the table leaves it open for some. */
static const char *bulk_vr(const struct vivo_node *node,
                           const struct vivo_safe_row *row)
{
    bool given = !memcmp(node->vr, "OB", 2) || !memcmp(node->vr, "OW", 2);
    if (given)
        return node->vr;
    return *row->vr ? row->vr : "OB";
}

/* True when it stays, as far as its own value tells. */
static bool settle_one(struct vivo_header *h, struct vivo_node *node,
                       const struct vivo_safe_row *row)
{
    char vr[3];
    if (node->kind == VIVO_NODE_SEQUENCE) {
        if (row->care != 's')
            return false;
        set(node, VIVO_ACT_KEEP, "SQ");
        return true;
    }
    if (node->kind == VIVO_NODE_BULK && row->care == 'p' && is_bytes_vr(node->vr)) {
        memcpy(vr, bulk_vr(node, row), 3);
        set(node, VIVO_ACT_KEEP, vr);
        return true;
    }
    if (node->kind != VIVO_NODE_ELEMENT)
        return false;
    if (row->care == 's') {
        if (node->length)
            return false;
        set(node, VIVO_ACT_KEEP, "SQ");
        return true;
    }
    const uint8_t *v = node->length ? h->values.data + node->at : (const uint8_t *)"";
    if (node->length && !value_fits(node, row, v))
        return false;
    memcpy(vr, row->care == 'p' ? bulk_vr(node, row) : row->vr, 3);
    set(node, act_of(h, row), vr);
    return true;
}

/* Creators and elements alike are gone unless something says otherwise. */
static void settle_node(struct vivo_header *h, struct blocks *b, uint32_t at)
{
    struct vivo_node *node = &h->nodes[at];
    char name[CREATOR_MAX + 1];
    if (node->tag >> 16 != b->group) {
        memset(b, 0, sizeof *b);
        b->group = node->tag >> 16;
    }
    if (is_creator(node)) {
        unsigned block = node->tag & 0xFFFF;
        if (block >= 0x10 && block < BLOCKS)
            b->creator[block] = at + 1;
        node->act = VIVO_ACT_X;
        return;
    }
    unsigned block = (node->tag >> 8) & 0xFF;
    uint32_t owner = b->creator[block];
    const struct vivo_safe_row *row = NULL;
    if (owner && creator_name(h, &h->nodes[owner - 1], name) &&
        !is_repeated(h, b, block, name))
        row = vivo_safe_find(node->tag, name);
    if (row && settle_one(h, node, row))
        set(&h->nodes[owner - 1], VIVO_ACT_KEEP, "LO");
    else
        node->act = VIVO_ACT_X;
}

static bool is_ascending(const struct vivo_header *h, uint32_t first, uint32_t end)
{
    uint32_t last = 0;
    for (uint32_t i = first; i < end; last = h->nodes[i].tag, i = h->nodes[i].end)
        if (h->nodes[i].tag <= last)
            return false;
    return true;
}

static void settle_set(struct vivo_header *h, struct blocks *b, uint32_t first,
                       uint32_t end)
{
    bool ascending = is_ascending(h, first, end);
    memset(b, 0, sizeof *b);
    for (uint32_t i = first; i < end; i = h->nodes[i].end) {
        if (!is_private(&h->nodes[i]))
            continue;
        if (ascending)
            settle_node(h, b, i);
        else
            h->nodes[i].act = VIVO_ACT_X;
    }
}

int vivo_private_settle(struct vivo_header *h, struct vivo_err *err)
{
    if (!(h->d->options & VIVO_DEID_RETAIN_SAFE_PRIVATE))
        return 0;
    struct blocks *b = malloc(sizeof *b);
    if (!b)
        return vivo_fail(err, ENOMEM, "no memory for a header");
    settle_set(h, b, 0, h->n);
    for (uint32_t i = 0; i < h->n; i++)
        if (h->nodes[i].kind == VIVO_NODE_ITEM)
            settle_set(h, b, i + 1, h->nodes[i].end);
    free(b);
    return 0;
}

/* The readable part of binary data names nobody. */
static bool bytes_suspect(const struct vivo_known *k, const uint8_t *v, size_t len)
{
    VIVO_AUTO(vivo_free_p) uint8_t *ascii = malloc(len);
    if (!ascii)
        return true;
    for (size_t i = 0; i < len; i++)
        ascii[i] = v[i] > 32 && v[i] < 127 ? v[i] : ' ';
    return vivo_clean_suspects(k, "", ascii, len);
}

bool vivo_private_stays(const struct vivo_known *k, const char *charset,
                        const struct vivo_node *node, const uint8_t *v)
{
    size_t len = (size_t)node->length;
    if (node->kind != VIVO_NODE_ELEMENT || !len || (node->tag & 0xFFFF) < 0x1000)
        return true;
    if (is_bytes_vr(node->vr))
        return !bytes_suspect(k, v, len);
    return !vivo_deid_vr_is_text(node->vr) || !memcmp(node->vr, "UI", 2) ||
           !vivo_clean_suspects(k, charset, v, len);
}
