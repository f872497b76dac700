/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_deid_clean.c -- what is cut out of a text, and what is not. */
#include "deid_run.h"

#include "deid/options.h"

static struct vivo_known *doe(void)
{
    struct vivo_known *k = vivo_known_empty();
    assert_non_null(k);
    assert_int_equal(vivo_known_add(k, "", "PN", "DOE^JANE^Ann", 12), 0);
    assert_int_equal(vivo_known_add(k, "", "LO", "A-12-34", 7), 0);
    assert_int_equal(vivo_known_add(k, "", "LO", "Mercy Hospital", 14), 0);
    return k;
}

static void clean_as(const char *charset, const char *vr, const char *text,
                     const char *want)
{
    struct vivo_known *k = doe();
    struct vivo_buf out;
    vivo_buf_init(&out, 4096);
    assert_int_equal(
        vivo_clean_text(k, charset, vr, (const uint8_t *)text, strlen(text), &out), 0);
    assert_int_equal(vivo_buf_add(&out, "", 1), 0);
    assert_string_equal((char *)out.data, want);
    vivo_buf_free(&out);
    vivo_known_free(k);
}

static void check(const char *text, const char *want)
{
    clean_as("ISO_IR 100", "LO", text, want);
}

static void test_plain_descriptions_stay(void **state)
{
    static const char *const same[] = {
        "CT CHEST W CONTRAST 5mm",      "t2_tse_sag 3.0 mm FoV 256x192",
        "MR CHEST T1/T2 TE 30 TR 2000", "DR CHEST AP",
        "AX FLAIR 5/1 L4/5 T11/12",     "ep2d_diff_b1000_ADC",
        "PET 4.0 b 0.75 10 20",         "Thorax 1.25 B70f, Lunge",
        "may be repeated, 3 scans",
    };
    (void)state;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(same); i++)
        check(same[i], same[i]);
}

static void test_known_values_are_cut(void **state)
{
    (void)state;
    check("CT Doe CHEST", "CT CHEST");
    check("CT doe, jane CHEST", "CT , CHEST");
    check("scan of JANEDOE head", "scan of head");
    check("Janet head", "head");
    check("Doeskin head", "Doeskin head");
    check("id A1234 and A 12 34 x", "id and x");
    check("Mercy Chest", "Chest");
    check("HOSPITAL/MERCY chest", "/ chest");
    check("Doe", "");
    check("knee Jan\xE9 JAN\xC9X", "knee");
}

static void clean_mary(const char *text, const char *want)
{
    struct vivo_known *k = vivo_known_empty();
    struct vivo_buf out;
    assert_non_null(k);
    assert_int_equal(vivo_known_add(k, "", "PN", "CHEST^MARY", 10), 0);
    vivo_buf_init(&out, 4096);
    assert_int_equal(
        vivo_clean_text(k, "", "LO", (const uint8_t *)text, strlen(text), &out), 0);
    assert_int_equal(vivo_buf_add(&out, "", 1), 0);
    assert_string_equal((char *)out.data, want);
    vivo_buf_free(&out);
    vivo_known_free(k);
}

/* What happens to hold a name is no name; what is one as a whole goes all the same. */
static void test_words_of_radiology_that_hold_a_name_stay(void **state)
{
    (void)state;
    clean_mary("GTV primary", "GTV primary");
    clean_mary("GTV PRIMARY of Mary", "GTV PRIMARY of");
    clean_mary("CT chest", "CT");
    clean_mary("scan rosemary", "scan");
    clean_mary("xprimary lesion", "lesion");
}

static void test_dates_and_times_are_cut(void **state)
{
    static const char *const dates[] = {
        "20040119",
        "2004-01-19",
        "2004.01.19",
        "19.1.2004",
        "1/19/04",
        "19 Jan 2004",
        "Jan 19, 2004",
        "January 19th, 2004",
        "19JAN2004",
        "19-Jan-04",
        "19. Januar",
        "5 de mayo de 2004",
        "01/2004",
        "2004-01",
        "19.01.",
        "2004 01 19",
        "07:27",
        "07:27:30",
        "7:27 pm",
        "7 pm",
        "14h30",
        "2004-01-19T07:27",
        "072730",
        "December",
        "March 2004",
        "14.30 Uhr",
        "1er mars 2004",
        "01/19",
        "19/01/2004 07:27:30.5",
    };
    (void)state;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(dates); i++) {
        char text[128];
        snprintf(text, sizeof text, "head %s sag", dates[i]);
        struct vivo_buf out;
        vivo_buf_init(&out, 4096);
        struct vivo_known *none = vivo_known_empty();
        assert_int_equal(
            vivo_clean_text(none, "", "LO", (const uint8_t *)text, strlen(text), &out),
            0);
        vivo_known_free(none);
        for (size_t j = 0; j < out.len; j++)
            if (out.data[j] >= '0' && out.data[j] <= '9')
                fail_msg("%s -> %.*s", text, (int)out.len, (char *)out.data);
        assert_true(has_bytes(out.data, out.len, "head", 4));
        assert_true(has_bytes(out.data, out.len, "sag", 3));
        assert_false(has_bytes(out.data, out.len, "an", 2));
        vivo_buf_free(&out);
    }
}

static void test_numbers_and_addresses_are_cut(void **state)
{
    (void)state;
    check("ref 12345 knee", "ref knee");
    check("ref 1234 knee", "ref 1234 knee");
    check("call +49 (89) 123 45 67 now", "call now");
    check("call 555-1234 now", "call now");
    check("tel 1234 now", "tel now");
    check("SSN 123-45-6789", "SSN");
    check("see a.b@example.org please", "see please");
    check("see https://x.example/y?z=1 please", "see please");
    check("uid 1.2.840.10008.5 end", "uid end");
    check("MRN: 77 left", "MRN: left");
}

static void test_titled_names_are_cut(void **state)
{
    (void)state;
    check("for Dr. Smith chest", "for chest");
    check("for Dr Smith CT CHEST", "for CT CHEST");
    check("Prof. Dr. med. Hans Weber knee", "knee");
    check("Mrs Robinson left", "left");
    check("DR MILLER KNEE", "KNEE");
    check("Mr. van der Berg ct", "ct");
    check("Patient: Miller, Tom ct", "Patient: ct");
    check("Smith^John knee", "knee");
}

/* 32 and others: a cut keeps whole characters of the element's own set. */
static void test_cuts_keep_the_character_set(void **state)
{
    (void)state;
    clean_as("ISO_IR 100", "LO",
             "f\xFCr Jane Sch\xE4"
             "del",
             "f\xFCr Sch\xE4"
             "del");
    clean_as("ISO_IR 192", "LO",
             "f\xC3\xBCr Jane Sch\xC3\xA4"
             "del",
             "f\xC3\xBCr Sch\xC3\xA4"
             "del");
    /* The second byte of the first character is a backslash. */
    clean_as("GB18030", "LO", "\x81\x5C Jane \xB2\xE2", "\x81\x5C \xB2\xE2");
    /* ISO 2022 IR 87: escapes stay where they are. */
    clean_as("\\ISO 2022 IR 87", "LO", "Jane \x1B$B;3ED\x1B(B ct",
             "\x1B$B;3ED\x1B(B ct");
}

static void test_undecodable_text_is_emptied(void **state)
{
    (void)state;
    clean_as("", "LO", "knee \xFC", "");
    clean_as("ISO_IR 192", "LO", "knee \xC3", "");
    clean_as("ISO_IR 192", "LO", "knee \xFF left", "");
}

static void with_name(const char *charset, const char *name, const char *text_charset,
                      const char *text, const char *want)
{
    struct vivo_known *k = vivo_known_empty();
    struct vivo_buf out;
    vivo_buf_init(&out, 4096);
    assert_int_equal(vivo_known_add(k, charset, "PN", name, strlen(name)), 0);
    assert_int_equal(vivo_clean_text(k, text_charset, "LT", (const uint8_t *)text,
                                     strlen(text), &out),
                     0);
    assert_int_equal(vivo_buf_add(&out, "", 1), 0);
    assert_string_equal((char *)out.data, want);
    vivo_buf_free(&out);
    vivo_known_free(k);
}

/* 34: a name in one set is found in a text in another. */
static void test_names_are_found_across_character_sets(void **state)
{
    (void)state;
    with_name("ISO_IR 100", "M\xDCLLER^X", "ISO_IR 192", "scan m\xC3\xBCller", "scan");
    with_name("ISO_IR 100", "M\xDCLLER^X", "", "scan Muller knee", "scan knee");
    with_name("ISO_IR 192", "\xE5\xB1\xB1\xE7\x94\xB0^\xE5\xA4\xAA\xE9\x83\x8E",
              "\\ISO 2022 IR 87", "ct \x1B$B;3ED\x1B(B knee", "ct \x1B$B\x1B(B knee");
    /* A combining accent is no other letter. */
    with_name("ISO_IR 192", "Andr\xC3\xA9^X", "ISO_IR 192", "by Andre\xCC\x81 ct",
              "by ct");
}

/* Words that have no end are no text, and take no time. */
static void test_endless_words_are_cut_fast(void **state)
{
    static const char part[] = "12345aJane";
    struct vivo_known *k = doe();
    struct vivo_buf in, out;
    (void)state;
    vivo_buf_init(&in, 2u << 20);
    vivo_buf_init(&out, 2u << 20);
    assert_int_equal(vivo_buf_puts(&in, "head "), 0);
    while (in.len < (1u << 20) - sizeof part)
        assert_int_equal(vivo_buf_puts(&in, part), 0);
    assert_int_equal(vivo_clean_text(k, "", "UT", in.data, in.len, &out), 0);
    assert_int_equal(out.len, 4);
    assert_memory_equal(out.data, "head", 4);
    vivo_buf_free(&in);
    vivo_buf_free(&out);
    vivo_known_free(k);
}

static void test_lines_stay_lines(void **state)
{
    (void)state;
    clean_as("", "LT", "first Jane\r\nsecond 12345\r\nthird",
             "first \r\nsecond \r\nthird");
}

/* What is left says nothing more to cut. */
static void test_cleaning_twice_changes_nothing(void **state)
{
    static const char text[] = "12 Jane 34 Jane 567 Dr Jane Smith CT 1.2 Jane .3.4";
    struct vivo_known *k = doe();
    struct vivo_buf once, twice;
    (void)state;
    vivo_buf_init(&once, 4096);
    vivo_buf_init(&twice, 4096);
    assert_int_equal(
        vivo_clean_text(k, "", "LO", (const uint8_t *)text, sizeof text - 1, &once), 0);
    assert_true(has_bytes(once.data, once.len, "CT", 2));
    assert_int_equal(vivo_clean_text(k, "", "LO", once.data, once.len, &twice), 0);
    assert_int_equal(once.len, twice.len);
    assert_memory_equal(once.data, twice.data, once.len);
    vivo_buf_free(&once);
    vivo_buf_free(&twice);
    vivo_known_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_descriptions_stay),
        cmocka_unit_test(test_known_values_are_cut),
        cmocka_unit_test(test_words_of_radiology_that_hold_a_name_stay),
        cmocka_unit_test(test_dates_and_times_are_cut),
        cmocka_unit_test(test_numbers_and_addresses_are_cut),
        cmocka_unit_test(test_titled_names_are_cut),
        cmocka_unit_test(test_cuts_keep_the_character_set),
        cmocka_unit_test(test_undecodable_text_is_emptied),
        cmocka_unit_test(test_names_are_found_across_character_sets),
        cmocka_unit_test(test_endless_words_are_cut_fast),
        cmocka_unit_test(test_lines_stay_lines),
        cmocka_unit_test(test_cleaning_twice_changes_nothing),
    };
    return cmocka_run_group_tests(tests, deid_setup, NULL);
}
