/* SPDX-License-Identifier: Apache-2.0 */
/* include/vivofs/store.h -- finished (de-identified) objects on local disk.
 *
 * DESIGN C5. Entry = file below DIR/objects/xx/, found by key; LRU, quota and
 * minimum free space in DIR/index.db (SQLite is the catalog's library; the store
 * keeps its own small index, see src/store/README.md). Two mounts may share DIR. */
#ifndef VIVOFS_STORE_H
#define VIVOFS_STORE_H

#include "vivofs/hash.h"
#include "vivofs/view.h"

#include <stdint.h>

struct vivo_store; /* thread-safe */

/* SHA-256 over source, object, source version, profile digest, key id: a changed
 * profile is another key, so nothing is ever invalidated. */
struct vivo_store_key {
    uint8_t digest[VIVO_DIGEST_LEN];
};

struct vivo_store_config {
    const char *dir;    /* NULL = memory only (memfd), for cache=memory */
    uint64_t max_bytes; /* quota; least recently used go first; 0 = none */
    uint64_t min_free;  /* bytes to leave free on the file system */
};

struct vivo_store_stats {
    uint64_t bytes, entries, hits, misses, evicted, quarantined;
};

int vivo_store_open(const struct vivo_store_config *cfg, struct vivo_store **out,
                    struct vivo_err *err);
void vivo_store_close(struct vivo_store *s); /* NULL is fine */

/* A view of the whole object, or -ENOENT. All blocks are checked against their sums
 * at the first get after opening: a torn file is quarantined and gives -ENOENT, so
 * that it is fetched again. The view stays valid if the entry is evicted. */
int vivo_store_get(struct vivo_store *s, const struct vivo_store_key *key,
                   struct vivo_view **out, struct vivo_err *err);

/* Copies a view in: temporary file, verify length, sums, rename; the fsync is
 * grouped and off this path. On success *out is a view of the stored copy. -ENOSPC
 * when there is no room even after trimming: the caller goes on with its own view.
 * digest: the SHA-256 of all of it is kept as well. */
int vivo_store_put(struct vivo_store *s, const struct vivo_store_key *key,
                   const struct vivo_view *view, bool digest, struct vivo_view **out,
                   struct vivo_err *err);
/* The SHA-256 of the whole object, as it was put; nothing of it is read. -ENOENT: it is
 * not there, or was put without. */
int vivo_store_digest(struct vivo_store *s, const struct vivo_store_key *key,
                      uint8_t out[VIVO_DIGEST_LEN]);

/* Is it there, as far as its name tells? 0 or -ENOENT. */
int vivo_store_has(struct vivo_store *s, const struct vivo_store_key *key,
                   bool *pinned);
/* Another number after each put, removal and pin of this process. */
uint64_t vivo_store_changes(struct vivo_store *s);
/* Forgets one entry. 0 or -ENOENT. */
int vivo_store_forget(struct vivo_store *s, const struct vivo_store_key *key);
/* Keeps an entry from being evicted, or no longer. 0, -ENOENT or -EIO. */
int vivo_store_pin(struct vivo_store *s, const struct vivo_store_key *key, bool pinned);
void vivo_store_stats(struct vivo_store *s, struct vivo_store_stats *out);
/* ---- of a whole store in a directory, for the command line ------------------------
 */

struct vivo_store_verdict {
    uint64_t objects, bytes, damaged, unreadable;
};
/* Counts what is there; with `blocks` it reads everything and compares it with its
 * sums. Damaged entries go into quarantine. */
void vivo_store_check(struct vivo_store *s, bool blocks,
                      struct vivo_store_verdict *out);
/* Least recently used entries go until at most `keep` bytes are left, pinned ones
 * never; or all go, pinned ones too. */
int vivo_store_trim(struct vivo_store *s, uint64_t keep, struct vivo_err *err);
int vivo_store_clear(struct vivo_store *s, struct vivo_err *err);

/* Directory for nameless files beside the store, or NULL (memory). */
const char *vivo_store_dir(const struct vivo_store *s);

#endif
