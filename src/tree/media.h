/* SPDX-License-Identifier: Apache-2.0 */
/* src/tree/media.h -- the plan of a `.media/`, for room_media.c (its directories) and
 * media_index.c (its DICOMDIR). */
#ifndef VIVO_TREE_MEDIA_H
#define VIVO_TREE_MEDIA_H

#include "tree/internal.h"

enum { MEDIA_PATIENT, MEDIA_STUDY, MEDIA_SERIES, MEDIA_IMAGE, MEDIA_LEVELS };
#define MEDIA_PART_MAX 999999u /* six digits */

/* One object and where it stands: PA, ST, SE, IM. What is not constant is guarded by
 * the plan's mutex. */
struct media_item {
    vivo_row row;
    uint32_t at[MEDIA_LEVELS];
    bool asked;    /* its series was asked for headers */
    bool left_out; /* refused, or gone */
    uint8_t *keys; /* attributes that its records need; NULL = not known yet */
    size_t len;
};

/* Made when `.media` is looked up and constant from then on. */
struct media {
    struct made made; /* first; its file is the DICOMDIR */
    size_t n, cap;
    struct media_item *items; /* ascending by place; what changes in them is guarded
                                 by made.mutex */
    struct vivo_sha256 *sha;  /* while it is planned */
};

/* The last part of its name down to `level`: PA000001, ST000001 … */
void media_name(const struct media_item *item, unsigned level, char out[16]);

#endif
