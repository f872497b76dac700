/* SPDX-License-Identifier: Apache-2.0 */
/* tests/oracle/value.c -- the reference's own idea of values and conditions.
 *
 * Slow, plain and on its own feet: it shares no conversion with match.c and scalar.c
 * (dates are padded digits through timegm, numbers strtod, wildcards a recursion), so
 * that agreement of the two says something. */
#include "oracle.h"
#include "vivofs/text.h"

#include <ctype.h>
#include <locale.h>
#include <math.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define VALUE_MAX ((size_t)8 * VIVO_ATTRS_VALUE_MAX)

/* ---- one value against one bound ---------------------------------------------------
 */

static bool by_sign(enum vivo_query_cmp cmp, int sign)
{
    return ((cmp == VIVO_CMP_EQ || cmp == VIVO_CMP_NE) && sign == 0) ||
           (cmp == VIVO_CMP_LT && sign < 0) || (cmp == VIVO_CMP_LE && sign <= 0) ||
           (cmp == VIVO_CMP_GT && sign > 0) || (cmp == VIVO_CMP_GE && sign >= 0);
}

static bool wild(const char *pattern, const char *s)
{
    if (!*pattern)
        return !*s;
    if (*pattern == '*')
        return wild(pattern + 1, s) || (*s && wild(pattern, s + 1));
    if (!*s)
        return false;
    if (*pattern == '?') {
        do
            s++;
        while (((unsigned char)*s & 0xC0) == 0x80);
        return wild(pattern + 1, s);
    }
    if (*pattern == '\\' && pattern[1])
        pattern++;
    return *pattern == *s && wild(pattern + 1, s + 1);
}

static bool read_number(const char *s, double *out)
{
    char *end;
    if (!*s || strspn(s, "+-0123456789.eE") != strlen(s) || strlen(s) > 500)
        return false;
    *out = strtod(s, &end);
    return !*end && isfinite(*out);
}

static int sign_of(double a, double b)
{
    return a < b ? -1 : a > b;
}

static bool number_holds(enum vivo_query_cmp cmp, const char *s, bool single,
                         const char *typed)
{
    double a;
    double b;
    if (!read_number(s, &a) || !read_number(typed, &b))
        return false;
    if (single) {
        a = (double)strtof(s, NULL);
        b = (double)strtof(typed, NULL);
    }
    return by_sign(cmp, sign_of(a, b));
}

/* ---- dates, times, ages
 * ---------------------------------------------------------------- */

/* A moment in microseconds: the first and the last that a text means. */
struct moments {
    int64_t first, last;
    bool zoned;
    int64_t zone;
};

/* Does s begin with the form (d = digit, else itself)? Its length, else 0. */
static size_t takes(const char *s, const char *form)
{
    size_t i = 0;
    for (; form[i]; i++)
        if (form[i] == 'd' ? !isdigit((unsigned char)s[i]) : s[i] != form[i])
            return 0;
    return i;
}

static size_t first_form(const char *s, const char *const *forms)
{
    for (; *forms; forms++)
        if (takes(s, *forms))
            return takes(s, *forms);
    return 0;
}

static size_t date_len(const char *s)
{
    static const char *const forms[] = {"dddd-dd-dd", "dddddddd", "dddd-dd",
                                        "dddddd",     "dddd",     NULL};
    return first_form(s, forms);
}

static size_t time_len(const char *s)
{
    static const char *const seconds[] = {"dd:dd:dd", "dddddd", NULL};
    static const char *const shorter[] = {"dd:dd", "dddd", "dd", NULL};
    size_t n = first_form(s, seconds);
    if (!n)
        return first_form(s, shorter);
    size_t digits = s[n] == '.' ? strspn(s + n + 1, "0123456789") : 0;
    return digits >= 1 && digits <= 6 ? n + 1 + digits : n;
}

/* Digits YYYYMMDDHHMMSSFFFFFF, n of them given, to the first or last moment. */
static bool moment(const char *digits, size_t n, bool last, int64_t *out)
{
    char full[21];
    memcpy(full, last ? "99991299235959999999" : "00000101000000000000", 21);
    memcpy(full, digits, n);
    struct tm tm = {0};
    long us;
    if (sscanf(full, "%4d%2d%2d%2d%2d%2d%6ld", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
               &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &us) != 7 ||
        tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_hour > 23 ||
        tm.tm_min > 59 || tm.tm_sec > 60)
        return false;
    tm.tm_sec = tm.tm_sec == 60 ? 59 : tm.tm_sec; /* the leap second */
    tm.tm_year -= 1900;
    tm.tm_mon--;
    if (n < 8 && last) { /* the day before the first of the next month */
        tm.tm_mon++;
        tm.tm_mday = 0;
    }
    int mon = tm.tm_mon;
    int64_t s = timegm(&tm);
    *out = s * 1000000 + us;
    return (n < 8 && last) || tm.tm_mon == mon; /* 31 April became May */
}

/* Cuts &ZZXX off. */
static void take_zone(char *s, struct moments *m)
{
    size_t len = strlen(s);
    int hour;
    int minute;
    char *z = s + len - 5;
    if (len < 9 || !strchr("+-", *z) || !takes(z + 1, "dddd") ||
        sscanf(z + 1, "%2d%2d", &hour, &minute) != 2 || hour > 14 || minute > 59)
        return;
    m->zoned = true;
    m->zone = (int64_t)(hour * 60 + minute) * 60000000 * (*z == '-' ? -1 : 1);
    *z = '\0';
}

static bool read_moments(enum vivo_query_class cls, const char *text, struct moments *m)
{
    char s[64];
    char digits[80] = "";
    memset(m, 0, sizeof *m);
    if (strlen(text) >= sizeof s)
        return false;
    memcpy(s, text, strlen(text) + 1);
    if (cls == VIVO_CLASS_DATETIME)
        take_zone(s, m);
    size_t date = cls == VIVO_CLASS_TIME ? 0 : date_len(s);
    size_t end = date;
    if (cls == VIVO_CLASS_TIME) {
        end = time_len(s);
        memcpy(digits, "19700101", 9);
        if (!end)
            return false;
    } else if (cls == VIVO_CLASS_DATETIME && s[end] &&
               (takes(s, "dddddddd") || date == 10)) {
        end += strchr("Tt ", s[end]) != NULL;
        size_t clock = time_len(s + end);
        if (!clock)
            return false;
        end += clock;
    }
    if (!end || s[end])
        return false;
    size_t n = strlen(digits);
    for (const char *c = s; *c; c++)
        if (isdigit((unsigned char)*c))
            digits[n++] = *c;
    return moment(digits, n, false, &m->first) && moment(digits, n, true, &m->last);
}

static bool moments_hold(enum vivo_query_cmp cmp, enum vivo_query_class cls,
                         const char *s, const char *typed)
{
    struct moments a;
    struct moments b;
    if (!read_moments(cls, s, &a) || !read_moments(cls, typed, &b))
        return false;
    int64_t shift = a.zoned && b.zoned ? b.zone - a.zone : 0;
    a.first += shift;
    a.last += shift;
    return ((cmp == VIVO_CMP_EQ || cmp == VIVO_CMP_NE) && a.first >= b.first &&
            a.last <= b.last) ||
           (cmp == VIVO_CMP_LT && a.last < b.first) ||
           (cmp == VIVO_CMP_LE && a.last <= b.last) ||
           (cmp == VIVO_CMP_GT && a.first > b.last) ||
           (cmp == VIVO_CMP_GE && a.first >= b.first);
}

static bool read_age(const char *s, bool typed, double *days)
{
    size_t len = strlen(s);
    char number[64] = "";
    if (len < 2 || len >= sizeof number)
        return false;
    memcpy(number, s, len - 1);
    if (!typed && (len > 4 || strspn(number, "0123456789") != len - 1))
        return false;
    if (!read_number(number, days))
        return false;
    switch (s[len - 1]) {
    case 'D':
        return true;
    case 'W':
        *days *= 7;
        return true;
    case 'M':
        *days *= 30.4375;
        return true;
    case 'Y':
        *days *= 365.25;
        return true;
    default:
        return false;
    }
}

static bool age_holds(enum vivo_query_cmp cmp, const char *s, const char *typed)
{
    double a;
    double b;
    return read_age(s, false, &a) && read_age(typed, true, &b) &&
           by_sign(cmp, sign_of(a, b));
}

/* ---- text
 * -------------------------------------------------------------------------------- */

/* NFC and folded, malloc'd; NULL without memory. */
static char *folded_copy(const char *s, size_t len)
{
    struct vivo_buf nfc;
    struct vivo_buf folded;
    vivo_buf_init(&nfc, VALUE_MAX);
    vivo_buf_init(&folded, VALUE_MAX);
    char *out = NULL;
    if (!vivo_text_nfc(s, len, &nfc) && nfc.len &&
        !vivo_text_fold((const char *)nfc.data, nfc.len, &folded))
        out = strndup((const char *)folded.data, folded.len);
    vivo_buf_free(&nfc);
    vivo_buf_free(&folded);
    return out;
}

static bool text_holds(enum vivo_query_cmp cmp, const char *folded,
                       const struct vivo_query_value *v)
{
    if (v->pattern)
        return wild(v->pattern, folded);
    char *typed = folded_copy(v->text, strlen(v->text));
    bool holds = by_sign(cmp, strcmp(folded, typed ? typed : ""));
    free(typed);
    return holds;
}

/* Ranges that begin or end beyond ASCII, written out as regcomp knows no order there;
 * the locale is UTF-8. False when there is no room. */
static bool spread(const char *s, char *out, size_t cap)
{
    bool within = false;
    size_t n = 0;
    wchar_t before = 0;
    while (*s && n + 8 < cap) {
        wchar_t c = 0;
        wchar_t last = 0;
        int len = mbtowc(&c, s, MB_CUR_MAX);
        bool range = within && before && c == '-' && len == 1 && s[1] != ']' &&
                     mbtowc(&last, s + 1, MB_CUR_MAX) > 1;
        if (len < 1)
            return false;
        for (wchar_t k = before + 1; range && k < last && n + 8 < cap; k++)
            n += (size_t)wctomb(out + n, k);
        if (!range)
            n += (size_t)wctomb(out + n, c);
        within = (within || c == '[') && c != ']';
        before = range || c == '[' ? 0 : c;
        s += len;
    }
    out[n] = 0;
    return !*s;
}

/* The value is folded; what of the pattern REG_ICASE does not know is too. */
static bool regex_holds(const char *folded, const char *pattern)
{
    struct vivo_buf b;
    regex_t re;
    bool holds = false;
    vivo_buf_init(&b, VALUE_MAX);
    int rc = vivo_buf_puts(&b, "");
    for (const char *c = pattern; *c && !rc;) {
        size_t n = 1;
        while (((unsigned char)c[n] & 0xC0) == 0x80)
            n++;
        rc = n == 1 ? vivo_buf_add(&b, c, 1) : vivo_text_fold(c, n, &b);
        c += n;
    }
    const char *text = b.len ? (const char *)b.data : "";
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    locale_t before = uselocale(utf8);
    static char wide[VALUE_MAX];
    if (!rc && spread(text, wide, sizeof wide) &&
        !regcomp(&re, wide, REG_EXTENDED | REG_ICASE | REG_NOSUB)) {
        holds = regexec(&re, folded, 0, NULL, 0) == 0;
        regfree(&re);
    }
    uselocale(before);
    if (utf8)
        freelocale(utf8);
    vivo_buf_free(&b);
    return holds;
}

/* ---- one value against the condition
 * -------------------------------------------------------- */

struct value {
    const char *text;   /* trimmed, as it stands */
    const char *folded; /* of the part looked at: a PN's group */
    bool single;        /* from FL */
};

static bool bound_holds(const struct vivo_query_node *n, enum vivo_query_cmp cmp,
                        const struct vivo_query_value *v, const struct value *x)
{
    double number;
    switch (n->path.cls) {
    case VIVO_CLASS_NUMBER:
        return number_holds(cmp, x->text, x->single, v->text);
    case VIVO_CLASS_DATE:
    case VIVO_CLASS_TIME:
    case VIVO_CLASS_DATETIME:
        return moments_hold(cmp, n->path.cls, x->text, v->text);
    case VIVO_CLASS_AGE:
        return age_holds(cmp, x->text, v->text);
    case VIVO_CLASS_UNKNOWN:
        if (!v->pattern && read_number(x->text, &number) &&
            read_number(v->text, &number))
            return number_holds(cmp, x->text, false, v->text);
        return text_holds(cmp, x->folded, v);
    case VIVO_CLASS_TEXT:
    case VIVO_CLASS_UID:
    case VIVO_CLASS_NAME:
        return text_holds(cmp, x->folded, v);
    case VIVO_CLASS_NONE:
        break;
    }
    return false;
}

static bool condition_holds(const struct vivo_query_node *n, const struct value *x)
{
    const struct vivo_query_value *v = n->values;
    if (n->kind == VIVO_QUERY_ANY)
        return strstr(x->folded, v->folded) != NULL;
    if (n->kind == VIVO_QUERY_RANGE)
        return (!v[0].text || bound_holds(n, VIVO_CMP_GE, &v[0], x)) &&
               (!v[1].text || bound_holds(n, VIVO_CMP_LE, &v[1], x));
    if (n->kind == VIVO_QUERY_CMP && n->cmp == VIVO_CMP_RE)
        return regex_holds(x->folded, v->text);
    if (n->kind == VIVO_QUERY_CMP && n->cmp == VIVO_CMP_LIKE)
        return text_holds(VIVO_CMP_EQ, x->folded, v);
    for (size_t i = 0; i < n->nvalues; i++)
        if (bound_holds(n, n->kind == VIVO_QUERY_IN ? VIVO_CMP_EQ : n->cmp, &v[i], x))
            return true;
    return false;
}

/* One value, spaces at its ends already gone. */
static void look_at(struct vivo_query_finding *f, const char *text, bool single)
{
    char *folded = *text ? folded_copy(text, strlen(text)) : NULL;
    if (!folded)
        return;
    f->has_value = true;
    struct value x = {text, folded, single};
    if (f->n->kind != VIVO_QUERY_HAS) {
        f->satisfied |= condition_holds(f->n, &x);
        if (f->n->path.cls == VIVO_CLASS_NAME && strchr(folded, '=')) {
            char *rest = folded;
            for (char *group; (group = strsep(&rest, "=")) != NULL;) {
                x.folded = group;
                f->satisfied |= *group && condition_holds(f->n, &x);
            }
        }
    }
    free(folded);
}

/* ---- the values of an element
 * ------------------------------------------------------------------ */

static void look_at_number(struct vivo_query_finding *f, double v, bool single)
{
    char text[64];
    for (int digits = single ? 6 : 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (single ? strtof(text, NULL) == (float)v : strtod(text, NULL) == v)
            break;
    }
    look_at(f, text, single);
}

union binary { /* the host is little endian, as attrs form is */
    uint8_t b[8];
    uint16_t us;
    int16_t ss;
    uint32_t ul;
    int32_t sl;
    uint64_t uv;
    int64_t sv;
    float fl;
    double fd;
};

static double number_of(const union binary *u, const char *vr)
{
    return vivo_query_oracle_vr(vr, "FD ")   ? u->fd
           : vivo_query_oracle_vr(vr, "FL ") ? (double)u->fl
           : vivo_query_oracle_vr(vr, "US ") ? u->us
           : vivo_query_oracle_vr(vr, "SS ") ? u->ss
           : vivo_query_oracle_vr(vr, "UL ") ? u->ul
           : vivo_query_oracle_vr(vr, "SL ") ? u->sl
           : vivo_query_oracle_vr(vr, "SV ") ? (double)u->sv
                                             : (double)u->uv;
}

static void look_at_binary(struct vivo_query_finding *f, const struct vivo_attr *a,
                           const char *vr, unsigned index)
{
    size_t size = vivo_query_oracle_vr(vr, "US SS ")         ? 2
                  : vivo_query_oracle_vr(vr, "UL SL FL AT ") ? 4
                                                             : 8;
    for (size_t i = 0; i < a->len / size; i++) {
        union binary u = {{0}};
        char tag[16];
        memcpy(u.b, a->value + i * size, size);
        if (index && i + 1 != index)
            continue;
        if (vivo_query_oracle_vr(vr, "AT ")) {
            snprintf(tag, sizeof tag, "%04X%04X", u.ul & 0xFFFF, u.ul >> 16);
            look_at(f, tag, false);
        } else {
            look_at_number(f, number_of(&u, vr), vivo_query_oracle_vr(vr, "FL "));
        }
    }
}

static void look_at_text(struct vivo_query_finding *f, const struct vivo_attr *a,
                         const char *vr, unsigned index)
{
    char *copy = strndup((const char *)a->value, a->len);
    char *rest = copy;
    bool one = vivo_query_oracle_vr(vr, "ST LT UT UR ");
    unsigned k = 0;
    while (rest) {
        char *s = one ? rest : strsep(&rest, "\\");
        if (one)
            rest = NULL;
        if (index && ++k != index)
            continue;
        s += strspn(s, " ");
        size_t len = strlen(s);
        while (len && s[len - 1] == ' ')
            s[--len] = '\0';
        look_at(f, s, false);
    }
    free(copy);
}

void vivo_query_oracle_look(struct vivo_query_finding *f, const struct vivo_attr *a,
                            unsigned index)
{
    const char *vr = a->vr;
    if (vivo_query_oracle_vr(vr, "UN ") && f->n->path.cls != VIVO_CLASS_NONE)
        vr = f->n->path.vr;
    struct vivo_attrs it = {a->value, a->len};
    struct vivo_attrs item;
    if (vivo_query_oracle_vr(a->vr, "SQ ")) {
        for (unsigned k = 1; vivo_attrs_next_item(&it, &item); k++)
            f->has_value |= !index || k == index;
    } else if (vivo_query_oracle_vr(vr, "US SS UL SL FL FD SV UV AT ")) {
        look_at_binary(f, a, vr, index);
    } else if (vr[0] == 'O') {
        f->has_value |= a->len > 0;
    } else if (!vivo_query_oracle_vr(vr, "SQ ")) {
        look_at_text(f, a, vr, index);
    }
}
