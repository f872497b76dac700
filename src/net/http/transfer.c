/* SPDX-License-Identifier: Apache-2.0 */
/* src/net/http/transfer.c -- one exchange: what libcurl is told, what comes back, and
 * what that means. Everything that keeps a cut or refused reply from looking like
 * success is here. RFC 9110, RFC 9112. */
#include "transfer.h"

#include <curl/curl.h>

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define DEFAULT_MAX_BYTES (UINT64_C(64) << 20)
#define BUFFER_BYTES (128L << 10)

static_assert(DETAIL_MAX >= CURL_ERROR_SIZE, "libcurl writes up to CURL_ERROR_SIZE");

/* ---- what comes back -------------------------------------------------------- */

/* The value of header line `line` if it is `name`, without spaces at the ends. */
static bool header_value(const char *line, size_t len, const char *name, char *out,
                         size_t cap)
{
    size_t n = strlen(name);
    if (len <= n || strncasecmp(line, name, n) != 0 || line[n] != ':')
        return false;
    const char *s = line + n + 1;
    const char *end = line + len;
    while (s < end && (*s == ' ' || *s == '\t'))
        s++;
    while (end > s && (unsigned char)end[-1] <= ' ')
        end--;
    snprintf(out, cap, "%.*s", (int)(end - s), s);
    return true;
}

static void start_reply(struct transfer *t)
{
    *t->reply = (struct vivo_net_reply){.content_length = -1, .total = -1};
    t->chunked = false;
    t->ranged = false;
    t->relative = false;
}

/* "bytes 0-99/1234"; the total may be "*" (RFC 9110 section 14.4). */
static void read_range(struct transfer *t, const char *value)
{
    char want[40];
    const char *s = strchr(value, '/');
    int64_t total = 0;
    int len = snprintf(want, sizeof want, "bytes %llu-",
                       (unsigned long long)t->rq->range_first);
    t->ranged = strncasecmp(value, want, (size_t)len) == 0;
    if (!s || !isdigit((unsigned char)s[1]))
        return;
    for (s++; isdigit((unsigned char)*s); s++) {
        if (total > (INT64_MAX - 9) / 10)
            return;
        total = total * 10 + (*s - '0');
    }
    t->reply->total = total;
}

static void add_cookie(struct vivo_net_reply *r, const char *value)
{
    size_t at = strlen(r->cookies);
    if (at + strlen(value) + 2 <= sizeof r->cookies)
        snprintf(r->cookies + at, sizeof r->cookies - at, "%s\n", value);
}

static size_t on_header(char *line, size_t size, size_t nmemb, void *ctx)
{
    struct transfer *t = ctx;
    struct vivo_net_reply *r = t->reply;
    size_t len = size * nmemb;
    char value[256];
    if (t->rq->ftp) {
        vivo_transfer_ftp_line(t, line, len);
        return len;
    }
    /* Trailers say nothing, and the caller is reading what the head said. */
    if (t->rq->on_caller && r->received > 0)
        return len;
    /* Each status line (100 Continue, a proxy's CONNECT) starts another head. */
    if (len > 5 && memcmp(line, "HTTP/", 5) == 0)
        start_reply(t);
    else if (header_value(line, len, "Content-Type", value, sizeof value))
        memcpy(r->content_type, value, sizeof r->content_type);
    else if (header_value(line, len, "ETag", value, sizeof value))
        snprintf(r->etag, sizeof r->etag, "%.127s", value);
    else if (header_value(line, len, "Set-Cookie", value, sizeof value))
        add_cookie(r, value);
    else if (header_value(line, len, "Location", value, sizeof value))
        t->relative =
            strncmp(value, "//", 2) != 0 && !memchr(value, ':', strcspn(value, "/?#"));
    else if (header_value(line, len, "Warning", value, sizeof value))
        snprintf(r->warning, sizeof r->warning, "%.127s", value);
    else if (header_value(line, len, "Transfer-Encoding", value, sizeof value))
        t->chunked = true;
    else if (header_value(line, len, "Last-Modified", value, sizeof value))
        snprintf(r->modified, sizeof r->modified, "%.63s", value);
    else if (header_value(line, len, "Content-Encoding", value, sizeof value))
        r->encoded = strcasecmp(value, "identity") != 0;
    else if (header_value(line, len, "Content-Range", value, sizeof value))
        read_range(t, value);
    return len;
}

/* Status and length, before the first byte of a body goes to the sink. */
static void read_status(struct transfer *t)
{
    long status = 0;
    curl_off_t length = -1;
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(t->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    if (t->rq->ftp) { /* an answer to the transfer ends it: no doubt where it ends */
        t->reply->status = vivo_transfer_ftp_status(t, status);
        t->ranged = true;
        return;
    }
    t->reply->status = (int)status;
    t->reply->content_length = t->chunked ? -1 : length;
    t->reply->by_close = !t->chunked && length < 0 && status != 204 && status != 304;
    if (status == 200)
        t->reply->total = t->reply->content_length;
}

static bool is_success(const struct transfer *t)
{
    return t->reply->status >= 200 && t->reply->status <= 299;
}

static uint64_t max_bytes(const struct transfer *t)
{
    return t->rq->max_bytes ? t->rq->max_bytes : DEFAULT_MAX_BYTES;
}

/* Refusals known from the head alone. */
static int check_head(struct transfer *t)
{
    const struct vivo_net_reply *r = t->reply;
    if (r->content_length > 0 && (uint64_t)r->content_length > max_bytes(t))
        return vivo_fail(&t->err, EIO, "reply of %lld bytes, at most %llu expected",
                         (long long)r->content_length,
                         (unsigned long long)max_bytes(t));
    if (r->by_close && !t->rq->close_ends)
        return vivo_fail(&t->err, EIO,
                         "reply without a length: its end is not certain");
    if (r->status == 206 && t->rq->range_len > 0 && !t->ranged)
        return vivo_fail(&t->err, EIO, "reply is another range than asked for");
    return 0;
}

static void add_refusal(struct vivo_net_reply *r, const char *data, size_t len)
{
    size_t at = strlen(r->refusal);
    size_t n = VIVO_MIN(len, sizeof r->refusal - 1 - at);
    memcpy(r->refusal + at, data, n);
    r->refusal[at + n] = '\0';
}

static size_t on_body(char *data, size_t size, size_t nmemb, void *ctx)
{
    struct transfer *t = ctx;
    size_t len = size * nmemb;
    if (t->reply->received == 0)
        read_status(t);
    bool relayed = t->rq->on_caller && is_success(t);
    if (relayed && !vivo_relay_has_room(t))
        return CURL_WRITEFUNC_PAUSE; /* and gives the same once more */
    t->reply->received += len;
    if (!is_success(t)) {
        /* An error page is read to its end to keep the connection, if it is short. */
        add_refusal(t->reply, data, len);
        return t->reply->received <= 65536 ? len : 0;
    }
    if (t->reply->received == len)
        t->rc = check_head(t);
    if (t->rc == 0 && t->reply->received > max_bytes(t))
        t->rc = vivo_fail(&t->err, EIO, "reply longer than %llu bytes",
                          (unsigned long long)max_bytes(t));
    if (t->rc)
        return 0;
    t->delivered = true;
    if (relayed && vivo_relay_put(t, data, len))
        t->rc = vivo_fail(&t->err, ENOMEM, "reply: out of memory");
    else if (!relayed && t->sink)
        t->rc = t->sink->write(t->sink, data, len, &t->err);
    return t->rc ? 0 : len;
}

bool vivo_transfer_is_silent(struct transfer *t, int64_t now_ms)
{
    curl_off_t up = 0;
    curl_off_t down = 0;
    long head = 0;
    curl_easy_getinfo(t->easy, CURLINFO_SIZE_UPLOAD_T, &up);
    curl_easy_getinfo(t->easy, CURLINFO_SIZE_DOWNLOAD_T, &down);
    curl_easy_getinfo(t->easy, CURLINFO_HEADER_SIZE, &head);
    int64_t seen = (int64_t)up + (int64_t)down + head;
    if (seen != t->seen || t->relay.paused) {
        t->seen = seen;
        t->last_ms = now_ms;
    }
    t->silent = now_ms - t->last_ms > t->silence_ms;
    return t->silent;
}

/* What libcurl makes of a relative Location holds the user and password of netrc, if
 * they were sent: they are no part of the address, and those of a server are refused.
 */
static void drop_user(char *url)
{
    char *host = strstr(url, "://");
    char *end = host ? host + 3 + strcspn(host + 3, "/?#") : NULL;
    char *at = host ? memrchr(host, '@', (size_t)(end - host)) : NULL;
    if (at)
        memmove(host + 3, at + 1, strlen(at + 1) + 1);
}

void vivo_transfer_end(struct transfer *t, int code)
{
    char *redirect = NULL;
    curl_off_t retry_after = 0;
    t->code = code;
    if (t->reply->received == 0)
        read_status(t);
    curl_easy_getinfo(t->easy, CURLINFO_RETRY_AFTER, &retry_after);
    curl_easy_getinfo(t->easy, CURLINFO_REDIRECT_URL, &redirect);
    t->retry_after = retry_after;
    t->redirect = redirect ? strdup(redirect) : NULL;
    if (t->redirect && t->relative)
        drop_user(t->redirect);
}

/* ---- what it means ---------------------------------------------------------- */

static int verdict_of_status(const struct transfer *t, bool *again,
                             struct vivo_err *err)
{
    const char *kind = t->rq->ftp ? "FTP, as HTTP" : "HTTP";
    int status = t->reply->status;
    *again = status == 429 || status == 500 || (status >= 502 && status <= 504);
    if (status == 401 || status == 403)
        return vivo_fail(err, EACCES, "%s %d", kind, status);
    if (status == 404 || status == 410)
        return vivo_fail(err, ENOENT, "%s %d", kind, status);
    return vivo_fail(err, EIO, "%s %d", kind, status);
}

static int verdict_of_code(const struct transfer *t, bool *again, struct vivo_err *err)
{
    const char *detail =
        t->detail[0] ? t->detail : curl_easy_strerror((CURLcode)t->code);
    curl_off_t connected = 0;
    curl_easy_getinfo(t->easy, CURLINFO_CONNECT_TIME_T, &connected);
    switch (t->code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_PARTIAL_FILE:
        *again = true;
        return vivo_fail(err, EIO, "%s", detail);
    case CURLE_OPERATION_TIMEDOUT:
        *again = connected == 0;
        return vivo_fail(err, ETIMEDOUT, "%s",
                         connected == 0 ? "no connection in time" : detail);
    /* An FTP server answered something else than it was asked: another connection
     * begins in step. Refusals have been told by their status. */
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_FTP_WEIRD_PASS_REPLY:
    case CURLE_FTP_WEIRD_PASV_REPLY:
    case CURLE_FTP_WEIRD_227_FORMAT:
    case CURLE_FTP_COULDNT_SET_TYPE:
    case CURLE_FTP_COULDNT_USE_REST:
    case CURLE_FTP_COULDNT_RETR_FILE:
        *again = true;
        return vivo_fail(err, EIO, "%s", detail);
    default:
        return vivo_fail(err, EIO, "%s", detail);
    }
}

/* libcurl takes an FTP range that ends with the file for a cut one, and one that was
 * cut for a whole one: SIZE tells. */
static bool is_ftp_range(const struct transfer *t)
{
    return t->rq->ftp && t->rq->range_len > 0 && t->reply->total >= 0 &&
           (t->code == CURLE_OK || t->code == CURLE_PARTIAL_FILE);
}

static int verdict_of_range(const struct transfer *t, bool *again, struct vivo_err *err)
{
    uint64_t total = (uint64_t)t->reply->total;
    uint64_t left = total - VIVO_MIN(t->rq->range_first, total);
    uint64_t want = VIVO_MIN(left, t->rq->range_len);
    *again = t->reply->received < want;
    if (t->reply->received == want)
        return 0;
    return vivo_fail(err, EIO, "reply cut: %llu of %llu bytes",
                     (unsigned long long)t->reply->received, (unsigned long long)want);
}

int vivo_transfer_verdict(const struct transfer *t, bool *again, struct vivo_err *err)
{
    *again = false;
    if (t->rc) {
        if (t->err.errnum == -t->rc)
            return vivo_fail(err, t->err.errnum, "%s", t->err.text);
        return vivo_fail(err, -t->rc, "the receiver of the reply failed");
    }
    if (t->silent)
        return vivo_fail(err, ETIMEDOUT, "silent for more than %lld ms",
                         (long long)t->silence_ms);
    /* A refusal counts even when its page was cut. */
    if (t->reply->status >= 300)
        return verdict_of_status(t, again, err);
    if (is_ftp_range(t))
        return verdict_of_range(t, again, err);
    if (t->code != CURLE_OK)
        return verdict_of_code(t, again, err);
    if (!is_success(t))
        return verdict_of_status(t, again, err);
    if (t->rq->method && strcmp(t->rq->method, "HEAD") == 0)
        return 0;
    if (t->reply->received == 0 && t->reply->by_close && !t->rq->close_ends)
        return vivo_fail(err, EIO, "empty reply without a length");
    if (t->reply->content_length >= 0 &&
        t->reply->received != (uint64_t)t->reply->content_length)
        return vivo_fail(err, EIO, "reply cut: %llu of %lld bytes",
                         (unsigned long long)t->reply->received,
                         (long long)t->reply->content_length);
    return 0;
}

/* ---- what libcurl is told --------------------------------------------------- */

static int add_header(struct transfer *t, const char *name, const char *value,
                      struct vivo_err *err)
{
    char *line = NULL;
    if (strpbrk(value, "\r\n"))
        return vivo_fail(err, EINVAL, "a request header holds a line break");
    if (asprintf(&line, "%s%s", name, value) < 0)
        return vivo_fail(err, ENOMEM, "request: out of memory");
    struct curl_slist *list = curl_slist_append(t->headers, line);
    free(line);
    if (!list)
        return vivo_fail(err, ENOMEM, "request: out of memory");
    t->headers = list;
    return 0;
}

/* libcurl before 8 signs the digest of the body, but does not send it. */
static int add_signed(struct transfer *t, const struct vivo_net_signer *signer,
                      struct vivo_err *err)
{
    static const char no_body[] =
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    int rc = add_header(t, "x-amz-content-sha256: ", no_body, err);
    if (rc == 0 && signer->id && signer->session)
        rc = add_header(t, "x-amz-security-token: ", signer->session, err);
    return rc;
}

static int set_headers(struct transfer *t, const struct exchange *x,
                       struct vivo_err *err)
{
    const struct vivo_net_request *rq = x->rq;
    int rc = add_header(t, "Accept: ", rq->accept ? rq->accept : "*/*", err);
    /* No waiting for "100 Continue": bodies are small. Signing would take the header in
     * that is not sent. */
    if (rc == 0 && !rq->signer)
        rc = add_header(t, "Expect:", "", err);
    /* Headers of the caller may be keys (X-Api-Key): another host gets none. */
    for (size_t i = 0; rc == 0 && x->same_origin && rq->headers && rq->headers[i]; i++)
        rc = add_header(t, "", rq->headers[i], err);
    if (rc == 0 && x->same_origin && rq->signer)
        rc = add_signed(t, rq->signer, err);
    if (rc == 0)
        curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers);
    return rc;
}

static void set_method(CURL *e, const struct exchange *x)
{
    const struct vivo_net_request *rq = x->rq;
    if (strcmp(x->method, "GET") == 0)
        return;
    if (strcmp(x->method, "HEAD") == 0) {
        curl_easy_setopt(e, CURLOPT_NOBODY, 1L);
        return;
    }
    if (rq->body || strcmp(x->method, "POST") == 0) {
        curl_easy_setopt(e, CURLOPT_POST, 1L);
        curl_easy_setopt(e, CURLOPT_POSTFIELDS, rq->body ? rq->body : "");
        curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE,
                         (curl_off_t)(rq->body ? rq->body_len : 0));
    }
    if (strcmp(x->method, "POST") != 0)
        curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, x->method);
}

/* Credentials are given to libcurl and never become headers of ours, and only for
 * the host that was asked first: each redirect is an exchange of its own. */
static void set_credentials(CURL *e, const struct settings *s, const struct exchange *x)
{
    const struct vivo_net_signer *signer = x->rq->signer;
    if (!x->same_origin)
        return;
    if (signer) {
        curl_easy_setopt(e, CURLOPT_AWS_SIGV4, signer->provider);
        if (signer->id) {
            curl_easy_setopt(e, CURLOPT_USERNAME, signer->id);
            curl_easy_setopt(e, CURLOPT_PASSWORD, signer->secret);
        } else if (s->netrc) {
            curl_easy_setopt(e, CURLOPT_NETRC, (long)CURL_NETRC_OPTIONAL);
            curl_easy_setopt(e, CURLOPT_NETRC_FILE, s->netrc);
        }
    } else if (x->rq->bearer) {
        curl_easy_setopt(e, CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER);
        curl_easy_setopt(e, CURLOPT_XOAUTH2_BEARER, x->rq->bearer);
    } else if (x->rq->basic) {
        curl_easy_setopt(e, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        curl_easy_setopt(e, CURLOPT_USERPWD, x->rq->basic);
    } else if (s->netrc && !x->rq->no_netrc) {
        curl_easy_setopt(e, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        curl_easy_setopt(e, CURLOPT_NETRC, (long)CURL_NETRC_OPTIONAL);
        curl_easy_setopt(e, CURLOPT_NETRC_FILE, s->netrc);
    }
}

static void set_transport(CURL *e, const struct settings *s)
{
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(e, CURLOPT_UNRESTRICTED_AUTH, 0L);
    curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(e, CURLOPT_BUFFERSIZE, BUFFER_BYTES);
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, s->connect_ms);
    /* libcurl's own watch over silence, coarser than vivo_transfer_is_silent. */
    curl_easy_setopt(e, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(e, CURLOPT_LOW_SPEED_TIME, (long)(s->silence_ms / 1000 + 1));
    curl_easy_setopt(e, CURLOPT_USERAGENT, "vivofs/" VIVOFS_VERSION);
    if (s->proxy)
        curl_easy_setopt(e, CURLOPT_PROXY, s->proxy);
    if (s->cafile)
        curl_easy_setopt(e, CURLOPT_CAINFO, s->cafile);
}

static void set_callbacks(struct transfer *t)
{
    curl_easy_setopt(t->easy, CURLOPT_PRIVATE, (void *)t);
    curl_easy_setopt(t->easy, CURLOPT_ERRORBUFFER, t->detail);
    curl_easy_setopt(t->easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(t->easy, CURLOPT_HEADERDATA, (void *)t);
    curl_easy_setopt(t->easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(t->easy, CURLOPT_WRITEDATA, (void *)t);
}

int vivo_transfer_init(struct transfer *t, const struct settings *s,
                       const struct exchange *x, struct vivo_sink *sink,
                       struct vivo_net_reply *reply, struct vivo_err *err)
{
    *t = (struct transfer){.rq = x->rq, .sink = sink, .reply = reply};
    t->silence_ms = s->silence_ms;
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&t->ended, &attr);
    pthread_condattr_destroy(&attr);
    start_reply(t);
    int rc = vivo_url_origin(x->url, x->rq->ftp, t->origin, err);
    if (rc)
        return rc;
    t->easy = curl_easy_init();
    if (!t->easy || curl_easy_setopt(t->easy, CURLOPT_URL, x->url) != CURLE_OK)
        return vivo_fail(err, ENOMEM, "request: out of memory");
    set_transport(t->easy, s);
    if (x->rq->ftp)
        vivo_transfer_ftp_setup(t, x);
    else
        set_method(t->easy, x);
    set_credentials(t->easy, s, x);
    set_callbacks(t);
    if (x->rq->range_len > 0) {
        char range[64];
        snprintf(range, sizeof range, "%llu-%llu",
                 (unsigned long long)x->rq->range_first,
                 (unsigned long long)(x->rq->range_first + x->rq->range_len - 1));
        curl_easy_setopt(t->easy, CURLOPT_RANGE, range);
    }
    return set_headers(t, x, err);
}

void vivo_transfer_fini(struct transfer *t)
{
    if (t->easy)
        curl_easy_cleanup(t->easy);
    curl_slist_free_all(t->headers);
    vivo_buf_free(&t->relay.came);
    free(t->redirect);
    pthread_cond_destroy(&t->ended);
}
