/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/xnat_table.c -- XNAT's tables: {"ResultSet":{"Result":[{…}, …], …}}.
 *
 * Rows are objects of texts, though older servers write numbers as numbers. Keys come
 * in any order, so the array is looked for and then read row by row: a reply of a
 * hundred megabytes is never a tree in memory. */
#include "dicomjson.h"
#include "dicomjson_value.h"
#include "xnat.h"

#include "vivofs/dcm.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define DEPTH_MAX 64

/* ---- where the rows are ---------------------------------------------------------- */

struct scanner {
    const char *at, *end;
};

static void skip_space(struct scanner *s)
{
    while (s->at < s->end && *s->at && strchr(" \t\r\n", *s->at))
        s->at++;
}

static bool skip_string(struct scanner *s)
{
    for (s->at++; s->at < s->end && *s->at != '"'; s->at++)
        if (*s->at == '\\')
            s->at++;
    if (s->at >= s->end)
        return false;
    s->at++;
    return true;
}

/* Over one value; the parser of the rows looks closer. */
static bool skip_value(struct scanner *s)
{
    unsigned depth = 0;
    do {
        skip_space(s);
        if (s->at >= s->end)
            return false;
        if (*s->at == '"') {
            if (!skip_string(s))
                return false;
            continue;
        }
        if (*s->at == '{' || *s->at == '[') {
            if (++depth > DEPTH_MAX)
                return false;
        } else if (*s->at == '}' || *s->at == ']') {
            if (depth-- == 0)
                return false;
        } else if (depth == 0) {
            size_t n = 0;
            while (s->at < s->end && (isalnum((unsigned char)*s->at) ||
                                      (*s->at && strchr("+-.", *s->at))))
                s->at++, n++;
            return n > 0;
        }
        s->at++;
    } while (depth > 0);
    return true;
}

/* The next member of the object that `s` is in: 1, 0 at its end, -1 malformed. */
static int next_member(struct scanner *s, bool first, struct scanner *key)
{
    skip_space(s);
    if (s->at < s->end && *s->at == '}') {
        s->at++;
        return 0;
    }
    if (!first && (s->at >= s->end || *s->at++ != ','))
        return -1;
    skip_space(s);
    if (s->at >= s->end || *s->at != '"')
        return -1;
    key->at = s->at + 1;
    if (!skip_string(s))
        return -1;
    key->end = s->at - 1;
    skip_space(s);
    if (s->at >= s->end || *s->at++ != ':')
        return -1;
    skip_space(s);
    return 1;
}

static bool is_key(const struct scanner *key, const char *name)
{
    return (size_t)(key->end - key->at) == strlen(name) &&
           memcmp(key->at, name, strlen(name)) == 0;
}

struct found {
    struct scanner rows;
    uint64_t total; /* as the server counts them; UINT64_MAX = it does not */
};

static bool read_total(const struct scanner *value, uint64_t *out)
{
    char text[24];
    const char *s = value->at;
    size_t n = (size_t)(value->end - s);
    if (n >= 2 && *s == '"') {
        s++;
        n -= 2;
    }
    if (n == 0 || n >= sizeof text)
        return false;
    memcpy(text, s, n);
    text[n] = '\0';
    if (strspn(text, "0123456789") != n || n > 12)
        return false;
    *out = strtoull(text, NULL, 10);
    return true;
}

/* The members of ResultSet. */
static bool find_result(struct scanner *s, struct found *f)
{
    struct scanner key = {NULL, NULL};
    int rc;
    for (bool first = true; (rc = next_member(s, first, &key)) > 0; first = false) {
        struct scanner value = {s->at, NULL};
        if (!skip_value(s))
            return false;
        value.end = s->at;
        if (is_key(&key, "Result"))
            f->rows = value;
        else if (is_key(&key, "totalRecords"))
            read_total(&value, &f->total);
    }
    return rc == 0;
}

static bool find_rows(const struct vivo_buf *body, struct found *f)
{
    const char *text = body->len ? (const char *)body->data : "";
    struct scanner s = {text, text + body->len};
    struct scanner key = {NULL, NULL};
    int rc;
    *f = (struct found){.total = UINT64_MAX};
    skip_space(&s);
    if (s.at >= s.end || *s.at++ != '{')
        return false;
    for (bool first = true; (rc = next_member(&s, first, &key)) > 0; first = false) {
        bool set = is_key(&key, "ResultSet") && s.at < s.end && *s.at == '{';
        if (set)
            s.at++;
        if (set ? !find_result(&s, f) : !skip_value(&s))
            return false;
    }
    skip_space(&s);
    return rc == 0 && s.at == s.end && f->rows.at && *f->rows.at == '[';
}

/* ---- rows -------------------------------------------------------------------------
 */

static int take_rows(const struct found *f, xnat_row_fn *fn, void *ctx,
                     struct vivo_op *op)
{
    struct vivo_dicomjson_rows rows;
    const char *object;
    size_t len;
    uint64_t count = 0;
    int rc;
    vivo_dicomjson_rows_init(&rows, f->rows.at, (size_t)(f->rows.end - f->rows.at));
    while ((rc = vivo_dicomjson_next(&rows, &object, &len, &op->err)) > 0) {
        json_t *row = json_loadb(object, len, JSON_ALLOW_NUL, NULL);
        rc = row ? vivo_op_check(op)
                 : vivo_fail(&op->err, EBADMSG, "a row that is no JSON object");
        if (rc == 0)
            rc = fn(ctx, row, &op->err);
        json_decref(row);
        if (rc)
            return rc;
        count++;
    }
    if (rc == 0 && f->total != UINT64_MAX && count < f->total)
        return vivo_fail(&op->err, EIO, "%llu rows of %llu came",
                         (unsigned long long)count, (unsigned long long)f->total);
    return rc;
}

int vivo_xnat_rows(const struct vivo_buf *body, xnat_row_fn *fn, void *ctx,
                   struct vivo_op *op)
{
    struct found f;
    if (find_rows(body, &f))
        return take_rows(&f, fn, ctx, op);
    return vivo_fail(&op->err, EBADMSG,
                     body->len ? "the reply is no whole table of XNAT's"
                               : "an empty reply where a table belongs");
}

struct question {
    struct xnat *x;
    struct vivo_buf *body;
};

static int ask_table(void *ctx, const struct vivo_net_request *rq,
                     struct vivo_net_reply *reply, struct vivo_op *op)
{
    const struct question *q = ctx;
    struct vivo_net_request full = *rq;
    struct vivo_buf_sink sink;
    vivo_buf_clear(q->body);
    vivo_buf_sink_init(&sink, q->body);
    full.accept = "application/json";
    full.max_bytes = XNAT_TABLE_BYTES;
    full.close_ends = true; /* a JSON text tells where it ends */
    atomic_fetch_add(&q->x->base.requests, 1);
    int rc = vivo_net_fetch(q->x->base.net, &full, &sink.base, reply, op);
    atomic_fetch_add(&q->x->base.bytes, reply->received);
    return rc;
}

int vivo_xnat_table(struct xnat *x, const char *what, const char *path, xnat_row_fn *fn,
                    void *ctx, int *status, struct vivo_op *op)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf body = {0};
    struct vivo_net_reply reply = {0};
    struct question q = {x, &body};
    vivo_buf_init(&body, XNAT_TABLE_BYTES);
    int rc = vivo_xnat_ask(x, path, ask_table, &q, &reply, op);
    *status = reply.status;
    if (rc == 0)
        rc = vivo_xnat_rows(&body, fn, ctx, op);
    return rc < 0 && op->err.errnum == -rc ? vivo_fail_in(&op->err, "%s", what) : rc;
}

/* ---- cells ------------------------------------------------------------------------
 */

static const json_t *cell(const json_t *row, const char *name, size_t len)
{
    const char *key;
    json_t *value;
    /* The row is borrowed and not changed; jansson's iterators want it so. */
    json_object_foreach((json_t *)(uintptr_t)row, key, value)
    {
        if (strlen(key) == len && strncasecmp(key, name, len) == 0)
            return value;
    }
    return NULL;
}

bool vivo_xnat_has(const json_t *row, const char *column)
{
    return cell(row, column, strlen(column)) != NULL;
}

static bool cell_text(const json_t *v, char *out, size_t cap)
{
    size_t n = json_string_length(v);
    out[0] = '\0';
    if (json_is_string(v) && n < cap && !memchr(json_string_value(v), 0, n))
        memcpy(out, json_string_value(v), n + 1);
    else if (json_is_integer(v))
        snprintf(out, cap, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
    return out[0];
}

void vivo_xnat_text(const json_t *row, const char *columns, char *out, size_t cap)
{
    out[0] = '\0';
    for (const char *p = columns; *p;) {
        size_t n = strcspn(p, "|");
        const json_t *v = cell(row, p, n);
        if (v && cell_text(v, out, cap))
            return;
        p += n + (p[n] == '|');
    }
}

void vivo_xnat_date(const char *text, char out[9])
{
    static const char form[] = "dddd-dd-dd";
    size_t i = 0;
    out[0] = '\0';
    while (form[i] &&
           (form[i] == 'd' ? isdigit((unsigned char)text[i]) != 0 : text[i] == form[i]))
        i++;
    if (!form[i] && !isdigit((unsigned char)text[i]))
        snprintf(out, 9, "%.4s%.2s%.2s", text, text + 5, text + 8);
}
