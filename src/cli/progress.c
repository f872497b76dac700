/* SPDX-License-Identifier: Apache-2.0 */
/* src/cli/progress.c -- a bar on a terminal, nothing anywhere else. */
#include "cli.h"

#include <inttypes.h>
#include <stdarg.h>

void progress_init(struct progress *p)
{
    p->terminal = isatty(STDERR_FILENO);
}

void progress_clear(const struct progress *p)
{
    if (p->terminal)
        fputs("\r\033[K", stderr);
}

void progress_show(const struct progress *p, size_t over, size_t seen, bool walking,
                   uint64_t bytes)
{
    enum { WIDTH = 30 };
    size_t filled = seen ? VIVO_MIN(over, seen) * WIDTH / seen : 0;
    if (!p->terminal)
        return;
    fprintf(stderr, "\r[%.*s%*s] %zu of %zu%s, %.1f MB\033[K", (int)filled,
            "##############################", (int)(WIDTH - filled), "", over, seen,
            walking ? "+" : "", (double)bytes / 1e6);
}

void progress_fail(const struct progress *p, const char *path, const char *why)
{
    flockfile(stderr);
    progress_clear(p);
    cli_fail("%s: %s", path, why);
    funlockfile(stderr);
}

int cli_jobs(const char *command, const char *text, size_t *out)
{
    enum { JOBS_MAX = 64 };
    char *end = NULL;
    long long n = text ? strtoll(text, &end, 10) : 0;
    if (!text || end == text || *end || n < 1 || n > JOBS_MAX)
        return cli_usage("%s: -j wants a number from 1 to %d", command, JOBS_MAX);
    *out = (size_t)n;
    return 0;
}
