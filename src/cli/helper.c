/* SPDX-License-Identifier: Apache-2.0 */
/* src/cli/helper.c -- see helper.h. */
#include "helper.h"

#include "vivofs/buf.h"
#include "vivofs/file.h"
#include "vivofs/hash.h"
#include "vivofs/op.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORDS_MAX = 64, OUTPUT_MAX = 64 * 1024 };

extern char **environ;

static int spawn(char **words, int out, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    if (posix_spawn_file_actions_init(&actions))
        return ENOMEM;
    int rc = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    if (!rc)
        rc = posix_spawn_file_actions_adddup2(&actions, out, 1);
    if (!rc)
        rc = posix_spawnp(pid, words[0], &actions, NULL, words, environ);
    posix_spawn_file_actions_destroy(&actions);
    return rc;
}

/* All that it prints, until it closes its end. */
static int read_output(int fd, unsigned timeout, struct vivo_buf *text,
                       struct vivo_err *err)
{
    int64_t until = vivo_now_ms() + (int64_t)timeout * 1000;
    char part[4096];
    for (;;) {
        int64_t left = until - vivo_now_ms();
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int ready = left > 0 ? poll(&p, 1, (int)left) : 0;
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready <= 0)
            return vivo_fail(err, ETIMEDOUT, "helper: no answer for %u s", timeout);
        ssize_t n = read(fd, part, sizeof part);
        if (n < 0 && errno == EINTR)
            continue;
        int rc = n > 0 ? vivo_buf_add(text, part, (size_t)n) : 0;
        vivo_wipe(part, sizeof part);
        if (n < 0 || rc)
            return vivo_fail(err, EIO, "helper: it prints more than credentials");
        if (n == 0)
            return 0;
    }
}

static int finish(pid_t pid, int rc, struct vivo_err *err)
{
    int status = 0;
    if (rc)
        kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (!rc && WIFEXITED(status) && WEXITSTATUS(status))
        return vivo_fail(err, EACCES, "helper: it ended with code %d",
                         WEXITSTATUS(status));
    if (!rc && !WIFEXITED(status))
        return vivo_fail(err, EACCES, "helper: it was ended by a signal");
    return rc;
}

static int run(char **words, unsigned timeout, struct vivo_buf *text,
               struct vivo_err *err)
{
    int fds[2];
    pid_t pid;
    if (pipe2(fds, O_CLOEXEC))
        return vivo_fail(err, EIO, "helper: %s", strerror(errno));
    int failed = spawn(words, fds[1], &pid);
    close(fds[1]);
    int rc = failed ? vivo_fail(err, failed == ENOENT ? ENOENT : EIO, "helper %s: %s",
                                words[0], strerror(failed))
                    : 0;
    if (!rc)
        rc = finish(pid, read_output(fds[0], timeout, text, err), err);
    close(fds[0]);
    return rc;
}

/* libcurl reads a file at each request; this one has no name and ends with us. */
static int keep_netrc(const struct vivo_buf *text, int *out, struct vivo_err *err)
{
    int fd = memfd_create("vivofs-netrc", MFD_CLOEXEC);
    if (fd < 0 || fchmod(fd, 0600) || write(fd, text->data, text->len) < 0) {
        int rc = vivo_fail(err, EIO, "helper: %s", strerror(errno));
        if (fd >= 0)
            close(fd);
        return rc;
    }
    *out = fd;
    return 0;
}

static int take(struct vivo_buf *text, struct helper *out, struct vivo_err *err)
{
    if (vivo_buf_add(text, "", 1))
        return vivo_fail(err, EIO, "helper: it prints more than credentials");
    char *s = (char *)text->data + strspn((char *)text->data, " \t\r\n");
    size_t n = strcspn(s, " \t\r\n");
    text->len--;
    if (!n)
        return vivo_fail(err, EACCES, "helper: it prints no credentials");
    if (s[n + strspn(s + n, " \t\r\n")])
        return keep_netrc(text, &out->fd, err);
    out->bearer = strndup(s, n);
    return out->bearer ? 0 : vivo_fail(err, ENOMEM, "out of memory");
}

int helper_run(const char *command, unsigned timeout, struct helper *out,
               struct vivo_err *err)
{
    VIVO_AUTO(vivo_free_p) char *copy = strdup(command);
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf text = {0};
    char *words[WORDS_MAX + 1], *rest = copy;
    size_t n = 0;
    *out = (struct helper){.fd = -1};
    if (!copy)
        return vivo_fail(err, ENOMEM, "out of memory");
    for (char *w; n < WORDS_MAX && (w = strtok_r(rest, " ", &rest)); n++)
        words[n] = w;
    words[n] = NULL;
    if (!n)
        return vivo_fail(err, EINVAL, "option helper: a command is needed");
    vivo_buf_init(&text, OUTPUT_MAX);
    int rc = run(words, timeout, &text, err);
    if (!rc)
        rc = take(&text, out, err);
    if (text.data)
        vivo_wipe(text.data, text.len);
    return rc;
}
