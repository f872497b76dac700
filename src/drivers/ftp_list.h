/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/ftp_list.h -- lines of FTP listings: MLSD (RFC 3659 section 7) and LIST
 * as Unix and Windows write it. */
#ifndef VIVOFS_DRIVERS_FTP_LIST_H
#define VIVOFS_DRIVERS_FTP_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VIVO_FTP_STAMP_MAX 96

struct vivo_ftp_entry {
    const char *name; /* within the line */
    size_t len;
    bool folder;
    bool skip; /* "." and "..", links, devices, "total 8" */
    char stamp[VIVO_FTP_STAMP_MAX];
    bool sized;
    uint64_t size; /* bytes, if sized */
};

/* False: not a line of such a listing. The line is without its end. */
bool vivo_ftp_mlsd(const char *line, size_t len, struct vivo_ftp_entry *out);
bool vivo_ftp_list(const char *line, size_t len, struct vivo_ftp_entry *out);

#endif
