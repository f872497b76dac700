/* SPDX-License-Identifier: Apache-2.0 */
/* src/catalog/facts_make.c -- what virtual attributes are answered from, counted in one
 * pass over each table (facts.c has what it is for). */
#include "catalog/facts.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define FACTS_ARENA_MAX ((size_t)1 << 30)

struct making {
    struct vivo_catdb *d;
    struct vivo_facts *facts;
    unsigned long uses;
    struct vivo_err *err;
};

static int no_memory(struct making *m)
{
    return vivo_fail(m->err, ENOMEM, "catalog: out of memory");
}

/* Room for one more of `*array`; grown by doubling. */
static void *grow(void *array, size_t n, size_t size)
{
    return n & (n - 1) || (n && n < 16) ? array
                                        : realloc(array, size * (n ? 2 * n : 16));
}
#define ADD(m, what, fact)                                                             \
    do {                                                                               \
        struct vivo_facts *f_ = (m)->facts;                                            \
        void *p_ = grow(f_->what, f_->n##what, sizeof *f_->what);                      \
        if (!p_)                                                                       \
            return no_memory(m);                                                       \
        f_->what = p_;                                                                 \
        f_->what[f_->n##what++] = (fact);                                              \
    } while (0)

/* ---- rows ---------------------------------------------------------------------------
 */

static int add_collection(struct making *m, sqlite3_stmt *st)
{
    struct node_fact n = {.id = sqlite3_column_int64(st, 0),
                          .listed = sqlite3_column_int(st, 1) != 0};

    /* Asked by the directory's name or by the label that it was made of. */
    n.name = vivo_arena_printf(m->facts->arena, "%s\\%s", vivo_catdb_column_text(st, 2),
                               vivo_catdb_column_text(st, 3));
    if (!n.name)
        return no_memory(m);
    ADD(m, collections, n);
    return 0;
}

static int add_patient(struct making *m, sqlite3_stmt *st)
{
    struct node_fact n = {.id = sqlite3_column_int64(st, 0),
                          .listed = sqlite3_column_int(st, 1) != 0,
                          .parent = sqlite3_column_int64(st, 2)};

    ADD(m, patients, n);
    return 0;
}

/* Digits alone, padded: a time as text that sorts. */
static void sortable_time(const char *s, char out[13])
{
    size_t n = 0;

    for (; *s && n < 12; s++)
        if (*s >= '0' && *s <= '9')
            out[n++] = *s;
    while (n < 12)
        out[n++] = '0';
    out[n] = '\0';
}

static bool is_date(const char *s, struct tm *tm)
{
    struct tm again;

    memset(tm, 0, sizeof *tm);
    if (strlen(s) != 8 || strspn(s, "0123456789") != 8 ||
        sscanf(s, "%4d%2d%2d", &tm->tm_year, &tm->tm_mon, &tm->tm_mday) != 3)
        return false;
    tm->tm_year -= 1900;
    tm->tm_mon -= 1;
    again = *tm;
    timegm(&again);
    return again.tm_mday == tm->tm_mday && again.tm_mon == tm->tm_mon;
}

/* The earliest of what its series say; a study without a date has no rank. */
static void note_date(struct study_fact *s, struct vivo_attrs a)
{
    char date[32], time[32], digits[13], order[VIVO_FACT_ORDER];
    struct tm tm;

    vivo_attrs_text(a, VIVO_TAG_StudyDate, date, sizeof date);
    vivo_attrs_text(a, VIVO_TAG_StudyTime, time, sizeof time);
    if (!is_date(date, &tm))
        return;
    if (time[0])
        sortable_time(time, digits);
    else
        snprintf(digits, sizeof digits, "            "); /* before any time */
    snprintf(order, sizeof order, "%.8s%s%.64s", date, digits, s->uid);
    if (!s->dated || strcmp(order, s->order) < 0)
        memcpy(s->order, order, sizeof order);
    s->dated = true;
}

static int note_modality(struct making *m, struct study_fact *s, const char *value)
{
    const char *at = s->modalities;
    size_t len = strlen(value);

    while (at && *at) {
        size_t n = strcspn(at, "\\");
        if (n == len && !memcmp(at, value, len))
            return 0;
        at += n + (at[n] == '\\');
    }
    if (!len)
        return 0;
    s->modalities =
        vivo_arena_printf(m->facts->arena, "%s%s%s", s->modalities ? s->modalities : "",
                          s->modalities ? "\\" : "", value);
    return s->modalities ? 0 : no_memory(m);
}

static int add_study(struct making *m, sqlite3_stmt *st)
{
    struct vivo_attrs a = vivo_catdb_column_attrs(st, 4);
    struct vivo_attr e;
    struct study_fact s = {.id = sqlite3_column_int64(st, 0),
                           .listed = sqlite3_column_int(st, 1) != 0,
                           .patient = sqlite3_column_int64(st, 2),
                           .series = -1,
                           .instances = -1};

    s.uid = vivo_arena_strndup(m->facts->arena, vivo_catdb_column_text(st, 3),
                               strlen(vivo_catdb_column_text(st, 3)));
    if (!s.uid)
        return no_memory(m);
    note_date(&s, a);
    if (!s.listed && vivo_attrs_find(a, VIVO_TAG_ModalitiesInStudy, &e) && e.len) {
        s.modalities =
            vivo_arena_strndup(m->facts->arena, (const char *)e.value, e.len);
        s.told = true;
        if (!s.modalities)
            return no_memory(m);
    }
    ADD(m, studies, s);
    return 0;
}

/* Modality differs among the members: each is looked at. */
static int member_modalities(struct making *m, struct study_fact *s, vivo_row series)
{
    sqlite3_stmt *st = vivo_catdb_stmt(m->d,
                                       "SELECT d.attrs FROM instance i JOIN diff d ON"
                                       " d.id = i.id WHERE i.parent = ?1",
                                       m->err);
    char text[VIVO_UID_MAX];
    int rc;

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, series);
    while ((rc = vivo_catdb_step(m->d, st, m->err)) == 1) {
        vivo_attrs_text(vivo_catdb_column_attrs(st, 0), VIVO_TAG_Modality, text,
                        sizeof text);
        rc = note_modality(m, s, text);
        if (rc < 0)
            break;
    }
    sqlite3_reset(st);
    return rc;
}

static int64_t number_of(struct vivo_attrs a, uint32_t tag)
{
    char text[32], *end;
    long long v;

    if (!vivo_attrs_text(a, tag, text, sizeof text))
        return -1;
    errno = 0;
    v = strtoll(text, &end, 10);
    return errno || *end || v < 0 ? -1 : v;
}

enum {
    S_ID,
    S_LISTED,
    S_STUDY,
    S_MEMBERS,
    S_OPEN,
    S_BYTES,
    S_VARIES,
    S_HOT,
    S_ATTRS,
    S_LICENSE
};

static int add_series(struct making *m, sqlite3_stmt *st)
{
    struct vivo_attrs hot = vivo_catdb_column_attrs(st, S_HOT);
    int64_t members = sqlite3_column_int64(st, S_MEMBERS);
    uint64_t mask = (uint64_t)sqlite3_column_int64(st, S_VARIES);
    struct series_fact s = {.id = sqlite3_column_int64(st, S_ID),
                            .listed = sqlite3_column_int(st, S_LISTED) != 0,
                            .study = sqlite3_column_int64(st, S_STUDY),
                            .count = sqlite3_column_int64(st, S_OPEN),
                            .frames = -1,
                            .bytes = sqlite3_column_int64(st, S_BYTES)};
    struct study_fact *study = FIND(m->facts, studies, s.study);
    int bit = vivo_catalog_hot(VIVO_TAG_Modality);
    char text[VIVO_UID_MAX];
    int rc = 0;

    if (!study || (s.listed && s.count == 0))
        return 0; /* nothing of it opens */
    if (!s.listed)
        s.count = number_of(vivo_catdb_column_attrs(st, S_ATTRS),
                            VIVO_TAG_NumberOfSeriesRelatedInstances);
    if (sqlite3_column_type(st, S_LICENSE) != SQLITE_NULL) {
        const char *license = vivo_catdb_column_text(st, S_LICENSE);
        size_t len = strlen(license);
        while (len && isspace((unsigned char)license[len - 1]))
            len--; /* the end of a file */
        s.license = vivo_arena_strndup(m->facts->arena, license, len);
        if (!s.license)
            return no_memory(m);
    }
    note_date(study, hot);
    vivo_attrs_text(hot, VIVO_TAG_Modality, text, sizeof text);
    if (!study->told)
        rc = note_modality(m, study, text);
    if (rc == 0 && members && bit >= 0 && mask >> bit & 1)
        rc = member_modalities(m, study, s.id);
    if (rc < 0)
        return rc;
    study->series = VIVO_MAX(study->series, 0) + 1;
    study->unlisted_series |= s.count < 0;
    study->instances = VIVO_MAX(study->instances, 0) + VIVO_MAX(s.count, 0);
    ADD(m, series, s);
    return 0;
}

static int each(struct making *m, const char *sql,
                int (*add)(struct making *m, sqlite3_stmt *st))
{
    sqlite3_stmt *st = vivo_catdb_stmt(m->d, sql, m->err);
    int rc;

    if (!st)
        return -EIO;
    while ((rc = vivo_catdb_step(m->d, st, m->err)) == 1) {
        rc = add(m, st);
        if (rc < 0)
            break;
    }
    sqlite3_reset(st);
    return rc < 0 ? rc : 0;
}

/* ---- frames
 * --------------------------------------------------------------------------- */

static int64_t frames_of(struct vivo_attrs a)
{
    int64_t v = number_of(a, VIVO_TAG_NumberOfFrames);

    return v > 0 ? v : 1;
}

static int member_frames(struct making *m, struct series_fact *s, int64_t base)
{
    sqlite3_stmt *st = vivo_catdb_stmt(
        m->d,
        "SELECT (SELECT d.attrs FROM diff d WHERE d.id = i.id) FROM instance i"
        " WHERE i.parent = ?1 AND i.refusal = 0",
        m->err);
    struct vivo_attr e;
    int rc;

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, s->id);
    s->frames = 0;
    while ((rc = vivo_catdb_step(m->d, st, m->err)) == 1) {
        struct vivo_attrs diff = vivo_catdb_column_attrs(st, 0);
        bool own = vivo_attrs_find(diff, VIVO_TAG_NumberOfFrames, &e);
        s->frames += !own ? base : e.vr[0] == '-' ? 1 : frames_of(diff);
    }
    return rc;
}

/* Only whole headers tell that NumberOfFrames is absent. */
static int count_frames(struct making *m, struct series_fact *s)
{
    sqlite3_stmt *st = vivo_catdb_stmt(m->d,
                                       "SELECT b.attrs FROM base b JOIN series s ON"
                                       " s.id = b.id WHERE b.id = ?1 AND s.members > 0"
                                       " AND s.known = s.members",
                                       m->err);
    int64_t base;
    int rc;

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, s->id);
    rc = vivo_catdb_step(m->d, st, m->err);
    if (rc <= 0)
        return rc;
    base = frames_of(vivo_catdb_column_attrs(st, 0));
    sqlite3_reset(st);
    return member_frames(m, s, base);
}

/* ---- the place of a study
 * ------------------------------------------------------------- */

static int by_patient(const void *a, const void *b)
{
    const struct study_fact *x = *(struct study_fact *const *)a;
    const struct study_fact *y = *(struct study_fact *const *)b;

    if (x->patient != y->patient)
        return x->patient < y->patient ? -1 : 1;
    return strcmp(x->order, y->order);
}

static int64_t day_of(const struct study_fact *s)
{
    char date[9];
    struct tm tm;

    snprintf(date, sizeof date, "%.8s", s->order);
    return is_date(date, &tm) ? timegm(&tm) / 86400 : 0;
}

static void rank_run(struct study_fact **s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        s[i]->rank = (int64_t)i + 1;
        s[i]->of = (int64_t)n;
        s[i]->day = day_of(s[i]) - day_of(s[0]);
    }
}

static int rank_studies(struct making *m)
{
    struct vivo_facts *f = m->facts;
    struct study_fact **order = calloc(f->nstudies + 1, sizeof(struct study_fact *));
    size_t n = 0;

    if (!order)
        return no_memory(m);
    for (size_t i = 0; i < f->nstudies; i++) {
        struct node_fact *p = FIND(f, patients, f->studies[i].patient);
        bool shown = f->studies[i].series > 0 || !f->studies[i].listed;
        if (p && shown)
            p->children++;
        if (f->studies[i].dated && shown)
            order[n++] = &f->studies[i];
    }
    qsort(order, n, sizeof *order, by_patient);
    for (size_t from = 0, to; from < n; from = to) {
        for (to = from; to < n && order[to]->patient == order[from]->patient;)
            to++;
        rank_run(order + from, to - from);
    }
    free(order);
    return 0;
}

/* ---- made
 * ------------------------------------------------------------------------------ */

static unsigned long uses_of(const struct vivo_query_node *n)
{
    unsigned long uses = 0;

    if (n->a)
        uses |= uses_of(n->a);
    if (n->b)
        uses |= uses_of(n->b);
    return uses | (n->path.computed ? 1UL << n->path.computed : 0);
}

#define TOLD_OTHERWISE                                                                 \
    (1UL << VIVO_VIRTUAL_ARCHIVE | 1UL << VIVO_VIRTUAL_PLANE |                         \
     1UL << VIVO_VIRTUAL_REFERS_TO | 1UL << VIVO_VIRTUAL_FETCH_STATE)

static int make(struct making *m)
{
    int rc;

    m->facts->arena = vivo_arena_new(FACTS_ARENA_MAX);
    if (!m->facts->arena)
        return no_memory(m);
    rc = each(
        m, "SELECT id, listed OR lookup IS NULL, name, key FROM collection ORDER BY id",
        add_collection);
    if (rc == 0)
        rc = each(m,
                  "SELECT id, listed OR lookup IS NULL, parent FROM patient"
                  " ORDER BY id",
                  add_patient);
    if (rc == 0)
        rc = each(m,
                  "SELECT id, listed OR lookup IS NULL, parent, key, attrs FROM study"
                  " ORDER BY id",
                  add_study);
    if (rc == 0)
        rc =
            each(m,
                 "SELECT id, listed OR lookup IS NULL, parent, members, open, bytes,"
                 " varies, hot, attrs, coalesce(license, (SELECT c.license FROM study t"
                 " JOIN patient p ON p.id = t.parent JOIN collection c ON"
                 " c.id = p.parent WHERE t.id = series.parent)) FROM series"
                 " ORDER BY id",
                 add_series);
    for (size_t i = 0;
         rc == 0 && i < m->facts->nseries && m->uses >> VIVO_VIRTUAL_FRAME_COUNT & 1;
         i++)
        rc = count_frames(m, &m->facts->series[i]);
    return rc < 0 ? rc : rank_studies(m);
}

int vivo_catalog_facts_make(struct vivo_catdb *d, const struct vivo_query_node *root,
                            struct vivo_facts **out, struct vivo_err *err)
{
    struct making m = {.d = d, .err = err, .uses = uses_of(root)};
    int rc;

    *out = NULL;
    if (!(m.uses & ~TOLD_OTHERWISE))
        return 0;
    m.facts = calloc(1, sizeof *m.facts);
    if (!m.facts)
        return no_memory(&m);
    rc = make(&m);
    if (rc < 0)
        vivo_catalog_facts_free(m.facts);
    else
        *out = m.facts;
    return rc;
}
