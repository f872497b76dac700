/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_deid_refuse.c -- what policy does not serve, and why it says so.
 * Numbers as in test_deid_nesting.c. */
#include "deid_run.h"

static enum vivo_refusal verdict(const char *words, enum vivo_burned_in rule,
                                 const struct make *m, bool *at_risk)
{
    struct run r;
    struct vivo_key *k = test_key('k');
    struct vivo_deid *d = test_profile(words, rule, k);
    run_bytes(&r, d, m->b, m->n);
    enum vivo_refusal why = r.report.refusal;
    *at_risk = r.report.at_risk;
    assert_int_equal(r.rc, why == VIVO_REFUSAL_NONE ? 0 : -EPERM);
    run_free(&r);
    vivo_deid_free(d);
    vivo_key_free(k);
    return why;
}

/* 73 */
static void test_burned_in_is_refused_by_rule(void **state)
{
    struct make m;
    bool risk = false;
    (void)state;
    make_ct(&m, MAKE_ELE);
    make_patient(&m);
    make_text(&m, 0x00280301, "CS", "YES");
    make_text(&m, 0x00280301, "CS", "NO"); /* twice does not help */
    assert_int_equal(verdict("basic", VIVO_BURNED_IN_REFUSE, &m, &risk),
                     VIVO_REFUSAL_BURNED_IN);
    assert_int_equal(verdict("basic", VIVO_BURNED_IN_ALLOW, &m, &risk),
                     VIVO_REFUSAL_NONE);
    assert_true(risk);
    free(m.b);
    assert_string_equal(vivo_refusal_code(VIVO_REFUSAL_BURNED_IN), "burned-in");
}

static void make_class(struct make *m, const char *sop_class, const char *type)
{
    make_file(m, MAKE_ELE, sop_class, "1.2.826.0.1.99.1");
    make_text(m, 0x00080008, "CS", type);
    make_text(m, 0x00080016, "UI", sop_class);
    make_text(m, 0x00080018, "UI", "1.2.826.0.1.99.1");
    make_patient(m);
}

static void test_strict_refuses_by_class_and_type(void **state)
{
    static const struct {
        const char *sop_class, *type;
        bool risky;
    } want[] = {
        {"1.2.840.10008.5.1.4.1.1.7", "DERIVED\\SECONDARY", true},
        {"1.2.840.10008.5.1.4.1.1.7.2", "DERIVED\\SECONDARY", true},
        {"1.2.840.10008.5.1.4.1.1.6.1", "ORIGINAL\\PRIMARY", true},
        {"1.2.840.10008.5.1.4.1.1.12.1", "ORIGINAL\\PRIMARY", true},
        {"1.2.840.10008.5.1.4.1.1.77.1.4", "ORIGINAL\\PRIMARY", true},
        {MAKE_CT, "DERIVED\\SECONDARY\\SCREEN SAVE", true},
        {MAKE_CT, "ORIGINAL\\PRIMARY\\AXIAL", false},
        {"1.2.840.10008.5.1.4.1.1.4", "ORIGINAL\\PRIMARY\\M", false},
    };
    (void)state;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(want); i++) {
        struct make m;
        bool risk = false;
        make_class(&m, want[i].sop_class, want[i].type);
        assert_int_equal(verdict("basic", VIVO_BURNED_IN_REFUSE, &m, &risk),
                         VIVO_REFUSAL_NONE);
        assert_int_equal(risk, want[i].risky);
        assert_int_equal(verdict("strict", VIVO_BURNED_IN_REFUSE, &m, &risk),
                         want[i].risky ? VIVO_REFUSAL_AT_RISK : VIVO_REFUSAL_NONE);
        make_text(&m, 0x00280301, "CS", "NO");
        assert_int_equal(verdict("strict", VIVO_BURNED_IN_REFUSE, &m, &risk),
                         VIVO_REFUSAL_NONE);
        assert_false(risk);
        free(m.b);
    }
}

/* 70: documents are refused; allowed, their content is a dummy all the same. */
static void test_documents_are_refused(void **state)
{
    struct make m;
    struct run r;
    bool risk = false;
    (void)state;
    make_class(&m, "1.2.840.10008.5.1.4.1.1.104.1", "ORIGINAL");
    make_text(&m, 0x00420010, "ST", "TITLETOKEN");
    make_value(&m, 0x00420011, "OB", "%PDF DOCTOKEN", 13);
    make_text(&m, 0x00420012, "LO", "application/pdf");
    assert_int_equal(verdict("basic", VIVO_BURNED_IN_REFUSE, &m, &risk),
                     VIVO_REFUSAL_DOCUMENT);
    struct vivo_key *k = test_key('k');
    struct vivo_deid *d = test_profile("basic", VIVO_BURNED_IN_ALLOW, k);
    run_bytes(&r, d, m.b, m.n);
    assert_int_equal(r.rc, 0);
    assert_false(has_token(&r, "DOCTOKEN"));
    assert_false(has_token(&r, "TITLETOKEN"));
    assert_value(&r, 0x00420012, "application/pdf");
    vivo_deid_free(d);
    vivo_key_free(k);
    finish(&r, &m);
}

static void test_dicomdir_is_refused(void **state)
{
    (void)state;
    struct vivo_buf b;
    struct vivo_err err = {0};
    vivo_buf_init(&b, 1u << 20);
    assert_int_equal(vivo_file_read(VIVO_TEST_PYDICOM
                                    "/test_files/dicomdirtests/DICOMDIR",
                                    1u << 20, &b, &err),
                     0);
    struct make m = {.b = b.data, .n = b.len};
    bool risk = false;
    assert_int_equal(verdict("basic", VIVO_BURNED_IN_ALLOW, &m, &risk),
                     VIVO_REFUSAL_DICOMDIR);
    vivo_buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_burned_in_is_refused_by_rule),
        cmocka_unit_test(test_strict_refuses_by_class_and_type),
        cmocka_unit_test(test_documents_are_refused),
        cmocka_unit_test(test_dicomdir_is_refused),
    };
    return cmocka_run_group_tests(tests, deid_setup, NULL);
}
