/* SPDX-License-Identifier: Apache-2.0 */
/* src/tree/change.c -- the few things a user may change: saved queries in a q/. */
#include "tree/internal.h"

#include <limits.h>
#include <string.h>

static int read_only(struct vivo_err *err)
{
    return vivo_fail(err, EROFS, "the tree is read-only");
}

/* The q/ that a change is about, pinned; NULL with the error set. */
static const struct node *get_q(struct vivo_tree *t, vivo_ino ino, struct node *space,
                                struct vivo_err *err)
{
    const struct node *n = node_get(t, ino, space);

    if (n && n->room == &room_q)
        return n;
    node_put(t, n);
    read_only(err);
    return NULL;
}

/* What a q/ makes of a name: 0 or -EINVAL = an expression, -ENOENT = a plain word. */
static int parse(struct vivo_tree *t, const struct node *q, const char *text)
{
    VIVO_AUTO(query_unref_p) struct vivo_query *query = NULL;
    struct vivo_query_error qe = {0};

    return query_parse(t, q, text, &query, &qe);
}

static bool has_control(const char *s)
{
    for (; *s; s++) {
        if ((unsigned char)*s < 0x20)
            return true;
    }
    return false;
}

static int check_name(struct vivo_tree *t, const struct node *q, const char *name,
                      struct vivo_err *err)
{
    if (strlen(name) > NAME_MAX) /* it is going to be listed */
        return vivo_fail(err, ENAMETOOLONG, "the name is too long");
    if (name[0] == '.' || has_control(name))
        return vivo_fail(err, EINVAL, "a query cannot be saved under this name");
    if (parse(t, q, name) != -ENOENT)
        return vivo_fail(err, EINVAL, "the name of a saved query is an expression");
    return 0;
}

static int check_target(struct vivo_tree *t, const struct node *q, const char *target,
                        struct vivo_err *err)
{
    if (strlen(target) > NODE_NAME_MAX)
        return vivo_fail(err, ENAMETOOLONG, "the expression is too long");
    if (strchr(target, '/') || has_control(target) || parse(t, q, target))
        return vivo_fail(err, EINVAL, "what is to be saved is no expression");
    return 0;
}

int vivo_tree_symlink(struct vivo_tree *t, vivo_ino parent, const char *name,
                      const char *target, struct vivo_node_stat *out,
                      struct vivo_err *err)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf old = {0};
    struct node space;
    const struct node *q = get_q(t, parent, &space, err);
    struct found f = {0};
    int rc;

    vivo_buf_init(&old, NODE_NAME_MAX + 1);
    if (!q)
        return -err->errnum;
    rc = check_name(t, q, name, err);
    if (!rc)
        rc = check_target(t, q, target, err);
    if (!rc && !saved_find(t, q, name, &old, &(struct vivo_err){0}))
        rc = vivo_fail(err, EEXIST, "a query of this name is saved already");
    if (!rc)
        rc = saved_put(t, q, name, target, err);
    if (!rc) {
        found_room(&f, q, &room_link);
        f.spec.flags |= NODE_BRIEF;
        f.spec.text = strdup(target);
        rc = f.spec.text ? table_enter(t->table, q, name, &f, out, err)
                         : vivo_fail(err, ENOMEM, "no memory for a link");
    }
    node_put(t, q);
    return rc;
}

int vivo_tree_unlink(struct vivo_tree *t, vivo_ino parent, const char *name,
                     struct vivo_err *err)
{
    struct node space;
    const struct node *q = get_q(t, parent, &space, err);
    int rc;

    if (!q)
        return -err->errnum;
    rc = saved_remove(t, q, name, err);
    node_put(t, q);
    return rc;
}

int vivo_tree_rename(struct vivo_tree *t, vivo_ino parent, const char *name,
                     vivo_ino newparent, const char *newname, struct vivo_err *err)
{
    struct node space;
    const struct node *q = get_q(t, parent, &space, err);
    int rc;

    if (!q)
        return -err->errnum;
    if (parent != newparent)
        rc = read_only(err);
    else
        rc = check_name(t, q, newname, err);
    if (!rc)
        rc = saved_rename(t, q, name, newname, err);
    node_put(t, q);
    return rc;
}

int vivo_tree_mkdir(struct vivo_tree *t, vivo_ino parent, const char *name,
                    struct vivo_err *err)
{
    struct node space;
    const struct node *q = get_q(t, parent, &space, err);
    int rc;

    if (!q)
        return -err->errnum;
    if (parse(t, q, name) != -ENOENT)
        rc = vivo_fail(err, EEXIST, "a query exists without being made");
    else
        rc = read_only(err);
    node_put(t, q);
    return rc;
}
