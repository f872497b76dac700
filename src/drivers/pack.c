/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/pack.c -- archive = a zip or tar file of DICOM files on this machine.
 *
 * URL:      a path
 * Lists:    every regular member that looks like DICOM, as an instance without
 *           attributes, in one pass; the others are counted.
 * Locator:  path of the member, any bytes but NUL; never a path on a disk.
 * Source:   APPNOTE.TXT 6.3.10 (zip), POSIX.1-2017 pax (tar), through libarchive.
 *
 * A descriptor that is handed out is a copy with an identity of its own, which flow
 * would take for a changed file if the records carried a version. So they carry none,
 * and the state of the archive file as a whole is kept in the catalog: as the version
 * of a locator that no member has, put when a listing is complete. When another state
 * is found, what was known is withdrawn member by member and recorded anew. */
#include "drivers/pack_members.h"
#include "drivers/package.h"
#include "vivofs/driver.h"
#include "vivofs/file.h"
#include "vivofs/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#define COPY_BYTES (1u << 20)
#define POLL_MS 2000
#define NAP_MS 200
#define QUIET_MAX_MS 60000
#define NO_VERSION "" /* the same as none, for known() and other() */
/* No member of an archive that anybody made is called so. */
#define STATE_LOCATOR "\n/state of the archive file"

struct pack {
    struct vivo_archive base;
    char *path;
    pthread_mutex_t mutex; /* guards what follows */
    struct pack_members *members;
    /* Members from this index on may not be read: the catalog has them as they were
     * in another state of the file. SIZE_MAX = all may. */
    size_t recorded;
    bool looked;               /* a listing has compared the catalog's state */
    bool told;                 /* the log line about what cannot be read */
    struct vivo_identity seen; /* by watch() */
};

static struct pack *pack_of(struct vivo_archive *a)
{
    return (struct pack *)(void *)a;
}

/* ---- open, close --------------------------------------------------------------- */

static void close_pack(struct vivo_archive *self)
{
    struct pack *p = pack_of(self);

    pack_members_unref(p->members);
    pthread_mutex_destroy(&p->mutex);
    free(p->path);
    free(p);
}

static int open_pack(const struct vivo_archive_config *cfg, struct vivo_archive **out,
                     struct vivo_err *err)
{
    struct pack *p = calloc(1, sizeof *p);

    if (!p)
        return vivo_fail(err, ENOMEM, "no memory for an archive");
    pthread_mutex_init(&p->mutex, NULL);
    p->recorded = SIZE_MAX;
    p->path = strdup(cfg->source);
    int rc = p->path ? pack_members_open(p->path, p->path, &p->members, err)
                     : vivo_fail(err, ENOMEM, "no memory for an archive");
    if (rc < 0) {
        close_pack(&p->base);
        return rc;
    }
    p->seen = *pack_members_identity(p->members);
    *out = &p->base;
    return 0;
}

/* What stands at the path now. */
static int identity_now(const struct pack *p, struct vivo_identity *out,
                        struct vivo_err *err)
{
    VIVO_AUTO(vivo_close_p) int fd = open(p->path, O_PATH | O_CLOEXEC);

    if (fd < 0)
        return vivo_fail(err, EIO, "the archive file: %s", strerror(errno));
    return vivo_identity_of(fd, out, err);
}

static int check_unchanged(const struct pack *p, const struct pack_members *m,
                           struct vivo_err *err)
{
    struct vivo_identity now;
    int rc = identity_now(p, &now, err);

    if (rc == 0 && !vivo_identity_equal(&now, pack_members_identity(m)))
        rc = vivo_fail(err, EIO, "the archive file has changed");
    return rc;
}

/* ---- list ---------------------------------------------------------------------- */

struct listing {
    struct pack *p;
    struct pack_members *m;
    struct vivo_intake *in;
    struct vivo_op *op;
    bool same;                    /* the catalog has this state of the file */
    struct vivo_package *package; /* what paths alone tell */
};

/* The members as the file is now, for one listing. */
static int present_members(struct pack *p, struct pack_members **out,
                           struct vivo_err *err)
{
    struct pack_members *fresh = NULL, *old = NULL;
    struct vivo_identity now;
    int rc = identity_now(p, &now, err);

    if (rc < 0)
        return rc;
    pthread_mutex_lock(&p->mutex);
    if (vivo_identity_equal(&now, pack_members_identity(p->members)))
        *out = pack_members_ref(p->members);
    else
        *out = NULL;
    pthread_mutex_unlock(&p->mutex);
    if (*out)
        return 0;
    struct vivo_err why = {0};
    if (pack_members_open(p->path, "the archive file", &fresh, &why) < 0)
        return vivo_fail(err, why.errnum == EINVAL ? EBADMSG : why.errnum, "%s",
                         why.text);
    pthread_mutex_lock(&p->mutex);
    old = p->members;
    p->members = fresh;
    p->recorded = 0;
    p->looked = p->told = false;
    *out = pack_members_ref(fresh);
    pthread_mutex_unlock(&p->mutex);
    pack_members_unref(old);
    return 0;
}

static void look_at_state(struct listing *l, const char *stamp)
{
    struct pack *p = l->p;

    l->same = l->in->known(l->in, STATE_LOCATOR, stamp);
    pthread_mutex_lock(&p->mutex);
    if (p->members == l->m && l->same)
        p->recorded = SIZE_MAX;
    else if (p->members == l->m && !p->looked)
        p->recorded = 0;
    if (p->members == l->m)
        p->looked = true;
    pthread_mutex_unlock(&p->mutex);
}

static void allow_up_to(struct listing *l, size_t n)
{
    struct pack *p = l->p;

    pthread_mutex_lock(&p->mutex);
    if (p->members == l->m && p->recorded < n)
        p->recorded = n;
    pthread_mutex_unlock(&p->mutex);
}

static bool is_unknown(void *ctx, const char *locator)
{
    const struct listing *l = ctx;

    return !l->same || !l->in->known(l->in, locator, NO_VERSION);
}

static int emit_extra(struct listing *l, const struct pack_member *is)
{
    struct vivo_package_place place;
    bool placed = vivo_package_place(l->package, is->locator, &place);
    const struct vivo_extra x = {
        .locator = is->locator,
        .path = is->locator,
        .collection = placed && place.collection[0] ? place.collection : NULL,
        .size = is->sized ? is->size : VIVO_SIZE_UNKNOWN,
    };
    return l->in->extra(l->in, &x, &l->op->err);
}

static int emit(struct listing *l, size_t i)
{
    struct pack_member is;

    pack_members_get(l->m, i, &is);
    if (is.folder || is.superseded)
        return 0;
    bool known = l->in->known(l->in, is.locator, NO_VERSION);
    if (known && l->same)
        return 0;
    if (known || !is.regular) /* withdrawn: it may be another object now */
        l->in->other(l->in, is.locator, NO_VERSION);
    if (!is.regular)
        return 0;
    allow_up_to(l, i + 1);
    if (!is.dicom)
        return emit_extra(l, &is);
    struct vivo_package_place place;
    bool placed = vivo_package_place(l->package, is.locator, &place);
    struct vivo_record rec = {
        .level = VIVO_LEVEL_INSTANCE,
        .locator = is.locator,
        .where = is.locator,
        .collection = placed && place.collection[0] ? place.collection : NULL,
        .patient = placed && place.patient[0] ? place.patient : NULL,
        .size = is.size,
    };
    return l->in->record(l->in, &rec, &l->op->err);
}

/* An archive of nothing but locked members would look empty. */
static int check_not_locked(struct listing *l)
{
    size_t encrypted = pack_members_encrypted(l->m), n = pack_members_count(l->m);

    for (size_t i = 0; encrypted > 0 && i < n; i++) {
        struct pack_member is;
        pack_members_get(l->m, i, &is);
        if (is.dicom)
            return 0;
    }
    return encrypted == 0
               ? 0
               : vivo_fail(&l->op->err, EACCES,
                           "%zu members need a password, and no other is DICOM: unpack "
                           "the archive and mount the folder",
                           encrypted);
}

static void log_left_out(struct listing *l)
{
    size_t encrypted = pack_members_encrypted(l->m), bad = pack_members_bad(l->m);

    pthread_mutex_lock(&l->p->mutex);
    bool told = l->p->told;
    l->p->told = true;
    pthread_mutex_unlock(&l->p->mutex);
    if (!told && encrypted + bad > 0)
        vivo_log(VIVO_LOG_WARN, "drivers.pack",
                 "%zu members need a password and %zu cannot be decoded: left out",
                 encrypted, bad);
}

static int list_members(struct listing *l)
{
    char stamp[VIVO_STAMP_MAX];

    vivo_identity_stamp(pack_members_identity(l->m), stamp);
    look_at_state(l, stamp);
    int rc = pack_members_complete(l->m, is_unknown, l, l->op);
    if (rc == 0)
        rc = check_unchanged(l->p, l->m, &l->op->err);
    if (rc == 0 && !l->same)
        rc = check_not_locked(l);
    if (rc == 0)
        rc = vivo_package_look(-1, &l->package, &l->op->err);
    size_t n = rc == 0 ? pack_members_count(l->m) : 0;
    for (size_t i = 0; rc == 0 && i < n; i++) {
        rc = vivo_op_check(l->op);
        if (rc == 0)
            rc = emit(l, i);
    }
    vivo_package_free(l->package);
    if (rc != 0)
        return rc;
    allow_up_to(l, SIZE_MAX);
    if (!l->same)
        l->in->other(l->in, STATE_LOCATOR, stamp);
    log_left_out(l);
    return 0;
}

static int list(struct vivo_archive *self, enum vivo_level level VIVO_UNUSED,
                const char *parent VIVO_UNUSED, struct vivo_intake *in,
                struct vivo_op *op)
{
    struct listing l = {.p = pack_of(self), .in = in, .op = op};
    int rc = present_members(l.p, &l.m, &op->err);

    if (rc == 0)
        rc = list_members(&l);
    pack_members_unref(l.m);
    return rc;
}

/* ---- fetch --------------------------------------------------------------------- */

static int copy_to(int fd, const struct pack_place *at, struct vivo_op *op)
{
    off_t from = (off_t)at->off;

    for (uint64_t left = at->len; left > 0;) {
        int rc = vivo_op_check(op);
        if (rc < 0)
            return rc;
        ssize_t n =
            sendfile(fd, at->fd, &from, (size_t)VIVO_MIN(left, (uint64_t)COPY_BYTES));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return vivo_fail(&op->err, n < 0 && errno == ENOSPC ? ENOSPC : EIO,
                             "copying a member: %s",
                             n < 0 ? strerror(errno) : "the archive file is shorter");
        left -= (uint64_t)n;
    }
    return 0;
}

static int give_copy(const struct pack *p, const struct pack_members *m,
                     const struct pack_place *at, struct vivo_delivery *to,
                     struct vivo_op *op)
{
    int fd = pack_temporary(at->len, &op->err);

    if (fd < 0)
        return fd;
    int rc = copy_to(fd, at, op);
    if (rc == 0)
        rc = check_unchanged(p, m, &op->err);
    if (rc == 0)
        rc = to->descriptor(to, fd, &op->err);
    if (rc != 0)
        close(fd);
    return rc;
}

static int fetch_from(struct pack *p, struct pack_members *m, const char *locator,
                      struct vivo_delivery *to, struct vivo_op *op)
{
    struct pack_place at;
    int rc = check_unchanged(p, m, &op->err);

    if (rc < 0)
        return rc;
    rc = pack_members_find(m, locator, to->extra, &at, op);
    if (rc < 0) {
        /* A file that is rewritten while it is decoded looks damaged. */
        if (rc == -EBADMSG && check_unchanged(p, m, NULL) < 0) {
            vivo_err_clear(&op->err);
            rc = vivo_fail(&op->err, EIO, "the archive file has changed");
        }
        return rc;
    }
    pthread_mutex_lock(&p->mutex);
    bool stale = p->members != m || at.index >= p->recorded;
    pthread_mutex_unlock(&p->mutex);
    if (stale)
        return vivo_fail(&op->err, EIO,
                         "the archive file has changed and is being listed");
    if (to->descriptor)
        return give_copy(p, m, &at, to, op);
    rc = pack_place_send(&at, &to->sink, op);
    return rc != 0 ? rc : check_unchanged(p, m, &op->err);
}

static int fetch(struct vivo_archive *self, const char *locator,
                 struct vivo_delivery *to, struct vivo_op *op)
{
    struct pack *p = pack_of(self);

    pthread_mutex_lock(&p->mutex);
    struct pack_members *m = pack_members_ref(p->members);
    pthread_mutex_unlock(&p->mutex);
    int rc = fetch_from(p, m, locator, to, op);
    pack_members_unref(m);
    return rc;
}

/* ---- watch --------------------------------------------------------------------- */

static int nap(struct vivo_op *op, int64_t ms)
{
    int64_t end = vivo_now_ms() + ms;
    int rc = vivo_op_check(op);

    for (int64_t left; rc == 0 && (left = end - vivo_now_ms()) > 0;) {
        usleep((useconds_t)VIVO_MIN(left, (int64_t)NAP_MS) * 1000);
        rc = vivo_op_check(op);
    }
    return rc;
}

/* A file that is gone is all zeros. */
static struct vivo_identity look(const struct pack *p)
{
    struct vivo_identity now = {0};

    if (identity_now(p, &now, NULL) < 0)
        now = (struct vivo_identity){0};
    return now;
}

/* By looking: a file that is replaced, or on a server, escapes inotify. What is still
 * being written is waited for, within limits. */
static int watch(struct vivo_archive *self, struct vivo_op *op)
{
    struct pack *p = pack_of(self);

    pthread_mutex_lock(&p->mutex);
    struct vivo_identity before = p->seen;
    pthread_mutex_unlock(&p->mutex);
    struct vivo_identity last = look(p);
    while (vivo_identity_equal(&before, &last)) {
        int rc = nap(op, POLL_MS);
        if (rc < 0)
            return rc;
        last = look(p);
    }
    int64_t until = vivo_now_ms() + QUIET_MAX_MS;
    for (bool quiet = false; !quiet && vivo_now_ms() < until;) {
        int rc = nap(op, POLL_MS);
        if (rc < 0)
            return rc;
        struct vivo_identity now = look(p);
        quiet = vivo_identity_equal(&now, &last);
        last = now;
    }
    pthread_mutex_lock(&p->mutex);
    p->seen = last;
    pthread_mutex_unlock(&p->mutex);
    return 0;
}

const struct vivo_driver vivo_driver_pack = {
    .name = "pack",
    .summary = "zip or tar of DICOM files",
    .schemes = "",
    .caps = VIVO_CAP_LOCAL | VIVO_CAP_WATCH | VIVO_CAP_FILE,
    .lists = 1u << VIVO_LEVEL_NONE,
    .listed = NULL,
    .open = open_pack,
    .close = close_pack,
    .list = list,
    .fetch = fetch,
    .watch = watch,
};
