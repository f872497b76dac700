/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/dicomjson.h -- the DICOM JSON model (PS3.18 annex F) into attrs form.
 *
 * What comes here was written by an archive and is trusted in nothing: not in its
 * types, its depth, its lengths or its characters. */
#ifndef VIVOFS_DRIVERS_DICOMJSON_H
#define VIVOFS_DRIVERS_DICOMJSON_H

#include "vivofs/model.h"

#include <stdbool.h>

/* The elements of a top-level array, one after the other, so that a reply of tens of
 * megabytes is never a tree in memory at once. */
struct vivo_dicomjson_rows {
    const char *at, *end; /* borrowed text */
    bool started, finished;
};
void vivo_dicomjson_rows_init(struct vivo_dicomjson_rows *r, const void *text,
                              size_t len);
/* 1 and the text of the next object; 0 at the end (an empty text has no rows);
 * -EBADMSG: not an array of objects, or cut. */
int vivo_dicomjson_next(struct vivo_dicomjson_rows *r, const char **object, size_t *len,
                        struct vivo_err *err);

enum vivo_dicomjson_flag {
    VIVO_DICOMJSON_ROW =
        1 << 0, /* a row of a query: elements without value are left out */
};
/* Appends one object as a data set in attrs form. Text is made NFC without control
 * characters; (0008,0005) is ISO_IR 192. What only the query protocol says
 * (RetrieveURL, availability) is left out; AvailableTransferSyntaxUID becomes
 * (0002,0010). Values that do not fit their VR are left out; bulk values referred to
 * are empty. -EBADMSG: not an object of this model; -ENOSPC, -ENOMEM. */
int vivo_dicomjson_attrs(const char *object, size_t len, unsigned flags,
                         struct vivo_buf *out, struct vivo_err *err);

#endif
