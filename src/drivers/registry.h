/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/registry.h -- which driver answers for a source. Private. */
#ifndef VIVOFS_DRIVERS_REGISTRY_H
#define VIVOFS_DRIVERS_REGISTRY_H

#include "vivofs/driver.h"

/* The driver of the source's scheme; a source without a known scheme and without
 * "://" is a path. NULL with err = EINVAL, which lists the schemes there are. */
const struct vivo_driver *vivo_driver_for(const char *source, struct vivo_err *err);

/* Is `scheme`, len bytes without the colon, one of a space-separated list? */
bool vivo_driver_has_scheme(const char *schemes, const char *scheme, size_t len);

#endif
