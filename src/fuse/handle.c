/* SPDX-License-Identifier: Apache-2.0 */
/* src/fuse/handle.c -- open files and directories. */
#include "fuse/internal.h"

#include <stdlib.h>

int handle_new(struct vivo_session *s, struct vivo_view *view, uint64_t *fh)
{
    struct handle *h = calloc(1, sizeof *h);

    if (!h)
        return -ENOMEM;
    h->view = view;
    pthread_mutex_lock(&s->mutex);
    h->next = s->handles;
    if (h->next)
        h->next->prev = h;
    s->handles = h;
    pthread_mutex_unlock(&s->mutex);
    *fh = (uint64_t)(uintptr_t)h;
    return 0;
}

struct handle *handle_of(const struct fuse_file_info *fi)
{
    return (struct handle *)(uintptr_t)fi->fh;
}

void handle_free(struct vivo_session *s, struct handle *h)
{
    pthread_mutex_lock(&s->mutex);
    if (h->prev)
        h->prev->next = h->next;
    else
        s->handles = h->next;
    if (h->next)
        h->next->prev = h->prev;
    pthread_mutex_unlock(&s->mutex);
    vivo_view_unref(h->view);
    free(h);
}

void handle_free_all(struct vivo_session *s)
{
    while (s->handles)
        handle_free(s, s->handles);
}
