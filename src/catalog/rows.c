/* SPDX-License-Identifier: Apache-2.0 */
/* src/catalog/rows.c -- sets of row numbers. */
#include "catalog/internal.h"

#include <errno.h>

int vivo_catalog_rowset_add(struct vivo_rowset *s, vivo_row row)
{
    if (s->n && s->rows[s->n - 1] == row)
        return 0;
    vivo_row *p = vivo_array_grow(s->rows, s->n, &s->cap, sizeof *p, VIVO_ARRAY_MAX);
    if (!p)
        return -ENOMEM;
    s->rows = p;
    s->rows[s->n++] = row;
    return 0;
}

static int compare(const void *a, const void *b)
{
    vivo_row x = *(const vivo_row *)a, y = *(const vivo_row *)b;

    return (x > y) - (x < y);
}

void vivo_catalog_rowset_sort(struct vivo_rowset *s)
{
    size_t n = 0;

    if (s->n)
        qsort(s->rows, s->n, sizeof *s->rows, compare);
    for (size_t i = 0; i < s->n; i++)
        if (n == 0 || s->rows[n - 1] != s->rows[i])
            s->rows[n++] = s->rows[i];
    s->n = n;
}

bool vivo_catalog_rowset_has(const struct vivo_rowset *s, vivo_row row)
{
    size_t lo = 0, hi = s->n;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (s->rows[mid] < row)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < s->n && s->rows[lo] == row;
}
