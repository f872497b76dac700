/* SPDX-License-Identifier: Apache-2.0 */
/* include/vivofs/buf.h -- growable bytes and arrays with a maximum, and arenas.
 *
 * Every growable buffer is made with its maximum (curl's dynbuf rule): what
 * comes from outside can never take all memory. */
#ifndef VIVOFS_BUF_H
#define VIVOFS_BUF_H

#include "vivofs/base.h"

#include <stdarg.h>

struct vivo_buf {
    uint8_t *data; /* owned; data[len] is always 0 once anything was added */
    size_t len;    /* bytes */
    size_t cap;
    size_t max; /* bytes; growing beyond is -ENOSPC */
};

/* max in bytes. Allocates nothing yet. */
void vivo_buf_init(struct vivo_buf *b, size_t max);
void vivo_buf_free(struct vivo_buf *b);  /* NULL and zeroed are fine; reusable */
void vivo_buf_clear(struct vivo_buf *b); /* len = 0, memory kept */

/* 0, -ENOSPC (maximum reached) or -ENOMEM; nothing is added on failure. */
int vivo_buf_add(struct vivo_buf *b, const void *data, size_t len);
int vivo_buf_puts(struct vivo_buf *b, const char *s);
int vivo_buf_printf(struct vivo_buf *b, const char *fmt, ...) VIVO_PRINTF(2, 3);
int vivo_buf_vprintf(struct vivo_buf *b, const char *fmt, va_list ap) VIVO_PRINTF(2, 0);
/* Makes room for len more bytes and returns where they go, or NULL. The caller
 * writes them and adds to b->len itself. */
uint8_t *vivo_buf_reserve(struct vivo_buf *b, size_t len);
/* A JSON string literal with quotes, RFC 8259 section 7; bytes that are not
 * UTF-8 become U+FFFD. */
int vivo_buf_json(struct vivo_buf *b, const char *s, size_t len);
/* One RFC 4180 field, quoted when needed. */
int vivo_buf_csv(struct vivo_buf *b, const char *s, size_t len);

/* Room for one more than the n members that a growable array has: the array, perhaps
 * moved, and *cap (members) larger. NULL: n is max already, or there is no memory; then
 * the array is as it was. The caller owns it and frees it with free(). */
#define VIVO_ARRAY_MAX ((size_t)1 << 30) /* members, where nothing says less */
void *vivo_array_grow(void *array, size_t n, size_t *cap, size_t size, size_t max);

/* Memory that is freed all at once. Not thread-safe. */
struct vivo_arena;
struct vivo_arena *vivo_arena_new(size_t max); /* bytes in all; NULL = ENOMEM */
void vivo_arena_free(struct vivo_arena *a);
void *vivo_arena_alloc(struct vivo_arena *a, size_t len); /* zeroed; NULL = full */
char *vivo_arena_strndup(struct vivo_arena *a, const char *s, size_t len);
char *vivo_arena_printf(struct vivo_arena *a, const char *fmt, ...) VIVO_PRINTF(2, 3);

static inline void vivo_buf_free_p(struct vivo_buf *b)
{
    vivo_buf_free(b);
}
static inline void vivo_arena_free_p(struct vivo_arena **a)
{
    vivo_arena_free(*a);
}

#endif
