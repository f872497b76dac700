/* SPDX-License-Identifier: Apache-2.0 */
/* include/vivofs/net.h -- HTTP(S), and FTP for who asks for it, over one libcurl multi
 * handle on one thread.
 *
 * HTTP/1.1, pooled connections, low-speed abort, jittered back-off, Retry-After,
 * per-host limits; redirects never carry credentials to another host; every reply
 * is bounded. DESIGN C7. */
#ifndef VIVOFS_NET_H
#define VIVOFS_NET_H

#include "vivofs/buf.h"
#include "vivofs/op.h"

#include <stdbool.h>
#include <stdint.h>

struct vivo_net; /* thread-safe; made after the process has forked */

struct vivo_net_config {
    unsigned max_connections; /* in all; 0 = 64 */
    unsigned per_host;        /* 0 = 32: the archive's jobs are the closer limit */
    int64_t timeout_ms;       /* silence after which a request is ETIMEDOUT; 0 = 30 s */
    unsigned retries;         /* of 429, 500, 502, 503, 504 and failed connects */
    unsigned backoff_ms; /* before the first of them, then twice that …; 0 = 250 */
    const char *proxy;   /* NULL = as the environment says */
    const char *cafile;  /* NULL = the system's */
    const char *netrc;   /* path (curl's syntax), or NULL. Readable by others:
                            -EPERM at vivo_net_new */
    unsigned rate;       /* exchanges begun in a second, at most; 0 = any */
};
int vivo_net_new(const struct vivo_net_config *cfg, struct vivo_net **out,
                 struct vivo_err *err);
void vivo_net_free(struct vivo_net *n); /* ends what is under way with -EINTR */

/* Where a body goes; called on the net thread, must not block long (see on_caller).
 * Non-zero ends the transfer with it. */
struct vivo_sink {
    int (*write)(struct vivo_sink *self, const void *data, size_t len,
                 struct vivo_err *err);
    /* A retry starts over: forget what was written. NULL = cannot, so no retry
     * once bytes have come. */
    int (*restart)(struct vivo_sink *self, struct vivo_err *err);
};
/* A sink into a buffer; full = -EIO "reply longer than …". */
struct vivo_buf_sink {
    struct vivo_sink base;
    struct vivo_buf *buf;
};
void vivo_buf_sink_init(struct vivo_buf_sink *s, struct vivo_buf *buf);

/* A request signed as Amazon's stores want it (SigV4). The secret never leaves; the
 * signature goes to the host that was asked and to no other. */
struct vivo_net_signer {
    const char *provider; /* libcurl's: "aws:amz:us-east-1:s3" */
    /* id NULL: what the netrc file has for the host; without that it goes unsigned. */
    const char *id, *secret;
    const char *session; /* token of temporary keys, or NULL */
};

struct vivo_net_request {
    const char *method;         /* NULL = GET */
    const char *url;            /* no userinfo: that is -EINVAL */
    const char *what;           /* in messages instead of the path, where that may
                                   name a patient: "a file"; NULL = the path, redacted */
    const char *accept;         /* NULL = any */
    const char *const *headers; /* "Name: value", NULL-terminated; or NULL */
    const void *body;           /* of POST; borrowed until the call returns */
    size_t body_len;
    const char *bearer; /* token, or NULL */
    const char *basic;  /* "user:password", or NULL */
    bool no_netrc; /* who asks stands in `headers` (a cookie): nothing else is sent */
    const struct vivo_net_signer *signer; /* or NULL; GET without a body only. The URL's
                                             query is in the order of its names */
    uint64_t range_first, range_len;      /* bytes; range_len 0 = whole body */
    uint64_t max_bytes;                   /* of the reply; 0 = 64 MiB */
    char *landed;      /* gets the URL that redirects led to, "" = none did, or it is */
    size_t landed_cap; /* longer than this; NULL = nobody asks */
    bool close_ends;   /* a body ended by close is not a cut one (caller checks) */
    bool on_caller;    /* the sink is called by the thread that waits, and may take its
                          time: the server is held up meanwhile */
    bool ftp; /* the URL is of ftp or ftps. method: NULL = RETR, else a listing: MLSD,
                 LIST. Its answers become HTTP's: 401, 403, 404, 501 (a command that it
                 does not know), 503, and 200 or 206 */
};

struct vivo_net_reply {
    int status;
    char content_type[256];
    char etag[128];
    char warning[128];      /* Warning header */
    char modified[64];      /* Last-Modified, as it stands */
    char cookies[512];      /* Set-Cookie headers, a line each; as many as fit */
    char refusal[256];      /* how the body of an error begins; never to be shown */
    int64_t content_length; /* as announced; -1 = not */
    int64_t total;          /* of the whole thing, also of a range; -1 = not said */
    bool encoded;           /* a Content-Encoding that nobody asked for */
    uint64_t received;      /* bytes of body */
    bool by_close; /* no length, not chunked: the body ends with the connection */
};

/* Sends, waits, retries. 0 for 2xx. 401, 403 = -EACCES; 404, 410 = -ENOENT; other
 * statuses, a cut body, a failed connection = -EIO; silence = -ETIMEDOUT; cancelled
 * = -EINTR; the reply is filled as far as known in every case, and all but
 * `received` before the first byte goes to the body. op->err names host, redacted
 * path and cause. On an error status the body goes nowhere. A range asked for may be
 * answered with 200 and everything: look at out->status. body may be NULL. Redirects
 * are followed for GET and HEAD within http and https, never down to http. */
int vivo_net_fetch(struct vivo_net *n, const struct vivo_net_request *rq,
                   struct vivo_sink *body, struct vivo_net_reply *out,
                   struct vivo_op *op);

/* For messages: scheme, host and path without userinfo and query; parts that look
 * like UIDs or longer than 24 characters become "…". Always fits. */
void vivo_url_redact(const char *url, char *out, size_t cap);

struct vivo_net_counters {
    uint64_t requests, bytes, retries, failures;
};
void vivo_net_count(struct vivo_net *n, struct vivo_net_counters *out);

#endif
