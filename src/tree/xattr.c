/* SPDX-License-Identifier: Apache-2.0 */
/* src/tree/xattr.c -- extended attributes (-o xattr): user.dicom.<Keyword> with what
 * the catalog knows at that level, and user.vivofs.*. Nothing is fetched for them. */
#include "tree/internal.h"

#include <string.h>

#define DICOM "user.dicom."
#define TEXT_CAP (VIVO_ATTRS_VALUE_MAX + 1)

static int no_data(struct vivo_err *err)
{
    return vivo_fail(err, ENODATA, "no such attribute");
}

static int attrs_of(struct vivo_tree *t, const struct node *n, struct vivo_buf *out,
                    struct vivo_err *err)
{
    vivo_buf_init(out, VIVO_ATTRS_MAX);
    if (n->archive == NO_ARCHIVE || n->level < VIVO_LEVEL_PATIENT)
        return 0;
    return vivo_catalog_attrs(node_catalog(t, n), n->level, n->row, out, err);
}

/* ---- user.dicom.* ------------------------------------------------------------------
 */

static int put_values(const struct vivo_attr *a, struct vivo_buf *out,
                      struct vivo_err *err)
{
    VIVO_AUTO(vivo_free_p) char *text = malloc(TEXT_CAP);
    struct vivo_values it;
    int rc = text ? 0 : -ENOMEM;
    bool more = false;

    vivo_values_of(a, &it);
    while (!rc && vivo_values_next(&it, text, TEXT_CAP)) {
        rc = more ? vivo_buf_puts(out, "\\") : 0;
        if (!rc)
            rc = vivo_buf_puts(out, text);
        more = true;
    }
    return rc ? vivo_fail(err, ENOMEM, "no memory for an attribute") : 0;
}

/* Sequences and bulk have no text; xattr names the rest by keyword. */
static bool has_text(const struct vivo_attr *a)
{
    struct vivo_values it;

    vivo_values_of(a, &it);
    return a->len > 0 && !it.over && strcmp(a->vr, "UN") != 0 && vivo_dcm_dict(a->tag);
}

static int get_dicom(struct vivo_tree *t, const struct node *n, const char *keyword,
                     struct vivo_buf *out, struct vivo_err *err)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf attrs = {0};
    const struct vivo_dict *d = vivo_dcm_dict_keyword(keyword, strlen(keyword));
    struct vivo_attr a;
    int rc = attrs_of(t, n, &attrs, err);

    if (rc)
        return rc;
    if (!d ||
        !vivo_attrs_find((struct vivo_attrs){attrs.data, attrs.len}, d->tag, &a) ||
        !has_text(&a))
        return no_data(err);
    return put_values(&a, out, err);
}

static int list_dicom(struct vivo_tree *t, const struct node *n, struct vivo_buf *out,
                      struct vivo_err *err)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf attrs = {0};
    struct vivo_attr a;
    int rc = attrs_of(t, n, &attrs, err);
    struct vivo_attrs it = {attrs.data, attrs.len};

    while (!rc && vivo_attrs_next(&it, &a)) {
        if (!has_text(&a))
            continue;
        rc = vivo_buf_printf(out, DICOM "%s", vivo_dcm_dict(a.tag)->keyword) ||
                     vivo_buf_add(out, "", 1)
                 ? vivo_fail(err, ERANGE, "more attributes than a list may have")
                 : 0;
    }
    return rc;
}

/* ---- user.vivofs.* ------------------------------------------------------------------
 */

struct states { /* of what is in a study or series */
    struct vivo_flow *flow;
    size_t n[VIVO_KEPT_PINNED + 1];
    struct vivo_err *err;
};

#define MIXED 1 /* no more need be looked at */

static int note_state(void *ctx, const struct walk_item *item)
{
    struct states *s = ctx;
    enum vivo_kept kept = VIVO_KEPT_REMOTE;
    bool file = item->e.level == VIVO_LEVEL_INSTANCE;
    int rc = file ? vivo_flow_kept(s->flow, item->e.row, &kept, s->err) : 0;

    if (rc || item->e.refusal || (!file && item->e.listed))
        return rc;
    s->n[kept]++;
    return s->n[VIVO_KEPT_REMOTE] && s->n[VIVO_KEPT_CACHED] + s->n[VIVO_KEPT_PINNED]
               ? MIXED
               : 0;
}

/* What was never listed is not here; what is refused does not open and does not count.
 */
static int put_state_within(struct vivo_tree *t, const struct node *n,
                            struct vivo_buf *out, struct vivo_err *err)
{
    struct states s = {.flow = node_flow(t, n), .err = err};
    int rc = n->level == VIVO_LEVEL_STUDY
                 ? walk_level(t, n, NULL, VIVO_LEVEL_SERIES, note_state, &s, err)
                 : 0;

    if (!rc)
        rc = walk_level(t, n, NULL, VIVO_LEVEL_INSTANCE, note_state, &s, err);
    if (rc < 0)
        return rc;
    return vivo_buf_puts(out, rc == MIXED             ? "partial"
                              : s.n[VIVO_KEPT_CACHED] ? "cached"
                              : s.n[VIVO_KEPT_PINNED] ? "pinned"
                                                      : "remote");
}

static int put_state(struct vivo_tree *t, const struct node *n, struct vivo_buf *out,
                     struct vivo_err *err)
{
    static const char *const words[] = {[VIVO_KEPT_REMOTE] = "remote",
                                        [VIVO_KEPT_CACHED] = "cached",
                                        [VIVO_KEPT_PINNED] = "pinned"};
    enum vivo_kept kept;
    int rc;

    if (n->level < VIVO_LEVEL_STUDY)
        return no_data(err);
    if (n->level != VIVO_LEVEL_INSTANCE)
        return put_state_within(t, n, out, err);
    rc = vivo_flow_kept(node_flow(t, n), n->row, &kept, err);
    return rc ? rc : vivo_buf_puts(out, words[kept]);
}

static int put_uid(struct vivo_tree *t, const struct node *n, struct vivo_buf *out,
                   struct vivo_err *err)
{
    static const char *const keywords[] = {
        [VIVO_LEVEL_STUDY] = "StudyInstanceUID",
        [VIVO_LEVEL_SERIES] = "SeriesInstanceUID",
        [VIVO_LEVEL_INSTANCE] = "SOPInstanceUID",
    };

    return n->level < VIVO_LEVEL_STUDY ? no_data(err)
                                       : get_dicom(t, n, keywords[n->level], out, err);
}

/* The archive; and, where nothing is hidden, what it calls the thing. */
static int put_source(struct vivo_tree *t, const struct node *n, struct vivo_buf *out,
                      struct vivo_err *err)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf locator = {0};
    struct vivo_flow *f = node_flow(t, n);
    int rc = vivo_buf_puts(out, vivo_flow_name(f));

    vivo_buf_init(&locator, 64 * 1024);
    if (rc || !vivo_deid_is_none(vivo_flow_deid(f)))
        return rc;
    if (vivo_catalog_locator(node_catalog(t, n), n->level, n->row, &locator, NULL,
                             err)) {
        vivo_err_clear(err);
        return 0;
    }
    return vivo_buf_printf(out, " %s", (const char *)locator.data);
}

static const struct own {
    const char *name;
    int (*put)(struct vivo_tree *t, const struct node *n, struct vivo_buf *out,
               struct vivo_err *err);
} owns[] = {
    {"user.vivofs.state", put_state},
    {"user.vivofs.uid", put_uid},
    {"user.vivofs.source", put_source},
};

/* ---- the calls of tree.h ------------------------------------------------------------
 */

static bool is_thing(const struct node *n)
{
    return (n->room == &room_level || n->room == &room_object) &&
           n->archive != NO_ARCHIVE && n->level > VIVO_LEVEL_NONE;
}

static int get(struct vivo_tree *t, const struct node *n, const char *name,
               struct vivo_buf *out, struct vivo_err *err)
{
    if (!is_thing(n))
        return no_data(err);
    if (!strncmp(name, DICOM, strlen(DICOM)))
        return get_dicom(t, n, name + strlen(DICOM), out, err);
    for (size_t i = 0; i < VIVO_ARRAY_LEN(owns); i++)
        if (!strcmp(name, owns[i].name))
            return owns[i].put(t, n, out, err);
    return no_data(err);
}

static int list(struct vivo_tree *t, const struct node *n, struct vivo_buf *out,
                struct vivo_err *err)
{
    int rc = 0;

    if (!is_thing(n))
        return 0;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(owns) && !rc; i++) {
        VIVO_AUTO(vivo_buf_free_p) struct vivo_buf value = {0};
        struct vivo_err none = {0};

        vivo_buf_init(&value, 128 * 1024);
        if (!owns[i].put(t, n, &value, &none))
            rc = vivo_buf_add(out, owns[i].name, strlen(owns[i].name) + 1);
    }
    return rc ? vivo_fail(err, ENOMEM, "no memory for attributes")
              : list_dicom(t, n, out, err);
}

int vivo_tree_xattr(struct vivo_tree *t, vivo_ino ino, const char *name,
                    struct vivo_buf *out, struct vivo_err *err)
{
    struct node space;
    const struct node *n = node_get(t, ino, &space);
    int rc = n ? 0 : vivo_fail(err, ENOENT, "no such node");

    if (!rc)
        rc = name ? get(t, n, name, out, err) : list(t, n, out, err);
    node_put(t, n);
    return rc;
}
