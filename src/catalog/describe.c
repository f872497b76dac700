/* SPDX-License-Identifier: Apache-2.0 */
/* src/catalog/describe.c -- more of what series have in common, learned from a table of
 * the archive after they were listed. */
#include "catalog/column.h"

#include <errno.h>

/* The series' record with more on top, and its study: 1 = there is nothing new. */
static int merged(struct vivo_writer *w, const struct vivo_described *d,
                  struct vivo_buf *out, vivo_row *study, struct vivo_err *err)
{
    sqlite3_stmt *st =
        vivo_catdb_stmt(&w->db, "SELECT parent, attrs FROM series WHERE id = ?1", err);
    struct vivo_attrs old;
    int rc;

    vivo_buf_clear(out);
    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, d->series);
    rc = vivo_catdb_step(&w->db, st, err);
    if (rc <= 0) /* removed meanwhile */
        return rc < 0 ? rc : 1;
    *study = sqlite3_column_int64(st, 0);
    old = vivo_catdb_column_attrs(st, 1);
    rc = vivo_attrs_merge(old, d->attrs, out) < 0
             ? vivo_fail(err, ENOMEM, "catalog: out of memory")
             : old.len == out->len && memcmp(old.data, out->data, out->len) == 0;
    sqlite3_reset(st);
    return rc;
}

static int describe_one(struct vivo_writer *w, const struct vivo_described *d,
                        struct vivo_buf *scratch, struct vivo_err *err)
{
    sqlite3_stmt *st;
    vivo_row study = 0;
    int rc = merged(w, d, scratch, &study, err);

    if (rc != 0)
        return rc < 0 ? rc : 0;
    st = vivo_catdb_stmt(&w->db, "UPDATE series SET attrs = ?2 WHERE id = ?1", err);
    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, d->series);
    vivo_catdb_blob(st, 2, scratch->data, scratch->len);
    rc = vivo_catdb_run(&w->db, st, err);
    w->dirty = true;
    if (rc < 0)
        return rc;
    return vivo_catalog_base_from_record(
        w, d->series, study, (struct vivo_attrs){scratch->data, scratch->len}, err);
}

int vivo_catalog_describe(struct vivo_catalog *c, const struct vivo_described *d,
                          size_t n, struct vivo_err *err)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf scratch = {0};
    int rc = vivo_catalog_write_begin(c, err);

    if (rc < 0)
        return rc;
    vivo_buf_init(&scratch, 2 * VIVO_ATTRS_MAX);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = describe_one(&c->w, &d[i], &scratch, err);
    return vivo_catalog_write_end(c, rc, true, err);
}
