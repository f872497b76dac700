/* SPDX-License-Identifier: Apache-2.0 */
/* src/tree/select.c -- evaluated queries, kept while the catalog is the same.
 *
 * A walk below a query directory asks for the same selection in every directory; it
 * is evaluated once per (archive, scope, canonical text) and catalog generation. */
#include "tree/internal.h"

#include <stdio.h>
#include <string.h>

#define SELECT_MAX 32
#define HERE_MS                                                                        \
    1000 /* that FetchState may be of, when another mount has the cache too */

struct slot {
    uint32_t archive;
    enum vivo_level level;
    vivo_row row;
    struct vivo_query *query;
    struct vivo_selection *sel; /* NULL when evaluating failed */
    bool members;               /* all instances of it are listed */
    struct vivo_err err;
    char file[24]; /* a generated file that failed, "" = none, and why */
    struct vivo_err file_err;
    int64_t at_ms; /* when sel was made */
    uint64_t kept; /* vivo_flow_kept_changes then */
    uint64_t used;
};

struct state { /* what a selection hangs on */
    uint64_t generation, kept;
};

struct select_cache {
    pthread_mutex_t mutex;
    struct slot slots[SELECT_MAX]; /* guarded by mutex, as below */
    uint64_t clock;
};

int select_cache_new(struct select_cache **out, struct vivo_err *err)
{
    struct select_cache *c = calloc(1, sizeof *c);

    if (!c)
        return vivo_fail(err, ENOMEM, "no memory for the cache of queries");
    pthread_mutex_init(&c->mutex, NULL);
    *out = c;
    return 0;
}

static void empty(struct slot *s)
{
    if (s->query)
        vivo_query_unref(s->query);
    if (s->sel)
        vivo_selection_unref(s->sel);
    *s = (struct slot){0};
}

void select_cache_free(struct select_cache *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < SELECT_MAX; i++)
        empty(&c->slots[i]);
    pthread_mutex_destroy(&c->mutex);
    free(c);
}

static struct slot *find_locked(struct select_cache *c, const struct node *n)
{
    const char *text = vivo_query_text(n->query);

    for (size_t i = 0; i < SELECT_MAX; i++) {
        struct slot *s = &c->slots[i];

        if (s->query && s->archive == n->archive && s->level == n->base_level &&
            s->row == n->base_row && !strcmp(vivo_query_text(s->query), text)) {
            s->used = ++c->clock;
            return s;
        }
    }
    return NULL;
}

/* The slot of this query, made by throwing out the least recently used one. */
static struct slot *take_locked(struct select_cache *c, const struct node *n)
{
    struct slot *s = find_locked(c, n);

    if (s)
        return s;
    s = &c->slots[0];
    for (size_t i = 1; i < SELECT_MAX; i++) {
        if (c->slots[i].used < s->used)
            s = &c->slots[i];
    }
    empty(s);
    s->archive = n->archive;
    s->level = n->base_level;
    s->row = n->base_row;
    s->query = vivo_query_ref(n->query);
    s->used = ++c->clock;
    return s;
}

/* A query that names FetchState is asked again as soon as something came or went. */
static bool is_still_here(const struct slot *s, uint64_t kept)
{
    return !vivo_query_names(s->query, VIVO_VIRTUAL_FETCH_STATE) ||
           (s->kept == kept && vivo_now_ms() - s->at_ms < HERE_MS);
}

static struct vivo_selection *cached(struct select_cache *c, const struct node *n,
                                     bool members, const struct state *now,
                                     int64_t *at_ms)
{
    struct vivo_selection *sel = NULL;
    struct slot *s;

    pthread_mutex_lock(&c->mutex);
    s = find_locked(c, n);
    if (s && s->sel && (s->members || !members || vivo_selection_listed(s->sel)) &&
        vivo_selection_generation(s->sel) == now->generation &&
        is_still_here(s, now->kept))
        sel = vivo_selection_ref(s->sel);
    *at_ms = s ? s->at_ms : 0;
    pthread_mutex_unlock(&c->mutex);
    return sel;
}

static void keep(struct select_cache *c, const struct node *n, bool members,
                 uint64_t kept, struct vivo_selection *sel, const struct vivo_err *err)
{
    struct vivo_selection *old;
    struct slot *s;

    pthread_mutex_lock(&c->mutex);
    s = take_locked(c, n);
    old = s->sel;
    s->sel = sel ? vivo_selection_ref(sel) : NULL;
    s->members = members;
    s->at_ms = vivo_now_ms();
    s->kept = kept;
    s->err = err ? *err : (struct vivo_err){0};
    pthread_mutex_unlock(&c->mutex);
    if (old)
        vivo_selection_unref(old);
}

static int get(struct vivo_tree *t, const struct node *n, bool members,
               struct vivo_selection **out, struct vivo_op *op)
{
    int (*learn)(struct vivo_flow *, enum vivo_level, vivo_row, struct vivo_query *,
                 struct vivo_selection **, struct vivo_op *) =
        members ? vivo_flow_select_members : vivo_flow_select;
    struct vivo_selection *sel;
    struct state now;
    int64_t at_ms;
    int rc;

    *out = NULL;
    if (!n->query)
        return 0;
    now = (struct state){vivo_catalog_generation(node_catalog(t, n)),
                         vivo_flow_kept_changes(node_flow(t, n))};
    sel = cached(t->select, n, members, &now, &at_ms);
    if (sel && !vivo_flow_current(node_flow(t, n), at_ms)) {
        vivo_selection_unref(sel);
        sel = NULL;
    }
    if (!sel) {
        rc = learn(node_flow(t, n), n->base_level, n->base_row, n->query, &sel, op);
        if (rc == -EAGAIN)
            return rc;
        if (rc) {
            select_failed(t, n, &op->err);
            return rc;
        }
        keep(t->select, n, members, now.kept, sel, NULL);
    }
    *out = sel;
    return 0;
}

int select_get(struct vivo_tree *t, const struct node *n, struct vivo_selection **out,
               struct vivo_op *op)
{
    return get(t, n, false, out, op);
}

int select_members(struct vivo_tree *t, const struct node *n,
                   struct vivo_selection **out, struct vivo_op *op)
{
    return get(t, n, true, out, op);
}

void select_failed(struct vivo_tree *t, const struct node *n,
                   const struct vivo_err *err)
{
    if (n->query && n->archive < t->cfg.nflows && err->errnum != EINTR)
        keep(t->select, n, false, 0, NULL, err);
}

/* Of the last one that failed; a query of the whole mount has such files, too. */
void select_file(struct vivo_tree *t, const struct node *n, const char *name,
                 const struct vivo_err *err)
{
    struct slot *s;

    if (!n->query || (err && (err->errnum == EINTR || err->errnum == ENOENT)))
        return;
    pthread_mutex_lock(&t->select->mutex);
    s = err ? take_locked(t->select, n) : find_locked(t->select, n);
    if (s && err) {
        snprintf(s->file, sizeof s->file, "%s", name);
        s->file_err = *err;
    } else if (s && !strcmp(s->file, name)) {
        s->file[0] = '\0';
    }
    pthread_mutex_unlock(&t->select->mutex);
}

bool select_error(struct vivo_tree *t, const struct node *n, struct vivo_buf *out)
{
    struct vivo_err err = {0}, file_err = {0};
    char file[sizeof((struct slot *)0)->file] = "";
    struct slot *s;
    int rc = 0;

    if (!n->query)
        return false;
    pthread_mutex_lock(&t->select->mutex);
    s = find_locked(t->select, n);
    if (s) {
        err = s->err;
        file_err = s->file_err;
        memcpy(file, s->file, sizeof file);
    }
    pthread_mutex_unlock(&t->select->mutex);
    if (err.errnum)
        rc = vivo_buf_printf(out, "%s\n", err.text);
    if (!rc && file[0] && strcmp(err.text, file_err.text) != 0)
        rc = vivo_buf_printf(out, "%s: %s\n", file, file_err.text);
    return !rc && out->len > 0;
}
