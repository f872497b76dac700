/* SPDX-License-Identifier: Apache-2.0 */
/* src/flow/scan.c -- the first journey: driver.list -> header -> deid -> catalog.
 *
 * A driver either records things with their attributes, or (a folder) only that they
 * exist; then the headers are read here, by as many threads as there are processors,
 * and put into the catalog one at a time. */
#include "flow/internal.h"

#include "vivofs/log.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* HELD: outcomes that a reader keeps while another one is putting its own. */
enum { QUEUE_MAX = 4096, READERS_MAX = 8, BATCH = 32, HELD = 4 * BATCH };

struct queued {
    struct queued *next;
    const char *where; /* in the same block, or the locator; NULL = told none */
    char *version;     /* behind the locator in the same block */
    char collection[LABEL_MAX + 1], patient[LABEL_MAX + 1]; /* as shown, or "" */
    char locator[];
};

struct scan {
    struct vivo_intake intake; /* first: record() gets back here */
    struct vivo_flow *flow;
    struct vivo_flight *flight;
    struct vivo_listing *listing;

    pthread_mutex_t put_mutex; /* around the listing: one thread at a time */

    pthread_mutex_t mutex;
    pthread_cond_t more, less;
    struct queued *first, **last; /* guarded by mutex */
    size_t queued;                /* guarded by mutex */
    bool over;                    /* guarded by mutex: nothing more will come */
    struct vivo_err err;          /* guarded by mutex: the first failure that ends it */
    size_t unreadable, invalid;   /* guarded by mutex */
    struct vivo_err example;      /* guarded by mutex: why one of them was left out */
    pthread_t readers[READERS_MAX];
    size_t nreaders;
    const struct vivo_match *matches; /* of a search, else NULL */
    size_t nmatches;
    struct search_rows *found; /* of a search; guarded by put_mutex */
};

static struct scan *scan_of(struct vivo_intake *in)
{
    return (struct scan *)in; /* first member */
}

static bool failed(struct scan *s)
{
    pthread_mutex_lock(&s->mutex);
    bool yes = s->err.errnum != 0;
    pthread_mutex_unlock(&s->mutex);
    return yes;
}

static void fail_scan(struct scan *s, const struct vivo_err *err)
{
    pthread_mutex_lock(&s->mutex);
    if (!s->err.errnum)
        s->err = *err;
    pthread_cond_broadcast(&s->less);
    pthread_mutex_unlock(&s->mutex);
}

/* ---- putting ------------------------------------------------------------------ */

/* A search is remembered by what it brought. */
static int note_found(struct search_rows *to, enum vivo_level level, vivo_row row,
                      struct vivo_err *err)
{
    bool series = level == VIVO_LEVEL_SERIES;
    if (!series && level != VIVO_LEVEL_STUDY)
        return vivo_fail(err, EIO, "a search brings studies and series only");
    struct row_list *list = series ? &to->series : &to->studies;
    vivo_row *p =
        vivo_array_grow(list->rows, list->n, &list->cap, sizeof *p, VIVO_ARRAY_MAX);
    if (!p)
        return vivo_fail(err, ENOMEM, "out of memory");
    list->rows = p;
    list->rows[list->n++] = row;
    return 0;
}

static int put_locked(struct scan *s, struct vivo_put *put, struct vivo_err *err)
{
    vivo_row row = 0;
    if (s->found)
        put->lists = s->flow->archive->driver->lists;
    put->unnumbered = !flow_lists_numbers(s->flow->archive->driver);
    int rc = vivo_listing_put(s->listing, put, &row, err);
    if (!rc && s->found)
        return note_found(s->found, put->level, row, err);
    if (rc != -EEXIST)
        return rc;
    vivo_err_clear(err);
    copies_compare(s->flow, put, row);
    return vivo_listing_put(s->listing, put, &row, err);
}

static int put_record(struct scan *s, struct vivo_put *put, struct vivo_err *err)
{
    pthread_mutex_lock(&s->put_mutex);
    int rc = put_locked(s, put, err);
    pthread_mutex_unlock(&s->put_mutex);
    atomic_fetch_add_explicit(&s->flight->things, 1, memory_order_relaxed);
    flight_progress(s->flight, 0);
    return rc;
}

static void put_other(struct scan *s, const char *locator, const char *version)
{
    struct vivo_err err = {0};
    pthread_mutex_lock(&s->put_mutex);
    if (vivo_listing_other(s->listing, locator, version, &err))
        fail_scan(s, &err);
    pthread_mutex_unlock(&s->put_mutex);
}

/* ---- headers of local objects --------------------------------------------------- */

static void left_out(struct scan *s, const struct vivo_err *why, bool unreadable)
{
    pthread_mutex_lock(&s->mutex);
    if (unreadable)
        s->unreadable++;
    else
        s->invalid++;
    s->example = *why;
    pthread_mutex_unlock(&s->mutex);
}

/* What became of one file of a batch. */
struct outcome {
    struct queued *q;
    struct object_put o;
    bool object, extra;
};

static void read_one(struct scan *s, struct outcome *out)
{
    struct queued *q = out->q;
    struct vivo_op op;
    struct vivo_err err = {0};
    vivo_op_init(&op, 0);
    int fd = object_descriptor(s->flow, q->locator, &op);
    if (fd < 0) {
        left_out(s, &op.err, true);
        return;
    }
    const char *version = q->version[0] ? q->version : NULL;
    if (object_describe(s->flow, fd, q->locator, version, &out->o, &err)) {
        out->extra = out->o.foreign && q->where && vivo_deid_is_none(s->flow->deid);
        if (!out->o.foreign && !out->o.filtered)
            left_out(s, &err, false);
        return;
    }
    out->o.put.collection = q->collection[0] ? q->collection : NULL;
    out->o.put.patient = q->patient[0] ? q->patient : NULL;
    out->o.put.where = vivo_deid_is_none(s->flow->deid) ? q->where : NULL;
    out->object = true;
}

static int put_extra_locked(struct scan *s, const struct outcome *out,
                            struct vivo_err *err)
{
    const struct queued *q = out->q;
    const struct vivo_extra_put put = {
        .locator = q->locator,
        .version = q->version[0] ? q->version : NULL,
        .path = q->where,
        .collection = q->collection[0] ? q->collection : NULL,
        .size = out->o.size,
        .size_exact = true,
    };
    return vivo_listing_extra(s->listing, &put, err);
}

static void put_outcome(struct scan *s, struct outcome *out)
{
    struct vivo_err err = {0};
    struct queued *q = out->q;
    int rc = out->object  ? put_locked(s, &out->o.put, &err)
             : out->extra ? put_extra_locked(s, out, &err)
                          : vivo_listing_other(s->listing, q->locator,
                                               q->version[0] ? q->version : NULL, &err);
    if (rc)
        fail_scan(s, &err);
    if (out->object)
        object_put_free(&out->o);
    free(q);
}

/* Some files at once, so that threads meet at the locks a few times and not for each
 * file. Fewer than a batch come only at the end. */
static size_t next_batch(struct scan *s, struct outcome *batch)
{
    size_t n = 0;
    pthread_mutex_lock(&s->mutex);
    while (s->queued < BATCH && !s->over)
        pthread_cond_wait(&s->more, &s->mutex);
    for (; n < BATCH && s->first; n++) {
        batch[n] = (struct outcome){.q = s->first};
        s->first = s->first->next;
        s->queued--;
    }
    if (!s->first)
        s->last = &s->first;
    /* The walker is ahead of the readers: it need not be woken for each batch. */
    if (s->queued <= QUEUE_MAX / 2)
        pthread_cond_signal(&s->less);
    pthread_mutex_unlock(&s->mutex);
    return n;
}

/* Puts what is held, all of it or, while another thread does the same and there is
 * room to read on meanwhile, nothing. Returns how many are held still. */
static size_t put_held(struct scan *s, struct outcome *held, size_t n, bool wait)
{
    if (!wait && pthread_mutex_trylock(&s->put_mutex))
        return n;
    if (wait)
        pthread_mutex_lock(&s->put_mutex);
    for (size_t i = 0; i < n; i++)
        put_outcome(s, &held[i]);
    pthread_mutex_unlock(&s->put_mutex);
    atomic_fetch_add_explicit(&s->flight->things, n, memory_order_relaxed);
    flight_progress(s->flight, 0);
    return 0;
}

static void *read_headers(void *arg)
{
    struct scan *s = arg;
    struct outcome held[HELD];
    size_t n = 0;
    pthread_setname_np(pthread_self(), "vivofs-scan");
    for (size_t more; (more = next_batch(s, held + n));) {
        if (failed(s) || atomic_load(&s->flight->op.cancelled)) {
            for (size_t i = 0; i < more; i++)
                free(held[n + i].q);
            continue;
        }
        for (size_t i = 0; i < more; i++)
            read_one(s, &held[n + i]);
        n = put_held(s, held, n + more, n + more > HELD - BATCH);
    }
    if (n)
        put_held(s, held, n, true);
    return NULL;
}

static void start_readers(struct scan *s)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    size_t want = (size_t)VIVO_MIN(VIVO_MAX(cpus, 1), (long)READERS_MAX);
    while (s->nreaders < want &&
           !pthread_create(&s->readers[s->nreaders], NULL, read_headers, s))
        s->nreaders++;
}

static int enqueue(struct scan *s, const struct vivo_record *rec, struct vivo_err *err)
{
    const char *version = rec->version ? rec->version : "";
    size_t ln = strlen(rec->locator) + 1;
    size_t vn = strlen(version) + 1;
    bool apart = rec->where && rec->where != rec->locator;
    size_t pn = apart ? strlen(rec->where) + 1 : 0;
    struct queued *q = malloc(sizeof *q + ln + vn + pn);
    if (!q)
        return vivo_fail(err, ENOMEM, "out of memory");
    q->next = NULL;
    memcpy(q->locator, rec->locator, ln);
    q->version = q->locator + ln;
    memcpy(q->version, version, vn);
    q->where = rec->where ? q->locator : NULL;
    if (apart)
        q->where = memcpy(q->version + vn, rec->where, pn);
    q->collection[0] = q->patient[0] = '\0';
    if (rec->collection)
        label_collection(s->flow, rec->collection, q->collection);
    if (rec->patient && label_patient(s->flow, rec->patient, q->patient, err)) {
        free(q);
        return -err->errnum;
    }
    if (!s->nreaders)
        start_readers(s);
    pthread_mutex_lock(&s->mutex);
    while (s->queued >= QUEUE_MAX && !s->err.errnum)
        pthread_cond_wait(&s->less, &s->mutex);
    bool stop = s->err.errnum != 0 || !s->nreaders;
    if (!stop) {
        *s->last = q;
        s->last = &q->next;
        if (++s->queued % BATCH == 0)
            pthread_cond_signal(&s->more);
    }
    pthread_mutex_unlock(&s->mutex);
    if (!stop)
        return 0;
    free(q);
    return vivo_fail(err, EIO, "the listing was ended");
}

/* ---- what the driver says --------------------------------------------------- */

/* A size that is not known is shown as an estimate, never as 0 (DESIGN A2). */
static uint64_t estimate_size(struct vivo_attrs a)
{
    static const struct {
        uint32_t tag;
        uint64_t fallback;
    } factors[] = {{VIVO_TAG_Rows, 0},
                   {VIVO_TAG_Columns, 0},
                   {VIVO_TAG_BitsAllocated, 16},
                   {VIVO_TAG_NumberOfFrames, 1}};
    uint64_t bits = 1;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(factors); i++) {
        char text[24];
        vivo_attrs_text(a, factors[i].tag, text, sizeof text);
        uint64_t n = strtoull(text, NULL, 10); /* allow: an estimate, 0 on garbage */
        n = n ? n : factors[i].fallback;
        bits = n && bits < (UINT64_MAX >> 24) / n ? bits * n : 0;
    }
    uint64_t bytes = bits / 8 + 8192;
    return VIVO_MIN(bytes, UINT64_C(1) << 40);
}

/* Attributes that the archive did not give for this row are not derived for it: they
 * are known from the level above. */
static int shown_attrs(struct scan *s, const struct vivo_record *rec,
                       struct vivo_buf *out, struct vivo_err *err)
{
    vivo_buf_init(out, VIVO_ATTRS_MAX);
    if (rec->headers)
        return vivo_deid_header(s->flow->deid, rec->attrs, out, err);
    return vivo_deid_attrs(s->flow->deid, rec->attrs, (struct vivo_attrs){NULL, 0}, out,
                           err);
}

static int record_with_attrs(struct scan *s, const struct vivo_record *rec,
                             struct vivo_err *err)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf attrs = {0};
    char collection[LABEL_MAX + 1];
    char patient[LABEL_MAX + 1];
    char key[LABEL_MAX + 1];
    int rc = shown_attrs(s, rec, &attrs, err);
    if (!rc && rec->patient)
        rc = label_patient(s->flow, rec->patient, patient, err);
    if (rc)
        return rc;
    if (rec->collection)
        label_collection(s->flow, rec->collection, collection);
    if (rec->key)
        label_key(s->flow, rec->key, key);
    struct vivo_put put = {
        .level = rec->level,
        .locator = rec->locator,
        .collection = rec->collection ? collection : NULL,
        .patient = rec->patient ? patient : NULL,
        .key = rec->key ? key : NULL,
        .license = rec->license,
        .version = rec->version,
        .attrs = {attrs.data, attrs.len},
        .headers = rec->headers,
    };
    /* Free words of what has another name under a profile. */
    bool none = vivo_deid_is_none(s->flow->deid);
    put.citation = none ? rec->citation : NULL;
    put.label = none ? rec->label : NULL;
    if (none && rec->path && s->flow->names == VIVO_NAMES_OWN &&
        vivo_name_path_ok(rec->path))
        put.path = rec->path;
    put.where = none ? rec->where : NULL;
    if (!none && rec->level == VIVO_LEVEL_COLLECTION)
        put.license = NULL;
    if (rec->level == VIVO_LEVEL_INSTANCE) {
        put.size = rec->size ? rec->size : estimate_size(put.attrs);
        put.size_exact = rec->size && !rec->size_about && none;
    }
    return put_record(s, &put, err);
}

static int take_record(struct vivo_intake *self, const struct vivo_record *rec,
                       struct vivo_err *err)
{
    struct scan *s = scan_of(self);
    pthread_mutex_lock(&s->mutex);
    struct vivo_err first = s->err;
    pthread_mutex_unlock(&s->mutex);
    if (first.errnum)
        return vivo_fail(err, first.errnum, "%s", first.text);
    flight_progress(s->flight, 0);
    if (!rec->attrs.len && rec->level == VIVO_LEVEL_INSTANCE && s->flow->local)
        return enqueue(s, rec, err);
    return record_with_attrs(s, rec, err);
}

static void seen(struct scan *s)
{
    atomic_fetch_add_explicit(&s->flight->seen, 1, memory_order_relaxed);
    flight_progress(s->flight, 0);
}

static bool is_known(struct vivo_intake *self, const char *locator, const char *version)
{
    struct scan *s = scan_of(self);
    seen(s);
    return vivo_listing_known(s->listing, locator, version);
}

static void take_other(struct vivo_intake *self, const char *locator,
                       const char *version)
{
    put_other(scan_of(self), locator, version);
}

/* Under a profile not a word of it is written down. */
static int take_extra(struct vivo_intake *self, const struct vivo_extra *x,
                      struct vivo_err *err)
{
    struct scan *s = scan_of(self);
    char collection[LABEL_MAX + 1];
    bool known = x->size != VIVO_SIZE_UNKNOWN;
    const struct vivo_extra_put put = {
        .locator = x->locator,
        .version = x->version,
        .path = x->path,
        .collection = x->collection ? collection : NULL,
        .size = known ? x->size : 0,
        .size_exact = known && !x->size_about,
    };
    if (!vivo_deid_is_none(s->flow->deid)) {
        put_other(s, x->locator, x->version);
        return 0;
    }
    if (x->collection)
        label_collection(s->flow, x->collection, collection);
    pthread_mutex_lock(&s->put_mutex);
    int rc = vivo_listing_extra(s->listing, &put, err);
    pthread_mutex_unlock(&s->put_mutex);
    atomic_fetch_add_explicit(&s->flight->things, 1, memory_order_relaxed);
    flight_progress(s->flight, 0);
    return rc;
}

static void take_alive(struct vivo_intake *self)
{
    flight_progress(scan_of(self)->flight, 0);
}

/* ---- the jobs -------------------------------------------------------------- */

static void init_scan(struct scan *s, struct vivo_flight *flight)
{
    memset(s, 0, sizeof *s);
    s->intake.record = take_record;
    s->intake.known = is_known;
    s->intake.other = take_other;
    s->intake.extra = take_extra;
    s->intake.extras = vivo_deid_is_none(flight->flow->deid);
    s->intake.alive = take_alive;
    s->flow = flight->flow;
    s->flight = flight;
    s->last = &s->first;
    pthread_mutex_init(&s->put_mutex, NULL);
    pthread_mutex_init(&s->mutex, NULL);
    pthread_cond_init(&s->more, NULL);
    pthread_cond_init(&s->less, NULL);
}

/* Waits for the readers; tells in one line what was left out. */
static void end_readers(struct scan *s)
{
    pthread_mutex_lock(&s->mutex);
    s->over = true;
    pthread_cond_broadcast(&s->more);
    pthread_mutex_unlock(&s->mutex);
    for (size_t i = 0; i < s->nreaders; i++)
        pthread_join(s->readers[i], NULL);
    if (s->unreadable || s->invalid)
        vivo_log(
            VIVO_LOG_WARN, "flow.scan",
            "%s: %zu files cannot be read and %zu are not valid DICOM; the last: %s",
            s->flow->name, s->unreadable, s->invalid, s->example.text);
    pthread_cond_destroy(&s->less);
    pthread_cond_destroy(&s->more);
    pthread_mutex_destroy(&s->mutex);
    pthread_mutex_destroy(&s->put_mutex);
}

typedef int ask_fn(struct scan *s, const char *locator, struct vivo_op *op);

static int ask_list(struct scan *s, const char *locator, struct vivo_op *op)
{
    return vivo_archive_list(s->flow->archive, s->flight->key.level, locator,
                             &s->intake, op);
}

static int ask_headers(struct scan *s, const char *locator, struct vivo_op *op)
{
    return vivo_archive_headers(s->flow->archive, locator, &s->intake, op);
}

static int ask_search(struct scan *s, const char *locator, struct vivo_op *op)
{
    uint64_t answered;
    (void)locator;
    return vivo_archive_search(s->flow->archive, s->matches, s->nmatches, &answered,
                               &s->intake, op);
}

/* One listing from its beginning in the catalog to its end there. `of` holds what a
 * search asks. */
static int run_listing(struct vivo_flight *flight, ask_fn *ask, const struct scan *of)
{
    struct vivo_flow *f = flight->flow;
    struct vivo_op *op = &flight->op;
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf locator = {0};
    vivo_buf_init(&locator, 64 * 1024);
    bool top = flight->key.level == VIVO_LEVEL_NONE;
    int rc = top ? 0
                 : flow_locator(f, flight->key.level, flight->key.row,
                                ask == ask_headers, &locator, &op->err);
    if (rc)
        return rc;
    uint64_t before = vivo_catalog_generation(f->catalog);
    struct scan s;
    init_scan(&s, flight);
    s.matches = of ? of->matches : NULL;
    s.nmatches = of ? of->nmatches : 0;
    s.found = of ? of->found : NULL;
    rc = vivo_catalog_list_begin(f->catalog, flight->key.level, flight->key.row,
                                 &s.listing, &op->err);
    if (rc) {
        end_readers(&s);
        return rc;
    }
    rc = ask(&s, top ? NULL : (char *)locator.data, op);
    end_readers(&s);
    if (!rc && s.err.errnum) {
        op->err = s.err;
        rc = -s.err.errnum;
    }
    rc = rc ? rc : vivo_op_check(op);
    struct vivo_err end_err = {0};
    atomic_store(&flight->ours, true);
    int end = vivo_listing_end(s.listing, rc == 0 && !s.found, &end_err);
    if (!rc && end) {
        op->err = end_err;
        rc = end;
    }
    if (!end)
        flow_pack(f);
    if (vivo_catalog_generation(f->catalog) != before)
        flow_changed(f);
    return rc;
}

int scan_run_list(struct vivo_flight *flight)
{
    return flow_told(flight, run_listing(flight, ask_list, NULL));
}

int scan_run_headers(struct vivo_flight *flight)
{
    return flow_told(flight, run_listing(flight, ask_headers, NULL));
}

int scan_run_search(struct vivo_flight *flight, const struct vivo_match *matches,
                    size_t n, struct search_rows *found)
{
    const struct scan of = {.matches = matches, .nmatches = n, .found = found};
    int rc = run_listing(flight, ask_search, &of);
    return rc == -ENOENT ? rc : flow_told(flight, rc);
}
