/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_flow_plan.c -- of any query, whatever may be sent to an archive:
 * plans keep to their limits, and their searches can be told apart by their texts. That
 * they are implied by the query is held by tests/unit/test_flow_plan.c. */
#include "flow/plan.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool ready;

static bool may(void *ctx, uint32_t tag)
{
    const uint8_t *mask = ctx;
    return tag && *mask >> (tag % 8) & 1;
}

static void check_pass(const struct plan_pass *pass, const uint8_t *mask)
{
    struct vivo_buf text;
    size_t n = 0;
    vivo_buf_init(&text, 1 << 20);
    for (const struct plan_search *s = pass->first; pass->covered && s; s = s->next) {
        vivo_buf_clear(&text);
        if (s->n == 0 || s->n > VIVO_MATCH_MAX || plan_search_text(s, &text) ||
            text.len == 0)
            __builtin_trap();
        for (size_t i = 0; i < s->n; i++)
            if (!may((void *)(uintptr_t)mask, s->matches[i].tag))
                __builtin_trap();
        n++;
    }
    if (pass->covered && (n != pass->n || n > PLAN_SEARCHES_MAX))
        __builtin_trap();
    vivo_buf_free(&text);
}

/* The first byte says which attributes may be sent; the name ends at a NUL. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vivo_err err = {0};
    char name[VIVO_QUERY_NAME_MAX + 1];
    struct vivo_query *q = NULL;
    struct vivo_query_error qe;
    if ((!ready && vivo_dcm_global_init(&err)) || size < 2)
        return 0;
    ready = true;
    size_t len = VIVO_MIN(strnlen((const char *)data + 1, size - 1), sizeof name - 1);
    memcpy(name, data + 1, len);
    name[len] = '\0';
    if (vivo_query_parse(name, NULL, &q, &qe))
        return 0;
    struct plan *p =
        plan_new(vivo_query_root(q), may, (void *)(uintptr_t)data, data[0] & 1);
    for (size_t i = 0; p && i < p->npasses; i++)
        check_pass(&p->passes[i], data);
    plan_counts(vivo_query_root(q));
    plan_free(p);
    vivo_query_unref(q);
    return 0;
}
