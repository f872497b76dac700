/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/dicomjson_value.h -- one attribute of the DICOM JSON model. */
#ifndef VIVOFS_DRIVERS_DICOMJSON_VALUE_H
#define VIVOFS_DRIVERS_DICOMJSON_VALUE_H

#include "vivofs/buf.h"

#include <jansson.h>

/* The VR said, if PS3.5 knows it, else that of the dictionary. */
void vivo_dicomjson_vr(const json_t *said, uint32_t tag, char vr[3]);

/* Appends the value of an attribute object ("Value", "InlineBinary") as PS3.5 encodes
 * it. Parts that do not fit the VR are left empty. 0 or -ENOMEM; longer values are cut
 * at the buffer's maximum. */
int vivo_dicomjson_value(uint32_t tag, const char *vr, const json_t *attribute,
                         struct vivo_buf *out);

/* Appends an element of text, cleaned for attrs form; nothing for "". */
int vivo_dicomjson_put_text(struct vivo_buf *out, uint32_t tag, const char *text);

#endif
