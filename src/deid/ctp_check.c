/* SPDX-License-Identifier: Apache-2.0 */
/* src/deid/ctp_check.c -- what a script asks for: what cannot be honoured ends the
 * load, and in union with the basic profile no value may show what that hides.
 *
 * All is decided by script and profile, never by an object. */
#include "ctp.h"

#include <errno.h>
#include <string.h>

/* Digits of a hash below which two patients could become one directory. */
#define PATIENT_DIGITS 16

static bool is_vr(const char *vr, const char *want)
{
    return !memcmp(vr, want, 2);
}

static const char *vr_of(uint32_t tag)
{
    const struct vivo_dict *dict = vivo_dcm_dict(tag);
    const struct vivo_deid_row *row = vivo_deid_row_find(tag);
    if (dict)
        return dict->vr;
    return row ? row->vr : "UN";
}

/* Parts that leave the decision to others, or nothing at all. */
static bool is_marker(const struct vivo_ctp_part *p)
{
    switch ((int)p->fn) {
    case VIVO_CTP_KEEP:
    case VIVO_CTP_REMOVE:
    case VIVO_CTP_EMPTY:
    case VIVO_CTP_ALWAYS:
    case VIVO_CTP_PROCESS:
    case VIVO_CTP_QUARANTINE:
    case VIVO_CTP_SKIP:
        return true;
    case VIVO_CTP_REQUIRE:
        return !p->nrefs && !p->text[0];
    default:
        return false;
    }
}

static bool only_markers(const struct vivo_ctp_script *s)
{
    for (size_t i = 0; s && i < s->n; i++) {
        const struct vivo_ctp_part *p = &s->parts[i];
        bool chooses = p->fn == VIVO_CTP_IF || p->fn == VIVO_CTP_SELECT;
        bool blank = p->fn == VIVO_CTP_TEXT && !p->text[strspn(p->text, " ")];
        if (!is_marker(p) && !chooses && !blank)
            return false;
        if (!only_markers(p->yes) || !only_markers(p->no))
            return false;
    }
    return true;
}

static bool has(const struct vivo_ctp_script *s, enum vivo_ctp_fn fn)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->parts[i].fn == fn)
            return true;
    return false;
}

/* The one part that says all, or NULL. */
static const struct vivo_ctp_part *single(const struct vivo_ctp_script *s)
{
    return s->n == 1 ? &s->parts[0] : NULL;
}

static enum vivo_ctp_kind kind_of(const struct vivo_ctp_row *row)
{
    const struct vivo_ctp_part *one = single(row->script);
    if (has(row->script, VIVO_CTP_REMOVE) && !has(row->script, VIVO_CTP_QUARANTINE))
        return VIVO_CTP_ROW_REMOVE;
    if (one && (one->fn == VIVO_CTP_KEEP || one->fn == VIVO_CTP_PROCESS ||
                (one->fn == VIVO_CTP_REQUIRE && is_marker(one))))
        return VIVO_CTP_ROW_KEEP;
    if (one && one->fn == VIVO_CTP_HASHUID && one->nrefs == 1 &&
        (one->ref[0].self ||
         (one->ref[0].n == 1 && !one->ref[0].root && one->ref[0].path[0] == row->tag)))
        return VIVO_CTP_ROW_UID;
    return VIVO_CTP_ROW_EVAL;
}

/* Without these an object cannot be placed or read. */
static bool is_needed(uint32_t tag)
{
    return tag == VIVO_TAG_SpecificCharacterSet || tag == VIVO_TAG_SOPClassUID ||
           tag == VIVO_TAG_SOPInstanceUID || tag == VIVO_TAG_StudyInstanceUID ||
           tag == VIVO_TAG_SeriesInstanceUID;
}

static int check_private(struct vivo_ctp *c, struct vivo_ctp_row *row,
                         struct vivo_err *err)
{
    if (row->kind == VIVO_CTP_ROW_REMOVE || !c->alone)
        return 0;
    return vivo_script_fail(c, row->line, err,
                            "a private element can be removed, not kept or set; "
                            "safeprivateelements keeps those that are safe");
}

static int check_row(struct vivo_ctp *c, struct vivo_ctp_row *row, struct vivo_err *err)
{
    const uint32_t tag = row->tag;
    const char *vr = vr_of(tag);
    bool sets = row->kind == VIVO_CTP_ROW_EVAL && !only_markers(row->script);
    if (row->creator || tag >> 16 & 1)
        return check_private(c, row, err);
    if (is_needed(tag) &&
        (row->kind == VIVO_CTP_ROW_REMOVE || row->kind == VIVO_CTP_ROW_EVAL))
        return vivo_script_fail(
            c, row->line, err,
            "(%04x,%04x) can be kept%s: without it an object cannot "
            "be read or placed",
            tag >> 16, tag & 0xFFFF,
            is_vr(vr, "UI") ? " or be @hashuid(root,this)" : "");
    if (row->kind == VIVO_CTP_ROW_UID && !is_vr(vr, "UI"))
        return vivo_script_fail(c, row->line, err,
                                "@hashuid makes a UID, this is none");
    /* The file meta are written anew whatever the script says. */
    if (tag >> 16 == 0x0002 || tag == 0x00120064)
        return 0;
    if (sets && is_vr(vr, "SQ"))
        return vivo_script_fail(c, row->line, err,
                                "a sequence cannot be set to a text");
    if (sets && is_vr(vr, "UN"))
        return vivo_script_fail(c, row->line, err,
                                "the standard does not know (%04x,%04x): it cannot be "
                                "set",
                                tag >> 16, tag & 0xFFFF);
    if (sets && !vivo_deid_vr_is_text(vr))
        return vivo_script_fail(c, row->line, err,
                                "(%04x,%04x) has binary values: it cannot be set",
                                tag >> 16, tag & 0xFFFF);
    return 0;
}

int vivo_ctp_check(struct vivo_ctp *c, struct vivo_err *err)
{
    for (size_t i = 0; i < c->nrows; i++) {
        struct vivo_ctp_row *row = &c->rows[i];
        const struct vivo_ctp_script *s = row->script;
        row->always = s->n && s->parts[0].fn == VIVO_CTP_ALWAYS;
        row->kind = kind_of(row);
        int rc = check_row(c, row, err);
        if (rc)
            return rc;
    }
    return 0;
}

/* ---- what leaks
 * ---------------------------------------------------------------------- */

/* Does the function give the value itself, or a part of it? */
static bool gives_value(const struct vivo_ctp_part *p)
{
    switch ((int)p->fn) {
    case VIVO_CTP_CONTENTS:
    case VIVO_CTP_VALUE:
    case VIVO_CTP_TRUNCATE:
    case VIVO_CTP_UPPERCASE:
    case VIVO_CTP_LOWERCASE:
    case VIVO_CTP_INITIALS:
    case VIVO_CTP_MODIFYDATE:
    case VIVO_CTP_ROUND:
    case VIVO_CTP_PATHELEMENT:
    case VIVO_CTP_REQUIRE:
    case VIVO_CTP_APPEND:
        return true;
    /* One number of days for all patients: one date that is known tells all. */
    case VIVO_CTP_INCREMENTDATE:
        return p->nrefs == 1;
    case VIVO_CTP_LOOKUP:
        return p->miss == VIVO_CTP_MISS_KEEP || p->miss == VIVO_CTP_MISS_IGNORE;
    default:
        return false;
    }
}

/* May the value of the attribute be shown as it is? UIDs are replaced even where they
 * stay, and persons never stay. */
static bool is_shown(const struct vivo_deid *d, uint32_t tag, bool sequence)
{
    struct vivo_decision dec;
    struct vivo_deid plain = *d;
    plain.ctp = NULL;
    plain.decisions = NULL;
    vivo_deid_decide(&plain, tag, &dec);
    bool kept = dec.act == VIVO_ACT_K || dec.act == VIVO_ACT_KEEP;
    if (sequence)
        return kept || dec.act == VIVO_ACT_XZU;
    return kept && !is_vr(dec.vr, "UI") && !is_vr(dec.vr, "PN") && !is_vr(dec.vr, "SQ");
}

/* A path is shown when all that it goes through is. */
static bool is_ref_shown(const struct vivo_deid *d, const struct vivo_ctp_row *row,
                         const struct vivo_ctp_ref *ref)
{
    for (size_t i = 0; i + 1 < ref->n; i++)
        if (!is_shown(d, ref->path[i], true))
            return false;
    return is_shown(d, ref->self ? row->tag : vivo_ctp_ref_last(ref), false);
}

static bool leaks(const struct vivo_deid *d, const struct vivo_ctp_row *row,
                  const struct vivo_ctp_script *s)
{
    for (size_t i = 0; s && i < s->n; i++) {
        const struct vivo_ctp_part *p = &s->parts[i];
        if (leaks(d, row, p->yes) || leaks(d, row, p->no))
            return true;
        if (!gives_value(p))
            continue;
        if (p->fn == VIVO_CTP_APPEND && !is_shown(d, row->tag, false))
            return true;
        for (size_t k = 0; k < p->nrefs; k++)
            if (!is_ref_shown(d, row, &p->ref[k]))
                return true;
    }
    return false;
}

/* Does it read what a listing's row may not have? The patient behind @hashdate is
 * known by its pseudonym. */
static bool reads_others(const struct vivo_ctp_row *row,
                         const struct vivo_ctp_script *s)
{
    for (size_t i = 0; s && i < s->n; i++) {
        const struct vivo_ctp_part *p = &s->parts[i];
        if (reads_others(row, p->yes) || reads_others(row, p->no))
            return true;
        for (size_t k = 0; k < p->nrefs; k++) {
            const struct vivo_ctp_ref *ref = &p->ref[k];
            uint32_t tag = vivo_ctp_ref_last(ref);
            if (p->fn == VIVO_CTP_HASHDATE && k == 1 && tag == VIVO_TAG_PatientID)
                continue;
            if (!ref->self && (ref->n > 1 || tag != row->tag))
                return true;
        }
    }
    return false;
}

static bool moves_dates(const struct vivo_ctp_script *s)
{
    for (size_t i = 0; s && i < s->n; i++) {
        const struct vivo_ctp_part *p = &s->parts[i];
        if (p->fn == VIVO_CTP_HASHDATE || p->fn == VIVO_CTP_INCREMENTDATE ||
            moves_dates(p->yes) || moves_dates(p->no))
            return true;
    }
    return false;
}

/* Does the value tell patients apart? */
static bool is_identifier(const struct vivo_ctp_row *row)
{
    const struct vivo_ctp_part *p = single(row->script);
    if (!p || row->partial)
        return false;
    if (p->fn == VIVO_CTP_LOOKUP)
        return p->nrefs == 1 && p->miss == VIVO_CTP_MISS_QUARANTINE;
    return (p->fn == VIVO_CTP_HASH || p->fn == VIVO_CTP_HASHPTID) &&
           (!p->has_number || p->number >= PATIENT_DIGITS);
}

void vivo_ctp_judge(struct vivo_ctp *c, const struct vivo_deid *d)
{
    for (size_t i = 0; i < c->nrows; i++) {
        struct vivo_ctp_row *row = &c->rows[i];
        row->leaks = !c->alone && leaks(d, row, row->script);
        row->partial = reads_others(row, row->script);
        row->dates =
            !row->leaks && row->kind == VIVO_CTP_ROW_EVAL && moves_dates(row->script);
        /* That nothing is burned in, and no face seen, only pixels can tell. */
        if (row->tag == 0x00280301 || row->tag == 0x00280302)
            row->leaks = true;
        if (!row->creator && row->tag == VIVO_TAG_PatientID)
            row->leaks = row->kind != VIVO_CTP_ROW_EVAL || !is_identifier(row);
    }
}
