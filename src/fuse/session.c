/* SPDX-License-Identifier: Apache-2.0 */
/* src/fuse/session.c -- mounting, serving, ending. */
#include "fuse/internal.h"

#include "vivofs/log.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define THREADS 64u
#define MAX_BACKGROUND                                                                 \
    1024u /* with libfuse's 12, twelve hung reads stop every other                     \
           */
#define CONGESTION 768u

static const int ending_signals[] = {SIGINT, SIGTERM, SIGHUP};

/* ---- the connection ---- */

static void init(void *userdata, struct fuse_conn_info *conn)
{
    struct vivo_session *s = userdata;

    conn->want |= conn->capable & FUSE_CAP_READDIRPLUS;
    conn->want &= ~(unsigned)(FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_WRITEBACK_CACHE);
    /* A reader stuck in a buffered read could not be interrupted otherwise. */
    if (s->network)
        conn->want &= ~(unsigned)FUSE_CAP_ASYNC_READ;
    if (s->max_read) /* what the kernel was told at mounting has to be said again */
        conn->max_read = s->max_read;
    conn->max_background = MAX_BACKGROUND;
    conn->congestion_threshold = CONGESTION;
    conn->time_gran = 1000000000;
}

static void to_log(enum fuse_log_level level, const char *fmt, va_list ap)
    VIVO_PRINTF(2, 0);
static void to_log(enum fuse_log_level level, const char *fmt, va_list ap)
{
    char line[512];
    size_t len;

    vsnprintf(line, sizeof line, fmt, ap);
    len = strlen(line);
    while (len > 0 && line[len - 1] == '\n')
        line[--len] = 0;
    vivo_log(level <= FUSE_LOG_ERR ? VIVO_LOG_WARN : VIVO_LOG_DEBUG, "libfuse", "%s",
             line);
}

struct read_buffer {
    size_t size;
    unsigned char data[];
};

void *thread_buffer(struct vivo_session *s, size_t size)
{
    struct read_buffer *b = pthread_getspecific(s->buffer);
    struct read_buffer *bigger;

    if (b && b->size >= size)
        return b->data;
    bigger = malloc(sizeof *b + size);
    if (!bigger)
        return NULL;
    bigger->size = size;
    free(b);
    pthread_setspecific(s->buffer, bigger);
    return bigger->data;
}

static int add_arg(struct fuse_args *args, const char *opt, struct vivo_err *err)
{
    if (fuse_opt_add_arg(args, "-o") || fuse_opt_add_arg(args, opt))
        return vivo_fail(err, ENOMEM, "no memory for mount options");
    return 0;
}

static bool number_of(const char *option, const char *name, unsigned long *out)
{
    size_t n = strlen(name);
    char *end;

    if (strncmp(option, name, n) != 0 || option[n] != '=')
        return false;
    *out = strtoul(option + n + 1, &end, 10);
    return end > option + n + 1 && !*end && *out <= INT_MAX;
}

/* What libfuse's loop is told, not its session: true when it was that. */
static bool take_loop_option(struct vivo_session *s, const char *option)
{
    unsigned long n;

    if (number_of(option, "max_threads", &n))
        s->threads = (unsigned)VIVO_MAX(VIVO_MIN(n, 4096ul), 1ul);
    else if (number_of(option, "max_idle_threads", &n))
        s->idle_threads = (unsigned)VIVO_MAX(n, 1ul);
    else if (!strcmp(option, "clone_fd"))
        s->clone_fd = true;
    else
        return false;
    return true;
}

static int make_args(struct vivo_session *s, const struct vivo_session_config *cfg,
                     struct fuse_args *args, struct vivo_err *err)
{
    unsigned long n;
    char fsname[256];
    int rc;

    if (fuse_opt_add_arg(args, "vivofs"))
        return vivo_fail(err, ENOMEM, "no memory for mount options");
    snprintf(fsname, sizeof fsname, "fsname=%s", cfg->fsname ? cfg->fsname : "vivofs");
    /* A comma would end the option. */
    for (char *c = fsname; (c = strchr(c, ','));)
        *c = '+';
    rc = add_arg(args, fsname, err);
    if (!rc)
        rc = add_arg(args, "subtype=vivofs,noatime", err);
    if (!rc && cfg->restricted)
        rc = add_arg(args, "default_permissions", err);
    for (size_t i = 0; cfg->options && cfg->options[i] && !rc; i++) {
        if (take_loop_option(s, cfg->options[i]))
            continue;
        if (number_of(cfg->options[i], "max_read", &n))
            s->max_read = (unsigned)n;
        rc = add_arg(args, cfg->options[i], err);
    }
    return rc;
}

static int make_fuse(struct vivo_session *s, const struct vivo_session_config *cfg,
                     struct vivo_err *err)
{
    struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
    struct fuse_lowlevel_ops ops = {.init = init};
    int rc = make_args(s, cfg, &args, err);

    ops_dir_fill(&ops);
    ops_file_fill(&ops);
    ops_change_fill(&ops);
    if (!rc) {
        fuse_set_log_func(to_log);
        s->se = fuse_session_new(&args, &ops, sizeof ops, s);
        if (!s->se)
            rc = vivo_fail(err, EINVAL, "libfuse does not accept the mount options");
    }
    fuse_opt_free_args(&args);
    return rc;
}

/* ---- signals ---- */

/* Handlers need to find it; there is one session in a process at a time. */
static struct vivo_session *_Atomic signalled;

static void on_signal(int number)
{
    struct vivo_session *s = atomic_load(&signalled);
    int saved = errno;

    (void)number;
    if (s)
        sem_post(&s->stop);
    errno = saved;
}

/* libfuse's loop looks at its flag only when its semaphore wakes it, and a signal that
 * comes just before is lost: so it is sent again until the loop has ended. */
static void *stopper(void *arg)
{
    struct vivo_session *s = arg;

    while (sem_wait(&s->stop))
        ;
    if (atomic_load(&s->stopped))
        return NULL;
    fuse_session_exit(s->se);
    while (!atomic_load(&s->stopped)) {
        pthread_kill(s->main_thread, SIGTERM);
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    return NULL;
}

static int catch_signals(struct vivo_session *s, struct sigaction *old,
                         struct vivo_err *err)
{
    struct sigaction act = {.sa_handler = on_signal};

    sigemptyset(&act.sa_mask);
    s->main_thread = pthread_self();
    atomic_store(&s->stopped, false);
    atomic_store(&signalled, s);
    if (pthread_create(&s->stopper, NULL, stopper, s))
        return vivo_fail(err, EIO, "no thread can be started");
    for (size_t i = 0; i < VIVO_ARRAY_LEN(ending_signals); i++)
        sigaction(ending_signals[i], &act, &old[i]);
    signal(SIGPIPE, SIG_IGN);
    return 0;
}

static void release_signals(struct vivo_session *s, const struct sigaction *old)
{
    atomic_store(&s->stopped, true);
    sem_post(&s->stop);
    pthread_join(s->stopper, NULL);
    atomic_store(&signalled, NULL);
    for (size_t i = 0; i < VIVO_ARRAY_LEN(ending_signals); i++)
        sigaction(ending_signals[i], &old[i], NULL);
}

/* ---- the calls of fuse.h ---- */

int vivo_session_mount(const struct vivo_session_config *cfg, struct vivo_session **out,
                       struct vivo_err *err)
{
    struct vivo_session *s;
    int rc = mountpoint_check(cfg->mountpoint, err);

    if (rc)
        return rc;
    s = calloc(1, sizeof *s);
    if (!s || pthread_key_create(&s->buffer, free)) {
        free(s);
        return vivo_fail(err, ENOMEM, "no memory for a session");
    }
    s->counters = cfg->counters ? cfg->counters : &s->own;
    s->network = cfg->network;
    s->xattr = cfg->xattr;
    s->threads = cfg->threads ? cfg->threads : THREADS;
    s->mountpoint = realpath(cfg->mountpoint, NULL);
    s->uid = getuid();
    s->gid = cfg->restricted ? cfg->readers : getgid();
    s->restricted = cfg->restricted;
    sem_init(&s->stop, 0, 0);
    pthread_mutex_init(&s->mutex, NULL);
    pthread_mutex_init(&s->notifier.mutex, NULL);
    pthread_cond_init(&s->notifier.cond, NULL);
    rc = s->mountpoint
             ? make_fuse(s, cfg, err)
             : vivo_fail(err, ENOENT, "%s: no such mount point", cfg->mountpoint);
    if (!rc && fuse_session_mount(s->se, cfg->mountpoint))
        rc = mount_failure(cfg->mountpoint, err);
    s->mounted = !rc;
    if (rc) {
        vivo_session_free(s);
        return rc;
    }
    *out = s;
    return 0;
}

static int serve(struct vivo_session *s, struct vivo_err *err)
{
    struct fuse_loop_config *loop = fuse_loop_cfg_create();
    int rc;

    if (!loop)
        return vivo_fail(err, ENOMEM, "no memory for a session");
    fuse_loop_cfg_set_clone_fd(loop, s->clone_fd);
    fuse_loop_cfg_set_max_threads(loop, s->threads);
    fuse_loop_cfg_set_idle_threads(loop,
                                   s->idle_threads ? s->idle_threads : s->threads);
    rc = fuse_session_loop_mt(s->se, loop);
    fuse_loop_cfg_destroy(loop);
    /* Positive is the number of a signal. */
    return rc < 0 ? vivo_fail(err, EIO, "the connection to the kernel failed") : 0;
}

int vivo_session_run(struct vivo_session *s, struct vivo_tree *t, struct vivo_err *err)
{
    struct sigaction old[VIVO_ARRAY_LEN(ending_signals)];
    int rc;

    s->tree = t;
    rc = park_open(&s->park, err);
    if (rc)
        return rc;
    rc = notifier_open(s, err);
    if (rc) {
        park_close(&s->park);
        return rc;
    }
    rc = catch_signals(s, old, err);
    if (!rc) {
        rc = serve(s, err);
        release_signals(s, old);
    }
    notifier_close(s);
    park_close(&s->park);
    if (s->mounted)
        fuse_session_unmount(s->se);
    s->mounted = false;
    handle_free_all(s);
    return rc;
}

void vivo_session_free(struct vivo_session *s)
{
    if (!s)
        return;
    if (s->mounted)
        fuse_session_unmount(s->se);
    if (s->se)
        fuse_session_destroy(s->se);
    handle_free_all(s);
    pthread_mutex_destroy(&s->mutex);
    free(pthread_getspecific(s->buffer));
    pthread_key_delete(s->buffer);
    pthread_mutex_destroy(&s->notifier.mutex);
    pthread_cond_destroy(&s->notifier.cond);
    sem_destroy(&s->stop);
    free(s->mountpoint);
    free(s);
}
