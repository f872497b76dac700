/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_dcm_charset.c -- text of every character set as UTF-8 NFC.
 *
 * The names of `files` are those in pydicom's charset_files (public test names);
 * what they read as was worked out with pydicom. The others are made by hand from
 * PS3.3 C.12.1.1.2 and PS3.5 section 6.1 and its annexes H, I, J. */
#include "vivofs/dcm.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

struct sample {
    const char *charset, *vr, *raw, *text;
};

static void check(const char *charset, const char *vr, const char *raw, size_t len,
                  const char *text)
{
    struct vivo_buf b;
    vivo_buf_init(&b, 4096);
    assert_int_equal(vivo_dcm_text(charset, vr, raw, len, &b), 0);
    vivo_buf_add(&b, "", 1);
    assert_string_equal((const char *)b.data, text);
    vivo_buf_free(&b);
}

static void check_all(const struct sample *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        check(s[i].charset, s[i].vr, s[i].raw, strlen(s[i].raw), s[i].text);
}

static const struct sample files[] = {
    {"ISO_IR 127", "PN", "\xe2\xc8\xc7\xe6\xea^\xe4\xe6\xd2\xc7\xd1",
     "قباني^لنزار"},                                        /* chrArab.dcm */
    {"ISO_IR 100", "PN", "Buc^J\xe9r\xf4me", "Buc^Jérôme"}, /* chrFren.dcm */
    {"ISO_IR 100", "PN", "Buc^J\xe9r\xf4me\x5c\x42uc^J\xe9r\xf4me",
     "Buc^Jérôme\\Buc^Jérôme"}, /* chrFrenMulti.dcm */
    {"ISO_IR 100", "PN", "\xc4neas^R\xfc\x64iger", "Äneas^Rüdiger"}, /* chrGerm.dcm */
    {"ISO_IR 126", "PN", "\xc4\xe9\xef\xed\xf5\xf3\xe9\xef\xf2",
     "Διονυσιος"}, /* chrGreek.dcm */
    {"\\ISO 2022 IR 87", "PN",
     "Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$\x3f$m$&"
     "\x1b(B",
     "Yamada^Tarou=山田^太郎=やまだ^たろう"}, /* chrH31.dcm */
    {"ISO 2022 IR 13\\ISO 2022 IR 87", "PN",
     "\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b("
     "J^\x1b$B$\x3f$m$&\x1b(J",
     "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"}, /* chrH32.dcm */
    {"ISO_IR 138", "PN", "\xf9\xf8\xe5\xef^\xe3\xe1\xe5\xf8\xe4",
     "שרון^דבורה"}, /* chrHbrw.dcm */
    {"\\ISO 2022 IR 149", "PN",
     "Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)"
     "C\xb1\xe6\xb5\xbf",
     "Hong^Gildong=洪^吉洞=홍^길동"}, /* chrI2.dcm */
    {"\\ISO 2022 IR 87", "PN", "\x1b$B$d$^$@\x1b(B^\x1b$B$\x3f$m$&\x1b(B",
     "やまだ^たろう"}, /* chrJapMulti.dcm */
    {"\\ISO 2022 IR 87", "PN",
     "\x1b$B$d$^$@\x1b(B^\x1b$B$\x3f$m$&\x1b(B\x5c\x1b$B$d$^$@\x1b(B^\x1b$B$\x3f$m$&"
     "\x1b(B",
     "やまだ^たろう\\やまだ^たろう"},                              /* chrJapMulti.dcm */
    {"\\ISO 2022 IR 87", "LT", "\x1b$B$\x3f$m$&\x1b(B", "たろう"}, /* chrJapMulti.dcm */
    {"ISO 2022 IR 6\\ISO 2022 IR 87", "PN", "\x1b$B$d$^$@\x1b(B^\x1b$B$\x3f$m$&\x1b(B",
     "やまだ^たろう"}, /* chrJapMultiExplicitIR6.dcm */
    {"ISO 2022 IR 6\\ISO 2022 IR 87", "PN",
     "\x1b$B$d$^$@\x1b(B^\x1b$B$\x3f$m$&\x1b(B\x5c\x1b$B$d$^$@\x1b(B^\x1b$B$\x3f$m$&"
     "\x1b(B",
     "やまだ^たろう\\やまだ^たろう"}, /* chrJapMultiExplicitIR6.dcm */
    {"ISO 2022 IR 6\\ISO 2022 IR 87", "LT", "\x1b$B$\x3f$m$&\x1b(B",
     "たろう"}, /* chrJapMultiExplicitIR6.dcm */
    {"\\ISO 2022 IR 149", "PN", "\x1b$)C\xb1\xe8\xc8\xf1\xc1\xdf\x1b(B",
     "김희중"}, /* chrKoreanMulti.dcm */
    {"\\ISO 2022 IR 149", "PN",
     "\x1b$)C\xb1\xe8\xc8\xf1\xc1\xdf\x1b(B\x5c\x1b$)C\xb1\xe8\xc8\xf1\xc1\xdf\x1b(B",
     "김희중\\김희중"}, /* chrKoreanMulti.dcm */
    {"\\ISO 2022 IR 149", "LT", "\x1b$)C\xb1\xe8\xc8\xf1\xc1\xdf\x1b(B",
     "김희중"}, /* chrKoreanMulti.dcm */
    {"ISO_IR 144", "PN", "\xbb\xee\xda\x63\x65\xdc\xd1yp\xd3",
     "Люкceмбypг"}, /* chrRuss.dcm */
    {"ISO 2022 IR 13\\ISO 2022 IR 87", "PN",
     "\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b("
     "B^\x1b$B$\x3f$m$&\x1b(B",
     "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"}, /* chrSQEncoding.dcm */
    {"ISO_IR 192", "PN", "Wang^XiaoDong=\xe7\x8e\x8b^\xe5\xb0\x8f\xe6\x9d\xb1=",
     "Wang^XiaoDong=王^小東="}, /* chrX1.dcm */
    {"GB18030", "PN", "Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab=",
     "Wang^XiaoDong=王^小东="}, /* chrX2.dcm */
};

static void test_text_of_real_files_reads_as_pydicom_reads_it(void **state)
{
    (void)state;
    check_all(files, VIVO_ARRAY_LEN(files));
}

static void test_text_of_every_single_byte_set_is_decoded(void **state)
{
    (void)state;
    static const struct sample samples[] = {
        {"ISO_IR 100", "LO", "\xe9", "é"},
        {"ISO_IR 101", "LO", "\xb1", "ą"},
        {"ISO_IR 109", "LO", "\xa1", "Ħ"},
        {"ISO_IR 110", "LO", "\xa2", "ĸ"},
        {"ISO_IR 144", "LO", "\xb6", "Ж"},
        {"ISO_IR 127", "LO", "\xc7", "ا"},
        {"ISO_IR 126", "LO", "\xe1", "α"},
        {"ISO_IR 138", "LO", "\xe0", "א"},
        {"ISO_IR 148", "LO", "\xfd", "ı"},
        {"ISO_IR 166", "LO", "\xa1", "ก"},
        {"ISO_IR 203", "LO", "\xa4", "€"},
        {"ISO_IR 13", "LO", "\xb1\\A~", "ｱ\\A~"},
        {"GBK", "LO", "\xcd\xf5", "王"},
        {"GB18030", "LO", "\x81\x30\x86\x30", "¸"},
        {"ISO_IR 192", "LO", "e\xcc\x81", "é"},
    };
    check_all(samples, VIVO_ARRAY_LEN(samples));
}

static void test_text_with_escapes_changes_sets(void **state)
{
    (void)state;
    static const struct sample samples[] = {
        /* Latin 1 first, Greek and Cyrillic by escape. */
        {"ISO 2022 IR 100\\ISO 2022 IR 126\\ISO 2022 IR 144", "LO",
         "\xe9 \x1b-F\xe1 \x1b-L\xb6 \x1b-A\xe9", "é α Ж é"},
        /* JIS X 0212 (PS3.5 annex H) and JIS X 0208 in one value. */
        {"\\ISO 2022 IR 159\\ISO 2022 IR 87", "LO", "\x1b$(D0!\x1b$B0!\x1b(BA",
         "丂亜A"},
        /* GB 2312 (PS3.5 annex K). */
        {"\\ISO 2022 IR 58", "PN", "Zhang=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1",
         "Zhang=张^小"},
        {"ISO 2022 IR 6\\ISO 2022 IR 149", "LO", "\x1b$)C\xb1\xe8 A", "김 A"},
        /* Katakana by escape. */
        {"\\ISO 2022 IR 13", "LO", "\x1b)I\xb1", "ｱ"},
        /* Spelling mistakes that occur. */
        {"ISO-IR 100", "LO", "\xe9", "é"},
        {"iso_ir_192", "LO", "\xc3\xa9", "é"},
        {"UTF-8", "LO", "\xc3\xa9", "é"},
    };
    check_all(samples, VIVO_ARRAY_LEN(samples));
}

static void test_text_backslash_inside_character_does_not_split(void **state)
{
    (void)state;
    static const struct sample samples[] = {
        /* U+596C in GB18030 and GBK: the second byte is 5C. */
        {"GB18030", "LO", "\x8a\\\\A", "奬\\A"},
        {"GBK", "LO", "\x8a\\\\A", "奬\\A"},
        /* Kanji of row 60: the first byte is 5C. */
        {"\\ISO 2022 IR 87", "LO", "\x1b$B\\!\x1b(B\\A", "棔\\A"},
        /* Shift-JIS that calls itself ISO_IR 13. */
        {"ISO_IR 13", "LO", "\x83\\\\\x83J", "ソ\\カ"},
    };
    check_all(samples, VIVO_ARRAY_LEN(samples));
}

static void test_text_delimiters_end_the_reach_of_escapes(void **state)
{
    (void)state;
    static const struct sample samples[] = {
        {"\\ISO 2022 IR 126", "LO", "\x1b-F\xe1\\\xe1", "α\\\uFFFD"},
        {"\\ISO 2022 IR 126", "LT", "\x1b-F\xe1\\\xe1", "α\\α"},
        {"\\ISO 2022 IR 126", "PN", "\x1b-F\xe1^\xe1=\xe1", "α^\uFFFD=\uFFFD"},
        {"\\ISO 2022 IR 126", "LO", "\x1b-F\xe1^\xe1", "α^α"},
        {"\\ISO 2022 IR 126", "LT", "\x1b-F\xe1\r\n\xe1", "α\r\n\uFFFD"},
        {"ISO 2022 IR 100\\ISO 2022 IR 126", "PN", "\x1b-F\xe1^\xe9", "α^é"},
    };
    check_all(samples, VIVO_ARRAY_LEN(samples));
}

static void test_text_bad_bytes_become_replacement_characters(void **state)
{
    (void)state;
    static const struct sample samples[] = {
        {"", "LO", "A\xe9Z", "A\uFFFDZ"},
        {"ISO_IR 999", "LO", "\xe9", "\uFFFD"},
        {"ISO_IR 192", "LO", "A\xffZ", "A\uFFFDZ"},
        {"ISO_IR 109", "LO", "\xa5", "\uFFFD"},
        {"GB18030", "LO", "\xffZ", "\uFFFDZ"},
        {"\\ISO 2022 IR 149", "LO", "\x1b$)C\xb1", "\uFFFD"},
        {"\\ISO 2022 IR 87", "LO", "\x1b$B;", "\uFFFD"},
        {"\\ISO 2022 IR 87", "LO", "\x1b%Z;", "\uFFFD%Z;"},
        {"\\ISO 2022 IR 87", "LO", "\x1b", "\uFFFD"},
    };
    check_all(samples, VIVO_ARRAY_LEN(samples));
}

static void test_text_random_bytes_never_fail_and_are_utf8(void **state)
{
    (void)state;
    static const char *const charsets[] = {
        "",
        "ISO_IR 13",
        "GB18030",
        "GBK",
        "ISO_IR 192",
        "ISO 2022 IR 13\\ISO 2022 IR 87\\ISO 2022 IR 159",
        "\\ISO 2022 IR 149\\ISO 2022 IR 58",
    };
    uint32_t seed = 20;
    for (int round = 0; round < 20000; round++) {
        char raw[24];
        for (size_t i = 0; i < sizeof raw; i++) {
            seed = seed * 1664525u + 1013904223u;
            raw[i] = seed >> 28 == 0 ? '\x1b' : (char)(seed >> 16);
        }
        struct vivo_buf once;
        struct vivo_buf again;
        vivo_buf_init(&once, 4096);
        vivo_buf_init(&again, 4096);
        const char *charset = charsets[(unsigned)round % VIVO_ARRAY_LEN(charsets)];
        assert_int_equal(
            vivo_dcm_text(charset, round & 1 ? "PN" : "LO", raw, sizeof raw, &once), 0);
        /* What came out is UTF-8: it reads as itself. */
        assert_int_equal(vivo_dcm_text("ISO_IR 192", "LO", once.data, once.len, &again),
                         0);
        assert_int_equal(once.len, again.len);
        assert_memory_equal(once.data, again.data, once.len);
        vivo_buf_free(&once);
        vivo_buf_free(&again);
    }
}

static void *decode(void *arg)
{
    (void)arg;
    for (int i = 0; i < 50; i++)
        check_all(files, VIVO_ARRAY_LEN(files));
    return NULL;
}

static void test_text_threads_share_tables(void **state)
{
    (void)state;
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, decode, NULL), 0);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_threads_share_tables),
        cmocka_unit_test(test_text_of_real_files_reads_as_pydicom_reads_it),
        cmocka_unit_test(test_text_of_every_single_byte_set_is_decoded),
        cmocka_unit_test(test_text_with_escapes_changes_sets),
        cmocka_unit_test(test_text_backslash_inside_character_does_not_split),
        cmocka_unit_test(test_text_delimiters_end_the_reach_of_escapes),
        cmocka_unit_test(test_text_bad_bytes_become_replacement_characters),
        cmocka_unit_test(test_text_random_bytes_never_fail_and_are_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
