/* SPDX-License-Identifier: Apache-2.0 */
/* tests/drivers/test_nbia.c -- the NBIA driver against a test server with the quirks of
 * the real one: conformance, then what is special. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "nbia_run.h"

#include <pthread.h>

static struct vivo_archive *zipped; /* for threads */

/* ---- conformance ------------------------------------------------------------ */

static void test_every_version_conforms(void **state)
{
    (void)state;
    static const char *const knobs[] = {"versions=v1,v4", "versions=v1",
                                        "duplicates=1&odd_types=1&slashes=1"};
    for (size_t i = 0; i < VIVO_ARRAY_LEN(knobs); i++) {
        set_only(knobs[i]);
        const struct vivo_conformance c = {.source = source,
                                           .net = net,
                                           .missing =
                                               "nbia+http://127.0.0.1:9/nbia-api",
                                           .missing_errno = EIO,
                                           .objects = OBJECTS,
                                           .expect = expect_file,
                                           .content_requests = count_retrieved,
                                           .unknown = "A/P/1.2.3/1.2.3.4/1.2.3.4.5",
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
        "order=random&duplicates=1",
        "versions=v1",
        "versions=v4",
        "match=v4&html=1",
        "match=v4&fail=500",
        "match=v4&json=null",
        "match=v4&json=%7b%7d",
        "drop=StudyDate,StudyDesc,Modality,SeriesNumber,Manufacturer,SeriesDate",
        "drop=ImageCount,FileSize,MaxSubmissionTimestamp",
        "drop=StudyInstanceUID",
        "drop=PatientID",
        "drop=Collection&match=getSeries",
        "other_case=1",
        "odd_types=1",
        "slashes=1",
        "pad=%20%0d%0a",
        "count_add=-1",
        "chunked=1",
        "close=1",
        "fail=503&fail_times=1",
        "fail=429&fail_times=1&retry_after=1",
        "cut=10&cut_times=1",
        "latency=5",
        "sop_drop=1",
        "sop_drop=3",
        "empty_call=getSOPInstanceUIDs",
        "match=getSOP&json=[{}]",
        "sop_drop=1&close=1",
        "sop_drop=1&chunked=1",
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(knobs); i++) {
        struct gathering g;
        struct vivo_op op;
        int rc = list_with(knobs[i], &g, &op);
        if (rc != 0 || g.n_objects != OBJECTS || g.n_containers != COLLECTIONS + SERIES)
            fail_msg("%s: %d, %zu objects, %zu containers: %s", knobs[i], rc,
                     g.n_objects, g.n_containers, op.err.text);
        gathering_free(&g);
    }
}

static void test_listing_fails_rather_than_being_short(void **state)
{
    (void)state;
    static const struct {
        const char *knobs;
        int rc;
        const char *words; /* in the text, with the name of the request */
    } cases[] = {
        {"html=1", -EIO, "getCollectionValues"},
        {"html=1", -EIO, "HTML"},
        {"match=getSeries&html=1", -EIO, "getSeries"},
        {"match=getSOP&html=1", -EIO, "getSOPInstanceUIDs"},
        {"json=null", -EBADMSG, "JSON"},
        {"json=[null]", -EBADMSG, "getCollectionValues"},
        {"json=[[]]", -EBADMSG, "JSON"},
        {"json=[{", -EBADMSG, "JSON"},
        {"json=[{\"Collection\":\"a\"},]", -EBADMSG, "JSON"},
        {"json=[{\"Collection\":\"a\",}]", -EBADMSG, "JSON"},
        {"json=[]x", -EBADMSG, "JSON"},
        {"json=[{}]", -EIO, "lists no collection"},
        {"json=[{\"Collection\":17.5}]", -EIO, "lists no collection"},
        {"json=[]", -EIO, "lists no collection"},
        {"empty_call=getCollectionValues", -EACCES, "token"},
        {"empty_call=getSeries", -EIO, "has patients"},
        {"empty_call=getSOPInstanceUIDs&zip_short=1", -EIO, "0 of the 3"},
        {"sop_drop=1&zip_short=2", -EIO, "2 of the 3"},
        {"sop_drop=1&zip_short=1", -EIO, "getImage: the zip holds 2 of the 3"},
        {"sop_drop=1&zip_short=3", -EIO, "getImage: the zip holds 0 of the 3"},
        {"sop_drop=1&zip_cut=100", -EIO, "getImage: the zip holds 2 of the 3"},
        {"sop_drop=1&zip_break=1", -EIO, "getImage"},
        {"sop_drop=1&zip_html=1", -EIO, "getImage: the server answers words"},
        {"sop_drop=1&zip_text=oops", -EIO, "getImage"},
        {"endless=1", -EIO, "longer than"},
        {"cut=20", -EIO, "getCollectionValues"},
        {"cut=0&match=getSeries", -EIO, "getSeries"},
        {"cut=0&close=1&match=getSeries", -EIO, "empty reply"},
        {"cut=20&close=1&match=getSeries", -EBADMSG, "JSON"},
        {"length=5", -EIO, "getCollectionValues"},
        {"fail=503", -EIO, "503"},
        {"fail=500", -EIO, "500"},
        {"fail=401", -EACCES, "bearer=FILE"},
        {"fail=403", -EACCES, "bearer=FILE"},
        {"fail=404", -EIO, "404"},
        {"match=getSeries&fail=404", -EIO, "404"},
        {"stall=10", -ETIMEDOUT, "getCollectionValues"},
        {"token=t0k", -EACCES, "token"},
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(cases); i++) {
        struct gathering g;
        struct vivo_op op;
        int rc = list_with(cases[i].knobs, &g, &op);
        if (rc != cases[i].rc || !strstr(op.err.text, cases[i].words))
            fail_msg("%s: %d: %s", cases[i].knobs, rc, op.err.text);
        gathering_free(&g);
    }
    control("/__reset");
}

static void test_rows_without_a_usable_uid_are_counted(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "match=getSeries&json=[{}]",
        "match=getSeries&json=[{\"SeriesInstanceUID\":\"../../x\"}]",
        "match=getSeries&json=[{\"SeriesInstanceUID\":\"1.2%253fx\"}]",
        "match=getSeries&json=[{\"SeriesInstanceUID\":null}]",
        "match=getSeries&json=[{\"SeriesInstanceUID\":[\"1.2\"]}]",
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(rows); i++) {
        struct gathering g;
        struct vivo_op op;
        struct vivo_archive *a = open_source(source, NULL);
        set_only(rows[i]);
        vivo_op_init(&op, 0);
        gathering_init(&g, a->driver->lists);
        /* Nothing but what cannot be asked for, and the collection has patients. */
        assert_int_equal(
            vivo_archive_list(a, VIVO_LEVEL_COLLECTION, "DEMO-CT", &g.base, &op), -EIO);
        assert_int_equal(g.others, 1);
        assert_int_equal(g.n_containers, 0);
        gathering_free(&g);
        vivo_archive_close(a);
    }
    control("/__reset");
}

static void test_empty_collection_is_empty(void **state)
{
    (void)state;
    struct gathering g;
    struct vivo_op op;
    struct vivo_archive *a = open_source(source, NULL);
    control("/__reset");
    vivo_op_init(&op, 0);
    gathering_init(&g, a->driver->lists);
    assert_int_equal(vivo_archive_list(a, VIVO_LEVEL_COLLECTION, "NONE", &g.base, &op),
                     0);
    assert_int_equal(g.n_containers, 0);
    gathering_free(&g);
    vivo_archive_close(a);
}

static void test_series_of_other_collections_are_no_listing(void **state)
{
    (void)state;
    struct gathering g;
    struct vivo_op op;
    int rc = list_with("match=getSeries&json=[{\"SeriesInstanceUID\":\"1.2\","
                       "\"Collection\":\"other\"}]",
                       &g, &op);
    assert_int_equal(rc, -EIO);
    assert_non_null(strstr(op.err.text, "other collections only"));
    gathering_free(&g);
    control("/__reset");
}

static void test_series_that_grew_is_listed_whole(void **state)
{
    (void)state;
    struct gathering g;
    struct vivo_op op;
    char old[400];
    struct vivo_archive *a = open_source(source, NULL);
    control("/__reset");
    assert_int_equal(list_all(a, &g, &op), 0);
    /* As if one image more had been said when the collection was listed. */
    char *count = strstr(g.containers[COLLECTIONS].locator, "/3/");
    assert_non_null(count);
    count[1] = '4';
    snprintf(old, sizeof old, "%s", g.containers[COLLECTIONS].locator);
    gathering_free(&g);
    gathering_init(&g, a->driver->lists);
    assert_int_equal(vivo_archive_list(a, VIVO_LEVEL_SERIES, old, &g.base, &op), 0);
    assert_int_equal(g.n_objects, 3);
    gathering_free(&g);
    vivo_archive_close(a);
}

/* ---- versions and tokens ---------------------------------------------------- */

static void test_newest_version_is_asked_first(void **state)
{
    (void)state;
    struct gathering g;
    struct vivo_op op;
    assert_int_equal(list_with("order=stable", &g, &op), 0);
    assert_true(count_asked("/v4/getSeries") > 0);
    assert_int_equal(count_asked("/v1/"), 0);
    gathering_free(&g);
    assert_int_equal(list_with("versions=v1,v2", &g, &op), 0);
    assert_true(count_asked("/v4/getCollectionValues") > 0);
    assert_true(count_asked("/v1/getSeries") > 0);
    assert_int_equal(count_asked("/v4/getSeries"), 0);
    gathering_free(&g);
    control("/__reset");
}

static void test_busy_server_is_not_asked_in_another_version(void **state)
{
    (void)state;
    struct gathering g;
    struct vivo_op op;
    assert_int_equal(list_with("match=v4&fail=503", &g, &op), -EIO);
    assert_int_equal(count_asked("/v1/"), 0);
    gathering_free(&g);
    control("/__reset");
}

static void test_pinned_version_is_the_only_one(void **state)
{
    (void)state;
    char pinned[400];
    struct gathering g;
    struct vivo_op op;
    control("/__reset");
    snprintf(pinned, sizeof pinned, "%s/services/v1/", source);
    struct vivo_archive *a = open_source(pinned, NULL);
    assert_int_equal(list_all(a, &g, &op), 0);
    assert_int_equal(g.n_objects, OBJECTS);
    assert_int_equal(count_asked("/v4/"), 0);
    gathering_free(&g);
    vivo_archive_close(a);
}

static void test_bearer_token_opens_the_door(void **state)
{
    (void)state;
    static const char *const knobs[] = {"token=t0k", "token=t0k&versions=v1,v2"};
    for (size_t i = 0; i < VIVO_ARRAY_LEN(knobs); i++) {
        struct gathering g;
        struct vivo_op op;
        struct receipt r;
        set_only(knobs[i]);
        struct vivo_archive *a = open_source(source, "t0k");
        vivo_op_init(&op, 0);
        assert_int_equal(vivo_archive_probe(a, &op), 0);
        assert_int_equal(list_all(a, &g, &op), 0);
        assert_int_equal(g.n_objects, OBJECTS);
        receipt_init(&r, false, &op);
        assert_int_equal(vivo_archive_fetch(a, g.objects[0].locator, &r.base, &op), 0);
        receipt_free(&r);
        gathering_free(&g);
        vivo_archive_close(a);
    }
    struct vivo_op op;
    struct vivo_archive *a = open_source(source, "other");
    vivo_op_init(&op, 0);
    assert_int_equal(vivo_archive_probe(a, &op), -EACCES);
    assert_non_null(strstr(op.err.text, "out of date"));
    assert_null(strstr(op.err.text, "other"));
    vivo_archive_close(a);
    control("/__reset");
}

static void test_sources_that_are_none_are_einval(void **state)
{
    (void)state;
    static const char *const sources[] = {
        "nbia+http://u:p@127.0.0.1/nbia-api", "nbia+http:///nbia-api",
        "nbia+http://127.0.0.1/nbia-api?x=1", "nbia+https://", "nbia+http:x"};
    for (size_t i = 0; i < VIVO_ARRAY_LEN(sources); i++) {
        const struct vivo_archive_config cfg = {.source = sources[i], .net = net};
        struct vivo_archive *a = NULL;
        struct vivo_err err = {0};
        assert_int_equal(vivo_archive_open(&cfg, &a, &err), -EINVAL);
        assert_null(a);
        assert_null(strstr(err.text, "u:p"));
    }
}

/* ---- fetching --------------------------------------------------------------- */

static void test_objects_arrive_whole(void **state)
{
    (void)state;
    static const char *const knobs[] = {
        "chunked=1",
        "kind=application/octet-stream",
        "fail=503&fail_times=1",
        "cut=100&cut_times=1",
        "cut=900&cut_times=1",
        "no_single=v4",
        "match=v4/getSingle&fail=500",
        "match=v4/getSingle&single_500=1",
        "single_500=1",
        "match=getSingle&fail=404",
        "single_500=1&empty_call=getSOPInstanceUIDs",
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(knobs); i++) {
        struct vivo_op op;
        int rc = fetch_with(knobs[i], &op);
        if (rc != 0)
            fail_msg("%s: %d: %s", knobs[i], rc, op.err.text);
    }
}

static void test_damaged_objects_are_errors(void **state)
{
    (void)state;
    static const struct {
        const char *knobs;
        int rc;
        const char *words;
    } cases[] = {
        {"cut=100", -EIO, ""},
        {"cut=0", -EIO, ""},
        {"cut=700&chunked=1", -EIO, ""},
        {"close=1", -EIO, "without a length"},
        {"length=7", -EIO, ""},
        {"status=206", -EIO, "part"},
        {"wrong_object=1", -EIO, "another object"},
        {"kind=text/html", -EIO, "HTML"},
        {"kind=application/json", -EIO, "text"},
        {"body=Server%20was%20not%20able", -EBADMSG, ""},
        {"single_500=1&zip_short=1", -EIO, "lists cannot be had"},
        {"single_500=1&zip_cut=1", -EIO, "lists cannot be had"},
        {"single_500=1&empty_call=getSOPInstanceUIDs&zip_html=1", -EIO,
         "lists cannot be had"},
        {"match=getSingle&fail=401", -EACCES, "bearer=FILE"},
        {"match=Image&fail=404", -EIO, "lists cannot be had"},
        {"match=getSingle&fail=503", -EIO, "503"},
        {"stall=100", -ETIMEDOUT, ""},
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(cases); i++) {
        struct vivo_op op;
        int rc = fetch_with(cases[i].knobs, &op);
        if (rc != cases[i].rc || !strstr(op.err.text, cases[i].words))
            fail_msg("%s: %d: %s", cases[i].knobs, rc, op.err.text);
    }
    control("/__reset");
}

static void test_image_that_is_gone_is_enoent(void **state)
{
    (void)state;
    struct vivo_op op;
    assert_int_equal(fetch_with("single_500=1&sop_drop=3&empty_call=getSeries", &op),
                     -ENOENT);
    control("/__reset");
}

/* A series that is only to be had as a zip costs one, whoever reads it. */
static void *fetch_all(void *ctx)
{
    struct gathering *g = ctx;
    for (size_t i = 0; i < g->n_objects; i++) {
        struct receipt r;
        struct vivo_op op;
        struct vivo_buf want;
        vivo_op_init(&op, 0);
        receipt_init(&r, false, &op);
        int rc = vivo_archive_fetch(zipped, g->objects[i].locator, &r.base, &op);
        if (rc != 0 || expect_file(NULL, NULL, g->objects[i].uid, &want) != 0)
            return ctx;
        bool same = r.bytes.len == want.len && g->objects[i].size == want.len &&
                    memcmp(r.bytes.data, want.data, want.len) == 0;
        vivo_buf_free(&want);
        receipt_free(&r);
        if (!same)
            return ctx;
    }
    return NULL;
}

static void test_series_that_is_only_a_zip_costs_one(void **state)
{
    (void)state;
    struct gathering all;
    struct gathering g;
    struct vivo_op op;
    pthread_t threads[4];
    set_only("empty_call=getSOPInstanceUIDs&single_500=1");
    zipped = open_source(source, NULL);
    assert_int_equal(list_all(zipped, &all, &op), 0);
    gathering_init(&g, zipped->driver->lists);
    uint64_t before = count_retrieved(NULL);
    assert_int_equal(vivo_archive_list(zipped, VIVO_LEVEL_SERIES,
                                       all.containers[COLLECTIONS].locator, &g.base,
                                       &op),
                     0);
    assert_int_equal(g.n_objects, 3);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, fetch_all, &g), 0);
    for (size_t i = 0; i < 4; i++) {
        void *bad = NULL;
        pthread_join(threads[i], &bad);
        assert_null(bad);
    }
    assert_int_equal(count_retrieved(NULL), before + 1);
    gathering_free(&g);
    gathering_free(&all);
    vivo_archive_close(zipped);
    control("/__reset");
}

/* ---- attributes ------------------------------------------------------------- */

struct keeper { /* keeps the attributes of the last record */
    struct vivo_intake base;
    struct vivo_buf attrs;
    char collection[200], locator[1000], version[100];
};

static int keep(struct vivo_intake *self, const struct vivo_record *rec,
                struct vivo_err *err)
{
    struct keeper *k = (struct keeper *)self;
    (void)err;
    vivo_buf_clear(&k->attrs);
    assert_int_equal(vivo_buf_add(&k->attrs, rec->attrs.data, rec->attrs.len), 0);
    snprintf(k->locator, sizeof k->locator, "%s", rec->locator);
    snprintf(k->collection, sizeof k->collection, "%s", rec->collection);
    snprintf(k->version, sizeof k->version, "%s", rec->version ? rec->version : "");
    return 0;
}

static void assert_text(const struct keeper *k, uint32_t tag, const char *want)
{
    char text[200];
    struct vivo_attrs a = {k->attrs.data, k->attrs.len};
    vivo_attrs_text(a, tag, text, sizeof text);
    assert_string_equal(text, want);
}

static void test_columns_become_attributes_in_every_version(void **state)
{
    (void)state;
    struct keeper k = {.base.record = keep};
    struct vivo_attr a;
    struct vivo_op op;
    vivo_buf_init(&k.attrs, 1 << 20);
    for (int v = 0; v < 2; v++) {
        set_only(v ? "versions=v1&odd_types=1" : "versions=v4");
        struct vivo_archive *ar = open_source(source, NULL);
        vivo_op_init(&op, 0);
        assert_int_equal(vivo_archive_list(ar, VIVO_LEVEL_NONE, NULL, &k.base, &op), 0);
        assert_string_equal(k.collection, "Demo MR/2.0 & more");
        assert_string_equal(k.locator, "Demo%20MR%2F2%2E0%20%26%20more");
        assert_int_equal(
            vivo_archive_list(ar, VIVO_LEVEL_COLLECTION, k.locator, &k.base, &op), 0);
        assert_string_equal(k.collection, "Demo MR/2.0 & more");
        assert_text(&k, VIVO_TAG_PatientID, "PAT0001");
        assert_text(&k, VIVO_TAG_NumberOfSeriesRelatedInstances, "3");
        assert_text(&k, VIVO_TAG_Manufacturer, "ACME");
        assert_text(&k, VIVO_TAG_SpecificCharacterSet, "ISO_IR 192");
        assert_text(&k, VIVO_TAG_PatientSex, v ? "" : "O");
        char date[20];
        struct vivo_attrs attrs = {k.attrs.data, k.attrs.len};
        vivo_attrs_text(attrs, VIVO_TAG_StudyDate, date, sizeof date);
        assert_true(!strcmp(date, "20200201") || !strcmp(date, "20200202"));
        /* What is null in the archive is known to be nothing. */
        assert_true(vivo_attrs_find(attrs, VIVO_TAG_BodyPartExamined, &a));
        assert_int_equal(a.len, 0);
        assert_memory_equal(k.version, "20210203.3.", 11);
        vivo_archive_close(ar);
    }
    vivo_buf_free(&k.attrs);
    control("/__reset");
}

/* ---- the suite -------------------------------------------------------------- */

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_version_conforms),
        cmocka_unit_test(test_listing_is_complete_whatever_the_server_does),
        cmocka_unit_test(test_listing_fails_rather_than_being_short),
        cmocka_unit_test(test_rows_without_a_usable_uid_are_counted),
        cmocka_unit_test(test_empty_collection_is_empty),
        cmocka_unit_test(test_series_of_other_collections_are_no_listing),
        cmocka_unit_test(test_series_that_grew_is_listed_whole),
        cmocka_unit_test(test_newest_version_is_asked_first),
        cmocka_unit_test(test_busy_server_is_not_asked_in_another_version),
        cmocka_unit_test(test_pinned_version_is_the_only_one),
        cmocka_unit_test(test_bearer_token_opens_the_door),
        cmocka_unit_test(test_sources_that_are_none_are_einval),
        cmocka_unit_test(test_objects_arrive_whole),
        cmocka_unit_test(test_damaged_objects_are_errors),
        cmocka_unit_test(test_image_that_is_gone_is_enoent),
        cmocka_unit_test(test_series_that_is_only_a_zip_costs_one),
        cmocka_unit_test(test_columns_become_attributes_in_every_version),
    };
    return cmocka_run_group_tests(tests, start_all, stop_all);
}
