/* SPDX-License-Identifier: Apache-2.0 */
/* src/query/lex.c -- bytes of a name to words and values.
 *
 * The parser runs on the decoded text (%2F and %25 undone) and keeps, for every
 * byte of it, the column in which it was typed, so that a caret stands right. */
#include "internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char *const operator_words[] = {
    "and", "or",   "not", "eq",      "ne",  "lt",      "le",  "gt",
    "ge",  "like", "in",  "between", "has", "missing", "any",
};

void vivo_query_fail(struct vivo_query_parser *p, size_t pos, const char *hint,
                     const char *fmt, ...)
{
    if (p->rc)
        return;
    p->rc = -EINVAL;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(p->qe->text, sizeof p->qe->text, fmt, ap);
    va_end(ap);
    snprintf(p->qe->hint, sizeof p->qe->hint, "%s", hint ? hint : "");
    p->qe->column = p->columns[VIVO_MIN(pos, p->len)];
}

void vivo_query_fail_nomem(struct vivo_query_parser *p)
{
    if (p->rc)
        return;
    p->rc = -ENOMEM;
    snprintf(p->qe->text, sizeof p->qe->text, "out of memory");
}

void *vivo_query_alloc(struct vivo_query_parser *p, size_t len)
{
    void *mem = vivo_arena_alloc(p->q->arena, len);
    if (!mem)
        vivo_query_fail_nomem(p);
    return mem;
}

const char *vivo_query_dup(struct vivo_query_parser *p, const char *s, size_t len)
{
    const char *mem = vivo_arena_strndup(p->q->arena, s, len);
    if (!mem)
        vivo_query_fail_nomem(p);
    return mem;
}

/* ---- characters and words ---------------------------------------------------------
 */

bool vivo_query_is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

bool vivo_query_is_word(char c)
{
    return c && !vivo_query_is_space(c) && !strchr("'\"(),=!<>~&|", c);
}

bool vivo_query_is_keyword(const char *s, size_t len)
{
    for (size_t i = 0; i < VIVO_ARRAY_LEN(operator_words); i++)
        if (strlen(operator_words[i]) == len && !strncasecmp(operator_words[i], s, len))
            return true;
    return false;
}

bool vivo_query_is_expression(const char *name)
{
    if (name[0] == '.')
        return false;
    if (strpbrk(name, "=!<>~&|,()"))
        return true;
    while (*name) {
        size_t len = 0;
        while (vivo_query_is_word(name[len]))
            len++;
        if (vivo_query_is_keyword(name, len))
            return true;
        name += len ? len : 1;
    }
    return false;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

int vivo_query_decode(struct vivo_query_parser *p, const char *name)
{
    size_t len = strlen(name);
    char *s = vivo_query_alloc(p, len + 1);
    uint16_t *columns = vivo_query_alloc(p, (len + 1) * sizeof *columns);
    if (!s || !columns)
        return p->rc;
    p->s = s;
    p->columns = columns;
    for (size_t i = 0; i < len; p->len++) {
        columns[p->len] = (uint16_t)i;
        s[p->len] = name[i];
        if (name[i] != '%') {
            i++;
            continue;
        }
        int hi = hex_digit(name[i + 1]);
        int lo = hi < 0 ? -1 : hex_digit(name[i + 2]);
        int c = lo < 0 ? 0 : hi * 16 + lo;
        if (c != '%' && c != '/') {
            vivo_query_fail(p, p->len, "write %25 for a percent sign, %2F for a slash",
                            "%% stands alone");
            return p->rc;
        }
        s[p->len] = (char)c;
        i += 3;
    }
    columns[p->len] = (uint16_t)len;
    return 0;
}

void vivo_query_skip_space(struct vivo_query_parser *p)
{
    while (p->pos < p->len && vivo_query_is_space(p->s[p->pos]))
        p->pos++;
}

bool vivo_query_take(struct vivo_query_parser *p, const char *symbol)
{
    vivo_query_skip_space(p);
    size_t n = strlen(symbol);
    if (strncmp(p->s + p->pos, symbol, n) != 0)
        return false;
    p->pos += n;
    return true;
}

size_t vivo_query_word_len(const struct vivo_query_parser *p)
{
    size_t i = p->pos;
    while (i < p->len && vivo_query_is_word(p->s[i]))
        i++;
    return i - p->pos;
}

bool vivo_query_take_word(struct vivo_query_parser *p, const char *word)
{
    vivo_query_skip_space(p);
    size_t n = vivo_query_word_len(p);
    if (n != strlen(word) || strncasecmp(p->s + p->pos, word, n) != 0)
        return false;
    p->pos += n;
    return true;
}

/* ---- values ------------------------------------------------------------------------
 */

/* Appends one character that means itself. */
static char *put_literal(char *o, char c, enum vivo_query_quoting how)
{
    if (how == VIVO_QUOTING_WILD && (c == '*' || c == '?' || c == '\\'))
        *o++ = '\\';
    *o++ = c;
    return o;
}

/* The text between quotes to `o`, which has room for twice its
 * length. Returns the end of
 * what was written, NULL when the quote is not closed. */
static char *unquote(struct vivo_query_parser *p, enum vivo_query_quoting how, char *o)
{
    char quote = p->s[p->pos++];
    while (p->pos < p->len && p->s[p->pos] != quote) {
        char c = p->s[p->pos++];
        if (c != '\\') {
            *o++ = c; /* * and ? act */
            continue;
        }
        if (p->pos == p->len)
            return NULL;
        c = p->s[p->pos++];
        if (how == VIVO_QUOTING_REGEX && c != '\\' && c != '\'' && c != '"')
            *o++ = '\\';
        o = put_literal(o, c, how);
    }
    if (p->pos == p->len)
        return NULL;
    p->pos++;
    return o;
}

/* A bare word, which ends before "..". */
static char *unbare(struct vivo_query_parser *p, enum vivo_query_quoting how, char *o)
{
    while (p->pos < p->len && vivo_query_is_word(p->s[p->pos])) {
        char c = p->s[p->pos];
        if (c == '.' && p->s[p->pos + 1] == '.' && how != VIVO_QUOTING_REGEX)
            break;
        p->pos++;
        if (c == '\\')
            o = put_literal(o, c, how);
        else
            *o++ = c;
    }
    return o;
}

/* Bytes from the opening quote up to the one that closes it, or to the end. */
static size_t quoted_len(const struct vivo_query_parser *p)
{
    size_t i = p->pos + 1;
    while (i < p->len && p->s[i] != p->s[p->pos])
        i += p->s[i] == '\\' && i + 1 < p->len ? 2 : 1;
    return i - p->pos;
}

bool vivo_query_take_value(struct vivo_query_parser *p, enum vivo_query_quoting how,
                           const char *what, const char **out, size_t *at)
{
    vivo_query_skip_space(p);
    *at = p->pos;
    char c = p->s[p->pos];
    bool quoted = c == '"' || c == '\'';
    size_t most = quoted ? quoted_len(p) : vivo_query_word_len(p);
    char *o = vivo_query_alloc(p, 2 * most + 1);
    if (!o)
        return false;
    char *end = quoted ? unquote(p, how, o) : unbare(p, how, o);
    if (!end) {
        vivo_query_fail(p, *at, "", "the quote is not closed");
        return false;
    }
    *out = o;
    if (quoted || end > o)
        return true;
    vivo_query_fail(p, *at,
                    "put quotes around a value that has any of ( ) , = ! < > ~ & |",
                    "a value is missing %s", what);
    return false;
}
