/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_query_eval.c -- what a condition means for one object, by VR, and
 * what a series' common attributes decide. Every row is asked of the evaluator and
 * of the reference. */
#include "oracle/oracle.h"
#include "query_make.h"

#include <errno.h>
#include <stdio.h>

static struct vivo_buf ct; /* a single-frame object */
static struct vivo_buf enhanced;

static void make_functional_groups(void)
{
    struct vivo_buf macro;
    struct vivo_buf items;
    struct vivo_buf group;
    struct vivo_buf groups;
    double effective = 4.5;
    vivo_buf_init(&macro, MAKE_MAX);
    vivo_buf_init(&items, MAKE_MAX);
    vivo_buf_init(&group, MAKE_MAX);
    vivo_buf_init(&groups, MAKE_MAX);
    make_text(&macro, 0x00180050, "DS", "2.5");
    make_text(&macro, 0x00280030, "DS", "0.5\\0.75");
    make_item(&items, &macro);
    make_sequence(&group, 0x00289110, &items); /* PixelMeasuresSequence */
    make_item(&groups, &group);
    make_sequence(&enhanced, 0x52009229, &groups);
    vivo_buf_clear(&macro);
    vivo_buf_clear(&items);
    vivo_buf_clear(&group);
    vivo_buf_clear(&groups);
    assert_int_equal(vivo_attrs_put(&macro, 0x00189082, "FD", &effective, 8), 0);
    make_item(&items, &macro);
    make_sequence(&group, 0x00189114, &items); /* MREchoSequence */
    make_item(&groups, &group);
    make_sequence(&enhanced, 0x52009230, &groups);
    vivo_buf_free(&macro);
    vivo_buf_free(&items);
    vivo_buf_free(&group);
    vivo_buf_free(&groups);
}

static void make_sequence_in_ct(void)
{
    struct vivo_buf in;
    struct vivo_buf items;
    vivo_buf_init(&in, MAKE_MAX);
    vivo_buf_init(&items, MAKE_MAX);
    make_text(&in, 0x0020000E, "UI", "1.2.3");
    make_item(&items, &in);
    vivo_buf_clear(&in);
    make_text(&in, 0x00080100, "SH", "T-D3000");
    make_text(&in, 0x0020000E, "UI", "1.2.4");
    make_item(&items, &in);
    make_sequence(&ct, 0x00081115, &items); /* ReferencedSeriesSequence */
    vivo_buf_free(&in);
    vivo_buf_free(&items);
}

static int make_objects(void **state)
{
    (void)state;
    uint16_t rows = 512;
    float thickness = 0.1f;
    vivo_buf_init(&ct, MAKE_MAX);
    vivo_buf_init(&enhanced, MAKE_MAX);
    make_text(&ct, 0x00020010, "UI", "1.2.840.10008.1.2.1");
    make_text(&ct, 0x00080008, "CS", "ORIGINAL\\PRIMARY\\AXIAL");
    make_text(&ct, 0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.2");
    make_text(&ct, 0x00080020, "DA", "20190305");
    make_text(&ct, 0x0008002A, "DT", "20190305103000.5+0100");
    make_text(&ct, 0x00080030, "TM", "103000.5");
    make_text(&ct, 0x00080050, "SH", "");
    make_text(&ct, 0x00080060, "CS", "CT");
    make_text(&ct, 0x00080070, "LO", "GE MEDICAL ");
    make_sequence_in_ct();
    make_text(&ct, 0x00090010, "LO", "OTHER");
    make_text(&ct, 0x00090011, "LO", "GEMS_IDEN_01");
    make_text(&ct, 0x00091002, "LO", "wrong");
    make_text(&ct, 0x00091102, "UN", "CT01 ");
    make_text(&ct, 0x00091104, "DS", "07.50");
    make_text(&ct, 0x00100010, "PN",
              "Yamada^Tarou=\xE5\xB1\xB1\xE7\x94\xB0^\xE5\xA4\xAA\xE9\x83\x8E");
    make_text(&ct, 0x00100020, "LO", "M\xC3\x9CLLER*");
    make_text(&ct, 0x00101010, "AS", "060Y");
    make_text(&ct, 0x00104000, "LT", "one\\two");
    assert_int_equal(vivo_attrs_put(&ct, 0x00109431, "FL", &thickness, 4), 0);
    make_text(&ct, 0x00180050, "DS", "1.50 ");
    make_text(&ct, 0x00180060, "DS", "abc");
    make_text(&ct, 0x00180087, "DS", " ");
    make_text(&ct, 0x00200013, "IS", "7");
    assert_int_equal(vivo_attrs_put(&ct, 0x00280010, "US", &rows, 2), 0);
    make_text(&ct, 0x00280030, "DS", "0.5\\0.75");
    make_text(&enhanced, 0x00080060, "CS", "MR");
    make_text(&enhanced, 0x00180060, "DS", "");
    make_functional_groups();
    return 0;
}

static int free_objects(void **state)
{
    (void)state;
    vivo_buf_free(&ct);
    vivo_buf_free(&enhanced);
    return 0;
}

struct row {
    const char *query;
    bool matches;
};

static void check_rows(const struct vivo_buf *object, const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct vivo_query *q = NULL;
        struct vivo_query_error qe;
        int rc = vivo_query_parse(rows[i].query, NULL, &q, &qe);
        if (rc)
            print_error("%s: %s\n", rows[i].query, qe.text);
        assert_int_equal(rc, 0);
        struct vivo_query_source src = {.attrs = made(object), .headers = true};
        struct vivo_query_object all = {.attrs = made(object)};
        enum vivo_truth t = vivo_query_eval(vivo_query_root(q), &src);
        bool reference = vivo_query_matches(q, &all, 1, 0);
        if (t != (rows[i].matches ? VIVO_TRUE : VIVO_FALSE) ||
            reference != rows[i].matches)
            print_error("%s: eval %d, reference %d\n", rows[i].query, (int)t,
                        reference);
        assert_int_equal(t, rows[i].matches ? VIVO_TRUE : VIVO_FALSE);
        assert_int_equal(reference, rows[i].matches);
        vivo_query_unref(q);
    }
}

static void test_text_compares_folded_trimmed_and_wild(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"Modality=ct", true},
        {"Modality=C", false},
        {"Modality=C?", true},
        {"Modality=?", false},
        {"Modality='*'", true},
        {"Modality in (MR,c*)", true},
        {"Modality!=CT", false},
        {"Modality!=C*", false},
        {"Modality!=MR", true},
        {"Manufacturer='ge medical'", true},
        {"Manufacturer=GE*", true},
        {"Manufacturer='GE MEDICAL*'", true},
        {"Manufacturer~^ge.med", true},
        {"Manufacturer~cal$", true},
        {"Manufacturer~'^(ge|philips)'", true},
        {"Manufacturer~philips", false},
        {"Manufacturer<h", true},
        {"Manufacturer>=GE", true},
        {"Manufacturer=a..h", true},
        {"Manufacturer=h..", false},
        {"PatientID='m\xC3\xBCller\\*'", true},
        {"PatientID='m\xC3\xBCller\\?'", false},
        {"PatientID=M?LLER?", true},
        {"PatientID~'^m\xC3\x9Cll'", true},
        {"PatientID~'^m.ller.$'", true}, /* letters, not bytes */
        {"PatientID~'^.{7}$'", true},
        {"PatientID~'[\xC3\xA4\xC3\xB6]'", false},
        {"PatientID~'^m[\xC3\xB6-\xC3\xBC]'", true},
        {"PatientID~'m\xC3\xBC?ller'", true},
        {"Modality~'c\xC3\xBC?t'", true},
        {"ImageType=primary", true},
        {"ImageType[1]=primary", false},
        {"ImageType[2]=primary", true},
        {"ImageType!=primary", false},
        {"ImageType[1]!=primary", true},
        {"ImageType[4]!=primary", false},
        {"has ImageType[3]", true},
        {"has ImageType[4]", false},
        {"PatientComments=one", false},
        {"PatientComments='one\\\\two'", true},
        {"any medical", true},
        {"any lung", false},
        {"SOPClassUID=CTImageStorage", true},
        {"SOPClassUID=MRImageStorage", false},
        {"TransferSyntaxUID=ExplicitVRLittleEndian", true},
    };
    check_rows(&ct, rows, VIVO_ARRAY_LEN(rows));
}

static void test_names_match_any_component_group(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"PatientName=yamada^tarou", true},
        {"PatientName=\xE5\xB1\xB1\xE7\x94\xB0^*", true},
        {"PatientName=\xE5\xB1\xB1", false},
        {"PatientName=*", true},
        {"PatientName!=yamada^tarou", false},
        {"PatientName~'^\xE5\xB1\xB1'", true},
        {"PatientName~'^.{2}\\^.{2}$'", true},
        {"PatientName in (x,Yamada*)", true},
    };
    check_rows(&ct, rows, VIVO_ARRAY_LEN(rows));
}

static void test_numbers_compare_as_numbers(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"SliceThickness=1.5", true},
        {"SliceThickness=1.500", true},
        {"SliceThickness<1.5", false},
        {"SliceThickness<=1.5", true},
        {"SliceThickness<10", true},
        {"SliceThickness=..1.5", true},
        {"SliceThickness=1.6..", false},
        {"SliceThickness between 1 and 2", true},
        {"SliceThickness in (1,1.5)", true},
        {"SliceThickness like 1.5*", true},
        {"SliceThickness~^1", true},
        {"PixelSpacing=0.75", true},
        {"PixelSpacing[1]=0.75", false},
        {"PixelSpacing[2]=0.75", true},
        {"PixelSpacing!=0.75", false},
        {"Rows=512", true},
        {"Rows>511.5", true},
        {"Rows like 5*", true},
        {"InstanceNumber=07", true},
        {"ExaminedBodyThickness=0.1", true},
        {"ExaminedBodyThickness>0.1", false},
        {"ExaminedBodyThickness<=0.1", true},
        {"ExaminedBodyThickness=0.1001", false},
        {"ExaminedBodyThickness like 0.1", true},
    };
    check_rows(&ct, rows, VIVO_ARRAY_LEN(rows));
}

static void test_missing_empty_and_unreadable_values(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"AccessionNumber=x", false},
        {"AccessionNumber!=x", false},
        {"not AccessionNumber=x", true},
        {"not AccessionNumber!=x", true},
        {"has AccessionNumber", false},
        {"missing AccessionNumber", true},
        {"missing MagneticFieldStrength", true},
        {"MagneticFieldStrength!=1", false},
        {"StudyID=x", false},
        {"StudyID!=x", false},
        {"missing StudyID", true},
        {"has KVP", true},
        {"KVP=1", false},
        {"KVP!=1", true},
        {"KVP<1 or KVP>=1", false},
        {"KVP~b", true},
        {"Manufacturer=''", false},
        {"Manufacturer!=''", true},
        {"has ReferencedSeriesSequence", true},
        {"has ReferencedSeriesSequence[2]", true},
        {"has ReferencedSeriesSequence[3]", false},
    };
    check_rows(&ct, rows, VIVO_ARRAY_LEN(rows));
}

static void test_dates_compare_at_the_precision_written(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"StudyDate=2019", true},
        {"StudyDate=2019-03", true},
        {"StudyDate=2019-03-05", true},
        {"StudyDate=20190306", false},
        {"StudyDate<2019", false},
        {"StudyDate<=2019", true},
        {"StudyDate>2019", false},
        {"StudyDate>=2019", true},
        {"StudyDate>2018", true},
        {"StudyDate>2019-02", true},
        {"StudyDate<2019-04", true},
        {"StudyDate!=2019", false},
        {"StudyDate!=2018", true},
        {"StudyDate=2018..2019-02", false},
        {"StudyDate=2018..2019-03", true},
        {"StudyDate in (2017,2019)", true},
        {"StudyDate like 2019*", true},
        {"StudyTime=10", true},
        {"StudyTime=10:30", true},
        {"StudyTime=10:30:00", true},
        {"StudyTime=10:30:00.5", true},
        {"StudyTime=10:30:00.4", false},
        {"StudyTime>10:30", false},
        {"StudyTime<10:31", true},
        {"AcquisitionDateTime=2019", true},
        {"AcquisitionDateTime=2019-03-05T10", true},
        {"AcquisitionDateTime=201903051030", true},
        {"AcquisitionDateTime='2019-03-05T09:30+0000'", true},
        {"AcquisitionDateTime='2019-03-05T10:30+0000'", false},
        {"AcquisitionDateTime<2019-03-05T10:30", false},
        {"PatientAge>=60", true},
        {"PatientAge=720M", true},
        {"PatientAge<3000W", false},
        {"PatientAge=50Y..70Y", true},
        {"PatientAge>60", false},
    };
    check_rows(&ct, rows, VIVO_ARRAY_LEN(rows));
}

static void test_paths_reach_into_sequences_and_private_blocks(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"ReferencedSeriesSequence.SeriesInstanceUID=1.2.4", true},
        {"ReferencedSeriesSequence[1].SeriesInstanceUID=1.2.4", false},
        {"ReferencedSeriesSequence[2].SeriesInstanceUID=1.2.4", true},
        {"ReferencedSeriesSequence.SeriesInstanceUID!=1.2.4", false},
        {"SeriesInstanceUID=1.2.4", false},
        {"*.SeriesInstanceUID=1.2.4", true},
        {"*.CodeValue=t-d3000", true},
        {"*.Modality=CT", true},
        {"*.KVP=3", false},
        {"(0009,\"GEMS_IDEN_01\",02)=ct01", true},
        {"(0009,\"OTHER\",02)=wrong", true},
        {"(0009,\"GEMS_IDEN_01\",02)=wrong", false},
        {"(0009,\"GEMS_IDEN_01\",04)=7.5", true},
        {"(0009,\"GEMS_IDEN_01\",04)<10", true},
        {"(0009,\"GEMS_IDEN_01\",02)<10", false},
        {"missing (0009,\"NOBODY\",02)", true},
        {"(0009,1102)=CT01", true},
        {"has (0009,1102)", true},
    };
    check_rows(&ct, rows, VIVO_ARRAY_LEN(rows));
}

static void test_functional_groups_answer_for_the_root(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"SliceThickness=2.5", true},
        {"SliceThickness!=2.5", false},
        {"SliceThickness!=2", true},
        {"PixelSpacing[2]=0.75", true},
        {"has PixelSpacing", true},
        {"EchoTime=4.5", true},
        {"EffectiveEchoTime=4.5", true},
        {"EchoTime>5", false},
        {"KVP=1", false},
        {"missing KVP", true},
        {"missing RepetitionTime", true},
        {"PixelMeasuresSequence.SliceThickness=2.5", true},
        {"SharedFunctionalGroupsSequence.PixelMeasuresSequence.SliceThickness=2.5",
         true},
        {"*.SliceThickness=2.5", true},
    };
    check_rows(&enhanced, rows, VIVO_ARRAY_LEN(rows));
}

/* ---- series -------------------------------------------------------------------------
 */

static enum vivo_truth ask(const char *text, const struct vivo_query_source *src)
{
    struct vivo_query *q = NULL;
    struct vivo_query_error qe;
    assert_int_equal(vivo_query_parse(text, NULL, &q, &qe), 0);
    enum vivo_truth t = vivo_query_eval(vivo_query_root(q), src);
    vivo_query_unref(q);
    return t;
}

static void test_series_leaves_what_varies_unknown(void **state)
{
    (void)state;
    static const uint32_t varying[] = {0x00080018, 0x00200013};
    struct vivo_query_source src = {.attrs = made(&ct),
                                    .varying = varying,
                                    .nvarying = VIVO_ARRAY_LEN(varying),
                                    .headers = true};
    assert_int_equal(ask("InstanceNumber=7", &src), VIVO_UNKNOWN);
    assert_int_equal(ask("has InstanceNumber", &src), VIVO_UNKNOWN);
    assert_int_equal(ask("Modality=CT", &src), VIVO_TRUE);
    assert_int_equal(ask("Modality=MR", &src), VIVO_FALSE);
    assert_int_equal(ask("StudyID=1", &src), VIVO_FALSE);
    assert_int_equal(ask("Modality=MR and InstanceNumber=7", &src), VIVO_FALSE);
    assert_int_equal(ask("Modality=CT and InstanceNumber=7", &src), VIVO_UNKNOWN);
    assert_int_equal(ask("Modality=CT or InstanceNumber=7", &src), VIVO_TRUE);
    assert_int_equal(ask("not InstanceNumber=7", &src), VIVO_UNKNOWN);
    assert_int_equal(ask("*.SeriesInstanceUID=1.2.4", &src), VIVO_TRUE);
    assert_int_equal(ask("*.SeriesInstanceUID=9", &src), VIVO_UNKNOWN);
    assert_int_equal(ask("series(Modality=CT)", &src), VIVO_UNKNOWN);
}

static void test_listing_leaves_what_is_absent_unknown(void **state)
{
    (void)state;
    struct vivo_query_source src = {.attrs = made(&ct)};
    assert_int_equal(ask("StudyID=1", &src), VIVO_UNKNOWN);
    assert_int_equal(ask("missing StudyID", &src), VIVO_UNKNOWN);
    assert_int_equal(ask("Modality=CT", &src), VIVO_TRUE);
    assert_int_equal(ask("any medical", &src), VIVO_TRUE);
    assert_int_equal(ask("any lung", &src), VIVO_UNKNOWN);
    assert_int_equal(ask("(0011,\"X\",01)=1", &src), VIVO_UNKNOWN);
}

static void test_difference_overrides_and_removes(void **state)
{
    (void)state;
    struct vivo_buf over;
    vivo_buf_init(&over, MAKE_MAX);
    make_text(&over, 0x00080060, "CS", "PT");
    make_text(&over, 0x00090011, "--", "");
    make_text(&over, 0x00180050, "--", "");
    struct vivo_query_source src = {
        .attrs = made(&ct), .over = made(&over), .headers = true};
    assert_int_equal(ask("Modality=PT", &src), VIVO_TRUE);
    assert_int_equal(ask("Modality=CT", &src), VIVO_FALSE);
    assert_int_equal(ask("missing SliceThickness", &src), VIVO_TRUE);
    assert_int_equal(ask("*.Modality=CT", &src), VIVO_FALSE);
    assert_int_equal(ask("*.Modality=PT", &src), VIVO_TRUE);
    assert_int_equal(ask("has (0009,\"GEMS_IDEN_01\",02)", &src), VIVO_FALSE);
    vivo_buf_free(&over);
}

static enum vivo_truth level_answer(void *ctx, const struct vivo_query_node *node)
{
    assert_int_equal(node->kind, VIVO_QUERY_LEVEL);
    return node->level == *(enum vivo_level *)ctx ? VIVO_TRUE : VIVO_FALSE;
}

static void test_levels_ask_the_caller(void **state)
{
    (void)state;
    enum vivo_level level = VIVO_LEVEL_STUDY;
    struct vivo_query_source src = {
        .attrs = made(&ct), .headers = true, .level = level_answer, .ctx = &level};
    assert_int_equal(ask("study(Modality=PT)", &src), VIVO_TRUE);
    assert_int_equal(ask("patient(Modality=PT) or Modality=MR", &src), VIVO_FALSE);
    assert_int_equal(ask("not series(Modality=CT)", &src), VIVO_TRUE);
}

static void test_reference_looks_at_the_whole_group(void **state)
{
    (void)state;
    struct vivo_query_object all[] = {
        {.attrs = made(&ct), .patient = 1, .study = 1, .series = 1},
        {.attrs = made(&enhanced), .patient = 1, .study = 1, .series = 2},
        {.attrs = made(&enhanced), .patient = 1, .study = 2, .series = 3},
        {.attrs = made(&enhanced), .patient = 2, .study = 3, .series = 4},
    };
    static const struct {
        const char *query;
        bool matches[4];
    } rows[] = {
        {"Modality=MR and study(Modality=CT)", {false, true, false, false}},
        {"patient(Modality=CT)", {true, true, true, false}},
        {"patient(Modality=MR) and not patient(Modality=CT)",
         {false, false, false, true}},
        {"series(InstanceNumber=7)", {true, false, false, false}},
        {"study(patient(Modality=CT) and Modality=MR)", {true, true, true, false}},
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(rows); i++) {
        struct vivo_query *q = NULL;
        struct vivo_query_error qe;
        assert_int_equal(vivo_query_parse(rows[i].query, NULL, &q, &qe), 0);
        for (size_t k = 0; k < VIVO_ARRAY_LEN(all); k++)
            assert_int_equal(vivo_query_matches(q, all, VIVO_ARRAY_LEN(all), k),
                             rows[i].matches[k]);
        vivo_query_unref(q);
    }
}

int main(void)
{
    struct vivo_err err = {0};
    if (vivo_dcm_global_init(&err))
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_compares_folded_trimmed_and_wild),
        cmocka_unit_test(test_names_match_any_component_group),
        cmocka_unit_test(test_numbers_compare_as_numbers),
        cmocka_unit_test(test_missing_empty_and_unreadable_values),
        cmocka_unit_test(test_dates_compare_at_the_precision_written),
        cmocka_unit_test(test_paths_reach_into_sequences_and_private_blocks),
        cmocka_unit_test(test_functional_groups_answer_for_the_root),
        cmocka_unit_test(test_series_leaves_what_varies_unknown),
        cmocka_unit_test(test_listing_leaves_what_is_absent_unknown),
        cmocka_unit_test(test_difference_overrides_and_removes),
        cmocka_unit_test(test_levels_ask_the_caller),
        cmocka_unit_test(test_reference_looks_at_the_whole_group),
    };
    return cmocka_run_group_tests(tests, make_objects, free_objects);
}
