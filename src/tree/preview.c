/* SPDX-License-Identifier: Apache-2.0 */
/* src/tree/preview.c -- .preview.png: of a series the middle object, of anything else
 * a sheet of series. Which objects is decided when it is looked up; they are read,
 * decoded and painted when it is opened, on a job thread. What cannot be shown is an
 * error with its reason, or on a sheet a cross, and never black. */
#include "tree/internal.h"

#include "vivofs/hash.h"
#include "vivofs/render.h"

#include <string.h>

#define SIDE 1024u   /* pixels, at most */
#define TILES 16     /* series on a sheet, at most */
#define USUAL 262144 /* bytes, as a first estimate */

struct thing {
    uint32_t archive;
    vivo_row row;
};

struct things {
    struct thing *p;
    size_t n, cap;
};

struct preview {
    struct made made; /* first */
    bool one;         /* of a series: nothing but its object */
    struct thing objects[TILES];
    size_t n;
};

/* ---- which objects -----------------------------------------------------------------
 */

struct choosing {
    struct things series, members;
    struct preview *preview;
    struct vivo_tree *tree;
    const struct node *part;
    struct vivo_err *err;
};

static int add_thing(struct things *t, uint32_t archive, vivo_row row,
                     struct vivo_err *err)
{
    struct thing *p = vivo_array_grow(t->p, t->n, &t->cap, sizeof *p, VIVO_ARRAY_MAX);
    if (!p)
        return vivo_fail(err, ENOMEM, "no memory for a preview");
    t->p = p;
    t->p[t->n++] = (struct thing){archive, row};
    return 0;
}

/* Documents, plans and signals have no pixels. */
static bool has_pictures(struct vivo_attrs a)
{
    static const char *const without[] = {
        "SR",  "KO", "PR", "RTSTRUCT", "RTPLAN", "RTRECORD", "REG", "FID",
        "ECG", "HD", "AU", "DOC",      "PLAN",   "SMR",      "RWV", "EPS"};
    char modality[20];

    vivo_attrs_text(a, VIVO_TAG_Modality, modality, sizeof modality);
    for (size_t i = 0; i < VIVO_ARRAY_LEN(without); i++)
        if (!strcmp(modality, without[i]))
            return false;
    return true;
}

static int see_series(void *ctx, const struct walk_item *item)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf attrs = {0};
    struct choosing *c = ctx;
    int rc;

    vivo_buf_init(&attrs, VIVO_ATTRS_MAX);
    rc = vivo_catalog_attrs(node_catalog(c->tree, c->part), VIVO_LEVEL_SERIES,
                            item->e.row, &attrs, c->err);
    if (rc || !has_pictures((struct vivo_attrs){attrs.data, attrs.len}))
        return rc;
    return add_thing(&c->series, c->part->archive, item->e.row, c->err);
}

static int see_member(void *ctx, const struct walk_item *item)
{
    struct choosing *c = ctx;

    if (item->e.refusal)
        return 0;
    return add_thing(&c->members, c->part->archive, item->e.row, c->err);
}

static int series_part(struct vivo_tree *t, const struct node *part,
                       const struct vivo_selection *sel, void *ctx, struct vivo_op *op)
{
    struct choosing *c = ctx;

    c->part = part;
    c->err = &op->err;
    return walk_level(t, part, sel, VIVO_LEVEL_SERIES, see_series, c, &op->err);
}

/* The middle object of those series that were chosen. */
static int middle_part(struct vivo_tree *t, const struct node *part,
                       const struct vivo_selection *sel, void *ctx, struct vivo_op *op)
{
    struct choosing *c = ctx;
    struct preview *p = c->preview;
    int rc = 0;

    c->part = part;
    for (size_t i = 0; i < c->series.n && !rc; i++) {
        const struct thing *s = &c->series.p[i];
        struct node series = node_scope(part);

        if (s->archive != part->archive)
            continue;
        series.level = VIVO_LEVEL_SERIES;
        series.row = s->row;
        c->members.n = 0;
        rc = walk_level(t, &series, sel, VIVO_LEVEL_INSTANCE, see_member, c, &op->err);
        if (!rc && c->members.n && p->n < TILES)
            p->objects[p->n++] = c->members.p[c->members.n / 2];
    }
    return rc;
}

/* So many that they fit on a sheet, from all over. */
static void thin_out(struct things *t)
{
    size_t n = VIVO_MIN(t->n, (size_t)TILES);

    for (size_t i = 0; i < n; i++)
        t->p[i] = t->p[i * t->n / n];
    t->n = n;
}

static int choose(struct vivo_tree *t, const struct node *dir, struct preview *p,
                  struct vivo_op *op)
{
    struct choosing c = {.preview = p, .tree = t, .err = &op->err};
    int rc = exports_each_part(t, dir, series_part, &c, op);

    if (!rc) {
        thin_out(&c.series);
        rc = exports_each_part(t, dir, middle_part, &c, op);
    }
    p->one = p->n == 1;
    free(c.series.p);
    free(c.members.p);
    return rc;
}

static void drop_preview(struct made *m)
{
    free(m);
}

/* By value: what lies between the members of a struct is anything. */
static void put_digest(struct preview *p)
{
    uint64_t told[TILES][2] = {{0}};
    uint8_t digest[VIVO_DIGEST_LEN];

    for (size_t i = 0; i < p->n; i++) {
        told[i][0] = p->objects[i].archive;
        told[i][1] = (uint64_t)p->objects[i].row;
    }
    vivo_sha256(told, sizeof told, digest);
    vivo_hex(digest, sizeof digest, p->made.digest);
}

static int preview_new(struct vivo_tree *t, const struct node *dir,
                       struct preview **out, struct vivo_op *op)
{
    struct preview *p = calloc(1, sizeof *p);
    int rc;

    if (!p)
        return vivo_fail(&op->err, ENOMEM, "no memory for a preview");
    made_init(&p->made, drop_preview);
    p->made.estimate = USUAL;
    rc = choose(t, dir, p, op);
    if (rc) {
        made_unref(&p->made);
        return rc;
    }
    put_digest(p);
    *out = p;
    return 0;
}

int preview_lookup(struct vivo_tree *t, const struct node *dir, struct found *f,
                   struct vivo_op *op)
{
    uint64_t before = exports_generation(t, dir);
    struct preview *p = NULL;
    struct made *m;
    int rc;

    if (made_reuse(t, dir, PREVIEW_FILE, &room_preview, before, f))
        return 0;
    rc = preview_new(t, dir, &p, op);
    if (rc)
        return rc;
    m = made_recall(t, &p->made);
    return made_found(f, dir, &room_preview, m,
                      exports_generation(t, dir) == before ? before : 0, &op->err);
}

struct looking { /* for the first series that is known to have pictures */
    struct vivo_catalog *catalog;
    struct vivo_err *err;
};

/* By Rows, which headers and some listings have; else by the modality, if that says. */
static int look_at_series(void *ctx, const struct walk_item *item)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf attrs = {0};
    struct looking *k = ctx;
    char rows[24], modality[20];
    int rc;

    vivo_buf_init(&attrs, VIVO_ATTRS_MAX);
    rc = vivo_catalog_attrs(k->catalog, VIVO_LEVEL_SERIES, item->e.row, &attrs, k->err);
    if (rc)
        return rc;
    struct vivo_attrs a = {attrs.data, attrs.len};
    if (vivo_attrs_text(a, VIVO_TAG_Rows, rows, sizeof rows))
        return strcmp(rows, "0") != 0;
    return !item->e.headers &&
           vivo_attrs_text(a, VIVO_TAG_Modality, modality, sizeof modality) &&
           strcmp(modality, "OT") != 0 && has_pictures(a);
}

int preview_list(struct lister *l, const struct vivo_selection *sel, struct vivo_op *op)
{
    struct looking k = {.catalog = node_catalog(l->tree, l->dir), .err = &op->err};
    struct made none = {.estimate = USUAL};
    int rc = walk_level(l->tree, l->dir, sel, VIVO_LEVEL_SERIES, look_at_series, &k,
                        &op->err);

    return rc == 1 ? made_list(l, PREVIEW_FILE, &room_preview, &none) : rc;
}

/* ---- painting, on a job thread ------------------------------------------------------
 */

struct painting {
    struct preview *preview;
    struct vivo_view *views[TILES]; /* NULL = there is none to be had */
};

static void drop_painting(void *ctx)
{
    struct painting *w = ctx;

    for (size_t i = 0; i < TILES; i++)
        vivo_view_unref(w->views[i]);
    made_unref(&w->preview->made);
    free(w);
}

static uint32_t tile_side(size_t n)
{
    uint32_t across = 1;

    while ((size_t)across * across < n)
        across++;
    return SIDE / across;
}

static int paint_view(const struct vivo_view *view, uint32_t side,
                      struct vivo_picture *out, struct vivo_err *err)
{
    struct view_reader r;

    if (!view)
        return vivo_fail(err, EBADMSG, "it cannot be opened");
    view_reader_init(&r, view);
    return vivo_render_picture(&r.base, side, out, err);
}

/* *shown: how many are no crosses. The first reason stays in err. */
static int paint_tiles(const struct painting *w, struct vivo_picture *tiles,
                       size_t *shown, struct vivo_err *err)
{
    const struct preview *p = w->preview;
    uint32_t side = tile_side(p->n);

    for (size_t i = 0; i < p->n; i++) {
        struct vivo_err why = {0};
        int rc = paint_view(w->views[i], side, &tiles[i], &why);

        *shown += !rc;
        if (rc && !err->errnum)
            *err = why;
        if (rc == -EBADMSG && !p->one)
            rc = vivo_render_no_picture(side, &tiles[i]);
        if (rc) {
            *err = why;
            return rc;
        }
    }
    return *shown ? 0 : -err->errnum;
}

static int keep_png(struct preview *p, const struct vivo_picture *picture,
                    struct vivo_err *err)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf png = {0};
    struct vivo_view *view = NULL;
    struct vivo_tree_spool s;
    int rc;

    vivo_buf_init(&png, 2 * SIDE * SIDE * 3);
    rc = vivo_render_png(picture, &png, err);
    if (rc)
        return rc;
    vivo_tree_spool_init(&s);
    rc = vivo_tree_spool_add(&s, png.data, png.len, err);
    if (!rc)
        rc = vivo_tree_spool_view(&s, &view, err);
    vivo_tree_spool_free(&s);
    if (!rc)
        vivo_view_unref(made_share(&p->made, view));
    return rc;
}

static int paint(void *ctx, struct vivo_err *err)
{
    struct painting *w = ctx;
    struct preview *p = w->preview;
    struct vivo_picture tiles[TILES] = {0}, sheet = {0};
    size_t shown = 0;
    int rc = paint_tiles(w, tiles, &shown, err);

    if (!rc && p->one)
        rc = keep_png(p, &tiles[0], err);
    else if (!rc && vivo_render_sheet(tiles, p->n, tile_side(p->n), &sheet))
        rc = vivo_fail(err, ENOMEM, "no memory for a preview");
    else if (!rc)
        rc = keep_png(p, &sheet, err);
    for (size_t i = 0; i < TILES; i++)
        vivo_picture_free(&tiles[i]);
    vivo_picture_free(&sheet);
    if (rc)
        vivo_fail_in(err, "row #%lld: no preview", (long long)p->objects[0].row);
    return rc;
}

/* ---- opening -----------------------------------------------------------------------
 */

static int take_views(struct vivo_tree *t, struct painting *w, struct vivo_op *op)
{
    const struct preview *p = w->preview;

    for (size_t i = 0; i < p->n; i++) {
        const struct thing *o = &p->objects[i];
        int rc;

        for (size_t k = i + 1; k < p->n && i == 0 && op->landed; k++)
            object_aside(t->flows[p->objects[k].archive], p->objects[k].row);
        rc = vivo_flow_object(t->flows[o->archive], o->row, &w->views[i], op);
        if (rc == -EAGAIN)
            return rc;
        if (rc && (p->one || (rc != -EPERM && rc != -ENOENT && rc != -EBADMSG)))
            return rc;
        if (rc)
            vivo_err_clear(&op->err);
    }
    return 0;
}

static int make_preview(struct vivo_tree *t, struct preview *p, struct vivo_op *op)
{
    struct painting *w;
    uint64_t id;
    int rc;

    if (!p->n)
        return vivo_fail(&op->err, EBADMSG, "no preview: nothing here is a picture");
    w = calloc(1, sizeof *w);
    if (!w)
        return vivo_fail(&op->err, ENOMEM, "no memory for a preview");
    w->preview = p;
    made_ref(&p->made);
    rc = take_views(t, w, op);
    if (rc) {
        drop_painting(w);
        return rc;
    }
    memcpy(&id, p->made.digest, sizeof id);
    return vivo_flow_work(t->flows[p->objects[0].archive], id, paint, drop_painting, w,
                          op);
}

static int open_preview(struct vivo_tree *t, const struct node *n,
                        struct vivo_view **out, struct vivo_node_stat *st,
                        struct vivo_op *op)
{
    bool resized = atomic_load(&n->made->size) == 0;
    int rc = 0;

    *out = made_share(n->made, NULL);
    if (!*out)
        rc = make_preview(t, (struct preview *)n->made, op);
    if (!rc && !*out)
        *out = made_share(n->made, NULL);
    if (!rc && !*out)
        rc = vivo_fail(&op->err, EIO, "a preview is gone at once");
    if (rc)
        return rc;
    node_stat(t, n, st);
    st->resized = resized;
    return 0;
}

static int stat_preview(struct vivo_tree *t, const struct node *n,
                        struct vivo_node_stat *out, struct vivo_op *op)
{
    VIVO_AUTO(vivo_view_unref_p) struct vivo_view *view = NULL;

    if (t->cfg.size_exact)
        return open_preview(t, n, &view, out, op);
    node_stat(t, n, out);
    return 0;
}

const struct room room_preview = {
    .name = "preview",
    .kind = VIVO_NODE_FILE,
    .mode = 0444,
    .stat = stat_preview,
    .open = open_preview,
};
