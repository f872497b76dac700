/* SPDX-License-Identifier: Apache-2.0 */
/* src/flow/audit.c -- what de-identification does to one object, told by tags. Asks the
 * source itself: the store has only what came out. */
#include "flow/internal.h"

#include "vivofs/file.h"

#include <errno.h>

struct aside {                     /* an object in a file without a name */
    struct vivo_delivery delivery; /* first */
    int fd;
    uint64_t size;
};

static int aside_write(struct vivo_sink *self, const void *data, size_t len,
                       struct vivo_err *err)
{
    struct aside *a = (struct aside *)self;
    int rc = vivo_pwrite_full(a->fd, data, len, a->size, err);
    a->size += rc ? 0 : len;
    return rc;
}

static int aside_restart(struct vivo_sink *self, struct vivo_err *err)
{
    struct aside *a = (struct aside *)self;
    a->size = 0;
    return ftruncate(a->fd, 0) ? vivo_fail(err, EIO, "a temporary file cannot be cut")
                               : 0;
}

static int fetch_aside(struct vivo_flow *f, const char *locator, struct vivo_op *op)
{
    struct aside a = {
        .delivery = {.sink = {.write = aside_write, .restart = aside_restart}}};
    if (f->offline)
        return vivo_fail(&op->err, EIO, "offline: its source cannot be asked");
    a.fd = vivo_file_nameless(f->store ? vivo_store_dir(f->store) : NULL, &op->err);
    if (a.fd < 0)
        return a.fd;
    int rc = vivo_archive_fetch(f->archive, locator, &a.delivery, op);
    if (!rc)
        return a.fd;
    close(a.fd);
    return rc;
}

int vivo_flow_audit(struct vivo_flow *f, vivo_row instance, struct vivo_buf *out,
                    struct vivo_op *op)
{
    struct vivo_identity id;
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf locator = {0};
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf version = {0};
    vivo_buf_init(&locator, FLOW_LOCATOR_MAX);
    vivo_buf_init(&version, 4096);
    int rc = vivo_catalog_locator(f->catalog, VIVO_LEVEL_INSTANCE, instance, &locator,
                                  &version, &op->err);
    if (rc)
        return rc;
    const char *where = (const char *)locator.data;
    VIVO_AUTO(vivo_close_p)
    int fd = f->local ? object_descriptor(f, where, op) : fetch_aside(f, where, op);
    rc = fd < 0 ? fd : vivo_identity_of(fd, &id, &op->err);
    if (!rc)
        rc = vivo_deid_audit(f->deid, fd, &id, id.size, out, &op->err);
    if (rc)
        vivo_fail_in(&op->err, "%s #%lld", f->name, (long long)instance);
    return rc;
}
