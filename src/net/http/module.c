/* SPDX-License-Identifier: Apache-2.0 */
/* src/net/http/module.c -- the table of vivofs-http.so. */
#include "../module.h"

#include "vivofs/net.h"

extern const struct vivo_http_module vivofs_http;
VIVO_NET_EXPORT const struct vivo_http_module vivofs_http = {
    .head = {VIVO_NET_ABI, sizeof vivofs_http, VIVOFS_VERSION},
    .make = vivo_net_new,
    .free = vivo_net_free,
    .fetch = vivo_net_fetch,
    .count = vivo_net_count,
};
