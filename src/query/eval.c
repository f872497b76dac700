/* SPDX-License-Identifier: Apache-2.0 */
/* src/query/eval.c -- a query over one instance, or over what the instances of a
 * series have in common, in Kleene's three values.
 *
 * TRUE for a series means that every member matches, FALSE that none does; whenever
 * the answer hangs on something that varies or is not known, it is UNKNOWN. */
#include "internal.h"

#include <string.h>

enum found { ABSENT, FOUND, UNSURE };

/* Where one condition is being looked up. */
struct search {
    const struct vivo_query_source *src;
    const struct vivo_query_path *path;
    struct vivo_query_probe probe;
    bool unsure; /* something that could matter varies or is not known */
    bool plane;  /* the element is an orientation, of which the plane is asked */
};

/* ---- the top level: series and difference as one data set ---------------------------
 */

/* First index of `varying` that is >= tag. */
static size_t varying_from(const struct vivo_query_source *src, uint32_t tag)
{
    size_t lo = 0;
    size_t hi = src->varying ? src->nvarying : 0;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (src->varying[mid] < tag)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static bool varies(const struct vivo_query_source *src, uint32_t first, uint32_t last)
{
    size_t i = varying_from(src, first);
    return src->varying && i < src->nvarying && src->varying[i] <= last;
}

static bool is_tombstone(const struct vivo_attr *a)
{
    return a->vr[0] == '-';
}

static enum found top_find(const struct vivo_query_source *src, uint32_t tag,
                           struct vivo_attr *out)
{
    enum found absent = src->headers ? ABSENT : UNSURE;
    if (varies(src, tag, tag))
        return UNSURE;
    if (src->over.len && vivo_attrs_find(src->over, tag, out))
        return is_tombstone(out) ? absent : FOUND;
    return vivo_attrs_find(src->attrs, tag, out) ? FOUND : absent;
}

/* The next element of both in order, what `over` says preferred; tombstones left
 * out. */
struct merged {
    struct vivo_attrs attrs, over;
    struct vivo_attr a, o;
    bool has_a, has_o;
};

static void merged_start(struct merged *m, const struct vivo_query_source *src)
{
    m->attrs = src->attrs;
    m->over = src->over;
    m->has_a = vivo_attrs_next(&m->attrs, &m->a);
    m->has_o = vivo_attrs_next(&m->over, &m->o);
}

static bool merged_next(struct merged *m, struct vivo_attr *out)
{
    while (m->has_a || m->has_o) {
        bool over = m->has_o && (!m->has_a || m->o.tag <= m->a.tag);
        bool both = over && m->has_a && m->o.tag == m->a.tag;
        *out = over ? m->o : m->a;
        if (!over || both)
            m->has_a = vivo_attrs_next(&m->attrs, &m->a);
        if (over)
            m->has_o = vivo_attrs_next(&m->over, &m->o);
        if (!is_tombstone(out))
            return true;
    }
    return false;
}

/* ---- private creators (PS3.5 section 7.8.1)
 * ------------------------------------------- */

static bool is_creator(const struct vivo_attr *a, const struct vivo_query_step *step)
{
    uint32_t group = step->tag >> 16;
    uint32_t element = a->tag & 0xFFFF;
    if (a->tag >> 16 != group || element < 0x10 || element > 0xFF)
        return false;
    const char *s = (const char *)a->value;
    size_t len = a->len;
    while (len && (s[len - 1] == ' ' || s[len - 1] == '\0'))
        len--;
    return strlen(step->creator) == len && !memcmp(s, step->creator, len);
}

static uint32_t in_block(const struct vivo_attr *creator,
                         const struct vivo_query_step *step)
{
    return (step->tag & 0xFFFF0000u) | (creator->tag & 0xFF) << 8 | (step->tag & 0xFF);
}

/* The tag that the step means in a data set of its own; 0 = it has no such block. */
static uint32_t tag_in(struct vivo_attrs ds, const struct vivo_query_step *step)
{
    struct vivo_attr a;
    if (!step->creator)
        return step->tag;
    while (vivo_attrs_next(&ds, &a) && a.tag >> 16 <= step->tag >> 16)
        if (is_creator(&a, step))
            return in_block(&a, step);
    return 0;
}

static enum found top_tag(const struct vivo_query_source *src,
                          const struct vivo_query_step *step, uint32_t *tag)
{
    uint32_t group = step->tag & 0xFFFF0000u;
    struct merged m;
    struct vivo_attr a;
    *tag = step->tag;
    if (!step->creator)
        return FOUND;
    if (varies(src, group | 0x10, group | 0xFF))
        return UNSURE;
    merged_start(&m, src);
    while (merged_next(&m, &a) && a.tag <= (group | 0xFF))
        if (is_creator(&a, step)) {
            *tag = in_block(&a, step);
            return FOUND;
        }
    return src->headers ? ABSENT : UNSURE;
}

/* ---- the way down
 * --------------------------------------------------------------------- */

static void search_set(struct search *s, struct vivo_attrs ds, size_t step);

static void probe_value(struct search *s, const char *vr, const char *text,
                        unsigned index)
{
    struct vivo_attr a = {.value = (const uint8_t *)text,
                          .len = (uint32_t)strlen(text)};
    memcpy(a.vr, vr, 2);
    vivo_query_probe_element(&s->probe, &a, index);
}

static void probe_plane(struct search *s, const struct vivo_attr *a)
{
    const char *text = (const char *)a->value;
    const char *end = text + a->len;
    double cosines[6];
    size_t n = 0;
    for (; memcmp(a->vr, "DS", 2) == 0 && n < 6 && text <= end; n++) {
        const char *stop = text < end ? memchr(text, '\\', (size_t)(end - text)) : NULL;
        const char *next = stop ? stop : end;
        size_t len = (size_t)(next - text);
        while (len && (text[len - 1] == ' ' || !text[len - 1]))
            len--;
        while (len && *text == ' ') {
            text++;
            len--;
        }
        if (!vivo_query_number(text, len, &cosines[n]))
            return;
        text = next + 1;
    }
    const char *name = n == 6 ? vivo_query_plane_of(cosines) : NULL;
    if (name)
        probe_value(s, "CS", name, 0);
}

/* The element of step `step` is found: its values, or on through its items. */
static void search_element(struct search *s, const struct vivo_attr *a, size_t step)
{
    unsigned index = s->path->steps[step].index;
    if (step + 1 == s->path->nsteps) {
        if (s->plane)
            probe_plane(s, a);
        else
            vivo_query_probe_element(&s->probe, a, index);
        return;
    }
    if (memcmp(a->vr, "SQ", 2) != 0)
        return;
    struct vivo_attrs it = {a->value, a->len};
    struct vivo_attrs item;
    for (unsigned k = 1; !s->probe.done && vivo_attrs_next_item(&it, &item); k++)
        if (!index || k == index)
            search_set(s, item, step + 1);
}

static void search_set(struct search *s, struct vivo_attrs ds, size_t step)
{
    struct vivo_attr a;
    uint32_t tag = tag_in(ds, &s->path->steps[step]);
    if (tag && vivo_attrs_find(ds, tag, &a))
        search_element(s, &a, step);
}

/* *.Keyword in the items of a. */
static void search_deep(struct search *s, const struct vivo_attr *a, unsigned depth)
{
    struct vivo_attrs it = {a->value, a->len};
    struct vivo_attrs item;
    if (memcmp(a->vr, "SQ", 2) != 0 || depth > VIVO_QUERY_SEQUENCE_DEPTH_MAX)
        return;
    while (!s->probe.done && vivo_attrs_next_item(&it, &item)) {
        struct vivo_attr inner;
        search_set(s, item, 0);
        while (!s->probe.done && vivo_attrs_next(&item, &inner))
            search_deep(s, &inner, depth + 1);
    }
}

static void search_top_deep(struct search *s)
{
    const struct vivo_query_source *src = s->src;
    uint32_t tag = 0;
    enum found block = top_tag(src, &s->path->steps[0], &tag);
    struct merged m;
    struct vivo_attr a;
    /* What varies may be a sequence with anything in it. */
    s->unsure |= !src->headers || (src->varying && src->nvarying);
    merged_start(&m, src);
    while (!s->probe.done && merged_next(&m, &a)) {
        if (varies(src, a.tag, a.tag))
            continue;
        if (block == FOUND && a.tag == tag)
            search_element(s, &a, 0);
        if (!s->probe.done)
            search_deep(s, &a, 0);
    }
}

/* ---- functional groups of enhanced objects (PS3.3 C.7.6.16)
 * ----------------------------- */

static int search_group_set(void *search, struct vivo_attrs set)
{
    struct search *s = search;
    struct vivo_attr a;
    search_set(s, set, 0);
    if (!s->probe.done &&
        vivo_query_find_in_group(set, s->path->steps[0].tag, true, &a))
        search_element(s, &a, 0);
    return s->probe.done;
}

static void search_groups(struct search *s, uint32_t groups)
{
    struct vivo_attr a;
    enum found found = top_find(s->src, groups, &a);
    s->unsure |= found == UNSURE;
    if (found == FOUND)
        vivo_query_each_group(&a, search_group_set, s);
}

static void search_top(struct search *s)
{
    struct vivo_attr a;
    uint32_t tag;
    enum found found = top_tag(s->src, &s->path->steps[0], &tag);
    if (found == FOUND)
        found = top_find(s->src, tag, &a);
    if (found == FOUND)
        search_element(s, &a, 0);
    s->unsure |= found == UNSURE;
    if (found != ABSENT || s->path->steps[0].creator)
        return;
    search_groups(s, VIVO_QUERY_SHARED_GROUPS);
    if (!s->probe.done)
        search_groups(s, VIVO_QUERY_PER_FRAME_GROUPS);
}

/* ---- virtual attributes (DESIGN A5)
 * --------------------------------------------------------- */

static bool is_reference(uint32_t tag)
{
    return tag == VIVO_QUERY_REFERENCED_SOP || tag == VIVO_TAG_SeriesInstanceUID ||
           tag == VIVO_QUERY_SR_UID;
}

static void search_references(struct search *s, const struct vivo_attr *a,
                              unsigned depth)
{
    struct vivo_attrs it = {a->value, a->len};
    struct vivo_attrs item;
    if (memcmp(a->vr, "SQ", 2) != 0 || depth > VIVO_QUERY_SEQUENCE_DEPTH_MAX)
        return;
    while (!s->probe.done && vivo_attrs_next_item(&it, &item)) {
        struct vivo_attr inner;
        while (!s->probe.done && vivo_attrs_next(&item, &inner)) {
            if (is_reference(inner.tag))
                vivo_query_probe_element(&s->probe, &inner, 0);
            search_references(s, &inner, depth + 1);
        }
    }
}

/* Could a sequence be among what varies? */
static bool sequences_vary(const struct vivo_query_source *src)
{
    for (size_t i = 0; src->varying && i < src->nvarying; i++) {
        const struct vivo_dict *row = vivo_dcm_dict(src->varying[i]);
        if (!row || !memcmp(row->vr, "SQ", 2) || !memcmp(row->vr, "UN", 2))
            return true;
    }
    return false;
}

static void search_top_references(struct search *s)
{
    struct merged m;
    struct vivo_attr a;
    s->unsure |= !s->src->headers || sequences_vary(s->src);
    merged_start(&m, s->src);
    while (!s->probe.done && merged_next(&m, &a))
        if (!varies(s->src, a.tag, a.tag))
            search_references(s, &a, 0);
}

static void search_plane(struct search *s)
{
    static const struct vivo_query_step step = {.tag = VIVO_QUERY_ORIENTATION};
    static const struct vivo_query_path path = {.steps = &step, .nsteps = 1};
    s->path = &path;
    s->plane = true;
    search_top(s);
}

static void search_virtual(struct search *s)
{
    const struct vivo_query_source *src = s->src;
    const struct vivo_query_path *path = s->path;
    char text[VIVO_QUERY_COMPUTED_MAX];
    unsigned index = 0;
    if (path->computed == VIVO_VIRTUAL_ARCHIVE) {
        if (path->known)
            probe_value(s, path->vr, path->known, 0);
        return;
    }
    if (path->computed == VIVO_VIRTUAL_REFERS_TO) {
        search_top_references(s);
        return;
    }
    if (path->computed == VIVO_VIRTUAL_PLANE) {
        search_plane(s);
        return;
    }
    enum vivo_truth there =
        src->computed ? src->computed(src->ctx, path->computed, text) : VIVO_UNKNOWN;
    if (path->computed == VIVO_VIRTUAL_STUDY_RANK)
        index = vivo_query_counts_back(s->probe.n) ? 2 : 1;
    if (there == VIVO_TRUE)
        probe_value(s, path->vr, text, index);
    s->unsure |= there == VIVO_UNKNOWN;
}

/* ---- conditions
 * ---------------------------------------------------------------------------- */

static enum vivo_truth truth(bool b)
{
    return b ? VIVO_TRUE : VIVO_FALSE;
}

static enum vivo_truth eval_condition(const struct vivo_query_node *n,
                                      const struct vivo_query_source *src)
{
    struct search s = {.src = src, .path = &n->path, .probe = {.n = n}};
    bool negative = n->kind == VIVO_QUERY_CMP && n->cmp == VIVO_CMP_NE;
    if (s.path->computed)
        search_virtual(&s);
    else if (s.path->any_depth)
        search_top_deep(&s);
    else
        search_top(&s);
    if (s.probe.failed || (!s.probe.done && s.unsure))
        return VIVO_UNKNOWN;
    if (n->kind == VIVO_QUERY_HAS)
        return truth(s.probe.seen);
    /* A!=v: there is a value and none equals (DESIGN A5). */
    return truth(negative ? s.probe.seen && !s.probe.hit : s.probe.hit);
}

static enum vivo_truth eval_any(const struct vivo_query_node *n,
                                const struct vivo_query_source *src)
{
    enum vivo_truth result = VIVO_FALSE;
    for (unsigned i = 0; i < VIVO_QUERY_ANY_N && result != VIVO_TRUE; i++) {
        struct vivo_query_probe probe = {.n = n};
        struct vivo_attr a;
        if (!(n->any_mask >> i & 1))
            continue;
        enum found found = top_find(src, vivo_query_any_tags[i], &a);
        if (found == FOUND)
            vivo_query_probe_element(&probe, &a, 0);
        if (probe.hit)
            result = VIVO_TRUE;
        else if (found == UNSURE || probe.failed)
            result = VIVO_UNKNOWN;
    }
    return result;
}

/* `decides`: the value that one operand alone gives the whole. */
static enum vivo_truth eval_pair(const struct vivo_query_node *n,
                                 const struct vivo_query_source *src,
                                 enum vivo_truth decides)
{
    enum vivo_truth a = vivo_query_eval(n->a, src);
    if (a == decides)
        return a;
    enum vivo_truth b = vivo_query_eval(n->b, src);
    if (b == decides || a != VIVO_UNKNOWN)
        return b;
    return VIVO_UNKNOWN;
}

enum vivo_truth vivo_query_eval(const struct vivo_query_node *n,
                                const struct vivo_query_source *src)
{
    enum vivo_truth a;
    switch (n->kind) {
    case VIVO_QUERY_AND:
        return eval_pair(n, src, VIVO_FALSE);
    case VIVO_QUERY_OR:
        return eval_pair(n, src, VIVO_TRUE);
    case VIVO_QUERY_NOT:
        a = vivo_query_eval(n->a, src);
        return a == VIVO_UNKNOWN ? a : truth(a == VIVO_FALSE);
    case VIVO_QUERY_LEVEL:
        return src->level ? src->level(src->ctx, n) : VIVO_UNKNOWN;
    case VIVO_QUERY_ANY:
        return eval_any(n, src);
    case VIVO_QUERY_CMP:
    case VIVO_QUERY_IN:
    case VIVO_QUERY_RANGE:
    case VIVO_QUERY_HAS:
        return eval_condition(n, src);
    case VIVO_QUERY_NONE:
        break;
    }
    return VIVO_UNKNOWN;
}
