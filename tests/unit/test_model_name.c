/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_model_name.c -- the names of the tree (DESIGN A1). The short names
 * were worked out with Python: base64.b32encode(sha256(text)).lower()[:6]. */
#include "vivofs/hash.h"
#include "vivofs/model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* A data set from (tag, VR, text) rows in ascending order. */
struct row {
    uint32_t tag;
    const char *vr, *text;
};

static struct vivo_buf set;

static struct vivo_attrs of(const struct row *rows, size_t n)
{
    vivo_buf_clear(&set);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(vivo_attrs_put(&set, rows[i].tag, rows[i].vr, rows[i].text,
                                        strlen(rows[i].text)),
                         0);
    return (struct vivo_attrs){set.data, set.len};
}
#define OF(...)                                                                        \
    of((const struct row[]){__VA_ARGS__},                                              \
       sizeof((const struct row[]){__VA_ARGS__}) / sizeof(struct row))

#define PATIENT(text)                                                                  \
    {                                                                                  \
        VIVO_TAG_PatientID, "LO", text                                                 \
    }

static const char *patient(struct vivo_attrs a)
{
    static char name[VIVO_NAME_MAX + 1];
    vivo_name_patient(a, name);
    return name;
}

static const char *study(struct vivo_attrs a)
{
    static char name[VIVO_NAME_MAX + 1];
    vivo_name_study(a, name);
    return name;
}

static const char *series(struct vivo_attrs a)
{
    static char name[VIVO_NAME_MAX + 1];
    vivo_name_series(a, name);
    return name;
}

static const char *instance(struct vivo_attrs a, const char *uid, const char *duplicate)
{
    static char name[VIVO_NAME_MAX + 1];
    vivo_name_instance(a, uid, duplicate, name);
    return name;
}

static const char *u(const char *text, size_t n)
{
    static char out[16];
    vivo_short_name(text, strlen(text), out, n);
    return out;
}

static const char *joined(const char *start, const char *text)
{
    static char out[200];
    snprintf(out, sizeof out, "%s_%s", start, u(text, 6));
    return out;
}

static void test_u_is_what_python_makes(void **state)
{
    (void)state;
    assert_string_equal(u("1.2.3", 6), "yr7vwg");
    assert_string_equal(u("1.2.3", 12), "yr7vwgfyuqyo");
}

static void test_patient_safe_id_is_kept(void **state)
{
    (void)state;
    assert_string_equal(patient(OF(PATIENT("TCGA-02.0001+a=b@c_"))),
                        "TCGA-02.0001+a=b@c_");
    assert_string_equal(patient(OF(PATIENT(" 1CT1 "))), "1CT1");
    assert_string_equal(patient(OF(PATIENT("all3"))), "all3");
}

static void test_patient_without_id_is_unknown(void **state)
{
    (void)state;
    assert_string_equal(patient((struct vivo_attrs){NULL, 0}), "unknown");
    assert_string_equal(patient(OF(PATIENT("  "))), "unknown");
}

static void test_patient_changed_reserved_or_issued_is_marked(void **state)
{
    (void)state;
    assert_string_equal(patient(OF(PATIENT("a b"))), joined("a-b", "\na b"));
    assert_string_equal(patient(OF(PATIENT("a\\b"))), joined("a-b", "\na\\b"));
    assert_string_equal(patient(OF(PATIENT("../x"))), joined("x", "\n../x"));
    assert_string_equal(patient(OF(PATIENT("山田"))), joined("x", "\n山田"));
    assert_string_equal(patient(OF(PATIENT("q"))), joined("q", "\nq"));
    assert_string_equal(patient(OF(PATIENT("unknown"))),
                        joined("unknown", "\nunknown"));
    assert_string_equal(patient(OF(PATIENT("README.txt"))),
                        joined("README.txt", "\nREADME.txt"));
    assert_string_equal(
        patient(OF(PATIENT("17"), {VIVO_TAG_IssuerOfPatientID, "LO", "ACME"})),
        joined("17", "ACME\n17"));
}

static void test_patients_never_share_a_name(void **state)
{
    (void)state;
    static const char *const ids[] = {"a b", "a-b", "a\\b", "a/b",  "a  b", "ä-b",
                                      "a_b", "A-b", "-a-b", ".a-b", "山",   "川"};
    char names[VIVO_ARRAY_LEN(ids)][VIVO_NAME_MAX + 1];
    for (size_t i = 0; i < VIVO_ARRAY_LEN(ids); i++) {
        vivo_name_patient(OF(PATIENT(ids[i])), names[i]);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(names[i], names[k]);
    }
}

static void test_patient_long_id_is_cut_and_marked(void **state)
{
    (void)state;
    char id[301];
    memset(id, 'a', 300);
    id[300] = '\0';
    const char *name = patient(OF(PATIENT(id)));
    assert_int_equal(strlen(name), VIVO_NAME_MAX);
    char text[302];
    snprintf(text, sizeof text, "\n%s", id);
    assert_string_equal(name + VIVO_NAME_MAX - 6, u(text, 6));
}

#define STUDY(text)                                                                    \
    {                                                                                  \
        VIVO_TAG_StudyInstanceUID, "UI", text                                          \
    }

static void test_study_parts_that_are_missing_are_left_out(void **state)
{
    (void)state;
    char want[80];
    snprintf(want, sizeof want, "20200102_Chest-CT_%s", u("1.2.3", 6));
    assert_string_equal(
        study(OF({VIVO_TAG_StudyDate, "DA", "20200102"},
                 {VIVO_TAG_StudyDescription, "LO", "Chest CT"}, STUDY("1.2.3"))),
        want);
    assert_string_equal(
        study(OF({VIVO_TAG_StudyDescription, "LO", "Chest"}, STUDY("1.2.3"))),
        joined("Chest", "1.2.3"));
    assert_string_equal(
        study(OF({VIVO_TAG_StudyDate, "DA", "2020.01.02"}, STUDY("1.2.3"))),
        joined("20200102", "1.2.3"));
    assert_string_equal(
        study(OF({VIVO_TAG_StudyDate, "DA", "20200230"}, STUDY("1.2.3"))),
        u("1.2.3", 6));
    assert_string_equal(study(OF(STUDY("1.2.3"))), u("1.2.3", 6));
    assert_string_equal(study(OF({VIVO_TAG_StudyDate, "DA", "20200102"})), "no-study");
}

static void test_study_long_description_is_cut_never_the_u(void **state)
{
    (void)state;
    char text[401];
    memset(text, 'x', 400);
    text[400] = '\0';
    const char *name =
        study(OF({VIVO_TAG_StudyDate, "DA", "20200102"},
                 {VIVO_TAG_StudyDescription, "LO", text}, STUDY("1.2.3")));
    assert_int_equal(strlen(name), VIVO_NAME_MAX);
    assert_memory_equal(name, "20200102_xxx", 12);
    assert_string_equal(name + VIVO_NAME_MAX - 7, joined("", "1.2.3"));
}

#define SERIES(text)                                                                   \
    {                                                                                  \
        VIVO_TAG_SeriesInstanceUID, "UI", text                                         \
    }

static void test_series_has_number_modality_description(void **state)
{
    (void)state;
    assert_string_equal(series(OF({VIVO_TAG_Modality, "CS", "MR"},
                                  {VIVO_TAG_SeriesDescription, "LO", "Schädel T1/3D"},
                                  SERIES("1.2.4"), {VIVO_TAG_SeriesNumber, "IS", "7"})),
                        joined("0007_MR_Schadel-T1-3D", "1.2.4"));
    assert_string_equal(
        series(OF(SERIES("1.2.4"), {VIVO_TAG_SeriesNumber, "IS", "123456"})),
        joined("123456", "1.2.4"));
    assert_string_equal(
        series(OF(SERIES("1.2.4"), {VIVO_TAG_SeriesNumber, "IS", "-3"})),
        u("1.2.4", 6));
    assert_string_equal(series((struct vivo_attrs){NULL, 0}), "no-series");
}

#define SOP(text)                                                                      \
    {                                                                                  \
        VIVO_TAG_SOPInstanceUID, "UI", text                                            \
    }

static void test_instance_has_number_or_long_u(void **state)
{
    (void)state;
    static const struct {
        const char *number, *start;
    } rows[] = {{"1", "00001_"},    {" 12 ", "00012_"},      {"+5", "00005_"},
                {"0012", "00012_"}, {"1234567", "1234567_"}, {"3\\4", "00003_"}};
    char want[80];
    for (size_t i = 0; i < VIVO_ARRAY_LEN(rows); i++) {
        snprintf(want, sizeof want, "%s%s.dcm", rows[i].start, u("1.2.5", 6));
        assert_string_equal(
            instance(OF(SOP("1.2.5"), {VIVO_TAG_InstanceNumber, "IS", rows[i].number}),
                     NULL, NULL),
            want);
    }
    static const char *const garbage[] = {"",  "-1",          "1.5", "1e3",
                                          "+", "99999999999", "x",   "2147483648"};
    snprintf(want, sizeof want, "%s.dcm", u("1.2.5", 12));
    for (size_t i = 0; i < VIVO_ARRAY_LEN(garbage); i++)
        assert_string_equal(
            instance(OF(SOP("1.2.5"), {VIVO_TAG_InstanceNumber, "IS", garbage[i]}),
                     NULL, NULL),
            want);
}

static void test_instance_without_uid_uses_the_one_given(void **state)
{
    (void)state;
    char want[80];
    snprintf(want, sizeof want, "%s.dcm", u("digest", 12));
    assert_string_equal(instance((struct vivo_attrs){NULL, 0}, "digest", NULL), want);
    snprintf(want, sizeof want, "%s.dcm", u("1.2.5", 12));
    assert_string_equal(instance(OF(SOP("1.2.5")), "digest", NULL), want);
}

static void test_instance_duplicate_gets_a_mark(void **state)
{
    (void)state;
    char short_uid[16];
    char want[80];
    snprintf(short_uid, sizeof short_uid, "%s", u("1.2.5", 6));
    snprintf(want, sizeof want, "00001_%s+%s.dcm", short_uid, u("a/b.dcm", 4));
    assert_string_equal(instance(OF(SOP("1.2.5"), {VIVO_TAG_InstanceNumber, "IS", "1"}),
                                 NULL, "a/b.dcm"),
                        want);
}

static void test_collections_and_archives(void **state)
{
    (void)state;
    char name[VIVO_NAME_MAX + 1];
    vivo_name_collection(NULL, name);
    assert_string_equal(name, "all");
    vivo_name_collection("", name);
    assert_string_equal(name, "all");
    vivo_name_collection("TCGA-BRCA", name);
    assert_string_equal(name, "TCGA-BRCA");
    vivo_name_collection("all", name);
    assert_string_equal(name, joined("all", "all"));
    vivo_name_collection("LIDC IDRI", name);
    assert_string_equal(name, joined("LIDC-IDRI", "LIDC IDRI"));
    vivo_name_archive(".vivofs", name);
    assert_string_equal(name, joined("vivofs", ".vivofs"));
}

static void test_same_u_finds_old_paths(void **state)
{
    (void)state;
    assert_true(vivo_name_same_u("20200102_Chest_abc234", "20200102_Thorax_abc234"));
    assert_true(vivo_name_same_u("abc234", "20200102_Thorax_abc234"));
    assert_true(vivo_name_same_u("00002_abc234.dcm", "00001_abc234.dcm"));
    assert_true(vivo_name_same_u("00002_abc234+aaaa.dcm", "00001_abc234+aaaa.dcm"));
    assert_false(vivo_name_same_u("00002_abc234.dcm", "00001_abc234+aaaa.dcm"));
    assert_false(vivo_name_same_u("00002_abc234", "00001_abc234.dcm"));
    assert_false(vivo_name_same_u("Chest_abc235", "Chest_abc234"));
    assert_false(vivo_name_same_u("x_17", "17"));
    assert_false(vivo_name_same_u("x_unknown", "unknown"));
    assert_false(vivo_name_same_u("", ""));
}

static void test_path_of_names_is_one_that_could_have_been_made(void **state)
{
    static const char *const bad[] = {"",
                                      "a/b",
                                      "a/b/c",
                                      "a/b/c.dcm/d.dcm",
                                      "a//c.dcm",
                                      "../b/c.dcm",
                                      "a/b/.dcm",
                                      "q/b/c.dcm",
                                      "a/by/c.dcm",
                                      "a b/b/c.dcm",
                                      "a/-b/c.dcm",
                                      "a/b\n/c.dcm",
                                      "no-series/b/c.dcm",
                                      "a/b/LICENSE.txt"};
    char longer[VIVO_NAME_MAX + 16];

    (void)state;
    assert_true(
        vivo_name_path_ok("20200102_Chest_abc234/0001_CT_x_abc234/00001_a.dcm"));
    assert_true(vivo_name_path_ok("no-study/no-series/abcdefabcdef+2345.dcm"));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(vivo_name_path_ok(bad[i]));
    memset(longer, 'a', VIVO_NAME_MAX + 1);
    memcpy(longer + VIVO_NAME_MAX + 1, "/b/c.dcm", sizeof "/b/c.dcm");
    assert_false(vivo_name_path_ok(longer));
    assert_true(vivo_name_path_ok(longer + 1));
}

static void test_mtime_is_the_study_date(void **state)
{
    (void)state;
    static const struct {
        const char *date;
        int64_t seconds;
    } rows[] = {
        {"19700101", 0},         {"20000101", 946684800},  {"20200229", 1582934400},
        {"19691231", -86400},    {"20040119", 1074470400}, {"18991231", -2209075200},
        {"20190229", 946684800}, {"2020", 946684800},      {"", 946684800},
        {"garbage!", 946684800}, {"20201301", 946684800},  {"2004.01.19", 1074470400},
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(rows); i++)
        assert_int_equal(vivo_name_mtime(OF({VIVO_TAG_StudyDate, "DA", rows[i].date})),
                         rows[i].seconds);
    assert_int_equal(vivo_name_mtime((struct vivo_attrs){NULL, 0}), 946684800);
}

static const char *extra(const char *name, const char *path, bool mark)
{
    static char out[VIVO_NAME_MAX + 1];
    vivo_name_extra(name, path, false, mark, out);
    return out;
}

static void test_extra_keeps_its_name_and_extension(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        bool mark;
        const char *want; /* u: of the path */
    } rows[] = {
        {"scan.nii.gz", false, "scan.nii.gz"},
        {"scan.nii.gz", true, "scan_5wqxsv.nii.gz"},
        {"a b.csv", false, "a-b_brmrms.csv"},
        {"README.txt", false, "README_wapo5u.txt"},
        {".DS_Store", false, "DS_Store_4lvzhj"},
        {"x.dcm", false, "x.dcm_cbnl2i"},
        {"X.DCM", false, "X.DCM_46tvsx"},
        {"q", false, "q_ry24ft"},
        {"..", false, "x_l3a7pz"},
        {"a.b c", false, "a.b-c_qzanfy"},
        {"\xff\n.txt", false, "x_rsteyg.txt"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_string_equal(extra(rows[i].path, rows[i].path, rows[i].mark),
                            rows[i].want);
}

static void test_extra_names_are_short_and_tell_paths_apart(void **state)
{
    (void)state;
    char name[300];
    char first[VIVO_NAME_MAX + 1];
    memset(name, 'x', sizeof name - 8);
    memcpy(name + sizeof name - 8, ".nii.gz", 8);
    memcpy(first, extra(name, "a/x", false), sizeof first);
    assert_int_equal(strlen(first), VIVO_NAME_MAX);
    assert_string_equal(first + VIVO_NAME_MAX - 7, ".nii.gz");
    assert_string_not_equal(extra(name, "b/x", false), first);
    vivo_name_extra("two words", "two words", true, false, first);
    assert_memory_equal(first, "two-words_", 10);
    vivo_name_extra("v1.2", "v1.2", true, true, first);
    assert_memory_equal(first, "v1.2_", 5);
}

static int setup(void **state)
{
    (void)state;
    vivo_buf_init(&set, 1 << 16);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    vivo_buf_free(&set);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_u_is_what_python_makes),
        cmocka_unit_test(test_patient_safe_id_is_kept),
        cmocka_unit_test(test_patient_without_id_is_unknown),
        cmocka_unit_test(test_patient_changed_reserved_or_issued_is_marked),
        cmocka_unit_test(test_patients_never_share_a_name),
        cmocka_unit_test(test_patient_long_id_is_cut_and_marked),
        cmocka_unit_test(test_study_parts_that_are_missing_are_left_out),
        cmocka_unit_test(test_study_long_description_is_cut_never_the_u),
        cmocka_unit_test(test_series_has_number_modality_description),
        cmocka_unit_test(test_instance_has_number_or_long_u),
        cmocka_unit_test(test_instance_without_uid_uses_the_one_given),
        cmocka_unit_test(test_instance_duplicate_gets_a_mark),
        cmocka_unit_test(test_collections_and_archives),
        cmocka_unit_test(test_same_u_finds_old_paths),
        cmocka_unit_test(test_path_of_names_is_one_that_could_have_been_made),
        cmocka_unit_test(test_extra_keeps_its_name_and_extension),
        cmocka_unit_test(test_extra_names_are_short_and_tell_paths_apart),
        cmocka_unit_test(test_mtime_is_the_study_date),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
