/* SPDX-License-Identifier: Apache-2.0 */
/* tests/lib/child.c -- see child.h. */
#include "child.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGS_MAX 32

extern char **environ;

static int read_line(int fd, char *out, size_t cap)
{
    size_t n = 0;
    while (n + 1 < cap && read(fd, out + n, 1) == 1 && out[n] != '\n')
        n++;
    out[n] = '\0';
    return n > 0 ? 0 : -1;
}

static int spawn(struct child *c, const char *const *argv, int in, int out)
{
    static char python[] = "/usr/bin/python3";
    char *args[ARGS_MAX + 2] = {python};
    posix_spawn_file_actions_t actions;
    /* posix_spawn changes none of them, for all that its type says. */
    for (size_t i = 0; argv[i] && i < ARGS_MAX; i++)
        args[i + 1] = (char *)(uintptr_t)argv[i];
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in, 0);
    posix_spawn_file_actions_adddup2(&actions, out, 1);
    int rc = posix_spawn(&c->pid, args[0], &actions, NULL, args, environ);
    posix_spawn_file_actions_destroy(&actions);
    return rc == 0 ? 0 : -1;
}

int child_start(struct child *c, const char *const *argv)
{
    int in[2];
    int out[2];
    *c = (struct child){.pid = -1, .in = -1};
    if (pipe2(in, O_CLOEXEC) < 0)
        return -1;
    if (pipe2(out, O_CLOEXEC) < 0) {
        close(in[0]);
        close(in[1]);
        return -1;
    }
    int rc = spawn(c, argv, in[0], out[1]);
    close(in[0]);
    close(out[1]);
    c->in = in[1];
    if (rc == 0)
        rc = read_line(out[0], c->line, sizeof c->line);
    close(out[0]);
    return rc;
}

void child_stop(struct child *c)
{
    if (c->in >= 0)
        close(c->in);
    if (c->pid > 0)
        waitpid(c->pid, NULL, 0);
    c->pid = -1;
    c->in = -1;
}
