/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_deid_frames.c -- what hides in compressed frames and beside samples.
 * Numbers are those of the adversarial cases. */
#include "deid_run.h"

#define J2K "1.2.840.10008.1.2.4.90"
#define LS "1.2.840.10008.1.2.4.80"
#define RLE "1.2.840.10008.1.2.5"

struct bytes {
    uint8_t b[200000];
    size_t n;
};

static void put(struct bytes *f, const void *p, size_t n)
{
    memcpy(f->b + f->n, p, n);
    f->n += n;
}

#define PUT(f, literal) put(f, literal, sizeof(literal) - 1)

static void segment(struct bytes *f, uint8_t marker, const void *p, size_t n)
{
    const uint8_t head[4] = {0xFF, marker, (uint8_t)((n + 2) >> 8), (uint8_t)(n + 2)};
    put(f, head, 4);
    put(f, p, n);
}

/* SOI, what is given, a baseline frame of one component, its scan's head. */
static void jpeg_begin(struct bytes *f)
{
    f->n = 0;
    PUT(f, "\xFF\xD8");
}

static void jpeg_scan(struct bytes *f, uint8_t process)
{
    segment(f, process, "\x08\0\x10\0\x10\x01\x01\x11\0", 9);
    segment(f, 0xDA, "\x01\x01\0\0\x3F\0", 6);
}

static void noise(struct bytes *f, size_t n)
{
    for (size_t i = 0; i < n; i++)
        f->b[f->n++] = (uint8_t)((i * 7 + i / 251) % 255);
}

static void pad(struct bytes *f)
{
    if (f->n & 1)
        f->b[f->n++] = 0;
}

/* The object with one frame, in `parts` fragments. */
static void make_encapsulated(struct make *m, const char *syntax, const uint8_t *b,
                              size_t n, size_t parts)
{
    make_ct(m, syntax);
    make_patient(m);
    make_us(m, 0x00280010, 16);
    make_us(m, 0x00280011, 16);
    make_head(m, VIVO_TAG_PixelData, "OB", 0xFFFFFFFFu);
    make_tag(m, 0xFFFEE000u);
    make_int(m, 0, 4);
    for (size_t i = 0; i < parts; i++) {
        size_t from = n / parts / 2 * 2 * i;
        size_t len = i + 1 == parts ? n - from : n / parts / 2 * 2;
        make_tag(m, 0xFFFEE000u);
        make_int(m, (uint32_t)len, 4);
        make_bytes(m, b + from, len);
    }
    make_tag(m, 0xFFFEE0DDu);
    make_int(m, 0, 4);
}

/* Runs the frame and gives where its first byte is in the result. */
static uint8_t *serve(struct run *r, struct make *m, const char *syntax,
                      struct bytes *f, size_t parts)
{
    pad(f);
    make_encapsulated(m, syntax, f->b, f->n, parts);
    run_profile(r, "basic", m);
    assert_string_equal(r->err.text, "");
    assert_int_equal(r->n > f->n, 1);
    return r->b + r->n - f->n - 8 * (parts - 1) - 8;
}

static bool all_zero(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i])
            return false;
    return true;
}

static struct bytes f; /* large */

static void test_67_jpeg_comments_and_applications_are_gone(void **state)
{
    static const char jfif[] = "JFIF\0\1\2\0\0\1\0\1\2\1THUMBTOKEN";
    static const char adobe[] = "Adobe\0\x64\0\0\0\0\1TRAILTOKEN";
    struct make m;
    struct run r;
    (void)state;
    jpeg_begin(&f);
    segment(&f, 0xE0, jfif, sizeof jfif - 1);
    segment(&f, 0xE1, "Exif\0\0EXIFTOKEN", 15);
    segment(&f, 0xE2, "ICC_PROFILE\0ICCTOKEN", 20);
    segment(&f, 0xED, "IPTCTOKEN", 9);
    segment(&f, 0xEE, adobe, sizeof adobe - 1);
    segment(&f, 0xFE, "DOE^JANE", 8);
    segment(&f, 0xF2, "RESERVEDTOKEN", 13);
    segment(&f, 0xDB, "\0QUANTIZATION", 13);
    jpeg_scan(&f, 0xC0);
    noise(&f, 3000);
    PUT(&f, "\xFF\xD9"
            "TAILTOKEN");
    uint8_t *out = serve(&r, &m, MAKE_JPEG, &f, 1);
    assert_false(has_token(&r, "TOKEN"));
    assert_false(has_token(&r, "DOE^JANE"));
    assert_true(has_token(&r, "QUANTIZATION"));
    assert_memory_equal(out + 6, "JFIF\0\1\2\0\0\1\0\1\2\1", 14);
    assert_true(has_bytes(r.b, r.n, "Adobe\0\x64\0\0\0\0\1", 12));
    size_t scan = f.n - 3000 - 12;
    assert_memory_equal(out + scan, f.b + scan, 3000);
    assert_true(all_zero(out + f.n - 9, 9));
    finish(&r, &m);
}

/* A comment whose bytes lie in two fragments; lengths stay. */
static void test_67_a_comment_across_fragments_is_gone(void **state)
{
    struct make m;
    struct run r;
    (void)state;
    jpeg_begin(&f);
    segment(&f, 0xFE, "0123456789 DOE^JANE 0123456789 DOE^JANE", 39);
    jpeg_scan(&f, 0xC0);
    noise(&f, 20);
    PUT(&f, "\xFF\xD9");
    serve(&r, &m, MAKE_JPEG, &f, 3);
    assert_false(has_token(&r, "0123"));
    assert_false(has_token(&r, "JANE"));
    assert_int_equal(look_at(&r, VIVO_TAG_PixelData, 0).count, 1);
    finish(&r, &m);
}

/* Between scans, and behind the only one. */
static void test_67_comments_after_scans_are_gone(void **state)
{
    struct make m;
    struct run r;
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        static const size_t lengths[] = {500, 90000, 150000};
        jpeg_begin(&f);
        jpeg_scan(&f, i == 1 ? 0xC2 : 0xC0);
        noise(&f, lengths[i]);
        segment(&f, 0xFE, "DOE^JANE", 8);
        segment(&f, 0xDA, "\x01\x01\0\0\x3F\0", 6);
        noise(&f, 200);
        PUT(&f, "\xFF\xD9");
        serve(&r, &m, MAKE_JPEG, &f, 1);
        assert_false(has_token(&r, "JANE"));
        finish(&r, &m);
    }
}

static void test_67_jpeg_ls_keeps_its_colour_transform_only(void **state)
{
    struct make m;
    struct run r;
    (void)state;
    jpeg_begin(&f);
    segment(&f, 0xE8, "mrfx\1LSTOKEN", 12);
    segment(&f, 0xFE, "DOE^JANE", 8);
    segment(&f, 0xF8, "\1\0\xFF\0\3\0\7\0\x15\0\x40", 11);
    jpeg_scan(&f, 0xF7);
    noise(&f, 300);
    PUT(&f, "\xFF\x7F\xFF\xD9");
    uint8_t *out = serve(&r, &m, LS, &f, 1);
    assert_false(has_token(&r, "TOKEN"));
    assert_false(has_token(&r, "JANE"));
    assert_memory_equal(out + 6, "mrfx\1\0", 6);
    finish(&r, &m);
}

static void codestream(struct bytes *b, uint32_t psot)
{
    const uint8_t sot[12] = {0xFF,
                             0x90,
                             0,
                             10,
                             0,
                             0,
                             (uint8_t)(psot >> 24),
                             (uint8_t)(psot >> 16),
                             (uint8_t)(psot >> 8),
                             (uint8_t)psot,
                             0,
                             1};
    PUT(b, "\xFF\x4F");
    segment(b, 0x51, "sizsizsizsizsizsizsizsizsizsizsizsizsiz", 39);
    segment(b, 0x64, "\0\1DOE^JANE", 10);
    segment(b, 0x52, "codcodcodc", 10);
    put(b, sot, sizeof sot);
    segment(b, 0x64, "\0\1TILETOKEN", 11);
    PUT(b, "\xFF\x93");
    noise(b, 1000);
}

static void test_67_jpeg_2000_comments_are_gone(void **state)
{
    struct make m;
    struct run r;
    (void)state;
    f.n = 0;
    codestream(&f, 12 + 15 + 2 + 1000);
    PUT(&f, "\xFF\xD9"
            "ENDTOKEN");
    uint8_t *out = serve(&r, &m, J2K, &f, 1);
    assert_false(has_token(&r, "TOKEN"));
    assert_false(has_token(&r, "JANE"));
    assert_true(has_token(&r, "codcod"));
    assert_memory_equal(out + f.n - 1010, f.b + f.n - 1010, 1002);
    finish(&r, &m);
}

static void box(struct bytes *b, const char *type, const void *p, size_t n)
{
    const uint8_t len[4] = {0, 0, (uint8_t)((n + 8) >> 8), (uint8_t)(n + 8)};
    put(b, len, 4);
    put(b, type, 4);
    put(b, p, n);
}

static void test_67_boxes_of_text_are_gone(void **state)
{
    static struct bytes inner, head;
    struct make m;
    struct run r;
    (void)state;
    f.n = inner.n = head.n = 0;
    box(&head, "ihdr", "\0\0\0\x10\0\0\0\x10\0\1\7\7\0\0", 14);
    box(&head, "colr", "\2\0\0ICCTOKEN", 11);
    box(&head, "colr", "\1\0\0\0\0\0\x11", 7);
    codestream(&inner, 0);
    box(&f, "jP  ", "\r\n\x87\n", 4);
    box(&f, "ftyp", "jp2 \0\0\0\0jp2 ", 12);
    box(&f, "xml ", "<p>XMLTOKEN</p>", 15);
    box(&f, "jp2h", head.b, head.n);
    box(&f, "uuid", "0123456789ABCDEFXMPTOKEN", 24);
    box(&f, "jp2c", inner.b, inner.n);
    box(&f, "uinf", "URLTOKEN", 8);
    serve(&r, &m, J2K, &f, 1);
    assert_false(has_token(&r, "TOKEN"));
    assert_false(has_token(&r, "JANE"));
    assert_false(has_token(&r, "xml "));
    assert_true(has_bytes(r.b, r.n, "colr\1\0\0\0\0\0\x11", 11));
    finish(&r, &m);
}

/* A frame that is none: nobody knows what it says. */
static void test_67_what_is_no_frame_is_refused(void **state)
{
    static const char *const syntaxes[] = {MAKE_JPEG, J2K, LS, RLE};
    (void)state;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(syntaxes); i++) {
        struct make m;
        struct run r;
        make_encapsulated(&m, syntaxes[i], (const uint8_t *)"DOE^JANE IN A FRAME ", 20,
                          1);
        run_profile(&r, "basic", &m);
        assert_int_equal(r.rc, -EBADMSG);
        finish(&r, &m);
    }
}

static void test_67_malformed_segments_are_refused(void **state)
{
    static const char *const frames[] = {"\xFF\xD8\xFF\xFE\0\1DOE^JANE",
                                         "\xFF\xD8garbageDOE^JANE"};
    (void)state;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(frames); i++) {
        struct make m;
        struct run r;
        make_encapsulated(&m, MAKE_JPEG, (const uint8_t *)frames[i], 14, 1);
        run_profile(&r, "basic", &m);
        assert_int_equal(r.rc, -EBADMSG);
        finish(&r, &m);
    }
}

static void test_deid_none_leaves_frames_alone(void **state)
{
    struct make m;
    struct run r;
    (void)state;
    jpeg_begin(&f);
    segment(&f, 0xFE, "DOE^JANE", 8);
    jpeg_scan(&f, 0xC0);
    PUT(&f, "\xFF\xD9");
    make_encapsulated(&m, MAKE_JPEG, f.b, f.n, 1);
    run_profile(&r, "none", &m);
    assert_int_equal(r.n, m.n);
    assert_memory_equal(r.b, m.b, m.n);
    finish(&r, &m);
}

/* 66: a table that points nowhere, or says something, is made right. */
static void test_66_a_wrong_offset_table_is_made_right(void **state)
{
    static const uint8_t right[8] = {0, 0, 0, 0, 36, 0, 0, 0};
    struct make m;
    struct run r;
    (void)state;
    jpeg_begin(&f);
    jpeg_scan(&f, 0xC0);
    PUT(&f, "\1\2\xFF\xD9");
    pad(&f);
    make_ct(&m, MAKE_JPEG);
    make_patient(&m);
    make_text(&m, 0x00280008, "IS", "2");
    make_head(&m, VIVO_TAG_PixelData, "OB", 0xFFFFFFFFu);
    make_tag(&m, 0xFFFEE000u);
    make_int(&m, 8, 4);
    make_bytes(&m, "JANE^DOE", 8);
    for (int i = 0; i < 2; i++) {
        make_tag(&m, 0xFFFEE000u);
        make_int(&m, (uint32_t)f.n, 4);
        make_bytes(&m, f.b, f.n);
    }
    make_tag(&m, 0xFFFEE0DDu);
    make_int(&m, 0, 4);
    run_profile(&r, "basic", &m);
    assert_string_equal(r.err.text, "");
    assert_false(has_token(&r, "JANE"));
    struct lookup l = look_at(&r, VIVO_TAG_PixelData, 0);
    uint8_t want[8];
    memcpy(want, right, 8);
    want[4] = (uint8_t)(f.n + 8);
    assert_memory_equal(r.b + l.offset + 8, want, 8);
    finish(&r, &m);
}

/* ---- overlays in unused bits
 * --------------------------------------------------------- */

static void make_overlay(struct make *m, uint16_t position)
{
    uint8_t cells[32];
    make_ct(m, MAKE_ELE);
    make_patient(m);
    make_us(m, 0x00280002, 1);
    make_text(m, 0x00280004, "CS", "MONOCHROME2");
    make_us(m, 0x00280010, 4);
    make_us(m, 0x00280011, 4);
    make_us(m, 0x00280100, 16);
    make_us(m, 0x00280101, 12);
    make_us(m, 0x00280102, 11);
    make_us(m, 0x00280103, 0);
    make_text(m, 0x60000040, "CS", "R");
    make_us(m, 0x60000100, 16);
    make_us(m, 0x60000102, position);
    for (unsigned i = 0; i < 16; i++)
        vivo_put_le16(cells + 2 * i, (uint16_t)(0xF000 | (i * 200 + 7)));
    make_value(m, 0x7FE00010, "OW", cells, sizeof cells);
}

static void check_cells(const struct run *r, uint16_t high)
{
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(vivo_le16(r->b + r->n - 32 + 2 * i), high | (i * 200 + 7));
}

static void test_72_an_overlay_in_the_pixels_is_zero(void **state)
{
    struct make m;
    struct run r;
    (void)state;
    make_overlay(&m, 12);
    run_profile(&r, "basic", &m);
    assert_string_equal(r.err.text, "");
    check_cells(&r, 0xE000); /* the bit of the plane and no other */
    assert_false(is_there(&r, 0x60000102, 0));
    finish(&r, &m);
    make_overlay(&m, 5); /* one that claims a bit of the samples */
    run_profile(&r, "basic", &m);
    check_cells(&r, 0xF000);
    finish(&r, &m);
    make_overlay(&m, 12); /* a region of interest stays: so do its bits */
    run_profile(&r, "basic+clean-graphics", &m);
    check_cells(&r, 0xF000);
    finish(&r, &m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_67_jpeg_comments_and_applications_are_gone),
        cmocka_unit_test(test_67_a_comment_across_fragments_is_gone),
        cmocka_unit_test(test_67_comments_after_scans_are_gone),
        cmocka_unit_test(test_67_jpeg_ls_keeps_its_colour_transform_only),
        cmocka_unit_test(test_67_jpeg_2000_comments_are_gone),
        cmocka_unit_test(test_67_boxes_of_text_are_gone),
        cmocka_unit_test(test_67_what_is_no_frame_is_refused),
        cmocka_unit_test(test_67_malformed_segments_are_refused),
        cmocka_unit_test(test_deid_none_leaves_frames_alone),
        cmocka_unit_test(test_66_a_wrong_offset_table_is_made_right),
        cmocka_unit_test(test_72_an_overlay_in_the_pixels_is_zero),
    };
    return cmocka_run_group_tests(tests, deid_setup, NULL);
}
