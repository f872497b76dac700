/* SPDX-License-Identifier: Apache-2.0 */
/* src/tree/walk.c -- everything of one level below a directory, for exports.
 *
 * Reads the catalog only. The children of one directory are copied before going
 * deeper, so that no reader connection is held while another is asked for. */
#include "tree/internal.h"

#include <stdio.h>
#include <string.h>

#define ARENA_MAX (64u << 20) /* bytes of the children of one directory */

struct child {
    struct vivo_entry e;
    struct child *next;
};

struct gather { /* children of one directory, in order */
    struct vivo_arena *arena;
    struct child *first, **last;
};

struct walk {
    struct vivo_catalog *cat;
    const struct vivo_selection *sel;
    enum vivo_level level;
    walk_fn *fn;
    void *ctx;
    struct vivo_buf path;
    struct vivo_err *err;
};

static int gather_entry(void *ctx, const struct vivo_entry *e)
{
    struct gather *g = ctx;
    struct child *c = vivo_arena_alloc(g->arena, sizeof *c);

    if (!c)
        return -ENOMEM;
    c->e = *e;
    c->e.name = vivo_arena_strndup(g->arena, e->name, strlen(e->name));
    if (!c->e.name)
        return -ENOMEM;
    *g->last = c;
    g->last = &c->next;
    return 0;
}

static int call(struct walk *w, const struct vivo_entry *e)
{
    struct walk_item item = {.e = *e, .path = (const char *)w->path.data};

    return w->fn(w->ctx, &item);
}

static int descend(struct walk *w, enum vivo_level level, vivo_row row);

static int visit(struct walk *w, const struct vivo_entry *e)
{
    size_t len = w->path.len;
    int rc = vivo_buf_printf(&w->path, "%s%s", len ? "/" : "", e->name);

    if (rc)
        return vivo_fail(w->err, EIO, "row #%lld: path too long", (long long)e->row);
    rc = e->level == w->level ? call(w, e) : descend(w, e->level, e->row);
    w->path.len = len;
    w->path.data[len] = 0;
    return rc;
}

static int descend(struct walk *w, enum vivo_level level, vivo_row row)
{
    VIVO_AUTO(vivo_arena_free_p) struct vivo_arena *arena = vivo_arena_new(ARENA_MAX);
    struct gather g = {.arena = arena, .last = &g.first};
    int rc;

    if (!arena)
        return vivo_fail(w->err, ENOMEM, "no memory to walk the catalog");
    rc = vivo_catalog_children(w->cat, level, row, w->sel, gather_entry, &g, w->err);
    if (rc == -ENOMEM && !w->err->errnum)
        vivo_fail(w->err, ENOMEM, "no memory to walk the catalog");
    for (const struct child *c = g.first; c && !rc; c = c->next)
        rc = visit(w, &c->e);
    return rc;
}

/* The directory itself is what is asked for. */
static int only_self(void *ctx, const struct vivo_entry *e)
{
    return call(ctx, e);
}

int walk_level(struct vivo_tree *t, const struct node *n,
               const struct vivo_selection *sel, enum vivo_level level, walk_fn *fn,
               void *ctx, struct vivo_err *err)
{
    struct walk w = {.cat = node_catalog(t, n),
                     .sel = sel,
                     .level = level,
                     .fn = fn,
                     .ctx = ctx,
                     .err = err};
    int rc = 0;

    vivo_buf_init(&w.path, 8192);
    if (n->level != VIVO_LEVEL_NONE)
        rc = vivo_catalog_path(w.cat, n->level, n->row, &w.path, err);
    if (!rc && n->level == level)
        rc = vivo_catalog_get(w.cat, level, n->row, only_self, &w, err);
    else if (!rc)
        rc = descend(&w, n->level, n->row);
    vivo_buf_free(&w.path);
    return rc;
}

const char *walk_prefix(const struct vivo_tree *t, uint32_t archive, char out[130])
{
    out[0] = 0;
    if (!t->cfg.flat)
        snprintf(out, 130, "%s/", vivo_flow_name(t->flows[archive]));
    return out;
}
