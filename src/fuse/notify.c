/* SPDX-License-Identifier: Apache-2.0 */
/* src/fuse/notify.c -- telling the kernel that what is shown has changed.
 *
 * On a thread of its own: inval_entry takes the lock of a directory that a look-up
 * may hold while it is parked on the very flight whose job reports the change. The
 * epoch (kernel 6.16 and later) takes no lock and costs one word. */
#include "fuse/internal.h"

#include "vivofs/log.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#define NOTIFY_INC_EPOCH 8 /* enum fuse_notify_code of the kernel */
#define PAUSE_NS 50000000L /* between two notifications */

struct out_header { /* struct fuse_out_header of the kernel's protocol */
    uint32_t len;
    int32_t error; /* the notification's code */
    uint64_t unique;
};

/* False: this kernel does not know it. */
static bool inc_epoch(struct vivo_session *s)
{
    struct out_header h = {.len = sizeof h, .error = NOTIFY_INC_EPOCH};
    ssize_t n = write(fuse_session_fd(s->se), &h, sizeof h);

    return n == (ssize_t)sizeof h || errno != EINVAL;
}

static int inval(void *ctx, const char *name, const struct vivo_node_stat *st)
{
    struct vivo_session *s = ctx;

    if (st->kind == VIVO_NODE_DIR)
        fuse_lowlevel_notify_inval_entry(s->se, FUSE_ROOT_ID, name, strlen(name));
    return 0;
}

/* Everything hangs below the archives, and their entries take it along. */
static void inval_archives(struct vivo_session *s)
{
    struct vivo_op op;

    vivo_op_init(&op, 1000);
    vivo_tree_list(s->tree, VIVO_INO_ROOT, inval, s, &op);
}

static void *work(void *arg)
{
    struct vivo_session *s = arg;
    struct notifier *n = &s->notifier;

    pthread_mutex_lock(&n->mutex);
    while (!n->ending) {
        if (!n->dirty) {
            pthread_cond_wait(&n->cond, &n->mutex);
            continue;
        }
        n->dirty = false;
        pthread_mutex_unlock(&n->mutex);
        if (!n->no_epoch && !inc_epoch(s)) {
            n->no_epoch = true;
            vivo_log(VIVO_LOG_INFO, "fuse",
                     "no epoch in this kernel: entries are "
                     "invalidated one by one");
        }
        if (n->no_epoch)
            inval_archives(s);
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
        pthread_mutex_lock(&n->mutex);
    }
    pthread_mutex_unlock(&n->mutex);
    return NULL;
}

int notifier_open(struct vivo_session *s, struct vivo_err *err)
{
    struct notifier *n = &s->notifier;

    n->ending = false;
    if (pthread_create(&n->thread, NULL, work, s))
        return vivo_fail(err, EIO, "no thread can be started");
    pthread_setname_np(n->thread, "vivofs-notify");
    pthread_mutex_lock(&n->mutex);
    n->running = true;
    pthread_mutex_unlock(&n->mutex);
    return 0;
}

void notifier_close(struct vivo_session *s)
{
    struct notifier *n = &s->notifier;

    pthread_mutex_lock(&n->mutex);
    n->ending = true;
    n->running = false;
    pthread_cond_signal(&n->cond);
    pthread_mutex_unlock(&n->mutex);
    pthread_join(n->thread, NULL);
}

void vivo_session_changed(struct vivo_session *s)
{
    struct notifier *n = &s->notifier;

    pthread_mutex_lock(&n->mutex);
    n->dirty = true;
    if (n->running)
        pthread_cond_signal(&n->cond);
    pthread_mutex_unlock(&n->mutex);
}
