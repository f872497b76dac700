/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/dicomweb_http.c -- questions with short answers. */
#include "dicomweb.h"
#include "multipart.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define URL_MAX 4096

int vivo_dicomweb_ask(struct dicomweb *d, const struct dicomweb_ask *ask,
                      struct vivo_buf *body, struct vivo_net_reply *reply,
                      struct vivo_op *op)
{
    static const char *const json_body[] = {"Content-Type: application/json", NULL};
    char url[URL_MAX];
    struct vivo_buf_sink sink;
    if (snprintf(url, sizeof url, "%s%s", ask->base, ask->path) >= URL_MAX)
        return vivo_fail(&op->err, EINVAL, "dicomweb: URL longer than %d", URL_MAX);
    vivo_buf_sink_init(&sink, body);
    const struct vivo_net_request rq = {
        .method = ask->post ? "POST" : NULL,
        .url = url,
        .accept = ask->accept,
        .headers = ask->post ? json_body : NULL,
        .body = ask->post,
        .body_len = ask->post ? strlen(ask->post) : 0,
        .bearer = d->bearer,
        .max_bytes = ask->max_bytes,
        .close_ends = true, /* a JSON text tells where it ends */
    };
    atomic_fetch_add(&d->base.requests, 1);
    int rc = vivo_net_fetch(d->base.net, &rq, &sink.base, reply, op);
    atomic_fetch_add(&d->base.bytes, reply->received);
    if (rc == -EACCES)
        return vivo_fail_in(&op->err,
                            "needs credentials (`vivofs login`, or netrc=FILE)");
    return rc;
}

int vivo_dicomweb_check_json(const struct vivo_net_reply *reply, struct vivo_err *err)
{
    if (reply->received == 0 ||
        vivo_media_type_is(reply->content_type, DICOMWEB_JSON) ||
        vivo_media_type_is(reply->content_type, "application/json"))
        return 0;
    char type[64];
    size_t n = strcspn(reply->content_type, "; ");
    snprintf(type, sizeof type, "%.*s", (int)VIVO_MIN(n, (size_t)63),
             reply->content_type);
    return vivo_fail(err, EIO,
                     "the server answers %s, not DICOM JSON: is this the DICOMweb base "
                     "URL?",
                     type[0] ? type : "without a content type");
}

bool vivo_dicomweb_is_refusal(int status)
{
    return status == 400 || status == 405 || status == 406 || status == 415 ||
           status == 501;
}
