/* SPDX-License-Identifier: Apache-2.0 */
/* tests/drivers/test_xnat.c -- the XNAT driver against a test server with the quirks of
 * the real one: conformance, then what is special. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "shelf_run.h"

#define SERVER VIVO_TEST_SOURCE_DIR "/tests/servers/xnat_server.py"
#define PROJECTS 2
#define SESSIONS 4
#define SCANS 8
#define OBJECTS 24
#define CONTAINERS (PROJECTS + SESSIONS + SCANS)
#define OF_NO_SCAN 4 /* objects of the knob resources=1 */
#define OTHERS_OF_NO_SCAN 5

static const char *const bad_locators[] = {"XNAT_E00000/1/DICOM/..",
                                           "XNAT_E00000/1/DICOM/../1%2Edcm",
                                           "XNAT_E00000/1/DICOM/1.dcm",
                                           "XNAT_E00000/1/DICOM//1%2Edcm",
                                           "XNAT_E00000/1/DICOM/",
                                           "XNAT_E00000/1/DICOM",
                                           "XNAT_E00000/ALL/DICOM/1%2Edcm",
                                           "XNAT_E00000/%2A/DICOM/1%2Edcm",
                                           "XNAT_E00000//DICOM/1%2Edcm",
                                           "/1/DICOM/1%2Edcm",
                                           "%2E%2E/1/DICOM/1%2Edcm",
                                           "XNAT_E00000/1/DICOM/1%2edcm",
                                           "XNAT_E00000/1/DICOM/1%00dcm",
                                           "XNAT_E00000/1/DICOM/1%0Adcm",
                                           "XNAT_E00000/1/DICOM/1%2Edcm?x=1",
                                           "XNAT_E00000/1/DICOM/1%2Edcm HTTP/1.1",
                                           "XNAT_E00000/=/DICOM/..",
                                           "XNAT_E00000/../DICOM/1%2Edcm",
                                           "XNAT_E00000/=%2E/DICOM/1%2Edcm",
                                           "XNAT_E00000/=A",
                                           "=XNAT_S00000/=/DICOM/1%2Edcm",
                                           "=/=/DICOM/1%2Edcm",
                                           "P:=/1/DICOM/1%2Edcm",
                                           "P:=/=A/DICOM/1%2Edcm",
                                           "P:=S/DICOM/1%2Edcm",
                                           "P:=%2E/=/R/1%2Edcm",
                                           "XNAT_E00000;r/1/DICOM/1%2Edcm",
                                           NULL};

/* ---- conformance ------------------------------------------------------------ */

static void test_conforms_whatever_the_server_is_like(void **state)
{
    (void)state;
    static const char *const knobs[] = {"order=random", "names=odd&uri=encoded",
                                        "names=odd&numbers=1&duplicates=1&digests=0",
                                        "scan_ids=odd&names=odd", "resources=1"};
    for (size_t i = 0; i < VIVO_ARRAY_LEN(knobs); i++) {
        set_only(knobs[i]);
        const struct vivo_conformance c = {
            .source = source,
            .net = net,
            .missing = "xnat+http://127.0.0.1:9/ir",
            .missing_errno = EIO,
            .objects = OBJECTS + (i == 4 ? OF_NO_SCAN : 0),
            .alone = i == 4 ? OF_NO_SCAN : 0,
            .expect = expect_object,
            .content_requests = i == 4 ? NULL : count_retrieved,
            .unknown = "XNAT_E00000/1/DICOM/99%2Edcm",
            .escapes = bad_locators};
        assert_int_equal(vivo_conformance(&c), 0);
    }
}

/* ---- listing: every quirk gives everything, or an error --------------------- */

static void test_listing_is_complete_whatever_the_server_does(void **state)
{
    (void)state;
    static const char *const knobs[] = {
        "order=stable",
        "duplicates=1",
        "numbers=1",
        "no_total=1",
        "digests=0",
        "size_add=7",
        "uri=number",
        "names=odd",
        "names=odd&uri=encoded",
        "formats=0",
        "types=1",
        "scan_ids=odd",
        "scan_ids=odd&types=1&names=odd&uri=encoded",
        "no_uid=sessions,scans",
        "same_uid=1",
        "refuse_columns=400",
        "refuse_columns=406",
        "refuse_columns=422",
        "refuse_columns=500",
        "silent_columns=UID,modality,xnat:imageSessionData/UID,subject_label",
        "fickle=1",
        "field=note&value=null",
        "field=note&value=[{}]",
        "field=series_description&value=%22..%2F..%2F%5Cu0007%22",
        "match=scans&pad=100000",
        "chunked=1",
        "close=1",
        "fail=503&fail_times=1",
        "fail=429&fail_times=1",
        "cut=10&cut_times=1",
        "latency=30",
    };
    const struct holding all = {OBJECTS, CONTAINERS, 2 * SCANS};
    check_listings(knobs, VIVO_ARRAY_LEN(knobs), all);
}

static void test_what_is_of_no_scan_is_listed_whatever_the_server_tells(void **state)
{
    (void)state;
    static const char *const knobs[] = {
        "resources=1",
        "resources=1&mute=1",
        "resources=1&duplicates=1&digests=0&numbers=1",
        "resources=1&refuse_labels=500",
        "resources=1&refuse_columns=400",
        "resources=1&no_uid=sessions,scans",
        "resources=1&size_add=5",
    };
    static const struct holding all = {OBJECTS + OF_NO_SCAN, CONTAINERS,
                                       2 * SCANS + OTHERS_OF_NO_SCAN};
    check_listings(knobs, VIVO_ARRAY_LEN(knobs), all);
    /* What is not for this account is not there, and the rest is. */
    static const char *const closed[] = {"resources=1&refuse_files=403",
                                         "resources=1&refuse_files=404"};
    check_listings(closed, VIVO_ARRAY_LEN(closed),
                   (struct holding){OBJECTS, CONTAINERS, 2 * SCANS});
    static const struct failing cases[] = {
        {"resources=1&refuse_files=500", -EIO, "files of a project"},
        {"resources=1&match=E00000/files&json={}", -EBADMSG, "files of a session"},
        {"resources=1&match=E00000/assessors&fail=503", -EIO, "assessors"},
        {"resources=1&match=A00000/files&empty_body=1", -EBADMSG, "of an assessor"},
        {"resources=1&match=S00000/files&cut=9&close=1", -EBADMSG, "of a subject"},
        {"resources=1&match=phantom&fail=503", -EIO, "the header of a file"},
    };
    check_failures(cases, VIVO_ARRAY_LEN(cases));
}

/* The project and its assessors are asked of once; the session, the assessor and the
 * subject that have something, and no others. */
static void test_what_has_nothing_besides_scans_is_not_asked(void **state)
{
    (void)state;
    struct gathering g;
    struct vivo_op op;
    assert_int_equal(list_as("resources=1", NULL, &g, &op), 0);
    gathering_free(&g);
    assert_int_equal(count_asked("/experiments\""), 2 * PROJECTS);
    assert_int_equal(count_asked("/data/projects/DEMO1/files\""), 1);
    assert_int_equal(count_asked("/data/projects/demo_2/files\""), 1);
    assert_int_equal(count_asked("/subjects\""), 0);
    assert_int_equal(count_asked("/subjects/XNAT_S00000/files\""), 1);
    assert_int_equal(count_asked("/subjects/XNAT_S00001/files\""), 0);
    assert_int_equal(count_asked("/assessors\""), 1);
    assert_int_equal(count_asked("/assessors/XNAT_A00000/files\""), 1);
    assert_int_equal(count_asked("/files\""), 2 + 1 + 1 + 1 + SCANS);
    /* Headers of what is or may be an object. */
    assert_int_equal(count_asked("/files/"), OF_NO_SCAN + 1);
}

static void test_listing_fails_rather_than_being_short(void **state)
{
    (void)state;
    static const struct failing cases[] = {
        {"html=1", -EACCES, "projects"},
        {"html=1", -EACCES, "login"},
        {"match=experiments&html=1", -EACCES, "sessions"},
        {"match=scans/1/files&html=1", -EACCES, "files of a scan"},
        {"bad_login=1", -EACCES, "JSESSION"},
        {"require_login=1", -EACCES, "netrc=FILE"},
        {"require_login=1&login_page=1", -EACCES, "login"},
        {"require_login=1&scheme=Shibboleth%20realm%3D%22a%22", -EACCES, "login"},
        {"json=null", -EBADMSG, "projects"},
        {"json=[]", -EBADMSG, "table"},
        {"json={}", -EBADMSG, "table"},
        {"json={\"ResultSet\":{}}", -EBADMSG, "table"},
        {"json={\"ResultSet\":{\"Result\":null}}", -EBADMSG, "table"},
        {"json={\"ResultSet\":{\"Result\":{}}}", -EBADMSG, "table"},
        {"json={\"ResultSet\":{\"Result\":[null]}}", -EBADMSG, "JSON"},
        {"json={\"ResultSet\":{\"Result\":[{\"ID\":}]}}", -EBADMSG, "projects"},
        {"json={\"ResultSet\":{\"Result\":[", -EBADMSG, "table"},
        {"json={\"ResultSet\":{\"Result\":[{\"ID\":\"A\"}]}}x", -EBADMSG, "table"},
        {"empty_body=1", -EBADMSG, "empty"},
        {"match=scans&empty_body=1", -EBADMSG, "scans"},
        {"total_add=1", -EIO, "rows"},
        {"match=files&total_add=2", -EIO, "rows"},
        {"endless=1", -EIO, "longer than"},
        {"cut=20", -EIO, "JSESSION"},
        {"match=scans&cut=20&close=1", -EBADMSG, "table"},
        {"match=projects&length=5", -EIO, "projects"},
        {"fail=503", -EIO, "503"},
        {"match=files&fail=404", -EIO, "404"},
        {"match=scans&fail=403", -EACCES, "login"},
        {"match=scans&fail=401", -EACCES, "login"},
        {"stall=10", -ETIMEDOUT, "JSESSION"},
    };
    check_failures(cases, VIVO_ARRAY_LEN(cases));
}

static void test_listing_asks_once_a_level(void **state)
{
    (void)state;
    struct gathering g;
    struct vivo_op op;
    assert_int_equal(list_as("order=random", NULL, &g, &op), 0);
    gathering_free(&g);
    assert_int_equal(count_asked("\"method\": \"GET\""),
                     2 + 3 * PROJECTS + SESSIONS + SCANS);
    assert_int_equal(count_asked("/data/JSESSION\", \"query\": \"\", \"accept\""), 1);
    assert_int_equal(count_asked("\"method\": \"DELETE\""), 1);
}

static void test_ids_that_cannot_be_asked_for_are_left_out(void **state)
{
    (void)state;
    static const char *const ids[] = {
        "%22..%22", "%22%22", "%22a%5Cu0000b%22", "%22%5Cu0007%22", "null", "[1]", "{}",
        "true",     "1.5"};
    for (size_t i = 0; i < VIVO_ARRAY_LEN(ids); i++) {
        char knobs[100];
        struct gathering g;
        struct vivo_op op;
        snprintf(knobs, sizeof knobs, "match=projects&field=ID&value=%s", ids[i]);
        assert_int_equal(list_as(knobs, NULL, &g, &op), 0);
        assert_int_equal(g.n_containers, 0);
        gathering_free(&g);
    }
    /* All scans called so: none of them can be told from the others. */
    struct gathering g;
    struct vivo_op op;
    assert_int_equal(list_as("match=scans&field=ID&value=%22ALL%22", NULL, &g, &op), 0);
    assert_int_equal(g.n_objects, 0);
    assert_int_equal(g.n_containers, PROJECTS + SESSIONS);
    gathering_free(&g);
    control("/__reset");
}

static void test_files_that_lead_elsewhere_are_left_out(void **state)
{
    (void)state;
    static const char *const uris[] = {("%22%2Fdata%2Fexperiments%2FE%2Fscans%2F1"
                                        "%2Fresources%2FDICOM%2Ffiles%2F..%2Fx%22"),
                                       "%22%2Fetc%2Fpasswd%22",
                                       "%22http:%2F%2F127.0.0.1:9%2Fx%22",
                                       "null",
                                       "%22%2Fresources%2F..%2Ffiles%2Fa%22",
                                       "%22%2Fresources%2Fa%2Ffiles%2F%22"};
    for (size_t i = 0; i < VIVO_ARRAY_LEN(uris); i++) {
        char knobs[200];
        struct gathering g;
        struct vivo_op op;
        snprintf(knobs, sizeof knobs, "match=files&field=URI&value=%s", uris[i]);
        assert_int_equal(list_as(knobs, NULL, &g, &op), 0);
        assert_int_equal(g.n_objects, 0);
        gathering_free(&g);
    }
    control("/__reset");
}

/* ---- sessions ----------------------------------------------------------------- */

static size_t sessions_begun(void)
{
    struct vivo_buf b;
    assert_int_equal(ask("/__sessions", &b), 0);
    size_t n = (size_t)strtoull((const char *)b.data + 1, NULL, 10);
    vivo_buf_free(&b);
    return n;
}

static void test_session_that_ran_out_is_begun_anew(void **state)
{
    (void)state;
    for (int guests = 0; guests < 2; guests++) {
        struct gathering g;
        struct vivo_op op;
        set_only(guests ? "private=demo_2" : "require_login=1");
        struct vivo_archive *a = open_as("user:secret");
        assert_int_equal(list_all(a, &g, &op), 0);
        assert_int_equal(g.n_objects, OBJECTS);
        gathering_free(&g);
        /* A guest would be told of one project less, not that the session is over. */
        control("/__expire");
        assert_int_equal(list_all(a, &g, &op), 0);
        assert_int_equal(g.n_objects, OBJECTS);
        control("/__expire");
        struct receipt r;
        receipt_init(&r, false, &op);
        assert_int_equal(
            vivo_archive_fetch(a, g.objects[OBJECTS - 1].locator, &r.base, &op), 0);
        receipt_free(&r);
        gathering_free(&g);
        vivo_archive_close(a);
    }
    control("/__reset");
}

static void test_a_login_that_has_run_out_is_told(void **state)
{
    (void)state;
    struct gathering g;
    struct vivo_op op;
    set_only("require_login=1");
    struct vivo_archive *a = open_as("ALIAS:user-secret");
    assert_int_equal(list_all(a, &g, &op), -EACCES);
    gathering_free(&g);
    set("user=ALIAS:user-secret");
    assert_int_equal(list_all(a, &g, &op), 0);
    gathering_free(&g);
    /* An alias token lasts two days. */
    control("/__expire");
    set("user=nobody:nothing");
    assert_int_equal(list_all(a, &g, &op), -EACCES);
    assert_non_null(strstr(op.err.text, "ALIAS:SECRET"));
    assert_null(strstr(op.err.text, "user-secret"));
    gathering_free(&g);
    vivo_archive_close(a);
    control("/__reset");
}

static void test_one_session_serves_all(void **state)
{
    (void)state;
    struct gathering g;
    struct vivo_op op;
    size_t before = sessions_begun();
    assert_int_equal(list_as("order=random", NULL, &g, &op), 0);
    gathering_free(&g);
    assert_int_equal(sessions_begun(), before + 1);
}

static void test_guest_sees_what_is_public(void **state)
{
    (void)state;
    struct gathering g;
    struct vivo_op op;
    assert_int_equal(list_as("private=demo_2", NULL, &g, &op), 0);
    assert_int_equal(g.n_objects, OBJECTS / 2);
    gathering_free(&g);
    control("/__reset");
}

static void test_wrong_credentials_are_eacces(void **state)
{
    (void)state;
    static const struct failing cases[] = {
        {"user=user:other", -EACCES, "netrc=FILE"},
        {"require_login=1&user=a:b", -EACCES, "netrc=FILE"},
        {"bad_login=1", -EACCES, "netrc=FILE"},
    };
    login = "user:secret";
    check_failures(cases, VIVO_ARRAY_LEN(cases));
    login = NULL;
    check_wrong_login("user:wr0ng", "wr0ng");
}

static void test_login_stays_with_its_host(void **state)
{
    (void)state;
    struct gathering g;
    struct vivo_op op;
    control("/__reset");
    /* To another name of the same machine, which logs what it is sent. */
    char knobs[100];
    const char *port = strchr(server.line + 8, ':') + 1;
    snprintf(knobs, sizeof knobs, "match=projects&redirect=http:%%2F%%2Flocalhost:%d",
             (int)strtoll(port, NULL, 10));
    set(knobs);
    struct vivo_archive *a = open_as("user:secret");
    assert_int_not_equal(list_all(a, &g, &op), 0);
    /* Where it was sent to, nothing was told. */
    assert_int_equal(count_asked("\"authorization\": \"Basic"),
                     count_asked("/data/JSESSION\", \"q"));
    gathering_free(&g);
    vivo_archive_close(a);
    control("/__reset");
}

/* ---- files -------------------------------------------------------------------- */

static void test_file_is_whole_or_an_error(void **state)
{
    (void)state;
    static const struct failing cases[] = {
        {"chunked=1", 0, ""},
        {"fail=503&fail_times=1", 0, ""},
        {"cut=100&cut_times=1", 0, ""},
        {"cut=100", -EIO, ""},
        {"close=1", -EIO, ""},
        {"length=5", -EIO, ""},
        {"fail=503", -EIO, "503"},
        {"fail=404", -ENOENT, ""},
        {"fail=403", -EACCES, "login"},
        {"kind=text/html", -EACCES, "login"},
        {"kind=text/plain", -EIO, ""},
        {"wrong=1", -EBADMSG, ""},
        {"body=Unable%20to%20find%20file.", -EBADMSG, ""},
        {"stall=200", -ETIMEDOUT, ""},
    };
    check_fetches(cases, VIVO_ARRAY_LEN(cases));
}

static void test_file_is_whole_though_the_catalogue_is_behind(void **state)
{
    (void)state;
    struct gathering g;
    struct vivo_op op;
    assert_int_equal(list_as("size_add=9", NULL, &g, &op), 0);
    struct vivo_archive *a = open_as(NULL);
    assert_int_equal(fetch_one(a, g.objects[0].locator, &op), 0);
    gathering_free(&g);
    vivo_archive_close(a);
    control("/__reset");
}

static void test_headers_are_those_of_the_files(void **state)
{
    (void)state;
    struct gathering g, h;
    struct vivo_op op;
    control("/__reset");
    struct vivo_archive *a = open_as(NULL);
    assert_int_equal(list_all(a, &g, &op), 0);
    for (size_t i = 0; i < g.n_containers; i++) {
        if (g.containers[i].level != VIVO_LEVEL_SERIES)
            continue;
        gathering_init(&h, a->driver->lists);
        assert_int_equal(vivo_archive_headers(a, g.containers[i].locator, &h.base, &op),
                         0);
        assert_int_equal(h.n_objects, OBJECTS / SCANS);
        for (size_t k = 0; k < h.n_objects; k++)
            assert_true(h.objects[k].uid[0]);
        gathering_free(&h);
    }
    gathering_free(&g);
    vivo_archive_close(a);
}

static void test_source_is_checked(void **state)
{
    (void)state;
    static const char *const wrong[] = {"xnat+http://", "xnat+ftp://h/",
                                        "xnat+http://u:p@h/ir", "xnat+http://h/ir?x=1"};
    for (size_t i = 0; i < VIVO_ARRAY_LEN(wrong); i++)
        assert_int_equal(open_error(wrong[i], NULL), -EINVAL);
    assert_int_equal(open_error("xnat+http://h/ir/", "nocolon"), -EINVAL);
}

/* ---- scans of many sessions ------------------------------------------------------ */

/* Names of the studies of a listing. */
static size_t studies_of(const struct gathering *g, const char *out[SESSIONS])
{
    size_t n = 0;
    for (size_t i = 0; i < g->n_containers; i++)
        if (g->containers[i].level == VIVO_LEVEL_STUDY)
            out[n++] = g->containers[i].locator;
    return n;
}

static size_t list_each(struct vivo_archive *a, const char *const *studies,
                        struct gathering *g, struct vivo_op *op)
{
    gathering_init(g, a->driver->lists);
    for (size_t i = 0; i < SESSIONS; i++)
        assert_int_equal(
            vivo_archive_list(a, VIVO_LEVEL_STUDY, studies[i], &g->base, op), 0);
    size_t n = g->n_containers;
    gathering_free(g);
    return n;
}

static void test_what_was_prepared_is_listed_once_without_asking(void **state)
{
    (void)state;
    static const struct {
        const char *knobs;
        int rc;
        size_t own; /* sessions that are asked for by themselves */
    } cases[] = {
        {"order=random", 0, 1}, /* which shows that they say the same */
        {"join_less=1", -ENOENT, 1 + SESSIONS},
        {"join_less=2", 0, SESSIONS}, /* no scans at all: nothing is believed */
        {"ignore_ids=1", 0, 1},
        {"refuse_join=400", -ENOENT, SESSIONS},
        {"silent_columns=xnat:imageScanData/UID", -ENOENT, SESSIONS},
    };
    struct gathering all, g;
    struct vivo_op op;
    assert_int_equal(list_as("order=random", NULL, &all, &op), 0);
    const char *studies[SESSIONS];
    assert_int_equal(studies_of(&all, studies), SESSIONS);
    for (size_t i = 0; i < VIVO_ARRAY_LEN(cases); i++) {
        set_only(cases[i].knobs);
        struct vivo_archive *a = open_as(NULL);
        int rc = vivo_archive_prepare(a, studies, SESSIONS, &op);
        vivo_op_init(&op, 0);
        assert_int_equal(list_each(a, studies, &g, &op), SCANS);
        if (rc != cases[i].rc || count_asked("/scans\"") != cases[i].own)
            fail_msg("%s: %d, %zu", cases[i].knobs, rc, count_asked("/scans\""));
        /* Another time it is asked for again. */
        assert_int_equal(list_each(a, studies, &g, &op), SCANS);
        assert_int_equal(count_asked("/scans\""), cases[i].own + SESSIONS);
        vivo_archive_close(a);
    }
    gathering_free(&all);
    control("/__reset");
}

int main(void)
{
    server_program = SERVER;
    server_prefix = "xnat+";
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conforms_whatever_the_server_is_like),
        cmocka_unit_test(test_listing_is_complete_whatever_the_server_does),
        cmocka_unit_test(test_what_is_of_no_scan_is_listed_whatever_the_server_tells),
        cmocka_unit_test(test_what_has_nothing_besides_scans_is_not_asked),
        cmocka_unit_test(test_listing_fails_rather_than_being_short),
        cmocka_unit_test(test_listing_asks_once_a_level),
        cmocka_unit_test(test_ids_that_cannot_be_asked_for_are_left_out),
        cmocka_unit_test(test_files_that_lead_elsewhere_are_left_out),
        cmocka_unit_test(test_session_that_ran_out_is_begun_anew),
        cmocka_unit_test(test_a_login_that_has_run_out_is_told),
        cmocka_unit_test(test_one_session_serves_all),
        cmocka_unit_test(test_guest_sees_what_is_public),
        cmocka_unit_test(test_wrong_credentials_are_eacces),
        cmocka_unit_test(test_login_stays_with_its_host),
        cmocka_unit_test(test_file_is_whole_or_an_error),
        cmocka_unit_test(test_file_is_whole_though_the_catalogue_is_behind),
        cmocka_unit_test(test_what_was_prepared_is_listed_once_without_asking),
        cmocka_unit_test(test_headers_are_those_of_the_files),
        cmocka_unit_test(test_source_is_checked),
    };
    return cmocka_run_group_tests(tests, start_all, stop_all);
}
