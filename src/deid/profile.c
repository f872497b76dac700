/* SPDX-License-Identifier: Apache-2.0 */
/* src/deid/profile.c -- the words of a profile become an immutable object.
 *
 * "none", or a named profile followed by option words of PS3.15 E.3 joined by '+'
 * (DESIGN A6). */
#include "ctp.h"
#include "options.h"
#include "pixels.h"

#include "vivofs/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Meanings: PS3.16 CID 7050. The first ten follow the columns of Table E.1-1. */
static const struct vivo_option_word words[] = {
    {VIVO_DEID_RETAIN_SAFE_PRIVATE, "retain-safe-private", "113111",
     "Retain Safe Private Option", true},
    {VIVO_DEID_RETAIN_UIDS, "retain-uids", "113110", "Retain UIDs Option", true},
    {VIVO_DEID_RETAIN_DEVICE, "retain-device", "113109",
     "Retain Device Identity Option", true},
    {VIVO_DEID_RETAIN_INSTITUTION, "retain-institution", "113112",
     "Retain Institution Identity Option", true},
    {VIVO_DEID_RETAIN_PATIENT_CHARACTERISTICS, "retain-patient-characteristics",
     "113108", "Retain Patient Characteristics Option", true},
    {VIVO_DEID_RETAIN_FULL_DATES, "retain-full-dates", "113106",
     "Retain Longitudinal Temporal Information Full Dates Option", true},
    {VIVO_DEID_RETAIN_MODIFIED_DATES, "retain-modified-dates", "113107",
     "Retain Longitudinal Temporal Information Modified Dates Option", true},
    {VIVO_DEID_CLEAN_DESCRIPTORS, "clean-descriptors", "113105",
     "Clean Descriptors Option", true},
    {VIVO_DEID_CLEAN_STRUCTURED_CONTENT, "clean-structured-content", "113104",
     "Clean Structured Content Option", true},
    {VIVO_DEID_CLEAN_GRAPHICS, "clean-graphics", "113103", "Clean Graphics Option",
     true},
    {VIVO_DEID_CLEAN_PIXEL_DATA, "clean-pixel-data", "113101",
     "Clean Pixel Data Option", true},
};

/* What named profiles have in common; they differ in dates (DESIGN A6). */
#define RESEARCH                                                                       \
    (VIVO_DEID_CLEAN_DESCRIPTORS | VIVO_DEID_CLEAN_STRUCTURED_CONTENT |                \
     VIVO_DEID_CLEAN_GRAPHICS | VIVO_DEID_RETAIN_PATIENT_CHARACTERISTICS |             \
     VIVO_DEID_RETAIN_DEVICE | VIVO_DEID_RETAIN_SAFE_PRIVATE)

static const char *const other_words[] = {
    "none",     "basic",   "strict",
    "research", "limited", "clean-recognizable-visual-features",
};

const struct vivo_option_word *vivo_option_words(size_t *n)
{
    *n = VIVO_ARRAY_LEN(words);
    return words;
}

static bool is_word(const char *s, size_t len, const char *word)
{
    return strlen(word) == len && !memcmp(s, word, len);
}

static int unknown_word(const char *s, size_t len, struct vivo_err *err)
{
    char word[64];
    const char *all[VIVO_ARRAY_LEN(words) + VIVO_ARRAY_LEN(other_words)];
    size_t n = 0;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(other_words); i++)
        all[n++] = other_words[i];
    for (size_t i = 0; i < VIVO_ARRAY_LEN(words); i++)
        all[n++] = words[i].word;
    size_t take = VIVO_MIN(len, sizeof word - 1);
    memcpy(word, s, take);
    word[take] = '\0';
    const char *near = vivo_text_nearest(word, all, n);
    if (near)
        return vivo_fail(err, EINVAL, "deid: no such word '%s'; did you mean '%s'?",
                         word, near);
    return vivo_fail(err, EINVAL,
                     "deid: no such word '%s'; vivofs deid --list "
                     "prints all",
                     word);
}

static int add_option(struct vivo_deid *d, const char *s, size_t len,
                      struct vivo_err *err)
{
    for (size_t i = 0; i < VIVO_ARRAY_LEN(words); i++) {
        if (!is_word(s, len, words[i].word))
            continue;
        if (!words[i].offered)
            return vivo_fail(err, EINVAL, "deid: '%s' is not offered yet",
                             words[i].word);
        d->options |= (unsigned)words[i].option;
        return 0;
    }
    if (is_word(s, len, "clean-recognizable-visual-features"))
        return vivo_fail(err, EINVAL,
                         "deid: 'clean-recognizable-visual-features' is not offered");
    return unknown_word(s, len, err);
}

/* The first word: what the options are added to. */
static int add_base(struct vivo_deid *d, const char *s, size_t len,
                    struct vivo_err *err)
{
    if (is_word(s, len, "basic"))
        return 0;
    if (is_word(s, len, "strict")) {
        d->burned_in = VIVO_BURNED_IN_STRICT;
        return 0;
    }
    if (is_word(s, len, "none")) {
        d->none = true;
        return 0;
    }
    if (is_word(s, len, "research")) {
        d->options |= RESEARCH | VIVO_DEID_RETAIN_MODIFIED_DATES;
        return 0;
    }
    if (is_word(s, len, "limited")) {
        d->options |= RESEARCH | VIVO_DEID_RETAIN_FULL_DATES;
        return 0;
    }
    return unknown_word(s, len, err);
}

static bool is_option(const char *s)
{
    for (size_t i = 0; i < VIVO_ARRAY_LEN(words); i++)
        if (!strcmp(s, words[i].word))
            return true;
    return false;
}

/* ctp:FILE, behind it words joined by '+'; a '+' of the file's name is one where no
 * word follows. */
static int parse_script(struct vivo_deid *d, const char *spec, struct vivo_err *err)
{
    VIVO_AUTO(vivo_free_p) char *path = strdup(spec);
    bool alone = false;
    if (!path)
        return vivo_fail(err, ENOMEM, "no memory for a profile");
    for (char *plus; (plus = strrchr(path, '+')); *plus = '\0') {
        int rc = 0;
        if (!strcmp(plus + 1, "alone"))
            alone = true;
        else if (is_option(plus + 1))
            rc = add_option(d, plus + 1, strlen(plus + 1), err);
        else
            break;
        if (rc)
            return rc;
    }
    if (!*path)
        return vivo_fail(err, EINVAL, "deid: ctp: needs a file: ctp:FILE");
    if (alone && d->options)
        return vivo_fail(err, EINVAL, "deid: a script alone takes no options");
    int rc = vivo_ctp_load(path, alone, &d->ctp, err);
    if (!rc && alone && d->ctp->keep_safe)
        d->options |= VIVO_DEID_RETAIN_SAFE_PRIVATE;
    return rc;
}

/* What the script would show is judged by what the profile hides. */
static void judge_script(struct vivo_deid *d)
{
    vivo_ctp_judge(d->ctp, d);
    for (size_t i = 0; i < d->ctp->nrows; i++)
        d->moves_dates = d->moves_dates || d->ctp->rows[i].dates;
}

static int parse(struct vivo_deid *d, const char *profile, struct vivo_err *err)
{
    const unsigned both = VIVO_DEID_RETAIN_FULL_DATES | VIVO_DEID_RETAIN_MODIFIED_DATES;
    size_t len = strcspn(profile, "+");
    /* Both date options exclude each other (PS3.15 E.3.6): said before whether
     * either is offered. */
    if (strstr(profile, "retain-full-dates") &&
        strstr(profile, "retain-modified-dates"))
        return vivo_fail(err, EINVAL,
                         "deid: retain-full-dates and "
                         "retain-modified-dates exclude each other");
    bool script = !strncmp(profile, "ctp:", 4);
    int rc =
        script ? parse_script(d, profile + 4, err) : add_base(d, profile, len, err);
    if (script)
        len = strlen(profile);
    for (const char *p = profile + len; !rc && *p == '+'; p += len) {
        p++;
        len = strcspn(p, "+");
        if (d->none)
            return vivo_fail(err, EINVAL, "deid: 'none' takes no options");
        rc = add_option(d, p, len, err);
    }
    if (!rc && (d->options & both) == both)
        return vivo_fail(err, EINVAL, "deid: two date options exclude each other");
    return rc;
}

static void write_words(struct vivo_deid *d)
{
    char *p = d->words;
    if (d->ctp)
        p += snprintf(p, 100, "ctp:%.80s%s", d->ctp->name,
                      d->ctp->alone ? "+alone" : "");
    else
        p = stpcpy(p, d->none ? "none" : "basic");
    for (size_t i = 0; i < VIVO_ARRAY_LEN(words); i++) {
        if (!(d->options & (unsigned)words[i].option))
            continue;
        *p++ = '+';
        p = stpcpy(p, words[i].word);
    }
}

static int write_digest(struct vivo_deid *d, struct vivo_err *err)
{
    struct vivo_buf b;
    vivo_buf_init(&b, 4096);
    static const uint8_t nothing[VIVO_DIGEST_LEN];
    int rc = vivo_buf_printf(&b, "%s\n%s\n%s\n%s\n%s\n%s\n%s\n%d\n%s\n",
                             VIVO_DEID_ENGINE, vivo_deid_edition,
                             vivo_deid_table_sha256, vivo_deid_gaps_sha256,
                             vivo_safe_sha256, vivo_content_sha256, d->words,
                             (int)d->burned_in, d->key ? vivo_key_id(d->key) : "-");
    /* What people decided about the gaps changes the bytes too. */
    size_t n = 0;
    const struct vivo_deid_gap *gaps = vivo_deid_gaps(&n);
    for (size_t i = 0; !rc && i < n; i++) {
        char c = (char)('0' + (int)gaps[i].action);
        rc = vivo_buf_add(&b, &c, 1);
    }
    if (!rc && d->pixels)
        rc = vivo_buf_add(&b, d->pixels->digest, sizeof d->pixels->digest);
    if (!rc)
        rc = vivo_buf_add(&b, d->ctp ? d->ctp->digest : nothing, VIVO_DIGEST_LEN);
    if (!rc)
        vivo_sha256(b.data, b.len, d->digest);
    vivo_buf_free(&b);
    return rc ? vivo_fail(err, ENOMEM, "no memory for a profile") : 0;
}

int vivo_deid_new(const char *profile, enum vivo_burned_in burned_in,
                  const struct vivo_key *key, struct vivo_deid **out,
                  struct vivo_err *err)
{
    struct vivo_deid *d = calloc(1, sizeof *d);
    if (!d)
        return vivo_fail(err, ENOMEM, "no memory for a profile");
    d->burned_in = burned_in;
    d->key = key;
    int rc = parse(d, profile, err);
    if (!rc && !d->none && !key)
        rc = vivo_fail(err, EINVAL, "deid: the profile needs a key");
    if (!rc && d->options & VIVO_DEID_CLEAN_PIXEL_DATA)
        rc = vivo_pixel_rules_default(&d->pixels, err);
    if (!rc) {
        write_words(d);
        rc = write_digest(d, err);
    }
    if (!rc && d->ctp)
        judge_script(d);
    if (!rc && !d->none && vivo_deid_learn(d))
        rc = vivo_fail(err, ENOMEM, "no memory for a profile");
    if (rc) {
        vivo_deid_free(d);
        return rc;
    }
    *out = d;
    return 0;
}

int vivo_deid_check(const char *profile, struct vivo_err *err)
{
    struct vivo_deid *d = calloc(1, sizeof *d);
    if (!d)
        return vivo_fail(err, ENOMEM, "no memory for a profile");
    int rc = parse(d, profile, err);
    vivo_deid_free(d);
    return rc;
}

int vivo_deid_set_pixels(struct vivo_deid *d, const char *file, struct vivo_err *err)
{
    struct vivo_pixel_rules *rules = NULL;
    if (!(d->options & VIVO_DEID_CLEAN_PIXEL_DATA))
        return vivo_fail(err, EINVAL,
                         "pixels: needs the option clean-pixel-data, as in "
                         "deid=basic+clean-pixel-data");
    int rc = vivo_pixel_rules_load(file, &rules, err);
    if (rc)
        return rc;
    vivo_pixel_rules_free(d->pixels);
    d->pixels = rules;
    return write_digest(d, err);
}

void vivo_deid_free(struct vivo_deid *d)
{
    if (d) {
        free(d->decisions);
        vivo_ctp_free(d->ctp);
        vivo_pixel_rules_free(d->pixels);
    }
    free(d);
}

bool vivo_deid_is_none(const struct vivo_deid *d)
{
    return d->none;
}

const char *vivo_deid_profile(const struct vivo_deid *d)
{
    return d->words;
}

const struct vivo_key *vivo_deid_key(const struct vivo_deid *d)
{
    return d->key;
}

const uint8_t *vivo_deid_digest(const struct vivo_deid *d)
{
    return d->digest;
}
