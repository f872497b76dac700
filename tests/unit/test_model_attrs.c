/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_model_attrs.c -- data sets in attrs form: put, iterate, find, text,
 * diff and merge, and what hostile bytes must not do. */
#include "vivofs/model.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct vivo_attrs as_attrs(const struct vivo_buf *b)
{
    return (struct vivo_attrs){b->data, b->len};
}

static void put(struct vivo_buf *b, uint32_t tag, const char *vr, const char *text)
{
    assert_int_equal(vivo_attrs_put(b, tag, vr, text, strlen(text)), 0);
}

static void expect_text(struct vivo_attrs a, uint32_t tag, const char *want)
{
    char text[80];
    bool found = vivo_attrs_text(a, tag, text, sizeof text);
    assert_string_equal(text, want);
    assert_int_equal(found, want[0] != '\0');
}

static void test_put_pads_by_vr_and_find_gives_it_back(void **state)
{
    (void)state;
    struct vivo_buf b;
    struct vivo_attr e;
    vivo_buf_init(&b, 4096);
    put(&b, 0x00080018, "UI", "1.2.3");
    put(&b, 0x00080060, "CS", "CTX");
    put(&b, 0x00104000, "LT", "");
    put(&b, 0x00280010, "US", "\x05");
    put(&b, 0x7FE00010, "OB", "abc");
    assert_true(vivo_attrs_find(as_attrs(&b), 0x00080018, &e));
    assert_int_equal(e.len, 6);
    assert_memory_equal(e.value, "1.2.3", 6);
    assert_true(vivo_attrs_find(as_attrs(&b), 0x00080060, &e));
    assert_memory_equal(e.value, "CTX ", 4);
    assert_string_equal(e.vr, "CS");
    assert_true(vivo_attrs_find(as_attrs(&b), 0x00104000, &e));
    assert_int_equal(e.len, 0);
    assert_true(vivo_attrs_find(as_attrs(&b), 0x7FE00010, &e));
    assert_memory_equal(e.value, "abc\0", 4);
    assert_false(vivo_attrs_find(as_attrs(&b), 0x00080061, &e));
    assert_false(vivo_attrs_find((struct vivo_attrs){NULL, 0}, 0x00080061, &e));
    vivo_buf_free(&b);
}

static void test_put_cuts_long_text_at_a_character(void **state)
{
    (void)state;
    struct vivo_buf b;
    struct vivo_attr e;
    vivo_buf_init(&b, 1 << 20);
    static char text[VIVO_ATTRS_VALUE_MAX + 100];
    memset(text, 'a', sizeof text);
    memcpy(text + VIVO_ATTRS_VALUE_MAX - 1, "\xE2\x82\xAC", 3);
    assert_int_equal(vivo_attrs_put(&b, 0x00204000, "LT", text, sizeof text), 0);
    assert_true(vivo_attrs_find(as_attrs(&b), 0x00204000, &e));
    assert_int_equal(e.len, VIVO_ATTRS_VALUE_MAX);
    assert_int_equal(e.value[VIVO_ATTRS_VALUE_MAX - 2], 'a');
    assert_int_equal(e.value[VIVO_ATTRS_VALUE_MAX - 1], ' ');
    vivo_buf_free(&b);
}

static void test_put_beyond_maximum_is_enospc_and_adds_nothing(void **state)
{
    (void)state;
    struct vivo_buf b;
    vivo_buf_init(&b, 16);
    put(&b, 0x00080060, "CS", "CT");
    assert_int_equal(vivo_attrs_put(&b, 0x00080070, "LO", "ab", 2), -ENOSPC);
    assert_int_equal(b.len, 10);
    vivo_buf_free(&b);
}

static void test_text_gives_first_value_trimmed(void **state)
{
    (void)state;
    struct vivo_buf b;
    vivo_buf_init(&b, 4096);
    put(&b, 0x00080008, "CS", " ORIGINAL \\PRIMARY");
    put(&b, 0x00080018, "UI", "1.2.3");
    put(&b, 0x00080070, "LO", "   ");
    put(&b, 0x00081030, "LO", "\\second");
    put(&b, 0x00104000, "LT", "a\\b");
    assert_int_equal(vivo_attrs_put(&b, 0x00189073, "SQ", NULL, 0), 0);
    expect_text(as_attrs(&b), 0x00080008, "ORIGINAL");
    expect_text(as_attrs(&b), 0x00080018, "1.2.3");
    expect_text(as_attrs(&b), 0x00080070, "");
    expect_text(as_attrs(&b), 0x00081030, "");
    expect_text(as_attrs(&b), 0x00104000, "a\\b");
    expect_text(as_attrs(&b), 0x00189073, "");
    expect_text(as_attrs(&b), 0x7FE00010, "");
    vivo_buf_free(&b);
}

static void test_text_prints_binary_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *vr, *bytes;
        size_t len;
        const char *text;
    } rows[] = {
        {"US", "\xff\xff", 2, "65535"},
        {"SS", "\xff\xff", 2, "-1"},
        {"US", "\x01\x00\x02\x00", 4, "1"},
        {"UL", "\xff\xff\xff\xff", 4, "4294967295"},
        {"SL", "\xfe\xff\xff\xff", 4, "-2"},
        {"AT", "\x10\x00\x20\x00", 4, "00100020"},
        {"FL", "\x00\x00\xc0\x3f", 4, "1.5"},
        {"FL", "\xcd\xcc\xcc\x3d", 4, "0.1"},
        {"FD", "\x9a\x99\x99\x99\x99\x99\xb9\x3f", 8, "0.1"},
        {"FD", "\x18\x2d\x44\x54\xfb\x21\x09\x40", 8, "3.141592653589793"},
        {"SV", "\xff\xff\xff\xff\xff\xff\xff\xff", 8, "-1"},
        {"UV", "\xff\xff\xff\xff\xff\xff\xff\xff", 8, "18446744073709551615"},
        {"US", "", 0, ""},
        {"FD", "\x01\x02", 2, ""},
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(rows); i++) {
        struct vivo_buf b;
        vivo_buf_init(&b, 4096);
        assert_int_equal(
            vivo_attrs_put(&b, 0x00280010, rows[i].vr, rows[i].bytes, rows[i].len), 0);
        expect_text(as_attrs(&b), 0x00280010, rows[i].text);
        vivo_buf_free(&b);
    }
}

static void test_text_is_cut_before_a_character_that_does_not_fit(void **state)
{
    (void)state;
    struct vivo_buf b;
    char out[5];
    vivo_buf_init(&b, 4096);
    put(&b, 0x00081030, "LO", "ab\xE2\x82\xAC");
    assert_true(vivo_attrs_text(as_attrs(&b), 0x00081030, out, sizeof out));
    assert_string_equal(out, "ab");
    vivo_buf_free(&b);
}

static void test_items_iterate(void **state)
{
    (void)state;
    struct vivo_buf item;
    struct vivo_buf value;
    struct vivo_buf b;
    vivo_buf_init(&item, 4096);
    vivo_buf_init(&value, 4096);
    vivo_buf_init(&b, 4096);
    put(&item, 0x00080100, "SH", "T1");
    for (int i = 0; i < 2; i++) {
        uint8_t head[8] = {0xFE, 0xFF, 0x00, 0xE0, (uint8_t)item.len, 0, 0, 0};
        vivo_buf_add(&value, head, 8);
        vivo_buf_add(&value, item.data, item.len);
    }
    assert_int_equal(vivo_attrs_put(&b, 0x00081032, "SQ", value.data, value.len), 0);
    struct vivo_attr e;
    assert_true(vivo_attrs_find(as_attrs(&b), 0x00081032, &e));
    struct vivo_attrs it = {e.value, e.len};
    struct vivo_attrs one;
    size_t n = 0;
    for (; vivo_attrs_next_item(&it, &one); n++)
        expect_text(one, 0x00080100, "T1");
    assert_int_equal(n, 2);
    vivo_buf_free(&item);
    vivo_buf_free(&value);
    vivo_buf_free(&b);
}

static void walk(struct vivo_attrs a, int depth)
{
    struct vivo_attr e;
    while (vivo_attrs_next(&a, &e)) {
        char text[16];
        struct vivo_attrs self = {e.value, e.len};
        struct vivo_attrs item;
        vivo_attrs_text(a, e.tag, text, sizeof text);
        if (depth < 8)
            while (vivo_attrs_next_item(&self, &item))
                walk(item, depth + 1);
    }
}

/* Under AddressSanitizer this finds every byte read outside: each input is an
 * allocation of its own exact size. */
static void test_hostile_bytes_are_read_within_bounds(void **state)
{
    (void)state;
    static const char vrs[][3] = {"SQ", "UN", "OB", "US", "LO", "FD", "--", "??"};
    uint32_t seed = 7;
    for (int round = 0; round < 20000; round++) {
        size_t len = (size_t)round % 61;
        uint8_t *p = malloc(len ? len : 1);
        assert_non_null(p);
        for (size_t i = 0; i < len; i++) {
            seed = seed * 1664525u + 1013904223u;
            p[i] = seed >> 29 ? (uint8_t)(seed >> 27) : (uint8_t)(seed >> 16);
        }
        if (len > 6)
            memcpy(p + 4, vrs[seed >> 29], 2);
        if (len > 20 && (seed & 0x1000))
            memcpy(p + 12, "\xfe\xff\x00\xe0", 4);
        struct vivo_buf out;
        vivo_buf_init(&out, 4096);
        walk((struct vivo_attrs){p, len}, 0);
        vivo_attrs_diff((struct vivo_attrs){p, len}, (struct vivo_attrs){p, len / 2},
                        &out);
        vivo_attrs_merge((struct vivo_attrs){p, len}, as_attrs(&out), &out);
        vivo_buf_free(&out);
        free(p);
    }
}

static void test_length_beyond_the_end_ends_iteration(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {8, 0, 0x60, 0, 'C', 'S', 3, 0, 'C', 'T'};
    struct vivo_attrs it = {bytes, sizeof bytes};
    struct vivo_attr e;
    assert_false(vivo_attrs_next(&it, &e));
    assert_false(vivo_attrs_next(&it, &e));
}

/* ---- diff and merge -------------------------------------------------------------- */

static void test_diff_holds_changes_and_tombstones_only(void **state)
{
    (void)state;
    struct vivo_buf base;
    struct vivo_buf full;
    struct vivo_buf diff;
    vivo_buf_init(&base, 4096);
    vivo_buf_init(&full, 4096);
    vivo_buf_init(&diff, 4096);
    put(&base, 0x00080060, "CS", "CT");
    put(&base, 0x00080070, "LO", "ACME");
    put(&base, 0x00200013, "IS", "1");
    put(&full, 0x00080060, "CS", "CT");
    put(&full, 0x00180050, "DS", "2.5");
    put(&full, 0x00200013, "IS", "2");
    assert_int_equal(vivo_attrs_diff(as_attrs(&base), as_attrs(&full), &diff), 0);
    struct vivo_attrs it = as_attrs(&diff);
    struct vivo_attr e;
    assert_true(vivo_attrs_next(&it, &e));
    assert_int_equal(e.tag, 0x00080070);
    assert_string_equal(e.vr, "--");
    assert_int_equal(e.len, 0);
    assert_true(vivo_attrs_next(&it, &e));
    assert_int_equal(e.tag, 0x00180050);
    assert_true(vivo_attrs_next(&it, &e));
    assert_int_equal(e.tag, 0x00200013);
    assert_false(vivo_attrs_next(&it, &e));
    vivo_buf_free(&base);
    vivo_buf_free(&full);
    vivo_buf_free(&diff);
}

static void fill_random(struct vivo_buf *b, uint32_t *seed)
{
    for (uint32_t tag = 0x00080001; tag < 0x00080020; tag++) {
        *seed = *seed * 1664525u + 1013904223u;
        char text[2] = {(char)('a' + (*seed >> 30)), '\0'};
        const char *vr = *seed >> 16 & 1 ? "LO" : "UT";
        if (*seed >> 28 & 1)
            put(b, tag, vr, *seed >> 20 & 1 ? text : "");
    }
}

/* Full, but for one letter of one value. */
static void fill_near(struct vivo_buf *b, const struct vivo_buf *full, uint32_t seed)
{
    assert_int_equal(vivo_buf_add(b, full->data, full->len), 0);
    for (size_t i = seed % full->len; i < full->len; i++)
        if (b->data[i] >= 'a' && b->data[i] <= 'd') {
            b->data[i] = 'z';
            return;
        }
}

static void test_diff_is_of_what_differs_alone(void **state)
{
    (void)state;
    uint32_t seed = 5;
    for (int round = 0; round < 2000; round++) {
        struct vivo_buf base, full, diff, back;
        vivo_buf_init(&base, 4096);
        vivo_buf_init(&full, 4096);
        vivo_buf_init(&diff, 4096);
        vivo_buf_init(&back, 4096);
        put(&full, 0x00080000, "LO", "a");
        fill_random(&full, &seed);
        fill_near(&base, &full, seed >> 8);
        bool equal = memcmp(base.data, full.data, full.len) == 0;
        assert_int_equal(vivo_attrs_diff(as_attrs(&base), as_attrs(&full), &diff), 0);
        assert_true(equal ? diff.len == 0 : diff.len == 10 || diff.len == 14);
        assert_int_equal(vivo_attrs_merge(as_attrs(&base), as_attrs(&diff), &back), 0);
        assert_int_equal(back.len, full.len);
        assert_memory_equal(back.data, full.data, full.len);
        vivo_buf_free(&base);
        vivo_buf_free(&full);
        vivo_buf_free(&diff);
        vivo_buf_free(&back);
    }
}

static void test_merge_undoes_diff(void **state)
{
    (void)state;
    uint32_t seed = 3;
    for (int round = 0; round < 2000; round++) {
        struct vivo_buf base;
        struct vivo_buf full;
        struct vivo_buf diff;
        struct vivo_buf back;
        vivo_buf_init(&base, 4096);
        vivo_buf_init(&full, 4096);
        vivo_buf_init(&diff, 4096);
        vivo_buf_init(&back, 4096);
        fill_random(&base, &seed);
        fill_random(&full, &seed);
        assert_int_equal(vivo_attrs_diff(as_attrs(&base), as_attrs(&full), &diff), 0);
        assert_int_equal(vivo_attrs_merge(as_attrs(&base), as_attrs(&diff), &back), 0);
        assert_int_equal(back.len, full.len);
        if (full.len)
            assert_memory_equal(back.data, full.data, full.len);
        vivo_buf_clear(&diff);
        assert_int_equal(vivo_attrs_diff(as_attrs(&full), as_attrs(&full), &diff), 0);
        assert_int_equal(diff.len, 0);
        vivo_buf_free(&base);
        vivo_buf_free(&full);
        vivo_buf_free(&diff);
        vivo_buf_free(&back);
    }
}

static void test_level_names(void **state)
{
    (void)state;
    assert_string_equal(vivo_level_name(VIVO_LEVEL_SERIES), "series");
    assert_string_equal(vivo_level_name(VIVO_LEVEL_NONE), "none");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put_pads_by_vr_and_find_gives_it_back),
        cmocka_unit_test(test_put_cuts_long_text_at_a_character),
        cmocka_unit_test(test_put_beyond_maximum_is_enospc_and_adds_nothing),
        cmocka_unit_test(test_text_gives_first_value_trimmed),
        cmocka_unit_test(test_text_prints_binary_numbers),
        cmocka_unit_test(test_text_is_cut_before_a_character_that_does_not_fit),
        cmocka_unit_test(test_items_iterate),
        cmocka_unit_test(test_hostile_bytes_are_read_within_bounds),
        cmocka_unit_test(test_length_beyond_the_end_ends_iteration),
        cmocka_unit_test(test_diff_holds_changes_and_tombstones_only),
        cmocka_unit_test(test_diff_is_of_what_differs_alone),
        cmocka_unit_test(test_merge_undoes_diff),
        cmocka_unit_test(test_level_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
