/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/parcel.c -- see parcel.h. */
#include "parcel.h"

#include <errno.h>
#include <stdio.h>

static int hand_on(struct vivo_parcel *p, const char *uid, uint64_t bytes,
                   struct vivo_err *err)
{
    int rc = p->done(p->ctx, uid, err);
    p->objects += rc == 0;
    p->bytes += rc ? 0 : bytes;
    return rc;
}

static int hand_on_waiting(struct vivo_parcel *p, struct vivo_err *err)
{
    int rc = p->waiting[0] ? hand_on(p, p->waiting, p->waiting_bytes, err) : 0;
    p->waiting[0] = '\0';
    return rc;
}

/* From the gate: this is an object, so the one before it was not the last. */
static int pass_on(struct vivo_sink *self, const void *data, size_t len,
                   struct vivo_err *err)
{
    struct vivo_parcel *p = (struct vivo_parcel *)self; /* first of its first member */
    int rc = hand_on_waiting(p, err);
    return rc ? rc : p->to->write(p->to, data, len, err);
}

int vivo_parcel_begin(struct vivo_parcel *p, struct vivo_err *err)
{
    p->pass.sink.write = pass_on;
    p->nothing = false;
    int rc = vivo_gate_begin(&p->gate, NULL, &p->pass, err);
    p->gate.to_end = true;
    return rc;
}

int vivo_parcel_push(struct vivo_parcel *p, const void *data, size_t len,
                     struct vivo_err *err)
{
    if (p->nothing)
        return 0;
    int rc = vivo_gate_push(&p->gate, data, len, err);
    if (rc && !p->gate.right) {
        p->nothing = true;
        vivo_err_clear(err);
        return 0;
    }
    return rc;
}

int vivo_parcel_end(struct vivo_parcel *p, struct vivo_err *err)
{
    struct vivo_gate *g = &p->gate;
    if (p->nothing || !g->right)
        return 0;
    if (!vivo_gate_is_whole(g))
        return p->to->restart(p->to, err);
    if (!p->wary || g->pixels)
        return hand_on(p, g->seen, g->bytes, err);
    snprintf(p->waiting, sizeof p->waiting, "%s", g->seen);
    p->waiting_bytes = g->bytes;
    return 0;
}

uint64_t vivo_parcel_bytes(const struct vivo_parcel *p)
{
    return p->bytes + (p->waiting[0] ? p->waiting_bytes : 0);
}

size_t vivo_parcel_objects(const struct vivo_parcel *p)
{
    return p->objects + (p->waiting[0] ? 1 : 0);
}

int vivo_parcel_finish(struct vivo_parcel *p, struct vivo_err *err)
{
    return hand_on_waiting(p, err);
}

void vivo_parcel_free(struct vivo_parcel *p)
{
    vivo_gate_free(&p->gate);
}
