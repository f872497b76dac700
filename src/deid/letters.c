/* SPDX-License-Identifier: Apache-2.0 */
/* src/deid/letters.c -- a text as folded letters that know their bytes.
 *
 * Each character of the element's own character set is decoded by itself, so that
 * what is decided about letters can be done to bytes. If the parts do not give what
 * the whole gives, the text counts as not decodable. */
#include "charset.h"
#include "options.h"

#include "vivofs/text.h"

#include <errno.h>
#include <string.h>

void vivo_letters_free(struct vivo_letters *t)
{
    free(t->l);
    free(t->u);
    free(t->w);
    memset(t, 0, sizeof *t);
}

bool vivo_letter_in_word(const struct vivo_letter *l)
{
    return l->cls >= VIVO_LETTER_DIGIT;
}

static size_t next_code(const uint8_t *s, size_t len, uint32_t *c)
{
    static const uint8_t first[] = {0xFF, 0x1F, 0x0F, 0x07};
    size_t n = *s < 0x80 ? 1 : *s < 0xE0 ? 2 : *s < 0xF0 ? 3 : 4;
    n = VIVO_MIN(n, len);
    *c = *s & first[n - 1];
    for (size_t i = 1; i < n; i++)
        *c = *c << 6 | (s[i] & 0x3F);
    return n;
}

/* Digits and letters of other scripts and widths that stand for ASCII ones. */
static uint32_t plain(uint32_t c)
{
    if (c >= 0xFF10 && c <= 0xFF19)
        return c - 0xFF10 + '0';
    if (c >= 0xFF21 && c <= 0xFF3A)
        return c - 0xFF21 + 'a';
    if (c >= 0xFF41 && c <= 0xFF5A)
        return c - 0xFF41 + 'a';
    if (c >= 0xFF01 && c <= 0xFF5E)
        return c - 0xFF01 + '!';
    if (c >= 0x0660 && c <= 0x0669)
        return c - 0x0660 + '0';
    if (c >= 0x06F0 && c <= 0x06F9)
        return c - 0x06F0 + '0';
    if (c >= 0x2010 && c <= 0x2015)
        return '-';
    return c;
}

static uint8_t class_of(uint32_t c)
{
    if (c < 0x80) {
        if (c >= '0' && c <= '9')
            return VIVO_LETTER_DIGIT;
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
            return VIVO_LETTER_ALPHA;
        return c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == '\f'
                   ? VIVO_LETTER_SPACE
                   : VIVO_LETTER_OTHER;
    }
    if (c >= 0x300 && c <= 0x36F)
        return VIVO_LETTER_MARK;
    if (c == 0xA0 || c == 0x3000 || (c >= 0x2000 && c <= 0x200A))
        return VIVO_LETTER_SPACE;
    if (c == 0xAD || (c >= 0x200B && c <= 0x200F)) /* soft hyphen, zero width */
        return VIVO_LETTER_MARK;
    if ((c < 0xC0 && c != 0xAA && c != 0xB5 && c != 0xBA) || c == 0xD7 || c == 0xF7)
        return VIVO_LETTER_OTHER;
    if ((c >= 0x2010 && c <= 0x206F) || (c >= 0x3001 && c <= 0x303F && c != 0x3005) ||
        c == 0xFFFD)
        return VIVO_LETTER_OTHER;
    return VIVO_LETTER_ALPHA;
}

static int add_letter(struct vivo_letters *t, uint32_t c, uint32_t unit, bool upper)
{
    if (t->n == t->cap) {
        uint32_t cap = 2 * t->cap + 16;
        struct vivo_letter *l = realloc(t->l, cap * sizeof *l);
        if (!l)
            return -ENOMEM;
        t->l = l;
        t->cap = cap;
    }
    c = plain(c);
    t->l[t->n++] =
        (struct vivo_letter){.c = c, .unit = unit, .cls = class_of(c), .upper = upper};
    return 0;
}

static int add_ascii(struct vivo_letters *t, uint8_t b, uint32_t unit)
{
    bool upper = b >= 'A' && b <= 'Z';
    return add_letter(t, upper ? b + 32u : b, unit, upper);
}

static bool is_latin(const struct vivo_buf *b)
{
    for (size_t i = 0; i < b->len; i++)
        if (class_of(b->data[i]) != VIVO_LETTER_ALPHA)
            return false;
    return b->len > 0;
}

/* One character as UTF-8: folded, Latin letters without accents. */
static int add_utf8(struct vivo_letters *t, const struct vivo_buf *one, uint32_t unit)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf folded = {0}, latin = {0};
    vivo_buf_init(&folded, 256);
    vivo_buf_init(&latin, 256);
    if (one->len == 1)
        return add_ascii(t, one->data[0], unit);
    int rc = vivo_text_fold((const char *)one->data, one->len, &folded);
    if (!rc)
        rc = vivo_text_safe((const char *)folded.data, folded.len, &latin, NULL);
    if (rc)
        return rc;
    bool upper =
        folded.len != one->len || memcmp(folded.data, one->data, one->len) != 0;
    const struct vivo_buf *use = is_latin(&latin) ? &latin : &folded;
    for (size_t i = 0; !rc && i < use->len;) {
        uint32_t c = 0;
        i += next_code(use->data + i, use->len - i, &c);
        rc = add_letter(t, c, unit, upper);
    }
    return rc;
}

static int decode_unit(const struct vivo_charset *state, const char *charset,
                       const char *vr, const uint8_t *v, size_t len,
                       struct vivo_buf *out)
{
    uint8_t bytes[32];
    size_t n = 0;
    for (const char *p = state->g0; *p; p++)
        bytes[n++] = (uint8_t)*p;
    for (const char *p = state->g1; *p; p++)
        bytes[n++] = (uint8_t)*p;
    memcpy(bytes + n, v, len);
    return vivo_dcm_text(charset, vr, bytes, n + len, out);
}

static bool has_replacement(const struct vivo_buf *b)
{
    return b->len && memmem(b->data, b->len, "\xEF\xBF\xBD", 3);
}

/* Splits, decodes and keeps what came of each part in `all`. */
static int add_units(struct vivo_letters *t, const char *charset, const char *vr,
                     const uint8_t *v, size_t len, struct vivo_buf *all)
{
    struct vivo_charset c;
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf one = {0};
    vivo_buf_init(&one, 256);
    vivo_charset_init(&c, charset, vr);
    for (size_t i = 0, n; i < len; i += n) {
        struct vivo_charset before = c;
        uint32_t unit = t->n_units++;
        bool escape;
        n = vivo_charset_next(&c, v + i, len - i, &escape);
        t->u[unit] = (struct vivo_unit){(uint32_t)i, (uint8_t)n, escape};
        if (escape)
            continue;
        vivo_buf_clear(&one);
        /* ISO 646 in its Japanese form has a yen sign for the backslash, no more. */
        bool ascii = n == 1 && v[i] < 0x80 && !before.g0[0];
        int rc = ascii ? vivo_buf_add(&one, v + i, 1)
                       : decode_unit(&before, charset, vr, v + i, n, &one);
        if (!rc)
            rc = vivo_buf_add(all, one.data, one.len);
        if (!rc && has_replacement(&one))
            rc = -EILSEQ;
        if (!rc && one.len)
            rc = add_utf8(t, &one, unit);
        if (rc)
            return rc;
    }
    return 0;
}

/* Is what the parts gave the same as the whole? Both in NFC. */
static int compare_whole(const char *charset, const char *vr, const uint8_t *v,
                         size_t len, const struct vivo_buf *all)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf whole = {0}, parts = {0};
    vivo_buf_init(&whole, all->max);
    vivo_buf_init(&parts, all->max);
    int rc = vivo_dcm_text(charset, vr, v, len, &whole);
    if (!rc)
        rc = vivo_text_nfc((const char *)all->data, all->len, &parts);
    if (rc)
        return rc;
    if (has_replacement(&whole) || whole.len != parts.len)
        return -EILSEQ;
    return whole.len && memcmp(whole.data, parts.data, whole.len) ? -EILSEQ : 0;
}

static int find_words(struct vivo_letters *t)
{
    t->w = malloc((t->n / 2 + 1) * sizeof *t->w);
    if (!t->w)
        return -ENOMEM;
    for (uint32_t i = 0; i < t->n;) {
        struct vivo_word w = {.from = i};
        if (!vivo_letter_in_word(&t->l[i])) {
            i++;
            continue;
        }
        for (; i < t->n && vivo_letter_in_word(&t->l[i]); i++) {
            w.digits = w.digits || t->l[i].cls == VIVO_LETTER_DIGIT;
            w.alphas = w.alphas || t->l[i].cls == VIVO_LETTER_ALPHA;
        }
        w.to = i;
        t->w[t->n_words++] = w;
    }
    return 0;
}

static bool is_ascii(const uint8_t *v, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (v[i] >= 0x80 || v[i] == 0x1B || !v[i])
            return false;
    return true;
}

static int fill(struct vivo_letters *t, const char *charset, const char *vr,
                const uint8_t *v, size_t len)
{
    if (is_ascii(v, len)) {
        int rc = 0;
        for (size_t i = 0; !rc && i < len; i++) {
            t->u[i] = (struct vivo_unit){(uint32_t)i, 1, false};
            rc = add_ascii(t, v[i], (uint32_t)i);
        }
        t->n_units = (uint32_t)len;
        return rc;
    }
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf all = {0};
    vivo_buf_init(&all, 16 * len + 64);
    int rc = add_units(t, charset, vr, v, len, &all);
    return rc ? rc : compare_whole(charset, vr, v, len, &all);
}

int vivo_letters_new(struct vivo_letters *t, const char *charset, const char *vr,
                     const uint8_t *v, size_t len)
{
    memset(t, 0, sizeof *t);
    if (len > UINT32_MAX / 64)
        return -EILSEQ;
    t->cap = (uint32_t)len + 16;
    t->u = malloc((len + 1) * sizeof *t->u);
    t->l = malloc(t->cap * sizeof *t->l);
    int rc = t->u && t->l ? fill(t, charset, vr, v, len) : -ENOMEM;
    if (!rc)
        rc = find_words(t);
    if (rc)
        vivo_letters_free(t);
    return rc;
}

bool vivo_letters_any_cut(const struct vivo_letters *t)
{
    for (uint32_t i = 0; i < t->n; i++)
        if (t->l[i].cut)
            return true;
    return false;
}

void vivo_letters_cut(struct vivo_letters *t, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to && i < t->n; i++)
        t->l[i].cut = true;
}

bool vivo_letter_is_wide(const struct vivo_letter *l)
{
    return l->c >= 0x2E80;
}

static bool joins(const struct vivo_letter *a, const struct vivo_letter *b)
{
    return vivo_letter_in_word(a) && vivo_letter_in_word(b) &&
           !vivo_letter_is_wide(a) && !vivo_letter_is_wide(b);
}

void vivo_letters_cut_words(struct vivo_letters *t, uint32_t from, uint32_t to)
{
    uint32_t left = VIVO_WORD_MAX, right = VIVO_WORD_MAX;
    /* In the midst of what was cut, words are cut already. */
    if (from && to < t->n && t->l[from - 1].cut && t->l[from].cut && t->l[to].cut)
        right = left = 0;
    for (; left && from && joins(&t->l[from - 1], &t->l[from]); left--)
        from--;
    for (; right && to && to < t->n && joins(&t->l[to - 1], &t->l[to]); right--)
        to++;
    vivo_letters_cut(t, from, to);
}

bool vivo_letters_are(const struct vivo_letters *t, uint32_t from, uint32_t to,
                      const char *word)
{
    for (; from < to; from++) {
        if (t->l[from].cls == VIVO_LETTER_MARK)
            continue;
        if (!*word || t->l[from].c != (uint8_t)*word++)
            return false;
    }
    return !*word;
}

bool vivo_letters_among(const struct vivo_letters *t, uint32_t from, uint32_t to,
                        const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (vivo_letters_are(t, from, to, words[i]))
            return true;
    return false;
}
