/* SPDX-License-Identifier: Apache-2.0 */
/* src/base/error.c -- recording a failure; see include/vivofs/error.h. */
#include "vivofs/error.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int vivo_fail(struct vivo_err *err, int errnum, const char *fmt, ...)
{
    assert(errnum > 0);
    if (!err)
        return -errnum;
    assert(err->errnum == 0);
    err->errnum = errnum;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err->text, sizeof err->text, fmt, ap);
    va_end(ap);
    return -errnum;
}

int vivo_fail_in(struct vivo_err *err, const char *fmt, ...)
{
    if (!err)
        return -5; /* EIO: the caller said that it does not care */
    assert(err->errnum > 0);
    char head[VIVO_ERR_TEXT];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(head, sizeof head, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n > sizeof head - 4)
        return -err->errnum;
    char rest[VIVO_ERR_TEXT];
    memcpy(rest, err->text, sizeof rest);
    size_t room = sizeof err->text - (size_t)n - 3;
    memcpy(err->text, head, (size_t)n);
    memcpy(err->text + n, ": ", 2);
    size_t len = strnlen(rest, room);
    memcpy(err->text + n + 2, rest, len);
    err->text[(size_t)n + 2 + len] = '\0';
    return -err->errnum;
}

void vivo_err_clear(struct vivo_err *err)
{
    err->errnum = 0;
    err->text[0] = '\0';
}
