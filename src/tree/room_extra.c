/* SPDX-License-Identifier: Apache-2.0 */
/* src/tree/room_extra.c -- files that are no DICOM objects, beside what is, and the
 * folders that they are in (DESIGN A1). Of the plain tree only: no query shows them,
 * nothing counts or exports them. */
#include "tree/internal.h"

#include <string.h>

static void stat_extra(uint32_t archive, const struct vivo_extra_entry *e,
                       struct vivo_node_stat *out)
{
    const struct room *room = e->folder ? &room_folder : &room_extra;
    vivo_ino ino =
        ino_of(room, archive, VIVO_LEVEL_NONE, e->folder ? 0 : e->version, e->row);
    bool exact = e->folder || e->size_exact;

    *out = (struct vivo_node_stat){
        .ino = ino,
        .number = ino,
        .plain = ino,
        .kind = room->kind,
        .mode = room->mode,
        .size = e->folder ? 0 : e->size,
        .size_exact = exact,
        .mtime = e->mtime,
        .entry_timeout = LONG_TIMEOUT,
        .attr_timeout = exact ? LONG_TIMEOUT : 0,
    };
}

/* ---- in a directory ---- */

struct take {
    const struct node *dir;
    struct found *found;
    struct vivo_err *err;
};

static int take_extra(void *ctx, const struct vivo_extra_entry *e)
{
    struct take *k = ctx;

    if (e->row <= 0 || e->row >> 40)
        return vivo_fail(k->err, EIO, "row #%lld: out of range", (long long)e->row);
    stat_extra(k->dir->archive, e, &k->found->st);
    k->found->spec = (struct node){.room = &room_extra, .ino = k->found->st.ino};
    return 0;
}

int extra_lookup(struct vivo_tree *t, const struct node *dir, const char *name,
                 struct found *f, struct vivo_op *op)
{
    struct take k = {.dir = dir, .found = f, .err = &op->err};

    return vivo_catalog_extra_find(node_catalog(t, dir), dir->row, name, take_extra, &k,
                                   &op->err);
}

static int emit_extra(void *ctx, const struct vivo_extra_entry *e)
{
    struct lister *l = ctx;
    struct vivo_node_stat st;

    stat_extra(l->dir->archive, e, &st);
    return l->emit(l->ctx, e->name, &st);
}

int extra_list(struct lister *l, struct vivo_op *op)
{
    return vivo_catalog_extras(node_catalog(l->tree, l->dir), l->dir->row, emit_extra,
                               l, &op->err);
}

/* ---- as it is ---- */

struct see {
    const struct node *n;
    struct vivo_node_stat *st;
    uint32_t version;
};

static int see_extra(void *ctx, const struct vivo_extra_entry *e)
{
    struct see *s = ctx;

    stat_extra(s->n->archive, e, s->st);
    s->version = e->version;
    return 0;
}

static int see(struct vivo_tree *t, const struct node *n, struct vivo_node_stat *out,
               struct vivo_err *err)
{
    struct see s = {.n = n, .st = out};
    int rc = vivo_catalog_extra_get(node_catalog(t, n), n->row, see_extra, &s, err);

    if (rc || n->room != &room_extra || (uint8_t)s.version == n->version)
        return rc;
    return vivo_fail(err, ESTALE, "row #%lld: has a newer version", (long long)n->row);
}

static int open_extra(struct vivo_tree *t, const struct node *n, struct vivo_view **out,
                      struct vivo_node_stat *st, struct vivo_op *op)
{
    VIVO_AUTO(vivo_view_unref_p) struct vivo_view *view = NULL;
    struct vivo_node_stat was;
    int rc = see(t, n, &was, &op->err);

    if (!rc)
        rc = vivo_flow_extra(node_flow(t, n), n->row, &view, op);
    if (!rc) /* by now it may be known to be another version */
        rc = see(t, n, st, &op->err);
    if (rc)
        return rc;
    st->size = vivo_view_size(view);
    st->size_exact = true;
    st->attr_timeout = LONG_TIMEOUT;
    st->resized = !was.size_exact || was.size != st->size;
    *out = VIVO_STEAL(view);
    return 0;
}

static int stat_node(struct vivo_tree *t, const struct node *n,
                     struct vivo_node_stat *out, struct vivo_op *op)
{
    VIVO_AUTO(vivo_view_unref_p) struct vivo_view *view = NULL;
    int rc = see(t, n, out, &op->err);

    if (rc || out->size_exact || size_will_do(t, n, out))
        return rc;
    return open_extra(t, n, &view, out, op);
}

const struct room room_extra = {
    .name = "extra",
    .kind = VIVO_NODE_FILE,
    .mode = 0444,
    .stat = stat_node,
    .open = open_extra,
};

/* ---- folders ---- */

static int lookup(struct vivo_tree *t, const struct node *dir, const char *name,
                  struct found *f, struct vivo_op *op)
{
    int rc = extra_lookup(t, dir, name, f, op);

    if (rc == -ENOENT)
        f->negative = SHORT_TIMEOUT;
    return rc;
}

const struct room room_folder = {
    .name = "folder",
    .kind = VIVO_NODE_DIR,
    .mode = 0555,
    .lookup = lookup,
    .list = extra_list,
    .stat = stat_node,
};
