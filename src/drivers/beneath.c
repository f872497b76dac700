/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/beneath.c -- openat2 (Linux 5.6) with RESOLVE_BENEATH and without
 * links; where it is missing or a sandbox refuses it, a walk component by component
 * that gives the same answers. */
#include "drivers/beneath.h"
#include "vivofs/base.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>

static int open_how(int rootfd, const char *path, int flags)
{
    struct open_how how = {
        .flags = (unsigned)flags | O_CLOEXEC,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };

    for (;;) {
        long fd = syscall(SYS_openat2, rootfd, path, &how, sizeof how);
        if (fd >= 0)
            return (int)fd;
        /* EAGAIN: a rename elsewhere raced with the check of "beneath". */
        if (errno != EINTR && errno != EAGAIN)
            return -errno;
    }
}

/* Copies the next component and moves *path behind it; false when there is none that
 * may be followed. */
static bool next_component(const char **path, char name[NAME_MAX + 1])
{
    size_t len = strcspn(*path, "/");

    if (len == 0 || len > NAME_MAX)
        return false;
    memcpy(name, *path, len);
    name[len] = '\0';
    *path += len;
    if (**path == '/')
        (*path)++;
    return strcmp(name, "..") != 0 && strcmp(name, ".") != 0;
}

int vivo_beneath_open_slowly(int rootfd, const char *path, int flags)
{
    char name[NAME_MAX + 1];
    int at = rootfd;

    for (;;) {
        int fd = -EXDEV;
        if (next_component(&path, name)) {
            int how = *path ? O_PATH | O_DIRECTORY : flags;
            fd = openat(at, name, how | O_NOFOLLOW | O_CLOEXEC);
            if (fd < 0)
                fd = -errno;
        }
        if (at != rootfd)
            close(at);
        if (fd < 0 || *path == '\0')
            return fd;
        at = fd;
    }
}

int vivo_beneath_open(int rootfd, const char *path, int flags)
{
    int fd = open_how(rootfd, path, flags);

    if (fd == -ENOSYS || (fd == -EPERM && !(flags & O_NOATIME)))
        return vivo_beneath_open_slowly(rootfd, path, flags);
    return fd;
}
