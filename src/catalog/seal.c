/* SPDX-License-Identifier: Apache-2.0 */
/* src/catalog/seal.c -- locators: sealed at rest, found by HMAC.
 *
 * A locator is an original (path, URL, UIDs), and so is its version (a modification
 * time tells when a study was made): both are sealed together, and told apart by
 * keyed digests. Without keys nothing is de-identified and both stay plain. */
#include "catalog/internal.h"

#include <errno.h>
#include <string.h>

static void digest(const struct vivo_catalog *c, const void *data, size_t len,
                   uint8_t out[VIVO_CATALOG_KEY_LEN])
{
    uint8_t full[VIVO_DIGEST_LEN];

    if (c->sealed)
        vivo_hmac_sha256(c->lookup_key, sizeof c->lookup_key, data, len, full);
    else
        vivo_sha256(data, len, full);
    memcpy(out, full, VIVO_CATALOG_KEY_LEN);
}

void vivo_catalog_lookup(const struct vivo_catalog *c, const char *locator,
                         uint8_t out[VIVO_CATALOG_KEY_LEN])
{
    digest(c, locator, strlen(locator), out);
}

void vivo_catalog_stamp(const struct vivo_catalog *c, const char *locator,
                        const char *version, uint8_t out[VIVO_CATALOG_KEY_LEN])
{
    char small[1024];
    size_t a = strlen(locator), b = version ? strlen(version) : 0;
    char *p = small;

    /* With the zero byte between them no two pairs are one text. A stamp that could
     * not be made is never equal to another. */
    if (a + b + 1 > sizeof small)
        p = malloc(a + b + 1);
    if (!p) {
        vivo_random(out, VIVO_CATALOG_KEY_LEN);
        return;
    }
    memcpy(p, locator, a);
    p[a] = 0;
    if (b)
        memcpy(p + a + 1, version, b);
    digest(c, p, a + b + 1, out);
    if (p != small)
        free(p);
}

int vivo_catalog_seal(const struct vivo_catalog *c, const char *locator,
                      const char *version, struct vivo_buf *out, struct vivo_err *err)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf plain = {0};
    int rc;

    vivo_buf_clear(out);
    if (!c->sealed) {
        rc = vivo_buf_add(out, locator, strlen(locator) + 1);
        if (rc == 0 && version)
            rc = vivo_buf_add(out, version, strlen(version) + 1);
        return rc ? vivo_fail(err, ENOMEM, "catalog: locator too long") : 0;
    }
    vivo_buf_init(&plain, VIVO_CATALOG_LOCATOR_MAX);
    rc = vivo_buf_add(&plain, locator, strlen(locator) + 1);
    if (rc == 0 && version)
        rc = vivo_buf_add(&plain, version, strlen(version) + 1);
    if (rc == 0)
        rc = vivo_seal(c->seal_key, plain.data, plain.len, out);
    return rc ? vivo_fail(err, ENOMEM, "catalog: a locator cannot be sealed") : 0;
}

static int split(const uint8_t *p, size_t len, struct vivo_buf *locator,
                 struct vivo_buf *version)
{
    const uint8_t *end = len ? memchr(p, 0, len) : NULL;
    size_t n;

    if (!end)
        return -EBADMSG;
    n = (size_t)(end - p) + 1;
    vivo_buf_clear(locator);
    if (vivo_buf_add(locator, p, n - 1) < 0)
        return -ENOMEM;
    if (!version)
        return 0;
    vivo_buf_clear(version);
    if (n == len)
        return 0;
    if (p[len - 1] != 0)
        return -EBADMSG;
    return vivo_buf_add(version, p + n, len - n - 1);
}

int vivo_catalog_unseal(const struct vivo_catalog *c, struct vivo_attrs sealed,
                        struct vivo_buf *locator, struct vivo_buf *version,
                        struct vivo_err *err)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf plain = {0};
    int rc;

    vivo_buf_init(&plain, VIVO_CATALOG_LOCATOR_MAX);
    if (!c->sealed) {
        rc = split(sealed.data, sealed.len, locator, version);
    } else {
        rc = vivo_unseal(c->seal_key, sealed.data, sealed.len, &plain);
        if (rc == 0)
            rc = split(plain.data, plain.len, locator, version);
    }
    return rc ? vivo_fail(err, EIO, "catalog: a sealed locator cannot be opened") : 0;
}

int vivo_catalog_shown(const struct vivo_catalog *c, const char *locator,
                       struct vivo_buf *out)
{
    uint8_t lookup[VIVO_CATALOG_KEY_LEN];
    char hex[2 * VIVO_CATALOG_KEY_LEN + 1];

    vivo_buf_clear(out);
    if (!c->sealed)
        return vivo_buf_puts(out, locator);
    vivo_catalog_lookup(c, locator, lookup);
    vivo_hex(lookup, sizeof lookup, hex);
    return vivo_buf_puts(out, hex);
}
