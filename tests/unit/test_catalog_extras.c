/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_catalog_extras.c -- files that are no objects: where they are shown,
 * how they are called, and when they go. */
#include "catalog_fixture.h"
#include "vivofs/extras.h"

static const struct object ct = {.patient = "P1",
                                 .study = "1.2.1",
                                 .series = "1.2.1.1",
                                 .uid = "1.2.1.1.1",
                                 .modality = "CT",
                                 .date = "20190302",
                                 .number = "1"};

static struct object in_series(const char *series, const char *uid)
{
    struct object o = ct;
    o.series = series;
    o.uid = uid;
    return o;
}

static void put_object(struct vivo_listing *l, const char *path, const struct object *o)
{
    const struct vivo_put put = {.level = VIVO_LEVEL_INSTANCE,
                                 .locator = path,
                                 .where = path,
                                 .version = "v",
                                 .size = 1000,
                                 .size_exact = true,
                                 .headers = true};
    assert_int_equal(put_with(l, put, o, NULL), 0);
}

static void put_at(struct vivo_listing *l, const char *locator, const char *path,
                   const char *version, uint64_t size)
{
    const struct vivo_extra_put put = {.locator = locator,
                                       .version = version,
                                       .path = path,
                                       .size = size,
                                       .size_exact = size > 0};
    struct vivo_err err = {0};
    if (vivo_listing_extra(l, &put, &err))
        fail_msg("%s", err.text);
}

static void put_extra(struct vivo_listing *l, const char *path)
{
    put_at(l, path, path, "v", 5);
}

/* ---- what is shown ---- */

static struct vivo_catalog *shown_of;
static char text[8192];

static int write_extra(void *ctx, const struct vivo_extra_entry *e)
{
    struct vivo_buf path;
    struct vivo_err err = {0};
    (void)ctx;
    if (e->folder)
        return vivo_catalog_extras(shown_of, e->row, write_extra, NULL, NULL);
    vivo_buf_init(&path, 4096);
    if (vivo_catalog_extra_path(shown_of, e->row, &path, &err))
        fail_msg("%s", err.text);
    strncat(text, (const char *)path.data, sizeof text - strlen(text) - 2);
    strncat(text, "\n", sizeof text - strlen(text) - 1);
    vivo_buf_free(&path);
    return 0;
}

static int write_below(void *ctx, const struct vivo_entry *e)
{
    struct vivo_err err = {0};
    (void)ctx;
    if (vivo_catalog_extras(shown_of, e->row, write_extra, NULL, &err))
        fail_msg("%s", err.text);
    if (e->level < VIVO_LEVEL_SERIES &&
        vivo_catalog_children(shown_of, e->level, e->row, NULL, write_below, NULL,
                              &err))
        fail_msg("%s", err.text);
    return 0;
}

/* Paths of all that is shown, in the order of the tree. */
static const char *shown(struct vivo_catalog *c)
{
    text[0] = 0;
    shown_of = c;
    assert_int_equal(
        vivo_catalog_children(c, VIVO_LEVEL_NONE, 0, NULL, write_below, NULL, NULL), 0);
    return text;
}

struct u {
    char s[7];
};
static struct u u(const char *of)
{
    struct u out;
    vivo_short_name(of, strlen(of), out.s, 6);
    return out;
}

/* ---- tests ---- */

static void test_files_lie_with_the_only_series_of_their_folder(void **state)
{
    struct vivo_catalog *c = catalog_at(NULL, false);
    struct vivo_listing *l = list_begin(c, VIVO_LEVEL_NONE, 0);
    struct object two = in_series("1.2.1.2", "1.2.1.2.1");
    struct object three = in_series("1.2.1.3", "1.2.1.3.1");
    char want[1000];

    (void)state;
    put_extra(l, "one/notes.txt"); /* before anything is known of its folder */
    put_object(l, "one/a", &ct);
    put_object(l, "both/b", &three);
    put_object(l, "both/c", &two);
    put_extra(l, "both/x.txt");
    put_extra(l, "top.txt");
    put_extra(l, "one/sub/y.txt");
    assert_string_equal(shown(c), ""); /* not before the listing is complete */
    list_end(l, true);
    snprintf(want, sizeof want,
             "all/both/x.txt\nall/one/sub/y.txt\nall/top.txt\n"
             "all/P1/20190302_%s/CT_%s/notes.txt\n",
             u("1.2.1").s, u("1.2.1.1").s);
    assert_string_equal(shown(c), want);
    vivo_catalog_close(c);
}

static void test_names_give_way_to_what_is_there(void **state)
{
    static const char *const paths[] = {
        "P1/x.txt", "both",         "both/in.txt", "q",
        "dir/.txt", "./dir//y.txt", "a/../b.txt",
    };
    struct vivo_buf first;
    char want[1000];

    (void)state;
    vivo_buf_init(&first, 8192);
    for (unsigned turn = 0; turn < 2; turn++) { /* whatever the order of arrival */
        struct vivo_catalog *c = catalog_at(NULL, false);
        struct vivo_listing *l = list_begin(c, VIVO_LEVEL_NONE, 0);
        for (size_t i = 0; i < VIVO_ARRAY_LEN(paths); i++)
            put_extra(l, paths[turn ? VIVO_ARRAY_LEN(paths) - 1 - i : i]);
        put_object(l, "elsewhere/a", &ct);
        list_end(l, true);
        if (turn)
            assert_string_equal(shown(c), (const char *)first.data);
        else
            vivo_buf_puts(&first, shown(c));
        vivo_catalog_close(c);
    }
    snprintf(want, sizeof want,
             "all/P1_%s/x.txt\nall/a/x_%s/b.txt\nall/both/in.txt\nall/both_%s\n"
             "all/dir/txt_%s\nall/dir/y.txt\nall/q_%s\n",
             u("P1").s, u("a/..").s, u("both").s, u("dir/.txt").s, u("q").s);
    assert_string_equal((const char *)first.data, want);
    vivo_buf_free(&first);
}

/* Archives that know files by ids may have two of one path. */
static void test_files_of_one_path_are_told_apart(void **state)
{
    struct vivo_buf first;

    (void)state;
    vivo_buf_init(&first, 8192);
    for (int turn = 0; turn < 2; turn++) {
        struct vivo_catalog *c = catalog_at(NULL, false);
        struct vivo_listing *l = list_begin(c, VIVO_LEVEL_NONE, 0);
        for (int i = 0; i < 3; i++)
            put_at(l, (const char *[]){"id1", "id2", "id3"}[turn ? 2 - i : i],
                   "f/a.txt", "v", 5);
        list_end(l, true);
        if (turn)
            assert_string_equal(shown(c), (const char *)first.data);
        else
            vivo_buf_puts(&first, shown(c));
        vivo_catalog_close(c);
    }
    assert_int_equal(first.len, 3 * strlen("all/f/a.txt\n") + 2 * 7);
    assert_non_null(strstr((const char *)first.data, "all/f/a.txt\n"));
    vivo_buf_free(&first);
}

static void test_what_is_gone_goes_and_what_is_left_moves(void **state)
{
    struct vivo_catalog *c = catalog_at(NULL, false);
    struct vivo_listing *l = list_begin(c, VIVO_LEVEL_NONE, 0);
    struct vivo_counts n;

    (void)state;
    put_object(l, "one/a", &ct);
    put_object(l, "two/b",
               &(struct object){.patient = "P1",
                                .study = "1.2.1",
                                .series = "1.2.1.9",
                                .uid = "1.2.1.9.1"});
    put_extra(l, "one/notes.txt");
    put_extra(l, "old/x.txt");
    list_end(l, true);
    uint64_t before = vivo_catalog_generation(c);
    l = list_begin(c, VIVO_LEVEL_NONE, 0);
    assert_true(vivo_listing_known(l, "one/a", "v"));
    assert_true(vivo_listing_known(l, "two/b", "v"));
    assert_true(vivo_listing_known(l, "one/notes.txt", "v"));
    assert_true(vivo_listing_known(l, "old/x.txt", "v"));
    assert_false(vivo_listing_known(l, "old/x.txt", "w"));
    list_end(l, true);
    assert_int_equal(vivo_catalog_generation(c), before);

    l = list_begin(c, VIVO_LEVEL_NONE, 0);
    vivo_listing_known(l, "two/b", "v");
    vivo_listing_known(l, "one/notes.txt", "v");
    list_end(l, true);
    assert_string_equal(shown(c), "all/one/notes.txt\n");
    assert_int_equal(vivo_catalog_count(c, VIVO_LEVEL_NONE, 0, NULL, &n, NULL), 0);
    assert_int_equal(n.extras, 1);
    assert_int_equal(n.others, 0);

    /* It is an object from now on, and another one is none. */
    l = list_begin(c, VIVO_LEVEL_NONE, 0);
    put_object(l, "one/notes.txt", &ct);
    put_extra(l, "two/b");
    list_end(l, true);
    assert_string_equal(shown(c), "all/two/b\n");
    assert_int_equal(vivo_catalog_count(c, VIVO_LEVEL_NONE, 0, NULL, &n, NULL), 0);
    assert_int_equal(n.instances, 1);

    l = list_begin(c, VIVO_LEVEL_NONE, 0);
    list_end(l, true);
    assert_string_equal(shown(c), "");
    assert_int_equal(vivo_catalog_count(c, VIVO_LEVEL_NONE, 0, NULL, &n, NULL), 0);
    assert_int_equal(n.extras + n.instances + n.collections, 0);
    vivo_catalog_close(c);
}

static int keep_entry(void *ctx, const struct vivo_extra_entry *e)
{
    *(struct vivo_extra_entry *)ctx = *e;
    return 0;
}

static struct vivo_extra_entry entry(struct vivo_catalog *c, vivo_row parent,
                                     const char *name)
{
    struct vivo_extra_entry e = {0};
    struct vivo_err err = {0};
    if (vivo_catalog_extra_find(c, parent, name, keep_entry, &e, &err))
        fail_msg("%s", err.text);
    return e;
}

static int keep_row(void *ctx, const struct vivo_entry *e)
{
    *(vivo_row *)ctx = e->row;
    return 0;
}

static vivo_row child(struct vivo_catalog *c, enum vivo_level level, vivo_row parent)
{
    vivo_row row = 0;
    vivo_catalog_children(c, level, parent, NULL, keep_row, &row, NULL);
    assert_true(row > 0);
    return row;
}

static void test_sizes_and_versions_are_learned(void **state)
{
    struct vivo_catalog *c = catalog_at(NULL, true);
    struct vivo_listing *l = list_begin(c, VIVO_LEVEL_NONE, 0);
    struct vivo_buf locator, version;
    struct vivo_extra_entry e;

    (void)state;
    vivo_buf_init(&locator, 4096);
    vivo_buf_init(&version, 4096);
    put_at(l, "x.txt", "x.txt", "v", 0);
    list_end(l, true);
    vivo_row all = child(c, VIVO_LEVEL_NONE, 0);
    e = entry(c, all, "x.txt");
    assert_true(e.size > 0 && !e.size_exact && e.version == 1 && !e.folder);
    assert_int_equal(e.mtime, 946684800);
    assert_int_equal(vivo_catalog_set_size(c, e.row, 77, NULL), 0);
    e = entry(c, all, "x.txt");
    assert_true(e.size == 77 && e.size_exact && e.version == 1);

    const struct vivo_extra_put put = {
        .locator = "x.txt", .version = "w", .size = 0, .size_exact = true};
    assert_int_equal(vivo_catalog_extra_replace(c, e.row, &put, NULL), 0);
    struct vivo_extra_entry now = entry(c, all, "x.txt");
    assert_true(now.row == e.row && now.size == 0 && now.size_exact);
    assert_int_equal(now.version, 2);
    assert_int_equal(
        vivo_catalog_locator(c, VIVO_LEVEL_INSTANCE, e.row, &locator, &version, NULL),
        0);
    assert_string_equal((char *)locator.data, "x.txt");
    assert_string_equal((char *)version.data, "w");
    l = list_begin(c, VIVO_LEVEL_NONE, 0);
    assert_true(vivo_listing_known(l, "x.txt", "w"));
    list_end(l, true);
    assert_int_equal(vivo_catalog_set_size(c, e.row + 1000, 1, NULL), -ENOENT);
    assert_int_equal(vivo_catalog_extra_replace(c, e.row + 1000, &put, NULL), -ENOENT);
    vivo_buf_free(&locator);
    vivo_buf_free(&version);
    vivo_catalog_close(c);
}

/* The listing of a series (as XNAT's) says whose files these are. */
static void test_files_of_a_listed_series_are_below_it(void **state)
{
    struct vivo_catalog *c = catalog_at(NULL, false);
    struct vivo_listing *l = list_begin(c, VIVO_LEVEL_NONE, 0);
    struct vivo_put put = {.level = VIVO_LEVEL_SERIES, .locator = "S"};
    vivo_row series;
    char want[200];

    (void)state;
    put_with(l, put, &ct, &series);
    list_end(l, true);
    for (int turn = 0; turn < 2; turn++) {
        l = list_begin(c, VIVO_LEVEL_SERIES, series);
        if (turn == 0)
            put_at(l, "S/1", "NIFTI/a.nii", "v", 5);
        else
            assert_true(vivo_listing_known(l, "S/1", "v"));
        list_end(l, true);
        snprintf(want, sizeof want, "all/P1/20190302_%s/CT_%s/NIFTI/a.nii\n",
                 u("1.2.1").s, u("1.2.1.1").s);
        assert_string_equal(shown(c), want);
    }
    struct vivo_extra_entry folder = entry(c, series, "NIFTI");
    assert_true(folder.folder && folder.mtime == 1551484800);
    assert_int_equal(entry(c, folder.row, "a.nii").mtime, 1551484800);
    /* The series goes, and what its listing brought with it. */
    l = list_begin(c, VIVO_LEVEL_NONE, 0);
    list_end(l, true);
    assert_string_equal(shown(c), "");
    struct vivo_counts n;
    vivo_catalog_count(c, VIVO_LEVEL_NONE, 0, NULL, &n, NULL);
    assert_int_equal(n.extras, 0);
    l = list_begin(c, VIVO_LEVEL_NONE, 0);
    assert_false(vivo_listing_known(l, "S/1", "v"));
    list_end(l, true);
    vivo_catalog_close(c);
}

/* What a listing that failed has put is not shown, and has its place after the next. */
static void test_a_listing_that_fails_shows_nothing_of_itself(void **state)
{
    struct vivo_catalog *c = catalog_at(NULL, false);
    struct vivo_listing *l = list_begin(c, VIVO_LEVEL_NONE, 0);

    (void)state;
    put_extra(l, "f/x.txt");
    list_end(l, false);
    assert_string_equal(shown(c), "");
    l = list_begin(c, VIVO_LEVEL_NONE, 0);
    assert_true(vivo_listing_known(l, "f/x.txt", "v"));
    list_end(l, true);
    assert_string_equal(shown(c), "all/f/x.txt\n");
    vivo_catalog_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files_lie_with_the_only_series_of_their_folder),
        cmocka_unit_test(test_names_give_way_to_what_is_there),
        cmocka_unit_test(test_files_of_one_path_are_told_apart),
        cmocka_unit_test(test_what_is_gone_goes_and_what_is_left_moves),
        cmocka_unit_test(test_sizes_and_versions_are_learned),
        cmocka_unit_test(test_files_of_a_listed_series_are_below_it),
        cmocka_unit_test(test_a_listing_that_fails_shows_nothing_of_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
