/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/girder_bundle.c -- the files of an item by one request: its zip, whose
 * members are called ITEM/FILE.
 *
 * A series that was uploaded as one item comes so. The zip of a folder would hold all
 * that is below it, and its members could not be told: an item's name is not that of
 * its file, and no list of a folder tells files. */
#include "girder.h"
#include "zip_bundle.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define OBJECT_BYTES (UINT64_C(64) << 30)

struct arrival {
    struct vivo_zip_bundle zip; /* first member */
    struct girder *g;
    char item[GIRDER_ID_LEN + 1];
    char *name; /* of the item */
};

/* Of a file that is elsewhere (a link) nobody knows what the zip has. */
static int add_file(void *ctx, const json_t *row, const char *id, struct vivo_err *err)
{
    struct arrival *a = ctx;
    char locator[VIVO_SHELF_LOCATOR_MAX];
    uint64_t size;
    vivo_girder_locator(row, id, locator, &size);
    const char *name = vivo_girder_text(row, "name", VIVO_SHELF_NAME_MAX);
    bool told = size != UINT64_MAX && size > 0;
    bool object = told && !vivo_crawl_is_surely_other(name);
    return vivo_zip_bundle_add(&a->zip, name, object ? locator : NULL, told ? size : 0,
                               err);
}

static const char *path_in(void *ctx, const char *name)
{
    const struct arrival *a = ctx;
    size_t n = strlen(a->name);
    return strncmp(name, a->name, n) == 0 && name[n] == '/' ? name + n + 1 : NULL;
}

static int ask_zip(void *ctx, const struct vivo_net_request *rq,
                   struct vivo_net_reply *reply, struct vivo_op *op)
{
    struct arrival *a = ctx;
    return vivo_zip_bundle_get(&a->zip, &a->g->base, rq, reply, op);
}

static int find_item(struct arrival *a, const char *file, struct vivo_op *op)
{
    char path[64];
    json_t *row = NULL;
    snprintf(path, sizeof path, "/file/%s", file);
    int rc = vivo_girder_object(a->g, "a file", path, &row, op);
    const char *id = vivo_girder_text(row, "itemId", GIRDER_ID_LEN);
    if (rc == 0 && !vivo_girder_id_ok(id, strlen(id)))
        rc = vivo_fail(&op->err, EBADMSG, "a file without an item");
    if (rc == 0)
        memcpy(a->item, id, sizeof a->item);
    json_decref(row);
    return rc;
}

static int find_name(struct arrival *a, struct vivo_op *op)
{
    char path[64];
    json_t *row = NULL;
    snprintf(path, sizeof path, "/item/%s", a->item);
    int rc = vivo_girder_object(a->g, "an item", path, &row, op);
    const char *name = vivo_girder_text(row, "name", VIVO_SHELF_NAME_MAX);
    if (rc == 0 && !*name)
        rc = vivo_fail(&op->err, EIO, "an item without a name");
    if (rc == 0 && !(a->name = strdup(name)))
        rc = vivo_fail(&op->err, ENOMEM, "girder: out of memory");
    json_decref(row);
    return rc;
}

static int get_zip(struct arrival *a, struct vivo_op *op)
{
    char path[96];
    snprintf(path, sizeof path, "/item/%s/download?format=zip", a->item);
    int rc = vivo_girder_ask(a->g, path, ask_zip, a, op);
    return rc ? rc : vivo_zip_bundle_finish(&a->zip, &op->err);
}

int vivo_girder_bundle(struct vivo_archive *self, const char *series,
                       struct vivo_bundle *to, struct vivo_op *op)
{
    struct arrival a = {.g = girder_of(self)};
    char file[GIRDER_ID_LEN + 1], path[64];
    uint64_t size;
    a.zip.to = to;
    a.zip.path = path_in;
    a.zip.ctx = &a;
    a.zip.max_bytes = OBJECT_BYTES;
    int rc = vivo_girder_read_locator(series, file, &size, &op->err);
    if (rc)
        return rc;
    rc = find_item(&a, file, op);
    snprintf(path, sizeof path, "/item/%s/files?", a.item);
    if (rc == 0)
        rc = vivo_girder_rows(a.g, "files of an item", path, add_file, &a, op);
    if (rc == 0)
        rc = vivo_zip_bundle_worth(&a.zip, &op->err);
    if (rc == 0)
        rc = find_name(&a, op);
    if (rc == 0)
        rc = get_zip(&a, op);
    free(a.name);
    vivo_zip_bundle_free(&a.zip);
    return rc ? vivo_fail_in(&op->err, "the zip of an item") : 0;
}
