/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/dimse_patients.c -- studies of a server that knows the Patient Root only
 * (PS3.4 annex C.6.1): whose they are is asked first, then for the studies of each,
 * because every question below must name one PatientID.
 *
 * Patients have no date to part an answer by. One that says it is cut, or is as long as
 * limits are (a round number), is asked for again by the first characters of the
 * PatientID; what cannot be parted so fails. */
#include "dimse.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SUSPICIOUS 50 /* as in studies.c */
#define DEPTH_MAX 4
#define ROWS_BYTES (256u << 20)
#define PEOPLE_MAX 1000000u

/* Keys of the level of patients. */
static const uint32_t patient_fields[] = {
    VIVO_TAG_PatientName,      VIVO_TAG_PatientID,  VIVO_TAG_IssuerOfPatientID,
    VIVO_TAG_PatientBirthDate, VIVO_TAG_PatientSex, 0};

struct person {
    const char *id; /* into rows, once all are there */
    size_t id_at, attrs_at, len;
    bool sure; /* of an answer that is whole */
};

struct people {
    struct dimse *d;
    const char *only; /* one PatientID; NULL = all that match */
    struct vivo_buf rows;
    struct person *all;
    size_t n, cap;
};

/* ---- who they are ---------------------------------------------------------------- */

static int add_person(struct people *p, const char *id, struct vivo_attrs row)
{
    if (p->n == p->cap) {
        size_t cap = p->cap ? 2 * p->cap : 64;
        struct person *all = realloc(p->all, cap * sizeof *all);
        if (!all || p->n >= PEOPLE_MAX)
            return -1;
        p->all = all;
        p->cap = cap;
    }
    struct person *one = &p->all[p->n];
    *one = (struct person){.id_at = p->rows.len, .len = row.len};
    if (vivo_buf_add(&p->rows, id, strlen(id) + 1))
        return -1;
    one->attrs_at = p->rows.len;
    if (vivo_buf_add(&p->rows, row.data, row.len))
        return -1;
    p->n++;
    return 0;
}

static int take_person(void *ctx, struct vivo_attrs row, struct vivo_err *err)
{
    struct people *p = ctx;
    char id[DIMSE_PATIENT_MAX + 2];
    vivo_attrs_text(row, VIVO_TAG_PatientID, id, sizeof id);
    if (strlen(id) > DIMSE_PATIENT_MAX)
        return vivo_fail(err, EIO, "a PatientID is longer than %u bytes",
                         DIMSE_PATIENT_MAX);
    if (p->only && strcmp(id, p->only) != 0)
        return 0;
    return add_person(p, id, row)
               ? vivo_fail(err, ENOMEM, "dimse: too many patients for the memory")
               : 0;
}

/* Limits are round numbers; the known one is of studies, and will be the same. */
static bool may_be_cut(const struct people *p, size_t rows)
{
    unsigned cap = __atomic_load_n(&p->d->cap, __ATOMIC_RELAXED);
    if (rows < SUSPICIOUS)
        return false;
    return cap ? rows >= cap : rows % 10 == 0 || (rows & (rows - 1)) == 0;
}

static int ask_part(struct people *p, const char *pattern, unsigned depth,
                    struct vivo_op *op);

/* PatientIDs that begin with these characters, one more of them at a time. */
static int ask_parts(struct people *p, const char *pattern, unsigned depth,
                     struct vivo_op *op)
{
    char part[DEPTH_MAX + 2];
    size_t n = depth ? strlen(pattern) - 1 : 0; /* without its star */
    int rc = 0;
    memcpy(part, pattern, n);
    part[n + 1] = '*';
    part[n + 2] = '\0';
    for (char c = '!'; rc == 0 && c <= '~'; c++) {
        if (strchr("*?\\", c))
            continue;
        part[n] = c;
        rc = ask_part(p, part, depth + 1, op);
    }
    return rc;
}

static int ask_part(struct people *p, const char *pattern, unsigned depth,
                    struct vivo_op *op)
{
    struct dimse_keys k = {.level = "PATIENT"};
    struct dimse_answer got = {0};
    size_t before = p->n;
    for (size_t i = 0; patient_fields[i]; i++)
        vivo_dimse_keys_add(&k, patient_fields[i], "");
    vivo_dimse_keys_add(&k, VIVO_TAG_PatientID, pattern);
    int rc = vivo_dimse_ask(p->d, &k, take_person, p, &got, op);
    if (rc)
        return rc;
    bool cut = got.status != 0 || may_be_cut(p, got.rows);
    for (size_t i = before; !cut && i < p->n; i++)
        p->all[i].sure = true;
    if (!cut)
        return 0;
    /* A pattern of who asks cannot be parted by what begins with it. */
    bool own = depth == 0 && pattern[0] != '\0';
    if (!own && depth + 1 < DEPTH_MAX && (got.rows > 0 || depth == 0))
        return ask_parts(p, pattern, depth, op);
    return got.status
               ? vivo_dimse_status_fail(got.status, "C-FIND of patients", &op->err)
               : vivo_fail(&op->err, EIO,
                           "the server cuts its answers, and this one of "
                           "patients is as long as a limit");
}

static int by_id(const void *a, const void *b)
{
    const struct person *x = a;
    const struct person *y = b;
    int c = strcmp(x->id, y->id);
    return c ? c : (int)y->sure - (int)x->sure; /* sure ones first */
}

/* In order of PatientID. pattern: "" = all. */
static int find_people(struct people *p, const char *pattern, struct vivo_op *op)
{
    vivo_buf_init(&p->rows, ROWS_BYTES);
    int rc = ask_part(p, pattern, 0, op);
    for (size_t i = 0; i < p->n; i++)
        p->all[i].id = (const char *)p->rows.data + p->all[i].id_at;
    if (rc == 0 && p->n > 0)
        qsort(p->all, p->n, sizeof *p->all, by_id);
    for (size_t i = 0; rc == 0 && i < p->n; i++)
        if (!p->all[i].sure && (i == 0 || strcmp(p->all[i].id, p->all[i - 1].id) != 0))
            rc = vivo_fail(&op->err, EIO,
                           "the server cuts its answers, and has patients that cannot "
                           "be asked for by how their PatientID begins");
    return rc;
}

static void free_people(struct people *p)
{
    free(p->all);
    vivo_buf_free(&p->rows);
}

/* How many rows from i on have this PatientID. */
static size_t same_id(const struct people *p, size_t i)
{
    size_t n = 1;
    while (i + n < p->n && strcmp(p->all[i].id, p->all[i + n].id) == 0)
        n++;
    return n;
}

/* What all n rows say of their patient. Two may be meant by one PatientID (of two
 * issuers): then nothing but that is certain. */
static struct vivo_attrs attrs_of(const struct people *p, size_t i, size_t n)
{
    const uint8_t *data = p->rows.data;
    const struct person *first = &p->all[i];
    for (size_t k = 1; k < n; k++)
        if (p->all[i + k].len != first->len ||
            memcmp(data + p->all[i + k].attrs_at, data + first->attrs_at, first->len))
            return (struct vivo_attrs){0};
    return (struct vivo_attrs){data + first->attrs_at, first->len};
}

int vivo_dimse_patient(struct dimse *d, const char *id, struct vivo_buf *out,
                       struct vivo_op *op)
{
    struct people p = {.d = d, .only = id};
    int rc = find_people(&p, id, op);
    if (rc == 0 && p.n > 0) {
        struct vivo_attrs a = attrs_of(&p, 0, p.n);
        if (a.len && vivo_buf_add(out, a.data, a.len))
            rc = vivo_fail(&op->err, ENOSPC, "dimse: attributes too large");
    }
    free_people(&p);
    return rc;
}

void vivo_dimse_keys_patient(struct dimse_keys *k, const char *id)
{
    for (size_t i = 0; patient_fields[i]; i++)
        vivo_dimse_keys_drop(k, patient_fields[i]);
    vivo_dimse_keys_add(k, VIVO_TAG_PatientID, id);
}

/* ---- their studies -----------------------------------------------------------------
 */

struct chart { /* of one patient */
    const struct dimse_studies *studies;
    const char *id;
    struct vivo_attrs patient;
    struct vivo_buf merged;
};

static int take_study(void *ctx, struct vivo_attrs row, struct vivo_err *err)
{
    struct chart *c = ctx;
    char id[DIMSE_PATIENT_MAX + 2];
    if (vivo_attrs_text(row, VIVO_TAG_PatientID, id, sizeof id) &&
        strcmp(id, c->id) != 0)
        return 0; /* of another, who is asked for by himself */
    vivo_buf_clear(&c->merged);
    int rc = vivo_attrs_merge(c->patient, row, &c->merged);
    if (rc)
        return vivo_fail(err, ENOSPC, "dimse: attributes too large");
    return c->studies->fn(c->studies->ctx,
                          (struct vivo_attrs){c->merged.data, c->merged.len}, err);
}

/* An answer without a PatientID is of the one that was asked for. */
static int put_id(struct vivo_buf *out, struct vivo_attrs a, const char *id)
{
    struct vivo_attr found;
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf only = {0};
    if (vivo_attrs_find(a, VIVO_TAG_PatientID, &found) || !*id)
        return vivo_buf_add(out, a.data, a.len);
    vivo_buf_init(&only, VIVO_ATTRS_MAX);
    int rc = vivo_attrs_put(&only, VIVO_TAG_PatientID, "LO", id, strlen(id));
    return rc ? rc : vivo_attrs_merge(a, (struct vivo_attrs){only.data, only.len}, out);
}

static int studies_of(const struct dimse_studies *s, const char *id,
                      struct vivo_attrs patient, struct vivo_op *op)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf base = {0};
    struct chart c = {.studies = s, .id = id};
    struct dimse_keys keys = *s->keys;
    struct dimse_studies own = *s;
    vivo_buf_init(&base, VIVO_ATTRS_MAX);
    vivo_buf_init(&c.merged, VIVO_ATTRS_MAX);
    if (put_id(&base, patient, id))
        return vivo_fail(&op->err, ENOMEM, "dimse: out of memory");
    c.patient = (struct vivo_attrs){base.data, base.len};
    vivo_dimse_keys_patient(&keys, id);
    own.keys = &keys;
    own.fn = take_study;
    own.ctx = &c;
    int rc = vivo_dimse_studies_asked(&own, op);
    vivo_buf_free(&c.merged);
    return rc;
}

int vivo_dimse_studies_by_patient(const struct dimse_studies *s, struct vivo_op *op)
{
    struct people p = {.d = s->d};
    int rc = find_people(&p, vivo_dimse_keys_value(s->keys, VIVO_TAG_PatientID), op);
    for (size_t i = 0, n; rc == 0 && i < p.n; i += n) {
        n = same_id(&p, i);
        rc = vivo_op_check(op);
        if (rc == 0)
            rc = studies_of(s, p.all[i].id, attrs_of(&p, i, n), op);
    }
    free_people(&p);
    return rc;
}
