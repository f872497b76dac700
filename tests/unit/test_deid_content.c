/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_deid_content.c -- clean-structured-content and clean-descriptors in
 * whole objects.
 *
 * Numbers in comments are those of the collection of adversarial cases that the
 * engine was written against. */
#include "deid_run.h"

#define SR "1.2.840.10008.5.1.4.1.1.88.33"
#define PROFILE "basic+clean-structured-content"

static void make_code(struct make *m, uint32_t tag, const char *scheme,
                      const char *code)
{
    make_sequence(m, tag, true);
    make_item(m, true);
    make_text(m, 0x00080100, "SH", code);
    make_text(m, 0x00080102, "SH", scheme);
    make_text(m, 0x00080104, "LO", "Meaning");
    make_item_end(m);
    make_sequence_end(m);
}

/* One content item with a text value; left open. */
static void open_item(struct make *m, const char *type, const char *scheme,
                      const char *code)
{
    make_item(m, true);
    make_text(m, 0x0040A010, "CS", "CONTAINS");
    make_text(m, 0x0040A040, "CS", type);
    make_code(m, 0x0040A043, scheme, code);
}

static void put_item(struct make *m, const char *type, const char *scheme,
                     const char *code, uint32_t tag, const char *vr, const char *value)
{
    open_item(m, type, scheme, code);
    make_text(m, tag, vr, value);
    make_item_end(m);
}

static void begin(struct make *m)
{
    make_file(m, MAKE_ELE, SR, "1.2.826.0.1.99.1");
    make_text(m, 0x00080005, "CS", "ISO_IR 100");
    make_text(m, 0x00080016, "UI", SR);
    make_text(m, 0x00080018, "UI", "1.2.826.0.1.99.1");
    make_text(m, 0x00080020, "DA", "20110405");
    make_text(m, 0x00080060, "CS", "SR");
    make_text(m, 0x00080080, "LO", "Placetoken Clinic");
    make_patient(m);
    make_study(m);
    make_text(m, 0x0040A040, "CS", "CONTAINER");
    make_code(m, 0x0040A043, "DCM", "126000");
    make_sequence(m, 0x0040A730, true);
}

/* One item; the value that is shown, "" when the item is gone. */
static void item_gives(const char *options, const char *type, const char *scheme,
                       const char *code, uint32_t tag, const char *vr,
                       const char *value, char out[128], unsigned *items)
{
    struct make m;
    struct run r;
    char profile[256];
    begin(&m);
    put_item(&m, type, scheme, code, tag, vr, value);
    put_item(&m, "CODE", "DCM", "121058", 0x00080060, "CS", "ALWAYS");
    make_sequence_end(&m);
    snprintf(profile, sizeof profile, "%s%s", PROFILE, options);
    run_profile(&r, profile, &m);
    assert_string_equal(r.err.text, "");
    snprintf(out, 128, "%.127s", look_at(&r, tag, 1).value);
    *items = look_at(&r, 0x0040A730, 0).items;
    assert_false(has_token(&r, "NAMETOKEN"));
    finish(&r, &m);
}

static void gives(const char *options, const char *type, const char *code, uint32_t tag,
                  const char *vr, const char *value, const char *want, unsigned count)
{
    char out[128];
    unsigned items = 0;
    item_gives(options, type, "DCM", code, tag, vr, value, out, &items);
    assert_string_equal(out, want);
    assert_int_equal(items, count);
}

/* 69 */
static void test_text_items_follow_the_table(void **state)
{
    (void)state;
    /* Listed as X with C under clean-descriptors: Comment. */
    gives("", "TEXT", "121106", 0x0040A160, "UT", "Nodule of NAMETOKEN", "", 1);
    gives("+clean-descriptors", "TEXT", "121106", 0x0040A160, "UT",
          "Nodule of NAMETOKEN", "Nodule of", 2);
    /* Listed as X without C. */
    gives("+clean-descriptors", "TEXT", "121022", 0x0040A160, "UT", "ACC1", "", 1);
    /* Listed as D with K under retain-device: Device Observer Serial Number is X. */
    gives("+retain-device", "TEXT", "121016", 0x0040A160, "UT", "SERIAL1", "SERIAL1",
          2);
    /* Not listed. */
    gives("", "TEXT", "999999", 0x0040A160, "UT", "Nodule", "", 1);
    gives("+clean-descriptors", "TEXT", "999999", 0x0040A160, "UT", "Nodule 5mm",
          "Nodule 5mm", 2);
}

static void test_names_become_pseudonyms(void **state)
{
    char a[128], b[128];
    unsigned items = 0;
    (void)state;
    item_gives("", "PNAME", "DCM", "121008", 0x0040A123, "PN", "DOC^TOR", a, &items);
    assert_int_equal(items, 2);
    assert_int_equal(strlen(a), 21);
    assert_int_equal(a[0], 'N');
    item_gives("", "PNAME", "99X", "1", 0x0040A123, "PN", "DOC^TOR ", b, &items);
    assert_string_equal(a, b);
    item_gives("", "PNAME", "DCM", "121008", 0x0040A123, "PN", "OTHER^ONE", b, &items);
    assert_string_not_equal(a, b);
    /* Person Observer's role names that the table takes out. */
    gives("", "PNAME", "121152", 0x0040A123, "PN", "DOC^TOR", "", 1);
}

static void test_dates_follow_the_date_option(void **state)
{
    char out[128];
    unsigned items = 0;
    (void)state;
    /* Not listed. */
    gives("", "DATE", "999999", 0x0040A121, "DA", "20110405", "", 1);
    gives("+retain-full-dates", "DATE", "999999", 0x0040A121, "DA", "20110405",
          "20110405", 2);
    item_gives("+retain-modified-dates", "DATETIME", "DCM", "999999", 0x0040A120, "DT",
               "20110405101112", out, &items);
    assert_int_equal(items, 2);
    assert_string_not_equal(out, "20110405101112");
    assert_string_equal(out + 8, "101112");
    /* Listed as X, C under modified dates; the birth date has no option. */
    gives("", "DATE", "126201", 0x0040A121, "DA", "20110405", "", 1);
    gives("+retain-full-dates", "DATE", "126201", 0x0040A121, "DA", "20110405",
          "20110405", 2);
    gives("+retain-full-dates", "DATE", "121031", 0x0040A121, "DA", "19510405", "", 1);
    /* Listed as D. */
    gives("", "DATETIME", "113723", 0x0040A120, "DT", "20110405101112",
          VIVO_DUMMY_DATE VIVO_DUMMY_TIME, 2);
}

static void test_uid_items_are_replaced_or_kept(void **state)
{
    struct vivo_key *k = test_key('k');
    char want[VIVO_UID_MAX + 1];
    (void)state;
    vivo_pseudo_uid(k, "1.2.826.0.1.99.9", 16, want);
    vivo_key_free(k);
    gives("", "UIDREF", "999999", 0x0040A124, "UI", "1.2.826.0.1.99.9", want, 2);
    gives("+retain-uids", "UIDREF", "999999", 0x0040A124, "UI", "1.2.826.0.1.99.9",
          "1.2.826.0.1.99.9", 2);
    gives("", "UIDREF", "128425", 0x0040A124, "UI", "1.2.826.0.1.99.9", "", 1);
}

/* 69: nested items, a container that is taken out whole, and references by place. */
static void test_containers_are_walked(void **state)
{
    struct make m;
    struct run r;
    (void)state;
    begin(&m);
    open_item(&m, "CONTAINER", "DCM", "111111");
    make_sequence(&m, 0x0040A730, true);
    put_item(&m, "TEXT", "DCM", "999999", 0x0040A160, "UT", "TEXTTOKEN");
    put_item(&m, "PNAME", "DCM", "999999", 0x0040A123, "PN", "DOCTOKEN^X");
    make_sequence_end(&m);
    make_item_end(&m);
    open_item(&m, "CONTAINER", "DCM", "121000");
    make_sequence(&m, 0x0040A730, true);
    put_item(&m, "CODE", "DCM", "999999", 0x00080060, "CS", "GONETOKEN");
    make_sequence_end(&m);
    make_item_end(&m);
    open_item(&m, "CONTAINER", "DCM", "111112");
    make_sequence(&m, 0x0040A730, true);
    put_item(&m, "TEXT", "DCM", "999999", 0x0040A160, "UT", "TEXTTOKEN");
    make_sequence_end(&m);
    make_item_end(&m);
    make_sequence_end(&m);
    run_profile(&r, PROFILE, &m);
    assert_string_equal(r.err.text, "");
    assert_false(has_token(&r, "TOKEN"));
    assert_int_equal(look_at(&r, 0x0040A730, 0).items, 2);
    /* Of the second container's items none is left, nor the sequence. */
    assert_int_equal(look_at(&r, 0x0040A730, 1).count, 1);
    assert_int_equal(look_at(&r, 0x0040A123, 2).count, 1);
    finish(&r, &m);
}

static void test_items_that_are_counted_stay_in_their_places(void **state)
{
    struct make m;
    struct run r;
    uint32_t place[2] = {1, 2};
    (void)state;
    begin(&m);
    put_item(&m, "TEXT", "DCM", "999999", 0x0040A160, "UT", "TEXTTOKEN");
    open_item(&m, "CODE", "DCM", "121058");
    make_sequence(&m, 0x0040A730, true);
    make_item(&m, true);
    make_value(&m, 0x0040DB73, "UL", place, sizeof place);
    make_item_end(&m);
    make_sequence_end(&m);
    make_item_end(&m);
    make_sequence_end(&m);
    run_profile(&r, PROFILE, &m);
    assert_false(has_token(&r, "TOKEN"));
    assert_int_equal(look_at(&r, 0x0040A730, 0).items, 2);
    assert_string_equal(look_at(&r, 0x0040A160, 1).value, VIVO_DUMMY_TEXT);
    assert_int_equal(look_at(&r, 0x0040DB73, 2).length, sizeof place);
    finish(&r, &m);
}

static void test_without_the_option_content_is_a_dummy(void **state)
{
    struct make m;
    struct run r;
    (void)state;
    begin(&m);
    put_item(&m, "NUM", "DCM", "121058", 0x0040A160, "UT", "TEXTTOKEN");
    put_item(&m, "NUM", "DCM", "121058", 0x0040A160, "UT", "TEXTTOKEN");
    make_sequence_end(&m);
    run_profile(&r, "basic+clean-descriptors", &m);
    assert_false(has_token(&r, "TEXTTOKEN"));
    assert_int_equal(look_at(&r, 0x0040A730, 0).items, 1);
    finish(&r, &m);
}

/* 36, 47: what the object says of somebody is found in its descriptions, also when it
 * says so behind them, in items, in sequences that go, or in another character set. */
static void test_descriptions_lose_what_the_object_knows(void **state)
{
    struct make m;
    struct run r;
    (void)state;
    make_file(&m, MAKE_ELE, MAKE_CT, "1.2.826.0.1.99.1");
    make_text(&m, 0x00080005, "CS", "ISO_IR 100");
    make_text(&m, 0x00080016, "UI", MAKE_CT);
    make_text(&m, 0x00080018, "UI", "1.2.826.0.1.99.1");
    make_text(&m, 0x00080050, "SH", "AB12");
    make_text(&m, 0x00080080, "LO", "Placetoken Clinic");
    make_text(&m, 0x00080090, "PN", "Reftoken^Tom");
    make_text(&m, 0x00081030, "LO", "CT Idtoken77 for reftoken, AB12");
    make_text(&m, 0x0008103E, "LO", "PLACETOKEN thorax M\xDCLLER Deeptoken 5mm");
    make_sequence(&m, 0x00081110, true);
    make_item(&m, true);
    make_text(&m, 0x00080005, "CS", "ISO_IR 192");
    make_text(&m, 0x00080090, "PN", "M\xC3\xBCller^Eva");
    make_item_end(&m);
    make_sequence_end(&m);
    make_patient(&m);
    make_text(&m, 0x00104000, "LT", "Seen 20110405 by Dr. Unknown\r\nnametoken, slim");
    make_study(&m);
    make_sequence(&m, 0x00380100, true); /* goes as a whole */
    make_item(&m, true);
    make_text(&m, 0x00400241, "AE", "DEEPTOKEN");
    make_item_end(&m);
    make_sequence_end(&m);
    run_profile(&r, "basic+clean-descriptors", &m);
    assert_string_equal(r.err.text, "");
    assert_value(&r, 0x00081030, "CT for ,");
    assert_value(&r, 0x0008103E, "thorax 5mm");
    assert_value(&r, 0x00104000, "Seen by \r\n, slim");
    assert_false(has_token(&r, "oken"));
    finish(&r, &m);
}

static void test_retained_institution_stays_in_text(void **state)
{
    struct make m;
    struct run r;
    (void)state;
    make_file(&m, MAKE_ELE, MAKE_CT, "1.2.826.0.1.99.1");
    make_text(&m, 0x00080016, "UI", MAKE_CT);
    make_text(&m, 0x00080018, "UI", "1.2.826.0.1.99.1");
    make_text(&m, 0x00080080, "LO", "Placename Clinic");
    make_text(&m, 0x00081030, "LO", "CT Placename");
    run_profile(&r, "basic+clean-descriptors+retain-institution", &m);
    assert_value(&r, 0x00081030, "CT Placename");
    run_free(&r);
    run_profile(&r, "basic+clean-descriptors", &m);
    assert_value(&r, 0x00081030, "CT");
    finish(&r, &m);
}

static void test_rows_show_no_cleaned_text(void **state)
{
    struct vivo_key *k = test_key('k');
    struct vivo_deid *d =
        test_profile("basic+clean-descriptors", VIVO_BURNED_IN_REFUSE, k);
    struct vivo_buf in, row, whole;
    struct vivo_err err = {0};
    struct vivo_attrs none = {NULL, 0};
    char text[64];
    (void)state;
    vivo_buf_init(&in, 4096);
    vivo_buf_init(&row, 4096);
    vivo_buf_init(&whole, 4096);
    assert_int_equal(vivo_attrs_put(&in, 0x0008103E, "LO", "CHEST f\xC3\xBCr", 11), 0);
    struct vivo_attrs a = {in.data, in.len};
    assert_int_equal(vivo_deid_attrs(d, a, none, &row, &err), 0);
    struct vivo_attrs shown = {row.data, row.len};
    assert_false(vivo_attrs_text(shown, 0x0008103E, text, sizeof text));
    assert_int_equal(vivo_deid_header(d, a, &whole, &err), 0);
    shown = (struct vivo_attrs){whole.data, whole.len};
    assert_true(vivo_attrs_text(shown, 0x0008103E, text, sizeof text));
    assert_string_equal(text, "CHEST f\xC3\xBCr");
    assert_true(vivo_deid_cleans(d, 0x0008103E));
    assert_null(vivo_deid_hides(d, 0x0008103E, NULL));
    vivo_buf_free(&in);
    vivo_buf_free(&row);
    vivo_buf_free(&whole);
    vivo_deid_free(d);
    vivo_key_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_items_follow_the_table),
        cmocka_unit_test(test_names_become_pseudonyms),
        cmocka_unit_test(test_dates_follow_the_date_option),
        cmocka_unit_test(test_uid_items_are_replaced_or_kept),
        cmocka_unit_test(test_containers_are_walked),
        cmocka_unit_test(test_items_that_are_counted_stay_in_their_places),
        cmocka_unit_test(test_without_the_option_content_is_a_dummy),
        cmocka_unit_test(test_descriptions_lose_what_the_object_knows),
        cmocka_unit_test(test_retained_institution_stays_in_text),
        cmocka_unit_test(test_rows_show_no_cleaned_text),
    };
    return cmocka_run_group_tests(tests, deid_setup, NULL);
}
