/* SPDX-License-Identifier: Apache-2.0 */
/* src/net/dimse/connect.h -- connections by IPv4 or IPv6, to a host and from one.
 * Readable by C++. */
#ifndef VIVOFS_NET_DIMSE_CONNECT_H
#define VIVOFS_NET_DIMSE_CONNECT_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vivo_op;

/* A connected, blocking socket, the caller's. Each wait looks at the op five times a
 * second. -ETIMEDOUT: no answer in limit_ms; -EIO: no such host, refused. */
int vivo_dimse_connect(const char *host, unsigned port, int64_t limit_ms,
                       struct vivo_op *op);

/* A socket that listens at this port of all addresses, IPv6 and IPv4, the caller's; or
 * -errno. */
int vivo_dimse_listen(unsigned port);

#ifdef __cplusplus
}
#endif
#endif
