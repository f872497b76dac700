/* SPDX-License-Identifier: Apache-2.0 */
/* tests/drivers/test_midas.c -- the MIDAS driver against a test server with the quirks
 * of the real one: conformance, then what is special. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "shelf_run.h"

#define OBJECTS 24
#define COLLECTIONS 3
#define OTHERS 5
#define LOGIN "me@example.org:secretapikey"

static const char *const bad_locators[] = {
    "",       "7",         "7/",           "7/0",       "7/x",  "7/-1", "-7/12",
    "0/12",   "7/12?a=b",  "7&authToken=", "../7/12",   "7/..", "c/7",  "07/12",
    "7/12/7", "7/12 HTTP", "7\n/12",       "http://x/", NULL};

static void test_conforms_whatever_the_server_is_like(void **state)
{
    (void)state;
    static const char *const knobs[] = {"ranges=0", "ranges=1&links=1&numbers=1"};
    for (size_t i = 0; i < VIVO_ARRAY_LEN(knobs); i++) {
        set_only(knobs[i]);
        const struct vivo_conformance c = {
            .source = source,
            .net = net,
            .missing = "midas+http://127.0.0.1:9/midas",
            .missing_errno = EIO,
            .objects = OBJECTS,
            .alone = strstr(knobs[i], "links=1") ? OBJECTS : 0,
            .expect = expect_object,
            .content_requests = count_retrieved,
            .unknown = "999999/100",
            .escapes = bad_locators};
        assert_int_equal(vivo_conformance(&c), 0);
    }
}

static void test_listing_is_complete_whatever_the_server_does(void **state)
{
    (void)state;
    static const char *const knobs[] = {
        "numbers=1",
        "duplicates=1",
        "loop=1",
        "all_revisions=1",
        "checksums=0",
        "links=1",
        "field=name&value=null",
        "field=name&value=%22..%2F..%2F%5Cu0000%5Cu0007%22",
        "field=name&value=[{}]",
        "field=checksum&value=%22a%5Cn%2Fb%22",
        "field=description&value=[[[]]]",
        "pad=100000",
        "chunked=1",
        "match=api&close=1",
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
        {"html=1", -EBADMSG, "communities"},
        {"text=Inconsistent+request", -EBADMSG, "Web API"},
        {"text=<?xml+version='1.0'?><rsp/>", -EBADMSG, "version 3"},
        {"text=null", -EBADMSG, "Web API"},
        {"text={}", -EBADMSG, "Web API"},
        {"text={\"stat\":\"ok\"}", -EBADMSG, "Web API"},
        {"json={}", -EBADMSG, "communities"},
        {"json=[null]", -EBADMSG, "id"},
        {"json=[{\"community_id\":\"..\"}]", -EBADMSG, "id"},
        {"method=children&json=[]", -EBADMSG, "object"},
        {"method=children&json={\"folders\":7}", -EBADMSG, "list"},
        {"method=folder&json={\"items\":[{\"item_id\":-1}]}", -EBADMSG, "id"},
        {"method=item&json={\"revisions\":{}}", -EBADMSG, "files of an item"},
        {"method=item&json={\"revisions\":[{\"bitstreams\":[[]]}]}", -EBADMSG, "id"},
        {"method=item&json={\"revisions\":[{\"bitstreams\":null}]}", -EBADMSG, "list"},
        {"empty_body=1", -EBADMSG, "Web API"},
        {"method=folder&endless=1", -EIO, "longer than"},
        {"code=-100", -EIO, "code -100"},
        {"method=folder&code=-151", -EACCES, "login"},
        {"method=item&code=-154", -EIO, "not there"},
        {"cut=1", -EIO, "communities"},
        {"match=api&cut=20&close=1", -EBADMSG, "Web API"},
        {"match=api&length=5", -EIO, "communities"},
        {"fail=503", -EIO, "503"},
        {"fail=404", -EIO, "no MIDAS"},
        {"fail=403", -EACCES, "communities"},
        {"match=download&fail=500", -EIO, "a file"},
        {"match=download&fail=401", -EACCES, "login"},
        {"stall=10", -ETIMEDOUT, "communities"},
    };
    check_failures(cases, VIVO_ARRAY_LEN(cases));
}

/* 3 communities; 6 folders; 8 series and 5 items besides, of which one file is called
 * like a text, one like a zip, one is empty. */
static void test_listing_asks_once_for_each_thing(void **state)
{
    (void)state;
    struct gathering g;
    struct vivo_op op;
    assert_int_equal(list_as("numbers=0", NULL, &g, &op), 0);
    gathering_free(&g);
    assert_int_equal(count_asked("method=midas.community.list"), 1);
    assert_int_equal(count_asked("method=midas.community.children"), 3);
    assert_int_equal(count_asked("method=midas.folder.children"), 6);
    assert_int_equal(count_asked("method=midas.item.get"), 8 + 5);
    assert_int_equal(count_asked("bitstream="), OBJECTS + 2);
    assert_int_equal(count_asked("\"method\": \"POST\""), 0);
}

static void test_sources_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    static const char *const sources[] = {
        "midas+https://",
        "midas+https://user:pw@host/midas",
        "midas+https://host/midas?x=1",
        "midas+https://host/mi das",
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(sources); i++)
        assert_int_equal(open_error(sources[i], NULL), -EINVAL);
    assert_int_equal(open_error("midas+https://host", "nocolon"), -EINVAL);
    assert_int_equal(open_error("midas+https://host", "a:"), -EINVAL);
}

/* ---- logging in ---------------------------------------------------------------------
 */

static void test_members_see_what_guests_do_not_see(void **state)
{
    (void)state;
    struct gathering g;
    struct vivo_op op;
    assert_int_equal(list_as("private=Give+A+Scan", NULL, &g, &op), 0);
    assert_int_equal(g.n_objects, OBJECTS / 2);
    gathering_free(&g);
    assert_int_equal(list_as("private=Give+A+Scan", LOGIN, &g, &op), 0);
    assert_int_equal(g.n_objects, OBJECTS);
    assert_int_equal(count_asked("method=midas.login"), 1);
    assert_int_equal(count_asked("secretapikey"),
                     0); /* in the body, not in the address */
    gathering_free(&g);
}

static void test_wrong_logins_are_told(void **state)
{
    (void)state;
    check_wrong_login("me@example.org:wr0ng", "wr0ng");
}

static void test_tokens_that_ran_out_are_renewed(void **state)
{
    (void)state;
    static const char *const knobs[] = {"login_page=1", "login_page=0"};
    for (size_t i = 0; i < VIVO_ARRAY_LEN(knobs); i++) {
        struct gathering g;
        struct vivo_op op;
        set_only("private=Give+A+Scan");
        set(knobs[i]);
        struct vivo_archive *a = open_as(LOGIN);
        assert_int_equal(list_all(a, &g, &op), 0);
        control("/__forget");
        assert_int_equal(fetch_all(a, &g, &op), 0);
        control("/__forget");
        gathering_free(&g);
        assert_int_equal(list_all(a, &g, &op), 0);
        assert_int_equal(g.n_objects, OBJECTS);
        assert_int_equal(count_asked("method=midas.login"), 3);
        gathering_free(&g);
        vivo_archive_close(a);
    }
}

/* ---- files --------------------------------------------------------------------------
 */

static void test_a_file_is_whole_or_an_error(void **state)
{
    (void)state;
    static const struct failing cases[] = {
        {"grow=7", -EIO, "grown"},
        {"wrong=hello", -EBADMSG, "DICOM"},
        {"private=Give+A+Scan,Lungs+%26+more%2Fless", -EACCES, "page for people"},
        {"private=Give+A+Scan,Lungs+%26+more%2Fless&login_page=0", -EACCES, "login"},
        {"match=download&cut=900", -EIO, "remaining"},
        {"grow=-20", -EIO, "listing"},
        {"match=download&stall=900", -ETIMEDOUT, "a file"},
        {"match=download&fail=404", -ENOENT, "a file"},
        {"match=download&fail=503", -EIO, "503"},
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
        cmocka_unit_test(test_listing_asks_once_for_each_thing),
        cmocka_unit_test(test_sources_that_make_no_sense_are_refused),
        cmocka_unit_test(test_members_see_what_guests_do_not_see),
        cmocka_unit_test(test_wrong_logins_are_told),
        cmocka_unit_test(test_tokens_that_ran_out_are_renewed),
        cmocka_unit_test(test_a_file_is_whole_or_an_error),
    };
    server_program = VIVO_TEST_SOURCE_DIR "/tests/servers/midas_server.py";
    server_prefix = "midas+";
    return cmocka_run_group_tests(tests, start_all, stop_all);
}
