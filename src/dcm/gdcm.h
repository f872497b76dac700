/* SPDX-License-Identifier: Apache-2.0 */
/* src/dcm/gdcm.h -- GDCM's tables, row by row. Private to dcm.
 *
 * They were written out when vivofs was built (gen/gdcm_tables.cc). A callback's
 * non-zero result ends the iteration and is returned. */
#ifndef VIVOFS_DCM_GDCM_H
#define VIVOFS_DCM_GDCM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Every row of the public dictionary (PS3.6 and PS3.7), with repeating groups and
 * elements expanded. vr may be a choice: "US or SS". */
typedef int vivo_gdcm_dict_fn(void *ctx, uint32_t tag, const char *vr, const char *vm,
                              const char *keyword, bool retired);
int vivo_gdcm_dict(vivo_gdcm_dict_fn *fn, void *ctx);

/* Every UID of PS3.6 Annex A that GDCM names. */
typedef int vivo_gdcm_uid_fn(void *ctx, const char *uid, const char *name);
int vivo_gdcm_uids(vivo_gdcm_uid_fn *fn, void *ctx);

/* Every storage SOP class that GDCM knows, private ones of vendors included, in order
 * of UID. */
struct vivo_sop_class {
    const char *uid;
    uint32_t first, n; /* its types; n = 0 = a class without IOD */
};
const struct vivo_sop_class *vivo_gdcm_classes(size_t *n);

/* Type of a top-level attribute in a class's IOD: the strictest of its modules' and
 * their macros'. */
struct vivo_gdcm_type {
    uint32_t tag; /* ascending within a class */
    char type;    /* '1', '2' or '3'; C counts as met */
};
const struct vivo_gdcm_type *vivo_gdcm_types(const struct vivo_sop_class *c);

#endif
