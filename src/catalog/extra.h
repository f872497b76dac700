/* SPDX-License-Identifier: Apache-2.0 */
/* src/catalog/extra.h -- what the files of the catalog share about extras.
 *
 * The table holds files and the folders that are made of their paths. A file that has
 * no place yet has the negative of its own row as parent. */
#ifndef VIVOFS_CATALOG_EXTRA_H
#define VIVOFS_CATALOG_EXTRA_H

#include "catalog/internal.h"
#include "vivofs/extras.h"

enum { EXTRA_FILE, EXTRA_FOLDER }; /* extra.kind */

/* What tells the folder of a path from all others of the archive. */
int64_t vivo_catalog_folder(enum vivo_level level, vivo_row row, const char *path);

/* Writer locked, in a transaction. *source: its row in `source`. */
int vivo_catalog_put_extra(struct vivo_catalog *c, enum vivo_level level, vivo_row row,
                           const struct vivo_extra_put *put, int64_t *source,
                           struct vivo_err *err);
/* Gives all extras that listings of (level, row) brought the place that they have now.
 */
int vivo_catalog_place(struct vivo_catalog *c, enum vivo_level level, vivo_row row,
                       struct vivo_err *err);
/* Is there one that has none? Negative: failed. */
int vivo_catalog_unplaced(struct vivo_writer *w, enum vivo_level level, vivo_row row,
                          struct vivo_err *err);
/* What the listings of a node brought goes with it. */
int vivo_catalog_remove_extras(struct vivo_writer *w, vivo_row owner,
                               struct vivo_err *err);
/* -ENOENT: no extra. */
int vivo_catalog_extra_set_size(struct vivo_catalog *c, vivo_row row, uint64_t size,
                                struct vivo_err *err);

#endif
