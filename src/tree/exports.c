/* SPDX-License-Identifier: Apache-2.0 */
/* src/tree/exports.c -- files that a directory answers by name: .query, .count,
 * .paths.txt, .refused.csv and their kind. Each is put together when looked up, so
 * that its size is exact, and again only when the catalog has changed. */
#include "tree/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int run_part(struct vivo_tree *t, const struct node *n, part_fn *fn, void *ctx,
                    struct vivo_op *op)
{
    VIVO_AUTO(selection_unref_p) struct vivo_selection *sel = NULL;
    bool all = !n->query && n->level >= VIVO_LEVEL_STUDY;
    int rc = select_members(t, n, &sel, op);

    if (!rc && all)
        rc = vivo_flow_list(node_flow(t, n), n->level, n->row, op);
    if (!rc && all)
        rc = learn_series(t, n, sel, op);
    return rc ? rc : fn(t, n, sel, ctx, op);
}

/* An archive whose profile hides what is asked contributes nothing: looking into it
 * shows why. */
static int run_archive(struct vivo_tree *t, const struct node *dir, uint32_t archive,
                       part_fn *fn, void *ctx, struct vivo_op *op)
{
    VIVO_AUTO(query_unref_p) struct vivo_query *q = NULL;
    struct vivo_query_error qe = {0};
    struct node part = {.room = &room_level, .archive = archive, .mtime = NO_DATE};
    int rc = dir->query ? query_again(t, &part, dir->query, &q, &qe) : 0;

    if (rc == -EINVAL && qe.hidden)
        return 0;
    if (rc)
        return vivo_fail(&op->err, rc == -ENOMEM ? ENOMEM : EIO,
                         "%s: the query cannot be read again",
                         vivo_flow_name(t->flows[archive]));
    part.query = q;
    return run_part(t, &part, fn, ctx, op);
}

static void landed_aside(struct vivo_op *op)
{
    free(op);
}

/* Archives answer at the same time: those after the one that is waited for begin, too.
 * What becomes of them is learned when it is their turn. */
static void begin_others(struct vivo_tree *t, const struct node *dir, uint32_t from)
{
    for (uint32_t i = from; dir->query && i < t->cfg.nflows; i++) {
        VIVO_AUTO(query_unref_p) struct vivo_query *q = NULL;
        VIVO_AUTO(selection_unref_p) struct vivo_selection *sel = NULL;
        struct vivo_query_error qe = {0};
        struct node part = {.room = &room_level, .archive = i, .mtime = NO_DATE};
        struct vivo_op *op = malloc(sizeof *op);

        if (!op || query_again(t, &part, dir->query, &q, &qe)) {
            free(op);
            continue;
        }
        part.query = q;
        vivo_op_init(op, 0);
        op->landed = landed_aside;
        if (select_members(t, &part, &sel, op) != -EAGAIN)
            free(op);
    }
}

/* Which of several it was. */
static void name_archive(const char *name, struct vivo_err *err)
{
    struct vivo_err why = *err;

    if (strncmp(why.text, name, strlen(name)) != 0)
        vivo_fail(err, why.errnum, "%s: %s", name, why.text); /* longer is cut */
}

int exports_each_part(struct vivo_tree *t, const struct node *dir, part_fn *fn,
                      void *ctx, struct vivo_op *op)
{
    int rc = 0;

    if (dir->archive != NO_ARCHIVE)
        return run_part(t, dir, fn, ctx, op);
    for (uint32_t i = 0; i < t->cfg.nflows && !rc; i++) {
        rc = run_archive(t, dir, i, fn, ctx, op);
        if (rc == -EAGAIN)
            begin_others(t, dir, i + 1);
        else if (rc)
            name_archive(vivo_flow_name(t->flows[i]), &op->err);
    }
    return rc;
}

static int add_printf(struct vivo_tree_spool *s, struct vivo_err *err, const char *fmt,
                      ...) VIVO_PRINTF(3, 4);
static int add_printf(struct vivo_tree_spool *s, struct vivo_err *err, const char *fmt,
                      ...)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf line = {0};
    va_list ap;
    int rc;

    vivo_buf_init(&line, 65536);
    va_start(ap, fmt);
    rc = vivo_buf_vprintf(&line, fmt, ap);
    va_end(ap);
    if (rc)
        return vivo_fail(err, EIO, "a line of a generated file is too long");
    return vivo_tree_spool_add(s, line.data, line.len, err);
}

/* ---- .query, .count ---- */

static int render_query(struct vivo_tree *t, const struct node *dir,
                        struct vivo_tree_spool *out, struct vivo_op *op)
{
    (void)t;
    return add_printf(out, &op->err, "%s\n", vivo_query_text(dir->query));
}

static int count_part(struct vivo_tree *t, const struct node *part,
                      const struct vivo_selection *sel, void *ctx, struct vivo_op *op)
{
    struct vivo_counts *sum = ctx;
    struct vivo_counts c = {0};
    int rc = vivo_catalog_count(node_catalog(t, part), part->level, part->row, sel, &c,
                                &op->err);

    sum->patients += c.patients;
    sum->studies += c.studies;
    sum->series += c.series;
    sum->instances += c.instances;
    sum->bytes += c.bytes;
    return rc;
}

static int render_count(struct vivo_tree *t, const struct node *dir,
                        struct vivo_tree_spool *out, struct vivo_op *op)
{
    struct vivo_counts c = {0};
    int rc = exports_each_part(t, dir, count_part, &c, op);

    if (rc)
        return rc;
    return add_printf(out, &op->err,
                      "patients %llu\nstudies %llu\nseries %llu\ninstances %llu\n"
                      "bytes %llu\n",
                      (unsigned long long)c.patients, (unsigned long long)c.studies,
                      (unsigned long long)c.series, (unsigned long long)c.instances,
                      (unsigned long long)c.bytes);
}

/* ---- .paths.txt ---- */

struct sheet { /* lines about the things of one part */
    struct vivo_tree *tree;
    const struct node *part;
    const struct vivo_selection *sel;
    struct vivo_tree_spool *out;
    struct vivo_err *err;
    char prefix[130];
};

static int path_line(void *ctx, const struct walk_item *item)
{
    struct sheet *s = ctx;

    if (item->e.refusal)
        return 0;
    return add_printf(s->out, s->err, "%s%s\n", s->prefix, item->path);
}

static int paths_part(struct vivo_tree *t, const struct node *part,
                      const struct vivo_selection *sel, void *ctx, struct vivo_op *op)
{
    struct sheet s = {.tree = t, .part = part, .sel = sel, .out = ctx, .err = &op->err};

    walk_prefix(t, part->archive, s.prefix);
    return walk_level(t, part, sel, VIVO_LEVEL_INSTANCE, path_line, &s, &op->err);
}

static int render_paths(struct vivo_tree *t, const struct node *dir,
                        struct vivo_tree_spool *out, struct vivo_op *op)
{
    return exports_each_part(t, dir, paths_part, out, op);
}

/* ---- .series.csv (RFC 4180) ---- */

static int add_attr(struct vivo_buf *row, struct vivo_attrs a, uint32_t tag)
{
    char text[1024];

    vivo_attrs_text(a, tag, text, sizeof text);
    return vivo_buf_puts(row, ",") || vivo_buf_csv(row, text, strlen(text)) ? -ENOSPC
                                                                            : 0;
}

const uint32_t *vivo_tree_series_columns(size_t *n)
{
    static const uint32_t columns[] = {
        VIVO_TAG_PatientID,         VIVO_TAG_StudyInstanceUID,
        VIVO_TAG_StudyDate,         VIVO_TAG_StudyDescription,
        VIVO_TAG_SeriesInstanceUID, VIVO_TAG_SeriesNumber,
        VIVO_TAG_Modality,          VIVO_TAG_SeriesDescription,
        VIVO_TAG_BodyPartExamined,  VIVO_TAG_Manufacturer};

    *n = VIVO_ARRAY_LEN(columns);
    return columns;
}

int vivo_tree_series_head(struct vivo_buf *out)
{
    return vivo_buf_puts(
        out, "Archive,Collection,PatientID,StudyInstanceUID,StudyDate,StudyDescription,"
             "SeriesInstanceUID,SeriesNumber,Modality,SeriesDescription,"
             "BodyPartExamined,Manufacturer,InstanceCount,SeriesBytes,Path\r\n");
}

int vivo_tree_series_row(const char *archive, const char *prefix, const char *path,
                         struct vivo_attrs a, const struct vivo_counts *c,
                         struct vivo_buf *out)
{
    size_t n;
    const uint32_t *columns = vivo_tree_series_columns(&n);
    int rc = vivo_buf_csv(out, archive, strlen(archive));

    if (!rc)
        rc = vivo_buf_puts(out, ",");
    if (!rc)
        rc = vivo_buf_csv(out, path, strcspn(path, "/"));
    for (size_t i = 0; i < n && !rc; i++)
        rc = add_attr(out, a, columns[i]);
    if (!rc)
        rc = vivo_buf_printf(out, ",%llu,%llu,%s%s\r\n",
                             (unsigned long long)c->instances,
                             (unsigned long long)c->bytes, prefix, path);
    return rc;
}

static int series_line(void *ctx, const struct walk_item *item)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf row = {0};
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf attrs = {0};
    struct sheet *s = ctx;
    struct vivo_catalog *cat = node_catalog(s->tree, s->part);
    struct vivo_counts c = {0};
    int rc;

    vivo_buf_init(&row, 65536);
    vivo_buf_init(&attrs, VIVO_ATTRS_MAX);
    rc = vivo_catalog_attrs(cat, VIVO_LEVEL_SERIES, item->e.row, &attrs, s->err);
    if (!rc)
        rc =
            vivo_catalog_count(cat, VIVO_LEVEL_SERIES, item->e.row, s->sel, &c, s->err);
    if (rc)
        return rc;
    if (vivo_tree_series_row(vivo_flow_name(s->tree->flows[s->part->archive]),
                             s->prefix, item->path,
                             (struct vivo_attrs){attrs.data, attrs.len}, &c, &row))
        return vivo_fail(s->err, EIO, "row #%lld: a line of .series.csv is too long",
                         (long long)item->e.row);
    return vivo_tree_spool_add(s->out, row.data, row.len, s->err);
}

static int series_part(struct vivo_tree *t, const struct node *part,
                       const struct vivo_selection *sel, void *ctx, struct vivo_op *op)
{
    struct sheet s = {.tree = t, .part = part, .sel = sel, .out = ctx, .err = &op->err};

    walk_prefix(t, part->archive, s.prefix);
    return walk_level(t, part, sel, VIVO_LEVEL_SERIES, series_line, &s, &op->err);
}

int render_series(struct vivo_tree *t, const struct node *dir,
                  struct vivo_tree_spool *out, struct vivo_op *op)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf head = {.max = 1024};

    if (vivo_tree_series_head(&head))
        return vivo_fail(&op->err, ENOMEM, "out of memory");
    int rc = vivo_tree_spool_add(out, head.data, head.len, &op->err);

    return rc ? rc : exports_each_part(t, dir, series_part, out, op);
}

/* ---- .refused.csv ---- */

struct refused { /* gathered first: a path needs the catalog again */
    vivo_row *rows;
    int *codes;
    size_t n, cap;
};

static int gather_refused(void *ctx, const struct vivo_entry *e)
{
    struct refused *r = ctx;

    if (r->n == r->cap) {
        size_t cap = r->cap ? r->cap * 2 : 256;
        vivo_row *rows = realloc(r->rows, cap * sizeof *rows);
        int *codes;

        if (!rows)
            return -ENOMEM;
        r->rows = rows;
        codes = realloc(r->codes, cap * sizeof *codes);
        if (!codes)
            return -ENOMEM;
        r->codes = codes;
        r->cap = cap;
    }
    r->rows[r->n] = e->row;
    r->codes[r->n++] = e->refusal;
    return 0;
}

static int refused_line(struct vivo_tree *t, const struct node *part, vivo_row row,
                        int code, struct vivo_tree_spool *out, struct vivo_err *err)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf path = {0};
    char prefix[130];
    int rc;

    vivo_buf_init(&path, 8192);
    rc = vivo_catalog_path(node_catalog(t, part), VIVO_LEVEL_INSTANCE, row, &path, err);
    if (rc == -ENOENT) {
        vivo_err_clear(err);
        return 0;
    }
    if (rc)
        return rc;
    return add_printf(out, err, "%s%s,%s\r\n", walk_prefix(t, part->archive, prefix),
                      (const char *)path.data,
                      vivo_refusal_code((enum vivo_refusal)code));
}

static int refused_part(struct vivo_tree *t, const struct node *part,
                        const struct vivo_selection *sel, void *ctx, struct vivo_op *op)
{
    struct refused r = {0};
    int rc = vivo_catalog_refused(node_catalog(t, part), part->level, part->row,
                                  gather_refused, &r, &op->err);

    (void)sel;
    if (rc == -ENOMEM && !op->err.errnum)
        vivo_fail(&op->err, ENOMEM, "no memory for the refused objects");
    for (size_t i = 0; i < r.n && !rc; i++)
        rc = refused_line(t, part, r.rows[i], r.codes[i], ctx, &op->err);
    free(r.rows);
    free(r.codes);
    return rc;
}

int render_refused(struct vivo_tree *t, const struct node *dir,
                   struct vivo_tree_spool *out, struct vivo_op *op)
{
    int rc = add_printf(out, &op->err, "path,reason\r\n");

    return rc ? rc : exports_each_part(t, dir, refused_part, out, op);
}

/* ---- by name ---- */

enum place {
    IN_QUERIES,
    IN_STUDIES, /* and series, and in queries */
    EVERYWHERE,
    BY_COLLECTION /* papers_answer() knows where */
};

static const struct export
{
    const char *name;
    render_fn *render;
    enum place place;
    bool constant;
}
exports[] = {
    {".query", render_query, IN_QUERIES, true},
    {".count", render_count, IN_QUERIES, false},
    {".explain", render_explain, IN_QUERIES, false},
    {".paths.txt", render_paths, IN_QUERIES, false},
    {".series.csv", render_series, IN_STUDIES, false},
    {".freeze.csv", render_freeze, IN_STUDIES, false},
    {".manifest.s5cmd", render_s5cmd, IN_STUDIES, false},
    {".manifest.tcia", render_tcia, IN_STUDIES, false},
    {".tags.json", render_tags_json, IN_STUDIES, false},
    {".tags.txt", render_tags_txt, IN_STUDIES, false},
    {".refused.csv", render_refused, EVERYWHERE, false},
    {"LICENSE.txt", render_license, BY_COLLECTION, false},
    {"LICENSE", render_license, BY_COLLECTION, false},
    {"CITATION.txt", render_citation, BY_COLLECTION, false},
    {"metadata.csv", render_metadata, BY_COLLECTION, false},
};

static bool answers(const struct export *x, const struct node *dir)
{
    if (x->place == BY_COLLECTION)
        return false;
    if (dir->query || x->place == EVERYWHERE)
        return true;
    return x->place == IN_STUDIES && dir->level >= VIVO_LEVEL_STUDY;
}

static int lookup_error(struct vivo_tree *t, const struct node *dir, struct found *f,
                        struct vivo_op *op)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf text = {0};

    vivo_buf_init(&text, 4096);
    if (!select_error(t, dir, &text))
        return not_there(f, 0, op);
    f->fresh = true;
    return found_text(f, dir, text.data, text.len, &op->err);
}

/* What the file would be made from; the sum changes when one of them does. */
uint64_t exports_generation(const struct vivo_tree *t, const struct node *dir)
{
    uint64_t sum = 1;

    if (dir->archive != NO_ARCHIVE)
        return sum + vivo_catalog_generation(node_catalog(t, dir));
    for (size_t i = 0; i < t->cfg.nflows; i++)
        sum += vivo_catalog_generation(vivo_flow_catalog(t->flows[i]));
    return sum;
}

/* A frozen query tells digests of what is kept. */
static uint64_t generation_of(const struct vivo_tree *t, const struct node *dir,
                              const struct export *x)
{
    uint64_t sum = exports_generation(t, dir);

    for (uint32_t i = 0; x->render == render_freeze && i < t->cfg.nflows; i++)
        if (dir->archive == NO_ARCHIVE || dir->archive == i)
            sum += vivo_flow_kept_changes(t->flows[i]);
    return sum;
}

static int make_export(struct vivo_tree *t, const struct node *dir,
                       const struct export *x, struct found *f, struct vivo_op *op)
{
    uint64_t before = generation_of(t, dir, x);
    struct vivo_tree_spool s;
    int rc;

    if (!x->constant && !(dir->flags & NODE_NOW) &&
        table_reuse(t->table, dir, x->name, before, &f->st)) {
        f->spec = (struct node){.room = &room_text, .ino = f->st.ino};
        return 0;
    }
    vivo_tree_spool_init(&s);
    rc = x->render(t, dir, &s, op);
    if (!rc)
        rc = found_spool(f, dir, &s, &op->err);
    vivo_tree_spool_free(&s);
    if (rc != -EAGAIN)
        select_file(t, dir, x->name, rc ? &op->err : NULL);
    if (rc || x->constant)
        return rc;
    f->fresh = true;
    /* What changed meanwhile may or may not be in it: then it is made again. */
    bool same = !(dir->flags & NODE_NOW) && generation_of(t, dir, x) == before;
    f->spec.generation = same ? before : 0;
    return 0;
}

int exports_lookup(struct vivo_tree *t, const struct node *dir, const char *name,
                   struct found *f, struct vivo_op *op)
{
    if (dir->query && !strcmp(name, ".error"))
        return lookup_error(t, dir, f, op);
    if (!strcmp(name, MEDIA_DIR) && media_answers(dir))
        return media_lookup(t, dir, f, op);
    if (!strcmp(name, PREVIEW_FILE) && (dir->query || dir->level >= VIVO_LEVEL_STUDY))
        return preview_lookup(t, dir, f, op);
    for (size_t i = 0; i < VIVO_ARRAY_LEN(exports); i++) {
        if (!strcmp(name, exports[i].name) &&
            (answers(&exports[i], dir) || papers_answer(t, dir, name)))
            return make_export(t, dir, &exports[i], f, op);
    }
    /* Unknown dot names are asked for all the time (.git, .Trash, .hidden). */
    return not_there(f, LONG_TIMEOUT, op);
}

static bool is_manifest(const struct export *x)
{
    return x->render == render_freeze || x->render == render_s5cmd ||
           x->render == render_tcia;
}

int exports_list(struct lister *l, const struct vivo_selection *sel, struct vivo_op *op)
{
    int rc = 0;

    for (size_t i = 0; i < VIVO_ARRAY_LEN(exports) && !rc; i++)
        if (exports[i].place != EVERYWHERE && answers(&exports[i], l->dir) &&
            !is_manifest(&exports[i])) /* not everywhere, and not for everybody */
            rc = list_fixed(l, exports[i].name, &room_text);
    if (!rc && media_answers(l->dir))
        rc = list_fixed(l, MEDIA_DIR, &room_media);
    if (!rc && (l->dir->query || l->dir->level >= VIVO_LEVEL_STUDY))
        rc = preview_list(l, sel, op);
    return rc;
}
