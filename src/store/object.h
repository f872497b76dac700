/* SPDX-License-Identifier: Apache-2.0 */
/* src/store/object.h -- the form of one stored object, and nothing about where it is.
 *
 *     bytes of the object | 16 bytes of SHA-256 per 1 MiB block | footer, 88 bytes
 *
 * or, with the digest of the whole (32 bytes) before the footer, of another magic.
 * The object begins at 0, so a view of it is one plain range; all that is needed to
 * trust the file, or to adopt it without an index, is in the file itself. */
#ifndef VIVOFS_STORE_OBJECT_H
#define VIVOFS_STORE_OBJECT_H

#include "vivofs/store.h"

/* Length of the file that holds an object of this size, and its digest. */
uint64_t vivo_store_object_length(uint64_t size, bool digest);

/* Writes the view and its sums to an empty file. -ENOSPC (quota and file size limits
 * included); -EIO, or what reading the view gave. */
int vivo_store_object_write(int fd, const struct vivo_store_key *key,
                            const struct vivo_view *view, bool digest,
                            struct vivo_err *err);

/* Is the file's form that of the object `key`? Its size, or -EBADMSG. Reads the footer
 * and the sums only. */
int vivo_store_object_size(int fd, const struct vivo_store_key *key, uint64_t *size,
                           struct vivo_err *err);

/* The digest of the whole, from the footer. -ENOENT: it was written without. */
int vivo_store_object_digest(int fd, const struct vivo_store_key *key,
                             uint8_t out[VIVO_DIGEST_LEN]);

/* Reads every block and compares its sum. 0 or -EBADMSG. */
int vivo_store_object_verify(int fd, uint64_t size, struct vivo_err *err);

#endif
