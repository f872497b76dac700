/* SPDX-License-Identifier: Apache-2.0 */
/* include/vivofs/render.h -- what is known of scans, in forms that other programs and
 * people read. Pure functions of attributes as shown: no I/O, no state. */
#ifndef VIVOFS_RENDER_H
#define VIVOFS_RENDER_H

#include "vivofs/dcm.h"
#include "vivofs/model.h"

/* ---- attributes (tags.c) ----------------------------------------------------------
 */

/* Appends one data set as an object of the DICOM JSON Model (PS3.18 Annex F): without
 * group 0002 and without bulk values, of which only their VR is told. 0, -ENOSPC,
 * -ENOMEM. */
int vivo_render_json(struct vivo_attrs a, struct vivo_buf *out);
/* The same to be read by people: a line for each element with tag, VR, keyword and
 * values, sequences indented. */
int vivo_render_dump(struct vivo_attrs a, struct vivo_buf *out);

#endif
