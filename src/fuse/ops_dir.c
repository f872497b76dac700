/* SPDX-License-Identifier: Apache-2.0 */
/* src/fuse/ops_dir.c -- looking names up, attributes, directories. */
#include "fuse/internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#define READDIR_MAX (1u << 20) /* bytes of one reply */
#define XATTR_MAX 65536u       /* as much as xattr(7) lets through */

static void count(atomic_uint_least64_t *n)
{
    atomic_fetch_add_explicit(n, 1, memory_order_relaxed);
}

int refuse_stranger(fuse_req_t req, vivo_ino ino)
{
    struct vivo_err err = {0};
    int rc = vivo_tree_access(session_of(req)->tree, ino, fuse_req_ctx(req)->uid, &err);

    if (rc)
        reply_fail(req, rc, &err);
    else if (!session_admits(req))
        reply_code(req, -(rc = -EACCES));
    return rc;
}

/* Attributes of .vivofs itself are no secret; what is inside is. */
static bool stranger(const struct request *r, vivo_ino ino)
{
    struct vivo_err err = {0};

    return vivo_tree_access(r->s->tree, ino, r->uid, &err) != 0;
}

/* ---- lookup, forget ---- */

static int run_lookup(struct request *r)
{
    struct vivo_node_stat st;
    int rc;

    if (stranger(r, r->ino))
        return vivo_fail(&r->op.err, EACCES, ".vivofs is the mounting user's only");
    rc = vivo_tree_lookup(r->s->tree, r->ino, r->name, &st, &r->op);
    if (rc == -ENOENT)
        reply_negative(r, st.entry_timeout);
    else if (!rc)
        reply_entry(r, &st);
    return rc == -ENOENT ? 0 : rc;
}

static void lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct request *r;

    count(&session_of(req)->counters->lookup);
    r = request_new(req, run_lookup, parent, name, NULL);
    if (r)
        request_start(r);
}

static void forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
    vivo_tree_forget(session_of(req)->tree, ino, nlookup);
    fuse_reply_none(req);
}

static void forget_multi(fuse_req_t req, size_t n, struct fuse_forget_data *forgets)
{
    struct vivo_tree *t = session_of(req)->tree;

    for (size_t i = 0; i < n; i++)
        vivo_tree_forget(t, forgets[i].ino, forgets[i].nlookup);
    fuse_reply_none(req);
}

/* ---- attributes ---- */

static int run_getattr(struct request *r)
{
    struct vivo_node_stat st;
    int rc = vivo_tree_stat(r->s->tree, r->ino, &st, &r->op);

    if (rc)
        return rc;
    if (r->view) { /* the bytes that are being read decide */
        st.size = vivo_view_size(r->view);
        st.size_exact = true;
    }
    reply_attr(r, &st);
    return 0;
}

static void getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    const struct handle *h = fi && fi->fh ? handle_of(fi) : NULL;
    struct request *r;

    count(&session_of(req)->counters->getattr);
    r = request_new(req, run_getattr, ino, NULL, fi);
    if (!r)
        return;
    if (h && h->view)
        r->view = vivo_view_ref(h->view);
    request_start(r);
}

static void access_(fuse_req_t req, fuse_ino_t ino, int mask)
{
    struct vivo_session *s = session_of(req);
    uid_t uid = fuse_req_ctx(req)->uid;
    bool owner = uid == 0 || uid == s->uid;
    struct vivo_err err = {0};

    if (refuse_stranger(req, ino))
        return;
    if (mask & W_OK && !owner)
        reply_code(req, EROFS);
    else
        reply_code(req, -vivo_tree_may(s->tree, ino, mask, &err));
}

static void statfs_(fuse_req_t req, fuse_ino_t ino)
{
    struct statvfs st = {.f_bsize = 4096,
                         .f_frsize = 4096,
                         .f_namemax = 255,
                         .f_flag = ST_NOSUID | ST_NODEV};

    (void)ino;
    reply_fs(req, &st);
}

/* Off by default: with extended attributes `ls -l` takes ten times as long, and the
 * first ENOSYS turns them off in the kernel for the whole mount. */
static void xattr_reply(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf value = {0};
    struct vivo_session *s = session_of(req);
    struct vivo_err err = {0};
    int rc;

    if (!s->xattr) {
        reply_code(req, ENOSYS);
        return;
    }
    if (refuse_stranger(req, ino))
        return;
    vivo_buf_init(&value, XATTR_MAX);
    rc = vivo_tree_xattr(s->tree, ino, name, &value, &err);
    if (rc == -ENODATA)
        reply_code(req, ENODATA);
    else if (rc)
        reply_fail(req, rc, &err);
    else if (size == 0)
        reply_xattr_size(req, value.len);
    else if (value.len > size)
        reply_code(req, ERANGE);
    else
        reply_bytes(req, value.data, value.len);
}

static void getxattr_(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
    count(&session_of(req)->counters->getxattr);
    xattr_reply(req, ino, name, size);
}

static void listxattr_(fuse_req_t req, fuse_ino_t ino, size_t size)
{
    xattr_reply(req, ino, NULL, size);
}

static void readlink_(fuse_req_t req, fuse_ino_t ino)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf text = {0};
    struct vivo_err err = {0};
    int rc;

    if (refuse_stranger(req, ino))
        return;
    vivo_buf_init(&text, 4096);
    rc = vivo_tree_readlink(session_of(req)->tree, ino, &text, &err);
    if (rc)
        reply_fail(req, rc, &err);
    else
        reply_text(req, (const char *)text.data);
}

/* ---- directories ---- */

static int run_opendir(struct request *r)
{
    struct vivo_view *listing = NULL;
    int rc;

    if (stranger(r, r->ino))
        return vivo_fail(&r->op.err, EACCES, ".vivofs is the mounting user's only");
    rc = listing_make(r, &listing);
    if (rc)
        return rc;
    if (handle_new(r->s, listing, &r->fi.fh)) {
        vivo_view_unref(listing);
        return vivo_fail(&r->op.err, ENOMEM, "no memory for an open directory");
    }
    reply_open(r, &r->fi);
    return 0;
}

static void opendir_(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct request *r = request_new(req, run_opendir, ino, NULL, fi);

    if (r)
        request_start(r);
}

static void read_listing(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                         const struct fuse_file_info *fi, bool plus)
{
    struct vivo_session *s = session_of(req);
    const struct handle *h = handle_of(fi);
    struct vivo_err err = {0};
    char *buf;
    ssize_t n;

    size = VIVO_MIN(size, READDIR_MAX);
    buf = thread_buffer(s, size);
    if (!buf) {
        reply_code(req, ENOMEM);
        return;
    }
    n = listing_render(s, req, ino, h->view, buf, size, (uint64_t)off, plus, &err);
    if (n < 0)
        reply_fail(req, (int)n, &err);
    else
        reply_bytes(req, buf, (size_t)n);
}

static void readdir_(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                     struct fuse_file_info *fi)
{
    count(&session_of(req)->counters->readdir);
    read_listing(req, ino, size, off, fi, false);
}

static void readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                        struct fuse_file_info *fi)
{
    count(&session_of(req)->counters->readdirplus);
    read_listing(req, ino, size, off, fi, true);
}

static void releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)ino;
    handle_free(session_of(req), handle_of(fi));
    reply_code(req, 0);
}

void ops_dir_fill(struct fuse_lowlevel_ops *ops)
{
    ops->lookup = lookup;
    ops->forget = forget;
    ops->forget_multi = forget_multi;
    ops->getattr = getattr;
    ops->access = access_;
    ops->statfs = statfs_;
    ops->getxattr = getxattr_;
    ops->listxattr = listxattr_;
    ops->readlink = readlink_;
    ops->opendir = opendir_;
    ops->readdir = readdir_;
    ops->readdirplus = readdirplus;
    ops->releasedir = releasedir;
}
