/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_drivers_multipart.c -- multipart replies, split at every byte, cut at
 * every byte, and malformed. RFC 2046 section 5.1.1. */
#include "drivers/multipart.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define TYPE "multipart/related; type=\"application/dicom\"; boundary=b1"

/* What the parser reports, as text: "<type>body</>". */
struct report {
    struct vivo_buf text;
    int fail_with;
};

static int begin(void *ctx, const char *type, struct vivo_err *err)
{
    struct report *r = ctx;
    (void)err;
    assert_int_equal(vivo_buf_printf(&r->text, "<%s>", type), 0);
    return 0;
}

static int data(void *ctx, const void *bytes, size_t len, struct vivo_err *err)
{
    struct report *r = ctx;
    if (r->fail_with)
        return vivo_fail(err, r->fail_with, "told to");
    assert_true(len > 0);
    assert_int_equal(vivo_buf_add(&r->text, bytes, len), 0);
    return 0;
}

static int end(void *ctx, struct vivo_err *err)
{
    struct report *r = ctx;
    (void)err;
    assert_int_equal(vivo_buf_puts(&r->text, "</>"), 0);
    return 0;
}

/* Parses `len` bytes in pieces cut at `a` and `b`. */
static int parse_split(const char *type, const char *body, size_t len, size_t a,
                       size_t b, struct report *r)
{
    struct vivo_multipart m;
    struct vivo_err err = {0};
    const struct vivo_multipart_to to = {begin, data, end, r};
    vivo_buf_init(&r->text, 1 << 20);
    int rc = vivo_multipart_init(&m, type, &to, &err);
    if (rc == 0)
        rc = vivo_multipart_push(&m, body, a, &err);
    if (rc == 0)
        rc = vivo_multipart_push(&m, body + a, b - a, &err);
    if (rc == 0)
        rc = vivo_multipart_push(&m, body + b, len - b, &err);
    if (rc == 0)
        rc = vivo_multipart_finish(&m, &err);
    assert_int_equal(err.errnum, -rc);
    vivo_multipart_free(&m);
    return rc;
}

static int parse(const char *type, const char *body, struct report *r)
{
    return parse_split(type, body, strlen(body), 0, 0, r);
}

static const char ordinary[] = "--b1\r\nContent-Type: application/dicom\r\n"
                               "Content-Length: 9\r\n\r\n"
                               "x\r\n--b\r\ny\r\n--b1--\r\n";

static void test_part_is_found_wherever_the_stream_is_split(void **state)
{
    (void)state;
    size_t len = sizeof ordinary - 1;
    for (size_t a = 0; a <= len; a++) {
        for (size_t b = a; b <= len; b++) {
            struct report r = {0};
            assert_int_equal(parse_split(TYPE, ordinary, len, a, b, &r), 0);
            assert_string_equal((const char *)r.text.data,
                                "<application/dicom>x\r\n--b\r\ny</>");
            vivo_buf_free(&r.text);
        }
    }
}

/* Everything up to the closing boundary's "--" is needed. */
static void test_cut_stream_is_eio_wherever_it_is_cut(void **state)
{
    (void)state;
    size_t needed = sizeof ordinary - 1 - 2;
    for (size_t len = 0; len < needed; len++) {
        struct report r = {0};
        assert_int_equal(parse_split(TYPE, ordinary, len, 0, 0, &r), -EIO);
        vivo_buf_free(&r.text);
    }
    struct report r = {0};
    assert_int_equal(parse_split(TYPE, ordinary, needed, 0, 0, &r), 0);
    vivo_buf_free(&r.text);
}

static void test_forms_of_parts(void **state)
{
    (void)state;
    static const struct {
        const char *body, *want;
    } cases[] = {
        {"\r\n--b1\r\nContent-Type: t\r\n\r\nbody\r\n--b1--", "<t>body</>"},
        {"--b1\r\ncontent-type:t\r\n\r\nbody\r\n--b1--", "<t>body</>"},
        {"--b1\r\n\r\nbody\r\n--b1--", "<>body</>"},
        {"hello\r\nthere\r\n--b1  \t\r\n\r\nbody\r\n--b1--bye", "<>body</>"},
        {"--b1\r\n\r\na\r\n--b1\r\n\r\nb\r\n--b1--\r\n--b1\r\n\r\nc", "<>a</><>b</>"},
        {"--b1\r\n\r\n\r\n--b1--", "<></>"},
        {"--b1\r\nX: y\r\nContent-Length: 2 \r\n\r\n\r\n\r\n--b1--", "<>\r\n</>"},
        {"--b1--", ""},
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(cases); i++) {
        struct report r = {0};
        assert_int_equal(parse(TYPE, cases[i].body, &r), 0);
        assert_string_equal(r.text.data ? (const char *)r.text.data : "",
                            cases[i].want);
        vivo_buf_free(&r.text);
    }
}

static void test_malformed_streams_are_eio(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "",
        "no boundary at all",
        "--b1\r\nContent-Length: 3\r\n\r\nbody\r\n--b1--",
        "--b1\r\nContent-Length: 5\r\n\r\nbody\r\n--b1--",
        "--b1\r\nContent-Length: -4\r\n\r\nbody\r\n--b1--",
        "--b1\r\nContent-Length: 4x\r\n\r\nbody\r\n--b1--",
        "--b1\r\nContent-Length:\r\n\r\nbody\r\n--b1--",
        "--b1\r\nContent-Length: 99999999999999999999\r\n\r\nbody\r\n--b1--",
        "--b1 x\r\n\r\nbody\r\n--b1--",
        "--b1x\r\n\r\nbody\r\n--b1--",
        "--b1\r\n\r\nbody\n--b1--",
        "x--b1\r\n\r\nbody--b1--",
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(bodies); i++) {
        struct report r = {0};
        assert_int_equal(parse(TYPE, bodies[i], &r), -EIO);
        vivo_buf_free(&r.text);
    }
}

static void test_headers_of_a_part_are_bounded(void **state)
{
    (void)state;
    enum { LONG = 40000 };
    static const char tail[] = "\r\n\r\nbody\r\n--b1--";
    char *body = malloc(LONG + 64);
    assert_non_null(body);
    memcpy(body, "--b1\r\nX: ", 9);
    memset(body + 9, 'y', LONG);
    memcpy(body + 9 + LONG, tail, sizeof tail);
    struct report r = {0};
    assert_int_equal(parse(TYPE, body, &r), -EIO);
    vivo_buf_free(&r.text);
    free(body);
}

static void test_boundary_is_read_from_the_content_type(void **state)
{
    (void)state;
    static const char long_boundary[] =
        "0123456789012345678901234567890123456789012345678901234567890123456789";
    static const struct {
        const char *type, *boundary;
    } cases[] = {
        {"multipart/related;boundary=b1", "b1"},
        {"Multipart/Related; BOUNDARY=\"b1\"", "b1"},
        {"multipart/related; boundary=\"b 1;x\"; type=\"a/b\"", "b 1;x"},
        {"multipart/related; type=\"a; boundary=no\"; boundary=b1", "b1"},
        {"multipart/related; boundary=\"b\\\"1\"", "b\"1"},
        {"multipart/related; xboundary=no ; boundary=b1 ; start=x", "b1"},
        {"multipart/related; boundary="
         "0123456789012345678901234567890123456789012345678901234567890123456789",
         long_boundary},
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(cases); i++) {
        char body[256];
        struct report r = {0};
        snprintf(body, sizeof body, "--%s\r\n\r\nbody\r\n--%s--", cases[i].boundary,
                 cases[i].boundary);
        assert_int_equal(parse(cases[i].type, body, &r), 0);
        assert_string_equal((const char *)r.text.data, "<>body</>");
        vivo_buf_free(&r.text);
    }
}

static void test_unusable_content_types_are_eio(void **state)
{
    (void)state;
    static const char *const types[] = {
        "",
        "application/dicom",
        "multipart/relatedx; boundary=b1",
        "multipart/mixed; boundary=b1",
        "multipart/related",
        "multipart/related; boundary=",
        "multipart/related; boundary=\"\"",
        "multipart/related; type=\"boundary=b1\"",
        ("multipart/related; boundary="
         "01234567890123456789012345678901234567890123456789012345678901234567890"),
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(types); i++) {
        struct report r = {0};
        assert_int_equal(parse(types[i], "--b1\r\n\r\nbody\r\n--b1--", &r), -EIO);
        vivo_buf_free(&r.text);
    }
}

static void test_receivers_error_ends_it(void **state)
{
    (void)state;
    struct report r = {.fail_with = ENOSPC};
    assert_int_equal(parse(TYPE, ordinary, &r), -ENOSPC);
    vivo_buf_free(&r.text);
}

/* Longer than any piece: the body must pass through whole and in order. */
static void test_long_body_is_passed_on_unchanged(void **state)
{
    (void)state;
    enum { LEN = 300000 };
    static const char head[] = "--b1\r\n\r\n";
    static const char tail[] = "\r\n--b1--";
    size_t len = sizeof head - 1 + LEN + sizeof tail - 1;
    char *body = malloc(len);
    struct report r = {0};
    assert_non_null(body);
    memcpy(body, head, sizeof head - 1);
    for (size_t i = 0; i < LEN; i++)
        body[sizeof head - 1 + i] = "\r\n--b0"[i * 7 % 6];
    memcpy(body + len - (sizeof tail - 1), tail, sizeof tail - 1);
    assert_int_equal(parse_split(TYPE, body, len, 70001, 140003, &r), 0);
    assert_int_equal(r.text.len, LEN + 2 + 3);
    assert_memory_equal(r.text.data + 2, body + sizeof head - 1, LEN);
    vivo_buf_free(&r.text);
    free(body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_part_is_found_wherever_the_stream_is_split),
        cmocka_unit_test(test_cut_stream_is_eio_wherever_it_is_cut),
        cmocka_unit_test(test_forms_of_parts),
        cmocka_unit_test(test_malformed_streams_are_eio),
        cmocka_unit_test(test_headers_of_a_part_are_bounded),
        cmocka_unit_test(test_boundary_is_read_from_the_content_type),
        cmocka_unit_test(test_unusable_content_types_are_eio),
        cmocka_unit_test(test_receivers_error_ends_it),
        cmocka_unit_test(test_long_body_is_passed_on_unchanged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
