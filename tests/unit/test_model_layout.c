/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_model_layout.c -- names in the layouts of other tools: whatever
 * stands in the attributes, a name is one safe path component. */
#include "vivofs/model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct vivo_buf set;

static void put(uint32_t tag, const char *vr, const char *text)
{
    if (text)
        assert_int_equal(vivo_attrs_put(&set, tag, vr, text, strlen(text)), 0);
}

/* A data set with this text wherever a layout looks; uid NULL: none. */
static struct vivo_attrs with(const char *text, const char *number, const char *uid)
{
    vivo_buf_init(&set, VIVO_ATTRS_MAX);
    put(VIVO_TAG_SOPInstanceUID, "UI", uid);
    put(VIVO_TAG_StudyDate, "DA", text);
    put(VIVO_TAG_AccessionNumber, "SH", text);
    put(VIVO_TAG_Modality, "CS", text);
    put(VIVO_TAG_StudyDescription, "LO", text);
    put(VIVO_TAG_SeriesDescription, "LO", text);
    put(VIVO_TAG_PatientID, "LO", text);
    put(VIVO_TAG_StudyInstanceUID, "UI", uid);
    put(VIVO_TAG_SeriesInstanceUID, "UI", uid);
    put(VIVO_TAG_StudyID, "SH", text);
    put(VIVO_TAG_SeriesNumber, "IS", number);
    return (struct vivo_attrs){set.data, set.len};
}

static const char long_text[] =
    "0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 "
    "0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 ";

static void test_names_are_safe_whatever_is_in_them(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "..",       ".",   "/etc/passwd",  "a/b",     "-rf",     ".hidden",
        "q",        "by",  "metadata.csv", "LICENSE", "a\nb",    "\x1b[31m",
        "\xC3\xA4", " x ", "...---...",    "",        long_text, "unknown",
    };
    static const char *const uids[] = {"1.2.3", "2.25.98765", "../../x", "1.2/3", "x"};
    static const char *const numbers[] = {"1", "-5", "", "99999999999999999999", "/"};
    for (size_t i = 0; i < VIVO_ARRAY_LEN(texts); i++)
        for (size_t j = 0; j < VIVO_ARRAY_LEN(uids); j++)
            for (int names = VIVO_NAMES_UID; names <= VIVO_NAMES_XNAT; names++)
                for (int level = VIVO_LEVEL_COLLECTION; level <= VIVO_LEVEL_INSTANCE;
                     level++) {
                    struct vivo_attrs a = with(texts[i], numbers[j], uids[j]);
                    const char *label = i % 2 && texts[i][0] ? texts[i] : NULL;
                    char out[VIVO_NAME_MAX + 1] = "";
                    bool has =
                        vivo_name_layout((enum vivo_names)names, (enum vivo_level)level,
                                         a, j % 2, label, out);
                    vivo_buf_free(&set);
                    if (!has)
                        continue;
                    size_t n = strlen(out);
                    assert_true(n > 0 && n <= VIVO_NAME_MAX);
                    assert_null(strchr(".- ", out[0]));
                    assert_true(out[n - 1] != ' ');
                    assert_int_equal(strspn(out, "abcdefghijklmnopqrstuvwxyz"
                                                 "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                                 "0123456789._+=@- "),
                                     n);
                    assert_string_not_equal(out, "q");
                    assert_string_not_equal(out, "by");
                    if (names != VIVO_NAMES_TCIA)
                        continue;
                    assert_string_not_equal(out, "metadata.csv");
                    assert_string_not_equal(out, "LICENSE");
                }
}

static void test_plain_names_have_no_description(void **state)
{
    (void)state;
    char out[VIVO_NAME_MAX + 1];
    assert_true(vivo_name_layout(VIVO_NAMES_TCIA, VIVO_LEVEL_STUDY,
                                 with("Secret", "7", "1.2.34567"), true, NULL, out));
    assert_string_equal(out, "Secret-NA-34567");
    vivo_buf_free(&set);
    assert_true(vivo_name_layout(VIVO_NAMES_TCIA, VIVO_LEVEL_SERIES,
                                 with("Secret", "7", "1.2.34567"), true, NULL, out));
    assert_string_equal(out, "7.000000-NA-34567");
    vivo_buf_free(&set);
}

/* Acquisitions and instances along a series; -1 = none. The wanted names are what
 * NBIA's own rule gives (nbia-dao, ImageDAO2Impl). */
static void check_numbering(const long (*rows)[2], size_t n, const char *const *want)
{
    struct vivo_numbering count = {0};
    for (size_t i = 0; i < n; i++)
        vivo_numbering_width(&count, rows[i][0] < 0 ? NULL : &rows[i][0],
                             rows[i][1] < 0 ? NULL : &rows[i][1]);
    for (size_t i = 0; i < n; i++) {
        char out[VIVO_NAME_MAX + 1];
        vivo_numbering_name(&count, rows[i][0] < 0 ? NULL : &rows[i][0], out);
        assert_string_equal(out, want[i]);
    }
}

static void test_files_are_counted_by_acquisition(void **state)
{
    (void)state;
    static const long one[][2] = {{-1, 1}, {-1, 2}, {-1, 3}};
    static const char *const one_want[] = {"1-1.dcm", "1-2.dcm", "1-3.dcm"};
    check_numbering(one, 3, one_want);
    static const long two[][2] = {{4, 1}, {4, 2}, {5, 3}, {4, 4}, {4, 5}};
    static const char *const two_want[] = {"1-1.dcm", "1-2.dcm", "2-1.dcm", "3-1.dcm",
                                           "3-2.dcm"};
    check_numbering(two, 5, two_want);
    static const long lost[][2] = {{4, 1}, {-1, 2}, {-1, 3}, {4, 4}};
    static const char *const lost_want[] = {"1-1.dcm", "2-1.dcm", "3-1.dcm", "4-1.dcm"};
    check_numbering(lost, 4, lost_want);
    long many[12][2];
    const char *many_want[12];
    static char text[12][16];
    for (int i = 0; i < 12; i++) {
        many[i][0] = 0;
        many[i][1] = 100 + i;
        snprintf(text[i], sizeof text[i], "1-%02d.dcm", i + 1);
        many_want[i] = text[i];
    }
    check_numbering((const long(*)[2])many, 12, many_want);
}

static void test_words_of_the_option(void **state)
{
    (void)state;
    enum vivo_names n = VIVO_NAMES_OWN;
    assert_true(vivo_names_of("tcia", &n) && n == VIVO_NAMES_TCIA);
    assert_true(vivo_names_of("own", &n) && n == VIVO_NAMES_OWN);
    assert_false(vivo_names_of("TCIA", &n) || vivo_names_of("", &n));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_are_safe_whatever_is_in_them),
        cmocka_unit_test(test_plain_names_have_no_description),
        cmocka_unit_test(test_files_are_counted_by_acquisition),
        cmocka_unit_test(test_words_of_the_option),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
