/* SPDX-License-Identifier: Apache-2.0 */
/* src/deid/attrs.c -- the same policy for attributes that came as a listing.
 *
 * A row of QIDO-RS is a data set in attrs form; it goes through capture and rewrite
 * like an object's header, so that both show the same values. What is decided by all
 * that an object says (cleaned text, dates without a patient) a row does not show. */
#include "ctp.h"
#include "options.h"

#include <errno.h>
#include <string.h>

#define TAG_TRANSFER_SYNTAX 0x00020010u
#define TAG_ISSUER 0x00100021u
#define TEXT_MAX 512

static const char explicit_le[] = "1.2.840.10008.1.2.1";

/* The attribute in the row itself, else in what is known of its parents. */
static bool find_text(struct vivo_attrs in, struct vivo_attrs context, uint32_t tag,
                      char out[TEXT_MAX])
{
    return vivo_attrs_text(in, tag, out, TEXT_MAX) ||
           vivo_attrs_text(context, tag, out, TEXT_MAX);
}

/* An identifier is one value even where it holds a backslash: read it whole, as the
 * header pass does. */
static bool find_whole(struct vivo_attrs a, uint32_t tag, char out[TEXT_MAX])
{
    struct vivo_attr attr;
    out[0] = '\0';
    if (!vivo_attrs_find(a, tag, &attr))
        return false;
    size_t n = attr.len;
    const char *v = (const char *)attr.value;
    while (n && (v[n - 1] == ' ' || v[n - 1] == '\0'))
        n--;
    while (n && *v == ' ')
        v++, n--;
    n = VIVO_MIN(n, (size_t)TEXT_MAX - 1);
    if (n)
        memcpy(out, v, n);
    out[n] = '\0';
    return n > 0;
}

static int choose_patient(struct vivo_rewrite *r, struct vivo_attrs in,
                          struct vivo_attrs context, struct vivo_err *err)
{
    char id[TEXT_MAX], issuer[TEXT_MAX], uid[TEXT_MAX];
    if (find_whole(in, VIVO_TAG_PatientID, id) ||
        find_whole(context, VIVO_TAG_PatientID, id)) {
        if (!find_whole(in, TAG_ISSUER, issuer))
            find_whole(context, TAG_ISSUER, issuer);
        /* A row of what the script quarantines shows the pseudonym. */
        int rc =
            vivo_script_identifier(r->d, "ISO_IR 192", issuer, id, r->patient_id, NULL);
        if (rc && rc != -EPERM)
            return vivo_fail(err, ENOMEM, "no memory for attributes");
        return vivo_rewrite_pseudonym(r->d->key, "ISO_IR 192", issuer, id, r->patient,
                                      err);
    }
    if (find_text(in, context, VIVO_TAG_StudyInstanceUID, uid) ||
        find_text(in, context, VIVO_TAG_SOPInstanceUID, uid))
        vivo_pseudo_patient_of_uid(r->d->key, uid, r->patient);
    return 0;
}

/* (0002,0010) stands first in attrs form though it is no part of a data set. */
static int move_syntax(struct vivo_attrs *in, struct vivo_buf *out)
{
    struct vivo_attrs rest = *in;
    struct vivo_attr first;
    if (!vivo_attrs_next(&rest, &first) || first.tag != TAG_TRANSFER_SYNTAX)
        return 0;
    size_t n = first.len;
    while (n && (first.value[n - 1] == 0 || first.value[n - 1] == ' '))
        n--;
    *in = rest;
    char uid[VIVO_UID_MAX + 1];
    if (!n || n > VIVO_UID_MAX)
        return 0;
    memcpy(uid, first.value, n);
    uid[n] = '\0';
    if (!vivo_uid_is_registry(uid, n))
        return 0;
    return vivo_attrs_put(out, first.tag, first.vr, uid, n);
}

static int collect(struct vivo_dcm_writer *w, struct vivo_attrs in,
                   struct vivo_buf *out, struct vivo_err *err)
{
    size_t n = 0;
    const struct vivo_dcm_piece *pieces = vivo_dcm_writer_pieces(w, &n);
    for (size_t i = 0; i < n; i++) {
        const struct vivo_dcm_piece *p = &pieces[i];
        if (!p->data && (p->off > in.len || p->len > in.len - p->off))
            return vivo_fail(err, EBADMSG, "attributes are cut");
        const uint8_t *from = p->data ? p->data : in.data + p->off;
        int rc = vivo_buf_add(out, from, (size_t)p->len);
        if (rc)
            return vivo_fail(err, -rc, "attributes are too large");
    }
    return 0;
}

static int rewrite(struct vivo_rewrite *r, struct vivo_header *h, struct vivo_attrs in,
                   struct vivo_err *err)
{
    const struct vivo_syntax *syntax =
        vivo_dcm_syntax(explicit_le, sizeof explicit_le - 1);
    struct vivo_mem_reader reader;
    vivo_mem_reader_init(&reader, in.data, in.len);
    int rc = vivo_dcm_walk_reader(&reader.base, syntax, VIVO_DCM_WALK_BARE, -1,
                                  vivo_header_event, h, err);
    if (rc >= 0)
        rc = vivo_header_settle(h, err);
    if (rc < 0)
        return rc;
    vivo_header_text(h, VIVO_TAG_SOPClassUID, r->sop_class, sizeof r->sop_class);
    rc = vivo_dcm_writer_new(syntax, VIVO_ATTRS_MAX, &r->w, err);
    return rc ? rc : vivo_rewrite_set(r, err);
}

static int attrs(const struct vivo_deid *d, bool partial, struct vivo_attrs in,
                 struct vivo_attrs context, struct vivo_buf *out, struct vivo_err *err)
{
    if (d->none) {
        int rc = vivo_buf_add(out, in.data, in.len);
        return rc ? vivo_fail(err, -rc, "attributes are too large") : 0;
    }
    struct vivo_header h;
    struct vivo_attr id;
    bool knows_patient = vivo_attrs_find(in, VIVO_TAG_PatientID, &id) ||
                         vivo_attrs_find(context, VIVO_TAG_PatientID, &id);
    struct vivo_rewrite r = {
        .d = d, .h = &h, .partial = partial, .no_offset = partial && !knows_patient};
    size_t before = out->len;
    int rc = choose_patient(&r, in, context, err);
    if (!rc && move_syntax(&in, out))
        rc = vivo_fail(err, ENOMEM, "no memory for attributes");
    if (rc || !in.len)
        return rc;
    vivo_header_init(&h, d);
    h.utf8 = true;
    vivo_buf_init(&r.scratch, VIVO_ATTRS_MAX);
    rc = rewrite(&r, &h, in, err);
    if (!rc)
        rc = collect(r.w, in, out, err);
    if (rc)
        out->len = before;
    vivo_dcm_writer_free(r.w);
    vivo_known_free(r.known);
    vivo_known_free(r.names);
    vivo_buf_free(&r.scratch);
    vivo_header_free(&h);
    return rc;
}

int vivo_deid_attrs(const struct vivo_deid *d, struct vivo_attrs in,
                    struct vivo_attrs context, struct vivo_buf *out,
                    struct vivo_err *err)
{
    return attrs(d, true, in, context, out, err);
}

int vivo_deid_header(const struct vivo_deid *d, struct vivo_attrs in,
                     struct vivo_buf *out, struct vivo_err *err)
{
    return attrs(d, false, in, (struct vivo_attrs){NULL, 0}, out, err);
}
