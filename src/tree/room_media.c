/* SPDX-License-Identifier: Apache-2.0 */
/* src/tree/room_media.c -- `.media/` of a patient or a study: its objects once more
 * under names that PS3.10 section 8 allows, beside a DICOMDIR.
 *
 * What is in it and where is planned when `.media` is looked up. A plan never changes:
 * when the catalog has, and the plan with it, `.media` is another directory. The
 * objects are the inodes of the plain tree; nothing is fetched for a listing. */
#include "tree/media.h"

#include "vivofs/hash.h"

#include <stdio.h>
#include <string.h>

#define RECORD_USUAL 400u /* bytes that an object adds, as a first estimate */

static const char *const heads[MEDIA_LEVELS] = {"PA", "ST", "SE", "IM"};

void media_name(const struct media_item *item, unsigned level, char out[16])
{
    snprintf(out, 16, "%s%06u", heads[level], (unsigned)item->at[level]);
}

static struct media *media_of(const struct node *n)
{
    return (struct media *)n->made; /* first member */
}

static void drop_media(struct made *made)
{
    struct media *m = (struct media *)made; /* first member */

    for (size_t i = 0; i < m->n; i++)
        free(m->items[i].keys);
    free(m->items);
    vivo_sha256_end(m->sha, NULL);
    free(m);
}

/* ---- the plan ----------------------------------------------------------------------
 */

struct planning {
    struct media *media;
    char last[8192]; /* path of the object before */
    struct vivo_err *err;
};

/* Bytes of a path that two have in common, as whole parts, and how many parts. */
static unsigned parts_shared(const char *a, const char *b)
{
    unsigned parts = 0;

    for (; *a && *a == *b; a++, b++)
        parts += *a == '/';
    return parts;
}

/* Paths are collection/patient/study/series/object: what they share tells which
 * directories are the same. */
static int place(const struct planning *p, const char *path, struct media_item *item)
{
    const struct media *m = p->media;
    const struct media_item *last = m->n ? &m->items[m->n - 1] : NULL;
    unsigned shared = last ? parts_shared(p->last, path) : 0;
    unsigned same = shared > 1 ? shared - 1 : 0; /* levels; the collection aside */

    for (unsigned l = 0; l < MEDIA_LEVELS; l++) {
        item->at[l] = !last || l > same ? 1 : last->at[l] + (l == same);
        if (item->at[l] > MEDIA_PART_MAX)
            return vivo_fail(p->err, EIO, ".media: more objects than it has names for");
    }
    return 0;
}

static int add_object(void *ctx, const struct walk_item *w)
{
    struct planning *p = ctx;
    struct media *m = p->media;
    struct media_item item = {.row = w->e.row};
    int rc;

    if (w->e.refusal || strlen(w->path) >= sizeof p->last)
        return 0;
    struct media_item *items =
        vivo_array_grow(m->items, m->n, &m->cap, sizeof *items, VIVO_ARRAY_MAX);
    if (!items)
        return vivo_fail(p->err, ENOMEM, "no memory for .media");
    m->items = items;
    rc = place(p, w->path, &item);
    if (rc)
        return rc;
    m->items[m->n++] = item;
    memcpy(p->last, w->path, strlen(w->path) + 1);
    vivo_sha256_add(m->sha, &w->e.row, sizeof w->e.row);
    vivo_sha256_add(m->sha, &w->e.version, sizeof w->e.version);
    vivo_sha256_add(m->sha, item.at, sizeof item.at);
    return 0;
}

static int plan_part(struct vivo_tree *t, const struct node *part,
                     const struct vivo_selection *sel, void *ctx, struct vivo_op *op)
{
    return walk_level(t, part, sel, VIVO_LEVEL_INSTANCE, add_object, ctx, &op->err);
}

static int media_new(struct vivo_tree *t, const struct node *dir, struct media **out,
                     struct vivo_op *op)
{
    struct media *m = calloc(1, sizeof *m);
    struct planning *p = calloc(1, sizeof *p);
    uint8_t digest[VIVO_DIGEST_LEN] = {0};
    int rc = -ENOMEM;

    if (m) {
        made_init(&m->made, drop_media);
        m->sha = vivo_sha256_begin();
    }
    if (!m || !p || !m->sha) {
        vivo_fail(&op->err, ENOMEM, "no memory for .media");
    } else {
        p->media = m;
        p->err = &op->err;
        vivo_sha256_add(m->sha, &dir->archive, sizeof dir->archive);
        rc = exports_each_part(t, dir, plan_part, p, op);
    }
    free(p);
    if (rc) {
        if (m)
            made_unref(&m->made);
        return rc;
    }
    vivo_sha256_end(m->sha, digest);
    m->sha = NULL;
    vivo_hex(digest, sizeof digest, m->made.digest);
    m->made.estimate = 1024 + (uint64_t)m->n * RECORD_USUAL;
    *out = m;
    return 0;
}

/* ---- looking up --------------------------------------------------------------------
 */

/* A directory below `.media`, or its DICOMDIR. */
static void found_part(struct found *f, const struct node *dir, const struct room *room)
{
    f->spec = (struct node){.room = room,
                            .flags = dir->flags,
                            .archive = dir->archive,
                            .mtime = dir->mtime,
                            .made = made_ref(dir->made)};
}

bool media_answers(const struct node *dir)
{
    return dir->archive != NO_ARCHIVE && dir->level >= VIVO_LEVEL_PATIENT &&
           dir->level <= VIVO_LEVEL_STUDY;
}

int media_lookup(struct vivo_tree *t, const struct node *dir, struct found *f,
                 struct vivo_op *op)
{
    uint64_t before = exports_generation(t, dir);
    struct media *m = NULL;
    struct made *made;
    int rc;

    if (made_reuse(t, dir, MEDIA_DIR, &room_media, before, f))
        return 0;
    rc = media_new(t, dir, &m, op);
    if (rc)
        return rc;
    made = made_recall(t, &m->made);
    return made_found(f, dir, &room_media, made,
                      exports_generation(t, dir) == before ? before : 0, &op->err);
}

/* One past the last item that is in the same directory as items[from], whose depth is
 * the number of levels that its path has. */
static size_t end_of(const struct media *m, size_t from, unsigned depth)
{
    size_t lo = from, hi = m->n;

    while (hi - lo > 1) {
        size_t mid = lo + (hi - lo) / 2;

        if (!memcmp(m->items[mid].at, m->items[from].at, depth * sizeof(uint32_t)))
            lo = mid;
        else
            hi = mid;
    }
    return from < m->n ? lo + 1 : from;
}

/* The first item below dir whose part at `level` is `number`, or NONE. */
#define NONE SIZE_MAX
static size_t find(const struct media *m, const struct node *dir, uint32_t number)
{
    unsigned level = dir->depth - 1;
    size_t lo = dir->at, end = end_of(m, dir->at, level), hi = end;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (m->items[mid].at[level] < number)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < end && m->items[lo].at[level] == number ? lo : NONE;
}

/* The number in a name such as ST000012; 0 = it is none of this level's. */
static uint32_t number_in(const char *name, unsigned level)
{
    uint32_t n = 0;

    if (strlen(name) != 8 || strncmp(name, heads[level], 2) != 0)
        return 0;
    for (const char *p = name + 2; *p; p++) {
        if (*p < '0' || *p > '9')
            return 0;
        n = n * 10 + (uint32_t)(*p - '0');
    }
    return n;
}

struct take {
    struct vivo_tree *tree;
    const struct node *dir;
    const char *name;
    struct found *found;
    struct vivo_op *op;
};

static int take_object(void *ctx, const struct vivo_entry *e)
{
    const struct take *k = ctx;

    if (e->refusal)
        return not_there(k->found, 0, k->op);
    return found_entry(k->found, k->tree, k->dir, k->name, e, &k->op->err);
}

/* The top: DICOM/ and DICOMDIR. */
static int lookup_top(const struct node *dir, const char *name, struct found *f,
                      struct vivo_op *op)
{
    if (!strcmp(name, "DICOM")) {
        found_part(f, dir, &room_media);
        f->spec.depth = 1;
        return 0;
    }
    if (strcmp(name, "DICOMDIR") != 0)
        return not_there(f, LONG_TIMEOUT, op);
    found_part(f, dir, &room_index);
    return 0;
}

static int lookup(struct vivo_tree *t, const struct node *dir, const char *name,
                  struct found *f, struct vivo_op *op)
{
    struct take k = {.tree = t, .dir = dir, .name = name, .found = f, .op = op};
    const struct media *m = media_of(dir);
    uint32_t number;
    size_t i;

    if (!dir->depth)
        return lookup_top(dir, name, f, op);
    number = number_in(name, dir->depth - 1);
    i = number ? find(m, dir, number) : NONE;
    if (i == NONE)
        return not_there(f, LONG_TIMEOUT, op);
    if (dir->depth == MEDIA_LEVELS)
        return vivo_catalog_get(node_catalog(t, dir), VIVO_LEVEL_INSTANCE,
                                m->items[i].row, take_object, &k, &op->err);
    found_part(f, dir, &room_media);
    f->spec.depth = dir->depth + 1;
    f->spec.at = i;
    return 0;
}

/* ---- listing -----------------------------------------------------------------------
 */

static int list_top(struct lister *l)
{
    int rc = list_fixed(l, "DICOM", &room_media);

    return rc ? rc : made_list(l, "DICOMDIR", &room_index, l->dir->made);
}

struct emit {
    struct lister *l;
    char name[16];
};

static int emit_object(void *ctx, const struct vivo_entry *e)
{
    struct emit *m = ctx;
    struct vivo_node_stat st;

    if (e->refusal)
        return 0;
    stat_entry(m->l->tree, m->l->dir->archive, e, &st);
    st.entry_timeout = SHORT_TIMEOUT;
    return m->l->emit(m->l->ctx, m->name, &st);
}

static int list_item(struct lister *l, const struct media_item *item,
                     struct vivo_err *err)
{
    struct emit m = {.l = l};
    int rc;

    media_name(item, l->dir->depth - 1, m.name);
    if (l->dir->depth < MEDIA_LEVELS)
        return list_fixed(l, m.name, &room_media);
    rc = vivo_catalog_get(node_catalog(l->tree, l->dir), VIVO_LEVEL_INSTANCE, item->row,
                          emit_object, &m, err);
    if (rc != -ENOENT)
        return rc;
    vivo_err_clear(err); /* it went since `.media` was looked up */
    return 0;
}

static int list(struct lister *l, struct vivo_op *op)
{
    const struct node *dir = l->dir;
    const struct media *m = media_of(dir);
    size_t end;
    int rc = 0;

    if (!dir->depth)
        return list_top(l);
    end = end_of(m, dir->at, dir->depth - 1);
    for (size_t i = dir->at; i < end && !rc; i = end_of(m, i, dir->depth))
        rc = list_item(l, &m->items[i], &op->err);
    return rc;
}

const struct room room_media = {
    .name = "media",
    .kind = VIVO_NODE_DIR,
    .mode = 0555,
    .lookup = lookup,
    .list = list,
};
