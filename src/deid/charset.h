/* SPDX-License-Identifier: Apache-2.0 */
/* src/deid/charset.h -- where the characters of a text begin and end. */
#ifndef VIVO_DEID_CHARSET_H
#define VIVO_DEID_CHARSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum vivo_charset_form {
    VIVO_CHARSET_BYTES, /* one byte a character */
    VIVO_CHARSET_UTF8,
    VIVO_CHARSET_GB,     /* GB18030, GBK */
    VIVO_CHARSET_ESCAPES /* code extensions by ISO 2022 */
};

struct vivo_charset { /* PS3.5 section 6.1.2.5 */
    enum vivo_charset_form form;
    bool splits;           /* a backslash separates values */
    bool name;             /* '^' and '=' separate parts */
    char g0[5], g1[5];     /* escapes in force, "" = the initial sets */
    bool wide_g0, wide_g1; /* two bytes a character */
};
void vivo_charset_init(struct vivo_charset *c, const char *charset, const char *vr);
/* Bytes of the character or escape at v, 0 < n <= len. *escape tells which. */
size_t vivo_charset_next(struct vivo_charset *c, const uint8_t *v, size_t len,
                         bool *escape);

#endif
