/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/dimse_object.c -- one object as it comes: a bare data set, in front of
 * which goes a file meta of our own (PS3.10 section 7.1) with the transfer syntax of
 * its presentation context; the rest is as sent. */
#include "dimse.h"

#include "vivofs/dcm.h"

#include <errno.h>
#include <string.h>

#define OBJECT_BYTES (UINT64_C(16) << 30)
#define META_BYTES 4096

static int push_meta(struct dimse_object *o, const char *sop_class, const char *uid,
                     const char *syntax, struct vivo_err *err)
{
    struct vivo_dcm_writer *w = NULL;
    size_t n = 0;
    int rc = vivo_dcm_writer_new(vivo_dcm_syntax("1.2.840.10008.1.2.1", 19), META_BYTES,
                                 &w, err);
    if (rc == 0)
        rc = vivo_dcm_write_meta(w, sop_class, uid, syntax, err);
    const struct vivo_dcm_piece *pieces =
        rc == 0 ? vivo_dcm_writer_pieces(w, &n) : NULL;
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = vivo_gate_push(&o->gate, pieces[i].data, (size_t)pieces[i].len, err);
    vivo_dcm_writer_free(w);
    return rc;
}

int vivo_dimse_object_begin(struct dimse_object *o, const char *uid,
                            struct vivo_delivery *to, const char *sop_class,
                            const char *syntax, struct vivo_err *err)
{
    if (!vivo_dicomweb_uid_ok(sop_class) || !vivo_dicomweb_uid_ok(syntax))
        return vivo_fail(err, EBADMSG, "the server sent an object of no valid class");
    o->bytes = 0;
    int rc = vivo_gate_begin(&o->gate, uid, to, err);
    return rc ? rc : push_meta(o, sop_class, uid, syntax, err);
}

int vivo_dimse_object_bytes(struct dimse_object *o, const void *data, size_t len,
                            struct vivo_err *err)
{
    o->bytes += len;
    if (o->bytes > OBJECT_BYTES)
        return vivo_fail(err, EIO, "an object is longer than 16 GiB");
    o->verdict = vivo_gate_push(&o->gate, data, len, err);
    return o->verdict ? -EINTR : 0;
}

int vivo_dimse_object_end(struct dimse_object *o, struct vivo_err *err)
{
    bool right = o->gate.right;
    vivo_gate_free(&o->gate);
    return right ? 0 : vivo_fail(err, EBADMSG, "an object without content");
}
