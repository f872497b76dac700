/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/idc.c -- archive = Imaging Data Commons: its index over REST, its objects
 * in public buckets.
 *
 * URL:      idc: for the archive itself, idc+http(s)://HOST[:PORT]/v3 for another; its
 * buckets at endpoint=URL, by default the first part of the path on the same host
 * Lists:    top = collections, collection = all its series (patients and studies come
 * from their columns), series = its keys in the bucket
 * Locator:  uuids and UIDs, see idc.h; a uuid never gets other bytes
 * Source:   IDC REST API 3.0.0b5 and cloud storage guide, 2026. Quirks: idc.md. */
#include "idc.h"

#include "drivers/crew.h"
#include "drivers/locator.h"
#include "source_url.h"
#include "vivofs/hash.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define API "https://api.imaging.datacommons.cancer.gov/v3"
#define BUCKETS "https://s3.amazonaws.com"
#define HEADER_THREADS 8
#define TASKS_BYTES (64u << 20)

/* ---- locators ------------------------------------------------------------------- */

static bool take_number(const char **s, uint64_t *out)
{
    char text[16];
    if (!vivo_locator_part(s, text, sizeof text) ||
        strspn(text, "0123456789") != strlen(text))
        return false;
    *out = strtoull(text, NULL, 10);
    return text[0] != '\0';
}

int vivo_idc_place_read(const char *locator, enum vivo_level level,
                        struct idc_place *out, struct vivo_err *err)
{
    const char *s = locator;
    *out = (struct idc_place){0};
    bool ok = true;
    if (level != VIVO_LEVEL_INSTANCE)
        ok = vivo_locator_part(&s, out->collection, sizeof out->collection) &&
             vivo_idc_collection_ok(out->collection);
    if (level != VIVO_LEVEL_COLLECTION)
        ok = ok && vivo_locator_part(&s, out->bucket, sizeof out->bucket) &&
             vivo_s3_bucket_ok(out->bucket, strlen(out->bucket)) &&
             vivo_locator_part(&s, out->uuid, sizeof out->uuid) &&
             vivo_idc_uuid_ok(out->uuid);
    if (level == VIVO_LEVEL_SERIES)
        ok = ok && take_number(&s, &out->count) &&
             vivo_locator_part(&s, out->study, sizeof out->study) &&
             vivo_idc_uid_ok(out->study) &&
             vivo_locator_part(&s, out->series, sizeof out->series) &&
             vivo_idc_uid_ok(out->series);
    if (level == VIVO_LEVEL_INSTANCE)
        ok = ok && vivo_locator_part(&s, out->instance, sizeof out->instance) &&
             vivo_idc_uuid_ok(out->instance) && take_number(&s, &out->size) &&
             out->size && vivo_locator_part(&s, out->tag, sizeof out->tag);
    if (!ok || s)
        return vivo_fail(err, ENOENT, "not a locator of an IDC %s",
                         vivo_level_name(level));
    return 0;
}

void vivo_idc_place_write(const struct idc_place *p, enum vivo_level level,
                          char out[IDC_LOCATOR_MAX])
{
    if (level == VIVO_LEVEL_COLLECTION)
        snprintf(out, IDC_LOCATOR_MAX, "%s", p->collection);
    else if (level == VIVO_LEVEL_SERIES)
        snprintf(out, IDC_LOCATOR_MAX, "%s/%s/%s/%" PRIu64 "/%s/%s", p->collection,
                 p->bucket, p->uuid, p->count, p->study, p->series);
    else
        snprintf(out, IDC_LOCATOR_MAX, "%s/%s/%s/%" PRIu64 "/%s", p->bucket, p->uuid,
                 p->instance, p->size, p->tag);
}

/* ---- making --------------------------------------------------------------------- */

static void close_idc(struct vivo_archive *self)
{
    struct idc *c = idc_of(self);
    vivo_s3_free(c->store);
    free(c->api);
    free(c);
}

static int read_source(struct idc *c, const struct vivo_archive_config *cfg,
                       struct vivo_err *err)
{
    char host[256];
    struct vivo_s3_config store = {.endpoint = cfg->endpoint};
    static const char form[] = "idc: or idc+https://HOST[:PORT]/v3";
    const char *url = API;
    if (strcmp(cfg->source, "idc:") == 0 || strcmp(cfg->source, "idc://") == 0) {
        if (!store.endpoint)
            store.endpoint = BUCKETS;
    } else {
        url = vivo_source_url(cfg->source, "idc+", false, form, err);
        if (!url)
            return -EINVAL;
    }
    const char *name = strstr(url, "://") + 3;
    size_t n = strcspn(name, "/?#");
    if ((size_t)(name - url) + n >= sizeof host)
        return vivo_fail(err, EINVAL, "expected %s", form);
    if (!store.endpoint) {
        snprintf(host, sizeof host, "%.*s", (int)((size_t)(name - url) + n), url);
        store.endpoint = host;
    }
    c->api = vivo_source_base(url, strlen(url));
    if (!c->api)
        return vivo_fail(err, ENOMEM, "idc: out of memory");
    return vivo_s3_new(&store, &c->base, &c->store, err);
}

static int open_idc(const struct vivo_archive_config *cfg, struct vivo_archive **out,
                    struct vivo_err *err)
{
    if (!cfg->net)
        return vivo_fail(err, EINVAL, "idc: needs the network");
    struct idc *c = calloc(1, sizeof *c);
    if (!c)
        return vivo_fail(err, ENOMEM, "idc: out of memory");
    c->base.net = cfg->net;
    int rc = read_source(c, cfg, err);
    if (rc) {
        close_idc(&c->base);
        return rc;
    }
    *out = &c->base;
    return 0;
}

static int probe(struct vivo_archive *self, struct vivo_op *op)
{
    json_t *reply = NULL;
    int rc = vivo_idc_ask(idc_of(self), "version", NULL, &reply, NULL, op);
    if (rc == 0 && !json_is_string(json_object_get(reply, "idc_version")))
        rc = vivo_fail(&op->err, EIO, "version: it does not name a release of IDC");
    json_decref(reply);
    return rc;
}

/* ---- collections ---------------------------------------------------------------- */

struct listing {
    struct idc *c;
    struct vivo_intake *in;
    struct vivo_op *op;
    struct idc_place parent;
    struct vivo_buf attrs;
    struct vivo_crew *crew; /* of headers, else NULL */
    size_t count;
};

/* A row that nothing can be asked for; a digest tells one from another. */
static void tell_bad(struct listing *l, const json_t *row)
{
    char locator[32] = "?";
    char *text = json_dumps(row, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
    vivo_short_name(text ? text : "", text ? strlen(text) : 0, locator + 1, 12);
    free(text);
    l->in->other(l->in, locator, NULL);
}

static int emit_collection(struct listing *l, const json_t *row)
{
    char name[IDC_COLLECTION_MAX + 1];
    vivo_idc_text(row, "collection_id", name, sizeof name);
    if (!vivo_idc_collection_ok(name)) {
        tell_bad(l, row);
        return 0;
    }
    const struct vivo_record rec = {
        .level = VIVO_LEVEL_COLLECTION, .locator = name, .collection = name};
    l->count++;
    return l->in->record(l->in, &rec, &l->op->err);
}

static int list_collections(struct listing *l)
{
    json_t *reply = NULL;
    int rc = vivo_idc_ask(l->c, "collections", NULL, &reply, NULL, l->op);
    if (rc)
        return rc;
    const json_t *rows =
        json_is_array(reply) ? reply : json_object_get(reply, "collections");
    if (!json_is_array(rows))
        rc = vivo_fail(&l->op->err, EBADMSG, "collections: not a JSON array");
    for (size_t i = 0; rc == 0 && i < json_array_size(rows); i++) {
        rc = vivo_op_check(l->op);
        if (rc == 0)
            rc = emit_collection(l, json_array_get(rows, i));
    }
    json_decref(reply);
    if (rc == 0 && l->count == 0)
        return vivo_fail(&l->op->err, EIO,
                         "collections: the archive lists no collection");
    return rc;
}

/* ---- series --------------------------------------------------------------------- */

static int emit_series(void *ctx, const json_t *row, struct vivo_err *err)
{
    struct listing *l = ctx;
    struct idc_place p;
    char locator[IDC_LOCATOR_MAX];
    char license[128], doi[256], citation[300] = "";
    if (!vivo_idc_row_place(row, &p)) {
        tell_bad(l, row);
        return 0;
    }
    if (l->parent.collection[0] && strcmp(p.collection, l->parent.collection) != 0)
        return vivo_fail(err, EIO, "the server lists series of other collections");
    vivo_buf_clear(&l->attrs);
    int rc = vivo_idc_row_attrs(row, &l->attrs, err);
    if (rc)
        return rc;
    vivo_idc_place_write(&p, VIVO_LEVEL_SERIES, locator);
    vivo_idc_text(row, "license_short_name", license, sizeof license);
    vivo_idc_text(row, "source_DOI", doi, sizeof doi);
    if (doi[0])
        snprintf(citation, sizeof citation, "https://doi.org/%s", doi);
    const struct vivo_record rec = {.level = VIVO_LEVEL_SERIES,
                                    .locator = locator,
                                    .collection = p.collection,
                                    .license = license[0] ? license : NULL,
                                    .citation = citation[0] ? citation : NULL,
                                    .version = p.uuid,
                                    .attrs = {l->attrs.data, l->attrs.len}};
    l->count++;
    return l->in->record(l->in, &rec, err);
}

static int list_series(struct listing *l)
{
    char where[IDC_COLLECTION_MAX + 32];
    int rc = -EOPNOTSUPP;
    snprintf(where, sizeof where, "collection_id = '%s'", l->parent.collection);
    if (!atomic_load(&l->c->no_sql))
        rc = vivo_idc_series(l->c, where, emit_series, l, l->op);
    if (rc != -EOPNOTSUPP)
        return rc;
    atomic_store(&l->c->no_sql, true);
    json_t *filters =
        json_pack("{s:{s:[s]}}", "terms", "collection_id", l->parent.collection);
    if (!filters)
        return vivo_fail(&l->op->err, ENOMEM, "idc: out of memory");
    rc = vivo_idc_cohort(l->c, filters, emit_series, l, l->op);
    json_decref(filters);
    return rc;
}

/* ---- instances ------------------------------------------------------------------ */

static int ids_of_series(const struct idc_place *p, struct vivo_buf *out)
{
    vivo_buf_clear(out);
    int rc = vivo_attrs_put(out, VIVO_TAG_StudyInstanceUID, "UI", p->study,
                            strlen(p->study));
    return rc ? rc
              : vivo_attrs_put(out, VIVO_TAG_SeriesInstanceUID, "UI", p->series,
                               strlen(p->series));
}

/* "UUID/UUID.dcm", else false. */
static bool read_key(const struct vivo_s3_entry *e, struct idc_place *p)
{
    const char *name = e->key + strlen(p->uuid) + 1;
    size_t n = strcspn(name, ".");
    if (n != IDC_UUID_LEN || strcmp(name + n, ".dcm") != 0 || e->size == 0)
        return false;
    memcpy(p->instance, name, n);
    p->instance[n] = '\0';
    p->size = e->size;
    snprintf(p->tag, sizeof p->tag, "%s", e->tag);
    return vivo_idc_uuid_ok(p->instance);
}

/* An object of the series, as far as its place tells it. No SOP Instance UID is known
 * before the header: the uuid names it for ever. */
#define FILE_NAME_LEN (IDC_UUID_LEN + 8)
static struct vivo_record record_of(const struct listing *l, const struct idc_place *p,
                                    const char *locator, struct vivo_attrs attrs,
                                    char file[FILE_NAME_LEN])
{
    snprintf(file, FILE_NAME_LEN, "%s.dcm", p->instance);
    return (struct vivo_record){.level = VIVO_LEVEL_INSTANCE,
                                .locator = locator,
                                .collection = l->parent.collection,
                                .key = p->instance,
                                .label = file,
                                .version = p->instance,
                                .size = p->size,
                                .attrs = attrs};
}

static int emit_instance(void *ctx, const struct vivo_s3_entry *e, struct vivo_err *err)
{
    struct listing *l = ctx;
    struct idc_place p = l->parent;
    char locator[IDC_LOCATOR_MAX];
    if (!read_key(e, &p)) {
        vivo_short_name(e->key, strlen(e->key), locator, 12);
        l->in->other(l->in, locator, e->tag);
        return 0;
    }
    l->count++;
    vivo_idc_place_write(&p, VIVO_LEVEL_INSTANCE, locator);
    if (l->crew)
        return vivo_crew_add(l->crew, locator, err);
    if (l->in->known(l->in, locator, p.instance))
        return 0;
    char file[FILE_NAME_LEN];
    const struct vivo_record rec = record_of(
        l, &p, locator, (struct vivo_attrs){l->attrs.data, l->attrs.len}, file);
    return l->in->record(l->in, &rec, err);
}

static int list_keys(struct listing *l, struct vivo_op *op)
{
    char prefix[IDC_UUID_LEN + 2];
    l->op = op;
    snprintf(prefix, sizeof prefix, "%s/", l->parent.uuid);
    if (ids_of_series(&l->parent, &l->attrs))
        return vivo_fail(&op->err, ENOMEM, "idc: out of memory");
    int rc = vivo_s3_list(l->c->store, l->parent.bucket, prefix, emit_instance, l, op);
    if (rc == -ENOENT)
        op->err.errnum = EIO; /* it is in the index: somebody's fault */
    if (rc == 0 && l->count < l->parent.count)
        return vivo_fail(&op->err, EIO,
                         "the bucket has %zu of the %" PRIu64 " objects of a series",
                         l->count, l->parent.count);
    return rc == -ENOENT ? -EIO : rc;
}

static int list(struct vivo_archive *self, enum vivo_level level, const char *parent,
                struct vivo_intake *in, struct vivo_op *op)
{
    struct listing l = {.c = idc_of(self), .in = in, .op = op};
    int rc = parent ? vivo_idc_place_read(parent, level, &l.parent, &op->err) : 0;
    if (rc)
        return rc;
    vivo_buf_init(&l.attrs, VIVO_ATTRS_MAX);
    if (level == VIVO_LEVEL_NONE)
        rc = list_collections(&l);
    else if (level == VIVO_LEVEL_COLLECTION)
        rc = list_series(&l);
    else
        rc = list_keys(&l, op);
    vivo_buf_free(&l.attrs);
    return rc;
}

static int search_sql(struct listing *l, const struct vivo_match *matches, size_t n,
                      uint64_t *answered)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf where = {0};
    vivo_buf_init(&where, 128u << 10);
    if (vivo_idc_where(matches, n, answered, &where) || !*answered)
        return -EOPNOTSUPP;
    return vivo_idc_series(l->c, (const char *)where.data, emit_series, l, l->op);
}

static int search_cohort(struct listing *l, const struct vivo_match *matches, size_t n,
                         uint64_t *answered)
{
    json_t *filters = NULL;
    int rc = vivo_idc_filters(l->c, matches, n, answered, &filters, l->op);
    /* An empty list of values would be no condition at all. */
    bool none = false;
    const char *column;
    json_t *values;
    json_object_foreach(json_object_get(filters, "terms"), column, values) none =
        none || json_array_size(values) == 0;
    if (rc == 0 && !*answered)
        rc = -EOPNOTSUPP;
    else if (rc == 0 && !none)
        rc = vivo_idc_cohort(l->c, filters, emit_series, l, l->op);
    json_decref(filters);
    return rc;
}

static int search(struct vivo_archive *self, const struct vivo_match *matches, size_t n,
                  uint64_t *answered, struct vivo_intake *in, struct vivo_op *op)
{
    struct listing l = {.c = idc_of(self), .in = in, .op = op};
    vivo_buf_init(&l.attrs, VIVO_ATTRS_MAX);
    int rc = -EOPNOTSUPP;
    if (!atomic_load(&l.c->no_sql))
        rc = search_sql(&l, matches, n, answered);
    if (rc == -EOPNOTSUPP && atomic_load(&l.c->no_sql))
        rc = search_cohort(&l, matches, n, answered);
    vivo_buf_free(&l.attrs);
    if (rc != -EOPNOTSUPP)
        return rc;
    *answered = 0;
    return vivo_fail(&op->err, ENOENT, "idc cannot search for that");
}

/* ---- objects -------------------------------------------------------------------- */

static void key_of(const struct idc_place *p, char out[2 * IDC_UUID_LEN + 8])
{
    snprintf(out, 2 * IDC_UUID_LEN + 8, "%s/%s.dcm", p->uuid, p->instance);
}

static int take_header(struct listing *l, const char *locator, struct vivo_op *op)
{
    struct idc_place p;
    struct vivo_ranged_header h;
    char key[2 * IDC_UUID_LEN + 8];
    int rc = vivo_idc_place_read(locator, VIVO_LEVEL_INSTANCE, &p, &op->err);
    if (rc)
        return rc;
    key_of(&p, key);
    const struct vivo_s3_object object = {p.bucket, key, p.tag, p.size};
    rc = vivo_s3_header(l->c->store, &object, &h, op);
    if (rc == 0 && !h.object)
        rc = vivo_fail(&op->err, EBADMSG, "an object of a series is no DICOM object");
    char file[FILE_NAME_LEN];
    struct vivo_record rec =
        record_of(l, &p, locator, (struct vivo_attrs){h.attrs.data, h.attrs.len}, file);
    rec.headers = true;
    if (rc == 0)
        rc = vivo_crew_record(l->crew, l->in, &rec, &op->err);
    vivo_ranged_header_free(&h);
    return rc;
}

static int do_task(struct vivo_crew *crew, void *ctx, const char *task,
                   struct vivo_op *op)
{
    struct listing *l = ctx;
    if (strcmp(task, "list") != 0)
        return take_header(l, task, op);
    l->crew = crew;
    return list_keys(l, op);
}

static int headers(struct vivo_archive *self, const char *series,
                   struct vivo_intake *in, struct vivo_op *op)
{
    struct listing l = {.c = idc_of(self), .in = in, .op = op};
    int rc = vivo_idc_place_read(series, VIVO_LEVEL_SERIES, &l.parent, &op->err);
    if (rc)
        return rc;
    vivo_buf_init(&l.attrs, VIVO_ATTRS_MAX);
    rc = vivo_crew_run(HEADER_THREADS, TASKS_BYTES, do_task, &l, "list", op);
    vivo_buf_free(&l.attrs);
    return rc;
}

static int fetch(struct vivo_archive *self, const char *locator,
                 struct vivo_delivery *to, struct vivo_op *op)
{
    struct idc_place p;
    char key[2 * IDC_UUID_LEN + 8];
    int rc = vivo_idc_place_read(locator, VIVO_LEVEL_INSTANCE, &p, &op->err);
    if (rc)
        return rc;
    key_of(&p, key);
    const struct vivo_s3_object object = {p.bucket, key, p.tag, p.size};
    return vivo_s3_get(idc_of(self)->store, &object, to, op);
}

/* What names are made of (DESIGN A1). */
static const uint32_t listed[] = {
    VIVO_TAG_StudyDate,         VIVO_TAG_Modality,     VIVO_TAG_StudyDescription,
    VIVO_TAG_SeriesDescription, VIVO_TAG_PatientID,    VIVO_TAG_StudyInstanceUID,
    VIVO_TAG_SeriesInstanceUID, VIVO_TAG_SeriesNumber, 0,
};

/* The index names Amazon's buckets, wherever this one's endpoint is. */
static int url(struct vivo_archive *self, const char *locator, struct vivo_buf *out)
{
    struct vivo_err err = {0};
    struct idc_place p;
    (void)self;
    if (vivo_idc_place_read(locator, VIVO_LEVEL_INSTANCE, &p, &err))
        return -EOPNOTSUPP;
    return vivo_buf_printf(out, "s3://%s/%s/%s.dcm", p.bucket, p.uuid, p.instance);
}

extern const struct vivo_driver vivo_driver_idc;
const struct vivo_driver vivo_driver_idc = {
    .name = "idc",
    .summary = "Imaging Data Commons (index over REST, objects in buckets)",
    .schemes = "idc idc+http idc+https",
    .caps = VIVO_CAP_HEADERS | VIVO_CAP_DEAR_HEADERS | VIVO_CAP_SAME_BYTES,
    .lists =
        1u << VIVO_LEVEL_NONE | 1u << VIVO_LEVEL_COLLECTION | 1u << VIVO_LEVEL_SERIES,
    .listed = listed,
    .open = open_idc,
    .close = close_idc,
    .probe = probe,
    .list = list,
    .fetch = fetch,
    .headers = headers,
    .searches = vivo_idc_searches,
    .search = search,
    .describes = vivo_idc_describes,
    .describe = vivo_idc_describe,
    .url = url,
};
