/* SPDX-License-Identifier: Apache-2.0 */
/* src/tree/room_control.c -- .vivofs/: what the mount tells of itself, and what one
 * may tell it. Never waits for the network; the mounting user's only. */
#include "tree/internal.h"

#include "vivofs/log.h"

#include <string.h>

static int put_status(struct vivo_tree *t, struct vivo_buf *out, struct vivo_err *err)
{
    return render_status(t, out) ? vivo_fail(err, ENOMEM, "no memory for status.json")
                                 : 0;
}

static int put_log(struct vivo_tree *t, struct vivo_buf *out, struct vivo_err *err)
{
    (void)t;
    return vivo_log_tail(out) ? vivo_fail(err, ENOMEM, "no memory for the log") : 0;
}

static int put_string(const char *text, struct vivo_buf *out, struct vivo_err *err)
{
    return vivo_buf_puts(out, text ? text : "") ? vivo_fail(err, ENOMEM, "no memory")
                                                : 0;
}

static int put_config(struct vivo_tree *t, struct vivo_buf *out, struct vivo_err *err)
{
    return put_string(t->cfg.config_text, out, err);
}

static int put_conformance(struct vivo_tree *t, struct vivo_buf *out,
                           struct vivo_err *err)
{
    return put_string(t->cfg.conformance, out, err);
}

static const struct control {
    const char *name;
    int (*put)(struct vivo_tree *t, struct vivo_buf *out, struct vivo_err *err);
    bool constant;
    const struct room *room; /* of those that are written */
} controls[] = {
    {"audit.log", audit_text, false, NULL},
    {"config", put_config, true, NULL},
    {"conformance.txt", put_conformance, true, NULL},
    {"forget", NULL, true, &room_forget},
    {"log", put_log, false, NULL},
    {"pin", NULL, true, &room_pin},
    {"refresh", NULL, true, &room_refresh},
    {"status.json", put_status, false, NULL},
    {"unpin", NULL, true, &room_unpin},
};

static int lookup(struct vivo_tree *t, const struct node *dir, const char *name,
                  struct found *f, struct vivo_op *op)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf text = {0};
    const struct control *c = NULL;
    int rc;

    vivo_buf_init(&text, TEXT_MAX);
    for (size_t i = 0; i < VIVO_ARRAY_LEN(controls) && !c; i++) {
        if (!strcmp(controls[i].name, name))
            c = &controls[i];
    }
    if (!c)
        return not_there(f, LONG_TIMEOUT, op);
    if (!c->put) {
        found_room(f, dir, c->room);
        return 0;
    }
    rc = c->put(t, &text, &op->err);
    f->fresh = !c->constant;
    return rc ? rc : found_text(f, dir, text.data, text.len, &op->err);
}

static int list(struct lister *l, struct vivo_op *op)
{
    int rc = 0;

    (void)op;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(controls) && !rc; i++)
        rc = list_fixed(l, controls[i].name,
                        controls[i].put ? &room_text : controls[i].room);
    return rc;
}

const struct room room_control = {
    .name = "control",
    .kind = VIVO_NODE_DIR,
    .mode = 0700,
    .lookup = lookup,
    .list = list,
};

/* ---- refresh ---- */

/* One line is an archive, or a path that begins with one; empty is every archive. */
static int refresh_line(struct vivo_tree *t, const char *line, size_t len,
                        struct vivo_err *err)
{
    bool any = false;
    size_t top;

    while (len > 0 && strchr(" \t\r/", line[len - 1]))
        len--;
    while (len > 0 && strchr(" \t", line[0])) {
        line++;
        len--;
    }
    top = below_mount(t, line, len);
    line += top;
    len -= top;
    while (len > 0 && line[0] == '/') {
        line++;
        len--;
    }
    for (size_t i = 0; i < t->cfg.nflows; i++) {
        const char *name = vivo_flow_name(t->flows[i]);
        size_t n = strlen(name);
        bool here = len >= n && !strncmp(line, name, n) && (len == n || line[n] == '/');

        if (len > 0 && !here && !t->cfg.flat)
            continue;
        vivo_flow_refresh(t->flows[i]);
        any = true;
    }
    return any ? 0 : vivo_fail(err, EINVAL, "refresh: no such archive");
}

static int refresh(struct vivo_tree *t, const struct node *n, const char *text,
                   size_t len, struct vivo_err *err)
{
    int rc = 0;

    (void)n;
    while (len > 0 && !rc) {
        const char *end = memchr(text, '\n', len);
        size_t line = end ? (size_t)(end - text) : len;

        rc = refresh_line(t, text, line, err);
        line += end ? 1 : 0;
        text += line;
        len -= line;
    }
    return rc;
}

const struct room room_refresh = {
    .name = "refresh",
    .kind = VIVO_NODE_FILE,
    .mode = 0200,
    .write = refresh,
};
