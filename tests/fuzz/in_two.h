/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/in_two.h -- a parser of streams, fed at once or in two pieces: the verdict
 * and what came of it must be the same. The first byte says where to split. */
#ifndef VIVOFS_TESTS_IN_TWO_H
#define VIVOFS_TESTS_IN_TWO_H

#include "vivofs/buf.h"

#include <stdbool.h>
#include <string.h>

struct seen {
    struct vivo_buf bytes;
    unsigned parts;
    bool open; /* something has begun and not ended */
};

/* Feeds [0, split) and then the rest; makes s->bytes. */
typedef int feed_fn(const uint8_t *data, size_t size, size_t split, struct seen *s);

static inline void feed_in_two(feed_fn *feed, const uint8_t *data, size_t size)
{
    if (size < 1)
        return;
    struct seen whole = {0};
    struct seen split = {0};
    size_t at = (size_t)data[0] * (size - 1) / 255;
    int a = feed(data + 1, size - 1, 0, &whole);
    int b = feed(data + 1, size - 1, at, &split);
    if (a != b)
        __builtin_trap();
    if (a == 0 && (whole.open || whole.parts != split.parts ||
                   whole.bytes.len != split.bytes.len ||
                   (whole.bytes.len > 0 &&
                    memcmp(whole.bytes.data, split.bytes.data, whole.bytes.len) != 0)))
        __builtin_trap();
    vivo_buf_free(&whole.bytes);
    vivo_buf_free(&split.bytes);
}

#endif
