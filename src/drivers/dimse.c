/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/dimse.c -- archive = a PACS, by C-FIND and C-GET, or C-MOVE.
 *
 * URL:      dimse://[CALLING@]HOST:PORT/CALLED[?move=PORT&associations=N], dimses://
 *           the same over TLS, also [?name=NAME]
 * Lists:    top = studies, study = series, series = instances (study root, or patient
 *           root where that is all there is)
 * Locator:  UIDs, see dimse.h
 * Source:   PS3.4 annex C, PS3.7, PS3.8; DCMTK 3.6.7's dcmnet. Quirks: dimse.md. */
#include "dimse.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void close_dimse(struct vivo_archive *self)
{
    struct dimse *d = dimse_of(self);
    vivo_dimse_close(d->spare);
    vivo_dicomweb_memory_free(d->memory);
    pthread_cond_destroy(&d->changed);
    pthread_mutex_destroy(&d->mutex);
    free(d->host);
    free(d->cafile);
    free(d->certname);
    free(d);
}

/* ---- the URL ---------------------------------------------------------------- */

/* PS3.5 table 6.2-1, AE: 1 to 16 characters, no backslash, no control characters. */
static bool take_title(const char *s, size_t n, char out[DIMSE_TITLE_MAX + 1])
{
    if (n == 0 || n > DIMSE_TITLE_MAX)
        return false;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)s[i] <= ' ' || (unsigned char)s[i] > '~' || s[i] == '\\')
            return false;
    memcpy(out, s, n);
    out[n] = '\0';
    return true;
}

static bool take_number(const char *s, size_t n, unsigned most, unsigned *out)
{
    char text[8];
    if (n == 0 || n >= sizeof text)
        return false;
    memcpy(text, s, n);
    text[n] = '\0';
    if (strspn(text, "0123456789") != n)
        return false;
    unsigned long long v = strtoull(text, NULL, 10);
    *out = (unsigned)v;
    return v > 0 && v <= most;
}

/* Whom the certificate is for, where that is not HOST; "*" = anybody. */
static bool take_name(struct dimse *d, const char *s, size_t n)
{
    free(d->certname);
    d->any_name = n == 1 && s[0] == '*';
    d->certname = n == 0 || n > 250 || d->any_name ? NULL : strndup(s, n);
    return d->certname || d->any_name;
}

/* "move=11112&associations=2&name=pacs.example" */
static int read_settings(struct dimse *d, const char *s, struct vivo_err *err)
{
    while (*s) {
        size_t n = strcspn(s, "&");
        bool ok = false;
        if (n > 5 && strncmp(s, "move=", 5) == 0)
            ok = take_number(s + 5, n - 5, 65535, &d->move_port);
        else if (n > 13 && strncmp(s, "associations=", 13) == 0)
            ok = take_number(s + 13, n - 13, 64, &d->associations);
        else if (n >= 5 && strncmp(s, "name=", 5) == 0)
            ok = d->tls && take_name(d, s + 5, n - 5);
        if (!ok)
            return vivo_fail(err, EINVAL,
                             "behind the ? of a dimse URL: move=PORT, associations=N, "
                             "of a dimses URL also name=NAME");
        s += n + (s[n] == '&');
    }
    return 0;
}

/* "HOST:PORT", "[ADDRESS]:PORT" */
static int read_host(struct dimse *d, const char *s, size_t n, struct vivo_err *err)
{
    bool bracket = n > 0 && s[0] == '[';
    const char *end = memchr(s, bracket ? ']' : ':', n);
    const char *colon = end ? end + bracket : NULL;
    const char *host = s + bracket;
    size_t len = end ? (size_t)(end - host) : 0;
    if (len == 0 || len > 250 || colon >= s + n || *colon != ':' ||
        !take_number(colon + 1, (size_t)(s + n - colon) - 1, 65535, &d->port))
        return vivo_fail(err, EINVAL,
                         "expected HOST:PORT or [ADDRESS]:PORT in the URL of a PACS");
    d->host = strndup(host, len);
    return d->host ? 0 : vivo_fail(err, ENOMEM, "dimse: out of memory");
}

static int read_source(struct dimse *d, const char *source, struct vivo_err *err)
{
    d->tls = strncmp(source, "dimses://", 9) == 0;
    if (!d->tls && strncmp(source, "dimse://", 8) != 0)
        return vivo_fail(err, EINVAL, "expected dimse://[CALLING@]HOST:PORT/CALLED");
    const char *s = source + (d->tls ? 9 : 8);
    const char *slash = strchr(s, '/');
    const char *at = strchr(s, '@');
    if (!slash)
        return vivo_fail(err, EINVAL,
                         "the URL names no AE title: dimse://HOST:PORT/CALLED");
    const char *mark = strchr(slash, '?');
    size_t called = mark ? (size_t)(mark - slash - 1) : strlen(slash + 1);
    bool ok = take_title(slash + 1, called, d->called);
    if (at && at < slash) {
        ok = ok && !memchr(s, ':', (size_t)(at - s)) &&
             take_title(s, (size_t)(at - s), d->calling);
        s = at + 1;
    } else {
        take_title("VIVOFS", 6, d->calling);
    }
    if (!ok)
        return vivo_fail(err, EINVAL,
                         "an AE title has 1 to 16 characters: "
                         "dimse://[CALLING@]HOST:PORT/CALLED");
    int rc = read_host(d, s, (size_t)(slash - s), err);
    if (rc == 0)
        rc = read_settings(d, mark ? mark + 1 : "", err);
    if (rc == 0 && d->tls && !d->certname && !d->any_name &&
        !(d->certname = strdup(d->host)))
        rc = vivo_fail(err, ENOMEM, "dimse: out of memory");
    return rc;
}

/* ---- open and probe --------------------------------------------------------- */

static int open_dimse(const struct vivo_archive_config *cfg, struct vivo_archive **out,
                      struct vivo_err *err)
{
    struct dimse *d = calloc(1, sizeof *d);
    if (!d)
        return vivo_fail(err, ENOMEM, "dimse: out of memory");
    pthread_mutex_init(&d->mutex, NULL);
    pthread_cond_init(&d->changed, NULL);
    d->timeout_ms = cfg->timeout_ms;
    d->associations = 1;
    d->rate = cfg->rate ? cfg->rate : DIMSE_RATE;
    d->memory = vivo_dicomweb_memory_new();
    d->cafile = cfg->cafile ? strdup(cfg->cafile) : NULL;
    int rc = read_source(d, cfg->source, err);
    /* Of all who have a certificate from somebody, any will not do. */
    if (rc == 0 && d->any_name && !cfg->cafile)
        rc = vivo_fail(err, EINVAL,
                       "?name=* needs cafile=FILE: the certificates that the server "
                       "may show");
    if (rc == 0 && (!d->memory || (cfg->cafile && !d->cafile)))
        rc = vivo_fail(err, ENOMEM, "dimse: out of memory");
    if (rc) {
        close_dimse(&d->base);
        return rc;
    }
    *out = &d->base;
    return 0;
}

static int probe(struct vivo_archive *self, struct vivo_op *op)
{
    struct dimse *d = dimse_of(self);
    struct vivo_dimse *line = NULL;
    bool used = false;
    int rc = vivo_dimse_line_get(d, NULL, &line, &used, op);
    if (rc)
        return rc;
    if (atomic_load(&d->root) == DIMSE_ROOT_UNKNOWN)
        rc = vivo_fail(&op->err, EIO,
                       "the server offers C-FIND neither of the study root nor of the "
                       "patient root");
    vivo_dimse_line_put(d, line, NULL);
    return rc;
}

/* What names are made of (DESIGN A1). */
static const uint32_t listed[] = {
    VIVO_TAG_SOPClassUID,       VIVO_TAG_SOPInstanceUID,    VIVO_TAG_StudyDate,
    VIVO_TAG_StudyTime,         VIVO_TAG_AccessionNumber,   VIVO_TAG_Modality,
    VIVO_TAG_StudyDescription,  VIVO_TAG_SeriesDescription, VIVO_TAG_PatientName,
    VIVO_TAG_PatientID,         VIVO_TAG_IssuerOfPatientID, VIVO_TAG_StudyInstanceUID,
    VIVO_TAG_SeriesInstanceUID, VIVO_TAG_StudyID,           VIVO_TAG_SeriesNumber,
    VIVO_TAG_InstanceNumber,    VIVO_TAG_NumberOfFrames,    0,
};

extern const struct vivo_driver vivo_driver_dimse;
const struct vivo_driver vivo_driver_dimse = {
    .name = "dimse",
    .summary = "PACS (DICOM C-FIND, C-GET, C-MOVE)",
    .schemes = "dimse dimses",
    .caps = VIVO_CAP_HEADERS | VIVO_CAP_DEAR_HEADERS,
    .lists = 1u << VIVO_LEVEL_NONE | 1u << VIVO_LEVEL_STUDY | 1u << VIVO_LEVEL_SERIES,
    .listed = listed,
    .open = open_dimse,
    .close = close_dimse,
    .probe = probe,
    .list = vivo_dimse_list,
    .fetch = vivo_dimse_fetch,
    .bundle = vivo_dimse_bundle,
    .headers = vivo_dimse_headers,
    .searches = vivo_dimse_searches,
    .search = vivo_dimse_search,
};
