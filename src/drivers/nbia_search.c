/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/nbia_search.c -- series that meet some conditions, by getSeries.
 *
 * Its filters are exact, minding case or not as the version of the API pleases. Of
 * modality, body part and manufacturer the server lists all values that there are, so
 * that those meant, wildcards included, are asked for as they are spelt there. UIDs are
 * asked as they are; a PatientID with letters only once the server has shown that it
 * does not mind their case. "Nothing" may also hide a failure (nbia.md), so it is
 * believed of no value that was listed. */
#include "dicomjson.h"
#include "nbia.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define KEYS 6
#define REQUESTS_MAX 64
#define QUERY_MAX 2048
#define ROWS_BYTES (256u << 20)

static const struct key {
    uint32_t tag;
    const char *name, *values; /* values: the call that lists them; NULL = none does */
    bool uid;
} keys[KEYS] = {
    {VIVO_TAG_Modality, "Modality", "getModalityValues", false},
    {VIVO_TAG_BodyPartExamined, "BodyPartExamined", "getBodyPartValues", false},
    {VIVO_TAG_Manufacturer, "Manufacturer", "getManufacturerValues", false},
    {VIVO_TAG_PatientID, "PatientID", NULL, false},
    {VIVO_TAG_StudyInstanceUID, "StudyInstanceUID", NULL, true},
    {VIVO_TAG_SeriesInstanceUID, "SeriesInstanceUID", NULL, true},
};
const uint32_t vivo_nbia_searches[] = {
    VIVO_TAG_Modality,
    VIVO_TAG_BodyPartExamined,
    VIVO_TAG_Manufacturer,
    VIVO_TAG_PatientID,
    VIVO_TAG_StudyInstanceUID,
    VIVO_TAG_SeriesInstanceUID,
    0,
};

struct wanted {
    bool asked; /* n may be 0 all the same: there is no such value */
    size_t n;
    const char *values[REQUESTS_MAX];
};

struct row {
    char *key; /* patient, study, series: the order in which list() emits */
    char *collection, *object;
    size_t len;
};

struct search {
    struct nbia *n;
    struct vivo_intake *in;
    struct vivo_op *op;
    struct vivo_arena *arena;
    struct vivo_buf body;
    struct wanted wanted[KEYS];
    struct row *rows;
    size_t count, cap;
    bool odd; /* a row that no series can be made of */
};

typedef int take_fn(struct search *s, void *ctx, const char *object, size_t len);

static int ask(struct search *s, const char *query, take_fn *take, void *ctx)
{
    struct vivo_dicomjson_rows rows;
    const char *object;
    size_t len;
    vivo_buf_free(&s->body);
    vivo_buf_init(&s->body, NBIA_SERIES_BYTES);
    int rc = vivo_nbia_ask(s->n, query, NBIA_SERIES_BYTES, &s->body, s->op);
    if (rc || vivo_nbia_is_empty(&s->body))
        return rc;
    vivo_dicomjson_rows_init(&rows, s->body.data, s->body.len);
    while ((rc = vivo_dicomjson_next(&rows, &object, &len, &s->op->err)) > 0) {
        rc = vivo_op_check(s->op);
        if (rc == 0)
            rc = take(s, ctx, object, len);
        if (rc)
            return rc;
    }
    return rc;
}

static int unable(struct search *s)
{
    vivo_err_clear(&s->op->err);
    return vivo_fail(&s->op->err, ENOENT, "nbia: no such search");
}

/* ---- values ------------------------------------------------------------------- */

/* Without case; * any text, ? any character. */
static bool is_like(const char *pattern, const char *text)
{
    const char *star = NULL;
    const char *from = NULL;
    while (*text) {
        if (*pattern == '*') {
            star = pattern++;
            from = text;
        } else if (*pattern == '?' ||
                   tolower((unsigned char)*pattern) == tolower((unsigned char)*text)) {
            pattern++;
            text++;
        } else if (star) {
            pattern = star + 1;
            text = ++from;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return !*pattern;
}

static bool is_meant(const struct vivo_match *m, const char *value)
{
    char trimmed[NBIA_TEXT_MAX + 1];
    size_t n = strlen(value);
    while (n && value[n - 1] == ' ')
        n--;
    while (n && *value == ' ') {
        value++;
        n--;
    }
    memcpy(trimmed, value, n);
    trimmed[n] = '\0';
    for (size_t i = 0; i < m->n; i++)
        if (m->wild ? is_like(m->values[i], trimmed)
                    : !strcasecmp(m->values[i], trimmed))
            return true;
    return false;
}

struct listed {
    const struct key *key;
    const struct vivo_match *match;
    struct wanted *to;
    bool any;
};

static int add_value(struct search *s, struct wanted *to, const char *value)
{
    char *copy = vivo_arena_strndup(s->arena, value, strlen(value));
    if (to->n == REQUESTS_MAX || !copy)
        return -ENOSPC;
    to->values[to->n++] = copy;
    return 0;
}

static int take_value(struct search *s, void *ctx, const char *object, size_t len)
{
    struct listed *l = ctx;
    char value[NBIA_TEXT_MAX + 1];
    if (!vivo_nbia_text(object, len, l->key->name, value, sizeof value))
        return vivo_fail(&s->op->err, EBADMSG, "a row that is no JSON object");
    l->any = l->any || value[0];
    if (!value[0] || !is_meant(l->match, value))
        return 0;
    return add_value(s, l->to, value) ? unable(s) : 0;
}

static bool has_letter(const char *s)
{
    while (*s && !isalpha((unsigned char)*s))
        s++;
    return *s;
}

static int note_any(struct search *s, void *ctx, const char *object, size_t len)
{
    (void)s;
    (void)object;
    (void)len;
    *(bool *)ctx = true;
    return 0;
}

/* The same patient in the other case: if there is one, case does not matter. */
static int prove_fold(struct search *s, const char *value, bool *proven)
{
    char other[NBIA_TEXT_MAX + 1];
    char text[3 * NBIA_TEXT_MAX + 1];
    char query[QUERY_MAX];
    bool there[2] = {false, false};
    size_t n = VIVO_MIN(strlen(value), (size_t)NBIA_TEXT_MAX);
    for (size_t i = 0; i < n; i++) {
        int c = (unsigned char)value[i];
        other[i] = (char)(islower(c) ? toupper(c) : tolower(c));
    }
    other[n] = '\0';
    for (int i = 0; i < 2; i++) {
        vivo_nbia_encode(i ? other : value, text);
        snprintf(query, sizeof query, "getSeries?PatientID=%s", text);
        int rc = ask(s, query, note_any, &there[i]);
        if (rc)
            return rc;
    }
    *proven = there[0] && there[1];
    return 0;
}

/* -ENOSPC: it cannot be asked. */
static int add_direct(struct search *s, const struct key *k, const struct vivo_match *m)
{
    struct wanted *w = &s->wanted[k - keys];
    if (m->wild)
        return -ENOSPC;
    for (size_t i = 0; i < m->n; i++) {
        const char *v = m->values[i];
        bool proven = k->uid || !has_letter(v) || atomic_load(&s->n->folds);
        int rc = 0;
        if (k->uid ? !vivo_nbia_uid_ok(v) : strlen(v) > NBIA_TEXT_MAX)
            return -ENOSPC;
        if (!proven) {
            rc = prove_fold(s, v, &proven);
            if (rc == 0 && proven)
                atomic_store(&s->n->folds, true);
        }
        if (rc == 0)
            rc = proven ? add_value(s, w, v) : -ENOSPC;
        if (rc)
            return rc;
    }
    return 0;
}

static int add_match(struct search *s, const struct key *k, const struct vivo_match *m)
{
    struct wanted *w = &s->wanted[k - keys];
    if (m->kind != VIVO_MATCH_ANY_OF)
        return -ENOSPC;
    if (!k->values)
        return add_direct(s, k, m);
    struct listed l = {k, m, w, false};
    int rc = ask(s, k->values, take_value, &l);
    return rc || l.any ? rc : unable(s); /* an archive without any modality? */
}

static int choose(struct search *s, const struct vivo_match *matches, size_t n,
                  uint64_t *answered)
{
    uint64_t of[KEYS] = {0};
    size_t most = 0;
    for (size_t i = 0; i < n; i++) {
        size_t k = 0;
        while (k < KEYS && keys[k].tag != matches[i].tag)
            k++;
        if (k == KEYS || s->wanted[k].asked)
            continue;
        int rc = add_match(s, &keys[k], &matches[i]);
        if (rc && rc != -ENOSPC)
            return rc;
        s->wanted[k].asked = rc == 0;
        s->wanted[k].n = rc ? 0 : s->wanted[k].n;
        of[k] = rc ? 0 : UINT64_C(1) << i;
        if (s->wanted[k].n > s->wanted[most].n)
            most = k;
    }
    /* One request for each value of one key; other lists are left out. */
    for (size_t k = 0; k < KEYS; k++) {
        if (s->wanted[k].n > 1 && k != most)
            s->wanted[k].asked = false;
        *answered |= s->wanted[k].asked ? of[k] : 0;
    }
    return *answered ? 0 : unable(s);
}

/* ---- rows --------------------------------------------------------------------- */

static int grow(struct search *s)
{
    struct row *rows =
        vivo_array_grow(s->rows, s->count, &s->cap, sizeof *rows, VIVO_ARRAY_MAX);
    if (!rows)
        return vivo_fail(&s->op->err, ENOMEM, "nbia: out of memory");
    s->rows = rows;
    return 0;
}

static int take_series(struct search *s, void *ctx, const char *object, size_t len)
{
    struct nbia_place p;
    int rc = vivo_nbia_series(object, len, &p, &s->op->err);
    if (s->in->alive)
        s->in->alive(s->in); /* records come only at the end */
    if (rc == 0)
        rc = grow(s);
    if (rc)
        return rc;
    *(bool *)ctx = true;
    s->odd = s->odd || !p.collection[0] || !p.series[0];
    struct row *r = &s->rows[s->count];
    r->key = vivo_arena_printf(s->arena, "%s\x1f%s\x1f%s\x1f%s", p.collection,
                               p.patient, p.study, p.series);
    r->collection = vivo_arena_strndup(s->arena, p.collection, strlen(p.collection));
    r->object = vivo_arena_strndup(s->arena, object, len);
    r->len = len;
    if (!r->key || !r->collection || !r->object)
        return unable(s); /* more than is kept: listed instead */
    s->count++;
    return 0;
}

static int compare_rows(const void *a, const void *b)
{
    const struct row *x = a;
    const struct row *y = b;
    int c = strcmp(x->key, y->key);
    return c ? c : strcmp(x->object, y->object);
}

/* One request; values that were listed must have series. */
static int ask_series(struct search *s, size_t turn)
{
    char query[QUERY_MAX] = "getSeries?";
    char text[3 * NBIA_TEXT_MAX + 1];
    size_t at = strlen(query);
    size_t listed = 0;
    size_t filters = 0;
    bool any = false;
    for (size_t k = 0; k < KEYS; k++) {
        const struct wanted *w = &s->wanted[k];
        if (!w->asked)
            continue;
        vivo_nbia_encode(w->values[w->n > 1 ? turn : 0], text);
        int n = snprintf(query + at, sizeof query - at, "%s%s=%s", filters ? "&" : "",
                         keys[k].name, text);
        if (n < 0 || (at += (size_t)n) >= sizeof query)
            return unable(s);
        filters++;
        listed += keys[k].values != NULL;
    }
    int rc = ask(s, query, take_series, &any);
    if (rc || any)
        return rc;
    if (filters == 1 && listed)
        return unable(s);
    return vivo_nbia_settle(s->n, s->op); /* are there collections at all? */
}

static int run(struct search *s)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf attrs = {0};
    size_t turns = 1;
    int rc = 0;
    for (size_t k = 0; k < KEYS; k++) {
        if (s->wanted[k].asked && !s->wanted[k].n)
            return 0; /* no series has such a value */
        if (s->wanted[k].asked)
            turns = VIVO_MAX(turns, s->wanted[k].n);
    }
    for (size_t i = 0; i < turns && rc == 0; i++)
        rc = ask_series(s, i);
    if (rc)
        return rc;
    if (s->odd)
        return unable(s);
    if (s->count)
        qsort(s->rows, s->count, sizeof *s->rows, compare_rows);
    vivo_buf_init(&attrs, VIVO_ATTRS_MAX);
    for (size_t i = 0; i < s->count && rc == 0; i++) {
        const struct row *r = &s->rows[i];
        if (i == 0 || strcmp(r->key, s->rows[i - 1].key) != 0)
            rc = vivo_nbia_emit_series(s->n, s->in, r->collection, r->object, r->len,
                                       &attrs, &s->op->err);
    }
    return rc;
}

int vivo_nbia_search(struct vivo_archive *self, const struct vivo_match *matches,
                     size_t n, uint64_t *answered, struct vivo_intake *in,
                     struct vivo_op *op)
{
    struct search s = {.n = nbia_of(self), .in = in, .op = op};
    s.arena = vivo_arena_new(ROWS_BYTES);
    if (!s.arena)
        return vivo_fail(&op->err, ENOMEM, "nbia: out of memory");
    int rc = choose(&s, matches, n, answered);
    if (rc == 0)
        rc = run(&s);
    /* Whether the calls are missing or the server fails, a listing will tell. */
    if (rc == -EIO || rc == -EBADMSG)
        rc = unable(&s);
    vivo_arena_free(s.arena);
    vivo_buf_free(&s.body);
    free(s.rows);
    return rc;
}
