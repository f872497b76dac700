/* SPDX-License-Identifier: Apache-2.0 */
/* src/store/seen.c -- a set of fingerprints, open addressing, 8 MiB at most: when that
 * is half full it begins anew. */
#include "store/seen.h"

#include <string.h>

#define CAP_MIN ((size_t)1 << 10)
#define CAP_MAX ((size_t)1 << 20)

/* splitmix64's finalizer (public domain, Vigna). */
static uint64_t mix(uint64_t v)
{
    v = (v ^ v >> 30) * 0xbf58476d1ce4e5b9u;
    v = (v ^ v >> 27) * 0x94d049bb133111ebu;
    return v ^ v >> 31;
}

uint64_t vivo_store_seen_print(const struct vivo_store_key *key, const struct stat *st)
{
    uint64_t print;

    memcpy(&print, key->digest, sizeof print);
    print = mix(print ^ (uint64_t)st->st_ino);
    print = mix(print ^ (uint64_t)st->st_size);
    print = mix(print ^ (uint64_t)st->st_mtim.tv_sec);
    print = mix(print ^ (uint64_t)st->st_mtim.tv_nsec);
    return print ? print : 1;
}

/* The slot that holds it or where it would go. */
static uint64_t *slot_of(const struct vivo_store_seen *s, uint64_t print)
{
    size_t i = (size_t)print & (s->cap - 1);

    while (s->slots[i] != 0 && s->slots[i] != print)
        i = (i + 1) & (s->cap - 1);
    return &s->slots[i];
}

bool vivo_store_seen_has(const struct vivo_store_seen *s, uint64_t print)
{
    return s->cap > 0 && *slot_of(s, print) == print;
}

/* Twice as large with the same members, or empty. Without memory it stays as it is. */
static void make_room(struct vivo_store_seen *s)
{
    if (s->cap == CAP_MAX) {
        memset(s->slots, 0, s->cap * sizeof *s->slots);
        s->n = 0;
        return;
    }
    struct vivo_store_seen bigger = {.cap = s->cap ? s->cap * 2 : CAP_MIN, .n = s->n};
    bigger.slots = calloc(bigger.cap, sizeof *bigger.slots);
    if (!bigger.slots)
        return;
    for (size_t i = 0; i < s->cap; i++)
        if (s->slots[i] != 0)
            *slot_of(&bigger, s->slots[i]) = s->slots[i];
    free(s->slots);
    *s = bigger;
}

void vivo_store_seen_add(struct vivo_store_seen *s, uint64_t print)
{
    if (s->n * 2 >= s->cap)
        make_room(s);
    if (s->n * 2 >= s->cap)
        return;
    uint64_t *slot = slot_of(s, print);
    if (*slot == 0)
        s->n++;
    *slot = print;
}

void vivo_store_seen_free(struct vivo_store_seen *s)
{
    free(s->slots);
    *s = (struct vivo_store_seen){0};
}
