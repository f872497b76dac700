/* SPDX-License-Identifier: Apache-2.0 */
/* src/fuse/reply.c -- the only place that answers the kernel: each request exactly
 * once, errors become positive here and are logged here, once. */
#include "fuse/internal.h"

#include "vivofs/log.h"

#include <assert.h>
#include <string.h>

/* The request that is to be answered now, and never again. */
static fuse_req_t take(struct request *r)
{
    fuse_req_t req = r->req;

    assert(req);
    r->req = NULL;
    return req;
}

/* Not worth a line each: what tools ask for all the time, and Ctrl-C. */
static bool quiet(int errnum)
{
    return errnum == ENOENT || errnum == EINTR || errnum == EROFS || errnum == ESTALE ||
           errnum == EEXIST || errnum == ENOTDIR || errnum == EISDIR;
}

static void log_failure(int errnum, const struct vivo_err *err)
{
    if (!quiet(errnum))
        vivo_log(errnum == EPERM || errnum == EACCES ? VIVO_LOG_INFO : VIVO_LOG_WARN,
                 "fuse", "%s (%s)", err && err->text[0] ? err->text : "failed",
                 strerrorname_np(errnum));
}

void reply_code(fuse_req_t req, int errnum)
{
    fuse_reply_err(req, errnum);
}

void reply_fail(fuse_req_t req, int rc, const struct vivo_err *err)
{
    int errnum = rc < 0 && rc != -EAGAIN ? -rc : EIO;

    log_failure(errnum, err);
    fuse_reply_err(req, errnum);
}

void reply_error(struct request *r, int rc)
{
    reply_fail(take(r), rc, &r->op.err);
}

void stat_fill(const struct vivo_session *s, const struct vivo_node_stat *st,
               struct stat *out)
{
    static const mode_t kinds[] = {[VIVO_NODE_DIR] = S_IFDIR,
                                   [VIVO_NODE_FILE] = S_IFREG,
                                   [VIVO_NODE_LINK] = S_IFLNK};

    memset(out, 0, sizeof *out);
    out->st_ino = st->number;
    out->st_mode = kinds[st->kind] | st->mode;
    if (s->restricted && st->kind != VIVO_NODE_LINK)
        out->st_mode &= ~(mode_t)S_IRWXO;
    out->st_nlink = 1;
    out->st_uid = s->uid;
    out->st_gid = s->gid;
    out->st_size = (off_t)st->size;
    /* With 0 blocks tar -S would store nothing but zeros (DESIGN A2). */
    out->st_blocks = (blkcnt_t)((st->size + 511) / 512);
    out->st_blksize = 4096;
    out->st_mtim.tv_sec = out->st_ctim.tv_sec = out->st_atim.tv_sec = st->mtime;
}

void entry_fill(const struct vivo_session *s, const struct vivo_node_stat *st,
                struct fuse_entry_param *out)
{
    *out = (struct fuse_entry_param){
        .ino = st->ino,
        .attr_timeout = st->size_exact ? st->attr_timeout : 0,
        .entry_timeout = st->entry_timeout,
    };
    stat_fill(s, st, &out->attr);
}

void reply_entry(struct request *r, const struct vivo_node_stat *st)
{
    struct vivo_session *s = r->s;
    struct fuse_entry_param e;

    entry_fill(s, st, &e);
    /* Interrupted meanwhile: the kernel will not forget what it never got. */
    if (fuse_reply_entry(take(r), &e) == -ENOENT)
        vivo_tree_forget(s->tree, st->ino, 1);
}

void reply_negative(struct request *r, double seconds)
{
    struct fuse_entry_param e = {.entry_timeout = seconds};

    if (seconds > 0)
        fuse_reply_entry(take(r), &e);
    else
        fuse_reply_err(take(r), ENOENT);
}

void reply_attr(struct request *r, const struct vivo_node_stat *st)
{
    struct stat out;

    stat_fill(r->s, st, &out);
    fuse_reply_attr(take(r), &out, st->size_exact ? st->attr_timeout : 0);
}

bool reply_open(struct request *r, const struct fuse_file_info *fi)
{
    return fuse_reply_open(take(r), fi) != -ENOENT;
}

void reply_read(struct request *r, const void *data, size_t len)
{
    reply_bytes(take(r), data, len);
}

void reply_bytes(fuse_req_t req, const void *data, size_t len)
{
    fuse_reply_buf(req, data, len);
}

void reply_text(fuse_req_t req, const char *text)
{
    fuse_reply_readlink(req, text);
}

void reply_count(fuse_req_t req, size_t n)
{
    fuse_reply_write(req, n);
}

void reply_xattr_size(fuse_req_t req, size_t n)
{
    fuse_reply_xattr(req, n);
}

void reply_fs(fuse_req_t req, const struct statvfs *st)
{
    fuse_reply_statfs(req, st);
}
