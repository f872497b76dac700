/* SPDX-License-Identifier: Apache-2.0 */
/* src/query/regex.c -- POSIX extended regular expressions: what is refused, compiling,
 * matching (DESIGN A5).
 *
 * glibc takes bytes for characters unless a locale says otherwise, so each is compiled
 * in C.UTF-8, too: "." is one letter. ASCII alone goes the shorter way. */
#include "internal.h"
#include "vivofs/text.h"

#include <locale.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* glibc's compiler copies an atom for "+" and for each count of { }: atoms in all
 * that it may come to. */
#define REGEX_ATOMS_MAX 4096
#define EXPANDED_MAX ((size_t)64 << 10) /* bytes with ranges written out */

static pthread_once_t utf8_once = PTHREAD_ONCE_INIT;
static locale_t utf8; /* kept as long as the program; 0 = there is none */

static void make_utf8(void)
{
    utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
}

static bool is_ascii(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)s[i] >= 0x80)
            return false;
    return true;
}

/* ---- what is refused
 * ----------------------------------------------------------------------- */

/* End of the bracket expression that begins at s[i]; backslashes are literal in it. */
static size_t bracket_end(const char *s, size_t i)
{
    i++;
    if (s[i] == '^')
        i++;
    if (s[i] == ']')
        i++;
    for (; s[i] && s[i] != ']'; i++) {
        char kind = s[i + 1];
        if (s[i] != '[' || !kind || !strchr(":.=", kind))
            continue;
        for (i += 2; s[i] && !(s[i] == kind && s[i + 1] == ']');)
            i++;
        if (!s[i])
            return i - 1;
        i++;
    }
    return s[i] ? i : i - 1;
}

/* How often regcomp writes down the atom before {m,n} or {m,} at s[i]. */
static unsigned copies(const char *s, size_t i)
{
    unsigned most = 1;
    unsigned v = 0;
    for (i++; (s[i] >= '0' && s[i] <= '9') || s[i] == ','; i++) {
        v = s[i] == ',' ? 0 : VIVO_MIN(v * 10 + (unsigned)(s[i] - '0'), 100000u);
        most = VIVO_MAX(most, v);
    }
    return most + 1;
}

/* What a regular expression comes to when all copies are written down. */
struct atoms {
    unsigned long long
        sum[VIVO_QUERY_REGEX_MAX + 1]; /* before the last, by parenthesis */
    unsigned long long last[VIVO_QUERY_REGEX_MAX + 1];
    size_t depth;
};

static void count_atom(struct atoms *t, char c, unsigned times)
{
    size_t d = t->depth;
    if (c == '(') {
        t->depth++;
        t->sum[t->depth] = t->last[t->depth] = 0;
    } else if (c == ')' && d > 0) {
        t->depth--;
        t->sum[d - 1] += t->last[d - 1];
        t->last[d - 1] = t->sum[d] + t->last[d] + 1;
    } else if (times) {
        t->last[d] = VIVO_MAX(t->last[d], 1u) * times;
    } else {
        t->sum[d] += t->last[d];
        t->last[d] = 1;
    }
}

static bool check_size(struct vivo_query_parser *p, const char *s, size_t at)
{
    struct atoms t = {.depth = 0};
    for (size_t i = 0; s[i]; i++) {
        char c = s[i];
        unsigned times = c == '+' ? 2 : c == '{' ? copies(s, i) : c == '*' || c == '?';
        if (c == '\\' && s[i + 1]) {
            i++;
            c = 'x';
        } else if (c == '[') {
            i = bracket_end(s, i);
        }
        count_atom(&t, c, times);
        if (t.sum[t.depth] + t.last[t.depth] > REGEX_ATOMS_MAX) {
            vivo_query_fail(p, at, "use fewer + and smaller numbers in { }",
                            "the regular expression repeats too much");
            return false;
        }
    }
    return true;
}

/* What regcomp or regexec would take exponential time for is refused before. */
static bool check_regex(struct vivo_query_parser *p, const char *s, size_t at)
{
    if (strlen(s) > VIVO_QUERY_REGEX_MAX) {
        vivo_query_fail(p, at, "", "a regular expression has at most %d bytes",
                        VIVO_QUERY_REGEX_MAX);
        return false;
    }
    for (size_t i = 0; s[i]; i++) {
        if (s[i] == '[') {
            i = bracket_end(s, i);
        } else if (s[i] == '\\' && s[i + 1] && s[++i] >= '1' && s[i] <= '9') {
            vivo_query_fail(p, at, "", "back-references are not offered");
            return false;
        }
    }
    return check_size(p, s, at);
}

/* ---- letters beyond ASCII
 * ------------------------------------------------------------------ */

/* The character at s, of valid UTF-8; *len gets its bytes. */
static uint32_t letter_at(const char *s, size_t *len)
{
    uint8_t lead = (uint8_t)*s;
    *len = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    uint32_t c = *len == 1 ? lead : lead & (0x7Fu >> *len);
    for (size_t i = 1; i < *len; i++)
        c = c << 6 | ((uint8_t)s[i] & 0x3Fu);
    return c;
}

static int put_letter(struct vivo_buf *out, uint32_t c)
{
    char s[4];
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n; i-- > 1; c >>= 6)
        s[i] = (char)(0x80 | (c & 0x3F));
    s[0] = (char)((0xF00u >> n & 0xF0) | c);
    return vivo_text_fold(s, n, out);
}

/* C.UTF-8 has no order beyond ASCII: a range is written out, letter for letter. */
static int put_range(struct vivo_buf *out, uint32_t first, uint32_t last)
{
    int rc = 0;
    if (first < 0x80) {
        const char ascii[] = {(char)first, '-', 0x7F};
        rc = vivo_buf_add(out, ascii, sizeof ascii);
        first = 0x80;
    }
    for (uint32_t c = first; c <= last && !rc; c++)
        if (c < 0xD800 || c > 0xDFFF)
            rc = put_letter(out, c);
    return rc;
}

/* ASCII stays, for \\W and [[:upper:]]; REG_ICASE knows no other. */
static int put_folded(struct vivo_buf *out, const char *s, size_t len)
{
    return (uint8_t)*s < 0x80 ? vivo_buf_add(out, s, len) : vivo_text_fold(s, len, out);
}

/* What is in a bracket expression at s[i], which ends at `end`: one letter, class or
 * range. Returns where the next begins, 0 when a range goes backwards or on and on. */
static size_t put_member(struct vivo_buf *out, const char *s, size_t i, size_t end)
{
    size_t n;
    uint32_t first = letter_at(s + i, &n);
    if (s[i] == '[' && s[i + 1] && strchr(":.=", s[i + 1])) {
        const char close[] = {s[i + 1], ']', 0};
        const char *stop = strstr(s + i + 2, close);
        n = stop ? (size_t)(stop + 2 - s) - i : end - i;
        return vivo_buf_add(out, s + i, n) ? 0 : i + n;
    }
    if (s[i + n] != '-' || i + n + 1 >= end || s[i + n + 1] == '[')
        return put_folded(out, s + i, n) ? 0 : i + n;
    size_t n2;
    uint32_t last = letter_at(s + i + n + 1, &n2);
    int rc = last < 0x80    ? vivo_buf_add(out, s + i, n + 1 + n2)
             : last < first ? -1
                            : put_range(out, first, last);
    return rc ? 0 : i + n + 1 + n2;
}

/* Values are folded before matching, so what of the pattern REG_ICASE does not know
 * is folded, too. */
static bool fold_beyond_ascii(const char *s, struct vivo_buf *out)
{
    int rc = vivo_buf_puts(out, "");
    for (size_t i = 0, n; s[i] && !rc;) {
        if (s[i] == '[') {
            size_t end = bracket_end(s, i);
            n = 1 + (s[i + 1] == '^');
            rc = vivo_buf_add(out, s + i, n);
            for (i += n; !rc && i < end;)
                if (!(i = put_member(out, s, i, end)))
                    return false;
            continue;
        }
        letter_at(s + i, &n);
        n += s[i] == '\\' && s[i + 1] && (uint8_t)s[i + 1] < 0x80;
        rc = put_folded(out, s + i, n);
        i += n;
    }
    return !rc;
}

/* ---- compiling and matching
 * ---------------------------------------------------------------- */

/* What is ASCII is compiled twice, what is not as letters alone. */
static int compile(struct vivo_query_regex *re, const char *pattern)
{
    const int flags = REG_EXTENDED | REG_ICASE | REG_NOSUB;
    int rc = 0;
    pthread_once(&utf8_once, make_utf8);
    if (!utf8 || is_ascii(pattern, strlen(pattern))) {
        rc = regcomp(&re->bytes, pattern, flags);
        re->has_bytes = !rc;
    }
    if (utf8 && !rc) {
        locale_t before = uselocale(utf8);
        rc = regcomp(&re->letters, pattern, flags);
        re->has_letters = !rc;
        uselocale(before);
    }
    if (rc)
        vivo_query_regex_free(re);
    return rc;
}

bool vivo_query_compile(struct vivo_query_parser *p, const char *pattern, size_t at,
                        const struct vivo_query_regex **out)
{
    if (!check_regex(p, pattern, at))
        return false;
    struct vivo_query_regex *re = vivo_query_alloc(p, sizeof *re);
    if (!re)
        return false;
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf folded = {0};
    vivo_buf_init(&folded, EXPANDED_MAX);
    if (!fold_beyond_ascii(pattern, &folded)) {
        vivo_query_fail(p, at, "", "a range in it goes backwards, or is too long");
        return false;
    }
    int rc = compile(re, folded.len ? (const char *)folded.data : "");
    if (rc) {
        char why[80];
        regerror(rc, NULL, why, sizeof why);
        vivo_query_fail(p, at, why, "that is no POSIX extended regular expression");
        return false;
    }
    re->next = p->q->regexes;
    p->q->regexes = re;
    *out = re;
    return true;
}

bool vivo_query_regex_matches(const struct vivo_query_regex *re, const char *s,
                              size_t len)
{
    regmatch_t all = {.rm_so = 0, .rm_eo = (regoff_t)len};
    if (!re->has_letters || (re->has_bytes && is_ascii(s, len)))
        return regexec(&re->bytes, s, 0, &all, REG_STARTEND) == 0;
    locale_t before = uselocale(utf8);
    bool holds = regexec(&re->letters, s, 0, &all, REG_STARTEND) == 0;
    uselocale(before);
    return holds;
}

void vivo_query_regex_free(struct vivo_query_regex *re)
{
    if (re->has_bytes)
        regfree(&re->bytes);
    if (re->has_letters)
        regfree(&re->letters);
}
