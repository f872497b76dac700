/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/source_url.c -- see source_url.h. RFC 3986. */
#include "source_url.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char *vivo_source_url(const char *source, const char *prefix, bool fragments,
                            const char *expected, struct vivo_err *err)
{
    size_t skip = strlen(prefix);
    const char *url = source + skip;
    if (strncmp(source, prefix, skip) != 0 ||
        (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)) {
        vivo_fail(err, EINVAL, "expected %s", expected);
        return NULL;
    }
    const char *host = strstr(url, "://") + 3;
    size_t host_len = strcspn(host, "/?#");
    if (memchr(host, '@', host_len)) {
        vivo_fail(err, EINVAL,
                  "a user name or password inside a URL is refused: "
                  "use netrc=FILE or bearer=FILE");
        return NULL;
    }
    if (host_len == 0 || strlen(url) > VIVO_SOURCE_URL_MAX ||
        strpbrk(url, fragments ? "? \t\r\n\"" : "?# \t\r\n\"")) {
        vivo_fail(err, EINVAL,
                  "expected %s: a host, no query, no spaces, at most %d bytes",
                  expected, VIVO_SOURCE_URL_MAX);
        return NULL;
    }
    return url;
}

char *vivo_source_base(const char *url, size_t len)
{
    while (len > 0 && url[len - 1] == '/')
        len--;
    return strndup(url, len);
}
