/* SPDX-License-Identifier: Apache-2.0 */
/* src/catalog/values.c -- the values of an attribute, for facets.
 *
 * Values that no comparison tells apart are one (HEAD and Head, 1.0 and 1; DESIGN A5),
 * spelt as the smallest in byte order. Where the attribute does not vary in a series
 * its base answers for all members. */
#include "catalog/values.h"

#include <errno.h>
#include <string.h>

#define VALUES_MAX (48u << 20) /* bytes of all values */

static int no_memory(struct gather *g)
{
    return vivo_fail(g->err, ENOMEM, "catalog: too many different values");
}

/* ---- the table
 * ---------------------------------------------------------------------------- */

static size_t slot_of(const struct gather *g, const char *key)
{
    uint64_t h = 1469598103934665603u; /* FNV-1a */
    size_t i;

    for (const char *p = key; *p; p++)
        h = (h ^ (uint8_t)*p) * 1099511628211u;
    for (i = (size_t)h & (g->cap - 1); g->table[i]; i = (i + 1) & (g->cap - 1))
        if (strcmp(g->table[i]->key, key) == 0)
            break;
    return i;
}

static int grow(struct gather *g)
{
    struct value **old = g->table;
    size_t cap = g->cap;

    g->cap = cap ? 2 * cap : 256;
    g->table = calloc(g->cap, sizeof *g->table);
    if (!g->table) {
        g->table = old;
        g->cap = cap;
        return -ENOMEM;
    }
    for (size_t i = 0; i < cap; i++)
        if (old[i])
            g->table[slot_of(g, old[i]->key)] = old[i];
    free(old);
    return 0;
}

static int add_text(struct gather *g, const char *vr, const char *s, size_t len,
                    uint64_t instances)
{
    struct value *v, **at;

    while (len && (*s == ' ' || *s == 0)) {
        s++;
        len--;
    }
    while (len && (s[len - 1] == ' ' || s[len - 1] == 0))
        len--;
    if (len == 0)
        return 0;
    vivo_buf_clear(&g->tmp);
    if (vivo_query_value_key(vr, s, len, &g->tmp) < 0 || vivo_buf_add(&g->tmp, "", 1) ||
        (2 * g->n >= g->cap && grow(g) < 0))
        return no_memory(g);
    at = &g->table[slot_of(g, (const char *)g->tmp.data)];
    if (!*at) {
        v = vivo_arena_alloc(g->arena, sizeof *v);
        if (!v)
            return no_memory(g);
        *v = (struct value){0};
        v->key =
            vivo_arena_strndup(g->arena, (const char *)g->tmp.data, g->tmp.len - 1);
        if (!v->key)
            return no_memory(g);
        *at = v;
        g->n++;
    }
    g->last = v = *at;
    if (!v->text || strncmp(s, v->text, len) < 0 ||
        (strncmp(s, v->text, len) == 0 && strlen(v->text) > len)) {
        v->text = vivo_arena_strndup(g->arena, s, len);
        if (!v->text)
            return no_memory(g);
    }
    if (v->object == g->object) /* twice in one object */
        return 0;
    v->object = g->object;
    v->instances += instances;
    return 1;
}

bool vivo_catalog_gather_text(const char *vr)
{
    static const char binary[] = "US SS UL SL FL FD SV UV AT OB OW OF OD OL OV UN SQ";

    return strstr(binary, vr) == NULL;
}

static bool is_whole(const char *vr)
{
    return strstr("ST LT UT UR", vr) != NULL;
}

/* The values of one element: how many were taken in. Sequences and bytes have none,
 * but are there. */
static int add_element(struct gather *g, const struct vivo_attr *a, uint64_t instances)
{
    const char *p = (const char *)a->value, *end = p + a->len;
    struct vivo_values it;
    char text[64];
    int rc = 0, added = 0;

    if (strcmp(a->vr, "SQ") == 0 || a->vr[0] == 'O')
        return a->len > 0;
    if (!vivo_catalog_gather_text(a->vr)) {
        vivo_values_of(a, &it);
        while (rc >= 0 && vivo_values_next(&it, text, sizeof text)) {
            rc = add_text(g, a->vr, text, strlen(text), instances);
            added += rc > 0;
        }
        return rc < 0 ? rc : added;
    }
    while (rc >= 0 && p < end) {
        const char *q = is_whole(a->vr) ? NULL : memchr(p, '\\', (size_t)(end - p));
        q = q ? q : end;
        rc = add_text(g, a->vr, p, (size_t)(q - p), instances);
        added += rc > 0;
        p = q + 1;
    }
    return rc < 0 ? rc : added;
}

static int end_object(struct gather *g, int added, uint64_t instances)
{
    if (added == 0) {
        g->has_missing = true;
        g->missing += instances;
    }
    return VIVO_MIN(added, 0);
}

/* All values of one object, or of `instances` that have the same. */
int vivo_catalog_gather_attr(struct gather *g, const struct vivo_attr *a,
                             uint64_t instances)
{
    g->object++;
    return end_object(g, a ? add_element(g, a, instances) : 0, instances);
}

/* ---- functional groups
 * ----------------------------------------------------------------------------- */

struct in_groups {
    struct gather *g;
    uint64_t instances;
    int added;
};

static int add_group_set(void *ctx, struct vivo_attrs set)
{
    struct in_groups *in = ctx;
    struct vivo_attr a;
    int rc = 0;

    for (int other = 0; other < 2 && rc >= 0; other++) {
        if (!vivo_query_find_in_group(set, in->g->tag, other, &a))
            continue;
        rc = add_element(in->g, &a, in->instances);
        in->added += VIVO_MAX(rc, 0);
    }
    return VIVO_MIN(rc, 0);
}

/* The element of the object; false: it has none. */
static bool find_in(struct vivo_attrs base, struct vivo_attrs diff, uint32_t tag,
                    struct vivo_attr *out)
{
    if (vivo_attrs_find(diff, tag, out))
        return out->vr[0] != '-';
    return vivo_attrs_find(base, tag, out);
}

/* As a query reads it (DESIGN A5): what the root lacks, functional groups may have. */
static int add_object(struct gather *g, struct vivo_attrs base, struct vivo_attrs diff,
                      uint64_t instances)
{
    static const uint32_t groups[] = {VIVO_QUERY_SHARED_GROUPS,
                                      VIVO_QUERY_PER_FRAME_GROUPS};
    struct in_groups in = {.g = g, .instances = instances};
    struct vivo_attr a;
    int rc = 0;

    if (find_in(base, diff, g->tag, &a))
        return vivo_catalog_gather_attr(g, &a, instances);
    g->object++;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(groups) && rc == 0; i++)
        if (find_in(base, diff, groups[i], &a))
            rc = vivo_query_each_group(&a, add_group_set, &in);
    return end_object(g, rc < 0 ? rc : in.added, instances);
}

/* ---- series
 * -----------------------------------------------------------------------------------
 */

static int add_members(struct gather *g, vivo_row series, struct vivo_attrs base)
{
    struct vivo_matcher m;
    sqlite3_stmt *st;
    int rc = vivo_catalog_matcher_init(&m, g->d, g->sel, series, g->err);

    st = rc < 0 ? NULL
                : vivo_catdb_stmt(g->d,
                                  "SELECT i.headers, (SELECT d.attrs FROM diff d WHERE"
                                  " d.id = i.id), i.id FROM instance i WHERE"
                                  " i.parent = ?1 AND i.refusal = 0",
                                  g->err);
    if (st)
        vivo_catdb_int(st, 1, series);
    while (st && (rc = vivo_catdb_step(g->d, st, g->err)) == 1) {
        struct vivo_attrs diff = vivo_catdb_column_attrs(st, 1);
        rc = vivo_catalog_matcher_test(&m, sqlite3_column_int64(st, 2), diff,
                                       sqlite3_column_int(st, 0) != 0, g->err);
        if (rc < 0)
            break;
        if (rc == 0)
            continue;
        rc = add_object(g, base, diff, 1);
        if (rc < 0)
            break;
    }
    if (st)
        sqlite3_reset(st);
    vivo_catalog_matcher_free(&m);
    return st ? rc : -EIO;
}

static bool one_varies(struct vivo_attrs packed, uint32_t tag)
{
    for (size_t at = 0; at + 4 <= packed.len; at += 4)
        if (vivo_le32(packed.data + at) == tag)
            return true;
    return false;
}

static bool tag_varies(struct vivo_attrs packed, uint32_t tag)
{
    return one_varies(packed, tag) || one_varies(packed, VIVO_QUERY_SHARED_GROUPS) ||
           one_varies(packed, VIVO_QUERY_PER_FRAME_GROUPS);
}

static int add_base(struct gather *g, vivo_row series, bool whole, uint64_t open,
                    uint64_t members)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf base = {0};
    sqlite3_stmt *st =
        vivo_catdb_stmt(g->d, "SELECT attrs, varying FROM base WHERE id = ?1", g->err);
    struct vivo_attrs a = {NULL, 0};
    const struct vivo_attrs none = {NULL, 0};
    struct vivo_attr e;
    bool varies = false;
    int rc;

    vivo_buf_init(&base, VIVO_ATTRS_MAX);
    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, series);
    rc = vivo_catdb_step(g->d, st, g->err);
    if (rc < 0)
        return rc;
    if (rc == 1) {
        a = vivo_catdb_column_attrs(st, 0);
        varies = tag_varies(vivo_catdb_column_attrs(st, 1), g->tag);
        rc = a.len && vivo_buf_add(&base, a.data, a.len) < 0 ? no_memory(g) : 0;
        a = (struct vivo_attrs){base.data, base.len};
        sqlite3_reset(st);
    }
    if (rc < 0)
        return rc;
    if (!whole || varies)
        return add_members(g, series, a);
    /* Of a series that is not listed it is not known that the attribute is missing. */
    return members || vivo_attrs_find(a, g->tag, &e) ? add_object(g, a, none, open) : 0;
}

static int add_series(struct gather *g, sqlite3_stmt *st)
{
    struct vivo_lineage l = {{0}};
    uint64_t members = (uint64_t)sqlite3_column_int64(st, COL_MEMBERS);
    uint64_t open = (uint64_t)sqlite3_column_int64(st, COL_OPEN);
    uint64_t mask = (uint64_t)sqlite3_column_int64(st, COL_VARIES);
    int hot = vivo_catalog_hot(g->tag);
    bool grouped = mask & VIVO_CATALOG_HOT_GROUPS; /* an enhanced object: no columns */
    bool whole = true;

    if (members > 0 && open == 0)
        return 0;
    l.rows[VIVO_LEVEL_COLLECTION] = sqlite3_column_int64(st, COL_COLLECTION);
    l.rows[VIVO_LEVEL_PATIENT] = sqlite3_column_int64(st, COL_PATIENT);
    l.rows[VIVO_LEVEL_STUDY] = sqlite3_column_int64(st, COL_STUDY);
    l.rows[VIVO_LEVEL_SERIES] = sqlite3_column_int64(st, COL_ID);
    if (g->sel && !g->sel->all) {
        whole = vivo_selection_whole(g->sel, &l);
        if (!whole && !vivo_catalog_rowset_has(&g->sel->f.some[VIVO_LEVEL_SERIES],
                                               l.rows[VIVO_LEVEL_SERIES]))
            return 0;
    }
    if (whole && hot >= 0 && !(mask >> hot & 1)) {
        struct vivo_attrs a = vivo_catdb_column_attrs(st, COL_HOT);
        struct vivo_attr e;
        if (vivo_attrs_find(a, g->tag, &e))
            return vivo_catalog_gather_attr(g, &e, open);
        if (!grouped)
            return members ? vivo_catalog_gather_attr(g, NULL, open) : 0;
    }
    if (!grouped && (!whole || hot < 0 || mask >> hot & 1)) {
        int rc;
        memcpy(g->place.rows, l.rows, sizeof l.rows);
        rc = vivo_catalog_gather_columns(g, st, l.rows[VIVO_LEVEL_SERIES], whole);
        if (rc != 0)
            return VIVO_MIN(rc, 0);
    }
    return add_base(g, l.rows[VIVO_LEVEL_SERIES], whole, open, members);
}

/* ---- out
 * ----------------------------------------------------------------------------------------
 */

static int by_text(const void *a, const void *b)
{
    const struct value *x = *(struct value *const *)a;
    const struct value *y = *(struct value *const *)b;

    return strcmp(x->text, y->text);
}

static int emit_values(struct gather *g, vivo_value_fn *fn, void *ctx)
{
    size_t n = 0;
    int rc = 0;

    for (size_t i = 0; i < g->cap; i++)
        if (g->table[i])
            g->table[n++] = g->table[i];
    if (n)
        qsort(g->table, n, sizeof *g->table, by_text);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = fn(ctx, g->table[i]->text, g->table[i]->instances);
    if (rc == 0 && g->has_missing)
        rc = fn(ctx, NULL, g->missing);
    return rc;
}

/* Studies that were never listed have their values in the archive's record. */
static int add_unlisted(struct gather *g, enum vivo_level level, vivo_row row)
{
    sqlite3_stmt *st = vivo_catdb_stmt(
        g->d,
        "SELECT p.parent, p.id, t.id, t.attrs FROM study t CROSS JOIN patient p"
        " ON p.id = t.parent WHERE t.listed = 0 AND t.lookup IS NOT NULL"
        " AND CASE ?2 WHEN 0 THEN 1 WHEN 1 THEN p.parent = ?1 WHEN 2 THEN p.id = ?1"
        " WHEN 3 THEN t.id = ?1 ELSE 0 END",
        g->err);
    int rc;

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, row);
    vivo_catdb_int(st, 2, level);
    while ((rc = vivo_catdb_step(g->d, st, g->err)) == 1) {
        struct vivo_attrs a = vivo_catdb_column_attrs(st, 3);
        struct vivo_lineage l = {{0}};
        struct vivo_attr e;
        for (int i = VIVO_LEVEL_COLLECTION; i <= VIVO_LEVEL_STUDY; i++)
            l.rows[i] = sqlite3_column_int64(st, i - VIVO_LEVEL_COLLECTION);
        if ((g->sel && !vivo_selection_whole(g->sel, &l)) ||
            !vivo_attrs_find(a, g->tag, &e))
            continue;
        rc = vivo_catalog_gather_attr(g, &e, 0);
        if (rc < 0)
            break;
    }
    sqlite3_reset(st);
    return rc;
}

static int gather_all(struct gather *g, enum vivo_level level, vivo_row row)
{
    sqlite3_stmt *st = vivo_catalog_series_below(g->d, level, row, g->err);
    int rc = st ? 0 : -EIO;

    while (st && (rc = vivo_catdb_step(g->d, st, g->err)) == 1) {
        rc = add_series(g, st);
        if (rc < 0)
            break;
    }
    if (st)
        sqlite3_reset(st);
    return rc < 0 ? rc : add_unlisted(g, level, row);
}

static int gather_in(struct gather *g, struct vivo_catalog *c, enum vivo_level level,
                     vivo_row row)
{
    int rc;

    g->d = vivo_catalog_reader(c, g->err);
    if (!g->d)
        return -EIO;
    rc = vivo_catdb_do(g->d, "BEGIN", g->err);
    if (rc == 0) {
        rc = gather_all(g, level, level == VIVO_LEVEL_NONE ? 0 : row);
        if (rc == 0)
            rc = vivo_catalog_gather_codes(g);
        vivo_catalog_vector_free(g->vector);
        g->vector = NULL;
        vivo_catalog_column_scan_end(&g->scan);
        vivo_catalog_column_scan_end(&g->sizes);
        vivo_catdb_do(g->d, "COMMIT", NULL);
    }
    vivo_catalog_reader_done(c, g->d);
    return rc;
}

int vivo_catalog_values(struct vivo_catalog *c, enum vivo_level level, vivo_row row,
                        const struct vivo_selection *sel, uint32_t tag,
                        vivo_value_fn *fn, void *ctx, struct vivo_err *err)
{
    struct gather *g;
    int rc = 0;

    if (level >= VIVO_LEVEL_INSTANCE)
        return vivo_fail(err, EINVAL, "catalog: nothing is below an instance");
    g = calloc(1, sizeof *g);
    if (!g)
        return vivo_fail(err, ENOMEM, "catalog: out of memory");
    g->sel = g->place.sel = sel;
    g->tag = tag;
    g->err = err;
    g->hot_only = vivo_catalog_hot(tag) >= 0;
    g->scan.slot = VIVO_SCAN_VALUES;
    g->sizes.slot = VIVO_SCAN_SIZES;
    g->arena = vivo_arena_new(VALUES_MAX);
    if (!g->arena)
        rc = no_memory(g);
    vivo_buf_init(&g->tmp, 4 * VIVO_ATTRS_VALUE_MAX);
    vivo_buf_init(&g->shown, (size_t)VIVO_COLUMN_MEMBERS);
    vivo_catalog_common_init(&g->common, &g->place);
    if (sel && !sel->all) {
        g->vector = vivo_catalog_vector_new(vivo_query_root(sel->query));
        g->hot_only = g->hot_only && vivo_catalog_is_hot(vivo_query_root(sel->query));
    }
    if (rc == 0)
        rc = gather_in(g, c, level, row);
    if (rc == 0)
        rc = emit_values(g, fn, ctx);
    vivo_buf_free(&g->tmp);
    vivo_buf_free(&g->shown);
    vivo_catalog_common_free(&g->common);
    vivo_catalog_vector_free(g->vector);
    vivo_arena_free(g->arena);
    free(g->table);
    free(g->by_code);
    free(g);
    return rc;
}
