/* SPDX-License-Identifier: Apache-2.0 */
/* src/base/file.c -- files of our own; see include/vivofs/file.h. */
#include "vivofs/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

int vivo_pread_full(int fd, void *buf, size_t len, uint64_t off, struct vivo_err *err)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = pread(fd, (char *)buf + done, len - done, (off_t)(off + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return vivo_fail(err, EIO, "read: %s", strerror(errno));
        if (n == 0)
            return vivo_fail(err, EIO, "read: the file ends %zu bytes early",
                             len - done);
        done += (size_t)n;
    }
    return 0;
}

int vivo_pwrite_full(int fd, const void *buf, size_t len, uint64_t off,
                     struct vivo_err *err)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n =
            pwrite(fd, (const char *)buf + done, len - done, (off_t)(off + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return vivo_fail(
                err,
                errno == ENOSPC || errno == EDQUOT || errno == EFBIG ? ENOSPC : EIO,
                "write: %s", strerror(errno));
        done += (size_t)n;
    }
    return 0;
}

static int read_all(int fd, size_t max, struct vivo_buf *out)
{
    for (;;) {
        uint8_t *to = vivo_buf_reserve(out, 1);
        size_t room = out->cap > out->len + 1 ? out->cap - out->len - 1 : 0;
        uint8_t one;
        ssize_t n = to ? read(fd, to, VIVO_MAX(room, 1u)) : read(fd, &one, 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return 0;
        if (!to || out->len + (size_t)n > max)
            return -E2BIG;
        out->len += (size_t)n;
        out->data[out->len] = 0;
    }
}

int vivo_file_read(const char *path, size_t max, struct vivo_buf *out,
                   struct vivo_err *err)
{
    VIVO_AUTO(vivo_close_p) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return vivo_fail(err,
                         errno == ENOENT || errno == ENOTDIR ? ENOENT
                         : errno == EACCES                   ? EACCES
                                                             : EIO,
                         "%s: %s", path, strerror(errno));
    int rc = read_all(fd, max, out);
    if (rc == -E2BIG)
        return vivo_fail(err, EINVAL, "%s: longer than %zu bytes", path, max);
    if (rc)
        return vivo_fail(err, EIO, "%s: %s", path, strerror(-rc));
    return 0;
}

static int write_and_sync(int fd, const void *data, size_t len, mode_t mode,
                          struct vivo_err *err)
{
    int rc = vivo_pwrite_full(fd, data, len, 0, err);
    if (rc)
        return rc;
    if (fchmod(fd, mode) || fsync(fd))
        return vivo_fail(err, EIO, "%s", strerror(errno));
    return 0;
}

static void sync_parent(const char *path)
{
    VIVO_AUTO(vivo_free_p) char *dir = strdup(path);
    char *slash = dir ? strrchr(dir, '/') : NULL;
    if (!slash)
        return;
    slash[slash == dir] = '\0';
    VIVO_AUTO(vivo_close_p) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        fsync(fd);
}

int vivo_file_write(const char *path, const void *data, size_t len, mode_t mode,
                    struct vivo_err *err)
{
    VIVO_AUTO(vivo_free_p) char *tmp = NULL;
    if (asprintf(&tmp, "%s.XXXXXX", path) < 0) {
        tmp = NULL;
        return vivo_fail(err, ENOMEM, "out of memory");
    }
    VIVO_AUTO(vivo_close_p) int fd = mkostemp(tmp, O_CLOEXEC);
    if (fd < 0)
        return vivo_fail(err, EIO, "%s: %s", path, strerror(errno));
    int rc = write_and_sync(fd, data, len, mode, err);
    if (!rc && rename(tmp, path))
        rc = vivo_fail(err, EIO, "%s: %s", path, strerror(errno));
    if (rc)
        unlink(tmp);
    else
        sync_parent(path);
    return rc;
}

int vivo_mkdirs(const char *path, mode_t mode, struct vivo_err *err)
{
    VIVO_AUTO(vivo_free_p) char *copy = strdup(path);
    if (!copy)
        return vivo_fail(err, ENOMEM, "out of memory");
    for (char *p = copy + 1;; p++) {
        char c = *p;
        if (c && c != '/')
            continue;
        *p = '\0';
        if (mkdir(copy, mode) && errno != EEXIST) {
            int e = errno == EACCES || errno == EROFS ? EACCES : EIO;
            return vivo_fail(err, errno == ENOSPC ? ENOSPC : e,
                             "%s: cannot be made: %s", copy, strerror(errno));
        }
        if (!c)
            break;
        *p = '/';
    }
    struct stat st;
    if (stat(path, &st) || !S_ISDIR(st.st_mode))
        return vivo_fail(err, EIO, "%s: is no directory", path);
    return 0;
}

int vivo_file_nameless(const char *dir, struct vivo_err *err)
{
    int fd = -1;
    if (dir)
        fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        fd = memfd_create("vivofs", MFD_CLOEXEC);
    if (fd < 0)
        return vivo_fail(err, EIO, "no nameless file can be made: %s", strerror(errno));
    return fd;
}

void vivo_file_make_room(void)
{
    struct rlimit files;
    rlim_t most = 1024;
    if (getrlimit(RLIMIT_NOFILE, &files) || files.rlim_cur < 4)
        return;
    int fd = fcntl(0, F_DUPFD_CLOEXEC, (int)VIVO_MIN(files.rlim_cur, most) - 1);
    if (fd >= 0)
        close(fd); /* the table stays as large as it was for this one */
}

char *vivo_user_dir(enum vivo_dir_kind kind, const char *sub)
{
    static const struct {
        const char *variable, *fallback;
    } dirs[] = {
        [VIVO_DIR_CONFIG] = {"XDG_CONFIG_HOME", ".config"},
        [VIVO_DIR_CACHE] = {"XDG_CACHE_HOME", ".cache"},
        [VIVO_DIR_DATA] = {"XDG_DATA_HOME", ".local/share"},
        [VIVO_DIR_STATE] = {"XDG_STATE_HOME", ".local/state"},
    };
    const char *base = getenv(dirs[kind].variable);
    const char *home = getenv("HOME");
    const char *slash = sub ? "/" : "";
    char *out = NULL;
    int n = -1;
    /* The specification says that a relative path is to be ignored. */
    if (base && base[0] == '/')
        n = asprintf(&out, "%s/vivofs%s%s", base, slash, sub ? sub : "");
    else if (home && home[0])
        n = asprintf(&out, "%s/%s/vivofs%s%s", home, dirs[kind].fallback, slash,
                     sub ? sub : "");
    return n < 0 ? NULL : out;
}

int vivo_file_part(const char *name, char out[PATH_MAX], struct vivo_err *err)
{
    static const char *const places[] = {"", "../", "../libexec/vivofs/"};
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n < 0)
        return vivo_fail(err, EIO, "/proc/self/exe cannot be read");
    self[n] = '\0';
    char *slash = strrchr(self, '/');
    if (slash)
        *slash = '\0';
    for (size_t i = 0; i < VIVO_ARRAY_LEN(places); i++) {
        int len = snprintf(out, PATH_MAX, "%s/%s%s", self, places[i], name);
        if (len > 0 && len < PATH_MAX && access(out, R_OK) == 0)
            return 0;
    }
    return vivo_fail(err, EIO,
                     "%s is not installed: it belongs beside this program, "
                     "or into ../libexec/vivofs",
                     name);
}
