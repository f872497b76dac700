/* SPDX-License-Identifier: Apache-2.0 */
/* src/net/dimse/module.c -- the table of vivofs-dimse.so. */
#include "../module.h"

extern const struct vivo_dimse_module vivofs_dimse;
VIVO_NET_EXPORT const struct vivo_dimse_module vivofs_dimse = {
    .head = {VIVO_NET_ABI, sizeof vivofs_dimse, VIVOFS_VERSION},
    .open = vivo_dimse_open,
    .close = vivo_dimse_close,
    .accepts = vivo_dimse_accepts,
    .alive = vivo_dimse_alive,
    .echo = vivo_dimse_echo,
    .find = vivo_dimse_find,
    .get = vivo_dimse_get,
    .move = vivo_dimse_move,
};
