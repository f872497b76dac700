/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/http_object.h -- one DICOM object as the body of an HTTP reply.
 *
 * No byte is passed on before the SOP Instance UID is the one asked for, so that a
 * login page, an error in words or another object never passes for the object. */
#ifndef VIVOFS_DRIVERS_HTTP_OBJECT_H
#define VIVOFS_DRIVERS_HTTP_OBJECT_H

#include "gate.h"

struct vivo_http_object {
    struct vivo_sink sink;       /* for vivo_net_fetch */
    struct vivo_net_reply reply; /* for vivo_net_fetch */
    struct vivo_gate gate;
    bool started;
};

/* uid, to: borrowed until the end. uid: NULL = any DICOM object will do. */
int vivo_http_object_begin(struct vivo_http_object *o, const char *uid,
                           struct vivo_delivery *to, struct vivo_err *err);
/* For vivo_delivery.total: bytes of the body, if the head of the reply says so. */
uint64_t vivo_reply_total(const struct vivo_net_reply *reply);
/* After vivo_net_fetch returned 0: was it a whole object? */
int vivo_http_object_finish(const struct vivo_http_object *o, struct vivo_err *err);
void vivo_http_object_free(struct vivo_http_object *o);

#endif
