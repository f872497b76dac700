/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/pack_members.h -- the members of one state of an archive file, and where
 * their bytes are: in the file itself, or decoded in a nameless spool. Thread-safe. */
#ifndef VIVOFS_DRIVERS_PACK_MEMBERS_H
#define VIVOFS_DRIVERS_PACK_MEMBERS_H

#include "vivofs/net.h"
#include "vivofs/op.h"
#include "vivofs/view.h"

#include <stdbool.h>
#include <stddef.h>

struct pack_members; /* reference-counted */

/* Opens the archive file and sees whether it is a zip or tar; decodes nothing yet.
 * Errors as of pack_reader_new, and -ENOENT, -EACCES, -EINVAL (no regular file), which
 * call the file `shown`. */
int pack_members_open(const char *path, const char *shown, struct pack_members **out,
                      struct vivo_err *err);
/* Of an open file, which is its own from now on, also on failure. */
int pack_members_open_fd(int fd, const char *shown, struct pack_members **out,
                         struct vivo_err *err);
struct pack_members *pack_members_ref(struct pack_members *m);
void pack_members_unref(struct pack_members *m); /* NULL is fine */

/* Identity of the archive file when it was opened. */
const struct vivo_identity *pack_members_identity(const struct pack_members *m);

struct pack_member {
    const char *locator; /* its path; of a path's second bearer "path//2" */
    uint64_t size;
    bool dicom;
    bool regular; /* no object, but a file that can be read; else it is counted only */
    bool sized;   /* size is known, though it were 0 */
    bool folder;  /* not even counted */
    bool superseded; /* a later member has the same path */
};

/* Passes all members, once. wanted: is the member likely to be read soon? Then what is
 * compressed is spooled on the way; NULL = yes. */
typedef bool pack_wanted_fn(void *ctx, const char *locator);
int pack_members_complete(struct pack_members *m, pack_wanted_fn *wanted, void *ctx,
                          struct vivo_op *op);

/* After that. i < pack_members_count(). */
size_t pack_members_count(struct pack_members *m);
void pack_members_get(struct pack_members *m, size_t i, struct pack_member *out);
size_t pack_members_encrypted(struct pack_members *m);
size_t pack_members_bad(struct pack_members *m);

/* Where the bytes of a regular member are; decodes up to it if need be. The descriptor
 * is borrowed. -ENOENT: there is none; -EBADMSG: damaged; -EIO: it cannot be decoded.
 */
struct pack_place {
    int fd;
    uint64_t off, len;
    size_t index; /* of the member */
};
int pack_members_find(struct pack_members *m, const char *locator, bool extra,
                      struct pack_place *out, struct vivo_op *op);

/* Gives the bytes of a place. */
int pack_place_send(const struct pack_place *at, struct vivo_sink *to,
                    struct vivo_op *op);

/* A descriptor of a nameless file for `len` bytes: in memory when they are few, else
 * where temporary files live. */
int pack_temporary(uint64_t len, struct vivo_err *err);

#endif
