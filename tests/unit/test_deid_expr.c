/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_deid_expr.c -- CTP's boolean expressions over a captured header. */
#include "deid_run.h"

#include "deid/ctp_expr.h"

static void capture(struct vivo_header *h, const struct vivo_deid *d,
                    const struct make *m)
{
    struct vivo_mem_reader r;
    struct vivo_err err = {0};
    vivo_mem_reader_init(&r, m->b, m->n);
    vivo_header_init(h, d);
    h->collects = true;
    if (vivo_dcm_walk_reader(&r.base, NULL, 0, -1, vivo_header_event, h, &err))
        fail_msg("%s", err.text);
}

static void make_object(struct make *m)
{
    make_ct(m, MAKE_ELE);
    make_text(m, 0x00080070, "LO", "ACME Medical ");
    make_sequence(m, 0x00081140, true);
    make_item(m, true);
    make_text(m, 0x00081150, "UI", MAKE_CT);
    make_item_end(m);
    make_sequence_end(m);
    make_text(m, 0x00090010, "LO", "ACME 1.0");
    make_text(m, 0x00091001, "LO", "secret");
    make_patient(m);
    make_text(m, 0x00180050, "DS", "-5.0");
    make_pixels(m);
}

static int evaluate(const struct vivo_header *h, const char *text, struct vivo_err *err)
{
    struct vivo_ctp_source s = {"x.script", text, strlen(text)};
    struct vivo_ctp_expr *e = NULL;
    int rc = vivo_ctp_expr_parse(&s, 0, s.len, &e, err);
    if (rc)
        return rc;
    rc = vivo_ctp_expr_eval(e, h);
    vivo_ctp_expr_free(e);
    return rc;
}

static const struct {
    const char *text;
    int want;
} cases[] = {
    {"", 1},
    {" // nothing\n", 1},
    {"true * !false", 1},
    {"true + false * false", 1},
    {"(true + false) * false", 0},
    {"!true + true", 1},
    {"!(true + true)", 0},
    {"!!Modality.equals(\"CT\")", 1},
    {"Modality.equals(\"ct\")", 0},
    {"Modality.equalsIgnoreCase(\"ct\")", 1},
    {"[0008,0060].equals(\"CT\")", 1},
    {"(0008,0060).equals(\"CT\") * (00080060.contains(\"C\"))", 1},
    {"Manufacturer.equals(\"ACME Medical\")", 1},
    {"Manufacturer.containsIgnoreCase(\"acme\")", 1},
    {"Manufacturer.startsWith(\"acme\")", 0},
    {"Manufacturer.startsWithIgnoreCase(\"acme\")", 1},
    {"Manufacturer.endsWith(\"cal\")", 1},
    {"Manufacturer.endsWithIgnoreCase(\"CAL\")", 1},
    {"Manufacturer.matches(\"ACME\")", 0},
    {"Manufacturer.matches(\"ACME\\\\s\\\\w+\")", 1},
    {"ImageType.contains(\"\\\\AXIAL\")", 1},
    {"ImageType.equals(\"ORIGINAL\\\\PRIMARY\\\\AXIAL\")", 1},
    {"Rows.equals(\"4\") * Columns.isGreaterThan(\"7\")", 1},
    {"Columns.isLessThan(\"8\")", 0},
    {"SliceThickness.isGreaterThan(\"4\")", 1}, /* the sign is lost, as in CTP */
    {"StationName.equals(\"\")", 1},
    {"StationName.contains(\"\")", 1},
    {"ReferencedImageSequence::ReferencedSOPClassUID.endsWith(\"1.1.2\")", 1},
    {"ReferencedImageSequence::Modality.equals(\"\")", 1},
    {"root:Modality.equals(\"CT\")", 1},
    {"0009[ACME 1.0]01.equals(\"secret\")", 1},
    {"0009[OTHER]01.equals(\"\")", 1},
    {"PatientName.contains(\"NAMETOKEN\") // a removed one\n * true", 1},
};

static void test_expressions_hold_as_in_ctp(void **state)
{
    (void)state;
    struct make m = {0};
    struct vivo_header h;
    struct vivo_key *k = test_key('k');
    struct vivo_deid *d = test_profile("basic", VIVO_BURNED_IN_REFUSE, k);
    make_object(&m);
    capture(&h, d, &m);
    for (size_t i = 0; i < VIVO_ARRAY_LEN(cases); i++) {
        struct vivo_err err = {0};
        int rc = evaluate(&h, cases[i].text, &err);
        if (rc != cases[i].want)
            fail_msg("%s: %d %s", cases[i].text, rc, err.text);
    }
    vivo_header_free(&h);
    vivo_deid_free(d);
    vivo_key_free(k);
    free(m.b);
}

static const struct {
    const char *text, *want;
} faults[] = {
    {"Modalty.equals(\"CT\")", "x.script:1: no attribute 'Modalty'; did you mean "
                               "Modality?"},
    {"true *\n Modality.is(\"CT\")", "x.script:2: no method 'is'"},
    {"Modality.equals(\"CT)", "x.script:1: a text that does not end"},
    {"(true", "x.script:1: ')' is wanted here"},
    {"true false", "x.script:1: '+' or '*' is wanted here"},
    {"true +", "x.script:1: the expression ends too early"},
    {"Modality", "x.script:1: '.' is wanted here"},
    {"Modality.matches(\"(?i)ct\")",
     "x.script:1: a regular expression that is not offered: lazy or possessive, or "
     "with (?"},
    {"Modality.matches(\"(\\\\1)\")",
     "x.script:1: an escape of regular expressions that is not offered"},
    {"Modality.matches(\"(\")", "x.script:1: that is no regular expression"},
};

static void test_faults_name_file_and_line(void **state)
{
    (void)state;
    struct vivo_header h = {0};
    for (size_t i = 0; i < VIVO_ARRAY_LEN(faults); i++) {
        struct vivo_err err = {0};
        assert_int_equal(evaluate(&h, faults[i].text, &err), -EINVAL);
        assert_string_equal(err.text, faults[i].want);
    }
}

static void test_deep_nesting_is_refused(void **state)
{
    (void)state;
    struct vivo_header h = {0};
    struct vivo_err err = {0};
    char text[4000];
    memset(text, '(', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_int_equal(evaluate(&h, text, &err), -EINVAL);
    assert_string_equal(err.text, "x.script:1: parentheses nested too deep");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_expressions_hold_as_in_ctp),
        cmocka_unit_test(test_faults_name_file_and_line),
        cmocka_unit_test(test_deep_nesting_is_refused),
    };
    return cmocka_run_group_tests(tests, deid_setup, NULL);
}
