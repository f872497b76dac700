/* SPDX-License-Identifier: Apache-2.0 */
/* src/base/json.c -- JSON string literals (RFC 8259 section 7); see buf.h. */
#include "vivofs/buf.h"

#include <utf8proc.h>

int vivo_buf_json(struct vivo_buf *b, const char *s, size_t len)
{
    int rc = vivo_buf_add(b, "\"", 1);
    for (size_t i = 0; i < len && !rc;) {
        utf8proc_int32_t c;
        utf8proc_ssize_t n =
            utf8proc_iterate((const utf8proc_uint8_t *)s + i,
                             (utf8proc_ssize_t)VIVO_MIN(len - i, 4u), &c);
        if (n <= 0)
            rc = vivo_buf_puts(b, "\xEF\xBF\xBD");
        else if (c == '"' || c == '\\')
            rc = vivo_buf_printf(b, "\\%c", (char)c);
        else if (c < 0x20 || c == 0x7f)
            rc = vivo_buf_printf(b, "\\u%04x", (unsigned)c);
        else
            rc = vivo_buf_add(b, s + i, (size_t)n);
        i += n > 0 ? (size_t)n : 1;
    }
    return rc ? rc : vivo_buf_add(b, "\"", 1);
}
