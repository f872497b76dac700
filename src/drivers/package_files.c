/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/package_files.c -- the lists that may lie in a folder, found in one pass
 * for all recognisers: a folder of many files is not read once for each of them. */
#include "drivers/beneath.h"
#include "drivers/package_map.h"
#include "vivofs/base.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#define FILES_MAX 200000u /* lists of one package */
#define PATHS_MAX (64u << 20)
#define DEPTH_MAX 2 /* folders below which lists are looked for */

struct vivo_package_files {
    int rootfd;
    struct vivo_buf found; /* depth (1 byte), path below the root with its NUL */
    unsigned n;
};

static bool has_suffix(const char *name, const char *suffix)
{
    size_t n = strlen(name);
    size_t m = strlen(suffix);
    return n >= m && strcasecmp(name + n - m, suffix) == 0;
}

static bool is_list(const char *name)
{
    static const char *const suffixes[] = {".csv", ".xml", ".xcede"};
    for (size_t i = 0; i < VIVO_ARRAY_LEN(suffixes); i++)
        if (has_suffix(name, suffixes[i]))
            return true;
    return false;
}

/* ---- finding -------------------------------------------------------------------- */

static int note(struct vivo_package_files *s, const char *path, uint8_t depth)
{
    if (s->n >= FILES_MAX)
        return 0;
    s->n++;
    int rc = vivo_buf_add(&s->found, &depth, 1);
    return rc ? rc : vivo_buf_add(&s->found, path, strlen(path) + 1);
}

static int search_in(struct vivo_package_files *s, const char *folder, uint8_t depth);

static int look_at(struct vivo_package_files *s, DIR *dp, const struct dirent *e,
                   const char *folder, uint8_t depth)
{
    char below[PATH_MAX];
    struct stat st;
    bool fits = is_list(e->d_name), unknown = e->d_type == DT_UNKNOWN;
    bool perhaps = depth < DEPTH_MAX && (e->d_type == DT_DIR || unknown);
    if (e->d_name[0] == '.' || (!fits && !perhaps))
        return 0;
    if (fits && (e->d_type == DT_REG || unknown)) {
        int len = snprintf(below, sizeof below, "%s%s", folder, e->d_name);
        return len < PATH_MAX ? note(s, below, depth) : 0;
    }
    if (!perhaps || fstatat(dirfd(dp), e->d_name, &st, AT_SYMLINK_NOFOLLOW) ||
        !S_ISDIR(st.st_mode) ||
        snprintf(below, sizeof below, "%s%s/", folder, e->d_name) >= PATH_MAX)
        return 0;
    return search_in(s, below, (uint8_t)(depth + 1));
}

/* What cannot be read is not told. */
static int search_in(struct vivo_package_files *s, const char *folder, uint8_t depth)
{
    char path[PATH_MAX];
    size_t n = strlen(folder);
    memcpy(path, n ? folder : ".", n ? n : 2);
    if (n)
        path[n - 1] = '\0'; /* without the slash */
    int fd = vivo_beneath_open_folder(s->rootfd, path);
    DIR *dp = fd < 0 ? NULL : fdopendir(fd);
    int rc = 0;
    if (!dp) {
        if (fd >= 0)
            close(fd);
        return 0;
    }
    for (const struct dirent *e; rc == 0 && (e = readdir(dp));)
        rc = look_at(s, dp, e, folder, depth);
    closedir(dp);
    return rc;
}

int vivo_package_files_find(int rootfd, struct vivo_package_files **out,
                            struct vivo_err *err)
{
    struct vivo_package_files *s = calloc(1, sizeof *s);
    if (!s)
        return vivo_fail(err, ENOMEM, "no memory for a package");
    s->rootfd = rootfd;
    vivo_buf_init(&s->found, PATHS_MAX);
    if (search_in(s, "", 0)) {
        vivo_package_files_free(s);
        return vivo_fail(err, ENOMEM, "too many lists beside the files");
    }
    *out = s;
    return 0;
}

void vivo_package_files_free(struct vivo_package_files *s)
{
    if (!s)
        return;
    vivo_buf_free(&s->found);
    free(s);
}

/* ---- reading -------------------------------------------------------------------- */

static int give(const struct vivo_package_files *s, const char *path,
                vivo_package_file_fn *fn, void *ctx, struct vivo_err *err)
{
    struct stat st;
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    char folder[PATH_MAX];
    size_t n = (size_t)(name - path);
    VIVO_AUTO(vivo_close_p)
    int fd = vivo_beneath_open(s->rootfd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode))
        return 0;
    memcpy(folder, path, n);
    folder[n] = '\0';
    return fn(ctx, fd, folder, name, err);
}

int vivo_package_files(const struct vivo_package_files *s, unsigned depth,
                       const char *suffix, vivo_package_file_fn *fn, void *ctx,
                       struct vivo_err *err)
{
    int rc = 0;
    for (size_t at = 0; rc == 0 && at < s->found.len;) {
        const char *path = (const char *)s->found.data + at + 1;
        if (s->found.data[at] <= depth && has_suffix(path, suffix))
            rc = give(s, path, fn, ctx, err);
        at += strlen(path) + 2;
    }
    return rc;
}
