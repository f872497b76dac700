/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/idc_api.c -- the REST API, version 3: its tables by SQL, page by page.
 *
 * A manifest of the API lacks dates, numbers and licences, so the index itself is
 * asked. Replies are cut at a cap that may change, so each row is asked to say how many
 * are left, itself included, and pages go on from the last key: what comes is complete,
 * or the listing fails. */
#include "dicomjson_value.h"
#include "idc.h"

#include "vivofs/dcm.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define BODY_MAX (256u << 10)
#define URL_BYTES 1024

static const char columns[] =
    "collection_id, PatientID, StudyInstanceUID, SeriesInstanceUID, StudyDate,"
    " SeriesDate, StudyDescription, SeriesDescription, SeriesNumber, Modality,"
    " BodyPartExamined, Manufacturer, ManufacturerModelName, PatientSex, PatientAge,"
    " instanceCount, license_short_name, source_DOI, aws_bucket, crdc_series_uuid,"
    " count(*) OVER () AS vivofs_left";

/* ---- requests ---------------------------------------------------------------------
 */

static int load(const struct vivo_buf *body, const struct vivo_net_reply *reply,
                json_t **out, struct vivo_err *err)
{
    json_error_t why;
    size_t blank = body->len ? strspn((const char *)body->data, " \t\r\n") : 0;
    if (body->len > blank && body->data[blank] == '<')
        return vivo_fail(err, EIO, "the server answers HTML, not JSON");
    if (reply->received == 0)
        return vivo_fail(err, EBADMSG, "an empty reply");
    *out =
        json_loadb((const char *)body->data, body->len, JSON_REJECT_DUPLICATES, &why);
    return *out ? 0
                : vivo_fail(err, EBADMSG,
                            "the server answers something else than "
                            "JSON");
}

int vivo_idc_ask(struct idc *c, const char *path, const char *body, json_t **out,
                 int *status, struct vivo_op *op)
{
    static const char *const json_body[] = {"Content-Type: application/json", NULL};
    char url[URL_BYTES];
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf text = {0};
    struct vivo_buf_sink sink;
    struct vivo_net_reply reply = {0};
    if (snprintf(url, sizeof url, "%s/%s", c->api, path) >= (int)sizeof url)
        return vivo_fail(&op->err, EINVAL, "idc: URL longer than %d", URL_BYTES);
    vivo_buf_init(&text, IDC_REPLY_BYTES);
    vivo_buf_sink_init(&sink, &text);
    const struct vivo_net_request rq = {
        .method = body ? "POST" : NULL,
        .url = url,
        .accept = "application/json",
        .headers = body ? json_body : NULL,
        .body = body,
        .body_len = body ? strlen(body) : 0,
        .no_netrc = true,
        .max_bytes = IDC_REPLY_BYTES,
        .close_ends = true, /* a JSON text tells where it ends */
    };
    atomic_fetch_add(&c->base.requests, 1);
    int rc = vivo_net_fetch(c->base.net, &rq, &sink.base, &reply, op);
    if (status)
        *status = reply.status;
    atomic_fetch_add(&c->base.bytes, reply.received);
    if (rc == 0)
        rc = load(&text, &reply, out, &op->err);
    if (rc == -ENOENT)
        op->err.errnum = EIO; /* a request that the server does not have */
    if (rc == 0)
        return 0;
    return vivo_fail_in(&op->err, "%s", path);
}

/* ---- rows -------------------------------------------------------------------------
 */

void vivo_idc_text(const json_t *row, const char *column, char *out, size_t cap)
{
    const json_t *v = json_object_get(row, column);
    out[0] = '\0';
    if (json_is_string(v) && json_string_length(v) < cap &&
        strlen(json_string_value(v)) == json_string_length(v))
        memcpy(out, json_string_value(v), json_string_length(v) + 1);
    else if (json_is_integer(v))
        snprintf(out, cap, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
}

static bool plain(const char *s, const char *more)
{
    for (; *s; s++)
        if (!(*s >= 'a' && *s <= 'z') && !(*s >= 'A' && *s <= 'Z') &&
            !(*s >= '0' && *s <= '9') && !strchr(more, *s))
            return false;
    return true;
}

bool vivo_idc_collection_ok(const char *s)
{
    return s[0] && s[0] != '.' && strlen(s) <= IDC_COLLECTION_MAX && plain(s, "_-.");
}

bool vivo_idc_uuid_ok(const char *s)
{
    return strlen(s) == IDC_UUID_LEN && strspn(s, "0123456789abcdef-") == IDC_UUID_LEN;
}

bool vivo_idc_uid_ok(const char *s)
{
    size_t n = strspn(s, "0123456789.");
    return n > 0 && n <= VIVO_UID_MAX && !s[n] && s[0] != '.' && s[n - 1] != '.' &&
           !strstr(s, "..");
}

/* "s3://BUCKET/UUID/…", where the columns are not there. */
static void place_of_url(const json_t *row, struct idc_place *out)
{
    char url[256];
    vivo_idc_text(row, "series_aws_url", url, sizeof url);
    if (strncmp(url, "s3://", 5) != 0)
        return;
    const char *bucket = url + 5;
    const char *uuid = bucket + strcspn(bucket, "/");
    snprintf(out->bucket, sizeof out->bucket, "%.*s", (int)(uuid - bucket), bucket);
    uuid += *uuid == '/';
    snprintf(out->uuid, sizeof out->uuid, "%.*s", (int)strcspn(uuid, "/"), uuid);
}

bool vivo_idc_row_place(const json_t *row, struct idc_place *out)
{
    char count[24];
    *out = (struct idc_place){0};
    vivo_idc_text(row, "collection_id", out->collection, sizeof out->collection);
    vivo_idc_text(row, "aws_bucket", out->bucket, sizeof out->bucket);
    vivo_idc_text(row, "crdc_series_uuid", out->uuid, sizeof out->uuid);
    vivo_idc_text(row, "StudyInstanceUID", out->study, sizeof out->study);
    vivo_idc_text(row, "SeriesInstanceUID", out->series, sizeof out->series);
    if (!out->uuid[0] || !out->bucket[0])
        place_of_url(row, out);
    vivo_idc_text(row, "instanceCount", count, sizeof count);
    bool digits = strlen(count) <= 12 && strspn(count, "0123456789") == strlen(count);
    out->count = digits ? strtoull(count, NULL, 10) : 0;
    return vivo_idc_collection_ok(out->collection) && vivo_idc_uuid_ok(out->uuid) &&
           vivo_s3_bucket_ok(out->bucket, strlen(out->bucket)) &&
           vivo_idc_uid_ok(out->study) && vivo_idc_uid_ok(out->series);
}

/* Ascending by tag. */
static const struct {
    uint32_t tag;
    const char *column;
    bool date;
} attributes[] = {
    {VIVO_TAG_StudyDate, "StudyDate", true},
    {VIVO_TAG_SeriesDate, "SeriesDate", true},
    {VIVO_TAG_Modality, "Modality", false},
    {VIVO_TAG_Manufacturer, "Manufacturer", false},
    {VIVO_TAG_StudyDescription, "StudyDescription", false},
    {VIVO_TAG_SeriesDescription, "SeriesDescription", false},
    {VIVO_TAG_ManufacturerModelName, "ManufacturerModelName", false},
    {VIVO_TAG_PatientID, "PatientID", false},
    {VIVO_TAG_PatientSex, "PatientSex", false},
    {VIVO_TAG_PatientAge, "PatientAge", false},
    {VIVO_TAG_BodyPartExamined, "BodyPartExamined", false},
    {VIVO_TAG_StudyInstanceUID, "StudyInstanceUID", false},
    {VIVO_TAG_SeriesInstanceUID, "SeriesInstanceUID", false},
    {VIVO_TAG_SeriesNumber, "SeriesNumber", false},
    {VIVO_TAG_NumberOfSeriesRelatedInstances, "instanceCount", false},
};

static int put_date(const char *text, struct vivo_buf *value)
{
    bool good = strlen(text) >= 10 && text[4] == '-' && text[7] == '-' &&
                (!text[10] || text[10] == ' ' || text[10] == 'T');
    for (int i = 0; good && i < 10; i++)
        good = i == 4 || i == 7 || (text[i] >= '0' && text[i] <= '9');
    return good ? vivo_buf_printf(value, "%.4s%.2s%.2s", text, text + 5, text + 8) : 0;
}

/* As attrs form wants it: NFC, without control characters. */
static int put_value(uint32_t tag, json_t *v, struct vivo_buf *value)
{
    json_t *attribute = json_pack("{s:[O]}", "Value", v);
    if (!attribute)
        return -ENOMEM;
    int rc = vivo_dicomjson_value(tag, vivo_dcm_vr_of(tag), attribute, value);
    json_decref(attribute);
    return rc;
}

int vivo_idc_row_attrs(const json_t *row, struct vivo_buf *out, struct vivo_err *err)
{
    static const char utf8[] = "ISO_IR 192";
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf value = {0};
    char text[64];
    vivo_buf_init(&value, 4 * VIVO_ATTRS_VALUE_MAX);
    int rc =
        vivo_attrs_put(out, VIVO_TAG_SpecificCharacterSet, "CS", utf8, sizeof utf8 - 1);
    for (size_t i = 0; rc == 0 && i < VIVO_ARRAY_LEN(attributes); i++) {
        uint32_t tag = attributes[i].tag;
        json_t *v = json_object_get(row, attributes[i].column);
        if (!v)
            continue; /* not in this version of the index: unknown */
        vivo_buf_clear(&value);
        if (attributes[i].date) {
            vivo_idc_text(row, attributes[i].column, text, sizeof text);
            rc = put_date(text, &value);
        } else if (json_is_string(v) || json_is_integer(v)) {
            rc = put_value(tag, v, &value);
        }
        if (rc == 0)
            rc = vivo_attrs_put(out, tag, vivo_dcm_vr_of(tag), value.data, value.len);
    }
    return rc ? vivo_fail(err, -rc, "idc: attributes too large") : 0;
}

/* ---- pages of the index -------------------------------------------------------------
 */

struct paging {
    char uuid[IDC_UUID_LEN + 1]; /* of the last row */
    idc_row_fn *fn;
    void *ctx;
    struct vivo_op *op;
    char collection[IDC_COLLECTION_MAX + 1],
        series[VIVO_UID_MAX + 1]; /* the last key */
    bool any;
    size_t rows;
    uint64_t left; /* behind the last row */
};

/* A row may come as an object, or as an array in the order of the columns. */
json_t *vivo_idc_row(json_t *row, const json_t *names)
{
    if (json_is_object(row))
        return json_incref(row);
    json_t *out = json_is_array(row) && json_array_size(row) == json_array_size(names)
                      ? json_object()
                      : NULL;
    for (size_t i = 0; out && i < json_array_size(row); i++) {
        const json_t *name = json_array_get(names, i);
        if (json_is_object(name))
            name = json_object_get(name, "name");
        if (!json_is_string(name) ||
            json_object_set(out, json_string_value(name), json_array_get(row, i)) < 0) {
            json_decref(out);
            return NULL;
        }
    }
    return out;
}

static int take_row(struct paging *p, const json_t *row, struct vivo_err *err)
{
    char collection[IDC_COLLECTION_MAX + 1];
    char series[VIVO_UID_MAX + 1];
    char uuid[IDC_UUID_LEN + 1];
    char left[24];
    vivo_idc_text(row, "collection_id", collection, sizeof collection);
    vivo_idc_text(row, "SeriesInstanceUID", series, sizeof series);
    vivo_idc_text(row, "vivofs_left", left, sizeof left);
    if (!left[0] || strspn(left, "0123456789") != strlen(left))
        return vivo_fail(err, EBADMSG, "a row that does not say how many are left");
    uint64_t now_left = strtoull(left, NULL, 10);
    if (p->rows == 0 && p->any && now_left != p->left)
        return vivo_fail(err, EIO,
                         "the index changed while it was read, or has two "
                         "records of one series");
    if (p->rows == 0)
        p->left = now_left;
    int order = strcmp(collection, p->collection);
    if (order == 0)
        order = strcmp(series, p->series);
    if (p->any && order < 0)
        return vivo_fail(err, EIO, "the server gives rows that were there before");
    bool again = p->any && order == 0;
    vivo_idc_text(row, "crdc_series_uuid", uuid, sizeof uuid);
    if (again && strcmp(uuid, p->uuid) != 0)
        return vivo_fail(err, EIO, "the index has two records of one series");
    p->any = true;
    snprintf(p->uuid, sizeof p->uuid, "%s", uuid);
    p->rows++;
    snprintf(p->collection, sizeof p->collection, "%s", collection);
    snprintf(p->series, sizeof p->series, "%s", series);
    return again ? 0 : p->fn(p->ctx, row, err);
}

static int take_rows(struct paging *p, const json_t *reply, struct vivo_err *err)
{
    const json_t *rows = json_object_get(reply, "rows");
    const json_t *names = json_object_get(reply, "columns");
    if (!json_is_array(rows))
        return vivo_fail(err, EBADMSG, "a reply without rows");
    p->rows = 0;
    for (size_t i = 0; i < json_array_size(rows); i++) {
        int rc = vivo_op_check(p->op);
        json_t *row = vivo_idc_row(json_array_get(rows, i), names);
        if (rc == 0 && !row)
            rc = vivo_fail(err, EBADMSG, "a row that is no JSON object");
        if (rc == 0)
            rc = take_row(p, row, err);
        json_decref(row);
        if (rc)
            return rc;
    }
    if (p->rows > p->left)
        return vivo_fail(err, EIO, "the server gives more rows than there are");
    p->left -= p->rows;
    if (p->rows == 0 && p->left)
        return vivo_fail(err, EIO, "rows are missing at the end");
    return 0;
}

static int make_body(const struct paging *p, const char *where, struct vivo_buf *out)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf sql = {0};
    vivo_buf_init(&sql, BODY_MAX);
    int rc =
        vivo_buf_printf(&sql, "SELECT %s FROM \"index\" WHERE (%s)", columns, where);
    if (rc == 0 && p->any)
        rc = vivo_buf_printf(&sql,
                             " AND (collection_id, SeriesInstanceUID) > ('%s', '%s')",
                             p->collection, p->series);
    if (rc == 0)
        rc = vivo_buf_printf(
            &sql, " ORDER BY collection_id, SeriesInstanceUID LIMIT %d", IDC_PAGE_ROWS);
    if (rc == 0)
        rc = vivo_buf_puts(out, "{\"sql\":");
    if (rc == 0)
        rc = vivo_buf_json(out, (const char *)sql.data, sql.len);
    return rc ? rc : vivo_buf_printf(out, ",\"max_rows\":%d}", IDC_PAGE_ROWS);
}

/* Not there, or not for this statement; anything else may pass. */
static bool refuses_sql(struct idc *c, int status)
{
    if (status == 404 || status == 405 || status == 501)
        atomic_store(&c->no_sql, true);
    return atomic_load(&c->no_sql) || status == 400 || status == 422;
}

static int get_page(struct idc *c, const char *where, struct paging *p)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf body = {0};
    json_t *reply = NULL;
    vivo_buf_init(&body, BODY_MAX);
    /* They go back into a query, so they are what such keys are made of. */
    if (p->any &&
        (!vivo_idc_collection_ok(p->collection) || !vivo_idc_uid_ok(p->series)))
        return vivo_fail(&p->op->err, EBADMSG,
                         "sql: the last row of a page has no key");
    if (make_body(p, where, &body))
        return vivo_fail(&p->op->err, EINVAL, "sql: more than %u bytes of conditions",
                         BODY_MAX);
    int status = 0;
    int rc = vivo_idc_ask(c, "sql", (const char *)body.data, &reply, &status, p->op);
    if (rc && !p->any && refuses_sql(c, status)) {
        vivo_err_clear(&p->op->err);
        return -EOPNOTSUPP;
    }
    if (rc)
        return rc;
    rc = take_rows(p, reply, &p->op->err);
    json_decref(reply);
    return rc;
}

int vivo_idc_series(struct idc *c, const char *where, idc_row_fn *fn, void *ctx,
                    struct vivo_op *op)
{
    struct paging p = {.fn = fn, .ctx = ctx, .op = op};
    int rc;
    do {
        rc = get_page(c, where, &p);
    } while (rc == 0 && p.left);
    return rc;
}
