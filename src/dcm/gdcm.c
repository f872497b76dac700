/* SPDX-License-Identifier: Apache-2.0 */
/* src/dcm/gdcm.c -- GDCM's dictionary and UIDs, as gen/gdcm_tables.cc wrote them out
 * when vivofs was built. */
#include "gdcm.h"

#include <stddef.h>

int vivo_gdcm_dict(vivo_gdcm_dict_fn *fn, void *ctx)
{
    static const struct {
        uint32_t tag;
        const char *vr, *vm, *keyword;
        bool retired;
    } rows[] = {
#define VIVO_GDCM_DICT(tag, vr, vm, keyword, retired) {tag, vr, vm, keyword, retired},
#include "gdcm_tables.def"
    };
    int rc = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows && rc == 0; i++)
        rc = fn(ctx, rows[i].tag, rows[i].vr, rows[i].vm, rows[i].keyword,
                rows[i].retired);
    return rc;
}

int vivo_gdcm_uids(vivo_gdcm_uid_fn *fn, void *ctx)
{
    static const struct {
        const char *uid, *name;
    } rows[] = {
#define VIVO_GDCM_UID(uid, name) {uid, name},
#include "gdcm_tables.def"
    };
    int rc = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows && rc == 0; i++)
        rc = fn(ctx, rows[i].uid, rows[i].name);
    return rc;
}

const struct vivo_sop_class *vivo_gdcm_classes(size_t *n)
{
    static const struct vivo_sop_class rows[] = {
#define VIVO_GDCM_CLASS(uid, first, count) {uid, first, count},
#include "gdcm_tables.def"
    };
    *n = sizeof rows / sizeof *rows;
    return rows;
}

const struct vivo_gdcm_type *vivo_gdcm_types(const struct vivo_sop_class *c)
{
    static const struct vivo_gdcm_type rows[] = {
#define VIVO_GDCM_TYPE(tag, type) {tag, type},
#include "gdcm_tables.def"
    };
    return rows + c->first;
}
