/* SPDX-License-Identifier: Apache-2.0 */
/* src/query/parse.c -- the grammar of DESIGN A5, by recursive descent of bounded
 * depth. One function a rule; the first failure is kept with its column. */
#include "internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define VALUES_MAX (VIVO_QUERY_NAME_MAX / 2) /* in one list; a name holds no more */

static const struct vivo_query_node *parse_or(struct vivo_query_parser *p);

static struct vivo_query_node *new_node(struct vivo_query_parser *p,
                                        enum vivo_query_kind kind, size_t at)
{
    struct vivo_query_node *n = vivo_query_alloc(p, sizeof *n);
    if (!n)
        return NULL;
    n->kind = kind;
    n->column = p->columns[at];
    return n;
}

static const struct vivo_query_node *new_not(struct vivo_query_parser *p,
                                             const struct vivo_query_node *a, size_t at)
{
    struct vivo_query_node *n = a ? new_node(p, VIVO_QUERY_NOT, at) : NULL;
    if (n)
        n->a = a;
    return n;
}

static bool enter(struct vivo_query_parser *p, size_t at)
{
    if (p->depth++ < p->depth_max)
        return true;
    vivo_query_fail(p, at, "", "nested more than %u deep", p->depth_max);
    return false;
}

/* ---- values -------------------------------------------------------------------------
 */

static bool take_values(struct vivo_query_parser *p, struct vivo_query_node *n,
                        size_t count, const char *const *raw, const size_t *at)
{
    struct vivo_query_value *values = vivo_query_alloc(p, count * sizeof *values);
    if (!values)
        return false;
    for (size_t i = 0; i < count; i++)
        if (raw[i] && !vivo_query_fit(p, n, raw[i], at[i], &values[i]))
            return false;
    n->values = values;
    n->nvalues = count;
    return true;
}

/* attr "in" "(" value {"," value} ")" */
static bool take_list(struct vivo_query_parser *p, struct vivo_query_node *n)
{
    vivo_query_skip_space(p);
    size_t open = p->pos;
    if (p->s[open] == '@')
        return vivo_query_take_named_list(p, n);
    if (!vivo_query_take(p, "(")) {
        vivo_query_fail(p, open, "write Modality in (CT,MR)",
                        "a parenthesis is missing after in");
        return false;
    }
    n->kind = VIVO_QUERY_IN;
    enum vivo_query_quoting how = vivo_query_quoting_of(n->kind, n->cmp, n->path.cls);
    const char *raw[VALUES_MAX];
    size_t at[VALUES_MAX];
    size_t count = 0;
    do {
        if (!vivo_query_take_value(p, how, "in the list", &raw[count], &at[count]))
            return false;
        count++;
    } while (count < VALUES_MAX && vivo_query_take(p, ","));
    if (!vivo_query_take(p, ")")) {
        vivo_query_fail(p, p->pos, "values are parted by commas",
                        "the list is not closed");
        return false;
    }
    return take_values(p, n, count, raw, at);
}

/* attr "between" value "and" value */
static bool take_between(struct vivo_query_parser *p, struct vivo_query_node *n)
{
    const char *raw[2];
    size_t at[2];
    n->kind = VIVO_QUERY_RANGE;
    if (!vivo_query_take_value(p, VIVO_QUOTING_PLAIN, "after between", &raw[0], &at[0]))
        return false;
    if (!vivo_query_take_word(p, "and")) {
        vivo_query_fail(p, p->pos, "write StudyDate between 2019 and 2021",
                        "and is missing after between");
        return false;
    }
    return vivo_query_take_value(p, VIVO_QUOTING_PLAIN, "after and", &raw[1], &at[1]) &&
           take_values(p, n, 2, raw, at);
}

/* Does the end of a range follow? "2019.. and …" is open, "a..and" is not. */
static bool range_end_follows(struct vivo_query_parser *p)
{
    size_t after = p->pos;
    vivo_query_skip_space(p);
    char c = p->s[p->pos];
    if (c == '"' || c == '\'')
        return true;
    size_t len = vivo_query_word_len(p);
    bool spaced = p->pos > after;
    return len && !(spaced && vivo_query_is_keyword(p->s + p->pos, len));
}

static bool dots_follow(struct vivo_query_parser *p)
{
    vivo_query_skip_space(p);
    return p->s[p->pos] == '.' && p->s[p->pos + 1] == '.';
}

/* attr "=" [value] ".." [value], from after the operator. */
static bool take_range(struct vivo_query_parser *p, struct vivo_query_node *n)
{
    const char *raw[2] = {NULL, NULL};
    size_t at[2] = {0, 0};
    n->kind = VIVO_QUERY_RANGE;
    n->cmp = VIVO_CMP_NONE;
    if (!dots_follow(p) &&
        !vivo_query_take_value(p, VIVO_QUOTING_PLAIN, "", &raw[0], &at[0]))
        return false;
    vivo_query_skip_space(p);
    size_t dots = p->pos;
    p->pos += 2;
    if (range_end_follows(p) &&
        !vivo_query_take_value(p, VIVO_QUOTING_PLAIN, "after ..", &raw[1], &at[1]))
        return false;
    if (!raw[0] && !raw[1]) {
        vivo_query_fail(p, dots, "write SliceThickness=..1.5 or StudyDate=2019..2021",
                        "a range needs one end at least");
        return false;
    }
    return take_values(p, n, 2, raw, at);
}

static bool take_compared(struct vivo_query_parser *p, struct vivo_query_node *n)
{
    size_t start = p->pos;
    size_t at;
    const char *raw = "";
    enum vivo_query_quoting how = vivo_query_quoting_of(n->kind, n->cmp, n->path.cls);
    bool range = n->cmp == VIVO_CMP_EQ && dots_follow(p);
    if (!range) {
        if (!vivo_query_take_value(p, how, "after the operator", &raw, &at))
            return false;
        size_t end = p->pos;
        if (dots_follow(p)) {
            range = n->cmp == VIVO_CMP_EQ;
            if (!range)
                vivo_query_fail(p, p->pos, "", "a range goes with = alone");
        } else {
            p->pos = end;
        }
    }
    if (p->rc)
        return false;
    if (range) {
        p->pos = start;
        return take_range(p, n);
    }
    return take_values(p, n, 1, &raw, &at) &&
           (n->cmp != VIVO_CMP_RE ||
            vivo_query_compile(p, n->values[0].text, at, &n->compiled));
}

/* ---- conditions
 * ------------------------------------------------------------------------ */

static enum vivo_query_cmp take_operator(struct vivo_query_parser *p)
{
    static const struct {
        const char *spelling;
        enum vivo_query_cmp cmp;
    } symbols[] =
        {
            {"==", VIVO_CMP_EQ}, {"=", VIVO_CMP_EQ},  {"!=", VIVO_CMP_NE},
            {"<>", VIVO_CMP_NE}, {"<=", VIVO_CMP_LE}, {"<", VIVO_CMP_LT},
            {">=", VIVO_CMP_GE}, {">", VIVO_CMP_GT},  {"~", VIVO_CMP_RE},
        },
      words[] = {
          {"eq", VIVO_CMP_EQ},     {"ne", VIVO_CMP_NE}, {"lt", VIVO_CMP_LT},
          {"le", VIVO_CMP_LE},     {"gt", VIVO_CMP_GT}, {"ge", VIVO_CMP_GE},
          {"like", VIVO_CMP_LIKE},
      };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(symbols); i++)
        if (vivo_query_take(p, symbols[i].spelling))
            return symbols[i].cmp;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(words); i++)
        if (vivo_query_take_word(p, words[i].spelling))
            return words[i].cmp;
    return VIVO_CMP_NONE;
}

static void fail_operator(struct vivo_query_parser *p, const char *keyword)
{
    char hint[128] = "= != < <= > >= ~ like in between";
    vivo_query_skip_space(p);
    size_t at = p->pos;
    if (at == p->len)
        snprintf(hint, sizeof hint, "to ask whether it is there: has %s", keyword);
    else if (vivo_query_take_word(p, "not"))
        snprintf(hint, sizeof hint, "not stands before the attribute: not %s ...",
                 keyword);
    vivo_query_fail(p, at, hint, "an operator is missing after %s", keyword);
}

static const struct vivo_query_node *parse_condition(struct vivo_query_parser *p)
{
    vivo_query_skip_space(p);
    size_t at = p->pos;
    struct vivo_query_node *n = new_node(p, VIVO_QUERY_CMP, at);
    if (!n || !vivo_query_take_path(p, &n->path))
        return NULL;
    const char *keyword = n->path.steps[n->path.nsteps - 1].keyword;
    bool in = vivo_query_take_word(p, "in");
    bool between = !in && vivo_query_take_word(p, "between");
    if (!in && !between) {
        n->cmp = take_operator(p);
        if (!n->cmp) {
            fail_operator(p, keyword);
            return NULL;
        }
    }
    if (!vivo_query_comparable(p, &n->path, at))
        return NULL;
    /* On text, like is = with wildcards: one spelling for both. */
    if (n->cmp == VIVO_CMP_LIKE &&
        vivo_query_quoting_of(n->kind, VIVO_CMP_EQ, n->path.cls) == VIVO_QUOTING_WILD)
        n->cmp = VIVO_CMP_EQ;
    bool ok = in ? take_list(p, n) : between ? take_between(p, n) : take_compared(p, n);
    return ok ? n : NULL;
}

static const struct vivo_query_node *parse_has(struct vivo_query_parser *p, size_t at)
{
    struct vivo_query_node *n = new_node(p, VIVO_QUERY_HAS, at);
    return n && vivo_query_take_path(p, &n->path) ? n : NULL;
}

/* "any" value: what the profile hides of the seven is left out (DESIGN A5). */
static const struct vivo_query_node *parse_any(struct vivo_query_parser *p, size_t at)
{
    const struct vivo_query_rules *rules = p->rules;
    const char *raw;
    size_t value_at;
    struct vivo_query_node *n = new_node(p, VIVO_QUERY_ANY, at);
    if (!n ||
        !vivo_query_take_value(p, VIVO_QUOTING_PLAIN, "after any", &raw, &value_at) ||
        !take_values(p, n, 1, &raw, &value_at))
        return NULL;
    for (unsigned i = 0; i < VIVO_QUERY_ANY_N; i++)
        if (!rules || !rules->hides ||
            !rules->hides(rules->ctx, vivo_query_any_tags[i], NULL))
            n->any_mask |= 1u << i;
    return n;
}

/* ---- the rules of the grammar
 * ------------------------------------------------------------ */

static const struct vivo_query_node *parse_parens(struct vivo_query_parser *p)
{
    size_t open = p->pos;
    vivo_query_take(p, "(");
    if (!enter(p, open))
        return NULL;
    const struct vivo_query_node *n = parse_or(p);
    p->depth--;
    if (!n)
        return NULL;
    if (vivo_query_take(p, ")"))
        return n;
    if (p->pos == p->len)
        vivo_query_fail(p, open, "", "this parenthesis is not closed");
    return p->rc ? NULL : n; /* what stands here instead is told by the caller */
}

/* patient( study( series( : the word alone is no level. */
static enum vivo_level take_level(struct vivo_query_parser *p)
{
    static const struct {
        const char *word;
        enum vivo_level level;
    } levels[] = {
        {"patient", VIVO_LEVEL_PATIENT},
        {"study", VIVO_LEVEL_STUDY},
        {"series", VIVO_LEVEL_SERIES},
    };
    size_t start = p->pos;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(levels); i++) {
        if (!vivo_query_take_word(p, levels[i].word))
            continue;
        vivo_query_skip_space(p);
        if (p->s[p->pos] == '(')
            return levels[i].level;
        p->pos = start;
    }
    return VIVO_LEVEL_NONE;
}

static const struct vivo_query_node *parse_level(struct vivo_query_parser *p, size_t at,
                                                 enum vivo_level level)
{
    const struct vivo_query_node *a = parse_parens(p);
    struct vivo_query_node *n = a ? new_node(p, VIVO_QUERY_LEVEL, at) : NULL;
    if (n) {
        n->a = a;
        n->level = level;
    }
    return n;
}

static const struct vivo_query_node *parse_prim(struct vivo_query_parser *p)
{
    vivo_query_skip_space(p);
    size_t at = p->pos;
    size_t len = vivo_query_word_len(p);
    if (p->s[at] == '(' && !vivo_query_at_tag(p))
        return parse_parens(p);
    enum vivo_level level = take_level(p);
    if (level)
        return parse_level(p, at, level);
    if (vivo_query_take_word(p, "has"))
        return parse_has(p, at);
    if (vivo_query_take_word(p, "missing"))
        return new_not(p, parse_has(p, at), at);
    if (vivo_query_take_word(p, "any"))
        return parse_any(p, at);
    bool condition = len ? !vivo_query_is_keyword(p->s + at, len) : p->s[at] == '(';
    if (condition)
        return parse_condition(p);
    const char *where = at == p->len ? "at the end" : "here";
    vivo_query_fail(p, at, "write Modality=CT, for example",
                    "a condition is missing %s", where);
    return NULL;
}

static const struct vivo_query_node *parse_not(struct vivo_query_parser *p)
{
    size_t nots[VIVO_QUERY_DEPTH_MAX + 1];
    unsigned count = 0;
    for (;;) {
        vivo_query_skip_space(p);
        size_t at = p->pos;
        if (!vivo_query_take(p, "!") && !vivo_query_take_word(p, "not"))
            break;
        if (!enter(p, at))
            return NULL;
        nots[count++] = at;
    }
    const struct vivo_query_node *n = parse_prim(p);
    p->depth -= count;
    while (n && count > 0)
        n = new_not(p, n, nots[--count]);
    return n;
}

static bool take_and(struct vivo_query_parser *p)
{
    return vivo_query_take(p, "&&") || vivo_query_take(p, "&") ||
           vivo_query_take(p, ",") || vivo_query_take_word(p, "and");
}

static bool take_or(struct vivo_query_parser *p)
{
    return vivo_query_take(p, "||") || vivo_query_take(p, "|") ||
           vivo_query_take_word(p, "or");
}

static const struct vivo_query_node *
parse_chain(struct vivo_query_parser *p, enum vivo_query_kind kind,
            const struct vivo_query_node *(*operand)(struct vivo_query_parser *),
            bool (*take)(struct vivo_query_parser *))
{
    const struct vivo_query_node *n = operand(p);
    for (;;) {
        vivo_query_skip_space(p);
        size_t at = p->pos;
        if (!n || !take(p))
            return n;
        const struct vivo_query_node *b = operand(p);
        if (!b)
            return NULL;
        n = vivo_query_join(p->q->arena, kind, n, b, p->columns[at]);
        if (!n)
            vivo_query_fail_nomem(p);
    }
}

static const struct vivo_query_node *parse_and(struct vivo_query_parser *p)
{
    return parse_chain(p, VIVO_QUERY_AND, parse_not, take_and);
}

static const struct vivo_query_node *parse_or(struct vivo_query_parser *p)
{
    return parse_chain(p, VIVO_QUERY_OR, parse_and, take_or);
}

const struct vivo_query_node *vivo_query_parse_expr(struct vivo_query_parser *p)
{
    const struct vivo_query_node *n = parse_or(p);
    vivo_query_skip_space(p);
    if (!n || p->pos == p->len)
        return n;
    if (p->s[p->pos] == ')')
        vivo_query_fail(p, p->pos, "", "this parenthesis was never opened");
    else
        vivo_query_fail(
            p, p->pos,
            "join conditions with and, or; put quotes around a value with spaces or "
            "( ) , = ! < > ~ & |",
            "and or or is missing here");
    return NULL;
}
