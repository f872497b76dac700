/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_deid_ctp.c -- any bytes as a CTP script are refused or loaded, in
 * both modes; what loads says what it does of any attribute. */
#include "deid/ctp.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decide(struct vivo_ctp *c)
{
    static const uint32_t tags[] = {0x00080018, 0x00081030, 0x00090010,
                                    0x00100020, 0x50000010, 0x60003000};
    struct vivo_deid d = {.ctp = c};
    vivo_ctp_judge(c, &d);
    for (size_t i = 0; i < VIVO_ARRAY_LEN(tags); i++) {
        struct vivo_decision out;
        vivo_deid_decide(&d, tags[i], &out);
        /* In union nothing that goes comes back but by a UID or a value of its own. */
        struct vivo_deid plain = {0};
        struct vivo_decision before;
        vivo_deid_decide(&plain, tags[i], &before);
        if (!c->alone && before.act == VIVO_ACT_X && out.act != VIVO_ACT_X &&
            out.act != VIVO_ACT_U)
            __builtin_trap();
    }
    for (size_t i = 0; i < c->nrows; i++)
        if (!c->rows[i].creator && !vivo_ctp_find(c, c->rows[i].tag))
            __builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int alone = 0; alone < 2; alone++) {
        struct vivo_ctp *c = NULL;
        struct vivo_err err = {0};
        int rc = vivo_ctp_load_text("/nonexistent/x.script", (const char *)data, size,
                                    alone, &c, &err);
        if (rc ? !err.errnum : c == NULL)
            __builtin_trap();
        if (!rc)
            decide(c);
        vivo_ctp_free(c);
    }
    return 0;
}
