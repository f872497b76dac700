/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/girder.c -- archive = a Girder server, as data.kitware.com.
 *
 * URL:      girder+http(s)://HOST[:PORT][/PATH][/api/v1][/collection/ID | /folder/ID],
 *           also as browsers show it: …/#collection/ID/folder/ID
 * Lists:    top = collections; collection = everything below it: folders, items and
 *           files, and of each file that is not known the header, by ranges
 * Locator:  ids, see girder.h
 * Source:   Girder's REST API, version 1, as in its source of 2026-08; girder.md. */
#include "girder.h"

#include "source_url.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PAGE_ROWS 1000

/* ---- open, close ------------------------------------------------------------------
 */

static void close_girder(struct vivo_archive *self)
{
    struct girder *g = girder_of(self);
    vivo_token_fini(&g->token);
    if (g->key)
        explicit_bzero(g->key, strlen(g->key));
    free(g->key);
    free(g->url);
    free(g);
}

/* "collection/ID" or "folder/ID", several of which may follow one another. */
static int read_place(struct girder *g, const char *s, struct vivo_err *err)
{
    g->top = 'r';
    for (s += strspn(s, "/"); *s; s += strspn(s, "/")) {
        size_t word = strcspn(s, "/");
        const char *id = s + word + (s[word] == '/');
        size_t len = strcspn(id, "/");
        bool collection = word == 10 && strncmp(s, "collection", word) == 0;
        bool folder = word == 6 && strncmp(s, "folder", word) == 0;
        if ((!collection && !folder) || !vivo_girder_id_ok(id, len))
            return vivo_fail(err, EINVAL,
                             "below the API's address only collection/ID and folder/ID "
                             "may follow, with ids of 24 hexadecimal digits");
        g->top = collection ? 'c' : 'f';
        snprintf(g->id, sizeof g->id, "%.*s", (int)len, id);
        s = id + len;
    }
    return 0;
}

/* Where what is below the API's address begins; *base_len bytes stand before it. */
static const char *split(const char *url, size_t *base_len)
{
    static const char *const marks[] = {"/#", "/api/v1/", "/collection/", "/folder/"};
    for (size_t i = 0; i < VIVO_ARRAY_LEN(marks); i++) {
        const char *at = strstr(strstr(url, "://") + 3, marks[i]);
        if (!at)
            continue;
        *base_len = (size_t)(at - url);
        return at + (i < 2 ? strlen(marks[i]) : 1);
    }
    *base_len = strlen(url);
    return "";
}

static int read_source(struct girder *g, const char *source, struct vivo_err *err)
{
    static const char api[] = "/api/v1";
    const char *url =
        vivo_source_url(source, "girder+", true, "girder+https://HOST[/api/v1]", err);
    size_t len;
    if (!url)
        return -EINVAL;
    int rc = read_place(g, split(url, &len), err);
    if (rc)
        return rc;
    while (url[len - 1] == '/')
        len--;
    size_t n = sizeof api - 1;
    bool whole = len > n && strncmp(url + len - n, api, n) == 0;
    if (asprintf(&g->url, "%.*s%s", (int)len, url, whole ? "" : api) < 0) {
        g->url = NULL;
        return vivo_fail(err, ENOMEM, "girder: out of memory");
    }
    return 0;
}

static int read_key(struct girder *g, const char *bearer, struct vivo_err *err)
{
    if (!bearer)
        return 0;
    if (!*bearer || strlen(bearer) > VIVO_TOKEN_MAX ||
        strspn(bearer, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                       "0123456789-_.") != strlen(bearer))
        return vivo_fail(err, EINVAL,
                         "bearer=FILE: Girder wants an API key or a token");
    g->key = strdup(bearer);
    return g->key ? 0 : vivo_fail(err, ENOMEM, "girder: out of memory");
}

/* ---- files and folders ------------------------------------------------------------
 */

/* A digest where the server gives one, else size and times; one line. */
static void make_version(const json_t *row, uint64_t size,
                         char out[VIVO_SHELF_VERSION_MAX])
{
    const char *sum = vivo_girder_text(row, "sha512", 128);
    const char *updated = vivo_girder_text(row, "updated", 40);
    if (!*updated)
        updated = vivo_girder_text(row, "created", 40);
    if (*sum && strspn(sum, "0123456789abcdefABCDEF") == strlen(sum))
        snprintf(out, VIVO_SHELF_VERSION_MAX, "%s", sum);
    else
        snprintf(out, VIVO_SHELF_VERSION_MAX, "%" PRIu64 " %s", size, updated);
    for (char *s = out; *s; s++)
        if ((unsigned char)*s < ' ')
            *s = ' ';
}

/* UINT64_MAX: not told. */
static uint64_t size_of(const json_t *row)
{
    const json_t *v = json_object_get(row, "size");
    if (!json_is_integer(v) || json_integer_value(v) < 0)
        return UINT64_MAX;
    return (uint64_t)json_integer_value(v);
}

void vivo_girder_locator(const json_t *row, const char *id,
                         char out[VIVO_SHELF_LOCATOR_MAX], uint64_t *size)
{
    *size = size_of(row);
    if (*size == UINT64_MAX)
        snprintf(out, VIVO_SHELF_LOCATOR_MAX, "%s/-", id);
    else
        snprintf(out, VIVO_SHELF_LOCATOR_MAX, "%s/%" PRIu64, id, *size);
}

static int take_file(void *ctx, const json_t *row, const char *id, struct vivo_err *err)
{
    char locator[VIVO_SHELF_LOCATOR_MAX], version[VIVO_SHELF_VERSION_MAX];
    uint64_t size;
    vivo_girder_locator(row, id, locator, &size);
    make_version(row, size, version);
    const char *name = vivo_girder_text(row, "name", VIVO_SHELF_NAME_MAX);
    return vivo_shelf_file(ctx, locator, name, version, size, err);
}

static int take_folder(void *ctx, const json_t *row, const char *id,
                       struct vivo_err *err)
{
    return vivo_shelf_child(ctx, 'f', id,
                            vivo_girder_text(row, "name", VIVO_SHELF_NAME_MAX), err);
}

/* Most items are one file and have its name: where only objects are shown, one that is
 * called like a picture is not asked for its files. */
static int take_item(void *ctx, const json_t *row, const char *id, struct vivo_err *err)
{
    char locator[VIVO_SHELF_LOCATOR_MAX], version[VIVO_SHELF_VERSION_MAX];
    const char *name = vivo_girder_text(row, "name", VIVO_SHELF_NAME_MAX);
    if (vivo_shelf_extras(ctx) || !vivo_crawl_is_surely_other(name))
        return vivo_shelf_child(ctx, 'i', id, name, err);
    make_version(row, 1, version);
    snprintf(locator, sizeof locator, "%s/item", id);
    return vivo_shelf_file(ctx, locator, name, version, 1, err);
}

static int read_node(struct vivo_shelf *self, char kind, const char *id,
                     struct vivo_shelf_node *into, struct vivo_op *op)
{
    struct girder *g = girder_of(self->archive);
    char path[128];
    if (kind == 'i') {
        snprintf(path, sizeof path, "/item/%s/files?", id);
        return vivo_girder_rows(g, "files of an item", path, take_file, into, op);
    }
    snprintf(path, sizeof path, "/folder?parentType=%s&parentId=%s&",
             kind == 'c' ? "collection" : "folder", id);
    int rc = vivo_girder_rows(g, "folders of a folder", path, take_folder, into, op);
    if (rc || kind == 'c')
        return rc;
    snprintf(path, sizeof path, "/item?folderId=%s&", id);
    return vivo_girder_rows(g, "items of a folder", path, take_item, into, op);
}

/* ---- collections ------------------------------------------------------------------
 */

static int take_collection(void *ctx, const json_t *row, const char *id,
                           struct vivo_err *err)
{
    return vivo_shelf_tops_add(ctx, id,
                               vivo_girder_text(row, "name", VIVO_SHELF_NAME_MAX), err);
}

static int find_collections(struct girder *g, struct vivo_shelf_tops *c,
                            struct vivo_op *op)
{
    char path[128];
    json_t *row = NULL;
    if (g->top == 'r')
        return vivo_girder_rows(g, "collections", "/collection?", take_collection, c,
                                op);
    snprintf(path, sizeof path, "/%s/%s", g->top == 'c' ? "collection" : "folder",
             g->id);
    int rc = vivo_girder_object(g, "the collection of the source", path, &row, op);
    if (rc == 0)
        rc = take_collection(c, row, g->id, &op->err);
    json_decref(row);
    return rc;
}

static int list_top(struct girder *g, struct vivo_intake *in, struct vivo_op *op)
{
    struct vivo_shelf_tops c = {0};
    int rc = find_collections(g, &c, op);
    if (rc == -ENOENT) { /* of the address as a whole */
        op->err.errnum = EIO;
        rc = -EIO;
    }
    if (rc == 0)
        rc = vivo_shelf_tops_emit(&c, g->top == 'f' ? 'f' : 'c', in, op);
    vivo_shelf_tops_free(&c);
    return rc;
}

/* ---- the callbacks ----------------------------------------------------------------
 */

static int list(struct vivo_archive *self, enum vivo_level level, const char *parent,
                struct vivo_intake *in, struct vivo_op *op)
{
    struct girder *g = girder_of(self);
    if (level == VIVO_LEVEL_NONE)
        return list_top(g, in, op);
    if ((parent[0] != 'c' && parent[0] != 'f') || parent[1] != '/' ||
        !vivo_girder_id_ok(parent + 2, strlen(parent + 2)))
        return vivo_fail(&op->err, ENOENT, "not a locator of a collection");
    return vivo_shelf_run(&g->shelf, parent[0], parent + 2, in, op);
}

int vivo_girder_read_locator(const char *locator, char id[GIRDER_ID_LEN + 1],
                             uint64_t *size, struct vivo_err *err)
{
    const char *told = locator + VIVO_MIN(strlen(locator), GIRDER_ID_LEN + 1u);
    size_t digits = strspn(told, "0123456789");
    bool right = strlen(locator) > GIRDER_ID_LEN && told[-1] == '/' &&
                 vivo_girder_id_ok(locator, GIRDER_ID_LEN) &&
                 (strcmp(told, "-") == 0 ||
                  (digits > 0 && digits < 16 && !told[digits] && told[0] != '0'));
    if (!right)
        return vivo_fail(err, ENOENT, "not a locator of a file");
    *size = strtoull(told, NULL, 10);
    snprintf(id, GIRDER_ID_LEN + 1, "%.*s", GIRDER_ID_LEN, locator);
    return 0;
}

static int read_locator(const char *locator, char path[128], uint64_t *size,
                        struct vivo_err *err)
{
    char id[GIRDER_ID_LEN + 1];
    int rc = vivo_girder_read_locator(locator, id, size, err);
    if (rc == 0)
        snprintf(path, 128, "/file/%s/download", id);
    return rc;
}

struct asking {
    struct girder *g;
    struct vivo_ranged_header *header; /* or the file: */
    struct vivo_delivery *to;
    uint64_t size;
};

/* A file that is not there (any more) is an "Invalid file id", 400. */
static int not_there(int rc, const struct vivo_net_reply *reply, struct vivo_op *op)
{
    if (rc != -EIO || reply->status != 400 ||
        !strstr(reply->refusal, "Invalid file id"))
        return rc;
    op->err.errnum = ENOENT;
    return -ENOENT;
}

static int ask_header(void *ctx, const struct vivo_net_request *rq,
                      struct vivo_net_reply *reply, struct vivo_op *op)
{
    struct asking *a = ctx;
    struct vivo_net_request full = *rq;
    full.what = "a file";
    vivo_ranged_header_free(a->header);
    int rc = vivo_header_range(&a->g->base, &full, a->header, op);
    *reply = a->header->reply;
    return not_there(rc, reply, op);
}

static int header(struct vivo_shelf *self, const char *locator,
                  struct vivo_ranged_header *out, struct vivo_op *op)
{
    struct asking a = {.g = girder_of(self->archive), .header = out};
    char path[128];
    *out = (struct vivo_ranged_header){0};
    int rc = read_locator(locator, path, &a.size, &op->err);
    return rc ? rc : vivo_girder_ask(a.g, path, ask_header, &a, op);
}

static int ask_file(void *ctx, const struct vivo_net_request *rq,
                    struct vivo_net_reply *reply, struct vivo_op *op)
{
    struct asking *a = ctx;
    struct vivo_net_request full = *rq;
    full.what = "a file";
    int rc = vivo_shelf_fetch(&a->g->base, &full, a->size, a->to, reply, op);
    return not_there(rc, reply, op);
}

static int fetch(struct vivo_archive *self, const char *locator,
                 struct vivo_delivery *to, struct vivo_op *op)
{
    struct asking a = {.g = girder_of(self), .to = to};
    char path[128];
    int rc = read_locator(locator, path, &a.size, &op->err);
    return rc ? rc : vivo_girder_ask(a.g, path, ask_file, &a, op);
}

static int probe(struct vivo_archive *self, struct vivo_op *op)
{
    return vivo_girder_probe(girder_of(self), op);
}

static int open_girder(const struct vivo_archive_config *cfg, struct vivo_archive **out,
                       struct vivo_err *err)
{
    if (!cfg->net)
        return vivo_fail(err, EINVAL, "girder: needs the network");
    struct girder *g = calloc(1, sizeof *g);
    if (!g)
        return vivo_fail(err, ENOMEM, "girder: out of memory");
    g->base.net = cfg->net;
    g->page = PAGE_ROWS;
    g->shelf = (struct vivo_shelf){.archive = &g->base,
                                   .name = "girder",
                                   .threads = cfg->jobs,
                                   .node = read_node,
                                   .header = header};
    vivo_token_init(&g->token);
    int rc = read_source(g, cfg->source, err);
    if (rc == 0)
        rc = read_key(g, cfg->bearer, err);
    if (rc) {
        close_girder(&g->base);
        return rc;
    }
    *out = &g->base;
    return 0;
}

extern const struct vivo_driver vivo_driver_girder;
const struct vivo_driver vivo_driver_girder = {
    .name = "girder",
    .summary = "Girder server (data.kitware.com, and any other)",
    .schemes = "girder+http girder+https",
    .caps = VIVO_CAP_SAME_BYTES,
    .lists = 1u << VIVO_LEVEL_NONE | 1u << VIVO_LEVEL_COLLECTION,
    .listed = NULL,
    .open = open_girder,
    .close = close_girder,
    .probe = probe,
    .list = list,
    .fetch = fetch,
    .bundle = vivo_girder_bundle,
};
