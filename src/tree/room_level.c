/* SPDX-License-Identifier: Apache-2.0 */
/* src/tree/room_level.c -- a level of the tree, from the archive down to the series,
 * whole or as a query selects it; and the objects in it. */
#include "tree/internal.h"

#include <string.h>

struct take { /* receives the one entry that was looked up */
    struct vivo_tree *tree;
    const struct node *dir;
    const char *name;
    struct found *found;
    struct vivo_op *op;
    bool audit; /* what is looked up is its audit */
};

static int take_entry(void *ctx, const struct vivo_entry *e)
{
    struct take *k = ctx;

    if (k->tree->cfg.refused_hide && e->refusal)
        return not_there(k->found, 0, k->op);
    if (k->audit)
        return sidecar_audit_found(k->tree, k->dir, e, k->found, k->op);
    return found_entry(k->found, k->tree, k->dir, k->name, e, &k->op->err);
}

/* The children are known, and which of them a query selects. A query may have decided
 * for a whole study or series without knowing what is in it, so that is listed here;
 * of others it knows all that it selects, though not all that there is. */
static int complete(struct vivo_tree *t, const struct node *dir,
                    struct vivo_selection **sel, struct vivo_op *op)
{
    struct vivo_flow *f = node_flow(t, dir);
    bool list = true;
    int rc = 0;

    *sel = NULL;
    if (dir->query) {
        rc = select_get(t, dir, sel, op);
        if (!rc && dir->level != VIVO_LEVEL_SERIES)
            rc = vivo_catalog_whole(node_catalog(t, dir), dir->level, dir->row, *sel,
                                    &list, &op->err);
    }
    /* There is nothing but what queries found: that is never the whole. */
    if (dir->query && vivo_flow_closed(f) && dir->level <= VIVO_LEVEL_COLLECTION)
        return rc;
    if (!rc && list)
        rc = vivo_flow_list(f, dir->level, dir->row, op);
    if (!rc || !*sel)
        return rc;
    vivo_selection_unref(*sel);
    *sel = NULL;
    return rc;
}

/* Queries are about instances. */
static bool shows_extras(const struct node *dir)
{
    return !dir->query && dir->level != VIVO_LEVEL_NONE;
}

static int lookup(struct vivo_tree *t, const struct node *dir, const char *name,
                  struct found *f, struct vivo_op *op)
{
    VIVO_AUTO(selection_unref_p) struct vivo_selection *sel = NULL;
    struct take k = {.tree = t, .dir = dir, .name = name, .found = f, .op = op};
    int rc;

    if (name[0] == '.' || papers_answer(t, dir, name))
        return exports_lookup(t, dir, name, f, op);
    if (!strcmp(name, "q") || !strcmp(name, "by")) {
        found_room(f, dir, name[0] == 'q' ? &room_q : &room_by);
        return 0;
    }
    rc = complete(t, dir, &sel, op);
    if (rc)
        return rc;
    VIVO_AUTO(vivo_free_p) char *object = NULL;
    if (dir->level == VIVO_LEVEL_SERIES && sidecar_audit_named(name)) {
        object = strndup(name, sidecar_audit_object(name));
        if (!object)
            return vivo_fail(&op->err, ENOMEM, "no memory for a name");
        k.audit = true;
    }
    rc = vivo_catalog_find(node_catalog(t, dir), dir->level, dir->row, sel,
                           object ? object : name, take_entry, &k, &op->err);
    if (rc == -ENOENT && shows_extras(dir)) {
        vivo_err_clear(&op->err);
        rc = extra_lookup(t, dir, name, f, op);
    }
    if (rc == -ENOENT)
        f->negative = dir->query ? 0 : SHORT_TIMEOUT;
    return rc;
}

struct emit {
    struct lister *l;
    bool refused_hide;
};

static int emit_entry(void *ctx, const struct vivo_entry *e)
{
    struct emit *m = ctx;

    if (m->refused_hide && e->refusal)
        return 0;
    return list_entry(m->l, e);
}

static int list(struct lister *l, struct vivo_op *op)
{
    VIVO_AUTO(selection_unref_p) struct vivo_selection *sel = NULL;
    const struct node *dir = l->dir;
    struct emit m = {.l = l, .refused_hide = l->tree->cfg.refused_hide};
    int rc = complete(l->tree, dir, &sel, op);

    /* The first by/ only: what is below it would list itself again without end. */
    if (!rc && l->tree->cfg.magic && !dir->query &&
        dir->level <= VIVO_LEVEL_COLLECTION) {
        if (dir->room != &room_root)
            rc = list_fixed(l, "q", &room_q);
        if (!rc)
            rc = list_fixed(l, "by", &room_by);
    }
    if (!rc && l->tree->cfg.sidecars)
        rc = exports_list(l, sel, op);
    if (!rc)
        rc = papers_list(l, op);
    if (!rc)
        rc = vivo_catalog_children(node_catalog(l->tree, dir), dir->level, dir->row,
                                   sel, emit_entry, &m, &op->err);
    if (!rc && shows_extras(dir))
        rc = extra_list(l, op);
    return rc;
}

/* ---- stat ---- */

struct see {
    const struct vivo_tree *tree;
    const struct node *n;
    struct vivo_node_stat *st;
    int refusal;
    uint32_t version;
};

static int see_entry(void *ctx, const struct vivo_entry *e)
{
    struct see *s = ctx;

    stat_entry(s->tree, s->n->archive, e, s->st);
    s->refusal = e->refusal;
    s->version = e->version;
    return 0;
}

static int see(struct vivo_tree *t, const struct node *n, struct see *s,
               struct vivo_node_stat *out, struct vivo_err *err)
{
    int rc;

    *s = (struct see){.tree = t, .n = n, .st = out};
    rc = vivo_catalog_get(node_catalog(t, n), n->level, n->row, see_entry, s, err);
    if (rc)
        return rc;
    if (n->level == VIVO_LEVEL_INSTANCE && (uint8_t)s->version != n->version)
        return vivo_fail(err, ESTALE, "row #%lld: has a newer version",
                         (long long)n->row);
    return 0;
}

static int stat_level(struct vivo_tree *t, const struct node *n,
                      struct vivo_node_stat *out, struct vivo_op *op)
{
    struct node space;
    struct see s;

    /* What a look-up made holds its own numbers; an archive is always there. */
    if (!ino_decode(n->ino, &space) || n->level == VIVO_LEVEL_NONE) {
        node_stat(t, n, out);
        return 0;
    }
    return see(t, n, &s, out, &op->err);
}

const struct room room_level = {
    .name = "level",
    .kind = VIVO_NODE_DIR,
    .mode = 0555,
    .lookup = lookup,
    .list = list,
    .stat = stat_level,
};

/* ---- objects ---- */

/* The object's size as of now, kept in the catalog: while it is open the kernel may
 * ask again, and would cut the file at an estimate. */
static int learn_size(struct vivo_tree *t, const struct node *n, uint64_t size,
                      struct vivo_node_stat *st, struct vivo_op *op)
{
    struct see s;
    int rc = see(t, n, &s, st, &op->err);

    if (rc || (st->size_exact && st->size == size))
        return rc;
    rc = vivo_catalog_set_size(node_catalog(t, n), n->row, size, &op->err);
    st->size = size;
    st->size_exact = true;
    st->attr_timeout = rc ? 0 : LONG_TIMEOUT;
    if (rc == -ENOSPC) { /* the kernel asks again, and stat_object() knows it */
        vivo_err_clear(&op->err);
        rc = 0;
    }
    return rc;
}

static int open_object(struct vivo_tree *t, const struct node *n,
                       struct vivo_view **out, struct vivo_node_stat *st,
                       struct vivo_op *op)
{
    VIVO_AUTO(vivo_view_unref_p) struct vivo_view *view = NULL;
    struct see s;
    int rc = see(t, n, &s, st, &op->err);

    if (rc)
        return rc;
    if (s.refusal)
        return vivo_fail(&op->err, EPERM, "%s #%lld: policy refuses it (%s)",
                         vivo_flow_name(node_flow(t, n)), (long long)n->row,
                         vivo_refusal_code((enum vivo_refusal)s.refusal));
    rc = vivo_flow_object(node_flow(t, n), n->row, &view, op);
    if (rc)
        return rc;
    uint64_t size = vivo_view_size(view);
    bool resized = !st->size_exact || st->size != size;
    /* Also to see whether it is another version now, that is, another node. */
    rc = learn_size(t, n, size, st, op);
    if (rc)
        return rc;
    st->resized = resized;
    st->spoiled = vivo_flow_spoiled(node_flow(t, n), n->row);
    *out = VIVO_STEAL(view);
    return 0;
}

bool size_will_do(struct vivo_tree *t, const struct node *n, struct vivo_node_stat *st)
{
    uint64_t size = vivo_flow_size_now(node_flow(t, n), n->row);

    if (size)
        st->size = size;
    return size || !t->cfg.size_exact;
}

static int stat_object(struct vivo_tree *t, const struct node *n,
                       struct vivo_node_stat *out, struct vivo_op *op)
{
    VIVO_AUTO(vivo_view_unref_p) struct vivo_view *view = NULL;
    struct see s;
    int rc = see(t, n, &s, out, &op->err);

    if (rc || out->size_exact || s.refusal || size_will_do(t, n, out))
        return rc;
    return open_object(t, n, &view, out, op);
}

const struct room room_object = {
    .name = "object",
    .kind = VIVO_NODE_FILE,
    .mode = 0444,
    .stat = stat_object,
    .open = open_object,
};
