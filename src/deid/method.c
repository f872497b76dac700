/* SPDX-License-Identifier: Apache-2.0 */
/* src/deid/method.c -- what de-identification adds to an object, and whose patient
 * it is.
 *
 * PS3.15 E.1.1: Patient Identity Removed, De-identification Method and its codes,
 * Longitudinal Temporal Information Modified. */
#include "ctp.h"
#include "pixels.h"

#include <errno.h>
#include <string.h>

#define TAG_ISSUER 0x00100021u
#define TEXT_MAX 512
#define ANY_DATES (VIVO_DEID_RETAIN_FULL_DATES | VIVO_DEID_RETAIN_MODIFIED_DATES)

const uint32_t vivo_method_tags[VIVO_METHOD_COUNT] = {
    VIVO_TAG_PatientName,
    VIVO_TAG_PatientID,
    0x00120062, /* PatientIdentityRemoved */
    0x00120063, /* DeidentificationMethod */
    0x00120064, /* DeidentificationMethodCodeSequence */
    VIVO_TAG_BurnedInAnnotation,
    0x00280303, /* LongitudinalTemporalInformationModified */
    0x00282110, /* LossyImageCompression */
};

static int put(struct vivo_rewrite *r, uint32_t tag, const char *vr, const char *text,
               struct vivo_err *err)
{
    return vivo_dcm_write(r->w, tag, vr, text, strlen(text), err);
}

static int put_profile(const struct vivo_rewrite *r, struct vivo_buf *out)
{
    const struct vivo_ctp *c = r->d->ctp;
    char hex[9];
    int rc = 0;
    if (c)
        vivo_hex(c->digest, 4, hex);
    if (!c || !c->alone)
        rc = vivo_buf_printf(out, "vivofs: PS3.15 %s basic profile", vivo_deid_edition);
    if (!rc && c)
        rc = vivo_buf_printf(out, "%sCTP script %s", c->alone ? "vivofs: " : "\\", hex);
    return rc;
}

/* One value a fact, each within the 64 characters of LO. */
static int put_method(struct vivo_rewrite *r, struct vivo_err *err)
{
    size_t n = 0;
    const struct vivo_option_word *words = vivo_option_words(&n);
    vivo_buf_clear(&r->scratch);
    int rc = put_profile(r, &r->scratch);
    for (size_t i = 0; !rc && i < n; i++) {
        if (!(r->d->options & (unsigned)words[i].option))
            continue;
        rc = vivo_buf_puts(&r->scratch, "\\");
        if (!rc)
            rc = vivo_buf_puts(&r->scratch, words[i].word);
    }
    if (!rc)
        rc = vivo_buf_puts(&r->scratch, "\\key ");
    if (!rc)
        rc = vivo_buf_puts(&r->scratch, vivo_key_id(r->d->key));
    if (rc)
        return vivo_fail(err, ENOMEM, "no memory for a header");
    return vivo_dcm_write(r->w, 0x00120063, "LO", r->scratch.data, r->scratch.len, err);
}

static int put_code_item(struct vivo_rewrite *r, const char *code, const char *meaning,
                         struct vivo_err *err)
{
    int rc = vivo_dcm_write_item(r->w, false, err);
    if (!rc)
        rc = put(r, 0x00080100, "SH", code, err);
    if (!rc)
        rc = put(r, 0x00080102, "SH", "DCM", err);
    if (!rc)
        rc = put(r, 0x00080104, "LO", meaning, err);
    return rc ? rc : vivo_dcm_write_item_end(r->w, err);
}

/* What a script that is applied alone says of itself in (0012,0064): codes of CID 7050
 * joined by '/'. */
static int put_script_codes(struct vivo_rewrite *r, struct vivo_err *err)
{
    const struct vivo_ctp_row *row = vivo_ctp_find(r->d->ctp, 0x00120064);
    size_t n = 0;
    const struct vivo_option_word *words = vivo_option_words(&n);
    int rc = 0;
    for (const char *s = row ? row->text : ""; !rc && (s = strstr(s, "1131")); s += 4) {
        if (!strncmp(s, "113100", 6))
            rc = put_code_item(r, "113100", "Basic Application Confidentiality Profile",
                               err);
        for (size_t i = 0; !rc && i < n; i++)
            if (!strncmp(s, words[i].code, 6))
                rc = put_code_item(r, words[i].code, words[i].meaning, err);
    }
    return rc;
}

/* PS3.16 CID 7050. */
int vivo_method_code_items(struct vivo_rewrite *r, struct vivo_err *err)
{
    size_t n = 0;
    const struct vivo_option_word *words = vivo_option_words(&n);
    int rc = 0;
    if (r->d->ctp && r->d->ctp->alone)
        return put_script_codes(r, err);
    rc = put_code_item(r, "113100", "Basic Application Confidentiality Profile", err);
    if (!rc && r->d->moves_dates && !(r->d->options & ANY_DATES))
        rc = put_code_item(r, "113107",
                           "Retain Longitudinal Temporal Information Modified Dates "
                           "Option",
                           err);
    for (size_t i = 0; !rc && i < n; i++)
        if (r->d->options & (unsigned)words[i].option &&
            !(words[i].option == VIVO_DEID_CLEAN_PIXEL_DATA && r->uncleaned))
            rc = put_code_item(r, words[i].code, words[i].meaning, err);
    return rc;
}

static int put_codes(struct vivo_rewrite *r, struct vivo_err *err)
{
    int rc = vivo_dcm_write_sequence(r->w, 0x00120064, false, err);
    if (!rc)
        rc = vivo_method_code_items(r, err);
    return rc ? rc : vivo_dcm_write_sequence_end(r->w, err);
}

static const char *temporal(const struct vivo_deid *d)
{
    if (d->options & VIVO_DEID_RETAIN_FULL_DATES)
        return "UNMODIFIED";
    if (d->options & VIVO_DEID_RETAIN_MODIFIED_DATES || d->moves_dates)
        return "MODIFIED";
    struct vivo_decision dec;
    vivo_deid_decide(d, VIVO_TAG_StudyDate, &dec);
    bool kept = d->ctp && d->ctp->alone && dec.act == VIVO_ACT_K && !dec.unlisted;
    return kept ? "UNMODIFIED" : "REMOVED";
}

/* PS3.15 E.3.1: Burned In Annotation is NO where pixels were cleaned, and there only.
 * What was compressed with loss says so for ever (PS3.3 C.7.6.1.1.5). */
bool vivo_method_wants(const struct vivo_rewrite *r, uint32_t tag)
{
    if (tag == VIVO_TAG_BurnedInAnnotation)
        return r->plan && r->plan->blanks;
    if (tag == 0x00282110)
        return r->plan && r->plan->way == VIVO_PIXELS_DECODE && r->plan->lossy;
    return true;
}

int vivo_method_put(struct vivo_rewrite *r, uint32_t tag, struct vivo_err *err)
{
    switch (tag) {
    case VIVO_TAG_PatientName:
        return put(r, tag, "PN", r->patient_id, err);
    case VIVO_TAG_PatientID:
        return put(r, tag, "LO", r->patient_id, err);
    case 0x00120062:
        return put(r, tag, "CS", "YES", err);
    case 0x00120063:
        return put_method(r, err);
    case 0x00120064:
        return put_codes(r, err);
    case VIVO_TAG_BurnedInAnnotation:
        return put(r, tag, "CS", "NO", err);
    case 0x00282110:
        return put(r, tag, "CS", "01", err);
    default:
        return put(r, tag, "CS", temporal(r->d), err);
    }
}

static bool is_ascii(const char *s)
{
    for (; *s; s++)
        if (*s < 32 || *s == 127)
            return false;
    return true;
}

/* The text of an identifier as UTF-8, so that a file in ISO 8859-1 and a listing in
 * UTF-8 give the same pseudonym. */
static int utf8(const char *charset, const char *text, struct vivo_buf *out,
                struct vivo_err *err)
{
    vivo_buf_init(out, 16 * TEXT_MAX);
    int rc = is_ascii(text) ? vivo_buf_puts(out, text)
                            : vivo_dcm_text(charset, "LO", text, strlen(text), out);
    if (!rc)
        rc = vivo_buf_add(out, "", 1);
    return rc ? vivo_fail(err, ENOMEM, "no memory for a header") : 0;
}

int vivo_rewrite_pseudonym(const struct vivo_key *key, const char *charset,
                           const char *issuer, const char *id, char out[22],
                           struct vivo_err *err)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf a = {0}, b = {0};
    int rc = utf8(charset, issuer, &a, err);
    if (!rc)
        rc = utf8(charset, id, &b, err);
    if (rc)
        return rc;
    vivo_pseudo_patient(key, (const char *)a.data, (const char *)b.data, out);
    return 0;
}

int vivo_script_identifier(const struct vivo_deid *d, const char *charset,
                           const char *issuer, const char *id, char out[65],
                           struct vivo_err *err)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf a = {0}, b = {0};
    out[0] = '\0';
    if (!d->ctp)
        return 0;
    int rc = utf8(charset, issuer, &a, err);
    if (!rc)
        rc = utf8(charset, id, &b, err);
    if (rc)
        return rc;
    int says = vivo_ctp_patient(d, (const char *)a.data, (const char *)b.data, out);
    if (says <= 0)
        out[0] = '\0';
    return says < 0 ? vivo_fail(err, EPERM, "refused: the script quarantines it") : 0;
}

/* What names the patient among the siblings [first, end). */
static bool find_patient(const struct vivo_rewrite *r, uint32_t first, uint32_t end,
                         char id[TEXT_MAX], char issuer[TEXT_MAX],
                         char charset[TEXT_MAX])
{
    if (!vivo_nodes_text(r->h, first, end, VIVO_TAG_PatientID, id, TEXT_MAX))
        return false;
    vivo_nodes_text(r->h, first, end, TAG_ISSUER, issuer, TEXT_MAX);
    if (!vivo_nodes_text(r->h, first, end, VIVO_TAG_SpecificCharacterSet, charset,
                         TEXT_MAX))
        vivo_header_text(r->h, VIVO_TAG_SpecificCharacterSet, charset, TEXT_MAX);
    return true;
}

int vivo_rewrite_identifier(struct vivo_rewrite *r, uint32_t first, uint32_t end,
                            char out[65], struct vivo_err *err)
{
    char id[TEXT_MAX], issuer[TEXT_MAX], charset[TEXT_MAX];
    out[0] = '\0';
    if (!r->d->ctp || !find_patient(r, first, end, id, issuer, charset))
        return 0;
    return vivo_script_identifier(r->d, r->h->utf8 ? "ISO_IR 192" : charset, issuer, id,
                                  out, err);
}

int vivo_rewrite_patient(struct vivo_rewrite *r, uint32_t first, uint32_t end,
                         char out[22], struct vivo_err *err)
{
    char id[TEXT_MAX], issuer[TEXT_MAX], charset[TEXT_MAX];
    out[0] = '\0';
    if (!find_patient(r, first, end, id, issuer, charset))
        return 0;
    return vivo_rewrite_pseudonym(r->d->key, charset, issuer, id, out, err);
}

void vivo_rewrite_instance(const struct vivo_rewrite *r, char out[VIVO_UID_MAX + 1])
{
    char uid[128];
    out[0] = '\0';
    if (!vivo_header_text(r->h, VIVO_TAG_SOPInstanceUID, uid, sizeof uid))
        memcpy(uid, r->h->meta_instance, sizeof r->h->meta_instance);
    size_t n = strcspn(uid, "\\"); /* several values: the first */
    uid[n] = '\0';
    if (!n)
        return;
    bool valid = vivo_deid_valid("UI", (const uint8_t *)uid, n);
    struct vivo_decision dec;
    vivo_deid_decide(r->d, VIVO_TAG_SOPInstanceUID, &dec);
    bool keep = dec.act == VIVO_ACT_K && valid;
    if (keep || vivo_uid_is_known(uid, n))
        memcpy(out, uid, n + 1);
    else
        vivo_pseudo_uid(r->d->key, uid, n, out);
}
