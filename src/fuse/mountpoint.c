/* SPDX-License-Identifier: Apache-2.0 */
/* src/fuse/mountpoint.c -- why a mount cannot be, said before libfuse says less. */
#include "fuse/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A field of mountinfo: space, tab, newline and backslash are \ooo (proc(5)). */
static bool is_field(const char *field, const char *path)
{
    for (; *path; path++, field++) {
        if (field[0] == '\\' && field[1] && field[2] && field[3]) {
            int c = (field[1] - '0') << 6 | (field[2] - '0') << 3 | (field[3] - '0');
            if ((char)c != *path)
                return false;
            field += 3;
        } else if (*field != *path) {
            return false;
        }
    }
    return !*field;
}

/* Is a vivofs mounted exactly here? /proc/self/mountinfo, fields 5 and after " - ". */
static bool is_vivofs(const char *path)
{
    VIVO_AUTO(vivo_free_p) char *real = realpath(path, NULL);
    FILE *f = fopen("/proc/self/mountinfo", "re");
    char line[4096];
    char at[2048];
    bool found = false;

    while (f && real && fgets(line, sizeof line, f)) {
        if (sscanf(line, "%*s %*s %*s %*s %2047s", at) == 1 && is_field(at, real) &&
            strstr(line, " - fuse.vivofs "))
            found = true;
    }
    if (f)
        fclose(f);
    return found;
}

/* stat may be answered by the kernel long after the process has died. */
static bool answers(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return errno != ENOTCONN;
    close(fd);
    return true;
}

static int dead(const char *path, struct vivo_err *err)
{
    return vivo_fail(
        err, EBUSY, "%s: a former mount ended badly here; run `vivofs umount %s` first",
        path, path);
}

static int check_directory(const char *path, struct vivo_err *err)
{
    struct stat st;

    if (stat(path, &st) == 0) {
        if (!S_ISDIR(st.st_mode))
            return vivo_fail(err, ENOTDIR, "%s: is not a directory", path);
        if (is_vivofs(path) && !answers(path))
            return dead(path, err);
        if (is_vivofs(path))
            return vivo_fail(err, EBUSY, "%s: a vivofs is mounted here already", path);
        return 0;
    }
    if (errno == ENOENT)
        return vivo_fail(err, ENOENT, "%s: no such mount point", path);
    if (errno == ENOTCONN)
        return dead(path, err);
    return vivo_fail(err, errno == EACCES ? EACCES : EIO, "%s: %s", path,
                     strerror(errno));
}

/* Mounting as a plain user needs the set-uid helper. */
static bool has_helper(void)
{
    const char *path = getenv("PATH");
    char file[4096];

    for (const char *dir = path ? path : "/usr/bin:/bin"; *dir;) {
        size_t len = strcspn(dir, ":");

        snprintf(file, sizeof file, "%.*s/fusermount3", (int)len, dir);
        if (len > 0 && access(file, X_OK) == 0)
            return true;
        dir += len + (dir[len] == ':');
    }
    return access("/usr/bin/fusermount3", X_OK) == 0 ||
           access("/bin/fusermount3", X_OK) == 0;
}

int mountpoint_check(const char *path, struct vivo_err *err)
{
    if (access("/dev/fuse", F_OK))
        return vivo_fail(err, ENOENT,
                         "/dev/fuse: is missing; load the kernel's fuse module, or "
                         "pass the device into the container");
    if (geteuid() != 0 && !has_helper())
        return vivo_fail(err, EACCES,
                         "fusermount3 is missing: install fuse3 to mount as a user");
    return check_directory(path, err);
}

int mount_failure(const char *path, struct vivo_err *err)
{
    int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

    if (fd < 0 && (errno == EACCES || errno == EPERM))
        return vivo_fail(err, EACCES, "/dev/fuse: no permission to open it");
    if (fd >= 0)
        close(fd);
    if (access(path, W_OK))
        return vivo_fail(err, EACCES, "%s: no permission to mount here", path);
    return vivo_fail(err, EIO,
                     "%s: mounting failed; the line before says why (allow_other "
                     "needs user_allow_other in /etc/fuse.conf)",
                     path);
}
