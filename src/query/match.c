/* SPDX-License-Identifier: Apache-2.0 */
/* src/query/match.c -- one element's values against one condition (DESIGN A5).
 *
 * Runs once a predicate and object, so it allocates nothing for ASCII values: what
 * can be prepared was prepared by the parser. */
#include "internal.h"
#include "vivofs/text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define FOLD_STACK 256 /* bytes of a value that are folded without the heap */
#define FOLD_MAX ((size_t)4 * VIVO_ATTRS_VALUE_MAX)

static bool compares_text(const struct vivo_query_node *n)
{
    if (n->kind == VIVO_QUERY_ANY ||
        (n->kind == VIVO_QUERY_CMP &&
         (n->cmp == VIVO_CMP_RE || n->cmp == VIVO_CMP_LIKE)))
        return true;
    return n->path.cls == VIVO_CLASS_TEXT || n->path.cls == VIVO_CLASS_NAME ||
           n->path.cls == VIVO_CLASS_UID || n->path.cls == VIVO_CLASS_UNKNOWN;
}

static void set_hit(struct vivo_query_probe *p)
{
    p->hit = p->done = true;
}

static void set_seen(struct vivo_query_probe *p)
{
    p->seen = true;
    p->done |= p->n->kind == VIVO_QUERY_HAS;
}

/* ---- text --------------------------------------------------------------------------
 */

/* Does folded text match a folded pattern? '?' is one UTF-8 character. Linear in
 * practice: only the last '*' is ever tried again. */
static bool glob(const char *pattern, const char *s, size_t len)
{
    const char *star = NULL;
    size_t i = 0;
    size_t retry = 0;
    while (i < len) {
        if (*pattern == '*') {
            star = ++pattern;
            retry = i;
            continue;
        }
        bool one = *pattern == '?';
        const char *literal = *pattern == '\\' && pattern[1] ? pattern + 1 : pattern;
        if (one || (*literal && *literal == s[i])) {
            pattern = literal + 1;
            i++;
            while (one && i < len && ((unsigned char)s[i] & 0xC0) == 0x80)
                i++;
            continue;
        }
        if (!star)
            return false;
        pattern = star;
        i = ++retry;
    }
    while (*pattern == '*')
        pattern++;
    return !*pattern;
}

static int order(const char *s, size_t len, const char *t)
{
    size_t n = strlen(t);
    int c = memcmp(s, t, VIVO_MIN(len, n));
    return c ? c : (len > n) - (len < n);
}

static bool ordered(enum vivo_query_cmp cmp, int c)
{
    switch (cmp) {
    case VIVO_CMP_EQ:
    case VIVO_CMP_NE: /* the probe looks for one that equals */
        return c == 0;
    case VIVO_CMP_LT:
        return c < 0;
    case VIVO_CMP_LE:
        return c <= 0;
    case VIVO_CMP_GT:
        return c > 0;
    case VIVO_CMP_GE:
        return c >= 0;
    case VIVO_CMP_NONE:
    case VIVO_CMP_RE:
    case VIVO_CMP_LIKE:
        break;
    }
    return false;
}

/* number: of the object's text when it is one, else NAN. */
static bool text_passes(enum vivo_query_cmp cmp, const struct vivo_query_value *v,
                        const char *s, size_t len, double number)
{
    if (v->pattern)
        return glob(v->pattern, s, len);
    if (!isnan(number) && !isnan(v->lo))
        return ordered(cmp, (number > v->lo) - (number < v->lo));
    return ordered(cmp, order(s, len, v->folded));
}

/* s is folded. */
static bool folded_passes(const struct vivo_query_node *n, const char *s, size_t len)
{
    const struct vivo_query_value *v = n->values;
    double number = NAN;
    if (n->path.cls == VIVO_CLASS_UNKNOWN && !vivo_query_number(s, len, &number))
        number = NAN;
    switch (n->kind) {
    case VIVO_QUERY_ANY:
        return memmem(s, len, v->folded, strlen(v->folded)) != NULL;
    case VIVO_QUERY_IN:
        if (n->set)
            return isnan(number) ? vivo_query_set_has_text(n->set, s, len)
                                 : vivo_query_set_has_number(n->set, number);
        for (size_t i = 0; i < n->nvalues; i++)
            if (text_passes(VIVO_CMP_EQ, &v[i], s, len, number))
                return true;
        return false;
    case VIVO_QUERY_RANGE:
        return (!v[0].text || text_passes(VIVO_CMP_GE, &v[0], s, len, number)) &&
               (!v[1].text || text_passes(VIVO_CMP_LE, &v[1], s, len, number));
    case VIVO_QUERY_CMP:
        if (n->cmp == VIVO_CMP_RE)
            return vivo_query_regex_matches(n->compiled, s, len);
        if (n->cmp == VIVO_CMP_LIKE)
            return v->pattern ? glob(v->pattern, s, len)
                              : order(s, len, v->folded) == 0;
        return text_passes(n->cmp, v, s, len, number);
    case VIVO_QUERY_NONE:
    case VIVO_QUERY_AND:
    case VIVO_QUERY_OR:
    case VIVO_QUERY_NOT:
    case VIVO_QUERY_LEVEL:
    case VIVO_QUERY_HAS:
        break;
    }
    return false;
}

/* PN: the whole value and each component group (PS3.5 section 6.2.1). */
static bool groups_pass(const struct vivo_query_node *n, const char *s, size_t len)
{
    if (folded_passes(n, s, len))
        return true;
    const char *end = s + len;
    if (n->path.cls != VIVO_CLASS_NAME || !memchr(s, '=', len))
        return false;
    while (s <= end) {
        const char *stop = memchr(s, '=', (size_t)(end - s));
        stop = stop ? stop : end;
        if (stop > s && folded_passes(n, s, (size_t)(stop - s)))
            return true;
        s = stop + 1;
    }
    return false;
}

/* Lower case on the stack; false when the text is not ASCII or too long. */
static bool fold_ascii(const char *s, size_t len, char *out)
{
    unsigned char all = 0;
    if (len >= FOLD_STACK)
        return false;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        all |= c;
        out[i] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
    }
    return all < 0x80;
}

static bool text_matches(struct vivo_query_probe *p, const char *s, size_t len)
{
    char stack[FOLD_STACK];
    if (fold_ascii(s, len, stack))
        return groups_pass(p->n, stack, len);
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf nfc = {0};
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf folded = {0};
    vivo_buf_init(&nfc, FOLD_MAX);
    vivo_buf_init(&folded, FOLD_MAX);
    /* Attrs form is NFC already, but for bytes of an unknown VR. */
    if (vivo_text_nfc(s, len, &nfc) ||
        vivo_text_fold((const char *)nfc.data, nfc.len, &folded)) {
        p->failed = true;
        return false;
    }
    return groups_pass(p->n, (const char *)folded.data, folded.len);
}

/* ---- numbers and spans
 * ------------------------------------------------------------------ */

static bool number_passes(enum vivo_query_cmp cmp, const struct vivo_query_value *v,
                          double number, bool single)
{
    double typed = single ? vivo_query_single(v->lo) : v->lo;
    if (isnan(number) || isnan(typed))
        return false;
    return ordered(cmp, (number > typed) - (number < typed));
}

/* What an object says imprecisely (a DT of a year) passes when all of it does. */
static bool span_passes(enum vivo_query_cmp cmp, const struct vivo_query_value *v,
                        const struct vivo_query_span *o)
{
    bool utc = v->zoned && o->zoned;
    double shift = utc ? v->zone - o->zone : 0;
    double lo = o->lo + shift;
    double hi = o->hi + shift;
    switch (cmp) {
    case VIVO_CMP_EQ:
    case VIVO_CMP_NE:
        return lo >= v->lo && hi <= v->hi;
    case VIVO_CMP_LT:
        return hi < v->lo;
    case VIVO_CMP_LE:
        return hi <= v->hi;
    case VIVO_CMP_GT:
        return lo > v->hi;
    case VIVO_CMP_GE:
        return lo >= v->lo;
    case VIVO_CMP_NONE:
    case VIVO_CMP_RE:
    case VIVO_CMP_LIKE:
        break;
    }
    return false;
}

struct scalar { /* number, or a span */
    double number;
    bool single;
    const struct vivo_query_span *span;
};

static bool one_passes(enum vivo_query_cmp cmp, const struct vivo_query_value *v,
                       const struct scalar *x)
{
    return x->span ? span_passes(cmp, v, x->span)
                   : number_passes(cmp, v, x->number, x->single);
}

static bool scalar_passes(const struct vivo_query_node *n, const struct scalar *x)
{
    const struct vivo_query_value *v = n->values;
    if (n->kind == VIVO_QUERY_CMP)
        return one_passes(n->cmp, v, x);
    if (n->kind == VIVO_QUERY_RANGE)
        return (!v[0].text || one_passes(VIVO_CMP_GE, &v[0], x)) &&
               (!v[1].text || one_passes(VIVO_CMP_LE, &v[1], x));
    if (n->set && !x->span)
        return vivo_query_set_has_number(n->set, x->number);
    if (n->set && n->path.cls != VIVO_CLASS_DATETIME)
        return vivo_query_set_covers(n->set, x->span->lo, x->span->hi);
    for (size_t i = 0; i < n->nvalues; i++)
        if (one_passes(VIVO_CMP_EQ, &v[i], x))
            return true;
    return false;
}

/* ---- values of an element
 * ------------------------------------------------------------------- */

static void probe_text(struct vivo_query_probe *p, const char *s, size_t len)
{
    while (len && (s[len - 1] == ' ' || s[len - 1] == '\0'))
        len--;
    while (len && *s == ' ') {
        s++;
        len--;
    }
    if (!len)
        return;
    set_seen(p);
    if (p->done)
        return;
    const struct vivo_query_node *n = p->n;
    struct vivo_query_span span;
    struct scalar x = {.number = NAN};
    bool hit;
    if (compares_text(n))
        hit = text_matches(p, s, len);
    else if (n->path.cls == VIVO_CLASS_NUMBER)
        hit = vivo_query_number(s, len, &x.number) && scalar_passes(n, &x);
    else {
        x.span = &span;
        hit = vivo_query_scalar(n->path.cls, s, len, false, &span, NULL) &&
              scalar_passes(n, &x);
    }
    if (hit)
        set_hit(p);
}

static void probe_number(struct vivo_query_probe *p, double number, bool single)
{
    const struct vivo_query_node *n = p->n;
    set_seen(p);
    if (p->done)
        return;
    struct scalar x = {.number = number, .single = single};
    bool hit = false;
    if (compares_text(n)) {
        char text[VIVO_QUERY_CANONICAL];
        vivo_query_shortest(number, single, text);
        hit = text_matches(p, text, strlen(text));
    } else if (n->path.cls == VIVO_CLASS_NUMBER) {
        hit = scalar_passes(n, &x);
    }
    if (hit)
        set_hit(p);
}

/* Bytes of one value of a binary VR, 0 for text (PS3.5 table 6.2-1). */
static size_t binary_size(const char *vr)
{
    static const struct {
        char vr[3];
        uint8_t size;
    } sizes[] = {
        {"US", 2}, {"SS", 2}, {"UL", 4}, {"SL", 4}, {"FL", 4},
        {"FD", 8}, {"SV", 8}, {"UV", 8}, {"AT", 4},
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(sizes); i++)
        if (!memcmp(sizes[i].vr, vr, 2))
            return sizes[i].size;
    return 0;
}

static double number_at(const uint8_t *v, const char *vr)
{
    uint64_t lo = vivo_le16(v);
    float single;
    double twice;
    if (!memcmp(vr, "US", 2))
        return (double)lo;
    if (!memcmp(vr, "SS", 2))
        return (double)(int16_t)lo;
    uint32_t bits = vivo_le32(v);
    if (!memcmp(vr, "UL", 2))
        return (double)bits;
    if (!memcmp(vr, "SL", 2))
        return (double)(int32_t)bits;
    if (!memcmp(vr, "FL", 2)) {
        memcpy(&single, &bits, sizeof single);
        return (double)single;
    }
    uint64_t wide = (uint64_t)vivo_le32(v + 4) << 32 | bits;
    if (!memcmp(vr, "UV", 2))
        return (double)wide;
    if (!memcmp(vr, "SV", 2))
        return (double)(int64_t)wide;
    memcpy(&twice, &wide, sizeof twice);
    return twice;
}

static void probe_binary(struct vivo_query_probe *p, const struct vivo_attr *a,
                         const char *vr, size_t size, unsigned index)
{
    for (size_t i = 0; i + size <= a->len && !p->done; i += size) {
        const uint8_t *v = a->value + i;
        if (index && i / size + 1 != index)
            continue;
        if (memcmp(vr, "AT", 2) != 0) {
            probe_number(p, number_at(v, vr), !memcmp(vr, "FL", 2));
            continue;
        }
        char tag[9];
        snprintf(tag, sizeof tag, "%04X%04X", vivo_le16(v), vivo_le16(v + 2));
        probe_text(p, tag, 8);
    }
}

/* PS3.5 section 6.4: ST, LT, UT and UR have one value, backslashes or not. */
static void probe_texts(struct vivo_query_probe *p, const struct vivo_attr *a,
                        const char *vr, unsigned index)
{
    const char *s = (const char *)a->value;
    const char *end = s + a->len;
    static const char single[] = "STLTUTUR";
    bool one = false;
    for (size_t i = 0; i < sizeof single - 1; i += 2)
        one |= !memcmp(vr, single + i, 2);
    for (unsigned k = 1; s <= end && !p->done; k++) {
        const char *stop = one || s == end ? NULL : memchr(s, '\\', (size_t)(end - s));
        stop = stop ? stop : end;
        if (!index || k == index)
            probe_text(p, s, (size_t)(stop - s));
        s = stop + 1;
    }
}

static void probe_items(struct vivo_query_probe *p, const struct vivo_attr *a,
                        unsigned index)
{
    struct vivo_attrs it = {a->value, a->len};
    struct vivo_attrs item;
    for (unsigned k = 1; vivo_attrs_next_item(&it, &item); k++)
        if (!index || k == index) {
            set_seen(p);
            return;
        }
}

void vivo_query_probe_element(struct vivo_query_probe *p, const struct vivo_attr *a,
                              unsigned index)
{
    const struct vivo_query_path *path = &p->n->path;
    const char *vr = a->vr;
    if (!a->len)
        return;
    /* A standard attribute that came as UN is read as what PS3.6 says it is. */
    if (!memcmp(vr, "UN", 2) && path->nsteps && path->cls != VIVO_CLASS_NONE)
        vr = path->vr;
    if (!memcmp(vr, "SQ", 2)) {
        if (!memcmp(a->vr, "SQ", 2))
            probe_items(p, a, index);
        return;
    }
    size_t size = binary_size(vr);
    if (size)
        probe_binary(p, a, vr, size, index);
    else if (vr[0] == 'O')
        set_seen(p); /* bytes: they are there, and that is all */
    else
        probe_texts(p, a, vr, index);
}
