/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/nda.c -- archive = a data package of the NIMH Data Archive (NDA, NDAR).
 *
 * URL:      nda+http(s)://HOST[:PORT]/api/package/ID
 * Lists:    top = the package; collection = its visits, by the list of files and the
 *           image03 structures in it; study = its zips, tars and folders of DICOM
 * files; series = members of a zip or tar, which is fetched for that, or files Locator:
 * see nda.h Source:   the package service as nda-tools 0.2.27 (2025-06) uses it;
 * nda.md. */
#include "nda.h"

#include "dicomjson_value.h"
#include "shelf.h"
#include "source_url.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- open, close ------------------------------------------------------------------
 */

static void close_nda(struct vivo_archive *self)
{
    struct nda *n = nda_of(self);
    vivo_nda_forget_all(n);
    for (size_t i = 0; i < NDA_PACKS; i++)
        pack_members_unref(n->packs[i].members);
    vivo_nda_table_unref(n->table);
    pthread_cond_destroy(&n->landed);
    pthread_mutex_destroy(&n->mutex);
    if (n->login)
        explicit_bzero(n->login, strlen(n->login));
    free(n->login);
    free(n->url);
    free(n);
}

static int read_source(struct nda *n, const char *source, struct vivo_err *err)
{
    static const char mark[] = "/package/";
    static const char form[] = "nda+https://HOST/api/package/ID, with the number of a "
                               "package that you have made on the site";
    const char *url = vivo_source_url(source, "nda+", false, form, err);
    const char *id = url ? strstr(url, mark) : NULL;
    if (!url)
        return -EINVAL;
    size_t digits = id ? strspn(id + sizeof mark - 1, "0123456789") : 0;
    const char *end = id ? id + sizeof mark - 1 + digits : url;
    if (!id || !vivo_nda_id_ok(id + sizeof mark - 1, digits) ||
        (*end && strcmp(end, "/") != 0))
        return vivo_fail(err, EINVAL, "expected %s", form);
    snprintf(n->package, sizeof n->package, "%.*s", (int)digits, id + sizeof mark - 1);
    n->url = strndup(url, (size_t)(end - url));
    return n->url ? 0 : vivo_fail(err, ENOMEM, "nda: out of memory");
}

static int read_login(struct nda *n, const char *bearer, struct vivo_err *err)
{
    const char *colon = bearer ? strchr(bearer, ':') : NULL;
    if (!bearer)
        return 0;
    if (!colon || colon == bearer || !colon[1])
        return vivo_fail(err, EINVAL, "bearer=FILE: NDA wants USER:PASSWORD");
    n->login = strdup(bearer);
    return n->login ? 0 : vivo_fail(err, ENOMEM, "nda: out of memory");
}

/* ---- studies and series -------------------------------------------------------------
 */

struct listing {
    struct nda *n;
    struct vivo_intake *in;
    struct vivo_op *op;
    struct vivo_buf attrs;
    bool headers; /* asked for: also of what is known */
};

static int emit_top(struct listing *l)
{
    char name[NDA_ID_MAX + 16];
    uint64_t files;
    int rc = vivo_nda_package(l->n, &files, l->op);
    if (rc)
        return rc;
    snprintf(name, sizeof name, "package-%s", l->n->package);
    const struct vivo_record rec = {
        .level = VIVO_LEVEL_COLLECTION, .locator = "p", .collection = name};
    return l->in->record(l->in, &rec, &l->op->err);
}

static int begin_attrs(struct listing *l)
{
    vivo_buf_clear(&l->attrs);
    return vivo_dicomjson_put_text(&l->attrs, VIVO_TAG_SpecificCharacterSet,
                                   "ISO_IR 192");
}

static int emit_study(struct listing *l, const struct nda_file *f)
{
    char locator[NDA_DIGEST_LEN + 3];
    snprintf(locator, sizeof locator, "s/%s", f->study);
    int rc = begin_attrs(l);
    if (rc == 0)
        rc = vivo_dicomjson_put_text(&l->attrs, VIVO_TAG_StudyDate, f->date);
    if (rc == 0)
        rc = vivo_dicomjson_put_text(&l->attrs, VIVO_TAG_StudyDescription, f->visit);
    if (rc)
        return vivo_fail(&l->op->err, ENOMEM, "nda: out of memory");
    const struct vivo_record rec = {.level = VIVO_LEVEL_STUDY,
                                    .locator = locator,
                                    .patient = *f->subject ? f->subject : NULL,
                                    .key = f->study,
                                    .attrs = {l->attrs.data, l->attrs.len}};
    return l->in->record(l->in, &rec, &l->op->err);
}

static int emit_series(struct listing *l, const struct nda_file *f)
{
    char locator[64];
    if (f->pack)
        snprintf(locator, sizeof locator, "a/%s/%" PRIu64, f->id, f->size);
    else
        snprintf(locator, sizeof locator, "l/%s", f->series);
    int rc = begin_attrs(l);
    if (rc == 0)
        rc = vivo_dicomjson_put_text(&l->attrs, VIVO_TAG_Modality, f->modality);
    if (rc == 0)
        rc = vivo_dicomjson_put_text(&l->attrs, VIVO_TAG_SeriesDescription, f->text);
    if (rc)
        return vivo_fail(&l->op->err, ENOMEM, "nda: out of memory");
    const struct vivo_record rec = {.level = VIVO_LEVEL_SERIES,
                                    .locator = locator,
                                    .key = f->series,
                                    .attrs = {l->attrs.data, l->attrs.len}};
    return l->in->record(l->in, &rec, &l->op->err);
}

static int list_studies(struct listing *l)
{
    struct nda_table *t = NULL;
    int rc = vivo_nda_table(l->n, true, l->in, &t, l->op);
    for (size_t i = 0; rc == 0 && i < t->n; i++) {
        if (i > 0 && strcmp(t->files[i - 1].study, t->files[i].study) == 0)
            continue;
        rc = vivo_op_check(l->op);
        if (rc == 0)
            rc = emit_study(l, &t->files[i]);
    }
    vivo_nda_table_unref(t);
    return rc;
}

static int list_series(struct listing *l, const char *study)
{
    struct nda_table *t = NULL;
    const struct nda_file *last = NULL;
    int rc = vivo_nda_table(l->n, false, l->in, &t, l->op);
    for (size_t i = 0; rc == 0 && i < t->n; i++) {
        const struct nda_file *f = &t->files[i];
        if (strcmp(f->study, study) != 0 || (last && !strcmp(last->series, f->series)))
            continue;
        last = f;
        rc = vivo_op_check(l->op);
        if (rc == 0)
            rc = emit_series(l, f);
    }
    if (rc == 0 && !last)
        rc = vivo_fail(&l->op->err, ENOENT, "the package has no such visit any more");
    vivo_nda_table_unref(t);
    return rc;
}

/* ---- files -------------------------------------------------------------------- */

struct asking {
    struct nda *n;
    struct vivo_ranged_header *header; /* or the file: */
    struct vivo_delivery *to;
    uint64_t size;
};

static int ask_header(void *ctx, const struct vivo_net_request *rq,
                      struct vivo_net_reply *reply, struct vivo_op *op)
{
    struct asking *a = ctx;
    vivo_ranged_header_free(a->header);
    int rc = vivo_header_range(&a->n->base, rq, a->header, op);
    *reply = a->header->reply;
    return rc;
}

static int ask_file(void *ctx, const struct vivo_net_request *rq,
                    struct vivo_net_reply *reply, struct vivo_op *op)
{
    struct asking *a = ctx;
    return vivo_shelf_fetch(&a->n->base, rq, a->size, a->to, reply, op);
}

static int emit_file(struct listing *l, const struct nda_file *f, const char *locator,
                     const char *version)
{
    struct vivo_ranged_header h = {0};
    struct asking a = {.n = l->n, .header = &h};
    int rc = vivo_nda_ask(l->n, f->id, ask_header, &a, l->op);
    if (rc == 0 && h.object) {
        const struct vivo_record rec = {.level = VIVO_LEVEL_INSTANCE,
                                        .locator = locator,
                                        .version = version,
                                        .size = f->size,
                                        .attrs = {h.attrs.data, h.attrs.len},
                                        .headers = true};
        rc = l->in->record(l->in, &rec, &l->op->err);
    } else if (rc == 0 && h.foreign) {
        const char *slash = strrchr(f->alias, '/');
        const struct vivo_extra x = {.locator = locator,
                                     .path = slash && slash[1] ? slash + 1 : f->alias,
                                     .version = version,
                                     .size = f->size};
        rc = l->in->extra(l->in, &x, &l->op->err);
    } else if (rc == 0) {
        l->in->other(l->in, locator, version);
    } else if (rc == -ENOENT) { /* it was listed a moment ago */
        l->op->err.errnum = EIO;
        rc = -EIO;
    }
    vivo_ranged_header_free(&h);
    return rc;
}

/* Those that are not known, URLs for many at once. */
static int list_some(struct listing *l, const struct nda_file *const *files, size_t n)
{
    const char *ids[NDA_BATCH];
    char locator[64], version[24];
    for (size_t i = 0; i < n; i++)
        ids[i] = files[i]->id;
    int rc = n ? vivo_nda_sign(l->n, ids, n, l->op) : 0;
    for (size_t i = 0; rc == 0 && i < n; i++) {
        const struct nda_file *f = files[i];
        snprintf(locator, sizeof locator, "f/%s/%" PRIu64, f->id, f->size);
        snprintf(version, sizeof version, "%" PRIu64, f->size);
        l->in->alive(l->in);
        rc = emit_file(l, f, locator, version);
    }
    return rc;
}

static bool is_known(struct listing *l, const struct nda_file *f)
{
    char locator[64], version[24];
    snprintf(locator, sizeof locator, "f/%s/%" PRIu64, f->id, f->size);
    snprintf(version, sizeof version, "%" PRIu64, f->size);
    return l->in->known(l->in, locator, version);
}

static int list_files(struct listing *l, const char *series)
{
    struct nda_table *t = NULL;
    const struct nda_file *some[NDA_BATCH];
    size_t n = 0, all = 0;
    int rc = vivo_nda_table(l->n, false, l->in, &t, l->op);
    for (size_t i = 0; rc == 0 && i < t->n; i++) {
        const struct nda_file *f = &t->files[i];
        if (strcmp(f->series, series) != 0)
            continue;
        all++;
        if (!l->headers && is_known(l, f))
            continue;
        some[n++] = f;
        if (n == NDA_BATCH) {
            rc = list_some(l, some, n);
            n = 0;
        }
    }
    if (rc == 0)
        rc = list_some(l, some, n);
    if (rc == 0 && all == 0)
        rc = vivo_fail(&l->op->err, ENOENT, "the package has no such folder any more");
    vivo_nda_table_unref(t);
    return rc;
}

/* ---- the callbacks ----------------------------------------------------------------
 */

static int list_level(struct listing *l, enum vivo_level level, const char *parent)
{
    if (level == VIVO_LEVEL_NONE)
        return emit_top(l);
    if (level == VIVO_LEVEL_COLLECTION && strcmp(parent, "p") == 0)
        return list_studies(l);
    if (level == VIVO_LEVEL_STUDY && strncmp(parent, "s/", 2) == 0)
        return list_series(l, parent + 2);
    if (level == VIVO_LEVEL_SERIES && strncmp(parent, "l/", 2) == 0)
        return list_files(l, parent + 2);
    if (level == VIVO_LEVEL_SERIES)
        return vivo_nda_list_pack(l->n, parent, l->headers, l->in, l->op);
    return vivo_fail(&l->op->err, ENOENT, "not a locator of this level");
}

static int list(struct vivo_archive *self, enum vivo_level level, const char *parent,
                struct vivo_intake *in, struct vivo_op *op)
{
    struct listing l = {.n = nda_of(self), .in = in, .op = op};
    vivo_buf_init(&l.attrs, VIVO_ATTRS_MAX);
    int rc = list_level(&l, level, parent);
    vivo_buf_free(&l.attrs);
    return rc;
}

/* What lists a series tells its headers: there is no list without them. */
static int headers(struct vivo_archive *self, const char *series,
                   struct vivo_intake *in, struct vivo_op *op)
{
    struct listing l = {.n = nda_of(self), .in = in, .op = op, .headers = true};
    return list_level(&l, VIVO_LEVEL_SERIES, series);
}

static int fetch(struct vivo_archive *self, const char *locator,
                 struct vivo_delivery *to, struct vivo_op *op)
{
    struct asking a = {.n = nda_of(self), .to = to};
    char id[NDA_ID_MAX + 1];
    if (locator[0] == 'm')
        return vivo_nda_fetch_member(a.n, locator, to, op);
    int rc = vivo_nda_read_locator(locator, 'f', id, &a.size, NULL, &op->err);
    return rc ? rc : vivo_nda_ask(a.n, id, ask_file, &a, op);
}

static int probe(struct vivo_archive *self, struct vivo_op *op)
{
    uint64_t files;
    return vivo_nda_package(nda_of(self), &files, op);
}

static int open_nda(const struct vivo_archive_config *cfg, struct vivo_archive **out,
                    struct vivo_err *err)
{
    if (!cfg->net)
        return vivo_fail(err, EINVAL, "nda: needs the network");
    struct nda *n = calloc(1, sizeof *n);
    if (!n)
        return vivo_fail(err, ENOMEM, "nda: out of memory");
    n->base.net = cfg->net;
    pthread_mutex_init(&n->mutex, NULL);
    pthread_cond_init(&n->landed, NULL);
    int rc = read_source(n, cfg->source, err);
    if (rc == 0)
        rc = read_login(n, cfg->bearer, err);
    if (rc) {
        close_nda(&n->base);
        return rc;
    }
    *out = &n->base;
    return 0;
}

/* What names are made of (DESIGN A1): visits and images as image03 tells them,
 * instances by their headers. */
static const uint32_t listed[] = {
    VIVO_TAG_SOPInstanceUID,
    VIVO_TAG_StudyDate,
    VIVO_TAG_Modality,
    VIVO_TAG_StudyDescription,
    VIVO_TAG_SeriesDescription,
    VIVO_TAG_InstanceNumber,
    0,
};

extern const struct vivo_driver vivo_driver_nda;
const struct vivo_driver vivo_driver_nda = {
    .name = "nda",
    .summary = "data package of the NIMH Data Archive (NDA, NDAR)",
    .schemes = "nda+http nda+https",
    .caps = VIVO_CAP_HEADERS | VIVO_CAP_DEAR_HEADERS | VIVO_CAP_SAME_BYTES,
    .lists = 1u << VIVO_LEVEL_NONE | 1u << VIVO_LEVEL_COLLECTION |
             1u << VIVO_LEVEL_STUDY | 1u << VIVO_LEVEL_SERIES,
    .listed = listed,
    .open = open_nda,
    .close = close_nda,
    .probe = probe,
    .list = list,
    .fetch = fetch,
    .headers = headers,
};
