/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/xnat_resources.c -- files that are of no scan: resources of sessions, of
 * their assessors (contours and segmentations drawn on them), of subjects and projects.
 *
 * Objects among them are where their headers say, below what they belong to; the rest
 * is shown as it is. Which sessions and subjects have any the table of sessions tells
 * in a column, and one more table which have assessors, so that those that have nothing
 * cost no request; where a server does not tell, each is asked. */
#include "xnat_list.h"

#include "vivofs/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool has_label(const json_t *row, const char *column)
{
    char label[XNAT_ID_MAX + 1];
    vivo_xnat_text(row, column, label, sizeof label);
    return label[0] || !vivo_xnat_has(row, column);
}

void vivo_xnat_take_resources(const json_t *row, struct xnat_row *r)
{
    if (has_label(row, "xnat:imageSessionData/resources/resource/label"))
        r->has |= XNAT_HAS_RESOURCES;
    r->subject_has = has_label(row, "xnat:subjectData/resources/resource/label");
}

/* ---- the files of one owner ---------------------------------------------------------
 */

struct belongings {
    struct xnat_listing *l;
    struct xnat_looking looking;
};

static int take_file(void *ctx, const struct xnat_file *f, struct vivo_op *op)
{
    struct belongings *b = ctx;
    struct vivo_intake *in = b->l->in;
    char locator[XNAT_LOCATOR_MAX];
    vivo_xnat_place_write(&f->place, VIVO_LEVEL_INSTANCE, locator);
    if (f->version[0] && in->known(in, locator, f->version))
        return 0;
    return f->dicom ? vivo_xnat_look(&b->looking, f, &op->err)
                    : vivo_xnat_extra(in, f, locator, &op->err);
}

/* There is something, and it is not for this account, or the server has no such list.
 */
static bool is_closed(int rc, int status)
{
    return rc && (status == 400 || status == 403 || status == 404 || status == 406 ||
                  status == 422);
}

static int list_files(struct xnat_listing *l, const struct xnat_place *owner,
                      const char *folder, const char *patient)
{
    struct belongings b = {.l = l};
    int status = 0;
    vivo_xnat_looking_init(&b.looking, l->x, l->in);
    b.looking.owner = owner->owner;
    b.looking.patient = patient;
    b.looking.where = true;
    l->in->alive(l->in);
    int rc = vivo_xnat_files(l->x, owner, folder, take_file, &b, &status, l->op);
    if (is_closed(rc, status)) {
        vivo_err_clear(&l->op->err);
        l->closed++;
        rc = 0;
    } else if (rc == 0) {
        rc = vivo_xnat_look_all(&b.looking, l->op);
    }
    vivo_buf_free(&b.looking.tasks);
    return rc;
}

static int tell_closed(const struct xnat_listing *l, int rc)
{
    if (rc == 0 && l->closed)
        vivo_log(VIVO_LOG_WARN, "drivers.xnat",
                 "resources of %zu projects, subjects, sessions or assessors are not "
                 "told to this account: left out",
                 l->closed);
    return rc;
}

/* ---- above sessions -----------------------------------------------------------------
 */

int vivo_xnat_list_above(struct xnat_listing *l)
{
    struct xnat_place p = {.owner = XNAT_PROJECT};
    const char *last = "";
    memcpy(p.project, l->parent.project, sizeof p.project);
    int rc = list_files(l, &p, "", NULL);
    p.owner = XNAT_SUBJECT;
    /* Rows are in the order of their subjects. */
    for (size_t i = 0; rc == 0 && i < l->count; i++) {
        const struct xnat_row *r = &l->rows[i];
        char folder[XNAT_ID_MAX + 16];
        if (!r->subject_has || !vivo_xnat_id_ok(r->subject_id) ||
            strcmp(last, r->subject_id) == 0)
            continue;
        last = r->subject_id;
        snprintf(p.session, sizeof p.session, "%s", r->subject_id);
        snprintf(folder, sizeof folder, "subjects/%.*s/", XNAT_ID_MAX, r->subject);
        rc = list_files(l, &p, folder, r->subject);
    }
    return tell_closed(l, rc);
}

/* ---- assessors ----------------------------------------------------------------------
 */

static int compare_ids(const void *a, const void *b)
{
    const struct xnat_row *const *x = a;
    const struct xnat_row *const *y = b;
    return strcmp((*x)->id, (*y)->id);
}

struct by_id {
    struct xnat_row **rows; /* borrowed, by id */
    size_t n;
    bool dark;
};

static int take_assessed(void *ctx, json_t *row, struct vivo_err *err)
{
    struct by_id *ids = ctx;
    char session[XNAT_ID_MAX + 1];
    struct xnat_row key = {.id = session}, *want = &key;
    (void)err;
    vivo_xnat_text(row, "session_ID|xnat:imageAssessorData/imageSession_ID", session,
                   sizeof session);
    ids->dark = ids->dark || !session[0];
    struct xnat_row **found =
        ids->n ? bsearch(&want, ids->rows, ids->n, sizeof *found, compare_ids) : NULL;
    if (found)
        (*found)->has |= XNAT_HAS_ASSESSORS;
    return 0;
}

static int ask_assessed(struct xnat_listing *l, struct by_id *ids)
{
    char path[XNAT_URL_MAX], project[3 * XNAT_ID_MAX + 1];
    int status = 0;
    vivo_xnat_encode(l->parent.project, false, project, sizeof project);
    snprintf(path, sizeof path,
             "/data/projects/%s/experiments?format=json&xsiType=xnat:imageAssessorData&"
             "columns=ID,session_ID,xnat:imageAssessorData/imageSession_ID",
             project);
    int rc =
        vivo_xnat_table(l->x, "assessors", path, take_assessed, ids, &status, l->op);
    if (!vivo_xnat_is_refusal(rc, status) && status != 403)
        return rc;
    vivo_err_clear(&l->op->err);
    ids->dark = true;
    return 0;
}

int vivo_xnat_mark_assessors(struct xnat_listing *l)
{
    struct by_id ids = {.n = 0};
    vivo_xnat_sort(l);
    if (l->count == 0)
        return 0;
    ids.rows = calloc(l->count, sizeof *ids.rows);
    if (!ids.rows)
        return vivo_fail(&l->op->err, ENOMEM, "xnat: out of memory");
    for (; ids.n < l->count; ids.n++)
        ids.rows[ids.n] = &l->rows[ids.n];
    qsort(ids.rows, ids.n, sizeof *ids.rows, compare_ids);
    ids.dark = atomic_load(&l->x->defaults);
    int rc = ids.dark ? 0 : ask_assessed(l, &ids);
    /* Those of a session that is shared are in its own project's table. */
    for (size_t i = 0; rc == 0 && i < l->count; i++)
        if (ids.dark || l->rows[i].shared)
            l->rows[i].has |= XNAT_HAS_ASSESSORS;
    free(ids.rows);
    return rc;
}

/* ---- beside scans -------------------------------------------------------------------
 */

static int take_assessor(void *ctx, json_t *row, struct vivo_err *err)
{
    struct xnat_listing *l = ctx;
    struct xnat_row r = {.id = vivo_xnat_take(l, row, "ID"),
                         .label = vivo_xnat_take(l, row, "label"),
                         .subject = "",
                         .uid = ""};
    if (!r.id || !r.label)
        return vivo_fail(err, ENOMEM, "xnat: out of memory");
    if (vivo_xnat_id_ok(r.id))
        return vivo_xnat_add_row(l, &r, err);
    l->nameless++;
    return 0;
}

static int emit_assessor(struct xnat_listing *l, const struct xnat_row *r)
{
    struct xnat_place p = l->parent;
    char folder[XNAT_ID_MAX + 2];
    p.owner = XNAT_ASSESSOR;
    snprintf(p.scan, sizeof p.scan, "%s", r->id);
    snprintf(folder, sizeof folder, "%.*s/", XNAT_ID_MAX,
             r->label[0] ? r->label : r->id);
    return list_files(l, &p, folder, NULL);
}

static int list_assessors(struct xnat_listing *l)
{
    char path[XNAT_URL_MAX];
    int status = 0;
    l->count = l->nameless = 0;
    vivo_xnat_home(&l->parent, path);
    size_t n = strlen(path);
    snprintf(path + n, sizeof path - n, "/assessors?format=json");
    int rc = vivo_xnat_table(l->x, "assessors", path, take_assessor, l, &status, l->op);
    if (is_closed(rc, status)) {
        vivo_err_clear(&l->op->err);
        l->closed++;
        l->count = 0;
        return 0;
    }
    if (rc == 0)
        rc = vivo_xnat_emit_all(l, emit_assessor);
    vivo_xnat_tell_nameless(l, "assessors");
    return rc;
}

int vivo_xnat_list_beside(struct xnat_listing *l)
{
    struct xnat_place p = l->parent;
    int rc = 0;
    p.owner = XNAT_SESSION;
    l->parent.owner = XNAT_SESSION; /* whose assessors they are */
    if (p.has & XNAT_HAS_RESOURCES)
        rc = list_files(l, &p, "", NULL);
    if (rc == 0 && p.has & XNAT_HAS_ASSESSORS)
        rc = list_assessors(l);
    return tell_closed(l, rc);
}
