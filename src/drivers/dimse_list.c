/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/dimse_list.c -- studies, series and instances by C-FIND (PS3.4 annex
 * C.6.2, study root). A record carries what is known of its ancestors, always from the
 * ancestor's own row, so that a study looks the same at every level. */
#include "dimse.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

const uint32_t vivo_dimse_study_fields[] = {VIVO_TAG_StudyDate,
                                            VIVO_TAG_StudyTime,
                                            VIVO_TAG_AccessionNumber,
                                            VIVO_TAG_ModalitiesInStudy,
                                            VIVO_TAG_StudyDescription,
                                            VIVO_TAG_PatientName,
                                            VIVO_TAG_PatientID,
                                            VIVO_TAG_IssuerOfPatientID,
                                            VIVO_TAG_PatientBirthDate,
                                            VIVO_TAG_PatientSex,
                                            VIVO_TAG_StudyInstanceUID,
                                            VIVO_TAG_StudyID,
                                            VIVO_TAG_NumberOfStudyRelatedSeries,
                                            VIVO_TAG_NumberOfStudyRelatedInstances,
                                            0};
static const uint32_t series_fields[] = {VIVO_TAG_Modality,
                                         VIVO_TAG_SeriesDescription,
                                         VIVO_TAG_BodyPartExamined,
                                         VIVO_TAG_ProtocolName,
                                         VIVO_TAG_SeriesInstanceUID,
                                         VIVO_TAG_SeriesNumber,
                                         VIVO_TAG_NumberOfSeriesRelatedInstances,
                                         0};
static const uint32_t instance_fields[] = {
    VIVO_TAG_SOPClassUID, VIVO_TAG_SOPInstanceUID, VIVO_TAG_InstanceNumber,
    VIVO_TAG_NumberOfFrames, 0};

struct listing {
    struct dimse *d;
    enum vivo_level level; /* of the records */
    struct dimse_place place;
    struct vivo_intake *in;
    struct vivo_buf base, merged;
    char modality[20];
    size_t rows, own; /* own: those that were asked for */
};

static void add_fields(struct dimse_keys *k, const uint32_t *fields)
{
    for (size_t i = 0; fields[i]; i++)
        vivo_dimse_keys_add(k, fields[i], "");
}

static uint32_t uid_tag(enum vivo_level level)
{
    return level == VIVO_LEVEL_STUDY    ? VIVO_TAG_StudyInstanceUID
           : level == VIVO_LEVEL_SERIES ? VIVO_TAG_SeriesInstanceUID
                                        : VIVO_TAG_SOPInstanceUID;
}

/* ---- records ------------------------------------------------------------------ */

int vivo_dimse_emit_study(struct dimse *d, struct vivo_attrs row,
                          struct vivo_intake *in, struct vivo_err *err)
{
    char uid[VIVO_UID_MAX + 2];
    char locator[DIMSE_LOCATOR_MAX];
    char head[DIMSE_HEAD_MAX];
    struct dimse_place p = {.of_patient = atomic_load(&d->root) == DIMSE_ROOT_PATIENT};
    const struct vivo_record rec = {
        .level = VIVO_LEVEL_STUDY, .locator = locator, .attrs = row};
    vivo_attrs_text(row, VIVO_TAG_StudyInstanceUID, uid, sizeof uid);
    if (!vivo_dicomweb_uid_ok(uid)) {
        in->other(in, "?study", NULL);
        return 0;
    }
    vivo_attrs_text(row, VIVO_TAG_PatientID, p.patient, sizeof p.patient);
    vivo_dimse_place_head(&p, head);
    snprintf(locator, sizeof locator, "%s%s", head, uid);
    vivo_dicomweb_memory_put(d->memory, locator, row);
    if (in->alive)
        in->alive(in);
    return in->record(in, &rec, err);
}

/* "[~PATIENT/]STUDY/SERIES[/INSTANCE[/KIND]]" */
static void write_locator(const struct listing *l, struct vivo_attrs row,
                          const char *uid, char out[DIMSE_LOCATOR_MAX])
{
    char kind[DIMSE_KIND_MAX];
    char head[DIMSE_HEAD_MAX];
    vivo_dimse_place_head(&l->place, head);
    if (l->level == VIVO_LEVEL_SERIES) {
        snprintf(out, DIMSE_LOCATOR_MAX, "%s%s/%s", head, l->place.study, uid);
        return;
    }
    if (!vivo_attrs_text(row, VIVO_TAG_SOPClassUID, kind, sizeof kind))
        snprintf(kind, sizeof kind, "%s", l->modality);
    bool known = vivo_dimse_kind_ok(kind);
    snprintf(out, DIMSE_LOCATOR_MAX, "%s%s/%s/%s%s%s", head, l->place.study,
             l->place.series, uid, known ? "/" : "", known ? kind : "");
}

/* A server that ignores a key gives what belongs to somebody else. */
static bool is_own(const struct listing *l, struct vivo_attrs row)
{
    char uid[VIVO_UID_MAX + 2];
    char id[DIMSE_PATIENT_MAX + 2];
    if (l->place.of_patient &&
        vivo_attrs_text(row, VIVO_TAG_PatientID, id, sizeof id) &&
        strcmp(id, l->place.patient) != 0)
        return false;
    if (vivo_attrs_text(row, VIVO_TAG_StudyInstanceUID, uid, sizeof uid) &&
        strcmp(uid, l->place.study) != 0)
        return false;
    return l->level == VIVO_LEVEL_SERIES ||
           !vivo_attrs_text(row, VIVO_TAG_SeriesInstanceUID, uid, sizeof uid) ||
           strcmp(uid, l->place.series) == 0;
}

static int emit_row(void *ctx, struct vivo_attrs row, struct vivo_err *err)
{
    struct listing *l = ctx;
    char uid[VIVO_UID_MAX + 2];
    char locator[DIMSE_LOCATOR_MAX];
    struct vivo_record rec = {.level = l->level, .locator = locator};
    l->rows++;
    if (!is_own(l, row))
        return 0;
    l->own++;
    vivo_attrs_text(row, uid_tag(l->level), uid, sizeof uid);
    if (!vivo_dicomweb_uid_ok(uid)) {
        l->in->other(l->in, "?uid", NULL);
        return 0;
    }
    write_locator(l, row, uid, locator);
    vivo_buf_clear(&l->merged);
    struct vivo_attrs base = {l->base.data, l->base.len};
    if (vivo_attrs_merge(base, row, &l->merged))
        return vivo_fail(err, ENOSPC, "dimse: attributes too large");
    rec.attrs = (struct vivo_attrs){l->merged.data, l->merged.len};
    if (l->level == VIVO_LEVEL_SERIES)
        vivo_dicomweb_memory_put(l->d->memory, locator, rec.attrs);
    if (l->in->alive)
        l->in->alive(l->in);
    return l->in->record(l->in, &rec, err);
}

/* ---- ancestors ---------------------------------------------------------------- */

struct ancestor {
    const char *uid;
    uint32_t tag;
    struct vivo_buf *out;
    bool found;
};

static int keep_ancestor(void *ctx, struct vivo_attrs row, struct vivo_err *err)
{
    struct ancestor *a = ctx;
    char uid[VIVO_UID_MAX + 2];
    vivo_attrs_text(row, a->tag, uid, sizeof uid);
    if (a->found || strcmp(uid, a->uid) != 0)
        return 0;
    a->found = true;
    return vivo_buf_add(a->out, row.data, row.len)
               ? vivo_fail(err, ENOSPC, "dimse: attributes too large")
               : 0;
}

static int ask_ancestor(struct dimse *d, struct dimse_keys *k, uint32_t tag,
                        const char *uid, struct vivo_buf *out, struct vivo_op *op)
{
    struct dimse_answer got = {0};
    struct ancestor a = {uid, tag, out, false};
    vivo_dimse_keys_add(k, tag, uid);
    int rc = vivo_dimse_ask(d, k, keep_ancestor, &a, &got, op);
    if (rc == 0 && got.status != 0)
        rc = vivo_dimse_status_fail(got.status, "C-FIND", &op->err);
    if (rc == 0 && !a.found)
        rc = vivo_fail(&op->err, ENOENT, "the server does not have this any more");
    return rc;
}

static int merge_rows(const struct vivo_buf *under, const struct vivo_buf *over,
                      struct vivo_buf *out, struct vivo_err *err)
{
    return vivo_attrs_merge((struct vivo_attrs){under->data, under->len},
                            (struct vivo_attrs){over->data, over->len}, out)
               ? vivo_fail(err, ENOSPC, "dimse: attributes too large")
               : 0;
}

static int study_base(struct dimse *d, const struct dimse_place *p,
                      struct vivo_buf *out, struct vivo_op *op)
{
    struct dimse_keys k = {.level = "STUDY"};
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf patient = {0};
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf study = {0};
    char locator[DIMSE_LOCATOR_MAX];
    char head[DIMSE_HEAD_MAX];
    vivo_dimse_place_head(p, head);
    snprintf(locator, sizeof locator, "%s%s", head, p->study);
    if (vivo_dicomweb_memory_get(d->memory, locator, out))
        return 0;
    vivo_buf_init(&patient, VIVO_ATTRS_MAX);
    vivo_buf_init(&study, VIVO_ATTRS_MAX);
    add_fields(&k, vivo_dimse_study_fields);
    if (p->of_patient)
        vivo_dimse_keys_patient(&k, p->patient);
    int rc = ask_ancestor(d, &k, VIVO_TAG_StudyInstanceUID, p->study, &study, op);
    if (rc == 0 && p->of_patient)
        rc = vivo_dimse_patient(d, p->patient, &patient, op);
    return rc ? rc : merge_rows(&patient, &study, out, &op->err);
}

static int series_base(struct dimse *d, const struct dimse_place *p,
                       struct vivo_buf *out, struct vivo_op *op)
{
    char locator[DIMSE_LOCATOR_MAX];
    char head[DIMSE_HEAD_MAX];
    struct dimse_keys k = {.level = "SERIES"};
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf study = {0};
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf series = {0};
    vivo_dimse_place_head(p, head);
    snprintf(locator, sizeof locator, "%s%s/%s", head, p->study, p->series);
    if (vivo_dicomweb_memory_get(d->memory, locator, out))
        return 0;
    vivo_buf_init(&study, VIVO_ATTRS_MAX);
    vivo_buf_init(&series, VIVO_ATTRS_MAX);
    add_fields(&k, series_fields);
    vivo_dimse_keys_place(&k, p);
    int rc = study_base(d, p, &study, op);
    if (rc == 0)
        rc = ask_ancestor(d, &k, VIVO_TAG_SeriesInstanceUID, p->series, &series, op);
    return rc ? rc : merge_rows(&study, &series, out, &op->err);
}

/* ---- list ---------------------------------------------------------------------- */

static int emit_one_study(void *ctx, struct vivo_attrs row, struct vivo_err *err)
{
    struct listing *l = ctx;
    return vivo_dimse_emit_study(l->d, row, l->in, err);
}

static int list_studies(struct listing *l, struct vivo_op *op)
{
    struct dimse_keys k = {.level = "STUDY"};
    const struct dimse_studies s = {
        .d = l->d, .keys = &k, .fn = emit_one_study, .ctx = l};
    add_fields(&k, vivo_dimse_study_fields);
    return vivo_dimse_studies(&s, op);
}

/* Below a study there is no key to part an answer by: it must be as long as the server
 * says, or shorter than the longest that it gives. */
static int check_length(const struct listing *l, struct vivo_err *err)
{
    char count[20];
    uint32_t tag = l->level == VIVO_LEVEL_SERIES
                       ? VIVO_TAG_NumberOfStudyRelatedSeries
                       : VIVO_TAG_NumberOfSeriesRelatedInstances;
    struct vivo_attrs base = {l->base.data, l->base.len};
    unsigned cap = __atomic_load_n(&l->d->cap, __ATOMIC_RELAXED);
    bool told = vivo_attrs_text(base, tag, count, sizeof count);
    long long n = told ? strtoll(count, NULL, 10) : 0;
    if (told ? (long long)l->own >= n : !cap || l->rows < cap)
        return 0;
    return vivo_fail(err, EIO,
                     told
                         ? "the server lists fewer %s than it says there are"
                         : "the server cuts its answers, and this one of %s is as long "
                           "as the longest",
                     l->level == VIVO_LEVEL_SERIES ? "series" : "instances");
}

static int list_below(struct listing *l, struct vivo_op *op)
{
    bool series = l->level == VIVO_LEVEL_SERIES;
    struct dimse_keys k = {.level = series ? "SERIES" : "IMAGE"};
    struct dimse_answer got = {0};
    int rc = series ? study_base(l->d, &l->place, &l->base, op)
                    : series_base(l->d, &l->place, &l->base, op);
    if (rc)
        return rc;
    vivo_attrs_text((struct vivo_attrs){l->base.data, l->base.len}, VIVO_TAG_Modality,
                    l->modality, sizeof l->modality);
    add_fields(&k, series ? series_fields : instance_fields);
    vivo_dimse_keys_place(&k, &l->place);
    rc = vivo_dimse_ask(l->d, &k, emit_row, l, &got, op);
    if (rc == 0 && got.status != 0)
        rc = vivo_dimse_status_fail(got.status, "C-FIND", &op->err);
    return rc ? rc : check_length(l, &op->err);
}

int vivo_dimse_list(struct vivo_archive *self, enum vivo_level level,
                    const char *parent, struct vivo_intake *in, struct vivo_op *op)
{
    struct listing l = {.d = dimse_of(self), .in = in};
    int rc = 0;
    l.level = level == VIVO_LEVEL_NONE    ? VIVO_LEVEL_STUDY
              : level == VIVO_LEVEL_STUDY ? VIVO_LEVEL_SERIES
                                          : VIVO_LEVEL_INSTANCE;
    vivo_buf_init(&l.base, VIVO_ATTRS_MAX);
    vivo_buf_init(&l.merged, VIVO_ATTRS_MAX);
    if (parent)
        rc = vivo_dimse_place_read(parent, level, &l.place, &op->err);
    if (rc == 0)
        rc = parent ? list_below(&l, op) : list_studies(&l, op);
    vivo_buf_free(&l.base);
    vivo_buf_free(&l.merged);
    return rc;
}
