/* SPDX-License-Identifier: Apache-2.0 */
/* src/catalog/facts.h -- between the two files of the virtual attributes: what is
 * counted of each node, in order of the rows. */
#ifndef VIVOFS_CATALOG_FACTS_H
#define VIVOFS_CATALOG_FACTS_H

#include "catalog/internal.h"

#define VIVO_FACT_ORDER 96 /* date, time, UID */

struct node_fact { /* collection, patient */
    vivo_row id, parent;
    const char *name;
    bool listed; /* its children are all there */
    int64_t children;
};

struct study_fact {
    vivo_row id, patient;
    bool listed, told; /* told: the archive's record has the modalities */
    bool dated;
    char order[VIVO_FACT_ORDER];
    const char *uid;
    const char *modalities; /* parted by backslashes; NULL = none */
    int64_t series, instances, rank, of, day;
    bool unlisted_series;
};

struct series_fact {
    vivo_row id, study;
    int64_t count, frames, bytes; /* -1 = not known */
    const char *license;          /* NULL = the archive gives none */
    bool listed;
};

struct vivo_facts {
    struct vivo_arena *arena;
    struct node_fact *collections, *patients;
    struct study_fact *studies;
    struct series_fact *series;
    size_t ncollections, npatients, nstudies, nseries;
};

/* The fact of a row, NULL without one. */
void *vivo_catalog_fact_find(const void *array, size_t n, size_t size, vivo_row row);
#define FIND(f, what, row)                                                             \
    vivo_catalog_fact_find((f)->what, (f)->n##what, sizeof *(f)->what, row)

#endif
