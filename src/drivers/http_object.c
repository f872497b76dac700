/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/http_object.c -- see http_object.h. */
#include "http_object.h"
#include "multipart.h"

#include <errno.h>
#include <string.h>

/* Bytes before the SOP Instance UID; file meta is small. */
#define HELD_MAX (4u << 20)

static struct vivo_http_object *object_of(struct vivo_sink *s)
{
    return (struct vivo_http_object *)s; /* first member */
}

static int on_element(void *ctx, enum vivo_dcm_event event,
                      const struct vivo_dcm_elem *e, struct vivo_err *err)
{
    struct vivo_http_object *o = ctx;
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
    if (len != strlen(o->uid) || memcmp(e->value, o->uid, (size_t)len) != 0)
        return vivo_fail(err, EIO, "the server sent another object than asked for");
    o->right = true;
    return VIVO_DCM_STOP;
}

/* The head of the reply is known before its first byte. */
static int check_head(const struct vivo_http_object *o, struct vivo_err *err)
{
    const char *type = o->reply.content_type;
    if (strncmp(type, "text/", 5) == 0 || vivo_media_type_is(type, "application/json"))
        return vivo_fail(err, EIO, "the server answers %s, not a DICOM object",
                         strncmp(type, "text/html", 9) == 0 ? "HTML" : "text");
    if (o->reply.by_close)
        return vivo_fail(err, EIO, "object without a length: its end is not certain");
    if (o->reply.status == 206)
        return vivo_fail(err, EIO, "the server sent only a part of what was asked for");
    return 0;
}

static int write_object(struct vivo_sink *self, const void *data, size_t len,
                        struct vivo_err *err)
{
    struct vivo_http_object *o = object_of(self);
    uint64_t offset = o->bytes;
    int rc = o->started ? 0 : check_head(o, err);
    if (rc)
        return rc;
    o->started = true;
    o->bytes += len;
    if (o->right)
        return o->to->sink.write(&o->to->sink, data, len, err);
    if (vivo_buf_add(&o->held, data, len))
        return vivo_fail(err, EBADMSG, "no SOP Instance UID in the first %u bytes",
                         HELD_MAX);
    rc = vivo_dcm_walk_push(o->walk, offset, data, len, err);
    if (rc < 0 || !o->right)
        return rc < 0 ? rc : 0;
    rc = o->to->sink.write(&o->to->sink, o->held.data, o->held.len, err);
    vivo_buf_free(&o->held);
    return rc;
}

static int reset(struct vivo_http_object *o, struct vivo_err *err)
{
    vivo_http_object_free(o);
    o->started = o->right = false;
    o->bytes = 0;
    vivo_buf_init(&o->held, HELD_MAX);
    return vivo_dcm_walk_new(NULL, 0, 0, -1, on_element, o, &o->walk, err);
}

static int restart_object(struct vivo_sink *self, struct vivo_err *err)
{
    struct vivo_http_object *o = object_of(self);
    bool gave = o->right;
    int rc = reset(o, err);
    return rc == 0 && gave ? o->to->sink.restart(&o->to->sink, err) : rc;
}

int vivo_http_object_begin(struct vivo_http_object *o, const char *uid,
                           struct vivo_delivery *to, struct vivo_err *err)
{
    *o = (struct vivo_http_object){.to = to, .uid = uid};
    o->sink.write = write_object;
    o->sink.restart = to->sink.restart ? restart_object : NULL;
    return reset(o, err);
}

int vivo_http_object_finish(const struct vivo_http_object *o, struct vivo_err *err)
{
    if (!o->started)
        return vivo_fail(err, EIO, "the server sent nothing");
    if (!o->right)
        return vivo_fail(err, EBADMSG, "the object ends before its SOP Instance UID");
    return 0;
}

void vivo_http_object_free(struct vivo_http_object *o)
{
    vivo_dcm_walk_free(o->walk);
    o->walk = NULL;
    vivo_buf_free(&o->held);
}
