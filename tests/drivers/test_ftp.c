/* SPDX-License-Identifier: Apache-2.0 */
/* tests/drivers/test_ftp.c -- the FTP driver against pyftpdlib: conformance with the
 * three kinds of listings, then logins, cut files, and lines of listings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "child.h"
#include "collect.h"
#include "conformance.h"

#include "drivers/ftp_list.h"
#include "vivofs/dcm.h"
#include "vivofs/file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define SERVER VIVO_TEST_SOURCE_DIR "/tests/servers/ftp_server.py"
#define FOLDER VIVO_TEST_PYDICOM "/test_files/dicomdirtests/77654033"
#define OBJECTS 7

static const char *const bad_locators[] = {
    "a//b", "a/../b", "/a", "a/", "a\r\nDELE x", "a\nb", "ftp://127.0.0.1:9/x", NULL};

static struct vivo_net *new_net(const char *netrc)
{
    const struct vivo_net_config cfg = {
        .timeout_ms = 2000, .retries = 1, .netrc = netrc};
    struct vivo_net *net = NULL;
    struct vivo_err err = {0};
    assert_int_equal(vivo_net_new(&cfg, &net, &err), 0);
    return net;
}

static int expect_file(void *ctx, const char *locator, const char *uid,
                       struct vivo_buf *out)
{
    char path[4096];
    (void)ctx;
    (void)uid;
    snprintf(path, sizeof path, "%s/%s", FOLDER, locator);
    return vivo_file_read(path, OBJECT_MAX, out, NULL);
}

static void test_every_listing_conforms(void **state)
{
    (void)state;
    static const char *const forms[] = {NULL, "--no-mlsd", "--dos"};
    for (size_t i = 0; i < VIVO_ARRAY_LEN(forms); i++) {
        const char *const argv[] = {SERVER, FOLDER, forms[i],
                                    i == 2 ? "--no-mlsd" : NULL, NULL};
        struct child server;
        struct vivo_net *net = new_net(NULL);
        assert_int_equal(child_start(&server, argv), 0);
        const struct vivo_conformance c = {.source = server.line,
                                           .net = net,
                                           .missing = "ftp://127.0.0.1:9/x/",
                                           .missing_errno = EIO,
                                           .objects = OBJECTS,
                                           .expect = expect_file,
                                           .unknown = "CR1/not-there",
                                           .escapes = bad_locators};
        assert_int_equal(vivo_conformance(&c), 0);
        vivo_net_free(net);
        child_stop(&server);
    }
}

/* Lists everything, then fetches the first object; the first error. */
static int list_and_fetch(const char *url, struct vivo_net *net, struct gathering *g,
                          struct vivo_op *op)
{
    const struct vivo_archive_config cfg = {
        .source = url, .net = net, .timeout_ms = 2000};
    struct vivo_archive *a = NULL;
    struct vivo_err err = {0};
    struct receipt r;
    assert_int_equal(vivo_archive_open(&cfg, &a, &err), 0);
    vivo_op_init(op, 0);
    gathering_init(g, a->driver->lists);
    receipt_init(&r, false, op);
    int rc = vivo_archive_list(a, VIVO_LEVEL_NONE, NULL, &g->base, op);
    if (rc == 0) {
        gathering_sort(g);
        rc = vivo_archive_fetch(a, g->objects[0].locator, &r.base, op);
    }
    receipt_free(&r);
    vivo_archive_close(a);
    return rc;
}

static void test_login_is_netrc_or_eacces(void **state)
{
    (void)state;
    static const char *const argv[] = {SERVER,    "--make",    "1,1,1,2",
                                       "--login", "me:s3cret", NULL};
    static const struct {
        const char *password;
        int rc;
    } cases[] = {{NULL, -EACCES}, {"wrong", -EACCES}, {"s3cret", 0}};
    struct child server;
    char path[] = "/tmp/vivo-netrc-XXXXXX";
    int fd = mkstemp(path);
    assert_int_equal(child_start(&server, argv), 0);
    for (size_t i = 0; i < VIVO_ARRAY_LEN(cases); i++) {
        struct gathering g;
        struct vivo_op op;
        assert_int_equal(ftruncate(fd, 0), 0);
        if (cases[i].password)
            dprintf(fd, "machine 127.0.0.1 login me password %s\n", cases[i].password);
        struct vivo_net *net = new_net(path);
        int rc = list_and_fetch(server.line, net, &g, &op);
        if (rc != cases[i].rc)
            fail_msg("%s: %d: %s", cases[i].password, rc, op.err.text);
        assert_null(strstr(op.err.text, "s3cret"));
        gathering_free(&g);
        vivo_net_free(net);
        lseek(fd, 0, SEEK_SET);
    }
    close(fd);
    unlink(path);
    child_stop(&server);
}

static void test_cut_file_is_eio_and_a_missing_folder_is_enoent(void **state)
{
    (void)state;
    static const char *const argv[] = {SERVER,  "--make", "1,1,1,2",
                                       "--cut", "700",    NULL};
    struct child server;
    struct gathering g;
    struct vivo_op op;
    char url[300];
    struct vivo_net *net = new_net(NULL);
    assert_int_equal(child_start(&server, argv), 0);
    assert_int_equal(list_and_fetch(server.line, net, &g, &op), -EIO);
    assert_int_equal(g.n_objects, 0);
    gathering_free(&g);
    snprintf(url, sizeof url, "%snot there", server.line);
    for (char *s = url; *s; s++)
        *s = *s == ' ' ? '-' : *s;
    assert_int_equal(list_and_fetch(url, net, &g, &op), -ENOENT);
    gathering_free(&g);
    vivo_net_free(net);
    child_stop(&server);
}

static void test_an_answer_to_no_command_is_asked_again(void **state)
{
    (void)state;
    static const char *const commands[] = {"TYPE", "EPSV"};
    for (size_t i = 0; i < VIVO_ARRAY_LEN(commands); i++) {
        const char *const argv[] = {SERVER, FOLDER, "--stray", commands[i], NULL};
        struct child server;
        struct gathering g;
        struct vivo_op op;
        struct vivo_net *net = new_net(NULL);
        assert_int_equal(child_start(&server, argv), 0);
        int rc = list_and_fetch(server.line, net, &g, &op);
        if (rc || g.n_objects != OBJECTS)
            fail_msg("%s: %d: %s", commands[i], rc, op.err.text);
        gathering_free(&g);
        vivo_net_free(net);
        child_stop(&server);
    }
}

/* ---- lines ------------------------------------------------------------------ */

struct line {
    const char *text, *name; /* name NULL: not understood; "": left out */
    bool folder;
    const char *stamp;
};

static void check_lines(const struct line *lines, size_t n,
                        bool (*read)(const char *, size_t, struct vivo_ftp_entry *))
{
    for (size_t i = 0; i < n; i++) {
        struct vivo_ftp_entry e;
        const struct line *l = &lines[i];
        bool good = read(l->text, strlen(l->text), &e);
        if (good != (l->name != NULL))
            fail_msg("%s: %d", l->text, good);
        if (!good)
            continue;
        if (e.skip != !*l->name)
            fail_msg("%s: left out %d", l->text, e.skip);
        if (e.skip)
            continue;
        if (e.len != strlen(l->name) || memcmp(e.name, l->name, e.len) != 0 ||
            e.folder != l->folder || strcmp(e.stamp, l->stamp) != 0)
            fail_msg("%s: '%.*s' %d '%s'", l->text, (int)e.len, e.name, e.folder,
                     e.stamp);
    }
}

static void test_mlsd_lines_are_read(void **state)
{
    (void)state;
    static const struct line lines[] = {
        {"type=file;size=123;modify=20200102030405; a b.dcm", "a b.dcm", false,
         "123 20200102030405"},
        {"Modify=20200102030405.123;TYPE=Dir;UNIX.mode=0755;  x", " x", true, ""},
        {"type=file;size=5; only size", "only size", false, ""},
        {"type=file;size=5x; no size", "no size", false, ""},
        {"type=cdir; .", "", false, ""},
        {"type=pdir;modify=20200101000000; ..", "", false, ""},
        {"type=OS.unix=symlink;size=3; link", "", false, ""},
        {"type=dir; ..", "", false, ""},
        {"size=5; no type", NULL, false, ""},
        {"type=file;", NULL, false, ""},
        {"type=file; ", NULL, false, ""},
        {"drwxr-xr-x 2 a b 4096 Jan  2 03:04 d", NULL, false, ""},
        {"", NULL, false, ""},
        {" ", NULL, false, ""},
    };
    check_lines(lines, VIVO_ARRAY_LEN(lines), vivo_ftp_mlsd);
}

static void test_list_lines_are_read(void **state)
{
    (void)state;
    static const struct line lines[] = {
        {"total 8", "", false, ""},
        {"-rw-r--r--   1 ftp      ftp           123 Jan  2 03:04 a b.dcm", "a b.dcm",
         false, "123 Jan  2 03:04"},
        {"-rw-r--r-- 1 ftp ftp 123 Jan 12  2020 x", "x", false, "123 Jan 12  2020"},
        {"-rw-r--r-- 1 ftp 123 Jan 12 2020  x", " x", false, "123 Jan 12 2020"},
        {"drwxr-xr-x+ 2 1000 1000 4096 Dec 31 23:59 sub", "sub", true,
         "4096 Dec 31 23:59"},
        {"drwxr-xr-x 2 a b 4096 Dec 31 23:59 ..", "", true, ""},
        {"lrwxrwxrwx 1 a b 4 Dec 31 23:59 l -> /etc", "", false, ""},
        {"crw-rw-rw- 1 root root 1, 3 Dec 31 23:59 null", "", false, ""},
        {"01-02-20  03:04PM       <DIR>          My scans", "My scans", true,
         "01-02-20  03:04PM       <DIR>          "},
        {"01-02-2020  03:04PM                 77 a.dcm", "a.dcm", false,
         "01-02-2020  03:04PM                 77 "},
        {"01-02-20  03:04PM       what          x", NULL, false, ""},
        {"-rw-r--r-- 1 ftp ftp 123 Jan 12", NULL, false, ""},
        {"-rw-r--r-- 1 ftp ftp 123 Jan 12 2020", NULL, false, ""},
        {"<html>", NULL, false, ""},
        {"d", NULL, false, ""},
        {"0", NULL, false, ""},
    };
    check_lines(lines, VIVO_ARRAY_LEN(lines), vivo_ftp_list);
}

static void test_sizes_of_lines_are_exact_or_none(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool mlsd, sized;
        uint64_t size;
    } lines[] = {
        {"type=file;modify=20200102030405;size=123; a", true, true, 123},
        {"type=file;SIZE=99999999999999; a", true, true, 99999999999999},
        {"type=file;size=1K; a", true, false, 0},
        {"type=file;size=; a", true, false, 0},
        {"type=file;size=12345678901234567890; a", true, false, 0},
        {"type=file; a", true, false, 0},
        {"-rw-r--r-- 1 ftp ftp 123 Jan 12  2020 x", false, true, 123},
        {"-rw-r--r-- 1 ftp 0 Jan 12 2020 x", false, true, 0},
        {"01-02-20  03:04PM                 77 a.dcm", false, true, 77},
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(lines); i++) {
        struct vivo_ftp_entry e;
        size_t len = strlen(lines[i].text);
        assert_true(lines[i].mlsd ? vivo_ftp_mlsd(lines[i].text, len, &e)
                                  : vivo_ftp_list(lines[i].text, len, &e));
        if (e.sized != lines[i].sized || (e.sized && e.size != lines[i].size))
            fail_msg("%s: %d %llu", lines[i].text, e.sized, (unsigned long long)e.size);
    }
}

static void test_urls_that_make_no_sense_are_einval(void **state)
{
    (void)state;
    static const char *const urls[] = {
        "ftp://",     "ftp://u:p@h/",    "ftp:///x/",   "ftp://h/x;type=a",
        "ftp://h/?x", "ftp://h/%0d%0a/", "ftp://h/%zz/"};
    struct vivo_net *net = new_net(NULL);
    for (size_t i = 0; i < VIVO_ARRAY_LEN(urls); i++) {
        const struct vivo_archive_config cfg = {.source = urls[i], .net = net};
        struct vivo_archive *a = NULL;
        struct vivo_err err = {0};
        if (vivo_archive_open(&cfg, &a, &err) != -EINVAL)
            fail_msg("%s: %s", urls[i], err.text);
        assert_null(strstr(err.text, "u:p"));
    }
    vivo_net_free(net);
}

static int start_dictionary(void **state)
{
    struct vivo_err err = {0};
    (void)state;
    return vivo_dcm_global_init(&err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_listing_conforms),
        cmocka_unit_test(test_login_is_netrc_or_eacces),
        cmocka_unit_test(test_cut_file_is_eio_and_a_missing_folder_is_enoent),
        cmocka_unit_test(test_an_answer_to_no_command_is_asked_again),
        cmocka_unit_test(test_mlsd_lines_are_read),
        cmocka_unit_test(test_list_lines_are_read),
        cmocka_unit_test(test_sizes_of_lines_are_exact_or_none),
        cmocka_unit_test(test_urls_that_make_no_sense_are_einval),
    };
    return cmocka_run_group_tests(tests, start_dictionary, NULL);
}
