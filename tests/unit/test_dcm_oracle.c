/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_dcm_oracle.c -- the walker against pydicom and GDCM over every real
 * file that pydicom ships: the same elements, nesting, VRs, lengths and bytes. Where
 * they differ, the table below says why. */
#include "dcm_expect.h"
#include "dcm_files.h"

#include <sys/wait.h>

enum oracle { PYDICOM = 1, GDCM = 2 };

/* Files that an oracle and the walker judge differently as a whole. */
static const struct {
    const char *file;
    unsigned by; /* the oracles that differ */
    int rc;      /* of our walk */
    const char *why;
} exceptions[] = {
    {"/no_meta.dcm", PYDICOM | GDCM, -EBADMSG,
     "a stray byte stands before the first element: we refuse, pydicom makes one "
     "unknown element of the whole"},
    {"/rtplan_truncated.dcm", PYDICOM | GDCM, -EBADMSG,
     "the header is cut inside a value: we refuse, they return what they have"},
    {"/DICOMDIR-nooffset", PYDICOM | GDCM, -EBADMSG,
     "an item is longer than its sequence: we refuse, pydicom reads on"},
    {"/TINY_ALPHA/README", PYDICOM | GDCM, -EBADMSG,
     "a text, which pydicom reads by force"},
    {"/MR_truncated.dcm", GDCM, 0,
     "the pixels are cut: GDCM tells the length that the header says, we what is "
     "there"},
    {"/SC_rgb_jpeg.dcm", GDCM, 0, "an assertion fails in the printer of gdcmdump"},
    {"/meta_missing_tsyntax.dcm", GDCM, 0, "gdcmdump wants a transfer syntax"},
    {"/rtdose_rle.dcm", GDCM, 0,
     "UN of defined length that holds a sequence (PS3.5 section 6.2.2): an element "
     "for us as for pydicom, and for de-identification to judge; GDCM looks inside"},
    {"/rtdose_rle_1frame.dcm", GDCM, 0, "the same"},
};

/* ---- our side ------------------------------------------------------------------ */

struct ours {
    const struct vivo_buf *data; /* as the offsets count: inflated if need be */
    struct vivo_buf lines;
    uint32_t tag[VIVO_DCM_DEPTH_MAX + 1]; /* the sequence open at each depth */
    uint32_t item[VIVO_DCM_DEPTH_MAX + 1];
    uint32_t items[VIVO_DCM_DEPTH_MAX + 1];
};

static void note_path(struct ours *o, uint32_t tag, unsigned depth)
{
    for (unsigned i = 0; i < depth; i++)
        vivo_buf_printf(&o->lines, "%04x,%04x.%u.", o->tag[i] >> 16, o->tag[i] & 0xFFFF,
                        o->item[i]);
    vivo_buf_printf(&o->lines, "%04x,%04x ", tag >> 16, tag & 0xFFFF);
}

static void note_value(struct ours *o, const struct vivo_dcm_elem *e, uint64_t len)
{
    uint8_t digest[VIVO_DIGEST_LEN];

    assert_true(e->value_offset + len <= o->data->len);
    vivo_sha256(o->data->data + e->value_offset, (size_t)len, digest);
    note_path(o, e->tag, e->depth);
    vivo_buf_printf(&o->lines, "%s %" PRIu64 " %02x%02x%02x%02x\n", e->vr, len,
                    digest[0], digest[1], digest[2], digest[3]);
}

static int note_ours(void *ctx, enum vivo_dcm_event event,
                     const struct vivo_dcm_elem *e, struct vivo_err *err VIVO_UNUSED)
{
    struct ours *o = ctx;

    switch (event) {
    case VIVO_DCM_ELEMENT:
    case VIVO_DCM_BULK:
        note_value(o, e, e->length);
        break;
    case VIVO_DCM_FRAGMENTS: /* pydicom leaves the delimiter out */
        note_value(o, e, e->length - (e->cut ? 0 : 8));
        break;
    case VIVO_DCM_SEQUENCE:
        o->tag[e->depth] = e->tag;
        o->items[e->depth] = 0;
        break;
    case VIVO_DCM_ITEM:
        o->item[e->depth - 1] = e->item;
        o->items[e->depth - 1]++;
        break;
    case VIVO_DCM_SEQUENCE_END:
        note_path(o, e->tag, e->depth);
        vivo_buf_printf(&o->lines, "SQ %u\n", o->items[e->depth]);
        break;
    case VIVO_DCM_NONE:
    case VIVO_DCM_META:
    case VIVO_DCM_DATASET:
    case VIVO_DCM_ITEM_END:
    case VIVO_DCM_END:
        break;
    }
    return 0;
}

static int note_nothing(void *ctx VIVO_UNUSED, enum vivo_dcm_event event VIVO_UNUSED,
                        const struct vivo_dcm_elem *e VIVO_UNUSED,
                        struct vivo_err *err VIVO_UNUSED)
{
    return 0;
}

/* The walk of a file, in note_ours' lines. */
static int walk_ours(const struct vivo_buf *data, struct vivo_buf *lines)
{
    struct ours *o = calloc(1, sizeof *o);
    struct vivo_buf inflated;
    struct vivo_mem_reader r;
    struct vivo_err err = {0};
    int rc, fd = vivo_file_nameless(NULL, &err);
    off_t size;

    assert_true(o && fd >= 0);
    vivo_buf_init(&o->lines, 16 << 20);
    vivo_buf_init(&inflated, 16 << 20);
    vivo_mem_reader_init(&r, data->data, data->len);
    /* Once to have it inflated, once to note. */
    rc = vivo_dcm_walk_reader(&r.base, NULL, 0, fd, note_nothing, NULL, &err);
    size = lseek(fd, 0, SEEK_END);
    o->data = data;
    if (rc == 0 && size > 0) {
        assert_non_null(vivo_buf_reserve(&inflated, (size_t)size));
        assert_int_equal(vivo_pread_full(fd, inflated.data, (size_t)size, 0, &err), 0);
        inflated.len = (size_t)size;
        o->data = &inflated;
    }
    if (rc == 0)
        rc = vivo_dcm_walk_reader(&r.base, NULL, 0, -1, note_ours, o, &err);
    *lines = o->lines;
    vivo_buf_free(&inflated);
    free(o);
    close(fd);
    return rc;
}

/* ---- comparing ------------------------------------------------------------------ */

struct lines {
    char *line[20000];
    size_t n;
};

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Splits text in place. */
static void split(char *text, struct lines *out)
{
    out->n = 0;
    for (char *save = NULL, *s = strtok_r(text, "\n", &save); s;
         s = strtok_r(NULL, "\n", &save)) {
        assert_true(out->n < VIVO_ARRAY_LEN(out->line));
        out->line[out->n++] = s;
    }
    qsort(out->line, out->n, sizeof out->line[0], by_text);
}

/* Word by word; the oracle's "-" is "do not know". */
static bool alike(const char *ours, const char *theirs)
{
    while (*ours && *theirs) {
        size_t a = strcspn(ours, " "), b = strcspn(theirs, " ");
        if (!(b == 1 && *theirs == '-') && (a != b || memcmp(ours, theirs, a)))
            return false;
        ours += a + (ours[a] == ' ');
        theirs += b + (theirs[b] == ' ');
    }
    return !*ours && !*theirs;
}

static bool is_exception(const char *file, enum oracle by, int *rc)
{
    for (size_t i = 0; i < VIVO_ARRAY_LEN(exceptions); i++) {
        size_t n = strlen(exceptions[i].file), len = strlen(file);
        if ((exceptions[i].by & by) && len >= n &&
            !strcmp(file + len - n, exceptions[i].file)) {
            *rc = exceptions[i].rc;
            return true;
        }
    }
    return false;
}

/* 0, or the number of lines that differ, which are printed. */
static unsigned compare(const char *file, struct lines *a, struct lines *b)
{
    unsigned bad = 0;

    for (size_t i = 0, j = 0; (i < a->n || j < b->n) && bad < 5; i++, j++) {
        const char *x = i < a->n ? a->line[i] : "", *y = j < b->n ? b->line[j] : "";
        if (alike(x, y))
            continue;
        print_error("%s: ours '%s', theirs '%s'\n", file, x, y);
        bad++;
    }
    return bad;
}

/* ---- the oracles ----------------------------------------------------------------- */

/* What `script` prints about all files. */
static void ask(const char *script, const struct test_files *files,
                struct vivo_buf *out)
{
    const char *argv[VIVO_ARRAY_LEN(files->path) + 3] = {"/usr/bin/python3", script};
    struct vivo_err err = {0};
    int fd = vivo_file_nameless(NULL, &err), status;
    off_t size;
    pid_t pid;

    assert_true(fd >= 0);
    for (size_t i = 0; i < files->n; i++)
        argv[i + 2] = files->path[i];
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        union {
            const char **c;
            char *const *v;
        } args = {.c = argv};
        dup2(fd, STDOUT_FILENO);
        execv(argv[0], args.v);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    size = lseek(fd, 0, SEEK_END);
    vivo_buf_init(out, 16 << 20);
    assert_non_null(vivo_buf_reserve(out, (size_t)size + 1));
    assert_int_equal(vivo_pread_full(fd, out->data, (size_t)size, 0, &err), 0);
    out->data[size] = 0;
    out->len = (size_t)size;
    close(fd);
}

/* The part of an oracle's text about one file; cut out in place. NULL = it gave up. */
static char *part_of(char *text, const char *file)
{
    char head[300];
    char *at, *end;

    snprintf(head, sizeof head, "== %s\n", file);
    at = strstr(text, head);
    if (!at)
        return NULL;
    at += strlen(head);
    end = strstr(at, "== ");
    return strndup(at, end ? (size_t)(end - at) : strlen(at));
}

static void compare_all(enum oracle by, const char *script, unsigned at_least)
{
    struct test_files *files = test_files_all();
    static struct lines ours, theirs;
    struct vivo_buf answer;
    unsigned bad = 0, same = 0;

    ask(script, files, &answer);
    for (size_t i = 0; i < files->n; i++) {
        struct vivo_buf data, lines;
        char *part = part_of((char *)answer.data, files->path[i]);
        int rc, want;
        test_file_read(files->path[i], &data);
        rc = walk_ours(&data, &lines);
        if (is_exception(files->path[i], by, &want)) {
            assert_int_equal(rc, want);
        } else if (rc || !part) {
            print_error("%s: ours %d, theirs %s\n", files->path[i], rc,
                        part ? "reads" : "gives up");
            bad++;
        } else {
            vivo_buf_puts(&lines, "");
            split((char *)lines.data, &ours);
            split(part, &theirs);
            bad += compare(files->path[i], &ours, &theirs);
            same++;
        }
        free(part);
        vivo_buf_free(&lines);
        vivo_buf_free(&data);
    }
    vivo_buf_free(&answer);
    free(files);
    assert_int_equal(bad, 0);
    assert_true(same >= at_least);
}

static void test_every_file_is_as_pydicom_sees_it(void **state)
{
    (void)state;
    compare_all(PYDICOM, VIVO_TEST_SOURCE_DIR "/tests/lib/dump_pydicom.py", 160);
}

static void test_every_file_is_as_gdcm_sees_it(void **state)
{
    (void)state;
    compare_all(GDCM, VIVO_TEST_SOURCE_DIR "/tests/lib/dump_gdcm.py", 150);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_file_is_as_pydicom_sees_it),
        cmocka_unit_test(test_every_file_is_as_gdcm_sees_it),
    };
    struct vivo_err err = {0};

    if (vivo_dcm_global_init(&err)) {
        print_error("%s\n", err.text);
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
