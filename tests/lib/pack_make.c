/* SPDX-License-Identifier: Apache-2.0 */
/* tests/lib/pack_make.c -- see pack_make.h. */
#include "pack_make.h"
#include "folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <archive.h>
#include <archive_entry.h>
#include <string.h>

/* ---- writing archives ------------------------------------------------------------ */

const struct kind kinds[] = {
    {"a.zip", true, NULL, "zip:compression=deflate"},
    {"stored.zip", true, NULL, "zip:compression=store"},
    {"a.tar", false, NULL, NULL},
    {"a.tar.gz", false, "gzip", NULL},
    {"a.tgz", false, "gzip", NULL},
    {"a.tar.bz2", false, "bzip2", NULL},
    {"a.tar.xz", false, "xz", "xz:compression-level=0"},
    {"a.tar.zst", false, "zstd", NULL},
};
const size_t n_kinds = VIVO_ARRAY_LEN(kinds);

void pen_open(struct pen *p, const struct kind *k)
{
    p->dir = folder_new();
    p->path = folder_path(p->dir, k->name);
    p->a = archive_write_new();
    assert_int_equal(k->zip ? archive_write_set_format_zip(p->a)
                            : archive_write_set_format_gnutar(p->a),
                     ARCHIVE_OK);
    if (k->filter)
        assert_int_equal(archive_write_add_filter_by_name(p->a, k->filter), ARCHIVE_OK);
    if (k->options)
        assert_int_equal(archive_write_set_options(p->a, k->options), ARCHIVE_OK);
    if (k->options && strstr(k->options, "encryption"))
        assert_int_equal(archive_write_set_passphrase(p->a, "secret"), ARCHIVE_OK);
    assert_int_equal(archive_write_open_filename(p->a, p->path), ARCHIVE_OK);
}

void pen_entry(struct pen *p, const char *name, unsigned type, uint64_t size,
               const char *link)
{
    struct archive_entry *e = archive_entry_new();

    archive_entry_copy_pathname(e, name);
    archive_entry_set_filetype(e, type);
    archive_entry_set_perm(e, 0644);
    archive_entry_set_size(e, (int64_t)size);
    if (link && type == AE_IFLNK)
        archive_entry_copy_symlink(e, link);
    else if (link)
        archive_entry_copy_hardlink(e, link);
    assert_true(archive_write_header(p->a, e) >= ARCHIVE_WARN);
    archive_entry_free(e);
}

void pen_data(struct pen *p, const void *data, size_t len)
{
    assert_int_equal(archive_write_data(p->a, data, len), len);
}

void pen_file(struct pen *p, const char *name, const void *data, size_t len)
{
    pen_entry(p, name, AE_IFREG, len, NULL);
    pen_data(p, data, len);
}

void pen_close(struct pen *p)
{
    if (p->a)
        assert_int_equal(archive_write_free(p->a), ARCHIVE_OK);
    p->a = NULL;
}

void pen_free(struct pen *p)
{
    pen_close(p);
    free(p->path);
    folder_free(p->dir);
}

uint8_t *make_object(size_t len, unsigned n)
{
    static const uint8_t start[] = {'D', 'I', 'C', 'M', 2, 0, 0, 0, 'U', 'L', 4, 0,
                                    0,   0,   0,   0,   2, 0, 1, 0, 'O', 'B', 0, 0};
    uint8_t *b = calloc(1, len);

    assert_non_null(b);
    memcpy(b + 128, start, sizeof start);
    for (size_t i = 160; i < len; i++)
        b[i] = (uint8_t)((i * 2654435761u) >> 13 ^ n * 97);
    memcpy(b + 156, &n, sizeof n);
    return b;
}

void pen_object(struct pen *p, const char *name, size_t len, unsigned n)
{
    uint8_t *b = make_object(len, n);

    pen_file(p, name, b, len);
    free(b);
}

/* ---- reading --------------------------------------------------------------------- */

int try_open(const char *path, struct vivo_archive **a, struct vivo_err *err)
{
    struct vivo_archive_config cfg = {.source = path};

    *a = NULL;
    *err = (struct vivo_err){0};
    return vivo_archive_open(&cfg, a, err);
}

struct vivo_archive *open_archive(const char *path)
{
    struct vivo_archive *a;
    struct vivo_err err;

    assert_int_equal(try_open(path, &a, &err), 0);
    assert_string_equal(a->driver->name, "pack");
    return a;
}

static int fetch_one(struct vivo_archive *a, const char *locator, struct receipt *r)
{
    struct vivo_op op;

    vivo_op_init(&op, 0);
    receipt_init(r, true, &op);
    int rc = vivo_archive_fetch(a, locator, &r->base, &op);
    r->op = NULL;
    receipt_read(r);
    return rc;
}

int fetch_code(struct vivo_archive *a, const char *locator)
{
    struct receipt r;
    int rc = fetch_one(a, locator, &r);

    if (rc < 0)
        assert_int_equal(r.bytes.len, 0);
    receipt_free(&r);
    return rc;
}

void assert_object(struct vivo_archive *a, const char *locator, size_t len, unsigned n)
{
    struct receipt r;
    uint8_t *want = make_object(len, n);

    assert_int_equal(fetch_one(a, locator, &r), 0);
    assert_int_equal(r.bytes.len, len);
    assert_memory_equal(r.bytes.data, want, len);
    receipt_free(&r);
    free(want);
}
