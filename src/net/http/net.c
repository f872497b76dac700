/* SPDX-License-Identifier: Apache-2.0 */
/* src/net/http/net.c -- the net thread: queue, limits, one libcurl multi handle.
 *
 * Callers queue a transfer, wake the thread and wait on the transfer's condition.
 * The queue is ours, not libcurl's, so that waiting for a free connection of a busy
 * host is not taken for silence of that host. No lock is held while libcurl runs. */
#include "net_thread.h"

#include <curl/curl.h>

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define POLL_MS 100 /* also how soon a cancelled op is noticed */
#define CONNECT_MAX_MS 15000
#define BACKOFF_MS 250
#define FTP_PER_HOST 4u /* FTP servers count control connections by address */

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void init_curl(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* ---- the thread ------------------------------------------------------------- */

static unsigned running_of_host_locked(const struct vivo_net *n, const char *origin)
{
    unsigned count = 0;
    for (const struct transfer *t = n->running; t; t = t->next)
        count += strcmp(t->origin, origin) == 0;
    return count;
}

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* May another exchange begin? At the rate asked for, evenly: what a late wake-up
 * missed is made up for, but no more than that. */
static bool is_in_time(const struct vivo_net *n)
{
    return n->rate == 0 || now_us() >= n->next_us;
}

static void count_rate(struct vivo_net *n)
{
    if (n->rate == 0)
        return;
    int64_t earliest = now_us() - POLL_MS * 1000;
    n->next_us = VIVO_MAX(n->next_us, earliest) + 1000000 / (int64_t)n->rate;
}

/* How long the thread may sleep. */
static int nap_ms(const struct vivo_net *n)
{
    int64_t ms = n->rate ? (n->next_us - now_us()) / 1000 + 1 : POLL_MS;
    return (int)VIVO_MIN(VIVO_MAX(ms, 1), POLL_MS);
}

/* Takes the first queued transfer that its host has room for. */
static struct transfer *take_locked(struct vivo_net *n)
{
    if (n->nrunning >= n->max_connections)
        return NULL;
    for (struct transfer **p = &n->queue; *p; p = &(*p)->next) {
        struct transfer *t = *p;
        unsigned most = t->rq->ftp ? VIVO_MIN(n->per_host, FTP_PER_HOST) : n->per_host;
        if (t->abandon || running_of_host_locked(n, t->origin) >= most)
            continue;
        *p = t->next;
        t->next = n->running;
        n->running = t;
        n->nrunning++;
        return t;
    }
    return NULL;
}

static void unlink_locked(struct transfer **list, const struct transfer *t)
{
    for (struct transfer **p = list; *p; p = &(*p)->next) {
        if (*p == t) {
            *p = t->next;
            return;
        }
    }
}

static void start_queued(struct vivo_net *n)
{
    for (;;) {
        pthread_mutex_lock(&n->mutex);
        struct transfer *t = n->stopping || !is_in_time(n) ? NULL : take_locked(n);
        pthread_mutex_unlock(&n->mutex);
        if (!t)
            return;
        count_rate(n);
        t->last_ms = vivo_now_ms();
        curl_multi_add_handle(n->multi, t->easy);
    }
}

/* After this the transfer is the caller's again. */
static void finish(struct vivo_net *n, struct transfer *t, int code)
{
    curl_multi_remove_handle(n->multi, t->easy);
    vivo_transfer_end(t, code);
    pthread_mutex_lock(&n->mutex);
    unlink_locked(&n->running, t);
    n->nrunning--;
    t->done = true;
    pthread_cond_signal(&t->ended);
    pthread_mutex_unlock(&n->mutex);
}

static bool finish_completed(struct vivo_net *n)
{
    CURLMsg *msg;
    int left;
    bool any = false;
    while ((msg = curl_multi_info_read(n->multi, &left))) {
        struct transfer *t = NULL;
        CURLcode code = msg->data.result;
        if (msg->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&t);
        finish(n, t, (int)code);
        any = true;
    }
    return any;
}

/* One running transfer that must end now: abandoned, silent, or all are to stop. */
static struct transfer *find_ending(struct vivo_net *n, int64_t now)
{
    struct transfer *t;
    pthread_mutex_lock(&n->mutex);
    for (t = n->running; t; t = t->next) {
        if (t->abandon || n->stopping || vivo_transfer_is_silent(t, now))
            break;
    }
    pthread_mutex_unlock(&n->mutex);
    return t;
}

/* One whose caller has made room again. */
static struct transfer *find_resuming(struct vivo_net *n)
{
    struct transfer *t;
    pthread_mutex_lock(&n->mutex);
    for (t = n->running; t; t = t->next) {
        if (vivo_relay_resume_locked(t))
            break;
    }
    pthread_mutex_unlock(&n->mutex);
    return t;
}

/* Queued transfers that were abandoned were never libcurl's. */
static void drop_queued(struct vivo_net *n)
{
    pthread_mutex_lock(&n->mutex);
    for (struct transfer **p = &n->queue; *p;) {
        struct transfer *t = *p;
        if (!t->abandon && !n->stopping) {
            p = &t->next;
            continue;
        }
        *p = t->next;
        t->code = CURLE_ABORTED_BY_CALLBACK;
        t->done = true;
        pthread_cond_signal(&t->ended);
    }
    pthread_mutex_unlock(&n->mutex);
}

/* Is something kept waiting by the rate alone? Else nothing is due before an event. */
static bool is_held_back(struct vivo_net *n)
{
    pthread_mutex_lock(&n->mutex);
    bool held = n->rate > 0 && n->queue;
    pthread_mutex_unlock(&n->mutex);
    return held;
}

static bool is_over(struct vivo_net *n)
{
    pthread_mutex_lock(&n->mutex);
    bool over = n->stopping && !n->queue && !n->running;
    pthread_mutex_unlock(&n->mutex);
    return over;
}

static void *run(void *ctx)
{
    struct vivo_net *n = ctx;
    while (!is_over(n)) {
        int still;
        drop_queued(n);
        start_queued(n);
        struct transfer *t;
        while ((t = find_resuming(n)))
            curl_easy_pause(t->easy, CURLPAUSE_CONT);
        curl_multi_perform(n->multi, &still);
        bool ended = finish_completed(n);
        int64_t now = vivo_now_ms();
        while ((t = find_ending(n, now))) {
            finish(n, t, CURLE_ABORTED_BY_CALLBACK);
            ended = true;
        }
        /* Whatever ended may have made room for one that is queued. */
        if (!ended)
            curl_multi_poll(n->multi, NULL, 0, is_held_back(n) ? nap_ms(n) : POLL_MS,
                            NULL);
    }
    return NULL;
}

/* ---- for callers ------------------------------------------------------------ */

static void wait_a_little_locked(struct vivo_net *n, struct transfer *t)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += POLL_MS * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    pthread_cond_timedwait(&t->ended, &n->mutex, &until);
}

static void enqueue(struct vivo_net *n, struct transfer *t)
{
    pthread_mutex_lock(&n->mutex);
    struct transfer **p = &n->queue;
    while (*p)
        p = &(*p)->next;
    t->next = NULL;
    *p = t;
    pthread_mutex_unlock(&n->mutex);
    curl_multi_wakeup(n->multi);
}

/* What came by the relay, else a little later: is the op still wanted? */
static int take_or_wait_locked(struct vivo_net *n, struct transfer *t,
                               struct vivo_op *op)
{
    bool resume = false;
    int rc = 0;
    if (t->relay.came.len > 0 && !t->abandon)
        rc = vivo_relay_take_locked(t, &resume, &op->err);
    else if (!t->done)
        wait_a_little_locked(n, t);
    if (rc == 0 && !t->done && !t->abandon) {
        pthread_mutex_unlock(&n->mutex);
        rc = vivo_op_check(op);
        pthread_mutex_lock(&n->mutex);
    }
    if (rc || resume)
        curl_multi_wakeup(n->multi);
    return rc;
}

int vivo_net_run(struct vivo_net *n, struct transfer *t, struct vivo_op *op)
{
    struct vivo_err why = {0};
    int sunk = 0;
    t->relay.mutex = &n->mutex;
    enqueue(n, t);
    pthread_mutex_lock(&n->mutex);
    while (!t->done || (t->relay.came.len > 0 && !t->abandon)) {
        int rc = take_or_wait_locked(n, t, op);
        if (rc == 0)
            continue;
        sunk = rc;
        why = op->err;
        vivo_err_clear(&op->err);
        t->abandon = true;
    }
    bool stopped = n->stopping && t->code == CURLE_ABORTED_BY_CALLBACK && !t->silent;
    pthread_mutex_unlock(&n->mutex);
    if (t->abandon && (t->code != CURLE_OK || t->rq->on_caller)) {
        op->err = why;
        return sunk;
    }
    if (stopped)
        return vivo_fail(&op->err, EINTR, "ended: the mount is going away");
    return 0;
}

bool vivo_net_enter(struct vivo_net *n)
{
    pthread_mutex_lock(&n->mutex);
    bool in = !n->stopping;
    n->callers += in;
    pthread_mutex_unlock(&n->mutex);
    return in;
}

void vivo_net_leave(struct vivo_net *n)
{
    pthread_mutex_lock(&n->mutex);
    n->callers--;
    pthread_cond_broadcast(&n->left);
    pthread_mutex_unlock(&n->mutex);
}

bool vivo_net_is_stopping(struct vivo_net *n)
{
    pthread_mutex_lock(&n->mutex);
    bool stopping = n->stopping;
    pthread_mutex_unlock(&n->mutex);
    return stopping;
}

void vivo_net_count(struct vivo_net *n, struct vivo_net_counters *out)
{
    out->requests = atomic_load(&n->requests);
    out->bytes = atomic_load(&n->bytes);
    out->retries = atomic_load(&n->retried);
    out->failures = atomic_load(&n->failures);
}

/* ---- making and ending ------------------------------------------------------ */

/* Others could read the passwords in it, or put their own host in (cf. ssh). */
static int check_netrc(const char *path, struct vivo_err *err)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return vivo_fail(err, errno == ENOENT ? ENOENT : EACCES, "netrc file %s: %s",
                         path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return vivo_fail(err, EINVAL, "netrc file %s: not a regular file", path);
    if (st.st_mode & 077)
        return vivo_fail(err, EPERM,
                         "netrc file %s: others can read or change it (mode %03o), "
                         "use chmod 600",
                         path, (unsigned)(st.st_mode & 0777));
    return 0;
}

static int copy_string(const char *s, char **out, struct vivo_err *err)
{
    *out = NULL;
    if (!s)
        return 0;
    *out = strdup(s);
    return *out ? 0 : vivo_fail(err, ENOMEM, "net: out of memory");
}

static int copy_settings(struct settings *s, const struct vivo_net_config *cfg,
                         struct vivo_err *err)
{
    s->silence_ms = cfg->timeout_ms > 0 ? cfg->timeout_ms : 30000;
    s->connect_ms = (long)VIVO_MIN(s->silence_ms, CONNECT_MAX_MS);
    int rc = copy_string(cfg->proxy, &s->proxy, err);
    if (rc == 0)
        rc = copy_string(cfg->cafile, &s->cafile, err);
    if (rc == 0)
        rc = copy_string(cfg->netrc, &s->netrc, err);
    return rc;
}

static void release(struct vivo_net *n)
{
    if (n->multi)
        curl_multi_cleanup(n->multi);
    pthread_mutex_destroy(&n->mutex);
    pthread_cond_destroy(&n->left);
    free(n->settings.proxy);
    free(n->settings.cafile);
    free(n->settings.netrc);
    free(n);
}

int vivo_net_new(const struct vivo_net_config *cfg, struct vivo_net **out,
                 struct vivo_err *err)
{
    pthread_once(&curl_once, init_curl);
    int rc = cfg->netrc ? check_netrc(cfg->netrc, err) : 0;
    if (rc)
        return rc;
    struct vivo_net *n = calloc(1, sizeof *n);
    if (!n)
        return vivo_fail(err, ENOMEM, "net: out of memory");
    pthread_mutex_init(&n->mutex, NULL);
    pthread_cond_init(&n->left, NULL);
    n->max_connections = cfg->max_connections ? cfg->max_connections : 64;
    n->per_host = cfg->per_host ? cfg->per_host : 32;
    n->retries = cfg->retries;
    n->backoff_ms = cfg->backoff_ms ? cfg->backoff_ms : BACKOFF_MS;
    n->rate = cfg->rate;
    rc = copy_settings(&n->settings, cfg, err);
    n->multi = rc == 0 ? curl_multi_init() : NULL;
    if (rc == 0 && !n->multi)
        rc = vivo_fail(err, ENOMEM, "net: out of memory");
    if (rc) {
        release(n);
        return rc;
    }
    curl_multi_setopt(n->multi, CURLMOPT_MAXCONNECTS, (long)n->max_connections);
    curl_multi_setopt(n->multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)n->per_host);
    curl_multi_setopt(n->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    if (pthread_create(&n->thread, NULL, run, n) != 0) {
        release(n);
        return vivo_fail(err, ENOMEM, "net: cannot start a thread");
    }
    *out = n;
    return 0;
}

void vivo_net_free(struct vivo_net *n)
{
    if (!n)
        return;
    pthread_mutex_lock(&n->mutex);
    n->stopping = true;
    curl_multi_wakeup(n->multi);
    while (n->callers > 0)
        pthread_cond_wait(&n->left, &n->mutex);
    pthread_mutex_unlock(&n->mutex);
    pthread_join(n->thread, NULL);
    release(n);
}
