/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_drivers_nbia.c -- rows and locators of the NBIA driver. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "drivers/nbia.h"

#include "vivofs/dcm.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---- rows ------------------------------------------------------------------- */

static struct vivo_attrs attrs_of(const char *row, enum nbia_table v,
                                  struct vivo_buf *b)
{
    struct vivo_err err = {0};
    vivo_buf_clear(b);
    assert_int_equal(vivo_nbia_attrs(row, strlen(row), v, b, &err), 0);
    return (struct vivo_attrs){b->data, b->len};
}

/* The value of one column as attribute; "absent" when there is no element. */
static const char *value_of(const char *row, enum nbia_table v, uint32_t tag)
{
    static char text[200];
    struct vivo_buf b;
    struct vivo_attr a;
    vivo_buf_init(&b, VIVO_ATTRS_MAX);
    struct vivo_attrs attrs = attrs_of(row, v, &b);
    vivo_attrs_text(attrs, tag, text, sizeof text);
    if (!vivo_attrs_find(attrs, tag, &a))
        snprintf(text, sizeof text, "absent");
    vivo_buf_free(&b);
    return text;
}

static void test_dates_of_every_version_are_read(void **state)
{
    (void)state;
    static const char *const dates[][2] = {
        {"02-03-2001", "20010203"},
        {"2001-02-03 00:00:00.0", "20010203"},
        {"2001-02-03", "20010203"},
        {"2001-02-03T04:05:06Z", "20010203"},
        {"20010203", "20010203"},
        {"", ""},
        {"2001", ""},
        {"13-03-2001", ""},
        {"00-03-2001", ""},
        {"02-32-2001", ""},
        {"2001-2-3", ""},
        {"2001-02-03x", ""},
        {"ab-cd-efgh", ""},
        {"null", ""},
        {"2001/02/03", ""},
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(dates); i++) {
        char out[9];
        vivo_nbia_date(dates[i][0], out);
        assert_string_equal(out, dates[i][1]);
    }
}

static void test_columns_become_attributes(void **state)
{
    (void)state;
    static const struct {
        const char *row;
        uint32_t tag;
        const char *want;
    } cases[] = {
        {"{\"StudyDate\":\"02-03-2001\"}", VIVO_TAG_StudyDate, "20010203"},
        {"{\"StudyDate\":\"soon\"}", VIVO_TAG_StudyDate, ""},
        {"{\"StudyDate\":[\"02-03-2001\"]}", VIVO_TAG_StudyDate, ""},
        {"{\"SeriesNumber\":2}", VIVO_TAG_SeriesNumber, "2"},
        {"{\"SeriesNumber\":-2}", VIVO_TAG_SeriesNumber, "-2"},
        {"{\"SeriesNumber\":2.0}", VIVO_TAG_SeriesNumber, "2"},
        {"{\"SeriesNumber\":2.5}", VIVO_TAG_SeriesNumber, ""},
        {"{\"SeriesNumber\":\"2.000000\"}", VIVO_TAG_SeriesNumber, "2"},
        {"{\"SeriesNumber\":\"2x\"}", VIVO_TAG_SeriesNumber, ""},
        {"{\"SeriesNumber\":\".0\"}", VIVO_TAG_SeriesNumber, ""},
        {"{\"SeriesNumber\":\"99999999999999\"}", VIVO_TAG_SeriesNumber, ""},
        {"{\"SeriesNumber\":1e300}", VIVO_TAG_SeriesNumber, ""},
        {"{\"SeriesNumber\":true}", VIVO_TAG_SeriesNumber, ""},
        {"{\"StudyDesc\":\"a\"}", VIVO_TAG_StudyDescription, "a"},
        {"{\"StudyDescription\":\"b\"}", VIVO_TAG_StudyDescription, "b"},
        {"{\"StudyDesc\":null,\"StudyDescription\":\"b\"}", VIVO_TAG_StudyDescription,
         "b"},
        {"{\"PatientId\":\"P\"}", VIVO_TAG_PatientID, "P"},
        {"{\"PatientID\":17}", VIVO_TAG_PatientID, "17"},
        {"{\"Manufacturer\":\"A\\u000aB\"}", VIVO_TAG_Manufacturer, "A B"},
        {"{\"Manufacturer\":\"u\\u0308\"}", VIVO_TAG_Manufacturer, "\xC3\xBC"},
        {"{\"Manufacturer\":{\"a\":1}}", VIVO_TAG_Manufacturer, ""},
        {"{\"BodyPartExamined\":null}", VIVO_TAG_BodyPartExamined, ""},
        {"{}", VIVO_TAG_BodyPartExamined, ""},
        {"{\"StudyInstanceUID\":\"1.2.3\"}", VIVO_TAG_StudyInstanceUID, "1.2.3"},
        {"{\"StudyInstanceUID\":\"../1\"}", VIVO_TAG_StudyInstanceUID, "absent"},
        {"{}", VIVO_TAG_StudyInstanceUID, "absent"},
        {"{\"ImageCount\":\"133\"}", VIVO_TAG_NumberOfSeriesRelatedInstances, "133"},
        {"{}", VIVO_TAG_SpecificCharacterSet, "ISO_IR 192"},
        {"{}", VIVO_TAG_PatientName, "absent"},
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(cases); i++) {
        const char *got = value_of(cases[i].row, NBIA_SERIES, cases[i].tag);
        if (strcmp(got, cases[i].want) != 0)
            fail_msg("%s: '%s', not '%s'", cases[i].row, got, cases[i].want);
    }
}

/* What a version never says is not known to be nothing. */
static void test_columns_that_a_version_lacks_are_unknown(void **state)
{
    (void)state;
    assert_string_equal(value_of("{}", NBIA_OLD_SERIES, VIVO_TAG_PatientSex), "absent");
    assert_string_equal(value_of("{}", NBIA_SERIES, VIVO_TAG_PatientSex), "");
    assert_string_equal(
        value_of("{\"PatientSex\":\"F\"}", NBIA_OLD_SERIES, VIVO_TAG_PatientSex), "F");
    assert_string_equal(value_of("{}", NBIA_OLD_SERIES, VIVO_TAG_Modality), "");
}

static void test_attributes_are_in_order(void **state)
{
    (void)state;
    struct vivo_buf b;
    struct vivo_attr a;
    uint32_t last = 0;
    unsigned n = 0;
    vivo_buf_init(&b, VIVO_ATTRS_MAX);
    struct vivo_attrs it = attrs_of("{\"StudyInstanceUID\":\"1.2\","
                                    "\"SeriesInstanceUID\":\"1.2.3\"}",
                                    NBIA_SERIES, &b);
    for (; vivo_attrs_next(&it, &a); n++) {
        assert_true(a.tag > last);
        last = a.tag;
    }
    assert_int_equal(it.len, 0);
    assert_int_equal(n, 19);
    vivo_buf_free(&b);
}

static void test_rows_that_are_none_are_ebadmsg(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "", "[]", "null", "{", "{\"a\":}", "{\"a\":\"\xFF\"}", "{} x"};
    struct vivo_buf b;
    vivo_buf_init(&b, VIVO_ATTRS_MAX);
    for (size_t i = 0; i < VIVO_ARRAY_LEN(rows); i++) {
        struct vivo_err err = {0};
        struct nbia_place p;
        char text[10];
        size_t n = strlen(rows[i]);
        assert_int_equal(vivo_nbia_attrs(rows[i], n, NBIA_SERIES, &b, &err), -EBADMSG);
        vivo_err_clear(&err);
        assert_int_equal(vivo_nbia_series(rows[i], n, &p, &err), -EBADMSG);
        assert_false(vivo_nbia_text(rows[i], n, "a", text, sizeof text));
    }
    vivo_buf_free(&b);
}

static void test_series_is_read_from_both_versions(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "{\"Collection\":\"C\",\"PatientID\":\"P\",\"StudyInstanceUID\":\"1.1\","
        "\"SeriesInstanceUID\":\"1.2\",\"ImageCount\":133,\"FileSize\":70012345,"
        "\"TimeStamp\":\"2019-05-06 07:08:09.0\"}",
        "{\"Collection\":\"C\",\"PatientID\":\"P\",\"StudyInstanceUID\":\"1.1\","
        "\"SeriesInstanceUID\":\"1.2\",\"ImageCount\":\"133\",\"FileSize\":"
        "\"70012345\","
        "\"MaxSubmissionTimestamp\":\"05-06-2019\"}"};
    for (size_t i = 0; i < VIVO_ARRAY_LEN(rows); i++) {
        struct nbia_place p;
        char locator[NBIA_LOCATOR_MAX];
        struct vivo_err err = {0};
        assert_int_equal(vivo_nbia_series(rows[i], strlen(rows[i]), &p, &err), 0);
        vivo_nbia_place_write(&p, VIVO_LEVEL_SERIES, locator);
        assert_string_equal(locator, "C/P/1.1/1.2/133/20190506.133.70012345");
    }
}

static void test_licence_is_name_and_address(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"{\"LicenseName\":\"CC BY 4.0\",\"LicenseURI\":\"https:\\/\\/x\\/by\"}",
         "CC BY 4.0\\https://x/by"},
        {"{\"LicenseURI\":\"https://x\"}", "https://x"},
        {"{\"LicenseName\":\"a\\\\b\\nc\"}", "a/b c"},
        {"{\"LicenseName\":[1],\"LicenseURI\":null}", ""},
        {"{\"LicenseName\":\"longer than there is room for it\"}", ""},
        {"{}", ""},
        {"[", ""},
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(rows); i++) {
        char out[30];
        vivo_nbia_license(rows[i][0], strlen(rows[i][0]), out, sizeof out);
        assert_string_equal(out, rows[i][1]);
    }
}

/* ---- locators --------------------------------------------------------------- */

static void test_locators_come_back(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "A", "a b/c..%41", "..", "/", "\xC3\xA9t\xC3\xA9", "x?y=1&z#", "\x01\x7F"};
    static const enum vivo_level levels[] = {VIVO_LEVEL_COLLECTION, VIVO_LEVEL_SERIES,
                                             VIVO_LEVEL_INSTANCE};
    for (size_t i = 0; i < VIVO_ARRAY_LEN(texts); i++) {
        for (size_t k = 0; k < VIVO_ARRAY_LEN(levels); k++) {
            struct nbia_place p = {.count = 7};
            struct nbia_place q;
            struct vivo_err err = {0};
            char locator[NBIA_LOCATOR_MAX];
            snprintf(p.collection, sizeof p.collection, "%s", texts[i]);
            snprintf(p.patient, sizeof p.patient, "%s", texts[i]);
            snprintf(p.series, sizeof p.series, "1.2");
            snprintf(p.instance, sizeof p.instance, "1.3");
            snprintf(p.stamp, sizeof p.stamp, "20200101.7.9");
            vivo_nbia_place_write(&p, levels[k], locator);
            assert_null(strstr(locator, ".."));
            assert_null(strpbrk(locator, "?&# "));
            assert_int_equal(vivo_nbia_place_read(locator, levels[k], &q, &err), 0);
            assert_string_equal(q.collection, texts[i]);
            if (levels[k] == VIVO_LEVEL_COLLECTION)
                continue;
            assert_string_equal(q.patient, texts[i]);
            assert_string_equal(q.series, "1.2");
            assert_string_equal(q.study, "");
        }
    }
}

static void test_longest_texts_fit_a_locator(void **state)
{
    (void)state;
    struct nbia_place p = {.count = UINT64_MAX};
    struct nbia_place q;
    struct vivo_err err = {0};
    char locator[NBIA_LOCATOR_MAX];
    memset(p.collection, '.', NBIA_TEXT_MAX);
    memset(p.patient, '/', NBIA_TEXT_MAX);
    memset(p.study, '1', VIVO_UID_MAX);
    memset(p.series, '2', VIVO_UID_MAX);
    memset(p.instance, '3', VIVO_UID_MAX);
    vivo_nbia_place_write(&p, VIVO_LEVEL_INSTANCE, locator);
    assert_int_equal(vivo_nbia_place_read(locator, VIVO_LEVEL_INSTANCE, &q, &err), 0);
    assert_string_equal(q.patient, p.patient);
    assert_string_equal(q.instance, p.instance);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dates_of_every_version_are_read),
        cmocka_unit_test(test_columns_become_attributes),
        cmocka_unit_test(test_columns_that_a_version_lacks_are_unknown),
        cmocka_unit_test(test_attributes_are_in_order),
        cmocka_unit_test(test_rows_that_are_none_are_ebadmsg),
        cmocka_unit_test(test_series_is_read_from_both_versions),
        cmocka_unit_test(test_licence_is_name_and_address),
        cmocka_unit_test(test_locators_come_back),
        cmocka_unit_test(test_longest_texts_fit_a_locator),
    };
    struct vivo_err err = {0};
    if (vivo_dcm_global_init(&err) < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
