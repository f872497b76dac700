/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/ftp.c -- archive = a folder on an FTP server.
 *
 * URL:      ftp(s)://HOST[:PORT]/FOLDER/, relative to where a login leads; %2F at its
 *           beginning for an absolute one
 * Lists:    top = everything: MLSD, else LIST, folder by folder, and of each file that
 *           is not known the header
 * Locator:  path relative to the folder, decoded
 * Source:   RFC 959, RFC 3659, RFC 1738 section 3.2. Quirks: ftp.md. */
#include "crawl.h"
#include "ftp_list.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LIST_BYTES (64u << 20)
#define SOURCE_MAX 2000
#define THREADS 3u /* control connections; the net has its own limit above */

struct ftp {
    struct vivo_archive base;
    struct vivo_crawl crawl;
    char url[SOURCE_MAX + 2]; /* ends in '/' */
    atomic_bool no_mlsd;      /* the server does not know it */
};

static struct ftp *ftp_of(struct vivo_archive *a)
{
    return (struct ftp *)a; /* first member */
}

/* ---- open, close ---------------------------------------------------------------- */

static void close_ftp(struct vivo_archive *self)
{
    free(ftp_of(self));
}

static int read_source(struct ftp *f, const char *source, struct vivo_err *err)
{
    char decoded[SOURCE_MAX + 2];
    size_t len = strlen(source);
    const char *host = strstr(source, "://");
    if (!host || len > SOURCE_MAX)
        return vivo_fail(err, EINVAL, "expected ftp://HOST/FOLDER/, not that long");
    host += 3;
    size_t host_len = strcspn(host, "/?#");
    if (memchr(host, '@', host_len))
        return vivo_fail(err, EINVAL,
                         "a user name or password inside a URL is refused: "
                         "use netrc=FILE");
    if (host_len == 0)
        return vivo_fail(err, EINVAL, "the URL names no host");
    if (strpbrk(source, "?#; \t\r\n"))
        return vivo_fail(err, EINVAL,
                         "the URL of an FTP folder has no query, fragment, type or "
                         "spaces");
    long n = vivo_crawl_decode(source, len, decoded);
    for (long i = 0; i < n; i++)
        if ((unsigned char)decoded[i] < ' ')
            n = -1;
    if (n < 0)
        return vivo_fail(err, EINVAL, "the URL is not well encoded");
    snprintf(f->url, sizeof f->url, "%s%s", source, source[len - 1] == '/' ? "" : "/");
    return 0;
}

/* ---- folders -------------------------------------------------------------------- */

static int take_lines(struct vivo_buf *body, bool mlsd, struct vivo_crawl_folder *into,
                      struct vivo_err *err)
{
    const char *s = body->data ? (const char *)body->data : "";
    const char *end = s + body->len;
    while (s < end) {
        struct vivo_ftp_entry e;
        const char *stop = memchr(s, '\n', (size_t)(end - s));
        const char *next = stop ? stop + 1 : end;
        size_t len = (size_t)((stop ? stop : end) - s);
        len -= len > 0 && s[len - 1] == '\r';
        bool good = mlsd ? vivo_ftp_mlsd(s, len, &e) : vivo_ftp_list(s, len, &e);
        s = next;
        if (len == 0 || (good && e.skip))
            continue;
        if (!good)
            return vivo_fail(err, EBADMSG, "a line of a listing is not understood");
        uint64_t size = e.sized ? e.size : VIVO_SIZE_UNKNOWN;
        int rc =
            into ? vivo_crawl_entry(into, e.name, e.len, e.folder, e.stamp, size, err)
                 : 0;
        if (rc)
            return rc;
    }
    return 0;
}

static int ask_folder(struct ftp *f, const char *url, bool mlsd, struct vivo_buf *body,
                      struct vivo_net_reply *reply, struct vivo_op *op)
{
    struct vivo_buf_sink sink;
    const struct vivo_net_request rq = {.url = url,
                                        .what = "a folder",
                                        .ftp = true,
                                        .method = mlsd ? "MLSD" : "LIST",
                                        .max_bytes = LIST_BYTES};
    vivo_buf_clear(body);
    vivo_buf_sink_init(&sink, body);
    atomic_fetch_add(&f->base.requests, 1);
    int rc = vivo_net_fetch(f->base.net, &rq, &sink.base, reply, op);
    atomic_fetch_add(&f->base.bytes, reply->received);
    return rc;
}

static int list_folder(struct ftp *f, const char *path, enum vivo_crawl_flaw *flaw,
                       struct vivo_crawl_folder *into, struct vivo_op *op)
{
    struct vivo_net_reply reply = {0};
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf body = {0};
    VIVO_AUTO(vivo_free_p) char *url = malloc(VIVO_CRAWL_URL_MAX);
    if (!url)
        return vivo_fail(&op->err, ENOMEM, "listing: out of memory");
    int rc = vivo_crawl_url(f->url, path, "", url, &op->err);
    if (rc)
        return rc;
    vivo_buf_init(&body, LIST_BYTES);
    bool mlsd = !atomic_load(&f->no_mlsd);
    rc = ask_folder(f, url, mlsd, &body, &reply, op);
    if (rc && mlsd && reply.status == 501) {
        vivo_err_clear(&op->err);
        atomic_store(&f->no_mlsd, true);
        mlsd = false;
        rc = ask_folder(f, url, mlsd, &body, &reply, op);
    }
    if (rc == -ENOENT || (rc == -EACCES && reply.status == 403))
        *flaw = VIVO_CRAWL_UNREADABLE;
    if (rc == -EACCES && reply.status == 401)
        return vivo_fail_in(&op->err, "needs a login (netrc=FILE)");
    return rc ? rc : take_lines(&body, mlsd, into, &op->err);
}

static int read_folder(struct vivo_crawl *self, const char *path,
                       enum vivo_crawl_flaw *flaw, struct vivo_crawl_folder *into,
                       struct vivo_op *op)
{
    return list_folder(ftp_of(self->archive), path, flaw, into, op);
}

static int make_request(struct vivo_crawl *self, const char *path,
                        char url[VIVO_CRAWL_URL_MAX], struct vivo_net_request *rq,
                        struct vivo_err *err)
{
    *rq = (struct vivo_net_request){.url = url, .what = "a file", .ftp = true};
    return vivo_crawl_url(ftp_of(self->archive)->url, path, "", url, err);
}

/* ---- the callbacks -------------------------------------------------------------- */

static int open_ftp(const struct vivo_archive_config *cfg, struct vivo_archive **out,
                    struct vivo_err *err)
{
    if (!cfg->net)
        return vivo_fail(err, EINVAL, "ftp: needs the network");
    struct ftp *f = calloc(1, sizeof *f);
    if (!f)
        return vivo_fail(err, ENOMEM, "ftp: out of memory");
    f->base.net = cfg->net;
    f->crawl = (struct vivo_crawl){.archive = &f->base,
                                   .name = "ftp",
                                   .threads = cfg->jobs ? VIVO_MIN(cfg->jobs, THREADS)
                                                        : THREADS,
                                   .folder = read_folder,
                                   .request = make_request};
    int rc = read_source(f, cfg->source, err);
    if (rc) {
        close_ftp(&f->base);
        return rc;
    }
    *out = &f->base;
    return 0;
}

static int probe(struct vivo_archive *self, struct vivo_op *op)
{
    enum vivo_crawl_flaw flaw = VIVO_CRAWL_FAILED;
    return list_folder(ftp_of(self), "", &flaw, NULL, op);
}

static int list(struct vivo_archive *self, enum vivo_level level VIVO_UNUSED,
                const char *parent VIVO_UNUSED, struct vivo_intake *in,
                struct vivo_op *op)
{
    return vivo_crawl_run(&ftp_of(self)->crawl, in, op);
}

static int fetch(struct vivo_archive *self, const char *locator,
                 struct vivo_delivery *to, struct vivo_op *op)
{
    return vivo_crawl_fetch(&ftp_of(self)->crawl, locator, to, op);
}

extern const struct vivo_driver vivo_driver_ftp;
const struct vivo_driver vivo_driver_ftp = {
    .name = "ftp",
    .summary = "folder on an FTP server",
    .schemes = "ftp ftps",
    .caps = VIVO_CAP_SAME_BYTES,
    .lists = 1u << VIVO_LEVEL_NONE,
    .listed = NULL,
    .open = open_ftp,
    .close = close_ftp,
    .probe = probe,
    .list = list,
    .fetch = fetch,
};
