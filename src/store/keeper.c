/* SPDX-License-Identifier: Apache-2.0 */
/* src/store/keeper.c -- one thread per open store, off every reply's path: writes notes
 * to the index at most once a second, syncs what was put, looks for strays (objects
 * without a row, rows without an object: what a crash or a lost index leaves) in one
 * of the 256 directories at a time. */
#include "store/disk.h"
#include "vivofs/log.h"
#include "vivofs/op.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#define FLUSH_MS 1000
#define IDLE_MS 60000
#define NOTES_URGENT 32768u
#define NOTES_MAX (1u << 20)
#define UNSYNCED_MAX 4096u
#define QUARANTINE_AGE_S (7 * 24 * 3600)

/* ---- notes ----------------------------------------------------------------------- */

static void remember_unsynced_locked(struct vivo_store_disk *d,
                                     const struct vivo_store_key *key)
{
    struct vivo_store_key *p = vivo_array_grow(
        d->unsynced, d->n_unsynced, &d->cap_unsynced, sizeof *p, UNSYNCED_MAX);

    if (!p) {
        d->sync_all = true;
        return;
    }
    d->unsynced = p;
    d->unsynced[d->n_unsynced++] = *key;
}

void vivo_store_keeper_note(struct vivo_store_disk *d, const struct vivo_store_key *key,
                            int64_t used_ms, uint64_t length, uint64_t reserved)
{
    pthread_mutex_lock(&d->mutex);
    /* A note that finds no room is lost: the entry then looks unused, or is a stray
     * that will be found. */
    struct vivo_store_note *p = vivo_array_grow(d->notes, d->n_notes, &d->cap_notes,
                                                sizeof *d->notes, NOTES_MAX);
    if (p) {
        d->notes = p;
        d->notes[d->n_notes++] =
            (struct vivo_store_note){*key, used_ms, length, reserved};
    } else {
        d->reserved -= reserved;
    }
    if (reserved > 0)
        remember_unsynced_locked(d, key);
    if (d->n_notes == 1 || d->n_notes == NOTES_URGENT)
        pthread_cond_signal(&d->wake);
    pthread_mutex_unlock(&d->mutex);
}

/* Notes that could not be written wait in front of those that came since; takes them.
 */
static void put_back_locked(struct vivo_store_disk *d, struct vivo_store_note *notes,
                            size_t n)
{
    size_t all = n + d->n_notes;
    struct vivo_store_note *p = all > NOTES_MAX ? NULL : malloc(all * sizeof *p);

    if (p) {
        memcpy(p, notes, n * sizeof *p);
        if (d->n_notes > 0)
            memcpy(p + n, d->notes, d->n_notes * sizeof *p);
        free(d->notes);
        d->notes = p;
        d->n_notes = d->cap_notes = all;
    } else {
        for (size_t i = 0; i < n; i++)
            d->reserved -= notes[i].reserved;
    }
    free(notes);
}

int vivo_store_keeper_flush(struct vivo_store_disk *d, struct vivo_err *err)
{
    struct vivo_store_totals totals;

    pthread_mutex_lock(&d->mutex);
    struct vivo_store_note *notes = d->notes;
    size_t n = d->n_notes;
    d->notes = NULL;
    d->n_notes = d->cap_notes = 0;
    pthread_mutex_unlock(&d->mutex);

    int rc = vivo_store_index_apply(d->index, notes, n, &totals, err);
    pthread_mutex_lock(&d->mutex);
    if (rc == 0) {
        for (size_t i = 0; i < n; i++)
            d->reserved -= notes[i].reserved;
        d->totals = totals;
        free(notes);
    } else if (n > 0) {
        put_back_locked(d, notes, n);
    }
    pthread_mutex_unlock(&d->mutex);
    return rc;
}

/* ---- syncing --------------------------------------------------------------------- */

static void sync_objects(struct vivo_store_disk *d)
{
    pthread_mutex_lock(&d->mutex);
    struct vivo_store_key *keys = d->unsynced;
    size_t n = d->n_unsynced;
    bool all = d->sync_all;
    d->unsynced = NULL;
    d->n_unsynced = d->cap_unsynced = 0;
    d->sync_all = false;
    pthread_mutex_unlock(&d->mutex);

    if (all)
        (void)syncfs(d->dirfd);
    for (size_t i = 0; !all && i < n; i++) {
        char name[STORE_NAME_MAX];
        vivo_store_disk_name(&keys[i], name);
        int fd = openat(d->dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
            continue; /* evicted since */
        (void)fdatasync(fd);
        close(fd);
    }
    free(keys);
}

/* ---- strays ---------------------------------------------------------------------- */

static int compare_keys(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct vivo_store_key));
}

/* Files that no row knows are taken in, as old as they are. */
static void adopt_files(struct vivo_store_disk *d, DIR *dp,
                        const struct vivo_store_key *rows, size_t n)
{
    for (const struct dirent *e; (e = readdir(dp)) != NULL;) {
        struct vivo_store_key key;
        struct stat st;
        if (!vivo_store_disk_parse(e->d_name, &key) ||
            (n > 0 && bsearch(&key, rows, n, sizeof key, compare_keys)))
            continue;
        if (fstatat(dirfd(dp), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
            vivo_store_keeper_note(d, &key, (int64_t)st.st_mtim.tv_sec * 1000 + 1,
                                   (uint64_t)st.st_size, 0);
    }
}

static void drop_rows(struct vivo_store_disk *d, const struct vivo_store_key *rows,
                      size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char name[STORE_NAME_MAX];
        vivo_store_disk_name(&rows[i], name);
        if (faccessat(d->dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
            vivo_store_keeper_note(d, &rows[i], 0, 0, 0);
    }
}

static void find_strays(struct vivo_store_disk *d, uint8_t prefix)
{
    struct vivo_store_key *rows = NULL;
    size_t n = 0;

    /* One process looks; the others need not. */
    if (flock(d->lockfd, LOCK_EX | LOCK_NB) < 0)
        return;
    if (vivo_store_index_keys(d->index, prefix, &rows, &n, NULL) == 0) {
        DIR *dp = vivo_store_disk_opendir(d, prefix);
        if (dp) {
            adopt_files(d, dp, rows, n);
            closedir(dp);
        }
        drop_rows(d, rows, n);
    }
    free(rows);
    flock(d->lockfd, LOCK_UN);
}

void vivo_store_quarantine_clean(struct vivo_store_disk *d, int64_t max_age_s)
{
    int fd = openat(d->dirfd, "quarantine", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dp = fd < 0 ? NULL : fdopendir(fd);
    int64_t now = (int64_t)time(NULL);

    if (!dp) {
        if (fd >= 0)
            close(fd);
        return;
    }
    for (const struct dirent *e; (e = readdir(dp)) != NULL;) {
        struct stat st;
        if (e->d_name[0] == '.' ||
            fstatat(dirfd(dp), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        if (now - (int64_t)st.st_ctim.tv_sec >= max_age_s)
            (void)unlinkat(dirfd(dp), e->d_name, 0);
    }
    closedir(dp);
}

/* ---- the thread ------------------------------------------------------------------ */

static struct timespec after_ms(int64_t ms)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    ts.tv_sec += ms / 1000;
    ts.tv_nsec += ms % 1000 * 1000000;
    if (ts.tv_nsec >= 1000000000) {
        ts.tv_sec++;
        ts.tv_nsec -= 1000000000;
    }
    return ts;
}

/* Sleeps until there is something to write and a second has passed since, or nothing
 * came for idle_ms. False: stop. */
static bool wait_for_work(struct vivo_store_disk *d, int64_t idle_ms)
{
    struct timespec idle = after_ms(idle_ms);
    bool work = true;

    pthread_mutex_lock(&d->mutex);
    while (!d->stop && work && d->n_notes == 0 && d->n_unsynced == 0)
        work = pthread_cond_timedwait(&d->wake, &d->mutex, &idle) == 0;
    struct timespec flush = after_ms(FLUSH_MS);
    while (!d->stop && work && d->n_notes < NOTES_URGENT)
        work = pthread_cond_timedwait(&d->wake, &d->mutex, &flush) == 0;
    bool go_on = !d->stop;
    pthread_mutex_unlock(&d->mutex);
    return go_on;
}

static void write_notes(struct vivo_store_disk *d, bool *failing)
{
    struct vivo_err err = {0};
    bool failed = vivo_store_keeper_flush(d, &err) < 0;

    if (failed && !*failing)
        vivo_log(VIVO_LOG_WARN, "store", "%s", err.text);
    *failing = failed;
}

struct keeper {
    struct vivo_store_disk *disk;
    unsigned to_sweep; /* directories to look through without pause */
    unsigned next;
    int64_t last_ms;
};

/* After the index was lost one directory a second, else one a minute. */
static void sweep(struct keeper *k)
{
    int64_t now = vivo_now_ms();

    if (k->to_sweep == 0 && now - k->last_ms < IDLE_MS)
        return;
    k->last_ms = now;
    if (k->to_sweep > 0)
        k->to_sweep--;
    find_strays(k->disk, (uint8_t)k->next++);
    if (k->next % 256 == 0)
        vivo_store_quarantine_clean(k->disk, QUARANTINE_AGE_S);
}

static void *keep(void *ctx)
{
    struct keeper k = *(struct keeper *)ctx;
    bool failing = false;

    free(ctx);
    while (wait_for_work(k.disk, k.to_sweep > 0 ? FLUSH_MS : IDLE_MS)) {
        write_notes(k.disk, &failing);
        sync_objects(k.disk);
        sweep(&k);
        vivo_store_room_trim(k.disk);
    }
    write_notes(k.disk, &failing);
    sync_objects(k.disk);
    return NULL;
}

int vivo_store_keeper_start(struct vivo_store_disk *d, bool fresh_index,
                            struct vivo_err *err)
{
    struct keeper *k = malloc(sizeof *k);

    if (!k)
        return vivo_fail(err, ENOMEM, "store: no memory for a thread");
    *k = (struct keeper){
        .disk = d, .to_sweep = fresh_index ? 256 : 0, .last_ms = vivo_now_ms()};
    /* Signals are for the threads that expect them. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&d->keeper, NULL, keep, k);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed) {
        free(k);
        return vivo_fail(err, EIO, "store: cannot start a thread");
    }
    d->keeper_runs = true;
    return 0;
}

void vivo_store_keeper_stop(struct vivo_store_disk *d)
{
    if (!d->keeper_runs)
        return;
    pthread_mutex_lock(&d->mutex);
    d->stop = true;
    pthread_cond_signal(&d->wake);
    pthread_mutex_unlock(&d->mutex);
    pthread_join(d->keeper, NULL);
    d->keeper_runs = false;
}
