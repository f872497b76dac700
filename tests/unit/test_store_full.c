/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_store_full.c -- no room: a small file system that is full, a minimum
 * of free space, a limit on file size. Mounting happens in a process with a mount
 * namespace of its own (as root, or in a user namespace). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "role.h"
#include "store/object.h"
#include "store_fixture.h"

#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/statvfs.h>

#define SIZE (256u << 10)

static void write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY);

    if (fd >= 0 && write(fd, text, strlen(text)) < 0)
        print_message("%s: %s\n", path, strerror(errno));
    if (fd >= 0)
        close(fd);
}

/* A tmpfs of 2 MiB on dir that nobody else sees. */
static void mount_small(const char *dir)
{
    char map[64];
    int flags = CLONE_NEWNS | (geteuid() == 0 ? 0 : CLONE_NEWUSER);

    snprintf(map, sizeof map, "0 %u 1", (unsigned)geteuid());
    assert_int_equal(unshare(flags), 0);
    if (flags & CLONE_NEWUSER)
        write_text("/proc/self/uid_map", map);
    assert_int_equal(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
    assert_int_equal(mount("small", dir, "tmpfs", 0, "size=2m,mode=0700"), 0);
}

static uint64_t free_bytes(const char *dir)
{
    struct statvfs fs;

    assert_int_equal(statvfs(dir, &fs), 0);
    return (uint64_t)fs.f_bavail * fs.f_frsize;
}

/* Somebody else's file takes all but `leave` bytes. */
static void fill_disk(const char *dir, uint64_t leave)
{
    char path[256];

    snprintf(path, sizeof path, "%s/other", dir);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    uint64_t free_now = free_bytes(dir);
    if (free_now > leave)
        assert_int_equal(posix_fallocate(fd, 0, (off_t)(free_now - leave)), 0);
    close(fd);
}

/* ---- roles: each in its own small file system ------------------------------------ */

/* The disk fills up with the store's own objects: the oldest go, puts go on. */
static int role_own(const char *dir)
{
    mount_small(dir);
    struct vivo_store *s = open_store(dir, 0);
    for (unsigned i = 0; i < 40; i++) {
        assert_int_equal(put_object(s, i, SIZE), 0);
        assert_int_equal(get_object(s, i, SIZE), 0);
    }
    assert_int_equal(get_object(s, 0, SIZE), -ENOENT);
    assert_true(stats_of(s).evicted > 30);
    vivo_store_close(s);
    return 0;
}

/* … with somebody else's: nothing of ours would help, so nothing of ours is lost. */
static int role_others(const char *dir)
{
    mount_small(dir);
    struct vivo_store *s = open_store(dir, 0);
    assert_int_equal(put_object(s, 1, 4096), 0);
    fill_disk(dir, 8192);
    for (unsigned i = 10; i < 20; i++)
        assert_int_equal(put_object(s, i, SIZE), -ENOSPC);
    assert_int_equal(get_object(s, 1, 4096), 0);
    assert_int_equal(stats_of(s).evicted, 0);
    assert_int_equal(stats_of(s).bytes, vivo_store_object_length(4096, false));
    char other[256];
    snprintf(other, sizeof other, "%s/other", dir);
    assert_int_equal(unlink(other), 0);
    assert_int_equal(put_object(s, 20, SIZE), 0); /* room again: it works again */
    vivo_store_close(s);
    return 0;
}

static int role_min_free(const char *dir)
{
    mount_small(dir);
    struct vivo_store_config cfg = {.dir = dir, .min_free = 1u << 20};
    struct vivo_store *s = NULL;
    assert_int_equal(vivo_store_open(&cfg, &s, NULL), 0);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(put_object(s, i, 64u << 10), 0);
        /* The index's own file may grow by some pages in between. */
        assert_true(free_bytes(dir) + (128u << 10) >= 1u << 20);
    }
    assert_true(stats_of(s).evicted > 0);
    vivo_store_close(s);
    return 0;
}

/* A limit that statvfs does not tell: the write itself says no. */
static int role_file_size(const char *dir)
{
    struct vivo_store *s = open_store(dir, 0);
    struct rlimit limit = {.rlim_cur = 200u << 10, .rlim_max = RLIM_INFINITY};
    char path[256];
    assert_int_equal(put_object(s, 1, 1000), 0);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_equal(put_object(s, 2, SIZE), -ENOSPC);
    limit.rlim_cur = RLIM_INFINITY;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    object_path(dir, 2, path);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(put_object(s, 2, SIZE), 0);
    assert_int_equal(get_object(s, 2, SIZE), 0);
    vivo_store_close(s);
    return 0;
}

static const struct {
    const char *name;
    int (*run)(const char *dir);
} roles[] = {{"own", role_own},
             {"others", role_others},
             {"min-free", role_min_free},
             {"file-size", role_file_size}};

/* ---- tests ----------------------------------------------------------------------- */

static void run_role(const char *role)
{
    char *dir = temp_dir();
    int rc = end_role(start_role(role, dir));

    remove_dir(dir);
    assert_int_equal(rc, 0);
}

static void test_full_of_own_objects_evicts_and_goes_on(void **state)
{
    (void)state;
    run_role("own");
}

static void test_full_of_others_is_enospc_and_loses_nothing(void **state)
{
    (void)state;
    run_role("others");
}

static void test_min_free_is_kept(void **state)
{
    (void)state;
    run_role("min-free");
}

static void test_file_size_limit_is_enospc(void **state)
{
    (void)state;
    run_role("file-size");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full_of_own_objects_evicts_and_goes_on),
        cmocka_unit_test(test_full_of_others_is_enospc_and_loses_nothing),
        cmocka_unit_test(test_min_free_is_kept),
        cmocka_unit_test(test_file_size_limit_is_enospc),
    };

    for (size_t i = 0; argc == 3 && i < VIVO_ARRAY_LEN(roles); i++)
        if (strcmp(argv[1], roles[i].name) == 0)
            return roles[i].run(argv[2]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
