/* SPDX-License-Identifier: Apache-2.0 */
/* src/catalog/column.h -- what varies in a series, one blob an attribute.
 *
 * pack.c makes the blobs of series of which all headers are known, or none, after a
 * listing; vector.c and leaf.c decide a query over them. They say again what base and
 * differences say: a series that has none, or has changed since (series.packed), is
 * read member by member as before. */
#ifndef VIVOFS_CATALOG_COLUMN_H
#define VIVOFS_CATALOG_COLUMN_H

#include "catalog/internal.h"

#include <string.h>

/* series.packed */
enum {
    PACKED_NO = 0,
    PACKED = 1,
    PACKED_SIZES_OLD = 2, /* true but for sizes */
    PACKED_NEVER = 3,     /* too large */
    PACKED_ALIKE = 5,     /* all members are of one size, at risk or not, and open */
};
static inline bool vivo_catalog_columns_true(int packed)
{
    return packed == PACKED || packed == PACKED_SIZES_OLD || packed == PACKED_ALIKE;
}

#define VIVO_COLUMN_MEMBERS ((int64_t)1 << 16) /* of a series that is packed */

/* Column: VR (2 bytes), kind (1), zoned (1) + full (2), lo and hi (8 each, this
 * machine's doubles), number of members (4), then by kind, for each member in order of
 * the rows: CELLS: 0 = as in the base, 1 = absent, n + 2 = n bytes follow; CODES: 2
 * bytes, the number of its value (codes.h); NUMBERS: a double, NAN where absent, and
 * after all of them the cells. */
enum { VIVO_COLUMN_CELLS = 0, VIVO_COLUMN_CODES = 1, VIVO_COLUMN_NUMBERS = 2 };
#define VIVO_COLUMN_HEAD 24

struct vivo_column {
    char vr[3];
    int kind;
    bool zoned; /* DS, IS: every value that is there is a number within lo..hi */
    bool full;  /* every member has one */
    double lo, hi;
    uint32_t members;
    const uint8_t *codes, *numbers; /* NULL unless of that kind; not aligned */
    const uint8_t *at, *end;        /* cells */
};

bool vivo_catalog_column_id(vivo_row series, uint32_t tag, int64_t *id);

/* Of DS and IS; NAN unless all of it is one number as vivo_query_eval takes them:
 * decimal, with blanks around, and no zero by underflow. */
double vivo_catalog_number_of(const char *vr, const uint8_t *value, size_t len);

/* Quick, and for tables in memory only. */
static inline uint32_t vivo_catalog_hash_bytes(const uint8_t *p, size_t len)
{
    uint64_t h = len * 0x9E3779B97F4A7C15u, word;

    for (; len >= 8; p += 8, len -= 8) {
        memcpy(&word, p, 8);
        h = (h ^ word) * 0x9E3779B97F4A7C15u;
        h ^= h >> 29;
    }
    word = 0;
    if (len)
        memcpy(&word, p, len);
    h = (h ^ word) * 0x9E3779B97F4A7C15u;
    return (uint32_t)(h >> 32);
}

enum vivo_cell_kind { VIVO_CELL_END, VIVO_CELL_BASE, VIVO_CELL_ABSENT, VIVO_CELL_OWN };

struct vivo_cell {
    enum vivo_cell_kind kind; /* BASE: as in the base */
    const uint8_t *value;     /* OWN */
    size_t len;
};

/* Columns of one attribute, series after series: in order of the rows the next costs a
 * step of a statement, else a search. Zeroed but for `slot` to begin with. */
struct vivo_column_scan {
    unsigned slot; /* one scan of a connection each; OTHERS searches each time */
    uint32_t tag;
    sqlite3_stmt *st;
    int64_t before, at; /* no column stands between these */
};
enum {
    VIVO_SCAN_LEAVES = 4, /* that many from 0 on */
    VIVO_SCAN_VALUES = 4,
    VIVO_SCAN_SIZES = 5,
    VIVO_SCAN_OTHERS = 6,
    VIVO_SCANS
};
void vivo_catalog_column_scan_end(struct vivo_column_scan *s); /* with the pass */

/* 1 = there is one, until the scan moves; 0 = none; negative errno. */
int vivo_catalog_column_open(struct vivo_catdb *d, struct vivo_column_scan *s,
                             vivo_row series, uint32_t tag, struct vivo_column *out,
                             struct vivo_err *err);
static inline void vivo_catalog_column_next(struct vivo_column *c,
                                            struct vivo_cell *out)
{
    out->kind = VIVO_CELL_END;
    if (c->at >= c->end)
        return;
    out->len = *c->at++;
    if (out->len < 2) {
        out->kind = out->len ? VIVO_CELL_ABSENT : VIVO_CELL_BASE;
        return;
    }
    out->len -= 2;
    if (out->len > (size_t)(c->end - c->at))
        return;
    out->kind = VIVO_CELL_OWN;
    out->value = c->at;
    c->at += out->len;
}

/* Members' sizes and states, in the same order. */
#define VIVO_SIZE_CELL 9
struct vivo_member_sizes {
    const uint8_t *at, *end;
    bool alike; /* one cell for all */
};
struct vivo_member_size {
    uint64_t size;
    bool refused, risk;
};
/* As vivo_catalog_column_open. */
int vivo_catalog_sizes_open(struct vivo_catdb *d, struct vivo_column_scan *s,
                            vivo_row series, struct vivo_member_sizes *out,
                            struct vivo_err *err);
bool vivo_catalog_sizes_next(struct vivo_member_sizes *m, struct vivo_member_size *out);

/* Before a series goes (writer locked, in a transaction). */
int vivo_catalog_unpack(struct vivo_writer *w, vivo_row series, struct vivo_err *err);

/* ---- vector.c ---------------------------------------------------------------------
 */

struct vivo_vector; /* of one query; one thread at a time */
/* root outlives it. NULL: out of memory. */
struct vivo_vector *vivo_catalog_vector_new(const struct vivo_query_node *root);
void vivo_catalog_vector_free(struct vivo_vector *v);

struct vivo_vector_series {
    vivo_row id;
    size_t members;
    /* What the members share: hot set or base, which tags vary, where it stands. */
    const struct vivo_query_source *common;
};
/* 1: *truths has a vivo_truth (FALSE or TRUE) for each member, valid until the next
 * call; 0: it cannot be told from columns; negative errno. */
int vivo_catalog_vector_run(struct vivo_vector *v, struct vivo_catdb *d,
                            const struct vivo_vector_series *s, const uint8_t **truths,
                            struct vivo_err *err);

/* ---- common.c ---------------------------------------------------------------------
 */

struct vivo_common {
    struct vivo_query_source src; /* what all members share */
    size_t members;
    bool listed;
    int packed;
    struct vivo_buf base; /* own memory of src, unless that is the row's hot set */
    uint32_t *varying;
    size_t cap;
};
void vivo_catalog_common_init(struct vivo_common *c, struct vivo_place *place);
void vivo_catalog_common_free(struct vivo_common *c);
/* Of a row of vivo_catalog_series_below; hot_only: the query names hot attributes only.
 * Valid until the row's statement moves. */
int vivo_catalog_common_load(struct vivo_common *c, struct vivo_catdb *d,
                             sqlite3_stmt *row, bool hot_only, struct vivo_err *err);
/* vivo_catalog_vector_run for a packed series; v NULL: 0. */
int vivo_catalog_common_truths(struct vivo_common *c, struct vivo_vector *v,
                               struct vivo_catdb *d, vivo_row series,
                               const uint8_t **truths, struct vivo_err *err);
/* select_names.c: does the query name hot attributes only? */
bool vivo_catalog_is_hot(const struct vivo_query_node *n);

#endif
