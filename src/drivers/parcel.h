/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/parcel.h -- objects that come one after the other in one reply: parts of
 * a multipart body, members of a zip.
 *
 * Each is looked into as it comes: which object it is, and whether it is whole. What is
 * none (a licence, a list of checksums) is passed over, and what is not whole is left
 * to who fetches it by itself. */
#ifndef VIVOFS_DRIVERS_PARCEL_H
#define VIVOFS_DRIVERS_PARCEL_H

#include "gate.h"

struct vivo_parcel {
    struct vivo_delivery pass; /* what the gate gives to; first */

    /* Set by the caller. */
    struct vivo_sink *to; /* bytes of the object under way; restart: forget them */
    int (*done)(void *ctx, const char *uid, struct vivo_err *err); /* that is one */
    void *ctx;
    /* The archive may end an object anywhere, as if it were whole (NBIA): one that
     * could have lost elements at its end waits until something follows it, or until
     * the end is known to be that of all. */
    bool wary;

    size_t objects; /* done with */
    uint64_t bytes; /* of these */

    struct vivo_gate gate;
    bool nothing;                   /* what comes is no object */
    char waiting[VIVO_UID_MAX + 1]; /* an object that may not be whole, or "" */
    uint64_t waiting_bytes;
};

int vivo_parcel_begin(struct vivo_parcel *p, struct vivo_err *err);
int vivo_parcel_push(struct vivo_parcel *p, const void *data, size_t len,
                     struct vivo_err *err);
int vivo_parcel_end(struct vivo_parcel *p, struct vivo_err *err);
/* Nothing follows. How many bytes there were with one that waits, and how many objects.
 */
uint64_t vivo_parcel_bytes(const struct vivo_parcel *p);
size_t vivo_parcel_objects(const struct vivo_parcel *p);
/* Everything has come: the last one, too, is whole. */
int vivo_parcel_finish(struct vivo_parcel *p, struct vivo_err *err);
void vivo_parcel_free(struct vivo_parcel *p);

#endif
