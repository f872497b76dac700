/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/manifest_spans.c -- where in the file the rows of each series are, so
 * that its headers can be asked for without reading all of it again. */
#include "drivers/manifest.h"

#include <errno.h>
#include <string.h>

struct span {
    uint64_t key; /* a hash: who reads the rows compares the UIDs */
    off_t first, end;
};

struct manifest_spans {
    struct span *list;
    size_t n, cap;
};

struct manifest_spans *vivo_manifest_spans_new(void)
{
    return calloc(1, sizeof(struct manifest_spans));
}

void vivo_manifest_spans_free(struct manifest_spans *s)
{
    if (s)
        free(s->list);
    free(s);
}

static uint64_t key_of(const char *s)
{
    uint64_t h = 1469598103934665603u; /* FNV-1a */

    for (; *s; s++)
        h = (h ^ (uint8_t)*s) * 1099511628211u;
    return h;
}

int vivo_manifest_spans_add(struct manifest_spans *s, const char *series, off_t first,
                            off_t end)
{
    uint64_t key = key_of(series);

    if (s->n && s->list[s->n - 1].key == key) {
        s->list[s->n - 1].end = end;
        return 0;
    }
    struct span *list =
        vivo_array_grow(s->list, s->n, &s->cap, sizeof *list, VIVO_ARRAY_MAX);
    if (!list)
        return -ENOMEM;
    s->list = list;
    s->list[s->n++] = (struct span){key, first, end};
    return 0;
}

static int compare(const void *a, const void *b)
{
    const struct span *x = a, *y = b;

    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return (x->first > y->first) - (x->first < y->first);
}

void vivo_manifest_spans_complete(struct manifest_spans *s)
{
    if (s->n)
        qsort(s->list, s->n, sizeof *s->list, compare);
}

bool vivo_manifest_spans_get(const struct manifest_spans *s, const char *series,
                             size_t i, off_t *first, off_t *end)
{
    uint64_t key = key_of(series);
    size_t lo = 0, hi = s->n;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (s->list[mid].key < key)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo + i >= s->n || s->list[lo + i].key != key)
        return false;
    *first = s->list[lo + i].first;
    *end = s->list[lo + i].end;
    return true;
}
