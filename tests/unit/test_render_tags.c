/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_render_tags.c -- rows of PS3.18 Annex F, and what is no JSON number.
 * Whole files are compared with pydicom in tests/mount/test_sidecars.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "vivofs/render.h"

#include <errno.h>
#include <string.h>

static struct vivo_buf attrs, out;

static int setup(void **state)
{
    (void)state;
    vivo_buf_init(&attrs, 1 << 20);
    vivo_buf_init(&out, 1 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    vivo_buf_free(&attrs);
    vivo_buf_free(&out);
    return 0;
}

static void put(uint32_t tag, const char *vr, const void *value, size_t len)
{
    assert_int_equal(vivo_attrs_put(&attrs, tag, vr, value, len), 0);
}

static void expect_json(const char *wanted)
{
    struct vivo_attrs a = {attrs.data, attrs.len};
    assert_int_equal(vivo_render_json(a, &out), 0);
    assert_string_equal((char *)out.data, wanted);
}

static void test_numbers_that_json_does_not_have_are_texts(void **state)
{
    (void)state;
    put(0x00280030, "DS", "1.50\\.5\\+2\\-3e2\\007", 19);
    expect_json("{\"00280030\":{\"vr\":\"DS\",\"Value\":[1.50,\".5\",\"+2\",-3e2,"
                "\"007\"]}}");
}

static void test_empty_values_keep_their_place(void **state)
{
    (void)state;
    put(0x00080008, "CS", "DERIVED\\\\AXIAL", 14);
    put(0x00080050, "SH", "", 0);
    expect_json("{\"00080008\":{\"vr\":\"CS\",\"Value\":[\"DERIVED\",null,\"AXIAL\"]},"
                "\"00080050\":{\"vr\":\"SH\"}}");
}

static void test_names_are_told_by_component_group(void **state)
{
    (void)state;
    put(0x00100010, "PN", "Yamada^Tarou==ya", 16);
    expect_json("{\"00100010\":{\"vr\":\"PN\",\"Value\":[{\"Alphabetic\":"
                "\"Yamada^Tarou\",\"Phonetic\":\"ya\"}]}}");
}

static void test_nan_is_null_and_bulk_only_its_vr(void **state)
{
    (void)state;
    static const uint8_t nan[8] = {0, 0, 0, 0, 0, 0, 0xF8, 0x7F};
    static const uint8_t pixels[16] = {1};
    put(0x00020010, "UI", "1.2.840.10008.1.2.1", 19);
    put(0x00189087, "FD", nan, sizeof nan);
    put(0x7FE00010, "OW", pixels, sizeof pixels);
    expect_json("{\"00189087\":{\"vr\":\"FD\",\"Value\":[null]},"
                "\"7FE00010\":{\"vr\":\"OW\"}}");
}

static void test_a_dump_has_a_line_an_element(void **state)
{
    (void)state;
    static const uint8_t item[] = {0xFE, 0xFF, 0x00, 0xE0, 10,  0, 0, 0,   0x08,
                                   0x00, 0x50, 0x11, 'U',  'I', 2, 0, '1', 0};
    put(0x00080008, "CS", "A\\B", 3);
    put(0x00081140, "SQ", item, sizeof item);
    put(0x00104000, "LT", "two\nlines", 9);
    struct vivo_attrs a = {attrs.data, attrs.len};
    assert_int_equal(vivo_render_dump(a, &out), 0);
    assert_string_equal((char *)out.data,
                        "(0008,0008) CS ImageType = A\\B\n"
                        "(0008,1140) SQ ReferencedImageSequence\n"
                        "  item 1\n"
                        "    (0008,1150) UI ReferencedSOPClassUID = 1\n"
                        "(0010,4000) LT PatientComments = two lines\n");
}

static void test_too_little_room_is_told(void **state)
{
    (void)state;
    put(0x00100020, "LO", "0123456789", 10);
    struct vivo_attrs a = {attrs.data, attrs.len};
    out.max = 20;
    assert_int_equal(vivo_render_json(a, &out), -ENOSPC);
}

int main(void)
{
    struct vivo_err err = {0};
    if (vivo_dcm_global_init(&err))
        return 1;
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(test_numbers_that_json_does_not_have_are_texts),
        T(test_empty_values_keep_their_place),
        T(test_names_are_told_by_component_group),
        T(test_nan_is_null_and_bulk_only_its_vr),
        T(test_a_dump_has_a_line_an_element),
        T(test_too_little_room_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
