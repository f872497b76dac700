/* SPDX-License-Identifier: Apache-2.0 */
/* src/store/memory.c -- one memfd per entry, a hash table and a list by use. A memfd
 * needs a descriptor, so the limit of open files bounds the entries too. */
#include "store/memory.h"
#include "vivofs/file.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>

#define BUCKETS 4096u
#define BLOCK (1u << 20)

struct entry {
    struct vivo_store_key key;
    struct vivo_view *view;
    uint8_t digest[VIVO_DIGEST_LEN];
    bool digested, pinned;
    struct entry *next_in_bucket;
    struct entry *older, *newer;
};

struct vivo_store_memory {
    uint64_t max_bytes;
    uint64_t max_entries;
    pthread_mutex_t mutex;
    struct entry *buckets[BUCKETS]; /* guarded by mutex, and all below */
    struct entry *oldest, *newest;
    uint64_t bytes, entries, evicted;
    struct entry *dead; /* taken out, freed by leave() without the lock */
};

int vivo_store_memory_new(uint64_t max_bytes, struct vivo_store_memory **out,
                          struct vivo_err *err)
{
    struct vivo_store_memory *m = calloc(1, sizeof *m);
    struct rlimit files;

    if (!m)
        return vivo_fail(err, ENOMEM, "store: no memory");
    m->max_bytes = max_bytes ? max_bytes : UINT64_MAX;
    m->max_entries = 512;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0)
        m->max_entries = VIVO_MAX((uint64_t)files.rlim_cur / 2, (uint64_t)16);
    pthread_mutex_init(&m->mutex, NULL);
    *out = m;
    return 0;
}

static struct entry **place_of(struct vivo_store_memory *m,
                               const struct vivo_store_key *key)
{
    struct entry **p = &m->buckets[vivo_le16(key->digest) % BUCKETS];

    while (*p && memcmp((*p)->key.digest, key->digest, sizeof key->digest) != 0)
        p = &(*p)->next_in_bucket;
    return p;
}

static void unlink_locked(struct vivo_store_memory *m, struct entry *e)
{
    *(e->older ? &e->older->newer : &m->oldest) = e->newer;
    *(e->newer ? &e->newer->older : &m->newest) = e->older;
    e->older = e->newer = NULL;
}

static void link_newest_locked(struct vivo_store_memory *m, struct entry *e)
{
    e->older = m->newest;
    *(m->newest ? &m->newest->newer : &m->oldest) = e;
    m->newest = e;
}

static void remove_locked(struct vivo_store_memory *m, struct entry **place)
{
    struct entry *e = *place;

    *place = e->next_in_bucket;
    unlink_locked(m, e);
    m->bytes -= vivo_view_size(e->view);
    m->entries--;
    e->next_in_bucket = m->dead;
    m->dead = e;
}

static void enter(struct vivo_store_memory *m)
{
    pthread_mutex_lock(&m->mutex);
}

/* Readers that hold the view of a dead entry keep its bytes. */
static void leave(struct vivo_store_memory *m)
{
    struct entry *e = m->dead;

    m->dead = NULL;
    pthread_mutex_unlock(&m->mutex);
    while (e) {
        struct entry *next = e->next_in_bucket;
        vivo_view_unref(e->view);
        free(e);
        e = next;
    }
}

void vivo_store_memory_free(struct vivo_store_memory *m)
{
    if (!m)
        return;
    enter(m);
    while (m->oldest)
        remove_locked(m, place_of(m, &m->oldest->key));
    leave(m);
    pthread_mutex_destroy(&m->mutex);
    free(m);
}

struct vivo_view *vivo_store_memory_get(struct vivo_store_memory *m,
                                        const struct vivo_store_key *key)
{
    struct vivo_view *view = NULL;

    enter(m);
    struct entry *e = *place_of(m, key);
    if (e) {
        unlink_locked(m, e);
        link_newest_locked(m, e);
        view = vivo_view_ref(e->view);
    }
    leave(m);
    return view;
}

static bool fits_locked(const struct vivo_store_memory *m, uint64_t size)
{
    return m->entries < m->max_entries && size <= m->max_bytes &&
           m->bytes <= m->max_bytes - size;
}

static bool make_room_locked(struct vivo_store_memory *m, uint64_t size)
{
    for (struct entry *e = m->oldest; e && !fits_locked(m, size);) {
        struct entry *newer = e->newer;
        if (!e->pinned) {
            remove_locked(m, place_of(m, &e->key));
            m->evicted++;
        }
        e = newer;
    }
    return fits_locked(m, size);
}

/* sha: NULL, or what it all goes through. */
static int copy_view(const struct vivo_view *view, int fd, struct vivo_sha256 *sha,
                     struct vivo_err *err)
{
    uint64_t size = vivo_view_size(view);
    VIVO_AUTO(vivo_free_p)
    uint8_t *block = malloc((size_t)VIVO_MIN(size, (uint64_t)BLOCK) + 1);

    if (!block)
        return vivo_fail(err, ENOMEM, "store: no memory to copy an object");
    for (uint64_t off = 0; off < size; off += BLOCK) {
        size_t n = (size_t)VIVO_MIN(size - off, (uint64_t)BLOCK);
        ssize_t got = vivo_view_pread(view, block, n, off, err);
        if (got < 0)
            return (int)got;
        if ((size_t)got != n)
            return vivo_fail(err, EIO, "store: an object ended before its size");
        int rc = vivo_pwrite_full(fd, block, n, off, err);
        if (rc < 0)
            return rc;
        if (sha)
            vivo_sha256_add(sha, block, n);
    }
    return 0;
}

/* A view of a nameless copy. */
static int copy_to_memory(const struct vivo_view *view, struct vivo_sha256 *sha,
                          struct vivo_view **out, struct vivo_err *err)
{
    int fd = vivo_file_nameless(NULL, err);

    if (fd < 0)
        return fd;
    int rc = copy_view(view, fd, sha, err);
    struct vivo_view *copy = NULL;
    if (rc == 0)
        rc = vivo_view_new(fd, NULL, &copy, err);
    if (rc < 0) {
        close(fd);
        return rc;
    }
    if (vivo_view_add_range(copy, 0, vivo_view_size(view)) < 0) {
        vivo_view_unref(copy);
        return vivo_fail(err, ENOMEM, "store: no memory for a view");
    }
    *out = copy;
    return 0;
}

static int new_entry(const struct vivo_store_key *key, const struct vivo_view *view,
                     bool digest, struct entry **out, struct vivo_err *err)
{
    struct entry *e = calloc(1, sizeof *e);
    struct vivo_sha256 *sha = digest ? vivo_sha256_begin() : NULL;
    int rc = e && (sha || !digest)
                 ? copy_to_memory(view, sha, &e->view, err)
                 : vivo_fail(err, ENOMEM, "store: no memory for an entry");

    if (sha)
        vivo_sha256_end(sha, rc == 0 ? e->digest : NULL);
    if (rc < 0) {
        free(e);
        return rc;
    }
    e->key = *key;
    e->digested = digest;
    *out = e;
    return 0;
}

static bool insert_locked(struct vivo_store_memory *m, struct entry *e)
{
    struct entry **place = place_of(m, &e->key);

    if (*place) {
        e->pinned = (*place)->pinned;
        remove_locked(m, place);
    }
    if (!make_room_locked(m, vivo_view_size(e->view)))
        return false;
    place = place_of(m, &e->key);
    *place = e;
    link_newest_locked(m, e);
    m->bytes += vivo_view_size(e->view);
    m->entries++;
    return true;
}

int vivo_store_memory_put(struct vivo_store_memory *m, const struct vivo_store_key *key,
                          const struct vivo_view *view, bool digest,
                          struct vivo_view **out, struct vivo_err *err)
{
    if (vivo_view_size(view) > m->max_bytes)
        return vivo_fail(err, ENOSPC, "store: an object is larger than the store");
    /* Room before the copy too, so that the two together stay near the quota. */
    enter(m);
    bool room = make_room_locked(m, vivo_view_size(view));
    leave(m);
    if (!room)
        return vivo_fail(err, ENOSPC, "store: all of it is pinned");
    struct entry *e;
    int rc = new_entry(key, view, digest, &e, err);
    if (rc < 0)
        return rc;
    struct vivo_view *copy = vivo_view_ref(e->view);
    enter(m);
    bool inserted = insert_locked(m, e);
    leave(m);
    if (!inserted) {
        vivo_view_unref(e->view);
        free(e);
        vivo_view_unref(copy);
        return vivo_fail(err, ENOSPC, "store: all of it is pinned");
    }
    *out = copy;
    return 0;
}

int vivo_store_memory_digest(struct vivo_store_memory *m,
                             const struct vivo_store_key *key,
                             uint8_t out[VIVO_DIGEST_LEN])
{
    enter(m);
    const struct entry *e = *place_of(m, key);
    bool known = e && e->digested;
    if (known)
        memcpy(out, e->digest, VIVO_DIGEST_LEN);
    leave(m);
    return known ? 0 : -ENOENT;
}

bool vivo_store_memory_forget(struct vivo_store_memory *m,
                              const struct vivo_store_key *key)
{
    enter(m);
    struct entry **place = place_of(m, key);
    bool found = *place != NULL;
    if (found)
        remove_locked(m, place);
    leave(m);
    return found;
}

bool vivo_store_memory_has(struct vivo_store_memory *m,
                           const struct vivo_store_key *key, bool *pinned)
{
    enter(m);
    const struct entry *e = *place_of(m, key);
    *pinned = e && e->pinned;
    leave(m);
    return e != NULL;
}

bool vivo_store_memory_pin(struct vivo_store_memory *m,
                           const struct vivo_store_key *key, bool pinned)
{
    enter(m);
    struct entry *e = *place_of(m, key);
    if (e)
        e->pinned = pinned;
    leave(m);
    return e != NULL;
}

void vivo_store_memory_stats(struct vivo_store_memory *m, struct vivo_store_stats *out)
{
    enter(m);
    out->bytes = m->bytes;
    out->entries = m->entries;
    out->evicted = m->evicted;
    leave(m);
}
