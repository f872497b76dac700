/* SPDX-License-Identifier: Apache-2.0 */
/* src/query/scalar.c -- numbers, dates, times and ages as text (PS3.5 section 6.2).
 *
 * One reading for the value typed and the value of an object: what is not of the
 * form is refused here, never guessed. Independent of the locale. */
#include "internal.h"
#include "vivofs/text.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- numbers ----------------------------------------------------------------------
 */

static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

struct decimal {
    uint64_t mantissa;
    int exponent;
    int digits; /* seen */
    bool exact; /* all digits are in the mantissa */
};

static size_t take_digits(const char *s, size_t len, size_t i, bool fraction,
                          struct decimal *d)
{
    for (; i < len && s[i] >= '0' && s[i] <= '9'; i++) {
        d->digits++;
        if (d->mantissa > (UINT64_MAX - 9) / 10) {
            d->exact = false;
            continue;
        }
        d->mantissa = d->mantissa * 10 + (uint64_t)(s[i] - '0');
        d->exponent -= fraction;
    }
    return i;
}

/* Form only: true when s is [sign] digits [. digits] [e [sign] digits]. */
static bool scan_decimal(const char *s, size_t len, struct decimal *d)
{
    size_t i = len && (s[0] == '+' || s[0] == '-');
    i = take_digits(s, len, i, false, d);
    if (i < len && s[i] == '.')
        i = take_digits(s, len, i + 1, true, d);
    if (!d->digits)
        return false;
    if (i == len)
        return true;
    if (s[i] != 'e' && s[i] != 'E')
        return false;
    bool minus = ++i < len && s[i] == '-';
    i += i < len && (s[i] == '+' || s[i] == '-');
    struct decimal e = {.exact = true};
    size_t end = take_digits(s, len, i, false, &e);
    if (end != len || end == i || !e.exact || e.mantissa > 4096)
        return false;
    d->exponent += minus ? -(int)e.mantissa : (int)e.mantissa;
    return true;
}

bool vivo_query_number(const char *s, size_t len, double *out)
{
    struct decimal d = {.exact = true};
    if (!scan_decimal(s, len, &d))
        return false;
    double v;
    if (d.exact && d.mantissa <= 1ull << 53 && d.exponent >= -22 && d.exponent <= 22) {
        /* Both operands and so the result are correctly rounded (Clinger 1990). */
        v = (double)d.mantissa;
        v = d.exponent < 0 ? v / powers[-d.exponent] : v * powers[d.exponent];
        v = s[0] == '-' ? -v : v;
    } else {
        char buf[512];
        if (len >= sizeof buf)
            return false;
        memcpy(buf, s, len);
        buf[len] = '\0';
        v = strtod(buf, NULL);
    }
    if (!isfinite(v))
        return false;
    *out = v;
    return true;
}

double vivo_query_single(double v)
{
    /* The halfway point to the next power of two would round to infinity. */
    if (fabs(v) >= (double)FLT_MAX * (1.0 + 0x1p-25))
        return v > 0 ? HUGE_VAL : -HUGE_VAL;
    return (double)(float)v;
}

void vivo_query_shortest(double v, bool single, char out[VIVO_QUERY_CANONICAL])
{
    for (int digits = single ? 6 : 15; digits <= 17; digits++) {
        double back = 0;
        snprintf(out, VIVO_QUERY_CANONICAL, "%.*g", digits, v);
        if (vivo_query_number(out, strlen(out), &back) &&
            (single ? vivo_query_single(back) : back) == v)
            return;
    }
}

/* ---- dates and times
 * ------------------------------------------------------------------ */

/* Days since 1970-01-01 in the proleptic Gregorian calendar. */
static int64_t days_of(int64_t y, int64_t m, int64_t d)
{
    y -= m <= 2;
    int64_t era = y / 400;
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static int64_t days_in(int64_t y, int64_t m)
{
    static const int8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    return days[m - 1] + (m == 2 && leap);
}

/* n digits at s as a number; -1 when they are not all digits. */
static int64_t digits_at(const char *s, size_t len, size_t i, size_t n)
{
    int64_t v = 0;
    if (len < i + n)
        return -1;
    for (size_t k = i; k < i + n; k++) {
        if (s[k] < '0' || s[k] > '9')
            return -1;
        v = v * 10 + (s[k] - '0');
    }
    return v;
}

/* YYYY, YYYYMM, YYYYMMDD, YYYY-MM or YYYY-MM-DD to first and last day. */
static bool scan_date(const char *s, size_t len, int64_t *first, int64_t *last)
{
    bool dash = len > 4 && s[4] == '-';
    int64_t y = digits_at(s, len, 0, 4);
    if (y < 0)
        return false;
    if (len == 4) {
        *first = days_of(y, 1, 1);
        *last = days_of(y, 12, 31);
        return true;
    }
    int64_t m = digits_at(s, len, 4 + dash, 2);
    if (m < 1 || m > 12)
        return false;
    if (len == 6u + dash) {
        *first = days_of(y, m, 1);
        *last = days_of(y, m, days_in(y, m));
        return true;
    }
    if (len != 8u + 2 * dash || (dash && s[7] != '-'))
        return false;
    int64_t d = digits_at(s, len, 6 + 2 * (size_t)dash, 2);
    if (d < 1 || d > days_in(y, m))
        return false;
    *first = *last = days_of(y, m, d);
    return true;
}

/* The fraction after the point, 1 to 6 digits, to microseconds. */
static bool scan_fraction(const char *s, size_t len, int64_t *us, int64_t *width)
{
    int64_t v = digits_at(s, len, 0, len);
    if (len < 1 || len > 6 || v < 0)
        return false;
    *width = 1;
    for (size_t i = len; i < 6; i++)
        *width *= 10;
    *us = v * *width;
    return true;
}

/* HH, HHMM, HHMMSS[.F] or with colons, to first and last microsecond of the day. The
 * leap second 60 (PS3.5 section 6.2) is the 59th. */
static bool scan_time(const char *s, size_t len, int64_t *first, int64_t *last)
{
    bool colon = len > 2 && s[2] == ':';
    int64_t part[3] = {0, 0, 0};
    static const int64_t limit[3] = {23, 59, 60};
    static const int64_t width[3] = {3600000000, 60000000, 1000000};
    int64_t us = 0;
    int64_t span = 0;
    size_t i = 0;
    for (int k = 0; k < 3 && (k == 0 || i < len); k++) {
        if (k > 0 && colon && s[i++] != ':')
            return false;
        part[k] = digits_at(s, len, i, 2);
        if (part[k] < 0 || part[k] > limit[k])
            return false;
        if (k == 2 && part[k] == 60)
            part[k] = 59;
        us += part[k] * width[k];
        span = width[k];
        i += 2;
    }
    if (i < len) {
        int64_t fraction = 0;
        if (span != 1000000 || s[i] != '.' ||
            !scan_fraction(s + i + 1, len - i - 1, &fraction, &span))
            return false;
        us += fraction;
    }
    *first = us;
    *last = us + span - 1;
    return true;
}

/* Length of the zone &ZZXX at the end of a DT, 0 without one; PS3.5 section 6.2. A
 * '-' that belongs to the date is followed by 2 digits only. */
static size_t scan_zone(const char *s, size_t len, int64_t *seconds)
{
    if (len < 9)
        return 0;
    size_t i = len - 5;
    int64_t h = digits_at(s, len, i + 1, 2);
    int64_t m = digits_at(s, len, i + 3, 2);
    if ((s[i] != '+' && s[i] != '-') || h < 0 || h > 14 || m < 0 || m > 59)
        return 0;
    *seconds = (h * 60 + m) * 60 * (s[i] == '-' ? -1 : 1);
    return 5;
}

/* Where the date of a DT ends. */
static size_t date_end(const char *s, size_t len)
{
    size_t end = len > 4 && s[4] == '-' ? 10 : 8;
    for (size_t i = 0; i < len && i < end; i++)
        if (s[i] == 'T' || s[i] == 't' || s[i] == ' ')
            return i;
    return VIVO_MIN(len, end);
}

static bool scan_datetime(const char *s, size_t len, struct vivo_query_span *out)
{
    int64_t zone = 0;
    size_t zone_len = scan_zone(s, len, &zone);
    out->zoned = zone_len > 0;
    out->zone = (double)zone;
    len -= zone_len;
    size_t end = date_end(s, len);
    int64_t d0;
    int64_t d1;
    if (!scan_date(s, end, &d0, &d1))
        return false;
    int64_t t0 = 0;
    int64_t t1 = 86400000000 - 1;
    if (end < len) {
        size_t t = end + (s[end] == 'T' || s[end] == 't' || s[end] == ' ');
        if (d0 != d1 || end < 8 || !scan_time(s + t, len - t, &t0, &t1))
            return false;
    }
    out->lo = (double)(d0 * 86400000000 + t0) / 1e6;
    out->hi = (double)(d1 * 86400000000 + t1) / 1e6;
    return true;
}

/* ---- ages
 * ------------------------------------------------------------------------------ */

static bool scan_age(const char *s, size_t len, bool typed, struct vivo_query_span *out,
                     char *canonical)
{
    static const char units[] = "DWMY";
    static const double days[] = {1, 7, 30.4375, 365.25};
    if (!len)
        return false;
    char last = s[len - 1];
    if (typed && last >= 'a' && last <= 'z')
        last = (char)(last - 'a' + 'A');
    const char *unit = strchr(units, last);
    double v;
    if (!unit && !typed)
        return false;
    size_t n = unit ? len - 1 : len;
    unit = unit ? unit : units + 3;
    if (!typed && (n < 1 || n > 3 || digits_at(s, n, 0, n) < 0))
        return false;
    if (!vivo_query_number(s, n, &v) || v < 0)
        return false;
    out->lo = out->hi = v * days[unit - units];
    if (canonical) {
        vivo_query_shortest(v, false, canonical);
        size_t end = strlen(canonical);
        canonical[end] = *unit;
        canonical[end + 1] = '\0';
    }
    return true;
}

/* Digits and the point; for DT also the zone's sign. */
static void spell(const char *s, size_t len, const struct vivo_query_span *span,
                  char *canonical)
{
    size_t n = 0;
    for (size_t i = 0; i < len && n + 1 < VIVO_QUERY_CANONICAL; i++) {
        bool zone = span->zoned && i + 5 == len;
        if ((s[i] >= '0' && s[i] <= '9') || s[i] == '.' || zone)
            canonical[n++] = s[i];
    }
    canonical[n] = '\0';
}

static bool scan(enum vivo_query_class cls, const char *s, size_t len,
                 struct vivo_query_span *out)
{
    int64_t lo;
    int64_t hi;
    if (cls == VIVO_CLASS_DATETIME)
        return scan_datetime(s, len, out);
    if (cls == VIVO_CLASS_DATE && scan_date(s, len, &lo, &hi)) {
        out->lo = (double)lo;
        out->hi = (double)hi;
        return true;
    }
    if (cls == VIVO_CLASS_TIME && scan_time(s, len, &lo, &hi)) {
        out->lo = (double)lo / 1e6;
        out->hi = (double)hi / 1e6;
        return true;
    }
    return false;
}

bool vivo_query_scalar(enum vivo_query_class cls, const char *s, size_t len, bool typed,
                       struct vivo_query_span *out,
                       char canonical[VIVO_QUERY_CANONICAL])
{
    memset(out, 0, sizeof *out);
    if (cls == VIVO_CLASS_AGE)
        return scan_age(s, len, typed, out, canonical);
    if (!scan(cls, s, len, out))
        return false;
    if (canonical)
        spell(s, len, out, canonical);
    return true;
}

/* ---- what values have in common
 * -------------------------------------------------------------- */

/* Exact, and much faster than in digits. */
static int put_bits(struct vivo_buf *out, double v)
{
    uint64_t bits;

    v += 0.0; /* there is one zero */
    memcpy(&bits, &v, sizeof bits);
    return vivo_buf_printf(out, "%016" PRIx64, bits);
}

int vivo_query_value_key(const char *vr, const char *s, size_t len,
                         struct vivo_buf *out)
{
    enum vivo_query_class cls = vivo_query_class_of(vr);
    struct vivo_query_span span;
    double v;
    int rc;

    if ((cls == VIVO_CLASS_NUMBER || cls == VIVO_CLASS_UNKNOWN) &&
        vivo_query_number(s, len, &v)) {
        rc = put_bits(out, v);
        return rc ? rc : 1;
    }
    if (vivo_query_scalar(cls, s, len, false, &span, NULL)) {
        rc = put_bits(out, span.lo - span.zone);
        rc = rc ? rc : put_bits(out, span.hi - span.zone);
        rc = rc || !span.zoned ? rc : vivo_buf_puts(out, "Z");
        return rc ? rc : 1;
    }
    rc = vivo_text_fold(s, len, out);
    return rc ? rc
              : cls == VIVO_CLASS_TEXT || cls == VIVO_CLASS_NAME ||
                    cls == VIVO_CLASS_UID || cls == VIVO_CLASS_UNKNOWN;
}
