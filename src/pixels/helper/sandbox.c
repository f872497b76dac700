/* SPDX-License-Identifier: Apache-2.0 */
/* src/pixels/helper/sandbox.c -- what is left of a process that decodes untrusted
 * bytes: resource limits and a seccomp filter. */
#include "helper.h"

#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static int limit(int which, uint64_t value)
{
    struct rlimit r = {.rlim_cur = value, .rlim_max = value};
    return setrlimit((__rlimit_resource_t)which, &r);
}

int helper_limits(uint64_t memory, uint64_t seconds, uint64_t file_size)
{
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) || limit(RLIMIT_CORE, 0) ||
        limit(RLIMIT_AS, memory) || limit(RLIMIT_CPU, seconds) ||
        limit(RLIMIT_FSIZE, file_size) || limit(RLIMIT_NOFILE, FD_JOB + 1))
        return -1;
    return 0;
}

int helper_confine(void)
{
    static const int allowed[] = {
        SCMP_SYS(read),     SCMP_SYS(pread64),       SCMP_SYS(write),
        SCMP_SYS(pwrite64), SCMP_SYS(lseek),         SCMP_SYS(mmap),
        SCMP_SYS(munmap),   SCMP_SYS(mremap),        SCMP_SYS(mprotect),
        SCMP_SYS(madvise),  SCMP_SYS(brk),           SCMP_SYS(futex),
        SCMP_SYS(exit),     SCMP_SYS(exit_group),    SCMP_SYS(rt_sigreturn),
        SCMP_SYS(fstat),    SCMP_SYS(clock_gettime), SCMP_SYS(getrandom),
    };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        return -1;
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
    if (!ctx)
        return -1;
    int rc = 0;
    for (size_t i = 0; !rc && i < sizeof allowed / sizeof *allowed; i++)
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, allowed[i], 0);
    /* The C library asks what a stream is before it first writes to it. */
    if (!rc)
        rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(1), SCMP_SYS(newfstatat), 0);
    if (!rc)
        rc = seccomp_load(ctx);
    seccomp_release(ctx);
    return rc ? -1 : 0;
}
