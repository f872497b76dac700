/* SPDX-License-Identifier: Apache-2.0 */
/* src/deid/ctp_expr.c -- the boolean language of RSNA CTP's filters and signatures.
 *
 * Parsed once into nodes of one array, the root last; evaluated with the values of one
 * captured header. `!` binds tighter than `*` (and), that tighter than `+` (or). */
#include "ctp_expr.h"

#include "vivofs/text.h"

#include <errno.h>
#include <regex.h>
#include <string.h>
#include <strings.h>

#define DEPTH_MAX 64
#define NODES_MAX 4096
#define PATTERN_MAX 256
#define VALUE_MAX (8u << 20)

enum op { OP_TRUE, OP_FALSE, OP_NOT, OP_AND, OP_OR, OP_TEST };

enum method {
    EQUALS,
    EQUALS_NO_CASE,
    MATCHES,
    CONTAINS,
    CONTAINS_NO_CASE,
    STARTS,
    STARTS_NO_CASE,
    ENDS,
    ENDS_NO_CASE,
    LESS,
    GREATER,
};

static const struct {
    const char *word;
    enum method method;
} methods[] = {
    {"equals", EQUALS},
    {"equalsIgnoreCase", EQUALS_NO_CASE},
    {"matches", MATCHES},
    {"contains", CONTAINS},
    {"containsIgnoreCase", CONTAINS_NO_CASE},
    {"startsWith", STARTS},
    {"startsWithIgnoreCase", STARTS_NO_CASE},
    {"endsWith", ENDS},
    {"endsWithIgnoreCase", ENDS_NO_CASE},
    {"isLessThan", LESS},
    {"isGreaterThan", GREATER},
};

struct test {
    struct vivo_ctp_path path;
    enum method method;
    char *text;    /* owned; folded where the method ignores case */
    regex_t *re;   /* owned; MATCHES */
    double number; /* LESS, GREATER */
};

struct node {
    enum op op;
    uint32_t left, right;
    struct test *test; /* owned; OP_TEST */
};

struct vivo_ctp_expr {
    struct node *nodes;
    uint32_t n;
    size_t cap;
};

struct parser {
    const struct vivo_ctp_source *s;
    size_t at, end;
    unsigned depth;
    struct vivo_ctp_expr *e;
    struct vivo_err *err;
};

static int parse_or(struct parser *p, uint32_t *out);

static void free_test(struct test *t)
{
    if (!t)
        return;
    if (t->re)
        regfree(t->re);
    free(t->re);
    free(t->text);
    free(t);
}

void vivo_ctp_expr_free(struct vivo_ctp_expr *e)
{
    if (!e)
        return;
    for (uint32_t i = 0; i < e->n; i++)
        free_test(e->nodes[i].test);
    free(e->nodes);
    free(e);
}

static int no_memory(struct parser *p)
{
    return vivo_fail(p->err, ENOMEM, "no memory for a script");
}

/* Takes test over, also when it fails. */
static int add(struct parser *p, enum op op, uint32_t left, uint32_t right,
               struct test *test, uint32_t *out)
{
    struct vivo_ctp_expr *e = p->e;
    struct node *nodes =
        vivo_array_grow(e->nodes, e->n, &e->cap, sizeof *nodes, NODES_MAX);
    if (!nodes) {
        free_test(test);
        return e->n >= NODES_MAX ? vivo_ctp_fail(p->s, p->at, p->err,
                                                 "an expression of too many terms")
                                 : no_memory(p);
    }
    e->nodes = nodes;
    e->nodes[e->n] = (struct node){op, left, right, test};
    *out = e->n++;
    return 0;
}

static void skip_space(struct parser *p)
{
    while (p->at < p->end) {
        char c = p->s->text[p->at];
        if (c == '/' && p->at + 1 < p->end && p->s->text[p->at + 1] == '/') {
            while (p->at < p->end && p->s->text[p->at] != '\n')
                p->at++;
        } else if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
            p->at++;
        } else {
            return;
        }
    }
}

/* Goes over the character if it is the next one. */
static bool take(struct parser *p, char c)
{
    skip_space(p);
    if (p->at >= p->end || p->s->text[p->at] != c)
        return false;
    p->at++;
    return true;
}

static int want(struct parser *p, char c)
{
    return take(p, c) ? 0
                      : vivo_ctp_fail(p->s, p->at, p->err, "'%c' is wanted here", c);
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool take_word(struct parser *p, const char *word)
{
    size_t n = strlen(word);
    if (n > p->end - p->at || strncmp(p->s->text + p->at, word, n) != 0 ||
        is_letter(p->s->text[p->at + n]) || p->s->text[p->at + n] == '.')
        return false;
    p->at += n;
    return true;
}

/* ---- tests --------------------------------------------------------------------------
 */

/* A quoted text; a backslash keeps the next character. */
static int parse_text(struct parser *p, struct vivo_buf *out)
{
    size_t from = p->at;
    int rc = want(p, '"');
    if (!rc && vivo_buf_puts(out, ""))
        rc = no_memory(p);
    while (!rc) {
        if (p->at >= p->end || p->s->text[p->at] == '\n')
            return vivo_ctp_fail(p->s, from, p->err, "a text that does not end");
        char c = p->s->text[p->at++];
        if (c == '"')
            return 0;
        if (c == '\\' && p->at < p->end)
            c = p->s->text[p->at++];
        if (vivo_buf_add(out, &c, 1))
            rc = vivo_ctp_fail(p->s, from, p->err, "a text that is too long");
    }
    return rc;
}

static int parse_method(struct parser *p, enum method *out)
{
    char word[32];
    size_t n = 0;
    while (p->at + n < p->end && is_letter(p->s->text[p->at + n]))
        n++;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(methods); i++)
        if (strlen(methods[i].word) == n &&
            !memcmp(methods[i].word, p->s->text + p->at, n)) {
            *out = methods[i].method;
            p->at += n;
            return 0;
        }
    size_t take = VIVO_MIN(n, sizeof word - 1);
    memcpy(word, p->s->text + p->at, take);
    word[take] = '\0';
    return vivo_ctp_fail(p->s, p->at, p->err, "no method '%s'", word);
}

/* Java's classes as POSIX writes them; what has no counterpart there is refused. */
static int put_escape(struct parser *p, char c, size_t at, struct vivo_buf *out)
{
    if (c == 'd')
        return vivo_buf_puts(out, "[0-9]");
    if (c == 'D')
        return vivo_buf_puts(out, "[^0-9]");
    if (c == '\0' || (is_letter(c) && !strchr("wWsSbB", c)) || (c >= '0' && c <= '9'))
        return vivo_ctp_fail(p->s, at, p->err,
                             "an escape of regular expressions that is not offered");
    return vivo_buf_printf(out, "\\%c", c);
}

static int translate(struct parser *p, const char *re, size_t at, struct vivo_buf *out)
{
    int rc = vivo_buf_puts(out, "^(");
    for (const char *s = re; !rc && *s; s++) {
        bool lazy = strchr("*+?}", *s) && (s[1] == '?' || s[1] == '+');
        bool group = *s == '(' && s[1] == '?';
        if (lazy || (group && s[2] != ':'))
            return vivo_ctp_fail(p->s, at, p->err,
                                 "a regular expression that is not offered: lazy or "
                                 "possessive, or with (?");
        if (*s == '\\')
            rc = put_escape(p, *++s, at, out);
        else
            rc = vivo_buf_add(out, s, 1);
        if (group)
            s += 2;
        if (!*s)
            break;
    }
    return rc ? rc : vivo_buf_puts(out, ")$");
}

static int compile(struct parser *p, struct test *t, size_t at)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf b = {0};
    vivo_buf_init(&b, 4 * PATTERN_MAX);
    if (strlen(t->text) > PATTERN_MAX)
        return vivo_ctp_fail(p->s, at, p->err,
                             "a regular expression of more than %d bytes", PATTERN_MAX);
    int rc = translate(p, t->text, at, &b);
    if (rc == -EINVAL)
        return rc;
    regex_t *re = rc ? NULL : malloc(sizeof *re);
    if (!re)
        return no_memory(p);
    rc = regcomp(re, (const char *)b.data, REG_EXTENDED | REG_NOSUB);
    if (rc) {
        free(re);
        return vivo_ctp_fail(p->s, at, p->err, "that is no regular expression");
    }
    t->re = re;
    return 0;
}

static bool no_case(enum method m)
{
    return m == EQUALS_NO_CASE || m == CONTAINS_NO_CASE || m == STARTS_NO_CASE ||
           m == ENDS_NO_CASE;
}

/* CTP keeps only digits and points, so that a sign is lost. */
static double number_of(const char *s, size_t len)
{
    char digits[40];
    size_t n = 0;
    for (size_t i = 0; i < len && n < sizeof digits - 1; i++)
        if ((s[i] >= '0' && s[i] <= '9') || s[i] == '.')
            digits[n++] = s[i];
    digits[n] = '\0';
    return n ? strtod(digits, NULL) : 0;
}

static char *fold(const char *s, size_t len)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf b = {0};
    vivo_buf_init(&b, 4 * len + 64);
    if (vivo_text_fold(s, len, &b))
        return NULL;
    return strdup(b.len ? (const char *)b.data : "");
}

static int finish_test(struct parser *p, struct test *t, const struct vivo_buf *text,
                       size_t at)
{
    t->text = no_case(t->method) ? fold((const char *)text->data, text->len)
                                 : strdup((const char *)text->data);
    if (!t->text)
        return no_memory(p);
    t->number = number_of(t->text, strlen(t->text));
    return t->method == MATCHES ? compile(p, t, at) : 0;
}

static int parse_test_parts(struct parser *p, struct test *t)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf text = {0};
    vivo_buf_init(&text, 4096);
    int rc = vivo_ctp_path_parse(p->s, &p->at, &t->path, p->err);
    if (!rc)
        rc = want(p, '.');
    if (!rc)
        rc = parse_method(p, &t->method);
    if (!rc)
        rc = want(p, '(');
    skip_space(p);
    size_t at = p->at;
    if (!rc)
        rc = parse_text(p, &text);
    if (!rc)
        rc = want(p, ')');
    return rc ? rc : finish_test(p, t, &text, at);
}

static int parse_test(struct parser *p, uint32_t *out)
{
    struct test *t = calloc(1, sizeof *t);
    if (!t)
        return no_memory(p);
    int rc = parse_test_parts(p, t);
    if (rc) {
        free_test(t);
        return rc;
    }
    return add(p, OP_TEST, 0, 0, t, out);
}

/* ---- the grammar
 * ---------------------------------------------------------------------- */

/* "(0008,0060)" begins a test, "(" anything else a group. */
static bool is_tag(const struct parser *p)
{
    const char *s = p->s->text + p->at;
    if (p->end - p->at < 11 || s[5] != ',' || s[10] != ')')
        return false;
    return strspn(s + 1, "0123456789abcdefABCDEF") == 4;
}

static int parse_primary(struct parser *p, uint32_t *out)
{
    skip_space(p);
    if (p->at >= p->end)
        return vivo_ctp_fail(p->s, p->at, p->err, "the expression ends too early");
    if (take_word(p, "true"))
        return add(p, OP_TRUE, 0, 0, NULL, out);
    if (take_word(p, "false"))
        return add(p, OP_FALSE, 0, 0, NULL, out);
    if (is_tag(p) || !take(p, '('))
        return parse_test(p, out);
    int rc = parse_or(p, out);
    return rc ? rc : want(p, ')');
}

static int parse_not(struct parser *p, uint32_t *out)
{
    unsigned times = 0;
    while (take(p, '!'))
        times++;
    int rc = parse_primary(p, out);
    if (!rc && times % 2)
        rc = add(p, OP_NOT, *out, 0, NULL, out);
    return rc;
}

static int parse_and(struct parser *p, uint32_t *out)
{
    int rc = parse_not(p, out);
    while (!rc && take(p, '*')) {
        uint32_t right = 0;
        rc = parse_not(p, &right);
        if (!rc)
            rc = add(p, OP_AND, *out, right, NULL, out);
    }
    return rc;
}

static int parse_or(struct parser *p, uint32_t *out)
{
    if (++p->depth > DEPTH_MAX)
        return vivo_ctp_fail(p->s, p->at, p->err, "parentheses nested too deep");
    int rc = parse_and(p, out);
    while (!rc && take(p, '+')) {
        uint32_t right = 0;
        rc = parse_and(p, &right);
        if (!rc)
            rc = add(p, OP_OR, *out, right, NULL, out);
    }
    p->depth--;
    return rc;
}

int vivo_ctp_expr_parse(const struct vivo_ctp_source *s, size_t from, size_t to,
                        struct vivo_ctp_expr **out, struct vivo_err *err)
{
    struct vivo_ctp_expr *e = calloc(1, sizeof *e);
    if (!e)
        return vivo_fail(err, ENOMEM, "no memory for a script");
    struct parser p = {.s = s, .at = from, .end = to, .e = e, .err = err};
    uint32_t root = 0;
    skip_space(&p);
    int rc = p.at == p.end ? add(&p, OP_TRUE, 0, 0, NULL, &root) : parse_or(&p, &root);
    skip_space(&p);
    if (!rc && p.at != p.end)
        rc = vivo_ctp_fail(s, p.at, err, "'+' or '*' is wanted here");
    if (rc) {
        vivo_ctp_expr_free(e);
        return rc;
    }
    *out = e;
    return 0;
}

/* ---- evaluation
 * ----------------------------------------------------------------------- */

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && !strcmp(s + n - m, end);
}

static bool holds(const struct test *t, const char *v, size_t len)
{
    switch (t->method) {
    case EQUALS:
    case EQUALS_NO_CASE:
        return !strcmp(v, t->text);
    case CONTAINS:
    case CONTAINS_NO_CASE:
        return strstr(v, t->text) != NULL;
    case STARTS:
    case STARTS_NO_CASE:
        return !strncmp(v, t->text, strlen(t->text));
    case ENDS:
    case ENDS_NO_CASE:
        return ends_with(v, t->text);
    case LESS:
        return number_of(v, len) < t->number;
    case GREATER:
        return number_of(v, len) > t->number;
    case MATCHES:
        return !regexec(t->re, v, 0, NULL, 0);
    }
    return false;
}

static int eval_test(const struct test *t, const struct vivo_header *h)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf value = {0};
    VIVO_AUTO(vivo_free_p) char *folded = NULL;
    vivo_buf_init(&value, VALUE_MAX);
    if (vivo_buf_puts(&value, "") || vivo_ctp_value(h, &t->path, &value))
        return -ENOMEM;
    if (!value.data && !vivo_buf_reserve(&value, 1))
        return -ENOMEM;
    value.data[value.len] = '\0';
    const char *v = (const char *)value.data;
    if (no_case(t->method)) {
        folded = fold(v, value.len);
        if (!folded)
            return -ENOMEM;
        v = folded;
    }
    return holds(t, v, strlen(v));
}

/* No deeper than an expression has terms (NODES_MAX). */
static int eval(const struct vivo_ctp_expr *e, uint32_t i, const struct vivo_header *h)
{
    const struct node *n = &e->nodes[i];
    int left, right;
    switch (n->op) {
    case OP_TRUE:
        return 1;
    case OP_FALSE:
        return 0;
    case OP_TEST:
        return eval_test(n->test, h);
    case OP_NOT:
        left = eval(e, n->left, h);
        return left < 0 ? left : !left;
    case OP_AND:
    case OP_OR:
        break;
    }
    left = eval(e, n->left, h);
    if (left < 0 || left == (n->op == OP_OR))
        return left;
    right = eval(e, n->right, h);
    return right;
}

int vivo_ctp_expr_eval(const struct vivo_ctp_expr *e, const struct vivo_header *h)
{
    return eval(e, e->n - 1, h);
}
