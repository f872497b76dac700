/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/http_index.h -- the index page of a web folder: what does it hold?
 *
 * HTML of nginx, Apache, lighttpd, Caddy, Python and whoever else writes links to
 * what lies in the folder; the JSON of nginx, lighttpd and Caddy. Only direct children
 * are taken: no parents, no sorting links, nothing of another host. */
#ifndef VIVOFS_DRIVERS_HTTP_INDEX_H
#define VIVOFS_DRIVERS_HTTP_INDEX_H

#include "vivofs/buf.h"

#include <stdbool.h>

struct vivo_http_index {
    const char *origin; /* "https://host" as typed, for links that repeat it */
    const char *folder; /* decoded absolute path of the folder, ends in '/' */
    const char *path;   /* of the page itself, encoded, without query */
    const char *page;   /* "index.html" where folders are told by such files; or "" */
    /* One entry; name is decoded, stamp "" where the page tells no time. */
    int (*entry)(void *ctx, const char *name, size_t len, bool folder,
                 const char *stamp, struct vivo_err *err);
    void *ctx;
};

/* -EBADMSG: it is no index of files; -EIO: it was cut; what entry returns. `certain`:
 * the transport says that the text is whole. */
int vivo_http_index_read(const struct vivo_http_index *x, const void *text, size_t len,
                         bool certain, struct vivo_err *err);

#endif
