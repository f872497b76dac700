/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/nbia_headers.c -- headers of a series.
 *
 * getDicomTags tells of one image of a series only, and as text, so each image is asked
 * for by getSingleImage and the reply is ended where the pixels begin: the server knows
 * no ranges. Where single images cannot be had, or the zip of the series is here, they
 * are read out of what fetch brings. */
#include "crew.h"
#include "header_range.h"
#include "nbia.h"
#include "whole_header.h"

#include <errno.h>
#include <string.h>

#define HEADER_THREADS 4
#define TASKS_BYTES (64u << 20)

struct headers {
    struct nbia *n;
    struct vivo_intake *in;
    struct nbia_place series;
    char locator[NBIA_LOCATOR_MAX];
};

/* By a single image, ended early. -EIO: in another way, perhaps. */
static int read_single(struct nbia *n, const struct nbia_place *p,
                       struct vivo_ranged_header *h, struct vivo_op *op)
{
    char url[NBIA_URL_MAX];
    enum nbia_version v = vivo_nbia_image_version(n);
    int rc = vivo_nbia_image_url(n, v, p, url, &op->err);
    const struct vivo_net_request rq = {.url = url,
                                        .bearer = v == NBIA_V1 ? NULL : n->bearer};
    if (rc)
        return rc;
    rc = vivo_header_range(&n->base, &rq, h, op);
    if (rc == 0 && !h->object)
        rc = vivo_fail(&op->err, EIO, "getSingleImage: no DICOM object");
    return rc == -ENOENT ? -EIO : rc;
}

static int read_header(struct nbia *n, const char *locator, const struct nbia_place *p,
                       struct vivo_ranged_header *h, struct vivo_op *op)
{
    struct nbia_bundle *kept = vivo_nbia_bundle_kept(n, p->series);
    int rc = kept ? -EIO : read_single(n, p, h, op);
    if (kept)
        vivo_nbia_bundle_put(n, kept);
    if (rc != -EIO)
        return rc;
    vivo_err_clear(&op->err);
    vivo_ranged_header_free(h);
    vivo_buf_init(&h->attrs, VIVO_ATTRS_MAX);
    return vivo_whole_header(&n->base, locator, &h->attrs, &h->size, op);
}

static int emit_header(struct headers *q, struct vivo_crew *crew, const char *locator,
                       struct vivo_op *op)
{
    struct nbia_place p;
    char uid[VIVO_UID_MAX + 1];
    struct vivo_ranged_header h = {0};
    int rc = vivo_nbia_place_read(locator, VIVO_LEVEL_INSTANCE, &p, &op->err);
    if (rc == 0)
        rc = read_header(q->n, locator, &p, &h, op);
    const struct vivo_record rec = {.level = VIVO_LEVEL_INSTANCE,
                                    .locator = locator,
                                    .collection = p.collection,
                                    .version =
                                        q->series.stamp[0] ? q->series.stamp : NULL,
                                    .size = h.size,
                                    .attrs = {h.attrs.data, h.attrs.len},
                                    .headers = true};
    if (rc == 0) {
        vivo_attrs_text(rec.attrs, VIVO_TAG_SOPInstanceUID, uid, sizeof uid);
        rc = strcmp(uid, p.instance) == 0
                 ? vivo_crew_record(crew, q->in, &rec, &op->err)
                 : vivo_fail(&op->err, EIO, "getSingleImage: another object");
    }
    vivo_ranged_header_free(&h);
    return rc;
}

static int do_task(struct vivo_crew *crew, void *ctx, const char *task,
                   struct vivo_op *op)
{
    struct headers *q = ctx;
    struct vivo_crew_members m;
    if (*task)
        return emit_header(q, crew, task, op);
    vivo_crew_members_init(&m, crew);
    return vivo_nbia_list(&q->n->base, VIVO_LEVEL_SERIES, q->locator, &m.base, op);
}

int vivo_nbia_headers(struct vivo_archive *self, const char *series,
                      struct vivo_intake *in, struct vivo_op *op)
{
    struct headers q = {.n = nbia_of(self), .in = in};
    int rc = vivo_nbia_place_read(series, VIVO_LEVEL_SERIES, &q.series, &op->err);
    if (rc == -ENOENT) { /* or one of its images */
        vivo_err_clear(&op->err);
        rc = vivo_nbia_place_read(series, VIVO_LEVEL_INSTANCE, &q.series, &op->err);
    }
    if (rc)
        return rc;
    vivo_nbia_place_write(&q.series, VIVO_LEVEL_SERIES, q.locator);
    return vivo_crew_run(HEADER_THREADS, TASKS_BYTES, do_task, &q, "", op);
}
