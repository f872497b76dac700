/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_catalog_columns.c -- answers from columns stay true when a member of
 * the series learns its size, is refused, changes, comes or goes after they were made.
 */
#include "catalog_fixture.h"

#include "vivofs/dcm.h"
#include "vivofs/query.h"

static struct object slice(const char *uid, const char *number)
{
    return (struct object){.patient = "P",
                           .study = "1.1",
                           .series = "1.1.1",
                           .uid = uid,
                           .number = number,
                           .modality = "CT"};
}

static struct vivo_counts matching(struct vivo_catalog *c, const char *text)
{
    struct vivo_query_error qe;
    struct vivo_query *q;
    struct vivo_selection *s;
    struct vivo_counts n = {0};
    struct vivo_err err = {0};

    assert_int_equal(vivo_query_parse(text, NULL, &q, &qe), 0);
    assert_int_equal(vivo_catalog_select(c, VIVO_LEVEL_NONE, 0, q, NULL, &s, &err), 0);
    assert_int_equal(vivo_catalog_count(c, VIVO_LEVEL_NONE, 0, s, &n, &err), 0);
    vivo_selection_unref(s);
    vivo_query_unref(q);
    return n;
}

static int join_values(void *ctx, const char *value, uint64_t instances)
{
    struct vivo_buf *b = ctx;

    return vivo_buf_printf(b, "%s:%llu ", value ? value : "-",
                           (unsigned long long)instances);
}

static void check_values(struct vivo_catalog *c, const char *want)
{
    struct vivo_buf b;
    struct vivo_err err = {0};

    vivo_buf_init(&b, 1000);
    assert_int_equal(vivo_catalog_values(c, VIVO_LEVEL_NONE, 0, NULL,
                                         VIVO_TAG_InstanceNumber, join_values, &b,
                                         &err),
                     0);
    assert_string_equal((const char *)b.data, want);
    vivo_buf_free(&b);
}

static void test_changes_show_at_once(void **state)
{
    struct vivo_catalog *c = catalog_at(NULL, false);
    struct vivo_listing *l = list_begin(c, VIVO_LEVEL_NONE, 0);
    struct object one = slice("1.2.1", "1"), two = slice("1.2.2", "2"),
                  three = slice("1.2.3", NULL), nine = slice("1.2.1", "9");
    struct vivo_put put = {.level = VIVO_LEVEL_INSTANCE,
                           .locator = "a",
                           .version = "2",
                           .size = 50,
                           .size_exact = true,
                           .headers = true};
    struct vivo_err err = {0};
    struct vivo_buf attrs;
    vivo_row a, b;

    (void)state;
    a = put_file(l, "a", "1", &one);
    b = put_file(l, "b", "1", &two);
    put_file(l, "c", "1", &three);
    list_end(l, true);
    assert_int_equal(matching(c, "InstanceNumber<=2").bytes, 2000);
    assert_int_equal(matching(c, "not InstanceNumber<=2").instances, 1);
    assert_int_equal(matching(c, "InstanceNumber>5").instances, 0);
    assert_int_equal(matching(c, "missing InstanceNumber").instances, 1);
    check_values(c, "1:1 2:1 -:1 ");
    assert_int_equal(vivo_catalog_set_size(c, a, 700, &err), 0);
    assert_int_equal(matching(c, "InstanceNumber<=2").bytes, 1700);
    assert_int_equal(vivo_catalog_set_refusal(c, b, 1, &err), 0);
    assert_int_equal(matching(c, "InstanceNumber<=2").instances, 1);
    assert_int_equal(matching(c, "InstanceNumber<=2").refused, 1);
    check_values(c, "1:1 -:1 ");
    vivo_buf_init(&attrs, 10000);
    object_attrs(&nine, &attrs);
    put.attrs = (struct vivo_attrs){attrs.data, attrs.len};
    assert_int_equal(vivo_catalog_replace(c, a, &put, &err), 0);
    assert_int_equal(matching(c, "InstanceNumber=1").instances, 0);
    assert_int_equal(matching(c, "InstanceNumber>5").bytes, 50);
    vivo_buf_free(&attrs);
    vivo_catalog_close(c);
}

static void test_what_goes_and_comes_with_a_listing(void **state)
{
    struct vivo_catalog *c = catalog_at(NULL, false);
    struct vivo_listing *l = list_begin(c, VIVO_LEVEL_NONE, 0);
    struct object one = slice("1.2.1", "1"), two = slice("1.2.2", "2"),
                  three = slice("1.2.3", "33");

    (void)state;
    put_file(l, "a", "1", &one);
    put_file(l, "b", "1", &two);
    list_end(l, true);
    check_values(c, "1:1 2:1 ");
    l = list_begin(c, VIVO_LEVEL_NONE, 0);
    assert_true(vivo_listing_known(l, "b", "1"));
    put_file(l, "c", "1", &three);
    list_end(l, true);
    check_values(c, "2:1 33:1 ");
    assert_int_equal(matching(c, "InstanceNumber=1").instances, 0);
    assert_int_equal(matching(c, "InstanceNumber=20..40").instances, 1);
    l = list_begin(c, VIVO_LEVEL_NONE, 0); /* nothing is left, and all comes again */
    list_end(l, true);
    assert_int_equal(matching(c, "has InstanceNumber").instances, 0);
    l = list_begin(c, VIVO_LEVEL_NONE, 0);
    put_file(l, "a", "1", &one);
    put_file(l, "c", "1", &three);
    list_end(l, true);
    check_values(c, "1:1 33:1 ");
    vivo_catalog_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_changes_show_at_once),
        cmocka_unit_test(test_what_goes_and_comes_with_a_listing),
    };
    struct vivo_err err = {0};

    if (vivo_dcm_global_init(&err) < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
