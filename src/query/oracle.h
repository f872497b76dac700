/* SPDX-License-Identifier: Apache-2.0 */
/* src/query/oracle.h -- between the two files of the reference matcher. */
#ifndef VIVOFS_QUERY_ORACLE_H
#define VIVOFS_QUERY_ORACLE_H

#include "vivofs/query.h"

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

/* oracle_virtual.c: a virtual attribute of all[self]. */
void vivo_query_oracle_virtual(struct vivo_query_finding *f,
                               const struct vivo_query_object *all, size_t n,
                               size_t self);
/* One that follows from where the object stands; false: it has none. */
bool vivo_query_oracle_fact(enum vivo_query_virtual which,
                            const struct vivo_query_object *all, size_t n, size_t self,
                            char *out);

#endif
