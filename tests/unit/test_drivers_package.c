/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_drivers_package.c -- where files of exports belong, by their paths.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "drivers/package_map.h"

#include "vivofs/base.h"

#include <stdio.h>
#include <string.h>

/* "collection patient", "-" for what is not said, or "none". */
static const char *placed(const char *path)
{
    static char text[2 * VIVO_PACKAGE_TEXT_MAX + 4];
    struct vivo_package_place at;
    struct vivo_package *p = NULL;
    struct vivo_err err = {0};
    assert_int_equal(vivo_package_look(-1, &p, &err), 0);
    bool there = vivo_package_place(p, path, &at);
    vivo_package_free(p);
    snprintf(text, sizeof text, "%s %s", at.collection[0] ? at.collection : "-",
             at.patient[0] ? at.patient : "-");
    return there ? text : "none";
}

static void test_xnat_paths_name_project_and_subject(void **state)
{
    (void)state;
    static const struct {
        const char *path, *want;
    } cases[] = {
        {"P/S/E/scans/1-T1/resources/DICOM/files/a.dcm", "P S"},
        {"P/S/E/scans/1-T1/resources/12/files/sub/a.dcm", "P S"},
        {"P/S/E/SCANS/1/DICOM/a.dcm", "P S"},
        {"P/S/E/SCANS/3-MR1/secondary/a.dcm", "P S"},
        {"x/y/P/S/E/SCANS/1/DICOM/sub/a.dcm", "P S"},
        {"P/arc001/E/SCANS/1/DICOM/a.dcm", "P -"},
        {"P/arc00x/E/SCANS/1/DICOM/a.dcm", "P arc00x"},
        {"P X/S.1/E/SCANS/1/DICOM/a", "P X S.1"},
        {"SCANS/scans/E/SCANS/1/DICOM/a", "SCANS scans"},
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(cases); i++)
        assert_string_equal(placed(cases[i].path), cases[i].want);
}

static void test_ida_paths_name_project_and_subject(void **state)
{
    (void)state;
    static const struct {
        const char *path, *want;
    } cases[] = {
        {"ADNI/002_S_0295/fMRI/2012-05-10_15_42_37.0/I303069/a.dcm", "ADNI 002_S_0295"},
        {"x/y/P/S/D/2006-04-18_08_20_30.0/S13408/b_I45108.dcm", "P S"},
        {"P/S/D/2006-04-18_08_20_30.12/I1/b", "P S"},
        {"S/D/2006-04-18_08_20_30.0/I1/b", "none"},
        {"P/S/D/2006-04-18 08:20:30.0/I1/b", "none"},
        {"P/S/D/2006-04-18_08_20_30/I1/b", "none"},
        {"P/S/D/2006-04-18_08_20_30.0/I/b", "none"},
        {"P/S/D/2006-04-18_08_20_30.0/I1x/b", "none"},
        {"P/S/D/2006-04-18_08_20_30.0/X12/b", "none"},
        {"/S/D/2006-04-18_08_20_30.0/I12/b", "none"},
        {"P/S/D/2006-04-18_08_20_30.0/I123456789012345678901/b", "none"},
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(cases); i++)
        assert_string_equal(placed(cases[i].path), cases[i].want);
}

static void test_references_stay_below_the_folder(void **state)
{
    (void)state;
    static const struct {
        const char *folder, *reference, *want;
    } cases[] = {
        {"", "./a/b", "a/b"},
        {"m/", ".\\a\\b", "m/a/b"},
        {"m/n/", "../a", "m/a"},
        {"m/", "file:a%20b/%2e/c", "m/a b/c"},
        {"", "..", NULL},
        {"m/", "../../a", NULL},
        {"m/", "%2e%2e/%2e%2e/a", NULL},
        {"", "/etc/passwd", NULL},
        {"", "%2fetc/passwd", NULL},
        {"", "file:///etc/passwd", NULL},
        {"", "http://h/a", NULL},
        {"", "a%00b", NULL},
        {"", ".", NULL},
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(cases); i++) {
        char out[64];
        bool there =
            vivo_package_path(cases[i].folder, cases[i].reference, out, sizeof out);
        assert_int_equal(there, cases[i].want != NULL);
        if (there)
            assert_string_equal(out, cases[i].want);
    }
}

static void test_nothing_is_guessed(void **state)
{
    (void)state;
    static const char *const paths[] = {
        "",
        "a.dcm",
        "S/E/SCANS/1/DICOM/a.dcm",
        "E/SCANS/1/DICOM/a.dcm",
        "SCANS/1/DICOM/a.dcm",
        "P/S/E/SCANS/1/a.dcm",
        "P/S/E/SCANS/1/NIFTI/a.nii",
        "P/S/E/scans/1/resources/DICOM/a.dcm",
        "P/S/E/images/1/DICOM/a.dcm",
        "P/S/E/SCANS/DICOM/a.dcm",
        "P/S/E/SCANS/1/DICOM",
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(paths); i++)
        assert_string_equal(placed(paths[i]), "none");
}

static void test_long_paths_are_borne(void **state)
{
    (void)state;
    char path[2000] = "";
    for (size_t i = 0; i < 200; i++)
        strncat(path, "a/", sizeof path - strlen(path) - 1);
    strncat(path, "P/S/E/SCANS/1/DICOM/x", sizeof path - strlen(path) - 1);
    assert_string_equal(placed(path), "none");
    snprintf(path, sizeof path, "P/%0400d/E/SCANS/1/DICOM/x", 0);
    assert_string_equal(placed(path), "P -");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_xnat_paths_name_project_and_subject),
        cmocka_unit_test(test_ida_paths_name_project_and_subject),
        cmocka_unit_test(test_references_stay_below_the_folder),
        cmocka_unit_test(test_nothing_is_guessed),
        cmocka_unit_test(test_long_paths_are_borne),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
