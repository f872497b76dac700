/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_render_dicomdir.c -- the records of a DICOMDIR hang together: every
 * offset leads to the record it should, whatever order the files come in. */
#include "vivofs/render.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CT "1.2.840.10008.5.1.4.1.1.2"
#define PLAN "1.2.840.10008.5.1.4.1.1.481.5"

struct source {
    const char *patient, *study, *series, *instance, *sop_class, *name;
};

static void put(struct vivo_buf *b, uint32_t tag, const char *vr, const char *text)
{
    if (text)
        assert_int_equal(vivo_attrs_put(b, tag, vr, text, strlen(text)), 0);
}

static void make(struct vivo_buf *b, const struct source *s)
{
    vivo_buf_init(b, 1u << 16);
    put(b, 0x00080016, "UI", s->sop_class);
    put(b, 0x00080018, "UI", s->instance);
    put(b, 0x00100010, "PN", s->name);
    put(b, 0x00100020, "LO", s->patient);
    put(b, 0x0020000D, "UI", s->study);
    put(b, 0x0020000E, "UI", s->series);
    put(b, 0x00200013, "IS", "7");
}

static void render(const struct source *s, size_t n, struct vivo_buf *out,
                   size_t *left_out)
{
    struct vivo_buf attrs[8] = {{0}};
    struct vivo_render_file files[8];
    char ids[8][16];
    struct vivo_err err = {0};
    for (size_t i = 0; i < n; i++) {
        make(&attrs[i], &s[i]);
        snprintf(ids[i], sizeof ids[i], "A/I%zu", i);
        files[i].attrs = (struct vivo_attrs){attrs[i].data, attrs[i].len};
        files[i].file_id = ids[i];
    }
    vivo_buf_init(out, 1u << 20);
    if (vivo_render_dicomdir(files, n, "SET", out, left_out, &err))
        fail_msg("%s", err.text);
    for (size_t i = 0; i < n; i++)
        vivo_buf_free(&attrs[i]);
}

/* The data set behind the file meta. */
static struct vivo_attrs data_set(const struct vivo_buf *b)
{
    uint32_t meta = vivo_le32(b->data + 140);
    struct vivo_attrs a = {b->data + 144 + meta, b->len - 144 - meta};
    return a;
}

static uint32_t number(struct vivo_attrs a, uint32_t tag)
{
    struct vivo_attr e;
    assert_true(vivo_attrs_find(a, tag, &e));
    return vivo_le32(e.value);
}

static struct vivo_attrs record_at(const struct vivo_buf *b, uint32_t offset)
{
    assert_in_range(offset, 132, b->len - 8);
    assert_int_equal(vivo_le32(b->data + offset), 0xE000FFFEu);
    struct vivo_attrs a = {b->data + offset + 8, vivo_le32(b->data + offset + 4)};
    return a;
}

/* "PATIENT(STUDY(SERIES(IMAGE IMAGE )))" by following the offsets. */
static void print_tree(const struct vivo_buf *b, uint32_t offset, struct vivo_buf *out)
{
    for (; offset; offset = number(record_at(b, offset), 0x00041400)) {
        char type[20];
        struct vivo_attrs a = record_at(b, offset);
        vivo_attrs_text(a, 0x00041430, type, sizeof type);
        uint32_t lower = number(a, 0x00041420);
        assert_int_equal(vivo_buf_printf(out, "%s%s", type, lower ? "(" : " "), 0);
        if (!lower)
            continue;
        print_tree(b, lower, out);
        assert_int_equal(vivo_buf_puts(out, ")"), 0);
    }
}

static void test_offsets_lead_through_all_records(void **state)
{
    static const struct source files[] = {
        {"P2", "1.3", "1.3.1", "1.3.1.1", CT, "B"},
        {"P1", "1.2", "1.2.1", "1.2.1.2", CT, "A"},
        {"P1", "1.1", "1.1.2", "1.1.2.1", PLAN, "A"},
        {"P1", "1.1", "1.1.1", "1.1.1.1", CT, "A"},
        {"P1", "1.2", "1.2.1", "1.2.1.1", CT, "A"},
    };
    struct vivo_buf b, text;
    size_t left_out = 9;
    (void)state;
    render(files, VIVO_ARRAY_LEN(files), &b, &left_out);
    assert_int_equal(left_out, 0);
    vivo_buf_init(&text, 4096);
    struct vivo_attrs root = data_set(&b);
    print_tree(&b, number(root, 0x00041200), &text);
    assert_string_equal((char *)text.data,
                        "PATIENT(STUDY(SERIES(IMAGE )SERIES(RT PLAN ))"
                        "STUDY(SERIES(IMAGE IMAGE )))PATIENT(STUDY(SERIES(IMAGE )))");
    struct vivo_attrs last = record_at(&b, number(root, 0x00041202));
    char id[16];
    assert_true(vivo_attrs_text(last, 0x00100020, id, sizeof id));
    assert_string_equal(id, "P2");
    vivo_buf_free(&text);
    vivo_buf_free(&b);
}

static void test_missing_keys_have_constants_and_text_its_character_set(void **state)
{
    static const struct source file = {"P1",      "1.1", "1.1.1",
                                       "1.1.1.1", PLAN,  "M\xC3\xBCller"};
    struct vivo_buf b;
    char text[64];
    (void)state;
    render(&file, 1, &b, NULL);
    struct vivo_attrs patient = record_at(&b, number(data_set(&b), 0x00041200));
    assert_true(vivo_attrs_text(patient, 0x00080005, text, sizeof text));
    assert_string_equal(text, "ISO_IR 192");
    struct vivo_attrs study = record_at(&b, number(patient, 0x00041420));
    assert_false(vivo_attrs_text(study, 0x00080005, text, sizeof text));
    assert_true(vivo_attrs_text(study, 0x00080020, text, sizeof text));
    struct vivo_attrs series = record_at(&b, number(study, 0x00041420));
    struct vivo_attrs plan = record_at(&b, number(series, 0x00041420));
    assert_true(vivo_attrs_text(plan, 0x300A0002, text, sizeof text));
    assert_true(vivo_attrs_text(plan, 0x00041500, text, sizeof text));
    assert_string_equal(text, "A"); /* the first part of A\I0 */
    vivo_buf_free(&b);
}

static void test_files_without_identifiers_are_counted(void **state)
{
    static const struct source files[] = {
        {"P1", "1.1", NULL, "1.1.1.1", CT, "A"},
        {NULL, "1.1", "1.1.1", "1.1.1.2", CT, "A"},
    };
    struct vivo_buf b;
    size_t left_out = 0;
    (void)state;
    render(files, VIVO_ARRAY_LEN(files), &b, &left_out);
    assert_int_equal(left_out, 2);
    assert_int_equal(number(data_set(&b), 0x00041200), 0);
    vivo_buf_free(&b);
}

static void test_keys_alone_give_the_same_directory(void **state)
{
    static const struct source file = {"P1", "1.1", "1.1.1", "1.1.1.1", CT, "A"};
    struct vivo_buf whole, kept, a, b;
    struct vivo_err err = {0};
    (void)state;
    make(&whole, &file);
    put(&whole, 0x00280010, "US", "ab"); /* no key */
    vivo_buf_init(&kept, 1u << 16);
    struct vivo_attrs attrs = {whole.data, whole.len};
    assert_int_equal(vivo_render_dicomdir_keys(attrs, &kept), 0);
    assert_true(kept.len < whole.len);
    struct vivo_render_file f = {attrs, "I"};
    vivo_buf_init(&a, 1u << 20);
    vivo_buf_init(&b, 1u << 20);
    assert_int_equal(vivo_render_dicomdir(&f, 1, "", &a, NULL, &err), 0);
    f.attrs = (struct vivo_attrs){kept.data, kept.len};
    assert_int_equal(vivo_render_dicomdir(&f, 1, "", &b, NULL, &err), 0);
    assert_int_equal(a.len, b.len);
    assert_memory_equal(a.data, b.data, a.len);
    vivo_buf_free(&whole);
    vivo_buf_free(&kept);
    vivo_buf_free(&a);
    vivo_buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_offsets_lead_through_all_records),
        cmocka_unit_test(test_missing_keys_have_constants_and_text_its_character_set),
        cmocka_unit_test(test_files_without_identifiers_are_counted),
        cmocka_unit_test(test_keys_alone_give_the_same_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
