/* SPDX-License-Identifier: Apache-2.0 */
/* tests/drivers/test_nda.c -- the NDA driver against a test server with the quirks of
 * the real service and store: conformance, then what is special. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "shelf_run.h"

#include <pthread.h>

#define OBJECTS 24
#define LOGIN "user:secret"
/* The package; two visits of the first subject, two of the other and what image03 does
 * not know of that one; a zip or tgz and a folder for each visit. */
#define CONTAINERS (1 + 5 + 8)
/* In each of four zips one; notes, an image that is no DICOM, the list of the package,
 * an empty file and image03. */
#define OTHERS (4 + 5)

static const char *const bad_locators[] = {"",
                                           "f",
                                           "f/9000",
                                           "f/9000/",
                                           "f/9000/0",
                                           "f/9000/-1",
                                           "f/0/100",
                                           "f/../100",
                                           "f/9000/100/x",
                                           "g/9000/100",
                                           "m/9000/100",
                                           "m/9000/100/",
                                           "m//100/x",
                                           "m/9000/x/../../etc/passwd",
                                           "http://127.0.0.1:9/",
                                           NULL};

static void test_conforms_whatever_the_service_is_like(void **state)
{
    (void)state;
    static const char *const knobs[] = {"ids=number", "ids=text&page_max=7&ranges=0"};
    for (size_t i = 0; i < VIVO_ARRAY_LEN(knobs); i++) {
        set_only(knobs[i]);
        const struct vivo_conformance c = {.source = source,
                                           .net = net,
                                           .bearer = LOGIN,
                                           .missing =
                                               "nda+http://127.0.0.1:9/api/package/1",
                                           .missing_errno = EIO,
                                           .objects = OBJECTS,
                                           .expect = expect_object,
                                           .unknown = "f/7/100",
                                           .escapes = bad_locators};
        assert_int_equal(vivo_conformance(&c), 0);
    }
}

static void test_listing_is_complete_whatever_the_service_does(void **state)
{
    (void)state;
    static const char *const knobs[] = {
        "ids=text",
        "page_max=1",
        "page_max=5&count_add=3",
        "page_max=31&last=404&count_add=3",
        "head=1",
        "csv=1",
        "head=1&csv=1",
        "ranges=0",
        "field=nda_file_type&value=null",
        "pad=100000",
        "match=api&chunked=1",
        "match=files&close=1",
        "fail=503&fail_times=1",
        "fail=429&fail_times=1&retry_after=0",
        "match=bucket&cut=10&cut_times=1",
        "latency=5",
    };
    check_listings(knobs, VIVO_ARRAY_LEN(knobs),
                   (struct holding){OBJECTS, CONTAINERS, OTHERS});
}

static void test_listing_fails_rather_than_being_short(void **state)
{
    (void)state;
    static const struct failing cases[] = {
        {"match=api&html=1", -EBADMSG, "the package"},
        {"match=files&html=1", -EBADMSG, "files of a package"},
        {"match=files&text=null", -EBADMSG, "JSON"},
        {"match=files&text={}", -EBADMSG, "results"},
        {"match=files&text={\"results\":{}}", -EBADMSG, "results"},
        {"match=files&text={\"results\":[", -EBADMSG, "JSON"},
        {"match=files&empty_body=1", -EBADMSG, "JSON"},
        {"match=batch&text={\"presignedUrls\":7}", -EBADMSG, "URLs"},
        {"match=batch&text={\"presignedUrls\":[{}]}", -EBADMSG, "URL"},
        {"url=file:///etc/passwd", -EBADMSG, "URL"},
        {"url=http://a%20b/", -EBADMSG, "URL"},
        {"no_url=1", -EIO, "no such file"},
        {"expires=-1", -EIO, "signed a moment ago"},
        {"same_page=1&page_max=5", -EIO, "the same page"},
        {"page_max=5&last=500", 0, ""},
        {"match=bucket&wrong=subjectkey", -EBADMSG, "image03"},
        {"match=dots/9000&wrong=hello", -EIO, "listing says"},
        {"match=dots/9000&grow=7", -EIO, "longer than"},
        {"match=batch&fail=500", -EIO, "URLs of files"},
        {"match=files&fail=401", -EACCES, "login"},
        {"match=api&fail=403", -EACCES, "login"},
        {"match=files&fail=404", -EIO, "404"},
        {"fail=404", -EIO, "they expire"},
        {"match=files&cut=20", -EIO, "files of a package"},
        {"match=bucket&cut=20", -EIO, "image03"},
        {"fail=503", -EIO, "503"},
        {"match=bucket&fail=503", -EIO, "503"},
        {"match=files&stall=10", -ETIMEDOUT, "files of a package"},
    };
    check_failures(cases, VIVO_ARRAY_LEN(cases));
}

static void test_listing_asks_for_many_at_once(void **state)
{
    (void)state;
    struct gathering g;
    struct vivo_op op;
    assert_int_equal(list_as("ids=number", NULL, &g, &op), 0);
    gathering_free(&g);
    assert_int_equal(count_asked("package/1234567\""), 2);
    assert_int_equal(count_asked("/files\""), 1);
    /* image03, four zips, and of four folders all files of each. */
    assert_int_equal(count_asked("batchGenerate"), 1 + 4 + 4);
    /* image03 and four zips whole, twelve headers. */
    assert_int_equal(count_asked("dots/"), 1 + 4 + 12);
}

struct reader {
    pthread_t thread;
    struct vivo_archive *a;
    const struct gathering *g;
    size_t first;
    int rc;
};

/* Members of zips, every second one. */
static void *read_members(void *ctx)
{
    struct reader *r = ctx;
    for (size_t i = r->first; r->rc == 0 && i < r->g->n_objects; i += 2) {
        struct receipt to;
        struct vivo_op op;
        if (r->g->objects[i].locator[0] != 'm')
            continue;
        vivo_op_init(&op, 0);
        receipt_init(&to, false, &op);
        r->rc = vivo_archive_fetch(r->a, r->g->objects[i].locator, &to.base, &op);
        receipt_free(&to);
    }
    return NULL;
}

/* A zip is fetched once for its listing and all who read it, also at the same time. */
static void test_a_zip_is_fetched_once(void **state)
{
    (void)state;
    struct gathering g;
    struct vivo_op op;
    control("/__reset");
    struct vivo_archive *a = open_as(NULL);
    assert_int_equal(list_all(a, &g, &op), 0);
    for (int cold = 0; cold < 2; cold++) {
        struct reader readers[2];
        uint64_t before = count_retrieved(NULL);
        for (size_t i = 0; i < 2; i++) {
            readers[i] = (struct reader){.a = a, .g = &g, .first = i};
            assert_int_equal(
                pthread_create(&readers[i].thread, NULL, read_members, &readers[i]), 0);
        }
        for (size_t i = 0; i < 2; i++) {
            pthread_join(readers[i].thread, NULL);
            assert_int_equal(readers[i].rc, 0);
        }
        assert_int_equal(count_retrieved(NULL), before + (cold ? 4 : 0));
        vivo_archive_close(a);
        a = open_as(NULL);
    }
    vivo_archive_close(a);
    gathering_free(&g);
}

static void test_urls_that_expired_are_signed_anew(void **state)
{
    (void)state;
    struct gathering g;
    struct vivo_op op;
    control("/__reset");
    struct vivo_archive *a = open_as(NULL);
    assert_int_equal(list_all(a, &g, &op), 0);
    control("/__expire");
    assert_int_equal(fetch_all(a, &g, &op), 0);
    gathering_free(&g);
    vivo_archive_close(a);
}

/* Rows that give one file to two subjects give it to nobody; what the paths say is
 * kept.
 */
static void test_what_image03_does_not_know_is_listed_all_the_same(void **state)
{
    (void)state;
    struct gathering g;
    struct vivo_op op;
    assert_int_equal(list_as("images=0", NULL, &g, &op), 0);
    assert_int_equal(g.n_objects, OBJECTS);
    assert_int_equal(g.n_containers, 1 + 3 + 8); /* nobody's zips, two subjects */
    gathering_free(&g);
    assert_int_equal(list_as("disagree=1", NULL, &g, &op), 0);
    assert_int_equal(g.n_objects, OBJECTS);
    assert_int_equal(g.n_containers, 1 + 3 + 8);
    gathering_free(&g);
}

static void test_tables_of_any_kind_are_borne_or_told(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int rc;
    } cases[] = {
        {"subjectkey%09image_file", 0},
        {"SUBJECTKEY,IMAGE_FILE%0A,,,,,,", 0},
        {"subjectkey,image_file%0A%22NDAR%22%22,%0A%0A,%22x", 0},
        {"subjectkey,image_file%0Ax,%22y%0A,z", -EBADMSG},
        {"subjectkey,image_file%0ANDAR%00,x", -EBADMSG},
        {"image,03%0Asubject,file%0Ax,y%0A1,2", -EBADMSG},
        {"%0A%0A%0A", -EBADMSG},
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(cases); i++) {
        char knobs[200];
        struct gathering g;
        struct vivo_op op;
        snprintf(knobs, sizeof knobs, "match=dots/9020&wrong=%s", cases[i].text);
        int rc = list_as(knobs, NULL, &g, &op);
        if (rc != cases[i].rc || (rc == 0 && g.n_objects != OBJECTS))
            fail_msg("%s: %d, %zu objects: %s", knobs, rc, g.n_objects, op.err.text);
        gathering_free(&g);
    }
    control("/__reset");
}

static void test_names_and_sizes_of_any_kind_are_borne(void **state)
{
    (void)state;
    static const char *const knobs[] = {"field=package_file_id&value=null",
                                        "field=package_file_id&value=%22..%22",
                                        "field=package_file_id&value=-1",
                                        "field=download_alias&value=null",
                                        "field=download_alias&value=%22%22",
                                        "field=file_size&value=null",
                                        "field=file_size&value=[]",
                                        "field=download_alias&value=7",
                                        "field=download_alias&value=%22x.txt%22"};
    for (size_t i = 0; i < VIVO_ARRAY_LEN(knobs); i++) {
        struct gathering g;
        struct vivo_op op;
        int rc = list_as(knobs[i], NULL, &g, &op);
        if (rc != 0 || g.n_objects != 0)
            fail_msg("%s: %d, %zu objects: %s", knobs[i], rc, g.n_objects, op.err.text);
        gathering_free(&g);
    }
    control("/__reset");
}

static void test_sources_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    static const char *const sources[] = {
        "nda+https://",
        "nda+https://nda.nih.gov/api",
        "nda+https://nda.nih.gov/api/package/",
        "nda+https://nda.nih.gov/api/package/x",
        "nda+https://nda.nih.gov/api/package/1/files",
        "nda+https://nda.nih.gov/api/package/1?x=1",
        "nda+https://user:pw@nda.nih.gov/api/package/1",
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(sources); i++)
        assert_int_equal(open_error(sources[i], NULL), -EINVAL);
    assert_int_equal(open_error("nda+https://nda.nih.gov/api/package/1", "x"), -EINVAL);
}

static void test_wrong_passwords_are_told(void **state)
{
    (void)state;
    check_wrong_login("user:wr0ng", "wr0ng");
}

static void test_a_file_is_whole_or_an_error(void **state)
{
    (void)state;
    static const struct failing cases[] = {
        {"match=bucket&grow=7", -EIO, "grown"},
        {"match=bucket&grow=-7", -EIO, "listing"},
        {"match=bucket&wrong=hello", -EBADMSG, "DICOM"},
        {"match=bucket&cut=900", -EIO, "remaining"},
        {"match=bucket&stall=900", -ETIMEDOUT, "a file of the package"},
        {"match=bucket&fail=404", -ENOENT, "a file of the package"},
        {"match=bucket&fail=503", -EIO, "503"},
        {"match=bucket&fail=403", -EIO, "signed a moment ago"},
        {"match=bucket&redirect=http://127.0.0.1:9", -EIO, "a file of the package"},
    };
    check_fetches(cases, VIVO_ARRAY_LEN(cases));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conforms_whatever_the_service_is_like),
        cmocka_unit_test(test_listing_is_complete_whatever_the_service_does),
        cmocka_unit_test(test_listing_fails_rather_than_being_short),
        cmocka_unit_test(test_listing_asks_for_many_at_once),
        cmocka_unit_test(test_a_zip_is_fetched_once),
        cmocka_unit_test(test_urls_that_expired_are_signed_anew),
        cmocka_unit_test(test_what_image03_does_not_know_is_listed_all_the_same),
        cmocka_unit_test(test_tables_of_any_kind_are_borne_or_told),
        cmocka_unit_test(test_names_and_sizes_of_any_kind_are_borne),
        cmocka_unit_test(test_sources_that_make_no_sense_are_refused),
        cmocka_unit_test(test_wrong_passwords_are_told),
        cmocka_unit_test(test_a_file_is_whole_or_an_error),
    };
    server_program = VIVO_TEST_SOURCE_DIR "/tests/servers/nda_server.py";
    server_prefix = "nda+";
    login = LOGIN;
    return cmocka_run_group_tests(tests, start_all, stop_all);
}
