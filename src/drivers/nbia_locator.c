/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/nbia_locator.c -- locators: what comes from an archive, or from a catalog
 * on disk, gets into a URL only through here. */
#include "nbia.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char hex_digits[] = "0123456789ABCDEF";

static bool is_plain(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           c == '_' || c == '-';
}

bool vivo_nbia_uid_ok(const char *uid)
{
    size_t n = strspn(uid, "0123456789.");
    return n > 0 && n <= VIVO_UID_MAX && uid[n] == '\0' && uid[0] != '.' &&
           uid[n - 1] != '.' && !strstr(uid, "..");
}

void vivo_nbia_encode(const char *text, char out[3 * NBIA_TEXT_MAX + 1])
{
    size_t n = 0;
    for (const char *p = text; *p && n + 3 <= 3 * (size_t)NBIA_TEXT_MAX; p++) {
        unsigned char c = (unsigned char)*p;
        if (is_plain(*p)) {
            out[n++] = *p;
            continue;
        }
        out[n++] = '%';
        out[n++] = hex_digits[c >> 4];
        out[n++] = hex_digits[c & 15];
    }
    out[n] = '\0';
}

/* Only what encode() writes: one text, one form. */
static bool decode(const char *s, size_t len, char out[NBIA_TEXT_MAX + 1])
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if (n == NBIA_TEXT_MAX)
            return false;
        if (is_plain(s[i])) {
            out[n++] = s[i];
            continue;
        }
        if (s[i] != '%' || len - i < 3 || !s[i + 1] || !s[i + 2])
            return false;
        const char *high = memchr(hex_digits, s[i + 1], 16);
        const char *low = memchr(hex_digits, s[i + 2], 16);
        if (!high || !low)
            return false;
        out[n] = (char)((high - hex_digits) << 4 | (low - hex_digits));
        if (!out[n] || is_plain(out[n]))
            return false;
        n++;
        i += 2;
    }
    out[n] = '\0';
    return true;
}

/* ---- reading ---------------------------------------------------------------- */

/* The part up to the next '/'; *s moves behind it, to NULL after the last one. */
static bool take_part(const char **s, const char **part, size_t *len)
{
    if (!*s)
        return false;
    *part = *s;
    *len = strcspn(*s, "/");
    *s = (*s)[*len] == '/' ? *s + *len + 1 : NULL;
    return true;
}

static bool take_text(const char **s, char out[NBIA_TEXT_MAX + 1])
{
    const char *part;
    size_t len;
    return take_part(s, &part, &len) && decode(part, len, out);
}

static bool take_uid(const char **s, bool empty_too, char out[VIVO_UID_MAX + 1])
{
    const char *part;
    size_t len;
    if (!take_part(s, &part, &len) || len > VIVO_UID_MAX)
        return false;
    memcpy(out, part, len);
    out[len] = '\0';
    return len == 0 ? empty_too : vivo_nbia_uid_ok(out);
}

static bool take_count(const char **s, uint64_t *out)
{
    const char *part;
    size_t len;
    if (!take_part(s, &part, &len) || len > 12 || strspn(part, "0123456789") < len)
        return false;
    *out = strtoull(part, NULL, 10); /* ends at the '/' */
    return true;
}

static bool take_stamp(const char **s, char out[NBIA_STAMP_MAX + 1])
{
    const char *part;
    size_t len;
    if (!take_part(s, &part, &len) || len > NBIA_STAMP_MAX ||
        strspn(part, "0123456789.") < len)
        return false;
    memcpy(out, part, len);
    out[len] = '\0';
    return true;
}

int vivo_nbia_place_read(const char *locator, enum vivo_level level,
                         struct nbia_place *out, struct vivo_err *err)
{
    const char *s = locator;
    *out = (struct nbia_place){0};
    bool ok = take_text(&s, out->collection) && out->collection[0];
    if (level >= VIVO_LEVEL_SERIES)
        ok = ok && take_text(&s, out->patient) && take_uid(&s, true, out->study) &&
             take_uid(&s, false, out->series);
    if (level == VIVO_LEVEL_SERIES)
        ok = ok && take_count(&s, &out->count) && take_stamp(&s, out->stamp);
    if (level == VIVO_LEVEL_INSTANCE)
        ok = ok && take_uid(&s, false, out->instance);
    if (!ok || s)
        return vivo_fail(err, ENOENT, "not a locator of an NBIA %s",
                         vivo_level_name(level));
    return 0;
}

/* ---- writing ---------------------------------------------------------------- */

void vivo_nbia_place_write(const struct nbia_place *p, enum vivo_level level,
                           char out[NBIA_LOCATOR_MAX])
{
    char collection[3 * NBIA_TEXT_MAX + 1];
    char patient[3 * NBIA_TEXT_MAX + 1];
    char count[24] = "";
    vivo_nbia_encode(p->collection, collection);
    vivo_nbia_encode(p->patient, patient);
    if (p->count)
        snprintf(count, sizeof count, "%" PRIu64, p->count);
    if (level == VIVO_LEVEL_COLLECTION)
        snprintf(out, NBIA_LOCATOR_MAX, "%s", collection);
    else if (level == VIVO_LEVEL_SERIES)
        snprintf(out, NBIA_LOCATOR_MAX, "%s/%s/%s/%s/%s/%s", collection, patient,
                 p->study, p->series, count, p->stamp);
    else
        snprintf(out, NBIA_LOCATOR_MAX, "%s/%s/%s/%s/%s", collection, patient, p->study,
                 p->series, p->instance);
}
