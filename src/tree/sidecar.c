/* SPDX-License-Identifier: Apache-2.0 */
/* src/tree/sidecar.c -- .tags.json and .tags.txt of a study, a series or a query: what
 * the catalog knows of the attributes. No object is read for them. */
#include "tree/internal.h"

#include "vivofs/render.h"

#include <string.h>

#define ONE_MAX (16u << 20) /* bytes of one data set as text */

struct tags {
    struct vivo_tree *tree;
    const struct node *part;
    struct vivo_tree_spool *out;
    struct vivo_err *err;
    enum vivo_level level;
    bool some; /* one was written */
    char prefix[130];
};

static int attrs_of(const struct tags *t, const struct walk_item *item,
                    struct vivo_buf *out)
{
    vivo_buf_init(out, VIVO_ATTRS_MAX);
    return vivo_catalog_attrs(node_catalog(t->tree, t->part), t->level, item->e.row,
                              out, t->err);
}

static int too_long(const struct tags *t, const struct walk_item *item)
{
    return vivo_fail(t->err, EIO, "row #%lld: its attributes are too long",
                     (long long)item->e.row);
}

/* ---- .tags.json: a data set for each object ---------------------------------------
 */

static int json_object(void *ctx, const struct walk_item *item)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf attrs = {0}, text = {0};
    struct tags *t = ctx;
    int rc;

    if (item->e.refusal)
        return 0;
    rc = attrs_of(t, item, &attrs);
    if (rc)
        return rc;
    vivo_buf_init(&text, ONE_MAX);
    if (vivo_buf_puts(&text, t->some ? ",\n" : "") ||
        vivo_render_json((struct vivo_attrs){attrs.data, attrs.len}, &text))
        return too_long(t, item);
    t->some = true;
    return vivo_tree_spool_add(t->out, text.data, text.len, t->err);
}

static int tags_part(struct vivo_tree *tree, const struct node *part,
                     const struct vivo_selection *sel, struct tags *t, walk_fn *fn,
                     struct vivo_op *op)
{
    t->tree = tree;
    t->part = part;
    t->err = &op->err;
    walk_prefix(tree, part->archive, t->prefix);
    return walk_level(tree, part, sel, t->level, fn, t, &op->err);
}

static int json_part(struct vivo_tree *tree, const struct node *part,
                     const struct vivo_selection *sel, void *ctx, struct vivo_op *op)
{
    return tags_part(tree, part, sel, ctx, json_object, op);
}

int render_tags_json(struct vivo_tree *t, const struct node *dir,
                     struct vivo_tree_spool *out, struct vivo_op *op)
{
    struct tags tags = {.out = out, .level = VIVO_LEVEL_INSTANCE};
    int rc = vivo_tree_spool_add(out, "[", 1, &op->err);

    if (!rc)
        rc = exports_each_part(t, dir, json_part, &tags, op);
    return rc ? rc : vivo_tree_spool_add(out, "]\n", 2, &op->err);
}

/* ---- .tags.txt: what each series says in common ------------------------------------
 */

static int dump_series(void *ctx, const struct walk_item *item)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf attrs = {0}, text = {0};
    struct tags *t = ctx;
    int rc = attrs_of(t, item, &attrs);

    if (rc)
        return rc;
    vivo_buf_init(&text, ONE_MAX);
    if (vivo_buf_printf(&text, "%s# %s%s\n", t->some ? "\n" : "", t->prefix,
                        item->path) ||
        vivo_render_dump((struct vivo_attrs){attrs.data, attrs.len}, &text))
        return too_long(t, item);
    t->some = true;
    return vivo_tree_spool_add(t->out, text.data, text.len, t->err);
}

static int dump_part(struct vivo_tree *tree, const struct node *part,
                     const struct vivo_selection *sel, void *ctx, struct vivo_op *op)
{
    return tags_part(tree, part, sel, ctx, dump_series, op);
}

int render_tags_txt(struct vivo_tree *t, const struct node *dir,
                    struct vivo_tree_spool *out, struct vivo_op *op)
{
    struct tags tags = {.out = out, .level = VIVO_LEVEL_SERIES};

    return exports_each_part(t, dir, dump_part, &tags, op);
}
