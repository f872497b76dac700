/* SPDX-License-Identifier: Apache-2.0 */
/* src/store/disk.c -- opening the directory, and the two journeys through it. A get
 * opens one file and never waits for the index; a put writes a temporary file and
 * renames it, so nothing that is half there ever has an object's name. */
#include "store/disk.h"
#include "store/object.h"
#include "vivofs/file.h"
#include "vivofs/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

static int64_t unix_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void hex_of(const struct vivo_store_key *key, char out[2 * VIVO_DIGEST_LEN + 1])
{
    vivo_hex(key->digest, sizeof key->digest, out);
}

void vivo_store_disk_name(const struct vivo_store_key *key, char out[STORE_NAME_MAX])
{
    char hex[2 * VIVO_DIGEST_LEN + 1];

    hex_of(key, hex);
    snprintf(out, STORE_NAME_MAX, "objects/%.2s/%s", hex, hex);
}

DIR *vivo_store_disk_opendir(const struct vivo_store_disk *d, uint8_t prefix)
{
    struct vivo_store_key first = {.digest = {prefix}};
    char name[STORE_NAME_MAX];

    vivo_store_disk_name(&first, name);
    name[strlen("objects/ab")] = '\0';
    int fd = openat(d->dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dp = fd < 0 ? NULL : fdopendir(fd);
    if (fd >= 0 && !dp)
        close(fd);
    return dp;
}

static int nibble(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool vivo_store_disk_parse(const char *hex, struct vivo_store_key *out)
{
    if (strlen(hex) != 2 * sizeof out->digest)
        return false;
    for (size_t i = 0; i < sizeof out->digest; i++) {
        int high = nibble(hex[2 * i]), low = nibble(hex[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out->digest[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

/* ---- open ------------------------------------------------------------------------ */

/* A directory of ours: 0700 and owned by this account, or it is not used. */
static int own_directory(int at, const char *name, struct vivo_err *err)
{
    struct stat st;

    if (mkdirat(at, name, 0700) < 0 && errno != EEXIST)
        return vivo_fail(err, errno == ENOSPC ? ENOSPC : EIO,
                         "store: cannot make %s: %s", name, strerror(errno));
    if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
        return vivo_fail(err, EIO, "store: %s is not a directory", name);
    if (st.st_uid != geteuid())
        return vivo_fail(err, EACCES, "store: %s belongs to another account", name);
    if ((st.st_mode & 077) != 0 && fchmodat(at, name, 0700, 0) < 0)
        return vivo_fail(err, EIO, "store: rights of %s: %s", name, strerror(errno));
    return 0;
}

static int open_directories(struct vivo_store_disk *d, const char *dir,
                            struct vivo_err *err)
{
    static const char *const names[] = {"objects", "tmp", "quarantine"};
    int rc = vivo_mkdirs(dir, 0700, err);

    if (rc < 0)
        return rc;
    d->dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (d->dirfd < 0)
        return vivo_fail(err, EIO, "cache directory %s: %s", dir, strerror(errno));
    struct stat st;
    if (fstat(d->dirfd, &st) < 0 || st.st_uid != geteuid() || (st.st_mode & 022) != 0)
        return vivo_fail(err, EACCES,
                         "cache directory %s: others own it or can write to it", dir);
    for (size_t i = 0; rc == 0 && i < VIVO_ARRAY_LEN(names); i++)
        rc = own_directory(d->dirfd, names[i], err);
    if (rc < 0)
        return rc;
    d->lockfd =
        openat(d->dirfd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (d->lockfd < 0)
        return vivo_fail(err, EIO, "cache directory %s: cannot be written: %s", dir,
                         strerror(errno));
    return 0;
}

static void remove_directory(int at, const char *name)
{
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dp = fd < 0 ? NULL : fdopendir(fd);

    if (!dp) {
        if (fd >= 0)
            close(fd);
        return;
    }
    for (const struct dirent *e; (e = readdir(dp)) != NULL;)
        if (e->d_name[0] != '.')
            (void)unlinkat(dirfd(dp), e->d_name, 0);
    closedir(dp);
    (void)unlinkat(at, name, AT_REMOVEDIR);
}

/* Temporary files of processes that are gone: their directories are not locked. */
static void remove_dead_tmp(struct vivo_store_disk *d)
{
    int fd = openat(d->dirfd, "tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dp = fd < 0 ? NULL : fdopendir(fd);

    if (!dp) {
        if (fd >= 0)
            close(fd);
        return;
    }
    for (const struct dirent *e; (e = readdir(dp)) != NULL;) {
        if (e->d_name[0] == '.')
            continue;
        int one = openat(dirfd(dp), e->d_name,
                         O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (one < 0)
            continue;
        if (flock(one, LOCK_EX | LOCK_NB) == 0)
            remove_directory(dirfd(dp), e->d_name);
        close(one);
    }
    closedir(dp);
}

static int open_tmp(struct vivo_store_disk *d, struct vivo_err *err)
{
    uint8_t random[8];
    char hex[2 * sizeof random + 1];

    if (vivo_random(random, sizeof random) < 0)
        return vivo_fail(err, EIO, "store: no random numbers");
    vivo_hex(random, sizeof random, hex);
    snprintf(d->tmp_name, sizeof d->tmp_name, "tmp/%s", hex);
    int rc = own_directory(d->dirfd, d->tmp_name, err);
    if (rc < 0)
        return rc;
    d->tmpfd = openat(d->dirfd, d->tmp_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (d->tmpfd < 0 || flock(d->tmpfd, LOCK_EX | LOCK_NB) < 0)
        return vivo_fail(err, EIO, "store: %s: %s", d->tmp_name, strerror(errno));
    return 0;
}

static int open_index(struct vivo_store_disk *d, const char *dir, bool *fresh,
                      struct vivo_err *err)
{
    struct vivo_buf path;

    vivo_buf_init(&path, 8192);
    int rc = vivo_buf_printf(&path, "%s/index.db", dir);
    if (rc < 0)
        rc = vivo_fail(err, ENAMETOOLONG, "cache directory: the path is too long");
    else
        rc = vivo_store_index_open((const char *)path.data, fresh, &d->index, err);
    vivo_buf_free(&path);
    if (rc == 0)
        rc = vivo_store_index_apply(d->index, NULL, 0, &d->totals, err);
    return rc;
}

static int open_locked(struct vivo_store_disk *d, const char *dir, bool *fresh,
                       struct vivo_err *err)
{
    if (flock(d->lockfd, LOCK_EX) < 0)
        return vivo_fail(err, EIO, "cache directory %s: cannot be locked: %s", dir,
                         strerror(errno));
    remove_dead_tmp(d);
    int rc = open_tmp(d, err);
    if (rc == 0)
        rc = open_index(d, dir, fresh, err);
    flock(d->lockfd, LOCK_UN);
    return rc;
}

int vivo_store_disk_open(const struct vivo_store_config *cfg,
                         struct vivo_store_disk **out, struct vivo_err *err)
{
    struct vivo_store_disk *d = calloc(1, sizeof *d);
    pthread_condattr_t monotonic;
    bool fresh = false;

    if (!d)
        return vivo_fail(err, ENOMEM, "store: no memory");
    d->max_bytes = cfg->max_bytes ? cfg->max_bytes : UINT64_MAX;
    d->min_free = cfg->min_free;
    d->dirfd = d->tmpfd = d->lockfd = -1;
    pthread_mutex_init(&d->mutex, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&d->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    int rc = open_directories(d, cfg->dir, err);
    if (rc == 0)
        rc = open_locked(d, cfg->dir, &fresh, err);
    if (rc == 0)
        rc = vivo_store_keeper_start(d, fresh, err);
    if (rc < 0) {
        vivo_store_disk_close(d);
        return rc;
    }
    *out = d;
    return 0;
}

void vivo_store_disk_close(struct vivo_store_disk *d)
{
    if (!d)
        return;
    vivo_store_keeper_stop(d);
    vivo_store_index_close(d->index);
    if (d->tmpfd >= 0) {
        remove_directory(d->dirfd, d->tmp_name);
        close(d->tmpfd);
    }
    if (d->lockfd >= 0)
        close(d->lockfd);
    if (d->dirfd >= 0)
        close(d->dirfd);
    vivo_store_seen_free(&d->seen);
    free(d->notes);
    free(d->unsynced);
    pthread_cond_destroy(&d->wake);
    pthread_mutex_destroy(&d->mutex);
    free(d);
}

/* ---- get ------------------------------------------------------------------------- */

/* Out of the way, kept for a look, counted; the next fetch puts it anew. */
static void quarantine(struct vivo_store_disk *d, const struct vivo_store_key *key,
                       const char *name, const char *why)
{
    char hex[2 * VIVO_DIGEST_LEN + 1], to[STORE_NAME_MAX];

    hex_of(key, hex);
    snprintf(to, sizeof to, "quarantine/%s", hex);
    if (renameat(d->dirfd, name, d->dirfd, to) < 0)
        (void)unlinkat(d->dirfd, name, 0);
    atomic_fetch_add(&d->quarantined, 1);
    vivo_store_keeper_note(d, key, 0, 0, 0);
    vivo_log(VIVO_LOG_WARN, "store", "%s: quarantined", why);
}

/* 0 and the size when the file is what its name says, all blocks once per opening. */
static int check_file(struct vivo_store_disk *d, const struct vivo_store_key *key,
                      int fd, const struct stat *st, uint64_t *size,
                      struct vivo_err *err)
{
    int rc = vivo_store_object_size(fd, key, size, err);

    if (rc < 0)
        return rc;
    uint64_t print = vivo_store_seen_print(key, st);
    pthread_mutex_lock(&d->mutex);
    bool seen = vivo_store_seen_has(&d->seen, print);
    pthread_mutex_unlock(&d->mutex);
    if (seen)
        return 0;
    rc = vivo_store_object_verify(fd, *size, err);
    if (rc < 0)
        return rc;
    pthread_mutex_lock(&d->mutex);
    vivo_store_seen_add(&d->seen, print);
    pthread_mutex_unlock(&d->mutex);
    return 0;
}

/* Takes fd in any case. */
static int view_of(int fd, uint64_t size, struct vivo_view **out, struct vivo_err *err)
{
    struct vivo_view *v = NULL;
    int rc = vivo_view_new(fd, NULL, &v, err);

    if (rc < 0) {
        close(fd);
        return rc;
    }
    if (vivo_view_add_range(v, 0, size) < 0) {
        vivo_view_unref(v);
        return vivo_fail(err, ENOMEM, "store: no memory for a view");
    }
    *out = v;
    return 0;
}

int vivo_store_disk_get(struct vivo_store_disk *d, const struct vivo_store_key *key,
                        struct vivo_view **out, struct vivo_err *err)
{
    char name[STORE_NAME_MAX];
    struct vivo_err why = {0};
    struct stat st;
    uint64_t size;

    vivo_store_disk_name(key, name);
    int fd = openat(d->dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return vivo_fail(err, ENOENT, "store: no such entry");
    if (fd < 0)
        return vivo_fail(err, EIO, "store: opening an entry: %s", strerror(errno));
    int rc = fstat(fd, &st) < 0 ? vivo_fail(&why, EBADMSG, "store: fstat")
                                : check_file(d, key, fd, &st, &size, &why);
    if (rc == 0) {
        vivo_store_keeper_note(d, key, unix_ms(), (uint64_t)st.st_size, 0);
        return view_of(fd, size, out, err);
    }
    close(fd);
    if (rc != -EBADMSG)
        return vivo_fail(err, why.errnum, "%s", why.text);
    quarantine(d, key, name, why.text);
    return vivo_fail(err, ENOENT, "store: the entry was damaged");
}

int vivo_store_disk_check(struct vivo_store_disk *d, const struct vivo_store_key *key,
                          bool blocks, uint64_t *size)
{
    char name[STORE_NAME_MAX];
    struct vivo_err why = {0};

    vivo_store_disk_name(key, name);
    VIVO_AUTO(vivo_close_p)
    int fd = openat(d->dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT ? -ENOENT : -EIO;
    int rc = vivo_store_object_size(fd, key, size, &why);
    if (!rc && blocks)
        rc = vivo_store_object_verify(fd, *size, &why);
    if (rc == -EBADMSG)
        quarantine(d, key, name, why.text);
    return rc;
}

int vivo_store_disk_digest(struct vivo_store_disk *d, const struct vivo_store_key *key,
                           uint8_t out[VIVO_DIGEST_LEN])
{
    char name[STORE_NAME_MAX];

    vivo_store_disk_name(key, name);
    VIVO_AUTO(vivo_close_p)
    int fd = openat(d->dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return fd < 0 || vivo_store_object_digest(fd, key, out) < 0 ? -ENOENT : 0;
}

bool vivo_store_disk_has(struct vivo_store_disk *d, const struct vivo_store_key *key)
{
    char name[STORE_NAME_MAX];
    struct stat st;

    vivo_store_disk_name(key, name);
    return !fstatat(d->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) && S_ISREG(st.st_mode);
}

/* ---- put ------------------------------------------------------------------------- */

static int open_tmp_file(struct vivo_store_disk *d, char name[STORE_NAME_MAX],
                         struct vivo_err *err)
{
    unsigned long long serial = atomic_fetch_add(&d->serial, 1);

    snprintf(name, STORE_NAME_MAX, "%llu", serial);
    int fd = openat(d->tmpfd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
                    0600);
    if (fd >= 0)
        return fd;
    return vivo_fail(err, errno == ENOSPC || errno == EDQUOT ? ENOSPC : EIO,
                     "store: a temporary file: %s", strerror(errno));
}

static int give_name(struct vivo_store_disk *d, const char *tmp,
                     const struct vivo_store_key *key, struct vivo_err *err)
{
    char name[STORE_NAME_MAX];

    vivo_store_disk_name(key, name);
    if (renameat(d->tmpfd, tmp, d->dirfd, name) == 0)
        return 0;
    if (errno == ENOENT) { /* the first object of this directory */
        char dir[STORE_NAME_MAX];
        snprintf(dir, sizeof dir, "%.10s", name);
        int rc = own_directory(d->dirfd, dir, err);
        if (rc < 0)
            return rc;
        if (renameat(d->tmpfd, tmp, d->dirfd, name) == 0)
            return 0;
    }
    return vivo_fail(err, errno == ENOSPC || errno == EDQUOT ? ENOSPC : EIO,
                     "store: naming an entry: %s", strerror(errno));
}

/* The finished file of an object under its name; its descriptor. */
static int write_file(struct vivo_store_disk *d, const struct vivo_store_key *key,
                      const struct vivo_view *view, bool digest, struct vivo_err *err)
{
    char tmp[STORE_NAME_MAX];
    int fd = open_tmp_file(d, tmp, err);

    if (fd < 0)
        return fd;
    int rc = vivo_store_object_write(fd, key, view, digest, err);
    if (rc == 0)
        rc = give_name(d, tmp, key, err);
    if (rc == 0)
        return fd;
    (void)unlinkat(d->tmpfd, tmp, 0);
    close(fd);
    return rc;
}

int vivo_store_disk_put(struct vivo_store_disk *d, const struct vivo_store_key *key,
                        const struct vivo_view *view, bool digest,
                        struct vivo_view **out, struct vivo_err *err)
{
    uint64_t size = vivo_view_size(view);
    uint64_t length = vivo_store_object_length(size, digest);
    struct stat st;
    int rc = vivo_store_room_make(d, length, err);

    if (rc < 0)
        return rc;
    struct vivo_err why = {0};
    int fd = write_file(d, key, view, digest, &why);
    if (fd == -ENOSPC) { /* limits that statvfs does not tell, or a race for the rest */
        vivo_err_clear(&why);
        vivo_store_room_free(d, length);
        fd = write_file(d, key, view, digest, &why);
    }
    if (fd < 0) {
        vivo_store_room_return(d, length);
        return vivo_fail(err, why.errnum, "%s", why.text);
    }
    if (fstat(fd, &st) == 0) {
        pthread_mutex_lock(&d->mutex);
        vivo_store_seen_add(&d->seen, vivo_store_seen_print(key, &st));
        pthread_mutex_unlock(&d->mutex);
    }
    vivo_store_keeper_note(d, key, unix_ms(), length, length);
    return view_of(fd, size, out, err);
}

int vivo_store_disk_forget(struct vivo_store_disk *d, const struct vivo_store_key *key)
{
    char name[STORE_NAME_MAX];

    vivo_store_disk_name(key, name);
    if (unlinkat(d->dirfd, name, 0) < 0)
        return errno == ENOENT ? -ENOENT : -EIO;
    vivo_store_keeper_note(d, key, 0, 0, 0);
    return 0;
}
