/* SPDX-License-Identifier: Apache-2.0 */
/* src/store/room.c -- making room: quota in bytes of files, free space as statvfs
 * tells it. What is open is unlinked like the rest; its readers keep it. */
#include "store/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

/* Trimming frees a little more than is asked for, so that a store at its quota does
 * not trim at every put. */
#define SLACK_PART 64
/* What the index may need to write what was removed. */
#define INDEX_ROOM (256u << 10)

static void remove_object(void *ctx, const struct vivo_store_key *key)
{
    struct vivo_store_disk *d = ctx;
    char name[STORE_NAME_MAX];

    vivo_store_disk_name(key, name);
    (void)unlinkat(d->dirfd, name, 0);
}

/* Removes the files of one of the 256 directories until `bytes` are freed. */
static uint64_t empty_directory(struct vivo_store_disk *d, uint8_t prefix,
                                uint64_t bytes)
{
    DIR *dp = vivo_store_disk_opendir(d, prefix);
    uint64_t freed = 0;

    if (!dp)
        return 0;
    for (const struct dirent *e; freed < bytes && (e = readdir(dp)) != NULL;) {
        struct vivo_store_key key;
        struct stat st;
        if (!vivo_store_disk_parse(e->d_name, &key) ||
            fstatat(dirfd(dp), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
            unlinkat(dirfd(dp), e->d_name, 0) < 0)
            continue;
        freed += (uint64_t)st.st_size;
        atomic_fetch_add(&d->evicted, 1);
        vivo_store_keeper_note(d, &key, 0, 0, 0);
    }
    closedir(dp);
    return freed;
}

/* When the index cannot be written, most likely because the disk is full to the last
 * page, something must go without asking it: whatever comes, pinned or not. */
static void evict_blindly(struct vivo_store_disk *d, uint64_t bytes)
{
    uint64_t freed = 0, start = atomic_fetch_add(&d->serial, 1);

    bytes = VIVO_MAX(bytes, (uint64_t)INDEX_ROOM);
    for (unsigned i = 0; i < 256 && freed < bytes; i++)
        freed += empty_directory(d, (uint8_t)(start + i), bytes - freed);
}

static int evict_by_use(struct vivo_store_disk *d, struct vivo_store_eviction *e,
                        struct vivo_store_totals *totals, struct vivo_err *err)
{
    /* Notes first: what was used a moment ago must not look old. */
    int rc = vivo_store_keeper_flush(d, err);

    return rc < 0 ? rc : vivo_store_index_evict(d->index, e, totals, err);
}

/* Leaves at most keep bytes and frees at least `bytes`. */
static int evict(struct vivo_store_disk *d, uint64_t keep, uint64_t bytes,
                 struct vivo_err *err)
{
    struct vivo_store_totals totals;
    struct vivo_store_eviction e = {
        .keep = keep, .bytes = bytes, .remove = remove_object, .ctx = d};
    int rc = evict_by_use(d, &e, &totals, NULL);

    if (rc < 0) {
        evict_blindly(d, bytes);
        rc = evict_by_use(d, &e, &totals, err);
    }
    if (rc < 0)
        return rc;
    atomic_fetch_add(&d->evicted, e.evicted);
    pthread_mutex_lock(&d->mutex);
    d->totals = totals;
    pthread_mutex_unlock(&d->mutex);
    return 0;
}

/* Bytes missing on the file system for `length` more. */
static uint64_t missing_space(const struct vivo_store_disk *d, uint64_t length)
{
    struct statvfs fs;

    if (fstatvfs(d->dirfd, &fs) < 0)
        return 0;
    uint64_t free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    uint64_t wanted = d->min_free + length;
    return wanted > free_bytes ? wanted - free_bytes : 0;
}

/* Reserves within the quota if there is room as things are known. */
static bool reserve(struct vivo_store_disk *d, uint64_t length)
{
    pthread_mutex_lock(&d->mutex);
    uint64_t used = d->totals.bytes + d->reserved;
    bool fits = used <= d->max_bytes && length <= d->max_bytes - used;
    if (fits)
        d->reserved += length;
    pthread_mutex_unlock(&d->mutex);
    return fits;
}

static int reserve_evicting(struct vivo_store_disk *d, uint64_t length,
                            struct vivo_err *err)
{
    if (length > d->max_bytes)
        return vivo_fail(err, ENOSPC, "store: an object is larger than the quota");
    for (int tries = 0; !reserve(d, length); tries++) {
        if (tries == 8)
            return vivo_fail(err, ENOSPC, "store: the quota is full of what must stay");
        pthread_mutex_lock(&d->mutex);
        uint64_t others = d->reserved; /* puts under way; notes are flushed below */
        for (size_t i = 0; i < d->n_notes; i++)
            others -= d->notes[i].reserved;
        pthread_mutex_unlock(&d->mutex);
        uint64_t taken = VIVO_MIN(length + others, d->max_bytes);
        uint64_t slack = tries == 0 ? d->max_bytes / SLACK_PART : 0;
        uint64_t keep = d->max_bytes - taken;
        int rc = evict(d, keep - VIVO_MIN(slack, keep), 0, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Frees what min_free lacks, if all of the store were enough for it. */
static int free_space(struct vivo_store_disk *d, uint64_t length, struct vivo_err *err)
{
    uint64_t missing = missing_space(d, length);

    if (missing == 0)
        return 0;
    vivo_store_quarantine_clean(d, 0);
    /* Again if need be: others write too, and so does the index. */
    for (int tries = 0; tries < 4; tries++) {
        missing = missing_space(d, length);
        pthread_mutex_lock(&d->mutex);
        uint64_t have = d->totals.bytes + d->reserved - length;
        pthread_mutex_unlock(&d->mutex);
        if (missing == 0)
            return 0;
        if (missing > have)
            break;
        int rc = evict(d, UINT64_MAX, missing + have / SLACK_PART, err);
        if (rc < 0)
            return rc;
    }
    return vivo_fail(err, ENOSPC, "store: %llu bytes more must be free on the disk",
                     (unsigned long long)missing);
}

int vivo_store_room_make(struct vivo_store_disk *d, uint64_t length,
                         struct vivo_err *err)
{
    int rc = reserve_evicting(d, length, err);

    if (rc < 0)
        return rc;
    rc = free_space(d, length, err);
    if (rc < 0)
        vivo_store_room_return(d, length);
    return rc;
}

void vivo_store_room_free(struct vivo_store_disk *d, uint64_t bytes)
{
    (void)evict(d, UINT64_MAX, bytes, NULL);
}

void vivo_store_room_return(struct vivo_store_disk *d, uint64_t length)
{
    pthread_mutex_lock(&d->mutex);
    d->reserved -= length;
    pthread_mutex_unlock(&d->mutex);
}

int vivo_store_room_keep(struct vivo_store_disk *d, uint64_t keep, struct vivo_err *err)
{
    return evict(d, keep, 0, err);
}

void vivo_store_room_trim(struct vivo_store_disk *d)
{
    pthread_mutex_lock(&d->mutex);
    bool over = d->totals.bytes > d->max_bytes;
    pthread_mutex_unlock(&d->mutex);
    if (over)
        (void)evict(d, d->max_bytes, 0, NULL);
}
