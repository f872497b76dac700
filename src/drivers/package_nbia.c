/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/package_nbia.c -- what the NBIA Data Retriever leaves on a disk.
 *
 *     metadata.csv                                  a row a series; not quoted
 *     COLLECTION/LICENSE
 *     COLLECTION/PATIENT/STUDY/SERIES/1-001.dcm     where the row says
 *
 * at the top of the folder or in a folder of it (manifest-1700000000000/). Commas
 * within values shift the columns behind them, so what is used is counted from the
 * nearer end: collection and subject from the front, the location from the back. */
#include "drivers/manifest_text.h"
#include "drivers/package_map.h"

#include "vivofs/base.h"
#include "vivofs/file.h"
#include "vivofs/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "drivers/beneath.h"

#define LICENSE_BYTES (256u << 10)

enum { COLLECTION = 1, SUBJECT = 4, LOCATION_FROM_END = 2, COLUMNS = 17 };

struct nbia {
    struct vivo_package_map map;
    struct vivo_package_map licenses; /* path of a LICENSE -> its collection */
    size_t bad;
};

static int take_row(struct nbia *n, const char *folder, struct manifest_text *t,
                    struct vivo_err *err)
{
    char path[PATH_MAX], license[PATH_MAX];
    if (t->nfields < COLUMNS ||
        !vivo_package_path(folder, t->fields[t->nfields - LOCATION_FROM_END], path,
                           sizeof path)) {
        n->bad++;
        return 0;
    }
    const char *collection = t->fields[COLLECTION];
    int rc = vivo_package_map_add(&n->map, path, collection, t->fields[SUBJECT], err);
    if (rc == 0 && *collection && !strchr(collection, '/') &&
        snprintf(license, sizeof license, "%s%s/LICENSE", folder, collection) <
            (int)sizeof license)
        rc = vivo_package_map_add(&n->licenses, license, collection, "", err);
    return rc;
}

static bool is_ours(const struct manifest_text *t)
{
    return t->nfields == COLUMNS && strcmp(t->fields[0], "Series UID") == 0 &&
           strcmp(t->fields[COLLECTION], "Collection") == 0 &&
           strcmp(t->fields[SUBJECT], "Subject ID") == 0 &&
           strcmp(t->fields[COLUMNS - LOCATION_FROM_END], "File Location") == 0;
}

static int read_table(void *ctx, int fd, const char *folder, const char *name,
                      struct vivo_err *err)
{
    struct nbia *n = ctx;
    struct manifest_text t;
    char path[64];
    if (strcmp(name, "metadata.csv") != 0)
        return 0;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (vivo_manifest_text_open(path, &t, NULL)) {
        n->bad++;
        return 0;
    }
    int rc = vivo_manifest_record(&t, NULL);
    bool ours = rc == 1 && is_ours(&t);
    while (ours && (rc = vivo_manifest_record(&t, NULL)) == 1) {
        rc = take_row(n, folder, &t, err);
        if (rc < 0)
            break;
    }
    vivo_manifest_text_close(&t);
    if (rc == -ENOMEM && err && err->errnum)
        return rc;
    n->bad += ours && rc < 0; /* a line that is no text: the rest is not told */
    return 0;
}

static void forget(void *known)
{
    struct nbia *n = known;
    vivo_package_map_free(&n->map);
    vivo_package_map_free(&n->licenses);
    free(n);
}

static int look(const struct vivo_package_files *lists, void **known,
                struct vivo_err *err)
{
    if (!lists)
        return 0;
    struct nbia *n = calloc(1, sizeof *n);
    if (!n)
        return vivo_fail(err, ENOMEM, "no memory for a package");
    int rc = vivo_package_map_init(&n->map, err);
    if (rc == 0)
        rc = vivo_package_map_init(&n->licenses, err);
    if (rc == 0)
        rc = vivo_package_files(lists, 1, "metadata.csv", read_table, n, err);
    if (rc == 0) {
        vivo_package_map_ready(&n->map);
        vivo_package_map_ready(&n->licenses);
        n->bad += n->map.bad;
    }
    if (rc == 0 && n->bad)
        vivo_log(VIVO_LOG_WARN, "drivers.package",
                 "metadata.csv: %zu rows cannot be used; what their files say counts",
                 n->bad);
    if (rc || !n->map.n) {
        forget(n);
        return rc;
    }
    *known = n;
    return 1;
}

static bool place(const void *known, const char *path, struct vivo_package_place *out)
{
    const struct nbia *n = known;
    return n && vivo_package_map_above(&n->map, path, out);
}

static int words(const void *known, int rootfd, vivo_package_words_fn *fn, void *ctx,
                 struct vivo_err *err)
{
    const struct nbia *n = known;
    int rc = 0;
    for (size_t i = 0; n && rc == 0 && i < n->licenses.n; i++) {
        VIVO_AUTO(vivo_buf_free_p) struct vivo_buf text = {0};
        char path[64];
        VIVO_AUTO(vivo_close_p)
        int fd = vivo_beneath_open(rootfd, n->licenses.rows[i].key,
                                   O_RDONLY | O_NONBLOCK | O_NOCTTY);
        if (fd < 0)
            continue;
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        vivo_buf_init(&text, LICENSE_BYTES + 1);
        if (vivo_file_read(path, LICENSE_BYTES, &text, NULL) || !text.len ||
            memchr(text.data, 0, text.len) || vivo_buf_add(&text, "", 1))
            continue;
        rc = fn(ctx, n->licenses.rows[i].collection, (const char *)text.data, err);
    }
    return rc;
}

const struct vivo_packager vivo_package_nbia = {
    .name = "NBIA Data Retriever",
    .look = look,
    .forget = forget,
    .place = place,
    .words = words,
};
