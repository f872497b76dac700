/* SPDX-License-Identifier: Apache-2.0 */
/* src/tree/media_index.c -- the DICOMDIR of a `.media/`, put together when it is
 * opened.
 *
 * Its records are made of what the catalog knows. Where that is not enough (the
 * transfer syntax of an object is in its header only) the archive is asked for
 * headers, and last for the object. It is whole, or the open fails. */
#include "tree/media.h"

#include "vivofs/render.h"

#include <stdio.h>
#include <string.h>

#define AHEAD 16 /* objects under way at a time */
#define INDEX_MAX (1u << 30)
#define TAG_SYNTAX 0x00020010u

struct making {
    struct vivo_tree *tree;
    const struct node *node;
    struct media *media;
    struct vivo_op *op;
};

/* ---- what is known of one object ---------------------------------------------------
 */

static bool is_enough(struct vivo_attrs a)
{
    struct vivo_attr e;

    return vivo_attrs_find(a, TAG_SYNTAX, &e) && e.len &&
           vivo_attrs_find(a, VIVO_TAG_SOPClassUID, &e) && e.len;
}

static int keep_keys(struct making *k, struct media_item *item, struct vivo_attrs a)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf keys = {0};
    int rc;

    vivo_buf_init(&keys, VIVO_ATTRS_MAX);
    rc = vivo_buf_reserve(&keys, 1) ? vivo_render_dicomdir_keys(a, &keys) : -ENOMEM;
    if (rc)
        return vivo_fail(&k->op->err, rc == -ENOMEM ? ENOMEM : EIO,
                         "row #%lld: its attributes are too long for a DICOMDIR",
                         (long long)item->row);
    pthread_mutex_lock(&k->media->made.mutex);
    if (!item->keys) {
        item->keys = keys.data;
        item->len = keys.len;
        keys = (struct vivo_buf){0};
    }
    pthread_mutex_unlock(&k->media->made.mutex);
    return 0;
}

static void leave_out(struct making *k, struct media_item *item)
{
    pthread_mutex_lock(&k->media->made.mutex);
    item->left_out = true;
    pthread_mutex_unlock(&k->media->made.mutex);
    vivo_err_clear(&k->op->err);
}

static bool is_settled(struct media *m, const struct media_item *item)
{
    pthread_mutex_lock(&m->made.mutex);
    bool settled = item->keys || item->left_out;
    pthread_mutex_unlock(&m->made.mutex);
    return settled;
}

/* ---- asking for more ---------------------------------------------------------------
 */

/* The next objects are fetched at the same time; what becomes of them is learned when
 * it is their turn. */
static void begin_others(struct making *k, const struct media_item *item)
{
    const struct media_item *end = k->media->items + k->media->n;
    unsigned n = 0;

    for (const struct media_item *i = item + 1; k->op->landed && i < end; i++) {
        if (is_settled(k->media, i))
            continue;
        if (++n >= AHEAD)
            return;
        object_aside(node_flow(k->tree, k->node), i->row);
    }
}

static int ask_object(struct making *k, struct media_item *item)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf attrs = {0};
    VIVO_AUTO(vivo_view_unref_p) struct vivo_view *view = NULL;
    struct vivo_flow *f = node_flow(k->tree, k->node);
    struct view_reader r;
    vivo_row row = item->row;
    int rc = vivo_flow_object(f, row, &view, k->op);

    if (rc == -EAGAIN) /* the op is the flight's now */
        return rc;
    if (rc == -EPERM || rc == -ENOENT) {
        leave_out(k, item);
        return 0;
    }
    if (rc)
        return rc;
    vivo_buf_init(&attrs, VIVO_ATTRS_MAX);
    view_reader_init(&r, view);
    rc = vivo_dcm_attrs(&r.base, NULL, 0, &attrs, &k->op->err);
    return rc ? rc : keep_keys(k, item, (struct vivo_attrs){attrs.data, attrs.len});
}

/* Headers are asked for once; what they do not tell either, the object does. */
static int ask_headers(struct making *k, struct media_item *item, vivo_row series)
{
    bool asked;

    pthread_mutex_lock(&k->media->made.mutex);
    asked = item->asked;
    item->asked = true;
    pthread_mutex_unlock(&k->media->made.mutex);
    return asked ? 0 : vivo_flow_headers(node_flow(k->tree, k->node), series, k->op);
}

static int copy_entry(void *ctx, const struct vivo_entry *e)
{
    *(struct vivo_entry *)ctx = *e;
    return 0;
}

static int learn_item(struct making *k, struct media_item *item)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf attrs = {0};
    struct vivo_catalog *cat = node_catalog(k->tree, k->node);
    struct vivo_err *err = &k->op->err;
    struct vivo_entry e = {0};
    int rc = vivo_catalog_get(cat, VIVO_LEVEL_INSTANCE, item->row, copy_entry, &e, err);

    if (rc == -ENOENT || (!rc && e.refusal)) {
        leave_out(k, item);
        return 0;
    }
    if (!rc && !e.headers)
        rc = ask_headers(k, item, e.parent);
    if (rc)
        return rc;
    vivo_buf_init(&attrs, VIVO_ATTRS_MAX);
    rc = vivo_catalog_attrs(cat, VIVO_LEVEL_INSTANCE, item->row, &attrs, err);
    if (rc)
        return rc;
    struct vivo_attrs a = {attrs.data, attrs.len};
    if (is_enough(a))
        return keep_keys(k, item, a);
    begin_others(k, item);
    return ask_object(k, item);
}

/* ---- the file ----------------------------------------------------------------------
 */

static void file_id(const struct media_item *item, char out[64])
{
    snprintf(out, 64, "DICOM/PA%06u/ST%06u/SE%06u/IM%06u", (unsigned)item->at[0],
             (unsigned)item->at[1], (unsigned)item->at[2], (unsigned)item->at[3]);
}

/* Keys stay where they are once they are known. */
static size_t take_files(struct media *m, struct vivo_render_file *files,
                         char (*ids)[64])
{
    size_t n = 0;

    pthread_mutex_lock(&m->made.mutex);
    for (size_t i = 0; i < m->n; i++) {
        const struct media_item *item = &m->items[i];

        if (item->left_out || !item->keys)
            continue;
        file_id(item, ids[n]);
        files[n] = (struct vivo_render_file){{item->keys, item->len}, ids[n]};
        n++;
    }
    pthread_mutex_unlock(&m->made.mutex);
    return n;
}

static int render(struct making *k, struct vivo_buf *out)
{
    struct media *m = k->media;
    VIVO_AUTO(vivo_free_p)
    struct vivo_render_file *files = calloc(m->n + 1, sizeof *files);
    VIVO_AUTO(vivo_free_p) char(*ids)[64] = calloc(m->n + 1, sizeof *ids);
    size_t n;

    if (!files || !ids)
        return vivo_fail(&k->op->err, ENOMEM, "no memory for a DICOMDIR");
    n = take_files(m, files, ids);
    return vivo_render_dicomdir(files, n, "VIVOFS", out, NULL, &k->op->err);
}

static int make_index(struct making *k, struct vivo_view **out)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf text = {0};
    struct vivo_tree_spool s;
    int rc;

    vivo_buf_init(&text, INDEX_MAX);
    rc = render(k, &text);
    if (rc)
        return rc;
    vivo_tree_spool_init(&s);
    rc = vivo_tree_spool_add(&s, text.data, text.len, &k->op->err);
    if (!rc)
        rc = vivo_tree_spool_view(&s, out, &k->op->err);
    vivo_tree_spool_free(&s);
    return rc;
}

static int open_index(struct vivo_tree *t, const struct node *n, struct vivo_view **out,
                      struct vivo_node_stat *st, struct vivo_op *op)
{
    struct making k = {
        .tree = t, .node = n, .media = (struct media *)n->made, .op = op};
    struct media *m = k.media; /* first member of it is n->made */
    struct vivo_view *made = NULL;
    bool resized = false;
    int rc = 0;

    *out = made_share(&m->made, NULL);
    for (size_t i = 0; !*out && i < m->n && !rc; i++)
        if (!is_settled(m, &m->items[i]))
            rc = learn_item(&k, &m->items[i]);
    if (!rc && !*out) {
        rc = make_index(&k, &made);
        resized = true;
    }
    if (rc)
        return rc;
    if (made)
        *out = made_share(&m->made, made);
    node_stat(t, n, st);
    st->resized = resized;
    return 0;
}

static int stat_index(struct vivo_tree *t, const struct node *n,
                      struct vivo_node_stat *out, struct vivo_op *op)
{
    VIVO_AUTO(vivo_view_unref_p) struct vivo_view *view = NULL;

    if (t->cfg.size_exact)
        return open_index(t, n, &view, out, op);
    node_stat(t, n, out);
    return 0;
}

const struct room room_index = {
    .name = "DICOMDIR",
    .kind = VIVO_NODE_FILE,
    .mode = 0444,
    .stat = stat_index,
    .open = open_index,
};
