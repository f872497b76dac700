/* SPDX-License-Identifier: Apache-2.0 */
/* src/catalog/lately.c -- rows of instances that were read lately, with their locators.
 *
 * Opening a file asks for its row three times and for its locator once, which took
 * most of the time of opening a file that is known: a read transaction each, and a seal
 * to be opened. What is kept here is true until something is committed, by this process
 * or, as its generation tells, by another one. */
#include "catalog/internal.h"

#include <string.h>

#define SLOTS 4096u       /* a power of two: rows of a series follow each other */
#define LOCATOR_MAX 1024u /* longer ones are not kept */

struct known {
    struct vivo_entry e; /* its name is text[0] */
    struct vivo_catalog_mark mark;
    size_t locator, version; /* where they are in text; 0 = not known */
    size_t len;
    char text[];
};

struct vivo_lately {
    pthread_mutex_t mutex;
    struct known *slots[SLOTS]; /* guarded by mutex */
};

struct vivo_lately *vivo_lately_new(void)
{
    struct vivo_lately *l = calloc(1, sizeof *l);

    if (l)
        pthread_mutex_init(&l->mutex, NULL);
    return l;
}

void vivo_lately_free(struct vivo_lately *l)
{
    if (!l)
        return;
    for (size_t i = 0; i < SLOTS; i++)
        free(l->slots[i]);
    pthread_mutex_destroy(&l->mutex);
    free(l);
}

struct vivo_catalog_mark vivo_lately_mark(struct vivo_catalog *c)
{
    return (struct vivo_catalog_mark){vivo_catalog_generation(c),
                                      atomic_load(&c->commits)};
}

static struct known **slot_of(struct vivo_lately *l, vivo_row row)
{
    return &l->slots[(uint64_t)row % SLOTS];
}

static struct known *find_locked(struct vivo_lately *l, vivo_row row,
                                 const struct vivo_catalog_mark *mark)
{
    struct known *k = *slot_of(l, row);
    bool holds = k && k->e.row == row && k->mark.generation == mark->generation &&
                 k->mark.commits == mark->commits;

    return holds ? k : NULL;
}

bool vivo_lately_entry(struct vivo_lately *l, vivo_row row,
                       const struct vivo_catalog_mark *mark, struct vivo_entry *e,
                       char name[VIVO_NAME_MAX + 1])
{
    pthread_mutex_lock(&l->mutex);
    const struct known *k = find_locked(l, row, mark);
    if (k) {
        *e = k->e;
        memcpy(name, k->text, strlen(k->text) + 1);
    }
    pthread_mutex_unlock(&l->mutex);
    return k != NULL;
}

void vivo_lately_keep(struct vivo_lately *l, const struct vivo_catalog_mark *mark,
                      const struct vivo_entry *e, const char *name)
{
    size_t len = strlen(name) + 1;
    struct known *k = malloc(sizeof *k + len);

    if (!k)
        return;
    *k = (struct known){.e = *e, .mark = *mark, .len = len};
    k->e.name = NULL;
    memcpy(k->text, name, len);
    pthread_mutex_lock(&l->mutex);
    struct known **slot = slot_of(l, e->row);
    struct known *gone = *slot;
    *slot = k;
    pthread_mutex_unlock(&l->mutex);
    free(gone);
}

bool vivo_lately_locator(struct vivo_lately *l, vivo_row row,
                         const struct vivo_catalog_mark *mark, struct vivo_buf *locator,
                         struct vivo_buf *version)
{
    char text[2 * LOCATOR_MAX];
    size_t second = 0;

    pthread_mutex_lock(&l->mutex);
    const struct known *k = find_locked(l, row, mark);
    bool known = k && k->locator;
    if (known) {
        second = k->version - k->locator;
        memcpy(text, k->text + k->locator, k->len - k->locator);
    }
    pthread_mutex_unlock(&l->mutex);
    if (!known)
        return false;
    vivo_buf_clear(locator);
    if (version)
        vivo_buf_clear(version);
    bool copied = !vivo_buf_puts(locator, text) &&
                  (!version || !text[second] || !vivo_buf_puts(version, text + second));
    return copied;
}

void vivo_lately_keep_locator(struct vivo_lately *l, vivo_row row,
                              const struct vivo_catalog_mark *mark,
                              const struct vivo_buf *locator,
                              const struct vivo_buf *version)
{
    size_t n = locator->len + 1;
    size_t m = version->len + 1;

    if (n > LOCATOR_MAX || m > LOCATOR_MAX)
        return;
    pthread_mutex_lock(&l->mutex);
    struct known *k = find_locked(l, row, mark);
    struct known *bigger =
        k && !k->locator ? realloc(k, sizeof *k + k->len + n + m) : NULL;
    if (bigger) {
        *slot_of(l, row) = bigger;
        bigger->locator = bigger->len;
        bigger->version = bigger->len + n;
        memcpy(bigger->text + bigger->locator, locator->data, n);
        memcpy(bigger->text + bigger->version,
               version->len ? version->data : (const uint8_t *)"", m);
        bigger->len += n + m;
    }
    pthread_mutex_unlock(&l->mutex);
}
