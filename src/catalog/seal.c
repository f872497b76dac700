/* SPDX-License-Identifier: Apache-2.0 */
/* src/catalog/seal.c -- locators: sealed at rest, found by HMAC.
 *
 * A locator is an original (path, URL, UIDs), and so is its version (a modification
 * time tells when a study was made): both are sealed together, and told apart by
 * keyed digests. Without keys nothing is de-identified and both stay plain. */
#include "catalog/internal.h"

#include <errno.h>
#include <string.h>

#define TOGETHER 4 /* bytes of a lookup; the others alone tell locators apart */

static void digest(const struct vivo_catalog *c, const char *text, size_t len,
                   uint8_t out[VIVO_DIGEST_LEN])
{
    if (c->sealed)
        vivo_hmac(&c->lookup_key, text, len, out);
    else
        vivo_sha256(text, len, out);
}

/* A lookup begins with a few bytes of the digest of what stands before the last slash:
 * what lies together comes together, and an index in random order of a million
 * locators would cost a page read and written for each. */
static void put_together(const struct vivo_catalog *c, const char *locator,
                         uint8_t lookup[VIVO_CATALOG_KEY_LEN])
{
    const char *slash = strrchr(locator, '/');
    uint8_t full[VIVO_DIGEST_LEN];

    if (!slash)
        return;
    digest(c, locator, (size_t)(slash - locator), full);
    memcpy(lookup, full, TOGETHER);
}

void vivo_catalog_digests(const struct vivo_catalog *c, const char *locator,
                          const char *version, struct vivo_digests *out)
{
    uint8_t full[VIVO_DIGEST_LEN], small[512];
    size_t len = version ? strlen(version) : 0, half = VIVO_CATALOG_KEY_LEN;
    uint8_t *p = small;

    /* Half of the HMAC is kept and finds the locator. The other half is kept nowhere:
     * it is the key under which versions are told apart, at the cost of one hash. */
    digest(c, locator, strlen(locator), full);
    memcpy(out->plain, full, half);
    memcpy(out->lookup, full, half);
    put_together(c, locator, out->lookup);
    if (len + half > sizeof small)
        p = malloc(len + half);
    if (!p) { /* a stamp that could not be made never equals another */
        vivo_random(out->stamp, half);
        return;
    }
    memcpy(p, full + half, half);
    if (len)
        memcpy(p + half, version, len);
    vivo_sha256(p, len + half, full);
    memcpy(out->stamp, full, half);
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
    struct vivo_digests d;
    char hex[2 * VIVO_CATALOG_KEY_LEN + 1];

    vivo_buf_clear(out);
    if (!c->sealed)
        return vivo_buf_puts(out, locator);
    vivo_catalog_digests(c, locator, NULL, &d);
    vivo_hex(d.plain, sizeof d.plain, hex);
    return vivo_buf_puts(out, hex);
}
