/* SPDX-License-Identifier: Apache-2.0 */
/* src/net/url.h -- how a request is called in messages. */
#ifndef VIVOFS_NET_URL_H
#define VIVOFS_NET_URL_H

#include <stddef.h>

/* "host:port: GET /path" for messages, path redacted, or `what` instead of it. */
void vivo_url_label(const char *method, const char *url, const char *what, char *out,
                    size_t cap);

#endif
