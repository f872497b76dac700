/* SPDX-License-Identifier: Apache-2.0 */
/* tests/lib/query_make.h -- data sets in attrs form for tests of queries. */
#ifndef VIVOFS_TESTS_QUERY_MAKE_H
#define VIVOFS_TESTS_QUERY_MAKE_H

#include "vivofs/query.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#define MAKE_MAX 65536

static inline void make_text(struct vivo_buf *b, uint32_t tag, const char *vr,
                             const char *text)
{
    assert_int_equal(vivo_attrs_put(b, tag, vr, text, strlen(text)), 0);
}

/* One item, whose data set is `in` (may be empty), appended to `items`. */
static inline void make_item(struct vivo_buf *items, const struct vivo_buf *in)
{
    uint8_t head[8];
    vivo_put_le16(head, 0xFFFE);
    vivo_put_le16(head + 2, 0xE000);
    vivo_put_le32(head + 4, (uint32_t)in->len);
    assert_int_equal(vivo_buf_add(items, head, sizeof head), 0);
    assert_int_equal(vivo_buf_add(items, in->len ? in->data : head, in->len), 0);
}

static inline void make_sequence(struct vivo_buf *b, uint32_t tag,
                                 const struct vivo_buf *items)
{
    assert_int_equal(
        vivo_attrs_put(b, tag, "SQ", items->len ? items->data : NULL, items->len), 0);
}

static inline struct vivo_attrs made(const struct vivo_buf *b)
{
    struct vivo_attrs a = {b->data, b->len};
    return a;
}

#endif
