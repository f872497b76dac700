/* SPDX-License-Identifier: Apache-2.0 */
/* src/catalog/rivals.c -- objects that claim one SOP Instance UID, for the caller who
 * can compare their bytes. */
#include "catalog/internal.h"

#include <errno.h>
#include <string.h>

struct rivals {
    struct vivo_rowset rows;
    struct vivo_buf locators; /* NUL-terminated, one after the other */
};

static int collect_rivals(struct vivo_catalog *c, vivo_row row, struct rivals *r,
                          struct vivo_err *err)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf one;
    sqlite3_stmt *st = vivo_catdb_stmt(
        &c->w.db,
        "SELECT i.id, s.sealed, min(s.id) FROM instance o JOIN instance i"
        " ON i.parent = o.parent AND i.u >= substr(o.u, 1, 6)"
        " AND i.u < substr(o.u, 1, 6) || '~' AND i.uid = o.uid"
        " JOIN source s ON s.instance = i.id WHERE o.id = ?1 GROUP BY i.id",
        err);
    int rc;

    vivo_buf_init(&one, VIVO_CATALOG_LOCATOR_MAX);
    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, row);
    while ((rc = vivo_catdb_step(&c->w.db, st, err)) == 1) {
        rc = vivo_catalog_unseal(c, vivo_catdb_column_attrs(st, 1), &one, NULL, err);
        if (rc == 0 &&
            (vivo_catalog_rowset_add(&r->rows, sqlite3_column_int64(st, 0)) < 0 ||
             vivo_buf_add(&r->locators, one.data, one.len) < 0 ||
             vivo_buf_add(&r->locators, "", 1) < 0))
            rc = vivo_fail(err, ENOMEM, "catalog: out of memory");
        if (rc < 0)
            break;
    }
    sqlite3_reset(st);
    return rc;
}

/* Through the writer: the rivals of a put may be in the batch that is still open. */
int vivo_catalog_rivals(struct vivo_catalog *c, vivo_row row, vivo_rival_fn *fn,
                        void *ctx, struct vivo_err *err)
{
    struct rivals r = {.rows = {NULL, 0, 0}};
    const char *p;
    int rc;

    vivo_buf_init(&r.locators, 16u << 20);
    pthread_mutex_lock(&c->w.mutex);
    rc = collect_rivals(c, row, &r, err);
    pthread_mutex_unlock(&c->w.mutex);
    p = (const char *)r.locators.data;
    for (size_t i = 0; rc == 0 && i < r.rows.n; i++, p += strlen(p) + 1)
        rc = fn(ctx, r.rows.rows[i], p);
    free(r.rows.rows);
    vivo_buf_free(&r.locators);
    return rc;
}
