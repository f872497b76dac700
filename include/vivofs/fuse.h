/* SPDX-License-Identifier: Apache-2.0 */
/* include/vivofs/fuse.h -- a mounted session; the only user of libfuse. */
#ifndef VIVOFS_FUSE_H
#define VIVOFS_FUSE_H

#include "vivofs/tree.h"

struct vivo_session;

struct vivo_session_config {
    const char *mountpoint;
    const char *fsname; /* shown in mount tables; holds no secret: archive names */
    const char *const *options; /* libfuse options ("allow_other"), NULL-terminated */
    bool network;     /* a source is remote: clears FUSE_CAP_ASYNC_READ (DESIGN C3) */
    bool xattr;       /* off: ENOSYS, which the kernel remembers */
    unsigned threads; /* 0 = 64 */
    /* Only the mounting user, root and members of `readers` may ask; files then belong
     * to that group, and others have no mode bits. Wants "allow_other". */
    bool restricted;
    gid_t readers;
    struct vivo_counters *counters;
};
/* Mounts. -EACCES/-ENOENT/-EBUSY/-EIO with a sentence: no /dev/fuse, no such mount
 * point, busy. Requests are not served before vivo_session_run. */
int vivo_session_mount(const struct vivo_session_config *cfg, struct vivo_session **out,
                       struct vivo_err *err);
/* Serves the tree until unmounted or SIGINT, SIGTERM, SIGHUP. */
int vivo_session_run(struct vivo_session *s, struct vivo_tree *t, struct vivo_err *err);
/* What is shown has changed: tells the kernel (FUSE_NOTIFY_INC_EPOCH, else
 * inval_entry). Any thread. */
void vivo_session_changed(struct vivo_session *s);
void vivo_session_free(struct vivo_session *s); /* unmounts if still mounted */

#endif
