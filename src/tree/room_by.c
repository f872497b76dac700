/* SPDX-License-Identifier: Apache-2.0 */
/* src/tree/room_by.c -- by/<Keyword>/<value>/: what q/Keyword=value shows, with only
 * the values that exist. DESIGN A5, "Facets". */
#include "tree/internal.h"

#include "vivofs/text.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define MISSING "_missing"
#define LISTED_MAX 255 /* bytes of a name that readdir(3) can show */
#define BEGINS "%*"    /* ends the name of all longer values that begin so */
#define BEGINS_MAX 240 /* bytes of it, escaped */

/* Offered in listings with -o magic; any other keyword answers by name. */
static const char *const offered[] = {
    "BodyPartExamined",  "Manufacturer", "ManufacturerModelName", "Modality",
    "PatientID",         "PatientSex",   "ProtocolName",          "SOPClassUID",
    "SeriesDescription", "StudyDate",    "StudyDescription",
};

static int parse(struct vivo_tree *t, const struct node *dir, const char *text,
                 struct vivo_query **q, struct vivo_query_error *qe)
{
    *qe = (struct vivo_query_error){0};
    return query_parse(t, dir, text, q, qe);
}

/* Virtual attributes of few words, which are asked for one by one. */
#define WORDS_MAX 4
struct words {
    const char *all[WORDS_MAX + 1];
};

static bool words_of(const struct vivo_query_path *path, struct words *out)
{
    static const struct words states = {{"cached", "pinned", "remote"}};
    static const struct words planes = {{"axial", "coronal", "oblique", "sagittal"}};

    if (path->computed == VIVO_VIRTUAL_FETCH_STATE)
        *out = states;
    else if (path->computed == VIVO_VIRTUAL_PLANE)
        *out = planes;
    else if (path->computed == VIVO_VIRTUAL_ARCHIVE)
        *out = (struct words){{path->known}};
    return path->computed == VIVO_VIRTUAL_FETCH_STATE ||
           path->computed == VIVO_VIRTUAL_PLANE ||
           path->computed == VIVO_VIRTUAL_ARCHIVE;
}

/* Cleaned free text never enters a name (DESIGN A1): it is asked for in q/ alone. */
static bool is_cleaned(const struct vivo_tree *t, uint32_t tag)
{
    for (size_t i = 0; i < t->cfg.nflows; i++)
        if (vivo_deid_cleans(vivo_flow_deid(t->flows[i]), tag))
            return true;
    return false;
}

/* The query `has NAME`, of a keyword, and what it is about; -ENOENT: none that has
 * facets. RefersTo has as many values as there are objects: it is asked for in q/. */
static int facet_of(struct vivo_tree *t, const struct node *dir, const char *name,
                    struct vivo_query **q, const struct vivo_query_path **path,
                    struct vivo_query_error *qe)
{
    char text[160];
    int rc;

    if (!*name || strlen(name) > VIVO_NAME_MAX || !isalpha((unsigned char)*name))
        return -ENOENT;
    for (const char *c = name; *c; c++)
        if (!isalnum((unsigned char)*c))
            return -ENOENT;
    snprintf(text, sizeof text, "has %s", name);
    rc = parse(t, dir, text, q, qe);
    if (rc)
        return rc == -EINVAL && !qe->hidden ? -ENOENT : rc;
    *path = &vivo_query_root(*q)->path;
    if ((*path)->computed == VIVO_VIRTUAL_REFERS_TO ||
        ((*path)->computed == VIVO_VIRTUAL_NONE &&
         is_cleaned(t, (*path)->steps[0].tag)))
        return -ENOENT;
    return 0;
}

static int lookup(struct vivo_tree *t, const struct node *dir, const char *name,
                  struct found *f, struct vivo_op *op)
{
    VIVO_AUTO(query_unref_p) struct vivo_query *q = NULL;
    const struct vivo_query_path *path;
    struct vivo_query_error qe;
    char text[160];
    int rc = facet_of(t, dir, name, &q, &path, &qe);

    if (rc == -EINVAL) {
        snprintf(text, sizeof text, "has %s", name);
        return found_query_error(f, dir, text, &qe, op);
    }
    if (rc)
        return not_there(f, 0, op);
    found_room(f, dir, &room_by_values);
    f->spec.flags |= NODE_BRIEF;
    f->spec.text = strdup(path->steps[0].keyword);
    if (!f->spec.text) {
        node_wipe(&f->spec);
        return vivo_fail(&op->err, ENOMEM, "no memory for a facet");
    }
    return 0;
}

static int list(struct lister *l, struct vivo_op *op)
{
    VIVO_UNUSED struct vivo_op *unused = op;
    int rc = 0;

    for (size_t i = 0; i < VIVO_ARRAY_LEN(offered) && !rc && l->tree->cfg.magic; i++) {
        VIVO_AUTO(query_unref_p) struct vivo_query *q = NULL;
        struct vivo_query_error qe;
        char text[160];
        const struct vivo_dict *d =
            vivo_dcm_dict_keyword(offered[i], strlen(offered[i]));

        if (d && is_cleaned(l->tree, d->tag))
            continue;
        snprintf(text, sizeof text, "has %s", offered[i]);
        if (!parse(l->tree, l->dir, text, &q, &qe))
            rc = list_fixed(l, offered[i], &room_by_values);
    }
    return rc;
}

const struct room room_by = {
    .name = "by",
    .kind = VIVO_NODE_DIR,
    .mode = 0555,
    .lookup = lookup,
    .list = list,
};

/* ---- values as names ---- */

/* Only %, /, control characters and a leading dot are escaped, so that values are
 * never merged. "_missing" as a value is told apart the same way. */
static int escape(const char *value, struct vivo_buf *out)
{
    bool reserved = !strcmp(value, MISSING);
    int rc = 0;

    for (const char *s = value; *s && !rc; s++) {
        unsigned char c = (unsigned char)*s;
        bool special = c == '%' || c == '/' || c < 0x20 || c == 0x7f;

        if (special || (s == value && (c == '.' || reserved)))
            rc = vivo_buf_printf(out, "%%%02X", c);
        else
            rc = vivo_buf_add(out, s, 1);
    }
    return rc;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)toupper((unsigned char)c);
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* One byte of the name; -1 when an escape is none. */
static int unescape(const char **s)
{
    int hi;
    int lo;

    if (**s != '%')
        return (unsigned char)*(*s)++;
    hi = hex((*s)[1]);
    lo = hi < 0 ? -1 : hex((*s)[2]);
    *s += 3;
    return lo < 0 ? -1 : hi * 16 + lo;
}

/* The name of a range with its escapes undone; -EINVAL: it is none. */
static int range_of(const char *name, struct vivo_buf *out)
{
    int rc = 0;

    for (const char *s = name; *s && !rc;) {
        int c = unescape(&s);
        rc = c <= 0 ? -EINVAL : vivo_buf_add(out, &(char){(char)c}, 1);
    }
    return rc ? rc : ranges_is_name((const char *)out->data) ? 0 : -EINVAL;
}

/* The expression `Keyword="value"` as a path component. */
static int expression(const char *keyword, const char *op, const char *name,
                      struct vivo_buf *out)
{
    size_t len = strlen(name);
    bool begins = len > strlen(BEGINS) && !strcmp(name + len - strlen(BEGINS), BEGINS);
    const char *end = name + len - (begins ? strlen(BEGINS) : 0);
    int rc;

    if (!strcmp(name, MISSING))
        return vivo_buf_printf(out, "missing %s", keyword);
    rc = vivo_buf_printf(out, "%s%s\"", keyword, op);
    for (const char *s = name; s < end && !rc;) {
        int c = unescape(&s);

        if (c <= 0 || s > end)
            return -EINVAL;
        if (strchr("\"\\*?", c)) /* a star in a value is no wildcard */
            rc = vivo_buf_printf(out, "\\%c", c);
        else if (c == '%' || c == '/')
            rc = vivo_buf_printf(out, "%%%02X", c);
        else
            rc = vivo_buf_add(out, &(char){(char)c}, 1);
    }
    return rc ? rc : vivo_buf_puts(out, begins ? "?*\"" : "\"");
}

/* Does the expression show anything? */
static int shows(struct vivo_tree *t, const struct node *dir, const char *text,
                 bool *any, struct vivo_op *op)
{
    VIVO_AUTO(selection_unref_p) struct vivo_selection *sel = NULL;
    struct found f = {.fresh = false};
    struct vivo_query_error qe;
    struct vivo_query *q;
    struct vivo_counts c;
    int rc = parse(t, dir, text, &q, &qe);

    if (rc)
        return vivo_fail(&op->err, EIO, "a facet cannot be read again");
    rc = found_query(t, &f, dir, q, op);
    if (rc)
        return rc;
    rc = select_members(t, &f.spec, &sel, op);
    if (!rc)
        rc = vivo_catalog_count(node_catalog(t, dir), dir->level, dir->row, sel, &c,
                                &op->err);
    node_wipe(&f.spec);
    *any = !rc && c.instances + c.refused > 0;
    return rc;
}

/* A value that is none of its VR (a date of 2019.06.15) is in the listing if an object
 * has it: it is found as text. What no object has is told to be wrong. */
static int lookup_unfit(struct vivo_tree *t, const struct node *dir, const char *name,
                        const char *typed, const struct vivo_query_error *why,
                        struct found *f, struct vivo_op *op)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf text = {0};
    struct vivo_query_error qe;
    struct vivo_query *q = NULL;
    bool any = false;
    int rc;

    vivo_buf_init(&text, 4096);
    if (expression(dir->text, " like ", name, &text) ||
        parse(t, dir, (const char *)text.data, &q, &qe))
        return found_query_error(f, dir, typed, why, op);
    rc = shows(t, dir, (const char *)text.data, &any, op);
    if (rc || !any)
        vivo_query_unref(q);
    if (rc)
        return rc;
    return any ? found_query(t, f, dir, q, op)
               : found_query_error(f, dir, typed, why, op);
}

static int lookup_value(struct vivo_tree *t, const struct node *dir, const char *name,
                        struct found *f, struct vivo_op *op)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf text = {0};
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf range = {0};
    struct vivo_query_error qe;
    struct vivo_query *q = NULL;
    VIVO_AUTO(query_unref_p) struct vivo_query *has = NULL;
    const struct vivo_query_path *path;
    enum range_kind kind;
    int rc;

    if (name[0] == '.' || facet_of(t, dir, dir->text, &has, &path, &qe))
        return not_there(f, 0, op);
    vivo_buf_init(&text, 4096);
    vivo_buf_init(&range, 4096);
    kind = ranges_kind(path->vr);
    if (kind != RANGE_NONE && !range_of(name, &range))
        rc = vivo_buf_printf(&text, "%s=%s", dir->text, (const char *)range.data);
    else
        rc = expression(dir->text, "=", name, &text);
    if (rc)
        return not_there(f, 0, op);
    rc = parse(t, dir, (const char *)text.data, &q, &qe);
    if (rc == -EINVAL && kind != RANGE_NONE)
        return lookup_unfit(t, dir, name, (const char *)text.data, &qe, f, op);
    if (rc == -EINVAL)
        return found_query_error(f, dir, (const char *)text.data, &qe, op);
    if (rc)
        return not_there(f, 0, op);
    return found_query(t, f, dir, q, op);
}

/* ---- listing the values that exist ---- */

struct seen { /* a name that is listed */
    char *key;
    struct seen *next;
};

struct values {
    struct lister *l;
    const char *vr;
    struct ranges *ranges; /* NULL = every value stands for itself */
    struct seen *seen[256];
    struct vivo_arena *arena;
};

/* 1 = seen before; else it is from now on. */
static int seen_before(struct values *v, const char *key)
{
    struct seen *s;
    struct seen **at = &v->seen[ino_hash(0, key) & 255];

    for (s = *at; s; s = s->next) {
        if (!strcmp(s->key, key))
            return 1;
    }
    s = vivo_arena_alloc(v->arena, sizeof *s);
    if (!s)
        return -ENOMEM;
    s->key = vivo_arena_strndup(v->arena, key, strlen(key));
    s->next = *at;
    *at = s;
    return s->key ? 0 : -ENOMEM;
}

/* Once: an imprecise date is called like the year that others are in. */
static int list_name(struct values *v, const char *name)
{
    int rc = seen_before(v, name);

    return rc ? VIVO_MIN(rc, 0) : list_fixed(v->l, name, &room_level);
}

/* A value that is too long for a name is listed, once, with all others that begin
 * like it. */
static int emit_beginning(struct values *v, const char *value)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf name = {0};
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf key = {0};
    char begin[BEGINS_MAX + 4];
    size_t n = strnlen(value, BEGINS_MAX);
    int rc = 0;

    vivo_buf_init(&name, 4 * (size_t)BEGINS_MAX);
    vivo_buf_init(&key, 4 * (size_t)BEGINS_MAX);
    do {
        while (n > 0 && ((unsigned char)value[n] & 0xC0) == 0x80)
            n--; /* whole characters */
        snprintf(begin, sizeof begin, "%.*s\x01", (int)n, value);
        vivo_buf_clear(&name);
        rc = escape(begin, &name);
    } while (!rc && name.len > BEGINS_MAX && n-- > 0);
    if (!rc)
        rc = vivo_text_fold(begin, strlen(begin), &key);
    if (!rc) /* a name ends otherwise: none is mistaken for it */
        rc = seen_before(v, (const char *)key.data);
    if (rc)
        return VIVO_MIN(rc, 0);
    name.len -= strlen("%01");
    rc = vivo_buf_puts(&name, BEGINS);
    return rc ? rc : list_fixed(v->l, (const char *)name.data, &room_level);
}

static int emit_value(void *ctx, const char *value, uint64_t instances)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf name = {0};
    struct values *v = ctx;
    int rc;

    (void)instances;
    if (!value || !*value)
        return list_fixed(v->l, MISSING, &room_level);
    vivo_buf_init(&name, 4 * VIVO_ATTRS_VALUE_MAX);
    if (v->ranges) {
        rc = vivo_query_value_key(v->vr, value, strlen(value), &name);
        if (rc > 0)
            rc = ranges_add(v->ranges, value);
        if (rc)
            return VIVO_MIN(rc, 0);
        vivo_buf_clear(&name);
    }
    rc = escape(value, &name);
    if (rc)
        return rc;
    if (name.len > LISTED_MAX)
        return emit_beginning(v, value);
    return list_name(v, (const char *)name.data);
}

static int emit_range(void *ctx, const char *range)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf name = {0};
    int rc;

    vivo_buf_init(&name, 4096);
    rc = escape(range, &name); /* .5..2 */
    return rc ? rc : list_name(ctx, (const char *)name.data);
}

/* Everything below must be known with this attribute before its values are. */
static int know(struct vivo_tree *t, const struct node *dir, struct vivo_op *op)
{
    VIVO_AUTO(selection_unref_p) struct vivo_selection *sel = NULL;
    VIVO_AUTO(query_unref_p) struct vivo_query *q = NULL;
    struct vivo_query_error qe;
    struct node n = node_scope(dir);
    char text[160];

    snprintf(text, sizeof text, "has %s", dir->text);
    if (parse(t, dir, text, &q, &qe))
        return vivo_fail(&op->err, EIO, "a facet cannot be read again");
    n.query = q;
    n.base_level = dir->level;
    n.base_row = dir->row;
    return select_get(t, &n, &sel, op);
}

/* Does q/<Keyword>=<word>, or `missing`, show anything? */
static int has_word(struct lister *l, const char *word, bool *has, struct vivo_op *op)
{
    char text[160];

    snprintf(text, sizeof text, word ? "%s=%s" : "missing %s", l->dir->text, word);
    return shows(l->tree, l->dir, text, has, op);
}

static int list_words(struct lister *l, const struct words *w, struct vivo_op *op)
{
    bool has[WORDS_MAX + 1] = {false};
    int rc = has_word(l, NULL, &has[WORDS_MAX], op);

    for (size_t i = 0; w->all[i] && !rc; i++)
        rc = has_word(l, w->all[i], &has[i], op);
    if (!rc && has[WORDS_MAX])
        rc = list_fixed(l, MISSING, &room_level);
    for (size_t i = 0; w->all[i] && !rc; i++)
        if (has[i])
            rc = list_fixed(l, w->all[i], &room_level);
    return rc;
}

/* What nodes have: all of what the directory shows is selected, by a query that names
 * the attribute, so that the selection knows it of every node. */
static int each_computed(struct lister *l, const struct vivo_query_path *path,
                         struct values *v, struct vivo_op *op)
{
    VIVO_AUTO(selection_unref_p) struct vivo_selection *sel = NULL;
    const struct node *dir = l->dir;
    struct found f = {.fresh = false};
    struct vivo_query_error qe;
    struct vivo_query *q;
    char text[2 * VIVO_NAME_MAX];
    int rc;

    snprintf(text, sizeof text, "has %s or missing %s", dir->text, dir->text);
    if (parse(l->tree, dir, text, &q, &qe))
        return vivo_fail(&op->err, EIO, "a facet cannot be read again");
    rc = found_query(l->tree, &f, dir, q, op);
    if (rc)
        return rc;
    rc = select_get(l->tree, &f.spec, &sel, op);
    node_wipe(&f.spec);
    return rc ? rc
              : vivo_catalog_computed_values(node_catalog(l->tree, dir), dir->level,
                                             dir->row, sel, path->computed, emit_value,
                                             v, &op->err);
}

static int each_of_objects(struct lister *l, const struct vivo_query_path *path,
                           struct values *v, struct vivo_op *op)
{
    VIVO_AUTO(selection_unref_p) struct vivo_selection *sel = NULL;
    const struct node *dir = l->dir;
    int rc = know(l->tree, dir, op);

    if (!rc)
        rc = select_get(l->tree, dir, &sel, op);
    return rc ? rc
              : vivo_catalog_values(node_catalog(l->tree, dir), dir->level, dir->row,
                                    sel, path->steps[0].tag, emit_value, v, &op->err);
}

static int list_values(struct lister *l, struct vivo_op *op)
{
    VIVO_AUTO(query_unref_p) struct vivo_query *q = NULL;
    const struct vivo_query_path *path;
    struct vivo_query_error qe;
    struct values v = {.l = l};
    struct words words;
    int rc = facet_of(l->tree, l->dir, l->dir->text, &q, &path, &qe);

    if (rc)
        return vivo_fail(&op->err, EIO, "a facet cannot be read again");
    if (words_of(path, &words))
        return list_words(l, &words, op);
    v.vr = path->vr;
    v.arena = vivo_arena_new(64u << 20);
    if (v.arena && ranges_kind(path->vr) != RANGE_NONE &&
        ranges_new(ranges_kind(path->vr), &v.ranges)) {
        vivo_arena_free(v.arena);
        v.arena = NULL;
    }
    if (!v.arena)
        return vivo_fail(&op->err, ENOMEM, "no memory for the values of a facet");
    rc = path->computed ? each_computed(l, path, &v, op)
                        : each_of_objects(l, path, &v, op);
    if (!rc && v.ranges)
        rc = ranges_emit(v.ranges, emit_range, &v);
    ranges_free(v.ranges);
    vivo_arena_free(v.arena);
    if (rc == -ENOMEM && !op->err.errnum)
        vivo_fail(&op->err, ENOMEM, "no memory for the values of a facet");
    return rc;
}

const struct room room_by_values = {
    .name = "by values",
    .kind = VIVO_NODE_DIR,
    .mode = 0555,
    .lookup = lookup_value,
    .list = list_values,
};
