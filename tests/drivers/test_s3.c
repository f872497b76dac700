/* SPDX-License-Identifier: Apache-2.0 */
/* tests/drivers/test_s3.c -- stores that speak S3: pages of listings, then the driver.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "idc_run.h"

#include "drivers/s3.h"

#include <sys/stat.h>

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

/* ---- the driver ---------------------------------------------------------------------
 */

/* What the bucket has besides: a text, an empty file, two keys with dots. */
#define OTHERS 4

static const char *at(const char *place)
{
    static char text[300];
    snprintf(text, sizeof text, "s3+%s/%s", server.line, place);
    return text;
}

static int expect_object(void *ctx, const char *locator, const char *uid,
                         struct vivo_buf *out)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf path = {0};
    (void)ctx;
    (void)uid;
    vivo_buf_init(&path, 4096);
    const char *key = strchr(strchr(locator, '/') + 1, '/') + 1;
    assert_int_equal(vivo_buf_puts(&path, "/__object/scans/"), 0);
    assert_int_equal(vivo_s3_encode(key, true, &path), 0);
    return ask((const char *)path.data, out);
}

static const char *const bad_locators[] = {
    "7/ex/other/x.dcm", "7/ex/data/../x", "7/ex/../x", "0/ex/data/x",
    "x/ex/data/x",      "7/data",         "7/ex/",     "7//",
    "/ex/data/x",       "7/ex/data2/x",   NULL};

static void test_driver_conforms(void **state)
{
    (void)state;
    static const char *const knobs[] = {"page=5", "raw_keys=1", "strip_range=1",
                                        "keys=ident:sEcret/+&session=tok+en"};
    for (size_t i = 0; i < VIVO_ARRAY_LEN(knobs); i++) {
        control("/__reset");
        if (strstr(knobs[i], "keys=ident")) {
            setenv("AWS_ACCESS_KEY_ID", "ident", 1);
            setenv("AWS_SECRET_ACCESS_KEY", "sEcret/+", 1);
            setenv("AWS_SESSION_TOKEN", "tok+en", 1);
            set("keys=ident:sEcret/%2B&session=tok%2Ben");
        } else {
            set(knobs[i]);
        }
        const struct vivo_conformance c = {.source = source,
                                           .net = net,
                                           .missing = "s3+http://127.0.0.1:9/scans",
                                           .missing_errno = EIO,
                                           .objects = OBJECTS,
                                           .expect = expect_object,
                                           .content_requests = count_retrieved,
                                           .unknown = "7/ex/data/nothing.dcm",
                                           .escapes = bad_locators};
        assert_int_equal(vivo_conformance(&c), 0);
    }
    unsetenv("AWS_ACCESS_KEY_ID");
    unsetenv("AWS_SECRET_ACCESS_KEY");
    unsetenv("AWS_SESSION_TOKEN");
    control("/__reset");
}

static int list_place(const char *place, const char *endpoint, const char *knobs,
                      struct gathering *g, struct vivo_op *op)
{
    const struct vivo_archive_config cfg = {
        .source = place, .net = net, .endpoint = endpoint, .timeout_ms = 5000};
    struct vivo_archive *a = NULL;
    struct vivo_err err = {0};
    assert_int_equal(vivo_archive_open(&cfg, &a, &err), 0);
    set_only(knobs);
    int rc = list_all(a, g, op);
    vivo_archive_close(a);
    return rc;
}

static void test_listing_is_complete_or_fails(void **state)
{
    (void)state;
    static const struct {
        const char *knobs;
        int rc;
        const char *words;
    } cases[] = {
        {"latency=10", 0, ""},
        {"fail=503&fail_times=1", 0, ""},
        {"cut=10&cut_times=1", 0, ""},
        {"chunked=1", 0, ""},
        {"page=1", 0, ""},
        {"html=1", -EBADMSG, "HTML"},
        {"xml=x", -EBADMSG, "XML"},
        {"page=5&endless=1", -EIO, "again"},
        {"page=5&same_token=1", -EIO, "again"},
        {"empty_pages=1", -EIO, "empty pages"},
        {"fail=503", -EIO, "503"},
        {"fail=403", -EACCES, "AWS_ACCESS_KEY_ID"},
        {"fail=404", -ENOENT, "bucket"},
        {"fail=301&fail_body=<Error><Code>PermanentRedirect</Code>", -EIO,
         "set AWS_REGION"},
        {"fail=400&fail_body=<Error><Code>AuthorizationHeaderMalformed</Code>"
         "<Region>eu-west-1</Region></Error>",
         -EIO, "set AWS_REGION=eu-west-1"},
        {"fail=400&fail_body=<Error><Code>TooOdd</Code></Error>", -EIO, "says TooOdd"},
        {"fail=400&fail_body=<Error><Code>x%20y</Code></Error>", -EIO, "HTTP 400"},
        {"xml=<Error><Code>InternalError</Code></Error>", -EBADMSG, "an error"},
        {"match=.dcm&fail=403", -EACCES, "none of its objects"},
        {"match=.dcm&fail=500", -EIO, "500"},
        {"cut=40", -EIO, "closed"},
        {"match=.dcm&cut=40", -EIO, "closed"},
        {"match=.dcm&html=1", -EIO, "ETag"},
        {"no_etag=1", -EIO, "ETag"},
        {"other_etag=1", -EIO, "changed"},
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(cases); i++) {
        struct gathering g;
        struct vivo_op op;
        int rc = list_with(cases[i].knobs, &g, &op);
        if (rc != cases[i].rc || (rc && !strstr(op.err.text, cases[i].words)) ||
            (rc == 0 && (g.n_objects != OBJECTS || g.others != OTHERS)))
            fail_msg("%s: %d %s (%zu objects, %zu others)", cases[i].knobs, rc,
                     op.err.text, g.n_objects, g.others);
        gathering_free(&g);
    }
    control("/__reset");
}

static void test_an_object_that_is_locked_leaves_the_others(void **state)
{
    (void)state;
    struct gathering g;
    struct vivo_op op;
    static const char knobs[] =
        "match=.dcm&fail=403&fail_times=1&fail_body=<Code>InvalidObjectState</Code>";
    assert_int_equal(list_with(knobs, &g, &op), 0);
    assert_int_equal(g.n_objects, OBJECTS - 1);
    assert_int_equal(g.others, OTHERS + 1);
    gathering_free(&g);
    control("/__reset");
}

static int fetch_first(const char *knobs, struct vivo_op *op)
{
    struct gathering g;
    struct receipt r;
    control("/__reset");
    struct vivo_archive *a = open_for(knobs, source, NULL);
    assert_int_equal(list_all(a, &g, op), 0);
    set(knobs);
    receipt_init(&r, false, op);
    int rc = vivo_archive_fetch(a, g.objects[0].locator, &r.base, op);
    receipt_free(&r);
    gathering_free(&g);
    vivo_archive_close(a);
    control("/__reset");
    return rc;
}

static void test_object_is_the_listed_one_or_an_error(void **state)
{
    (void)state;
    static const struct {
        const char *knobs;
        int rc;
    } cases[] = {
        {"fail=503&fail_times=1", 0},
        {"cut=100&cut_times=1", 0},
        {"chunked=1", 0},
        {"cut=100", -EIO},
        {"length=5", -EIO},
        {"length=-5", -EIO},
        {"close=1", -EIO},
        {"html=1", -EIO},
        {"no_etag=1", -EIO},
        {"other_etag=1", -EIO},
        {"stall=100", -ETIMEDOUT},
        {"fail=403", -EACCES},
        {"fail=404", -ENOENT},
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(cases); i++) {
        struct vivo_op op;
        int rc = fetch_first(cases[i].knobs, &op);
        /* A key may name a patient. */
        if (rc != cases[i].rc || strstr(op.err.text, ".dcm"))
            fail_msg("%s: %d %s", cases[i].knobs, rc, op.err.text);
    }
}

static void test_buckets_may_stand_in_the_name_of_the_host(void **state)
{
    (void)state;
    struct gathering g;
    struct vivo_op op;
    char endpoint[300];
    snprintf(endpoint, sizeof endpoint, "http://{bucket}.localhost%s",
             strrchr(server.line, ':'));
    assert_int_equal(list_place("s3://scans/data", endpoint, "latency=0", &g, &op), 0);
    assert_int_equal(g.n_objects, OBJECTS);
    assert_true(count_asked("\"host\": \"scans.localhost:") > OBJECTS);
    gathering_free(&g);
    /* A folder is no prefix of another one's name, unless it is asked for so. */
    assert_int_equal(list_place(at("scans/dat"), NULL, "latency=0", &g, &op), -ENOENT);
    gathering_free(&g);
    assert_int_equal(list_place(at("scans/dat*"), NULL, "latency=0", &g, &op), 0);
    assert_int_equal(g.n_objects, OBJECTS);
    assert_int_equal(g.others, OTHERS + 1);
    gathering_free(&g);
}

/* ---- keys ------------------------------------------------------------------------ */

static void test_wrong_keys_are_refused_and_never_told(void **state)
{
    (void)state;
    struct gathering g;
    struct vivo_op op;
    setenv("AWS_ACCESS_KEY_ID", "ident", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "another", 1);
    assert_int_equal(list_with("keys=ident:sEcret", &g, &op), -EACCES);
    assert_non_null(strstr(op.err.text, "keys"));
    assert_null(strstr(op.err.text, "ident"));
    assert_null(strstr(op.err.text, "another"));
    assert_int_equal(count_asked("another"), 0);
    gathering_free(&g);
    unsetenv("AWS_ACCESS_KEY_ID");
    unsetenv("AWS_SECRET_ACCESS_KEY");
}

static void test_signature_stays_with_its_host(void **state)
{
    (void)state;
    struct gathering g;
    struct vivo_op op;
    char knobs[400];
    setenv("AWS_ACCESS_KEY_ID", "ident", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "sEcret", 1);
    setenv("AWS_SESSION_TOKEN", "temporary", 1);
    /* The same server by another name: another origin. */
    snprintf(knobs, sizeof knobs, "match=/scans&redirect=http://localhost%s/elsewhere",
             strrchr(server.line, ':'));
    (void)list_with(knobs, &g, &op);
    assert_true(count_asked("/elsewhere/scans/") > 0);
    assert_int_equal(count_asked("\"authorization\": \"AWS4"), 1);
    assert_int_equal(count_asked("\"token\": \"temporary"), 1);
    gathering_free(&g);
    unsetenv("AWS_ACCESS_KEY_ID");
    unsetenv("AWS_SECRET_ACCESS_KEY");
    unsetenv("AWS_SESSION_TOKEN");
    control("/__reset");
}

static void write_file(const char *path, const char *text, mode_t mode)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    assert_int_equal(chmod(path, mode), 0);
}

static void test_keys_come_from_a_profile_that_others_cannot_read(void **state)
{
    (void)state;
    char path[64] = "/tmp/vivo-s3-keys-XXXXXX";
    struct vivo_s3_keys k;
    struct vivo_err err = {0};
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    write_file(path,
               "# keys\n[default]\naws_access_key_id=a\naws_secret_access_key = b\n\n"
               "[lab]\n  aws_access_key_id = LAB\r\naws_secret_access_key=s=/+\n"
               "region = eu-west-1\n",
               0600);
    setenv("AWS_SHARED_CREDENTIALS_FILE", path, 1);
    assert_int_equal(vivo_s3_keys_read(&k, &err), 0);
    assert_string_equal(k.id, "a");
    assert_string_equal(k.secret, "b");
    setenv("AWS_PROFILE", "lab", 1);
    assert_int_equal(vivo_s3_keys_read(&k, &err), 0);
    assert_string_equal(k.id, "LAB");
    assert_string_equal(k.secret, "s=/+");
    assert_string_equal(k.region, "eu-west-1");
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(vivo_s3_keys_read(&k, &err), -EPERM);
    assert_string_equal(k.secret, "");
    vivo_err_clear(&err);
    write_file(path, "[lab]\naws_access_key_id = LAB\n", 0600);
    assert_int_equal(vivo_s3_keys_read(&k, &err), -EINVAL);
    unlink(path);
    unsetenv("AWS_PROFILE");
    setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent", 1);
}

static int start_all(void **state)
{
    (void)state;
    return start_with("s3+", "/scans/data");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_page_gives_keys_sizes_and_tags),
        cmocka_unit_test(test_page_that_is_none_is_an_error),
        cmocka_unit_test(test_keys_that_name_other_places_are_refused),
        cmocka_unit_test(test_driver_conforms),
        cmocka_unit_test(test_listing_is_complete_or_fails),
        cmocka_unit_test(test_an_object_that_is_locked_leaves_the_others),
        cmocka_unit_test(test_object_is_the_listed_one_or_an_error),
        cmocka_unit_test(test_buckets_may_stand_in_the_name_of_the_host),
        cmocka_unit_test(test_wrong_keys_are_refused_and_never_told),
        cmocka_unit_test(test_signature_stays_with_its_host),
        cmocka_unit_test(test_keys_come_from_a_profile_that_others_cannot_read),
    };
    return cmocka_run_group_tests(tests, start_all, stop_all);
}
