/* SPDX-License-Identifier: Apache-2.0 */
/* tests/drivers/test_dir.c -- the folder driver: conformance, then what is special
 * about folders (odd names and files, links that lead out, rights, changes). */
#include "collect.h"
#include "conformance.h"
#include "drivers/beneath.h"
#include "folder.h"
#include "vivofs/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define LARGE (3u << 20) /* several blocks of a copy */
#define ODD_NAME "odd \xff\xfe \n'name"

/* ---- fixtures -------------------------------------------------------------------- */

static struct vivo_archive *open_folder(const char *dir)
{
    struct vivo_archive_config cfg = {.source = dir};
    struct vivo_archive *a = NULL;
    struct vivo_err err = {0};

    assert_int_equal(vivo_archive_open(&cfg, &a, &err), 0);
    return a;
}

/* Lists into g, which is made and sorted. */
static int list_folder(struct vivo_archive *a, struct gathering *g, struct vivo_op *op)
{
    vivo_op_init(op, 0);
    gathering_init(g, a->driver->lists);
    int rc = vivo_archive_list(a, VIVO_LEVEL_NONE, NULL, &g->base, op);
    gathering_sort(g);
    assert_int_equal(g->flaws, 0);
    return rc;
}

static bool lists(const struct gathering *g, const char *locator)
{
    for (size_t i = 0; i < g->n_objects; i++)
        if (strcmp(g->objects[i].locator, locator) == 0)
            return true;
    return false;
}

static int fetch_from(struct vivo_archive *a, const char *locator, bool descriptors)
{
    struct vivo_op op;
    struct receipt r;

    vivo_op_init(&op, 0);
    receipt_init(&r, descriptors, &op);
    int rc = vivo_archive_fetch(a, locator, &r.base, &op);
    if (rc < 0) {
        assert_int_equal(r.bytes.len, 0);
        assert_int_equal(r.fd, -1);
    }
    receipt_free(&r);
    return rc;
}

/* ---- conformance ----------------------------------------------------------------- */

struct conforming {
    char *dir;
    int inotify; /* sees every file below that is opened */
    uint64_t opened;
};

static int expect_file(void *ctx, const char *locator, const char *uid,
                       struct vivo_buf *out)
{
    const struct conforming *t = ctx;
    char *path = folder_path(t->dir, locator);

    (void)uid;
    int rc = vivo_file_read(path, OBJECT_MAX, out, NULL);
    free(path);
    return rc;
}

static uint64_t files_opened(void *ctx)
{
    struct conforming *t = ctx;
    _Alignas(struct inotify_event) char block[8192];
    ssize_t n;

    while ((n = read(t->inotify, block, sizeof block)) > 0)
        for (const char *p = block; p < block + n;) {
            const struct inotify_event *e = (const void *)p;
            if (!(e->mask & IN_ISDIR))
                t->opened++;
            p += sizeof *e + e->len;
        }
    return t->opened;
}

static size_t copy_data_set(const char *dir, const char *below)
{
    char *from = folder_path(VIVO_TEST_PYDICOM, below);
    DIR *dp = opendir(from);
    size_t n = 0;

    assert_non_null(dp);
    for (const struct dirent *e; (e = readdir(dp)) != NULL;) {
        char *path = folder_path(from, e->d_name);
        char to[PATH_MAX];
        struct stat st;
        assert_int_equal(stat(path, &st), 0);
        if (S_ISREG(st.st_mode) && st.st_size > 0) {
            snprintf(to, sizeof to, "%s/.hidden %zu/%s", below, n % 3, e->d_name);
            folder_copy(dir, to, path);
            n++;
        }
        free(path);
    }
    closedir(dp);
    free(from);
    return n;
}

static void watch_opens(const struct conforming *t, const char *name)
{
    char *path = folder_path(t->dir, name);

    assert_true(inotify_add_watch(t->inotify, path, IN_OPEN) >= 0);
    free(path);
}

static void test_folder_of_real_files_conforms(void **state)
{
    (void)state;
    struct conforming t = {.dir = folder_new(), .inotify = inotify_init1(IN_NONBLOCK)};
    size_t n =
        copy_data_set(t.dir, "test_files") + copy_data_set(t.dir, "charset_files");
    uint8_t *large = calloc(1, LARGE);
    assert_non_null(large);
    folder_write(t.dir, ODD_NAME "/" ODD_NAME, large, LARGE);
    free(large);
    char *missing = folder_path(t.dir, "nowhere");
    struct vivo_conformance c = {
        .source = t.dir,
        .missing = missing,
        .missing_errno = ENOENT,
        .objects = n + 1,
        .expect = expect_file,
        .content_requests = files_opened,
        .ctx = &t,
        .unknown = "test_files/nothing.dcm",
        .escapes = (const char *const[]){"test_files/../../etc/passwd", NULL},
    };

    assert_true(n > 60);
    for (int i = 0; i < 3; i++) {
        char name[64];
        snprintf(name, sizeof name, "test_files/.hidden %d", i);
        watch_opens(&t, name);
    }
    assert_int_equal(vivo_conformance(&c), 0);
    assert_true(t.opened == 0);        /* content_requests is not asked after fetches */
    assert_true(files_opened(&t) > 0); /* … and it does see them */
    close(t.inotify);
    free(missing);
    folder_free(t.dir);
}

/* ---- open ------------------------------------------------------------------------ */

static void test_open_of_missing_folder_names_it(void **state)
{
    (void)state;
    struct vivo_archive_config cfg = {.source = "/no/such/folder/here"};
    struct vivo_archive *a = NULL;
    struct vivo_err err = {0};

    assert_int_equal(vivo_archive_open(&cfg, &a, &err), -ENOENT);
    assert_string_equal(err.text, "no such folder: /no/such/folder/here");
    assert_null(a);
}

static void test_open_of_file_is_refused(void **state)
{
    (void)state;
    char *dir = folder_new();
    folder_write(dir, "a.dcm", "x", 1);
    char *path = folder_path(dir, "a.dcm");
    struct vivo_archive_config cfg = {.source = path};
    struct vivo_archive *a = NULL;
    struct vivo_err err = {0};

    assert_int_equal(vivo_archive_open(&cfg, &a, &err), -EINVAL);
    assert_non_null(strstr(err.text, "is a file that is no zip or tar"));
    free(path);
    folder_free(dir);
}

/* ---- list ------------------------------------------------------------------------ */

static void test_list_skips_links_and_counts_special_files(void **state)
{
    (void)state;
    char *dir = folder_new(), *outside = folder_new();
    folder_write(dir, "real/a.dcm", "a", 1);
    folder_write(outside, "secret.dcm", "s", 1);
    int at = open(dir, O_PATH | O_DIRECTORY);
    char *secret = folder_path(outside, "secret.dcm");
    assert_int_equal(symlinkat(secret, at, "file-link"), 0);
    assert_int_equal(symlinkat(outside, at, "out-link"), 0);
    assert_int_equal(symlinkat("..", at, "real/loop"), 0);
    assert_int_equal(symlinkat("nowhere", at, "dangling"), 0);
    assert_int_equal(mkfifoat(at, "real/fifo", 0600), 0);
    assert_int_equal(mknodat(at, "socket", S_IFSOCK | 0600, 0), 0);
    struct vivo_archive *a = open_folder(dir);
    struct gathering g;
    struct vivo_op op;

    assert_int_equal(list_folder(a, &g, &op), 0);
    assert_int_equal(g.n_objects, 1);
    assert_true(lists(&g, "real/a.dcm"));
    assert_int_equal(g.others, 2);
    assert_int_equal(fetch_from(a, "file-link", true), -ENOENT);
    assert_int_equal(fetch_from(a, "out-link/secret.dcm", true), -ENOENT);
    assert_int_equal(fetch_from(a, "real/fifo", true), -ENOENT);
    assert_int_equal(fetch_from(a, "real", true), -ENOENT);
    gathering_free(&g);
    vivo_archive_close(a);
    close(at);
    free(secret);
    folder_free(dir);
    folder_free(outside);
}

static void test_list_version_changes_with_the_file(void **state)
{
    (void)state;
    char *dir = folder_new();
    folder_write(dir, "a", "123", 3);
    struct vivo_archive *a = open_folder(dir);
    struct gathering before, after;
    struct vivo_op op;

    assert_int_equal(list_folder(a, &before, &op), 0);
    folder_write(dir, "a", "456", 3);
    assert_int_equal(list_folder(a, &after, &op), 0);
    assert_int_equal(before.objects[0].size, 3);
    assert_string_not_equal(before.objects[0].version, after.objects[0].version);
    gathering_free(&before);
    gathering_free(&after);
    vivo_archive_close(a);
    folder_free(dir);
}

/* A tree deeper than PATH_MAX: what can be named is listed, the rest is left out and
 * the listing is still a success. */
static void test_list_of_very_deep_tree_ends(void **state)
{
    (void)state;
    enum { LEVELS = 40, NAME = 200 };
    char *dir = folder_new();
    char name[NAME + 1];
    int fds[LEVELS + 1];
    memset(name, 'd', NAME);
    name[NAME] = '\0';
    fds[0] = open(dir, O_PATH | O_DIRECTORY);
    for (int i = 0; i < LEVELS; i++) {
        assert_int_equal(mkdirat(fds[i], name, 0755), 0);
        fds[i + 1] = openat(fds[i], name, O_PATH | O_DIRECTORY);
        int fd = openat(fds[i + 1], "f", O_CREAT | O_WRONLY, 0644);
        assert_true(fd >= 0);
        close(fd);
    }
    struct vivo_archive *a = open_folder(dir);
    struct gathering g;
    struct vivo_op op;

    assert_int_equal(list_folder(a, &g, &op), 0);
    assert_true(g.n_objects >= 15 && g.n_objects < LEVELS);
    gathering_free(&g);
    vivo_archive_close(a);
    for (int i = LEVELS; i > 0; i--) {
        close(fds[i]);
        unlinkat(fds[i - 1], name, AT_REMOVEDIR);
    }
    for (int i = LEVELS - 1; i >= 0; i--) { /* files first, so once more */
        int at = open(dir, O_PATH | O_DIRECTORY);
        for (int k = 0; k < i; k++) {
            int next = openat(at, name, O_PATH | O_DIRECTORY);
            close(at);
            at = next;
        }
        char file[NAME + 3];
        snprintf(file, sizeof file, "%s/f", name);
        unlinkat(at, file, 0);
        unlinkat(at, name, AT_REMOVEDIR);
        close(at);
    }
    close(fds[0]);
    folder_free(dir);
}

static void test_list_of_removed_root_fails(void **state)
{
    (void)state;
    char *dir = folder_new();
    struct vivo_archive *a = open_folder(dir);
    struct gathering g;
    struct vivo_op op;

    folder_free(dir);
    assert_int_equal(list_folder(a, &g, &op), -EIO);
    gathering_free(&g);
    vivo_archive_close(a);
}

static int list_as_nobody(const char *dir)
{
    struct vivo_archive *a = open_folder(dir);
    struct gathering g;
    struct vivo_op op;

    if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
        return 1;
    if (list_folder(a, &g, &op) != 0 || g.n_objects != 1 || !lists(&g, "open.dcm"))
        return 2;
    if (g.others != 2)
        return 3;
    if (fetch_from(a, "shut.dcm", true) != -EACCES ||
        fetch_from(a, "open.dcm", true) != 0)
        return 4;
    gathering_free(&g);
    vivo_archive_close(a);
    return 0;
}

static void test_list_counts_what_may_not_be_read(void **state)
{
    (void)state;
    char *dir = folder_new();
    folder_write(dir, "open.dcm", "o", 1);
    folder_write(dir, "shut.dcm", "s", 1);
    folder_write(dir, "shut/in.dcm", "s", 1);
    int at = open(dir, O_PATH | O_DIRECTORY), status;
    assert_int_equal(fchmodat(at, "shut.dcm", 0, 0), 0);
    assert_int_equal(fchmodat(at, "shut", 0, 0), 0);

    pid_t child = fork(); /* rights of another account, root ones know no limit */
    if (child == 0)
        _exit(list_as_nobody(dir));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), geteuid() == 0 ? 0 : 1);
    assert_int_equal(fchmodat(at, "shut", 0755, 0), 0);
    close(at);
    folder_free(dir);
}

/* ---- fetch ----------------------------------------------------------------------- */

static void test_fetch_through_swapped_folder_is_refused(void **state)
{
    (void)state;
    char *dir = folder_new(), *outside = folder_new();
    folder_write(dir, "in/a.dcm", "a", 1);
    folder_write(outside, "a.dcm", "secret", 6);
    struct vivo_archive *a = open_folder(dir);
    int at = open(dir, O_PATH | O_DIRECTORY);

    assert_int_equal(fetch_from(a, "in/a.dcm", true), 0);
    assert_int_equal(renameat(at, "in", at, "was"), 0);
    assert_int_equal(symlinkat(outside, at, "in"), 0);
    assert_int_equal(fetch_from(a, "in/a.dcm", true), -ENOENT);
    assert_int_equal(fetch_from(a, "in/a.dcm", false), -ENOENT);
    vivo_archive_close(a);
    close(at);
    folder_free(dir);
    folder_free(outside);
}

/* openat2 and the walk by components answer the same. */
static void test_beneath_both_ways_agree(void **state)
{
    (void)state;
    static const char *const paths[] = {
        "a/b",  "a", "a/b/c",     "a/../a/b", "../x", "/etc/passwd", "link",
        "lk/b", "",  "a/nothing", "nothing",  "..",   "a/..",        "a//../b"};
    char *dir = folder_new();
    folder_write(dir, "a/b", "x", 1);
    int root = open(dir, O_RDONLY | O_DIRECTORY);
    assert_int_equal(symlinkat("a/b", root, "link"), 0);
    assert_int_equal(symlinkat("a", root, "lk"), 0);

    for (size_t i = 0; i < VIVO_ARRAY_LEN(paths); i++) {
        int fast = vivo_beneath_open(root, paths[i], O_RDONLY);
        int slow = vivo_beneath_open_slowly(root, paths[i], O_RDONLY);
        bool inside = strcmp(paths[i], "a/b") == 0 || strcmp(paths[i], "a") == 0;
        assert_int_equal(slow >= 0, inside);
        /* The kernel lets "a/../a/b" pass, which stays inside; ours need not. */
        if (!strstr(paths[i], ".."))
            assert_int_equal(fast >= 0, inside);
        if (fast >= 0)
            close(fast);
        if (slow >= 0)
            close(slow);
    }
    close(root);
    folder_free(dir);
}

/* ---- watch ----------------------------------------------------------------------- */

static void test_watch_sees_changes_since_the_listing(void **state)
{
    (void)state;
    char *dir = folder_new();
    folder_write(dir, "sub/a", "1", 1);
    struct vivo_archive *a = open_folder(dir);
    struct gathering g;
    struct vivo_op op;

    assert_int_equal(list_folder(a, &g, &op), 0);
    gathering_free(&g);
    folder_write(dir, "sub/b", "2", 1); /* before the watch begins: not lost */
    vivo_op_init(&op, 0);
    assert_int_equal(vivo_archive_watch(a, &op), 0);
    folder_write(dir, "new/deep/c", "3", 1);
    assert_int_equal(vivo_archive_watch(a, &op), 0);
    assert_int_equal(list_folder(a, &g, &op), 0);
    assert_int_equal(g.n_objects, 3);
    gathering_free(&g);
    folder_write(dir, "new/deep/c", "34", 2); /* the listing follows new folders */
    vivo_op_init(&op, 0);
    assert_int_equal(vivo_archive_watch(a, &op), 0);
    vivo_op_init(&op, 600); /* nothing more has changed */
    assert_int_equal(vivo_archive_watch(a, &op), -ETIMEDOUT);
    vivo_archive_close(a);
    folder_free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_folder_of_real_files_conforms),
        cmocka_unit_test(test_open_of_missing_folder_names_it),
        cmocka_unit_test(test_open_of_file_is_refused),
        cmocka_unit_test(test_list_skips_links_and_counts_special_files),
        cmocka_unit_test(test_list_version_changes_with_the_file),
        cmocka_unit_test(test_list_of_very_deep_tree_ends),
        cmocka_unit_test(test_list_of_removed_root_fails),
        cmocka_unit_test(test_list_counts_what_may_not_be_read),
        cmocka_unit_test(test_fetch_through_swapped_folder_is_refused),
        cmocka_unit_test(test_beneath_both_ways_agree),
        cmocka_unit_test(test_watch_sees_changes_since_the_listing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
