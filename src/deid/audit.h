/* SPDX-License-Identifier: Apache-2.0 */
/* src/deid/audit.h -- what was done to each attribute, by tag, never by value.
 *
 * rewrite.c notes as it writes; equal notes are counted, so that 5,000 frames take no
 * more room than one. Nothing is noted unless somebody asks. */
#ifndef VIVO_DEID_AUDIT_H
#define VIVO_DEID_AUDIT_H

#include "engine.h"

enum vivo_did {
    VIVO_DID_NOTHING, /* no attribute was there, none was made */
    VIVO_DID_KEEP,
    VIVO_DID_REMOVE,
    VIVO_DID_EMPTY,
    VIVO_DID_DUMMY,
    VIVO_DID_UID,
    VIVO_DID_PSEUDONYM,
    VIVO_DID_SHIFT,
    VIVO_DID_CLEAN,
    VIVO_DID_CODE,
    VIVO_DID_BLANK, /* pixels */
    VIVO_DID_SCRIPT,
    VIVO_DID_ADD, /* an attribute that says what was done */
};

struct vivo_audit;
struct vivo_audit *vivo_audit_new(void); /* NULL = ENOMEM */
void vivo_audit_free(struct vivo_audit *a);
/* Into an attribute and out again: what is noted in between lies in its items. */
void vivo_audit_enter(struct vivo_audit *a, uint32_t tag);
void vivo_audit_leave(struct vivo_audit *a);
/* The attribute itself, among what was entered. A failure is kept until the end. */
void vivo_audit_note(struct vivo_audit *a, uint32_t tag, enum vivo_did did);
/* Appends a JSON array, by tags ascending. 0, -ENOMEM, -ENOSPC. */
int vivo_audit_print(struct vivo_audit *a, struct vivo_buf *out);

#endif
