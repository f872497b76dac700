/* SPDX-License-Identifier: Apache-2.0 */
/* src/tree/room_root.c -- the mount itself: README.txt, .vivofs, q, the archives; and
 * q/EXPR/ of the whole mount, which lists every archive without asking it. */
#include "tree/internal.h"

#include <string.h>

static uint32_t archive_named(const struct vivo_tree *t, const char *name)
{
    for (uint32_t i = 0; i < t->cfg.nflows; i++) {
        if (!strcmp(vivo_flow_name(t->flows[i]), name))
            return i;
    }
    return NO_ARCHIVE;
}

static int lookup_readme(struct vivo_tree *t, const struct node *dir, struct found *f,
                         struct vivo_op *op)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf text = {0};

    vivo_buf_init(&text, TEXT_MAX);
    if (render_readme(t, &text))
        return vivo_fail(&op->err, ENOMEM, "no memory for README.txt");
    return found_text(f, dir, text.data, text.len, &op->err);
}

static int lookup(struct vivo_tree *t, const struct node *dir, const char *name,
                  struct found *f, struct vivo_op *op)
{
    uint32_t i;

    if (!strcmp(name, "README.txt"))
        return lookup_readme(t, dir, f, op);
    if (!strcmp(name, ".vivofs")) {
        found_room(f, dir, &room_control);
        f->spec.flags |= NODE_CONTROL;
        return 0;
    }
    if (t->cfg.flat)
        return room_level.lookup(t, dir, name, f, op);
    if (!strcmp(name, "q")) {
        found_room(f, dir, &room_q);
        return 0;
    }
    if (name[0] == '.')
        return exports_lookup(t, dir, name, f, op);
    i = archive_named(t, name);
    if (i == NO_ARCHIVE)
        return not_there(f, LONG_TIMEOUT, op);
    stat_entry(t, i, &(struct vivo_entry){.mtime = NO_DATE}, &f->st);
    f->spec = (struct node){.room = &room_level, .ino = f->st.ino};
    return 0;
}

static int list_archives(struct lister *l)
{
    int rc = 0;

    for (uint32_t i = 0; i < l->tree->cfg.nflows && !rc; i++) {
        const char *name = vivo_flow_name(l->tree->flows[i]);
        struct vivo_node_stat st;

        if (l->dir->room != &room_root) {
            rc = list_fixed(l, name, &room_level);
            continue;
        }
        stat_entry(l->tree, i, &(struct vivo_entry){.mtime = NO_DATE}, &st);
        rc = l->emit(l->ctx, name, &st);
    }
    return rc;
}

static int list(struct lister *l, struct vivo_op *op)
{
    int rc = list_fixed(l, "README.txt", &room_text);

    if (!rc)
        rc = list_fixed(l, ".vivofs", &room_control);
    if (!rc)
        rc = list_fixed(l, "q", &room_q);
    if (rc)
        return rc;
    return l->tree->cfg.flat ? room_level.list(l, op) : list_archives(l);
}

const struct room room_root = {
    .name = "root",
    .kind = VIVO_NODE_DIR,
    .mode = 0555,
    .lookup = lookup,
    .list = list,
};

/* ---- q/EXPR/ over every archive ---- */

static int lookup_everywhere(struct vivo_tree *t, const struct node *dir,
                             const char *name, struct found *f, struct vivo_op *op)
{
    VIVO_AUTO(query_unref_p) struct vivo_query *q = NULL;
    const char *text = vivo_query_text(dir->query);
    struct vivo_query_error qe = {0};
    struct node archive = node_scope(dir);
    uint32_t i;
    int rc;

    if (name[0] == '.')
        return exports_lookup(t, dir, name, f, op);
    if (!strcmp(name, "q")) {
        found_room(f, dir, &room_q);
        return 0;
    }
    i = archive_named(t, name);
    if (i == NO_ARCHIVE)
        return not_there(f, 0, op);
    /* Each archive has its own profile, which may hide what another one shows. */
    archive.archive = i;
    archive.query = NULL;
    rc = query_again(t, &archive, dir->query, &q, &qe);
    if (rc == -EINVAL)
        return found_query_error(f, &archive, text, &qe, op);
    if (rc)
        return vivo_fail(&op->err, EIO, "a query cannot be read again");
    return found_query(t, f, &archive, VIVO_STEAL(q), op);
}

static int list_everywhere(struct lister *l, struct vivo_op *op)
{
    (void)op;
    return list_archives(l);
}

const struct room room_everywhere = {
    .name = "everywhere",
    .kind = VIVO_NODE_DIR,
    .mode = 0555,
    .lookup = lookup_everywhere,
    .list = list_everywhere,
};
