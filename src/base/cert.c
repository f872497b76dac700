/* SPDX-License-Identifier: Apache-2.0 */
/* src/base/cert.c -- see include/vivofs/cert.h. */
#include "vivofs/cert.h"

#include <limits.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

bool vivo_cert_names(const void *der, size_t len, const char *host)
{
    const unsigned char *at = der;
    X509 *cert = len > 0 && len <= LONG_MAX ? d2i_X509(NULL, &at, (long)len) : NULL;
    bool names = cert && (X509_check_ip_asc(cert, host, 0) == 1 ||
                          X509_check_host(cert, host, 0, 0, NULL) == 1);
    X509_free(cert);
    return names;
}

void vivo_cert_store(const char **file, const char **dir)
{
    const char *other_file = secure_getenv(X509_get_default_cert_file_env());
    const char *other_dir = secure_getenv(X509_get_default_cert_dir_env());
    *file = other_file ? other_file : X509_get_default_cert_file();
    *dir = other_dir ? other_dir : X509_get_default_cert_dir();
}
