/* SPDX-License-Identifier: Apache-2.0 */
/* tests/lib/query_random.h -- random objects in attrs form, and random queries as
 * trees of their own with random spellings. For one test program. */
#ifndef VIVOFS_TESTS_QUERY_RANDOM_H
#define VIVOFS_TESTS_QUERY_RANDOM_H

#include "query/internal.h"
#include "query_make.h"

#include <stdio.h>
#include <stdlib.h>

#define SEED 20261122u /* another: VIVO_TEST_SEED in the environment */

static uint32_t seed_state;

static uint32_t below(uint32_t n)
{
    seed_state ^= seed_state << 13;
    seed_state ^= seed_state >> 17;
    seed_state ^= seed_state << 5;
    return (seed_state >> 3) % n;
}

static void seed(void)
{
    const char *given = getenv("VIVO_TEST_SEED");
    seed_state = given ? (uint32_t)strtoul(given, NULL, 10) : SEED;
    seed_state |= !seed_state;
    print_message("seed %u\n", seed_state);
}

#define PICK(list) ((list)[below((uint32_t)VIVO_ARRAY_LEN(list))])

/* ---- attributes and values ------------------------------------------------------- */

static const char *const texts[] = {
    "CT",
    "ct",
    "MR",
    "GE MEDICAL",
    " GE ",
    "M\xC3\xBCller",
    "M\xC3\x9CLLER",
    "stra\xC3\x9F"
    "e",
    "\xE2\x84\xAA"
    "elvin",
    "kelvin",
    "a*b",
    "a?b",
    "",
    "lung CT",
    "CT\\MR",
    "\\MR",
    "x\\\\y",
    "Yamada^Tarou=\xE5\xB1\xB1^\xE5\xA4\xAA",
    "\xE5\xB1\xB1^\xE5\xA4\xAA",
    "a=b",
    "=",
    "10",
    "1.5",
    "01.50",
    "T1 (ax)",
};
static const char *const numbers[] = {"1.5",       "1.50", " 2 ",  "-3", "1e1",
                                      "10",        "0.1",  "abc",  "",   "1.5\\2",
                                      "2\\1.5\\x", "+0",   "1.5 x"};
static const char *const dates[] = {
    "20190305", "20190306",   "20200229", "2019", "201903",
    "20190230", "2019-03-05", "",         "x",    "20181231\\20190101"};
static const char *const times[] = {
    "10",    "1030",          "103000", "103060", "103000.5",
    "10:30", "103000.123456", "25",     "",       "095959.999999"};
static const char *const moments[] = {"2019",
                                      "20190305",
                                      "20190305103000",
                                      "20190305103000.5+0100",
                                      "20190305093000-0500",
                                      "201903",
                                      "2019-0500",
                                      "20190305T1030",
                                      "",
                                      "bad"};
static const char *const ages[] = {"060Y", "059Y", "720M", "024M", "002Y",
                                   "010W", "070D", "60",   "",     "xxxY"};
static const char *const orientations[] = {"1\\0\\0\\0\\1\\0",
                                           "1\\0\\0\\0\\0\\-1",
                                           "0\\1\\0\\0\\0\\-1 ",
                                           "1\\0\\0\\0\\0.7071\\0.7071",
                                           "1\\0\\0\\0\\0.9\\0.43",
                                           "1\\0\\0",
                                           ""};
static const char *const uids[] = {"1.2.3", "1.2.4", "1.2.840.10008.5.1.4.1.1.2", ""};

struct kind {
    const char *const *values;
    size_t n;
};
#define KIND(list)                                                                     \
    {                                                                                  \
        list, VIVO_ARRAY_LEN(list)                                                     \
    }
enum { TEXT, NUMBER, DATE, TIME, MOMENT, AGE, UID, ORIENTATION };
static const struct kind kinds[] = {KIND(texts), KIND(numbers),     KIND(dates),
                                    KIND(times), KIND(moments),     KIND(ages),
                                    KIND(uids),  KIND(orientations)};

struct attribute {
    uint32_t tag;
    const char *vr, *keyword;
    int kind;
};
/* Ascending by tag. */
static const struct attribute attributes[] = {
    {0x00080016, "UI", "SOPClassUID", UID},
    {0x00080020, "DA", "StudyDate", DATE},
    {0x0008002A, "DT", "AcquisitionDateTime", MOMENT},
    {0x00080030, "TM", "StudyTime", TIME},
    {0x00080060, "CS", "Modality", TEXT},
    {0x00080070, "LO", "Manufacturer", TEXT},
    {0x0008103E, "LO", "SeriesDescription", TEXT},
    {0x00081155, "UI", "ReferencedSOPInstanceUID", UID},
    {0x00090010, "LO", "(0009,0010)", TEXT},
    {0x00091001, "LO", "(0009,\"ACME\",01)", TEXT},
    {0x00091002, "DS", "(0009,\"ACME\",02)", NUMBER},
    {0x00100010, "PN", "PatientName", TEXT},
    {0x00101010, "AS", "PatientAge", AGE},
    {0x00104000, "LT", "PatientComments", TEXT},
    {0x00109431, "FL", "ExaminedBodyThickness", NUMBER},
    {0x00180050, "DS", "SliceThickness", NUMBER},
    {0x00180081, "DS", "EchoTime", NUMBER},
    {0x00200013, "IS", "InstanceNumber", NUMBER},
    {0x00200037, "DS", "ImageOrientationPatient", ORIENTATION},
    {0x00280008, "IS", "NumberOfFrames", NUMBER},
    {0x00280010, "US", "Rows", NUMBER},
    {0x00280030, "DS", "PixelSpacing", NUMBER},
};

/* Of which the objects hold nothing. */
static const struct attribute virtuals[] = {
    {0, "IS", "InstanceCount", NUMBER},
    {0, "IS", "FrameCount", NUMBER},
    {0, "IS", "SeriesBytes", NUMBER},
    {0, "UT", "Collection", TEXT},
    {0, "UT", "License", TEXT},
    {0, "CS", "Plane", TEXT},
    {0, "IS", "StudyRank", NUMBER},
    {0, "IS", "StudyDay", NUMBER},
    {0, "UI", "RefersTo", UID},
    {0, "CS", "ModalitiesInStudy", TEXT},
    {0, "IS", "NumberOfPatientRelatedStudies", NUMBER},
    {0, "IS", "NumberOfStudyRelatedSeries", NUMBER},
    {0, "IS", "NumberOfStudyRelatedInstances", NUMBER},
    {0, "IS", "NumberOfSeriesRelatedInstances", NUMBER},
};

static void put_random(struct vivo_buf *b, const struct attribute *at)
{
    const char *text = kinds[at->kind].values[below((uint32_t)kinds[at->kind].n)];
    float singles[2] = {below(2) ? 0.1f : 1.5f, 2.0f};
    uint16_t shorts[2] = {(uint16_t)(below(3) + 1), 10};
    if (at->tag == 0x00090010)
        make_text(b, at->tag, "LO", below(3) ? "ACME " : "OTHER");
    else if (!strcmp(at->vr, "FL"))
        assert_int_equal(vivo_attrs_put(b, at->tag, "FL", singles, 4 + 4 * below(2)),
                         0);
    else if (!strcmp(at->vr, "US"))
        assert_int_equal(vivo_attrs_put(b, at->tag, "US", shorts, 2 + 2 * below(2)), 0);
    else
        make_text(b, at->tag, at->vr, text);
}

/* ---- objects --------------------------------------------------------------------- */

/* Items with a few of the attributes between two tags. */
static void put_items(struct vivo_buf *out, uint32_t sequence, uint32_t first,
                      uint32_t last)
{
    struct vivo_buf items;
    struct vivo_buf in;
    vivo_buf_init(&items, MAKE_MAX);
    vivo_buf_init(&in, MAKE_MAX);
    for (uint32_t n = below(3); n > 0; n--) {
        vivo_buf_clear(&in);
        for (size_t i = 0; i < VIVO_ARRAY_LEN(attributes); i++)
            if (attributes[i].tag >= first && attributes[i].tag <= last && !below(3))
                put_random(&in, &attributes[i]);
        if (below(2) && last == 0x00180081) {
            double effective = below(2) ? 1.5 : 10;
            assert_int_equal(vivo_attrs_put(&in, 0x00189082, "FD", &effective, 8), 0);
        }
        make_item(&items, &in);
    }
    make_sequence(out, sequence, &items);
    vivo_buf_free(&items);
    vivo_buf_free(&in);
}

static void put_groups(struct vivo_buf *out, uint32_t tag)
{
    struct vivo_buf items;
    struct vivo_buf in;
    vivo_buf_init(&items, MAKE_MAX);
    vivo_buf_init(&in, MAKE_MAX);
    for (uint32_t n = below(3); n > 0; n--) {
        vivo_buf_clear(&in);
        if (below(2))
            put_items(&in, 0x00289110, 0x00180050, 0x00280030);
        if (below(2))
            put_items(&in, 0x00289114, 0x00180081, 0x00180081);
        make_item(&items, &in);
    }
    make_sequence(out, tag, &items);
    vivo_buf_free(&items);
    vivo_buf_free(&in);
}

/* Copies what stands there already, or makes it anew: members of a series agree on
 * most. `like`: the first member, or NULL. */
static void make_object(struct vivo_buf *b, const struct vivo_buf *like)
{
    struct vivo_attr a;
    vivo_buf_clear(b);
    for (size_t i = 0; i <= VIVO_ARRAY_LEN(attributes) + 2; i++) {
        bool plain = i < VIVO_ARRAY_LEN(attributes);
        uint32_t tag = plain ? attributes[i].tag : 0;
        if (i == VIVO_ARRAY_LEN(attributes))
            tag = 0x00400275;
        else if (!plain)
            tag = i == VIVO_ARRAY_LEN(attributes) + 1 ? 0x52009229 : 0x52009230;
        if (like && below(6)) {
            if (vivo_attrs_find(made(like), tag, &a))
                assert_int_equal(vivo_attrs_put(b, tag, a.vr, a.value, a.len), 0);
        } else if (!below(3)) {
            continue;
        } else if (plain) {
            put_random(b, &attributes[i]);
        } else if (tag == 0x00400275) {
            put_items(b, tag, 0, 0xFFFFFFFF);
        } else {
            put_groups(b, tag);
        }
    }
}

/* ---- queries ----------------------------------------------------------------------
 */

/* A query as a tree; text of it is made by spell(). */
struct tree {
    char op; /* & | ! p s r (levels) c (condition) */
    struct tree *a, *b;
    const struct attribute *at;
    char path[160];
    char condition[16]; /* =  != < <= > >= ~ like in .. has missing any */
    char value[3][64];
    bool has_low, has_high;
};

static struct tree pool[64];
static size_t pool_used;

static void make_value(const struct attribute *at, char out[64], bool plain)
{
    static const char *const wild[] = {"*", "C?", "*e*", "GE*", "M?LLER", "kel*"};
    static const char *const dates_asked[] = {"2019",     "2019-03", "2019-03-05",
                                              "20190306", "2020",    "201902"};
    static const char *const times_asked[] = {"10",     "10:30",      "1030",
                                              "103000", "10:30:00.5", "11"};
    static const char *const moments_asked[] = {"2019",
                                                "2019-03",
                                                "2019-03-05T10:30",
                                                "20190305",
                                                "2019-03-05T10:30:00.5+0100",
                                                "20190305093000+0000"};
    static const char *const ages_asked[] = {"60", "60Y", "720M", "2Y", "70d", "1.5y"};
    static const char *const uids_asked[] = {"1.2.3", "CTImageStorage", "1.2.9"};
    static const char *const numbers_asked[] = {"1.5", "1.50", "2",   "0.1",
                                                "10",  "-3",   "1e1", "0"};
    static const char *const planes[] = {"axial", "Coronal", "oblique", "*al",
                                         "sagittal"};
    static const char *const counts[] = {"1", "2", "3", "4", "0", "6", "8"};
    const char *s = "";
    bool rank = !strcmp(at->keyword, "StudyRank");
    if (!at->tag && at->kind == NUMBER) {
        snprintf(out, 64, "%s%s", rank && !plain && !below(2) ? "-" : "", PICK(counts));
        return;
    }
    if (!strcmp(at->keyword, "Plane")) {
        snprintf(out, 64, "%s", PICK(planes));
        return;
    }
    switch (at->kind) {
    case TEXT:
        s = !plain && !below(3) ? PICK(wild) : PICK(texts);
        break;
    case NUMBER:
    case ORIENTATION:
        s = PICK(numbers_asked);
        break;
    case DATE:
        s = PICK(dates_asked);
        break;
    case TIME:
        s = PICK(times_asked);
        break;
    case MOMENT:
        s = PICK(moments_asked);
        break;
    case AGE:
        s = PICK(ages_asked);
        break;
    default:
        s = PICK(uids_asked);
        break;
    }
    snprintf(out, 64, "%s", s);
}

static void make_path(struct tree *t)
{
    uint32_t way = below(8);
    const char *before = way == 0   ? "*."
                         : way == 1 ? "RequestAttributesSequence."
                         : way == 2 ? "(0040,0275)[1]."
                                    : "";
    char index[8] = "";
    if (!below(6))
        snprintf(index, sizeof index, "[%u]", below(3) + 1);
    snprintf(t->path, sizeof t->path, "%s%s%s", before, t->at->keyword, index);
}

static void make_condition(struct tree *t)
{
    static const char *const conditions[] = {"=",   "=",       "!=",  "<",   "<=",
                                             ">",   ">=",      "~",   "in",  "..",
                                             "has", "missing", "any", "like"};
    static const char *const patterns[] = {
        "^C", "1", "(ge|m.l)", "\\.5$", "[0-9]{2,4}", "M\xC3\x9Cll", "^\xE5\xB1\xB1"};
    static const char *const likes[] = {"1*", "*5", "10", "2019*", "0??Y", "x"};
    t->op = 'c';
    t->at = below(5) ? &PICK(attributes) : &PICK(virtuals);
    if (t->at->tag)
        make_path(t);
    else
        snprintf(t->path, sizeof t->path, "%s", t->at->keyword);
    snprintf(t->condition, sizeof t->condition, "%s", PICK(conditions));
    bool equals = !strcmp(t->condition, "=") || !strcmp(t->condition, "!=");
    for (size_t i = 0; i < 3; i++)
        make_value(t->at, t->value[i],
                   t->at->tag ? !strcmp(t->condition, "..") : !equals);
    if (!strcmp(t->condition, "~"))
        snprintf(t->value[0], sizeof t->value[0], "%s", PICK(patterns));
    if (!strcmp(t->condition, "any"))
        snprintf(t->value[0], sizeof t->value[0], "%s", PICK(texts));
    if (!strcmp(t->condition, "like"))
        snprintf(t->value[0], sizeof t->value[0], "%s",
                 t->at->kind == UID ? "1.2.?" : PICK(likes));
    t->has_low = below(3);
    t->has_high = !t->has_low || below(2);
}

static inline struct tree *make_tree(unsigned depth)
{
    static const char ops[] = "&&||!psrc";
    struct tree *t = &pool[pool_used++];
    memset(t, 0, sizeof *t);
    t->op = depth ? ops[below(sizeof ops - 1)] : 'c';
    if (t->op == 'c') {
        make_condition(t);
        return t;
    }
    t->a = make_tree(depth - 1);
    if (t->op == '&' || t->op == '|')
        t->b = make_tree(depth - 1);
    return t;
}

/* ---- spelling
 * ------------------------------------------------------------------------ */

static void add(struct vivo_buf *b, const char *s)
{
    assert_int_equal(vivo_buf_puts(b, s), 0);
}

static void space(struct vivo_buf *b)
{
    static const char *const spaces[] = {"", "", " ", "  ", "\t"};
    add(b, PICK(spaces));
}

/* A word in letters of either case, spaces around it. */
static void word(struct vivo_buf *b, const char *s)
{
    add(b, " ");
    for (bool upper = below(2); *s; s++) {
        char c[2] = {upper && *s >= 'a' && *s <= 'z' ? (char)(*s - 32) : *s, 0};
        add(b, c);
    }
    add(b, " ");
}

static void value(struct vivo_buf *b, const char *s, bool regex)
{
    bool bare = *s && below(2) && s[0] != '.' && !strstr(s, "..");
    for (const char *c = s; *c; c++)
        bare &= vivo_query_is_word(*c);
    if (bare && !vivo_query_is_keyword(s, strlen(s))) {
        add(b, s);
        return;
    }
    const char *quote = below(2) ? "'" : "\"";
    add(b, quote);
    for (; *s; s++) {
        char c[2] = {*s, 0};
        if (*s == *quote || (*s == '\\' && (!regex || below(2))))
            add(b, "\\");
        add(b, c);
    }
    add(b, quote);
}

static void spell_condition(struct vivo_buf *b, const struct tree *t)
{
    static const struct {
        const char *op, *others[3];
    } ops[] = {
        {"=", {"=", "==", " eq "}},   {"!=", {"!=", "<>", " NE "}},
        {"<", {"<", " lt ", " Lt "}}, {"<=", {"<=", " le ", " LE "}},
        {">", {">", " gt ", " GT "}}, {">=", {">=", " ge ", " gE "}},
        {"~", {"~", " ~ ", "~ "}},    {"like", {" like ", " LIKE ", " Like "}},
    };
    const char *c = t->condition;
    if (!strcmp(c, "any")) {
        word(b, "any");
        value(b, t->value[0], false);
        return;
    }
    if (!strcmp(c, "has") || !strcmp(c, "missing")) {
        bool negated = c[0] == 'm' && below(2);
        if (negated)
            word(b, "not");
        word(b, negated ? "has" : c);
        add(b, t->path);
        return;
    }
    add(b, t->path);
    if (!strcmp(c, "in")) {
        word(b, "in");
        add(b, "(");
        for (size_t i = 0; i < 3; i++) {
            add(b, i ? "," : "");
            space(b);
            value(b, t->value[i], false);
            space(b);
        }
        add(b, ")");
        return;
    }
    if (!strcmp(c, "..") && t->has_low && t->has_high && below(2)) {
        word(b, "between");
        value(b, t->value[0], false);
        word(b, "and");
        value(b, t->value[1], false);
        return;
    }
    if (!strcmp(c, "..")) {
        add(b, "=");
        space(b);
        if (t->has_low)
            value(b, t->value[0], false);
        add(b, "..");
        if (t->has_high)
            value(b, t->value[1], false);
        return;
    }
    for (size_t i = 0; i < VIVO_ARRAY_LEN(ops); i++)
        if (!strcmp(ops[i].op, c))
            add(b, PICK(ops[i].others));
    space(b);
    value(b, t->value[0], c[0] == '~');
}

static inline void spell(struct vivo_buf *b, const struct tree *t, bool parens)
{
    static const char *const ands[] = {"and", "&&", "&", ","};
    static const char *const ors[] = {"or", "||", "|"};
    bool pair = t->op == '&' || t->op == '|';
    parens = (parens && pair) || !below(6);
    space(b);
    add(b, parens ? "(" : "");
    if (t->op == 'c') {
        spell_condition(b, t);
    } else if (pair) {
        spell(b, t->a, t->op == '&');
        word(b, t->op == '&' ? PICK(ands) : PICK(ors));
        spell(b, t->b, true);
    } else if (t->op == '!') {
        add(b, below(2) ? " not " : "!");
        spell(b, t->a, true);
    } else {
        word(b, t->op == 'p' ? "patient" : t->op == 's' ? "study" : "series");
        add(b, "(");
        spell(b, t->a, false);
        add(b, ")");
    }
    add(b, parens ? ")" : "");
    space(b);
}

#endif
