/* SPDX-License-Identifier: Apache-2.0 */
/* src/dcm/attrs_sort.c -- brings elements that a file has out of order into order. */
#include "attrs.h"

#include <errno.h>
#include <string.h>

struct place {
    uint32_t tag;
    bool empty;
    size_t at, len;
};

/* By tag; of one tag those with a value first; then as they came. */
static int compare_places(const void *x, const void *y)
{
    const struct place *a = x;
    const struct place *b = y;
    if (a->tag != b->tag)
        return a->tag < b->tag ? -1 : 1;
    if (a->empty != b->empty)
        return a->empty ? 1 : -1;
    return a->at < b->at ? -1 : a->at > b->at;
}

static size_t count(struct vivo_attrs it)
{
    struct vivo_attr e;
    size_t n = 0;
    while (vivo_attrs_next(&it, &e))
        n++;
    return n;
}

int vivo_attrs_build_sort(struct vivo_attrs_build *b, size_t at)
{
    size_t len = b->out->len - at;
    struct vivo_attrs all = {b->out->data + at, len};
    size_t n = count(all);
    VIVO_AUTO(vivo_free_p) struct place *places = calloc(n ? n : 1, sizeof *places);
    VIVO_AUTO(vivo_free_p) uint8_t *copy = malloc(len ? len : 1);
    if (!places || !copy)
        return -ENOMEM;
    memcpy(copy, all.data, len);
    struct vivo_attrs it = {copy, len};
    struct vivo_attr e;
    for (size_t i = 0; i < n; i++) {
        const uint8_t *from = it.data;
        if (!vivo_attrs_next(&it, &e))
            break;
        places[i] = (struct place){e.tag, e.len == 0, (size_t)(from - copy),
                                   (size_t)(it.data - from)};
    }
    qsort(places, n, sizeof *places, compare_places);
    b->out->len = at;
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && places[i].tag == places[i - 1].tag)
            continue;
        memcpy(b->out->data + b->out->len, copy + places[i].at, places[i].len);
        b->out->len += places[i].len;
    }
    return 0;
}
