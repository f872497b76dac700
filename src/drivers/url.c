/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/url.c -- where an object of an archive is, for manifests. */
#include "vivofs/driver.h"

#include <errno.h>
#include <string.h>

/* RFC 3986 section 2.1, of everything that may not stand in a fragment or path. */
static int encode(const char *s, struct vivo_buf *out)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                "0123456789-._~/";
    int rc = 0;

    for (; *s && rc == 0; s++)
        rc = strchr(plain, *s) ? vivo_buf_add(out, s, 1)
                               : vivo_buf_printf(out, "%%%02X", (unsigned char)*s);
    return rc;
}

static int default_url(const struct vivo_archive *a, const char *locator,
                       struct vivo_buf *out)
{
    bool local = a->driver->schemes[0] == '\0';
    int rc = local ? vivo_buf_puts(out, "file://") : vivo_buf_puts(out, a->source);

    if (rc == 0 && local)
        rc = encode(a->source, out);
    if (rc == 0)
        rc =
            vivo_buf_puts(out, local && !(a->driver->caps & VIVO_CAP_FILE) ? "/" : "#");
    return rc == 0 ? encode(locator, out) : rc;
}

int vivo_archive_url(struct vivo_archive *a, const char *locator, struct vivo_buf *out,
                     struct vivo_err *err)
{
    int rc = a->driver->url ? a->driver->url(a, locator, out) : -EOPNOTSUPP;

    if (rc == -EOPNOTSUPP)
        rc = default_url(a, locator, out);

    if (rc == -ENOENT)
        return vivo_fail(err, ENOENT, "the object has no URL");
    return rc < 0 ? vivo_fail(err, EIO, "%s: the URL of an object is too long",
                              a->driver->name)
                  : 0;
}

void vivo_archive_sha256(const struct vivo_archive *a, const char *locator,
                         char hex[65])
{
    if (!a->driver->sha256 || !a->driver->sha256(locator, hex))
        hex[0] = '\0';
}
