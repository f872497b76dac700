/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_catalog_levels.c -- archives that are listed level by level, what is
 * learned at opening, collections, counts. */
#include "catalog_fixture.h"

static const struct object ct1 = {.patient = "P1",
                                  .study = "1.2.1",
                                  .series = "1.2.1.1",
                                  .uid = "1.2.1.1.1",
                                  .modality = "CT",
                                  .date = "20190302",
                                  .study_text = "Chest",
                                  .series_text = "Axial",
                                  .series_number = "2",
                                  .number = "1"};

static struct object with(struct object o, const char *series, const char *uid,
                          const char *number)
{
    o.series = series;
    o.uid = uid;
    o.number = number;
    return o;
}

static vivo_row put_record(struct vivo_listing *l, enum vivo_level level,
                           const char *locator, const struct object *o)
{
    struct vivo_put put = {.level = level, .locator = locator};
    vivo_row row;

    assert_int_equal(put_with(l, put, o, &row), 0);
    return row;
}

struct levels {
    struct vivo_catalog *c;
    vivo_row study, series, i1, i2;
    char *text;
};

static const struct object study_record = {
    .patient = "P1", .study = "1.2", .date = "20190302"};

/* Studies, then their series, then their instances, as DICOMweb gives them. */
static void list_levels(struct levels *v)
{
    struct object series = {.series = "1.2.3", .modality = "MR", .series_number = "4"};
    struct object row1 = {.uid = "1.2.3.1", .number = "1"};
    struct object row2 = {.uid = "1.2.3.2", .number = "2"};
    struct vivo_listing *l;

    v->c = catalog_at(NULL, true);
    l = list_begin(v->c, VIVO_LEVEL_NONE, 0);
    v->study = put_record(l, VIVO_LEVEL_STUDY, "1.2", &study_record);
    list_end(l, true);
    assert_false(get_row(v->c, VIVO_LEVEL_STUDY, v->study).e.listed);
    l = list_begin(v->c, VIVO_LEVEL_STUDY, v->study);
    v->series = put_record(l, VIVO_LEVEL_SERIES, "1.2/1.2.3", &series);
    list_end(l, true);
    assert_true(get_row(v->c, VIVO_LEVEL_STUDY, v->study).e.listed);
    assert_false(get_row(v->c, VIVO_LEVEL_SERIES, v->series).e.listed);
    l = list_begin(v->c, VIVO_LEVEL_SERIES, v->series);
    v->i1 = put_record(l, VIVO_LEVEL_INSTANCE, "i1", &row1);
    v->i2 = put_record(l, VIVO_LEVEL_INSTANCE, "i2", &row2);
    list_end(l, true);
    assert_true(get_row(v->c, VIVO_LEVEL_SERIES, v->series).e.listed);
    v->text = tree_text(v->c, NULL);
}

static void expect_attr(struct levels *v, uint32_t tag, const char *want)
{
    struct vivo_buf got;
    struct vivo_err err = {0};
    char value[64];

    vivo_buf_init(&got, 100000);
    assert_int_equal(vivo_catalog_attrs(v->c, VIVO_LEVEL_INSTANCE, v->i2, &got, &err),
                     0);
    vivo_attrs_text((struct vivo_attrs){got.data, got.len}, tag, value, sizeof value);
    assert_string_equal(value, want);
    vivo_buf_free(&got);
}

static void expect_text(struct vivo_catalog *c, const char *want)
{
    char *text = tree_text(c, NULL);

    assert_string_equal(text, want);
    free(text);
}

static void test_levels_listed_one_by_one(void **state)
{
    struct levels v;

    (void)state;
    list_levels(&v);
    assert_non_null(strstr(v.text, "/all/P1/20190302_"));
    assert_non_null(strstr(v.text, "/0004_MR_"));
    assert_non_null(strstr(v.text, "/00002_"));
    assert_false(get_row(v.c, VIVO_LEVEL_SERIES, v.series).e.headers);
    assert_true(get_row(v.c, VIVO_LEVEL_INSTANCE, v.i1).e.size > 0);
    assert_false(get_row(v.c, VIVO_LEVEL_INSTANCE, v.i1).e.size_exact);
    expect_attr(&v, VIVO_TAG_Modality, "MR");
    free(v.text);
    vivo_catalog_close(v.c);
}

static void test_headers_learned_later_change_no_name(void **state)
{
    struct object full = {.patient = "P1",
                          .study = "1.2",
                          .series = "1.2.3",
                          .uid = "1.2.3.1",
                          .number = "1",
                          .modality = "MR",
                          .date = "20190302",
                          .thickness = "3"};
    struct vivo_listing *l;
    struct levels v;

    (void)state;
    list_levels(&v);
    l = list_begin(v.c, VIVO_LEVEL_SERIES, v.series);
    assert_int_equal(put_file(l, "i1", NULL, &full), v.i1);
    full.uid = "1.2.3.2";
    full.number = "2";
    full.thickness = "4";
    full.series_text = "Not in the archive's listing";
    assert_int_equal(put_file(l, "i2", NULL, &full), v.i2);
    list_end(l, true);
    assert_true(get_row(v.c, VIVO_LEVEL_SERIES, v.series).e.headers);
    expect_text(v.c, v.text);
    expect_attr(&v, VIVO_TAG_SliceThickness, "4");
    free(v.text);
    vivo_catalog_close(v.c);
}

static void test_refresh_of_studies_leaves_or_takes_all_below(void **state)
{
    struct vivo_listing *l;
    struct levels v;
    uint64_t generation;

    (void)state;
    list_levels(&v);
    generation = vivo_catalog_generation(v.c);
    l = list_begin(v.c, VIVO_LEVEL_NONE, 0);
    assert_int_equal(put_record(l, VIVO_LEVEL_STUDY, "1.2", &study_record), v.study);
    list_end(l, true);
    expect_text(v.c, v.text);
    assert_int_equal(vivo_catalog_generation(v.c), generation);
    l = list_begin(v.c, VIVO_LEVEL_NONE, 0);
    list_end(l, true);
    expect_text(v.c, "");
    assert_true(vivo_catalog_generation(v.c) > generation);
    free(v.text);
    vivo_catalog_close(v.c);
}

/* A refresh takes the study while its series are being listed. */
static void test_put_below_a_removed_parent_harms_nobody(void **state)
{
    struct object series = {.series = "1.2.9", .modality = "MR"};
    struct object other = {.patient = "P2", .study = "1.7", .date = "20200101"};
    struct vivo_put put = {.level = VIVO_LEVEL_SERIES, .locator = "late"};
    struct vivo_listing *slow, *l;
    struct vivo_err err = {0};
    struct levels v;
    vivo_row row;

    (void)state;
    list_levels(&v);
    slow = list_begin(v.c, VIVO_LEVEL_STUDY, v.study);
    put_record(slow, VIVO_LEVEL_SERIES, "1.2/1.2.9", &series);
    l = list_begin(v.c, VIVO_LEVEL_NONE, 0);
    list_end(l, true);
    l = list_begin(v.c, VIVO_LEVEL_NONE, 0);
    put_record(l, VIVO_LEVEL_STUDY, "1.7", &other);
    assert_int_equal(vivo_listing_put(slow, &put, &row, &err), -ENOENT);
    vivo_err_clear(&err);
    assert_int_equal(vivo_listing_end(slow, false, &err), 0);
    list_end(l, true);
    free(v.text);
    v.text = tree_text(v.c, NULL);
    assert_non_null(strstr(v.text, "/all/P2/20200101_"));
    assert_null(strstr(v.text, "/P1/"));
    free(v.text);
    vivo_catalog_close(v.c);
}

static void test_size_replacement_and_refusal_are_counted(void **state)
{
    struct vivo_catalog *c = catalog_at(NULL, false);
    struct vivo_listing *l = list_begin(c, VIVO_LEVEL_NONE, 0);
    struct object second = with(ct1, "1.2.1.1", "1.2.1.1.2", "2");
    struct vivo_put put = {.level = VIVO_LEVEL_INSTANCE,
                           .locator = "a",
                           .version = "2",
                           .size = 50,
                           .size_exact = true,
                           .headers = true};
    vivo_row a = put_file(l, "a", "1", &ct1), b = put_file(l, "b", "1", &second);
    struct vivo_err err = {0};
    struct vivo_counts n;
    struct vivo_buf attrs;
    struct one o = {.n = 0};

    (void)state;
    list_end(l, true);
    assert_int_equal(vivo_catalog_set_size(c, a, 700, &err), 0);
    assert_int_equal(get_row(c, VIVO_LEVEL_INSTANCE, a).e.size, 700);
    assert_int_equal(vivo_catalog_set_refusal(c, b, 1, &err), 0);
    vivo_catalog_count(c, VIVO_LEVEL_NONE, 0, NULL, &n, &err);
    assert_int_equal(n.instances, 1);
    assert_int_equal(n.refused, 1);
    assert_int_equal(n.bytes, 700);
    assert_int_equal(vivo_catalog_refused(c, VIVO_LEVEL_NONE, 0, take_one, &o, &err),
                     0);
    assert_int_equal(o.n, 1);
    assert_int_equal(o.e.row, b);
    vivo_buf_init(&attrs, 10000);
    object_attrs(&ct1, &attrs);
    put.attrs = (struct vivo_attrs){attrs.data, attrs.len};
    assert_int_equal(vivo_catalog_replace(c, a, &put, &err), 0);
    assert_int_equal(get_row(c, VIVO_LEVEL_INSTANCE, a).e.version, 2);
    vivo_catalog_count(c, VIVO_LEVEL_NONE, 0, NULL, &n, &err);
    assert_int_equal(n.bytes, 50);
    assert_int_equal(vivo_catalog_set_size(c, 99999, 1, &err), -ENOENT);
    l = list_begin(c, VIVO_LEVEL_NONE, 0);
    assert_true(vivo_listing_known(l, "a", "2"));
    list_end(l, false);
    vivo_buf_free(&attrs);
    vivo_catalog_close(c);
}

/* Two directories, each its own collection; a collection that is called "all". */
static void test_collections_are_apart(void **state)
{
    struct vivo_catalog *c = catalog_at(NULL, false);
    struct vivo_listing *l = list_begin(c, VIVO_LEVEL_NONE, 0);
    static const char *const names[] = {"LIDC", "all", NULL};
    struct vivo_buf b;
    struct vivo_err err = {0};
    struct vivo_counts n;
    vivo_row row = 0;

    (void)state;
    for (int i = 0; i < 3; i++) {
        char locator[2] = {(char)('a' + i), 0};
        struct vivo_put put = {.level = VIVO_LEVEL_INSTANCE,
                               .locator = locator,
                               .collection = names[i],
                               .headers = true};
        vivo_row r;
        assert_int_equal(put_with(l, put, &ct1, &r), 0);
        row = i == 0 ? r : row;
    }
    list_end(l, true);
    vivo_catalog_count(c, VIVO_LEVEL_NONE, 0, NULL, &n, &err);
    assert_int_equal(n.collections, 3);
    vivo_buf_init(&b, 1000);
    assert_int_equal(vivo_catalog_path(c, VIVO_LEVEL_PATIENT,
                                       row_above(c, row, VIVO_LEVEL_PATIENT), &b, &err),
                     0);
    assert_string_equal((char *)b.data, "LIDC/P1");
    vivo_buf_free(&b);
    vivo_catalog_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_levels_listed_one_by_one),
        cmocka_unit_test(test_headers_learned_later_change_no_name),
        cmocka_unit_test(test_refresh_of_studies_leaves_or_takes_all_below),
        cmocka_unit_test(test_put_below_a_removed_parent_harms_nobody),
        cmocka_unit_test(test_size_replacement_and_refusal_are_counted),
        cmocka_unit_test(test_collections_are_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
