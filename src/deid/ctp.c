/* SPDX-License-Identifier: Apache-2.0 */
/* src/deid/ctp.c -- loads a script: file, rows, parts, checks, and what of it would
 * show what the basic profile hides. */
#include "ctp.h"

#include "vivofs/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCRIPT_MAX (8u << 20)
#define TABLE_MAX (64u << 20)
#define ARENA_MAX (256u << 20)
#define TABLE_NAME "lookup-table.properties"
#define TABLE_PARAM "LOOKUPTABLE"

int vivo_script_fail(const struct vivo_ctp *c, unsigned line, struct vivo_err *err,
                     const char *fmt, ...)
{
    char text[160];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return vivo_fail(err, EINVAL, "%s:%u: %s", c->name, line, text);
}

const char *vivo_ctp_param(const struct vivo_ctp *c, const char *name, size_t len)
{
    for (size_t i = 0; i < c->nparams; i++)
        if (strlen(c->params[i].key) == len && !memcmp(c->params[i].key, name, len))
            return c->params[i].value;
    return NULL;
}

static int compare_rows(const void *a, const void *b)
{
    const struct vivo_ctp_row *x = a, *y = b;
    if (!x->creator != !y->creator)
        return x->creator ? 1 : -1;
    if (x->tag != y->tag)
        return x->tag < y->tag ? -1 : 1;
    return 0;
}

const struct vivo_ctp_row *vivo_ctp_find(const struct vivo_ctp *c, uint32_t tag)
{
    size_t low = 0, high = c->nrows;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        const struct vivo_ctp_row *row = &c->rows[mid];
        if (row->creator || row->tag > tag)
            high = mid;
        else if (row->tag < tag)
            low = mid + 1;
        else
            return row;
    }
    return NULL;
}

/* ---- the table of @lookup ---------------------------------------------------------
 */

static bool asks_table(const struct vivo_ctp_script *s)
{
    for (size_t i = 0; s && i < s->n; i++) {
        const struct vivo_ctp_part *p = &s->parts[i];
        if (p->fn == VIVO_CTP_LOOKUP || p->fn == VIVO_CTP_DATEINTERVAL ||
            (p->fn == VIVO_CTP_INCREMENTDATE && p->nrefs == 2))
            return true;
        if (asks_table(p->yes) || asks_table(p->no))
            return true;
    }
    return false;
}

static int table_path(const struct vivo_ctp *c, char **out, struct vivo_err *err)
{
    const char *name = vivo_ctp_param(c, TABLE_PARAM, strlen(TABLE_PARAM));
    size_t dir = (size_t)(c->name - c->file);
    if (!name)
        name = TABLE_NAME;
    int n = name[0] == '/' ? asprintf(out, "%s", name)
                           : asprintf(out, "%.*s%s", (int)dir, c->file, name);
    if (n >= 0)
        return 0;
    *out = NULL;
    return vivo_fail(err, ENOMEM, "no memory for a script");
}

/* What the table gives is written into objects, whose character set may have nothing
 * but ASCII. */
static int check_table(const struct vivo_ctp *c, struct vivo_err *err)
{
    for (size_t i = 0; i < c->ntable; i++)
        for (const char *p = c->table[i].value; *p; p++)
            if (*p & 0x80 || *p < 32)
                return vivo_fail(err, EINVAL,
                                 "lookup table: a replacement is not ASCII");
    return 0;
}

static int load_table(struct vivo_ctp *c, struct vivo_sha256 *sha, struct vivo_err *err)
{
    const struct vivo_ctp_row *asks = NULL;
    for (size_t i = 0; i < c->nrows && !asks; i++)
        if (asks_table(c->rows[i].script))
            asks = &c->rows[i];
    if (!asks)
        return 0;
    VIVO_AUTO(vivo_free_p) char *path = NULL;
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf text = {0};
    struct vivo_err why = {0};
    vivo_buf_init(&text, TABLE_MAX);
    int rc = table_path(c, &path, err);
    if (rc)
        return rc;
    if (vivo_file_read(path, text.max, &text, &why))
        return vivo_script_fail(c, asks->line, err,
                                "its lookup table (parameter " TABLE_PARAM
                                ", or " TABLE_NAME " beside it): %s",
                                why.text);
    vivo_sha256_add(sha, text.data ? text.data : (const uint8_t *)"", text.len);
    rc = vivo_ctp_read_table(c, text.data ? (char *)text.data : "", text.len, err);
    vivo_wipe(text.data, text.len);
    return rc ? rc : check_table(c, err);
}

/* ---- loading ------------------------------------------------------------------------
 */

static int parse_rows(struct vivo_ctp *c, struct vivo_err *err)
{
    if (c->nrows)
        qsort(c->rows, c->nrows, sizeof *c->rows, compare_rows);
    for (size_t i = 0; i < c->nrows; i++) {
        struct vivo_ctp_row *row = &c->rows[i];
        if (i && !row->creator && !compare_rows(row, row - 1))
            return vivo_script_fail(c, row->line, err, "(%04x,%04x) stands twice",
                                    row->tag >> 16, row->tag & 0xFFFF);
        int rc = vivo_ctp_parse(c, row, err);
        if (rc)
            return rc;
    }
    return vivo_ctp_check(c, err);
}

static int load(struct vivo_ctp *c, const char *text, size_t len, struct vivo_err *err)
{
    struct vivo_sha256 *sha = vivo_sha256_begin();
    if (!sha)
        return vivo_fail(err, ENOMEM, "no memory for a script");
    vivo_sha256_add(sha, c->alone ? "alone" : "union", 5);
    vivo_sha256_add(sha, text, len);
    int rc = vivo_ctp_read(c, text, len, err);
    if (!rc)
        rc = parse_rows(c, err);
    if (!rc)
        rc = load_table(c, sha, err);
    vivo_sha256_end(sha, c->digest);
    return rc;
}

int vivo_ctp_load_text(const char *path, const char *text, size_t len, bool alone,
                       struct vivo_ctp **out, struct vivo_err *err)
{
    struct vivo_ctp *c = calloc(1, sizeof *c);
    if (!c)
        return vivo_fail(err, ENOMEM, "no memory for a script");
    c->alone = alone;
    c->arena = vivo_arena_new(ARENA_MAX);
    c->file = c->arena ? vivo_arena_strndup(c->arena, path, strlen(path)) : NULL;
    int rc = c->file ? 0 : vivo_fail(err, ENOMEM, "no memory for a script");
    if (!rc) {
        const char *slash = strrchr(c->file, '/');
        c->name = slash ? slash + 1 : c->file;
        rc = load(c, text, len, err);
    }
    if (rc) {
        vivo_ctp_free(c);
        return rc;
    }
    *out = c;
    return 0;
}

int vivo_ctp_load(const char *path, bool alone, struct vivo_ctp **out,
                  struct vivo_err *err)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf text = {0};
    vivo_buf_init(&text, SCRIPT_MAX);
    int rc = vivo_file_read(path, text.max, &text, err);
    if (rc)
        return rc;
    return vivo_ctp_load_text(path, text.data ? (char *)text.data : "", text.len, alone,
                              out, err);
}

void vivo_ctp_free(struct vivo_ctp *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->nregexes; i++) {
        regfree(c->regexes[i]);
        free(c->regexes[i]);
    }
    free(c->regexes);
    free(c->rows);
    free(c->params);
    free(c->table);
    vivo_arena_free(c->arena);
    free(c);
}
