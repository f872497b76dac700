/* SPDX-License-Identifier: Apache-2.0 */
/* tests/oracle/oracle.c -- the reference: what a query means, over whole objects.
 *
 * Written without eval.c: every value is looked at, nothing is skipped. */
#include "oracle.h"

#include <string.h>

bool vivo_query_oracle_vr(const char *vr, const char *list)
{
    for (; *list; list += 3)
        if (vr[0] == list[0] && vr[1] == list[1])
            return true;
    return false;
}

/* ---- the way to the elements
 * ---------------------------------------------------------------- */

static uint32_t tag_of(struct vivo_attrs ds, const struct vivo_query_step *step)
{
    for (uint32_t block = 0x10; step->creator && block <= 0xFF; block++) {
        uint32_t tag = (step->tag & 0xFFFF0000u) | block;
        struct vivo_attr a;
        char name[300];
        if (!vivo_attrs_find(ds, tag, &a) || a.len >= sizeof name)
            continue;
        memcpy(name, a.value, a.len);
        size_t len = a.len;
        while (len && (name[len - 1] == ' ' || !name[len - 1]))
            len--;
        name[len] = '\0';
        if (!strcmp(name, step->creator))
            return (step->tag & 0xFFFF00FFu) | block << 8;
    }
    return step->creator ? 0 : step->tag;
}

/* Follows the steps from `i` on in one data set; false when it has no such element. */
static bool follow(struct vivo_query_finding *f, struct vivo_attrs ds, size_t i)
{
    const struct vivo_query_path *path = &f->n->path;
    const struct vivo_query_step *step = &path->steps[i];
    struct vivo_attr a;
    uint32_t tag = tag_of(ds, step);
    if (!tag || !vivo_attrs_find(ds, tag, &a))
        return false;
    if (i + 1 == path->nsteps) {
        vivo_query_oracle_look(f, &a, step->index);
        return true;
    }
    struct vivo_attrs it = {a.value, a.len};
    struct vivo_attrs item;
    for (unsigned k = 1;
         vivo_query_oracle_vr(a.vr, "SQ ") && vivo_attrs_next_item(&it, &item); k++)
        if (!step->index || k == step->index)
            follow(f, item, i + 1);
    return true;
}

static void follow_everywhere(struct vivo_query_finding *f, struct vivo_attrs ds)
{
    struct vivo_attr a;
    follow(f, ds, 0);
    while (vivo_attrs_next(&ds, &a)) {
        struct vivo_attrs it = {a.value, a.len};
        struct vivo_attrs item;
        while (vivo_query_oracle_vr(a.vr, "SQ ") && vivo_attrs_next_item(&it, &item))
            follow_everywhere(f, item);
    }
}

static void follow_macros(struct vivo_query_finding *f, struct vivo_attrs item)
{
    struct vivo_query_step effective = {.tag = 0x00189082}; /* EffectiveEchoTime */
    struct vivo_query_node other = *f->n;
    struct vivo_attr a;
    other.path.steps = &effective;
    follow(f, item, 0);
    while (vivo_attrs_next(&item, &a)) {
        struct vivo_attrs it = {a.value, a.len};
        struct vivo_attrs macro;
        while (vivo_query_oracle_vr(a.vr, "SQ ") && vivo_attrs_next_item(&it, &macro)) {
            follow(f, macro, 0);
            if (f->n->path.steps[0].tag != VIVO_TAG_EchoTime)
                continue;
            effective.index = f->n->path.steps[0].index;
            struct vivo_query_finding g = {.n = &other};
            follow(&g, macro, 0);
            f->has_value |= g.has_value;
            f->satisfied |= g.satisfied;
        }
    }
}

static void follow_path(struct vivo_query_finding *f, struct vivo_attrs ds)
{
    static const uint32_t groups[] = {0x52009229, 0x52009230};
    if (f->n->path.any_depth) {
        follow_everywhere(f, ds);
        return;
    }
    if (follow(f, ds, 0) || f->n->path.steps[0].creator)
        return;
    for (size_t g = 0; g < 2; g++) {
        struct vivo_attr a;
        if (!vivo_attrs_find(ds, groups[g], &a) || !vivo_query_oracle_vr(a.vr, "SQ "))
            continue;
        struct vivo_attrs it = {a.value, a.len};
        struct vivo_attrs item;
        while (vivo_attrs_next_item(&it, &item))
            follow_macros(f, item);
    }
}

/* ---- the query
 * -----------------------------------------------------------------------------------
 */

static bool object_satisfies(const struct vivo_query_node *n,
                             const struct vivo_query_object *all, size_t count,
                             size_t self)
{
    struct vivo_query_finding f = {.n = n};
    struct vivo_attrs ds = all[self].attrs;
    if (n->kind == VIVO_QUERY_ANY) {
        for (size_t i = 0; i < VIVO_QUERY_ANY_N; i++) {
            struct vivo_attr a;
            if (n->any_mask >> i & 1 && vivo_attrs_find(ds, vivo_query_any_tags[i], &a))
                vivo_query_oracle_look(&f, &a, 0);
        }
        return f.satisfied;
    }
    if (n->path.computed)
        vivo_query_oracle_virtual(&f, all, count, self);
    else
        follow_path(&f, ds);
    if (n->kind == VIVO_QUERY_HAS)
        return f.has_value;
    if (n->kind == VIVO_QUERY_CMP && n->cmp == VIVO_CMP_NE)
        return f.has_value && !f.satisfied;
    return f.satisfied;
}

static bool same_group(enum vivo_level level, const struct vivo_query_object *a,
                       const struct vivo_query_object *b)
{
    return level == VIVO_LEVEL_PATIENT ? a->patient == b->patient
           : level == VIVO_LEVEL_STUDY ? a->study == b->study
                                       : a->series == b->series;
}

static bool holds(const struct vivo_query_node *n, const struct vivo_query_object *all,
                  size_t count, size_t self)
{
    if (n->kind == VIVO_QUERY_AND)
        return holds(n->a, all, count, self) && holds(n->b, all, count, self);
    if (n->kind == VIVO_QUERY_OR)
        return holds(n->a, all, count, self) || holds(n->b, all, count, self);
    if (n->kind == VIVO_QUERY_NOT)
        return !holds(n->a, all, count, self);
    if (n->kind != VIVO_QUERY_LEVEL)
        return object_satisfies(n, all, count, self);
    for (size_t i = 0; i < count; i++)
        if (same_group(n->level, &all[i], &all[self]) && holds(n->a, all, count, i))
            return true;
    return false;
}

bool vivo_query_matches(const struct vivo_query *q, const struct vivo_query_object *all,
                        size_t n, size_t self)
{
    return holds(vivo_query_root(q), all, n, self);
}
