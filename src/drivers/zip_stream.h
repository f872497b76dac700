/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/zip_stream.h -- a zip as it arrives, member by member.
 *
 * For replies that are made while they are sent: sizes behind the members, no length,
 * no seeking. (Zips that are files are read by pack_reader.h, by their directory, with
 * libarchive: that one pulls its input, and wants bytes of the next member before it
 * ends one, for which a slow server would make the reader of this one wait.) A member
 * ends when its CRC and sizes are right. APPNOTE.TXT 6.3.10, sections 4.3 and 4.4. */
#ifndef VIVOFS_DRIVERS_ZIP_STREAM_H
#define VIVOFS_DRIVERS_ZIP_STREAM_H

#include "vivofs/base.h"
#include "vivofs/error.h"

/* Gets the members. Non-zero (negative errno, err set) ends the parsing with it. */
struct vivo_zip_to {
    /* name: any bytes but NUL, borrowed. Folders come as members without bytes. */
    int (*begin)(void *ctx, const char *name, struct vivo_err *err);
    int (*data)(void *ctx, const void *data, size_t len, struct vivo_err *err);
    int (*end)(void *ctx, struct vivo_err *err); /* those were its bytes, certainly */
    void *ctx;
};

struct vivo_zip_stream;

/* max_bytes: of all members, inflated. */
int vivo_zip_stream_new(const struct vivo_zip_to *to, uint64_t max_bytes,
                        struct vivo_zip_stream **out, struct vivo_err *err);
/* -EIO: no zip, damaged, encrypted, larger than allowed, or a bomb. */
int vivo_zip_stream_push(struct vivo_zip_stream *z, const void *data, size_t len,
                         struct vivo_err *err);
/* The reply is over. -EIO unless the directory at the end of the zip has come, and has
 * as many members. */
int vivo_zip_stream_finish(const struct vivo_zip_stream *z, struct vivo_err *err);
void vivo_zip_stream_free(struct vivo_zip_stream *z); /* NULL is fine */

#endif
