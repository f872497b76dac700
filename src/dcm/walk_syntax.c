/* SPDX-License-Identifier: Apache-2.0 */
/* src/dcm/walk_syntax.c -- transfer syntaxes, the two forms of an explicit VR, and
 * telling a syntax from the first element of a data set.
 *
 * Source: PS3.5 sections 6.2, 7.1.2, 10 and Annex A; PS3.6 Table A-1. */
#include "walk.h"

#include <string.h>

const struct vivo_syntax vivo_dcm_syntax_ile = {
    .uid = "1.2.840.10008.1.2",
    .implicit = true,
};
const struct vivo_syntax vivo_dcm_syntax_ele = {.uid = "1.2.840.10008.1.2.1"};
const struct vivo_syntax vivo_dcm_syntax_ebe = {
    .uid = "1.2.840.10008.1.2.2",
    .big_endian = true,
};
static const struct vivo_syntax deflated = {
    .uid = "1.2.840.10008.1.2.1.99",
    .deflated = true,
};
/* GE's private syntax: implicit little endian but for the pixels' byte order. */
static const struct vivo_syntax ge_private = {
    .uid = "1.2.840.113619.5.2",
    .implicit = true,
};
static const struct vivo_syntax unknown = {.uid = "", .encapsulated = true};

/* The encapsulated ones of PS3.6 Table A-1. */
static const struct vivo_syntax encapsulated[] = {
#define ROW(suffix)                                                                    \
    {                                                                                  \
        .uid = "1.2.840.10008.1.2." suffix, .encapsulated = true                       \
    }
    ROW("4.50"),  ROW("4.51"),  ROW("4.52"),  ROW("4.53"),  ROW("4.54"),  ROW("4.55"),
    ROW("4.56"),  ROW("4.57"),  ROW("4.58"),  ROW("4.59"),  ROW("4.60"),  ROW("4.61"),
    ROW("4.62"),  ROW("4.63"),  ROW("4.64"),  ROW("4.65"),  ROW("4.66"),  ROW("4.70"),
    ROW("4.80"),  ROW("4.81"),  ROW("4.90"),  ROW("4.91"),  ROW("4.92"),  ROW("4.93"),
    ROW("4.94"),  ROW("4.95"),  ROW("4.100"), ROW("4.101"), ROW("4.102"), ROW("4.103"),
    ROW("4.104"), ROW("4.105"), ROW("4.106"), ROW("4.107"), ROW("4.108"), ROW("4.110"),
    ROW("4.111"), ROW("4.112"), ROW("4.201"), ROW("4.202"), ROW("4.203"), ROW("4.204"),
    ROW("4.205"), ROW("5"),     ROW("6.1"),   ROW("6.2"),   ROW("7.1"),   ROW("7.2"),
    ROW("7.3"),   ROW("8.1"),   ROW("1.98"), /* native pixels in fragments */
#undef ROW
};

static bool is_uid(const struct vivo_syntax *s, const char *uid, size_t len)
{
    return strlen(s->uid) == len && memcmp(s->uid, uid, len) == 0;
}

const struct vivo_syntax *vivo_dcm_syntax(const char *uid, size_t len)
{
    static const struct vivo_syntax *const singles[] = {
        &vivo_dcm_syntax_ele, &vivo_dcm_syntax_ile, &vivo_dcm_syntax_ebe, &deflated,
        &ge_private,
    };
    while (len > 0 && (uid[len - 1] == '\0' || uid[len - 1] == ' '))
        len--;
    if (len == 0)
        return NULL;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(singles); i++)
        if (is_uid(singles[i], uid, len))
            return singles[i];
    for (size_t i = 0; i < VIVO_ARRAY_LEN(encapsulated); i++)
        if (is_uid(&encapsulated[i], uid, len))
            return &encapsulated[i];
    return &unknown;
}

/* By first and second letter: the form, and whether values are padded with spaces. */
enum { TEXT = 16, FORM = 15 };
#define AT(c) [(c) - 'A']
static const uint8_t vrs[26][26] = {
    AT('A') = {AT('E') = VR_SHORT | TEXT, AT('S') = VR_SHORT | TEXT,
               AT('T') = VR_SHORT},
    AT('C') = {AT('S') = VR_SHORT | TEXT},
    AT('D') = {AT('A') = VR_SHORT | TEXT, AT('S') = VR_SHORT | TEXT,
               AT('T') = VR_SHORT | TEXT},
    AT('F') = {AT('D') = VR_SHORT, AT('L') = VR_SHORT},
    AT('I') = {AT('S') = VR_SHORT | TEXT},
    AT('L') = {AT('O') = VR_SHORT | TEXT, AT('T') = VR_SHORT | TEXT},
    AT('O') = {AT('B') = VR_LONG, AT('D') = VR_LONG, AT('F') = VR_LONG,
               AT('L') = VR_LONG, AT('V') = VR_LONG, AT('W') = VR_LONG},
    AT('P') = {AT('N') = VR_SHORT | TEXT},
    AT('S') = {AT('H') = VR_SHORT | TEXT, AT('L') = VR_SHORT, AT('Q') = VR_LONG,
               AT('S') = VR_SHORT, AT('T') = VR_SHORT | TEXT, AT('V') = VR_LONG},
    AT('T') = {AT('M') = VR_SHORT | TEXT},
    AT('U') = {AT('C') = VR_LONG | TEXT, AT('I') = VR_SHORT, AT('L') = VR_SHORT,
               AT('N') = VR_LONG, AT('R') = VR_LONG | TEXT, AT('S') = VR_SHORT,
               AT('T') = VR_LONG | TEXT, AT('V') = VR_LONG},
};
#undef AT

enum vr_form vivo_dcm_vr_form(const char vr[2])
{
    unsigned a = (unsigned char)vr[0] - 'A', b = (unsigned char)vr[1] - 'A';

    if (a > 25 || b > 25)
        return VR_NOT;
    return vrs[a][b] ? (enum vr_form)(vrs[a][b] & FORM) : VR_UNKNOWN;
}

uint8_t vivo_dcm_vr_padding(const char vr[2])
{
    unsigned a = (unsigned char)vr[0] - 'A', b = (unsigned char)vr[1] - 'A';

    return a < 26 && b < 26 && vrs[a][b] & TEXT ? ' ' : 0;
}

/* A group that a data set may well begin with, read in the right byte order; the
 * same bytes read in the other one give 0x0400, 0x0800 or 0x1000. */
static bool is_first_group(unsigned group)
{
    return group == 0x0004 || group == 0x0008 || group == 0x0010;
}

static bool speaks_explicit(const uint8_t *p, uint32_t tag)
{
    const char vr[2] = {(char)p[4], (char)p[5]};
    enum vr_form form = vivo_dcm_vr_form(vr);
    const struct vivo_dict *d;

    if (form != VR_SHORT && form != VR_LONG)
        return false;
    if ((tag & 0xFFFF) == 0)
        return memcmp(vr, "UL", 2) == 0;
    d = vivo_dcm_dict(tag);
    return d && (d->either || memcmp(d->vr, vr, 2) == 0 || memcmp(vr, "UN", 2) == 0);
}

static bool speaks_implicit(const uint8_t *p, uint32_t tag)
{
    uint32_t len = vivo_le32(p + 4);
    const struct vivo_dict *d;

    if ((tag & 0xFFFF) == 0)
        return len == 4;
    d = vivo_dcm_dict(tag);
    if (!d)
        return false;
    return len == VIVO_DCM_UNDEFINED ? memcmp(d->vr, "SQ", 2) == 0 : len < 1u << 28;
}

const struct vivo_syntax *vivo_dcm_settle(const struct vivo_syntax *declared,
                                          const uint8_t *p, size_t n)
{
    uint32_t le, be;
    bool letters;

    if (n < 8)
        return declared ? declared : &vivo_dcm_syntax_ele;
    le = (uint32_t)vivo_le16(p) << 16 | vivo_le16(p + 2);
    be = (uint32_t)vivo_be16(p) << 16 | vivo_be16(p + 2);
    letters = vivo_dcm_vr_form((const char[]){(char)p[4], (char)p[5]}) != VR_NOT;
    if (declared && !declared->implicit && letters) {
        bool big = declared->big_endian;
        if (!big && is_first_group(be >> 16) && speaks_explicit(p, be) &&
            !speaks_explicit(p, le))
            return &vivo_dcm_syntax_ebe;
        if (big && is_first_group(le >> 16) && speaks_explicit(p, le))
            return &vivo_dcm_syntax_ele;
        return declared;
    }
    if (speaks_explicit(p, le))
        return &vivo_dcm_syntax_ele;
    if (is_first_group(be >> 16) && speaks_explicit(p, be))
        return &vivo_dcm_syntax_ebe;
    if (speaks_implicit(p, le))
        return &vivo_dcm_syntax_ile;
    return declared;
}
