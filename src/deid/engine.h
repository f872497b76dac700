/* SPDX-License-Identifier: Apache-2.0 */
/* src/deid/engine.h -- what the files of the de-identification engine share.
 *
 * capture.c keeps a header as a list of nodes, each with the policy's decision;
 * rewrite.c writes the list out again. Nothing here is seen outside src/deid. */
#ifndef VIVO_DEID_ENGINE_H
#define VIVO_DEID_ENGINE_H

#include "vivofs/deid.h"

/* Part of every digest: raise it when the same source, profile and key give other
 * bytes than before. */
#define VIVO_DEID_ENGINE "vivofs-deid-7"

/* ---- tables (table.c) ------------------------------------------------------- */

enum vivo_act {
    VIVO_ACT_NONE,
    VIVO_ACT_K,    /* retained by an option: as it is */
    VIVO_ACT_KEEP, /* kept when valid; UIDs of instances replaced */
    VIVO_ACT_X,    /* removed */
    VIVO_ACT_Z,    /* zero length */
    VIVO_ACT_D,    /* dummy */
    VIVO_ACT_U,    /* consistent UID */
    VIVO_ACT_XZ,   /* compound codes: PS3.15 E.1, by the attribute's type */
    VIVO_ACT_XD,
    VIVO_ACT_ZD,
    VIVO_ACT_XZD,
    VIVO_ACT_XZU,     /* the sequence stays, the table applies to its items */
    VIVO_ACT_AWAY,    /* not in the table and not kept: X, or by type Z or D */
    VIVO_ACT_CODE,    /* code item: by its coding scheme */
    VIVO_ACT_PSEUDO,  /* PatientID, PatientName */
    VIVO_ACT_SHIFT,   /* by the patient's offset (dates.c) */
    VIVO_ACT_CLEAN,   /* text without what identifies (clean.c) */
    VIVO_ACT_PERSON,  /* a person's pseudonym */
    VIVO_ACT_PRIVATE, /* decided by private.c when the header is whole */
};

struct vivo_deid_row {
    uint32_t tag; /* wildcards as 0 */
    enum vivo_act basic;
    const char *keyword;
    char vr[3];
    char option[11]; /* '.', 'K' or 'C' in the order of enum vivo_deid_option */
};
const struct vivo_deid_row *vivo_deid_row_find(uint32_t tag);
const struct vivo_deid_row *vivo_deid_rows(size_t *n);

enum vivo_gap {
    VIVO_GAP_NONE,
    VIVO_GAP_REMOVE,
    VIVO_GAP_KEEP,
    VIVO_GAP_REMAP,
    VIVO_GAP_REGISTRY,
    VIVO_GAP_CODE,
    VIVO_GAP_EMPTY,
};
struct vivo_deid_gap {
    uint32_t tag;
    enum vivo_gap action;
    const char *keyword;
    char vr[3];
};
const struct vivo_deid_gap *vivo_deid_gap_find(uint32_t tag);
const struct vivo_deid_gap *vivo_deid_gaps(size_t *n);
extern const char *const vivo_deid_edition;      /* "2026d" */
extern const char *const vivo_deid_table_sha256; /* of ps3.15-e1-1.tsv */
extern const char *const vivo_deid_gaps_sha256;

/* ---- keys (key.c) -------------------------------------------------------------- */

/* Domains with a sub-key made beforehand, for the hot path. */
enum vivo_domain {
    VIVO_DOMAIN_NONE,
    VIVO_DOMAIN_PATIENT,
    VIVO_DOMAIN_STUDY_PATIENT, /* PatientID missing: from the StudyInstanceUID */
    VIVO_DOMAIN_UID,
    VIVO_DOMAIN_CODE,
    VIVO_DOMAIN_OFFSET,
    VIVO_DOMAIN_PERSON,
    VIVO_DOMAIN_COUNT
};
void vivo_key_mac(const struct vivo_key *k, enum vivo_domain domain, const void *data,
                  size_t len, uint8_t out[VIVO_DIGEST_LEN]);
/* From bytes of any length >= 32, for tests and the loader. */
int vivo_key_from(const void *data, size_t len, struct vivo_key **out,
                  struct vivo_err *err);

/* ---- profile (profile.c) -----------------------------------------------------------
 */

struct vivo_decision;
struct vivo_ctp;
struct vivo_pixel_rules; /* pixels.h */
struct vivo_pixel_plan;
struct vivo_deid {
    bool none;
    unsigned options; /* enum vivo_deid_option */
    enum vivo_burned_in burned_in;
    const struct vivo_key *key;      /* borrowed */
    struct vivo_decision *decisions; /* one a row of the dictionary; NULL = none */
    struct vivo_ctp *ctp;            /* a script (ctp.h); NULL = none; owned */
    bool moves_dates;                /* a script does, by patient */
    struct vivo_pixel_rules *pixels; /* owned; NULL without clean-pixel-data */
    char words[420];                 /* canonical */
    uint8_t digest[VIVO_DIGEST_LEN];
};

struct vivo_option_word {
    enum vivo_deid_option option;
    const char *word; /* "retain-uids" */
    const char *code; /* CID 7050 */
    const char *meaning;
    bool offered;
};
/* The option words in the order of the table's columns, then clean-pixel-data. */
const struct vivo_option_word *vivo_option_words(size_t *n);

/* ---- policy (policy.c) ----------------------------------------------------------- */

struct vivo_decision {
    enum vivo_act act;
    char vr[3];          /* of the dictionary or the table; "UN" = not known */
    bool either;         /* OB or OW, US or SS: the stream's choice counts */
    bool registry;       /* UI: UIDs of classes, not of instances */
    enum vivo_act basic; /* of what cannot be shifted or cleaned */
    bool scripted;       /* ctp_eval.c is asked first */
    bool unlisted;       /* at the top level it goes: the script does not name it */
    bool script_goes;    /* removed by the script */
};
void vivo_deid_decide(const struct vivo_deid *d, uint32_t tag,
                      struct vivo_decision *out);
/* Decides about all that the dictionary knows, once. 0 or -ENOMEM. */
int vivo_deid_learn(struct vivo_deid *d);
/* Does the outcome depend on the attribute's type? */
bool vivo_deid_asks_type(enum vivo_act act);
/* The simple action (K KEEP X Z D U CODE PSEUDO) for a compound one. type: '1' '2'
 * '3' or 0. */
enum vivo_act vivo_deid_resolve(enum vivo_act act, char type);

/* ---- values (values.c, pseudonym.c, dummy.c, codes.c) -------------------------- */

/* Is the value what its VR says (PS3.5 Table 6.2-1)? */
bool vivo_deid_valid(const char *vr, const uint8_t *v, size_t len);
bool vivo_deid_vr_is_text(const char *vr);
/* Ages above 89 become "090Y"; out gets at most len bytes + 4. */
int vivo_deid_cap_age(const uint8_t *v, size_t len, struct vivo_buf *out);

/* 'P' and 20 upper-case letters of base-32; out holds 22 bytes. */
void vivo_pseudo_patient(const struct vivo_key *k, const char *issuer, const char *id,
                         char out[22]);
void vivo_pseudo_patient_of_uid(const struct vivo_key *k, const char *uid,
                                char out[22]);
/* One UID, trimmed by the callee: "2.25." and the decimal of a UUID. */
void vivo_pseudo_uid(const struct vivo_key *k, const void *uid, size_t len,
                     char out[VIVO_UID_MAX + 1]);
/* Each value of a multi-valued UI; registered ones stay. registry: also those
 * below DICOM's and HL7's roots. */
int vivo_pseudo_uids(const struct vivo_key *k, const void *v, size_t len, bool registry,
                     struct vivo_buf *out);
/* 'N' and 20 letters for a person that is not the patient; name in UTF-8. */
void vivo_pseudo_person(const struct vivo_key *k, const void *name, size_t len,
                        char out[22]);
/* 16 characters for a code of a scheme that is not public. */
void vivo_pseudo_code(const struct vivo_key *k, const char *scheme, const void *v,
                      size_t len, char out[17]);
/* One of PS3.6 Annex A or PS3.16 Table 8-1, which everybody shares. */
bool vivo_uid_is_known(const char *uid, size_t len);
/* 16 bytes as decimal digits, without leading zeros; at most 39. */
size_t vivo_pseudo_decimal(const uint8_t *bytes, char *out);
/* May the UID stand for a class, syntax or scheme? */
bool vivo_uid_is_registry(const char *uid, size_t len);

/* Binary dummies are zeros, so that the byte order of the output does not matter. */
int vivo_deid_put_dummy(struct vivo_dcm_writer *w, const struct vivo_key *key,
                        uint32_t tag, const char *vr, struct vivo_err *err);
int vivo_deid_put_empty(struct vivo_dcm_writer *w, uint32_t tag, const char *vr,
                        struct vivo_err *err);
#define VIVO_DUMMY_TEXT "REMOVED"
#define VIVO_DUMMY_DATE "20000101"
#define VIVO_DUMMY_TIME "000000"

struct vivo_node;
/* Is the CodingSchemeDesignator one of a public scheme? */
bool vivo_code_scheme_public(const char *designator);
/* Does the meaning of a public code hold the name or ID of the patient? Somebody wrote
 * it then, whatever the scheme says. */
struct vivo_rewrite;
bool vivo_code_names_patient(struct vivo_rewrite *r, const struct vivo_node *node);
#define VIVO_CODE_SCHEME_DUMMY "99PSEUDONYM"

/* ---- the header as nodes (capture.c) ----------------------------------------------
 */

enum vivo_node_kind {
    VIVO_NODE_NONE,
    VIVO_NODE_ELEMENT,
    VIVO_NODE_BULK,
    VIVO_NODE_FRAGMENTS,
    VIVO_NODE_SEQUENCE,
    VIVO_NODE_ITEM,
    VIVO_NODE_BAD, /* not of the form that its attribute has; no value */
};

struct vivo_node {
    uint32_t tag;
    uint32_t end; /* index after its last descendant */
    uint8_t kind; /* enum vivo_node_kind */
    uint8_t depth;
    bool undefined; /* SEQUENCE, ITEM: written with undefined length */
    bool swapped;   /* its byte order is not the data set's */
    bool registry;
    bool scripted; /* a script is asked first */
    uint8_t act;   /* enum vivo_act */
    uint8_t basic; /* the same, for SHIFT and CLEAN where they fail */
    char vr[3];    /* to be written with; private: of the stream */
    uint64_t at;   /* ELEMENT: offset in header.values; else in the source */
    uint64_t length;
};

struct vivo_header {
    const struct vivo_deid *d;
    struct vivo_node *nodes;
    uint32_t n, cap;
    struct vivo_buf values;
    uint32_t open[2 * VIVO_DCM_DEPTH_MAX + 4]; /* sequences and items not ended yet */
    unsigned depth;
    struct vivo_syntax syntax; /* of the source; uid NULL = none seen yet */
    uint8_t base_depth;        /* inside a UN value that holds a sequence */
    uint64_t base_offset;
    char meta_class[VIVO_UID_MAX + 1], meta_instance[VIVO_UID_MAX + 1];
    char meta_syntax[VIVO_UID_MAX + 1];
    int inflated;      /* descriptor for deflated sources, -1 = none yet */
    bool want_inflate; /* stopped because there is none */
    bool dicomdir;     /* group 0004 was seen */
    bool collects;     /* also what is removed becomes nodes (options.h) */
    bool utf8;         /* all text is, whatever (0008,0005) says */
    bool ordered;      /* top-level tags ascend, none twice; false = not known */
};
void vivo_header_init(struct vivo_header *h, const struct vivo_deid *d);
void vivo_header_free(struct vivo_header *h);
int vivo_header_event(void *header, enum vivo_dcm_event event,
                      const struct vivo_dcm_elem *e, struct vivo_err *err);
/* Removed, but looked at: whose the PatientID is, and where in the pixels an overlay
 * lies (Overlay Bit Position). */
bool vivo_header_asks(uint32_t tag);
/* After the capture, when no tag changes any more: looks whether they ascend. */
void vivo_header_order(struct vivo_header *h);
/* The last top-level element with that tag that has a value, trimmed; "" = none.
 * Only ELEMENTs count. Returns whether there is one. */
bool vivo_header_text(const struct vivo_header *h, uint32_t tag, char *out, size_t cap);
/* The same among nodes [first, end) that are siblings. */
bool vivo_nodes_text(const struct vivo_header *h, uint32_t first, uint32_t end,
                     uint32_t tag, char *out, size_t cap);

/* ---- writing (rewrite.c) ----------------------------------------------------------
 */

struct vivo_rewrite {
    const struct vivo_deid *d;
    const struct vivo_header *h;
    struct vivo_dcm_writer *w;
    bool method; /* add PatientName, PatientID and the method attributes */
    char sop_class[VIVO_UID_MAX + 1];   /* as in the source, for attribute types */
    const struct vivo_sop_class *types; /* of sop_class; NULL = not known */
    char patient[22];                   /* pseudonym, "" = none can be made */
    char patient_id[65];                /* as shown: that, or a script's */
    bool partial;             /* a listing's row: not all of the object is known */
    bool no_offset;           /* whose dates they are is not known */
    int64_t offset;           /* days, 0 = not worked out yet */
    const char *charset;      /* in force, with the options of options.h */
    struct vivo_known *known; /* NULL = not collected yet; owned */
    struct vivo_known *names; /* of the patient alone, for codes.c; owned */
    uint32_t missing;         /* a script's attributes below this tag are made */
    struct vivo_buf scratch;
    const struct vivo_pixel_plan *plan; /* NULL: no pixels are changed */
    struct vivo_audit *audit;           /* NULL: nobody asks */
    unsigned did;                       /* enum vivo_did, of the last attribute */
    bool uncleaned;                     /* served, though its pixels may identify */
};
int vivo_rewrite_set(struct vivo_rewrite *r, struct vivo_err *err);
/* The pseudonym of the PatientID among the siblings [first, end), "" without one. */
int vivo_rewrite_patient(struct vivo_rewrite *r, uint32_t first, uint32_t end,
                         char out[22], struct vivo_err *err);
/* What a script makes of it, "" where it has no say. -EPERM: it quarantines. */
int vivo_rewrite_identifier(struct vivo_rewrite *r, uint32_t first, uint32_t end,
                            char out[65], struct vivo_err *err);
int vivo_script_identifier(const struct vivo_deid *d, const char *charset,
                           const char *issuer, const char *id, char out[65],
                           struct vivo_err *err);
int vivo_rewrite_pseudonym(const struct vivo_key *key, const char *charset,
                           const char *issuer, const char *id, char out[22],
                           struct vivo_err *err);
/* The SOP Instance UID as shown, "" without one: the data set's, else the meta's. */
void vivo_rewrite_instance(const struct vivo_rewrite *r, char out[VIVO_UID_MAX + 1]);
/* The method attributes (method.c). node: the source's (0012,0064), or NULL. */
#define VIVO_METHOD_COUNT 8
extern const uint32_t vivo_method_tags[VIVO_METHOD_COUNT]; /* ascending */
/* Does this object get the attribute? */
bool vivo_method_wants(const struct vivo_rewrite *r, uint32_t tag);
int vivo_method_put(struct vivo_rewrite *r, uint32_t tag, struct vivo_err *err);
int vivo_method_code_items(struct vivo_rewrite *r, struct vivo_err *err);

/* Does the overlay plane of the group (60xx) stay? (options.c) */
bool vivo_overlay_stays(const struct vivo_header *h, uint32_t group);

/* ---- refusing (refuse.c) ------------------------------------------------------------
 */

/* Policy's verdict over a captured header: NONE = may be served; *at_risk tells
 * whether pixels or content may identify nevertheless. */
enum vivo_refusal vivo_deid_refusal(const struct vivo_header *h,
                                    const struct vivo_pixel_plan *plan, bool *at_risk);

#endif
