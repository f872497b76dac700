/* SPDX-License-Identifier: Apache-2.0 */
/* src/catalog/pack.c -- columns of what varies in a series, made after a listing.
 *
 * A column is first gathered as cells (column.h), then written as numbers of values
 * where all its values have one (codes.h), else as the cells, with the numbers that
 * they stand for where all are decimal numbers. Tag 0 holds sizes and states: 8 bytes
 * and 1 byte a member, or once for all of them. */
#include "catalog/codes.h"
#include "catalog/column.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define VALUE_MAX 200           /* longer values are left to the difference */
#define COLUMNS_MAX 128         /* of a series */
#define COLUMN_BYTES (8u << 20) /* of one column */
#define SERIES_A_STEP 64        /* in one transaction */

/* ---- packing one series
 * ------------------------------------------------------------- */

struct made {
    uint32_t tag;
    char vr[3];
    bool bad, zoned;     /* bad: it cannot be packed */
    bool based, lacking; /* some member has it as in the base; some has not */
    double lo, hi;
    size_t cells;
    struct vivo_buf cells_buf;
};

struct packing {
    struct vivo_writer *w;
    vivo_row series;
    struct vivo_buf base, sizes;
    struct made *made;
    size_t nmade, members;
    struct vivo_err *err;
};

static int no_memory(struct packing *p)
{
    return vivo_fail(p->err, ENOMEM, "catalog: out of memory");
}

static void note_zone(struct made *m, const struct vivo_attr *a)
{
    double v;

    if (!m->zoned)
        return;
    v = vivo_catalog_number_of(a->vr, a->value, a->len);
    m->zoned = !isnan(v);
    m->lo = VIVO_MIN(m->lo, v);
    m->hi = VIVO_MAX(m->hi, v);
}

static int put_cell(struct packing *p, struct made *m, const struct vivo_attr *a)
{
    uint8_t head = 1;
    int rc;

    if (a->vr[0] != '-') {
        if (!m->vr[0])
            memcpy(m->vr, a->vr, sizeof m->vr);
        if (a->len > VALUE_MAX || memcmp(m->vr, a->vr, 2) != 0 ||
            !memcmp(a->vr, "SQ", 2) || !memcmp(a->vr, "UN", 2)) {
            m->bad = true;
            return 0;
        }
        head = (uint8_t)(a->len + 2);
        note_zone(m, a);
    } else {
        m->lacking = true;
    }
    rc = vivo_buf_add(&m->cells_buf, &head, 1);
    if (rc == 0 && head > 2)
        rc = vivo_buf_add(&m->cells_buf, a->value, a->len);
    m->cells++;
    m->bad = m->bad || rc == -ENOSPC;
    return rc == 0 || rc == -ENOSPC ? 0 : no_memory(p);
}

static int fill(struct packing *p, struct made *m, size_t upto)
{
    static const uint8_t as_base = 0;

    m->based = m->based || m->cells < upto;
    for (; !m->bad && m->cells < upto; m->cells++) {
        int rc = vivo_buf_add(&m->cells_buf, &as_base, 1);
        if (rc == -ENOSPC)
            m->bad = true;
        else if (rc < 0)
            return no_memory(p);
    }
    return 0;
}

/* A difference ascends, and so do the columns: one pass. */
static int put_member(struct packing *p, struct vivo_attrs diff)
{
    struct vivo_attr a;
    size_t k = 0;
    int rc = 0;

    while (rc == 0 && vivo_attrs_next(&diff, &a)) {
        while (k < p->nmade && p->made[k].tag < a.tag)
            k++;
        if (k == p->nmade)
            break;
        if (p->made[k].tag != a.tag || p->made[k].bad)
            continue;
        rc = fill(p, &p->made[k], p->members);
        if (rc == 0)
            rc = put_cell(p, &p->made[k], &a);
    }
    p->members++;
    return rc;
}

static int put_size(struct packing *p, sqlite3_stmt *st)
{
    uint64_t size = (uint64_t)sqlite3_column_int64(st, 0);
    uint8_t cell[VIVO_SIZE_CELL];

    vivo_put_le32(cell, (uint32_t)size);
    vivo_put_le32(cell + 4, (uint32_t)(size >> 32));
    cell[8] = (uint8_t)((sqlite3_column_int(st, 1) != 0) |
                        (sqlite3_column_int(st, 2) != 0) << 1);
    return vivo_buf_add(&p->sizes, cell, sizeof cell) < 0 ? no_memory(p) : 0;
}

/* The base, and a column to be made for each tag that varies. */
static int start(struct packing *p)
{
    sqlite3_stmt *st = vivo_catdb_stmt(
        &p->w->db, "SELECT attrs, varying FROM base WHERE id = ?1", p->err);
    struct vivo_attrs a;
    int rc;

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, p->series);
    rc = vivo_catdb_step(&p->w->db, st, p->err);
    if (rc <= 0)
        return rc;
    a = vivo_catdb_column_attrs(st, 0);
    rc = a.len && vivo_buf_add(&p->base, a.data, a.len) < 0 ? no_memory(p) : 0;
    a = vivo_catdb_column_attrs(st, 1);
    p->made = calloc(a.len / 4 + 1, sizeof *p->made);
    if (!p->made)
        rc = no_memory(p);
    for (size_t i = 0; rc == 0 && i < a.len / 4; i++) {
        struct made *m = &p->made[p->nmade++];
        *m = (struct made){.tag = vivo_le32(a.data + 4 * i),
                           .zoned = true,
                           .bad = i >= COLUMNS_MAX,
                           .lo = INFINITY,
                           .hi = -INFINITY};
        vivo_buf_init(&m->cells_buf, COLUMN_BYTES);
    }
    sqlite3_reset(st);
    return rc;
}

static int read_members(struct packing *p)
{
    sqlite3_stmt *st = vivo_catdb_stmt(
        &p->w->db,
        "SELECT i.size, i.refusal, i.risk, (SELECT d.attrs FROM diff d WHERE"
        " d.id = i.id) FROM instance i WHERE i.parent = ?1 ORDER BY i.id",
        p->err);
    int rc;

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, p->series);
    while ((rc = vivo_catdb_step(&p->w->db, st, p->err)) == 1) {
        rc = put_size(p, st);
        if (rc == 0)
            rc = put_member(p, vivo_catdb_column_attrs(st, 3));
        if (rc < 0)
            break;
    }
    sqlite3_reset(st);
    return rc;
}

static int write_blob(struct packing *p, uint32_t tag, const struct vivo_buf *b)
{
    sqlite3_stmt *st = vivo_catdb_stmt(
        &p->w->db, "INSERT OR REPLACE INTO col(id, data) VALUES(?1, ?2)", p->err);
    int64_t id;

    if (!st)
        return -EIO;
    if (!vivo_catalog_column_id(p->series, tag, &id))
        return 0;
    vivo_catdb_int(st, 1, id);
    vivo_catdb_blob(st, 2, b->data, b->len);
    return vivo_catdb_run(&p->w->db, st, p->err);
}

static int drop_blob(struct vivo_writer *w, vivo_row series, uint32_t tag,
                     struct vivo_err *err)
{
    sqlite3_stmt *st = vivo_catdb_stmt(&w->db, "DELETE FROM col WHERE id = ?1", err);
    int64_t id;

    if (!st)
        return -EIO;
    if (!vivo_catalog_column_id(series, tag, &id))
        return 0;
    vivo_catdb_int(st, 1, id);
    return vivo_catdb_run(&w->db, st, err);
}

/* ---- writing one column
 * ------------------------------------------------------------- */

/* What members have of whom the cell says "as in the base". */
struct shared {
    bool there;
    struct vivo_attr a;
};

static int code_cell(struct packing *p, struct vivo_codes *codes, const char *vr,
                     const struct vivo_cell *cell, const struct shared *s,
                     uint16_t *out)
{
    *out = VIVO_CODES_ABSENT;
    if (cell->kind == VIVO_CELL_OWN)
        return vivo_catalog_codes_give(p->w, codes, vr, cell->value, cell->len, out,
                                       p->err);
    if (cell->kind == VIVO_CELL_BASE && s->there)
        return vivo_catalog_codes_give(p->w, codes, vr, s->a.value, s->a.len, out,
                                       p->err);
    return 1;
}

/* 1 = `out` has a number for each member; 0 = some value has none. */
static int code_column(struct packing *p, struct made *m, const struct shared *s,
                       struct vivo_buf *out)
{
    bool plain = memcmp(m->vr, "SQ", 2) != 0 && memcmp(m->vr, "UN", 2) != 0;
    struct vivo_codes *codes = plain ? vivo_catalog_codes(p->w, m->tag, p->err) : NULL;
    struct vivo_column c = {.at = m->cells_buf.data,
                            .end = m->cells_buf.data + m->cells_buf.len};
    struct vivo_cell cell;
    uint16_t code;
    int rc = codes ? 1 : plain ? -EIO : 0;

    while (rc == 1) {
        vivo_catalog_column_next(&c, &cell);
        if (cell.kind == VIVO_CELL_END)
            break;
        rc = code_cell(p, codes, m->vr, &cell, s, &code);
        if (rc == 1 && vivo_buf_add(out, &code, sizeof code) < 0)
            rc = no_memory(p);
    }
    return rc;
}

static int add_numbers(struct packing *p, struct made *m, const struct shared *s,
                       struct vivo_buf *out)
{
    struct vivo_column c = {.at = m->cells_buf.data,
                            .end = m->cells_buf.data + m->cells_buf.len};
    struct vivo_cell cell;
    double v,
        base = s->there ? vivo_catalog_number_of(m->vr, s->a.value, s->a.len) : NAN;

    for (;;) {
        vivo_catalog_column_next(&c, &cell);
        if (cell.kind == VIVO_CELL_END)
            return 0;
        v = cell.kind == VIVO_CELL_BASE ? base
            : cell.kind == VIVO_CELL_OWN
                ? vivo_catalog_number_of(m->vr, cell.value, cell.len)
                : (double)NAN;
        if (vivo_buf_add(out, &v, sizeof v) < 0)
            return no_memory(p);
    }
}

static void put_head(const struct packing *p, const struct made *m, int kind,
                     struct vivo_buf *out)
{
    uint32_t members = (uint32_t)p->members;

    memcpy(out->data, m->vr, 2);
    out->data[2] = (uint8_t)kind;
    out->data[3] = (uint8_t)(m->zoned | !m->lacking << 1);
    memcpy(out->data + 4, &m->lo, 8);
    memcpy(out->data + 12, &m->hi, 8);
    memcpy(out->data + 20, &members, 4);
}

static int fill_column(struct packing *p, struct made *m, const struct shared *s,
                       struct vivo_buf *out)
{
    static const uint8_t head[VIVO_COLUMN_HEAD];
    int rc, kind = m->zoned ? VIVO_COLUMN_NUMBERS : VIVO_COLUMN_CELLS;

    vivo_buf_clear(out);
    if (vivo_buf_add(out, head, sizeof head) < 0)
        return no_memory(p);
    rc = code_column(p, m, s, out);
    if (rc == 1) {
        put_head(p, m, VIVO_COLUMN_CODES, out);
        return 0;
    }
    out->len = sizeof head;
    if (rc == 0 && kind == VIVO_COLUMN_NUMBERS)
        rc = add_numbers(p, m, s, out);
    if (rc == 0 && vivo_buf_add(out, m->cells_buf.data, m->cells_buf.len) < 0)
        rc = no_memory(p);
    put_head(p, m, kind, out);
    return rc;
}

static int write_column(struct packing *p, struct made *m, struct vivo_buf *out)
{
    struct shared s;
    int rc = fill(p, m, p->members);

    if (rc < 0)
        return rc;
    /* What some members have as in the base belongs to the column's zone and VR. */
    s.there = !m->bad && vivo_attrs_find((struct vivo_attrs){p->base.data, p->base.len},
                                         m->tag, &s.a);
    m->lacking = m->lacking || (m->based && !s.there);
    if (s.there) {
        m->bad = m->vr[0] && memcmp(m->vr, s.a.vr, 2) != 0;
        memcpy(m->vr, s.a.vr, 2);
        note_zone(m, &s.a);
    }
    if (m->bad)
        return drop_blob(p->w, p->series, m->tag, p->err);
    rc = fill_column(p, m, &s, out);
    return rc < 0 ? rc : write_blob(p, m->tag, out);
}

/* Most archives tell one size, or none, for all slices of a series. */
static int write_sizes(struct packing *p, int *packed)
{
    const uint8_t *cell = p->sizes.data;
    bool alike = p->members > 1;

    for (size_t i = 1; alike && i < p->members; i++)
        alike = memcmp(cell, cell + i * VIVO_SIZE_CELL, VIVO_SIZE_CELL) == 0;
    if (alike)
        p->sizes.len = VIVO_SIZE_CELL;
    *packed = alike && !(cell[8] & 1) ? PACKED_ALIKE : PACKED;
    return write_blob(p, 0, &p->sizes);
}

static int mark(struct packing *p, int packed)
{
    sqlite3_stmt *st = vivo_catdb_stmt(
        &p->w->db, "UPDATE series SET packed = ?2 WHERE id = ?1", p->err);

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, p->series);
    vivo_catdb_int(st, 2, packed);
    return vivo_catdb_run(&p->w->db, st, p->err);
}

static int pack_series(struct vivo_writer *w, vivo_row series, int64_t members,
                       struct vivo_err *err)
{
    struct packing p = {.w = w, .series = series, .err = err};
    struct vivo_buf out;
    int64_t id;
    int rc, packed = PACKED_NO;

    if (members > VIVO_COLUMN_MEMBERS || !vivo_catalog_column_id(series, 0, &id))
        return mark(&p, PACKED_NEVER);
    vivo_buf_init(&p.base, VIVO_ATTRS_MAX);
    vivo_buf_init(&p.sizes, VIVO_SIZE_CELL * (size_t)VIVO_COLUMN_MEMBERS);
    vivo_buf_init(&out, VIVO_COLUMN_HEAD + COLUMN_BYTES +
                            sizeof(double) * (size_t)VIVO_COLUMN_MEMBERS);
    rc = start(&p);
    if (rc == 0)
        rc = read_members(&p);
    for (size_t i = 0; rc == 0 && i < p.nmade; i++)
        rc = write_column(&p, &p.made[i], &out);
    if (rc == 0)
        rc = write_sizes(&p, &packed);
    if (rc == 0)
        rc = mark(&p, packed);
    for (size_t i = 0; i < p.nmade; i++)
        vivo_buf_free(&p.made[i].cells_buf);
    free(p.made);
    vivo_buf_free(&p.base);
    vivo_buf_free(&p.sizes);
    vivo_buf_free(&out);
    return rc;
}

/* ---- all of them
 * ------------------------------------------------------------------- */

struct work {
    vivo_row series[SERIES_A_STEP];
    int64_t members[SERIES_A_STEP];
    size_t n;
};

static int next_work(struct vivo_writer *w, struct work *work, struct vivo_err *err)
{
    sqlite3_stmt *st =
        vivo_catdb_stmt(&w->db,
                        "SELECT id, members FROM series WHERE (packed & 1) = 0 AND"
                        " members > 1 AND (known = members OR known = 0)"
                        " ORDER BY id LIMIT ?1",
                        err);
    int rc;

    if (!st)
        return -EIO;
    work->n = 0;
    vivo_catdb_int(st, 1, SERIES_A_STEP);
    while ((rc = vivo_catdb_step(&w->db, st, err)) == 1) {
        work->series[work->n] = sqlite3_column_int64(st, 0);
        work->members[work->n++] = sqlite3_column_int64(st, 1);
    }
    return rc;
}

static int pack_some(struct vivo_writer *w, struct work *work, struct vivo_err *err)
{
    int rc = vivo_catalog_flush(w, err);

    if (rc == 0)
        rc = next_work(w, work, err);
    for (size_t i = 0; rc == 0 && i < work->n; i++)
        rc = pack_series(w, work->series[i], work->members[i], err);
    return rc < 0 ? rc : vivo_catalog_codes_flush(w, err);
}

int vivo_catalog_pack(struct vivo_catalog *c, struct vivo_err *err)
{
    struct work work = {.n = 0};
    int rc;

    do {
        rc = vivo_catalog_write_begin(c, err);
        if (rc < 0)
            return rc;
        rc = pack_some(&c->w, &work, err);
        /* At the end at once: queries gain nothing from what is not committed. */
        rc = vivo_catalog_write_end(c, rc, work.n < SERIES_A_STEP, err);
    } while (rc == 0 && work.n == SERIES_A_STEP);
    pthread_mutex_lock(&c->w.mutex);
    vivo_catalog_codes_forget(&c->w);
    pthread_mutex_unlock(&c->w.mutex);
    return rc;
}

int vivo_catalog_unpack(struct vivo_writer *w, vivo_row series, struct vivo_err *err)
{
    struct packing p = {.w = w, .series = series, .err = err};
    int rc;

    vivo_buf_init(&p.base, VIVO_ATTRS_MAX);
    rc = start(&p);
    for (size_t i = 0; rc == 0 && i < p.nmade; i++)
        rc = drop_blob(w, series, p.made[i].tag, err);
    if (rc == 0)
        rc = drop_blob(w, series, 0, err);
    vivo_buf_free(&p.base);
    free(p.made);
    return rc;
}
