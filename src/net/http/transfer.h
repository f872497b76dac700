/* SPDX-License-Identifier: Apache-2.0 */
/* src/net/http/transfer.h -- one HTTP exchange: one easy handle, one reply.
 *
 * Made and read by the calling thread, run by the net thread. Between being queued
 * and `done` it belongs to the net thread, except for what the mutex guards. */
#ifndef VIVOFS_NET_TRANSFER_H
#define VIVOFS_NET_TRANSFER_H

#include "vivofs/net.h"

#include <pthread.h>

#define DETAIL_MAX 256 /* CURL_ERROR_SIZE */
#define ORIGIN_MAX 320 /* "https://" + host name + port */

struct curl_slist;

/* What is the same for every exchange of a net: copies of its configuration. */
struct settings {
    long connect_ms;
    int64_t silence_ms;
    char *proxy, *cafile, *netrc;
};

/* One exchange as asked for: a request after redirects. */
struct exchange {
    const struct vivo_net_request *rq;
    const char *url;
    const char *method;
    bool same_origin; /* false: redirected elsewhere, so no credentials */
};

/* Between the net thread and a caller that takes the body in by itself. */
struct relay {
    pthread_mutex_t *mutex; /* the net's: guards what follows */
    struct vivo_buf came;   /* and was not taken yet */
    bool paused;            /* libcurl keeps the rest until there is room */
};

struct transfer {
    void *easy; /* CURL * */
    struct curl_slist *headers;
    const struct vivo_net_request *rq;
    struct vivo_sink *sink;
    struct vivo_net_reply *reply; /* the caller's */
    char origin[ORIGIN_MAX];
    int64_t silence_ms;
    int64_t last_ms;     /* when anything was last sent or received */
    int64_t seen;        /* bytes both ways at last_ms */
    bool chunked;        /* Transfer-Encoding tells where the body ends */
    bool ranged;         /* Content-Range begins where it was asked to */
    bool relative;       /* Location names no host: libcurl writes it, with user */
    bool delivered;      /* bytes went to the sink */
    bool denied;         /* FTP: the last refusal spoke of permission */
    bool begun;          /* FTP: the server has said that the transfer begins */
    bool silent;         /* ended because nothing came any more */
    int rc;              /* of the sink or a limit; then err is set */
    struct vivo_err err; /* written by the net thread until done */
    int code;            /* CURLcode */
    int64_t retry_after; /* seconds; 0 = not said */
    char *redirect;      /* absolute URL of a 3xx, or NULL; owned */
    char detail[DETAIL_MAX];

    struct relay relay;    /* with rq->on_caller */
    pthread_cond_t ended;  /* or something came by the relay */
    struct transfer *next; /* queue or running list; guarded by the net's mutex */
    bool abandon;          /* guarded by mutex: the caller wants it to end */
    bool done;             /* guarded by mutex */
};

/* Fills t for one exchange. -EINVAL, -ENOMEM. */
int vivo_transfer_init(struct transfer *t, const struct settings *s,
                       const struct exchange *x, struct vivo_sink *sink,
                       struct vivo_net_reply *reply, struct vivo_err *err);
void vivo_transfer_fini(struct transfer *t);

/* On the net thread, after curl has finished with it. */
void vivo_transfer_end(struct transfer *t, int code);
/* On the net thread: has it been silent for too long? */
bool vivo_transfer_is_silent(struct transfer *t, int64_t now_ms);

/* The verdict over a finished exchange: 0 or the negative errno with *err set,
 * text without host and path. *again: may be tried again. */
int vivo_transfer_verdict(const struct transfer *t, bool *again, struct vivo_err *err);

/* ---- relay.c ---------------------------------------------------------------- */

/* On the net thread: may more be put? If not, the transfer counts as paused. */
bool vivo_relay_has_room(struct transfer *t);
int vivo_relay_put(struct transfer *t, const void *data, size_t len);
/* On the net thread, with the mutex held: paused, and there is room again? Then it is
 * not paused any more. */
bool vivo_relay_resume_locked(struct transfer *t);
/* On the caller's thread, with the mutex held, which is let go meanwhile: gives what
 * came to the sink. *resume: the net thread shall look at it. */
int vivo_relay_take_locked(struct transfer *t, bool *resume, struct vivo_err *err);

/* ---- ftp.c ------------------------------------------------------------------ */

/* One line of the control connection: sizes and why something was refused. */
void vivo_transfer_ftp_line(struct transfer *t, const char *line, size_t len);
/* What HTTP would have answered; 0 before there was an answer. */
int vivo_transfer_ftp_status(const struct transfer *t, long code);
void vivo_transfer_ftp_setup(const struct transfer *t, const struct exchange *x);

/* ---- origin.c ------------------------------------------------------------------ */

/* Splits off "scheme://host:port" (default ports left out, lower case). -EINVAL: not
 * http(s), or not ftp(s) where that is wanted, userinfo, or no URL at all. */
int vivo_url_origin(const char *url, bool ftp, char out[ORIGIN_MAX],
                    struct vivo_err *err);

#endif
