/* SPDX-License-Identifier: Apache-2.0 */
/* tests/drivers/test_girder.c -- the Girder driver against a test server with the
 * quirks of the real one: conformance, then what is special. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "shelf_run.h"

#include <unistd.h>

#define OBJECTS 24
#define COLLECTIONS 3
#define OTHERS 5
#define KEY "KKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKK"
#define NOBODY "0123456789abcdef01234567"

static const char *const bad_locators[] = {"",
                                           NOBODY,
                                           NOBODY "/",
                                           NOBODY "/0",
                                           NOBODY "/12x",
                                           NOBODY "/-1",
                                           NOBODY "/../../user/me",
                                           "0123456789ABCDEF01234567/12",
                                           "0123456789abcdef0123456/12",
                                           "../0123456789abcdef01234/12",
                                           "c/" NOBODY,
                                           "http://127.0.0.1:9/x",
                                           NULL};

static void test_conforms_whatever_the_server_is_like(void **state)
{
    (void)state;
    static const char *const knobs[] = {"sha512=1&presigned=1", "links=1&ranges=0"};
    for (size_t i = 0; i < VIVO_ARRAY_LEN(knobs); i++) {
        set_only(knobs[i]);
        const struct vivo_conformance c = {
            .source = source,
            .net = net,
            .missing = "girder+http://127.0.0.1:9/api/v1",
            .missing_errno = EIO,
            .objects = OBJECTS,
            .alone = strstr(knobs[i], "links=1") ? OBJECTS : 0,
            .expect = expect_object,
            .content_requests = strstr(knobs[i], "ranges=0") ? NULL : count_retrieved,
            .unknown = NOBODY "/100",
            .escapes = bad_locators};
        assert_int_equal(vivo_conformance(&c), 0);
    }
}

static void test_listing_is_complete_whatever_the_server_does(void **state)
{
    (void)state;
    static const char *const knobs[] = {
        "total=1",
        "duplicates=1",
        "loop=1",
        "sha512=1",
        "links=1",
        "presigned=1",
        "ranges=0",
        "field=name&value=null",
        "field=name&value=%22..%2F..%2F%5Cu0000%5Cu0007%22",
        "field=name&value=[{}]",
        "field=size&value=%22x%22",
        "field=updated&value=%22a%5Cn%2Fb%22",
        "field=sha512&value=12",
        "match=item&pad=1000000",
        "chunked=1",
        "match=folder&close=1",
        "match=user&fail=401",
        "match=user&fail=404",
        "fail=503&fail_times=1",
        "fail=429&fail_times=1&retry_after=0",
        "cut=10&cut_times=1",
        "latency=10",
    };
    check_listings(knobs, VIVO_ARRAY_LEN(knobs),
                   (struct holding){OBJECTS, COLLECTIONS, OTHERS});
}

static void test_listing_fails_rather_than_being_short(void **state)
{
    (void)state;
    static const struct failing cases[] = {
        {"match=collection&html=1", -EBADMSG, "collections"},
        {"match=folder&html=1", -EBADMSG, "folders of a folder"},
        {"match=item&json=null", -EBADMSG, "array"},
        {"match=item&json=[]x", -EBADMSG, "items of a folder"},
        {"match=item&json=[{}]", -EBADMSG, "id"},
        {"match=item&json=[[]]", -EBADMSG, "array"},
        {"match=item&json=[{\"_id\":\"..\"}]", -EBADMSG, "id"},
        {"match=files&json=[{\"_id\":12}]", -EBADMSG, "files of an item"},
        {"match=files&json=[{\"_id\":\"" NOBODY "\"},", -EBADMSG, "array"},
        {"field=_id&value=null", -EBADMSG, "id"},
        {"match=collection&empty_body=1", -EBADMSG, "empty"},
        {"match=files&endless=1", -EIO, "longer than"},
        {"many=2500&ignore_offset=1", -EIO, "page to page"},
        {"many=2500&vanish=9", -EIO, "page to page"},
        {"cut=1", -EIO, "collections"},
        {"match=files&cut=20&close=1", -EBADMSG, "array"},
        {"match=item&length=5", -EIO, "items of a folder"},
        {"fail=503", -EIO, "503"},
        {"match=files&fail=404", -EIO, "404"},
        {"fail=404", -EIO, "404"},
        {"match=item&fail=403", -EACCES, "login"},
        {"match=item&fail=401", -EACCES, "login"},
        {"match=download&fail=500", -EIO, "a file"},
        {"match=download&fail=401", -EACCES, "login"},
        {"match=collection&stall=10", -ETIMEDOUT, "collections"},
    };
    check_failures(cases, VIVO_ARRAY_LEN(cases));
}

static void test_collections_come_in_pages(void **state)
{
    (void)state;
    struct gathering g;
    struct vivo_op op;
    for (unsigned vanish = 0; vanish < 3; vanish++) {
        char knobs[64];
        control("/__reset");
        snprintf(knobs, sizeof knobs, "many=2500&vanish=%u", vanish);
        set(knobs);
        struct vivo_archive *a = open_as(NULL);
        vivo_op_init(&op, 0);
        gathering_init(&g, a->driver->lists);
        assert_int_equal(vivo_archive_list(a, VIVO_LEVEL_NONE, NULL, &g.base, &op), 0);
        assert_int_equal(g.n_containers, COLLECTIONS + 2500);
        assert_int_equal(g.flaws, 0);
        gathering_free(&g);
        vivo_archive_close(a);
    }
    control("/__reset");
}

/* 3 collections; 10 folders with folders and items; 8 series and 4 things besides, of
 * which one is called like a text. */
static void test_listing_asks_once_for_each_thing(void **state)
{
    (void)state;
    struct gathering g;
    struct vivo_op op;
    assert_int_equal(list_as("sha512=0", NULL, &g, &op), 0);
    gathering_free(&g);
    assert_int_equal(count_asked("/user/authentication\""), 1);
    assert_int_equal(count_asked("/collection\""), 1);
    assert_int_equal(count_asked("/folder\""), 3 + 6);
    assert_int_equal(count_asked("/item\""), 6);
    assert_int_equal(count_asked("/files\""), 8 + 4);
    /* A zip and an empty file are told by the listing. */
    assert_int_equal(count_asked("/download\""), OBJECTS + 2);
}

static void test_a_folder_can_be_the_source(void **state)
{
    (void)state;
    static const char *const words[] = {"/#collection/", "/api/v1/collection/",
                                        "/collection/"};
    struct gathering g;
    struct vivo_op op;
    char whole[300];
    char id[25];
    assert_int_equal(list_as("sha512=0", NULL, &g, &op), 0);
    snprintf(id, sizeof id, "%s", g.containers[0].locator + 2);
    gathering_free(&g);
    snprintf(whole, sizeof whole, "%s", source);
    for (size_t i = 0; i < VIVO_ARRAY_LEN(words); i++) {
        snprintf(source, sizeof source, "%.*s%s%s",
                 (int)(strlen(whole) - strlen("/api/v1")), whole, words[i], id);
        assert_int_equal(list_as("sha512=0", NULL, &g, &op), 0);
        assert_int_equal(g.n_containers, 1);
        assert_int_equal(g.n_objects, OBJECTS / 2);
        gathering_free(&g);
    }
    snprintf(source, sizeof source, "%s", whole);
}

static void test_sources_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    static const char *const sources[] = {
        "girder+https://",
        "girder+https://user:pw@host/api/v1",
        "girder+https://host/api/v1?x=1",
        ("girder+https://host/api/v1/item/" NOBODY),
        "girder+https://host/api/v1/folder/..",
        "girder+https://host/#folder/xyz",
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(sources); i++)
        assert_int_equal(open_error(sources[i], NULL), -EINVAL);
    assert_int_equal(open_error("girder+https://host", "two words"), -EINVAL);
    assert_int_equal(open_error("girder+https://host", ""), -EINVAL);
}

/* ---- logging in ---------------------------------------------------------------------
 */

static void test_keys_show_what_guests_do_not_see(void **state)
{
    (void)state;
    struct gathering g;
    struct vivo_op op;
    assert_int_equal(list_as("private=Brains", NULL, &g, &op), 0);
    assert_int_equal(g.n_objects, OBJECTS / 2);
    gathering_free(&g);
    assert_int_equal(list_as("private=Brains", KEY, &g, &op), 0);
    assert_int_equal(g.n_objects, OBJECTS);
    gathering_free(&g);
    assert_int_equal(list_as("private=Brains&presigned=1", KEY, &g, &op), 0);
    assert_int_equal(g.n_objects, OBJECTS);
    gathering_free(&g);
    /* The other host was never told who asks. */
    assert_true(count_asked("/elsewhere/") > OBJECTS);
    struct vivo_buf log;
    assert_int_equal(ask("/__log", &log), 0);
    for (char *s = (char *)log.data; (s = strstr(s, "/elsewhere/")); s++) {
        const char *end = strchr(s, '}');
        const char *told = strstr(s, "\"token\": null");
        assert_true(told && told < end);
    }
    vivo_buf_free(&log);
}

static void test_wrong_keys_and_tokens_are_told(void **state)
{
    (void)state;
    static const char *const keys[] = {"LLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLL",
                                       "a-token-that-nobody-knows"};
    for (size_t i = 0; i < VIVO_ARRAY_LEN(keys); i++)
        check_wrong_login(keys[i], keys[i]);
}

static void test_tokens_that_ran_out_are_renewed(void **state)
{
    (void)state;
    struct gathering g;
    struct vivo_op op;
    set_only("private=Brains");
    struct vivo_archive *a = open_as(KEY);
    assert_int_equal(list_all(a, &g, &op), 0);
    for (int i = 0; i < 2; i++) {
        control("/__forget");
        assert_int_equal(fetch_all(a, &g, &op), 0);
    }
    assert_int_equal(count_asked("/api_key/token\""), 3);
    gathering_free(&g);
    vivo_archive_close(a);
}

/* A token that has run out makes a guest of who sends it, who is told less and no word
 * of it: those that end within a minute are renewed after a second. */
static void test_tokens_about_to_run_out_are_renewed_beforehand(void **state)
{
    (void)state;
    struct gathering g;
    struct vivo_op op;
    set_only("private=Brains&life=30");
    struct vivo_archive *a = open_as(KEY);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(list_all(a, &g, &op), 0);
        assert_int_equal(g.n_objects, OBJECTS);
        gathering_free(&g);
        int64_t until = vivo_now_ms() + 1100;
        while (vivo_now_ms() < until)
            usleep(10000);
        control("/__forget");
    }
    assert_true(count_asked("/api_key/token\"") > 1);
    vivo_archive_close(a);
    control("/__reset");
}

/* ---- files --------------------------------------------------------------------------
 */

static void test_a_file_is_whole_or_an_error(void **state)
{
    (void)state;
    static const struct failing cases[] = {
        {"grow=7", -EIO, "grown"},
        {"wrong=hello", -EBADMSG, "DICOM"},
        {"match=download&cut=900", -EIO, "remaining"},
        {"grow=-20", -EIO, "listing"},
        {"match=download&stall=900", -ETIMEDOUT, "a file"},
        {"match=download&fail=404", -ENOENT, "a file"},
        {"match=download&fail=503", -EIO, "503"},
        {"match=download&fail=403", -EACCES, "login"},
        {"match=download&redirect=http://127.0.0.1:9", -EIO, "a file"},
    };
    check_fetches(cases, VIVO_ARRAY_LEN(cases));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conforms_whatever_the_server_is_like),
        cmocka_unit_test(test_listing_is_complete_whatever_the_server_does),
        cmocka_unit_test(test_listing_fails_rather_than_being_short),
        cmocka_unit_test(test_collections_come_in_pages),
        cmocka_unit_test(test_listing_asks_once_for_each_thing),
        cmocka_unit_test(test_a_folder_can_be_the_source),
        cmocka_unit_test(test_sources_that_make_no_sense_are_refused),
        cmocka_unit_test(test_keys_show_what_guests_do_not_see),
        cmocka_unit_test(test_wrong_keys_and_tokens_are_told),
        cmocka_unit_test(test_tokens_that_ran_out_are_renewed),
        cmocka_unit_test(test_tokens_about_to_run_out_are_renewed_beforehand),
        cmocka_unit_test(test_a_file_is_whole_or_an_error),
    };
    server_program = VIVO_TEST_SOURCE_DIR "/tests/servers/girder_server.py";
    server_prefix = "girder+";
    return cmocka_run_group_tests(tests, start_all, stop_all);
}
