/* SPDX-License-Identifier: Apache-2.0 */
/* src/deid/ctp_policy.c -- a script joins the policy, and is described.
 *
 * In union with the basic profile what either removes is removed; what the script sets
 * is set where it shows nothing that the profile hides. Alone, the script decides,
 * at every depth. */
#include "ctp.h"

#include <string.h>

#define GROUP(tag) ((tag) >> 16)

static bool is_listed_group(const struct vivo_ctp *c, uint32_t tag)
{
    for (size_t i = 0; i < c->nkeep; i++)
        if (c->keep[i] == GROUP(tag))
            return true;
    return false;
}

/* What stays though the script does not name it, as in CTP; and what places an
 * object. */
static bool is_kept_unlisted(const struct vivo_ctp *c, uint32_t tag)
{
    switch (tag) {
    case VIVO_TAG_SpecificCharacterSet:
    case VIVO_TAG_SOPClassUID:
    case VIVO_TAG_SOPInstanceUID:
    case VIVO_TAG_StudyInstanceUID:
    case VIVO_TAG_SeriesInstanceUID:
    case VIVO_TAG_PatientID:
    case VIVO_TAG_PatientName:
        return true;
    default:
        break;
    }
    if (tag >> 24 == 0x50)
        return !c->remove_curves;
    if (tag >> 24 == 0x60)
        return !c->remove_overlays;
    return GROUP(tag) == 0x0002 || GROUP(tag) == 0x0028 || GROUP(tag) == 0x7FE0 ||
           is_listed_group(c, tag);
}

/* A block's place in the group is not the script's to know: any block counts. */
static bool removes_private(const struct vivo_ctp *c, uint32_t tag)
{
    for (size_t i = c->nrows; i-- && c->rows[i].creator;)
        if (c->rows[i].kind == VIVO_CTP_ROW_REMOVE &&
            GROUP(c->rows[i].tag) == GROUP(tag) &&
            (c->rows[i].tag & 0xFF) == (tag & 0xFF) && (tag & 0xFF00))
            return true;
    return false;
}

static void go(struct vivo_decision *out)
{
    out->act = VIVO_ACT_X;
    out->basic = VIVO_ACT_X;
    out->script_goes = true;
    out->scripted = true; /* whatever is decided of it when the header is whole */
}

void vivo_ctp_decide(const struct vivo_deid *d, uint32_t tag, struct vivo_decision *out)
{
    const struct vivo_ctp *c = d->ctp;
    if (GROUP(tag) & 1) {
        if ((c->remove_private && !c->keep_safe) || removes_private(c, tag))
            go(out);
        return;
    }
    if ((tag >> 24 == 0x50 && c->remove_curves) ||
        (tag >> 24 == 0x60 && c->remove_overlays)) {
        go(out);
        return;
    }
    const struct vivo_ctp_row *row = vivo_ctp_find(c, tag);
    if (!row) {
        out->unlisted = c->remove_unlisted && !is_kept_unlisted(c, tag);
        return;
    }
    switch (row->kind) {
    case VIVO_CTP_ROW_KEEP:
        return;
    case VIVO_CTP_ROW_REMOVE:
        /* The patient's name and number are pseudonyms, and are never missing. */
        if (out->act != VIVO_ACT_PSEUDO)
            go(out);
        return;
    case VIVO_CTP_ROW_UID:
        out->act = VIVO_ACT_U;
        return;
    case VIVO_CTP_ROW_EVAL:
        out->scripted = !row->leaks && tag != VIVO_TAG_PatientID;
        return;
    }
}

/* ---- telling -----------------------------------------------------------------------
 */

static int put_strict(const struct vivo_ctp *c, struct vivo_buf *out)
{
    size_t n = 0;
    int rc = 0;
    for (size_t i = 0; !rc && i < c->nrows; i++) {
        const struct vivo_ctp_row *row = &c->rows[i];
        if (!row->leaks || row->creator || row->tag == VIVO_TAG_PatientID)
            continue;
        rc = vivo_buf_printf(
            out, "%s(%04x,%04x) line %u",
            n++ ? ", " : "  What the script would set and the profile decides: ",
            row->tag >> 16, row->tag & 0xFFFF, row->line);
    }
    return rc || !n ? rc : vivo_buf_puts(out, "\n");
}

int vivo_ctp_conformance(const struct vivo_deid *d, struct vivo_buf *out)
{
    const struct vivo_ctp *c = d->ctp;
    char hex[2 * VIVO_DIGEST_LEN + 1];
    vivo_hex(c->digest, sizeof c->digest, hex);
    int rc = vivo_buf_printf(
        out,
        "Script: %s, CTP DicomAnonymizer, %zu elements, SHA-256 of mode, script and "
        "lookup table %s\n%s",
        c->name, c->nrows, hex,
        c->alone
            ? "  Alone: the basic profile is not applied. What the script does not "
              "name "
              "stays, at every depth, but for\n  private elements that are not known "
              "to be safe, what PS3.6 does not know and values that are not valid.\n"
            : "  In union with the basic profile: what either removes is removed; what "
              "the script sets is set where it shows\n  nothing that the profile "
              "hides.\n");
    if (!rc)
        rc = vivo_buf_puts(
            out,
            "  Applied at every depth. @hash, @hashname, @hashptid and @hashdate are "
            "keyed (HMAC-SHA-256, in digits), not CTP's\n  MD5; @hashuid gives the "
            "UIDs of this statement, whatever its root. A value that cannot be made "
            "is removed.\n  PatientID is the pseudonym, or what the script makes "
            "of it by @lookup, or by a hash of 16 digits or more.\n");
    return rc ? rc : put_strict(c, out);
}
