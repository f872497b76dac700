/* SPDX-License-Identifier: Apache-2.0 */
/* src/flow/found.c -- what searches of the archive brought.
 *
 * The archive is asked a conjunction of conditions once, and its answer is the studies
 * and series that it named. What that answer says of a query depends on where the
 * conditions stand: below which rows everything lies that meets them itself, or that is
 * in the same series, study or patient as something that does. That is worked out from
 * the answer when it is first wanted, without asking again. */
#include "flow/found.h"

#include <errno.h>
#include <string.h>

enum { KEPT_MAX = 2048, ROWS_MAX = 8 << 20, LIFTS = VIVO_LEVEL_INSTANCE + 1 };

struct lifted { /* as in vivo_cover */
    bool known, unable;
    vivo_row *rows, *seen;
    size_t n, nseen;
};

struct made {
    uint8_t key[VIVO_DIGEST_LEN];
    struct vivo_search told; /* at_ms: of this session's clock */
    struct lifted lifted[LIFTS];
    uint64_t used;
};

struct searches {
    pthread_mutex_t mutex;
    struct made *made; /* guarded by mutex, as below */
    size_t n, cap, rows;
    uint64_t clock;
};

/* ---- life ------------------------------------------------------------------------ */

struct searches *searches_new(void)
{
    struct searches *s = calloc(1, sizeof *s);
    if (s)
        pthread_mutex_init(&s->mutex, NULL);
    return s;
}

static void free_lifted(struct lifted *l)
{
    free(l->rows);
    free(l->seen);
    *l = (struct lifted){0};
}

static void free_made(struct made *m)
{
    vivo_search_free(&m->told);
    for (size_t i = 0; i < LIFTS; i++)
        free_lifted(&m->lifted[i]);
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

int found_key(const struct plan_search *s, uint8_t key[VIVO_DIGEST_LEN])
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf b = {0};
    vivo_buf_init(&b, 1 << 20);
    int rc = vivo_buf_puts(&b, "found");
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

/* ---- remembered ------------------------------------------------------------------ */

static size_t weight_of(const struct made *m)
{
    size_t rows = m->told.nseries + m->told.nstudies;
    for (size_t i = 0; i < LIFTS; i++)
        rows += m->lifted[i].n + m->lifted[i].nseen;
    return rows;
}

static struct made *find_locked(struct vivo_flow *f, const uint8_t *key)
{
    struct searches *s = f->searches;
    int64_t now = vivo_now_ms();
    for (size_t i = 0; i < s->n; i++) {
        struct made *m = &s->made[i];
        if (memcmp(m->key, key, VIVO_DIGEST_LEN))
            continue;
        m->used = ++s->clock;
        return f->offline || now - m->told.at_ms < f->refresh_s * 1000 ? m : NULL;
    }
    return NULL;
}

static void drop_locked(struct searches *s, size_t i)
{
    s->rows -= weight_of(&s->made[i]);
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
    size_t rows = weight_of(m);
    pthread_mutex_lock(&s->mutex);
    for (size_t i = 0; i < s->n; i++)
        if (!memcmp(s->made[i].key, m->key, sizeof m->key)) {
            drop_locked(s, i);
            break;
        }
    make_room_locked(s, rows);
    bool room = s->n < s->cap && s->rows + rows <= ROWS_MAX;
    if (room) {
        m->used = ++s->clock;
        s->made[s->n++] = *m;
        s->rows += rows;
    }
    pthread_mutex_unlock(&s->mutex);
    if (room)
        return 0;
    free_made(m);
    return vivo_fail(err, ENOMEM, "%s: a search has too many results to keep", f->name);
}

/* Where it cannot be kept it is asked again at the next mount. */
int found_remember(struct vivo_flow *f, const struct plan_search *s,
                   struct vivo_search *told, struct vivo_err *err)
{
    struct made m = {.told = *told};
    *told = (struct vivo_search){0};
    if (found_key(s, m.key)) {
        free_made(&m);
        return vivo_fail(err, ENOMEM, "out of memory");
    }
    m.told.at_ms = flow_wall_ms();
    vivo_catalog_search_keep(f->catalog, m.key, &m.told, NULL);
    m.told.at_ms = vivo_now_ms();
    return remember(f, &m, err);
}

/* What another mount asked, or this one in another session: as if it had been asked
 * here, then. Without a catalog that can be read it is asked again. */
static void load(struct vivo_flow *f, const uint8_t *key)
{
    struct made m = {0};
    pthread_mutex_lock(&f->searches->mutex);
    bool there = find_locked(f, key) != NULL;
    pthread_mutex_unlock(&f->searches->mutex);
    if (there || vivo_catalog_search_find(f->catalog, key, &m.told, NULL))
        return;
    int64_t age = flow_wall_ms() - m.told.at_ms;
    if (age < 0 || (!f->offline && !flow_is_recent(f, m.told.at_ms))) {
        vivo_search_free(&m.told);
        return;
    }
    memcpy(m.key, key, sizeof m.key);
    m.told.at_ms = vivo_now_ms() - age;
    remember(f, &m, NULL);
}

/* ---- what it says ---------------------------------------------------------------- */

static int compare_rows(const void *a, const void *b)
{
    vivo_row x = *(const vivo_row *)a;
    vivo_row y = *(const vivo_row *)b;
    return (x > y) - (x < y);
}

size_t found_sort(vivo_row *rows, size_t n)
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

static void add_climbed(struct vivo_flow *f, struct lifted *l, enum vivo_level from,
                        vivo_row row, enum vivo_level lift)
{
    enum vivo_level level = from;
    if (climb(f, &level, &row, VIVO_MIN(lift, level)))
        return; /* removed meanwhile */
    l->unable = l->unable || level == VIVO_LEVEL_NONE ||
                (level != from && !has_locator(f, level, row));
    l->rows[l->n++] = row;
}

/* The studies of these series, ascending. */
static size_t studies_of(struct vivo_flow *f, const struct vivo_search *told,
                         vivo_row *out)
{
    size_t n = 0;
    for (size_t i = 0; i < told->nseries; i++) {
        struct vivo_entry e = {0};
        if (!vivo_catalog_get(f->catalog, VIVO_LEVEL_SERIES, told->series[i],
                              flow_copy_entry, &e, NULL))
            out[n++] = e.parent;
    }
    if (n)
        qsort(out, n, sizeof *out, compare_rows);
    return n;
}

static int settle(struct vivo_flow *f, const struct vivo_search *told,
                  enum vivo_level lift, struct lifted *l)
{
    size_t max = told->nseries + told->nstudies + 1;
    VIVO_AUTO(vivo_free_p) vivo_row *theirs = calloc(max, sizeof *theirs);
    *l = (struct lifted){.known = true,
                         .rows = calloc(max, sizeof *l->rows),
                         .seen = calloc(max, sizeof *l->seen)};
    if (!l->rows || !l->seen || !theirs)
        return -ENOMEM;
    size_t n = studies_of(f, told, theirs);
    for (size_t i = 0; i < told->nseries; i++)
        add_climbed(f, l, VIVO_LEVEL_SERIES, told->series[i], lift);
    for (size_t i = 0; i < told->nstudies; i++) {
        vivo_row row = told->studies[i];
        /* A study of which series came too is there for those alone. */
        if (n && bsearch(&row, theirs, n, sizeof row, compare_rows))
            l->seen[l->nseen++] = row;
        else
            add_climbed(f, l, VIVO_LEVEL_STUDY, row, lift);
    }
    l->n = found_sort(l->rows, l->n);
    l->nseen = found_sort(l->seen, l->nseen);
    return 0;
}

static vivo_row *copy_rows(const vivo_row *rows, size_t n)
{
    vivo_row *copy = malloc((n + 1) * sizeof *copy);
    if (copy && n)
        memcpy(copy, rows, n * sizeof *copy);
    return copy;
}

/* Of what is remembered and not settled yet. false: there is nothing to do. */
static bool copy_unsettled(struct vivo_flow *f, const uint8_t *key,
                           enum vivo_level lift, struct vivo_search *out)
{
    pthread_mutex_lock(&f->searches->mutex);
    const struct made *m = find_locked(f, key);
    bool wanted = m && !m->told.unable && !m->lifted[lift].known;
    if (wanted) {
        *out = m->told;
        out->series = copy_rows(m->told.series, m->told.nseries);
        out->studies = copy_rows(m->told.studies, m->told.nstudies);
    }
    pthread_mutex_unlock(&f->searches->mutex);
    return wanted;
}

/* Has what is known of a search at hand, and what it says for this lift. */
static void recall(struct vivo_flow *f, const uint8_t *key, enum vivo_level lift)
{
    struct vivo_search told;
    struct lifted l = {0};
    load(f, key);
    if (!copy_unsettled(f, key, lift, &told))
        return;
    int rc = told.series && told.studies ? settle(f, &told, lift, &l) : -ENOMEM;
    pthread_mutex_lock(&f->searches->mutex);
    struct made *m = find_locked(f, key);
    if (!rc && m && m->told.at_ms == told.at_ms && !m->lifted[lift].known) {
        m->lifted[lift] = l;
        f->searches->rows += l.n + l.nseen;
        l = (struct lifted){0};
    }
    pthread_mutex_unlock(&f->searches->mutex);
    free_lifted(&l);
    vivo_search_free(&told);
}

enum found_state found_state(struct vivo_flow *f, const struct plan_search *s)
{
    uint8_t key[VIVO_DIGEST_LEN];
    enum found_state state = FOUND_MISSING;
    if (found_key(s, key))
        return FOUND_UNABLE;
    recall(f, key, s->lift);
    pthread_mutex_lock(&f->searches->mutex);
    const struct made *m = find_locked(f, key);
    const struct lifted *l = m ? &m->lifted[s->lift] : NULL;
    if (m && (m->told.unable || l->unable))
        state = FOUND_UNABLE;
    else if (m && l->known)
        state = FOUND_KNOWN;
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

int found_add(struct vivo_flow *f, const struct plan_search *s, struct vivo_cover *c)
{
    uint8_t key[VIVO_DIGEST_LEN];
    if (found_key(s, key))
        return -ENOMEM;
    recall(f, key, s->lift);
    pthread_mutex_lock(&f->searches->mutex);
    const struct made *m = find_locked(f, key);
    const struct lifted *l = m ? &m->lifted[s->lift] : NULL;
    int rc = !m || m->told.unable || !l->known || l->unable;
    if (!rc)
        rc = append(&c->rows, &c->n, l->rows, l->n);
    if (!rc)
        rc = append(&c->seen, &c->nseen, l->seen, l->nseen);
    if (!rc)
        c->upto = VIVO_MIN(c->upto, m->told.upto);
    pthread_mutex_unlock(&f->searches->mutex);
    return rc;
}
