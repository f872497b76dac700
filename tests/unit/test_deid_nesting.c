/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_deid_nesting.c -- sequences, private blocks and unknown elements.
 *
 * Numbers in comments are those of the collection of adversarial cases that the
 * engine was written against. */
#include "deid_run.h"

/* 1: a name in Referenced Image Sequence; the reference itself stays, remapped. */
static void test_reference_keeps_link_and_loses_name(void **state)
{
    struct make m;
    struct run r;
    char want[VIVO_UID_MAX + 1];
    (void)state;
    make_ct(&m, MAKE_ELE);
    make_sequence(&m, 0x00081140, true);
    make_item(&m, true);
    make_text(&m, 0x00081150, "UI", MAKE_CT);
    make_text(&m, 0x00081155, "UI", "1.2.826.0.1.99.7");
    make_text(&m, 0x00100010, "PN", "NESTEDTOKEN^X");
    make_item_end(&m);
    make_sequence_end(&m);
    make_patient(&m);
    make_study(&m);
    run_profile(&r, "basic", &m);
    assert_int_equal(r.rc, 0);
    assert_false(has_token(&r, "NESTEDTOKEN"));
    assert_false(has_token(&r, "1.2.826.0.1.99.7"));
    struct vivo_key *k = test_key('k');
    vivo_pseudo_uid(k, "1.2.826.0.1.99.7", 16, want);
    vivo_key_free(k);
    assert_string_equal(look_at(&r, 0x00081155, 1).value, want);
    assert_string_equal(look_at(&r, 0x00081150, 1).value, MAKE_CT);
    finish(&r, &m);
}

/* 2, 57: five deep, defined and undefined lengths mixed, in four syntaxes. */
static void deep_name(const char *syntax)
{
    struct make m;
    struct run r;
    make_ct(&m, syntax);
    make_patient(&m);
    for (int i = 0; i < 5; i++) {
        make_sequence(&m, 0x00289145, i & 1); /* not in the table: stays */
        make_item(&m, i & 2);
        make_text(&m, 0x00281052, "DS", "1.5");
    }
    make_text(&m, 0x00281054, "LO", "HU");
    make_text(&m, 0x00321060, "LO", "DEEPTOKEN");
    make_text(&m, 0x00321070, "LO", "DEEPTOKEN");
    make_text(&m, 0x00400006, "PN", "DEEPTOKEN^X");
    for (int i = 0; i < 5; i++) {
        make_item_end(&m);
        make_sequence_end(&m);
    }
    run_profile(&r, "basic", &m);
    assert_string_equal(r.err.text, "");
    assert_false(has_token(&r, "DEEPTOKEN"));
    assert_string_equal(look_at(&r, 0x00281054, 5).value, "HU");
    assert_string_equal(look_at(&r, 0x00281052, 3).value, "1.5");
    finish(&r, &m);
}

static void test_name_five_deep_is_gone(void **state)
{
    (void)state;
    deep_name(MAKE_ELE);
    deep_name(MAKE_ILE);
    deep_name(MAKE_EBE);
}

/* 3 */
static void test_original_attributes_are_gone(void **state)
{
    struct make m;
    struct run r;
    (void)state;
    make_ct(&m, MAKE_ELE);
    make_patient(&m);
    make_sequence(&m, 0x04000561, false);
    make_item(&m, false);
    make_sequence(&m, 0x04000550, true);
    make_item(&m, true);
    make_text(&m, 0x00100010, "PN", "OLDTOKEN^X");
    make_item_end(&m);
    make_sequence_end(&m);
    make_item_end(&m);
    make_sequence_end(&m);
    run_profile(&r, "basic", &m);
    assert_false(has_token(&r, "OLDTOKEN"));
    assert_false(is_there(&r, 0x04000561, 0));
    finish(&r, &m);
}

/* 4: what an option keeps is walked all the same. */
static void test_retained_sequence_is_walked(void **state)
{
    struct make m;
    struct run r;
    (void)state;
    make_ct(&m, MAKE_ELE);
    make_sequence(&m, 0x00080082, true); /* InstitutionCodeSequence */
    make_item(&m, true);
    make_text(&m, 0x00080100, "SH", "121106");
    make_text(&m, 0x00080102, "SH", "DCM");
    make_text(&m, 0x00080104, "LO", "Comment");
    make_text(&m, 0x00100010, "PN", "NESTEDTOKEN^X");
    make_item_end(&m);
    make_sequence_end(&m);
    make_patient(&m);
    run_profile(&r, "basic+retain-institution", &m);
    assert_true(has_token(&r, "Comment"));
    assert_false(has_token(&r, "NESTEDTOKEN"));
    finish(&r, &m);
}

/* 5 */
static void test_empty_sequences_and_items_stay(void **state)
{
    struct make m;
    struct run r;
    (void)state;
    make_ct(&m, MAKE_ELE);
    make_patient(&m);
    make_sequence(&m, 0x00283000, true);
    make_sequence_end(&m);
    make_sequence(&m, 0x00283010, false);
    make_item(&m, true);
    make_item_end(&m);
    make_item(&m, false);
    make_item_end(&m);
    make_sequence_end(&m);
    run_profile(&r, "basic", &m);
    struct lookup l = look_at(&r, 0x00283010, 0);
    assert_true(l.sequence);
    assert_int_equal(l.items, 2);
    assert_int_equal(look_at(&r, 0x00283000, 0).items, 0);
    finish(&r, &m);
}

static void make_implicit_item(struct make *m, const char *name)
{
    struct make in = {.implicit = true};
    make_text(&in, 0x00081150, "UI", MAKE_CT);
    make_text(&in, 0x00081155, "UI", "1.2.826.0.1.99.7");
    make_text(&in, 0x00100010, "PN", name);
    make_tag(m, 0xFFFEE000u);
    make_int(m, (uint32_t)in.n, 4);
    make_bytes(m, in.b, in.n);
    free(in.b);
}

/* 6: a sequence as UN of undefined length is implicit inside. */
static void test_un_sequence_undefined_is_cleaned(void **state)
{
    struct make m;
    struct run r;
    (void)state;
    make_ct(&m, MAKE_ELE);
    make_head(&m, 0x00081140, "UN", 0xFFFFFFFFu);
    make_implicit_item(&m, "UNTOKEN^X ");
    make_tag(&m, 0xFFFEE0DDu);
    make_int(&m, 0, 4);
    make_patient(&m);
    run_profile(&r, "basic", &m);
    assert_int_equal(r.rc, 0);
    assert_false(has_token(&r, "UNTOKEN"));
    assert_true(look_at(&r, 0x00081140, 0).sequence);
    assert_string_equal(look_at(&r, 0x00081150, 1).value, MAKE_CT);
    finish(&r, &m);
}

/* 7: with a defined length too; what is none becomes no copy. */
static void test_un_sequence_defined_is_cleaned(void **state)
{
    struct make m, in = {0};
    struct run r;
    (void)state;
    make_ct(&m, MAKE_ELE);
    make_implicit_item(&in, "UNTOKEN^X ");
    make_value(&m, 0x00081140, "UN", in.b, in.n);
    make_value(&m, 0x00082112, "UN", "\xFE\xFF\x00\xE0\x10\0\0\0UNTOKEN2", 16);
    make_patient(&m);
    run_profile(&r, "basic", &m);
    assert_int_equal(r.rc, 0);
    assert_false(has_token(&r, "UNTOKEN"));
    assert_string_equal(look_at(&r, 0x00081150, 1).value, MAKE_CT);
    free(in.b);
    finish(&r, &m);
}

/* 9, 16, 17, 18, 26: private blocks, with creator and without, sequences too. */
static void test_private_is_gone(void **state)
{
    struct make m;
    struct run r;
    (void)state;
    make_ct(&m, MAKE_ELE);
    make_text(&m, 0x00090010, "LO", "CREATORTOKEN");
    make_text(&m, 0x00091001, "LO", "PRIVTOKEN1");
    make_sequence(&m, 0x00091002, false);
    make_item(&m, false);
    make_text(&m, 0x00100010, "PN", "PRIVTOKEN2");
    make_text(&m, 0x00080060, "CS", "PRIVTOKEN3");
    make_item_end(&m);
    make_sequence_end(&m);
    make_patient(&m);
    make_text(&m, 0x00111001, "LO", "PRIVTOKEN4"); /* orphan */
    make_pixels(&m);
    make_text(&m, 0x7FE11001, "LO", "PRIVTOKEN5"); /* 24 */
    run_profile(&r, "basic", &m);
    assert_int_equal(r.rc, 0);
    assert_false(has_token(&r, "PRIVTOKEN"));
    assert_false(has_token(&r, "CREATORTOKEN"));
    assert_false(is_there(&r, 0x00090010, 0));
    finish(&r, &m);
}

/* 24: signatures and padding behind the pixels. */
static void test_padding_and_signatures_are_gone(void **state)
{
    struct make m;
    struct run r;
    (void)state;
    make_ct(&m, MAKE_ELE);
    make_patient(&m);
    make_pixels(&m);
    make_sequence(&m, 0xFFFAFFFA, false);
    make_item(&m, false);
    make_text(&m, 0x04000110, "LO", "SIGNTOKEN");
    make_item_end(&m);
    make_sequence_end(&m);
    make_value(&m, 0xFFFCFFFC, "OB", "PADTOKEN", 8);
    run_profile(&r, "basic", &m);
    assert_int_equal(r.rc, 0);
    assert_false(has_token(&r, "SIGNTOKEN"));
    assert_false(has_token(&r, "PADTOKEN"));
    assert_true(is_there(&r, VIVO_TAG_PixelData, 0));
    finish(&r, &m);
}

/* 25 */
static void test_unknown_elements_are_gone(void **state)
{
    struct make m;
    struct run r;
    (void)state;
    make_ct(&m, MAKE_ELE);
    make_text(&m, 0x0008FFF1, "LO", "UNKNOWNTOKEN1");
    make_value(&m, 0x0008FFF2, "UN", "UNKNOWNTOKEN2", 13);
    make_patient(&m);
    make_text(&m, 0x00187FFF, "DS", "31415926");
    run_profile(&r, "basic", &m);
    assert_int_equal(r.rc, 0);
    assert_false(has_token(&r, "UNKNOWNTOKEN"));
    assert_false(has_token(&r, "31415926"));
    finish(&r, &m);
}

/* 27: Private Data Element Characteristics. */
static void test_private_characteristics_names_are_gone(void **state)
{
    struct make m;
    struct run r;
    (void)state;
    make_ct(&m, MAKE_ELE);
    make_sequence(&m, 0x00080300, true);
    make_item(&m, true);
    make_us(&m, 0x00080301, 0x11);
    make_text(&m, 0x00080302, "LO", "CREATORTOKEN");
    make_item_end(&m);
    make_sequence_end(&m);
    make_patient(&m);
    run_profile(&r, "basic", &m);
    assert_int_equal(r.rc, 0);
    assert_false(has_token(&r, "CREATORTOKEN"));
    finish(&r, &m);
}

/* 10: fails at a stated depth. */
static void test_depth_bomb_fails_closed(void **state)
{
    struct make m;
    struct run r;
    (void)state;
    make_ct(&m, MAKE_ELE);
    make_patient(&m);
    for (int i = 0; i < 100000; i++) {
        make_head(&m, 0x00289145, "SQ", 0xFFFFFFFFu);
        make_tag(&m, 0xFFFEE000u);
        make_int(&m, 0xFFFFFFFFu, 4);
    }
    run_profile(&r, "basic", &m);
    assert_int_equal(r.rc, -EBADMSG);
    assert_int_equal(r.report.refusal, VIVO_REFUSAL_UNPARSABLE);
    finish(&r, &m);
}

/* 11: lengths beyond the file, items beyond their sequence. */
static void test_wrong_lengths_fail_closed(void **state)
{
    struct make m;
    struct run r;
    (void)state;
    make_ct(&m, MAKE_ELE);
    make_patient(&m);
    make_head(&m, 0x00289145, "SQ", 0x7FFFFFFFu);
    make_tag(&m, 0xFFFEE000u);
    make_int(&m, 4, 4);
    run_profile(&r, "basic", &m);
    assert_int_equal(r.rc, -EBADMSG);
    finish(&r, &m);
    make_ct(&m, MAKE_ELE);
    make_patient(&m);
    make_head(&m, 0x00289145, "SQ", 16);
    make_tag(&m, 0xFFFEE000u);
    make_int(&m, 400, 4);
    make_text(&m, 0x00281054, "LO", "HU");
    make_us(&m, 0x00281052, 1);
    run_profile(&r, "basic", &m);
    assert_int_equal(r.rc, -EBADMSG);
    finish(&r, &m);
}

/* 11: ten million empty items end with an error, not with the memory. */
static void test_width_bomb_fails_closed(void **state)
{
    const size_t n = 10000000;
    struct make m;
    struct run r;
    (void)state;
    make_ct(&m, MAKE_ELE);
    make_patient(&m);
    make_head(&m, 0x00289145, "SQ", (uint32_t)(8 * n));
    size_t at = m.n;
    m.cap = m.n = at + 8 * n;
    m.b = realloc(m.b, m.cap);
    assert_non_null(m.b);
    for (size_t i = 0; i < n; i++)
        memcpy(m.b + at + 8 * i, "\xFE\xFF\x00\xE0\0\0\0\0", 8);
    run_profile(&r, "basic", &m);
    assert_int_equal(r.rc, -EBADMSG);
    finish(&r, &m);
}

/* 12 */
static void test_missing_delimiter_fails_closed(void **state)
{
    struct make m;
    struct run r;
    (void)state;
    make_ct(&m, MAKE_ELE);
    make_patient(&m);
    make_sequence(&m, 0x00289145, false);
    make_item(&m, false);
    make_text(&m, 0x00281054, "LO", "HU");
    run_profile(&r, "basic", &m);
    assert_int_equal(r.rc, -EBADMSG);
    finish(&r, &m);
}

/* 14: the study is that of the root, whatever stands nested before it. */
static void test_study_is_of_the_root(void **state)
{
    struct make m;
    struct run r;
    char want[22];
    (void)state;
    make_ct(&m, MAKE_ELE);
    make_sequence(&m, 0x00081115, true);
    make_item(&m, true);
    make_text(&m, 0x0020000D, "UI", "1.2.826.0.1.99.666");
    make_item_end(&m);
    make_sequence_end(&m);
    make_study(&m); /* no PatientID: derived from the study */
    run_profile(&r, "basic", &m);
    struct vivo_key *k = test_key('k');
    vivo_pseudo_patient_of_uid(k, "1.2.826.0.1.99.2", want);
    vivo_key_free(k);
    assert_value(&r, VIVO_TAG_PatientID, want);
    assert_value(&r, VIVO_TAG_PatientName, want);
    finish(&r, &m);
}

/* 15: many items take time in proportion and all are treated. */
static void test_many_frames_are_all_treated(void **state)
{
    struct make m;
    struct run r;
    (void)state;
    make_ct(&m, MAKE_ELE);
    make_patient(&m);
    make_sequence(&m, 0x52009230, false);
    for (int i = 0; i < 5000; i++) {
        make_item(&m, false);
        make_sequence(&m, 0x00209111, false);
        make_item(&m, false);
        make_text(&m, 0x00189074, "DT", "20110405091011.777");
        make_text(&m, 0x00209056, "SH", "STACK1");
        make_item_end(&m);
        make_sequence_end(&m);
        make_item_end(&m);
    }
    make_sequence_end(&m);
    run_profile(&r, "basic", &m);
    assert_int_equal(r.rc, 0);
    assert_false(has_token(&r, "20110405"));
    assert_int_equal(look_at(&r, 0x00209056, 2).count, 5000);
    finish(&r, &m);
}

/* 74 */
static void test_icons_are_gone(void **state)
{
    struct make m;
    struct run r;
    (void)state;
    make_ct(&m, MAKE_ELE);
    make_patient(&m);
    make_sequence(&m, 0x00289145, true);
    make_item(&m, true);
    make_sequence(&m, 0x00880200, true);
    make_item(&m, true);
    make_value(&m, 0x7FE00010, "OB", "ICONTOKEN1", 10);
    make_item_end(&m);
    make_sequence_end(&m);
    make_value(&m, 0x7FE00010, "OB", "ICONTOKEN2", 10);
    make_item_end(&m);
    make_sequence_end(&m);
    run_profile(&r, "basic", &m);
    assert_int_equal(r.rc, 0);
    assert_false(has_token(&r, "ICONTOKEN"));
    finish(&r, &m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference_keeps_link_and_loses_name),
        cmocka_unit_test(test_name_five_deep_is_gone),
        cmocka_unit_test(test_original_attributes_are_gone),
        cmocka_unit_test(test_retained_sequence_is_walked),
        cmocka_unit_test(test_empty_sequences_and_items_stay),
        cmocka_unit_test(test_un_sequence_undefined_is_cleaned),
        cmocka_unit_test(test_un_sequence_defined_is_cleaned),
        cmocka_unit_test(test_private_is_gone),
        cmocka_unit_test(test_padding_and_signatures_are_gone),
        cmocka_unit_test(test_unknown_elements_are_gone),
        cmocka_unit_test(test_private_characteristics_names_are_gone),
        cmocka_unit_test(test_depth_bomb_fails_closed),
        cmocka_unit_test(test_wrong_lengths_fail_closed),
        cmocka_unit_test(test_width_bomb_fails_closed),
        cmocka_unit_test(test_missing_delimiter_fails_closed),
        cmocka_unit_test(test_study_is_of_the_root),
        cmocka_unit_test(test_many_frames_are_all_treated),
        cmocka_unit_test(test_icons_are_gone),
    };
    return cmocka_run_group_tests(tests, deid_setup, NULL);
}
