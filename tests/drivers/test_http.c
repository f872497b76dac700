/* SPDX-License-Identifier: Apache-2.0 */
/* tests/drivers/test_http.c -- the driver of web folders against a test server that
 * writes the index pages of many servers: conformance, then what is special. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "archive_run.h"
#include "drivers/crawl.h"

#include <curl/curl.h>

#include <pthread.h>

#define SERVER VIVO_TEST_SOURCE_DIR "/tests/servers/web_server.py"
#define SHAPE "1,2,2,3" /* patients, studies, series, instances of each */
#define OBJECTS 13      /* one more, with a long header */
#define OTHERS 4        /* files beside them that are no DICOM */

static const char *const bad_locators[] = {"a//b",
                                           "a/../b",
                                           "a/./b",
                                           "/a",
                                           "a/",
                                           "a\nb",
                                           "a\x01",
                                           "http://127.0.0.1:9/x",
                                           "//127.0.0.1:9/x",
                                           NULL};

/* ---- conformance ------------------------------------------------------------ */

static void test_every_index_conforms(void **state)
{
    (void)state;
    static const struct {
        const char *knobs, *page;
    } cases[] = {{"style=nginx", ""},
                 {"style=apache&ranges=0&stamps=0", ""},
                 {"style=caddy_json", ""},
                 {"style=pages", "index.html"}};
    for (size_t i = 0; i < VIVO_ARRAY_LEN(cases); i++) {
        char url[400];
        snprintf(url, sizeof url, "%s%s", source, cases[i].page);
        set_only(cases[i].knobs);
        const struct vivo_conformance c = {.source = url,
                                           .net = net,
                                           .missing = "http://127.0.0.1:9/x/",
                                           .missing_errno = EIO,
                                           .objects = OBJECTS,
                                           .expect = expect_file,
                                           .content_requests = count_retrieved,
                                           .unknown = "patient 0/not there.dcm",
                                           .escapes = bad_locators};
        assert_int_equal(vivo_conformance(&c), 0);
    }
}

/* ---- listing ---------------------------------------------------------------- */

static void test_listing_is_complete_whatever_writes_the_index(void **state)
{
    (void)state;
    static const char *const knobs[] = {
        "style=nginx",
        "style=nginx_json",
        "style=apache",
        "style=apache_table",
        "style=lighttpd",
        "style=lighttpd_json",
        "style=caddy_json",
        "style=python",
        "style=python&ranges=0",
        "style=bare",
        "style=nginx&chunked=1",
        "style=apache&close_pages=1",
        "fail=503&fail_times=1",
        "fail=429&fail_times=1&retry_after=1",
        "cut=40&cut_times=1",
        "kind=text/html",
        "stamps=0",
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(knobs); i++) {
        struct gathering g;
        struct vivo_op op;
        int rc = list_with(knobs[i], &g, &op);
        if (rc != 0 || g.n_objects != OBJECTS || g.others != OTHERS)
            fail_msg("%s: %d, %zu objects, %zu others: %s", knobs[i], rc, g.n_objects,
                     g.others, op.err.text);
        gathering_free(&g);
    }
}

static void test_listing_fails_rather_than_being_short(void **state)
{
    (void)state;
    static const struct {
        const char *knobs;
        int rc;
        const char *words;
    } cases[] = {
        {"page=<html><title>Welcome</title><a%20href=about/>About%20us</a></html>",
         -EBADMSG, "no index"},
        {"page=%20", -EBADMSG, "empty"},
        {"page=not%20html%20at%20all", -EBADMSG, "no index"},
        {"page=[{\"name\":", -EBADMSG, "JSON"},
        {"page=[{\"name\":\"a\",\"type\":7}]", -EBADMSG, "JSON"},
        {"page=[null]", -EBADMSG, "JSON"},
        {"page=[1,2]", -EBADMSG, "JSON"},
        {"page=[{\"name\":\"a\",\"type\":\"file\"}", -EBADMSG, "JSON"},
        {"cut=40", -EIO, "127.0.0.1"},
        {"cut=40&close=1", -EIO, "cut"},
        {"stall=40", -ETIMEDOUT, "silent"},
        {"length=7", -EIO, ""},
        {"fail=503", -EIO, "503"},
        {"fail=401", -EACCES, "login"},
        {"fail=403", -EACCES, "403"},
        {"fail=404", -ENOENT, "404"},
        {"match=.dcm&fail=500", -EIO, "500"},
        {"match=patient&fail=503", -EIO, "503"},
        {"match=patient&fail=401", -EACCES, "login"},
        {"match=I1&cut=100", -EIO, ""},
        {"match=I1&stall=100", -ETIMEDOUT, "silent"},
        {"match=I1&ranges=2", -EIO, "range"},
        {"match=I1&encoding=gzip", -EIO, "compressed"},
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(cases); i++) {
        struct gathering g;
        struct vivo_op op;
        int rc = list_with(cases[i].knobs, &g, &op);
        if (rc != cases[i].rc || !strstr(op.err.text, cases[i].words))
            fail_msg("%s: %d instead of %d: %s", cases[i].knobs, rc, cases[i].rc,
                     op.err.text);
        gathering_free(&g);
    }
}

static void test_links_that_lead_elsewhere_are_not_followed(void **state)
{
    (void)state;
    static const char *const links[] = {
        "<a href='../secret/'>..</a>",
        "<a href='..'>up</a>",
        "<a href='/etc/passwd'>x</a>",
        "<a href='/data/../etc/'>x</a>",
        "<a href='%252e%252e/'>x</a>",
        "<a href='%252e%252e%252fetc/'>x</a>",
        "<a href='a%252fb'>x</a>",
        "<a href='a%2500b'>x</a>",
        "<a href='a%250ab'>x</a>",
        "<a href='.'>x</a><a href='./'>x</a><a href=''>x</a><a>x</a>",
        "<a href='http://127.0.0.1:9/data/x'>x</a>",
        "<a href='//127.0.0.1:9/data/x'>x</a>",
        "<a href='javascript:x'>x</a><a href='file:///etc/passwd'>x</a>",
        "<a href='mailto:a@b'>x</a><a href='ftp://127.0.0.1/x'>x</a>",
        "<a href='?C=N;O=D'>x</a><a href='plain?x=1'>x</a><a href='%23top'>x</a>",
        "<a href='plain'>again</a><a href='./plain'>again</a>",
        "<a href='/data/plain'>again</a><base href='http://127.0.0.1:9/'>",
        "<a href='x\\..\\y/z'>x</a><a href='deep/er'>x</a>",
        "<!ENTITY a SYSTEM 'file:///etc/passwd'><iframe src='/x'></iframe>&a;",
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(links); i++) {
        struct gathering g;
        struct vivo_op op;
        char knobs[400] = "match=&style=apache&links=";
        size_t n = strlen(knobs);
        for (const char *s = links[i]; *s && n < sizeof knobs - 4; s++)
            n += (size_t)snprintf(knobs + n, sizeof knobs - n,
                                  strchr("&+;#", *s) ? "%%%02X" : "%c",
                                  (unsigned char)*s);
        for (char *s = knobs; *s; s++)
            *s = *s == ' ' ? '+' : *s;
        int rc = list_with(knobs, &g, &op);
        if (rc != 0 || g.n_objects != OBJECTS || g.others != OTHERS)
            fail_msg("%s: %d, %zu objects, %zu others: %s", links[i], rc, g.n_objects,
                     g.others, op.err.text);
        assert_int_equal(count_asked("secret"), 0);
        assert_int_equal(count_asked("etc"), 0);
        gathering_free(&g);
    }
}

/* With <base href> the links of a page are relative to that, if it is of our host. */
static void test_base_of_a_page_is_honoured(void **state)
{
    (void)state;
    static const struct {
        const char *base, *front; /* of links to two files of the folder */
        size_t objects;
    } cases[] = {
        {"/", "data/", 2},
        {"/data/", "", 2},
        {"./", "", 2},
        {"../", "data/", 2},
        {"/elsewhere/x.html", "../data/", 2},
        {"//127.0.0.1:9/", "", 2},
        {"http://127.0.0.1:9/", "", 2},
        {"/elsewhere/", "", 0},
        {"/", "", 0},
        {"/elsewhere/", "/data/", 2},
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(cases); i++) {
        struct gathering g;
        struct vivo_op op;
        char knobs[600];
        snprintf(knobs, sizeof knobs,
                 "match=data/$&page=<html><title>Index+of+x</title>"
                 "<base+href='%s'><base+href='/second/'><a+href='%splain'>a</a>"
                 "<a+href='%slooks.dcm'>b</a></html>",
                 cases[i].base, cases[i].front, cases[i].front);
        int rc = list_with(knobs, &g, &op);
        if (rc != 0 || g.n_objects + g.others != cases[i].objects)
            fail_msg("%s, %s: %d, %zu objects, %zu others: %s", cases[i].base,
                     cases[i].front, rc, g.n_objects, g.others, op.err.text);
        gathering_free(&g);
    }
}

static void check_resolved(const char *base, const char *link)
{
    char full[300];
    char ours[200];
    char *theirs = NULL;
    CURLU *u = curl_url();
    snprintf(full, sizeof full, "http://h%s", base);
    assert_int_equal(curl_url_set(u, CURLUPART_URL, full, CURLU_PATH_AS_IS), 0);
    assert_int_equal(curl_url_set(u, CURLUPART_URL, link, 0), 0);
    assert_int_equal(curl_url_get(u, CURLUPART_PATH, &theirs, 0), 0);
    assert_true(vivo_crawl_resolve(base, link, ours, sizeof ours));
    if (strcmp(ours, theirs) != 0)
        fail_msg("%s from %s: %s, libcurl says %s", link, base, ours, theirs);
    curl_free(theirs);
    curl_url_cleanup(u);
}

static void test_links_lead_where_libcurl_says(void **state)
{
    static const char *const parts[] = {"a",  "b.dcm", "..", ".",   "%2e",
                                        "..", "/",     "/",  "...", "%20"};
    /* RFC 3986 section 5.4, those of paths. */
    static const char *const examples[] = {
        "g",    "./g",    "g/",         "/g",    ".",      "./",
        "..",   "../",    "../g",       "../..", "../../", "../../g",
        "/./g", "/../g",  "../../../g", "g.",    ".g",     "g..",
        "..g",  "./../g", "./g/.",      "g/./h", "g/../h", "../../../../g"};
    char small[20];
    uint32_t seed = 1;
    (void)state;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(examples); i++)
        check_resolved("/b/c/d", examples[i]);
    for (unsigned n = 0; n < 2000; n++) {
        char link[100] = "";
        for (unsigned k = 0; k < 1 + n % 7; k++) {
            seed = seed * 1664525u + 1013904223u;
            const char *part = parts[(seed >> 16) % VIVO_ARRAY_LEN(parts)];
            size_t at = strlen(link);
            snprintf(link + at, sizeof link - at, "%s", part);
        }
        if (strstr(link, "//")) /* a host; or "..//", in which libcurl loses a slash */
            continue;
        check_resolved("/one/two/three.html", link);
        check_resolved("/one/two/", link);
    }
    assert_false(vivo_crawl_resolve("/0123456789/", "0123456789", small, sizeof small));
}

/* Neither followed nor an index: a page for people that leads to another. */
static void test_page_that_sends_away_is_no_index(void **state)
{
    struct gathering g;
    struct vivo_op op;
    (void)state;
    int rc = list_with("page=<html><meta+http-equiv=Refresh+content='0;+URL=secret/'>"
                       "<a+href='secret/'>secret/</a></html>",
                       &g, &op);
    assert_int_equal(rc, -EBADMSG);
    assert_non_null(strstr(op.err.text, "no index"));
    assert_int_equal(count_asked("secret"), 0);
    gathering_free(&g);
}

static void test_dead_link_and_locked_folder_count_as_others(void **state)
{
    (void)state;
    static const struct {
        const char *knobs;
        size_t objects, others;
    } cases[] = {
        {"links=<a+href=gone.dcm>x</a>&style=bare", OBJECTS, OTHERS + 1},
        {"match=study%25252F0&fail=403", 7, OTHERS + 1},
        {"match=study%25252F0/&page=<html>Hello</html>", 7, OTHERS + 1},
        {"match=I1&fail=403", 9, OTHERS + 4},
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(cases); i++) {
        struct gathering g;
        struct vivo_op op;
        int rc = list_with(cases[i].knobs, &g, &op);
        if (rc != 0 || g.n_objects != cases[i].objects || g.others != cases[i].others)
            fail_msg("%s: %d, %zu objects, %zu others: %s", cases[i].knobs, rc,
                     g.n_objects, g.others, op.err.text);
        gathering_free(&g);
    }
}

static void test_endless_pages_and_folders_end(void **state)
{
    (void)state;
    static const struct {
        const char *knobs;
        int rc;
        const char *words;
    } cases[] = {{"endless=1", -EIO, "longer than"}, {"deeper=1", 0, ""}};
    for (size_t i = 0; i < VIVO_ARRAY_LEN(cases); i++) {
        struct gathering g;
        struct vivo_op op;
        int rc = list_with(cases[i].knobs, &g, &op);
        if (rc != cases[i].rc || !strstr(op.err.text, cases[i].words))
            fail_msg("%s: %d: %s", cases[i].knobs, rc, op.err.text);
        gathering_free(&g);
    }
}

/* ---- requests --------------------------------------------------------------- */

static void test_listing_costs_a_request_a_folder_and_a_file(void **state)
{
    (void)state;
    struct gathering g;
    struct vivo_op op;
    assert_int_equal(list_with("style=nginx", &g, &op), 0);
    gathering_free(&g);
    assert_int_equal(count_asked("\"range\": \"bytes=0-16383\""), OBJECTS + 3);
    assert_int_equal(count_asked("\"range\": \"bytes=16384-65535\""), 1);
    assert_int_equal(count_asked("\"range\": \"bytes=65536-262143\""), 1);
    assert_int_equal(count_asked("\"path\""), OBJECTS + 3 + 2 + 1 + 1 + 2 + 4);
}

static void test_what_is_known_is_not_asked_again(void **state)
{
    (void)state;
    static const struct {
        const char *knobs;
        size_t files;
    } cases[] = {{"style=nginx", 0},        {"style=nginx_json", 0},
                 {"style=apache_table", 0}, {"style=lighttpd", 0},
                 {"style=caddy_json", 0},   {"style=python", OBJECTS + 3 + 2}};
    for (size_t i = 0; i < VIVO_ARRAY_LEN(cases); i++) {
        struct vivo_archive *a = open_source(source, NULL);
        struct gathering g;
        struct vivo_op op;
        set_only(cases[i].knobs);
        vivo_op_init(&op, 0);
        gathering_init(&g, a->driver->lists);
        g.everything_known = true;
        assert_int_equal(vivo_archive_list(a, VIVO_LEVEL_NONE, NULL, &g.base, &op), 0);
        assert_int_equal(g.n_objects, 0);
        assert_int_equal(count_asked("\"range\""), cases[i].files);
        gathering_free(&g);
        vivo_archive_close(a);
    }
}

/* ---- fetching --------------------------------------------------------------- */

static void test_object_is_whole_or_an_error(void **state)
{
    (void)state;
    static const struct {
        const char *knobs;
        int rc;
    } cases[] = {
        {"chunked=1", 0},
        {"kind=text/plain", 0},
        {"cut=300&cut_times=1", 0},
        {"fail=503&fail_times=1", 0},
        {"cut=300", -EIO},
        {"cut=300&close=1", -EIO},
        {"close=1", -EIO},
        {"length=9", -EIO},
        {"stall=300", -ETIMEDOUT},
        {"fail=503", -EIO},
        {"fail=401", -EACCES},
        {"fail=403", -EACCES},
        {"fail=404", -ENOENT},
        {"encoding=gzip", -EIO},
        {"file_body=<html>log+in</html>", -EBADMSG},
        {"body_redirect=http://127.0.0.1:9", -EIO},
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(cases); i++) {
        struct vivo_op op;
        int rc = fetch_with(cases[i].knobs, &op);
        if (rc != cases[i].rc)
            fail_msg("%s: %d instead of %d: %s", cases[i].knobs, rc, cases[i].rc,
                     op.err.text);
        assert_null(strstr(op.err.text, "patient"));
    }
}

static void test_object_that_changes_while_its_header_is_read_is_an_error(void **state)
{
    (void)state;
    /* Only the long header is asked for in pieces. */
    struct gathering g;
    struct vivo_op op;
    assert_int_equal(list_with("swap=1", &g, &op), -EIO);
    assert_non_null(strstr(op.err.text, "changed"));
    gathering_free(&g);
}

static void test_credentials_stay_with_the_host(void **state)
{
    (void)state;
    static const char *const argv[] = {SERVER, "--make", SHAPE, NULL};
    struct child other;
    struct gathering g;
    struct vivo_op op;
    struct receipt r;
    char knobs[300];
    assert_int_equal(child_start(&other, argv), 0);
    struct vivo_archive *a = open_source(source, "t0ken");
    set_only("auth=bearer:t0ken");
    assert_int_equal(list_all(a, &g, &op), 0);
    assert_int_equal(g.n_objects, OBJECTS);
    snprintf(knobs, sizeof knobs, "body_redirect=%.*s", root_length(other.line),
             other.line);
    set_only(knobs);
    receipt_init(&r, false, &op);
    assert_int_equal(vivo_archive_fetch(a, g.objects[0].locator, &r.base, &op), 0);
    receipt_free(&r);
    assert_int_equal(count_asked("Bearer t0ken"), 1);
    struct child first = server;
    server = other;
    assert_int_equal(count_asked(".dcm"), 1);
    assert_int_equal(count_asked("t0ken"), 0);
    server = first;
    gathering_free(&g);
    vivo_archive_close(a);
    child_stop(&other);
}

static void *cancel_soon(void *ctx)
{
    struct vivo_op *op = ctx;
    usleep(50000);
    atomic_store(&op->cancelled, true);
    return NULL;
}

static void test_stalled_listing_can_be_cancelled(void **state)
{
    (void)state;
    struct vivo_archive *a = open_source(source, NULL);
    struct gathering g;
    struct vivo_op op;
    pthread_t thread;
    set_only("match=I1&stall=100");
    vivo_op_init(&op, 0);
    gathering_init(&g, a->driver->lists);
    assert_int_equal(pthread_create(&thread, NULL, cancel_soon, &op), 0);
    int rc = vivo_archive_list(a, VIVO_LEVEL_NONE, NULL, &g.base, &op);
    pthread_join(thread, NULL);
    assert_int_equal(rc, -EINTR);
    control("/__reset");
    gathering_free(&g);
    vivo_archive_close(a);
}

/* ---- the URL ---------------------------------------------------------------- */

static void test_urls_that_make_no_sense_are_einval(void **state)
{
    (void)state;
    static const char *const urls[] = {
        "http://",         "http://u:p@h/x/", "https:///x/",
        "http://h/x/?a=b", "http://h/x y/",   "http://h/x#y",
        "http://h/%zz/",   "http://h/%00/",   "http://h/a\nb/"};
    for (size_t i = 0; i < VIVO_ARRAY_LEN(urls); i++) {
        const struct vivo_archive_config cfg = {.source = urls[i], .net = net};
        struct vivo_archive *a = NULL;
        struct vivo_err err = {0};
        if (vivo_archive_open(&cfg, &a, &err) != -EINVAL)
            fail_msg("%s: %s", urls[i], err.text);
        assert_null(strstr(err.text, "u:p"));
    }
}

static int start_all(void **state)
{
    (void)state;
    return archive_run_start(
        &(struct archive_run){.program = SERVER, .shape = SHAPE, .silence_ms = 600});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_index_conforms),
        cmocka_unit_test(test_listing_is_complete_whatever_writes_the_index),
        cmocka_unit_test(test_listing_fails_rather_than_being_short),
        cmocka_unit_test(test_links_that_lead_elsewhere_are_not_followed),
        cmocka_unit_test(test_base_of_a_page_is_honoured),
        cmocka_unit_test(test_links_lead_where_libcurl_says),
        cmocka_unit_test(test_page_that_sends_away_is_no_index),
        cmocka_unit_test(test_dead_link_and_locked_folder_count_as_others),
        cmocka_unit_test(test_endless_pages_and_folders_end),
        cmocka_unit_test(test_listing_costs_a_request_a_folder_and_a_file),
        cmocka_unit_test(test_what_is_known_is_not_asked_again),
        cmocka_unit_test(test_object_is_whole_or_an_error),
        cmocka_unit_test(test_object_that_changes_while_its_header_is_read_is_an_error),
        cmocka_unit_test(test_credentials_stay_with_the_host),
        cmocka_unit_test(test_stalled_listing_can_be_cancelled),
        cmocka_unit_test(test_urls_that_make_no_sense_are_einval),
    };
    return cmocka_run_group_tests(tests, start_all, stop_all);
}
