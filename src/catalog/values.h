/* SPDX-License-Identifier: Apache-2.0 */
/* src/catalog/values.h -- between values.c, which gathers the values of an attribute,
 * and values_column.c, which reads them from columns. */
#ifndef VIVOFS_CATALOG_VALUES_H
#define VIVOFS_CATALOG_VALUES_H

#include "catalog/column.h"

struct value {
    const char *key, *text;     /* in the arena */
    uint64_t instances, object; /* object: the last that was counted */
};

#define SEEN_SLOTS 2048
#define SEEN_VALUE 23
struct seen {        /* a value as it stands, taken in before */
    struct value *v; /* NULL = an empty slot */
    char vr[2];
    uint8_t len;
    uint8_t text[SEEN_VALUE];
};

struct gather {
    struct vivo_catdb *d;
    const struct vivo_selection *sel;
    uint32_t tag;
    struct vivo_arena *arena;
    struct value **table; /* open addressing; a power of two */
    size_t n, cap;
    uint64_t missing, object;
    bool has_missing;
    struct vivo_buf tmp;
    bool hot_only;
    struct value *last; /* that was found or made last */
    struct seen seen[SEEN_SLOTS];
    struct vivo_buf shown;     /* of a series with refused members */
    uint64_t *by_code;         /* members with each number (codes.h); or NULL */
    struct vivo_column column; /* of the series at hand */
    struct vivo_column_scan scan, sizes;
    struct vivo_place place;
    struct vivo_common common;
    struct vivo_vector *vector;
    struct vivo_err *err;
};

bool vivo_catalog_gather_text(const char *vr); /* is it kept as text? */
/* All values of one object, or of `instances` that have the same; a NULL: missing. */
int vivo_catalog_gather_attr(struct gather *g, const struct vivo_attr *a,
                             uint64_t instances);
/* The members of a row of vivo_catalog_series_below: 1 = done, 0 = columns do not
 * tell. */
int vivo_catalog_gather_columns(struct gather *g, sqlite3_stmt *row, vivo_row series,
                                bool whole);
/* What was only counted by its number so far. */
int vivo_catalog_gather_codes(struct gather *g);

#endif
