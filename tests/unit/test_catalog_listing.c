/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_catalog_listing.c -- what goes in comes out: names, copies, removal,
 * refreshing. */
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

static void test_tree_has_names_of_every_level(void **state)
{
    struct vivo_catalog *c = catalog_at(NULL, false);
    struct vivo_listing *l = list_begin(c, VIVO_LEVEL_NONE, 0);
    char u1[7], u2[7], u3[7], want[400];
    vivo_row row = put_file(l, "a", "v", &ct1);
    char *text;

    (void)state;
    list_end(l, true);
    vivo_short_name("1.2.1", 5, u1, 6);
    vivo_short_name("1.2.1.1", 7, u2, 6);
    vivo_short_name("1.2.1.1.1", 9, u3, 6);
    snprintf(want, sizeof want,
             "/all/P1/20190302_Chest_%s/0002_CT_Axial_%s/00001_%s.dcm\n", u1, u2, u3);
    text = tree_text(c, NULL);
    assert_string_equal(text, want);
    assert_int_equal(get_row(c, VIVO_LEVEL_INSTANCE, row).e.mtime, 1551484800);
    assert_true(get_row(c, VIVO_LEVEL_NONE, 0).e.listed);
    assert_true(
        get_row(c, VIVO_LEVEL_SERIES, row_above(c, row, VIVO_LEVEL_SERIES)).e.listed);
    free(text);
    vivo_catalog_close(c);
}

static void test_patients_without_id_are_unknown_and_issuers_differ(void **state)
{
    struct vivo_catalog *c = catalog_at(NULL, false);
    struct vivo_listing *l = list_begin(c, VIVO_LEVEL_NONE, 0);
    struct object o = ct1, p = ct1, q = ct1;
    vivo_row a, b, d;

    (void)state;
    o.patient = NULL;
    o.issuer = "X";
    p.issuer = "HOSPITAL";
    p.study = "1.3";
    p.series = "1.3.1";
    p.uid = "1.3.1.1";
    q.study = "1.4";
    q.series = "1.4.1";
    q.uid = "1.4.1.1";
    a = put_file(l, "a", NULL, &o);
    b = put_file(l, "b", NULL, &p);
    d = put_file(l, "c", NULL, &q);
    list_end(l, true);
    assert_string_equal(
        get_row(c, VIVO_LEVEL_PATIENT, row_above(c, a, VIVO_LEVEL_PATIENT)).name,
        "unknown");
    assert_true(row_above(c, b, VIVO_LEVEL_PATIENT) !=
                row_above(c, d, VIVO_LEVEL_PATIENT));
    vivo_catalog_close(c);
}

/* Two IDs that a shortened or first value would not tell apart. */
static void test_long_and_multivalued_patient_ids_stay_apart(void **state)
{
    struct vivo_catalog *c = catalog_at(NULL, false);
    struct vivo_listing *l = list_begin(c, VIVO_LEVEL_NONE, 0);
    char one[1200], two[1200];
    struct object o = ct1;
    vivo_row rows[4];

    (void)state;
    memset(one, 'x', sizeof one - 1);
    one[sizeof one - 1] = 0;
    memcpy(two, one, sizeof two);
    two[sizeof two - 2] = 'y';
    o.patient = one;
    rows[0] = put_file(l, "a", NULL, &o);
    o.patient = two;
    rows[1] = put_file(l, "b", NULL, &o);
    o.patient = "A\\B";
    rows[2] = put_file(l, "c", NULL, &o);
    o.patient = "A\\C";
    rows[3] = put_file(l, "d", NULL, &o);
    list_end(l, true);
    for (size_t i = 0; i < 4; i++)
        for (size_t k = 0; k < i; k++)
            assert_true(row_above(c, rows[i], VIVO_LEVEL_PATIENT) !=
                        row_above(c, rows[k], VIVO_LEVEL_PATIENT));
    vivo_catalog_close(c);
}

/* Whatever the order of arrival, the smallest SOP Instance UID names its series. */
static void test_smallest_uid_names_and_is_kept(void **state)
{
    char *texts[2];

    (void)state;
    for (int order = 0; order < 2; order++) {
        struct vivo_catalog *c = catalog_at(NULL, false);
        struct vivo_listing *l = list_begin(c, VIVO_LEVEL_NONE, 0);
        struct object small = with(ct1, "1.2.1.1", "1.2.1.1.1", "1");
        struct object large = with(ct1, "1.2.1.1", "1.2.1.1.2", "2");
        struct object smaller = with(ct1, "1.2.1.1", "1.2.1.1.0", "3");
        vivo_row row;
        char *text;

        small.series_text = "Right";
        small.study_text = "Right";
        large.series_text = "Wrong";
        large.study_text = "Wrong";
        large.date = "20200101";
        smaller.series_text = "Late";
        row = put_file(l, order ? "a" : "b", NULL, order ? &small : &large);
        put_file(l, order ? "b" : "a", NULL, order ? &large : &small);
        list_end(l, true);
        texts[order] = tree_text(c, NULL);
        assert_null(strstr(texts[order], "Wrong"));
        assert_int_equal(get_row(c, VIVO_LEVEL_INSTANCE, row).e.mtime, 1551484800);
        l = list_begin(c, VIVO_LEVEL_NONE, 0);
        assert_true(vivo_listing_known(l, "a", NULL));
        assert_true(vivo_listing_known(l, "b", NULL));
        put_file(l, "c", NULL, &smaller);
        list_end(l, true);
        text = tree_text(c, NULL);
        assert_null(strstr(text, "Late"));
        free(text);
        vivo_catalog_close(c);
    }
    assert_string_equal(texts[0], texts[1]);
    free(texts[0]);
    free(texts[1]);
}

static void test_exact_copy_shows_once_and_outlives_its_first(void **state)
{
    struct vivo_catalog *c = catalog_at(NULL, false);
    struct vivo_listing *l = list_begin(c, VIVO_LEVEL_NONE, 0);
    struct vivo_put put = {.level = VIVO_LEVEL_INSTANCE,
                           .locator = "copy",
                           .size = 1000,
                           .size_exact = true,
                           .headers = true};
    vivo_row first = put_file(l, "first", NULL, &ct1), row;
    struct vivo_counts n;
    struct vivo_buf b;
    struct vivo_err err = {0};

    (void)state;
    assert_int_equal(put_with(l, put, &ct1, &row), -EEXIST);
    assert_int_equal(row, first);
    put.copy = VIVO_COPY_SAME;
    assert_int_equal(put_with(l, put, &ct1, &row), 0);
    assert_int_equal(row, first);
    list_end(l, true);
    assert_int_equal(vivo_catalog_count(c, VIVO_LEVEL_NONE, 0, NULL, &n, &err), 0);
    assert_int_equal(n.instances, 1);
    l = list_begin(c, VIVO_LEVEL_NONE, 0);
    assert_true(vivo_listing_known(l, "copy", NULL));
    list_end(l, true);
    vivo_buf_init(&b, 1000);
    assert_int_equal(
        vivo_catalog_locator(c, VIVO_LEVEL_INSTANCE, first, &b, NULL, &err), 0);
    assert_string_equal((char *)b.data, "copy");
    vivo_buf_free(&b);
    vivo_catalog_close(c);
}

static void test_different_bytes_show_with_marks_in_any_order(void **state)
{
    static const char *const orders[3][3] = {
        {"a", "b", "c"}, {"c", "b", "a"}, {"b", "c", "a"}};
    char *texts[3];

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct vivo_catalog *c = catalog_at(NULL, false);
        struct vivo_listing *l = list_begin(c, VIVO_LEVEL_NONE, 0);
        for (int k = 0; k < 3; k++) {
            struct vivo_put put = {.level = VIVO_LEVEL_INSTANCE,
                                   .locator = orders[i][k],
                                   .size = 10,
                                   .headers = true};
            vivo_row row;
            int rc = put_with(l, put, &ct1, &row);
            assert_int_equal(rc, k ? -EEXIST : 0);
            put.copy = VIVO_COPY_DIFFERENT;
            if (k)
                assert_int_equal(put_with(l, put, &ct1, &row), 0);
        }
        list_end(l, true);
        texts[i] = tree_text(c, NULL);
        vivo_catalog_close(c);
    }
    assert_string_equal(texts[0], texts[1]);
    assert_string_equal(texts[0], texts[2]);
    {
        char mark[5], want[8];
        vivo_short_name("b", 1, mark, 4);
        snprintf(want, sizeof want, "+%s", mark);
        assert_non_null(strstr(texts[0], want));
        vivo_short_name("a", 1, mark, 4);
        snprintf(want, sizeof want, "+%s", mark);
        assert_null(strstr(texts[0], want));
    }
    for (int i = 0; i < 3; i++)
        free(texts[i]);
}

struct rival_rows {
    vivo_row rows[8];
    char locators[9];
    size_t n;
};

static int take_rival(void *ctx, vivo_row row, const char *locator)
{
    struct rival_rows *r = ctx;

    r->rows[r->n] = row;
    r->locators[r->n++] = locator[0];
    return 0;
}

/* Before anything of the listing is committed. */
static void test_rivals_are_all_objects_of_one_uid(void **state)
{
    struct vivo_catalog *c = catalog_at(NULL, true);
    struct vivo_listing *l = list_begin(c, VIVO_LEVEL_NONE, 0);
    struct vivo_put put = {.level = VIVO_LEVEL_INSTANCE,
                           .size = 10,
                           .headers = true,
                           .copy = VIVO_COPY_DIFFERENT};
    struct object other = with(ct1, "1.2.1.1", "1.2.1.1.2", "2");
    struct rival_rows r = {.n = 0};
    struct vivo_err err = {0};
    vivo_row rows[3], row;

    (void)state;
    for (int i = 0; i < 3; i++) {
        char locator[2] = {(char)('a' + i), 0};
        put.locator = locator;
        assert_int_equal(put_with(l, put, &ct1, &rows[i]), 0);
    }
    put_file(l, "x", NULL, &other);
    assert_int_equal(vivo_catalog_rivals(c, rows[1], take_rival, &r, &err), 0);
    assert_int_equal(r.n, 3);
    assert_string_equal(r.locators, "abc");
    put.locator = "d";
    put.copy = VIVO_COPY_SAME;
    put.same_as = rows[2];
    assert_int_equal(put_with(l, put, &ct1, &row), 0);
    assert_int_equal(row, rows[2]);
    list_end(l, true);
    vivo_catalog_close(c);
}

/* Three files, two contents: "c" and "a" are copies, so their object comes first. */
static void test_copy_that_sorts_first_takes_the_plain_name(void **state)
{
    static const char *const orders[3][3] = {
        {"a", "b", "c"}, {"b", "c", "a"}, {"c", "b", "a"}};
    char *texts[3];

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct vivo_catalog *c = catalog_at(NULL, false);
        struct vivo_listing *l = list_begin(c, VIVO_LEVEL_NONE, 0);
        bool seen[2] = {false, false};
        for (int k = 0; k < 3; k++) {
            const char *locator = orders[i][k];
            bool is_b = locator[0] == 'b';
            struct vivo_put put = {.level = VIVO_LEVEL_INSTANCE,
                                   .locator = locator,
                                   .size = is_b ? 10 : 20,
                                   .headers = true,
                                   .copy = seen[is_b] ? VIVO_COPY_SAME
                                                      : VIVO_COPY_DIFFERENT};
            seen[is_b] = true;
            assert_int_equal(put_with(l, put, &ct1, NULL), 0);
        }
        list_end(l, true);
        texts[i] = tree_text(c, NULL);
        vivo_catalog_close(c);
    }
    assert_string_equal(texts[0], texts[1]);
    assert_string_equal(texts[0], texts[2]);
    for (int i = 0; i < 3; i++)
        free(texts[i]);
}

static void test_what_was_not_seen_goes_with_its_parents(void **state)
{
    struct vivo_catalog *c = catalog_at(NULL, false);
    struct vivo_listing *l = list_begin(c, VIVO_LEVEL_NONE, 0);
    struct object o = ct1;
    struct vivo_err err = {0};
    struct vivo_counts n;
    char *text;

    (void)state;
    put_file(l, "a", "1", &ct1);
    o.patient = "P2";
    put_file(l, "b", "1", &o);
    assert_int_equal(vivo_listing_other(l, "notes.txt", "1", &err), 0);
    list_end(l, true);
    vivo_catalog_count(c, VIVO_LEVEL_NONE, 0, NULL, &n, &err);
    assert_int_equal(n.patients, 2);
    assert_int_equal(n.others, 1);
    l = list_begin(c, VIVO_LEVEL_NONE, 0); /* incomplete: nothing goes */
    assert_true(vivo_listing_known(l, "a", "1"));
    list_end(l, false);
    vivo_catalog_count(c, VIVO_LEVEL_NONE, 0, NULL, &n, &err);
    assert_int_equal(n.instances, 2);
    l = list_begin(c, VIVO_LEVEL_NONE, 0);
    assert_true(vivo_listing_known(l, "a", "1"));
    assert_false(vivo_listing_known(l, "b", "2"));
    list_end(l, true);
    vivo_catalog_count(c, VIVO_LEVEL_NONE, 0, NULL, &n, &err);
    assert_int_equal(n.patients, 1);
    assert_int_equal(n.studies, 1);
    assert_int_equal(n.instances, 1);
    assert_int_equal(n.bytes, 1000);
    assert_int_equal(n.others, 0);
    text = tree_text(c, NULL);
    assert_null(strstr(text, "P2"));
    free(text);
    vivo_catalog_close(c);
}

static void test_same_locator_replaces_in_place_or_moves(void **state)
{
    struct vivo_catalog *c = catalog_at(NULL, false);
    struct vivo_listing *l = list_begin(c, VIVO_LEVEL_NONE, 0);
    struct object o = ct1;
    vivo_row row = put_file(l, "a", "1", &ct1), again;
    uint64_t generation;
    char *text;

    (void)state;
    list_end(l, true);
    generation = vivo_catalog_generation(c);
    l = list_begin(c, VIVO_LEVEL_NONE, 0);
    assert_true(vivo_listing_known(l, "a", "1"));
    list_end(l, true);
    assert_int_equal(vivo_catalog_generation(c), generation);
    o.thickness = "2.5";
    l = list_begin(c, VIVO_LEVEL_NONE, 0);
    again = put_file(l, "a", "2", &o);
    list_end(l, true);
    assert_int_equal(again, row);
    assert_int_equal(get_row(c, VIVO_LEVEL_INSTANCE, row).e.version, 2);
    assert_true(vivo_catalog_generation(c) > generation);
    o.patient = "P9";
    l = list_begin(c, VIVO_LEVEL_NONE, 0);
    again = put_file(l, "a", "3", &o);
    list_end(l, true);
    assert_true(again != row);
    text = tree_text(c, NULL);
    assert_null(strstr(text, "/P1/"));
    assert_non_null(strstr(text, "/P9/"));
    free(text);
    vivo_catalog_close(c);
}

static void test_find_takes_the_name_or_its_u(void **state)
{
    struct vivo_catalog *c = catalog_at(NULL, false);
    struct vivo_listing *l = list_begin(c, VIVO_LEVEL_NONE, 0);
    vivo_row row = put_file(l, "a", "1", &ct1);
    vivo_row series;
    struct vivo_err err = {0};
    struct one o = {.n = 0};
    char u[7], name[64];

    (void)state;
    list_end(l, true);
    series = row_above(c, row, VIVO_LEVEL_SERIES);
    vivo_short_name("1.2.1.1", 7, u, 6);
    snprintf(name, sizeof name, "0009_CT_Old_name_%s", u);
    assert_int_equal(vivo_catalog_find(c, VIVO_LEVEL_STUDY,
                                       row_above(c, row, VIVO_LEVEL_STUDY), NULL, name,
                                       take_one, &o, &err),
                     0);
    assert_int_equal(o.e.row, series);
    assert_string_equal(o.name + 14, u);
    assert_int_equal(vivo_catalog_find(c, VIVO_LEVEL_SERIES, series, NULL, "nothing",
                                       take_one, &o, &err),
                     -ENOENT);
    assert_int_equal(o.n, 1);
    vivo_catalog_close(c);
}

/* Attributes survive the way through base and difference. */
static void test_attrs_are_those_of_each_instance(void **state)
{
    struct vivo_catalog *c = catalog_at(NULL, false);
    struct vivo_listing *l = list_begin(c, VIVO_LEVEL_NONE, 0);
    struct object o[3] = {ct1, with(ct1, "1.2.1.1", "1.2.1.1.2", "2"),
                          with(ct1, "1.2.1.1", "1.2.1.1.3", NULL)};
    struct vivo_buf want, got;
    struct vivo_err err = {0};
    vivo_row rows[3];

    (void)state;
    o[1].thickness = "5";
    o[2].series_text = NULL;
    for (int i = 0; i < 3; i++) {
        char name[2] = {(char)('a' + i), 0};
        rows[i] = put_file(l, name, NULL, &o[i]);
    }
    list_end(l, true);
    vivo_buf_init(&want, 100000);
    vivo_buf_init(&got, 100000);
    for (int i = 0; i < 3; i++) {
        object_attrs(&o[i], &want);
        vivo_buf_clear(&got);
        assert_int_equal(
            vivo_catalog_attrs(c, VIVO_LEVEL_INSTANCE, rows[i], &got, &err), 0);
        assert_int_equal(got.len, want.len);
        assert_memory_equal(got.data, want.data, want.len);
    }
    vivo_buf_clear(&got);
    assert_int_equal(vivo_catalog_attrs(c, VIVO_LEVEL_STUDY,
                                        row_above(c, rows[0], VIVO_LEVEL_STUDY), &got,
                                        &err),
                     0);
    {
        struct vivo_attrs a = {got.data, got.len};
        struct vivo_attr e;
        assert_true(vivo_attrs_find(a, VIVO_TAG_StudyDescription, &e));
        assert_false(vivo_attrs_find(a, VIVO_TAG_Modality, &e));
        assert_false(vivo_attrs_find(a, VIVO_TAG_SOPInstanceUID, &e));
    }
    vivo_buf_free(&want);
    vivo_buf_free(&got);
    vivo_catalog_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tree_has_names_of_every_level),
        cmocka_unit_test(test_patients_without_id_are_unknown_and_issuers_differ),
        cmocka_unit_test(test_long_and_multivalued_patient_ids_stay_apart),
        cmocka_unit_test(test_smallest_uid_names_and_is_kept),
        cmocka_unit_test(test_exact_copy_shows_once_and_outlives_its_first),
        cmocka_unit_test(test_different_bytes_show_with_marks_in_any_order),
        cmocka_unit_test(test_rivals_are_all_objects_of_one_uid),
        cmocka_unit_test(test_copy_that_sorts_first_takes_the_plain_name),
        cmocka_unit_test(test_what_was_not_seen_goes_with_its_parents),
        cmocka_unit_test(test_same_locator_replaces_in_place_or_moves),
        cmocka_unit_test(test_find_takes_the_name_or_its_u),
        cmocka_unit_test(test_attrs_are_those_of_each_instance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
