/* SPDX-License-Identifier: Apache-2.0 */
/* src/store/seen.h -- which files were checked against their sums since opening. */
#ifndef VIVOFS_STORE_SEEN_H
#define VIVOFS_STORE_SEEN_H

#include "vivofs/store.h"

#include <sys/stat.h>

/* Fingerprints of key and file (inode, size, time), so that a file put anew by another
 * process, or written to, is checked again. Forgetting costs one more check; wrongly
 * remembering takes a collision of 64 bits. Not thread-safe. */
struct vivo_store_seen {
    uint64_t *slots; /* 0 = free */
    size_t n, cap;   /* cap: 0 or a power of two */
};

uint64_t vivo_store_seen_print(const struct vivo_store_key *key, const struct stat *st);
bool vivo_store_seen_has(const struct vivo_store_seen *s, uint64_t print);
void vivo_store_seen_add(struct vivo_store_seen *s, uint64_t print);
void vivo_store_seen_free(struct vivo_store_seen *s);

#endif
