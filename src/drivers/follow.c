/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/follow.c -- inotify over a tree, without a map from watches to paths:
 * whoever is told of a change walks again, and what is known costs one stat. The
 * watches live as long as the archive, so nothing between a listing and the wait
 * that follows it is lost. */
#include "drivers/follow.h"
#include "vivofs/base.h"
#include "vivofs/log.h"

#include <errno.h>
#include <limits.h>
#include <linux/magic.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/vfs.h>

#define QUIET_MS 300
#define BUSY_MAX_MS 2000
#define POLL_MS 40 /* a cancelled op is seen within this */
#define WALK_EVERY_MS 60000

#define CHANGES                                                                        \
    (IN_CREATE | IN_CLOSE_WRITE | IN_ATTRIB | IN_DELETE | IN_MOVED_FROM |              \
     IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF)

struct vivo_follow {
    int fd;            /* inotify, or -1 */
    bool remote;       /* changes made elsewhere give no event */
    atomic_bool blind; /* some folder of the last listing is not followed */
};

/* Not in every linux/magic.h. */
#define MAGIC_CIFS 0xFF534D42u
#define MAGIC_SMB2 0xFE534D42u
#define MAGIC_CEPH 0x00C36400u
#define MAGIC_LUSTRE 0x0BD00BD0u
#define MAGIC_GPFS 0x47504653u
#define MAGIC_VIRTIOFS 0x6A656A63u

static bool is_remote(int rootfd)
{
    static const uint32_t kinds[] = {
        NFS_SUPER_MAGIC, SMB_SUPER_MAGIC,  MAGIC_CIFS,     MAGIC_SMB2,
        V9FS_MAGIC,      FUSE_SUPER_MAGIC, AFS_FS_MAGIC,   CODA_SUPER_MAGIC,
        MAGIC_CEPH,      MAGIC_LUSTRE,     MAGIC_VIRTIOFS, MAGIC_GPFS};
    struct statfs fs;

    if (fstatfs(rootfd, &fs) < 0)
        return false;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(kinds); i++)
        if ((uint32_t)fs.f_type == kinds[i])
            return true;
    return false;
}

int vivo_follow_new(int rootfd, struct vivo_follow **out, struct vivo_err *err)
{
    struct vivo_follow *f = calloc(1, sizeof *f);

    if (!f)
        return vivo_fail(err, ENOMEM, "no memory to follow a folder");
    f->remote = is_remote(rootfd);
    f->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    atomic_init(&f->blind, f->remote || f->fd < 0);
    *out = f;
    return 0;
}

void vivo_follow_free(struct vivo_follow *f)
{
    if (!f)
        return;
    if (f->fd >= 0)
        close(f->fd);
    free(f);
}

void vivo_follow_restart(struct vivo_follow *f)
{
    atomic_store(&f->blind, f->remote || f->fd < 0);
}

void vivo_follow_add(struct vivo_follow *f, int dirfd)
{
    char path[40];

    /* After the first failure the rest would fail too; the walk every minute covers
     * them all. */
    if (f->fd < 0 || (!f->remote && atomic_load(&f->blind)))
        return;
    snprintf(path, sizeof path, "/proc/self/fd/%d", dirfd);
    if (inotify_add_watch(f->fd, path, CHANGES | IN_ONLYDIR | IN_EXCL_UNLINK) >= 0)
        return;
    if (!atomic_exchange(&f->blind, true))
        vivo_log(VIVO_LOG_WARN, "drivers.follow",
                 "cannot follow every folder (%s; see fs.inotify.max_user_watches): "
                 "looking every %d s instead",
                 strerror(errno), WALK_EVERY_MS / 1000);
}

/* Takes all events there are; true when one of them is a change. */
static bool drain(struct vivo_follow *f)
{
    _Alignas(struct inotify_event) char block[8192];
    bool changed = false;

    for (;;) {
        ssize_t n = read(f->fd, block, sizeof block);
        if (n <= 0)
            return changed;
        for (const char *p = block; p < block + n;) {
            const struct inotify_event *e = (const void *)p;
            /* A folder that was moved away takes its watch along; if it is still in
             * the tree, the listing to come adds it again. */
            if (e->mask & IN_MOVE_SELF)
                (void)inotify_rm_watch(f->fd, e->wd);
            changed = changed || (e->mask & (CHANGES | IN_Q_OVERFLOW));
            p += sizeof *e + e->len;
        }
    }
}

/* Waits at most ms for an event; true when a change came. */
static bool change_within(struct vivo_follow *f, int64_t ms)
{
    struct pollfd p = {.fd = f->fd, .events = POLLIN};

    if (ms <= 0)
        return false;
    return poll(&p, 1, (int)VIVO_MIN(ms, (int64_t)INT_MAX)) > 0 && drain(f);
}

/* A change has come: lets a copy or an unpacking go on until it pauses. */
static int wait_for_quiet(struct vivo_follow *f, struct vivo_op *op)
{
    int64_t end = vivo_now_ms() + BUSY_MAX_MS;

    for (;;) {
        int rc = vivo_op_check(op);
        if (rc < 0)
            return rc;
        int64_t left = end - vivo_now_ms();
        if (!change_within(f, VIVO_MIN(left, (int64_t)QUIET_MS)))
            return 0;
    }
}

int vivo_follow_wait(struct vivo_follow *f, struct vivo_op *op)
{
    int64_t began = vivo_now_ms();

    for (;;) {
        int rc = vivo_op_check(op);
        if (rc < 0)
            return rc;
        if (change_within(f, POLL_MS))
            return wait_for_quiet(f, op);
        if (atomic_load(&f->blind) && vivo_now_ms() - began >= WALK_EVERY_MS)
            return 0;
    }
}
