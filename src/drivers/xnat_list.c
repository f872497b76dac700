/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/xnat_list.c -- projects, sessions with their subjects, scans, files.
 *
 * One request a level: all imaging sessions of a project come with subject, date and
 * UID in the columns of one table. Servers that cannot do that are asked subject by
 * subject. A UID that two siblings claim, or that is missing, cannot tell them apart:
 * they are known by the archive's own ids then (vivo_record.key). */
#include "xnat_list.h"
#include "dicomjson_value.h"

#include "vivofs/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define ROWS_MAX (4u << 20)
#define ARENA_BYTES (1u << 30)

/* ---- rows -------------------------------------------------------------------------
 */

const char *vivo_xnat_keep(struct xnat_listing *l, const char *text)
{
    return vivo_arena_strndup(l->arena, text, strlen(text));
}

const char *vivo_xnat_take(struct xnat_listing *l, const json_t *row,
                           const char *columns)
{
    char text[XNAT_CELL_MAX];
    vivo_xnat_text(row, columns, text, sizeof text);
    return vivo_xnat_keep(l, text);
}

int vivo_xnat_add_row(struct xnat_listing *l, const struct xnat_row *r,
                      struct vivo_err *err)
{
    struct xnat_row *rows =
        vivo_array_grow(l->rows, l->count, &l->cap, sizeof *rows, ROWS_MAX);
    if (!rows)
        return vivo_fail(err, l->count >= ROWS_MAX ? EIO : ENOMEM, "too many rows");
    l->rows = rows;
    l->rows[l->count++] = *r;
    return 0;
}

bool vivo_xnat_id_ok(const char *id)
{
    if (!id[0] || strlen(id) > XNAT_ID_MAX || strcmp(id, ".") == 0 ||
        strcmp(id, "..") == 0)
        return false;
    for (; *id; id++)
        if ((unsigned char)*id < 0x20 || *id == 0x7F)
            return false;
    return true;
}

/* Digits and dots, at most 64: PS3.5 section 9.1, leading zeros tolerated. */
bool vivo_xnat_uid_ok(const char *uid)
{
    size_t n = strspn(uid, "0123456789.");
    return n > 0 && n <= VIVO_UID_MAX && !uid[n] && uid[0] != '.' &&
           uid[n - 1] != '.' && !strstr(uid, "..");
}

static int by_id(const void *a, const void *b)
{
    const struct xnat_row *x = a;
    const struct xnat_row *y = b;
    int c = strcmp(x->subject, y->subject);
    return c ? c : strcmp(x->id, y->id);
}

static int by_uid(const void *a, const void *b)
{
    const struct xnat_row *x = a;
    const struct xnat_row *y = b;
    int c = strcmp(x->subject, y->subject);
    return c ? c : strcmp(x->uid, y->uid);
}

/* Joins make one thing several rows; siblings may claim one UID. Ordered by id at the
 * end, so that a listing is the same whatever order the rows came in. */
void vivo_xnat_sort(struct xnat_listing *l)
{
    size_t n = 0;
    if (l->count == 0)
        return;
    qsort(l->rows, l->count, sizeof *l->rows, by_id);
    for (size_t i = 0; i < l->count; i++) {
        if (n == 0 || by_id(&l->rows[n - 1], &l->rows[i]) != 0) {
            l->rows[n++] = l->rows[i];
            continue;
        }
        l->rows[n - 1].has |= l->rows[i].has;
        l->rows[n - 1].subject_has |= l->rows[i].subject_has;
    }
    l->count = n;
    qsort(l->rows, n, sizeof *l->rows, by_uid);
    for (size_t i = 1; i < n; i++)
        if (by_uid(&l->rows[i - 1], &l->rows[i]) == 0)
            l->rows[i - 1].twice = l->rows[i].twice = true;
    qsort(l->rows, n, sizeof *l->rows, by_id);
}

void vivo_xnat_tell_nameless(const struct xnat_listing *l, const char *what)
{
    if (l->nameless)
        vivo_log(VIVO_LOG_WARN, "drivers.xnat",
                 "%zu %s have ids that cannot be asked for: left out", l->nameless,
                 what);
}

/* What was listed a moment ago is not gone: the server, or the right, is. */
int vivo_xnat_not_gone(int rc, struct vivo_op *op)
{
    if (rc != -ENOENT)
        return rc;
    op->err.errnum = EIO;
    return -EIO;
}

/* ---- projects ---------------------------------------------------------------------
 */

static int take_project(void *ctx, json_t *row, struct vivo_err *err)
{
    struct xnat_listing *l = ctx;
    struct xnat_row r = {.id = vivo_xnat_take(l, row, "ID"), .subject = "", .uid = ""};
    if (!r.id)
        return vivo_fail(err, ENOMEM, "xnat: out of memory");
    if (!vivo_xnat_id_ok(r.id)) {
        l->nameless++;
        return 0;
    }
    return vivo_xnat_add_row(l, &r, err);
}

static int emit_project(struct xnat_listing *l, const struct xnat_row *r)
{
    char locator[XNAT_LOCATOR_MAX];
    struct xnat_place p = {0};
    snprintf(p.project, sizeof p.project, "%s", r->id);
    vivo_xnat_place_write(&p, VIVO_LEVEL_COLLECTION, locator);
    const struct vivo_record rec = {
        .level = VIVO_LEVEL_COLLECTION, .locator = locator, .collection = p.project};
    return l->in->record(l->in, &rec, &l->op->err);
}

int vivo_xnat_emit_all(struct xnat_listing *l, xnat_emit_fn *emit)
{
    int rc = 0;
    vivo_xnat_sort(l);
    for (size_t i = 0; rc == 0 && i < l->count; i++) {
        rc = vivo_op_check(l->op);
        if (rc == 0)
            rc = emit(l, &l->rows[i]);
    }
    return rc;
}

static int list_projects(struct xnat_listing *l)
{
    int status;
    int rc =
        vivo_xnat_table(l->x, "projects", "/data/projects?format=json&accessible=true",
                        take_project, l, &status, l->op);
    if (rc == 0)
        rc = vivo_xnat_emit_all(l, emit_project);
    vivo_xnat_tell_nameless(l, "projects");
    return vivo_xnat_not_gone(rc, l->op);
}

/* ---- sessions ---------------------------------------------------------------------
 */

static bool is_imaging(const char *type)
{
    static const char tail[] = "SessionData";
    size_t n = strlen(type);
    return n == 0 || (n >= sizeof tail - 1 &&
                      strcasecmp(type + n - (sizeof tail - 1), tail) == 0);
}

/* Its own project's or, where the server does not say whose it is, this one's. */
static bool is_shared(const struct xnat_listing *l, const json_t *row)
{
    char project[XNAT_ID_MAX + 1];
    vivo_xnat_text(row, "project", project, sizeof project);
    return project[0] && strcmp(project, l->parent.project) != 0;
}

static int take_session(void *ctx, json_t *row, struct vivo_err *err)
{
    struct xnat_listing *l = ctx;
    const char *type = vivo_xnat_take(l, row, "xsiType");
    const char *id = vivo_xnat_take(l, row,
                                    "subject_ID|xnat:subjectData/ID|"
                                    "xnat:imageSessionData/subject_ID");
    struct xnat_row r = {
        .id = vivo_xnat_take(l, row, "ID"),
        .label = vivo_xnat_take(l, row, "label|xnat:imageSessionData/label"),
        .subject = l->subject
                       ? l->subject
                       : vivo_xnat_take(l, row, "subject_label|xnat:subjectData/label"),
        .uid = vivo_xnat_take(l, row, "UID|xnat:imageSessionData/UID"),
        .date = vivo_xnat_take(l, row, "date|xnat:imageSessionData/date"),
        .modality = "",
        .text = "",
        .subject_id =
            id && !id[0] && l->subject_id ? vivo_xnat_keep(l, l->subject_id) : id,
        .shared = is_shared(l, row),
    };
    vivo_xnat_take_resources(row, &r);
    if (!type || !id || !r.id || !r.label || !r.subject || !r.subject_id || !r.uid ||
        !r.date)
        return vivo_fail(err, ENOMEM, "xnat: out of memory");
    if (!is_imaging(type))
        return 0;
    if (!r.subject[0])
        r.subject = id; /* what the archive tells subjects apart by */
    if (!vivo_xnat_id_ok(r.id)) {
        l->nameless++;
        return 0;
    }
    return vivo_xnat_add_row(l, &r, err);
}

static int emit_session(struct xnat_listing *l, const struct xnat_row *r)
{
    char locator[XNAT_LOCATOR_MAX];
    char date[9];
    struct xnat_place p = {0};
    bool own = vivo_xnat_uid_ok(r->uid) && !r->twice;
    if (r->shared)
        p = l->parent;
    snprintf(p.session, sizeof p.session, "%s", r->id);
    p.has = r->has;
    vivo_xnat_place_write(&p, VIVO_LEVEL_STUDY, locator);
    vivo_xnat_date(r->date, date);
    vivo_buf_clear(&l->attrs);
    int rc =
        vivo_dicomjson_put_text(&l->attrs, VIVO_TAG_SpecificCharacterSet, "ISO_IR 192");
    if (rc == 0)
        rc = vivo_dicomjson_put_text(&l->attrs, VIVO_TAG_StudyDate, date);
    if (rc == 0 && vivo_xnat_uid_ok(r->uid))
        rc = vivo_dicomjson_put_text(&l->attrs, VIVO_TAG_StudyInstanceUID, r->uid);
    if (rc)
        return vivo_fail(&l->op->err, ENOMEM, "xnat: out of memory");
    const struct vivo_record rec = {.level = VIVO_LEVEL_STUDY,
                                    .locator = locator,
                                    .collection = l->parent.project,
                                    .patient = r->subject[0] ? r->subject : NULL,
                                    .key = own ? NULL : r->id,
                                    .label = r->label[0] ? r->label : r->id,
                                    .attrs = {l->attrs.data, l->attrs.len}};
    return l->in->record(l->in, &rec, &l->op->err);
}

#define SESSION_COLUMNS                                                                \
    "ID,project,label,date,xsiType,subject_ID,subject_label,UID,xnat:"                 \
    "imageSessionData/UID"

/* Statuses of a server that is there and does not know the question. */
bool vivo_xnat_is_refusal(int rc, int status)
{
    return rc < 0 && (status == 400 || status == 404 || status == 406 ||
                      status == 422 || status == 500);
}

struct subjects {
    struct xnat_listing *l;
    struct vivo_buf ids; /* "id\0label\0" and so on */
};

static int take_subject(void *ctx, json_t *row, struct vivo_err *err)
{
    struct subjects *s = ctx;
    char id[XNAT_ID_MAX + 1];
    char label[XNAT_ID_MAX + 1];
    vivo_xnat_text(row, "ID", id, sizeof id);
    vivo_xnat_text(row, "label", label, sizeof label);
    if (!vivo_xnat_id_ok(id)) {
        s->l->nameless++;
        return 0;
    }
    const char *shown = label[0] ? label : id;
    if (vivo_buf_add(&s->ids, id, strlen(id) + 1) ||
        vivo_buf_add(&s->ids, shown, strlen(shown) + 1))
        return vivo_fail(err, ENOMEM, "too many subjects");
    return 0;
}

/* Two or more levels by as many requests as there are subjects. */
static int ask_subjects(struct xnat_listing *l, const char *project)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf ids = {0};
    struct subjects s = {.l = l};
    char path[XNAT_URL_MAX];
    char id[3 * XNAT_ID_MAX + 1];
    int status;
    vivo_buf_init(&s.ids, XNAT_TABLE_BYTES);
    snprintf(path, sizeof path, "/data/projects/%s/subjects?format=json", project);
    int rc = vivo_xnat_table(l->x, "subjects", path, take_subject, &s, &status, l->op);
    ids = s.ids;
    for (size_t at = 0; rc == 0 && at < ids.len;) {
        l->subject_id = (const char *)ids.data + at;
        at += strlen(l->subject_id) + 1;
        l->subject = vivo_arena_strndup(l->arena, (const char *)ids.data + at,
                                        strlen((const char *)ids.data + at));
        at += strlen((const char *)ids.data + at) + 1;
        vivo_xnat_encode(l->subject_id, false, id, sizeof id);
        snprintf(path, sizeof path,
                 "/data/projects/%s/subjects/%s/experiments?format=json", project, id);
        l->in->alive(l->in);
        rc = l->subject ? vivo_xnat_table(l->x, "sessions of a subject", path,
                                          take_session, l, &status, l->op)
                        : vivo_fail(&l->op->err, ENOMEM, "xnat: out of memory");
    }
    return rc;
}

/* All at once, with what they have besides scans, if the server can. */
static int ask_sessions(struct xnat_listing *l, const char *project, int *status)
{
    struct xnat *x = l->x;
    char path[XNAT_URL_MAX];
    for (bool labels = !atomic_load(&x->no_labels);; labels = false) {
        l->count = 0;
        snprintf(path, sizeof path,
                 "/data/projects/%s/experiments?format=json&"
                 "xsiType=xnat:imageSessionData&columns=" SESSION_COLUMNS "%s",
                 project, labels ? XNAT_RESOURCE_COLUMNS : "");
        int rc = vivo_xnat_table(x, "sessions", path, take_session, l, status, l->op);
        if (!labels || !vivo_xnat_is_refusal(rc, *status))
            return rc;
        vivo_err_clear(&l->op->err);
        atomic_store(&x->no_labels, true);
    }
}

static int list_sessions(struct xnat_listing *l)
{
    char project[3 * XNAT_ID_MAX + 1];
    int status = 0;
    int rc = 0;
    vivo_xnat_encode(l->parent.project, false, project, sizeof project);
    bool simple = atomic_load(&l->x->defaults);
    if (!simple)
        rc = ask_sessions(l, project, &status);
    if (vivo_xnat_is_refusal(rc, status)) {
        vivo_err_clear(&l->op->err);
        l->count = 0;
        simple = true;
        rc = 0;
    }
    if (rc == 0 && simple) {
        rc = ask_subjects(l, project);
        if (rc == 0)
            atomic_store(&l->x->defaults, true);
    }
    if (rc == 0)
        rc = vivo_xnat_mark_assessors(l);
    if (rc == 0)
        rc = vivo_xnat_emit_all(l, emit_session);
    vivo_xnat_tell_nameless(l, "sessions");
    if (rc == 0)
        rc = vivo_xnat_list_above(l);
    return vivo_xnat_not_gone(rc, l->op);
}

/* ---- files ------------------------------------------------------------------------
 */

const char *vivo_xnat_file_label(const struct xnat_file *f)
{
    const char *slash = strrchr(f->place.file, '/');
    return slash ? slash + 1 : f->place.file;
}

int vivo_xnat_extra(struct vivo_intake *in, const struct xnat_file *f,
                    const char *locator, struct vivo_err *err)
{
    size_t above = f->place.owner == XNAT_SCAN
                       ? strlen(f->place.session) + strlen(f->place.scan) + 2
                       : 0;
    const struct vivo_extra x = {.locator = locator,
                                 .path = f->key + above,
                                 .version = f->version[0] ? f->version : NULL,
                                 .size = f->size ? f->size : VIVO_SIZE_UNKNOWN,
                                 .size_about = true};
    return in->extra(in, &x, err);
}

static int emit_file(void *ctx, const struct xnat_file *f, struct vivo_op *op)
{
    struct xnat_listing *l = ctx;
    char locator[XNAT_LOCATOR_MAX];
    const char *version = f->version[0] ? f->version : NULL;
    vivo_xnat_place_write(&f->place, VIVO_LEVEL_INSTANCE, locator);
    if (version && l->in->known(l->in, locator, version))
        return 0;
    if (!f->dicom)
        return vivo_xnat_extra(l->in, f, locator, &op->err);
    vivo_buf_clear(&l->attrs);
    if (vivo_dicomjson_put_text(&l->attrs, VIVO_TAG_SpecificCharacterSet, "ISO_IR 192"))
        return vivo_fail(&op->err, ENOMEM, "xnat: out of memory");
    const struct vivo_record rec = {.level = VIVO_LEVEL_INSTANCE,
                                    .locator = locator,
                                    .key = f->key,
                                    .label = vivo_xnat_file_label(f),
                                    .version = version,
                                    .size = f->size,
                                    .size_about = true,
                                    .attrs = {l->attrs.data, l->attrs.len}};
    return l->in->record(l->in, &rec, &op->err);
}

/* ---- list -------------------------------------------------------------------------
 */

int vivo_xnat_list(struct vivo_archive *self, enum vivo_level level, const char *parent,
                   struct vivo_intake *in, struct vivo_op *op)
{
    struct xnat_listing l = {.x = xnat_of(self), .in = in, .op = op};
    int rc = parent ? vivo_xnat_place_read(parent, level, &l.parent, &op->err) : 0;
    if (rc)
        return rc;
    vivo_buf_init(&l.attrs, VIVO_ATTRS_MAX);
    l.arena = vivo_arena_new(ARENA_BYTES);
    if (!l.arena)
        rc = vivo_fail(&op->err, ENOMEM, "xnat: out of memory");
    else if (level == VIVO_LEVEL_NONE)
        rc = list_projects(&l);
    else if (level == VIVO_LEVEL_COLLECTION)
        rc = list_sessions(&l);
    else if (level == VIVO_LEVEL_STUDY)
        rc = vivo_xnat_list_scans(&l);
    else
        rc = vivo_xnat_files(l.x, &l.parent, "", emit_file, &l, NULL, op);
    vivo_arena_free(l.arena);
    free(l.rows);
    vivo_buf_free(&l.attrs);
    return rc;
}
