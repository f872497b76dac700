/* SPDX-License-Identifier: Apache-2.0 */
/* include/vivofs/cert.h -- whose certificate is it? For transports that check only who
 * signed one. Readable by C++. */
#ifndef VIVOFS_CERT_H
#define VIVOFS_CERT_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Does the certificate (DER) name this host, or address? RFC 6125: the names of its
 * subjectAltName, wild cards included; where there are none of hosts, the common name.
 */
bool vivo_cert_names(const void *der, size_t len, const char *host);
/* Where this system keeps the certificates that it trusts: OpenSSL's file and folder,
 * or those of SSL_CERT_FILE and SSL_CERT_DIR. Either may not be there. */
void vivo_cert_store(const char **file, const char **dir);

#ifdef __cplusplus
}
#endif
#endif
