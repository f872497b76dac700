/* SPDX-License-Identifier: Apache-2.0 */
/* src/model/name.h -- what name.c and layout.c share. */
#ifndef VIVOFS_MODEL_NAME_H
#define VIVOFS_MODEL_NAME_H

#include "vivofs/model.h"

/* Has the name a meaning of its own somewhere in the tree? */
bool vivo_name_reserved(const char *name);
/* A name as given where it is safe and free, else marked with <u> of it. */
void vivo_name_text(const char *given, char out[VIVO_NAME_MAX + 1]);
/* A value as a number of at most 31 bits, not negative. */
bool vivo_name_number(struct vivo_attrs a, uint32_t tag, unsigned long *out);
/* StudyDate as YYYYMMDD, or "" and false without a valid one. */
bool vivo_name_date(struct vivo_attrs a, char out[9]);

#endif
