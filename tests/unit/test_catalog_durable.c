/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_catalog_durable.c -- a catalog outlives mounts, crashes and damage,
 * is shared by processes, and holds no original. */
#include "catalog/internal.h"
#include "catalog_fixture.h"
#include "vivofs/search.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/wait.h>

static void number_object(struct object *o, char text[4][40], unsigned i)
{
    snprintf(text[0], 40, "P%u", i / 100);
    snprintf(text[1], 40, "1.2.%u", i / 100);
    snprintf(text[2], 40, "1.2.%u.%u", i / 100, i / 20);
    snprintf(text[3], 40, "1.2.%u.%u.%u", i / 100, i / 20, i);
    *o = (struct object){.patient = text[0],
                         .study = text[1],
                         .series = text[2],
                         .uid = text[3],
                         .modality = "CT"};
}

static vivo_row put_number(struct vivo_listing *l, unsigned i)
{
    char text[4][40], locator[40];
    struct object o;

    number_object(&o, text, i);
    snprintf(locator, sizeof locator, "file/%u", i);
    return put_file(l, locator, "v1", &o);
}

static struct vivo_counts counts_of(struct vivo_catalog *c)
{
    struct vivo_counts n;
    struct vivo_err err = {0};

    if (vivo_catalog_count(c, VIVO_LEVEL_NONE, 0, NULL, &n, &err) < 0)
        fail_msg("%s", err.text);
    return n;
}

static void test_remount_knows_names_and_numbers(void **state)
{
    struct vivo_catalog *c;
    struct vivo_listing *l;
    struct vivo_err err = {0};
    struct vivo_buf locator, version;
    struct dir d;
    char *before, *after;
    vivo_row row, later;
    struct stat st;

    (void)state;
    dir_make(&d);
    c = catalog_at(d.db, true);
    l = list_begin(c, VIVO_LEVEL_NONE, 0);
    row = put_number(l, 0);
    for (unsigned i = 1; i < 300; i++)
        put_number(l, i);
    list_end(l, true);
    assert_int_equal(vivo_catalog_set_size(c, row, 777, &err), 0);
    before = tree_text(c, NULL);
    vivo_catalog_close(c);
    assert_int_equal(stat(d.db, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    c = catalog_at(d.db, true);
    after = tree_text(c, NULL);
    assert_string_equal(before, after);
    assert_true(get_row(c, VIVO_LEVEL_NONE, 0).e.listed);
    assert_int_equal(get_row(c, VIVO_LEVEL_INSTANCE, row).e.size, 777);
    vivo_buf_init(&locator, 100);
    vivo_buf_init(&version, 100);
    assert_int_equal(
        vivo_catalog_locator(c, VIVO_LEVEL_INSTANCE, row, &locator, &version, &err), 0);
    assert_string_equal((char *)locator.data, "file/0");
    assert_string_equal((char *)version.data, "v1");
    /* A row that has gone never comes back with another meaning. */
    l = list_begin(c, VIVO_LEVEL_NONE, 0);
    list_end(l, true);
    assert_int_equal(counts_of(c).instances, 0);
    vivo_catalog_close(c);
    c = catalog_at(d.db, true);
    l = list_begin(c, VIVO_LEVEL_NONE, 0);
    later = put_number(l, 5000);
    list_end(l, true);
    assert_true(later > row + 300);
    vivo_catalog_close(c);
    vivo_buf_free(&locator);
    vivo_buf_free(&version);
    free(before);
    free(after);
    dir_remove(&d);
}

/* Killed in the middle of its first listing, at a different point each time. */
static void test_kill_leaves_it_unlisted_or_complete(void **state)
{
    (void)state;
    for (unsigned at = 0; at < 5; at++) {
        struct vivo_catalog *c;
        struct vivo_listing *l;
        struct vivo_counts n;
        struct dir d;
        pid_t pid;
        int status, fds[2];
        char byte;

        dir_make(&d);
        assert_int_equal(pipe(fds), 0);
        pid = fork();
        if (pid == 0) {
            c = catalog_at(d.db, true);
            l = list_begin(c, VIVO_LEVEL_NONE, 0);
            for (unsigned i = 0;; i++) {
                put_number(l, i);
                if (i == 3000 * at + 200 && write(fds[1], "x", 1) != 1)
                    _exit(1);
            }
        }
        close(fds[1]);
        assert_int_equal(read(fds[0], &byte, 1), 1);
        close(fds[0]);
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        c = catalog_at(d.db, true);
        assert_false(get_row(c, VIVO_LEVEL_NONE, 0).e.listed);
        n = counts_of(c); /* what the series say equals what is there */
        {
            char *text = tree_text(c, NULL);
            uint64_t lines = 0;
            for (char *p = text; *p; p++)
                lines += *p == '\n';
            assert_int_equal(lines, n.instances);
            free(text);
        }
        l = list_begin(c, VIVO_LEVEL_NONE, 0);
        for (unsigned i = 0; i < 400; i++) {
            char locator[40];
            snprintf(locator, sizeof locator, "file/%u", i);
            if (!vivo_listing_known(l, locator, "v1"))
                put_number(l, i);
        }
        list_end(l, true);
        assert_int_equal(counts_of(c).instances, 400);
        assert_int_equal(counts_of(c).series, 20);
        assert_true(get_row(c, VIVO_LEVEL_NONE, 0).e.listed);
        vivo_catalog_close(c);
        dir_remove(&d);
    }
}

static void test_two_processes_share_one_catalog(void **state)
{
    struct vivo_catalog *c;
    struct vivo_listing *l;
    struct dir d;
    uint64_t generation;
    pid_t pid;
    int status;

    (void)state;
    dir_make(&d);
    pid = fork(); /* both make the database, if they can */
    if (pid == 0) {
        struct vivo_catalog *other = catalog_at(d.db, true);
        l = list_begin(other, VIVO_LEVEL_NONE, 0);
        for (unsigned i = 0; i < 3000; i++)
            put_number(l, i);
        list_end(l, true);
        vivo_catalog_close(other);
        _exit(0);
    }
    c = catalog_at(d.db, true);
    generation = vivo_catalog_generation(c);
    /* Both write at once, about different things; incomplete, so nothing goes. */
    l = list_begin(c, VIVO_LEVEL_NONE, 0);
    for (unsigned i = 10000; i < 13000; i++)
        put_number(l, i);
    list_end(l, false);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    l = list_begin(c, VIVO_LEVEL_NONE, 0);
    for (unsigned i = 0; i < 13000; i++) {
        char locator[40];
        snprintf(locator, sizeof locator, "file/%u", i);
        if (i < 3000 || i >= 10000)
            if (!vivo_listing_known(l, locator, "v1"))
                put_number(l, i);
    }
    list_end(l, true);
    assert_int_equal(counts_of(c).instances, 6000);
    assert_int_equal(counts_of(c).series, 300);
    assert_true(vivo_catalog_generation(c) > generation);
    vivo_catalog_close(c);
    dir_remove(&d);
}

static void assert_locator(struct vivo_catalog *c, vivo_row row, const char *locator,
                           const char *version)
{
    struct vivo_buf l;
    struct vivo_buf v;
    struct vivo_err err = {0};

    vivo_buf_init(&l, 8192);
    vivo_buf_init(&v, 8192);
    for (int again = 0; again < 2; again++) {
        assert_int_equal(
            vivo_catalog_locator(c, VIVO_LEVEL_INSTANCE, row, &l, &v, &err), 0);
        assert_string_equal((char *)l.data, locator);
        assert_string_equal((char *)v.data, version);
    }
    vivo_buf_free(&l);
    vivo_buf_free(&v);
}

static bool is_kept(struct vivo_catalog *c, vivo_row row)
{
    struct vivo_catalog_mark mark = vivo_lately_mark(c);
    struct vivo_entry e;
    char name[VIVO_NAME_MAX + 1];

    return vivo_lately_entry(c->lately, row, &mark, &e, name) && e.row == row &&
           strcmp(name, get_row(c, VIVO_LEVEL_INSTANCE, row).name) == 0;
}

static void replace_number(struct vivo_catalog *c, vivo_row row, unsigned i)
{
    struct vivo_put put = {.level = VIVO_LEVEL_INSTANCE,
                           .locator = "file/0",
                           .version = "v2",
                           .size = 50,
                           .size_exact = true,
                           .headers = true};
    struct vivo_err err = {0};
    struct vivo_buf attrs;
    struct object o;
    char text[4][40];

    vivo_buf_init(&attrs, 10000);
    number_object(&o, text, i);
    object_attrs(&o, &attrs);
    put.attrs = (struct vivo_attrs){attrs.data, attrs.len};
    assert_int_equal(vivo_catalog_replace(c, row, &put, &err), 0);
    vivo_buf_free(&attrs);
}

/* What is kept of rows never outlives a change, this catalog's or another one's. */
static void test_rows_read_lately_are_read_again_when_they_change(void **state)
{
    struct vivo_catalog *c;
    struct vivo_catalog *other;
    struct vivo_listing *l;
    struct vivo_err err = {0};
    struct dir d;
    vivo_row a, b;
    char path[2001];

    (void)state;
    dir_make(&d);
    c = catalog_at(d.db, true);
    l = list_begin(c, VIVO_LEVEL_NONE, 0);
    a = put_number(l, 0);
    memset(path, 'x', sizeof path - 1);
    path[sizeof path - 1] = 0;
    b = put_file(l, path, "v1",
                 &(struct object){.patient = "Q",
                                  .study = "3",
                                  .series = "3.1",
                                  .uid = "3.1.1",
                                  .modality = "MR"});
    list_end(l, true);
    assert_int_equal(get_row(c, VIVO_LEVEL_INSTANCE, a).e.size, 1000);
    assert_true(is_kept(c, a));
    assert_locator(c, a, "file/0", "v1");
    get_row(c, VIVO_LEVEL_INSTANCE, b);
    assert_locator(c, b, path, "v1"); /* too long to be kept */
    assert_int_equal(vivo_catalog_set_size(c, a, 7, &err), 0);
    assert_false(is_kept(c, a));
    assert_int_equal(get_row(c, VIVO_LEVEL_INSTANCE, a).e.size, 7);
    replace_number(c, a, 0);
    assert_locator(c, a, "file/0", "v2");
    assert_int_equal(get_row(c, VIVO_LEVEL_INSTANCE, a).e.version, 2);
    assert_locator(c, a, "file/0", "v2");
    other = catalog_at(d.db, true);
    assert_int_equal(vivo_catalog_set_refusal(other, a, 1, &err), 0);
    for (int i = 0; !get_row(c, VIVO_LEVEL_INSTANCE, a).e.refusal; i++) {
        assert_true(i < 10000);
        usleep(1000);
    }
    vivo_catalog_close(other);
    l = list_begin(c, VIVO_LEVEL_NONE, 0);
    list_end(l, true);
    assert_int_equal(vivo_catalog_get(c, VIVO_LEVEL_INSTANCE, a, take_one,
                                      &(struct one){.n = 0}, &err),
                     -ENOENT);
    vivo_catalog_close(c);
    dir_remove(&d);
}

static void overwrite(const char *path, off_t at)
{
    static const char junk[4096] = "this is no database";
    int fd = open(path, O_RDWR | O_CREAT, 0600);

    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, junk, sizeof junk, at), sizeof junk);
    close(fd);
}

static void test_damaged_or_older_is_moved_aside(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        struct vivo_catalog *c;
        struct vivo_listing *l;
        struct dir d;
        char bad[128];

        dir_make(&d);
        c = catalog_at(d.db, false);
        l = list_begin(c, VIVO_LEVEL_NONE, 0);
        put_number(l, 1);
        list_end(l, true);
        vivo_catalog_close(c);
        if (kind == 0) {
            overwrite(d.db, 0);
        } else {
            sqlite3 *db;
            sqlite3_stmt *st;
            assert_int_equal(sqlite3_open(d.db, &db), SQLITE_OK);
            sqlite3_prepare_v2(db, "PRAGMA user_version = 1", -1, &st, NULL);
            sqlite3_step(st);
            sqlite3_finalize(st);
            sqlite3_close(db);
        }
        c = catalog_at(d.db, false);
        assert_false(get_row(c, VIVO_LEVEL_NONE, 0).e.listed);
        assert_int_equal(counts_of(c).instances, 0);
        snprintf(bad, sizeof bad, "%s.bad", d.db);
        assert_int_equal(access(bad, F_OK), 0);
        l = list_begin(c, VIVO_LEVEL_NONE, 0);
        put_number(l, 1);
        list_end(l, true);
        assert_int_equal(counts_of(c).instances, 1);
        vivo_catalog_close(c);
        dir_remove(&d);
    }
}

static bool file_has(const char *path, const char *needle)
{
    FILE *f = fopen(path, "rb");
    size_t len, n = strlen(needle);
    bool found = false;
    char *data;

    if (!f)
        return false;
    fseek(f, 0, SEEK_END);
    len = (size_t)ftell(f);
    rewind(f);
    data = malloc(len + 1);
    assert_non_null(data);
    assert_int_equal(fread(data, 1, len, f), len);
    for (size_t i = 0; !found && i + n <= len; i++)
        found = memcmp(data + i, needle, n) == 0;
    free(data);
    fclose(f);
    return found;
}

/* Locators and versions are originals: with keys no byte of them is on the disk. */
static void test_originals_are_sealed(void **state)
{
    (void)state;
    for (int sealed = 0; sealed < 2; sealed++) {
        struct object o = {.patient = "PSEUDO",
                           .study = "2.25.1",
                           .series = "2.25.2",
                           .uid = "2.25.3"};
        struct object study = {.patient = "PSEUDO2", .study = "2.25.9"};
        struct vivo_put put = {.level = VIVO_LEVEL_STUDY,
                               .locator = "studies/CANARY-STUDY-UID",
                               .version = "CANARY-STUDY-ETAG"};
        static const char *const canaries[] = {"CANARY-PATH",       "CANARY-STUDY-UID",
                                               "CANARY-STUDY-ETAG", "CANARY-OTHER",
                                               "CANARY-COPY",       "CANARY-MTIME"};
        struct vivo_catalog *c;
        struct vivo_listing *l;
        struct vivo_err err = {0};
        bool seen = false;
        struct dir d;

        dir_make(&d);
        c = catalog_at(d.db, sealed);
        l = list_begin(c, VIVO_LEVEL_NONE, 0);
        put_file(l, "dir/CANARY-PATH.dcm", "CANARY-MTIME", &o);
        assert_int_equal(put_with(l, put, &study, NULL), 0);
        put = (struct vivo_put){.level = VIVO_LEVEL_INSTANCE,
                                .headers = true,
                                .copy = VIVO_COPY_DIFFERENT,
                                .locator = "a/CANARY-COPY"};
        assert_int_equal(put_with(l, put, &o, NULL), 0);
        vivo_listing_other(l, "CANARY-OTHER.txt", "CANARY-MTIME", &err);
        list_end(l, true);
        for (size_t i = 0; i < VIVO_ARRAY_LEN(canaries); i++) {
            char wal[128];
            snprintf(wal, sizeof wal, "%s-wal", d.db);
            seen = seen || file_has(d.db, canaries[i]) || file_has(wal, canaries[i]);
        }
        assert_int_equal(seen, !sealed);
        vivo_catalog_close(c);
        dir_remove(&d);
    }
}

/* ---- threads
 * --------------------------------------------------------------------------- */

struct reader_job {
    struct vivo_catalog *c;
    atomic_bool *stop;
    bool failed;
};

static int nested(void *ctx, const struct vivo_entry *e)
{
    struct reader_job *j = ctx;
    struct one o = {.n = 0};
    struct vivo_err err = {0};

    /* A callback may ask the catalog again. */
    if (vivo_catalog_get(j->c, e->level, e->row, take_one, &o, &err) < 0)
        return err.errnum == ENOENT ? 0 : -EIO;
    return 0;
}

static void *read_all(void *ctx)
{
    struct reader_job *j = ctx;
    struct vivo_err err = {0};

    while (!atomic_load(j->stop)) {
        if (vivo_catalog_children(j->c, VIVO_LEVEL_NONE, 0, NULL, nested, j, &err) < 0)
            j->failed = true;
        vivo_catalog_generation(j->c);
    }
    return NULL;
}

static void test_many_readers_beside_a_listing(void **state)
{
    struct vivo_catalog *c = catalog_at(NULL, false);
    struct reader_job jobs[16];
    pthread_t threads[16];
    atomic_bool stop = false;
    struct vivo_listing *l = list_begin(c, VIVO_LEVEL_NONE, 0);

    (void)state;
    put_number(l, 0);
    for (int i = 0; i < 16; i++) {
        jobs[i] = (struct reader_job){c, &stop, false};
        assert_int_equal(pthread_create(&threads[i], NULL, read_all, &jobs[i]), 0);
    }
    for (unsigned i = 1; i < 2000; i++)
        put_number(l, i);
    list_end(l, true);
    atomic_store(&stop, true);
    for (int i = 0; i < 16; i++) {
        pthread_join(threads[i], NULL);
        assert_false(jobs[i].failed);
    }
    assert_int_equal(counts_of(c).instances, 2000);
    vivo_catalog_close(c);
}

/* A silent listing gives the lock back: another connection can write. */
static void test_silent_listing_does_not_hold_the_lock(void **state)
{
    struct vivo_catalog *a, *b;
    struct vivo_listing *l, *m;
    struct dir d;

    (void)state;
    dir_make(&d);
    a = catalog_at(d.db, false);
    b = catalog_at(d.db, false);
    l = list_begin(a, VIVO_LEVEL_NONE, 0);
    put_number(l, 1);
    m = list_begin(b, VIVO_LEVEL_NONE, 0);
    put_number(m, 2); /* waits until the first batch is a second old */
    list_end(m, false);
    put_number(l, 3);
    list_end(l, false);
    assert_int_equal(counts_of(a).instances, 3);
    vivo_catalog_close(a);
    vivo_catalog_close(b);
    dir_remove(&d);
}

static void test_lookups_of_a_folder_lie_together(void **state)
{
    static const char *const locators[] = {"a/b/1", "a/b/2", "a/c/1", "a/b"};
    struct vivo_digests d[VIVO_ARRAY_LEN(locators)];
    struct vivo_catalog *c = catalog_at(NULL, true);

    (void)state;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(d); i++) {
        vivo_catalog_digests(c, locators[i], "1", &d[i]);
        for (size_t k = 0; k < i; k++) { /* the part that is of the locator alone */
            assert_memory_not_equal(d[i].lookup + 4, d[k].lookup + 4, 12);
            assert_memory_not_equal(d[i].stamp, d[k].stamp, sizeof d[i].stamp);
        }
    }
    assert_memory_equal(d[0].lookup, d[1].lookup, 4);
    assert_memory_not_equal(d[0].lookup, d[2].lookup, 4);
    assert_memory_not_equal(d[0].lookup, d[3].lookup, 4);
    vivo_catalog_close(c);
}

static void test_searches_are_known_to_the_next_mount(void **state)
{
    vivo_row series[] = {3, INT64_C(1) << 39}, studies[] = {7};
    struct vivo_search s = {.at_ms = 1000,
                            .upto = 99,
                            .series = series,
                            .studies = studies,
                            .nseries = 2,
                            .nstudies = 1},
                       got;
    uint8_t key[VIVO_DIGEST_LEN] = {1}, other[VIVO_DIGEST_LEN] = {2};
    struct vivo_err err = {0};
    struct vivo_catalog *c;
    struct dir d;

    (void)state;
    dir_make(&d);
    c = catalog_at(d.db, true);
    assert_int_equal(vivo_catalog_search_latest(c), 0);
    assert_int_equal(vivo_catalog_search_keep(c, key, &s, &err), 0);
    vivo_catalog_close(c);
    c = catalog_at(d.db, true);
    assert_int_equal(vivo_catalog_search_latest(c), 1000);
    assert_int_equal(vivo_catalog_search_find(c, other, &got, &err), -ENOENT);
    assert_int_equal(vivo_catalog_search_find(c, key, &got, &err), 0);
    assert_true(got.at_ms == 1000 && got.upto == 99 && !got.unable);
    assert_true(got.nseries == 2 && got.series[0] == 3);
    assert_true(got.series[1] == INT64_C(1) << 39);
    assert_true(got.nstudies == 1 && got.studies[0] == 7);
    vivo_search_free(&got);
    s = (struct vivo_search){.at_ms = 2000, .unable = true};
    assert_int_equal(vivo_catalog_search_keep(c, key, &s, &err), 0);
    assert_int_equal(vivo_catalog_search_age(c, &err), 0);
    assert_int_equal(vivo_catalog_search_find(c, key, &got, &err), 0);
    assert_true(got.at_ms == 0 && got.unable && got.nseries == 0);
    vivo_search_free(&got);
    vivo_catalog_close(c);
    dir_remove(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_remount_knows_names_and_numbers),
        cmocka_unit_test(test_kill_leaves_it_unlisted_or_complete),
        cmocka_unit_test(test_two_processes_share_one_catalog),
        cmocka_unit_test(test_rows_read_lately_are_read_again_when_they_change),
        cmocka_unit_test(test_damaged_or_older_is_moved_aside),
        cmocka_unit_test(test_originals_are_sealed),
        cmocka_unit_test(test_many_readers_beside_a_listing),
        cmocka_unit_test(test_silent_listing_does_not_hold_the_lock),
        cmocka_unit_test(test_lookups_of_a_folder_lie_together),
        cmocka_unit_test(test_searches_are_known_to_the_next_mount),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
