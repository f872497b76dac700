/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_dcm_attrs.c -- any bytes as a DICOM file in attrs form, and what
 * comes out as a data set and as names. */
#include "vivofs/dcm.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(struct vivo_attrs a, int depth)
{
    struct vivo_attr e;
    struct vivo_attrs it = a;
    uint32_t last = 0;
    while (vivo_attrs_next(&it, &e)) {
        struct vivo_attrs items = {e.value, e.len};
        struct vivo_attrs item;
        char text[64];
        if (e.tag <= last)
            abort();
        last = e.tag;
        vivo_attrs_text(a, e.tag, text, sizeof text);
        while (e.vr[1] == 'Q' && depth < VIVO_DCM_DEPTH_MAX &&
               vivo_attrs_next_item(&items, &item))
            walk(item, depth + 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int ready;
    struct vivo_err err = {0};
    struct vivo_mem_reader r;
    struct vivo_buf b;
    char name[VIVO_NAME_MAX + 1];
    if (!ready)
        ready = vivo_dcm_global_init(&err) == 0;
    vivo_mem_reader_init(&r, data, size);
    vivo_buf_init(&b, VIVO_ATTRS_MAX);
    if (vivo_dcm_attrs(&r.base, NULL, 0, &b, &err) == 0) {
        struct vivo_attrs a = {b.data, b.len};
        walk(a, 0);
        vivo_name_patient(a, name);
        vivo_name_study(a, name);
        vivo_name_series(a, name);
        vivo_name_instance(a, NULL, NULL, name);
    }
    vivo_buf_free(&b);
    return 0;
}
