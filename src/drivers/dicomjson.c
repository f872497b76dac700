/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/dicomjson.c -- see dicomjson.h. Sources: PS3.18 annex F (DICOM JSON
 * model), PS3.5 sections 6.2 (value representations) and 7.5 (sequences). */
#include "dicomjson.h"
#include "dicomjson_value.h"

#include "vivofs/dcm.h"

#include <jansson.h>

#include <ctype.h>
#include <errno.h>
#include <string.h>

#define DEPTH_MAX 32   /* nested sequences */
#define BRACES_MAX 256 /* nested JSON: each sequence takes three, and hostile ones */
#define ELEMENTS_MAX 20000 /* of one data set */

/* ---- rows ------------------------------------------------------------------- */

void vivo_dicomjson_rows_init(struct vivo_dicomjson_rows *r, const void *text,
                              size_t len)
{
    r->at = text;
    r->end = r->at ? r->at + len : r->at;
    r->started = false;
    r->finished = len == 0;
}

static void skip_space(struct vivo_dicomjson_rows *r)
{
    while (r->at < r->end &&
           (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r'))
        r->at++;
}

/* The byte after the object that begins at `s`, NULL when it does not end or is nested
 * too deep. Only strings and brackets matter here; the parser checks the rest. */
static const char *end_of_object(const char *s, const char *end)
{
    unsigned depth = 0;
    bool string = false;
    for (; s < end; s++) {
        if (string) {
            if (*s == '\\')
                s++;
            else if (*s == '"')
                string = false;
        } else if (*s == '"') {
            string = true;
        } else if (*s == '{' || *s == '[') {
            if (++depth > BRACES_MAX)
                return NULL;
        } else if (*s == '}' || *s == ']') {
            if (--depth == 0)
                return s + 1;
        }
    }
    return NULL;
}

int vivo_dicomjson_next(struct vivo_dicomjson_rows *r, const char **object, size_t *len,
                        struct vivo_err *err)
{
    if (r->finished)
        return 0;
    skip_space(r);
    bool first = !r->started;
    if (first && (r->at == r->end || *r->at++ != '['))
        return vivo_fail(err, EBADMSG, "reply is not a JSON array");
    r->started = true;
    skip_space(r);
    if (r->at < r->end && *r->at == ']') {
        r->at++;
        skip_space(r);
        r->finished = true;
        return r->at == r->end ? 0
                               : vivo_fail(err, EBADMSG, "text after the JSON array");
    }
    if (!first && (r->at == r->end || *r->at++ != ','))
        return vivo_fail(err, EBADMSG, "JSON array is cut or malformed");
    skip_space(r);
    const char *end =
        r->at < r->end && *r->at == '{' ? end_of_object(r->at, r->end) : NULL;
    if (!end)
        return vivo_fail(err, EBADMSG,
                         "JSON array is cut, nested too deep or holds "
                         "something else than objects");
    *object = r->at;
    *len = (size_t)(end - r->at);
    r->at = end;
    return 1;
}

/* ---- data sets -------------------------------------------------------------- */

struct entry {
    uint32_t tag;
    json_t *value; /* borrowed; NULL: made here */
};

struct maker { /* one data set being made */
    unsigned flags, depth;
    const char *syntax; /* for (0002,0010), or NULL */
};

static int put_dataset(json_t *object, const struct maker *m, struct vivo_buf *out,
                       struct vivo_err *err);

static bool read_tag(const char *key, uint32_t *tag)
{
    uint32_t t = 0;
    for (int i = 0; i < 8; i++) {
        unsigned char c = (unsigned char)key[i];
        if (!isxdigit(c))
            return false;
        t = t << 4 | (uint32_t)(isdigit(c) ? c - '0' : toupper(c) - 'A' + 10);
    }
    *tag = t;
    return key[8] == '\0';
}

/* Not attributes of the object: group lengths, delimiters, file meta, the character
 * set of the original, and what PS3.18 adds to rows of a query. */
static bool is_left_out(uint32_t tag, unsigned depth)
{
    uint32_t group = tag >> 16;
    if ((tag & 0xFFFF) == 0 || group < 8 || group == 0xFFFE || group == 0xFFFF)
        return true;
    if (tag == VIVO_TAG_SpecificCharacterSet)
        return true;
    return depth == 0 && (tag == 0x00081190 /* RetrieveURL */ ||
                          tag == 0x00080054 /* RetrieveAETitle */ ||
                          tag == 0x00080056 /* InstanceAvailability */ ||
                          tag == 0x00083002 /* AvailableTransferSyntaxUID */);
}

static int compare_entries(const void *a, const void *b)
{
    const struct entry *x = a;
    const struct entry *y = b;
    return (x->tag > y->tag) - (x->tag < y->tag);
}

/* The elements in ascending order, with (0002,0010) and (0008,0005) at the top. */
static int sort_entries(json_t *object, const struct maker *m, struct entry **out,
                        size_t *n, struct vivo_err *err)
{
    size_t size = json_object_size(object);
    if (size > ELEMENTS_MAX)
        return vivo_fail(err, EBADMSG, "JSON object of more than %d elements",
                         ELEMENTS_MAX);
    struct entry *e = calloc(size + 2, sizeof *e);
    if (!e)
        return vivo_fail(err, ENOMEM, "DICOM JSON: out of memory");
    size_t count = 0;
    if (m->depth == 0 && m->syntax)
        e[count++] = (struct entry){0x00020010, NULL};
    if (m->depth == 0)
        e[count++] = (struct entry){VIVO_TAG_SpecificCharacterSet, NULL};
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        uint32_t tag;
        if (read_tag(key, &tag) && !is_left_out(tag, m->depth) && json_is_object(value))
            e[count++] = (struct entry){tag, value};
    }
    qsort(e, count, sizeof *e, compare_entries);
    *out = e;
    *n = count;
    return 0;
}

/* Every item with a defined length, as attrs form wants it. */
static int put_sequence(uint32_t tag, json_t *items, const struct maker *m,
                        struct vivo_buf *out, struct vivo_err *err)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf value = {0};
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf item = {0};
    vivo_buf_init(&value, VIVO_ATTRS_MAX);
    vivo_buf_init(&item, VIVO_ATTRS_MAX);
    struct maker inner = {m->flags & ~(unsigned)VIVO_DICOMJSON_ROW, m->depth + 1, NULL};
    size_t i;
    json_t *object;
    if (inner.depth > DEPTH_MAX)
        return vivo_fail(err, EBADMSG, "(%04X,%04X): nested too deep", tag >> 16,
                         tag & 0xFFFF);
    json_array_foreach(items, i, object)
    {
        uint8_t head[8] = {0xFE, 0xFF, 0x00, 0xE0};
        vivo_buf_clear(&item);
        int rc = json_is_object(object) ? put_dataset(object, &inner, &item, err) : 0;
        if (rc)
            return rc;
        vivo_put_le32(head + 4, (uint32_t)item.len);
        if (vivo_buf_add(&value, head, sizeof head) ||
            vivo_buf_add(&value, item.data, item.len))
            return vivo_fail(err, ENOSPC, "DICOM JSON: too large");
    }
    if (vivo_attrs_put(out, tag, "SQ", value.data, value.len))
        return vivo_fail(err, ENOSPC, "DICOM JSON: too large");
    return 0;
}

static int put_element(const struct entry *e, const struct maker *m,
                       struct vivo_buf *out, struct vivo_err *err)
{
    char vr[3];
    vivo_dicomjson_vr(json_object_get(e->value, "vr"), e->tag, vr);
    json_t *values = json_object_get(e->value, "Value");
    if (strcmp(vr, "SQ") == 0) {
        if ((m->flags & VIVO_DICOMJSON_ROW) && json_array_size(values) == 0)
            return 0;
        return put_sequence(e->tag, values, m, out, err);
    }
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf value = {0};
    vivo_buf_init(&value, 5 * VIVO_ATTRS_VALUE_MAX); /* room before cutting */
    int rc = vivo_dicomjson_value(e->tag, vr, e->value, &value);
    if (rc)
        return vivo_fail(err, -rc, "DICOM JSON: out of memory");
    if (value.len == 0 && (m->flags & VIVO_DICOMJSON_ROW))
        return 0;
    if (vivo_attrs_put(out, e->tag, vr, value.data, value.len))
        return vivo_fail(err, ENOSPC, "DICOM JSON: too large");
    return 0;
}

static int put_dataset(json_t *object, const struct maker *m, struct vivo_buf *out,
                       struct vivo_err *err)
{
    struct entry *e = NULL;
    size_t n = 0;
    int rc = sort_entries(object, m, &e, &n, err);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        if (i > 0 && e[i].tag == e[i - 1].tag)
            continue; /* the same tag in upper and lower case: the first counts */
        if (e[i].value)
            rc = put_element(&e[i], m, out, err);
        else if (e[i].tag == VIVO_TAG_SpecificCharacterSet)
            rc = vivo_attrs_put(out, e[i].tag, "CS", "ISO_IR 192", 10);
        else
            rc = vivo_attrs_put(out, e[i].tag, "UI", m->syntax, strlen(m->syntax));
        if (rc && err->errnum == 0)
            rc = vivo_fail(err, -rc, "DICOM JSON: too large");
    }
    free(e);
    return rc;
}

/* The transfer syntax the object is kept in, if the archive says (PS3.18 F.2.4). */
static const char *find_syntax(json_t *object)
{
    static const char *const keys[] = {"00020010", "00083002"};
    for (size_t i = 0; i < VIVO_ARRAY_LEN(keys); i++) {
        json_t *values = json_object_get(json_object_get(object, keys[i]), "Value");
        const char *uid = json_string_value(json_array_get(values, 0));
        if (uid && *uid && strlen(uid) <= VIVO_UID_MAX &&
            uid[strspn(uid, "0123456789.")] == '\0')
            return uid;
    }
    return NULL;
}

int vivo_dicomjson_attrs(const char *object, size_t len, unsigned flags,
                         struct vivo_buf *out, struct vivo_err *err)
{
    json_error_t why;
    json_t *root = json_loadb(object, len, JSON_REJECT_DUPLICATES, &why);
    if (!json_is_object(root)) {
        /* why.text may quote the reply: the position must do. */
        json_decref(root);
        return vivo_fail(err, EBADMSG, "DICOM JSON: malformed at byte %d",
                         why.position);
    }
    struct maker m = {flags, 0, find_syntax(root)};
    int rc = put_dataset(root, &m, out, err);
    json_decref(root);
    return rc;
}
