/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/xnat_locator.c -- locators and addresses: what comes from an archive, or
 * from a catalog on disk, gets into a URL only through here. */
#include "xnat.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char hex_digits[] = "0123456789ABCDEF";

static bool is_plain(unsigned char c)
{
    return isascii(c) && (isalnum(c) || c == '_' || c == '-');
}

/* Also unreserved by RFC 3986 section 2.3; XNAT decodes names only when it finds a
 * space or plus in them, so what need not be encoded is not. */
static bool is_open(unsigned char c)
{
    return is_plain(c) || (c && strchr(".~!$&'()*,;=:@", c));
}

static size_t add_hex(unsigned char c, char *out, size_t at)
{
    out[at++] = '%';
    out[at++] = hex_digits[c >> 4];
    out[at++] = hex_digits[c & 15];
    return at;
}

void vivo_xnat_encode(const char *text, bool slashes, char *out, size_t cap)
{
    size_t n = 0;
    for (const char *p = text; *p && n + 4 <= cap; p++) {
        if (is_open((unsigned char)*p) || (slashes && *p == '/'))
            out[n++] = *p;
        else
            n = add_hex((unsigned char)*p, out, n);
    }
    out[n] = '\0';
}

void vivo_xnat_encode_scan(const char *id, char *out, size_t cap)
{
    size_t n = 0;
    for (const char *p = id; *p && n + 16 <= cap; p++) {
        const char *word = *p == '/' ? "%5BSLASH%5D" : *p == ',' ? "%5BCOMMA%5D" : NULL;
        if (word) {
            memcpy(out + n, word, strlen(word));
            n += strlen(word);
        } else if (is_plain((unsigned char)*p) || *p == '.') {
            out[n++] = *p;
        } else {
            n = add_hex((unsigned char)*p, out, n);
        }
    }
    out[n] = '\0';
}

static bool is_dots(const char *id)
{
    return strcmp(id, ".") == 0 || strcmp(id, "..") == 0;
}

/* ---- locators ----------------------------------------------------------------- */

static size_t write_part(const char *text, char *out, size_t at)
{
    bool dash = strcmp(text, "-") == 0; /* which stands for no resource */
    if (!text[0])
        out[at++] = '-';
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (is_plain(*p) && !dash)
            out[at++] = (char)*p;
        else if (*p == '/')
            out[at++] = '/';
        else
            at = add_hex(*p, out, at);
    }
    out[at] = '\0';
    return at;
}

/* A slash in an id is no separator. */
static size_t write_id(const char *id, char *out, size_t at)
{
    for (const unsigned char *p = (const unsigned char *)id; *p; p++) {
        if (is_plain(*p))
            out[at++] = (char)*p;
        else
            at = add_hex(*p, out, at);
    }
    out[at] = '\0';
    return at;
}

void vivo_xnat_place_write(const struct xnat_place *p, enum vivo_level level,
                           char out[XNAT_LOCATOR_MAX])
{
    bool other = level == VIVO_LEVEL_INSTANCE && p->owner != XNAT_SCAN;
    size_t at = write_id(p->project, out, 0);
    if (level == VIVO_LEVEL_COLLECTION)
        return;
    if (at)
        out[at++] = ':';
    if (other && (p->owner == XNAT_PROJECT || p->owner == XNAT_SUBJECT))
        out[at++] = '=';
    at = write_id(p->session, out, at);
    if (level == VIVO_LEVEL_STUDY && p->has)
        snprintf(out + at, XNAT_LOCATOR_MAX - at, ";%s%s",
                 p->has & XNAT_HAS_RESOURCES ? "r" : "",
                 p->has & XNAT_HAS_ASSESSORS ? "a" : "");
    if (level < VIVO_LEVEL_SERIES)
        return;
    out[at++] = '/';
    if (other)
        out[at++] = '=';
    at = write_id(p->scan, out, at);
    if (level < VIVO_LEVEL_INSTANCE)
        return;
    out[at++] = '/';
    if (strcmp(p->resource, "-") == 0 || !p->resource[0])
        at = write_part(p->resource, out, at);
    else
        at = write_id(p->resource, out, at);
    out[at++] = '/';
    write_part(p->file, out, at);
}

static int hex_value(char c)
{
    const char *at = c ? strchr(hex_digits, c) : NULL;
    return at ? (int)(at - hex_digits) : -1;
}

/* Percent-decoding of one part, up to a '/' or this other one, or, with `all`, to the
 * end. NUL is refused. */
static bool read_until(const char **s, char end, bool all, char *out, size_t cap)
{
    size_t n = 0;
    const char *p = *s;
    for (; *p && (all || (*p != '/' && *p != end)); p++) {
        if (n + 1 >= cap)
            return false;
        if (*p != '%') {
            if (!is_plain((unsigned char)*p) && *p != '/')
                return false;
            out[n++] = *p;
            continue;
        }
        int high = hex_value(p[1]);
        int low = high < 0 ? -1 : hex_value(p[2]);
        if (low < 0 || (high | low) == 0)
            return false;
        out[n++] = (char)(high << 4 | low);
        p += 2;
    }
    out[n] = '\0';
    *s = *p ? p + 1 : p;
    return n > 0;
}

static bool read_part(const char **s, bool all, char *out, size_t cap)
{
    return read_until(s, '/', all, out, cap);
}

/* One place, one form: what is written back must be what was read. */
static bool is_canonical(const struct xnat_place *p, enum vivo_level level,
                         const char *locator)
{
    char again[XNAT_LOCATOR_MAX];
    vivo_xnat_place_write(p, level, again);
    return strcmp(again, locator) == 0;
}

/* A part that '=' may stand before: then it is a place that is no scan's, and may be
 * empty. */
static bool read_marked(const char **s, bool *mark, char *out, size_t cap)
{
    *mark = **s == '=';
    *s += *mark;
    if (!*mark || **s != '/')
        return read_part(s, false, out, cap);
    ++*s;
    return true;
}

static bool read_scan(const char **s, enum vivo_level level, struct xnat_place *out)
{
    bool mark = false, above = false;
    if (level != VIVO_LEVEL_INSTANCE)
        return read_part(s, false, out->session, sizeof out->session) &&
               read_part(s, false, out->scan, sizeof out->scan) &&
               vivo_xnat_scan_ok(out->scan);
    if (!read_marked(s, &above, out->session, sizeof out->session) ||
        !read_marked(s, &mark, out->scan, sizeof out->scan))
        return false;
    if (above)
        out->owner = out->session[0] ? XNAT_SUBJECT : XNAT_PROJECT;
    else if (mark)
        out->owner = out->scan[0] ? XNAT_ASSESSOR : XNAT_SESSION;
    if (above)
        return mark && !out->scan[0] && out->project[0];
    return mark || vivo_xnat_scan_ok(out->scan);
}

static bool read_session(const char **s, struct xnat_place *out)
{
    if (!read_until(s, ';', false, out->session, sizeof out->session))
        return false;
    if (**s == 'r')
        out->has |= XNAT_HAS_RESOURCES, ++*s;
    if (**s == 'a')
        out->has |= XNAT_HAS_ASSESSORS, ++*s;
    return true;
}

int vivo_xnat_place_read(const char *locator, enum vivo_level level,
                         struct xnat_place *out, struct vivo_err *err)
{
    const char *s = locator;
    *out = (struct xnat_place){0};
    bool ok = true;
    if (level == VIVO_LEVEL_COLLECTION || s[strcspn(s, ":/")] == ':')
        ok = read_until(&s, ':', false, out->project, sizeof out->project);
    if (level == VIVO_LEVEL_STUDY)
        ok = ok && read_session(&s, out);
    if (level >= VIVO_LEVEL_SERIES)
        ok = ok && read_scan(&s, level, out);
    if (level == VIVO_LEVEL_INSTANCE) {
        bool none = ok && strncmp(s, "-/", 2) == 0;
        ok = ok && read_part(&s, false, out->resource, sizeof out->resource);
        if (none)
            out->resource[0] = '\0';
        ok = ok && read_part(&s, true, out->file, sizeof out->file) &&
             vivo_xnat_file_ok(out->file);
    }
    const char *ids[] = {out->project, out->session, out->scan, out->resource};
    for (size_t i = 0; i < VIVO_ARRAY_LEN(ids); i++)
        ok = ok && !is_dots(ids[i]);
    if (!ok || !is_canonical(out, level, locator))
        return vivo_fail(err, ENOENT, "not a locator of an XNAT %s",
                         vivo_level_name(level));
    return 0;
}

/* ---- addresses ------------------------------------------------------------------- */

void vivo_xnat_home(const struct xnat_place *p, char out[XNAT_URL_MAX])
{
    char project[3 * XNAT_ID_MAX + 1], session[3 * XNAT_ID_MAX + 1];
    char scan[12 * XNAT_ID_MAX + 1];
    bool above = p->owner == XNAT_PROJECT || p->owner == XNAT_SUBJECT;
    vivo_xnat_encode(p->project, false, project, sizeof project);
    vivo_xnat_encode(p->session, false, session, sizeof session);
    if (p->owner == XNAT_SCAN)
        vivo_xnat_encode_scan(p->scan, scan, sizeof scan);
    else
        vivo_xnat_encode(p->scan, false, scan, sizeof scan);
    int n = above ? snprintf(out, XNAT_URL_MAX, "/data/projects/%s%s%s", project,
                             p->owner == XNAT_SUBJECT ? "/subjects/" : "", session)
                  : snprintf(out, XNAT_URL_MAX, "/data/experiments/%s", session);
    if (p->scan[0])
        snprintf(out + n, XNAT_URL_MAX - (size_t)n, "/%s/%s",
                 p->owner == XNAT_SCAN ? "scans" : "assessors", scan);
}

void vivo_xnat_file_path(const struct xnat_place *p, char out[XNAT_URL_MAX])
{
    char resource[3 * XNAT_ID_MAX + 1], file[3 * XNAT_FILE_MAX + 4];
    vivo_xnat_home(p, out);
    size_t n = strlen(out);
    vivo_xnat_encode(p->resource, false, resource, sizeof resource);
    vivo_xnat_encode(p->file, true, file, sizeof file);
    snprintf(out + n, XNAT_URL_MAX - n, "%s%s/files/%s",
             p->resource[0] ? "/resources/" : "", resource, file);
}

/* ---- what the server tells ------------------------------------------------------- */

static bool has_control(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7F)
            return true;
    return false;
}

bool vivo_xnat_scan_ok(const char *id)
{
    return id[0] && !has_control(id) && strcmp(id, "ALL") != 0 &&
           strcmp(id, "NULL") != 0 && !strpbrk(id, "*") && !is_dots(id);
}

bool vivo_xnat_file_ok(const char *path)
{
    if (has_control(path))
        return false;
    for (const char *p = path;; p++) {
        size_t n = strcspn(p, "/");
        if (n == 0 || (n == 1 && p[0] == '.') || (n == 2 && memcmp(p, "..", 2) == 0))
            return false;
        p += n;
        if (!*p)
            return true;
    }
}

static bool is_hex(char c)
{
    return isascii((unsigned char)c) && isxdigit((unsigned char)c);
}

static int hex_any(char c)
{
    return isdigit((unsigned char)c) ? c - '0' : (c | 0x20) - 'a' + 10;
}

/* False: it would hold a NUL, or does not fit. */
static bool decode(const char *s, size_t len, bool percent, char *out, size_t cap)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        char c = s[i];
        if (percent && c == '%' && len - i > 2 && is_hex(s[i + 1]) &&
            is_hex(s[i + 2])) {
            c = (char)(hex_any(s[i + 1]) << 4 | hex_any(s[i + 2]));
            i += 2;
        }
        if (!c || n + 1 >= cap)
            return false;
        out[n++] = c;
    }
    out[n] = '\0';
    return true;
}

/* Is a part of the URI this scan, however it is written? */
static bool is_scan(const char *part, size_t len, const char *id)
{
    char text[3 * XNAT_ID_MAX + 1];
    char words[XNAT_URL_MAX];
    if (len == strlen(id) && memcmp(part, id, len) == 0)
        return true;
    if (!decode(part, len, true, text, sizeof text))
        return false;
    if (strcmp(text, id) == 0)
        return true;
    vivo_xnat_encode_scan(id, words, sizeof words);
    return decode(words, strlen(words), true, words, sizeof words) &&
           strcmp(words, text) == 0;
}

/* The name tells whether the URI is as it is or percent-encoded. */
static bool is_encoded(const char *uri, const char *name)
{
    char last[XNAT_FILE_MAX + 1];
    const char *base = strrchr(uri, '/');
    base = base ? base + 1 : uri;
    if (!strchr(base, '%') || strcmp(base, name) == 0)
        return !strchr(base, '%') && strchr(uri, '%');
    return decode(base, strlen(base), true, last, sizeof last) &&
           (!name[0] || strcmp(last, name) == 0);
}

/* Words that an address may begin with, each with an id behind it. */
enum { PROJECTS = 1, SUBJECTS = 2, EXPERIMENTS = 4, ASSESSORS = 8, FOREIGN = 16 };

/* The owner's address is passed over: *words are those that it is made of. NULL: it is
 * none. */
static const char *skip_home(const char *uri, unsigned *words)
{
    static const struct {
        const char *word;
        unsigned bit, ids;
    } known[] = {{"/data", 0, 0},
                 {"/REST", 0, 0},
                 {"/archive", 0, 0},
                 {"/projects", PROJECTS, 1},
                 {"/subjects", SUBJECTS, 1},
                 {"/experiments", EXPERIMENTS, 1},
                 {"/assessors", ASSESSORS, 1},
                 {"/reconstructions", FOREIGN, 1},
                 {"/scans", FOREIGN, 1},
                 {"/in", 0, 0},
                 {"/out", 0, 0}};
    *words = 0;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(known); i++) { /* in this order only */
        size_t n = strlen(known[i].word);
        if (strncmp(uri, known[i].word, n) != 0 || uri[n] != '/')
            continue;
        *words |= known[i].bit;
        uri += n;
        if (known[i].ids)
            uri += 1 + strcspn(uri + 1, "/");
    }
    return *words ? uri : NULL;
}

static bool is_home(unsigned words, enum xnat_owner owner)
{
    if (owner == XNAT_PROJECT)
        return words == PROJECTS;
    if (owner == XNAT_SUBJECT)
        return (words & ~(unsigned)PROJECTS) == SUBJECTS;
    words &= ~(unsigned)(PROJECTS | SUBJECTS);
    if (owner == XNAT_SESSION)
        return words == EXPERIMENTS;
    return words == (EXPERIMENTS | ASSESSORS);
}

/* Where in the URI the resource is told; NULL: *kind says why it is not. */
static const char *skip_owner(const char *uri, const struct xnat_place *p,
                              enum xnat_uri *kind)
{
    unsigned words;
    *kind = XNAT_URI_FOREIGN;
    if (p->owner == XNAT_SCAN) {
        const char *scan = strstr(uri, "/scans/");
        const char *from = scan ? scan + 7 : uri;
        return scan && !is_scan(from, strcspn(from, "/"), p->scan) ? NULL : from;
    }
    const char *from = skip_home(uri, &words);
    if (!from)
        *kind = XNAT_URI_BAD;
    return from && is_home(words, p->owner) ? from : NULL;
}

enum xnat_uri vivo_xnat_file_uri(const char *uri, const char *name,
                                 struct xnat_place *p)
{
    enum xnat_uri kind;
    const char *from = skip_owner(uri, p, &kind);
    if (!from)
        return kind;
    const char *resource = strstr(from, "/resources/");
    const char *files = strstr(resource ? resource + 11 : from, "/files/");
    bool encoded = is_encoded(uri, name);
    p->resource[0] = '\0';
    if (!files)
        return XNAT_URI_BAD;
    if (resource && !decode(resource + 11, (size_t)(files - resource - 11), encoded,
                            p->resource, sizeof p->resource))
        return XNAT_URI_BAD;
    if (has_control(p->resource) || is_dots(p->resource) ||
        !decode(files + 7, strlen(files + 7), encoded, p->file, sizeof p->file))
        return XNAT_URI_BAD;
    return vivo_xnat_file_ok(p->file) ? XNAT_URI_FILE : XNAT_URI_BAD;
}
