/* SPDX-License-Identifier: Apache-2.0 */
/* include/vivofs/log.h -- one line, one event.
 *
 *     2026-11-22T18:01:02.345Z info  flow.fetch tcia #91: 12.4 MB in 830 ms
 *
 * No attribute value, no original UID, no path below a source and no secret is
 * ever logged: keyword, tag number, catalog row (#91) and counts only. An error
 * is logged once, where it is answered. */
#ifndef VIVOFS_LOG_H
#define VIVOFS_LOG_H

#include "vivofs/buf.h"

enum vivo_log_level {
    VIVO_LOG_NONE,
    VIVO_LOG_ERROR,
    VIVO_LOG_WARN,
    VIVO_LOG_INFO,
    VIVO_LOG_DEBUG,
};

enum vivo_log_to { VIVO_LOG_TO_NONE, VIVO_LOG_TO_STDERR, VIVO_LOG_TO_SYSLOG };

/* Where lines go and the least important level that is written. Call before
 * threads exist. Lines are also kept in memory for vivo_log_tail(). */
void vivo_log_setup(enum vivo_log_to to, enum vivo_log_level level);

/* module: "flow.fetch". Thread-safe; control characters become '?'. */
void vivo_log(enum vivo_log_level level, const char *module, const char *fmt, ...)
    VIVO_PRINTF(3, 4);

/* Appends the last lines written (at most 64 KiB), oldest first. */
int vivo_log_tail(struct vivo_buf *out);

#endif
