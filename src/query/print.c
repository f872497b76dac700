/* SPDX-License-Identifier: Apache-2.0 */
/* src/query/print.c -- a query in its one spelling: keywords of PS3.6, the words and,
 * or, not, quotes and parentheses only where they are needed, %-escaped. */
#include "internal.h"

#include <errno.h>
#include <string.h>

struct printer {
    struct vivo_buf buf;
    int rc;
};

static void add(struct printer *w, const char *s, size_t len)
{
    if (!w->rc)
        w->rc = vivo_buf_add(&w->buf, s, len);
}

static void puts_to(struct printer *w, const char *s)
{
    add(w, s, strlen(s));
}

/* Would the text be read back from a bare word? */
static bool is_bare(const char *s)
{
    size_t len = strlen(s);
    if (!len || strstr(s, "..") || s[0] == '.' || s[len - 1] == '.' || s[0] == '@' ||
        vivo_query_is_keyword(s, len))
        return false;
    for (size_t i = 0; i < len; i++)
        if (!vivo_query_is_word(s[i]) || s[i] == '\\' || (unsigned char)s[i] < ' ' ||
            s[i] == 0x7F)
            return false;
    return true;
}

static void print_quoted(struct printer *w, const char *s, const char *escaped)
{
    puts_to(w, "\"");
    for (; *s; s++) {
        if (strchr(escaped, *s))
            puts_to(w, "\\");
        add(w, s, 1);
    }
    puts_to(w, "\"");
}

static void print_value(struct printer *w, const struct vivo_query_node *n,
                        const struct vivo_query_value *v)
{
    enum vivo_query_quoting how = vivo_query_quoting_of(n->kind, n->cmp, n->path.cls);
    if (how == VIVO_QUOTING_WILD && v->pattern) {
        if (is_bare(v->typed))
            puts_to(w, v->typed);
        else
            print_quoted(w, v->typed, "\""); /* it has its backslashes */
        return;
    }
    bool star = how == VIVO_QUOTING_WILD && strpbrk(v->text, "*?");
    if (is_bare(v->text) && !star)
        puts_to(w, v->text);
    else
        print_quoted(w, v->text, how == VIVO_QUOTING_WILD ? "\"\\*?" : "\"\\");
}

static void print_path(struct printer *w, const struct vivo_query_path *path)
{
    if (!w->rc)
        w->rc = vivo_query_print_path(path, &w->buf);
}

static void print_compared(struct printer *w, const struct vivo_query_node *n)
{
    static const char *const symbols[] = {
        [VIVO_CMP_NONE] = "?", [VIVO_CMP_EQ] = "=",  [VIVO_CMP_NE] = "!=",
        [VIVO_CMP_LT] = "<",   [VIVO_CMP_LE] = "<=", [VIVO_CMP_GT] = ">",
        [VIVO_CMP_GE] = ">=",  [VIVO_CMP_RE] = "~",  [VIVO_CMP_LIKE] = " like ",
    };
    print_path(w, &n->path);
    if (n->kind == VIVO_QUERY_RANGE) {
        puts_to(w, "=");
        if (n->values[0].text)
            print_value(w, n, &n->values[0]);
        puts_to(w, "..");
        if (n->values[1].text)
            print_value(w, n, &n->values[1]);
        return;
    }
    if (n->list) {
        puts_to(w, " in @");
        puts_to(w, n->list);
        return;
    }
    puts_to(w, n->kind == VIVO_QUERY_IN ? " in (" : symbols[n->cmp]);
    for (size_t i = 0; i < n->nvalues; i++) {
        puts_to(w, i ? "," : "");
        print_value(w, n, &n->values[i]);
    }
    puts_to(w, n->kind == VIVO_QUERY_IN ? ")" : "");
}

static void print_node(struct printer *w, const struct vivo_query_node *n);

static void print_nested(struct printer *w, const struct vivo_query_node *n,
                         bool parens)
{
    puts_to(w, parens ? "(" : "");
    print_node(w, n);
    puts_to(w, parens ? ")" : "");
}

static void print_not(struct printer *w, const struct vivo_query_node *a)
{
    if (a->kind == VIVO_QUERY_HAS) {
        puts_to(w, "missing ");
        print_path(w, &a->path);
        return;
    }
    puts_to(w, "not ");
    print_nested(w, a, a->kind == VIVO_QUERY_AND || a->kind == VIVO_QUERY_OR);
}

/* Chains of AND and OR lean left (vivo_query_join), so a right operand of the same
 * kind does not exist. */
static void print_node(struct printer *w, const struct vivo_query_node *n)
{
    switch (n->kind) {
    case VIVO_QUERY_AND:
        print_nested(w, n->a, n->a->kind == VIVO_QUERY_OR);
        puts_to(w, " and ");
        print_nested(w, n->b, n->b->kind == VIVO_QUERY_OR);
        return;
    case VIVO_QUERY_OR:
        print_node(w, n->a);
        puts_to(w, " or ");
        print_node(w, n->b);
        return;
    case VIVO_QUERY_NOT:
        print_not(w, n->a);
        return;
    case VIVO_QUERY_LEVEL:
        puts_to(w, vivo_level_name(n->level));
        print_nested(w, n->a, true);
        return;
    case VIVO_QUERY_HAS:
        puts_to(w, "has ");
        print_path(w, &n->path);
        return;
    case VIVO_QUERY_ANY:
        puts_to(w, "any ");
        print_value(w, n, &n->values[0]);
        return;
    case VIVO_QUERY_CMP:
    case VIVO_QUERY_IN:
    case VIVO_QUERY_RANGE:
        print_compared(w, n);
        return;
    case VIVO_QUERY_NONE:
        break;
    }
}

int vivo_query_print(struct vivo_query *q)
{
    struct printer plain = {.rc = 0};
    struct printer escaped = {.rc = 0};
    vivo_buf_init(&plain.buf, VIVO_QUERY_TEXT_MAX);
    vivo_buf_init(&escaped.buf, VIVO_QUERY_TEXT_MAX);
    print_node(&plain, q->root);
    for (size_t i = 0; i < plain.buf.len; i++) {
        const char *c = (const char *)plain.buf.data + i;
        if (*c == '%' || *c == '/')
            puts_to(&escaped, *c == '%' ? "%25" : "%2F");
        else
            add(&escaped, c, 1);
    }
    int rc = plain.rc ? plain.rc : escaped.rc;
    if (!rc) {
        q->text = vivo_arena_strndup(q->arena, (const char *)escaped.buf.data,
                                     escaped.buf.len);
        rc = q->text ? 0 : -ENOMEM;
    }
    vivo_buf_free(&plain.buf);
    vivo_buf_free(&escaped.buf);
    return rc;
}
