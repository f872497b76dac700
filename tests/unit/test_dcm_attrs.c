/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_dcm_attrs.c -- any header in attrs form: made files against dumps
 * written by hand, real files against the rules of the form (model.h). */
#include "vivofs/dcm.h"
#include "vivofs/text.h"

#include "dcm_files.h"
#include "dicom_make.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* ---- helpers ------------------------------------------------------------------- */

static bool is_text(const char *vr)
{
    return strstr("AE AS CS DA DS DT IS LO LT PN SH ST TM UC UI UR UT", vr) != NULL;
}

/* "00100010 PN Doe^John\n"; sequences as "00081140 SQ\n[\n…]\n" per item; else hex. */
static void dump(struct vivo_attrs a, struct vivo_buf *out)
{
    struct vivo_attr e;
    while (vivo_attrs_next(&a, &e)) {
        vivo_buf_printf(out, "%08x %s", (unsigned)e.tag, e.vr);
        if (strcmp(e.vr, "SQ") == 0) {
            struct vivo_attrs it = {e.value, e.len};
            struct vivo_attrs item;
            vivo_buf_puts(out, "\n");
            while (vivo_attrs_next_item(&it, &item)) {
                vivo_buf_puts(out, "[\n");
                dump(item, out);
                vivo_buf_puts(out, "]\n");
            }
            continue;
        }
        uint32_t len = e.len;
        while (is_text(e.vr) && len > 0 && strchr(" ", e.value[len - 1]))
            len--;
        vivo_buf_puts(out, len ? " " : "");
        for (uint32_t i = 0; i < len; i++)
            vivo_buf_printf(out, is_text(e.vr) ? "%c" : "%02x", e.value[i]);
        vivo_buf_puts(out, "\n");
    }
}

static int attrs_of(const void *data, size_t len, const struct vivo_syntax *syntax,
                    unsigned flags, struct vivo_buf *out)
{
    struct vivo_err err = {0};
    struct vivo_mem_reader r;
    vivo_mem_reader_init(&r, data, len);
    vivo_buf_init(out, VIVO_ATTRS_MAX);
    int rc = vivo_dcm_attrs(&r.base, syntax, flags, out, &err);
    assert_int_equal(rc, -err.errnum);
    return rc;
}

/* The dump of a made file, meta's syntax left out; frees the file. */
static void expect(struct make *m, const char *want)
{
    struct vivo_buf b;
    struct vivo_buf text;
    assert_int_equal(attrs_of(m->b, m->n, NULL, 0, &b), 0);
    vivo_buf_init(&text, 1 << 22);
    dump((struct vivo_attrs){b.data, b.len}, &text);
    assert_memory_equal(text.data, "00020010 UI ", 12);
    assert_string_equal(strchr((char *)text.data, '\n') + 1, want);
    vivo_buf_free(&text);
    vivo_buf_free(&b);
    free(m->b);
}

/* ---- made files ------------------------------------------------------------------ */

static void put_common(struct make *m)
{
    make_text(m, 0x00080016, "UI", MAKE_CT);
    make_text(m, 0x00080060, "CS", "CT");
    make_sequence(m, 0x00081140, false);
    make_item(m, false);
    make_text(m, 0x00081155, "UI", "1.2.3");
    make_item_end(m);
    make_item(m, true);
    make_item_end(m);
    make_sequence_end(m);
    make_text(m, 0x00100010, "PN", "Doe^John");
    make_us(m, 0x00280010, 512);
    make_head(m, 0x00281201, "OW", 4); /* RedPaletteColorLookupTableData */
    make_int(m, 0x1234, 2);
    make_int(m, 0x5678, 2);
}

static void test_attrs_are_the_same_in_every_syntax(void **state)
{
    (void)state;
    static const char *const syntaxes[] = {MAKE_ELE, MAKE_ILE, MAKE_EBE};
    for (size_t i = 0; i < 3; i++) {
        struct make m;
        make_file(&m, syntaxes[i], MAKE_CT, "1.2.3");
        put_common(&m);
        expect(&m, "00080016 UI " MAKE_CT "\n"
                   "00080060 CS CT\n"
                   "00081140 SQ\n[\n00081155 UI 1.2.3\n]\n[\n]\n"
                   "00100010 PN Doe^John\n"
                   "00280010 US 0002\n"
                   "00281201 OW 34127856\n");
    }
}

static void test_transfer_syntax_stands_first(void **state)
{
    (void)state;
    struct make m;
    struct vivo_buf b;
    char text[80];
    make_file(&m, MAKE_EBE, MAKE_CT, "1.2.3");
    put_common(&m);
    assert_int_equal(attrs_of(m.b, m.n, NULL, 0, &b), 0);
    assert_true(vivo_attrs_text((struct vivo_attrs){b.data, b.len}, 0x00020010, text,
                                sizeof text));
    assert_string_equal(text, MAKE_EBE);
    vivo_buf_free(&b);
    free(m.b);
}

static void test_group_lengths_padding_and_other_meta_are_left_out(void **state)
{
    (void)state;
    struct make m;
    make_file(&m, MAKE_ELE, MAKE_CT, "1.2.3");
    make_value(&m, 0x00080000, "UL", "\4\0\0\0", 4);
    make_text(&m, 0x00080060, "CS", "CT");
    make_value(&m, 0xFFFCFFFC, "OB", "\0\0", 2);
    expect(&m, "00080060 CS CT\n");
}

static void test_text_is_decoded_item_by_item(void **state)
{
    (void)state;
    struct make m;
    make_file(&m, MAKE_ELE, MAKE_CT, "1.2.3");
    make_text(&m, 0x00080005, "CS", "ISO_IR 100");
    make_text(&m, 0x00081030, "LO",
              "Sch\xe4"
              "del");
    make_sequence(&m, 0x00081140, true);
    make_item(&m, true);
    make_text(&m, 0x00081030, "LO", "\xe9"); /* inherits */
    make_item_end(&m);
    make_item(&m, true);
    make_text(&m, 0x00080005, "CS", "ISO_IR 144");
    make_text(&m, 0x00081030, "LO", "\xb6");
    make_sequence(&m, 0x00081140, true);
    make_item(&m, true);
    make_text(&m, 0x00081030, "LO", "\xb7"); /* inherits from its item */
    make_item_end(&m);
    make_sequence_end(&m);
    make_item_end(&m);
    make_sequence_end(&m);
    make_text(&m, 0x00104000, "LT", "\xfc");
    expect(&m, "00080005 CS ISO_IR 192\n"
               "00081030 LO Schädel\n"
               "00081140 SQ\n"
               "[\n00081030 LO é\n]\n"
               "[\n00081030 LO Ж\n00081140 SQ\n[\n00081030 LO З\n]\n]\n"
               "00104000 LT ü\n");
}

static void test_charset_is_told_when_only_an_item_needs_it(void **state)
{
    (void)state;
    struct make m;
    make_file(&m, MAKE_ELE, MAKE_CT, "1.2.3");
    make_text(&m, 0x00080008, "CS", "ORIGINAL");
    make_sequence(&m, 0x00081140, true);
    make_item(&m, true);
    make_text(&m, 0x00080005, "CS", "ISO_IR 100");
    make_text(&m, 0x00081030, "LO", "\xe9");
    make_item_end(&m);
    make_sequence_end(&m);
    expect(&m, "00080005 CS ISO_IR 192\n"
               "00080008 CS ORIGINAL\n"
               "00081140 SQ\n[\n00081030 LO é\n]\n");
}

static void test_charset_that_is_absent_stays_absent_for_ascii(void **state)
{
    (void)state;
    struct make m;
    make_file(&m, MAKE_ELE, MAKE_CT, "1.2.3");
    make_text(&m, 0x00080005, "CS", "");
    make_text(&m, 0x00081030, "LO", "Chest");
    expect(&m, "00081030 LO Chest\n");
}

static void test_elements_out_of_order_are_sorted_at_every_level(void **state)
{
    (void)state;
    struct make m;
    make_file(&m, MAKE_ELE, MAKE_CT, "1.2.3");
    make_text(&m, 0x00100020, "LO", "ID");
    make_sequence(&m, 0x00081140, true);
    make_item(&m, true);
    make_text(&m, 0x00081155, "UI", "1.2.3");
    make_text(&m, 0x00081150, "UI", "1.2");
    make_item_end(&m);
    make_sequence_end(&m);
    make_text(&m, 0x00100010, "PN", "Doe");
    expect(&m, "00081140 SQ\n[\n00081150 UI 1.2\n00081155 UI 1.2.3\n]\n"
               "00100010 PN Doe\n"
               "00100020 LO ID\n");
}

static void test_of_duplicates_the_first_with_a_value_stays(void **state)
{
    (void)state;
    struct make m;
    make_file(&m, MAKE_ELE, MAKE_CT, "1.2.3");
    make_text(&m, 0x00100010, "PN", "");
    make_text(&m, 0x00100010, "PN", "First");
    make_text(&m, 0x00100010, "PN", "Second");
    make_text(&m, 0x00100020, "LO", "ID");
    make_text(&m, 0x00100020, "LO", "");
    expect(&m, "00100010 PN First\n00100020 LO ID\n");
}

static void test_bulk_is_reduced_to_its_first_bytes(void **state)
{
    (void)state;
    static uint8_t pixels[100000];
    struct make m;
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)i;
    make_file(&m, MAKE_ELE, MAKE_CT, "1.2.3");
    make_text(&m, 0x00290010, "LO", "ACME");
    make_value(&m, 0x00291001, "OB", pixels, 50);
    make_value(&m, 0x00291002, "UN", "abc", 3);
    make_value(&m, 0x00291003, "UN", pixels, 5000);
    make_value(&m, 0x7FE00010, "OW", pixels, sizeof pixels);
    make_text(&m, 0x7FE10010, "LO", "BEHIND");
    expect(&m, "00290010 LO ACME\n"
               "00291001 OB 000102030405060708090a0b0c0d0e0f\n"
               "00291002 UN 61626300\n"
               "00291003 UN 000102030405060708090a0b0c0d0e0f\n"
               "7fe00010 OW 000102030405060708090a0b0c0d0e0f\n"
               "7fe10010 LO BEHIND\n");
}

static void test_big_endian_pixels_are_swapped(void **state)
{
    (void)state;
    struct make m;
    make_file(&m, MAKE_EBE, MAKE_CT, "1.2.3");
    make_head(&m, 0x00209057, "UL", 4);
    make_int(&m, 0x01020304, 4);
    make_head(&m, 0x00280009, "AT", 4);
    make_tag(&m, 0x00181063);
    make_value(&m, 0x7FE00010, "OW", "\1\2\3\4", 4);
    expect(&m, "00209057 UL 04030201\n00280009 AT 18006310\n7fe00010 OW 02010403\n");
}

static void test_pixels_cut_off_give_what_is_there(void **state)
{
    (void)state;
    struct make m;
    make_file(&m, MAKE_ELE, MAKE_CT, "1.2.3");
    make_head(&m, 0x7FE00010, "OW", 1000);
    make_bytes(&m, "abcd", 4);
    expect(&m, "7fe00010 OW 61626364\n");
}

static void test_implicit_vr_is_the_dictionarys(void **state)
{
    (void)state;
    struct make m;
    make_file(&m, MAKE_ILE, MAKE_CT, "1.2.3");
    make_us(&m, 0x00280103, 1); /* PixelRepresentation: signed */
    make_us(&m, 0x00280106, 0xFFFF);
    make_text(&m, 0x00290010, "LO", "ACME");
    make_text(&m, 0x00291001, "LO", "private");
    expect(&m, "00280103 US 0100\n"
               "00280106 SS ffff\n"
               "00290010 LO ACME\n"
               "00291001 UN 7072697661746520\n");
}

static void test_unknown_vr_of_a_known_attribute_is_the_dictionarys(void **state)
{
    (void)state;
    struct make m;
    make_file(&m, MAKE_ELE, MAKE_CT, "1.2.3");
    make_value(&m, 0x00100010, "UN", "Doe^John", 8);
    make_value(&m, 0x00280010, "UN", "\0\2", 2);
    make_value(&m, 0x00280011, "UN", "\0\2\1", 3); /* padded to 4: two values */
    expect(&m, "00100010 PN Doe^John\n00280010 US 0002\n00280011 US 00020100\n");
}

/* As other readers take it (PS3.5 section 6.2.2, note 2); what is none stays bytes. */
static void test_unknown_vr_of_a_known_sequence_is_its_items(void **state)
{
    (void)state;
    static const char items[] = "\xFE\xFF\0\xE0\x0A\0\0\0"
                                "\x62\0\5\0\2\0\0\0L1"
                                "\xFE\xFF\0\xE0\0\0\0\0";
    struct make m;
    make_file(&m, MAKE_ELE, MAKE_CT, "1.2.3");
    make_value(&m, 0x00620002, "UN", items, sizeof items - 1);
    make_value(&m, 0x00081140, "UN", "\xFE\xFF\0\xE0\x7F\0\0\0", 8);
    make_text(&m, 0x00700001, "UN", "no items");
    expect(&m, "00081140 UN feff00e07f000000\n"
               "00620002 SQ\n[\n00620005 LO L1\n]\n[\n]\n"
               "00700001 UN 6e6f206974656d73\n");
}

static void test_long_text_is_cut(void **state)
{
    (void)state;
    static char text[VIVO_ATTRS_VALUE_MAX + 1000];
    struct make m;
    struct vivo_buf b;
    struct vivo_attr e;
    memset(text, 'x', sizeof text);
    make_file(&m, MAKE_ELE, MAKE_CT, "1.2.3");
    make_value(&m, 0x0040A160, "UT", text, sizeof text);
    assert_int_equal(attrs_of(m.b, m.n, NULL, 0, &b), 0);
    assert_true(vivo_attrs_find((struct vivo_attrs){b.data, b.len}, 0x0040A160, &e));
    assert_int_equal(e.len, VIVO_ATTRS_VALUE_MAX);
    vivo_buf_free(&b);
    free(m.b);
}

static void test_too_many_items_are_left_out_and_the_rest_is_there(void **state)
{
    (void)state;
    static char text[10000];
    struct make m;
    struct vivo_buf b;
    struct vivo_attr e;
    memset(text, 'x', sizeof text);
    make_file(&m, MAKE_ELE, MAKE_CT, "1.2.3");
    make_sequence(&m, 0x00081140, true);
    for (int i = 0; i < 700; i++) {
        make_item(&m, i & 1);
        make_value(&m, 0x0040A160, "UT", text, sizeof text);
        make_item_end(&m);
    }
    make_sequence_end(&m);
    make_text(&m, 0x00100020, "LO", "ID");
    assert_int_equal(attrs_of(m.b, m.n, NULL, 0, &b), 0);
    assert_true(b.len <= VIVO_ATTRS_MAX);
    assert_true(vivo_attrs_find((struct vivo_attrs){b.data, b.len}, 0x00081140, &e));
    struct vivo_attrs it = {e.value, e.len};
    struct vivo_attrs item;
    size_t n = 0;
    while (vivo_attrs_next_item(&it, &item))
        n++;
    assert_true(n > 200 && n < 700);
    assert_int_equal(it.len, 0);
    assert_true(vivo_attrs_find((struct vivo_attrs){b.data, b.len}, 0x00100020, &e));
    vivo_buf_free(&b);
    free(m.b);
}

static void test_elements_beyond_the_limit_are_left_out(void **state)
{
    (void)state;
    static char text[30000];
    struct make m;
    struct vivo_buf b;
    memset(text, 'x', sizeof text);
    make_file(&m, MAKE_ELE, MAKE_CT, "1.2.3");
    for (uint32_t i = 0; i < 200; i++)
        make_value(&m, 0x00091000 + i, "UT", text, sizeof text);
    assert_int_equal(attrs_of(m.b, m.n, NULL, 0, &b), 0);
    assert_true(b.len <= VIVO_ATTRS_MAX && b.len > VIVO_ATTRS_MAX - 2 * sizeof text);
    vivo_buf_free(&b);
    free(m.b);
}

static void test_invalid_file_is_ebadmsg_and_adds_nothing(void **state)
{
    (void)state;
    struct make m;
    struct vivo_buf b;
    make_file(&m, MAKE_ELE, MAKE_CT, "1.2.3");
    make_text(&m, 0x00080060, "CS", "CT");
    make_head(&m, 0x00100010, "PN", 100);
    assert_int_equal(attrs_of(m.b, m.n, NULL, 0, &b), -EBADMSG);
    assert_int_equal(b.len, 0);
    vivo_buf_free(&b);
    free(m.b);
}

/* ---- real files ------------------------------------------------------------------ */

/* Ascending, within the limits, text in UTF-8 NFC, sequences filled by their items. */
static void check_form(struct vivo_attrs a, int depth)
{
    struct vivo_attr e;
    uint32_t last = 0;
    struct vivo_attrs it = a;
    size_t seen = 0;
    while (vivo_attrs_next(&it, &e)) {
        const uint8_t *end = e.value + e.len;
        seen = (size_t)(end - a.data);
        assert_true(e.tag > last);
        assert_true(e.tag & 0xFFFF);
        last = e.tag;
        if (strcmp(e.vr, "SQ") == 0) {
            struct vivo_attrs items = {e.value, e.len};
            struct vivo_attrs item = {e.value, 0};
            while (vivo_attrs_next_item(&items, &item))
                check_form(item, depth + 1);
            assert_ptr_equal(e.len ? item.data + item.len : end, end);
            continue;
        }
        assert_true(e.len <= VIVO_ATTRS_VALUE_MAX);
        if (is_text(e.vr)) {
            struct vivo_buf again;
            vivo_buf_init(&again, 1 << 20);
            assert_int_equal(vivo_text_nfc((const char *)e.value, e.len, &again), 0);
            assert_int_equal(again.len, e.len);
            if (e.len)
                assert_memory_equal(again.data, e.value, e.len);
            vivo_buf_free(&again);
        }
    }
    assert_int_equal(seen, a.len);
}

/* A data set in attrs form is a DICOM data set: read again, it comes out the same. */
static void check_again(const struct vivo_buf *b)
{
    const char *uid = "1.2.840.10008.1.2.1";
    const struct vivo_syntax *syntax = vivo_dcm_syntax(uid, strlen(uid));
    struct vivo_buf again;
    struct vivo_attrs body = {b->data, b->len};
    struct vivo_attr e;
    struct vivo_attrs first = body;
    if (vivo_attrs_next(&first, &e) && e.tag == 0x00020010)
        body = first;
    /* A file with group 0001 has the syntax in between, where no data set has it. */
    if (body.len == 0 || vivo_attrs_find(body, 0x00020010, &e))
        return;
    assert_int_equal(attrs_of(body.data, body.len, syntax, VIVO_DCM_WALK_BARE, &again),
                     0);
    assert_int_equal(again.len, body.len);
    assert_memory_equal(again.data, body.data, body.len);
    vivo_buf_free(&again);
}

static void test_real_files_keep_the_rules_of_the_form(void **state)
{
    (void)state;
    struct test_files *files = test_files_all();
    size_t good = 0;
    assert_true(files->n > 80);
    for (size_t i = 0; i < files->n; i++) {
        struct vivo_buf file;
        struct vivo_buf b;
        test_file_read(files->path[i], &file);
        if (attrs_of(file.data, file.len, NULL, 0, &b) == 0) {
            good++;
            check_form((struct vivo_attrs){b.data, b.len}, 0);
            check_again(&b);
        }
        vivo_buf_free(&b);
        vivo_buf_free(&file);
    }
    assert_true(good > 80);
    free(files);
}

static void test_deflated_file_gives_its_first_pixels(void **state)
{
    (void)state;
    struct vivo_buf file;
    struct vivo_buf b;
    struct vivo_attr e;
    test_file_read(VIVO_TEST_PYDICOM "/test_files/image_dfl.dcm", &file);
    assert_int_equal(attrs_of(file.data, file.len, NULL, 0, &b), 0);
    struct vivo_attrs a = {b.data, b.len};
    assert_true(vivo_attrs_find(a, VIVO_TAG_PixelData, &e));
    assert_int_equal(e.len, 16);
    assert_memory_equal(
        e.value, "\xd5\xd5\xd5\xd5\xd5\xd5\xd5\xd5\xd5\xd5\xd5\xd5\xd5\xd5\xd5\xd5",
        16);
    assert_true(vivo_attrs_find(a, VIVO_TAG_Rows, &e));
    assert_int_equal(vivo_le16(e.value), 512);
    check_form(a, 0);
    vivo_buf_free(&b);
    vivo_buf_free(&file);
}

static void test_damaged_files_fail_or_keep_the_rules(void **state)
{
    (void)state;
    static const char *const names[] = {"CT_small.dcm", "MR_small_implicit.dcm",
                                        "ExplVR_BigEnd.dcm", "rtplan.dcm"};
    uint32_t seed = 5;
    for (size_t k = 0; k < VIVO_ARRAY_LEN(names); k++) {
        char path[256];
        struct vivo_buf file;
        snprintf(path, sizeof path, VIVO_TEST_PYDICOM "/test_files/%s", names[k]);
        test_file_read(path, &file);
        for (int round = 0; round < 2000; round++) {
            size_t at[4];
            uint8_t was[4];
            struct vivo_buf b;
            for (int i = 0; i < 4; i++) {
                seed = seed * 1664525u + 1013904223u;
                at[i] = 132 + (seed >> 8) % VIVO_MIN(file.len - 132, (size_t)3000);
                was[i] = file.data[at[i]];
                file.data[at[i]] = (uint8_t)(seed >> 20);
            }
            if (attrs_of(file.data, file.len, NULL, 0, &b) == 0)
                check_form((struct vivo_attrs){b.data, b.len}, 0);
            for (int i = 3; i >= 0; i--)
                file.data[at[i]] = was[i];
            vivo_buf_free(&b);
        }
        vivo_buf_free(&file);
    }
}

static int setup(void **state)
{
    struct vivo_err err = {0};
    (void)state;
    return vivo_dcm_global_init(&err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attrs_are_the_same_in_every_syntax),
        cmocka_unit_test(test_transfer_syntax_stands_first),
        cmocka_unit_test(test_group_lengths_padding_and_other_meta_are_left_out),
        cmocka_unit_test(test_text_is_decoded_item_by_item),
        cmocka_unit_test(test_charset_is_told_when_only_an_item_needs_it),
        cmocka_unit_test(test_charset_that_is_absent_stays_absent_for_ascii),
        cmocka_unit_test(test_elements_out_of_order_are_sorted_at_every_level),
        cmocka_unit_test(test_of_duplicates_the_first_with_a_value_stays),
        cmocka_unit_test(test_bulk_is_reduced_to_its_first_bytes),
        cmocka_unit_test(test_big_endian_pixels_are_swapped),
        cmocka_unit_test(test_pixels_cut_off_give_what_is_there),
        cmocka_unit_test(test_implicit_vr_is_the_dictionarys),
        cmocka_unit_test(test_unknown_vr_of_a_known_attribute_is_the_dictionarys),
        cmocka_unit_test(test_unknown_vr_of_a_known_sequence_is_its_items),
        cmocka_unit_test(test_long_text_is_cut),
        cmocka_unit_test(test_too_many_items_are_left_out_and_the_rest_is_there),
        cmocka_unit_test(test_elements_beyond_the_limit_are_left_out),
        cmocka_unit_test(test_invalid_file_is_ebadmsg_and_adds_nothing),
        cmocka_unit_test(test_real_files_keep_the_rules_of_the_form),
        cmocka_unit_test(test_deflated_file_gives_its_first_pixels),
        cmocka_unit_test(test_damaged_files_fail_or_keep_the_rules),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
