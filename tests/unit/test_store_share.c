/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_store_share.c -- processes that die, and processes that share a
 * directory; strays that the keeper finds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "role.h"
#include "store/object.h"
#include "store_fixture.h"

#include <dirent.h>
#include <signal.h>

#define SIZE 300000
#define MEMBERS 40
#define FILE_LENGTH vivo_store_object_length(SIZE, false)

static unsigned count_entries(const char *dir, const char *name)
{
    char path[256];
    unsigned n = 0;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    DIR *dp = opendir(path);
    assert_non_null(dp);
    for (const struct dirent *e; (e = readdir(dp)) != NULL;)
        n += e->d_name[0] != '.';
    closedir(dp);
    return n;
}

/* ---- roles ----------------------------------------------------------------------- */

/* Puts the same objects over and over until it is killed. */
static int role_put_for_ever(const char *dir)
{
    struct vivo_store *s = open_store(dir, 0);

    for (unsigned i = 0; i < UINT32_MAX; i++)
        put_object(s, i % MEMBERS, SIZE);
    return 0;
}

/* Puts objects 1000…, and reads what the other one puts. */
static int role_partner(const char *dir)
{
    struct vivo_store *s = open_store(dir, 30 * FILE_LENGTH);

    for (unsigned i = 0; i < MEMBERS; i++) {
        assert_int_equal(put_object(s, 1000 + i, SIZE), 0);
        int rc = get_object(s, i, SIZE); /* right, or not there (yet, any more) */
        assert_true(rc == 0 || rc == -ENOENT);
    }
    assert_int_equal(stats_of(s).quarantined, 0);
    vivo_store_close(s);
    return 0;
}

static int role_put_one(const char *dir)
{
    struct vivo_store *s = open_store(dir, 0);

    assert_int_equal(put_object(s, 1, SIZE), 0);
    vivo_store_close(s);
    return 0;
}

/* ---- tests ----------------------------------------------------------------------- */

static void test_kill_during_put_leaves_nothing_half(void **state)
{
    (void)state;
    char *dir = temp_dir(), first[256];

    object_path(dir, 0, first);
    for (int round = 0; round < 12; round++) {
        pid_t pid = start_role("put-for-ever", dir);
        assert_true(pid > 0);
        while (access(first, F_OK) != 0)
            usleep(1000);
        usleep((useconds_t)(round * 3000 + 500)); /* anywhere in a put */
        kill(pid, SIGKILL);
        assert_int_equal(end_role(pid), 128 + SIGKILL);
        assert_int_equal(count_entries(dir, "tmp"), 1); /* what it left */

        struct vivo_store *s = open_store(dir, 0);
        assert_int_equal(count_entries(dir, "tmp"), 1); /* ours only, and empty */
        for (unsigned i = 0; i < MEMBERS; i++) {
            int rc = get_object(s, i, SIZE);
            assert_true(rc == 0 || rc == -ENOENT);
        }
        assert_int_equal(stats_of(s).quarantined, 0);
        vivo_store_close(s);
        assert_int_equal(count_entries(dir, "tmp"), 0);
        assert_int_equal(unlink(first), 0);
    }
    remove_dir(dir);
}

static void test_two_processes_share_a_directory(void **state)
{
    (void)state;
    char *dir = temp_dir();
    uint64_t quota = 30 * FILE_LENGTH;
    struct vivo_store *s = open_store(dir, quota);
    pid_t pid = start_role("partner", dir);

    assert_true(pid > 0);
    for (unsigned i = 0; i < MEMBERS; i++)
        assert_int_equal(put_object(s, i, SIZE), 0);
    assert_int_equal(end_role(pid), 0);
    unsigned theirs = 0;
    for (unsigned i = 0; i < MEMBERS; i++)
        theirs += get_object(s, 1000 + i, SIZE) == 0;
    assert_true(theirs > 0);
    assert_int_equal(stats_of(s).quarantined, 0);
    vivo_store_close(s);

    s = open_store(dir, quota); /* at rest: what is there is what is counted */
    assert_int_equal(put_object(s, 5000, SIZE), 0);
    struct vivo_store_stats st = stats_of(s);
    assert_true(st.bytes <= quota);
    unsigned found = 0;
    for (unsigned i = 0; i < MEMBERS; i++) {
        found += get_object(s, i, SIZE) == 0;
        found += get_object(s, 1000 + i, SIZE) == 0;
    }
    assert_int_equal(found + 1, st.entries);
    assert_int_equal(st.bytes, st.entries * FILE_LENGTH);
    vivo_store_close(s);
    remove_dir(dir);
}

static void test_put_of_another_process_is_found_at_once(void **state)
{
    (void)state;
    char *dir = temp_dir();
    struct vivo_store *s = open_store(dir, 0);

    assert_int_equal(get_object(s, 1, SIZE), -ENOENT);
    assert_int_equal(end_role(start_role("put-one", dir)), 0);
    assert_int_equal(get_object(s, 1, SIZE), 0);
    vivo_store_close(s);
    remove_dir(dir);
}

static void test_live_process_keeps_its_temporary_directory(void **state)
{
    (void)state;
    char *dir = temp_dir();
    struct vivo_store *s = open_store(dir, 0);

    assert_int_equal(end_role(start_role("put-one", dir)), 0);
    assert_int_equal(count_entries(dir, "tmp"), 1);
    assert_int_equal(put_object(s, 2, SIZE), 0);
    vivo_store_close(s);
    remove_dir(dir);
}

/* A number whose key begins with this byte. */
static unsigned number_with_prefix(uint8_t prefix)
{
    unsigned n = 0;

    while (key_of(n).digest[0] != prefix)
        n++;
    return n;
}

/* With the index gone, the keeper takes objects in, one directory a second; and drops
 * rows whose object is gone. */
static void test_strays_are_found(void **state)
{
    (void)state;
    char *dir = temp_dir(), path[256];
    unsigned file = number_with_prefix(1), row = number_with_prefix(4);
    struct vivo_store *s = open_store(dir, 0);

    assert_int_equal(put_object(s, file, SIZE), 0);
    vivo_store_close(s);
    snprintf(path, sizeof path, "%s/index.db", dir);
    assert_int_equal(unlink(path), 0);
    s = open_store(dir, 0);
    assert_int_equal(stats_of(s).entries, 0);
    assert_int_equal(put_object(s, row, SIZE), 0);
    object_path(dir, row, path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(stats_of(s).entries, 1); /* the row */
    while (stats_of(s).entries != 2)
        usleep(10000);
    while (stats_of(s).entries != 1)
        usleep(10000);
    assert_int_equal(stats_of(s).bytes, FILE_LENGTH);
    vivo_store_close(s);
    s = open_store(dir, 0);
    assert_int_equal(stats_of(s).entries, 1);
    assert_int_equal(get_object(s, file, SIZE), 0);
    vivo_store_close(s);
    remove_dir(dir);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kill_during_put_leaves_nothing_half),
        cmocka_unit_test(test_two_processes_share_a_directory),
        cmocka_unit_test(test_put_of_another_process_is_found_at_once),
        cmocka_unit_test(test_live_process_keeps_its_temporary_directory),
        cmocka_unit_test(test_strays_are_found),
    };

    if (argc == 3 && strcmp(argv[1], "put-for-ever") == 0)
        return role_put_for_ever(argv[2]);
    if (argc == 3 && strcmp(argv[1], "partner") == 0)
        return role_partner(argv[2]);
    if (argc == 3 && strcmp(argv[1], "put-one") == 0)
        return role_put_one(argv[2]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
