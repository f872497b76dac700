/* SPDX-License-Identifier: Apache-2.0 */
/* src/pixels/spawn.c -- starts vivofs-pixels for one object and waits for it, with a
 * deadline. The helper gets three descriptors and an empty environment. */
#include "spawn.h"

#include "vivofs/base.h"
#include "vivofs/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define HELPERS_MAX 4 /* at once, of this process */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t ended = PTHREAD_COND_INITIALIZER;
static unsigned running; /* guarded by mutex */

uint64_t vivo_pixels_frame(const struct vivo_pixels_job *j)
{
    return (uint64_t)j->rows * j->columns * j->samples * (j->allocated / 8);
}

static int write_job(const struct vivo_pixels_job *job,
                     const struct vivo_pixels_rect *rects,
                     const struct vivo_pixels_piece *pieces, struct vivo_err *err)
{
    int fd = vivo_file_nameless(NULL, err);
    if (fd < 0)
        return fd;
    size_t at = sizeof *job, n = job->rects * sizeof *rects;
    int rc = vivo_pwrite_full(fd, job, at, 0, err);
    if (!rc && n)
        rc = vivo_pwrite_full(fd, rects, n, at, err);
    if (!rc)
        rc = vivo_pwrite_full(fd, pieces, job->pieces * sizeof *pieces, at + n, err);
    if (rc) {
        close(fd);
        return rc;
    }
    return fd;
}

/* dup2 clears close-on-exec, but only where the numbers differ: the descriptors are
 * first copied above all numbers that the helper wants. */
static int spawn(const char *program, const int fds[3], pid_t *pid)
{
    static char name[] = "vivofs-pixels";
    char *argv[] = {name, NULL}, *envp[] = {NULL};
    int high[3] = {-1, -1, -1}, rc = 0;
    posix_spawn_file_actions_t actions;
    if (posix_spawn_file_actions_init(&actions))
        return ENOMEM;
    for (int i = 0; !rc && i < 3; i++) {
        high[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 10);
        rc = high[i] < 0 ? errno : 0;
    }
    for (int i = 0; !rc && i < 3; i++)
        rc = posix_spawn_file_actions_addopen(&actions, i, "/dev/null", O_RDWR, 0);
    for (int i = 0; !rc && i < 3; i++)
        rc = posix_spawn_file_actions_adddup2(&actions, high[i], 3 + i);
    if (!rc)
        rc = posix_spawn_file_actions_addclosefrom_np(&actions, 6);
    if (!rc)
        rc = posix_spawn(pid, program, &actions, NULL, argv, envp);
    for (int i = 0; i < 3; i++)
        if (high[i] >= 0)
            close(high[i]);
    posix_spawn_file_actions_destroy(&actions);
    return rc;
}

/* Polls the process until it ends; kills it at the deadline. */
static int wait_for(pid_t pid, int deadline_ms, bool *late, int *status)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int rc;
    do
        rc = fd < 0 ? 0 : poll(&p, 1, deadline_ms);
    while (rc < 0 && errno == EINTR);
    *late = rc <= 0;
    if (*late)
        kill(pid, SIGKILL);
    if (fd >= 0)
        close(fd);
    while (waitpid(pid, status, 0) < 0)
        if (errno != EINTR)
            return -1;
    return 0;
}

static int verdict(bool late, int status, struct vivo_err *err)
{
    if (late)
        return vivo_fail(err, EBADMSG, "pixels: decoding took too long");
    if (WIFSIGNALED(status))
        return vivo_fail(err, EBADMSG, "pixels: the decoder broke (signal %d)",
                         WTERMSIG(status));
    switch (WEXITSTATUS(status)) {
    case 0:
        return 0;
    case 10: /* HELPER_BAD_JOB */
        return vivo_fail(err, EIO, "pixels: the decoder cannot be set up");
    case 12: /* HELPER_IO */
        return vivo_fail(err, EIO, "pixels: no room, or the source was cut");
    case 13: /* HELPER_MEMORY */
        return vivo_fail(err, EBADMSG, "pixels: decoding takes too much memory");
    default:
        return vivo_fail(err, EBADMSG, "pixels: a frame cannot be decoded");
    }
}

int vivo_pixels_spawn(const char *program, const int fds[3], int deadline_ms,
                      struct vivo_err *err)
{
    pid_t pid = 0;
    bool late = false;
    int status = 0;
    pthread_mutex_lock(&mutex);
    while (running >= HELPERS_MAX)
        pthread_cond_wait(&ended, &mutex);
    running++;
    pthread_mutex_unlock(&mutex);
    int rc = spawn(program, fds, &pid);
    if (rc)
        rc = vivo_fail(err, EIO, "vivofs-pixels cannot be started: %s", strerror(rc));
    else if (wait_for(pid, deadline_ms, &late, &status))
        rc = vivo_fail(err, EIO, "vivofs-pixels: %s", strerror(errno));
    else
        rc = verdict(late, status, err);
    pthread_mutex_lock(&mutex);
    running--;
    pthread_cond_signal(&ended);
    pthread_mutex_unlock(&mutex);
    return rc;
}

int vivo_pixels_run(const struct vivo_pixels_job *job,
                    const struct vivo_pixels_rect *rects,
                    const struct vivo_pixels_piece *pieces, int source, int out,
                    struct vivo_err *err)
{
    char program[PATH_MAX];
    int rc = vivo_file_part("vivofs-pixels", program, err);
    if (rc)
        return rc;
    VIVO_AUTO(vivo_close_p) int fd = write_job(job, rects, pieces, err);
    if (fd < 0)
        return fd;
    uint64_t seconds = 20 + vivo_pixels_frame(job) * job->frames / (2u << 20);
    const int fds[3] = {source, out, fd};
    return vivo_pixels_spawn(program, fds, (int)VIVO_MIN(seconds, 600) * 1000, err);
}
