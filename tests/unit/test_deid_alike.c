/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_deid_alike.c -- what is described from a model of another object is
 * what the object's own header pass shows: attributes, size, verdict. */
#include "deid_run.h"

#include "deid/alike.h"

#include <pthread.h>

#define OBJECTS 250

static uint32_t seed = 20261123;

static uint32_t next(uint32_t below)
{
    seed = seed * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)(seed >> 8) * below) >> 24);
}

struct element {
    uint32_t tag;
    const char *vr, *value;
};

/* In the order of tags; `changes`: differs from image to image. */
static const struct slot {
    struct element e;
    bool changes;
} slots[] = {
    {{0x00080005, "CS", "ISO_IR 100"}, false},
    {{0x00080008, "CS", "ORIGINAL\\PRIMARY\\AXIAL"}, false},
    {{0x00080012, "DA", "20110405"}, true},
    {{0x00080014, "UI", "1.2.826.0.1.99.77"}, false},
    {{0x00080016, "UI", MAKE_CT}, false},
    {{0x00080018, "UI", "1.2.826.0.1.99.1"}, true},
    {{0x00080020, "DA", "20110405"}, false},
    {{0x00080023, "DA", "20110405"}, true},
    {{0x00080033, "TM", "101112.5"}, true},
    {{0x00080060, "CS", "CT"}, false},
    {{0x00080080, "LO", "HOSPITALTOKEN"}, false},
    {{0x00081030, "LO", "NAMETOKEN head"}, false},
    {{0x00091010, "LO", "GEMS_TOKEN"}, true},
    {{0x00100010, "PN", "NAMETOKEN^JANE"}, false},
    {{0x00100020, "LO", "IDTOKEN77"}, false},
    {{0x00100021, "LO", "ISSUERTOKEN"}, false},
    {{0x00100030, "DA", "19510405"}, false},
    {{0x00101010, "AS", "059Y"}, false},
    {{0x00180050, "DS", "1.25"}, true},
    {{0x00181151, "IS", "100"}, true},
    {{0x0020000D, "UI", "1.2.826.0.1.99.2"}, false},
    {{0x0020000E, "UI", "1.2.826.0.1.99.3"}, true},
    {{0x00200012, "IS", "1"}, true},
    {{0x00200013, "IS", "7"}, true},
    {{0x00200032, "DS", "-83.9063\\-91.2000\\6.6406"}, true},
    {{0x00201041, "DS", "6.6406"}, true},
    {{0x00204000, "LT", "COMMENTTOKEN"}, true},
    {{0x00280004, "CS", "MONOCHROME2"}, false},
    {{0x00280301, "CS", "NO"}, false},
    {{0x00281050, "DS", "40"}, true},
};
#define SLOTS VIVO_ARRAY_LEN(slots)

/* What an element holds in one object. */
struct value {
    char text[80];
    bool gone, twice;
};

struct object {
    struct value v[SLOTS];
    char meta_instance[80];
    uint8_t pixels[64];
    unsigned n_pixels;
    uint16_t rows, largest;
    bool nested, trailing;
};

static const char *const values[] = {
    "",
    " ",
    "1",
    "12345",
    "-0.5\\2",
    "x",
    "1.2.3",
    "1.2.840.10008.1.2",
    "20200229",
    "20201399",
    "235959",
    "1\\\\2",
    "1.2.3\\1.4.5",
    "VALUETOKEN",
    "\xC4\xD6",
    "1.2.826.0.1.99.123456789.98765432",
    "12.5e3",
    "YES",
    "DERIVED\\SECONDARY",
    "0000000000000000000000000000000000000000000000000000000000000000000001",
};

static void plain(struct object *o)
{
    memset(o, 0, sizeof *o);
    for (size_t i = 0; i < SLOTS; i++)
        snprintf(o->v[i].text, sizeof o->v[i].text, "%s", slots[i].e.value);
    snprintf(o->meta_instance, sizeof o->meta_instance, "1.2.826.0.1.99.1");
    o->n_pixels = sizeof o->pixels;
    o->rows = 4;
    o->nested = true;
}

/* Another image of the same series. */
static void vary(struct object *o)
{
    for (size_t i = 0; i < SLOTS; i++)
        if (slots[i].changes && !next(3))
            snprintf(o->v[i].text, sizeof o->v[i].text, "%s",
                     values[next(VIVO_ARRAY_LEN(values))]);
    size_t uid = 5;
    assert_int_equal(slots[uid].e.tag, VIVO_TAG_SOPInstanceUID);
    if (next(8))
        snprintf(o->v[uid].text, sizeof o->v[uid].text, "1.2.826.0.1.99.%u",
                 next(1u << next(24)));
    if (next(8))
        snprintf(o->meta_instance, sizeof o->meta_instance, "%.70s", o->v[uid].text);
    for (size_t i = 0; i < sizeof o->pixels; i++)
        o->pixels[i] = (uint8_t)next(256);
    o->largest = (uint16_t)next(65536);
}

/* What images of a series do not differ in. */
static void spoil(struct object *o)
{
    size_t i = next(SLOTS);
    switch (next(8)) {
    case 0:
        o->v[i].gone = true;
        break;
    case 1:
        o->v[i].twice = true;
        break;
    case 2:
        o->rows = (uint16_t)next(5);
        break;
    case 3:
        o->n_pixels = next(sizeof o->pixels);
        break;
    case 4:
        o->nested = false;
        break;
    case 5:
        o->trailing = true;
        break;
    default:
        snprintf(o->v[i].text, sizeof o->v[i].text, "%s",
                 values[next(VIVO_ARRAY_LEN(values))]);
        break;
    }
}

static void make_reference(struct make *m)
{
    make_sequence(m, 0x00081140, false);
    make_item(m, true);
    make_text(m, 0x00081150, "UI", MAKE_CT);
    make_text(m, 0x00081155, "UI", "1.2.826.0.1.99.4");
    make_item_end(m);
    make_sequence_end(m);
}

static void make_image(struct make *m, const struct object *o)
{
    make_us(m, 0x00280010, o->rows);
    make_us(m, 0x00280011, 8);
    make_us(m, 0x00280100, 16);
    make_us(m, 0x00280107, o->largest);
}

static void make_object(struct make *m, const struct object *o, const char *syntax)
{
    make_file(m, syntax, MAKE_CT, o->meta_instance);
    for (size_t i = 0; i < SLOTS; i++) {
        const struct element *e = &slots[i].e;
        for (int times = o->v[i].gone ? 0 : 1 + o->v[i].twice; times; times--)
            make_text(m, e->tag, e->vr, o->v[i].text);
        if (e->tag == 0x00081030 && o->nested)
            make_reference(m);
        if (e->tag == 0x00280004)
            make_image(m, o);
    }
    make_value(m, 0x7FE00010, "OW", o->pixels, o->n_pixels);
    if (o->trailing)
        make_text(m, 0xFFFCFFFC, "OB", "PADDINGTOKEN");
}

struct tally {
    unsigned all, alike;
};

/* Describes and cleans it. */
static void check(const struct vivo_deid *d, const struct make *m, struct tally *t)
{
    struct run whole;
    struct vivo_deid_report report = {0};
    struct vivo_err err = {0};
    struct vivo_buf attrs;
    struct vivo_identity id;
    vivo_buf_init(&attrs, VIVO_ATTRS_MAX);
    size_t lead = VIVO_MIN(m->n, (size_t)VIVO_DEID_LEAD);
    t->all++;
    t->alike += vivo_alike_describe(d, m->b, lead, m->n, &attrs, &report);
    vivo_buf_clear(&attrs);
    int fd = test_fd(m->b, m->n);
    assert_int_equal(vivo_identity_of(fd, &id, NULL), 0);
    int rc = vivo_deid_describe(d, fd, &id, m->n, &attrs, &report, &err);
    close(fd);
    run_bytes(&whole, d, m->b, m->n);
    assert_int_equal(rc, whole.rc);
    assert_int_equal(report.refusal, whole.report.refusal);
    assert_int_equal(report.at_risk, whole.report.at_risk);
    assert_int_equal(report.foreign, whole.report.foreign);
    assert_int_equal(err.errnum, whole.err.errnum);
    if (!rc) {
        assert_int_equal(report.size, whole.report.size);
        assert_int_equal(attrs.len, whole.attrs.len);
        assert_memory_equal(attrs.data, whole.attrs.data, attrs.len);
    } else {
        assert_int_equal(attrs.len, 0);
    }
    vivo_buf_free(&attrs);
    run_free(&whole);
}

static const char *const profiles[] = {
    "none",
    "basic",
    "strict",
    "research",
    "limited",
    "basic+retain-uids",
    "basic+retain-full-dates",
    "basic+retain-modified-dates+retain-device",
    "basic+retain-institution+clean-graphics",
    "basic+clean-pixel-data",
};

/* Objects of a few series among each other, some of them spoilt. */
static void test_random_objects_are_described_as_they_are_shown(void **state)
{
    static const char *const syntaxes[] = {MAKE_ELE, MAKE_ILE, MAKE_EBE};
    struct vivo_key *k = test_key('k');
    (void)state;
    for (size_t p = 0; p < VIVO_ARRAY_LEN(profiles); p++) {
        struct vivo_deid *d = test_profile(profiles[p], VIVO_BURNED_IN_REFUSE, k);
        struct tally t = {0};
        for (unsigned i = 0; i < OBJECTS; i++) {
            struct object o;
            struct make m;
            uint32_t kind = next(8);
            plain(&o);
            vary(&o);
            for (uint32_t n = next(4) ? 0 : 1 + next(2); n; n--)
                spoil(&o);
            make_object(&m, &o, syntaxes[kind > 5 ? kind - 5 : 0]);
            if (!next(40))
                m.n -= next((uint32_t)m.n);
            check(d, &m, &t);
            free(m.b);
        }
        bool moves = d->options & VIVO_DEID_RETAIN_MODIFIED_DATES;
        bool whole = !p || d->options & VIVO_DEID_CLEAN_DESCRIPTORS || d->pixels;
        if (whole ? t.alike > 0 : t.alike < (moves ? 1 : OBJECTS / 4))
            fail_msg("%s: %u of %u alike", profiles[p], t.alike, t.all);
        vivo_deid_free(d);
    }
    vivo_key_free(k);
}

/* The model is an object as `plain` makes it. */
static unsigned alike_when(const struct vivo_deid *d, void (*change)(struct object *))
{
    struct tally t = {0};
    struct object o;
    struct make m;
    plain(&o);
    make_object(&m, &o, MAKE_ELE);
    check(d, &m, &t);
    check(d, &m, &t);
    assert_true(t.alike > 0);
    free(m.b);
    t.alike = 0;
    change(&o);
    make_object(&m, &o, MAKE_ELE);
    check(d, &m, &t);
    free(m.b);
    return t.alike;
}

static void set(struct object *o, uint32_t tag, const char *value)
{
    for (size_t i = 0; i < SLOTS; i++)
        if (slots[i].e.tag == tag)
            snprintf(o->v[i].text, sizeof o->v[i].text, "%s", value);
}

static void next_image(struct object *o)
{
    set(o, VIVO_TAG_SOPInstanceUID, "1.2.826.0.1.99.1234567");
    snprintf(o->meta_instance, sizeof o->meta_instance, "1.2.826.0.1.99.1234567");
    set(o, 0x00200013, "1234");
    set(o, 0x00200032, "1\\2\\3");
    set(o, 0x00091010, "ANOTHER BLOCK");
    o->pixels[3] = 77;
}

static void other_patient(struct object *o)
{
    set(o, VIVO_TAG_PatientID, "IDTOKEN78");
}

static void other_issuer(struct object *o)
{
    set(o, 0x00100021, "ISSUER");
}

static void other_study(struct object *o)
{
    set(o, VIVO_TAG_StudyInstanceUID, "1.2.826.0.1.99.22");
}

static void burned_in(struct object *o)
{
    set(o, VIVO_TAG_BurnedInAnnotation, "YES");
}

static void other_charset(struct object *o)
{
    set(o, VIVO_TAG_SpecificCharacterSet, "ISO_IR 101");
}

static void fewer_pixels(struct object *o)
{
    o->n_pixels = 62;
}

static void no_instance(struct object *o)
{
    set(o, VIVO_TAG_SOPInstanceUID, " ");
}

static void other_rows(struct object *o)
{
    o->rows = 3;
}

static void test_only_what_stands_alone_may_differ(void **state)
{
    static void (*const all[])(struct object *) = {
        other_patient, other_issuer, other_study, burned_in,
        other_charset, fewer_pixels, no_instance, other_rows,
    };
    struct vivo_key *k = test_key('a');
    struct vivo_deid *d = test_profile("basic", VIVO_BURNED_IN_REFUSE, k);
    (void)state;
    assert_int_equal(alike_when(d, next_image), 1);
    for (size_t i = 0; i < VIVO_ARRAY_LEN(all); i++)
        if (alike_when(d, all[i]))
            fail_msg("change %zu makes no difference", i);
    vivo_deid_free(d);
    vivo_key_free(k);
}

/* A model of one key, or one profile, is none for another. */
static void test_a_model_serves_its_own_profile_alone(void **state)
{
    static const char *const words[] = {"basic", "basic", "basic+retain-uids"};
    struct object o;
    struct make m;
    (void)state;
    plain(&o);
    make_object(&m, &o, MAKE_ELE);
    for (size_t i = 0; i < VIVO_ARRAY_LEN(words); i++) {
        struct vivo_key *k = test_key((char)('p' + i % 2));
        struct vivo_deid *d = test_profile(words[i], VIVO_BURNED_IN_REFUSE, k);
        struct tally t = {0};
        check(d, &m, &t);
        assert_int_equal(t.alike, 0);
        check(d, &m, &t);
        assert_int_equal(t.alike, 1);
        vivo_deid_free(d);
        vivo_key_free(k);
    }
    free(m.b);
}

static void test_attributes_that_others_hang_on_do_not_stand_alone(void **state)
{
    static const uint32_t bound[] = {
        0x00020002, 0x00020010, 0x00080005, 0x00080008, 0x00080016, 0x00080060,
        0x00081140, 0x00100010, 0x00100020, 0x00100021, 0x0020000D, 0x00280002,
        0x00280004, 0x00280006, 0x00280008, 0x00280010, 0x00280011, 0x00280100,
        0x00280101, 0x00280102, 0x00280103, 0x00280301, 0x00400555, 0x00480010,
        0x0040A730, 0x60000102, 0x60003000, 0x7FE00010, 0x00120062, 0x00120064,
    };
    struct vivo_key *k = test_key('k');
    (void)state;
    for (size_t p = 1; p < VIVO_ARRAY_LEN(profiles); p++) {
        struct vivo_deid *d = test_profile(profiles[p], VIVO_BURNED_IN_REFUSE, k);
        for (size_t i = 0; i < VIVO_ARRAY_LEN(bound); i++)
            if (vivo_alike_stands_alone(d, bound[i]))
                fail_msg("%s: (%08x) stands alone", profiles[p], (unsigned)bound[i]);
        vivo_deid_free(d);
    }
    vivo_key_free(k);
}

/* Each thread has its own models, and they go with it. */
static void *in_thread(void *arg)
{
    struct tally t = {0};
    struct object o;
    struct make m;
    plain(&o);
    make_object(&m, &o, MAKE_ELE);
    for (int i = 0; i < 3; i++)
        check(arg, &m, &t);
    free(m.b);
    return t.alike == 2 ? NULL : arg;
}

static void test_threads_have_models_of_their_own(void **state)
{
    struct vivo_key *k = test_key('t');
    struct vivo_deid *d = test_profile("basic", VIVO_BURNED_IN_REFUSE, k);
    pthread_t threads[3];
    (void)state;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, in_thread, d), 0);
    for (size_t i = 0; i < VIVO_ARRAY_LEN(threads); i++) {
        void *wrong = NULL;
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
    vivo_deid_free(d);
    vivo_key_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_objects_are_described_as_they_are_shown),
        cmocka_unit_test(test_only_what_stands_alone_may_differ),
        cmocka_unit_test(test_a_model_serves_its_own_profile_alone),
        cmocka_unit_test(test_attributes_that_others_hang_on_do_not_stand_alone),
        cmocka_unit_test(test_threads_have_models_of_their_own),
    };
    return cmocka_run_group_tests(tests, deid_setup, NULL);
}
