/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_deid_pixelrules.c -- the parser of pixel scripts: it takes a text or
 * says in which line it is wrong. */
#include "deid/pixels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    struct vivo_err err = {0};
    struct vivo_pixel_rules *rules = NULL;
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    if (!ready && vivo_dcm_global_init(&err))
        exit(1);
    ready = true;
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    struct vivo_ctp_source s = {"x", text, size};
    int rc = vivo_pixel_rules_parse(&s, &rules, &err);
    if (rc ? strncmp(err.text, "x:", 2) != 0 : !rules || !rules->n)
        __builtin_trap();
    vivo_pixel_rules_free(rules);
    free(text);
    return 0;
}
