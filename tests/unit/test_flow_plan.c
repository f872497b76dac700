/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_flow_plan.c -- what a query implies, to be asked of an archive.
 *
 * Random queries over random objects: whatever the reference says matches must meet one
 * of the searches derived, each of them written as a query again and put to the same
 * reference. Then the shape of the plans of queries that people ask. */
#include "flow/plan.h"
#include "oracle/oracle.h"
#include "query_random.h"

#define ROUNDS 4000
#define MEMBERS 4
#define OBJECTS (2 * MEMBERS)

struct world {
    struct vivo_buf bytes[OBJECTS];
    struct vivo_query_object objects[OBJECTS];
};

/* Two series, of one patient or of two. */
static void make_world(struct world *w)
{
    int64_t apart = below(2);
    int64_t studies = apart | below(2);
    for (size_t i = 0; i < OBJECTS; i++) {
        int64_t series = (int64_t)(i / MEMBERS);
        vivo_buf_init(&w->bytes[i], MAKE_MAX);
        make_object(&w->bytes[i], i % MEMBERS ? &w->bytes[i - i % MEMBERS] : NULL);
        w->objects[i] = (struct vivo_query_object){made(&w->bytes[i]), series * apart,
                                                   series * studies, series};
    }
}

static void free_world(struct world *w)
{
    for (size_t i = 0; i < OBJECTS; i++)
        vivo_buf_free(&w->bytes[i]);
}

static bool may_all(void *ctx, uint32_t tag)
{
    (void)ctx;
    return tag != 0;
}

static bool may_modality(void *ctx, uint32_t tag)
{
    (void)ctx;
    return tag == VIVO_TAG_Modality || tag == VIVO_TAG_StudyDate;
}

/* ---- a search as a query ---------------------------------------------------------
 */

static void add_name(struct vivo_buf *b, const char *s)
{
    for (; *s; s++) {
        char c[2] = {*s, 0};
        add(b, *s == '%' ? "%25" : *s == '/' ? "%2F" : c);
    }
}

static void add_value(struct vivo_buf *b, const char *v, bool wild)
{
    add(b, "'");
    for (; *v; v++) {
        char c[2] = {*v, 0};
        if (*v == '\'' || (!wild && strchr("*?", *v)))
            add(b, "\\");
        add_name(b, c);
    }
    add(b, "'");
}

static void add_match(struct vivo_buf *b, const struct vivo_match *m)
{
    add(b, vivo_dcm_dict(m->tag)->keyword);
    if (m->kind == VIVO_MATCH_RANGE) {
        assert_int_equal(m->n, 2);
        add(b, "=");
        add(b, m->values[0] ? m->values[0] : "");
        add(b, "..");
        add(b, m->values[1] ? m->values[1] : "");
        return;
    }
    assert_int_equal(m->kind, VIVO_MATCH_ANY_OF);
    assert_in_range(m->n, 1, VIVO_MATCH_VALUES_MAX);
    add(b, " in (");
    for (size_t i = 0; i < m->n; i++) {
        add(b, i ? "," : "");
        add_value(b, m->values[i], m->wild);
    }
    add(b, ")");
}

static struct vivo_query *as_query(const struct plan_search *s)
{
    struct vivo_buf b;
    struct vivo_query *q = NULL;
    struct vivo_query_error qe;
    vivo_buf_init(&b, MAKE_MAX);
    if (s->lift != VIVO_LEVEL_INSTANCE)
        add(&b, vivo_level_name(s->lift));
    add(&b, "(");
    assert_in_range(s->n, 1, VIVO_MATCH_MAX);
    for (size_t i = 0; i < s->n; i++) {
        add(&b, i ? " and " : "");
        add_match(&b, &s->matches[i]);
    }
    add(&b, ")");
    int rc = vivo_query_parse((const char *)b.data, NULL, &q, &qe);
    if (rc && b.len <= VIVO_QUERY_NAME_MAX) {
        print_error("%s\ncolumn %zu: %s\n", (const char *)b.data, qe.column, qe.text);
        fail();
    }
    vivo_buf_free(&b);
    return q;
}

/* ---- implied ---------------------------------------------------------------------
 */

/* How many objects the pass selects, all of which must meet a search of it. */
static size_t check_pass(const struct world *w, const struct plan_pass *pass,
                         const struct vivo_query_node *e)
{
    struct vivo_query inner = {.root = e};
    struct vivo_query *searches[PLAN_SEARCHES_MAX];
    size_t n = 0;
    size_t selected = 0;
    bool told = true;
    for (const struct plan_search *s = pass->first; s; s = s->next) {
        assert_true(n < PLAN_SEARCHES_MAX);
        searches[n] = as_query(s);
        told = told && searches[n];
        n++;
    }
    assert_int_equal(n, pass->n);
    for (size_t i = 0; i < OBJECTS && told; i++) {
        bool met = !vivo_query_matches(&inner, w->objects, OBJECTS, i);
        selected += !met;
        for (size_t k = 0; k < n && !met; k++)
            met = vivo_query_matches(searches[k], w->objects, OBJECTS, i);
        if (!met)
            print_error("object %zu matches and meets no search\n", i);
        assert_true(met);
    }
    for (size_t k = 0; k < n; k++)
        vivo_query_unref(searches[k]);
    return selected;
}

static struct vivo_query *random_query(void)
{
    struct vivo_buf plain;
    struct vivo_buf name;
    struct vivo_query *q = NULL;
    struct vivo_query_error qe;
    vivo_buf_init(&plain, MAKE_MAX);
    vivo_buf_init(&name, MAKE_MAX);
    pool_used = 0;
    spell(&plain, make_tree(below(4)), false);
    add_name(&name, (const char *)plain.data);
    vivo_query_parse((const char *)name.data, NULL, &q, &qe);
    vivo_buf_free(&plain);
    vivo_buf_free(&name);
    return q;
}

static void test_what_matches_meets_a_search(void **state)
{
    (void)state;
    size_t covered = 0;
    size_t selected = 0;
    seed();
    for (size_t round = 0; round < ROUNDS; round++) {
        struct vivo_query *q = random_query();
        if (!q)
            continue;
        struct plan *p = plan_new(vivo_query_root(q), may_all, NULL, true);
        assert_non_null(p);
        struct world w;
        make_world(&w);
        for (size_t i = 0; i < p->npasses; i++) {
            const struct plan_pass *pass = &p->passes[i];
            bool whole = i + 1 == p->npasses;
            if (!pass->covered)
                continue;
            covered++;
            selected += check_pass(&w, pass, whole ? pass->of : pass->of->a);
        }
        free_world(&w);
        plan_free(p);
        vivo_query_unref(q);
    }
    print_message("%zu passes covered, %zu objects selected\n", covered, selected);
    assert_true(covered > ROUNDS / 8);
    assert_true(selected > ROUNDS / 40);
}

/* ---- shapes ----------------------------------------------------------------------
 */

/* The searches of the whole query, "; " between them, or "-" when it is not covered. */
static void assert_plan_of(const char *name, plan_may_fn *may, bool collections,
                           const char *expected)
{
    struct vivo_query *q = NULL;
    struct vivo_query_error qe;
    struct vivo_buf b;
    vivo_buf_init(&b, MAKE_MAX);
    assert_int_equal(vivo_query_parse(name, NULL, &q, &qe), 0);
    struct plan *p = plan_new(vivo_query_root(q), may, NULL, collections);
    assert_non_null(p);
    const struct plan_pass *pass = &p->passes[p->npasses - 1];
    assert_ptr_equal(pass->of, vivo_query_root(q));
    if (!pass->covered)
        add(&b, "-");
    for (const struct plan_search *s = pass->covered ? pass->first : NULL; s;
         s = s->next) {
        add(&b, s == pass->first ? "" : "; ");
        assert_int_equal(plan_search_text(s, &b), 0);
    }
    assert_string_equal((const char *)b.data, expected);
    vivo_buf_free(&b);
    plan_free(p);
    vivo_query_unref(q);
}

static void assert_plan(const char *name, plan_may_fn *may, const char *expected)
{
    assert_plan_of(name, may, false, expected);
}

static void test_patients_are_narrowed_by_their_collections(void **state)
{
    (void)state;
    assert_plan_of("patient(Modality=SEG)", may_all, true, "patient(Modality=SEG)");
    assert_plan_of("study(patient(Modality=SEG))", may_all, true,
                   "patient(Modality=SEG)");
    assert_plan_of("patient(study(Modality=SEG))", may_all, true,
                   "patient(Modality=SEG)");
    assert_plan_of("not patient(Modality=SEG)", may_all, true, "-");
    assert_plan_of("patient(Modality=SEG) and PatientSex=F", may_all, true,
                   "PatientSex=F");
}

static void test_plans_of_what_people_ask(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"Modality=CT", "Modality=CT"},
        {"Modality=CT and StudyDate=2019",
         "Modality=CT and StudyDate=20190101..20191231"},
        {"StudyDate>=2020-02", "StudyDate=20200201.."},
        {"StudyDate<20200301", "StudyDate=..20200301"},
        {"StudyDate between 2019 and 202002", "StudyDate=20190101..20200229"},
        {"Modality in (CT,PT)", "Modality in (CT,PT)"},
        {"Modality=CT or Modality=PT", "Modality=CT; Modality=PT"},
        {"(Modality=CT or Modality=PT) and PatientID=P1",
         "Modality=CT and PatientID=P1; Modality=PT and PatientID=P1"},
        {"StudyDescription='C*X\\?'", "StudyDescription=C*X?"},
        {"study(Modality=SEG)", "study(Modality=SEG)"},
        {"series(study(Modality=SEG))", "study(Modality=SEG)"},
        {"Modality=CT and study(Modality=SEG)", "Modality=CT"},
        {"Modality=CT and patient(Modality=SEG)", "Modality=CT"},
        {"Modality=CT and not Manufacturer=X", "Modality=CT"},
        {"not not Modality=CT", "Modality=CT"},
        {"SeriesNumber<5", "SeriesNumber=..5"},
        /* nothing is implied */
        {"not Modality=CT", "-"},
        {"Modality!=CT", "-"},
        {"Modality~CT", "-"},
        {"has Modality", "-"},
        {"any CT", "-"},
        {"patient(Modality=SEG)", "-"},
        {"Modality=CT or missing BodyPartExamined", "-"},
        {"StudyDescription=*", "-"},
        {"StudyDescription=Th\xC3\xB6rax", "-"},
        {"StudyInstanceUID='1.2.*'", "-"},
        {"*.Modality=CT", "-"},
        {"ReferencedStudySequence.StudyDate=2019", "-"},
        {"PatientAge>60Y", "-"},
        {"ExaminedBodyThickness=1.5", "-"},
    };
    for (size_t i = 0; i < VIVO_ARRAY_LEN(rows); i++)
        assert_plan(rows[i][0], may_all, rows[i][1]);
}

static void test_only_what_may_be_is_asked(void **state)
{
    (void)state;
    assert_plan("PatientID=X and Modality=CT", may_modality, "Modality=CT");
    assert_plan("PatientID=X or Modality=CT", may_modality, "-");
    assert_plan("study(PatientID=X) and StudyDate=20190305", may_modality,
                "StudyDate=20190305..20190305");
}

static void test_long_lists_are_cut(void **state)
{
    (void)state;
    struct vivo_buf b;
    struct vivo_query *q = NULL;
    struct vivo_query_error qe;
    vivo_buf_init(&b, MAKE_MAX);
    add(&b, "PatientID in (");
    for (int i = 0; i < 150; i++)
        assert_int_equal(vivo_buf_printf(&b, "%sP%d", i ? "," : "", i), 0);
    add(&b, ")");
    assert_int_equal(vivo_query_parse((const char *)b.data, NULL, &q, &qe), 0);
    struct plan *p = plan_new(vivo_query_root(q), may_all, NULL, true);
    const struct plan_pass *pass = &p->passes[0];
    assert_int_equal(pass->n, 3);
    assert_int_equal(pass->first->matches[0].n, VIVO_MATCH_VALUES_MAX);
    assert_int_equal(pass->first->next->next->matches[0].n,
                     150 - 2 * VIVO_MATCH_VALUES_MAX);
    plan_free(p);
    vivo_query_unref(q);
    vivo_buf_free(&b);
}

int main(void)
{
    struct vivo_err err = {0};
    if (vivo_dcm_global_init(&err))
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_matches_meets_a_search),
        cmocka_unit_test(test_patients_are_narrowed_by_their_collections),
        cmocka_unit_test(test_plans_of_what_people_ask),
        cmocka_unit_test(test_only_what_may_be_is_asked),
        cmocka_unit_test(test_long_lists_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
