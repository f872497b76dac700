/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_query_parse.c -- expressions to canonical text; errors with their
 * column and hint; what is no expression; joining; .error. */
#include "vivofs/query.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

struct spelling {
    const char *typed, *canonical;
};

static void check_spellings(const struct spelling *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct vivo_query *q = NULL;
        struct vivo_query *again = NULL;
        struct vivo_query_error qe;
        int rc = vivo_query_parse(rows[i].typed, NULL, &q, &qe);
        if (rc)
            print_error("%s: column %zu: %s\n", rows[i].typed, qe.column, qe.text);
        assert_int_equal(rc, 0);
        assert_string_equal(vivo_query_text(q), rows[i].canonical);
        assert_int_equal(vivo_query_parse(vivo_query_text(q), NULL, &again, &qe), 0);
        assert_string_equal(vivo_query_text(again), rows[i].canonical);
        vivo_query_unref(q);
        vivo_query_unref(again);
    }
}

static void test_parse_operators_have_one_spelling(void **state)
{
    (void)state;
    static const struct spelling rows[] = {
        {"Modality=CT", "Modality=CT"},
        {" modality  ==  CT ", "Modality=CT"},
        {"MODALITY eq CT", "Modality=CT"},
        {"Modality like C*", "Modality=C*"},
        {"Modality EQ 'CT'", "Modality=CT"},
        {"Modality!=CT", "Modality!=CT"},
        {"Modality<>CT", "Modality!=CT"},
        {"Modality ne CT", "Modality!=CT"},
        {"KVP<1", "KVP<1"},
        {"KVP lt 1", "KVP<1"},
        {"KVP<=1", "KVP<=1"},
        {"KVP Le 1", "KVP<=1"},
        {"KVP>1", "KVP>1"},
        {"KVP gt 1", "KVP>1"},
        {"KVP>=1", "KVP>=1"},
        {"KVP ge 1", "KVP>=1"},
        {"KVP like 1*", "KVP like 1*"},
        {"Modality~^C", "Modality~^C"},
        {"Modality in ( CT , MR )", "Modality in (CT,MR)"},
        {"Modality IN(CT)", "Modality in (CT)"},
        {"KVP between 80 and 120", "KVP=80..120"},
        {"KVP=80..120", "KVP=80..120"},
        {"KVP = .. 120", "KVP=..120"},
        {"KVP=80..", "KVP=80.."},
        {"KVP=80.. and Modality=CT", "KVP=80.. and Modality=CT"},
        {"KVP=.5...7", "KVP=0.5..0.7"},
        {"has KVP", "has KVP"},
        {"missing kvp", "missing KVP"},
        {"! has KVP", "missing KVP"},
        {"any 'lung'", "any lung"},
    };
    check_spellings(rows, VIVO_ARRAY_LEN(rows));
}

static void test_parse_precedence_keeps_needed_parentheses(void **state)
{
    (void)state;
    static const struct spelling rows[] = {
        {"KVP=1|KVP=2&KVP=3", "KVP=1 or KVP=2 and KVP=3"},
        {"KVP=1 || (KVP=2 && KVP=3)", "KVP=1 or KVP=2 and KVP=3"},
        {"(KVP=1 or KVP=2),KVP=3", "(KVP=1 or KVP=2) and KVP=3"},
        {"KVP=1 and (KVP=2 or KVP=3)", "KVP=1 and (KVP=2 or KVP=3)"},
        {"not KVP=1 and KVP=2", "not KVP=1 and KVP=2"},
        {"!(KVP=1 and KVP=2)", "not (KVP=1 and KVP=2)"},
        {"not ! KVP=1", "not not KVP=1"},
        {"((KVP=1))", "KVP=1"},
        {"KVP=1 and (KVP=2 and (KVP=3 and KVP=4))",
         "KVP=1 and KVP=2 and KVP=3 and KVP=4"},
        {"KVP=1 or (KVP=2 or KVP=3) or KVP=4", "KVP=1 or KVP=2 or KVP=3 or KVP=4"},
        {"PATIENT(Modality=CT)", "patient(Modality=CT)"},
        {"study ((KVP=1 or KVP=2)) and series(has KVP)",
         "study(KVP=1 or KVP=2) and series(has KVP)"},
        {"not series(KVP=1)", "not series(KVP=1)"},
    };
    check_spellings(rows, VIVO_ARRAY_LEN(rows));
}

static void test_parse_attributes_print_as_keywords(void **state)
{
    (void)state;
    static const struct spelling rows[] = {
        {"(0008,0060)=CT", "Modality=CT"},
        {"( 0008 , 0060 )=CT", "Modality=CT"},
        {"00080060=CT", "Modality=CT"},
        {"((0008,0060)=CT)", "Modality=CT"},
        {"(0009,1001)=x", "(0009,1001)=x"},
        {"0009100a=x", "(0009,100A)=x"},
        {"(0009,\"GEMS_IDEN_01\",0a)=x", "(0009,\"GEMS_IDEN_01\",0A)=x"},
        {"(0009,'a\"b',01)=x", "(0009,\"a\\\"b\",01)=x"},
        {"pixelspacing[2]<1", "PixelSpacing[2]<1"},
        {"ReferencedSeriesSequence.seriesinstanceuid=1.2",
         "ReferencedSeriesSequence.SeriesInstanceUID=1.2"},
        {"(0008,1115)[1].(0020,000e)=1.2",
         "ReferencedSeriesSequence[1].SeriesInstanceUID=1.2"},
        {"*.CodeValue=T-D3000", "*.CodeValue=T-D3000"},
        {"has *.(0009,\"X\",01)", "has *.(0009,\"X\",01)"},
        {"(6002,0010)=5", "(6002,0010)=5"},
        {"OverlayRows=5", "OverlayRows=5"},
    };
    check_spellings(rows, VIVO_ARRAY_LEN(rows));
}

static void test_parse_values_quote_only_when_needed(void **state)
{
    (void)state;
    static const struct spelling rows[] = {
        {"Manufacturer='GE MEDICAL'", "Manufacturer=\"GE MEDICAL\""},
        {"Manufacturer=\"a\\\"b\\\\c\"", "Manufacturer=\"a\\\"b\\\\c\""},
        {"Manufacturer='it\\'s'", "Manufacturer=\"it's\""},
        {"Manufacturer='a*'", "Manufacturer=a*"},
        {"Manufacturer='a\\*'", "Manufacturer=\"a\\*\""},
        {"Manufacturer='a\\*b*'", "Manufacturer=\"a\\*b*\""},
        {"Manufacturer<'a*'", "Manufacturer<a*"},
        {"Manufacturer='  x '", "Manufacturer=x"},
        {"Manufacturer='and'", "Manufacturer=\"and\""},
        {"Manufacturer=''", "Manufacturer=\"\""},
        {"Manufacturer='a..b'", "Manufacturer=\"a..b\""},
        {"Manufacturer='.a'..b", "Manufacturer=\".a\"..b"},
        {"Manufacturer in ('@x',a)", "Manufacturer in (\"@x\",a)"},
        {"Manufacturer=a\\b", "Manufacturer=\"a\\\\b\""},
        {"Manufacturer=a%2Fb", "Manufacturer=a%2Fb"},
        {"Manufacturer=50%25", "Manufacturer=50%25"},
        {"Manufacturer~'a\\.b\\'c'", "Manufacturer~\"a\\\\.b'c\""},
        {"Manufacturer~'[0-9]{8}-[0-9]{6}(a+b+)+c+d+e+f+g+h+i+j+k+l+'",
         "Manufacturer~\"[0-9]{8}-[0-9]{6}(a+b+)+c+d+e+f+g+h+i+j+k+l+\""},
        {"Manufacturer~'^[+]{3}\\+[^]+]$'", "Manufacturer~\"^[+]{3}\\\\+[^]+]$\""},
        {"Manufacturer~a\\.b", "Manufacturer~\"a\\\\.b\""},
        {"Manufacturer=Mu\xCC\x88ller", "Manufacturer=M\xC3\xBCller"},
    };
    check_spellings(rows, VIVO_ARRAY_LEN(rows));
}

static void test_parse_typed_values_have_one_spelling(void **state)
{
    (void)state;
    static const struct spelling rows[] = {
        {"SliceThickness=+1.50", "SliceThickness=1.5"},
        {"SliceThickness=1e2", "SliceThickness=100"},
        {"SliceThickness='-0'", "SliceThickness=0"},
        {"SliceThickness=.1", "SliceThickness=0.1"},
        {"StudyDate=2019", "StudyDate=2019"},
        {"StudyDate>=2019-03", "StudyDate>=201903"},
        {"StudyDate<2019-03-05", "StudyDate<20190305"},
        {"StudyDate=20200229", "StudyDate=20200229"},
        {"StudyTime=10:30:15.25", "StudyTime=103015.25"},
        {"StudyTime=10", "StudyTime=10"},
        {"AcquisitionDateTime=2019-03-05T10:30", "AcquisitionDateTime=201903051030"},
        {"AcquisitionDateTime='2019-03-05 10:30:00+0100'",
         "AcquisitionDateTime=20190305103000+0100"},
        {"AcquisitionDateTime=2019-0500", "AcquisitionDateTime=2019-0500"},
        {"PatientAge>=60", "PatientAge>=60Y"},
        {"PatientAge=6w", "PatientAge=6W"},
        {"PatientAge<1.5Y", "PatientAge<1.5Y"},
        {"SOPClassUID=segmentationstorage", "SOPClassUID=1.2.840.10008.5.1.4.1.1.66.4"},
        {"SOPClassUID=1.2.840.*", "SOPClassUID=1.2.840.*"},
        {"FrameIncrementPointer='(0018,106a)'", "FrameIncrementPointer=0018106A"},
    };
    check_spellings(rows, VIVO_ARRAY_LEN(rows));
}

struct fault {
    const char *typed;
    size_t column;
    const char *text, *hint; /* parts of them */
};

static void test_parse_faults_name_column_and_hint(void **state)
{
    (void)state;
    static const struct fault rows[] = {
        {"Modalty=CT", 0, "unknown attribute Modalty", "did you mean Modality?"},
        {"KVP=1 and SliceThicknes<1", 10, "unknown attribute", "SliceThickness?"},
        {"KVP=100%", 7, "% stands alone", "%25"},
        {"Modality=%41", 9, "% stands alone", "%25"},
        {"Manufacturer=a%2Fb and Modalty=CT", 23, "Modalty", "Modality"},
        {"(KVP=1", 0, "not closed", ""},
        {"KVP=1 and (KVP=1", 10, "not closed", ""},
        {"KVP=1)", 5, "never opened", ""},
        {"study(KVP=1", 5, "not closed", ""},
        {"KVP=", 4, "a value is missing", ""},
        {"KVP=1 and", 9, "a condition is missing", ""},
        {"and KVP=1", 0, "a condition is missing", ""},
        {"KVP=1 KVP=2", 6, "and or or", "quotes"},
        {"Manufacturer=GE MEDICAL", 16, "and or or", "quotes"},
        {"Modality and KVP=1", 9, "an operator is missing after Modality", "!="},
        {"KVP=1 and Modality", 18, "an operator is missing", "has Modality"},
        {"Modality not in (CT)", 9, "an operator is missing", "not Modality"},
        {"Modality in CT", 12, "a parenthesis is missing", ""},
        {"Modality in (CT", 15, "not closed", ""},
        {"Modality in ()", 13, "a value is missing", ""},
        {"Modality in @list", 12, "no list named list", "-o list=NAME:FILE"},
        {"Modality in @", 12, "no name of a list", "@NAME"},
        {"StudyRank<-1", 10, "goes with = and != alone", "StudyRank=-1"},
        {"StudyRank in (1,-1)", 16, "goes with = and != alone", ""},
        {"StudyRank=-2..", 10, "goes with = and != alone", ""},
        {"Plane[1]=axial", 5, "Plane has nothing in it", ""},
        {"InstanceCount=many", 14, "is a number", ""},
        {"RefersTo=abc", 9, "is a UID", ""},
        {"KVP between 1", 13, "and is missing", ""},
        {"KVP=..", 4, "one end", ""},
        {"KVP!=1..2", 6, "a range goes with =", ""},
        {"Manufacturer='x", 13, "quote is not closed", ""},
        {"SliceThickness=thin", 15, "is a number (DS)", "1.5"},
        {"SliceThickness=0x10", 15, "is a number", ""},
        {"SliceThickness=nan", 15, "is a number", ""},
        {"SliceThickness=1*", 15, "is a number", "like"},
        {"KVP in (1,x)", 10, "is a number", ""},
        {"KVP=1..x", 7, "is a number", ""},
        {"StudyDate=2019-02-29", 10, "is a date", "YYYY-MM-DD"},
        {"StudyDate=201913", 10, "is a date", ""},
        {"StudyDate=2019-0305", 10, "is a date", ""},
        {"StudyDate=19", 10, "is a date", ""},
        {"StudyTime=25", 10, "is a time", "HH:MM"},
        {"StudyTime=10:3", 10, "is a time", ""},
        {"AcquisitionDateTime=2019T10", 20, "is a date and time", ""},
        {"PatientAge=old", 11, "is an age", "60Y"},
        {"PatientAge=-1Y", 11, "is an age", ""},
        {"SOPClassUID=CTImageStore", 12, "is a UID", "keyword"},
        {"Modality~'('", 9, "regular expression", "("},
        {"Modality~'(a)\\1'", 9, "back-references", ""},
        {"Modality~'[\xC3\xBC-\xC3\xB6]'", 9, "backwards", ""},
        {"Modality~'((a{99}){99}){99}'", 9, "repeats too much", ""},
        {"Modality~'a+++++++++++++'", 9, "repeats too much", ""},
        {"Modality~'((((((a+b+)+)+)+)+)+){99}'", 9, "repeats too much", "fewer"},
        {"PixelData=1", 0, "holds bytes", "has"},
        {"ReferencedSeriesSequence=1", 0, "is a sequence", ".Keyword"},
        {"Modality.KVP=1", 0, "is not a sequence", ""},
        {"ReferencedSeriesSequence.*.KVP=1", 25, "* stands only", "*.Keyword"},
        {"ReferencedSeriesSequence.=1", 25, "an attribute is missing", ""},
        {"PixelSpacing[0]=1", 13, "number of a value", "from 1"},
        {"PixelSpacing[1=1", 13, "number of a value", ""},
        {"(0008,\"X\",01)=1", 10, "not private", "odd"},
        {"(0009,\"X\",1)=1", 10, "two hexadecimal digits", ""},
        {"has", 3, "an attribute is missing", ""},
        {"any", 3, "a value is missing", ""},
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(rows); i++) {
        struct vivo_query *q = NULL;
        struct vivo_query_error qe;
        int rc = vivo_query_parse(rows[i].typed, NULL, &q, &qe);
        bool right = rc == -EINVAL && qe.column == rows[i].column &&
                     strstr(qe.text, rows[i].text) && strstr(qe.hint, rows[i].hint);
        if (!right)
            print_error("%s: rc %d column %zu \"%s\" \"%s\"\n", rows[i].typed, rc,
                        qe.column, qe.text, qe.hint);
        assert_true(right);
    }
}

static void test_parse_other_names_are_not_there(void **state)
{
    (void)state;
    static const char *const names[] = {
        "README", "chest_ct", "autorun.inf", ".hidden=1", ".",  "",
        "a b c",  "100%",     "within",      "not-this",  "..",
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(names); i++) {
        struct vivo_query *q = NULL;
        struct vivo_query_error qe;
        assert_int_equal(vivo_query_parse(names[i], NULL, &q, &qe), -ENOENT);
        assert_null(q);
    }
}

static void test_parse_long_and_deep_names_are_refused(void **state)
{
    (void)state;
    char name[VIVO_QUERY_NAME_MAX + 2];
    struct vivo_query *q = NULL;
    struct vivo_query_error qe;
    memset(name, ' ', sizeof name);
    memcpy(name, "KVP=1", 5);
    name[VIVO_QUERY_NAME_MAX + 1] = '\0';
    assert_int_equal(vivo_query_parse(name, NULL, &q, &qe), -EINVAL);
    assert_non_null(strstr(qe.text, "1024"));
    name[VIVO_QUERY_NAME_MAX] = '\0';
    assert_int_equal(vivo_query_parse(name, NULL, &q, &qe), 0);
    vivo_query_unref(q);
    for (const char *c = "(!"; *c; c++) {
        memset(name, *c, VIVO_QUERY_NAME_MAX);
        assert_int_equal(vivo_query_parse(name, NULL, &q, &qe), -EINVAL);
        assert_int_equal(qe.column, 100);
        assert_non_null(strstr(qe.text, "nested more than 100 deep"));
    }
}

/* ---- hidden attributes
 * --------------------------------------------------------------- */

static const char *hides(void *ctx, uint32_t tag, const char *creator)
{
    (void)ctx;
    if (creator)
        return "retain-safe-private";
    if (tag == VIVO_TAG_InstitutionName)
        return "retain-institution";
    return tag == VIVO_TAG_StudyDescription || tag == 0x00081115 ? "deid=none" : NULL;
}
static const struct vivo_query_rules rules = {.hides = hides};

static void test_parse_hidden_attributes_name_the_option(void **state)
{
    (void)state;
    static const struct fault rows[] = {
        {"InstitutionName=x", 0, "InstitutionName is hidden by the profile",
         "mount with option retain-institution"},
        {"has InstitutionName", 4, "InstitutionName is hidden by the profile",
         "mount with option retain-institution"},
        {"missing institutionname", 8, "InstitutionName is hidden by the profile",
         "mount with option retain-institution"},
        {"*.InstitutionName=x", 2, "InstitutionName is hidden", "retain-institution"},
        {"(0008,0080)=x", 0, "InstitutionName is hidden", "retain-institution"},
        {"ReferencedSeriesSequence.SeriesInstanceUID=1", 0,
         "ReferencedSeriesSequence is hidden", "mount with deid=none"},
        {"KVP=1 and study(StudyDescription=x)", 16, "StudyDescription is hidden",
         "deid=none"},
        {"SliceThickness=1 and (0009,\"X\",01)=1", 21, "(0009,\"X\",01) is hidden",
         "retain-safe-private"},
        /* The value does not matter: the same answer whatever is typed. */
        {"StudyDescription=", 0, "StudyDescription is hidden", "deid=none"},
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(rows); i++) {
        struct vivo_query *q = NULL;
        struct vivo_query_error qe;
        assert_int_equal(vivo_query_parse(rows[i].typed, &rules, &q, &qe), -EINVAL);
        assert_int_equal(qe.column, rows[i].column);
        assert_non_null(strstr(qe.text, rows[i].text));
        assert_non_null(strstr(qe.hint, rows[i].hint));
    }
}

static void test_parse_any_skips_hidden_ones(void **state)
{
    (void)state;
    struct vivo_query *q = NULL;
    struct vivo_query_error qe;
    assert_int_equal(vivo_query_parse("any lung", &rules, &q, &qe), 0);
    assert_int_equal(vivo_query_root(q)->any_mask, 0x7F & ~(1u << 1));
    assert_int_equal(vivo_query_any_tags[1], VIVO_TAG_StudyDescription);
    struct vivo_query *shown = NULL;
    assert_int_equal(vivo_query_reparse(q, NULL, &shown, &qe), 0);
    assert_int_equal(vivo_query_root(shown)->any_mask, 0x7F);
    vivo_query_unref(q);
    vivo_query_unref(shown);
}

/* ---- joining, .error
 * --------------------------------------------------------------------- */

static struct vivo_query *must_parse(const char *name)
{
    struct vivo_query *q = NULL;
    struct vivo_query_error qe;
    assert_int_equal(vivo_query_parse(name, NULL, &q, &qe), 0);
    return q;
}

static void test_and_joins_and_outlives_its_parts(void **state)
{
    (void)state;
    struct vivo_query *a = must_parse("KVP=1 or KVP=2");
    struct vivo_query *b = must_parse("Modality~^C and has KVP");
    struct vivo_query *both = NULL;
    assert_int_equal(vivo_query_and(a, b, &both), 0);
    vivo_query_unref(a);
    vivo_query_unref(b);
    assert_string_equal(vivo_query_text(both),
                        "(KVP=1 or KVP=2) and Modality~^C and has KVP");
    assert_int_equal(vivo_query_root(both)->kind, VIVO_QUERY_AND);
    struct vivo_query *same = NULL;
    assert_int_equal(vivo_query_and(NULL, both, &same), 0);
    assert_ptr_equal(same, both);
    vivo_query_unref(same);
    vivo_query_unref(both);
    assert_int_equal(vivo_query_and(NULL, NULL, &same), 0);
    assert_null(same);
}

static void test_and_ends_with_a_bound(void **state)
{
    (void)state;
    struct vivo_query *all = must_parse("KVP=1");
    struct vivo_query *one = must_parse("Modality=CT");
    int rc = 0;
    size_t n = 0;
    while (!rc && n < 100000) {
        struct vivo_query *both = NULL;
        rc = vivo_query_and(all, one, &both);
        if (rc)
            break;
        vivo_query_unref(all);
        all = both;
        n++;
    }
    assert_int_equal(rc, -ENAMETOOLONG);
    assert_in_range(n, 500, 99999);
    struct vivo_query *again = NULL;
    struct vivo_query_error qe;
    assert_int_equal(vivo_query_reparse(all, NULL, &again, &qe), 0);
    assert_string_equal(vivo_query_text(again), vivo_query_text(all));
    vivo_query_unref(again);
    vivo_query_unref(all);
    vivo_query_unref(one);
}

static void test_error_text_has_a_caret_under_the_character(void **state)
{
    (void)state;
    static const char name[] = "Manufacturer=\xC3\xBC\n and Modalty=CT";
    struct vivo_query *q = NULL;
    struct vivo_query_error qe;
    struct vivo_buf b;
    vivo_buf_init(&b, 4096);
    assert_int_equal(vivo_query_parse(name, NULL, &q, &qe), -EINVAL);
    assert_int_equal(vivo_query_error_text(name, &qe, &b), 0);
    assert_string_equal((char *)b.data, "unknown attribute Modalty\n"
                                        "  Manufacturer=\xC3\xBC? and Modalty=CT\n"
                                        "                      ^\n"
                                        "did you mean Modality?\n");
    vivo_buf_free(&b);
}

int main(void)
{
    struct vivo_err err = {0};
    if (vivo_dcm_global_init(&err))
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_operators_have_one_spelling),
        cmocka_unit_test(test_parse_precedence_keeps_needed_parentheses),
        cmocka_unit_test(test_parse_attributes_print_as_keywords),
        cmocka_unit_test(test_parse_values_quote_only_when_needed),
        cmocka_unit_test(test_parse_typed_values_have_one_spelling),
        cmocka_unit_test(test_parse_faults_name_column_and_hint),
        cmocka_unit_test(test_parse_other_names_are_not_there),
        cmocka_unit_test(test_parse_long_and_deep_names_are_refused),
        cmocka_unit_test(test_parse_hidden_attributes_name_the_option),
        cmocka_unit_test(test_parse_any_skips_hidden_ones),
        cmocka_unit_test(test_and_joins_and_outlives_its_parts),
        cmocka_unit_test(test_and_ends_with_a_bound),
        cmocka_unit_test(test_error_text_has_a_caret_under_the_character),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
