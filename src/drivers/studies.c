/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/studies.c -- all studies of a server that cuts its answers.
 *
 * Servers stop at a number of their own, some with a status that says so and many
 * without a word. An answer that is long enough to be a cut one is therefore asked for
 * again in two parts, by StudyDate, then by StudyTime: if the parts bring nothing new,
 * it was whole; if they do, its length is the server's limit, and parts as long as that
 * are parted again. What cannot be parted any further fails. */
#include "studies.h"

#include "vivofs/hash.h"
#include "vivofs/log.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define SUSPICIOUS 50          /* no server has a lower limit, it is hoped */
#define STUDIES_MAX (4u << 20) /* in all */
#define DEPTH_MAX 64
#define OPEN_FROM INT32_MIN
#define OPEN_TO INT32_MAX
#define LAST_MINUTE 1439

/* Days since 1970 and minutes of a day, both ends included. */
struct span {
    int32_t from, to;
    int first, last; /* minutes; of a single day */
};

struct seen { /* 64 bits of the digest of each UID; open addressing */
    uint64_t *slots;
    size_t n, cap;
};

struct answer {
    struct span span;
    size_t rows, undated;
    size_t astray; /* rows of another day than was asked for */
    bool refused;
    unsigned status;
    int32_t *days; /* of rows that have a date; owned */
    size_t n_days, cap_days;
};

struct run {
    const struct vivo_studies *s;
    struct vivo_op *op;
    struct seen seen;
    struct answer *now; /* being filled */
};

/* ---- the calendar ----------------------------------------------------------- */

/* H. Hinnant's days_from_civil and its inverse, for years after 0. */
static int32_t day_of(int32_t y, int32_t m, int32_t d)
{
    y -= m <= 2;
    int32_t era = y / 400;
    int32_t yoe = y - era * 400;
    int32_t doy = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static int32_t date_of(int32_t day)
{
    int32_t z = day + 719468;
    int32_t era = z / 146097;
    int32_t doe = z - era * 146097;
    int32_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int32_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int32_t mp = (5 * doy + 2) / 153;
    int32_t m = mp < 10 ? mp + 3 : mp - 9;
    int32_t y = yoe + era * 400 + (m <= 2);
    return y * 10000 + m * 100 + doy - (153 * mp + 2) / 5 + 1;
}

/* YYYYMMDD; a day that no month has counts into the next one. */
static int32_t read_date(const char *text)
{
    int32_t n = (int32_t)strtoll(text, NULL, 10);
    int32_t m = n / 100 % 100;
    return day_of(n / 10000, m < 1 ? 1 : VIVO_MIN(m, 12), n % 100);
}

static bool read_day(struct vivo_attrs row, int32_t *out)
{
    char text[16];
    if (!vivo_attrs_text(row, VIVO_TAG_StudyDate, text, sizeof text) ||
        strspn(text, "0123456789") != 8 || text[8] || strncmp(text, "1000", 4) < 0)
        return false;
    *out = read_date(text);
    return true;
}

/* ---- what was seen ------------------------------------------------------------ */

static int grow(struct seen *s)
{
    size_t cap = s->cap ? 2 * s->cap : 1024;
    uint64_t *slots = calloc(cap, sizeof *slots);
    if (!slots)
        return -1;
    for (size_t i = 0; i < s->cap; i++) {
        if (!s->slots[i])
            continue;
        size_t at = s->slots[i] & (cap - 1);
        while (slots[at])
            at = (at + 1) & (cap - 1);
        slots[at] = s->slots[i];
    }
    free(s->slots);
    s->slots = slots;
    s->cap = cap;
    return 0;
}

/* 1 = new, 0 = seen before, -1 = no memory. */
static int see(struct seen *s, const char *text)
{
    uint8_t digest[VIVO_DIGEST_LEN];
    uint64_t key;
    if (2 * (s->n + 1) > s->cap && grow(s))
        return -1;
    vivo_sha256(text, strlen(text), digest);
    memcpy(&key, digest, sizeof key);
    key += key == 0;
    size_t at = key & (s->cap - 1);
    for (; s->slots[at]; at = (at + 1) & (s->cap - 1))
        if (s->slots[at] == key)
            return 0;
    s->slots[at] = key;
    s->n++;
    return 1;
}

/* ---- one question --------------------------------------------------------------- */

static int note_day(struct answer *a, int32_t day)
{
    if (a->n_days == a->cap_days) {
        size_t cap = a->cap_days ? 2 * a->cap_days : 256;
        int32_t *days = reallocarray(a->days, cap, sizeof *days);
        if (!days)
            return -1;
        a->days = days;
        a->cap_days = cap;
    }
    a->days[a->n_days++] = day;
    return 0;
}

/* Some days are of no month (31 February), and servers order them by their digits. */
static bool is_astray(const struct span *s, int32_t day)
{
    return day < (int64_t)s->from - 31 || day > (int64_t)s->to + 31;
}

static int take_study(void *ctx, struct vivo_attrs row, struct vivo_err *err)
{
    struct run *r = ctx;
    char who[VIVO_UID_MAX + 2 + 130] = "";
    char patient[130];
    int32_t day;
    bool single = r->now->span.from == r->now->span.to;
    char time[20];
    if (!vivo_attrs_text(row, VIVO_TAG_StudyInstanceUID, who, VIVO_UID_MAX + 2))
        return vivo_fail(err, EBADMSG, "a study without a Study Instance UID");
    if (!read_day(row, &day) ||
        (single && !vivo_attrs_text(row, VIVO_TAG_StudyTime, time, sizeof time)))
        r->now->undated++;
    else if (is_astray(&r->now->span, day))
        r->now->astray++;
    else if (note_day(r->now, day))
        return vivo_fail(err, ENOMEM, "no memory for dates of studies");
    /* Two patients may have one Study Instance UID between them. */
    if (vivo_attrs_text(row, VIVO_TAG_PatientID, patient, sizeof patient))
        snprintf(who + strlen(who), sizeof who - strlen(who), "\n%s", patient);
    int fresh = see(&r->seen, who);
    if (fresh < 0)
        return vivo_fail(err, ENOMEM, "no memory for studies");
    if (r->seen.n > STUDIES_MAX)
        return vivo_fail(err, EIO, "more than %u studies", STUDIES_MAX);
    return fresh ? r->s->fn(r->s->ctx, row, err) : 0;
}

static void write_date(const struct span *s, char out[24])
{
    char from[12] = "";
    char to[12] = "";
    out[0] = '\0';
    if (s->from == OPEN_FROM && s->to == OPEN_TO)
        return;
    if (s->from != OPEN_FROM)
        snprintf(from, sizeof from, "%08" PRId32, date_of(s->from));
    if (s->to != OPEN_TO)
        snprintf(to, sizeof to, "%08" PRId32, date_of(s->to));
    if (s->from == s->to)
        snprintf(out, 24, "%s", from);
    else
        snprintf(out, 24, "%s-%s", from, to);
}

static int ask_span(struct run *r, const struct span *span, struct answer *out)
{
    struct vivo_studies_answer got = {0};
    char date[24];
    char time[40] = "";
    *out = (struct answer){.span = *span};
    write_date(span, date);
    if (span->first > 0 || span->last < LAST_MINUTE)
        snprintf(time, sizeof time, "%02d%02d00-%02d%02d59.999999", span->first / 60,
                 span->first % 60, span->last / 60, span->last % 60);
    r->now = out;
    int rc = r->s->ask(r->s->asker, date, time, take_study, r, &got, r->op);
    out->rows = got.rows;
    out->status = got.status;
    out->refused = got.status != 0;
    return rc;
}

/* ---- parts ------------------------------------------------------------------------
 */

static int by_day(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a;
    int32_t y = *(const int32_t *)b;
    return x < y ? -1 : x > y;
}

/* The last day of the first half; the days of the answer say where the middle is. */
static int32_t middle(struct answer *a)
{
    const struct span *s = &a->span;
    int32_t last = s->to == OPEN_TO ? OPEN_TO : s->to - 1;
    if (a->n_days > 0) {
        qsort(a->days, a->n_days, sizeof *a->days, by_day);
        int32_t m = a->days[a->n_days / 2];
        /* All on one day: that day's end, then its beginning. */
        if (m > last)
            m = last;
        else if (m == a->days[a->n_days - 1] && m > a->days[0])
            m--;
        else if (m == a->days[0] && m == a->days[a->n_days - 1] && m > s->from &&
                 s->to != OPEN_TO && m >= s->to)
            m--;
        return VIVO_MIN(m, last);
    }
    if (s->from == OPEN_FROM && s->to == OPEN_TO)
        return day_of(2010, 1, 1);
    if (s->from == OPEN_FROM)
        return s->to - 3653;
    if (s->to == OPEN_TO)
        return s->from + 3653;
    return s->from + (s->to - s->from) / 2;
}

/* False: it cannot be parted any more. */
static bool part(struct answer *a, struct span out[2])
{
    const struct span *s = &a->span;
    out[0] = out[1] = *s;
    if (s->from == s->to) {
        if (s->first == s->last)
            return false;
        out[0].last = (s->first + s->last) / 2;
        out[1].first = out[0].last + 1;
        return true;
    }
    int32_t m = middle(a);
    if (m < day_of(1000, 1, 1) || m > day_of(9999, 1, 1))
        return false; /* years that nobody has */
    out[0].to = m;
    out[1].from = m + 1;
    return true;
}

static unsigned cap_of(const struct run *r)
{
    return r->s->cap ? __atomic_load_n(r->s->cap, __ATOMIC_RELAXED) : UINT_MAX;
}

static bool may_be_cut(const struct run *r, const struct answer *a)
{
    unsigned cap = cap_of(r);
    return a->refused || a->rows >= (cap ? cap : SUSPICIOUS);
}

static int cannot_part(const struct run *r, const struct answer *a)
{
    struct vivo_err *err = &r->op->err;
    if (a->refused)
        return r->s->fail(r->s->asker, a->status, err);
    return vivo_fail(err, EIO,
                     "the server cuts its answers at %zu studies, and these cannot be "
                     "asked for in smaller parts",
                     a->rows);
}

/* Limits are round numbers: 100, 500, 1024. Of an answer that cannot be tried in parts
 * that is all there is to judge by. */
static bool is_round(const struct run *r, size_t n)
{
    unsigned cap = cap_of(r);
    return cap ? n >= cap : n % 10 == 0 || (n & (n - 1)) == 0;
}

/* All there is of it: is it likely to be whole? */
static int no_parts(const struct run *r, const struct answer *a)
{
    return a->refused || is_round(r, a->rows) ? cannot_part(r, a) : 0;
}

static int settle(struct run *r, struct answer *a, unsigned depth);

/* Both parts, then what is still too long of them. */
static int settle_parts(struct run *r, struct answer *a, const struct span spans[2],
                        unsigned depth)
{
    struct answer parts[2] = {{.rows = 0}, {.rows = 0}};
    size_t before = r->seen.n;
    int rc = 0;
    for (int i = 0; rc == 0 && i < 2; i++)
        rc = ask_span(r, &spans[i], &parts[i]);
    bool astray = parts[0].astray + parts[1].astray > 0; /* it ignores the date */
    if (rc == 0 && astray)
        rc = no_parts(r, a);
    bool more = r->seen.n > before;
    bool cut = a->refused || parts[0].refused || parts[1].refused || more;
    /* A part as long as the whole proves nothing. */
    bool proof = parts[0].rows < a->rows && parts[1].rows < a->rows;
    if (rc == 0 && more && !a->refused && (cap_of(r) == 0 || a->rows < cap_of(r)))
        __atomic_store_n(r->s->cap, (unsigned)a->rows, __ATOMIC_RELAXED);
    if (rc == 0 && a->undated > 0 && (cut || is_round(r, a->rows)))
        rc = vivo_fail(&r->op->err, EIO,
                       "the server cuts its answers at %zu studies, and there are some "
                       "without a date or time, which cannot be asked for apart",
                       a->rows);
    for (int i = 0; rc == 0 && !astray && (cut || !proof) && i < 2; i++)
        if (may_be_cut(r, &parts[i]))
            rc = settle(r, &parts[i], depth + 1);
    free(parts[0].days);
    free(parts[1].days);
    return rc;
}

/* Makes sure that all studies of the span were seen. */
static int settle(struct run *r, struct answer *a, unsigned depth)
{
    struct span spans[2];
    int rc = vivo_op_check(r->op);
    if (rc)
        return rc;
    if (depth > DEPTH_MAX || !part(a, spans))
        return no_parts(r, a);
    return settle_parts(r, a, spans, depth);
}

int vivo_studies_all(const struct vivo_studies *s, struct vivo_op *op)
{
    struct span all = {OPEN_FROM, OPEN_TO, 0, LAST_MINUTE};
    struct run r = {.s = s, .op = op};
    struct answer a;
    if (s->from)
        all.from = read_date(s->from);
    if (s->to)
        all.to = read_date(s->to);
    if (all.from > all.to)
        return 0;
    int rc = ask_span(&r, &all, &a);
    if (rc == 0 && may_be_cut(&r, &a)) {
        if (a.refused && !s->from && !s->to)
            vivo_log(VIVO_LOG_WARN, s->module,
                     "the server does not list all studies at once: asking by date, "
                     "studies without a date are not found");
        rc = settle(&r, &a, 0);
    }
    free(a.days);
    free(r.seen.slots);
    return rc;
}
