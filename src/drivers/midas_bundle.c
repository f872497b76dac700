/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/midas_bundle.c -- the files of an item by one request: the zip of its
 * last revision, whose members are called as they are.
 *
 * A series that was uploaded is one item of many files as a rule. An item of one file
 * is no zip, and what lies in several items comes file by file: the zip of a folder
 * holds all that is below it. */
#include "crawl.h"
#include "midas.h"
#include "zip_bundle.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define OBJECT_BYTES (UINT64_C(64) << 30)

struct arrival {
    struct vivo_zip_bundle zip; /* first member */
    struct midas *m;
};

/* Of a link nobody knows what the zip has. */
static int add_file(void *ctx, const json_t *row, struct vivo_err *err)
{
    struct arrival *a = ctx;
    char locator[VIVO_SHELF_LOCATOR_MAX];
    uint64_t size;
    int rc = vivo_midas_locator(row, locator, &size, err);
    const char *name = vivo_midas_text(row, "name", VIVO_SHELF_NAME_MAX);
    bool told = size != UINT64_MAX && size > 0;
    bool object = told && !vivo_crawl_is_surely_other(name);
    if (rc)
        return rc;
    return vivo_zip_bundle_add(&a->zip, name, object ? locator : NULL, told ? size : 0,
                               err);
}

static const char *path_in(void *ctx, const char *name)
{
    (void)ctx;
    return name;
}

static int ask_zip(void *ctx, const struct vivo_net_request *rq,
                   struct vivo_net_reply *reply, struct vivo_op *op)
{
    struct arrival *a = ctx;
    int rc = vivo_zip_bundle_get(&a->zip, &a->m->base, rq, reply, op);
    return vivo_midas_not_a_page(0, reply, rc, op);
}

static int find_item(struct arrival *a, const char *file, char item[MIDAS_ID_MAX + 1],
                     struct vivo_op *op)
{
    json_t *data;
    int rc = vivo_midas_call(a->m, "a file", "bitstream.get", file, &data, op);
    if (rc)
        return rc;
    vivo_midas_id(data, "item_id", item);
    if (!*item)
        rc = vivo_fail(&op->err, EBADMSG, "a file without an item");
    json_decref(data);
    return rc;
}

static int find_files(struct arrival *a, const char *item, struct vivo_op *op)
{
    char query[MIDAS_ID_MAX + 16];
    json_t *data;
    snprintf(query, sizeof query, "%s&head=1", item);
    int rc = vivo_midas_call(a->m, "files of an item", "item.get", query, &data, op);
    if (rc)
        return rc;
    rc = vivo_midas_files(data, add_file, a, &op->err);
    json_decref(data);
    return rc;
}

int vivo_midas_bundle(struct vivo_archive *self, const char *series,
                      struct vivo_bundle *to, struct vivo_op *op)
{
    struct arrival a = {.m = midas_of(self)};
    char file[MIDAS_ID_MAX + 1], item[MIDAS_ID_MAX + 1];
    uint64_t size;
    a.zip.to = to;
    a.zip.path = path_in;
    a.zip.ctx = &a;
    a.zip.max_bytes = OBJECT_BYTES;
    int rc = vivo_midas_read_locator(series, file, &size, &op->err);
    if (rc)
        return rc;
    rc = find_item(&a, file, item, op);
    if (rc == 0)
        rc = find_files(&a, item, op);
    if (rc == 0)
        rc = vivo_zip_bundle_worth(&a.zip, &op->err);
    if (rc == 0)
        rc = vivo_midas_zip(a.m, item, ask_zip, &a, op);
    if (rc == 0)
        rc = vivo_zip_bundle_finish(&a.zip, &op->err);
    vivo_zip_bundle_free(&a.zip);
    return rc ? vivo_fail_in(&op->err, "the zip of an item") : 0;
}
