/* SPDX-License-Identifier: Apache-2.0 */
/* src/deid/options.h -- what the options of PS3.15 E.3 add to the engine.
 *
 * dates.c shifts, known.c collects what identifies in an object, clean*.c cut it out
 * of text, private.c and content.c decide about nodes once the header is captured. */
#ifndef VIVO_DEID_OPTIONS_H
#define VIVO_DEID_OPTIONS_H

#include "engine.h"

/* Options under which the whole header is kept as nodes, also what is removed: it
 * tells what to cut out of text, or is decided only when all is known. */
#define VIVO_DEID_COLLECTS                                                             \
    (VIVO_DEID_RETAIN_SAFE_PRIVATE | VIVO_DEID_RETAIN_PATIENT_CHARACTERISTICS |        \
     VIVO_DEID_CLEAN_DESCRIPTORS | VIVO_DEID_CLEAN_STRUCTURED_CONTENT)

/* ---- dates (dates.c) ----------------------------------------------------------- */

/* Days, negative: 53 to 521 whole weeks back, one for all dates of a pseudonym. */
int64_t vivo_date_offset(const struct vivo_key *k, const char *pseudonym);
/* Days since 1970-01-01. */
int64_t vivo_date_days(int64_t year, int64_t month, int64_t day);
/* Appends the values of DA, DT, TM or SH (a zone, which stays) that can be shifted,
 * joined by backslashes; those that cannot are left out. 0 or -ENOMEM, -ENOSPC. */
int vivo_date_shift(const char *vr, const uint8_t *v, size_t len, int64_t days,
                    struct vivo_buf *out);

/* ---- text as letters (letters.c) --------------------------------------------------
 */

enum vivo_letter_class {
    VIVO_LETTER_OTHER,
    VIVO_LETTER_SPACE,
    VIVO_LETTER_DIGIT,
    VIVO_LETTER_ALPHA,
    VIVO_LETTER_MARK, /* combining: belongs to the word, stands for nothing */
};

struct vivo_letter {
    uint32_t c;    /* folded: no case, Latin without accents, digits as ASCII */
    uint32_t unit; /* whose it is */
    uint8_t cls;   /* enum vivo_letter_class */
    bool upper, cut;
};

struct vivo_unit { /* bytes that can be cut together: a character, an escape */
    uint32_t at;
    uint8_t len;
    bool escape;
};

struct vivo_word { /* letters [from, to): alphanumeric */
    uint32_t from, to;
    bool digits, alphas;
};

struct vivo_letters {
    struct vivo_letter *l;
    struct vivo_unit *u;
    struct vivo_word *w;
    uint32_t n, cap, n_units, n_words;
};
/* charset: the value of (0008,0005) in force. -EILSEQ when the text cannot be decoded,
 * -ENOMEM. */
int vivo_letters_new(struct vivo_letters *t, const char *charset, const char *vr,
                     const uint8_t *v, size_t len);
void vivo_letters_free(struct vivo_letters *t);
bool vivo_letters_any_cut(const struct vivo_letters *t);
void vivo_letters_cut(struct vivo_letters *t, uint32_t from, uint32_t to);
/* Scripts without spaces, where two letters may be a name. */
bool vivo_letter_is_wide(const struct vivo_letter *l);
/* Letters of a script with spaces that are written in one; longer is no word and is
 * cut whole, so that nothing here is quadratic. */
#define VIVO_WORD_MAX 1024
/* Also the rest of the words at both ends, but not into another script. */
void vivo_letters_cut_words(struct vivo_letters *t, uint32_t from, uint32_t to);
bool vivo_letter_in_word(const struct vivo_letter *l);
/* Is it the word, which is in lower case ASCII? */
bool vivo_letters_are(const struct vivo_letters *t, uint32_t from, uint32_t to,
                      const char *word);
bool vivo_letters_among(const struct vivo_letters *t, uint32_t from, uint32_t to,
                        const char *const *words, size_t n);

/* A word of radiology, in which a shorter name is none? (words.c) */
bool vivo_word_is_plain(const struct vivo_letters *t, const struct vivo_word *w);

/* ---- what identifies (known.c) ----------------------------------------------------
 */

/* Hashes of the values of one object that are removed or replaced, and of their
 * parts. */
struct vivo_known;
int vivo_known_new(const struct vivo_header *h, struct vivo_known **out,
                   struct vivo_err *err);
void vivo_known_free(struct vivo_known *k);
/* For tests: one value more. */
int vivo_known_add(struct vivo_known *k, const char *charset, const char *vr,
                   const void *v, size_t len);
struct vivo_known *vivo_known_empty(void);
void vivo_known_cut(const struct vivo_known *k, struct vivo_letters *t);

/* ---- cleaning text (clean.c, clean_numbers.c, clean_names.c)
 * -------------------------- */

void vivo_clean_numbers(
    struct vivo_letters *t);                   /* dates, times, phones, UIDs, numbers */
void vivo_clean_names(struct vivo_letters *t); /* titles, labels, mail, URLs */
/* Appends what may stay; nothing at all when the text cannot be decoded or nothing
 * readable is left. 0 or -ENOMEM, -ENOSPC. */
int vivo_clean_text(const struct vivo_known *k, const char *charset, const char *vr,
                    const uint8_t *v, size_t len, struct vivo_buf *out);
/* Does the text name what is known, or hold a number, date or name? True also when it
 * cannot be decoded. */
bool vivo_clean_suspects(const struct vivo_known *k, const char *charset,
                         const uint8_t *v, size_t len);

/* ---- decisions about nodes (private.c, content.c)
 * ------------------------------------- */

struct vivo_safe_row { /* PS3.15 Table E.3.10-1 */
    uint32_t tag;      /* xx as 00 */
    const char *creator, *vr, *vm;
    char care; /* s t p u or ' ' */
};
const struct vivo_safe_row *vivo_safe_find(uint32_t tag, const char *creator);
extern const char *const vivo_safe_sha256;
extern const char *const vivo_content_sha256;
/* After the capture: private elements and content items get their actions. */
int vivo_private_settle(struct vivo_header *h, struct vivo_err *err);
void vivo_content_settle(struct vivo_header *h);
int vivo_header_settle(struct vivo_header *h, struct vivo_err *err); /* both */
/* The last look at a private value that is to stay, with all that is known. */
bool vivo_private_stays(const struct vivo_known *k, const char *charset,
                        const struct vivo_node *node, const uint8_t *v);

/* ---- writing (options.c) ------------------------------------------------------------
 */

/* SHIFT, CLEAN, PERSON and private values. *done tells whether something was written;
 * if not, the caller writes node->basic. */
int vivo_options_put(struct vivo_rewrite *r, const struct vivo_node *node,
                     const char *charset, bool *done, struct vivo_err *err);
/* The (0008,0005) in force in a data set, from that of the one around it. */
const char *vivo_options_charset(const struct vivo_header *h, uint32_t first,
                                 uint32_t end, const char *outer, char *buf,
                                 size_t cap);

#endif
