/* SPDX-License-Identifier: Apache-2.0 */
/* src/store/index.h -- what is in the store and when it was used, in DIR/index.db.
 *
 * The index serves quota and eviction only: objects are found by their names and
 * trusted by their sums, so an index that is lost or late loses nothing. */
#ifndef VIVOFS_STORE_INDEX_H
#define VIVOFS_STORE_INDEX_H

#include "vivofs/store.h"

struct vivo_store_index; /* thread-safe; shared by processes through SQLite */

struct vivo_store_totals {
    uint64_t bytes, entries;
};

struct vivo_store_note {
    struct vivo_store_key key;
    int64_t used_ms;   /* Unix; 0 = the entry is gone */
    uint64_t length;   /* of the file */
    uint64_t reserved; /* bytes counted as stored until this note is written; the
                          index does not look at it */
};

/* A damaged or unknown database is removed and begun anew. *fresh: it is new, so
 * objects may be there that it does not know. */
int vivo_store_index_open(const char *path, bool *fresh, struct vivo_store_index **out,
                          struct vivo_err *err);
void vivo_store_index_close(struct vivo_store_index *x);

/* Writes notes in one transaction and tells the totals. 0 or -EIO. */
int vivo_store_index_apply(struct vivo_store_index *x,
                           const struct vivo_store_note *notes, size_t n,
                           struct vivo_store_totals *out, struct vivo_err *err);

/* Takes least recently used entries, calling remove for each, until at most `keep`
 * bytes are left and at least `bytes` were freed, or none is left that is not pinned;
 * adds to *evicted. What is too much is decided inside the transaction, so two
 * processes do not both free it. 0 or -EIO. */
struct vivo_store_eviction {
    uint64_t keep, bytes;
    void (*remove)(void *ctx, const struct vivo_store_key *key);
    void *ctx;
    uint64_t evicted;
};
int vivo_store_index_evict(struct vivo_store_index *x, struct vivo_store_eviction *e,
                           struct vivo_store_totals *out, struct vivo_err *err);

/* The keys that begin with this byte, ascending; malloc'd. */
int vivo_store_index_keys(struct vivo_store_index *x, uint8_t prefix,
                          struct vivo_store_key **out, size_t *n, struct vivo_err *err);

/* 0, -ENOENT, -EIO. */
int vivo_store_index_pin(struct vivo_store_index *x, const struct vivo_store_key *key,
                         bool pinned, struct vivo_err *err);
bool vivo_store_index_pinned(struct vivo_store_index *x,
                             const struct vivo_store_key *key);

#endif
