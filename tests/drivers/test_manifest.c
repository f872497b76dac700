/* SPDX-License-Identifier: Apache-2.0 */
/* tests/drivers/test_manifest.c -- manifests: conformance over rows, then which files
 * are manifests, what their lines mean, and what locators may say. */
#include "collect.h"
#include "conformance.h"
#include "drivers/manifest_text.h"
#include "folder.h"
#include "vivofs/dcm.h"
#include "vivofs/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define HEAD "SOPInstanceUID,SeriesInstanceUID,PatientID,Url,Size\n"

static struct vivo_net *net;

static const char *const samples[] = {"test_files/CT_small.dcm",
                                      "test_files/MR_small.dcm",
                                      "test_files/rtplan.dcm", "test_files/rtdose.dcm"};

/* A row of a file: its UIDs as they are. */
static void add_row(struct vivo_buf *out, const char *path)
{
    struct vivo_buf bytes, attrs;
    struct vivo_mem_reader reader;
    char uid[2][VIVO_UID_MAX + 1];

    vivo_buf_init(&bytes, OBJECT_MAX);
    vivo_buf_init(&attrs, VIVO_ATTRS_MAX);
    assert_int_equal(vivo_file_read(path, OBJECT_MAX, &bytes, NULL), 0);
    vivo_mem_reader_init(&reader, bytes.data, bytes.len);
    assert_int_equal(vivo_dcm_attrs(&reader.base, NULL, 0, &attrs, NULL), 0);
    struct vivo_attrs a = {attrs.data, attrs.len};
    vivo_attrs_text(a, VIVO_TAG_SOPInstanceUID, uid[0], sizeof uid[0]);
    vivo_attrs_text(a, VIVO_TAG_SeriesInstanceUID, uid[1], sizeof uid[1]);
    assert_int_equal(vivo_buf_printf(out, "%s,%s,\"P, one\",file://%s,%zu\n", uid[0],
                                     uid[1], path, bytes.len),
                     0);
    vivo_buf_free(&bytes);
    vivo_buf_free(&attrs);
}

static char *make_rows(const char *dir)
{
    struct vivo_buf text;

    vivo_buf_init(&text, 1u << 20);
    assert_int_equal(vivo_buf_puts(&text, HEAD), 0);
    for (size_t i = 0; i < VIVO_ARRAY_LEN(samples); i++) {
        char *path = folder_path(VIVO_TEST_PYDICOM, samples[i]);
        add_row(&text, path);
        free(path);
    }
    folder_write(dir, "rows.csv", text.data, text.len);
    vivo_buf_free(&text);
    return folder_path(dir, "rows.csv");
}

/* "Ufile:///path\t…" */
static int expect_file(void *ctx, const char *locator, const char *uid,
                       struct vivo_buf *out)
{
    char path[4096];

    (void)ctx;
    (void)uid;
    if (strncmp(locator, "Ufile://", 8) != 0)
        return -ENOENT;
    snprintf(path, sizeof path, "%.*s", (int)strcspn(locator + 8, "\t"), locator + 8);
    return vivo_file_read(path, OBJECT_MAX, out, NULL);
}

static void test_rows_conform(void **state)
{
    /* What exists but is no such object is refused by what is in it. */
    static const char *const escapes[] = {"U",
                                          "file:///etc/passwd",
                                          "Ufile:///etc/passwd",
                                          "Ufile:///etc/passwd\t1.2.3\t\t\t../x",
                                          "Uftp://h/x\t1.2.3\t\t\t",
                                          "Ufile:///a b\t1.2.3\t\t\t",
                                          "Nx",
                                          NULL};
    char *dir = folder_new(), *path = make_rows(dir);
    const struct vivo_conformance c = {
        .source = path,
        .net = net,
        .objects = VIVO_ARRAY_LEN(samples),
        .expect = expect_file,
        .unknown = "Ufile:///nowhere/at/all.dcm\t1.2.3\t\t\t",
        .escapes = escapes,
    };

    (void)state;
    assert_int_equal(vivo_conformance(&c), 0);
    free(path);
    folder_free(dir);
}

static enum manifest_kind kind_of(const char *text)
{
    char *dir = folder_new(), *path = folder_path(dir, "m");
    enum manifest_kind kind;

    folder_write(dir, "m", text, strlen(text));
    kind = vivo_manifest_kind(path);
    free(path);
    folder_free(dir);
    return kind;
}

static void test_kinds_are_told_by_content(void **state)
{
    static const struct {
        const char *text;
        enum manifest_kind kind;
    } cases[] = {
        {HEAD, MANIFEST_ROWS},
        {"\xEF\xBB\xBFSOP Instance UID\tURL\r\n", MANIFEST_ROWS},
        {"Collection;Series UID\n", MANIFEST_TABLE},
        {"SeriesInstanceUID\n1.2.3\n", MANIFEST_TABLE},
        {"downloadServerUrl=https://x/\n", MANIFEST_TCIA},
        {"\n# made by hand\nnoOfrRetry=4\nListOfSeriesToDownload=\n", MANIFEST_TCIA},
        {"1.3.6.1.4.1.14519.5.2.1\n", MANIFEST_UIDS},
        {"cp s3://idc-open-data/abc/* .\n", MANIFEST_S5CMD},
        {"# a comment\ncp --show-progress 's3://b/k' d/\n", MANIFEST_S5CMD},
        {"https://host/a.dcm\n", MANIFEST_URLS},
        {"s3://bucket/key\n", MANIFEST_URLS},
        {"cp_command\ncp s3://b/k .\n", MANIFEST_S5CMD},
        {"s5cmd --endpoint-url https://h sync s3://b/k/* .\n", MANIFEST_S5CMD},
        {"\"https://host/a.dcm\"\n", MANIFEST_URLS},
        {"series_aws_url\ns3://bucket/x/*\n", MANIFEST_URLS},
        {"SeriesInstanceUID,series_aws_url\n", MANIFEST_LINKS},
        {"a\timageUrl\n", MANIFEST_LINKS},
        {"Series UID,imageUrl\n", MANIFEST_TABLE},
        {"SeriesInstanceUID\n1.3.6.1.4.1.14519\n", MANIFEST_TABLE},
        {"includeAnnotation = true\nListOfSeriesToDownload =\n", MANIFEST_TCIA},
        {"\"1.3.6.1.4.1.14519\"\n", MANIFEST_UIDS},
        {"title\nhello https\n", MANIFEST_NONE},
        {"", MANIFEST_NONE},
        {"hello\n", MANIFEST_NONE},
        {"PK\x03\x04", MANIFEST_NONE},
        {"a,b,c\n1,2,3\n", MANIFEST_NONE},
        {"1.5\n", MANIFEST_NONE},
    };

    (void)state;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(cases); i++)
        assert_int_equal(kind_of(cases[i].text), cases[i].kind);
    assert_int_equal(vivo_manifest_kind("/proc/self/exe"), MANIFEST_NONE);
    assert_int_equal(vivo_manifest_kind("/nowhere"), MANIFEST_NONE);
}

static void test_records_follow_rfc_4180(void **state)
{
    static const char text[] = "a,\"b \"\"q\"\", x\",\r\n\n\"two\nlines\",last";
    char *dir = folder_new(), *path;
    struct manifest_text t;
    struct vivo_err err = {0};

    (void)state;
    folder_write(dir, "m", text, sizeof text - 1);
    path = folder_path(dir, "m");
    assert_int_equal(vivo_manifest_text_open(path, &t, &err), 0);
    assert_int_equal(vivo_manifest_record(&t, &err), 1);
    assert_int_equal(t.nfields, 2); /* the last one is empty */
    assert_string_equal(t.fields[0], "a");
    assert_string_equal(t.fields[1], "b \"q\", x");
    assert_int_equal(vivo_manifest_record(&t, &err), 1);
    assert_string_equal(t.fields[0], "two\nlines");
    assert_string_equal(t.fields[1], "last");
    off_t second = t.start;
    assert_int_equal(vivo_manifest_record(&t, &err), 0);
    assert_int_equal(vivo_manifest_seek(&t, second, &err), 0);
    assert_int_equal(vivo_manifest_record(&t, &err), 1);
    assert_string_equal(t.fields[1], "last");
    vivo_manifest_text_close(&t);
    free(path);
    folder_free(dir);
}

/* A kind by its bytes and its name. */
static enum manifest_kind kind_as(const char *name, const void *data, size_t len)
{
    char *dir = folder_new(), *path;
    enum manifest_kind kind;

    folder_write(dir, name, data, len);
    path = folder_path(dir, name);
    kind = vivo_manifest_kind(path);
    free(path);
    folder_free(dir);
    return kind;
}

static void test_workbooks_are_known_as_such(void **state)
{
    static const char zip[] = "PK\x03\x04 [Content_Types].xml … xl/workbook.xml …";
    static const char compound[] = "\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1";

    (void)state;
    assert_int_equal(kind_as("a.xlsx", "PK\x03\x04____", 8), MANIFEST_BOOK);
    assert_int_equal(kind_as("a.ODS", "PK\x03\x04____", 8), MANIFEST_BOOK);
    assert_int_equal(kind_as("a.xls", compound, sizeof compound), MANIFEST_BOOK);
    assert_int_equal(kind_as("a", zip, sizeof zip), MANIFEST_BOOK);
    assert_int_equal(kind_as("a.zip", "PK\x03\x04____", 8), MANIFEST_NONE);
    assert_int_equal(kind_as("a", compound, sizeof compound), MANIFEST_NONE);
    assert_int_equal(kind_as("a.xlsx", "SeriesInstanceUID\n1.2.3.4.5.6", 29),
                     MANIFEST_TABLE);
}

/* ASCII text as UTF-16 behind its mark. */
static size_t widen(const char *text, bool big, char *out)
{
    size_t n = 2;

    memcpy(out, big ? "\xFE\xFF" : "\xFF\xFE", 2);
    for (; *text; text++, n += 2) {
        out[n + big] = *text;
        out[n + !big] = '\0';
    }
    return n;
}

static void test_utf_16_is_read_as_utf_8(void **state)
{
    static const char text[] = "Series UID\tURL\r\n1.2.3\ts3://b/1.dcm\r\n";
    char wide[40000], record[4000];

    (void)state;
    for (int big = 0; big < 2; big++) {
        size_t n = widen(text, big, wide);
        assert_int_equal(kind_as("m.tsv", wide, n), MANIFEST_TABLE);
        assert_int_equal(kind_as("m.tsv", wide, n - 1), MANIFEST_NONE); /* half */
    }
    /* Half of a pair: no text, and no line that looks like one. */
    size_t n = widen("downloadServerUrl=x\n", false, wide);
    assert_int_equal(kind_as("m", wide, n), MANIFEST_TCIA);
    memcpy(wide + n,
           "\x3D\xD8"
           "a\0",
           4);
    assert_int_equal(kind_as("m", wide, n + 4), MANIFEST_NONE);

    /* Characters of three and four bytes, over the blocks that it is read in. */
    char *dir = folder_new(), *path;
    struct manifest_text t;
    struct vivo_err err = {0};
    char *line;
    n = widen("", false, wide);
    for (size_t i = 0; i < 9000; i++, n += 4)
        memcpy(wide + n, i % 100 == 99 ? "\r\0\n\0" : "\x3D\xD8\x80\xDE", 4);
    folder_write(dir, "m", wide, n);
    path = folder_path(dir, "m");
    assert_int_equal(vivo_manifest_text_open(path, &t, &err), 0);
    for (size_t i = 0; i < 99; i++)
        memcpy(record + 4 * i, "\xF0\x9F\x9A\x80", 5);
    for (size_t i = 0; i < 90; i++) {
        assert_int_equal(vivo_manifest_line(&t, &line, &err), 1);
        assert_string_equal(line, record);
    }
    assert_int_equal(vivo_manifest_line(&t, &line, &err), 0);
    vivo_manifest_text_close(&t);
    free(path);
    folder_free(dir);
}

static int setup(void **state)
{
    struct vivo_net_config cfg = {.retries = 0};
    struct vivo_err err = {0};

    (void)state;
    return vivo_dcm_global_init(&err) < 0 || vivo_net_new(&cfg, &net, &err) < 0;
}

static int teardown(void **state)
{
    (void)state;
    vivo_net_free(net);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_conform),
        cmocka_unit_test(test_kinds_are_told_by_content),
        cmocka_unit_test(test_records_follow_rfc_4180),
        cmocka_unit_test(test_workbooks_are_known_as_such),
        cmocka_unit_test(test_utf_16_is_read_as_utf_8),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
