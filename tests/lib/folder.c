/* SPDX-License-Identifier: Apache-2.0 */
/* tests/lib/folder.c -- see folder.h. */
#include "folder.h"
#include "vivofs/file.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static void need(int ok, const char *what, const char *name)
{
    if (ok)
        return;
    fprintf(stderr, "test folder: %s %s: %s\n", what, name, strerror(errno));
    abort();
}

char *folder_path(const char *dir, const char *name)
{
    char *path = NULL;

    need(asprintf(&path, "%s/%s", dir, name) >= 0, "path", name);
    return path;
}

char *folder_new(void)
{
    const char *tmp = getenv("TMPDIR");
    char *dir = folder_path(tmp && *tmp ? tmp : "/tmp", "vivofs-test-XXXXXX");

    need(mkdtemp(dir) != NULL, "mkdtemp", dir);
    need(chmod(dir, 0755) == 0, "chmod", dir);
    return dir;
}

static int remove_one(const char *path, const struct stat *st, int kind,
                      struct FTW *where)
{
    (void)st;
    (void)kind;
    (void)where;
    return remove(path);
}

void folder_free(char *dir)
{
    if (dir)
        (void)nftw(dir, remove_one, 32, FTW_DEPTH | FTW_PHYS);
    free(dir);
}

static void make_parents(char *path)
{
    for (char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
        *p = '\0';
        need(mkdir(path, 0755) == 0 || errno == EEXIST, "mkdir", path);
        *p = '/';
    }
}

void folder_mkdir(const char *dir, const char *name)
{
    char *path = folder_path(dir, name);

    make_parents(path);
    need(mkdir(path, 0755) == 0 || errno == EEXIST, "mkdir", path);
    free(path);
}

void folder_write(const char *dir, const char *name, const void *data, size_t len)
{
    char *path = folder_path(dir, name);

    make_parents(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    need(fd >= 0, "create", path);
    need(vivo_pwrite_full(fd, data, len, 0, NULL) == 0, "write", path);
    need(close(fd) == 0, "close", path);
    free(path);
}

void folder_copy(const char *dir, const char *name, const char *from)
{
    struct vivo_buf bytes;

    vivo_buf_init(&bytes, 64u << 20);
    need(vivo_file_read(from, 64u << 20, &bytes, NULL) == 0, "read", from);
    folder_write(dir, name, bytes.data, bytes.len);
    vivo_buf_free(&bytes);
}
