/* SPDX-License-Identifier: Apache-2.0 */
/* src/deid/ctp_path.c -- element names of RSNA CTP's scripts, and what a captured
 * header says under them. */
#include "ctp_expr.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int vivo_ctp_fail(const struct vivo_ctp_source *s, size_t at, struct vivo_err *err,
                  const char *fmt, ...)
{
    char why[VIVO_ERR_TEXT];
    unsigned line = 1;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why, sizeof why, fmt, ap);
    va_end(ap);
    for (size_t i = 0; i < at && i < s->len; i++)
        line += s->text[i] == '\n';
    return vivo_fail(err, EINVAL, "%s:%u: %s", s->file, line, why);
}

/* ---- names ------------------------------------------------------------------------
 */

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* n hexadecimal digits at p, or false. */
static bool hex(const char *p, unsigned n, uint32_t *out)
{
    *out = 0;
    for (unsigned i = 0; i < n; i++) {
        if (digit(p[i]) < 0)
            return false;
        *out = *out << 4 | (uint32_t)digit(p[i]);
    }
    return true;
}

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '_';
}

/* [gggg,eeee] or (gggg,eeee): 11 characters. */
static bool bracketed(const char *p, struct vivo_ctp_step *out)
{
    uint32_t group, element;
    char close = *p == '[' ? ']' : ')';
    if ((*p != '[' && *p != '(') || !hex(p + 1, 4, &group) || p[5] != ',' ||
        !hex(p + 6, 4, &element) || p[10] != close)
        return false;
    out->tag = group << 16 | element;
    return true;
}

/* gggg[Owner]ee; 0 = it is none, else its length. */
static size_t owned(const char *p, struct vivo_ctp_step *out)
{
    uint32_t group, element;
    if (!hex(p, 4, &group) || p[4] != '[')
        return 0;
    size_t n = strcspn(p + 5, "]\n");
    if (!n || n > VIVO_CTP_OWNER_MAX || p[5 + n] != ']' || !hex(p + n + 6, 2, &element))
        return 0;
    out->tag = group << 16 | element;
    memcpy(out->owner, p + 5, n);
    out->owner[n] = '\0';
    return n + 8;
}

static int keyword(const struct vivo_ctp_source *s, size_t at, size_t len,
                   struct vivo_ctp_step *out, struct vivo_err *err)
{
    char word[65];
    const char *p = s->text + at;
    if (len == 8 && hex(p, 8, &out->tag))
        return 0;
    const struct vivo_dict *row = vivo_dcm_dict_keyword(p, len);
    if (row) {
        out->tag = row->tag;
        return 0;
    }
    size_t n = VIVO_MIN(len, sizeof word - 1);
    memcpy(word, p, n);
    word[n] = '\0';
    const char *near = vivo_dcm_dict_nearest(word);
    if (near)
        return vivo_ctp_fail(s, at, err, "no attribute '%s'; did you mean %s?", word,
                             near);
    return vivo_ctp_fail(s, at, err, "no attribute '%s'", word);
}

static int parse_step(const struct vivo_ctp_source *s, size_t *at,
                      struct vivo_ctp_step *out, struct vivo_err *err)
{
    const char *p = s->text + *at;
    memset(out, 0, sizeof *out);
    size_t n = owned(p, out);
    if (!n && bracketed(p, out))
        n = 11;
    if (n) {
        *at += n;
        return 0;
    }
    while (is_name_char(p[n]))
        n++;
    if (!n)
        return vivo_ctp_fail(s, *at, err, "an attribute is wanted here");
    int rc = keyword(s, *at, n, out, err);
    *at += n;
    return rc;
}

int vivo_ctp_path_parse(const struct vivo_ctp_source *s, size_t *at,
                        struct vivo_ctp_path *out, struct vivo_err *err)
{
    static const char root[] = "root:";
    memset(out, 0, sizeof *out);
    if (!strncmp(s->text + *at, root, sizeof root - 1) && s->text[*at + 5] != ':')
        *at += sizeof root - 1;
    for (;;) {
        if (out->n == VIVO_CTP_STEPS)
            return vivo_ctp_fail(s, *at, err, "a path of more than %d steps",
                                 VIVO_CTP_STEPS);
        int rc = parse_step(s, at, &out->step[out->n++], err);
        if (rc)
            return rc;
        if (strncmp(s->text + *at, "::", 2) != 0)
            return 0;
        *at += 2;
    }
}

/* ---- values ------------------------------------------------------------------------
 */

/* The block that `owner` has reserved among the siblings; 0 = none. */
static uint32_t block_of(const struct vivo_header *h, uint32_t first, uint32_t end,
                         uint32_t group, const char *owner)
{
    for (uint32_t i = first; i < end; i = h->nodes[i].end) {
        char creator[VIVO_CTP_OWNER_MAX + 1];
        uint32_t tag = h->nodes[i].tag, element = tag & 0xFFFF;
        if (tag >> 16 == group && element >= 0x10 && element <= 0xFF &&
            vivo_nodes_text(h, i, i + 1, tag, creator, sizeof creator) &&
            !strcmp(creator, owner))
            return element;
    }
    return 0;
}

/* The last node of a step that has a value, as everywhere in the engine; or NULL. */
static const struct vivo_node *find(const struct vivo_header *h, uint32_t first,
                                    uint32_t end, const struct vivo_ctp_step *step)
{
    const struct vivo_node *found = NULL;
    uint32_t tag = step->tag;
    if (step->owner[0]) {
        uint32_t block = block_of(h, first, end, tag >> 16, step->owner);
        if (!block)
            return NULL;
        tag = (tag & 0xFFFF00FFu) | block << 8;
    }
    for (uint32_t i = first; i < end; i = h->nodes[i].end)
        if (h->nodes[i].tag == tag &&
            (!found || h->nodes[i].length || h->nodes[i].kind == VIVO_NODE_SEQUENCE))
            found = &h->nodes[i];
    return found;
}

static const struct vivo_node *resolve(const struct vivo_header *h,
                                       const struct vivo_ctp_path *path)
{
    uint32_t first = 0, end = h->n;
    for (unsigned i = 0;; i++) {
        const struct vivo_node *node = find(h, first, end, &path->step[i]);
        if (!node || i + 1 == path->n)
            return node;
        uint32_t item = (uint32_t)(node - h->nodes) + 1;
        if (node->kind != VIVO_NODE_SEQUENCE || item >= node->end)
            return NULL;
        first = item + 1;
        end = h->nodes[item].end;
    }
}

static unsigned width_of(const char *vr)
{
    if (!memcmp(vr, "US", 2) || !memcmp(vr, "SS", 2))
        return 2;
    if (!memcmp(vr, "UL", 2) || !memcmp(vr, "SL", 2) || !memcmp(vr, "FL", 2))
        return 4;
    return !memcmp(vr, "FD", 2) ? 8 : 0;
}

static int put_number(const char *vr, const uint8_t *v, bool big, struct vivo_buf *out)
{
    if (!memcmp(vr, "US", 2))
        return vivo_buf_printf(out, "%u", big ? vivo_be16(v) : vivo_le16(v));
    if (!memcmp(vr, "SS", 2))
        return vivo_buf_printf(out, "%d", (int16_t)(big ? vivo_be16(v) : vivo_le16(v)));
    uint32_t word = big ? vivo_be32(v) : vivo_le32(v);
    if (!memcmp(vr, "UL", 2))
        return vivo_buf_printf(out, "%u", word);
    if (!memcmp(vr, "SL", 2))
        return vivo_buf_printf(out, "%d", (int32_t)word);
    if (!memcmp(vr, "FL", 2)) {
        float f;
        memcpy(&f, &word, sizeof f);
        return vivo_buf_printf(out, "%.9g", (double)f);
    }
    uint32_t other = big ? vivo_be32(v + 4) : vivo_le32(v + 4);
    uint64_t bits = big ? (uint64_t)word << 32 | other : (uint64_t)other << 32 | word;
    double d;
    memcpy(&d, &bits, sizeof d);
    return vivo_buf_printf(out, "%.17g", d);
}

static int put_numbers(const struct vivo_header *h, const struct vivo_node *node,
                       const uint8_t *v, struct vivo_buf *out)
{
    unsigned width = width_of(node->vr);
    bool big = h->syntax.big_endian != node->swapped;
    for (uint64_t i = 0; i + width <= node->length; i += width) {
        int rc = i ? vivo_buf_puts(out, "\\") : 0;
        if (!rc)
            rc = put_number(node->vr, v + i, big, out);
        if (rc)
            return rc;
    }
    return 0;
}

/* Values without the spaces around them; text is UTF-8, so '\\' parts values. */
static int put_trimmed(const char *s, size_t len, struct vivo_buf *out)
{
    for (size_t from = 0, to; from <= len; from = to + 1) {
        const char *end = memchr(s + from, '\\', len - from);
        to = end ? (size_t)(end - s) : len;
        size_t a = from, b = to;
        while (b > a && (s[b - 1] == ' ' || s[b - 1] == '\0'))
            b--;
        while (a < b && s[a] == ' ')
            a++;
        int rc = from ? vivo_buf_puts(out, "\\") : 0;
        if (!rc && b > a)
            rc = vivo_buf_add(out, s + a, b - a);
        if (rc)
            return rc;
    }
    return 0;
}

int vivo_ctp_value(const struct vivo_header *h, const struct vivo_ctp_path *path,
                   struct vivo_buf *out)
{
    char charset[512];
    const struct vivo_node *node = resolve(h, path);
    if (!node || node->kind != VIVO_NODE_ELEMENT || !node->length)
        return 0;
    const uint8_t *v = h->values.data + node->at;
    if (width_of(node->vr))
        return put_numbers(h, node, v, out);
    vivo_header_text(h, VIVO_TAG_SpecificCharacterSet, charset, sizeof charset);
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf text = {0};
    vivo_buf_init(&text, 8 * (size_t)node->length + 64);
    /* Nodes of private elements do not know their VR. */
    const char *vr = memcmp(node->vr, "UN", 2) ? node->vr : "LO";
    int rc = vivo_dcm_text(h->utf8 ? "ISO_IR 192" : charset, vr, v,
                           (size_t)node->length, &text);
    return rc ? rc : put_trimmed((const char *)text.data, text.len, out);
}
