/* SPDX-License-Identifier: Apache-2.0 */
/* src/model/view.c -- a file as segments of memory and ranges of a descriptor.
 *
 * A read is whole or an error. When the view was made with an identity, fstat is
 * compared after the bytes were copied and before they are given out: a source
 * that is rewritten in place must never lend new bytes to an old header. */
#include "vivofs/view.h"

#include "vivofs/error.h"
#include "vivofs/file.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct segment {
    uint64_t start; /* first byte of it in the view */
    uint64_t len;
    uint64_t off; /* into the descriptor, or into memory */
    bool memory;
    uint8_t period; /* memory that is repeated: its bytes; 0 = as long as it is */
};

/* A view that is made later. */
struct later {
    pthread_mutex_t mutex;
    int fd; /* guarded by mutex: the source's until `made` has it */
    struct vivo_identity id;
    uint64_t size;
    vivo_view_make_fn *make;
    void *ctx;                        /* owned */
    _Atomic(struct vivo_view *) made; /* set once, under mutex */
};

struct vivo_view {
    atomic_uint refs;
    struct later *later;               /* owned; NULL = made already */
    const struct vivo_view_gate *gate; /* NULL = all of it is there */
    void *gate_ctx;
    struct vivo_view *over; /* behind the gate */
    int fd;
    bool checked;
    struct vivo_identity id;
    struct segment *segments; /* ascending, without gaps */
    size_t n, cap;
    uint8_t *memory; /* of all memory segments, in order */
    size_t memory_len, memory_cap;
    uint64_t repeat_off; /* of the last repeated pattern in memory */
    size_t repeat_period;
    uint64_t size;
};

static int64_t nanoseconds(struct timespec t)
{
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int vivo_identity_of(int fd, struct vivo_identity *out, struct vivo_err *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return vivo_fail(err, EIO, "source: cannot stat: errno %d", errno);
    *out = (struct vivo_identity){
        .dev = st.st_dev,
        .ino = st.st_ino,
        .size = (uint64_t)st.st_size,
        .mtime_ns = nanoseconds(st.st_mtim),
        .ctime_ns = nanoseconds(st.st_ctim),
    };
    return 0;
}

bool vivo_identity_equal(const struct vivo_identity *a, const struct vivo_identity *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
           a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns;
}

/* ---- building ---------------------------------------------------------------- */

int vivo_view_new(int fd, const struct vivo_identity *id, struct vivo_view **out,
                  struct vivo_err *err)
{
    struct vivo_view *v = calloc(1, sizeof *v);
    if (!v)
        return vivo_fail(err, ENOMEM, "view: out of memory");
    atomic_init(&v->refs, 1);
    v->fd = fd;
    if (id && fd >= 0) {
        v->checked = true;
        v->id = *id;
    }
    *out = v;
    return 0;
}

static int grow(void **p, size_t *cap, size_t need, size_t size)
{
    if (need <= *cap)
        return 0;
    size_t n = *cap ? *cap : 4;
    while (n < need) {
        if (n > SIZE_MAX / 2 / size)
            return -ENOMEM;
        n *= 2;
    }
    void *q = realloc(*p, n * size);
    if (!q)
        return -ENOMEM;
    *p = q;
    *cap = n;
    return 0;
}

static int add(struct vivo_view *v, bool memory, uint64_t off, uint64_t len,
               size_t period)
{
    if (len > (uint64_t)INT64_MAX - v->size)
        return -EINVAL;
    struct segment *last = v->n ? &v->segments[v->n - 1] : NULL;
    if (last && last->memory == memory && !period && !last->period &&
        last->off + last->len == off) {
        last->len += len;
    } else {
        void *p = v->segments;
        int rc = grow(&p, &v->cap, v->n + 1, sizeof *v->segments);
        v->segments = p;
        if (rc < 0)
            return rc;
        v->segments[v->n++] =
            (struct segment){v->size, len, off, memory, (uint8_t)period};
    }
    v->size += len;
    return 0;
}

int vivo_view_add_memory(struct vivo_view *v, const void *data, size_t len)
{
    if (len == 0)
        return 0;
    if (len > SIZE_MAX - v->memory_len)
        return -ENOMEM;
    void *p = v->memory;
    int rc = grow(&p, &v->memory_cap, v->memory_len + len, 1);
    v->memory = p;
    if (rc < 0)
        return rc;
    memcpy(v->memory + v->memory_len, data, len);
    rc = add(v, true, v->memory_len, len, 0);
    if (rc == 0)
        v->memory_len += len;
    return rc;
}

int vivo_view_add_range(struct vivo_view *v, uint64_t off, uint64_t len)
{
    if (len == 0)
        return 0;
    if (v->fd < 0 || off > (uint64_t)INT64_MAX || len > (uint64_t)INT64_MAX - off)
        return -EINVAL;
    return add(v, false, off, len, 0);
}

int vivo_view_add_repeat(struct vivo_view *v, const void *pattern, size_t period,
                         uint64_t len)
{
    if (len == 0)
        return 0;
    if (period == 0 || period > VIVO_VIEW_PERIOD_MAX)
        return -EINVAL;
    struct segment *last = v->n ? &v->segments[v->n - 1] : NULL;
    uint64_t off = v->memory_len;
    /* Most patterns are the one before: it is kept once. */
    bool known = v->repeat_off + period <= v->memory_len &&
                 v->repeat_period == period &&
                 !memcmp(v->memory + v->repeat_off, pattern, period);
    if (known) {
        off = v->repeat_off;
    } else {
        void *p = v->memory;
        int rc = grow(&p, &v->memory_cap, v->memory_len + period, 1);
        v->memory = p;
        if (rc < 0)
            return rc;
        memcpy(v->memory + v->memory_len, pattern, period);
        v->memory_len += period;
        v->repeat_off = off;
        v->repeat_period = period;
    }
    if (last && last->period == period && last->off == off && last->len % period == 0) {
        if (len > (uint64_t)INT64_MAX - v->size)
            return -EINVAL;
        last->len += len;
        v->size += len;
        return 0;
    }
    return add(v, true, off, len, period);
}

void vivo_view_disown(struct vivo_view *v)
{
    v->fd = -1;
}

/* ---- making later ------------------------------------------------------------ */

int vivo_view_new_later(int fd, const struct vivo_identity *id, uint64_t size,
                        vivo_view_make_fn *make, void *ctx, struct vivo_view **out,
                        struct vivo_err *err)
{
    struct vivo_view *v = calloc(1, sizeof *v);
    struct later *l = calloc(1, sizeof *l);
    if (!v || !l) {
        free(v);
        free(l);
        return vivo_fail(err, ENOMEM, "view: out of memory");
    }
    atomic_init(&v->refs, 1);
    v->fd = -1;
    v->size = size;
    v->later = l;
    pthread_mutex_init(&l->mutex, NULL);
    l->fd = fd;
    l->id = *id;
    l->size = size;
    l->make = make;
    l->ctx = ctx;
    atomic_init(&l->made, NULL);
    *out = v;
    return 0;
}

/* ---- still coming ------------------------------------------------------------ */

int vivo_view_new_gated(struct vivo_view *over, const struct vivo_view_gate *gate,
                        void *ctx, struct vivo_view **out, struct vivo_err *err)
{
    struct vivo_view *v = calloc(1, sizeof *v);
    assert(!over->later && !over->gate);
    if (!v)
        return vivo_fail(err, ENOMEM, "view: out of memory");
    atomic_init(&v->refs, 1);
    v->fd = -1;
    v->size = over->size;
    v->over = vivo_view_ref(over);
    v->gate = gate;
    v->gate_ctx = ctx;
    *out = v;
    return 0;
}

void *vivo_view_gate_ctx(const struct vivo_view *v, const struct vivo_view_gate *gate)
{
    return v->gate == gate ? v->gate_ctx : NULL;
}

static size_t segment_at(const struct vivo_view *v, uint64_t off);

uint64_t vivo_view_needs(const struct vivo_view *v, uint64_t off, size_t len)
{
    uint64_t need = 0;
    v = v->gate ? v->over : v;
    if (off >= v->size)
        return 0;
    if (len >= v->size - off)
        return VIVO_VIEW_ALL;
    for (size_t i = segment_at(v, off); i < v->n && v->segments[i].start < off + len;
         i++) {
        const struct segment *s = &v->segments[i];
        uint64_t n = VIVO_MIN(off + len - s->start, s->len);
        if (!s->memory)
            need = VIVO_MAX(need, s->off + n);
    }
    return need;
}

/* 0: what the read needs is there, and *v is what it is read from. */
static int pass_gate(const struct vivo_view **v, uint64_t off, size_t len,
                     struct vivo_err *err)
{
    const struct vivo_view *gated = *v;
    if (!gated->gate)
        return 0;
    *v = gated->over;
    return gated->gate->open(gated->gate_ctx, vivo_view_needs(gated, off, len), err);
}

static const struct vivo_view *made_of(const struct vivo_view *v, struct vivo_err *err);

static int make_locked(struct later *l, struct vivo_err *err)
{
    struct vivo_view *made = NULL;
    int rc = l->make(l->ctx, l->fd, &l->id, &made, err);
    if (rc < 0)
        return rc;
    l->fd = -1;
    if (made->later) { /* what it was made to is itself made later: now */
        struct vivo_view *later = made;
        made = made_of(later, err) ? vivo_view_ref(later->later->made) : NULL;
        vivo_view_unref(later);
        if (!made)
            return err && err->errnum ? -err->errnum : -EIO;
    }
    if (made->size != l->size) { /* the descriptor went with it: no second try */
        vivo_view_unref(made);
        return vivo_fail(err, EIO, "view: another size than it was opened with");
    }
    atomic_store_explicit(&l->made, made, memory_order_release);
    return 0;
}

/* What to read from: the view itself, or what it was made to. NULL with err set. */
static const struct vivo_view *made_of(const struct vivo_view *v, struct vivo_err *err)
{
    int rc = pass_gate(&v, 0, SIZE_MAX, err);
    if (rc == -EAGAIN)
        vivo_fail(err, EIO, "view: it is still coming");
    struct later *l = v->later;
    if (!l)
        return rc ? NULL : v;
    const struct vivo_view *made = atomic_load_explicit(&l->made, memory_order_acquire);
    if (made)
        return made;
    pthread_mutex_lock(&l->mutex);
    if (!atomic_load_explicit(&l->made, memory_order_relaxed))
        rc = l->fd < 0 ? vivo_fail(err, EIO, "view: cannot be made")
                       : make_locked(l, err);
    made = atomic_load_explicit(&l->made, memory_order_relaxed);
    pthread_mutex_unlock(&l->mutex);
    return rc < 0 ? NULL : made;
}

int vivo_view_prepare(const struct vivo_view *v, struct vivo_err *err)
{
    struct vivo_err why = {0};
    if (made_of(v, &why))
        return 0;
    return vivo_fail(err, why.errnum ? why.errnum : EIO, "%s", why.text);
}

static void free_later(struct later *l)
{
    if (!l)
        return;
    if (l->fd >= 0)
        close(l->fd);
    vivo_view_unref(atomic_load_explicit(&l->made, memory_order_acquire));
    pthread_mutex_destroy(&l->mutex);
    free(l->ctx);
    free(l);
}

struct vivo_view *vivo_view_ref(struct vivo_view *v)
{
    atomic_fetch_add_explicit(&v->refs, 1, memory_order_relaxed);
    return v;
}

void vivo_view_unref(struct vivo_view *v)
{
    if (!v || atomic_fetch_sub_explicit(&v->refs, 1, memory_order_acq_rel) != 1)
        return;
    free_later(v->later);
    if (v->gate)
        v->gate->drop(v->gate_ctx);
    vivo_view_unref(v->over);
    if (v->fd >= 0)
        close(v->fd);
    free(v->segments);
    free(v->memory);
    free(v);
}

uint64_t vivo_view_size(const struct vivo_view *v)
{
    return v->size;
}

size_t vivo_view_memory(const struct vivo_view *v)
{
    v = v->gate ? v->over : v;
    const struct vivo_view *made =
        v->later ? atomic_load_explicit(&v->later->made, memory_order_acquire) : v;
    return made ? made->memory_len : 0;
}

bool vivo_view_is_plain(const struct vivo_view *v, int *fd)
{
    if (v->n != 1 || v->segments[0].memory || v->segments[0].off != 0)
        return false;
    *fd = v->fd;
    return true;
}

/* ---- reading ----------------------------------------------------------------- */

static int check_identity(int fd, const struct vivo_identity *id, struct vivo_err *err)
{
    struct vivo_identity now;
    int rc = vivo_identity_of(fd, &now, err);
    if (rc < 0)
        return rc;
    if (!vivo_identity_equal(&now, id))
        return vivo_fail(err, EIO, "source: changed since its header was read");
    return 0;
}

static int check_later(struct later *l, struct vivo_err *err)
{
    pthread_mutex_lock(&l->mutex);
    const struct vivo_view *made = atomic_load_explicit(&l->made, memory_order_relaxed);
    int rc = 0;
    if (!made)
        rc = l->fd < 0 ? vivo_fail(err, EIO, "view: cannot be made")
                       : check_identity(l->fd, &l->id, err);
    pthread_mutex_unlock(&l->mutex);
    return made ? vivo_view_check(made, err) : rc;
}

int vivo_view_check(const struct vivo_view *v, struct vivo_err *err)
{
    v = v->gate ? v->over : v;
    if (v->later)
        return check_later(v->later, err);
    return v->checked ? check_identity(v->fd, &v->id, err) : 0;
}

static int read_range(int fd, uint8_t *buf, size_t len, uint64_t off,
                      struct vivo_err *err)
{
    while (len > 0) {
        ssize_t n = pread(fd, buf, len, (off_t)off);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return vivo_fail(err, EIO, "source: read failed: errno %d", errno);
        if (n == 0)
            return vivo_fail(err, EIO, "source: ends before the range it should hold");
        buf += n;
        len -= (size_t)n;
        off += (uint64_t)n;
    }
    return 0;
}

static void repeat(uint8_t *to, const uint8_t *pattern, size_t period, uint64_t skip,
                   size_t n)
{
    size_t at = (size_t)(skip % period);
    for (size_t i = 0; i < n; i++) {
        to[i] = pattern[at];
        at = at + 1 == period ? 0 : at + 1;
    }
}

/* The segment that holds byte off, which is inside the view. */
static size_t segment_at(const struct vivo_view *v, uint64_t off)
{
    size_t lo = 0;
    size_t hi = v->n;
    while (hi - lo > 1) {
        size_t mid = lo + (hi - lo) / 2;
        if (v->segments[mid].start <= off)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

ssize_t vivo_view_pread(const struct vivo_view *v, void *buf, size_t len, uint64_t off,
                        struct vivo_err *err)
{
    return vivo_view_pread_led(v, NULL, 0, buf, len, off, err);
}

ssize_t vivo_view_pread_led(const struct vivo_view *v, const uint8_t *lead,
                            size_t nlead, void *buf, size_t len, uint64_t off,
                            struct vivo_err *err)
{
    struct vivo_err why = {0};
    if (off >= v->size)
        return 0;
    int gate = pass_gate(&v, off, len, err);
    if (gate)
        return gate;
    v = made_of(v, &why);
    if (!v)
        return vivo_fail(err, why.errnum ? why.errnum : EIO, "%s", why.text);
    if (len > v->size - off)
        len = (size_t)(v->size - off);
    if (len > SSIZE_MAX)
        len = SSIZE_MAX;
    uint8_t *to = buf;
    size_t left = len;
    for (size_t i = segment_at(v, off); left > 0; i++) {
        assert(i < v->n);
        const struct segment *s = &v->segments[i];
        uint64_t skip = off - s->start;
        size_t n = (size_t)VIVO_MIN((uint64_t)left, s->len - skip);
        if (s->period) {
            repeat(to, v->memory + s->off, s->period, skip, n);
        } else if (s->memory) {
            memcpy(to, v->memory + s->off + skip, n);
        } else if (s->off + skip + n <= nlead) {
            memcpy(to, lead + s->off + skip, n);
        } else {
            int rc = read_range(v->fd, to, n, s->off + skip, err);
            if (rc < 0)
                return rc;
        }
        to += n;
        off += n;
        left -= n;
    }
    int rc = vivo_view_check(v, err);
    return rc < 0 ? rc : (ssize_t)len;
}

/* ---- copying ----------------------------------------------------------------- */

#define COPY_CHUNK (128u << 10) /* on the stack */
#define COPY_MOST (8u << 20)    /* between two looks at `stop` */

static int copy_read(const struct vivo_view *v, int fd, uint64_t off, size_t len,
                     struct vivo_err *err)
{
    uint8_t buf[COPY_CHUNK];
    while (len) {
        ssize_t n = vivo_view_pread(v, buf, VIVO_MIN(len, sizeof buf), off, err);
        if (n <= 0)
            return n ? (int)n : vivo_fail(err, EIO, "view: ends before its size");
        int rc = vivo_pwrite_full(fd, buf, (size_t)n, off, err);
        if (rc)
            return rc;
        off += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

/* How many bytes at off the kernel copied: 0 = it cannot here, or not any more. */
static size_t copy_in_kernel(const struct vivo_view *v, int fd, uint64_t off,
                             size_t len)
{
    const struct segment *s = &v->segments[segment_at(v, off)];
    if (s->memory || s->period)
        return 0;
    off_t from = (off_t)(s->off + (off - s->start)), to = (off_t)off;
    len = (size_t)VIVO_MIN((uint64_t)len, s->start + s->len - off);
    ssize_t n = copy_file_range(v->fd, &from, fd, &to, len, 0);
    return n > 0 ? (size_t)n : 0;
}

int vivo_view_copy(const struct vivo_view *v, int fd, const volatile sig_atomic_t *stop,
                   struct vivo_err *err)
{
    struct vivo_err why = {0};
    const struct vivo_view *made = made_of(v, &why);
    if (!made)
        return vivo_fail(err, why.errnum ? why.errnum : EIO, "%s", why.text);
    for (uint64_t off = 0; off < made->size;) {
        if (stop && *stop)
            return vivo_fail(err, EINTR, "stopped");
        const struct segment *s = &made->segments[segment_at(made, off)];
        size_t len = (size_t)VIVO_MIN(s->start + s->len - off, (uint64_t)COPY_MOST);
        size_t n = copy_in_kernel(made, fd, off, len);
        int rc = n ? 0 : copy_read(made, fd, off, len, err);
        if (rc)
            return rc;
        off += n ? n : len;
    }
    return vivo_view_check(made, err);
}
