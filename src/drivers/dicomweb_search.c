/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/dicomweb_search.c -- which studies or series meet some conditions.
 *
 * PS3.18 section 10.6.1.2 names the keys; how servers compare them differs: with or
 * without case, wildcards or none, percent-escapes decoded or not, keys they do not
 * know ignored or refused. Too much may come, too little never: a text with letters is
 * sent only once the server has shown that it does not mind their case, a wildcard
 * once it has shown to know them; short code strings are sent in every case instead.
 * What cannot be sent so is left out, and with nothing left the caller has to list. */
#include "dicomjson.h"
#include "dicomweb.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define VALUE_MAX 128
#define FILTER_MAX 1024
#define REQUESTS_MAX 64 /* of one search: values of one key, one after the other */
#define CASES_LETTERS 3 /* all spellings of so many letters are tried */
#define ROWS_BYTES (256u << 20)
#define SINGLY 4 /* studies that are asked for one by one */

enum { NOT_TRIED, NO, YES };

/* In the order of vivo_dicomweb_searches. */
static const struct key {
    uint32_t tag;
    const char *name;
    bool series, uid, date;
} keys[DICOMWEB_KEYS] = {
    {VIVO_TAG_StudyInstanceUID, "StudyInstanceUID", false, true, false},
    {VIVO_TAG_SeriesInstanceUID, "SeriesInstanceUID", true, true, false},
    {VIVO_TAG_Modality, "Modality", true, false, false},
    {VIVO_TAG_StudyDate, "StudyDate", false, false, true},
    {VIVO_TAG_PatientID, "PatientID", false, false, false},
    {VIVO_TAG_AccessionNumber, "AccessionNumber", false, false, false},
};
const uint32_t vivo_dicomweb_searches[] = {
    VIVO_TAG_StudyInstanceUID,
    VIVO_TAG_SeriesInstanceUID,
    VIVO_TAG_Modality,
    VIVO_TAG_StudyDate,
    VIVO_TAG_PatientID,
    VIVO_TAG_AccessionNumber,
    0,
};

struct wanted { /* one key and the values to be asked for, one at a time */
    const struct key *key;
    char (*values)[VALUE_MAX + 1];
    size_t n;
};

struct found_series {
    struct found_series *next;
    char study[VIVO_UID_MAX + 2], uid[VIVO_UID_MAX + 2];
    struct vivo_attrs row;
};

struct found_study { /* ascending by uid once they are sorted */
    char uid[VIVO_UID_MAX + 2];
    struct found_series *first;
    bool done;
};

struct search {
    struct dicomweb *d;
    struct vivo_intake *in;
    struct vivo_op *op;
    struct wanted wanted[DICOMWEB_KEYS];
    bool by_series;
    int status;
    struct vivo_arena *arena;
    struct found_series *series;
    size_t nseries;
    struct found_study *studies;
    size_t nstudies;
    bool odd;                /* a row without its study */
    struct dicomweb_cut cut; /* an answer without pages */
};

/* ---- what the server has shown ------------------------------------------------ */

struct sample {
    const struct key *key;
    const char *want; /* NULL: any with a letter */
    bool any;         /* whatever comes */
    char value[VALUE_MAX + 1];
    bool seen;
};

static bool has_letter(const char *s)
{
    while (*s && !isalpha((unsigned char)*s))
        s++;
    return *s;
}

/* Nothing in it has to be percent-escaped, which not every server undoes. */
static bool is_bare(const char *s)
{
    for (; *s; s++)
        if (!isalnum((unsigned char)*s) && !strchr("._-", *s))
            return false;
    return true;
}

static int take_sample(void *ctx, const char *uid, struct vivo_attrs row,
                       struct vivo_err *err)
{
    struct sample *s = ctx;
    char text[VALUE_MAX + 1];
    (void)uid;
    (void)err;
    if (s->seen || !vivo_attrs_text(row, s->key->tag, text, sizeof text))
        return 0;
    s->seen = s->any    ? true
              : s->want ? !strcmp(text, s->want)
                        : has_letter(text) && is_bare(text) && strlen(text) > 1;
    if (s->seen)
        memcpy(s->value, text, sizeof text);
    return 0;
}

static void ignore_bad(void *ctx, const char *uid)
{
    (void)ctx;
    (void)uid;
}

static int ask_sample(struct search *s, struct sample *sample, const char *value)
{
    char filter[FILTER_MAX] = "";
    int status = 0;
    const struct key *k = sample->key;
    if (value)
        snprintf(filter, sizeof filter, "%s=%s&", k->name, value);
    const uint32_t fields[] = {k->tag, 0};
    const struct dicomweb_query q = {
        .path = k->series ? "/series" : "/studies",
        .filter = filter,
        .fields = fields,
        .uid_tag = k->series ? VIVO_TAG_SeriesInstanceUID : VIVO_TAG_StudyInstanceUID,
        .one = true,
        .status = &status,
        .fn = take_sample,
        .bad = ignore_bad,
        .ctx = sample,
    };
    int rc = vivo_dicomweb_rows(s->d, &q, s->op);
    /* A refusal proves nothing, and is not the end of it. */
    if (rc && status >= 400 && status != 401 && status != 403) {
        vivo_err_clear(&s->op->err);
        return 0;
    }
    return rc;
}

/* Takes a value that is there, asks for it in the other case, then as a pattern. */
static int try_key(struct search *s, const struct key *k)
{
    size_t i = (size_t)(k - keys);
    struct sample there = {.key = k};
    int rc = ask_sample(s, &there, NULL);
    if (rc)
        return rc;
    bool folds = false;
    bool wild = false;
    if (there.seen) {
        struct sample again = {.key = k, .want = there.value};
        struct sample pattern = {.key = k, .any = true};
        char other[VALUE_MAX + 1];
        size_t n = strlen(there.value);
        for (size_t c = 0; c <= n; c++) {
            int byte = (unsigned char)there.value[c];
            other[c] = (char)(islower(byte) ? toupper(byte) : tolower(byte));
        }
        rc = ask_sample(s, &again, other);
        folds = again.seen;
        other[0] = '?';
        other[n - 1] = '*';
        if (rc == 0 && folds && !k->series)
            rc = ask_sample(s, &pattern, other);
        wild = pattern.seen;
    }
    if (rc)
        return rc;
    atomic_store(&s->d->folds[i], folds ? YES : NO);
    atomic_store(&s->d->wild[i], wild ? YES : NO);
    return 0;
}

static int learn_key(struct search *s, const struct key *k)
{
    return atomic_load(&s->d->folds[k - keys]) == NOT_TRIED ? try_key(s, k) : 0;
}

/* ---- values ------------------------------------------------------------------- */

static int add_value(struct search *s, struct wanted *w, const char *value)
{
    if (!w->values)
        w->values =
            vivo_arena_alloc(s->arena, (size_t)REQUESTS_MAX * sizeof *w->values);
    if (!w->values || w->n == REQUESTS_MAX || strlen(value) > VALUE_MAX)
        return -ENOSPC;
    snprintf(w->values[w->n++], VALUE_MAX + 1, "%s", value);
    return 0;
}

/* CT, Ct, cT, ct. */
static int add_cases(struct search *s, struct wanted *w, const char *value)
{
    size_t at[CASES_LETTERS];
    size_t letters = 0;
    char text[VALUE_MAX + 1];
    if (strlen(value) > VALUE_MAX)
        return -ENOSPC;
    for (size_t i = 0; value[i]; i++)
        if (isalpha((unsigned char)value[i])) {
            if (letters == CASES_LETTERS)
                return -ENOSPC;
            at[letters++] = i;
        }
    int rc = 0;
    for (unsigned mask = 0; mask < 1u << letters && rc == 0; mask++) {
        snprintf(text, sizeof text, "%s", value);
        for (size_t i = 0; i < letters; i++) {
            int byte = (unsigned char)text[at[i]];
            text[at[i]] = (char)(mask >> i & 1 ? tolower(byte) : toupper(byte));
        }
        rc = add_value(s, w, text);
    }
    return rc;
}

/* 0, -ENOSPC: it cannot be sent, or an error. */
static int add_text(struct search *s, struct wanted *w, const char *value, bool wild)
{
    char text[VALUE_MAX + 1];
    size_t i = (size_t)(w->key - keys);
    bool pattern = wild && strpbrk(value, "*?");
    if (strlen(value) > VALUE_MAX)
        return -ENOSPC;
    if (!pattern && is_bare(value) && !has_letter(value))
        return add_value(s, w, value);
    int rc = learn_key(s, w->key);
    if (rc)
        return rc;
    bool folds = atomic_load(&s->d->folds[i]) == YES;
    if (!pattern && is_bare(value))
        return folds ? add_value(s, w, value) : add_cases(s, w, value);
    if (!folds || atomic_load(&s->d->wild[i]) != YES)
        return -ENOSPC;
    size_t n = 0;
    for (; value[n]; n++) {
        char c[2] = {value[n], 0};
        text[n] = is_bare(c) || (wild && *c == '*') ? *c : '?';
    }
    text[n] = '\0';
    return add_value(s, w, text);
}

static int add_range(struct search *s, struct wanted *w, const struct vivo_match *m)
{
    char text[VALUE_MAX + 1];
    const char *from = m->values[0];
    const char *to = m->n > 1 ? m->values[1] : NULL;
    if (from && to && !strcmp(from, to))
        return add_value(s, w, from);
    snprintf(text, sizeof text, "%s-%s", from ? from : "", to ? to : "");
    return add_value(s, w, text);
}

static int add_match(struct search *s, struct wanted *w, const struct vivo_match *m)
{
    int rc = 0;
    if (m->kind == VIVO_MATCH_RANGE)
        return w->key->date ? add_range(s, w, m) : -ENOSPC;
    if (w->key->date && m->wild)
        return -ENOSPC;
    for (size_t i = 0; i < m->n && rc == 0; i++) {
        const char *v = m->values[i];
        if (!w->key->uid)
            rc = add_text(s, w, v, m->wild);
        else
            rc = vivo_dicomweb_uid_ok(v) ? add_value(s, w, v) : -ENOSPC;
    }
    return rc;
}

static const struct key *key_of(uint32_t tag)
{
    for (size_t i = 0; i < DICOMWEB_KEYS; i++)
        if (keys[i].tag == tag)
            return &keys[i];
    return NULL;
}

/* The requests are as many as the values of one key; of others with several values
 * that with the most is asked, the rest left out. */
static void keep_one_list(struct search *s, uint64_t *answered,
                          const uint64_t of[DICOMWEB_KEYS])
{
    size_t most = 0;
    for (size_t i = 1; i < DICOMWEB_KEYS; i++)
        if (s->wanted[i].n > s->wanted[most].n)
            most = i;
    for (size_t i = 0; i < DICOMWEB_KEYS; i++)
        if (i != most && s->wanted[i].n > 1) {
            s->wanted[i].n = 0;
            *answered &= ~of[i];
        }
}

/* -ENOENT when nothing is left to ask by. */
static int choose(struct search *s, const struct vivo_match *matches, size_t n,
                  uint64_t *answered)
{
    uint64_t of[DICOMWEB_KEYS] = {0};
    for (size_t i = 0; i < n; i++) {
        const struct key *k = key_of(matches[i].tag);
        if (!k || s->wanted[k - keys].n) /* a key stands in a request once */
            continue;
        struct wanted *w = &s->wanted[k - keys];
        w->key = k;
        int rc = add_match(s, w, &matches[i]);
        if (rc == -ENOSPC) {
            w->n = 0;
            continue;
        }
        if (rc)
            return rc;
        of[k - keys] = UINT64_C(1) << i;
        *answered |= of[k - keys];
    }
    keep_one_list(s, answered, of);
    for (size_t i = 0; i < DICOMWEB_KEYS; i++)
        s->by_series = s->by_series || (s->wanted[i].n && s->wanted[i].key->series);
    return *answered ? 0 : vivo_fail(&s->op->err, ENOENT, "dicomweb: no such search");
}

/* ---- rows --------------------------------------------------------------------- */

static int take_study(void *ctx, const char *uid, struct vivo_attrs row,
                      struct vivo_err *err)
{
    struct search *s = ctx;
    return vivo_dicomweb_emit_study(s->d, s->in, uid, row, err);
}

static int take_series(void *ctx, const char *uid, struct vivo_attrs row,
                       struct vivo_err *err)
{
    struct search *s = ctx;
    if (s->in->alive)
        s->in->alive(s->in); /* records come only at the end */
    struct found_series *f = vivo_arena_alloc(s->arena, sizeof *f);
    char *copy = vivo_arena_alloc(s->arena, row.len + 1);
    if (!f || !copy)
        return vivo_fail(err, EIO, "dicomweb: a search with too many results");
    memcpy(copy, row.data, row.len);
    f->row = (struct vivo_attrs){(const uint8_t *)copy, row.len};
    snprintf(f->uid, sizeof f->uid, "%s", uid);
    vivo_attrs_text(row, VIVO_TAG_StudyInstanceUID, f->study, sizeof f->study);
    s->odd = s->odd || !vivo_dicomweb_uid_ok(f->study);
    f->next = s->series;
    s->series = f;
    s->nseries++;
    return 0;
}

static void bad_row(void *ctx, const char *uid)
{
    struct search *s = ctx;
    (void)uid;
    s->odd = true;
}

/* One value of the key that has several, all others as they are. studies: by keys of
 * studies alone. */
static int make_filter(const struct search *s, size_t turn, bool studies,
                       char out[FILTER_MAX])
{
    size_t at = 0;
    out[0] = '\0';
    for (size_t i = 0; i < DICOMWEB_KEYS; i++) {
        const struct wanted *w = &s->wanted[i];
        if (!w->n || (studies && w->key->series && w->key->uid))
            continue;
        const char *name =
            studies && w->key->series ? "ModalitiesInStudy" : w->key->name;
        int n = snprintf(out + at, FILTER_MAX - at, "%s=%s&", name,
                         w->values[w->n > 1 ? turn : 0]);
        if (n < 0 || (at += (size_t)n) >= FILTER_MAX)
            return -ENOSPC;
    }
    return 0;
}

static size_t turns(const struct search *s)
{
    size_t n = 1;
    for (size_t i = 0; i < DICOMWEB_KEYS; i++)
        n = VIVO_MAX(n, s->wanted[i].n);
    return n;
}

static int ask(struct search *s, size_t turn, bool studies, dicomweb_row_fn *fn)
{
    char filter[FILTER_MAX];
    if (make_filter(s, turn, studies, filter))
        return vivo_fail(&s->op->err, ENOENT, "dicomweb: no such search");
    const struct dicomweb_query q = {
        .path = studies ? "/studies" : "/series",
        .filter = filter,
        .fields = studies ? vivo_dicomweb_study_fields : vivo_dicomweb_series_fields,
        .uid_tag = studies ? VIVO_TAG_StudyInstanceUID : VIVO_TAG_SeriesInstanceUID,
        .status = &s->status,
        .cut = &s->cut,
        .fn = fn,
        .bad = bad_row,
        .ctx = s,
    };
    return vivo_dicomweb_rows(s->d, &q, s->op);
}

/* ---- the studies of the series that were found -------------------------------- */

static int by_uid(const void *a, const void *b)
{
    return strcmp(((const struct found_study *)a)->uid,
                  ((const struct found_study *)b)->uid);
}

static int sort_studies(struct search *s)
{
    s->studies = calloc(s->nseries + 1, sizeof *s->studies);
    if (!s->studies)
        return vivo_fail(&s->op->err, ENOMEM, "dicomweb: out of memory");
    size_t n = 0;
    for (struct found_series *f = s->series; f; f = f->next)
        memcpy(s->studies[n++].uid, f->study, sizeof f->study);
    if (n)
        qsort(s->studies, n, sizeof *s->studies, by_uid);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || strcmp(s->studies[i].uid, s->studies[s->nstudies - 1].uid) != 0)
            s->studies[s->nstudies++] = s->studies[i];
    for (struct found_series *f = s->series, *next; f; f = next) {
        struct found_study key;
        next = f->next;
        memcpy(key.uid, f->study, sizeof key.uid);
        struct found_study *t =
            bsearch(&key, s->studies, s->nstudies, sizeof key, by_uid);
        if (!t)
            continue; /* cannot be: it was taken from there */
        f->next = t->first;
        t->first = f;
    }
    return 0;
}

/* The study, then those of its series that were found. */
static int emit(struct search *s, struct found_study *t, struct vivo_attrs row,
                struct vivo_err *err)
{
    int rc = row.len ? vivo_dicomweb_emit_study(s->d, s->in, t->uid, row, err) : 0;
    for (struct found_series *f = t->first; f && rc == 0; f = f->next)
        rc = vivo_dicomweb_emit_series(s->d, s->in, t->uid, row, f->uid, f->row, err);
    t->done = true;
    return rc;
}

static int take_owner(void *ctx, const char *uid, struct vivo_attrs row,
                      struct vivo_err *err)
{
    struct search *s = ctx;
    struct found_study key = {.done = false};
    snprintf(key.uid, sizeof key.uid, "%s", uid);
    struct found_study *t = bsearch(&key, s->studies, s->nstudies, sizeof key, by_uid);
    return t && !t->done ? emit(s, t, row, err) : 0;
}

static int emit_all(struct search *s)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf row = {0};
    int rc = sort_studies(s);
    for (size_t i = 0; rc == 0 && s->nstudies > SINGLY && i < turns(s); i++)
        rc = ask(s, i, true, take_owner);
    /* Those that the server does not find by what their series say. */
    vivo_buf_init(&row, VIVO_ATTRS_MAX);
    for (size_t i = 0; i < s->nstudies && rc == 0; i++) {
        if (s->studies[i].done)
            continue;
        vivo_buf_clear(&row);
        rc = vivo_dicomweb_study_row(s->d, s->studies[i].uid, &row, s->op);
        if (rc == 0)
            rc = emit(s, &s->studies[i], (struct vivo_attrs){row.data, row.len},
                      &s->op->err);
    }
    return rc;
}

/* ---- search ------------------------------------------------------------------- */

static int run(struct search *s)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < turns(s); i++)
        rc = ask(s, i, !s->by_series, s->by_series ? take_series : take_study);
    if (rc == 0 && s->by_series && !s->odd)
        rc = emit_all(s);
    /* A server that cannot be asked so, or not for series of all studies, can be
     * listed still. */
    bool refused = s->status == 400 || s->status == 404 || s->status == 405 ||
                   s->status == 406 || s->status == 413 || s->status == 422 ||
                   s->status == 500 || s->status == 501;
    if ((rc && (refused || s->cut.is)) || (!rc && s->odd)) {
        vivo_err_clear(&s->op->err);
        return vivo_fail(&s->op->err, ENOENT, "dicomweb: no such search");
    }
    return rc;
}

int vivo_dicomweb_search(struct vivo_archive *self, const struct vivo_match *matches,
                         size_t n, uint64_t *answered, struct vivo_intake *in,
                         struct vivo_op *op)
{
    struct search s = {.d = dicomweb_of(self), .in = in, .op = op};
    s.arena = vivo_arena_new(ROWS_BYTES);
    if (!s.arena)
        return vivo_fail(&op->err, ENOMEM, "dicomweb: out of memory");
    int rc = choose(&s, matches, n, answered);
    if (rc == 0)
        rc = run(&s);
    free(s.studies);
    vivo_arena_free(s.arena);
    return rc;
}
