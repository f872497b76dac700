/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_deid_ctp.c -- scripts of CTP's DicomAnonymizer: files, functions,
 * what is refused, and that the union shows nothing that the basic profile hides. */
#include "deid_run.h"

#include "deid/ctp.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char folder[] = "/tmp/vivofs-ctp-XXXXXX";

static void write_text(const char *name, const char *text)
{
    char path[128];
    struct vivo_err err = {0};
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (vivo_file_write(path, text, strlen(text), 0600, &err))
        fail_msg("%s", err.text);
}

/* A script of these children, on lines of their own from line 2 on. */
static void write_script(const char *children)
{
    char text[8192];
    snprintf(text, sizeof text, "<script>\n%s\n</script>\n", children);
    write_text("s.script", text);
}

static int load(const char *children, const char *mode, const struct vivo_key *k,
                struct vivo_deid **out, struct vivo_err *err)
{
    char profile[160];
    write_script(children);
    snprintf(profile, sizeof profile, "ctp:%s/s.script%s", folder, mode);
    return vivo_deid_new(profile, VIVO_BURNED_IN_REFUSE, k, out, err);
}

static void make_object(struct make *m)
{
    make_ct(m, MAKE_ELE);
    make_text(m, 0x00080070, "LO", "Maker Works");
    make_text(m, 0x00081030, "LO", "STUDYTOKEN");
    make_text(m, 0x00081090, "LO", "Model/One/Two");
    make_patient(m);
    make_text(m, 0x00101010, "AS", "067Y");
    make_text(m, 0x00180022, "CS", "HELICAL MODE");
    make_text(m, 0x00180050, "DS", "2.5");
    make_text(m, 0x0020000D, "UI", "1.2.826.0.1.99.2");
    make_text(m, 0x0020000E, "UI", "1.2.826.0.1.99.3");
    make_text(m, 0x00200013, "IS", "12");
}

static void run_script(struct run *r, const char *children, const char *mode)
{
    struct make m;
    struct vivo_key *k = test_key('k');
    struct vivo_deid *d = NULL;
    struct vivo_err err = {0};
    make_object(&m);
    if (load(children, mode, k, &d, &err))
        fail_msg("%s", err.text);
    run_bytes(r, d, m.b, m.n);
    free(m.b);
    vivo_deid_free(d);
    vivo_key_free(k);
}

/* ---- functions --------------------------------------------------------------------
 */

/* What a script makes of SeriesDescription (absent in the object) or of another
 * attribute, applied alone; NULL = the attribute is not there. */
static const struct {
    const char *script, *want;
} cases[] = {
    {"@always()plain text", "plain text"},
    {"@always()a\\@b", "a@b"},
    {"@always()@param(@SITE)-x", "Seven-x"},
    {"@always()@contents(Manufacturer)", "Maker Works"},
    {"@always()@contents(Manufacturer,\"[a-k]\")", "Mr Wors"},
    {"@always()@contents(Manufacturer,\"(\\w+) (\\w+)\",\"$2 $1\")", "Works Maker"},
    {"@always()@value(Manufacturer,other)", "Maker Works"},
    {"@always()@value(InstitutionName,other)", "other"},
    {"@always()@truncate(Manufacturer,3)", "Mak"},
    {"@always()@truncate(Manufacturer,-3)", "rks"},
    {"@always()@uppercase(Manufacturer)", "MAKER WORKS"},
    {"@always()@lowercase([0008,0070])", "maker works"},
    {"@always()@initials(PatientName)", "JN"},
    {"@always()@initials(PatientName,1)", "KO"},
    {"@always()@initials(InstitutionName)", "X"},
    {"@always()@pathelement(00081090,1)", "One"},
    {"@always()@pathelement(00081090,-1)", "Two"},
    {"@always()@round(PatientAge,10)", "070Y"},
    {"@always()@lookup(PatientID,ptid)", "CASE-1"},
    {"@always()@lookup(Modality,kind)", "tomography"},
    {"@always()@lookup(Manufacturer,ptid,default,none)", "none"},
    {"@always()@lookup(Manufacturer,ptid,default(none))", "none"},
    {"@always()@lookup(Manufacturer,ptid,remove)", NULL},
    {"@always()@lookup(Manufacturer,ptid,empty)", ""},
    {"@always()@lookup(Manufacturer,ptid,ignore,\"Maker.*\")", "Maker Works"},
    {"@always()@lookup(Modality|PatientID,both)", "joined"},
    {"@always()@require(Manufacturer)", "Maker Works"},
    {"@always()@require(InstitutionName,else)", "else"},
    {"@always()@if(Manufacturer,exists){yes}{no}", "yes"},
    {"@always()@if(InstitutionName,isblank){yes}{no}", "yes"},
    {"@always()@if(Manufacturer,contains,WORK){yes}{no}", "yes"},
    {"@always()@if(Manufacturer,equals,maker){yes}{no}", "no"},
    {"@always()@if(Manufacturer,matches,\"M.*s\"){yes}{no}", "yes"},
    {"@always()@if(Manufacturer,matches,\"M\"){yes}{no}", "no"},
    {"@always()@if(InstanceNumber,greaterthan,11){yes}{no}", "yes"},
    {"@always()@if(InstanceNumber,greaterthan,12){yes}{no}", "no"},
    {"@always()@select(){top}{item}", "top"},
    {"@always()@append(){more}", "more"},
    {"@always()@blank(3)", ""},
    {"@always()@dateinterval(StudyDate,base,PatientID)", "10"},
    {"@always()@dateinterval(StudyDate,base,PatientID,5)", "15"},
    {"@always()@empty()", ""},
    {"@always()@remove()", NULL},
    {"text without always", NULL},
};

static void prepare_table(void)
{
    write_text("lookup-table.properties",
               "# originals of this test alone\n"
               "ptid/IDTOKEN77=CASE-1\nkind/CT=@names/tomo\nnames/tomo=tomography\n"
               "both/CT|IDTOKEN77=joined\nbase/IDTOKEN77=3/26/2011\n"
               "days/IDTOKEN77=-30\n");
}

static void test_functions_give_what_the_facts_say(void **state)
{
    (void)state;
    prepare_table();
    for (size_t i = 0; i < VIVO_ARRAY_LEN(cases); i++) {
        char children[1024];
        struct run r;
        snprintf(children, sizeof children,
                 "<p t=\"SITE\">Seven</p>\n<e en=\"T\" t=\"0008103E\">%s</e>",
                 cases[i].script);
        run_script(&r, children, "+alone");
        if (r.rc)
            fail_msg("%s: %s", cases[i].script, r.err.text);
        if (!cases[i].want && is_there(&r, 0x0008103E, 0))
            fail_msg("%s: it is there", cases[i].script);
        if (cases[i].want) {
            struct lookup l = look_at(&r, 0x0008103E, 0);
            if (l.count != 1 || strcmp(l.value, cases[i].want))
                fail_msg("%s: '%s'", cases[i].script, l.value);
        }
        run_free(&r);
    }
}

static void test_dates_move_by_table_number_and_field(void **state)
{
    static const struct {
        const char *script, *want;
    } dates[] = {
        {"@incrementdate(this,-5)", "20110331"},
        {"@incrementdate(this,PatientID,days)", "20110306"},
        {"@modifydate(this,*,1,1)", "20110101"},
        {"@keep()", "20110405"},
        {"@empty()", ""},
    };
    (void)state;
    prepare_table();
    for (size_t i = 0; i < VIVO_ARRAY_LEN(dates); i++) {
        char children[256];
        struct run r;
        snprintf(children, sizeof children, "<e en=\"T\" t=\"00080020\">%s</e>",
                 dates[i].script);
        run_script(&r, children, "+alone");
        assert_value(&r, 0x00080020, dates[i].want);
        run_free(&r);
    }
}

/* The hash of CTP is MD5 without a key; nothing of it may come out. */
static void test_hashes_are_keyed_digits(void **state)
{
    struct make m;
    struct run r[2];
    (void)state;
    make_object(&m);
    for (size_t i = 0; i < 2; i++) {
        struct vivo_key *k = test_key(i ? 'k' : 'j');
        struct vivo_deid *d = NULL;
        struct vivo_err err = {0};
        assert_int_equal(
            load("<e en=\"T\" t=\"00081030\">@hash(PatientID,9)</e>\n"
                 "<e en=\"T\" t=\"0008103E\">@always()@hashname(PatientName,6,2)</e>\n"
                 "<e en=\"T\" t=\"00100020\">@hashptid(7,this)</e>",
                 "", k, &d, &err),
            0);
        run_bytes(&r[i], d, m.b, m.n);
        vivo_deid_free(d);
        vivo_key_free(k);
    }
    struct lookup a = look_at(&r[0], 0x00081030, 0), b = look_at(&r[1], 0x00081030, 0);
    assert_int_equal(strlen(a.value), 9);
    assert_int_equal(strspn(a.value, "0123456789"), 9);
    assert_string_not_equal(a.value, b.value);
    assert_int_equal(strlen(look_at(&r[0], 0x0008103E, 0).value), 6);
    a = look_at(&r[0], 0x00100020, 0);
    assert_true(strlen(a.value) > 30);
    assert_int_equal(strspn(a.value, "0123456789"), strlen(a.value));
    assert_value(&r[0], 0x00100010, a.value); /* the name follows */
    run_free(&r[0]);
    run_free(&r[1]);
    free(m.b);
}

/* ---- union
 * ---------------------------------------------------------------------------- */

static void test_union_removes_what_either_removes(void **state)
{
    struct run r;
    (void)state;
    run_script(&r,
               "<e en=\"T\" t=\"00180050\">@remove()</e>\n"
               "<e en=\"T\" t=\"00080020\">@keep()</e>\n"
               "<e en=\"T\" t=\"00081030\">@keep()</e>\n"
               "<e en=\"T\" t=\"00120010\">@always()ACME</e>\n"
               "<e en=\"F\" t=\"00180022\">@remove()</e>",
               "");
    assert_int_equal(r.rc, 0);
    assert_false(is_there(&r, 0x00180050, 0));
    assert_value(&r, 0x00180022, "HELICAL MODE");
    assert_value(&r, 0x00120010, "ACME");
    assert_false(has_token(&r, "20110405"));
    assert_false(has_token(&r, "STUDYTOKEN"));
    run_free(&r);
}

static void test_unspecified_elements_go_at_the_top(void **state)
{
    struct run r;
    (void)state;
    run_script(&r,
               "<e en=\"T\" t=\"00080060\">@keep()</e>\n"
               "<k en=\"T\" t=\"0020\"></k>\n"
               "<r en=\"T\" t=\"unspecifiedelements\"></r>",
               "");
    assert_value(&r, 0x00080060, "CT");
    assert_value(&r, 0x00200013, "12");
    assert_false(is_there(&r, 0x00180050, 0));
    assert_true(is_there(&r, 0x00080016, 0) && is_there(&r, 0x00080018, 0));
    assert_true(is_there(&r, 0x00100020, 0) && is_there(&r, 0x00120062, 0));
    run_free(&r);
}

/* Each way a script can take a value, of each attribute that the basic profile hides,
 * to each of some places. */
static void test_union_shows_nothing_that_basic_hides(void **state)
{
    static const char *const ways[] = {
        "@contents(%s)",
        "@value(%s,x)",
        "@truncate(%s,60)",
        "@lowercase(%s)",
        "@append(){x}",
        "@require(%s)",
        "@modifydate(%s,*,*,*)",
        "@incrementdate(%s,0)",
        "@pathelement(%s,0)",
        "@if(%s,exists){@contents(%s)}{}",
        "@lookup(%s,ptid,keep)",
        "@lookup(%s,ptid,ignore,\".*\")",
        "@contents(root:%s)",
        "@hash(%s)@contents(%s)",
        "@keep()",
        "@select(){@contents(%s)}{@contents(%s)}",
        "@round(%s,1)",
    };
    static const char *const from[] = {"PatientName", "PatientID", "PatientBirthDate",
                                       "StudyDescription", "StudyDate"};
    static const char *const to[] = {"00081030", "0008103E", "00080070",
                                     "00100010", "00100030", "00080020"};
    static const char *const tokens[] = {"NAMETOKEN",  "nametoken", "IDTOKEN77",
                                         "idtoken77",  "19510405",  "STUDYTOKEN",
                                         "studytoken", "20110405"};
    (void)state;
    prepare_table();
    for (size_t i = 0; i < VIVO_ARRAY_LEN(ways) * VIVO_ARRAY_LEN(from); i++) {
        const char *way = ways[i % VIVO_ARRAY_LEN(ways)];
        const char *name = from[i / VIVO_ARRAY_LEN(ways)];
        char children[4096] = "", script[256], row[400];
        size_t n = 0;
        for (const char *p = way; *p; p++) {
            bool here = p[0] == '%' && p[1] == 's';
            n += (size_t)snprintf(script + n, sizeof script - n, here ? "%s" : "%.1s",
                                  here ? name : p);
            p += here;
        }
        size_t used = 0;
        for (size_t k = 0; k < VIVO_ARRAY_LEN(to); k++) {
            snprintf(row, sizeof row, "<e en=\"T\" t=\"%s\">@always()%s</e>\n", to[k],
                     script);
            used +=
                (size_t)snprintf(children + used, sizeof children - used, "%s", row);
        }
        struct run r;
        run_script(&r, children, "");
        for (size_t k = 0; k < VIVO_ARRAY_LEN(tokens); k++)
            if (!r.rc && has_token(&r, tokens[k]))
                fail_msg("%s shows %s", script, tokens[k]);
        run_free(&r);
    }
    /* The same script alone does show it: the test can fail. */
    struct run r;
    run_script(&r, "<e en=\"T\" t=\"00081030\">@contents(PatientName)</e>", "+alone");
    assert_true(has_token(&r, "NAMETOKEN"));
    run_free(&r);
}

/* Options that decide when the whole header is known do not bring back what goes. */
static void test_options_bring_nothing_back(void **state)
{
    struct make m;
    struct run r;
    char profile[160];
    (void)state;
    make_object(&m);
    make_text(&m, 0x0040A040, "CS", "CONTAINER");
    make_sequence(&m, 0x0040A730, true);
    make_item(&m, true);
    make_text(&m, 0x0040A010, "CS", "CONTAINS");
    make_text(&m, 0x0040A040, "CS", "TEXT");
    make_sequence(&m, 0x0040A043, true);
    make_item(&m, true);
    make_text(&m, 0x00080100, "SH", "121106");
    make_text(&m, 0x00080102, "SH", "DCM");
    make_text(&m, 0x00080104, "LO", "Comment");
    make_item_end(&m);
    make_sequence_end(&m);
    make_text(&m, 0x0040A160, "UT", "harmless words");
    make_item_end(&m);
    make_sequence_end(&m);
    snprintf(profile, sizeof profile,
             "ctp:%s/s.script+clean-structured-content+clean-descriptors", folder);
    write_script("<e en=\"T\" t=\"00080060\">@keep()</e>");
    run_profile(&r, profile, &m);
    assert_true(has_token(&r, "harmless"));
    run_free(&r);
    write_script("<e en=\"T\" t=\"0040A160\">@remove()</e>");
    run_profile(&r, profile, &m);
    assert_int_equal(r.rc, 0);
    assert_false(has_token(&r, "harmless"));
    run_free(&r);
    free(m.b);
}

static void test_no_script_says_that_nothing_is_burned_in(void **state)
{
    struct run r;
    (void)state;
    run_script(&r, "<e en=\"T\" t=\"00280301\">@always()NO</e>", "");
    assert_int_equal(r.rc, 0);
    assert_false(is_there(&r, 0x00280301, 0));
    run_free(&r);
}

static void test_quarantine_refuses_the_object(void **state)
{
    struct run r;
    (void)state;
    run_script(&r,
               "<e en=\"T\" t=\"00080060\">@if(this,equals,CT){@quarantine()}{@keep()}"
               "</e>",
               "");
    assert_int_equal(r.rc, -EPERM);
    assert_string_equal(vivo_refusal_code(r.report.refusal), "script");
    run_free(&r);
    run_script(&r, "<e en=\"T\" t=\"00080060\">@skip()</e>", "");
    assert_int_equal(r.rc, -EPERM); /* CTP passes it on as it is */
    run_free(&r);
}

static void test_hiding_is_told_by_tag(void **state)
{
    struct vivo_key *k = test_key('k');
    struct vivo_deid *d = NULL;
    struct vivo_err err = {0};
    (void)state;
    assert_int_equal(load("<e en=\"T\" t=\"00180050\">@remove()</e>\n"
                          "<e en=\"T\" t=\"00081030\">trial</e>\n"
                          "<e en=\"T\" t=\"00080080\">@contents(this)</e>\n"
                          "<e en=\"T\" t=\"00080060\">@uppercase(this)</e>\n"
                          "<e en=\"T\" t=\"00180022\">@keep()</e>\n"
                          "<r en=\"T\" t=\"unspecifiedelements\"/>",
                          "", k, &d, &err),
                     0);
    assert_string_equal(vivo_deid_hides(d, 0x00180050, NULL), "deid=none");
    assert_null(vivo_deid_hides(d, 0x00081030, NULL));
    assert_non_null(vivo_deid_hides(d, 0x00080080, NULL));
    assert_non_null(vivo_deid_hides(d, 0x00180060, NULL));
    /* What the script may change no archive is asked for. */
    assert_null(vivo_deid_hides(d, 0x00080060, NULL));
    assert_false(vivo_deid_keeps(d, 0x00080060));
    assert_false(vivo_deid_keeps(d, 0x00180060));
    assert_true(vivo_deid_keeps(d, 0x00180022));
    vivo_deid_free(d);
    vivo_key_free(k);
}

static void test_digest_follows_script_and_table(void **state)
{
    static const char rows[] = "<e en=\"T\" t=\"00100020\">@lookup(this,ptid)</e>";
    struct vivo_key *k = test_key('k');
    struct vivo_deid *d[3] = {NULL};
    struct vivo_err err = {0};
    (void)state;
    prepare_table();
    assert_int_equal(load(rows, "", k, &d[0], &err), 0);
    assert_int_equal(load(rows, "+alone", k, &d[1], &err), 0);
    write_text("lookup-table.properties", "ptid/IDTOKEN77=CASE-2\n");
    assert_int_equal(load(rows, "", k, &d[2], &err), 0);
    for (size_t i = 0; i < 3; i++)
        assert_memory_not_equal(vivo_deid_digest(d[i]),
                                vivo_deid_digest(d[(i + 1) % 3]), VIVO_DIGEST_LEN);
    for (size_t i = 0; i < 3; i++)
        vivo_deid_free(d[i]);
    vivo_key_free(k);
}

/* ---- files
 * --------------------------------------------------------------------------- */

static void test_properties_are_read_too(void **state)
{
    struct make m;
    struct run r;
    char profile[128];
    (void)state;
    make_object(&m);
    write_text("p.properties", "param.SITE=Seven\n"
                               "set.[0008,1030]StudyDescription=at @param(@SITE)\n"
                               "#set.[0018,0022]ScanOptions=@remove()\n"
                               "set.[0018,0050]SliceThickness=@remove()\n"
                               "keep.group18=\nremove.privategroups=\n");
    snprintf(profile, sizeof profile, "ctp:%s/p.properties", folder);
    run_profile(&r, profile, &m);
    assert_value(&r, 0x00081030, "at Seven");
    assert_value(&r, 0x00180022, "HELICAL MODE");
    assert_false(is_there(&r, 0x00180050, 0));
    run_free(&r);
    free(m.b);
}

static void test_what_cannot_be_honoured_is_refused_with_its_line(void **state)
{
    static const struct {
        const char *children, *want;
    } bad[] = {
        {"<e en=\"T\" t=\"00081030\">\n@call(x)</e>", "s.script:2: @call: cannot"},
        {"<e en=\"T\" t=\"00080060\">@keep()</e>\n<e en=\"T\" "
         "t=\"00081030\">@date()</e>",
         "s.script:3: @date: cannot"},
        {"<e en=\"T\" t=\"00081030\">@integer(this,k,3)</e>", ":2: @integer: cannot"},
        {"<e en=\"T\" t=\"00081030\">@encrypt(this,@k)</e>", ":2: @encrypt: cannot"},
        {"<e en=\"T\" t=\"00081030\">@hsh(this)</e>", ":2: no such function: @hsh"},
        {"<e en=\"T\" t=\"00081030\">@hash()</e>", ":2: @hash: an argument is missing"},
        {"<e en=\"T\" t=\"00081030\">@hash(this,1,2)</e>", ":2: @hash: too many"},
        {"<e en=\"T\" t=\"00081030\">@hash(NoSuchWord)</e>", "'NoSuchWord' is no"},
        {"<e en=\"T\" t=\"00081030\">@param(@NONE)</e>", "no parameter NONE"},
        {"<e en=\"T\" t=\"00081030\">@if(this,exists){a}</e>", "a {block} is missing"},
        {"<e en=\"T\" t=\"00081030\">@contents(this,\"(?i)a\")</e>", "not offered"},
        {"<e en=\"T\" t=\"00080018\">@remove()</e>", ":2: (0008,0018) can be kept"},
        {"<e en=\"T\" t=\"00081115\">text</e>", "a sequence cannot be set"},
        {"<e en=\"T\" t=\"00280010\">12</e>", "has binary values"},
        {"<e en=\"T\" t=\"0081030\">x</e>", ":2: no element"},
        {"<e en=\"T\">x</e>", ":2: <e> without t"},
        {"<r en=\"T\" t=\"everything\"/>", ":2: cannot remove 'everything'"},
        {"<k en=\"T\" t=\"0009\"/>", "private groups cannot be kept"},
        {"<r en=\"T\"/>", ":2: <r> without t"},
        {"<z en=\"T\" t=\"x\"/>", ":2: <z> has no place"},
        {"<e en=\"T\" t=\"00081030\">x", "not XML"},
        {"<e en=\"T\" t=\"00081030\">a</e>\n<e en=\"T\" t=\"00081030\">b</e>", "twice"},
        {"<e en=\"T\" t=\"00100020\">@lookup(this,ptid)</e>", ":2: its lookup table"},
    };
    struct vivo_key *k = test_key('k');
    char path[128];
    (void)state;
    snprintf(path, sizeof path, "%s/lookup-table.properties", folder);
    unlink(path);
    for (size_t i = 0; i < VIVO_ARRAY_LEN(bad); i++) {
        struct vivo_deid *d = NULL;
        struct vivo_err err = {0};
        assert_int_equal(load(bad[i].children, "", k, &d, &err), -EINVAL);
        if (!strstr(err.text, bad[i].want))
            fail_msg("%s: %s", bad[i].children, err.text);
    }
    vivo_key_free(k);
}

static void test_entities_are_refused(void **state)
{
    struct vivo_key *k = test_key('k');
    struct vivo_deid *d = NULL;
    struct vivo_err err = {0};
    char profile[128];
    (void)state;
    write_text("x.script", "<!DOCTYPE script [<!ENTITY a SYSTEM \"/etc/passwd\">]>\n"
                           "<script><e en=\"T\" t=\"00081030\">&a;</e></script>\n");
    snprintf(profile, sizeof profile, "ctp:%s/x.script", folder);
    assert_int_equal(vivo_deid_new(profile, VIVO_BURNED_IN_REFUSE, k, &d, &err),
                     -EINVAL);
    assert_non_null(strstr(err.text, "x.script:1: a script has no document type"));
    vivo_key_free(k);
}

/* ---- filter
 * ---------------------------------------------------------------------------- */

static void test_filter_reads_originals(void **state)
{
    static const struct {
        const char *text;
        int want;
    } filters[] = {
        {"", 1},
        {"// nothing but a comment", 1},
        {"PatientID.equals(\"IDTOKEN77\")", 1},
        {"!PatientID.equals(\"IDTOKEN77\")", 0},
        {"Modality.equals(\"CT\") * SliceThickness.isLessThan(\"3\")", 1},
        {"Modality.equals(\"MR\") + InstitutionName.equals(\"x\")", 0},
    };
    struct make m;
    char path[128];
    (void)state;
    make_object(&m);
    int fd = test_fd(m.b, m.n);
    snprintf(path, sizeof path, "%s/f.script", folder);
    for (size_t i = 0; i < VIVO_ARRAY_LEN(filters); i++) {
        struct vivo_filter *f = NULL;
        struct vivo_err err = {0};
        write_text("f.script", filters[i].text);
        if (vivo_filter_load(path, &f, &err))
            fail_msg("%s", err.text);
        assert_int_equal(vivo_filter_passes(f, fd, m.n, &err), filters[i].want);
        vivo_filter_free(f);
    }
    struct vivo_filter *f = NULL;
    struct vivo_err err = {0};
    write_text("f.script", "true *\n");
    assert_int_equal(vivo_filter_load(path, &f, &err), -EINVAL);
    assert_non_null(strstr(err.text, "f.script:"));
    close(fd);
    free(m.b);
}

static int make_folder(void **state)
{
    struct vivo_err err = {0};
    (void)state;
    return !mkdtemp(folder) || vivo_dcm_global_init(&err);
}

static int remove_folder(void **state)
{
    static const char *const names[] = {"s.script", "p.properties", "x.script",
                                        "f.script", "lookup-table.properties"};
    char path[128];
    (void)state;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(names); i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_functions_give_what_the_facts_say),
        cmocka_unit_test(test_dates_move_by_table_number_and_field),
        cmocka_unit_test(test_hashes_are_keyed_digits),
        cmocka_unit_test(test_union_removes_what_either_removes),
        cmocka_unit_test(test_unspecified_elements_go_at_the_top),
        cmocka_unit_test(test_union_shows_nothing_that_basic_hides),
        cmocka_unit_test(test_options_bring_nothing_back),
        cmocka_unit_test(test_no_script_says_that_nothing_is_burned_in),
        cmocka_unit_test(test_quarantine_refuses_the_object),
        cmocka_unit_test(test_hiding_is_told_by_tag),
        cmocka_unit_test(test_digest_follows_script_and_table),
        cmocka_unit_test(test_properties_are_read_too),
        cmocka_unit_test(test_what_cannot_be_honoured_is_refused_with_its_line),
        cmocka_unit_test(test_entities_are_refused),
        cmocka_unit_test(test_filter_reads_originals),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
