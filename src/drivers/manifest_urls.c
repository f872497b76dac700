/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/manifest_urls.c -- a URL an object: plain lists, aria2's input files,
 * s5cmd run files. A URL says nothing of what it holds, so each object's header is
 * asked for by ranges, several at once. "s3://bucket/prefix/ *" is listed by the s3
 * driver. */
#include "drivers/crew.h"
#include "drivers/header_range.h"
#include "drivers/manifest.h"
#include "vivofs/dcm.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#define THREADS 16
#define TASKS_BYTES ((size_t)512 << 20)

struct urls {
    struct manifest *m;
    struct manifest_text *text;
    struct vivo_intake *in;
};

/* ---- one object
 * -------------------------------------------------------------------- */

static int emit(struct vivo_crew *crew, struct urls *u, const char *url,
                const char *sha256, struct vivo_attrs attrs, uint64_t size,
                const char *version, struct vivo_err *err)
{
    char uid[VIVO_UID_MAX + 1], locator[MANIFEST_LOCATOR_MAX];
    struct vivo_record rec = {.level = VIVO_LEVEL_INSTANCE,
                              .locator = locator,
                              .size = size,
                              .version = version && *version ? version : NULL,
                              .attrs = attrs,
                              .headers = true};
    int rc;

    vivo_attrs_text(attrs, VIVO_TAG_SOPInstanceUID, uid, sizeof uid);
    if (!vivo_manifest_uid_ok(uid)) {
        u->in->other(u->in, url, NULL);
        return 0;
    }
    rc = vivo_manifest_locator(url, uid, "", sha256, "", locator, err);
    return rc < 0 ? rc : vivo_crew_record(crew, u->in, &rec, err);
}

static int take_http(struct vivo_crew *crew, struct urls *u, const char *url,
                     const char *at, const char *sha256, struct vivo_op *op)
{
    const struct vivo_net_request rq = {.url = at};
    struct vivo_ranged_header h;
    int rc;

    if (!u->m->base.net)
        return vivo_fail(&op->err, EIO, "no network for a manifest's URL");
    rc = vivo_header_range(&u->m->base, &rq, &h, op);
    if (rc == -ENOENT) {
        vivo_err_clear(&op->err);
        rc = vivo_manifest_unknown(u->in, "", url, op);
    } else if (rc == 0 && !h.object) {
        u->in->other(u->in, url, NULL);
    } else if (rc == 0) {
        const char *version = h.reply.etag[0] ? h.reply.etag : h.reply.modified;
        rc = emit(crew, u, url, sha256, (struct vivo_attrs){h.attrs.data, h.attrs.len},
                  h.size, version, &op->err);
    }
    vivo_ranged_header_free(&h);
    return rc;
}

static int take_file(struct vivo_crew *crew, struct urls *u, const char *url,
                     const char *sha256, struct vivo_op *op)
{
    VIVO_AUTO(vivo_close_p) int fd = open(url + 7, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf attrs = {0};
    struct vivo_fd_reader reader;
    struct stat st;

    if (fd < 0 && errno == ENOENT)
        return vivo_manifest_unknown(u->in, "", url, op);
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return vivo_fail(&op->err, EIO, "a file that the manifest names: %s",
                         fd < 0 ? strerror(errno) : "no regular file");
    vivo_buf_init(&attrs, VIVO_ATTRS_MAX);
    vivo_fd_reader_init(&reader, fd, (uint64_t)st.st_size);
    if (vivo_dcm_attrs(&reader.base, NULL, 0, &attrs, NULL) < 0) {
        u->in->other(u->in, url, NULL);
        return 0;
    }
    return emit(crew, u, url, sha256, (struct vivo_attrs){attrs.data, attrs.len},
                (uint64_t)st.st_size, NULL, &op->err);
}

/* "s3://bucket/prefix" and all below it, by the driver of buckets. */
static int take_prefix(struct urls *u, const char *url, struct vivo_op *op)
{
    char source[2 * MANIFEST_URL_MAX], home[2 * MANIFEST_URL_MAX];
    int bucket = (int)strcspn(url + 5, "/");

    if (u->m->endpoint) {
        snprintf(source, sizeof source, "s3+%s/%s", u->m->endpoint, url + 5);
        snprintf(home, sizeof home, "s3+%s/%.*s", u->m->endpoint, bucket, url + 5);
    } else {
        snprintf(source, sizeof source, "%s", url);
        snprintf(home, sizeof home, "%.*s", bucket + 5, url);
    }
    return vivo_manifest_pass_on(u->m, source, home, u->in, op);
}

static int take_url(struct vivo_crew *crew, struct urls *u, char *task,
                    struct vivo_op *op)
{
    char at[MANIFEST_URL_MAX];
    char *sha256 = strchr(task, '\t');
    size_t len;

    if (sha256)
        *sha256++ = '\0';
    len = strlen(task);
    if (!strncmp(task, "file://", 7))
        return take_file(crew, u, task, sha256 ? sha256 : "", op);
    if (len > 1 && !strncmp(task, "s3://", 5) &&
        (task[len - 1] == '*' || task[len - 1] == '/')) {
        if (task[len - 2] == '/' && task[len - 1] == '*')
            task[len - 1] = '\0'; /* the whole folder */
        return take_prefix(u, task, op);
    }
    if (!vivo_manifest_http_url(u->m, task, at))
        return vivo_fail(&op->err, EBADMSG,
                         "the manifest names a URL of no known kind");
    return take_http(crew, u, task, at, sha256 ? sha256 : "", op);
}

/* ---- the lines
 * --------------------------------------------------------------------- */

struct pending { /* a URL waits for the options below it */
    char url[MANIFEST_URL_MAX];
    char sha256[65];
};

static int flush(struct vivo_crew *crew, struct pending *p, struct vivo_err *err)
{
    char task[MANIFEST_URL_MAX + 80];

    if (!p->url[0])
        return 0;
    snprintf(task, sizeof task, "%s\t%s", p->url, p->sha256);
    p->url[0] = p->sha256[0] = '\0';
    return vivo_crew_add(crew, task, err);
}

/* "cp --flags 's3://bucket/key' to": the first word that is a URL. */
static bool source_of_copy(const char *s, char out[MANIFEST_URL_MAX])
{
    const char *url = strstr(s, "s3://");
    size_t n = url ? strcspn(url, "'\" \t") : 0;

    if (strncmp(s, "cp ", 3) != 0 || n == 0 || n >= MANIFEST_URL_MAX)
        return false;
    memcpy(out, url, n);
    out[n] = '\0';
    return true;
}

static bool is_url(const char *s)
{
    return !strncmp(s, "http://", 7) || !strncmp(s, "https://", 8) ||
           !strncmp(s, "s3://", 5) || !strncmp(s, "file:///", 8);
}

static int take_line(struct vivo_crew *crew, struct urls *u, struct pending *p,
                     const char *s, struct vivo_err *err)
{
    int rc;

    if (!*s || *s == '#')
        return 0;
    if (u->m->kind == MANIFEST_S5CMD || is_url(s)) {
        rc = flush(crew, p, err);
        if (rc < 0)
            return rc;
        if (u->m->kind == MANIFEST_S5CMD && !source_of_copy(s, p->url))
            return vivo_fail(err, EBADMSG,
                             "the manifest: line %zu is no copy out of a bucket",
                             u->text->number);
        if (u->m->kind != MANIFEST_S5CMD) { /* aria2: mirrors behind tabs */
            size_t n = strcspn(s, "\t");
            if (n >= sizeof p->url)
                return vivo_fail(err, EBADMSG, "the manifest: line %zu is too long",
                                 u->text->number);
            memcpy(p->url, s, n);
            p->url[n] = '\0';
        }
        return 0;
    }
    if (!strncasecmp(s, "checksum=sha-256=", 17) && strlen(s + 17) == 64)
        memcpy(p->sha256, s + 17, 65);
    return 0;
}

static int read_all(struct vivo_crew *crew, struct urls *u, struct vivo_op *op)
{
    struct pending *p = calloc(1, sizeof *p);
    char *s;
    int rc = p ? 1 : vivo_fail(&op->err, ENOMEM, "no memory to read a manifest");

    while (rc == 1 && (rc = vivo_manifest_line(u->text, &s, &op->err)) == 1)
        rc = take_line(crew, u, p, s, &op->err) < 0 ? -op->err.errnum : 1;
    if (rc == 0)
        rc = flush(crew, p, &op->err);
    free(p);
    return rc;
}

/* The first task, which is no URL, makes the others. */
static int work(struct vivo_crew *crew, void *ctx, const char *task, struct vivo_op *op)
{
    struct urls *u = ctx;
    char *copy;
    int rc;

    if (*task == '\n')
        return read_all(crew, u, op);
    copy = strdup(task);
    rc = copy ? take_url(crew, u, copy, op)
              : vivo_fail(&op->err, ENOMEM, "no memory to read a manifest");
    free(copy);
    return rc;
}

int vivo_manifest_list_urls(struct manifest *m, struct manifest_text *t,
                            struct vivo_intake *in, struct vivo_op *op)
{
    struct urls u = {m, t, in};

    return vivo_crew_run(THREADS, TASKS_BYTES, work, &u, "\n", op);
}
