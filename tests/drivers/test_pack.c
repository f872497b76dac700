/* SPDX-License-Identifier: Apache-2.0 */
/* tests/drivers/test_pack.c -- the driver of zip and tar files: conformance for each
 * kind, then names, duplicates and what is no file. */
#include "collect.h"
#include "conformance.h"
#include "folder.h"
#include "pack_make.h"
#include "vivofs/dcm.h"
#include "vivofs/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define ODD_NAME "odd \xff\xfe \n'name"
#define UTF8_NAME "\xc3\xbc/\xe6\xbc\xa2.dcm"

/* ---- conformance ----------------------------------------------------------------- */

static int expect_file(void *ctx, const char *locator, const char *uid,
                       struct vivo_buf *out)
{
    const char *dir = ctx;
    char *path = folder_path(dir, locator);

    (void)uid;
    int rc = vivo_file_read(path, OBJECT_MAX, out, NULL);
    free(path);
    return rc;
}

/* Adds a file to the archive and to the folder that is compared with. */
static void add_both(struct pen *p, const char *dir, const char *name, const void *data,
                     size_t len)
{
    folder_write(dir, name, data, len);
    pen_file(p, name, data, len);
}

static bool is_dicom(const struct vivo_buf *b)
{
    return vivo_dcm_probe(b->data, VIVO_MIN(b->len, (size_t)4096), b->len);
}

/* How many of pydicom's files there are; the others are added as well. */
static size_t add_real_files(struct pen *p, const char *dir)
{
    const char *from = VIVO_TEST_PYDICOM "/charset_files";
    DIR *dp = opendir(from);
    size_t n = 0;

    assert_non_null(dp);
    for (const struct dirent *e; (e = readdir(dp)) != NULL;) {
        struct vivo_buf b;
        struct stat st;
        char *path = folder_path(from, e->d_name), name[PATH_MAX];
        vivo_buf_init(&b, OBJECT_MAX);
        if (stat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0) {
            assert_int_equal(vivo_file_read(path, OBJECT_MAX, &b, NULL), 0);
            snprintf(name, sizeof name, "%zu/%s", n % 3, e->d_name);
            add_both(p, dir, name, b.data, b.len);
            n += is_dicom(&b);
        }
        vivo_buf_free(&b);
        free(path);
    }
    closedir(dp);
    return n;
}

static void check_kind(const struct kind *k)
{
    struct pen p;
    char *dir = folder_new();
    pen_open(&p, k);
    size_t large = (3u << 20) + 17, n = add_real_files(&p, dir);
    uint8_t *b = make_object(large, 1);
    add_both(&p, dir, ODD_NAME "/" ODD_NAME, b, large);
    add_both(&p, dir, UTF8_NAME, b, 300);
    add_both(&p, dir, "notes.txt", "this is text", 12);
    add_both(&p, dir, "empty", "", 0);
    free(b);
    pen_close(&p);
    char *missing = folder_path(p.dir, "nowhere.zip");
    struct vivo_conformance c = {
        .source = p.path,
        .missing = missing,
        .missing_errno = ENOENT,
        .objects = n + 2,
        .expect = expect_file,
        .ctx = dir,
        .unknown = "0/nothing.dcm",
        .escapes = (const char *const[]){"notes.txt", "empty", "0/../notes.txt", NULL},
    };

    assert_true(n > 10);
    assert_int_equal(vivo_conformance(&c), 0);
    free(missing);
    pen_free(&p);
    folder_free(dir);
}

static void test_every_kind_conforms(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_kinds; i++)
        check_kind(&kinds[i]);
}

/* ---- open ------------------------------------------------------------------------ */

static void test_open_of_other_files_is_refused(void **state)
{
    (void)state;
    static const char text[] = "this is a file of text, and not a short one at all";
    char *dir = folder_new();
    uint8_t *object = make_object(5000, 1);
    folder_write(dir, "text.zip", text, sizeof text);
    folder_write(dir, "empty.tar", "", 0);
    folder_write(dir, "a.dcm", object, 5000);
    free(object);

    for (const char *const *p =
             (const char *const[]){"text.zip", "empty.tar", "a.dcm", NULL};
         *p; p++) {
        char *path = folder_path(dir, *p), want[PATH_MAX];
        struct vivo_archive *a;
        struct vivo_err err;
        assert_int_equal(try_open(path, &a, &err), -EINVAL);
        snprintf(want, sizeof want, "%s is a file that is no zip or tar", path);
        assert_ptr_equal(strstr(err.text, want), err.text);
        free(path);
    }
    folder_free(dir);
}

/* ---- names ----------------------------------------------------------------------- */

static void test_names_that_lead_elsewhere_are_only_names(void **state)
{
    (void)state;
    static const char *const names[] = {
        "../../../../../../../../tmp/vivofs-test-escape", "/etc/vivofs-test-escape",
        "a/../../b", "..", "\x01\x7f\r\n\t $(x)"};

    for (int k = ZIP; k <= TAR_GZ; k++) {
        struct pen p;
        struct gathering g;
        struct vivo_op op;
        pen_open(&p, &kinds[k]);
        for (unsigned i = 0; i < VIVO_ARRAY_LEN(names); i++)
            pen_object(&p, names[i], 3000 + i, i);
        pen_close(&p);
        struct vivo_archive *a = open_archive(p.path);
        assert_int_equal(list_all(a, &g, &op), 0);
        assert_int_equal(g.n_objects, VIVO_ARRAY_LEN(names));
        for (unsigned i = 0; i < VIVO_ARRAY_LEN(names); i++)
            assert_object(a, names[i], 3000 + i, i);
        assert_int_equal(access("/tmp/vivofs-test-escape", F_OK), -1);
        assert_int_equal(access("/etc/vivofs-test-escape", F_OK), -1);
        gathering_free(&g);
        vivo_archive_close(a);
        pen_free(&p);
    }
}

static void test_last_of_one_path_wins(void **state)
{
    (void)state;
    for (int k = TAR; k <= TAR_GZ; k++) {
        struct pen p;
        struct gathering g;
        struct vivo_op op;
        pen_open(&p, &kinds[k]);
        pen_object(&p, "a", 1000, 1);
        pen_object(&p, "b", 1001, 2);
        pen_object(&p, "a", 1002, 3);
        pen_object(&p, "a", 1003, 4);
        pen_object(&p, "b", 1004, 5);
        pen_object(&p, "c", 1005, 6);
        pen_close(&p);
        struct vivo_archive *a = open_archive(p.path);
        assert_int_equal(list_all(a, &g, &op), 0);
        assert_int_equal(g.n_objects, 3);
        assert_object(a, g.objects[0].locator, 1003, 4);
        assert_object(a, g.objects[1].locator, 1004, 5);
        assert_object(a, g.objects[2].locator, 1005, 6);
        vivo_archive_close(a);
        a = open_archive(p.path); /* a locator says all without a listing */
        assert_object(a, g.objects[1].locator, 1004, 5);
        assert_object(a, g.objects[0].locator, 1003, 4);
        gathering_free(&g);
        vivo_archive_close(a);
        pen_free(&p);
    }
}

static void test_links_and_devices_are_counted_only(void **state)
{
    (void)state;
    struct pen p;
    struct gathering g;
    struct vivo_op op;
    pen_open(&p, &kinds[TAR]);
    pen_entry(&p, "folder", AE_IFDIR, 0, NULL);
    pen_object(&p, "folder/a", 1000, 1);
    pen_entry(&p, "soft", AE_IFLNK, 0, "/etc/passwd");
    pen_entry(&p, "hard", AE_IFREG, 0, "folder/a");
    pen_entry(&p, "fifo", AE_IFIFO, 0, NULL);
    pen_entry(&p, "device", AE_IFCHR, 0, NULL);
    pen_file(&p, "text", "text", 4);
    pen_close(&p);
    struct vivo_archive *a = open_archive(p.path);

    assert_int_equal(list_all(a, &g, &op), 0);
    assert_int_equal(g.n_objects, 1);
    assert_int_equal(g.others, 5 + 1); /* and the state of the file */
    assert_int_equal(fetch_code(a, "soft"), -ENOENT);
    assert_int_equal(fetch_code(a, "hard"), -ENOENT);
    assert_int_equal(fetch_code(a, "folder"), -ENOENT);
    gathering_free(&g);
    vivo_archive_close(a);
    pen_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kind_conforms),
        cmocka_unit_test(test_open_of_other_files_is_refused),
        cmocka_unit_test(test_names_that_lead_elsewhere_are_only_names),
        cmocka_unit_test(test_last_of_one_path_wins),
        cmocka_unit_test(test_links_and_devices_are_counted_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
