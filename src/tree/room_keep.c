/* SPDX-License-Identifier: Apache-2.0 */
/* src/tree/room_keep.c -- .vivofs/pin, unpin and forget: a path is written into them,
 * of an object, an extra, or a directory whose objects (or a folder whose extras) are
 * meant. They never wait: what is to be fetched is fetched in the background. */
#include "tree/internal.h"

#include <string.h>

#define AT_ONCE 100000u /* objects of one path */

typedef int keep_fn(struct vivo_flow *f, vivo_row instance, struct vivo_err *err);

struct keep {
    const char *what;
    keep_fn *fn;
    struct vivo_flow *flow;
    size_t n;
    struct vivo_err *err;
};

static int no_path(const char *what, struct vivo_err *err)
{
    return vivo_fail(
        err, EINVAL,
        "%s: no such path in the tree (one below an archive, not below q or "
        "by, and listed before)",
        what);
}

static int found(void *ctx, const struct vivo_entry *e)
{
    struct node *n = ctx;

    n->level = e->level;
    n->row = e->row;
    return 0;
}

/* The next part of the path at *path: its length, slashes left out before it. */
static size_t next_part(const char **path)
{
    *path += strspn(*path, "/");
    return strcspn(*path, "/");
}

static int find_archive(const struct vivo_tree *t, const char **path, uint32_t *out)
{
    size_t len = next_part(path);

    *out = 0;
    if (t->cfg.flat)
        return 0;
    for (uint32_t i = 0; i < t->cfg.nflows; i++) {
        const char *name = vivo_flow_name(t->flows[i]);

        if (strlen(name) != len || strncmp(name, *path, len) != 0)
            continue;
        *path += len;
        *out = i;
        return 0;
    }
    return -ENOENT;
}

static int found_extra(void *ctx, const struct vivo_extra_entry *e)
{
    struct node *n = ctx;

    n->room = e->folder ? &room_folder : &room_extra;
    n->row = e->row;
    return 0;
}

/* Objects go before, as everywhere. */
static int find_child(struct vivo_tree *t, const char *name, struct node *at)
{
    struct vivo_catalog *c = node_catalog(t, at);
    struct vivo_err err = {0};
    int rc = at->room == &room_level
                 ? vivo_catalog_find(c, at->level, at->row, NULL, name, found, at, &err)
                 : -ENOENT;

    if (rc != -ENOENT || at->row == 0)
        return rc;
    vivo_err_clear(&err);
    return vivo_catalog_extra_find(c, at->row, name, found_extra, at, &err);
}

static int find(struct vivo_tree *t, const char *path, struct node *out)
{
    int rc = find_archive(t, &path, &out->archive);

    for (size_t len = 0; !rc && (len = next_part(&path)) > 0; path += len) {
        char name[VIVO_NAME_MAX + 1];

        if (len > VIVO_NAME_MAX || out->level == VIVO_LEVEL_INSTANCE ||
            out->room == &room_extra)
            return -ENOENT;
        memcpy(name, path, len);
        name[len] = 0;
        rc = find_child(t, name, out);
    }
    return rc;
}

static int keep_one(struct keep *k, vivo_row row)
{
    if (++k->n > AT_ONCE)
        return vivo_fail(k->err, EINVAL,
                         "%s: more than %u objects at once: choose a smaller part",
                         k->what, AT_ONCE);
    return k->fn(k->flow, row, k->err);
}

static int keep_item(void *ctx, const struct walk_item *item)
{
    return item->e.refusal ? 0 : keep_one(ctx, item->e.row);
}

static int keep_extra(void *ctx, const struct vivo_extra_entry *e)
{
    struct keep *k = ctx;

    return e->folder ? vivo_catalog_extras(vivo_flow_catalog(k->flow), e->row,
                                           keep_extra, k, k->err)
                     : keep_one(k, e->row);
}

/* Of a level its objects; what lies beside them is asked for by name. */
static int keep_below(struct vivo_tree *t, const struct node *n, struct keep *k)
{
    if (n->room == &room_extra)
        return keep_one(k, n->row);
    if (n->room == &room_folder)
        return vivo_catalog_extras(node_catalog(t, n), n->row, keep_extra, k, k->err);
    return walk_level(t, n, NULL, VIVO_LEVEL_INSTANCE, keep_item, k, k->err);
}

static int is_listed(void *ctx, const struct vivo_entry *e)
{
    *(bool *)ctx = e->listed;
    return 0;
}

static int are_listed(void *ctx, const struct walk_item *item)
{
    *(bool *)ctx = item->e.listed;
    return !item->e.listed;
}

/* What was never listed would silently not be kept. */
static int check_listed(struct vivo_tree *t, const struct node *n, const struct keep *k)
{
    bool listed = true;
    int rc = vivo_catalog_get(node_catalog(t, n), n->level, n->row, is_listed, &listed,
                              k->err);

    for (int level = (int)n->level + 1; rc == 0 && listed && level <= VIVO_LEVEL_SERIES;
         level++)
        rc =
            walk_level(t, n, NULL, (enum vivo_level)level, are_listed, &listed, k->err);
    if (rc < 0 || listed)
        return rc;
    return vivo_fail(k->err, EINVAL,
                     "%s: not all below this path was listed yet: list it first, as "
                     "find does",
                     k->what);
}

size_t below_mount(const struct vivo_tree *t, const char *path, size_t len)
{
    const char *top = t->cfg.mountpoint;
    size_t n = top ? strlen(top) : 0;

    return n && n <= len && !strncmp(path, top, n) && (n == len || path[n] == '/') ? n
                                                                                   : 0;
}

static int pin_one(struct vivo_flow *f, vivo_row row, struct vivo_err *err)
{
    return vivo_flow_pin(f, row, true, err);
}

static int unpin_one(struct vivo_flow *f, vivo_row row, struct vivo_err *err)
{
    return vivo_flow_pin(f, row, false, err);
}

static int keep_line(struct vivo_tree *t, const char *what, keep_fn *fn, char *line,
                     struct vivo_err *err)
{
    struct node n = {.room = &room_level, .mtime = NO_DATE};
    struct keep k = {.what = what, .fn = fn, .err = err};
    size_t len = strlen(line), top;

    while (len > 0 && strchr(" \t\r", line[len - 1]))
        line[--len] = 0;
    if (!len)
        return 0;
    top = below_mount(t, line, len); /* or it is no path of ours */
    if ((line[0] == '/' && !top && t->cfg.mountpoint) || find(t, line + top, &n))
        return no_path(what, err);
    k.flow = node_flow(t, &n);
    if (fn == pin_one && n.room == &room_level && n.level < VIVO_LEVEL_INSTANCE) {
        int rc = check_listed(t, &n, &k);
        if (rc)
            return rc;
    }
    return keep_below(t, &n, &k);
}

static int keep_text(struct vivo_tree *t, const char *what, keep_fn *fn,
                     const char *text, size_t len, struct vivo_err *err)
{
    VIVO_AUTO(vivo_free_p) char *copy = strndup(text, len);
    char *rest = copy;
    int rc = copy ? 0 : vivo_fail(err, ENOMEM, "no memory for a path");

    if (!rc && strlen(copy) < len)
        rc = no_path(what, err);
    for (char *line; !rc && (line = strsep(&rest, "\n"));)
        rc = keep_line(t, what, fn, line, err);
    return rc;
}

static int pin(struct vivo_tree *t, const struct node *n, const char *text, size_t len,
               struct vivo_err *err)
{
    (void)n;
    return keep_text(t, "pin", pin_one, text, len, err);
}

static int unpin(struct vivo_tree *t, const struct node *n, const char *text,
                 size_t len, struct vivo_err *err)
{
    (void)n;
    return keep_text(t, "unpin", unpin_one, text, len, err);
}

static int forget(struct vivo_tree *t, const struct node *n, const char *text,
                  size_t len, struct vivo_err *err)
{
    (void)n;
    return keep_text(t, "forget", vivo_flow_forget, text, len, err);
}

#define ROOM(verb)                                                                     \
    const struct room room_##verb = {                                                  \
        .name = #verb, .kind = VIVO_NODE_FILE, .mode = 0200, .write = verb}
ROOM(pin);
ROOM(unpin);
ROOM(forget);
