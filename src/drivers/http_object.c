/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/http_object.c -- see http_object.h. */
#include "http_object.h"
#include "multipart.h"

#include <errno.h>
#include <string.h>

static struct vivo_http_object *object_of(struct vivo_sink *s)
{
    return (struct vivo_http_object *)s; /* first member */
}

/* The head of the reply is known before its first byte. */
static int check_head(const struct vivo_http_object *o, struct vivo_err *err)
{
    const char *type = o->reply.content_type;
    bool extra = o->gate.to->extra;
    if (extra && vivo_gate_is_page(o->gate.to, type))
        return vivo_fail(err, EIO, "the server answers a page for people, not a file");
    if (extra && o->reply.encoded)
        return vivo_fail(err, EIO, "the server sends it compressed, unasked");
    if (!extra && (strncmp(type, "text/", 5) == 0 ||
                   vivo_media_type_is(type, "application/json")))
        return vivo_fail(err, EIO, "the server answers %s, not a DICOM object",
                         strncmp(type, "text/html", 9) == 0 ? "HTML" : "text");
    if (o->reply.by_close)
        return vivo_fail(err, EIO, "object without a length: its end is not certain");
    if (o->reply.status == 206)
        return vivo_fail(err, EIO, "the server sent only a part of what was asked for");
    return 0;
}

uint64_t vivo_reply_total(const struct vivo_net_reply *reply)
{
    bool said = reply->status == 200 && reply->content_length > 0 && !reply->encoded;
    return said ? (uint64_t)reply->content_length : 0;
}

static int write_object(struct vivo_sink *self, const void *data, size_t len,
                        struct vivo_err *err)
{
    struct vivo_http_object *o = object_of(self);
    int rc = o->started ? 0 : check_head(o, err);
    if (rc)
        return rc;
    o->started = true;
    o->gate.to->total = vivo_reply_total(&o->reply);
    return vivo_gate_push(&o->gate, data, len, err);
}

static int restart_object(struct vivo_sink *self, struct vivo_err *err)
{
    struct vivo_http_object *o = object_of(self);
    struct vivo_delivery *to = o->gate.to;
    bool gave = o->gate.right;
    o->started = false;
    int rc = vivo_gate_begin(&o->gate, o->gate.uid, to, err);
    return rc == 0 && gave ? to->sink.restart(&to->sink, err) : rc;
}

int vivo_http_object_begin(struct vivo_http_object *o, const char *uid,
                           struct vivo_delivery *to, struct vivo_err *err)
{
    *o = (struct vivo_http_object){0};
    o->sink.write = write_object;
    o->sink.restart = to->sink.restart ? restart_object : NULL;
    return vivo_gate_begin(&o->gate, uid, to, err);
}

int vivo_http_object_finish(const struct vivo_http_object *o, struct vivo_err *err)
{
    if (!o->started && o->gate.to->extra)
        return 0; /* an empty file */
    if (!o->started)
        return vivo_fail(err, EIO, "the server sent nothing");
    if (!o->gate.right)
        return vivo_fail(err, EBADMSG, "the object ends before its SOP Instance UID");
    return 0;
}

void vivo_http_object_free(struct vivo_http_object *o)
{
    vivo_gate_free(&o->gate);
}
