/* SPDX-License-Identifier: Apache-2.0 */
/* src/model/name.c -- the names of directories and files (DESIGN A1).
 *
 * A name is a pure function of attributes as shown, so that it is the same on
 * every machine and for ever. Changing anything here breaks paths that people
 * have written into their scripts. */
#include "vivofs/hash.h"
#include "vivofs/model.h"
#include "vivofs/text.h"

#include "name.h"
#include "span.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define U_LEN 6    /* characters of <u> */
#define U12_LEN 12 /* of an instance without a number */
#define DUPLICATE_LEN 4
#define NO_DATE 946684800 /* 2000-01-01T00:00:00Z */
#define SAFE_MAX (8u << 10)

/* Names with a meaning of their own somewhere in the tree. */
bool vivo_name_reserved(const char *name)
{
    static const char *const names[] = {
        "q",         "by",         "all",     "unknown",     "no-study",
        "no-series", "README.txt", ".vivofs", "LICENSE.txt", "CITATION.txt",
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(names); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

/* The text in safe letters, cut at max bytes. Returns whether it changed; out is
 * empty when nothing was left of it. */
static bool make_safe(const char *s, size_t len, size_t max,
                      char out[VIVO_NAME_MAX + 1])
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf b = {0};
    vivo_buf_init(&b, SAFE_MAX);
    bool changed = false;
    bool cut = len > SAFE_MAX / 4; /* one byte becomes at most a few letters */
    out[0] = '\0';
    if (vivo_text_safe(s, cut ? SAFE_MAX / 4 : len, &b, &changed) < 0 || b.len == 0)
        return true;
    size_t n = VIVO_MIN(b.len, VIVO_MIN(max, (size_t)VIVO_NAME_MAX));
    memcpy(out, b.data, n);
    out[n] = '\0';
    return changed || cut || n < b.len;
}

/* A name as given, kept when it is safe and free, else marked with <u> of
 * `identity`, which tells it from everything that would look the same. */
static void name_or_marked(struct vivo_attr_span given, const char *identity,
                           size_t identity_len, bool mark, char out[VIVO_NAME_MAX + 1])
{
    char safe[VIVO_NAME_MAX + 1];
    bool changed = make_safe(given.s, given.len, VIVO_NAME_MAX, safe);
    if (!mark && !changed && !vivo_name_reserved(safe)) {
        memcpy(out, safe, sizeof safe);
        return;
    }
    char u[U_LEN + 1];
    vivo_short_name(identity, identity_len, u, U_LEN);
    size_t n = strnlen(safe, VIVO_NAME_MAX - 1 - U_LEN);
    if (n == 0)
        safe[n++] = 'x';
    memcpy(out, safe, n);
    out[n] = '_';
    memcpy(out + n + 1, u, sizeof u);
}

void vivo_name_text(const char *given, char out[VIVO_NAME_MAX + 1])
{
    struct vivo_attr_span s = {given, strlen(given)};
    name_or_marked(s, given, s.len, false, out);
}

void vivo_name_archive(const char *given, char out[VIVO_NAME_MAX + 1])
{
    vivo_name_text(given, out);
}

void vivo_name_collection(const char *name, char out[VIVO_NAME_MAX + 1])
{
    if (!name || !name[0]) { /* sources without collections show one */
        memcpy(out, "all", sizeof "all");
        return;
    }
    vivo_name_archive(name, out);
}

void vivo_name_patient(struct vivo_attrs a, char out[VIVO_NAME_MAX + 1])
{
    struct vivo_attr_span id;
    struct vivo_attr_span issuer;
    if (!vivo_attrs_span(a, VIVO_TAG_PatientID, &id)) {
        memcpy(out, "unknown", sizeof "unknown");
        return;
    }
    bool issued = vivo_attrs_span(a, VIVO_TAG_IssuerOfPatientID, &issuer);
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf key = {0};
    vivo_buf_init(&key, 2 * VIVO_ATTRS_MAX);
    if (vivo_buf_add(&key, issuer.s, issuer.len) < 0 || vivo_buf_puts(&key, "\n") < 0 ||
        vivo_buf_add(&key, id.s, id.len) < 0) {
        /* Out of memory; a name that still tells patients apart. */
        name_or_marked(id, id.s, id.len, issued, out);
        return;
    }
    name_or_marked(id, (const char *)key.data, key.len, issued, out);
}

/* ---- parts ------------------------------------------------------------------ */

/* A UID's short name; false when there is no UID. */
static bool short_uid(struct vivo_attrs a, uint32_t tag, size_t n, char *out)
{
    struct vivo_attr_span uid;
    if (!vivo_attrs_span(a, tag, &uid))
        return false;
    vivo_short_name(uid.s, uid.len, out, n);
    return true;
}

/* IS as PS3.5 section 6.2 has it, not negative (a name never starts with '-') and
 * within 32 bits. */
bool vivo_name_number(struct vivo_attrs a, uint32_t tag, unsigned long *out)
{
    char text[32];
    if (!vivo_attrs_text(a, tag, text, sizeof text))
        return false;
    const char *p = text + (text[0] == '+');
    unsigned long v = 0;
    if (!*p)
        return false;
    for (; *p; p++) {
        if (*p < '0' || *p > '9' || v > 214748364)
            return false;
        v = v * 10 + (unsigned long)(*p - '0');
    }
    *out = v;
    return v <= 2147483647;
}

/* Writes "part_" for a part that is there. */
static size_t put_part(char *out, size_t at, const char *part)
{
    if (!part[0])
        return at;
    size_t n = strlen(part);
    memcpy(out + at, part, n);
    out[at + n] = '_';
    return at + n + 1;
}

static size_t put_text(char *out, size_t at, struct vivo_attrs a, uint32_t tag,
                       size_t max)
{
    char text[512];
    char safe[VIVO_NAME_MAX + 1];
    if (!vivo_attrs_text(a, tag, text, sizeof text))
        return at;
    make_safe(text, strlen(text), max, safe);
    return put_part(out, at, safe);
}

/* ---- dates ------------------------------------------------------------------ */

static unsigned two(const char *p)
{
    return (unsigned)(p[0] - '0') * 10 + (unsigned)(p[1] - '0');
}

/* StudyDate as 8 digits; ACR-NEMA's YYYY.MM.DD counts (PS3.5 section 6.2, note to
 * DA). False without a valid date of the calendar. */
bool vivo_name_date(struct vivo_attrs a, char out[9])
{
    static const uint8_t days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    char text[16];
    out[0] = '\0';
    if (!vivo_attrs_text(a, VIVO_TAG_StudyDate, text, sizeof text))
        return false;
    if (strlen(text) == 10 && text[4] == '.' && text[7] == '.') {
        memmove(text + 4, text + 5, 2);
        memmove(text + 6, text + 8, 3);
    }
    if (strlen(text) != 8 || strspn(text, "0123456789") != 8)
        return false;
    unsigned year = two(text) * 100 + two(text + 2);
    unsigned month = two(text + 4);
    unsigned day = two(text + 6);
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (month < 1 || month > 12 || day < 1 || day > days[month - 1])
        return false;
    if (month == 2 && day == 29 && !leap)
        return false;
    memcpy(out, text, 9);
    return true;
}

int64_t vivo_name_mtime(struct vivo_attrs a)
{
    char date[9];
    if (!vivo_name_date(a, date))
        return NO_DATE;
    /* Days from civil: years begin in March, so that leap days come last. */
    int64_t year = (int64_t)two(date) * 100 + two(date + 2);
    int64_t month = two(date + 4);
    int64_t day = two(date + 6);
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t yoe = year - era * 400;
    int64_t doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return (era * 146097 + doe - 719468) * 86400;
}

/* ---- study, series, instance -------------------------------------------------- */

static void name_study(struct vivo_attrs a, bool plain, char out[VIVO_NAME_MAX + 1])
{
    char u[U_LEN + 1];
    char date[9];
    if (!short_uid(a, VIVO_TAG_StudyInstanceUID, U_LEN, u)) {
        memcpy(out, "no-study", sizeof "no-study");
        return;
    }
    vivo_name_date(a, date);
    size_t at = put_part(out, 0, date);
    if (!plain)
        at = put_text(out, at, a, VIVO_TAG_StudyDescription,
                      VIVO_NAME_MAX - at - 1 - U_LEN);
    memcpy(out + at, u, sizeof u);
}

static void name_series(struct vivo_attrs a, bool plain, char out[VIVO_NAME_MAX + 1])
{
    char u[U_LEN + 1];
    char number[24] = "";
    unsigned long n;
    if (!short_uid(a, VIVO_TAG_SeriesInstanceUID, U_LEN, u)) {
        memcpy(out, "no-series", sizeof "no-series");
        return;
    }
    if (vivo_name_number(a, VIVO_TAG_SeriesNumber, &n))
        snprintf(number, sizeof number, "%04lu", n);
    size_t at = put_part(out, 0, number);
    at = put_text(out, at, a, VIVO_TAG_Modality, 16); /* CS: PS3.5 section 6.2 */
    if (!plain)
        at = put_text(out, at, a, VIVO_TAG_SeriesDescription,
                      VIVO_NAME_MAX - at - 1 - U_LEN);
    memcpy(out + at, u, sizeof u);
}

void vivo_name_study(struct vivo_attrs a, char out[VIVO_NAME_MAX + 1])
{
    name_study(a, false, out);
}

void vivo_name_series(struct vivo_attrs a, char out[VIVO_NAME_MAX + 1])
{
    name_series(a, false, out);
}

void vivo_name_study_plain(struct vivo_attrs a, char out[VIVO_NAME_MAX + 1])
{
    name_study(a, true, out);
}

void vivo_name_series_plain(struct vivo_attrs a, char out[VIVO_NAME_MAX + 1])
{
    name_series(a, true, out);
}

void vivo_name_instance(struct vivo_attrs a, const char *uid, const char *duplicate,
                        char out[VIVO_NAME_MAX + 1])
{
    char u[U12_LEN + 1];
    char more[DUPLICATE_LEN + 2] = "";
    unsigned long n;
    bool numbered = vivo_name_number(a, VIVO_TAG_InstanceNumber, &n);
    size_t u_len = numbered ? U_LEN : U12_LEN;
    if (!short_uid(a, VIVO_TAG_SOPInstanceUID, u_len, u))
        vivo_short_name(uid ? uid : "", uid ? strlen(uid) : 0, u, u_len);
    if (duplicate) {
        more[0] = '+';
        vivo_short_name(duplicate, strlen(duplicate), more + 1, DUPLICATE_LEN);
    }
    if (numbered)
        snprintf(out, VIVO_NAME_MAX + 1, "%05lu_%s%s.dcm", n, u, more);
    else
        snprintf(out, VIVO_NAME_MAX + 1, "%s%s.dcm", u, more);
}

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* ---- what is no object ------------------------------------------------------------
 */

#define EXTENSION_MAX 12 /* bytes, with the dot */

/* Where the extension begins in the first n bytes of a name; n = it has none. */
static size_t extension_at(const char *name, size_t n)
{
    size_t at = n;
    while (at > 0 && n - at < EXTENSION_MAX && is_alnum(name[at - 1]))
        at--;
    return at > 1 && at < n && name[at - 1] == '.' ? at - 1 : n;
}

/* ".gz" says little without what stands before it. What is called ".dcm" and is none
 * loses it: by that extension objects are found. */
static size_t whole_extension_at(const char *name)
{
    static const char *const packed[] = {".gz", ".bz2", ".xz", ".zst", ".Z"};
    size_t n = strlen(name);
    size_t at = extension_at(name, n);
    if (strcasecmp(name + at, ".dcm") == 0)
        return n;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(packed); i++)
        if (at < n && strcmp(name + at, packed[i]) == 0)
            return extension_at(name, at);
    return at;
}

void vivo_name_extra(const char *name, const char *identity, bool folder, bool mark,
                     char out[VIVO_NAME_MAX + 1])
{
    bool changed = make_safe(name, strlen(name), VIVO_NAME_MAX, out);
    size_t len = strlen(name);
    bool dcm = !folder && len > 4 && strcasecmp(name + len - 4, ".dcm") == 0;
    if (!mark && !changed && !dcm && !vivo_name_reserved(out))
        return;
    size_t stem = folder ? len : whole_extension_at(name);
    const char *extension = name + stem;
    size_t room = VIVO_NAME_MAX - 1 - U_LEN - strlen(extension);
    char safe[VIVO_NAME_MAX + 1];
    char u[U_LEN + 1];
    make_safe(name, stem, room, safe);
    vivo_short_name(identity, strlen(identity), u, U_LEN);
    snprintf(out, VIVO_NAME_MAX + 1, "%.*s_%s%s", (int)room, safe[0] ? safe : "x", u,
             extension);
}

/* ---- old paths ----------------------------------------------------------------- */

/* What identifies in a name: from behind the last '_' (or all of it) to the end;
 * NULL when that is no <u>. Duplicates' marks and ".dcm" belong to it. */
static const char *tail_of(const char *name)
{
    const char *tail = strrchr(name, '_');
    tail = tail ? tail + 1 : name;
    size_t n = strspn(tail, "abcdefghijklmnopqrstuvwxyz234567");
    if (n != U_LEN && n != U12_LEN)
        return NULL;
    const char *end = tail + n;
    if (*end == '+')
        end += 1 + strspn(end + 1, "abcdefghijklmnopqrstuvwxyz234567");
    return *end == '\0' || strcmp(end, ".dcm") == 0 ? tail : NULL;
}

static bool part_ok(const char *part, enum vivo_level level)
{
    char made[VIVO_NAME_MAX + 1];
    size_t len = strlen(part);

    if (strcmp(part, level == VIVO_LEVEL_STUDY    ? "no-study"
                     : level == VIVO_LEVEL_SERIES ? "no-series"
                                                  : "") == 0)
        return true;
    vivo_name_text(part, made);
    return strcmp(part, made) == 0 &&
           (level != VIVO_LEVEL_INSTANCE ||
            (len > 4 && strcmp(part + len - 4, ".dcm") == 0));
}

bool vivo_name_path_ok(const char *path)
{
    char part[VIVO_NAME_MAX + 1];

    for (int level = VIVO_LEVEL_STUDY; level <= VIVO_LEVEL_INSTANCE; level++) {
        size_t n = strcspn(path, "/");
        if (n == 0 || n > VIVO_NAME_MAX)
            return false;
        memcpy(part, path, n);
        part[n] = '\0';
        if (!part_ok(part, (enum vivo_level)level) ||
            (path[n] == '/') == (level == VIVO_LEVEL_INSTANCE))
            return false;
        path += n + 1;
    }
    return true;
}

bool vivo_name_same_u(const char *name, const char *current)
{
    const char *a = tail_of(name);
    const char *b = tail_of(current);
    return a && b && strcmp(a, b) == 0;
}
