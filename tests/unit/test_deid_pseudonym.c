/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_deid_pseudonym.c -- pseudonyms are the same for ever, and the
 * values that kept attributes must have. The expected pseudonyms were computed with
 * Python's hmac from the rule in key.c and pseudonym.c. */
#include "deid_run.h"

static void test_patient_is_stable(void **state)
{
    struct vivo_key *k = test_key('k');
    char out[22];
    (void)state;
    vivo_pseudo_patient(k, "", "IDTOKEN77", out);
    assert_string_equal(out, "PDH6NC4JEAMQWMU4AKCRR");
    vivo_pseudo_patient(k, "A", "IDTOKEN77", out);
    assert_string_equal(out, "P4HAHBYL4PFB2FZFUR76L");
    vivo_pseudo_patient(k, "", "AIDTOKEN77", out);
    assert_string_equal(out, "PEU46ODPP2BAZDAEXVSOB");
    vivo_pseudo_patient_of_uid(k, "1.2.826.0.1.99.2", out);
    assert_string_equal(out, "PJYIPAAZSUM4W4JCBZPKI");
    vivo_key_free(k);
}

static void test_uid_is_stable_and_trimmed(void **state)
{
    struct vivo_key *k = test_key('k');
    char a[VIVO_UID_MAX + 1], b[VIVO_UID_MAX + 1];
    (void)state;
    vivo_pseudo_uid(k, "1.2.3", 5, a);
    assert_string_equal(a, "2.25.234097171984883635176255082173133813128");
    vivo_pseudo_uid(k, "1.2.3\0", 6, b);
    assert_string_equal(a, b);
    vivo_pseudo_uid(k, " 1.2.3 ", 7, b);
    assert_string_equal(a, b);
    vivo_pseudo_uid(k, "1.2.4", 5, b);
    assert_string_not_equal(a, b);
    vivo_key_free(k);
}

static void test_other_key_gives_other_pseudonyms(void **state)
{
    struct vivo_key *k = test_key('k'), *l = test_key('l');
    char a[VIVO_UID_MAX + 1], b[VIVO_UID_MAX + 1];
    (void)state;
    assert_string_not_equal(vivo_key_id(k), vivo_key_id(l));
    vivo_pseudo_uid(k, "1.2.3", 5, a);
    vivo_pseudo_uid(l, "1.2.3", 5, b);
    assert_string_not_equal(a, b);
    vivo_pseudo_patient(k, "", "1", a);
    vivo_pseudo_patient(l, "", "1", b);
    assert_string_not_equal(a, b);
    vivo_key_free(k);
    vivo_key_free(l);
}

static void test_domains_differ(void **state)
{
    struct vivo_key *k = test_key('k');
    uint8_t a[VIVO_DIGEST_LEN], b[VIVO_DIGEST_LEN];
    (void)state;
    for (int i = VIVO_DOMAIN_PATIENT; i < VIVO_DOMAIN_COUNT; i++)
        for (int j = i + 1; j < VIVO_DOMAIN_COUNT; j++) {
            vivo_key_mac(k, (enum vivo_domain)i, "x", 1, a);
            vivo_key_mac(k, (enum vivo_domain)j, "x", 1, b);
            assert_memory_not_equal(a, b, sizeof a);
        }
    vivo_key_derive(k, "seal", "data", 4, a);
    vivo_key_derive(k, "lookup", "data", 4, b);
    assert_memory_not_equal(a, b, sizeof a);
    char hex[2 * VIVO_DIGEST_LEN + 1];
    vivo_hex(a, sizeof a, hex);
    assert_string_equal(
        hex, "9bd22d00af98038bfe827c81a1b476abaeac681ee9e74842cb26a105454f616f");
    vivo_key_free(k);
}

static void uids(const char *in, bool registry, const char *want)
{
    struct vivo_key *k = test_key('k');
    struct vivo_buf b;
    vivo_buf_init(&b, 4096);
    assert_int_equal(vivo_pseudo_uids(k, in, strlen(in), registry, &b), 0);
    assert_string_equal((const char *)b.data, want);
    vivo_buf_free(&b);
    vivo_key_free(k);
}

static void test_uids_registered_stay_others_go(void **state)
{
    (void)state;
    uids("1.2.840.10008.5.1.4.1.1.2", false, "1.2.840.10008.5.1.4.1.1.2");
    uids("1.2.840.10008.1.2.1", false, "1.2.840.10008.1.2.1");
    uids("1.2.840.10008.1.4.1.1", false, "1.2.840.10008.1.4.1.1");
    uids("1.2.3\\1.2.840.10008.1.2.1", false,
         "2.25.234097171984883635176255082173133813128\\1.2.840.10008.1.2.1");
    uids("2.16.840.1.113883.6.96", true, "2.16.840.1.113883.6.96");
    uids("1.2.3", true, "2.25.234097171984883635176255082173133813128");
}

static void test_uids_malformed_become_valid(void **state)
{
    static const char *const bad[] = {
        "1.2.840.10008.5.1.4.1.1.2.JANE",
        "DOE^JANE",
        "0001.002",
        "1.2.3.4444444444444444444444444444444444444444444444444444444444444444444",
    };
    struct vivo_key *k = test_key('k');
    (void)state;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(bad); i++) {
        struct vivo_buf b;
        vivo_buf_init(&b, 4096);
        assert_int_equal(vivo_pseudo_uids(k, bad[i], strlen(bad[i]), true, &b), 0);
        assert_true(vivo_deid_valid("UI", b.data, b.len));
        assert_true(b.len <= VIVO_UID_MAX);
        assert_memory_equal(b.data, "2.25.", 5);
        vivo_buf_free(&b);
    }
    vivo_key_free(k);
}

static void test_code_fits_and_is_stable_per_scheme(void **state)
{
    struct vivo_key *k = test_key('k');
    char a[17], b[17];
    (void)state;
    vivo_pseudo_code(k, "99SITE", "ABC ", 4, a);
    vivo_pseudo_code(k, "99SITE", "ABC", 3, b);
    assert_string_equal(a, b);
    assert_int_equal(strlen(a), 16);
    vivo_pseudo_code(k, "99OTHER", "ABC", 3, b);
    assert_string_not_equal(a, b);
    vivo_key_free(k);
}

static void test_name_is_a_pseudonym_per_domain(void **state)
{
    struct vivo_key *k = test_key('k');
    struct vivo_deid *d = test_profile("basic", VIVO_BURNED_IN_REFUSE, k);
    struct vivo_deid *none = test_profile("none", VIVO_BURNED_IN_REFUSE, NULL);
    char a[65], b[65];
    (void)state;
    vivo_deid_name(d, "collection", "NAMETOKEN", a);
    vivo_deid_name(d, "file", "NAMETOKEN", b);
    assert_string_not_equal(a, b);
    assert_null(strstr(a, "NAMETOKEN"));
    vivo_deid_name(none, "collection", "NAMETOKEN", a);
    assert_string_equal(a, "NAMETOKEN");
    vivo_deid_free(d);
    vivo_deid_free(none);
    vivo_key_free(k);
}

static bool valid(const char *vr, const char *s)
{
    return vivo_deid_valid(vr, (const uint8_t *)s, strlen(s));
}

static void test_valid_values_pass(void **state)
{
    (void)state;
    assert_true(valid("DS", "-1.5e-3\\ 2 \\"));
    assert_true(valid("DS", "0.12345678901234567890"));
    assert_true(valid("IS", "+12\\-7"));
    assert_true(valid("AS", "045Y"));
    assert_true(valid("DA", "20040229"));
    assert_true(valid("TM", "072730.123456"));
    assert_true(valid("TM", "07"));
    assert_true(valid("DT", "20040119072730.123456+0100"));
    assert_true(valid("DT", "200401"));
    assert_true(valid("CS", "HFS \\FEET_1"));
    assert_true(valid("LO", "Siemens \xC4rzte"));
    assert_true(valid("ST", "two\r\nlines \\ one value"));
}

static void test_invalid_values_fail(void **state)
{
    (void)state;
    assert_false(valid("DS", "DOE^JANE"));
    assert_false(valid("DS", "1.5\\DOE"));
    assert_false(valid("DS", "1e"));
    assert_false(valid("DS", "."));
    assert_false(valid("IS", "12 JANE"));
    assert_false(valid("AS", "DOEY"));
    assert_false(valid("AS", "45Y"));
    assert_false(valid("DA", "20230230JANE"));
    assert_false(valid("DA", "2004.01.19"));
    assert_false(valid("DA", "20041301"));
    assert_false(valid("TM", "07:27:30"));
    assert_false(valid("TM", "2561"));
    assert_false(valid("DT", "20040119JANE"));
    assert_false(valid("CS", "Doe Jane"));
    assert_false(valid("CS", "DOE^JANE"));
    assert_false(valid("CS", "LONGER THAN SIXTEEN"));
    assert_false(valid("UI", "1.2.x"));
    assert_false(valid("LO", "a\nb"));
    assert_false(valid("ZZ", "1"));
    assert_false(vivo_deid_valid("US", (const uint8_t *)"abc", 3));
    assert_false(vivo_deid_valid("FD", (const uint8_t *)"abcdef", 6));
}

static void age(const char *in, const char *want)
{
    struct vivo_buf b;
    vivo_buf_init(&b, 64);
    assert_int_equal(vivo_deid_cap_age((const uint8_t *)in, strlen(in), &b), 0);
    assert_string_equal((const char *)b.data, want);
    vivo_buf_free(&b);
}

static void test_age_is_capped(void **state)
{
    (void)state;
    age("089Y", "089Y");
    age("090Y", "090Y");
    age("093Y", "090Y");
    age("999W", "999W");
    age("999M", "999M");
    age("011D", "011D");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_patient_is_stable),
        cmocka_unit_test(test_uid_is_stable_and_trimmed),
        cmocka_unit_test(test_other_key_gives_other_pseudonyms),
        cmocka_unit_test(test_domains_differ),
        cmocka_unit_test(test_uids_registered_stay_others_go),
        cmocka_unit_test(test_uids_malformed_become_valid),
        cmocka_unit_test(test_code_fits_and_is_stable_per_scheme),
        cmocka_unit_test(test_name_is_a_pseudonym_per_domain),
        cmocka_unit_test(test_valid_values_pass),
        cmocka_unit_test(test_invalid_values_fail),
        cmocka_unit_test(test_age_is_capped),
    };
    return cmocka_run_group_tests(tests, deid_setup, NULL);
}
