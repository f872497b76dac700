/* SPDX-License-Identifier: Apache-2.0 */
/* src/flow/cost.c -- what the headers that a query needs would cost, and how much of it
 * is too much.
 *
 * Some archives give headers object by object only (VIVO_CAP_DEAR_HEADERS, and those of
 * which that turns out): a condition
 * that no listing carries would then read a collection through without anybody having
 * meant it. Such a query fails, says what it would need, and is narrowed by who asks.
 */
#include "flow/internal.h"

#include <errno.h>
#include <inttypes.h>

#define OBJECTS_GUESS 100 /* of a series of which the archive does not say */

static uint64_t objects_of(struct vivo_flow *f, vivo_row series)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf attrs = {0};
    struct vivo_counts counts = {0};
    char text[24] = "";
    vivo_buf_init(&attrs, VIVO_ATTRS_MAX);
    if (!vivo_catalog_attrs(f->catalog, VIVO_LEVEL_SERIES, series, &attrs, NULL))
        vivo_attrs_text((struct vivo_attrs){attrs.data, attrs.len},
                        VIVO_TAG_NumberOfSeriesRelatedInstances, text, sizeof text);
    uint64_t n = strtoull(text, NULL, 10); /* allow: an estimate, 0 on garbage */
    if (!n &&
        !vivo_catalog_count(f->catalog, VIVO_LEVEL_SERIES, series, NULL, &counts, NULL))
        n = counts.instances;
    return n ? VIVO_MIN(n, UINT64_C(1) << 32) : OBJECTS_GUESS;
}

bool headers_are_dear(const struct vivo_flow *f)
{
    return f->archive->driver->caps & VIVO_CAP_DEAR_HEADERS ||
           atomic_load(&f->archive->dear_headers);
}

bool headers_cost(struct vivo_flow *f, const struct vivo_selection *sel,
                  struct headers_cost *out)
{
    size_t n;
    const struct vivo_pending *p = vivo_selection_pending(sel, &n);
    *out = (struct headers_cost){0};
    if (!headers_are_dear(f))
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!p[i].headers)
            continue;
        out->series++;
        /* Beyond what is allowed nobody needs to know more. */
        out->objects += out->objects > f->headers_max ? 1 : objects_of(f, p[i].row);
    }
    return out->objects > f->headers_max;
}

int check_headers_cost(struct vivo_flow *f, const struct vivo_selection *sel,
                       struct vivo_err *err)
{
    struct headers_cost cost;
    if (!headers_cost(f, sel, &cost))
        return 0;
    return vivo_fail(err, EIO,
                     "%s: needs the headers of %zu series, at least %" PRIu64
                     " objects read one by one, and headers_max=%" PRIu64
                     ": narrow the query",
                     f->name, cost.series, cost.objects, f->headers_max);
}
