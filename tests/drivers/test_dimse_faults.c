/* SPDX-License-Identifier: Apache-2.0 */
/* tests/drivers/test_dimse_faults.c -- the DIMSE driver against a PACS that cuts its
 * answers, refuses, aborts and falls silent (tests/servers/dimse_server.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "dimse_fault.h"

#include <netinet/in.h>
#include <sys/socket.h>

#define STUDIES 150
#define OBJECT "1.2.1/1.2.1.1/1.2.1.1.1/1.2.840.10008.5.1.4.1.1.2"

static int list(const char *title, enum vivo_level level, const char *parent, size_t *n,
                struct vivo_op *op)
{
    struct vivo_archive *a = open_title(title);
    struct gathering g;
    vivo_op_init(op, 0);
    gathering_init(&g, a->driver->lists);
    int rc = vivo_archive_list(a, level, parent, &g.base, op);
    assert_int_equal(g.flaws, 0);
    *n = g.n_objects + g.n_containers;
    gathering_free(&g);
    vivo_archive_close(a);
    return rc;
}

static void check_studies(const char *title)
{
    struct vivo_op op;
    size_t n;
    int rc = list(title, VIVO_LEVEL_NONE, NULL, &n, &op);
    if (rc)
        print_message("%s: %s\n", title, op.err.text);
    assert_int_equal(rc, 0);
    assert_int_equal(n, STUDIES);
}

static void check_failure(const char *title, enum vivo_level level, const char *parent,
                          int errnum, const char *word)
{
    struct vivo_op op;
    size_t n;
    assert_int_equal(list(title, level, parent, &n, &op), -errnum);
    if (!strstr(op.err.text, word))
        print_message("%s: %s\n", title, op.err.text);
    assert_non_null(strstr(op.err.text, word));
}

static void test_studies_in_one_answer_are_listed_once(void **state)
{
    (void)state;
    check_studies("WHOLE");
}

static void test_studies_that_were_cut_are_found_by_date(void **state)
{
    (void)state;
    check_studies("CAP");
}

static void test_studies_that_were_refused_are_found_by_date(void **state)
{
    (void)state;
    check_studies("REFUSE");
}

static void test_patients_that_were_cut_are_found_by_their_first_letter(void **state)
{
    struct vivo_op op;
    size_t n;
    (void)state;
    int rc = list("PRCAP", VIVO_LEVEL_NONE, NULL, &n, &op);
    if (rc)
        print_message("%s\n", op.err.text);
    assert_int_equal(rc, 0);
    assert_int_equal(n, 80);
    check_failure("PRODD", VIVO_LEVEL_NONE, NULL, EIO, "how their PatientID begins");
}

static void test_studies_that_cannot_be_parted_fail(void **state)
{
    (void)state;
    check_failure("ONEDAY", VIVO_LEVEL_NONE, NULL, EIO, "cuts its answers");
    check_failure("UNDATED", VIVO_LEVEL_NONE, NULL, EIO, "without a date");
}

static void test_answers_that_are_short_fail(void **state)
{
    (void)state;
    check_failure("FEWER", VIVO_LEVEL_STUDY, "1.2.1", EIO, "fewer series");
    check_failure("WARN", VIVO_LEVEL_STUDY, "1.2.1", EIO, "B001");
}

static void test_server_that_is_no_server_fails(void **state)
{
    (void)state;
    check_failure("SILENT", VIVO_LEVEL_NONE, NULL, ETIMEDOUT, "silent");
    check_failure("NOTHING", VIVO_LEVEL_NONE, NULL, EIO, "none of the services");
}

/* ---- objects ------------------------------------------------------------------ */

static void check_fetch(const char *title, int errnum, const char *word)
{
    struct vivo_archive *a = open_title(title);
    struct receipt r;
    struct vivo_op op;
    vivo_op_init(&op, 0);
    receipt_init(&r, false, &op);
    int rc = vivo_archive_fetch(a, OBJECT, &r.base, &op);
    if (rc != -errnum || !strstr(op.err.text, word))
        print_message("%s: %d %s\n", title, rc, op.err.text);
    assert_int_equal(rc, -errnum);
    assert_non_null(strstr(op.err.text, word));
    if (!errnum)
        assert_true(r.bytes.len > 40000);
    receipt_free(&r);
    vivo_archive_close(a);
}

static void test_object_that_does_not_come_whole_fails(void **state)
{
    (void)state;
    check_fetch("WHOLE", 0, "");
    check_fetch("ABORT", EIO, "aborted");
    check_fetch("OTHER", EIO, "another object");
    check_fetch("FAILED", EIO, "could not send");
    check_fetch("SILENT", ETIMEDOUT, "silent");
}

/* ---- C-MOVE -------------------------------------------------------------------- */

static unsigned a_port(void)
{
    struct sockaddr_in6 at = {.sin6_family = AF_INET6};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    close(fd);
    return ntohs(at.sin6_port);
}

struct moving {
    const char *title;
    int rc;
    size_t bytes;
    struct vivo_op op;
};

/* By another port if somebody else was faster to have this one. */
static void *fetch_moved(void *arg)
{
    struct moving *m = arg;
    for (int i = 0; i < 5; i++) {
        char title[60];
        unsigned port = a_port();
        struct receipt r;
        snprintf(title, sizeof title, "%s.%u?move=%u", m->title, port, port);
        struct vivo_archive *a = open_title(title);
        vivo_op_init(&m->op, 0);
        receipt_init(&r, false, &m->op);
        m->rc = vivo_archive_fetch(a, OBJECT, &r.base, &m->op);
        m->bytes = r.bytes.len;
        receipt_free(&r);
        vivo_archive_close(a);
        if (m->rc == 0 || !strstr(m->op.err.text, "cannot be had"))
            break;
    }
    return NULL;
}

/* Both at a time: DCMTK has one variable for all connections that are handed to it. */
static void test_objects_are_moved_here_by_ipv6_and_ipv4(void **state)
{
    struct moving m[] = {{.title = "MOVE4"}, {.title = "MOVE6"}, {.title = "MOVE4"}};
    pthread_t threads[VIVO_ARRAY_LEN(m)];
    (void)state;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(m); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, fetch_moved, &m[i]), 0);
    for (size_t i = 0; i < VIVO_ARRAY_LEN(m); i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < VIVO_ARRAY_LEN(m); i++) {
        if (m[i].rc)
            print_message("%s: %s\n", m[i].title, m[i].op.err.text);
        assert_int_equal(m[i].rc, 0);
        assert_true(m[i].bytes > 40000);
    }
}

static void *cancel_soon(void *arg)
{
    struct vivo_op *op = arg;
    usleep(100 * 1000);
    atomic_store(&op->cancelled, true);
    return NULL;
}

static void test_cancelled_wait_ends(void **state)
{
    (void)state;
    char url[300];
    snprintf(url, sizeof url, "dimse://VIVOFS@%s/SILENT", server.line);
    struct vivo_archive *a = open_source(url, 60000);
    struct receipt r;
    struct vivo_op op;
    pthread_t thread;
    vivo_op_init(&op, 0);
    receipt_init(&r, false, &op);
    assert_int_equal(pthread_create(&thread, NULL, cancel_soon, &op), 0);
    assert_int_equal(vivo_archive_fetch(a, OBJECT, &r.base, &op), -EINTR);
    pthread_join(thread, NULL);
    receipt_free(&r);
    vivo_archive_close(a);
}

/* ---- text and search --------------------------------------------------------------
 */

struct names {
    struct vivo_intake base;
    size_t n, right;
};

static int check_name(struct vivo_intake *self, const struct vivo_record *rec,
                      struct vivo_err *err)
{
    static const char *const expected[] = {
        "Müller^Jürgen",
        "Müller^Jürgen",
        "Люкceмбypг",
        "Yamada^Tarou=山田^太郎=やまだ^たろう",
        "Hong^Gildong=洪^吉洞",
        "Wang^XiaoDong=王^小东",
        "Doe^Jane",
    };
    struct names *names = (struct names *)self; /* first member */
    char name[100];
    long study = strtol(rec->locator + strlen("1.2."), NULL, 10);
    (void)err;
    vivo_attrs_text(rec->attrs, VIVO_TAG_PatientName, name, sizeof name);
    names->n++;
    const char *want = expected[(size_t)(study - 1) % VIVO_ARRAY_LEN(expected)];
    names->right += strcmp(name, want) == 0;
    return 0;
}

static void test_names_are_read_in_the_character_set_of_their_row(void **state)
{
    (void)state;
    struct vivo_archive *a = open_title("MIXED");
    struct names names = {.base.record = check_name};
    struct vivo_op op;
    vivo_op_init(&op, 0);
    assert_int_equal(vivo_archive_list(a, VIVO_LEVEL_NONE, NULL, &names.base, &op), 0);
    assert_int_equal(names.n, STUDIES);
    assert_int_equal(names.right, STUDIES);
    vivo_archive_close(a);
}

static void test_rows_of_somebody_else_are_left_out(void **state)
{
    struct vivo_op op;
    size_t n;
    (void)state;
    assert_int_equal(list("IGNORE", VIVO_LEVEL_NONE, NULL, &n, &op), 0);
    assert_int_equal(n, STUDIES + 1);
    assert_int_equal(list("IGNORE", VIVO_LEVEL_STUDY, "1.2.1", &n, &op), 0);
    assert_int_equal(n, 2);
    assert_int_equal(list("IGNORE", VIVO_LEVEL_SERIES, "1.2.1/1.2.1.1", &n, &op), 0);
    assert_int_equal(n, 2);
}

static size_t search(const char *title, const struct vivo_match *m, size_t n,
                     uint64_t *answered)
{
    struct vivo_archive *a = open_title(title);
    struct gathering g;
    struct vivo_op op;
    vivo_op_init(&op, 0);
    gathering_init(&g, a->driver->lists);
    assert_int_equal(vivo_archive_search(a, m, n, answered, &g.base, &op), 0);
    size_t found = g.n_containers;
    gathering_free(&g);
    vivo_archive_close(a);
    return found;
}

static void test_search_narrows_by_what_it_says(void **state)
{
    (void)state;
    const char *const patient[] = {"p007"}; /* whatever the case */
    const char *const two[] = {"P007", "P008"};
    const char *const dates[] = {"20030101", "20051231"};
    const char *const uids[] = {"1.2.5", "1.2.77", "1.2.9999"};
    const struct vivo_match m[] = {
        {VIVO_TAG_PatientID, VIVO_MATCH_ANY_OF, false, patient, 1},
        {VIVO_TAG_PatientID, VIVO_MATCH_ANY_OF, false, two, 2},
        {VIVO_TAG_StudyDate, VIVO_MATCH_RANGE, false, dates, 2},
        {VIVO_TAG_StudyInstanceUID, VIVO_MATCH_ANY_OF, false, uids, 3},
    };
    uint64_t answered;
    (void)state;
    assert_int_equal(search("WHOLE", &m[0], 1, &answered), 4);
    assert_int_equal(answered, 1);
    assert_int_equal(search("WHOLE", &m[1], 1, &answered), 8);
    assert_int_equal(search("CAP", &m[2], 1, &answered), 45);
    assert_int_equal(search("WHOLE", &m[3], 1, &answered), 2);
    const struct vivo_match both[] = {m[2], m[0]};
    assert_int_equal(search("WHOLE", both, 2, &answered), 0);
    assert_int_equal(answered, 3);
}

/* It finds "P007" as it is, and nothing that fits "?007". */
static void test_server_without_wild_cards_is_not_searched(void **state)
{
    const char *const patient[] = {"P007"};
    const char *const nobody[] = {"Q999"};
    struct vivo_match m = {VIVO_TAG_PatientID, VIVO_MATCH_ANY_OF, false, patient, 1};
    struct vivo_archive *a = open_title("PLAIN");
    struct gathering g;
    struct vivo_op op;
    uint64_t answered;
    (void)state;
    vivo_op_init(&op, 0);
    gathering_init(&g, a->driver->lists);
    assert_int_equal(vivo_archive_search(a, &m, 1, &answered, &g.base, &op), -ENOENT);
    assert_int_equal(g.n_containers, 0);
    m.values = nobody;
    vivo_op_init(&op, 0);
    assert_int_equal(vivo_archive_search(a, &m, 1, &answered, &g.base, &op), 0);
    gathering_free(&g);
    vivo_archive_close(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_studies_in_one_answer_are_listed_once),
        cmocka_unit_test(test_studies_that_were_cut_are_found_by_date),
        cmocka_unit_test(test_studies_that_were_refused_are_found_by_date),
        cmocka_unit_test(test_patients_that_were_cut_are_found_by_their_first_letter),
        cmocka_unit_test(test_studies_that_cannot_be_parted_fail),
        cmocka_unit_test(test_answers_that_are_short_fail),
        cmocka_unit_test(test_server_that_is_no_server_fails),
        cmocka_unit_test(test_object_that_does_not_come_whole_fails),
        cmocka_unit_test(test_objects_are_moved_here_by_ipv6_and_ipv4),
        cmocka_unit_test(test_cancelled_wait_ends),
        cmocka_unit_test(test_names_are_read_in_the_character_set_of_their_row),
        cmocka_unit_test(test_rows_of_somebody_else_are_left_out),
        cmocka_unit_test(test_search_narrows_by_what_it_says),
        cmocka_unit_test(test_server_without_wild_cards_is_not_searched),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
