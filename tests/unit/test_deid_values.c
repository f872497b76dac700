/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_deid_values.c -- values that lie about their VR, order, UIDs, codes
 * and what is written into every object. Numbers as in test_deid_nesting.c. */
#include "deid_run.h"

/* 13: twice and out of order; none of them survives, the output is in order. */
static void test_twice_and_disordered_are_treated(void **state)
{
    struct make m;
    struct run r;
    (void)state;
    make_ct(&m, MAKE_ELE);
    make_study(&m);
    make_text(&m, 0x00100010, "PN", "");
    make_text(&m, 0x00100010, "PN", "TWICETOKEN^A");
    make_text(&m, 0x00100020, "LO", "");
    make_text(&m, 0x00100020, "LO", "IDTOKEN77");
    make_text(&m, 0x00100020, "LO", "");
    make_text(&m, 0x00080070, "LO", "Maker");
    make_text(&m, 0x00080050, "SH", "ACCTOKEN");
    make_text(&m, 0x00080050, "SH", "");
    run_profile(&r, "basic", &m);
    assert_int_equal(r.rc, 0);
    assert_false(has_token(&r, "TWICETOKEN"));
    assert_false(has_token(&r, "ACCTOKEN"));
    assert_value(&r, VIVO_TAG_PatientID, "PDH6NC4JEAMQWMU4AKCRR");
    assert_value(&r, VIVO_TAG_PatientName, "PDH6NC4JEAMQWMU4AKCRR");
    assert_value(&r, VIVO_TAG_Manufacturer, "Maker");
    finish(&r, &m);
}

/* 28: a wrong VR changes nothing: the tag decides. */
static void test_wrong_vr_is_decided_by_tag(void **state)
{
    struct make m;
    struct run r;
    (void)state;
    make_ct(&m, MAKE_ELE);
    make_value(&m, 0x00080080, "OB", "VRTOKEN1", 8);
    make_text(&m, 0x00080090, "CS", "VRTOKEN2");
    make_text(&m, 0x00100010, "LO", "VRTOKEN3");
    make_value(&m, 0x00100020, "UN", "IDTOKEN77 ", 10);
    make_text(&m, 0x00180050, "LO", "1.25");
    make_text(&m, 0x00181020, "UN", "sw 1");
    run_profile(&r, "basic", &m);
    assert_int_equal(r.rc, 0);
    assert_false(has_token(&r, "VRTOKEN"));
    assert_value(&r, VIVO_TAG_PatientID, "PDH6NC4JEAMQWMU4AKCRR");
    assert_string_equal(look_at(&r, VIVO_TAG_PatientID, 0).vr, "LO");
    assert_string_equal(look_at(&r, VIVO_TAG_PatientName, 0).vr, "PN");
    assert_string_equal(look_at(&r, 0x00180050, 0).vr, "DS");
    assert_value(&r, 0x00180050, "1.25");
    assert_value(&r, 0x00181020, "sw 1");
    finish(&r, &m);
}

/* 29: letters that are no VR. */
static void test_no_vr_never_leaks(void **state)
{
    static const char *const vrs[] = {"ZZ", "lo", "\1\2", "??"};
    (void)state;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(vrs); i++) {
        struct make m;
        struct run r;
        make_ct(&m, MAKE_ELE);
        make_text(&m, 0x00081030, vrs[i], "ZZTOKEN1");
        make_patient(&m);
        run_profile(&r, "basic", &m);
        assert_false(has_token(&r, "ZZTOKEN1"));
        assert_false(has_token(&r, "NAMETOKEN"));
        assert_true(r.rc == 0 || r.rc == -EBADMSG);
        finish(&r, &m);
    }
}

/* 30: odd lengths and NULs in; even lengths out. */
static void test_odd_lengths_come_out_even(void **state)
{
    struct make m;
    struct run r;
    (void)state;
    make_ct(&m, MAKE_ELE);
    make_head(&m, 0x00080070, "LO", 5);
    make_bytes(&m, "Maker", 5);
    make_head(&m, 0x00081090, "LO", 6);
    make_bytes(&m, "Mo\0del", 6);
    make_patient(&m);
    run_profile(&r, "basic", &m);
    assert_int_equal(r.rc, 0);
    assert_value(&r, VIVO_TAG_Manufacturer, "Maker");
    assert_int_equal(look_at(&r, VIVO_TAG_Manufacturer, 0).length, 6);
    assert_false(is_there(&r, 0x00081090, 0)); /* a NUL inside text is no text */
    finish(&r, &m);
}

static void test_undefined_length_of_text_fails_closed(void **state)
{
    struct make m;
    struct run r;
    (void)state;
    make_ct(&m, MAKE_ILE);
    make_head(&m, 0x00081030, "LO", 0xFFFFFFFFu);
    make_bytes(&m, "LENTOKEN", 8);
    run_profile(&r, "basic", &m);
    assert_int_equal(r.rc, -EBADMSG);
    finish(&r, &m);
}

/* 31, 32, 33: all groups of a name go, whatever the character set. */
static void test_names_in_any_charset_are_gone(void **state)
{
    static const char *const sets[] = {"ISO 2022 IR 87", "\\ISO 2022 IR 87", "GB18030",
                                       "NO SUCH SET", ""};
    (void)state;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(sets); i++) {
        struct make m;
        struct run r;
        make_file(&m, MAKE_ELE, MAKE_CT, "1.2.826.0.1.99.1");
        make_text(&m, 0x00080005, "CS", sets[i]);
        make_text(&m, 0x00080016, "UI", MAKE_CT);
        make_text(&m, 0x00080018, "UI", "1.2.826.0.1.99.1");
        make_text(&m, 0x00100010, "PN",
                  "NAMETOKEN^A=\33$B;3ED\33(B^GROUPTOKEN=\x83\x5C\\SECONDTOKEN");
        make_text(&m, 0x00100020, "LO", "ID\x83\x5C\\1");
        run_profile(&r, "basic", &m);
        assert_int_equal(r.rc, 0);
        assert_false(has_token(&r, "NAMETOKEN"));
        assert_false(has_token(&r, "GROUPTOKEN"));
        assert_false(has_token(&r, "SECONDTOKEN"));
        assert_int_equal(look_at(&r, VIVO_TAG_PatientName, 0).length, 22);
        finish(&r, &m);
    }
}

/* The pseudonym does not depend on how the ID was encoded; expected: Python. */
static void test_patient_is_same_in_any_encoding(void **state)
{
    static const struct {
        const char *set, *id;
    } ways[] = {{"ISO_IR 100", "M\xFCller 1"}, {"ISO_IR 192", "M\xC3\xBCller 1 "}};
    (void)state;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(ways); i++) {
        struct make m;
        struct run r;
        make_file(&m, MAKE_ELE, MAKE_CT, "1.2.826.0.1.99.1");
        make_text(&m, 0x00080005, "CS", ways[i].set);
        make_text(&m, 0x00080016, "UI", MAKE_CT);
        make_text(&m, 0x00100020, "LO", ways[i].id);
        run_profile(&r, "basic", &m);
        assert_value(&r, VIVO_TAG_PatientID, "PP34N6OFMLBD35QG5FPYJ");
        finish(&r, &m);
    }
}

/* 35, 36, 39 */
static void test_titles_descriptions_and_urls_are_gone(void **state)
{
    struct make m;
    struct run r;
    (void)state;
    make_ct(&m, MAKE_ELE);
    make_text(&m, 0x00080054, "AE", "TXTOKEN1");
    make_text(&m, 0x00080055, "AE", "TXTOKEN2");
    make_text(&m, 0x0008103E, "LO", "TXTOKEN3");
    make_text(&m, 0x00081190, "UR", "http://h/TXTOKEN4");
    make_patient(&m);
    make_text(&m, 0x00181030, "LO", "TXTOKEN5");
    make_text(&m, 0x00200010, "SH", "TXTOKEN6");
    make_text(&m, 0x00204000, "LT", "TXTOKEN7");
    make_text(&m, 0x00287FE0, "UR", "http://h/TXTOKEN8");
    make_text(&m, 0x00400241, "AE", "TXTOKEN9");
    make_text(&m, 0x0040E010, "UR", "http://h/TXTOKENA");
    make_text(&m, 0x21000140, "AE", "TXTOKENB");
    make_text(&m, 0x22000002, "UT", "TXTOKENC");
    make_text(&m, 0x30060026, "LO", "TXTOKEND");
    run_profile(&r, "basic", &m);
    assert_int_equal(r.rc, 0);
    assert_false(has_token(&r, "TXTOKEN"));
    finish(&r, &m);
}

static void make_code(struct make *m, const char *scheme, const char *code,
                      const char *meaning)
{
    make_item(m, true);
    make_text(m, 0x00080100, "SH", code);
    make_text(m, 0x00080102, "SH", scheme);
    make_text(m, 0x00080104, "LO", meaning);
    make_item_end(m);
}

/* 36: codes of the world stay, codes of a site become pseudonyms. */
static void test_codes_stay_in_public_schemes_only(void **state)
{
    struct make m;
    struct run r;
    char code[17];
    (void)state;
    make_ct(&m, MAKE_ELE);
    make_sequence(&m, 0x00082218, true); /* AnatomicRegionSequence */
    make_code(&m, "SCT", "39607008", "Lung");
    make_sequence_end(&m);
    make_sequence(&m, 0x00082228, true);
    make_code(&m, "99TOKENCLINIC", "TOKENCODE", "TOKENMEANING");
    make_sequence_end(&m);
    make_patient(&m);
    run_profile(&r, "basic", &m);
    assert_int_equal(r.rc, 0);
    assert_true(has_token(&r, "Lung"));
    assert_true(has_token(&r, "39607008"));
    assert_false(has_token(&r, "TOKENCLINIC"));
    assert_false(has_token(&r, "TOKENCODE"));
    assert_false(has_token(&r, "TOKENMEANING"));
    struct vivo_key *k = test_key('k');
    vivo_pseudo_code(k, "99TOKENCLINIC", "TOKENCODE", 9, code);
    vivo_key_free(k);
    assert_true(has_token(&r, code));
    finish(&r, &m);
}

/* The scheme counts wherever in the item it stands. */
static void test_codes_do_not_rely_on_order(void **state)
{
    struct make m;
    struct run r;
    (void)state;
    make_ct(&m, MAKE_ELE);
    make_sequence(&m, 0x00082218, true);
    make_item(&m, true);
    make_text(&m, 0x00080104, "LO", "TOKENMEANING");
    make_text(&m, 0x00080102, "SH", "99SITE");
    make_item_end(&m);
    make_item(&m, true);
    make_text(&m, 0x00080104, "LO", "TOKENALONE");
    make_item_end(&m);
    make_sequence_end(&m);
    make_patient(&m);
    run_profile(&r, "basic", &m);
    assert_int_equal(r.rc, 0);
    assert_false(has_token(&r, "TOKENMEANING"));
    assert_false(has_token(&r, "TOKENALONE"));
    finish(&r, &m);
}

/* 38: names where numbers, codes and ages belong; type 1 gets a dummy. */
static void test_text_in_numbers_is_gone(void **state)
{
    struct make m;
    struct run r;
    (void)state;
    make_file(&m, MAKE_ELE, MAKE_CT, "1.2.826.0.1.99.1");
    make_text(&m, 0x00080008, "CS", "ORIGINAL\\Jane Doetoken\\AXIAL");
    make_text(&m, 0x00080016, "UI", MAKE_CT);
    make_text(&m, 0x00080018, "UI", "1.2.826.0.1.99.1");
    make_text(&m, 0x00080060, "CS", "Doetoken");
    make_patient(&m);
    make_text(&m, 0x00180050, "DS", "Doetoken");
    make_text(&m, 0x00180060, "DS", "120\\Doetoken");
    make_text(&m, 0x00200013, "IS", "Doetoken");
    run_profile(&r, "basic", &m);
    assert_int_equal(r.rc, 0);
    assert_false(has_token(&r, "oetoken"));
    assert_value(&r, VIVO_TAG_ImageType, "ORIGINAL\\\\AXIAL");
    assert_value(&r, VIVO_TAG_Modality, VIVO_DUMMY_TEXT); /* type 1 */
    finish(&r, &m);
}

/* 37, 51, 52, 54: instance UIDs go wherever they stand, each of several. */
static void test_uids_are_remapped_and_classes_stay(void **state)
{
    struct make m;
    struct run r;
    char want[VIVO_UID_MAX + 1];
    (void)state;
    make_ct(&m, MAKE_ELE);
    make_text(&m, 0x00080014, "UI", "1.2.840.88776655.20110405");
    make_text(&m, 0x00083010, "UI", "1.2.840.88776655.1\\1.2.840.88776655.2");
    make_patient(&m);
    make_text(&m, 0x00181002, "UI", "1.2.840.88776655.3");
    make_study(&m);
    make_text(&m, 0x00200052, "UI", "1.2.840.10008.1.4.1.1");
    make_text(&m, 0x00209312, "UI", "1.2.840.88776655.4"); /* in no table */
    run_profile(&r, "basic", &m);
    assert_int_equal(r.rc, 0);
    assert_false(has_token(&r, "88776655"));
    assert_false(has_token(&r, "20110405"));
    assert_value(&r, VIVO_TAG_SOPClassUID, MAKE_CT);
    assert_value(&r, 0x00200052, "1.2.840.10008.1.4.1.1");
    struct lookup two = look_at(&r, 0x00083010, 0);
    assert_non_null(strchr(two.value, '\\'));
    struct vivo_key *k = test_key('k');
    vivo_pseudo_uid(k, "1.2.840.88776655.4", 18, want);
    vivo_key_free(k);
    assert_value(&r, 0x00209312, want);
    finish(&r, &m);
}

static void test_retained_uids_stay(void **state)
{
    struct make m;
    struct run r;
    (void)state;
    make_ct(&m, MAKE_ELE);
    make_patient(&m);
    make_study(&m);
    make_text(&m, 0x00209312, "UI", "1.2.840.88776655.4");
    run_profile(&r, "basic+retain-uids", &m);
    assert_value(&r, VIVO_TAG_StudyInstanceUID, "1.2.826.0.1.99.2");
    assert_value(&r, VIVO_TAG_SOPInstanceUID, "1.2.826.0.1.99.1");
    assert_value(&r, 0x00209312, "1.2.840.88776655.4");
    assert_string_equal(look_at(&r, 0x00020003, 0).value, "1.2.826.0.1.99.1");
    finish(&r, &m);
}

/* Dates: the constants of the statement, by the type in CT objects. */
static void test_dates_become_constants(void **state)
{
    struct make m;
    struct run r;
    (void)state;
    make_ct(&m, MAKE_ELE);
    make_text(&m, 0x00080022, "DA", "20110405");
    make_text(&m, 0x00080030, "TM", "091011.777");
    make_text(&m, 0x0008002A, "DT", "20110405091011.777");
    make_patient(&m);
    run_profile(&r, "basic", &m);
    assert_false(has_token(&r, "20110405"));
    assert_false(has_token(&r, "091011"));
    assert_value(&r, VIVO_TAG_StudyDate, ""); /* Z, type 2 */
    assert_value(&r, 0x00280303, "REMOVED");
    finish(&r, &m);
    make_ct(&m, MAKE_ELE);
    make_patient(&m);
    run_profile(&r, "basic+retain-full-dates", &m);
    assert_value(&r, VIVO_TAG_StudyDate, "20110405");
    assert_value(&r, 0x00280303, "UNMODIFIED");
    assert_false(has_token(&r, "19510405"));
    finish(&r, &m);
}

static void test_age_above_89_is_capped(void **state)
{
    struct make m;
    struct run r;
    (void)state;
    make_ct(&m, MAKE_ELE);
    make_patient(&m);
    make_text(&m, 0x00101010, "AS", "093Y");
    run_profile(&r, "basic+retain-patient-characteristics", &m);
    assert_value(&r, VIVO_TAG_PatientAge, "090Y");
    finish(&r, &m);
}

/* PS3.15 E.1.1; 56: the history is kept, an item comes behind it. */
static void test_method_is_written_and_history_kept(void **state)
{
    struct make m;
    struct run r;
    (void)state;
    make_ct(&m, MAKE_ELE);
    make_patient(&m);
    make_text(&m, 0x00120062, "CS", "NO");
    make_text(&m, 0x00120063, "LO", "METHODTOKEN");
    make_sequence(&m, 0x00120064, true);
    make_code(&m, "DCM", "113109", "Retain Device Identity Option");
    make_sequence_end(&m);
    run_profile(&r, "basic+retain-uids", &m);
    assert_value(&r, 0x00120062, "YES");
    assert_false(has_token(&r, "METHODTOKEN"));
    struct lookup l = look_at(&r, 0x00120064, 0);
    assert_int_equal(l.items, 3);
    assert_true(has_token(&r, "113109"));
    assert_true(has_token(&r, "113100"));
    assert_true(has_token(&r, "113110"));
    assert_non_null(strstr(look_at(&r, 0x00120063, 0).value, "2026d"));
    assert_non_null(strstr(look_at(&r, 0x00120063, 0).value, "key 390c245c7f724f58"));
    finish(&r, &m);
}

/* Nothing but a class: the patient's attributes are there all the same. */
static void test_patient_is_added_when_missing(void **state)
{
    struct make m;
    struct run r;
    (void)state;
    make_ct(&m, MAKE_ELE);
    run_profile(&r, "basic", &m);
    assert_int_equal(r.rc, 0);
    struct lookup l = look_at(&r, VIVO_TAG_PatientID, 0);
    assert_int_equal(l.value[0], 'P');
    assert_value(&r, VIVO_TAG_PatientName, l.value);
    finish(&r, &m);
}

/* Two issuers of one ID are two patients. */
static void test_issuer_tells_patients_apart(void **state)
{
    struct make m;
    struct run r;
    (void)state;
    make_ct(&m, MAKE_ELE);
    make_text(&m, 0x00100020, "LO", " IDTOKEN77 ");
    make_text(&m, 0x00100021, "LO", "A");
    run_profile(&r, "basic", &m);
    assert_value(&r, VIVO_TAG_PatientID, "P4HAHBYL4PFB2FZFUR76L");
    assert_false(is_there(&r, 0x00100021, 0));
    finish(&r, &m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_twice_and_disordered_are_treated),
        cmocka_unit_test(test_wrong_vr_is_decided_by_tag),
        cmocka_unit_test(test_no_vr_never_leaks),
        cmocka_unit_test(test_odd_lengths_come_out_even),
        cmocka_unit_test(test_undefined_length_of_text_fails_closed),
        cmocka_unit_test(test_names_in_any_charset_are_gone),
        cmocka_unit_test(test_patient_is_same_in_any_encoding),
        cmocka_unit_test(test_titles_descriptions_and_urls_are_gone),
        cmocka_unit_test(test_codes_stay_in_public_schemes_only),
        cmocka_unit_test(test_codes_do_not_rely_on_order),
        cmocka_unit_test(test_text_in_numbers_is_gone),
        cmocka_unit_test(test_uids_are_remapped_and_classes_stay),
        cmocka_unit_test(test_retained_uids_stay),
        cmocka_unit_test(test_dates_become_constants),
        cmocka_unit_test(test_age_above_89_is_capped),
        cmocka_unit_test(test_method_is_written_and_history_kept),
        cmocka_unit_test(test_patient_is_added_when_missing),
        cmocka_unit_test(test_issuer_tells_patients_apart),
    };
    return cmocka_run_group_tests(tests, deid_setup, NULL);
}
