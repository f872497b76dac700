/* SPDX-License-Identifier: Apache-2.0 */
/* src/dcm/tables.h -- the steps of vivo_dcm_global_init(). Private to dcm. */
#ifndef VIVOFS_DCM_TABLES_H
#define VIVOFS_DCM_TABLES_H

#include "vivofs/dcm.h"

int vivo_dcm_dict_build(struct vivo_err *err);
int vivo_dcm_uid_build(struct vivo_err *err);

/* Hash of a keyword without case. */
uint32_t vivo_dcm_hash_word(const char *s, size_t len);

#endif
