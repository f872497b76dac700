/* SPDX-License-Identifier: Apache-2.0 */
/* tests/oracle/oracle.h -- what a query means, over complete objects: the reference
 * that vivo_query_eval and the catalog are compared with. Slow on purpose, and written
 * without their shortcuts. */
#ifndef VIVOFS_TESTS_ORACLE_H
#define VIVOFS_TESTS_ORACLE_H

#include "vivofs/query.h"

/* An object, and the numbers of its patient, study and series. */
struct vivo_query_object {
    struct vivo_attrs attrs;
    int64_t patient, study, series;
};

/* Does member `self` of `all` match? What an object's own source tells (COLLECTION,
 * LICENSE, SERIES_BYTES) it takes as missing. */
bool vivo_query_matches(const struct vivo_query *q, const struct vivo_query_object *all,
                        size_t n, size_t self);

/* ---- between its files ---------------------------------------------------------- */

/* What a walk over an object has found. */
struct vivo_query_finding {
    const struct vivo_query_node *n;
    bool has_value, satisfied;
};

/* Is the VR one of "DS IS "? */
bool vivo_query_oracle_vr(const char *vr, const char *list);
/* Looks at the values of an element; index: 1-based, 0 = all. */
void vivo_query_oracle_look(struct vivo_query_finding *f, const struct vivo_attr *a,
                            unsigned index);

/* virtual.c: a virtual attribute of all[self]. */
void vivo_query_oracle_virtual(struct vivo_query_finding *f,
                               const struct vivo_query_object *all, size_t n,
                               size_t self);
/* One that follows from where the object stands; false: it has none. */
bool vivo_query_oracle_fact(enum vivo_query_virtual which,
                            const struct vivo_query_object *all, size_t n, size_t self,
                            char *out);

#endif
