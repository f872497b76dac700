/* SPDX-License-Identifier: Apache-2.0 */
/* src/catalog/rivals.c -- objects that claim one SOP Instance UID, for the caller who
 * can compare their bytes. Read through the writer: they may not be committed yet. */
#include "catalog/internal.h"

#include <errno.h>
#include <string.h>

/* Packed one after the other: row, then the locator with its NUL. */
static int collect(struct vivo_catalog *c, vivo_row row, struct vivo_buf *out,
                   struct vivo_err *err)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf locator = {0};
    sqlite3_stmt *st = vivo_catdb_stmt(
        &c->w.db,
        "SELECT i.id, s.sealed FROM instance AS r JOIN instance AS i"
        " ON i.parent = r.parent AND i.uid = r.uid JOIN source AS s ON s.id ="
        " (SELECT min(id) FROM source WHERE instance = i.id) WHERE r.id = ?1",
        err);
    int rc;

    vivo_buf_init(&locator, VIVO_CATALOG_LOCATOR_MAX);
    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, row);
    while ((rc = vivo_catdb_step(&c->w.db, st, err)) == 1) {
        int64_t id = sqlite3_column_int64(st, 0);
        rc =
            vivo_catalog_unseal(c, vivo_catdb_column_attrs(st, 1), &locator, NULL, err);
        if (rc == 0 &&
            (vivo_buf_add(out, &id, sizeof id) ||
             vivo_buf_add(out, locator.data, strlen((char *)locator.data) + 1)))
            rc = vivo_fail(err, ENOMEM, "catalog: too many objects of one UID");
        if (rc < 0)
            break;
    }
    sqlite3_reset(st);
    return rc;
}

int vivo_catalog_rivals(struct vivo_catalog *c, vivo_row row, vivo_rival_fn *fn,
                        void *ctx, struct vivo_err *err)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf found = {0};
    int rc = vivo_catalog_write_begin(c, err);

    if (rc < 0)
        return rc;
    vivo_buf_init(&found, 16u << 20);
    rc = vivo_catalog_write_end(c, collect(c, row, &found, err), false, err);
    for (size_t at = 0; rc == 0 && at < found.len;) {
        vivo_row rival;
        const char *locator = (const char *)found.data + at + sizeof rival;
        memcpy(&rival, found.data + at, sizeof rival);
        rc = fn(ctx, rival, locator);
        at += sizeof rival + strlen(locator) + 1;
    }
    return rc;
}
