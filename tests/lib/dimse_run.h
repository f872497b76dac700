/* SPDX-License-Identifier: Apache-2.0 */
/* tests/lib/dimse_run.h -- a real dcmqrscp and archives opened on it, for the tests of
 * the DIMSE driver. For one translation unit a test; include after cmocka.h. */
#ifndef VIVOFS_TESTS_DIMSE_RUN_H
#define VIVOFS_TESTS_DIMSE_RUN_H

#include "child.h"
#include "collect.h"
#include "conformance.h"

#include "vivofs/dcm.h"
#include "vivofs/file.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define DCMQRSCP VIVO_TEST_SOURCE_DIR "/tests/lib/dcmqrscp.py"
#define FILE_MAX (1u << 20)

struct pacs {
    struct child child;
    char address[40], folder[160];
    unsigned move;
};

VIVO_UNUSED static void pacs_start(struct pacs *p, const char *const *argv)
{
    assert_int_equal(child_start(&p->child, argv), 0);
    assert_int_equal(
        sscanf(p->child.line, "%39s %u %159s", p->address, &p->move, p->folder), 3);
}

VIVO_UNUSED static struct vivo_archive *open_source(const char *url, int64_t timeout_ms)
{
    const struct vivo_archive_config cfg = {
        .source = url, .timeout_ms = timeout_ms, .rate = 1000};
    struct vivo_archive *a = NULL;
    struct vivo_err err = {0};
    int rc = vivo_archive_open(&cfg, &a, &err);
    if (rc)
        print_message("%s\n", err.text);
    assert_int_equal(rc, 0);
    return a;
}

VIVO_UNUSED static int note_meta(void *ctx, enum vivo_dcm_event event,
                                 const struct vivo_dcm_elem *e, struct vivo_err *err)
{
    char(*meta)[VIVO_UID_MAX + 1] = ctx; /* class, instance, syntax */
    (void)err;
    if (event != VIVO_DCM_META)
        return VIVO_DCM_STOP;
    size_t at = e->tag == 0x00020002 ? 0 : e->tag == 0x00020003 ? 1 : 2;
    if (at < 2 || e->tag == 0x00020010)
        snprintf(meta[at], VIVO_UID_MAX + 1, "%.*s", (int)e->length,
                 (const char *)e->value);
    return 0;
}

/* The file as it should come: its data set behind a meta of our own. */
VIVO_UNUSED static int as_fetched(const struct vivo_buf *file, const char *uid,
                                  struct vivo_buf *out)
{
    char meta[3][VIVO_UID_MAX + 1] = {"", "", ""};
    struct vivo_mem_reader r;
    struct vivo_dcm_writer *w = NULL;
    struct vivo_err err = {0};
    size_t n = 0;
    vivo_mem_reader_init(&r, file->data, file->len);
    if (vivo_dcm_walk_reader(&r.base, NULL, 0, -1, note_meta, meta, &err) < 0 ||
        strcmp(meta[1], uid) != 0)
        return -ENOENT;
    int rc =
        vivo_dcm_writer_new(vivo_dcm_syntax("1.2.840.10008.1.2.1", 19), 4096, &w, &err);
    if (rc == 0)
        rc = vivo_dcm_write_meta(w, meta[0], uid, meta[2], &err);
    const struct vivo_dcm_piece *pieces = rc ? NULL : vivo_dcm_writer_pieces(w, &n);
    for (size_t i = 0; i < n; i++)
        vivo_buf_add(out, pieces[i].data, pieces[i].len);
    vivo_dcm_writer_free(w);
    size_t begin = 144 + vivo_le32(file->data + 140); /* PS3.10 section 7.1 */
    return rc ? rc : vivo_buf_add(out, file->data + begin, file->len - begin);
}

VIVO_UNUSED static int expect_file(void *ctx, const char *locator, const char *uid,
                                   struct vivo_buf *out)
{
    const struct pacs *p = ctx;
    const struct dirent *entry;
    int rc = -ENOENT;
    (void)locator;
    DIR *dir = opendir(p->folder);
    vivo_buf_init(out, FILE_MAX);
    while (dir && rc == -ENOENT && (entry = readdir(dir))) {
        char path[600];
        struct vivo_err err = {0};
        VIVO_AUTO(vivo_buf_free_p) struct vivo_buf file = {0};
        vivo_buf_init(&file, FILE_MAX);
        snprintf(path, sizeof path, "%s/%s", p->folder, entry->d_name);
        if (strstr(path, ".dcm") && vivo_file_read(path, FILE_MAX, &file, &err) >= 0)
            rc = as_fetched(&file, uid, out);
    }
    if (dir)
        closedir(dir);
    return rc;
}

VIVO_UNUSED static int start_tables(void **state)
{
    struct vivo_err err = {0};
    (void)state;
    return vivo_dcm_global_init(&err);
}

#endif
