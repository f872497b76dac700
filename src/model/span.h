/* SPDX-License-Identifier: Apache-2.0 */
/* src/model/span.h -- text values without copies, for the model's own files. */
#ifndef VIVOFS_MODEL_SPAN_H
#define VIVOFS_MODEL_SPAN_H

#include "vivofs/model.h"

struct vivo_attr_span { /* borrowed from the data set; not NUL-terminated */
    const char *s;
    size_t len;
};

/* The whole value (backslashes included) with spaces and NULs at the ends trimmed.
 * False, with an empty span, when absent, empty or not text. */
bool vivo_attrs_span(struct vivo_attrs a, uint32_t tag, struct vivo_attr_span *out);

#endif
