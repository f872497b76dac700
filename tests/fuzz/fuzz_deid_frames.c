/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_deid_frames.c -- the scanner of compressed frames.
 *
 * The first byte chooses syntax, number of frames and where fragments end. What was
 * covered once needs no cover when it is looked at again. */
#include "deid/pixels.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BYTES_MAX 70000

static const char *const syntaxes[] = {"1.2.840.10008.1.2.4.50",
                                       "1.2.840.10008.1.2.4.80",
                                       "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5"};

/* An empty or small table, then the bytes in fragments. */
static size_t encapsulate(uint8_t *to, const uint8_t *p, size_t n, unsigned way)
{
    size_t len = 8, part = way & 8 ? n / 3 + 1 : n;
    vivo_put_le32(to, 0xE000FFFEu);
    vivo_put_le32(to + 4, way & 16 ? 4 : 0);
    if (way & 16) {
        vivo_put_le32(to + 8, 0);
        len = 12;
    }
    for (size_t at = 0; at < n; at += part) {
        size_t take = VIVO_MIN(part, n - at);
        vivo_put_le32(to + len, 0xE000FFFEu);
        vivo_put_le32(to + len + 4, (uint32_t)take);
        memcpy(to + len + 8, p + at, take);
        len += 8 + take;
    }
    vivo_put_le32(to + len, 0xE0DDFFFEu);
    vivo_put_le32(to + len + 4, 0);
    return len + 8;
}

static void apply(const struct vivo_patches *p, uint8_t *b, size_t n)
{
    uint64_t last = 0;
    for (uint32_t i = 0; i < p->n; i++) {
        const struct vivo_patch *patch = &p->p[i];
        assert(patch->off >= last && patch->off + patch->len <= n);
        for (uint64_t k = 0; k < patch->len; k++)
            b[patch->off + k] = p->bytes.data[patch->at + k % patch->period];
        last = patch->off + patch->len;
    }
}

static int clean(uint8_t *b, size_t n, unsigned way, uint32_t *patches)
{
    struct vivo_mem_reader r;
    struct vivo_frames f;
    struct vivo_patches p;
    vivo_mem_reader_init(&r, b, n);
    vivo_patches_init(&p);
    int rc = vivo_frames_find(&f, &r.base, 0, n, way & 4 ? 2 : 1, NULL);
    if (!rc)
        rc = vivo_frames_clean(&f, &r.base, syntaxes[way & 3], &p, NULL);
    if (!rc)
        apply(&p, b, n);
    *patches = p.n;
    vivo_frames_free(&f);
    vivo_patches_free(&p);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t b[BYTES_MAX + 200];
    uint32_t patches = 0;
    if (size < 2 || size > BYTES_MAX)
        return 0;
    size_t n = encapsulate(b, data + 1, size - 1, data[0]);
    if (clean(b, n, data[0], &patches))
        return 0;
    if (clean(b, n, data[0], &patches) || patches)
        __builtin_trap();
    return 0;
}
