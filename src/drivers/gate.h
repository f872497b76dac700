/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/gate.h -- is what comes the object that was asked for?
 *
 * Holds the bytes of an object back until its SOP Instance UID has come by and is the
 * right one, then lets everything through, so that a login page, an error in words or
 * another object never passes for it. */
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
};

/* uid: NULL = any object will do, if it is one. uid, to: borrowed. Also begins anew,
 * after a restart. */
int vivo_gate_begin(struct vivo_gate *g, const char *uid, struct vivo_delivery *to,
                    struct vivo_err *err);
/* Bytes of the object, in order. -EIO: another object; -EBADMSG: no DICOM object. */
int vivo_gate_push(struct vivo_gate *g, const void *data, size_t len,
                   struct vivo_err *err);
void vivo_gate_free(struct vivo_gate *g); /* zeroed and freed ones are fine */

#endif
