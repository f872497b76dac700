/* SPDX-License-Identifier: Apache-2.0 */
/* src/render/dicomdir.c -- a DICOMDIR over files: PS3.10 section 8.6, PS3.3 Annex F.
 *
 * Records stand in the order patient, its studies, their series, their instances; the
 * offsets between them are patched when all lengths are known. */
#include "dicomdir.h"

#include "vivofs/dcm.h"
#include "vivofs/hash.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DICOMDIR_MAX (1u << 30)
#define AT_NEXT 16 /* bytes from an item's tag to the value of (0004,1400) */
#define AT_LOWER 38

struct place { /* one file, by what it is sorted */
    const struct vivo_render_file *file;
    char patient[256], study[VIVO_UID_MAX + 1], series[VIVO_UID_MAX + 1];
    long number; /* InstanceNumber */
    size_t order;
};

struct building {
    struct vivo_buf *out;
    size_t base;     /* of the file in the buffer */
    size_t last[4];  /* item of the last record of each level; 0 = none */
    size_t count[4]; /* records of the level below the present one above */
    uint32_t first_root;
};

enum { PATIENT, STUDY, SERIES, INSTANCE };

static uint32_t offset(const struct building *b, size_t at)
{
    return (uint32_t)(at - b->base);
}

static void patch(struct building *b, size_t at, uint32_t v)
{
    vivo_put_le32(b->out->data + at, v);
}

static int put(struct building *b, uint32_t tag, const char *vr, const char *text)
{
    return vivo_attrs_put(b->out, tag, vr, text, strlen(text));
}

static int put_le(struct building *b, uint32_t tag, const char *vr, uint32_t v)
{
    uint8_t bytes[4];
    vivo_put_le32(bytes, v);
    return vivo_attrs_put(b->out, tag, vr, bytes, vr[1] == 'S' ? 2 : 4);
}

/* ---- one record -------------------------------------------------------------------
 */

static bool is_blank(const struct vivo_attr *a)
{
    for (uint32_t i = 0; i < a->len; i++)
        if (a->value[i] != ' ' && a->value[i])
            return false;
    return true;
}

/* VerificationDateTime, which the document has in the items of its observers. */
static int put_verified(struct building *b, struct vivo_attrs attrs)
{
    char flag[20], when[40] = "20000101000000", latest[40];
    struct vivo_attr observers;
    struct vivo_attrs item;
    vivo_attrs_text(attrs, 0x0040A493, flag, sizeof flag);
    if (strcmp(flag, "VERIFIED"))
        return 0;
    if (vivo_attrs_find(attrs, VIVO_DICOMDIR_OBSERVERS, &observers)) {
        struct vivo_attrs it = {observers.value, observers.len};
        while (vivo_attrs_next_item(&it, &item))
            if (vivo_attrs_text(item, VIVO_DICOMDIR_VERIFIED, latest, sizeof latest))
                memcpy(when, latest, sizeof when);
    }
    return put(b, VIVO_DICOMDIR_VERIFIED, "DT", when);
}

/* A key that must have a value and has none gets a constant (PS3.3 F.5: type 1). */
static int put_key(struct building *b, struct vivo_attrs attrs,
                   const struct vivo_dicomdir_key *key, size_t ordinal)
{
    char number[24];
    struct vivo_attr a;
    if (key->tag == VIVO_DICOMDIR_VERIFIED)
        return put_verified(b, attrs);
    bool found = vivo_attrs_find(attrs, key->tag, &a);
    if (found && (!is_blank(&a) || !key->instead))
        return vivo_attrs_put(b->out, key->tag, a.vr, a.value, a.len);
    if (!key->instead)
        return key->optional ? 0 : vivo_attrs_put(b->out, key->tag, key->vr, NULL, 0);
    if (key->instead[0] != '#')
        return put(b, key->tag, key->vr, key->instead);
    snprintf(number, sizeof number, "%zu", ordinal);
    return put(b, key->tag, key->vr, number);
}

static bool is_ascii(struct vivo_attrs attrs, const struct vivo_dicomdir_key *keys)
{
    for (; keys->tag; keys++) {
        struct vivo_attr a;
        if (!vivo_attrs_find(attrs, keys->tag, &a))
            continue;
        for (uint32_t i = 0; i < a.len; i++)
            if (a.value[i] & 0x80)
                return false;
    }
    return true;
}

static int put_reference(struct building *b, const struct vivo_render_file *f)
{
    char uid[VIVO_UID_MAX + 1], id[128];
    size_t n = 0;
    for (const char *s = f->file_id; *s && n + 1 < sizeof id; s++)
        id[n++] = *s == '/' ? '\\' : *s;
    id[n] = '\0';
    int rc = put(b, 0x00041500, "CS", id);
    vivo_attrs_text(f->attrs, VIVO_TAG_SOPClassUID, uid, sizeof uid);
    if (!rc)
        rc = put(b, 0x00041510, "UI", uid);
    vivo_attrs_text(f->attrs, VIVO_TAG_SOPInstanceUID, uid, sizeof uid);
    if (!rc)
        rc = put(b, 0x00041511, "UI", uid);
    if (!vivo_attrs_text(f->attrs, 0x00020010, uid, sizeof uid))
        snprintf(uid, sizeof uid, "1.2.840.10008.1.2.1");
    return rc ? rc : put(b, 0x00041512, "UI", uid);
}

/* Links the record that begins at `at` to the one before it of its level, or to the
 * one above. */
static void link_record(struct building *b, unsigned level, size_t at)
{
    if (b->last[level])
        patch(b, b->last[level] + AT_NEXT, offset(b, at));
    else if (level)
        patch(b, b->last[level - 1] + AT_LOWER, offset(b, at));
    else
        b->first_root = offset(b, at);
    b->last[level] = at;
    b->count[level]++;
    for (unsigned below = level + 1; below <= INSTANCE; below++)
        b->last[below] = b->count[below] = 0;
}

static int put_record(struct building *b, unsigned level,
                      const struct vivo_dicomdir_kind *kind,
                      const struct vivo_render_file *f)
{
    static const uint8_t item[8] = {0xFE, 0xFF, 0x00, 0xE0};
    const size_t at = b->out->len;
    int rc = vivo_buf_add(b->out, item, sizeof item);
    if (!rc)
        rc = put_le(b, 0x00041400, "UL", 0);
    if (!rc)
        rc = put_le(b, 0x00041410, "US", 0xFFFF);
    if (!rc)
        rc = put_le(b, 0x00041420, "UL", 0);
    if (!rc)
        rc = put(b, 0x00041430, "CS", kind->type);
    if (!rc && level == INSTANCE)
        rc = put_reference(b, f);
    if (!rc && !is_ascii(f->attrs, kind->keys))
        rc = put(b, VIVO_TAG_SpecificCharacterSet, "CS", "ISO_IR 192");
    for (const struct vivo_dicomdir_key *k = kind->keys; !rc && k->tag; k++)
        rc = put_key(b, f->attrs, k, b->count[level] + 1);
    if (rc)
        return rc;
    patch(b, at + 4, (uint32_t)(b->out->len - at - 8));
    link_record(b, level, at);
    return 0;
}

/* ---- all records --------------------------------------------------------------------
 */

static int compare(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    int c = strcmp(x->patient, y->patient);
    if (!c)
        c = strcmp(x->study, y->study);
    if (!c)
        c = strcmp(x->series, y->series);
    if (!c && x->number != y->number)
        c = x->number < y->number ? -1 : 1;
    if (!c)
        c = x->order < y->order ? -1 : x->order > y->order;
    return c;
}

/* A record needs all four identifiers (type 1 in F.5). */
static bool take_place(const struct vivo_render_file *f, size_t order, struct place *p)
{
    char number[16], uid[VIVO_UID_MAX + 1];
    p->file = f;
    p->order = order;
    bool whole =
        vivo_attrs_text(f->attrs, VIVO_TAG_PatientID, p->patient, sizeof p->patient) &&
        vivo_attrs_text(f->attrs, VIVO_TAG_StudyInstanceUID, p->study,
                        sizeof p->study) &&
        vivo_attrs_text(f->attrs, VIVO_TAG_SeriesInstanceUID, p->series,
                        sizeof p->series) &&
        vivo_attrs_text(f->attrs, VIVO_TAG_SOPInstanceUID, uid, sizeof uid) &&
        vivo_attrs_text(f->attrs, VIVO_TAG_SOPClassUID, uid, sizeof uid);
    vivo_attrs_text(f->attrs, VIVO_TAG_InstanceNumber, number, sizeof number);
    p->number = strtol(number, NULL, 10); /* allow: an order, 0 on garbage */
    return whole;
}

static int put_file(struct building *b, const struct place *last, const struct place *p)
{
    const struct vivo_render_file *f = p->file;
    char sop_class[VIVO_UID_MAX + 1];
    bool patient = !last || strcmp(last->patient, p->patient);
    bool study = patient || strcmp(last->study, p->study);
    bool series = study || strcmp(last->series, p->series);
    int rc = patient ? put_record(b, PATIENT, &vivo_dicomdir_patient, f) : 0;
    if (!rc && study)
        rc = put_record(b, STUDY, &vivo_dicomdir_study, f);
    if (!rc && series)
        rc = put_record(b, SERIES, &vivo_dicomdir_series, f);
    vivo_attrs_text(f->attrs, VIVO_TAG_SOPClassUID, sop_class, sizeof sop_class);
    return rc ? rc : put_record(b, INSTANCE, vivo_dicomdir_kind_of(sop_class), f);
}

/* The same records give the same UID (PS3.5 Annex B.2). */
static void instance_uid(const struct place *places, size_t n, char out[65])
{
    uint8_t digest[VIVO_DIGEST_LEN];
    char uid[VIVO_UID_MAX + 1];
    struct vivo_sha256 *sha = vivo_sha256_begin();
    for (size_t i = 0; sha && i < n; i++) {
        vivo_attrs_text(places[i].file->attrs, VIVO_TAG_SOPInstanceUID, uid,
                        sizeof uid);
        vivo_sha256_add(sha, uid, strlen(uid) + 1);
        vivo_sha256_add(sha, places[i].file->file_id,
                        strlen(places[i].file->file_id) + 1);
    }
    memset(digest, 0, sizeof digest);
    vivo_sha256_end(sha, digest);
    /* Two numbers of 19 digits and less, 1 in front so that neither begins with 0. */
    uint64_t a = (uint64_t)vivo_be32(digest) << 30 | vivo_be32(digest + 4) >> 2;
    uint64_t b = (uint64_t)vivo_be32(digest + 8) << 30 | vivo_be32(digest + 12) >> 2;
    snprintf(out, 65, "2.25.1%018llu%018llu",
             (unsigned long long)(a % 1000000000000000000u),
             (unsigned long long)(b % 1000000000000000000u));
}

static int put_head(struct vivo_buf *out, const char *uid, struct vivo_err *err)
{
    static const char le[] = "1.2.840.10008.1.2.1";
    struct vivo_dcm_writer *w = NULL;
    size_t n = 0;
    int rc = vivo_dcm_writer_new(vivo_dcm_syntax(le, sizeof le - 1), 1u << 16, &w, err);
    if (!rc)
        rc = vivo_dcm_write_meta(w, "1.2.840.10008.1.3.10", uid, le, err);
    const struct vivo_dcm_piece *p = rc ? NULL : vivo_dcm_writer_pieces(w, &n);
    for (size_t i = 0; !rc && i < n; i++)
        rc = vivo_buf_add(out, p[i].data, (size_t)p[i].len);
    vivo_dcm_writer_free(w);
    return rc;
}

static int put_all(struct building *b, const struct place *places, size_t n,
                   const char *set_id)
{
    int rc = vivo_attrs_put(b->out, 0x00041130, "CS", set_id, strlen(set_id));
    size_t first = b->out->len + 8, last = first + 12, sequence;
    if (!rc)
        rc = put_le(b, 0x00041200, "UL", 0);
    if (!rc)
        rc = put_le(b, 0x00041202, "UL", 0);
    if (!rc)
        rc = put_le(b, 0x00041212, "US", 0);
    if (!rc)
        rc = vivo_attrs_put(b->out, 0x00041220, "SQ", NULL, 0);
    sequence = b->out->len;
    for (size_t i = 0; !rc && i < n; i++)
        rc = put_file(b, i ? &places[i - 1] : NULL, &places[i]);
    if (rc)
        return rc;
    patch(b, sequence - 4, (uint32_t)(b->out->len - sequence));
    patch(b, first, b->first_root);
    patch(b, last, b->last[PATIENT] ? offset(b, b->last[PATIENT]) : 0);
    return 0;
}

int vivo_render_dicomdir(const struct vivo_render_file *files, size_t n,
                         const char *set_id, struct vivo_buf *out, size_t *left_out,
                         struct vivo_err *err)
{
    VIVO_AUTO(vivo_free_p) struct place *places = calloc(n + 1, sizeof *places);
    struct building b = {.out = out, .base = out->len};
    char uid[VIVO_UID_MAX + 1];
    size_t kept = 0;
    if (!places)
        return vivo_fail(err, ENOMEM, "no memory for a DICOMDIR");
    for (size_t i = 0; i < n; i++)
        kept += take_place(&files[i], i, &places[kept]);
    if (left_out)
        *left_out = n - kept;
    if (kept)
        qsort(places, kept, sizeof *places, compare);
    instance_uid(places, kept, uid);
    int rc = put_head(out, uid, err);
    if (!rc)
        rc = put_all(&b, places, kept, set_id);
    if (!rc && out->len - b.base > DICOMDIR_MAX)
        rc = -ENOSPC;
    if (!rc)
        return 0;
    out->len = b.base;
    if (err && err->errnum)
        return rc;
    return vivo_fail(err, -rc, "the DICOMDIR becomes too large");
}
