/* SPDX-License-Identifier: Apache-2.0 */
/* src/fuse/ops_change.c -- everything that would change the tree: EROFS, but for saved
 * queries in a q/, which belong to the user who mounted. */
#include "fuse/internal.h"

/* May the caller change anything at all? Answers when not. */
static bool owner(fuse_req_t req)
{
    uid_t uid = fuse_req_ctx(req)->uid;

    if (uid == 0 || uid == session_of(req)->uid)
        return true;
    reply_code(req, EROFS);
    return false;
}

static void finish(fuse_req_t req, int rc, const struct vivo_err *err)
{
    if (rc)
        reply_fail(req, rc, err);
    else
        reply_code(req, 0);
}

static void symlink_(fuse_req_t req, const char *target, fuse_ino_t parent,
                     const char *name)
{
    struct vivo_session *s = session_of(req);
    struct fuse_entry_param e;
    struct vivo_node_stat st;
    struct vivo_err err = {0};
    int rc;

    if (!owner(req))
        return;
    rc = vivo_tree_symlink(s->tree, parent, name, target, &st, &err);
    if (rc) {
        reply_fail(req, rc, &err);
        return;
    }
    entry_fill(s, &st, &e);
    if (fuse_reply_entry(req, &e) == -ENOENT)
        vivo_tree_forget(s->tree, st.ino, 1);
}

static void unlink_(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct vivo_err err = {0};

    if (owner(req))
        finish(req, vivo_tree_unlink(session_of(req)->tree, parent, name, &err), &err);
}

static void rename_(fuse_req_t req, fuse_ino_t parent, const char *name,
                    fuse_ino_t newparent, const char *newname, unsigned flags)
{
    struct vivo_tree *t = session_of(req)->tree;
    struct vivo_err err = {0};

    if (!owner(req))
        return;
    if (flags)
        reply_code(req, EINVAL);
    else
        finish(req, vivo_tree_rename(t, parent, name, newparent, newname, &err), &err);
}

static void mkdir_(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    struct vivo_err err = {0};

    (void)mode;
    finish(req, vivo_tree_mkdir(session_of(req)->tree, parent, name, &err), &err);
}

static void mknod_(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                   dev_t rdev)
{
    (void)parent;
    (void)name;
    (void)mode;
    (void)rdev;
    reply_code(req, EROFS);
}

static void create_(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                    struct fuse_file_info *fi)
{
    (void)parent;
    (void)name;
    (void)mode;
    (void)fi;
    reply_code(req, EROFS);
}

static void rmdir_(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    (void)parent;
    (void)name;
    reply_code(req, EROFS);
}

static void link_(fuse_req_t req, fuse_ino_t ino, fuse_ino_t newparent,
                  const char *newname)
{
    (void)ino;
    (void)newparent;
    (void)newname;
    reply_code(req, EROFS);
}

static void setxattr_(fuse_req_t req, fuse_ino_t ino, const char *name,
                      const char *value, size_t size, int flags)
{
    (void)ino;
    (void)name;
    (void)value;
    (void)size;
    (void)flags;
    reply_code(req, EROFS);
}

static void removexattr_(fuse_req_t req, fuse_ino_t ino, const char *name)
{
    (void)ino;
    (void)name;
    reply_code(req, EROFS);
}

static void fallocate_(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len,
                       struct fuse_file_info *fi)
{
    (void)ino;
    (void)mode;
    (void)off;
    (void)len;
    (void)fi;
    reply_code(req, EROFS);
}

void ops_change_fill(struct fuse_lowlevel_ops *ops)
{
    ops->symlink = symlink_;
    ops->unlink = unlink_;
    ops->rename = rename_;
    ops->mkdir = mkdir_;
    ops->mknod = mknod_;
    ops->create = create_;
    ops->rmdir = rmdir_;
    ops->link = link_;
    ops->setxattr = setxattr_;
    ops->removexattr = removexattr_;
    ops->fallocate = fallocate_;
}
