/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_dcm_pixels.c -- pixel data in the walker, native and encapsulated,
 * whole and cut; and what a callee may ask of the walker. */
#include "dcm_expect.h"

/* ---- pixel data --------------------------------------------------------------- */

static void test_pixel_data_is_bulk_even_if_short(void **state)
{
    struct bytes x = file_of(ELE);
    (void)state;
    put_text(&x, 0x00080060, "CS", "CT");
    put_long(&x, 0x00880200, "SQ", 8 + 12 + 2); /* icon */
    put_mark(&x, ITEM, 14);
    put_long(&x, 0x7FE00010, "OB", 2);
    put_bytes(&x, "px", 2);
    put_long(&x, 0x7FE00008, "OF", 4);
    put_bytes(&x, "flt.", 4);
    put_long(&x, 0x7FE00010, "OW", 0);
    put_long(&x, 0x7FE11001, "OB", 2); /* private, after the pixels */
    put_bytes(&x, "xx", 2);
    expect(x, "00080060CS SQ:00880200SQ I bulk:7fe00010OB /I /SQ bulk:7fe00008OF "
              "bulk:7fe00010OW 7fe11001OB end ");
}

static void put_fragments(struct bytes *x)
{
    put_long(x, 0x7FE00010, "OB", UNDEFINED);
    put_mark(x, ITEM, 0);
    put_mark(x, ITEM, 6);
    put_bytes(x, "\xFE\xFF\xDD\xE0\0\0", 6); /* looks like a delimiter */
    put_mark(x, ITEM, 2);
    put_bytes(x, "ab", 2);
    put_mark(x, SEQUENCE_DELIMITER, 0);
}

static void test_fragments_are_one_event_at_any_depth(void **state)
{
    struct bytes x = file_of("1.2.840.10008.1.2.4.50");
    (void)state;
    put_text(&x, 0x00080060, "CS", "CT");
    put_long(&x, 0x00880200, "SQ", UNDEFINED);
    put_mark(&x, ITEM, 12 + 40);
    put_fragments(&x);
    put_mark(&x, SEQUENCE_DELIMITER, 0);
    put_fragments(&x);
    put_long(&x, 0xFFFCFFFC, "OB", 2);
    put_bytes(&x, "\0\0", 2);
    expect(x, "00080060CS SQ:00880200SQ I frag:7fe00010OB /I /SQ frag:7fe00010OB "
              "fffcfffcOB end ");
}

static void test_bad_fragments_are_refused(void **state)
{
    struct bytes x = file_of("1.2.840.10008.1.2.4.50");
    (void)state;
    put_text(&x, 0x00080060, "CS", "CT");
    put_long(&x, 0x7FE00010, "OB", UNDEFINED);
    put_mark(&x, ITEM, 0);
    put_text(&x, 0x00100010, "PN", "A^B ");
    refuse(x, "not a fragment");

    x = in_sequence(UNDEFINED); /* nested ones must not run out of their item */
    put_mark(&x, ITEM, 12 + 8);
    put_long(&x, 0x7FE00010, "OB", UNDEFINED);
    put_mark(&x, ITEM, 4);
    put_bytes(&x, "abcd", 4);
    refuse(x, "not a fragment");
}

static void test_cut_pixel_data_is_marked(void **state)
{
    struct bytes x = file_of(ELE);
    (void)state;
    put_text(&x, 0x00080060, "CS", "CT");
    put_long(&x, 0x7FE00010, "OW", 1000);
    put_bytes(&x, "four", 4);
    expect(x, "00080060CS bulk:7fe00010OW! end ");

    x = file_of("1.2.840.10008.1.2.4.50");
    put_text(&x, 0x00080060, "CS", "CT");
    put_long(&x, 0x7FE00010, "OB", UNDEFINED);
    put_mark(&x, ITEM, 0);
    put_mark(&x, ITEM, 100);
    put_bytes(&x, "four", 4);
    expect(x, "00080060CS frag:7fe00010OB! end ");
}

static void test_cut_pixel_data_in_an_item_is_refused(void **state)
{
    struct bytes x = in_sequence(UNDEFINED);
    (void)state;
    put_mark(&x, ITEM, UNDEFINED);
    put_long(&x, 0x7FE00010, "OW", 1000);
    put_bytes(&x, "four", 4);
    refuse(x, "ends");
}

/* ---- what the callee may ask for ---------------------------------------------- */

static int skip_sequences(void *ctx, enum vivo_dcm_event event,
                          const struct vivo_dcm_elem *e, struct vivo_err *err)
{
    int rc = note_short(ctx, event, e, err);
    return event == VIVO_DCM_SEQUENCE ? VIVO_DCM_SKIP : rc;
}

static void test_skipped_sequences_are_silent(void **state)
{
    struct vivo_buf got;
    struct vivo_err err = {0};
    (void)state;
    for (int undefined = 0; undefined < 2; undefined++) {
        struct bytes x = in_sequence(undefined ? UNDEFINED : 8 + 12 + 8 + 10);
        put_mark(&x, ITEM, 30);
        put_long(&x, 0x00081140, "SQ", 18);
        put_mark(&x, ITEM, 10);
        put_text(&x, 0x00080060, "CS", "CT");
        if (undefined)
            put_mark(&x, SEQUENCE_DELIMITER, 0);
        put_text(&x, 0x00100010, "PN", "");
        vivo_buf_init(&got, 1 << 16);
        assert_int_equal(
            walk_pieces(x.b.data, x.b.len, 0, -1, NULL, 0, skip_sequences, &got, &err),
            0);
        assert_string_equal(got.data, "00080060CS SQ:00081140SQ 00100010PN end ");
        vivo_buf_free(&got);
        vivo_buf_free(&x.b);
    }
}

static int stop_at_modality(void *ctx, enum vivo_dcm_event event,
                            const struct vivo_dcm_elem *e, struct vivo_err *err)
{
    int rc = note_short(ctx, event, e, err);
    return e->tag == 0x00080060 ? VIVO_DCM_STOP : rc;
}

static void test_stop_ends_the_walk_happily(void **state)
{
    struct bytes x = file_of(ELE);
    struct vivo_mem_reader r;
    struct vivo_buf got;
    struct vivo_err err = {0};
    (void)state;
    put_text(&x, 0x00080060, "CS", "CT");
    put_bytes(&x, "not DICOM at all", 16);
    vivo_buf_init(&got, 1 << 16);
    vivo_mem_reader_init(&r, x.b.data, x.b.len);
    assert_int_equal(
        vivo_dcm_walk_reader(&r.base, NULL, 0, -1, stop_at_modality, &got, &err), 0);
    assert_int_equal(err.errnum, 0);
    assert_string_equal(got.data, "00080060CS ");
    vivo_buf_free(&got);
    vivo_buf_free(&x.b);
}

static int fail_with_eperm(void *ctx VIVO_UNUSED, enum vivo_dcm_event event VIVO_UNUSED,
                           const struct vivo_dcm_elem *e VIVO_UNUSED,
                           struct vivo_err *err)
{
    return vivo_fail(err, EPERM, "refused by the test");
}

static void test_the_callees_error_is_kept(void **state)
{
    struct bytes x = file_of(ELE);
    struct vivo_err err = {0}, again = {0};
    struct vivo_dcm_walk *w = NULL;
    (void)state;
    assert_int_equal(vivo_dcm_walk_new(NULL, 0, 0, -1, fail_with_eperm, NULL, &w, &err),
                     0);
    assert_int_equal(vivo_dcm_walk_push(w, 0, x.b.data, x.b.len, &err), -EPERM);
    assert_string_equal(err.text, "refused by the test");
    assert_int_equal(vivo_dcm_walk_finish(w, x.b.len, &again), -EPERM);
    vivo_dcm_walk_free(w);
    vivo_buf_free(&x.b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pixel_data_is_bulk_even_if_short),
        cmocka_unit_test(test_fragments_are_one_event_at_any_depth),
        cmocka_unit_test(test_bad_fragments_are_refused),
        cmocka_unit_test(test_cut_pixel_data_is_marked),
        cmocka_unit_test(test_cut_pixel_data_in_an_item_is_refused),
        cmocka_unit_test(test_skipped_sequences_are_silent),
        cmocka_unit_test(test_stop_ends_the_walk_happily),
        cmocka_unit_test(test_the_callees_error_is_kept),
    };
    struct vivo_err err = {0};

    if (vivo_dcm_global_init(&err)) {
        print_error("%s\n", err.text);
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
