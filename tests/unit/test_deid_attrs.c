/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_deid_attrs.c -- attributes of a listing: the same policy, the same
 * values as in the object. */
#include "deid_run.h"

static void put(struct vivo_buf *b, uint32_t tag, const char *vr, const char *text)
{
    assert_int_equal(vivo_attrs_put(b, tag, vr, text, strlen(text)), 0);
}

static struct vivo_attrs of(const struct vivo_buf *b)
{
    return (struct vivo_attrs){b->data, b->len};
}

static void clean_attrs(const char *words, const struct vivo_buf *in,
                        const struct vivo_buf *context, struct vivo_buf *out)
{
    struct vivo_key *k = test_key('k');
    struct vivo_deid *d = test_profile(words, VIVO_BURNED_IN_REFUSE, k);
    struct vivo_err err = {0};
    vivo_buf_init(out, VIVO_ATTRS_MAX);
    if (vivo_deid_attrs(d, of(in), of(context), out, &err))
        fail_msg("%s", err.text);
    vivo_deid_free(d);
    vivo_key_free(k);
}

static void want(const struct vivo_buf *b, uint32_t tag, const char *text)
{
    char got[128];
    vivo_attrs_text(of(b), tag, got, sizeof got);
    assert_string_equal(got, text);
}

static void test_row_has_the_values_of_the_object(void **state)
{
    struct vivo_buf in, none = {0}, out;
    struct make m;
    struct run r;
    struct vivo_attr a;
    (void)state;
    make_ct(&m, MAKE_ELE);
    make_patient(&m);
    make_study(&m);
    run_profile(&r, "basic", &m);
    vivo_buf_init(&in, 4096);
    put(&in, 0x00020010, "UI", MAKE_ELE);
    put(&in, 0x00080020, "DA", "20110405");
    put(&in, 0x00080060, "CS", "CT");
    put(&in, 0x00100010, "PN", "NAMETOKEN^JANE");
    put(&in, 0x00100020, "LO", "IDTOKEN77");
    put(&in, 0x0020000D, "UI", "1.2.826.0.1.99.2");
    clean_attrs("basic", &in, &none, &out);
    assert_false(has_bytes(out.data, out.len, "TOKEN", 5));
    assert_false(has_bytes(out.data, out.len, "20110405", 8));
    want(&out, 0x00020010, MAKE_ELE);
    want(&out, VIVO_TAG_Modality, "CT");
    want(&out, VIVO_TAG_PatientID, look_at(&r, VIVO_TAG_PatientID, 0).value);
    want(&out, VIVO_TAG_PatientName, look_at(&r, VIVO_TAG_PatientID, 0).value);
    want(&out, VIVO_TAG_StudyInstanceUID,
         look_at(&r, VIVO_TAG_StudyInstanceUID, 0).value);
    assert_false(vivo_attrs_find(of(&out), 0x00120062, &a)); /* no method */
    vivo_buf_free(&in);
    vivo_buf_free(&out);
    finish(&r, &m);
}

static void test_issuer_comes_from_the_context(void **state)
{
    struct vivo_buf in, context, out;
    (void)state;
    vivo_buf_init(&in, 4096);
    vivo_buf_init(&context, 4096);
    put(&in, 0x00100020, "LO", "IDTOKEN77");
    put(&context, 0x00100021, "LO", "A");
    clean_attrs("basic", &in, &context, &out);
    want(&out, VIVO_TAG_PatientID, "P4HAHBYL4PFB2FZFUR76L");
    vivo_buf_free(&out);
    /* Series rows carry a name but no ID. */
    vivo_buf_clear(&in);
    put(&in, 0x00100010, "PN", "NAMETOKEN^JANE");
    put(&context, 0x0020000D, "UI", "1.2.826.0.1.99.2");
    clean_attrs("basic", &in, &context, &out);
    want(&out, VIVO_TAG_PatientName, "PJYIPAAZSUM4W4JCBZPKI");
    vivo_buf_free(&out);
    vivo_buf_free(&in);
    vivo_buf_free(&context);
}

static void test_absent_patient_is_not_added(void **state)
{
    struct vivo_buf in, none = {0}, out;
    struct vivo_attr a;
    (void)state;
    vivo_buf_init(&in, 4096);
    put(&in, 0x0020000E, "UI", "1.2.826.0.1.99.3");
    put(&in, 0x00201209, "IS", "120");
    clean_attrs("basic", &in, &none, &out);
    assert_false(vivo_attrs_find(of(&out), VIVO_TAG_PatientID, &a));
    want(&out, VIVO_TAG_NumberOfSeriesRelatedInstances, "120");
    vivo_buf_free(&in);
    vivo_buf_free(&out);
}

/* X/Z/D without a class: a dummy would be shown where the objects show nothing. */
static void test_row_without_class_shows_no_dummies(void **state)
{
    struct vivo_buf in, none = {0}, out;
    struct vivo_attr a;
    (void)state;
    vivo_buf_init(&in, 4096);
    put(&in, 0x00080021, "DA", "20110405");  /* X/D */
    put(&in, 0x00080080, "LO", "INSTTOKEN"); /* X/Z/D */
    put(&in, 0x0020000D, "UI", "1.2.826.0.1.99.2");
    clean_attrs("basic", &in, &none, &out);
    assert_false(vivo_attrs_find(of(&out), 0x00080021, &a));
    assert_false(vivo_attrs_find(of(&out), 0x00080080, &a));
    vivo_buf_free(&in);
    vivo_buf_free(&out);
}

static void test_empty_and_none_pass(void **state)
{
    struct vivo_buf in, none = {0}, out;
    struct vivo_err err = {0};
    (void)state;
    clean_attrs("basic", &none, &none, &out);
    assert_int_equal(out.len, 0);
    vivo_buf_free(&out);
    vivo_buf_init(&in, 4096);
    put(&in, 0x00100020, "LO", "IDTOKEN77");
    struct vivo_deid *d = test_profile("none", VIVO_BURNED_IN_REFUSE, NULL);
    vivo_buf_init(&out, VIVO_ATTRS_MAX);
    assert_int_equal(vivo_deid_attrs(d, of(&in), of(&none), &out, &err), 0);
    assert_int_equal(out.len, in.len);
    assert_memory_equal(out.data, in.data, in.len);
    vivo_deid_free(d);
    vivo_buf_free(&in);
    vivo_buf_free(&out);
}

static void test_broken_attrs_fail_closed(void **state)
{
    static const uint8_t broken[] = {0x10, 0, 0x20, 0, 'L', 'O', 0xFF, 0xFF, 'I', 'D'};
    struct vivo_key *k = test_key('k');
    struct vivo_deid *d = test_profile("basic", VIVO_BURNED_IN_REFUSE, k);
    struct vivo_err err = {0};
    struct vivo_buf out;
    (void)state;
    vivo_buf_init(&out, VIVO_ATTRS_MAX);
    struct vivo_attrs in = {broken, sizeof broken}, none = {NULL, 0};
    assert_int_equal(vivo_deid_attrs(d, in, none, &out, &err), -EBADMSG);
    assert_int_equal(out.len, 0);
    vivo_buf_free(&out);
    vivo_deid_free(d);
    vivo_key_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_row_has_the_values_of_the_object),
        cmocka_unit_test(test_issuer_comes_from_the_context),
        cmocka_unit_test(test_absent_patient_is_not_added),
        cmocka_unit_test(test_row_without_class_shows_no_dummies),
        cmocka_unit_test(test_empty_and_none_pass),
        cmocka_unit_test(test_broken_attrs_fail_closed),
    };
    return cmocka_run_group_tests(tests, deid_setup, NULL);
}
