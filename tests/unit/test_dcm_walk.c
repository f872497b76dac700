/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_dcm_walk.c -- what the walker makes of one structure each: good
 * ones become the right events, bad ones -EBADMSG. How bytes arrive is the matter
 * of test_dcm_stream.c, pixel data of test_dcm_pixels.c. */
#include "dcm_expect.h"

/* ---- elements ----------------------------------------------------------------- */

static void test_short_and_long_forms_are_read(void **state)
{
    struct bytes x = file_of(ELE);
    (void)state;
    put_text(&x, 0x00080060, "CS", "CT");
    put_long(&x, 0x00081190, "UR", 4);
    put_bytes(&x, "a:b ", 4);
    put_text(&x, 0x00100010, "PN", "");
    expect(x, "00080060CS 00081190UR 00100010PN end ");
}

static void test_implicit_takes_vr_from_dictionary(void **state)
{
    struct bytes x = file_of(ILE);
    (void)state;
    put_implicit(&x, 0x00080060, "CT");
    put_implicit(&x, 0x00090010, "ACME");
    put_implicit(&x, 0x00091001, "secret");
    expect(x, "00080060CS 00090010LO 00091001UN end ");
}

static void test_doubtful_vr_is_marked(void **state)
{
    struct bytes x = file_of(ELE);
    (void)state;
    put_text(&x, 0x00080060, "LO", "CT");
    put_short(&x, 0x00280106, "SS", 2); /* "US or SS": both are right */
    put_u16(&x, 1);
    put_long(&x, 0x00100020, "UN", 2); /* known, but written as unknown */
    put_bytes(&x, "id", 2);
    put_long(&x, 0x00102222, "ZZ", 2); /* a VR to come has the long form */
    put_bytes(&x, "zz", 2);
    put_text(&x, 0x00111001, "SH", "ok"); /* private: nothing to compare with */
    expect(x, "00080060LO? 00280106SS 00100020UN? 00102222ZZ? 00111001SH end ");
}

static void test_unknown_vr_with_16_bit_length_is_refused(void **state)
{
    struct bytes x = file_of(ELE);
    (void)state;
    put_text(&x, 0x00080060, "CS", "CT");
    put_text(&x, 0x00102222, "ZZ", "zz");
    refuse(x, "(0010,2222)");
}

static void test_lower_case_vr_is_refused(void **state)
{
    struct bytes x = file_of(ELE);
    (void)state;
    put_text(&x, 0x00080060, "CS", "CT");
    put_text(&x, 0x00100010, "pn", "A^B ");
    refuse(x, "(0010,0010)");
}

static void test_odd_length_is_accepted(void **state)
{
    struct bytes x = file_of(ELE);
    (void)state;
    put_text(&x, 0x00080060, "CS", "C");
    put_text(&x, 0x00100010, "PN", "A^B");
    expect(x, "00080060CS 00100010PN end ");
}

static void test_order_and_repetition_are_reported_as_found(void **state)
{
    struct bytes x = file_of(ELE);
    (void)state;
    put_text(&x, 0x00100010, "PN", "");
    put_text(&x, 0x00080060, "CS", "CT");
    put_text(&x, 0x00100010, "PN", "A^B ");
    expect(x, "00100010PN 00080060CS 00100010PN end ");
}

static void test_value_beyond_the_end_is_refused(void **state)
{
    struct bytes x = file_of(ELE);
    (void)state;
    put_text(&x, 0x00080060, "CS", "CT");
    put_short(&x, 0x00100010, "PN", 200);
    put_bytes(&x, "A^B ", 4);
    refuse(x, "(0010,0010)");
}

static void test_long_value_beyond_the_end_is_refused(void **state)
{
    struct bytes x = file_of(ELE);
    (void)state;
    put_text(&x, 0x00080060, "CS", "CT");
    put_long(&x, 0x00420011, "OB", 64u << 20);
    put_bytes(&x, "%PDF", 4);
    refuse(x, "ends");
}

static void test_undefined_length_needs_sequence_or_pixels(void **state)
{
    struct bytes x = file_of(ELE);
    (void)state;
    put_text(&x, 0x00080060, "CS", "CT");
    put_long(&x, 0x00420011, "OB", UNDEFINED);
    put_mark(&x, ITEM, 0);
    put_mark(&x, SEQUENCE_DELIMITER, 0);
    refuse(x, "undefined length");
}

/* ---- the end ------------------------------------------------------------------ */

static void test_zeros_after_the_data_set_are_padding(void **state)
{
    static const uint8_t zeros[1001];
    const size_t lengths[] = {1, 7, 8, 12, 1001};
    (void)state;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(lengths); i++) {
        struct bytes x = file_of(ELE);
        put_text(&x, 0x00080060, "CS", "CT");
        put_bytes(&x, zeros, lengths[i]);
        expect(x, "00080060CS end ");
    }
}

static void test_bytes_after_the_data_set_are_refused(void **state)
{
    static const char *const tails[] = {"x", "DICM", "\0\0\0\0\0\0\0\0\0\0\0x",
                                        "some text, not DICOM"};
    const size_t lengths[] = {1, 4, 12, 20};
    (void)state;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(tails); i++) {
        struct bytes x = file_of(ELE);
        put_text(&x, 0x00080060, "CS", "CT");
        put_bytes(&x, tails[i], lengths[i]);
        refuse(x, "offset");
    }
}

/* ---- sequences ---------------------------------------------------------------- */

static void test_defined_lengths_end_by_themselves(void **state)
{
    struct bytes x = file_of(ELE);
    (void)state;
    put_long(&x, 0x00081140, "SQ", 8 + 10 + 8);
    put_mark(&x, ITEM, 10);
    put_text(&x, 0x00080060, "CS", "CT");
    put_mark(&x, ITEM, 0);
    put_text(&x, 0x00100010, "PN", "");
    expect(x, "SQ:00081140SQ I 00080060CS /I I /I /SQ 00100010PN end ");
}

static void test_undefined_lengths_end_at_delimiters(void **state)
{
    struct bytes x = file_of(ELE);
    (void)state;
    put_text(&x, 0x00080060, "CS", "CT");
    put_long(&x, 0x00081140, "SQ", UNDEFINED);
    put_mark(&x, ITEM, UNDEFINED);
    put_text(&x, 0x00081150, "UI", "1.2 ");
    put_mark(&x, ITEM_DELIMITER, 0);
    put_mark(&x, ITEM, 0);
    put_mark(&x, SEQUENCE_DELIMITER, 0);
    expect(x, "00080060CS SQ:00081140SQ I 00081150UI /I I /I /SQ end ");
}

static void test_empty_sequences_have_both_events(void **state)
{
    struct bytes x = file_of(ELE);
    (void)state;
    put_text(&x, 0x00080060, "CS", "CT");
    put_long(&x, 0x00081140, "SQ", 0);
    put_long(&x, 0x00081115, "SQ", UNDEFINED);
    put_mark(&x, SEQUENCE_DELIMITER, 0);
    expect(x, "00080060CS SQ:00081140SQ /SQ SQ:00081115SQ /SQ end ");
}

static void test_un_of_undefined_length_is_an_implicit_sequence(void **state)
{
    struct bytes x = file_of(ELE);
    (void)state;
    put_text(&x, 0x00080060, "CS", "CT");
    put_long(&x, 0x00091010, "UN", UNDEFINED);
    put_mark(&x, ITEM, UNDEFINED);
    put_implicit(&x, 0x00100010, "A^B ");
    put_mark(&x, ITEM_DELIMITER, 0);
    put_mark(&x, SEQUENCE_DELIMITER, 0);
    put_text(&x, 0x00100020, "LO", "id");
    expect(x, "00080060CS SQ:00091010UN I 00100010PN /I /SQ 00100020LO end ");
}

static void test_un_of_defined_length_is_a_value(void **state)
{
    struct bytes x = file_of(ELE);
    (void)state;
    put_text(&x, 0x00080060, "CS", "CT");
    put_long(&x, 0x00091010, "UN", 8);
    put_mark(&x, ITEM, 0);
    put_long(&x, 0x00400275, "UN", 8); /* a sequence for the dictionary */
    put_mark(&x, ITEM, 0);
    expect(x, "00080060CS 00091010UN 00400275UN? end ");
}

static void test_explicit_items_inside_un_are_seen(void **state)
{
    struct bytes x = file_of(ELE);
    (void)state;
    put_text(&x, 0x00080060, "CS", "CT");
    put_long(&x, 0x00091010, "UN", UNDEFINED);
    put_mark(&x, ITEM, 12);
    put_text(&x, 0x00100010, "PN", "A^B ");
    put_mark(&x, SEQUENCE_DELIMITER, 0);
    expect(x, "00080060CS SQ:00091010UN I 00100010PN /I /SQ end ");
}

static void test_implicit_items_in_an_explicit_file_are_seen(void **state)
{
    struct bytes x = file_of(ELE);
    (void)state;
    put_text(&x, 0x00080060, "CS", "CT");
    put_long(&x, 0x00091010, "SQ", UNDEFINED);
    put_mark(&x, ITEM, UNDEFINED); /* CP-246 */
    put_implicit(&x, 0x00091011, "private ");
    put_implicit(&x, 0x00100010, "A^B ");
    put_mark(&x, ITEM_DELIMITER, 0);
    put_mark(&x, ITEM, 12);
    put_text(&x, 0x00100010, "PN", "A^B ");
    put_mark(&x, SEQUENCE_DELIMITER, 0);
    put_text(&x, 0x00100020, "LO", "id");
    expect(x, "00080060CS SQ:00091010SQ I 00091011UN 00100010PN /I I 00100010PN /I /SQ "
              "00100020LO end ");
}

static void test_private_undefined_length_is_a_sequence_in_implicit(void **state)
{
    struct bytes x = file_of(ILE);
    (void)state;
    put_implicit(&x, 0x00080060, "CT");
    put_mark(&x, 0x00091010, UNDEFINED);
    put_mark(&x, ITEM, UNDEFINED);
    put_mark(&x, ITEM_DELIMITER, 0);
    put_mark(&x, SEQUENCE_DELIMITER, 0);
    expect(x, "00080060CS SQ:00091010UN I /I /SQ end ");
}

static void test_lengths_that_do_not_nest_are_refused(void **state)
{
    struct bytes x = in_sequence(16);
    (void)state;
    put_mark(&x, ITEM, 100); /* an item past its sequence's end */
    put_text(&x, 0x00080060, "CS", "CT");
    refuse(x, "(fffe,e000)");

    x = in_sequence(8 + 10);
    put_mark(&x, ITEM, 10); /* an element past its item's end */
    put_text(&x, 0x00100010, "PN", "Doe^J ");
    refuse(x, "(0010,0010)");

    x = in_sequence(8 + 4);
    put_mark(&x, ITEM, 4); /* a header past its item's end */
    put_text(&x, 0x00100010, "PN", "Doe^J ");
    refuse(x, "header");

    x = in_sequence(8 + 12);
    put_mark(&x, ITEM, 12); /* a sequence longer than its item */
    put_long(&x, 0x00081140, "SQ", 8);
    put_mark(&x, ITEM, 0);
    refuse(x, "(0008,1140)");

    x = in_sequence(1000); /* a sequence longer than the file */
    put_mark(&x, ITEM, 0);
    refuse(x, "ends inside a sequence");
}

static void test_marks_out_of_place_are_refused(void **state)
{
    const uint32_t marks[] = {ITEM, ITEM_DELIMITER, SEQUENCE_DELIMITER, 0xFFFE0001};
    struct bytes x;
    (void)state;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(marks); i++) { /* at top level */
        x = file_of(ELE);
        put_text(&x, 0x00080060, "CS", "CT");
        put_mark(&x, marks[i], 0);
        put_text(&x, 0x00100010, "PN", "");
        refuse(x, "out of place");
    }
    x = in_sequence(UNDEFINED); /* an item's end where no item is open */
    put_mark(&x, ITEM_DELIMITER, 0);
    refuse(x, "out of place");
    x = in_sequence(UNDEFINED); /* the sequence's end inside its item */
    put_mark(&x, ITEM, UNDEFINED);
    put_mark(&x, SEQUENCE_DELIMITER, 0);
    refuse(x, "out of place");
    x = in_sequence(UNDEFINED); /* an element where an item must be */
    put_text(&x, 0x00100010, "PN", "");
    refuse(x, "not an item");
    x = in_sequence(UNDEFINED); /* no delimiter at the end of the file */
    put_mark(&x, ITEM, 0);
    refuse(x, "ends inside a sequence");
}

/* `n` sequences, each in the item of the one before, all of undefined length. */
static struct bytes nested(unsigned n, bool closed)
{
    struct bytes x = file_of(ELE);
    put_text(&x, 0x00080060, "CS", "CT");
    for (unsigned i = 0; i < n; i++) {
        put_long(&x, 0x00081140, "SQ", UNDEFINED);
        put_mark(&x, ITEM, UNDEFINED);
    }
    for (unsigned i = 0; i < n && closed; i++) {
        put_mark(&x, ITEM_DELIMITER, 0);
        put_mark(&x, SEQUENCE_DELIMITER, 0);
    }
    return x;
}

static void test_depth_up_to_the_limit_is_walked(void **state)
{
    struct bytes x = nested(VIVO_DCM_DEPTH_MAX, true);
    struct vivo_buf got;
    struct vivo_err err = {0};
    (void)state;
    assert_int_equal(walk_short(&x, &got, &err), 0);
    vivo_buf_free(&got);
    vivo_buf_free(&x.b);
}

static void test_depth_bomb_is_refused_at_the_limit(void **state)
{
    (void)state;
    refuse(nested(VIVO_DCM_DEPTH_MAX + 1, true), "depth");
    refuse(nested(100000, false), "depth");
}

static int count_items(void *ctx, enum vivo_dcm_event event,
                       const struct vivo_dcm_elem *e, struct vivo_err *err VIVO_UNUSED)
{
    uint32_t *n = ctx;
    if (event == VIVO_DCM_ITEM) {
        assert_int_equal(e->item, *n);
        ++*n;
    }
    return 0;
}

static void test_a_million_items_are_numbered(void **state)
{
    struct bytes x = in_sequence(8 * 1000000);
    struct vivo_err err = {0};
    uint32_t n = 0;
    (void)state;
    for (unsigned i = 0; i < 1000000; i++)
        put_mark(&x, ITEM, 0);
    assert_int_equal(
        walk_pieces(x.b.data, x.b.len, 4096, -1, NULL, 0, count_items, &n, &err), 0);
    assert_int_equal(n, 1000000);
    vivo_buf_free(&x.b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_short_and_long_forms_are_read),
        cmocka_unit_test(test_implicit_takes_vr_from_dictionary),
        cmocka_unit_test(test_doubtful_vr_is_marked),
        cmocka_unit_test(test_unknown_vr_with_16_bit_length_is_refused),
        cmocka_unit_test(test_lower_case_vr_is_refused),
        cmocka_unit_test(test_odd_length_is_accepted),
        cmocka_unit_test(test_order_and_repetition_are_reported_as_found),
        cmocka_unit_test(test_value_beyond_the_end_is_refused),
        cmocka_unit_test(test_long_value_beyond_the_end_is_refused),
        cmocka_unit_test(test_undefined_length_needs_sequence_or_pixels),
        cmocka_unit_test(test_zeros_after_the_data_set_are_padding),
        cmocka_unit_test(test_bytes_after_the_data_set_are_refused),
        cmocka_unit_test(test_defined_lengths_end_by_themselves),
        cmocka_unit_test(test_undefined_lengths_end_at_delimiters),
        cmocka_unit_test(test_empty_sequences_have_both_events),
        cmocka_unit_test(test_un_of_undefined_length_is_an_implicit_sequence),
        cmocka_unit_test(test_un_of_defined_length_is_a_value),
        cmocka_unit_test(test_explicit_items_inside_un_are_seen),
        cmocka_unit_test(test_implicit_items_in_an_explicit_file_are_seen),
        cmocka_unit_test(test_private_undefined_length_is_a_sequence_in_implicit),
        cmocka_unit_test(test_lengths_that_do_not_nest_are_refused),
        cmocka_unit_test(test_marks_out_of_place_are_refused),
        cmocka_unit_test(test_depth_up_to_the_limit_is_walked),
        cmocka_unit_test(test_depth_bomb_is_refused_at_the_limit),
        cmocka_unit_test(test_a_million_items_are_numbered),
    };
    struct vivo_err err = {0};

    if (vivo_dcm_global_init(&err)) {
        print_error("%s\n", err.text);
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
