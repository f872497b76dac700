/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/dir.c -- archive = a folder of DICOM files on this machine, any shape.
 *
 * URL:      a path
 * Lists:    every regular file, hidden ones too, as an instance without attributes;
 *           symbolic links are not followed. Headers are read by flow.
 * Locator:  path relative to the folder, any bytes but NUL.
 * Source:   PS3.10 section 7 (file format); openat2(2), inotify(7). */
#include "drivers/beneath.h"
#include "drivers/follow.h"
#include "drivers/media_records.h"
#include "drivers/package.h"
#include "vivofs/driver.h"
#include "vivofs/file.h"
#include "vivofs/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Bytes of folder names waiting to be walked: a million folders. */
#define PENDING_MAX (256u << 20)
#define COPY_BYTES (128u << 10)
#define VERSION_MAX 96

struct dir {
    struct vivo_archive base;
    int rootfd;
    struct vivo_follow *follow;
    atomic_uint_least64_t told; /* what the last log line about skipped ones said */
};

static struct dir *dir_of(struct vivo_archive *a)
{
    return (struct dir *)(void *)a;
}

static int vivo_errno(int errnum)
{
    switch (errnum) {
    case ENOENT:
    case EACCES:
    case ENOMEM:
    case ENAMETOOLONG:
        return errnum;
    default:
        return EIO;
    }
}

/* ---- open, close --------------------------------------------------------------- */

static int open_root(const char *source, struct vivo_err *err)
{
    int fd = open(source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0)
        return fd;
    /* The person who typed the path reads this; nothing below it is named. */
    if (errno == ENOENT)
        return vivo_fail(err, ENOENT, "no such folder: %s", source);
    if (errno == ENOTDIR)
        return vivo_fail(err, EINVAL, "%s is a file; a folder is needed", source);
    return vivo_fail(err, vivo_errno(errno), "folder %s: %s", source, strerror(errno));
}

static void close_dir(struct vivo_archive *self)
{
    struct dir *d = dir_of(self);

    vivo_follow_free(d->follow);
    if (d->rootfd >= 0)
        close(d->rootfd);
    free(d);
}

static int open_dir(const struct vivo_archive_config *cfg, struct vivo_archive **out,
                    struct vivo_err *err)
{
    struct dir *d = calloc(1, sizeof *d);

    if (!d)
        return vivo_fail(err, ENOMEM, "no memory for an archive");
    d->rootfd = open_root(cfg->source, err);
    if (d->rootfd < 0) {
        int rc = d->rootfd;
        close_dir(&d->base);
        return rc;
    }
    int rc = vivo_follow_new(d->rootfd, &d->follow, err);
    if (rc < 0) {
        close_dir(&d->base);
        return rc;
    }
    *out = &d->base;
    return 0;
}

/* ---- list ---------------------------------------------------------------------- */

struct walk {
    struct dir *d;
    struct vivo_intake *in;
    struct vivo_op *op;
    struct vivo_package *package;
    struct vivo_buf todo; /* paths of folders still to read, each with its NUL */
    char path[PATH_MAX];  /* of the entry being looked at, relative to the root */
    size_t folder_len;    /* of it: the folder with its slash; 0 = the root */
    struct {
        uint64_t folders, files, links, special, deep, own, missing;
    } skipped;
};

static void version_of(const struct stat *st, char out[VERSION_MAX])
{
    snprintf(out, VERSION_MAX, "%lld:%lld.%09ld:%lld.%09ld:%llu",
             (long long)st->st_size, (long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec,
             (long long)st->st_ctim.tv_sec, st->st_ctim.tv_nsec,
             (unsigned long long)st->st_ino);
}

static void emit_other(struct walk *w, const struct stat *st)
{
    char version[VERSION_MAX];

    version_of(st, version);
    if (!w->in->known(w->in, w->path, version))
        w->in->other(w->in, w->path, version);
}

static int emit_file(struct walk *w, int dirfd, const char *name, const struct stat *st)
{
    char version[VERSION_MAX];

    version_of(st, version);
    if (w->in->known(w->in, w->path, version))
        return 0;
    /* What the mode lets everybody read is not asked for: should an ACL forbid it
     * nevertheless, opening it tells. */
    if ((st->st_mode & 0444) != 0444 && faccessat(dirfd, name, R_OK, AT_EACCESS) < 0) {
        w->skipped.files++;
        w->in->other(w->in, w->path, version);
        return 0;
    }
    struct vivo_package_place place;
    bool placed = vivo_package_place(w->package, w->path, &place);
    struct vivo_record rec = {
        .level = VIVO_LEVEL_INSTANCE,
        .locator = w->path,
        .where = w->path,
        .collection = placed && place.collection[0] ? place.collection : NULL,
        .patient = placed && place.patient[0] ? place.patient : NULL,
        .version = version,
        .size = (uint64_t)st->st_size,
    };
    return w->in->record(w->in, &rec, &w->op->err);
}

static int push_folder(struct walk *w)
{
    if (vivo_buf_add(&w->todo, w->path, strlen(w->path) + 1) < 0)
        return vivo_fail(&w->op->err, ENOMEM, "too many folders in one source");
    return 0;
}

/* What one failed look at an entry means. What vanished is not there; what may not be
 * read is counted; anything else (a dead disk or server, no descriptors left) fails
 * the listing, because a partial one would make the rest look deleted. */
static int look_failed(struct walk *w, int errnum, uint64_t *counter)
{
    switch (errnum) {
    case ENOENT:
    case ENOTDIR:
    case ELOOP:
    case EXDEV:
        return 0;
    case EACCES:
    case EPERM:
        (*counter)++;
        return 0;
    default:
        return vivo_fail(&w->op->err, vivo_errno(errnum),
                         "reading a folder of the source: %s", strerror(errnum));
    }
}

static int look_at(struct walk *w, int dirfd, const char *name)
{
    struct stat st;
    size_t len = strlen(name);

    if (w->folder_len + len >= sizeof w->path - 1) {
        w->skipped.deep++;
        return 0;
    }
    memcpy(w->path + w->folder_len, name, len + 1);
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return look_failed(w, errno, &w->skipped.files);
    if (S_ISREG(st.st_mode))
        return emit_file(w, dirfd, name, &st);
    if (S_ISDIR(st.st_mode))
        return push_folder(w);
    if (S_ISLNK(st.st_mode)) {
        w->skipped.links++;
        return 0;
    }
    w->skipped.special++;
    emit_other(w, &st);
    return 0;
}

static int read_entries(struct walk *w, DIR *dp)
{
    for (;;) {
        errno = 0;
        const struct dirent *e = readdir(dp);
        if (!e)
            return errno ? look_failed(w, errno, &w->skipped.folders) : 0;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        int rc = vivo_op_check(w->op);
        if (rc == 0)
            rc = look_at(w, dirfd(dp), e->d_name);
        if (rc != 0)
            return rc;
    }
}

/* The folder on top of the stack; its descriptor, or a negative errno of the kernel. */
static int open_next_folder(struct walk *w, bool *is_root)
{
    size_t start = w->todo.len - 1;

    while (start > 0 && w->todo.data[start - 1] != '\0')
        start--;
    const char *path = (const char *)w->todo.data + start;
    size_t len = strlen(path);
    memcpy(w->path, path, len + 1);
    w->todo.len = start;
    w->folder_len = len;
    *is_root = len == 0;
    if (*is_root) {
        int fd = openat(w->d->rootfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
    }
    w->path[w->folder_len++] = '/';
    w->path[w->folder_len] = '\0';
    return vivo_beneath_open_folder(w->d->rootfd, path);
}

/* An unreadable folder is counted where a person sees it: among the others. */
static int folder_failed(struct walk *w, int errnum)
{
    uint64_t before = w->skipped.folders;
    int rc = look_failed(w, errnum, &w->skipped.folders);

    if (w->skipped.folders > before) {
        w->path[w->folder_len - 1] = '\0';
        if (!w->in->known(w->in, w->path, "unreadable folder"))
            w->in->other(w->in, w->path, "unreadable folder");
    }
    return rc;
}

static int read_folder(struct walk *w)
{
    struct stat st;
    bool is_root;
    int fd = open_next_folder(w, &is_root);

    if (fd < 0 && is_root)
        return vivo_fail(&w->op->err, vivo_errno(-fd), "the folder: %s", strerror(-fd));
    if (fd == -ELOOP)
        w->skipped
            .own++; /* or swapped for a link just now: nothing of ours either way */
    if (fd < 0)
        return folder_failed(w, -fd);
    DIR *dp = fdopendir(fd);
    if (!dp || fstat(fd, &st) < 0) {
        int rc = vivo_fail(&w->op->err, EIO, "a folder: %s", strerror(errno));
        if (dp)
            closedir(dp);
        else
            close(fd);
        return rc;
    }
    int rc = 0;
    if (is_root && st.st_nlink == 0) {
        rc = vivo_fail(&w->op->err, EIO, "the folder is gone");
    } else {
        /* Followed first, then read: what changes in between is not missed. */
        vivo_follow_add(w->d->follow, fd);
        rc = read_entries(w, dp);
    }
    closedir(dp);
    return rc;
}

/* A source that is followed is walked often; only news are logged. */
static void log_skipped(const struct walk *w)
{
    uint64_t sum = w->skipped.folders;
    sum = sum * 1000003 + w->skipped.files;
    sum = sum * 1000003 + w->skipped.deep;
    sum = sum * 1000003 + w->skipped.links;
    sum = sum * 1000003 + w->skipped.special;
    sum = sum * 1000003 + w->skipped.own;
    sum = sum * 1000003 + w->skipped.missing;
    if (atomic_exchange(&w->d->told, sum) == sum)
        return;
    if (w->skipped.folders + w->skipped.files + w->skipped.deep > 0)
        vivo_log(VIVO_LOG_WARN, "drivers.dir",
                 "%" PRIu64 " folders and %" PRIu64 " files cannot be read, %" PRIu64
                 " have too long a path: left out",
                 w->skipped.folders, w->skipped.files, w->skipped.deep);
    if (w->skipped.missing > 0)
        vivo_log(VIVO_LOG_WARN, "drivers.dir",
                 "the DICOMDIR names %" PRIu64
                 " files that are not there: is the copy of the medium whole?",
                 w->skipped.missing);
    if (w->skipped.links + w->skipped.special + w->skipped.own > 0)
        vivo_log(VIVO_LOG_INFO, "drivers.dir",
                 "%" PRIu64 " symbolic links not followed, %" PRIu64
                 " special files and %" PRIu64 " mounts of vivofs left out",
                 w->skipped.links, w->skipped.special, w->skipped.own);
}

/* What a DICOMDIR names and nobody finds is counted among the others. */
static void emit_missing(void *ctx, const char *path)
{
    struct walk *w = ctx;
    char locator[PATH_MAX];
    w->skipped.missing++;
    snprintf(locator, sizeof locator, "DICOMDIR//%s", path); /* no path of a file */
    if (!w->in->known(w->in, locator, "missing"))
        w->in->other(w->in, locator, "missing");
}

static int look_at_media(struct walk *w)
{
    bool broken = false;
    int rc = vivo_media_missing(w->d->rootfd, emit_missing, w, &broken, w->op);
    if (rc == 0 && broken)
        vivo_log(VIVO_LOG_INFO, "drivers.dir",
                 "the DICOMDIR cannot be read to its end: what it names and is not "
                 "there is not counted");
    return rc;
}

static int emit_words(void *ctx, const char *collection, const char *license,
                      struct vivo_err *err)
{
    struct walk *w = ctx;
    const struct vivo_record rec = {
        .level = VIVO_LEVEL_COLLECTION, .collection = collection, .license = license};
    return w->in->record(w->in, &rec, err);
}

static int list(struct vivo_archive *self, enum vivo_level level VIVO_UNUSED,
                const char *parent VIVO_UNUSED, struct vivo_intake *in,
                struct vivo_op *op)
{
    struct walk *w = calloc(1, sizeof *w);

    if (!w)
        return vivo_fail(&op->err, ENOMEM, "no memory for a listing");
    w->d = dir_of(self);
    w->in = in;
    w->op = op;
    vivo_buf_init(&w->todo, PENDING_MAX);
    vivo_follow_restart(w->d->follow);
    int rc = vivo_package_look(w->d->rootfd, &w->package, &op->err);
    if (rc == 0 && vivo_buf_add(&w->todo, "", 1) < 0)
        rc = vivo_fail(&op->err, ENOMEM, "no memory for a listing");
    while (rc == 0 && w->todo.len > 0)
        rc = read_folder(w);
    if (rc == 0)
        rc = look_at_media(w);
    if (rc == 0)
        rc = vivo_package_words(w->package, w->d->rootfd, emit_words, w, &op->err);
    if (rc == 0)
        log_skipped(w);
    vivo_buf_free(&w->todo);
    vivo_package_free(w->package);
    free(w);
    return rc;
}

/* ---- fetch --------------------------------------------------------------------- */

static int open_object(const struct dir *d, const char *locator, struct vivo_err *err)
{
    /* O_NONBLOCK: a FIFO that took the file's place must not hang the thread. */
    int flags = O_RDONLY | O_NONBLOCK | O_NOCTTY;
    int fd = vivo_beneath_open(d->rootfd, locator, flags | O_NOATIME);

    if (fd == -EPERM) /* O_NOATIME is for owners */
        fd = vivo_beneath_open(d->rootfd, locator, flags);
    if (fd >= 0)
        return fd;
    switch (-fd) {
    case ENOENT:
    case ENOTDIR:
    case ELOOP:
    case EXDEV:
    case ENXIO:
    case EINVAL:
    case ENAMETOOLONG:
        return vivo_fail(err, ENOENT, "the file is not in the folder any more");
    case EACCES:
    case EPERM:
        return vivo_fail(err, EACCES, "the file may not be read by this account");
    default:
        return vivo_fail(err, vivo_errno(-fd), "opening a file: %s", strerror(-fd));
    }
}

static int copy_object(int fd, uint64_t size, struct vivo_sink *to, struct vivo_op *op)
{
    VIVO_AUTO(vivo_free_p) uint8_t *block = malloc(COPY_BYTES);
    struct stat st;
    int rc = 0;

    if (!block)
        return vivo_fail(&op->err, ENOMEM, "no memory to read a file");
    for (uint64_t off = 0; rc == 0 && off < size;) {
        size_t n = (size_t)VIVO_MIN(size - off, (uint64_t)COPY_BYTES);
        rc = vivo_op_check(op);
        if (rc == 0)
            rc = vivo_pread_full(fd, block, n, off, &op->err);
        if (rc == 0)
            rc = to->write(to, block, n, &op->err);
        off += n;
    }
    if (rc == 0 && (fstat(fd, &st) < 0 || (uint64_t)st.st_size != size))
        rc = vivo_fail(&op->err, EIO, "the file changed while it was read");
    return rc;
}

static int fetch(struct vivo_archive *self, const char *locator,
                 struct vivo_delivery *to, struct vivo_op *op)
{
    struct stat st;
    int fd = open_object(dir_of(self), locator, &op->err);

    if (fd < 0)
        return fd;
    int rc = 0;
    if (fstat(fd, &st) < 0)
        rc = vivo_fail(&op->err, EIO, "fstat: %s", strerror(errno));
    else if (!S_ISREG(st.st_mode))
        rc = vivo_fail(&op->err, ENOENT, "no regular file is there any more");
    else if (to->descriptor)
        rc = to->descriptor(to, fd, &op->err);
    else
        rc = copy_object(fd, (uint64_t)st.st_size, &to->sink, op);
    /* The descriptor is the receiver's once it took it. */
    if (rc != 0 || !to->descriptor)
        close(fd);
    return rc;
}

/* ---- watch --------------------------------------------------------------------- */

static int watch(struct vivo_archive *self, struct vivo_op *op)
{
    return vivo_follow_wait(dir_of(self)->follow, op);
}

const struct vivo_driver vivo_driver_dir = {
    .name = "dir",
    .summary = "DICOM files of any order; what NBIA, IDA, XCEDE and XNAT gave away",
    .schemes = "",
    .caps = VIVO_CAP_LOCAL | VIVO_CAP_WATCH,
    .lists = 1u << VIVO_LEVEL_NONE,
    .listed = NULL,
    .open = open_dir,
    .close = close_dir,
    .list = list,
    .fetch = fetch,
    .watch = watch,
};
