/* SPDX-License-Identifier: Apache-2.0 */
/* tests/drivers/test_nbia_table.c -- columns of series out of getSeriesMetadata. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "nbia_run.h"

struct told {
    struct vivo_intake base;
    size_t n;
    char thickness[64], study_id[64], patient[64], locator[512];
    bool any_thickness;
};

static int take(struct vivo_intake *self, const struct vivo_record *rec,
                struct vivo_err *err)
{
    struct told *t = (struct told *)self; /* first member */
    struct vivo_attr a;
    (void)err;
    assert_int_equal(rec->level, VIVO_LEVEL_SERIES);
    t->n++;
    snprintf(t->locator, sizeof t->locator, "%s", rec->locator);
    vivo_attrs_text(rec->attrs, VIVO_TAG_SliceThickness, t->thickness,
                    sizeof t->thickness);
    t->any_thickness = vivo_attrs_find(rec->attrs, VIVO_TAG_SliceThickness, &a);
    vivo_attrs_text(rec->attrs, VIVO_TAG_StudyID, t->study_id, sizeof t->study_id);
    vivo_attrs_text(rec->attrs, VIVO_TAG_PatientID, t->patient, sizeof t->patient);
    return 0;
}

static const char *const four[] = {"C/P/1.2/1.1/3/20", "C/P/1.2/1.2/3/20",
                                   "C/P/1.2/1.3/3/20", "C/P/1.2/1.4/3/20"};

static int describe(const char *const *series, size_t n, struct told *t,
                    struct vivo_op *op)
{
    struct vivo_archive *a = open_source(source, NULL);
    *t = (struct told){.base.record = take};
    vivo_op_init(op, 0);
    int rc = vivo_archive_describe(a, series, n, &t->base, op);
    vivo_archive_close(a);
    return rc;
}

/* Sets what the server answers; it answers only when it knows a series of those asked,
 * so one that it has goes along. */
static int describe_table(const char *table, struct told *t, struct vivo_op *op)
{
    struct gathering g;
    char knob[2000] = "table=";
    size_t at = strlen(knob);
    const char *list[5] = {four[0], four[1], four[2], four[3], NULL};
    assert_int_equal(list_with("", &g, op), 0);
    for (size_t i = 0; i < g.n_containers && !list[4]; i++)
        if (g.containers[i].level == VIVO_LEVEL_SERIES)
            list[4] = g.containers[i].locator;
    assert_non_null(list[4]);
    control("/__reset");
    for (; *table && at + 4 < sizeof knob; table++)
        at += (size_t)snprintf(knob + at, sizeof knob - at, "%%%02X",
                               (unsigned)(unsigned char)*table);
    set(knob);
    int rc = describe(list, 5, t, op);
    gathering_free(&g);
    return rc;
}

#define HEAD                                                                           \
    "\"PatientID\",\"StudyInstanceUID\",\"SeriesInstanceUID\",\"Modality\",\"S"        \
    "tudyID\",\"SliceThickness(mm)\"\n"
#define ROW(series, modality, id, thickness)                                           \
    "\"P\",\"1.2\",\"" series "\",\"" modality "\",\"" id "\",\"" thickness "\"\n"

static void test_rows_become_columns(void **state)
{
    (void)state;
    static const struct {
        const char *row, *thickness, *study_id;
        bool told;
    } cases[] = {
        {ROW("1.1", "CT", "7", "1.25"), "1.25", "7", true},
        {ROW("1.1", "CT", "a \"\"b\"\", c\nd", "5.000000"), "5.000000", "a \"b\", c d",
         true},
        {"P,1.2,1.1,CT,7,2\r\n", "2", "7", true},
        {"P,1.2,1.1,CT,7,2", "2", "7", true}, /* no end of the last line */
        {ROW("1.1", "CT", "7", "0.1234567890123456"), "0.123456789", "7", true},
        {ROW("1.1", "CT", "7", ""), "", "7", false},
        {ROW("1.1", "CT", "7", "null"), "", "7", false},
        {ROW("1.1", "CT", "7", "-1"), "", "7", false},
        {ROW("1.1", "CT", "7", "0x10"), "", "7", false},
        {ROW("1.1", "CT", "7", "thick"), "", "7", false},
        {ROW("1.1", "CR", "", ""), "", "", true}, /* has none, certainly */
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(cases); i++) {
        char table[1000];
        struct told t;
        struct vivo_op op;
        snprintf(table, sizeof table, "%s%s", HEAD, cases[i].row);
        assert_int_equal(describe_table(table, &t, &op), 0);
        assert_int_equal(t.n, 1);
        assert_string_equal(t.locator, four[0]);
        assert_string_equal(t.thickness, cases[i].thickness);
        assert_string_equal(t.study_id, cases[i].study_id);
        assert_string_equal(t.patient, "P");
        assert_int_equal(t.any_thickness, cases[i].told);
    }
}

static void test_rows_of_others_tell_nothing(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "\",\"1.2\",\"1.1\",\"CT\",\"7\",\"1\"\n", /* a null in the first column */
        "\"P\",\"1.2\",\"1.1\",\"CT\",\"7\"\n",
        "\"P\",\"1.2\",\"1.1\",\"CT\",\"7\",\"1\",\"2\"\n",
        "\"Q\",\"1.2\",\"1.1\",\"CT\",\"7\",\"1\"\n",
        "\"P\",\"1.9\",\"1.1\",\"CT\",\"7\",\"1\"\n",
        ROW("1.9", "CT", "7", "1"),
        ROW("", "CT", "7", "1"),
        "\"\xff\",\"1.2\",\"1.1\",\"CT\",\"7\",\"1\"\n",
        "\"P\",\"1.2\",\"1.1\",\"CT\",\"7\",\"1\n",
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(rows) - 1; i++) {
        char table[1000];
        struct told t;
        struct vivo_op op;
        snprintf(table, sizeof table, "%s%s", HEAD, rows[i]);
        assert_int_equal(describe_table(table, &t, &op), 0);
        assert_int_equal(t.n, 0);
    }
}

static void test_series_is_told_once(void **state)
{
    (void)state;
    struct told t;
    struct vivo_op op;
    assert_int_equal(describe_table(HEAD ROW("1.2", "CT", "1", "1")
                                        ROW("1.1", "CT", "2", "2")
                                            ROW("1.2", "CT", "3", "3"),
                                    &t, &op),
                     0);
    assert_int_equal(t.n, 2);
    assert_string_equal(t.thickness, "2");
}

static void test_what_is_no_table_is_an_error(void **state)
{
    (void)state;
    static const char *const bad[] = {"Server was not able to process",
                                      "<html>Log in</html>", "[{\"a\":1}]",
                                      "a,b\n1,2\n"};
    for (size_t i = 0; i < VIVO_ARRAY_LEN(bad); i++) {
        struct told t;
        struct vivo_op op;
        int rc = describe_table(bad[i], &t, &op);
        assert_true(rc == -EIO || rc == -EBADMSG);
        assert_non_null(strstr(op.err.text, "getSeriesMetadata"));
    }
}

static void test_servers_without_the_table_are_enoent(void **state)
{
    (void)state;
    static const char *const knobs[] = {"versions=v1", "no_table=404", "no_table=405"};
    for (size_t i = 0; i < VIVO_ARRAY_LEN(knobs); i++) {
        struct told t;
        struct vivo_op op;
        set_only(knobs[i]);
        assert_int_equal(describe(four, 4, &t, &op), -ENOENT);
        assert_int_equal(count_asked("getSeriesMetadata") > 0, i > 0);
    }
    control("/__reset");
}

static void test_many_series_cost_one_request(void **state)
{
    (void)state;
    struct gathering g;
    struct told t;
    struct vivo_op op;
    const char *list[SERIES];
    size_t n = 0;
    assert_int_equal(list_with("", &g, &op), 0);
    for (size_t i = 0; i < g.n_containers; i++)
        if (g.containers[i].level == VIVO_LEVEL_SERIES)
            list[n++] = g.containers[i].locator;
    assert_int_equal(n, SERIES);
    struct vivo_archive *a = open_source(source, NULL);
    uint64_t before = atomic_load(&a->requests);
    t = (struct told){.base.record = take};
    vivo_op_init(&op, 0);
    assert_int_equal(vivo_archive_describe(a, list, n, &t.base, &op), 0);
    assert_int_equal(t.n, SERIES);
    assert_true(t.any_thickness);
    assert_int_equal(atomic_load(&a->requests) - before, 2); /* which version, table */
    vivo_archive_close(a);
    gathering_free(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_become_columns),
        cmocka_unit_test(test_rows_of_others_tell_nothing),
        cmocka_unit_test(test_series_is_told_once),
        cmocka_unit_test(test_what_is_no_table_is_an_error),
        cmocka_unit_test(test_servers_without_the_table_are_enoent),
        cmocka_unit_test(test_many_series_cost_one_request),
    };
    return cmocka_run_group_tests(tests, start_all, stop_all);
}
