/* SPDX-License-Identifier: Apache-2.0 */
/* src/base/arena.c -- memory that is freed all at once; see include/vivofs/buf.h. */
#include "vivofs/buf.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum { BLOCK = 4096, ALIGN = 16 };

struct block {
    struct block *next;
    size_t used, size;
    max_align_t data[];
};

struct vivo_arena {
    struct block *first;
    size_t left;
};

struct vivo_arena *vivo_arena_new(size_t max)
{
    struct vivo_arena *a = calloc(1, sizeof *a);
    if (a)
        a->left = max;
    return a;
}

void vivo_arena_free(struct vivo_arena *a)
{
    if (!a)
        return;
    for (struct block *b = a->first; b;) {
        struct block *next = b->next;
        free(b);
        b = next;
    }
    free(a);
}

void *vivo_arena_alloc(struct vivo_arena *a, size_t len)
{
    if (len > a->left)
        return NULL;
    size_t need = (len + ALIGN - 1) / ALIGN * ALIGN;
    struct block *b = a->first;
    if (!b || b->size - b->used < need) {
        size_t size = need > BLOCK ? need : BLOCK;
        b = calloc(1, sizeof *b + size);
        if (!b)
            return NULL;
        b->size = size;
        b->next = a->first;
        a->first = b;
    }
    void *p = (char *)b->data + b->used;
    b->used += need;
    a->left -= len;
    return p;
}

char *vivo_arena_strndup(struct vivo_arena *a, const char *s, size_t len)
{
    char *p = vivo_arena_alloc(a, len + 1);
    if (p && len)
        memcpy(p, s, len);
    return p;
}

char *vivo_arena_printf(struct vivo_arena *a, const char *fmt, ...)
{
    va_list ap;
    va_list again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *p = n < 0 ? NULL : vivo_arena_alloc(a, (size_t)n + 1);
    if (p)
        vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    return p;
}
