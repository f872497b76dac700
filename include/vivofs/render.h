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

/* ---- DICOMDIR (dicomdir.c) ---------------------------------------------------------
 */

struct vivo_render_file {
    struct vivo_attrs attrs; /* at least what vivo_render_dicomdir_keys() keeps */
    const char *file_id;     /* below the DICOMDIR, parts joined by '/' or a backslash;
                                PS3.10 section 8.2: at most 8 of at most 8 letters of
                                A-Z 0-9 _ */
};
/* Of a data set what its records need, to be kept for many files. */
int vivo_render_dicomdir_keys(struct vivo_attrs a, struct vivo_buf *out);
/* Appends a DICOMDIR (PS3.10, PS3.3 Annex F) over the files: patients, studies, series
 * and one record for each file by its SOP class. set_id: FileSetID, "" = none. Files
 * without one of the UIDs or PatientID cannot be in it; *left_out (may be NULL) counts
 * them. 0, -ENOSPC, -ENOMEM. */
int vivo_render_dicomdir(const struct vivo_render_file *files, size_t n,
                         const char *set_id, struct vivo_buf *out, size_t *left_out,
                         struct vivo_err *err);

#endif
