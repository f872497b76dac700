/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/ftp_list.c -- see ftp_list.h. LIST has no standard; what is read here is
 * the output of ls -l and of DIR, which all servers imitate. */
#include "ftp_list.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool is_dots(const char *s, size_t len)
{
    return (len == 1 && s[0] == '.') || (len == 2 && s[0] == '.' && s[1] == '.');
}

/* ---- MLSD ----------------------------------------------------------------------- */

/* Is the fact at s ("type=") that of this name? */
static bool is_fact(const char *s, size_t len, const char *name)
{
    size_t n = strlen(name);
    return len > n && strncasecmp(s, name, n) == 0 && s[n] == '=';
}

static void add_to_stamp(struct vivo_ftp_entry *e, const char *s, size_t len)
{
    size_t used = strlen(e->stamp);
    snprintf(e->stamp + used, sizeof e->stamp - used, "%s%.*s", used ? " " : "",
             (int)(len < 40 ? len : 40), s);
}

static void take_size(struct vivo_ftp_entry *e, const char *s, size_t len)
{
    uint64_t n = 0;
    size_t i = 0;
    for (; i < len && i < 18 && isdigit((unsigned char)s[i]); i++)
        n = 10 * n + (uint64_t)(s[i] - '0');
    e->sized = i > 0 && (i == len || s[i] == ' ');
    e->size = n;
}

static void take_size_fact(struct vivo_ftp_entry *e, const char *s, size_t len)
{
    add_to_stamp(e, s, len);
    take_size(e, s, len);
}

static bool take_type(struct vivo_ftp_entry *e, const char *s, size_t len)
{
    e->folder = len == 3 && strncasecmp(s, "dir", 3) == 0;
    e->skip = !e->folder && !(len == 4 && strncasecmp(s, "file", 4) == 0);
    return true;
}

bool vivo_ftp_mlsd(const char *line, size_t len, struct vivo_ftp_entry *out)
{
    const char *space = memchr(line, ' ', len);
    bool typed = false;
    *out = (struct vivo_ftp_entry){0};
    if (!space || space == line || space[-1] != ';')
        return false;
    for (const char *s = line; s < space;) {
        const char *end = memchr(s, ';', (size_t)(space - s));
        size_t n = (size_t)(end - s); /* there is one before the space */
        if (is_fact(s, n, "type"))
            typed = take_type(out, s + 5, n - 5);
        else if (is_fact(s, n, "modify"))
            add_to_stamp(out, s + 7, n - 7);
        else if (is_fact(s, n, "size"))
            take_size_fact(out, s + 5, n - 5);
        s = end + 1;
    }
    out->name = space + 1;
    out->len = (size_t)(line + len - out->name);
    out->skip |= is_dots(out->name, out->len);
    if (!strchr(out->stamp, ' '))
        out->stamp[0] = '\0'; /* time or size alone is no version */
    return typed && out->len > 0;
}

/* ---- LIST ----------------------------------------------------------------------- */

/* The start of word n, counted from 0, or NULL. */
static const char *word(const char *line, size_t len, unsigned n)
{
    const char *s = line;
    const char *end = line + len;
    for (;; n--) {
        while (s < end && *s == ' ')
            s++;
        if (s == end || n == 0)
            return s == end ? NULL : s;
        while (s < end && *s != ' ')
            s++;
    }
}

static bool is_number(const char *s, const char *end)
{
    const char *start = s;
    while (s < end && isdigit((unsigned char)*s))
        s++;
    return s > start && (s == end || *s == ' ');
}

static bool is_month(const char *s)
{
    static const char names[] = "janfebmaraprmayjunjulaugsepoctnovdec";
    for (size_t i = 0; i < sizeof names - 1; i += 3)
        if (strncasecmp(s, names + i, 3) == 0 && s[3] == ' ')
            return true;
    return false;
}

/* "-rw-r--r-- 1 user group 123 Jan  2 03:04 name"; the group may be missing. */
static bool read_unix(const char *line, size_t len, struct vivo_ftp_entry *out)
{
    const char *end = line + len;
    const char *month = NULL;
    const char *size = NULL;
    for (unsigned n = 2; n < 6 && !month; n++) {
        const char *s = word(line, len, n);
        const char *next = word(line, len, n + 1);
        if (s && next && end - next > 4 && is_number(s, end) && is_month(next)) {
            size = s;
            month = next;
        }
    }
    const char *last = month ? word(month, (size_t)(end - month), 2) : NULL;
    if (!last)
        return false;
    const char *space = memchr(last, ' ', (size_t)(end - last));
    if (!space || space + 1 >= end)
        return false;
    /* One space, so that names may begin with one. */
    out->name = space + 1;
    out->len = (size_t)(end - out->name);
    out->folder = line[0] == 'd';
    take_size(out, size, (size_t)(end - size));
    out->skip = (line[0] != 'd' && line[0] != '-') || is_dots(out->name, out->len);
    snprintf(out->stamp, sizeof out->stamp, "%.*s",
             (int)(space - size < 90 ? space - size : 90), size);
    return true;
}

/* "01-02-20  03:04PM       <DIR>          name", or a size in place of <DIR> */
static bool read_dos(const char *line, size_t len, struct vivo_ftp_entry *out)
{
    const char *end = line + len;
    const char *kind = word(line, len, 2);
    const char *name = word(line, len, 3);
    if (len < 20 || line[2] != '-' || line[5] != '-' || !kind || !name)
        return false;
    out->folder = strncasecmp(kind, "<DIR>", 5) == 0;
    if (!out->folder && !is_number(kind, end))
        return false;
    take_size(out, kind, (size_t)(end - kind));
    out->name = name;
    out->len = (size_t)(end - name);
    out->skip = is_dots(out->name, out->len);
    snprintf(out->stamp, sizeof out->stamp, "%.*s",
             (int)(name - line < 90 ? name - line : 90), line);
    return true;
}

bool vivo_ftp_list(const char *line, size_t len, struct vivo_ftp_entry *out)
{
    *out = (struct vivo_ftp_entry){0};
    if (len > 6 && strncasecmp(line, "total ", 6) == 0) {
        out->skip = true;
        return true;
    }
    if (len > 0 && strchr("-dlbcps", line[0]))
        return read_unix(line, len, out);
    return len > 0 && isdigit((unsigned char)line[0]) && read_dos(line, len, out);
}
