/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/http.c -- archive = a web folder: files, and index pages that list them.
 *
 * URL:      http(s)://HOST[:PORT]/FOLDER/, or .../index.html where each folder is told
 *           by a page of that name
 * Lists:    top = everything: index pages folder by folder, and of each file that is
 *           not known the header, by ranges
 * Locator:  path relative to the folder, decoded
 * Source:   RFC 9110; index pages as nginx, httpd, lighttpd, caddy and Python write
 *           them, from their sources of 2025. Quirks: http.md. */
#include "crawl.h"
#include "http_index.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define INDEX_BYTES (64u << 20)
#define SOURCE_MAX 2000
#define PAGE_MAX 64

struct http {
    struct vivo_archive base;
    struct vivo_crawl crawl;
    pthread_mutex_t mutex;       /* guards url */
    char url[SOURCE_MAX + 2];    /* of the folder, ends in '/' */
    char origin[SOURCE_MAX + 2]; /* "https://host:port" of it */
    char page[PAGE_MAX];         /* "index.html", or "" */
    char *bearer;                /* or NULL */
};

/* Nothing but the bytes of the file; caches on the way may still do as they like. */
static const char *const file_headers[] = {"Accept-Encoding: identity", NULL};

static struct http *http_of(struct vivo_archive *a)
{
    return (struct http *)a; /* first member */
}

/* ---- open, close ---------------------------------------------------------------- */

static void close_http(struct vivo_archive *self)
{
    struct http *h = http_of(self);
    if (h->bearer)
        explicit_bzero(h->bearer, strlen(h->bearer));
    free(h->bearer);
    pthread_mutex_destroy(&h->mutex);
    free(h);
}

static int check_url(const char *source, struct vivo_err *err)
{
    const char *host = strstr(source, "://") + 3;
    size_t host_len = strcspn(host, "/?#");
    if (memchr(host, '@', host_len))
        return vivo_fail(err, EINVAL,
                         "a user name or password inside a URL is refused: "
                         "use netrc=FILE or bearer=FILE");
    if (host_len == 0)
        return vivo_fail(err, EINVAL, "the URL names no host");
    if (strpbrk(source, "?#"))
        return vivo_fail(err, EINVAL,
                         "the URL of a web folder has no query and no fragment");
    for (const char *s = source; *s; s++)
        if ((unsigned char)*s <= ' ' || *s == 0x7F)
            return vivo_fail(err, EINVAL, "the URL holds a space or control character");
    if (strlen(source) > SOURCE_MAX)
        return vivo_fail(err, EINVAL, "the URL is longer than %d bytes", SOURCE_MAX);
    return 0;
}

static bool ends_in(const char *s, const char *end)
{
    size_t n = strlen(s);
    size_t e = strlen(end);
    return n >= e && strcasecmp(s + n - e, end) == 0;
}

/* "…/index.html" is a page in the folder; anything else is the folder. */
static void split_page(struct http *h)
{
    char *slash = strrchr(h->url, '/');
    if ((ends_in(slash, ".html") || ends_in(slash, ".htm")) &&
        strlen(slash + 1) < sizeof h->page) {
        snprintf(h->page, sizeof h->page, "%s", slash + 1);
        slash[1] = '\0';
    }
}

static int read_source(struct http *h, const char *source, struct vivo_err *err)
{
    int rc = check_url(source, err);
    if (rc)
        return rc;
    size_t host = (size_t)(strstr(source, "://") + 3 - source);
    size_t end = host + strcspn(source + host, "/");
    snprintf(h->url, sizeof h->url, "%s%s", source, source[end] ? "" : "/");
    split_page(h);
    if (h->url[strlen(h->url) - 1] != '/')
        memcpy(h->url + strlen(h->url), "/", 2);
    memcpy(h->origin, h->url, end);
    h->origin[end] = '\0';
    char decoded[SOURCE_MAX + 2];
    long n = vivo_crawl_decode(h->url + end, strlen(h->url + end), decoded);
    if (n < 0 || memchr(decoded, '\0', (size_t)n))
        return vivo_fail(err, EINVAL, "the URL is not well encoded");
    return 0;
}

/* ---- folders -------------------------------------------------------------------- */

struct reading {
    struct http *http;
    struct vivo_crawl_folder *into; /* NULL: only a look */
};

static int take_entry(void *ctx, const char *name, size_t len, bool folder,
                      const char *stamp, struct vivo_err *err)
{
    const struct reading *r = ctx;
    if (!r->into)
        return 0;
    return vivo_crawl_entry(r->into, name, len, folder, stamp, VIVO_SIZE_UNKNOWN, err);
}

/* The folder that an index page stands in, wherever the server has led us: its links
 * are relative to that. */
struct standing {
    char origin[VIVO_CRAWL_URL_MAX], folder[VIVO_CRAWL_URL_MAX];
    char path[VIVO_CRAWL_URL_MAX]; /* of the page, encoded */
};

static int find_standing(const char *url, struct standing *at, struct vivo_err *err)
{
    const char *host = strstr(url, "://");
    size_t end = host ? (size_t)(host - url) + 3 + strcspn(host + 3, "/?#") : 0;
    size_t len = strcspn(url + end, "?#");
    snprintf(at->path, sizeof at->path, "%.*s", (int)len, url + end);
    while (len > 0 && url[end + len - 1] != '/')
        len--; /* a page in it */
    snprintf(at->origin, sizeof at->origin, "%.*s", (int)end, url);
    long n = vivo_crawl_decode_link(url + end, len, at->folder);
    if (n <= 0 || memchr(at->folder, '\0', (size_t)n))
        return vivo_fail(err, EIO, "the server leads to a URL that is none");
    at->folder[n] = '\0';
    return 0;
}

/* Files lie where the top of the source lies. On another host they are asked for here,
 * and led there one by one, without our credentials. */
static void follow_top(struct http *h, const char *landed)
{
    size_t n = strlen(h->origin);
    size_t len = strcspn(landed, "?#");
    while (len > 0 && landed[len - 1] != '/')
        len--;
    if (strncmp(landed, h->origin, n) != 0 || landed[n] != '/' || len > SOURCE_MAX)
        return;
    pthread_mutex_lock(&h->mutex);
    snprintf(h->url, sizeof h->url, "%.*s", (int)len, landed);
    pthread_mutex_unlock(&h->mutex);
}

static int url_of(struct http *h, const char *path, const char *tail,
                  char url[VIVO_CRAWL_URL_MAX], struct vivo_err *err)
{
    pthread_mutex_lock(&h->mutex);
    int rc = vivo_crawl_url(h->url, path, tail, url, err);
    pthread_mutex_unlock(&h->mutex);
    return rc;
}

static int read_index(struct http *h, const char *url,
                      const struct vivo_net_reply *reply, const struct vivo_buf *body,
                      struct vivo_crawl_folder *into, struct vivo_err *err)
{
    struct reading r = {h, into};
    VIVO_AUTO(vivo_free_p) struct standing *at = malloc(sizeof *at);
    if (!at)
        return vivo_fail(err, ENOMEM, "index page: out of memory");
    int rc = find_standing(url, at, err);
    if (rc)
        return rc;
    const struct vivo_http_index x = {.origin = at->origin,
                                      .folder = at->folder,
                                      .path = at->path,
                                      .page = h->page,
                                      .entry = take_entry,
                                      .ctx = &r};
    if (reply->encoded)
        return vivo_fail(err, EIO, "the server sends its index compressed, unasked");
    return vivo_http_index_read(&x, body->data ? (const char *)body->data : "",
                                body->len, !reply->by_close, err);
}

static int ask_folder(struct http *h, const char *path, enum vivo_crawl_flaw *flaw,
                      struct vivo_crawl_folder *into, struct vivo_op *op)
{
    struct vivo_buf_sink sink;
    struct vivo_net_reply reply = {0};
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf body = {0};
    VIVO_AUTO(vivo_free_p) char *url = malloc(VIVO_CRAWL_URL_MAX);
    VIVO_AUTO(vivo_free_p) char *landed = malloc(VIVO_CRAWL_URL_MAX);
    if (!url || !landed)
        return vivo_fail(&op->err, ENOMEM, "index page: out of memory");
    int rc = url_of(h, path, h->page, url, &op->err);
    if (rc)
        return rc;
    const struct vivo_net_request rq = {
        .url = url,
        .what = "a folder",
        /* Caddy and lighttpd can say it in JSON, with exact sizes and times. */
        .accept = "application/json, text/html;q=0.9, */*;q=0.1",
        .bearer = h->bearer,
        .max_bytes = INDEX_BYTES,
        .landed = landed,
        .landed_cap = VIVO_CRAWL_URL_MAX,
        .close_ends = true, /* HTML tells where it ends */
    };
    vivo_buf_init(&body, INDEX_BYTES);
    vivo_buf_sink_init(&sink, &body);
    atomic_fetch_add(&h->base.requests, 1);
    rc = vivo_net_fetch(h->base.net, &rq, &sink.base, &reply, op);
    atomic_fetch_add(&h->base.bytes, reply.received);
    if (rc == -ENOENT || (rc == -EACCES && reply.status == 403))
        *flaw = VIVO_CRAWL_UNREADABLE;
    if (rc == 0) {
        if (landed[0] && !path[0])
            follow_top(h, landed);
        rc = read_index(h, landed[0] ? landed : url, &reply, &body, into, &op->err);
        *flaw = rc == -EBADMSG ? VIVO_CRAWL_PAGE : VIVO_CRAWL_FAILED;
    }
    if (rc == -EACCES && reply.status == 401)
        return vivo_fail_in(&op->err, "needs a login (netrc=FILE or bearer=FILE)");
    return rc;
}

static int read_folder(struct vivo_crawl *self, const char *path,
                       enum vivo_crawl_flaw *flaw, struct vivo_crawl_folder *into,
                       struct vivo_op *op)
{
    return ask_folder(http_of(self->archive), path, flaw, into, op);
}

static int make_request(struct vivo_crawl *self, const char *path,
                        char url[VIVO_CRAWL_URL_MAX], struct vivo_net_request *rq,
                        struct vivo_err *err)
{
    struct http *h = http_of(self->archive);
    *rq = (struct vivo_net_request){
        .url = url, .what = "a file", .headers = file_headers, .bearer = h->bearer};
    return url_of(h, path, "", url, err);
}

/* ---- the callbacks -------------------------------------------------------------- */

static int open_http(const struct vivo_archive_config *cfg, struct vivo_archive **out,
                     struct vivo_err *err)
{
    if (!cfg->net)
        return vivo_fail(err, EINVAL, "http: needs the network");
    struct http *h = calloc(1, sizeof *h);
    if (!h)
        return vivo_fail(err, ENOMEM, "http: out of memory");
    pthread_mutex_init(&h->mutex, NULL);
    h->base.net = cfg->net;
    h->crawl = (struct vivo_crawl){.archive = &h->base,
                                   .name = "http",
                                   .threads = cfg->jobs,
                                   .sized = true,
                                   .folder = read_folder,
                                   .request = make_request};
    h->bearer = cfg->bearer ? strdup(cfg->bearer) : NULL;
    int rc = read_source(h, cfg->source, err);
    if (rc == 0 && cfg->bearer && !h->bearer)
        rc = vivo_fail(err, ENOMEM, "http: out of memory");
    if (rc) {
        close_http(&h->base);
        return rc;
    }
    *out = &h->base;
    return 0;
}

static int probe(struct vivo_archive *self, struct vivo_op *op)
{
    enum vivo_crawl_flaw flaw = VIVO_CRAWL_FAILED;
    return ask_folder(http_of(self), "", &flaw, NULL, op);
}

static int list(struct vivo_archive *self, enum vivo_level level VIVO_UNUSED,
                const char *parent VIVO_UNUSED, struct vivo_intake *in,
                struct vivo_op *op)
{
    return vivo_crawl_run(&http_of(self)->crawl, in, op);
}

static int fetch(struct vivo_archive *self, const char *locator,
                 struct vivo_delivery *to, struct vivo_op *op)
{
    return vivo_crawl_fetch(&http_of(self)->crawl, locator, to, op);
}

extern const struct vivo_driver vivo_driver_http;
const struct vivo_driver vivo_driver_http = {
    .name = "http",
    .summary = "web folder: files behind index pages",
    .schemes = "http https",
    .caps = VIVO_CAP_SAME_BYTES,
    .lists = 1u << VIVO_LEVEL_NONE,
    .listed = NULL,
    .open = open_http,
    .close = close_http,
    .probe = probe,
    .list = list,
    .fetch = fetch,
};
