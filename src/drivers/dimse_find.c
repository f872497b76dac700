/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/dimse_find.c -- one C-FIND: keys out, rows in attrs form in (PS3.4 annex
 * C.4.1). Text goes as UTF-8 and comes in the character set of each answer. */
#include "dimse.h"

#include "vivofs/dcm.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define TAG_LEVEL 0x00080052u /* QueryRetrieveLevel */
#define KEYS_BYTES (1u << 20)
#define ROWS_MAX 1000000u /* of one answer */

void vivo_dimse_keys_add(struct dimse_keys *k, uint32_t tag, const char *value)
{
    size_t i = 0;
    while (i < k->n && k->key[i].tag != tag)
        i++;
    if (i == DIMSE_KEYS_MAX)
        return;
    if (i == k->n) {
        k->key[k->n++].tag = tag;
        k->key[i].value = value;
    } else if (value[0]) {
        k->key[i].value = value;
    }
}

void vivo_dimse_keys_drop(struct dimse_keys *k, uint32_t tag)
{
    size_t i = 0;
    while (i < k->n && k->key[i].tag != tag)
        i++;
    if (i < k->n)
        k->key[i] = k->key[--k->n]; /* they are sorted when they are written */
}

const char *vivo_dimse_keys_value(const struct dimse_keys *k, uint32_t tag)
{
    for (size_t i = 0; i < k->n; i++)
        if (k->key[i].tag == tag)
            return k->key[i].value;
    return "";
}

void vivo_dimse_keys_place(struct dimse_keys *k, const struct dimse_place *p)
{
    if (p->of_patient)
        vivo_dimse_keys_add(k, VIVO_TAG_PatientID, p->patient);
    if (p->study[0])
        vivo_dimse_keys_add(k, VIVO_TAG_StudyInstanceUID, p->study);
    if (p->series[0])
        vivo_dimse_keys_add(k, VIVO_TAG_SeriesInstanceUID, p->series);
    if (p->instance[0])
        vivo_dimse_keys_add(k, VIVO_TAG_SOPInstanceUID, p->instance);
}

static int by_tag(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static bool is_ascii(const struct dimse_keys *k)
{
    for (size_t i = 0; i < k->n; i++)
        for (const char *s = k->key[i].value; *s; s++)
            if ((unsigned char)*s >= 0x80)
                return false;
    return true;
}

int vivo_dimse_keys_write(const struct dimse_keys *keys, struct vivo_buf *out,
                          struct vivo_err *err)
{
    struct dimse_keys k = *keys;
    int rc = 0;
    vivo_dimse_keys_add(&k, TAG_LEVEL, k.level);
    if (!is_ascii(&k))
        vivo_dimse_keys_add(&k, VIVO_TAG_SpecificCharacterSet, "ISO_IR 192");
    qsort(k.key, k.n, sizeof k.key[0], by_tag);
    for (size_t i = 0; rc == 0 && i < k.n; i++)
        rc = vivo_attrs_put(out, k.key[i].tag, vivo_dcm_vr_of(k.key[i].tag),
                            k.key[i].value, strlen(k.key[i].value));
    return rc ? vivo_fail(err, ENOMEM, "dimse: no memory for a question") : 0;
}

/* ---- answers ---------------------------------------------------------------- */

struct reading {
    struct vivo_dimse_taker base;
    const struct dimse_keys *keys;
    dimse_row_fn *fn;
    void *ctx;
    struct vivo_buf attrs, row;
    size_t rows;
    int verdict; /* what fn returned, which may be anything but 0 */
};

static bool was_asked(const struct dimse_keys *k, uint32_t tag)
{
    if (tag == VIVO_TAG_SpecificCharacterSet || tag == TAG_LEVEL)
        return false;
    for (size_t i = 0; i < k->n; i++)
        if (k->key[i].tag == tag)
            return true;
    return false;
}

static int take_row(struct vivo_dimse_taker *self, const void *data, size_t len,
                    const char *syntax, struct vivo_err *err)
{
    struct reading *r = (struct reading *)self; /* first member */
    struct vivo_mem_reader bytes;
    struct vivo_attr a;
    vivo_mem_reader_init(&bytes, data, len);
    vivo_buf_clear(&r->attrs);
    vivo_buf_clear(&r->row);
    int rc = vivo_dcm_attrs(&bytes.base, vivo_dcm_syntax(syntax, strlen(syntax)),
                            VIVO_DCM_WALK_BARE, &r->attrs, err);
    if (rc)
        return vivo_fail_in(err, "an answer to C-FIND");
    struct vivo_attrs all = {r->attrs.data, r->attrs.len};
    while (rc == 0 && vivo_attrs_next(&all, &a))
        if (a.len > 0 && was_asked(r->keys, a.tag))
            rc = vivo_attrs_put(&r->row, a.tag, a.vr, a.value, a.len);
    if (rc)
        return vivo_fail(err, ENOSPC, "dimse: attributes too large");
    if (r->rows++ >= ROWS_MAX)
        return vivo_fail(err, EIO, "more than %u answers to one C-FIND", ROWS_MAX);
    r->verdict = r->fn(r->ctx, (struct vivo_attrs){r->row.data, r->row.len}, err);
    return r->verdict ? -EINTR : 0;
}

int vivo_dimse_status_fail(unsigned status, const char *what, struct vivo_err *err)
{
    const char *why = "it could not process the request";
    if (status == 0xA700 || status == 0xA701 || status == 0xA702)
        why = "it is out of resources";
    else if (status == 0xA801)
        why = "it does not know where to send the objects: our AE title, host and port "
              "must be in its configuration";
    else if (status == 0xA900)
        why = "it does not take the keys of the question";
    else if (status == 0x0122)
        why = "it does not offer this service";
    else if (status == 0xFE00)
        why = "it cut its answer, as servers do at a limit of their own";
    else if (status == 0x0124)
        why = "it does not allow it to our AE title";
    else if ((status & 0xF000) == 0xB000)
        why = "it warns that something is missing";
    return vivo_fail(err, status == 0x0124 ? EACCES : EIO,
                     "%s: the server answers status %04X: %s", what, status, why);
}

static int ask_once(struct dimse *d, const struct vivo_buf *keys, struct reading *r,
                    struct dimse_answer *answer, bool *used, struct vivo_op *op)
{
    struct vivo_dimse *line = NULL;
    struct vivo_dimse_result result = {0};
    int rc = vivo_dimse_line_get(d, NULL, &line, used, op);
    if (rc)
        return vivo_fail_in(&op->err, "C-FIND");
    bool patient = atomic_load(&d->root) == DIMSE_ROOT_PATIENT;
    rc = vivo_dimse_find(line, patient ? DIMSE_PATIENT_FIND : DIMSE_STUDY_FIND,
                         keys->data, keys->len, &r->base, &result, op);
    vivo_dimse_line_put(d, line, NULL);
    atomic_fetch_add(&d->base.bytes, result.bytes);
    *answer = (struct dimse_answer){r->rows, result.status};
    return rc;
}

int vivo_dimse_ask(struct dimse *d, const struct dimse_keys *k, dimse_row_fn *fn,
                   void *ctx, struct dimse_answer *answer, struct vivo_op *op)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf keys = {0};
    struct reading r = {.base.row = take_row, .keys = k, .fn = fn, .ctx = ctx};
    bool used = false;
    vivo_buf_init(&keys, KEYS_BYTES);
    vivo_buf_init(&r.attrs, VIVO_ATTRS_MAX);
    vivo_buf_init(&r.row, VIVO_ATTRS_MAX);
    int rc = vivo_dimse_keys_write(k, &keys, &op->err);
    if (rc == 0)
        rc = ask_once(d, &keys, &r, answer, &used, op);
    if (rc == -EIO && used && r.rows == 0) {
        /* The server had given up the association that was handed on. */
        vivo_err_clear(&op->err);
        rc = ask_once(d, &keys, &r, answer, &used, op);
    }
    vivo_buf_free(&r.attrs);
    vivo_buf_free(&r.row);
    return r.verdict ? r.verdict : rc;
}
