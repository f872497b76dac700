/* SPDX-License-Identifier: Apache-2.0 */
/* src/deid/values.c -- is a value what its VR says?
 *
 * PS3.5 Table 6.2-1, read for the purpose: whatever could carry a name where a
 * number, a date or a code belongs is not valid. Numbers longer than the standard's
 * 16 characters are common and harmless. */
#include "engine.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define NUMBER_MAX 64 /* characters of one DS or IS */
#define BYTES_PER_CHARACTER 4

typedef bool one_fn(const uint8_t *v, size_t len);

static bool is_digits(const uint8_t *v, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (v[i] < '0' || v[i] > '9')
            return false;
    return len > 0;
}

static unsigned number(const uint8_t *v, size_t len)
{
    unsigned n = 0;
    for (size_t i = 0; i < len; i++)
        n = n * 10 + (unsigned)(v[i] - '0');
    return n;
}

static bool is_number(const uint8_t *v, size_t len)
{
    size_t i = 0, digits = 0;
    if (len > NUMBER_MAX)
        return false;
    if (i < len && (v[i] == '+' || v[i] == '-'))
        i++;
    for (; i < len && isdigit(v[i]); i++)
        digits++;
    if (i < len && v[i] == '.')
        i++;
    for (; i < len && isdigit(v[i]); i++)
        digits++;
    if (!digits)
        return false;
    if (i < len && (v[i] == 'e' || v[i] == 'E')) {
        i++;
        if (i < len && (v[i] == '+' || v[i] == '-'))
            i++;
        return is_digits(v + i, len - i) && len - i <= 4;
    }
    return i == len;
}

static bool is_code_string(const uint8_t *v, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!isupper(v[i]) && !isdigit(v[i]) && v[i] != ' ' && v[i] != '_')
            return false;
    return len <= 16;
}

static bool is_age(const uint8_t *v, size_t len)
{
    return len == 4 && is_digits(v, 3) && strchr("DWMY", v[3]);
}

static bool is_date(const uint8_t *v, size_t len)
{
    if (len != 8 || !is_digits(v, 8))
        return false;
    unsigned month = number(v + 4, 2), day = number(v + 6, 2);
    return month >= 1 && month <= 12 && day >= 1 && day <= 31;
}

static bool is_time(const uint8_t *v, size_t len)
{
    static const unsigned limit[] = {23, 59, 60};
    size_t whole = VIVO_MIN(len, 6);
    if (whole < 2 || whole % 2 || !is_digits(v, whole))
        return false;
    for (size_t i = 0; i < whole / 2; i++)
        if (number(v + 2 * i, 2) > limit[i])
            return false;
    if (len <= 6)
        return true;
    return v[6] == '.' && len <= 13 && is_digits(v + 7, len - 7);
}

static bool is_date_time(const uint8_t *v, size_t len)
{
    size_t end = len;
    if (len > 5 && (v[len - 5] == '+' || v[len - 5] == '-')) {
        if (!is_digits(v + len - 4, 4))
            return false;
        end = len - 5;
    }
    if (end == 4 || end == 6)
        return is_digits(v, end);
    if (end < 8 || !is_date(v, 8))
        return false;
    return end == 8 || is_time(v + 8, end - 8);
}

static bool is_uid(const uint8_t *v, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!isdigit(v[i]) && v[i] != '.')
            return false;
    return len <= VIVO_UID_MAX;
}

/* No control characters but those that text of the VR may have; 27 begins an escape
 * sequence (PS3.5 section 6.1.3). */
static bool is_text(const uint8_t *v, size_t len, size_t max, bool lines)
{
    if (len > max)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (v[i] >= 32 || v[i] == 27)
            continue;
        if (!lines || !memchr("\t\n\f\r", v[i], 4))
            return false;
    }
    return true;
}

static bool is_title(const uint8_t *v, size_t len)
{
    return is_text(v, len, 16, false);
}

static bool is_short(const uint8_t *v, size_t len)
{
    return is_text(v, len, 16 * BYTES_PER_CHARACTER, false);
}

static bool is_long(const uint8_t *v, size_t len)
{
    return is_text(v, len, 64 * BYTES_PER_CHARACTER, false);
}

static bool is_name(const uint8_t *v, size_t len)
{
    return is_text(v, len, 3 * 64 * BYTES_PER_CHARACTER, false);
}

static bool is_unlimited(const uint8_t *v, size_t len)
{
    return is_text(v, len, SIZE_MAX, false);
}

static bool is_paragraph(const uint8_t *v, size_t len)
{
    return is_text(v, len, SIZE_MAX, true);
}

static const struct rule {
    char vr[3];
    uint8_t unit; /* binary: bytes of one value; 0 = text */
    bool single;  /* a backslash is no delimiter */
    one_fn *one;
} rules[] = {
    {"AE", 0, false, is_title},     {"AS", 0, false, is_age},
    {"AT", 4, false, NULL},         {"CS", 0, false, is_code_string},
    {"DA", 0, false, is_date},      {"DS", 0, false, is_number},
    {"DT", 0, false, is_date_time}, {"FD", 8, false, NULL},
    {"FL", 4, false, NULL},         {"IS", 0, false, is_number},
    {"LO", 0, false, is_long},      {"LT", 0, true, is_paragraph},
    {"OB", 1, false, NULL},         {"OD", 8, false, NULL},
    {"OF", 4, false, NULL},         {"OL", 4, false, NULL},
    {"OV", 8, false, NULL},         {"OW", 2, false, NULL},
    {"PN", 0, false, is_name},      {"SH", 0, false, is_short},
    {"SL", 4, false, NULL},         {"SS", 2, false, NULL},
    {"ST", 0, true, is_paragraph},  {"SV", 8, false, NULL},
    {"TM", 0, false, is_time},      {"UC", 0, false, is_unlimited},
    {"UI", 0, false, is_uid},       {"UL", 4, false, NULL},
    {"UR", 0, true, is_unlimited},  {"US", 2, false, NULL},
    {"UT", 0, true, is_paragraph},  {"UV", 8, false, NULL},
};

static const struct rule *find_rule(const char *vr)
{
    for (size_t i = 0; i < VIVO_ARRAY_LEN(rules); i++)
        if (!memcmp(rules[i].vr, vr, 2))
            return &rules[i];
    return NULL;
}

bool vivo_deid_vr_is_text(const char *vr)
{
    const struct rule *r = find_rule(vr);
    return r && r->unit == 0;
}

/* Spaces at both ends, and the NULs that some writers pad with. */
static bool one_valid(const struct rule *r, const uint8_t *v, size_t len)
{
    while (len && (v[len - 1] == ' ' || v[len - 1] == 0))
        len--;
    while (len && *v == ' ')
        v++, len--;
    return !len || r->one(v, len);
}

bool vivo_deid_valid(const char *vr, const uint8_t *v, size_t len)
{
    const struct rule *r = find_rule(vr);
    if (!r)
        return false;
    if (r->unit)
        return len % r->unit == 0 || (r->unit == 1);
    if (r->single)
        return one_valid(r, v, len);
    size_t start = 0;
    for (size_t i = 0; i <= len; i++) {
        if (i < len && v[i] != '\\')
            continue;
        if (!one_valid(r, v + start, i - start))
            return false;
        start = i + 1;
    }
    return true;
}

/* HIPAA's Safe Harbor, 45 CFR 164.514(b)(2)(i)(C), folds ages over 89 into one. */
int vivo_deid_cap_age(const uint8_t *v, size_t len, struct vivo_buf *out)
{
    if (len < 4 || !is_age(v, 4))
        return vivo_buf_add(out, v, len);
    unsigned n = number(v, 3);
    static const char units[] = "DWMY";
    static const double days[] = {1, 7, 30.4375, 365.25};
    double age = n * days[strchr(units, v[3]) - units];
    if (age < 90 * 365.25)
        return vivo_buf_add(out, v, 4);
    return vivo_buf_puts(out, "090Y");
}
