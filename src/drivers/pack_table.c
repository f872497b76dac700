/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/pack_table.c -- see pack_table.h. Open addressing; what is hashed comes
 * from outside, so the hash begins with a random number. */
#include "drivers/pack_table.h"
#include "vivofs/hash.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ROWS_MAX (16u << 20)
#define NAMES_MAX (UINT64_C(1) << 30) /* bytes of all paths */

int pack_table_init(struct pack_table *t)
{
    *t = (struct pack_table){0};
    return vivo_random(&t->seed, sizeof t->seed);
}

void pack_table_free(struct pack_table *t)
{
    for (size_t i = 0; i < t->n; i++)
        free(t->rows[i].locator);
    free(t->rows);
    free(t->slots);
}

/* FNV-1a from a random beginning. */
static uint64_t hash_of(const struct pack_table *t, const char *s)
{
    uint64_t h = t->seed ^ UINT64_C(0xcbf29ce484222325);

    for (; *s; s++)
        h = (h ^ (uint8_t)*s) * UINT64_C(0x100000001b3);
    return h ^ h >> 32;
}

/* The slot that holds the locator, or the free one where it belongs. */
static uint32_t *slot_of(const struct pack_table *t, const char *locator)
{
    size_t i = (size_t)hash_of(t, locator) & (t->nslots - 1);

    while (t->slots[i] && strcmp(t->rows[t->slots[i] - 1].locator, locator) != 0)
        i = (i + 1) & (t->nslots - 1);
    return &t->slots[i];
}

struct pack_row *pack_table_find(const struct pack_table *t, const char *locator)
{
    uint32_t at = t->nslots ? *slot_of(t, locator) : 0;

    return at ? &t->rows[at - 1] : NULL;
}

static int grow(struct pack_table *t)
{
    struct pack_row *rows =
        vivo_array_grow(t->rows, t->n, &t->cap, sizeof *rows, ROWS_MAX);
    if (!rows)
        return -ENOMEM;
    t->rows = rows;
    if (2 * (t->n + 1) <= t->nslots)
        return 0;
    size_t n = t->nslots ? 2 * t->nslots : 256;
    uint32_t *p = calloc(n, sizeof *p);
    if (!p)
        return -ENOMEM;
    free(t->slots);
    t->slots = p;
    t->nslots = n;
    for (size_t i = 0; i < t->n; i++)
        *slot_of(t, t->rows[i].locator) = (uint32_t)i + 1;
    return 0;
}

/* The locator of a new member. That of a path's first bearer is the path. */
static char *make_locator(struct pack_table *t, const char *path, bool *derived)
{
    struct pack_row *first = pack_table_find(t, path);
    char *s = NULL;

    *derived = first != NULL;
    if (!first)
        return strdup(path);
    for (;;) {
        if (asprintf(&s, "%s//%u", path, ++first->twins + 1) < 0)
            return NULL;
        if (!pack_table_find(t, s))
            return s;
        free(s);
    }
}

/* A tar holds a path again when a file was updated: the last one counts. */
static void supersede(struct pack_table *t, const char *path, uint32_t index)
{
    struct pack_row *first = pack_table_find(t, path);

    t->rows[first->twin ? first->twin - 1 : first - t->rows].superseded = true;
    first->twin = index + 1;
}

int pack_table_add(struct pack_table *t, const char *path, const struct pack_row *is)
{
    char *locator;
    bool derived = false;

    if (grow(t) < 0 || t->names > NAMES_MAX)
        return -ENOMEM;
    locator = make_locator(t, path, &derived);
    if (!locator)
        return -ENOMEM;
    t->names += strlen(locator) + 1;
    *slot_of(t, locator) = (uint32_t)t->n + 1;
    t->rows[t->n] = *is;
    t->rows[t->n].locator = locator;
    t->n++;
    if (derived)
        supersede(t, path, (uint32_t)t->n - 1);
    return 0;
}
