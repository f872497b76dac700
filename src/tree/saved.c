/* SPDX-License-Identifier: Apache-2.0 */
/* src/tree/saved.c -- saved queries: `name TAB expression` lines in one small file for
 * each directory that owns a q/. Without a directory to keep them in they live as
 * long as the mount. */
#include "tree/internal.h"

#include "vivofs/file.h"

#include <stdio.h>
#include <string.h>

#define SAVED_MAX (1u << 20) /* bytes of the saved queries of one q/ */

struct book { /* of one q/, when nothing is kept on disk */
    char key[27];
    struct vivo_buf text;
    struct book *next;
};

struct saved {
    pthread_mutex_t mutex;
    char *dir;          /* NULL = kept in memory */
    struct book *books; /* guarded by mutex */
};

int saved_new(const char *dir, struct saved **out, struct vivo_err *err)
{
    struct saved *s = calloc(1, sizeof *s);

    if (!s || (dir && !(s->dir = strdup(dir)))) {
        free(s);
        return vivo_fail(err, ENOMEM, "no memory for saved queries");
    }
    pthread_mutex_init(&s->mutex, NULL);
    *out = s;
    return 0;
}

void saved_free(struct saved *s)
{
    if (!s)
        return;
    for (struct book *b = s->books, *next; b; b = next) {
        next = b->next;
        vivo_buf_free(&b->text);
        free(b);
    }
    pthread_mutex_destroy(&s->mutex);
    free(s->dir);
    free(s);
}

/* The directory that owns the q/, by its path in the plain tree. */
static int key_of(struct vivo_tree *t, const struct node *q, char key[27],
                  struct vivo_err *err)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf path = {0};
    int rc;

    vivo_buf_init(&path, 8192);
    rc = vivo_buf_puts(&path, "/");
    if (!rc && q->archive != NO_ARCHIVE)
        rc = vivo_buf_printf(&path, "%s/", vivo_flow_name(node_flow(t, q)));
    if (rc)
        return vivo_fail(err, ENOMEM, "no memory for saved queries");
    if (q->archive != NO_ARCHIVE && q->level != VIVO_LEVEL_NONE) {
        rc = vivo_catalog_path(node_catalog(t, q), q->level, q->row, &path, err);
        if (rc)
            return rc;
    }
    vivo_short_name((const char *)path.data, path.len, key, 26);
    return 0;
}

static char *file_of(const struct saved *s, const char *key)
{
    char *path = NULL;

    return asprintf(&path, "%s/%s.queries", s->dir, key) < 0 ? NULL : path;
}

static struct book *book_locked(struct saved *s, const char *key)
{
    struct book *b = s->books;

    while (b && strcmp(b->key, key))
        b = b->next;
    if (b)
        return b;
    b = calloc(1, sizeof *b);
    if (!b)
        return NULL;
    snprintf(b->key, sizeof b->key, "%s", key);
    vivo_buf_init(&b->text, SAVED_MAX);
    b->next = s->books;
    s->books = b;
    return b;
}

static int load_locked(struct saved *s, const char *key, struct vivo_buf *out,
                       struct vivo_err *err)
{
    VIVO_AUTO(vivo_free_p) char *path = NULL;
    struct book *b;
    int rc;

    if (!s->dir) {
        b = book_locked(s, key);
        if (!b || (b->text.len && vivo_buf_add(out, b->text.data, b->text.len)))
            return vivo_fail(err, ENOMEM, "no memory for saved queries");
        return 0;
    }
    path = file_of(s, key);
    if (!path)
        return vivo_fail(err, ENOMEM, "no memory for saved queries");
    rc = vivo_file_read(path, SAVED_MAX, out, err);
    if (rc == -ENOENT) {
        vivo_err_clear(err);
        return 0;
    }
    return rc;
}

static int store_locked(struct saved *s, const char *key, const struct vivo_buf *text,
                        struct vivo_err *err)
{
    VIVO_AUTO(vivo_free_p) char *path = NULL;
    struct book *b;
    int rc;

    if (!s->dir) {
        b = book_locked(s, key);
        if (b)
            vivo_buf_clear(&b->text);
        if (!b || (text->len && vivo_buf_add(&b->text, text->data, text->len)))
            return vivo_fail(err, ENOMEM, "no memory for saved queries");
        return 0;
    }
    path = file_of(s, key);
    if (!path)
        return vivo_fail(err, ENOMEM, "no memory for saved queries");
    rc = vivo_mkdirs(s->dir, 0700, err);
    return rc ? rc : vivo_file_write(path, text->data, text->len, 0600, err);
}

/* One line: name, expression; both end where the text does. */
struct line {
    const char *name, *target;
    size_t name_len, target_len;
};

static bool next_line(const char **at, struct line *out)
{
    const char *tab = *at ? strchr(*at, '\t') : NULL;
    const char *end = tab ? strchr(tab, '\n') : NULL;

    if (!end)
        return false;
    *out = (struct line){.name = *at,
                         .target = tab + 1,
                         .name_len = (size_t)(tab - *at),
                         .target_len = (size_t)(end - tab - 1)};
    *at = end + 1;
    return true;
}

static bool named(const struct line *l, const char *name)
{
    return l->name_len == strlen(name) && !memcmp(l->name, name, l->name_len);
}

static int add_line(struct vivo_buf *b, const char *name, const char *target,
                    size_t len)
{
    return vivo_buf_printf(b, "%s\t%.*s\n", name, (int)len, target);
}

/* Everything but the lines named so. *was: whether there was one. */
static int without(const struct vivo_buf *from, const char *name, struct vivo_buf *to,
                   bool *was)
{
    const char *at = (const char *)from->data;
    struct line l;
    int rc = 0;

    *was = false;
    while (!rc && next_line(&at, &l)) {
        if (named(&l, name))
            *was = true;
        else
            rc = vivo_buf_add(to, l.name, l.name_len + 1 + l.target_len + 1);
    }
    return rc;
}

int saved_find(struct vivo_tree *t, const struct node *q, const char *name,
               struct vivo_buf *target, struct vivo_err *err)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf text = {0};
    const char *at;
    struct line l;
    char key[27];
    int rc = key_of(t, q, key, err);

    vivo_buf_init(&text, SAVED_MAX);
    if (rc)
        return rc;
    pthread_mutex_lock(&t->saved->mutex);
    rc = load_locked(t->saved, key, &text, err);
    pthread_mutex_unlock(&t->saved->mutex);
    if (rc)
        return rc;
    at = (const char *)text.data;
    while (next_line(&at, &l)) {
        if (!named(&l, name))
            continue;
        if (vivo_buf_add(target, l.target, l.target_len))
            return vivo_fail(err, ENOMEM, "no memory for a saved query");
        return 0;
    }
    return vivo_fail(err, ENOENT, "no such query is saved here");
}

int saved_list(struct lister *l, struct vivo_err *err)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf text = {0};
    struct saved *s = l->tree->saved;
    char name[NODE_NAME_MAX + 1];
    const char *at;
    struct line line;
    char key[27];
    int rc = key_of(l->tree, l->dir, key, err);

    vivo_buf_init(&text, SAVED_MAX);
    if (rc)
        return rc;
    pthread_mutex_lock(&s->mutex);
    rc = load_locked(s, key, &text, err);
    pthread_mutex_unlock(&s->mutex);
    at = (const char *)text.data;
    while (!rc && next_line(&at, &line)) {
        if (line.name_len == 0 || line.name_len > NODE_NAME_MAX)
            continue;
        memcpy(name, line.name, line.name_len);
        name[line.name_len] = 0;
        rc = list_fixed(l, name, &room_link);
    }
    return rc;
}

/* Under the lock: the lines without `drop`, then perhaps one more. */
static int change(struct vivo_tree *t, const struct node *q, const char *drop,
                  const char *name, const char *target, bool must, struct vivo_err *err)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf text = {0};
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf next = {0};
    char key[27];
    bool was;
    int rc = key_of(t, q, key, err);

    vivo_buf_init(&text, SAVED_MAX);
    vivo_buf_init(&next, SAVED_MAX);
    if (rc)
        return rc;
    pthread_mutex_lock(&t->saved->mutex);
    rc = load_locked(t->saved, key, &text, err);
    if (!rc && without(&text, drop, &next, &was))
        rc = vivo_fail(err, ENOSPC, "too many saved queries");
    if (!rc && must && !was)
        rc = vivo_fail(err, ENOENT, "no such query is saved here");
    if (!rc && name && add_line(&next, name, target, strlen(target)))
        rc = vivo_fail(err, ENOSPC, "too many saved queries");
    if (!rc)
        rc = store_locked(t->saved, key, &next, err);
    pthread_mutex_unlock(&t->saved->mutex);
    return rc;
}

int saved_put(struct vivo_tree *t, const struct node *q, const char *name,
              const char *target, struct vivo_err *err)
{
    return change(t, q, name, name, target, false, err);
}

int saved_remove(struct vivo_tree *t, const struct node *q, const char *name,
                 struct vivo_err *err)
{
    return change(t, q, name, NULL, NULL, true, err);
}

int saved_rename(struct vivo_tree *t, const struct node *q, const char *from,
                 const char *to, struct vivo_err *err)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf target = {0};
    int rc;

    vivo_buf_init(&target, NODE_NAME_MAX + 1);
    rc = saved_find(t, q, from, &target, err);
    /* The new name first: a crash in between leaves both, never none. */
    if (!rc)
        rc = saved_put(t, q, to, (const char *)target.data, err);
    if (!rc && strcmp(from, to))
        rc = saved_remove(t, q, from, err);
    return rc;
}
