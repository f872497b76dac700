/* SPDX-License-Identifier: Apache-2.0 */
/* src/catalog/schema.h -- the file of a catalog: made, checked, moved aside. */
#ifndef VIVOFS_CATALOG_SCHEMA_H
#define VIVOFS_CATALOG_SCHEMA_H

#include "catalog/db.h"

/* Opens the writer's connection to `path`, making directory (0700), file (0600) and
 * tables where they are missing. A damaged or older database is moved to PATH.bad. */
int vivo_catalog_schema_open(struct vivo_catdb *d, const char *path,
                             struct vivo_err *err);
/* Leaves a mark beside a database that SQLite called damaged: the next open moves it
 * aside. */
void vivo_catalog_schema_condemn(const char *path);

#endif
