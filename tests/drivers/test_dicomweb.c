/* SPDX-License-Identifier: Apache-2.0 */
/* tests/drivers/test_dicomweb.c -- the DICOMweb driver against a test server with the
 * quirks of real ones: conformance, then what is special. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "dicomweb_run.h"

/* ---- conformance ------------------------------------------------------------ */

static void test_test_server_conforms(void **state)
{
    (void)state;
    control("/__reset");
    const struct vivo_conformance c = {.source = source,
                                       .net = net,
                                       .missing =
                                           "dicomweb+http://127.0.0.1:9/dicom-web",
                                       .missing_errno = EIO,
                                       .objects = OBJECTS,
                                       .expect = expect_file,
                                       .content_requests = count_retrieved,
                                       .unknown = "1.2.3/1.2.3.4/1.2.3.4.5",
                                       .escapes = bad_locators};
    assert_int_equal(vivo_conformance(&c), 0);
}

/* ---- listing: every quirk gives everything, or an error --------------------- */

static void test_listing_is_complete_whatever_the_server_does(void **state)
{
    (void)state;
    static const char *const knobs[] = {
        "empty=204",
        "empty=[]",
        "cap=1",
        "cap=2&cap_warning=0&cap_206=1",
        "cap=1&order=random",
        "cap=2&order=random",
        "too_large=100",
        "no_fields=1",
        "ignore_limit=1",
        "ignore_offset=1",
        "ignore_filter=1",
        "cap=2&ignore_offset=1&match=/studies$",
        "cap=1&ignore_offset=1&cap_warning=0&cap_206=1&match=/studies$",
        "too_many=2&match=/studies$",
        "chunked=1",
        "close=1",
        "fail=503&fail_times=1",
        "fail=429&fail_times=1&retry_after=1",
        "fail=429&fail_times=1",
        "no_counts=1",
        "no_counts=1&cap=1",
        "fail=400&fail_times=1",
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(knobs); i++) {
        struct gathering g;
        struct vivo_op op;
        int rc = list_with(knobs[i], &g, &op);
        if (rc != 0 || g.n_objects != OBJECTS || g.n_containers != STUDIES + SERIES)
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
    } cases[] = {
        {"match=/series&cap=1&ignore_offset=1", -EIO}, /* which no dates part */
        {"cap=1&ignore_offset=1&ignore_filter=1", -EIO},
        {"too_large=1", -EIO},
        {"html=1", -EIO},
        {"json=[{", -EBADMSG},
        {"json={}", -EBADMSG},
        {"json=[1]", -EBADMSG},
        {"json=[{},]", -EBADMSG},
        {"json=[{}{}]", -EBADMSG},
        {"json=[]x", -EBADMSG},
        {"cut=20", -EIO},
        {"cut=0", -EIO},
        {"cut=20&chunked=1", -EIO},
        {"cut=20&close=1", -EBADMSG},
        {"length=5", -EIO},
        {"fail=503", -EIO},
        {"fail=401", -EACCES},
        {"fail=403", -EACCES},
        {"fail=404", -ENOENT},
        {"match=instances&fail=500", -EIO},
        {"match=series&html=1", -EIO},
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(cases); i++) {
        struct gathering g;
        struct vivo_op op;
        int rc = list_with(cases[i].knobs, &g, &op);
        if (rc != cases[i].rc)
            fail_msg("%s: %d: %s", cases[i].knobs, rc, op.err.text);
        gathering_free(&g);
    }
}

static void test_rows_with_bad_uids_are_counted_not_listed(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "json=[{\"0020000D\":{\"vr\":\"UI\",\"Value\":[\"../../x\"]}}]",
        "json=[{\"0020000D\":{\"vr\":\"UI\",\"Value\":[\"1.2%253fx\"]}}]",
        "json=[{\"0020000D\":{\"vr\":\"UI\",\"Value\":[17]}}]",
        "json=[{\"0020000D\":{\"vr\":\"SQ\",\"Value\":[{}]}}]",
        "json=[{\"0020000D\":null}]",
        "json=[{}]",
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(rows); i++) {
        struct gathering g;
        struct vivo_op op;
        /* 17 is a UID of a kind: nothing may be wrong but that it names nothing. */
        int rc = list_with(rows[i], &g, &op);
        if (rc == 0 && strstr(rows[i], "[17]") == NULL)
            assert_int_equal(g.others, 1);
        if (strstr(rows[i], "[17]") == NULL)
            assert_int_equal(g.n_containers, 0);
        gathering_free(&g);
    }
}

static void test_wrong_base_url_is_explained(void **state)
{
    (void)state;
    struct vivo_op op;
    struct vivo_archive *a = open_source(source, NULL);
    set_only("html=1");
    vivo_op_init(&op, 0);
    assert_int_equal(vivo_archive_probe(a, &op), -EIO);
    assert_non_null(strstr(op.err.text, "text/html"));
    assert_non_null(strstr(op.err.text, "base URL"));
    control("/__reset");
    vivo_archive_close(a);
}

/* ---- credentials ------------------------------------------------------------ */

static void test_bearer_token_opens_the_door(void **state)
{
    (void)state;
    struct gathering g;
    struct vivo_op op;
    set_only("auth=bearer:t0k");
    struct vivo_archive *a = open_source(source, NULL);
    vivo_op_init(&op, 0);
    assert_int_equal(vivo_archive_probe(a, &op), -EACCES);
    assert_non_null(strstr(op.err.text, "needs credentials (`vivofs login`"));
    vivo_archive_close(a);
    a = open_source(source, "t0k");
    assert_int_equal(list_all(a, &g, &op), 0);
    assert_int_equal(g.n_objects, OBJECTS);
    gathering_free(&g);
    vivo_archive_close(a);
    control("/__reset");
}

static void test_sources_that_are_none_are_einval(void **state)
{
    (void)state;
    static const char *const sources[] = {"dicomweb+http://u:p@127.0.0.1/dicom-web",
                                          "dicomweb+http:///dicom-web",
                                          "dicomweb+http://127.0.0.1/dicom-web?x=1",
                                          "dicomweb+https://", "dicomweb+http:x"};
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

static void test_objects_arrive_whole_in_every_form(void **state)
{
    (void)state;
    static const char *const knobs[] = {
        "quoted=0",
        "part_length=0",
        "close=1",
        "close=1&part_length=0&quoted=0",
        "chunked=1",
        "preamble=hello",
        ("boundary="
         "0123456789012345678901234567890123456789012345678901234567890123456789"),
        "accept=single",
        "accept=single&refuse=400",
        "accept=single&chunked=1",
        "fail=503&fail_times=1",
        "cut=100&cut_times=1",
        "cut=100&cut_times=1&close=1",
        "cut=900&cut_times=1&close=1",
        "part_type=application/dicom%3b%20transfer-syntax=1.2.840.10008.1.2.1",
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
    } cases[] = {
        {"cut=100", -EIO},
        {"cut=0", -EIO},
        {"cut=700&chunked=1", -EIO},
        {"cut=700&close=1", -EIO},
        {"close=1&last_boundary=0", -EIO},
        {"last_boundary=0", -EIO},
        {"length=7", -EIO},
        {"part_length_add=1", -EIO},
        {"part_length_add=-1", -EIO},
        {"parts=0", -EIO},
        {"parts=2", -EIO},
        {"status=206", -EIO},
        {"wrong_object=1", -EIO},
        {"wrong_object=1&accept=single", -EIO},
        {"part_type=text/html", -EIO},
        {"accept=single&close=1", -EIO},
        {"accept=multipart&accept=single&cut=100", -EIO},
        {"fail=404", -ENOENT},
        {"fail=410", -ENOENT},
        {"fail=401", -EACCES},
        {"fail=503", -EIO},
        {"stall=100", -ETIMEDOUT},
        {"accept=none", -EIO},
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(cases); i++) {
        struct vivo_op op;
        int rc = fetch_with(cases[i].knobs, &op);
        if (rc != cases[i].rc)
            fail_msg("%s: %d: %s", cases[i].knobs, rc, op.err.text);
    }
}

static void test_redirect_elsewhere_gets_no_token(void **state)
{
    (void)state;
    static const char *const argv[] = {SERVER, "--make", SHAPE, NULL};
    struct child other;
    struct child first = server;
    struct gathering g;
    struct vivo_op op;
    char knobs[300];
    assert_int_equal(child_start(&other, argv), 0);
    snprintf(knobs, sizeof knobs, "redirect=%.*s", root_length(other.line), other.line);
    set_only(knobs);
    struct vivo_archive *a = open_source(source, "t0k");
    assert_int_equal(list_all(a, &g, &op), 0);
    assert_int_equal(g.n_objects, OBJECTS);
    gathering_free(&g);
    vivo_archive_close(a);
    control("/__reset");
    server = other;
    assert_true(count_asked("/dicom-web/studies") > 0);
    assert_int_equal(count_asked("t0k"), 0);
    server = first;
    child_stop(&other);
}

/* ---- attributes ------------------------------------------------------------- */

struct keeper { /* keeps the attributes of the last record */
    struct vivo_intake base;
    struct vivo_buf attrs;
    char locator[400];
    bool headers;
};

static int keep(struct vivo_intake *self, const struct vivo_record *rec,
                struct vivo_err *err)
{
    struct keeper *k = (struct keeper *)self;
    (void)err;
    vivo_buf_clear(&k->attrs);
    assert_int_equal(vivo_buf_add(&k->attrs, rec->attrs.data, rec->attrs.len), 0);
    snprintf(k->locator, sizeof k->locator, "%s", rec->locator);
    k->headers = rec->headers;
    return 0;
}

static bool has_text(const struct keeper *k, uint32_t tag, const char *want)
{
    char text[200];
    struct vivo_attrs a = {k->attrs.data, k->attrs.len};
    return vivo_attrs_text(a, tag, text, sizeof text) && strcmp(text, want) == 0;
}

/* An instance carries what names of its ancestors are made of, whether or not they were
 * listed just now: the archive is opened anew for the last step. */
static void test_records_carry_their_ancestors(void **state)
{
    (void)state;
    struct keeper k = {.base.record = keep};
    struct vivo_op op;
    char series[400];
    vivo_buf_init(&k.attrs, 1 << 20);
    struct vivo_archive *a = open_source(source, NULL);
    vivo_op_init(&op, 0);
    assert_int_equal(vivo_archive_list(a, VIVO_LEVEL_NONE, NULL, &k.base, &op), 0);
    assert_true(has_text(&k, VIVO_TAG_StudyDescription, "Study 1 of 1"));
    assert_int_equal(vivo_archive_list(a, VIVO_LEVEL_STUDY, k.locator, &k.base, &op),
                     0);
    assert_true(has_text(&k, VIVO_TAG_StudyDescription, "Study 1 of 1"));
    assert_true(has_text(&k, VIVO_TAG_SeriesDescription, "Series 1"));
    snprintf(series, sizeof series, "%s", k.locator);
    for (int anew = 0; anew < 2; anew++) {
        if (anew) {
            vivo_archive_close(a);
            a = open_source(source, NULL);
        }
        assert_int_equal(vivo_archive_list(a, VIVO_LEVEL_SERIES, series, &k.base, &op),
                         0);
        assert_true(has_text(&k, VIVO_TAG_PatientID, "PAT0001"));
        assert_true(
            has_text(&k, VIVO_TAG_PatientName, "Yamada^Tarou=山田^太郎=やまだ^たろう"));
        assert_true(has_text(&k, VIVO_TAG_StudyDescription, "Study 1 of 1"));
        assert_true(has_text(&k, VIVO_TAG_StudyDate, "20200202"));
        assert_true(has_text(&k, VIVO_TAG_SeriesNumber, "2"));
        assert_true(has_text(&k, VIVO_TAG_InstanceNumber, "3"));
        assert_true(has_text(&k, VIVO_TAG_SpecificCharacterSet, "ISO_IR 192"));
        assert_false(k.headers);
    }
    set_only("metadata_extra=1");
    assert_int_equal(vivo_archive_headers(a, series, &k.base, &op), 0);
    control("/__reset");
    assert_true(k.headers);
    assert_true(has_text(&k, 0x00020010, "1.2.840.10008.1.2"));
    assert_true(has_text(&k, VIVO_TAG_SliceThickness, "1.25"));
    assert_true(has_text(&k, VIVO_TAG_Rows, "8"));
    control("/__set?no_metadata=501");
    assert_int_equal(vivo_archive_headers(a, series, &k.base, &op), 0);
    control("/__reset");
    assert_true(k.headers);
    assert_true(has_text(&k, 0x00020010, "1.2.840.10008.1.2"));
    assert_true(has_text(&k, VIVO_TAG_SliceThickness, "1.25"));
    vivo_buf_free(&k.attrs);
    vivo_archive_close(a);
}

/* ---- servers without /metadata ------------------------------------------------ */

/* Headers of all series with these knobs; the first error. */
static int read_headers(const char *knobs, struct gathering *listed,
                        struct gathering *got, struct vivo_op *op)
{
    struct vivo_archive *a = open_source(source, NULL);
    char path[512];
    control("/__reset");
    assert_int_equal(list_all(a, listed, op), 0);
    snprintf(path, sizeof path, "/__set?%s", knobs);
    control(path);
    gathering_init(got, a->driver->lists);
    vivo_op_init(op, 0);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < listed->n_containers; i++)
        if (listed->containers[i].level == VIVO_LEVEL_SERIES)
            rc = vivo_archive_headers(a, listed->containers[i].locator, &got->base, op);
    if (rc == 0)
        assert_int_equal(atomic_load(&a->dear_headers),
                         strstr(knobs, "no_metadata") != NULL);
    vivo_archive_close(a);
    return rc;
}

static void test_headers_are_those_of_the_objects_in_every_form(void **state)
{
    (void)state;
    static const char *const knobs[] = {
        "no_metadata=404",
        "no_metadata=405&no_one_metadata=0",
        "no_metadata=501&part_length=0&close=1",
        "no_metadata=501&chunked=1&no_one_metadata=501",
        "no_metadata=501&accept=single",
        "no_metadata=501&accept=single&ranges=0",
        "no_metadata=501&fail=503&fail_times=1",
        /* Those that have it, bulk data by reference, send it in any way. */
        "match=metadata&chunked=1",
        "match=metadata&close=1",
        "match=metadata&fail=429&fail_times=1",
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(knobs); i++) {
        struct gathering listed;
        struct gathering got;
        struct vivo_op op;
        int rc = read_headers(knobs[i], &listed, &got, &op);
        control("/__reset");
        if (rc != 0 || got.flaws || got.n_objects != OBJECTS)
            fail_msg("%s: %d, %zu objects: %s", knobs[i], rc, got.n_objects,
                     op.err.text);
        gathering_sort(&listed);
        gathering_sort(&got);
        for (size_t k = 0; k < OBJECTS; k++) {
            assert_string_equal(got.objects[k].locator, listed.objects[k].locator);
            assert_string_equal(got.objects[k].uid, listed.objects[k].uid);
        }
        gathering_free(&listed);
        gathering_free(&got);
    }
}

/* What may pass is no reason to read objects, and a wrong one is no header. */
static void test_metadata_that_fails_today_is_an_error(void **state)
{
    (void)state;
    static const struct {
        const char *knobs;
        int rc;
        bool objects;
    } cases[] = {
        {"no_metadata=503", -EIO, false},
        {"no_metadata=500", -EIO, false},
        {"no_metadata=401", -EACCES, false},
        {"match=metadata&html=1", -EIO, false},
        {"match=metadata&close=1&cut=300", -EBADMSG, false},
        {"match=metadata&chunked=1&cut=300", -EIO, false},
        {"no_metadata=501&no_one_metadata=503", -EIO, false},
        {"match=metadata|instances/&no_metadata=501&cut=100", -EIO, true},
        {"match=metadata|instances/&no_metadata=501&wrong_object=1", -EIO, true},
        {"match=metadata|instances/&no_metadata=501&wrong_object=1&accept=single", -EIO,
         true},
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(cases); i++) {
        struct gathering listed;
        struct gathering got;
        struct vivo_op op;
        uint64_t before = count_retrieved(NULL);
        int rc = read_headers(cases[i].knobs, &listed, &got, &op);
        control("/__reset");
        if (rc != cases[i].rc || got.n_objects)
            fail_msg("%s: %d, %zu objects: %s", cases[i].knobs, rc, got.n_objects,
                     op.err.text);
        assert_int_equal(count_retrieved(NULL) > before, cases[i].objects);
        gathering_free(&listed);
        gathering_free(&got);
    }
}

static void test_headers_of_what_is_gone_are_enoent(void **state)
{
    (void)state;
    struct gathering got;
    struct vivo_op op;
    struct vivo_archive *a = open_source(source, NULL);
    control("/__reset");
    gathering_init(&got, a->driver->lists);
    vivo_op_init(&op, 0);
    assert_int_equal(vivo_archive_headers(a, "1.2.3/1.2.3.4", &got.base, &op), -ENOENT);
    assert_false(atomic_load(&a->dear_headers));
    gathering_free(&got);
    vivo_archive_close(a);
}

/* ---- the suite -------------------------------------------------------------- */

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_test_server_conforms),
        cmocka_unit_test(test_listing_is_complete_whatever_the_server_does),
        cmocka_unit_test(test_listing_fails_rather_than_being_short),
        cmocka_unit_test(test_rows_with_bad_uids_are_counted_not_listed),
        cmocka_unit_test(test_wrong_base_url_is_explained),
        cmocka_unit_test(test_bearer_token_opens_the_door),
        cmocka_unit_test(test_sources_that_are_none_are_einval),
        cmocka_unit_test(test_objects_arrive_whole_in_every_form),
        cmocka_unit_test(test_damaged_objects_are_errors),
        cmocka_unit_test(test_redirect_elsewhere_gets_no_token),
        cmocka_unit_test(test_records_carry_their_ancestors),
        cmocka_unit_test(test_headers_are_those_of_the_objects_in_every_form),
        cmocka_unit_test(test_metadata_that_fails_today_is_an_error),
        cmocka_unit_test(test_headers_of_what_is_gone_are_enoent),
    };
    return cmocka_run_group_tests(tests, start_all, stop_all);
}
