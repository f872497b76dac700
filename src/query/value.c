/* SPDX-License-Identifier: Apache-2.0 */
/* src/query/value.c -- a typed value made ready for comparing: NFC and case folding,
 * wildcards, numbers, dates, UIDs; refused with a caret when it does not fit the
 * attribute's VR (DESIGN A5). */
#include "internal.h"
#include "vivofs/text.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static bool is_text(enum vivo_query_class cls)
{
    return cls == VIVO_CLASS_TEXT || cls == VIVO_CLASS_NAME || cls == VIVO_CLASS_UID ||
           cls == VIVO_CLASS_UNKNOWN;
}

enum vivo_query_quoting vivo_query_quoting_of(enum vivo_query_kind kind,
                                              enum vivo_query_cmp cmp,
                                              enum vivo_query_class cls)
{
    if (kind == VIVO_QUERY_CMP && cmp == VIVO_CMP_RE)
        return VIVO_QUOTING_REGEX;
    if (kind == VIVO_QUERY_CMP && cmp == VIVO_CMP_LIKE)
        return VIVO_QUOTING_WILD;
    bool equals = kind == VIVO_QUERY_IN || (kind == VIVO_QUERY_CMP &&
                                            (cmp == VIVO_CMP_EQ || cmp == VIVO_CMP_NE));
    return equals && is_text(cls) ? VIVO_QUOTING_WILD : VIVO_QUOTING_PLAIN;
}

/* ---- text --------------------------------------------------------------------------
 */

/* NFC, spaces at the ends trimmed. */
static const char *normalise(struct vivo_query_parser *p, const char *s)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf b = {0};
    vivo_buf_init(&b, VIVO_QUERY_TEXT_MAX);
    if (vivo_text_nfc(s, strlen(s), &b)) {
        vivo_query_fail_nomem(p);
        return NULL;
    }
    const char *t = b.len ? (const char *)b.data : "";
    size_t n = b.len;
    while (n && t[n - 1] == ' ')
        n--;
    while (n && *t == ' ') {
        t++;
        n--;
    }
    return vivo_query_dup(p, t, n);
}

static const char *fold(struct vivo_query_parser *p, const char *s)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf b = {0};
    vivo_buf_init(&b, VIVO_QUERY_TEXT_MAX);
    if (vivo_text_fold(s, strlen(s), &b)) {
        vivo_query_fail_nomem(p);
        return NULL;
    }
    return vivo_query_dup(p, b.len ? (const char *)b.data : "", b.len);
}

/* Drops the backslashes of a pattern; *wild: was there a * or ? without one? */
static const char *unescape(struct vivo_query_parser *p, const char *s, bool *wild)
{
    size_t len = strlen(s);
    char *out = vivo_query_alloc(p, len + 1);
    if (!out)
        return NULL;
    char *o = out;
    *wild = false;
    for (size_t i = 0; i < len; i++) {
        *wild |= s[i] == '*' || s[i] == '?';
        if (s[i] == '\\' && i + 1 < len)
            i++;
        *o++ = s[i];
    }
    return out;
}

/* text, folded and, with wildcards, pattern and typed. */
static bool fit_text(struct vivo_query_parser *p, enum vivo_query_quoting how,
                     const char *raw, struct vivo_query_value *out)
{
    const char *s = normalise(p, raw);
    if (!s)
        return false;
    bool wild = false;
    out->text = how == VIVO_QUOTING_WILD ? unescape(p, s, &wild) : s;
    if (!out->text)
        return false;
    if (wild) {
        out->typed = s;
        out->pattern = fold(p, s);
    }
    out->folded = fold(p, out->text);
    return !p->rc;
}

/* ---- UIDs and tags
 * -------------------------------------------------------------------- */

static bool fit_uid(struct vivo_query_parser *p, size_t at, const char *keyword,
                    struct vivo_query_value *out)
{
    const char *uid = vivo_dcm_uid_keyword(out->text, strlen(out->text));
    if (uid && !out->pattern) {
        out->text = out->folded = uid;
        return true;
    }
    const char *s = out->text;
    if (strspn(s, out->pattern ? "0123456789.*?" : "0123456789.") == strlen(s))
        return true;
    vivo_query_fail(p, at, "write a UID or a UID keyword of PS3.6: CTImageStorage",
                    "%s is a UID; this is none", keyword);
    return false;
}

/* AT values are 8 hexadecimal digits here, however they were typed. */
static bool fit_tag(struct vivo_query_parser *p, struct vivo_query_value *out)
{
    char digits[9] = "";
    size_t n = 0;
    for (const char *c = out->text; *c; c++) {
        if (strchr("(), ", *c))
            continue;
        if (n == 8 || !strchr("0123456789abcdefABCDEF", *c))
            return true;
        digits[n++] = *c;
    }
    if (n != 8)
        return true;
    for (size_t i = 0; i < n; i++)
        if (digits[i] >= 'a')
            digits[i] = (char)(digits[i] - 'a' + 'A');
    out->text = vivo_query_dup(p, digits, 8);
    out->folded = out->text ? fold(p, out->text) : NULL;
    return !p->rc;
}

/* ---- numbers, dates, times, ages
 * --------------------------------------------------------- */

static bool fail_class(struct vivo_query_parser *p, size_t at,
                       const struct vivo_query_path *path, const char *text)
{
    static const struct {
        const char *what, *hint;
    } says[] = {
        [VIVO_CLASS_NUMBER] = {"a number", "write a number such as 1.5"},
        [VIVO_CLASS_DATE] = {"a date", "write YYYY, YYYY-MM or YYYY-MM-DD"},
        [VIVO_CLASS_TIME] = {"a time", "write HH, HH:MM, HH:MM:SS or HH:MM:SS.F"},
        [VIVO_CLASS_DATETIME] = {"a date and time",
                                 "write YYYY-MM-DD or YYYY-MM-DDTHH:MM:SS"},
        [VIVO_CLASS_AGE] = {"an age",
                            "write a number and D, W, M or Y: 60Y (without: years)"},
    };
    const char *hint = says[path->cls].hint;
    if (strpbrk(text, "*?"))
        hint = "wildcards go with like";
    vivo_query_fail(p, at, hint, "%s is %s (%s); this is none",
                    path->steps[path->nsteps - 1].keyword, says[path->cls].what,
                    path->vr);
    return false;
}

static bool fit_number(struct vivo_query_parser *p, size_t at,
                       const struct vivo_query_path *path, struct vivo_query_value *out)
{
    double v;
    if (!vivo_query_number(out->text, strlen(out->text), &v))
        return fail_class(p, at, path, out->text);
    char canonical[VIVO_QUERY_CANONICAL];
    v += 0.0; /* there is one zero */
    vivo_query_shortest(v, false, canonical);
    out->lo = out->hi = strcmp(path->vr, "FL") ? v : vivo_query_single(v);
    out->text = out->folded = vivo_query_dup(p, canonical, strlen(canonical));
    return !p->rc;
}

static bool fit_scalar(struct vivo_query_parser *p, size_t at,
                       const struct vivo_query_path *path, struct vivo_query_value *out)
{
    char canonical[VIVO_QUERY_CANONICAL] = "";
    struct vivo_query_span span;
    if (!vivo_query_scalar(path->cls, out->text, strlen(out->text), true, &span,
                           canonical))
        return fail_class(p, at, path, out->text);
    out->lo = span.lo;
    out->hi = span.hi;
    out->zone = span.zone;
    out->zoned = span.zoned;
    out->text = out->folded = vivo_query_dup(p, canonical, strlen(canonical));
    return !p->rc;
}

/* Counting from the last study makes no order. */
static bool check_rank(struct vivo_query_parser *p, size_t at,
                       const struct vivo_query_node *n,
                       const struct vivo_query_value *v)
{
    bool equals =
        n->kind == VIVO_QUERY_CMP && (n->cmp == VIVO_CMP_EQ || n->cmp == VIVO_CMP_NE);
    if (n->path.computed != VIVO_VIRTUAL_STUDY_RANK || v->lo >= 0 || equals)
        return true;
    vivo_query_fail(p, at, "StudyRank=-1 is the patient's latest study",
                    "a rank from the end goes with = and != alone");
    return false;
}

bool vivo_query_fit(struct vivo_query_parser *p, const struct vivo_query_node *n,
                    const char *raw, size_t at, struct vivo_query_value *out)
{
    const struct vivo_query_path *path = &n->path;
    enum vivo_query_quoting how = vivo_query_quoting_of(n->kind, n->cmp, path->cls);
    memset(out, 0, sizeof *out);
    if (!fit_text(p, how, raw, out))
        return false;
    bool by_text = n->kind == VIVO_QUERY_ANY ||
                   (n->kind == VIVO_QUERY_CMP &&
                    (n->cmp == VIVO_CMP_RE || n->cmp == VIVO_CMP_LIKE));
    if (by_text)
        return true;
    if (path->cls == VIVO_CLASS_UNKNOWN) {
        if (!vivo_query_number(out->text, strlen(out->text), &out->lo))
            out->lo = NAN;
        out->hi = out->lo;
        return true;
    }
    if (path->cls == VIVO_CLASS_UID)
        return fit_uid(p, at, path->steps[path->nsteps - 1].keyword, out);
    if (path->cls == VIVO_CLASS_NUMBER)
        return fit_number(p, at, path, out) && check_rank(p, at, n, out);
    if (is_text(path->cls))
        return strcmp(path->vr, "AT") != 0 || out->pattern || fit_tag(p, out);
    return fit_scalar(p, at, path, out);
}
