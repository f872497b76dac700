/* SPDX-License-Identifier: Apache-2.0 */
/* include/vivofs/extras.h -- the part of the catalog that knows files which are no
 * DICOM objects, and the folders they are in (DESIGN A1: "appears as it is").
 *
 * Only where nothing is de-identified: elsewhere they are counted and not a word of
 * them is written down. An extra lies in the directory of the one series whose objects
 * its own folder holds, else in folders of the archive's names below its collection;
 * where the listing of a series, study or patient brought it, below that. Its place
 * and name are decided when a listing is complete, by all that is there then. */
#ifndef VIVOFS_EXTRAS_H
#define VIVOFS_EXTRAS_H

#include "vivofs/catalog.h"

/* ---- reading --------------------------------------------------------------------- */

struct vivo_extra_entry { /* borrowed for the callback */
    vivo_row row, parent; /* parent: a node of the tree or a folder; rows are unique */
    const char *name;
    bool folder;
    uint64_t size; /* bytes; an estimate (never 0) unless size_exact */
    bool size_exact;
    uint32_t version; /* counts changes of its bytes */
    int64_t mtime;    /* as vivo_entry */
};
typedef int vivo_extra_fn(void *ctx, const struct vivo_extra_entry *e);
/* Of a directory: the one so named (-ENOENT), or all in order of name. */
int vivo_catalog_extra_find(struct vivo_catalog *c, vivo_row parent, const char *name,
                            vivo_extra_fn *fn, void *ctx, struct vivo_err *err);
int vivo_catalog_extras(struct vivo_catalog *c, vivo_row parent, vivo_extra_fn *fn,
                        void *ctx, struct vivo_err *err);
/* By row: -ENOENT when gone. Its locator: vivo_catalog_locator of VIVO_LEVEL_INSTANCE.
 */
int vivo_catalog_extra_get(struct vivo_catalog *c, vivo_row row, vivo_extra_fn *fn,
                           void *ctx, struct vivo_err *err);
/* As vivo_catalog_path. */
int vivo_catalog_extra_path(struct vivo_catalog *c, vivo_row row, struct vivo_buf *out,
                            struct vivo_err *err);

/* ---- writing --------------------------------------------------------------------- */

struct vivo_extra_put {
    const char *locator, *version;
    const char *path;       /* vivo_extra */
    const char *collection; /* as shown; NULL = "all" */
    uint64_t size;          /* 0 with size_exact: it is empty */
    bool size_exact;
};
/* Takes it in; vivo_listing_known knows it from now on. */
int vivo_listing_extra(struct vivo_listing *l, const struct vivo_extra_put *put,
                       struct vivo_err *err);
/* Its bytes are not what they were; of put: locator, version, size. */
int vivo_catalog_extra_replace(struct vivo_catalog *c, vivo_row row,
                               const struct vivo_extra_put *put, struct vivo_err *err);

#endif
