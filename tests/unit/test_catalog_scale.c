/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_catalog_scale.c -- the same with a hundred thousand instances: still
 * right, and the times are printed (not judged) for whoever changes the schema.
 * VIVO_SCALE=N in the environment sets another number. */
#include "catalog_fixture.h"

#include "vivofs/dcm.h"
#include "vivofs/query.h"

#include <time.h>

static double now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Of this thread alone: what else runs on the machine does not show. */
static double cpu(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static unsigned scale(void)
{
    const char *s = getenv("VIVO_SCALE");

    return s ? (unsigned)strtoul(s, NULL, 10) : 100000;
}

/* A header of some size: what all slices share and what each has for itself. */
static void make_header(unsigned i, struct vivo_buf *b)
{
    unsigned series = i / 100, study = series / 4, patient = study / 2;
    char uid[4][40], text[60];
    struct object o = {.modality = series % 3 ? "CT" : "MR",
                       .date = "20190302",
                       .study_text = "Chest",
                       .series_text = "Axial"};

    snprintf(uid[0], 40, "P%06u", patient);
    snprintf(uid[1], 40, "1.2.840.99.1.%u", study);
    snprintf(uid[2], 40, "1.2.840.99.2.%u", series);
    snprintf(uid[3], 40, "1.2.840.99.3.%u.%u", series, i);
    snprintf(text, sizeof text, "%u", i % 100 + 1);
    o.patient = uid[0];
    o.study = uid[1];
    o.series = uid[2];
    o.uid = uid[3];
    o.number = text;
    o.thickness = series % 5 ? "1.25" : "5";
    object_attrs(&o, b);
    snprintf(text, sizeof text, "%u", i);
    add_attr(b, 0x00201041, "DS", text);
    for (uint32_t t = 0; t < 100; t++) {
        snprintf(text, sizeof text, t % 10 ? "value %u of the series" : "slice %u.%u",
                 t, i);
        add_attr(b, 0x00400000 + t, "LO", text);
    }
}

struct tally {
    uint64_t entries;
    struct vivo_rowlist {
        vivo_row *rows;
        size_t n;
    } dirs;
};

static int count_entry(void *ctx, const struct vivo_entry *e)
{
    struct tally *t = ctx;

    t->entries++;
    if (e->level < VIVO_LEVEL_INSTANCE)
        t->dirs.rows[t->dirs.n++] = e->row;
    return 0;
}

static uint64_t find_all(struct vivo_catalog *c, const struct vivo_selection *s,
                         size_t max)
{
    struct tally t = {0, {calloc(max, sizeof(vivo_row)), 1}}, next;
    struct vivo_err err = {0};

    assert_non_null(t.dirs.rows);
    for (int level = VIVO_LEVEL_NONE; level < VIVO_LEVEL_INSTANCE; level++) {
        next = (struct tally){0, {calloc(max, sizeof(vivo_row)), 0}};
        assert_non_null(next.dirs.rows);
        for (size_t i = 0; i < t.dirs.n; i++)
            assert_int_equal(vivo_catalog_children(c, (enum vivo_level)level,
                                                   t.dirs.rows[i], s, count_entry,
                                                   &next, &err),
                             0);
        free(t.dirs.rows);
        t = next;
    }
    free(t.dirs.rows);
    return t.entries;
}

static void check_query(struct vivo_catalog *c, const char *text, uint64_t want)
{
    struct vivo_query_error qe;
    struct vivo_query *q;
    struct vivo_selection *s;
    struct vivo_err err = {0};
    struct vivo_counts n;
    double t0 = now(), t1;

    assert_int_equal(vivo_query_parse(text, NULL, &q, &qe), 0);
    if (vivo_catalog_select(c, VIVO_LEVEL_NONE, 0, q, NULL, &s, &err) < 0)
        fail_msg("%s", err.text);
    t1 = now();
    assert_int_equal(vivo_catalog_count(c, VIVO_LEVEL_NONE, 0, s, &n, &err), 0);
    printf("  select %-48s %8.1f ms, count %8.1f ms, %llu instances\n", text,
           (t1 - t0) * 1e3, (now() - t1) * 1e3, (unsigned long long)n.instances);
    assert_int_equal(n.instances, want);
    vivo_selection_unref(s);
    vivo_query_unref(q);
}

static int count_value(void *ctx, const char *value, uint64_t instances)
{
    uint64_t *t = ctx;

    t[0]++;
    t[1] += instances;
    t[2] += value == NULL;
    return 0;
}

/* Values of an attribute, of all or of what matches. */
static void check_facet(struct vivo_catalog *c, const char *text, uint32_t tag,
                        const char *name, uint64_t values, uint64_t instances)
{
    struct vivo_query_error qe;
    struct vivo_query *q = NULL;
    struct vivo_selection *s = NULL;
    struct vivo_err err = {0};
    uint64_t t[3] = {0};
    double t0;

    if (text) {
        assert_int_equal(vivo_query_parse(text, NULL, &q, &qe), 0);
        assert_int_equal(vivo_catalog_select(c, VIVO_LEVEL_NONE, 0, q, NULL, &s, &err),
                         0);
    }
    t0 = now();
    if (vivo_catalog_values(c, VIVO_LEVEL_NONE, 0, s, tag, count_value, t, &err) < 0)
        fail_msg("%s", err.text);
    printf("  values of %-22s %-23s %8.1f ms, %llu of them\n", name, text ? text : "",
           (now() - t0) * 1e3, (unsigned long long)t[0]);
    assert_int_equal(t[0], values);
    assert_int_equal(t[1], instances);
    assert_int_equal(t[2], 0);
    vivo_selection_unref(s);
    vivo_query_unref(q);
}

static void put_all(struct vivo_catalog *c, unsigned n, double *spent)
{
    struct vivo_listing *l = list_begin(c, VIVO_LEVEL_NONE, 0);
    struct vivo_buf b;

    vivo_buf_init(&b, VIVO_ATTRS_MAX);
    for (unsigned i = 0; i < n; i++) {
        struct vivo_put put = {.level = VIVO_LEVEL_INSTANCE,
                               .version = "1551484800.000000000",
                               .size = 527000,
                               .size_exact = true,
                               .headers = true};
        struct vivo_err err = {0};
        char locator[100];
        vivo_row row;
        double t;
        make_header(i, &b);
        snprintf(locator, sizeof locator, "patient/%u/series/IM%06u.dcm", i / 800, i);
        put.locator = locator;
        put.attrs = (struct vivo_attrs){b.data, b.len};
        t = cpu();
        if (vivo_listing_put(l, &put, &row, &err) < 0)
            fail_msg("%s", err.text);
        *spent += cpu() - t;
    }
    vivo_buf_free(&b);
    {
        double t = cpu();
        list_end(l, true);
        *spent += cpu() - t;
    }
}

static void test_many_instances(void **state)
{
    unsigned n = scale(), cts = 0, thick = 0;
    struct dir d;
    struct vivo_catalog *c;
    struct vivo_listing *l;
    struct vivo_counts counts;
    struct vivo_err err = {0};
    double spent = 0, t;

    (void)state;
    dir_make(&d);
    c = catalog_at(d.db, true);
    put_all(c, n, &spent);
    printf("  %u puts: %.2f us each\n", n, spent / n * 1e6);
    vivo_catalog_close(c);
    t = now();
    c = catalog_at(d.db, true);
    printf("  opened in %.1f ms\n", (now() - t) * 1e3);
    t = now();
    assert_int_equal(vivo_catalog_count(c, VIVO_LEVEL_NONE, 0, NULL, &counts, &err), 0);
    printf("  counted in %.1f ms\n", (now() - t) * 1e3);
    assert_int_equal(counts.instances, n);
    t = now();
    assert_int_equal(find_all(c, NULL, n / 10 + 1000), n);
    printf("  walked in %.2f s, %.2f us each\n", now() - t, (now() - t) / n * 1e6);
    for (unsigned i = 0; i < n; i++) {
        cts += i / 100 % 3 != 0;
        thick += i / 100 % 3 != 0 && i / 100 % 5 == 0;
    }
    check_query(c, "Modality=CT", cts);
    check_query(c, "Modality=CT and SliceThickness>2", thick);
    check_query(c, "InstanceNumber=1", (n + 99) / 100);
    check_query(c, "study(Modality=MR) and PatientID=P000001",
                VIVO_MIN(n, 1600) > 800 ? VIVO_MIN(n, 1600) - 800 : 0);
    check_query(c, "SliceLocation=77", n > 77);
    check_query(c, "SliceLocation>=5000.5", n > 5001 ? n - 5001 : 0);
    check_query(c, "Modality=CT and SliceLocation<50 and not InstanceNumber>10", 0);
    check_query(c, "SliceLocation=100..249 and InstanceNumber in (1,2,3)",
                n >= 250 ? 6 : 0);
    check_facet(c, NULL, VIVO_TAG_Modality, "Modality", 2, n);
    check_facet(c, NULL, VIVO_TAG_InstanceNumber, "InstanceNumber", 100, n);
    check_facet(c, "SliceLocation>=500", VIVO_TAG_InstanceNumber, "InstanceNumber", 100,
                n - 500);
    check_facet(c, "InstanceNumber=7", VIVO_TAG_Modality, "Modality", 2, n / 100);
    t = cpu();
    l = list_begin(c, VIVO_LEVEL_NONE, 0);
    for (unsigned i = 0; i < n; i++) {
        char locator[100];
        snprintf(locator, sizeof locator, "patient/%u/series/IM%06u.dcm", i / 800, i);
        assert_true(vivo_listing_known(l, locator, "1551484800.000000000"));
    }
    printf("  known: %.2f us each\n", (cpu() - t) / n * 1e6);
    t = now();
    list_end(l, true);
    printf("  ended in %.2f s\n", now() - t);
    assert_int_equal(vivo_catalog_count(c, VIVO_LEVEL_NONE, 0, NULL, &counts, &err), 0);
    assert_int_equal(counts.instances, n);
    vivo_catalog_close(c);
    dir_remove(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_instances),
    };
    struct vivo_err err = {0};

    if (vivo_dcm_global_init(&err) < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
