/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_drivers_dicomjson.c -- the DICOM JSON model into attrs form, from
 * well-behaved and hostile archives. PS3.18 annex F. */
#include "drivers/dicomjson.h"

#include "vivofs/dcm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int convert(const char *json, unsigned flags, struct vivo_buf *out)
{
    struct vivo_err err = {0};
    vivo_buf_init(out, VIVO_ATTRS_MAX);
    int rc = vivo_dicomjson_attrs(json, strlen(json), flags, out, &err);
    assert_int_equal(err.errnum, -rc);
    return rc;
}

/* The value of `tag` in the converted text, found or not. */
static bool find(const struct vivo_buf *b, uint32_t tag, struct vivo_attr *out)
{
    struct vivo_attrs a = {b->data, b->len};
    return vivo_attrs_find(a, tag, out);
}

/* Ascending tags, nothing behind the last one, at every depth. */
static void check_form(struct vivo_attrs a)
{
    struct vivo_attr e;
    uint32_t before = 0;
    size_t used = 0;
    const uint8_t *start = a.data;
    size_t len = a.len;
    while (vivo_attrs_next(&a, &e)) {
        assert_true(e.tag > before);
        before = e.tag;
        used = (size_t)(e.value - start) + e.len;
        if (strcmp(e.vr, "SQ") != 0)
            continue;
        struct vivo_attrs items = {e.value, e.len};
        struct vivo_attrs item;
        while (vivo_attrs_next_item(&items, &item))
            check_form(item);
    }
    assert_int_equal(used, len);
}

/* ---- values ----------------------------------------------------------------- */

static void test_values_become_their_vrs(void **state)
{
    (void)state;
    static const struct {
        const char *attribute;
        uint32_t tag;
        const char *vr, *value;
        size_t len;
    } cases[] = {
#define CASE(a, t, vr, v) {a, t, vr, v, sizeof v - 1}
        CASE("{\"vr\":\"LO\",\"Value\":[\"P1\"]}", 0x00100020, "LO", "P1"),
        CASE("{\"vr\":\"CS\",\"Value\":[\"A\",\"B\",\"C\"]}", 0x00080008, "CS",
             "A\\B\\C "),
        CASE("{\"vr\":\"CS\",\"Value\":[\"A\",null,\"C\"]}", 0x00080008, "CS",
             "A\\\\C"),
        CASE("{\"vr\":\"IS\",\"Value\":[12]}", 0x00200013, "IS", "12"),
        CASE("{\"vr\":\"IS\",\"Value\":[\"12\"]}", 0x00200013, "IS", "12"),
        CASE("{\"vr\":\"DS\",\"Value\":[1.5,0.1]}", 0x00280030, "DS", "1.5\\0.1 "),
        CASE("{\"vr\":\"DS\",\"Value\":[0.333333333333333315]}", 0x00180050, "DS",
             "0.33333333333333"),
        CASE("{\"vr\":\"US\",\"Value\":[513]}", 0x00280010, "US", "\x01\x02"),
        CASE("{\"vr\":\"US\",\"Value\":[\"513\"]}", 0x00280010, "US", "\x01\x02"),
        CASE("{\"vr\":\"US\",\"Value\":[513.0]}", 0x00280010, "US", "\x01\x02"),
        CASE("{\"vr\":\"SS\",\"Value\":[-2]}", 0x00280106, "SS", "\xfe\xff"),
        CASE("{\"vr\":\"UL\",\"Value\":[4294967295]}", 0x00209161, "UL",
             "\xff\xff\xff\xff"),
        CASE("{\"vr\":\"SV\",\"Value\":[\"-1\"]}", 0x00720082, "SV",
             "\xff\xff\xff\xff\xff\xff\xff\xff"),
        CASE("{\"vr\":\"FL\",\"Value\":[1.5]}", 0x00089459, "FL", "\x00\x00\xc0\x3f"),
        CASE("{\"vr\":\"FD\",\"Value\":[1]}", 0x00189073, "FD",
             "\x00\x00\x00\x00\x00\x00\xf0\x3f"),
        CASE("{\"vr\":\"AT\",\"Value\":[\"00100020\"]}", 0x00280009, "AT",
             "\x10\x00\x20\x00"),
        CASE("{\"vr\":\"OB\",\"InlineBinary\":\"AQIDBA==\"}", 0x00020001 + 0x00400000,
             "OB", "\x01\x02\x03\x04"),
        CASE("{\"vr\":\"UI\",\"Value\":[\"1.2.3\"]}", 0x0020000D, "UI", "1.2.3\0"),
        CASE("{\"vr\":\"UI\",\"Value\":[\"1.2\"]}", 0x0020000D, "UI", "1.2\0"),
        CASE("{\"Value\":[\"P1\"]}", 0x00100020, "LO", "P1"),
        CASE("{\"vr\":\"XX\",\"Value\":[\"P1\"]}", 0x00100020, "LO", "P1"),
        CASE("{\"vr\":17,\"Value\":[\"P1\"]}", 0x00100020, "LO", "P1"),
        CASE("{\"vr\":\"LO\",\"Value\":[\"A\\u001b\\nB\"]}", 0x00100020, "LO", "A  B"),
        CASE("{\"vr\":\"LT\",\"Value\":[\"A\\r\\nB\"]}", 0x00104000, "LT", "A\r\nB"),
        CASE("{\"vr\":\"LO\",\"Value\":[\"e\\u0301a\"]}", 0x00100020, "LO",
             "\xc3\xa9"
             "a "),
#undef CASE
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(cases); i++) {
        char json[300];
        struct vivo_buf b;
        struct vivo_attr e;
        snprintf(json, sizeof json, "{\"%08X\":%s}", cases[i].tag, cases[i].attribute);
        assert_int_equal(convert(json, 0, &b), 0);
        if (!find(&b, cases[i].tag, &e))
            fail_msg("%s: not there", json);
        assert_string_equal(e.vr, cases[i].vr);
        if (e.len != cases[i].len || memcmp(e.value, cases[i].value, e.len) != 0)
            fail_msg("%s: another value, %u bytes", json, e.len);
        vivo_buf_free(&b);
    }
}

static void test_names_have_their_groups(void **state)
{
    (void)state;
    static const struct {
        const char *value, *want;
    } cases[] = {
        {"{\"Alphabetic\":\"Doe^J\"}", "Doe^J"},
        {"{\"Alphabetic\":\"Yamada\",\"Ideographic\":\"山田\",\"Phonetic\":\"やまだ\"}",
         "Yamada=山田=やまだ"},
        {"{\"Ideographic\":\"山田\"}", "=山田"},
        {"{\"Phonetic\":\"x\"}", "==x"},
        {"{\"Alphabetic\":\"a=b\",\"Ideographic\":\"c\"}", "a b=c"},
        {"{\"Alphabetic\":17}", ""},
        {"{}", ""},
        {"\"Doe^J\"", "Doe^J"},
        {"null", ""},
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(cases); i++) {
        char json[300];
        char text[100];
        struct vivo_buf b;
        snprintf(json, sizeof json, "{\"00100010\":{\"vr\":\"PN\",\"Value\":[%s]}}",
                 cases[i].value);
        assert_int_equal(convert(json, 0, &b), 0);
        vivo_attrs_text((struct vivo_attrs){b.data, b.len}, 0x00100010, text,
                        sizeof text);
        assert_string_equal(text, cases[i].want);
        vivo_buf_free(&b);
    }
}

static void test_values_that_do_not_fit_are_left_out(void **state)
{
    (void)state;
    static const char *const attributes[] = {
        "{\"vr\":\"US\",\"Value\":[65536]}",
        "{\"vr\":\"US\",\"Value\":[-1]}",
        "{\"vr\":\"US\",\"Value\":[1.5]}",
        "{\"vr\":\"US\",\"Value\":[\"x\"]}",
        "{\"vr\":\"US\",\"Value\":[{}]}",
        "{\"vr\":\"US\",\"Value\":{}}",
        "{\"vr\":\"US\",\"Value\":\"1\"}",
        "{\"vr\":\"US\"}",
        "{\"vr\":\"US\",\"Value\":null}",
        "{\"vr\":\"LO\",\"Value\":[{\"a\":1}]}",
        "{\"vr\":\"LO\",\"Value\":[[\"a\"]]}",
        "{\"vr\":\"LO\",\"Value\":[true]}",
        "{\"vr\":\"AT\",\"Value\":[\"001\"]}",
        "{\"vr\":\"AT\",\"Value\":[\"0010002G\"]}",
        "{\"vr\":\"OB\",\"InlineBinary\":17}",
        "{\"vr\":\"OB\",\"InlineBinary\":\"!!\"}",
        "{\"vr\":\"OB\",\"BulkDataURI\":\"http://h/x\"}",
        "{\"vr\":\"LO\",\"InlineBinary\":\"QUJD\"}",
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(attributes); i++) {
        char json[300];
        struct vivo_buf b;
        struct vivo_attr e;
        snprintf(json, sizeof json, "{\"00281111\":%s}", attributes[i]);
        assert_int_equal(convert(json, 0, &b), 0);
        assert_true(find(&b, 0x00281111, &e));
        assert_int_equal(e.len, 0);
        vivo_buf_free(&b);
        /* As a row of a query it is not there at all. */
        assert_int_equal(convert(json, VIVO_DICOMJSON_ROW, &b), 0);
        assert_false(find(&b, 0x00281111, &e));
        vivo_buf_free(&b);
    }
}

/* ---- data sets -------------------------------------------------------------- */

static void test_elements_are_sorted_and_protocol_is_left_out(void **state)
{
    (void)state;
    static const char json[] =
        "{\"0020000E\":{\"vr\":\"UI\",\"Value\":[\"1.2\"]},"
        "\"00081190\":{\"vr\":\"UR\",\"Value\":[\"http://inner/\"]},"
        "\"00080056\":{\"vr\":\"CS\",\"Value\":[\"ONLINE\"]},"
        "\"00080005\":{\"vr\":\"CS\",\"Value\":[\"ISO 2022 IR 87\"]},"
        "\"00020003\":{\"vr\":\"UI\",\"Value\":[\"1.2\"]},"
        "\"00100000\":{\"vr\":\"UL\",\"Value\":[1]},"
        "\"0008103e\":{\"vr\":\"LO\",\"Value\":[\"lower\"]},"
        "\"0008103E\":{\"vr\":\"LO\",\"Value\":[\"upper\"]},"
        "\"00083002\":{\"vr\":\"UI\",\"Value\":[\"1.2.840.10008.1.2\"]},"
        "\"nonsense\":{\"vr\":\"LO\",\"Value\":[\"x\"]},"
        "\"FFFEE000\":{\"vr\":\"LO\",\"Value\":[\"x\"]},"
        "\"00100020\":17,"
        "\"7FE00010\":{\"vr\":\"OW\",\"BulkDataURI\":\"x\"}}";
    static const uint32_t want[] = {0x00020010, 0x00080005, 0x0008103E, 0x0020000E,
                                    0x7FE00010};
    struct vivo_buf b;
    struct vivo_attr e;
    char text[40];
    size_t n = 0;
    assert_int_equal(convert(json, 0, &b), 0);
    struct vivo_attrs a = {b.data, b.len};
    check_form(a);
    assert_true(vivo_attrs_text(a, 0x00080005, text, sizeof text));
    assert_string_equal(text, "ISO_IR 192");
    assert_true(vivo_attrs_text(a, 0x00020010, text, sizeof text));
    assert_string_equal(text, "1.2.840.10008.1.2");
    while (vivo_attrs_next(&a, &e)) {
        assert_true(n < VIVO_ARRAY_LEN(want));
        assert_int_equal(e.tag, want[n++]);
    }
    assert_int_equal(n, VIVO_ARRAY_LEN(want));
    vivo_buf_free(&b);
}

static void test_sequences_are_nested(void **state)
{
    (void)state;
    static const char json[] =
        "{\"00081140\":{\"vr\":\"SQ\",\"Value\":["
        "{\"00081155\":{\"vr\":\"UI\",\"Value\":[\"1.2\"]}},{},null,"
        "{\"00081199\":{\"vr\":\"SQ\",\"Value\":[{\"00100020\":{\"vr\":\"LO\","
        "\"Value\":[\"P\"]}}]}}]}}";
    struct vivo_buf b;
    struct vivo_attr e;
    struct vivo_attrs item;
    char text[20];
    assert_int_equal(convert(json, 0, &b), 0);
    check_form((struct vivo_attrs){b.data, b.len});
    assert_true(find(&b, 0x00081140, &e));
    struct vivo_attrs items = {e.value, e.len};
    assert_true(vivo_attrs_next_item(&items, &item));
    assert_true(vivo_attrs_text(item, 0x00081155, text, sizeof text));
    assert_string_equal(text, "1.2");
    assert_true(vivo_attrs_next_item(&items, &item));
    assert_true(vivo_attrs_next_item(&items, &item));
    assert_int_equal(item.len, 0);
    assert_true(vivo_attrs_next_item(&items, &item));
    assert_true(vivo_attrs_find(item, 0x00081199, &e));
    assert_false(vivo_attrs_next_item(&items, &item));
    vivo_buf_free(&b);
}

static void test_depth_is_bounded(void **state)
{
    (void)state;
    static const char open[] = "{\"00081140\":{\"vr\":\"SQ\",\"Value\":[";
    for (int depth = 20; depth <= 700; depth += 680) {
        struct vivo_buf json;
        struct vivo_buf b;
        vivo_buf_init(&json, 1 << 20);
        for (int i = 0; i < depth; i++)
            assert_int_equal(vivo_buf_puts(&json, open), 0);
        assert_int_equal(vivo_buf_puts(&json, "{}"), 0);
        for (int i = 0; i < depth; i++)
            assert_int_equal(vivo_buf_puts(&json, "]}}"), 0);
        assert_int_equal(convert((const char *)json.data, 0, &b),
                         depth == 20 ? 0 : -EBADMSG);
        vivo_buf_free(&b);
        vivo_buf_free(&json);
    }
}

/* Cut at a character, and in bounded memory. */
static void test_ten_megabytes_of_text_are_cut(void **state)
{
    (void)state;
    enum { N = 10 << 20 };
    struct vivo_buf json;
    struct vivo_buf b;
    struct vivo_attr e;
    vivo_buf_init(&json, N + 100);
    assert_int_equal(
        vivo_buf_puts(&json, "{\"00104000\":{\"vr\":\"LT\",\"Value\":[\"x"), 0);
    for (int i = 0; i < N / 2; i++)
        assert_int_equal(vivo_buf_puts(&json, "\xc3\xa9"), 0);
    assert_int_equal(vivo_buf_puts(&json, "\"]}}"), 0);
    assert_int_equal(convert((const char *)json.data, 0, &b), 0);
    assert_true(find(&b, 0x00104000, &e));
    assert_true(e.len <= VIVO_ATTRS_VALUE_MAX && e.len > VIVO_ATTRS_VALUE_MAX - 4);
    assert_true(e.value[e.len - 1] == 0xa9 || e.value[e.len - 1] == ' ');
    vivo_buf_free(&b);
    vivo_buf_free(&json);
}

static void test_bulk_is_cut_to_its_beginning(void **state)
{
    (void)state;
    struct vivo_buf b;
    struct vivo_attr e;
    assert_int_equal(convert("{\"7FE00010\":{\"vr\":\"OW\",\"InlineBinary\":"
                             "\"QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo=\"}}",
                             0, &b),
                     0);
    assert_true(find(&b, 0x7FE00010, &e));
    assert_int_equal(e.len, 16);
    assert_memory_equal(e.value, "ABCDEFGHIJKLMNOP", 16);
    vivo_buf_free(&b);
}

static void test_malformed_objects_are_ebadmsg(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "[]",
        "17",
        "{",
        "{\"00100020\":}",
        "{\"00100020\":{\"vr\":\"LO\"},\"00100020\":{\"vr\":\"LO\"}}",
        "{\"00100020\":{\"vr\":\"LO\",\"Value\":[\"\\u0000\"]}}",
        "{\"00100020\":{\"vr\":\"LO\",\"Value\":[\"\xff\"]}}",
        "{\"00100020\":{\"vr\":\"LO\",\"Value\":[1e999]}}",
        "{} x",
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(texts); i++) {
        struct vivo_buf b;
        assert_int_equal(convert(texts[i], 0, &b), -EBADMSG);
        vivo_buf_free(&b);
    }
}

/* ---- rows ------------------------------------------------------------------- */

static int count_rows(const char *text, size_t len, size_t *n)
{
    struct vivo_dicomjson_rows rows;
    struct vivo_err err = {0};
    const char *object;
    size_t object_len;
    int rc;
    *n = 0;
    vivo_dicomjson_rows_init(&rows, text, len);
    while ((rc = vivo_dicomjson_next(&rows, &object, &object_len, &err)) > 0) {
        assert_int_equal(object[0], '{');
        assert_int_equal(object[object_len - 1], '}');
        ++*n;
    }
    assert_int_equal(err.errnum, -rc);
    return rc;
}

static void test_rows_are_split(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int rc;
        size_t n;
    } cases[] = {
        {"", 0, 0},
        {"[]", 0, 0},
        {" [ ] \n", 0, 0},
        {"[{}]", 0, 1},
        {"[{},{\"a\":\"}]\\\"{\"} , {\"b\":[{},[]]}]\n", 0, 3},
        {"{}", -EBADMSG, 0},
        {"[1]", -EBADMSG, 0},
        {"[{}", -EBADMSG, 1},
        {"[{},]", -EBADMSG, 1},
        {"[{}{}]", -EBADMSG, 1},
        {"[{}]]", -EBADMSG, 1},
        {"[{\"a\":\"}", -EBADMSG, 0},
        {"[{\"a\":\"\\", -EBADMSG, 0},
        {"<html>", -EBADMSG, 0},
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(cases); i++) {
        size_t n;
        int rc = count_rows(cases[i].text, strlen(cases[i].text), &n);
        if (rc != cases[i].rc || n != cases[i].n)
            fail_msg("%s: %d, %zu rows", cases[i].text, rc, n);
    }
}

static void test_rows_cut_anywhere_are_ebadmsg(void **state)
{
    (void)state;
    static const char text[] = "[{\"a\":\"x}\"},\t{\"b\":[1,2]}]";
    size_t n;
    for (size_t len = 1; len < sizeof text - 1; len++)
        assert_int_equal(count_rows(text, len, &n), -EBADMSG);
    assert_int_equal(count_rows(text, sizeof text - 1, &n), 0);
    assert_int_equal(n, 2);
}

static int init_dictionary(void **state)
{
    struct vivo_err err = {0};
    (void)state;
    return vivo_dcm_global_init(&err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_become_their_vrs),
        cmocka_unit_test(test_names_have_their_groups),
        cmocka_unit_test(test_values_that_do_not_fit_are_left_out),
        cmocka_unit_test(test_elements_are_sorted_and_protocol_is_left_out),
        cmocka_unit_test(test_sequences_are_nested),
        cmocka_unit_test(test_depth_is_bounded),
        cmocka_unit_test(test_ten_megabytes_of_text_are_cut),
        cmocka_unit_test(test_bulk_is_cut_to_its_beginning),
        cmocka_unit_test(test_malformed_objects_are_ebadmsg),
        cmocka_unit_test(test_rows_are_split),
        cmocka_unit_test(test_rows_cut_anywhere_are_ebadmsg),
    };
    return cmocka_run_group_tests(tests, init_dictionary, NULL);
}
