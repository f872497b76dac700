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

/* ---- sizes ------------------------------------------------------------------ */

static int compare_natives(const void *a, const void *b)
{
    const struct dicomweb_native *x = a;
    const struct dicomweb_native *y = b;
    int c = strcmp(x->parent, y->parent);
    return c ? c : strcmp(x->uid, y->uid);
}

const struct dicomweb_native *
vivo_dicomweb_natives_find(const struct dicomweb_natives *n, const char *uid)
{
    struct dicomweb_native key = {0};
    if (n->n == 0 || n->several)
        return NULL;
    snprintf(key.uid, sizeof key.uid, "%s", uid);
    snprintf(key.parent, sizeof key.parent, "%s", n->items[0].parent);
    return bsearch(&key, n->items, n->n, sizeof *n->items, compare_natives);
}

void vivo_dicomweb_natives_free(struct dicomweb_natives *n)
{
    free(n->items);
    *n = (struct dicomweb_natives){0};
}

/* A main tag that is a number (IS, PS3.5 section 6.2); anything else is as good as
 * none. */
static void read_number(const json_t *tags, const char *name, char out[16])
{
    const char *s = json_string_value(json_object_get(tags, name));
    if (s && strlen(s) < 16 && s[strspn(s, "0123456789+-")] == '\0')
        snprintf(out, 16, "%s", s);
}

/* One instance as /tools/find expands it; false when it is not usable. */
static bool read_native(json_t *o, struct dicomweb_native *out)
{
    json_t *tags = json_object_get(o, "MainDicomTags");
    const char *uid = json_string_value(json_object_get(tags, "SOPInstanceUID"));
    const char *id = json_string_value(json_object_get(o, "ID"));
    const char *parent = json_string_value(json_object_get(o, "ParentSeries"));
    const char *file = json_string_value(json_object_get(o, "FileUuid"));
    json_int_t size = json_integer_value(json_object_get(o, "FileSize"));
    if (!uid || !vivo_dicomweb_uid_ok(uid) || !id || !vivo_dicomweb_orthanc_id_ok(id) ||
        !parent || !vivo_dicomweb_orthanc_id_ok(parent) || size <= 0)
        return false;
    *out = (struct dicomweb_native){.size = (uint64_t)size};
    snprintf(out->uid, sizeof out->uid, "%s", uid);
    snprintf(out->id, sizeof out->id, "%s", id);
    snprintf(out->parent, sizeof out->parent, "%s", parent);
    if (file && strlen(file) < sizeof out->version)
        snprintf(out->version, sizeof out->version, "%s", file);
    read_number(tags, "InstanceNumber", out->number);
    read_number(tags, "NumberOfFrames", out->frames);
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
    out->complete = out->n == n;
    json_decref(root);
    qsort(out->items, out->n, sizeof *out->items, compare_natives);
    out->several =
        out->n > 0 && strcmp(out->items[0].parent, out->items[out->n - 1].parent) != 0;
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

/* ---- whose is it? ----------------------------------------------------------- */

/* GET root/KIND/ID as a JSON object; the caller gives it back. */
static int get_resource(struct dicomweb *d, const char *kind, const char *id,
                        json_t **out, struct vivo_op *op)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf body = {0};
    struct vivo_net_reply reply;
    char path[128];
    vivo_buf_init(&body, SYSTEM_BYTES);
    snprintf(path, sizeof path, "/%s/%s", kind, id);
    const struct dicomweb_ask ask = {d->root, path, "application/json", NULL,
                                     SYSTEM_BYTES};
    int rc = vivo_dicomweb_ask(d, &ask, &body, &reply, op);
    if (rc)
        return rc;
    *out = json_loadb((const char *)body.data, body.len, 0, NULL);
    return *out ? 0 : vivo_fail(&op->err, EBADMSG, "Orthanc: the answer is not JSON");
}

int vivo_dicomweb_native_patient(struct dicomweb *d, const struct dicomweb_native *n,
                                 char *out, size_t cap, struct vivo_op *op)
{
    json_t *series = NULL;
    json_t *study = NULL;
    int rc = get_resource(d, "series", n->parent, &series, op);
    const char *id = json_string_value(json_object_get(series, "ParentStudy"));
    if (rc == 0 && (!id || !vivo_dicomweb_orthanc_id_ok(id)))
        rc = vivo_fail(&op->err, EBADMSG, "Orthanc: a series without its study");
    if (rc == 0)
        rc = get_resource(d, "studies", id, &study, op);
    json_t *tags = json_object_get(study, "PatientMainDicomTags");
    const char *patient = json_string_value(json_object_get(tags, "PatientID"));
    if (rc == 0)
        snprintf(out, cap, "%s", patient ? patient : "");
    json_decref(series);
    json_decref(study);
    return rc;
}
