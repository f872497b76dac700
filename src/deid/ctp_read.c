/* SPDX-License-Identifier: Apache-2.0 */
/* src/deid/ctp_read.c -- a script's file becomes rows: XML (expat, without document
 * types and so without entities) or the older lines of properties; and the table of
 * @lookup. */
#include "ctp.h"

#include <ctype.h>
#include <errno.h>
#include <expat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_MAX 20000
#define PARAMS_MAX 1000
#define TABLE_MAX 2000000
#define ROW_TEXT_MAX 65536

static int no_memory(struct vivo_err *err)
{
    return vivo_fail(err, ENOMEM, "no memory for a script");
}

/* One more element in an array that grows by doubling. */
static void *grow(void *array, size_t n, size_t *cap, size_t max, size_t size)
{
    if (n < *cap)
        return array;
    if (n >= max)
        return NULL;
    size_t more = *cap ? 2 * *cap : 64;
    void *now = reallocarray(array, more, size);
    if (now)
        *cap = more;
    return now;
}

/* ---- rows ----------------------------------------------------------------------- */

/* gggg[Owner]ee */
static bool private_tag(struct vivo_ctp *c, const char *s, struct vivo_ctp_row *row)
{
    size_t len = strlen(s);
    char digits[8] = {s[0],
                      s[1],
                      s[2],
                      s[3],
                      '0',
                      '0',
                      len > 2 ? s[len - 2] : '\0',
                      len > 2 ? s[len - 1] : '\0'};
    if (len < 9 || s[4] != '[' || s[len - 3] != ']' ||
        !vivo_ctp_hex_tag(digits, 8, &row->tag) || !(row->tag >> 16 & 1))
        return false;
    row->creator = vivo_arena_strndup(c->arena, s + 5, len - 8);
    return row->creator != NULL;
}

static int add_row(struct vivo_ctp *c, const char *tag, const char *text, unsigned line,
                   struct vivo_err *err)
{
    struct vivo_ctp_row row = {.line = line};
    struct vivo_ctp_ref ref;
    struct vivo_err ignored = {0};
    if (strlen(tag) > 4 && tag[4] == '[') {
        if (!private_tag(c, tag, &row))
            return vivo_script_fail(c, line, err, "no private element: %.60s", tag);
    } else if (!vivo_ctp_hex_tag(tag, strlen(tag), &row.tag)) {
        if (vivo_ctp_ref_parse(tag, strlen(tag), &ref, &ignored) || ref.n != 1)
            return vivo_script_fail(c, line, err, "no element: %.60s", tag);
        row.tag = ref.path[0];
    }
    row.text = vivo_arena_strndup(c->arena, text, strlen(text));
    void *rows = grow(c->rows, c->nrows, &c->cap, ROWS_MAX, sizeof *c->rows);
    if (!row.text || !rows)
        return no_memory(err);
    c->rows = rows;
    c->rows[c->nrows++] = row;
    return 0;
}

static int add_param(struct vivo_ctp *c, const char *name, const char *value,
                     struct vivo_err *err)
{
    struct vivo_ctp_pair pair = {
        vivo_arena_strndup(c->arena, name, strlen(name)),
        vivo_arena_strndup(c->arena, value, strlen(value)),
    };
    void *params =
        grow(c->params, c->nparams, &c->params_cap, PARAMS_MAX, sizeof *c->params);
    if (!pair.key || !pair.value || !params)
        return no_memory(err);
    c->params = params;
    c->params[c->nparams++] = pair;
    return 0;
}

static int add_keep(struct vivo_ctp *c, const char *what, unsigned line,
                    struct vivo_err *err)
{
    if (!strcmp(what, "safeprivateelements")) {
        c->keep_safe = true;
        return 0;
    }
    const char *digits = strncmp(what, "group", 5) ? what : what + 5;
    size_t n = strlen(digits);
    char full[8] = "00000000";
    uint32_t tag;
    if (n >= 1 && n <= 4)
        memcpy(full + 4 - n, digits, n);
    if (n < 1 || n > 4 || !vivo_ctp_hex_tag(full, 8, &tag))
        return vivo_script_fail(c, line, err, "cannot keep '%.40s'", what);
    if (tag >> 16 & 1)
        return vivo_script_fail(
            c, line, err,
            "private groups cannot be kept whole; safeprivateelements "
            "keeps those that are safe");
    if (c->nkeep == VIVO_CTP_GROUPS_MAX)
        return vivo_script_fail(c, line, err, "too many groups");
    c->keep[c->nkeep++] = (uint16_t)(tag >> 16);
    return 0;
}

static int add_removal(struct vivo_ctp *c, const char *what, unsigned line,
                       struct vivo_err *err)
{
    if (!strcmp(what, "privategroups"))
        c->remove_private = true;
    else if (!strcmp(what, "unspecifiedelements"))
        c->remove_unlisted = true;
    else if (!strcmp(what, "curves"))
        c->remove_curves = true;
    else if (!strcmp(what, "overlays"))
        c->remove_overlays = true;
    else
        return vivo_script_fail(c, line, err, "cannot remove '%.40s'", what);
    return 0;
}

/* ---- XML --------------------------------------------------------------------------
 */

struct reading {
    struct vivo_ctp *c;
    struct vivo_err *err;
    XML_Parser parser;
    int rc;
    unsigned depth, line;
    char kind; /* of the element that is open below the root: p e k r */
    bool enabled;
    char t[256];
    struct vivo_buf text;
};

static void stop(struct reading *r, int rc)
{
    if (!r->rc)
        r->rc = rc;
    XML_StopParser(r->parser, XML_FALSE);
}

static unsigned line_of(const struct reading *r)
{
    return (unsigned)XML_GetCurrentLineNumber(r->parser);
}

static void XMLCALL on_doctype(void *ctx, const XML_Char *name, const XML_Char *sysid,
                               const XML_Char *pubid, int internal)
{
    struct reading *r = ctx;
    (void)name, (void)sysid, (void)pubid, (void)internal;
    if (r->rc)
        return;
    stop(r, vivo_script_fail(r->c, line_of(r), r->err,
                             "a script has no document type and no entities"));
}

static void take_attributes(struct reading *r, const XML_Char **atts)
{
    for (size_t i = 0; atts[i]; i += 2) {
        if (!strcmp(atts[i], "t"))
            snprintf(r->t, sizeof r->t, "%s", atts[i + 1]);
        else if (!strcmp(atts[i], "en"))
            r->enabled = !strcmp(atts[i + 1], "T");
    }
}

static void XMLCALL on_start(void *ctx, const XML_Char *name, const XML_Char **atts)
{
    struct reading *r = ctx;
    r->depth++;
    if (r->rc)
        return;
    if (r->depth == 1) {
        if (strcmp(name, "script"))
            stop(r, vivo_script_fail(r->c, line_of(r), r->err,
                                     "the root is <%.40s>, not <script>", name));
        return;
    }
    if (r->depth > 2 || strlen(name) != 1 || !strchr("pekr", *name)) {
        stop(r, vivo_script_fail(r->c, line_of(r), r->err, "<%.40s> has no place here",
                                 name));
        return;
    }
    r->kind = *name;
    r->line = line_of(r);
    r->enabled = *name == 'p';
    r->t[0] = '\0';
    vivo_buf_clear(&r->text);
    take_attributes(r, atts);
    if (!r->t[0])
        stop(r, vivo_script_fail(r->c, r->line, r->err, "<%s> without t", name));
}

static void XMLCALL on_text(void *ctx, const XML_Char *s, int len)
{
    struct reading *r = ctx;
    if (!r->rc && r->depth == 2 && vivo_buf_add(&r->text, s, (size_t)len))
        stop(r, vivo_script_fail(r->c, line_of(r), r->err, "its text is too long"));
}

static char *trimmed(struct vivo_buf *b)
{
    if (!b->data || !b->len)
        return NULL;
    char *s = (char *)b->data;
    size_t n = strlen(s);
    while (n && isspace((unsigned char)s[n - 1]))
        s[--n] = '\0';
    while (isspace((unsigned char)*s))
        s++;
    return s;
}

static void XMLCALL on_end(void *ctx, const XML_Char *name)
{
    struct reading *r = ctx;
    int rc = 0;
    (void)name;
    /* expat still ends an element in whose beginning it was stopped. */
    if (r->depth-- != 2 || !r->enabled || r->rc)
        return;
    const char *text = trimmed(&r->text);
    if (!text)
        text = "";
    if (r->kind == 'p')
        rc = add_param(r->c, r->t, text, r->err);
    else if (r->kind == 'e')
        rc = add_row(r->c, r->t, text, r->line, r->err);
    else if (r->kind == 'k')
        rc = add_keep(r->c, r->t, r->line, r->err);
    else
        rc = add_removal(r->c, r->t, r->line, r->err);
    if (rc)
        stop(r, rc);
}

static int read_xml(struct vivo_ctp *c, const char *text, size_t len,
                    struct vivo_err *err)
{
    struct reading r = {.c = c, .err = err, .parser = XML_ParserCreate(NULL)};
    if (!r.parser)
        return no_memory(err);
    vivo_buf_init(&r.text, ROW_TEXT_MAX);
    XML_SetUserData(r.parser, &r);
    XML_SetElementHandler(r.parser, on_start, on_end);
    XML_SetCharacterDataHandler(r.parser, on_text);
    XML_SetStartDoctypeDeclHandler(r.parser, on_doctype);
    enum XML_Status status = XML_Parse(r.parser, text, (int)len, 1);
    int rc = r.rc;
    if (!rc && status != XML_STATUS_OK)
        rc = vivo_script_fail(c, line_of(&r), err, "not XML: %s",
                              XML_ErrorString(XML_GetErrorCode(r.parser)));
    XML_ParserFree(r.parser);
    vivo_buf_free(&r.text);
    return rc;
}

/* ---- properties -------------------------------------------------------------------
 */

/* set.[gggg,eeee]Name=script: the name is a label. */
static int read_set(struct vivo_ctp *c, char *key, const char *value, unsigned line,
                    struct vivo_err *err)
{
    if (key[0] == '[' && strlen(key) >= 11 && key[10] == ']')
        key[11] = '\0';
    return add_row(c, key, value, line, err);
}

static int read_line(struct vivo_ctp *c, char *text, unsigned line,
                     struct vivo_err *err)
{
    while (isspace((unsigned char)*text))
        text++;
    if (!*text || *text == '#' || *text == '!')
        return 0;
    char *value = strchr(text, '=');
    if (!value)
        return vivo_script_fail(c, line, err, "neither a comment nor NAME=VALUE");
    char *end = value++;
    while (end > text && isspace((unsigned char)end[-1]))
        end--;
    *end = '\0';
    while (isspace((unsigned char)*value))
        value++;
    if (!strncmp(text, "param.", 6))
        return add_param(c, text + 6, value, err);
    if (!strncmp(text, "set.", 4))
        return read_set(c, text + 4, value, line, err);
    if (!strncmp(text, "keep.", 5))
        return add_keep(c, text + 5, line, err);
    if (!strncmp(text, "remove.", 7))
        return add_removal(c, text + 7, line, err);
    return vivo_script_fail(c, line, err, "none of param. set. keep. remove.");
}

typedef int line_fn(struct vivo_ctp *c, char *text, unsigned line,
                    struct vivo_err *err);

static int each_line(struct vivo_ctp *c, const char *text, size_t len, line_fn *fn,
                     struct vivo_err *err)
{
    unsigned line = 0;
    for (size_t at = 0; at < len;) {
        const char *end = memchr(text + at, '\n', len - at);
        size_t n = end ? (size_t)(end - text) - at : len - at;
        line++;
        if (memchr(text + at, '\0', n))
            return vivo_script_fail(c, line, err, "not a text");
        VIVO_AUTO(vivo_free_p) char *copy = strndup(text + at, n);
        if (!copy)
            return no_memory(err);
        for (size_t k = n; k && isspace((unsigned char)copy[k - 1]); k--)
            copy[k - 1] = '\0';
        int rc = fn(c, copy, line, err);
        if (rc)
            return rc;
        at += n + 1;
    }
    return 0;
}

int vivo_ctp_read(struct vivo_ctp *c, const char *text, size_t len,
                  struct vivo_err *err)
{
    size_t at = len >= 3 && !memcmp(text, "\xEF\xBB\xBF", 3) ? 3 : 0;
    while (at < len && isspace((unsigned char)text[at]))
        at++;
    if (at < len && text[at] == '<')
        return read_xml(c, text, len, err);
    return each_line(c, text, len, read_line, err);
}

/* ---- the table of @lookup
 * ------------------------------------------------------------ */

static int read_pair(struct vivo_ctp *c, char *text, unsigned line,
                     struct vivo_err *err)
{
    while (isspace((unsigned char)*text))
        text++;
    char *value = strchr(text, '=');
    if (!*text || *text == '#' || *text == '!')
        return 0;
    if (!value) /* what stands there may be an identifier: it is not repeated */
        return vivo_fail(err, EINVAL, "lookup table, line %u: not KEY/VALUE=TEXT",
                         line);
    char *end = value++;
    while (end > text && isspace((unsigned char)end[-1]))
        end--;
    *end = '\0';
    while (isspace((unsigned char)*value))
        value++;
    struct vivo_ctp_pair pair = {vivo_arena_strndup(c->arena, text, strlen(text)),
                                 vivo_arena_strndup(c->arena, value, strlen(value))};
    void *table = grow(c->table, c->ntable, &c->table_cap, TABLE_MAX, sizeof *c->table);
    if (!pair.key || !pair.value || !table)
        return no_memory(err);
    c->table = table;
    c->table[c->ntable++] = pair;
    return 0;
}

static int compare_pairs(const void *a, const void *b)
{
    return strcmp(((const struct vivo_ctp_pair *)a)->key,
                  ((const struct vivo_ctp_pair *)b)->key);
}

int vivo_ctp_read_table(struct vivo_ctp *c, const char *text, size_t len,
                        struct vivo_err *err)
{
    int rc = each_line(c, text, len, read_pair, err);
    if (!rc && c->ntable)
        qsort(c->table, c->ntable, sizeof *c->table, compare_pairs);
    return rc;
}

const char *vivo_ctp_lookup(const struct vivo_ctp *c, const char *key)
{
    const struct vivo_ctp_pair want = {key, NULL};
    const struct vivo_ctp_pair *hit =
        c->ntable ? bsearch(&want, c->table, c->ntable, sizeof *c->table, compare_pairs)
                  : NULL;
    return hit ? hit->value : NULL;
}
