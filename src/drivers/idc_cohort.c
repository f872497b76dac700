/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/idc_cohort.c -- the REST API, version 3: manifests of cohorts, for
 * servers that answer no SQL.
 *
 * POST /cohort/manifest gives the series that meet a filter, page by page; the page may
 * be smaller than was asked for, so what counts is how many the server says there are.
 * Filters mind case, so the values that the server has (GET /attributes/A/values) are
 * compared here, and those that are meant are put into the filter. Source: IDC's guide
 * of its REST API (3.0.0b5). */
#include "idc.h"

#include "vivofs/text.h"

#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define VALUES_LIMIT 10000 /* the API's own cap */
#define TERMS_MAX 1000     /* values of one condition */
#define PAGES_MAX 100000

/* ---- pages ------------------------------------------------------------------------
 */

/* "series" is what the server calls its rows; "rows" is what its tables call theirs. */
static const json_t *rows_of(const json_t *reply)
{
    static const char *const names[] = {"series", "rows", "manifest"};
    for (size_t i = 0; i < VIVO_ARRAY_LEN(names); i++)
        if (json_is_array(json_object_get(reply, names[i])))
            return json_object_get(reply, names[i]);
    return NULL;
}

static int take_page(const json_t *reply, size_t *seen, size_t *total, idc_row_fn *fn,
                     void *ctx, struct vivo_op *op)
{
    const json_t *rows = rows_of(reply);
    const json_t *all = json_object_get(reply, "total_series");
    if (!rows || !json_is_integer(all) || json_integer_value(all) < 0)
        return vivo_fail(&op->err, EBADMSG,
                         "a manifest without rows, or that does not say how many");
    if (*seen && *total != (size_t)json_integer_value(all))
        return vivo_fail(&op->err, EIO, "the index changed while it was read");
    *total = (size_t)json_integer_value(all);
    *seen += json_array_size(rows);
    if (*seen > *total)
        return vivo_fail(&op->err, EIO, "the server gives more rows than there are");
    if (json_array_size(rows) == 0 && *seen < *total)
        return vivo_fail(&op->err, EIO, "rows are missing at the end");
    for (size_t i = 0; i < json_array_size(rows); i++) {
        int rc = vivo_op_check(op);
        if (rc == 0 && !json_is_object(json_array_get(rows, i)))
            rc = vivo_fail(&op->err, EBADMSG, "a row that is no JSON object");
        if (rc == 0)
            rc = fn(ctx, json_array_get(rows, i), &op->err);
        if (rc)
            return rc;
    }
    return 0;
}

int vivo_idc_cohort(struct idc *c, json_t *filters, idc_row_fn *fn, void *ctx,
                    struct vivo_op *op)
{
    size_t seen = 0, total = 0;
    int rc;
    int page = 0;
    do {
        json_t *ask = json_pack("{s:O,s:i,s:i}", "filters", filters, "page", page,
                                "page_size", IDC_PAGE_ROWS);
        char *body = ask ? json_dumps(ask, JSON_COMPACT) : NULL;
        json_t *reply = NULL;
        rc = body ? vivo_idc_ask(c, "cohort/manifest", body, &reply, NULL, op)
                  : vivo_fail(&op->err, ENOMEM, "idc: out of memory");
        if (rc == 0)
            rc = take_page(reply, &seen, &total, fn, ctx, op);
        json_decref(reply);
        json_decref(ask);
        free(body);
    } while (rc == 0 && seen < total && ++page < PAGES_MAX);
    if (rc == 0 && seen < total)
        rc = vivo_fail(&op->err, EIO, "cohort/manifest: more than %d pages", PAGES_MAX);
    return rc;
}

/* ---- filters ----------------------------------------------------------------------
 */

/* As queries compare text: folded, spaces at the ends aside. Of a pattern a superset:
 * '?' is as good as '*', and who asked looks again. */
static int comparable(const char *text, bool pattern, struct vivo_buf *out)
{
    size_t len = strlen(text);
    while (len && text[len - 1] == ' ')
        len--;
    while (len && *text == ' ') {
        text++;
        len--;
    }
    vivo_buf_clear(out);
    int rc = vivo_text_fold(text, len, out);
    for (size_t i = 0; rc == 0 && pattern && i < out->len; i++)
        if (strchr("?[]", out->data[i]))
            out->data[i] = '*';
    return rc ? rc : vivo_buf_add(out, "", 1);
}

static bool is_meant(const struct vivo_match *m, const char *value, struct vivo_buf *a,
                     struct vivo_buf *b)
{
    bool found = comparable(value, false, a) != 0; /* then it stays in */
    for (size_t i = 0; !found && i < m->n; i++) {
        found = comparable(m->values[i], m->wild, b) != 0 ||
                (m->wild ? fnmatch((char *)b->data, (char *)a->data, FNM_NOESCAPE)
                         : strcmp((char *)b->data, (char *)a->data)) == 0;
    }
    return found;
}

/* The server's own spellings of what is meant; none: the condition cannot be asked. */
static json_t *spellings(const struct vivo_match *m, const json_t *reply)
{
    const json_t *values = json_object_get(reply, "values");
    json_t *out = json_array();
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf a = {0};
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf b = {0};
    vivo_buf_init(&a, 1u << 20);
    vivo_buf_init(&b, 1u << 20);
    bool usable = json_is_array(values) &&
                  !json_is_true(json_object_get(reply, "truncated")) &&
                  json_array_size(values) < VALUES_LIMIT;
    for (size_t i = 0; usable && i < json_array_size(values); i++) {
        const json_t *v = json_array_get(values, i);
        json_t *text = json_is_object(v) ? json_object_get(v, "value") : NULL;
        if (json_is_string(text) && is_meant(m, json_string_value(text), &a, &b))
            usable =
                json_array_append(out, text) == 0 && json_array_size(out) <= TERMS_MAX;
    }
    if (usable && out)
        return out;
    json_decref(out);
    return NULL;
}

static int ask_spellings(struct idc *c, const struct vivo_match *m, const char *column,
                         json_t **out, struct vivo_op *op)
{
    char path[128];
    json_t *reply = NULL;
    *out = NULL;
    snprintf(path, sizeof path, "attributes/%s/values?limit=%d", column, VALUES_LIMIT);
    int rc = vivo_op_check(op);
    if (rc == 0 && vivo_idc_ask(c, path, NULL, &reply, NULL, op) == 0)
        *out = spellings(m, reply);
    json_decref(reply);
    if (rc == 0)
        rc = vivo_op_check(op); /* else the next best way is not to ask that */
    if (rc == 0)
        vivo_err_clear(&op->err);
    return rc;
}

static json_t *uids_of(const struct vivo_match *m)
{
    json_t *out = json_array();
    bool good = out && m->kind == VIVO_MATCH_ANY_OF && !m->wild && m->n <= TERMS_MAX;
    for (size_t i = 0; good && i < m->n; i++)
        good = vivo_idc_uid_ok(m->values[i]) &&
               json_array_append_new(out, json_string(m->values[i])) == 0;
    if (good)
        return out;
    json_decref(out);
    return NULL;
}

int vivo_idc_filters(struct idc *c, const struct vivo_match *matches, size_t n,
                     uint64_t *answered, json_t **out, struct vivo_op *op)
{
    json_t *terms = json_object();
    int rc = terms ? 0 : vivo_fail(&op->err, ENOMEM, "idc: out of memory");
    *answered = 0;
    for (size_t i = 0; rc == 0 && i < n && i < 64; i++) {
        const char *column = vivo_idc_term(matches[i].tag);
        json_t *values = NULL;
        if (!column || json_object_get(terms, column) ||
            matches[i].kind != VIVO_MATCH_ANY_OF)
            continue;
        if (strstr(column, "InstanceUID"))
            values = uids_of(&matches[i]);
        else
            rc = ask_spellings(c, &matches[i], column, &values, op);
        if (rc == 0 && values) {
            *answered |= UINT64_C(1) << i;
            if (json_object_set(terms, column, values) < 0)
                rc = vivo_fail(&op->err, ENOMEM, "idc: out of memory");
        }
        json_decref(values);
    }
    *out = rc == 0 ? json_pack("{s:O}", "terms", terms) : NULL;
    json_decref(terms);
    return rc ? rc : *out ? 0 : vivo_fail(&op->err, ENOMEM, "idc: out of memory");
}
