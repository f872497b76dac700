/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_drivers_dicomjson.c -- rows of DICOM JSON; whatever is accepted must
 * be in attrs form: ascending, nothing left over, at every depth. */
#include "drivers/dicomjson.h"

#include "vivofs/dcm.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct vivo_attrs a)
{
    struct vivo_attr e;
    const uint8_t *end = a.data + a.len;
    const uint8_t *at = a.data;
    uint32_t before = 0;
    while (vivo_attrs_next(&a, &e)) {
        if (e.tag <= before)
            __builtin_trap();
        before = e.tag;
        at = e.value + e.len;
        if (e.vr[0] != 'S' || e.vr[1] != 'Q')
            continue;
        struct vivo_attrs items = {e.value, e.len};
        struct vivo_attrs item;
        while (vivo_attrs_next_item(&items, &item))
            check(item);
    }
    if (at != end)
        __builtin_trap();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct vivo_err err = {0};
    (void)argc;
    (void)argv;
    return vivo_dcm_global_init(&err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vivo_dicomjson_rows rows;
    struct vivo_err err = {0};
    struct vivo_buf out;
    const char *object;
    size_t len;
    vivo_buf_init(&out, VIVO_ATTRS_MAX);
    vivo_dicomjson_rows_init(&rows, data, size);
    while (vivo_dicomjson_next(&rows, &object, &len, &err) > 0) {
        vivo_buf_clear(&out);
        if (vivo_dicomjson_attrs(object, len, size & VIVO_DICOMJSON_ROW, &out, &err))
            break;
        check((struct vivo_attrs){out.data, out.len});
    }
    vivo_buf_free(&out);
    return 0;
}
