/* SPDX-License-Identifier: Apache-2.0 */
/* include/vivofs/search.h -- searches of an archive, kept in its catalog (catalog.h) so
 * that the next mount need not ask again. */
#ifndef VIVOFS_SEARCH_H
#define VIVOFS_SEARCH_H

#include "vivofs/catalog.h"

/* What the archive was asked, kept across mounts: what it brought, when, and the last
 * row before. Not sealed: rows only. */
struct vivo_search {
    int64_t at_ms; /* Unix milliseconds */
    bool unable;   /* the archive cannot be asked that */
    vivo_row upto, *series, *studies;
    size_t nseries, nstudies;
};
/* key: a digest of what was asked. What is very large is not kept: 0 as well. */
int vivo_catalog_search_keep(struct vivo_catalog *c, const uint8_t *key,
                             const struct vivo_search *s, struct vivo_err *err);
/* -ENOENT: it was not asked. The caller frees *out. */
int vivo_catalog_search_find(struct vivo_catalog *c, const uint8_t *key,
                             struct vivo_search *out, struct vivo_err *err);
void vivo_search_free(struct vivo_search *s);
/* As if all of them had been asked in 1970: after a refresh, for who is online. */
int vivo_catalog_search_age(struct vivo_catalog *c, struct vivo_err *err);
/* When the last of them was asked, in Unix milliseconds; 0 = never, or not known. */
int64_t vivo_catalog_search_latest(struct vivo_catalog *c);

/* The row given last: later ones are greater. */
vivo_row vivo_catalog_last_row(struct vivo_catalog *c);

#endif
