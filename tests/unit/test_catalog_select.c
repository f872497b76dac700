/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_catalog_select.c -- selections against the reference semantics, what
 * is pending on archives that are not listed, counts and facets. */
#include "catalog_fixture.h"
#include "oracle/oracle.h"

#include "vivofs/dcm.h"
#include "vivofs/query.h"

#define SEED 20261122u
#define OBJECTS 240

static struct vivo_query *parse(const char *text)
{
    struct vivo_query_error qe;
    struct vivo_query *q = NULL;

    if (vivo_query_parse(text, NULL, &q, &qe) < 0)
        fail_msg("%s: %s", text, qe.text);
    return q;
}

static struct vivo_selection *select_all(struct vivo_catalog *c, const char *text)
{
    struct vivo_query *q = parse(text);
    struct vivo_selection *s = NULL;
    struct vivo_err err = {0};

    if (vivo_catalog_select(c, VIVO_LEVEL_NONE, 0, q, NULL, &s, &err) < 0)
        fail_msg("%s: %s", text, err.text);
    vivo_query_unref(q);
    return s;
}

/* ---- random records
 * ------------------------------------------------------------------ */

static uint32_t state_of_dice = SEED;

static unsigned dice(unsigned n)
{
    state_of_dice = state_of_dice * 1664525u + 1013904223u;
    return (state_of_dice >> 16) % n;
}

struct random_object {
    char patient[8], study[16], series[24], uid[32], number[8];
    struct object o;
    struct vivo_buf attrs;
    vivo_row row;
};

static const char *pick(const char *const *words, unsigned n)
{
    return words[dice(n)];
}

/* What a series' members share, and what differs, is up to chance. */
static void make_random(struct random_object *r, unsigned i)
{
    static const char *const modality[] = {"CT", "MR", "PT", NULL};
    static const char *const text[] = {"Head", "HEAD", "Chest with contrast", "", NULL};
    static const char *const thick[] = {"1", "1.0", "2.5", "5", "1.5\\3", NULL};
    static const char *const date[] = {"20180101", "20190302", "20201231", NULL};
    static const char *const type[] = {"ORIGINAL\\PRIMARY", "DERIVED\\PRIMARY", NULL};
    unsigned p = dice(5), st = dice(3), se = dice(3), common = p * 9 + st * 3 + se;

    snprintf(r->patient, sizeof r->patient, "P%u", p);
    snprintf(r->study, sizeof r->study, "1.%u.%u", p, st);
    snprintf(r->series, sizeof r->series, "1.%u.%u.%u", p, st, se);
    snprintf(r->uid, sizeof r->uid, "%s.%u", r->series, i + 1);
    snprintf(r->number, sizeof r->number, "%u", i);
    r->o = (struct object){.patient = r->patient,
                           .study = r->study,
                           .series = r->series,
                           .uid = r->uid,
                           .modality = modality[common % 4],
                           .date = date[(common / 3) % 4],
                           .study_text = text[(common / 9) % 5],
                           .series_text = dice(4) ? text[common % 5] : pick(text, 5),
                           .number = dice(8) ? r->number : NULL,
                           .thickness = dice(3) ? thick[common % 6] : pick(thick, 6),
                           .image_type = dice(5) ? type[common % 3] : pick(type, 3)};
    vivo_buf_init(&r->attrs, 100000);
    object_attrs(&r->o, &r->attrs);
}

/* Queries put together from conditions that split the records in many ways. */
static void make_query(char *out, size_t cap, int depth)
{
    static const char *const leaves[] = {
        "Modality=CT",
        "Modality!=MR",
        "SliceThickness<1.5",
        "SliceThickness between 1 and 2.5",
        "SliceThickness=1",
        "StudyDate>=2019",
        "StudyDate=20190302",
        "InstanceNumber<100",
        "has InstanceNumber",
        "missing Modality",
        "SeriesDescription=head",
        "SeriesDescription=*contrast*",
        "ImageType=DERIVED",
        "PatientID in (P1,P3)",
        "any chest",
        "SeriesDescription~'^he'",
    };
    static const char *const levels[] = {"patient", "study", "series"};
    char a[600], b[600];

    if (depth == 0 || dice(4) == 0) {
        snprintf(out, cap, "%s", leaves[dice(VIVO_ARRAY_LEN(leaves))]);
        return;
    }
    make_query(a, sizeof a, depth - 1);
    switch (dice(4)) {
    case 0:
        snprintf(out, cap, "not (%s)", a);
        return;
    case 1:
        snprintf(out, cap, "%s(%s)", levels[dice(3)], a);
        return;
    default:
        make_query(b, sizeof b, depth - 1);
        snprintf(out, cap, "(%s) %s (%s)", a, dice(2) ? "and" : "or", b);
    }
}

static uint64_t number_of(const char *s)
{
    uint64_t h = 1469598103934665603u;

    for (; *s; s++)
        h = (h ^ (uint8_t)*s) * 1099511628211u;
    return h >> 1;
}

struct found_rows {
    vivo_row rows[OBJECTS];
    size_t n;
};

static int take_row(void *ctx, const struct vivo_entry *e)
{
    struct found_rows *f = ctx;

    if (e->level == VIVO_LEVEL_INSTANCE)
        f->rows[f->n++] = e->row;
    return 0;
}

static void rows_below(struct vivo_catalog *c, const struct vivo_selection *s,
                       enum vivo_level level, vivo_row row, struct found_rows *out)
{
    struct walk *w = calloc(1, sizeof *w);
    struct vivo_err err = {0};

    assert_non_null(w);
    if (level == VIVO_LEVEL_SERIES) {
        size_t before = out->n;
        assert_int_equal(vivo_catalog_children(c, level, row, s, take_row, out, &err),
                         0);
        assert_true(out->n > before); /* a directory shows only what has a match */
    } else {
        assert_int_equal(vivo_catalog_children(c, level, row, s, walk_add, w, &err), 0);
        assert_true(w->n > 0 || level == VIVO_LEVEL_NONE);
        for (size_t i = 0; i < w->n; i++)
            rows_below(c, s, level + 1, w->rows[i].row, out);
    }
    free(w);
}

static void check_query(struct vivo_catalog *c, const struct random_object *all,
                        const struct vivo_query_object *reference, const char *text)
{
    struct vivo_query *q = parse(text);
    struct vivo_selection *s = select_all(c, text);
    struct found_rows *found = calloc(1, sizeof *found);
    struct vivo_counts counts;
    struct vivo_err err = {0};
    size_t pending, want = 0;

    vivo_selection_pending(s, &pending);
    assert_int_equal(pending, 0);
    rows_below(c, s, VIVO_LEVEL_NONE, 0, found);
    for (size_t i = 0; i < OBJECTS; i++) {
        bool expected = vivo_query_matches(q, reference, OBJECTS, i), got = false;
        for (size_t k = 0; k < found->n; k++)
            got = got || found->rows[k] == all[i].row;
        if (got != expected)
            fail_msg("seed %u: object %zu, expected %d: %s", SEED, i, expected, text);
        want += expected;
    }
    assert_int_equal(found->n, want);
    assert_int_equal(vivo_catalog_count(c, VIVO_LEVEL_NONE, 0, s, &counts, &err), 0);
    assert_int_equal(counts.instances, want);
    vivo_selection_unref(s);
    vivo_query_unref(q);
    free(found);
}

static void test_selection_equals_the_reference(void **state)
{
    struct vivo_catalog *c = catalog_at(NULL, false);
    struct vivo_listing *l = list_begin(c, VIVO_LEVEL_NONE, 0);
    struct random_object *all = calloc(OBJECTS, sizeof *all);
    struct vivo_query_object *reference = calloc(OBJECTS, sizeof *reference);
    char text[1500];

    (void)state;
    printf("seed %u\n", SEED);
    for (unsigned i = 0; i < OBJECTS; i++) {
        char locator[16];
        make_random(&all[i], i);
        snprintf(locator, sizeof locator, "%u", i);
        all[i].row = put_file(l, locator, NULL, &all[i].o);
        reference[i].attrs = (struct vivo_attrs){all[i].attrs.data, all[i].attrs.len};
        reference[i].patient = (int64_t)number_of(all[i].patient);
        reference[i].study = (int64_t)number_of(all[i].study);
        reference[i].series = (int64_t)number_of(all[i].series);
    }
    list_end(l, true);
    for (int i = 0; i < 300; i++) {
        make_query(text, sizeof text, 3);
        if (strlen(text) < 1000)
            check_query(c, all, reference, text);
    }
    for (unsigned i = 0; i < OBJECTS; i++)
        vivo_buf_free(&all[i].attrs);
    free(all);
    free(reference);
    vivo_catalog_close(c);
}

/* ---- archives that are not listed
 * -------------------------------------------------------- */

static vivo_row put_record(struct vivo_listing *l, enum vivo_level level,
                           const char *locator, const struct object *o)
{
    struct vivo_put put = {.level = level, .locator = locator};
    vivo_row row;

    assert_int_equal(put_with(l, put, o, &row), 0);
    return row;
}

static void expect_pending(struct vivo_catalog *c, const char *text,
                           enum vivo_level level, vivo_row row, bool headers)
{
    struct vivo_selection *s = select_all(c, text);
    size_t n;
    const struct vivo_pending *p = vivo_selection_pending(s, &n);

    if (n != 1)
        fail_msg("%s: %zu pending", text, n);
    assert_int_equal(p[0].level, level);
    assert_int_equal(p[0].row, row);
    assert_int_equal(p[0].headers, headers);
    vivo_selection_unref(s);
}

static void expect_tree(struct vivo_catalog *c, const char *text, const char *part,
                        bool there)
{
    struct vivo_selection *s = select_all(c, text);
    size_t n;
    char *tree;

    vivo_selection_pending(s, &n);
    if (n != 0)
        fail_msg("%s: %zu pending", text, n);
    tree = tree_text(c, s);
    if ((strstr(tree, part) != NULL) != there)
        fail_msg("%s: %s", text, tree);
    free(tree);
    vivo_selection_unref(s);
}

static void test_only_what_may_match_is_pending(void **state)
{
    struct vivo_catalog *c = catalog_at(NULL, false);
    struct object a = {.patient = "A", .study = "1.1", .date = "20190101"};
    struct object b = {.patient = "B", .study = "1.2", .date = "20200101"};
    struct object se = {.series = "1.1.1", .modality = "CT"};
    struct object inst = {.uid = "1.1.1.1", .number = "7"};
    struct vivo_listing *l;
    vivo_row ra, rb, rs;

    (void)state;
    expect_pending(c, "Modality=CT", VIVO_LEVEL_NONE, 0, false);
    l = list_begin(c, VIVO_LEVEL_NONE, 0);
    ra = put_record(l, VIVO_LEVEL_STUDY, "a", &a);
    rb = put_record(l, VIVO_LEVEL_STUDY, "b", &b);
    list_end(l, true);
    expect_pending(c, "StudyDate=2019 and Modality=CT", VIVO_LEVEL_STUDY, ra, false);
    expect_pending(c, "PatientID=B and study(Modality=CT)", VIVO_LEVEL_STUDY, rb,
                   false);
    expect_tree(c, "StudyDate=2020", "/B/", true);
    expect_tree(c, "StudyDate=2020", "/A/", false);
    l = list_begin(c, VIVO_LEVEL_STUDY, ra);
    rs = put_record(l, VIVO_LEVEL_SERIES, "a/s", &se);
    list_end(l, true);
    expect_tree(c, "PatientID=A and Modality=CT", "_CT_", false);
    expect_tree(c, "PatientID=A and Modality=CT", "CT_", true);
    expect_tree(c, "PatientID=A and Modality=MR", "CT_", false);
    expect_pending(c, "PatientID=A and SliceThickness<3", VIVO_LEVEL_SERIES, rs, true);
    expect_pending(c, "PatientID=A and InstanceNumber=7", VIVO_LEVEL_SERIES, rs, true);
    l = list_begin(c, VIVO_LEVEL_SERIES, rs);
    put_record(l, VIVO_LEVEL_INSTANCE, "a/s/i", &inst);
    list_end(l, true);
    expect_tree(c, "PatientID=A and InstanceNumber=7", "00007_", true);
    expect_pending(c, "PatientID=A and SliceThickness<3", VIVO_LEVEL_SERIES, rs, true);
    l = list_begin(c, VIVO_LEVEL_SERIES, rs);
    inst = (struct object){.patient = "A",
                           .study = "1.1",
                           .series = "1.1.1",
                           .uid = "1.1.1.1",
                           .number = "7",
                           .modality = "CT",
                           .thickness = "2",
                           .date = "20190101"};
    put_file(l, "a/s/i", NULL, &inst);
    list_end(l, true);
    expect_tree(c, "PatientID=A and SliceThickness<3", "00007_", true);
    expect_tree(c, "PatientID=A and SliceThickness>3", "00007_", false);
    expect_tree(c, "PatientID=A and series(KVP>3)", "00007_", false);
    vivo_catalog_close(c);
}

/* An instance that is known by a row only, in a series of whole headers. */
static void test_absent_is_unknown_until_the_header_is_read(void **state)
{
    struct vivo_catalog *c = catalog_at(NULL, false);
    struct object full = {.patient = "A",
                          .study = "1.1",
                          .series = "1.1.1",
                          .uid = "1.1.1.1",
                          .modality = "CT",
                          .thickness = "2"};
    struct object row = {.patient = "A",
                         .study = "1.1",
                         .series = "1.1.1",
                         .uid = "1.1.1.2",
                         .modality = "CT"};
    struct vivo_listing *l = list_begin(c, VIVO_LEVEL_NONE, 0);
    vivo_row i, s;

    (void)state;
    i = put_file(l, "a", NULL, &full);
    put_record(l, VIVO_LEVEL_INSTANCE, "b", &row);
    list_end(l, true);
    s = row_above(c, i, VIVO_LEVEL_SERIES);
    expect_pending(c, "SliceThickness=2", VIVO_LEVEL_SERIES, s, true);
    expect_tree(c, "Modality=CT", ".dcm", true);
    vivo_catalog_close(c);
}

/* ---- facets
 * ------------------------------------------------------------------------------- */

static int add_value(void *ctx, const char *value, uint64_t instances)
{
    vivo_buf_printf(ctx, "%s=%llu ", value ? value : "-",
                    (unsigned long long)instances);
    return 0;
}

static void expect_values(struct vivo_catalog *c, const struct vivo_selection *s,
                          uint32_t tag, const char *want)
{
    struct vivo_buf b;
    struct vivo_err err = {0};

    vivo_buf_init(&b, 10000);
    assert_int_equal(
        vivo_catalog_values(c, VIVO_LEVEL_NONE, 0, s, tag, add_value, &b, &err), 0);
    assert_string_equal((char *)b.data, want);
    vivo_buf_free(&b);
}

static void test_values_merge_what_no_query_tells_apart(void **state)
{
    struct vivo_catalog *c = catalog_at(NULL, false);
    struct vivo_listing *l = list_begin(c, VIVO_LEVEL_NONE, 0);
    struct object o = {.patient = "A",
                       .study = "1",
                       .series = "1.1",
                       .uid = "1.1.1",
                       .series_text = "Head",
                       .thickness = "1.0",
                       .modality = "CT",
                       .image_type = "ORIGINAL\\PRIMARY"};
    struct vivo_selection *s;

    (void)state;
    put_file(l, "a", NULL, &o);
    o.uid = "1.1.2";
    o.series_text = "HEAD";
    o.thickness = "1";
    put_file(l, "b", NULL, &o);
    o.uid = "1.1.3";
    o.series_text = NULL;
    o.thickness = "2";
    o.image_type = "DERIVED\\PRIMARY";
    put_file(l, "c", NULL, &o);
    list_end(l, true);
    expect_values(c, NULL, VIVO_TAG_SeriesDescription, "HEAD=2 -=1 ");
    expect_values(c, NULL, VIVO_TAG_SliceThickness, "1=2 2=1 ");
    expect_values(c, NULL, VIVO_TAG_ImageType, "DERIVED=1 ORIGINAL=2 PRIMARY=3 ");
    expect_values(c, NULL, VIVO_TAG_Modality, "CT=3 ");
    s = select_all(c, "SliceThickness<2");
    expect_values(c, s, VIVO_TAG_ImageType, "ORIGINAL=2 PRIMARY=2 ");
    expect_values(c, s, VIVO_TAG_Modality, "CT=2 ");
    vivo_selection_unref(s);
    vivo_catalog_close(c);
}

static void test_values_of_what_is_not_listed_come_from_records(void **state)
{
    struct vivo_catalog *c = catalog_at(NULL, false);
    struct vivo_listing *l = list_begin(c, VIVO_LEVEL_NONE, 0);
    struct object a = {.patient = "A", .study = "1.1", .date = "20190101"};
    struct object b = {.patient = "B", .study = "1.2", .date = "20200101"};
    struct object se = {.series = "1.1.1", .modality = "CT"};
    vivo_row study;

    (void)state;
    study = put_record(l, VIVO_LEVEL_STUDY, "a", &a);
    put_record(l, VIVO_LEVEL_STUDY, "b", &b);
    list_end(l, true);
    expect_values(c, NULL, VIVO_TAG_PatientID, "A=0 B=0 ");
    l = list_begin(c, VIVO_LEVEL_STUDY, study);
    put_record(l, VIVO_LEVEL_SERIES, "s", &se);
    list_end(l, true);
    expect_values(c, NULL, VIVO_TAG_PatientID, "A=0 B=0 ");
    expect_values(c, NULL, VIVO_TAG_Modality, "CT=0 ");
    vivo_catalog_close(c);
}

static void test_find_respects_the_selection(void **state)
{
    struct vivo_catalog *c = catalog_at(NULL, false);
    struct vivo_listing *l = list_begin(c, VIVO_LEVEL_NONE, 0);
    struct object o = {
        .patient = "A", .study = "1", .series = "1.1", .uid = "1.1.1", .number = "1"};
    struct vivo_selection *s;
    struct vivo_err err = {0};
    struct one one = {.n = 0};
    vivo_row a, b, series;
    char name_a[VIVO_NAME_MAX + 1], name_b[VIVO_NAME_MAX + 1];

    (void)state;
    a = put_file(l, "a", NULL, &o);
    o.uid = "1.1.2";
    o.number = "2";
    b = put_file(l, "b", NULL, &o);
    list_end(l, true);
    series = row_above(c, a, VIVO_LEVEL_SERIES);
    memcpy(name_a, get_row(c, VIVO_LEVEL_INSTANCE, a).name, sizeof name_a);
    memcpy(name_b, get_row(c, VIVO_LEVEL_INSTANCE, b).name, sizeof name_b);
    s = select_all(c, "InstanceNumber=2");
    assert_int_equal(vivo_catalog_find(c, VIVO_LEVEL_SERIES, series, s, name_a,
                                       take_one, &one, &err),
                     -ENOENT);
    vivo_err_clear(&err);
    assert_int_equal(vivo_catalog_find(c, VIVO_LEVEL_SERIES, series, s, name_b,
                                       take_one, &one, &err),
                     0);
    assert_int_equal(one.e.row, b);
    vivo_selection_unref(s);
    vivo_catalog_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_selection_equals_the_reference),
        cmocka_unit_test(test_only_what_may_match_is_pending),
        cmocka_unit_test(test_absent_is_unknown_until_the_header_is_read),
        cmocka_unit_test(test_values_merge_what_no_query_tells_apart),
        cmocka_unit_test(test_values_of_what_is_not_listed_come_from_records),
        cmocka_unit_test(test_find_respects_the_selection),
    };
    struct vivo_err err = {0};

    if (vivo_dcm_global_init(&err) < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
