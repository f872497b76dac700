/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/girder_http.c -- logging in, requests, and arrays that come in pages.
 *
 * A token that has run out is not refused: Girder answers as to a guest, with less. So
 * it is renewed before it runs out, and one that was given as it is, is looked at again
 * every ten minutes. Pages overlap by one row: if that is another one, something was
 * taken away meanwhile, and the array is asked for from its beginning. */
#include "dicomjson.h"
#include "girder.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define LOGIN_BYTES (1u << 20)
#define LOGIN_MS (10 * INT64_C(60000))   /* where it is not told how long one lasts */
#define LOGIN_MAX_MS (INT64_C(86400000)) /* a clock may be wrong */
#define SPARE_MS 60000                   /* renewed so long before */
#define API_KEY_LEN 40
#define TRIES 3 /* of an array that changes while it is read */
#define MOVED 1
#define ROWS_MAX (UINT64_C(1) << 22)
#define WORDS_OF_LOGIN                                                                 \
    "needs a login (netrc=FILE, or bearer=FILE with an API key or a token)"
/* What servers write since version 2.5, and their own clients look for. */
#define SIGN_OF_OTP "one-time password"

bool vivo_girder_id_ok(const char *id, size_t len)
{
    return len == GIRDER_ID_LEN && strspn(id, "0123456789abcdef") >= len;
}

const char *vivo_girder_text(const json_t *row, const char *name, size_t max)
{
    const json_t *v = json_object_get(row, name);
    size_t n = json_string_length(v);
    if (!json_is_string(v) || n > max || strlen(json_string_value(v)) != n)
        return "";
    return json_string_value(v);
}

/* ---- requests ---------------------------------------------------------------------
 */

struct into_memory {
    struct girder *g;
    struct vivo_buf *body;
};

static int ask_text(void *ctx, const struct vivo_net_request *rq,
                    struct vivo_net_reply *reply, struct vivo_op *op)
{
    const struct into_memory *m = ctx;
    struct vivo_net_request full = *rq;
    struct vivo_buf_sink sink;
    vivo_buf_clear(m->body);
    vivo_buf_sink_init(&sink, m->body);
    full.accept = "application/json";
    full.max_bytes = m->body->max;
    full.close_ends = true; /* a JSON text tells where it ends */
    atomic_fetch_add(&m->g->base.requests, 1);
    int rc = vivo_net_fetch(m->g->base.net, &full, &sink.base, reply, op);
    atomic_fetch_add(&m->g->base.bytes, reply->received);
    return rc;
}

static json_t *parse(const struct vivo_buf *body)
{
    return json_loadb(body->len ? (const char *)body->data : "", body->len,
                      JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL);
}

/* ---- logging in -------------------------------------------------------------------
 */

/* "2020-01-02T03:04:05…", of UTC, as milliseconds from now; 0 = it is no time. */
static int64_t ms_until(const char *text)
{
    struct tm tm = {0};
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    if (!end)
        return 0;
    return ((int64_t)timegm(&tm) - (int64_t)time(NULL)) * 1000;
}

/* The token out of a login; false = there is none. */
static bool read_token(const json_t *reply, char out[VIVO_TOKEN_MAX + 1],
                       int64_t *until_ms)
{
    const json_t *told = json_object_get(reply, "authToken");
    const char *text = vivo_girder_text(told, "token", VIVO_TOKEN_MAX);
    int64_t left = ms_until(vivo_girder_text(told, "expires", 64));
    size_t n = strlen(text);
    for (size_t i = 0; i < n; i++)
        if (!isgraph((unsigned char)text[i]))
            return false;
    memcpy(out, text, n + 1);
    left = left > 0 ? VIVO_MIN(left, LOGIN_MAX_MS) - SPARE_MS : LOGIN_MS;
    *until_ms = vivo_now_ms() + VIVO_MAX(left, INT64_C(1000));
    return n > 0;
}

/* A token that was given as it is: does it stand for anybody? */
static int check_token(struct girder *g, char out[VIVO_TOKEN_MAX + 1],
                       const struct vivo_buf *body, int64_t *until_ms,
                       struct vivo_op *op)
{
    json_t *user = parse(body);
    bool known = json_is_object(user);
    json_decref(user);
    if (!known)
        return vivo_fail(&op->err, EACCES,
                         "the token of bearer=FILE is not valid (any more)");
    snprintf(out, VIVO_TOKEN_MAX + 1, "%s", g->key);
    *until_ms = vivo_now_ms() + LOGIN_MS;
    return 0;
}

/* Which request it takes to be known. */
static void make_login(const struct girder *g, char url[GIRDER_URL_MAX],
                       char header[VIVO_TOKEN_MAX + 32], struct vivo_net_request *rq)
{
    bool api_key = g->key && strlen(g->key) == API_KEY_LEN;
    rq->url = url;
    rq->what = "a login";
    rq->no_netrc = g->key != NULL;
    if (api_key) {
        rq->method = "POST";
        snprintf(url, GIRDER_URL_MAX, "%s/api_key/token?key=%s", g->url, g->key);
    } else if (g->key) {
        snprintf(url, GIRDER_URL_MAX, "%s/user/me", g->url);
        snprintf(header, VIVO_TOKEN_MAX + 32, "Girder-Token: %s", g->key);
    } else {
        snprintf(url, GIRDER_URL_MAX, "%s/user/authentication", g->url);
    }
}

/* The password was right, and is not enough: a code of a minute is no login for a mount
 * that begins its tokens anew. API keys are made for programs and want none. */
static bool wants_code(const struct girder *g, const struct vivo_net_reply *r)
{
    return !g->key && r->status == 401 && strstr(r->refusal, SIGN_OF_OTP);
}

/* Nobody named himself, or there is nobody to be: what is public needs no login, and
 * what is not is refused when it is asked for. A wrong password says so. */
static bool is_guest(const struct girder *g, const struct vivo_net_reply *r)
{
    if (g->key || wants_code(g, r))
        return false;
    return r->status == 400 || r->status == 404 || r->status == 405 ||
           (r->status == 401 && !strstr(r->refusal, "Login failed"));
}

static int explain_login(const struct girder *g, const struct vivo_net_reply *reply,
                         int rc, struct vivo_op *op)
{
    if (rc && wants_code(g, reply)) {
        vivo_err_clear(&op->err);
        return vivo_fail(
            &op->err, EACCES,
            "the account has a second factor, and no one-time password "
            "can be given here: make an API key on the page of the account "
            "and put it into bearer=FILE");
    }
    if (rc == -ENOENT) {
        op->err.errnum = EIO;
        vivo_fail_in(&op->err, "no Girder answers at this address");
        return -EIO;
    }
    if (rc == -EIO && reply->status == 400 && g->key) {
        /* An API key that is not known is "Invalid API key", 400. */
        op->err.errnum = EACCES;
        rc = -EACCES;
    }
    return rc == -EACCES ? vivo_fail_in(&op->err, WORDS_OF_LOGIN) : rc;
}

static int read_login(struct girder *g, const struct vivo_buf *body,
                      char out[VIVO_TOKEN_MAX + 1], int64_t *until_ms,
                      struct vivo_op *op)
{
    if (g->key && strlen(g->key) != API_KEY_LEN)
        return check_token(g, out, body, until_ms, op);
    json_t *reply = parse(body);
    bool good = read_token(reply, out, until_ms);
    json_decref(reply);
    return good ? 0
                : vivo_fail(&op->err, EBADMSG,
                            "the server gives no token: is it a Girder's API?");
}

static int begin(void *ctx, char out[VIVO_TOKEN_MAX + 1], int64_t *until_ms,
                 struct vivo_op *op)
{
    struct girder *g = ctx;
    char url[GIRDER_URL_MAX], header[VIVO_TOKEN_MAX + 32] = "";
    const char *headers[] = {header, NULL};
    struct vivo_net_request rq = {0};
    struct vivo_net_reply reply;
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf body = {0};
    struct into_memory m = {g, &body};
    vivo_buf_init(&body, LOGIN_BYTES);
    make_login(g, url, header, &rq);
    rq.headers = header[0] ? headers : NULL;
    int rc = ask_text(&m, &rq, &reply, op);
    bool guest = rc && is_guest(g, &reply);
    if (rc == 0)
        rc = read_login(g, &body, out, until_ms, op);
    if (guest) {
        vivo_err_clear(&op->err);
        out[0] = '\0';
        *until_ms = INT64_MAX;
        rc = 0;
    }
    explicit_bzero(url, sizeof url);
    explicit_bzero(header, sizeof header);
    if (body.data)
        explicit_bzero(body.data, body.len);
    return explain_login(g, &reply, rc, op);
}

/* ---- asking -----------------------------------------------------------------------
 */

int vivo_girder_ask(struct girder *g, const char *path, girder_ask_fn *ask, void *ctx,
                    struct vivo_op *op)
{
    char url[GIRDER_URL_MAX], token[VIVO_TOKEN_MAX + 1];
    char header[VIVO_TOKEN_MAX + 32] = "";
    /* A file is what it is, not a compressed one. */
    const char *headers[] = {"Accept-Encoding: identity", header, NULL};
    if (snprintf(url, sizeof url, "%s%s", g->url, path) >= GIRDER_URL_MAX)
        return vivo_fail(&op->err, EINVAL, "girder: URL too long");
    for (int tries = 0;; tries++) {
        int rc = vivo_token_take(&g->token, begin, g, token, op);
        if (rc)
            return rc;
        if (token[0])
            snprintf(header, sizeof header, "Girder-Token: %s", token);
        else
            headers[1] = NULL;
        const struct vivo_net_request rq = {
            .url = url, .what = "an answer", .headers = headers, .no_netrc = true};
        struct vivo_net_reply reply = {.content_length = -1};
        rc = ask(ctx, &rq, &reply, op);
        explicit_bzero(header, sizeof header);
        if (reply.status == 401 && token[0] && tries == 0) {
            vivo_token_forget(&g->token, token);
            vivo_err_clear(&op->err);
            continue;
        }
        explicit_bzero(token, sizeof token);
        return rc == -EACCES ? vivo_fail_in(&op->err, WORDS_OF_LOGIN) : rc;
    }
}

int vivo_girder_object(struct girder *g, const char *what, const char *path,
                       json_t **out, struct vivo_op *op)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf body = {0};
    struct into_memory m = {g, &body};
    vivo_buf_init(&body, LOGIN_BYTES);
    int rc = vivo_girder_ask(g, path, ask_text, &m, op);
    *out = rc == 0 ? parse(&body) : NULL;
    if (rc == 0 && !json_is_object(*out)) {
        json_decref(*out);
        rc = vivo_fail(&op->err, EBADMSG, "the reply is no JSON object");
    }
    return rc ? vivo_fail_in(&op->err, "%s", what) : 0;
}

int vivo_girder_probe(struct girder *g, struct vivo_op *op)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf body = {0};
    struct into_memory m = {g, &body};
    vivo_buf_init(&body, GIRDER_PAGE_BYTES);
    int rc = vivo_girder_ask(g, "/collection?limit=1", ask_text, &m, op);
    json_t *rows = rc == 0 ? parse(&body) : NULL;
    if (rc == 0 && !json_is_array(rows))
        rc = vivo_fail(&op->err, EBADMSG,
                       "the reply is no JSON array: is it a Girder's API?");
    json_decref(rows);
    if (rc == -ENOENT) {
        op->err.errnum = EIO;
        rc = -EIO;
    }
    return rc ? vivo_fail_in(&op->err, "collections") : 0;
}

/* ---- pages ------------------------------------------------------------------------
 */

struct paging {
    struct girder *g;
    girder_row_fn *fn;
    void *ctx;
    char last[GIRDER_ID_LEN + 1]; /* id of the last row taken; "" = none yet */
    uint64_t taken;               /* rows of this try */
};

/* overlap: it was the last one of the page before. */
static int take_row(struct paging *p, const char *text, size_t len, bool overlap,
                    struct vivo_op *op)
{
    json_t *row = json_loadb(text, len, JSON_ALLOW_NUL, NULL);
    const char *id = row ? vivo_girder_text(row, "_id", GIRDER_ID_LEN) : "";
    int rc = vivo_op_check(op);
    if (rc == 0 && !vivo_girder_id_ok(id, strlen(id)))
        rc = vivo_fail(&op->err, EBADMSG, "a row without an id");
    else if (rc == 0 && overlap)
        rc = strcmp(id, p->last) == 0 ? 0 : MOVED;
    else if (rc == 0)
        rc = p->fn(p->ctx, row, id, &op->err);
    p->taken += rc == 0 && !overlap;
    if (rc == 0)
        memcpy(p->last, id, GIRDER_ID_LEN + 1);
    json_decref(row);
    return rc;
}

/* The number of rows in *n; MOVED: they are not where they were. */
static int take_page(struct paging *p, const struct vivo_buf *body, uint64_t *n,
                     struct vivo_op *op)
{
    struct vivo_dicomjson_rows rows;
    const char *text;
    size_t len;
    int rc;
    *n = 0;
    if (body->len == 0)
        return vivo_fail(&op->err, EBADMSG, "an empty reply where an array belongs");
    bool again = p->last[0] != '\0';
    vivo_dicomjson_rows_init(&rows, body->data, body->len);
    while ((rc = vivo_dicomjson_next(&rows, &text, &len, &op->err)) > 0) {
        rc = take_row(p, text, len, again && *n == 0, op);
        if (rc)
            return rc;
        ++*n;
    }
    if (rc == 0 && again && *n == 0)
        return MOVED; /* not even the row that overlaps */
    return rc;
}

/* All pages, from the first. */
static int take_pages(struct paging *p, const char *path, struct vivo_buf *body,
                      struct vivo_op *op)
{
    struct into_memory m = {p->g, body};
    char full[GIRDER_URL_MAX];
    uint64_t n = p->g->page;
    p->taken = 0;
    p->last[0] = '\0';
    for (uint64_t offset = 0; n >= p->g->page; offset = p->taken - 1) {
        snprintf(full, sizeof full, "%slimit=%u&offset=%llu&sort=_id", path, p->g->page,
                 (unsigned long long)offset);
        int rc = vivo_girder_ask(p->g, full, ask_text, &m, op);
        if (rc == 0)
            rc = take_page(p, body, &n, op);
        if (rc)
            return rc;
        if (p->taken > ROWS_MAX)
            return vivo_fail(&op->err, EIO, "more than %llu rows",
                             (unsigned long long)ROWS_MAX);
    }
    return 0;
}

int vivo_girder_rows(struct girder *g, const char *what, const char *path,
                     girder_row_fn *fn, void *ctx, struct vivo_op *op)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf body = {0};
    struct paging p = {.g = g, .fn = fn, .ctx = ctx};
    int rc = MOVED;
    vivo_buf_init(&body, GIRDER_PAGE_BYTES);
    for (int tries = 0; rc == MOVED && tries < TRIES; tries++)
        rc = take_pages(&p, path, &body, op);
    if (rc == MOVED)
        rc = vivo_fail(&op->err, EIO, "the rows change from page to page");
    if (rc == -ENOENT) { /* it was listed a moment ago */
        op->err.errnum = EIO;
        rc = -EIO;
    }
    return rc < 0 ? vivo_fail_in(&op->err, "%s", what) : rc;
}
