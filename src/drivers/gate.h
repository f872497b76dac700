/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/gate.h -- is what comes the object that was asked for?
 *
 * Holds the bytes of an object back until its SOP Instance UID has come by and is the
 * right one, then lets everything through, so that a login page, an error in words or
 * another object never passes for it. An extra is let through at
 * once. It can also look at the object to its end, where
 * nobody but the object itself says how long it is. */
#ifndef VIVOFS_DRIVERS_GATE_H
#define VIVOFS_DRIVERS_GATE_H

#include "vivofs/dcm.h"
#include "vivofs/driver.h"

struct vivo_gate {
    struct vivo_delivery *to;
    const char *uid;
    struct vivo_dcm_walk *walk;
    struct vivo_buf held;
    bool right; /* open: the UID was seen and is the one */
    uint64_t bytes;
    char seen[VIVO_UID_MAX + 1]; /* the UID, once open */

    bool to_end; /* set after vivo_gate_begin: look at all of it */
    bool broken; /* to_end: it is not well-formed */
    bool pixels; /* to_end: the whole value of its pixel data has come */
};

/* uid: NULL = any object will do, if it is one. uid, to: borrowed. Also begins anew,
 * after a restart. */
int vivo_gate_begin(struct vivo_gate *g, const char *uid, struct vivo_delivery *to,
                    struct vivo_err *err);
/* Bytes of the object, in order. -EIO: another object; -EBADMSG: no DICOM object. */
int vivo_gate_push(struct vivo_gate *g, const void *data, size_t len,
                   struct vivo_err *err);
/* to_end: those were all bytes. Is it a whole object, by its structure? One without
 * `pixels` may still have lost elements at its end. */
bool vivo_gate_is_whole(struct vivo_gate *g);
/* Is that a page for people (a login, an error), going by its Content-Type, where a
 * file of another kind is wanted? */
bool vivo_gate_is_page(const struct vivo_delivery *to, const char *type);
void vivo_gate_free(struct vivo_gate *g); /* zeroed and freed ones are fine */

#endif
