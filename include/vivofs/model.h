/* SPDX-License-Identifier: Apache-2.0 */
/* include/vivofs/model.h -- the nouns: levels, attributes, records, names.
 *
 * Attributes of anything (an instance's header, a QIDO row, what a series has in
 * common) are always the same thing: a data set in ATTRS FORM, which is PS3.5
 * Explicit VR Little Endian without file meta, elements in ascending order, every
 * sequence and item with a defined length, all text in UTF-8 NFC (so (0008,0005)
 * is ISO_IR 192 or absent), no group lengths, values longer than
 * VIVO_ATTRS_VALUE_MAX cut (text at a character) and bulk values (pixels,
 * waveforms, documents) reduced to their first 16 bytes. vivo_dcm_attrs() makes
 * it from any file; the catalog keeps it; queries, xattrs and sidecars read it. */
#ifndef VIVOFS_MODEL_H
#define VIVOFS_MODEL_H

#include "vivofs/buf.h"

#include <stdbool.h>
#include <stdint.h>

/* Information-model levels, widest first (PS3.3 section 7). */
enum vivo_level {
    VIVO_LEVEL_NONE, /* the archive itself, or "not set" */
    VIVO_LEVEL_COLLECTION,
    VIVO_LEVEL_PATIENT,
    VIVO_LEVEL_STUDY,
    VIVO_LEVEL_SERIES,
    VIVO_LEVEL_INSTANCE,
};
const char *vivo_level_name(enum vivo_level level); /* "series" */

#define VIVO_UID_MAX 64 /* characters; PS3.5 section 9.1 */

/* Tags are 0xGGGGEEEE. The ones the house itself speaks of, expanded from
 * src/model/attributes.def: VIVO_TAG_PatientID … */
enum vivo_tag {
#define VIVO_ATTR(keyword, tag, vr, level, column) VIVO_TAG_##keyword = (int)(tag),
#include "vivofs/attributes.def"
#undef VIVO_ATTR
};

/* ---- data sets in attrs form ------------------------------------------- */

#define VIVO_ATTRS_VALUE_MAX 32768 /* bytes of one value */
#define VIVO_ATTRS_MAX (4u << 20)  /* bytes of one data set in attrs form */

struct vivo_attrs { /* borrowed bytes; {NULL, 0} is the empty data set */
    const uint8_t *data;
    size_t len;
};

struct vivo_attr { /* one element; borrowed from the data set */
    uint32_t tag;
    char vr[3];
    const uint8_t *value; /* text is not NUL-terminated; SQ: the items */
    uint32_t len;         /* bytes, padding included */
};

/* Iterates one level: it = attrs; while (vivo_attrs_next(&it, &a)) ….
 * Malformed rest ends the iteration. */
bool vivo_attrs_next(struct vivo_attrs *it, struct vivo_attr *out);
/* Items of a sequence value: it = {a.value, a.len}; each item a data set. */
bool vivo_attrs_next_item(struct vivo_attrs *it, struct vivo_attrs *item);
/* The element with this tag at this level. */
bool vivo_attrs_find(struct vivo_attrs a, uint32_t tag, struct vivo_attr *out);
/* Its first value as text (split at '\\' unless the VR is ST LT UT UR; spaces and
 * NULs at the ends trimmed), copied and NUL-terminated; cut at cap - 1. Binary
 * numbers (US SS UL SL FL FD SV UV AT) are printed. Returns false, with out = "",
 * when absent or empty. */
bool vivo_attrs_text(struct vivo_attrs a, uint32_t tag, char *out, size_t cap);

/* All values of one element as text, one after the other, as vivo_attrs_text() writes
 * them; empty ones among others count. No value at all: none. */
struct vivo_values {
    struct vivo_attr attr;
    uint32_t at; /* bytes gone through */
    bool over;
};
void vivo_values_of(const struct vivo_attr *a, struct vivo_values *out);
bool vivo_values_next(struct vivo_values *it, char *out, size_t cap);

/* Appends one element. Elements must come in ascending order. vr is 2 letters;
 * value gets its padding. 0, -ENOSPC, -ENOMEM. */
int vivo_attrs_put(struct vivo_buf *b, uint32_t tag, const char *vr, const void *value,
                   size_t len);

/* What `full` has beyond `base`: changed and new elements, and for each that base
 * has and full lacks an element with VR "--" and no value. Top level only. */
int vivo_attrs_diff(struct vivo_attrs base, struct vivo_attrs full,
                    struct vivo_buf *out);
/* Inverse: base with diff on top. */
int vivo_attrs_merge(struct vivo_attrs base, struct vivo_attrs diff,
                     struct vivo_buf *out);

/* ---- records ------------------------------------------------------------- */

/* What an archive says about one thing. All pointers borrowed for the call. */
struct vivo_record {
    enum vivo_level level;
    const char *locator;    /* opaque to everybody but the driver that wrote it; an
                               original (path, URL, UIDs): sealed at rest */
    const char *collection; /* name as the archive shows it; NULL = no such thing */
    const char *patient;    /* the archive's own label of the subject, where it lists
                               no PatientID: it names the patient; queries see the
                               PatientID of attrs and headers. NULL = that names it */
    const char *key;        /* STUDY, SERIES, INSTANCE that the archive lists no UID of:
                               its own id, which tells it from its siblings and names
                               it (never shown itself). NULL = the UID of attrs does */
    const char *license;    /* COLLECTION, SERIES, INSTANCE (its series'): in the
                               archive's words, of a series several parted by a
                               backslash; NULL = not told */
    const char *citation; /* COLLECTION, SERIES, INSTANCE (its series'): how to cite it,
                             or a URL (DOI) that tells; NULL = not told */
    const char *label;    /* STUDY, SERIES, INSTANCE: what the archive itself calls it
                             (session, scan, file); for names=idc and names=xnat, and
                             only where nothing is hidden. NULL = no name */
    const char *path;     /* INSTANCE: "study/series/file", the names that it had where
                             it was frozen (vivo_name_path_ok), kept where nothing is
                             hidden and names are our own. NULL = they are made */
    const char *where;    /* INSTANCE: as vivo_extra.path; extras of its folder are
                             shown with the series of it. NULL = there are no folders */
    const char *version;  /* stamp of the source bytes (mtime, ETag); may be NULL */
    uint64_t size;        /* bytes on the wire; 0 = unknown */
    bool size_about;      /* the archive's word for it may be out of date */
    struct vivo_attrs attrs; /* originals; {NULL,0} = only a locator is known */
    bool headers; /* attrs is the whole header, not just a listing's columns */
};

/* A file that is no DICOM object, as an archive has it (DESIGN A1). Borrowed, too. */
#define VIVO_SIZE_UNKNOWN UINT64_MAX
#define VIVO_PATH_MAX 4096 /* bytes */
struct vivo_extra {
    const char *locator;    /* as in vivo_record, for fetch() */
    const char *path;       /* where it lies below what is listed: folders and its own
                               name, parted by '/', any other bytes */
    const char *collection; /* as in vivo_record, where the top is listed; or NULL */
    const char *version;    /* as in vivo_record */
    uint64_t size;          /* bytes; VIVO_SIZE_UNKNOWN */
    bool size_about;        /* the archive's word for it may be out of date */
};

/* ---- names (DESIGN A1) ---------------------------------------------------- */

#define VIVO_NAME_MAX 120 /* bytes of one path component */

/* All take values as shown. */
void vivo_name_archive(const char *given, char out[VIVO_NAME_MAX + 1]);
void vivo_name_collection(const char *name, char out[VIVO_NAME_MAX + 1]);
/* PatientID, or "unknown" without one; with _<u> when changed, reserved or issued. */
void vivo_name_patient(struct vivo_attrs a, char out[VIVO_NAME_MAX + 1]);
void vivo_name_study(struct vivo_attrs a, char out[VIVO_NAME_MAX + 1]);
void vivo_name_series(struct vivo_attrs a, char out[VIVO_NAME_MAX + 1]);
/* The same without descriptions: cleaned free text never enters a name. */
void vivo_name_study_plain(struct vivo_attrs a, char out[VIVO_NAME_MAX + 1]);
void vivo_name_series_plain(struct vivo_attrs a, char out[VIVO_NAME_MAX + 1]);
/* `uid` stands for SOPInstanceUID when the object has none (a digest, say).
 * duplicate: NULL, or the locator as shown of an object whose SOP Instance UID
 * another object already has: adds '+' and 4 characters. */
void vivo_name_instance(struct vivo_attrs a, const char *uid, const char *duplicate,
                        char out[VIVO_NAME_MAX + 1]);
/* Of what is no object: name as the archive has it, its extension kept. With _<u> of
 * `identity`, which tells it from all others, when it was changed, is reserved, or
 * `mark` says that something else has that name; behind ".dcm", which is of objects. */
void vivo_name_extra(const char *name, const char *identity, bool folder, bool mark,
                     char out[VIVO_NAME_MAX + 1]);
/* Layouts of other tools (-o names=), see layout.c. False: no such layout. */
enum vivo_names {
    VIVO_NAMES_OWN,
    VIVO_NAMES_UID,
    VIVO_NAMES_TCIA,
    VIVO_NAMES_IDC,
    VIVO_NAMES_XNAT
};
bool vivo_names_of(const char *word, enum vivo_names *out);
/* The name of a thing in a layout; false: the layout has none of its own, take ours.
 * plain: without descriptions. label: of a collection, or what the archive calls the
 * thing (vivo_record); or NULL. */
bool vivo_name_layout(enum vivo_names names, enum vivo_level level, struct vivo_attrs a,
                      bool plain, const char *label, char out[VIVO_NAME_MAX + 1]);
/* File names of names=tcia: "A-I.dcm", where A counts changes of AcquisitionNumber
 * along the images of a series in order of InstanceNumber (those without one first),
 * and I the images of each A. Begun as {0}; first all go through _width, then, in the
 * same order, through _name. NULL = the image has no such number. */
struct vivo_numbering {
    unsigned counted, named, acquisitions, instances, at_acquisition, at_instance;
    long a, i;
    bool lost;
};
void vivo_numbering_width(struct vivo_numbering *n, const long *acquisition,
                          const long *instance);
void vivo_numbering_name(struct vivo_numbering *n, const long *acquisition,
                         char out[VIVO_NAME_MAX + 1]);
/* A value in the letters that NBIA's download servlet leaves of it, at most max (from
 * 2), or "NA"; out has room for one more. */
void vivo_names_tcia_text(struct vivo_attrs a, uint32_t tag, bool hidden, size_t max,
                          char *out);
/* "study/series/file", each a name that could have been made here. */
bool vivo_name_path_ok(const char *path);
/* True when `name` ends in the `_<u>` that a current name ends in (old paths). */
bool vivo_name_same_u(const char *name, const char *current);
/* The study's date as Unix seconds, or 946684800 (2000-01-01) without a valid one. */
int64_t vivo_name_mtime(struct vivo_attrs a);

#endif
