/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/manifest_rows.c -- a row an object: vivofs' own .freeze.csv and any table
 * with SOPInstanceUID and Url. Columns that PS3.6 has as keywords become attributes;
 * nothing is asked of anybody. */
#include "drivers/manifest.h"
#include "vivofs/dcm.h"
#include "vivofs/hash.h"
#include "vivofs/log.h"

#include <errno.h>
#include <string.h>

struct column {
    uint32_t tag;
    const char *vr;
    size_t at; /* of the record */
};

struct rows {
    struct vivo_intake *in;
    struct vivo_op *op;
    struct column columns[MANIFEST_COLUMNS_MAX]; /* ascending by tag */
    size_t ncolumns;
    size_t url, size, sha256, version, collection, license, citation, subject, path,
        uid, series;              /* SIZE_MAX = none */
    struct manifest_spans *spans; /* being made, or NULL */
    const char *only;             /* rows of this group, for their headers; or NULL */
    struct manifest *m;
    struct vivo_buf attrs;
    size_t bad, first_bad;
};

static bool is_text_vr(const char *vr)
{
    static const char text[] = "AE AS CS DA DS DT IS LO LT PN SH ST TM UC UI UR UT";

    return strstr(text, vr) != NULL;
}

static void note_column(struct rows *r, const char *head, size_t at)
{
    const struct {
        const char *name;
        size_t *where;
    } own[] = {{"Url", &r->url},           {"Size", &r->size},
               {"Sha256", &r->sha256},     {"Version", &r->version},
               {"License", &r->license},   {"Collection", &r->collection},
               {"Citation", &r->citation}, {"Subject", &r->subject},
               {"MountPath", &r->path}};
    const char *name = vivo_manifest_column(head);
    const struct vivo_dict *d;
    size_t to = r->ncolumns;

    for (size_t i = 0; i < VIVO_ARRAY_LEN(own); i++)
        if (!strcmp(name, own[i].name)) {
            *own[i].where = at;
            return;
        }
    d = vivo_dcm_dict_keyword(name, strlen(name));
    if (!d || !is_text_vr(d->vr) || d->tag == VIVO_TAG_SpecificCharacterSet)
        return;
    if (d->tag == VIVO_TAG_SOPInstanceUID)
        r->uid = at;
    if (d->tag == VIVO_TAG_SeriesInstanceUID)
        r->series = at;
    while (to > 0 && r->columns[to - 1].tag > d->tag) {
        r->columns[to] = r->columns[to - 1];
        to--;
    }
    r->columns[to] = (struct column){d->tag, d->vr, at};
    r->ncolumns++;
}

static const char *field(const struct manifest_text *t, size_t at)
{
    return at < t->nfields ? t->fields[at] : "";
}

static const char *field_or_null(const struct manifest_text *t, size_t at)
{
    return *field(t, at) ? field(t, at) : NULL;
}

/* "collection/patient/study/series/file": what is below the patient; NULL = no path. */
static const char *names_of(const struct rows *r, const struct manifest_text *t)
{
    const char *p = field(t, r->path);

    for (int i = 0; p && i < 2; i++) {
        p = strchr(p, '/');
        p = p ? p + 1 : NULL;
    }
    return p && vivo_name_path_ok(p) ? p : NULL;
}

/* The rows whose headers are read together: of a series and, where names are given, of
 * one directory. */
static void group_of(const struct rows *r, const struct manifest_text *t,
                     char out[MANIFEST_GROUP_MAX])
{
    const char *names = names_of(r, t), *file = names ? strrchr(names, '/') : NULL;
    const char *series = field(t, r->series);
    char u[13] = "";

    if (file)
        vivo_short_name(names, (size_t)(file - names), u, 12);
    snprintf(out, MANIFEST_GROUP_MAX, "%s%s%s",
             vivo_manifest_uid_ok(series) ? series : "", file ? "/" : "", u);
}

/* What a row says of its object besides attributes. */
static void say(const struct rows *r, const struct manifest_text *t,
                struct vivo_record *rec)
{
    rec->version = field_or_null(t, r->version);
    rec->collection = field_or_null(t, r->collection);
    rec->patient = field_or_null(t, r->subject);
    rec->license = field_or_null(t, r->license);
    rec->citation = field_or_null(t, r->citation);
    rec->path = names_of(r, t);
    rec->size = strtoull(field(t, r->size), NULL, 10);
}

static int make_attrs(struct rows *r, const struct manifest_text *t)
{
    static const char utf8[] = "ISO_IR 192";
    uint32_t last = 0;
    int rc;

    vivo_buf_clear(&r->attrs);
    rc = vivo_attrs_put(&r->attrs, VIVO_TAG_SpecificCharacterSet, "CS", utf8,
                        sizeof utf8 - 1);
    for (size_t i = 0; rc == 0 && i < r->ncolumns; i++) {
        const struct column *c = &r->columns[i];
        const char *s = field(t, c->at);
        if (*s && c->tag > last)
            rc = vivo_attrs_put(&r->attrs, c->tag, c->vr, s, strlen(s));
        last = c->tag;
    }
    return rc < 0 ? vivo_fail(&r->op->err, EBADMSG,
                              "the manifest: the attributes of line %zu are too long",
                              t->number)
                  : 0;
}

static void note_bad(struct rows *r, const struct manifest_text *t)
{
    char locator[40];

    if (r->bad++ == 0)
        r->first_bad = t->number;
    snprintf(locator, sizeof locator, "?line %zu", t->number);
    r->in->other(r->in, locator, NULL);
}

/* The locator of a row that names an object. */
static bool row_locator(const struct rows *r, const struct manifest_text *t,
                        char locator[MANIFEST_LOCATOR_MAX])
{
    const char *uid = field(t, r->uid), *size = field(t, r->size);
    char group[MANIFEST_GROUP_MAX];

    group_of(r, t, group);

    return vivo_manifest_uid_ok(uid) && strlen(size) <= 18 &&
           strspn(size, "0123456789") == strlen(size) &&
           vivo_manifest_locator(field(t, r->url), uid, size, field(t, r->sha256),
                                 group, locator, NULL) == 0;
}

static int take_row(struct rows *r, const struct manifest_text *t)
{
    char locator[MANIFEST_LOCATOR_MAX];
    struct vivo_record rec = {.level = VIVO_LEVEL_INSTANCE, .locator = locator};
    int rc;

    if (!row_locator(r, t, locator)) {
        note_bad(r, t);
        return 0;
    }
    if (vivo_manifest_spans_add(r->spans, vivo_manifest_group_of(locator), t->start,
                                t->offset) < 0)
        return vivo_fail(&r->op->err, ENOMEM, "no memory for a manifest");
    say(r, t, &rec);
    if (rec.version && r->in->known(r->in, locator, rec.version))
        return 0;
    rc = make_attrs(r, t);
    if (rc < 0)
        return rc;
    rec.attrs = (struct vivo_attrs){r->attrs.data, r->attrs.len};
    return r->in->record(r->in, &rec, &r->op->err);
}

static int read_head(struct rows *r, struct manifest_text *t)
{
    if (vivo_manifest_read_head(t, "SOPInstanceUID") < 0)
        return vivo_fail(&r->op->err, EBADMSG,
                         "the manifest has no column SOPInstanceUID");
    for (size_t k = 0; k < t->nfields; k++)
        note_column(r, vivo_manifest_bare(t->fields[k]), k);
    if (r->url == SIZE_MAX || r->uid == SIZE_MAX)
        return vivo_fail(&r->op->err, EBADMSG,
                         "the manifest has no columns SOPInstanceUID and Url");
    return 1;
}

static struct rows *new_rows(struct manifest *m, struct vivo_intake *in,
                             struct vivo_op *op)
{
    struct rows *r = calloc(1, sizeof *r);

    if (!r) {
        vivo_fail(&op->err, ENOMEM, "no memory to read a manifest");
        return NULL;
    }
    r->m = m;
    r->in = in;
    r->op = op;
    r->url = r->size = r->sha256 = r->version = r->collection = r->license =
        r->citation = r->subject = r->path = r->uid = r->series = SIZE_MAX;
    vivo_buf_init(&r->attrs, VIVO_ATTRS_MAX);
    return r;
}

static void free_rows(struct rows *r)
{
    vivo_manifest_spans_free(r->spans);
    vivo_buf_free(&r->attrs);
    free(r);
}

static int read_rows(struct rows *r, struct manifest_text *t)
{
    int rc = read_head(r, t);

    while (rc == 1 && (rc = vivo_manifest_record(t, &r->op->err)) == 1) {
        rc = vivo_op_check(r->op);
        if (rc == 0)
            rc = take_row(r, t);
        if (rc != 0)
            return rc;
        rc = 1;
        if (t->number % 4096 == 0)
            r->in->alive(r->in);
    }
    return rc;
}

/* The file as it was read last: readers of the one before have done with it. */
static void keep_spans(struct rows *r)
{
    struct manifest_spans *old;

    vivo_manifest_spans_complete(r->spans);
    pthread_mutex_lock(&r->m->mutex);
    old = r->m->spans;
    r->m->spans = r->spans;
    r->spans = old;
    pthread_mutex_unlock(&r->m->mutex);
}

int vivo_manifest_list_rows(struct manifest *m, struct manifest_text *t,
                            struct vivo_intake *in, struct vivo_op *op)
{
    struct rows *r = new_rows(m, in, op);
    int rc;

    if (!r)
        return -ENOMEM;
    r->spans = vivo_manifest_spans_new();
    rc = r->spans ? read_rows(r, t)
                  : vivo_fail(&op->err, ENOMEM, "no memory to read a manifest");
    if (rc == 0 && r->bad)
        vivo_log(VIVO_LOG_WARN, "drivers.manifest",
                 "%zu rows name no object (no UID, no URL, or no number as size), the "
                 "first in line %zu: left out",
                 r->bad, r->first_bad);
    if (rc == 0)
        keep_spans(r);
    free_rows(r);
    return rc;
}

/* ---- headers
 * ----------------------------------------------------------------------- */

static int header_of_row(struct rows *r, const struct manifest_text *t)
{
    char locator[MANIFEST_LOCATOR_MAX];
    struct vivo_record rec = {
        .level = VIVO_LEVEL_INSTANCE, .locator = locator, .headers = true};
    int rc;

    if (!row_locator(r, t, locator) ||
        strcmp(vivo_manifest_group_of(locator), r->only) != 0)
        return 0;
    vivo_buf_clear(&r->attrs);
    rc = vivo_manifest_header(r->m, locator, &r->attrs, r->op);
    if (rc < 0)
        return rc;
    say(r, t, &rec);
    rec.attrs = (struct vivo_attrs){r->attrs.data, r->attrs.len};
    return r->in->record(r->in, &rec, &r->op->err);
}

static int headers_between(struct rows *r, struct manifest_text *t, off_t first,
                           off_t end)
{
    int rc = vivo_manifest_seek(t, first, &r->op->err);

    while (rc == 0 && t->offset < end) {
        rc = vivo_manifest_record(t, &r->op->err);
        if (rc != 1)
            return rc;
        rc = vivo_op_check(r->op);
        if (rc == 0)
            rc = header_of_row(r, t);
    }
    return rc;
}

/* The i-th run of rows of a series, from the spans of the last listing. */
static bool get_span(struct rows *r, size_t i, off_t *first, off_t *end)
{
    bool there;

    pthread_mutex_lock(&r->m->mutex);
    there = r->m->spans && vivo_manifest_spans_get(r->m->spans, r->only, i, first, end);
    pthread_mutex_unlock(&r->m->mutex);
    return there;
}

static int read_headers(struct rows *r, struct manifest_text *t)
{
    off_t first, end;
    bool listed;
    int rc = read_head(r, t);

    if (rc != 1)
        return rc;
    rc = 0;
    pthread_mutex_lock(&r->m->mutex);
    listed = r->m->spans != NULL;
    pthread_mutex_unlock(&r->m->mutex);
    if (!listed) /* of a catalog from before: look everywhere */
        return headers_between(r, t, t->offset, INT64_MAX);
    for (size_t i = 0; rc == 0 && get_span(r, i, &first, &end); i++)
        rc = headers_between(r, t, first, end);
    return rc;
}

int vivo_manifest_headers(struct vivo_archive *self, const char *locator,
                          struct vivo_intake *in, struct vivo_op *op)
{
    struct manifest *m = manifest_of(self);
    struct manifest_text t;
    struct rows *r;
    int rc;

    if (!*vivo_manifest_group_of(locator))
        return vivo_fail(&op->err, EIO,
                         "the archive behind the manifest gives no "
                         "headers");
    rc = vivo_manifest_text_open(m->path, &t, &op->err);
    if (rc < 0)
        return rc;
    r = new_rows(m, in, op);
    rc = r ? 0 : -ENOMEM;
    if (rc == 0) {
        r->only = vivo_manifest_group_of(locator);
        rc = read_headers(r, &t);
        free_rows(r);
    }
    vivo_manifest_text_close(&t);
    return rc;
}
