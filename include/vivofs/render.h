/* SPDX-License-Identifier: Apache-2.0 */
/* include/vivofs/render.h -- what is known of scans, in forms that other programs and
 * people read. Functions of what is shown, without state; only a picture needs more
 * than its input: a compressed one is decoded by a program of its own (pixels.h). */
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

/* ---- pictures (picture.c, png.c) ---------------------------------------------------
 */

struct vivo_picture {
    uint32_t width, height;
    uint8_t *rgb; /* 3 bytes a pixel, rows from the top; owned */
};
void vivo_picture_free(struct vivo_picture *p);
/* A black one. 0 or -ENOMEM. */
int vivo_picture_new(uint32_t width, uint32_t height, struct vivo_picture *out);

/* The middle frame of an object as a screen shows it, at most `side` pixels wide and
 * high, not enlarged. May take as long as decoding takes: not on a thread that others
 * wait for. -EBADMSG with the reason: it holds no picture, or none that can be shown.
 * Caller frees. */
int vivo_render_picture(struct vivo_reader *object, uint32_t side,
                        struct vivo_picture *out, struct vivo_err *err);
/* What stands for a picture that there is not: a cross on grey. 0 or -ENOMEM. */
int vivo_render_no_picture(uint32_t side, struct vivo_picture *out);
/* Pictures of at most `side`, in rows, on black. 0 or -ENOMEM. */
int vivo_render_sheet(const struct vivo_picture *pictures, size_t n, uint32_t side,
                      struct vivo_picture *out);
/* The same pixels give the same bytes. */
int vivo_render_png(const struct vivo_picture *p, struct vivo_buf *out,
                    struct vivo_err *err);

#endif
