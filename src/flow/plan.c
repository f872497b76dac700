/* SPDX-License-Identifier: Apache-2.0 */
/* src/flow/plan.c -- from the tree of a query to searches that it implies.
 *
 * derive() gives, for a node, alternatives of which every object that the node is true
 * of meets at least one; or none at all, which is always right ("not covered"). `and`
 * takes what either side implies, `or` needs both, `not` implies nothing, as an object
 * that lacks the attribute matches too. What archives compare otherwise than A5 does
 * (regular expressions, times, ages, text beyond ASCII) is not derived. */
#include "flow/plan.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { ARENA_MAX = 16 << 20, PRODUCT_MAX = 16, TEXT_MAX = 128 };
/* What is chosen when only one of two can be asked. */
enum { WORTH_RANGE = 1, WORTH_WILD, WORTH_VALUE, WORTH_IDENTITY, WORTH_OWN = 2 };

struct alternatives {
    bool covered;
    struct plan_search *first, **last;
    size_t n;
};

struct planner {
    struct vivo_arena *arena;
    plan_may_fn *may;
    void *ctx;
    bool collections; /* what is in the same patient can be listed by collection */
    bool failed;      /* out of memory */
};

static void *take(struct planner *p, size_t len)
{
    void *got = vivo_arena_alloc(p->arena, len);
    p->failed = p->failed || !got;
    return got;
}

static struct alternatives nothing(void)
{
    return (struct alternatives){.covered = false};
}

static void add_search(struct alternatives *to, struct plan_search *s)
{
    if (!to->first)
        to->last = &to->first;
    *to->last = s;
    s->next = NULL;
    to->last = &s->next;
    to->n++;
    to->covered = true;
}

static struct plan_search *new_search(struct planner *p, size_t matches)
{
    struct plan_search *s =
        take(p, sizeof *s + matches * sizeof(struct vivo_match)); /* zeroed */
    if (s) {
        s->lift = VIVO_LEVEL_INSTANCE;
        s->n = matches;
    }
    return s;
}

/* ---- values ------------------------------------------------------------------------
 */

/* Spelt alike everywhere: printable ASCII, one value. */
static bool is_plain(const char *s)
{
    size_t n = strlen(s);
    for (const char *c = s; *c; c++)
        if (*c < 0x20 || *c > 0x7E || *c == '\\')
            return false;
    return n > 0 && n <= TEXT_MAX;
}

/* Howard Hinnant's days-from-civil, backwards: days since 1970-01-01 to YYYYMMDD. */
static const char *date_of(struct planner *p, double days)
{
    int64_t z = (int64_t)days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    int64_t day = doy - (153 * mp + 2) / 5 + 1;
    int64_t month = mp < 10 ? mp + 3 : mp - 9;
    int64_t year = yoe + era * 400 + (month <= 2);
    char text[16];
    if (year < 0 || year > 9999)
        return NULL;
    snprintf(text, sizeof text, "%04d%02d%02d", (int)year, (int)month, (int)day);
    const char *got = vivo_arena_strndup(p->arena, text, 8);
    p->failed = p->failed || !got;
    return got;
}

/* With * and ? that mean any, and nothing that must be escaped: an escaped one becomes
 * ?, which matches more. NULL: it says nothing, or is not plain. */
static const char *wildcard_of(struct planner *p, const char *pattern)
{
    size_t n = strlen(pattern);
    char *out = take(p, n + 1);
    size_t at = 0;
    bool says = false;
    if (!out)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        bool escaped = pattern[i] == '\\' && pattern[i + 1];
        out[at++] = escaped ? '?' : pattern[i];
        i += escaped;
        says = says || !strchr("*?", out[at - 1]);
    }
    return says && is_plain(out) ? out : NULL;
}

static int worth_of(uint32_t tag, bool wild)
{
    bool identity = tag == VIVO_TAG_PatientID || tag == VIVO_TAG_StudyInstanceUID ||
                    tag == VIVO_TAG_SeriesInstanceUID ||
                    tag == VIVO_TAG_SOPInstanceUID || tag == VIVO_TAG_AccessionNumber;
    return identity && !wild ? WORTH_IDENTITY : wild ? WORTH_WILD : WORTH_VALUE;
}

/* ---- one condition
 * ----------------------------------------------------------------------- */

/* The tag asked, or 0: the attribute itself, at the root, and not of a private one. */
static uint32_t tag_of(const struct vivo_query_path *path)
{
    bool plain = path->nsteps == 1 && !path->any_depth && !path->steps[0].creator &&
                 path->computed == VIVO_VIRTUAL_NONE;
    bool own = plain && !(path->steps[0].tag >> 16 & 1); /* groups of makers are odd */
    return own ? path->steps[0].tag : 0;
}

static struct alternatives one_match(struct planner *p, const struct vivo_match *m,
                                     int worth)
{
    struct alternatives out = nothing();
    struct plan_search *s = new_search(p, 1);
    if (!s)
        return out;
    s->matches[0] = *m;
    s->worth = worth + WORTH_OWN;
    add_search(&out, s);
    return out;
}

static struct alternatives range(struct planner *p, uint32_t tag, const char *from,
                                 const char *to)
{
    const char **ends = take(p, 2 * sizeof *ends);
    if (!ends || (!from && !to))
        return nothing();
    ends[0] = from;
    ends[1] = to;
    struct vivo_match m = {tag, VIVO_MATCH_RANGE, false, ends, 2};
    return one_match(p, &m, WORTH_RANGE);
}

static struct alternatives any_of(struct planner *p, uint32_t tag,
                                  const char *const *values, size_t n, bool wild)
{
    struct alternatives out = nothing();
    for (size_t at = 0; at < n; at += PLAN_VALUES_MAX) {
        struct plan_search *s = new_search(p, 1);
        if (!s || out.n == PLAN_SEARCHES_MAX)
            return nothing();
        s->matches[0] = (struct vivo_match){tag, VIVO_MATCH_ANY_OF, wild, values + at,
                                            VIVO_MIN(n - at, (size_t)PLAN_VALUES_MAX)};
        s->worth = worth_of(tag, wild) + WORTH_OWN;
        add_search(&out, s);
    }
    return out;
}

/* One of some texts, UIDs or names, each as written or as a pattern. */
static struct alternatives some_texts(struct planner *p, uint32_t tag,
                                      const struct vivo_query_node *n)
{
    const char **texts = take(p, (n->nvalues + 1) * sizeof *texts);
    bool wild = false;
    for (size_t i = 0; texts && i < n->nvalues; i++)
        wild = wild || n->values[i].pattern;
    if (!texts || (wild && n->path.cls == VIVO_CLASS_UID))
        return nothing(); /* PS3.4 has no wildcards in UIDs */
    for (size_t i = 0; i < n->nvalues; i++) {
        const struct vivo_query_value *v = &n->values[i];
        const char *pattern = v->typed ? v->typed : v->pattern;
        texts[i] = v->pattern ? wildcard_of(p, pattern) : v->text;
        if (!texts[i] || !is_plain(texts[i]))
            return nothing();
        /* A literal one among patterns would mean any to the archive: so be it, that
         * is more. */
    }
    if (n->path.cls == VIVO_CLASS_NAME)
        for (size_t i = 0; i < n->nvalues; i++)
            if (strchr(texts[i], '=')) /* parts component groups */
                return nothing();
    return any_of(p, tag, texts, n->nvalues, wild);
}

/* Dates are sent as a range that holds all that is meant at the precision written. */
static struct alternatives some_dates(struct planner *p, uint32_t tag,
                                      const struct vivo_query_node *n)
{
    double lo = INFINITY;
    double hi = -INFINITY;
    for (size_t i = 0; i < n->nvalues; i++) {
        if (!n->values[i].text || n->values[i].pattern)
            return nothing();
        lo = VIVO_MIN(lo, n->values[i].lo);
        hi = VIVO_MAX(hi, n->values[i].hi);
    }
    if (!isfinite(lo) || !isfinite(hi))
        return nothing();
    const char *from = date_of(p, lo);
    const char *to = date_of(p, hi);
    return from && to ? range(p, tag, from, to) : nothing();
}

/* Of the VRs whose numbers are exact. */
static bool is_number(const struct vivo_query_path *path)
{
    static const char vrs[] = "IS DS US SS UL SL UV SV";
    return path->cls == VIVO_CLASS_NUMBER && strstr(vrs, path->vr);
}

static struct alternatives some_numbers(struct planner *p, uint32_t tag,
                                        const struct vivo_query_node *n)
{
    const char **texts = take(p, (n->nvalues + 1) * sizeof *texts);
    for (size_t i = 0; texts && i < n->nvalues; i++) {
        texts[i] = n->values[i].text;
        if (!texts[i] || !is_plain(texts[i]) || n->values[i].pattern)
            return nothing();
    }
    return texts ? any_of(p, tag, texts, n->nvalues, false) : nothing();
}

static struct alternatives equal(struct planner *p, uint32_t tag,
                                 const struct vivo_query_node *n)
{
    switch (n->path.cls) {
    case VIVO_CLASS_TEXT:
    case VIVO_CLASS_UID:
    case VIVO_CLASS_NAME:
        return some_texts(p, tag, n);
    case VIVO_CLASS_DATE:
        return some_dates(p, tag, n);
    case VIVO_CLASS_NUMBER:
        return is_number(&n->path) ? some_numbers(p, tag, n) : nothing();
    case VIVO_CLASS_NONE:
    case VIVO_CLASS_TIME:
    case VIVO_CLASS_DATETIME:
    case VIVO_CLASS_AGE:
    case VIVO_CLASS_UNKNOWN:
        break;
    }
    return nothing();
}

/* from, to: NULL = open. A < and > are sent as <= and >=, which is more. */
static struct alternatives between(struct planner *p, uint32_t tag,
                                   const struct vivo_query_node *n,
                                   const struct vivo_query_value *from,
                                   const struct vivo_query_value *to)
{
    if (n->path.cls == VIVO_CLASS_DATE) {
        const char *first = from ? date_of(p, from->lo) : NULL;
        const char *last = to ? date_of(p, to->hi) : NULL;
        if ((from && !first) || (to && !last))
            return nothing();
        return range(p, tag, first, last);
    }
    if (!is_number(&n->path))
        return nothing();
    return range(p, tag, from ? from->text : NULL, to ? to->text : NULL);
}

static struct alternatives compared(struct planner *p, uint32_t tag,
                                    const struct vivo_query_node *n)
{
    switch (n->cmp) {
    case VIVO_CMP_EQ:
        return equal(p, tag, n);
    case VIVO_CMP_LT:
    case VIVO_CMP_LE:
        return between(p, tag, n, NULL, &n->values[0]);
    case VIVO_CMP_GT:
    case VIVO_CMP_GE:
        return between(p, tag, n, &n->values[0], NULL);
    case VIVO_CMP_NONE:
    case VIVO_CMP_NE:
    case VIVO_CMP_RE:
    case VIVO_CMP_LIKE:
        break;
    }
    return nothing();
}

static struct alternatives condition(struct planner *p, const struct vivo_query_node *n)
{
    uint32_t tag = tag_of(&n->path);
    if (!tag || !p->may(p->ctx, tag))
        return nothing();
    if (n->kind == VIVO_QUERY_CMP)
        return compared(p, tag, n);
    if (n->kind == VIVO_QUERY_IN)
        return equal(p, tag, n);
    const struct vivo_query_value *from = &n->values[0];
    const struct vivo_query_value *to = &n->values[1];
    return between(p, tag, n, from->text ? from : NULL, to->text ? to : NULL);
}

/* ---- joined -----------------------------------------------------------------------
 */

/* Both: what is meant of the object itself can be asked at once, else the better. */
static struct plan_search *both(struct planner *p, const struct plan_search *a,
                                const struct plan_search *b)
{
    const struct plan_search *better = a->worth >= b->worth ? a : b;
    bool join = a->lift == VIVO_LEVEL_INSTANCE && b->lift == VIVO_LEVEL_INSTANCE &&
                a->n + b->n <= VIVO_MATCH_MAX;
    struct plan_search *s = new_search(p, join ? a->n + b->n : better->n);
    if (!s)
        return NULL;
    s->lift = join ? VIVO_LEVEL_INSTANCE : better->lift;
    s->worth = better->worth;
    memcpy(s->matches, join ? a->matches : better->matches,
           (join ? a->n : better->n) * sizeof *s->matches);
    if (join)
        memcpy(s->matches + a->n, b->matches, b->n * sizeof *s->matches);
    return s;
}

/* The least that any of them narrows. */
static int worth_of_all(const struct alternatives *a)
{
    int worth = 100;
    for (const struct plan_search *s = a->first; s; s = s->next)
        worth = VIVO_MIN(worth, s->worth);
    return worth;
}

static struct alternatives join_and(struct planner *p, struct alternatives a,
                                    struct alternatives b)
{
    struct alternatives out = nothing();
    if (!a.covered || !b.covered)
        return a.covered ? a : b;
    if (a.n * b.n > PRODUCT_MAX && a.n > 1 && b.n > 1)
        return worth_of_all(&a) >= worth_of_all(&b) ? a : b;
    for (const struct plan_search *x = a.first; x; x = x->next)
        for (const struct plan_search *y = b.first; y; y = y->next) {
            struct plan_search *s = both(p, x, y);
            if (!s)
                return nothing();
            add_search(&out, s);
        }
    return out;
}

static struct alternatives join_or(struct alternatives a, struct alternatives b)
{
    if (!a.covered || !b.covered || a.n + b.n > PLAN_SEARCHES_MAX)
        return nothing();
    for (struct plan_search *s = b.first; s;) {
        struct plan_search *next = s->next;
        add_search(&a, s);
        s = next;
    }
    return a;
}

/* Something in the same study or series meets it. The rest of a patient is in the same
 * collection; an archive that is not listed by collections cannot be asked for it. */
static struct alternatives lift(const struct planner *p, struct alternatives a,
                                enum vivo_level level)
{
    if (level == VIVO_LEVEL_PATIENT && !p->collections)
        return nothing();
    for (struct plan_search *s = a.first; s; s = s->next) {
        if (s->lift == VIVO_LEVEL_INSTANCE)
            s->worth -= WORTH_OWN;
        s->lift = VIVO_MIN(s->lift, level);
    }
    return a;
}

static struct alternatives derive(struct planner *p, const struct vivo_query_node *n)
{
    switch (n->kind) {
    case VIVO_QUERY_AND: {
        struct alternatives a = derive(p, n->a);
        return join_and(p, a, derive(p, n->b));
    }
    case VIVO_QUERY_OR: {
        struct alternatives a = derive(p, n->a);
        return a.covered ? join_or(a, derive(p, n->b)) : nothing();
    }
    case VIVO_QUERY_NOT:
        return n->a->kind == VIVO_QUERY_NOT ? derive(p, n->a->a) : nothing();
    case VIVO_QUERY_LEVEL:
        return lift(p, derive(p, n->a), n->level);
    case VIVO_QUERY_CMP:
    case VIVO_QUERY_IN:
    case VIVO_QUERY_RANGE:
        return condition(p, n);
    case VIVO_QUERY_NONE:
    case VIVO_QUERY_HAS:
    case VIVO_QUERY_ANY:
        break;
    }
    return nothing();
}

/* ---- passes -----------------------------------------------------------------------
 */

static void add_pass(struct planner *p, struct plan *plan,
                     const struct vivo_query_node *of, const struct vivo_query_node *e)
{
    struct alternatives a = derive(p, e);
    plan->passes[plan->npasses++] =
        (struct plan_pass){of, a.covered && !p->failed, a.first, a.n};
}

static void add_passes(struct planner *p, struct plan *plan,
                       const struct vivo_query_node *n)
{
    if (n->a)
        add_passes(p, plan, n->a);
    if (n->b)
        add_passes(p, plan, n->b);
    if (n->kind == VIVO_QUERY_LEVEL && plan->npasses + 1 < PLAN_PASSES_MAX)
        add_pass(p, plan, n, n->a);
}

struct plan *plan_new(const struct vivo_query_node *root, plan_may_fn *may, void *ctx,
                      bool collections)
{
    struct plan *plan = calloc(1, sizeof *plan);
    struct planner p = {.may = may, .ctx = ctx, .collections = collections};
    if (!plan)
        return NULL;
    p.arena = plan->arena = vivo_arena_new(ARENA_MAX);
    if (!plan->arena) {
        free(plan);
        return NULL;
    }
    add_passes(&p, plan, root);
    add_pass(&p, plan, root, root);
    return plan;
}

void plan_free(struct plan *p)
{
    if (!p)
        return;
    vivo_arena_free(p->arena);
    free(p);
}

bool plan_covers(const struct plan *p)
{
    for (size_t i = 0; i < p->npasses; i++)
        if (p->passes[i].covered)
            return true;
    return false;
}

/* Counts, ranks and what a study holds are told from what is listed, so that all of it
 * has to be. */
bool plan_counts(const struct vivo_query_node *n)
{
    static const unsigned long told =
        1UL << VIVO_VIRTUAL_NONE | 1UL << VIVO_VIRTUAL_ARCHIVE |
        1UL << VIVO_VIRTUAL_COLLECTION | 1UL << VIVO_VIRTUAL_LICENSE |
        1UL << VIVO_VIRTUAL_PLANE | 1UL << VIVO_VIRTUAL_REFERS_TO |
        1UL << VIVO_VIRTUAL_FETCH_STATE;
    return (n->a && plan_counts(n->a)) || (n->b && plan_counts(n->b)) ||
           !(told >> n->path.computed & 1);
}

/* ---- as text ----------------------------------------------------------------------
 */

static int match_text(const struct vivo_match *m, struct vivo_buf *out)
{
    const struct vivo_dict *d = vivo_dcm_dict(m->tag);
    int rc = vivo_buf_printf(out, "%s", d ? d->keyword : "?");
    if (!rc && m->kind == VIVO_MATCH_RANGE)
        return vivo_buf_printf(out, "=%s..%s", m->values[0] ? m->values[0] : "",
                               m->values[1] ? m->values[1] : "");
    if (!rc && m->n == 1)
        return vivo_buf_printf(out, "=%s", m->values[0]);
    for (size_t i = 0; i < m->n && !rc; i++)
        rc = vivo_buf_printf(out, "%s%s", i ? "," : " in (", m->values[i]);
    return rc ? rc : vivo_buf_puts(out, ")");
}

int plan_search_text(const struct plan_search *s, struct vivo_buf *out)
{
    bool lifted = s->lift != VIVO_LEVEL_INSTANCE;
    int rc = lifted ? vivo_buf_printf(out, "%s(", vivo_level_name(s->lift)) : 0;
    for (size_t i = 0; i < s->n && !rc; i++) {
        rc = vivo_buf_puts(out, i ? " and " : "");
        if (!rc)
            rc = match_text(&s->matches[i], out);
    }
    return rc || !lifted ? rc : vivo_buf_puts(out, ")");
}
