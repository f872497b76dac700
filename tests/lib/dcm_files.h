/* SPDX-License-Identifier: Apache-2.0 */
/* tests/lib/dcm_files.h -- every real file that pydicom ships, for tests. */
#ifndef VIVO_TEST_DCM_FILES_H
#define VIVO_TEST_DCM_FILES_H

#include "vivofs/file.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct test_files {
    char path[400][256];
    size_t n;
};

/* nftw has no context. */
static struct test_files *test_files_to;

static int test_files_note(const char *path, const struct stat *st VIVO_UNUSED,
                           int type, struct FTW *ftw VIVO_UNUSED)
{
    struct test_files *f = test_files_to;
    const char *dot = strrchr(path, '.');

    if (type != FTW_F || f->n == VIVO_ARRAY_LEN(f->path))
        return 0;
    /* Texts about the files lie beside them. */
    if (dot && (!strcmp(dot, ".txt") || !strcmp(dot, ".json") ||
                !strcmp(dot, ".dump") || !strcmp(dot, ".gz") || !strcmp(dot, ".py")))
        return 0;
    snprintf(f->path[f->n++], sizeof f->path[0], "%s", path);
    return 0;
}

/* malloc'd; the caller frees it. */
static inline struct test_files *test_files_all(void)
{
    struct test_files *f = calloc(1, sizeof *f);

    if (!f)
        abort();
    test_files_to = f;
    nftw(VIVO_TEST_PYDICOM "/test_files", test_files_note, 16, FTW_PHYS);
    nftw(VIVO_TEST_PYDICOM "/charset_files", test_files_note, 16, FTW_PHYS);
    return f;
}

static inline void test_file_read(const char *path, struct vivo_buf *out)
{
    vivo_buf_init(out, (size_t)16 << 20);
    if (vivo_file_read(path, out->max, out, NULL))
        abort();
}

#endif
