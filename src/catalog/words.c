/* SPDX-License-Identifier: Apache-2.0 */
/* src/catalog/words.c -- what an archive says of a collection: its licence, and how to
 * cite it. */
#include "catalog/internal.h"

#include <errno.h>
#include <string.h>

/* One licence, whose names (short, long, URL) are parted by backslashes, as a line. */
static int add_line(struct vivo_buf *out, const char *license)
{
    int rc = 0;

    for (const char *p = license; rc == 0 && *p; p++)
        rc = *p == '\\' ? vivo_buf_puts(out, "; ") : vivo_buf_add(out, p, 1);
    return rc ? rc : vivo_buf_puts(out, "\n");
}

#define OF_SERIES(column)                                                              \
    "SELECT DISTINCT s." column " FROM patient p JOIN study t ON t.parent = p.id"      \
    " JOIN series s ON s.parent = t.id WHERE p.parent = ?1 AND s." column " <> ''"     \
    " ORDER BY 1"

static int of_series(struct vivo_catdb *d, const char *sql, vivo_row collection,
                     struct vivo_buf *out, struct vivo_err *err)
{
    sqlite3_stmt *st = vivo_catdb_stmt(d, sql, err);
    int rc;

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, collection);
    while ((rc = vivo_catdb_step(d, st, err)) == 1) {
        if (add_line(out, vivo_catdb_column_text(st, 0)) == 0)
            continue;
        sqlite3_reset(st);
        return vivo_fail(err, EIO, "catalog: the licences are too long");
    }
    return rc;
}

static int of_collection(struct vivo_catdb *d, vivo_row collection,
                         struct vivo_buf *license, struct vivo_buf *citation,
                         struct vivo_err *err)
{
    sqlite3_stmt *st = vivo_catdb_stmt(
        d, "SELECT license, citation FROM collection WHERE id = ?1", err);
    int rc;

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, collection);
    rc = vivo_catdb_step(d, st, err);
    if (rc <= 0)
        return rc < 0 ? rc : vivo_fail(err, ENOENT, "catalog: a collection is gone");
    rc = vivo_buf_puts(license, vivo_catdb_column_text(st, 0));
    if (rc == 0)
        rc = vivo_buf_puts(citation, vivo_catdb_column_text(st, 1));
    sqlite3_reset(st);
    return rc ? vivo_fail(err, EIO, "catalog: the words of a collection are too long")
              : 0;
}

int vivo_catalog_words(struct vivo_catalog *c, vivo_row collection,
                       struct vivo_buf *license, struct vivo_buf *citation,
                       struct vivo_err *err)
{
    struct vivo_catdb *d = vivo_catalog_reader(c, err);
    size_t had_license = license->len, had_citation = citation->len;
    int rc;

    if (!d)
        return -EIO;
    rc = of_collection(d, collection, license, citation, err);
    if (rc == 0 && license->len == had_license)
        rc = of_series(d, OF_SERIES("license"), collection, license, err);
    if (rc == 0 && citation->len == had_citation)
        rc = of_series(d, OF_SERIES("citation"), collection, citation, err);
    vivo_catalog_reader_done(c, d);
    return rc;
}

/* ---- of one object, to be told again ------------------------------------------------
 */

static int add_told(struct vivo_buf *to, const char *text)
{
    size_t n = strlen(text);

    while (n && (text[n - 1] == '\n' || text[n - 1] == '\r'))
        n--; /* the end of a file */
    return n ? vivo_buf_add(to, text, n) : 0;
}

static int add_all_told(sqlite3_stmt *st, struct vivo_attrs a, struct vivo_told *out)
{
    const char *patient = vivo_catdb_column_text(st, 1);
    int rc = add_told(&out->collection, vivo_catdb_column_text(st, 0));

    if (rc == 0 && !vivo_catalog_is_patient_key(a, patient))
        rc = add_told(&out->patient, patient);
    if (rc == 0)
        rc = add_told(&out->license, vivo_catdb_column_text(st, 2));
    return rc ? rc : add_told(&out->citation, vivo_catdb_column_text(st, 3));
}

int vivo_catalog_told(struct vivo_catalog *c, vivo_row instance, struct vivo_attrs a,
                      struct vivo_told *out, struct vivo_err *err)
{
    struct vivo_catdb *d = vivo_catalog_reader(c, err);
    sqlite3_stmt *st;
    int rc;

    if (!d)
        return -EIO;
    st = vivo_catdb_stmt(
        d,
        "SELECT c.key, p.key, coalesce(s.license, c.license),"
        " coalesce(s.citation, c.citation) FROM instance i JOIN series s ON"
        " s.id = i.parent JOIN study t ON t.id = s.parent JOIN patient p ON"
        " p.id = t.parent JOIN collection c ON c.id = p.parent WHERE i.id = ?1",
        err);
    if (st)
        vivo_catdb_int(st, 1, instance);
    rc = st ? vivo_catdb_step(d, st, err) : -EIO;
    if (rc == 1 && add_all_told(st, a, out))
        rc = vivo_fail(err, EIO, "catalog: what is told of an object is too long");
    else if (rc == 0)
        rc = vivo_fail(err, ENOENT, "catalog: an instance is gone");
    if (st)
        sqlite3_reset(st);
    vivo_catalog_reader_done(c, d);
    return VIVO_MIN(rc, 0);
}

/* ---- writing ------------------------------------------------------------------------
 */

int vivo_catalog_write_words(struct vivo_writer *w, const struct vivo_put *put,
                             enum vivo_level level, vivo_row id, struct vivo_err *err)
{
    bool series = level == VIVO_LEVEL_SERIES;
    sqlite3_stmt *st = vivo_catdb_stmt(
        &w->db,
        series ? "UPDATE series SET license = ?2, citation = ?3 WHERE id = ?1"
                 " AND (license IS NOT ?2 OR citation IS NOT ?3)"
               : "UPDATE collection SET license = ?2, citation = ?3 WHERE id = ?1"
                 " AND (license IS NOT ?2 OR citation IS NOT ?3)",
        err);
    int rc;

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, id);
    vivo_catdb_text(st, 2, put->license);
    vivo_catdb_text(st, 3, put->citation);
    rc = vivo_catdb_run(&w->db, st, err);
    w->dirty = w->dirty || (rc == 0 && sqlite3_changes(w->db.db) > 0);
    return rc;
}
