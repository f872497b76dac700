/* SPDX-License-Identifier: Apache-2.0 */
/* tests/drivers/test_pack_hostile.c -- zip and tar files that are bombs, cut, locked,
 * large, read by several threads, or changed while they are used. */
#include "folder.h"
#include "pack_make.h"
#include "vivofs/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <archive_entry.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* ---- hostile and broken ---------------------------------------------------------- */

static void test_bomb_is_refused(void **state)
{
    (void)state;
    static const struct kind bombs[] = {
        {"bomb.zip", true, NULL, "zip:compression=deflate,zip:compression-level=9"},
        {"bomb.tar.bz2", false, "bzip2", NULL},
        {"bomb.tar.xz", false, "xz", "xz:compression-level=0"},
    };
    enum { TIMES = 48 };
    uint8_t *zeros = calloc(1, 1 << 20);

    for (size_t i = 0; i < VIVO_ARRAY_LEN(bombs); i++) {
        struct pen p;
        struct gathering g;
        struct vivo_op op;
        pen_open(&p, &bombs[i]);
        pen_entry(&p, "bomb", AE_IFREG, (uint64_t)TIMES << 20, NULL);
        uint8_t *start = make_object(200, 1);
        memcpy(zeros, start, 200);
        free(start);
        for (int k = 0; k < TIMES; k++) {
            pen_data(&p, zeros, 1 << 20);
            memset(zeros, 0, 200);
        }
        pen_close(&p);
        struct vivo_archive *a = open_archive(p.path);
        assert_int_equal(list_all(a, &g, &op), -EBADMSG);
        assert_non_null(strstr(op.err.text, "times its size: refused"));
        assert_int_equal(g.n_objects, 0);
        gathering_free(&g);
        vivo_archive_close(a);
        pen_free(&p);
    }
    free(zeros);
}

/* Cut anywhere, an archive is an error and lists nothing, even between two members. */
static void test_truncated_archive_lists_nothing(void **state)
{
    (void)state;
    for (size_t k = 0; k < n_kinds; k++) {
        struct pen p;
        struct stat st;
        pen_open(&p, &kinds[k]);
        for (unsigned i = 0; i < 20; i++)
            pen_object(&p, (const char[]){(char)('a' + i), '\0'}, 512 * (4 + i), i);
        pen_close(&p);
        assert_int_equal(stat(p.path, &st), 0);
        /* The last members of a tar are zeros up to a whole record. */
        off_t end = kinds[k].zip || kinds[k].filter ? st.st_size - 1 : 512 * 290;
        for (off_t size = end / 512 * 512; size > 1024; size -= 512 * 7) {
            struct vivo_archive *a;
            struct vivo_err err;
            assert_int_equal(truncate(p.path, size), 0);
            int rc = try_open(p.path, &a, &err);
            if (rc == 0) {
                struct gathering g;
                struct vivo_op op;
                rc = list_all(a, &g, &op);
                assert_int_equal(g.n_objects + g.others, 0);
                gathering_free(&g);
                vivo_archive_close(a);
            }
            assert_int_equal(rc, -EBADMSG);
        }
        pen_free(&p);
    }
}

static void write_bytes(const char *path, const struct vivo_buf *b)
{
    FILE *f = fopen(path, "wb");

    assert_non_null(f);
    assert_int_equal(fwrite(b->data, 1, b->len, f), b->len);
    assert_int_equal(fclose(f), 0);
}

/* Lists and reads what can be; a listing that fails emits nothing. */
static void read_what_is_there(const char *path)
{
    struct vivo_archive *a;
    struct vivo_err err;
    struct gathering g;
    struct vivo_op op;

    if (try_open(path, &a, &err) < 0) {
        assert_true(err.errnum == EBADMSG || err.errnum == EINVAL);
        return;
    }
    int rc = list_all(a, &g, &op);
    assert_true(rc == 0 || (rc == -EBADMSG && g.n_objects == 0));
    for (size_t i = 0; i < g.n_objects; i++) {
        rc = fetch_code(a, g.objects[i].locator);
        assert_true(rc == 0 || rc == -EBADMSG || rc == -EIO);
    }
    gathering_free(&g);
    vivo_archive_close(a);
}

static void test_damaged_bytes_end_in_an_error_or_a_listing(void **state)
{
    (void)state;
    for (size_t k = 0; k < n_kinds; k++) {
        struct pen p;
        struct vivo_buf b;
        uint32_t dice = 12345;
        pen_open(&p, &kinds[k]);
        for (unsigned i = 0; i < 6; i++)
            pen_object(&p, (const char[]){(char)('a' + i), '\0'}, 700 + i, i);
        pen_close(&p);
        vivo_buf_init(&b, 1 << 20);
        assert_int_equal(vivo_file_read(p.path, b.max, &b, NULL), 0);
        for (int times = 0; times < 150; times++) {
            size_t at[3];
            uint8_t was[3];
            for (int i = 0; i < 3; i++) {
                dice = dice * 1664525 + 1013904223;
                at[i] = (dice >> 8) % b.len;
                was[i] = b.data[at[i]];
                b.data[at[i]] = (uint8_t)(dice >> 3);
            }
            write_bytes(p.path, &b);
            read_what_is_there(p.path);
            for (int i = 2; i >= 0; i--)
                b.data[at[i]] = was[i];
        }
        vivo_buf_free(&b);
        pen_free(&p);
    }
}

static void test_locked_archive_is_no_empty_one(void **state)
{
    (void)state;
    static const struct kind k = {"secret.zip", true, NULL,
                                  "zip:compression=store,zip:encryption=traditional"};
    struct pen p;
    struct gathering g;
    struct vivo_op op;
    pen_open(&p, &k);
    pen_object(&p, "a.dcm", 1000, 1);
    pen_object(&p, "b.dcm", 1000, 2);
    pen_close(&p);
    struct vivo_archive *a = open_archive(p.path);

    assert_int_equal(list_all(a, &g, &op), -EACCES);
    assert_int_equal(g.n_objects, 0);
    assert_non_null(strstr(op.err.text, "2 members need a password"));
    assert_int_equal(fetch_code(a, "a.dcm"), -ENOENT);
    gathering_free(&g);
    vivo_archive_close(a);
    pen_free(&p);
}

/* ---- many, and at once ----------------------------------------------------------- */

enum { MANY = 3000, SMALL = 700 };

static void write_many(struct pen *p, const struct kind *k)
{
    pen_open(p, k);
    for (unsigned i = 0; i < MANY; i++) {
        char name[32];
        snprintf(name, sizeof name, "d/%04u.dcm", i);
        pen_object(p, name, SMALL + i, i);
    }
    pen_close(p);
}

struct reader {
    pthread_t thread;
    struct vivo_archive *a;
    unsigned first, step;
};

static void *read_many(void *ctx)
{
    const struct reader *r = ctx;

    for (unsigned k = r->first; k < MANY; k += r->step) {
        unsigned i = r->first & 1 ? MANY - 1 - k : k;
        char name[32];
        snprintf(name, sizeof name, "d/%04u.dcm", i);
        assert_object(r->a, name, SMALL + i, i);
    }
    return NULL;
}

/* Without a listing before: each fetch decodes what it needs, a pass serves all. Some
 * threads read from the end, so that what was passed is wanted, too. */
static void test_parallel_fetches_of_many_agree(void **state)
{
    (void)state;
    for (int k = ZIP; k <= TAR_GZ; k++) {
        struct pen p;
        struct reader r[4];
        struct gathering g;
        struct vivo_op op;
        write_many(&p, &kinds[k]);
        struct vivo_archive *a = open_archive(p.path);
        for (unsigned i = 0; i < VIVO_ARRAY_LEN(r); i++) {
            r[i] = (struct reader){.a = a, .first = i, .step = VIVO_ARRAY_LEN(r)};
            assert_int_equal(pthread_create(&r[i].thread, NULL, read_many, &r[i]), 0);
        }
        for (unsigned i = 0; i < VIVO_ARRAY_LEN(r); i++)
            pthread_join(r[i].thread, NULL);
        assert_int_equal(list_all(a, &g, &op), 0);
        assert_int_equal(g.n_objects, MANY);
        gathering_free(&g);
        vivo_archive_close(a);
        pen_free(&p);
    }
}

/* ---- changes --------------------------------------------------------------------- */

static void replace(const struct pen *p, const struct pen *with)
{
    assert_int_equal(rename(with->path, p->path), 0);
}

static void test_changed_file_fails_until_it_is_listed(void **state)
{
    (void)state;
    for (int k = ZIP; k <= TAR_GZ; k++) {
        struct pen p, q;
        struct gathering g;
        struct vivo_op op;
        pen_open(&p, &kinds[k]);
        pen_object(&p, "a", 1000, 1);
        pen_object(&p, "b", 1000, 2);
        pen_close(&p);
        pen_open(&q, &kinds[k]);
        pen_object(&q, "b", 1000, 3);
        pen_object(&q, "c", 1000, 4);
        pen_close(&q);
        struct vivo_archive *a = open_archive(p.path);
        assert_int_equal(list_all(a, &g, &op), 0);
        gathering_free(&g);
        assert_object(a, "b", 1000, 2);
        replace(&p, &q);
        assert_int_equal(fetch_code(a, "b"), -EIO);
        vivo_op_init(&op, 60000);
        if (k == ZIP) /* looks every few seconds, whatever the kind */
            assert_int_equal(vivo_archive_watch(a, &op), 0);
        assert_int_equal(list_all(a, &g, &op), 0);
        assert_int_equal(g.n_objects, 2);
        assert_object(a, "b", 1000, 3);
        assert_object(a, "c", 1000, 4);
        assert_int_equal(fetch_code(a, "a"), -ENOENT);
        gathering_free(&g);
        vivo_archive_close(a);
        pen_free(&p);
        pen_free(&q);
    }
}

static void test_removed_file_fails(void **state)
{
    (void)state;
    struct pen p;
    struct gathering g;
    struct vivo_op op;
    pen_open(&p, &kinds[ZIP]);
    pen_object(&p, "a", 1000, 1);
    pen_close(&p);
    struct vivo_archive *a = open_archive(p.path);

    assert_int_equal(unlink(p.path), 0);
    assert_int_equal(list_all(a, &g, &op), -EIO);
    assert_int_equal(fetch_code(a, "a"), -EIO);
    gathering_free(&g);
    vivo_archive_close(a);
    pen_free(&p);
}

/* An intake with the memory of a catalog: what another state of the file left. */
struct memory {
    struct vivo_intake base;
    struct vivo_archive *a;
    const char *known; /* this locator, without a version */
    char calls[64];    /* o = other, r = record; the first letter of the locator */
    int before, after; /* what a fetch of it says before and after it is recorded */
};

static bool memory_known(struct vivo_intake *self, const char *locator,
                         const char *version)
{
    const struct memory *m = (const struct memory *)(void *)self;

    return version[0] == '\0' && strcmp(locator, m->known) == 0;
}

static void note(struct memory *m, char what, const char *locator)
{
    size_t n = strlen(m->calls);

    if (locator[0] != '\n' && n + 2 < sizeof m->calls) {
        m->calls[n] = what;
        m->calls[n + 1] = locator[0];
    }
}

static void memory_other(struct vivo_intake *self, const char *locator,
                         const char *version)
{
    struct memory *m = (struct memory *)(void *)self;

    (void)version;
    note(m, 'o', locator);
    if (strcmp(locator, m->known) == 0)
        m->before = fetch_code(m->a, locator);
}

static int memory_record(struct vivo_intake *self, const struct vivo_record *rec,
                         struct vivo_err *err)
{
    struct memory *m = (struct memory *)(void *)self;

    (void)err;
    note(m, 'r', rec->locator);
    if (strcmp(rec->locator, m->known) == 0)
        m->after = fetch_code(m->a, rec->locator);
    return 0;
}

/* The catalog has "b" of a file that has changed since: it is withdrawn, so that its
 * new self gets another inode, and may not be read as the old one. */
static void test_known_members_of_another_state_are_withdrawn(void **state)
{
    (void)state;
    struct pen p;
    struct vivo_op op;
    pen_open(&p, &kinds[TAR_GZ]);
    pen_object(&p, "a", 1000, 1);
    pen_object(&p, "b", 1000, 2);
    pen_object(&p, "c", 1000, 3);
    pen_close(&p);
    struct memory m = {
        .base = {.record = memory_record, .known = memory_known, .other = memory_other},
        .known = "b"};
    m.a = open_archive(p.path);

    vivo_op_init(&op, 0);
    assert_int_equal(vivo_archive_list(m.a, VIVO_LEVEL_NONE, NULL, &m.base, &op), 0);
    assert_string_equal(m.calls, "raobrbrc");
    assert_int_equal(m.before, -EIO);
    assert_int_equal(m.after, 0);
    vivo_archive_close(m.a);
    pen_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bomb_is_refused),
        cmocka_unit_test(test_truncated_archive_lists_nothing),
        cmocka_unit_test(test_damaged_bytes_end_in_an_error_or_a_listing),
        cmocka_unit_test(test_locked_archive_is_no_empty_one),
        cmocka_unit_test(test_parallel_fetches_of_many_agree),
        cmocka_unit_test(test_changed_file_fails_until_it_is_listed),
        cmocka_unit_test(test_removed_file_fails),
        cmocka_unit_test(test_known_members_of_another_state_are_withdrawn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
