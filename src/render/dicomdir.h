/* SPDX-License-Identifier: Apache-2.0 */
/* src/render/dicomdir.h -- the records of a DICOMDIR and their keys (PS3.3 F.5), for
 * dicomdir.c and dicomdir_kinds.c. */
#ifndef VIVO_RENDER_DICOMDIR_H
#define VIVO_RENDER_DICOMDIR_H

#include "vivofs/render.h"

struct vivo_dicomdir_key {
    uint32_t tag; /* ascending; 0 ends the list */
    char vr[3];
    const char *instead; /* of type 1: what stands for a missing value, "#" = a number;
                            NULL: of type 2 */
    bool optional;       /* of type 1C or 3: left out when missing */
};

/* Of type 1C: that of the last observer where the document is verified. */
#define VIVO_DICOMDIR_VERIFIED 0x0040A030u
#define VIVO_DICOMDIR_OBSERVERS 0x0040A073u

struct vivo_dicomdir_kind {
    const char *type; /* Directory Record Type (0004,1430) */
    const struct vivo_dicomdir_key *keys;
};

extern const struct vivo_dicomdir_kind vivo_dicomdir_patient, vivo_dicomdir_study,
    vivo_dicomdir_series;
const struct vivo_dicomdir_kind *vivo_dicomdir_kind_of(const char *sop_class);

#endif
