/* SPDX-License-Identifier: Apache-2.0 */
/* src/dcm/charset_table.c -- terms, escape sequences and tables of character sets.
 *
 * Source: PS3.3 tables C.12-2 to C.12-5; PS3.5 section 6.1. The code points come
 * from glibc's iconv, asked once for each set. */
#include "charset.h"

#include "vivofs/base.h"
#include "vivofs/log.h"

#include <iconv.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define ROW 94 /* characters in a row of a 94 x 94 set */

/* How to ask iconv: `prefix` stands before the bytes of a character. */
static const struct set {
    const char *iconv;
    int ir; /* number in ISO's registry, as in the defined term */
    bool wide, g0;
    uint8_t prefix;
    char escape[5]; /* behind ESC */
} sets[VIVO_CHARSET_TABLES] = {
    [VIVO_CHARSET_ASCII] = {NULL, 6, false, true, 0, "(B"},
    [VIVO_CHARSET_LATIN1] = {"ISO-8859-1", 100, false, false, 0, "-A"},
    [VIVO_CHARSET_LATIN2] = {"ISO-8859-2", 101, false, false, 0, "-B"},
    [VIVO_CHARSET_LATIN3] = {"ISO-8859-3", 109, false, false, 0, "-C"},
    [VIVO_CHARSET_LATIN4] = {"ISO-8859-4", 110, false, false, 0, "-D"},
    [VIVO_CHARSET_CYRILLIC] = {"ISO-8859-5", 144, false, false, 0, "-L"},
    [VIVO_CHARSET_ARABIC] = {"ISO-8859-6", 127, false, false, 0, "-G"},
    [VIVO_CHARSET_GREEK] = {"ISO-8859-7", 126, false, false, 0, "-F"},
    [VIVO_CHARSET_HEBREW] = {"ISO-8859-8", 138, false, false, 0, "-H"},
    [VIVO_CHARSET_LATIN5] = {"ISO-8859-9", 148, false, false, 0, "-M"},
    [VIVO_CHARSET_LATIN9] = {"ISO-8859-15", 203, false, false, 0, "-b"},
    [VIVO_CHARSET_THAI] = {"TIS-620", 166, false, false, 0, "-T"},
    [VIVO_CHARSET_KATAKANA] = {"SJIS", 13, false, false, 0, ")I"},
    [VIVO_CHARSET_KANJI] = {"EUC-JP", 87, true, true, 0, "$B"},
    [VIVO_CHARSET_KANJI_EXTRA] = {"EUC-JP", 159, true, true, 0x8F, "$(D"},
    [VIVO_CHARSET_KOREAN] = {"EUC-KR", 149, true, false, 0, "$)C"},
    [VIVO_CHARSET_CHINESE] = {"EUC-CN", 58, true, false, 0, "$)A"},
};

static _Atomic(uint16_t *) tables[VIVO_CHARSET_TABLES];

bool vivo_charset_is_wide(enum vivo_charset set)
{
    return set < VIVO_CHARSET_TABLES && sets[set].wide;
}

bool vivo_charset_is_g0(enum vivo_charset set)
{
    return set < VIVO_CHARSET_TABLES && sets[set].g0;
}

/* ---- terms and escapes --------------------------------------------------------- */

static enum vivo_charset set_of_number(const char *digits)
{
    int ir = 0;
    for (; *digits >= '0' && *digits <= '9' && ir < 1000; digits++)
        ir = ir * 10 + (*digits - '0');
    if (*digits)
        return VIVO_CHARSET_UNKNOWN;
    if (ir == 192)
        return VIVO_CHARSET_UTF8;
    if (ir == 14)
        return VIVO_CHARSET_ASCII;
    for (int i = 0; i < VIVO_CHARSET_TABLES; i++)
        if (sets[i].ir == ir)
            return (enum vivo_charset)i;
    return VIVO_CHARSET_UNKNOWN;
}

enum vivo_charset vivo_charset_of_term(const char *s, size_t len, bool *extends)
{
    /* Letters and digits alone: "ISO_IR 100", "ISO-IR 100" and "ISO IR100" occur. */
    char term[24];
    size_t n = 0;
    for (size_t i = 0; i < len && n < sizeof term - 1; i++) {
        char c = s[i];
        if (c >= 'a' && c <= 'z')
            c = (char)(c - 32);
        if ((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
            term[n++] = c;
    }
    term[n] = '\0';
    const char *p = strncmp(term, "ISO", 3) == 0 ? term + 3 : term;
    if (strncmp(p, "2022", 4) == 0) {
        *extends = true;
        p += 4;
    }
    if (!*p)
        return n ? VIVO_CHARSET_UNKNOWN : VIVO_CHARSET_ASCII;
    if (strncmp(p, "IR", 2) == 0)
        return set_of_number(p + 2);
    if (strcmp(p, "GB18030") == 0)
        return VIVO_CHARSET_GB18030;
    if (strcmp(p, "GBK") == 0)
        return VIVO_CHARSET_GBK;
    return strcmp(p, "UTF8") == 0 ? VIVO_CHARSET_UTF8 : VIVO_CHARSET_UNKNOWN;
}

size_t vivo_charset_escape(const uint8_t *s, size_t len, enum vivo_charset *set,
                           bool *g1)
{
    for (int i = 0; i < VIVO_CHARSET_TABLES; i++) {
        size_t n = strlen(sets[i].escape);
        if (len > n && memcmp(s + 1, sets[i].escape, n) == 0) {
            *set = (enum vivo_charset)i;
            *g1 = !sets[i].g0;
            return n + 1;
        }
    }
    /* ISO-IR 14 romaji, and the kanji of 1978, which differ in a handful. */
    if (len > 2 && memcmp(s + 1, "(J", 2) == 0) {
        *set = VIVO_CHARSET_ASCII;
        *g1 = false;
        return 3;
    }
    if (len > 2 && memcmp(s + 1, "$@", 2) == 0) {
        *set = VIVO_CHARSET_KANJI;
        *g1 = false;
        return 3;
    }
    return 0;
}

/* ---- tables -------------------------------------------------------------------- */

/* The code point of one character, or 0. */
static uint16_t ask(iconv_t cd, const uint8_t *bytes, size_t len)
{
    char in[4];
    char out[8];
    char *from = in;
    char *to = out;
    size_t left = len;
    size_t room = sizeof out;
    memcpy(in, bytes, len);
    iconv(cd, NULL, NULL, NULL, NULL);
    if (iconv(cd, &from, &left, &to, &room) == (size_t)-1 || sizeof out - room != 2)
        return 0;
    return vivo_le16(out);
}

static void fill(iconv_t cd, const struct set *set, uint16_t *table)
{
    if (!set->wide) {
        for (unsigned b = 0x80; b <= 0xFF; b++)
            table[b - 0x80] = ask(cd, (uint8_t[]){(uint8_t)b}, 1);
        return;
    }
    size_t skip = set->prefix ? 0 : 1;
    for (unsigned r = 0; r < ROW; r++)
        for (unsigned c = 0; c < ROW; c++) {
            uint8_t bytes[3] = {set->prefix, (uint8_t)(0xA1 + r), (uint8_t)(0xA1 + c)};
            table[r * ROW + c] = ask(cd, bytes + skip, 3 - skip);
        }
}

/* glibc loads and unloads its converters behind these two; one thread at a time keeps
 * that apart from other threads' conversions. */
static pthread_mutex_t loading = PTHREAD_MUTEX_INITIALIZER;

iconv_t vivo_charset_open(const char *to, const char *from)
{
    pthread_mutex_lock(&loading);
    iconv_t cd = iconv_open(to, from);
    pthread_mutex_unlock(&loading);
    return cd;
}

void vivo_charset_close(iconv_t cd)
{
    pthread_mutex_lock(&loading);
    iconv_close(cd);
    pthread_mutex_unlock(&loading);
}

static uint16_t *make_table(const struct set *set)
{
    iconv_t cd = vivo_charset_open("UTF-16LE", set->iconv);
    if (cd == (iconv_t)-1) {
        vivo_log(VIVO_LOG_WARN, "dcm.charset", "iconv lacks %s", set->iconv);
        return NULL;
    }
    uint16_t *table = calloc(set->wide ? ROW * ROW : 128, sizeof *table);
    if (table)
        fill(cd, set, table);
    vivo_charset_close(cd);
    return table;
}

const uint16_t *vivo_charset_table(enum vivo_charset set)
{
    if (set >= VIVO_CHARSET_TABLES || !sets[set].iconv)
        return NULL;
    uint16_t *table = atomic_load_explicit(&tables[set], memory_order_acquire);
    if (table)
        return table;
    uint16_t *fresh = make_table(&sets[set]);
    if (!fresh)
        return NULL;
    if (atomic_compare_exchange_strong(&tables[set], &table, fresh))
        return fresh;
    free(fresh); /* another thread was faster, with the same table */
    return table;
}
