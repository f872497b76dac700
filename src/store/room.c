/* SPDX-License-Identifier: Apache-2.0 */
/* src/store/room.c -- making room: quota in bytes of files, free space as statvfs
 * tells it. What is open is unlinked like the rest; its readers keep it. */
#include "store/disk.h"

#include <errno.h>
#include <sys/statvfs.h>

/* Trimming frees a little more than is asked for, so that a store at its quota does
 * not trim at every put. */
#define SLACK_PART 64

static void remove_object(void *ctx, const struct vivo_store_key *key)
{
    struct vivo_store_disk *d = ctx;
    char name[STORE_NAME_MAX];

    vivo_store_disk_name(key, name);
    (void)unlinkat(d->dirfd, name, 0);
}

/* Leaves at most keep bytes and frees at least `bytes`. */
static int evict(struct vivo_store_disk *d, uint64_t keep, uint64_t bytes,
                 struct vivo_err *err)
{
    struct vivo_store_totals totals;
    struct vivo_store_eviction e = {
        .keep = keep, .bytes = bytes, .remove = remove_object, .ctx = d};
    /* Notes first: what was used a moment ago must not look old. */
    int rc = vivo_store_keeper_flush(d, err);

    if (rc == 0)
        rc = vivo_store_index_evict(d->index, &e, &totals, err);
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
    missing = missing_space(d, length);
    pthread_mutex_lock(&d->mutex);
    uint64_t have = d->totals.bytes + d->reserved - length;
    pthread_mutex_unlock(&d->mutex);
    if (missing > 0 && missing <= have) {
        int rc = evict(d, UINT64_MAX, missing, err);
        if (rc < 0)
            return rc;
        missing = missing_space(d, length);
    }
    if (missing > 0)
        return vivo_fail(err, ENOSPC, "store: %llu bytes more must be free on the disk",
                         (unsigned long long)missing);
    return 0;
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

void vivo_store_room_trim(struct vivo_store_disk *d)
{
    pthread_mutex_lock(&d->mutex);
    bool over = d->totals.bytes > d->max_bytes;
    pthread_mutex_unlock(&d->mutex);
    if (over)
        (void)evict(d, d->max_bytes, 0, NULL);
}
