/* SPDX-License-Identifier: Apache-2.0 */
/* src/deid/patches.c -- bytes put over others of the same length: pixel data stay where
 * they are, and all offsets and lengths stay right. */
#include "pixels.h"

#include <errno.h>
#include <string.h>

#define PATCHES_MAX (1u << 20)

void vivo_patches_init(struct vivo_patches *p)
{
    memset(p, 0, sizeof *p);
    vivo_buf_init(&p->bytes, 1u << 20);
}

void vivo_patches_free(struct vivo_patches *p)
{
    free(p->p);
    p->p = NULL;
    vivo_buf_free(&p->bytes);
}

/* Does the pattern go on where the last patch ends? */
static bool joins(const struct vivo_patches *p, uint64_t off, const void *pattern,
                  uint32_t period)
{
    const struct vivo_patch *last = p->n ? &p->p[p->n - 1] : NULL;
    return last && last->off + last->len == off && last->period == period &&
           last->len % period == 0 &&
           !memcmp(p->bytes.data + last->at, pattern, period);
}

static int find_pattern(struct vivo_patches *p, const void *pattern, uint32_t period,
                        uint32_t *at)
{
    const struct vivo_patch *last = p->n ? &p->p[p->n - 1] : NULL;
    if (last && last->period == period &&
        !memcmp(p->bytes.data + last->at, pattern, period)) {
        *at = last->at;
        return 0;
    }
    *at = (uint32_t)p->bytes.len;
    return vivo_buf_add(&p->bytes, pattern, period);
}

int vivo_patches_add(struct vivo_patches *p, uint64_t off, uint64_t len,
                     const void *pattern, uint32_t period, struct vivo_err *err)
{
    struct vivo_patch patch = {off, len, 0, period};
    if (!len)
        return 0;
    if (joins(p, off, pattern, period)) {
        p->p[p->n - 1].len += len;
        return 0;
    }
    struct vivo_patch *grown =
        vivo_array_grow(p->p, p->n, &p->cap, sizeof *grown, PATCHES_MAX);
    if (!grown)
        return vivo_fail(err, p->n >= PATCHES_MAX ? EBADMSG : ENOMEM,
                         "pixels: too much to be covered");
    p->p = grown;
    if (find_pattern(p, pattern, period, &patch.at))
        return vivo_fail(err, EBADMSG, "pixels: too much to be covered");
    p->p[p->n++] = patch;
    return 0;
}

/* The first patch that ends behind off. */
static uint32_t first_behind(const struct vivo_patches *p, uint64_t off)
{
    uint32_t lo = 0, hi = p->n;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (p->p[mid].off + p->p[mid].len <= off)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* A range of the source begins or ends inside a patch only where the source is cut,
 * so that a pattern is always begun at its beginning. */
int vivo_patches_view(const struct vivo_patches *p, struct vivo_view *v, uint64_t off,
                      uint64_t len)
{
    const uint64_t end = off + len;
    for (uint32_t i = first_behind(p, off); i < p->n && p->p[i].off < end; i++) {
        const struct vivo_patch *patch = &p->p[i];
        if (patch->off < off)
            return -EINVAL;
        uint64_t n = VIVO_MIN(patch->len, end - patch->off);
        int rc = vivo_view_add_range(v, off, patch->off - off);
        if (!rc)
            rc = vivo_view_add_repeat(v, p->bytes.data + patch->at, patch->period, n);
        if (rc)
            return rc;
        off = patch->off + n;
    }
    return vivo_view_add_range(v, off, end - off);
}
