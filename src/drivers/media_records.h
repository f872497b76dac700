/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/media_records.h -- what the DICOMDIR of a medium names and is not there.
 *
 * A folder is listed by what lies in it, whatever a DICOMDIR says; but one that names
 * files which are gone tells that the copy of a medium is not whole. */
#ifndef VIVOFS_DRIVERS_MEDIA_RECORDS_H
#define VIVOFS_DRIVERS_MEDIA_RECORDS_H

#include "vivofs/op.h"

/* path: of a file that is named and not there, relative to the root. */
typedef void vivo_media_missing_fn(void *ctx, const char *path);

/* Reads the DICOMDIR at the top of the folder. 0, also where there is none; -EINTR and
 * -ETIMEDOUT as the op says. *broken: it could not be read to its end. */
int vivo_media_missing(int rootfd, vivo_media_missing_fn *fn, void *ctx, bool *broken,
                       struct vivo_op *op);

#endif
