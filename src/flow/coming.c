/* SPDX-License-Identifier: Apache-2.0 */
/* src/flow/coming.c -- see coming.h. Bytes come on the net thread, which makes nothing
 * of them: early views are made by who waits for one. */
#include "flow/coming.h"

#include "vivofs/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define RAW_MEMORY_MAX (UINT64_C(256) << 20)
#define FIRST_TRY (UINT64_C(64) << 10)   /* bytes that most headers end within */
#define LAST_TRY (UINT64_C(8) << 20)     /* headers beyond it wait for the whole */
#define LEAST_REST (UINT64_C(512) << 10) /* less than that comes soon anyway */

/* ---- what comes ----------------------------------------------------------------- */

static const char *disk_of(const struct vivo_flow *f)
{
    return f->store ? vivo_store_dir(f->store) : NULL;
}

int raw_move(int *fd, const char *dir, uint64_t size, struct vivo_err *err)
{
    enum { CHUNK = 64 * 1024 };
    VIVO_AUTO(vivo_free_p) char *chunk = malloc(CHUNK);
    int rc = 0;
    if (!chunk)
        return vivo_fail(err, ENOMEM, "out of memory");
    int to = vivo_file_nameless(dir, err);
    if (to < 0)
        return to;
    for (uint64_t at = 0; at < size && !rc; at += CHUNK) {
        size_t n = (size_t)VIVO_MIN(size - at, (uint64_t)CHUNK);
        rc = vivo_pread_full(*fd, chunk, n, at, err);
        if (!rc)
            rc = vivo_pwrite_full(to, chunk, n, at, err);
    }
    close(rc ? to : *fd);
    *fd = rc ? *fd : to;
    return rc;
}

/* An early view has the descriptor, and room for all of it was made beforehand. */
static int move(struct coming *c, const char *dir, enum raw_place place,
                struct vivo_err *err)
{
    pthread_mutex_lock(&c->mutex);
    int rc = c->view ? -ENOSPC : raw_move(&c->fd, dir, c->at, err);
    if (!rc)
        c->place = place;
    pthread_mutex_unlock(&c->mutex);
    return rc;
}

/* A full disk must not keep an object from being read: it goes on in memory. */
static int write_where_room_is(struct coming *c, const void *data, size_t len,
                               struct vivo_err *err)
{
    int rc = vivo_pwrite_full(c->fd, data, len, c->at, err);
    if (rc != -ENOSPC || c->place != RAW_ON_DISK || c->at + len > RAW_MEMORY_MAX)
        return rc;
    vivo_err_clear(err);
    rc = move(c, NULL, RAW_DISK_IS_FULL, err);
    return rc ? rc : vivo_pwrite_full(c->fd, data, len, c->at, err);
}

/* What is small was never on the disk: making and removing a file costs more than all
 * the rest of it. */
static int append(struct coming *c, const void *data, size_t len, struct vivo_err *err)
{
    uint64_t to = c->at + len;
    const char *dir = disk_of(c->flow);
    int rc = 0;
    if (c->place == RAW_SMALL && dir && VIVO_MAX(to, c->total) > RAW_SMALL_MAX) {
        rc = move(c, dir, RAW_ON_DISK, err);
        if (rc == -ENOSPC) {
            vivo_err_clear(err);
            c->place = RAW_DISK_IS_FULL;
            rc = 0;
        }
    }
    if (!rc && c->place == RAW_DISK_IS_FULL && to > RAW_MEMORY_MAX)
        rc = vivo_fail(err, ENOSPC, "too large for memory, and the disk is full");
    if (!rc)
        rc = write_where_room_is(c, data, len, err);
    if (rc)
        return rc;
    c->at = to;
    atomic_store(&c->high, c->at);
    return 0;
}

/* What came before, and may have been read, must come again. */
static int compare(struct coming *c, const uint8_t *data, size_t len,
                   struct vivo_err *err)
{
    uint8_t had[16 * 1024];
    while (len) {
        size_t n = VIVO_MIN(len, sizeof had);
        int rc = vivo_pread_full(c->fd, had, n, c->at, err);
        if (rc)
            return rc;
        if (memcmp(had, data, n) != 0)
            return vivo_fail(err, EIO, "the second try brought another object");
        data += n;
        len -= n;
        c->at += n;
    }
    return 0;
}

static int note_total(struct coming *c, struct vivo_err *err)
{
    pthread_mutex_lock(&c->mutex);
    bool differs = c->view && c->delivery.total != c->total;
    if (!differs)
        c->total = c->delivery.total;
    c->large = !c->delivery.extra && c->total >= FIRST_TRY + LEAST_REST;
    pthread_mutex_unlock(&c->mutex);
    return differs ? vivo_fail(err, EIO, "the second try is of another size") : 0;
}

static int take(struct vivo_sink *self, const void *data, size_t len,
                struct vivo_err *err)
{
    struct coming *c = (struct coming *)self; /* first member */
    uint64_t high = atomic_load(&c->high);
    size_t again = (size_t)VIVO_MIN(high - c->at, (uint64_t)len);
    int rc = c->at == 0 ? note_total(c, err) : 0;
    if (!rc && again)
        rc = compare(c, data, again, err);
    if (!rc && len > again)
        rc = append(c, (const uint8_t *)data + again, len - again, err);
    flight_progress(c->flight, len);
    if (!rc && c->large)
        flight_wake(c->flight, atomic_load(&c->high));
    return rc;
}

/* Before somebody was given a view, a second try may bring what it likes. */
static int restart(struct vivo_sink *self, struct vivo_err *err)
{
    struct coming *c = (struct coming *)self; /* first member */
    int rc = 0;
    c->at = 0;
    pthread_mutex_lock(&c->mutex);
    if (!c->view) {
        atomic_store(&c->high, 0);
        if (ftruncate(c->fd, 0))
            rc = vivo_fail(err, EIO, "a temporary file cannot be cut");
    }
    pthread_mutex_unlock(&c->mutex);
    return rc;
}

static int no_descriptor(struct vivo_delivery *self, int fd, struct vivo_err *err)
{
    (void)self;
    close(fd);
    return vivo_fail(err, EIO, "a remote driver delivered a descriptor");
}

/* ---- its life ------------------------------------------------------------------- */

int coming_new(struct vivo_flight *flight, const char *extra, struct coming **out,
               struct vivo_err *err)
{
    struct vivo_flow *f = flight->flow;
    struct coming *c = calloc(1, sizeof *c);
    if (!c)
        return vivo_fail(err, ENOMEM, "out of memory");
    c->delivery = (struct vivo_delivery){.sink = {.write = take, .restart = restart},
                                         .descriptor = no_descriptor,
                                         .extra = extra};
    c->fd = vivo_file_nameless(NULL, err);
    if (c->fd < 0) {
        int rc = c->fd;
        free(c);
        return rc;
    }
    atomic_init(&c->refs, 1);
    atomic_init(&c->high, 0);
    atomic_init(&c->state, COMING);
    pthread_mutex_init(&c->mutex, NULL);
    c->flow = f;
    c->flight = flight;
    c->row = flight->key.row;
    c->next = extra ? 0 : FIRST_TRY;
    flight_set_coming(flight, c);
    *out = c;
    return 0;
}

void coming_unref(struct coming *c)
{
    if (!c || atomic_fetch_sub(&c->refs, 1) != 1)
        return;
    vivo_view_unref(c->view);
    pthread_mutex_destroy(&c->mutex);
    free(c);
}

int coming_whole(struct coming *c, struct vivo_err *err)
{
    pthread_mutex_lock(&c->mutex);
    bool other = c->view && c->at != c->total;
    c->next = 0;
    pthread_mutex_unlock(&c->mutex);
    if (other)
        return vivo_fail(err, EIO, "not of the size that the archive said");
    flight_keep(c->flight);
    atomic_store(&c->state, COMING_WHOLE);
    flight_wake(c->flight, VIVO_VIEW_ALL);
    return 0;
}

void coming_end(struct coming *c, const struct vivo_err *err)
{
    pthread_mutex_lock(&c->mutex);
    bool shown = c->view != NULL;
    c->next = 0;
    if (c->fd >= 0)
        close(c->fd); /* views have one of their own */
    c->fd = -1;
    pthread_mutex_unlock(&c->mutex);
    if (atomic_load(&c->state) == COMING) {
        c->err = *err;
        if (!c->err.errnum)
            vivo_fail(&c->err, EIO, "it did not come whole");
        if (shown)
            flow_spoil(c->flow, c->row);
        atomic_store(&c->state, COMING_FAILED);
    }
    flight_set_coming(c->flight, NULL);
    coming_unref(c);
}

/* ---- early views ---------------------------------------------------------------- */

static int gate_open(void *ctx, uint64_t there, struct vivo_err *err)
{
    struct coming *c = ctx;
    int state = atomic_load(&c->state);
    if (state == COMING_FAILED)
        return vivo_fail(err, c->err.errnum, "%s", c->err.text);
    return state == COMING_WHOLE || there <= atomic_load(&c->high) ? 0 : -EAGAIN;
}

static void gate_drop(void *ctx)
{
    flight_leave(ctx);
    coming_unref(ctx);
}

static const struct vivo_view_gate gate = {.open = gate_open, .drop = gate_drop};

/* When to try again, if ever. */
static uint64_t next_try(const struct coming *c, uint64_t here, uint64_t need)
{
    uint64_t next = VIVO_MAX(need, 2 * here);
    return next <= LAST_TRY && next + LEAST_REST <= c->total ? next : 0;
}

/* Is there room for all of it? Later would be too late. */
static bool make_room(const struct coming *c)
{
    return !fallocate(c->fd, 0, 0, (off_t)c->total) || errno == EOPNOTSUPP;
}

/* Its size is known from now on. */
static int make_view_locked(struct coming *c, uint64_t here)
{
    struct vivo_view *view = NULL;
    struct vivo_err err = {0};
    uint64_t need = 0;
    int fd = make_room(c) ? fcntl(c->fd, F_DUPFD_CLOEXEC, 0) : -1;
    if (fd < 0)
        return -ENOENT;
    int rc = vivo_deid_early(c->flow->deid, fd, c->total, here, &view, &need, &err);
    if (rc) {
        close(fd);
        c->next = rc == -EAGAIN ? next_try(c, here, need) : 0;
        return -ENOENT;
    }
    if (vivo_catalog_set_size(c->flow->catalog, c->row, vivo_view_size(view), &err)) {
        vivo_view_unref(view);
        return -ENOENT;
    }
    c->view = view;
    return 0;
}

/* 0: there is a view; else c->next tells when one may be made. */
static int have_view(struct coming *c)
{
    uint64_t here = atomic_load(&c->high);
    if (c->view)
        return 0;
    if (!c->next || here < c->next)
        return -ENOENT;
    uint64_t next = c->next;
    c->next = 0;
    if (c->total < here || c->total - here < LEAST_REST)
        return -ENOENT;
    int rc = make_view_locked(c, here);
    return rc && c->next > next ? have_view(c) : rc;
}

static int ride(struct coming *c, struct vivo_view **out, struct vivo_op *op)
{
    if (!flight_ride(c))
        return -ENOENT;
    int rc = vivo_view_new_gated(c->view, &gate, c, out, &op->err);
    if (rc)
        flight_leave(c);
    else
        atomic_fetch_add(&c->refs, 1);
    return rc;
}

int coming_open(struct vivo_flow *f, vivo_row row, struct vivo_view **out,
                struct vivo_op *op)
{
    struct coming *c = flight_coming(f, row);
    op->wants = FIRST_TRY;
    if (!c)
        return -ENOENT;
    pthread_mutex_lock(&c->mutex);
    int rc = have_view(c);
    op->wants = c->next;
    pthread_mutex_unlock(&c->mutex);
    if (!rc)
        rc = ride(c, out, op);
    coming_unref(c);
    return rc;
}

/* ---- what did not ---------------------------------------------------------------- */

/* Beyond that many all are taken for spoiled. */
#define SPOILED_MAX 4096u

void flow_spoil(struct vivo_flow *f, vivo_row row)
{
    pthread_mutex_lock(&f->mutex);
    vivo_row *p = vivo_array_grow(f->spoiled, f->nspoiled, &f->spoiled_cap, sizeof *p,
                                  SPOILED_MAX);
    if (p) {
        f->spoiled = p;
        f->spoiled[f->nspoiled++] = row;
    }
    f->all_spoiled = f->all_spoiled || !p;
    pthread_mutex_unlock(&f->mutex);
}

bool vivo_flow_spoiled(struct vivo_flow *f, vivo_row instance)
{
    pthread_mutex_lock(&f->mutex);
    bool yes = f->all_spoiled;
    for (size_t i = 0; i < f->nspoiled && !yes; i++)
        yes = f->spoiled[i] == instance;
    pthread_mutex_unlock(&f->mutex);
    return yes;
}

int vivo_flow_await(const struct vivo_view *view, uint64_t off, size_t len,
                    struct vivo_op *op)
{
    struct coming *c = vivo_view_gate_ctx(view, &gate);
    return c ? flight_await(c, vivo_view_needs(view, off, len), op) : 0;
}
