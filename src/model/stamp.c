/* SPDX-License-Identifier: Apache-2.0 */
/* src/model/stamp.c -- the version stamp of a local file. The device is left out: its
 * number may be another one after a reboot while the file is the same. */
#include "vivofs/view.h"

#include <stdio.h>

void vivo_identity_stamp(const struct vivo_identity *id, char out[VIVO_STAMP_MAX])
{
    enum { NS = 1000000000 };
    snprintf(out, VIVO_STAMP_MAX, "%llu:%lld.%09lld:%lld.%09lld:%llu",
             (unsigned long long)id->size, (long long)(id->mtime_ns / NS),
             (long long)(id->mtime_ns % NS), (long long)(id->ctime_ns / NS),
             (long long)(id->ctime_ns % NS), (unsigned long long)id->ino);
}
