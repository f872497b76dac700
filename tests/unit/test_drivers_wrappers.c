/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_drivers_wrappers.c -- vivo_archive_*: what they make of drivers that
 * break their promises, and the choice of a driver by scheme. */
#include "drivers/registry.h"
#include "vivofs/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

/* A driver that does what the test tells it. */
struct puppet {
    struct vivo_archive base;
    int rc, errnum;
    const struct vivo_record *record;
    const struct vivo_extra *extra;
    const char *bytes;
    bool descriptor, twice, restart;
    unsigned calls;
    struct vivo_intake *seen;
};

static struct puppet *puppet_of(struct vivo_archive *a)
{
    return (struct puppet *)(void *)a;
}

static int act(struct puppet *p, struct vivo_op *op)
{
    p->calls++;
    if (p->errnum)
        vivo_fail(&op->err, p->errnum, "the puppet fails");
    return p->rc;
}

static int puppet_list(struct vivo_archive *a, enum vivo_level level,
                       const char *parent, struct vivo_intake *in, struct vivo_op *op)
{
    struct puppet *p = puppet_of(a);

    (void)level;
    (void)parent;
    p->seen = in;
    if (p->extra) {
        int rc = in->extra(in, p->extra, &op->err);
        if (rc != 0)
            return rc;
    }
    if (p->record) {
        in->other(in, "other", "1");
        if (!in->known(in, p->record->locator, "1")) {
            int rc = in->record(in, p->record, &op->err);
            if (rc != 0)
                return rc;
        }
    }
    return act(p, op);
}

static int puppet_headers(struct vivo_archive *a, const char *series,
                          struct vivo_intake *in, struct vivo_op *op)
{
    return puppet_list(a, VIVO_LEVEL_SERIES, series, in, op);
}

static int puppet_fetch(struct vivo_archive *a, const char *locator,
                        struct vivo_delivery *to, struct vivo_op *op)
{
    struct puppet *p = puppet_of(a);
    int rc = 0;

    (void)locator;
    if (p->restart) {
        assert_non_null(to->sink.restart);
        rc = to->sink.write(&to->sink, "half", 4, &op->err);
        if (rc == 0)
            rc = to->sink.restart(&to->sink, &op->err);
    }
    if (rc == 0 && p->bytes)
        rc = to->sink.write(&to->sink, p->bytes, strlen(p->bytes), &op->err);
    for (int i = 0; rc == 0 && p->descriptor && i < (p->twice ? 2 : 1); i++)
        rc = to->descriptor(to, 0, &op->err);
    return rc != 0 ? rc : act(p, op);
}

static int puppet_probe(struct vivo_archive *a, struct vivo_op *op)
{
    return act(puppet_of(a), op);
}

static const struct vivo_driver puppet_driver = {
    .name = "puppet",
    .summary = "for tests",
    .schemes = "puppet puppet+x",
    .caps = VIVO_CAP_LOCAL | VIVO_CAP_HEADERS | VIVO_CAP_WATCH,
    .lists = 1u << VIVO_LEVEL_NONE | 1u << VIVO_LEVEL_SERIES,
    .probe = puppet_probe,
    .list = puppet_list,
    .fetch = puppet_fetch,
    .headers = puppet_headers,
    .watch = puppet_probe,
};
static const struct vivo_driver plain_driver = {
    .name = "plain",
    .summary = "nothing optional",
    .schemes = "plain",
    .lists = 1u << VIVO_LEVEL_NONE,
    .list = puppet_list,
    .fetch = puppet_fetch,
};

/* ---- receivers ------------------------------------------------------------------- */

struct taker {
    struct vivo_intake base;
    unsigned records, others, known, extras;
    int rc;
};

static int take_record(struct vivo_intake *self, const struct vivo_record *rec,
                       struct vivo_err *err)
{
    struct taker *t = (struct taker *)(void *)self;

    (void)rec;
    t->records++;
    return t->rc < 0 ? vivo_fail(err, -t->rc, "the taker fails") : t->rc;
}

static bool take_known(struct vivo_intake *self, const char *locator,
                       const char *version)
{
    (void)locator;
    (void)version;
    ((struct taker *)(void *)self)->known++;
    return true;
}

static void take_other(struct vivo_intake *self, const char *locator,
                       const char *version)
{
    (void)locator;
    (void)version;
    ((struct taker *)(void *)self)->others++;
}

static int take_extra(struct vivo_intake *self, const struct vivo_extra *x,
                      struct vivo_err *err)
{
    struct taker *t = (struct taker *)(void *)self;

    (void)x;
    (void)err;
    t->extras++;
    return t->rc;
}

struct basket {
    struct vivo_delivery base;
    size_t len;
    int fd;
};

static int basket_write(struct vivo_sink *self, const void *data, size_t len,
                        struct vivo_err *err)
{
    (void)data;
    (void)err;
    ((struct basket *)(void *)self)->len += len;
    return 0;
}

static int basket_restart(struct vivo_sink *self, struct vivo_err *err)
{
    (void)err;
    ((struct basket *)(void *)self)->len = 0;
    return 0;
}

static int basket_descriptor(struct vivo_delivery *self, int fd, struct vivo_err *err)
{
    (void)err;
    ((struct basket *)(void *)self)->fd = fd;
    return 0;
}

static struct basket new_basket(void)
{
    return (struct basket){.base = {.sink = {basket_write, basket_restart},
                                    .descriptor = basket_descriptor},
                           .fd = -1};
}

static bool bug_was_logged(void)
{
    struct vivo_buf b;

    vivo_buf_init(&b, 1u << 20);
    vivo_log_tail(&b);
    /* Only the last line: each test makes its own. */
    char *end = b.len > 0 ? (char *)b.data + b.len - 1 : NULL;
    if (end)
        *end = '\0';
    const char *line = end ? strrchr((char *)b.data, '\n') : NULL;
    bool found = end && strstr(line ? line : (char *)b.data, "BUG") != NULL;
    vivo_buf_free(&b);
    vivo_log(VIVO_LOG_INFO, "test", "separator");
    return found;
}

/* ---- errors ---------------------------------------------------------------------- */

static int probe_with(int rc, int errnum, struct vivo_op *op)
{
    struct puppet p = {.base = {.driver = &puppet_driver}, .rc = rc, .errnum = errnum};

    vivo_op_init(op, 0);
    return vivo_archive_probe(&p.base, op);
}

static void test_honest_results_pass(void **state)
{
    (void)state;
    struct vivo_op op;

    assert_int_equal(probe_with(0, 0, &op), 0);
    assert_int_equal(op.err.errnum, 0);
    assert_int_equal(probe_with(-ENOENT, ENOENT, &op), -ENOENT);
    assert_string_equal(op.err.text, "the puppet fails");
    assert_false(bug_was_logged());
}

static void test_failure_without_reason_is_bug_and_eio(void **state)
{
    (void)state;
    struct vivo_op op;

    assert_int_equal(probe_with(-ENOENT, 0, &op), -EIO);
    assert_int_equal(op.err.errnum, EIO);
    assert_true(strlen(op.err.text) > 0);
    assert_true(bug_was_logged());
}

static void test_success_with_error_is_bug_and_cleared(void **state)
{
    (void)state;
    struct vivo_op op;

    assert_int_equal(probe_with(0, EIO, &op), 0);
    assert_int_equal(op.err.errnum, 0);
    assert_true(bug_was_logged());
}

static void test_errno_other_than_set_is_bug(void **state)
{
    (void)state;
    struct vivo_op op;

    assert_int_equal(probe_with(-EIO, ENOENT, &op), -ENOENT);
    assert_true(bug_was_logged());
}

static void test_errno_outside_vocabulary_becomes_eio(void **state)
{
    (void)state;
    struct vivo_op op;

    assert_int_equal(probe_with(-ECONNREFUSED, ECONNREFUSED, &op), -EIO);
    assert_int_equal(op.err.errnum, EIO);
    assert_true(bug_was_logged());
}

static void test_cancelled_op_never_reaches_the_driver(void **state)
{
    (void)state;
    struct puppet p = {.base = {.driver = &puppet_driver}};
    struct taker t = {.base = {.record = take_record}};
    struct basket b = new_basket();
    struct vivo_op op;

    vivo_op_init(&op, 0);
    atomic_store(&op.cancelled, true);
    assert_int_equal(vivo_archive_probe(&p.base, &op), -EINTR);
    vivo_err_clear(&op.err);
    assert_int_equal(vivo_archive_list(&p.base, VIVO_LEVEL_NONE, NULL, &t.base, &op),
                     -EINTR);
    vivo_err_clear(&op.err);
    assert_int_equal(vivo_archive_fetch(&p.base, "x", &b.base, &op), -EINTR);
    vivo_err_clear(&op.err);
    assert_int_equal(vivo_archive_headers(&p.base, "x", &t.base, &op), -EINTR);
    vivo_err_clear(&op.err);
    assert_int_equal(vivo_archive_watch(&p.base, &op), -EINTR);
    assert_int_equal(p.calls, 0);
}

/* ---- listing --------------------------------------------------------------------- */

static int list_record(const struct vivo_record *rec, struct taker *t,
                       struct vivo_op *op)
{
    struct puppet p = {.base = {.driver = &puppet_driver}, .record = rec};

    vivo_op_init(op, 0);
    return vivo_archive_list(&p.base, VIVO_LEVEL_SERIES, "parent", &t->base, op);
}

static void test_list_passes_good_records_to_a_bare_intake(void **state)
{
    (void)state;
    struct vivo_record rec = {.level = VIVO_LEVEL_INSTANCE, .locator = "a"};
    struct taker t = {.base = {.record = take_record}}; /* no known, no other */
    struct vivo_op op;

    assert_int_equal(list_record(&rec, &t, &op), 0);
    assert_int_equal(t.records, 1);
    struct taker full = {
        .base = {.record = take_record, .known = take_known, .other = take_other}};
    assert_int_equal(list_record(&rec, &full, &op), 0);
    assert_int_equal(full.records, 0);
    assert_int_equal(full.known, 1);
    assert_int_equal(full.others, 1);
}

static void test_list_hands_the_takers_verdict_through(void **state)
{
    (void)state;
    struct vivo_record rec = {.level = VIVO_LEVEL_INSTANCE, .locator = "a"};
    struct taker t = {.base = {.record = take_record}, .rc = 3};
    struct vivo_op op;

    assert_int_equal(list_record(&rec, &t, &op), 3);
    t.rc = -ENOSPC;
    assert_int_equal(list_record(&rec, &t, &op), -ENOSPC);
    assert_int_equal(op.err.errnum, ENOSPC);
}

static void test_list_refuses_impossible_records(void **state)
{
    (void)state;
    static char longest[40000];
    memset(longest, 'x', sizeof longest - 1);
    const struct vivo_record bad[] = {
        {.level = VIVO_LEVEL_SERIES, .locator = "a"}, /* not below a series */
        {.level = VIVO_LEVEL_NONE, .locator = "a"},
        {.level = VIVO_LEVEL_INSTANCE + 1, .locator = "a"},
        {.level = VIVO_LEVEL_INSTANCE},
        {.level = VIVO_LEVEL_INSTANCE, .locator = ""},
        {.level = VIVO_LEVEL_INSTANCE, .locator = longest},
        {.level = VIVO_LEVEL_INSTANCE, .locator = "a", .headers = true},
        {.level = VIVO_LEVEL_INSTANCE, .locator = "a", .attrs = {NULL, 8}},
        {.level = VIVO_LEVEL_INSTANCE,
         .locator = "a",
         .attrs = {(const uint8_t *)longest, VIVO_ATTRS_MAX + 1}},
    };

    for (size_t i = 0; i < VIVO_ARRAY_LEN(bad); i++) {
        struct taker t = {.base = {.record = take_record}};
        struct vivo_record rec = bad[i];
        struct puppet p = {.base = {.driver = &puppet_driver}, .record = &rec};
        struct vivo_op op;
        vivo_op_init(&op, 0);
        assert_int_equal(
            vivo_archive_list(&p.base, VIVO_LEVEL_SERIES, "parent", &t.base, &op),
            -EIO);
        assert_int_equal(t.records, 0);
        assert_true(bug_was_logged());
    }
}

static int list_extra(const struct vivo_extra *x, struct taker *t, struct vivo_op *op)
{
    struct puppet p = {.base = {.driver = &puppet_driver}, .extra = x};

    vivo_op_init(op, 0);
    return vivo_archive_list(&p.base, VIVO_LEVEL_SERIES, "parent", &t->base, op);
}

static void test_extras_are_others_unless_they_are_wanted(void **state)
{
    (void)state;
    static char longest[VIVO_PATH_MAX + 1];
    memset(longest, 'x', VIVO_PATH_MAX);
    const struct vivo_extra good = {.locator = "a", .path = "f/a"};
    const struct vivo_extra deep = {.locator = "a", .path = longest};
    const struct vivo_extra bad[] = {
        {.locator = "a"}, {.locator = "a", .path = "//"}, {.path = "a"}};
    struct taker off = {.base = {.other = take_other, .extra = take_extra}};
    struct taker on = {
        .base = {.other = take_other, .extra = take_extra, .extras = true}};
    struct taker bare = {.base = {.extras = true}};
    struct vivo_op op;

    assert_int_equal(list_extra(&good, &off, &op), 0);
    assert_int_equal(off.others, 1);
    assert_int_equal(list_extra(&good, &bare, &op), 0);
    assert_int_equal(list_extra(&good, &on, &op), 0);
    assert_int_equal(list_extra(&deep, &on, &op), 0);
    assert_int_equal(on.others, 1);
    for (size_t i = 0; i < VIVO_ARRAY_LEN(bad); i++) {
        assert_int_equal(list_extra(&bad[i], &on, &op), -EIO);
        assert_true(bug_was_logged());
    }
    assert_int_equal(on.extras, 1);
    on.rc = 3;
    assert_int_equal(list_extra(&good, &on, &op), 3);
}

static void test_list_refuses_a_level_that_is_not_listed(void **state)
{
    (void)state;
    struct puppet p = {.base = {.driver = &puppet_driver}};
    struct taker t = {.base = {.record = take_record}};
    struct vivo_op op;

    vivo_op_init(&op, 0);
    assert_int_equal(vivo_archive_list(&p.base, VIVO_LEVEL_STUDY, "s", &t.base, &op),
                     -EINVAL);
    vivo_op_init(&op, 0);
    assert_int_equal(vivo_archive_list(&p.base, VIVO_LEVEL_NONE, "s", &t.base, &op),
                     -EINVAL);
    vivo_op_init(&op, 0);
    assert_int_equal(vivo_archive_list(&p.base, VIVO_LEVEL_SERIES, NULL, &t.base, &op),
                     -EINVAL);
    assert_int_equal(p.calls, 0);
}

static void test_optional_calls_of_a_plain_driver(void **state)
{
    (void)state;
    struct puppet p = {.base = {.driver = &plain_driver}};
    struct taker t = {.base = {.record = take_record}};
    struct vivo_op op;

    vivo_op_init(&op, 0);
    assert_int_equal(vivo_archive_probe(&p.base, &op), 0);
    assert_int_equal(vivo_archive_headers(&p.base, "x", &t.base, &op), -EINVAL);
    vivo_err_clear(&op.err);
    assert_int_equal(vivo_archive_watch(&p.base, &op), -EINVAL);
}

/* ---- fetching -------------------------------------------------------------------- */

static int fetch_with(struct puppet *p, struct basket *b, struct vivo_op *op)
{
    p->base.driver = &puppet_driver;
    vivo_op_init(op, 0);
    return vivo_archive_fetch(&p->base, "x", &b->base, op);
}

static void test_fetch_counts_bytes_and_forgets_on_restart(void **state)
{
    (void)state;
    struct puppet p = {.bytes = "whole object", .restart = true};
    struct basket b = new_basket();
    struct vivo_op op;

    assert_int_equal(fetch_with(&p, &b, &op), 0);
    assert_int_equal(b.len, 12);
    assert_int_equal(atomic_load(&p.base.bytes), 12);
    assert_int_equal(atomic_load(&p.base.requests), 1);
}

static void test_fetch_of_nothing_is_eio(void **state)
{
    (void)state;
    struct puppet p = {.rc = 0};
    struct basket b = new_basket();
    struct vivo_op op;

    assert_int_equal(fetch_with(&p, &b, &op), -EIO);
    assert_int_equal(op.err.errnum, EIO);
    b.base.extra = "empty.txt"; /* what is no object may be */
    assert_int_equal(fetch_with(&p, &b, &op), 0);
}

static void test_fetch_delivering_twice_is_bug_and_eio(void **state)
{
    (void)state;
    struct puppet both = {.bytes = "bytes", .descriptor = true};
    struct puppet twice = {.descriptor = true, .twice = true};
    struct basket b = new_basket();
    struct vivo_op op;

    assert_int_equal(fetch_with(&both, &b, &op), -EIO);
    assert_true(bug_was_logged());
    assert_int_equal(b.fd, -1);
    assert_int_equal(fetch_with(&twice, &b, &op), -EIO);
    assert_true(bug_was_logged());
}

/* ---- the table ------------------------------------------------------------------- */

static void test_table_rows_are_whole_and_unique(void **state)
{
    (void)state;
    size_t n;
    const struct vivo_driver *const *table = vivo_driver_table(&n);

    assert_true(n >= 1);
    for (size_t i = 0; i < n; i++) {
        const struct vivo_driver *d = table[i];
        assert_non_null(d->schemes);
        assert_true(d->name && *d->name && d->summary && *d->summary);
        assert_true(d->open && d->close && d->list && d->fetch);
        assert_true(d->lists & 1u << VIVO_LEVEL_NONE);
        assert_int_equal(!(d->caps & VIVO_CAP_HEADERS), !d->headers);
        assert_int_equal(!(d->caps & VIVO_CAP_WATCH), !d->watch);
        for (size_t k = 0; k < i; k++) {
            assert_string_not_equal(d->name, table[k]->name);
            /* Paths have one driver of folders, one of files, and those that know
             * their files by what is in them. */
            assert_false(strcmp(d->schemes, table[k]->schemes) == 0 &&
                         !d->takes == !table[k]->takes &&
                         ((d->caps ^ table[k]->caps) & VIVO_CAP_FILE) == 0);
        }
    }
}

static void test_paths_go_to_the_folder_driver(void **state)
{
    (void)state;
    static const char *const paths[] = {"/data",      "data",       "./a:b",
                                        "a:b",        "C:/images",  "~/x",
                                        "/a/http://", "caf\xc3\xa9"};

    for (size_t i = 0; i < VIVO_ARRAY_LEN(paths); i++) {
        struct vivo_err err = {0};
        const struct vivo_driver *d = vivo_driver_for(paths[i], &err);
        assert_non_null(d);
        assert_string_equal(d->name, "dir");
    }
}

static void test_files_go_to_the_archive_driver(void **state)
{
    (void)state;
    struct vivo_err err = {0};
    const struct vivo_driver *d = vivo_driver_for("/proc/self/exe", &err);

    assert_non_null(d);
    assert_string_equal(d->name, "pack");
}

static void test_unknown_scheme_is_named_without_the_rest(void **state)
{
    (void)state;
    struct vivo_err err = {0};

    assert_null(vivo_driver_for("gopher://user:secret@host/path", &err));
    assert_int_equal(err.errnum, EINVAL);
    assert_non_null(strstr(err.text, "gopher"));
    assert_null(strstr(err.text, "secret"));
    assert_null(strstr(err.text, "host"));
    vivo_err_clear(&err);
    assert_null(vivo_driver_for("", &err));
    assert_int_equal(err.errnum, EINVAL);
}

static void test_scheme_list_matches_whole_words(void **state)
{
    (void)state;
    assert_true(vivo_driver_has_scheme("a+http a+https", "a+http://x", 6));
    assert_true(vivo_driver_has_scheme("a+http a+https", "a+https://x", 7));
    assert_false(vivo_driver_has_scheme("a+http a+https", "a+htt", 5));
    assert_false(vivo_driver_has_scheme("a+http a+https", "http", 4));
    assert_false(vivo_driver_has_scheme("", "", 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_honest_results_pass),
        cmocka_unit_test(test_failure_without_reason_is_bug_and_eio),
        cmocka_unit_test(test_success_with_error_is_bug_and_cleared),
        cmocka_unit_test(test_errno_other_than_set_is_bug),
        cmocka_unit_test(test_errno_outside_vocabulary_becomes_eio),
        cmocka_unit_test(test_cancelled_op_never_reaches_the_driver),
        cmocka_unit_test(test_list_passes_good_records_to_a_bare_intake),
        cmocka_unit_test(test_list_hands_the_takers_verdict_through),
        cmocka_unit_test(test_list_refuses_impossible_records),
        cmocka_unit_test(test_extras_are_others_unless_they_are_wanted),
        cmocka_unit_test(test_list_refuses_a_level_that_is_not_listed),
        cmocka_unit_test(test_optional_calls_of_a_plain_driver),
        cmocka_unit_test(test_fetch_counts_bytes_and_forgets_on_restart),
        cmocka_unit_test(test_fetch_of_nothing_is_eio),
        cmocka_unit_test(test_fetch_delivering_twice_is_bug_and_eio),
        cmocka_unit_test(test_table_rows_are_whole_and_unique),
        cmocka_unit_test(test_paths_go_to_the_folder_driver),
        cmocka_unit_test(test_files_go_to_the_archive_driver),
        cmocka_unit_test(test_unknown_scheme_is_named_without_the_rest),
        cmocka_unit_test(test_scheme_list_matches_whole_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
