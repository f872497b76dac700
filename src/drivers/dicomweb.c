/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/dicomweb.c -- archive = a DICOMweb server; Orthanc's own interface is
 * used beside it for sizes and bytes.
 *
 * URL:      dicomweb+http(s)://HOST[:PORT]/dicom-web (the base of QIDO-RS and WADO-RS)
 * Lists:    top = studies, study = series, series = instances (QIDO-RS)
 * Locator:  UIDs, see dicomweb.h
 * Source:   PS3.18 sections 8, 10.4 (WADO-RS), 10.6 (QIDO-RS), annex F (JSON);
 *           Orthanc REST API of 1.10. Quirks: dicomweb.md. */
#include "dicomweb.h"
#include "source_url.h"

#include <errno.h>
#include <string.h>

static void close_dicomweb(struct vivo_archive *self)
{
    struct dicomweb *d = dicomweb_of(self);
    vivo_dicomweb_memory_free(d->memory);
    free(d->url);
    free(d->root);
    if (d->bearer)
        explicit_bzero(d->bearer, strlen(d->bearer));
    free(d->bearer);
    free(d);
}

/* "https://host/dicom-web" without slashes at the end, from the source as typed. */
static int read_source(const char *source, char **out, struct vivo_err *err)
{
    const char *url = vivo_source_url(source, "dicomweb+", false,
                                      "dicomweb+https://HOST[:PORT]/dicom-web", err);
    if (!url)
        return -EINVAL;
    *out = vivo_source_base(url, strlen(url));
    return *out ? 0 : vivo_fail(err, ENOMEM, "dicomweb: out of memory");
}

/* Orthanc's plugin serves below /dicom-web unless told otherwise; its own interface is
 * then one level up. */
static int find_root(struct dicomweb *d, struct vivo_err *err)
{
    static const char tail[] = "/dicom-web";
    size_t n = strlen(d->url);
    size_t t = sizeof tail - 1;
    atomic_init(&d->orthanc, DICOMWEB_ORTHANC_NO);
    if (n <= t || strcmp(d->url + n - t, tail) != 0)
        return 0;
    atomic_store(&d->orthanc, DICOMWEB_ORTHANC_UNKNOWN);
    d->root = strndup(d->url, n - t);
    return d->root ? 0 : vivo_fail(err, ENOMEM, "dicomweb: out of memory");
}

static int open_dicomweb(const struct vivo_archive_config *cfg,
                         struct vivo_archive **out, struct vivo_err *err)
{
    if (!cfg->net)
        return vivo_fail(err, EINVAL, "dicomweb: needs the network");
    struct dicomweb *d = calloc(1, sizeof *d);
    if (!d)
        return vivo_fail(err, ENOMEM, "dicomweb: out of memory");
    d->base.net = cfg->net;
    atomic_init(&d->page, DICOMWEB_PAGE);
    d->memory = vivo_dicomweb_memory_new();
    d->bearer = cfg->bearer ? strdup(cfg->bearer) : NULL;
    int rc = read_source(cfg->source, &d->url, err);
    if (rc == 0)
        rc = find_root(d, err);
    if (rc == 0 && (!d->memory || (cfg->bearer && !d->bearer)))
        rc = vivo_fail(err, ENOMEM, "dicomweb: out of memory");
    if (rc) {
        close_dicomweb(&d->base);
        return rc;
    }
    *out = &d->base;
    return 0;
}

/* One study: does it answer, and like a DICOMweb server? */
static int probe(struct vivo_archive *self, struct vivo_op *op)
{
    struct dicomweb *d = dicomweb_of(self);
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf body = {0};
    struct vivo_net_reply reply;
    vivo_buf_init(&body, DICOMWEB_PAGE_BYTES);
    const struct dicomweb_ask ask = {d->url, "/studies?limit=1", DICOMWEB_JSON, NULL,
                                     DICOMWEB_PAGE_BYTES};
    int rc = vivo_dicomweb_ask(d, &ask, &body, &reply, op);
    if (rc == 0)
        rc = vivo_dicomweb_check_json(&reply, &op->err);
    if (rc == 0)
        rc = vivo_dicomweb_is_orthanc(d, op);
    return rc < 0 ? rc : 0;
}

/* What names are made of (DESIGN A1): asked for, and the same at every listing. */
static const uint32_t listed[] = {
    VIVO_TAG_SOPClassUID,       VIVO_TAG_SOPInstanceUID,    VIVO_TAG_StudyDate,
    VIVO_TAG_StudyTime,         VIVO_TAG_AccessionNumber,   VIVO_TAG_Modality,
    VIVO_TAG_StudyDescription,  VIVO_TAG_SeriesDescription, VIVO_TAG_PatientName,
    VIVO_TAG_PatientID,         VIVO_TAG_IssuerOfPatientID, VIVO_TAG_StudyInstanceUID,
    VIVO_TAG_SeriesInstanceUID, VIVO_TAG_StudyID,           VIVO_TAG_SeriesNumber,
    VIVO_TAG_InstanceNumber,    VIVO_TAG_NumberOfFrames,    0,
};

extern const struct vivo_driver vivo_driver_dicomweb;
const struct vivo_driver vivo_driver_dicomweb = {
    .name = "dicomweb",
    .summary = "DICOMweb server (QIDO-RS, WADO-RS), Orthanc",
    .schemes = "dicomweb+http dicomweb+https",
    .caps = VIVO_CAP_HEADERS,
    .lists = 1u << VIVO_LEVEL_NONE | 1u << VIVO_LEVEL_STUDY | 1u << VIVO_LEVEL_SERIES,
    .listed = listed,
    .open = open_dicomweb,
    .close = close_dicomweb,
    .probe = probe,
    .list = vivo_dicomweb_list,
    .fetch = vivo_dicomweb_fetch,
    .bundle = vivo_dicomweb_bundle,
    .headers = vivo_dicomweb_headers,
    .searches = vivo_dicomweb_searches,
    .search = vivo_dicomweb_search,
};
