/* SPDX-License-Identifier: Apache-2.0 */
/* src/tree/sidecar_audit.c -- NAME.dcm.audit.json beside an object, by name alone: what
 * de-identification did to each attribute, by tag and never by value.
 *
 * It tells which attributes the original had, so it is the mounting user's only
 * (DESIGN D1). It is made when it is opened, on a job thread: the source is read. */
#include "tree/internal.h"

#include "vivofs/hash.h"

#include <stdio.h>
#include <string.h>

#define SUFFIX ".audit.json"
#define USUAL 8192 /* bytes, as a first estimate */

struct sidecar {
    struct made made; /* first */
    struct vivo_flow *flow;
    vivo_row row;
};

static void drop_sidecar(struct made *m)
{
    free(m);
}

bool sidecar_audit_named(const char *name)
{
    size_t n = strlen(name), suffix = sizeof ".dcm" SUFFIX - 1;

    return n > suffix && !strcmp(name + n - suffix, ".dcm" SUFFIX);
}

size_t sidecar_audit_object(const char *name)
{
    return strlen(name) - (sizeof SUFFIX - 1);
}

int sidecar_audit_found(struct vivo_tree *t, const struct node *dir,
                        const struct vivo_entry *e, struct found *f, struct vivo_op *op)
{
    struct vivo_flow *flow = node_flow(t, dir);
    const struct vivo_deid *deid = vivo_flow_deid(flow);
    uint8_t digest[VIVO_DIGEST_LEN];
    struct sidecar *s;
    char text[160];

    if (vivo_deid_is_none(deid) || e->level != VIVO_LEVEL_INSTANCE)
        return not_there(f, SHORT_TIMEOUT, op);
    s = calloc(1, sizeof *s);
    if (!s)
        return vivo_fail(&op->err, ENOMEM, "no memory for an audit");
    made_init(&s->made, drop_sidecar);
    s->flow = flow;
    s->row = e->row;
    s->made.estimate = USUAL;
    int n = snprintf(text, sizeof text, "audit/%s/%lld/%u", vivo_flow_name(flow),
                     (long long)e->row, (unsigned)e->version);
    vivo_sha256(text, (size_t)n, digest);
    vivo_hex(digest, sizeof digest, s->made.digest);
    int rc = made_found(f, dir, &room_sidecar_audit, made_recall(t, &s->made),
                        exports_generation(t, dir), &op->err);
    f->spec.flags |= NODE_CONTROL;
    return rc;
}

static int write_sidecar(struct sidecar *s, const struct vivo_buf *actions,
                         struct vivo_buf *out, struct vivo_err *err)
{
    const struct vivo_deid *d = vivo_flow_deid(s->flow);
    int rc = vivo_buf_printf(out, "{\"profile\":\"%s\",\"key\":\"%s\",\"actions\":",
                             vivo_deid_profile(d), vivo_key_id(vivo_deid_key(d)));
    if (!rc)
        rc = vivo_buf_add(out, actions->data, actions->len);
    if (!rc)
        rc = vivo_buf_puts(out, "}\n");
    return rc ? vivo_fail(err, ENOMEM, "no memory for an audit") : 0;
}

/* On a job thread. */
static int make(void *ctx, struct vivo_err *err)
{
    struct sidecar *s = ctx;
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf actions = {0}, text = {0};
    struct vivo_view *view = NULL;
    struct vivo_op op;

    vivo_op_init(&op, 0);
    vivo_buf_init(&actions, 16 * TEXT_MAX);
    vivo_buf_init(&text, 16 * TEXT_MAX + 1024);
    int rc = vivo_flow_audit(s->flow, s->row, &actions, &op);
    if (rc) {
        *err = op.err;
        return rc;
    }
    rc = write_sidecar(s, &actions, &text, err);
    if (!rc)
        rc = vivo_view_new(-1, NULL, &view, err);
    if (!rc && vivo_view_add_memory(view, text.data, text.len))
        rc = vivo_fail(err, ENOMEM, "no memory for an audit");
    if (rc) {
        vivo_view_unref(view);
        return rc;
    }
    vivo_view_unref(made_share(&s->made, view));
    return 0;
}

static void drop(void *ctx)
{
    struct sidecar *s = ctx;

    made_unref(&s->made);
}

static int open_sidecar(struct vivo_tree *t, const struct node *n,
                        struct vivo_view **out, struct vivo_node_stat *st,
                        struct vivo_op *op)
{
    struct sidecar *s = (struct sidecar *)n->made; /* first member */
    bool resized = atomic_load(&s->made.size) == 0;
    uint64_t id;
    int rc = 0;

    *out = made_share(&s->made, NULL);
    if (!*out) {
        memcpy(&id, s->made.digest, sizeof id);
        made_ref(&s->made);
        rc = vivo_flow_work(s->flow, id, make, drop, s, op);
    }
    if (!rc && !*out)
        *out = made_share(&s->made, NULL);
    if (!rc && !*out)
        rc = vivo_fail(&op->err, EIO, "an audit is gone at once");
    if (rc)
        return rc;
    node_stat(t, n, st);
    st->resized = resized;
    return 0;
}

static int stat_sidecar(struct vivo_tree *t, const struct node *n,
                        struct vivo_node_stat *out, struct vivo_op *op)
{
    VIVO_AUTO(vivo_view_unref_p) struct vivo_view *view = NULL;

    if (t->cfg.size_exact)
        return open_sidecar(t, n, &view, out, op);
    node_stat(t, n, out);
    return 0;
}

const struct room room_sidecar_audit = {
    .name = "audit sidecar",
    .kind = VIVO_NODE_FILE,
    .mode = 0400,
    .stat = stat_sidecar,
    .open = open_sidecar,
};
