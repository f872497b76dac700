/* SPDX-License-Identifier: Apache-2.0 */
/* src/catalog/search.c -- what an archive was asked instead of being listed, kept for
 * the next mount: the series (column `rows`) and studies (`seen`) that it brought. Row
 * numbers are never used again, so what has gone since is no wrong answer. */
#include "catalog/internal.h"

#include "vivofs/search.h"

#include <errno.h>
#include <string.h>

#define KEPT_MAX 2048
#define ROWS_MAX                                                                       \
    ((size_t)1 << 20) /* of one search; of more the session's memory knows */

static void pack(const vivo_row *rows, size_t n, uint8_t *out)
{
    for (size_t i = 0; i < n; i++) {
        vivo_put_le32(out + 8 * i, (uint32_t)rows[i]);
        vivo_put_le32(out + 8 * i + 4, (uint32_t)((uint64_t)rows[i] >> 32));
    }
}

static void unpack(struct vivo_attrs packed, vivo_row *out)
{
    for (size_t i = 0; i < packed.len / 8; i++)
        out[i] = (vivo_row)((uint64_t)vivo_le32(packed.data + 8 * i + 4) << 32 |
                            vivo_le32(packed.data + 8 * i));
}

static int insert(struct vivo_writer *w, const uint8_t *key,
                  const struct vivo_search *s, const uint8_t *packed,
                  struct vivo_err *err)
{
    sqlite3_stmt *st =
        vivo_catdb_stmt(&w->db,
                        "INSERT OR REPLACE INTO search(key, at, unable, upto, rows,"
                        " seen) VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
                        err);
    int rc;

    if (!st)
        return -EIO;
    vivo_catdb_blob(st, 1, key, VIVO_DIGEST_LEN);
    vivo_catdb_int(st, 2, s->at_ms);
    vivo_catdb_int(st, 3, s->unable);
    vivo_catdb_int(st, 4, s->upto);
    vivo_catdb_blob(st, 5, packed, 8 * s->nseries);
    vivo_catdb_blob(st, 6, packed + 8 * s->nseries, 8 * s->nstudies);
    rc = vivo_catdb_run(&w->db, st, err);
    if (rc < 0)
        return rc;
    st = vivo_catdb_stmt(&w->db,
                         "DELETE FROM search WHERE at < (SELECT at FROM search"
                         " ORDER BY at DESC LIMIT 1 OFFSET ?1)",
                         err);
    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, KEPT_MAX);
    return vivo_catdb_run(&w->db, st, err);
}

int vivo_catalog_search_keep(struct vivo_catalog *c, const uint8_t *key,
                             const struct vivo_search *s, struct vivo_err *err)
{
    VIVO_AUTO(vivo_free_p) uint8_t *packed = NULL;
    int rc;

    if (s->nseries + s->nstudies > ROWS_MAX)
        return 0;
    packed = malloc(8 * (s->nseries + s->nstudies) + 1);
    if (!packed)
        return vivo_fail(err, ENOMEM, "catalog: out of memory");
    pack(s->series, s->nseries, packed);
    pack(s->studies, s->nstudies, packed + 8 * s->nseries);
    rc = vivo_catalog_write_begin(c, err);
    if (rc < 0)
        return rc;
    rc = insert(&c->w, key, s, packed, err);
    return vivo_catalog_write_end(c, rc, true, err);
}

int vivo_catalog_search_age(struct vivo_catalog *c, struct vivo_err *err)
{
    int rc = vivo_catalog_write_begin(c, err);

    if (rc < 0)
        return rc;
    rc = vivo_catdb_do(&c->w.db, "UPDATE search SET at = 0", err);
    return vivo_catalog_write_end(c, rc, true, err);
}

static int take(sqlite3_stmt *st, struct vivo_search *out)
{
    struct vivo_attrs series = vivo_catdb_column_attrs(st, 3);
    struct vivo_attrs studies = vivo_catdb_column_attrs(st, 4);

    *out =
        (struct vivo_search){.at_ms = sqlite3_column_int64(st, 0),
                             .unable = sqlite3_column_int(st, 1) != 0,
                             .upto = sqlite3_column_int64(st, 2),
                             .series = calloc(series.len / 8 + 1, sizeof(vivo_row)),
                             .nseries = series.len / 8,
                             .studies = calloc(studies.len / 8 + 1, sizeof(vivo_row)),
                             .nstudies = studies.len / 8};
    if (!out->series || !out->studies) {
        vivo_search_free(out);
        return -ENOMEM;
    }
    unpack(series, out->series);
    unpack(studies, out->studies);
    return 0;
}

void vivo_search_free(struct vivo_search *s)
{
    free(s->series);
    free(s->studies);
    *s = (struct vivo_search){0};
}

/* 1 = *out, 0 = there is none. */
static int find(struct vivo_catdb *d, const uint8_t *key, struct vivo_search *out,
                struct vivo_err *err)
{
    sqlite3_stmt *st = vivo_catdb_stmt(
        d, "SELECT at, unable, upto, rows, seen FROM search WHERE key = ?1", err);
    int rc;

    if (!st)
        return -EIO;
    vivo_catdb_blob(st, 1, key, VIVO_DIGEST_LEN);
    rc = vivo_catdb_step(d, st, err);
    if (rc <= 0)
        return rc;
    rc = take(st, out) < 0 ? vivo_fail(err, ENOMEM, "catalog: out of memory") : 1;
    sqlite3_reset(st);
    return rc;
}

int vivo_catalog_search_find(struct vivo_catalog *c, const uint8_t *key,
                             struct vivo_search *out, struct vivo_err *err)
{
    struct vivo_catdb *d = vivo_catalog_reader(c, err);
    int rc;

    if (!d)
        return -EIO;
    rc = find(d, key, out, err);
    vivo_catalog_reader_done(c, d);
    if (rc == 0)
        return vivo_fail(err, ENOENT, "catalog: no such search");
    return VIVO_MIN(rc, 0);
}

int64_t vivo_catalog_search_latest(struct vivo_catalog *c)
{
    struct vivo_catdb *d = vivo_catalog_reader(c, NULL);
    sqlite3_stmt *st;
    int64_t at = 0;

    if (!d)
        return 0;
    st = vivo_catdb_stmt(d, "SELECT max(at) FROM search", NULL);
    if (!st || vivo_catdb_number(d, st, 0, &at, NULL) < 0)
        at = 0;
    vivo_catalog_reader_done(c, d);
    return at;
}

vivo_row vivo_catalog_last_row(struct vivo_catalog *c)
{
    pthread_mutex_lock(&c->w.mutex);
    vivo_row last = c->w.next_id - 1;
    pthread_mutex_unlock(&c->w.mutex);
    return last;
}
