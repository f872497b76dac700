/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_drivers_xnat.c -- tables of an XNAT server, the addresses in them and
 * locators from disk: what is accepted must come back as it was and lead nowhere else.
 */
#include "drivers/dicomjson_value.h"
#include "drivers/xnat.h"

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

static void try_place(const struct xnat_place *p)
{
    char locator[XNAT_LOCATOR_MAX];
    struct xnat_place q;
    struct vivo_err err = {0};
    vivo_xnat_place_write(p, VIVO_LEVEL_INSTANCE, locator);
    check(strpbrk(locator, "?&# \\.") == NULL);
    check(vivo_xnat_place_read(locator, VIVO_LEVEL_INSTANCE, &q, &err) == 0);
    check(strcmp(p->resource, q.resource) == 0 && strcmp(p->file, q.file) == 0);
}

static int take_row(void *ctx, json_t *row, struct vivo_err *err)
{
    char uri[512], name[64], text[64];
    struct xnat_place p = {.session = "E", .scan = "1/a"};
    struct vivo_buf b;
    (void)ctx;
    (void)err;
    vivo_xnat_text(row, "URI", uri, sizeof uri);
    vivo_xnat_text(row, "a|Name", name, sizeof name);
    if (vivo_xnat_file_uri(uri, name, &p) == XNAT_URI_FILE)
        try_place(&p);
    vivo_buf_init(&b, VIVO_ATTRS_MAX);
    vivo_xnat_text(row, "series_description", text, sizeof text);
    check(vivo_dicomjson_put_text(&b, VIVO_TAG_SeriesDescription, text) == 0);
    vivo_buf_free(&b);
    return 0;
}

static void try_locator(const char *text)
{
    for (int level = VIVO_LEVEL_COLLECTION; level <= VIVO_LEVEL_INSTANCE; level++) {
        char back[XNAT_LOCATOR_MAX];
        struct xnat_place p;
        struct vivo_err err = {0};
        if (level == VIVO_LEVEL_PATIENT ||
            vivo_xnat_place_read(text, (enum vivo_level)level, &p, &err))
            continue;
        vivo_xnat_place_write(&p, (enum vivo_level)level, back);
        check(strcmp(back, text) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vivo_buf body;
    struct vivo_op op;
    struct xnat_place p = {.session = "E", .scan = "1"};
    vivo_op_init(&op, 0);
    vivo_buf_init(&body, 1u << 20);
    if (vivo_buf_add(&body, data, size) == 0 && vivo_buf_puts(&body, "") == 0) {
        const char *text = body.len ? (const char *)body.data : "";
        vivo_xnat_rows(&body, take_row, NULL, &op);
        try_locator(text);
        if (vivo_xnat_file_uri(text, "a", &p) == XNAT_URI_FILE)
            try_place(&p);
    }
    vivo_buf_free(&body);
    return 0;
}
