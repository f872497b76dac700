/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_catalog_column_property.c -- columns answer as the evaluator does.
 *
 * Random conditions over attributes of several VRs that vary among the members of each
 * series: few values and many, several at once, none, empty ones, spelt oddly, too
 * long. What the catalog counts must be what vivo_query_eval says of each whole object,
 * and each value of a facet must have as many members as the query for it. */
#include "catalog_fixture.h"

#include "vivofs/dcm.h"
#include "vivofs/query.h"

#define SERIES 60
#define MEMBERS 60 /* together more than what is kept of an attribute's values */
#define OBJECTS ((size_t)SERIES * MEMBERS)
#define ROUNDS 30
#define TEXT 400

static uint64_t random_state = 20261123;

static unsigned below(unsigned n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(random_state >> 33) % n;
}

#define MANY (1u << 30)
#define LONG                                                                           \
    "a text that is longer than what is given a number: sixty-four bytes and more"

/* Ascending; without a keyword: of the patient, study or series. */
static const struct kind {
    uint32_t tag;
    const char *vr, *keyword, *before, *after; /* a made-up number stands between */
    unsigned range;
    const char *odd[6];
} kinds[] = {
    {0x00080008, "CS", "ImageType", "ORIGINAL\\", "", 4, {"original", "AXIAL", "\\"}},
    {0x00080018, "UI", "SOPInstanceUID", "1.2.3.4.", "", 0, {0}},
    {0x00080022, "DA", "AcquisitionDate", "201901", "", 90, {"20190111 ", "2019", ""}},
    {0x00080032, "TM", "AcquisitionTime", "12", "", 60, {"12", "1200", "bad", ""}},
    {0x00080060, "CS", NULL, "", "", 0, {0}},
    {0x00100020, "LO", NULL, "", "", 0, {0}},
    {0x00101010, "AS", "PatientAge", "01", "Y", 3, {"012M", "000D", "1Y"}},
    {0x00180050,
     "DS",
     "SliceThickness",
     "",
     "",
     5,
     {"1.0", "+1", " 1 ", "1\\3", "1e0"}},
    {0x00181030, "LO", "ProtocolName", "Step ", "", 40, {"STEP 7", LONG, ""}},
    {0x0020000D, "UI", NULL, "", "", 0, {0}},
    {0x0020000E, "UI", NULL, "", "", 0, {0}},
    {0x00200012, "IS", "AcquisitionNumber", "", "", 4, {0}}, /* of a narrow zone */
    {0x00200013, "IS", "InstanceNumber", "", "", 60, {"0x10", "1e-5000", " ", "\t3"}},
    {0x00200052, "UI", "FrameOfReferenceUID", "1.2.8.", "", MANY, {"1.2.9\\1.2.8", ""}},
    {0x00201041, "DS", "SliceLocation", "-", ".5", MANY, {"7"}}, /* plain numbers */
    {0x00204000, "LT", "ImageComments", "Comment ", "", MANY, {"a\\b", LONG LONG LONG}},
    {0x00280010, "US", "Rows", "", "", 5, {0}},
    {0x00280030, "DS", "PixelSpacing", "0.", "\\0.5", 9, {"0.5", "0.5\\", "x\\0.5"}},
};

static struct vivo_buf objects[OBJECTS];

static struct vivo_attrs whole(size_t i)
{
    return (struct vivo_attrs){objects[i].data, objects[i].len};
}

/* ---- objects
 * ------------------------------------------------------------------------- */

static void make_value(const struct kind *k, char out[TEXT])
{
    unsigned odd = below(2 * VIVO_ARRAY_LEN(k->odd));

    if (odd < VIVO_ARRAY_LEN(k->odd) && k->odd[odd])
        snprintf(out, TEXT, "%s", k->odd[odd]);
    else
        snprintf(out, TEXT, "%s%02u%s", k->before, below(k->range), k->after);
}

static void put_text(struct vivo_buf *b, const struct kind *k, const char *text)
{
    uint8_t number[2];

    vivo_put_le16(number, (uint16_t)strtoul(text, NULL, 10));
    if (strcmp(k->vr, "US") == 0)
        assert_int_equal(vivo_attrs_put(b, k->tag, k->vr, number, sizeof number), 0);
    else
        add_attr(b, k->tag, k->vr, text);
}

/* What only the first members lack is a tombstone for the others, and so on. */
static void make_object(size_t i, struct vivo_buf *b)
{
    char text[TEXT];

    for (size_t k = 0; k < VIVO_ARRAY_LEN(kinds); k++) {
        size_t series = i / MEMBERS;
        if (kinds[k].tag == VIVO_TAG_SOPInstanceUID)
            snprintf(text, sizeof text, "%s%zu", kinds[k].before, i);
        else if (kinds[k].tag == VIVO_TAG_Modality)
            snprintf(text, sizeof text, "%s", series % 3 ? "CT" : "MR");
        else if (!kinds[k].keyword)
            snprintf(text, sizeof text, "%u.%zu", kinds[k].tag & 0xffff, series);
        else if (below(10) == 0 || series % 16 == k)
            continue;
        else
            make_value(&kinds[k], text);
        put_text(b, &kinds[k], text);
    }
}

/* As listed with whole headers, or by an archive that tells some attributes: then what
 * an object lacks is not known. */
static struct vivo_catalog *make_catalog(bool headers)
{
    struct vivo_catalog *c = catalog_at(NULL, false);
    struct vivo_listing *l = list_begin(c, VIVO_LEVEL_NONE, 0);
    struct vivo_err err = {0};

    for (size_t i = 0; i < OBJECTS; i++) {
        char locator[24];
        struct vivo_put put = {.level = VIVO_LEVEL_INSTANCE,
                               .locator = locator,
                               .size = 100 + (i / MEMBERS % 2 ? 0 : i),
                               .size_exact = true,
                               .headers = headers};
        vivo_row row;
        snprintf(locator, sizeof locator, "%zu", i);
        put.attrs = whole(i);
        if (vivo_listing_put(l, &put, &row, &err) < 0)
            fail_msg("%s", err.text);
    }
    list_end(l, true);
    return c;
}

/* ---- conditions
 * ---------------------------------------------------------------------- */

static const struct kind *any_kind(void)
{
    const struct kind *k;

    do
        k = &kinds[below(VIVO_ARRAY_LEN(kinds))];
    while (!k->keyword || k->range == 0);
    return k;
}

static void put_quoted(struct vivo_buf *b, const char *s)
{
    vivo_buf_puts(b, "'");
    for (; *s; s++)
        vivo_buf_printf(b, "%s%c", *s == '\'' || *s == '\\' ? "\\" : "", *s);
    vivo_buf_puts(b, "'");
}

/* As some object has it, or made up. */
static void ask_for(const struct kind *k, char out[TEXT])
{
    struct vivo_attrs a = whole(below((unsigned)OBJECTS));

    if (below(2) || !vivo_attrs_text(a, k->tag, out, TEXT))
        make_value(k, out);
}

static void put_leaf(struct vivo_buf *b)
{
    static const char *const ops[] = {"=", "!=", "<", "<=", ">", ">=", "="};
    const struct kind *k = any_kind();
    char x[TEXT], y[TEXT];
    unsigned form = below(10);

    ask_for(k, x);
    ask_for(k, y);
    vivo_buf_puts(b, below(5) ? "" : "not ");
    if (form == 0) {
        vivo_buf_printf(b, "%s %s", below(2) ? "has" : "missing", k->keyword);
    } else if (form == 1) {
        vivo_buf_printf(b, "%s in (", k->keyword);
        put_quoted(b, x);
        vivo_buf_puts(b, ",");
        put_quoted(b, y);
        vivo_buf_puts(b, ")");
    } else if (form == 2) {
        vivo_buf_printf(b, "%s between ", k->keyword);
        put_quoted(b, x);
        vivo_buf_puts(b, " and ");
        put_quoted(b, y);
    } else {
        vivo_buf_printf(b, "%s%s", k->keyword, below(8) ? "" : "[1]");
        vivo_buf_puts(b, ops[below(VIVO_ARRAY_LEN(ops))]);
        put_quoted(b, x);
    }
}

static struct vivo_query *make_query(void)
{
    struct vivo_query_error qe;
    struct vivo_query *q = NULL;
    struct vivo_buf b;

    vivo_buf_init(&b, 8 * TEXT);
    put_leaf(&b);
    for (unsigned n = below(3); n; n--) {
        vivo_buf_puts(&b, below(2) ? " and " : " or ");
        put_leaf(&b);
    }
    /* Values that do not fit their VR are refused, as they should be. */
    if (vivo_query_parse((const char *)b.data, NULL, &q, &qe) < 0)
        q = NULL;
    vivo_buf_free(&b);
    return q;
}

static int take_row(void *ctx, const struct vivo_entry *e)
{
    *(vivo_row *)ctx = e->row;
    return 0;
}

/* Of the archive, where series come in order of their rows, or of its one collection,
 * where they come in order of names. */
static struct vivo_counts select_count(struct vivo_catalog *c,
                                       const struct vivo_query *q)
{
    enum vivo_level level = below(2) ? VIVO_LEVEL_NONE : VIVO_LEVEL_COLLECTION;
    struct vivo_selection *s;
    struct vivo_counts n = {0};
    struct vivo_err err = {0};
    vivo_row row = 0;

    assert_int_equal(
        vivo_catalog_find(c, VIVO_LEVEL_NONE, 0, NULL, "all", take_row, &row, &err), 0);
    assert_int_equal(vivo_catalog_select(c, level, row, q, NULL, &s, &err), 0);
    assert_int_equal(vivo_catalog_count(c, level, row, s, &n, &err), 0);
    vivo_selection_unref(s);
    return n;
}

/* How many match. */
static uint64_t check_query(struct vivo_catalog *c, bool headers, struct vivo_query *q)
{
    struct vivo_counts n = select_count(c, q);
    uint64_t instances = 0, bytes = 0;

    for (size_t i = 0; i < OBJECTS; i++) {
        struct vivo_query_source src = {.attrs = whole(i), .headers = headers};
        if (vivo_query_eval(vivo_query_root(q), &src) != VIVO_TRUE)
            continue;
        instances++;
        bytes += 100 + (i / MEMBERS % 2 ? 0 : i);
    }
    if (n.instances != instances || n.bytes != bytes)
        fail_msg("%s: %llu, not %llu", vivo_query_text(q),
                 (unsigned long long)n.instances, (unsigned long long)instances);
    vivo_query_unref(q);
    return instances;
}

/* All that can be asked of an attribute that has 0, 1, 2 and 3, at both ends. */
static void check_zones(struct vivo_catalog *c, bool headers)
{
    static const char *const forms[] = {
        "AcquisitionNumber<%d",  "AcquisitionNumber<=%d",  "AcquisitionNumber>%d",
        "AcquisitionNumber>=%d", "AcquisitionNumber=%d..", "AcquisitionNumber!=%d"};

    for (size_t i = 0; i < VIVO_ARRAY_LEN(forms); i++)
        for (int v = 0; v <= 3; v += 3) {
            char text[64];
            struct vivo_query_error qe;
            struct vivo_query *q;
            const char *at = strchr(forms[i], '%');
            snprintf(text, sizeof text, "%.*s%d%s", (int)(at - forms[i]), forms[i], v,
                     at + 2);
            assert_int_equal(vivo_query_parse(text, NULL, &q, &qe), 0);
            check_query(c, headers, q);
        }
}

static void check_counts(struct vivo_catalog *c, bool headers, unsigned rounds)
{
    unsigned asked = 0, some = 0;

    while (asked < rounds) {
        struct vivo_query *q = make_query();
        uint64_t n;
        if (!q)
            continue;
        n = check_query(c, headers, q);
        some += n > 0 && n < OBJECTS;
        asked++;
    }
    assert_in_range(some, rounds / 2, rounds);
    check_zones(c, headers);
}

static void test_counts_are_those_of_the_evaluator(void **state)
{
    check_counts(*state, true, ROUNDS);
}

static void test_what_is_not_known_is_not_counted(void **state)
{
    struct vivo_catalog *c = make_catalog(false);

    (void)state;
    check_counts(c, false, ROUNDS / 3); /* slower */
    vivo_catalog_close(c);
}

/* ---- facets
 * -------------------------------------------------------------------------- */

struct facet {
    const struct kind *kind;
    struct vivo_catalog *c;
    unsigned values;
};

static int check_value(void *ctx, const char *value, uint64_t instances)
{
    struct facet *f = ctx;
    struct vivo_query_error qe;
    struct vivo_query *q = NULL;
    struct vivo_buf b;

    if (++f->values > 20 && f->kind->range == MANY)
        return 0; /* enough */
    vivo_buf_init(&b, 2 * TEXT);
    vivo_buf_printf(&b, value ? "%s=" : "missing %s", f->kind->keyword);
    if (value)
        put_quoted(&b, value);
    if (vivo_query_parse((const char *)b.data, NULL, &q, &qe) == 0 &&
        select_count(f->c, q).instances != instances)
        fail_msg("%s: %llu of the facet", vivo_query_text(q),
                 (unsigned long long)instances);
    vivo_query_unref(q);
    vivo_buf_free(&b);
    return 0;
}

static void test_facets_have_what_their_queries_have(void **state)
{
    struct vivo_err err = {0};

    for (size_t k = 0; k < VIVO_ARRAY_LEN(kinds); k++) {
        struct facet f = {.kind = &kinds[k], .c = *state};
        /* A query for a date or time is for all that is within it. */
        if (!kinds[k].keyword || kinds[k].range == 0 || strstr("DA TM AS", kinds[k].vr))
            continue;
        assert_int_equal(vivo_catalog_values(*state, VIVO_LEVEL_NONE, 0, NULL,
                                             kinds[k].tag, check_value, &f, &err),
                         0);
        assert_true(f.values >= 4);
    }
}

int main(void)
{
    struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts_are_those_of_the_evaluator),
        cmocka_unit_test(test_what_is_not_known_is_not_counted),
        cmocka_unit_test(test_facets_have_what_their_queries_have),
    };
    struct vivo_err err = {0};
    struct vivo_catalog *c;
    int rc;

    if (vivo_dcm_global_init(&err) < 0)
        return 1;
    for (size_t i = 0; i < OBJECTS; i++) {
        vivo_buf_init(&objects[i], VIVO_ATTRS_MAX);
        make_object(i, &objects[i]);
    }
    c = make_catalog(true);
    for (size_t i = 0; i < VIVO_ARRAY_LEN(tests); i++)
        tests[i].initial_state = c;
    rc = cmocka_run_group_tests(tests, NULL, NULL);
    vivo_catalog_close(c);
    for (size_t i = 0; i < OBJECTS; i++)
        vivo_buf_free(&objects[i]);
    return rc;
}
