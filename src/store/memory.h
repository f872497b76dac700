/* SPDX-License-Identifier: Apache-2.0 */
/* src/store/memory.h -- the store of cache=memory: nothing of it has a name. */
#ifndef VIVOFS_STORE_MEMORY_H
#define VIVOFS_STORE_MEMORY_H

#include "vivofs/store.h"

struct vivo_store_memory; /* thread-safe */

int vivo_store_memory_new(uint64_t max_bytes, struct vivo_store_memory **out,
                          struct vivo_err *err);
void vivo_store_memory_free(struct vivo_store_memory *m);
/* NULL = not there; caller unrefs. */
struct vivo_view *vivo_store_memory_get(struct vivo_store_memory *m,
                                        const struct vivo_store_key *key);
int vivo_store_memory_put(struct vivo_store_memory *m, const struct vivo_store_key *key,
                          const struct vivo_view *view, bool digest,
                          struct vivo_view **out, struct vivo_err *err);
int vivo_store_memory_digest(struct vivo_store_memory *m,
                             const struct vivo_store_key *key,
                             uint8_t out[VIVO_DIGEST_LEN]);
bool vivo_store_memory_forget(struct vivo_store_memory *m,
                              const struct vivo_store_key *key);
bool vivo_store_memory_has(struct vivo_store_memory *m,
                           const struct vivo_store_key *key, bool *pinned);
bool vivo_store_memory_pin(struct vivo_store_memory *m,
                           const struct vivo_store_key *key, bool pinned);
/* Fills bytes, entries and evicted. */
void vivo_store_memory_stats(struct vivo_store_memory *m, struct vivo_store_stats *out);

#endif
