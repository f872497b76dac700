/* SPDX-License-Identifier: Apache-2.0 */
/* src/tree/papers.c -- files that lie beside the patients of a collection: LICENSE.txt
 * and CITATION.txt in the archive's own words, and with names=tcia what the NBIA Data
 * Retriever leaves there: LICENSE and metadata.csv. */
#include "tree/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define WORDS_MAX (1u << 20)

/* ---- licence and citation ---------------------------------------------------------
 */

/* The words of a collection, which is listed for them: licences may come with series.
 */
static int read_words(struct vivo_tree *t, const struct node *dir,
                      struct vivo_buf *license, struct vivo_buf *citation,
                      struct vivo_op *op)
{
    vivo_buf_init(license, WORDS_MAX);
    vivo_buf_init(citation, WORDS_MAX);
    int rc = vivo_flow_list(node_flow(t, dir), dir->level, dir->row, op);

    return rc ? rc
              : vivo_catalog_words(node_catalog(t, dir), dir->row, license, citation,
                                   &op->err);
}

static int add_words(const struct vivo_buf *words, struct vivo_tree_spool *out,
                     struct vivo_op *op)
{
    if (!words->len)
        return vivo_fail(&op->err, ENOENT, "the archive does not say");
    int rc = vivo_tree_spool_add(out, words->data, words->len, &op->err);
    if (!rc && words->data[words->len - 1] != '\n')
        rc = vivo_tree_spool_add(out, "\n", 1, &op->err);
    return rc;
}

int render_license(struct vivo_tree *t, const struct node *dir,
                   struct vivo_tree_spool *out, struct vivo_op *op)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf license = {0};
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf citation = {0};
    int rc = read_words(t, dir, &license, &citation, op);

    return rc ? rc : add_words(&license, out, op);
}

int render_citation(struct vivo_tree *t, const struct node *dir,
                    struct vivo_tree_spool *out, struct vivo_op *op)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf license = {0};
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf citation = {0};
    int rc = read_words(t, dir, &license, &citation, op);

    return rc ? rc : add_words(&citation, out, op);
}

/* ---- metadata.csv ------------------------------------------------------------------
 */

static const char metadata_head[] =
    "Series UID,Collection,3rd Party Analysis,Data Description URI,Subject ID,"
    "Study UID,Study Description,Study Date,Series Description,Manufacturer,Modality,"
    "SOP Class Name,SOP Class UID,Number of Images,File Size,File Location,"
    "Download Timestamp\r\n";

struct metadata {
    struct vivo_tree *tree;
    const struct node *dir;
    struct vivo_tree_spool *out;
    struct vivo_err *err;
    char when[32];
};

/* A value of a table without quotes: what would part fields becomes a blank. */
static int add_field(struct vivo_buf *row, const char *text)
{
    int rc = 0;

    for (const char *p = text; *p && !rc; p++)
        rc = vivo_buf_add(row, strchr(",\"\r\n", *p) ? " " : p, 1);
    return rc ? rc : vivo_buf_puts(row, ",");
}

static int add_attr(struct vivo_buf *row, struct vivo_attrs a, uint32_t tag)
{
    char text[1024];

    vivo_attrs_text(a, tag, text, sizeof text);
    return add_field(row, text);
}

static int add_date(struct vivo_buf *row, struct vivo_attrs a)
{
    char date[16], shown[16] = "";

    if (vivo_attrs_text(a, VIVO_TAG_StudyDate, date, sizeof date) && strlen(date) == 8)
        snprintf(shown, sizeof shown, "%.2s-%.2s-%.4s", date + 4, date + 6, date);
    return add_field(row, shown);
}

/* "812 B", "70.01 MB": units of 1000. */
static int add_size(struct vivo_buf *row, uint64_t bytes)
{
    static const char *const units[] = {"KB", "MB", "GB", "TB", "PB", "EB"};
    double n = (double)bytes / 1000;
    size_t i = 0;

    if (bytes < 1000)
        return vivo_buf_printf(row, "%" PRIu64 " B,", bytes);
    for (; n >= 1000 && i + 1 < VIVO_ARRAY_LEN(units); i++)
        n /= 1000;
    return vivo_buf_printf(row, "%.2f %s,", n, units[i]);
}

/* What is not listed yet is as many as the archive says, of a size that nobody knows.
 */
static int add_counts(struct vivo_buf *row, struct vivo_attrs a,
                      const struct vivo_counts *c)
{
    if (!c->instances) {
        int rc = add_attr(row, a, VIVO_TAG_NumberOfSeriesRelatedInstances);
        return rc ? rc : add_field(row, "");
    }
    int rc = vivo_buf_printf(row, "%" PRIu64 ",", c->instances);
    return rc ? rc : add_size(row, c->bytes);
}

#define STORAGE "1.2.840.10008.5.1.4.1.1."

/* Storage SOP classes that collections are made of, by their names in PS3.6 table A-1;
 * of another one the UID stands alone. */
static const struct {
    const char *uid, *name;
} sop_classes[] = {
    {STORAGE "1", "Computed Radiography Image Storage"},
    {STORAGE "1.1", "Digital X-Ray Image Storage - For Presentation"},
    {STORAGE "1.2", "Digital Mammography X-Ray Image Storage - For Presentation"},
    {STORAGE "2", "CT Image Storage"},
    {STORAGE "2.1", "Enhanced CT Image Storage"},
    {STORAGE "4", "MR Image Storage"},
    {STORAGE "4.1", "Enhanced MR Image Storage"},
    {STORAGE "6.1", "Ultrasound Image Storage"},
    {STORAGE "3.1", "Ultrasound Multi-frame Image Storage"},
    {STORAGE "7", "Secondary Capture Image Storage"},
    {STORAGE "12.1", "X-Ray Angiographic Image Storage"},
    {STORAGE "13.1.3", "Breast Tomosynthesis Image Storage"},
    {STORAGE "20", "Nuclear Medicine Image Storage"},
    {STORAGE "30", "Parametric Map Storage"},
    {STORAGE "66.1", "Spatial Registration Storage"},
    {STORAGE "66.4", "Segmentation Storage"},
    {STORAGE "67", "Real World Value Mapping Storage"},
    {STORAGE "77.1.6", "VL Whole Slide Microscopy Image Storage"},
    {STORAGE "88.11", "Basic Text SR Storage"},
    {STORAGE "88.22", "Enhanced SR Storage"},
    {STORAGE "88.33", "Comprehensive SR Storage"},
    {STORAGE "88.34", "Comprehensive 3D SR Storage"},
    {STORAGE "128", "Positron Emission Tomography Image Storage"},
    {STORAGE "481.1", "RT Image Storage"},
    {STORAGE "481.2", "RT Dose Storage"},
    {STORAGE "481.3", "RT Structure Set Storage"},
    {STORAGE "481.5", "RT Plan Storage"},
};

static int add_sop_class(struct vivo_buf *row, struct vivo_attrs a)
{
    const char *name = "";
    char uid[VIVO_UID_MAX + 2];

    vivo_attrs_text(a, VIVO_TAG_SOPClassUID, uid, sizeof uid);
    for (size_t i = 0; i < VIVO_ARRAY_LEN(sop_classes); i++)
        if (!strcmp(uid, sop_classes[i].uid))
            name = sop_classes[i].name;
    int rc = add_field(row, name);
    return rc ? rc : add_field(row, uid);
}

static int add_description(struct vivo_buf *row, struct vivo_attrs a, uint32_t tag)
{
    char text[256];

    vivo_names_tcia_text(a, tag, false, sizeof text - 1, text);
    return add_field(row, text);
}

/* path: from the collection down; above it when dir is the collection itself. */
static int add_series(struct vivo_buf *row, const struct metadata *m, const char *path,
                      struct vivo_attrs a, const struct vivo_counts *c)
{
    char collection[VIVO_NAME_MAX + 1];
    int rc = add_attr(row, a, VIVO_TAG_SeriesInstanceUID);

    snprintf(collection, sizeof collection, "%.*s", (int)strcspn(path, "/"), path);
    if (!rc)
        rc = add_field(row, collection);
    if (!rc)
        rc = vivo_buf_puts(row, ",,"); /* analysis, URI: not told */
    if (!rc)
        rc = add_attr(row, a, VIVO_TAG_PatientID);
    if (!rc)
        rc = add_attr(row, a, VIVO_TAG_StudyInstanceUID);
    if (!rc)
        rc = add_description(row, a, VIVO_TAG_StudyDescription);
    if (!rc)
        rc = add_date(row, a);
    if (!rc)
        rc = add_description(row, a, VIVO_TAG_SeriesDescription);
    if (!rc)
        rc = add_attr(row, a, VIVO_TAG_Manufacturer);
    if (!rc)
        rc = add_attr(row, a, VIVO_TAG_Modality);
    if (!rc)
        rc = add_sop_class(row, a);
    if (!rc)
        rc = add_counts(row, a, c);
    if (m->dir->level == VIVO_LEVEL_COLLECTION)
        path += strcspn(path, "/") + 1;
    return rc ? rc : vivo_buf_printf(row, "./%s,%s\r\n", path, m->when);
}

static int metadata_row(void *ctx, const struct walk_item *item)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf row = {0};
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf attrs = {0};
    struct metadata *m = ctx;
    struct vivo_catalog *cat = node_catalog(m->tree, m->dir);
    struct vivo_counts c = {0};

    vivo_buf_init(&row, 65536);
    vivo_buf_init(&attrs, VIVO_ATTRS_MAX);
    int rc = vivo_catalog_attrs(cat, VIVO_LEVEL_SERIES, item->e.row, &attrs, m->err);
    if (!rc)
        rc = vivo_catalog_count(cat, VIVO_LEVEL_SERIES, item->e.row, NULL, &c, m->err);
    if (rc)
        return rc;
    if (add_series(&row, m, item->path, (struct vivo_attrs){attrs.data, attrs.len}, &c))
        return vivo_fail(m->err, EIO, "row #%lld: a line of metadata.csv is too long",
                         (long long)item->e.row);
    return vivo_tree_spool_add(m->out, row.data, row.len, m->err);
}

/* All series below are in the catalog: a query that needs nothing else asks for them.
 */
static int learn_all(struct vivo_tree *t, const struct node *dir, struct vivo_op *op)
{
    VIVO_AUTO(query_unref_p) struct vivo_query *q = NULL;
    VIVO_AUTO(selection_unref_p) struct vivo_selection *sel = NULL;
    struct vivo_query_error qe = {0};

    if (query_parse(t, dir, "has SeriesInstanceUID", &q, &qe))
        return vivo_fail(&op->err, EPERM, "%s: series have no UIDs to tell",
                         vivo_flow_name(node_flow(t, dir)));
    return vivo_flow_select(node_flow(t, dir), dir->level, dir->row, q, &sel, op);
}

int render_metadata(struct vivo_tree *t, const struct node *dir,
                    struct vivo_tree_spool *out, struct vivo_op *op)
{
    struct metadata m = {.tree = t, .dir = dir, .out = out, .err = &op->err};
    time_t started = (time_t)t->started;
    struct tm tm;
    int rc = learn_all(t, dir, op);

    if (!rc)
        rc =
            vivo_tree_spool_add(out, metadata_head, sizeof metadata_head - 1, &op->err);
    if (!rc && localtime_r(&started, &tm))
        strftime(m.when, sizeof m.when, "%Y-%m-%dT%H:%M:%S", &tm);
    return rc ? rc
              : walk_level(t, dir, NULL, VIVO_LEVEL_SERIES, metadata_row, &m, &op->err);
}

/* ---- which of them are there -------------------------------------------------------
 */

static bool is_tcia(const struct vivo_tree *t, const struct node *dir)
{
    return vivo_flow_names(node_flow(t, dir)) == VIVO_NAMES_TCIA;
}

bool papers_answer(const struct vivo_tree *t, const struct node *dir, const char *name)
{
    if (dir->query || dir->level > VIVO_LEVEL_COLLECTION)
        return false;
    if (!strcmp(name, "metadata.csv"))
        return is_tcia(t, dir);
    if (dir->level != VIVO_LEVEL_COLLECTION)
        return false;
    if (!strcmp(name, "LICENSE"))
        return is_tcia(t, dir);
    return !strcmp(name, "LICENSE.txt") || !strcmp(name, "CITATION.txt");
}

/* Looked up, metadata.csv of a whole archive lists all of it, so that it is listed only
 * where that is known anyway. */
static bool lists_metadata(const struct lister *l)
{
    const struct vivo_driver *d = vivo_flow_driver(node_flow(l->tree, l->dir));

    return is_tcia(l->tree, l->dir) &&
           (l->dir->level == VIVO_LEVEL_COLLECTION || (d->caps & VIVO_CAP_LOCAL));
}

int papers_list(struct lister *l, struct vivo_op *op)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf license = {0};
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf citation = {0};
    int rc = 0;

    if (l->dir->query || l->dir->level > VIVO_LEVEL_COLLECTION)
        return 0;
    if (lists_metadata(l))
        rc = list_fixed(l, "metadata.csv", &room_text);
    if (rc || l->dir->level != VIVO_LEVEL_COLLECTION)
        return rc;
    rc = read_words(l->tree, l->dir, &license, &citation, op);
    if (!rc && license.len)
        rc = list_fixed(l, "LICENSE.txt", &room_text);
    if (!rc && license.len && is_tcia(l->tree, l->dir))
        rc = list_fixed(l, "LICENSE", &room_text);
    if (!rc && citation.len)
        rc = list_fixed(l, "CITATION.txt", &room_text);
    return rc;
}
