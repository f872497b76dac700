/* SPDX-License-Identifier: Apache-2.0 */
/* src/flow/extra.c -- the bytes of a file that is no object: as they are, and only
 * where nothing is de-identified. */
#include "flow/internal.h"

#include "vivofs/file.h"
#include "vivofs/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Nothing but the profile decides: the catalog of another one has no extras. */
static int check_profile(const struct vivo_flow *f, vivo_row row, struct vivo_err *err)
{
    if (vivo_deid_is_none(f->deid))
        return 0;
    return vivo_fail(err, EPERM, "%s #%lld: no DICOM object, so not released", f->name,
                     (long long)row);
}

static int raw_view(int fd, const struct vivo_identity *id, uint64_t size,
                    struct vivo_view **out, struct vivo_err *err)
{
    struct vivo_view *view;
    int rc = vivo_view_new(fd, id, &view, err);
    if (rc)
        return rc;
    if (size && vivo_view_add_range(view, 0, size)) {
        vivo_view_disown(view);
        vivo_view_unref(view);
        return vivo_fail(err, ENOMEM, "out of memory");
    }
    *out = view;
    return 0;
}

/* ---- local -------------------------------------------------------------------------
 */

/* Other bytes than those that were listed: the catalog learns it, and the node of the
 * new ones is another. */
static int learn_change(struct vivo_flow *f, vivo_row row, const char *locator,
                        const char *stamp, uint64_t size, struct vivo_err *err)
{
    const struct vivo_extra_put put = {
        .locator = locator, .version = stamp, .size = size, .size_exact = true};
    int rc = vivo_catalog_extra_replace(f->catalog, row, &put, err);
    flow_changed(f);
    return rc;
}

int extra_open_local(struct vivo_flow *f, vivo_row row, const char *name,
                     struct vivo_view **out, struct vivo_op *op)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf locator = {0};
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf version = {0};
    struct vivo_identity id;
    char stamp[VIVO_STAMP_MAX];
    vivo_buf_init(&locator, FLOW_LOCATOR_MAX);
    vivo_buf_init(&version, 256);
    int rc = check_profile(f, row, &op->err);
    if (!rc)
        rc = vivo_catalog_locator(f->catalog, VIVO_LEVEL_INSTANCE, row, &locator,
                                  &version, &op->err);
    if (rc)
        return rc;
    VIVO_AUTO(vivo_close_p)
    int fd = flow_descriptor(f, (char *)locator.data, name, op);
    rc = fd < 0 ? fd : vivo_identity_of(fd, &id, &op->err);
    if (rc)
        return rc;
    vivo_identity_stamp(&id, stamp);
    if (version.len && strcmp(stamp, (char *)version.data) != 0)
        rc = learn_change(f, row, (char *)locator.data, stamp, id.size, &op->err);
    /* Of a member of a zip it may be known only now. */
    if (!rc && !version.len)
        rc = vivo_catalog_set_size(f->catalog, row, id.size, &op->err);
    if (!rc)
        rc = raw_view(fd, &id, id.size, out, &op->err);
    if (!rc)
        fd = -1;
    return rc;
}

/* ---- remote ------------------------------------------------------------------------
 */

/* Without room in the store the view over the nameless file serves as well. */
int extra_keep(struct vivo_flow *f, const struct vivo_extra_entry *e, int *fd,
               uint64_t size, const struct vivo_store_key *key, bool pin,
               struct vivo_view **out, struct vivo_err *err)
{
    struct vivo_view *stored = NULL;
    struct vivo_err why = {0};
    int rc = check_profile(f, e->row, err);
    if (!rc && e->size_exact && e->size != size) {
        vivo_flow_refresh(f);
        rc = vivo_fail(err, EIO, "the file has %llu bytes, its listing says %llu",
                       (unsigned long long)size, (unsigned long long)e->size);
    }
    if (!rc)
        rc = raw_view(*fd, NULL, size, out, err);
    if (rc)
        return rc;
    *fd = -1;
    if (!f->store || size == 0)
        return 0;
    if (vivo_store_put(f->store, key, *out, false, &stored, &why)) {
        vivo_log(VIVO_LOG_WARN, "flow.fetch", "%s #%lld: not kept: %s", f->name,
                 (long long)e->row, why.text);
        return 0;
    }
    vivo_view_unref(*out);
    *out = stored;
    if (pin)
        vivo_store_pin(f->store, key, true);
    return 0;
}

/* ---- what the tree asks ------------------------------------------------------------
 */

int extra_copy_entry(void *ctx, const struct vivo_extra_entry *e)
{
    struct extra_entry *to = ctx;
    to->e = *e;
    snprintf(to->name, sizeof to->name, "%s", e->name);
    to->e.name = to->name;
    return 0;
}

int vivo_flow_extra(struct vivo_flow *f, vivo_row row, struct vivo_view **out,
                    struct vivo_op *op)
{
    struct extra_entry x;
    int rc = check_profile(f, row, &op->err);
    if (!rc)
        rc = vivo_catalog_extra_get(f->catalog, row, extra_copy_entry, &x, &op->err);
    if (rc)
        return rc;
    if (x.e.folder)
        return vivo_fail(&op->err, EIO, "%s #%lld: is a folder", f->name,
                         (long long)row);
    if (!f->local && x.e.size_exact && x.e.size == 0)
        return vivo_view_new(-1, NULL, out, &op->err);
    return flow_open_extra(f, &x.e, out, op);
}
