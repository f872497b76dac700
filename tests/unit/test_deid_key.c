/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_deid_key.c -- key files that are refused, and profiles' words. */
#include "deid_run.h"

#include <errno.h>
#include <sys/stat.h>

static char dir[] = "/tmp/vivofs-key-XXXXXX";

static char *path_of(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static char *key_file(const char *name, size_t len, mode_t mode)
{
    struct vivo_err err = {0};
    char bytes[256];
    char *path = path_of(name);
    memset(bytes, 'x', sizeof bytes);
    assert_int_equal(vivo_file_write(path, bytes, len, mode, &err), 0);
    assert_int_equal(chmod(path, mode), 0);
    return path;
}

static void refused(const char *path, int want)
{
    struct vivo_key *k = NULL;
    struct vivo_err err = {0};
    assert_int_equal(vivo_key_load(path, &k, &err), want);
    assert_null(k);
    assert_int_equal(err.errnum, -want);
    assert_non_null(strstr(err.text, path));
}

static void test_load_any_file_of_32_bytes_works(void **state)
{
    struct vivo_key *a = NULL, *b = NULL;
    struct vivo_err err = {0};
    (void)state;
    assert_int_equal(vivo_key_load(key_file("k32", 32, 0600), &a, &err), 0);
    assert_int_equal(vivo_key_load(key_file("k159", 159, 0400), &b, &err), 0);
    assert_int_equal(strlen(vivo_key_id(a)), 16);
    assert_string_not_equal(vivo_key_id(a), vivo_key_id(b));
    vivo_key_free(a);
    vivo_key_free(b);
}

static void test_load_short_is_refused(void **state)
{
    (void)state;
    refused(key_file("k31", 31, 0600), -EINVAL);
    refused(key_file("k0", 0, 0600), -EINVAL);
}

static void test_load_readable_by_others_is_refused(void **state)
{
    (void)state;
    refused(key_file("k644", 64, 0644), -EPERM);
    refused(key_file("k640", 64, 0640), -EPERM);
    refused(key_file("k602", 64, 0602), -EPERM);
}

static void test_load_missing_is_refused(void **state)
{
    (void)state;
    refused(path_of("none"), -ENOENT);
}

static void test_load_directory_is_refused(void **state)
{
    (void)state;
    assert_int_equal(mkdir(path_of("sub"), 0700), 0);
    refused(path_of("sub"), -EINVAL);
}

static void test_default_is_made_once(void **state)
{
    struct vivo_key *a = NULL, *b = NULL;
    struct vivo_err err = {0};
    char *path = NULL, *again = NULL;
    bool made = false;
    struct stat st;
    (void)state;
    assert_int_equal(setenv("XDG_CONFIG_HOME", dir, 1), 0);
    assert_int_equal(vivo_key_default(&a, &made, &path, &err), 0);
    assert_true(made);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_true(st.st_size >= 32);
    assert_int_equal(vivo_key_default(&b, &made, &again, &err), 0);
    assert_false(made);
    assert_string_equal(path, again);
    assert_string_equal(vivo_key_id(a), vivo_key_id(b));
    free(path);
    free(again);
    vivo_key_free(a);
    vivo_key_free(b);
}

static void profile_refused(const char *words, const char *said)
{
    struct vivo_key *k = test_key('k');
    struct vivo_deid *d = NULL;
    struct vivo_err err = {0};
    int rc = vivo_deid_new(words, VIVO_BURNED_IN_REFUSE, k, &d, &err);
    assert_int_equal(rc, -EINVAL);
    assert_null(d);
    if (!strstr(err.text, said))
        fail_msg("'%s' does not say '%s'", err.text, said);
    vivo_key_free(k);
}

static void test_profile_unknown_word_suggests(void **state)
{
    (void)state;
    profile_refused("basik", "basic");
    profile_refused("basic+retain-uid", "retain-uids");
    profile_refused("basic+retain-everything", "no such word");
    profile_refused("", "no such word");
    profile_refused("basic+", "no such word");
    profile_refused("retain-uids", "no such word");
}

static void test_profile_not_offered_is_said(void **state)
{
    (void)state;
    profile_refused("basic+clean-recognizable-visual-features", "not offered");
    profile_refused("none+retain-uids", "no options");
    profile_refused("basic+retain-full-dates+retain-modified-dates", "exclude");
}

static void test_profile_without_key_is_refused(void **state)
{
    struct vivo_deid *d = NULL;
    struct vivo_err err = {0};
    (void)state;
    assert_int_equal(vivo_deid_new("basic", VIVO_BURNED_IN_REFUSE, NULL, &d, &err),
                     -EINVAL);
    assert_int_equal(vivo_deid_new("none", VIVO_BURNED_IN_REFUSE, NULL, &d, &err), 0);
    assert_true(vivo_deid_is_none(d));
    vivo_deid_free(d);
}

static void test_profile_words_are_canonical(void **state)
{
    struct vivo_key *k = test_key('k');
    struct vivo_deid *a =
        test_profile("basic+retain-device+retain-uids", VIVO_BURNED_IN_REFUSE, k);
    struct vivo_deid *b = test_profile("basic+retain-uids+retain-device+retain-uids",
                                       VIVO_BURNED_IN_REFUSE, k);
    (void)state;
    assert_string_equal(vivo_deid_profile(a), "basic+retain-uids+retain-device");
    assert_string_equal(vivo_deid_profile(a), vivo_deid_profile(b));
    assert_memory_equal(vivo_deid_digest(a), vivo_deid_digest(b), VIVO_DIGEST_LEN);
    vivo_deid_free(a);
    vivo_deid_free(b);
    vivo_key_free(k);
}

static void test_digest_differs_by_profile_rule_and_key(void **state)
{
    struct vivo_key *k = test_key('k'), *l = test_key('l');
    struct vivo_deid *d[] = {
        test_profile("basic", VIVO_BURNED_IN_REFUSE, k),
        test_profile("basic", VIVO_BURNED_IN_ALLOW, k),
        test_profile("strict", VIVO_BURNED_IN_REFUSE, k),
        test_profile("basic+retain-uids", VIVO_BURNED_IN_REFUSE, k),
        test_profile("basic", VIVO_BURNED_IN_REFUSE, l),
    };
    (void)state;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(d); i++)
        for (size_t j = i + 1; j < VIVO_ARRAY_LEN(d); j++)
            assert_memory_not_equal(vivo_deid_digest(d[i]), vivo_deid_digest(d[j]),
                                    VIVO_DIGEST_LEN);
    for (size_t i = 0; i < VIVO_ARRAY_LEN(d); i++)
        vivo_deid_free(d[i]);
    vivo_key_free(k);
    vivo_key_free(l);
}

static void test_conformance_names_profile_edition_and_key(void **state)
{
    struct vivo_key *k = test_key('k');
    struct vivo_deid *d = test_profile("basic+retain-uids", VIVO_BURNED_IN_REFUSE, k);
    struct vivo_buf b;
    (void)state;
    vivo_buf_init(&b, 65536);
    assert_int_equal(vivo_deid_conformance(d, NULL, &b), 0);
    assert_non_null(strstr((const char *)b.data, "2026d"));
    assert_non_null(strstr((const char *)b.data, "basic+retain-uids"));
    assert_non_null(strstr((const char *)b.data, vivo_key_id(k)));
    assert_non_null(strstr((const char *)b.data, VIVO_DUMMY_DATE));
    vivo_buf_clear(&b);
    assert_int_equal(vivo_deid_list_profiles(&b), 0);
    assert_non_null(strstr((const char *)b.data, "retain-institution"));
    vivo_buf_free(&b);
    vivo_deid_free(d);
    vivo_key_free(k);
}

static int setup(void **state)
{
    return mkdtemp(dir) ? deid_setup(state) : -1;
}

static int teardown(void **state)
{
    static const char *const names[] = {"k32",  "k159", "k31",  "k0",
                                        "k644", "k640", "k602", "vivofs/key"};
    (void)state;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(names); i++)
        unlink(path_of(names[i]));
    rmdir(path_of("sub"));
    rmdir(path_of("vivofs"));
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_load_any_file_of_32_bytes_works),
        cmocka_unit_test(test_load_short_is_refused),
        cmocka_unit_test(test_load_readable_by_others_is_refused),
        cmocka_unit_test(test_load_missing_is_refused),
        cmocka_unit_test(test_load_directory_is_refused),
        cmocka_unit_test(test_default_is_made_once),
        cmocka_unit_test(test_profile_unknown_word_suggests),
        cmocka_unit_test(test_profile_not_offered_is_said),
        cmocka_unit_test(test_profile_without_key_is_refused),
        cmocka_unit_test(test_profile_words_are_canonical),
        cmocka_unit_test(test_digest_differs_by_profile_rule_and_key),
        cmocka_unit_test(test_conformance_names_profile_edition_and_key),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
