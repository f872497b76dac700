/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/manifest.c -- archive = what a list in a file names.
 *
 * URL:      path of a file that says what it is: .tcia, s5cmd, URLs, CSV or TSV with a
 *           row an object (Url, SOPInstanceUID …) or a row a series
 * Lists:    all objects (rows, URLs), or all series, whose objects the archive lists
 * Locator:  the URL with what is to be checked, or the other archive's (manifest.h)
 * Source:   NBIA Data Retriever's manifest 3.x, s5cmd 2, aria2 1.36 input files,
 *           RFC 4180; vivofs' own .freeze.csv. Quirks: manifest.md. */
#include "drivers/manifest.h"
#include "drivers/registry.h"

#include <errno.h>
#include <string.h>

bool vivo_manifest_uid_ok(const char *uid)
{
    size_t n = strspn(uid, "0123456789.");

    return n > 0 && n <= 64 && uid[n] == '\0' && uid[0] != '.' && uid[n - 1] != '.';
}

static void close_manifest(struct vivo_archive *self)
{
    struct manifest *m = manifest_of(self);

    for (size_t i = 0; i < m->nsubs; i++) {
        vivo_archive_close(m->subs[i]);
        free(m->sub_sources[i]);
    }
    vivo_manifest_spans_free(m->spans);
    pthread_mutex_destroy(&m->mutex);
    free(m->path);
    free(m->endpoint);
    free(m);
}

static int find_endpoint(struct manifest *m, struct vivo_err *err)
{
    char url[MANIFEST_URL_MAX];
    int rc = vivo_manifest_endpoint(m->path, url, err);

    if (rc < 0 || !url[0])
        return rc;
    m->endpoint = strdup(url);
    return m->endpoint ? 0 : vivo_fail(err, ENOMEM, "no memory for a manifest");
}

static int open_manifest(const struct vivo_archive_config *cfg,
                         struct vivo_archive **out, struct vivo_err *err)
{
    struct manifest *m = calloc(1, sizeof *m);
    int rc = 0;

    if (!m)
        return vivo_fail(err, ENOMEM, "no memory for a manifest");
    pthread_mutex_init(&m->mutex, NULL);
    m->base.net = cfg->net;
    m->timeout_ms = cfg->timeout_ms;
    m->path = strdup(cfg->source);
    m->endpoint = cfg->endpoint ? strdup(cfg->endpoint) : NULL;
    if (!m->path || (cfg->endpoint && !m->endpoint))
        rc = vivo_fail(err, ENOMEM, "no memory for a manifest");
    if (rc == 0)
        m->kind = vivo_manifest_kind(m->path);
    if (rc == 0 && m->kind == MANIFEST_NONE)
        rc = vivo_fail(err, EINVAL, "the file is no manifest that vivofs knows");
    if (rc == 0 && m->kind == MANIFEST_BOOK)
        rc =
            vivo_fail(err, EINVAL,
                      "the file is a workbook (XLSX, XLS, ODS): save the sheet as CSV, "
                      "and mount that");
    if (rc == 0 && m->kind == MANIFEST_S5CMD && !m->endpoint)
        rc = find_endpoint(m, err);
    if (rc < 0)
        close_manifest(&m->base);
    else
        *out = &m->base;
    return rc;
}

static bool takes(const char *path)
{
    return vivo_manifest_kind(path) != MANIFEST_NONE;
}

/* ---- other archives
 * ------------------------------------------------------------ */

int vivo_manifest_open(struct manifest *m, const char *source,
                       struct vivo_archive **out, struct vivo_err *err)
{
    const struct vivo_driver *d = vivo_driver_for(source, err);
    struct vivo_archive_config cfg = {
        .source = source, .net = m->base.net, .timeout_ms = m->timeout_ms};

    if (!d)
        return err->errnum ? -err->errnum : -EIO;
    if (d == m->base.driver)
        return vivo_fail(err, EIO, "a manifest within a manifest");
    return vivo_archive_open(&cfg, out, err);
}

int vivo_manifest_sub(struct manifest *m, const char *source, struct vivo_archive **out,
                      struct vivo_err *err)
{
    char *copy;
    int rc = 0;

    *out = NULL;
    pthread_mutex_lock(&m->mutex);
    for (size_t i = 0; i < m->nsubs && !*out; i++)
        if (!strcmp(m->sub_sources[i], source))
            *out = m->subs[i];
    if (!*out && m->nsubs == MANIFEST_SUBS)
        rc = vivo_fail(err, EIO, "the manifest names more than %d archives",
                       MANIFEST_SUBS);
    copy = !*out && rc == 0 ? strdup(source) : NULL;
    if (!*out && rc == 0)
        rc = copy ? vivo_manifest_open(m, source, out, err)
                  : vivo_fail(err, ENOMEM, "no memory for an archive");
    if (rc == 0 && copy) {
        m->sub_sources[m->nsubs] = copy;
        m->subs[m->nsubs++] = *out;
        copy = NULL;
    }
    pthread_mutex_unlock(&m->mutex);
    free(copy);
    return rc;
}

/* ---- list
 * ---------------------------------------------------------------------- */

static int list_text(struct manifest *m, struct manifest_text *t,
                     struct vivo_intake *in, struct vivo_op *op)
{
    switch (m->kind) {
    case MANIFEST_ROWS:
        return vivo_manifest_list_rows(m, t, in, op);
    case MANIFEST_S5CMD:
    case MANIFEST_URLS:
    case MANIFEST_LINKS:
        return vivo_manifest_list_urls(m, t, in, op);
    case MANIFEST_TABLE:
    case MANIFEST_TCIA:
    case MANIFEST_UIDS:
        return vivo_manifest_list_uids(m, t, in, op);
    case MANIFEST_BOOK:
    case MANIFEST_NONE:
        break;
    }
    return vivo_fail(&op->err, EINVAL, "the file is no manifest that vivofs knows");
}

static int list(struct vivo_archive *self, enum vivo_level level, const char *parent,
                struct vivo_intake *in, struct vivo_op *op)
{
    struct manifest *m = manifest_of(self);
    struct manifest_text t;
    int rc;

    if (level == VIVO_LEVEL_SERIES)
        return vivo_manifest_list_series(m, parent, in, op);
    rc = vivo_manifest_text_open(m->path, &t, &op->err);
    if (rc == 0) {
        rc = list_text(m, &t, in, op);
        vivo_manifest_text_close(&t);
    }
    return rc;
}

/* What the manifest itself says, or the archive behind it. */
static int url(struct vivo_archive *self, const char *locator, struct vivo_buf *out)
{
    const char *tab = strchr(locator, '\t');
    struct vivo_archive *sub;
    struct vivo_err err = {0};
    char *source;
    int rc;

    if (locator[0] == 'U' && tab)
        return vivo_buf_add(out, locator + 1, (size_t)(tab - locator - 1));
    if (locator[0] != 'N' || !tab)
        return -ENOENT;
    source = strndup(locator + 1, (size_t)(tab - locator - 1));
    if (!source)
        return -ENOMEM;
    rc = vivo_manifest_sub(manifest_of(self), source, &sub, &err);
    free(source);
    return rc < 0 ? rc : vivo_archive_url(sub, tab + 1, out, &err);
}

extern const struct vivo_driver vivo_driver_manifest;
const struct vivo_driver vivo_driver_manifest = {
    .name = "manifest",
    .summary = "list of objects or series in a file (.tcia, s5cmd, URLs, CSV)",
    .schemes = "",
    .caps = VIVO_CAP_FILE | VIVO_CAP_HEADERS,
    .lists = 1u << VIVO_LEVEL_NONE | 1u << VIVO_LEVEL_SERIES,
    .listed = NULL,
    .takes = takes,
    .open = open_manifest,
    .close = close_manifest,
    .list = list,
    .fetch = vivo_manifest_fetch,
    .headers = vivo_manifest_headers,
    .url = url,
    .sha256 = vivo_manifest_sha256,
};
