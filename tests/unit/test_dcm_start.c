/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_dcm_start.c -- how a stream begins: preamble, file meta and syntax
 * as they should be, left out, or contradicted by what follows; and the probe. */
#include "dcm_expect.h"
#include "dcm_files.h"

/* The syntax that a walk of x reports (x is freed); "" = refused. */
static const char *syntax_of(struct bytes x)
{
    static char uid[65];
    struct vivo_buf got;
    struct vivo_err err = {0};
    char *at;

    uid[0] = '\0';
    if (walk_text(x.b.data, x.b.len, 0, &got, &err) == 0) {
        at = strstr((char *)got.data, "DATASET");
        assert_non_null(at);
        assert_int_equal(sscanf(strstr(at, "#0 "), "#0 %64s", uid), 1);
    }
    vivo_buf_free(&got);
    vivo_buf_free(&x.b);
    return uid;
}

static void put_data(struct bytes *x, const char *syntax)
{
    if (!strcmp(syntax, EBE))
        put_bytes(x,
                  "\0\x08\0\x60"
                  "CS\0\x02"
                  "CT",
                  10);
    else if (!strcmp(syntax, ILE))
        put_implicit(x, 0x00080060, "CT");
    else
        put_text(x, 0x00080060, "CS", "CT");
}

static const char *const plain[] = {ELE, ILE, EBE};

static void test_without_preamble_the_meta_counts(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++)
        for (size_t skip = 128; skip <= 132; skip += 4) { /* DICM kept, or not */
            struct bytes x = file_of(plain[i]);
            put_data(&x, plain[i]);
            memmove(x.b.data, x.b.data + skip, x.b.len - skip);
            x.b.len -= skip;
            assert_string_equal(syntax_of(x), plain[i]);
        }
}

static void test_without_meta_the_first_element_tells(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct bytes x;
        bytes_init(&x);
        put_data(&x, plain[i]);
        assert_string_equal(syntax_of(x), plain[i]);
    }
}

static void test_without_transfer_syntax_the_first_element_tells(void **state)
{
    static const uint8_t preamble[128];
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct bytes x;
        bytes_init(&x);
        put_bytes(&x, preamble, 128);
        put_bytes(&x, "DICM", 4);
        put_text(&x, 0x00020013, "SH", "TEST");
        put_data(&x, plain[i]);
        assert_string_equal(syntax_of(x), plain[i]);
    }
}

static void test_a_contradiction_is_settled_by_the_bytes(void **state)
{
    (void)state;
    for (size_t said = 0; said < 3; said++)
        for (size_t is = 0; is < 3; is++) {
            struct bytes x = file_of(plain[said]);
            put_data(&x, plain[is]);
            assert_string_equal(syntax_of(x), plain[is]);
        }
}

static void test_an_encapsulated_syntax_keeps_its_uid(void **state)
{
    struct bytes x = file_of("1.2.840.10008.1.2.4.50");
    (void)state;
    put_data(&x, ILE);
    assert_string_equal(syntax_of(x), "1.2.840.10008.1.2.4.50");
}

static void test_a_wrong_group_length_does_not_matter(void **state)
{
    const uint32_t lies[] = {0, 1, 20, 1000, 0xFFFFFFFF};
    (void)state;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(lies); i++) {
        struct bytes x = file_of(ILE);
        vivo_put_le32(x.b.data + 140, lies[i]);
        put_data(&x, ILE);
        assert_string_equal(syntax_of(x), ILE);
    }
}

static void test_a_bare_data_set_is_in_the_syntax_given(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct vivo_buf got;
        struct vivo_err err = {0};
        struct bytes x;
        bytes_init(&x);
        put_data(&x, plain[i]);
        vivo_buf_init(&got, 1 << 16);
        assert_int_equal(walk_pieces(x.b.data, x.b.len, 0, -1,
                                     vivo_dcm_syntax(plain[i], strlen(plain[i])),
                                     VIVO_DCM_WALK_BARE, note_short, &got, &err),
                         0);
        assert_string_equal(got.data, "00080060CS end ");
        vivo_buf_free(&got);
        vivo_buf_free(&x.b);
    }
}

static void test_an_empty_bare_data_set_is_empty(void **state)
{
    struct vivo_buf got;
    struct vivo_err err = {0};
    (void)state;
    vivo_buf_init(&got, 1 << 16);
    assert_int_equal(walk_pieces("", 0, 0, -1, vivo_dcm_syntax(ILE, strlen(ILE)),
                                 VIVO_DCM_WALK_BARE, note_short, &got, &err),
                     0);
    assert_string_equal(got.data, "end ");
    vivo_buf_free(&got);
}

static void test_other_files_are_refused(void **state)
{
    static const char *const others[] = {
        "", "x", "a short text", "%PDF-1.4 and so on, for a while, to be longer",
        "PK\003\004 a zip archive with some more bytes in it, and more, and more"};
    static const uint8_t zeros[131];
    struct bytes x;
    (void)state;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(others); i++) {
        bytes_init(&x);
        put_bytes(&x, others[i], strlen(others[i]));
        assert_string_equal(syntax_of(x), "");
        assert_false(vivo_dcm_probe(others[i], strlen(others[i]), strlen(others[i])));
    }
    bytes_init(&x);
    put_bytes(&x, zeros, sizeof zeros);
    assert_string_equal(syntax_of(x), "");
    assert_false(vivo_dcm_probe(zeros, sizeof zeros, sizeof zeros));
}

static void test_the_probe_knows_every_real_file(void **state)
{
    struct test_files *files = test_files_all();
    (void)state;
    for (size_t i = 0; i < files->n; i++) {
        struct vivo_buf data;
        bool is = !strstr(files->path[i], "README") &&
                  !strstr(files->path[i], "/no_meta.dcm"); /* not even pydicom */
        test_file_read(files->path[i], &data);
        if (vivo_dcm_probe(data.data, VIVO_MIN(data.len, (size_t)4096), data.len) != is)
            fail_msg("%s", files->path[i]);
        vivo_buf_free(&data);
    }
    free(files);
}

static void test_syntaxes_are_known_by_uid(void **state)
{
    const struct vivo_syntax *s;
    (void)state;
    assert_null(vivo_dcm_syntax("", 0));
    assert_null(vivo_dcm_syntax("\0", 1));
    s = vivo_dcm_syntax("1.2.840.10008.1.2\0", 18);
    assert_true(s && s->implicit && !s->encapsulated);
    s = vivo_dcm_syntax("1.2.840.10008.1.2.1.99", 22);
    assert_true(s && s->deflated && !s->implicit);
    s = vivo_dcm_syntax("1.2.840.10008.1.2.4.90", 22);
    assert_true(s && s->encapsulated);
    assert_string_equal(s->uid, "1.2.840.10008.1.2.4.90");
    s = vivo_dcm_syntax("1.2.3", 5);
    assert_true(s && s->encapsulated && !s->implicit && !s->big_endian);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_preamble_the_meta_counts),
        cmocka_unit_test(test_without_meta_the_first_element_tells),
        cmocka_unit_test(test_without_transfer_syntax_the_first_element_tells),
        cmocka_unit_test(test_a_contradiction_is_settled_by_the_bytes),
        cmocka_unit_test(test_an_encapsulated_syntax_keeps_its_uid),
        cmocka_unit_test(test_a_wrong_group_length_does_not_matter),
        cmocka_unit_test(test_a_bare_data_set_is_in_the_syntax_given),
        cmocka_unit_test(test_an_empty_bare_data_set_is_empty),
        cmocka_unit_test(test_other_files_are_refused),
        cmocka_unit_test(test_the_probe_knows_every_real_file),
        cmocka_unit_test(test_syntaxes_are_known_by_uid),
    };
    struct vivo_err err = {0};

    if (vivo_dcm_global_init(&err)) {
        print_error("%s\n", err.text);
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
