/* SPDX-License-Identifier: Apache-2.0 */
/* src/base/cert.c -- see include/vivofs/cert.h. */
#include "vivofs/cert.h"

#include <limits.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

bool vivo_cert_names(const void *der, size_t len, const char *host)
{
    const unsigned char *at = der;
    X509 *cert = len > 0 && len <= LONG_MAX ? d2i_X509(NULL, &at, (long)len) : NULL;
    bool names = cert && (X509_check_ip_asc(cert, host, 0) == 1 ||
                          X509_check_host(cert, host, 0, 0, NULL) == 1);
    X509_free(cert);
    return names;
}
