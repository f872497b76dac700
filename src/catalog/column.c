/* SPDX-License-Identifier: Apache-2.0 */
/* src/catalog/column.c -- columns of what varies, read back; pack.c makes them.
 *
 * A row of `col` is keyed by tag and series, tag first, so that one attribute of all
 * series lies together: a query on it reads a few bytes an instance and nothing else.
 */
#include "catalog/column.h"

#include <errno.h>
#include <math.h>
#include <string.h>

bool vivo_catalog_column_id(vivo_row series, uint32_t tag, int64_t *id)
{
    if (series <= 0 || series > INT32_MAX)
        return false;
    *id = (int64_t)tag << 31 | series;
    return true;
}

double vivo_catalog_number_of(const char *vr, const uint8_t *value, size_t len)
{
    char text[65], *end;
    double v;

    if (len >= sizeof text || (strcmp(vr, "DS") != 0 && strcmp(vr, "IS") != 0))
        return NAN;
    memcpy(text, value, len);
    text[len] = '\0';
    if (strspn(text, "0123456789+-.eE ") != len)
        return NAN;
    v = strtod(text, &end);
    end += strspn(end, " ");
    if (end == text || end != text + len || !isfinite(v))
        return NAN;
    return v == 0 && strpbrk(text, "eE") ? (double)NAN : v;
}

/* ---- reading
 * ------------------------------------------------------------------------ */

/* Column and sizes of a series are open at a time: a statement each. */
static int open_blob(struct vivo_catdb *d, const char *sql, vivo_row series,
                     uint32_t tag, sqlite3_stmt **out, struct vivo_attrs *blob,
                     struct vivo_err *err)
{
    sqlite3_stmt *st = vivo_catdb_stmt(d, sql, err);
    int64_t id;
    int rc;

    if (!st)
        return -EIO;
    if (!vivo_catalog_column_id(series, tag, &id))
        return 0;
    vivo_catdb_int(st, 1, id);
    rc = vivo_catdb_step(d, st, err);
    if (rc == 1) {
        *out = st;
        *blob = vivo_catdb_column_attrs(st, 0);
    }
    return rc;
}

static int parse_column(struct vivo_attrs blob, struct vivo_column *out)
{
    const uint8_t *p = blob.data + VIVO_COLUMN_HEAD;
    size_t len = blob.len - VIVO_COLUMN_HEAD;

    if (blob.len < VIVO_COLUMN_HEAD)
        return 0;
    memcpy(out->vr, blob.data, 2);
    out->vr[2] = '\0';
    out->kind = blob.data[2];
    out->zoned = blob.data[3] != 0;
    memcpy(&out->lo, blob.data + 4, 8);
    memcpy(&out->hi, blob.data + 12, 8);
    memcpy(&out->members, blob.data + 20, 4);
    out->codes = out->numbers = NULL;
    out->at = out->end = NULL;
    if (out->kind == VIVO_COLUMN_CODES) {
        out->codes = p;
        return len == out->members * sizeof(uint16_t);
    }
    if (out->kind == VIVO_COLUMN_NUMBERS) {
        out->numbers = p;
        if (len / sizeof(double) < out->members)
            return 0;
        p += out->members * sizeof(double);
    }
    out->at = p;
    out->end = blob.data + blob.len;
    return 1;
}

int vivo_catalog_column_open(struct vivo_catdb *d, vivo_row series, uint32_t tag,
                             struct vivo_column *out, struct vivo_err *err)
{
    struct vivo_attrs blob;
    int rc = open_blob(d, "SELECT data FROM col WHERE id = ?1", series, tag, &out->st,
                       &blob, err);

    if (rc != 1)
        return rc;
    rc = parse_column(blob, out);
    if (rc != 1)
        vivo_catalog_column_close(out);
    return rc;
}

void vivo_catalog_column_close(struct vivo_column *c)
{
    sqlite3_reset(c->st);
}

int vivo_catalog_sizes_open(struct vivo_catdb *d, vivo_row series,
                            struct vivo_member_sizes *out, struct vivo_err *err)
{
    struct vivo_attrs blob;
    int rc = open_blob(d, "SELECT c.data FROM col c WHERE c.id = ?1", series, 0,
                       &out->st, &blob, err);

    if (rc == 1) {
        out->at = blob.data;
        out->end = blob.data + blob.len;
        out->alike = blob.len == VIVO_SIZE_CELL;
    }
    return rc;
}

bool vivo_catalog_sizes_next(struct vivo_member_sizes *m, struct vivo_member_size *out)
{
    if (m->end - m->at < VIVO_SIZE_CELL)
        return false;
    out->size = vivo_le32(m->at) | (uint64_t)vivo_le32(m->at + 4) << 32;
    out->refused = m->at[8] & 1;
    out->risk = m->at[8] & 2;
    m->at += m->alike ? 0 : VIVO_SIZE_CELL;
    return true;
}

void vivo_catalog_sizes_close(struct vivo_member_sizes *m)
{
    sqlite3_reset(m->st);
}
