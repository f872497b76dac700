/* SPDX-License-Identifier: Apache-2.0 */
/* src/flow/copies.c -- is an object the copy of another that claims the same UID? */
#include "flow/internal.h"

#include "vivofs/file.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static int same_bytes(int a, int b, uint64_t size, bool *same, struct vivo_err *err)
{
    enum { CHUNK = 64 * 1024 };
    VIVO_AUTO(vivo_free_p) uint8_t *buf = malloc(2 * (size_t)CHUNK);
    if (!buf)
        return vivo_fail(err, ENOMEM, "out of memory");
    *same = true;
    for (uint64_t off = 0; off < size && *same;) {
        size_t n = (size_t)VIVO_MIN(size - off, (uint64_t)CHUNK);
        int rc = vivo_pread_full(a, buf, n, off, err);
        if (!rc)
            rc = vivo_pread_full(b, buf + CHUNK, n, off, err);
        if (rc)
            return rc;
        *same = memcmp(buf, buf + CHUNK, n) == 0;
        off += n;
    }
    return 0;
}

struct comparison {
    struct vivo_flow *flow;
    int fd; /* of the new object; -1 = it cannot be read again */
    struct vivo_identity id;
    vivo_row same_as;
};

/* Non-zero: found, no need to go on. An original that is gone counts as different. */
static int compare_rival(void *ctx, vivo_row row, const char *locator)
{
    struct comparison *cmp = ctx;
    struct vivo_op op;
    vivo_op_init(&op, 0);
    VIVO_AUTO(vivo_close_p) int fd = object_descriptor(cmp->flow, locator, &op);
    struct vivo_identity id;
    bool same = false;
    if (fd < 0 || vivo_identity_of(fd, &id, NULL) || id.size != cmp->id.size ||
        same_bytes(cmp->fd, fd, id.size, &same, NULL) || !same)
        return 0;
    cmp->same_as = row;
    return 1;
}

/* Objects claim one SOP Instance UID: an exact copy shows once, else all show (DESIGN
 * A1). Remote ones cannot be compared without fetching them. */
void copies_compare(struct vivo_flow *f, struct vivo_put *put, vivo_row other)
{
    struct vivo_op op;
    struct comparison cmp = {.flow = f};
    put->copy = VIVO_COPY_DIFFERENT;
    if (!f->local)
        return;
    vivo_op_init(&op, 0);
    VIVO_AUTO(vivo_close_p) int fd = object_descriptor(f, put->locator, &op);
    cmp.fd = fd;
    if (fd < 0 || vivo_identity_of(fd, &cmp.id, NULL))
        return;
    vivo_catalog_rivals(f->catalog, other, compare_rival, &cmp, NULL);
    if (!cmp.same_as)
        return;
    put->copy = VIVO_COPY_SAME;
    put->same_as = cmp.same_as;
}
