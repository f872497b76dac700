/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_store_disk.c -- the store in a directory: what goes in comes out,
 * quota, damage. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "store/object.h"
#include "store_fixture.h"

#define SMALL 1000
#define SMALL_FILE vivo_store_object_length(SMALL, false)

static void test_put_then_get_gives_the_bytes(void **state)
{
    (void)state;
    static const size_t sizes[] = {
        0, 1, 4096, 1u << 20, (1u << 20) - 1, (1u << 20) + 1, 5u << 20};
    char *dir = temp_dir();
    struct vivo_store *s = open_store(dir, 0);

    for (unsigned i = 0; i < VIVO_ARRAY_LEN(sizes); i++) {
        assert_int_equal(get_object(s, i, sizes[i]), -ENOENT);
        assert_int_equal(put_object(s, i, sizes[i]), 0);
        assert_int_equal(get_object(s, i, sizes[i]), 0);
    }
    assert_int_equal(stats_of(s).hits, VIVO_ARRAY_LEN(sizes));
    assert_int_equal(stats_of(s).misses, VIVO_ARRAY_LEN(sizes));
    assert_int_equal(stats_of(s).entries, VIVO_ARRAY_LEN(sizes));
    vivo_store_close(s);
    s = open_store(dir, 0); /* all of it again after closing, verified */
    for (unsigned i = 0; i < VIVO_ARRAY_LEN(sizes); i++)
        assert_int_equal(get_object(s, i, sizes[i]), 0);
    assert_int_equal(stats_of(s).entries, VIVO_ARRAY_LEN(sizes));
    vivo_store_close(s);
    remove_dir(dir);
}

static void test_stored_view_is_one_plain_range(void **state)
{
    (void)state;
    char *dir = temp_dir();
    struct vivo_store *s = open_store(dir, 0);
    struct vivo_store_key key = key_of(1);
    struct vivo_view *in = memory_view(1, 70000), *out = NULL, *again = NULL;
    int fd = -1;

    assert_int_equal(vivo_store_put(s, &key, in, false, &out, NULL), 0);
    assert_true(vivo_view_is_plain(out, &fd));
    assert_int_equal(vivo_store_get(s, &key, &again, NULL), 0);
    assert_true(vivo_view_is_plain(again, &fd));
    assert_int_equal(vivo_view_memory(again), 0);
    vivo_view_unref(in);
    vivo_view_unref(out);
    vivo_view_unref(again);
    vivo_store_close(s);
    remove_dir(dir);
}

static void test_files_are_private(void **state)
{
    (void)state;
    static const char *const names[] = {"objects", "tmp", "quarantine"};
    char *dir = temp_dir(), path[256];
    struct stat st;
    mode_t before = umask(0);
    struct vivo_store *s = open_store(dir, 0);

    assert_int_equal(put_object(s, 1, SMALL), 0);
    for (size_t i = 0; i < VIVO_ARRAY_LEN(names); i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0700);
    }
    object_path(dir, 1, path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    snprintf(path, sizeof path, "%s/index.db", dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    snprintf(path, sizeof path, "%s/index.db-wal", dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    vivo_store_close(s);
    umask(before);
    remove_dir(dir);
}

static void test_directory_that_others_can_write_is_refused(void **state)
{
    (void)state;
    char *dir = temp_dir();
    struct vivo_store_config cfg = {.dir = dir};
    struct vivo_store *s = NULL;
    struct vivo_err err = {0};

    assert_int_equal(chmod(dir, 0777), 0);
    assert_int_equal(vivo_store_open(&cfg, &s, &err), -EACCES);
    assert_null(s);
    remove_dir(dir);
}

/* ---- quota ----------------------------------------------------------------------- */

static void test_quota_evicts_least_recently_used(void **state)
{
    (void)state;
    char *dir = temp_dir();
    struct vivo_store *s = open_store(dir, 4 * SMALL_FILE + 500);

    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(put_object(s, i, SMALL), 0);
        usleep(2000); /* uses are told apart by the millisecond */
    }
    assert_int_equal(get_object(s, 0, SMALL), 0); /* now 1 is the oldest */
    assert_int_equal(put_object(s, 4, SMALL), 0);
    assert_int_equal(get_object(s, 0, SMALL), 0);
    assert_int_equal(get_object(s, 1, SMALL), -ENOENT);
    assert_int_equal(get_object(s, 2, SMALL), 0);
    assert_int_equal(get_object(s, 3, SMALL), 0);
    assert_int_equal(get_object(s, 4, SMALL), 0);
    struct vivo_store_stats st = stats_of(s);
    assert_int_equal(st.evicted, 1);
    assert_int_equal(st.entries, 4);
    assert_int_equal(st.bytes, 4 * SMALL_FILE);
    vivo_store_close(s);
    remove_dir(dir);
}

static void test_quota_holds_over_many_puts(void **state)
{
    (void)state;
    char *dir = temp_dir();
    uint64_t quota = 20 * SMALL_FILE;
    struct vivo_store *s = open_store(dir, quota);

    for (unsigned i = 0; i < 300; i++) {
        assert_int_equal(put_object(s, i, SMALL + i), 0);
        assert_true(stats_of(s).bytes <= quota);
    }
    assert_int_equal(get_object(s, 299, SMALL + 299), 0);
    assert_int_equal(get_object(s, 0, SMALL), -ENOENT);
    vivo_store_close(s);
    s = open_store(dir, quota);
    assert_true(stats_of(s).bytes <= quota);
    assert_true(stats_of(s).entries > 10);
    vivo_store_close(s);
    remove_dir(dir);
}

static void test_object_larger_than_quota_is_enospc(void **state)
{
    (void)state;
    char *dir = temp_dir();
    struct vivo_store *s = open_store(dir, 5000);

    assert_int_equal(put_object(s, 1, SMALL), 0);
    assert_int_equal(put_object(s, 2, 5000), -ENOSPC);
    assert_int_equal(get_object(s, 1, SMALL), 0); /* and nothing was lost for it */
    vivo_store_close(s);
    remove_dir(dir);
}

static void test_replacing_an_object_counts_it_once(void **state)
{
    (void)state;
    char *dir = temp_dir();
    struct vivo_store *s = open_store(dir, 0);

    for (int i = 0; i < 5; i++)
        assert_int_equal(put_object(s, 1, SMALL), 0);
    vivo_store_close(s);
    s = open_store(dir, 0);
    assert_int_equal(stats_of(s).entries, 1);
    assert_int_equal(stats_of(s).bytes, SMALL_FILE);
    vivo_store_close(s);
    remove_dir(dir);
}

static void test_view_outlives_eviction(void **state)
{
    (void)state;
    char *dir = temp_dir();
    struct vivo_store *s = open_store(dir, 3 * SMALL_FILE);
    struct vivo_store_key key = key_of(0);
    struct vivo_view *v = NULL;

    assert_int_equal(put_object(s, 0, SMALL), 0);
    assert_int_equal(vivo_store_get(s, &key, &v, NULL), 0);
    usleep(2000); /* as above */
    for (unsigned i = 1; i < 10; i++)
        assert_int_equal(put_object(s, i, SMALL), 0);
    assert_int_equal(get_object(s, 0, SMALL), -ENOENT);
    assert_content(v, 0, SMALL);
    vivo_store_close(s);
    assert_content(v, 0, SMALL);
    vivo_view_unref(v);
    remove_dir(dir);
}

static void test_pinned_entry_is_not_evicted(void **state)
{
    (void)state;
    char *dir = temp_dir();
    struct vivo_store *s = open_store(dir, 3 * SMALL_FILE);
    struct vivo_store_key zero = key_of(0), none = key_of(77);

    assert_int_equal(put_object(s, 0, SMALL), 0);
    assert_int_equal(vivo_store_pin(s, &zero, true), 0);
    assert_int_equal(vivo_store_pin(s, &none, true), -ENOENT);
    for (unsigned i = 1; i < 10; i++)
        assert_int_equal(put_object(s, i, SMALL), 0);
    assert_int_equal(get_object(s, 0, SMALL), 0);
    assert_int_equal(vivo_store_pin(s, &zero, false), 0);
    usleep(2000); /* as above */
    for (unsigned i = 11; i < 20; i++)
        assert_int_equal(put_object(s, i, SMALL), 0);
    assert_int_equal(get_object(s, 0, SMALL), -ENOENT);
    vivo_store_close(s);
    remove_dir(dir);
}

static void test_forget_removes_one_entry(void **state)
{
    (void)state;
    char *dir = temp_dir();
    struct vivo_store *s = open_store(dir, 0);
    struct vivo_store_key one = key_of(1);

    assert_int_equal(put_object(s, 1, SMALL), 0);
    assert_int_equal(put_object(s, 2, SMALL), 0);
    assert_int_equal(vivo_store_forget(s, &one), 0);
    assert_int_equal(vivo_store_forget(s, &one), -ENOENT);
    assert_int_equal(get_object(s, 1, SMALL), -ENOENT);
    assert_int_equal(get_object(s, 2, SMALL), 0);
    vivo_store_close(s);
    s = open_store(dir, 0);
    assert_int_equal(stats_of(s).entries, 1);
    vivo_store_close(s);
    remove_dir(dir);
}

/* ---- damage ---------------------------------------------------------------------- */

enum damage { FLIP_FIRST, FLIP_LAST_BLOCK, FLIP_SUM, FLIP_FOOTER, CUT, EMPTY, GROW };

static void damage_file(const char *path, size_t size, enum damage how)
{
    int fd = open(path, O_RDWR);
    off_t length = (off_t)vivo_store_object_length(size, false);
    off_t at = -1;
    uint8_t byte;

    assert_true(fd >= 0);
    if (how == FLIP_FIRST)
        at = 0;
    else if (how == FLIP_LAST_BLOCK)
        at = (off_t)size - 1;
    else if (how == FLIP_SUM)
        at = (off_t)size;
    else if (how == FLIP_FOOTER)
        at = length - 80;
    if (at >= 0) {
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        byte ^= 1;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    }
    if (how == CUT)
        assert_int_equal(ftruncate(fd, length / 2), 0);
    if (how == EMPTY)
        assert_int_equal(ftruncate(fd, 0), 0);
    if (how == GROW)
        assert_int_equal(ftruncate(fd, length + 1), 0);
    close(fd);
}

static void test_damage_is_quarantined_and_fetched_again(void **state)
{
    (void)state;
    char *dir = temp_dir(), path[256];
    size_t size = (2u << 20) + 77;

    for (enum damage how = FLIP_FIRST; how <= GROW; how++) {
        struct vivo_store *s = open_store(dir, 0);
        assert_int_equal(put_object(s, 1, size), 0);
        vivo_store_close(s);
        object_path(dir, 1, path);
        damage_file(path, size, how);
        s = open_store(dir, 0);
        assert_int_equal(get_object(s, 1, size), -ENOENT);
        assert_int_equal(stats_of(s).quarantined, 1);
        assert_int_equal(access(path, F_OK), -1);
        assert_int_equal(get_object(s, 1, size), -ENOENT);
        assert_int_equal(stats_of(s).quarantined, 1);
        assert_int_equal(put_object(s, 1, size), 0);
        assert_int_equal(get_object(s, 1, size), 0);
        vivo_store_close(s);
    }
    remove_dir(dir);
}

/* A file that was written to after it was checked has another time: checked again. */
static void test_damage_after_the_check_is_seen(void **state)
{
    (void)state;
    char *dir = temp_dir(), path[256];
    struct vivo_store *s = open_store(dir, 0);

    assert_int_equal(put_object(s, 1, SMALL), 0);
    assert_int_equal(get_object(s, 1, SMALL), 0);
    usleep(20000);
    object_path(dir, 1, path);
    damage_file(path, SMALL, FLIP_FIRST);
    assert_int_equal(get_object(s, 1, SMALL), -ENOENT);
    assert_int_equal(stats_of(s).quarantined, 1);
    vivo_store_close(s);
    remove_dir(dir);
}

/* An object under another's name (a botched copy of the cache) is not given out. */
static void test_object_under_another_name_is_quarantined(void **state)
{
    (void)state;
    char *dir = temp_dir(), one[256], two[256];
    struct vivo_store *s = open_store(dir, 0);

    assert_int_equal(put_object(s, 1, SMALL), 0);
    assert_int_equal(put_object(s, 2, SMALL), 0);
    object_path(dir, 1, one);
    object_path(dir, 2, two);
    assert_int_equal(rename(one, two), 0);
    assert_int_equal(get_object(s, 2, SMALL), -ENOENT);
    assert_int_equal(stats_of(s).quarantined, 1);
    vivo_store_close(s);
    remove_dir(dir);
}

/* A view whose source fails gives no entry. */
static void test_put_of_a_changed_source_leaves_nothing(void **state)
{
    (void)state;
    char *dir = temp_dir(), path[256];
    struct vivo_store *s = open_store(dir, 0);
    struct vivo_store_key key = key_of(1);
    struct vivo_view *in = NULL, *out = NULL;
    struct vivo_identity id;
    struct vivo_err err = {0};

    snprintf(path, sizeof path, "%s/source", dir);
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    assert_int_equal(ftruncate(fd, 3 << 20), 0);
    assert_int_equal(vivo_identity_of(fd, &id, NULL), 0);
    assert_int_equal(vivo_view_new(fd, &id, &in, NULL), 0);
    assert_int_equal(vivo_view_add_range(in, 0, 3 << 20), 0);
    assert_int_equal(ftruncate(fd, 1 << 20), 0);
    assert_int_equal(vivo_store_put(s, &key, in, false, &out, &err), -EIO);
    assert_null(out);
    assert_int_equal(get_object(s, 1, 3 << 20), -ENOENT);
    assert_int_equal(stats_of(s).bytes, 0);
    vivo_view_unref(in);
    vivo_store_close(s);
    remove_dir(dir);
}

static void test_damaged_index_is_begun_anew_and_objects_stay(void **state)
{
    (void)state;
    char *dir = temp_dir(), path[256];
    struct vivo_store *s = open_store(dir, 0);

    assert_int_equal(put_object(s, 1, SMALL), 0);
    vivo_store_close(s);
    snprintf(path, sizeof path, "%s/index.db", dir);
    int fd = open(path, O_WRONLY | O_TRUNC);
    assert_true(
        write(fd, "this is no database, it is a text file of some length", 53) == 53);
    close(fd);
    s = open_store(dir, 0);
    assert_int_equal(stats_of(s).entries, 0);
    assert_int_equal(get_object(s, 1, SMALL), 0); /* and adopted by this use */
    vivo_store_close(s);
    s = open_store(dir, 0);
    assert_int_equal(stats_of(s).entries, 1);
    assert_int_equal(stats_of(s).bytes, SMALL_FILE);
    vivo_store_close(s);
    remove_dir(dir);
}

static void test_digest_of_the_whole_is_kept_with_it(void **state)
{
    static const size_t sizes[] = {0, 1000, 1 << 20, (2 << 20) + 77};
    char *dir = temp_dir();

    (void)state;
    struct vivo_store *s = open_store(dir, 0);
    for (unsigned i = 0; i < VIVO_ARRAY_LEN(sizes); i++) {
        struct vivo_store_key key = key_of(i);
        struct vivo_view *in = memory_view(i, sizes[i]), *out = NULL;
        assert_int_equal(vivo_store_put(s, &key, in, true, &out, NULL), 0);
        vivo_view_unref(in);
        vivo_view_unref(out);
    }
    put_object(s, 9, 1000);
    vivo_store_close(s);
    s = open_store(dir, 0);
    for (unsigned i = 0; i < VIVO_ARRAY_LEN(sizes); i++) {
        struct vivo_store_key key = key_of(i);
        uint8_t got[VIVO_DIGEST_LEN], want[VIVO_DIGEST_LEN];
        uint8_t *bytes = content_of(i, sizes[i]);
        vivo_sha256(bytes, sizes[i], want);
        free(bytes);
        assert_int_equal(vivo_store_digest(s, &key, got), 0);
        assert_memory_equal(got, want, sizeof got);
        assert_int_equal(get_object(s, i, sizes[i]), 0);
    }
    struct vivo_store_key without = key_of(9), absent = key_of(10);
    uint8_t none[VIVO_DIGEST_LEN];
    assert_int_equal(vivo_store_digest(s, &without, none), -ENOENT);
    assert_int_equal(vivo_store_digest(s, &absent, none), -ENOENT);
    assert_int_equal(get_object(s, 9, 1000), 0);
    vivo_store_close(s);
    remove_dir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put_then_get_gives_the_bytes),
        cmocka_unit_test(test_stored_view_is_one_plain_range),
        cmocka_unit_test(test_files_are_private),
        cmocka_unit_test(test_directory_that_others_can_write_is_refused),
        cmocka_unit_test(test_quota_evicts_least_recently_used),
        cmocka_unit_test(test_quota_holds_over_many_puts),
        cmocka_unit_test(test_object_larger_than_quota_is_enospc),
        cmocka_unit_test(test_replacing_an_object_counts_it_once),
        cmocka_unit_test(test_view_outlives_eviction),
        cmocka_unit_test(test_pinned_entry_is_not_evicted),
        cmocka_unit_test(test_forget_removes_one_entry),
        cmocka_unit_test(test_damage_is_quarantined_and_fetched_again),
        cmocka_unit_test(test_damage_after_the_check_is_seen),
        cmocka_unit_test(test_object_under_another_name_is_quarantined),
        cmocka_unit_test(test_put_of_a_changed_source_leaves_nothing),
        cmocka_unit_test(test_damaged_index_is_begun_anew_and_objects_stay),
        cmocka_unit_test(test_digest_of_the_whole_is_kept_with_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
