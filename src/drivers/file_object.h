/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/file_object.h -- one DICOM file as the body of a reply.
 *
 * For archives of plain files, which know no UIDs: nothing is passed on before the
 * beginning looks like DICOM, so that a login page or an error in words never passes
 * for the file; of an extra, which may be anything, only what calls itself a page is
 * refused. Whether it is whole, net tells by its length. */
#ifndef VIVOFS_DRIVERS_FILE_OBJECT_H
#define VIVOFS_DRIVERS_FILE_OBJECT_H

#include "vivofs/driver.h"

/* Asks for all of rq->url and delivers it. Counts requests and bytes in `a`. reply:
 * its head; or NULL. */
int vivo_file_object(struct vivo_archive *a, const struct vivo_net_request *rq,
                     struct vivo_delivery *to, struct vivo_net_reply *reply,
                     struct vivo_op *op);

#endif
