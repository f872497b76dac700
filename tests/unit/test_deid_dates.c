/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_deid_dates.c -- retain-modified-dates.
 *
 * Numbers in comments are those of the collection of adversarial cases that the
 * engine was written against. */
#include "deid_run.h"

#include "deid/options.h"

#include <time.h>

#define PROFILE "basic+retain-modified-dates"

static void shifts_to(const char *vr, const char *in, int64_t days, const char *want)
{
    struct vivo_buf out;
    vivo_buf_init(&out, 1024);
    assert_int_equal(vivo_date_shift(vr, (const uint8_t *)in, strlen(in), days, &out),
                     0);
    assert_int_equal(vivo_buf_add(&out, "", 1), 0);
    assert_string_equal((char *)out.data, want);
    vivo_buf_free(&out);
}

/* 40 */
static void test_dates_shift_by_days(void **state)
{
    (void)state;
    shifts_to("DA", "20040229", -7, "20040222");
    shifts_to("DA", "20040301", -1, "20040229");
    shifts_to("DA", "20000101", -7 * 521, "19900106");
    shifts_to("DA", " 20040229 ", -364, "20030302");
}

/* 41 */
static void test_bad_value_of_several_is_left_out(void **state)
{
    (void)state;
    shifts_to("DA", "20040229\\20230230\\20040301", -7, "20040222\\20040223");
    shifts_to("DA", "DOE^JANE\\20040301", -7, "20040223");
    shifts_to("DA", "\\", -7, "");
}

/* 42 */
static void test_old_forms_and_ranges_shift(void **state)
{
    (void)state;
    shifts_to("DA", "2004.01.19", -7, "20040112");
    shifts_to("DA", "2004-01-19", -7, "20040112");
    shifts_to("DA", "20040108-20041231", -7, "20040101-20041224");
    shifts_to("DA", "20040108-", -7, "20040101-");
    shifts_to("DA", "-20040108", -7, "-20040101");
    shifts_to("DA", "2004.01.08-2004.01.09", -7, "20040101-20040102");
    shifts_to("DA", "-", -7, "");
    shifts_to("DA", "20040108-DOE", -7, "");
}

/* 43, 44 */
static void test_date_times_keep_precision_fraction_and_zone(void **state)
{
    (void)state;
    shifts_to("DT", "20040119072730.123456+0100", -7, "20040112072730.123456+0100");
    shifts_to("DT", "20040119", -7, "20040112");
    shifts_to("DT", "2004011907", -7, "2004011207");
    shifts_to("DT", "2004", -364, "2003");
    shifts_to("DT", "200401", -7, "200312");
    shifts_to("DT", "2004-0500", -364, "2003-0500");
    shifts_to("DT", "20040119-20040219", -7, "20040112-20040212");
    shifts_to("DT", "20040119992730", -7, "");
    shifts_to("DT", "20040119072730.DOE", -7, "");
}

/* 45 */
static void test_times_stay_to_the_millisecond(void **state)
{
    (void)state;
    shifts_to("TM", "072730.123456", -7, "072730.123");
    shifts_to("TM", "072730.5", -7, "072730.5");
    shifts_to("TM", "0727", -7, "0727");
    shifts_to("TM", "07:27:30", -7, "072730");
    shifts_to("TM", "0727-0900", -7, "0727-0900");
    shifts_to("TM", "250000", -7, "");
    shifts_to("TM", "DOE", -7, "");
}

/* 46 */
static void test_impossible_dates_are_left_out(void **state)
{
    (void)state;
    shifts_to("DA", "00010101", -7, "");
    shifts_to("DA", "99991231", 7, "");
    shifts_to("DA", "99991231", -7, "99991224");
    shifts_to("DA", "20230230", -7, "");
    shifts_to("DA", "20231301", -7, "");
    shifts_to("DA", "00000000", -7, "");
    shifts_to("DA", "2004011", -7, "");
    shifts_to("DA", "999999999999", -7, "");
}

static void test_offset_is_whole_weeks_of_years(void **state)
{
    struct vivo_key *k = test_key('k'), *other = test_key('o');
    unsigned differ = 0;
    (void)state;
    for (int i = 0; i < 500; i++) {
        char id[24];
        snprintf(id, sizeof id, "P%020d", i);
        int64_t days = vivo_date_offset(k, id);
        assert_int_equal(days % 7, 0);
        assert_in_range(-days, 366, 3652);
        assert_int_equal(days, vivo_date_offset(k, id));
        differ += days != vivo_date_offset(other, id);
    }
    assert_true(differ > 400);
    vivo_key_free(k);
    vivo_key_free(other);
}

static int64_t seconds(const char *date)
{
    struct tm tm = {0};
    assert_non_null(strptime(date, "%Y%m%d", &tm));
    return (int64_t)timegm(&tm);
}

static void make_dated(struct make *m, const char *id, const char *study)
{
    make_file(m, MAKE_ELE, MAKE_CT, "1.2.826.0.1.99.1");
    make_text(m, 0x00080016, "UI", MAKE_CT);
    make_text(m, 0x00080018, "UI", "1.2.826.0.1.99.1");
    make_text(m, 0x00080020, "DA", "20110405");
    make_text(m, 0x00080022, "DA", "2011.04.06");
    make_text(m, 0x0008002A, "DT", "20110407101112.5+0100");
    make_text(m, 0x00080030, "TM", "101112");
    make_text(m, 0x00080201, "SH", "+0100");
    make_sequence(m, 0x00081115, true);
    make_item(m, true);
    make_text(m, 0x00080020, "DA", "20110408");
    make_item_end(m);
    make_sequence_end(m);
    if (id)
        make_text(m, 0x00100020, "LO", id);
    make_text(m, 0x00100030, "DA", "19510405");
    make_text(m, 0x0020000D, "UI", study);
}

/* Days between what was and what is shown; all dates of the object have the same. */
static int64_t offset_shown(const char *id, const char *study)
{
    struct make m;
    struct run r;
    make_dated(&m, id, study);
    run_profile(&r, PROFILE, &m);
    int64_t days =
        (seconds(look_at(&r, 0x00080020, 0).value) - seconds("20110405")) / 86400;
    assert_int_not_equal(days, 0);
    assert_int_equal((seconds(look_at(&r, 0x00080022, 0).value) - seconds("20110406")) /
                         86400,
                     days);
    assert_int_equal((seconds(look_at(&r, 0x00080020, 1).value) - seconds("20110408")) /
                         86400,
                     days);
    struct lookup moment = look_at(&r, 0x0008002A, 0);
    assert_string_equal(moment.value + 8, "101112.5+0100");
    assert_value(&r, 0x00080030, "101112");
    assert_value(&r, 0x00080201, "+0100");
    assert_value(&r, 0x00280303, "MODIFIED");
    /* 49: the table gives no option for the birth date. */
    assert_value(&r, 0x00100030, "");
    finish(&r, &m);
    return days;
}

static void test_one_offset_for_all_studies_of_a_patient(void **state)
{
    (void)state;
    int64_t a = offset_shown("IDTOKEN77", "1.2.826.0.1.99.2");
    assert_int_equal(offset_shown("IDTOKEN77", "1.2.826.0.1.99.3"), a);
    assert_int_not_equal(offset_shown("IDTOKEN78", "1.2.826.0.1.99.2"), a);
}

/* 48 */
static void test_studies_without_patient_differ(void **state)
{
    (void)state;
    int64_t a = offset_shown(NULL, "1.2.826.0.1.99.2");
    assert_int_equal(offset_shown(NULL, "1.2.826.0.1.99.2"), a);
    assert_int_not_equal(offset_shown(NULL, "1.2.826.0.1.99.3"), a);
}

/* What cannot be shifted takes the basic action. */
static void test_invalid_dates_take_the_basic_action(void **state)
{
    struct make m;
    struct run r;
    (void)state;
    make_file(&m, MAKE_ELE, MAKE_CT, "1.2.826.0.1.99.1");
    make_text(&m, 0x00080016, "UI", MAKE_CT);
    make_text(&m, 0x00080018, "UI", "1.2.826.0.1.99.1");
    make_text(&m, 0x00080020, "DA", "DATETOKEN");
    make_text(&m, 0x00080021, "DA", "20230230");
    make_text(&m, 0x00080201, "SH", "ZONETOKEN");
    make_patient(&m);
    make_study(&m);
    run_profile(&r, PROFILE, &m);
    assert_value(&r, 0x00080020, "");
    assert_false(is_there(&r, 0x00080021, 0));
    assert_false(is_there(&r, 0x00080201, 0));
    assert_false(has_token(&r, "TOKEN"));
    finish(&r, &m);
}

static void row_date(bool with_patient, bool want)
{
    struct vivo_key *k = test_key('k');
    struct vivo_deid *d = test_profile(PROFILE, VIVO_BURNED_IN_REFUSE, k);
    struct vivo_buf in, out;
    struct vivo_err err = {0};
    char text[32];
    vivo_buf_init(&in, 4096);
    vivo_buf_init(&out, 4096);
    assert_int_equal(vivo_attrs_put(&in, 0x00080020, "DA", "20110405", 8), 0);
    if (with_patient)
        assert_int_equal(vivo_attrs_put(&in, 0x00100020, "LO", "IDTOKEN77", 9), 0);
    assert_int_equal(vivo_attrs_put(&in, 0x0020000D, "UI", "1.2.826.0.1.99.2", 16), 0);
    assert_int_equal(vivo_deid_attrs(d, (struct vivo_attrs){in.data, in.len},
                                     (struct vivo_attrs){NULL, 0}, &out, &err),
                     0);
    struct vivo_attrs shown = {out.data, out.len};
    assert_int_equal(vivo_attrs_text(shown, 0x00080020, text, sizeof text), want);
    if (want)
        assert_int_equal((seconds(text) - seconds("20110405")) / 86400,
                         offset_shown("IDTOKEN77", "1.2.826.0.1.99.2"));
    vivo_buf_free(&in);
    vivo_buf_free(&out);
    vivo_deid_free(d);
    vivo_key_free(k);
}

/* A listing shows the date that the object will show, or none. */
static void test_rows_show_dates_of_known_patients_only(void **state)
{
    (void)state;
    row_date(true, true);
    row_date(false, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dates_shift_by_days),
        cmocka_unit_test(test_bad_value_of_several_is_left_out),
        cmocka_unit_test(test_old_forms_and_ranges_shift),
        cmocka_unit_test(test_date_times_keep_precision_fraction_and_zone),
        cmocka_unit_test(test_times_stay_to_the_millisecond),
        cmocka_unit_test(test_impossible_dates_are_left_out),
        cmocka_unit_test(test_offset_is_whole_weeks_of_years),
        cmocka_unit_test(test_one_offset_for_all_studies_of_a_patient),
        cmocka_unit_test(test_studies_without_patient_differ),
        cmocka_unit_test(test_invalid_dates_take_the_basic_action),
        cmocka_unit_test(test_rows_show_dates_of_known_patients_only),
    };
    return cmocka_run_group_tests(tests, deid_setup, NULL);
}
