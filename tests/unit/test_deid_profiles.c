/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_deid_profiles.c -- named profiles, and what research can still do
 * with what they show. */
#include "deid_run.h"

static void test_named_profiles_are_their_options(void **state)
{
    struct vivo_key *k = test_key('k');
    struct vivo_deid *research = test_profile("research", VIVO_BURNED_IN_REFUSE, k);
    struct vivo_deid *limited = test_profile("limited", VIVO_BURNED_IN_REFUSE, k);
    struct vivo_deid *strict = test_profile("strict", VIVO_BURNED_IN_REFUSE, k);
    (void)state;
    assert_string_equal(vivo_deid_profile(research),
                        "basic+retain-safe-private+retain-device+"
                        "retain-patient-characteristics+retain-modified-dates+"
                        "clean-descriptors+clean-structured-content+clean-graphics");
    assert_string_equal(vivo_deid_profile(limited),
                        "basic+retain-safe-private+retain-device+"
                        "retain-patient-characteristics+retain-full-dates+"
                        "clean-descriptors+clean-structured-content+clean-graphics");
    assert_string_equal(vivo_deid_profile(strict), "basic");
    assert_int_equal(strict->burned_in, VIVO_BURNED_IN_STRICT);
    struct vivo_deid *same =
        test_profile(vivo_deid_profile(research), VIVO_BURNED_IN_REFUSE, k);
    assert_memory_equal(vivo_deid_digest(same), vivo_deid_digest(research),
                        VIVO_DIGEST_LEN);
    vivo_deid_free(same);
    vivo_deid_free(research);
    vivo_deid_free(limited);
    vivo_deid_free(strict);
    vivo_key_free(k);
}

static void test_two_date_options_exclude_each_other(void **state)
{
    static const char *const wrong[] = {
        "research+retain-full-dates",
        "limited+retain-modified-dates",
        "basic+retain-full-dates+retain-modified-dates",
    };
    struct vivo_key *k = test_key('k');
    (void)state;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(wrong); i++) {
        struct vivo_err err = {0};
        struct vivo_deid *d = NULL;
        assert_int_equal(vivo_deid_new(wrong[i], VIVO_BURNED_IN_REFUSE, k, &d, &err),
                         -EINVAL);
        assert_non_null(strstr(err.text, "exclude"));
        assert_null(d);
    }
    vivo_key_free(k);
}

static void test_statement_has_a_paragraph_for_each_option(void **state)
{
    struct vivo_key *k = test_key('k');
    struct vivo_deid *d = test_profile("research+retain-uids+retain-institution",
                                       VIVO_BURNED_IN_REFUSE, k);
    struct vivo_buf b;
    size_t n = 0;
    const struct vivo_option_word *words = vivo_option_words(&n);
    (void)state;
    vivo_buf_init(&b, 65536);
    assert_int_equal(vivo_deid_conformance(d, NULL, &b), 0);
    for (size_t i = 0; i < 10; i++) {
        char line[80];
        snprintf(line, sizeof line, "\n- %s: ", words[i].word);
        bool want = d->options & (unsigned)words[i].option;
        assert_int_equal(strstr((const char *)b.data, line) != NULL, want);
        assert_int_equal(strstr((const char *)b.data, words[i].meaning) != NULL, want);
    }
    vivo_buf_free(&b);
    vivo_deid_free(d);
    vivo_key_free(k);
}

static void test_hidden_is_what_no_option_shows(void **state)
{
    struct vivo_key *k = test_key('k');
    struct vivo_deid *d = test_profile("research", VIVO_BURNED_IN_REFUSE, k);
    struct vivo_deid *b = test_profile("basic", VIVO_BURNED_IN_REFUSE, k);
    (void)state;
    assert_null(vivo_deid_hides(d, 0x00080020, NULL)); /* StudyDate */
    assert_null(vivo_deid_hides(d, 0x0008103E, NULL)); /* SeriesDescription */
    assert_null(vivo_deid_hides(d, 0x0040A730, NULL)); /* ContentSequence */
    assert_null(vivo_deid_hides(d, 0x00101030, NULL)); /* PatientWeight */
    assert_string_equal(vivo_deid_hides(d, 0x00080080, NULL), "retain-institution");
    assert_string_equal(vivo_deid_hides(b, 0x0008103E, NULL), "clean-descriptors");
    assert_string_equal(vivo_deid_hides(b, 0x0040A730, NULL),
                        "clean-structured-content");
    assert_string_equal(vivo_deid_hides(b, 0x60003000, NULL), "clean-graphics");
    assert_string_equal(vivo_deid_hides(d, 0x00100030, NULL), "deid=none");
    vivo_deid_free(d);
    vivo_deid_free(b);
    vivo_key_free(k);
}

static void make_pet(struct make *m)
{
    static const char pet[] = "1.2.840.10008.5.1.4.1.1.128";
    make_file(m, MAKE_ELE, pet, "1.2.826.0.1.99.1");
    make_text(m, 0x00080016, "UI", pet);
    make_text(m, 0x00080018, "UI", "1.2.826.0.1.99.1");
    make_text(m, 0x00080021, "DA", "20110405");
    make_text(m, 0x00080022, "DA", "20110405");
    make_text(m, 0x00080031, "TM", "101500");
    make_text(m, 0x00080032, "TM", "101500.25");
    make_text(m, 0x00080060, "CS", "PT");
    make_patient(m);
    make_text(m, 0x00101010, "AS", "093Y");
    make_text(m, 0x00101030, "DS", "72.5");
    make_study(m);
    make_text(m, 0x00281052, "DS", "0");
    make_text(m, 0x00281053, "DS", "1.5");
    make_text(m, 0x00541001, "CS", "BQML");
    make_sequence(m, 0x00540016, true);
    make_item(m, true);
    make_text(m, 0x00181072, "TM", "091500");
    make_text(m, 0x00181074, "DS", "350000000");
    make_text(m, 0x00181075, "DS", "6586.2");
    make_text(m, 0x00181078, "DT", "20110405091500");
    make_item_end(m);
    make_sequence_end(m);
    make_text(m, 0x00541102, "CS", "START");
    make_pixels(m);
}

static int clock_at(const char *hhmmss)
{
    int h = 0, m = 0, sec = 0;
    assert_int_equal(sscanf(hhmmss, "%2d%2d%2d", &h, &m, &sec), 3);
    return h * 3600 + m * 60 + sec;
}

/* The body-weight factor of the Quantitative Imaging Biomarkers Alliance is weight
 * over the dose that is left at the start of the series: dose, half-life, the time
 * between, weight, units and decay correction must be those of the source. */
static void test_uptake_can_be_computed_under_research(void **state)
{
    struct make m;
    struct run r;
    (void)state;
    make_pet(&m);
    run_profile(&r, "research", &m);
    assert_string_equal(r.err.text, "");
    assert_value(&r, 0x00541001, "BQML");
    assert_value(&r, 0x00541102, "START");
    assert_value(&r, 0x00101010, "090Y");
    assert_value(&r, 0x00101030, "72.5");
    assert_value(&r, 0x00281053, "1.5");
    assert_string_equal(look_at(&r, 0x00181074, 1).value, "350000000");
    assert_string_equal(look_at(&r, 0x00181075, 1).value, "6586.2");
    struct lookup start = look_at(&r, 0x00181078, 1);
    struct lookup series = look_at(&r, 0x00080021, 0);
    struct lookup scan = look_at(&r, 0x00080022, 0);
    assert_memory_equal(start.value, series.value, 8);
    assert_string_equal(scan.value, series.value);
    assert_string_not_equal(series.value, "20110405");
    assert_int_equal(
        clock_at(look_at(&r, 0x00080031, 0).value) - clock_at(start.value + 8), 3600);
    assert_int_equal(clock_at(look_at(&r, 0x00080032, 0).value) -
                         clock_at(look_at(&r, 0x00181072, 1).value),
                     3600);
    finish(&r, &m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_named_profiles_are_their_options),
        cmocka_unit_test(test_two_date_options_exclude_each_other),
        cmocka_unit_test(test_statement_has_a_paragraph_for_each_option),
        cmocka_unit_test(test_hidden_is_what_no_option_shows),
        cmocka_unit_test(test_uptake_can_be_computed_under_research),
    };
    return cmocka_run_group_tests(tests, deid_setup, NULL);
}
