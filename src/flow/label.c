/* SPDX-License-Identifier: Apache-2.0 */
/* src/flow/label.c -- an archive's own names of things, as shown.
 *
 * Collections, subjects of archives that list no PatientID, and things without a UID
 * are told apart by what the archive calls them. As shown that is the name itself or,
 * under a profile, a pseudonym: of a subject the one that its label would have as
 * PatientID. */
#include "flow/internal.h"

#include <stdio.h>
#include <string.h>

/* Two long names that begin alike stay two. */
static void mark_long(const char *name, char out[LABEL_MAX + 1])
{
    uint8_t digest[VIVO_DIGEST_LEN];
    char hex[2 * VIVO_DIGEST_LEN + 1];
    size_t n = LABEL_MAX - 17;
    vivo_sha256(name, strlen(name), digest);
    vivo_hex(digest, sizeof digest, hex);
    while (n && ((uint8_t)name[n] & 0xC0) == 0x80) /* not within a character */
        n--;
    snprintf(out, LABEL_MAX + 1, "%.*s-%.16s", (int)n, name, hex);
}

void label_collection(const struct vivo_flow *f, const char *name,
                      char out[LABEL_MAX + 1])
{
    if (vivo_deid_is_none(f->deid) && strlen(name) > LABEL_MAX)
        mark_long(name, out);
    else
        vivo_deid_name(f->deid, "collection", name, out);
}

int label_patient(const struct vivo_flow *f, const char *label, char out[LABEL_MAX + 1],
                  struct vivo_err *err)
{
    char kept[LABEL_MAX + 1];
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf id = {0};
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf shown = {0};
    vivo_buf_init(&id, VIVO_ATTRS_MAX);
    vivo_buf_init(&shown, VIVO_ATTRS_MAX);
    if (strlen(label) > LABEL_MAX)
        mark_long(label, kept);
    else
        snprintf(kept, sizeof kept, "%s", label);
    if (vivo_deid_is_none(f->deid)) {
        memcpy(out, kept, sizeof kept);
        return 0;
    }
    int rc = vivo_attrs_put(&id, VIVO_TAG_SpecificCharacterSet, "CS", "ISO_IR 192", 10);
    if (!rc)
        rc = vivo_attrs_put(&id, VIVO_TAG_PatientID, "LO", kept, strlen(kept));
    if (rc)
        return vivo_fail(err, -rc, "a label does not fit");
    rc = vivo_deid_attrs(f->deid, (struct vivo_attrs){id.data, id.len},
                         (struct vivo_attrs){NULL, 0}, &shown, err);
    if (rc)
        return rc;
    /* A profile may take the PatientID away; two subjects are two even then. */
    if (!vivo_attrs_text((struct vivo_attrs){shown.data, shown.len}, VIVO_TAG_PatientID,
                         out, LABEL_MAX + 1))
        vivo_deid_name(f->deid, "patient", kept, out);
    return 0;
}

void label_key(const struct vivo_flow *f, const char *key, char out[LABEL_MAX + 1])
{
    uint8_t digest[VIVO_DIGEST_LEN];
    char hex[2 * VIVO_DIGEST_LEN + 1];
    vivo_sha256(key, strlen(key), digest);
    vivo_hex(digest, sizeof digest, hex);
    vivo_deid_name(f->deid, "key", hex, out);
}

bool flow_lists_numbers(const struct vivo_driver *d)
{
    const uint32_t *tag = d->listed;
    while (tag && *tag && *tag != VIVO_TAG_InstanceNumber)
        tag++;
    return !tag || *tag;
}
