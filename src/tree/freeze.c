/* SPDX-License-Identifier: Apache-2.0 */
/* src/tree/freeze.c -- .freeze.csv and the manifests: what a directory shows, as lists
 * that bring the same objects later and elsewhere.
 *
 * They hold originals (UIDs, where an object is at its source), so they exist only
 * where nothing is de-identified; else they are EPERM (DESIGN D1). A frozen query may
 * be mounted under any profile: that is how a de-identified one is given away. */
#include "tree/internal.h"

#include <stdio.h>
#include <string.h>

#define URL_MAX (16u << 10)

struct freeze {
    struct vivo_tree *tree;
    const struct node *part;
    struct vivo_tree_spool *out;
    struct vivo_buf url, version, attrs, row;
    struct vivo_told told;
    char sha256[65];
    bool own_names;         /* of the paths; other layouts make theirs of attributes */
    const uint32_t *listed; /* NULL = everything may be in names */
    size_t lines;
    struct vivo_err *err;
};

static void freeze_init(struct freeze *z, struct vivo_tree *t, const struct node *part,
                        struct vivo_tree_spool *out, struct vivo_err *err)
{
    *z = (struct freeze){.tree = t, .part = part, .out = out, .err = err};
    vivo_buf_init(&z->url, URL_MAX);
    vivo_buf_init(&z->version, 64u << 10);
    vivo_buf_init(&z->attrs, VIVO_ATTRS_MAX);
    vivo_buf_init(&z->row, 256u << 10);
    vivo_buf_init(&z->told.collection, 4096);
    vivo_buf_init(&z->told.patient, 4096);
    vivo_buf_init(&z->told.license, 64u << 10);
    vivo_buf_init(&z->told.citation, 64u << 10);
    z->own_names = vivo_flow_names(node_flow(t, part)) == VIVO_NAMES_OWN;
    z->listed = vivo_flow_driver(node_flow(t, part))->listed;
}

static void freeze_free(struct freeze *z)
{
    vivo_buf_free(&z->url);
    vivo_buf_free(&z->version);
    vivo_buf_free(&z->attrs);
    vivo_buf_free(&z->row);
    vivo_buf_free(&z->told.collection);
    vivo_buf_free(&z->told.patient);
    vivo_buf_free(&z->told.license);
    vivo_buf_free(&z->told.citation);
}

static int check_plain(struct vivo_tree *t, const struct node *dir,
                       struct vivo_err *err)
{
    for (uint32_t i = 0; i < t->cfg.nflows; i++)
        if ((dir->archive == NO_ARCHIVE || dir->archive == i) &&
            !vivo_deid_is_none(vivo_flow_deid(t->flows[i])))
            return vivo_fail(err, EPERM,
                             "%s: a manifest holds originals, which its profile hides: "
                             "there are none but under deid=none",
                             vivo_flow_name(t->flows[i]));
    return 0;
}

/* URL and version of an instance: 1, or 0 when it has none. */
static int locate(struct freeze *z, vivo_row row)
{
    int rc;

    vivo_buf_clear(&z->url);
    vivo_buf_clear(&z->version);
    rc = vivo_flow_url(node_flow(z->tree, z->part), row, &z->url, &z->version,
                       z->sha256, z->err);
    if (rc == -ENOENT) {
        vivo_err_clear(z->err);
        return 0;
    }
    return rc < 0 ? rc : 1;
}

static int load_attrs(struct freeze *z, enum vivo_level level, vivo_row row)
{
    vivo_buf_clear(&z->attrs);
    return vivo_catalog_attrs(node_catalog(z->tree, z->part), level, row, &z->attrs,
                              z->err);
}

/* ---- .freeze.csv
 * ------------------------------------------------------------------- */

/* `naming`: names are made of it, so that where MountPath does not give them it is
 * there only when the archive lists it: an object must keep its name. */
static const struct extra {
    uint32_t tag;
    bool naming;
} extras[] = {
    {VIVO_TAG_IssuerOfPatientID, true}, {VIVO_TAG_StudyDate, true},
    {VIVO_TAG_StudyTime, false},        {VIVO_TAG_StudyDescription, true},
    {VIVO_TAG_Modality, true},          {VIVO_TAG_SeriesNumber, true},
    {VIVO_TAG_SeriesDescription, true}, {VIVO_TAG_InstanceNumber, true},
    {VIVO_TAG_SOPClassUID, false},      {VIVO_TAG_BodyPartExamined, false},
    {VIVO_TAG_Manufacturer, false},     {VIVO_TAG_ManufacturerModelName, false},
    {VIVO_TAG_PatientSex, false},       {VIVO_TAG_PatientAge, false},
    {VIVO_TAG_SliceThickness, false},
};

static bool is_listed(const struct freeze *z, uint32_t tag)
{
    if (!z->listed)
        return true;
    for (const uint32_t *t = z->listed; *t; t++)
        if (*t == tag)
            return true;
    return false;
}

static int add_cell(struct freeze *z, const char *text, bool first)
{
    int rc = first ? 0 : vivo_buf_puts(&z->row, ",");

    return rc ? rc : vivo_buf_csv(&z->row, text, strlen(text));
}

static int add_tag(struct freeze *z, uint32_t tag, bool first)
{
    char text[4096];

    vivo_attrs_text((struct vivo_attrs){z->attrs.data, z->attrs.len}, tag, text,
                    sizeof text);
    return add_cell(z, text, first);
}

static const char *text_of(const struct vivo_buf *b)
{
    return b->len ? (const char *)b->data : "";
}

static int tell(struct freeze *z, vivo_row row)
{
    vivo_buf_clear(&z->told.collection);
    vivo_buf_clear(&z->told.patient);
    vivo_buf_clear(&z->told.license);
    vivo_buf_clear(&z->told.citation);
    return vivo_catalog_told(node_catalog(z->tree, z->part), row,
                             (struct vivo_attrs){z->attrs.data, z->attrs.len}, &z->told,
                             z->err);
}

static int add_columns(struct freeze *z, const struct walk_item *item)
{
    static const uint32_t ids[] = {VIVO_TAG_SOPInstanceUID, VIVO_TAG_SeriesInstanceUID,
                                   VIVO_TAG_StudyInstanceUID, VIVO_TAG_PatientID};
    const char *cells[] = {text_of(&z->told.collection),
                           text_of(&z->told.patient),
                           text_of(&z->url),
                           "", /* Size */
                           z->sha256,
                           text_of(&z->version),
                           text_of(&z->told.license),
                           text_of(&z->told.citation),
                           z->own_names ? item->path : ""};
    char size[24];
    int rc = 0;

    snprintf(size, sizeof size, "%llu", (unsigned long long)item->e.size);
    if (item->e.size_exact)
        cells[3] = size;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(ids) && !rc; i++)
        rc = add_tag(z, ids[i], i == 0);
    for (size_t i = 0; i < VIVO_ARRAY_LEN(cells) && !rc; i++)
        rc = add_cell(z, cells[i], false);
    for (size_t i = 0; i < VIVO_ARRAY_LEN(extras) && !rc; i++)
        rc = extras[i].naming && !z->own_names && !is_listed(z, extras[i].tag)
                 ? vivo_buf_puts(&z->row, ",")
                 : add_tag(z, extras[i].tag, false);
    return rc ? rc : vivo_buf_puts(&z->row, "\r\n");
}

static int freeze_line(void *ctx, const struct walk_item *item)
{
    struct freeze *z = ctx;
    char uid[VIVO_UID_MAX + 1];
    int rc = item->e.refusal ? 0 : locate(z, item->e.row);

    if (rc == 1)
        rc = load_attrs(z, VIVO_LEVEL_INSTANCE, item->e.row) < 0 ? -z->err->errnum : 1;
    if (rc == 1)
        rc = tell(z, item->e.row) < 0 ? -z->err->errnum : 1;
    if (rc != 1)
        return rc;
    vivo_attrs_text((struct vivo_attrs){z->attrs.data, z->attrs.len},
                    VIVO_TAG_SOPInstanceUID, uid, sizeof uid);
    if (!uid[0])
        return vivo_fail(z->err, EIO,
                         "row #%lld: an object without a SOP Instance UID cannot be "
                         "named in .freeze.csv",
                         (long long)item->e.row);
    vivo_buf_clear(&z->row);
    if (add_columns(z, item))
        return vivo_fail(z->err, EIO, "row #%lld: a line of .freeze.csv is too long",
                         (long long)item->e.row);
    return vivo_tree_spool_add(z->out, z->row.data, z->row.len, z->err);
}

/* Does a listing of every archive below carry it? */
static bool lists_uids(const struct vivo_tree *t, const struct node *dir)
{
    for (uint32_t i = 0; i < t->cfg.nflows; i++) {
        const uint32_t *tag = vivo_flow_driver(t->flows[i])->listed;

        if (!tag || (dir->archive != NO_ARCHIVE && dir->archive != i))
            continue;
        while (*tag && *tag != VIVO_TAG_SOPInstanceUID)
            tag++;
        if (!*tag)
            return false;
    }
    return true;
}

/* The same directory by a query that needs the headers of all that is in it: what an
 * archive does not list has to be read before it can be written down. */
static int with_headers(struct vivo_tree *t, const struct node *dir, struct node *out,
                        struct vivo_op *op)
{
    struct vivo_query_error qe = {0};
    struct vivo_query *uids = NULL, *both = NULL;
    int rc =
        query_parse(t, dir, "has SOPInstanceUID or missing SOPInstanceUID", &uids, &qe);

    if (!rc && dir->query)
        rc = vivo_query_and(dir->query, uids, &both);
    else if (!rc)
        both = vivo_query_ref(uids);
    if (uids)
        vivo_query_unref(uids);
    if (rc)
        return vivo_fail(&op->err, ENAMETOOLONG, "the query is too long to be frozen");
    *out = *dir;
    out->query = both;
    if (!dir->query) {
        out->base_level = dir->level;
        out->base_row = dir->row;
    }
    return 0;
}

static int freeze_part(struct vivo_tree *t, const struct node *part,
                       const struct vivo_selection *sel, void *ctx, struct vivo_op *op)
{
    struct freeze z;
    int rc;

    freeze_init(&z, t, part, ctx, &op->err);
    rc = walk_level(t, part, sel, VIVO_LEVEL_INSTANCE, freeze_line, &z, &op->err);
    freeze_free(&z);
    return rc;
}

int render_freeze(struct vivo_tree *t, const struct node *dir,
                  struct vivo_tree_spool *out, struct vivo_op *op)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf head = {.max = 4096};
    int rc = check_plain(t, dir, &op->err);

    if (rc)
        return rc;
    rc = vivo_buf_puts(&head,
                       "SOPInstanceUID,SeriesInstanceUID,StudyInstanceUID,PatientID,"
                       "Collection,Subject,Url,Size,Sha256,Version,License,Citation,"
                       "MountPath");
    for (size_t i = 0; i < VIVO_ARRAY_LEN(extras) && !rc; i++)
        rc = vivo_buf_printf(&head, ",%s", vivo_dcm_dict(extras[i].tag)->keyword);
    if (!rc)
        rc = vivo_buf_puts(&head, "\r\n");
    if (rc)
        return vivo_fail(&op->err, ENOMEM, "out of memory");
    rc = vivo_tree_spool_add(out, head.data, head.len, &op->err);
    if (rc || lists_uids(t, dir))
        return rc ? rc : exports_each_part(t, dir, freeze_part, out, op);
    struct node headed = {0};
    rc = with_headers(t, dir, &headed, op);
    if (!rc)
        rc = exports_each_part(t, &headed, freeze_part, out, op);
    if (headed.query)
        vivo_query_unref(headed.query);
    return rc;
}

/* ---- .manifest.s5cmd
 * --------------------------------------------------------------- */

static int s5cmd_line(void *ctx, const struct walk_item *item)
{
    struct freeze *z = ctx;
    int rc = item->e.refusal ? 0 : locate(z, item->e.row);

    if (rc != 1 || strncmp((const char *)z->url.data, "s3://", 5) != 0 ||
        strpbrk((const char *)z->url.data, "' *?#"))
        return rc < 0 ? rc : 0;
    vivo_buf_clear(&z->row);
    rc = vivo_buf_printf(&z->row, "cp '%s' '%.*s'\n", (const char *)z->url.data,
                         (int)(strlen(item->path) - strlen(item->e.name)), item->path);
    if (rc)
        return vivo_fail(z->err, EIO, "a line of .manifest.s5cmd is too long");
    z->lines++;
    return vivo_tree_spool_add(z->out, z->row.data, z->row.len, z->err);
}

/* ---- .manifest.tcia
 * ---------------------------------------------------------------- */

static int tcia_line(void *ctx, const struct walk_item *item)
{
    struct freeze *z = ctx;
    char uid[VIVO_UID_MAX + 1];
    int rc = load_attrs(z, VIVO_LEVEL_SERIES, item->e.row);

    if (rc)
        return rc;
    vivo_attrs_text((struct vivo_attrs){z->attrs.data, z->attrs.len},
                    VIVO_TAG_SeriesInstanceUID, uid, sizeof uid);
    vivo_buf_clear(&z->row);
    if (!uid[0] || vivo_buf_printf(&z->row, "%s\n", uid))
        return 0;
    z->lines++;
    return vivo_tree_spool_add(z->out, z->row.data, z->row.len, z->err);
}

/* As NBIA's own ManifestMaker writes it, in its order and with its misspelling. */
static int tcia_head(struct freeze *z)
{
    const char *source = vivo_flow_source(node_flow(z->tree, z->part)) + 5;
    const char *tail = strstr(source, "nbia-api");
    int rc = vivo_buf_printf(&z->row,
                             "downloadServerUrl=%.*snbia-download/servlet/"
                             "DownloadServlet\nincludeAnnotation=true\nnoOfrRetry=4\n"
                             "databasketId=manifest-vivofs.tcia\nmanifestVersion=3.0\n"
                             "ListOfSeriesToDownload=\n",
                             (int)(tail ? tail - source : 0), source);

    if (!tail || rc)
        return vivo_fail(z->err, ENOENT, "the source has no download server");
    return vivo_tree_spool_add(z->out, z->row.data, z->row.len, z->err);
}

/* ---- by part
 * ----------------------------------------------------------------------- */

static int s5cmd_part(struct vivo_tree *t, const struct node *part,
                      const struct vivo_selection *sel, void *ctx, struct vivo_op *op)
{
    struct freeze z;
    int rc;

    freeze_init(&z, t, part, ctx, &op->err);
    rc = walk_level(t, part, sel, VIVO_LEVEL_INSTANCE, s5cmd_line, &z, &op->err);
    if (rc == 0 && z.lines == 0)
        rc = vivo_fail(&op->err, ENOENT, "nothing here is in a bucket");
    freeze_free(&z);
    return rc;
}

static int tcia_part(struct vivo_tree *t, const struct node *part,
                     const struct vivo_selection *sel, void *ctx, struct vivo_op *op)
{
    struct freeze z;
    int rc;

    freeze_init(&z, t, part, ctx, &op->err);
    rc = tcia_head(&z);
    if (rc == 0)
        rc = walk_level(t, part, sel, VIVO_LEVEL_SERIES, tcia_line, &z, &op->err);
    freeze_free(&z);
    return rc;
}

int render_s5cmd(struct vivo_tree *t, const struct node *dir,
                 struct vivo_tree_spool *out, struct vivo_op *op)
{
    int rc = dir->archive == NO_ARCHIVE
                 ? vivo_fail(&op->err, ENOENT, "a manifest is of one archive")
                 : check_plain(t, dir, &op->err);

    return rc ? rc : exports_each_part(t, dir, s5cmd_part, out, op);
}

int render_tcia(struct vivo_tree *t, const struct node *dir,
                struct vivo_tree_spool *out, struct vivo_op *op)
{
    int rc = 0;

    if (dir->archive == NO_ARCHIVE ||
        strcmp(vivo_flow_driver(node_flow(t, dir))->name, "nbia") != 0)
        return vivo_fail(&op->err, ENOENT, "a .tcia is of an NBIA server");
    rc = check_plain(t, dir, &op->err);
    return rc ? rc : exports_each_part(t, dir, tcia_part, out, op);
}
