/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_drivers_package.c -- where files of exports belong, by their paths.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "drivers/package.h"

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
        cmocka_unit_test(test_nothing_is_guessed),
        cmocka_unit_test(test_long_paths_are_borne),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
