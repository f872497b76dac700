/* SPDX-License-Identifier: Apache-2.0 */
/* src/deid/ctp_parse.c -- the text of a script's row becomes parts.
 *
 * text := { character | \character | @name(arguments){block}{block} }. Arguments are
 * parted by commas outside "" [] (). What cannot be honoured ends the load. */
#include "ctp.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 12
#define PARTS_MAX 64
#define ARGS_MAX 8

struct reading {
    struct vivo_ctp *c;
    const struct vivo_ctp_row *row;
    struct vivo_err *err;
    unsigned depth;
};

struct args {
    size_t n;
    const char *text[ARGS_MAX]; /* quotes and @ of parameters resolved */
};

static int fail_at(const struct reading *r, const char *name, const char *what)
{
    return vivo_script_fail(r->c, r->row->line, r->err, "@%s: %s", name, what);
}

static int no_memory(const struct reading *r)
{
    return vivo_fail(r->err, ENOMEM, "no memory for a script");
}

/* ---- arguments --------------------------------------------------------------------
 */

/* The index of the bracket that closes the one at s[0]; 0 = there is none. */
static size_t closing(const char *s, size_t len, char open, char close)
{
    unsigned depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < len; i++) {
        if (s[i] == '\\') {
            i++;
            continue;
        }
        if (s[i] == '"' && open == '(')
            quoted = !quoted;
        if (quoted)
            continue;
        depth += s[i] == open;
        if (s[i] == close && --depth == 0)
            return i;
    }
    return 0;
}

static int take_arg(struct reading *r, const char *name, const char *s, size_t len,
                    struct args *out)
{
    while (len && isspace((unsigned char)s[len - 1]))
        len--;
    while (len && isspace((unsigned char)*s))
        s++, len--;
    if (out->n == ARGS_MAX)
        return fail_at(r, name, "too many arguments");
    if (len >= 2 && s[0] == '"' && s[len - 1] == '"') {
        s++;
        len -= 2;
    } else if (len > 1 && (*s == '@' || *s == '$')) {
        const char *value = vivo_ctp_param(r->c, s + 1, len - 1);
        if (!value)
            return vivo_script_fail(r->c, r->row->line, r->err,
                                    "@%s: there is no parameter %.*s", name,
                                    (int)len - 1, s + 1);
        s = value;
        len = strlen(value);
    }
    out->text[out->n] = vivo_arena_strndup(r->c->arena, s, len);
    return out->text[out->n++] ? 0 : no_memory(r);
}

static int split_args(struct reading *r, const char *name, const char *s, size_t len,
                      struct args *out)
{
    int depth = 0;
    bool quoted = false;
    size_t start = 0, end = len;
    out->n = 0;
    while (end && isspace((unsigned char)s[end - 1]))
        end--;
    if (!end)
        return 0;
    for (size_t i = 0; i <= len; i++) {
        if (i < len) {
            if (s[i] == '"')
                quoted = !quoted;
            if (quoted)
                continue;
            depth += s[i] == '(' || s[i] == '[';
            depth -= s[i] == ')' || s[i] == ']';
            if (s[i] != ',' || depth > 0)
                continue;
        }
        int rc = take_arg(r, name, s + start, i - start, out);
        if (rc)
            return rc;
        start = i + 1;
    }
    return 0;
}

/* ---- what functions take
 * -------------------------------------------------------------- */

static int take_ref(struct reading *r, const char *name, struct vivo_ctp_part *p,
                    const char *text)
{
    struct vivo_err why = {0};
    if (p->nrefs == VIVO_CTP_REFS_MAX)
        return fail_at(r, name, "too many attributes");
    if (vivo_ctp_ref_parse(text, strlen(text), &p->ref[p->nrefs], &why))
        return fail_at(r, name, why.text);
    p->nrefs++;
    return 0;
}

/* E1|E2|… */
static int take_refs(struct reading *r, const char *name, struct vivo_ctp_part *p,
                     const char *text)
{
    char one[256];
    for (const char *s = text;; s += strcspn(s, "|") + 1) {
        size_t n = VIVO_MIN(strcspn(s, "|"), sizeof one - 1);
        memcpy(one, s, n);
        one[n] = '\0';
        int rc = take_ref(r, name, p, one);
        if (rc || !s[strcspn(s, "|")])
            return rc;
    }
}

static int take_number(struct reading *r, const char *name, const char *text, long min,
                       long max, long *out)
{
    char *end = NULL;
    errno = 0;
    long n = strtol(text, &end, 10); /* allow: checked */
    if (end == text || *end || errno || n < min || n > max)
        return fail_at(r, name, "an argument is no number or out of range");
    *out = n;
    return 0;
}

static int take_regex(struct reading *r, const char *name, struct vivo_ctp_part *p,
                      const char *text, bool whole)
{
    struct vivo_ctp *c = r->c;
    struct vivo_err why = {0};
    if (c->nregexes == c->regexes_cap) {
        size_t cap = c->regexes_cap ? 2 * c->regexes_cap : 16;
        void *more = reallocarray(c->regexes, cap, sizeof *c->regexes);
        if (!more)
            return no_memory(r);
        c->regexes = more;
        c->regexes_cap = cap;
    }
    regex_t *re = calloc(1, sizeof *re);
    if (!re)
        return no_memory(r);
    if (vivo_ctp_regex(text, whole, re, &why)) {
        free(re);
        return fail_at(r, name, why.text);
    }
    c->regexes[c->nregexes++] = re;
    p->regex = re;
    return 0;
}

static int take_field(struct reading *r, const char *name, const char *text, long max,
                      int *out)
{
    long n = -1;
    int rc = strcmp(text, "*") ? take_number(r, name, text, 1, max, &n) : 0;
    *out = (int)n;
    return rc;
}

static int take_cond(struct reading *r, struct vivo_ctp_part *p, const struct args *a)
{
    static const char *const words[] = {"isblank", "exists",  "contains",
                                        "equals",  "matches", "greaterthan"};
    size_t i = 0;
    while (i < VIVO_ARRAY_LEN(words) && strcmp(a->text[1], words[i]))
        i++;
    if (i == VIVO_ARRAY_LEN(words))
        return fail_at(r, "if", "no such condition");
    p->cond = (enum vivo_ctp_cond)i;
    bool needs = p->cond >= VIVO_CTP_HAS;
    if (needs != (a->n == 3))
        return fail_at(r, "if", "the condition has not its argument");
    p->text = needs ? a->text[2] : "";
    if (p->cond == VIVO_CTP_GREATER)
        return take_number(r, "if", p->text, 0, 1000000000, &p->number);
    return p->cond == VIVO_CTP_MATCHES ? take_regex(r, "if", p, p->text, true) : 0;
}

static int take_miss(struct reading *r, struct vivo_ctp_part *p, const struct args *a)
{
    static const char *const words[] = {"quarantine", "keep",    "remove",
                                        "empty",      "default", "ignore"};
    p->text2 = a->text[1];
    if (a->n < 3)
        return 0;
    if (!strcasecmp(a->text[2], "UC")) {
        p->upper = true;
        return 0;
    }
    /* default(text) and ignore(regex), or the argument behind a comma. */
    const char *word = a->text[2];
    size_t n = strcspn(word, "("), i = 0;
    while (i < VIVO_ARRAY_LEN(words) &&
           (strlen(words[i]) != n || memcmp(words[i], word, n)))
        i++;
    if (i == VIVO_ARRAY_LEN(words))
        return fail_at(r, "lookup", "no such action");
    p->miss = (enum vivo_ctp_miss)i;
    const char *arg = a->n > 3 ? a->text[3] : "";
    if (word[n] == '(')
        arg = vivo_arena_strndup(r->c->arena, word + n + 1, strlen(word + n + 1) - 1);
    if (!arg)
        return no_memory(r);
    p->text = arg;
    return p->miss == VIVO_CTP_MISS_IGNORE ? take_regex(r, "lookup", p, arg, true) : 0;
}

/* ---- functions
 * ------------------------------------------------------------------------ */

/* args: the letters of what each argument is; E element, L elements parted by '|',
 * n number, t text, r regex, behind '?' what may be left out. */
static const struct function {
    const char *name;
    enum vivo_ctp_fn fn;
    const char *args;
    uint8_t blocks;
    const char *why; /* REFUSED */
} functions[] = {
    {"keep", VIVO_CTP_KEEP, "", 0, NULL},
    {"remove", VIVO_CTP_REMOVE, "", 0, NULL},
    {"empty", VIVO_CTP_EMPTY, "", 0, NULL},
    {"blank", VIVO_CTP_BLANK, "n", 0, NULL},
    {"always", VIVO_CTP_ALWAYS, "", 0, NULL},
    {"contents", VIVO_CTP_CONTENTS, "E?rt", 0, NULL},
    {"value", VIVO_CTP_VALUE, "E?t", 0, NULL},
    {"truncate", VIVO_CTP_TRUNCATE, "En", 0, NULL},
    {"uppercase", VIVO_CTP_UPPERCASE, "E", 0, NULL},
    {"lowercase", VIVO_CTP_LOWERCASE, "E", 0, NULL},
    {"initials", VIVO_CTP_INITIALS, "E?n", 0, NULL},
    {"hash", VIVO_CTP_HASH, "E?n", 0, NULL},
    {"hashname", VIVO_CTP_HASHNAME, "E?nn", 0, NULL},
    {"hashptid", VIVO_CTP_HASHPTID, "2E?n", 0, NULL},
    {"hashuid", VIVO_CTP_HASHUID, "2E?E", 0, NULL},
    {"hashdate", VIVO_CTP_HASHDATE, "EE", 0, NULL},
    {"incrementdate", VIVO_CTP_INCREMENTDATE, "E*", 0, NULL},
    {"modifydate", VIVO_CTP_MODIFYDATE, "E*", 0, NULL},
    {"dateinterval", VIVO_CTP_DATEINTERVAL, "E2E?n", 0, NULL},
    {"round", VIVO_CTP_ROUND, "En", 0, NULL},
    {"lookup", VIVO_CTP_LOOKUP, "L*", 0, NULL},
    {"param", VIVO_CTP_PARAM, "t", 0, NULL},
    {"require", VIVO_CTP_REQUIRE, "?Et", 0, NULL},
    {"if", VIVO_CTP_IF, "E*", 2, NULL},
    {"select", VIVO_CTP_SELECT, "", 2, NULL},
    {"append", VIVO_CTP_APPEND, "", 1, NULL},
    {"process", VIVO_CTP_PROCESS, "", 0, NULL},
    {"pathelement", VIVO_CTP_PATHELEMENT, "En", 0, NULL},
    {"quarantine", VIVO_CTP_QUARANTINE, "", 0, NULL},
    {"skip", VIVO_CTP_SKIP, "", 0, NULL},
    {"date", VIVO_CTP_REFUSED, "", 0,
     "cannot be honoured: the same object would differ each time it is read"},
    {"time", VIVO_CTP_REFUSED, "", 0,
     "cannot be honoured: the same object would differ each time it is read"},
    {"integer", VIVO_CTP_REFUSED, "", 0,
     "cannot be honoured: its numbers follow the order in which objects are read"},
    {"encrypt", VIVO_CTP_REFUSED, "", 0,
     "cannot be honoured: its cipher (Blowfish, ECB) does not protect; hash instead"},
    {"decrypt", VIVO_CTP_REFUSED, "", 0,
     "cannot be honoured: it shows what was hidden"},
    {"call", VIVO_CTP_REFUSED, "", 0, "cannot be honoured: there are no plug-ins"},
};

/* What the table of functions cannot say. */
static int take_special(struct reading *r, const struct function *f,
                        struct vivo_ctp_part *p, const struct args *a)
{
    switch ((int)f->fn) {
    case VIVO_CTP_IF:
        return a->n < 2 || a->n > 3 ? fail_at(r, f->name, "E,condition[,argument]")
                                    : take_cond(r, p, a);
    case VIVO_CTP_LOOKUP:
        return a->n < 2 || a->n > 4 ? fail_at(r, f->name, "E,keytype[,action[,text]]")
                                    : take_miss(r, p, a);
    case VIVO_CTP_INCREMENTDATE:
        if (a->n == 2)
            return take_number(r, f->name, a->text[1], -400000, 400000, &p->number);
        if (a->n != 3)
            return fail_at(r, f->name, "DateE,days or DateE,KeyE,keytype");
        p->text2 = a->text[2];
        return take_ref(r, f->name, p, a->text[1]);
    case VIVO_CTP_MODIFYDATE:
        if (a->n != 4)
            return fail_at(r, f->name, "DateE,year,month,day");
        for (size_t i = 0; i < 3; i++) {
            static const long most[] = {9999, 12, 31};
            int rc = take_field(r, f->name, a->text[1 + i], most[i], &p->field[i]);
            if (rc)
                return rc;
        }
        return 0;
    default:
        return 0;
    }
}

static int take_one(struct reading *r, const struct function *f, char what,
                    struct vivo_ctp_part *p, const char *text)
{
    long *number = p->has_number ? &p->number2 : &p->number;
    switch (what) {
    case 'E':
        return take_ref(r, f->name, p, text);
    case 'L':
        return take_refs(r, f->name, p, text);
    case 'n':
        p->has_number = true;
        return take_number(r, f->name, text, -100000, 100000, number);
    case 'r':
        return take_regex(r, f->name, p, text, false);
    case '2':
        p->text2 = text;
        return 0;
    default: /* the second text is that behind a regular expression */
        p->text = text;
        return 0;
    }
}

static int take_args(struct reading *r, const struct function *f,
                     struct vivo_ctp_part *p, const struct args *a)
{
    bool optional = false;
    size_t i = 0;
    p->text = "";
    p->text2 = "";
    for (const char *w = f->args; *w; w++) {
        if (*w == '?') {
            optional = true;
            continue;
        }
        if (*w == '*')
            return take_special(r, f, p, a);
        if (i == a->n)
            return optional ? 0 : fail_at(r, f->name, "an argument is missing");
        int rc = take_one(r, f, *w, p, a->text[i++]);
        if (rc)
            return rc;
    }
    return i < a->n ? fail_at(r, f->name, "too many arguments") : 0;
}

/* ---- text
 * ------------------------------------------------------------------------------ */

static int parse_text(struct reading *r, const char *s, size_t len,
                      const struct vivo_ctp_script **out);

static const struct function *find_function(const char *s, size_t len)
{
    for (size_t i = 0; i < VIVO_ARRAY_LEN(functions); i++)
        if (strlen(functions[i].name) == len && !memcmp(functions[i].name, s, len))
            return &functions[i];
    return NULL;
}

static int take_blocks(struct reading *r, const struct function *f,
                       struct vivo_ctp_part *p, const char *s, size_t len, size_t *used)
{
    const struct vivo_ctp_script **blocks[] = {&p->yes, &p->no};
    for (size_t i = 0; i < f->blocks; i++) {
        while (*used < len && isspace((unsigned char)s[*used]))
            (*used)++;
        size_t end = *used < len && s[*used] == '{'
                         ? closing(s + *used, len - *used, '{', '}')
                         : 0;
        if (!end)
            return fail_at(r, f->name, "a {block} is missing");
        int rc = parse_text(r, s + *used + 1, end - 1, blocks[i]);
        if (rc)
            return rc;
        *used += end + 1;
    }
    return 0;
}

/* A call; s[0] is '@'. *used: how many characters. */
static int take_call(struct reading *r, const char *s, size_t len,
                     struct vivo_ctp_part *p, size_t *used)
{
    size_t n = 1;
    struct args a = {0};
    while (n < len && isalpha((unsigned char)s[n]))
        n++;
    const struct function *f = find_function(s + 1, n - 1);
    if (!f)
        return vivo_script_fail(r->c, r->row->line, r->err, "no such function: @%.*s",
                                (int)VIVO_MIN(n - 1, 40), s + 1);
    if (f->fn == VIVO_CTP_REFUSED)
        return fail_at(r, f->name, f->why);
    size_t end = n < len && s[n] == '(' ? closing(s + n, len - n, '(', ')') : 0;
    if (!end)
        return fail_at(r, f->name, "its (arguments) are missing");
    p->fn = f->fn;
    int rc = split_args(r, f->name, s + n + 1, end - 1, &a);
    if (!rc)
        rc = take_args(r, f, p, &a);
    *used = n + end + 1;
    return rc ? rc : take_blocks(r, f, p, s, len, used);
}

/* Literal text up to the next call; escapes are resolved. */
static int take_literal(struct reading *r, const char *s, size_t len,
                        struct vivo_ctp_part *p, size_t *used)
{
    char text[VIVO_CTP_TEXT_MAX];
    size_t n = 0, i = 0;
    for (; i < len && !(s[i] == '@' && i + 1 < len && isalpha((unsigned char)s[i + 1]));
         i++) {
        if (s[i] == '\\' && i + 1 < len)
            i++;
        if (n == sizeof text || (s[i] & 0x80))
            return vivo_script_fail(r->c, r->row->line, r->err,
                                    "text that is too long or not ASCII (an object's "
                                    "character set may not have it)");
        text[n++] = s[i];
    }
    p->fn = VIVO_CTP_TEXT;
    p->text = vivo_arena_strndup(r->c->arena, text, n);
    *used = i;
    return p->text ? 0 : no_memory(r);
}

static int parse_text(struct reading *r, const char *s, size_t len,
                      const struct vivo_ctp_script **out)
{
    struct vivo_ctp_part parts[PARTS_MAX];
    size_t n = 0, size = sizeof parts[0];
    if (++r->depth > DEPTH_MAX)
        return vivo_script_fail(r->c, r->row->line, r->err, "blocks nested too deep");
    for (size_t at = 0, used = 0; at < len; at += used) {
        if (n == PARTS_MAX)
            return vivo_script_fail(r->c, r->row->line, r->err, "too long");
        memset(&parts[n], 0, size);
        bool call = s[at] == '@' && at + 1 < len && isalpha((unsigned char)s[at + 1]);
        int rc = call ? take_call(r, s + at, len - at, &parts[n], &used)
                      : take_literal(r, s + at, len - at, &parts[n], &used);
        if (rc)
            return rc;
        n++;
    }
    r->depth--;
    struct vivo_ctp_script *script = vivo_arena_alloc(r->c->arena, sizeof *script);
    struct vivo_ctp_part *kept = vivo_arena_alloc(r->c->arena, n * size + 1);
    if (!script || !kept)
        return no_memory(r);
    if (n)
        memcpy(kept, parts, n * size);
    *script = (struct vivo_ctp_script){n, kept};
    *out = script;
    return 0;
}

int vivo_ctp_parse(struct vivo_ctp *c, struct vivo_ctp_row *row, struct vivo_err *err)
{
    struct reading r = {.c = c, .row = row, .err = err};
    return parse_text(&r, row->text, strlen(row->text), &row->script);
}
