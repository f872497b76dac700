/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/locator.h -- locators that are parts joined by slashes. */
#ifndef VIVOFS_DRIVERS_LOCATOR_H
#define VIVOFS_DRIVERS_LOCATOR_H

#include <stdbool.h>
#include <stddef.h>

/* The part up to the next '/'; *s moves behind it, to NULL after the last one. False:
 * there is none, or it is longer than out (cap bytes) may hold. */
bool vivo_locator_part(const char **s, char *out, size_t cap);

#endif
