/* SPDX-License-Identifier: Apache-2.0 */
/* include/vivofs/file.h -- files of our own: atomic writes, nameless files,
 * whole reads, the user's directories. */
#ifndef VIVOFS_FILE_H
#define VIVOFS_FILE_H

#include "vivofs/buf.h"

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

/* Reads exactly len bytes at off. 0, -EIO with err on a short file, or the
 * errno of pread as EIO. */
int vivo_pread_full(int fd, void *buf, size_t len, uint64_t off, struct vivo_err *err);
int vivo_pwrite_full(int fd, const void *buf, size_t len, uint64_t off,
                     struct vivo_err *err); /* -ENOSPC is kept, all else EIO */

/* Whole file, at most max bytes (more is -EINVAL). `what` names it in the error. */
int vivo_file_read(const char *path, size_t max, struct vivo_buf *out,
                   struct vivo_err *err);
/* Temporary file beside it, write, fsync, rename, fsync of the directory. */
int vivo_file_write(const char *path, const void *data, size_t len, mode_t mode,
                    struct vivo_err *err);

/* mkdir -p; what it makes gets `mode`. -ENOSPC, -EACCES or -EIO. */
int vivo_mkdirs(const char *path, mode_t mode, struct vivo_err *err);

/* A file without a name (O_TMPFILE in dir, or memfd where that is not possible
 * or dir is NULL); the caller closes it. Raw bytes of an archive live only here. */
int vivo_file_nameless(const char *dir, struct vivo_err *err);

/* Makes room in this process for as many descriptors as it may have, 1,024 at most. To
 * be called while there is one thread: when the kernel has to make room later, every
 * thread that opens something waits for it, tens of milliseconds each time. */
void vivo_file_make_room(void);

/* Where a part of this program is that is a file of its own (vivofs-pixels, a module):
 * beside it, where it was built; above it, in tests; in libexec, installed. -EIO when
 * it is nowhere. */
int vivo_file_part(const char *name, char out[PATH_MAX], struct vivo_err *err);

enum vivo_dir_kind {
    VIVO_DIR_NONE,
    VIVO_DIR_CONFIG,
    VIVO_DIR_CACHE,
    VIVO_DIR_DATA,
    VIVO_DIR_STATE
};
/* $XDG_…_HOME/vivofs or its default below $HOME (XDG base directory
 * specification 0.8) plus "/sub" when sub is given; malloc'd, caller frees. NULL
 * when neither variable is set. Makes nothing. */
char *vivo_user_dir(enum vivo_dir_kind kind, const char *sub);

#endif
