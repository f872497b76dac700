/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/nbia_list.c -- collections, all series of one, instances of a series.
 *
 * One getSeries brings a whole collection; its rows come in no order, so they are
 * sorted: a patient or study is named by the first of its series, the same at every
 * listing. NBIA hides its own errors behind short answers, so each is checked against
 * what another one said. */
#include "dicomjson.h"
#include "nbia.h"

#include "vivofs/hash.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ROWS_MAX 4000000u
#define KEYS_BYTES (1u << 30)

struct row {
    const char *key;    /* in the arena */
    const char *object; /* in the body */
    size_t len;
};

struct listing {
    struct nbia *n;
    struct vivo_intake *in;
    struct vivo_op *op;
    struct nbia_place parent;
    struct vivo_buf body, attrs;
    struct vivo_arena *keys;
    struct row *rows;
    size_t count, cap;
    size_t foreign; /* rows that belong to another collection */
};

/* ---- rows ------------------------------------------------------------------- */

/* One row: 0 when it is done with, or an error. */
typedef int take_fn(struct listing *l, const char *object, size_t len);

static int ask(struct listing *l, const char *query, size_t max_bytes, take_fn *take)
{
    struct vivo_dicomjson_rows rows;
    const char *object;
    size_t len;
    vivo_buf_free(&l->body);
    vivo_buf_init(&l->body, max_bytes);
    int rc = vivo_nbia_ask(l->n, query, max_bytes, &l->body, l->op);
    if (rc || vivo_nbia_is_empty(&l->body))
        return rc;
    vivo_dicomjson_rows_init(&rows, l->body.data, l->body.len);
    while ((rc = vivo_dicomjson_next(&rows, &object, &len, &l->op->err)) > 0) {
        rc = vivo_op_check(l->op);
        if (rc == 0)
            rc = take(l, object, len);
        if (rc)
            break;
    }
    if (rc && l->op->err.errnum == -rc)
        vivo_fail_in(&l->op->err, "%.*s", (int)strcspn(query, "?"), query);
    return rc;
}

static int add_row(struct listing *l, const char *key, const char *object, size_t len)
{
    if (l->count == ROWS_MAX)
        return vivo_fail(&l->op->err, EIO, "more than %u rows", ROWS_MAX);
    struct row *rows =
        vivo_array_grow(l->rows, l->count, &l->cap, sizeof *rows, VIVO_ARRAY_MAX);
    if (!rows)
        return vivo_fail(&l->op->err, ENOMEM, "nbia: out of memory");
    l->rows = rows;
    struct row *r = &l->rows[l->count];
    r->key = vivo_arena_strndup(l->keys, key, strlen(key));
    r->object = object;
    r->len = len;
    if (!r->key)
        return vivo_fail(&l->op->err, ENOMEM, "nbia: out of memory");
    l->count++;
    return 0;
}

static int compare_rows(const void *a, const void *b)
{
    const struct row *x = a;
    const struct row *y = b;
    int c = strcmp(x->key, y->key);
    if (c)
        return c;
    c = memcmp(x->object, y->object, VIVO_MIN(x->len, y->len));
    return c ? c : (x->len > y->len) - (x->len < y->len);
}

/* Sorted, and of rows with one key the first. */
static void sort_rows(struct listing *l)
{
    size_t n = 0;
    if (l->count)
        qsort(l->rows, l->count, sizeof *l->rows, compare_rows);
    for (size_t i = 0; i < l->count; i++)
        if (i == 0 || strcmp(l->rows[i].key, l->rows[n - 1].key) != 0)
            l->rows[n++] = l->rows[i];
    l->count = n;
}

/* A row that nothing can be asked for; a digest tells one from another. */
static void tell_bad(struct listing *l, const char *object, size_t len)
{
    char locator[32] = "?";
    vivo_short_name(object, len, locator + 1, 12);
    l->in->other(l->in, locator, NULL);
}

/* ---- collections ------------------------------------------------------------ */

static int take_collection(struct listing *l, const char *object, size_t len)
{
    char name[NBIA_TEXT_MAX + 1];
    if (!vivo_nbia_text(object, len, "Collection", name, sizeof name))
        return vivo_fail(&l->op->err, EBADMSG, "a row that is no JSON object");
    if (name[0])
        return add_row(l, name, object, len);
    tell_bad(l, object, len);
    return 0;
}

static int list_collections(struct listing *l)
{
    int rc = ask(l, "getCollectionValues", NBIA_COLLECTIONS_BYTES, take_collection);
    if (rc)
        return rc;
    if (l->count == 0)
        return vivo_fail(&l->op->err, EIO,
                         "getCollectionValues: the archive lists no collection");
    sort_rows(l);
    for (size_t i = 0; rc == 0 && i < l->count; i++) {
        char locator[NBIA_LOCATOR_MAX];
        struct nbia_place p = {0};
        struct vivo_record rec = {.level = VIVO_LEVEL_COLLECTION,
                                  .locator = locator,
                                  .collection = l->rows[i].key};
        snprintf(p.collection, sizeof p.collection, "%s", l->rows[i].key);
        vivo_nbia_place_write(&p, VIVO_LEVEL_COLLECTION, locator);
        rc = vivo_op_check(l->op);
        if (rc == 0)
            rc = l->in->record(l->in, &rec, &l->op->err);
    }
    return rc;
}

/* ---- series of a collection ------------------------------------------------- */

static int take_series(struct listing *l, const char *object, size_t len)
{
    struct nbia_place s;
    char key[NBIA_TEXT_MAX + 2 * VIVO_UID_MAX + 8];
    int rc = vivo_nbia_series(object, len, &s, &l->op->err);
    if (rc)
        return rc;
    /* Some versions do not mind the case of a collection's name. */
    if (s.collection[0] && strcmp(s.collection, l->parent.collection)) {
        l->foreign++;
        return 0;
    }
    if (!s.series[0]) {
        tell_bad(l, object, len);
        return 0;
    }
    snprintf(key, sizeof key, "%s\x1f%s\x1f%s", s.patient, s.study, s.series);
    return add_row(l, key, object, len);
}

static int take_any(struct listing *l, const char *object, size_t len)
{
    return add_row(l, "", object, len);
}

int vivo_nbia_emit_series(struct nbia *n, struct vivo_intake *in,
                          const char *collection, const char *row, size_t len,
                          struct vivo_buf *attrs, struct vivo_err *err)
{
    struct nbia_place s;
    char locator[NBIA_LOCATOR_MAX];
    char license[NBIA_LICENSE_MAX], citation[NBIA_LICENSE_MAX];
    bool v4 = atomic_load(&n->version) == NBIA_V4;
    int rc = vivo_nbia_series(row, len, &s, err);
    vivo_buf_clear(attrs);
    if (rc == 0)
        rc = vivo_nbia_attrs(row, len, v4 ? NBIA_SERIES : NBIA_OLD_SERIES, attrs, err);
    if (rc)
        return rc;
    snprintf(s.collection, sizeof s.collection, "%s", collection);
    vivo_nbia_place_write(&s, VIVO_LEVEL_SERIES, locator);
    vivo_nbia_license(row, len, license, sizeof license);
    vivo_nbia_citation(row, len, citation, sizeof citation);
    const struct vivo_record rec = {.level = VIVO_LEVEL_SERIES,
                                    .locator = locator,
                                    .collection = collection,
                                    .license = license[0] ? license : NULL,
                                    .citation = citation[0] ? citation : NULL,
                                    .version = s.stamp[0] ? s.stamp : NULL,
                                    .attrs = {attrs->data, attrs->len}};
    return in->record(in, &rec, err);
}

static int list_series(struct listing *l)
{
    char name[3 * NBIA_TEXT_MAX + 1];
    char query[3 * NBIA_TEXT_MAX + 64];
    vivo_nbia_encode(l->parent.collection, name);
    snprintf(query, sizeof query, "getSeries?Collection=%s", name);
    int rc = ask(l, query, NBIA_SERIES_BYTES, take_series);
    if (rc == 0 && l->count == 0 && l->foreign)
        return vivo_fail(
            &l->op->err, EIO,
            "getSeries: the server lists series of other collections only");
    if (rc == 0 && l->count == 0) {
        /* No rights, no series, or a failure that looks the same: does it have
         * patients? */
        snprintf(query, sizeof query, "getPatient?Collection=%s", name);
        rc = ask(l, query, NBIA_SERIES_BYTES, take_any);
        if (rc == 0 && l->count)
            rc = vivo_fail(&l->op->err, EIO,
                           "getSeries: nothing, although the collection has patients");
        return rc;
    }
    sort_rows(l);
    for (size_t i = 0; rc == 0 && i < l->count; i++) {
        rc = vivo_op_check(l->op);
        if (rc == 0)
            rc = vivo_nbia_emit_series(l->n, l->in, l->parent.collection,
                                       l->rows[i].object, l->rows[i].len, &l->attrs,
                                       &l->op->err);
    }
    return rc;
}

/* ---- instances of a series -------------------------------------------------- */

static int take_instance(struct listing *l, const char *object, size_t len)
{
    char uid[VIVO_UID_MAX + 1];
    if (!vivo_nbia_text(object, len, "SOPInstanceUID", uid, sizeof uid))
        return vivo_fail(&l->op->err, EBADMSG, "a row that is no JSON object");
    if (vivo_nbia_uid_ok(uid))
        return add_row(l, uid, object, len);
    tell_bad(l, object, len);
    return 0;
}

static int take_count(struct listing *l, const char *object, size_t len)
{
    struct nbia_place s;
    int rc = vivo_nbia_series(object, len, &s, &l->op->err);
    if (rc == 0 && strcmp(s.series, l->parent.series) == 0)
        l->parent.count = s.count;
    return rc;
}

/* As many as the series has? What was said when it was listed may be old by now. */
static int check_count(struct listing *l, bool *whole)
{
    char query[128];
    uint64_t have = l->count;
    *whole = have > 0 && have >= l->parent.count;
    if (*whole)
        return 0;
    l->parent.count = 0;
    snprintf(query, sizeof query, "getSeries?SeriesInstanceUID=%s", l->parent.series);
    int rc = ask(l, query, NBIA_INSTANCES_BYTES, take_count);
    *whole = have >= l->parent.count;
    return rc;
}

static int put_text(struct vivo_buf *out, uint32_t tag, const char *vr,
                    const char *text)
{
    return text[0] ? vivo_attrs_put(out, tag, vr, text, strlen(text)) : 0;
}

static int emit_instance(struct listing *l, const char *uid, uint64_t size)
{
    struct nbia_place p = l->parent;
    char locator[NBIA_LOCATOR_MAX];
    snprintf(p.instance, sizeof p.instance, "%s", uid);
    vivo_nbia_place_write(&p, VIVO_LEVEL_INSTANCE, locator);
    const char *version = p.stamp[0] ? p.stamp : NULL;
    if (version && l->in->known(l->in, locator, version))
        return 0;
    vivo_buf_clear(&l->attrs);
    int rc = put_text(&l->attrs, VIVO_TAG_SpecificCharacterSet, "CS", "ISO_IR 192");
    if (rc == 0)
        rc = put_text(&l->attrs, VIVO_TAG_SOPInstanceUID, "UI", uid);
    if (rc == 0)
        rc = put_text(&l->attrs, VIVO_TAG_StudyInstanceUID, "UI", p.study);
    if (rc == 0)
        rc = put_text(&l->attrs, VIVO_TAG_SeriesInstanceUID, "UI", p.series);
    if (rc)
        return vivo_fail(&l->op->err, ENOMEM, "nbia: out of memory");
    const struct vivo_record rec = {.level = VIVO_LEVEL_INSTANCE,
                                    .locator = locator,
                                    .collection = p.collection,
                                    .version = version,
                                    .size = size,
                                    .attrs = {l->attrs.data, l->attrs.len}};
    return l->in->record(l->in, &rec, &l->op->err);
}

/* Out of the zip of the series, which has all of them or fails. */
static int list_bundle(struct listing *l)
{
    struct nbia_bundle *b = NULL;
    int rc = vivo_nbia_bundle_get(l->n, l->parent.series, &b, l->op);
    if (rc)
        return vivo_fail_in(&l->op->err,
                            "getSOPInstanceUIDs lists %zu of the %" PRIu64
                            " images of a series",
                            l->count, l->parent.count);
    for (size_t i = 0; rc == 0 && i < vivo_nbia_bundle_count(b); i++) {
        uint64_t size;
        const char *uid = vivo_nbia_bundle_uid(b, i, &size);
        rc = vivo_op_check(l->op);
        if (rc == 0 && (i == 0 || strcmp(uid, l->parent.instance) != 0))
            rc = emit_instance(l, uid, size);
        snprintf(l->parent.instance, sizeof l->parent.instance, "%s", uid);
    }
    vivo_nbia_bundle_put(l->n, b);
    return rc;
}

static int list_instances(struct listing *l)
{
    char query[128];
    bool whole = false;
    snprintf(query, sizeof query, "getSOPInstanceUIDs?SeriesInstanceUID=%s",
             l->parent.series);
    int rc = ask(l, query, NBIA_INSTANCES_BYTES, take_instance);
    if (rc)
        return rc;
    sort_rows(l);
    rc = check_count(l, &whole);
    if (rc == 0 && !whole)
        return list_bundle(l);
    for (size_t i = 0; rc == 0 && i < l->count; i++) {
        rc = vivo_op_check(l->op);
        if (rc == 0)
            rc = emit_instance(l, l->rows[i].key, 0);
    }
    return rc;
}

/* ---- list ------------------------------------------------------------------- */

int vivo_nbia_list(struct vivo_archive *self, enum vivo_level level, const char *parent,
                   struct vivo_intake *in, struct vivo_op *op)
{
    struct listing l = {.n = nbia_of(self), .in = in, .op = op};
    int rc = parent ? vivo_nbia_place_read(parent, level, &l.parent, &op->err) : 0;
    if (rc)
        return rc;
    vivo_buf_init(&l.attrs, VIVO_ATTRS_MAX);
    l.keys = vivo_arena_new(KEYS_BYTES);
    if (!l.keys)
        rc = vivo_fail(&op->err, ENOMEM, "nbia: out of memory");
    else if (level == VIVO_LEVEL_NONE)
        rc = list_collections(&l);
    else if (level == VIVO_LEVEL_COLLECTION)
        rc = list_series(&l);
    else
        rc = list_instances(&l);
    vivo_arena_free(l.keys);
    free(l.rows);
    vivo_buf_free(&l.body);
    vivo_buf_free(&l.attrs);
    return rc;
}
