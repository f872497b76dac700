/* SPDX-License-Identifier: Apache-2.0 */
/* src/catalog/leaf.c -- one condition, decided for all members of a series.
 *
 * What the shared attributes decide is the same for all; a plain attribute that varies
 * is looked at in its column; anything else (sequences, private blocks, functional
 * groups, what is not known) is left to the slow way. vivo_query_eval alone compares,
 * once for each value that has a number, and for others once for what is remembered:
 * a condition on one attribute of a known object hangs on its value only. Plain decimal
 * numbers are compared as such; a column whose numbers all lie beyond what is asked is
 * not read. */
#include "catalog/codes.h"
#include "catalog/vector.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define MEMO_SETS 4096 /* of two values */
#define MEMO_VALUE 27  /* longer values are compared each time */
#define NEEDLES 4      /* of so many values each is looked for in a whole column */

struct memo {
    uint32_t hash;
    uint8_t len, truth; /* truth: EMPTY in an empty slot */
    char vr[2];
    uint8_t value[MEMO_VALUE];
};

#define EMPTY 0xFF

/* ---- one condition
 * ----------------------------------------------------------------- */

/* The one attribute that the condition hangs on; 0 = it is not so simple. */
static uint32_t leaf_tag(const struct vivo_query_node *n)
{
    const struct vivo_query_path *p = &n->path;

    if (n->kind != VIVO_QUERY_CMP && n->kind != VIVO_QUERY_IN &&
        n->kind != VIVO_QUERY_RANGE && n->kind != VIVO_QUERY_HAS)
        return 0;
    if (p->computed || p->nsteps != 1 || p->any_depth || p->steps[0].creator)
        return 0;
    return p->steps[0].tag;
}

/* Is it about plain decimal numbers, so that a zone can answer? */
static bool is_zonal(const struct vivo_query_node *n)
{
    return n->path.cls == VIVO_CLASS_NUMBER && n->path.steps[0].index <= 1 &&
           (!strcmp(n->path.vr, "DS") || !strcmp(n->path.vr, "IS")) &&
           (n->kind == VIVO_QUERY_RANGE ||
            (n->kind == VIVO_QUERY_CMP && !n->values[0].pattern));
}

/* Those of them that number_passes tells: NE is of all values of an object. */
static bool can_number(const struct vivo_query_node *n)
{
    return n->kind == VIVO_QUERY_RANGE || n->cmp == VIVO_CMP_EQ ||
           n->cmp == VIVO_CMP_LT || n->cmp == VIVO_CMP_LE || n->cmp == VIVO_CMP_GT ||
           n->cmp == VIVO_CMP_GE;
}

/* Every number from lo to hi matches. NaN says false, here and below. */
static bool within(const struct vivo_query_node *n, double lo, double hi)
{
    const struct vivo_query_value *v = n->values;

    if (n->kind == VIVO_QUERY_RANGE)
        return (!v[0].text || lo >= v[0].lo) && (!v[1].text || hi <= v[1].lo);
    return (n->cmp == VIVO_CMP_LT && hi < v[0].lo) ||
           (n->cmp == VIVO_CMP_LE && hi <= v[0].lo) ||
           (n->cmp == VIVO_CMP_GT && lo > v[0].lo) ||
           (n->cmp == VIVO_CMP_GE && lo >= v[0].lo);
}

/* No number from lo to hi can match. */
static bool beyond(const struct vivo_query_node *n, double lo, double hi)
{
    const struct vivo_query_value *v = n->values;

    if (n->kind == VIVO_QUERY_RANGE)
        return (v[0].text && hi < v[0].lo) || (v[1].text && lo > v[1].lo);
    return (n->cmp == VIVO_CMP_EQ && (v[0].lo < lo || v[0].lo > hi)) ||
           (n->cmp == VIVO_CMP_LT && lo >= v[0].lo) ||
           (n->cmp == VIVO_CMP_LE && lo > v[0].lo) ||
           (n->cmp == VIVO_CMP_GT && hi <= v[0].lo) ||
           (n->cmp == VIVO_CMP_GE && hi < v[0].lo);
}

/* -ENOMEM or a truth. */
static int eval_value(struct vivo_vector_step *k, const struct vivo_query_node *n,
                      const char *vr, const uint8_t *value, size_t len)
{
    struct vivo_query_source src = {.headers = k->s->common->headers};

    vivo_buf_clear(&k->v->one);
    if (vivo_attrs_put(&k->v->one, leaf_tag(n), vr, value, len) < 0)
        return vivo_fail(k->err, ENOMEM, "catalog: out of memory");
    src.attrs = (struct vivo_attrs){k->v->one.data, k->v->one.len};
    return (int)vivo_query_eval(n, &src);
}

/* Without whole headers what is absent is not known. */
static int eval_absent(struct vivo_vector_step *k, const struct vivo_query_node *n)
{
    struct vivo_query_source src = {.headers = k->s->common->headers};

    return (int)vivo_query_eval(n, &src);
}

static bool is_same(const struct memo *m, uint32_t hash, const char *vr,
                    const struct vivo_cell *cell)
{
    return m->truth != EMPTY && m->hash == hash && m->len == cell->len &&
           m->vr[0] == vr[0] && m->vr[1] == vr[1] &&
           memcmp(m->value, cell->value, cell->len) == 0;
}

static int eval_own(struct vivo_vector_step *k, struct vivo_leaf *leaf, const char *vr,
                    const struct vivo_cell *cell)
{
    uint32_t hash;
    struct memo *m;
    int t;

    if (cell->len > MEMO_VALUE)
        return eval_value(k, leaf->node, vr, cell->value, cell->len);
    hash = vivo_catalog_hash_bytes(cell->value, cell->len);
    m = &leaf->memo[hash % MEMO_SETS * 2];
    if (is_same(&m[0], hash, vr, cell))
        return m[0].truth;
    if (is_same(&m[1], hash, vr, cell))
        return m[1].truth;
    t = eval_value(k, leaf->node, vr, cell->value, cell->len);
    if (t < 0)
        return t;
    m[1] = m[0]; /* the older of the two goes */
    m->hash = hash;
    m->len = (uint8_t)cell->len;
    m->truth = (uint8_t)t;
    memcpy(m->vr, vr, 2);
    memcpy(m->value, cell->value, cell->len);
    return t;
}

static int make_memo(struct vivo_vector_step *k, struct vivo_leaf *leaf)
{
    if (leaf->memo)
        return 0;
    leaf->memo = calloc(2 * MEMO_SETS, sizeof *leaf->memo);
    if (!leaf->memo)
        return vivo_fail(k->err, ENOMEM, "catalog: out of memory");
    for (size_t i = 0; i < 2 * MEMO_SETS; i++)
        leaf->memo[i].truth = EMPTY;
    return 0;
}

/* What the base has, for members that have it too. */
static int eval_shared(struct vivo_vector_step *k, const struct vivo_query_node *n)
{
    struct vivo_attr a;

    if (!vivo_attrs_find(k->s->common->attrs, leaf_tag(n), &a))
        return eval_absent(k, n);
    return eval_value(k, n, a.vr, a.value, a.len);
}

/* ---- one column
 * -------------------------------------------------------------------- */

/* Truths of all numbers of the block that `code` is in: 1 = known now. */
static int learn_block(struct vivo_vector_step *k, struct vivo_leaf *leaf,
                       uint16_t code)
{
    struct vivo_code_block b;
    struct vivo_attr a;
    uint16_t at = 0;
    int t = 0,
        rc = vivo_catalog_code_block(k->d, leaf_tag(leaf->node), code, &b, &at, k->err);

    if (rc != 1)
        return rc;
    for (; t >= 0 && at != 0 && vivo_catalog_code_next(&b, &a); at++) {
        t = eval_value(k, leaf->node, a.vr, a.value, a.len);
        if (t >= 0)
            leaf->by_code[at] = (uint8_t)t;
    }
    vivo_catalog_code_close(&b);
    return t < 0 ? t : leaf->by_code[code] != EMPTY;
}

/* FALSE, TRUE, or bits above them where some member is not decided. */
static uint8_t look_up(const uint8_t *truths, const uint8_t *codes, size_t n,
                       uint8_t *out)
{
    uint8_t seen = 0;

    for (size_t i = 0; i < n; i++) {
        uint16_t code;
        memcpy(&code, codes + 2 * i, sizeof code);
        out[i] = truths[code];
        seen |= out[i];
    }
    return seen;
}

static int run_codes(struct vivo_vector_step *k, struct vivo_leaf *leaf,
                     const struct vivo_column *c, int absent, uint8_t *out)
{
    size_t n = k->s->members;
    const uint8_t *hole;
    uint16_t code;
    int rc;

    if (!leaf->by_code) {
        leaf->by_code = malloc(VIVO_CODES);
        if (!leaf->by_code)
            return vivo_fail(k->err, ENOMEM, "catalog: out of memory");
        memset(leaf->by_code, EMPTY, VIVO_CODES);
    }
    leaf->by_code[VIVO_CODES_ABSENT] = (uint8_t)absent;
    while (look_up(leaf->by_code, c->codes, n, out) > VIVO_TRUE) {
        hole = memchr(out, EMPTY, n);
        if (!hole)
            return 0; /* unknown */
        memcpy(&code, c->codes + 2 * (hole - out), sizeof code);
        rc = learn_block(k, leaf, code);
        if (rc != 1)
            return rc;
    }
    return 1;
}

static bool number_passes(const struct vivo_query_node *n, double v)
{
    return n->kind == VIVO_QUERY_CMP && n->cmp == VIVO_CMP_EQ ? v == n->values[0].lo
                                                              : within(n, v, v);
}

static int run_numbers(struct vivo_vector_step *k, const struct vivo_query_node *n,
                       const struct vivo_column *c, int absent, uint8_t *out)
{
    if (absent == VIVO_UNKNOWN && !c->full)
        return 0;
    for (size_t i = 0; i < k->s->members; i++) {
        double v;
        memcpy(&v, c->numbers + i * sizeof v, sizeof v);
        out[i] = isnan(v) ? (uint8_t)absent : number_passes(n, v);
    }
    return 1;
}

/* No value of the column can equal what is asked: it stands nowhere in it. UIDs have
 * one spelling, so that bytes tell. */
static bool stands_nowhere(const struct vivo_query_node *n, const struct vivo_column *c)
{
    bool equal = (n->kind == VIVO_QUERY_CMP && n->cmp == VIVO_CMP_EQ) ||
                 (n->kind == VIVO_QUERY_IN && !n->set && n->nvalues <= NEEDLES);

    if (n->path.cls != VIVO_CLASS_UID || !equal)
        return false;
    for (size_t i = 0; i < VIVO_MAX(n->nvalues, (size_t)1); i++) {
        const struct vivo_query_value *v = &n->values[i];
        if (v->pattern ||
            memmem(c->at, (size_t)(c->end - c->at), v->folded, strlen(v->folded)))
            return false;
    }
    return true;
}

static int run_cells(struct vivo_vector_step *k, struct vivo_leaf *leaf,
                     struct vivo_column *c, int absent, uint8_t *out)
{
    int shared = eval_shared(k, leaf->node), rc = make_memo(k, leaf);

    if (shared < 0 || rc < 0)
        return shared < 0 ? shared : rc;
    if (shared == VIVO_FALSE && (c->full || absent == VIVO_FALSE) &&
        stands_nowhere(leaf->node, c)) {
        memset(out, VIVO_FALSE, k->s->members);
        return 1;
    }
    for (size_t i = 0; i < k->s->members; i++) {
        struct vivo_cell cell;
        int t;
        vivo_catalog_column_next(c, &cell);
        if (cell.kind == VIVO_CELL_END)
            return 0;
        t = cell.kind == VIVO_CELL_BASE     ? shared
            : cell.kind == VIVO_CELL_ABSENT ? absent
                                            : eval_own(k, leaf, c->vr, &cell);
        if (t < 0 || t == VIVO_UNKNOWN)
            return t < 0 ? t : 0;
        out[i] = (uint8_t)t;
    }
    return 1;
}

static int run_column(struct vivo_vector_step *k, struct vivo_leaf *leaf,
                      struct vivo_column *c, uint8_t *out)
{
    int absent = eval_absent(k, leaf->node);
    bool zonal = c->zoned && is_zonal(leaf->node);

    if (c->members != k->s->members)
        return 0;
    if (zonal && (c->full || absent == VIVO_FALSE) &&
        beyond(leaf->node, c->lo, c->hi)) {
        memset(out, VIVO_FALSE, k->s->members);
        return 1;
    }
    if (zonal && c->full && within(leaf->node, c->lo, c->hi)) {
        memset(out, VIVO_TRUE, k->s->members);
        return 1;
    }
    if (c->codes)
        return run_codes(k, leaf, c, absent, out);
    if (c->numbers && zonal && can_number(leaf->node))
        return run_numbers(k, leaf->node, c, absent, out);
    return run_cells(k, leaf, c, absent, out);
}

static bool has_groups(const struct vivo_query_source *src)
{
    struct vivo_attr a;

    /* PS3.3 C.7.6.16: an attribute that is not in the root may be in them. */
    return vivo_attrs_find(src->attrs, 0x52009229, &a) ||
           vivo_attrs_find(src->attrs, 0x52009230, &a) ||
           vivo_catalog_tags_have(src->varying, src->nvarying, 0x52009229) ||
           vivo_catalog_tags_have(src->varying, src->nvarying, 0x52009230);
}

int vivo_catalog_leaf_run(struct vivo_vector_step *k, struct vivo_leaf *leaf,
                          uint8_t *out)
{
    enum vivo_truth t = vivo_query_eval(leaf->node, k->s->common);
    uint32_t tag = leaf_tag(leaf->node);
    struct vivo_column c;
    int rc;

    if (t != VIVO_UNKNOWN) {
        memset(out, (int)t, k->s->members);
        return 1;
    }
    if (!tag || has_groups(k->s->common))
        return 0;
    rc = vivo_catalog_column_open(k->d, &leaf->scan, k->s->id, tag, &c, k->err);
    return rc == 1 ? run_column(k, leaf, &c, out) : rc;
}

void vivo_catalog_leaf_clear(struct vivo_leaf *leaf)
{
    vivo_catalog_column_scan_end(&leaf->scan);
    free(leaf->memo);
    free(leaf->by_code);
    leaf->memo = NULL;
    leaf->by_code = NULL;
}
