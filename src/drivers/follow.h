/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/follow.h -- learning that something changed below a folder. For drivers
 * of local sources. */
#ifndef VIVOFS_DRIVERS_FOLLOW_H
#define VIVOFS_DRIVERS_FOLLOW_H

#include "vivofs/op.h"

struct vivo_follow; /* thread-safe */

/* rootfd (borrowed for the call) tells the kind of file system: a network one, whose
 * changes elsewhere inotify does not see, is looked at every minute instead. */
int vivo_follow_new(int rootfd, struct vivo_follow **out, struct vivo_err *err);
void vivo_follow_free(struct vivo_follow *f);

/* A listing begins; it adds every folder it reads, before it reads it. */
void vivo_follow_restart(struct vivo_follow *f);
void vivo_follow_add(struct vivo_follow *f, int dirfd);

/* Blocks until a followed folder has changed since it was added (or since the last
 * wait returned) and has been quiet for 300 ms, or changes for 2 s on end: 0. When
 * folders could not be followed: 0 after a minute. -EINTR, -ETIMEDOUT by the op,
 * seen within half a second. */
int vivo_follow_wait(struct vivo_follow *f, struct vivo_op *op);

#endif
