/* SPDX-License-Identifier: Apache-2.0 */
/* src/catalog/number.c -- file names that hang on the whole of a series (names=tcia).
 *
 * Members come in one by one under names of our own; when a listing is complete, those
 * of every series that has changed are counted through, in the transaction that shows
 * them. A series whose archive does not tell the numbers of images before they are
 * fetched keeps our names: counting them in another order would swap slices. */
#include "catalog/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct member {
    vivo_row row;
    char uid[VIVO_UID_MAX + 16], u[64], name[VIVO_NAME_MAX + 1];
    long instance, acquisition;
    bool has_instance, has_acquisition;
};

struct members {
    struct member *list;
    size_t n, cap;
    bool unknown; /* of one the number is not known */
};

static bool number_in(struct vivo_attrs base, struct vivo_attrs diff, uint32_t tag,
                      long *out)
{
    struct vivo_attr e;
    char text[32], *end;
    long long v;

    /* What the difference has, be it nothing, counts. */
    if (!vivo_attrs_text(vivo_attrs_find(diff, tag, &e) ? diff : base, tag, text,
                         sizeof text))
        return false;
    errno = 0;
    v = strtoll(text, &end, 10);
    if (errno || *end || v < INT32_MIN || v > INT32_MAX)
        return false;
    *out = (long)v;
    return true;
}

static int add_member(struct members *m, sqlite3_stmt *st, struct vivo_attrs base)
{
    struct vivo_attrs diff = vivo_catdb_column_attrs(st, 5);
    struct member *to;

    struct member *list =
        vivo_array_grow(m->list, m->n, &m->cap, sizeof *list, VIVO_ARRAY_MAX);
    if (!list)
        return -ENOMEM;
    m->list = list;
    to = &m->list[m->n++];
    *to = (struct member){.row = sqlite3_column_int64(st, 0)};
    snprintf(to->uid, sizeof to->uid, "%s", vivo_catdb_column_text(st, 1));
    snprintf(to->u, sizeof to->u, "%s", vivo_catdb_column_text(st, 2));
    snprintf(to->name, sizeof to->name, "%s", vivo_catdb_column_text(st, 3));
    to->has_instance = number_in(base, diff, VIVO_TAG_InstanceNumber, &to->instance);
    to->has_acquisition =
        number_in(base, diff, VIVO_TAG_AcquisitionNumber, &to->acquisition);
    m->unknown = m->unknown || (!to->has_instance && !sqlite3_column_int(st, 4));
    return 0;
}

static int read_members(struct vivo_writer *w, vivo_row series, struct vivo_attrs base,
                        struct members *m, struct vivo_err *err)
{
    sqlite3_stmt *st =
        vivo_catdb_stmt(&w->db,
                        "SELECT i.id, i.uid, i.u, i.name, i.headers, d.attrs"
                        " FROM instance i LEFT JOIN diff d ON d.id = i.id"
                        " WHERE i.parent = ?1",
                        err);
    int rc;

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, series);
    while ((rc = vivo_catdb_step(&w->db, st, err)) == 1) {
        if (add_member(m, st, base) == 0)
            continue;
        sqlite3_reset(st);
        return vivo_fail(err, ENOMEM, "catalog: out of memory");
    }
    return rc;
}

/* Those without a number first; what is left to chance elsewhere is decided by UID. */
static int by_number(const void *a, const void *b)
{
    const struct member *x = a, *y = b;

    if (x->has_instance != y->has_instance)
        return x->has_instance ? 1 : -1;
    if (x->instance != y->instance)
        return x->instance < y->instance ? -1 : 1;
    int c = strcmp(x->uid, y->uid);
    return c ? c : strcmp(x->u, y->u);
}

static const long *acquisition_of(const struct member *m)
{
    return m->has_acquisition ? &m->acquisition : NULL;
}

static int set_name(struct vivo_writer *w, vivo_row row, const char *name,
                    struct vivo_err *err)
{
    sqlite3_stmt *st =
        vivo_catdb_stmt(&w->db, "UPDATE instance SET name = ?2 WHERE id = ?1", err);

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, row);
    vivo_catdb_text(st, 2, name);
    return vivo_catdb_run(&w->db, st, err);
}

/* Names are unique at any moment: all that change make room first. */
static int rename_members(struct vivo_writer *w, struct members *m,
                          struct vivo_err *err)
{
    struct vivo_numbering count = {0};
    int rc = 0;

    for (size_t i = 0; i < m->n; i++)
        vivo_numbering_width(&count, acquisition_of(&m->list[i]),
                             m->list[i].has_instance ? &m->list[i].instance : NULL);
    for (size_t i = 0; rc == 0 && i < m->n; i++) {
        char name[VIVO_NAME_MAX + 1], aside[32];
        vivo_numbering_name(&count, acquisition_of(&m->list[i]), name);
        if (strcmp(name, m->list[i].name) == 0) {
            m->list[i].row = 0;
            continue;
        }
        memcpy(m->list[i].name, name, sizeof name);
        snprintf(aside, sizeof aside, "\x1f%lld", (long long)m->list[i].row);
        rc = set_name(w, m->list[i].row, aside, err);
        w->dirty = true;
    }
    for (size_t i = 0; rc == 0 && i < m->n; i++)
        if (m->list[i].row)
            rc = set_name(w, m->list[i].row, m->list[i].name, err);
    return rc;
}

static int number_series(struct vivo_writer *w, vivo_row series, struct vivo_buf *base,
                         struct members *m, struct vivo_err *err)
{
    sqlite3_stmt *st =
        vivo_catdb_stmt(&w->db, "SELECT attrs FROM base WHERE id = ?1", err);
    struct vivo_attrs a;
    int rc;

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, series);
    rc = vivo_catdb_step(&w->db, st, err);
    if (rc < 0)
        return rc;
    vivo_buf_clear(base);
    a = rc ? vivo_catdb_column_attrs(st, 0) : (struct vivo_attrs){NULL, 0};
    rc = a.len && vivo_buf_add(base, a.data, a.len) < 0
             ? vivo_fail(err, ENOMEM, "catalog: out of memory")
             : 0;
    sqlite3_reset(st);
    m->n = 0;
    m->unknown = false;
    if (rc == 0)
        rc =
            read_members(w, series, (struct vivo_attrs){base->data, base->len}, m, err);
    if (rc < 0 || m->unknown || m->n == 0)
        return rc;
    qsort(m->list, m->n, sizeof *m->list, by_number);
    return rename_members(w, m, err);
}

/* Packing follows a listing, so what is not packed is new or has changed, or cannot be
 * packed and is looked at again. */
static int changed_series(struct vivo_writer *w, enum vivo_level level, vivo_row row,
                          struct vivo_rowset *out, struct vivo_err *err)
{
    sqlite3_stmt *st = vivo_catalog_series_below(&w->db, level, row, err);
    int rc;

    if (!st)
        return -EIO;
    while ((rc = vivo_catdb_step(&w->db, st, err)) == 1) {
        if (sqlite3_column_int(st, COL_PACKED) ||
            !sqlite3_column_int64(st, COL_MEMBERS))
            continue;
        if (vivo_catalog_rowset_add(out, sqlite3_column_int64(st, COL_ID)) == 0)
            continue;
        sqlite3_reset(st);
        return vivo_fail(err, ENOMEM, "catalog: out of memory");
    }
    return rc;
}

int vivo_catalog_number(struct vivo_writer *w, enum vivo_level level, vivo_row row,
                        struct vivo_err *err)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf base = {0};
    struct vivo_rowset series = {NULL, 0, 0};
    struct members m = {0};
    int rc;

    if (w->names != VIVO_NAMES_TCIA)
        return 0;
    vivo_buf_init(&base, VIVO_ATTRS_MAX);
    rc = changed_series(w, level, row, &series, err);
    for (size_t i = 0; rc == 0 && i < series.n; i++)
        rc = number_series(w, series.rows[i], &base, &m, err);
    free(series.rows);
    free(m.list);
    return rc;
}
