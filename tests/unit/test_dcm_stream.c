/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_dcm_stream.c -- how bytes reach the walker: in pieces of any
 * size, cut anywhere, with gaps that it did not ask for, deflated, beyond 4 GiB. */
#include "dcm_expect.h"
#include "dcm_files.h"

#include <zlib.h>

/* ---- pieces and cuts of real files -------------------------------------------- */

static void test_pieces_of_any_size_give_the_same_events(void **state)
{
    static const size_t pieces[] = {1, 2, 7, 4096};
    struct test_files *files = test_files_all();
    (void)state;
    assert_true(files->n > 150);
    for (size_t i = 0; i < files->n; i++) {
        struct vivo_buf data, whole, parts;
        test_file_read(files->path[i], &data);
        walk_text(data.data, data.len, 0, &whole, NULL);
        for (size_t p = 0; p < VIVO_ARRAY_LEN(pieces); p++) {
            walk_text(data.data, data.len, pieces[p], &parts, NULL);
            if (strcmp((char *)whole.data, (char *)parts.data))
                fail_msg("%s in pieces of %zu differs", files->path[i], pieces[p]);
            vivo_buf_free(&parts);
        }
        vivo_buf_free(&whole);
        vivo_buf_free(&data);
    }
    free(files);
}

/* Where a stream may be cut, learned from its whole walk. */
struct joints {
    uint64_t at[600]; /* beginnings of top-level elements, and the end */
    size_t n;
    uint64_t pixels, pixels_end; /* of the last top-level pixel data */
};

static int note_joints(void *ctx, enum vivo_dcm_event event,
                       const struct vivo_dcm_elem *e, struct vivo_err *err VIVO_UNUSED)
{
    struct joints *j = ctx;

    if (event == VIVO_DCM_META && e->tag <= 0x00020010)
        j->n = 0; /* without its transfer syntax a meta is no beginning */
    if (e->depth > 0 || event == VIVO_DCM_SEQUENCE_END ||
        (event == VIVO_DCM_META && e->tag <= 0x00020010))
        return 0;
    assert_true(j->n < VIVO_ARRAY_LEN(j->at));
    j->at[j->n++] = e->offset;
    if (event == VIVO_DCM_FRAGMENTS ||
        (event == VIVO_DCM_BULK && e->tag == 0x7FE00010)) {
        j->pixels = e->value_offset;
        j->pixels_end = e->value_offset + e->length;
    }
    return 0;
}

static bool may_end_at(const struct joints *j, const uint8_t *data, uint64_t cut,
                       bool *in_pixels)
{
    uint64_t joint = 0;

    *in_pixels = cut >= j->pixels && cut < j->pixels_end;
    for (size_t i = 0; i < j->n && j->at[i] <= cut; i++)
        joint = j->at[i];
    if (*in_pixels || (joint && joint == cut))
        return true;
    /* Zeros that are too few for an element are padding. */
    if (!joint || cut - joint >= 8)
        return false;
    while (joint < cut && data[joint] == 0)
        joint++;
    return joint == cut;
}

static int note_cut(void *ctx, enum vivo_dcm_event event, const struct vivo_dcm_elem *e,
                    struct vivo_err *err VIVO_UNUSED)
{
    unsigned *seen = ctx;

    if (e->cut)
        *seen |= 1;
    if (event == VIVO_DCM_END)
        *seen |= 2;
    return 0;
}

static void cut_everywhere(const char *name, const uint8_t *data, size_t len)
{
    static struct joints j;
    struct vivo_err err = {0};

    memset(&j, 0, sizeof j);
    assert_int_equal(walk_pieces(data, len, 0, -1, NULL, 0, note_joints, &j, &err), 0);
    for (size_t cut = 0; cut < len; cut++) {
        bool in_pixels, may = may_end_at(&j, data, cut, &in_pixels);
        unsigned seen = 0;
        int rc;
        err = (struct vivo_err){0};
        rc = walk_pieces(data, cut, 0, -1, NULL, 0, note_cut, &seen, &err);
        if (rc != (may ? 0 : -EBADMSG) || err.errnum != -rc)
            fail_msg("%s cut at %zu: %d %s", name, cut, rc, err.text);
        if (seen != (may ? 2u : 0u) + (in_pixels ? 1u : 0u))
            fail_msg("%s cut at %zu: seen %u", name, cut, seen);
    }
}

static void test_a_cut_anywhere_is_noticed(void **state)
{
    static const char *const names[] = {
        "CT_small.dcm",       "MR_small_implicit.dcm", "MR_small_RLE.dcm",
        "rtplan.dcm",         "reportsi.dcm",          "priv_SQ.dcm",
        "nested_priv_SQ.dcm", "UN_sequence.dcm",       "JPEG2000.dcm",
        "ExplVR_BigEnd.dcm",
    };
    (void)state;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(names); i++) {
        char path[256];
        struct vivo_buf data;
        snprintf(path, sizeof path, VIVO_TEST_PYDICOM "/test_files/%s", names[i]);
        test_file_read(path, &data);
        /* Inside of pixels one cut is as another. */
        cut_everywhere(names[i], data.data, VIVO_MIN(data.len, (size_t)12000));
        vivo_buf_free(&data);
    }
}

/* ---- offsets ------------------------------------------------------------------- */

static void test_gaps_are_refused_and_overlaps_ignored(void **state)
{
    struct bytes x = file_of(ELE);
    struct vivo_dcm_walk *w = NULL;
    struct vivo_buf got;
    struct vivo_err err = {0};
    (void)state;
    put_text(&x, 0x00080060, "CS", "CT");
    vivo_buf_init(&got, 1 << 16);
    assert_int_equal(vivo_dcm_walk_new(NULL, 0, 0, -1, note_short, &got, &w, &err), 0);
    assert_int_equal(vivo_dcm_walk_push(w, 1, x.b.data + 1, 10, &err), -EINVAL);
    assert_int_equal(vivo_dcm_walk_push(w, 0, x.b.data, 140, &err), 0);
    assert_int_equal(vivo_dcm_walk_wants(w), 140);
    assert_int_equal(vivo_dcm_walk_push(w, 20, x.b.data + 20, 30, &err), 0);
    assert_int_equal(vivo_dcm_walk_push(w, 100, x.b.data + 100, x.b.len - 100, &err),
                     0);
    assert_int_equal(vivo_dcm_walk_finish(w, x.b.len, &err), 0);
    assert_string_equal(got.data, "00080060CS end ");
    vivo_dcm_walk_free(w);
    vivo_buf_free(&got);
    vivo_buf_free(&x.b);
}

static void test_elements_beyond_4_gib_are_found(void **state)
{
    struct bytes x = file_of(ELE), after;
    struct vivo_dcm_walk *w = NULL;
    struct vivo_buf got;
    struct vivo_err err = {0};
    uint64_t at;
    (void)state;
    put_text(&x, 0x00080060, "CS", "SM");
    put_long(&x, 0x7FE00010, "OW", 0xFFFFFFFE);
    bytes_init(&after);
    put_long(&after, 0x7FE00010, "OW", 0xFFFFFFFE);
    vivo_buf_init(&got, 1 << 16);
    assert_int_equal(vivo_dcm_walk_new(NULL, 0, 0, -1, note_event, &got, &w, &err), 0);
    assert_int_equal(vivo_dcm_walk_push(w, 0, x.b.data, x.b.len, &err), 0);
    at = vivo_dcm_walk_wants(w);
    assert_int_equal(at, x.b.len + 0xFFFFFFFE);
    assert_int_equal(vivo_dcm_walk_push(w, at, after.b.data, after.b.len, &err), 0);
    at = vivo_dcm_walk_wants(w);
    assert_int_equal(at, x.b.len + 2 * 0xFFFFFFFEull + 12);
    vivo_buf_clear(&got);
    vivo_buf_clear(&after.b);
    put_text(&after, 0xFFFC0001, "LO", "ab");
    assert_int_equal(vivo_dcm_walk_push(w, at, after.b.data, after.b.len, &err), 0);
    assert_int_equal(vivo_dcm_walk_finish(w, at + after.b.len, &err), 0);
    assert_non_null(strstr((char *)got.data, "ELEMENT fffc,0001 LO 2 @8589934"));
    vivo_dcm_walk_free(w);
    vivo_buf_free(&got);
    vivo_buf_free(&after.b);
    vivo_buf_free(&x.b);
}

static void test_finishing_at_the_end_of_unread_pixels_is_whole(void **state)
{
    struct bytes x = file_of(ELE);
    struct vivo_dcm_walk *w = NULL;
    struct vivo_buf got;
    struct vivo_err err = {0};
    (void)state;
    put_text(&x, 0x00080060, "CS", "SM");
    put_long(&x, 0x7FE00010, "OW", 1 << 20);
    vivo_buf_init(&got, 1 << 16);
    assert_int_equal(vivo_dcm_walk_new(NULL, 0, 0, -1, note_short, &got, &w, &err), 0);
    assert_int_equal(vivo_dcm_walk_push(w, 0, x.b.data, x.b.len, &err), 0);
    assert_string_equal(got.data, "00080060CS ");
    assert_int_equal(vivo_dcm_walk_finish(w, x.b.len + (1 << 20), &err), 0);
    assert_string_equal(got.data, "00080060CS bulk:7fe00010OW end ");
    vivo_dcm_walk_free(w);
    vivo_buf_free(&got);
    vivo_buf_free(&x.b);
}

struct counting_reader {
    struct vivo_mem_reader mem;
    struct vivo_reader base;
    uint64_t bytes;
    unsigned reads;
};

static int counted_read(struct vivo_reader *self, void *buf, size_t len, uint64_t off,
                        struct vivo_err *err)
{
    struct counting_reader *r =
        (struct counting_reader *)(void *)((char *)self -
                                           offsetof(struct counting_reader, base));
    r->reads++;
    r->bytes += len;
    return r->mem.base.read(&r->mem.base, buf, len, off, err);
}

static void test_a_reader_is_not_asked_for_pixels(void **state)
{
    static const uint8_t pixels[100000];
    struct bytes x = file_of(ELE);
    struct counting_reader r = {.base = {.read = counted_read}};
    struct vivo_buf got;
    struct vivo_err err = {0};
    (void)state;
    put_text(&x, 0x00080060, "CS", "SM");
    put_long(&x, 0x7FE00010, "OW", sizeof pixels);
    put_bytes(&x, pixels, sizeof pixels);
    put_text(&x, 0xFFFC0001, "LO", "ab");
    vivo_mem_reader_init(&r.mem, x.b.data, x.b.len);
    r.base.size = x.b.len;
    vivo_buf_init(&got, 1 << 16);
    assert_int_equal(vivo_dcm_walk_reader(&r.base, NULL, 0, -1, note_short, &got, &err),
                     0);
    assert_string_equal(got.data, "00080060CS bulk:7fe00010OW fffc0001LO end ");
    assert_int_equal(r.reads, 2);
    assert_true(r.bytes < 17000);
    vivo_buf_free(&got);
    vivo_buf_free(&x.b);
}

/* ---- deflated ------------------------------------------------------------------ */

/* Puts the data set in `plain` behind a meta that says deflated. */
static struct bytes deflate_of(const struct bytes *plain)
{
    struct bytes x = file_of("1.2.840.10008.1.2.1.99");
    size_t room = compressBound(plain->b.len) + 64;
    uint8_t *out = malloc(room);
    union {
        const uint8_t *c;
        Bytef *v;
    } in = {.c = plain->b.data};
    z_stream z = {.next_in = in.v, .avail_in = (uInt)plain->b.len};

    assert_non_null(out);
    z.next_out = out;
    z.avail_out = (uInt)room;
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    put_bytes(&x, out, z.total_out);
    deflateEnd(&z);
    free(out);
    return x;
}

static struct bytes data_set(size_t pixels)
{
    struct bytes x;
    uint8_t zeros[4096] = {0};

    bytes_init(&x);
    put_text(&x, 0x00080060, "CS", "CT");
    put_text(&x, 0x00100010, "PN", "A^B ");
    put_long(&x, 0x7FE00010, "OW", (uint32_t)pixels);
    for (size_t n; pixels > 0; pixels -= n) {
        n = VIVO_MIN(pixels, sizeof zeros);
        put_bytes(&x, zeros, n);
    }
    return x;
}

static void test_deflated_is_walked_and_written_out(void **state)
{
    struct bytes plain = data_set(300000), x = deflate_of(&plain);
    struct bytes head = file_of("1.2.840.10008.1.2.1.99");
    size_t meta = head.b.len;
    struct vivo_buf got, back;
    struct vivo_err err = {0};
    (void)state;
    for (size_t piece = 0; piece < 4; piece++) {
        int fd = vivo_file_nameless(NULL, &err);
        assert_true(fd >= 0);
        vivo_buf_init(&got, 1 << 16);
        vivo_buf_init(&back, 1 << 20);
        assert_int_equal(
            walk_pieces(x.b.data, x.b.len, piece, fd, NULL, 0, note_short, &got, &err),
            0);
        assert_string_equal(got.data, "00080060CS 00100010PN bulk:7fe00010OW end ");
        assert_non_null(vivo_buf_reserve(&back, meta + plain.b.len));
        assert_int_equal(vivo_pread_full(fd, back.data, meta + plain.b.len, 0, &err),
                         0);
        assert_memory_equal(back.data, x.b.data, meta);
        assert_memory_equal(back.data + meta, plain.b.data, plain.b.len);
        close(fd);
        vivo_buf_free(&got);
        vivo_buf_free(&back);
    }
    vivo_buf_free(&head.b);
    vivo_buf_free(&plain.b);
    vivo_buf_free(&x.b);
}

static int count_cut(void *ctx, enum vivo_dcm_event event VIVO_UNUSED,
                     const struct vivo_dcm_elem *e, struct vivo_err *err VIVO_UNUSED)
{
    bool *cut = ctx;
    *cut |= e->cut;
    return 0;
}

static void test_deflated_cut_anywhere_is_an_error_or_cut_pixels(void **state)
{
    struct bytes plain = data_set(3000), x = deflate_of(&plain);
    (void)state;
    for (size_t n = 0; n < x.b.len; n++) {
        struct vivo_err err = {0};
        bool cut = false;
        int rc = walk_pieces(x.b.data, n, 0, -1, NULL, 0, count_cut, &cut, &err);
        assert_true(cut ? rc == 0 : rc == -EBADMSG);
    }
    vivo_buf_free(&plain.b);
    vivo_buf_free(&x.b);
}

static void test_a_deflate_bomb_is_refused(void **state)
{
    struct bytes plain = data_set(60u << 20), x;
    bool cut = false;
    struct vivo_err err = {0};
    (void)state;
    x = deflate_of(&plain); /* zlib makes it 1029 times smaller */
    assert_int_equal(
        walk_pieces(x.b.data, x.b.len, 4096, -1, NULL, 0, count_cut, &cut, &err),
        -EBADMSG);
    assert_non_null(strstr(err.text, "grows"));
    vivo_buf_free(&plain.b);
    vivo_buf_free(&x.b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces_of_any_size_give_the_same_events),
        cmocka_unit_test(test_a_cut_anywhere_is_noticed),
        cmocka_unit_test(test_gaps_are_refused_and_overlaps_ignored),
        cmocka_unit_test(test_elements_beyond_4_gib_are_found),
        cmocka_unit_test(test_finishing_at_the_end_of_unread_pixels_is_whole),
        cmocka_unit_test(test_a_reader_is_not_asked_for_pixels),
        cmocka_unit_test(test_deflated_is_walked_and_written_out),
        cmocka_unit_test(test_deflated_cut_anywhere_is_an_error_or_cut_pixels),
        cmocka_unit_test(test_a_deflate_bomb_is_refused),
    };
    struct vivo_err err = {0};

    if (vivo_dcm_global_init(&err)) {
        print_error("%s\n", err.text);
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
