/* SPDX-License-Identifier: Apache-2.0 */
/* src/flow/flow.c -- one archive of the mount: opening, listing, status. */
#include "flow/found.h"
#include "flow/internal.h"

#include "vivofs/log.h"
#include "vivofs/search.h"

#include <errno.h>
#include <string.h>
#include <time.h>

enum {
    HEADERS_MAX = 20000,
    JOBS = 32,
    TIMEOUT_MS = 30000,
    REFRESH_S = 3600,
    TICK_MS = 250
};

struct checked_node { /* when the children of a node were last asked for anew */
    enum vivo_level level;
    vivo_row row;
    int64_t at_ms;
};

/* ---- health -------------------------------------------------------------------- */

/* "NAME: …" or "NAME #12: …" */
static bool is_named(const struct vivo_flow *f, const char *text)
{
    size_t n = strlen(f->name);
    return !strncmp(text, f->name, n) &&
           (!strncmp(text + n, ": ", 2) || !strncmp(text + n, " #", 2));
}

void flow_name_error(const struct vivo_flow *f, struct vivo_err *err)
{
    if (err->errnum && !is_named(f, err->text))
        vivo_fail_in(err, "%s", f->name);
}

void flow_failed(struct vivo_flow *f, const struct vivo_err *err)
{
    pthread_mutex_lock(&f->mutex);
    bool again = f->status.health == VIVO_HEALTH_FAILING &&
                 strcmp(f->status.last_error, err->text) == 0;
    f->status.health = VIVO_HEALTH_FAILING;
    memcpy(f->status.last_error, err->text, sizeof f->status.last_error);
    f->status.last_error_time = time(NULL);
    pthread_mutex_unlock(&f->mutex);
    if (!again)
        vivo_log(VIVO_LOG_ERROR, "flow", "%s%s%s",
                 is_named(f, err->text) ? "" : f->name,
                 is_named(f, err->text) ? "" : ": ", err->text);
}

void flow_recovered(struct vivo_flow *f)
{
    pthread_mutex_lock(&f->mutex);
    f->status.health = VIVO_HEALTH_OK;
    pthread_mutex_unlock(&f->mutex);
}

int flow_told(struct vivo_flight *flight, int rc)
{
    if (rc && rc != -EINTR)
        flow_failed(flight->flow, &flight->op.err);
    else if (!rc)
        flow_recovered(flight->flow);
    return rc;
}

void flow_changed(struct vivo_flow *f)
{
    if (f->changed)
        f->changed(f->changed_ctx);
}

/* ---- when was it listed ------------------------------------------------------------
 */

/* When a listing again was last begun in this session, or 0; sets it to `now` when
 * given. */
static int64_t checked_at(struct vivo_flow *f, enum vivo_level level, vivo_row row,
                          int64_t now)
{
    pthread_mutex_lock(&f->mutex);
    size_t i = 0;
    while (i < f->nchecked &&
           (f->checked[i].level != level || f->checked[i].row != row))
        i++;
    int64_t was = i < f->nchecked ? f->checked[i].at_ms : 0;
    if (now && i == f->nchecked) {
        struct checked_node *p =
            vivo_array_grow(f->checked, i, &f->checked_cap, sizeof *p, VIVO_ARRAY_MAX);
        f->checked = p ? p : f->checked;
    }
    if (now && i < f->checked_cap) {
        f->checked[i] = (struct checked_node){level, row, now};
        f->nchecked = VIVO_MAX(f->nchecked, i + 1);
    }
    pthread_mutex_unlock(&f->mutex);
    return was;
}

/* DESIGN A6: what policy does to the objects of an archive is said in one line. */
static void tell_policy(struct vivo_flow *f)
{
    struct vivo_counts c = {0};
    vivo_catalog_count(f->catalog, VIVO_LEVEL_NONE, 0, NULL, &c, NULL);
    if (c.at_risk)
        vivo_log(VIVO_LOG_WARN, "flow",
                 "%s: %llu objects are refused by policy; %llu are shown though their "
                 "pixels may identify (burned_in=strict refuses them)",
                 f->name, (unsigned long long)c.refused, (unsigned long long)c.at_risk);
    else if (c.refused)
        vivo_log(VIVO_LOG_WARN, "flow", "%s: %llu objects are refused by policy",
                 f->name, (unsigned long long)c.refused);
}

/* names=tcia: the names of files hang on numbers that some archives tell in headers
 * only. Those are learned first, so that no name changes once it is shown. */
static int learn_numbers(struct vivo_flight *flight)
{
    struct vivo_flow *f = flight->flow;
    const struct vivo_driver *d = f->archive->driver;
    struct vivo_entry e = {0};
    if (f->names != VIVO_NAMES_TCIA || flight->key.level != VIVO_LEVEL_SERIES ||
        !(d->caps & VIVO_CAP_HEADERS) || flow_lists_numbers(d))
        return 0;
    int rc = vivo_catalog_get(f->catalog, VIVO_LEVEL_SERIES, flight->key.row,
                              flow_copy_entry, &e, &flight->op.err);
    return rc || e.headers ? rc : scan_run_headers(flight);
}

static int run_list(struct vivo_flight *flight)
{
    struct vivo_flow *f = flight->flow;
    bool top = flight->key.level == VIVO_LEVEL_NONE;
    pthread_mutex_lock(&f->mutex);
    if (top && f->status.health != VIVO_HEALTH_FAILING)
        f->status.health = VIVO_HEALTH_SCANNING;
    pthread_mutex_unlock(&f->mutex);
    int rc = learn_numbers(flight);
    if (rc)
        return rc;
    /* A change that comes while the folder is walked may lie behind the walk. */
    do {
        atomic_store(&f->stale, false);
        rc = scan_run_list(flight);
    } while (!rc && top && atomic_load(&f->stale));
    if (rc) {
        atomic_store(&f->stale, false);
        return rc;
    }
    if (top) {
        pthread_mutex_lock(&f->mutex);
        bool first = !f->status.last_check;
        f->status.last_check = time(NULL);
        pthread_mutex_unlock(&f->mutex);
        if (first)
            tell_policy(f);
    }
    return 0;
}

static struct flight_plan list_plan(enum vivo_level level, vivo_row row, bool keep)
{
    return (struct flight_plan){
        .key = {.kind = FLIGHT_LIST, .level = level, .row = row},
        .run = run_list,
        .keep = keep,
    };
}

void flow_list_in_background(struct vivo_flow *f, enum vivo_level level, vivo_row row)
{
    if (f->closed && level <= VIVO_LEVEL_COLLECTION)
        return;
    struct flight_plan plan = list_plan(level, row, true);
    flight_join(f, &plan, NULL);
}

int flow_copy_entry(void *ctx, const struct vivo_entry *e)
{
    struct vivo_entry *out = ctx;
    *out = *e;
    out->name = NULL;
    return 0;
}

bool vivo_flow_closed(const struct vivo_flow *f)
{
    return f->closed;
}

/* Levels that the driver lists together with something above need no listing. */
static bool driver_lists(const struct vivo_flow *f, enum vivo_level level)
{
    return f->archive->driver->lists & (1u << level);
}

static int first_row(void *ctx, const struct vivo_entry *e)
{
    *(vivo_row *)ctx = e->row;
    return 1;
}

int flow_locator(struct vivo_flow *f, enum vivo_level level, vivo_row row, bool member,
                 struct vivo_buf *out, struct vivo_err *err)
{
    vivo_row first = 0;
    int rc = vivo_catalog_locator(f->catalog, level, row, out, NULL, err);
    if (rc != -ENOENT || !member)
        return rc;
    vivo_err_clear(err);
    rc = vivo_catalog_children(f->catalog, level, row, NULL, first_row, &first, err);
    if (rc < 0)
        return rc;
    return vivo_catalog_locator(f->catalog, level + 1, first, out, NULL, err);
}

/* What came with something above has no listing of its own. */
static bool has_record(struct vivo_flow *f, enum vivo_level level, vivo_row row)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf locator = {0};
    vivo_buf_init(&locator, 64 * 1024);
    return level == VIVO_LEVEL_NONE ||
           vivo_catalog_locator(f->catalog, level, row, &locator, NULL, NULL) == 0;
}

int64_t flow_wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Was it listed, in this session or another one, as lately as refresh= wants? */
bool flow_is_recent(struct vivo_flow *f, int64_t listed_ms)
{
    int64_t now = flow_wall_ms();
    pthread_mutex_lock(&f->mutex);
    bool forced = listed_ms <= f->forced_ms;
    pthread_mutex_unlock(&f->mutex);
    return !forced && listed_ms <= now && now - listed_ms < f->refresh_s * 1000;
}

/* A remote level that was listed long ago is listed again while what is known is
 * shown; once in that time, also where it fails. */
static void refresh_if_old(struct vivo_flow *f, enum vivo_level level, vivo_row row,
                           int64_t listed_ms)
{
    if (f->local || f->offline || flow_is_recent(f, listed_ms))
        return;
    int64_t now = vivo_now_ms();
    int64_t was = checked_at(f, level, row, 0);
    if (was && now - was < f->refresh_s * 1000)
        return;
    checked_at(f, level, row, now);
    if (has_record(f, level, row))
        flow_list_in_background(f, level, row);
}

int vivo_flow_list(struct vivo_flow *f, enum vivo_level level, vivo_row row,
                   struct vivo_op *op)
{
    struct vivo_entry e = {0};
    if (f->closed && level <= VIVO_LEVEL_COLLECTION)
        return vivo_fail(&op->err, EPERM,
                         "%s: browse=no: patients are not listed; ask with a query by "
                         "StudyDate, PatientID or AccessionNumber",
                         f->name);
    if (level != VIVO_LEVEL_NONE && !driver_lists(f, level))
        return 0;
    int rc = vivo_catalog_get(f->catalog, level, row, flow_copy_entry, &e, &op->err);
    if (rc)
        return rc;
    if (e.listed) {
        refresh_if_old(f, level, row, e.listed_ms);
        return 0;
    }
    if (f->offline)
        return vivo_fail(&op->err, EIO, "%s: not listed before, and offline", f->name);
    struct flight_plan plan = list_plan(level, row, f->local);
    return flight_join(f, &plan, op);
}

static bool top_is_recent(struct vivo_flow *f)
{
    struct vivo_entry e = {0};
    return !f->local &&
           !vivo_catalog_get(f->catalog, VIVO_LEVEL_NONE, 0, flow_copy_entry, &e,
                             NULL) &&
           e.listed && flow_is_recent(f, e.listed_ms);
}

bool vivo_flow_recent(struct vivo_flow *f)
{
    return top_is_recent(f) ||
           (f->searches && flow_is_recent(f, vivo_catalog_search_latest(f->catalog)));
}

bool vivo_flow_current(struct vivo_flow *f, int64_t since_ms)
{
    struct vivo_entry e = {0};
    if (f->local || f->offline)
        return true;
    if (!vivo_catalog_get(f->catalog, VIVO_LEVEL_NONE, 0, flow_copy_entry, &e, NULL) &&
        e.listed && driver_lists(f, VIVO_LEVEL_NONE))
        refresh_if_old(f, VIVO_LEVEL_NONE, 0, e.listed_ms);
    return !f->searches || vivo_now_ms() - since_ms < f->refresh_s * 1000;
}

void vivo_flow_refresh(struct vivo_flow *f)
{
    pthread_mutex_lock(&f->mutex);
    f->nchecked = 0;
    f->forced_ms = flow_wall_ms();
    pthread_mutex_unlock(&f->mutex);
    searches_forget(f->searches);
    if (f->offline)
        return;
    if (f->searches)
        vivo_catalog_search_age(f->catalog, NULL);
    atomic_store(&f->stale, true);
    flow_list_in_background(f, VIVO_LEVEL_NONE, 0);
}

/* ---- threads of a flow
 * ------------------------------------------------------------------ */

static void *tick(void *arg)
{
    struct vivo_flow *f = arg;
    pthread_setname_np(pthread_self(), "vivofs-tick");
    pthread_mutex_lock(&f->mutex);
    while (!f->ending) {
        vivo_wait_ms(&f->tick, &f->mutex, TICK_MS);
        pthread_mutex_unlock(&f->mutex);
        flight_tick(f);
        /* A change may also come between the last look at `stale` and the landing. */
        if (atomic_load(&f->stale))
            flow_list_in_background(f, VIVO_LEVEL_NONE, 0);
        pthread_mutex_lock(&f->mutex);
    }
    pthread_mutex_unlock(&f->mutex);
    return NULL;
}

static void *watch(void *arg)
{
    struct vivo_flow *f = arg;
    pthread_setname_np(pthread_self(), "vivofs-watch");
    for (;;) {
        vivo_err_clear(&f->watch_op.err);
        int rc = vivo_archive_watch(f->archive, &f->watch_op);
        if (rc == -EINTR || atomic_load(&f->watch_op.cancelled))
            return NULL;
        if (rc) {
            vivo_log(VIVO_LOG_WARN, "flow.watch", "%s: changes are not followed: %s",
                     f->name, f->watch_op.err.text);
            return NULL;
        }
        atomic_store(&f->stale, true);
        flow_list_in_background(f, VIVO_LEVEL_NONE, 0);
    }
}

/* Listed lately in another session: it is told as if it had been in this one. */
static void note_earlier(struct vivo_flow *f)
{
    struct vivo_entry e = {0};
    if (vivo_catalog_get(f->catalog, VIVO_LEVEL_NONE, 0, flow_copy_entry, &e, NULL))
        return;
    pthread_mutex_lock(&f->mutex);
    f->status.last_check = (time_t)(e.listed_ms / 1000);
    pthread_mutex_unlock(&f->mutex);
    tell_policy(f);
}

int vivo_flow_start(struct vivo_flow *f, struct vivo_err *err)
{
    if (pthread_create(&f->ticker, NULL, tick, f))
        return vivo_fail(err, ENOMEM, "no thread can be started");
    f->ticking = true;
    if (f->offline)
        return 0;
    if ((f->archive->driver->caps & VIVO_CAP_WATCH) &&
        !pthread_create(&f->watcher, NULL, watch, f))
        f->watching = true;
    if (top_is_recent(f))
        note_earlier(f);
    else if (!f->lazy || f->local)
        flow_list_in_background(f, VIVO_LEVEL_NONE, 0);
    return 0;
}

/* ---- opening and closing
 * -------------------------------------------------------------------- */

static int open_catalog(struct vivo_flow *f, const struct vivo_flow_config *cfg,
                        struct vivo_err *err)
{
    uint8_t seal[VIVO_DIGEST_LEN];
    uint8_t lookup[VIVO_DIGEST_LEN];
    struct vivo_catalog_config c = {.path = cfg->catalog_path};
    const struct vivo_key *key = vivo_deid_key(cfg->deid);
    if (!vivo_deid_is_none(cfg->deid) && key) {
        vivo_key_derive(key, "catalog-seal", "", 0, seal);
        vivo_key_derive(key, "catalog-lookup", "", 0, lookup);
        c.seal_key = seal;
        c.lookup_key = lookup;
    }
    c.names = cfg->names;
    c.plain_names = vivo_deid_cleans(cfg->deid, VIVO_TAG_SeriesDescription);
    int rc = vivo_catalog_open(&c, &f->catalog, err);
    vivo_wipe(seal, sizeof seal);
    vivo_wipe(lookup, sizeof lookup);
    return rc;
}

static void set_config(struct vivo_flow *f, const struct vivo_flow_config *cfg)
{
    memcpy(f->name, cfg->name, strnlen(cfg->name, VIVO_NAME_MAX));
    f->archive = cfg->archive;
    f->deid = cfg->deid;
    f->filter = cfg->filter;
    f->store = cfg->store;
    f->local = cfg->archive->driver->caps & VIVO_CAP_LOCAL;
    f->offline = cfg->offline;
    f->closed = cfg->closed;
    f->names = cfg->names;
    f->lazy = cfg->lazy || cfg->closed;
    f->timeout_ms = cfg->timeout_ms ? cfg->timeout_ms : TIMEOUT_MS;
    f->refresh_s = cfg->refresh_s ? cfg->refresh_s : REFRESH_S;
    f->headers_max = cfg->headers_max ? cfg->headers_max : HEADERS_MAX;
    f->changed = cfg->changed;
    f->changed_ctx = cfg->ctx;
    f->status.health = VIVO_HEALTH_OK;
    vivo_op_init(&f->watch_op, 0);
    pthread_mutex_init(&f->mutex, NULL);
    pthread_cond_init(&f->tick, NULL);
}

/* A listing is as good without columns, so whoever waits for it does not wait for
 * them. */
static void pack_job(void *ctx)
{
    struct vivo_flow *f = ctx;
    atomic_store(&f->packing, false);
    vivo_catalog_pack(f->catalog, NULL);
}

void flow_pack(struct vivo_flow *f)
{
    if (!atomic_exchange(&f->packing, true) && vivo_pool_run(f->pool, pack_job, f))
        atomic_store(&f->packing, false);
}

int vivo_flow_open(const struct vivo_flow_config *cfg, struct vivo_flow **out,
                   struct vivo_err *err)
{
    struct vivo_flow *f = calloc(1, sizeof *f);
    if (!f)
        return vivo_fail(err, ENOMEM, "out of memory");
    set_config(f, cfg);
    int rc = open_catalog(f, cfg, err);
    if (!rc)
        rc = vivo_pool_new("vivofs-job", cfg->jobs ? cfg->jobs : JOBS, &f->pool, err);
    if (!rc && !f->local && !cfg->no_search && !(f->searches = searches_new()))
        rc = vivo_fail(err, ENOMEM, "out of memory");
    bool ahead = f->local ? !vivo_deid_is_none(f->deid) : f->store != NULL;
    if (!rc && ahead && !(f->ahead = ahead_new()))
        rc = vivo_fail(err, ENOMEM, "out of memory");
    bool bundles = f->archive->driver->bundle && f->store;
    if (!rc && bundles && !(f->bundles = bundles_new()))
        rc = vivo_fail(err, ENOMEM, "out of memory");
    if (rc) {
        ahead_free(f->ahead);
        searches_free(f->searches);
        vivo_pool_free(f->pool);
        vivo_catalog_close(f->catalog);
        pthread_cond_destroy(&f->tick);
        pthread_mutex_destroy(&f->mutex);
        free(f);
        return rc;
    }
    *out = f;
    return 0;
}

static void end_threads(struct vivo_flow *f)
{
    pthread_mutex_lock(&f->mutex);
    f->ending = true;
    pthread_cond_broadcast(&f->tick);
    pthread_mutex_unlock(&f->mutex);
    atomic_store(&f->watch_op.cancelled, true);
    if (f->watching)
        pthread_join(f->watcher, NULL);
    if (f->ticking)
        pthread_join(f->ticker, NULL);
}

void vivo_flow_close(struct vivo_flow *f)
{
    if (!f)
        return;
    end_threads(f);
    flight_cancel_all(f);
    vivo_pool_free(f->pool);
    for (size_t i = 0; i < RECENT_VIEWS; i++)
        vivo_view_unref(f->recent[i].view);
    vivo_archive_close(f->archive);
    vivo_catalog_close(f->catalog);
    pthread_cond_destroy(&f->tick);
    pthread_mutex_destroy(&f->mutex);
    ahead_free(f->ahead);
    bundles_free(f->bundles);
    searches_free(f->searches);
    free(f->checked);
    free(f->spoiled);
    free(f);
}

const char *vivo_flow_name(const struct vivo_flow *f)
{
    return f->name;
}

enum vivo_names vivo_flow_names(const struct vivo_flow *f)
{
    return f->names;
}

struct vivo_catalog *vivo_flow_catalog(struct vivo_flow *f)
{
    return f->catalog;
}

const struct vivo_driver *vivo_flow_driver(const struct vivo_flow *f)
{
    return f->archive->driver;
}

const char *vivo_flow_source(const struct vivo_flow *f)
{
    return f->archive->source;
}

/* Of an object that is here, when it came. */
static void kept_sha256(const struct vivo_flow *f, const char *locator,
                        const struct vivo_buf *version, char sha256[65])
{
    uint8_t digest[VIVO_DIGEST_LEN];
    struct vivo_store_key key;
    if (f->store && flow_digests(f) &&
        !flow_store_key_of(f, locator, version, &key, NULL) &&
        !vivo_store_digest(f->store, &key, digest))
        vivo_hex(digest, sizeof digest, sha256);
}

int vivo_flow_url(struct vivo_flow *f, vivo_row instance, struct vivo_buf *url,
                  struct vivo_buf *version, char sha256[65], struct vivo_err *err)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf locator = {0};
    vivo_buf_init(&locator, 64 * 1024);
    int rc = vivo_catalog_locator(f->catalog, VIVO_LEVEL_INSTANCE, instance, &locator,
                                  version, err);
    if (!rc)
        vivo_archive_sha256(f->archive, (const char *)locator.data, sha256);
    if (!rc && !sha256[0])
        kept_sha256(f, (const char *)locator.data, version, sha256);
    return rc ? rc : vivo_archive_url(f->archive, (const char *)locator.data, url, err);
}

const struct vivo_deid *vivo_flow_deid(const struct vivo_flow *f)
{
    return f->deid;
}

void vivo_flow_status(struct vivo_flow *f, struct vivo_flow_status *out)
{
    pthread_mutex_lock(&f->mutex);
    *out = f->status;
    pthread_mutex_unlock(&f->mutex);
    out->requests = atomic_load(&f->archive->requests);
    out->bytes = atomic_load(&f->archive->bytes);
    flight_status(f, out);
    vivo_catalog_count(f->catalog, VIVO_LEVEL_NONE, 0, NULL, &out->counts, NULL);
}
