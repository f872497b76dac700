/* SPDX-License-Identifier: Apache-2.0 */
/* src/flow/fetch.c -- the second journey: catalog -> store hit? -> driver.fetch ->
 * deid -> store -> view. */
#include "flow/coming.h"

#include "vivofs/log.h"

#include <errno.h>
#include <string.h>

/* ---- what was opened last ----------------------------------------------------------
 */

static struct vivo_view *recent_get(struct vivo_flow *f, vivo_row row)
{
    struct vivo_view *view = NULL;
    pthread_mutex_lock(&f->mutex);
    for (size_t i = 0; i < RECENT_VIEWS && !view; i++) {
        if (f->recent[i].row != row)
            continue;
        f->recent[i].used = ++f->clock;
        view = vivo_view_ref(f->recent[i].view);
    }
    pthread_mutex_unlock(&f->mutex);
    return view;
}

/* Puts a view in place of the row's former one or of the least used; NULL drops. */
static void recent_set(struct vivo_flow *f, vivo_row row, struct vivo_view *view)
{
    pthread_mutex_lock(&f->mutex);
    struct recent_view *slot = NULL;
    for (size_t i = 0; i < RECENT_VIEWS; i++) {
        struct recent_view *r = &f->recent[i];
        if (r->row == row) {
            slot = r;
            break;
        }
        if (!slot || r->used < slot->used)
            slot = r;
    }
    struct vivo_view *old = NULL;
    if (view || slot->row == row) {
        old = slot->view;
        slot->view = view ? vivo_view_ref(view) : NULL;
        slot->row = view ? row : 0;
        slot->used = view ? ++f->clock : 0;
    }
    pthread_mutex_unlock(&f->mutex);
    vivo_view_unref(old);
}

void flow_drop_view(struct vivo_flow *f, vivo_row row)
{
    recent_set(f, row, NULL);
}

/* ---- local objects
 * -------------------------------------------------------------------- */

static int refuse(struct vivo_flow *f, vivo_row row, int refusal, struct vivo_err *err)
{
    return vivo_fail(err, EPERM, "%s #%lld: policy refuses to release it (%s)", f->name,
                     (long long)row, vivo_refusal_code((enum vivo_refusal)refusal));
}

/* The file is not what was listed: the catalog learns it, as another version, and the
 * new bytes are what is opened. Takes fd over. */
static int open_changed(struct vivo_flow *f, vivo_row row, int fd, const char *locator,
                        const char *stamp, struct vivo_view **out, struct vivo_op *op)
{
    struct object_put o;
    int rc = object_read(f, fd, locator, stamp, &o, &op->err);
    if (rc)
        return rc;
    rc = vivo_catalog_replace(f->catalog, row, &o.put, &op->err);
    if (!rc && o.put.refusal)
        rc = refuse(f, row, o.put.refusal, &op->err);
    if (!rc)
        *out = vivo_view_ref(o.view);
    object_put_free(&o);
    flow_changed(f);
    return rc;
}

/* Of an object that is as it was indexed, which gave its size, nothing is read before
 * somebody wants its bytes. */
struct header_later {
    struct vivo_flow *flow;
    vivo_row row, series;
    uint64_t size;
    bool ahead; /* somebody is reading: prepare the next ones */
};

static int make_later(void *ctx, int fd, const struct vivo_identity *id,
                      struct vivo_view **out, struct vivo_err *err)
{
    const struct header_later *l = ctx;
    int rc = vivo_deid_object(l->flow->deid, fd, id, id->size, out, NULL, NULL, err);
    if (!rc && l->ahead && l->flow->ahead)
        ahead_read(l->flow, l->series, l->row);
    if (rc || vivo_view_size(*out) == l->size)
        return rc;
    /* Indexed with other tables: this reader gets an error, the next open the size. */
    vivo_log(VIVO_LOG_WARN, "flow.fetch",
             "%s #%lld: not of the size it was listed with", l->flow->name,
             (long long)l->row);
    vivo_catalog_set_size(l->flow->catalog, l->row, vivo_view_size(*out), NULL);
    flow_changed(l->flow);
    return 0;
}

static int open_later(struct vivo_flow *f, const struct vivo_entry *e, bool ahead,
                      int fd, const struct vivo_identity *id, struct vivo_view **out,
                      struct vivo_err *err)
{
    struct header_later *l = malloc(sizeof *l);
    if (!l)
        return vivo_fail(err, ENOMEM, "out of memory");
    *l = (struct header_later){f, e->row, e->parent, e->size, ahead};
    int rc = vivo_view_new_later(fd, id, e->size, make_later, l, out, err);
    if (rc)
        free(l);
    return rc;
}

static int open_local(struct vivo_flow *f, const struct vivo_entry *e, bool ahead,
                      struct vivo_view **out, struct vivo_op *op)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf locator = {0};
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf version = {0};
    vivo_buf_init(&locator, 64 * 1024);
    vivo_buf_init(&version, 256);
    int rc = vivo_catalog_locator(f->catalog, VIVO_LEVEL_INSTANCE, e->row, &locator,
                                  &version, &op->err);
    if (rc)
        return rc;
    int fd = object_descriptor(f, (char *)locator.data, op);
    if (fd < 0)
        return fd;
    struct vivo_identity id;
    char stamp[VIVO_STAMP_MAX];
    rc = vivo_identity_of(fd, &id, &op->err);
    if (rc) {
        close(fd);
        return rc;
    }
    vivo_identity_stamp(&id, stamp);
    if (version.len && strcmp(stamp, (char *)version.data) != 0)
        return open_changed(f, e->row, fd, (char *)locator.data, stamp, out, op);
    if (version.len && e->size_exact)
        rc = open_later(f, e, ahead, fd, &id, out, &op->err);
    else
        rc = vivo_deid_object(f->deid, fd, &id, id.size, out, NULL, NULL, &op->err);
    if (rc)
        close(fd);
    return rc;
}

void prepare_local(struct vivo_flow *f, vivo_row row)
{
    struct vivo_entry e = {0};
    struct vivo_op op;
    VIVO_AUTO(vivo_view_unref_p) struct vivo_view *view = recent_get(f, row);
    vivo_op_init(&op, 0);
    if (view ||
        vivo_catalog_get(f->catalog, VIVO_LEVEL_INSTANCE, row, flow_copy_entry, &e,
                         NULL) ||
        e.refusal || open_local(f, &e, false, &view, &op))
        return;
    /* What fails here fails again, and is told then, when it is asked for. */
    if (!vivo_view_prepare(view, NULL))
        recent_set(f, row, view);
}

/* ---- remote objects
 * --------------------------------------------------------------------- */

int flow_store_key(struct vivo_flow *f, vivo_row row, struct vivo_store_key *key,
                   struct vivo_buf *locator, struct vivo_err *err)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf version = {0};
    vivo_buf_init(&version, 4096);
    int rc = vivo_catalog_locator(f->catalog, VIVO_LEVEL_INSTANCE, row, locator,
                                  &version, err);
    return rc ? rc
              : flow_store_key_of(f, (const char *)locator->data, &version, key, err);
}

int flow_store_key_of(const struct vivo_flow *f, const char *locator,
                      const struct vivo_buf *version, struct vivo_store_key *key,
                      struct vivo_err *err)
{
    struct vivo_sha256 *sha = vivo_sha256_begin();
    if (!sha)
        return vivo_fail(err, ENOMEM, "out of memory");
    vivo_sha256_add(sha, f->archive->source_id, sizeof f->archive->source_id);
    vivo_sha256_add(sha, locator, strlen(locator) + 1);
    if (version->len)
        vivo_sha256_add(sha, version->data, version->len);
    vivo_sha256_add(sha, vivo_deid_digest(f->deid), VIVO_DIGEST_LEN);
    vivo_sha256_end(sha, key->digest);
    /* With a key the name of an entry tells nothing of the original. */
    const struct vivo_key *secret = vivo_deid_key(f->deid);
    if (secret)
        vivo_key_derive(secret, "store-name", key->digest, VIVO_DIGEST_LEN,
                        key->digest);
    return 0;
}

/* What is kept is what the archive has, and will be the same the next time. */
bool flow_digests(const struct vivo_flow *f)
{
    return f->archive->driver->caps & VIVO_CAP_SAME_BYTES && vivo_deid_is_none(f->deid);
}

static int learn(struct vivo_flow *f, vivo_row row, struct vivo_view *view,
                 struct vivo_err *err)
{
    recent_set(f, row, view);
    int rc = vivo_catalog_set_size(f->catalog, row, vivo_view_size(view), err);
    /* On a full disk the view knows it as long as it is kept: vivo_flow_size_now(). */
    if (rc == -ENOSPC) {
        vivo_err_clear(err);
        rc = 0;
    }
    return rc;
}

uint64_t vivo_flow_size_now(struct vivo_flow *f, vivo_row instance)
{
    VIVO_AUTO(vivo_view_unref_p) struct vivo_view *view = recent_get(f, instance);
    return view ? vivo_view_size(view) : 0;
}

/* Takes the view over. Without room in the store it serves as well. */
static int keep_view(struct vivo_flow *f, vivo_row row, struct vivo_view *view,
                     const struct vivo_store_key *key, bool pin, struct vivo_err *err)
{
    struct vivo_view *stored = NULL;
    struct vivo_err why = {0};
    if (f->store &&
        !vivo_store_put(f->store, key, view, flow_digests(f), &stored, &why)) {
        vivo_view_unref(view);
        view = stored;
    }
    if (why.errnum)
        vivo_log(VIVO_LOG_WARN, "flow.fetch", "%s #%lld: not kept: %s", f->name,
                 (long long)row, why.text);
    if (f->store && pin)
        vivo_store_pin(f->store, key, true);
    int rc = learn(f, row, view, err);
    vivo_view_unref(view);
    return rc;
}

int fetch_keep(struct vivo_flow *f, vivo_row row, int *fd, uint64_t size,
               const struct vivo_store_key *key, bool pin, struct vivo_err *err)
{
    struct vivo_deid_report report = {0};
    struct vivo_view *view = NULL;
    int rc = vivo_deid_object(f->deid, *fd, NULL, size, &view, NULL, &report, err);
    if (rc == -EPERM)
        vivo_catalog_set_refusal(f->catalog, row, (int)report.refusal, NULL);
    if (rc)
        return rc;
    *fd = -1;
    return keep_view(f, row, view, key, pin, err);
}

/* Flights of extras are of no level. */
static bool is_extra(const struct vivo_flight *flight)
{
    return flight->key.level == VIVO_LEVEL_NONE;
}

static int keep_extra(struct vivo_flight *flight, const struct extra_entry *x,
                      struct coming *c, const struct vivo_store_key *key)
{
    struct vivo_err *err = &flight->op.err;
    VIVO_AUTO(vivo_view_unref_p) struct vivo_view *view = NULL;
    int rc = extra_keep(flight->flow, &x->e, &c->fd, c->at, key,
                        atomic_load(&flight->pin), &view, err);
    return rc ? rc : learn(flight->flow, x->e.row, view, err);
}

static int fetch_remote(struct vivo_flight *flight, const char *locator,
                        const struct vivo_store_key *key)
{
    struct vivo_flow *f = flight->flow;
    struct vivo_op *op = &flight->op;
    vivo_row row = flight->key.row;
    struct extra_entry x;
    struct coming *c = NULL;
    int rc = is_extra(flight) ? vivo_catalog_extra_get(f->catalog, row,
                                                       extra_copy_entry, &x, &op->err)
                              : 0;
    if (!rc)
        rc = coming_new(flight, is_extra(flight) ? x.name : NULL, &c, &op->err);
    if (rc)
        return rc;
    rc = vivo_archive_fetch(f->archive, locator, &c->delivery, op);
    if (!rc)
        rc = coming_whole(c, &op->err);
    bool pin = atomic_load(&flight->pin);
    if (!rc && is_extra(flight))
        rc = keep_extra(flight, &x, c, key);
    else if (!rc && c->view)
        rc = keep_view(f, row, vivo_view_ref(c->view), key, pin, &op->err);
    else if (!rc)
        rc = fetch_keep(f, row, &c->fd, c->at, key, pin, &op->err);
    coming_end(c, &op->err);
    return rc;
}

/* -ENOENT without an error: the store does not have it. */
static int take_stored(struct vivo_flow *f, vivo_row row,
                       const struct vivo_store_key *key, struct vivo_view **out,
                       struct vivo_err *err)
{
    struct vivo_err ignored = {0};
    if (!f->store || vivo_store_get(f->store, key, out, &ignored))
        return -ENOENT;
    pthread_mutex_lock(&f->mutex);
    f->status.store_hits++;
    pthread_mutex_unlock(&f->mutex);
    return learn(f, row, *out, err);
}

static int open_stored(struct vivo_flow *f, vivo_row row, struct vivo_view **out,
                       struct vivo_err *err)
{
    struct vivo_store_key key;
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf locator = {0};
    vivo_buf_init(&locator, 64 * 1024);
    if (!f->store)
        return -ENOENT;
    int rc = flow_store_key(f, row, &key, &locator, err);
    return rc ? rc : take_stored(f, row, &key, out, err);
}

static int store_or_fetch(struct vivo_flight *flight)
{
    struct vivo_flow *f = flight->flow;
    struct vivo_err *err = &flight->op.err;
    struct vivo_store_key key;
    VIVO_AUTO(vivo_view_unref_p) struct vivo_view *stored = NULL;
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf locator = {0};
    vivo_buf_init(&locator, 64 * 1024);
    int rc = flow_store_key(f, flight->key.row, &key, &locator, err);
    if (rc)
        return rc;
    /* It may have come since the flight was asked for. */
    rc = take_stored(f, flight->key.row, &key, &stored, err);
    if (!rc && atomic_load(&flight->pin))
        vivo_store_pin(f->store, &key, true);
    if (rc != -ENOENT || err->errnum)
        return rc;
    if (!is_extra(flight) && bundle_ride(f, flight))
        return FLIGHT_ALOFT;
    /* Counted first: a reader may have it all before the flight ends. */
    pthread_mutex_lock(&f->mutex);
    f->status.fetches++;
    pthread_mutex_unlock(&f->mutex);
    rc = fetch_remote(flight, (char *)locator.data, &key);
    if (!rc)
        flow_recovered(f);
    return rc;
}

static int run_fetch(struct vivo_flight *flight)
{
    struct vivo_flow *f = flight->flow;
    int rc = store_or_fetch(flight);
    if (rc >= 0)
        return rc;
    vivo_fail_in(&flight->op.err, "%s #%lld", f->name, (long long)flight->key.row);
    if (rc == -EIO || rc == -ETIMEDOUT || rc == -EACCES)
        flow_failed(f, &flight->op.err);
    return rc;
}

static struct flight_plan fetch_plan(enum vivo_level level, vivo_row row, bool keep,
                                     bool pin)
{
    return (struct flight_plan){
        .key = {.kind = FLIGHT_OBJECT, .level = level, .row = row},
        .run = run_fetch,
        .keep = keep,
        .pin = pin,
    };
}

void fetch_in_background(struct vivo_flow *f, vivo_row row, bool pin)
{
    struct extra_entry x;
    bool extra = !vivo_catalog_extra_get(f->catalog, row, extra_copy_entry, &x, NULL);
    enum vivo_level level = extra ? VIVO_LEVEL_NONE : VIVO_LEVEL_INSTANCE;
    struct flight_plan plan = fetch_plan(level, row, true, pin);
    flight_join(f, &plan, NULL);
}

static int open_remote(struct vivo_flow *f, enum vivo_level level, vivo_row row,
                       struct vivo_view **out, struct vivo_op *op)
{
    int rc = open_stored(f, row, out, &op->err);
    if (rc != -ENOENT || op->err.errnum)
        return rc;
    if (f->offline)
        return vivo_fail(&op->err, EIO, "%s #%lld: not kept here, and offline", f->name,
                         (long long)row);
    struct flight_plan plan = fetch_plan(level, row, false, false);
    op->wants = 0;
    if (op->early && op->landed && level == VIVO_LEVEL_INSTANCE) {
        rc = coming_open(f, row, out, op);
        if (rc != -ENOENT)
            return rc;
    }
    rc = flight_join(f, &plan, op);
    if (rc)
        return rc;
    *out = recent_get(f, row);
    return *out ? 0
                : vivo_fail(&op->err, EIO, "%s #%lld: gone at once", f->name,
                            (long long)row);
}

static bool open_recent(struct vivo_flow *f, vivo_row row, struct vivo_view **out)
{
    *out = recent_get(f, row);
    if (*out && !vivo_view_check(*out, NULL))
        return true;
    vivo_view_unref(*out);
    *out = NULL;
    recent_set(f, row, NULL);
    return false;
}

/* What follows in the series is fetched after what is asked for, which would otherwise
 * wait behind all of it. */
static int open_in_series(struct vivo_flow *f, vivo_row series, vivo_row row,
                          struct vivo_view **out, struct vivo_op *op)
{
    struct ahead_rows next = {0};
    int rc = 0;
    if (f->ahead && !f->offline)
        ahead_opening(f, series, row, &next);
    if (!open_recent(f, row, out))
        rc = open_remote(f, VIVO_LEVEL_INSTANCE, row, out, op);
    ahead_fetch(f, &next);
    return rc;
}

int vivo_flow_object(struct vivo_flow *f, vivo_row instance, struct vivo_view **out,
                     struct vivo_op *op)
{
    struct vivo_entry e = {0};
    int rc = vivo_catalog_get(f->catalog, VIVO_LEVEL_INSTANCE, instance,
                              flow_copy_entry, &e, &op->err);
    if (rc)
        return rc;
    if (e.refusal)
        return refuse(f, instance, e.refusal, &op->err);
    if (!f->local)
        return open_in_series(f, e.parent, instance, out, op);
    if (open_recent(f, instance, out))
        return 0;
    rc = open_local(f, &e, true, out, op);
    if (!rc)
        recent_set(f, instance, *out);
    return rc;
}

int flow_open_extra(struct vivo_flow *f, const struct vivo_extra_entry *e,
                    struct vivo_view **out, struct vivo_op *op)
{
    if (open_recent(f, e->row, out))
        return 0;
    if (!f->local)
        return open_remote(f, VIVO_LEVEL_NONE, e->row, out, op);
    int rc = extra_open_local(f, e->row, e->name, out, op);
    if (!rc)
        recent_set(f, e->row, *out);
    return rc;
}
