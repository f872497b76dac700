/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/zip_bundle.h -- the objects of a series out of one zip, split while it
 * comes and told by the names of its members.
 *
 * The archive has said beforehand which files there are, by what names (add). A name
 * that two of them have tells nothing: these are left to be fetched by themselves, and
 * so is what is not whole, or of another length than was said. */
#ifndef VIVOFS_DRIVERS_ZIP_BUNDLE_H
#define VIVOFS_DRIVERS_ZIP_BUNDLE_H

#include "parcel.h"
#include "zip_stream.h"

#include "vivofs/driver.h"

struct vivo_zip_member;

struct vivo_zip_bundle {
    struct vivo_sink sink; /* first: what net writes to */

    /* Set by the caller; the rest is zeroed. */
    struct vivo_bundle *to;
    /* What add() calls the member of this name, within the name; NULL: it is none. */
    const char *(*path)(void *ctx, const char *name);
    void *ctx;
    uint64_t max_bytes; /* of the zip, inflated */
    bool wary;          /* as in parcel.h */

    size_t named; /* members that were known */

    struct vivo_zip_member *members; /* in order of path, once it has begun */
    size_t n, cap;
    uint64_t bytes, wanted; /* of all; of those that `to` wants */
    size_t objects;         /* that it wants */
    struct vivo_zip_member *current, *waiting;
    uint64_t came; /* of the current one */
    struct vivo_zip_stream *zip;
    struct vivo_parcel parcel;
};

/* A file that the zip will hold. locator: NULL = no object. size: 0 = not told. */
int vivo_zip_bundle_add(struct vivo_zip_bundle *b, const char *path,
                        const char *locator, uint64_t size, struct vivo_err *err);
/* -EIO: it would bring one object, or mostly files that nobody wants now. */
int vivo_zip_bundle_worth(const struct vivo_zip_bundle *b, struct vivo_err *err);
/* Sends the request: the zip from its beginning, also again. rq has the URL and
 * headers; what may come, and how it ends, is set here. */
int vivo_zip_bundle_get(struct vivo_zip_bundle *b, struct vivo_archive *a,
                        const struct vivo_net_request *rq, struct vivo_net_reply *reply,
                        struct vivo_op *op);
/* All requests went well: the last object is whole, too. */
int vivo_zip_bundle_finish(struct vivo_zip_bundle *b, struct vivo_err *err);
void vivo_zip_bundle_free(struct vivo_zip_bundle *b);

#endif
