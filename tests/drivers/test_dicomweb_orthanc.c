/* SPDX-License-Identifier: Apache-2.0 */
/* tests/drivers/test_dicomweb_orthanc.c -- the DICOMweb driver against a real Orthanc,
 * which the driver knows more ways into than DICOMweb. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "dicomweb_run.h"

#define ORTHANC VIVO_TEST_SOURCE_DIR "/tests/lib/orthanc.py"

/* Starts it, or skips the test where there is none. */
static void start_orthanc(struct child *orthanc, const char *const *argv, char url[300])
{
    assert_int_equal(child_start(orthanc, argv), 0);
    if (strncmp(orthanc->line, "http://", 7) != 0) {
        print_message("%s\n", orthanc->line);
        child_stop(orthanc);
        fail();
    }
    snprintf(url, 300, "dicomweb+%s", orthanc->line);
}

static void test_orthanc_conforms(void **state)
{
    (void)state;
    static const char *const argv[] = {ORTHANC, "--make", SHAPE, NULL};
    char url[300];
    struct child orthanc;
    struct gathering g;
    struct vivo_op op;
    start_orthanc(&orthanc, argv, url);
    const struct vivo_conformance c = {
        .source = url,
        .net = net,
        .missing = "dicomweb+http://127.0.0.1:9/dicom-web",
        .missing_errno = EIO,
        .objects = OBJECTS,
        .expect = expect_file,
        .unknown = "1.2.3/1.2.3.4/1.2.3.4.5/"
                   "00000000-00000000-00000000-00000000-00000000",
        .escapes = bad_locators};
    unsigned failures = vivo_conformance(&c);
    /* Its own interface must be in use: sizes are known before anything is fetched. */
    struct vivo_archive *a = open_source(url, NULL);
    int rc = list_all(a, &g, &op);
    size_t sized = 0;
    for (size_t i = 0; i < g.n_objects; i++)
        sized += g.objects[i].size > 0 && g.objects[i].version;
    gathering_free(&g);
    vivo_archive_close(a);
    child_stop(&orthanc);
    assert_int_equal(failures, 0);
    assert_int_equal(rc, 0);
    assert_int_equal(sized, OBJECTS);
}

struct owners { /* what is listed as whose */
    struct vivo_intake base;
    size_t n;
    char locators[8][400], patients[8][20];
    char container[400];
};

static int note_owner(struct vivo_intake *self, const struct vivo_record *rec,
                      struct vivo_err *err)
{
    struct owners *o = (struct owners *)self;
    (void)err;
    if (rec->level < VIVO_LEVEL_INSTANCE) {
        snprintf(o->container, sizeof o->container, "%s", rec->locator);
        return 0;
    }
    assert_true(o->n < 8);
    snprintf(o->locators[o->n], 400, "%s", rec->locator);
    vivo_attrs_text(rec->attrs, VIVO_TAG_PatientID, o->patients[o->n++], 20);
    return 0;
}

/* Two patients whose objects have the same UIDs: nothing may be filed under the other.
 */
static void test_patients_who_share_uids_are_told_apart(void **state)
{
    (void)state;
    static const char *const argv[] = {ORTHANC, "--make", "2,1,1,2", "--shared", NULL};
    char url[300];
    struct child orthanc;
    struct vivo_op op;
    struct owners o = {.base.record = note_owner};
    start_orthanc(&orthanc, argv, url);
    struct vivo_archive *a = open_source(url, NULL);
    vivo_op_init(&op, 0);
    int rc = vivo_archive_list(a, VIVO_LEVEL_NONE, NULL, &o.base, &op);
    if (rc == 0)
        rc = vivo_archive_list(a, VIVO_LEVEL_STUDY, o.container, &o.base, &op);
    if (rc == 0)
        rc = vivo_archive_list(a, VIVO_LEVEL_SERIES, o.container, &o.base, &op);
    size_t right = 0;
    for (size_t i = 0; rc == 0 && i < o.n; i++) {
        struct receipt r;
        receipt_init(&r, false, &op);
        rc = vivo_archive_fetch(a, o.locators[i], &r.base, &op);
        right += rc == 0 && memmem(r.bytes.data, r.bytes.len, o.patients[i], 7) != NULL;
        receipt_free(&r);
    }
    vivo_archive_close(a);
    child_stop(&orthanc);
    assert_int_equal(rc, 0);
    assert_int_equal(o.n, 4);
    assert_int_equal(right, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_orthanc_conforms),
        cmocka_unit_test(test_patients_who_share_uids_are_told_apart),
    };
    return cmocka_run_group_tests(tests, start_all, stop_all);
}
