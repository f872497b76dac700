/* SPDX-License-Identifier: Apache-2.0 */
/* src/store/store.c -- the face of the store: a directory or memory, and counters. */
#include "vivofs/store.h"
#include "store/disk.h"
#include "store/memory.h"

#include <errno.h>
#include <string.h>

struct vivo_store {
    char *dir;                        /* NULL = memory */
    struct vivo_store_disk *disk;     /* one of the two */
    struct vivo_store_memory *memory; /* … */
    atomic_uint_least64_t hits, misses, changes;
};

int vivo_store_open(const struct vivo_store_config *cfg, struct vivo_store **out,
                    struct vivo_err *err)
{
    struct vivo_store *s = calloc(1, sizeof *s);
    int rc = 0;

    if (!s)
        return vivo_fail(err, ENOMEM, "store: no memory");
    if (!cfg->dir) {
        rc = vivo_store_memory_new(cfg->max_bytes, &s->memory, err);
    } else {
        s->dir = strdup(cfg->dir);
        rc = s->dir ? vivo_store_disk_open(cfg, &s->disk, err)
                    : vivo_fail(err, ENOMEM, "store: no memory");
    }
    if (rc < 0) {
        vivo_store_close(s);
        return rc;
    }
    *out = s;
    return 0;
}

void vivo_store_close(struct vivo_store *s)
{
    if (!s)
        return;
    vivo_store_disk_close(s->disk);
    vivo_store_memory_free(s->memory);
    free(s->dir);
    free(s);
}

int vivo_store_get(struct vivo_store *s, const struct vivo_store_key *key,
                   struct vivo_view **out, struct vivo_err *err)
{
    int rc = 0;

    if (s->disk) {
        rc = vivo_store_disk_get(s->disk, key, out, err);
    } else {
        struct vivo_view *view = vivo_store_memory_get(s->memory, key);
        if (view)
            *out = view;
        else
            rc = vivo_fail(err, ENOENT, "store: no such entry");
    }
    atomic_fetch_add(rc == 0 ? &s->hits : &s->misses, 1);
    return rc;
}

int vivo_store_put(struct vivo_store *s, const struct vivo_store_key *key,
                   const struct vivo_view *view, bool digest, struct vivo_view **out,
                   struct vivo_err *err)
{
    int rc = s->disk ? vivo_store_disk_put(s->disk, key, view, digest, out, err)
                     : vivo_store_memory_put(s->memory, key, view, digest, out, err);

    atomic_fetch_add(&s->changes, 1);
    return rc;
}

int vivo_store_digest(struct vivo_store *s, const struct vivo_store_key *key,
                      uint8_t out[VIVO_DIGEST_LEN])
{
    return s->disk ? vivo_store_disk_digest(s->disk, key, out)
                   : vivo_store_memory_digest(s->memory, key, out);
}

uint64_t vivo_store_changes(struct vivo_store *s)
{
    uint64_t n = atomic_load(&s->changes);

    return s->disk
               ? n + atomic_load(&s->disk->evicted) + atomic_load(&s->disk->quarantined)
               : n;
}

int vivo_store_has(struct vivo_store *s, const struct vivo_store_key *key, bool *pinned)
{
    *pinned = false;
    if (!s->disk)
        return vivo_store_memory_has(s->memory, key, pinned) ? 0 : -ENOENT;
    if (!vivo_store_disk_has(s->disk, key))
        return -ENOENT;
    *pinned = vivo_store_index_pinned(s->disk->index, key);
    return 0;
}

int vivo_store_forget(struct vivo_store *s, const struct vivo_store_key *key)
{
    int rc = s->disk ? vivo_store_disk_forget(s->disk, key)
             : vivo_store_memory_forget(s->memory, key) ? 0
                                                        : -ENOENT;

    atomic_fetch_add(&s->changes, 1);
    return rc;
}

int vivo_store_pin(struct vivo_store *s, const struct vivo_store_key *key, bool pinned)
{
    int rc;

    if (!s->disk) {
        rc = vivo_store_memory_pin(s->memory, key, pinned) ? 0 : -ENOENT;
    } else {
        rc = vivo_store_keeper_flush(s->disk, NULL);
        if (rc == 0)
            rc = vivo_store_index_pin(s->disk->index, key, pinned, NULL);
    }
    atomic_fetch_add(&s->changes, 1);
    return rc;
}

struct vivo_store_disk *vivo_store_disk_of(struct vivo_store *s)
{
    return s->disk;
}

void vivo_store_stats(struct vivo_store *s, struct vivo_store_stats *out)
{
    *out = (struct vivo_store_stats){
        .hits = atomic_load(&s->hits),
        .misses = atomic_load(&s->misses),
    };
    if (!s->disk) {
        vivo_store_memory_stats(s->memory, out);
        return;
    }
    out->evicted = atomic_load(&s->disk->evicted);
    out->quarantined = atomic_load(&s->disk->quarantined);
    pthread_mutex_lock(&s->disk->mutex);
    out->bytes = s->disk->totals.bytes + s->disk->reserved;
    out->entries = s->disk->totals.entries;
    for (size_t i = 0; i < s->disk->n_notes; i++)
        out->entries += s->disk->notes[i].reserved > 0;
    pthread_mutex_unlock(&s->disk->mutex);
}

const char *vivo_store_dir(const struct vivo_store *s)
{
    return s->dir;
}
