/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_catalog_labels.c -- archives that list labels of subjects and ids of
 * their own, and no PatientID or UIDs: what names things before and after headers. */
#include "catalog_fixture.h"

static vivo_row put_node(struct vivo_listing *l, enum vivo_level level,
                         const char *locator, const char *patient, const char *key,
                         const struct object *o)
{
    const struct vivo_put put = {.level = level,
                                 .locator = locator,
                                 .collection = "P",
                                 .patient = patient,
                                 .key = key,
                                 .size = 1000};
    vivo_row row;
    assert_int_equal(put_with(l, put, o, &row), 0);
    return row;
}

/* Two sessions of one subject and one of another, none with a UID; a scan and two files
 * in the first. Returns the row of the scan. */
static vivo_row list_sessions(struct vivo_catalog *c)
{
    const struct object bare = {.date = "20200101"};
    const struct object scan = {.modality = "MR", .series_number = "3"};
    struct vivo_listing *l = list_begin(c, VIVO_LEVEL_NONE, 0);
    vivo_row first = put_node(l, VIVO_LEVEL_STUDY, "E1", "SUBJ1", "k1", &bare);
    vivo_row second = put_node(l, VIVO_LEVEL_STUDY, "E2", "SUBJ1", "k2", &bare);
    vivo_row third = put_node(l, VIVO_LEVEL_STUDY, "E3", "SUBJ2", "k1", &bare);
    assert_int_not_equal(first, second);
    assert_int_not_equal(first, third);
    list_end(l, true);
    l = list_begin(c, VIVO_LEVEL_STUDY, first);
    vivo_row series = put_node(l, VIVO_LEVEL_SERIES, "E1/3", NULL, "k3", &scan);
    list_end(l, true);
    l = list_begin(c, VIVO_LEVEL_SERIES, series);
    put_node(l, VIVO_LEVEL_INSTANCE, "E1/3/a", NULL, "ka", &(struct object){0});
    put_node(l, VIVO_LEVEL_INSTANCE, "E1/3/b", NULL, "kb", &(struct object){0});
    list_end(l, true);
    return series;
}

static unsigned lines_with(const char *text, const char *what)
{
    unsigned n = 0;
    for (; (text = strstr(text, what)); text++)
        n++;
    return n;
}

static void test_labels_and_keys_name_what_has_no_identifiers(void **state)
{
    (void)state;
    struct vivo_catalog *c = catalog_at(NULL, true);
    list_sessions(c);
    char *tree = tree_text(c, NULL);
    assert_int_equal(lines_with(tree, "/P/SUBJ1/20200101_"), 3); /* two files, E2 */
    assert_int_equal(lines_with(tree, "/P/SUBJ2/20200101_"), 1);
    assert_int_equal(lines_with(tree, "/0003_MR_"), 2);
    assert_int_equal(lines_with(tree, "unknown"), 0);
    assert_int_equal(lines_with(tree, "no-"), 0);
    /* The key itself is shown nowhere. */
    assert_int_equal(lines_with(tree, "k1"), 0);
    free(tree);
    vivo_catalog_close(c);
}

static void test_headers_move_and_rename_nothing(void **state)
{
    (void)state;
    struct vivo_catalog *c = catalog_at(NULL, true);
    vivo_row series = list_sessions(c);
    const struct object header = {.patient = "OTHER",
                                  .issuer = "HOSPITAL",
                                  .study = "1.2.3",
                                  .series = "1.2.3.4",
                                  .uid = "1.2.3.4.5",
                                  .number = "7",
                                  .date = "19990101"};
    struct object next = header;
    next.uid = "1.2.3.4.6";
    char *before = tree_text(c, NULL);
    struct vivo_listing *l = list_begin(c, VIVO_LEVEL_SERIES, series);
    struct vivo_put put = {.level = VIVO_LEVEL_INSTANCE, .size = 900, .headers = true};
    put.locator = "E1/3/a";
    put.key = "ka";
    assert_int_equal(put_with(l, put, &header, NULL), 0);
    put.locator = "E1/3/b";
    put.key = "kb";
    assert_int_equal(put_with(l, put, &next, NULL), 0);
    list_end(l, true);
    char *after = tree_text(c, NULL);
    assert_string_equal(after, before);
    free(before);
    free(after);
    /* And nothing is what it was listed as a second time. */
    list_sessions(c);
    vivo_catalog_close(c);
}

static void test_label_of_a_local_file_is_its_patient(void **state)
{
    (void)state;
    struct vivo_catalog *c = catalog_at(NULL, true);
    struct vivo_listing *l = list_begin(c, VIVO_LEVEL_NONE, 0);
    const struct object one = {
        .patient = "SAME", .study = "1.2", .series = "1.2.3", .uid = "1.2.3.4"};
    struct object two = one;
    two.uid = "1.2.3.5";
    struct vivo_put put = {
        .level = VIVO_LEVEL_INSTANCE, .locator = "a", .size = 9, .headers = true};
    put.patient = "LABEL/1";
    assert_int_equal(put_with(l, put, &one, NULL), 0);
    put.locator = "b";
    put.patient = "LABEL-1";
    assert_int_equal(put_with(l, put, &two, NULL), 0);
    list_end(l, true);
    /* Two labels that look the same in safe letters are two patients. */
    char *tree = tree_text(c, NULL);
    assert_int_equal(lines_with(tree, "/LABEL-1"), 2);
    assert_int_equal(lines_with(tree, "/LABEL-1_"), 1);
    free(tree);
    vivo_catalog_close(c);
}

static int64_t listed_ms(struct vivo_catalog *c, enum vivo_level level, vivo_row row)
{
    return get_row(c, level, row).e.listed_ms;
}

/* Columns of a series that came later decide it, and go with the next listing. */
static void test_columns_that_come_later_are_the_series_own(void **state)
{
    (void)state;
    struct vivo_catalog *c = catalog_at(NULL, true);
    vivo_row series = list_sessions(c);
    struct vivo_buf more, attrs;
    struct vivo_err err = {0};
    char text[32];
    vivo_buf_init(&more, 1000);
    vivo_buf_init(&attrs, VIVO_ATTRS_MAX);
    add_attr(&more, VIVO_TAG_SliceThickness, "DS", "1.25");
    const struct vivo_described d[] = {{series, {more.data, more.len}},
                                       {series + 1000, {more.data, more.len}}};
    uint64_t before = vivo_catalog_generation(c);
    assert_int_equal(vivo_catalog_describe(c, d, 2, &err), 0);
    assert_true(vivo_catalog_generation(c) > before);
    assert_int_equal(vivo_catalog_attrs(c, VIVO_LEVEL_SERIES, series, &attrs, &err), 0);
    vivo_attrs_text((struct vivo_attrs){attrs.data, attrs.len}, VIVO_TAG_SliceThickness,
                    text, sizeof text);
    assert_string_equal(text, "1.25");
    vivo_attrs_text((struct vivo_attrs){attrs.data, attrs.len}, VIVO_TAG_Modality, text,
                    sizeof text);
    assert_string_equal(text, "MR");
    before = vivo_catalog_generation(c);
    assert_int_equal(vivo_catalog_describe(c, d, 2, &err), 0);
    assert_int_equal(vivo_catalog_generation(c), before);
    vivo_buf_free(&more);
    vivo_buf_free(&attrs);
    vivo_catalog_close(c);
}

/* Of what was listed by itself it is known when; after a failure, when before. */
static void test_time_of_a_listing_is_kept(void **state)
{
    (void)state;
    struct dir dir;
    dir_make(&dir);
    struct vivo_catalog *c = catalog_at(dir.db, true);
    assert_int_equal(listed_ms(c, VIVO_LEVEL_NONE, 0), 0);
    vivo_row series = list_sessions(c);
    int64_t top = listed_ms(c, VIVO_LEVEL_NONE, 0);
    int64_t at = listed_ms(c, VIVO_LEVEL_SERIES, series);
    assert_true(top > 1577836800000); /* 2020-01-01 */
    assert_true(at >= top);
    list_end(list_begin(c, VIVO_LEVEL_NONE, 0), false);
    assert_int_equal(listed_ms(c, VIVO_LEVEL_NONE, 0), top);
    vivo_catalog_close(c);
    c = catalog_at(dir.db, true);
    assert_int_equal(listed_ms(c, VIVO_LEVEL_NONE, 0), top);
    assert_int_equal(listed_ms(c, VIVO_LEVEL_SERIES, series), at);
    vivo_catalog_close(c);
    dir_remove(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_labels_and_keys_name_what_has_no_identifiers),
        cmocka_unit_test(test_headers_move_and_rename_nothing),
        cmocka_unit_test(test_label_of_a_local_file_is_its_patient),
        cmocka_unit_test(test_columns_that_come_later_are_the_series_own),
        cmocka_unit_test(test_time_of_a_listing_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
