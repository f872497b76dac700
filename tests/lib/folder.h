/* SPDX-License-Identifier: Apache-2.0 */
/* tests/lib/folder.h -- a temporary folder for one test. Failing to make something is
 * fatal for the test program: nothing can be learned without it. */
#ifndef VIVOFS_TESTS_FOLDER_H
#define VIVOFS_TESTS_FOLDER_H

#include <stddef.h>

/* A new folder below $TMPDIR or /tmp, 0755; malloc'd. */
char *folder_new(void);
/* Removes it with everything below, and frees the name. */
void folder_free(char *dir);

/* All names are relative to dir; folders on the way are made. */
void folder_write(const char *dir, const char *name, const void *data, size_t len);
void folder_copy(const char *dir, const char *name, const char *from);
void folder_mkdir(const char *dir, const char *name);
/* The whole path; malloc'd. */
char *folder_path(const char *dir, const char *name);

#endif
