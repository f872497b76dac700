/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/xnat_scans.c -- the scans of a session: from its own table, or from what
 * was asked of many sessions at once (xnat_joined.c), which says the same. */
#include "dicomjson_value.h"
#include "xnat_list.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* xnat:mrScanData → MR, as XNAT makes them of the modality. */
static const char *modality_of(const char *type)
{
    static const struct {
        const char *type, *modality;
    } known[] = {{"mr", "MR"}, {"ct", "CT"}, {"pet", "PT"},  {"cr", "CR"}, {"dx", "DX"},
                 {"us", "US"}, {"mg", "MG"}, {"nm", "NM"},   {"xa", "XA"}, {"rf", "RF"},
                 {"io", "IO"}, {"px", "PX"}, {"seg", "SEG"}, {"xcv", "XA"}};
    const char *word = strchr(type, ':');
    word = word ? word + 1 : type;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(known); i++) {
        size_t n = strlen(known[i].type);
        if (strncasecmp(word, known[i].type, n) == 0 &&
            strcasecmp(word + n, "ScanData") == 0)
            return known[i].modality;
    }
    return "";
}

int vivo_xnat_add_scan(struct xnat_listing *l, const char *const cells[XNAT_CELLS],
                       struct vivo_err *err)
{
    struct xnat_row r = {
        .id = vivo_xnat_keep(l, cells[XNAT_SCAN_ID]),
        .label = "",
        .subject = "",
        .uid = vivo_xnat_keep(l, cells[XNAT_SCAN_UID]),
        .date = "",
        .modality = vivo_xnat_keep(l, cells[XNAT_SCAN_MODALITY]),
        .text = vivo_xnat_keep(l, cells[XNAT_SCAN_TEXT]),
    };
    if (!r.id || !r.uid || !r.modality || !r.text)
        return vivo_fail(err, ENOMEM, "xnat: out of memory");
    if (!r.modality[0])
        r.modality = modality_of(cells[XNAT_SCAN_TYPE]);
    if (!vivo_xnat_id_ok(r.id) || !vivo_xnat_scan_ok(r.id)) {
        l->nameless++;
        return 0;
    }
    return vivo_xnat_add_row(l, &r, err);
}

static int take_scan(void *ctx, json_t *row, struct vivo_err *err)
{
    static const char *const columns[XNAT_CELLS] = {
        [XNAT_SCAN_ID] = "ID",
        [XNAT_SCAN_TYPE] = "xsiType",
        [XNAT_SCAN_UID] = "UID|xnat:imageScanData/UID",
        [XNAT_SCAN_MODALITY] = "modality|xnat:imageScanData/modality",
        [XNAT_SCAN_TEXT] = "series_description",
    };
    char texts[XNAT_CELLS][XNAT_CELL_MAX];
    const char *cells[XNAT_CELLS];
    for (int i = 0; i < XNAT_CELLS; i++) {
        vivo_xnat_text(row, columns[i], texts[i], sizeof texts[i]);
        cells[i] = texts[i];
    }
    return vivo_xnat_add_scan(ctx, cells, err);
}

/* XNAT numbers scans by their series number; what is no number it made itself. */
static bool is_number(const char *id)
{
    size_t n = strspn(id, "0123456789");
    return n > 0 && n < 10 && !id[n];
}

static int scan_attrs(struct xnat_listing *l, const struct xnat_row *r)
{
    struct vivo_buf *b = &l->attrs;
    vivo_buf_clear(b);
    int rc = vivo_dicomjson_put_text(b, VIVO_TAG_SpecificCharacterSet, "ISO_IR 192");
    if (rc == 0)
        rc = vivo_dicomjson_put_text(b, VIVO_TAG_Modality, r->modality);
    if (rc == 0)
        rc = vivo_dicomjson_put_text(b, VIVO_TAG_SeriesDescription, r->text);
    if (rc == 0 && vivo_xnat_uid_ok(r->uid))
        rc = vivo_dicomjson_put_text(b, VIVO_TAG_SeriesInstanceUID, r->uid);
    if (rc == 0 && is_number(r->id))
        rc = vivo_dicomjson_put_text(b, VIVO_TAG_SeriesNumber, r->id);
    return rc ? vivo_fail(&l->op->err, ENOMEM, "xnat: out of memory") : 0;
}

static int emit_scan(struct xnat_listing *l, const struct xnat_row *r)
{
    char locator[XNAT_LOCATOR_MAX];
    struct xnat_place p = l->parent;
    bool own = vivo_xnat_uid_ok(r->uid) && !r->twice;
    snprintf(p.scan, sizeof p.scan, "%s", r->id);
    vivo_xnat_place_write(&p, VIVO_LEVEL_SERIES, locator);
    int rc = scan_attrs(l, r);
    if (rc)
        return rc;
    const struct vivo_record rec = {.level = VIVO_LEVEL_SERIES,
                                    .locator = locator,
                                    .key =
                                        own ? NULL : locator, /* of session and scan */
                                    .label = r->id,
                                    .attrs = {l->attrs.data, l->attrs.len}};
    return l->in->record(l->in, &rec, &l->op->err);
}

#define SCAN_COLUMNS                                                                   \
    "ID,xsiType,type,series_description,UID,modality,xnat:imageScanData/UID,"          \
    "xnat:imageScanData/modality"

int vivo_xnat_ask_scans(struct xnat_listing *l, const char *session)
{
    char path[XNAT_URL_MAX];
    char id[3 * XNAT_ID_MAX + 1];
    int status = 0;
    vivo_xnat_encode(session, false, id, sizeof id);
    snprintf(path, sizeof path,
             "/data/experiments/%s/scans?format=json&columns=" SCAN_COLUMNS, id);
    int rc = vivo_xnat_table(l->x, "scans", path, take_scan, l, &status, l->op);
    if (vivo_xnat_is_refusal(rc, status) && status != 404) {
        vivo_err_clear(&l->op->err);
        l->count = 0;
        snprintf(path, sizeof path, "/data/experiments/%s/scans?format=json", id);
        rc = vivo_xnat_table(l->x, "scans", path, take_scan, l, &status, l->op);
    }
    return rc;
}

int vivo_xnat_list_scans(struct xnat_listing *l)
{
    int rc = vivo_xnat_prepared(l, l->parent.session);
    if (rc == -ENOENT)
        rc = vivo_xnat_ask_scans(l, l->parent.session);
    if (rc == 0)
        rc = vivo_xnat_emit_all(l, emit_scan);
    vivo_xnat_tell_nameless(l, "scans");
    if (rc == 0)
        rc = vivo_xnat_list_beside(l);
    return vivo_xnat_not_gone(rc, l->op);
}
