/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_query_list.c -- `in @NAME` means what the same values in parentheses
 * mean, in evaluator and reference, whatever the class of the attribute; files that are
 * no lists. */
#include "oracle/oracle.h"
#include "query_random.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define ROUNDS 600

static char path[] = "/tmp/vivo-list-XXXXXX";

static void write_list(const char *text, size_t len)
{
    int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, len), (ssize_t)len);
    close(fd);
}

static struct vivo_query_list *load(void)
{
    struct vivo_query_list *list = NULL;
    struct vivo_err err = {0};
    char spec[sizeof path + 8];
    snprintf(spec, sizeof spec, "l:%s", path);
    assert_int_equal(vivo_query_list_load(spec, &list, &err), 0);
    assert_string_equal(vivo_query_list_name(list), "l");
    return list;
}

static struct vivo_query *parse(const char *text, const struct vivo_query_rules *rules)
{
    struct vivo_query_error qe;
    struct vivo_query *q = NULL;
    if (vivo_query_parse(text, rules, &q, &qe))
        fail_msg("%s: %s", text, qe.text);
    return q;
}

/* Values without wildcards and control characters, in both spellings. */
static void make_values(const struct attribute *at, struct vivo_buf *lines,
                        struct vivo_buf *parens)
{
    size_t n = below(12) + 1;
    for (size_t i = 0; i < n; i++) {
        char v[64];
        make_value(at, v, true);
        if (!*v || strpbrk(v, "*?\\"))
            continue;
        add(lines, v);
        add(lines, below(2) ? "\n" : " \r\n");
        add(parens, parens->len ? "," : "");
        add(parens, "\"");
        add(parens, v);
        add(parens, "\"");
    }
}

static void compare(const struct attribute *at, const char *parens,
                    const struct vivo_query_rules *rules, struct vivo_buf *object,
                    size_t *hits)
{
    char listed[160];
    char spelt[2048];
    snprintf(listed, sizeof listed, "%s in @l", at->keyword);
    snprintf(spelt, sizeof spelt, "%s in (%s)", at->keyword, parens);
    struct vivo_query *a = parse(listed, rules);
    struct vivo_query *b = parse(spelt, NULL);
    struct vivo_query *again = NULL;
    struct vivo_query_error qe;
    assert_int_equal(vivo_query_reparse(a, rules, &again, &qe), 0);
    assert_string_equal(vivo_query_text(a), vivo_query_text(again));
    assert_int_equal(vivo_query_reparse(a, NULL, &again, &qe), -EINVAL);
    for (unsigned i = 0; i < 8; i++) {
        make_object(object, NULL);
        struct vivo_query_source src = {.attrs = made(object), .headers = true};
        struct vivo_query_object o = {.attrs = made(object)};
        enum vivo_truth t = vivo_query_eval(vivo_query_root(a), &src);
        assert_int_equal(t, vivo_query_eval(vivo_query_root(b), &src));
        assert_int_equal(t == VIVO_TRUE, vivo_query_matches(a, &o, 1, 0));
        *hits += t == VIVO_TRUE;
    }
    vivo_query_unref(a);
    vivo_query_unref(b);
    vivo_query_unref(again);
}

static void test_list_means_the_same_as_parentheses(void **state)
{
    (void)state;
    struct vivo_buf lines;
    struct vivo_buf parens;
    struct vivo_buf object;
    size_t hits = 0;
    seed();
    vivo_buf_init(&lines, MAKE_MAX);
    vivo_buf_init(&parens, MAKE_MAX);
    vivo_buf_init(&object, MAKE_MAX);
    for (size_t round = 0; round < ROUNDS; round++) {
        const struct attribute *at = &PICK(attributes);
        vivo_buf_clear(&lines);
        vivo_buf_clear(&parens);
        make_values(at, &lines, &parens);
        if (!parens.len)
            continue;
        write_list((const char *)lines.data, lines.len);
        struct vivo_query_list *list = load();
        struct vivo_query_rules rules = {.lists = &list, .nlists = 1};
        compare(at, (const char *)parens.data, &rules, &object, &hits);
        vivo_query_list_free(list);
    }
    print_message("%zu hits\n", hits);
    assert_in_range(hits, ROUNDS / 4, ROUNDS * 7);
    vivo_buf_free(&lines);
    vivo_buf_free(&parens);
    vivo_buf_free(&object);
}

static void test_files_that_are_no_lists_are_refused(void **state)
{
    (void)state;
    static const char *const specs[] = {
        "l", "l:", ":x", "a b:/dev/null", "l:/dev/null", "l:/nonexistent/list"};
    for (size_t i = 0; i < VIVO_ARRAY_LEN(specs); i++) {
        struct vivo_query_list *list = NULL;
        struct vivo_err err = {0};
        assert_true(vivo_query_list_load(specs[i], &list, &err) < 0);
        assert_null(list);
        assert_true(err.text[0]);
    }
    struct vivo_query_list *list = NULL;
    struct vivo_err err = {0};
    char spec[sizeof path + 8];
    snprintf(spec, sizeof spec, "l:%s", path);
    write_list("a\0b", 3);
    assert_int_equal(vivo_query_list_load(spec, &list, &err), -EINVAL);
}

static void test_csv_with_an_open_quote_is_an_error(void **state)
{
    (void)state;
    static const char text[] = "PatientID,x\nA,1\n\"B,2\n";
    write_list(text, sizeof text - 1);
    struct vivo_query_list *list = load();
    struct vivo_query_rules rules = {.lists = &list, .nlists = 1};
    struct vivo_query_error qe;
    struct vivo_query *q = NULL;
    assert_int_equal(vivo_query_parse("PatientID in @l", &rules, &q, &qe), -EINVAL);
    assert_non_null(strstr(qe.text, "line 3"));
    vivo_query_list_free(list);
}

int main(void)
{
    struct vivo_err err = {0};
    int fd = mkstemp(path);
    if (fd < 0 || vivo_dcm_global_init(&err))
        return 1;
    close(fd);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list_means_the_same_as_parentheses),
        cmocka_unit_test(test_files_that_are_no_lists_are_refused),
        cmocka_unit_test(test_csv_with_an_open_quote_is_an_error),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
