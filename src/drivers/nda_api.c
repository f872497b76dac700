/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/nda_api.c -- the package service of the NIMH Data Archive, and presigned
 * URLs of its files.
 *
 * Who asks stands in each request to the service, and in none to where the files lie.
 * A presigned URL is a secret: it is no part of any message. */
#include "nda.h"

#include "vivofs/hash.h"
#include "vivofs/log.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PAGE_ROWS 5000
#define PAGE_BYTES (64u << 20)
#define ROWS_MAX (UINT64_C(1) << 22)
#define SIGNED_MS (10 * INT64_C(60000)) /* URLs are good for longer; 403 tells */
#define NEEDS_LOGIN                                                                    \
    "needs the login of an NDA account that may see the package (netrc=FILE, or "      \
    "bearer=FILE with USER:PASSWORD)"

bool vivo_nda_id_ok(const char *id, size_t len)
{
    return len > 0 && len <= NDA_ID_MAX && strspn(id, "0123456789") >= len &&
           id[0] != '0';
}

/* ---- calls ------------------------------------------------------------------------
 */

/* body: of a POST, or NULL. */
static int call(struct nda *n, const char *path, const struct vivo_buf *body,
                json_t **out, struct vivo_net_reply *reply, struct vivo_op *op)
{
    static const char *const headers[] = {"Content-Type: application/json", NULL};
    char url[NDA_URL_MAX];
    struct vivo_buf_sink sink;
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf text = {0};
    snprintf(url, sizeof url, "%s%s", n->url, path);
    const struct vivo_net_request rq = {.method = body ? "POST" : NULL,
                                        .url = url,
                                        .what = "the package service",
                                        .accept = "application/json",
                                        .headers = body ? headers : NULL,
                                        .body = body ? body->data : NULL,
                                        .body_len = body ? body->len : 0,
                                        .basic = n->login,
                                        .max_bytes = PAGE_BYTES,
                                        .close_ends = true};
    vivo_buf_init(&text, PAGE_BYTES);
    vivo_buf_sink_init(&sink, &text);
    *out = NULL;
    atomic_fetch_add(&n->base.requests, 1);
    int rc = vivo_net_fetch(n->base.net, &rq, &sink.base, reply, op);
    atomic_fetch_add(&n->base.bytes, reply->received);
    if (rc == -EACCES)
        return vivo_fail_in(&op->err, NEEDS_LOGIN);
    if (rc)
        return rc;
    *out = json_loadb(text.len ? (const char *)text.data : "", text.len, JSON_ALLOW_NUL,
                      NULL);
    if (body && text.data) /* of URLs */
        explicit_bzero(text.data, text.len);
    if (json_is_object(*out))
        return 0;
    json_decref(*out);
    *out = NULL;
    return vivo_fail(&op->err, EBADMSG, "the reply is no JSON object");
}

int vivo_nda_package(struct nda *n, uint64_t *files, struct vivo_op *op)
{
    struct vivo_net_reply reply;
    json_t *package;
    int rc = call(n, "", NULL, &package, &reply, op);
    const json_t *count = json_object_get(package, "file_count");
    *files = json_is_integer(count) && json_integer_value(count) >= 0
                 ? (uint64_t)json_integer_value(count)
                 : 0;
    json_decref(package);
    if (rc == -ENOENT) {
        op->err.errnum = EIO;
        vivo_fail_in(&op->err, "no such package (they expire after some months)");
        rc = -EIO;
    }
    return rc ? vivo_fail_in(&op->err, "the package") : 0;
}

/* ---- pages ------------------------------------------------------------------------
 */

struct paging {
    nda_row_fn *fn;
    void *ctx;
    json_t *first; /* id of the first row of the page before */
    uint64_t taken;
};

/* The number of rows in *n. */
static int take_page(struct paging *p, json_t *page, size_t *n, struct vivo_op *op)
{
    json_t *rows = json_object_get(page, "results");
    json_t *row;
    size_t i;
    if (!json_is_array(rows))
        return vivo_fail(&op->err, EBADMSG, "a page without results");
    *n = json_array_size(rows);
    json_t *first = json_object_get(json_array_get(rows, 0), "package_file_id");
    if (first && json_equal(first, p->first))
        return vivo_fail(&op->err, EIO, "the same page came again");
    json_decref(p->first);
    p->first = json_incref(first);
    json_array_foreach(rows, i, row)
    {
        int rc = vivo_op_check(op);
        if (rc == 0)
            rc = p->fn(p->ctx, row, &op->err);
        if (rc)
            return rc;
    }
    p->taken += *n;
    if (p->taken > ROWS_MAX)
        return vivo_fail(&op->err, EIO, "more than %" PRIu64 " files", ROWS_MAX);
    return 0;
}

/* 1: there is no such page, because the one before was the last. */
static int ask_page(struct nda *n, struct paging *p, unsigned number, size_t *rows,
                    struct vivo_op *op)
{
    struct vivo_net_reply reply;
    char path[64];
    json_t *page;
    *rows = 0;
    snprintf(path, sizeof path, "/files?page=%u&size=%d", number, PAGE_ROWS);
    int rc = call(n, path, NULL, &page, &reply, op);
    if (rc && number > 1 && reply.status >= 400 &&
        strstr(reply.refusal, "past last page")) {
        vivo_err_clear(&op->err);
        return 1;
    }
    if (rc == 0)
        rc = take_page(p, page, rows, op);
    json_decref(page);
    return rc;
}

int vivo_nda_files(struct nda *n, nda_row_fn *fn, void *ctx, struct vivo_intake *in,
                   struct vivo_op *op)
{
    struct paging p = {.fn = fn, .ctx = ctx};
    uint64_t total = 0;
    size_t rows = 1;
    int rc = vivo_nda_package(n, &total, op);
    /* A page may be shorter than asked for: only an empty one, or the word of the
     * server, is the end. */
    for (unsigned number = 1; rc == 0 && rows > 0; number++) {
        in->alive(in);
        rc = ask_page(n, &p, number, &rows, op);
        if (rc == 0 && rows < PAGE_ROWS && p.taken >= total && total > 0)
            break;
    }
    json_decref(p.first);
    if (rc == 1)
        rc = 0;
    if (rc == 0 && p.taken < total) /* it may count some twice */
        vivo_log(VIVO_LOG_WARN, "drivers.nda",
                 "the package counts %" PRIu64 " files and lists %" PRIu64, total,
                 p.taken);
    return rc < 0 && op->err.errnum == -rc
               ? vivo_fail_in(&op->err, "files of a package")
               : rc;
}

/* ---- presigned URLs -----------------------------------------------------------------
 */

static struct nda_signed *slot_of(struct nda *n, const char *id)
{
    return &n->urls[strtoull(id, NULL, 10) % NDA_SIGNED];
}

static void clear_slot(struct nda_signed *s)
{
    if (s->url)
        explicit_bzero(s->url, strlen(s->url));
    free(s->url);
    *s = (struct nda_signed){0};
}

void vivo_nda_forget_all(struct nda *n)
{
    for (size_t i = 0; i < NDA_SIGNED; i++)
        clear_slot(&n->urls[i]);
}

/* url NULL: forget it. */
static void keep_url(struct nda *n, const char *id, const char *url)
{
    pthread_mutex_lock(&n->mutex);
    struct nda_signed *s = slot_of(n, id);
    if (url || strcmp(s->id, id) == 0)
        clear_slot(s);
    if (url && (s->url = strdup(url))) {
        snprintf(s->id, sizeof s->id, "%s", id);
        s->until_ms = vivo_now_ms() + SIGNED_MS;
    }
    pthread_mutex_unlock(&n->mutex);
}

/* A copy, or NULL. */
static char *find_url(struct nda *n, const char *id)
{
    char *url = NULL;
    pthread_mutex_lock(&n->mutex);
    const struct nda_signed *s = slot_of(n, id);
    if (s->url && strcmp(s->id, id) == 0 && vivo_now_ms() < s->until_ms)
        url = strdup(s->url);
    pthread_mutex_unlock(&n->mutex);
    return url;
}

/* Never from https down to http. */
static bool url_ok(const struct nda *n, const char *url)
{
    size_t len = strlen(url);
    bool safe = strncmp(url, "https://", 8) == 0 ||
                (strncmp(n->url, "http://", 7) == 0 && strncmp(url, "http://", 7) == 0);
    for (size_t i = 0; i < len; i++)
        if (!isgraph((unsigned char)url[i]))
            return false;
    return safe && len <= NDA_SIGNED_MAX;
}

/* "" = none. */
static void id_of(const json_t *row, char out[NDA_ID_MAX + 1])
{
    const json_t *v = json_object_get(row, "package_file_id");
    const char *text = json_string_value(v);
    out[0] = '\0';
    if (json_is_integer(v) && json_integer_value(v) > 0)
        snprintf(out, NDA_ID_MAX + 1, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
    else if (text && vivo_nda_id_ok(text, strlen(text)))
        snprintf(out, NDA_ID_MAX + 1, "%s", text);
}

/* *found: the URL of `wanted`, if it is among them. */
static int take_urls(struct nda *n, json_t *reply, const char *wanted, char **found,
                     struct vivo_err *err)
{
    json_t *rows = json_object_get(reply, "presignedUrls");
    json_t *row;
    size_t i;
    if (!json_is_array(rows))
        return vivo_fail(err, EBADMSG, "a reply without URLs");
    json_array_foreach(rows, i, row)
    {
        char id[NDA_ID_MAX + 1];
        const char *url = json_string_value(json_object_get(row, "downloadURL"));
        id_of(row, id);
        if (!*id || !url || !url_ok(n, url))
            return vivo_fail(err, EBADMSG, "a file is at no URL that may be asked for");
        keep_url(n, id, url);
        if (wanted && !*found && strcmp(id, wanted) == 0)
            *found = strdup(url);
    }
    return 0;
}

static int sign_batch(struct nda *n, const char *const *ids, size_t count,
                      const char *wanted, char **found, struct vivo_op *op)
{
    struct vivo_net_reply reply;
    json_t *urls = NULL;
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf body = {0};
    vivo_buf_init(&body, NDA_BATCH * (NDA_ID_MAX + 2) + 16);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = vivo_buf_printf(&body, "%s%s", i ? "," : "[", ids[i]);
    if (rc == 0)
        rc = vivo_buf_puts(&body, "]");
    if (rc)
        return vivo_fail(&op->err, ENOMEM, "nda: out of memory");
    rc = call(n, "/files/batchGeneratePresignedUrls", &body, &urls, &reply, op);
    if (rc == 0)
        rc = take_urls(n, urls, wanted, found, &op->err);
    json_decref(urls);
    return rc ? vivo_fail_in(&op->err, "URLs of files") : 0;
}

int vivo_nda_sign(struct nda *n, const char *const *ids, size_t count,
                  struct vivo_op *op)
{
    const char *batch[NDA_BATCH];
    size_t k = 0;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        char *url = find_url(n, ids[i]);
        if (!url)
            batch[k++] = ids[i];
        free(url);
        if (k == NDA_BATCH || (i + 1 == count && k > 0)) {
            rc = sign_batch(n, batch, k, NULL, NULL, op);
            k = 0;
        }
    }
    return rc;
}

/* ---- files -------------------------------------------------------------------- */

/* Where the files lie a refusal means that the URL has expired. */
static int explain(int rc, const struct vivo_net_reply *reply, struct vivo_op *op)
{
    if (rc != -EACCES)
        return rc;
    op->err.errnum = EIO;
    (void)reply;
    vivo_fail_in(&op->err, "a URL that was signed a moment ago is refused");
    return -EIO;
}

int vivo_nda_ask(struct nda *n, const char *id, nda_ask_fn *ask, void *ctx,
                 struct vivo_op *op)
{
    static const char *const headers[] = {"Accept-Encoding: identity", NULL};
    for (int tries = 0;; tries++) {
        struct vivo_net_reply reply = {.content_length = -1};
        char *url = tries == 0 ? find_url(n, id) : NULL;
        bool kept = url != NULL;
        int rc = url ? 0 : sign_batch(n, &id, 1, id, &url, op);
        if (rc == 0 && !url)
            rc = vivo_fail(&op->err, ENOENT, "the package has no such file");
        if (rc) {
            free(url);
            return rc;
        }
        const struct vivo_net_request rq = {.url = url,
                                            .what = "a file of the package",
                                            .headers = headers,
                                            .no_netrc = true};
        rc = ask(ctx, &rq, &reply, op);
        explicit_bzero(url, strlen(url));
        free(url);
        if (rc == -EACCES)
            keep_url(n, id, NULL);
        if (rc != -EACCES || !kept)
            return explain(rc, &reply, op);
        vivo_err_clear(&op->err);
    }
}
