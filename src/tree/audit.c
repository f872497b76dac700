/* SPDX-License-Identifier: Apache-2.0 */
/* src/tree/audit.c -- who opened which object: the last ones for .vivofs/audit.log,
 * and all of them, a line each, for the file or the syslog of -o audit=. Paths are as
 * shown. */
#include "tree/internal.h"

#include <fcntl.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define AUDIT_LAST 1024

struct opened {
    int64_t time; /* Unix seconds */
    uid_t uid;
    pid_t pid;
    uint32_t archive;
    vivo_row row;
    uint64_t bytes;
};

struct audit {
    pthread_mutex_t mutex;
    struct opened ring[AUDIT_LAST]; /* guarded by mutex, as below */
    uint64_t count;
    int fd; /* of audit=FILE; -1 = none */
    bool to_syslog;
};

int audit_new(const char *to, struct audit **out, struct vivo_err *err)
{
    struct audit *a = calloc(1, sizeof *a);

    if (!a)
        return vivo_fail(err, ENOMEM, "no memory for the audit log");
    pthread_mutex_init(&a->mutex, NULL);
    a->fd = -1;
    a->to_syslog = to && strcmp(to, "syslog") == 0;
    if (to && *to && !a->to_syslog) {
        a->fd = open(to, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (a->fd < 0) {
            int rc = vivo_fail(err, errno == EACCES ? EACCES : EIO, "audit file %s: %s",
                               to, strerror(errno));
            audit_free(a);
            return rc;
        }
    }
    *out = a;
    return 0;
}

void audit_free(struct audit *a)
{
    if (!a)
        return;
    if (a->fd >= 0)
        close(a->fd);
    pthread_mutex_destroy(&a->mutex);
    free(a);
}

static void keep(struct audit *a, const struct opened *o)
{
    pthread_mutex_lock(&a->mutex);
    a->ring[a->count++ % AUDIT_LAST] = *o;
    pthread_mutex_unlock(&a->mutex);
}

/* Rows are of an object or of an extra, never of both. */
static int path_of(struct vivo_tree *t, const struct opened *o, struct vivo_buf *out)
{
    struct vivo_catalog *c = vivo_flow_catalog(t->flows[o->archive]);
    struct vivo_err err = {0};
    int rc = vivo_catalog_path(c, VIVO_LEVEL_INSTANCE, o->row, out, &err);

    return rc == -ENOENT ? vivo_catalog_extra_path(c, o->row, out, &err) : rc;
}

static int add(struct vivo_tree *t, const struct opened *o, struct vivo_buf *out)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf path = {0};
    time_t when = (time_t)o->time;
    struct tm tm;
    char stamp[32];
    char prefix[130];

    vivo_buf_init(&path, 16384);
    if (path_of(t, o, &path)) {
        vivo_buf_clear(&path);
        vivo_buf_printf(&path, "#%lld", (long long)o->row);
    }
    gmtime_r(&when, &tm);
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", &tm);
    return vivo_buf_printf(out, "%s uid=%u pid=%d bytes=%llu %s%s\n", stamp,
                           (unsigned)o->uid, (int)o->pid, (unsigned long long)o->bytes,
                           walk_prefix(t, o->archive, prefix),
                           path.data ? (const char *)path.data : "");
}

/* One write of a whole line, so that two mounts may share a file. */
static int tell(struct vivo_tree *t, const struct opened *o, struct vivo_err *err)
{
    struct audit *a = t->audit;
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf line = {0};

    vivo_buf_init(&line, 20480);
    if (add(t, o, &line))
        return vivo_fail(err, ENOMEM, "no memory for the audit log");
    if (a->to_syslog)
        syslog(LOG_AUTHPRIV | LOG_INFO, "open %.*s", (int)line.len - 1,
               (const char *)line.data);
    if (a->fd >= 0 && write(a->fd, line.data, line.len) != (ssize_t)line.len)
        return vivo_fail(err, EIO,
                         "the audit file cannot be written, so nothing is opened");
    return 0;
}

int audit_open(struct vivo_tree *t, uid_t uid, pid_t pid, uint32_t archive,
               vivo_row row, uint64_t bytes, struct vivo_err *err)
{
    struct opened o = {.time = (int64_t)time(NULL),
                       .uid = uid,
                       .pid = pid,
                       .archive = archive,
                       .row = row,
                       .bytes = bytes};

    keep(t->audit, &o);
    return t->audit->to_syslog || t->audit->fd >= 0 ? tell(t, &o, err) : 0;
}

int audit_text(struct vivo_tree *t, struct vivo_buf *out, struct vivo_err *err)
{
    struct audit *a = t->audit;
    struct opened *copy = malloc(sizeof a->ring);
    uint64_t count;
    uint64_t first;
    int rc = 0;

    if (!copy)
        return vivo_fail(err, ENOMEM, "no memory for the audit log");
    /* Paths come from the catalog, which is not asked under the lock. */
    pthread_mutex_lock(&a->mutex);
    count = a->count;
    for (size_t i = 0; i < AUDIT_LAST; i++)
        copy[i] = a->ring[i];
    pthread_mutex_unlock(&a->mutex);
    first = count > AUDIT_LAST ? count - AUDIT_LAST : 0;
    for (uint64_t i = first; i < count && !rc; i++)
        rc = add(t, &copy[i % AUDIT_LAST], out);
    free(copy);
    return rc ? vivo_fail(err, ENOMEM, "no memory for the audit log") : 0;
}
