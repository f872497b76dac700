/* SPDX-License-Identifier: Apache-2.0 */
/* src/cli/helper.h -- credentials out of a program, as keyrings and cloud tools give
 * them: `-o helper=COMMAND`. They never touch a disk or a command line. */
#ifndef VIVOFS_CLI_HELPER_H
#define VIVOFS_CLI_HELPER_H

#include "vivofs/error.h"

struct helper {
    int fd;       /* nameless file in netrc form, or -1 */
    char *bearer; /* or NULL; owned */
};

/* Runs the command, words parted by spaces and no shell, and takes what it prints: one
 * word is a bearer token, anything else is in netrc form. Its complaints go where ours
 * go. timeout: seconds. */
int helper_run(const char *command, unsigned timeout, struct helper *out,
               struct vivo_err *err);

#endif
