/* SPDX-License-Identifier: Apache-2.0 */
/* src/tree/table.c -- nodes that are made when looked up and live until forgotten.
 *
 * Two hash tables under one mutex: by number, and by (parent, name), which makes a
 * directory one inode however often it is looked up. A node is freed when the
 * kernel has forgotten it and no request uses it. */
#include "tree/internal.h"

#include <string.h>

#define FIRST_INO 16

struct table {
    pthread_mutex_t mutex;
    struct node **by_ino, **by_name; /* guarded by mutex, as all below */
    size_t nbuckets;                 /* a power of two, of both */
    size_t count;
    vivo_ino next;
};

int table_new(struct table **out, struct vivo_err *err)
{
    struct table *tab = calloc(1, sizeof *tab);

    if (!tab)
        return vivo_fail(err, ENOMEM, "no memory for the table of nodes");
    tab->nbuckets = 1024;
    tab->next = FIRST_INO;
    tab->by_ino = calloc(tab->nbuckets, sizeof(struct node *));
    tab->by_name = calloc(tab->nbuckets, sizeof(struct node *));
    if (!tab->by_ino || !tab->by_name) {
        free(tab->by_ino);
        free(tab->by_name);
        free(tab);
        return vivo_fail(err, ENOMEM, "no memory for the table of nodes");
    }
    pthread_mutex_init(&tab->mutex, NULL);
    *out = tab;
    return 0;
}

void node_wipe(struct node *n)
{
    if (n->query)
        vivo_query_unref(n->query);
    free(n->text);
    vivo_view_unref(n->view);
    made_unref(n->made);
    free(n->name);
    n->query = NULL;
    n->text = NULL;
    n->view = NULL;
    n->made = NULL;
    n->name = NULL;
}

static void node_free(struct node *n)
{
    node_wipe(n);
    free(n);
}

void table_free(struct table *tab)
{
    if (!tab)
        return;
    for (size_t i = 0; i < tab->nbuckets; i++) {
        for (struct node *n = tab->by_ino[i], *next; n; n = next) {
            next = n->next_ino;
            node_free(n);
        }
    }
    pthread_mutex_destroy(&tab->mutex);
    free(tab->by_ino);
    free(tab->by_name);
    free(tab);
}

static struct node **bucket_ino_locked(struct table *tab, vivo_ino ino)
{
    return &tab->by_ino[ino & (tab->nbuckets - 1)];
}

static struct node **bucket_name_locked(struct table *tab, vivo_ino parent,
                                        const char *name)
{
    return &tab->by_name[ino_hash(parent, name) & (tab->nbuckets - 1)];
}

static struct node *find_ino_locked(struct table *tab, vivo_ino ino)
{
    struct node *n = *bucket_ino_locked(tab, ino);

    while (n && n->ino != ino)
        n = n->next_ino;
    return n;
}

static struct node *find_name_locked(struct table *tab, vivo_ino parent,
                                     const char *name)
{
    struct node *n = *bucket_name_locked(tab, parent, name);

    while (n && (n->parent != parent || strcmp(n->name, name)))
        n = n->next_name;
    return n;
}

static void unname_locked(struct table *tab, struct node *n)
{
    struct node **at = bucket_name_locked(tab, n->parent, n->name);

    if (!n->named)
        return;
    while (*at != n)
        at = &(*at)->next_name;
    *at = n->next_name;
    n->named = false;
}

static void link_locked(struct table *tab, struct node *n)
{
    struct node **at = bucket_ino_locked(tab, n->ino);

    n->next_ino = *at;
    *at = n;
    if (!n->named)
        return;
    at = bucket_name_locked(tab, n->parent, n->name);
    n->next_name = *at;
    *at = n;
}

/* Without memory for more buckets the chains just get longer. */
static void grow_locked(struct table *tab)
{
    size_t old = tab->nbuckets;
    struct node **by_ino;
    struct node **by_name;
    struct node **was = tab->by_ino;

    if (tab->count < old)
        return;
    by_ino = calloc(old * 2, sizeof(struct node *));
    by_name = calloc(old * 2, sizeof(struct node *));
    if (!by_ino || !by_name) {
        free(by_ino);
        free(by_name);
        return;
    }
    free(tab->by_name);
    tab->by_ino = by_ino;
    tab->by_name = by_name;
    tab->nbuckets = old * 2;
    for (size_t i = 0; i < old; i++) {
        for (struct node *n = was[i], *next; n; n = next) {
            next = n->next_ino;
            link_locked(tab, n);
        }
    }
    free(was);
}

/* Frees the node if nobody wants it any more. */
static void settle_locked(struct table *tab, struct node *n)
{
    struct node **at = bucket_ino_locked(tab, n->ino);

    if (n->nlookup || n->pins)
        return;
    unname_locked(tab, n);
    while (*at != n)
        at = &(*at)->next_ino;
    *at = n->next_ino;
    tab->count--;
    node_free(n);
}

const struct node *node_get(struct vivo_tree *t, vivo_ino ino, struct node *space)
{
    struct table *tab = t->table;
    struct node *n;

    if (ino == VIVO_INO_ROOT) {
        *space = (struct node){.room = &room_root,
                               .ino = ino,
                               .number = ino,
                               .archive = t->cfg.flat ? 0 : NO_ARCHIVE,
                               .mtime = NO_DATE};
        return space;
    }
    if (ino_decode(ino, space))
        return space->archive < t->cfg.nflows ? space : NULL;
    pthread_mutex_lock(&tab->mutex);
    n = find_ino_locked(tab, ino);
    if (n)
        n->pins++;
    pthread_mutex_unlock(&tab->mutex);
    return n;
}

void node_put(struct vivo_tree *t, const struct node *n)
{
    struct node space;
    struct node *own;

    if (!n || n->ino == VIVO_INO_ROOT || ino_decode(n->ino, &space))
        return;
    pthread_mutex_lock(&t->table->mutex);
    own = find_ino_locked(t->table, n->ino);
    if (own) {
        own->pins--;
        settle_locked(t->table, own);
    }
    pthread_mutex_unlock(&t->table->mutex);
}

/* Does the node show what was found now? A saved query may have another target, a
 * series another row. */
static bool same(const struct node *a, const struct node *b)
{
    bool text = !a->text == !b->text && (!a->text || !strcmp(a->text, b->text));

    return a->room == b->room && a->archive == b->archive && a->level == b->level &&
           a->row == b->row && text &&
           ((!a->generation && !b->generation) || (a->made && b->made));
}

void node_stat(const struct vivo_tree *t, const struct node *n,
               struct vivo_node_stat *out)
{
    (void)t;
    *out = (struct vivo_node_stat){
        .ino = n->ino,
        .number = n->number,
        .kind = n->room->kind,
        .mode = n->room->mode,
        .size = n->view ? vivo_view_size(n->view) : 0,
        .size_exact = true,
        .mtime = n->mtime,
        .entry_timeout = entry_timeout(n->flags),
        .attr_timeout =
            n->flags & NODE_NOW && n->room->kind == VIVO_NODE_DIR ? 0 : LONG_TIMEOUT,
    };
    if (n->room->kind == VIVO_NODE_LINK)
        out->size = strlen(n->text);
    if (n->made && n->room->kind == VIVO_NODE_FILE)
        made_stat(n->made, out);
}

static struct node *make(const struct node *dir, const char *name, struct found *f)
{
    struct node *n = calloc(1, sizeof *n);
    char *copy = strdup(name);

    if (!n || !copy) {
        free(n);
        free(copy);
        return NULL;
    }
    *n = f->spec;
    f->spec = (struct node){0};
    n->name = copy;
    n->parent = dir->ino;
    n->number = ino_hash(dir->number, name);
    n->named = !f->fresh || n->generation;
    return n;
}

int table_enter(struct table *tab, const struct node *dir, const char *name,
                struct found *f, struct vivo_node_stat *out, struct vivo_err *err)
{
    struct node *fresh = make(dir, name, f);
    struct node *n;

    if (!fresh) {
        node_wipe(&f->spec);
        return vivo_fail(err, ENOMEM, "no memory for a node");
    }
    pthread_mutex_lock(&tab->mutex);
    n = fresh->named ? find_name_locked(tab, dir->ino, name) : NULL;
    if (n && same(n, fresh)) {
        n->generation = fresh->generation; /* the same, as of later */
        node_free(fresh);
    } else {
        if (n)
            unname_locked(tab, n);
        n = fresh;
        n->ino = tab->next++;
        tab->count++;
        link_locked(tab, n);
        grow_locked(tab);
    }
    n->nlookup++;
    node_stat(NULL, n, out);
    pthread_mutex_unlock(&tab->mutex);
    if (f->fresh)
        out->entry_timeout = 0;
    return 0;
}

bool table_reuse(struct table *tab, const struct node *dir, const char *name,
                 uint64_t generation, struct vivo_node_stat *out)
{
    struct node *n;

    pthread_mutex_lock(&tab->mutex);
    n = find_name_locked(tab, dir->ino, name);
    if (n && n->generation && n->generation == generation) {
        n->nlookup++;
        node_stat(NULL, n, out);
        out->entry_timeout = 0;
    } else {
        n = NULL;
    }
    pthread_mutex_unlock(&tab->mutex);
    return n != NULL;
}

void table_forget(struct table *tab, vivo_ino ino, uint64_t nlookup)
{
    struct node *n;

    pthread_mutex_lock(&tab->mutex);
    n = find_ino_locked(tab, ino);
    if (n) {
        n->nlookup -= VIVO_MIN(nlookup, n->nlookup);
        settle_locked(tab, n);
    }
    pthread_mutex_unlock(&tab->mutex);
}
