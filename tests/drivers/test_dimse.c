/* SPDX-License-Identifier: Apache-2.0 */
/* tests/drivers/test_dimse.c -- the DIMSE driver against DCMTK's own server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "dimse_run.h"

/* Of one patient: explicit little endian, as it is sent. The conformance test wants a
 * score of associations for each object. */
static const char *const bad_locators[] = {
    "1.2/3.4/5.6/..",
    "1.2/3.4/5.6/ct",
    "1.2/3.4/5.6/CT/7",
    "1.2/3.4",
    "1.2/*/5.6",
    "1.2/3.4/5.6\\7.8",
    "1..2/3.4/5.6",
    "12345678901234567890123456789012345678901234567890123456789012345/1/1",
    NULL};

static unsigned conform(struct pacs *p, const char *settings, size_t objects)
{
    char url[300];
    snprintf(url, sizeof url, "dimse://VIVOFS@%s/ARCHIVE%s", p->address, settings);
    const struct vivo_conformance c = {.source = url,
                                       .missing = "dimse://127.0.0.1:9/ARCHIVE",
                                       .missing_errno = EIO,
                                       .objects = objects,
                                       .expect = expect_file,
                                       .ctx = p,
                                       .unknown = "1.2.3/1.2.3.4/1.2.3.4.5/CT",
                                       .escapes = bad_locators};
    return vivo_conformance(&c);
}

/* Of two objects. */
static void check_server(const char *const *argv)
{
    struct pacs p;
    pacs_start(&p, argv);
    unsigned failures = conform(&p, "", 2);
    child_stop(&p.child);
    assert_int_equal(failures, 0);
}

static void test_dcmqrscp_with_get_conforms(void **state)
{
    static const char *const argv[] = {DCMQRSCP, "--make", "1,2,1,1", NULL};
    (void)state;
    check_server(argv);
}

static void test_unknown_title_is_refused_with_the_reason(void **state)
{
    static const char *const argv[] = {DCMQRSCP, "--make", "1,1,1,1", NULL};
    struct pacs p;
    struct gathering g;
    struct vivo_op op;
    char url[300];
    (void)state;
    pacs_start(&p, argv);
    snprintf(url, sizeof url, "dimse://VIVOFS@%s/NOSUCH", p.address);
    struct vivo_archive *a = open_source(url, 10000);
    int rc = list_all(a, &g, &op);
    gathering_free(&g);
    vivo_archive_close(a);
    child_stop(&p.child);
    assert_int_equal(rc, -EACCES);
    assert_non_null(strstr(op.err.text, "AE title"));
}

static void test_dcmqrscp_without_get_conforms_by_move(void **state)
{
    static const char *const argv[] = {DCMQRSCP, "--make", "1,1,1,2",
                                       "--flag=--disable-get", NULL};
    char settings[40];
    struct pacs p;
    (void)state;
    pacs_start(&p, argv);
    snprintf(settings, sizeof settings, "?move=%u", p.move);
    unsigned failures = conform(&p, settings, 2);
    child_stop(&p.child);
    assert_int_equal(failures, 0);
}

/* Studies are asked for patient by patient (PS3.4 annex C.6.1), and nothing else. */
static void test_dcmqrscp_of_patients_conforms(void **state)
{
    static const char *const argv[] = {DCMQRSCP,     "--make",     "1,2,1,1",
                                       "--flag=-QS", "--flag=-XF", NULL};
    (void)state;
    check_server(argv);
}

static void test_patients_are_moved_here_too(void **state)
{
    static const char *const argv[] = {
        DCMQRSCP, "--make", "1,1,1,1", "--flag=-QS", "--flag=--disable-get", NULL};
    struct pacs p;
    struct gathering g;
    struct receipt r;
    struct vivo_op op;
    struct vivo_buf want;
    char url[300];
    (void)state;
    pacs_start(&p, argv);
    snprintf(url, sizeof url, "dimse://VIVOFS@%s/ARCHIVE?move=%u", p.address, p.move);
    struct vivo_archive *a = open_source(url, 10000);
    assert_int_equal(list_all(a, &g, &op), 0);
    assert_int_equal(g.n_objects, 1);
    receipt_init(&r, false, &op);
    int rc = vivo_archive_fetch(a, g.objects[0].locator, &r.base, &op);
    assert_int_equal(expect_file(&p, NULL, g.objects[0].uid, &want), 0);
    vivo_archive_close(a);
    child_stop(&p.child);
    assert_int_equal(rc, 0);
    assert_int_equal(r.bytes.len, want.len);
    assert_memory_equal(r.bytes.data, want.data, want.len);
    vivo_buf_free(&want);
    receipt_free(&r);
    gathering_free(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dcmqrscp_with_get_conforms),
        cmocka_unit_test(test_dcmqrscp_without_get_conforms_by_move),
        cmocka_unit_test(test_unknown_title_is_refused_with_the_reason),
        cmocka_unit_test(test_dcmqrscp_of_patients_conforms),
        cmocka_unit_test(test_patients_are_moved_here_too),
    };
    return cmocka_run_group_tests(tests, start_tables, NULL);
}
