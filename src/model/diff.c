/* SPDX-License-Identifier: Apache-2.0 */
/* src/model/diff.c -- the difference of two data sets in attrs form, and back.
 *
 * The catalog keeps what the instances of a series share once, and of each
 * instance only the rest. Both directions are one pass over two sorted lists. */
#include "vivofs/model.h"

#include <string.h>

/* One list being read: the element at its head and the bytes it takes. */
struct cursor {
    struct vivo_attrs rest;
    struct vivo_attr e;
    const uint8_t *start;
    size_t size;
    bool more;
};

static void advance(struct cursor *c)
{
    c->start = c->rest.data;
    c->more = vivo_attrs_next(&c->rest, &c->e);
    if (c->more)
        c->size = (size_t)(c->rest.data - c->start);
}

static void begin(struct cursor *c, struct vivo_attrs a)
{
    c->rest = a;
    advance(c);
}

static bool same(const struct cursor *a, const struct cursor *b)
{
    return a->size == b->size && memcmp(a->start, b->start, a->size) == 0;
}

/* Bytes that both begin with. */
static size_t common(const uint8_t *a, const uint8_t *b, size_t len)
{
    enum { BLOCK = 64 };
    size_t n = 0;
    while (len - n >= BLOCK && memcmp(a + n, b + n, BLOCK) == 0)
        n += BLOCK;
    while (n < len && a[n] == b[n])
        n++;
    return n;
}

/* Past all elements from here on that are the same in both. Most are, and so they are
 * looked at in one of the two only. */
static void skip_same(struct cursor *a, struct cursor *b)
{
    const uint8_t *from = a->start;
    size_t n =
        common(from, b->start, VIVO_MIN(a->size + a->rest.len, b->size + b->rest.len));
    while (a->more && (size_t)(a->rest.data - from) <= n)
        advance(a);
    size_t skipped = (size_t)(a->start - from);
    b->rest.len = b->size + b->rest.len - skipped;
    b->rest.data = b->start + skipped;
    advance(b);
}

int vivo_attrs_diff(struct vivo_attrs base, struct vivo_attrs full,
                    struct vivo_buf *out)
{
    struct cursor b;
    struct cursor f;
    begin(&b, base);
    begin(&f, full);
    while (b.more || f.more) {
        int rc = 0;
        if (!f.more || (b.more && b.e.tag < f.e.tag)) {
            rc = vivo_attrs_put(out, b.e.tag, "--", NULL, 0);
            advance(&b);
        } else if (!b.more || f.e.tag < b.e.tag) {
            rc = vivo_buf_add(out, f.start, f.size);
            advance(&f);
        } else if (same(&b, &f)) {
            skip_same(&b, &f);
        } else {
            rc = vivo_buf_add(out, f.start, f.size);
            advance(&b);
            advance(&f);
        }
        if (rc < 0)
            return rc;
    }
    return 0;
}

int vivo_attrs_merge(struct vivo_attrs base, struct vivo_attrs diff,
                     struct vivo_buf *out)
{
    struct cursor b;
    struct cursor d;
    begin(&b, base);
    begin(&d, diff);
    while (b.more || d.more) {
        const struct cursor *take = &b;
        bool both = b.more && d.more && b.e.tag == d.e.tag;
        if (!b.more || (d.more && d.e.tag <= b.e.tag))
            take = &d;
        if (take == &b || memcmp(d.e.vr, "--", 2) != 0) {
            int rc = vivo_buf_add(out, take->start, take->size);
            if (rc < 0)
                return rc;
        }
        bool took_base = take == &b;
        if (took_base || both)
            advance(&b);
        if (!took_base)
            advance(&d);
    }
    return 0;
}
