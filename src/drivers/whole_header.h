/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/whole_header.h -- the header of an object that can only be had whole, or
 * from its beginning on, by the archive's own fetch.
 *
 * Bytes go to memory or a file without a name, and what was read of them is all that is
 * kept. */
#ifndef VIVOFS_DRIVERS_WHOLE_HEADER_H
#define VIVOFS_DRIVERS_WHOLE_HEADER_H

#include "vivofs/driver.h"

/* attrs: empty, with its maximum. *size: bytes of the object. */
int vivo_whole_header(struct vivo_archive *a, const char *locator,
                      struct vivo_buf *attrs, uint64_t *size, struct vivo_op *op);
/* The same, ended as soon as the pixels begin. *size: as the archive told it, or 0.
 * -EBADMSG: no DICOM instance. */
int vivo_early_header(struct vivo_archive *a, const char *locator,
                      struct vivo_buf *attrs, uint64_t *size, struct vivo_op *op);

#endif
