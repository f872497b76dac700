/* SPDX-License-Identifier: Apache-2.0 */
/* src/tree/room_query.c -- q/: its names are expressions, or saved queries, which are
 * symbolic links; and the room of a text that does not parse. Looking a query up
 * costs a parse and has no side effect; evaluating waits until it is listed. */
#include "tree/internal.h"

#include <string.h>

static const char *hidden_here(void *ctx, uint32_t tag, const char *creator)
{
    return vivo_deid_hides(ctx, tag, creator);
}

/* Of the whole mount: hidden when every archive hides it; what only some hide is
 * decided below, archive by archive. */
static const char *hidden_everywhere(void *ctx, uint32_t tag, const char *creator)
{
    const struct vivo_tree *t = ctx;
    const char *word = NULL;

    for (size_t i = 0; i < t->cfg.nflows; i++) {
        word = vivo_deid_hides(vivo_flow_deid(t->flows[i]), tag, creator);
        if (!word)
            return NULL;
    }
    return word;
}

/* What the archive of `n`, or the mount as a whole, knows and hides. */
static struct vivo_query_rules rules_for(struct vivo_tree *t, const struct node *n)
{
    struct vivo_query_rules rules = {.hides = hidden_everywhere,
                                     .ctx = t,
                                     .lists = t->cfg.lists,
                                     .nlists = t->cfg.nlists};
    union { /* the rules' context is not const */
        const struct vivo_deid *in;
        struct vivo_deid *out;
    } deid = {NULL};

    if (n->archive < t->cfg.nflows) {
        deid.in = vivo_flow_deid(node_flow(t, n));
        rules.hides = hidden_here;
        rules.ctx = deid.out;
        rules.archive = vivo_flow_name(node_flow(t, n));
    }
    return rules;
}

int query_parse(struct vivo_tree *t, const struct node *n, const char *name,
                struct vivo_query **out, struct vivo_query_error *qe)
{
    struct vivo_query_rules rules = rules_for(t, n);

    return vivo_query_parse(name, &rules, out, qe);
}

int query_again(struct vivo_tree *t, const struct node *n, const struct vivo_query *q,
                struct vivo_query **out, struct vivo_query_error *qe)
{
    struct vivo_query_rules rules = rules_for(t, n);

    return vivo_query_reparse(q, &rules, out, qe);
}

int found_query(struct vivo_tree *t, struct found *f, const struct node *dir,
                struct vivo_query *q, struct vivo_op *op)
{
    struct vivo_query *both = NULL;
    int rc = 0;

    (void)t;
    if (dir->query)
        rc = vivo_query_and(dir->query, q, &both);
    else
        both = vivo_query_ref(q);
    vivo_query_unref(q);
    if (rc)
        return vivo_fail(&op->err, ENAMETOOLONG, "the nested queries are too long");
    found_room(f, dir, dir->archive == NO_ARCHIVE ? &room_everywhere : &room_level);
    if (f->spec.query)
        vivo_query_unref(f->spec.query);
    f->spec.query = both;
    f->spec.base_level = dir->level;
    f->spec.base_row = dir->row;
    f->spec.flags |= NODE_BRIEF;
    if (vivo_query_names(both, VIVO_VIRTUAL_FETCH_STATE))
        f->spec.flags |= NODE_NOW;
    return 0;
}

int found_query_error(struct found *f, const struct node *dir, const char *name,
                      const struct vivo_query_error *qe, struct vivo_op *op)
{
    struct vivo_buf text;

    vivo_buf_init(&text, 16384);
    if (vivo_query_error_text(name, qe, &text)) {
        vivo_buf_free(&text);
        return vivo_fail(&op->err, ENOMEM, "no memory for an error text");
    }
    found_room(f, dir, &room_error);
    f->spec.flags |= NODE_BRIEF;
    f->spec.text = (char *)text.data; /* the node's now; buffers end in NUL */
    return 0;
}

static int lookup_saved(struct vivo_tree *t, const struct node *dir, const char *name,
                        struct found *f, struct vivo_op *op)
{
    struct vivo_buf target;
    int rc;

    vivo_buf_init(&target, NODE_NAME_MAX + 1);
    rc = saved_find(t, dir, name, &target, &op->err);
    if (rc) {
        vivo_buf_free(&target);
        f->negative = 0;
        return rc;
    }
    found_room(f, dir, &room_link);
    f->spec.flags |= NODE_BRIEF;
    f->spec.text = (char *)target.data;
    return 0;
}

static int lookup(struct vivo_tree *t, const struct node *dir, const char *name,
                  struct found *f, struct vivo_op *op)
{
    struct vivo_query_error qe = {0};
    struct vivo_query *q = NULL;
    int rc;

    if (name[0] == '.')
        return not_there(f, 0, op);
    rc = query_parse(t, dir, name, &q, &qe);
    if (rc == -EINVAL)
        return found_query_error(f, dir, name, &qe, op);
    if (rc)
        return lookup_saved(t, dir, name, f, op);
    return found_query(t, f, dir, q, op);
}

static int list(struct lister *l, struct vivo_op *op)
{
    return saved_list(l, &op->err);
}

const struct room room_q = {
    .name = "q",
    .kind = VIVO_NODE_DIR,
    .mode = 0755,
    .lookup = lookup,
    .list = list,
};

const struct room room_link = {
    .name = "saved query",
    .kind = VIVO_NODE_LINK,
    .mode = 0777,
};

/* ---- a text that does not parse ---- */

static int lookup_error(struct vivo_tree *t, const struct node *dir, const char *name,
                        struct found *f, struct vivo_op *op)
{
    (void)t;
    if (strcmp(name, ".error"))
        return not_there(f, 0, op);
    return found_text(f, dir, dir->text, strlen(dir->text), &op->err);
}

static int list_error(struct lister *l, struct vivo_op *op)
{
    (void)op;
    return list_fixed(l, ".error", &room_text);
}

const struct room room_error = {
    .name = "error",
    .kind = VIVO_NODE_DIR,
    .mode = 0555,
    .lookup = lookup_error,
    .list = list_error,
};

const struct room room_text = {
    .name = "text",
    .kind = VIVO_NODE_FILE,
    .mode = 0444,
};
