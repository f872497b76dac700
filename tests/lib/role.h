/* SPDX-License-Identifier: Apache-2.0 */
/* tests/lib/role.h -- a test program that starts itself again in another role, so that
 * a second process has no threads, locks or test runner of the first. */
#ifndef VIVOFS_TESTS_ROLE_H
#define VIVOFS_TESTS_ROLE_H

#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs this program as `PROGRAM role dir`. */
static inline pid_t start_role(const char *role, const char *dir)
{
    pid_t pid = fork();

    if (pid == 0) {
        execl("/proc/self/exe", "role", role, dir, (char *)NULL);
        _exit(127);
    }
    return pid;
}

/* The exit status, or 128 + the signal. */
static inline int end_role(pid_t pid)
{
    int status = 0;

    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

#endif
