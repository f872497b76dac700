/* SPDX-License-Identifier: Apache-2.0 */
/* src/tree/tree.c -- the calls of tree.h: find the node, ask its room, count. */
#include "tree/internal.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

static char *copy(const char *s)
{
    return strdup(s ? s : "");
}

static int copy_config(struct vivo_tree *t, const struct vivo_tree_config *cfg,
                       struct vivo_err *err)
{
    t->cfg = *cfg;
    t->started = (int64_t)time(NULL);
    t->cfg.config_text = copy(cfg->config_text);
    t->cfg.conformance = copy(cfg->conformance);
    t->cfg.profile = copy(cfg->profile);
    t->cfg.key_id = copy(cfg->key_id);
    t->flows = calloc(cfg->nflows ? cfg->nflows : 1, sizeof(struct vivo_flow *));
    t->cfg.flows = t->flows;
    if (!t->cfg.config_text || !t->cfg.conformance || !t->cfg.profile ||
        !t->cfg.key_id || !t->flows)
        return vivo_fail(err, ENOMEM, "no memory for the tree");
    for (size_t i = 0; i < cfg->nflows; i++)
        t->flows[i] = cfg->flows[i];
    return 0;
}

int vivo_tree_new(const struct vivo_tree_config *cfg, struct vivo_tree **out,
                  struct vivo_err *err)
{
    struct vivo_tree *t;
    int rc;

    if (cfg->nflows == 0 || cfg->nflows > ARCHIVES_MAX)
        return vivo_fail(err, EINVAL, "%zu archives: a mount shows 1 to %u",
                         cfg->nflows, ARCHIVES_MAX);
    if (cfg->flat && cfg->nflows != 1)
        return vivo_fail(err, EINVAL, "flat: is for a single source");
    t = calloc(1, sizeof *t);
    if (!t)
        return vivo_fail(err, ENOMEM, "no memory for the tree");
    rc = copy_config(t, cfg, err);
    if (!rc)
        rc = table_new(&t->table, err);
    if (!rc)
        rc = select_cache_new(&t->select, err);
    if (!rc)
        rc = saved_new(cfg->saved_dir, &t->saved, err);
    if (!rc)
        rc = audit_new(cfg->audit, &t->audit, err);
    if (!rc)
        rc = made_recent_new(&t->made, err);
    if (rc) {
        vivo_tree_free(t);
        return rc;
    }
    *out = t;
    return 0;
}

static void free_const(const char *s)
{
    union {
        const char *in;
        char *out;
    } u = {s};

    free(u.out);
}

void vivo_tree_free(struct vivo_tree *t)
{
    if (!t)
        return;
    table_free(t->table);
    select_cache_free(t->select);
    saved_free(t->saved);
    audit_free(t->audit);
    made_recent_free(t->made);
    free_const(t->cfg.config_text);
    free_const(t->cfg.conformance);
    free_const(t->cfg.profile);
    free_const(t->cfg.key_id);
    free(t->flows);
    free(t);
}

static int no_node(struct vivo_err *err, vivo_ino ino)
{
    return vivo_fail(err, ENOENT, "node %llx: is not there any more",
                     (unsigned long long)ino);
}

static int not_a_directory(struct vivo_err *err)
{
    return vivo_fail(err, ENOTDIR, "not a directory");
}

static int lookup_in(struct vivo_tree *t, const struct node *dir, const char *name,
                     struct vivo_node_stat *out, struct vivo_op *op)
{
    struct found f = {0};
    int rc;

    if (!dir->room->lookup)
        return not_a_directory(&op->err);
    if (strlen(name) > NODE_NAME_MAX)
        return vivo_fail(&op->err, ENAMETOOLONG, "a name is longer than %u bytes",
                         NODE_NAME_MAX);
    rc = dir->room->lookup(t, dir, name, &f, op);
    if (rc) {
        *out = (struct vivo_node_stat){.entry_timeout = f.negative};
        return rc;
    }
    if (f.spec.ino) {
        *out = f.st;
        return 0;
    }
    return table_enter(t->table, dir, name, &f, out, &op->err);
}

int vivo_tree_lookup(struct vivo_tree *t, vivo_ino parent, const char *name,
                     struct vivo_node_stat *out, struct vivo_op *op)
{
    struct node space;
    const struct node *dir = node_get(t, parent, &space);
    int rc;

    *out = (struct vivo_node_stat){0};
    if (!dir)
        return no_node(&op->err, parent);
    rc = lookup_in(t, dir, name, out, op);
    node_put(t, dir);
    return rc;
}

void vivo_tree_forget(struct vivo_tree *t, vivo_ino ino, uint64_t nlookup)
{
    struct node space;

    if (ino != VIVO_INO_ROOT && !ino_decode(ino, &space))
        table_forget(t->table, ino, nlookup);
}

int vivo_tree_stat(struct vivo_tree *t, vivo_ino ino, struct vivo_node_stat *out,
                   struct vivo_op *op)
{
    struct node space;
    const struct node *n = node_get(t, ino, &space);
    int rc = 0;

    if (!n)
        return no_node(&op->err, ino);
    if (n->room->stat)
        rc = n->room->stat(t, n, out, op);
    else
        node_stat(t, n, out);
    node_put(t, n);
    return rc;
}

int vivo_tree_list(struct vivo_tree *t, vivo_ino dir, vivo_dirent_fn *emit, void *ctx,
                   struct vivo_op *op)
{
    struct node space;
    const struct node *n = node_get(t, dir, &space);
    struct lister l = {.tree = t, .dir = n, .emit = emit, .ctx = ctx};
    int rc;

    if (!n)
        return no_node(&op->err, dir);
    rc = n->room->list ? n->room->list(&l, op) : not_a_directory(&op->err);
    node_put(t, n);
    return rc;
}

/* A directory of the catalog below a query: everything is known but its number. */
static int remember_level(struct vivo_tree *t, const struct node *dir, const char *name,
                          struct vivo_node_stat *st, struct vivo_err *err)
{
    struct node plain;
    struct found f = {0};

    if (!ino_decode(st->plain, &plain))
        return -ENOENT;
    found_room(&f, dir, plain.room);
    f.spec.level = plain.level;
    f.spec.row = plain.row;
    f.spec.mtime = st->mtime;
    return table_enter(t->table, dir, name, &f, st, err);
}

/* Entries with fixed names never wait; should one want to, it stays without
 * attributes and the kernel looks it up. */
static void never_lands(struct vivo_op *op)
{
    (void)op;
}

static bool is_fixed(const struct node *dir)
{
    return dir->room == &room_root || dir->room == &room_q ||
           dir->room == &room_control || dir->room == &room_error ||
           dir->room == &room_by || dir->room == &room_by_values ||
           dir->room == &room_everywhere || dir->room == &room_media;
}

static int remember(struct vivo_tree *t, const struct node *dir, const char *name,
                    struct vivo_node_stat *st)
{
    struct vivo_op op = {.landed = never_lands};
    bool magic = !strcmp(name, "q") || !strcmp(name, "by");
    int rc;

    if (st->plain)
        return remember_level(t, dir, name, st, &op.err);
    /* A DICOMDIR may wait for its size. */
    if ((!is_fixed(dir) && !magic) || !st->size_exact)
        return -ENOENT;
    rc = lookup_in(t, dir, name, st, &op);
    return rc ? -ENOENT : 0;
}

int vivo_tree_remember(struct vivo_tree *t, vivo_ino dir, const char *name,
                       struct vivo_node_stat *st)
{
    struct node space;
    const struct node *n;
    int rc;

    if (st->ino)
        return 0; /* computed: nothing is kept for it */
    n = node_get(t, dir, &space);
    if (!n)
        return -ENOENT;
    rc = remember(t, n, name, st);
    node_put(t, n);
    return rc;
}

void vivo_tree_failed(struct vivo_tree *t, vivo_ino ino, const char *name,
                      const struct vivo_err *err)
{
    struct node space;
    const struct node *n = node_get(t, ino, &space);

    if (n && name && name[0] == '.')
        select_file(t, n, name, err);
    else if (n)
        select_failed(t, n, err);
    node_put(t, n);
}

static int open_text(struct vivo_tree *t, const struct node *n, struct vivo_view **out,
                     struct vivo_node_stat *st, struct vivo_op *op)
{
    if (!n->view)
        return vivo_fail(&op->err, EACCES, "this file can only be written");
    node_stat(t, n, st);
    *out = vivo_view_ref(n->view);
    return 0;
}

int vivo_tree_open(struct vivo_tree *t, vivo_ino ino, uid_t uid, pid_t pid,
                   struct vivo_view **out, struct vivo_node_stat *st,
                   struct vivo_op *op)
{
    struct node space;
    const struct node *n = node_get(t, ino, &space);
    int rc;

    if (!n)
        return no_node(&op->err, ino);
    op->early = n->room == &room_object;
    if (n->room->kind != VIVO_NODE_FILE)
        rc = vivo_fail(&op->err, EISDIR, "not a file");
    else if (n->room->open)
        rc = n->room->open(t, n, out, st, op);
    else
        rc = open_text(t, n, out, st, op);
    if (!rc && (n->room == &room_object || n->room == &room_extra))
        rc = audit_open(t, uid, pid, n->archive, n->row, st->size, &op->err);
    if (rc && *out) {
        vivo_view_unref(*out);
        *out = NULL;
    }
    node_put(t, n);
    return rc;
}

int vivo_tree_readlink(struct vivo_tree *t, vivo_ino ino, struct vivo_buf *out,
                       struct vivo_err *err)
{
    struct node space;
    const struct node *n = node_get(t, ino, &space);
    int rc;

    if (!n)
        return no_node(err, ino);
    if (n->room->kind != VIVO_NODE_LINK)
        rc = vivo_fail(err, EINVAL, "not a symbolic link");
    else if (vivo_buf_puts(out, n->text))
        rc = vivo_fail(err, ENOMEM, "no memory for a link");
    else
        rc = 0;
    node_put(t, n);
    return rc;
}

int vivo_tree_access(struct vivo_tree *t, vivo_ino ino, uid_t uid, struct vivo_err *err)
{
    struct node space;
    const struct node *n = node_get(t, ino, &space);
    bool mine = uid == 0 || uid == t->cfg.uid;
    bool control = n && n->flags & NODE_CONTROL;

    node_put(t, n);
    if (!control || mine)
        return 0;
    return vivo_fail(err, EACCES, ".vivofs is the mounting user's only");
}

bool vivo_tree_writable(struct vivo_tree *t, vivo_ino ino)
{
    struct node space;
    const struct node *n = node_get(t, ino, &space);
    bool writable = n && n->room->write;

    node_put(t, n);
    return writable;
}

/* Nothing but directories is executed; saved queries are made and removed in a q/. */
int vivo_tree_may(struct vivo_tree *t, vivo_ino ino, int mask, struct vivo_err *err)
{
    struct node space;
    const struct node *n = node_get(t, ino, &space);
    bool writable = n && (n->room->write || n->room == &room_q);
    bool file = n && n->room->kind != VIVO_NODE_DIR;

    node_put(t, n);
    if (mask & W_OK && !writable)
        return vivo_fail(err, EROFS, "the tree is read-only");
    if (mask & X_OK && file)
        return vivo_fail(err, EACCES, "no program");
    return 0;
}

int vivo_tree_write(struct vivo_tree *t, vivo_ino ino, const char *text, size_t len,
                    struct vivo_err *err)
{
    struct node space;
    const struct node *n = node_get(t, ino, &space);
    int rc;

    if (!n)
        return no_node(err, ino);
    if (n->room->write)
        rc = n->room->write(t, n, text, len, err);
    else
        rc = vivo_fail(err, EROFS, "read-only");
    node_put(t, n);
    return rc;
}
