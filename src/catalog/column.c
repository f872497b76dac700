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

/* Statements are kept by the address of their text: one for each scan. */
#define SCAN(c)                                                                        \
    "SELECT " c ".id, " c ".data FROM col " c " WHERE " c ".id BETWEEN ?1 AND ?2"
static const char *const scan_sql[VIVO_SCANS] = {
    SCAN("a"), SCAN("b"), SCAN("c"), SCAN("d"), SCAN("e"), SCAN("f"), SCAN("g"),
};

#define PASS_OVER 4 /* columns of series that are not asked for, before a search */

static int step_scan(struct vivo_catdb *d, struct vivo_column_scan *s,
                     struct vivo_err *err)
{
    int rc = vivo_catdb_step(d, s->st, err);

    s->before = s->at;
    s->at = rc == 1 ? sqlite3_column_int64(s->st, 0) : INT64_MAX;
    return rc;
}

static int seek_scan(struct vivo_catdb *d, struct vivo_column_scan *s, int64_t id,
                     struct vivo_err *err)
{
    s->st = vivo_catdb_stmt(d, scan_sql[s->slot], err);
    if (!s->st)
        return -EIO;
    vivo_catdb_int(s->st, 1, id);
    vivo_catdb_int(s->st, 2, id | INT32_MAX);
    s->at = id - 1;
    return step_scan(d, s, err);
}

static int scan_to(struct vivo_catdb *d, struct vivo_column_scan *s, vivo_row series,
                   uint32_t tag, struct vivo_attrs *blob, struct vivo_err *err)
{
    int64_t id;
    int rc = 0;

    if (!vivo_catalog_column_id(series, tag, &id))
        return 0;
    if (s->slot == VIVO_SCAN_OTHERS)
        s->st = NULL;
    for (int i = 0; s->st && s->tag == tag && s->at < id && i < PASS_OVER; i++) {
        rc = step_scan(d, s, err);
        if (rc < 0)
            break;
    }
    if (rc >= 0 && (!s->st || s->tag != tag || id <= s->before || id > s->at))
        rc = seek_scan(d, s, id, err);
    s->tag = tag;
    if (rc < 0) {
        s->st = NULL;
        return rc;
    }
    if (s->at != id)
        return 0;
    *blob = vivo_catdb_column_attrs(s->st, 1);
    return 1;
}

void vivo_catalog_column_scan_end(struct vivo_column_scan *s)
{
    if (s->st)
        sqlite3_reset(s->st);
    s->st = NULL;
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
    out->zoned = blob.data[3] & 1;
    out->full = blob.data[3] & 2;
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

int vivo_catalog_column_open(struct vivo_catdb *d, struct vivo_column_scan *s,
                             vivo_row series, uint32_t tag, struct vivo_column *out,
                             struct vivo_err *err)
{
    struct vivo_attrs blob;
    int rc = scan_to(d, s, series, tag, &blob, err);

    return rc == 1 ? parse_column(blob, out) : rc;
}

int vivo_catalog_sizes_open(struct vivo_catdb *d, struct vivo_column_scan *s,
                            vivo_row series, struct vivo_member_sizes *out,
                            struct vivo_err *err)
{
    struct vivo_attrs blob;
    int rc = scan_to(d, s, series, 0, &blob, err);

    if (rc == 1)
        *out = (struct vivo_member_sizes){.at = blob.data,
                                          .end = blob.data + blob.len,
                                          .alike = blob.len == VIVO_SIZE_CELL};
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
