/* SPDX-License-Identifier: Apache-2.0 */
/* src/net/http/net_thread.h -- the net thread's state, and what fetch.c asks of it. */
#ifndef VIVOFS_NET_THREAD_H
#define VIVOFS_NET_THREAD_H

#include "transfer.h"

#include <pthread.h>
#include <stdatomic.h>

struct vivo_net {
    void *multi; /* CURLM *; of the thread, but for curl_multi_wakeup */
    pthread_t thread;
    struct settings settings; /* constant */
    unsigned max_connections, per_host, retries, rate, backoff_ms;
    int64_t next_us; /* of the thread: when another exchange may begin, with a rate */
    atomic_uint_least64_t requests, bytes, retried, failures;

    pthread_mutex_t mutex;
    pthread_cond_t left;      /* a caller has left */
    struct transfer *queue;   /* guarded by mutex; first come first served */
    struct transfer *running; /* guarded by mutex */
    unsigned nrunning;        /* guarded by mutex */
    unsigned callers;         /* guarded by mutex: inside vivo_net_fetch */
    bool stopping;            /* guarded by mutex */
};

/* Runs one transfer to its end. 0 = it ended by itself (ask vivo_transfer_verdict);
 * -EINTR, -ETIMEDOUT = the op or the net did. Then it is no longer the thread's. */
int vivo_net_run(struct vivo_net *n, struct transfer *t, struct vivo_op *op);

/* Around every call from outside, so that vivo_net_free can wait for them. */
bool vivo_net_enter(struct vivo_net *n);
void vivo_net_leave(struct vivo_net *n);
bool vivo_net_is_stopping(struct vivo_net *n);

#endif
