/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_dcm_dict.c -- the dictionary, UIDs and attribute types, against
 * rows copied by hand from PS3.6 and PS3.3. */
#include "vivofs/dcm.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CT "1.2.840.10008.5.1.4.1.1.2"

static char type_in(const char *sop_class, uint32_t tag)
{
    return vivo_dcm_class_type(vivo_dcm_class(sop_class), tag);
}

static void test_dict_rows_are_those_of_the_standard(void **state)
{
    (void)state;
    static const struct vivo_dict rows[] = {
        {0x00080005, "CS", false, false, "SpecificCharacterSet", "1-n"},
        {0x00100010, "PN", false, false, "PatientName", "1"},
        {0x00100020, "LO", false, false, "PatientID", "1"},
        {0x00280030, "DS", false, false, "PixelSpacing", "2"},
        {0x00280106, "US", true, false, "SmallestImagePixelValue", "1"},
        {0x7FE00010, "OB", true, false, "PixelData", "1"},
        {0x00080001, "UL", false, true, "LengthToEnd", "1"},
        {0x52009230, "SQ", false, false, "PerFrameFunctionalGroupsSequence", "1"},
        {0x60003000, "OB", true, false, "OverlayData", "1"},
        {0x00020010, "UI", false, false, "TransferSyntaxUID", "1"},
        /* younger than GDCM's edition, and one that it misspells */
        {0x00100043, "SQ", false, false, "SexParametersForClinicalUseCategorySequence",
         "1"},
        {0x00160072, "DS", false, false, "GPSLatitude", "3"},
        {0x0082000C, "SQ", false, false, "StructuredConstraintObservationSequence",
         "1"},
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(rows); i++) {
        const struct vivo_dict *row = vivo_dcm_dict(rows[i].tag);
        assert_non_null(row);
        assert_int_equal(row->tag, rows[i].tag);
        assert_string_equal(row->vr, rows[i].vr);
        assert_int_equal(row->either, rows[i].either);
        assert_int_equal(row->retired, rows[i].retired);
        assert_string_equal(row->keyword, rows[i].keyword);
        assert_string_equal(row->vm, rows[i].vm);
    }
}

static void test_dict_repeating_groups_are_folded(void **state)
{
    (void)state;
    assert_ptr_equal(vivo_dcm_dict(0x60023000), vivo_dcm_dict(0x60003000));
    assert_ptr_equal(vivo_dcm_dict(0x601E0010), vivo_dcm_dict(0x60000010));
    assert_ptr_equal(vivo_dcm_dict(0x501E3000), vivo_dcm_dict(0x50003000));
    assert_ptr_equal(vivo_dcm_dict(0x00203105), vivo_dcm_dict(0x00203100));
    assert_string_equal(vivo_dcm_dict(0x60003000)->keyword, "OverlayData");
    assert_null(vivo_dcm_dict(0x60013000)); /* odd: private */
}

static void test_dict_unknown_tags_are_null(void **state)
{
    (void)state;
    assert_null(vivo_dcm_dict(0x00080000)); /* group length */
    assert_null(vivo_dcm_dict(0x00090010)); /* creator */
    assert_null(vivo_dcm_dict(0x00091010));
    assert_null(vivo_dcm_dict(0xFFFEE000));
    assert_null(vivo_dcm_dict(0x0008FFFF));
    assert_null(vivo_dcm_dict(0));
    assert_null(vivo_dcm_dict(UINT32_MAX));
}

static void test_dict_is_ascending_and_keywords_lead_back(void **state)
{
    (void)state;
    size_t n;
    const struct vivo_dict *rows = vivo_dcm_dict_all(&n);
    assert_true(n > 4900);
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            assert_true(rows[i - 1].tag < rows[i].tag);
        assert_ptr_equal(vivo_dcm_dict(rows[i].tag), &rows[i]);
        size_t len = strlen(rows[i].keyword);
        assert_ptr_equal(vivo_dcm_dict_keyword(rows[i].keyword, len), &rows[i]);
        assert_true(rows[i].vr[0] >= 'A' && rows[i].vr[1] >= 'A');
        assert_true(rows[i].vm[0] >= '1' && rows[i].vm[0] <= '9');
    }
}

static void test_dict_knows_every_attribute_of_the_house(void **state)
{
    (void)state;
    static const struct {
        const char *keyword;
        uint32_t tag;
    } rows[] = {
#define VIVO_ATTR(keyword, tag, vr, level, column) {#keyword, tag},
#include "vivofs/attributes.def"
#undef VIVO_ATTR
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(rows); i++)
        assert_string_equal(vivo_dcm_dict(rows[i].tag)->keyword, rows[i].keyword);
}

static void test_dict_keyword_has_no_case_and_an_end(void **state)
{
    (void)state;
    assert_int_equal(vivo_dcm_dict_keyword("patientid", 9)->tag, 0x00100020);
    assert_int_equal(vivo_dcm_dict_keyword("PATIENTID<5", 9)->tag, 0x00100020);
    assert_null(vivo_dcm_dict_keyword("PatientI", 8));
    assert_null(vivo_dcm_dict_keyword("PatientIDx", 10));
    assert_null(vivo_dcm_dict_keyword("", 0));
}

static void test_dict_nearest_helps_with_misspelt_keywords(void **state)
{
    (void)state;
    assert_string_equal(vivo_dcm_dict_nearest("Modalty"), "Modality");
    assert_string_equal(vivo_dcm_dict_nearest("sliceThicknes"), "SliceThickness");
    assert_null(vivo_dcm_dict_nearest("qqqqqqqqqqqqqqqqq"));
}

static void test_vr_of_is_a_fixed_choice(void **state)
{
    (void)state;
    static const struct {
        uint32_t tag;
        const char *vr;
    } rows[] = {
        {0x00100010, "PN"}, {0x7FE00010, "OW"}, {0x60003000, "OW"}, {0x00280106, "US"},
        {0x00283006, "OW"}, {0x00080000, "UL"}, {0x00090000, "UL"}, {0x00090010, "LO"},
        {0x000900FF, "LO"}, {0x00091010, "UN"}, {0x0008FFFF, "UN"}, {0x0009000F, "UN"},
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(rows); i++)
        assert_string_equal(vivo_dcm_vr_of(rows[i].tag), rows[i].vr);
}

static void expect_uid(const char *keyword, const char *uid)
{
    const char *found = vivo_dcm_uid_keyword(keyword, strlen(keyword));
    assert_non_null(found);
    assert_string_equal(found, uid);
}

static void test_uid_keywords_are_those_of_annex_a(void **state)
{
    (void)state;
    expect_uid("CTImageStorage", CT);
    expect_uid("segmentationstorage", "1.2.840.10008.5.1.4.1.1.66.4");
    expect_uid("UltrasoundMultiFrameImageStorage", "1.2.840.10008.5.1.4.1.1.3.1");
    expect_uid("DigitalXRayImageStorageForPresentation", "1.2.840.10008.5.1.4.1.1.1.1");
    expect_uid("ExplicitVRLittleEndian", "1.2.840.10008.1.2.1");
    expect_uid("JPEGLosslessSV1", "1.2.840.10008.1.2.4.70");
    expect_uid("JPEG2000Lossless", "1.2.840.10008.1.2.4.90");
    expect_uid("Verification", "1.2.840.10008.1.1");
    expect_uid("VerificationSOPClass", "1.2.840.10008.1.1"); /* as it was called */
    assert_null(vivo_dcm_uid_keyword("CTImageStorag", 13));
    assert_null(vivo_dcm_uid_keyword("NULL", 4));
    assert_null(vivo_dcm_uid_keyword("", 0));
}

static void test_uid_registered_is_what_everybody_shares(void **state)
{
    (void)state;
    static const char *const yes[] = {
        CT,
        "1.2.840.10008.1.2",
        "1.2.840.10008.99.1",
        "2.16.840.1.113883.6.96",
        "1.3.12.2.1107.5.9.1",
    };
    static const char *const no[] = {
        "1.2.840.100081.1",      "1.2.840.10008.",        "1.2.840.10008",
        "1.2.840.113619.2.55.1", "1.3.12.2.1107.5.9.1.4", "",
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(yes); i++)
        assert_true(vivo_dcm_uid_registered(yes[i], strlen(yes[i])));
    for (size_t i = 0; i < VIVO_ARRAY_LEN(no); i++)
        assert_false(vivo_dcm_uid_registered(no[i], strlen(no[i])));
    assert_true(vivo_dcm_uid_registered(CT "\0", sizeof CT));
}

/* ---- types ------------------------------------------------------------------------
 */

/* NULL = as it should be. */
static void *ask_types(void *arg)
{
    size_t n;
    const struct vivo_dict *rows = vivo_dcm_dict_all(&n);
    for (size_t i = 0; i < n; i++) {
        char type = type_in(CT, rows[i].tag);
        if (type && (type < '1' || type > '3'))
            return arg;
    }
    return type_in(CT, 0x0020000D) == '1' ? NULL : arg;
}

static void test_type_threads_agree(void **state)
{
    (void)state;
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_types, threads), 0);
    for (size_t i = 0; i < 4; i++) {
        void *failed = NULL;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
}

static void test_type_is_that_of_the_iod(void **state)
{
    (void)state;
    static const struct {
        const char *sop_class;
        uint32_t tag;
        char type;
    } rows[] = {
        {CT, 0x00100010, '2'}, /* PatientName */
        {CT, 0x00080020, '2'}, /* StudyDate */
        {CT, 0x00080080, '3'}, /* InstitutionName */
        {CT, 0x00181030, '3'}, /* ProtocolName */
        {CT, 0x0020000D, '1'}, /* StudyInstanceUID */
        {CT, 0x00080090, '2'}, /* ReferringPhysicianName */
        {CT, 0x00200052, '1'}, /* FrameOfReferenceUID */
        {CT, 0x00181000, '3'}, /* DeviceSerialNumber */
        {CT, 0x00080008, '1'}, /* ImageType: 3 in General Image, 1 in CT Image */
        {CT, 0x00081190, 0},   /* RetrieveURL: in no image */
        {CT, 0x00091010, 0},   /* private */
        {"1.2.840.10008.5.1.4.1.1.481.3", 0x30060002, '1'}, /* StructureSetLabel */
        {"1.2.840.10008.5.1.4.1.1.88.33", 0x0040A491, '1'}, /* CompletionFlag */
        {"1.2.3.4", 0x00100010, 0},
        {"", 0x00100010, 0},
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(rows); i++)
        assert_int_equal(type_in(rows[i].sop_class, rows[i].tag), rows[i].type);
    char longest[300];
    memset(longest, '1', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(type_in(longest, 0x00100010), 0);
}

/* GDCM asserts where its tables have a hole, so all of them are asked once. */
static void test_type_of_every_class_and_row_is_answered(void **state)
{
    (void)state;
    size_t n;
    const struct vivo_dict *rows = vivo_dcm_dict_all(&n);
    char uid[VIVO_UID_MAX];
    size_t typed = 0;
    for (int major = 1; major < 140; major++)
        for (int minor = 0; minor < 8; minor++) {
            snprintf(uid, sizeof uid,
                     minor ? "1.2.840.10008.5.1.4.1.1.%d.%d"
                           : "1.2.840.10008.5.1.4.1.1.%d",
                     major, minor);
            if (!type_in(uid, 0x00080018))
                continue;
            for (size_t i = 0; i < n; i++)
                typed += type_in(uid, rows[i].tag) != 0;
        }
    assert_true(typed > 5000);
}

static int setup(void **state)
{
    struct vivo_err err = {0};
    (void)state;
    return vivo_dcm_global_init(&err) || vivo_dcm_global_init(&err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_type_threads_agree),
        cmocka_unit_test(test_dict_rows_are_those_of_the_standard),
        cmocka_unit_test(test_dict_repeating_groups_are_folded),
        cmocka_unit_test(test_dict_unknown_tags_are_null),
        cmocka_unit_test(test_dict_is_ascending_and_keywords_lead_back),
        cmocka_unit_test(test_dict_knows_every_attribute_of_the_house),
        cmocka_unit_test(test_dict_keyword_has_no_case_and_an_end),
        cmocka_unit_test(test_dict_nearest_helps_with_misspelt_keywords),
        cmocka_unit_test(test_vr_of_is_a_fixed_choice),
        cmocka_unit_test(test_uid_keywords_are_those_of_annex_a),
        cmocka_unit_test(test_uid_registered_is_what_everybody_shares),
        cmocka_unit_test(test_type_is_that_of_the_iod),
        cmocka_unit_test(test_type_of_every_class_and_row_is_answered),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
