/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/s3_page.c -- listings of keys: ListObjectsV2 (API version 2006-03-01),
 * page by page, over libxml2's streaming reader.
 *
 * A listing is complete or an error, so a page must say whether another one follows,
 * and each must begin behind the last: a store that ignores the token would list for
 * ever. Entities are never expanded and a document type ends the reading. */
#include "drivers/s3.h"

#include <libxml/xmlreader.h>

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define TEXT_MAX 8192 /* a key, encoded */
#define EMPTY_PAGES_MAX 100
#define QUERY_MAX 24576

enum part { NOTHING, KEY, ETAG, SIZE, MODIFIED, TRUNCATED, NEXT, ENCODING };

static const struct {
    int depth;
    const char *parent, *name;
    enum part part;
} parts[] = {
    {2, "Contents", "Key", KEY},       {2, "Contents", "ETag", ETAG},
    {2, "Contents", "Size", SIZE},     {2, "Contents", "LastModified", MODIFIED},
    {1, "", "IsTruncated", TRUNCATED}, {1, "", "NextContinuationToken", NEXT},
    {1, "", "EncodingType", ENCODING},
};

struct entry {
    char key[TEXT_MAX], etag[160], size[32], modified[64];
};

struct reading {
    vivo_s3_entry_fn *fn;
    void *ctx;
    struct vivo_err *err;
    struct vivo_s3_page *page;
    bool listing; /* the outermost element is ListBucketResult */
    bool inside;  /* a Contents */
    enum part part;
    struct vivo_buf text;
    struct entry entry;
    char truncated[8];
    bool encoded; /* keys are URL-encoded, as was asked for */
};

static pthread_once_t xml_once = PTHREAD_ONCE_INIT;

static void init_xml(void)
{
    xmlInitParser();
}

/* ---- values --------------------------------------------------------------------- */

static int hex_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* In place. Spaces come as '+' from some stores; a '+' of the key itself is encoded. */
static bool decode(char *s)
{
    char *out = s;
    for (; *s; s++) {
        if (*s != '%') {
            *out++ = *s == '+' ? ' ' : *s;
            continue;
        }
        int high = hex_of(s[1]);
        int low = high < 0 ? -1 : hex_of(s[2]);
        if (low < 0 || (high == 0 && low == 0))
            return false;
        *out++ = (char)(high << 4 | low);
        s += 2;
    }
    *out = '\0';
    return true;
}

/* ETags are a digest in quotes; whatever stands there, only plain characters count. */
static void make_tag(const struct entry *e, char out[VIVO_S3_TAG_MAX + 1])
{
    const char *from = e->etag[0] ? e->etag : e->modified;
    size_t n = 0;
    if (e->etag[0] && strncmp(from, "W/", 2) == 0)
        from += 2;
    if (*from)
        out[n++] = e->etag[0] ? 'e' : 't';
    for (; *from && n < VIVO_S3_TAG_MAX; from++)
        if (*from > ' ' && *from < 0x7F && !strchr("\"/%", *from))
            out[n++] = *from;
    out[n] = '\0';
}

static int end_entry(struct reading *r)
{
    struct entry *e = &r->entry;
    char tag[VIVO_S3_TAG_MAX + 1];
    size_t digits = strspn(e->size, "0123456789");
    if (!e->key[0] || digits == 0 || digits > 15 || e->size[digits])
        return vivo_fail(r->err, EBADMSG, "an entry without a key or a size");
    if ((r->encoded && !decode(e->key)) || strlen(e->key) > 3 * VIVO_S3_KEY_MAX)
        return vivo_fail(r->err, EBADMSG, "a key that is not encoded as it should be");
    make_tag(e, tag);
    const struct vivo_s3_entry entry = {e->key, tag, strtoull(e->size, NULL, 10)};
    r->page->keys++;
    return r->fn(r->ctx, &entry, r->err);
}

static int keep_text(struct reading *r, char *out, size_t cap)
{
    if (r->text.len >= cap)
        return vivo_fail(r->err, EBADMSG, "a text of the listing is too long");
    if (r->text.len)
        memcpy(out, r->text.data, r->text.len);
    out[r->text.len] = '\0';
    return 0;
}

static int end_part(struct reading *r)
{
    struct entry *e = &r->entry;
    char word[16];
    switch (r->part) {
    case KEY:
        return keep_text(r, e->key, sizeof e->key);
    case ETAG:
        return keep_text(r, e->etag, sizeof e->etag);
    case SIZE:
        return keep_text(r, e->size, sizeof e->size);
    case MODIFIED:
        return keep_text(r, e->modified, sizeof e->modified);
    case TRUNCATED:
        return keep_text(r, r->truncated, sizeof r->truncated);
    case NEXT:
        return keep_text(r, r->page->next, sizeof r->page->next);
    case ENCODING:
        if (keep_text(r, word, sizeof word) || strcmp(word, "url") != 0)
            return vivo_fail(r->err, EBADMSG, "keys in an encoding not asked for");
        return 0;
    case NOTHING:
        break;
    }
    return 0;
}

/* ---- elements ------------------------------------------------------------------- */

static enum part part_of(int depth, bool inside, const char *name)
{
    for (size_t i = 0; i < VIVO_ARRAY_LEN(parts); i++)
        if (parts[i].depth == depth && (depth == 1 || inside) &&
            strcmp(parts[i].name, name) == 0)
            return parts[i].part;
    return NOTHING;
}

static int begin_element(struct reading *r, int depth, const char *name)
{
    /* S3 may find out late, when 200 has been said already. */
    if (depth == 0 && strcmp(name, "Error") == 0)
        return vivo_fail(r->err, EBADMSG, "the store answers an error, not a listing");
    if (depth == 0 && strcmp(name, "ListBucketResult") != 0)
        return vivo_fail(r->err, EBADMSG,
                         strcasecmp(name, "html") == 0
                             ? "the store answers HTML, not a listing"
                             : "the store answers something else than a listing");
    r->listing = true;
    if (depth == 1 && strcmp(name, "Contents") == 0) {
        r->inside = true;
        memset(&r->entry, 0, sizeof r->entry);
    }
    r->part = part_of(depth, r->inside, name);
    vivo_buf_clear(&r->text);
    return 0;
}

static int end_element(struct reading *r, int depth, const char *name)
{
    int rc = r->part ? end_part(r) : 0;
    r->part = NOTHING;
    if (rc == 0 && depth == 1 && r->inside && strcmp(name, "Contents") == 0) {
        r->inside = false;
        rc = end_entry(r);
    }
    return rc;
}

static int take_node(struct reading *r, xmlTextReaderPtr x)
{
    int depth = xmlTextReaderDepth(x);
    const char *name = (const char *)xmlTextReaderConstLocalName(x);
    const xmlChar *text;
    int rc;
    switch (xmlTextReaderNodeType(x)) {
    case XML_READER_TYPE_ELEMENT:
        rc = begin_element(r, depth, name);
        return rc == 0 && xmlTextReaderIsEmptyElement(x) ? end_element(r, depth, name)
                                                         : rc;
    case XML_READER_TYPE_END_ELEMENT:
        return end_element(r, depth, name);
    case XML_READER_TYPE_DOCUMENT_TYPE:
    case XML_READER_TYPE_ENTITY_REFERENCE:
        return vivo_fail(r->err, EBADMSG,
                         "the store answers HTML or XML with entities, not a listing");
    case XML_READER_TYPE_TEXT:
    case XML_READER_TYPE_CDATA:
    case XML_READER_TYPE_WHITESPACE:
    case XML_READER_TYPE_SIGNIFICANT_WHITESPACE:
        text = r->part ? xmlTextReaderConstValue(x) : NULL;
        if (text && vivo_buf_puts(&r->text, (const char *)text))
            return vivo_fail(r->err, EBADMSG, "a text of the listing is too long");
        return 0;
    default:
        return 0;
    }
}

static int read_all(struct reading *r, xmlTextReaderPtr x)
{
    int more;
    while ((more = xmlTextReaderRead(x)) == 1) {
        int rc = take_node(r, x);
        if (rc)
            return rc;
    }
    if (more < 0 || !r->listing)
        return vivo_fail(r->err, EBADMSG, "the store answers no XML, or a cut one");
    if (strcmp(r->truncated, "true") == 0)
        r->page->truncated = true;
    else if (strcmp(r->truncated, "false") != 0)
        return vivo_fail(r->err, EBADMSG, "a listing that says not whether it is all");
    if (r->page->truncated && !r->page->next[0])
        return vivo_fail(r->err, EBADMSG, "a part of a listing without a next one");
    return 0;
}

/* The word stands in front of the keys or behind them. */
static bool is_encoded(const struct vivo_buf *body)
{
    return memmem(body->data, body->len, "<EncodingType>url</", 19) != NULL;
}

int vivo_s3_page_read(const struct vivo_buf *body, vivo_s3_entry_fn *fn, void *ctx,
                      struct vivo_s3_page *out, struct vivo_err *err)
{
    struct reading r = {.fn = fn, .ctx = ctx, .err = err, .page = out};
    *out = (struct vivo_s3_page){0};
    pthread_once(&xml_once, init_xml);
    if (body->len == 0 || body->len > VIVO_S3_PAGE_BYTES)
        return vivo_fail(err, EBADMSG, "an empty reply, not a listing");
    xmlTextReaderPtr x =
        xmlReaderForMemory((const char *)body->data, (int)body->len, NULL, NULL,
                           XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    if (!x)
        return vivo_fail(err, ENOMEM, "s3: out of memory");
    r.encoded = is_encoded(body);
    vivo_buf_init(&r.text, TEXT_MAX);
    int rc = read_all(&r, x);
    vivo_buf_free(&r.text);
    xmlFreeTextReader(x);
    return rc;
}

/* ---- pages ---------------------------------------------------------------------- */

struct turning {
    struct vivo_s3_pages *pages;
    vivo_s3_entry_fn *fn;
    void *ctx;
    struct vivo_op *op;
    bool begun;
    char newest[sizeof((struct vivo_s3_pages *)0)->last];
};

static int take_entry(void *ctx, const struct vivo_s3_entry *e, struct vivo_err *err)
{
    struct turning *t = ctx;
    const struct vivo_s3_pages *p = t->pages;
    int rc = vivo_op_check(t->op);
    if (rc)
        return rc;
    if (strncmp(e->key, p->prefix, strlen(p->prefix)) != 0)
        return vivo_fail(err, EIO, "the store lists keys that were not asked for");
    if (!t->begun && p->any && strcmp(e->key, p->last) <= 0)
        return vivo_fail(err, EIO, "the store begins its listing again and again");
    t->begun = true;
    snprintf(t->newest, sizeof t->newest, "%s", e->key);
    return t->fn(t->ctx, e, err);
}

static int make_query(const struct vivo_s3_pages *p, struct vivo_buf *out)
{
    int rc = 0;
    if (p->token[0]) {
        rc = vivo_buf_puts(out, "continuation-token=");
        if (rc == 0)
            rc = vivo_s3_encode(p->token, false, out);
        if (rc == 0)
            rc = vivo_buf_puts(out, "&");
    }
    if (rc == 0)
        rc = vivo_buf_puts(out, "encoding-type=url&list-type=2&max-keys=1000&prefix=");
    return rc ? rc : vivo_s3_encode(p->prefix, false, out);
}

static int get_page(struct vivo_s3 *s, const struct vivo_s3_pages *p,
                    struct vivo_buf *body, struct vivo_op *op)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf query = {0};
    struct vivo_net_reply reply;
    struct vivo_buf_sink sink;
    vivo_buf_init(&query, QUERY_MAX);
    vivo_buf_init(body, VIVO_S3_PAGE_BYTES);
    if (make_query(p, &query))
        return vivo_fail(&op->err, EIO, "the token of a listing is too long");
    const struct vivo_s3_ask ask = {.bucket = p->bucket,
                                    .key = "",
                                    .query = (const char *)query.data,
                                    .max_bytes = VIVO_S3_PAGE_BYTES};
    vivo_buf_sink_init(&sink, body);
    int rc = vivo_s3_ask(s, &ask, &sink.base, &reply, op);
    if (rc == -ENOENT)
        return vivo_fail_in(&op->err, "no such bucket, or no store");
    return rc;
}

int vivo_s3_next_page(struct vivo_s3 *s, struct vivo_s3_pages *p, vivo_s3_entry_fn *fn,
                      void *ctx, struct vivo_op *op)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf body = {0};
    struct turning t = {.pages = p, .fn = fn, .ctx = ctx, .op = op};
    struct vivo_s3_page page;
    int rc = vivo_op_check(op);
    if (rc == 0)
        rc = get_page(s, p, &body, op);
    if (rc == 0)
        rc = vivo_s3_page_read(&body, take_entry, &t, &page, &op->err);
    if (rc)
        return rc;
    if (page.truncated && strcmp(page.next, p->token) == 0)
        return vivo_fail(&op->err, EIO, "the store gives the same page again");
    if (page.keys == 0 && page.truncated && ++p->empty > EMPTY_PAGES_MAX)
        return vivo_fail(&op->err, EIO, "the store gives empty pages only");
    if (page.keys) {
        memcpy(p->last, t.newest, sizeof p->last);
        p->any = true;
        p->empty = 0;
    }
    memcpy(p->token, page.next, sizeof p->token);
    p->over = !page.truncated;
    return 0;
}

int vivo_s3_list(struct vivo_s3 *s, const char *bucket, const char *prefix,
                 vivo_s3_entry_fn *fn, void *ctx, struct vivo_op *op)
{
    struct vivo_s3_pages p = {.bucket = bucket, .prefix = prefix};
    int rc = 0;
    while (rc == 0 && !p.over)
        rc = vivo_s3_next_page(s, &p, fn, ctx, op);
    return rc;
}
