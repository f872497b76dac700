/* SPDX-License-Identifier: Apache-2.0 */
/* src/flow/push.c -- searches of the archive: asked, remembered, and what they tell.
 *
 * A search is a flight like a listing, and what it brings is put into the catalog like
 * a listing's rows, but nothing becomes "listed" by it. What is remembered, for as long
 * as a listing would be and across mounts, is below which rows all that meets the
 * search lies; the catalog then knows of nodes that were never listed that nothing in
 * them can match. */
#include "flow/push.h"

#include "vivofs/search.h"

#include <errno.h>
#include <string.h>

/* WORTH: one search costs about as much as so many listings. */
enum { KEPT_MAX = 2048, ROWS_MAX = 8 << 20, WORTH = 3 };

struct made {
    uint8_t key[VIVO_DIGEST_LEN];
    int64_t at_ms; /* 0 = free */
    uint64_t used;
    bool unable;                 /* the archive cannot be asked that */
    vivo_row upto, *rows, *seen; /* as in vivo_cover */
    size_t n, nseen;
};

struct searches {
    pthread_mutex_t mutex;
    struct made *made; /* guarded by mutex, as below */
    size_t n, cap, rows;
    uint64_t clock;
};

struct job { /* ctx of a flight */
    struct plan_search *search;
    struct vivo_arena *arena; /* holds it */
    struct search_rows found;
};

struct searches *searches_new(void)
{
    struct searches *s = calloc(1, sizeof *s);
    if (s)
        pthread_mutex_init(&s->mutex, NULL);
    return s;
}

static void free_made(struct made *m)
{
    free(m->rows);
    free(m->seen);
}

void searches_forget(struct searches *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->mutex);
    for (size_t i = 0; i < s->n; i++)
        free_made(&s->made[i]);
    s->n = s->rows = 0;
    pthread_mutex_unlock(&s->mutex);
}

void searches_free(struct searches *s)
{
    if (!s)
        return;
    searches_forget(s);
    pthread_mutex_destroy(&s->mutex);
    free(s->made);
    free(s);
}

/* Everything that tells searches apart, the same at every mount. */
static int key_of(const struct plan_search *s, uint8_t key[VIVO_DIGEST_LEN])
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf b = {0};
    vivo_buf_init(&b, 1 << 20);
    int rc = vivo_buf_printf(&b, "%d", (int)s->lift);
    for (size_t i = 0; i < s->n && !rc; i++) {
        const struct vivo_match *m = &s->matches[i];
        rc = vivo_buf_printf(&b, "\n%08x %d %d", m->tag, (int)m->kind, (int)m->wild);
        for (size_t k = 0; k < m->n && !rc; k++) {
            const char *v = m->values[k] ? m->values[k] : "\x01";
            rc = vivo_buf_add(&b, v, strlen(v) + 1);
        }
    }
    if (!rc)
        vivo_sha256(b.data, b.len, key);
    return rc;
}

/* ---- remembered ------------------------------------------------------------------
 */

static struct made *find_locked(struct vivo_flow *f, const uint8_t *key)
{
    struct searches *s = f->searches;
    int64_t now = vivo_now_ms();
    for (size_t i = 0; i < s->n; i++) {
        struct made *m = &s->made[i];
        if (memcmp(m->key, key, VIVO_DIGEST_LEN))
            continue;
        m->used = ++s->clock;
        return f->offline || now - m->at_ms < f->refresh_s * 1000 ? m : NULL;
    }
    return NULL;
}

static void drop_locked(struct searches *s, size_t i)
{
    s->rows -= s->made[i].n + s->made[i].nseen;
    free_made(&s->made[i]);
    s->made[i] = s->made[--s->n];
}

static void make_room_locked(struct searches *s, size_t rows)
{
    while (s->n && (s->n >= KEPT_MAX || s->rows + rows > ROWS_MAX)) {
        size_t oldest = 0;
        for (size_t i = 1; i < s->n; i++)
            if (s->made[i].used < s->made[oldest].used)
                oldest = i;
        drop_locked(s, oldest);
    }
    if (s->n < s->cap)
        return;
    size_t cap = s->cap ? 2 * s->cap : 32;
    struct made *p = realloc(s->made, cap * sizeof *p);
    if (!p)
        return;
    s->made = p;
    s->cap = cap;
}

/* Takes m's rows over. */
static int remember(struct vivo_flow *f, struct made *m, struct vivo_err *err)
{
    struct searches *s = f->searches;
    pthread_mutex_lock(&s->mutex);
    for (size_t i = 0; i < s->n; i++)
        if (!memcmp(s->made[i].key, m->key, sizeof m->key)) {
            drop_locked(s, i);
            break;
        }
    make_room_locked(s, m->n + m->nseen);
    bool room = s->n < s->cap && s->rows + m->n + m->nseen <= ROWS_MAX;
    if (room) {
        m->used = ++s->clock;
        s->made[s->n++] = *m;
        s->rows += m->n + m->nseen;
    }
    pthread_mutex_unlock(&s->mutex);
    if (room)
        return 0;
    free_made(m);
    return vivo_fail(err, ENOMEM, "%s: a search has too many results to keep", f->name);
}

/* What another mount asked, or this one in another session: as if it had been asked
 * here, then. Without a catalog that can be read it is asked again. */
static void recall(struct vivo_flow *f, const uint8_t *key)
{
    struct vivo_search kept;
    int64_t age;
    pthread_mutex_lock(&f->searches->mutex);
    bool there = find_locked(f, key) != NULL;
    pthread_mutex_unlock(&f->searches->mutex);
    if (there || vivo_catalog_search_find(f->catalog, key, &kept, NULL))
        return;
    age = flow_wall_ms() - kept.at_ms;
    if (age < 0 || (!f->offline && !flow_is_recent(f, kept.at_ms))) {
        vivo_search_free(&kept);
        return;
    }
    struct made m = {.at_ms = vivo_now_ms() - age,
                     .unable = kept.unable,
                     .upto = kept.upto,
                     .rows = kept.rows,
                     .seen = kept.seen,
                     .n = kept.n,
                     .nseen = kept.nseen};
    memcpy(m.key, key, sizeof m.key);
    remember(f, &m, NULL);
}

/* Where it cannot be kept it is asked again at the next mount. */
static void keep(struct vivo_flow *f, const struct made *m)
{
    struct vivo_search s = {.at_ms = flow_wall_ms(),
                            .unable = m->unable,
                            .upto = m->upto,
                            .rows = m->rows,
                            .seen = m->seen,
                            .n = m->n,
                            .nseen = m->nseen};
    vivo_catalog_search_keep(f->catalog, m->key, &s, NULL);
}

/* ---- the job
 * ------------------------------------------------------------------------- */

static int compare_rows(const void *a, const void *b)
{
    vivo_row x = *(const vivo_row *)a;
    vivo_row y = *(const vivo_row *)b;
    return (x > y) - (x < y);
}

/* Ascending and each once. */
static size_t sort_rows(vivo_row *rows, size_t n)
{
    size_t kept = 0;
    if (n)
        qsort(rows, n, sizeof *rows, compare_rows);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || rows[i] != rows[kept - 1])
            rows[kept++] = rows[i];
    return kept;
}

/* The nearest node, from this one up, that the archive lists the children of, as only
 * these can be listed on their own; level NONE: there is none. -ENOENT: it is gone. */
static int climb(struct vivo_flow *f, enum vivo_level *level, vivo_row *row,
                 enum vivo_level below)
{
    while (*level > below || (*level < VIVO_LEVEL_SERIES && *level != VIVO_LEVEL_NONE &&
                              !(f->archive->driver->lists & 1u << *level))) {
        struct vivo_entry e = {0};
        int rc = vivo_catalog_get(f->catalog, *level, *row, flow_copy_entry, &e, NULL);
        if (rc)
            return rc;
        *level = (enum vivo_level)(*level - 1);
        *row = *level == VIVO_LEVEL_NONE ? 0 : e.parent;
    }
    return 0;
}

/* Without one its children cannot be asked for. */
static bool has_locator(struct vivo_flow *f, enum vivo_level level, vivo_row row)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf locator = {0};
    vivo_buf_init(&locator, 64 * 1024);
    return !vivo_catalog_locator(f->catalog, level, row, &locator, NULL, NULL);
}

/* The studies of the series that were found, ascending. */
static size_t studies_of(struct vivo_flow *f, const struct search_rows *found,
                         vivo_row *out)
{
    size_t n = 0;
    for (size_t i = 0; i < found->n; i++) {
        struct vivo_entry e = {0};
        if (found->items[i].level == VIVO_LEVEL_SERIES &&
            !vivo_catalog_get(f->catalog, VIVO_LEVEL_SERIES, found->items[i].row,
                              flow_copy_entry, &e, NULL))
            out[n++] = e.parent;
    }
    if (n)
        qsort(out, n, sizeof *out, compare_rows);
    return n;
}

/* What was found, as the rows of a cover. */
static int settle(struct vivo_flow *f, struct job *j, struct made *m)
{
    const struct search_rows *found = &j->found;
    enum vivo_level lift = j->search->lift;
    m->rows = calloc(found->n + 1, sizeof *m->rows);
    m->seen = calloc(found->n + 1, sizeof *m->seen);
    VIVO_AUTO(vivo_free_p) vivo_row *studies = calloc(found->n + 1, sizeof *studies);
    if (!m->rows || !m->seen || !studies)
        return -ENOMEM;
    size_t nstudies = studies_of(f, found, studies);
    for (size_t i = 0; i < found->n; i++) {
        enum vivo_level level = found->items[i].level;
        vivo_row row = found->items[i].row;
        /* A study of which series came too is there for those alone. */
        if (level == VIVO_LEVEL_STUDY && nstudies &&
            bsearch(&row, studies, nstudies, sizeof row, compare_rows)) {
            m->seen[m->nseen++] = row;
            continue;
        }
        if (climb(f, &level, &row, VIVO_MIN(lift, level)))
            continue; /* removed meanwhile */
        m->unable = m->unable || level == VIVO_LEVEL_NONE ||
                    (level != found->items[i].level && !has_locator(f, level, row));
        m->rows[m->n++] = row;
    }
    m->n = sort_rows(m->rows, m->n);
    m->nseen = sort_rows(m->seen, m->nseen);
    return 0;
}

static int run_search(struct vivo_flight *flight)
{
    struct vivo_flow *f = flight->flow;
    struct job *j = flight->ctx;
    struct vivo_err *err = &flight->op.err;
    struct made m = {.upto = vivo_catalog_last_row(f->catalog)};
    int rc = key_of(j->search, m.key);
    if (rc)
        return vivo_fail(err, ENOMEM, "out of memory");
    rc = scan_run_search(flight, j->search->matches, j->search->n, &j->found);
    if (rc == -ENOENT) {
        m.unable = true;
        vivo_err_clear(err);
    } else if (rc) {
        return rc;
    } else if (settle(f, j, &m)) {
        free_made(&m);
        return vivo_fail(err, ENOMEM, "out of memory");
    }
    m.at_ms = vivo_now_ms();
    keep(f, &m);
    return remember(f, &m, err);
}

static void drop_job(struct vivo_flight *flight)
{
    struct job *j = flight->ctx;
    free(j->found.items);
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
    if (key_of(s, key)) {
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

enum state { STATE_MISSING, STATE_UNABLE, STATE_MADE };

static enum state state_of(struct vivo_flow *f, const struct plan_search *s)
{
    uint8_t key[VIVO_DIGEST_LEN];
    if (key_of(s, key))
        return STATE_UNABLE;
    recall(f, key);
    pthread_mutex_lock(&f->searches->mutex);
    const struct made *m = find_locked(f, key);
    enum state state = !m ? STATE_MISSING : m->unable ? STATE_UNABLE : STATE_MADE;
    pthread_mutex_unlock(&f->searches->mutex);
    return state;
}

static int append(const vivo_row **to, size_t *n, const vivo_row *more, size_t count)
{
    vivo_row *old = (vivo_row *)(uintptr_t)*to;
    vivo_row *p = realloc(old, (*n + count + 1) * sizeof *p);
    if (!p)
        return -ENOMEM;
    if (count)
        memcpy(p + *n, more, count * sizeof *p);
    *to = p;
    *n += count;
    return 0;
}

/* Appends what one search told. 0: all right, 1: it tells nothing (yet). */
static int add_rows(struct vivo_flow *f, const struct plan_search *s,
                    struct vivo_cover *c)
{
    uint8_t key[VIVO_DIGEST_LEN];
    if (key_of(s, key))
        return -ENOMEM;
    recall(f, key);
    pthread_mutex_lock(&f->searches->mutex);
    const struct made *m = find_locked(f, key);
    int rc = !m || m->unable;
    if (!rc)
        rc = append(&c->rows, &c->n, m->rows, m->n);
    if (!rc)
        rc = append(&c->seen, &c->nseen, m->seen, m->nseen);
    if (!rc)
        c->upto = VIVO_MIN(c->upto, m->upto);
    pthread_mutex_unlock(&f->searches->mutex);
    return rc;
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
        rc = add_rows(f, s, c);
    if (rc) {
        free_cover(c);
        return rc;
    }
    c->n = sort_rows((vivo_row *)(uintptr_t)c->rows, c->n);
    c->nseen = sort_rows((vivo_row *)(uintptr_t)c->seen, c->nseen);
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
            enum state state = state_of(f, s);
            able = state != STATE_UNABLE;
            if (state == STATE_MISSING)
                todo[n++] = s;
        }
        n = able ? n : before;
    }
    return n;
}
