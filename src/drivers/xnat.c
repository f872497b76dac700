/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/xnat.c -- archive = an XNAT server.
 *
 * URL:      xnat+http(s)://HOST[:PORT][/CONTEXT], as NITRC-IR's
 * https://www.nitrc.org/ir Lists:    top = projects, collection = all sessions of a
 * project with their subjects, study = scans of a session, series = files of a scan
 * Locator:  ids, see xnat.h
 * Source:   XNAT REST API (/data), as in the server's source of 2024-06; xnat.md. */
#include "xnat.h"

#include "source_url.h"

#include <errno.h>
#include <string.h>

static void close_xnat(struct vivo_archive *self)
{
    struct xnat *x = xnat_of(self);
    vivo_xnat_session_end(x);
    vivo_xnat_joined_free(x);
    pthread_cond_destroy(&x->landed);
    pthread_mutex_destroy(&x->mutex);
    free(x->url);
    if (x->login)
        explicit_bzero(x->login, strlen(x->login));
    free(x->login);
    explicit_bzero(x->session, sizeof x->session);
    free(x);
}

static int read_source(const char *source, struct xnat *x, struct vivo_err *err)
{
    const char *url = vivo_source_url(source, "xnat+", false,
                                      "xnat+https://HOST[:PORT][/CONTEXT]", err);
    if (!url)
        return -EINVAL;
    x->url = vivo_source_base(url, strlen(url));
    return x->url ? 0 : vivo_fail(err, ENOMEM, "xnat: out of memory");
}

static int read_login(const char *bearer, struct xnat *x, struct vivo_err *err)
{
    const char *colon = bearer ? strchr(bearer, ':') : NULL;
    if (!bearer)
        return 0;
    if (!colon || colon == bearer || !colon[1])
        return vivo_fail(err, EINVAL,
                         "bearer=FILE: XNAT wants ALIAS:SECRET of an alias token, or "
                         "USER:PASSWORD");
    x->login = strdup(bearer);
    return x->login ? 0 : vivo_fail(err, ENOMEM, "xnat: out of memory");
}

static int open_xnat(const struct vivo_archive_config *cfg, struct vivo_archive **out,
                     struct vivo_err *err)
{
    if (!cfg->net)
        return vivo_fail(err, EINVAL, "xnat: needs the network");
    struct xnat *x = calloc(1, sizeof *x);
    if (!x)
        return vivo_fail(err, ENOMEM, "xnat: out of memory");
    x->base.net = cfg->net;
    pthread_mutex_init(&x->mutex, NULL);
    pthread_cond_init(&x->landed, NULL);
    int rc = read_source(cfg->source, x, err);
    if (rc == 0)
        rc = read_login(cfg->bearer, x, err);
    if (rc) {
        close_xnat(&x->base);
        return rc;
    }
    *out = &x->base;
    return 0;
}

/* A session is had by those who may look, guests too if they may. */
static int probe(struct vivo_archive *self, struct vivo_op *op)
{
    char session[XNAT_SESSION_MAX + 1];
    return vivo_xnat_session(xnat_of(self), session, op);
}

/* What names are made of (DESIGN A1); subjects are named by their labels. */
static const uint32_t listed[] = {
    VIVO_TAG_StudyDate,
    VIVO_TAG_Modality,
    VIVO_TAG_SeriesDescription,
    VIVO_TAG_StudyInstanceUID,
    VIVO_TAG_SeriesInstanceUID,
    VIVO_TAG_SeriesNumber,
    0,
};

extern const struct vivo_driver vivo_driver_xnat;
const struct vivo_driver vivo_driver_xnat = {
    .name = "xnat",
    .summary = "XNAT server (NITRC-IR, and any other)",
    .schemes = "xnat+http xnat+https",
    .caps = VIVO_CAP_HEADERS | VIVO_CAP_DEAR_HEADERS | VIVO_CAP_SAME_BYTES,
    .lists = 1u << VIVO_LEVEL_NONE | 1u << VIVO_LEVEL_COLLECTION |
             1u << VIVO_LEVEL_STUDY | 1u << VIVO_LEVEL_SERIES,
    .listed = listed,
    .open = open_xnat,
    .close = close_xnat,
    .probe = probe,
    .list = vivo_xnat_list,
    .prepares = VIVO_LEVEL_STUDY,
    .prepare = vivo_xnat_prepare,
    .fetch = vivo_xnat_fetch,
    .bundle = vivo_xnat_bundle,
    .headers = vivo_xnat_headers,
    .describes = vivo_xnat_describes,
    .describe = vivo_xnat_describe,
};
