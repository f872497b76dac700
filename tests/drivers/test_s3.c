/* SPDX-License-Identifier: Apache-2.0 */
/* tests/drivers/test_s3.c -- stores that speak S3: pages of listings, then the driver.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "drivers/s3.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define HEAD                                                                           \
    "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/"        \
    "doc/2006-03-01/\"><Name>b</Name>"
#define TAIL "</ListBucketResult>"
#define WHOLE "<IsTruncated>false</IsTruncated>"
#define ENTRY(key)                                                                     \
    "<Contents><Key>" key "</Key><ETag>&quot;d1&quot;</ETag><Size>7</Size></Contents>"

/* ---- pages ---------------------------------------------------------------------- */

struct seen {
    char keys[4096];
    char tag[VIVO_S3_TAG_MAX + 1];
    uint64_t size;
};

static int see(void *ctx, const struct vivo_s3_entry *e, struct vivo_err *err)
{
    struct seen *s = ctx;
    size_t n = strlen(s->keys);
    (void)err;
    snprintf(s->keys + n, sizeof s->keys - n, "%s|", e->key);
    snprintf(s->tag, sizeof s->tag, "%s", e->tag);
    s->size = e->size;
    return 0;
}

static int read_page(const char *text, struct seen *s, struct vivo_s3_page *page,
                     struct vivo_err *err)
{
    struct vivo_buf b;
    vivo_buf_init(&b, 1u << 20);
    *s = (struct seen){0};
    *err = (struct vivo_err){0};
    assert_int_equal(vivo_buf_puts(&b, text), 0);
    int rc = vivo_s3_page_read(&b, see, s, page, err);
    vivo_buf_free(&b);
    return rc;
}

static void test_page_gives_keys_sizes_and_tags(void **state)
{
    (void)state;
    struct seen s;
    struct vivo_s3_page page;
    struct vivo_err err;
    assert_int_equal(
        read_page(HEAD WHOLE ENTRY("a/b&amp;c") ENTRY("d") TAIL, &s, &page, &err), 0);
    assert_string_equal(s.keys, "a/b&c|d|");
    assert_string_equal(s.tag, "ed1");
    assert_int_equal(s.size, 7);
    assert_int_equal(page.keys, 2);
    assert_false(page.truncated);
    assert_int_equal(read_page(HEAD
                               "<EncodingType>url</EncodingType>"
                               "<IsTruncated>true</IsTruncated>"
                               "<NextContinuationToken>x+/=</NextContinuationToken>"
                               "<Contents><Size>7</Size><Key>a%2Bb+c%C3%BC%0A</Key>"
                               "</Contents>" TAIL,
                               &s, &page, &err),
                     0);
    assert_string_equal(s.keys, "a+b c\xC3\xBC\n|");
    assert_string_equal(s.tag, "");
    assert_true(page.truncated);
    assert_string_equal(page.next, "x+/=");
}

static void test_page_that_is_none_is_an_error(void **state)
{
    (void)state;
    static const char *const pages[] = {
        "",
        "x",
        "{}",
        "<html><body>Log in</body></html>",
        "<!DOCTYPE html><html><body>Log in</body></html>",
        "<Error><Code>SlowDown</Code></Error>",
        HEAD WHOLE ENTRY("a"),
        HEAD WHOLE "<Contents><Key>a</Key>",
        HEAD ENTRY("a") TAIL,
        HEAD "<IsTruncated>maybe</IsTruncated>" TAIL,
        HEAD "<IsTruncated>true</IsTruncated>" TAIL,
        HEAD WHOLE "<Contents><Size>7</Size></Contents>" TAIL,
        HEAD WHOLE "<Contents><Key>a</Key></Contents>" TAIL,
        HEAD WHOLE "<Contents><Key>a</Key><Size>-7</Size></Contents>" TAIL,
        HEAD WHOLE "<Contents><Key>a</Key><Size>7x</Size></Contents>" TAIL,
        HEAD WHOLE
        "<Contents><Key>a</Key><Size>7777777777777777</Size></Contents>" TAIL,
        HEAD WHOLE "<EncodingType>url</EncodingType>" ENTRY("a%00b") TAIL,
        HEAD WHOLE "<EncodingType>url</EncodingType>" ENTRY("a%2") TAIL,
        HEAD WHOLE "<EncodingType>rot13</EncodingType>" TAIL,
        HEAD WHOLE ENTRY("&b;") TAIL,
        "<?xml version=\"1.0\"?><!DOCTYPE r [<!ENTITY b "
        "\"x\">]><ListBucketResult>" WHOLE ENTRY("&b;") TAIL,
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(pages); i++) {
        struct seen s;
        struct vivo_s3_page page;
        struct vivo_err err;
        if (read_page(pages[i], &s, &page, &err) != -EBADMSG || err.errnum != EBADMSG)
            fail_msg("%zu: %d %s", i, err.errnum, err.text);
    }
}

static void test_keys_that_name_other_places_are_refused(void **state)
{
    (void)state;
    char longest[VIVO_S3_KEY_MAX + 2];
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_false(vivo_s3_key_ok(longest));
    assert_true(vivo_s3_key_ok(longest + 1));
    static const char *const bad[] = {"", "..", ".", "a/../b", "../a", "a/..", "a/./b"};
    static const char *const good[] = {"a", "a//b", "...", "a/..b", "a b/\n", "/a"};
    for (size_t i = 0; i < VIVO_ARRAY_LEN(bad); i++)
        assert_false(vivo_s3_key_ok(bad[i]));
    for (size_t i = 0; i < VIVO_ARRAY_LEN(good); i++)
        assert_true(vivo_s3_key_ok(good[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_page_gives_keys_sizes_and_tags),
        cmocka_unit_test(test_page_that_is_none_is_an_error),
        cmocka_unit_test(test_keys_that_name_other_places_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
