/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_query_property.c -- random queries over random objects.
 *
 * A query is made as a tree of its own and spelt twice at random: both spellings
 * parse to the same tree, which prints and parses back to itself. Then evaluator
 * and reference must agree on every object, whole or as a difference, and what a
 * series' common attributes decide must hold for all its members. */
#include "oracle/oracle.h"
#include "query_random.h"

#define ROUNDS 1500
#define MEMBERS 4
#define OBJECTS (2 * MEMBERS)

/* As a name: % and / escaped. */
static struct vivo_query *parse_spelling(const struct tree *t)
{
    struct vivo_buf plain;
    struct vivo_buf name;
    struct vivo_query *q = NULL;
    struct vivo_query_error qe;
    vivo_buf_init(&plain, MAKE_MAX);
    vivo_buf_init(&name, MAKE_MAX);
    spell(&plain, t, false);
    for (size_t i = 0; i < plain.len; i++) {
        char c[2] = {(char)plain.data[i], 0};
        add(&name, *c == '%' ? "%25" : *c == '/' ? "%2f" : c);
    }
    int rc = vivo_query_parse((const char *)name.data, NULL, &q, &qe);
    if (rc && name.len <= VIVO_QUERY_NAME_MAX) {
        print_error("%s\ncolumn %zu: %s\n", (const char *)name.data, qe.column,
                    qe.text);
        assert_int_equal(rc, 0);
    }
    vivo_buf_free(&plain);
    vivo_buf_free(&name);
    return q;
}

/* ---- equality
 * --------------------------------------------------------------------------- */

static bool same_text(const char *a, const char *b)
{
    return a && b ? !strcmp(a, b) : a == b;
}

static void assert_same_path(const struct vivo_query_path *a,
                             const struct vivo_query_path *b)
{
    assert_int_equal(a->nsteps, b->nsteps);
    assert_int_equal(a->any_depth, b->any_depth);
    assert_int_equal(a->computed, b->computed);
    assert_int_equal(a->cls, b->cls);
    assert_string_equal(a->vr, b->vr);
    for (size_t i = 0; i < a->nsteps; i++) {
        assert_int_equal(a->steps[i].tag, b->steps[i].tag);
        assert_int_equal(a->steps[i].index, b->steps[i].index);
        assert_true(same_text(a->steps[i].creator, b->steps[i].creator));
        assert_string_equal(a->steps[i].keyword, b->steps[i].keyword);
    }
}

static void assert_same(const struct vivo_query_node *a,
                        const struct vivo_query_node *b)
{
    assert_true(!a == !b);
    if (!a)
        return;
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->level, b->level);
    assert_int_equal(a->cmp, b->cmp);
    assert_int_equal(a->any_mask, b->any_mask);
    assert_int_equal(a->nvalues, b->nvalues);
    assert_same_path(&a->path, &b->path);
    for (size_t i = 0; i < a->nvalues; i++) {
        assert_true(same_text(a->values[i].text, b->values[i].text));
        assert_true(same_text(a->values[i].folded, b->values[i].folded));
        assert_true(same_text(a->values[i].pattern, b->values[i].pattern));
        assert_memory_equal(&a->values[i].lo, &b->values[i].lo, sizeof(double));
        assert_memory_equal(&a->values[i].hi, &b->values[i].hi, sizeof(double));
        assert_int_equal(a->values[i].zoned, b->values[i].zoned);
    }
    assert_same(a->a, b->a);
    assert_same(a->b, b->b);
}

static void test_spellings_parse_to_one_tree(void **state)
{
    (void)state;
    size_t checked = 0;
    seed();
    for (size_t i = 0; i < ROUNDS; i++) {
        pool_used = 0;
        const struct tree *t = make_tree(below(4));
        struct vivo_query *a = parse_spelling(t);
        struct vivo_query *b = parse_spelling(t);
        struct vivo_query *printed = NULL;
        struct vivo_query_error qe;
        if (a && b) {
            assert_same(vivo_query_root(a), vivo_query_root(b));
            assert_string_equal(vivo_query_text(a), vivo_query_text(b));
            assert_int_equal(vivo_query_reparse(a, NULL, &printed, &qe), 0);
            assert_same(vivo_query_root(a), vivo_query_root(printed));
            assert_string_equal(vivo_query_text(a), vivo_query_text(printed));
            checked++;
        }
        vivo_query_unref(a);
        vivo_query_unref(b);
        vivo_query_unref(printed);
    }
    assert_in_range(checked, ROUNDS * 9 / 10, ROUNDS);
}

/* ---- meaning
 * ------------------------------------------------------------------------------ */

struct world {
    struct vivo_buf bytes[OBJECTS];
    struct vivo_query_object objects[OBJECTS];
    size_t self;
};

static enum vivo_truth level_of(void *ctx, const struct vivo_query_node *node)
{
    struct world *w = ctx;
    struct vivo_query sub = {.root = node};
    return vivo_query_matches(&sub, w->objects, OBJECTS, w->self) ? VIVO_TRUE
                                                                  : VIVO_FALSE;
}

static enum vivo_truth computed_of(void *ctx, enum vivo_query_virtual which,
                                   char out[VIVO_QUERY_COMPUTED_MAX])
{
    struct world *w = ctx;
    return vivo_query_oracle_fact(which, w->objects, OBJECTS, w->self, out)
               ? VIVO_TRUE
               : VIVO_FALSE;
}

/* Two series of one patient or of two. */
static void make_world(struct world *w)
{
    int64_t apart = below(2);
    for (size_t i = 0; i < OBJECTS; i++) {
        bool first = i % MEMBERS == 0;
        int64_t series = (int64_t)(i / MEMBERS);
        make_object(&w->bytes[i], first ? NULL : &w->bytes[i - i % MEMBERS]);
        w->objects[i] = (struct vivo_query_object){made(&w->bytes[i]), series * apart,
                                                   series * (apart | below(2)), series};
    }
    for (size_t i = MEMBERS; i < OBJECTS; i++)
        w->objects[i].study = w->objects[MEMBERS].study;
}

static int by_tag(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* Tags not the same in all members, ascending. */
static size_t varying_of(struct world *w, size_t first, uint32_t out[256])
{
    size_t n = 0;
    for (size_t i = first + 1; i < first + MEMBERS; i++) {
        struct vivo_buf diff;
        struct vivo_attr a;
        vivo_buf_init(&diff, MAKE_MAX);
        assert_int_equal(
            vivo_attrs_diff(made(&w->bytes[first]), made(&w->bytes[i]), &diff), 0);
        struct vivo_attrs it = made(&diff);
        while (vivo_attrs_next(&it, &a) && n < 256)
            out[n++] = a.tag;
        vivo_buf_free(&diff);
    }
    qsort(out, n, sizeof *out, by_tag);
    return n; /* a tag may stand there twice: ascending all the same */
}

static void check_instance(struct world *w, const struct vivo_query *q, size_t i,
                           bool expected)
{
    const struct vivo_query_node *root = vivo_query_root(q);
    const struct vivo_buf *base = &w->bytes[i - i % MEMBERS];
    enum vivo_truth truth = expected ? VIVO_TRUE : VIVO_FALSE;
    struct vivo_query_source src = {.attrs = made(&w->bytes[i]),
                                    .headers = true,
                                    .level = level_of,
                                    .computed = computed_of,
                                    .ctx = w};
    struct vivo_buf diff;
    vivo_buf_init(&diff, MAKE_MAX);
    w->self = i;
    assert_int_equal(vivo_query_eval(root, &src), truth);
    assert_int_equal(vivo_attrs_diff(made(base), made(&w->bytes[i]), &diff), 0);
    src.attrs = made(base);
    src.over = made(&diff);
    assert_int_equal(vivo_query_eval(root, &src), truth);
    vivo_buf_free(&diff);
}

/* A listing knows only some attributes: it may not know, but may not be wrong. */
static size_t check_listing(struct world *w, const struct vivo_query *q, size_t i,
                            bool expected)
{
    struct vivo_attrs it = made(&w->bytes[i]);
    struct vivo_attr a;
    struct vivo_buf some;
    vivo_buf_init(&some, MAKE_MAX);
    while (vivo_attrs_next(&it, &a))
        if (below(4))
            assert_int_equal(vivo_attrs_put(&some, a.tag, a.vr, a.value, a.len), 0);
    struct vivo_query_source src = {.attrs = made(&some),
                                    .level = level_of,
                                    .computed = below(2) ? computed_of : NULL,
                                    .ctx = w};
    w->self = i;
    enum vivo_truth t = vivo_query_eval(vivo_query_root(q), &src);
    if (t != VIVO_UNKNOWN)
        assert_int_equal(t, expected ? VIVO_TRUE : VIVO_FALSE);
    vivo_buf_free(&some);
    return t != VIVO_UNKNOWN;
}

static size_t check_series(struct world *w, const struct vivo_query *q, size_t first,
                           const bool *expected)
{
    uint32_t varying[256];
    struct vivo_query_source src = {.attrs = made(&w->bytes[first]),
                                    .varying = varying,
                                    .nvarying = varying_of(w, first, varying),
                                    .headers = below(2),
                                    .level = level_of,
                                    .computed = computed_of,
                                    .ctx = w};
    bool shared = false; /* levels at or above the series are the same for all */
    w->self = first;
    enum vivo_truth t = vivo_query_eval(vivo_query_root(q), &src);
    for (size_t i = first; i < first + MEMBERS && t != VIVO_UNKNOWN; i++) {
        assert_int_equal(expected[i], t == VIVO_TRUE);
        shared = true;
    }
    return shared;
}

static void test_evaluator_agrees_with_reference(void **state)
{
    (void)state;
    static struct world w;
    size_t matching = 0;
    size_t decided = 0;
    size_t known = 0;
    for (size_t i = 0; i < OBJECTS; i++)
        vivo_buf_init(&w.bytes[i], MAKE_MAX);
    seed();
    for (size_t round = 0; round < ROUNDS; round++) {
        bool expected[OBJECTS];
        if (round % 8 == 0)
            make_world(&w);
        pool_used = 0;
        struct vivo_query *q = parse_spelling(make_tree(below(4)));
        for (size_t i = 0; q && i < OBJECTS; i++) {
            expected[i] = vivo_query_matches(q, w.objects, OBJECTS, i);
            matching += expected[i];
            check_instance(&w, q, i, expected[i]);
            known += check_listing(&w, q, i, expected[i]);
        }
        for (size_t i = 0; q && i < OBJECTS; i += MEMBERS)
            decided += check_series(&w, q, i, expected);
        vivo_query_unref(q);
    }
    for (size_t i = 0; i < OBJECTS; i++)
        vivo_buf_free(&w.bytes[i]);
    /* The agreement says something only when both answers are common. */
    print_message("%zu matches, %zu series decided, %zu listings\n", matching, decided,
                  known);
    assert_in_range(matching, ROUNDS * OBJECTS / 10, ROUNDS * OBJECTS * 9 / 10);
    assert_in_range(decided, ROUNDS / 5, ROUNDS * 2 - 1);
    assert_in_range(known, ROUNDS, ROUNDS * OBJECTS - 1);
}

int main(void)
{
    struct vivo_err err = {0};
    if (vivo_dcm_global_init(&err))
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spellings_parse_to_one_tree),
        cmocka_unit_test(test_evaluator_agrees_with_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
