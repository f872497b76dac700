/* SPDX-License-Identifier: Apache-2.0 */
/* src/deid/ctp_ref.c -- how CTP scripts name attributes, and their regular
 * expressions. */
#include "ctp.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#define REGEX_MAX 1024

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool vivo_ctp_hex_tag(const char *s, size_t len, uint32_t *out)
{
    uint32_t tag = 0;
    if (len != 8)
        return false;
    for (size_t i = 0; i < len; i++) {
        int d = hex_digit(s[i]);
        if (d < 0)
            return false;
        tag = tag << 4 | (uint32_t)d;
    }
    *out = tag;
    return true;
}

/* (gggg,eeee) and [gggg,eeee] */
static bool bracketed(const char *s, size_t len, uint32_t *out)
{
    char digits[8];
    if (len != 11 || s[5] != ',' ||
        !((s[0] == '[' && s[10] == ']') || (s[0] == '(' && s[10] == ')')))
        return false;
    memcpy(digits, s + 1, 4);
    memcpy(digits + 4, s + 6, 4);
    return vivo_ctp_hex_tag(digits, 8, out);
}

static int parse_one(const char *s, size_t len, uint32_t *out, struct vivo_err *err)
{
    char word[80];
    if (!vivo_ctp_hex_tag(s, len, out) && !bracketed(s, len, out)) {
        const struct vivo_dict *dict = vivo_dcm_dict_keyword(s, len);
        if (!dict) {
            size_t n = VIVO_MIN(len, sizeof word - 1);
            memcpy(word, s, n);
            word[n] = '\0';
            return vivo_fail(err, EINVAL, "'%s' is no attribute of the standard", word);
        }
        *out = dict->tag;
    }
    if (*out >> 16 & 1)
        return vivo_fail(err, EINVAL, "private elements cannot be read by a script");
    return 0;
}

static void trim(const char **s, size_t *len)
{
    while (*len && isspace((unsigned char)(*s)[*len - 1]))
        (*len)--;
    while (*len && isspace((unsigned char)**s))
        (*s)++, (*len)--;
}

int vivo_ctp_ref_parse(const char *s, size_t len, struct vivo_ctp_ref *out,
                       struct vivo_err *err)
{
    memset(out, 0, sizeof *out);
    trim(&s, &len);
    if (len == 4 && !memcmp(s, "this", 4)) {
        out->self = true;
        return 0;
    }
    if (len > 5 && !memcmp(s, "root:", 5)) {
        out->root = true;
        s += 5;
        len -= 5;
    }
    while (len) {
        const char *end = memmem(s, len, "::", 2);
        size_t n = end ? (size_t)(end - s) : len;
        if (out->n == VIVO_CTP_PATH_MAX)
            return vivo_fail(err, EINVAL, "a path of more than %d attributes",
                             VIVO_CTP_PATH_MAX);
        int rc = parse_one(s, n, &out->path[out->n], err);
        if (rc)
            return rc;
        out->n++;
        s += end ? n + 2 : n;
        len -= end ? n + 2 : n;
    }
    return out->n ? 0 : vivo_fail(err, EINVAL, "an attribute is missing");
}

uint32_t vivo_ctp_ref_last(const struct vivo_ctp_ref *r)
{
    return r->n ? r->path[r->n - 1] : 0;
}

/* \d, \w and \s as the inside of a bracket expression. */
static const char *class_of(char c)
{
    switch (tolower((unsigned char)c)) {
    case 'd':
        return "0-9";
    case 'w':
        return "A-Za-z0-9_";
    case 's':
        return " \t\n\r\f\v";
    default:
        return NULL;
    }
}

/* One escape; *p stands on the character behind the backslash. */
static int put_escape(char c, bool bracket, struct vivo_buf *out, struct vivo_err *err)
{
    const char *set = class_of(c);
    if (set && bracket && islower((unsigned char)c))
        return vivo_buf_puts(out, set);
    if (set && !bracket)
        return vivo_buf_printf(out, "[%s%s]", isupper((unsigned char)c) ? "^" : "",
                               set);
    if (c == 't')
        return vivo_buf_puts(out, "\t");
    if (isalnum((unsigned char)c) || !c)
        return vivo_fail(err, EINVAL, "regular expression: \\%c is not offered", c);
    if (bracket && (c == ']' || c == '^' || c == '-' || c == '['))
        return vivo_fail(err, EINVAL,
                         "regular expression: \\%c in brackets is not offered", c);
    return vivo_buf_printf(out, bracket ? "%c" : "\\%c", c);
}

/* Repeats behind repeats are lazy or possessive ones in Java. */
static bool is_repeat(char c)
{
    return c == '*' || c == '+' || c == '?' || c == '}';
}

static int translate(const char *s, struct vivo_buf *out, struct vivo_err *err)
{
    bool bracket = false;
    for (const char *p = s; *p; p++) {
        int rc = 0;
        if (*p == '\\') {
            rc = put_escape(*++p, bracket, out, err);
            if (!rc && bracket && !*p)
                rc = -EINVAL;
        } else if (!bracket && *p == '(' && p[1] == '?') {
            rc = vivo_fail(err, EINVAL, "regular expression: (?…) is not offered");
        } else if (!bracket && p > s && p[-1] != '\\' && is_repeat(p[-1]) &&
                   (*p == '?' || *p == '+' || *p == '*')) {
            rc = vivo_fail(err, EINVAL,
                           "regular expression: lazy and possessive repeats are not "
                           "offered");
        } else {
            if (*p == '[' && bracket)
                rc = vivo_fail(err, EINVAL,
                               "regular expression: brackets in brackets are not "
                               "offered");
            else if (*p == '[')
                bracket = true;
            else if (*p == ']')
                bracket = false;
            if (!rc)
                rc = vivo_buf_add(out, p, 1);
        }
        if (rc)
            return err && err->errnum ? rc : vivo_fail(err, EINVAL, "too long");
    }
    return 0;
}

int vivo_ctp_regex(const char *s, bool whole, regex_t *out, struct vivo_err *err)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf b = {0};
    char why[100];
    vivo_buf_init(&b, REGEX_MAX);
    int rc = vivo_buf_puts(&b, whole ? "^(" : "");
    if (!rc)
        rc = translate(s, &b, err);
    if (!rc)
        rc = vivo_buf_puts(&b, whole ? ")$" : "");
    if (rc)
        return err && err->errnum ? rc
                                  : vivo_fail(err, EINVAL,
                                              "regular expression: too "
                                              "long");
    int bad = regcomp(out, b.data ? (const char *)b.data : "", REG_EXTENDED);
    if (!bad)
        return 0;
    regerror(bad, out, why, sizeof why);
    return vivo_fail(err, EINVAL, "regular expression: %s", why);
}
