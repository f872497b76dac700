/* SPDX-License-Identifier: Apache-2.0 */
/* src/flow/explain.c -- how a query would be answered now, for .explain.
 *
 * Each condition is told by who answers it: the archive, when a search is implied by
 * it; the catalog, when every listing carries the attribute; else headers. Then what is
 * missing at this moment, and what the query came to when it was last asked. */
#include "flow/push.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define REQUEST_BYTES 16384 /* before it is known */

struct telling {
    struct vivo_flow *f;
    const struct plan *plan; /* or NULL */
    struct vivo_buf *out;
    struct vivo_flow_cost *sum;
    unsigned headers; /* conditions that no listing carries */
    bool described;   /* columns in a table may decide some */
};

/* ---- conditions
 * ---------------------------------------------------------------------- */

static bool in_list(const uint32_t *tags, uint32_t tag)
{
    while (tags && *tags && *tags != tag)
        tags++;
    return tags && *tags;
}

/* Does some search ask for the attribute? */
static bool is_pushed(const struct plan *plan, uint32_t tag)
{
    for (size_t i = 0; plan && tag && i < plan->npasses; i++)
        for (const struct plan_search *s =
                 plan->passes[i].covered ? plan->passes[i].first : NULL;
             s; s = s->next)
            for (size_t k = 0; k < s->n; k++)
                if (s->matches[k].tag == tag)
                    return true;
    return false;
}

static const char *who_answers(struct telling *t, const struct vivo_query_node *n)
{
    const struct vivo_query_path *p = &n->path;
    const uint32_t *listed = t->f->archive->driver->listed;
    uint32_t tag = p->steps[0].tag;
    bool plain = p->nsteps == 1 && !p->any_depth && !p->steps[0].creator;

    if (p->computed == VIVO_VIRTUAL_ARCHIVE)
        return "known";
    if (p->computed == VIVO_VIRTUAL_FETCH_STATE)
        return "the cache, object by object, each time it is asked";
    if (p->computed && p->computed != VIVO_VIRTUAL_PLANE &&
        p->computed != VIVO_VIRTUAL_REFERS_TO)
        return "the catalog, from listings";
    if (plain && n->kind != VIVO_QUERY_HAS && is_pushed(t->plan, tag))
        return "the archive, by a search; checked again here";
    if (plain && !p->computed && listed && in_list(listed, tag))
        return "the catalog, from listings";
    t->headers++;
    if (plain && !p->computed && describe_has(t->f, tag))
        return "columns of the archive, asked for many series at once; headers, where "
               "they do not tell";
    return listed ? "headers, where nothing else decides" : "the catalog, from headers";
}

static int tell_condition(struct telling *t, const struct vivo_query_node *n)
{
    const struct vivo_query_path *p = &n->path;
    int rc = vivo_buf_puts(t->out, p->any_depth ? "  *." : "  ");
    for (size_t i = 0; i < p->nsteps && !rc; i++)
        rc = vivo_buf_printf(t->out, "%s%s", i ? "." : "", p->steps[i].keyword);
    return rc ? rc : vivo_buf_printf(t->out, ": %s\n", who_answers(t, n));
}

static int tell_conditions(struct telling *t, const struct vivo_query_node *n)
{
    int rc = 0;
    switch (n->kind) {
    case VIVO_QUERY_CMP:
    case VIVO_QUERY_IN:
    case VIVO_QUERY_RANGE:
    case VIVO_QUERY_HAS:
        return tell_condition(t, n);
    case VIVO_QUERY_ANY:
        return vivo_buf_puts(t->out, "  any: the catalog, from listings and headers\n");
    case VIVO_QUERY_NONE:
    case VIVO_QUERY_AND:
    case VIVO_QUERY_OR:
    case VIVO_QUERY_NOT:
    case VIVO_QUERY_LEVEL:
        break;
    }
    if (n->a)
        rc = tell_conditions(t, n->a);
    return rc || !n->b ? rc : tell_conditions(t, n->b);
}

/* ---- searches and what is missing
 * ---------------------------------------------------------- */

static int tell_searches(struct telling *t, const struct plan_search *const *todo,
                         size_t n)
{
    int rc = 0;
    for (size_t i = 0; i < n && i < 8 && !rc; i++) {
        rc = vivo_buf_puts(t->out, "  search: ");
        if (!rc)
            rc = plan_search_text(todo[i], t->out);
        if (!rc)
            rc = vivo_buf_puts(t->out, "\n");
    }
    return rc || n <= 8 ? rc : vivo_buf_printf(t->out, "  and %zu more\n", n - 8);
}

/* By what requests of queries brought until now; by a guess before the first. */
static uint64_t likely_bytes(struct telling *t, uint64_t requests)
{
    pthread_mutex_lock(&t->f->mutex);
    uint64_t each = t->f->asked ? t->f->brought / t->f->asked : REQUEST_BYTES;
    pthread_mutex_unlock(&t->f->mutex);
    t->sum->requests += requests;
    t->sum->bytes += requests * each;
    return requests * each;
}

static int tell_missing(struct telling *t, const struct vivo_selection *sel,
                        size_t searches)
{
    size_t n;
    size_t headers = 0;
    size_t together = 0;
    const struct vivo_pending *p = vivo_selection_pending(sel, &n);
    const char *name = t->f->name;

    for (size_t i = 0; i < n; i++) {
        headers += p[i].headers;
        together += !p[i].headers && prepare_helps(t->f, p[i].level);
    }
    /* Listings that one request brings many of. */
    size_t listings = n - headers;
    if (together >= PREPARE_WORTH)
        listings -= together - (together + VIVO_PREPARE_MAX - 1) / VIVO_PREPARE_MAX;
    /* A table is asked for many series at once, and may tell all. */
    size_t asked =
        !t->described ? headers : (headers + VIVO_DESCRIBE_MAX - 1) / VIVO_DESCRIBE_MAX;
    if (n == 0)
        return vivo_buf_printf(
            t->out, "%s: the catalog answers all of it; estimated requests: 0\n", name);
    if (searches)
        return vivo_buf_printf(
            t->out,
            "%s: the archive is searched instead of listed, searches: %zu;"
            " series whose headers are needed: %zu so far; estimated requests: "
            "at least %zu, bytes: about %" PRIu64 "\n",
            name, searches, headers, searches + asked,
            likely_bytes(t, searches + asked));
    return vivo_buf_printf(
        t->out,
        "%s: the catalog narrows; to be listed by the archive: %zu%s; series whose "
        "headers are needed: %zu%s; estimated requests: at least %zu, bytes: about "
        "%" PRIu64 "\n",
        name, n - headers, together >= PREPARE_WORTH ? " (many in one request)" : "",
        headers, n > headers && t->headers ? " so far" : "", listings + asked,
        likely_bytes(t, listings + asked));
}

/* Before anybody asks: headers that come one by one, and whether they would. */
static int tell_headers(struct telling *t, const struct vivo_selection *sel)
{
    struct headers_cost cost;
    bool refused = headers_cost(t->f, sel, &cost);
    if (!cost.series)
        return 0;
    return vivo_buf_printf(t->out,
                           "%s: headers are read one by one: of at least %" PRIu64
                           " objects in %zu series%s%s\n",
                           t->f->name, cost.objects, cost.series,
                           t->described ? ", unless columns decide" : "",
                           refused ? "; more than headers_max= allows: narrow the query"
                                   : "");
}

static int tell_cost(struct telling *t, const struct vivo_query *q)
{
    uint64_t digest = query_digest(q);
    pthread_mutex_lock(&t->f->mutex);
    struct query_cost c = t->f->costs[digest % COSTS];
    pthread_mutex_unlock(&t->f->mutex);
    if (!c.known || c.digest != digest)
        return 0;
    t->sum->known = true;
    t->sum->asked += c.requests;
    t->sum->brought += c.bytes;
    return vivo_buf_printf(t->out,
                           "%s: when last asked: %" PRIu64 " requests, %" PRIu64
                           " bytes, %" PRId64 " ms\n",
                           t->f->name, c.requests, c.bytes, c.ms);
}

static int tell(struct telling *t, const struct vivo_query *q,
                const struct vivo_selection *sel)
{
    const struct plan_search **todo =
        calloc(2 * PLAN_SEARCHES_MAX, sizeof(struct plan_search *));
    if (!todo)
        return -1;
    size_t n = push_todo(t->f, t->plan, sel, todo, 2 * PLAN_SEARCHES_MAX);
    int rc = tell_conditions(t, vivo_query_root(q));
    if (!rc)
        rc = tell_searches(t, todo, n);
    if (!rc)
        rc = tell_missing(t, sel, n);
    if (!rc && !n)
        rc = tell_headers(t, sel);
    free(todo);
    return rc ? rc : tell_cost(t, q);
}

int vivo_flow_explain(struct vivo_flow *f, enum vivo_level level, vivo_row row,
                      struct vivo_query *q, struct vivo_buf *out,
                      struct vivo_flow_cost *sum, struct vivo_err *err)
{
    struct plan *plan = push_plan(f, level, q);
    struct push_scope known = {0};
    struct vivo_selection *sel = NULL;
    struct vivo_flow_cost own = {0};
    struct telling t = {f, plan, out, sum ? sum : &own, 0, describe_helps(f, q)};
    int rc = push_scope_make(f, plan, 0, &known, err);

    if (!rc)
        rc = vivo_catalog_select(f->catalog, level, row, q, &known.scope, &sel, err);
    if (!rc && tell(&t, q, sel))
        rc = vivo_fail(err, ENOMEM, "no memory for .explain");
    push_scope_free(&known);
    vivo_selection_unref(sel);
    plan_free(plan);
    return rc;
}

int vivo_flow_cost_text(const struct vivo_flow_cost *sum, struct vivo_buf *out)
{
    int rc = vivo_buf_printf(out, "all archives: estimated requests: %s%" PRIu64,
                             sum->requests ? "at least " : "", sum->requests);
    if (!rc && sum->requests)
        rc = vivo_buf_printf(out, ", bytes: about %" PRIu64, sum->bytes);
    if (!rc && sum->known)
        rc = vivo_buf_printf(out,
                             "\nall archives: when last asked: %" PRIu64
                             " requests, %" PRIu64 " bytes",
                             sum->asked, sum->brought);
    return rc ? rc : vivo_buf_puts(out, "\n");
}
