/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/source_url.h -- what any URL of a server must be, before a driver looks
 * closer. */
#ifndef VIVOFS_DRIVERS_SOURCE_URL_H
#define VIVOFS_DRIVERS_SOURCE_URL_H

#include "vivofs/error.h"

#include <stdbool.h>
#include <stddef.h>

#define VIVO_SOURCE_URL_MAX 2000

/* The URL of "PREFIXhttp(s)://HOST[:PORT][/PATH]" without its prefix, or NULL: -EINVAL
 * in err, with `expected` where it is of another form. No user, query or spaces; a
 * fragment only where `fragments`. */
const char *vivo_source_url(const char *source, const char *prefix, bool fragments,
                            const char *expected, struct vivo_err *err);
/* A copy without slashes at its end; NULL = no memory. */
char *vivo_source_base(const char *url, size_t len);

#endif
