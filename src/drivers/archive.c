/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/archive.c -- the only callers of driver callbacks.
 *
 * Each wrapper checks what it passes, calls, and polices the contract of errors: a
 * failure without a reason, a success with one, an errno outside the vocabulary or a
 * record that cannot be is logged as a bug of the driver and becomes -EIO.
 * VIVOFS_TRACE=driver writes one line per call. No text here holds a locator. */
#include "drivers/registry.h"
#include "vivofs/hash.h"
#include "vivofs/log.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

/* Longer than any path or URL; a bound for what one record may cost. */
#define LOCATOR_MAX 32768

/* ---- the contract of errors ---------------------------------------------------- */

static bool in_vocabulary(int errnum)
{
    static const int words[] = {ENOENT,       EACCES, EPERM,  EBADMSG,   EINVAL,
                                ENAMETOOLONG, EROFS,  EEXIST, ETIMEDOUT, EINTR,
                                ENOSPC,       ENOMEM, EIO};

    for (size_t i = 0; i < VIVO_ARRAY_LEN(words); i++)
        if (words[i] == errnum)
            return true;
    return false;
}

static void bug(const struct vivo_driver *d, const char *call, const char *what)
{
    vivo_log(VIVO_LOG_ERROR, "drivers", "BUG in driver %s: %s() %s", d->name, call,
             what);
}

/* What the caller gets for what the driver returned. Positive results are those of
 * the receiver, handed through. */
static int verdict(const struct vivo_driver *d, const char *call, int rc,
                   struct vivo_err *err)
{
    if (rc >= 0) {
        if (err->errnum != 0) {
            bug(d, call, "succeeded with an error set");
            vivo_err_clear(err);
        }
        return rc;
    }
    if (err->errnum == 0) {
        bug(d, call, "failed without an error set");
        return vivo_fail(err, EIO, "%s: %s failed and did not say why", d->name, call);
    }
    if (rc != -err->errnum)
        bug(d, call, "returned another errno than it set");
    if (!in_vocabulary(err->errnum)) {
        bug(d, call, "used an errno outside the vocabulary");
        err->errnum = EIO;
    }
    return -err->errnum;
}

/* ---- tracing ------------------------------------------------------------------- */

static bool tracing;
static pthread_once_t tracing_once = PTHREAD_ONCE_INIT;

static void read_trace_variable(void)
{
    const char *p = getenv("VIVOFS_TRACE");

    while (p && *p) {
        size_t n = strcspn(p, ",");
        if (n == 6 && memcmp(p, "driver", 6) == 0)
            tracing = true;
        p += n;
        p += strspn(p, ",");
    }
}

static bool trace_wanted(void)
{
    pthread_once(&tracing_once, read_trace_variable);
    return tracing;
}

static void trace(const struct vivo_archive *a, const char *call, uint64_t op,
                  int64_t began_ms, int rc, uint64_t amount)
{
    if (!trace_wanted())
        return;
    vivo_log(VIVO_LOG_INFO, "trace.driver", "req=%llu %s.%s = %d, %llu, %lld ms",
             (unsigned long long)op, a->driver->name, call, rc,
             (unsigned long long)amount, (long long)(vivo_now_ms() - began_ms));
}

/* Ready to call? An op that failed before must have been cleared by its owner. */
static int begin(struct vivo_archive *a, const char *call, struct vivo_op *op)
{
    if (op->err.errnum != 0) {
        vivo_log(VIVO_LOG_ERROR, "drivers", "BUG: %s.%s() called with an error set",
                 a->driver->name, call);
        vivo_err_clear(&op->err);
    }
    return vivo_op_check(op);
}

/* ---- what is listed ------------------------------------------------------------ */

/* Between the driver and the caller's intake: checks records, counts them, and gives
 * drivers all three callbacks whether or not the caller has them. */
struct checked_intake {
    struct vivo_intake base;
    struct vivo_intake *to;
    const struct vivo_driver *driver;
    const char *call;
    enum vivo_level above;
    atomic_uint_least64_t records;
};

static struct checked_intake *intake_of(struct vivo_intake *self)
{
    return (struct checked_intake *)(void *)self;
}

static const char *record_flaw(const struct checked_intake *c,
                               const struct vivo_record *r)
{
    if (r->level <= c->above || r->level > VIVO_LEVEL_INSTANCE)
        return "emitted a record of a level that is not below the parent";
    /* Where collections are not listed themselves, one is told of without a locator. */
    bool told = r->level == VIVO_LEVEL_COLLECTION && !r->locator &&
                !(c->driver->lists & 1u << VIVO_LEVEL_COLLECTION);
    if (!told && (!r->locator || r->locator[0] == '\0'))
        return "emitted a record without a locator";
    if (r->locator && strnlen(r->locator, LOCATOR_MAX + 1) > LOCATOR_MAX)
        return "emitted a locator longer than 32 KiB";
    if (r->attrs.len > 0 && !r->attrs.data)
        return "emitted attributes without data";
    if (r->attrs.len > VIVO_ATTRS_MAX)
        return "emitted attributes longer than VIVO_ATTRS_MAX";
    if (r->headers && r->attrs.len == 0)
        return "emitted an empty header as a whole one";
    if (r->level == VIVO_LEVEL_COLLECTION)
        return r->collection ? NULL : "emitted a collection without its name";
    if ((r->patient && !r->patient[0]) || (r->key && !r->key[0]))
        return "emitted an empty label or key";
    if (r->level == VIVO_LEVEL_PATIENT && r->patient)
        return NULL;
    if (r->attrs.len == 0 && r->level != VIVO_LEVEL_INSTANCE)
        return "emitted a patient, study or series without attributes";
    return NULL;
}

static int checked_record(struct vivo_intake *self, const struct vivo_record *rec,
                          struct vivo_err *err)
{
    struct checked_intake *c = intake_of(self);
    const char *flaw = record_flaw(c, rec);

    if (flaw) {
        bug(c->driver, c->call, flaw);
        return vivo_fail(err, EIO, "%s: %s %s", c->driver->name, c->call, flaw);
    }
    atomic_fetch_add(&c->records, 1);
    return c->to->record(c->to, rec, err);
}

static bool checked_known(struct vivo_intake *self, const char *locator,
                          const char *version)
{
    struct checked_intake *c = intake_of(self);

    return c->to->known && c->to->known(c->to, locator, version);
}

static void checked_other(struct vivo_intake *self, const char *locator,
                          const char *version)
{
    struct checked_intake *c = intake_of(self);

    if (c->to->other)
        c->to->other(c->to, locator, version);
}

static const char *extra_flaw(const struct vivo_extra *x)
{
    if (!x->locator || x->locator[0] == '\0')
        return "emitted an extra without a locator";
    if (strnlen(x->locator, LOCATOR_MAX + 1) > LOCATOR_MAX)
        return "emitted a locator longer than 32 KiB";
    if (!x->path || x->path[strspn(x->path, "/")] == '\0')
        return "emitted an extra without a name";
    return NULL;
}

/* One of which the path is too long to be shown is counted. */
static int checked_extra(struct vivo_intake *self, const struct vivo_extra *x,
                         struct vivo_err *err)
{
    struct checked_intake *c = intake_of(self);
    const char *flaw = extra_flaw(x);

    if (flaw) {
        bug(c->driver, c->call, flaw);
        return vivo_fail(err, EIO, "%s: %s %s", c->driver->name, c->call, flaw);
    }
    if (c->base.extras && strnlen(x->path, VIVO_PATH_MAX) < VIVO_PATH_MAX)
        return c->to->extra(c->to, x, err);
    checked_other(self, x->locator, x->version);
    return 0;
}

static void checked_alive(struct vivo_intake *self)
{
    struct checked_intake *c = intake_of(self);

    if (c->to->alive)
        c->to->alive(c->to);
}

static void checked_intake_init(struct checked_intake *c, const struct vivo_driver *d,
                                const char *call, enum vivo_level above,
                                struct vivo_intake *to)
{
    *c = (struct checked_intake){
        .base = {.record = checked_record,
                 .known = checked_known,
                 .other = checked_other,
                 .extra = checked_extra,
                 .extras = to->extra && to->extras,
                 .alive = checked_alive},
        .to = to,
        .driver = d,
        .call = call,
        .above = above,
    };
    atomic_init(&c->records, 0);
}

/* ---- what is fetched ----------------------------------------------------------- */

struct checked_delivery {
    struct vivo_delivery base; /* first, and its sink first in it */
    struct vivo_delivery *to;
    const struct vivo_driver *driver;
    uint64_t bytes;
    bool gave_descriptor;
};

static struct checked_delivery *delivery_of(void *self)
{
    return self;
}

static int checked_write(struct vivo_sink *self, const void *data, size_t len,
                         struct vivo_err *err)
{
    struct checked_delivery *c = delivery_of(self);

    if (c->gave_descriptor) {
        bug(c->driver, "fetch", "gave bytes after a descriptor");
        return vivo_fail(err, EIO, "%s: fetch delivered twice", c->driver->name);
    }
    c->bytes += len;
    c->to->total = c->base.total;
    return c->to->sink.write(&c->to->sink, data, len, err);
}

static int checked_restart(struct vivo_sink *self, struct vivo_err *err)
{
    struct checked_delivery *c = delivery_of(self);

    c->bytes = 0;
    return c->to->sink.restart(&c->to->sink, err);
}

static int checked_descriptor(struct vivo_delivery *self, int fd, struct vivo_err *err)
{
    struct checked_delivery *c = delivery_of(self);

    if (c->gave_descriptor || c->bytes > 0) {
        bug(c->driver, "fetch", "gave a descriptor after bytes or twice");
        return vivo_fail(err, EIO, "%s: fetch delivered twice", c->driver->name);
    }
    int rc = c->to->descriptor(c->to, fd, err);
    c->gave_descriptor = rc == 0;
    return rc;
}

static void checked_delivery_init(struct checked_delivery *c,
                                  const struct vivo_driver *d, struct vivo_delivery *to)
{
    *c = (struct checked_delivery){
        .base = {.sink = {.write = checked_write,
                          .restart = to->sink.restart ? checked_restart : NULL},
                 .descriptor = to->descriptor ? checked_descriptor : NULL,
                 .extra = to->extra},
        .to = to,
        .driver = d,
    };
}

/* ---- the wrappers -------------------------------------------------------------- */

int vivo_archive_open(const struct vivo_archive_config *cfg, struct vivo_archive **out,
                      struct vivo_err *err)
{
    struct vivo_err local = {0};
    struct vivo_archive *a = NULL;
    const struct vivo_driver *d = vivo_driver_for(cfg->source, &local);

    if (!d)
        return vivo_fail(err, local.errnum, "%s", local.text);
    int64_t began = vivo_now_ms();
    int rc = verdict(d, "open", d->open(cfg, &a, &local), &local);
    if (rc >= 0 && !a) {
        bug(d, "open", "succeeded without an archive");
        rc = vivo_fail(&local, EIO, "%s: open gave nothing", d->name);
    }
    if (rc < 0)
        return vivo_fail(err, local.errnum, "%s", local.text);
    a->driver = d;
    vivo_sha256(cfg->source, strlen(cfg->source), a->source_id);
    if (!a->net)
        a->net = cfg->net;
    a->source = strdup(cfg->source);
    if (!a->source) {
        d->close(a);
        return vivo_fail(err, ENOMEM, "no memory for an archive");
    }
    trace(a, "open", 0, began, rc, 0);
    *out = a;
    return 0;
}

void vivo_archive_close(struct vivo_archive *a)
{
    char *source;

    if (!a)
        return;
    source = a->source;
    a->driver->close(a);
    free(source);
}

int vivo_archive_probe(struct vivo_archive *a, struct vivo_op *op)
{
    int rc = begin(a, "probe", op);

    if (rc < 0 || !a->driver->probe)
        return rc;
    int64_t began = vivo_now_ms();
    rc = verdict(a->driver, "probe", a->driver->probe(a, op), &op->err);
    trace(a, "probe", op->id, began, rc, 0);
    return rc;
}

int vivo_archive_list(struct vivo_archive *a, enum vivo_level level, const char *parent,
                      struct vivo_intake *in, struct vivo_op *op)
{
    struct checked_intake c;
    int rc = begin(a, "list", op);

    if (rc < 0)
        return rc;
    if (!(a->driver->lists & 1u << level))
        return vivo_fail(&op->err, EINVAL, "%s does not list below level %s",
                         a->driver->name, vivo_level_name(level));
    if ((level == VIVO_LEVEL_NONE) != (parent == NULL))
        return vivo_fail(&op->err, EINVAL, "%s: a parent belongs to level %s",
                         a->driver->name, vivo_level_name(level));
    int64_t began = vivo_now_ms();
    checked_intake_init(&c, a->driver, "list", level, in);
    rc = verdict(a->driver, "list", a->driver->list(a, level, parent, &c.base, op),
                 &op->err);
    trace(a, "list", op->id, began, rc, atomic_load(&c.records));
    return rc;
}

int vivo_archive_prepare(struct vivo_archive *a, const char *const *nodes, size_t n,
                         struct vivo_op *op)
{
    int rc = begin(a, "prepare", op);

    if (rc < 0)
        return rc;
    if (!a->driver->prepare || n == 0 || n > VIVO_PREPARE_MAX)
        return vivo_fail(&op->err, ENOENT, "%s lists one by one", a->driver->name);
    int64_t began = vivo_now_ms();
    rc = verdict(a->driver, "prepare", a->driver->prepare(a, nodes, n, op), &op->err);
    trace(a, "prepare", op->id, began, rc, n);
    return rc;
}

int vivo_archive_fetch(struct vivo_archive *a, const char *locator,
                       struct vivo_delivery *to, struct vivo_op *op)
{
    struct checked_delivery c;
    int rc = begin(a, "fetch", op);

    if (rc < 0)
        return rc;
    int64_t began = vivo_now_ms();
    checked_delivery_init(&c, a->driver, to);
    rc = verdict(a->driver, "fetch", a->driver->fetch(a, locator, &c.base, op),
                 &op->err);
    /* An archive that answers "here you are" and sends nothing did not send the
     * object; no DICOM file is empty. */
    if (rc == 0 && c.bytes == 0 && !c.gave_descriptor && !to->extra)
        rc = vivo_fail(&op->err, EIO, "%s: an object came without any bytes",
                       a->driver->name);
    if (a->driver->caps & VIVO_CAP_LOCAL) {
        atomic_fetch_add(&a->requests, 1);
        atomic_fetch_add(&a->bytes, c.bytes);
    }
    trace(a, "fetch", op->id, began, rc, c.bytes);
    return rc;
}

int vivo_archive_bundle(struct vivo_archive *a, const char *series_locator,
                        struct vivo_bundle *to, struct vivo_op *op)
{
    int rc = begin(a, "bundle", op);

    if (rc < 0)
        return rc;
    if (!a->driver->bundle)
        return vivo_fail(&op->err, EINVAL, "%s gives objects one by one",
                         a->driver->name);
    int64_t began = vivo_now_ms();
    rc = verdict(a->driver, "bundle", a->driver->bundle(a, series_locator, to, op),
                 &op->err);
    trace(a, "bundle", op->id, began, rc, 0);
    return rc;
}

int vivo_archive_headers(struct vivo_archive *a, const char *series_locator,
                         struct vivo_intake *in, struct vivo_op *op)
{
    struct checked_intake c;
    int rc = begin(a, "headers", op);

    if (rc < 0)
        return rc;
    if (!a->driver->headers)
        return vivo_fail(&op->err, EINVAL, "%s cannot give headers by series",
                         a->driver->name);
    int64_t began = vivo_now_ms();
    checked_intake_init(&c, a->driver, "headers", VIVO_LEVEL_SERIES, in);
    rc = verdict(a->driver, "headers",
                 a->driver->headers(a, series_locator, &c.base, op), &op->err);
    trace(a, "headers", op->id, began, rc, atomic_load(&c.records));
    return rc;
}

int vivo_archive_search(struct vivo_archive *a, const struct vivo_match *matches,
                        size_t n, uint64_t *answered, struct vivo_intake *in,
                        struct vivo_op *op)
{
    struct checked_intake c;
    int rc = begin(a, "search", op);

    *answered = 0;
    if (rc < 0)
        return rc;
    if (!a->driver->search || n == 0 || n > VIVO_MATCH_MAX)
        return vivo_fail(&op->err, ENOENT, "%s cannot search for that",
                         a->driver->name);
    int64_t began = vivo_now_ms();
    checked_intake_init(&c, a->driver, "search", VIVO_LEVEL_NONE, in);
    rc = verdict(a->driver, "search",
                 a->driver->search(a, matches, n, answered, &c.base, op), &op->err);
    trace(a, "search", op->id, began, rc, atomic_load(&c.records));
    return rc;
}

int vivo_archive_describe(struct vivo_archive *a, const char *const *series, size_t n,
                          struct vivo_intake *in, struct vivo_op *op)
{
    struct checked_intake c;
    int rc = begin(a, "describe", op);

    if (rc < 0)
        return rc;
    if (!a->driver->describe || n == 0 || n > VIVO_DESCRIBE_MAX)
        return vivo_fail(&op->err, ENOENT, "%s has no table of that", a->driver->name);
    int64_t began = vivo_now_ms();
    checked_intake_init(&c, a->driver, "describe", VIVO_LEVEL_STUDY, in);
    rc = verdict(a->driver, "describe", a->driver->describe(a, series, n, &c.base, op),
                 &op->err);
    trace(a, "describe", op->id, began, rc, atomic_load(&c.records));
    return rc;
}

int vivo_archive_watch(struct vivo_archive *a, struct vivo_op *op)
{
    int rc = begin(a, "watch", op);

    if (rc < 0)
        return rc;
    if (!a->driver->watch)
        return vivo_fail(&op->err, EINVAL, "%s cannot tell when the source changes",
                         a->driver->name);
    int64_t began = vivo_now_ms();
    rc = verdict(a->driver, "watch", a->driver->watch(a, op), &op->err);
    trace(a, "watch", op->id, began, rc, 0);
    return rc;
}
