/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_deid_table.c -- the tables are whole, and what the policy makes of
 * them. Expected values are copied from PS3.15 Table E.1-1 (2026d), not computed. */
#include "deid_run.h"

static struct vivo_key *key;

static enum vivo_act act_under(const char *words, uint32_t tag)
{
    struct vivo_deid *d = test_profile(words, VIVO_BURNED_IN_REFUSE, key);
    struct vivo_decision dec;
    vivo_deid_decide(d, tag, &dec);
    vivo_deid_free(d);
    return dec.act;
}

static enum vivo_act act(uint32_t tag)
{
    return act_under("basic", tag);
}

static void test_table_has_all_rows_in_order(void **state)
{
    size_t n = 0, count[16] = {0};
    const struct vivo_deid_row *rows = vivo_deid_rows(&n);
    (void)state;
    assert_int_equal(n, 657);
    for (size_t i = 0; i < n; i++) {
        assert_true(!i || rows[i - 1].tag < rows[i].tag);
        assert_int_equal(strlen(rows[i].option), 10);
        count[rows[i].basic]++;
    }
    /* The column "Basic Profile" counted. */
    assert_int_equal(count[VIVO_ACT_X], 417);
    assert_int_equal(count[VIVO_ACT_Z], 42);
    assert_int_equal(count[VIVO_ACT_D], 93);
    assert_int_equal(count[VIVO_ACT_U], 55);
    assert_int_equal(count[VIVO_ACT_XZ], 11);
    assert_int_equal(count[VIVO_ACT_XD], 23);
    assert_int_equal(count[VIVO_ACT_ZD], 6);
    assert_int_equal(count[VIVO_ACT_XZD], 8);
    assert_int_equal(count[VIVO_ACT_XZU], 2);
}

static void test_table_option_columns_are_whole(void **state)
{
    static const size_t keep[10] = {0, 60, 48, 10, 14, 169, 0, 0, 0, 0};
    static const size_t clean[10] = {1, 0, 11, 0, 5, 0, 169, 141, 4, 4};
    size_t n = 0;
    const struct vivo_deid_row *rows = vivo_deid_rows(&n);
    (void)state;
    for (size_t c = 0; c < 10; c++) {
        size_t k = 0, cl = 0;
        for (size_t i = 0; i < n; i++) {
            k += rows[i].option[c] == 'K';
            cl += rows[i].option[c] == 'C';
        }
        assert_int_equal(k, keep[c]);
        assert_int_equal(cl, clean[c]);
    }
}

static void test_table_names_edition_and_source(void **state)
{
    (void)state;
    assert_string_equal(vivo_deid_edition, "2026d");
    assert_string_equal(
        vivo_deid_table_sha256,
        "a38d221deec237b710e499c3703161f81d1cc17378f7ddcfd888a3e25976094e");
}

static void test_gaps_are_all_decided(void **state)
{
    size_t n = 0;
    const struct vivo_deid_gap *gaps = vivo_deid_gaps(&n);
    (void)state;
    assert_int_equal(n, 519);
    for (size_t i = 0; i < n; i++) {
        assert_int_not_equal(gaps[i].action, VIVO_GAP_NONE);
        /* Names, dates and free text beyond the table never stay. */
        if (strstr("PN DA DT TM UR LT ST", gaps[i].vr) && gaps[i].vr[0] != 'L' &&
            gaps[i].vr[0] != 'S')
            assert_int_equal(gaps[i].action, VIVO_GAP_REMOVE);
    }
}

static enum vivo_gap action_of(const char *word)
{
    static const char *const words[] = {"keep", "registry", "code", "empty"};
    static const enum vivo_gap actions[] = {VIVO_GAP_KEEP, VIVO_GAP_REGISTRY,
                                            VIVO_GAP_CODE, VIVO_GAP_EMPTY};
    for (size_t i = 0; i < VIVO_ARRAY_LEN(words); i++)
        if (!strcmp(words[i], word))
            return actions[i];
    return VIVO_GAP_NONE;
}

/* The generated table says what people decided, no more and no less. */
static void test_gaps_are_what_the_decisions_say(void **state)
{
    FILE *f = fopen(VIVO_TEST_SOURCE_DIR "/src/deid/gaps_keep.txt", "r");
    char line[256], word[32], keyword[128];
    size_t n = 0, decided = 0, other = 0;
    const struct vivo_deid_gap *gaps = vivo_deid_gaps(&n);
    (void)state;
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        if (sscanf(line, "%31s %127s", word, keyword) != 2 || word[0] == '#')
            continue;
        decided++;
        for (size_t i = 0; i < n; i++)
            if (!strcmp(gaps[i].keyword, keyword))
                assert_int_equal(gaps[i].action, action_of(word));
    }
    fclose(f);
    for (size_t i = 0; i < n; i++)
        other += gaps[i].action == VIVO_GAP_REMOVE || gaps[i].action == VIVO_GAP_REMAP;
    assert_true(decided > 100);
    assert_int_equal(decided + other, n);
}

static void test_wildcards_cover_all_groups(void **state)
{
    (void)state;
    assert_non_null(vivo_deid_row_find(0x50023000));
    assert_non_null(vivo_deid_row_find(0x60023000));
    assert_non_null(vivo_deid_row_find(0x601E4000));
    assert_null(vivo_deid_row_find(0x60020010));
}

static void test_groups_that_never_stay_go(void **state)
{
    static const uint32_t tags[] = {
        0x50000005, 0x50FE0010, 0x60000010, 0x60000022,
        0x601E1500,                                     /* curves, overlays */
        0x00090010, 0x00991001, 0x7FE11001,             /* private */
        0x00010001, 0x00030001, 0x00050010, 0x00070010, /* illegal */
        0x00041130, 0x00020010, 0x00000002,             /* not of data sets */
        0x00080000, 0x00280000,                         /* group lengths */
        0xFFFAFFFA, 0xFFFCFFFC,                         /* behind the pixels */
        0x0008FFF1, 0x00280FFE,                         /* unknown */
    };
    (void)state;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(tags); i++)
        assert_int_equal(act(tags[i]), VIVO_ACT_X);
}

static void test_identity_beyond_the_table_goes(void **state)
{
    static const uint32_t tags[] = {
        0x00142006, /* EvaluatorName */
        0x00140104, /* SecondaryReviewerName */
        0x00100033, /* PatientBirthDateInAlternativeCalendar */
        0x00189423, /* AcquisitionProtocolName */
        0x30020020, /* RadiationMachineName */
        0x0074100C, /* ContactDisplayName */
        0x00081190, /* RetrieveURL */
        0x0040E010, /* RetrieveURI */
        0x00287FE0, /* PixelDataProviderURL */
        0x00420010, /* DocumentTitle */
    };
    (void)state;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(tags); i++) {
        assert_int_equal(act(tags[i]), VIVO_ACT_AWAY);
        assert_int_equal(vivo_deid_resolve(VIVO_ACT_AWAY, 0), VIVO_ACT_X);
    }
}

static void test_compound_codes_follow_the_type(void **state)
{
    static const struct {
        enum vivo_act act, type1, type2, type3, unknown;
    } want[] = {
        {VIVO_ACT_X, VIVO_ACT_X, VIVO_ACT_X, VIVO_ACT_X, VIVO_ACT_X},
        {VIVO_ACT_Z, VIVO_ACT_D, VIVO_ACT_Z, VIVO_ACT_Z, VIVO_ACT_Z},
        {VIVO_ACT_D, VIVO_ACT_D, VIVO_ACT_D, VIVO_ACT_D, VIVO_ACT_D},
        {VIVO_ACT_XZ, VIVO_ACT_D, VIVO_ACT_Z, VIVO_ACT_X, VIVO_ACT_Z},
        {VIVO_ACT_XD, VIVO_ACT_D, VIVO_ACT_D, VIVO_ACT_X, VIVO_ACT_D},
        {VIVO_ACT_ZD, VIVO_ACT_D, VIVO_ACT_Z, VIVO_ACT_Z, VIVO_ACT_D},
        {VIVO_ACT_XZD, VIVO_ACT_D, VIVO_ACT_Z, VIVO_ACT_X, VIVO_ACT_D},
        {VIVO_ACT_XZU, VIVO_ACT_KEEP, VIVO_ACT_KEEP, VIVO_ACT_KEEP, VIVO_ACT_KEEP},
    };
    (void)state;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(want); i++) {
        assert_int_equal(vivo_deid_resolve(want[i].act, '1'), want[i].type1);
        assert_int_equal(vivo_deid_resolve(want[i].act, '2'), want[i].type2);
        assert_int_equal(vivo_deid_resolve(want[i].act, '3'), want[i].type3);
        assert_int_equal(vivo_deid_resolve(want[i].act, 0), want[i].unknown);
    }
}

static void test_options_keep_their_column(void **state)
{
    (void)state;
    assert_int_equal(act_under("basic", 0x00080080), VIVO_ACT_XZD);
    assert_int_equal(act_under("basic+retain-institution", 0x00080080), VIVO_ACT_K);
    assert_int_equal(act_under("basic+retain-device", 0x00181000), VIVO_ACT_K);
    assert_int_equal(act_under("basic+retain-uids", 0x0020000D), VIVO_ACT_K);
    assert_int_equal(act_under("basic+retain-device", 0x0020000D), VIVO_ACT_U);
    assert_int_equal(act_under("basic+retain-full-dates", 0x00080020), VIVO_ACT_K);
    assert_int_equal(act_under("basic+retain-patient-characteristics", 0x00100040),
                     VIVO_ACT_K);
    /* No option of the table keeps a birth date. */
    assert_int_equal(act_under("basic+retain-full-dates", 0x00100030), VIVO_ACT_Z);
}

static const char *hidden(const char *words, uint32_t tag, const char *creator)
{
    struct vivo_deid *d = test_profile(words, VIVO_BURNED_IN_REFUSE, key);
    const char *word = vivo_deid_hides(d, tag, creator);
    vivo_deid_free(d);
    return word;
}

static void test_hides_names_the_option_that_shows(void **state)
{
    (void)state;
    assert_string_equal(hidden("basic", 0x00080020, NULL), "retain-full-dates");
    assert_string_equal(hidden("basic", 0x00080080, NULL), "retain-institution");
    assert_string_equal(hidden("basic", 0x00101010, NULL),
                        "retain-patient-characteristics");
    assert_string_equal(hidden("basic", 0x00081010, NULL), "retain-device");
    assert_string_equal(hidden("basic", 0x00100030, NULL), "deid=none");
    assert_string_equal(hidden("basic", 0x00142006, NULL), "deid=none");
    assert_string_equal(hidden("basic", 0x00191001, "GEMS_ACQU_01"), "deid=none");
    assert_string_equal(hidden("basic", 0x0008FFF1, NULL), "deid=none");
    assert_null(hidden("basic+retain-full-dates", 0x00080020, NULL));
    assert_null(hidden("none", 0x00100030, NULL));
}

static void test_hides_nothing_that_is_shown(void **state)
{
    static const uint32_t tags[] = {
        0x00100010, 0x00100020, 0x0020000D, 0x0020000E, 0x00080018, 0x00200052,
        0x00080060, 0x00080104, 0x00180050, 0x00280010, 0x00020010, 0x00120062,
        0x00120063, 0x00120064, 0x00280303, 0x00081090,
    };
    (void)state;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(tags); i++)
        assert_null(hidden("basic", tags[i], NULL));
}

/* Kept by name: one test each, so that a decision that changes has a name. */
#define KEPT(name_, tag, vr_, value_)                                                  \
    static void test_kept_##name_(void **state)                                        \
    {                                                                                  \
        struct vivo_decision dec;                                                      \
        struct vivo_deid *d = test_profile("basic", VIVO_BURNED_IN_REFUSE, key);       \
        (void)state;                                                                   \
        vivo_deid_decide(d, tag, &dec);                                                \
        assert_int_equal(dec.act, VIVO_ACT_KEEP);                                      \
        assert_string_equal(dec.vr, vr_);                                              \
        assert_string_equal(vivo_dcm_dict(tag)->keyword, #name_);                      \
        assert_true(vivo_deid_valid(vr_, (const uint8_t *)(value_), strlen(value_)));  \
        vivo_deid_free(d);                                                             \
    }
KEPT(ImageType, 0x00080008, "CS", "DERIVED\\SECONDARY\\MPR")
KEPT(ManufacturerModelName, 0x00081090, "LO", "LightSpeed VCT")
KEPT(SoftwareVersions, 0x00181020, "LO", "syngo MR E11\\N4_VE11C")
KEPT(SequenceName, 0x00180024, "SH", "*tfl3d1_16ns")
KEPT(PulseSequenceName, 0x00189005, "SH", "ep2d_diff")
KEPT(ConvolutionKernel, 0x00181210, "SH", "B30f")
KEPT(FilterType, 0x00181160, "SH", "BODY FILTER")
KEPT(ScanOptions, 0x00180022, "CS", "HELICAL MODE")
KEPT(Radiopharmaceutical, 0x00180031, "LO", "Fluorodeoxyglucose")
KEPT(RadiopharmaceuticalRoute, 0x00181070, "LO", "Intravenous")
KEPT(ContrastBolusRoute, 0x00181040, "LO", "IV")
KEPT(SegmentLabel, 0x00620005, "LO", "Liver")
KEPT(SegmentAlgorithmType, 0x00620008, "CS", "AUTOMATIC")
KEPT(Units, 0x00541001, "CS", "BQML")
KEPT(PixelSpacing, 0x00280030, "DS", "0.5\\0.5")
KEPT(ImagePositionPatient, 0x00200032, "DS", "-158.135803\\-179.035797\\-75.699997")
KEPT(ImageOrientationPatient, 0x00200037, "DS", "1\\0\\0\\0\\1\\0")
KEPT(SliceThickness, 0x00180050, "DS", "5.000000")
KEPT(SliceLocation, 0x00201041, "DS", "-77.2040634155")
KEPT(SpacingBetweenSlices, 0x00180088, "DS", "1.5")
KEPT(DiffusionBValue, 0x00189087, "FD", "\1\2\3\4\5\6\7\10")
KEPT(DiffusionGradientOrientation, 0x00189089, "FD", "\1\2\3\4\5\6\7\10")
KEPT(DiffusionDirectionality, 0x00189075, "CS", "DIRECTIONAL")

static void test_kept_CodeMeaning_of_public_schemes(void **state)
{
    (void)state;
    assert_int_equal(act(0x00080104), VIVO_ACT_CODE);
    assert_true(vivo_code_scheme_public("SCT"));
    assert_true(vivo_code_scheme_public("DCM"));
    assert_true(vivo_code_scheme_public("LN"));
    assert_true(vivo_code_scheme_public("RADLEX"));
    assert_false(vivo_code_scheme_public("99SITE"));
    assert_false(vivo_code_scheme_public("L"));
    assert_false(vivo_code_scheme_public(""));
}

static int setup(void **state)
{
    key = test_key('k');
    return deid_setup(state);
}

static int teardown(void **state)
{
    (void)state;
    vivo_key_free(key);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_has_all_rows_in_order),
        cmocka_unit_test(test_table_option_columns_are_whole),
        cmocka_unit_test(test_table_names_edition_and_source),
        cmocka_unit_test(test_gaps_are_all_decided),
        cmocka_unit_test(test_gaps_are_what_the_decisions_say),
        cmocka_unit_test(test_wildcards_cover_all_groups),
        cmocka_unit_test(test_groups_that_never_stay_go),
        cmocka_unit_test(test_identity_beyond_the_table_goes),
        cmocka_unit_test(test_compound_codes_follow_the_type),
        cmocka_unit_test(test_options_keep_their_column),
        cmocka_unit_test(test_hides_names_the_option_that_shows),
        cmocka_unit_test(test_hides_nothing_that_is_shown),
        cmocka_unit_test(test_kept_ImageType),
        cmocka_unit_test(test_kept_ManufacturerModelName),
        cmocka_unit_test(test_kept_SoftwareVersions),
        cmocka_unit_test(test_kept_SequenceName),
        cmocka_unit_test(test_kept_PulseSequenceName),
        cmocka_unit_test(test_kept_ConvolutionKernel),
        cmocka_unit_test(test_kept_FilterType),
        cmocka_unit_test(test_kept_ScanOptions),
        cmocka_unit_test(test_kept_Radiopharmaceutical),
        cmocka_unit_test(test_kept_RadiopharmaceuticalRoute),
        cmocka_unit_test(test_kept_ContrastBolusRoute),
        cmocka_unit_test(test_kept_SegmentLabel),
        cmocka_unit_test(test_kept_SegmentAlgorithmType),
        cmocka_unit_test(test_kept_Units),
        cmocka_unit_test(test_kept_PixelSpacing),
        cmocka_unit_test(test_kept_ImagePositionPatient),
        cmocka_unit_test(test_kept_ImageOrientationPatient),
        cmocka_unit_test(test_kept_SliceThickness),
        cmocka_unit_test(test_kept_SliceLocation),
        cmocka_unit_test(test_kept_SpacingBetweenSlices),
        cmocka_unit_test(test_kept_DiffusionBValue),
        cmocka_unit_test(test_kept_DiffusionGradientOrientation),
        cmocka_unit_test(test_kept_DiffusionDirectionality),
        cmocka_unit_test(test_kept_CodeMeaning_of_public_schemes),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
