/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/xnat_headers.c -- headers of the files of a scan, and of files that are
 * of none: these are where their headers say.
 *
 * XNAT answers no ranges: each file is read from its beginning, and the reply ended
 * behind the header. */
#include "crew.h"
#include "header_range.h"
#include "xnat.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define HEADER_THREADS 4
#define TASKS_BYTES (256u << 20)
#define END_OF_FIELD '\1' /* in no id or path, which have no control characters */

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

void vivo_xnat_looking_init(struct xnat_looking *l, struct xnat *x,
                            struct vivo_intake *in)
{
    *l = (struct xnat_looking){.x = x, .in = in};
    vivo_buf_init(&l->tasks, TASKS_BYTES);
}

/* What the list of files tells of one, as a task. */
int vivo_xnat_look(struct xnat_looking *l, const struct xnat_file *f,
                   struct vivo_err *err)
{
    char locator[XNAT_LOCATOR_MAX];
    vivo_xnat_place_write(&f->place, VIVO_LEVEL_INSTANCE, locator);
    if (vivo_buf_printf(&l->tasks, "%s%c%s%c%" PRIu64 "%c%s", locator, END_OF_FIELD,
                        f->version, END_OF_FIELD, f->size, END_OF_FIELD, f->key) ||
        vivo_buf_add(&l->tasks, "", 1))
        return vivo_fail(err, ENOMEM, "too many files in one place");
    return 0;
}

static const char *take_field(const char **at, char *out, size_t cap)
{
    size_t n = strcspn(*at, (const char[]){END_OF_FIELD, '\0'});
    snprintf(out, cap, "%.*s", (int)n, *at);
    *at += n + ((*at)[n] == END_OF_FIELD);
    return out;
}

/* One that nobody can read stands beside the others, where it is of no scan. */
static bool is_unreadable(const struct xnat_looking *l, int rc,
                          const struct vivo_net_reply *reply)
{
    return l->owner != XNAT_SCAN &&
           (rc == -ENOENT || (rc == -EACCES && reply->status == 403));
}

static int take_header(struct vivo_crew *crew, struct xnat_looking *l,
                       const struct xnat_file *f, const char *locator,
                       const struct vivo_ranged_header *h, struct vivo_op *op)
{
    bool scan = l->owner == XNAT_SCAN;
    const struct vivo_record rec = {.level = VIVO_LEVEL_INSTANCE,
                                    .locator = locator,
                                    .patient = l->patient,
                                    .key = scan ? f->key : NULL,
                                    .label = vivo_xnat_file_label(f),
                                    .where = l->where ? f->key : NULL,
                                    .version = f->version[0] ? f->version : NULL,
                                    .size = h->size ? h->size : f->size,
                                    .size_about = true,
                                    .attrs = {h->attrs.data, h->attrs.len},
                                    .headers = true};
    if (h->object)
        return vivo_crew_record(crew, l->in, &rec, &op->err);
    if (h->foreign && !scan)
        return vivo_xnat_extra(l->in, f, locator, &op->err);
    l->in->other(l->in, locator, f->version);
    return 0;
}

static int look_at(struct vivo_crew *crew, struct xnat_looking *l, const char *task,
                   struct vivo_op *op)
{
    struct header h = {.x = l->x};
    struct vivo_net_reply reply = {0};
    struct xnat_file f = {.dicom = true};
    char path[XNAT_URL_MAX], locator[XNAT_LOCATOR_MAX], size[24];
    take_field(&task, locator, sizeof locator);
    take_field(&task, f.version, sizeof f.version);
    f.size = strtoull(take_field(&task, size, sizeof size), NULL, 10);
    take_field(&task, f.key, sizeof f.key);
    int rc = vivo_xnat_place_read(locator, VIVO_LEVEL_INSTANCE, &f.place, &op->err);
    if (rc)
        return rc;
    vivo_xnat_file_path(&f.place, path);
    rc = vivo_xnat_ask(l->x, path, ask_header, &h, &reply, op);
    l->in->alive(l->in);
    if (rc == 0) {
        rc = take_header(crew, l, &f, locator, &h.ranged, op);
    } else if (is_unreadable(l, rc, &reply)) {
        vivo_err_clear(&op->err);
        l->in->other(l->in, locator, f.version);
        rc = 0;
    } else {
        vivo_fail_in(&op->err, "the header of a file");
    }
    vivo_ranged_header_free(&h.ranged);
    return rc;
}

static int do_task(struct vivo_crew *crew, void *ctx, const char *task,
                   struct vivo_op *op)
{
    struct xnat_looking *l = ctx;
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

int vivo_xnat_look_all(struct xnat_looking *l, struct vivo_op *op)
{
    return l->tasks.len ? vivo_crew_run(HEADER_THREADS, TASKS_BYTES, do_task, l, "", op)
                        : 0;
}

static int add_of_scan(void *ctx, const struct xnat_file *f, struct vivo_op *op)
{
    struct xnat_looking *l = ctx;
    char locator[XNAT_LOCATOR_MAX];
    if (f->dicom)
        return vivo_xnat_look(l, f, &op->err);
    vivo_xnat_place_write(&f->place, VIVO_LEVEL_INSTANCE, locator);
    return vivo_xnat_extra(l->in, f, locator, &op->err); /* else it were gone */
}

/* Of objects of no scan all that lie together, where they are already. */
static int add_of_owner(void *ctx, const struct xnat_file *f, struct vivo_op *op)
{
    return f->dicom ? vivo_xnat_look(ctx, f, &op->err) : 0;
}

int vivo_xnat_headers(struct vivo_archive *self, const char *series,
                      struct vivo_intake *in, struct vivo_op *op)
{
    struct xnat_looking l;
    struct xnat_place p;
    vivo_xnat_looking_init(&l, xnat_of(self), in);
    int rc = vivo_xnat_place_read(series, VIVO_LEVEL_SERIES, &p, &op->err);
    if (rc && vivo_xnat_place_read(series, VIVO_LEVEL_INSTANCE, &p, &op->err) == 0 &&
        p.owner != XNAT_SCAN) {
        vivo_err_clear(&op->err);
        rc = 0;
    }
    l.owner = p.owner;
    if (rc == 0)
        rc = vivo_xnat_files(l.x, &p, "", p.owner ? add_of_owner : add_of_scan, &l,
                             NULL, op);
    if (rc == 0)
        rc = vivo_xnat_look_all(&l, op);
    vivo_buf_free(&l.tasks);
    return rc;
}
