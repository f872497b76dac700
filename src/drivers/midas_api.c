/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/midas_api.c -- calls of the Web API, logging in, downloads.
 *
 * A call that fails is 200 all the same: "stat" and "code" tell. Tokens stand in the
 * body of a POST, but for downloads, which take them in the address only. */
#include "midas.h"

#include "multipart.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LOGIN_MS (50 * INT64_C(60000)) /* a token is good for 100 minutes, or less */
#define LOGIN_BYTES (1u << 20)
#define FORM_MAX (VIVO_TOKEN_MAX * 3 + 256)

enum { /* codes of the API, core/constant/api.php */
       CODE_TOKEN = -101,
       CODE_POLICY = -151, /* not there, or no right to see it */
       CODE_NOT_FOUND = -154,
};

/* ---- values -----------------------------------------------------------------------
 */

const char *vivo_midas_text(const json_t *row, const char *name, size_t max)
{
    const json_t *v = json_object_get(row, name);
    size_t n = json_string_length(v);
    if (!json_is_string(v) || n > max || strlen(json_string_value(v)) != n)
        return "";
    return json_string_value(v);
}

void vivo_midas_id(const json_t *row, const char *name, char out[MIDAS_ID_MAX + 1])
{
    uint64_t n = vivo_midas_number(row, name);
    out[0] = '\0';
    if (n > 0 && n < UINT64_C(1000000000000000))
        snprintf(out, MIDAS_ID_MAX + 1, "%" PRIu64, n);
}

uint64_t vivo_midas_number(const json_t *row, const char *name)
{
    const json_t *v = json_object_get(row, name);
    const char *text = vivo_midas_text(row, name, MIDAS_ID_MAX);
    if (json_is_integer(v) && json_integer_value(v) >= 0)
        return (uint64_t)json_integer_value(v);
    if (*text && strspn(text, "0123456789") == strlen(text))
        return strtoull(text, NULL, 10);
    return UINT64_MAX;
}

/* ---- one call ---------------------------------------------------------------------
 */

struct answer {
    json_t *root; /* owns data */
    json_t *data; /* borrowed */
    int64_t code; /* 0 = it went well */
};

static int read_answer(const struct vivo_buf *body, struct answer *out,
                       struct vivo_err *err)
{
    const char *text = body->len ? (const char *)body->data : "";
    out->root = json_loadb(text, body->len, JSON_ALLOW_NUL, NULL);
    const char *stat = vivo_midas_text(out->root, "stat", 8);
    out->data = json_object_get(out->root, "data");
    if (strcmp(stat, "ok") == 0 && out->data)
        return 0;
    const json_t *code = json_object_get(out->root, "code");
    if (strcmp(stat, "fail") == 0) {
        out->code = json_is_integer(code) ? json_integer_value(code) : -1;
        return 0;
    }
    if (strncmp(text, "<?xml", 5) == 0)
        return vivo_fail(err, EBADMSG,
                         "the server speaks XML: MIDAS before version 3 is not known");
    return vivo_fail(err, EBADMSG, "the reply is no answer of MIDAS's Web API");
}

/* body: of a POST; NULL = GET with all in the address. */
static int call_once(struct midas *m, const char *query, const char *form,
                     size_t max_bytes, struct answer *out, struct vivo_op *op)
{
    char url[MIDAS_URL_MAX];
    struct vivo_buf_sink sink;
    struct vivo_net_reply reply;
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf body = {0};
    snprintf(url, sizeof url, "%s/api/json?%s", m->url, query);
    const struct vivo_net_request rq = {.method = form ? "POST" : NULL,
                                        .url = url,
                                        .what = "the Web API",
                                        .accept = "application/json",
                                        .body = form,
                                        .body_len = form ? strlen(form) : 0,
                                        .no_netrc = true,
                                        .max_bytes = max_bytes,
                                        .close_ends = true};
    vivo_buf_init(&body, max_bytes);
    vivo_buf_sink_init(&sink, &body);
    *out = (struct answer){0};
    atomic_fetch_add(&m->base.requests, 1);
    int rc = vivo_net_fetch(m->base.net, &rq, &sink.base, &reply, op);
    atomic_fetch_add(&m->base.bytes, reply.received);
    if (rc == -ENOENT) { /* of the API as a whole */
        op->err.errnum = EIO;
        vivo_fail_in(&op->err, "no MIDAS of version 3 answers at this address");
        rc = -EIO;
    }
    if (rc == 0)
        rc = read_answer(&body, out, &op->err);
    if (form && body.data)
        explicit_bzero(body.data, body.len);
    return rc;
}

static int code_error(int64_t code, struct vivo_err *err)
{
    if (code == CODE_TOKEN)
        return vivo_fail(err, EACCES, MIDAS_LOGIN);
    if (code == CODE_POLICY)
        return vivo_fail(err, EACCES, "it is not there, or " MIDAS_LOGIN);
    if (code == CODE_NOT_FOUND)
        return vivo_fail(err, ENOENT, "it is not there");
    return vivo_fail(err, EIO, "the server fails with code %lld", (long long)code);
}

/* ---- logging in -------------------------------------------------------------------
 */

static void encode(const char *s, size_t len, struct vivo_buf *out)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        if (isalnum(c) || strchr("-._~", c))
            vivo_buf_add(out, &c, 1);
        else
            vivo_buf_printf(out, "%%%02X", c);
    }
}

int vivo_midas_read_login(struct midas *m, const char *bearer, struct vivo_err *err)
{
    struct vivo_buf form;
    const char *colon = bearer ? strchr(bearer, ':') : NULL;
    if (!bearer)
        return 0;
    if (!colon || colon == bearer || !colon[1] || strlen(bearer) > VIVO_TOKEN_MAX ||
        strpbrk(bearer, "\r\n"))
        return vivo_fail(err, EINVAL,
                         "bearer=FILE: MIDAS wants EMAIL:APIKEY (the key of the "
                         "application \"Default\", from the page of your account)");
    vivo_buf_init(&form, FORM_MAX);
    vivo_buf_puts(&form, "appname=Default&email=");
    encode(bearer, (size_t)(colon - bearer), &form);
    vivo_buf_puts(&form, "&apikey=");
    encode(colon + 1, strlen(colon + 1), &form);
    m->login = (char *)form.data;
    return m->login ? 0 : vivo_fail(err, ENOMEM, "midas: out of memory");
}

/* What a login gave: a token, or with the module mfa the number of one that waits for
 * a code, which is asked for of API keys as well. */
static int check_login(const struct answer *a, const char *token, struct vivo_err *err)
{
    if (a->code)
        return vivo_fail(err, EACCES, MIDAS_LOGIN);
    if (!*token && json_object_get(a->data, "mfa_token_id"))
        return vivo_fail(err, EACCES,
                         "the account has a second factor, and no one-time password "
                         "can be given here: put the API key of an account without "
                         "one into bearer=FILE");
    if (!*token || strspn(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "abcdefghijklmnopqrstuvwxyz"
                                 "0123456789-_.") != strlen(token))
        return vivo_fail(err, EBADMSG, "the server gives no token");
    return 0;
}

static int begin(void *ctx, char out[VIVO_TOKEN_MAX + 1], int64_t *until_ms,
                 struct vivo_op *op)
{
    struct midas *m = ctx;
    struct answer a;
    *until_ms = INT64_MAX;
    if (!m->login)
        return 0;
    *until_ms = vivo_now_ms() + LOGIN_MS;
    int rc = call_once(m, "method=midas.login", m->login, LOGIN_BYTES, &a, op);
    const char *token = vivo_midas_text(a.data, "token", VIVO_TOKEN_MAX);
    if (rc == 0)
        rc = check_login(&a, token, &op->err);
    if (rc == 0)
        snprintf(out, VIVO_TOKEN_MAX + 1, "%s", token);
    json_decref(a.root);
    return rc ? vivo_fail_in(&op->err, "midas.login") : 0;
}

/* ---- calls ------------------------------------------------------------------------
 */

int vivo_midas_call(struct midas *m, const char *what, const char *method,
                    const char *id, json_t **data, struct vivo_op *op)
{
    char token[VIVO_TOKEN_MAX + 1], form[VIVO_TOKEN_MAX + 8], query[160];
    struct answer a = {0};
    int rc;
    *data = NULL;
    snprintf(query, sizeof query, "method=midas.%s%s%s", method, *id ? "&id=" : "", id);
    for (int tries = 0;; tries++) {
        rc = vivo_token_take(&m->token, begin, m, token, op);
        if (rc)
            return rc;
        snprintf(form, sizeof form, "token=%s", token);
        rc = call_once(m, query, *token ? form : NULL, MIDAS_REPLY_BYTES, &a, op);
        if (rc || a.code != CODE_TOKEN || !*token || tries > 0)
            break;
        vivo_token_forget(&m->token, token);
        json_decref(a.root);
    }
    explicit_bzero(token, sizeof token);
    explicit_bzero(form, sizeof form);
    if (rc == 0 && a.code)
        rc = code_error(a.code, &op->err);
    if (rc == 0)
        *data = json_incref(a.data);
    json_decref(a.root);
    return rc ? vivo_fail_in(&op->err, "%s", what) : 0;
}

/* ---- downloads --------------------------------------------------------------------
 */

static bool is_refused(const struct vivo_net_reply *r)
{
    return r->status == 401 || r->status == 403 ||
           (r->status == 200 && vivo_media_type_is(r->content_type, "text/html"));
}

int vivo_midas_not_a_page(uint64_t size, const struct vivo_net_reply *r, int rc,
                          struct vivo_op *op)
{
    bool page = r->status == 200 && vivo_media_type_is(r->content_type, "text/html") &&
                (r->content_length < 0 || (uint64_t)r->content_length != size);
    if (!page || (rc && rc != -EBADMSG && rc != -EIO))
        return rc;
    vivo_err_clear(&op->err);
    return vivo_fail(&op->err, EACCES, "the server answers a page for people");
}

/* kind: "bitstream" or "items" */
static int download(struct midas *m, const char *kind, const char *id,
                    midas_ask_fn *ask, void *ctx, struct vivo_op *op)
{
    static const char *const headers[] = {"Accept-Encoding: identity", NULL};
    char token[VIVO_TOKEN_MAX + 1], url[MIDAS_URL_MAX + VIVO_TOKEN_MAX];
    for (int tries = 0;; tries++) {
        int rc = vivo_token_take(&m->token, begin, m, token, op);
        if (rc)
            return rc;
        snprintf(url, sizeof url, "%s/download/?%s=%s%s%s", m->url, kind, id,
                 *token ? "&authToken=" : "", token);
        const struct vivo_net_request rq = {
            .url = url, .what = "a file", .headers = headers, .no_netrc = true};
        struct vivo_net_reply reply = {.content_length = -1};
        rc = ask(ctx, &rq, &reply, op);
        bool again = rc && is_refused(&reply) && *token && tries == 0;
        if (again)
            vivo_token_forget(&m->token, token);
        explicit_bzero(token, sizeof token);
        explicit_bzero(url, sizeof url);
        if (!again)
            return rc == -EACCES ? vivo_fail_in(&op->err, MIDAS_LOGIN) : rc;
        vivo_err_clear(&op->err);
    }
}

int vivo_midas_download(struct midas *m, const char *id, midas_ask_fn *ask, void *ctx,
                        struct vivo_op *op)
{
    return download(m, "bitstream", id, ask, ctx, op);
}

int vivo_midas_zip(struct midas *m, const char *item, midas_ask_fn *ask, void *ctx,
                   struct vivo_op *op)
{
    return download(m, "items", item, ask, ctx, op);
}
