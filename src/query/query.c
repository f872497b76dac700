/* SPDX-License-Identifier: Apache-2.0 */
/* src/query/query.c -- the life of a query: parsed, joined, referenced, freed; and
 * the text of .error. The grammar is in parse.c. */
#include "internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

const uint32_t vivo_query_any_tags[VIVO_QUERY_ANY_N] = {
    VIVO_TAG_PatientID,    VIVO_TAG_StudyDescription, VIVO_TAG_SeriesDescription,
    VIVO_TAG_ProtocolName, VIVO_TAG_Modality,         VIVO_TAG_BodyPartExamined,
    VIVO_TAG_Manufacturer,
};

static struct vivo_query *new_query(void)
{
    struct vivo_query *q = calloc(1, sizeof *q);
    if (!q)
        return NULL;
    atomic_init(&q->refs, 1);
    q->arena = vivo_arena_new(VIVO_QUERY_ARENA_MAX);
    if (q->arena)
        return q;
    free(q);
    return NULL;
}

struct vivo_query *vivo_query_ref(struct vivo_query *q)
{
    if (q)
        atomic_fetch_add(&q->refs, 1);
    return q;
}

/* The left part is freed in the loop, for q/A/q/B/q/C… makes a long chain of it. */
void vivo_query_unref(struct vivo_query *q)
{
    while (q && atomic_fetch_sub(&q->refs, 1) == 1) {
        struct vivo_query *left = q->a;
        vivo_query_unref(q->b);
        for (struct vivo_query_regex *re = q->regexes; re; re = re->next)
            vivo_query_regex_free(re);
        vivo_arena_free(q->arena);
        free(q);
        q = left;
    }
}

const struct vivo_query_node *vivo_query_root(const struct vivo_query *q)
{
    return q ? q->root : NULL;
}

const char *vivo_query_text(const struct vivo_query *q)
{
    return q ? q->text : "";
}

const struct vivo_query_node *vivo_query_join(struct vivo_arena *arena,
                                              enum vivo_query_kind kind,
                                              const struct vivo_query_node *a,
                                              const struct vivo_query_node *b,
                                              size_t column)
{
    if (b->kind == kind) {
        a = vivo_query_join(arena, kind, a, b->a, column);
        b = b->b;
    }
    struct vivo_query_node *n = a ? vivo_arena_alloc(arena, sizeof *n) : NULL;
    if (!n)
        return NULL;
    n->kind = kind;
    n->a = a;
    n->b = b;
    n->column = column;
    return n;
}

int vivo_query_and(struct vivo_query *a, struct vivo_query *b, struct vivo_query **out)
{
    if (!a || !b) {
        *out = vivo_query_ref(a ? a : b);
        return 0;
    }
    struct vivo_query *q = new_query();
    if (!q)
        return -ENOMEM;
    q->a = vivo_query_ref(a);
    q->b = vivo_query_ref(b);
    q->root =
        vivo_query_join(q->arena, VIVO_QUERY_AND, a->root, b->root, b->root->column);
    int rc = q->root ? vivo_query_print(q) : -ENOMEM;
    if (!rc)
        *out = q;
    else
        vivo_query_unref(q);
    return rc == -ENOSPC ? -ENAMETOOLONG : rc;
}

static int parse(struct vivo_query_parser *p, const char *name)
{
    int rc = vivo_query_decode(p, name);
    if (rc)
        return rc;
    p->q->root = vivo_query_parse_expr(p);
    if (!p->q->root && !p->rc)
        vivo_query_fail_nomem(p);
    return p->q->root ? vivo_query_print(p->q) : p->rc;
}

static int parse_new(const char *name, unsigned depth_max,
                     const struct vivo_query_rules *rules, struct vivo_query **out,
                     struct vivo_query_error *qe)
{
    struct vivo_query_error unused;
    struct vivo_query_parser p = {.q = new_query(),
                                  .rules = rules,
                                  .qe = qe ? qe : &unused,
                                  .depth_max = depth_max};
    if (!p.q)
        return -ENOMEM;
    memset(p.qe, 0, sizeof *p.qe);
    int rc = parse(&p, name);
    if (rc)
        vivo_query_unref(p.q);
    else
        *out = p.q;
    return rc;
}

int vivo_query_parse(const char *name, const struct vivo_query_rules *rules,
                     struct vivo_query **out, struct vivo_query_error *qe)
{
    if (!vivo_query_is_expression(name))
        return -ENOENT;
    if (strlen(name) <= VIVO_QUERY_NAME_MAX)
        return parse_new(name, VIVO_QUERY_DEPTH_MAX, rules, out, qe);
    if (qe) {
        memset(qe, 0, sizeof *qe);
        qe->column = VIVO_QUERY_NAME_MAX;
        snprintf(qe->text, sizeof qe->text, "longer than %d bytes",
                 VIVO_QUERY_NAME_MAX);
        snprintf(qe->hint, sizeof qe->hint, "queries nest: q/A/q/B is A and B");
    }
    return -EINVAL;
}

/* Joined queries are longer than a name, and one parenthesis deeper. */
int vivo_query_reparse(const struct vivo_query *q, const struct vivo_query_rules *rules,
                       struct vivo_query **out, struct vivo_query_error *qe)
{
    return parse_new(q->text, VIVO_QUERY_DEPTH_MAX + 1, rules, out, qe);
}

static bool node_names(const struct vivo_query_node *n, enum vivo_query_virtual which)
{
    return n->path.computed == which || (n->a && node_names(n->a, which)) ||
           (n->b && node_names(n->b, which));
}

bool vivo_query_names(const struct vivo_query *q, enum vivo_query_virtual which)
{
    return node_names(q->root, which);
}

/* ---- .error -------------------------------------------------------------------------
 */

/* Control characters would move the caret. */
static int put_line(struct vivo_buf *out, const char *s)
{
    int rc = vivo_buf_puts(out, "  ");
    for (; *s && !rc; s++)
        rc = vivo_buf_add(out, (unsigned char)*s < ' ' || *s == 0x7F ? "?" : s, 1);
    return rc ? rc : vivo_buf_puts(out, "\n  ");
}

int vivo_query_error_text(const char *name, const struct vivo_query_error *qe,
                          struct vivo_buf *out)
{
    int rc = vivo_buf_printf(out, "%s\n", qe->text);
    rc = rc ? rc : put_line(out, name);
    for (size_t i = 0; i < qe->column && name[i] && !rc; i++)
        if (((unsigned char)name[i] & 0xC0) != 0x80) /* one column a character */
            rc = vivo_buf_puts(out, " ");
    rc = rc ? rc : vivo_buf_puts(out, "^\n");
    if (!rc && *qe->hint)
        rc = vivo_buf_printf(out, "%s\n", qe->hint);
    return rc;
}
