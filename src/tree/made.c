/* SPDX-License-Identifier: Apache-2.0 */
/* src/tree/made.c -- files that are made when they are opened, not when they are looked
 * up: a listing costs nothing. Until then their size is an estimate.
 *
 * The kernel forgets nodes with every change of the catalog; what was made last is kept
 * aside, by what it is made of, for who comes back. */
#include "tree/internal.h"

#include <string.h>

#define RECENT 12

struct made_recent {
    pthread_mutex_t mutex;
    struct made *kept[RECENT]; /* guarded by mutex */
    size_t next;               /* guarded by mutex */
};

void made_init(struct made *m, void (*drop)(struct made *))
{
    pthread_mutex_init(&m->mutex, NULL);
    atomic_init(&m->refs, 1);
    atomic_init(&m->size, 0);
    m->drop = drop;
}

struct made *made_ref(struct made *m)
{
    atomic_fetch_add(&m->refs, 1);
    return m;
}

void made_unref(struct made *m)
{
    if (!m || atomic_fetch_sub(&m->refs, 1) != 1)
        return;
    vivo_view_unref(m->view);
    pthread_mutex_destroy(&m->mutex);
    m->drop(m);
}

struct vivo_view *made_share(struct made *m, struct vivo_view *view)
{
    struct vivo_view *out;

    pthread_mutex_lock(&m->mutex);
    if (m->view) {
        vivo_view_unref(view);
    } else if (view) {
        m->view = view;
        atomic_store(&m->size, vivo_view_size(view));
    }
    out = m->view ? vivo_view_ref(m->view) : NULL;
    pthread_mutex_unlock(&m->mutex);
    return out;
}

void made_stat(const struct made *m, struct vivo_node_stat *out)
{
    uint64_t size = atomic_load(&m->size);

    out->size = size ? size : m->estimate;
    out->size_exact = size != 0;
    out->attr_timeout = size ? LONG_TIMEOUT : 0;
}

int made_recent_new(struct made_recent **out, struct vivo_err *err)
{
    *out = calloc(1, sizeof **out);
    if (!*out)
        return vivo_fail(err, ENOMEM, "no memory for the tree");
    pthread_mutex_init(&(*out)->mutex, NULL);
    return 0;
}

void made_recent_free(struct made_recent *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < RECENT; i++)
        made_unref(r->kept[i]);
    pthread_mutex_destroy(&r->mutex);
    free(r);
}

struct made *made_recall(struct vivo_tree *t, struct made *m)
{
    struct made_recent *r = t->made;
    struct made *old = NULL, *same = NULL;

    pthread_mutex_lock(&r->mutex);
    for (size_t i = 0; i < RECENT && !same; i++)
        if (r->kept[i] && !strcmp(r->kept[i]->digest, m->digest))
            same = made_ref(r->kept[i]);
    if (!same) {
        old = r->kept[r->next];
        r->kept[r->next] = made_ref(m);
        r->next = (r->next + 1) % RECENT;
    }
    pthread_mutex_unlock(&r->mutex);
    made_unref(old);
    if (same)
        made_unref(m);
    return same ? same : m;
}

bool made_reuse(struct vivo_tree *t, const struct node *dir, const char *name,
                const struct room *room, uint64_t generation, struct found *f)
{
    if (dir->flags & NODE_NOW || !table_reuse(t->table, dir, name, generation, &f->st))
        return false;
    f->spec = (struct node){.room = room, .ino = f->st.ino};
    f->st.entry_timeout = SHORT_TIMEOUT;
    return true;
}

int made_found(struct found *f, const struct node *dir, const struct room *room,
               struct made *m, uint64_t generation, struct vivo_err *err)
{
    f->spec = (struct node){.room = room,
                            .flags = dir->flags | NODE_BRIEF,
                            .archive = dir->archive,
                            .mtime = dir->mtime,
                            .generation = dir->flags & NODE_NOW ? 0 : generation,
                            .made = m};
    /* What tells it from another of the same name. */
    f->spec.text = strdup(m->digest);
    return f->spec.text ? 0 : vivo_fail(err, ENOMEM, "no memory for a node");
}

int made_list(struct lister *l, const char *name, const struct room *room,
              struct made *m)
{
    struct node n = {.room = room,
                     .number = ino_hash(l->dir->number, name),
                     .flags = l->dir->flags,
                     .made = m,
                     .mtime = l->dir->mtime};
    struct vivo_node_stat st;

    node_stat(l->tree, &n, &st);
    return l->emit(l->ctx, name, &st);
}

/* ---- objects that such a file is made of -------------------------------------------
 */

static void landed_aside(struct vivo_op *op)
{
    free(op);
}

void object_aside(struct vivo_flow *f, vivo_row row)
{
    struct vivo_view *view = NULL;
    struct vivo_op *op = malloc(sizeof *op);

    if (!op)
        return;
    vivo_op_init(op, 0);
    op->landed = landed_aside;
    if (vivo_flow_object(f, row, &view, op) == -EAGAIN)
        return;
    vivo_view_unref(view);
    free(op);
}

static int read_view(struct vivo_reader *self, void *buf, size_t len, uint64_t off,
                     struct vivo_err *err)
{
    const struct view_reader *r = (const struct view_reader *)self; /* first member */
    ssize_t n = vivo_view_pread(r->view, buf, len, off, err);

    if (n < 0)
        return (int)n;
    return (size_t)n == len ? 0 : vivo_fail(err, EIO, "read past the end");
}

void view_reader_init(struct view_reader *r, const struct vivo_view *view)
{
    *r = (struct view_reader){{read_view, vivo_view_size(view)}, view};
}
