/* SPDX-License-Identifier: Apache-2.0 */
/* src/deid/clean_names.c -- names in text that give themselves away: by a title, a
 * label, the form Last^First; and what leads to somebody: mail, URLs.
 *
 * Names that the object has in its attributes are found by known.c. */
#include "options.h"

#include <string.h>

#define NAMES_MAX 2 /* words behind a title that are a name */

static const char *const titles[] = {
    "dr",     "prof",       "mr",     "mrs",     "ms",     "miss",      "mister",
    "sir",    "herr",       "frau",   "hr",      "fr",     "hrn",       "mme",
    "mlle",   "monsieur",   "madame", "docteur", "drs",    "dra",       "doctor",
    "doktor", "professor",  "med",    "dhr",     "mevr",   "sig",       "sra",
    "signor", "signora",    "senor",  "senora",  "sister", "schwester", "nurse",
    "dott",   "professeur", "pd",     "priv",
};
/* "Patient: ..." and the like. */
static const char *const labels[] = {
    "patient",  "patientin", "pat",       "name",     "physician",   "technologist",
    "tech",     "operator",  "nurse",     "by",       "radiologist", "surgeon",
    "referrer", "reader",    "requestor", "attn",     "contact",     "author",
    "doctor",   "arzt",      "von",       "initials", "signed",      "mother",
    "father",   "vater",     "mutter",    "user",     "login",       "address",
};
/* Whose number follows, however short. */
static const char *const numbered[] = {
    "tel",   "telefon", "phone", "ph",  "fax",  "mobile",    "cell", "ext",
    "pager", "mrn",     "dob",   "ssn", "acc",  "accession", "pid",  "nhs",
    "room",  "bed",     "zip",   "plz", "born", "geb",       "id",   "case",
};
/* Words behind "MR", "DR" and "MS" that say these are modalities, and that no name is
 * made of: the vocabulary of series and study descriptions. */
static const char *const medical[] = {
    "ct",          "mr",           "mri",          "mra",
    "pet",         "us",           "xr",           "cr",
    "dx",          "chest",        "thorax",       "abdomen",
    "abdominal",   "pelvis",       "pelvic",       "head",
    "brain",       "neck",         "spine",        "cervical",
    "thoracic",    "lumbar",       "sacrum",       "knee",
    "hip",         "shoulder",     "elbow",        "wrist",
    "hand",        "foot",         "ankle",        "leg",
    "arm",         "heart",        "cardiac",      "liver",
    "kidney",      "renal",        "prostate",     "breast",
    "lung",        "orbit",        "orbits",       "sinus",
    "skull",       "face",         "body",         "whole",
    "bone",        "contrast",     "with",         "without",
    "w",           "wo",           "post",         "pre",
    "axial",       "ax",           "sagittal",     "sag",
    "coronal",     "cor",          "flair",        "diffusion",
    "dwi",         "adc",          "tse",          "fse",
    "gre",         "localizer",    "scout",        "angio",
    "angiography", "perfusion",    "routine",      "protocol",
    "scan",        "study",        "series",       "image",
    "images",      "ap",           "pa",           "lat",
    "lateral",     "left",         "right",        "upper",
    "lower",       "and",          "of",           "for",
    "the",         "portable",     "unit",         "low",
    "dose",        "high",         "lesion",       "lesions",
    "plaque",      "follow",       "screening",    "biopsy",
    "guided",      "elastography", "spectroscopy", "cholangiopancreatography",
    "arthrogram",  "enterography", "extremity",    "femur",
    "tibia",       "humerus",      "forearm",      "rib",
    "ribs",
};
static const char *const particles[] = {"von", "van", "de",  "der", "den", "la",  "le",
                                        "del", "di",  "da",  "al",  "el",  "bin", "zu",
                                        "zum", "ter", "ten", "dos", "du",  "st",  "af"};

static bool is_word(const struct vivo_letters *t, uint32_t w, const char *const *list,
                    size_t n)
{
    return vivo_letters_among(t, t->w[w].from, t->w[w].to, list, n);
}

static bool starts_upper(const struct vivo_letters *t, uint32_t w)
{
    return t->l[t->w[w].from].upper || t->l[t->w[w].from].c >= 0x250;
}

static bool all_upper(const struct vivo_letters *t, uint32_t w)
{
    for (uint32_t i = t->w[w].from; i < t->w[w].to; i++)
        if (t->l[i].cls == VIVO_LETTER_ALPHA && !t->l[i].upper)
            return false;
    return true;
}

/* Only spaces and the punctuation of names between two words. */
static bool adjacent(const struct vivo_letters *t, uint32_t w, const char *between)
{
    uint32_t to = t->w[w + 1].from;
    if (to - t->w[w].to > 4)
        return false;
    for (uint32_t i = t->w[w].to; i < to; i++)
        if (t->l[i].cls != VIVO_LETTER_SPACE &&
            (t->l[i].c >= 0x80 || !strchr(between, (int)t->l[i].c)))
            return false;
    return true;
}

static uint32_t next_char(const struct vivo_letters *t, uint32_t w)
{
    return t->w[w].to < t->n ? t->l[t->w[w].to].c : 0;
}

/* The words of a name behind word w: at most two, with their particles and initials.
 * Returns the last one. */
static uint32_t name_behind(const struct vivo_letters *t, uint32_t w, const char *gap)
{
    uint32_t last = w, names = 0;
    for (uint32_t k = w; k + 1 < t->n_words && names < NAMES_MAX; k++) {
        const struct vivo_word *next = &t->w[k + 1];
        if (!adjacent(t, k, k == w ? gap : ".,'^-") || !next->alphas)
            break;
        if (is_word(t, k + 1, particles, VIVO_ARRAY_LEN(particles)))
            continue;
        if (is_word(t, k + 1, medical, VIVO_ARRAY_LEN(medical)))
            break;
        /* The first word is the name however it is written. */
        if (names && !starts_upper(t, k + 1))
            break;
        last = k + 1;
        names += next->to - next->from > 1;
    }
    return last;
}

/* DR, MR and MS are also modalities and a disease. */
static bool is_title(const struct vivo_letters *t, uint32_t w)
{
    static const char *const doubtful[] = {"mr", "ms", "dr", "med", "fr", "pd", "sig"};
    if (!is_word(t, w, titles, VIVO_ARRAY_LEN(titles)))
        return false;
    if (next_char(t, w) == '.' || !is_word(t, w, doubtful, VIVO_ARRAY_LEN(doubtful)))
        return true;
    if (vivo_letters_are(t, t->w[w].from, t->w[w].to, "dr") || !all_upper(t, w))
        return w + 1 < t->n_words && adjacent(t, w, "");
    return false;
}

static void cut_titles(struct vivo_letters *t)
{
    for (uint32_t w = 0; w < t->n_words; w++) {
        if (!is_title(t, w))
            continue;
        uint32_t last = w;
        while (last + 1 < t->n_words && adjacent(t, last, ".,") &&
               is_word(t, last + 1, titles, VIVO_ARRAY_LEN(titles)))
            last++;
        uint32_t end = name_behind(t, last, ".,");
        if (end == last && last == w && next_char(t, w) != '.')
            continue;
        vivo_letters_cut(t, t->w[w].from, t->w[end].to);
        w = end;
    }
}

/* "Patient: Doe, Jane": the label stays. */
static void cut_labelled(struct vivo_letters *t)
{
    for (uint32_t w = 0; w + 1 < t->n_words; w++) {
        if (is_word(t, w, labels, VIVO_ARRAY_LEN(labels)) && next_char(t, w) == ':') {
            uint32_t end = name_behind(t, w, ":");
            if (end > w)
                vivo_letters_cut(t, t->w[w + 1].from, t->w[end].to);
        }
        if (is_word(t, w, numbered, VIVO_ARRAY_LEN(numbered)) &&
            adjacent(t, w, ".:#-") && t->w[w + 1].digits)
            vivo_letters_cut(t, t->w[w + 1].from, t->w[w + 1].to);
    }
}

/* Last^First^Middle, as PN has it. */
static void cut_carets(struct vivo_letters *t)
{
    for (uint32_t w = 0; w + 1 < t->n_words; w++) {
        if (t->w[w + 1].from - t->w[w].to > 2 || next_char(t, w) != '^' ||
            !t->w[w].alphas || !t->w[w + 1].alphas)
            continue;
        vivo_letters_cut(t, t->w[w].from, t->w[w + 1].to);
    }
}

static bool is_solid(const struct vivo_letter *l)
{
    return l->cls != VIVO_LETTER_SPACE && l->c != '<' && l->c != '>' && l->c != '"' &&
           l->c != '\\';
}

/* All that is written in one with the place. */
static uint32_t cut_solid(struct vivo_letters *t, uint32_t at)
{
    uint32_t from = at, to = at;
    while (from && is_solid(&t->l[from - 1]))
        from--;
    while (to < t->n && is_solid(&t->l[to]))
        to++;
    vivo_letters_cut(t, from, to);
    return to;
}

static bool starts_with(const struct vivo_letters *t, uint32_t at, const char *s)
{
    for (; *s; s++, at++)
        if (at >= t->n || t->l[at].c != (uint8_t)*s)
            return false;
    return true;
}

static void cut_addresses(struct vivo_letters *t)
{
    for (uint32_t i = 0; i < t->n; i++) {
        bool mail = t->l[i].c == '@' && i && i + 1 < t->n && is_solid(&t->l[i - 1]) &&
                    is_solid(&t->l[i + 1]);
        if (mail || starts_with(t, i, "://") || starts_with(t, i, "www.") ||
            starts_with(t, i, "mailto:"))
            i = cut_solid(t, i);
    }
}

void vivo_clean_names(struct vivo_letters *t)
{
    cut_addresses(t);
    cut_titles(t);
    cut_labelled(t);
    cut_carets(t);
}
