/* SPDX-License-Identifier: Apache-2.0 */
/* src/net/http/origin.c -- URLs: who is asked. */
#include "transfer.h"

#include <curl/curl.h>

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool is_scheme(const char *scheme, bool ftp)
{
    return ftp ? strcmp(scheme, "ftp") == 0 || strcmp(scheme, "ftps") == 0
               : strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0;
}

int vivo_url_origin(const char *url, bool ftp, char out[ORIGIN_MAX],
                    struct vivo_err *err)
{
    CURLU *u = curl_url();
    if (!u)
        return vivo_fail(err, ENOMEM, "URL: out of memory");
    char *scheme = NULL;
    char *host = NULL;
    char *port = NULL;
    int rc = 0;
    CURLUcode code = curl_url_set(u, CURLUPART_URL, url, CURLU_DISALLOW_USER);
    if (code == CURLUE_USER_NOT_ALLOWED)
        rc = vivo_fail(
            err, EINVAL,
            "a password or user name inside a URL is refused: use netrc=FILE");
    else if (code || curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) ||
             curl_url_get(u, CURLUPART_HOST, &host, 0) ||
             curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT))
        rc = vivo_fail(err, EINVAL, "not a usable URL");
    else if (!is_scheme(scheme, ftp))
        rc = vivo_fail(err, EINVAL, "only %s URLs can be fetched",
                       ftp ? "ftp and ftps" : "http and https");
    else if (snprintf(out, ORIGIN_MAX, "%s://%s:%s", scheme, host, port) >= ORIGIN_MAX)
        rc = vivo_fail(err, EINVAL, "the host name in a URL is too long");
    for (char *p = out; rc == 0 && *p; p++)
        *p = (char)tolower((unsigned char)*p);
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(u);
    return rc;
}
