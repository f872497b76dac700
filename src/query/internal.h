/* SPDX-License-Identifier: Apache-2.0 */
/* src/query/internal.h -- what the files of the query module share: the parser's
 * state, the scanner of words and values, and the reading of scalars. */
#ifndef VIVOFS_QUERY_INTERNAL_H
#define VIVOFS_QUERY_INTERNAL_H

#include "vivofs/query.h"

#include <stdatomic.h>
#include <stdint.h>

#include <regex.h>

#define VIVO_QUERY_DEPTH_MAX 100          /* parentheses, levels and nots */
#define VIVO_QUERY_TEXT_MAX 16384         /* bytes of a canonical text */
#define VIVO_QUERY_REGEX_MAX 256          /* bytes of a regular expression */
#define VIVO_QUERY_ARENA_MAX (4u << 20)   /* bytes of one parsed query */
#define VIVO_QUERY_SEQUENCE_DEPTH_MAX 128 /* nested sequences followed by *.Keyword */

struct vivo_query_regex { /* to be freed with its query */
    regex_t bytes;        /* for ASCII values, if has_bytes */
    regex_t letters;      /* for any, if has_letters */
    bool has_bytes, has_letters;
    struct vivo_query_regex *next;
};
bool vivo_query_regex_matches(const struct vivo_query_regex *re, const char *s,
                              size_t len);
void vivo_query_regex_free(struct vivo_query_regex *re); /* what it holds */

struct vivo_query {
    atomic_uint refs;
    struct vivo_arena *arena; /* nodes, values, text */
    const struct vivo_query_node *root;
    const char *text;
    struct vivo_query *a, *b; /* vivo_query_and: whose nodes are used; else NULL */
    struct vivo_query_regex *regexes;
};

/* ---- the parser's state --------------------------------------------------------- */

struct vivo_query_parser {
    const char *s; /* decoded: no %-escapes; NUL-terminated */
    size_t len, pos;
    const uint16_t *columns; /* [len + 1]: where each byte was typed */
    struct vivo_query *q;
    const struct vivo_query_rules *rules; /* may be NULL */
    struct vivo_query_error *qe;
    unsigned depth, depth_max;
    int rc; /* first failure */
};

/* Records the first failure: message, typed column of decoded byte `pos`, hint. */
void vivo_query_fail(struct vivo_query_parser *p, size_t pos, const char *hint,
                     const char *fmt, ...) VIVO_PRINTF(4, 5);
void vivo_query_fail_nomem(struct vivo_query_parser *p);
/* Memory of the query; NULL and failure recorded when there is none. */
void *vivo_query_alloc(struct vivo_query_parser *p, size_t len);
const char *vivo_query_dup(struct vivo_query_parser *p, const char *s, size_t len);

/* ---- scanner (lex.c) --------------------------------------------------------------
 */

bool vivo_query_is_space(char c);
/* May stand in a bare word. */
bool vivo_query_is_word(char c);
/* A word that means something to the grammar: not to be printed bare. */
bool vivo_query_is_keyword(const char *s, size_t len);
/* False: no operator character, no operator word, or a leading '.'. */
bool vivo_query_is_expression(const char *name);
/* Undoes %2F and %25 into p->s. */
int vivo_query_decode(struct vivo_query_parser *p, const char *name);
void vivo_query_skip_space(struct vivo_query_parser *p);
/* Takes the symbol (space before it skipped) when it comes next. */
bool vivo_query_take(struct vivo_query_parser *p, const char *symbol);
/* Length of the bare word at the position (no space skipped); 0 = none. */
size_t vivo_query_word_len(const struct vivo_query_parser *p);
/* Takes the word, without case, when the whole next word is it. */
bool vivo_query_take_word(struct vivo_query_parser *p, const char *word);

/* How a value is read: what a backslash means depends on it. */
enum vivo_query_quoting {
    VIVO_QUOTING_PLAIN, /* all is literal */
    VIVO_QUOTING_WILD,  /* * and ? act unless escaped; result keeps \* \? \\ */
    VIVO_QUOTING_REGEX, /* backslashes other than before a quote or \ are kept */
};
/* A value, or false with the failure recorded. *out in the arena; *at where it
 * begins. what: "after =", for the message. */
bool vivo_query_take_value(struct vivo_query_parser *p, enum vivo_query_quoting how,
                           const char *what, const char **out, size_t *at);

/* ---- attributes (path.c), values (value.c) ----------------------------------------
 */

/* Does a (gggg,eeee) or (gggg,"CREATOR",ee) begin here? */
bool vivo_query_at_tag(const struct vivo_query_parser *p);
bool vivo_query_take_path(struct vivo_query_parser *p, struct vivo_query_path *out);
/* "SliceThickness", "A.B[2]": for messages and print; appended. */
int vivo_query_print_path(const struct vivo_query_path *path, struct vivo_buf *out);

enum vivo_query_quoting vivo_query_quoting_of(enum vivo_query_kind kind,
                                              enum vivo_query_cmp cmp,
                                              enum vivo_query_class cls);
/* Fills the value from its raw text as take_value gave it, checking it against the
 * class. */
bool vivo_query_fit(struct vivo_query_parser *p, const struct vivo_query_node *n,
                    const char *raw, size_t at, struct vivo_query_value *out);
bool vivo_query_compile(struct vivo_query_parser *p, const char *pattern, size_t at,
                        const struct vivo_query_regex **out);
#define VIVO_QUERY_ORIENTATION 0x00200037u /* ImageOrientationPatient */
/* Where RefersTo finds UIDs, in any sequence: these and SeriesInstanceUID. */
#define VIVO_QUERY_REFERENCED_SOP 0x00081155u /* ReferencedSOPInstanceUID */
#define VIVO_QUERY_SR_UID 0x0040A124u         /* UID of a content item, PS3.3 C.17.3 */

/* A virtual attribute by keyword, or PS3.4's by tag; NULL. */
struct vivo_query_virtual_row {
    enum vivo_query_virtual which;
    const char *keyword;
    char vr[3];
    uint32_t tag;
    uint32_t needs; /* hidden when this attribute is; 0 = never */
};
const struct vivo_query_virtual_row *vivo_query_virtual_named(const char *s,
                                                              size_t len);
const struct vivo_query_virtual_row *vivo_query_virtual_tagged(uint32_t tag);
/* Is the value of a StudyRank one that counts from the last? */
bool vivo_query_counts_back(const struct vivo_query_node *n);
/* axial …; NULL when the six cosines make no plane. */
const char *vivo_query_plane_of(const double cosines[6]);

/* Can the path be compared at all (no sequence, no bytes)? Else fails. */
enum vivo_query_class vivo_query_class_of(const char *vr);
bool vivo_query_comparable(struct vivo_query_parser *p, const struct vivo_query_path *t,
                           size_t at);

/* ---- reading scalars (scalar.c)
 * ------------------------------------------------------ */

/* The closed interval a text covers at its precision: days for DATE and AGE,
 * seconds for TIME and DATETIME. */
struct vivo_query_span {
    double lo, hi;
    double zone;
    bool zoned;
};
/* A decimal string, PS3.5 section 6.2 DS, spaces already trimmed; finite. */
bool vivo_query_number(const char *s, size_t len, double *out);
/* DATE, TIME, DATETIME, AGE. canonical: NULL or gets the one spelling (typed ages:
 * a bare number is years and may have a fraction). */
#define VIVO_QUERY_CANONICAL 48
bool vivo_query_scalar(enum vivo_query_class cls, const char *s, size_t len, bool typed,
                       struct vivo_query_span *out,
                       char canonical[VIVO_QUERY_CANONICAL]);
/* Shortest decimal that reads back as v; single: as a float32. */
void vivo_query_shortest(double v, bool single, char out[VIVO_QUERY_CANONICAL]);
/* float32 of v as a double, infinite when too large. */
double vivo_query_single(double v);

/* ---- values of one element against one condition (match.c)
 * ---------------------------- */

struct vivo_query_probe {
    const struct vivo_query_node *n;
    bool seen;   /* there is a value that is not empty */
    bool hit;    /* a value satisfies the condition (NE: equals) */
    bool failed; /* out of memory: nothing is known */
    bool done;   /* more values cannot change the answer */
};
/* index: 1-based, 0 = all values. */
void vivo_query_probe_element(struct vivo_query_probe *p, const struct vivo_attr *a,
                              unsigned index);

/* ---- lists (list.c) ---------------------------------------------------------------
 */

struct vivo_query_text { /* folded, of a set */
    const char *s;
    size_t len;
};
struct vivo_query_set {
    enum vivo_query_class cls;
    char vr[3];
    const char *column; /* keyword; NULL: not of a CSV */
    struct vivo_arena *arena;
    struct vivo_query_value *values;
    size_t n;
    struct vivo_query_text *texts; /* ascending */
    size_t ntexts;
    double *numbers; /* ascending */
    size_t nnumbers;
    struct vivo_query_span *spans; /* ascending lo; hi = the highest up to here */
    size_t nspans;
    struct vivo_query_set *next;
};
/* attr "in" "@" NAME, from the @ on. */
bool vivo_query_take_named_list(struct vivo_query_parser *p, struct vivo_query_node *n);
bool vivo_query_set_has_text(const struct vivo_query_set *set, const char *s,
                             size_t len);
bool vivo_query_set_has_number(const struct vivo_query_set *set, double number);
/* Some value of the list covers all of the span; without zones. */
bool vivo_query_set_covers(const struct vivo_query_set *set, double lo, double hi);

/* ---- construction, printing
 * ----------------------------------------------------------- */

/* AND or OR of two nodes, chains leaning left whatever the parentheses were. */
const struct vivo_query_node *vivo_query_join(struct vivo_arena *arena,
                                              enum vivo_query_kind kind,
                                              const struct vivo_query_node *a,
                                              const struct vivo_query_node *b,
                                              size_t column);
/* Sets q->text from q->root. -ENOSPC: longer than VIVO_QUERY_TEXT_MAX. */
int vivo_query_print(struct vivo_query *q);
/* The parser proper: p->s to a tree, NULL with p->rc set. */
const struct vivo_query_node *vivo_query_parse_expr(struct vivo_query_parser *p);

#endif
