/* SPDX-License-Identifier: Apache-2.0 */
/* src/query/path.c -- the attribute of a condition: keyword, tag, private tag, index,
 * way through sequences, *.Keyword; what the profile hides is refused here. */
#include "internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define STEPS_MAX 32
#define INDEX_MAX 65535
#define SHOWN_MAX 64 /* bytes of a typed word that a message repeats */

/* ---- (gggg,eeee) and (gggg,"CREATOR",ee) -------------------------------------------
 */

static bool is_hex(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!s[i] || !strchr("0123456789abcdefABCDEF", s[i]))
            return false;
    return true;
}

static uint32_t hex_value(const char *s, size_t n)
{
    uint32_t v = 0;
    for (size_t i = 0; i < n; i++) {
        char c = s[i];
        uint32_t digit = c <= '9' ? (uint32_t)(c - '0') : ((uint32_t)c & 15) + 9;
        v = v << 4 | digit;
    }
    return v;
}

static size_t space_at(const char *s, size_t i)
{
    while (vivo_query_is_space(s[i]))
        i++;
    return i;
}

/* A parenthesis opens a tag when 4 hex digits and a comma come: as an expression
 * that would be no condition anyway. */
bool vivo_query_at_tag(const struct vivo_query_parser *p)
{
    const char *s = p->s;
    if (s[p->pos] != '(')
        return false;
    size_t i = space_at(s, p->pos + 1);
    if (!is_hex(s + i, 4))
        return false;
    i = space_at(s, i + 4);
    if (s[i] != ',')
        return false;
    i = space_at(s, i + 1);
    if (s[i] == '"' || s[i] == '\'')
        return true;
    return is_hex(s + i, 4) && s[space_at(s, i + 4)] == ')';
}

/* The rest of (gggg,"CREATOR",ee) after the comma. */
static bool take_creator(struct vivo_query_parser *p, uint32_t group,
                         struct vivo_query_step *step)
{
    size_t at;
    const char *creator;
    if (!vivo_query_take_value(p, VIVO_QUOTING_PLAIN, "after the group", &creator, &at))
        return false;
    if (!*creator || strlen(creator) > VIVO_QUERY_REGEX_MAX) {
        vivo_query_fail(p, at, "", "that is no name of a private creator");
        return false;
    }
    if (!vivo_query_take(p, ",")) {
        vivo_query_fail(p, p->pos, "write (gggg,\"CREATOR\",ee)", "a comma is missing");
        return false;
    }
    vivo_query_skip_space(p);
    at = p->pos;
    if (vivo_query_word_len(p) != 2 || !is_hex(p->s + at, 2)) {
        vivo_query_fail(p, at, "write (gggg,\"CREATOR\",ee)",
                        "two hexadecimal digits are missing");
        return false;
    }
    step->tag = group << 16 | hex_value(p->s + at, 2);
    step->creator = creator;
    p->pos += 2;
    if (!(group & 1))
        vivo_query_fail(p, at, "private groups are odd",
                        "(%04" PRIX32 ",...) is not private", group);
    else if (!vivo_query_take(p, ")"))
        vivo_query_fail(p, p->pos, "", "a closing parenthesis is missing");
    return !p->rc;
}

static bool take_tag(struct vivo_query_parser *p, struct vivo_query_step *step)
{
    vivo_query_take(p, "(");
    vivo_query_skip_space(p);
    uint32_t group = hex_value(p->s + p->pos, 4);
    p->pos += 4;
    vivo_query_take(p, ",");
    vivo_query_skip_space(p);
    if (p->s[p->pos] == '"' || p->s[p->pos] == '\'')
        return take_creator(p, group, step);
    step->tag = group << 16 | hex_value(p->s + p->pos, 4);
    p->pos += 4;
    return vivo_query_take(p, ")");
}

/* ---- keywords
 * ------------------------------------------------------------------------ */

static size_t name_len(const struct vivo_query_parser *p)
{
    const char *s = p->s + p->pos;
    size_t n = vivo_query_word_len(p);
    size_t i = 0;
    while (i < n && !strchr(".[]", s[i]))
        i++;
    return i;
}

static bool fail_unknown(struct vivo_query_parser *p, const char *s, size_t len)
{
    char name[SHOWN_MAX + 1];
    size_t n = VIVO_MIN(len, SHOWN_MAX);
    while (n < len && n > 0 && ((unsigned char)s[n] & 0xC0) == 0x80)
        n--;
    memcpy(name, s, n);
    name[n] = '\0';
    const char *near = n == len ? vivo_dcm_dict_nearest(name) : NULL;
    char hint[128] = "";
    if (near)
        snprintf(hint, sizeof hint, "did you mean %s?", near);
    vivo_query_fail(p, (size_t)(s - p->s), hint, "unknown attribute %s%s", name,
                    n < len ? "..." : "");
    return false;
}

static bool take_keyword(struct vivo_query_parser *p, struct vivo_query_step *step)
{
    const char *s = p->s + p->pos;
    size_t len = name_len(p);
    if (!len) {
        vivo_query_fail(p, p->pos, "", "an attribute is missing");
        return false;
    }
    const struct vivo_dict *row = vivo_dcm_dict_keyword(s, len);
    if (row)
        step->tag = row->tag;
    else if (len == 8 && is_hex(s, len))
        step->tag = hex_value(s, len);
    else
        return fail_unknown(p, s, len);
    p->pos += len;
    return true;
}

/* Canonical spelling: the keyword when it means this very tag (repeating groups are
 * folded in the dictionary). */
static const char *spell(struct vivo_query_parser *p,
                         const struct vivo_query_step *step)
{
    const struct vivo_dict *row = step->creator ? NULL : vivo_dcm_dict(step->tag);
    if (row && row->tag == step->tag && row->keyword && *row->keyword)
        return row->keyword;
    char out[4 * VIVO_QUERY_REGEX_MAX];
    size_t n = (size_t)snprintf(out, sizeof out, "(%04" PRIX32 ",", step->tag >> 16);
    if (!step->creator) {
        snprintf(out + n, sizeof out - n, "%04" PRIX32 ")", step->tag & 0xFFFF);
        return vivo_query_dup(p, out, strlen(out));
    }
    out[n++] = '"';
    for (const char *c = step->creator; *c; c++) {
        if (*c == '"' || *c == '\\')
            out[n++] = '\\';
        out[n++] = *c;
    }
    snprintf(out + n, sizeof out - n, "\",%02" PRIX32 ")", step->tag & 0xFF);
    return vivo_query_dup(p, out, strlen(out));
}

/* ---- steps
 * ----------------------------------------------------------------------------- */

static bool take_index(struct vivo_query_parser *p, struct vivo_query_step *step)
{
    if (p->s[p->pos] != '[')
        return true;
    size_t at = ++p->pos;
    unsigned v = 0;
    while (p->s[p->pos] >= '0' && p->s[p->pos] <= '9' && v <= INDEX_MAX)
        v = v * 10 + (unsigned)(p->s[p->pos++] - '0');
    if (v < 1 || v > INDEX_MAX || p->s[p->pos] != ']') {
        vivo_query_fail(p, at, "values are counted from 1: PixelSpacing[1]",
                        "that is no number of a value");
        return false;
    }
    p->pos++;
    step->index = v;
    return true;
}

static bool check_hidden(struct vivo_query_parser *p,
                         const struct vivo_query_step *step, size_t at)
{
    if (!p->rules || !p->rules->hides)
        return true;
    const char *option = p->rules->hides(p->rules->ctx, step->tag, step->creator);
    if (!option)
        return true;
    char hint[128];
    bool whole = strchr(option, '=') != NULL;
    snprintf(hint, sizeof hint, whole ? "mount with %s" : "mount with option %s",
             option);
    vivo_query_fail(p, at, hint, "%s is hidden by the profile", step->keyword);
    p->qe->hidden = true;
    return false;
}

static const char *step_vr(const struct vivo_query_step *step)
{
    if (step->creator)
        return "UN";
    const struct vivo_dict *row = vivo_dcm_dict(step->tag);
    return row ? row->vr : vivo_dcm_vr_of(step->tag);
}

static bool take_step(struct vivo_query_parser *p, struct vivo_query_step *step)
{
    size_t at = p->pos;
    if (p->s[at] == '*') {
        vivo_query_fail(p, at, "write *.Keyword", "* stands only before the first dot");
        return false;
    }
    bool tag = vivo_query_at_tag(p);
    if (tag ? !take_tag(p, step) : !take_keyword(p, step))
        return false;
    step->keyword = spell(p, step);
    return step->keyword && check_hidden(p, step, at) && take_index(p, step);
}

enum vivo_query_class vivo_query_class_of(const char *vr)
{
    static const struct {
        char vr[3];
        enum vivo_query_class cls;
    } classes[] = {
        {"DS", VIVO_CLASS_NUMBER}, {"IS", VIVO_CLASS_NUMBER},
        {"US", VIVO_CLASS_NUMBER}, {"SS", VIVO_CLASS_NUMBER},
        {"UL", VIVO_CLASS_NUMBER}, {"SL", VIVO_CLASS_NUMBER},
        {"FL", VIVO_CLASS_NUMBER}, {"FD", VIVO_CLASS_NUMBER},
        {"SV", VIVO_CLASS_NUMBER}, {"UV", VIVO_CLASS_NUMBER},
        {"DA", VIVO_CLASS_DATE},   {"TM", VIVO_CLASS_TIME},
        {"AS", VIVO_CLASS_AGE},    {"DT", VIVO_CLASS_DATETIME},
        {"UI", VIVO_CLASS_UID},    {"PN", VIVO_CLASS_NAME},
        {"SQ", VIVO_CLASS_NONE},   {"OB", VIVO_CLASS_NONE},
        {"OW", VIVO_CLASS_NONE},   {"OF", VIVO_CLASS_NONE},
        {"OD", VIVO_CLASS_NONE},   {"OL", VIVO_CLASS_NONE},
        {"OV", VIVO_CLASS_NONE},   {"UN", VIVO_CLASS_UNKNOWN},
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(classes); i++)
        if (!memcmp(classes[i].vr, vr, 2))
            return classes[i].cls;
    return VIVO_CLASS_TEXT;
}

/* The step before a dot must be able to hold others. */
static bool check_sequence(struct vivo_query_parser *p,
                           const struct vivo_query_step *step, size_t at)
{
    const char *vr = step_vr(step);
    if (!memcmp(vr, "SQ", 2) || !memcmp(vr, "UN", 2))
        return true;
    vivo_query_fail(p, at, "only a sequence has attributes in it",
                    "%s is not a sequence", step->keyword);
    return false;
}

/* ---- virtual attributes -----------------------------------------------------------
 */

static bool check_virtual(struct vivo_query_parser *p,
                          const struct vivo_query_virtual_row *row, size_t at)
{
    struct vivo_query_step needed = {.tag = row->needs, .keyword = row->keyword};
    return !row->needs || check_hidden(p, &needed, at);
}

/* True when the next word is a virtual attribute that has no tag: taken, or failed. */
static bool take_virtual(struct vivo_query_parser *p, struct vivo_query_path *out)
{
    size_t at = p->pos;
    const struct vivo_query_virtual_row *row =
        vivo_query_virtual_named(p->s + at, name_len(p));
    if (!row || row->tag)
        return false;
    struct vivo_query_step *step = vivo_query_alloc(p, sizeof *step);
    if (!step || !check_virtual(p, row, at))
        return true;
    p->pos += strlen(row->keyword);
    if (p->s[p->pos] == '[' || p->s[p->pos] == '.') {
        vivo_query_fail(p, p->pos, "", "%s has nothing in it", row->keyword);
        return true;
    }
    step->keyword = row->keyword;
    out->steps = step;
    out->nsteps = 1;
    out->computed = row->which;
    memcpy(out->vr, row->vr, sizeof out->vr);
    out->cls = vivo_query_class_of(out->vr);
    if (p->rules && row->which == VIVO_VIRTUAL_ARCHIVE)
        out->known = p->rules->archive;
    if (out->known) {
        out->known = vivo_query_dup(p, out->known, strlen(out->known));
    }
    return true;
}

/* PS3.4's computed attributes; A[n] and those in sequences are what objects hold. */
static void mark_computed(struct vivo_query_path *path)
{
    const struct vivo_query_virtual_row *row;
    if (path->nsteps != 1 || path->any_depth || path->steps[0].creator ||
        path->steps[0].index)
        return;
    row = vivo_query_virtual_tagged(path->steps[0].tag);
    if (row)
        path->computed = row->which;
}

bool vivo_query_take_path(struct vivo_query_parser *p, struct vivo_query_path *out)
{
    struct vivo_query_step steps[STEPS_MAX];
    memset(steps, 0, sizeof steps);
    vivo_query_skip_space(p);
    memset(out, 0, sizeof *out);
    if (take_virtual(p, out))
        return !p->rc;
    if (p->s[p->pos] == '*' && p->s[p->pos + 1] == '.') {
        out->any_depth = true;
        p->pos += 2;
    }
    for (size_t at = p->pos;; at = p->pos) {
        if (out->nsteps == STEPS_MAX) {
            vivo_query_fail(p, at, "", "more than %d sequences deep", STEPS_MAX);
            return false;
        }
        struct vivo_query_step *step = &steps[out->nsteps++];
        if (!take_step(p, step))
            return false;
        if (p->s[p->pos] != '.')
            break;
        if (!check_sequence(p, step, at))
            return false;
        p->pos++;
    }
    struct vivo_query_step *kept = vivo_query_alloc(p, out->nsteps * sizeof *kept);
    if (!kept)
        return false;
    memcpy(kept, steps, out->nsteps * sizeof *kept);
    out->steps = kept;
    memcpy(out->vr, step_vr(&kept[out->nsteps - 1]), 2);
    out->cls = vivo_query_class_of(out->vr);
    mark_computed(out);
    return true;
}

bool vivo_query_comparable(struct vivo_query_parser *p, const struct vivo_query_path *t,
                           size_t at)
{
    const char *keyword = t->steps[t->nsteps - 1].keyword;
    if (t->cls != VIVO_CLASS_NONE)
        return true;
    if (!strcmp(t->vr, "SQ")) {
        char hint[128];
        snprintf(hint, sizeof hint, "ask for an attribute in it: %s.Keyword", keyword);
        vivo_query_fail(p, at, hint, "%s is a sequence", keyword);
    } else {
        vivo_query_fail(p, at, "has and missing can be asked", "%s holds bytes (%s)",
                        keyword, t->vr);
    }
    return false;
}

int vivo_query_print_path(const struct vivo_query_path *path, struct vivo_buf *out)
{
    int rc = path->any_depth ? vivo_buf_puts(out, "*.") : 0;
    for (size_t i = 0; i < path->nsteps && !rc; i++) {
        const struct vivo_query_step *step = &path->steps[i];
        rc = vivo_buf_printf(out, "%s%s", i ? "." : "", step->keyword);
        if (!rc && step->index)
            rc = vivo_buf_printf(out, "[%u]", step->index);
    }
    return rc;
}
