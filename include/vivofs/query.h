/* SPDX-License-Identifier: Apache-2.0 */
/* include/vivofs/query.h -- the expression in a magic directory's name.
 *
 * Grammar, comparison and levels: DESIGN A5. The AST is open on purpose: parser,
 * printer, matcher and the catalog's compiler walk it. */
#ifndef VIVOFS_QUERY_H
#define VIVOFS_QUERY_H

#include "vivofs/buf.h"
#include "vivofs/dcm.h"
#include "vivofs/model.h"

#include <stdbool.h>
#include <stddef.h>

enum vivo_query_kind {
    VIVO_QUERY_NONE,
    VIVO_QUERY_AND,   /* a, b */
    VIVO_QUERY_OR,    /* a, b */
    VIVO_QUERY_NOT,   /* a */
    VIVO_QUERY_LEVEL, /* a, level: patient(a), study(a), series(a) */
    VIVO_QUERY_CMP,   /* path, cmp, values[0] */
    VIVO_QUERY_IN,    /* path, values[0..nvalues), of a list: also `list` and `set` */
    VIVO_QUERY_RANGE, /* path, values[0] and/or values[1]; text NULL = open end; both
                         ends included; from "between" and ".." */
    VIVO_QUERY_HAS,   /* path; missing = NOT HAS */
    VIVO_QUERY_ANY,   /* values[0]: substring in the seven attributes */
};

enum vivo_query_cmp {
    VIVO_CMP_NONE,
    VIVO_CMP_EQ, /* with * and ? when the value has a pattern */
    VIVO_CMP_NE,
    VIVO_CMP_LT,
    VIVO_CMP_LE,
    VIVO_CMP_GT,
    VIVO_CMP_GE,
    VIVO_CMP_RE,   /* ~ : POSIX ERE, unanchored, caseless, at most 256 bytes */
    VIVO_CMP_LIKE, /* * and ? on the text of numbers, dates …; on text it is EQ */
};

/* How values compare; from the VR of the last attribute of the path. */
enum vivo_query_class {
    VIVO_CLASS_NONE,
    VIVO_CLASS_TEXT,
    VIVO_CLASS_NUMBER,
    VIVO_CLASS_DATE,
    VIVO_CLASS_TIME,
    VIVO_CLASS_DATETIME,
    VIVO_CLASS_AGE,
    VIVO_CLASS_UID,
    VIVO_CLASS_NAME,    /* PN */
    VIVO_CLASS_UNKNOWN, /* private of unknown VR: number if both sides are */
};

struct vivo_query_value {
    const char *text;    /* UTF-8 NFC, unescaped, trimmed; numbers, dates, times, ages
                            and UIDs in their one canonical spelling */
    const char *folded;  /* text in simple case folding; what text is compared with */
    const char *pattern; /* NULL = no wildcard; else folded, with * and ?, and a \
                            before every *, ? and \ that means itself */
    const char *typed;   /* pattern before folding, for the printer; else NULL */
    double lo, hi; /* NUMBER: both the number (FL: rounded to float32). DATE, TIME,
                      DATETIME, AGE: the closed interval that the text covers at the
                      precision written, in days / seconds / seconds / days.
                      UNKNOWN: the number, or NAN. */
    double zone;   /* DATETIME: seconds east of UTC, when zoned */
    bool zoned;
};

/* Attributes that no object has but that follow from it, from where it stands, or from
 * what stands beside it. The last five are PS3.4's (section C.3.4) and have tags. */
enum vivo_query_virtual {
    VIVO_VIRTUAL_NONE,
    VIVO_VIRTUAL_ARCHIVE,
    VIVO_VIRTUAL_COLLECTION,
    VIVO_VIRTUAL_INSTANCE_COUNT, /* of the series */
    VIVO_VIRTUAL_FRAME_COUNT,    /* of the series: sum of NumberOfFrames or 1 */
    VIVO_VIRTUAL_SERIES_BYTES,
    VIVO_VIRTUAL_FETCH_STATE, /* remote, cached, pinned: as of the asking */
    VIVO_VIRTUAL_LICENSE,
    VIVO_VIRTUAL_PLANE,      /* axial, sagittal, coronal, oblique */
    VIVO_VIRTUAL_STUDY_RANK, /* 1 = the patient's first study, -1 = the last */
    VIVO_VIRTUAL_STUDY_DAY,  /* days since the first */
    VIVO_VIRTUAL_REFERS_TO,  /* UIDs in references */
    VIVO_VIRTUAL_MODALITIES_IN_STUDY,
    VIVO_VIRTUAL_PATIENT_STUDIES,
    VIVO_VIRTUAL_STUDY_SERIES,
    VIVO_VIRTUAL_STUDY_INSTANCES,
    VIVO_VIRTUAL_SERIES_INSTANCES,
};

/* One step of attr.attr.attr. */
struct vivo_query_step {
    uint32_t tag;        /* 0 for virtual ones that have none */
    const char *creator; /* private: (gggg,"CREATOR",ee); else NULL */
    const char *keyword; /* canonical spelling, or gggg,eeee form */
    unsigned index;      /* A[n], 1-based; 0 = any */
};

struct vivo_query_path {
    const struct vivo_query_step *steps;
    size_t nsteps;                    /* >= 1 */
    bool any_depth;                   /* *.Keyword */
    enum vivo_query_virtual computed; /* a single step with the keyword */
    const char *known; /* ARCHIVE: the value as the rules gave it; or NULL */
    char vr[3];
    enum vivo_query_class cls;
};

struct vivo_query_regex; /* the parser's */

struct vivo_query_node {
    enum vivo_query_kind kind;
    const struct vivo_query_node *a, *b;
    enum vivo_level level;
    struct vivo_query_path path;
    enum vivo_query_cmp cmp;
    const struct vivo_query_value *values;
    size_t nvalues;
    size_t column;     /* 0-based byte of the name where it stands */
    unsigned any_mask; /* ANY: bit i = vivo_query_any_tags[i] is not hidden */
    const struct vivo_query_regex *compiled; /* of VIVO_CMP_RE; else NULL */
    const char *list;                        /* in @NAME: "NAME:digest"; else NULL */
    const struct vivo_query_set *set;        /* its values, made for searching */
};

#define VIVO_QUERY_ANY_N 7
extern const uint32_t vivo_query_any_tags[VIVO_QUERY_ANY_N];

#define VIVO_QUERY_NAME_MAX 1024 /* bytes of a name */

struct vivo_query; /* immutable after parsing; reference-counted, thread-safe */

/* ---- lists: `in @NAME` ------------------------------------------------------------
 */

/* One literal value a line; or CSV (a comma in the first line), of which the column
 * is taken whose head is the keyword of the attribute asked. Thread-safe. */
struct vivo_query_list;
#define VIVO_QUERY_LIST_MAX ((size_t)64 << 20) /* bytes of the file */
/* "NAME:FILE". -EINVAL names what is wrong with it. */
int vivo_query_list_load(const char *spec, struct vivo_query_list **out,
                         struct vivo_err *err);
void vivo_query_list_free(struct vivo_query_list *l);
const char *vivo_query_list_name(const struct vivo_query_list *l);

/* What the parser may not know by itself. */
struct vivo_query_rules {
    /* NULL, or returns the option word that would show a hidden attribute, NULL if
     * it is not hidden (vivo_deid_hides). Hidden ones are an error naming it. */
    const char *(*hides)(void *ctx, uint32_t tag, const char *creator);
    void *ctx;
    const char *archive;                  /* Archive; NULL = the mount as a whole */
    struct vivo_query_list *const *lists; /* outlive every query */
    size_t nlists;
};

/* Why a text is no query: sentence, column, suggestion. */
struct vivo_query_error {
    size_t column;  /* 0-based byte offset in the text as typed */
    char text[256]; /* "unknown attribute Modalty" */
    char hint[128]; /* "did you mean Modality?" or "" */
    bool hidden;    /* by the profile: it would parse without */
};

/* `name`: a path component, %-escapes still in it. 0 and *out (caller unrefs); -EINVAL
 * with *qe filled; -ENOENT: not an expression at all (no operator character and no
 * operator word, or begins with '.'). */
int vivo_query_parse(const char *name, const struct vivo_query_rules *rules,
                     struct vivo_query **out, struct vivo_query_error *qe);
/* The same query under other rules (another archive of the mount); of any length, while
 * a name is limited. As vivo_query_parse(vivo_query_text(q)). */
int vivo_query_reparse(const struct vivo_query *q, const struct vivo_query_rules *rules,
                       struct vivo_query **out, struct vivo_query_error *qe);
/* a and b; either may be NULL; both stay the caller's. -ENAMETOOLONG: the text would
 * be beyond 16 KiB. */
int vivo_query_and(struct vivo_query *a, struct vivo_query *b, struct vivo_query **out);
struct vivo_query *vivo_query_ref(struct vivo_query *q);
void vivo_query_unref(struct vivo_query *q);
const struct vivo_query_node *vivo_query_root(const struct vivo_query *q);

/* Does it name this virtual attribute? */
bool vivo_query_names(const struct vivo_query *q, enum vivo_query_virtual which);

/* Canonical spelling, %-escaped as a path component: parse(print(q)) equals q, and
 * print is idempotent. Borrowed from q. */
const char *vivo_query_text(const struct vivo_query *q);

/* The contents of `.error`: message, the text, a caret under the column, the hint. */
int vivo_query_error_text(const char *name, const struct vivo_query_error *qe,
                          struct vivo_buf *out);

/* Appends a line for each pair of conditions that no object can meet together, with
 * what was probably meant. -ENOSPC when they do not fit. */
int vivo_query_warn(const struct vivo_query *q, struct vivo_buf *out);

/* ---- matching -------------------------------------------------------------------- */

enum vivo_truth { VIVO_FALSE, VIVO_TRUE, VIVO_UNKNOWN };

#define VIVO_QUERY_COMPUTED_MAX 512

/* Where attributes come from: Kleene's three values, so that the same code decides
 * a whole series from what its instances have in common. */
struct vivo_query_source {
    struct vivo_attrs attrs; /* series: common ones; instance: all */
    struct vivo_attrs over;  /* instance: its difference (VR "--" = absent); or empty */
    const uint32_t *varying; /* ascending tags that are not the same in all members;
                                NULL for one instance */
    size_t nvarying;
    bool headers; /* false: attributes that are absent are unknown, not absent */
    /* Answers patient(E), study(E), series(E) for this object; NULL = unknown. */
    enum vivo_truth (*level)(void *ctx, const struct vivo_query_node *node);
    /* What follows from where the object stands (not ARCHIVE, PLANE and
     * REFERS_TO): TRUE with the value in `out`, several parted by a backslash; FALSE:
     * there is none. NULL = unknown. STUDY_RANK gives two: from the first study, and
     * negative from the last. */
    enum vivo_truth (*computed)(void *ctx, enum vivo_query_virtual which,
                                char out[VIVO_QUERY_COMPUTED_MAX]);
    void *ctx;
};
enum vivo_truth vivo_query_eval(const struct vivo_query_node *n,
                                const struct vivo_query_source *src);

/* ---- for facets --------------------------------------------------------------------
 */

/* Appends what two values of this VR have in common that no comparison tells apart.
 * 1; 0: the value is none of its VR, only like and ~ find it (its text is appended). */
int vivo_query_value_key(const char *vr, const char *s, size_t len,
                         struct vivo_buf *out);

/* The data sets of one of these sequences in which an attribute is looked for that the
 * root lacks: its items, and those of their macros' sequences. fn: not 0 ends it. */
#define VIVO_QUERY_SHARED_GROUPS 0x52009229u    /* PS3.3 C.7.6.16 */
#define VIVO_QUERY_PER_FRAME_GROUPS 0x52009230u /* PS3.3 C.7.6.16 */
typedef int vivo_query_set_fn(void *ctx, struct vivo_attrs set);
int vivo_query_each_group(const struct vivo_attr *groups, vivo_query_set_fn *fn,
                          void *ctx);
/* There: the attribute, or what else it is called there. */
bool vivo_query_find_in_group(struct vivo_attrs set, uint32_t tag, bool other,
                              struct vivo_attr *out);

#endif
