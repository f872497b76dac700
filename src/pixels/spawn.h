/* SPDX-License-Identifier: Apache-2.0 */
/* src/pixels/spawn.h -- one run of a helper; seen by its test alone. */
#ifndef VIVO_PIXELS_SPAWN_H
#define VIVO_PIXELS_SPAWN_H

#include "vivofs/pixels.h"

/* fds: source, output, job; they become 3, 4 and 5 of the program. Waits until it
 * ends, and kills it at the deadline. */
int vivo_pixels_spawn(const char *program, const int fds[3], int deadline_ms,
                      struct vivo_err *err);

#endif
