/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_query_parse.c -- any name is parsed, refused or no expression; what
 * parses prints to a text that parses to itself and can be evaluated over any bytes,
 * where reference and evaluator agree on well-formed ones. */
#include "oracle/oracle.h"
#include "vivofs/query.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool ready;

static void evaluate(const struct vivo_query *q, const uint8_t *data, size_t size)
{
    const struct vivo_query_node *root = vivo_query_root(q);
    struct vivo_attrs all = {data, size};
    struct vivo_attrs over = {data + size / 2, size - size / 2};
    uint32_t varying[] = {0x00080020, 0x00080060, 0x00200013};
    struct vivo_query_source src = {.attrs = all, .headers = true};
    struct vivo_query_object object = {.attrs = all};
    vivo_query_eval(root, &src);
    vivo_query_matches(q, &object, 1, 0);
    src.over = over;
    src.headers = false;
    vivo_query_eval(root, &src);
    src.varying = varying;
    src.nvarying = VIVO_ARRAY_LEN(varying);
    vivo_query_eval(root, &src);
}

static void check_text(const struct vivo_query *q)
{
    struct vivo_query *again = NULL;
    struct vivo_query_error qe;
    if (vivo_query_reparse(q, NULL, &again, &qe) ||
        strcmp(vivo_query_text(again), vivo_query_text(q)) != 0)
        __builtin_trap();
    vivo_query_unref(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vivo_err err = {0};
    char name[VIVO_QUERY_NAME_MAX + 64];
    struct vivo_query *q = NULL;
    struct vivo_query *both = NULL;
    struct vivo_query_error qe;
    if (!ready && vivo_dcm_global_init(&err))
        return 0;
    ready = true;
    /* The name ends at a NUL; the rest is the object. */
    size_t len = VIVO_MIN(strnlen((const char *)data, size), sizeof name - 1);
    memcpy(name, data, len);
    name[len] = '\0';
    memset(&qe, 0, sizeof qe);
    int rc = vivo_query_parse(name, NULL, &q, &qe);
    if (!rc) {
        size_t rest = VIVO_MIN(len + 1, size);
        check_text(q);
        evaluate(q, data + rest, size - rest);
        if (!vivo_query_and(q, q, &both))
            check_text(both);
        vivo_query_unref(both);
        vivo_query_unref(q);
        return 0;
    }
    struct vivo_buf text;
    vivo_buf_init(&text, 1 << 16);
    if (q || qe.column > len + 1 || vivo_query_error_text(name, &qe, &text))
        __builtin_trap();
    vivo_buf_free(&text);
    return 0;
}
