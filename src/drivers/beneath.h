/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/beneath.h -- opening what lies below a folder and nothing else. For
 * drivers of local sources. */
#ifndef VIVOFS_DRIVERS_BENEATH_H
#define VIVOFS_DRIVERS_BENEATH_H

/* Opens `path`, relative to the folder rootfd, without leaving it: no "..", no
 * absolute path, no symbolic link on the way or at the end. A descriptor
 * (close-on-exec) or a negative errno as the kernel gave it; -EXDEV, -ELOOP and
 * -EINVAL mean that the path tried to leave. */
int vivo_beneath_open(int rootfd, const char *path, int flags);

/* A folder, to be read. -ELOOP: a vivofs is mounted there (`vivofs mount DATA
 * DATA/view`), and reading it would wait for the very listing that reads it; it is told
 * without opening it, however late it came up. */
int vivo_beneath_open_folder(int rootfd, const char *path);

/* vivo_beneath_open by one openat per component, for kernels and sandboxes without
 * openat2; apart so that tests reach it. */
int vivo_beneath_open_slowly(int rootfd, const char *path, int flags);

#endif
