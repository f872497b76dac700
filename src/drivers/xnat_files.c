/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/xnat_files.c -- the files of a scan, or of a session, assessor, subject
 * or project itself: of all its resources, in one request.
 *
 * Rows come in any order and may name one file twice; a scan asked for by its id also
 * brings the files of scans whose type is called so. What is DICOM the archive says:
 * the resource is called so, or the format of the file is. */
#include "crawl.h"
#include "xnat.h"

#include "vivofs/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define FILES_MAX (4u << 20)
#define ARENA_BYTES (1u << 30)

struct row { /* all in the arena */
    const char *key, *resource, *file, *version;
    uint64_t size;
    bool dicom;
};

struct files {
    const struct xnat_place *owner;
    const char *folder;
    struct xnat_file one; /* being read, or given */
    struct vivo_arena *arena;
    struct row *rows;
    size_t count, cap, nameless;
};

static const char *copy(struct files *f, const char *s)
{
    return vivo_arena_strndup(f->arena, s, strlen(s));
}

static int keep(struct files *f, struct vivo_err *err)
{
    struct row *rows =
        vivo_array_grow(f->rows, f->count, &f->cap, sizeof *rows, FILES_MAX);
    if (!rows)
        return vivo_fail(err, f->count >= FILES_MAX ? EIO : ENOMEM,
                         "too many files in one scan");
    f->rows = rows;
    const struct row r = {.key = copy(f, f->one.key),
                          .resource = copy(f, f->one.place.resource),
                          .file = copy(f, f->one.place.file),
                          .version = copy(f, f->one.version),
                          .size = f->one.size,
                          .dicom = f->one.dicom};
    if (!r.key || !r.resource || !r.file || !r.version)
        return vivo_fail(err, ENOMEM, "xnat: out of memory");
    f->rows[f->count++] = r;
    return 0;
}

/* Outside of scans nobody sorts them: what is called so in any way is looked at. */
static bool may_be_dicom(const char *format, const char *resource, const char *name)
{
    static const char *const words[] = {"dicom", "dcm",    "rtstruct",
                                        "seg",   "rtdose", "rtplan"};
    const char *dot = strrchr(name, '.');
    if (dot && (strcasecmp(dot, ".dcm") == 0 || strcasecmp(dot, ".ima") == 0))
        return true;
    if (dot && vivo_crawl_is_surely_other(name))
        return false;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(words); i++)
        if (strcasecmp(format[0] ? format : resource, words[i]) == 0)
            return true;
    return strcasecmp(format, "application/dicom") == 0;
}

static bool is_dicom(const json_t *row, const char *collection,
                     const struct xnat_place *p)
{
    char format[32];
    vivo_xnat_text(row, "file_format", format, sizeof format);
    if (p->owner != XNAT_SCAN)
        return may_be_dicom(format, collection, p->file);
    if (format[0])
        return strcasecmp(format, "DICOM") == 0;
    return strcasecmp(collection, "DICOM") == 0 ||
           strcasecmp(collection, "secondary") == 0;
}

/* The digest when the archive has one; a size that changed is a change, too. */
static void read_version(const json_t *row, struct xnat_file *f)
{
    char size[24];
    char digest[40];
    vivo_xnat_text(row, "Size", size, sizeof size);
    vivo_xnat_text(row, "digest", digest, sizeof digest);
    if (size[0] && strspn(size, "0123456789") == strlen(size) && strlen(size) < 16)
        f->size = strtoull(size, NULL, 10);
    if (digest[0] && strspn(digest, "0123456789abcdefABCDEF") == strlen(digest))
        snprintf(f->version, sizeof f->version, "%s", digest);
    else if (f->size)
        snprintf(f->version, sizeof f->version, "%llu", (unsigned long long)f->size);
}

/* With session and scan, so that files of different scans have different names. */
static void make_key(struct xnat_file *f, const char *folder, const char *resource)
{
    if (f->place.owner != XNAT_SCAN)
        snprintf(f->key, sizeof f->key, "%.*s%s%s%s", 2 * XNAT_ID_MAX, folder, resource,
                 resource[0] ? "/" : "", f->place.file);
    else
        snprintf(f->key, sizeof f->key, "%s/%s/%s/%s", f->place.session, f->place.scan,
                 resource, f->place.file);
}

static int take_row(void *ctx, json_t *row, struct vivo_err *err)
{
    struct files *f = ctx;
    char uri[2 * XNAT_URL_MAX];
    char name[XNAT_FILE_MAX + 1];
    char collection[XNAT_ID_MAX + 1];
    struct xnat_file *one = &f->one;
    *one = (struct xnat_file){.place = *f->owner};
    vivo_xnat_text(row, "URI", uri, sizeof uri);
    vivo_xnat_text(row, "Name", name, sizeof name);
    vivo_xnat_text(row, "collection", collection, sizeof collection);
    enum xnat_uri kind = vivo_xnat_file_uri(uri, name, &one->place);
    f->nameless += kind == XNAT_URI_BAD;
    if (kind != XNAT_URI_FILE)
        return 0;
    make_key(one, f->folder, collection[0] ? collection : one->place.resource);
    one->dicom = is_dicom(row, collection, &one->place);
    read_version(row, one);
    return keep(f, err);
}

static int compare(const void *a, const void *b)
{
    const struct row *x = a;
    const struct row *y = b;
    int c = strcmp(x->key, y->key);
    return c ? c : strcmp(x->resource, y->resource);
}

/* Two resources of one name: told apart by what the server addresses them with. */
static void fill(struct files *f, const struct row *r, bool again)
{
    struct xnat_file *one = &f->one;
    *one = (struct xnat_file){.place = *f->owner, .size = r->size, .dicom = r->dicom};
    snprintf(one->place.resource, sizeof one->place.resource, "%s", r->resource);
    snprintf(one->place.file, sizeof one->place.file, "%s", r->file);
    snprintf(one->version, sizeof one->version, "%s", r->version);
    if (again)
        make_key(one, f->folder, r->resource);
    else
        snprintf(one->key, sizeof one->key, "%s", r->key);
}

static int give(struct files *f, xnat_file_fn *fn, void *ctx, struct vivo_op *op)
{
    int rc = 0;
    if (f->count > 1)
        qsort(f->rows, f->count, sizeof *f->rows, compare);
    for (size_t i = 0; rc == 0 && i < f->count; i++) {
        const struct row *r = &f->rows[i];
        bool again = i > 0 && strcmp(r->key, r[-1].key) == 0;
        if (again && strcmp(r->resource, r[-1].resource) == 0)
            continue;
        fill(f, r, again);
        rc = vivo_op_check(op);
        if (rc == 0)
            rc = fn(ctx, &f->one, op);
    }
    return rc;
}

static const char *what_of(enum xnat_owner owner)
{
    static const char *const whats[] = {[XNAT_SCAN] = "files of a scan",
                                        [XNAT_SESSION] = "files of a session",
                                        [XNAT_ASSESSOR] = "files of an assessor",
                                        [XNAT_PROJECT] = "files of a project",
                                        [XNAT_SUBJECT] = "files of a subject"};
    return whats[owner];
}

int vivo_xnat_files(struct xnat *x, const struct xnat_place *owner, const char *folder,
                    xnat_file_fn *fn, void *ctx, int *status, struct vivo_op *op)
{
    struct files f = {
        .owner = owner, .folder = folder, .arena = vivo_arena_new(ARENA_BYTES)};
    const char *what = what_of(owner->owner);
    char path[XNAT_URL_MAX];
    int reply;
    vivo_xnat_home(owner, path);
    size_t n = strlen(path);
    snprintf(path + n, sizeof path - n, "/files?format=json");
    int rc = f.arena ? vivo_xnat_table(x, what, path, take_row, &f,
                                       status ? status : &reply, op)
                     : vivo_fail(&op->err, ENOMEM, "xnat: out of memory");
    if (rc == -ENOENT) { /* it was listed a moment ago */
        op->err.errnum = EIO;
        rc = -EIO;
    }
    if (rc == 0)
        rc = give(&f, fn, ctx, op);
    if (rc == 0 && f.nameless)
        vivo_log(VIVO_LOG_WARN, "drivers.xnat",
                 "%zu %s have names that cannot be asked for: left out", f.nameless,
                 what);
    free(f.rows);
    vivo_arena_free(f.arena);
    return rc;
}
