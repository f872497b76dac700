/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/idc_describe.c -- columns of series beyond those of the index: the tables
 * ct_index, mr_index and pt_index, of classic CT, MR and PET images.
 *
 * IDC takes them from the headers of a series: what differs within one as the least and
 * the greatest value or as all values, the rest, of which its schema says column by
 * column that it is constant there, from one of its images (idc.md). Only what has one
 * value is told; null stands for unknown.
 * A release without such a table is asked for headers. */
#include "idc.h"

#include "dicomjson_value.h"

#include "vivofs/dcm.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define UIDS_BYTES (128u << 10)

static const char *const tables[IDC_TABLES] = {"ct_index", "mr_index", "pt_index"};

/* Ascending by tag. other: the second column, of what has two. */
static const struct {
    uint32_t tag;
    const char *column, *other;
} known[] = {
    {0x00180020, "ScanningSequence", NULL},
    {0x00180021, "SequenceVariant", NULL},
    {0x00180023, "MRAcquisitionType", NULL},
    {VIVO_TAG_SliceThickness, "SliceThickness", NULL},
    {0x00180060, "KVP", NULL},
    {0x00180080, "RepetitionTime", NULL},
    {0x00180081, "EchoTime", NULL},
    {0x00180082, "InversionTime", NULL},
    {0x00180087, "MagneticFieldStrength", NULL},
    {0x00180091, "EchoTrainLength", NULL},
    {0x00181120, "GantryDetectorTilt", NULL},
    {0x00181151, "XRayTubeCurrent_min", "XRayTubeCurrent_max"},
    {0x00181152, "Exposure_min", "Exposure_max"},
    {0x00181210, "ConvolutionKernel", NULL},
    {0x00181314, "FlipAngle", NULL},
    {0x00189087, "DiffusionBValue", NULL},
    {0x00189311, "SpiralPitchFactor", NULL},
    {VIVO_TAG_StudyInstanceUID, NULL, NULL},
    {VIVO_TAG_SeriesInstanceUID, NULL, NULL},
    {VIVO_TAG_Rows, "Rows", NULL},
    {VIVO_TAG_Columns, "Columns", NULL},
    {0x00280030, "PixelSpacing_row_mm", "PixelSpacing_col_mm"},
    {0x00541001, "Units", NULL},
    {0x00541103, "ReconstructionMethod", NULL},
};

const uint32_t vivo_idc_describes[] = {
    0x00180020,
    0x00180021,
    0x00180023,
    VIVO_TAG_SliceThickness,
    0x00180060,
    0x00180080,
    0x00180081,
    0x00180082,
    0x00180087,
    0x00180091,
    0x00181120,
    0x00181151,
    0x00181152,
    0x00181210,
    0x00181314,
    0x00189087,
    0x00189311,
    VIVO_TAG_Rows,
    VIVO_TAG_Columns,
    0x00280030,
    0x00541001,
    0x00541103,
    0,
};

struct wanted {
    struct idc_place place;
    const char *locator;
    bool told;
};

struct describing {
    struct idc *c;
    struct vivo_intake *in;
    struct vivo_op *op;
    struct wanted *all; /* by series */
    size_t n;
    struct vivo_buf uids, attrs, value;
};

static int compare_wanted(const void *a, const void *b)
{
    const struct wanted *x = a;
    const struct wanted *y = b;
    return strcmp(x->place.series, y->place.series);
}

/* ---- rows ------------------------------------------------------------------------ */

static bool is_single(const json_t *v)
{
    return json_is_string(v) || json_is_number(v);
}

enum { ECHO_TIME = 0x00180081, B_VALUE = 0x00189087 };

/* The values of all images that have one, as an array. Of EchoTime a single one is that
 * of all ("single-echo series"); of b-values that is said of none at all alone
 * ("empty array for non-DWI series"), as images without one may lie beside others. */
static bool is_told(uint32_t tag, size_t n)
{
    return tag == B_VALUE ? n == 0 : n == 1 || (n > 1 && tag != ECHO_TIME);
}

/* The values of an attribute as an array, or NULL: they are not known. */
static json_t *values_of(const json_t *row, size_t i)
{
    json_t *v = json_object_get(row, known[i].column);
    json_t *other = known[i].other ? json_object_get(row, known[i].other) : NULL;
    if (known[i].other && (!is_single(v) || !is_single(other)))
        return NULL;
    if (known[i].tag == 0x00280030)
        return json_pack("[O,O]", v, other);
    if (known[i].other && !json_equal(v, other))
        return NULL;
    if (is_single(v) && known[i].tag != B_VALUE)
        return json_pack("[O]", v);
    size_t n = json_array_size(v);
    for (size_t k = 0; k < n; k++)
        if (!is_single(json_array_get(v, k)))
            return NULL;
    return json_is_array(v) && is_told(known[i].tag, n) ? json_incref(v) : NULL;
}

static int put_values(struct describing *d, uint32_t tag, json_t *values)
{
    bool none = json_array_size(values) == 0; /* which is known, then */
    json_t *attribute = json_pack("{s:o}", "Value", values);
    if (!attribute)
        return -ENOMEM;
    vivo_buf_clear(&d->value);
    int rc = vivo_dicomjson_value(tag, vivo_dcm_vr_of(tag), attribute, &d->value);
    json_decref(attribute);
    if (rc || (!d->value.len && !none))
        return rc;
    return vivo_attrs_put(&d->attrs, tag, vivo_dcm_vr_of(tag), d->value.data,
                          d->value.len);
}

static int make_attrs(struct describing *d, const struct wanted *w, const json_t *row,
                      size_t *count)
{
    vivo_buf_clear(&d->attrs);
    int rc =
        vivo_dicomjson_put_text(&d->attrs, VIVO_TAG_SpecificCharacterSet, "ISO_IR 192");
    *count = 0;
    for (size_t i = 0; rc == 0 && i < VIVO_ARRAY_LEN(known); i++) {
        if (!known[i].column) {
            bool study = known[i].tag == VIVO_TAG_StudyInstanceUID;
            rc = vivo_dicomjson_put_text(&d->attrs, known[i].tag,
                                         study ? w->place.study : w->place.series);
            continue;
        }
        json_t *values = values_of(row, i);
        *count += values != NULL;
        if (values)
            rc = put_values(d, known[i].tag, values);
    }
    return rc;
}

static int take_row(struct describing *d, const json_t *row)
{
    struct wanted key = {0};
    size_t count = 0;
    vivo_idc_text(row, "SeriesInstanceUID", key.place.series, sizeof key.place.series);
    struct wanted *w = bsearch(&key, d->all, d->n, sizeof key, compare_wanted);
    if (!w || w->told)
        return 0;
    w->told = true;
    if (make_attrs(d, w, row, &count))
        return vivo_fail(&d->op->err, ENOMEM, "idc: out of memory");
    const struct vivo_record rec = {.level = VIVO_LEVEL_SERIES,
                                    .locator = w->locator,
                                    .collection = w->place.collection,
                                    .attrs = {d->attrs.data, d->attrs.len}};
    return count ? d->in->record(d->in, &rec, &d->op->err) : 0;
}

static int take_rows(struct describing *d, const json_t *reply)
{
    const json_t *rows = json_object_get(reply, "rows");
    const json_t *names = json_object_get(reply, "columns");
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < json_array_size(rows); i++) {
        json_t *row = vivo_idc_row(json_array_get(rows, i), names);
        rc = vivo_op_check(d->op);
        if (rc == 0 && row)
            rc = take_row(d, row);
        json_decref(row);
    }
    return rc;
}

/* ---- asking ---------------------------------------------------------------------- */

static int read_wanted(struct describing *d, const char *const *series, size_t n)
{
    int rc = 0;
    d->all = calloc(n, sizeof *d->all);
    if (!d->all)
        return vivo_fail(&d->op->err, ENOMEM, "idc: out of memory");
    for (size_t i = 0; i < n && rc == 0; i++) {
        struct wanted *w = &d->all[d->n];
        w->locator = series[i];
        if (vivo_idc_place_read(series[i], VIVO_LEVEL_SERIES, &w->place, &d->op->err)) {
            vivo_err_clear(&d->op->err);
            continue;
        }
        rc = vivo_buf_printf(&d->uids, "%s'%s'", d->n ? "," : "", w->place.series);
        d->n++;
    }
    if (d->n)
        qsort(d->all, d->n, sizeof *d->all, compare_wanted);
    return rc ? vivo_fail(&d->op->err, ENOMEM, "idc: out of memory") : 0;
}

static int ask_table(struct describing *d, size_t table)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf body = {0};
    json_t *reply = NULL;
    int status = 0;
    vivo_buf_init(&body, 2 * UIDS_BYTES);
    if (vivo_buf_printf(&body,
                        "{\"sql\":\"SELECT * FROM \\\"%s\\\" WHERE SeriesInstanceUID "
                        "IN (%s)\",\"max_rows\":%d}",
                        tables[table], (const char *)d->uids.data, IDC_PAGE_ROWS))
        return vivo_fail(&d->op->err, ENOMEM, "idc: out of memory");
    int rc = vivo_idc_ask(d->c, "sql", (const char *)body.data, &reply, &status, d->op);
    /* It has no such table, or none that can be read: headers tell. */
    if (rc == -EBADMSG || (rc && status >= 400 && status < 500)) {
        vivo_err_clear(&d->op->err);
        atomic_store(&d->c->no_table[table], true);
        return 0;
    }
    if (rc == 0)
        rc = take_rows(d, reply);
    json_decref(reply);
    return rc;
}

int vivo_idc_describe(struct vivo_archive *self, const char *const *series, size_t n,
                      struct vivo_intake *in, struct vivo_op *op)
{
    struct describing d = {.c = idc_of(self), .in = in, .op = op};
    bool asked = false;
    vivo_buf_init(&d.uids, UIDS_BYTES);
    vivo_buf_init(&d.attrs, VIVO_ATTRS_MAX);
    vivo_buf_init(&d.value, 4 * VIVO_ATTRS_VALUE_MAX);
    int rc = read_wanted(&d, series, n);
    for (size_t t = 0; rc == 0 && d.n && t < IDC_TABLES; t++) {
        if (atomic_load(&d.c->no_table[t]))
            continue;
        asked = true;
        rc = ask_table(&d, t);
        in->alive(in);
    }
    if (rc == 0 && d.n && !asked)
        rc = vivo_fail(&op->err, ENOENT, "idc: no tables of series");
    vivo_buf_free(&d.uids);
    vivo_buf_free(&d.attrs);
    vivo_buf_free(&d.value);
    free(d.all);
    return rc;
}
