/* SPDX-License-Identifier: Apache-2.0 */
/* tests/lib/child.h -- a server of tests/servers or tests/lib as a child process: its
 * first line is its address, and it ends when its standard input does, so that none
 * outlives the test. */
#ifndef VIVOFS_TESTS_CHILD_H
#define VIVOFS_TESTS_CHILD_H

#include <sys/types.h>

struct child {
    pid_t pid;
    int in; /* its standard input */
    char line[256];
};

/* argv[0] is a script, run by Debian's Python; NULL-ended. 0 when it has said its first
 * line. */
int child_start(struct child *c, const char *const *argv);
void child_stop(struct child *c);

#endif
