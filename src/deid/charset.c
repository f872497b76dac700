/* SPDX-License-Identifier: Apache-2.0 */
/* src/deid/charset.c -- where the characters of a text begin and end.
 *
 * Text is cut in its own character set, on whole characters: PS3.5 section 6.1 and
 * PS3.3 C.12.1.1.2. Whether the bytes are right is not judged here: who decodes the
 * characters one by one must get what he gets for the whole. */
#include "charset.h"

#include <string.h>

void vivo_charset_init(struct vivo_charset *c, const char *charset, const char *vr)
{
    memset(c, 0, sizeof *c);
    c->splits = !strstr("ST LT UT UR", vr);
    c->name = !strcmp(vr, "PN");
    if (strchr(charset, '\\') || !strncmp(charset, "ISO 2022", 8))
        c->form = VIVO_CHARSET_ESCAPES;
    else if (!strncmp(charset, "ISO_IR 192", 10))
        c->form = VIVO_CHARSET_UTF8;
    else if (!strncmp(charset, "GB", 2))
        c->form = VIVO_CHARSET_GB;
}

static size_t next_utf8(const uint8_t *v, size_t len)
{
    size_t want = *v < 0xC0 ? 1 : *v < 0xE0 ? 2 : *v < 0xF0 ? 3 : 4, n = 1;
    while (n < want && n < len && (v[n] & 0xC0) == 0x80)
        n++;
    return n;
}

static size_t next_gb(const uint8_t *v, size_t len)
{
    if (*v < 0x81 || len < 2)
        return 1;
    if (v[1] >= '0' && v[1] <= '9')
        return len < 4 ? len : 4;
    return 2;
}

/* PS3.3 Tables C.12-3 and C.12-4: ESC ( F, ESC ) F, ESC - F, ESC $ B, ESC $ ( D,
 * ESC $ ) C. */
static size_t next_escape(struct vivo_charset *c, const uint8_t *v, size_t len)
{
    bool wide = len > 1 && v[1] == '$';
    size_t n = wide && len > 2 && memchr("()", v[2], 2) ? 4 : 3;
    if (len < n)
        return len;
    uint8_t kind = v[n - 2];
    bool g1 = kind == ')' || kind == '-';
    char *set = g1 ? c->g1 : c->g0;
    memcpy(set, v, n);
    set[n] = '\0';
    if (g1)
        c->wide_g1 = wide;
    else
        c->wide_g0 = wide;
    return n;
}

static bool resets(const struct vivo_charset *c, uint8_t b)
{
    return b == '\n' || b == '\r' || b == '\f' || b == '\t' ||
           (b == '\\' && c->splits) || ((b == '^' || b == '=') && c->name);
}

size_t vivo_charset_next(struct vivo_charset *c, const uint8_t *v, size_t len,
                         bool *escape)
{
    *escape = false;
    if (c->form == VIVO_CHARSET_UTF8)
        return next_utf8(v, len);
    if (c->form == VIVO_CHARSET_GB)
        return next_gb(v, len);
    if (c->form == VIVO_CHARSET_BYTES)
        return 1;
    if (*v == 0x1B) {
        *escape = true;
        return next_escape(c, v, len);
    }
    bool wide = *v >= 0x80 ? c->wide_g1 : c->wide_g0 && *v > 0x20;
    if (wide)
        return len < 2 ? len : 2;
    if (resets(c, *v)) {
        c->g0[0] = c->g1[0] = '\0';
        c->wide_g0 = c->wide_g1 = false;
    }
    return 1;
}
