/* SPDX-License-Identifier: Apache-2.0 */
/* src/cli/media.c -- a DICOMDIR over what `vivofs deid` wrote: the same files once more
 * under the names that PS3.10 section 8 allows, as hard links, and their directory. */
#include "cli.h"

#include "vivofs/file.h"
#include "vivofs/render.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ALL_MAX (1u << 31)
#define FILE_ID "DICOM/PA%06u/ST%06u/SE%06u/IM%06u"

struct entry {
    char *path, *id;
    struct vivo_buf attrs;
    char patient[256], study[VIVO_UID_MAX + 1], series[VIVO_UID_MAX + 1];
};

struct media {
    struct entry *entries;
    size_t n, cap;
};

void media_free(struct media *m)
{
    for (size_t i = 0; m && i < m->n; i++) {
        free(m->entries[i].path);
        free(m->entries[i].id);
        vivo_buf_free(&m->entries[i].attrs);
    }
    if (m)
        free(m->entries);
    free(m);
}

struct media *media_new(void)
{
    return calloc(1, sizeof(struct media));
}

static void take_text(struct vivo_attrs a, uint32_t tag, char *out, size_t cap)
{
    vivo_attrs_text(a, tag, out, cap);
}

int media_add(struct media *m, struct vivo_attrs a, const char *path)
{
    if (m->n == m->cap) {
        size_t cap = m->cap ? 2 * m->cap : 256;
        struct entry *more = reallocarray(m->entries, cap, sizeof *more);
        if (!more)
            return -ENOMEM;
        m->entries = more;
        m->cap = cap;
    }
    struct entry *e = &m->entries[m->n];
    memset(e, 0, sizeof *e);
    vivo_buf_init(&e->attrs, VIVO_ATTRS_MAX);
    e->path = strdup(path);
    if (!e->path)
        return -ENOMEM;
    m->n++;
    take_text(a, VIVO_TAG_PatientID, e->patient, sizeof e->patient);
    take_text(a, VIVO_TAG_StudyInstanceUID, e->study, sizeof e->study);
    take_text(a, VIVO_TAG_SeriesInstanceUID, e->series, sizeof e->series);
    return vivo_render_dicomdir_keys(a, &e->attrs);
}

/* By the names of the mount, so that numbers do not hang on the order of reading. */
static int compare(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int c = strcmp(x->patient, y->patient);
    if (!c)
        c = strcmp(x->study, y->study);
    if (!c)
        c = strcmp(x->series, y->series);
    return c ? c : strcmp(x->path, y->path);
}

static int name_all(struct media *m)
{
    unsigned at[4] = {0};
    if (m->n)
        qsort(m->entries, m->n, sizeof *m->entries, compare);
    for (size_t i = 0; i < m->n; i++) {
        struct entry *e = &m->entries[i], *last = i ? e - 1 : NULL;
        unsigned level = 3;
        if (!last || strcmp(last->patient, e->patient))
            level = 0;
        else if (strcmp(last->study, e->study))
            level = 1;
        else if (strcmp(last->series, e->series))
            level = 2;
        at[level]++;
        for (unsigned k = level + 1; k < 4; k++)
            at[k] = 1;
        if (asprintf(&e->id, FILE_ID, at[0], at[1], at[2], at[3]) < 0) {
            e->id = NULL;
            return -ENOMEM;
        }
    }
    return 0;
}

static int link_one(const struct entry *e, const char *out, struct vivo_err *err)
{
    VIVO_AUTO(vivo_free_p) char *to = NULL;
    if (asprintf(&to, "%s/%s", out, e->id) < 0)
        return vivo_fail(err, ENOMEM, "out of memory");
    char *slash = strrchr(to, '/');
    *slash = '\0';
    int rc = vivo_mkdirs(to, 0777, err);
    *slash = '/';
    if (rc)
        return rc;
    if ((unlink(to) && errno != ENOENT) || link(e->path, to))
        return vivo_fail(err, EIO, "%s: %s", to, strerror(errno));
    return 0;
}

static int render(const struct media *m, struct vivo_buf *text, size_t *left_out,
                  struct vivo_err *err)
{
    VIVO_AUTO(vivo_free_p)
    struct vivo_render_file *files = calloc(m->n + 1, sizeof *files);
    if (!files)
        return vivo_fail(err, ENOMEM, "out of memory");
    for (size_t i = 0; i < m->n; i++) {
        files[i].attrs =
            (struct vivo_attrs){m->entries[i].attrs.data, m->entries[i].attrs.len};
        files[i].file_id = m->entries[i].id;
    }
    return vivo_render_dicomdir(files, m->n, "", text, left_out, err);
}

int media_write(struct media *m, const char *out, size_t *left_out,
                struct vivo_err *err)
{
    VIVO_AUTO(vivo_free_p) char *path = NULL;
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf text = {0};
    vivo_buf_init(&text, ALL_MAX);
    int rc = name_all(m);
    if (rc || asprintf(&path, "%s/DICOMDIR", out) < 0)
        return vivo_fail(err, ENOMEM, "out of memory");
    for (size_t i = 0; !rc && i < m->n; i++)
        rc = link_one(&m->entries[i], out, err);
    if (!rc)
        rc = render(m, &text, left_out, err);
    return rc ? rc : vivo_file_write(path, text.data, text.len, 0644, err);
}
