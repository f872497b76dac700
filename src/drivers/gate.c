/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/gate.c -- see gate.h. */
#include "gate.h"

#include <errno.h>
#include <string.h>

/* Bytes before the SOP Instance UID; file meta is small. */
#define HELD_MAX (4u << 20)

static int on_element(void *ctx, enum vivo_dcm_event event,
                      const struct vivo_dcm_elem *e, struct vivo_err *err)
{
    struct vivo_gate *g = ctx;
    if (e->depth > 0 || event == VIVO_DCM_META || event == VIVO_DCM_DATASET)
        return 0;
    if (event == VIVO_DCM_SEQUENCE)
        return VIVO_DCM_SKIP;
    if (e->tag < VIVO_TAG_SOPInstanceUID && event != VIVO_DCM_END)
        return 0;
    if (e->tag != VIVO_TAG_SOPInstanceUID || event != VIVO_DCM_ELEMENT)
        return vivo_fail(err, EBADMSG, "the object has no SOP Instance UID");
    uint64_t len = e->length;
    while (len > 0 && (e->value[len - 1] == '\0' || e->value[len - 1] == ' '))
        len--;
    if (g->uid ? len != strlen(g->uid) || memcmp(e->value, g->uid, (size_t)len) != 0
               : len == 0)
        return vivo_fail(err, EIO, "the server sent another object than asked for");
    g->right = true;
    return VIVO_DCM_STOP;
}

int vivo_gate_begin(struct vivo_gate *g, const char *uid, struct vivo_delivery *to,
                    struct vivo_err *err)
{
    vivo_gate_free(g);
    *g = (struct vivo_gate){.to = to, .uid = uid};
    vivo_buf_init(&g->held, HELD_MAX);
    return vivo_dcm_walk_new(NULL, 0, 0, -1, on_element, g, &g->walk, err);
}

static int give(struct vivo_gate *g, const void *data, size_t len, struct vivo_err *err)
{
    return len ? g->to->sink.write(&g->to->sink, data, len, err) : 0;
}

int vivo_gate_push(struct vivo_gate *g, const void *data, size_t len,
                   struct vivo_err *err)
{
    uint64_t offset = g->bytes;
    g->bytes += len;
    if (g->right)
        return give(g, data, len, err);
    if (vivo_buf_add(&g->held, data, len))
        return vivo_fail(err, EBADMSG, "no SOP Instance UID in the first %u bytes",
                         HELD_MAX);
    int rc = vivo_dcm_walk_push(g->walk, offset, data, len, err);
    if (rc < 0 || !g->right)
        return rc < 0 ? rc : 0;
    rc = give(g, g->held.data, g->held.len, err);
    vivo_buf_free(&g->held);
    return rc;
}

void vivo_gate_free(struct vivo_gate *g)
{
    vivo_dcm_walk_free(g->walk);
    g->walk = NULL;
    vivo_buf_free(&g->held);
}
