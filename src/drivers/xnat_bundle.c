/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/xnat_bundle.c -- all objects of a scan by one request: the zip of its
 * DICOM resource.
 *
 * Its members are called SESSION/scans/SCAN-TYPE/resources/RESOURCE/files/PATH. The
 * catalogue's sizes may be behind the files, so they are not compared; XNAT's own
 * checks tell nothing of a zip, so objects are looked at to their end. */
#include "xnat.h"
#include "zip_bundle.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct arrival {
    struct vivo_zip_bundle zip; /* first member */
    struct xnat *x;
    struct xnat_place scan;
    char resource[XNAT_ID_MAX + 1]; /* of all that is DICOM */
};

static int add_file(void *ctx, const struct xnat_file *f, struct vivo_op *op)
{
    struct arrival *a = ctx;
    char locator[XNAT_LOCATOR_MAX];
    vivo_xnat_place_write(&f->place, VIVO_LEVEL_INSTANCE, locator);
    int rc = vivo_zip_bundle_add(&a->zip, f->place.file, f->dicom ? locator : NULL, 0,
                                 &op->err);
    if (rc || !f->dicom)
        return rc;
    if (a->resource[0] && strcmp(a->resource, f->place.resource) != 0)
        return vivo_fail(&op->err, EIO,
                         "a scan whose objects are in several resources");
    memcpy(a->resource, f->place.resource, sizeof a->resource);
    return 0;
}

/* The folder of the scan must be this one's: a scan asked for by its id brings others
 * of a type that is called so. */
static const char *path_in(void *ctx, const char *name)
{
    const struct arrival *a = ctx;
    size_t len = strlen(a->scan.scan);
    const char *scan = strstr(name, "/scans/");
    const char *path = scan ? strstr(scan, "/files/") : NULL;
    if (!path || strncmp(scan + 7, a->scan.scan, len) != 0 ||
        (scan[7 + len] != '-' && scan[7 + len] != '/'))
        return NULL;
    return path + 7;
}

static int ask_zip(void *ctx, const struct vivo_net_request *rq,
                   struct vivo_net_reply *reply, struct vivo_op *op)
{
    struct arrival *a = ctx;
    return vivo_zip_bundle_get(&a->zip, &a->x->base, rq, reply, op);
}

static int get_zip(struct arrival *a, struct vivo_op *op)
{
    struct vivo_net_reply reply = {0};
    char resource[3 * XNAT_ID_MAX + 1], path[XNAT_URL_MAX];
    vivo_xnat_home(&a->scan, path);
    size_t n = strlen(path);
    vivo_xnat_encode(a->resource, false, resource, sizeof resource);
    snprintf(path + n, sizeof path - n, "/resources/%s/files?format=zip", resource);
    int rc = vivo_xnat_ask(a->x, path, ask_zip, a, &reply, op);
    if (rc == 0)
        rc = vivo_zip_bundle_finish(&a->zip, &op->err);
    /* Called otherwise than here, or refused: so it will be for the next scan. */
    if (a->zip.named == 0 && rc != -EINTR && rc != -ETIMEDOUT && reply.status &&
        reply.status < 500)
        atomic_store(&a->x->no_bundle, true);
    return rc;
}

int vivo_xnat_bundle(struct vivo_archive *self, const char *series,
                     struct vivo_bundle *to, struct vivo_op *op)
{
    struct arrival a = {.x = xnat_of(self)};
    a.zip.to = to;
    a.zip.path = path_in;
    a.zip.ctx = &a;
    a.zip.max_bytes = XNAT_OBJECT_BYTES;
    a.zip.wary = true;
    if (atomic_load(&a.x->no_bundle))
        return vivo_fail(&op->err, EIO, "the server gives files one by one");
    int rc = vivo_xnat_place_read(series, VIVO_LEVEL_SERIES, &a.scan, &op->err);
    if (rc == 0)
        rc = vivo_xnat_files(a.x, &a.scan, "", add_file, &a, NULL, op);
    if (rc == 0 && !a.resource[0])
        rc = vivo_fail(&op->err, EIO, "a scan without a resource of objects");
    if (rc == 0)
        rc = get_zip(&a, op);
    vivo_zip_bundle_free(&a.zip);
    return rc ? vivo_fail_in(&op->err, "the zip of a scan") : 0;
}
