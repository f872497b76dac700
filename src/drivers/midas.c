/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/midas.c -- archive = a MIDAS server, version 3.
 *
 * URL:      midas+http(s)://HOST[:PORT][/PATH], PATH as before /api/json
 * Lists:    top = communities; collection = everything below one: folders, items, the
 *           files of their last revision, and of each file that is not known the header
 * Locator:  ids, see midas.h
 * Source:   MIDAS Server's Web API, as in its source of 2019-04 (3.4.2); midas.md. */
#include "midas.h"

#include "source_url.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- open, close ------------------------------------------------------------------
 */

static void close_midas(struct vivo_archive *self)
{
    struct midas *m = midas_of(self);
    vivo_token_fini(&m->token);
    if (m->login)
        explicit_bzero(m->login, strlen(m->login));
    free(m->login);
    free(m->url);
    free(m);
}

static int read_source(struct midas *m, const char *source, struct vivo_err *err)
{
    const char *url = vivo_source_url(source, "midas+", false,
                                      "midas+https://HOST[:PORT][/PATH]", err);
    if (!url)
        return -EINVAL;
    m->url = vivo_source_base(url, strlen(url));
    return m->url ? 0 : vivo_fail(err, ENOMEM, "midas: out of memory");
}

/* ---- communities, folders, items ---------------------------------------------------
 */

/* -EBADMSG: `name` is there and no array. */
static int array_of(json_t *data, const char *name, json_t **out, struct vivo_err *err)
{
    *out = name ? json_object_get(data, name) : data;
    if (json_is_array(*out))
        return 0;
    if (name && json_is_object(data) && !*out)
        return 0;
    return vivo_fail(err, EBADMSG, "something else than a list came");
}

static int take_folders(json_t *data, struct vivo_shelf_node *into,
                        struct vivo_err *err)
{
    json_t *list, *row;
    size_t i;
    int rc = array_of(data, "folders", &list, err);
    if (rc)
        return rc;
    json_array_foreach(list, i, row)
    {
        char id[MIDAS_ID_MAX + 1];
        vivo_midas_id(row, "folder_id", id);
        if (!*id)
            return vivo_fail(err, EBADMSG, "a folder without an id");
        rc = vivo_shelf_child(into, 'f', id,
                              vivo_midas_text(row, "name", VIVO_SHELF_NAME_MAX), err);
        if (rc)
            return rc;
    }
    return 0;
}

static int take_items(json_t *data, struct vivo_shelf_node *into, struct vivo_err *err)
{
    json_t *list, *row;
    size_t i;
    int rc = array_of(data, "items", &list, err);
    if (rc)
        return rc;
    json_array_foreach(list, i, row)
    {
        char id[MIDAS_ID_MAX + 1];
        vivo_midas_id(row, "item_id", id);
        if (!*id)
            return vivo_fail(err, EBADMSG, "an item without an id");
        rc = vivo_shelf_child(into, 'i', id,
                              vivo_midas_text(row, "name", VIVO_SHELF_NAME_MAX), err);
        if (rc)
            return rc;
    }
    return 0;
}

static bool is_link(const json_t *row)
{
    const char *path = vivo_midas_text(row, "path", 8192);
    return strncmp(path, "http://", 7) == 0 || strncmp(path, "https://", 8) == 0;
}

/* The digest where it is told, else size and date; one line. */
static void make_version(const json_t *row, uint64_t size,
                         char out[VIVO_SHELF_VERSION_MAX])
{
    const char *sum = vivo_midas_text(row, "checksum", 64);
    if (*sum && strspn(sum, "0123456789abcdefABCDEF") == strlen(sum))
        snprintf(out, VIVO_SHELF_VERSION_MAX, "%s", sum);
    else
        snprintf(out, VIVO_SHELF_VERSION_MAX, "%" PRIu64 " %s", size,
                 vivo_midas_text(row, "date", 40));
    for (char *s = out; *s; s++)
        if ((unsigned char)*s < ' ')
            *s = ' ';
}

int vivo_midas_locator(const json_t *row, char out[VIVO_SHELF_LOCATOR_MAX],
                       uint64_t *size, struct vivo_err *err)
{
    char id[MIDAS_ID_MAX + 1];
    *size = is_link(row) ? UINT64_MAX : vivo_midas_number(row, "sizebytes");
    vivo_midas_id(row, "bitstream_id", id);
    if (!*id)
        return vivo_fail(err, EBADMSG, "a bitstream without an id");
    if (*size == UINT64_MAX)
        snprintf(out, VIVO_SHELF_LOCATOR_MAX, "%s/-", id);
    else
        snprintf(out, VIVO_SHELF_LOCATOR_MAX, "%s/%" PRIu64, id, *size);
    return 0;
}

static int take_bitstream(void *ctx, const json_t *row, struct vivo_err *err)
{
    struct vivo_shelf_node *into = ctx;
    char locator[VIVO_SHELF_LOCATOR_MAX], version[VIVO_SHELF_VERSION_MAX];
    uint64_t size;
    int rc = vivo_midas_locator(row, locator, &size, err);
    if (rc)
        return rc;
    make_version(row, size, version);
    return vivo_shelf_file(into, locator,
                           vivo_midas_text(row, "name", VIVO_SHELF_NAME_MAX), version,
                           size, err);
}

/* A server that does not know "head" tells all revisions. */
static json_t *last_revision(json_t *list)
{
    json_t *row, *last = NULL;
    uint64_t highest = 0;
    size_t i;
    json_array_foreach(list, i, row)
    {
        uint64_t n = vivo_midas_number(row, "revision");
        n = n == UINT64_MAX ? 0 : n;
        if (!last || n >= highest) {
            last = row;
            highest = n;
        }
    }
    return last;
}

int vivo_midas_files(json_t *item, midas_file_fn *fn, void *ctx, struct vivo_err *err)
{
    json_t *revisions, *files, *row;
    size_t i;
    int rc = array_of(item, "revisions", &revisions, err);
    json_t *last = rc == 0 ? last_revision(revisions) : NULL;
    if (!last)
        return rc; /* an item that is being made */
    rc = array_of(last, "bitstreams", &files, err);
    json_array_foreach(files, i, row)
    {
        if (rc == 0)
            rc = fn(ctx, row, err);
    }
    return rc;
}

static int read_node(struct vivo_shelf *self, char kind, const char *id,
                     struct vivo_shelf_node *into, struct vivo_op *op)
{
    struct midas *m = midas_of(self->archive);
    bool item = kind == 'i';
    const char *what = item ? "files of an item" : "what a folder holds";
    char query[MIDAS_ID_MAX + 16];
    json_t *data;
    snprintf(query, sizeof query, "%s%s", id, item ? "&head=1" : "");
    int rc = vivo_midas_call(m, what,
                             item          ? "item.get"
                             : kind == 'c' ? "community.children"
                                           : "folder.children",
                             query, &data, op);
    if (rc == -ENOENT) { /* it was listed a moment ago */
        op->err.errnum = EIO;
        return -EIO;
    }
    if (rc)
        return rc;
    if (!json_is_object(data))
        rc = vivo_fail(&op->err, EBADMSG, "something else than an object came");
    else if (item)
        rc = vivo_midas_files(data, take_bitstream, into, &op->err);
    else
        rc = take_folders(data, into, &op->err);
    if (rc == 0 && kind == 'f')
        rc = take_items(data, into, &op->err);
    json_decref(data);
    return rc < 0 && op->err.errnum == -rc ? vivo_fail_in(&op->err, "%s", what) : rc;
}

static int take_communities(json_t *data, struct vivo_shelf_tops *tops,
                            struct vivo_err *err)
{
    json_t *list, *row;
    size_t i;
    int rc = array_of(data, NULL, &list, err);
    if (rc)
        return rc;
    json_array_foreach(list, i, row)
    {
        char id[MIDAS_ID_MAX + 1];
        vivo_midas_id(row, "community_id", id);
        if (!*id)
            return vivo_fail(err, EBADMSG, "a community without an id");
        rc = vivo_shelf_tops_add(
            tops, id, vivo_midas_text(row, "name", VIVO_SHELF_NAME_MAX), err);
        if (rc)
            return rc;
    }
    return 0;
}

static int list_top(struct midas *m, struct vivo_intake *in, struct vivo_op *op)
{
    struct vivo_shelf_tops tops = {0};
    json_t *data;
    int rc = vivo_midas_call(m, "communities", "community.list", "", &data, op);
    if (rc == -ENOENT) {
        op->err.errnum = EIO;
        rc = -EIO;
    }
    if (rc == 0) {
        rc = take_communities(data, &tops, &op->err);
        if (rc)
            rc = vivo_fail_in(&op->err, "communities");
    }
    if (rc == 0)
        rc = vivo_shelf_tops_emit(&tops, 'c', in, op);
    json_decref(data);
    vivo_shelf_tops_free(&tops);
    return rc;
}

/* ---- files ------------------------------------------------------------------------
 */

struct asking {
    struct midas *m;
    struct vivo_ranged_header *header; /* or the file: */
    struct vivo_delivery *to;
    uint64_t size; /* as listed; 0 = not told */
};

static int ask_header(void *ctx, const struct vivo_net_request *rq,
                      struct vivo_net_reply *reply, struct vivo_op *op)
{
    struct asking *a = ctx;
    vivo_ranged_header_free(a->header);
    int rc = vivo_header_range(&a->m->base, rq, a->header, op);
    *reply = a->header->reply;
    return vivo_midas_not_a_page(a->size, reply, rc, op);
}

static int ask_file(void *ctx, const struct vivo_net_request *rq,
                    struct vivo_net_reply *reply, struct vivo_op *op)
{
    struct asking *a = ctx;
    int rc = vivo_shelf_fetch(&a->m->base, rq, a->size, a->to, reply, op);
    return vivo_midas_not_a_page(a->size, reply, rc, op);
}

int vivo_midas_read_locator(const char *locator, char id[MIDAS_ID_MAX + 1],
                            uint64_t *size, struct vivo_err *err)
{
    size_t n = strspn(locator, "0123456789");
    const char *told = locator + n + (locator[n] == '/');
    size_t digits = strspn(told, "0123456789");
    bool link = strcmp(told, "-") == 0;
    if (n == 0 || n > MIDAS_ID_MAX || locator[0] == '0' || locator[n] != '/' ||
        (!link &&
         (digits == 0 || digits > MIDAS_ID_MAX || told[digits] || told[0] == '0')))
        return vivo_fail(err, ENOENT, "not a locator of a file");
    *size = strtoull(told, NULL, 10);
    snprintf(id, MIDAS_ID_MAX + 1, "%.*s", (int)n, locator);
    return 0;
}

static int header(struct vivo_shelf *self, const char *locator,
                  struct vivo_ranged_header *out, struct vivo_op *op)
{
    struct asking a = {.m = midas_of(self->archive), .header = out};
    char id[MIDAS_ID_MAX + 1];
    *out = (struct vivo_ranged_header){0};
    int rc = vivo_midas_read_locator(locator, id, &a.size, &op->err);
    return rc ? rc : vivo_midas_download(a.m, id, ask_header, &a, op);
}

static int fetch(struct vivo_archive *self, const char *locator,
                 struct vivo_delivery *to, struct vivo_op *op)
{
    struct asking a = {.m = midas_of(self), .to = to};
    char id[MIDAS_ID_MAX + 1];
    int rc = vivo_midas_read_locator(locator, id, &a.size, &op->err);
    return rc ? rc : vivo_midas_download(a.m, id, ask_file, &a, op);
}

/* ---- the callbacks ----------------------------------------------------------------
 */

static int list(struct vivo_archive *self, enum vivo_level level, const char *parent,
                struct vivo_intake *in, struct vivo_op *op)
{
    struct midas *m = midas_of(self);
    if (level == VIVO_LEVEL_NONE)
        return list_top(m, in, op);
    size_t n = parent[0] == 'c' && parent[1] == '/' ? strlen(parent + 2) : 0;
    if (n == 0 || n > MIDAS_ID_MAX || strspn(parent + 2, "0123456789") != n)
        return vivo_fail(&op->err, ENOENT, "not a locator of a community");
    return vivo_shelf_run(&m->shelf, 'c', parent + 2, in, op);
}

static int probe(struct vivo_archive *self, struct vivo_op *op)
{
    json_t *data;
    int rc = vivo_midas_call(midas_of(self), "version", "version", "", &data, op);
    json_decref(data);
    if (rc == -ENOENT) {
        op->err.errnum = EIO;
        rc = -EIO;
    }
    return rc;
}

static int open_midas(const struct vivo_archive_config *cfg, struct vivo_archive **out,
                      struct vivo_err *err)
{
    if (!cfg->net)
        return vivo_fail(err, EINVAL, "midas: needs the network");
    struct midas *m = calloc(1, sizeof *m);
    if (!m)
        return vivo_fail(err, ENOMEM, "midas: out of memory");
    m->base.net = cfg->net;
    m->shelf = (struct vivo_shelf){.archive = &m->base,
                                   .name = "midas",
                                   .threads = cfg->jobs,
                                   .node = read_node,
                                   .header = header};
    vivo_token_init(&m->token);
    int rc = read_source(m, cfg->source, err);
    if (rc == 0)
        rc = vivo_midas_read_login(m, cfg->bearer, err);
    if (rc) {
        close_midas(&m->base);
        return rc;
    }
    *out = &m->base;
    return 0;
}

extern const struct vivo_driver vivo_driver_midas;
const struct vivo_driver vivo_driver_midas = {
    .name = "midas",
    .summary = "MIDAS server, version 3",
    .schemes = "midas+http midas+https",
    .caps = VIVO_CAP_SAME_BYTES,
    .lists = 1u << VIVO_LEVEL_NONE | 1u << VIVO_LEVEL_COLLECTION,
    .listed = NULL,
    .open = open_midas,
    .close = close_midas,
    .probe = probe,
    .list = list,
    .fetch = fetch,
    .bundle = vivo_midas_bundle,
};
