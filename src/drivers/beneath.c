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
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

static int open_how(int rootfd, const char *path, int flags, uint64_t resolve)
{
    struct open_how how = {
        .flags = (unsigned)flags | O_CLOEXEC,
        .resolve =
            RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | resolve,
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
    int fd = open_how(rootfd, path, flags, 0);

    if (fd == -ENOSYS || (fd == -EPERM && !(flags & O_NOATIME)))
        return vivo_beneath_open_slowly(rootfd, path, flags);
    return fd;
}

/* Is a vivofs mounted on this file system's number? */
static bool is_own_mount(dev_t dev)
{
    char want[48], line[1024];
    FILE *f = fopen("/proc/self/mountinfo", "re");
    bool own = false;

    if (!f)
        return false;
    snprintf(want, sizeof want, " %u:%u ", major(dev), minor(dev));
    while (!own && fgets(line, sizeof line, f))
        own = strstr(line, want) && strstr(line, " - fuse.vivofs ");
    fclose(f);
    return own;
}

int vivo_beneath_open_folder(int rootfd, const char *path)
{
    const int flags = O_RDONLY | O_DIRECTORY;
    struct stat st;
    int fd = open_how(rootfd, path, flags, RESOLVE_NO_XDEV);

    if (fd >= 0 || (fd != -EXDEV && fd != -ENOSYS && fd != -EPERM))
        return fd;
    /* Another file system, or a kernel that cannot tell: look, then open. */
    VIVO_AUTO(vivo_close_p)
    int place = vivo_beneath_open(rootfd, path, O_PATH | O_DIRECTORY);
    if (place < 0)
        return place;
    if (fstat(place, &st) < 0)
        return -errno;
    if (is_own_mount(st.st_dev))
        return -ELOOP;
    fd = openat(place, ".", flags | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}
