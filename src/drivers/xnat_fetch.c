/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/xnat_fetch.c -- the bytes of one file, and headers of the files of a
 * scan.
 *
 * XNAT answers no ranges, and its sizes and digests are those of a catalogue that may
 * be behind the files: what counts is the length of the reply. Of a scan that is read
 * in order there is the zip (xnat_bundle.c). */
#include "crew.h"
#include "header_range.h"
#include "http_object.h"
#include "xnat.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void file_path(const struct xnat_place *p, char out[XNAT_URL_MAX])
{
    char session[3 * XNAT_ID_MAX + 1], scan[12 * XNAT_ID_MAX + 1];
    char resource[3 * XNAT_ID_MAX + 1], file[3 * XNAT_FILE_MAX + 4];
    vivo_xnat_encode(p->session, false, session, sizeof session);
    vivo_xnat_encode_scan(p->scan, scan, sizeof scan);
    vivo_xnat_encode(p->resource, false, resource, sizeof resource);
    vivo_xnat_encode(p->file, true, file, sizeof file);
    snprintf(out, XNAT_URL_MAX, "/data/experiments/%.*s/scans/%.*s%s%s/files/%s",
             3 * XNAT_ID_MAX, session, 3 * XNAT_ID_MAX, scan,
             p->resource[0] ? "/resources/" : "", resource, file);
}

/* ---- fetch ------------------------------------------------------------------------
 */

struct fetching {
    struct xnat *x;
    struct vivo_delivery *to;
    struct vivo_http_object o;
};

static int ask_object(void *ctx, const struct vivo_net_request *rq,
                      struct vivo_net_reply *reply, struct vivo_op *op)
{
    struct fetching *f = ctx;
    struct vivo_net_request full = *rq;
    full.max_bytes = XNAT_OBJECT_BYTES;
    vivo_http_object_free(&f->o);
    int rc = vivo_http_object_begin(&f->o, NULL, f->to, &op->err);
    if (rc)
        return rc;
    atomic_fetch_add(&f->x->base.requests, 1);
    rc = vivo_net_fetch(f->x->base.net, &full, &f->o.sink, &f->o.reply, op);
    atomic_fetch_add(&f->x->base.bytes, f->o.reply.received);
    *reply = f->o.reply;
    return rc ? rc : vivo_http_object_finish(&f->o, &op->err);
}

int vivo_xnat_fetch(struct vivo_archive *self, const char *locator,
                    struct vivo_delivery *to, struct vivo_op *op)
{
    struct fetching f = {.x = xnat_of(self), .to = to};
    struct vivo_net_reply reply;
    struct xnat_place p;
    char path[XNAT_URL_MAX];
    int rc = vivo_xnat_place_read(locator, VIVO_LEVEL_INSTANCE, &p, &op->err);
    if (rc)
        return rc;
    file_path(&p, path);
    rc = vivo_xnat_ask(f.x, path, ask_object, &f, &reply, op);
    vivo_http_object_free(&f.o);
    return rc ? vivo_fail_in(&op->err, "a file of a scan") : 0;
}

/* ---- headers ----------------------------------------------------------------------
 */

#define HEADER_THREADS 4
#define TASKS_BYTES (256u << 20)
#define END_OF_FIELD '\1' /* in no id or path, which have no control characters */

struct looking {
    struct xnat *x;
    struct vivo_intake *in;
    struct vivo_buf tasks; /* one for each file, each with its NUL */
};

struct header { /* of one file */
    struct xnat *x;
    struct vivo_ranged_header ranged;
};

static int ask_header(void *ctx, const struct vivo_net_request *rq,
                      struct vivo_net_reply *reply, struct vivo_op *op)
{
    struct header *h = ctx;
    vivo_ranged_header_free(&h->ranged);
    h->ranged = (struct vivo_ranged_header){0};
    int rc = vivo_header_range(&h->x->base, rq, &h->ranged, op);
    *reply = h->ranged.reply;
    return rc;
}

/* What the list of files tells of one, as a task. */
static int add_task(void *ctx, const struct xnat_file *f, struct vivo_op *op)
{
    struct looking *l = ctx;
    char locator[XNAT_LOCATOR_MAX];
    vivo_xnat_place_write(&f->place, VIVO_LEVEL_INSTANCE, locator);
    if (!f->dicom) /* else it were gone */
        return vivo_xnat_extra(l->in, f, locator, &op->err);
    if (vivo_buf_printf(&l->tasks, "%s%c%s%c%" PRIu64 "%c%s", locator, END_OF_FIELD,
                        f->version, END_OF_FIELD, f->size, END_OF_FIELD, f->key) ||
        vivo_buf_add(&l->tasks, "", 1))
        return vivo_fail(&op->err, ENOMEM, "too many files in one scan");
    return 0;
}

static const char *take_field(const char **at, char *out, size_t cap)
{
    size_t n = strcspn(*at, (const char[]){END_OF_FIELD, '\0'});
    snprintf(out, cap, "%.*s", (int)n, *at);
    *at += n + ((*at)[n] == END_OF_FIELD);
    return out;
}

static int look_at(struct vivo_crew *crew, struct looking *l, const char *task,
                   struct vivo_op *op)
{
    struct header h = {.x = l->x};
    struct vivo_net_reply reply;
    struct xnat_file f = {.dicom = true};
    char path[XNAT_URL_MAX], locator[XNAT_LOCATOR_MAX], size[24];
    take_field(&task, locator, sizeof locator);
    take_field(&task, f.version, sizeof f.version);
    f.size = strtoull(take_field(&task, size, sizeof size), NULL, 10);
    take_field(&task, f.key, sizeof f.key);
    int rc = vivo_xnat_place_read(locator, VIVO_LEVEL_INSTANCE, &f.place, &op->err);
    if (rc)
        return rc;
    file_path(&f.place, path);
    rc = vivo_xnat_ask(l->x, path, ask_header, &h, &reply, op);
    const struct vivo_record rec = {.level = VIVO_LEVEL_INSTANCE,
                                    .locator = locator,
                                    .key = f.key,
                                    .label = vivo_xnat_file_label(&f),
                                    .version = f.version[0] ? f.version : NULL,
                                    .size = h.ranged.size ? h.ranged.size : f.size,
                                    .size_about = true,
                                    .attrs = {h.ranged.attrs.data, h.ranged.attrs.len},
                                    .headers = true};
    l->in->alive(l->in);
    if (rc)
        vivo_fail_in(&op->err, "the header of a file of a scan");
    else if (h.ranged.object)
        rc = vivo_crew_record(crew, l->in, &rec, &op->err);
    else
        l->in->other(l->in, locator, f.version);
    vivo_ranged_header_free(&h.ranged);
    return rc;
}

static int do_task(struct vivo_crew *crew, void *ctx, const char *task,
                   struct vivo_op *op)
{
    struct looking *l = ctx;
    if (task[0])
        return look_at(crew, l, task, op);
    int rc = 0;
    for (size_t at = 0; rc == 0 && at < l->tasks.len;) {
        const char *one = (const char *)l->tasks.data + at;
        rc = vivo_crew_add(crew, one, &op->err);
        at += strlen(one) + 1;
    }
    return rc;
}

int vivo_xnat_headers(struct vivo_archive *self, const char *series,
                      struct vivo_intake *in, struct vivo_op *op)
{
    struct looking l = {.x = xnat_of(self), .in = in};
    struct xnat_place scan;
    vivo_buf_init(&l.tasks, TASKS_BYTES);
    int rc = vivo_xnat_place_read(series, VIVO_LEVEL_SERIES, &scan, &op->err);
    if (rc == 0)
        rc = vivo_xnat_files(l.x, &scan, add_task, &l, op);
    if (rc == 0 && l.tasks.len)
        rc = vivo_crew_run(HEADER_THREADS, TASKS_BYTES, do_task, &l, "", op);
    vivo_buf_free(&l.tasks);
    return rc;
}
