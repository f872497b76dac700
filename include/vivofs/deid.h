/* SPDX-License-Identifier: Apache-2.0 */
/* include/vivofs/deid.h -- PS3.15 Annex E (edition 2026d) as an immutable object.
 *
 * Built once, then read by all threads without a lock. A function of object, profile
 * and key alone: no state table, so order and machine never matter. It fails
 * closed: no path leads from an error to bytes of the source. */
#ifndef VIVOFS_DEID_H
#define VIVOFS_DEID_H

#include "vivofs/dcm.h"
#include "vivofs/hash.h"
#include "vivofs/model.h"
#include "vivofs/view.h"

#include <stdbool.h>
#include <stdint.h>

/* ---- key -------------------------------------------------------------------- */

/* The secret of a site: any file of at least 32 bytes, mode 0600 or stricter, a
 * regular file owned by the caller. Sub-keys are derived per domain. In locked
 * memory; wiped when freed. */
struct vivo_key;
/* -EPERM: readable by others; -EINVAL: short; -ENOENT. The message names the path.
 * "keyring:NAME" is the key of type "user" of that description in the kernel's keyrings
 * of this process, session or user (keyrings(7)). */
int vivo_key_load(const char *path, struct vivo_key **out, struct vivo_err *err);
/* The user's own key (VIVO_DIR_CONFIG "/key"), made (0600, random) when there is
 * none; *made tells, *path (malloc'd, caller frees) where. */
int vivo_key_default(struct vivo_key **out, bool *made, char **path,
                     struct vivo_err *err);
void vivo_key_free(struct vivo_key *k);
/* 16 hexadecimal characters that tell keys apart and tell nothing of the key. */
const char *vivo_key_id(const struct vivo_key *k);
/* HMAC-SHA-256(sub-key of domain, data); domain e.g. "seal", "lookup". */
void vivo_key_derive(const struct vivo_key *k, const char *domain, const void *data,
                     size_t len, uint8_t out[VIVO_DIGEST_LEN]);

/* The forward mapping, for the custodian of the key; what a mount shows never goes
 * back. text: PatientID, a UID, or (OFFSET) the PatientID whose dates are moved; UTF-8.
 * issuer: IssuerOfPatientID or "". out: the pseudonym as in the objects, or days as a
 * decimal. -EINVAL: not a UID. */
enum vivo_forward { VIVO_FORWARD_PATIENT, VIVO_FORWARD_UID, VIVO_FORWARD_OFFSET };
int vivo_key_forward(const struct vivo_key *k, enum vivo_forward kind,
                     const char *issuer, const char *text, char out[VIVO_UID_MAX + 1],
                     struct vivo_err *err);

/* ---- profile ------------------------------------------------------------------- */

enum vivo_deid_option { /* PS3.15 E.3, one bit each; CID 7050 */
                        VIVO_DEID_RETAIN_SAFE_PRIVATE = 1 << 0,
                        VIVO_DEID_RETAIN_UIDS = 1 << 1,
                        VIVO_DEID_RETAIN_DEVICE = 1 << 2,
                        VIVO_DEID_RETAIN_INSTITUTION = 1 << 3,
                        VIVO_DEID_RETAIN_PATIENT_CHARACTERISTICS = 1 << 4,
                        VIVO_DEID_RETAIN_FULL_DATES = 1 << 5,
                        VIVO_DEID_RETAIN_MODIFIED_DATES = 1 << 6,
                        VIVO_DEID_CLEAN_DESCRIPTORS = 1 << 7,
                        VIVO_DEID_CLEAN_STRUCTURED_CONTENT = 1 << 8,
                        VIVO_DEID_CLEAN_GRAPHICS = 1 << 9,
                        VIVO_DEID_CLEAN_PIXEL_DATA = 1 << 10,
};

enum vivo_burned_in {
    VIVO_BURNED_IN_REFUSE,
    VIVO_BURNED_IN_STRICT,
    VIVO_BURNED_IN_ALLOW
};

struct vivo_deid;

/* profile: "none", "basic", "basic+OPTION+…", "ctp:FILE[+OPTION…]" (a script of CTP's
 * DicomAnonymizer in union with the basic profile), "ctp:FILE+alone" (DESIGN A6). A
 * word that is not known, or not offered yet, or two date options together: -EINVAL
 * with a sentence (and the nearest word). key: borrowed, must outlive; NULL only for
 * "none". */
int vivo_deid_new(const char *profile, enum vivo_burned_in burned_in,
                  const struct vivo_key *key, struct vivo_deid **out,
                  struct vivo_err *err);
/* Whether a profile is one: errors as above, before a key is made for it. */
int vivo_deid_check(const char *profile, struct vivo_err *err);
/* A pixel script (CTP's language) for the option clean-pixel-data, instead of the
 * built-in rules; before the profile is used. -EINVAL with file and line. */
int vivo_deid_set_pixels(struct vivo_deid *d, const char *file, struct vivo_err *err);
void vivo_deid_free(struct vivo_deid *d);
bool vivo_deid_is_none(const struct vivo_deid *d);
const char *vivo_deid_profile(const struct vivo_deid *d); /* canonical words */
const struct vivo_key *vivo_deid_key(const struct vivo_deid *d);
/* SHA-256 over engine version, tables, profile, burned-in rule and key id: part of
 * every name of a catalog and of a store entry. */
const uint8_t *vivo_deid_digest(const struct vivo_deid *d);
/* The statement of PS3.15 E.1 for .vivofs/conformance.txt; source_note: "as
 * published by NAME" or NULL. */
int vivo_deid_conformance(const struct vivo_deid *d, const char *source_note,
                          struct vivo_buf *out);
/* Lines for `vivofs deid --list`. */
int vivo_deid_list_profiles(struct vivo_buf *out);

/* ---- objects ------------------------------------------------------------------- */

/* Why policy refused, as in .refused.csv. */
enum vivo_refusal {
    VIVO_REFUSAL_NONE,
    VIVO_REFUSAL_BURNED_IN,  /* BurnedInAnnotation=YES */
    VIVO_REFUSAL_DOCUMENT,   /* encapsulated PDF, CDA, STL, video … */
    VIVO_REFUSAL_AT_RISK,    /* burned_in=strict, by SOP class or ImageType */
    VIVO_REFUSAL_UNPARSABLE, /* not valid DICOM to the end */
    VIVO_REFUSAL_DICOMDIR,
    VIVO_REFUSAL_SCRIPT, /* a CTP script quarantines or skips it */
};
const char *vivo_refusal_code(enum vivo_refusal r); /* "burned-in" */

struct vivo_deid_report {
    enum vivo_refusal refusal;
    bool at_risk;  /* served, but pixels or content may identify */
    bool foreign;  /* with -EBADMSG: another kind of file (vivo_dcm_probe says no) */
    uint64_t size; /* bytes of the result */
};

/* The header pass. Reads the header of `fd` (walks over bulk values) and returns a
 * view of the de-identified object: new header and tail in memory, bulk left where
 * it is. Takes ownership of fd on success only. `id` as in vivo_view_new. With
 * profile none the view is the source itself, byte for byte, after nothing but
 * vivo_dcm_probe().
 * attrs: NULL, or gets the result's attributes in attrs form (with none: the
 * source's). report may be NULL.
 * -EPERM: policy refuses (report->refusal); -EBADMSG: not valid DICOM, or cannot be
 * cleaned; -EIO: reading failed. err never holds a value. */
int vivo_deid_object(const struct vivo_deid *d, int fd, const struct vivo_identity *id,
                     uint64_t size, struct vivo_view **out, struct vivo_buf *attrs,
                     struct vivo_deid_report *report, struct vivo_err *err);

/* What a reader would see: the same attributes, and the size in the report, while
 * nothing is made that could be read. fd stays the caller's. Errors as above. */
int vivo_deid_describe(const struct vivo_deid *d, int fd,
                       const struct vivo_identity *id, uint64_t size,
                       struct vivo_buf *attrs, struct vivo_deid_report *report,
                       struct vivo_err *err);

/* The same over the first `here` bytes of an object of `size` that is still coming into
 * fd: a view whose ranges lie beyond, too; it is for who waits until they are there.
 * -EAGAIN: the pass needs *need bytes. -EOPNOTSUPP: it needs all of them, because
 * pixels have to be decoded or inflated. Errors are not final: the whole tells. */
int vivo_deid_early(const struct vivo_deid *d, int fd, uint64_t size, uint64_t here,
                    struct vivo_view **out, uint64_t *need, struct vivo_err *err);

/* What the header pass does to the object, by tags and never by values: appends a JSON
 * array of {"tag": "00081140.00081155", "action": WORD, "count": N}. Words: kept,
 * removed, emptied, dummy, uid, pseudonym, shifted, cleaned, code, blanked, script,
 * added. Errors as above; fd stays the caller's. With profile none the array is empty.
 */
int vivo_deid_audit(const struct vivo_deid *d, int fd, const struct vivo_identity *id,
                    uint64_t size, struct vivo_buf *out, struct vivo_err *err);

/* The same policy for attributes that did not come as an object (a QIDO row): from
 * attrs form to attrs form, by the same engine. context: attributes of the parents
 * in attrs form as the archive gave them (for PatientID and its issuer), or
 * empty. Adds no method attributes. Cleaned text is left out: who is named in it only
 * the whole object tells. */
int vivo_deid_attrs(const struct vivo_deid *d, struct vivo_attrs in,
                    struct vivo_attrs context, struct vivo_buf *out,
                    struct vivo_err *err);
/* The same for the whole header of an object. */
int vivo_deid_header(const struct vivo_deid *d, struct vivo_attrs in,
                     struct vivo_buf *out, struct vivo_err *err);

/* Does the profile show the attribute of every object exactly as it is there? Only then
 * may a condition on it be passed on to an archive, which knows originals. */
bool vivo_deid_keeps(const struct vivo_deid *d, uint32_t tag);

/* Is what the profile shows of the attribute free text that was cleaned? It never
 * enters a name of a directory. */
bool vivo_deid_cleans(const struct vivo_deid *d, uint32_t tag);
/* A name that is no attribute (collection, file name): itself with "none",
 * else a pseudonym in the given domain; out gets at most 64 characters and NUL. */
void vivo_deid_name(const struct vivo_deid *d, const char *domain, const char *original,
                    char out[65]);

/* A script of CTP's DicomFilter: which objects are shown at all, by their original
 * values. Immutable. -EINVAL with "FILE:LINE: …". */
struct vivo_filter;
int vivo_filter_load(const char *path, struct vivo_filter **out, struct vivo_err *err);
void vivo_filter_free(struct vivo_filter *f);
const uint8_t *vivo_filter_digest(const struct vivo_filter *f);
/* 1 = is shown, 0 = is not; -EBADMSG not valid DICOM, -EIO, -ENOMEM. */
int vivo_filter_passes(const struct vivo_filter *f, int fd, uint64_t size,
                       struct vivo_err *err);

/* Is the attribute hidden as a whole (DESIGN A5, under de-identification)? Decided
 * by profile and tag, never by object. Returns NULL when it may be asked, else the
 * option word that would show it ("deid=none" when none would). private_creator:
 * NULL for standard tags. */
const char *vivo_deid_hides(const struct vivo_deid *d, uint32_t tag,
                            const char *private_creator);

#endif
