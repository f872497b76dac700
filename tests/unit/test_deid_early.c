/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_deid_early.c -- a header pass over the beginning of an object: the
 * same bytes as over all of it, or none. */
#include "deid_run.h"

#define FILES VIVO_TEST_PYDICOM "/test_files/"

/* Of all files and profiles: passes that did not need the whole. */
static unsigned early;

/* What has not come is garbage in the file, until after the pass. */
static void pass(const struct vivo_deid *d, const struct vivo_buf *b, uint64_t here,
                 const struct run *whole)
{
    struct vivo_err err = {0};
    struct vivo_view *v = NULL;
    uint64_t need = 0;
    VIVO_AUTO(vivo_free_p) uint8_t *bytes = malloc(b->len);
    assert_non_null(bytes);
    memcpy(bytes, b->data, here);
    memset(bytes + here, 0xE5, b->len - here);
    int fd = test_fd(bytes, b->len);
    int rc = vivo_deid_early(d, fd, b->len, here, &v, &need, &err);
    if (rc) {
        assert_null(v);
        assert_true(rc != -EAGAIN || (need > here && need <= b->len && !err.errnum));
        assert_true(rc != -EOPNOTSUPP || whole->rc == 0);
        assert_int_equal(close(fd), 0);
        return;
    }
    assert_int_equal(whole->rc, 0);
    early += here < b->len;
    assert_int_equal(vivo_pwrite_full(fd, b->data, b->len, 0, &err), 0);
    assert_int_equal(vivo_view_size(v), whole->n);
    VIVO_AUTO(vivo_free_p) uint8_t *got = malloc(whole->n + 1);
    assert_non_null(got);
    assert_int_equal(vivo_view_pread(v, got, whole->n, 0, &err), whole->n);
    assert_memory_equal(got, whole->b, whole->n);
    vivo_view_unref(v);
}

static unsigned passes(const char *words, const char *name)
{
    char path[512];
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf b = {0};
    struct vivo_err err = {0};
    struct run whole;
    struct vivo_key *k = test_key('k');
    struct vivo_deid *d = test_profile(words, VIVO_BURNED_IN_REFUSE, k);
    snprintf(path, sizeof path, FILES "%s", name);
    vivo_buf_init(&b, 64u << 20);
    assert_int_equal(vivo_file_read(path, b.max, &b, &err), 0);
    early = 0;
    run_bytes(&whole, d, b.data, b.len);
    for (uint64_t here = 0; here < b.len; here += 1 + b.len / 61)
        pass(d, &b, here, &whole);
    pass(d, &b, b.len, &whole);
    run_free(&whole);
    vivo_deid_free(d);
    vivo_key_free(k);
    return early;
}

static void test_same_bytes_or_none(void **state)
{
    static const struct {
        const char *name;
        bool can;
    } files[] = {
        /* longer than what is read at once */
        {"CT_small.dcm", false}, /* padding stands behind its pixels */
        {"liver_1frame.dcm", true},
        {"liver_expb_1frame.dcm", true}, /* big endian */
        {"SC_ybr_full_422_uncompressed.dcm", true},
        {"J2K_pixelrep_mismatch.dcm", false}, /* fragments */
        {"SC_rgb_jpeg_dcmd.dcm", true},
        {"no_meta.dcm", false},
        {"waveform_ecg.dcm", false},
        {"image_dfl.dcm", false}, /* deflated */
        {"MR_truncated.dcm", false},
    };
    (void)state;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(files); i++) {
        unsigned n = passes("basic", files[i].name);
        if (files[i].can != (n > 0))
            fail_msg("%s: %u early views", files[i].name, n);
        passes("research", files[i].name);
    }
}

static void test_none_needs_the_beginning_alone(void **state)
{
    (void)state;
    assert_true(passes("none", "waveform_ecg.dcm") > 0);
    assert_true(passes("none", "J2K_pixelrep_mismatch.dcm") > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bytes_or_none),
        cmocka_unit_test(test_none_needs_the_beginning_alone),
    };
    return cmocka_run_group_tests(tests, deid_setup, NULL);
}
