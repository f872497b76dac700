/* SPDX-License-Identifier: Apache-2.0 */
/* include/vivofs/tree.h -- paths, inodes, rooms. Knows no FUSE.
 *
 * Every directory is a room of a kind: the root, .vivofs, an archive, a level of the
 * plain tree, a q/, a query and what is below it, a by/. src/tree/README.md has
 * the table. Node numbers of the plain tree and of all file objects are computed
 * from archive, level, row and version, so one object is one inode in every view;
 * the others are made when looked up and live until forgotten. */
#ifndef VIVOFS_TREE_H
#define VIVOFS_TREE_H

#include "vivofs/flow.h"
#include "vivofs/op.h"
#include "vivofs/view.h"

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

struct vivo_tree; /* thread-safe */
typedef uint64_t vivo_ino;
#define VIVO_INO_ROOT ((vivo_ino)1)

enum vivo_node_kind { VIVO_NODE_NONE, VIVO_NODE_DIR, VIVO_NODE_FILE, VIVO_NODE_LINK };

struct vivo_node_stat {
    vivo_ino ino;    /* names the node in calls; 0 in a listing = not looked up yet */
    vivo_ino number; /* what stat(1) shows: a function of the path or the object, so
                        that it is the same however often the node is made anew */
    vivo_ino plain;  /* the tree's own: the thing of the plain tree behind an entry */
    enum vivo_node_kind kind;
    mode_t mode; /* permission bits */
    uint64_t size;
    bool size_exact; /* false: attributes must not be cached */
    bool resized;    /* opening: the size became exact, or another, only now */
    bool spoiled;    /* opening: what the kernel has kept of it may be wrong */
    int64_t mtime;   /* Unix seconds */
    double entry_timeout, attr_timeout; /* seconds */
};

struct vivo_counters { /* as received from the kernel; written by fuse */
    atomic_uint_least64_t lookup, getattr, open, read, readdir, readdirplus, getxattr,
        bytes_read;
};

struct vivo_tree_config {
    struct vivo_flow **flows; /* borrowed; one archive each, names distinct */
    size_t nflows;
    bool flat;       /* single source: start at its collections */
    bool magic;      /* list q and by */
    bool sidecars;   /* list .tags.json and its kind */
    bool size_exact; /* stat waits until sizes are exact */
    bool refused_hide;
    uid_t uid; /* owner shown, who may use .vivofs */
    gid_t gid;
    const char *config_text; /* for .vivofs/config, secrets redacted; copied */
    const char *conformance; /* for .vivofs/conformance.txt; copied */
    const char *profile;     /* for status.json; copied */
    const char *key_id;      /* or NULL */
    const char *saved_dir;   /* where saved queries are kept; NULL = not kept */
    struct vivo_query_list *const *lists; /* borrowed, for `in @NAME` */
    size_t nlists;
    const char
        *mountpoint;   /* for absolute paths in pin and its kind; borrowed; or NULL */
    const char *audit; /* where opens of objects are told, too: a file, "syslog" or
                          NULL; read by vivo_tree_new only */
    struct vivo_counters *counters; /* borrowed */
    struct vivo_store *store;       /* borrowed, for status.json; or NULL */
};
int vivo_tree_new(const struct vivo_tree_config *cfg, struct vivo_tree **out,
                  struct vivo_err *err);
void vivo_tree_free(struct vivo_tree *t);

/* On success the node counts one look-up more (as FUSE's lookup count). With -ENOENT
 * out->entry_timeout tells how long that holds, in seconds. -ESTALE (here and from
 * stat and open): the object has a newer version, which has another number; the
 * kernel then walks the path again. */
int vivo_tree_lookup(struct vivo_tree *t, vivo_ino parent, const char *name,
                     struct vivo_node_stat *out, struct vivo_op *op);
void vivo_tree_forget(struct vivo_tree *t, vivo_ino ino, uint64_t nlookup);
int vivo_tree_stat(struct vivo_tree *t, vivo_ino ino, struct vivo_node_stat *out,
                   struct vivo_op *op);

/* A directory as it was when opened: complete, or an error. Each entry is emitted with
 * its stat ("." and ".." are the frontend's). plus = entries count as looked
 * up when the frontend passes them on: call vivo_tree_remember for each. */
typedef int vivo_dirent_fn(void *ctx, const char *name,
                           const struct vivo_node_stat *st);
int vivo_tree_list(struct vivo_tree *t, vivo_ino dir, vivo_dirent_fn *emit, void *ctx,
                   struct vivo_op *op);
/* Counts one look-up of an entry of `dir` that was listed (readdirplus). Dynamic nodes
 * may have a number only now: *st is updated. 0 or -ENOENT (then send no attributes).
 */
int vivo_tree_remember(struct vivo_tree *t, vivo_ino dir, const char *name,
                       struct vivo_node_stat *st);

/* A request on this node, for `name` in it (or NULL), that was parked has failed for
 * good: what `.error` of a query tells. */
void vivo_tree_failed(struct vivo_tree *t, vivo_ino ino, const char *name,
                      const struct vivo_err *err);

/* All bytes of a file, object or generated. uid, pid: of the caller, for audit.log.
 * *st gets the exact size. Caller unrefs. */
int vivo_tree_open(struct vivo_tree *t, vivo_ino ino, uid_t uid, pid_t pid,
                   struct vivo_view **out, struct vivo_node_stat *st,
                   struct vivo_op *op);
int vivo_tree_readlink(struct vivo_tree *t, vivo_ino ino, struct vivo_buf *out,
                       struct vivo_err *err);
/* The value of an extended attribute, or with name NULL the names of all, each with a
 * NUL. -ENODATA: it has no such attribute; -ERANGE: more than `out` may hold. */
int vivo_tree_xattr(struct vivo_tree *t, vivo_ino ino, const char *name,
                    struct vivo_buf *out, struct vivo_err *err);
/* Saved queries: ln -s, rm, mv within one q/. Elsewhere -EROFS. */
int vivo_tree_symlink(struct vivo_tree *t, vivo_ino parent, const char *name,
                      const char *target, struct vivo_node_stat *out,
                      struct vivo_err *err);
int vivo_tree_unlink(struct vivo_tree *t, vivo_ino parent, const char *name,
                     struct vivo_err *err);
int vivo_tree_rename(struct vivo_tree *t, vivo_ino parent, const char *name,
                     vivo_ino newparent, const char *newname, struct vivo_err *err);
/* mkdir: EEXIST for an expression in a q/, else EROFS. */
int vivo_tree_mkdir(struct vivo_tree *t, vivo_ino parent, const char *name,
                    struct vivo_err *err);
/* Is the node a control file that may be written? Then the text written takes effect
 * (one line = one path or archive). */
bool vivo_tree_writable(struct vivo_tree *t, vivo_ino ino);
/* access(2) of the mounting user: 0, EROFS or EACCES. mask of W_OK, X_OK. */
int vivo_tree_may(struct vivo_tree *t, vivo_ino ino, int mask, struct vivo_err *err);
int vivo_tree_write(struct vivo_tree *t, vivo_ino ino, const char *text, size_t len,
                    struct vivo_err *err);
/* Bytes of any length on their way into a view: in memory up to 4 MiB, in a file
 * without a name beyond. */
struct vivo_tree_spool {
    struct vivo_buf head;
    int fd;
    uint64_t size; /* bytes added */
};
void vivo_tree_spool_init(struct vivo_tree_spool *s);
int vivo_tree_spool_add(struct vivo_tree_spool *s, const void *data, size_t len,
                        struct vivo_err *err);
/* The view takes over what was added; caller unrefs. */
int vivo_tree_spool_view(struct vivo_tree_spool *s, struct vivo_view **out,
                         struct vivo_err *err);
void vivo_tree_spool_free(struct vivo_tree_spool *s);

/* May this uid look inside? .vivofs is the mounting user's (and root's) only. */
int vivo_tree_access(struct vivo_tree *t, vivo_ino ino, uid_t uid,
                     struct vivo_err *err);

/* ---- .series.csv (DESIGN A5), one form for the mount and the command line ----------
 */

/* The attributes of its columns, in order; static. */
const uint32_t *vivo_tree_series_columns(size_t *n);
/* Append the head, or the row of a series: prefix + path is its path from the mount
 * point, path begins at the collection. 0, -ENOSPC, -ENOMEM. */
int vivo_tree_series_head(struct vivo_buf *out);
int vivo_tree_series_row(const char *archive, const char *prefix, const char *path,
                         struct vivo_attrs a, const struct vivo_counts *c,
                         struct vivo_buf *out);

#endif
