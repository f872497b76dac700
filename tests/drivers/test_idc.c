/* SPDX-License-Identifier: Apache-2.0 */
/* tests/drivers/test_idc.c -- the IDC driver against a test server of its API and its
 * buckets: conformance, then what is special. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "idc_run.h"

#define COLLECTIONS 2
#define SERIES 8
#define UUID "01234567-0123-0123-0123-0123456789ab"

/* Locator "BUCKET/SERIES/INSTANCE/SIZE/TAG". */
static int expect_object(void *ctx, const char *locator, const char *uid,
                         struct vivo_buf *out)
{
    char path[400];
    (void)ctx;
    (void)uid;
    const char *slash = strchr(strchr(strchr(locator, '/') + 1, '/') + 1, '/');
    snprintf(path, sizeof path, "/__object/%.*s.dcm", (int)(slash - locator), locator);
    return ask(path, out);
}

static const char *const bad_locators[] = {
    "idc-open-data/" UUID "/..",
    "idc-open-data/../" UUID "/7/ex",
    "../" UUID "/" UUID "/7/ex",
    "idc-open-data/" UUID "/" UUID "/0/ex",
    "idc-open-data/" UUID "/" UUID "/7/ex/y",
    "idc-open-data/" UUID "/" UUID "/x/ex",
    "idc-open-data/" UUID "/" UUID "?x/7/ex",
    NULL,
};

static void test_driver_conforms(void **state)
{
    (void)state;
    static const char *const knobs[] = {"page=2", "sql_arrays=1&sql_rows=3",
                                        "odd_types=1", "no_sql=404&page_rows=3"};
    for (size_t i = 0; i < VIVO_ARRAY_LEN(knobs); i++) {
        set_only(knobs[i]);
        const struct vivo_conformance c = {.source = source,
                                           .net = net,
                                           .missing = "idc+http://127.0.0.1:9/v3",
                                           .missing_errno = EIO,
                                           .objects = OBJECTS,
                                           .expect = expect_object,
                                           .content_requests = count_retrieved,
                                           .unknown =
                                               "idc-open-data/" UUID "/" UUID "/7/ex",
                                           .escapes = bad_locators};
        assert_int_equal(vivo_conformance(&c), 0);
    }
    control("/__reset");
}

static void test_listing_is_complete_or_fails(void **state)
{
    (void)state;
    static const struct {
        const char *knobs;
        int rc;
        const char *words;
    } cases[] = {
        {"latency=20", 0, ""},
        {"fail=503&fail_times=1", 0, ""},
        {"fail=429&fail_times=1&retry_after=1", 0, ""},
        {"match=data/&fail=503&fail_times=1", 0, ""},
        {"cut=10&cut_times=1", 0, ""},
        {"chunked=1", 0, ""},
        {"hostile=1", 0, ""},
        {"html=1", -EIO, "collections"},
        {"match=sql&html=1", -EIO, "sql"},
        {"json=null", -EBADMSG, "collections"},
        {"json=[null]", -EIO, "lists no collection"},
        {"json=[]", -EIO, "lists no collection"},
        {"json=[{", -EBADMSG, "JSON"},
        {"json=[{\"collection_id\":\"../x\"}]", -EIO, "lists no collection"},
        {"json=[{\"collection_id\":\"a\"},{\"collection_id\":7}]", -EBADMSG, "rows"},
        {"match=sql&json={}", -EBADMSG, "rows"},
        {"match=sql&json={\"rows\":[7]}", -EBADMSG, "row"},
        {"match=sql&json={\"rows\":[{}]}", -EBADMSG, "left"},
        {"sql_lost=1", -EIO, "rows are missing"},
        {"two_uuids=1", -EIO, "two records"},
        {"fail=503", -EIO, "503"},
        {"fail=401", -EACCES, "collections"},
        {"fail=404", -EIO, "404"},
        {"match=sql&fail=404", 0, ""},
        {"no_sql=400", 0, ""},
        {"no_sql=405&page_rows=1", 0, ""},
        {"no_sql=404&rows_lost=1", -EIO, "rows are missing"},
        {"no_sql=404&match=manifest&json={}", -EBADMSG, "manifest"},
        {"no_sql=404&match=manifest&json={\"series\":[7],\"total_series\":1}", -EBADMSG,
         "row"},
        {"no_sql=404&match=manifest&json={\"series\":[{},{}],\"total_series\":1}", -EIO,
         "more rows"},
        {"no_sql=404&match=manifest&fail=404", -EIO, "404"},
        {"stall=10", -ETIMEDOUT, "collections"},
        {"gone=1", -EIO, "0 of the 3"},
        {"lost=1", -EIO, "2 of the 3"},
        {"match=-data&html=1", -EBADMSG, "HTML"},
        {"match=-data&fail=403", -EACCES, "store"},
        {"match=-data&fail=404", -EIO, "bucket"},
        {"match=-data&cut=40", -EIO, "closed"},
        {"match=-data&stall=40", -ETIMEDOUT, "silent"},
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(cases); i++) {
        struct gathering g;
        struct vivo_op op;
        set_only(cases[i].knobs);
        struct vivo_archive *a = open_for(cases[i].knobs, source, NULL);
        int rc = list_all(a, &g, &op);
        if (rc != cases[i].rc || (rc && !strstr(op.err.text, cases[i].words)) ||
            (rc == 0 &&
             (g.n_objects != OBJECTS || g.n_containers != COLLECTIONS + SERIES)))
            fail_msg("%s: %d %s (%zu objects)", cases[i].knobs, rc, op.err.text,
                     g.n_objects);
        gathering_free(&g);
        vivo_archive_close(a);
    }
    control("/__reset");
}

static void test_listing_asks_once_a_level(void **state)
{
    (void)state;
    struct gathering g;
    struct vivo_op op;
    control("/__reset");
    struct vivo_archive *a = open_source(source, NULL);
    assert_int_equal(list_all(a, &g, &op), 0);
    assert_int_equal(count_asked("\"/v3/collections\""), 1);
    assert_int_equal(count_asked("\"/v3/sql\""), COLLECTIONS);
    assert_int_equal(count_asked("list-type=2"), SERIES);
    assert_int_equal(atomic_load(&a->requests), 1 + COLLECTIONS + SERIES);
    assert_int_equal(count_asked("AWS4"), 0);
    gathering_free(&g);
    vivo_archive_close(a);
}

/* Another release has other uuids for the same series, and the old ones stay. */
static void test_objects_of_an_old_release_stay(void **state)
{
    (void)state;
    struct gathering g;
    struct receipt r;
    struct vivo_op op;
    struct vivo_buf want;
    control("/__reset");
    struct vivo_archive *a = open_source(source, NULL);
    assert_int_equal(list_all(a, &g, &op), 0);
    set("release=26");
    vivo_op_init(&op, 0);
    receipt_init(&r, false, &op);
    assert_int_equal(vivo_archive_fetch(a, g.objects[0].locator, &r.base, &op), 0);
    assert_int_equal(expect_object(NULL, g.objects[0].locator, "", &want), 0);
    assert_int_equal(r.bytes.len, want.len);
    assert_memory_equal(r.bytes.data, want.data, want.len);
    vivo_buf_free(&want);
    receipt_free(&r);
    struct gathering now;
    assert_int_equal(list_all(a, &now, &op), 0);
    assert_int_equal(now.n_objects, OBJECTS);
    for (size_t i = 0; i < now.n_objects; i++)
        for (size_t j = 0; j < g.n_objects; j++)
            assert_string_not_equal(now.objects[i].locator, g.objects[j].locator);
    gathering_free(&now);
    gathering_free(&g);
    vivo_archive_close(a);
    control("/__reset");
}

/* ---- search ------------------------------------------------------------------------
 */

static size_t found(const struct vivo_match *m, size_t n, uint64_t *answered)
{
    struct gathering g;
    struct vivo_op op;
    struct vivo_archive *a = open_source(source, NULL);
    vivo_op_init(&op, 0);
    gathering_init(&g, a->driver->lists);
    int rc = vivo_archive_search(a, m, n, answered, &g.base, &op);
    if (rc && rc != -ENOENT)
        fail_msg("%d %s", rc, op.err.text);
    size_t count = rc ? SIZE_MAX : g.n_containers;
    gathering_free(&g);
    vivo_archive_close(a);
    return count;
}

static void test_search_narrows_by_what_the_index_knows(void **state)
{
    (void)state;
    static const char *const ct[] = {"ct"};
    static const char *const patients[] = {"pat*1", "o'x%_!"};
    static const char *const days[] = {"20200101", "20200131"};
    static const char *const thick[] = {"1.0"};
    static const char *const odd[] = {"M\xC3\xBCller"};
    const struct vivo_match m[] = {
        {VIVO_TAG_Modality, VIVO_MATCH_ANY_OF, true, ct, 1},
        {VIVO_TAG_PatientID, VIVO_MATCH_ANY_OF, true, patients, 2},
        {VIVO_TAG_StudyDate, VIVO_MATCH_RANGE, false, days, 2},
        {VIVO_TAG_SliceThickness, VIVO_MATCH_ANY_OF, false, thick, 1},
        {VIVO_TAG_PatientID, VIVO_MATCH_ANY_OF, false, odd, 1},
    };
    uint64_t answered;
    control("/__reset");
    assert_int_equal(found(m, 1, &answered), 4);
    assert_int_equal(answered, 1);
    assert_int_equal(found(m, 2, &answered), 2);
    assert_int_equal(answered, 3);
    assert_int_equal(found(m + 2, 2, &answered), 4);
    assert_int_equal(answered, 1);
    assert_int_equal(found(m, 3, &answered), 0);
    assert_int_equal(found(m + 3, 2, &answered), SIZE_MAX);
    assert_int_equal(answered, 0);
}

/* Cohorts mind case, so they are asked by the spellings that the archive has. */
static void test_search_without_sql_asks_for_cohorts(void **state)
{
    (void)state;
    static const char *const ct[] = {"c?", "[x]"};
    static const char *const patients[] = {"pat*1"};
    static const char *const none[] = {"us"};
    static const char *const days[] = {"20200101", "20200131"};
    const struct vivo_match m[] = {
        {VIVO_TAG_Modality, VIVO_MATCH_ANY_OF, true, ct, 2},
        {VIVO_TAG_PatientID, VIVO_MATCH_ANY_OF, true, patients, 1},
        {VIVO_TAG_StudyDate, VIVO_MATCH_RANGE, false, days, 2},
        {VIVO_TAG_Modality, VIVO_MATCH_ANY_OF, false, none, 1},
    };
    uint64_t answered;
    set_only("no_sql=404&page_rows=3");
    assert_int_equal(found(m, 1, &answered), 4);
    assert_int_equal(answered, 1);
    assert_int_equal(found(m, 3, &answered), 2);
    assert_int_equal(answered, 3);
    assert_int_equal(found(m + 2, 1, &answered), SIZE_MAX);
    assert_int_equal(answered, 0);
    size_t before = count_asked("cohort/manifest");
    assert_int_equal(found(m + 3, 1, &answered), 0); /* no list of no values is sent */
    assert_int_equal(count_asked("cohort/manifest"), before);
    set("no_sql=404&values=1"); /* not all values are told: not asked by them */
    assert_int_equal(found(m, 1, &answered), SIZE_MAX);
    control("/__reset");
}

static int start_all(void **state)
{
    (void)state;
    return start_with("idc+", "/v3");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_driver_conforms),
        cmocka_unit_test(test_listing_is_complete_or_fails),
        cmocka_unit_test(test_listing_asks_once_a_level),
        cmocka_unit_test(test_objects_of_an_old_release_stay),
        cmocka_unit_test(test_search_narrows_by_what_the_index_knows),
        cmocka_unit_test(test_search_without_sql_asks_for_cohorts),
    };
    return cmocka_run_group_tests(tests, start_all, stop_all);
}
