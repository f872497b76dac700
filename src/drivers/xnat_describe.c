/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/xnat_describe.c -- columns of scans beyond those that are listed.
 *
 * XNAT fills them from the headers when a session is archived, and leaves empty what
 * the files of a scan do not agree on (its ImageScanAttributes), so a value is that of
 * all of them and an empty column says nothing. Columns that people fill in, such as a
 * subject's gender or a session's age, are no attributes of the files. */
#include "xnat_list.h"

#include "dicomjson_value.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Ascending by tag; older servers lack some, and leave them out. */
static const struct {
    uint32_t tag;
    const char *column;
} known[] = {
    {VIVO_TAG_Manufacturer, XNAT_OF_SCAN "scanner/manufacturer"},
    {0x00081010 /* StationName */, XNAT_OF_SCAN "scanner"},
    {VIVO_TAG_ManufacturerModelName, XNAT_OF_SCAN "scanner/model"},
    {VIVO_TAG_BodyPartExamined, XNAT_OF_SCAN "bodyPartExamined"},
    {VIVO_TAG_ProtocolName, XNAT_OF_SCAN "protocolName"},
};
#define KNOWN VIVO_ARRAY_LEN(known)

const uint32_t vivo_xnat_describes[] = {
    VIVO_TAG_Manufacturer,          0x00081010 /* StationName */,
    VIVO_TAG_ManufacturerModelName, VIVO_TAG_BodyPartExamined,
    VIVO_TAG_ProtocolName,          0,
};

struct wanted {
    struct xnat_place place;
    const char *locator;
    bool told;
};

struct describing {
    struct vivo_intake *in;
    struct wanted *all; /* by session and scan */
    size_t n;
    struct vivo_buf attrs;
};

static int compare_wanted(const void *a, const void *b)
{
    const struct wanted *x = a;
    const struct wanted *y = b;
    int c = strcmp(x->place.session, y->place.session);
    return c ? c : strcmp(x->place.scan, y->place.scan);
}

/* False: the row says nothing more. */
static int read_row(const json_t *row, struct vivo_buf *out, bool *any)
{
    char text[XNAT_CELL_MAX];
    vivo_buf_clear(out);
    *any = false;
    int rc = vivo_dicomjson_put_text(out, VIVO_TAG_SpecificCharacterSet, "ISO_IR 192");
    for (size_t i = 0; rc == 0 && i < KNOWN; i++) {
        vivo_xnat_text(row, known[i].column, text, sizeof text);
        *any = *any || text[0];
        rc = vivo_dicomjson_put_text(out, known[i].tag, text);
    }
    return rc;
}

static int take_row(void *ctx, json_t *row, struct vivo_err *err)
{
    struct describing *d = ctx;
    struct wanted key = {0};
    bool any;
    vivo_xnat_text(row, "ID", key.place.session, sizeof key.place.session);
    vivo_xnat_text(row, XNAT_OF_SCAN "ID", key.place.scan, sizeof key.place.scan);
    struct wanted *w = bsearch(&key, d->all, d->n, sizeof key, compare_wanted);
    if (!w || w->told)
        return 0;
    if (read_row(row, &d->attrs, &any))
        return vivo_fail(err, ENOMEM, "xnat: out of memory");
    while (w > d->all && compare_wanted(w - 1, &key) == 0)
        w--;
    int rc = 0; /* in each project that the session is in */
    for (; rc == 0 && w < d->all + d->n && compare_wanted(w, &key) == 0; w++) {
        const struct vivo_record rec = {.level = VIVO_LEVEL_SERIES,
                                        .locator = w->locator,
                                        .attrs = {d->attrs.data, d->attrs.len}};
        w->told = true;
        rc = any ? d->in->record(d->in, &rec, err) : 0;
    }
    return rc;
}

static int read_wanted(struct describing *d, const char *const *series, size_t n,
                       struct vivo_err *err)
{
    d->all = calloc(n, sizeof *d->all);
    if (!d->all)
        return vivo_fail(err, ENOMEM, "xnat: out of memory");
    for (size_t i = 0; i < n; i++) {
        struct wanted *w = &d->all[d->n];
        w->locator = series[i];
        d->n += vivo_xnat_place_read(series[i], VIVO_LEVEL_SERIES, &w->place, err) == 0;
        vivo_err_clear(err);
    }
    if (d->n)
        qsort(d->all, d->n, sizeof *d->all, compare_wanted);
    return 0;
}

/* As many of the sessions from *at on as one request takes; false: none is left. */
static bool next_ids(const struct describing *d, size_t *at, struct vivo_buf *ids)
{
    vivo_buf_clear(ids);
    for (size_t count = 0; *at < d->n && count < VIVO_PREPARE_MAX; count++) {
        const char *session = d->all[*at].place.session;
        size_t next = *at;
        bool added = vivo_xnat_add_id(ids, session);
        if (!added && ids->len)
            break;
        while (next < d->n && strcmp(d->all[next].place.session, session) == 0)
            next++;
        *at = next; /* one that cannot be asked for is read from headers */
    }
    return ids->len > 0;
}

int vivo_xnat_describe(struct vivo_archive *self, const char *const *series, size_t n,
                       struct vivo_intake *in, struct vivo_op *op)
{
    struct describing d = {.in = in};
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf ids = {0};
    char wanted[KNOWN * 64] = "";
    size_t at = 0;
    vivo_buf_init(&d.attrs, VIVO_ATTRS_MAX);
    vivo_buf_init(&ids, XNAT_IDS_BYTES);
    for (size_t i = 0; i < KNOWN; i++)
        snprintf(wanted + strlen(wanted), sizeof wanted - strlen(wanted), "%s%s",
                 i ? "," : "", known[i].column);
    int rc = read_wanted(&d, series, n, &op->err);
    while (rc == 0 && at < d.n) {
        if (next_ids(&d, &at, &ids))
            rc = vivo_xnat_ask_joined(xnat_of(self), &ids, wanted, take_row, &d, op);
        in->alive(in);
    }
    vivo_buf_free(&d.attrs);
    free(d.all);
    return rc;
}
