/* SPDX-License-Identifier: Apache-2.0 */
/* src/tree/spool.c -- bytes of any length on their way into a view. Listings and
 * exports of a million objects do not belong into memory: what is beyond 4 MiB goes
 * to a file without a name. */
#include "vivofs/file.h"
#include "vivofs/tree.h"

#include <errno.h>

#define SPOOL_MEMORY (4u << 20)

void vivo_tree_spool_init(struct vivo_tree_spool *s)
{
    vivo_buf_init(&s->head, SPOOL_MEMORY);
    s->fd = -1;
    s->size = 0;
}

void vivo_tree_spool_free(struct vivo_tree_spool *s)
{
    vivo_buf_free(&s->head);
    if (s->fd >= 0)
        close(s->fd);
    vivo_tree_spool_init(s);
}

/* Everything in memory goes to the file, where it stands before what comes. */
static int spill(struct vivo_tree_spool *s, struct vivo_err *err)
{
    int rc = 0;

    if (s->fd < 0) {
        s->fd = vivo_file_nameless(NULL, err);
        if (s->fd < 0)
            return s->fd;
    }
    if (s->head.len > 0)
        rc = vivo_pwrite_full(s->fd, s->head.data, s->head.len, s->size - s->head.len,
                              err);
    if (!rc)
        vivo_buf_clear(&s->head);
    return rc;
}

int vivo_tree_spool_add(struct vivo_tree_spool *s, const void *data, size_t len,
                        struct vivo_err *err)
{
    int rc = 0;

    if (s->head.len + len > SPOOL_MEMORY)
        rc = spill(s, err);
    if (rc)
        return rc;
    if (len > SPOOL_MEMORY)
        rc = vivo_pwrite_full(s->fd, data, len, s->size, err);
    else if (vivo_buf_add(&s->head, data, len) < 0)
        rc = vivo_fail(err, ENOMEM, "no memory for %zu bytes of a listing", len);
    if (!rc)
        s->size += len;
    return rc;
}

int vivo_tree_spool_view(struct vivo_tree_spool *s, struct vivo_view **out,
                         struct vivo_err *err)
{
    VIVO_AUTO(vivo_view_unref_p) struct vivo_view *v = NULL;
    uint64_t size = s->size;
    int rc = 0;

    if (s->fd >= 0)
        rc = spill(s, err);
    if (!rc)
        rc = vivo_view_new(s->fd, NULL, &v, err);
    if (rc)
        return rc;
    if (s->fd >= 0) {
        s->fd = -1; /* the view's now */
        rc = vivo_view_add_range(v, 0, size);
    } else if (s->head.len > 0) {
        rc = vivo_view_add_memory(v, s->head.data, s->head.len);
    }
    if (rc)
        return vivo_fail(err, ENOMEM, "no memory for a listing");
    vivo_tree_spool_free(s);
    *out = VIVO_STEAL(v);
    return 0;
}
