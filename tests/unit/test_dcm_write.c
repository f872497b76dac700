/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_dcm_write.c -- the writer: what is walked and written again is the
 * same, byte for byte; headers, padding, lengths, limits and misuse one by one. */
#include "dcm_expect.h"
#include "dcm_files.h"

/* ---- walk and write again ------------------------------------------------------ */

struct copy {
    struct vivo_dcm_writer *w;
    bool alien; /* holds what cannot come back alike: see note at the test */
};

/* Every event again, ranges as ranges. */
static int copy_event(void *ctx, enum vivo_dcm_event event,
                      const struct vivo_dcm_elem *e, struct vivo_err *err)
{
    struct copy *c = ctx;

    switch (event) {
    case VIVO_DCM_DATASET:
        return vivo_dcm_writer_new(e->syntax, 1 << 20, &c->w, err);
    case VIVO_DCM_ELEMENT:
        c->alien |= e->length % 2;
        return vivo_dcm_write(c->w, e->tag, e->vr, e->value, (size_t)e->length, err);
    case VIVO_DCM_BULK:
        c->alien |= e->length % 2 || e->cut;
        return vivo_dcm_write_range(c->w, e->tag, e->vr, e->value_offset, e->length,
                                    err);
    case VIVO_DCM_FRAGMENTS:
        return vivo_dcm_write_fragments(c->w, e->tag, e->vr, e->value_offset, e->length,
                                        err);
    case VIVO_DCM_SEQUENCE:
        c->alien |= memcmp(e->vr, "SQ", 2) != 0 && !e->syntax->implicit;
        return vivo_dcm_write_sequence(c->w, e->tag, e->length_undefined, err);
    case VIVO_DCM_ITEM:
        return vivo_dcm_write_item(c->w, e->length_undefined, err);
    case VIVO_DCM_ITEM_END:
        return vivo_dcm_write_item_end(c->w, err);
    case VIVO_DCM_SEQUENCE_END:
        return vivo_dcm_write_sequence_end(c->w, err);
    case VIVO_DCM_NONE:
    case VIVO_DCM_META:
    case VIVO_DCM_END:
        break;
    }
    return 0;
}

/* The pieces as bytes; ranges are taken from src. */
static void gather(struct vivo_dcm_writer *w, const struct vivo_buf *src,
                   struct vivo_buf *out)
{
    size_t n;
    const struct vivo_dcm_piece *p = vivo_dcm_writer_pieces(w, &n);

    vivo_buf_init(out, (size_t)64 << 20);
    for (size_t i = 0; i < n; i++) {
        const uint8_t *from = p[i].data ? p[i].data : src->data + p[i].off;
        assert_true(p[i].len > 0);
        if (!p[i].data)
            assert_true(p[i].off + p[i].len <= src->len);
        assert_int_equal(vivo_buf_add(out, from, (size_t)p[i].len), 0);
    }
}

static int note_start(void *ctx, enum vivo_dcm_event event,
                      const struct vivo_dcm_elem *e, struct vivo_err *err VIVO_UNUSED)
{
    uint64_t *span = ctx;
    if (event == VIVO_DCM_DATASET)
        span[0] = e->offset;
    if (event == VIVO_DCM_END)
        span[1] = e->offset;
    return 0;
}

/* Copies the data set in `src`; true if it must have come out the same. */
static bool round_trip(const char *name, const struct vivo_buf *src)
{
    struct copy c = {0};
    struct vivo_buf out;
    struct vivo_err err = {0};
    uint64_t span[2];

    if (walk_pieces(src->data, src->len, 0, -1, NULL, 0, note_start, span, &err))
        return false;
    err = (struct vivo_err){0};
    if (walk_pieces(src->data, src->len, 0, -1, NULL, 0, copy_event, &c, &err))
        fail_msg("%s: %s", name, err.text);
    gather(c.w, src, &out);
    if (!c.alien && (out.len != span[1] - span[0] ||
                     memcmp(out.data, src->data + span[0], out.len)))
        fail_msg("%s comes back changed", name);
    vivo_buf_free(&out);
    vivo_dcm_writer_free(c.w);
    return !c.alien;
}

/* The alien ones hold UN sequences in explicit VR (written as SQ), values of odd
 * length (which are padded) or cut pixels. */
static void test_real_files_come_back_byte_for_byte(void **state)
{
    struct test_files *files = test_files_all();
    unsigned same = 0, changed = 0;
    (void)state;
    for (size_t i = 0; i < files->n; i++) {
        struct vivo_buf data;
        if (strstr(files->path[i], "image_dfl")) /* ranges are of the inflated */
            continue;
        test_file_read(files->path[i], &data);
        if (round_trip(files->path[i], &data))
            same++;
        else
            changed++;
        vivo_buf_free(&data);
    }
    print_message("%u the same, %u refused or alien\n", same, changed);
    assert_true(same >= 165);
    assert_true(changed <= 12);
    free(files);
}

/* ---- one thing each ------------------------------------------------------------ */

static struct vivo_dcm_writer *writer(const char *syntax)
{
    struct vivo_dcm_writer *w = NULL;
    struct vivo_err err = {0};

    assert_int_equal(
        vivo_dcm_writer_new(vivo_dcm_syntax(syntax, strlen(syntax)), 1 << 20, &w, &err),
        0);
    return w;
}

static void expect_written(struct vivo_dcm_writer *w, const char *bytes, size_t len)
{
    const struct vivo_buf none = {0};
    struct vivo_buf out;

    gather(w, &none, &out);
    assert_int_equal(out.len, len);
    assert_memory_equal(out.data, bytes, len);
    vivo_buf_free(&out);
    vivo_dcm_writer_free(w);
}
#define EXPECT(w, s) expect_written(w, s, sizeof(s) - 1)

static void test_headers_differ_by_syntax(void **state)
{
    const char *const uids[] = {ELE, ILE, EBE};
    static const char want[3][29] = {
        "\x08\0\x60\0CS\x02\0CT\x42\0\x11\0OB\0\0\x02\0\0\0ab",
        "\x08\0\x60\0\x02\0\0\0CT\x42\0\x11\0\x02\0\0\0ab",
        "\0\x08\0\x60"
        "CS\0\x02"
        "CT\0\x42\0\x11OB\0\0\0\0\0\x02"
        "ab",
    };
    const size_t lengths[] = {24, 20, 24};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct vivo_dcm_writer *w = writer(uids[i]);
        struct vivo_err err = {0};
        assert_int_equal(vivo_dcm_write(w, 0x00080060, "CS", "CT", 2, &err), 0);
        assert_int_equal(vivo_dcm_write(w, 0x00420011, "OB", "ab", 2, &err), 0);
        expect_written(w, want[i], lengths[i]);
    }
}

static void test_padding_follows_the_vr(void **state)
{
    struct vivo_dcm_writer *w = writer(ILE);
    struct vivo_err err = {0};
    (void)state;
    assert_int_equal(vivo_dcm_write(w, 0x00080016, "UI", "1", 1, &err), 0);
    assert_int_equal(vivo_dcm_write(w, 0x00080060, "CS", "X", 1, &err), 0);
    assert_int_equal(vivo_dcm_write(w, 0x00420011, "OB", "b", 1, &err), 0);
    EXPECT(w, "\x08\0\x16\0\x02\0\0\0"
              "1\0\x08\0\x60\0\x02\0\0\0X \x42\0\x11\0\x02\0\0\0b\0");
}

static void test_what_is_too_long_for_its_vr_becomes_un(void **state)
{
    struct vivo_dcm_writer *w = writer(ELE);
    struct vivo_err err = {0};
    const struct vivo_buf none = {0};
    struct vivo_buf out;
    char *text = calloc(1, 65536);
    (void)state;
    assert_int_equal(vivo_dcm_write(w, 0x00204000, "LT", text, 65534, &err), 0);
    assert_int_equal(vivo_dcm_write(w, 0x00204000, "LT", text, 65535, &err), 0);
    gather(w, &none, &out);
    assert_int_equal(out.len, 8 + 65534 + 12 + 65536);
    assert_memory_equal(out.data, "\x20\0\0\x40LT\xFE\xFF", 8);
    assert_memory_equal(out.data + 8 + 65534, "\x20\0\0\x40UN\0\0\0\0\x01\0", 12);
    vivo_buf_free(&out);
    vivo_dcm_writer_free(w);
    free(text);
}

static void test_lengths_are_patched_around_ranges(void **state)
{
    struct vivo_dcm_writer *w = writer(ELE);
    struct vivo_err err = {0};
    struct vivo_buf src, out;
    (void)state;
    vivo_buf_init(&src, 100);
    vivo_buf_puts(&src, "0123456789");
    assert_int_equal(vivo_dcm_write_sequence(w, 0x00880200, false, &err), 0);
    assert_int_equal(vivo_dcm_write_item(w, false, &err), 0);
    assert_int_equal(vivo_dcm_write_range(w, 0x7FE00010, "OB", 3, 5, &err), 0);
    assert_int_equal(vivo_dcm_write_item_end(w, &err), 0);
    assert_int_equal(vivo_dcm_write_item(w, true, &err), 0);
    assert_int_equal(vivo_dcm_write_item_end(w, &err), 0);
    assert_int_equal(vivo_dcm_write_sequence_end(w, &err), 0);
    gather(w, &src, &out);
    static const char want[] = "\x88\0\0\x02SQ\0\0\x2A\0\0\0"
                               "\xFE\xFF\0\xE0\x12\0\0\0"
                               "\xE0\x7F\x10\0OB\0\0\x06\0\0\0"
                               "34567\0"
                               "\xFE\xFF\0\xE0\xFF\xFF\xFF\xFF"
                               "\xFE\xFF\x0D\xE0\0\0\0\0";
    assert_int_equal(out.len, sizeof want - 1);
    assert_memory_equal(out.data, want, sizeof want - 1);
    vivo_buf_free(&out);
    vivo_buf_free(&src);
    vivo_dcm_writer_free(w);
}

static void test_big_endian_marks_and_lengths(void **state)
{
    struct vivo_dcm_writer *w = writer(EBE);
    struct vivo_err err = {0};
    (void)state;
    assert_int_equal(vivo_dcm_write_sequence(w, 0x00081140, false, &err), 0);
    assert_int_equal(vivo_dcm_write_item(w, false, &err), 0);
    assert_int_equal(vivo_dcm_write_item_end(w, &err), 0);
    assert_int_equal(vivo_dcm_write_sequence_end(w, &err), 0);
    EXPECT(w, "\0\x08\x11\x40SQ\0\0\0\0\0\x08\xFF\xFE\xE0\0\0\0\0\0");
}

static void test_ranges_above_4_gib_in_all_are_counted(void **state)
{
    struct vivo_dcm_writer *w = writer(ELE);
    struct vivo_err err = {0};
    size_t n;
    const struct vivo_dcm_piece *p;
    (void)state;
    assert_int_equal(
        vivo_dcm_write_range(w, 0x7FE00010, "OW", 1ull << 40, 0xFFFFFFFE, &err), 0);
    p = vivo_dcm_writer_pieces(w, &n);
    assert_int_equal(n, 2);
    assert_null(p[1].data);
    assert_true(p[1].off == 1ull << 40 && p[1].len == 0xFFFFFFFE);
    /* One byte more cannot be said in the length, nor can a sequence around it. */
    assert_int_equal(vivo_dcm_write_range(w, 0x7FE00010, "OW", 0, 0xFFFFFFFF, &err),
                     -EINVAL);
    vivo_err_clear(&err);
    assert_int_equal(vivo_dcm_write_sequence(w, 0x00880200, false, &err), 0);
    assert_int_equal(vivo_dcm_write_item(w, false, &err), 0);
    assert_int_equal(vivo_dcm_write_range(w, 0x7FE00010, "OW", 0, 0xFFFFFFFE, &err), 0);
    assert_int_equal(vivo_dcm_write_item_end(w, &err), -EINVAL);
    vivo_dcm_writer_free(w);
}

static void test_meta_is_fresh_and_its_length_right(void **state)
{
    struct vivo_dcm_writer *w = writer(ELE);
    const struct vivo_buf none = {0};
    struct vivo_buf out, events;
    struct vivo_err err = {0};
    (void)state;
    assert_int_equal(vivo_dcm_write_meta(w, "1.2.3", "1.2.3.45", ELE, &err), 0);
    assert_int_equal(vivo_dcm_write(w, 0x00080060, "CS", "CT", 2, &err), 0);
    gather(w, &none, &out);
    assert_memory_equal(out.data + 128, "DICM\x02\0\0\0UL\x04\0", 12);
    /* The data set begins where the group length says. */
    assert_memory_equal(out.data + 144 + vivo_le32(out.data + 140), "\x08\0\x60\0CS",
                        6);
    assert_int_equal(walk_text(out.data, out.len, 0, &events, &err), 0);
    for (const char *const *s =
             (const char *const[]){"META 0002,0001 OB 2 ", "META 0002,0002 UI 6 ",
                                   "META 0002,0003 UI 8 ", "META 0002,0010 UI 20 ",
                                   "META 0002,0012 UI 44 ", "META 0002,0013 SH 10 ",
                                   "DATASET", "ELEMENT 0008,0060 CS 2 ", "END", NULL};
         *s; s++)
        assert_non_null(strstr((char *)events.data, *s));
    assert_int_equal(vivo_dcm_write_meta(w, "1", "1", ELE, &err), -EINVAL);
    vivo_buf_free(&events);
    vivo_buf_free(&out);
    vivo_dcm_writer_free(w);
}

static void test_memory_has_a_maximum(void **state)
{
    struct vivo_dcm_writer *w = NULL;
    struct vivo_err err = {0};
    unsigned n = 0;
    (void)state;
    assert_int_equal(
        vivo_dcm_writer_new(vivo_dcm_syntax(ELE, strlen(ELE)), 1000, &w, &err), 0);
    while (n < 1000 && vivo_dcm_write_range(w, 0x7FE00010, "OB", 0, 2, &err) == 0)
        n++;
    assert_int_equal(err.errnum, ENOSPC);
    assert_true(n > 5 && n < 84); /* ranges count, too */
    vivo_dcm_writer_free(w);
}

static void test_misuse_is_refused(void **state)
{
    struct vivo_dcm_writer *w = writer(ELE);
    struct vivo_err err[8] = {{0}};
    size_t n;
    (void)state;
    assert_int_equal(vivo_dcm_write_item(w, true, &err[0]), -EINVAL);
    assert_int_equal(vivo_dcm_write_item_end(w, &err[1]), -EINVAL);
    assert_int_equal(vivo_dcm_write_sequence_end(w, &err[2]), -EINVAL);
    assert_int_equal(vivo_dcm_write(w, 0x00080060, "??", "CT", 2, &err[3]), -EINVAL);
    assert_int_equal(vivo_dcm_write_sequence(w, 0x00081140, true, &err[4]), 0);
    assert_int_equal(vivo_dcm_write(w, 0x00080060, "CS", "CT", 2, &err[5]), -EINVAL);
    assert_null(vivo_dcm_writer_pieces(w, &n)); /* the sequence is open */
    assert_int_equal(n, 0);
    vivo_dcm_writer_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_real_files_come_back_byte_for_byte),
        cmocka_unit_test(test_headers_differ_by_syntax),
        cmocka_unit_test(test_padding_follows_the_vr),
        cmocka_unit_test(test_what_is_too_long_for_its_vr_becomes_un),
        cmocka_unit_test(test_lengths_are_patched_around_ranges),
        cmocka_unit_test(test_big_endian_marks_and_lengths),
        cmocka_unit_test(test_ranges_above_4_gib_in_all_are_counted),
        cmocka_unit_test(test_meta_is_fresh_and_its_length_right),
        cmocka_unit_test(test_memory_has_a_maximum),
        cmocka_unit_test(test_misuse_is_refused),
    };
    struct vivo_err err = {0};

    if (vivo_dcm_global_init(&err)) {
        print_error("%s\n", err.text);
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
