/* SPDX-License-Identifier: Apache-2.0 */
/* src/dcm/gdcm.h -- the C face of GDCM: its tables, row by row. Private to dcm.
 *
 * No C++ type, exception or allocator crosses this header. Strings are borrowed
 * for the call of the callback; a callback's non-zero result ends the iteration
 * and is returned. */
#ifndef VIVOFS_DCM_GDCM_H
#define VIVOFS_DCM_GDCM_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Every row of the public dictionary (PS3.6 and PS3.7), with repeating groups and
 * elements expanded. vr may be a choice: "US or SS". */
typedef int vivo_gdcm_dict_fn(void *ctx, uint32_t tag, const char *vr, const char *vm,
                              const char *keyword, bool retired);
int vivo_gdcm_dict(vivo_gdcm_dict_fn *fn, void *ctx);

/* Every UID of PS3.6 Annex A that GDCM names. */
typedef int vivo_gdcm_uid_fn(void *ctx, const char *uid, const char *name);
int vivo_gdcm_uids(vivo_gdcm_uid_fn *fn, void *ctx);

/* Every storage SOP class that GDCM knows, private ones of vendors included. */
typedef int vivo_gdcm_class_fn(void *ctx, int number, const char *uid);
int vivo_gdcm_classes(vivo_gdcm_class_fn *fn, void *ctx);

/* Reads Part3.xml, about 30 ms. Once, one thread. 0, -ENOENT, -ENOMEM. */
int vivo_gdcm_load_types(void);
/* Type of a top-level attribute in a class's IOD: the strictest of its modules' and
 * their macros'; 0 = not in it, or class without IOD. After loading; thread-safe. */
char vivo_gdcm_type(int class_number, uint32_t tag);

#ifdef __cplusplus
}
#endif
#endif
