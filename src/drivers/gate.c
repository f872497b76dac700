/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/gate.c -- see gate.h. */
#include "gate.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Bytes before the SOP Instance UID; file meta is small. */
#define HELD_MAX (4u << 20)

/* Longer values are of no interest, and do not have to be kept. */
enum { VALUE_MAX = 1024 };

static bool is_pixel_data(uint32_t tag)
{
    return tag == 0x7FE00008 || tag == 0x7FE00009 || tag == VIVO_TAG_PixelData;
}

/* Behind the UID. */
static int look_on(struct vivo_gate *g, enum vivo_dcm_event event,
                   const struct vivo_dcm_elem *e)
{
    bool bulk = event == VIVO_DCM_BULK || event == VIVO_DCM_FRAGMENTS;
    if (bulk && e->cut)
        g->broken = true;
    if (bulk && !e->cut && is_pixel_data(e->tag))
        g->pixels = true;
    return event == VIVO_DCM_SEQUENCE ? VIVO_DCM_SKIP : 0;
}

static int on_element(void *ctx, enum vivo_dcm_event event,
                      const struct vivo_dcm_elem *e, struct vivo_err *err)
{
    struct vivo_gate *g = ctx;
    if (e->depth > 0 || event == VIVO_DCM_META || event == VIVO_DCM_DATASET)
        return 0;
    if (g->right)
        return look_on(g, event, e);
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
    snprintf(g->seen, sizeof g->seen, "%.*s", (int)len, (const char *)e->value);
    g->right = true;
    return g->to_end ? 0 : VIVO_DCM_STOP;
}

bool vivo_gate_is_page(const struct vivo_delivery *to, const char *type)
{
    static const char *const endings[] = {".html", ".htm", ".xhtml", ".php", ".asp"};
    const char *dot = to->extra ? strrchr(to->extra, '.') : NULL;
    if (strncmp(type, "text/html", 9) != 0 && strncmp(type, "application/xhtml", 17))
        return false;
    for (size_t i = 0; dot && i < VIVO_ARRAY_LEN(endings); i++)
        if (strcasecmp(dot, endings[i]) == 0)
            return false;
    return true;
}

int vivo_gate_begin(struct vivo_gate *g, const char *uid, struct vivo_delivery *to,
                    struct vivo_err *err)
{
    vivo_gate_free(g);
    *g = (struct vivo_gate){.to = to, .uid = uid, .right = to->extra != NULL};
    if (g->right)
        return 0;
    vivo_buf_init(&g->held, HELD_MAX);
    return vivo_dcm_walk_new(NULL, 0, VALUE_MAX, -1, on_element, g, &g->walk, err);
}

static int give(struct vivo_gate *g, const void *data, size_t len, struct vivo_err *err)
{
    return len ? g->to->sink.write(&g->to->sink, data, len, err) : 0;
}

/* What is wrong behind the UID is for who asks at the end. */
static void look(struct vivo_gate *g, uint64_t offset, const void *data, size_t len)
{
    struct vivo_err err = {0};
    if (g->to_end && !g->broken &&
        vivo_dcm_walk_push(g->walk, offset, data, len, &err) < 0)
        g->broken = true;
}

bool vivo_gate_is_whole(struct vivo_gate *g)
{
    struct vivo_err err = {0};
    if (!g->right || g->broken || vivo_dcm_walk_finish(g->walk, g->bytes, &err))
        return false;
    return !g->broken;
}

int vivo_gate_push(struct vivo_gate *g, const void *data, size_t len,
                   struct vivo_err *err)
{
    uint64_t offset = g->bytes;
    g->bytes += len;
    if (g->right) {
        look(g, offset, data, len);
        return give(g, data, len, err);
    }
    if (vivo_buf_add(&g->held, data, len))
        return vivo_fail(err, EBADMSG, "no SOP Instance UID in the first %u bytes",
                         HELD_MAX);
    int rc = vivo_dcm_walk_push(g->walk, offset, data, len, err);
    if (rc < 0 && g->right) { /* behind the UID, so the object is the right one */
        g->broken = true;
        vivo_err_clear(err);
        rc = 0;
    }
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
