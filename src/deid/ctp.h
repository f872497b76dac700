/* SPDX-License-Identifier: Apache-2.0 */
/* src/deid/ctp.h -- scripts of RSNA's CTP as a profile.
 *
 * ctp_read.c reads a file into rows, ctp_parse.c a row's text into parts, ctp_check.c
 * decides at load what can be honoured and what would leak, ctp_eval.c makes a value
 * of one object. Errors are "FILE:LINE: …", told when the profile is made. */
#ifndef VIVO_DEID_CTP_H
#define VIVO_DEID_CTP_H

#include "engine.h"

#include <regex.h>

/* ---- attributes as scripts name them (ctp_ref.c) -------------------------------- */

#define VIVO_CTP_PATH_MAX 6

struct vivo_ctp_ref {
    bool root; /* "root:": from the top level, wherever the script runs */
    bool self; /* "this" */
    uint8_t n; /* 1 = an attribute, more = through the first items of sequences */
    uint32_t path[VIVO_CTP_PATH_MAX];
};
/* Keyword, [gggg,eeee], (gggg,eeee), ggggeeee, "this", A::B, root:A. -EINVAL with a
 * sentence without file and line. */
int vivo_ctp_ref_parse(const char *s, size_t len, struct vivo_ctp_ref *out,
                       struct vivo_err *err);
uint32_t vivo_ctp_ref_last(const struct vivo_ctp_ref *r);
/* "ggggeeee" in hexadecimal, exactly. */
bool vivo_ctp_hex_tag(const char *s, size_t len, uint32_t *out);
/* A regular expression of Java as a POSIX ERE: classes \d \w \s are written out; what
 * POSIX has not (look-around, lazy and possessive repeats, references) is -EINVAL.
 * whole: it must match all of the text. */
int vivo_ctp_regex(const char *s, bool whole, regex_t *out, struct vivo_err *err);

/* ---- a script ----------------------------------------------------------------------
 */

enum vivo_ctp_fn {
    VIVO_CTP_TEXT, /* no function: the text itself */
    VIVO_CTP_KEEP,
    VIVO_CTP_REMOVE,
    VIVO_CTP_EMPTY,
    VIVO_CTP_BLANK,
    VIVO_CTP_ALWAYS,
    VIVO_CTP_CONTENTS,
    VIVO_CTP_VALUE,
    VIVO_CTP_TRUNCATE,
    VIVO_CTP_UPPERCASE,
    VIVO_CTP_LOWERCASE,
    VIVO_CTP_INITIALS,
    VIVO_CTP_HASH,
    VIVO_CTP_HASHNAME,
    VIVO_CTP_HASHPTID,
    VIVO_CTP_HASHUID,
    VIVO_CTP_HASHDATE,
    VIVO_CTP_INCREMENTDATE,
    VIVO_CTP_MODIFYDATE,
    VIVO_CTP_DATEINTERVAL,
    VIVO_CTP_ROUND,
    VIVO_CTP_LOOKUP,
    VIVO_CTP_PARAM,
    VIVO_CTP_REQUIRE,
    VIVO_CTP_IF,
    VIVO_CTP_SELECT,
    VIVO_CTP_APPEND,
    VIVO_CTP_PROCESS,
    VIVO_CTP_PATHELEMENT,
    VIVO_CTP_QUARANTINE,
    VIVO_CTP_SKIP,
    VIVO_CTP_REFUSED, /* known, and cannot be honoured: date, call, integer … */
};

enum vivo_ctp_cond {
    VIVO_CTP_ISBLANK,
    VIVO_CTP_EXISTS,
    VIVO_CTP_HAS,
    VIVO_CTP_EQUALS,
    VIVO_CTP_MATCHES,
    VIVO_CTP_GREATER,
};

enum vivo_ctp_miss { /* lookup: what a value that is not in the table becomes */
                     VIVO_CTP_MISS_QUARANTINE,
                     VIVO_CTP_MISS_KEEP,
                     VIVO_CTP_MISS_REMOVE,
                     VIVO_CTP_MISS_EMPTY,
                     VIVO_CTP_MISS_DEFAULT,
                     VIVO_CTP_MISS_IGNORE,
};

#define VIVO_CTP_REFS_MAX 4
#define VIVO_CTP_TEXT_MAX 4096 /* characters of one literal */

struct vivo_ctp_script;
struct vivo_ctp_part {
    enum vivo_ctp_fn fn;
    const char
        *text; /* TEXT, PARAM; default of VALUE, REQUIRE, LOOKUP; argument of IF */
    const char *text2; /* replacement of CONTENTS; site of HASHPTID; key type */
    struct vivo_ctp_ref ref[VIVO_CTP_REFS_MAX];
    uint8_t nrefs;
    long number, number2; /* length, size, days, index … */
    int field[3];         /* MODIFYDATE: year, month, day; -1 = as it is */
    bool has_number;
    bool upper; /* LOOKUP: the key in upper case */
    enum vivo_ctp_cond cond;
    enum vivo_ctp_miss miss;
    regex_t *regex;                         /* freed with the script's owner */
    const struct vivo_ctp_script *yes, *no; /* blocks of IF, SELECT, APPEND */
};
struct vivo_ctp_script {
    size_t n;
    struct vivo_ctp_part *parts;
};

struct vivo_ctp_pair { /* of parameters and of the lookup table */
    const char *key, *value;
};

enum vivo_ctp_kind {
    VIVO_CTP_ROW_KEEP,   /* nothing is changed */
    VIVO_CTP_ROW_REMOVE, /* whatever the object is */
    VIVO_CTP_ROW_UID,    /* @hashuid of itself */
    VIVO_CTP_ROW_EVAL,
};

struct vivo_ctp_row {
    uint32_t tag; /* private: the element within its block, creator below */
    unsigned line;
    const char *creator; /* NULL = standard */
    const char *text;
    enum vivo_ctp_kind kind;
    bool always;  /* made where it is missing */
    bool leaks;   /* in union: its value would show what the basic profile hides */
    bool partial; /* reads other attributes: not for a listing's row */
    bool dates;   /* moves a date by one number for a patient */
    const struct vivo_ctp_script *script;
};

#define VIVO_CTP_GROUPS_MAX 128

struct vivo_ctp {
    struct vivo_arena *arena;
    const char *file; /* as given; base name for what is shown */
    const char *name;
    struct vivo_ctp_row *rows; /* sorted by tag; standard ones before private ones */
    size_t nrows, cap;
    struct vivo_ctp_pair *params, *table;
    size_t nparams, params_cap, ntable, table_cap;
    regex_t **regexes;
    size_t nregexes, regexes_cap;
    uint16_t keep[VIVO_CTP_GROUPS_MAX];
    size_t nkeep;
    bool keep_safe, remove_private, remove_unlisted, remove_curves, remove_overlays;
    bool alone;
    uint8_t digest[VIVO_DIGEST_LEN]; /* of script and table */
};

/* Reads, parses and checks. d: options and key of the profile that it joins. */
int vivo_ctp_load(const char *path, bool alone, struct vivo_ctp **out,
                  struct vivo_err *err);
void vivo_ctp_free(struct vivo_ctp *c);
/* From text, for tests and the fuzzer; the lookup table is that beside `path`. */
int vivo_ctp_load_text(const char *path, const char *text, size_t len, bool alone,
                       struct vivo_ctp **out, struct vivo_err *err);
const struct vivo_ctp_row *vivo_ctp_find(const struct vivo_ctp *c, uint32_t tag);

/* Within the load: text to rows, and one row's text to parts. */
int vivo_ctp_read(struct vivo_ctp *c, const char *text, size_t len,
                  struct vivo_err *err);
int vivo_ctp_read_table(struct vivo_ctp *c, const char *text, size_t len,
                        struct vivo_err *err);
int vivo_ctp_parse(struct vivo_ctp *c, struct vivo_ctp_row *row, struct vivo_err *err);
int vivo_ctp_check(struct vivo_ctp *c, struct vivo_err *err);
/* Which values would show what the profile hides; needs its decisions. */
void vivo_ctp_judge(struct vivo_ctp *c, const struct vivo_deid *d);
const char *vivo_ctp_param(const struct vivo_ctp *c, const char *name, size_t len);
const char *vivo_ctp_lookup(const struct vivo_ctp *c, const char *key);
/* "FILE:LINE: …" */
int vivo_script_fail(const struct vivo_ctp *c, unsigned line, struct vivo_err *err,
                     const char *fmt, ...) VIVO_PRINTF(4, 5);

/* ---- with the engine ---------------------------------------------------------------
 */

/* What becomes of the attribute, given what the basic profile says (policy.c). */
void vivo_ctp_decide(const struct vivo_deid *d, uint32_t tag,
                     struct vivo_decision *out);
/* Writes what the script makes of the node. *done = false: the basic profile's action
 * is to be taken. first, end: its siblings. */
int vivo_ctp_put(struct vivo_rewrite *r, const struct vivo_node *node, uint32_t first,
                 uint32_t end, bool *done, struct vivo_err *err);
/* Attributes that the script makes where they are missing, with tags in [from, until);
 * *from moves on. */
int vivo_ctp_put_missing(struct vivo_rewrite *r, uint32_t *from, uint32_t until,
                         struct vivo_err *err);
/* The patient's identifier that the script sets, if it tells patients apart: 1; 0 = it
 * has no say; -EPERM = it quarantines the object. Both trimmed, UTF-8. */
int vivo_ctp_patient(const struct vivo_deid *d, const char *issuer, const char *id,
                     char out[65]);
int vivo_ctp_conformance(const struct vivo_deid *d, struct vivo_buf *out);

#endif
