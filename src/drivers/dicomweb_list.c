/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/dicomweb_list.c -- records of studies, series and instances.
 *
 * A record carries what is known of its ancestors too, always from the ancestor's own
 * row, so that the same study looks the same at every level. */
#include "dicomweb.h"

#include "vivofs/hash.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

const uint32_t vivo_dicomweb_study_fields[] = {VIVO_TAG_StudyDate,
                                               VIVO_TAG_StudyTime,
                                               VIVO_TAG_AccessionNumber,
                                               VIVO_TAG_ModalitiesInStudy,
                                               VIVO_TAG_StudyDescription,
                                               VIVO_TAG_PatientName,
                                               VIVO_TAG_PatientID,
                                               VIVO_TAG_IssuerOfPatientID,
                                               VIVO_TAG_PatientBirthDate,
                                               VIVO_TAG_PatientSex,
                                               VIVO_TAG_StudyID,
                                               VIVO_TAG_NumberOfStudyRelatedSeries,
                                               VIVO_TAG_NumberOfStudyRelatedInstances,
                                               0};
const uint32_t vivo_dicomweb_series_fields[] = {VIVO_TAG_Modality,
                                                VIVO_TAG_Manufacturer,
                                                VIVO_TAG_SeriesDescription,
                                                VIVO_TAG_PatientID,
                                                VIVO_TAG_BodyPartExamined,
                                                VIVO_TAG_ProtocolName,
                                                VIVO_TAG_SeriesNumber,
                                                VIVO_TAG_NumberOfSeriesRelatedInstances,
                                                0};
static const uint32_t instance_fields[] = {VIVO_TAG_SOPClassUID, VIVO_TAG_PatientID,
                                           VIVO_TAG_InstanceNumber,
                                           VIVO_TAG_NumberOfFrames, 0};

struct listing {
    struct dicomweb *d;
    enum vivo_level level;       /* of the records */
    struct dicomweb_place place; /* of the parent */
    struct vivo_intake *in;
    struct vivo_buf uids;         /* the parent's and its parents', of the path */
    struct vivo_buf base, merged; /* the parent's attributes; one record's */
    struct dicomweb_natives natives;
};

void vivo_dicomweb_emit_bad(struct vivo_intake *in, const char *uid)
{
    char locator[32] = "?";
    /* Its UID could be anything; a digest tells one from another. */
    vivo_short_name(uid, strlen(uid), locator + 1, 12);
    in->other(in, locator, NULL);
}

static void emit_bad(void *ctx, const char *uid)
{
    struct listing *l = ctx;
    vivo_dicomweb_emit_bad(l->in, uid);
}

/* A row of another patient than its study's (one Study Instance UID under two patients
 * exists) gets nothing from there but the UIDs. */
static bool is_of_another_patient(struct vivo_attrs row, struct vivo_attrs base)
{
    char mine[128];
    char theirs[128];
    return vivo_attrs_text(row, VIVO_TAG_PatientID, mine, sizeof mine) &&
           vivo_attrs_text(base, VIVO_TAG_PatientID, theirs, sizeof theirs) &&
           strcmp(mine, theirs) != 0;
}

/* UIDs of the parents are certain: they were in the path. A row that says otherwise
 * comes from a server that did not read it. */
static int check_parent(struct vivo_attrs row, uint32_t tag, const char *want,
                        struct vivo_err *err)
{
    char uid[VIVO_UID_MAX + 2];
    if (want[0] && vivo_attrs_text(row, tag, uid, sizeof uid) && strcmp(uid, want) != 0)
        return vivo_fail(err, EIO, "the server lists something of another %s",
                         tag == VIVO_TAG_StudyInstanceUID ? "study" : "series");
    return 0;
}

/* The row over what is known of its parents. */
static int merge_row(struct listing *l, struct vivo_attrs row, struct vivo_attrs *out,
                     struct vivo_err *err)
{
    int rc = check_parent(row, VIVO_TAG_StudyInstanceUID, l->place.study, err);
    if (rc == 0)
        rc = check_parent(row, VIVO_TAG_SeriesInstanceUID, l->place.series, err);
    if (rc)
        return rc;
    struct vivo_attrs base = {l->base.data, l->base.len};
    if (is_of_another_patient(row, base))
        base = (struct vivo_attrs){l->uids.data, l->uids.len};
    vivo_buf_clear(&l->merged);
    if (vivo_attrs_merge(base, row, &l->merged))
        return vivo_fail(err, ENOSPC, "dicomweb: attributes too large");
    *out = (struct vivo_attrs){l->merged.data, l->merged.len};
    return 0;
}

static int put_uids(struct vivo_buf *out, const struct dicomweb_place *p,
                    struct vivo_err *err)
{
    int rc = 0;
    if (p->study[0])
        rc = vivo_attrs_put(out, VIVO_TAG_StudyInstanceUID, "UI", p->study,
                            strlen(p->study));
    if (rc == 0 && p->series[0])
        rc = vivo_attrs_put(out, VIVO_TAG_SeriesInstanceUID, "UI", p->series,
                            strlen(p->series));
    return rc ? vivo_fail(err, ENOMEM, "dicomweb: out of memory") : 0;
}

static void make_locator(const struct listing *l, const char *uid,
                         const struct dicomweb_native *native,
                         char out[DICOMWEB_LOCATOR_MAX])
{
    struct dicomweb_place p = l->place;
    char *own = l->level == VIVO_LEVEL_STUDY    ? p.study
                : l->level == VIVO_LEVEL_SERIES ? p.series
                                                : p.instance;
    snprintf(own, VIVO_UID_MAX + 1, "%s", uid);
    if (native)
        snprintf(p.orthanc, sizeof p.orthanc, "%s", native->id);
    vivo_dicomweb_place_write(&p, out);
}

static int emit_record(struct listing *l, const char *uid,
                       const struct dicomweb_native *native, struct vivo_attrs row,
                       struct vivo_err *err)
{
    char locator[DICOMWEB_LOCATOR_MAX];
    struct vivo_record rec = {.level = l->level, .locator = locator};
    int rc = merge_row(l, row, &rec.attrs, err);
    if (rc)
        return rc;
    make_locator(l, uid, native, locator);
    rec.size = native ? native->size : 0;
    rec.version = native && native->version[0] ? native->version : NULL;
    if (l->level < VIVO_LEVEL_INSTANCE)
        vivo_dicomweb_memory_put(l->d->memory, locator, rec.attrs);
    return l->in->record(l->in, &rec, err);
}

static int emit_row(void *ctx, const char *uid, struct vivo_attrs row,
                    struct vivo_err *err)
{
    return emit_record(ctx, uid, NULL, row, err);
}

/* ---- ancestors -------------------------------------------------------------- */

struct ancestor {
    const char *uid;
    struct vivo_buf *out;
    bool found;
};

static int keep_ancestor(void *ctx, const char *uid, struct vivo_attrs row,
                         struct vivo_err *err)
{
    struct ancestor *a = ctx;
    /* A server that ignores the filter gives somebody else. */
    if (a->found || strcmp(uid, a->uid) != 0)
        return 0;
    a->found = true;
    return vivo_buf_add(a->out, row.data, row.len)
               ? vivo_fail(err, ENOSPC, "dicomweb: attributes too large")
               : 0;
}

static void ignore_bad(void *ctx, const char *uid)
{
    (void)ctx;
    (void)uid;
}

/* The row of one study or series; an empty one when the server does not give it. */
static int ask_ancestor(struct dicomweb *d, const char *path, const char *key,
                        const char *uid, uint32_t tag, const uint32_t *fields,
                        struct vivo_buf *out, struct vivo_op *op)
{
    char filter[128];
    struct ancestor a = {uid, out, false};
    snprintf(filter, sizeof filter, "%s=%s&", key, uid);
    const struct dicomweb_query q = {.path = path,
                                     .filter = filter,
                                     .fields = fields,
                                     .uid_tag = tag,
                                     .one = true,
                                     .fn = keep_ancestor,
                                     .bad = ignore_bad,
                                     .ctx = &a};
    return vivo_dicomweb_rows(d, &q, op);
}

static int study_base(struct dicomweb *d, const struct dicomweb_place *p,
                      struct vivo_buf *out, struct vivo_op *op)
{
    if (vivo_dicomweb_memory_get(d->memory, p->study, out))
        return 0;
    return ask_ancestor(d, "/studies", "StudyInstanceUID", p->study,
                        VIVO_TAG_StudyInstanceUID, vivo_dicomweb_study_fields, out, op);
}

static int merge_into(struct vivo_buf *under, const struct vivo_buf *over,
                      struct vivo_buf *out, struct vivo_err *err)
{
    struct vivo_attrs a = {under->data, under->len};
    struct vivo_attrs b = {over->data, over->len};
    return vivo_attrs_merge(a, b, out)
               ? vivo_fail(err, ENOSPC, "dicomweb: attributes too large")
               : 0;
}

/* What is known of the series and its study, as list() gave it. */
static int series_base(struct dicomweb *d, const struct dicomweb_place *p,
                       struct vivo_buf *out, struct vivo_op *op)
{
    char locator[DICOMWEB_LOCATOR_MAX];
    char path[128];
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf study = {0};
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf series = {0};
    snprintf(locator, sizeof locator, "%s/%s", p->study, p->series);
    if (vivo_dicomweb_memory_get(d->memory, locator, out))
        return 0;
    vivo_buf_init(&study, VIVO_ATTRS_MAX);
    vivo_buf_init(&series, VIVO_ATTRS_MAX);
    snprintf(path, sizeof path, "/studies/%s/series", p->study);
    int rc = study_base(d, p, &study, op);
    if (rc == 0)
        rc = ask_ancestor(d, path, "SeriesInstanceUID", p->series,
                          VIVO_TAG_SeriesInstanceUID, vivo_dicomweb_series_fields,
                          &series, op);
    return rc ? rc : merge_into(&study, &series, out, &op->err);
}

static int find_base(struct listing *l, struct vivo_op *op)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf known = {0};
    vivo_buf_init(&known, VIVO_ATTRS_MAX);
    int rc = put_uids(&l->uids, &l->place, &op->err);
    if (rc == 0 && l->level == VIVO_LEVEL_SERIES)
        rc = study_base(l->d, &l->place, &known, op);
    if (rc == 0 && l->level == VIVO_LEVEL_INSTANCE)
        rc = series_base(l->d, &l->place, &known, op);
    return rc ? rc : merge_into(&known, &l->uids, &l->base, &op->err);
}

/* ---- Orthanc ---------------------------------------------------------------- */

static int emit_native(struct listing *l, const struct dicomweb_native *n,
                       const char *patient, struct vivo_buf *row, struct vivo_err *err)
{
    vivo_buf_clear(row);
    int rc = vivo_attrs_put(row, VIVO_TAG_SOPInstanceUID, "UI", n->uid, strlen(n->uid));
    if (rc == 0 && patient)
        rc = vivo_attrs_put(row, VIVO_TAG_PatientID, "LO", patient, strlen(patient));
    if (rc == 0 && n->number[0])
        rc = vivo_attrs_put(row, VIVO_TAG_InstanceNumber, "IS", n->number,
                            strlen(n->number));
    if (rc == 0 && n->frames[0])
        rc = vivo_attrs_put(row, VIVO_TAG_NumberOfFrames, "IS", n->frames,
                            strlen(n->frames));
    if (rc)
        return vivo_fail(err, ENOMEM, "dicomweb: out of memory");
    return emit_record(l, n->uid, n, (struct vivo_attrs){row->data, row->len}, err);
}

/* Instances as Orthanc's index has them: fifteen times as fast as its QIDO-RS. */
static int list_natives(struct listing *l, struct vivo_op *op)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf row = {0};
    char patient[256] = "";
    const char *parent = "";
    int rc = 0;
    vivo_buf_init(&row, VIVO_ATTRS_MAX);
    for (size_t i = 0; rc == 0 && i < l->natives.n; i++) {
        const struct dicomweb_native *n = &l->natives.items[i];
        rc = vivo_op_check(op);
        /* Two patients may share Study and Series UIDs: then each says who it is. */
        if (rc == 0 && l->natives.several && strcmp(parent, n->parent) != 0)
            rc = vivo_dicomweb_native_patient(l->d, n, patient, sizeof patient, op);
        parent = n->parent;
        if (rc == 0)
            rc = emit_native(l, n, patient[0] ? patient : NULL, &row, &op->err);
    }
    return rc;
}

/* ---- list ------------------------------------------------------------------- */

static int list_rows(struct listing *l, struct vivo_op *op)
{
    char path[192];
    struct dicomweb_query q = {
        .path = path, .filter = "", .fn = emit_row, .bad = emit_bad, .ctx = l};
    if (l->level == VIVO_LEVEL_STUDY) {
        snprintf(path, sizeof path, "/studies");
        q.fields = vivo_dicomweb_study_fields;
        q.uid_tag = VIVO_TAG_StudyInstanceUID;
    } else if (l->level == VIVO_LEVEL_SERIES) {
        snprintf(path, sizeof path, "/studies/%s/series", l->place.study);
        q.fields = vivo_dicomweb_series_fields;
        q.uid_tag = VIVO_TAG_SeriesInstanceUID;
    } else {
        snprintf(path, sizeof path, "/studies/%s/series/%s/instances", l->place.study,
                 l->place.series);
        q.fields = instance_fields;
        q.uid_tag = VIVO_TAG_SOPInstanceUID;
    }
    return l->level == VIVO_LEVEL_STUDY ? vivo_dicomweb_studies(l->d, &q, op)
                                        : vivo_dicomweb_rows(l->d, &q, op);
}

static int list_below(struct listing *l, struct vivo_op *op)
{
    int rc = find_base(l, op);
    if (rc == 0 && l->level == VIVO_LEVEL_INSTANCE) {
        rc = vivo_dicomweb_is_orthanc(l->d, op);
        if (rc > 0)
            rc = vivo_dicomweb_natives_get(l->d, &l->place, &l->natives, op);
        if (rc == 0 && l->natives.complete)
            return list_natives(l, op);
    }
    return rc ? rc : list_rows(l, op);
}

int vivo_dicomweb_list(struct vivo_archive *self, enum vivo_level level,
                       const char *parent, struct vivo_intake *in, struct vivo_op *op)
{
    struct listing l = {.d = dicomweb_of(self), .in = in};
    int rc = 0;
    l.level = level == VIVO_LEVEL_NONE    ? VIVO_LEVEL_STUDY
              : level == VIVO_LEVEL_STUDY ? VIVO_LEVEL_SERIES
                                          : VIVO_LEVEL_INSTANCE;
    vivo_buf_init(&l.uids, VIVO_ATTRS_MAX);
    vivo_buf_init(&l.base, VIVO_ATTRS_MAX);
    vivo_buf_init(&l.merged, VIVO_ATTRS_MAX);
    if (parent)
        rc = vivo_dicomweb_place_read(parent, level, &l.place, &op->err);
    if (rc == 0)
        rc = list_below(&l, op);
    vivo_dicomweb_natives_free(&l.natives);
    vivo_buf_free(&l.uids);
    vivo_buf_free(&l.base);
    vivo_buf_free(&l.merged);
    return rc;
}

/* ---- what a search brings ----------------------------------------------------- */

int vivo_dicomweb_emit_study(struct dicomweb *d, struct vivo_intake *in,
                             const char *uid, struct vivo_attrs row,
                             struct vivo_err *err)
{
    struct listing l = {.d = d, .in = in, .level = VIVO_LEVEL_STUDY};
    vivo_buf_init(&l.merged, VIVO_ATTRS_MAX);
    int rc = emit_record(&l, uid, NULL, row, err);
    vivo_buf_free(&l.merged);
    return rc;
}

int vivo_dicomweb_emit_series(struct dicomweb *d, struct vivo_intake *in,
                              const char *study, struct vivo_attrs study_row,
                              const char *uid, struct vivo_attrs row,
                              struct vivo_err *err)
{
    struct listing l = {.d = d, .in = in, .level = VIVO_LEVEL_SERIES};
    snprintf(l.place.study, sizeof l.place.study, "%s", study);
    vivo_buf_init(&l.uids, VIVO_ATTRS_MAX);
    vivo_buf_init(&l.base, VIVO_ATTRS_MAX);
    vivo_buf_init(&l.merged, VIVO_ATTRS_MAX);
    int rc = put_uids(&l.uids, &l.place, err);
    if (rc == 0 &&
        vivo_attrs_merge(study_row, (struct vivo_attrs){l.uids.data, l.uids.len},
                         &l.base))
        rc = vivo_fail(err, ENOSPC, "dicomweb: attributes too large");
    if (rc == 0)
        rc = emit_record(&l, uid, NULL, row, err);
    vivo_buf_free(&l.uids);
    vivo_buf_free(&l.base);
    vivo_buf_free(&l.merged);
    return rc;
}

int vivo_dicomweb_study_row(struct dicomweb *d, const char *uid, struct vivo_buf *out,
                            struct vivo_op *op)
{
    struct dicomweb_place p = {.series = ""};
    snprintf(p.study, sizeof p.study, "%s", uid);
    return study_base(d, &p, out, op);
}
