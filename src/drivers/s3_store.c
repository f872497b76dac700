/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/s3_store.c -- one store: where it is, who asks, single requests.
 *
 * Names of buckets and keys get into a URL only through here. Queries are written in
 * the order of their names and encoded as the signature wants them, so that every
 * version of libcurl signs what it sends. */
#include "drivers/s3.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define URL_MAX 16384
#define PLACE "{bucket}"

struct vivo_s3 {
    struct vivo_archive *owner;
    char *endpoint; /* with or without PLACE, without '/' at the end */
    bool sign;
    char provider[96];
    struct vivo_s3_keys keys;
};

/* ---- making --------------------------------------------------------------------- */

static int check_endpoint(const char *url, struct vivo_err *err)
{
    const char *host = strstr(url, "://");
    if (!host || (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0))
        return vivo_fail(err, EINVAL, "the endpoint is no http or https URL");
    host += 3;
    size_t n = strcspn(host, "/?#");
    if (memchr(host, '@', n))
        return vivo_fail(err, EINVAL,
                         "a user name or password inside a URL is refused: use "
                         "AWS_ACCESS_KEY_ID or netrc=FILE");
    if (n == 0 || strpbrk(url, "?# \t\r\n\"\\") || strstr(host + n, PLACE))
        return vivo_fail(err, EINVAL,
                         "the endpoint of a store is https://HOST[:PORT][/path]");
    return 0;
}

static int set_endpoint(struct vivo_s3 *s, const char *given, struct vivo_err *err)
{
    int rc = given ? check_endpoint(given, err) : 0;
    if (rc)
        return rc;
    if (given) {
        s->endpoint = strdup(given);
    } else if (asprintf(&s->endpoint, "https://" PLACE ".s3%s%s.amazonaws.com",
                        s->keys.region[0] ? "." : "", s->keys.region) < 0) {
        s->endpoint = NULL;
    }
    if (!s->endpoint)
        return vivo_fail(err, ENOMEM, "s3: out of memory");
    for (size_t n = strlen(s->endpoint); n && s->endpoint[n - 1] == '/'; n--)
        s->endpoint[n - 1] = '\0';
    return 0;
}

int vivo_s3_new(const struct vivo_s3_config *cfg, struct vivo_archive *owner,
                struct vivo_s3 **out, struct vivo_err *err)
{
    struct vivo_s3 *s = calloc(1, sizeof *s);
    if (!s)
        return vivo_fail(err, ENOMEM, "s3: out of memory");
    s->owner = owner;
    s->sign = cfg->sign;
    int rc = cfg->sign ? vivo_s3_keys_read(&s->keys, err) : 0;
    if (rc == 0)
        rc = set_endpoint(s, cfg->endpoint, err);
    if (rc) {
        vivo_s3_free(s);
        return rc;
    }
    snprintf(s->provider, sizeof s->provider, "aws:amz:%s:s3",
             s->keys.region[0] ? s->keys.region : "us-east-1");
    *out = s;
    return 0;
}

void vivo_s3_free(struct vivo_s3 *s)
{
    if (!s)
        return;
    explicit_bzero(&s->keys, sizeof s->keys);
    free(s->endpoint);
    free(s);
}

/* ---- names ---------------------------------------------------------------------- */

bool vivo_s3_bucket_ok(const char *bucket, size_t len)
{
    if (len == 0 || len > VIVO_S3_BUCKET_MAX || bucket[0] == '.')
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = bucket[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && c != '.' && c != '-' && c != '_')
            return false;
    }
    return true;
}

bool vivo_s3_key_ok(const char *key)
{
    size_t len = strnlen(key, VIVO_S3_KEY_MAX + 1);
    if (len == 0 || len > VIVO_S3_KEY_MAX)
        return false;
    for (const char *part = key;; part++) {
        size_t n = strcspn(part, "/");
        if ((n == 1 && part[0] == '.') || (n == 2 && part[0] == '.' && part[1] == '.'))
            return false;
        part += n;
        if (!*part)
            return true;
    }
}

int vivo_s3_encode(const char *text, bool slash, struct vivo_buf *out)
{
    static const char digits[] = "0123456789ABCDEF";
    int rc = 0;
    for (const char *p = text; *p && rc == 0; p++) {
        unsigned char c = (unsigned char)*p;
        bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                     (c >= '0' && c <= '9') || strchr("-._~", c) || (slash && c == '/');
        const char coded[3] = {'%', digits[c >> 4], digits[c & 15]};
        rc = vivo_buf_add(out, plain ? p : coded, plain ? 1 : 3);
    }
    return rc;
}

/* "https://host/bucket", or "https://bucket.host" where names of hosts allow it: a dot
 * would leave the certificate's wildcard, and only lower case stays what it is. */
static int put_bucket(const struct vivo_s3 *s, const char *bucket, struct vivo_buf *url)
{
    const char *place = strstr(s->endpoint, PLACE);
    bool in_host =
        strspn(bucket, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(bucket) &&
        strlen(bucket) <= 63;
    if (!place)
        return vivo_buf_printf(url, "%s/%s", s->endpoint, bucket);
    int before = (int)(place - s->endpoint);
    const char *rest = place + sizeof PLACE - 1;
    if (in_host)
        return vivo_buf_printf(url, "%.*s%s%s", before, s->endpoint, bucket, rest);
    rest += *rest == '.';
    return vivo_buf_printf(url, "%.*s%s/%s", before, s->endpoint, rest, bucket);
}

static int make_url(const struct vivo_s3 *s, const struct vivo_s3_ask *ask,
                    struct vivo_buf *url)
{
    int rc = put_bucket(s, ask->bucket, url);
    if (rc == 0)
        rc = vivo_buf_puts(url, "/");
    if (rc == 0)
        rc = vivo_s3_encode(ask->key, true, url);
    if (rc == 0 && ask->query[0])
        rc = vivo_buf_printf(url, "?%s", ask->query);
    return rc;
}

/* ---- requests ------------------------------------------------------------------- */

struct request {
    struct vivo_buf url;
    struct vivo_net_signer signer;
    struct vivo_net_request rq; /* borrows from the rest, from the store and the ask */
};

static int begin_request(const struct vivo_s3 *s, const struct vivo_s3_ask *ask,
                         struct request *r, struct vivo_err *err)
{
    *r = (struct request){0};
    vivo_buf_init(&r->url, URL_MAX);
    if (!vivo_s3_bucket_ok(ask->bucket, strlen(ask->bucket)))
        return vivo_fail(err, ENOENT, "not a name of a bucket");
    if (make_url(s, ask, &r->url))
        return vivo_fail(err, EINVAL, "s3: URL longer than %d", URL_MAX);
    r->signer = (struct vivo_net_signer){
        .provider = s->provider,
        .id = s->keys.id[0] ? s->keys.id : NULL,
        .secret = s->keys.secret,
        .session = s->keys.session[0] ? s->keys.session : NULL,
    };
    r->rq = (struct vivo_net_request){
        .url = (const char *)r->url.data,
        .what = ask->key[0] ? "an object" : NULL, /* keys may name patients */
        .signer = s->sign ? &r->signer : NULL,
        .no_netrc = !s->sign,
        .max_bytes = ask->max_bytes,
    };
    return 0;
}

/* The text of an element of the error that the store answers, if it is one word. */
static bool error_word(const struct vivo_net_reply *reply, const char *element,
                       char out[64])
{
    const char *at = strstr(reply->refusal, element);
    size_t n;
    if (!at)
        return false;
    at += strlen(element);
    n = strcspn(at, "<");
    if (n == 0 || n > 63 || at[n] != '<')
        return false;
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)at[i]) && at[i] != '-')
            return false;
    memcpy(out, at, n);
    out[n] = '\0';
    return true;
}

static bool is_elsewhere(const char *code)
{
    return strcmp(code, "PermanentRedirect") == 0 ||
           strcmp(code, "AuthorizationHeaderMalformed") == 0;
}

/* What the store says of its refusal, in the words of who mounts. */
static int explain(const struct vivo_s3 *s, int rc, const struct vivo_net_reply *reply,
                   struct vivo_op *op)
{
    char code[64], region[64];
    bool said = rc < 0 && error_word(reply, "<Code>", code);
    if (said && is_elsewhere(code)) {
        bool known = error_word(reply, "<Region>", region);
        return vivo_fail_in(&op->err,
                            "the bucket lies in another region: set AWS_REGION%s%s",
                            known ? "=" : "", known ? region : "");
    }
    if (said && strcmp(code, "InvalidObjectState") == 0)
        return vivo_fail_in(&op->err, "the object has to be restored from its archive");
    if (rc == -EACCES)
        return vivo_fail_in(
            &op->err, s->keys.id[0] ? "the store refuses these keys or this region"
                                    : "the store wants keys (AWS_ACCESS_KEY_ID)");
    return said ? vivo_fail_in(&op->err, "the store says %s", code) : rc;
}

int vivo_s3_ask(struct vivo_s3 *s, const struct vivo_s3_ask *ask,
                struct vivo_sink *sink, struct vivo_net_reply *reply,
                struct vivo_op *op)
{
    struct request r;
    int rc = begin_request(s, ask, &r, &op->err);
    if (rc == 0) {
        atomic_fetch_add(&s->owner->requests, 1);
        rc = vivo_net_fetch(s->owner->net, &r.rq, sink, reply, op);
        atomic_fetch_add(&s->owner->bytes, reply->received);
    }
    vivo_buf_free(&r.url);
    return explain(s, rc, reply, op);
}

/* ---- objects -------------------------------------------------------------------- */

/* "W/\"x\"" and "\"x\"" are x. */
static bool same_tag(const char *tag, const char *etag)
{
    if (strncmp(etag, "W/", 2) == 0)
        etag += 2;
    size_t n = strlen(etag);
    if (n >= 2 && etag[0] == '"' && etag[n - 1] == '"') {
        etag++;
        n -= 2;
    }
    return n == strlen(tag) && memcmp(etag, tag, n) == 0;
}

/* A page of a proxy or a login has no ETag; a store always sends one. */
static int check_head(const struct vivo_s3_object *o, const struct vivo_net_reply *r,
                      struct vivo_err *err)
{
    if (r->encoded)
        return vivo_fail(err, EIO, "the store sends the object compressed, unasked");
    if (!r->etag[0])
        return vivo_fail(err, EIO, "the reply has no ETag: it is not from an S3 store");
    if (o->tag[0] == 'e' && !same_tag(o->tag + 1, r->etag))
        return vivo_fail(err, EIO, "the object has changed since it was listed");
    return 0;
}

struct arrival {
    struct vivo_sink sink;
    struct vivo_net_reply reply;
    const struct vivo_s3_object *object;
    struct vivo_delivery *to;
    bool started;
};

static struct arrival *arrival_of(struct vivo_sink *s)
{
    return (struct arrival *)s; /* first member */
}

static int check_whole(const struct arrival *a, struct vivo_err *err)
{
    int64_t length = a->reply.content_length;
    int rc = check_head(a->object, &a->reply, err);
    if (rc == 0 && a->reply.status != 200)
        rc = vivo_fail(err, EIO, "the store sent only a part of what was asked for");
    if (rc == 0 && a->object->size && length >= 0 &&
        (uint64_t)length != a->object->size)
        rc = vivo_fail(err, EIO, "the object has another length than was listed");
    return rc;
}

static int write_object(struct vivo_sink *self, const void *data, size_t len,
                        struct vivo_err *err)
{
    struct arrival *a = arrival_of(self);
    int rc = a->started ? 0 : check_whole(a, err);
    if (rc)
        return rc;
    a->started = true;
    return a->to->sink.write(&a->to->sink, data, len, err);
}

static int restart_object(struct vivo_sink *self, struct vivo_err *err)
{
    struct arrival *a = arrival_of(self);
    bool gave = a->started;
    a->started = false;
    return gave ? a->to->sink.restart(&a->to->sink, err) : 0;
}

int vivo_s3_get(struct vivo_s3 *s, const struct vivo_s3_object *o,
                struct vivo_delivery *to, struct vivo_op *op)
{
    struct arrival a = {.object = o, .to = to};
    a.sink.write = write_object;
    a.sink.restart = to->sink.restart ? restart_object : NULL;
    const struct vivo_s3_ask ask = {.bucket = o->bucket,
                                    .key = o->key,
                                    .query = "",
                                    .max_bytes = VIVO_S3_OBJECT_BYTES};
    int rc = vivo_s3_ask(s, &ask, &a.sink, &a.reply, op);
    if (rc == 0 && !a.started)
        rc = vivo_fail(&op->err, EIO, "the store sent nothing");
    if (rc == 0 && o->size && a.reply.received != o->size)
        rc = vivo_fail(&op->err, EIO, "the object has another length than was listed");
    return rc;
}

int vivo_s3_header(struct vivo_s3 *s, const struct vivo_s3_object *o,
                   struct vivo_ranged_header *out, struct vivo_op *op)
{
    struct request r;
    const struct vivo_s3_ask ask = {.bucket = o->bucket, .key = o->key, .query = ""};
    *out = (struct vivo_ranged_header){0};
    int rc = begin_request(s, &ask, &r, &op->err);
    if (rc == 0)
        rc = vivo_header_range(s->owner, &r.rq, out, op);
    if (rc == 0)
        rc = check_head(o, &out->reply, &op->err);
    if (rc == 0 && o->size && out->size && out->size != o->size)
        rc = vivo_fail(&op->err, EIO, "the object has another length than was listed");
    vivo_buf_free(&r.url);
    return explain(s, rc, &out->reply, op);
}
