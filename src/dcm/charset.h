/* SPDX-License-Identifier: Apache-2.0 */
/* src/dcm/charset.h -- the coded character sets of PS3.3 C.12.1.1.2. Private to dcm.
 *
 * Every set but Unicode and GB18030 is a table of code points, made from glibc's
 * iconv when first needed, so that decoding needs neither iconv nor a lock. */
#ifndef VIVOFS_DCM_CHARSET_H
#define VIVOFS_DCM_CHARSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <iconv.h>

enum vivo_charset {
    VIVO_CHARSET_ASCII, /* ISO-IR 6, and ISO-IR 14 taken as the same */
    VIVO_CHARSET_LATIN1,
    VIVO_CHARSET_LATIN2,
    VIVO_CHARSET_LATIN3,
    VIVO_CHARSET_LATIN4,
    VIVO_CHARSET_CYRILLIC,
    VIVO_CHARSET_ARABIC,
    VIVO_CHARSET_GREEK,
    VIVO_CHARSET_HEBREW,
    VIVO_CHARSET_LATIN5,
    VIVO_CHARSET_LATIN9,
    VIVO_CHARSET_THAI,
    VIVO_CHARSET_KATAKANA,
    VIVO_CHARSET_KANJI,       /* ISO-IR 87, G0, two bytes */
    VIVO_CHARSET_KANJI_EXTRA, /* ISO-IR 159, G0, two bytes */
    VIVO_CHARSET_KOREAN,      /* ISO-IR 149, G1, two bytes */
    VIVO_CHARSET_CHINESE,     /* ISO-IR 58, G1, two bytes */
    VIVO_CHARSET_TABLES,      /* how many of the above */
    VIVO_CHARSET_UTF8,
    VIVO_CHARSET_GB18030,
    VIVO_CHARSET_GBK,
    VIVO_CHARSET_UNKNOWN,
};

/* The set of a defined term ("ISO 2022 IR 87"), spelling mistakes forgiven; *extends
 * when the term allows escape sequences. */
enum vivo_charset vivo_charset_of_term(const char *s, size_t len, bool *extends);

/* What an escape sequence at s (ESC included) designates. Returns its length, or 0
 * when it is none of PS3.3 tables C.12-3 and C.12-4; *g1 tells into which half. */
size_t vivo_charset_escape(const uint8_t *s, size_t len, enum vivo_charset *set,
                           bool *g1);

bool vivo_charset_is_wide(enum vivo_charset set); /* two bytes a character */
bool vivo_charset_is_g0(enum vivo_charset set);   /* ASCII and the two kanji sets */

/* True when every set of DICOM reads the bytes as ASCII: nothing to decode. */
bool vivo_charset_is_plain(const uint8_t *s, size_t len);

/* Code points, 0 = none: of bytes 80..FF for sets of one byte; of the 94 x 94 pairs
 * for sets of two (row * 94 + column). NULL when iconv lacks the set or memory. */
const uint16_t *vivo_charset_table(enum vivo_charset set);

/* iconv_open and iconv_close, one thread at a time. */
iconv_t vivo_charset_open(const char *to, const char *from);
void vivo_charset_close(iconv_t cd);

#endif
