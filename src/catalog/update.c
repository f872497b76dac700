/* SPDX-License-Identifier: Apache-2.0 */
/* src/catalog/update.c -- what is learned when an object is opened. */
#include "catalog/extra.h"

#include <errno.h>
#include <string.h>

/* The state of the series that an instance is in. */
static int series_of(struct vivo_writer *w, vivo_row instance, struct vivo_sstate **ss,
                     struct vivo_err *err)
{
    sqlite3_stmt *st =
        vivo_catdb_stmt(&w->db, "SELECT parent FROM instance WHERE id = ?1", err);
    int64_t parent = 0;
    int rc;

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, instance);
    rc = vivo_catdb_number(&w->db, st, 0, &parent, err);
    if (rc < 0)
        return rc;
    if (parent == 0)
        return vivo_fail(err, ENOENT, "catalog: instance #%lld is gone",
                         (long long)instance);
    return vivo_catalog_series_get(w, parent, ss, err);
}

/* Ends a change of one row: only real failures cost the batch that is open. */
static int end(struct vivo_catalog *c, int rc, struct vivo_err *err)
{
    bool gone = rc == -ENOENT;
    int ended = vivo_catalog_write_end(c, gone ? 0 : rc, true, gone ? NULL : err);

    return gone ? rc : ended;
}

struct row {
    int64_t size;
    bool exact, risk;
    int refusal;
};

static int read_row(struct vivo_writer *w, vivo_row instance, struct row *r,
                    struct vivo_err *err)
{
    sqlite3_stmt *st = vivo_catdb_stmt(
        &w->db, "SELECT size, exact, refusal, risk FROM instance WHERE id = ?1", err);
    int rc;

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, instance);
    rc = vivo_catdb_step(&w->db, st, err);
    if (rc <= 0)
        return rc < 0 ? rc : vivo_fail(err, EIO, "catalog: an instance is missing");
    r->size = sqlite3_column_int64(st, 0);
    r->exact = sqlite3_column_int(st, 1) != 0;
    r->refusal = sqlite3_column_int(st, 2);
    r->risk = sqlite3_column_int(st, 3) != 0;
    sqlite3_reset(st);
    return 0;
}

static int set_size(struct vivo_catalog *c, vivo_row instance, uint64_t size,
                    struct vivo_err *err)
{
    struct vivo_writer *w = &c->w;
    struct vivo_sstate *ss;
    struct row old = {0};
    sqlite3_stmt *st;
    int rc = series_of(w, instance, &ss, err);

    if (rc == 0)
        rc = read_row(w, instance, &old, err);
    if (rc < 0 || (old.exact && old.size == (int64_t)size))
        return rc;
    st = vivo_catdb_stmt(&w->db,
                         "UPDATE instance SET size = ?2, exact = 1 WHERE id = ?1", err);
    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, instance);
    vivo_catdb_int(st, 2, (int64_t)size);
    if (!old.refusal) {
        ss->bytes += (int64_t)size - old.size;
        ss->dirty = true;
    }
    return vivo_catdb_run(&w->db, st, err);
}

/* A size learned is no change of what is listed: the generation stays, or each first
 * open of a file would undo every selection and every directory that the kernel has. */
static int note_size(void *ctx, const struct vivo_entry *e)
{
    *(uint64_t *)ctx = e->size_exact ? e->size : 0;
    return 0;
}

/* Called at each opening of a kept object, when the size is mostly known: a look, so
 * that readers of the mount need not wait for the writer. */
int vivo_catalog_set_size(struct vivo_catalog *c, vivo_row instance, uint64_t size,
                          struct vivo_err *err)
{
    uint64_t known = 0;
    int rc =
        vivo_catalog_get(c, VIVO_LEVEL_INSTANCE, instance, note_size, &known, NULL);

    if (rc == -ENOENT)
        return vivo_catalog_extra_set_size(c, instance, size, err);
    if (rc == 0 && size != 0 && known == size)
        return 0;
    rc = vivo_catalog_write_begin(c, err);
    return rc < 0 ? rc : end(c, set_size(c, instance, size, err), err);
}

static int set_refusal(struct vivo_catalog *c, vivo_row instance, int refusal,
                       struct vivo_err *err)
{
    struct vivo_writer *w = &c->w;
    struct vivo_sstate *ss;
    struct row old = {0};
    sqlite3_stmt *st;
    int sign, rc = series_of(w, instance, &ss, err);

    if (rc == 0)
        rc = read_row(w, instance, &old, err);
    if (rc < 0 || old.refusal == refusal)
        return rc;
    st = vivo_catdb_stmt(&w->db, "UPDATE instance SET refusal = ?2 WHERE id = ?1", err);
    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, instance);
    vivo_catdb_int(st, 2, refusal);
    sign = (refusal == 0) - (old.refusal == 0);
    ss->open += sign;
    ss->bytes += sign * old.size;
    ss->risk += old.risk ? sign : 0;
    ss->dirty = ss->altered = w->dirty = true;
    return vivo_catdb_run(&w->db, st, err);
}

int vivo_catalog_set_refusal(struct vivo_catalog *c, vivo_row instance, int refusal,
                             struct vivo_err *err)
{
    int rc = vivo_catalog_write_begin(c, err);

    return rc < 0 ? rc : end(c, set_refusal(c, instance, refusal, err), err);
}

int vivo_catalog_restamp(struct vivo_catalog *c, const char *locator,
                         const char *version, struct vivo_err *err)
{
    struct vivo_writer *w = &c->w;
    struct vivo_digests id;
    sqlite3_stmt *st;
    int rc = vivo_catalog_seal(c, locator, version, &w->scratch, err);

    if (rc < 0)
        return rc;
    vivo_catalog_digests(c, locator, version, &id);
    st = vivo_catdb_stmt(
        &w->db, "UPDATE source SET stamp = ?2, sealed = ?3 WHERE lookup = ?1", err);
    if (!st)
        return -EIO;
    vivo_catdb_blob(st, 1, id.lookup, sizeof id.lookup);
    vivo_catdb_blob(st, 2, id.stamp, sizeof id.stamp);
    vivo_catdb_blob(st, 3, w->scratch.data, w->scratch.len);
    return vivo_catdb_run(&w->db, st, err);
}

static int same_uid(struct vivo_writer *w, vivo_row instance, const char *uid,
                    int64_t *same, struct vivo_err *err)
{
    sqlite3_stmt *st =
        vivo_catdb_stmt(&w->db, "SELECT uid = ?2 FROM instance WHERE id = ?1", err);

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, instance);
    vivo_catdb_text(st, 2, uid);
    return vivo_catdb_number(&w->db, st, 0, same, err);
}

static int replace(struct vivo_catalog *c, vivo_row instance,
                   const struct vivo_put *put, struct vivo_err *err)
{
    struct vivo_writer *w = &c->w;
    char uid[2 * VIVO_UID_MAX];
    struct vivo_sstate *ss;
    int64_t same = 0;
    int rc = series_of(w, instance, &ss, err);

    if (rc == 0)
        rc = vivo_catalog_update_instance(c, ss, instance, put, true, err);
    vivo_catalog_put_uid(c, put, uid, sizeof uid);
    if (rc == 0)
        rc = same_uid(w, instance, uid, &same, err);
    /* Another object altogether: without its stamp the next listing reads it again
     * and puts it where it belongs. */
    return rc == 0 && same && put->locator
               ? vivo_catalog_restamp(c, put->locator, put->version, err)
               : rc;
}

int vivo_catalog_replace(struct vivo_catalog *c, vivo_row instance,
                         const struct vivo_put *put, struct vivo_err *err)
{
    int rc = vivo_catalog_write_begin(c, err);

    return rc < 0 ? rc : end(c, replace(c, instance, put, err), err);
}
