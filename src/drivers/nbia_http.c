/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/nbia_http.c -- list requests, and which version of the API answers them.
 *
 * NBIA answers "nothing matches" with 200 and no body at all, so a body that may have
 * been cut to nothing must not pass for one. */
#include "multipart.h"
#include "nbia.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define URL_MAX 4096

const char *vivo_nbia_version_name(enum nbia_version v)
{
    return v == NBIA_V1 ? "v1" : v == NBIA_V2 ? "v2" : "v4";
}

enum nbia_version vivo_nbia_old_version(const struct nbia *n)
{
    return n->bearer ? NBIA_V2 : NBIA_V1;
}

bool vivo_nbia_is_empty(const struct vivo_buf *body)
{
    for (size_t i = 0; i < body->len; i++)
        if (!strchr(" \t\r\n", body->data[i]) || !body->data[i])
            return false;
    return true;
}

/* An answer may be somebody else's: a login page, a proxy, a site under maintenance. */
static int check_reply(const struct vivo_net_reply *reply, const struct vivo_buf *body,
                       struct vivo_err *err)
{
    if (reply->received == 0 && reply->by_close && reply->status != 204)
        return vivo_fail(err, EIO, "empty reply that may be a cut one");
    if (vivo_nbia_is_empty(body))
        return 0;
    if (vivo_media_type_is(reply->content_type, "text/html") || body->data[0] == '<')
        return vivo_fail(err, EIO,
                         "the server answers HTML, not JSON: a page for people, or "
                         "not the base URL of an NBIA API");
    if (body->data[strspn((const char *)body->data, " \t\r\n")] != '[')
        return vivo_fail(err, EBADMSG,
                         "the server answers something else than a JSON "
                         "array");
    return 0;
}

static int ask_version(struct nbia *n, enum nbia_version v, const char *query,
                       size_t max_bytes, struct vivo_buf *body, int *status,
                       struct vivo_op *op)
{
    char url[URL_MAX];
    struct vivo_buf_sink sink;
    struct vivo_net_reply reply = {0};
    int name = (int)strcspn(query, "?");
    if (snprintf(url, sizeof url, "%s/services/%s/%s", n->url,
                 vivo_nbia_version_name(v), query) >= URL_MAX)
        return vivo_fail(&op->err, EINVAL, "nbia: URL longer than %d", URL_MAX);
    vivo_buf_clear(body);
    vivo_buf_sink_init(&sink, body);
    const struct vivo_net_request rq = {
        .url = url,
        .bearer = v == NBIA_V1 ? NULL : n->bearer,
        .max_bytes = max_bytes,
        .close_ends = true, /* a JSON text tells where it ends */
    };
    atomic_fetch_add(&n->base.requests, 1);
    int rc = vivo_net_fetch(n->base.net, &rq, &sink.base, &reply, op);
    atomic_fetch_add(&n->base.bytes, reply.received);
    *status = reply.status;
    if (rc == 0)
        rc = check_reply(&reply, body, &op->err);
    if (rc == 0)
        return 0;
    /* A request that the server does not have is no thing that is gone. */
    if (rc == -ENOENT)
        op->err.errnum = EIO;
    if (rc == -EACCES)
        return vivo_fail_in(&op->err, "%.*s: needs a token (bearer=FILE)", name, query);
    return vivo_fail_in(&op->err, "%.*s", name, query);
}

/* ---- which version ---------------------------------------------------------- */

/* Is another version worth asking after this failure? Not when nobody answered, and
 * not when the server is only busy. */
static bool may_fall_back(int rc, int status)
{
    if (rc == -EINTR || rc == -ETIMEDOUT || rc == -ENOMEM || rc == -ENOSPC)
        return false;
    return status != 0 && status != 429 && status != 503;
}

static int try_version(struct nbia *n, enum nbia_version v, int *status,
                       struct vivo_op *op)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf body = {0};
    vivo_buf_init(&body, NBIA_COLLECTIONS_BYTES);
    int rc = ask_version(n, v, "getCollectionValues", body.max, &body, status, op);
    if (rc == 0 && vivo_nbia_is_empty(&body))
        rc = vivo_fail(&op->err, EACCES,
                       n->bearer ? "the archive lists no collection for this token: it "
                                   "may be out of date (bearer=FILE)"
                                 : "the archive lists no collection for guests: it "
                                   "needs a token (bearer=FILE)");
    if (rc == 0)
        atomic_store(&n->version, (int)v);
    return rc;
}

int vivo_nbia_settle(struct nbia *n, struct vivo_op *op)
{
    int status = 0;
    enum nbia_version pinned = (enum nbia_version)atomic_load(&n->version);
    if (pinned)
        return try_version(n, pinned, &status, op);
    int rc = try_version(n, NBIA_V4, &status, op);
    if (rc == 0 || !may_fall_back(rc, status))
        return rc;
    struct vivo_err first = op->err;
    vivo_err_clear(&op->err);
    rc = try_version(n, vivo_nbia_old_version(n), &status, op);
    if (rc == -EACCES || first.errnum != EACCES)
        return rc;
    /* Without v1 what matters is that v4 wants a login. */
    if (rc)
        op->err = first;
    return rc ? -first.errnum : 0;
}

int vivo_nbia_ask(struct nbia *n, const char *query, size_t max_bytes,
                  struct vivo_buf *body, struct vivo_op *op)
{
    int status;
    int rc = atomic_load(&n->version) ? 0 : vivo_nbia_settle(n, op);
    if (rc)
        return rc;
    return ask_version(n, (enum nbia_version)atomic_load(&n->version), query, max_bytes,
                       body, &status, op);
}

/* ---- tables ------------------------------------------------------------------- */

int vivo_nbia_post(struct nbia *n, const char *call, const struct vivo_buf *form,
                   struct vivo_buf *body, struct vivo_op *op)
{
    static const char *const headers[] = {
        "Content-Type: application/x-www-form-urlencoded", NULL};
    char url[URL_MAX];
    struct vivo_buf_sink sink;
    struct vivo_net_reply reply = {0};
    if (snprintf(url, sizeof url, "%s/services/v4/%s", n->url, call) >= URL_MAX)
        return vivo_fail(&op->err, EINVAL, "nbia: URL longer than %d", URL_MAX);
    vivo_buf_clear(body);
    vivo_buf_sink_init(&sink, body);
    const struct vivo_net_request rq = {
        .method = "POST",
        .url = url,
        .headers = headers,
        .body = form->data,
        .body_len = form->len,
        .bearer = n->bearer,
        .max_bytes = body->max,
    };
    atomic_fetch_add(&n->base.requests, 1);
    int rc = vivo_net_fetch(n->base.net, &rq, &sink.base, &reply, op);
    atomic_fetch_add(&n->base.bytes, reply.received);
    /* Not found, no such method: an older server. */
    if (rc && (reply.status == 404 || reply.status == 405 || reply.status == 501)) {
        vivo_err_clear(&op->err);
        return vivo_fail(&op->err, ENOENT, "%s: the server does not have it", call);
    }
    if (rc == 0 && reply.by_close)
        rc = vivo_fail(&op->err, EIO, "a table without a length may be a cut one");
    if (rc == 0 && body->len &&
        (vivo_media_type_is(reply.content_type, "text/html") || body->data[0] == '<'))
        rc = vivo_fail(&op->err, EIO, "the server answers HTML, not a table");
    return rc ? vivo_fail_in(&op->err, "%s", call) : 0;
}
