/* SPDX-License-Identifier: Apache-2.0 */
/* src/catalog/vector.c -- a query over all members of a series at once, from columns.
 *
 * The tree is walked once a series, each condition giving one truth a member. What the
 * shared attributes decide is the same for all; a plain attribute that varies is looked
 * at in its column; anything else (sequences, private blocks, functional groups, what
 * is not known) is left to the slow way. vivo_query_eval alone compares: answers to
 * values seen before are remembered, for a condition on one attribute of a known
 * object hangs on its value only. A column whose numbers all lie beyond what is asked
 * is not read. */
#include "catalog/column.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define MEMO_SLOTS 2048
#define MEMO_VALUE 27 /* longer values are compared each time */
#define DEPTH_MAX 64  /* conditions within each other; deeper ones the slow way */

struct memo {
    uint32_t hash;
    uint8_t len, truth; /* truth: NONE_YET in an empty slot */
    char vr[2];
    uint8_t value[MEMO_VALUE];
};

#define EMPTY 0xFF

struct leaf {
    const struct vivo_query_node *node;
    struct memo *memo; /* MEMO_SLOTS, made when first needed */
};

struct vivo_vector {
    const struct vivo_query_node *root;
    struct leaf *leaves;
    size_t nleaves;
    uint8_t *truths[DEPTH_MAX + 1]; /* of each depth, cap bytes */
    size_t cap;
    struct vivo_buf one; /* a data set of one attribute */
};

struct step {
    struct vivo_vector *v;
    struct vivo_catdb *d;
    const struct vivo_vector_series *s;
    struct vivo_err *err;
};

static size_t count_leaves(const struct vivo_query_node *n)
{
    if (n->kind == VIVO_QUERY_AND || n->kind == VIVO_QUERY_OR)
        return count_leaves(n->a) + count_leaves(n->b);
    return n->kind == VIVO_QUERY_NOT ? count_leaves(n->a) : 1;
}

static void collect_leaves(struct vivo_vector *v, const struct vivo_query_node *n)
{
    if (n->kind == VIVO_QUERY_AND || n->kind == VIVO_QUERY_OR) {
        collect_leaves(v, n->a);
        collect_leaves(v, n->b);
    } else if (n->kind == VIVO_QUERY_NOT) {
        collect_leaves(v, n->a);
    } else {
        v->leaves[v->nleaves++].node = n;
    }
}

struct vivo_vector *vivo_catalog_vector_new(const struct vivo_query_node *root)
{
    struct vivo_vector *v = calloc(1, sizeof *v);

    if (!v)
        return NULL;
    v->root = root;
    vivo_buf_init(&v->one, VIVO_ATTRS_MAX);
    v->leaves = calloc(count_leaves(root), sizeof *v->leaves);
    if (!v->leaves) {
        free(v);
        return NULL;
    }
    collect_leaves(v, root);
    return v;
}

void vivo_catalog_vector_free(struct vivo_vector *v)
{
    if (!v)
        return;
    for (size_t i = 0; i < v->nleaves; i++)
        free(v->leaves[i].memo);
    free(v->leaves);
    for (size_t i = 0; i < VIVO_ARRAY_LEN(v->truths); i++)
        free(v->truths[i]);
    vivo_buf_free(&v->one);
    free(v);
}

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

static uint32_t hash_of(const uint8_t *p, size_t len)
{
    uint64_t h = len * 0x9E3779B97F4A7C15u, word;

    for (; len >= 8; p += 8, len -= 8) {
        memcpy(&word, p, 8);
        h = (h ^ word) * 0x9E3779B97F4A7C15u;
    }
    word = 0;
    memcpy(&word, p, len);
    h = (h ^ word) * 0x9E3779B97F4A7C15u;
    return (uint32_t)(h >> 32);
}

/* -ENOMEM or a truth. */
static int eval_value(struct step *k, const struct vivo_query_node *n, const char *vr,
                      const uint8_t *value, size_t len)
{
    struct vivo_query_source src = {.headers = k->s->common->headers};

    vivo_buf_clear(&k->v->one);
    if (vivo_attrs_put(&k->v->one, leaf_tag(n), vr, value, len) < 0)
        return vivo_fail(k->err, ENOMEM, "catalog: out of memory");
    src.attrs = (struct vivo_attrs){k->v->one.data, k->v->one.len};
    return (int)vivo_query_eval(n, &src);
}

/* Without whole headers what is absent is not known. */
static int eval_absent(struct step *k, const struct vivo_query_node *n)
{
    struct vivo_query_source src = {.headers = k->s->common->headers};

    return (int)vivo_query_eval(n, &src);
}

static int eval_own(struct step *k, struct leaf *leaf, const char *vr,
                    const struct vivo_cell *cell)
{
    uint32_t hash;
    struct memo *m;
    int t;

    if (cell->len > MEMO_VALUE)
        return eval_value(k, leaf->node, vr, cell->value, cell->len);
    hash = hash_of(cell->value, cell->len);
    m = &leaf->memo[hash % MEMO_SLOTS];
    if (m->truth != EMPTY && m->hash == hash && m->len == cell->len &&
        m->vr[0] == vr[0] && m->vr[1] == vr[1] &&
        memcmp(m->value, cell->value, cell->len) == 0)
        return m->truth;
    t = eval_value(k, leaf->node, vr, cell->value, cell->len);
    if (t < 0)
        return t;
    m->hash = hash;
    m->len = (uint8_t)cell->len;
    m->truth = (uint8_t)t;
    memcpy(m->vr, vr, 2);
    memcpy(m->value, cell->value, cell->len);
    return t;
}

static int make_memo(struct step *k, struct leaf *leaf)
{
    if (leaf->memo)
        return 0;
    leaf->memo = calloc(MEMO_SLOTS, sizeof *leaf->memo);
    if (!leaf->memo)
        return vivo_fail(k->err, ENOMEM, "catalog: out of memory");
    for (size_t i = 0; i < MEMO_SLOTS; i++)
        leaf->memo[i].truth = EMPTY;
    return 0;
}

/* What the base has, for members that have it too. */
static int eval_shared(struct step *k, const struct vivo_query_node *n)
{
    struct vivo_attr a;

    if (!vivo_attrs_find(k->s->common->attrs, leaf_tag(n), &a))
        return eval_absent(k, n);
    return eval_value(k, n, a.vr, a.value, a.len);
}

static int run_column(struct step *k, struct leaf *leaf, struct vivo_column *c,
                      uint8_t *out)
{
    int shared = eval_shared(k, leaf->node), absent = eval_absent(k, leaf->node);
    bool zonal = c->zoned && is_zonal(leaf->node);
    int own = !zonal                             ? -1
              : beyond(leaf->node, c->lo, c->hi) ? (int)VIVO_FALSE
              : within(leaf->node, c->lo, c->hi) ? (int)VIVO_TRUE
                                                 : -1;

    if (shared < 0)
        return shared;
    if (own == VIVO_FALSE && absent == VIVO_FALSE && shared == VIVO_FALSE) {
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
            : own >= 0                      ? own
                                            : eval_own(k, leaf, c->vr, &cell);
        if (t < 0 || t == VIVO_UNKNOWN)
            return t < 0 ? t : 0;
        out[i] = (uint8_t)t;
    }
    return 1;
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

static struct leaf *find_leaf(struct vivo_vector *v, const struct vivo_query_node *n)
{
    for (size_t i = 0; i < v->nleaves; i++)
        if (v->leaves[i].node == n)
            return &v->leaves[i];
    return NULL;
}

static int run_leaf(struct step *k, const struct vivo_query_node *n, uint8_t *out)
{
    struct leaf *leaf = find_leaf(k->v, n);
    enum vivo_truth t = vivo_query_eval(n, k->s->common);
    uint32_t tag = leaf_tag(n);
    struct vivo_column c;
    int rc;

    if (t != VIVO_UNKNOWN) {
        memset(out, (int)t, k->s->members);
        return 1;
    }
    if (!tag || !leaf || has_groups(k->s->common))
        return 0;
    rc = make_memo(k, leaf);
    if (rc == 0)
        rc = vivo_catalog_column_open(k->d, k->s->id, tag, &c, k->err);
    if (rc != 1)
        return rc;
    rc = run_column(k, leaf, &c, out);
    vivo_catalog_column_close(&c);
    return rc;
}

/* ---- the tree
 * ---------------------------------------------------------------------- */

static int run_node(struct step *k, const struct vivo_query_node *n, size_t depth);

static int run_pair(struct step *k, const struct vivo_query_node *n, size_t depth)
{
    bool both = n->kind == VIVO_QUERY_AND;
    uint8_t settled = both ? VIVO_FALSE : VIVO_TRUE;
    uint8_t *a = k->v->truths[depth];
    const uint8_t *b = k->v->truths[depth + 1];
    int rc = run_node(k, n->a, depth);

    if (rc != 1)
        return rc;
    if (memchr(a, settled ^ 1, k->s->members) == NULL)
        return 1; /* nothing is left to be decided */
    rc = run_node(k, n->b, depth + 1);
    for (size_t i = 0; rc == 1 && i < k->s->members; i++)
        a[i] = both ? a[i] & b[i] : a[i] | b[i];
    return rc;
}

static int run_node(struct step *k, const struct vivo_query_node *n, size_t depth)
{
    uint8_t *out = k->v->truths[depth];
    int rc;

    if (depth == DEPTH_MAX)
        return 0;
    if (n->kind == VIVO_QUERY_AND || n->kind == VIVO_QUERY_OR)
        return run_pair(k, n, depth);
    if (n->kind != VIVO_QUERY_NOT)
        return run_leaf(k, n, out);
    rc = run_node(k, n->a, depth);
    for (size_t i = 0; rc == 1 && i < k->s->members; i++)
        out[i] ^= 1;
    return rc;
}

static int make_room(struct step *k)
{
    size_t cap = k->s->members;

    if (cap <= k->v->cap)
        return 0;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(k->v->truths); i++) {
        uint8_t *p = realloc(k->v->truths[i], cap);
        if (!p)
            return vivo_fail(k->err, ENOMEM, "catalog: out of memory");
        k->v->truths[i] = p;
    }
    k->v->cap = cap;
    return 0;
}

int vivo_catalog_vector_run(struct vivo_vector *v, struct vivo_catdb *d,
                            const struct vivo_vector_series *s, const uint8_t **truths,
                            struct vivo_err *err)
{
    struct step k = {v, d, s, err};
    int rc = 0;

    if (s->members == 0 || s->members > (size_t)VIVO_COLUMN_MEMBERS)
        return 0;
    rc = make_room(&k);
    if (rc == 0)
        rc = run_node(&k, v->root, 0);
    if (rc == 1)
        *truths = v->truths[0];
    return rc;
}

_Static_assert(VIVO_FALSE == 0 && VIVO_TRUE == 1, "truths are combined by bits");
