/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/dimse_search.c -- conditions as keys of a C-FIND of studies (PS3.4 annex
 * C.2.2.2).
 *
 * What comes may be more than was asked for, never less. So a letter of a text is sent
 * as the wild card for one, because servers tell upper from lower case and vivofs does
 * not; text that is not ASCII, and names of persons, which servers compare in ways of
 * their own, are not sent. */
#include "dimse.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define VALUE_MAX 64 /* characters of LO, the longest VR here */
#define UIDS_MAX 64  /* of one list */

const uint32_t vivo_dimse_searches[] = {
    VIVO_TAG_StudyDate,         VIVO_TAG_AccessionNumber,  VIVO_TAG_Modality,
    VIVO_TAG_ModalitiesInStudy, VIVO_TAG_StudyDescription, VIVO_TAG_PatientID,
    VIVO_TAG_StudyInstanceUID,  VIVO_TAG_StudyID,          0};

struct searching {
    struct dimse *d;
    struct vivo_intake *in;
    const struct vivo_match *several; /* the one with more than one value, or NULL */
    char texts[VIVO_MATCH_MAX][VALUE_MAX + 1];
    char uids[UIDS_MAX * (VIVO_UID_MAX + 1)];
    struct dimse_keys keys;
    struct dimse_studies studies;
    const struct vivo_match *matches;
    size_t n;
    uint64_t answered;
    size_t rows;
    bool probing; /* rows are counted only */
};

static bool is_date(const char *s)
{
    return strspn(s, "0123456789") == 8 && s[8] == '\0';
}

static bool is_text(uint32_t tag)
{
    return tag == VIVO_TAG_AccessionNumber || tag == VIVO_TAG_StudyDescription ||
           tag == VIVO_TAG_PatientID || tag == VIVO_TAG_StudyID;
}

static bool is_modality(uint32_t tag)
{
    return tag == VIVO_TAG_Modality || tag == VIVO_TAG_ModalitiesInStudy;
}

/* The value as it is sent; false when it cannot be. */
static bool write_value(uint32_t tag, const char *value, char out[VALUE_MAX + 1])
{
    size_t n = strlen(value);
    if (n == 0 || n > VALUE_MAX)
        return false;
    for (size_t i = 0; i <= n; i++) {
        unsigned char c = (unsigned char)value[i];
        if (i < n && (c < ' ' || c > '~' || c == '\\'))
            return false;
        out[i] = (char)(is_modality(tag) ? toupper(c) : isalpha(c) ? '?' : c);
    }
    return true;
}

/* UIDs go as a list (PS3.4 C.2.2.2.2). */
static bool add_uids(struct searching *s, const struct vivo_match *m)
{
    size_t len = 0;
    if (m->kind != VIVO_MATCH_ANY_OF || m->wild || m->n > UIDS_MAX || s->uids[0])
        return false;
    for (size_t i = 0; i < m->n; i++)
        if (!vivo_dicomweb_uid_ok(m->values[i]))
            return false;
    for (size_t i = 0; i < m->n; i++)
        len += (size_t)snprintf(s->uids + len, sizeof s->uids - len, "%s%s",
                                i ? "\\" : "", m->values[i]);
    vivo_dimse_keys_add(&s->keys, m->tag, s->uids);
    return true;
}

static bool add_dates(struct searching *s, const struct vivo_match *m)
{
    const char *from = m->values[0];
    const char *to = m->n > 1 ? m->values[1] : NULL;
    if (s->studies.from || s->studies.to)
        return false;
    if (m->kind == VIVO_MATCH_ANY_OF) {
        if (m->n != 1 || m->wild)
            return false;
        to = from;
    }
    if ((from && !is_date(from)) || (to && !is_date(to)) || (!from && !to))
        return false;
    s->studies.from = from;
    s->studies.to = to;
    return true;
}

static bool add_texts(struct searching *s, const struct vivo_match *m, size_t i)
{
    char text[VALUE_MAX + 1];
    if (m->kind != VIVO_MATCH_ANY_OF || (m->n > 1 && s->several))
        return false;
    for (size_t k = 0; k < m->n; k++)
        if (!write_value(m->tag, m->values[k], text))
            return false;
    if (m->n > 1) {
        s->several = m;
        return true;
    }
    write_value(m->tag, m->values[0], s->texts[i]);
    vivo_dimse_keys_add(&s->keys,
                        is_modality(m->tag) ? VIVO_TAG_ModalitiesInStudy : m->tag,
                        s->texts[i]);
    return true;
}

static bool add_match(struct searching *s, const struct vivo_match *m, size_t i)
{
    if (m->n == 0)
        return false;
    if (m->tag == VIVO_TAG_StudyDate)
        return add_dates(s, m);
    if (m->tag == VIVO_TAG_StudyInstanceUID)
        return add_uids(s, m);
    return (is_text(m->tag) || is_modality(m->tag)) && add_texts(s, m, i);
}

static int emit(void *ctx, struct vivo_attrs row, struct vivo_err *err)
{
    struct searching *s = ctx;
    s->rows++;
    return s->probing ? 0 : vivo_dimse_emit_study(s->d, row, s->in, err);
}

/* Texts as they were typed, in the place of those with wild cards for letters; k: which
 * of several values. False: they are the same. */
static bool use_typed(struct searching *s, size_t k)
{
    bool other = false;
    for (size_t i = 0; i < s->n; i++) {
        const struct vivo_match *m = &s->matches[i];
        if (!(s->answered >> i & 1) || !is_text(m->tag) || m->wild)
            continue;
        const char *typed = m->values[m == s->several ? k : 0];
        vivo_dimse_keys_add(&s->keys, m->tag, typed);
        while (*typed && !isalpha((unsigned char)*typed))
            typed++;
        other |= *typed != '\0';
    }
    return other;
}

/* One question; if nothing fits, it may be that the server takes '?' for itself. */
static int search_one(struct searching *s, size_t k, struct vivo_op *op)
{
    s->rows = 0;
    int rc = vivo_dimse_studies(&s->studies, op);
    if (rc || s->rows > 0 || !use_typed(s, k))
        return rc;
    s->probing = true;
    rc = vivo_dimse_studies(&s->studies, op);
    s->probing = false;
    if (rc == 0 && s->rows > 0)
        rc = vivo_fail(&op->err, ENOENT,
                       "the server does not know '?' for a character, and how it tells "
                       "upper from lower case is not known");
    return rc;
}

/* Only UIDs may be asked for as a list: one question for each value of another. */
static int search_several(struct searching *s, struct vivo_op *op)
{
    const struct vivo_match *m = s->several;
    const struct dimse_keys keys = s->keys;
    char text[VALUE_MAX + 1];
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < m->n; i++) {
        s->keys = keys;
        write_value(m->tag, m->values[i], text);
        vivo_dimse_keys_add(
            &s->keys, is_modality(m->tag) ? VIVO_TAG_ModalitiesInStudy : m->tag, text);
        rc = search_one(s, i, op);
    }
    return rc;
}

int vivo_dimse_search(struct vivo_archive *self, const struct vivo_match *matches,
                      size_t n, uint64_t *answered, struct vivo_intake *in,
                      struct vivo_op *op)
{
    struct searching *s = calloc(1, sizeof *s);
    int rc;
    if (!s)
        return vivo_fail(&op->err, ENOMEM, "dimse: out of memory");
    s->d = dimse_of(self);
    s->in = in;
    s->keys.level = "STUDY";
    s->studies =
        (struct dimse_studies){.d = s->d, .keys = &s->keys, .fn = emit, .ctx = s};
    for (size_t i = 0; vivo_dimse_study_fields[i]; i++)
        vivo_dimse_keys_add(&s->keys, vivo_dimse_study_fields[i], "");
    s->matches = matches;
    s->n = VIVO_MIN(n, (size_t)VIVO_MATCH_MAX);
    /* Two conditions on one attribute: the first is sent. */
    for (size_t i = 0; i < s->n; i++) {
        bool again = false;
        for (size_t k = 0; k < i; k++)
            again |= (s->answered >> k & 1) &&
                     (matches[k].tag == matches[i].tag ||
                      (is_modality(matches[k].tag) && is_modality(matches[i].tag)));
        if (!again && add_match(s, &matches[i], i))
            s->answered |= UINT64_C(1) << i;
    }
    *answered = s->answered;
    if (!*answered)
        rc = vivo_fail(&op->err, ENOENT, "a PACS cannot search by these conditions");
    else
        rc = s->several ? search_several(s, op) : search_one(s, 0, op);
    free(s);
    return rc;
}
