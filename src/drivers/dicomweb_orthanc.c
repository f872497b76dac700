/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/dicomweb_orthanc.c -- what Orthanc's own interface tells beyond DICOMweb:
 * the size of each file, and the file itself byte for byte. Orthanc 1.10 REST API. */
#include "dicomweb.h"

#include <jansson.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SYSTEM_BYTES (1u << 20)
#define FIND_BYTES (64u << 20)

/* {"ApiVersion": 18, "Name": "", "Version": "1.10.1", …} */
static bool is_orthanc_system(const struct vivo_buf *body)
{
    json_t *root = json_loadb((const char *)body->data, body->len, 0, NULL);
    bool yes = json_is_integer(json_object_get(root, "ApiVersion")) &&
               json_is_string(json_object_get(root, "Name")) &&
               json_is_string(json_object_get(root, "Version"));
    json_decref(root);
    return yes;
}

/* A clear "no" is remembered. What may pass (503, silence) is an error: the answer
 * decides what locators look like, which must not change from day to day. */
static bool is_clear_no(int status)
{
    return status >= 400 && status <= 501 && status != 408 && status != 429;
}

int vivo_dicomweb_is_orthanc(struct dicomweb *d, struct vivo_op *op)
{
    int known = atomic_load(&d->orthanc);
    if (known != DICOMWEB_ORTHANC_UNKNOWN)
        return known == DICOMWEB_ORTHANC_YES;
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf body = {0};
    struct vivo_net_reply reply;
    vivo_buf_init(&body, SYSTEM_BYTES);
    const struct dicomweb_ask ask = {d->root, "/system", "application/json", NULL,
                                     SYSTEM_BYTES};
    int rc = vivo_dicomweb_ask(d, &ask, &body, &reply, op);
    if (rc && !is_clear_no(reply.status))
        return rc;
    if (rc)
        vivo_err_clear(&op->err);
    bool yes = rc == 0 && is_orthanc_system(&body);
    atomic_store(&d->orthanc, yes ? DICOMWEB_ORTHANC_YES : DICOMWEB_ORTHANC_NO);
    return yes;
}

/* ---- sizes --------------------------------------------------------------------------
 */

static int compare_natives(const void *a, const void *b)
{
    const struct dicomweb_native *x = a;
    const struct dicomweb_native *y = b;
    return strcmp(x->uid, y->uid);
}

const struct dicomweb_native *
vivo_dicomweb_natives_find(const struct dicomweb_natives *n, const char *uid)
{
    size_t low = 0;
    size_t high = n->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int c = strcmp(n->items[middle].uid, uid);
        if (c == 0)
            return &n->items[middle];
        if (c < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

void vivo_dicomweb_natives_free(struct dicomweb_natives *n)
{
    free(n->items);
    *n = (struct dicomweb_natives){0};
}

/* One instance as /tools/find expands it; false when it is not usable. */
static bool read_native(json_t *o, struct dicomweb_native *out)
{
    json_t *tags = json_object_get(o, "MainDicomTags");
    const char *uid = json_string_value(json_object_get(tags, "SOPInstanceUID"));
    const char *id = json_string_value(json_object_get(o, "ID"));
    const char *file = json_string_value(json_object_get(o, "FileUuid"));
    json_int_t size = json_integer_value(json_object_get(o, "FileSize"));
    if (!uid || !vivo_dicomweb_uid_ok(uid) || !id || !vivo_dicomweb_orthanc_id_ok(id) ||
        size <= 0)
        return false;
    *out = (struct dicomweb_native){.size = (uint64_t)size};
    snprintf(out->uid, sizeof out->uid, "%s", uid);
    snprintf(out->id, sizeof out->id, "%s", id);
    if (file && strlen(file) < sizeof out->version)
        snprintf(out->version, sizeof out->version, "%s", file);
    return true;
}

static int read_natives(const struct vivo_buf *body, struct dicomweb_natives *out,
                        struct vivo_err *err)
{
    json_t *root = json_loadb((const char *)body->data, body->len, 0, NULL);
    if (!json_is_array(root)) {
        json_decref(root);
        return vivo_fail(err, EBADMSG, "Orthanc: the answer is not a JSON array");
    }
    size_t n = json_array_size(root);
    out->items = calloc(n ? n : 1, sizeof *out->items);
    if (!out->items) {
        json_decref(root);
        return vivo_fail(err, ENOMEM, "dicomweb: out of memory");
    }
    for (size_t i = 0; i < n; i++)
        out->n += read_native(json_array_get(root, i), &out->items[out->n]);
    json_decref(root);
    qsort(out->items, out->n, sizeof *out->items, compare_natives);
    return 0;
}

int vivo_dicomweb_natives_get(struct dicomweb *d, const struct dicomweb_place *series,
                              struct dicomweb_natives *out, struct vivo_op *op)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf body = {0};
    struct vivo_net_reply reply;
    char question[512];
    vivo_buf_init(&body, FIND_BYTES);
    snprintf(question, sizeof question,
             "{\"Level\":\"Instance\",\"Expand\":true,\"CaseSensitive\":true,"
             "\"Query\":{\"StudyInstanceUID\":\"%s\",\"SeriesInstanceUID\":\"%s\"}}",
             series->study, series->series);
    const struct dicomweb_ask ask = {d->root, "/tools/find", "application/json",
                                     question, FIND_BYTES};
    int rc = vivo_dicomweb_ask(d, &ask, &body, &reply, op);
    return rc ? rc : read_natives(&body, out, &op->err);
}
