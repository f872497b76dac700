/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/nbia_rows.c -- rows of NBIA's tables as attributes of PS3.6.
 *
 * A row is a flat JSON object. A column that is null in the database is left out of it,
 * so every key may be missing, and keys differ in spelling from call to call. */
#include "dicomjson_value.h"
#include "nbia.h"

#include "vivofs/dcm.h"

#include <jansson.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum kind { KIND_TEXT, KIND_DATE, KIND_NUMBER, KIND_UID, KIND_THICKNESS };

struct column {
    uint32_t tag;
    enum kind kind;
    enum nbia_table from; /* the first that has it */
    const char *names[2];
};

/* Ascending by tag. */
static const struct column columns[] = {
    {VIVO_TAG_StudyDate, KIND_DATE, NBIA_OLD_SERIES, {"StudyDate", NULL}},
    {VIVO_TAG_SeriesDate, KIND_DATE, NBIA_OLD_SERIES, {"SeriesDate", NULL}},
    {VIVO_TAG_Modality, KIND_TEXT, NBIA_OLD_SERIES, {"Modality", NULL}},
    {VIVO_TAG_Manufacturer, KIND_TEXT, NBIA_OLD_SERIES, {"Manufacturer", NULL}},
    {VIVO_TAG_StudyDescription,
     KIND_TEXT,
     NBIA_OLD_SERIES,
     {"StudyDesc", "StudyDescription"}},
    {VIVO_TAG_SeriesDescription,
     KIND_TEXT,
     NBIA_OLD_SERIES,
     {"SeriesDescription", NULL}},
    {0x00081080, /* AdmittingDiagnosesDescription */
     KIND_TEXT,
     NBIA_SERIES,
     {"AdmittingDiagnosisDescription", "AdmittingDiagnosesDescription"}},
    {VIVO_TAG_ManufacturerModelName,
     KIND_TEXT,
     NBIA_OLD_SERIES,
     {"ManufacturerModelName", NULL}},
    {VIVO_TAG_PatientName, KIND_TEXT, NBIA_METADATA, {"PatientName", NULL}},
    {VIVO_TAG_PatientID, KIND_TEXT, NBIA_OLD_SERIES, {"PatientID", "PatientId"}},
    {VIVO_TAG_PatientSex, KIND_TEXT, NBIA_SERIES, {"PatientSex", NULL}},
    {VIVO_TAG_PatientAge, KIND_TEXT, NBIA_SERIES, {"PatientAge", NULL}},
    {0x00102160, KIND_TEXT, NBIA_METADATA, {"EthnicGroup", NULL}},
    {VIVO_TAG_BodyPartExamined, KIND_TEXT, NBIA_OLD_SERIES, {"BodyPartExamined", NULL}},
    {VIVO_TAG_SliceThickness,
     KIND_THICKNESS,
     NBIA_METADATA,
     {"SliceThickness(mm)", NULL}},
    {VIVO_TAG_SoftwareVersions, KIND_TEXT, NBIA_OLD_SERIES, {"SoftwareVersions", NULL}},
    {VIVO_TAG_ProtocolName, KIND_TEXT, NBIA_OLD_SERIES, {"ProtocolName", NULL}},
    {VIVO_TAG_StudyInstanceUID, KIND_UID, NBIA_OLD_SERIES, {"StudyInstanceUID", NULL}},
    {VIVO_TAG_SeriesInstanceUID,
     KIND_UID,
     NBIA_OLD_SERIES,
     {"SeriesInstanceUID", NULL}},
    {VIVO_TAG_StudyID, KIND_TEXT, NBIA_METADATA, {"StudyID", NULL}},
    {VIVO_TAG_SeriesNumber, KIND_NUMBER, NBIA_OLD_SERIES, {"SeriesNumber", NULL}},
    {VIVO_TAG_NumberOfSeriesRelatedInstances,
     KIND_NUMBER,
     NBIA_OLD_SERIES,
     {"ImageCount", NULL}},
};

/* ---- single values ---------------------------------------------------------- */

static bool two_digits(const char *s, int low, int high)
{
    if (s[0] < '0' || s[0] > '9' || s[1] < '0' || s[1] > '9')
        return false;
    int n = (s[0] - '0') * 10 + s[1] - '0';
    return n >= low && n <= high;
}

static bool four_digits(const char *s)
{
    return two_digits(s, 0, 99) && two_digits(s + 2, 0, 99);
}

void vivo_nbia_date(const char *text, char out[9])
{
    const char *year = NULL;
    const char *month = NULL;
    const char *day = NULL;
    size_t n = strlen(text);
    out[0] = '\0';
    if (n == 10 && text[2] == '-' && text[5] == '-') {
        year = text + 6;
        month = text;
        day = text + 3;
    } else if (n >= 10 && text[4] == '-' && text[7] == '-' &&
               (n == 10 || text[10] == ' ' || text[10] == 'T')) {
        year = text;
        month = text + 5;
        day = text + 8;
    } else if (n == 8) {
        year = text;
        month = text + 4;
        day = text + 6;
    }
    if (year && four_digits(year) && two_digits(month, 1, 12) && two_digits(day, 1, 31))
        snprintf(out, 9, "%.4s%.2s%.2s", year, month, day);
}

static json_t *column_value(const json_t *row, const struct column *c)
{
    for (size_t i = 0; i < VIVO_ARRAY_LEN(c->names) && c->names[i]; i++) {
        json_t *v = json_object_get(row, c->names[i]);
        if (v && !json_is_null(v))
            return v;
    }
    return NULL;
}

/* A text as it is, a whole number in digits; else "". */
static void scalar_text(const json_t *v, char *out, size_t cap)
{
    out[0] = '\0';
    if (json_is_string(v) && json_string_length(v) < cap)
        memcpy(out, json_string_value(v), json_string_length(v) + 1);
    else if (json_is_integer(v))
        snprintf(out, cap, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
}

/* IS (PS3.5 section 6.2); a database that keeps numbers as doubles says "2.000000". */
static void number_text(const json_t *v, char out[32])
{
    scalar_text(v, out, 32);
    if (json_is_real(v) && json_real_value(v) > -1e9 && json_real_value(v) < 1e9)
        snprintf(out, 32, "%.6f", json_real_value(v));
    size_t whole = strcspn(out, ".");
    size_t sign = out[0] == '-' || out[0] == '+';
    size_t digits = strspn(out + sign, "0123456789");
    bool zeros =
        out[whole] == '\0' || whole + 1 + strspn(out + whole + 1, "0") == strlen(out);
    if (digits == 0 || sign + digits != whole || whole > 12 || !zeros)
        whole = 0;
    out[whole] = '\0';
}

static uint64_t count_of(const json_t *v)
{
    char text[32];
    number_text(v, text);
    return text[0] == '-' ? 0 : strtoull(text, NULL, 10); /* "" is 0 */
}

/* ---- whole rows ------------------------------------------------------------- */

static json_t *load(const char *row, size_t len)
{
    json_t *root = json_loadb(row, len, 0, NULL);
    if (root && !json_is_object(root)) {
        json_decref(root);
        return NULL;
    }
    return root;
}

bool vivo_nbia_text(const char *row, size_t len, const char *column, char *out,
                    size_t cap)
{
    json_t *root = load(row, len);
    out[0] = '\0';
    if (!root)
        return false;
    scalar_text(json_object_get(root, column), out, cap);
    json_decref(root);
    return true;
}

static void uid_text(const json_t *row, const char *column, char out[VIVO_UID_MAX + 1])
{
    scalar_text(json_object_get(row, column), out, VIVO_UID_MAX + 1);
    if (!vivo_nbia_uid_ok(out))
        out[0] = '\0';
}

/* When, how many, how large: a series that was published anew has another one. */
static void make_stamp(const json_t *row, const struct nbia_place *p,
                       char out[NBIA_STAMP_MAX + 1])
{
    static const char *const dates[] = {"MaxSubmissionTimestamp", "TimeStamp",
                                        "DateReleased"};
    char text[64];
    char date[9] = "";
    for (size_t i = 0; i < VIVO_ARRAY_LEN(dates) && !date[0]; i++) {
        scalar_text(json_object_get(row, dates[i]), text, sizeof text);
        vivo_nbia_date(text, date);
    }
    out[0] = '\0';
    if (date[0] || p->bytes)
        snprintf(out, NBIA_STAMP_MAX + 1, "%s.%" PRIu64 ".%" PRIu64, date, p->count,
                 p->bytes);
}

int vivo_nbia_series(const char *row, size_t len, struct nbia_place *out,
                     struct vivo_err *err)
{
    json_t *root = load(row, len);
    *out = (struct nbia_place){0};
    if (!root)
        return vivo_fail(err, EBADMSG, "a row that is no JSON object");
    scalar_text(json_object_get(root, "Collection"), out->collection,
                sizeof out->collection);
    const json_t *patient = json_object_get(root, "PatientID");
    scalar_text(patient ? patient : json_object_get(root, "PatientId"), out->patient,
                sizeof out->patient);
    uid_text(root, "StudyInstanceUID", out->study);
    uid_text(root, "SeriesInstanceUID", out->series);
    out->count = count_of(json_object_get(root, "ImageCount"));
    out->bytes = count_of(json_object_get(root, "FileSize"));
    make_stamp(root, out, out->stamp);
    json_decref(root);
    return 0;
}

/* One of the texts behind what is there already. */
static size_t add_words(const json_t *v, char *out, size_t at, size_t cap)
{
    const char *s = json_string_value(v);
    size_t len = json_string_length(v);
    if (!s || len == 0 || at + len + 2 > cap)
        return at;
    if (at)
        out[at++] = '\\';
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        out[at++] = c < 0x20 || c == 0x7F ? ' ' : c == '\\' ? '/' : s[i];
    }
    out[at] = '\0';
    return at;
}

void vivo_nbia_license(const char *row, size_t len, char *out, size_t cap)
{
    json_t *root = load(row, len);
    out[0] = '\0';
    size_t at = add_words(json_object_get(root, "LicenseName"), out, 0, cap);
    add_words(json_object_get(root, "LicenseURI"), out, at, cap);
    json_decref(root);
}

void vivo_nbia_citation(const char *row, size_t len, char *out, size_t cap)
{
    json_t *root = load(row, len);
    const json_t *uri = json_object_get(root, "DataDescriptionURI");
    out[0] = '\0';
    add_words(uri ? uri : json_object_get(root, "CollectionURI"), out, 0, cap);
    json_decref(root);
}

/* Text as attrs form wants it: NFC, without control characters. */
static int add_text(const struct column *c, json_t *v, struct vivo_buf *out)
{
    json_t *attribute = json_pack("{s:[O]}", "Value", v);
    if (!attribute)
        return -ENOMEM;
    int rc = vivo_dicomjson_value(c->tag, vivo_dcm_vr_of(c->tag), attribute, out);
    json_decref(attribute);
    return rc;
}

/* A number that DS can hold (PS3.5 section 6.2), or "". */
static void decimal_text(const json_t *v, char out[VIVO_UID_MAX + 1])
{
    char *end = out;
    scalar_text(v, out, VIVO_UID_MAX + 1);
    double d = strtod(out, &end); /* the program runs in the C locale */
    if (end == out || *end || strspn(out, "0123456789.") != strlen(out) || d <= 0)
        out[0] = '\0';
    else if (strlen(out) > 16)
        snprintf(out, VIVO_UID_MAX + 1, "%.10g", d);
}

/* Objects of these have no functional groups (PS3.3 section A.1), where a thickness may
 * stand that the server's table, which is made of the top level, does not see. */
static bool is_flat(const json_t *row)
{
    static const char *const kinds[] = {"CR",     "DX", "RTSTRUCT", "RTPLAN",
                                        "RTDOSE", "SR", "KO",       "PR",
                                        "REG",    "AU", "ECG",      "DOC"};
    const char *m = json_string_value(json_object_get(row, "Modality"));
    for (size_t i = 0; m && i < VIVO_ARRAY_LEN(kinds); i++)
        if (strcmp(m, kinds[i]) == 0)
            return true;
    return false;
}

static int put_column(const json_t *row, const struct column *c, struct vivo_buf *value,
                      struct vivo_buf *out)
{
    char text[VIVO_UID_MAX + 1] = "";
    char date[9];
    json_t *v = column_value(row, c);
    int rc = 0;
    vivo_buf_clear(value);
    if (v && c->kind == KIND_TEXT) {
        rc = add_text(c, v, value);
    } else if (v && c->kind == KIND_DATE) {
        scalar_text(v, text, sizeof text);
        vivo_nbia_date(text, date);
        rc = vivo_buf_puts(value, date);
    } else if (v && c->kind == KIND_NUMBER) {
        number_text(v, text);
        rc = vivo_buf_puts(value, text);
    } else if (v && c->kind == KIND_THICKNESS) {
        decimal_text(v, text);
        rc = vivo_buf_puts(value, text);
    } else if (v) {
        scalar_text(v, text, sizeof text);
        rc = vivo_buf_puts(value, vivo_nbia_uid_ok(text) ? text : "");
    }
    if (c->kind == KIND_THICKNESS && value->len == 0 && (v || !is_flat(row)))
        return rc; /* headers tell */
    /* An element without a value says that there is none; a UID is there or not. */
    if (rc || (c->kind == KIND_UID && value->len == 0))
        return rc;
    return vivo_attrs_put(out, c->tag, vivo_dcm_vr_of(c->tag), value->data, value->len);
}

int vivo_nbia_attrs(const char *row, size_t len, enum nbia_table table,
                    struct vivo_buf *out, struct vivo_err *err)
{
    static const char utf8[] = "ISO_IR 192";
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf value = {0};
    json_t *root = load(row, len);
    if (!root)
        return vivo_fail(err, EBADMSG, "a row that is no JSON object");
    vivo_buf_init(&value, 4 * VIVO_ATTRS_VALUE_MAX);
    int rc =
        vivo_attrs_put(out, VIVO_TAG_SpecificCharacterSet, "CS", utf8, sizeof utf8 - 1);
    for (size_t i = 0; rc == 0 && i < VIVO_ARRAY_LEN(columns); i++) {
        const struct column *c = &columns[i];
        if (c->from <= table || (c->from < NBIA_METADATA && column_value(root, c)))
            rc = put_column(root, c, &value, out);
    }
    json_decref(root);
    return rc ? vivo_fail(err, -rc, "nbia: attributes too large") : 0;
}
