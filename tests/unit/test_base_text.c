/* SPDX-License-Identifier: Apache-2.0 */
/* Text, buffers and hashes of src/base. Expected hashes are the published test
 * vectors of FIPS 180-4, RFC 4231 and RFC 4648. */
#include "vivofs/hash.h"
#include "vivofs/text.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void safe(const char *in, const char *want, bool want_changed)
{
    struct vivo_buf b;
    bool changed;
    vivo_buf_init(&b, 256);
    assert_int_equal(vivo_text_safe(in, strlen(in), &b, &changed), 0);
    assert_string_equal(b.data ? (char *)b.data : "", want);
    assert_int_equal(changed, want_changed);
    vivo_buf_free(&b);
}

static void test_safe_keeps_what_is_safe(void **state)
{
    (void)state;
    safe("MRN_00042.a+b=c@d-e", "MRN_00042.a+b=c@d-e", false);
    safe("", "", false);
}

static void test_safe_replaces_and_squeezes(void **state)
{
    (void)state;
    safe("M\xC3\xBCller Stra\xC3\x9F"
         "e",
         "Muller-Strasse", true);
    safe("a / b", "a-b", true);
    safe("a--b", "a-b", true);
    safe("../../etc", "etc", true);
    safe("-rf", "rf", true);
    safe("\xE5\xB1\xB1\xE7\x94\xB0", "", true);
    safe("x\xFFy", "x-y", true);
    safe("A\xCC\x81"
         "b",
         "Ab", true);
}

static void test_fold_is_simple_case_folding(void **state)
{
    (void)state;
    struct vivo_buf b;
    vivo_buf_init(&b, 64);
    const char *in = "STRASSE \xC3\x84\xCE\xA3\xCF\x82\xC3\x9F\xE1\xBA\x9E\xC4\xB0";
    assert_int_equal(vivo_text_fold(in, strlen(in), &b), 0);
    assert_string_equal((char *)b.data,
                        "strasse \xC3\xA4\xCF\x83\xCF\x83\xC3\x9F\xC3\x9F\xC4\xB0");
    vivo_buf_free(&b);
}

static void test_nfc_composes_and_repairs(void **state)
{
    (void)state;
    struct vivo_buf b;
    vivo_buf_init(&b, 64);
    assert_int_equal(vivo_text_nfc("e\xCC\x81\xFFz", 5, &b), 0);
    assert_string_equal((char *)b.data, "\xC3\xA9\xEF\xBF\xBDz");
    vivo_buf_free(&b);
}

static void test_nearest_finds_the_typo(void **state)
{
    (void)state;
    static const char *const words[] = {"Modality", "Manufacturer", "PatientID"};
    assert_string_equal(vivo_text_nearest("Modalty", words, 3), "Modality");
    assert_null(vivo_text_nearest("zzz", words, 3));
}

static void test_buf_never_grows_beyond_its_maximum(void **state)
{
    (void)state;
    struct vivo_buf b;
    vivo_buf_init(&b, 4);
    assert_int_equal(vivo_buf_add(&b, "abcd", 4), 0);
    assert_int_equal(vivo_buf_add(&b, "e", 1), -ENOSPC);
    assert_string_equal((char *)b.data, "abcd");
    vivo_buf_free(&b);
}

static void test_json_and_csv_escape(void **state)
{
    (void)state;
    struct vivo_buf b;
    vivo_buf_init(&b, 64);
    assert_int_equal(vivo_buf_json(&b, "a\"\\\n\xFF", 5), 0);
    assert_string_equal((char *)b.data, "\"a\\\"\\\\\\u000a\xEF\xBF\xBD\"");
    vivo_buf_clear(&b);
    assert_int_equal(vivo_buf_csv(&b, "a,\"b", 4), 0);
    assert_string_equal((char *)b.data, "\"a,\"\"b\"");
    vivo_buf_free(&b);
}

static void test_hashes_match_their_standards(void **state)
{
    (void)state;
    uint8_t d[VIVO_DIGEST_LEN];
    char hex[65];
    vivo_sha256("abc", 3, d);
    vivo_hex(d, 32, hex);
    assert_string_equal(
        hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    vivo_hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, d);
    vivo_hex(d, 32, hex);
    assert_string_equal(
        hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    char b32[17];
    vivo_base32((const uint8_t *)"foobar", 6, b32, 10);
    assert_string_equal(b32, "mzxw6ytboi");
}

static void test_seal_opens_only_with_its_key(void **state)
{
    (void)state;
    uint8_t key[32] = {1};
    uint8_t other[32] = {2};
    struct vivo_buf sealed;
    struct vivo_buf plain;
    vivo_buf_init(&sealed, 256);
    vivo_buf_init(&plain, 256);
    assert_int_equal(vivo_seal(key, "secret", 6, &sealed), 0);
    assert_null(memmem(sealed.data, sealed.len, "secret", 6));
    assert_int_equal(vivo_unseal(other, sealed.data, sealed.len, &plain), -EBADMSG);
    assert_int_equal(vivo_unseal(key, sealed.data, sealed.len, &plain), 0);
    assert_string_equal((char *)plain.data, "secret");
    sealed.data[14] ^= 1;
    vivo_buf_clear(&plain);
    assert_int_equal(vivo_unseal(key, sealed.data, sealed.len, &plain), -EBADMSG);
    vivo_buf_free(&sealed);
    vivo_buf_free(&plain);
}

static void test_fail_in_puts_context_in_front(void **state)
{
    (void)state;
    struct vivo_err err = {0};
    assert_int_equal(vivo_fail(&err, EIO, "HTTP %d", 503), -EIO);
    assert_int_equal(vivo_fail_in(&err, "row #%d", 91), -EIO);
    assert_string_equal(err.text, "row #91: HTTP 503");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_safe_keeps_what_is_safe),
        cmocka_unit_test(test_safe_replaces_and_squeezes),
        cmocka_unit_test(test_fold_is_simple_case_folding),
        cmocka_unit_test(test_nfc_composes_and_repairs),
        cmocka_unit_test(test_nearest_finds_the_typo),
        cmocka_unit_test(test_buf_never_grows_beyond_its_maximum),
        cmocka_unit_test(test_json_and_csv_escape),
        cmocka_unit_test(test_hashes_match_their_standards),
        cmocka_unit_test(test_seal_opens_only_with_its_key),
        cmocka_unit_test(test_fail_in_puts_context_in_front),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
