/* SPDX-License-Identifier: Apache-2.0 */
/* src/flow/keep.c -- what of an archive is kept here, and what shall stay or go. */
#include "flow/internal.h"

#include <errno.h>

int vivo_flow_kept(struct vivo_flow *f, vivo_row instance, enum vivo_kept *out,
                   struct vivo_err *err)
{
    struct vivo_store_key key;
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf locator = {0};
    bool pinned = false;
    *out = f->local ? VIVO_KEPT_CACHED : VIVO_KEPT_REMOTE;
    if (f->local || !f->store)
        return 0;
    vivo_buf_init(&locator, FLOW_LOCATOR_MAX);
    int rc = flow_store_key(f, instance, &key, &locator, err);
    if (!rc && !vivo_store_has(f->store, &key, &pinned))
        *out = pinned ? VIVO_KEPT_PINNED : VIVO_KEPT_CACHED;
    return rc;
}

static int where_is(void *ctx, const char *locator, const struct vivo_buf *version,
                    const char **word, struct vivo_err *err)
{
    struct vivo_flow *f = ctx;
    struct vivo_store_key key;
    bool pinned = false;
    int rc = flow_store_key_of(f, locator, version, &key, err);
    if (rc)
        return rc;
    *word = vivo_store_has(f->store, &key, &pinned) ? "remote"
            : pinned                                ? "pinned"
                                                    : "cached";
    return 0;
}

struct vivo_whereabouts flow_whereabouts(struct vivo_flow *f)
{
    struct vivo_whereabouts here = {.of = where_is, .ctx = f};
    if (f->local)
        here.all = "cached";
    else if (!f->store)
        here.all = "remote";
    return here;
}

uint64_t vivo_flow_kept_changes(struct vivo_flow *f)
{
    return f->local || !f->store ? 0 : vivo_store_changes(f->store);
}

int vivo_flow_pin(struct vivo_flow *f, vivo_row instance, bool pinned,
                  struct vivo_err *err)
{
    struct vivo_store_key key;
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf locator = {0};
    if (f->local)
        return 0; /* it is here anyway, and not ours to drop */
    if (!f->store)
        return vivo_fail(err, EINVAL, "%s: nothing is kept of it", f->name);
    vivo_buf_init(&locator, FLOW_LOCATOR_MAX);
    int rc = flow_store_key(f, instance, &key, &locator, err);
    if (rc)
        return rc;
    if (!pinned) /* nor when it comes */
        flight_unpin(f, instance);
    rc = vivo_store_pin(f->store, &key, pinned);
    if (rc == -ENOENT && pinned) {
        fetch_in_background(f, instance, true);
        return 0;
    }
    return rc == -ENOENT ? 0 : rc;
}

int vivo_flow_forget(struct vivo_flow *f, vivo_row instance, struct vivo_err *err)
{
    struct vivo_store_key key;
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf locator = {0};
    if (f->local || !f->store)
        return 0;
    vivo_buf_init(&locator, FLOW_LOCATOR_MAX);
    int rc = flow_store_key(f, instance, &key, &locator, err);
    if (rc)
        return rc;
    flow_drop_view(f, instance);
    flight_unpin(f, instance);
    rc = vivo_store_forget(f->store, &key);
    return rc == -ENOENT ? 0 : rc;
}
