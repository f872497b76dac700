/* SPDX-License-Identifier: Apache-2.0 */
/* src/fuse/tune.c -- what only root may set: how far the kernel reads ahead.
 *
 * The default of 128 KiB makes four READs of one slice, whatever the connection allows;
 * a larger value in INIT is cut to it, so it is written to the mount's bdi once the
 * kernel has taken the INIT reply. Small reads of headers stay small: the kernel's
 * first window follows what was asked for. */
#include "fuse/internal.h"

#include "vivofs/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define READ_AHEAD_KIB "1024"

/* "major:minor" of the mount, from mountinfo: asking the mount itself would wait for
 * ourselves. */
static bool device_of(const char *mountpoint, char dev[32])
{
    FILE *f = fopen("/proc/self/mountinfo", "re");
    char line[4096];
    char at[2048];
    char number[32];
    bool found = false;

    while (f && fgets(line, sizeof line, f)) {
        if (sscanf(line, "%*s %*s %31s %*s %2047s", number, at) != 2 ||
            strcmp(at, mountpoint) != 0)
            continue;
        snprintf(dev, 32, "%s", number);
        found = true;
    }
    if (f)
        fclose(f);
    return found;
}

void tune_read_ahead(struct vivo_session *s)
{
    char dev[32];
    char path[96];
    ssize_t n = -1;
    int fd;

    if (atomic_exchange(&s->tuned, true) || geteuid() != 0 ||
        !device_of(s->mountpoint, dev))
        return;
    snprintf(path, sizeof path, "/sys/class/bdi/%s/read_ahead_kb", dev);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        n = write(fd, READ_AHEAD_KIB, strlen(READ_AHEAD_KIB));
        close(fd);
    }
    /* In a container sysfs is read-only: then it is as it was. */
    vivo_log(VIVO_LOG_DEBUG, "fuse", "read-ahead %s",
             n > 0 ? READ_AHEAD_KIB " KiB" : "as the kernel has it");
}
