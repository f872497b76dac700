/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/http_index.c -- see http_index.h. HTML goes through libxml2's SAX
 * interface, so that a page of any length is never a tree; nothing that it refers to
 * is ever loaded. What each server writes: http.md. */
#include "http_index.h"

#include "crawl.h"
#include "dicomjson.h"

#include <jansson.h>
#include <libxml/HTMLparser.h>

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define CHUNK (64 * 1024)
#define TEXT_MAX 512 /* shown text of a link or a title */
#define HREF_MAX VIVO_CRAWL_URL_MAX

struct text { /* the beginning of a text, white space squeezed */
    char s[TEXT_MAX];
    size_t len;
};

enum place { ELSEWHERE, TITLE, LINK, AFTER };

struct page {
    const struct vivo_http_index *x;
    struct vivo_err *err;
    int rc;
    enum place place;
    struct text title, shown, after;
    char name[HREF_MAX]; /* of the link that is open or was last; len 0 = none */
    size_t name_len;
    char base[HREF_MAX]; /* the path that links are relative to; "" = the folder's */
    bool based;          /* the first <base href> of the page was seen */
    bool sends_away;     /* a page that leads to another one by itself */
    bool folder, parent;
    size_t links, named; /* children, and those whose text is their name */
};

/* ---- text ----------------------------------------------------------------------- */

static void text_add(struct text *t, const char *s, size_t len)
{
    for (size_t i = 0; i < len && t->len < sizeof t->s - 1; i++) {
        unsigned char c = (unsigned char)s[i];
        bool space = c <= ' ' || c == 0x7F ||
                     (c == 0xA0 && t->len && (unsigned char)t->s[t->len - 1] == 0xC2);
        if (!space)
            t->s[t->len++] = (char)c;
        else if (t->len > 0 && t->s[t->len - 1] != ' ')
            t->s[t->len++] = ' ';
    }
    t->s[t->len] = '\0';
}

static void text_trim(struct text *t)
{
    while (t->len > 0 && t->s[t->len - 1] == ' ')
        t->len--;
    t->s[t->len] = '\0';
}

/* "02-Jan-2006 15:04", "2006-01-02 15:04": a time of day, so that sizes and words
 * alone are no stamp. */
static bool has_time(const char *s)
{
    for (; *s; s++)
        if (isdigit((unsigned char)s[0]) && isdigit((unsigned char)s[1]) &&
            s[2] == ':' && isdigit((unsigned char)s[3]) && isdigit((unsigned char)s[4]))
            return true;
    return false;
}

/* ---- links ---------------------------------------------------------------------- */

/* The absolute path of a link to our own host, or NULL. A link without a scheme is
 * returned as it is. */
static const char *without_origin(const struct page *p, const char *href)
{
    size_t n = strlen(p->x->origin);
    size_t scheme =
        strspn(href, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
    if (strncmp(href, "//", 2) == 0) { /* our scheme, any host */
        const char *host = strstr(p->x->origin, "//");
        n = strlen(host);
        return strncasecmp(href, host, n) == 0 && href[n] == '/' ? href + n : NULL;
    }
    if (scheme == 0 || href[scheme] != ':')
        return href;
    if (strncasecmp(href, p->x->origin, n) == 0 && href[n] == '/')
        return href + n;
    return NULL;
}

/* Is decoded `path`, absolute, the folder itself or one above it? */
static bool is_above(const struct page *p, const char *path, size_t len)
{
    return len > 0 && path[len - 1] == '/' && strlen(p->x->folder) >= len &&
           strncmp(p->x->folder, path, len) == 0;
}

/* Cuts "NAME/index.html" to "NAME/" where folders are told so. */
static size_t cut_page(const struct page *p, const char *rel, size_t len)
{
    size_t n = strlen(p->x->page);
    if (n == 0 || len < n || memcmp(rel + len - n, p->x->page, n) != 0 ||
        (len > n && rel[len - n - 1] != '/'))
        return len;
    return len - n;
}

/* Takes the name out of `rel`, relative and still encoded. */
static void take_child(struct page *p, const char *rel)
{
    while (strncmp(rel, "./", 2) == 0)
        rel += 2;
    size_t len = cut_page(p, rel, strlen(rel));
    if (strncmp(rel, "..", 2) == 0 && (len == 2 || rel[2] == '/')) {
        p->parent = true;
        return;
    }
    p->folder = len > 0 && rel[len - 1] == '/';
    len -= p->folder;
    if (len == 0 || len >= sizeof p->name || memchr(rel, '/', len))
        return;
    long n = vivo_crawl_decode_link(rel, len, p->name);
    p->name_len = n > 0 ? (size_t)n : 0;
    p->name[p->name_len] = '\0';
}

/* HTML section 4.2.3: the first one of a page counts, wherever it stands. One that
 * leads to another host is not followed. */
static void take_base(struct page *p, const char *href)
{
    char path[HREF_MAX];
    href += strspn(href, " \t\r\n");
    size_t n = strcspn(href, "?#");
    if (p->based || n >= sizeof path)
        return;
    p->based = true;
    memcpy(path, href, n);
    path[n] = '\0';
    const char *ours = without_origin(p, path);
    if (!ours || !vivo_crawl_resolve(p->x->path, ours, p->base, sizeof p->base))
        p->base[0] = '\0';
}

static void take_link(struct page *p, const char *href)
{
    char path[HREF_MAX];
    char full[HREF_MAX];
    const char *ours;
    href += strspn(href, " \t\r\n");
    if (strpbrk(href, "?#") || strlen(href) >= sizeof path)
        return;
    ours = without_origin(p, href);
    if (ours && p->base[0]) {
        if (!vivo_crawl_resolve(p->base, ours, full, sizeof full))
            return;
        ours = full;
    }
    if (!ours || ours[0] != '/') {
        if (ours)
            take_child(p, ours);
        return;
    }
    long n = vivo_crawl_decode_link(ours, strlen(ours), path);
    if (n <= 0)
        return;
    size_t folder = strlen(p->x->folder);
    if (is_above(p, path, (size_t)n)) {
        p->parent = true;
        return;
    }
    /* Below the folder: cut off as much as the decoded folder takes of it. */
    if ((size_t)n <= folder || memcmp(path, p->x->folder, folder) != 0)
        return;
    const char *last = ours + strlen(ours);
    last -= last > ours && last[-1] == '/';
    size_t tail = cut_page(p, ours, (size_t)(last - ours));
    last = ours + tail - (tail > 0 && ours[tail - 1] == '/');
    const char *start = last;
    while (start > ours && start[-1] != '/')
        start--;
    long above = vivo_crawl_decode_link(ours, (size_t)(start - ours), path);
    if (above == (long)folder)
        take_child(p, start);
}

/* ---- entries -------------------------------------------------------------------- */

/* Servers show long names cut, as "NAME..>". */
static bool is_named(struct page *p)
{
    struct text *t = &p->shown;
    text_trim(t);
    while (t->len > 0 && strchr("/.>", t->s[t->len - 1]) &&
           t->len + 3 > p->name_len / 2)
        t->s[--t->len] = '\0';
    return t->len > 0 && strncmp(p->name, t->s, t->len) == 0;
}

/* The link that was open, or the text behind it, is over. */
static void end_entry(struct page *p)
{
    char stamp[VIVO_CRAWL_STAMP_MAX + 1];
    if (p->name_len > 0 && p->rc == 0) {
        text_trim(&p->after);
        p->links++;
        p->named += is_named(p);
        snprintf(stamp, sizeof stamp, "%.*s", VIVO_CRAWL_STAMP_MAX,
                 has_time(p->after.s) ? p->after.s : "");
        p->rc = p->x->entry(p->x->ctx, p->name, p->name_len, p->folder, stamp, p->err);
    }
    p->name_len = p->shown.len = p->after.len = 0;
    p->after.s[0] = p->shown.s[0] = '\0';
    p->place = ELSEWHERE;
}

static bool is_element(const xmlChar *name, const char *want)
{
    return strcasecmp((const char *)name, want) == 0;
}

static const char *attribute(const xmlChar **attrs, const char *name)
{
    for (; attrs && attrs[0]; attrs += 2)
        if (is_element(attrs[0], name) && attrs[1])
            return (const char *)attrs[1];
    return NULL;
}

/* Of pages, not of what they link to. */
static void take_head(struct page *p, const xmlChar *name, const xmlChar **attrs)
{
    const char *href = attribute(attrs, "href");
    const char *kind = attribute(attrs, "http-equiv");
    const char *content = attribute(attrs, "content");
    if (is_element(name, "base") && href)
        take_base(p, href);
    else if (is_element(name, "meta") && kind && strcasecmp(kind, "refresh") == 0 &&
             content && strcasestr(content, "url"))
        p->sends_away = true;
}

static void on_start(void *ctx, const xmlChar *name, const xmlChar **attrs)
{
    struct page *p = ctx;
    take_head(p, name, attrs);
    if (is_element(name, "title") || is_element(name, "h1")) {
        end_entry(p);
        p->place = TITLE;
    } else if (is_element(name, "tr") || is_element(name, "li") ||
               is_element(name, "hr") || is_element(name, "address")) {
        end_entry(p);
    } else if (is_element(name, "a")) {
        end_entry(p);
        if (attribute(attrs, "href"))
            take_link(p, attribute(attrs, "href"));
        p->place = LINK;
    }
}

static void on_end(void *ctx, const xmlChar *name)
{
    struct page *p = ctx;
    if (is_element(name, "a") && p->place == LINK)
        p->place = AFTER;
    else if (is_element(name, "tr") || is_element(name, "li") ||
             is_element(name, "pre") || is_element(name, "table") ||
             is_element(name, "title") || is_element(name, "h1"))
        end_entry(p);
    else if (is_element(name, "td") && p->place == AFTER)
        text_add(&p->after, " ", 1);
}

static void on_text(void *ctx, const xmlChar *s, int len)
{
    struct page *p = ctx;
    struct text *t = p->place == TITLE   ? &p->title
                     : p->place == LINK  ? &p->shown
                     : p->place == AFTER ? &p->after
                                         : NULL;
    if (t)
        text_add(t, (const char *)s, (size_t)len);
}

/* ---- HTML ----------------------------------------------------------------------- */

static bool is_index(struct page *p)
{
    static const char *const words[] = {"index of", "directory listing", "listing of"};
    for (size_t i = 0; i < VIVO_ARRAY_LEN(words); i++)
        if (strcasestr(p->title.s, words[i]))
            return true;
    if (p->sends_away)
        return false;
    return p->parent || (p->links > 0 && p->named * 2 >= p->links);
}

/* Does the text end as a whole page does? */
static bool ends_whole(const char *s, size_t len)
{
    static const char end[] = "</html>";
    while (len > 0 && (unsigned char)s[len - 1] <= ' ')
        len--;
    return len >= sizeof end - 1 &&
           strncasecmp(s + len - (sizeof end - 1), end, sizeof end - 1) == 0;
}

static int feed(htmlParserCtxtPtr parser, struct page *p, const char *text, size_t len)
{
    for (size_t off = 0; off < len && p->rc == 0; off += CHUNK)
        (void)htmlParseChunk(parser, text + off,
                             (int)VIVO_MIN(len - off, (size_t)CHUNK), 0);
    if (p->rc == 0)
        (void)htmlParseChunk(parser, "", 0, 1);
    end_entry(p);
    return p->rc;
}

/* Two passes: the first one finds out whether it is an index at all, and what its links
 * are relative to. */
static int read_html(const struct vivo_http_index *x, const char *text, size_t len,
                     struct page *p, struct vivo_err *err)
{
    xmlSAXHandler sax = {.startElement = on_start,
                         .endElement = on_end,
                         .characters = on_text,
                         .cdataBlock = on_text};
    p->x = x;
    p->err = err;
    htmlParserCtxtPtr parser =
        htmlCreatePushParserCtxt(&sax, p, "", 0, NULL, XML_CHAR_ENCODING_UTF8);
    if (!parser)
        return vivo_fail(err, ENOMEM, "index page: out of memory");
    htmlCtxtUseOptions(parser, HTML_PARSE_NONET | HTML_PARSE_NOERROR |
                                   HTML_PARSE_NOWARNING | HTML_PARSE_RECOVER);
    int rc = feed(parser, p, text, len);
    htmlFreeParserCtxt(parser);
    return rc;
}

static int count_only(void *ctx, const char *name, size_t len, bool folder,
                      const char *stamp, struct vivo_err *err)
{
    (void)ctx;
    (void)name;
    (void)len;
    (void)folder;
    (void)stamp;
    (void)err;
    return 0;
}

static int read_page(const struct vivo_http_index *x, const char *text, size_t len,
                     bool certain, struct vivo_err *err)
{
    struct vivo_http_index look = *x;
    VIVO_AUTO(vivo_free_p) struct page *p = calloc(1, sizeof *p);
    if (!p)
        return vivo_fail(err, ENOMEM, "index page: out of memory");
    look.entry = count_only;
    int rc = read_html(&look, text, len, p, err);
    if (rc == 0 && !is_index(p))
        rc = vivo_fail(err, EBADMSG,
                       "the server answers a page that is no index of files");
    if (rc == 0 && !certain && !ends_whole(text, len))
        rc = vivo_fail(err, EIO, "an index page without an end: it may be cut");
    return rc ? rc : read_html(x, text, len, p, err);
}

/* ---- JSON ----------------------------------------------------------------------- */

static const char *string_of(json_t *row, const char *key)
{
    const char *s = json_string_value(json_object_get(row, key));
    return s ? s : "";
}

/* name, and type "directory", "dir" or is_dir; time as text or seconds, size. */
static int take_row(const struct vivo_http_index *x, json_t *row, struct vivo_err *err)
{
    char stamp[VIVO_CRAWL_STAMP_MAX + 1] = "";
    const char *name = string_of(row, "name");
    const char *type = string_of(row, "type");
    const char *time = string_of(row, "mtime");
    size_t len = strlen(name);
    json_t *seconds = json_object_get(row, "mtime");
    json_t *size = json_object_get(row, "size");
    bool folder = json_is_true(json_object_get(row, "is_dir")) ||
                  strcmp(type, "directory") == 0 || strcmp(type, "dir") == 0;
    if (!*name || (!*type && !json_is_boolean(json_object_get(row, "is_dir"))))
        return vivo_fail(err, EBADMSG, "the JSON is no index of files");
    if (strcmp(type, "other") == 0)
        return 0;
    if (folder && name[len - 1] == '/')
        len--;
    if (!*time)
        time = string_of(row, "mod_time");
    if (*time)
        snprintf(stamp, sizeof stamp, "%.60s %lld", time,
                 (long long)json_integer_value(size));
    else if (json_is_integer(seconds))
        snprintf(stamp, sizeof stamp, "%lld %lld",
                 (long long)json_integer_value(seconds),
                 (long long)json_integer_value(size));
    for (char *s = stamp; *s; s++)
        *s = (unsigned char)*s < ' ' ? ' ' : *s;
    return x->entry(x->ctx, name, len, folder, stamp, err);
}

static int read_json(const struct vivo_http_index *x, const char *text, size_t len,
                     struct vivo_err *err)
{
    struct vivo_dicomjson_rows rows;
    const char *object;
    size_t n;
    int rc;
    vivo_dicomjson_rows_init(&rows, text, len);
    while ((rc = vivo_dicomjson_next(&rows, &object, &n, err)) > 0) {
        json_t *row = json_loadb(object, n, JSON_REJECT_DUPLICATES, NULL);
        rc = row ? take_row(x, row, err)
                 : vivo_fail(err, EBADMSG, "the index is not valid JSON");
        json_decref(row);
        if (rc)
            return rc;
    }
    return rc;
}

int vivo_http_index_read(const struct vivo_http_index *x, const void *text, size_t len,
                         bool certain, struct vivo_err *err)
{
    const char *s = text;
    size_t skip = 0;
    while (skip < len && (unsigned char)s[skip] <= ' ')
        skip++;
    if (skip == len)
        return vivo_fail(err, EBADMSG, "the index page is empty");
    if (s[skip] == '[')
        return read_json(x, s, len, err);
    return read_page(x, s, len, certain, err);
}
