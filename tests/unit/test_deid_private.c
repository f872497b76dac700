/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_deid_private.c -- retain-safe-private and clean-graphics.
 *
 * Numbers in comments are those of the collection of adversarial cases that the
 * engine was written against. */
#include "deid_run.h"

#define PROFILE "basic+retain-safe-private"

static void begin(struct make *m, const char *syntax)
{
    make_ct(m, syntax);
    make_patient(m);
}

/* 18: by creator, not by block; in explicit, implicit and big-endian files. */
static void block_at(const char *syntax, uint32_t block, bool binary)
{
    struct make m;
    struct run r;
    begin(&m, syntax);
    make_text(&m, 0x00190000 | block, "LO", "GEMS_ACQU_01 ");
    make_text(&m, 0x00190023 | block << 8, "DS", "2.50");
    make_text(&m, 0x001900AA | block << 8, "LO", "NOTSAFETOKEN");
    make_text(&m, 0x00430010, "LO", "GEMS_PARM_01");
    make_text(&m, 0x00431039, "IS", "1000\\8\\0\\0");
    if (binary) {
        make_text(&m, 0x09030010, "LO", "GEIIS PACS");
        make_us(&m, 0x09031010, 1);
    }
    run_profile(&r, PROFILE, &m);
    assert_int_equal(r.rc, 0);
    assert_string_equal(look_at(&r, 0x00190023 | block << 8, 0).value, "2.50");
    assert_string_equal(look_at(&r, 0x00190000 | block, 0).value, "GEMS_ACQU_01");
    assert_false(has_token(&r, "NOTSAFETOKEN"));
    /* The b-value of GE, for which people keep private elements. */
    assert_string_equal(look_at(&r, 0x00431039, 0).value, "1000\\8\\0\\0");
    assert_int_equal(look_at(&r, 0x09031010, 0).count, binary);
    finish(&r, &m);
}

static void test_safe_element_is_found_by_its_creator(void **state)
{
    (void)state;
    block_at(MAKE_ELE, 0x10, true);
    block_at(MAKE_ELE, 0x11, true);
    block_at(MAKE_ILE, 0x42, true);
    block_at(MAKE_EBE, 0xFF, true);
}

static void test_without_the_option_all_private_is_gone(void **state)
{
    struct make m;
    struct run r;
    (void)state;
    begin(&m, MAKE_ELE);
    make_text(&m, 0x00190010, "LO", "GEMS_ACQU_01");
    make_text(&m, 0x00191023, "DS", "2.50");
    run_profile(&r, "basic+clean-descriptors", &m);
    assert_false(is_there(&r, 0x00190010, 0));
    assert_false(is_there(&r, 0x00191023, 0));
    finish(&r, &m);
}

/* 17, 19, 20, 26 */
static void unsafe_block(const char *first, uint32_t first_tag, const char *second,
                         uint32_t second_tag)
{
    struct make m;
    struct run r;
    begin(&m, MAKE_ELE);
    if (first)
        make_text(&m, first_tag, "LO", first);
    if (second)
        make_text(&m, second_tag, "LO", second);
    make_text(&m, 0x00191023, "DS", "2.50");
    run_profile(&r, PROFILE, &m);
    assert_int_equal(r.rc, 0);
    assert_false(is_there(&r, 0x00191023, 0));
    assert_false(is_there(&r, 0x00190010, 0));
    assert_false(is_there(&r, 0x00190011, 0));
    finish(&r, &m);
}

static void test_doubtful_blocks_are_gone(void **state)
{
    (void)state;
    unsafe_block(NULL, 0, NULL, 0);
    unsafe_block("GEMS_ACQU_01", 0x00190010, "OTHER", 0x00190010);
    unsafe_block("GEMS_ACQU_01", 0x00190010, "GEMS_ACQU_01", 0x00190010);
    unsafe_block("GEMS_ACQU_01", 0x00190010, "GEMS_ACQU_01 ", 0x00190011);
    unsafe_block("gems_acqu_01", 0x00190010, NULL, 0);
    unsafe_block("GEMS_ACQU_01\\X", 0x00190010, NULL, 0);
    unsafe_block("GEMS_ACQU_01", 0x00190011, NULL, 0);
    unsafe_block("NAMETOKEN^JANE", 0x00190010, NULL, 0);
}

/* 21 */
static void test_values_of_another_kind_are_gone(void **state)
{
    struct make m;
    struct run r;
    (void)state;
    begin(&m, MAKE_ELE);
    make_text(&m, 0x00190010, "LO", "GEMS_ACQU_01");
    make_text(&m, 0x00191023, "DS", "FREETOKEN");
    make_text(&m, 0x00191024, "DS", "1\\2");      /* VM 1 */
    make_text(&m, 0x00191027, "LO", "IDTOKEN77"); /* another VR */
    make_text(&m, 0x00450010, "LO", "GEMS_HELIOS_01");
    make_text(&m, 0x00451001, "LO", "AB");   /* SS */
    make_text(&m, 0x00451002, "PN", "DOEX"); /* FL */
    run_profile(&r, PROFILE, &m);
    assert_false(has_token(&r, "TOKEN"));
    assert_false(has_token(&r, "DOEX"));
    for (uint32_t tag = 0x00191023; tag < 0x00191028; tag++)
        assert_false(is_there(&r, tag, 0));
    assert_false(is_there(&r, 0x00190010, 0));
    assert_false(is_there(&r, 0x00451001, 0));
    finish(&r, &m);
}

/* 22 */
static void test_safe_uids_are_replaced(void **state)
{
    struct make m;
    struct run r;
    char want[VIVO_UID_MAX + 1];
    (void)state;
    begin(&m, MAKE_ELE);
    make_text(&m, 0x00990010, "LO", "NQHeader");
    make_text(&m, 0x00991001, "UI", "1.2.826.0.1.99.77");
    make_text(&m, 0x00991002, "UI", "UIDTOKEN");
    run_profile(&r, PROFILE, &m);
    struct vivo_key *k = test_key('k');
    vivo_pseudo_uid(k, "1.2.826.0.1.99.77", 17, want);
    vivo_key_free(k);
    assert_string_equal(look_at(&r, 0x00991001, 0).value, want);
    assert_false(has_token(&r, "UIDTOKEN"));
    finish(&r, &m);
}

static void test_safe_text_is_cleaned(void **state)
{
    struct make m;
    struct run r;
    (void)state;
    begin(&m, MAKE_ELE);
    make_text(&m, 0x00190010, "LO", "GEMS_ACQU_01");
    make_text(&m, 0x0019109E, "LO", "scan Nametoken fast");
    run_profile(&r, PROFILE, &m);
    assert_string_equal(look_at(&r, 0x0019109E, 0).value, "scan fast");
    finish(&r, &m);
}

/* 9 */
static void nested(const char *syntax, bool defined)
{
    struct make m;
    struct run r;
    make_ct(&m, syntax);
    make_patient(&m);
    make_text(&m, 0x7E010010, "LO", "HOLOGIC, Inc.");
    make_sequence(&m, 0x7E011010, defined);
    make_item(&m, defined);
    make_text(&m, 0x00080060, "CS", "MG");
    make_text(&m, 0x00100010, "PN", "NESTEDTOKEN^X");
    make_text(&m, 0x00190010, "LO", "GEMS_ACQU_01");
    make_text(&m, 0x00191023, "DS", "2.50");
    make_text(&m, 0x001910AA, "LO", "NESTEDTOKEN");
    make_item_end(&m);
    make_sequence_end(&m);
    /* The block of the root says nothing inside. */
    make_sequence(&m, 0x7E011011, defined);
    make_item(&m, defined);
    make_text(&m, 0x7E011001, "LO", "NESTEDTOKEN");
    make_item_end(&m);
    make_sequence_end(&m);
    run_profile(&r, PROFILE, &m);
    assert_string_equal(r.err.text, "");
    assert_false(has_token(&r, "NESTEDTOKEN"));
    /* In implicit VR nothing says that a private value is a sequence. */
    bool seen = strcmp(syntax, MAKE_ILE) != 0 || !defined;
    assert_string_equal(look_at(&r, 0x00080060, 1).value, seen ? "MG" : "");
    assert_string_equal(look_at(&r, 0x00191023, 1).value, seen ? "2.50" : "");
    assert_true(has_token(&r, "2.50"));
    assert_true(has_token(&r, "GEMS_ACQU_01"));
    assert_int_equal(look_at(&r, 0x7E011010, 0).count, 1);
    finish(&r, &m);
}

static void test_safe_sequences_are_walked(void **state)
{
    (void)state;
    nested(MAKE_ELE, true);
    nested(MAKE_ELE, false);
    nested(MAKE_ILE, true);
    nested(MAKE_ILE, false);
}

/* 23 */
static void test_safe_bulk_stays_when_binary(void **state)
{
    struct make m;
    struct run r;
    uint8_t bytes[64];
    (void)state;
    begin(&m, MAKE_ELE);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 5);
    make_text(&m, 0x20010010, "LO", "Philips Imaging DD 001");
    make_value(&m, 0x2001107D, "OB", bytes, sizeof bytes);
    make_text(&m, 0x200110FF, "OB", "the name is NAMETOKEN");
    run_profile(&r, PROFILE, &m);
    struct lookup l = look_at(&r, 0x2001107D, 0);
    assert_int_equal(l.length, sizeof bytes);
    assert_memory_equal(r.b + l.offset, bytes, sizeof bytes);
    assert_false(is_there(&r, 0x200110FF, 0));
    finish(&r, &m);
    /* A name between other bytes. */
    begin(&m, MAKE_ELE);
    memcpy(bytes + 20, "\1NAMETOKEN\2", 11);
    make_text(&m, 0x20010010, "LO", "Philips Imaging DD 001");
    make_value(&m, 0x2001107D, "OB", bytes, sizeof bytes);
    run_profile(&r, PROFILE, &m);
    assert_false(has_token(&r, "NAMETOKEN"));
    finish(&r, &m);
}

static void test_hides_speaks_of_creators(void **state)
{
    struct vivo_key *k = test_key('k');
    struct vivo_deid *d = test_profile(PROFILE, VIVO_BURNED_IN_REFUSE, k);
    struct vivo_deid *b = test_profile("basic", VIVO_BURNED_IN_REFUSE, k);
    (void)state;
    assert_null(vivo_deid_hides(d, 0x00431139, "GEMS_PARM_01"));
    assert_string_equal(vivo_deid_hides(d, 0x00431138, "GEMS_PARM_01"), "deid=none");
    assert_string_equal(vivo_deid_hides(b, 0x00431139, "GEMS_PARM_01"),
                        "retain-safe-private");
    vivo_deid_free(d);
    vivo_deid_free(b);
    vivo_key_free(k);
}

/* 72 */
static void test_overlay_planes_stay_without_their_text(void **state)
{
    struct make m;
    struct run r;
    uint8_t plane[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    (void)state;
    begin(&m, MAKE_ELE);
    make_us(&m, 0x60000010, 8);
    make_us(&m, 0x60000011, 8);
    make_text(&m, 0x60000022, "LO", "OVERTOKEN");
    make_text(&m, 0x60000040, "CS", "R");
    make_text(&m, 0x60001500, "LO", "OVERTOKEN");
    make_value(&m, 0x60003000, "OW", plane, sizeof plane);
    make_text(&m, 0x60004000, "LT", "OVERTOKEN");
    make_text(&m, 0x60020040, "CS", "G");
    make_value(&m, 0x60023000, "OW", "OVERTOKEN!", 10);
    make_text(&m, 0x60010010, "LO", "OVERTOKEN");
    run_profile(&r, "basic+clean-graphics", &m);
    assert_false(has_token(&r, "OVERTOKEN"));
    assert_string_equal(look_at(&r, 0x60000040, 0).value, "R");
    assert_false(is_there(&r, 0x60023000, 0));
    assert_false(is_there(&r, 0x60020040, 0));
    struct lookup l = look_at(&r, 0x60003000, 0);
    assert_int_equal(l.length, sizeof plane);
    assert_memory_equal(r.b + l.offset, plane, sizeof plane);
    run_free(&r);
    run_profile(&r, "basic", &m);
    assert_false(is_there(&r, 0x60003000, 0));
    finish(&r, &m);
}

/* 71 */
static void annotate(const char *profile, const char *want)
{
    struct make m;
    struct run r;
    uint8_t points[8] = {0, 0, 128, 63, 0, 0, 0, 64};
    begin(&m, MAKE_ELE);
    make_sequence(&m, 0x00700001, true);
    make_item(&m, true);
    make_text(&m, 0x00700002, "CS", "LAYER1");
    make_sequence(&m, 0x00700008, true);
    make_item(&m, true);
    make_text(&m, 0x00700006, "ST", "Lesion NAMETOKEN 5mm");
    make_item_end(&m);
    make_sequence_end(&m);
    make_sequence(&m, 0x00700009, true);
    make_item(&m, true);
    make_value(&m, 0x00700022, "FL", points, sizeof points);
    make_item_end(&m);
    make_sequence_end(&m);
    make_item_end(&m);
    make_sequence_end(&m);
    run_profile(&r, profile, &m);
    assert_false(has_token(&r, "NAMETOKEN"));
    assert_string_equal(look_at(&r, 0x00700006, 2).value, want);
    struct lookup l = look_at(&r, 0x00700022, 2);
    assert_int_equal(l.length, sizeof points);
    assert_memory_equal(r.b + l.offset, points, sizeof points);
    finish(&r, &m);
}

static void test_annotations_keep_graphics_and_lose_text(void **state)
{
    (void)state;
    annotate("basic+clean-graphics", VIVO_DUMMY_TEXT);
    annotate("basic+clean-graphics+clean-descriptors", "Lesion 5mm");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_safe_element_is_found_by_its_creator),
        cmocka_unit_test(test_without_the_option_all_private_is_gone),
        cmocka_unit_test(test_doubtful_blocks_are_gone),
        cmocka_unit_test(test_values_of_another_kind_are_gone),
        cmocka_unit_test(test_safe_uids_are_replaced),
        cmocka_unit_test(test_safe_text_is_cleaned),
        cmocka_unit_test(test_safe_sequences_are_walked),
        cmocka_unit_test(test_safe_bulk_stays_when_binary),
        cmocka_unit_test(test_hides_speaks_of_creators),
        cmocka_unit_test(test_overlay_planes_stay_without_their_text),
        cmocka_unit_test(test_annotations_keep_graphics_and_lose_text),
    };
    return cmocka_run_group_tests(tests, deid_setup, NULL);
}
