/* SPDX-License-Identifier: Apache-2.0 */
/* src/tree/found.c -- filling in what a look-up found and what a listing emits. */
#include "tree/internal.h"

#include <string.h>

void found_room(struct found *f, const struct node *dir, const struct room *room)
{
    f->spec = node_scope(dir);
    f->spec.room = room;
    if (f->spec.query)
        vivo_query_ref(f->spec.query);
}

int found_spool(struct found *f, const struct node *dir, struct vivo_tree_spool *s,
                struct vivo_err *err)
{
    struct vivo_view *view;
    int rc = vivo_tree_spool_view(s, &view, err);

    if (rc)
        return rc;
    found_room(f, dir, &room_text);
    f->spec.view = view;
    return 0;
}

int found_text(struct found *f, const struct node *dir, const void *text, size_t len,
               struct vivo_err *err)
{
    struct vivo_tree_spool s;
    int rc;

    vivo_tree_spool_init(&s);
    rc = vivo_tree_spool_add(&s, text, len, err);
    if (!rc)
        rc = found_spool(f, dir, &s, err);
    vivo_tree_spool_free(&s);
    return rc;
}

void stat_entry(const struct vivo_tree *t, uint32_t archive, const struct vivo_entry *e,
                struct vivo_node_stat *out)
{
    bool file = e->level == VIVO_LEVEL_INSTANCE;
    const struct room *room = file ? &room_object : &room_level;
    vivo_ino ino = ino_of(room, archive, e->level, file ? e->version : 0, e->row);

    (void)t;
    *out = (struct vivo_node_stat){
        .ino = ino,
        .number = ino,
        .plain = ino,
        .kind = room->kind,
        .mode = room->mode,
        /* Never 0 for what is not known: GNU tar does not even open such a file. */
        .size = !file                        ? 0
                : (e->size || e->size_exact) ? e->size
                                             : 1,
        .size_exact = !file || e->size_exact,
        .mtime = e->mtime,
        .entry_timeout = LONG_TIMEOUT,
        .attr_timeout = !file || e->size_exact ? LONG_TIMEOUT : 0,
    };
}

double entry_timeout(unsigned flags)
{
    if (flags & NODE_NOW)
        return 0;
    return flags & NODE_BRIEF ? SHORT_TIMEOUT : LONG_TIMEOUT;
}

/* Is dir a directory of the plain tree, whose children have computed numbers? */
static bool is_plain(const struct node *dir)
{
    struct node space;

    return dir->room == &room_root || ino_decode(dir->ino, &space);
}

int found_entry(struct found *f, const struct vivo_tree *t, const struct node *dir,
                const char *name, const struct vivo_entry *e, struct vivo_err *err)
{
    if (e->row <= 0 || e->row >> 40)
        return vivo_fail(err, EIO, "row #%lld: out of range", (long long)e->row);
    stat_entry(t, dir->archive, e, &f->st);
    if (e->level == VIVO_LEVEL_INSTANCE || (is_plain(dir) && !strcmp(name, e->name))) {
        f->spec = (struct node){.room = &room_object, .ino = f->st.ino};
        f->st.entry_timeout = entry_timeout(dir->flags);
        return 0;
    }
    /* One directory inode under two parents, or under two names, would move the
     * kernel's dentry: these get a number of their own. */
    found_room(f, dir, &room_level);
    f->spec.level = e->level;
    f->spec.row = e->row;
    f->spec.mtime = e->mtime;
    return 0;
}

int list_fixed(struct lister *l, const char *name, const struct room *room)
{
    struct node n = {.room = room,
                     .number = ino_hash(l->dir->number, name),
                     .flags = l->dir->flags,
                     .mtime = l->dir->mtime};
    struct vivo_node_stat st;

    if (room->kind == VIVO_NODE_LINK)
        n.text = (char[]){""};
    node_stat(l->tree, &n, &st);
    return l->emit(l->ctx, name, &st);
}

int list_entry(struct lister *l, const struct vivo_entry *e)
{
    struct vivo_node_stat st;

    stat_entry(l->tree, l->dir->archive, e, &st);
    st.entry_timeout = entry_timeout(l->dir->flags);
    if (l->dir->flags & NODE_NOW && e->level != VIVO_LEVEL_INSTANCE)
        st.attr_timeout = 0;
    if (e->level != VIVO_LEVEL_INSTANCE && !is_plain(l->dir)) {
        st.ino = 0;
        st.number = ino_hash(l->dir->number, e->name);
    }
    return l->emit(l->ctx, e->name, &st);
}

int not_there(struct found *f, double seconds, struct vivo_op *op)
{
    f->negative = seconds;
    return vivo_fail(&op->err, ENOENT, "no such name in this directory");
}
