/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/catalog_fixture.h -- catalogs in a private directory, records made of a
 * few words, and the tree as a text. */
#ifndef VIVOFS_TEST_CATALOG_FIXTURE_H
#define VIVOFS_TEST_CATALOG_FIXTURE_H

#include "vivofs/catalog.h"
#include "vivofs/hash.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t seal_key[32] = {1, 2, 3}, lookup_key[32] = {4, 5, 6};

struct dir {
    char path[64];
    char db[96];
};

static inline void dir_make(struct dir *d)
{
    snprintf(d->path, sizeof d->path, "/tmp/vivofs-test-XXXXXX");
    assert_non_null(mkdtemp(d->path));
    snprintf(d->db, sizeof d->db, "%s/sub/catalog.db", d->path);
}

static inline void dir_remove(struct dir *d)
{
    static const char *const names[] = {"",     "-wal",     "-shm",     ".damaged",
                                        ".bad", ".bad-wal", ".bad-shm", ".lock"};
    char buf[160];

    for (size_t i = 0; i < VIVO_ARRAY_LEN(names); i++) {
        snprintf(buf, sizeof buf, "%s%s", d->db, names[i]);
        unlink(buf);
    }
    snprintf(buf, sizeof buf, "%s/sub", d->path);
    rmdir(buf);
    rmdir(d->path);
}

static inline struct vivo_catalog *catalog_at(const char *path, bool sealed)
{
    struct vivo_catalog_config cfg = {.path = path};
    struct vivo_catalog *c = NULL;
    struct vivo_err err = {0};

    if (sealed) {
        cfg.seal_key = seal_key;
        cfg.lookup_key = lookup_key;
    }
    if (vivo_catalog_open(&cfg, &c, &err) < 0)
        fail_msg("%s", err.text);
    return c;
}

struct object {
    const char *patient, *issuer, *study, *series, *uid; /* NULL = absent */
    const char *modality, *date, *study_text, *series_text, *series_number, *number;
    const char *thickness, *image_type;
};

static inline void add_attr(struct vivo_buf *b, uint32_t tag, const char *vr,
                            const char *value)
{
    if (value)
        assert_int_equal(vivo_attrs_put(b, tag, vr, value, strlen(value)), 0);
}

static inline void object_attrs(const struct object *o, struct vivo_buf *b)
{
    vivo_buf_clear(b);
    add_attr(b, VIVO_TAG_ImageType, "CS", o->image_type);
    add_attr(b, VIVO_TAG_SOPInstanceUID, "UI", o->uid);
    add_attr(b, VIVO_TAG_StudyDate, "DA", o->date);
    add_attr(b, VIVO_TAG_Modality, "CS", o->modality);
    add_attr(b, VIVO_TAG_StudyDescription, "LO", o->study_text);
    add_attr(b, VIVO_TAG_SeriesDescription, "LO", o->series_text);
    add_attr(b, VIVO_TAG_PatientID, "LO", o->patient);
    add_attr(b, VIVO_TAG_IssuerOfPatientID, "LO", o->issuer);
    add_attr(b, VIVO_TAG_SliceThickness, "DS", o->thickness);
    add_attr(b, VIVO_TAG_StudyInstanceUID, "UI", o->study);
    add_attr(b, VIVO_TAG_SeriesInstanceUID, "UI", o->series);
    add_attr(b, VIVO_TAG_SeriesNumber, "IS", o->series_number);
    add_attr(b, VIVO_TAG_InstanceNumber, "IS", o->number);
}

/* The last that a listing was begun of: its columns are made at the end of it. */
static struct vivo_catalog *listed;

static inline struct vivo_listing *list_begin(struct vivo_catalog *c,
                                              enum vivo_level level, vivo_row row)
{
    struct vivo_listing *l = NULL;
    struct vivo_err err = {0};

    listed = c;
    if (vivo_catalog_list_begin(c, level, row, &l, &err) < 0)
        fail_msg("%s", err.text);
    return l;
}

/* Returns what vivo_listing_put returns; other failures than EEXIST fail the test. */
static inline int put_with(struct vivo_listing *l, struct vivo_put put,
                           const struct object *o, vivo_row *row)
{
    struct vivo_buf b;
    struct vivo_err err = {0};
    vivo_row r = 0;
    int rc;

    vivo_buf_init(&b, VIVO_ATTRS_MAX);
    object_attrs(o, &b);
    put.attrs = (struct vivo_attrs){b.data, b.len};
    rc = vivo_listing_put(l, &put, &r, &err);
    if (rc < 0 && rc != -EEXIST)
        fail_msg("put: %s", err.text);
    if (row)
        *row = r;
    vivo_buf_free(&b);
    return rc;
}

/* A file with its whole header, as the folder driver gives it. */
static inline vivo_row put_file(struct vivo_listing *l, const char *locator,
                                const char *version, const struct object *o)
{
    struct vivo_put put = {.level = VIVO_LEVEL_INSTANCE,
                           .locator = locator,
                           .version = version,
                           .size = 1000,
                           .size_exact = true,
                           .headers = true};
    vivo_row row;

    assert_int_equal(put_with(l, put, o, &row), 0);
    return row;
}

static inline void list_end(struct vivo_listing *l, bool complete)
{
    struct vivo_err err = {0};

    if (vivo_listing_end(l, complete, &err) < 0 || vivo_catalog_pack(listed, &err) < 0)
        fail_msg("end: %s", err.text);
}

/* ---- the tree as a text -------------------------------------------------------------
 */

struct walk {
    struct vivo_catalog *c;
    const struct vivo_selection *sel;
    struct vivo_buf *out;
    struct vivo_entry rows[4096];
    char names[4096][VIVO_NAME_MAX + 1];
    size_t n;
};

static inline int walk_add(void *ctx, const struct vivo_entry *e)
{
    struct walk *w = ctx;

    assert_true(w->n < VIVO_ARRAY_LEN(w->rows));
    w->rows[w->n] = *e;
    snprintf(w->names[w->n], sizeof w->names[0], "%s", e->name);
    w->n++;
    return 0;
}

static inline void walk_below(struct vivo_catalog *c, const struct vivo_selection *sel,
                              enum vivo_level level, vivo_row row, const char *prefix,
                              struct vivo_buf *out)
{
    struct walk *w = malloc(sizeof *w);
    struct vivo_err err = {0};
    size_t cap = strlen(prefix) + VIVO_NAME_MAX + 2;
    char *path = malloc(cap);

    assert_non_null(path);
    assert_non_null(w);
    w->n = 0;
    if (vivo_catalog_children(c, level, row, sel, walk_add, w, &err) < 0)
        fail_msg("children: %s", err.text);
    for (size_t i = 0; i < w->n; i++) {
        snprintf(path, cap, "%s/%s", prefix, w->names[i]);
        assert_int_equal(w->rows[i].level, level + 1);
        if (level + 1 == VIVO_LEVEL_INSTANCE)
            vivo_buf_printf(out, "%s\n", path);
        else
            walk_below(c, sel, level + 1, w->rows[i].row, path, out);
    }
    if (w->n == 0 && level < VIVO_LEVEL_INSTANCE && level > VIVO_LEVEL_NONE)
        vivo_buf_printf(out, "%s/\n", prefix);
    free(w);
    free(path);
}

/* Paths of all instances (and of empty directories), one a line; caller frees. */
static inline char *tree_text(struct vivo_catalog *c, const struct vivo_selection *sel)
{
    struct vivo_buf b;

    vivo_buf_init(&b, 64u << 20);
    walk_below(c, sel, VIVO_LEVEL_NONE, 0, "", &b);
    return b.data ? (char *)b.data : strdup("");
}

struct one {
    struct vivo_entry e;
    char name[VIVO_NAME_MAX + 1];
    int n;
};

static inline int take_one(void *ctx, const struct vivo_entry *e)
{
    struct one *o = ctx;

    o->e = *e;
    snprintf(o->name, sizeof o->name, "%s", e->name);
    o->n++;
    return 0;
}

static inline struct one get_row(struct vivo_catalog *c, enum vivo_level level,
                                 vivo_row row)
{
    struct one o = {.n = 0};
    struct vivo_err err = {0};

    if (vivo_catalog_get(c, level, row, take_one, &o, &err) < 0)
        fail_msg("get: %s", err.text);
    assert_int_equal(o.n, 1);
    return o;
}

/* The row at `level` above an instance. */
static inline vivo_row row_above(struct vivo_catalog *c, vivo_row instance,
                                 enum vivo_level level)
{
    enum vivo_level l = VIVO_LEVEL_INSTANCE;
    vivo_row row = instance;

    while (l > level) {
        row = get_row(c, l, row).e.parent;
        l--;
    }
    return row;
}

#endif
