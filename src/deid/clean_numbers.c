/* SPDX-License-Identifier: Apache-2.0 */
/* src/deid/clean_numbers.c -- numbers in text that identify: dates, times, telephone
 * numbers, UIDs, and all of five digits and more.
 *
 * Whatever may be one is one: a matrix written like a date is lost, a date written
 * like a matrix is not kept. */
#include "options.h"

#include <string.h>

#define LONG_NUMBER 5
#define PHONE_DIGITS 7
#define UID_PARTS 4

struct run { /* of digits */
    uint32_t from, to;
    unsigned value; /* of the last nine */
};

struct runs {
    struct vivo_letters *t;
    struct run *r;
    uint32_t n;
};

static uint32_t length(const struct run *r)
{
    return r->to - r->from;
}

static bool find_runs(struct runs *d, struct vivo_letters *t)
{
    d->t = t;
    d->n = 0;
    d->r = malloc((t->n / 2 + 1) * sizeof *d->r);
    if (!d->r)
        return false;
    for (uint32_t i = 0; i < t->n;) {
        struct run r = {.from = i};
        for (; i < t->n && t->l[i].cls == VIVO_LETTER_DIGIT; i++)
            r.value = r.value % 100000000 * 10 + (t->l[i].c - '0');
        r.to = i;
        if (r.to > r.from)
            d->r[d->n++] = r;
        else
            i++;
    }
    return true;
}

/* What stands between two runs: one of the separators with spaces around, or one
 * space where it is among them. '\0' = something else. */
static char between(const struct runs *d, uint32_t i, const char *separators)
{
    char found = '\0';
    uint32_t from = d->r[i].to, to = d->r[i + 1].from;
    if (to - from > 3)
        return '\0';
    for (uint32_t k = from; k < to; k++) {
        uint32_t c = d->t->l[k].c;
        if (d->t->l[k].cls == VIVO_LETTER_SPACE)
            continue;
        if (found || c >= 0x80 || !strchr(separators, (int)c))
            return '\0';
        found = (char)c;
    }
    if (!found && to == from + 1 && strchr(separators, ' '))
        return ' ';
    return found;
}

static void cut_runs(struct runs *d, uint32_t first, uint32_t last)
{
    vivo_letters_cut_words(d->t, d->r[first].from, d->r[last].to);
}

static bool is_year(const struct run *r)
{
    return length(r) == 4 && r->value >= 1800 && r->value <= 2199;
}

static bool is_small(const struct run *r, unsigned most)
{
    return length(r) <= 2 && r->value >= 1 && r->value <= most;
}

/* Day and month in either order. */
static bool day_month(const struct run *a, const struct run *b)
{
    return (is_small(a, 31) && is_small(b, 12)) || (is_small(a, 12) && is_small(b, 31));
}

static bool is_triple(const struct run *r, bool spaced)
{
    if (is_year(r))
        return day_month(r + 1, r + 2);
    if (!day_month(r, r + 1))
        return length(r) == 2 && !spaced && day_month(r + 1, r + 2);
    return is_year(r + 2) || (length(r + 2) == 2 && !spaced);
}

/* 19.1.2004, 1/19/04, 2004-01-19, 2004 01 19; 01/2004, 2004-01; 19.01. and 01/19 */
static void cut_dates(struct runs *d)
{
    static const char separators[] = "-./ ";
    for (uint32_t i = 0; i + 1 < d->n; i++) {
        const struct run *r = &d->r[i];
        char one = between(d, i, separators);
        if (!one)
            continue;
        char two = i + 2 < d->n ? between(d, i + 1, separators) : '\0';
        if (two && is_triple(r, one == ' ' || two == ' '))
            cut_runs(d, i, i + 2);
        if (one != ' ' && ((is_year(r) && is_small(r + 1, 12)) ||
                           (is_year(r + 1) && is_small(r, 12))))
            cut_runs(d, i, i + 1);
        /* Not the vertebrae T11/12. */
        bool alone = !r->from || !vivo_letter_in_word(&d->t->l[r->from - 1]);
        bool both =
            alone && length(r) == 2 && length(r + 1) == 2 && day_month(r, r + 1);
        uint32_t next = r[1].to;
        bool dotted = one == '.' && next < d->t->n && d->t->l[next].c == '.';
        if (both && (one == '/' || dotted))
            cut_runs(d, i, i + 1);
    }
}

static const char *const months[] = {
    "january",   "february", "march",     "april",     "may",       "june",
    "july",      "august",   "september", "october",   "november",  "december",
    "jan",       "feb",      "mar",       "apr",       "jun",       "jul",
    "aug",       "sep",      "sept",      "oct",       "nov",       "dec",
    "januar",    "jaenner",  "janner",    "februar",   "marz",      "maerz",
    "mai",       "juni",     "juli",      "oktober",   "dezember",  "okt",
    "dez",       "janvier",  "fevrier",   "mars",      "avril",     "juin",
    "juillet",   "aout",     "septembre", "octobre",   "novembre",  "decembre",
    "enero",     "febrero",  "marzo",     "abril",     "mayo",      "junio",
    "julio",     "agosto",   "octubre",   "noviembre", "diciembre", "septiembre",
    "gennaio",   "febbraio", "aprile",    "maggio",    "giugno",    "luglio",
    "settembre", "ottobre",  "dicembre",  "januari",   "februari",  "maart",
    "mei",       "augustus", "janeiro",   "fevereiro", "marco",     "maio",
    "junho",     "julho",    "setembro",  "outubro",   "novembro",  "dezembro",
};
/* Between a day, a month and a year. */
static const char *const links[] = {"of", "de", "del", "the", "st", "nd",
                                    "rd", "th", "er",  "den", "do"};

static bool is_letters(const struct vivo_letter *l)
{
    return l->cls == VIVO_LETTER_ALPHA || l->cls == VIVO_LETTER_MARK;
}

static bool is_date_number(const struct vivo_letters *t, uint32_t from, uint32_t to)
{
    unsigned value = 0;
    for (uint32_t i = from; i < to && i < from + 9; i++)
        value = value * 10 + (t->l[i].c - '0');
    return (to - from <= 2 && value >= 1) ||
           (to - from == 4 && value >= 1800 && value <= 2199);
}

/* From the end of something to the end of a number that belongs to the date, or the
 * same place. */
static uint32_t number_after(const struct vivo_letters *t, uint32_t at)
{
    uint32_t i = at, j;
    for (unsigned gap = 0; i < t->n && gap < 4; gap++) {
        if (t->l[i].cls == VIVO_LETTER_DIGIT) {
            for (j = i; j < t->n && t->l[j].cls == VIVO_LETTER_DIGIT;)
                j++;
            return is_date_number(t, i, j) ? j : at;
        }
        if (!is_letters(&t->l[i])) {
            if (t->l[i].cls == VIVO_LETTER_OTHER &&
                (t->l[i].c >= 0x80 || !strchr("-./,'", (int)t->l[i].c)))
                return at;
            i++;
            continue;
        }
        for (j = i; j < t->n && is_letters(&t->l[j]);)
            j++;
        if (!vivo_letters_among(t, i, j, links, VIVO_ARRAY_LEN(links)))
            return at;
        i = j;
    }
    return at;
}

static uint32_t number_before(const struct vivo_letters *t, uint32_t at)
{
    uint32_t i = at, j;
    for (unsigned gap = 0; i > 0 && gap < 5; gap++) {
        if (t->l[i - 1].cls == VIVO_LETTER_DIGIT) {
            for (j = i; j > 0 && t->l[j - 1].cls == VIVO_LETTER_DIGIT;)
                j--;
            return is_date_number(t, j, i) ? j : at;
        }
        if (!is_letters(&t->l[i - 1])) {
            if (t->l[i - 1].cls == VIVO_LETTER_OTHER &&
                (t->l[i - 1].c >= 0x80 || !strchr("-./,'", (int)t->l[i - 1].c)))
                return at;
            i--;
            continue;
        }
        for (j = i; j > 0 && is_letters(&t->l[j - 1]);)
            j--;
        if (!vivo_letters_among(t, j, i, links, VIVO_ARRAY_LEN(links)))
            return at;
        i = j;
    }
    return at;
}

/* 19 Jan 2004, January 19th, 2004, 19JAN04, 19. Januar; a long name by itself. */
static void cut_months(struct vivo_letters *t)
{
    for (uint32_t i = 0, j; i < t->n; i = j) {
        for (j = i; j < t->n && is_letters(&t->l[j]);)
            j++;
        if (j == i) {
            j++;
            continue;
        }
        if (!vivo_letters_among(t, i, j, months, VIVO_ARRAY_LEN(months)))
            continue;
        uint32_t from = number_before(t, i), to = number_after(t, j);
        if (to > j)
            to = number_after(t, to);
        if (from < i)
            from = number_before(t, from);
        if (from < i || to > j)
            vivo_letters_cut_words(t, from, to);
        else if (j - i >= 6)
            vivo_letters_cut(t, i, j);
    }
}

static const char *const hours[] = {"am", "pm", "h", "hrs", "hr", "uhr", "oclock"};

/* The end of "am", "p.m." or "Uhr" behind a number, or the same place. */
static uint32_t half_of_day(const struct vivo_letters *t, uint32_t at)
{
    uint32_t i = at;
    while (i < t->n && i < at + 2 && t->l[i].cls == VIVO_LETTER_SPACE)
        i++;
    if (i + 3 <= t->n && (t->l[i].c == 'a' || t->l[i].c == 'p') &&
        t->l[i + 1].c == '.' && t->l[i + 2].c == 'm')
        return i + 3;
    uint32_t j = i;
    while (j < t->n && is_letters(&t->l[j]))
        j++;
    if (j < t->n && t->l[j].cls == VIVO_LETTER_DIGIT)
        return at;
    return j > i && vivo_letters_among(t, i, j, hours, VIVO_ARRAY_LEN(hours)) ? j : at;
}

/* 7:27, 07:27:30.5, 7 pm, 14h30, 14.30 Uhr */
static void cut_times(struct runs *d)
{
    for (uint32_t i = 0; i < d->n; i++) {
        const struct run *r = &d->r[i];
        uint32_t last = i;
        if (length(r) > 2 || r->value > 24)
            continue;
        while (last + 1 < d->n && last < i + 3) {
            const struct run *next = &d->r[last + 1];
            uint32_t gap = next->from - d->r[last].to;
            uint32_t c = d->t->l[d->r[last].to].c;
            bool minutes =
                length(next) == 2 && next->value < 61 && (c == ':' || c == 'h');
            if (gap != 1 || !(minutes || (last > i && c == '.')))
                break;
            last++;
        }
        uint32_t half = half_of_day(d->t, d->r[last].to);
        uint32_t unit = d->r[last].to;
        bool plain_h = half > unit && half - unit <= 2 && d->t->l[half - 1].c == 'h';
        if (last > i || (half > unit && !plain_h))
            vivo_letters_cut_words(d->t, r->from, half);
        bool dotted = i + 1 < d->n && between(d, i, ".") && length(&d->r[i + 1]) == 2 &&
                      d->r[i + 1].value < 60;
        uint32_t end = dotted ? d->r[i + 1].to : 0;
        half = dotted ? half_of_day(d->t, end) : 0;
        if (dotted && half > end)
            vivo_letters_cut_words(d->t, r->from, half);
    }
}

static bool is_phone_gap(const struct runs *d, uint32_t i)
{
    uint32_t from = d->r[i].to, to = d->r[i + 1].from;
    if (to - from > 3)
        return false;
    for (uint32_t k = from; k < to; k++)
        if (d->t->l[k].cls != VIVO_LETTER_SPACE &&
            (d->t->l[k].c >= 0x80 || !strchr("-./()+", (int)d->t->l[k].c)))
            return false;
    return true;
}

/* Runs of at least two digits with little between them, seven digits in all; eight
 * where none of them is longer than two. */
static void cut_phones(struct runs *d)
{
    for (uint32_t i = 0, last; i < d->n; i = last + 1) {
        uint32_t digits = length(&d->r[i]), longest = digits;
        for (last = i; last + 1 < d->n && length(&d->r[last + 1]) >= 2 &&
                       is_phone_gap(d, last);) {
            last++;
            digits += length(&d->r[last]);
            longest = VIVO_MAX(longest, length(&d->r[last]));
        }
        if (last == i || digits < PHONE_DIGITS + (longest < 3))
            continue;
        uint32_t from = d->r[i].from;
        while (from && strchr("+(", (int)VIVO_MIN(d->t->l[from - 1].c, 0x7Fu)))
            from--;
        vivo_letters_cut_words(d->t, from, d->r[last].to);
    }
}

static void cut_uids(struct runs *d)
{
    for (uint32_t i = 0; i < d->n; i++) {
        uint32_t last = i;
        while (last + 1 < d->n && d->r[last + 1].from - d->r[last].to == 1 &&
               d->t->l[d->r[last].to].c == '.')
            last++;
        if (last - i + 1 >= UID_PARTS)
            cut_runs(d, i, last);
        i = last;
    }
}

void vivo_clean_numbers(struct vivo_letters *t)
{
    struct runs d;
    cut_months(t);
    if (!find_runs(&d, t)) {
        /* No memory to look: nothing may stay. */
        vivo_letters_cut(t, 0, t->n);
        return;
    }
    for (uint32_t i = 0; i < d.n; i++)
        if (length(&d.r[i]) >= LONG_NUMBER)
            cut_runs(&d, i, i);
    cut_dates(&d);
    cut_times(&d);
    cut_phones(&d);
    cut_uids(&d);
    free(d.r);
}
