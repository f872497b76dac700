/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_drivers_zip_stream.c -- zips as they arrive: every way to say where a
 * member ends, split at every byte, cut at every byte, damaged and hostile. APPNOTE.TXT
 * sections 4.3 and 4.4. */
#include "drivers/zip_stream.h"

#include "vivofs/buf.h"
#include "vivofs/inflate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum how {
    DEFLATE = 1, /* else stored */
    BEHIND = 2,  /* CRC and sizes stand behind the member */
    BARE = 4,    /* ... without a signature */
    WIDE = 8,    /* ... in 8 bytes each */
    ZIP64 = 16,  /* sizes stand in an extra field */
    ENCRYPT = 32,
    OTHER = 64, /* another method */
    WRONG_CRC = 128,
    WRONG_SIZE = 256,
};

struct maker {
    struct vivo_buf zip;
    unsigned members;
};

static void put(struct vivo_buf *b, uint64_t v, size_t bytes)
{
    for (; bytes > 0; bytes--, v >>= 8)
        assert_int_equal(vivo_buf_add(b, &(uint8_t){(uint8_t)v}, 1), 0);
}

static void put_text(struct vivo_buf *b, const char *text, size_t len)
{
    assert_int_equal(vivo_buf_add(b, text, len), 0);
}

/* A member of the zip. Deflated it is one block that is only stored (RFC 1951 3.2.4).
 */
static void add(struct maker *m, const char *name, const char *data, size_t size,
                unsigned how)
{
    struct vivo_buf *b = &m->zip;
    uint32_t crc = vivo_crc32(0, data, size) + (how & WRONG_CRC ? 1 : 0);
    uint64_t packed = size + (how & DEFLATE ? 5 : 0);
    uint64_t said = size + (how & WRONG_SIZE ? 1 : 0);
    bool behind = how & BEHIND;
    put(b, 0x04034b50, 4);
    put(b, 45, 2);
    put(b, (behind ? 8u : 0u) | (how & ENCRYPT ? 1u : 0u), 2);
    put(b, how & OTHER ? 12 : how & DEFLATE ? 8 : 0, 2);
    put(b, 0, 4);
    put(b, behind ? 0 : crc, 4);
    put(b, behind ? 0 : how & ZIP64 ? UINT32_MAX : packed, 4);
    put(b, behind ? 0 : how & ZIP64 ? UINT32_MAX : said, 4);
    put(b, strlen(name), 2);
    put(b, how & ZIP64 ? 24 : 0, 2);
    put_text(b, name, strlen(name));
    if (how & ZIP64) {
        put(b, 0x5455, 2); /* another one first */
        put(b, 0, 2);
        put(b, 1, 2);
        put(b, 16, 2);
        put(b, said, 8);
        put(b, packed, 8);
    }
    if (how & DEFLATE) {
        put(b, 1, 1);
        put(b, size, 2);
        put(b, ~size, 2);
    }
    put_text(b, data, size);
    m->members++;
    if (!behind)
        return;
    if (!(how & BARE))
        put(b, 0x08074b50, 4);
    put(b, crc, 4);
    put(b, packed, how & WIDE ? 8 : 4);
    put(b, said, how & WIDE ? 8 : 4);
}

/* The directory of so many members; nothing looks into it but for its length. */
static void finish(struct maker *m, unsigned members, bool wide)
{
    struct vivo_buf *b = &m->zip;
    for (unsigned i = 0; i < members; i++) {
        put(b, 0x02014b50, 4);
        put(b, 0, 24);
        put(b, 2, 2);
        put(b, 3, 2);
        put(b, 1, 2);
        put(b, 0, 12);
        put_text(b, "nnxxxc", 6);
    }
    if (wide) {
        put(b, 0x06064b50, 4);
        put(b, 44, 8);
        put(b, 0, 44);
        put(b, 0x07064b50, 4);
        put(b, 0, 16);
    }
    put(b, 0x06054b50, 4);
    put(b, 0, 4);
    put(b, members, 2);
    put(b, members, 2);
    put(b, 0, 8);
    put(b, 7, 2);
    put_text(b, "comment", 7);
}

static struct maker make(void)
{
    struct maker m = {0};
    vivo_buf_init(&m.zip, 64u << 20);
    return m;
}

/* What the parser reports, as text: "<name>bytes</>". */
static int begin(void *ctx, const char *name, struct vivo_err *err)
{
    (void)err;
    assert_int_equal(vivo_buf_printf(ctx, "<%s>", name), 0);
    return 0;
}

static int data(void *ctx, const void *bytes, size_t len, struct vivo_err *err)
{
    (void)err;
    assert_true(len > 0);
    assert_int_equal(vivo_buf_add(ctx, bytes, len), 0);
    return 0;
}

static int end(void *ctx, struct vivo_err *err)
{
    (void)err;
    assert_int_equal(vivo_buf_puts(ctx, "</>"), 0);
    return 0;
}

static int parse(const struct vivo_buf *zip, size_t len, size_t a, size_t b,
                 struct vivo_buf *out, struct vivo_err *err)
{
    const struct vivo_zip_to to = {begin, data, end, out};
    struct vivo_zip_stream *z = NULL;
    *err = (struct vivo_err){0};
    vivo_buf_init(out, 64u << 20);
    assert_int_equal(vivo_buf_puts(out, ""), 0);
    assert_int_equal(vivo_zip_stream_new(&to, 32u << 20, &z, err), 0);
    int rc = vivo_zip_stream_push(z, zip->data, a, err);
    if (rc == 0)
        rc = vivo_zip_stream_push(z, zip->data + a, b - a, err);
    if (rc == 0)
        rc = vivo_zip_stream_push(z, zip->data + b, len - b, err);
    if (rc == 0)
        rc = vivo_zip_stream_finish(z, err);
    assert_int_equal(err->errnum, -rc);
    vivo_zip_stream_free(z);
    return rc;
}

/* ---- zips that are right ----------------------------------------------------------
 */

static const char tricky[] = "aPK\3\4bPK\7\10cPKPK\7\10PK\7\10xyz";
#define TRICKY_LEN (sizeof tricky - 1)

static const unsigned ways[] = {0,
                                DEFLATE,
                                ZIP64,
                                DEFLATE | ZIP64,
                                BEHIND,
                                BEHIND | WIDE,
                                DEFLATE | BEHIND,
                                DEFLATE | BEHIND | BARE,
                                DEFLATE | BEHIND | WIDE,
                                DEFLATE | BEHIND | WIDE | BARE};

static void test_members_are_found_wherever_the_stream_is_split(void **state)
{
    (void)state;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(ways); i++) {
        struct maker m = make();
        struct vivo_buf want;
        add(&m, "dir/", "", 0, 0);
        add(&m, "dir/one", tricky, TRICKY_LEN, ways[i]);
        add(&m, "two", "2", 1, ways[i]);
        finish(&m, 3, i % 2);
        vivo_buf_init(&want, 1000);
        put_text(&want, "<dir/></><dir/one>", 18);
        put_text(&want, tricky, TRICKY_LEN);
        put_text(&want, "</><two>2</>", 12);
        /* Everywhere once, and in many places twice. */
        for (size_t a = 0; a <= m.zip.len; a++) {
            for (size_t b = a; b <= m.zip.len; b += 3 + (a % 5) * 7) {
                struct vivo_buf out;
                struct vivo_err err;
                if (parse(&m.zip, m.zip.len, a, b, &out, &err) != 0)
                    fail_msg("way %zu, split at %zu and %zu: %s", i, a, b, err.text);
                assert_int_equal(out.len, want.len);
                assert_memory_equal(out.data, want.data, want.len);
                vivo_buf_free(&out);
            }
        }
        vivo_buf_free(&want);
        vivo_buf_free(&m.zip);
    }
}

static void test_bytes_of_members_are_theirs(void **state)
{
    (void)state;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(ways); i++) {
        struct maker m = make();
        struct vivo_buf out;
        struct vivo_err err;
        add(&m, "one", "hello", 5, ways[i]);
        add(&m, "two", "PK\7\10!", 5, ways[i]);
        finish(&m, 2, false);
        assert_int_equal(parse(&m.zip, m.zip.len, 0, 0, &out, &err), 0);
        assert_string_equal((const char *)out.data, "<one>hello</><two>PK\7\10!</>");
        vivo_buf_free(&out);
        vivo_buf_free(&m.zip);
    }
}

/* Who waits for a member must not have to wait for the next one. */
static void test_member_ends_with_its_own_last_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(ways); i++) {
        struct maker m = make();
        struct vivo_buf out;
        struct vivo_err err;
        add(&m, "one", "hello", 5, ways[i]);
        assert_int_equal(parse(&m.zip, m.zip.len, 0, 0, &out, &err), -EIO);
        assert_string_equal((const char *)out.data, "<one>hello</>");
        assert_non_null(strstr(err.text, "cut after 1"));
        vivo_buf_free(&out);
        vivo_buf_free(&m.zip);
    }
}

static void test_empty_zip_is_whole(void **state)
{
    (void)state;
    struct maker m = make();
    struct vivo_buf out;
    struct vivo_err err;
    finish(&m, 0, true);
    assert_int_equal(parse(&m.zip, m.zip.len, 0, 0, &out, &err), 0);
    assert_int_equal(out.len, 0);
    vivo_buf_free(&out);
    vivo_buf_free(&m.zip);
}

/* ---- zips that are not
 * ---------------------------------------------------------------
 */

static void test_cut_zip_is_never_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(ways); i++) {
        struct maker m = make();
        add(&m, "one", tricky, TRICKY_LEN, ways[i]);
        finish(&m, 1, true);
        for (size_t len = 0; len < m.zip.len - 7; len++) {
            struct vivo_buf out;
            struct vivo_err err;
            assert_int_equal(parse(&m.zip, len, 0, len / 2, &out, &err), -EIO);
            vivo_buf_free(&out);
        }
        vivo_buf_free(&m.zip);
    }
}

static void test_damaged_members_are_errors_and_do_not_end(void **state)
{
    (void)state;
    static const struct {
        unsigned how;
        const char *words;
    } cases[] = {
        {WRONG_CRC, "member 2 is damaged"},
        {WRONG_CRC | DEFLATE, "is damaged"},
        {WRONG_CRC | DEFLATE | BEHIND, "is damaged"},
        {WRONG_CRC | DEFLATE | BEHIND | BARE, "is damaged"},
        {WRONG_SIZE, "is damaged"},
        {WRONG_SIZE | DEFLATE | BEHIND, "is damaged"},
        {WRONG_CRC | BEHIND, "cut"},
        {WRONG_SIZE | BEHIND, "cut"},
        {ENCRYPT, "encrypted"},
        {OTHER, "another way"},
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(cases); i++) {
        struct maker m = make();
        struct vivo_buf out;
        struct vivo_err err;
        add(&m, "one", "1", 1, 0);
        add(&m, "two", "hello", 5, cases[i].how);
        finish(&m, 2, false);
        assert_int_equal(parse(&m.zip, m.zip.len, 0, 0, &out, &err), -EIO);
        if (!strstr(err.text, cases[i].words))
            fail_msg("%zu: %s", i, err.text);
        const char *two = strstr((const char *)out.data, "<one>1</>");
        assert_non_null(two);
        assert_null(strstr(two + 9, "</>"));
        vivo_buf_free(&out);
        vivo_buf_free(&m.zip);
    }
}

static void test_directory_of_other_members_is_an_error(void **state)
{
    (void)state;
    for (unsigned members = 0; members < 4; members += 2) {
        struct maker m = make();
        struct vivo_buf out;
        struct vivo_err err;
        add(&m, "one", "1", 1, 0);
        finish(&m, members, false);
        assert_int_equal(parse(&m.zip, m.zip.len, 0, 0, &out, &err), -EIO);
        vivo_buf_free(&out);
        vivo_buf_free(&m.zip);
    }
}

static void test_what_is_no_zip_is_eio(void **state)
{
    (void)state;
    static const char *const texts[] = {"<html>Log in</html>", "oops", "{}",
                                        "PK\7\10....................", "Rar!\x1a\7"};
    for (size_t i = 0; i < VIVO_ARRAY_LEN(texts); i++) {
        struct vivo_buf text, out;
        struct vivo_err err;
        vivo_buf_init(&text, 1000);
        put_text(&text, texts[i], strlen(texts[i]));
        assert_int_equal(parse(&text, text.len, 0, 0, &out, &err), -EIO);
        assert_null(strstr(err.text, "html"));
        vivo_buf_free(&out);
        vivo_buf_free(&text);
    }
}

/* ---- zips that are too much ------------------------------------------------------ */

/* Zeros: blocks of fixed codes, each the longest match over and over (RFC 1951 3.2.6).
 */
static void add_bomb(struct maker *m, size_t bytes)
{
    struct vivo_buf *b = &m->zip;
    put(b, 0x04034b50, 4);
    put(b, 20, 2);
    put(b, 8, 2);
    put(b, 8, 2);
    put(b, 0, 16);
    put(b, 1, 2);
    put(b, 0, 2);
    put_text(b, "b", 1);
    /* Literal 0 is 00110000, length 258 is 11000101, distance 1 is 00000: 13 bits for
     * 258 bytes, which is 1 to 158. */
    uint64_t bits = 3 | (uint64_t)0x0c << 3;
    unsigned n = 11;
    for (size_t done = 1; done < bytes; done += 258) {
        bits |= (uint64_t)0xa3 << n;
        n += 13;
        for (; n >= 8; n -= 8, bits >>= 8)
            put(b, bits & 255, 1);
    }
    put(b, bits, 8);
}

static void test_more_than_allowed_is_an_error_before_its_end(void **state)
{
    (void)state;
    struct maker m = make();
    struct vivo_buf out;
    struct vivo_err err;
    add_bomb(&m, 40u << 20);
    assert_true(m.zip.len < 1u << 20);
    assert_int_equal(parse(&m.zip, m.zip.len, 0, 0, &out, &err), -EIO);
    assert_non_null(strstr(err.text, "holds more than"));
    assert_true(out.len <= (32u << 20) + 8);
    vivo_buf_free(&out);
    vivo_buf_free(&m.zip);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members_are_found_wherever_the_stream_is_split),
        cmocka_unit_test(test_bytes_of_members_are_theirs),
        cmocka_unit_test(test_member_ends_with_its_own_last_byte),
        cmocka_unit_test(test_empty_zip_is_whole),
        cmocka_unit_test(test_cut_zip_is_never_whole),
        cmocka_unit_test(test_damaged_members_are_errors_and_do_not_end),
        cmocka_unit_test(test_directory_of_other_members_is_an_error),
        cmocka_unit_test(test_what_is_no_zip_is_eio),
        cmocka_unit_test(test_more_than_allowed_is_an_error_before_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
