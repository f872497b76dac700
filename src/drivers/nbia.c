/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/nbia.c -- archive = an NBIA server, as The Cancer Imaging Archive runs.
 *
 * URL:      nbia+http(s)://HOST[:PORT]/nbia-api; .../services/v1, v2 or v4 pins the
 * version Lists:    top = collections, collection = all its series (patients and
 * studies come from their columns), series = instances Locator:  collection, PatientID
 * and UIDs, see nbia.h Source:   NBIA REST API v1 and v4, as in the server's source and
 * its OpenAPI description of 2025-11. Quirks: nbia.md. */
#include "nbia.h"
#include "source_url.h"

#include <errno.h>
#include <string.h>

static void close_nbia(struct vivo_archive *self)
{
    struct nbia *n = nbia_of(self);
    vivo_nbia_bundles_free(n->bundles);
    free(n->url);
    if (n->bearer)
        explicit_bzero(n->bearer, strlen(n->bearer));
    free(n->bearer);
    free(n);
}

/* "/services/v1" at the end pins the version and is cut off. */
static size_t take_version(const char *url, size_t len, enum nbia_version *out)
{
    static const char tail[] = "/services/v";
    size_t n = sizeof tail - 1;
    *out = NBIA_UNKNOWN;
    if (len <= n + 1 || memcmp(url + len - n - 1, tail, n) != 0)
        return len;
    char digit = url[len - 1];
    *out = digit == '1'   ? NBIA_V1
           : digit == '2' ? NBIA_V2
           : digit == '4' ? NBIA_V4
                          : NBIA_UNKNOWN;
    return *out ? len - n - 1 : len;
}

static int read_source(const char *source, struct nbia *n, struct vivo_err *err)
{
    enum nbia_version pinned;
    const char *url = vivo_source_url(source, "nbia+", false,
                                      "nbia+https://HOST[:PORT]/nbia-api", err);
    if (!url)
        return -EINVAL;
    n->url = vivo_source_base(url, strlen(url));
    if (!n->url)
        return vivo_fail(err, ENOMEM, "nbia: out of memory");
    n->url[take_version(n->url, strlen(n->url), &pinned)] = '\0';
    atomic_init(&n->version, (int)pinned);
    return 0;
}

static int open_nbia(const struct vivo_archive_config *cfg, struct vivo_archive **out,
                     struct vivo_err *err)
{
    if (!cfg->net)
        return vivo_fail(err, EINVAL, "nbia: needs the network");
    struct nbia *n = calloc(1, sizeof *n);
    if (!n)
        return vivo_fail(err, ENOMEM, "nbia: out of memory");
    n->base.net = cfg->net;
    atomic_init(&n->old_image, false);
    atomic_init(&n->no_table, false);
    int rc = read_source(cfg->source, n, err);
    n->bearer = cfg->bearer ? strdup(cfg->bearer) : NULL;
    n->bundles = vivo_nbia_bundles_new();
    if (rc == 0 && (!n->bundles || (cfg->bearer && !n->bearer)))
        rc = vivo_fail(err, ENOMEM, "nbia: out of memory");
    if (rc) {
        close_nbia(&n->base);
        return rc;
    }
    *out = &n->base;
    return 0;
}

static int probe(struct vivo_archive *self, struct vivo_op *op)
{
    return vivo_nbia_settle(nbia_of(self), op);
}

/* What names are made of (DESIGN A1): columns of getSeries in every version. */
static const uint32_t listed[] = {
    VIVO_TAG_SOPInstanceUID,    VIVO_TAG_StudyDate,
    VIVO_TAG_Modality,          VIVO_TAG_StudyDescription,
    VIVO_TAG_SeriesDescription, VIVO_TAG_PatientID,
    VIVO_TAG_StudyInstanceUID,  VIVO_TAG_SeriesInstanceUID,
    VIVO_TAG_SeriesNumber,      0,
};

extern const struct vivo_driver vivo_driver_nbia;
const struct vivo_driver vivo_driver_nbia = {
    .name = "nbia",
    .summary = "NBIA server (The Cancer Imaging Archive)",
    .schemes = "nbia+http nbia+https",
    .caps = VIVO_CAP_HEADERS | VIVO_CAP_DEAR_HEADERS | VIVO_CAP_SAME_BYTES,
    .lists =
        1u << VIVO_LEVEL_NONE | 1u << VIVO_LEVEL_COLLECTION | 1u << VIVO_LEVEL_SERIES,
    .listed = listed,
    .open = open_nbia,
    .close = close_nbia,
    .probe = probe,
    .list = vivo_nbia_list,
    .fetch = vivo_nbia_fetch,
    .bundle = vivo_nbia_bundle,
    .headers = vivo_nbia_headers,
    .searches = vivo_nbia_searches,
    .search = vivo_nbia_search,
    .describes = vivo_nbia_describes,
    .describe = vivo_nbia_describe,
};
