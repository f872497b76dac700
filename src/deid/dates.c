/* SPDX-License-Identifier: Apache-2.0 */
/* src/deid/dates.c -- retain-modified-dates: one offset for all dates of a patient.
 *
 * Whole weeks keep the day of the week, and times of day need no change. The offset
 * comes from the patient's pseudonym under the key, so that it is the same in every
 * study, archive and order (PS3.15 E.3.6). */
#include "options.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define WEEKS_MIN 53  /* a year and more */
#define WEEKS_MAX 521 /* less than ten years */
#define ONE_MAX 64    /* characters of one value */

int64_t vivo_date_offset(const struct vivo_key *k, const char *pseudonym)
{
    uint8_t mac[VIVO_DIGEST_LEN];
    vivo_key_mac(k, VIVO_DOMAIN_OFFSET, pseudonym, strlen(pseudonym), mac);
    uint64_t weeks =
        WEEKS_MIN + (((uint64_t)vivo_be32(mac) << 32 | vivo_be32(mac + 4)) %
                     (WEEKS_MAX - WEEKS_MIN + 1));
    return -7 * (int64_t)weeks;
}

/* Days since 1970-01-01 of the Gregorian calendar, and back; years begin in March, so
 * that leap days come last. */
int64_t vivo_date_days(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t yoe = year - era * 400;
    int64_t doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static void date_of(int64_t days, int64_t *year, int64_t *month, int64_t *day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t doe = days - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    *day = doy - (153 * mp + 2) / 5 + 1;
    *month = mp < 10 ? mp + 3 : mp - 9;
    *year = yoe + era * 400 + (*month <= 2);
}

static bool all_digits(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isdigit((unsigned char)s[i]))
            return false;
    return n > 0;
}

static int number(const char *s, size_t n)
{
    int v = 0;
    for (size_t i = 0; i < n; i++)
        v = v * 10 + (s[i] - '0');
    return v;
}

/* Four, six or eight digits; what is missing is the first of its kind. The result has
 * as many digits. False when it is no day of the calendar, before or after. */
static bool shift_digits(const char *s, size_t n, int64_t days, char out[9])
{
    if ((n != 4 && n != 6 && n != 8) || !all_digits(s, n))
        return false;
    int64_t year = number(s, 4), y, m, d;
    int64_t month = n >= 6 ? number(s + 4, 2) : 1;
    int64_t day = n == 8 ? number(s + 6, 2) : 1;
    if (year < 1 || month < 1 || month > 12 || day < 1 || day > 31)
        return false;
    int64_t at = vivo_date_days(year, month, day);
    date_of(at, &y, &m, &d);
    if (y != year || m != month || d != day)
        return false;
    date_of(at + days, &y, &m, &d);
    if (y < 1 || y > 9999)
        return false;
    char text[32];
    snprintf(text, sizeof text, "%04d%02d%02d", (int)y, (int)m, (int)d);
    memcpy(out, text, n);
    out[n] = '\0';
    return true;
}

/* YYYYMMDD; YYYY.MM.DD (PS3.5 section 6.2, note to DA) and YYYY-MM-DD in that form. */
static bool shift_day(const char *s, size_t n, int64_t days, char *out)
{
    char plain[9];
    if (n == 10 && (s[4] == '.' || s[4] == '-') && s[7] == s[4]) {
        memcpy(plain, s, 4);
        memcpy(plain + 4, s + 5, 2);
        memcpy(plain + 6, s + 8, 2);
        return shift_digits(plain, 8, days, out);
    }
    return n == 8 && shift_digits(s, n, days, out);
}

/* HH[MM[SS[.F]]], or HH:MM[:SS[.F]] of ACR-NEMA without its colons. */
static bool take_time(const char *s, size_t n, int64_t days, char *out)
{
    static const int limit[] = {23, 59, 60};
    size_t i = 0, parts = 0;
    bool colons = n > 2 && s[2] == ':';
    (void)days;
    while (parts < 3 && i < n && s[i] != '.') {
        if (parts && colons && s[i++] != ':')
            return false;
        if (n - i < 2 || !all_digits(s + i, 2) || number(s + i, 2) > limit[parts])
            return false;
        memcpy(out, s + i, 2);
        out += 2;
        i += 2;
        parts++;
    }
    if (!parts)
        return false;
    if (i < n) {
        if (s[i] != '.' || parts < 3 || n - i > 7 || !all_digits(s + i + 1, n - i - 1))
            return false;
        memcpy(out, s + i, n - i);
        out += n - i;
    }
    *out = '\0';
    return true;
}

/* Whole weeks leave the time of day as it is, to the millisecond, which is what dynamic
 * series need: microseconds of a TM are a serial number of the acquisition. */
static bool cut_time(const char *s, size_t n, int64_t days, char *out)
{
    if (!take_time(s, n, days, out))
        return false;
    size_t point = strcspn(out, ".");
    if (strlen(out) > point + 4)
        out[point + 4] = '\0';
    return true;
}

static bool is_zone(const char *s, size_t n)
{
    if (n != 5 || (*s != '+' && *s != '-') || !all_digits(s + 1, 4))
        return false;
    return number(s + 1, 2) <= 14 && number(s + 3, 2) <= 59;
}

static bool copy_zone(const char *s, size_t n, int64_t days, char *out)
{
    (void)days;
    if (!is_zone(s, n))
        return false;
    memcpy(out, s, n);
    out[n] = '\0';
    return true;
}

/* The date is shifted at its precision; time, fraction and zone stay. */
static bool shift_moment(const char *s, size_t n, int64_t days, char *out)
{
    size_t end = n > 5 && is_zone(s + n - 5, 5) ? n - 5 : n;
    size_t day = VIVO_MIN(end, (size_t)8);
    if (!shift_digits(s, day, days, out))
        return false;
    out += day;
    if (end > 8) {
        if (!take_time(s + 8, end - 8, 0, out))
            return false;
        out += strlen(out);
    }
    memcpy(out, s + end, n - end);
    out[n - end] = '\0';
    return true;
}

typedef bool one_fn(const char *s, size_t n, int64_t days, char *out);

/* a-b, a- or -b (PS3.4 section C.2.2.2.5). */
static bool shift_range(one_fn *one, const char *s, size_t n, int64_t days, char *out)
{
    for (size_t i = 0; i < n; i++) {
        char *p = out;
        if (s[i] != '-' || n == 1)
            continue;
        if (i && !one(s, i, days, p))
            continue;
        p += i ? strlen(p) : 0;
        *p++ = '-';
        *p = '\0';
        if (i + 1 == n || one(s + i + 1, n - i - 1, days, p))
            return true;
    }
    return false;
}

static one_fn *function_of(const char *vr)
{
    if (!memcmp(vr, "DA", 2))
        return shift_day;
    if (!memcmp(vr, "DT", 2))
        return shift_moment;
    if (!memcmp(vr, "TM", 2))
        return cut_time;
    return memcmp(vr, "SH", 2) ? NULL : copy_zone;
}

int vivo_date_shift(const char *vr, const uint8_t *value, size_t len, int64_t days,
                    struct vivo_buf *out)
{
    one_fn *one = function_of(vr);
    const char *v = (const char *)value;
    const size_t before = out->len;
    size_t start = 0;
    for (size_t i = 0; one && i <= len; i++) {
        char text[4 * ONE_MAX];
        if (i < len && v[i] != '\\')
            continue;
        const char *s = v + start;
        size_t n = i - start;
        start = i + 1;
        while (n && (s[n - 1] == ' ' || s[n - 1] == '\0'))
            n--;
        while (n && *s == ' ')
            s++, n--;
        if (!n || n > ONE_MAX)
            continue;
        if (!one(s, n, days, text) &&
            (one == copy_zone || !shift_range(one, s, n, days, text)))
            continue;
        int rc = out->len > before ? vivo_buf_add(out, "\\", 1) : 0;
        if (!rc)
            rc = vivo_buf_puts(out, text);
        if (rc)
            return rc;
    }
    return 0;
}
