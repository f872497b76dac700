/* SPDX-License-Identifier: Apache-2.0 */
/* src/base/text.c -- Unicode over utf8proc; see include/vivofs/text.h. */
#include "vivofs/text.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <utf8proc.h>

enum { REPLACEMENT = 0xFFFD };

static bool is_ascii(const char *s, size_t len)
{
    unsigned all = 0;
    for (size_t i = 0; i < len; i++)
        all |= (unsigned char)s[i];
    return all < 0x80;
}

/* The next character; a byte that is not UTF-8 counts as one U+FFFD. */
static size_t next_char(const char *s, size_t len, utf8proc_int32_t *out)
{
    utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)s,
                                          (utf8proc_ssize_t)VIVO_MIN(len, 4u), out);
    if (n > 0)
        return (size_t)n;
    *out = REPLACEMENT;
    return 1;
}

size_t vivo_text_utf8(uint32_t c, char out[4])
{
    utf8proc_ssize_t n = c > 0x10FFFF ? 0
                                      : utf8proc_encode_char((utf8proc_int32_t)c,
                                                             (utf8proc_uint8_t *)out);
    return (size_t)n;
}

static int put_char(struct vivo_buf *out, utf8proc_int32_t c)
{
    char bytes[4];
    return vivo_buf_add(out, bytes, vivo_text_utf8((uint32_t)c, bytes));
}

static int repair(const char *s, size_t len, struct vivo_buf *out)
{
    int rc = 0;
    for (size_t i = 0; i < len && !rc;) {
        utf8proc_int32_t c;
        i += next_char(s + i, len - i, &c);
        rc = put_char(out, c);
    }
    return rc;
}

int vivo_text_nfc(const char *s, size_t len, struct vivo_buf *out)
{
    if (is_ascii(s, len))
        return vivo_buf_add(out, s, len);
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf fixed = {0};
    vivo_buf_init(&fixed, len * 3 + 4);
    int rc = repair(s, len, &fixed);
    if (rc)
        return rc;
    VIVO_AUTO(vivo_free_p) utf8proc_uint8_t *nfc = NULL;
    utf8proc_ssize_t n = utf8proc_map(fixed.data, (utf8proc_ssize_t)fixed.len, &nfc,
                                      UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    if (n < 0)
        return n == UTF8PROC_ERROR_NOMEM ? -ENOMEM
                                         : vivo_buf_add(out, fixed.data, fixed.len);
    return vivo_buf_add(out, nfc, (size_t)n);
}

/* CaseFolding.txt C + S: the full folding where it is one character, else (ß and
 * the like) the plain lower case; but for the dotted capital I, which has none. */
static utf8proc_int32_t fold_char(utf8proc_int32_t c)
{
    utf8proc_int32_t folded[8];
    int boundary = 0;
    utf8proc_ssize_t n =
        utf8proc_decompose_char(c, folded, 8, UTF8PROC_CASEFOLD, &boundary);
    if (n == 1)
        return folded[0];
    return c == 0x130 ? c : utf8proc_tolower(c);
}

int vivo_text_fold(const char *s, size_t len, struct vivo_buf *out)
{
    if (is_ascii(s, len)) {
        uint8_t *to = vivo_buf_reserve(out, len);
        if (!to)
            return -ENOSPC;
        for (size_t i = 0; i < len; i++)
            to[i] = (uint8_t)(s[i] >= 'A' && s[i] <= 'Z' ? s[i] | 0x20 : s[i]);
        out->len += len;
        out->data[out->len] = 0;
        return 0;
    }
    int rc = 0;
    for (size_t i = 0; i < len && !rc;) {
        utf8proc_int32_t c;
        i += next_char(s + i, len - i, &c);
        rc = put_char(out, fold_char(c));
    }
    return rc;
}

static bool is_safe(utf8proc_int32_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c > 0 && c < 128 && strchr("._+=@-", (char)c));
}

/* Latin letters that no decomposition takes apart. */
static const char *latin_letters(utf8proc_int32_t c)
{
    static const struct {
        utf8proc_int32_t c;
        const char *to;
    } table[] = {
        {0xC6, "AE"},  {0xD0, "D"},  {0xD8, "O"},  {0xDE, "TH"}, {0xDF, "ss"},
        {0xE6, "ae"},  {0xF0, "d"},  {0xF8, "o"},  {0xFE, "th"}, {0x110, "D"},
        {0x111, "d"},  {0x131, "i"}, {0x141, "L"}, {0x142, "l"}, {0x152, "OE"},
        {0x153, "oe"}, {0x126, "H"}, {0x127, "h"}, {0x166, "T"}, {0x167, "t"},
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(table); i++)
        if (table[i].c == c)
            return table[i].to;
    return NULL;
}

/* Appends one safe letter: '-' is squeezed, and '.' and '-' may not begin. */
static int put_safe(struct vivo_buf *out, size_t start, char c, bool *changed)
{
    bool first = out->len == start;
    bool after_dash = !first && out->data[out->len - 1] == '-';
    if ((first && (c == '.' || c == '-')) || (after_dash && c == '-')) {
        *changed = true;
        return 0;
    }
    return vivo_buf_add(out, &c, 1);
}

static int put_letters(struct vivo_buf *out, size_t start, utf8proc_int32_t c,
                       bool *changed)
{
    utf8proc_int32_t parts[32];
    int boundary = 0;
    *changed = true;
    const char *latin = latin_letters(c);
    int rc = 0;
    for (; latin && *latin && !rc; latin++)
        rc = put_safe(out, start, *latin, changed);
    if (latin || rc)
        return rc;
    utf8proc_ssize_t n = utf8proc_decompose_char(
        c, parts, 32, UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT | UTF8PROC_STRIPMARK,
        &boundary);
    if (n == 0) /* a combining mark by itself belongs to the letter before it */
        return 0;
    bool all = n > 0 && n <= 32;
    for (utf8proc_ssize_t i = 0; i < n && all; i++)
        all = is_safe(parts[i]);
    if (!all)
        return put_safe(out, start, '-', changed);
    for (utf8proc_ssize_t i = 0; i < n && !rc; i++)
        rc = put_safe(out, start, (char)parts[i], changed);
    return rc;
}

int vivo_text_safe(const char *s, size_t len, struct vivo_buf *out, bool *changed)
{
    bool ignored = false;
    bool *flag = changed ? changed : &ignored;
    *flag = false;
    size_t start = out->len;
    int rc = 0;
    for (size_t i = 0; i < len && !rc;) {
        utf8proc_int32_t c;
        i += next_char(s + i, len - i, &c);
        rc = is_safe(c) ? put_safe(out, start, (char)c, flag)
                        : put_letters(out, start, c, flag);
    }
    return rc;
}

enum { WORD_MAX = 64 };

static bool same(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

size_t vivo_text_distance(const char *a, const char *b, size_t cap)
{
    size_t la = strlen(a);
    size_t lb = strlen(b);
    size_t apart = la > lb ? la - lb : lb - la;
    if (la > WORD_MAX || lb > WORD_MAX || apart >= cap)
        return cap;
    size_t rows[3][WORD_MAX + 1]; /* this one and the two above, in turn */
    size_t least_above = 0;
    for (size_t j = 0; j <= lb; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= la; i++) {
        size_t *row = rows[i % 3];
        const size_t *up = rows[(i + 2) % 3];
        size_t least = row[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            size_t best = VIVO_MIN(up[j], row[j - 1]) + 1;
            row[j] = VIVO_MIN(best, up[j - 1] + !same(a[i - 1], b[j - 1]));
            if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]))
                row[j] = VIVO_MIN(row[j], rows[(i + 1) % 3][j - 2] + 1);
            least = VIVO_MIN(least, row[j]);
        }
        if (VIVO_MIN(least, least_above) >= cap)
            return cap;
        least_above = least;
    }
    return VIVO_MIN(rows[la % 3][lb], cap);
}

const char *vivo_text_nearest(const char *s, const char *const *candidates, size_t n)
{
    size_t limit = strlen(s) / 3 + 1;
    size_t best = limit + 1;
    const char *found = NULL;
    for (size_t i = 0; i < n; i++) {
        size_t d = vivo_text_distance(s, candidates[i], best);
        if (d < best) {
            best = d;
            found = candidates[i];
        }
    }
    return found;
}
