/* SPDX-License-Identifier: Apache-2.0 */
/* src/dcm/type.c -- the type of an attribute in objects of a SOP class, from PS3.3's
 * tables: two binary searches. */
#include "vivofs/dcm.h"

#include "gdcm.h"

#include <string.h>

static int compare_class(const void *key, const void *row)
{
    return strcmp(key, ((const struct vivo_sop_class *)row)->uid);
}

static int compare_type(const void *key, const void *row)
{
    uint32_t a = *(const uint32_t *)key, b = ((const struct vivo_gdcm_type *)row)->tag;
    return (a > b) - (a < b);
}

const struct vivo_sop_class *vivo_dcm_class(const char *sop_class)
{
    size_t n = 0;
    const struct vivo_sop_class *rows = vivo_gdcm_classes(&n);
    return bsearch(sop_class, rows, n, sizeof *rows, compare_class);
}

char vivo_dcm_class_type(const struct vivo_sop_class *c, uint32_t tag)
{
    const struct vivo_dict *row = vivo_dcm_dict(tag);
    if (!c || !row)
        return 0;
    const struct vivo_gdcm_type *found =
        bsearch(&row->tag, vivo_gdcm_types(c), c->n, sizeof *found, compare_type);
    return found ? found->type : 0;
}
