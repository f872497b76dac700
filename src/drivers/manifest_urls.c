/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/manifest_urls.c -- a URL an object: plain lists, aria2's input files,
 * s5cmd run files, a column of a table. A URL says nothing of what it holds, so each
 * object's header is asked for by ranges, several at once. "s3://bucket/prefix/ *" is
 * listed by the s3 driver. */
#include "drivers/crew.h"
#include "drivers/header_range.h"
#include "drivers/manifest.h"
#include "vivofs/dcm.h"
#include "vivofs/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#define THREADS 16
#define TASKS_BYTES ((size_t)512 << 20)

struct urls {
    struct manifest *m;
    struct manifest_text *text;
    struct vivo_intake *in;
    size_t bad, first_bad; /* lines that name nothing; of who reads the text */
    atomic_uint_least64_t missing, locked;
};

/* ---- one object
 * -------------------------------------------------------------------- */

/* What is not there any more, or not for us, is shown as an object that does not open;
 * a store that may not be listed says 403 of both. */
static int miss(struct urls *u, const char *url, int rc, struct vivo_op *op)
{
    atomic_fetch_add(rc == -ENOENT ? &u->missing : &u->locked, 1);
    vivo_err_clear(&op->err);
    return vivo_manifest_unknown(u->in, "", url, op);
}

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
    const struct vivo_net_request rq = {.url = at, .what = "an object"};
    struct vivo_ranged_header h;
    int rc;

    if (!u->m->base.net)
        return vivo_fail(&op->err, EIO, "no network for a manifest's URL");
    rc = vivo_header_range(&u->m->base, &rq, &h, op);
    if (rc == -ENOENT || (rc == -EACCES && h.reply.status == 403)) {
        rc = miss(u, url, rc, op);
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

    if (fd < 0 && (errno == ENOENT || errno == EACCES))
        return miss(u, url, errno == ENOENT ? -ENOENT : -EACCES, op);
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
    int rc;

    if (u->m->endpoint) {
        snprintf(source, sizeof source, "s3+%s/%s", u->m->endpoint, url + 5);
        snprintf(home, sizeof home, "s3+%s/%.*s", u->m->endpoint, bucket, url + 5);
    } else {
        snprintf(source, sizeof source, "%s", url);
        snprintf(home, sizeof home, "%.*s", bucket + 5, url);
    }
    rc = vivo_manifest_pass_on(u->m, source, home, u->in, op);
    return rc == -ENOENT || rc == -EACCES ? miss(u, url, rc, op) : rc;
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
    bool begun;
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

static int note_bad(struct urls *u)
{
    char locator[40];

    if (u->bad++ == 0)
        u->first_bad = u->text->number;
    snprintf(locator, sizeof locator, "?line %zu", u->text->number);
    u->in->other(u->in, locator, NULL);
    return 0;
}

/* Of "cp --flags 's3://bucket/key' to" the first word that is a URL of a bucket. */
static int take_word(struct vivo_crew *crew, struct urls *u, struct pending *p,
                     const char *s, struct vivo_err *err)
{
    size_t n = 0;
    const char *url =
        vivo_manifest_find_url(s, u->m->kind == MANIFEST_S5CMD ? "s3://" : "", &n);
    int rc = flush(crew, p, err);

    if (rc < 0)
        return rc;
    if (!url || n >= sizeof p->url)
        return note_bad(u);
    memcpy(p->url, url, n);
    p->url[n] = '\0';
    return 0;
}

/* aria2's options stand below their URL. */
static bool is_option(const struct urls *u, const char *s)
{
    size_t n = strcspn(s, "= \t\"':");

    return u->m->kind == MANIFEST_URLS && n > 0 && s[n] == '=';
}

/* "study_manifest_cp_command" above the first command, "SeriesUrl" above URLs. */
static bool is_heading(const struct urls *u, const struct pending *p, const char *s)
{
    return !p->begun && u->bad == 0 && !strpbrk(s, " /:.,\"'");
}

static int take_line(struct vivo_crew *crew, struct urls *u, struct pending *p,
                     const char *s, struct vivo_err *err)
{
    if (!*s || *s == '#' || is_heading(u, p, s))
        return 0;
    p->begun = true;
    if (!is_option(u, s))
        return take_word(crew, u, p, s, err);
    if (!strncasecmp(s, "checksum=sha-256=", 17) && strlen(s + 17) == 64)
        memcpy(p->sha256, s + 17, 65);
    return 0;
}

/* A row a URL, "s3://bucket/series/ *" of IDC's tables or a picture's own. */
static int read_links(struct vivo_crew *crew, struct urls *u, struct pending *p,
                      struct vivo_op *op)
{
    static const char *const names[] = {"SeriesUrl", "Url", "ImageUrl"};
    int at = -1, rc = 1;

    for (size_t i = 0; at < 0 && i < VIVO_ARRAY_LEN(names); i++)
        at = vivo_manifest_read_head(u->text, names[i]);
    if (at < 0)
        return vivo_fail(&op->err, EBADMSG, "the manifest has no column of URLs");
    while (rc == 1 && (rc = vivo_manifest_record(u->text, &op->err)) == 1) {
        const char *url = (size_t)at < u->text->nfields ? u->text->fields[at] : "";
        if (!vivo_manifest_is_empty(u->text))
            rc = take_word(crew, u, p, url, &op->err) < 0 ? -op->err.errnum : 1;
    }
    return rc;
}

static int read_all(struct vivo_crew *crew, struct urls *u, struct vivo_op *op)
{
    struct pending *p = calloc(1, sizeof *p);
    char *s;
    int rc = p ? 1 : vivo_fail(&op->err, ENOMEM, "no memory to read a manifest");

    if (rc == 1 && u->m->kind == MANIFEST_LINKS)
        rc = read_links(crew, u, p, op);
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

static void log_left_out(struct urls *u)
{
    uint64_t missing = atomic_load(&u->missing), locked = atomic_load(&u->locked);

    if (missing + locked)
        vivo_log(
            VIVO_LOG_WARN, "drivers.manifest",
            "%" PRIu64 " URLs of the manifest lead nowhere, %" PRIu64
            " to what this account may not read: shown as objects that do not open",
            missing, locked);
    if (u->bad)
        vivo_log(
            VIVO_LOG_WARN, "drivers.manifest",
            "%zu lines of the manifest name no URL, the first is line %zu: left out",
            u->bad, u->first_bad);
}

int vivo_manifest_list_urls(struct manifest *m, struct manifest_text *t,
                            struct vivo_intake *in, struct vivo_op *op)
{
    struct urls u = {.m = m, .text = t, .in = in};
    int rc = vivo_crew_run(THREADS, TASKS_BYTES, work, &u, "\n", op);

    if (rc == 0)
        log_left_out(&u);
    return rc;
}

/* ---- where buckets are
 * ---------------------------------------------------------------- */

#define AMAZON "https://s3.amazonaws.com"
#define HEAD_LINES 200

/* "# s5cmd --no-sign-request --endpoint-url https://storage.googleapis.com run FILE" is
 * what exports say above their copies, "--endpoint-url=URL" of a copy. */
int vivo_manifest_endpoint(const char *path, char out[MANIFEST_URL_MAX],
                           struct vivo_err *err)
{
    static const char option[] = "--endpoint-url";
    struct manifest_text t;
    char *s;
    int rc = vivo_manifest_text_open(path, &t, err);

    out[0] = '\0';
    for (int i = 0; rc >= 0 && i < HEAD_LINES && !out[0]; i++) {
        size_t n = 0;
        rc = vivo_manifest_line(&t, &s, err);
        if (rc != 1)
            break;
        const char *at = strstr(s, option);
        const char *url =
            at ? vivo_manifest_find_url(at + sizeof option - 1, "http", &n) : NULL;
        while (url && n > 0 && url[n - 1] == '/')
            n--;
        if (url && n < MANIFEST_URL_MAX && !memchr(url, '@', n))
            snprintf(out, MANIFEST_URL_MAX, "%.*s", (int)n, url);
    }
    vivo_manifest_text_close(&t);
    if (strcmp(out, AMAZON) == 0)
        out[0] = '\0'; /* where they are anyhow */
    return rc < 0 ? rc : 0;
}
