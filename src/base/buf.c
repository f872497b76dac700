/* SPDX-License-Identifier: Apache-2.0 */
/* src/base/buf.c -- growable bytes with a maximum; see include/vivofs/buf.h. */
#include "vivofs/buf.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

void vivo_buf_init(struct vivo_buf *b, size_t max)
{
    *b = (struct vivo_buf){.max = max};
}

void vivo_buf_free(struct vivo_buf *b)
{
    if (!b)
        return;
    free(b->data);
    *b = (struct vivo_buf){.max = b->max};
}

void vivo_buf_clear(struct vivo_buf *b)
{
    b->len = 0;
    if (b->data)
        b->data[0] = 0;
}

static int grow_more(struct vivo_buf *b, size_t more)
{
    if (more > b->max || b->len > b->max - more)
        return -ENOSPC;
    size_t need = b->len + more + 1;
    if (need <= b->cap)
        return 0;
    /* Doubling: a header's buffers grow four times and not eight. */
    size_t cap = b->cap ? b->cap : 256;
    while (cap < need)
        cap = cap > SIZE_MAX / 2 ? need : 2 * cap;
    if (cap > b->max + 1)
        cap = b->max + 1;
    uint8_t *p = realloc(b->data, cap);
    if (!p)
        return -ENOMEM;
    b->data = p;
    b->cap = cap;
    return 0;
}

/* Room for `more` bytes and the NUL that always follows. Nearly always there is, and
 * no buffer has more than it may. */
static inline int grow(struct vivo_buf *b, size_t more)
{
    return more < b->cap - b->len ? 0 : grow_more(b, more);
}

int vivo_buf_add(struct vivo_buf *b, const void *data, size_t len)
{
    int rc = grow(b, len);
    if (rc)
        return rc;
    if (len)
        memcpy(b->data + b->len, data, len);
    b->len += len;
    b->data[b->len] = 0;
    return 0;
}

int vivo_buf_puts(struct vivo_buf *b, const char *s)
{
    return vivo_buf_add(b, s, strlen(s));
}

uint8_t *vivo_buf_reserve(struct vivo_buf *b, size_t len)
{
    if (grow(b, len))
        return NULL;
    b->data[b->len] = 0;
    return b->data + b->len;
}

int vivo_buf_vprintf(struct vivo_buf *b, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    if (n < 0)
        return -ENOMEM;
    int rc = grow(b, (size_t)n);
    if (rc)
        return rc;
    vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, ap);
    b->len += (size_t)n;
    return 0;
}

int vivo_buf_printf(struct vivo_buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int rc = vivo_buf_vprintf(b, fmt, ap);
    va_end(ap);
    return rc;
}

int vivo_buf_csv(struct vivo_buf *b, const char *s, size_t len)
{
    bool quote = false;
    for (size_t i = 0; i < len && !quote; i++)
        quote = s[i] == '"' || s[i] == ',' || s[i] == '\n' || s[i] == '\r';
    if (!quote)
        return vivo_buf_add(b, s, len);
    int rc = vivo_buf_add(b, "\"", 1);
    for (size_t i = 0; i < len && !rc; i++)
        rc = s[i] == '"' ? vivo_buf_add(b, "\"\"", 2) : vivo_buf_add(b, s + i, 1);
    return rc ? rc : vivo_buf_add(b, "\"", 1);
}

void *vivo_array_grow(void *array, size_t n, size_t *cap, size_t size, size_t max)
{
    if (n < *cap)
        return array;
    size_t more = *cap ? *cap : 32;
    if (n >= max || *cap > SIZE_MAX / 2)
        return NULL;
    more = VIVO_MIN(more, max - *cap);
    if (*cap + more >
        PTRDIFF_MAX / size) /* sanitizers end a program that asks for it */
        return NULL;
    void *p = realloc(array, (*cap + more) * size);
    if (p)
        *cap += more;
    return p;
}
