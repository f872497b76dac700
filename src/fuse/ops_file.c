/* SPDX-License-Identifier: Apache-2.0 */
/* src/fuse/ops_file.c -- opening and reading files; writing control files. */
#include "fuse/internal.h"

#include <fcntl.h>

#define READ_MAX                                                                       \
    (8u << 20)           /* bytes of one request; the kernel asks for 1 MiB at most */
#define WRITE_MAX 65536u /* bytes of one write to a control file */

/* ---- open ---- */

/* The size became exact only now: what the kernel keeps of it is not true. */
static void forget_size(struct request *r, bool resized)
{
    if (resized)
        fuse_lowlevel_notify_inval_inode(r->s->se, r->ino, -1, 0);
}

static int open_object(struct request *r, struct vivo_view **out)
{
    struct vivo_node_stat st = {0};
    int rc = vivo_tree_open(r->s->tree, r->ino, r->uid, r->pid, out, &st, &r->op);

    if (rc)
        return rc;
    forget_size(r, st.resized);
    /* Another version of an object is another inode, and a generated file is a new
     * one whenever its content is: pages stay true. */
    r->fi.keep_cache = !st.spoiled;
    return 0;
}

static int run_open(struct request *r)
{
    bool write = (r->fi.flags & O_ACCMODE) != O_RDONLY;
    bool writable = vivo_tree_writable(r->s->tree, r->ino);
    struct vivo_view *view = NULL;
    int rc = vivo_tree_access(r->s->tree, r->ino, r->uid, &r->op.err);

    if (rc)
        return rc;
    if ((write || r->fi.flags & O_TRUNC) && !writable)
        return vivo_fail(&r->op.err, EROFS, "the tree is read-only");
    if (writable && !write)
        return vivo_fail(&r->op.err, EACCES, "this file can only be written");
    if (write)
        r->fi.direct_io = 1;
    else
        rc = open_object(r, &view);
    if (rc)
        return rc;
    if (handle_new(r->s, view, &r->fi.fh)) {
        vivo_view_unref(view);
        return vivo_fail(&r->op.err, ENOMEM, "no memory for an open file");
    }
    r->fi.noflush = 1;
    if (!reply_open(r, &r->fi))
        handle_free(r->s, handle_of(&r->fi));
    return 0;
}

static void open_(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct request *r;

    atomic_fetch_add_explicit(&session_of(req)->counters->open, 1,
                              memory_order_relaxed);
    r = request_new(req, run_open, ino, NULL, fi);
    if (r)
        request_start(r);
}

static void release_(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)ino;
    handle_free(session_of(req), handle_of(fi));
    reply_code(req, 0);
}

/* ---- read ---- */

/* A read of what is still coming, until it is there. */
static int run_read(struct request *r)
{
    void *buf = thread_buffer(r->s, r->size);
    ssize_t n = -EAGAIN;

    if (!buf)
        return vivo_fail(&r->op.err, ENOMEM, "no memory for a read");
    while (n == -EAGAIN) {
        int rc = vivo_flow_await(r->view, r->off, r->size, &r->op);
        if (rc)
            return rc;
        n = vivo_view_pread(r->view, buf, r->size, r->off, &r->op.err);
    }
    if (n < 0)
        return (int)n;
    atomic_fetch_add_explicit(&r->s->counters->bytes_read, (uint_least64_t)n,
                              memory_order_relaxed);
    reply_read(r, buf, (size_t)n);
    return 0;
}

static void read_later(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                       struct fuse_file_info *fi)
{
    struct request *r = request_new(req, run_read, ino, NULL, fi);

    if (!r)
        return;
    r->view = vivo_view_ref(handle_of(fi)->view);
    r->size = size;
    r->off = (uint64_t)off;
    request_start(r);
}

static void read_(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                  struct fuse_file_info *fi)
{
    struct vivo_session *s = session_of(req);
    const struct handle *h = handle_of(fi);
    struct vivo_err err = {0};
    void *buf;
    ssize_t n;

    (void)ino;
    atomic_fetch_add_explicit(&s->counters->read, 1, memory_order_relaxed);
    if (!h->view || off < 0) {
        reply_code(req, EBADF);
        return;
    }
    size = VIVO_MIN(size, READ_MAX);
    buf = thread_buffer(s, size);
    if (!buf) {
        reply_code(req, ENOMEM);
        return;
    }
    /* All that was asked for and exists, or an error: never a short read. */
    n = vivo_view_pread(h->view, buf, size, (uint64_t)off, &err);
    if (n == -EAGAIN) {
        read_later(req, ino, size, off, fi);
        return;
    }
    if (n < 0) {
        reply_fail(req, (int)n, &err);
        return;
    }
    atomic_fetch_add_explicit(&s->counters->bytes_read, (uint_least64_t)n,
                              memory_order_relaxed);
    reply_bytes(req, buf, (size_t)n);
}

/* ---- control files ---- */

static void write_(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size,
                   off_t off, struct fuse_file_info *fi)
{
    struct vivo_err err = {0};
    int rc;

    (void)off;
    (void)fi;
    if (refuse_stranger(req, ino))
        return;
    if (size > WRITE_MAX)
        rc =
            vivo_fail(&err, EINVAL, "more than %u bytes for a control file", WRITE_MAX);
    else
        rc = vivo_tree_write(session_of(req)->tree, ino, data, size, &err);
    if (rc)
        reply_fail(req, rc, &err);
    else
        reply_count(req, size);
}

static int run_truncate(struct request *r)
{
    struct vivo_node_stat st;
    int rc = vivo_tree_stat(r->s->tree, r->ino, &st, &r->op);

    if (!rc)
        reply_attr(r, &st);
    return rc;
}

/* A shell's `>` truncates before it writes: nothing to do for a control file. */
static void setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                    struct fuse_file_info *fi)
{
    const int harmless = FUSE_SET_ATTR_SIZE | FUSE_SET_ATTR_MTIME |
                         FUSE_SET_ATTR_MTIME_NOW | FUSE_SET_ATTR_CTIME;
    bool writable = vivo_tree_writable(session_of(req)->tree, ino);
    struct request *r;

    (void)attr;
    (void)fi;
    if (!writable || to_set & ~harmless) {
        reply_code(req, EROFS);
        return;
    }
    if (refuse_stranger(req, ino))
        return;
    r = request_new(req, run_truncate, ino, NULL, NULL);
    if (r)
        request_start(r);
}

void ops_file_fill(struct fuse_lowlevel_ops *ops)
{
    ops->open = open_;
    ops->release = release_;
    ops->read = read_;
    ops->write = write_;
    ops->setattr = setattr;
}
