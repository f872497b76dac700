/* SPDX-License-Identifier: Apache-2.0 */
/* src/model/attrs.c -- data sets in attrs form (model.h): iterate, find, text, put.
 *
 * The bytes may come from a damaged catalog or a hostile archive: nothing here
 * trusts a length. Encoding: PS3.5 section 7.1.2 (Explicit VR Little Endian). */
#include "vivofs/model.h"

#include "span.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ITEM_TAG 0xFFFEE000u

const char *vivo_level_name(enum vivo_level level)
{
    switch (level) {
    case VIVO_LEVEL_COLLECTION:
        return "collection";
    case VIVO_LEVEL_PATIENT:
        return "patient";
    case VIVO_LEVEL_STUDY:
        return "study";
    case VIVO_LEVEL_SERIES:
        return "series";
    case VIVO_LEVEL_INSTANCE:
        return "instance";
    case VIVO_LEVEL_NONE:
        break;
    }
    return "none";
}

/* ---- reading --------------------------------------------------------------- */

#define VR(a, b) ((unsigned)(a) << 8 | (unsigned)(b))

static unsigned vr_code(const char *vr)
{
    return VR((uint8_t)vr[0], (uint8_t)vr[1]);
}

/* PS3.5 table 7.1-1: these have two reserved bytes and a length of 32 bits. */
static inline bool has_long_length(unsigned vr)
{
#define LETTER(c) (1u << ((c) - 'A'))
    const unsigned o = LETTER('B') | LETTER('D') | LETTER('F') | LETTER('L') |
                       LETTER('V') | LETTER('W');
    const unsigned s = LETTER('Q') | LETTER('V');
    const unsigned u =
        LETTER('C') | LETTER('N') | LETTER('R') | LETTER('T') | LETTER('V');
#undef LETTER
    unsigned first = vr >> 8, second = (vr & 0xFF) - 'A';
    unsigned seconds = first == 'O' ? o : first == 'S' ? s : first == 'U' ? u : 0;
    return second < 26 && (seconds >> second & 1);
}

static uint32_t tag_at(const uint8_t *p)
{
    return (uint32_t)vivo_le16(p) << 16 | vivo_le16(p + 2);
}

/* The sizes of the element at p, which must lie within `left` bytes; false = it does
 * not. */
static inline bool measure(const uint8_t *p, size_t left, size_t *head, size_t *len)
{
    if (left < 8)
        return false;
    *head = 8;
    *len = vivo_le16(p + 6);
    if (has_long_length(VR(p[4], p[5]))) {
        if (left < 12)
            return false;
        *head = 12;
        *len = vivo_le32(p + 8);
    }
    return *len <= left - *head;
}

bool vivo_attrs_next(struct vivo_attrs *it, struct vivo_attr *out)
{
    const uint8_t *p = it->data;
    size_t head, len;
    if (!measure(p, it->len, &head, &len)) {
        it->len = 0;
        return false;
    }
    out->tag = tag_at(p);
    out->vr[0] = (char)p[4];
    out->vr[1] = (char)p[5];
    out->vr[2] = '\0';
    out->value = p + head;
    out->len = (uint32_t)len;
    it->data = p + head + len;
    it->len -= head + len;
    return true;
}

bool vivo_attrs_next_item(struct vivo_attrs *it, struct vivo_attrs *item)
{
    const uint8_t *p = it->data;
    if (it->len < 8 || tag_at(p) != ITEM_TAG) {
        it->len = 0;
        return false;
    }
    uint32_t len = vivo_le32(p + 4);
    if (len > it->len - 8) {
        it->len = 0;
        return false;
    }
    item->data = p + 8;
    item->len = len;
    it->data = p + 8 + len;
    it->len -= 8 + (size_t)len;
    return true;
}

bool vivo_attrs_find(struct vivo_attrs a, uint32_t tag, struct vivo_attr *out)
{
    size_t head, len;
    while (measure(a.data, a.len, &head, &len)) {
        uint32_t at = tag_at(a.data);
        if (at == tag)
            return vivo_attrs_next(&a, out);
        if (at > tag) /* ascending order */
            return false;
        a.data += head + len;
        a.len -= head + len;
    }
    return false;
}

/* ---- text ------------------------------------------------------------------- */

static void trim(const char **s, size_t *len)
{
    while (*len > 0 && ((*s)[*len - 1] == ' ' || (*s)[*len - 1] == '\0'))
        (*len)--;
    while (*len > 0 && (**s == ' ' || **s == '\0')) {
        (*s)++;
        (*len)--;
    }
}

/* Bytes of one value of a binary VR; 0 = not numeric. */
static size_t number_size(unsigned vr)
{
    switch (vr) {
    case VR('U', 'S'):
    case VR('S', 'S'):
        return 2;
    case VR('U', 'L'):
    case VR('S', 'L'):
    case VR('F', 'L'):
    case VR('A', 'T'):
        return 4;
    case VR('F', 'D'):
    case VR('S', 'V'):
    case VR('U', 'V'):
        return 8;
    default:
        return 0;
    }
}

static bool is_opaque(unsigned vr)
{
    switch (vr) {
    case VR('S', 'Q'):
    case VR('O', 'B'):
    case VR('O', 'D'):
    case VR('O', 'F'):
    case VR('O', 'L'):
    case VR('O', 'V'):
    case VR('O', 'W'):
    case VR('-', '-'):
        return true;
    default:
        return false;
    }
}

/* PS3.5 section 6.2: a backslash is an ordinary character in these. */
static bool is_single_text(unsigned vr)
{
    return vr == VR('S', 'T') || vr == VR('L', 'T') || vr == VR('U', 'T') ||
           vr == VR('U', 'R');
}

/* The fewest digits that give the same number back. */
static void print_float(double v, int least, int most, char *out, size_t cap)
{
    for (int digits = least; digits <= most; digits++) {
        snprintf(out, cap, "%.*g", digits, v);
        double back = strtod(out, NULL);
        if (most > 9 ? !(back < v || back > v)
                     : !((float)back < (float)v || (float)back > (float)v))
            return;
    }
}

static void print_number(unsigned vr, const uint8_t *p, char *out, size_t cap)
{
    uint32_t u32 = number_size(vr) >= 4 ? vivo_le32(p) : 0;
    uint64_t u64 = number_size(vr) == 8 ? (uint64_t)vivo_le32(p + 4) << 32 | u32 : 0;
    float f;
    double d;
    switch (vr) {
    case VR('U', 'S'):
        snprintf(out, cap, "%u", (unsigned)vivo_le16(p));
        break;
    case VR('S', 'S'):
        snprintf(out, cap, "%d", (int)(int16_t)vivo_le16(p));
        break;
    case VR('U', 'L'):
        snprintf(out, cap, "%lu", (unsigned long)u32);
        break;
    case VR('S', 'L'):
        snprintf(out, cap, "%ld", (long)(int32_t)u32);
        break;
    case VR('A', 'T'): /* as PS3.18 section F.2.3 writes it */
        snprintf(out, cap, "%08lX", (unsigned long)tag_at(p));
        break;
    case VR('U', 'V'):
        snprintf(out, cap, "%llu", (unsigned long long)u64);
        break;
    case VR('S', 'V'):
        snprintf(out, cap, "%lld", (long long)(int64_t)u64);
        break;
    case VR('F', 'L'):
        memcpy(&f, &u32, sizeof f);
        print_float((double)f, 6, 9, out, cap);
        break;
    default: /* FD */
        memcpy(&d, &u64, sizeof d);
        print_float(d, 15, 17, out, cap);
        break;
    }
}

bool vivo_attrs_span(struct vivo_attrs a, uint32_t tag, struct vivo_attr_span *out)
{
    struct vivo_attr e;
    *out = (struct vivo_attr_span){"", 0};
    if (!vivo_attrs_find(a, tag, &e))
        return false;
    unsigned vr = vr_code(e.vr);
    if (is_opaque(vr) || number_size(vr) > 0)
        return false;
    const char *s = (const char *)e.value;
    size_t len = e.len;
    trim(&s, &len);
    if (len == 0)
        return false;
    out->s = s;
    out->len = len;
    return true;
}

/* Copies at most cap - 1 bytes, cut before a UTF-8 character that does not fit. */
static void copy_cut(char *out, size_t cap, const char *s, size_t len)
{
    if (len > cap - 1) {
        len = cap - 1;
        while (len > 0 && ((uint8_t)s[len] & 0xC0) == 0x80)
            len--;
    }
    memcpy(out, s, len);
    out[len] = '\0';
}

bool vivo_attrs_text(struct vivo_attrs a, uint32_t tag, char *out, size_t cap)
{
    struct vivo_attr e;
    out[0] = '\0';
    if (!vivo_attrs_find(a, tag, &e))
        return false;
    unsigned vr = vr_code(e.vr);
    size_t size = number_size(vr);
    if (size > 0) {
        if (e.len < size)
            return false;
        print_number(vr, e.value, out, cap);
        return true;
    }
    if (is_opaque(vr) || e.len == 0)
        return false;
    const char *s = (const char *)e.value;
    size_t len = e.len;
    const char *split = is_single_text(vr) ? NULL : memchr(s, '\\', len);
    if (split)
        len = (size_t)(split - s);
    trim(&s, &len);
    copy_cut(out, cap, s, len);
    return out[0] != '\0';
}

void vivo_values_of(const struct vivo_attr *a, struct vivo_values *out)
{
    *out = (struct vivo_values){.attr = *a,
                                .over = a->len == 0 || is_opaque(vr_code(a->vr))};
}

static bool next_number(struct vivo_values *it, size_t size, char *out, size_t cap)
{
    if (it->attr.len - it->at < size)
        return false;
    print_number(vr_code(it->attr.vr), it->attr.value + it->at, out, cap);
    it->at += (uint32_t)size;
    return true;
}

bool vivo_values_next(struct vivo_values *it, char *out, size_t cap)
{
    unsigned vr = vr_code(it->attr.vr);
    size_t size = number_size(vr);
    out[0] = '\0';
    if (it->over)
        return false;
    if (size > 0)
        return next_number(it, size, out, cap);
    const char *s = (const char *)it->attr.value + it->at;
    size_t left = it->attr.len - it->at;
    const char *split = is_single_text(vr) ? NULL : memchr(s, '\\', left);
    size_t len = split ? (size_t)(split - s) : left;
    it->at += (uint32_t)(len + (split != NULL));
    it->over = !split;
    trim(&s, &len);
    copy_cut(out, cap, s, len);
    return true;
}

/* ---- writing ----------------------------------------------------------------- */

/* Values are cut here too, so that every data set keeps the limit of model.h. */
static size_t cut_value(unsigned vr, const uint8_t *value, size_t len)
{
    if (len <= VIVO_ATTRS_VALUE_MAX || vr == VR('S', 'Q'))
        return len;
    len = VIVO_ATTRS_VALUE_MAX; /* a multiple of every binary size */
    if (is_opaque(vr) || number_size(vr) > 0 || vr == VR('U', 'N'))
        return len;
    for (int i = 0; i < 3 && (value[len] & 0xC0) == 0x80; i++)
        len--;
    return len;
}

int vivo_attrs_put(struct vivo_buf *b, uint32_t tag, const char *vr, const void *value,
                   size_t len)
{
    unsigned code = vr_code(vr);
    bool wide = has_long_length(code);
    len = cut_value(code, value, len);
    size_t padded = len + (len & 1);
    if (padded > UINT32_MAX - 1)
        return -ENOSPC;
    size_t head = wide ? 12 : 8;
    uint8_t *p = vivo_buf_reserve(b, head + padded);
    if (!p)
        return head + padded > b->max - b->len ? -ENOSPC : -ENOMEM;
    vivo_put_le16(p, (uint16_t)(tag >> 16));
    vivo_put_le16(p + 2, (uint16_t)tag);
    p[4] = (uint8_t)vr[0];
    p[5] = (uint8_t)vr[1];
    if (wide) {
        p[6] = p[7] = 0;
        vivo_put_le32(p + 8, (uint32_t)padded);
    } else {
        vivo_put_le16(p + 6, (uint16_t)padded);
    }
    if (len > 0)
        memcpy(p + head, value, len);
    if (padded != len) { /* PS3.5 section 6.2: text with a space, UI and bytes with 0 */
        bool zero = code == VR('U', 'I') || code == VR('U', 'N') || is_opaque(code) ||
                    number_size(code) > 0;
        p[head + len] = zero ? 0 : ' ';
    }
    b->len += head + padded;
    return 0;
}
