/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_drivers_nbia.c -- rows of an NBIA server and locators from disk: what
 * is accepted must be valid, and a locator must come back as it was. */
#include "drivers/nbia.h"

#include "vivofs/dcm.h"

#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct vivo_err err = {0};
    (void)argc;
    (void)argv;
    return vivo_dcm_global_init(&err);
}

static void check(bool right)
{
    if (!right)
        __builtin_trap();
}

static void try_row(const char *text, size_t len)
{
    struct vivo_buf b;
    struct vivo_err err = {0};
    struct nbia_place p;
    char license[64];
    vivo_nbia_license(text, len, license, sizeof license);
    check(strlen(license) < sizeof license);
    vivo_buf_init(&b, VIVO_ATTRS_MAX);
    if (vivo_nbia_attrs(text, len, NBIA_SERIES, &b, &err) == 0) {
        struct vivo_attrs it = {b.data, b.len};
        struct vivo_attr a;
        uint32_t last = 0;
        while (vivo_attrs_next(&it, &a)) {
            check(a.tag > last);
            last = a.tag;
        }
        check(it.len == 0);
    }
    vivo_buf_free(&b);
    vivo_err_clear(&err);
    if (vivo_nbia_series(text, len, &p, &err) == 0 && p.collection[0] && p.series[0]) {
        char locator[NBIA_LOCATOR_MAX];
        struct nbia_place q;
        vivo_nbia_place_write(&p, VIVO_LEVEL_SERIES, locator);
        check(vivo_nbia_place_read(locator, VIVO_LEVEL_SERIES, &q, &err) == 0);
        check(strcmp(p.patient, q.patient) == 0);
    }
}

static void try_locator(const char *text)
{
    static const enum vivo_level levels[] = {VIVO_LEVEL_COLLECTION, VIVO_LEVEL_SERIES,
                                             VIVO_LEVEL_INSTANCE};
    for (size_t i = 0; i < VIVO_ARRAY_LEN(levels); i++) {
        char back[NBIA_LOCATOR_MAX];
        struct nbia_place p;
        struct vivo_err err = {0};
        if (vivo_nbia_place_read(text, levels[i], &p, &err))
            continue;
        vivo_nbia_place_write(&p, levels[i], back);
        check(strpbrk(back, "?&# \\") == NULL && strstr(back, "//../") == NULL);
        /* Leading zeros of the count are the only other form. */
        check(levels[i] == VIVO_LEVEL_SERIES || strcmp(back, text) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    try_row(text, size);
    try_locator(text);
    free(text);
    return 0;
}
