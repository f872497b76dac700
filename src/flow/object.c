/* SPDX-License-Identifier: Apache-2.0 */
/* src/flow/object.c -- from the bytes of one object to its record as shown. */
#include "flow/internal.h"

#include "vivofs/file.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define USUAL_ATTRS 4000

struct take_descriptor {
    struct vivo_delivery delivery;
    int fd;
};

static int take(struct vivo_delivery *self, int fd, struct vivo_err *err)
{
    (void)err;
    struct take_descriptor *t = (struct take_descriptor *)self; /* first member */
    t->fd = fd;
    return 0;
}

static int no_bytes(struct vivo_sink *self, const void *data, size_t len,
                    struct vivo_err *err)
{
    (void)self;
    (void)data;
    (void)len;
    return vivo_fail(err, EIO, "a local driver sent bytes instead of a descriptor");
}

int flow_descriptor(struct vivo_flow *f, const char *locator, const char *extra,
                    struct vivo_op *op)
{
    struct take_descriptor t = {
        .delivery = {.sink = {.write = no_bytes}, .descriptor = take, .extra = extra},
        .fd = -1,
    };
    int rc = vivo_archive_fetch(f->archive, locator, &t.delivery, op);
    if (rc) {
        if (t.fd >= 0)
            close(t.fd);
        return rc;
    }
    if (t.fd < 0)
        return vivo_fail(&op->err, EIO, "a local driver delivered nothing");
    return t.fd;
}

int object_descriptor(struct vivo_flow *f, const char *locator, struct vivo_op *op)
{
    return flow_descriptor(f, locator, NULL, op);
}

static int digest_of(int fd, uint8_t digest[VIVO_DIGEST_LEN], struct vivo_err *err)
{
    enum { CHUNK = 64 * 1024 };
    struct vivo_identity id;
    VIVO_AUTO(vivo_free_p) uint8_t *chunk = malloc(CHUNK);
    struct vivo_sha256 *sha = vivo_sha256_begin();
    int rc = chunk && sha ? 0 : vivo_fail(err, ENOMEM, "out of memory");
    if (!rc)
        rc = vivo_identity_of(fd, &id, err);
    for (uint64_t off = 0; !rc && off < id.size;) {
        size_t n = (size_t)VIVO_MIN(id.size - off, (uint64_t)CHUNK);
        rc = vivo_pread_full(fd, chunk, n, off, err);
        if (!rc)
            vivo_sha256_add(sha, chunk, n);
        off += n;
    }
    vivo_sha256_end(sha, rc ? NULL : digest);
    return rc;
}

/* What stands for the SOP Instance UID of an object that has none: a digest of its
 * bytes, so that copies have the same name anywhere. */
static int digest_uid(struct vivo_flow *f, const char *locator, struct object_put *o,
                      struct vivo_err *err)
{
    uint8_t digest[VIVO_DIGEST_LEN];
    char hex[2 * VIVO_DIGEST_LEN + 1];
    struct vivo_op op;
    vivo_op_init(&op, 0);
    VIVO_AUTO(vivo_close_p) int fd = object_descriptor(f, locator, &op);
    if (fd < 0)
        return vivo_fail(err, op.err.errnum, "%s", op.err.text);
    int rc = digest_of(fd, digest, err);
    if (rc)
        return rc;
    vivo_hex(digest, sizeof digest, hex);
    vivo_deid_name(f->deid, "object", hex, o->uid);
    o->put.uid = o->uid;
    return 0;
}

/* A refused object is listed under its attributes as shown, though it never opens. */
static int refused_attrs(struct vivo_flow *f, int fd, uint64_t size,
                         struct vivo_buf *out, struct vivo_err *err)
{
    struct vivo_fd_reader r;
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf raw = {0};
    vivo_buf_init(&raw, VIVO_ATTRS_MAX);
    vivo_fd_reader_init(&r, fd, size);
    int rc = vivo_dcm_attrs(&r.base, NULL, 0, &raw, err);
    if (rc)
        return rc;
    vivo_buf_clear(out);
    return vivo_deid_header(f->deid, (struct vivo_attrs){raw.data, raw.len}, out, err);
}

static bool has_sop_uid(const struct vivo_buf *attrs)
{
    char uid[VIVO_UID_MAX + 1];
    struct vivo_attrs a = {attrs->data, attrs->len};
    return vivo_attrs_text(a, VIVO_TAG_SOPInstanceUID, uid, sizeof uid);
}

/* DICOMDIR speaks of files by names that the mount does not show, and under a
 * profile it is refused anyway: it is never an instance. */
static bool is_directory_object(const struct vivo_buf *attrs)
{
    char uid[VIVO_UID_MAX + 1];
    struct vivo_attrs a = {attrs->data, attrs->len};
    struct vivo_attr record;
    vivo_attrs_text(a, VIVO_TAG_SOPClassUID, uid, sizeof uid);
    return strcmp(uid, "1.2.840.10008.1.3.10") == 0 ||
           vivo_attrs_find(a, 0x00041220, &record);
}

static int read_refused(struct vivo_flow *f, int fd, uint64_t size,
                        const struct vivo_deid_report *report, struct object_put *out,
                        struct vivo_err *err)
{
    if (report->refusal == VIVO_REFUSAL_DICOMDIR)
        return vivo_fail(err, EBADMSG, "a DICOMDIR is no instance");
    out->put.refusal = (int)report->refusal;
    out->put.size = size;
    return refused_attrs(f, fd, size, &out->attrs, err);
}

/* What does not pass is as if it were no object: hidden and counted. What is not valid
 * is told by who reads it next. */
static int filter(struct vivo_flow *f, int fd, uint64_t size, struct object_put *out,
                  struct vivo_err *err)
{
    struct vivo_err why = {0};
    int passes = f->filter ? vivo_filter_passes(f->filter, fd, size, &why) : 1;
    if (passes == -EBADMSG || passes > 0)
        return 0;
    out->filtered = !passes;
    if (!passes)
        return vivo_fail(err, EBADMSG, "does not pass the filter");
    *err = why;
    return passes;
}

/* *fd: becomes the view's, where there is to be one. */
static int read_header(struct vivo_flow *f, int *fd, const struct vivo_identity *id,
                       bool view, struct object_put *out, struct vivo_err *err)
{
    struct vivo_deid_report report = {0};
    struct vivo_err why = {0};
    int rc = filter(f, *fd, id->size, out, err);
    if (rc)
        return rc;
    if (view)
        rc = vivo_deid_object(f->deid, *fd, id, id->size, &out->view, &out->attrs,
                              &report, &why);
    else
        rc = vivo_deid_describe(f->deid, *fd, id, id->size, &out->attrs, &report, &why);
    if (rc == -EPERM)
        return read_refused(f, *fd, id->size, &report, out, err);
    if (rc) {
        *err = why;
        out->foreign = report.foreign;
        return rc;
    }
    if (view)
        *fd = -1; /* the view owns it now */
    out->put.size = report.size;
    out->put.at_risk = report.at_risk;
    return 0;
}

static int read_object(struct vivo_flow *f, int fd, const char *locator,
                       const char *version, bool view, struct object_put *out,
                       struct vivo_err *err)
{
    VIVO_AUTO(vivo_close_p) int owned = fd;
    struct vivo_identity id;
    *out = (struct object_put){0};
    vivo_buf_init(&out->attrs, VIVO_ATTRS_MAX);
    (void)vivo_buf_reserve(&out->attrs, USUAL_ATTRS); /* else it grows step by step */
    int rc = vivo_identity_of(fd, &id, err);
    out->size = rc ? 0 : id.size;
    if (!rc)
        rc = read_header(f, &owned, &id, view, out, err);
    if (!rc && is_directory_object(&out->attrs))
        rc = vivo_fail(err, EBADMSG, "a DICOMDIR is no instance");
    if (!rc && !has_sop_uid(&out->attrs))
        rc = digest_uid(f, locator, out, err);
    if (rc) {
        object_put_free(out);
        return rc;
    }
    out->put.level = VIVO_LEVEL_INSTANCE;
    out->put.locator = locator;
    out->put.version = version;
    out->put.size_exact = true;
    out->put.headers = true;
    out->put.attrs = (struct vivo_attrs){out->attrs.data, out->attrs.len};
    return 0;
}

int object_read(struct vivo_flow *f, int fd, const char *locator, const char *version,
                struct object_put *out, struct vivo_err *err)
{
    return read_object(f, fd, locator, version, true, out, err);
}

int object_describe(struct vivo_flow *f, int fd, const char *locator,
                    const char *version, struct object_put *out, struct vivo_err *err)
{
    return read_object(f, fd, locator, version, false, out, err);
}

void object_put_free(struct object_put *o)
{
    vivo_buf_free(&o->attrs);
    vivo_view_unref(o->view);
    o->view = NULL;
}
