/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/nbia_describe.c -- columns of series beyond those of getSeries, from the
 * table getSeriesMetadata of v4: one POST for a thousand series, answered in CSV.
 *
 * A null in the first column shifts the fields of its row, so a row counts only when it
 * has a field for each heading, and speaks of the series, study and patient that were
 * listed. A value is that of the series in the archive's database. */
#include "nbia.h"

#include <jansson.h>

#include <errno.h>
#include <string.h>

#define COLUMNS_MAX 128

const uint32_t vivo_nbia_describes[] = {
    VIVO_TAG_PatientName,
    0x00102160 /* EthnicGroup */,
    VIVO_TAG_SliceThickness,
    VIVO_TAG_StudyID,
    0,
};

struct wanted {
    struct nbia_place place;
    const char *locator;
    bool told;
};

struct table {
    struct vivo_intake *in;
    struct vivo_err *err;
    struct wanted *wanted; /* by series */
    size_t n;
    char *at, *end; /* of the text that is left; fields end in NUL in place */
    char *heads[COLUMNS_MAX], *fields[COLUMNS_MAX];
    size_t nheads, nfields;
    struct vivo_buf attrs;
};

static int compare_wanted(const void *a, const void *b)
{
    const struct wanted *x = a;
    const struct wanted *y = b;
    return strcmp(x->place.series, y->place.series);
}

/* ---- CSV (RFC 4180), in place -------------------------------------------------- */

/* One field; *last: the record ends behind it. */
static char *take_field(struct table *t, bool *last)
{
    bool quoted = t->at < t->end && *t->at == '"';
    char *from = t->at + quoted;
    char *in = from;
    char *out = from;
    while (in < t->end) {
        if (quoted && in[0] == '"' && in + 1 < t->end && in[1] == '"')
            in++;
        else if (quoted && *in == '"') {
            quoted = false;
            in++;
            continue;
        } else if (!quoted && (*in == ',' || *in == '\n'))
            break;
        *out++ = *in++;
    }
    *last = in >= t->end || *in == '\n';
    t->at = in < t->end ? in + 1 : in;
    while (out > from && out[-1] == '\r')
        out--;
    *out = '\0'; /* on the separator at the latest, or on the buffer's own NUL */
    return from;
}

/* False: no record is left. */
static bool take_record(struct table *t, char *to[COLUMNS_MAX], size_t *n)
{
    bool last = false;
    *n = 0;
    if (t->at >= t->end)
        return false;
    while (!last) {
        char *field = take_field(t, &last);
        if (*n < COLUMNS_MAX)
            to[*n] = field;
        ++*n;
    }
    return true;
}

/* ---- rows ---------------------------------------------------------------------- */

/* The row as getSeries would give it: an object, without the columns that are null. */
static char *as_json(const struct table *t)
{
    json_t *row = json_object();
    for (size_t i = 0; row && i < t->nheads; i++) {
        const char *v = t->fields[i];
        if (v[0] && strcmp(v, "null") != 0 &&
            json_object_set_new(row, t->heads[i], json_string(v))) {
            json_decref(row); /* no UTF-8 */
            return NULL;
        }
    }
    char *text = row ? json_dumps(row, JSON_COMPACT) : NULL;
    json_decref(row);
    return text;
}

static int take_row(struct table *t)
{
    struct wanted key = {0};
    struct wanted *w;
    VIVO_AUTO(vivo_free_p) char *row = as_json(t);
    if (!row)
        return 0;
    int rc = vivo_nbia_series(row, strlen(row), &key.place, t->err);
    if (rc)
        return rc;
    w = bsearch(&key, t->wanted, t->n, sizeof key, compare_wanted);
    if (!w || w->told || strcmp(w->place.study, key.place.study) != 0 ||
        strcmp(w->place.patient, key.place.patient) != 0)
        return 0;
    w->told = true;
    vivo_buf_clear(&t->attrs);
    rc = vivo_nbia_attrs(row, strlen(row), NBIA_METADATA, &t->attrs, t->err);
    const struct vivo_record rec = {.level = VIVO_LEVEL_SERIES,
                                    .locator = w->locator,
                                    .collection = w->place.collection,
                                    .attrs = {t->attrs.data, t->attrs.len}};
    return rc ? rc : t->in->record(t->in, &rec, t->err);
}

static int take_table(struct table *t, struct vivo_op *op)
{
    bool whole = false;
    int rc = 0;
    if (!take_record(t, t->heads, &t->nheads))
        return 0;
    for (size_t i = 0; i < VIVO_MIN(t->nheads, (size_t)COLUMNS_MAX); i++)
        whole = whole || strcmp(t->heads[i], "SeriesInstanceUID") == 0;
    if (!whole || t->nheads > COLUMNS_MAX)
        return vivo_fail(t->err, EBADMSG,
                         "getSeriesMetadata: the server answers something else than "
                         "the table");
    while (rc == 0 && take_record(t, t->fields, &t->nfields)) {
        rc = vivo_op_check(op);
        if (rc == 0 && t->nfields == t->nheads)
            rc = take_row(t);
    }
    return rc;
}

/* ---- describe ------------------------------------------------------------------- */

static int make_form(struct table *t, const char *const *series, size_t n,
                     struct vivo_buf *form)
{
    int rc = vivo_buf_puts(form, "list=");
    for (size_t i = 0; i < n && rc == 0; i++) {
        struct wanted *w = &t->wanted[t->n];
        w->locator = series[i];
        if (vivo_nbia_place_read(series[i], VIVO_LEVEL_SERIES, &w->place, t->err)) {
            vivo_err_clear(t->err);
            continue;
        }
        if (t->n++)
            rc = vivo_buf_puts(form, "%2C");
        if (rc == 0)
            rc = vivo_buf_puts(form, w->place.series);
    }
    if (t->n)
        qsort(t->wanted, t->n, sizeof *t->wanted, compare_wanted);
    return rc ? vivo_fail(t->err, ENOMEM, "nbia: out of memory") : 0;
}

static int ask_table(struct nbia *n, struct table *t, const struct vivo_buf *form,
                     struct vivo_op *op)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf body = {0};
    vivo_buf_init(&body, NBIA_TABLE_BYTES);
    int rc = vivo_nbia_post(n, "getSeriesMetadata", form, &body, op);
    if (rc == -ENOENT)
        atomic_store(&n->no_table, true);
    if (rc || !body.len)
        return rc;
    t->at = (char *)body.data;
    t->end = t->at + body.len;
    if (t->in->alive)
        t->in->alive(t->in);
    return take_table(t, op);
}

int vivo_nbia_describe(struct vivo_archive *self, const char *const *series, size_t n,
                       struct vivo_intake *in, struct vivo_op *op)
{
    struct nbia *a = nbia_of(self);
    struct table t = {.in = in, .err = &op->err};
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf form = {0};
    int rc = atomic_load(&a->version) ? 0 : vivo_nbia_settle(a, op);
    if (rc)
        return rc;
    if (atomic_load(&a->version) != NBIA_V4 || atomic_load(&a->no_table))
        return vivo_fail(&op->err, ENOENT, "nbia: v4 alone has tables of series");
    t.wanted = calloc(n, sizeof *t.wanted);
    if (!t.wanted)
        return vivo_fail(&op->err, ENOMEM, "nbia: out of memory");
    vivo_buf_init(&form, n * (VIVO_UID_MAX + 3) + 16);
    vivo_buf_init(&t.attrs, VIVO_ATTRS_MAX);
    rc = make_form(&t, series, n, &form);
    if (rc == 0 && t.n)
        rc = ask_table(a, &t, &form, op);
    vivo_buf_free(&t.attrs);
    free(t.wanted);
    return rc;
}
