/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/package_map.c -- see package_map.h. */
#include "drivers/package_map.h"

#include "drivers/beneath.h"
#include "vivofs/base.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#define ARENA_BYTES (256u << 20)
#define FILES_MAX 200000u /* lists of one package */

/* ---- the map --------------------------------------------------------------------- */

int vivo_package_map_init(struct vivo_package_map *m, struct vivo_err *err)
{
    *m = (struct vivo_package_map){.arena = vivo_arena_new(ARENA_BYTES)};
    return m->arena ? 0 : vivo_fail(err, ENOMEM, "no memory for a package");
}

void vivo_package_map_free(struct vivo_package_map *m)
{
    vivo_arena_free(m->arena);
    free(m->rows);
    *m = (struct vivo_package_map){0};
}

static const char *keep(struct vivo_package_map *m, const char *text)
{
    return vivo_arena_strndup(m->arena, text, strlen(text));
}

int vivo_package_map_add(struct vivo_package_map *m, const char *key,
                         const char *collection, const char *patient,
                         struct vivo_err *err)
{
    if (strlen(collection) > VIVO_PACKAGE_TEXT_MAX ||
        strlen(patient) > VIVO_PACKAGE_TEXT_MAX || (!*collection && !*patient)) {
        m->bad++;
        return 0;
    }
    struct vivo_package_row *rows =
        vivo_array_grow(m->rows, m->n, &m->cap, sizeof *rows, VIVO_PACKAGE_ROWS_MAX);
    if (!rows)
        return vivo_fail(err, ENOMEM, "a package has too long lists");
    m->rows = rows;
    struct vivo_package_row row = {keep(m, key), keep(m, collection), keep(m, patient)};
    if (!row.key || !row.collection || !row.patient)
        return vivo_fail(err, ENOMEM, "a package has too long lists");
    m->rows[m->n++] = row;
    return 0;
}

static int by_key(const void *a, const void *b)
{
    const struct vivo_package_row *x = a, *y = b;
    return strcmp(x->key, y->key);
}

void vivo_package_map_ready(struct vivo_package_map *m)
{
    size_t n = 0;
    if (m->n)
        qsort(m->rows, m->n, sizeof *m->rows, by_key);
    for (size_t i = 0, next; i < m->n; i = next) {
        bool one = true;
        for (next = i + 1; next < m->n && by_key(&m->rows[i], &m->rows[next]) == 0;
             next++)
            one = one && strcmp(m->rows[i].collection, m->rows[next].collection) == 0 &&
                  strcmp(m->rows[i].patient, m->rows[next].patient) == 0;
        if (one)
            m->rows[n++] = m->rows[i];
        else
            m->bad++;
    }
    m->n = n;
}

bool vivo_package_map_find(const struct vivo_package_map *m, const char *key,
                           struct vivo_package_place *out)
{
    const struct vivo_package_row want = {.key = key};
    const struct vivo_package_row *row =
        m->n ? bsearch(&want, m->rows, m->n, sizeof want, by_key) : NULL;
    if (!row)
        return false;
    snprintf(out->collection, sizeof out->collection, "%s", row->collection);
    snprintf(out->patient, sizeof out->patient, "%s", row->patient);
    return true;
}

bool vivo_package_map_above(const struct vivo_package_map *m, const char *path,
                            struct vivo_package_place *out)
{
    char at[PATH_MAX];
    size_t n = strlen(path);
    if (n >= sizeof at)
        return false;
    memcpy(at, path, n + 1);
    for (;;) {
        if (vivo_package_map_find(m, at, out))
            return true;
        char *slash = strrchr(at, '/');
        if (!slash)
            return false;
        *slash = '\0';
    }
}

/* ---- paths ----------------------------------------------------------------------- */

static int hex_of(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c ? strchr(digits, c | 0x20) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* In place: percent signs of a URI, and the separators of Windows. */
static bool decode(char *s)
{
    char *to = s;
    for (; *s; s++) {
        int high = *s == '%' ? hex_of(s[1]) : -1;
        int low = high < 0 ? -1 : hex_of(s[2]);
        if (low >= 0) {
            *to = (char)(high * 16 + low);
            s += 2;
        } else {
            *to = *s == '\\' ? '/' : *s;
        }
        if (!*to++)
            return false;
    }
    *to = '\0';
    return true;
}

/* One more component on a path, or one less. */
static bool step(char *out, size_t cap, const char *word)
{
    size_t n = strlen(out);
    if (!*word || strcmp(word, ".") == 0)
        return true;
    if (strcmp(word, "..") == 0) {
        if (!n)
            return false;
        char *slash = strrchr(out, '/');
        *(slash ? slash : out) = '\0';
        return true;
    }
    if (n + strlen(word) + 2 > cap)
        return false;
    snprintf(out + n, cap - n, "%s%s", n ? "/" : "", word);
    return true;
}

bool vivo_package_path(const char *folder, const char *reference, char *out, size_t cap)
{
    char text[PATH_MAX];
    if (strncmp(reference, "file:", 5) == 0)
        reference += 5;
    if (strlen(folder) + strlen(reference) >= sizeof text || *reference == '/' ||
        strchr(reference, ':'))
        return false;
    snprintf(text, sizeof text, "%s", reference);
    if (!decode(text) || *text == '/')
        return false;
    size_t n = strlen(folder);
    memmove(text + n, text, strlen(text) + 1);
    memcpy(text, folder, n);
    out[0] = '\0';
    char *rest = text;
    for (char *word = strsep(&rest, "/"); word; word = strsep(&rest, "/"))
        if (!step(out, cap, word))
            return false;
    return *out != '\0';
}
