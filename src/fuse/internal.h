/* SPDX-License-Identifier: Apache-2.0 */
/* src/fuse/internal.h -- what the files of src/fuse share: the session, requests and
 * how they park, listings. README.md beside this file tells the life of a request. */
#ifndef VIVOFS_FUSE_INTERNAL_H
#define VIVOFS_FUSE_INTERNAL_H

#define FUSE_USE_VERSION 314

#include "vivofs/fuse.h"

#include <fuse_lowlevel.h>

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>

struct request;

/* Requests that wait for a flight, and the threads that take them up again. */
struct park {
    pthread_mutex_t mutex;
    pthread_cond_t work, change;   /* work: queue or ending; change: pins, live */
    struct request *parked;        /* guarded by mutex, as all below */
    struct request *first, **last; /* landed, to be taken up again */
    size_t live;                   /* parked or being taken up again */
    bool ending;
    size_t nthreads;
    pthread_t threads[4];
};

/* Tells the kernel, on a thread of its own, that what is shown has changed. */
struct notifier {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    bool running, dirty, ending; /* guarded by mutex */
    pthread_t thread;
    bool no_epoch; /* the notifier's own: the kernel does not know it */
};

struct vivo_session {
    struct fuse_session *se;
    struct vivo_tree *tree;
    struct vivo_counters *counters;
    struct vivo_counters own; /* when the caller wants none */
    char *mountpoint;         /* absolute, no links */
    bool network, xattr, mounted;
    atomic_bool tuned;
    unsigned threads, idle_threads, max_read; /* of -o; idle, max_read: 0 = not said */
    bool clone_fd;
    uid_t uid;
    gid_t gid;       /* of the files: the mounting user's, or that of the readers */
    bool restricted; /* nobody but those who are admitted, see readers.c */
    struct park park;
    struct notifier notifier;
    pthread_mutex_t mutex;
    struct handle *handles; /* guarded by mutex */
    sem_t stop;             /* posted by signal handlers */
    atomic_bool stopping, stopped;
    pthread_t stopper, main_thread;
    pthread_key_t buffer; /* a read buffer for each thread */
};

/* One request from the kernel, until it is answered. */
struct request {
    struct vivo_op op; /* first */
    struct vivo_session *s;
    fuse_req_t req; /* NULL once answered */
    /* Does the work and answers; -EAGAIN: parked, to be called again; another error:
     * still to be answered. */
    int (*run)(struct request *r);
    vivo_ino ino;
    char *name;
    uid_t uid;
    pid_t pid;
    struct fuse_file_info fi;
    struct vivo_view *view; /* of the open file that is asked about, or NULL */
    size_t size;            /* of a read that waits, and where */
    uint64_t off;
    /* Of the park; guarded by its mutex. */
    bool settled, landed, asked;
    unsigned pins;
    struct request *prev, *next, *queued;
};

/* An open file, or an open directory as it was when opened (records, see listing.c).
 * The session knows them all: at the end the kernel does not close what is open. */
struct handle {
    struct vivo_view *view;     /* NULL: opened to write to a control file */
    struct handle *prev, *next; /* guarded by the session's mutex */
};

/* ---- park.c ---- */

/* Takes fi and name (both may be NULL) by copy. NULL: answered, with ENOMEM, or with
 * EACCES to who is not admitted: req is gone then. */
struct request *request_new(fuse_req_t req, int (*run)(struct request *), vivo_ino ino,
                            const char *name, const struct fuse_file_info *fi);
void request_start(struct request *r);
int park_open(struct park *p, struct vivo_err *err);
/* Interrupts what is parked, waits until everything is answered, ends the threads. */
void park_close(struct park *p);
/* Session of a request; who asks. */
struct vivo_session *session_of(fuse_req_t req);

/* ---- reply.c: the only place that answers ---- */

void reply_error(struct request *r, int rc);
void reply_entry(struct request *r, const struct vivo_node_stat *st);
/* There is no such name, and that holds for so many seconds. */
void reply_negative(struct request *r, double seconds);
void reply_attr(struct request *r, const struct vivo_node_stat *st);
/* False: the kernel does not want it any more, and will not release it. */
bool reply_open(struct request *r, const struct fuse_file_info *fi);
void reply_read(struct request *r, const void *data, size_t len);
void reply_bytes(fuse_req_t req, const void *data, size_t len);
void reply_text(fuse_req_t req, const char *text);
void reply_count(fuse_req_t req, size_t n);
void reply_xattr_size(fuse_req_t req, size_t n);
void reply_fs(fuse_req_t req, const struct statvfs *st);
void reply_code(fuse_req_t req, int errnum); /* 0 or positive; simple requests */
/* A failure without a request of ours: logged, then answered. rc negative. */
void reply_fail(fuse_req_t req, int rc, const struct vivo_err *err);
void stat_fill(const struct vivo_session *s, const struct vivo_node_stat *st,
               struct stat *out);
void entry_fill(const struct vivo_session *s, const struct vivo_node_stat *st,
                struct fuse_entry_param *out);

/* ---- listing.c ---- */

int listing_make(struct request *r, struct vivo_view **out);
/* Renders entries from `off` into buf; the number of bytes, or a negative errno. */
ssize_t listing_render(struct vivo_session *s, fuse_req_t req, vivo_ino dir,
                       const struct vivo_view *listing, char *buf, size_t size,
                       uint64_t off, bool plus, struct vivo_err *err);

/* ---- notify.c ---- */

int notifier_open(struct vivo_session *s, struct vivo_err *err);
void notifier_close(struct vivo_session *s);

/* ---- mountpoint.c ---- */

/* 0, or why nothing can be mounted there. */
int mountpoint_check(const char *path, struct vivo_err *err);
/* Why libfuse could not. Always an error. */
int mount_failure(const char *path, struct vivo_err *err);

/* ---- readers.c ---- */

/* May the caller ask at all? */
bool session_admits(fuse_req_t req);

/* ---- tune.c ---- */

/* At the first request after INIT; the rest of the calls do nothing. */
void tune_read_ahead(struct vivo_session *s);

/* ---- handle.c ---- */

/* Takes over the view (may be NULL). *fh is what the kernel keeps. -ENOMEM: nothing is
 * taken. */
int handle_new(struct vivo_session *s, struct vivo_view *view, uint64_t *fh);
struct handle *handle_of(const struct fuse_file_info *fi);
void handle_free(struct vivo_session *s, struct handle *h);
void handle_free_all(struct vivo_session *s);

/* ---- ops_*.c ---- */

void ops_dir_fill(struct fuse_lowlevel_ops *ops);
void ops_file_fill(struct fuse_lowlevel_ops *ops);
void ops_change_fill(struct fuse_lowlevel_ops *ops);
/* `size` bytes that stay the thread's; NULL = no memory. */
void *thread_buffer(struct vivo_session *s, size_t size);
/* 0, or answered: this caller may not look inside. */
int refuse_stranger(fuse_req_t req, vivo_ino ino);

#endif
