/* SPDX-License-Identifier: Apache-2.0 */
/* src/flow/push.c -- searches of the archive: which are worth it, and the asking.
 *
 * A search is a flight like a listing, and what it brings is put into the catalog like
 * a listing's rows, but nothing becomes "listed" by it. What is remembered (found.c)
 * tells below which rows all that meets the search lies; the catalog then knows of
 * nodes that were never listed that nothing in them can match. */
#include "flow/push.h"

#include "flow/found.h"
#include "vivofs/search.h"

#include <errno.h>
#include <string.h>

/* One search costs about as much as so many listings. */
enum { WORTH = 3 };

struct job { /* ctx of a flight */
    struct plan_search *search;
    struct vivo_arena *arena; /* holds it */
    struct search_rows found;
};

/* ---- the job
 * ------------------------------------------------------------------------- */

static int run_search(struct vivo_flight *flight)
{
    struct vivo_flow *f = flight->flow;
    struct job *j = flight->ctx;
    struct vivo_err *err = &flight->op.err;
    struct vivo_search told = {.upto = vivo_catalog_last_row(f->catalog)};
    int rc = scan_run_search(flight, j->search->matches, j->search->n, &j->found);
    if (rc && rc != -ENOENT)
        return rc;
    told.unable = rc != 0;
    if (told.unable) {
        vivo_err_clear(err);
    } else {
        told.series = VIVO_STEAL(j->found.series.rows);
        told.studies = VIVO_STEAL(j->found.studies.rows);
        told.nseries = found_sort(told.series, j->found.series.n);
        told.nstudies = found_sort(told.studies, j->found.studies.n);
    }
    rc = found_remember(f, j->search, &told, err);
    if (!rc)
        found_state(f, j->search); /* what it says is worked out here, not later */
    return rc;
}

static void drop_job(struct vivo_flight *flight)
{
    struct job *j = flight->ctx;
    free(j->found.series.rows);
    free(j->found.studies.rows);
    vivo_arena_free(j->arena);
    free(j);
}

/* A copy of its own: a flight may outlive the query that began it. */
static struct job *new_job(const struct plan_search *s)
{
    struct job *j = calloc(1, sizeof *j);
    if (!j)
        return NULL;
    j->arena = vivo_arena_new(1 << 20);
    size_t len = sizeof *s + s->n * sizeof s->matches[0];
    struct plan_search *copy = j->arena ? vivo_arena_alloc(j->arena, len) : NULL;
    bool ok = copy != NULL;
    if (ok)
        memcpy(copy, s, len);
    for (size_t i = 0; ok && i < s->n; i++) {
        const char **values =
            vivo_arena_alloc(j->arena, (s->matches[i].n + 1) * sizeof *values);
        ok = values != NULL;
        for (size_t k = 0; ok && k < s->matches[i].n; k++) {
            const char *v = s->matches[i].values[k];
            values[k] = v ? vivo_arena_strndup(j->arena, v, strlen(v)) : NULL;
            ok = !v || values[k];
        }
        copy->matches[i].values = values;
    }
    j->search = copy;
    if (ok)
        return j;
    vivo_arena_free(j->arena);
    free(j);
    return NULL;
}

int push_search(struct vivo_flow *f, const struct plan_search *s, struct vivo_op *op)
{
    uint8_t key[VIVO_DIGEST_LEN];
    struct job *j = new_job(s);
    if (!j)
        return vivo_fail(&op->err, ENOMEM, "out of memory");
    struct flight_plan plan = {
        .key = {.kind = FLIGHT_SEARCH},
        .run = run_search,
        .ctx = j,
        .drop = drop_job,
    };
    if (found_key(s, key)) {
        vivo_arena_free(j->arena);
        free(j);
        return vivo_fail(&op->err, ENOMEM, "out of memory");
    }
    memcpy(&plan.key.extra, key, sizeof plan.key.extra);
    return flight_join(f, &plan, op);
}

/* ---- plan and scope ---------------------------------------------------------------
 */

static bool may_push(void *ctx, uint32_t tag)
{
    const struct vivo_flow *f = ctx;
    const uint32_t *t = f->archive->driver->searches;
    while (t && *t && *t != tag)
        t++;
    return t && *t && vivo_deid_keeps(f->deid, tag);
}

struct plan *push_plan(struct vivo_flow *f, enum vivo_level level,
                       const struct vivo_query *q)
{
    const struct vivo_driver *d = f->archive->driver;
    /* Below a patient there is little to list. */
    if (!f->searches || !d->search || !d->searches || level > VIVO_LEVEL_COLLECTION ||
        plan_counts(vivo_query_root(q)))
        return NULL;
    /* Within a collection there is none to choose. */
    bool collections =
        level == VIVO_LEVEL_NONE && d->lists & 1u << VIVO_LEVEL_COLLECTION;
    struct plan *p = plan_new(vivo_query_root(q), may_push, f, collections);
    if (p && plan_covers(p))
        return p;
    plan_free(p);
    return NULL;
}

static void free_cover(struct vivo_cover *c)
{
    free((void *)(uintptr_t)c->rows);
    free((void *)(uintptr_t)c->seen);
}

static int make_cover(struct vivo_flow *f, const struct plan_pass *pass,
                      struct vivo_cover *c)
{
    int rc = pass->covered ? 0 : 1;
    *c = (struct vivo_cover){.of = pass->of, .upto = INT64_MAX};
    for (const struct plan_search *s = pass->first; s && !rc; s = s->next)
        rc = found_add(f, s, c);
    if (rc) {
        free_cover(c);
        return rc;
    }
    c->n = found_sort((vivo_row *)(uintptr_t)c->rows, c->n);
    c->nseen = found_sort((vivo_row *)(uintptr_t)c->seen, c->nseen);
    return 0;
}

int push_scope_make(struct vivo_flow *f, const struct plan *plan, unsigned members,
                    struct push_scope *out, struct vivo_err *err)
{
    out->scope = (struct vivo_scope){
        .here = flow_whereabouts(f), .covers = out->covers, .members = members};
    for (size_t i = 0; plan && i < plan->npasses; i++) {
        struct vivo_cover *c = &out->covers[out->scope.ncovers];
        int rc = make_cover(f, &plan->passes[i], c);
        c->whole = i + 1 == plan->npasses;
        if (rc < 0) {
            push_scope_free(out);
            return vivo_fail(err, ENOMEM, "out of memory");
        }
        out->scope.ncovers += rc == 0;
    }
    return 0;
}

void push_scope_free(struct push_scope *s)
{
    for (size_t i = 0; i < s->scope.ncovers; i++)
        free_cover(&s->covers[i]);
    s->scope.ncovers = 0;
}

/* A few listings are as cheap as searching, and tell more. */
static bool is_worth(const struct vivo_selection *sel)
{
    size_t n;
    size_t listings = 0;
    const struct vivo_pending *p = vivo_selection_pending(sel, &n);
    for (size_t i = 0; i < n; i++) {
        if (!p[i].headers && p[i].level <= VIVO_LEVEL_COLLECTION)
            return true;
        listings += !p[i].headers;
    }
    return listings >= WORTH;
}

/* Another one that asks the same: its answer does for both. */
static bool is_asked(const struct plan_search *const *todo, size_t n,
                     const struct plan_search *s)
{
    uint8_t key[VIVO_DIGEST_LEN], other[VIVO_DIGEST_LEN];
    bool asked = false;
    if (!n || found_key(s, key))
        return false;
    for (size_t i = 0; i < n && !asked; i++)
        asked = todo[i]->n == s->n && todo[i]->matches[0].tag == s->matches[0].tag &&
                !found_key(todo[i], other) && !memcmp(key, other, sizeof key);
    return asked;
}

size_t push_todo(struct vivo_flow *f, const struct plan *plan,
                 const struct vivo_selection *sel, const struct plan_search **todo,
                 size_t cap)
{
    size_t n = 0;
    if (!plan || !is_worth(sel))
        return 0;
    for (size_t i = 0; i < plan->npasses; i++) {
        const struct plan_pass *pass = &plan->passes[i];
        size_t before = n;
        bool able = pass->covered && n + pass->n <= cap;
        for (const struct plan_search *s = pass->first; s && able; s = s->next) {
            enum found_state state = found_state(f, s);
            able = state != FOUND_UNABLE;
            if (state == FOUND_MISSING && !is_asked(todo, n, s))
                todo[n++] = s;
        }
        n = able ? n : before;
    }
    return n;
}
