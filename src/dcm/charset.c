/* SPDX-License-Identifier: Apache-2.0 */
/* src/dcm/charset.c -- text of any character set of DICOM as UTF-8 NFC.
 *
 * A value is decoded as one piece and split afterwards: the second byte of a
 * character may be a backslash (GB18030, kanji). ISO 2022 as PS3.5 section 6.1.2.5
 * has it; the sets' tables are in charset_table.c. */
#include "charset.h"

#include "vivofs/dcm.h"
#include "vivofs/text.h"

#include <errno.h>
#include <iconv.h>
#include <string.h>

#define ESC 0x1B
#define REPLACEMENT 0xFFFDu
#define ROW 94

struct charsets {             /* of a (0008,0005) */
    enum vivo_charset whole;  /* UTF8, GB18030, GBK: of everything; else ASCII */
    enum vivo_charset g0, g1; /* of the first value; in force until an escape */
    bool extends;
};

static struct charsets parse(const char *charset)
{
    struct charsets c = {VIVO_CHARSET_ASCII, VIVO_CHARSET_ASCII, VIVO_CHARSET_ASCII,
                         strchr(charset, '\\') != NULL};
    for (bool first = true;; first = false) {
        size_t n = strcspn(charset, "\\");
        enum vivo_charset set = vivo_charset_of_term(charset, n, &c.extends);
        if (set > VIVO_CHARSET_TABLES && set != VIVO_CHARSET_UNKNOWN)
            c.whole = set;
        if (first && set < VIVO_CHARSET_TABLES && !vivo_charset_is_g0(set))
            c.g1 = set;
        if (!charset[n])
            return c;
        charset += n + 1;
    }
}

/* ---- output -------------------------------------------------------------------- */

static int put(struct vivo_buf *b, unsigned c)
{
    uint8_t u[3];
    size_t n;
    if (c < 0x80) {
        u[0] = (uint8_t)c;
        n = 1;
    } else if (c < 0x800) {
        u[0] = (uint8_t)(0xC0 | c >> 6);
        u[1] = (uint8_t)(0x80 | (c & 0x3F));
        n = 2;
    } else {
        u[0] = (uint8_t)(0xE0 | c >> 12);
        u[1] = (uint8_t)(0x80 | (c >> 6 & 0x3F));
        u[2] = (uint8_t)(0x80 | (c & 0x3F));
        n = 3;
    }
    return vivo_buf_add(b, u, n);
}

/* Everything from `name` by iconv; what it refuses becomes U+FFFD byte by byte. */
static int put_iconv(const char *name, const uint8_t *s, size_t len,
                     struct vivo_buf *out)
{
    iconv_t cd = vivo_charset_open("UTF-8", name);
    VIVO_AUTO(vivo_free_p) char *in = malloc(len ? len : 1);
    int rc = in ? 0 : -ENOMEM;
    if (in)
        memcpy(in, s, len);
    char *from = in;
    size_t left = len;
    while (rc == 0 && left > 0) {
        char block[256];
        char *to = block;
        size_t room = sizeof block;
        size_t n = (size_t)-1;
        errno = EILSEQ;
        if (cd != (iconv_t)-1)
            n = iconv(cd, &from, &left, &to, &room);
        int why = errno;
        rc = vivo_buf_add(out, block, sizeof block - room);
        if (n != (size_t)-1 || why == E2BIG || rc < 0)
            continue;
        rc = put(out, REPLACEMENT);
        from++;
        left--;
    }
    if (cd != (iconv_t)-1)
        vivo_charset_close(cd);
    return rc;
}

/* ---- ISO 2022 ------------------------------------------------------------------ */

struct decoder {
    struct charsets first;
    enum vivo_charset g0, g1;
    bool split, name; /* '\\' and '^' '=' end the reach of an escape */
    const uint8_t *s;
    size_t len;
    struct vivo_buf *out;
};

/* One character of a set of two bytes; base is 0x21 in G0 and 0xA1 in G1. */
static int put_wide(struct decoder *d, enum vivo_charset set, uint8_t base)
{
    unsigned row = (unsigned)(d->s[0] - base);
    unsigned column = d->len > 1 ? (unsigned)(d->s[1] - base) : ROW;
    const uint16_t *table = vivo_charset_table(set);
    if (row >= ROW || column >= ROW) { /* below the base wraps to large numbers */
        d->s++;
        d->len--;
        return put(d->out, REPLACEMENT);
    }
    unsigned c = table ? table[row * ROW + column] : 0;
    d->s += 2;
    d->len -= 2;
    return put(d->out, c ? c : REPLACEMENT);
}

/* Shift-JIS where ISO_IR 13 was declared is a common mistake in old Japanese files,
 * and cannot be mistaken for anything else: these lead bytes are no katakana. */
static bool is_shift_jis(const struct decoder *d)
{
    if (d->g1 != VIVO_CHARSET_KATAKANA || d->len < 2)
        return false;
    uint8_t a = d->s[0];
    uint8_t b = d->s[1];
    return ((a >= 0x81 && a <= 0x9F) || (a >= 0xE0 && a <= 0xFC)) && b >= 0x40 &&
           b != 0x7F && b <= 0xFC;
}

static int put_high(struct decoder *d)
{
    if (vivo_charset_is_wide(d->g1))
        return put_wide(d, d->g1, 0xA1);
    if (is_shift_jis(d)) {
        d->s += 2;
        d->len -= 2;
        return put_iconv("CP932", d->s - 2, 2, d->out);
    }
    const uint16_t *table = vivo_charset_table(d->g1);
    unsigned c = table ? table[d->s[0] - 0x80] : 0;
    d->s++;
    d->len--;
    return put(d->out, c ? c : REPLACEMENT);
}

/* PS3.5 section 6.1.2.5.3: the first value's sets are in force again after these. */
static bool is_delimiter(const struct decoder *d, uint8_t c)
{
    return (c < 0x20 && c != ESC) || (c == '\\' && d->split) ||
           ((c == '^' || c == '=') && d->name);
}

static int put_low(struct decoder *d)
{
    uint8_t c = d->s[0];
    if (vivo_charset_is_wide(d->g0) && c > 0x20 && c != 0x7F)
        return put_wide(d, d->g0, 0x21);
    if (is_delimiter(d, c)) {
        d->g0 = d->first.g0;
        d->g1 = d->first.g1;
    }
    d->s++;
    d->len--;
    return put(d->out, c);
}

static int put_escape(struct decoder *d)
{
    enum vivo_charset set = VIVO_CHARSET_ASCII;
    bool g1 = false;
    size_t n = vivo_charset_escape(d->s, d->len, &set, &g1);
    if (n == 0) {
        d->s++;
        d->len--;
        return put(d->out, REPLACEMENT);
    }
    if (g1)
        d->g1 = set;
    else
        d->g0 = set;
    d->s += n;
    d->len -= n;
    return 0;
}

static int decode_iso(const struct charsets *c, const char *vr, const uint8_t *s,
                      size_t len, struct vivo_buf *out)
{
    struct decoder d = {
        .first = *c,
        .g0 = c->g0,
        .g1 = c->g1,
        .split = strcmp(vr, "ST") != 0 && strcmp(vr, "LT") != 0 &&
                 strcmp(vr, "UT") != 0 && strcmp(vr, "UR") != 0,
        .name = strcmp(vr, "PN") == 0,
        .s = s,
        .len = len,
        .out = out,
    };
    int rc = 0;
    while (d.len > 0 && rc == 0) {
        if (d.s[0] >= 0x80)
            rc = put_high(&d);
        else if (d.s[0] == ESC && c->extends)
            rc = put_escape(&d);
        else
            rc = put_low(&d);
    }
    return rc;
}

/* ---- the way in ---------------------------------------------------------------- */

bool vivo_charset_is_plain(const uint8_t *s, size_t len)
{
    uint8_t high = 0;
    for (size_t i = 0; i < len; i++)
        high |= s[i];
    return high < 0x80 && (len == 0 || !memchr(s, ESC, len));
}

int vivo_dcm_text(const char *charset, const char *vr, const void *text, size_t len,
                  struct vivo_buf *out)
{
    const uint8_t *s = text;
    if (vivo_charset_is_plain(s, len))
        return vivo_buf_add(out, s, len);
    struct charsets c = parse(charset);
    if (c.whole == VIVO_CHARSET_UTF8)
        return vivo_text_nfc(text, len, out);
    if (len > SIZE_MAX / 4)
        return -ENOSPC;
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf utf8;
    vivo_buf_init(&utf8, 4 * len); /* a byte gives at most U+FFFD: three bytes */
    int rc;
    if (c.whole == VIVO_CHARSET_ASCII)
        rc = decode_iso(&c, vr, s, len, &utf8);
    else
        rc = put_iconv(c.whole == VIVO_CHARSET_GBK ? "GBK" : "GB18030", s, len, &utf8);
    if (rc < 0)
        return rc;
    return vivo_text_nfc((const char *)utf8.data, utf8.len, out);
}
