/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_deid_object.c -- whole objects: layout, pixels left in place, reads
 * at any offset. Numbers as in test_deid_nesting.c. */
#include "deid_run.h"

#include <fcntl.h>
#include <sys/stat.h>

#define FILES VIVO_TEST_PYDICOM "/test_files/"

static void read_file(const char *path, struct vivo_buf *b)
{
    struct vivo_err err = {0};
    vivo_buf_init(b, 64u << 20);
    if (vivo_file_read(path, 64u << 20, b, &err))
        fail_msg("%s", err.text);
}

static void run_file(struct run *r, const char *words, const char *name)
{
    char path[512];
    struct vivo_buf b;
    snprintf(path, sizeof path, FILES "%s", name);
    read_file(path, &b);
    struct make m = {.b = b.data, .n = b.len};
    run_profile(r, words, &m);
    vivo_buf_free(&b);
}

static void test_pixels_are_byte_equal(void **state)
{
    static const char *const syntaxes[] = {MAKE_ELE, MAKE_ILE, MAKE_EBE};
    (void)state;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(syntaxes); i++) {
        struct make m;
        struct run r;
        make_ct(&m, syntaxes[i]);
        make_patient(&m);
        make_pixels(&m);
        run_profile(&r, "basic", &m);
        struct lookup l = look_at(&r, VIVO_TAG_PixelData, 0);
        assert_int_equal(l.length, 64);
        assert_memory_equal(r.b + l.offset, m.b + m.n - 64, 64);
        assert_string_equal(look_at(&r, 0x00020010, 0).value, syntaxes[i]);
        finish(&r, &m);
    }
}

/* 80: any pread is the same slice of the whole. Seed fixed. */
static void test_pread_equals_slices(void **state)
{
    struct run r;
    uint8_t part[4096];
    uint32_t seed = 20261122;
    (void)state;
    run_file(&r, "basic", "CT_small.dcm");
    assert_int_equal(r.rc, 0);
    for (int i = 0; i < 2000; i++) {
        seed = seed * 1664525u + 1013904223u;
        uint64_t off = (seed >> 8) % (r.n + 64);
        size_t len = (seed >> 4) % sizeof part;
        ssize_t want = off >= r.n ? 0 : (ssize_t)VIVO_MIN(len, r.n - off);
        assert_int_equal(vivo_view_pread(r.view, part, len, off, &r.err), want);
        if (want)
            assert_memory_equal(part, r.b + off, (size_t)want);
    }
    assert_true(vivo_view_memory(r.view) < r.n / 2);
    run_free(&r);
}

/* 60, 61, 62: preamble, file meta and group lengths. */
static void test_meta_and_preamble_are_fresh(void **state)
{
    struct make m;
    struct run r;
    (void)state;
    make_file(&m, MAKE_ELE, MAKE_CT, "1.2.826.0.1.99.1");
    make_head(&m, 0x00080000, "UL", 4);
    make_int(&m, 1234, 4);
    make_text(&m, 0x00080001, "UL", "RECG");
    make_text(&m, 0x00080010, "SH", "RECOTOKEN");
    make_text(&m, 0x00080016, "UI", MAKE_CT);
    make_text(&m, 0x00080018, "UI", "1.2.826.0.1.99.1");
    make_patient(&m);
    run_profile(&r, "basic", &m);
    assert_int_equal(r.rc, 0);
    for (size_t i = 0; i < 128; i++)
        assert_int_equal(r.b[i], 0);
    assert_memory_equal(r.b + 128, "DICM", 4);
    assert_false(has_token(&r, "PREAMBLETOKEN"));
    assert_false(has_token(&r, "METATOKEN"));
    assert_false(has_token(&r, "1.2.3.4.5.6"));
    assert_false(has_token(&r, "RECOTOKEN"));
    assert_false(is_there(&r, 0x00080000, 0));
    assert_false(is_there(&r, 0x00080001, 0));
    assert_false(is_there(&r, 0x00020016, 0));
    struct lookup l = look_at(&r, VIVO_TAG_SOPInstanceUID, 0);
    assert_string_equal(look_at(&r, 0x00020003, 0).value, l.value);
    assert_memory_equal(l.value, "2.25.", 5);
    finish(&r, &m);
}

/* 50: what one file calls its instance another calls its reference. */
static void test_links_hold_between_objects(void **state)
{
    struct make a, b;
    struct run ra, rb;
    (void)state;
    make_ct(&a, MAKE_ELE);
    make_patient(&a);
    make_ct(&b, MAKE_ILE);
    make_sequence(&b, 0x00082112, true);
    make_item(&b, true);
    make_text(&b, 0x00081155, "UI", "1.2.826.0.1.99.1");
    make_item_end(&b);
    make_sequence_end(&b);
    run_profile(&ra, "basic", &a);
    run_profile(&rb, "basic", &b);
    struct lookup l = look_at(&ra, VIVO_TAG_SOPInstanceUID, 0);
    assert_string_equal(look_at(&rb, 0x00081155, 1).value, l.value);
    finish(&ra, &a);
    finish(&rb, &b);
}

/* 57: deflated comes as explicit little endian. */
static void test_deflated_is_served_explicit(void **state)
{
    struct run r;
    (void)state;
    run_file(&r, "basic", "image_dfl.dcm");
    assert_string_equal(r.err.text, "");
    assert_string_equal(look_at(&r, 0x00020010, 0).value, MAKE_ELE);
    assert_int_equal(look_at(&r, VIVO_TAG_PixelData, 0).length, 512 * 512);
    run_free(&r);
}

static void test_big_endian_keeps_numbers(void **state)
{
    struct run r;
    (void)state;
    run_file(&r, "basic", "MR_small_bigendian.dcm");
    assert_int_equal(r.rc, 0);
    struct lookup l = look_at(&r, VIVO_TAG_Rows, 0);
    assert_int_equal(l.length, 2);
    assert_int_equal((uint8_t)l.value[1], 64);
    run_free(&r);
}

/* 59: a file without a meta gets one. */
static void test_no_meta_gets_one(void **state)
{
    struct run r;
    (void)state;
    run_file(&r, "basic", "ExplVR_LitEndNoMeta.dcm");
    assert_string_equal(r.err.text, "");
    assert_memory_equal(r.b + 128, "DICM", 4);
    assert_string_equal(look_at(&r, 0x00020010, 0).value, MAKE_ELE);
    run_free(&r);
}

/* 63: a second object behind the first. */
static void test_second_object_is_gone_or_refused(void **state)
{
    struct make m, second;
    struct run r;
    (void)state;
    make_ct(&m, MAKE_ELE);
    make_patient(&m);
    make_pixels(&m);
    make_ct(&second, MAKE_ELE);
    make_text(&second, 0x00100010, "PN", "SECONDTOKEN");
    make_bytes(&m, second.b, second.n);
    run_profile(&r, "basic", &m);
    assert_false(has_token(&r, "SECONDTOKEN"));
    assert_false(has_token(&r, "METATOKEN"));
    assert_true(r.rc == 0 || r.rc == -EBADMSG);
    free(second.b);
    finish(&r, &m);
}

/* 64: cut in the header: nothing; cut in the pixels: cut there. */
static void test_cut_header_fails_cut_pixels_are_cut(void **state)
{
    struct make m;
    struct run r;
    (void)state;
    make_ct(&m, MAKE_ELE);
    make_patient(&m);
    make_pixels(&m);
    size_t whole = m.n;
    m.n = whole - 20;
    run_profile(&r, "basic", &m);
    assert_int_equal(r.rc, 0);
    assert_memory_equal(r.b + r.n - 44, m.b + whole - 64, 44);
    run_free(&r);
    m.n = whole - 64 - 30;
    run_profile(&r, "basic", &m);
    assert_int_equal(r.rc, -EBADMSG);
    finish(&r, &m);
    run_file(&r, "basic", "rtplan_truncated.dcm");
    assert_int_equal(r.rc, -EBADMSG);
    run_free(&r);
    run_file(&r, "basic", "MR_truncated.dcm");
    assert_int_equal(r.rc, 0);
    run_free(&r);
}

/* Cut at every byte: an object or an error, and never a name. */
static void test_cut_anywhere_never_leaks(void **state)
{
    struct make m;
    struct run r;
    (void)state;
    make_ct(&m, MAKE_ELE);
    make_sequence(&m, 0x00081140, false);
    make_item(&m, true);
    make_text(&m, 0x00100010, "PN", "NAMETOKEN");
    make_item_end(&m);
    make_sequence_end(&m);
    make_patient(&m);
    make_pixels(&m);
    for (size_t n = m.n; n > 0; n--) {
        struct make cut = {.b = m.b, .n = n - 1};
        run_profile(&r, "basic", &cut);
        assert_true(r.rc == 0 || r.rc == -EBADMSG);
        assert_false(has_token(&r, "NAMETOKEN"));
        assert_false(has_token(&r, "IDTOKEN77"));
        run_free(&r);
    }
    free(m.b);
}

/* 65 */
static void test_what_is_no_dicom_is_refused(void **state)
{
    static const char text[] = "This is a text file that somebody called .dcm, long "
                               "enough to hold a preamble and four letters, and then "
                               "some more text to make sure that it is long enough.";
    char zeros[131] = {0};
    struct run r;
    (void)state;
    const struct make cases[] = {
        {.b = (uint8_t *)zeros, .n = 0},
        {.b = (uint8_t *)zeros, .n = sizeof zeros},
        {.b = (uint8_t *)(uintptr_t)text, .n = sizeof text},
        {.b = (uint8_t *)(uintptr_t) "PK\3\4", .n = 4},
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(cases); i++) {
        run_profile(&r, "basic", &cases[i]);
        assert_int_equal(r.rc, -EBADMSG);
        assert_int_equal(r.report.refusal, VIVO_REFUSAL_UNPARSABLE);
        run_free(&r);
    }
}

/* 66: fragments with their table, byte for byte. */
static void test_fragments_are_byte_equal(void **state)
{
    struct make m;
    struct run r;
    (void)state;
    make_ct(&m, MAKE_JPEG);
    make_patient(&m);
    make_head(&m, VIVO_TAG_PixelData, "OB", 0xFFFFFFFFu);
    size_t at = m.n;
    make_tag(&m, 0xFFFEE000u);
    make_int(&m, 4, 4);
    make_int(&m, 0, 4); /* basic offset table */
    for (int i = 0; i < 3; i++) {
        make_tag(&m, 0xFFFEE000u);
        make_int(&m, 10, 4);
        make_bytes(&m, i ? "\xFF\0fragment" : "\xFF\xD8\xFF\xDA\0\3\1abc", 10);
    }
    make_tag(&m, 0xFFFEE0DDu);
    make_int(&m, 0, 4);
    run_profile(&r, "basic", &m);
    assert_string_equal(r.err.text, "");
    assert_memory_equal(r.b + r.n - (m.n - at), m.b + at, m.n - at);
    assert_string_equal(look_at(&r, 0x00020010, 0).value, MAKE_JPEG);
    finish(&r, &m);
}

/* 68: larger than 4 GiB, as a hole: only the header is read. */
static void test_large_object_is_not_read(void **state)
{
    const uint64_t length = 0xFFFFFFF0u;
    struct make m;
    struct vivo_err err = {0};
    struct vivo_view *v = NULL;
    struct vivo_identity id;
    (void)state;
    make_ct(&m, MAKE_ELE);
    make_patient(&m);
    make_head(&m, VIVO_TAG_PixelData, "OW", (uint32_t)length);
    int fd = test_fd(m.b, m.n);
    assert_int_equal(ftruncate(fd, (off_t)(m.n + length)), 0);
    assert_int_equal(vivo_identity_of(fd, &id, NULL), 0);
    struct vivo_key *k = test_key('k');
    struct vivo_deid *d = test_profile("basic", VIVO_BURNED_IN_REFUSE, k);
    assert_int_equal(vivo_deid_object(d, fd, &id, m.n + length, &v, NULL, NULL, &err),
                     0);
    assert_true(vivo_view_size(v) > length);
    assert_true(vivo_view_memory(v) < 4096);
    uint8_t last[16];
    assert_int_equal(vivo_view_pread(v, last, 16, vivo_view_size(v) - 16, &err), 16);
    vivo_view_unref(v);
    vivo_deid_free(d);
    vivo_key_free(k);
    free(m.b);
}

/* 72, 62: overlays and curves whole. */
static void test_overlays_and_curves_are_gone(void **state)
{
    struct make m;
    struct run r;
    (void)state;
    make_ct(&m, MAKE_ELE);
    make_patient(&m);
    make_value(&m, 0x50003000, "OW", "CURVETOKEN", 10);
    make_text(&m, 0x50020022, "LO", "CURVETOKEN");
    make_us(&m, 0x60000010, 4);
    make_text(&m, 0x60000022, "LO", "OVERTOKEN");
    make_text(&m, 0x601E1500, "LO", "OVERTOKEN");
    make_value(&m, 0x60023000, "OW", "OVERTOKEN ", 10);
    run_profile(&r, "basic", &m);
    assert_int_equal(r.rc, 0);
    assert_false(has_token(&r, "CURVETOKEN"));
    assert_false(has_token(&r, "OVERTOKEN"));
    assert_false(is_there(&r, 0x60000010, 0));
    finish(&r, &m);
}

/* 87: same key, same bytes; another key, other bytes and no UID in common. */
static void test_bytes_depend_on_key_alone(void **state)
{
    struct make m;
    struct run a, b, c;
    (void)state;
    make_ct(&m, MAKE_ELE);
    make_patient(&m);
    make_study(&m);
    make_pixels(&m);
    run_profile(&a, "basic", &m);
    run_profile(&b, "basic", &m);
    struct vivo_key *l = test_key('l');
    struct vivo_deid *d = test_profile("basic", VIVO_BURNED_IN_REFUSE, l);
    run_bytes(&c, d, m.b, m.n);
    assert_int_equal(a.n, b.n);
    assert_memory_equal(a.b, b.b, a.n);
    static const uint32_t tags[] = {0x00080018, 0x0020000D, 0x0020000E, 0x00100020};
    for (size_t i = 0; i < VIVO_ARRAY_LEN(tags); i++) {
        struct lookup x = look_at(&a, tags[i], 0), y = look_at(&c, tags[i], 0);
        assert_string_not_equal(x.value, y.value);
    }
    vivo_deid_free(d);
    vivo_key_free(l);
    run_free(&b);
    run_free(&c);
    finish(&a, &m);
}

/* 81: rewritten in place between the header pass and a read. */
static void test_changed_source_is_an_error(void **state)
{
    struct make m;
    struct vivo_err err = {0};
    struct vivo_view *v = NULL;
    struct vivo_identity id;
    (void)state;
    make_ct(&m, MAKE_ELE);
    make_patient(&m);
    make_pixels(&m);
    char path[] = "/tmp/vivofs-obj-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(vivo_pwrite_full(fd, m.b, m.n, 0, &err), 0);
    assert_int_equal(vivo_identity_of(fd, &id, NULL), 0);
    struct vivo_key *k = test_key('k');
    struct vivo_deid *d = test_profile("basic", VIVO_BURNED_IN_REFUSE, k);
    assert_int_equal(vivo_deid_object(d, fd, &id, m.n, &v, NULL, NULL, &err), 0);
    int w = open(path, O_WRONLY | O_TRUNC);
    assert_true(w >= 0);
    uint8_t b[64];
    assert_true(vivo_view_pread(v, b, 64, vivo_view_size(v) - 64, &err) < 0);
    close(w);
    unlink(path);
    vivo_view_unref(v);
    vivo_deid_free(d);
    vivo_key_free(k);
    free(m.b);
}

static void test_none_is_the_source(void **state)
{
    struct make m;
    struct run r;
    (void)state;
    make_ct(&m, MAKE_ELE);
    make_patient(&m);
    make_pixels(&m);
    struct vivo_deid *d = test_profile("none", VIVO_BURNED_IN_REFUSE, NULL);
    run_bytes(&r, d, m.b, m.n);
    assert_int_equal(r.n, m.n);
    assert_memory_equal(r.b, m.b, m.n);
    int fd = -1;
    assert_true(vivo_view_is_plain(r.view, &fd));
    struct vivo_attrs a = {r.attrs.data, r.attrs.len};
    char id[32];
    assert_true(vivo_attrs_text(a, VIVO_TAG_PatientID, id, sizeof id));
    assert_string_equal(id, "IDTOKEN77");
    vivo_deid_free(d);
    finish(&r, &m);
}

/* The attributes are those of the result. */
static void test_attrs_are_of_the_result(void **state)
{
    struct run r;
    char text[80];
    (void)state;
    run_file(&r, "basic", "CT_small.dcm");
    struct vivo_attrs a = {r.attrs.data, r.attrs.len};
    assert_true(vivo_attrs_text(a, VIVO_TAG_PatientID, text, sizeof text));
    assert_string_equal(text, look_at(&r, VIVO_TAG_PatientID, 0).value);
    assert_true(vivo_attrs_text(a, VIVO_TAG_Manufacturer, text, sizeof text));
    assert_string_equal(text, "GE MEDICAL SYSTEMS");
    assert_true(vivo_attrs_text(a, VIVO_TAG_SliceThickness, text, sizeof text));
    assert_false(vivo_attrs_text(a, VIVO_TAG_InstitutionName, text, sizeof text));
    run_free(&r);
}

/* Real objects: all can be walked afterwards, or were refused for their content. */
static void test_real_files_walk_cleanly(void **state)
{
    static const char *const names[] = {
        "CT_small.dcm",          "MR_small.dcm",
        "MR_small_implicit.dcm", "MR_small_RLE.dcm",
        "JPEG2000.dcm",          "rtplan.dcm",
        "rtstruct.dcm",          "rtdose.dcm",
        "rtdose_rle.dcm",        "waveform_ecg.dcm",
        "test-SR.dcm",           "SC_rgb_jpeg_dcmtk.dcm",
        "liver_1frame.dcm",      "badVR.dcm",
        "UN_sequence.dcm",       "nested_priv_SQ.dcm",
        "priv_SQ.dcm",           "reportsi.dcm",
        "liver_expb_1frame.dcm", "693_J2KI.dcm",
        "JPEG-lossy.dcm",        "meta_missing_tsyntax.dcm",
        "SC_rgb_jpeg.dcm",       "JPEG2000-embedded-sequence-delimiter.dcm",
    };
    (void)state;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(names); i++) {
        struct run r;
        run_file(&r, "basic", names[i]);
        if (r.rc)
            fail_msg("%s: %s", names[i], r.err.text);
        assert_value(&r, 0x00120062, "YES");
        run_free(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pixels_are_byte_equal),
        cmocka_unit_test(test_pread_equals_slices),
        cmocka_unit_test(test_meta_and_preamble_are_fresh),
        cmocka_unit_test(test_links_hold_between_objects),
        cmocka_unit_test(test_deflated_is_served_explicit),
        cmocka_unit_test(test_big_endian_keeps_numbers),
        cmocka_unit_test(test_no_meta_gets_one),
        cmocka_unit_test(test_second_object_is_gone_or_refused),
        cmocka_unit_test(test_cut_header_fails_cut_pixels_are_cut),
        cmocka_unit_test(test_cut_anywhere_never_leaks),
        cmocka_unit_test(test_what_is_no_dicom_is_refused),
        cmocka_unit_test(test_fragments_are_byte_equal),
        cmocka_unit_test(test_large_object_is_not_read),
        cmocka_unit_test(test_overlays_and_curves_are_gone),
        cmocka_unit_test(test_bytes_depend_on_key_alone),
        cmocka_unit_test(test_changed_source_is_an_error),
        cmocka_unit_test(test_none_is_the_source),
        cmocka_unit_test(test_attrs_are_of_the_result),
        cmocka_unit_test(test_real_files_walk_cleanly),
    };
    return cmocka_run_group_tests(tests, deid_setup, NULL);
}
